#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a user's compiler and linker meet: checks that no running program can make.

    tests/compile/run.py --cxx g++ [--full] [--jobs 2] [--only REGEX]

Each check prints `ok` or `FAIL`, a failing one with the reason, and the last line counts them. A
cross compiler (mingw) does those that need no ELF object. --full adds the slow variants.
"""

import argparse
import collections
import concurrent.futures
import itertools
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading

import snippets

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
INCLUDE = ROOT / "include"
SINGLE = ROOT / "single_include"
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Wsign-conversion",
          "-Wold-style-cast", "-Werror"]
PLAIN = ["-fno-exceptions", "-fno-rtti"]
HEADER_ONLY = ["-DPORTHOLE_HEADER_ONLY=1"]
DEFINE = "#define PORTHOLE_IMPLEMENTATION\n"
WHOLE = "#include <porthole.hpp>\n"

# What users turn on in their own builds and what the headers therefore keep clean under.
USER_GCC = ["-Wcast-align", "-Wcast-qual", "-Wctor-dtor-privacy", "-Wdouble-promotion",
            "-Wduplicated-branches", "-Wduplicated-cond", "-Wextra-semi", "-Wfloat-equal",
            "-Wformat=2", "-Wlogical-op", "-Wnon-virtual-dtor", "-Woverloaded-virtual",
            "-Wredundant-decls", "-Wsuggest-override", "-Wundef", "-Wunused"]
USER_CLANG = ["-Weverything", "-Wno-c++98-compat", "-Wno-c++98-compat-pedantic", "-Wno-padded",
              "-Wno-weak-vtables", "-Wno-unsafe-buffer-usage", "-Wno-switch-default",
              "-Wno-unknown-warning-option", "-Wno-exit-time-destructors"]

# What the declarations may cost: these, what they bring themselves, and nothing else.
BASELINE = """algorithm array atomic cassert charconv chrono cstddef cstdint cstring functional
    initializer_list limits map memory mutex new optional string string_view type_traits utility
    vector""".split()
FORBIDDEN = {"iostream", "regex", "locale", "filesystem", "fstream"}


class Failure(Exception):
    """Why a check failed, in a sentence and perhaps the compiler's own words."""


class Toolbox:
    def __init__(self, arguments, directory):
        self.cxx = arguments.cxx.split()
        self.nm = arguments.nm
        self.full = arguments.full
        self.directory = pathlib.Path(directory)
        self.numbers = itertools.count(1)
        self.made = {}
        self.locks = collections.defaultdict(threading.Lock)
        machine = subprocess.run([*self.cxx, "-dumpmachine"], capture_output=True, text=True,
                                 check=True).stdout
        self.windows = "mingw" in machine
        version = subprocess.run([*self.cxx, "--version"], capture_output=True, text=True,
                                 check=True).stdout
        self.clang = "clang" in version

    def path(self, suffix):
        return self.directory / f"{next(self.numbers)}{suffix}"

    def once(self, key, make):
        """What make() gives, which checks that run at the same time wait for and share."""
        with self.locks[key]:
            if key not in self.made:
                self.made[key] = make()
            return self.made[key]

    def run(self, *command):
        return subprocess.run([str(part) for part in command], capture_output=True, text=True,
                              check=False, timeout=600)

    def compiler(self, *flags, include=INCLUDE, standard="c++17"):
        return [*self.cxx, f"-std={standard}", f"-I{include}", f"-I{HERE}", *flags]

    def accepts(self, text, *flags, include=INCLUDE, standard="c++17"):
        """Fails unless the compiler takes that text without a word."""
        source = self.path(".cpp")
        source.write_text(text, encoding="utf-8")
        result = self.run(*self.compiler(*flags, include=include, standard=standard),
                          "-fsyntax-only", source)
        if result.returncode != 0 or result.stderr:
            raise Failure(f"{' '.join(map(str, flags))}\n{shorten(result.stderr)}")

    def compile(self, source, *flags, include=INCLUDE):
        """The object of a file of this directory; the same request is compiled once."""
        def make():
            target = self.path(".o")
            result = self.run(*self.compiler(*flags, include=include), "-c", HERE / source, "-o",
                              target)
            if result.returncode != 0:
                raise Failure(f"{source} {' '.join(flags)}\n{shorten(result.stderr)}")
            return target
        return self.once((source, flags, include), make)

    def with_implementation(self, *flags):
        """The flags that bring the single header's implementation, compiled once for all."""
        def make():
            header = self.path(".hpp")
            header.write_text(DEFINE + WHOLE, encoding="utf-8")
            result = self.run(*self.compiler(*flags, include=SINGLE), "-x", "c++-header", header,
                              "-o", f"{header}.gch")
            if result.returncode != 0:
                raise Failure(f"{' '.join(flags)}\n{shorten(result.stderr)}")
            return header
        return [*flags, "-Winvalid-pch", "-include", self.once(("header", flags), make)]

    def link(self, *objects):
        program = self.path(".exe")
        libraries = ["-static", "-lws2_32", "-liphlpapi"] if self.windows else []
        result = self.run(*self.cxx, *objects, "-o", program, *libraries)
        return program, result

    def links_and_runs(self, *objects):
        program, result = self.link(*objects)
        if result.returncode != 0:
            raise Failure(f"does not link\n{shorten(result.stderr)}")
        if not self.windows:
            result = self.run(program)
            if result.returncode != 0:
                raise Failure(f"ended with {result.returncode}\n{shorten(result.stderr)}")

    def must_not_link(self, words, *objects):
        _, result = self.link(*objects)
        if result.returncode == 0:
            raise Failure("links, and must not")
        for word in words:
            if word not in result.stderr:
                raise Failure(f"the link error does not say {word}\n{shorten(result.stderr)}")


