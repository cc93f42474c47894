// SPDX-License-Identifier: MIT

// Lines of a program for a log: whole, bounded, and harmless.

#include "support/test.hpp"

#include <string>
#include <vector>

using namespace porthole::detail;

namespace {

std::string escaped(std::string_view text) {
    std::string into;
    escape_for_log(text, into);
    return into;
}

struct Collector {
    LogLines lines;
    std::vector<std::string> told;
    LogLines::Sink sink() {
        return [this](std::string_view line) {
            told.emplace_back(line);
        };
    }
};

} // namespace

TEST_CASE("cgi log: what could act on a terminal is written out") {
    CHECK(escaped("plain text") == "plain text");
    CHECK(escaped("\x1b[31m") == "\\x1b[31m");
    CHECK(escaped(std::string_view("a\0b", 3)) == "a\\x00b");
    CHECK(escaped("\r\t\x7f\\") == "\\x0d\\t\\x7f\\\\");
    CHECK(escaped("gr\xc3\xbc\xc3\x9f") == "gr\xc3\xbc\xc3\x9f");
    CHECK(
        escaped("\xc2\x9b"
                "31m")
        == "\\xc2\x9b"
           "31m"); // CSI in UTF-8: its lead byte is gone
    CHECK(escaped("\xc2\xa0") == "\xc2\xa0");
    CHECK(escaped("\xc2") == "\xc2");
}

TEST_CASE("cgi log: lines are lines however the bytes come") {
    const std::string text = "one\r\n\ntwo\nthree";
    for (std::size_t size = 1; size <= text.size(); ++size) {
        Collector c;
        for (std::size_t at = 0; at < text.size(); at += size) {
            c.lines.add(std::string_view(text).substr(at, size), c.sink());
        }
        c.lines.finish(c.sink());
        CHECK(c.told == std::vector<std::string>{"one", "", "two", "three"});
    }
    Collector none;
    none.lines.finish(none.sink());
    CHECK(none.told.empty());
}

TEST_CASE("cgi log: long lines are cut at the bound") {
    for (const std::size_t size :
         {LogLines::max_line_bytes - 1, LogLines::max_line_bytes, LogLines::max_line_bytes + 1}) {
        Collector c;
        c.lines.add(std::string(size, 'x') + "\nnext\n", c.sink());
        REQUIRE(c.told.size() == 2);
        const bool is_cut = size > LogLines::max_line_bytes;
        CHECK(
            c.told[0]
            == std::string(is_cut ? LogLines::max_line_bytes : size, 'x')
                   + (is_cut ? " [cut]" : ""));
        CHECK(c.told[1] == "next");
    }
}

TEST_CASE("cgi log: more lines than one may write in a while are counted") {
    Collector c;
    for (std::size_t i = 0; i < LogLines::max_lines + 7; ++i) {
        c.lines.add("line\n", c.sink());
    }
    CHECK(c.told.size() == LogLines::max_lines);
    c.lines.allow_more(c.sink());
    REQUIRE(c.told.size() == LogLines::max_lines + 1);
    CHECK(c.told.back() == "[7 more lines in too short a time]");
    c.lines.add("again\n", c.sink());
    CHECK(c.told.back() == "again");
}
