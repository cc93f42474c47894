#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Adds up the JUnit reports of ctest and meson: prints two numbers, passed and failed.

A test that is a doctest program, a Python unittest or a script of checks counts with all its cases;
one that crashed, hung or never ran counts as a failure whatever it had printed before. What failed
goes to standard error.
"""

import re
import sys
import xml.etree.ElementTree

DOCTEST = re.compile(r"\[doctest\] test cases:\s*(\d+)\s*\|\s*(\d+) passed\s*\|\s*(\d+) failed")
UNITTEST = re.compile(r"^Ran (\d+) tests? in ", re.M)
UNITTEST_BAD = re.compile(r"^FAILED \((.*)\)", re.M)
CHECKS = re.compile(r"^(\d+) passed, (\d+) failed$", re.M)
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def cases(output):
    """(passed, failed) as the output says, or None when it says nothing."""
    found = DOCTEST.findall(output)
    if found:
        total, passed, failed = (int(number) for number in found[-1])
        # A filter that matches nothing is a mistake of the build files, not a success.
        return (passed, failed) if total else (0, 1)
    found = UNITTEST.findall(output)
    if found:
        bad = 0
        for words in UNITTEST_BAD.findall(output)[-1:]:
            bad = sum(int(n) for n in re.findall(r"(?:failures|errors)=(\d+)", words))
        skipped = sum(int(n) for n in re.findall(r"\(.*?skipped=(\d+)", output)[-1:])
        return max(0, int(found[-1]) - bad - skipped), bad
    found = CHECKS.findall(output)
    if found:
        return int(found[-1][0]), int(found[-1][1])
    return None


def count(testcase):
    output = "\n".join(COLOUR.sub("", part.text or "") for part in testcase.iter()
                       if part.tag in ("system-out", "system-err"))
    bad = (testcase.get("status") not in (None, "run")
           or any(part.tag in ("failure", "error") for part in testcase))
    passed, failed = cases(output) or (0 if bad else 1, 0)
    if bad and failed == 0:
        failed = 1
    if failed:
        print(f"failed: {testcase.get('name')}", file=sys.stderr)
    return passed, failed


def main():
    total_passed = total_failed = 0
    for path in sys.argv[1:]:
        try:
            tests = list(xml.etree.ElementTree.parse(path).getroot().iter("testcase"))
        except (OSError, xml.etree.ElementTree.ParseError) as problem:
            print(f"no report: {path}: {problem}", file=sys.stderr)
            tests = []
        if not tests:
            total_failed += 1
        for testcase in tests:
            passed, failed = count(testcase)
            total_passed += passed
            total_failed += failed
    print(total_passed, total_failed)


if __name__ == "__main__":
    main()