def shorten(text, lines=25):
    kept = text.splitlines()[:lines]
    return "\n".join("    " + line[:300] for line in kept)


def headers():
    return sorted(path.relative_to(INCLUDE).as_posix() for path in INCLUDE.rglob("*.hpp"))


def foreign_includes(*suffixes):
    """The <...> that files of those kinds include, adapters to other libraries left out."""
    found = set()
    for path in INCLUDE.rglob("*"):
        if path.suffix in suffixes and not path.stem.endswith("_zlib"):
            found |= set(re.findall(r"^#\s*include\s*<([^>]+)>",
                                    path.read_text(encoding="utf-8"), re.M))
    return sorted(found)


def included(names):
    return "".join(f"#if __has_include(<{name}>)\n#include <{name}>\n#endif\n" for name in names)


# The checks. Each takes the toolbox and raises Failure.

def self_contained(header, standard, *flags):
    # Twice, since a header has to bear that too.
    text = f'#include "{header}"\n' * 2
    return lambda box: box.accepts(text, *STRICT, *flags, standard=standard)


def accepted(text, *flags, **options):
    return lambda box: box.accepts(text, *STRICT, *flags, **options)


# What the library needs from elsewhere comes first, then every macro, then the library.
HOSTILE = '#include "hostile.hpp"\n'
# Before the system's headers, since its switches decide what they declare.
PLATFORM = '#include "porthole/os/platform.inl"\n'


def hostile_declarations(box):
    for flags in ([], PLAIN):
        box.accepts(included(foreign_includes(".hpp")) + HOSTILE + WHOLE, *flags)


def hostile_implementation(box):
    if box.windows:
        return  # The system's own macros expand to these names there; the next check is the one.
    box.accepts(PLATFORM + included(foreign_includes(".hpp", ".inl")) + HOSTILE + DEFINE + WHOLE)


def real_windows_header(box):
    if box.windows:
        box.accepts("#include <windows.h>\n" + WHOLE)
        box.accepts("#include <winsock2.h>\n#include <windows.h>\n" + DEFINE + WHOLE)


def windows_macros_stay_inside(box):
    text = WHOLE + "".join(f"#ifdef {name}\n#error {name} leaks\n#endif\n" for name in (
        "min", "max", "DELETE", "ERROR", "near", "far", "GetMessage", "AF_INET", "SOCK_STREAM",
        "EPOLLIN", "POLLIN", "O_RDONLY", "_WINSOCK2API_", "_WINDOWS_"))
    box.accepts(text)


def no_foreign_macros(box):
    """Everything the library defines begins with PORTHOLE_, the implementation included."""
    system = PLATFORM + included(BASELINE + foreign_includes(".hpp", ".inl"))
    known = macros(box, system)
    ours = macros(box, system + DEFINE + WHOLE)
    foreign = sorted(name for name in ours - known
                     if not name.startswith("PORTHOLE_") and not name.startswith("_"))
    if foreign:
        raise Failure("macros without the prefix: " + ", ".join(foreign[:20]))


