#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes single_include/porthole.hpp from include/, and refuses what would spoil the house.

    tools/amalgamate.py            regenerate the single header
    tools/amalgamate.py --check    write nothing; print the difference and exit 1 when it is stale

The table of contents, include/porthole.hpp, decides the order. Its declarations end with the
guard's #endif; the implementation block behind it is inlined separately, so that a file which only
declares never sees an operating system header. Every refusal names the file and the line.
"""

import argparse
import difflib
import pathlib
import re
import sys

MAX_LINES = 600
MAX_COLUMNS = 100
MAX_DIFF_LINES = 60

# What each layer may include. fwd.hpp has a layer of its own: names only, on top of base.
LAYERS = {
    "base": {"base"},
    "fwd": {"base"},
    "os": {"os", "fwd", "base"},
    "http": {"http", "fwd", "base"},
    "server": {"server", "http", "os", "fwd", "base"},
    "ext": {"ext", "server", "http", "os", "fwd", "base"},
}
PLATFORM = "porthole/os/platform.inl"
FORBIDDEN = {"filesystem", "fstream", "iostream", "locale", "regex"}
# An adapter, read only when a switch of the table asks for it, includes what it adapts.
ADAPTED = {"porthole/ext/websocket_deflate_zlib.inl": {"zlib.h"}}
STANDARD = set("""
    algorithm any array atomic bitset charconv chrono compare complex concepts condition_variable
    coroutine deque exception forward_list functional future initializer_list iterator limits list
    map memory memory_resource mutex new numeric optional queue random ratio set shared_mutex span
    stack stdexcept string string_view system_error thread tuple type_traits typeindex typeinfo
    unordered_map unordered_set utility valarray variant vector version
    cassert cctype cerrno cfloat cinttypes climits cmath csignal cstdarg cstddef cstdint cstdio
    cstdlib cstring ctime cwchar
    """.split())
OS_MACRO = re.compile(
    r"\b(_WIN32|_WIN64|WIN32|__MINGW32__|__CYGWIN__|__linux__|__linux|__gnu_linux__|__APPLE__"
    r"|__MACH__|__unix__|__unix|__FreeBSD__|__OpenBSD__|__NetBSD__|__DragonFly__|__ANDROID__)\b")
INCLUDE = re.compile(r'\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)')
CONDITIONAL = re.compile(r"\s*#\s*(if|ifdef|ifndef|elif|else|endif)\b(.*)")
DEFINE = re.compile(r"\s*#\s*define\s+(\w+)")
# What may stand around a guard that encloses the whole body of a file.
PROLOGUE = re.compile(r"$|//|#pragma|#include|PORTHOLE_NAMESPACE_|namespace [\w:]+ \{|\}( //|$)")
MIN_MAX = re.compile(r"\b(min|max)\s*\(")
ANONYMOUS = re.compile(r"\s*(inline\s+)?namespace\s*(\{|$)")


class Refused(Exception):
    """One rule broken at one place."""


def refuse(path, number, sentence):
    raise Refused(f"include/{path}:{number}: {sentence}")


def layer_of(path):
    if path == "porthole/fwd.hpp":
        return "fwd"
    parts = path.split("/")
    return parts[1] if len(parts) > 2 else None


class Amalgamation:
    def __init__(self, root):
        self.include = root / "include"
        self.lines = {}       # path below include/ -> its lines
        self.inlined = set()  # files whose text is out already
        self.standard = set() # standard headers that stand unconditionally above
        self.switches = ()    # conditions of the table that hold where it is being read
        self.condition = {}   # inlined file -> those that held there
        self.out = []

    def load(self, path, includer=None, number=0):
        """The checked lines of a file."""
        if path not in self.lines:
            file = self.include / path
            if not file.is_file():
                refuse(includer, number, f'"{path}" does not exist below include/.')
            self.lines[path] = file.read_text(encoding="utf-8").splitlines()
            self.check(path)
        return self.lines[path]

    def check(self, path):
        """All rules that need nothing but the file itself."""
        lines = self.lines[path]
        if len(lines) > MAX_LINES:
            refuse(path, len(lines), f"the file has more than {MAX_LINES} lines; split it by idea.")
        for number, line in enumerate(lines, 1):
            if len(line) > MAX_COLUMNS:
                refuse(path, number, f"the line has more than {MAX_COLUMNS} columns.")
            macro = DEFINE.match(line)
            if macro and not macro[1].startswith("PORTHOLE_") and path != PLATFORM:
                refuse(path, number, f"the macro {macro[1]} lacks the prefix PORTHOLE_.")
            if MIN_MAX.search(line.split("//")[0]):
                refuse(path, number, "windows.h has macros min and max; write (std::max)(a, b).")
            if ANONYMOUS.match(line) and self.opens_anonymous(lines, number):
                refuse(path, number, "an anonymous namespace; use porthole::detail instead.")
            include = INCLUDE.match(line)
            if include:
                self.check_include(path, number, include[1], include[2])
        self.check_platform_switches(path)

    @staticmethod
    def opens_anonymous(lines, number):
        rest = lines[number - 1].split("namespace", 1)[1].strip()
        following = next((line.strip() for line in lines[number:] if line.strip()), "")
        return rest.startswith("{") or following.startswith("{")

    @staticmethod
    def check_include(path, number, quoted, angled):
        if quoted is None:
            if angled.startswith("porthole"):
                refuse(path, number, f'<{angled}> has to be written as "{angled}".')
            if angled in FORBIDDEN:
                refuse(path, number, f"<{angled}> costs every user too much and is forbidden.")
            if angled not in STANDARD | ADAPTED.get(path, set()) and path != PLATFORM:
                refuse(path, number, f"<{angled}> is no C++ header; OS headers live in {PLATFORM}.")
            return
        if not quoted.startswith("porthole/") or "/../" in quoted or "/./" in quoted:
            refuse(path, number, f'"{quoted}" lacks the full path, "porthole/layer/file.hpp".')
        source, target = layer_of(path), layer_of(quoted)
        if path == "porthole.hpp":
            return
        if source not in LAYERS:
            refuse(path, number, f"the file lies in none of the layers {', '.join(LAYERS)}.")
        if target not in LAYERS[source]:
            refuse(path, number, f'{source} includes "{quoted}"; it may only look downward, to '
                   + ", ".join(sorted(LAYERS[source])) + ".")
        if quoted == PLATFORM and not path.endswith(".inl"):
            refuse(path, number, "a declaration must not see the OS headers of platform.inl.")

    def check_platform_switches(self, path):
        """OS macros may only guard whole files of os/, where a reader expects them."""
        if path == PLATFORM:
            return
        lines = self.lines[path]
        depth = 0
        outermost = 0   # line of the conditional that is open at depth 1
        whole = set()   # conditionals that enclose all the code of the file
        asking = []     # (line of the outermost conditional, line, depth) of each OS question
        for number, line in enumerate(lines, 1):
            match = CONDITIONAL.match(line)
            if not match:
                continue
            if match[1] in ("if", "ifdef", "ifndef"):
                depth += 1
                if depth == 1:
                    outermost = number
            if OS_MACRO.search(match[2].split("//")[0]):
                asking.append((outermost, number, depth))
            if match[1] == "endif":
                depth -= 1
                if depth == 0 and self.only_prologue(lines[:outermost - 1]) \
                        and self.only_prologue(lines[number:]):
                    whole.add(outermost)
        for guard, number, level in asking:
            if not path.startswith("porthole/os/") or guard not in whole or level != 1:
                refuse(path, number, "an operating system switch; it may only guard a whole file "
                       "of os/ (see the _posix and _windows siblings).")

    @staticmethod
    def only_prologue(lines):
        return all(PROLOGUE.match(line.strip()) for line in lines)

    def inline(self, path, stack=()):
        """Puts out a file once, and before each line that includes another, that other one."""
        if path in self.inlined:
            return
        self.inlined.add(path)
        self.condition[path] = self.switches
        depth = 0
        self.out += ["", f"// {path}"]
        for number, line in enumerate(self.load(path), 1):
            conditional = CONDITIONAL.match(line)
            if conditional:
                depth += {"endif": -1, "elif": 0, "else": 0}.get(conditional[1], 1)
            include = INCLUDE.match(line)
            if include and include[1]:
                if depth > 0 and include[1] not in self.inlined:
                    refuse(path, number, "a conditional include, of a file not included before.")
                self.follow(path, number, include[1], stack)
            elif include and depth == 0:
                if include[2] not in self.standard:
                    if not self.switches:
                        self.standard.add(include[2])
                    self.out.append(line)
            elif line.strip() != "#pragma once" and "SPDX-License-Identifier" not in line:
                self.out.append(line)

    def follow(self, path, number, target, stack):
        if target == path or target in stack:
            chain = " -> ".join([*stack[stack.index(target) if target in stack else len(stack):],
                                 path, target])
            refuse(path, number, f"an include cycle: {chain}.")
        self.load(target, path, number)
        self.inline(target, (*stack, path))
        held = self.condition[target]
        if not set(held) <= set(self.switches):
            refuse(path, number, f'"{target}" stands above under {" and ".join(held)}, which need '
                   "not hold here; enter it in the table before that.")

    def generate(self):
        table = self.load("porthole.hpp")
        version = "?"
        for line in self.load("porthole/base/version.hpp", "porthole.hpp", 1):
            if "PORTHOLE_VERSION_STRING" in line:
                version = line.split('"')[1]
        self.out = ["// SPDX-License-Identifier: MIT",
                    f"// Porthole {version}, all of it in one file. Generated from include/ by "
                    "tools/amalgamate.py:", "// change the files there instead of this one."]
        open_conditions = []
        for number, line in enumerate(table, 1):
            include = INCLUDE.match(line)
            self.note_condition(line, open_conditions)
            if include and include[1]:
                if include[1] == "porthole.hpp":
                    refuse("porthole.hpp", number, "an include cycle: porthole.hpp -> itself.")
                self.follow("porthole.hpp", number, include[1], ())
            elif "SPDX-License-Identifier" not in line:
                self.out.append(line)
        self.refuse_orphans()
        text = re.sub(r"\n{3,}", "\n\n", "\n".join(self.out))
        return text.rstrip("\n") + "\n"

    def note_condition(self, line, open_conditions):
        """Keeps track of the table's switches; its guard and its implementation block are none."""
        conditional = CONDITIONAL.match(line)
        if not conditional:
            return
        word, condition = conditional[1], conditional[2].strip()
        if word in ("if", "ifdef", "ifndef"):
            open_conditions.append(condition)
        elif word in ("elif", "else"):
            open_conditions[-1] = f"not {open_conditions[-1]}"
        else:
            open_conditions.pop()
        self.switches = tuple(each for condition in open_conditions
                              for each in condition.split(" && ") if "PORTHOLE_WITH_" in each)

    def refuse_orphans(self):
        for file in sorted((self.include / "porthole").rglob("*")):
            path = file.relative_to(self.include).as_posix()
            if file.is_file() and path not in self.inlined:
                refuse(path, 1, "an orphan; porthole.hpp, the table of contents, misses it.")


