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
    // CSI in UTF-8, and as a byte of its own, which a terminal of eight bits obeys.
    CHECK(escaped("\xc2\x9b" + std::string("31m")) == "\\xc2\\x9b31m");
    CHECK(escaped("\x9b" + std::string("31m")) == "\\x9b31m");
    CHECK(escaped("\xc2\xa0") == "\xc2\xa0");
    CHECK(escaped("\xe2\x82\xac\xf0\x9f\x99\x82") == "\xe2\x82\xac\xf0\x9f\x99\x82");
}

TEST_CASE("cgi log: what is not UTF-8 is written out, so that the log is") {
    CHECK(escaped("\xc2") == "\\xc2");
    CHECK(escaped("\xc2" + std::string("a")) == "\\xc2a");
    CHECK(escaped("gr\xfc\xdf") == "gr\\xfc\\xdf");      // Latin-1
    CHECK(escaped("\xc0\xaf") == "\\xc0\\xaf");          // overlong
    CHECK(escaped("\xed\xa0\x80") == "\\xed\\xa0\\x80"); // a surrogate
    CHECK(escaped("\xe2\x82" + std::string("\xc3\xbc")) == "\\xe2\\x82\xc3\xbc");
    CHECK(escaped("\xe2\x80\xae" + std::string("x")) == "\\xe2\\x80\\xaex"); // right to left
    CHECK(escaped("\xe2\x80\xa8") == "\\xe2\\x80\\xa8");                     // a line's end
    CHECK(escaped("\xe2\x81\xa6") == "\\xe2\\x81\\xa6");
    CHECK(escaped("\xe2\x80\xa6") == "\xe2\x80\xa6"); // an ellipsis
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