def macros(box, text):
    source = box.path(".cpp")
    source.write_text(text, encoding="utf-8")
    result = box.run(*box.compiler("-dM", "-E"), source)
    if result.returncode != 0:
        raise Failure(shorten(result.stderr))
    return {line.split()[1].split("(")[0] for line in result.stdout.splitlines()}


def dependencies(box, text, *flags, include=INCLUDE):
    source = box.path(".cpp")
    source.write_text(text, encoding="utf-8")
    result = box.run(*box.compiler("-M", *flags, include=include), source)
    if result.returncode != 0:
        raise Failure(shorten(result.stderr))
    words = re.sub(r"\\\n", " ", result.stdout).replace("\\ ", "\0").split()[1:]
    return {word.replace("\0", " ") for word in words} - {str(source)}


def declarations_are_light(box):
    """No OS header, and none of the heavy ones, beyond what the baseline brings by itself."""
    baseline = dependencies(box, "".join(f"#include <{name}>\n" for name in BASELINE))
    for include in (INCLUDE, SINGLE):
        added = dependencies(box, WHOLE, include=include) - baseline
        for path in sorted(added):
            name = pathlib.PurePath(path).name
            if path.startswith((str(INCLUDE), str(SINGLE))):
                continue
            if name in FORBIDDEN:
                raise Failure(f"the declarations include <{name}>")
            if "/c++/" not in path and "/clang/" not in path and "/gcc/" not in path:
                raise Failure(f"the declarations include the system's {path}")


def odr_pair_compiled(box):
    box.links_and_runs(box.compile("user_a.cpp"), box.compile("user_b.cpp"),
                       box.compile("implementation.cpp"))


def odr_pair_header_only(box):
    box.links_and_runs(box.compile("user_a.cpp", *HEADER_ONLY),
                       box.compile("user_b.cpp", *HEADER_ONLY))


def unity(box):
    box.links_and_runs(box.compile("unity.cpp", *STRICT))


def plain_copy(box):
    """What `cp single_include/porthole.hpp` gives: no other file is there."""
    box.links_and_runs(box.compile("user_a.cpp", include=SINGLE),
                       box.compile("user_b.cpp", include=SINGLE),
                       box.compile("implementation.cpp", include=SINGLE))


def forgotten_define(box):
    box.must_not_link(["define_PORTHOLE_IMPLEMENTATION_in_exactly_one_source_file"],
                      box.compile("user_a.cpp"), box.compile("user_b.cpp"))


def copied(box, path):
    return shutil.copy(path, box.path(path.suffix))


def two_implementations(box):
    box.must_not_link(["multiple definition of"], box.compile("user_a.cpp"),
                      box.compile("user_b.cpp"), box.compile("implementation.cpp"),
                      copied(box, box.compile("implementation.cpp")))


def mixed_modes(box):
    box.must_not_link(["add_routes", "undefined reference"], box.compile("user_a.cpp"),
                      box.compile("implementation.cpp"),
                      box.compile("user_b.cpp", *HEADER_ONLY))


def unused_is_not_emitted(box):
    """Header-only, a program pays for what it calls: no class of an extension it does not use."""
    source = box.path(".cpp")
    source.write_text(WHOLE + """int main() {
        porthole::Server server;
        server.get("/", [](const porthole::Request&, porthole::Response& response) {
            response.text("small");
        });
    }\n""", encoding="utf-8")
    target = box.path(".o")
    result = box.run(*box.compiler(*HEADER_ONLY), "-c", source, "-o", target)
    if result.returncode != 0:
        raise Failure(shorten(result.stderr))
    words = set(re.findall(r"\w+", box.run(box.nm, "-C", "--defined-only", target).stdout))
    if "ServerCore" not in words:
        raise Failure("nm shows none of the library's symbols")
    extensions = "".join(path.read_text(encoding="utf-8")
                         for path in sorted((INCLUDE / "porthole/ext").glob("*.hpp")))
    emitted = sorted(words & set(re.findall(r"^class (\w+) ", extensions, re.M)))
    if emitted:
        raise Failure("emitted without being used (is a virtual member's declaration without "
                      "PORTHOLE_FN?): " + ", ".join(emitted))


def symbols(box, program, *flags):
    """(name, class, section) of each symbol that the object defines."""
    target = box.compile("implementation.cpp", *flags)
    result = box.run(program, "-f", "sysv", "-C", "--defined-only", target)
    if result.returncode != 0:
        raise Failure(shorten(result.stderr))
    found = []
    for line in result.stdout.splitlines():
        parts = line.rsplit("|", 6)
        if len(parts) == 7 and parts[1].strip():
            found.append((parts[0].strip(), parts[2].strip(), parts[6].strip()))
    if not any("porthole::" in name for name, _, _ in found):
        raise Failure("nm shows none of the library's symbols")
    return found


