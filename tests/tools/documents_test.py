#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the documents point at is there: files, headings, and the names of the interface.

Their C++ is compiled by tests/compile.
"""

import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
# Other libraries are named there.
OTHERS = ROOT / "docs" / "migrating.md"
# Names of CMake and Meson, and what the build gives them.
BUILD_SYSTEMS = {"add_subdirectory", "dependency", "header_only"}

FENCED = re.compile(r"^```.*?^```$", re.M | re.S)
LINK = re.compile(r"\]\(([^)\s]+)\)")
SPAN = re.compile(r"`([^`\n]+)`")
# `Limits::max_body_bytes`, `porthole::files(...)`, `PORTHOLE_WITH_LIVE`, `max_programs(n)`
QUALIFIED = re.compile(r"\b([A-Za-z_]\w*)::(~?[A-Za-z_]\w*)")
MACRO = re.compile(r"\bPORTHOLE_[A-Z_]+\b")
CALL = re.compile(r"\b([a-z]\w*)\(")


def read(path):
    return path.read_text(encoding="utf-8")


def prose(path):
    return FENCED.sub("", read(path))


def anchors(path):
    """Of its headings, as GitHub makes them."""
    found = set()
    for heading in re.findall(r"^#+ (.*)$", prose(path), re.M):
        found.add(re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-"))
    return found


def words_of(*folders):
    """Every identifier of the sources in those folders."""
    found = set()
    for folder in folders:
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".hpp", ".inl", ".cpp", ".py", ".cmake", ".txt", ".sh"):
                found |= set(re.findall(r"\w+", read(path)))
    return found


class DocumentsTest(unittest.TestCase):
    def test_links_lead_somewhere(self):
        for path in DOCUMENTS:
            for link in LINK.findall(prose(path)):
                if re.match(r"https?:", link):
                    continue
                name, _, anchor = link.partition("#")
                target = path.parent / name if name else path
                with self.subTest(document=path.name, link=link):
                    self.assertTrue(target.exists(), "there is no such file")
                    if anchor:
                        self.assertIn(anchor, anchors(target), "there is no such heading")

    def test_every_document_and_example_is_named(self):
        readme = read(ROOT / "README.md")
        for path in DOCUMENTS[2:]:
            self.assertIn(f"docs/{path.name}", readme)
        for path in (ROOT / "examples").glob("*.cpp"):
            self.assertIn(f"examples/{path.name}", readme)

    def test_every_example_says_how_it_is_run(self):
        for path in (ROOT / "examples").rglob("*.cpp"):
            head = read(path).split("#include", 1)[0]
            with self.subTest(example=path.name):
                self.assertRegex(head, r"(?m)^//     (g\+\+|cmake) ")

    def test_names_are_those_of_the_interface(self):
        known = words_of("include", "tools", "examples") | BUILD_SYSTEMS
        unknown = []
        for path in DOCUMENTS:
            for span in SPAN.findall(prose(path)) if path != OTHERS else ():
                names = {name.lstrip("~") for pair in QUALIFIED.findall(span) for name in pair}
                names |= set(MACRO.findall(span)) | set(CALL.findall(span))
                unknown += [f"{path.name}: {span}" for name in names - known]
        self.assertEqual(unknown, [])

    def test_names_beside_those_of_others(self):
        """The last column of the tables about them."""
        known = words_of("include")
        rows = re.findall(r"^\|[^|]*`[^|]*\|([^|]*)\|$", prose(OTHERS), re.M)
        self.assertGreater(len(rows), 50)
        unknown = [span for row in rows for span in SPAN.findall(row)
                   if not set(CALL.findall(span)) <= known]
        self.assertEqual(unknown, [])


if __name__ == "__main__":
    unittest.main()
