#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Meson names its sources one by one; none that CMake finds by itself may be missing there."""

import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
LAYERS = ("base", "os", "http", "server", "ext", "loopback", "fuzz")


def listed(path, pattern):
    text = re.sub(r"#.*", "", (ROOT / path).read_text(encoding="utf-8"))
    return re.findall(pattern, text)


class ListsTest(unittest.TestCase):
    def compare(self, path, names, present):
        self.assertEqual(sorted(set(names)), sorted(names), f"{path} lists a file twice")
        self.assertEqual(sorted(set(present) - set(names)), [], f"missing in {path}")
        self.assertEqual(sorted(set(names) - set(present)), [], f"listed in {path} but not there")

    def test_meson_lists_every_test(self):
        present = [file.relative_to(ROOT / "tests").as_posix() for layer in LAYERS
                   for file in (ROOT / "tests" / layer).glob("*_test.cpp")]
        present += [file.relative_to(ROOT / "tests").as_posix()
                    for folder in ("support", "programs")
                    for file in (ROOT / "tests" / folder).glob("*.cpp")]
        self.compare("tests/meson.build", listed("tests/meson.build", r"'(\w+/\w+\.cpp)'"),
                     present)

    def test_meson_runs_every_layer(self):
        present = [layer for layer in LAYERS
                   if any((ROOT / "tests" / layer).glob("*_test.cpp"))]
        text = (ROOT / "meson_options.txt").read_text(encoding="utf-8")
        names = re.findall(r"'(\w+)'", re.search(r"value: \[([^\]]*)\]", text)[1])
        self.compare("meson_options.txt", names, present)

    def test_meson_lists_every_example(self):
        present = [file.stem for file in (ROOT / "examples").glob("*.cpp")]
        self.compare("examples/meson.build",
                     listed("examples/meson.build", r"(?m)^    '(\w+)',$"), present)

    def test_meson_runs_every_tool_test(self):
        present = [file.name for file in (ROOT / "tests" / "tools").glob("*_test.py")]
        self.compare("tests/meson.build", listed("tests/meson.build", r"'tools/(\w+\.py)'"),
                     present)

    def test_every_header_has_its_test(self):
        """tests/<layer>/<file>_test.cpp for include/porthole/<layer>/<file>.hpp."""
        include = ROOT / "include" / "porthole"
        missing = []
        for layer in ("base", "os", "http", "server", "ext"):
            for header in (include / layer).glob("*.hpp"):
                test = ROOT / "tests" / layer / f"{header.stem}_test.cpp"
                if not test.is_file():
                    missing.append(f"{layer}/{header.name}")
        self.assertEqual(sorted(missing), [])


if __name__ == "__main__":
    unittest.main()