def exported_symbols(box):
    """Global symbols carry the namespace; only weak instantiations of std templates do not."""
    own = re.compile(r"^(typeinfo (name )?for |vtable for |VTT for |guard variable for |"
                     r"non-virtual thunk to |virtual thunk to |construction vtable for )?"
                     r"(porthole::|DW\.ref\.)")
    strangers = []
    for name, kind, _ in symbols(box, box.nm):
        # A template instantiation is printed with its return type in front.
        if kind in "TDBRGS" and not own.match(name) and "porthole::" not in name.split("(")[0]:
            strangers.append(name)
        if kind in "WVu" and not re.search(r"porthole::|std::|__gnu_cxx::|operator|DW\.ref|__clang",
                                           name):
            strangers.append(name)
    if strangers:
        raise Failure("exported and not ours: " + "; ".join(strangers[:10]))


def no_mutable_globals(box):
    """Nothing in a writable section but what the dynamic linker fills in and then protects."""
    mutable = []
    for name, kind, section in symbols(box, box.nm):
        writable = section.startswith((".data", ".bss", ".tdata", ".tbss"))
        if writable and not section.startswith(".data.rel.ro") and "DW.ref." not in name:
            mutable.append(f"{name} ({section})")
    if mutable:
        raise Failure("mutable globals: " + "; ".join(mutable[:10]))


def elf(check):
    return lambda box: None if box.windows else check(box)


def fresh_single_header(box):
    result = box.run(sys.executable, ROOT / "tools" / "amalgamate.py", "--check")
    if result.returncode != 0:
        raise Failure(shorten(result.stderr + result.stdout))


def user_flags(text, *flags):
    def check(box):
        extra = USER_CLANG if box.clang else USER_GCC
        for include in (INCLUDE, SINGLE):
            box.accepts(text, *STRICT, *extra, *flags, include=include)
    return check


def versions(box):
    """Everybody who states the version states the same one."""
    header = (INCLUDE / "porthole/base/version.hpp").read_text(encoding="utf-8")
    numbers = [re.search(rf"define PORTHOLE_VERSION_{part} (\d+)", header)[1]
               for part in ("MAJOR", "MINOR", "PATCH")]
    version = ".".join(numbers)
    places = {
        "PORTHOLE_VERSION_STRING": re.search(r'VERSION_STRING "([^"]*)"', header)[1],
        "meson.build": re.search(r"^\s*version: '([^']*)'",
                                 (ROOT / "meson.build").read_text(encoding="utf-8"), re.M)[1],
        "single_include/porthole.hpp": re.search(
            r"Porthole ([\d.]+),", (SINGLE / "porthole.hpp").read_text(encoding="utf-8"))[1],
    }
    config = (INCLUDE / "porthole/base/config.hpp").read_text(encoding="utf-8")
    for abi in re.findall(r"define PORTHOLE_ABI v(\w+?)_(?:header_only|compiled)", config):
        places[f"PORTHOLE_ABI v{abi}"] = version if abi.split("_") == numbers[:2] else abi
    # CMake reads the header; that its reading works shows in the package file it writes.
    cmake = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    if "porthole/base/version.hpp" not in cmake or "VERSION ${version}" not in cmake:
        raise Failure("CMakeLists.txt no longer reads the version from the header")
    for place, found in places.items():
        if found != version:
            raise Failure(f"{place} says {found}, version.hpp says {version}")


def documented(box):
    """What users copy out of the documents and the headers' heads compiles without a word."""
    found = snippets.of_all()
    names = {name for name, _, _ in found}
    for name in ("README.md", "include/porthole.hpp"):
        if name not in names:
            raise Failure(f"no snippet was found in {name}")
    flags = snippets.FLAGS + (snippets.CLANG_FLAGS if box.clang else [])
    box.accepts(snippets.source(found), *flags)


def program(path, *flags):
    """A program of examples/ or bench/, all of it in one file."""
    text = path.read_text(encoding="utf-8")
    if DEFINE.strip() not in text:
        return accepted(text, *flags, f"-I{path.parent}", include=SINGLE)
    # Its own #include then finds the header read already; Meson and CMake build it as it is.
    return lambda box: box.accepts(text, *box.with_implementation(*STRICT, *flags),
                                   f"-I{path.parent}", include=SINGLE)


