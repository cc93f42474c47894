# SPDX-License-Identifier: MIT
"""The C++ that users copy: out of the documents and the heads of the public headers, as one source.

A document's code is what stands between ```cpp and ```; what is no C++, or is not meant to compile,
has another tag. A header's code are the lines of its first comment, and of any /// comment, that are
indented by five blanks or more.

What defines something at the left margin (`int main`, `void`, `struct`, `class`) is compiled as it
stands. Everything else is statements, and becomes the body of a function whose parameters are GIVEN;
what else a program would have is declared in snippets.hpp. `{ ... }` stands for what the program
does there, and is compiled as `{}`.
"""

import pathlib
import re
import textwrap

ROOT = pathlib.Path(__file__).resolve().parents[2]

# What statements may use without saying where it comes from.
GIVEN = """[[maybe_unused]] porthole::Server& server,
[[maybe_unused]] porthole::Options& options,
[[maybe_unused]] const porthole::Request& request,
[[maybe_unused]] porthole::Response& response,
[[maybe_unused]] porthole::Channel& channel,
[[maybe_unused]] World& world"""

# A user who pastes one gets no warning, but for what an example is too short to use.
FLAGS = ["-Wall", "-Wextra", "-Werror", "-Wno-unused-variable", "-Wno-unused-but-set-variable",
         "-Wno-unused-parameter"]
CLANG_FLAGS = ["-Wno-unused-lambda-capture"]

FENCE = re.compile(r"^```cpp\n(.*?)^```$", re.M | re.S)
CODE_IN_COMMENT = re.compile(r"^\s*///? {5,}\S")
IS_DEFINITION = re.compile(r"^(?:int main\(|void |struct |class )", re.M)
DIRECTIVE = re.compile(r"^#.*$", re.M)


def of_document(path):
    """(line, text) of each block of C++ in it."""
    text = path.read_text(encoding="utf-8")
    return [(text.count("\n", 0, found.start(1)) + 1, found[1]) for found in FENCE.finditer(text)]


def of_header(path):
    """The same, of its comments."""
    blocks = []
    is_head = True
    previous = 0  # the last line of the block that is being read
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        words = line.strip()
        if words and not words.startswith(("//", "#")):
            is_head = False
        if words == "//" and previous == number - 1:
            previous = number
            blocks[-1][1].append("")
        if not CODE_IN_COMMENT.match(line) or not (is_head or words.startswith("///")):
            continue
        if previous != number - 1:
            blocks.append((number, []))
        previous = number
        blocks[-1][1].append(words.lstrip("/"))
    return [(number, textwrap.dedent("\n".join(lines)) + "\n") for number, lines in blocks]


def of_all():
    """(name, line, text) of everything."""
    documents = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    headers = sorted((ROOT / "include").rglob("*.hpp"))
    found = []
    for read, paths in ((of_document, documents), (of_header, headers)):
        for path in paths:
            name = path.relative_to(ROOT).as_posix()
            found += [(name, line, text) for line, text in read(path)]
    return found


def source(snippets):
    """All of them as one translation unit, whose messages name the line of the document."""
    includes = sorted({line.strip() for _, _, text in snippets for line in DIRECTIVE.findall(text)
                       if line.startswith("#include <") and "_assets.hpp" not in line})
    parts = [*includes, '#include "snippets.hpp"']
    for number, (name, line, text) in enumerate(snippets, 1):
        code = DIRECTIVE.sub("", text).replace("{ ... }", "{}")
        parts.append(f"namespace snippet_{number} {{")
        if IS_DEFINITION.search(code):
            # Only the real main() may end without a return.
            parts.append('#pragma GCC diagnostic ignored "-Wreturn-type"')
            parts.append(f'#line {line} "{name}"\n{code}')
        else:
            parts.append(f'void run({GIVEN}) {{\n{{\n#line {line} "{name}"\n{code}}}\n}}')
        parts.append("}")
    return "\n".join(parts) + "\n"
