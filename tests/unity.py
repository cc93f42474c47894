#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Puts the test files into a few source files, which takes half the time to compile.

    tests/unity.py --count 4 --output DIRECTORY FILE...

Each file lies in a namespace of its own there, below everything that any of them includes, so that
their names do not meet. What that cannot be done to (a macro of its own, a namespace that others
see) stays alone. Prints the source files to compile, with a semicolon between them, as CMake wants
it.
"""

import argparse
import pathlib
import re

DIRECTIVE = re.compile(r"^\s*#\s*(if|ifdef|ifndef|elif|else|endif|include)\b")
# Macros reach the next file, and these declarations mean something else in a namespace.
ALONE = re.compile(r"(?m)^\s*#\s*define\b|^namespace \w[\w:]* *\{|^template <>|^int main\(")


def includes(text):
    """Each #include of a file, within the conditions that it stands in."""
    open_conditions = []
    for line in text.splitlines():
        match = DIRECTIVE.match(line)
        if not match:
            continue
        kind = match[1]
        if kind == "include":
            conditions = [word for words in open_conditions for word in words]
            yield "\n".join([*conditions, line, *["#endif"] * len(open_conditions)])
        elif kind == "endif":
            open_conditions.pop()
        elif kind in ("elif", "else"):
            open_conditions[-1].append(line)
        else:
            open_conditions.append([line])


def grouped(files, count):
    """The files in that many groups of about the same size."""
    groups = [[] for _ in range(count)]
    sizes = [0] * count
    # The largest first, and by name, so that the same files make the same groups.
    for path, text in sorted(files.items(), key=lambda item: (-len(item[1]), item[0])):
        smallest = sizes.index(min(sizes))
        groups[smallest].append(path)
        sizes[smallest] += len(text)
    return [sorted(group) for group in groups if group]


def unity(group, files):
    lines = ["// Made by tests/unity.py.", '#include "support/test.hpp"']
    lines += dict.fromkeys(line for path in group for line in includes(files[path]))
    for path in group:
        name = re.sub(r"\W", "_", "_".join(path.parts[-2:]))
        lines += [f"namespace unity_{name} {{", f'#include "{path.as_posix()}"', "}"]
    return "\n".join(lines) + "\n"


def write(path, text):
    """Leaves a file that is right already as old as it is: nothing is rebuilt for it."""
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, required=True, help="how many files to make")
    parser.add_argument("--output", type=pathlib.Path, required=True)
    parser.add_argument("files", nargs="+", type=pathlib.Path)
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    files = {path: path.read_text(encoding="utf-8") for path in arguments.files}
    sources = [path for path, text in files.items() if ALONE.search(text)]
    together = {path: text for path, text in files.items() if path not in sources}
    for number, group in enumerate(grouped(together, arguments.count)):
        target = arguments.output / f"unity_{number}.cpp"
        write(target, unity(group, files))
        sources.append(target)
    print(";".join(path.as_posix() for path in sources), end="")


if __name__ == "__main__":
    main()