def checks(full):
    """All checks in the order of their report."""
    for header in headers():
        yield f"self-contained: {header}", self_contained(header, "c++17")
    for name, flags in (("no exceptions", PLAIN), ("header-only", HEADER_ONLY)):
        yield f"all headers, {name}", self_contained("porthole.hpp", "c++17", *flags)
    yield ("all headers, header-only, no exceptions, C++20",
           self_contained("porthole.hpp", "c++20", *HEADER_ONLY, *PLAIN))
    yield "hostile macros: declarations", hostile_declarations
    yield "hostile macros: implementation", hostile_implementation
    yield "hostile macros: windows.h itself", real_windows_header
    yield "no macro of the system leaks from the declarations", windows_macros_stay_inside
    yield "every macro of the library carries its prefix", no_foreign_macros
    yield "declarations include no OS header and none of the heavy ones", declarations_are_light
    yield "two files, compiled mode", odr_pair_compiled
    yield "two files, header-only mode", odr_pair_header_only
    yield "unity build", unity
    yield "plain copy of the single header", plain_copy
    yield "forgotten define: the link error names the fix", forgotten_define
    yield "two implementations: fails to link", two_implementations
    yield "mixed modes: fails to link", mixed_modes
    yield "header-only, what is not used is not emitted", elf(unused_is_not_emitted)
    yield "exported symbols all lie in namespace porthole", elf(exported_symbols)
    yield "no mutable globals", elf(no_mutable_globals)
    yield "single header is fresh", fresh_single_header
    yield "versions agree", versions
    yield "snippets of the documents and headers", documented
    without = [f"-DPORTHOLE_WITH_{name}=0" for name in ("LIVE", "FILES", "CGI")]
    yield "nothing but the core", accepted(DEFINE + WHOLE, *without)
    if full:
        for flag in without:
            yield f"single header, {flag[2:]}", accepted(DEFINE + WHOLE, flag, include=SINGLE)
    yield "users' flags: declarations", user_flags(WHOLE)
    for name, text, flags in (
            ("C++17, no exceptions", DEFINE + WHOLE, PLAIN),
            ("C++17, optimised, NDEBUG", DEFINE + WHOLE, ["-O2", "-DNDEBUG"])):
        yield f"implementation: {name}", accepted(text, *flags)
    for standard in ("c++20", "gnu++17"):
        yield (f"implementation: {standard}",
               accepted(DEFINE + WHOLE, standard=standard))
    yield "implementation: single header", accepted(DEFINE + WHOLE, include=SINGLE)
    yield ("implementation: single header, header-only",
           accepted(WHOLE, *HEADER_ONLY, include=SINGLE))
    if full:
        for standard in ("gnu++20", "c++2b"):
            yield (f"implementation: {standard}",
                   accepted(DEFINE + WHOLE, standard=standard))
        yield ("implementation: header-only, no exceptions, NDEBUG",
               accepted(WHOLE, *HEADER_ONLY, *PLAIN, "-DNDEBUG"))
    for path in sorted((ROOT / "examples").glob("*.cpp")):
        yield f"example, single header: {path.name}", program(path)
        if full or path.name == "hello.cpp":
            yield f"example, single header, no exceptions: {path.name}", program(path, *PLAIN)
    for path in sorted((ROOT / "bench").glob("*.cpp")):
        yield f"bench, single header: {path.name}", program(path)


def outcome(box, check):
    """Why a check failed, or None."""
    try:
        check(box)
    except (Failure, OSError, TypeError, subprocess.SubprocessError) as failure:
        return failure
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cxx", default="c++", help="the compiler")
    parser.add_argument("--nm", default=shutil.which("nm") or "nm")
    parser.add_argument("--full", action="store_true", help="the slow variants too")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="checks at a time")
    parser.add_argument("--only", default="", help="a regular expression; the checks it finds")
    arguments = parser.parse_args()
    passed = failed = 0
    with tempfile.TemporaryDirectory(prefix="porthole compile ") as directory, \
            concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        box = Toolbox(arguments, directory)
        chosen = [check for check in checks(arguments.full) if re.search(arguments.only, check[0])]
        for (name, _), problem in zip(chosen, pool.map(lambda one: outcome(box, one[1]), chosen)):
            if problem is None:
                passed += 1
                print(f"ok    {name}", flush=True)
            else:
                failed += 1
                print(f"FAIL  {name}\n{problem}", flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
