#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tests/unity.py: every file once, each in its namespace, all includes before the first of them."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[1] / "unity.py"


class UnityTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="porthole unity ")
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)
        self.files = []

    def file(self, name, text):
        path = self.directory / "http" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        self.files.append(path)
        return path

    def run_script(self, count):
        output = self.directory / "out"
        result = subprocess.run([sys.executable, SCRIPT, f"--count={count}",
                                 f"--output={output}", *self.files],
                                capture_output=True, text=True, check=True)
        return [pathlib.Path(name) for name in result.stdout.split(";")]

    def test_every_file_is_there_once(self):
        for number in range(7):
            self.file(f"a{number}_test.cpp", "#include <string>\nint x;\n" * (number + 1))
        sources = self.run_script(3)
        self.assertEqual(len(sources), 3)
        text = "".join(source.read_text(encoding="utf-8") for source in sources)
        for file in self.files:
            self.assertEqual(text.count(f'#include "{file.as_posix()}"'), 1)
        for number in range(7):
            self.assertEqual(text.count(f"namespace unity_http_a{number}_test_cpp {{"), 1)

    def test_includes_come_first_with_their_conditions(self):
        self.file("a_test.cpp", "#include <a>\n#if !defined(_WIN32)\n#include <b>\n#else\n"
                                "#include <c>\n#endif\n")
        self.file("b_test.cpp", "#include <a>\n#if 0\n#endif\n#include <d>\n")
        text = self.run_script(1)[0].read_text(encoding="utf-8")
        head = text[:text.index("namespace")]
        self.assertEqual(head.count("#include <a>"), 1)
        self.assertIn("#if !defined(_WIN32)\n#include <b>\n#endif\n", head)
        self.assertIn("#if !defined(_WIN32)\n#else\n#include <c>\n#endif\n", head)
        self.assertIn("#endif\n#include <d>\n", head)

    def test_what_cannot_be_wrapped_stays_alone(self):
        alone = [self.file("a_test.cpp", "#define NAME 1\n"),
                 self.file("b_test.cpp", "namespace std {\n}\n"),
                 self.file("c_test.cpp", "template <>\nstruct Hash<int> {};\n")]
        wrapped = self.file("d_test.cpp", "namespace {\n}\nnamespace ascii = porthole::ascii;\n")
        sources = self.run_script(2)
        self.assertEqual(sources[:3], alone)
        self.assertEqual(len(sources), 4)
        self.assertIn(wrapped.as_posix(), sources[3].read_text(encoding="utf-8"))

    def test_nothing_is_written_twice(self):
        self.file("a_test.cpp", "int a;\n")
        source = self.run_script(1)[0]
        before = source.stat().st_mtime_ns
        self.run_script(1)
        self.assertEqual(source.stat().st_mtime_ns, before)


if __name__ == "__main__":
    unittest.main()
