#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tools/amalgamate.py: each refusal provoked in a small house of its own, and what it puts out."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
TOOL = REPOSITORY / "tools" / "amalgamate.py"

HOUSE = {
    "porthole.hpp": """// SPDX-License-Identifier: MIT
#ifndef PORTHOLE_HPP
#define PORTHOLE_HPP

#include "porthole/base/version.hpp"
#include "porthole/base/text.hpp"
#include "porthole/fwd.hpp"
#include "porthole/os/socket.hpp"
#include "porthole/http/parser.hpp"
#include "porthole/server/server.hpp"
#include "porthole/ext/files.hpp"

#endif // PORTHOLE_HPP

#if defined(PORTHOLE_IMPLEMENTATION) && !defined(PORTHOLE_IMPLEMENTED)
#define PORTHOLE_IMPLEMENTED
#include "porthole/os/platform.inl"
#include "porthole/os/socket.inl"
#endif
""",
    "porthole/base/version.hpp": '#pragma once\n#define PORTHOLE_VERSION_STRING "1.2.3"\n',
    "porthole/base/text.hpp": "// SPDX-License-Identifier: MIT\n#pragma once\n#include <string>\n",
    "porthole/fwd.hpp": '#pragma once\n#include "porthole/base/version.hpp"\n',
    "porthole/os/socket.hpp": '#pragma once\n#include "porthole/base/text.hpp"\n'
                              "#include <string>\n",
    "porthole/os/platform.inl": "#pragma once\n#if defined(_WIN32)\n#define NOMINMAX\n"
                                "#include <winsock2.h>\n#else\n#include <sys/socket.h>\n#endif\n",
    "porthole/os/socket.inl": '#pragma once\n#include "porthole/os/platform.inl"\n'
                              '#include "porthole/os/socket.hpp"\n#include <cstring>\n'
                              "#if defined(__linux__)\nint body;\n#endif\n",
    "porthole/http/parser.hpp": '#pragma once\n#include "porthole/base/text.hpp"\nint parser;\n',
    "porthole/server/server.hpp": '#pragma once\n#include "porthole/os/socket.hpp"\n'
                                  '#include "porthole/http/parser.hpp"\n',
    "porthole/ext/files.hpp": '#pragma once\n#include "porthole/server/server.hpp"\n',
}


SWITCHED = HOUSE["porthole.hpp"].replace('#include "porthole/ext/files.hpp"\n', """
#if PORTHOLE_WITH_FILES
#include "porthole/ext/files.hpp"
#endif
#if PORTHOLE_WITH_LIVE
#include "porthole/ext/live.hpp"
#endif
""")


class AmalgamateTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="porthole house ")
        self.addCleanup(directory.cleanup)
        self.root = pathlib.Path(directory.name)
        for path, text in HOUSE.items():
            self.write(path, text)

    def write(self, path, text):
        file = self.root / "include" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def add(self, path, text):
        self.write(path, HOUSE[path] + text)

    def run_tool(self, *arguments):
        return subprocess.run([sys.executable, str(TOOL), "--root", str(self.root), *arguments],
                              capture_output=True, text=True, check=False)

    def generate(self):
        result = self.run_tool()
        self.assertEqual(result.returncode, 0, result.stderr)
        return (self.root / "single_include" / "porthole.hpp").read_text(encoding="utf-8")

    def refused(self, place, *words):
        for mode in ((), ("--check",)):
            result = self.run_tool(*mode)
            self.assertEqual(result.returncode, 1)
            self.assertIn(f"include/{place}: ", result.stderr)
            for word in words:
                self.assertIn(word, result.stderr)
            self.assertNotIn("Traceback", result.stderr)
        self.assertFalse((self.root / "single_include").exists())

    # what it puts out

    def test_each_file_once_and_in_order(self):
        text = self.generate()
        self.assertEqual(text.count("int parser;"), 1)
        self.assertEqual(text.count("SPDX"), 1)
        self.assertNotIn("#pragma once", text)
        self.assertNotIn('#include "', text)
        self.assertEqual(text.count("#include <string>"), 1)
        self.assertLess(text.index("// porthole/base/text.hpp"), text.index("int parser;"))
        self.assertIn("1.2.3", text.splitlines()[1])

    def test_operating_system_headers_stay_in_the_implementation(self):
        text = self.generate()
        block = text.index("#if defined(PORTHOLE_IMPLEMENTATION)")
        self.assertGreater(text.index("#include <sys/socket.h>"), block)
        self.assertGreater(text.index("#include <cstring>"), block)
        self.assertLess(text.index("#endif // PORTHOLE_HPP"), block)
        self.assertEqual(text.count("// porthole/os/platform.inl"), 1)

    def test_twice_gives_the_same(self):
        self.assertEqual(self.generate(), self.generate())

    def test_check_accepts_a_fresh_file_and_shows_a_stale_one(self):
        self.generate()
        self.assertEqual(self.run_tool("--check").returncode, 0)
        self.add("porthole/http/parser.hpp", "int another;\n")
        result = self.run_tool("--check")
        self.assertEqual(result.returncode, 1)
        self.assertIn("+int another;", result.stdout)
        self.assertIn("stale", result.stderr)

    def test_check_bounds_the_difference(self):
        self.generate()
        self.add("porthole/http/parser.hpp", "".join(f"int i{i};\n" for i in range(300)))
        result = self.run_tool("--check")
        self.assertEqual(result.returncode, 1)
        self.assertLess(len(result.stdout.splitlines()), 100)

    def test_check_without_a_committed_file(self):
        self.assertEqual(self.run_tool("--check").returncode, 1)
        self.assertFalse((self.root / "single_include").exists())

    # layers

    def test_a_switch_hides_no_standard_header_from_what_follows(self):
        self.write("porthole.hpp", SWITCHED)
        self.add("porthole/ext/files.hpp", "#include <map>\n")
        self.write("porthole/ext/live.hpp", "#pragma once\n#include <map>\n")
        self.assertEqual(self.generate().count("#include <map>"), 2)

    def test_refuses_what_another_switch_may_have_left_out(self):
        self.write("porthole.hpp", SWITCHED)
        self.write("porthole/ext/live.hpp", '#pragma once\n#include "porthole/ext/files.hpp"\n')
        self.refused("porthole/ext/live.hpp:2", "PORTHOLE_WITH_FILES")

    def test_refuses_upward_and_sideways(self):
        for path, target in (
                ("porthole/base/text.hpp", "porthole/os/socket.hpp"),
                ("porthole/base/text.hpp", "porthole/fwd.hpp"),
                ("porthole/os/socket.hpp", "porthole/http/parser.hpp"),
                ("porthole/http/parser.hpp", "porthole/os/socket.hpp"),
                ("porthole/http/parser.hpp", "porthole/server/server.hpp"),
                ("porthole/server/server.hpp", "porthole/ext/files.hpp"),
                ("porthole/fwd.hpp", "porthole/http/parser.hpp")):
            with self.subTest(path=path, target=target):
                self.add(path, f'#include "{target}"\n')
                line = HOUSE[path].count("\n") + 1
                self.refused(f"{path}:{line}", target, "downward")
                self.write(path, HOUSE[path])

    def test_accepts_fwd_everywhere_above_base(self):
        self.add("porthole/http/parser.hpp", '#include "porthole/fwd.hpp"\n')
        self.add("porthole/os/socket.hpp", '#include "porthole/fwd.hpp"\n')
        self.generate()

    def test_refuses_a_file_outside_the_layers(self):
        self.add("porthole/ext/files.hpp", '#include "porthole/extra/thing.hpp"\n')
        self.write("porthole/extra/thing.hpp", "#pragma once\n")
        self.refused("porthole/ext/files.hpp:3")

    def test_refuses_cycles(self):
        self.add("porthole/base/text.hpp", '#include "porthole/base/other.hpp"\n')
        self.write("porthole/base/other.hpp", '#pragma once\n#include "porthole/base/text.hpp"\n')
        self.refused("porthole/base/other.hpp:2", "cycle", "porthole/base/text.hpp -> ")

    def test_refuses_a_file_that_includes_itself(self):
        self.add("porthole/base/text.hpp", '#include "porthole/base/text.hpp"\n')
        self.refused("porthole/base/text.hpp:4", "cycle")

    def test_refuses_the_platform_in_declarations(self):
        self.add("porthole/os/socket.hpp", '#include "porthole/os/platform.inl"\n')
        self.refused("porthole/os/socket.hpp:4", "platform.inl")

    # includes

    def test_refuses_a_path_that_is_not_full(self):
        self.add("porthole/http/parser.hpp", '#include "body.hpp"\n')
        self.refused("porthole/http/parser.hpp:4", "full path")

    def test_refuses_the_library_in_angle_brackets(self):
        self.add("porthole/http/parser.hpp", "#include <porthole/base/text.hpp>\n")
        self.refused("porthole/http/parser.hpp:4")

    def test_refuses_a_missing_file(self):
        self.add("porthole/http/parser.hpp", '#include "porthole/http/absent.hpp"\n')
        self.refused("porthole/http/parser.hpp:4", "does not exist")

    def test_refuses_a_conditional_include_of_its_own(self):
        self.write("porthole/base/new.hpp", "#pragma once\n")
        self.add("porthole/http/parser.hpp",
                 '#if PORTHOLE_X\n#include "porthole/base/new.hpp"\n#endif\n')
        self.refused("porthole/http/parser.hpp:5", "conditional")

    def test_accepts_a_conditional_include_of_what_is_there_already(self):
        self.add("porthole/http/parser.hpp",
                 '#if PORTHOLE_X\n#include "porthole/base/text.hpp"\n#endif\n')
        self.generate()

    def test_refuses_os_headers_outside_the_platform_file(self):
        for header in ("sys/socket.h", "unistd.h", "windows.h", "string.h", "poll.h"):
            with self.subTest(header=header):
                self.write("porthole/os/socket.inl", f"#pragma once\n#  include <{header}>\n")
                self.refused("porthole/os/socket.inl:2", header)

    def test_an_adapter_may_include_what_it_adapts_behind_its_switch(self):
        adapter = "porthole/ext/websocket_deflate_zlib.inl"
        self.write(adapter, "#pragma once\n#include <zlib.h>\nint codec;\n")
        self.add("porthole.hpp", f'#if PORTHOLE_WITH_ZLIB\n#include "{adapter}"\n#endif\n')
        text = self.generate()
        switch, end = text.index("#if PORTHOLE_WITH_ZLIB"), text.rindex("#endif")
        self.assertLess(switch, text.index("#include <zlib.h>"))
        self.assertLess(text.index("int codec;"), end)

    def test_refuses_what_another_adapter_adapts(self):
        self.write("porthole/ext/files.hpp", "#pragma once\n#include <zlib.h>\n")
        self.refused("porthole/ext/files.hpp:2", "zlib.h")

    def test_refuses_heavy_standard_headers(self):
        for header in ("iostream", "regex", "locale", "filesystem", "fstream"):
            with self.subTest(header=header):
                self.write("porthole/base/text.hpp", f"#pragma once\n#include <{header}>\n")
                self.refused("porthole/base/text.hpp:2", "forbidden")

    # form

    def test_refuses_long_files_at_the_edge(self):
        path = "porthole/http/parser.hpp"
        count = 600 - HOUSE[path].count("\n")
        self.add(path, "//\n" * count)
        self.generate()
        self.add(path, "//\n" * (count + 1))
        (self.root / "single_include" / "porthole.hpp").unlink()
        (self.root / "single_include").rmdir()
        self.refused(f"{path}:601", "600 lines")

    def test_refuses_long_lines_at_the_edge(self):
        path = "porthole/http/parser.hpp"
        self.add(path, "/" * 101 + "\n")
        self.refused(f"{path}:4", "100 columns")
        self.add(path, "/" * 100 + "\n")
        self.generate()

    def test_refuses_macros_without_the_prefix(self):
        self.add("porthole/base/text.hpp", "#  define TEXT 1\n")
        self.refused("porthole/base/text.hpp:4", "TEXT", "PORTHOLE_")

    def test_refuses_calls_that_a_macro_of_windows_would_take(self):
        for call in ("std::max(1, 2)", "Limits::min ()"):
            with self.subTest(call=call):
                self.write("porthole/http/parser.hpp", f"#pragma once\nint x = {call};\n")
                self.refused("porthole/http/parser.hpp:2", "windows.h")
        self.write("porthole/http/parser.hpp",
                   "#pragma once\nint x = (std::max)(1, 2); // std::max(1, 2)\n"
                   "int y = maximum(1);\n")
        self.generate()

    def test_refuses_orphans(self):
        self.write("porthole/http/lost.inl", "#pragma once\n")
        self.refused("porthole/http/lost.inl:1", "orphan")

    def test_refuses_anonymous_namespaces(self):
        for text in ("namespace {\n}\n", "namespace\n{\n}\n"):
            with self.subTest(text=text):
                self.write("porthole/os/socket.inl", "#pragma once\n" + text)
                self.refused("porthole/os/socket.inl:2", "anonymous")

    # operating system switches

    def test_refuses_a_switch_inside_a_file_of_os(self):
        self.write("porthole/os/socket.inl",
                   "#pragma once\nint before;\n#ifdef _WIN32\nint body;\n#endif\n")
        self.refused("porthole/os/socket.inl:3", "whole file")

    def test_accepts_a_switch_around_the_whole_body(self):
        self.write("porthole/os/socket.inl", "#pragma once\nPORTHOLE_NAMESPACE_BEGIN\n\n"
                   "namespace detail {\n#if defined(__linux__)\nint a;\n#else\nint b;\n#endif\n"
                   "} // namespace detail\nPORTHOLE_NAMESPACE_END\n")
        self.generate()

    def test_refuses_a_nested_switch(self):
        self.write("porthole/os/socket.inl", "#pragma once\n#if !defined(_WIN32)\nint a;\n"
                   "#if defined(__APPLE__)\nint b;\n#endif\nint c;\n#endif\n")
        self.refused("porthole/os/socket.inl:4")

    def test_refuses_a_switch_in_another_layer(self):
        self.write("porthole/http/parser.hpp", "#pragma once\n#if defined(__linux__)\n#endif\n")
        self.refused("porthole/http/parser.hpp:2")

    def test_ignores_an_operating_system_named_in_a_comment(self):
        self.add("porthole/http/parser.hpp", "#if PORTHOLE_X // as on __linux__\n#endif\n")
        self.generate()


if __name__ == "__main__":
    unittest.main()
