#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tests/count.py: nothing that went wrong may be counted as passed."""

import pathlib
import subprocess
import sys
import tempfile
import unittest
import xml.sax.saxutils

SCRIPT = pathlib.Path(__file__).resolve().parents[1] / "count.py"
DOCTEST = "[doctest] test cases: {} | {} passed | {} failed | 0 skipped"


class CountTest(unittest.TestCase):
    def count(self, *tests):
        with tempfile.TemporaryDirectory() as directory:
            report = pathlib.Path(directory) / "report.xml"
            report.write_text("<testsuite>" + "".join(tests) + "</testsuite>", encoding="utf-8")
            result = subprocess.run([sys.executable, str(SCRIPT), str(report)],
                                    capture_output=True, text=True, check=True)
        return tuple(int(number) for number in result.stdout.split())

    @staticmethod
    def case(output, status="run", more=""):
        text = xml.sax.saxutils.escape(output)
        return (f'<testcase name="x" status="{status}">{more}'
                f"<system-out>{text}</system-out></testcase>")

    def test_doctest(self):
        self.assertEqual(self.count(self.case(DOCTEST.format(7, 7, 0))), (7, 0))
        self.assertEqual(self.count(self.case(DOCTEST.format(7, 5, 2), "fail")), (5, 2))

    def test_colours_do_not_hide_the_numbers(self):
        # XML 1.0 cannot hold the escape character itself; reports drop it or leave the rest.
        self.assertEqual(self.count(self.case("\n" + DOCTEST.format(3, 3, 0) + "\n")), (3, 0))

    def test_doctest_that_ran_nothing(self):
        self.assertEqual(self.count(self.case(DOCTEST.format(0, 0, 0))), (0, 1))

    def test_crash_after_success(self):
        self.assertEqual(self.count(self.case(DOCTEST.format(7, 7, 0), "fail")), (7, 1))

    def test_crash_without_a_word(self):
        self.assertEqual(self.count(self.case("", "fail")), (0, 1))
        self.assertEqual(self.count(self.case("", "run", "<failure/>")), (0, 1))

    def test_not_run(self):
        self.assertEqual(self.count(self.case("", "notrun")), (0, 1))

    def test_unittest(self):
        self.assertEqual(self.count(self.case("Ran 9 tests in 0.1s\n\nOK\n")), (9, 0))
        self.assertEqual(
            self.count(self.case("Ran 9 tests in 1s\n\nFAILED (failures=1, errors=2)\n", "fail")),
            (6, 3))

    def test_checks(self):
        self.assertEqual(self.count(self.case("ok a\n12 passed, 0 failed\n")), (12, 0))
        self.assertEqual(self.count(self.case("12 passed, 3 failed\n", "fail")), (12, 3))

    def test_sum(self):
        self.assertEqual(self.count(self.case(DOCTEST.format(2, 2, 0)), self.case("")), (3, 0))

    def test_empty_and_missing_reports(self):
        self.assertEqual(self.count(), (0, 1))
        result = subprocess.run([sys.executable, str(SCRIPT), "/nonexistent/report.xml"],
                                capture_output=True, text=True, check=True)
        self.assertEqual(result.stdout.split(), ["0", "1"])


if __name__ == "__main__":
    unittest.main()