def stale(target, fresh):
    """The difference between the committed file and the fresh one, bounded."""
    old = target.read_text(encoding="utf-8") if target.is_file() else ""
    difference = list(difflib.unified_diff(old.splitlines(), fresh.splitlines(), "committed",
                                           "fresh", lineterm=""))
    if len(difference) > MAX_DIFF_LINES:
        rest = len(difference) - MAX_DIFF_LINES
        difference = difference[:MAX_DIFF_LINES] + [f"... {rest} more lines"]
    return difference


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 when stale")
    parser.add_argument("--root", type=pathlib.Path, help="the repository, if not this script's",
                        default=pathlib.Path(__file__).resolve().parent.parent)
    parser.add_argument("--output", type=pathlib.Path, help="instead of single_include/")
    arguments = parser.parse_args()
    target = arguments.output or arguments.root / "single_include" / "porthole.hpp"
    try:
        fresh = Amalgamation(arguments.root).generate()
    except Refused as refusal:
        print(refusal, file=sys.stderr)
        return 1
    if not arguments.check:
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(target, "w", encoding="utf-8", newline="\n") as file:
            file.write(fresh)
        return 0
    difference = stale(target, fresh)
    if difference:
        print("\n".join(difference))
        print("single_include/porthole.hpp is stale: run tools/amalgamate.py.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
