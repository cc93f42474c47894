// SPDX-License-Identifier: MIT

#include "support/test.hpp"

#include <cstdint>
#include <string>

using namespace porthole;

namespace {

/// "whole", "416", or "first+size first+size ...".
std::string selected(std::string_view field, std::uint64_t size) {
    const RangeSelection selection = select_ranges(field, size);
    switch (selection.kind) {
    case RangeSelection::Kind::whole: return "whole";
    case RangeSelection::Kind::unsatisfiable: return "416";
    case RangeSelection::Kind::partial: break;
    }
    std::string text;
    for (const ByteRange& range : selection.ranges) {
        text += text.empty() ? "" : " ";
        text += std::to_string(range.first) + "+" + std::to_string(range.size);
    }
    return text;
}

struct Case {
    const char* rule;
    const char* field;
    std::uint64_t size;
    const char* expected;
};

} // namespace

TEST_CASE("range: reads what a Range field asks for (RFC 9110 14.1.2)") {
    const Case cases[] = {
        {"first and last", "bytes=0-499", 10000, "0+500"},
        {"the second 500", "bytes=500-999", 10000, "500+500"},
        {"one byte", "bytes=0-0", 10000, "0+1"},
        {"the last byte by number", "bytes=9999-9999", 10000, "9999+1"},
        {"suffix", "bytes=-500", 10000, "9500+500"},
        {"open", "bytes=9500-", 10000, "9500+500"},
        {"all of it", "bytes=0-", 10000, "0+10000"},
        {"last beyond the end is cut", "bytes=9500-20000", 10000, "9500+500"},
        {"suffix longer than the whole", "bytes=-20000", 10000, "0+10000"},
        {"first at the end", "bytes=10000-", 10000, "416"},
        {"first beyond the end", "bytes=10001-20000", 10000, "416"},
        {"first one before the end", "bytes=9999-", 10000, "9999+1"},
        {"suffix of zero", "bytes=-0", 10000, "416"},
        {"overflow of the first", "bytes=18446744073709551616-", 10000, "416"},
        {"overflow of the last", "bytes=0-99999999999999999999999", 10000, "0+10000"},
        {"overflow of the suffix", "bytes=-99999999999999999999999", 10000, "0+10000"},
        {"2^64 - 1", "bytes=0-18446744073709551615", 10000, "0+10000"},
        {"14.1: units in any case", "BYTES=0-0", 10000, "0+1"},
        {"14.2: another unit", "lines=0-1", 10000, "whole"},
        {"14.1.1: last before first", "bytes=5-4", 10000, "whole"},
        {"no dash", "bytes=5", 10000, "whole"},
        {"only a dash", "bytes=-", 10000, "whole"},
        {"no number", "bytes=a-b", 10000, "whole"},
        {"a sign", "bytes=+1-2", 10000, "whole"},
        {"two dashes", "bytes=--1", 10000, "whole"},
        {"a blank inside", "bytes=1 -2", 10000, "whole"},
        {"a blank before", "bytes= 1-2", 10000, "1+2"},
        {"nothing", "bytes=", 10000, "whole"},
        {"only commas", "bytes=,,", 10000, "whole"},
        {"no equals", "bytes", 10000, "whole"},
        {"empty", "", 10000, "whole"},
        {"an empty file", "bytes=0-0", 0, "416"},
        {"a suffix of an empty file", "bytes=-5", 0, "whole"},
    };
    for (const Case& one : cases) {
        CAPTURE(one.rule);
        CHECK(selected(one.field, one.size) == one.expected);
    }
}

TEST_CASE("range: several, merged when that is cheaper (RFC 9110 15.3.7.2)") {
    const Case cases[] = {
        {"two", "bytes=0-0,-1", 10000, "0+1 9999+1"},
        {"blanks and empty elements", "bytes= 0-0 , ,, 5000-5009", 10000, "0+1 5000+10"},
        {"overlapping", "bytes=0-10,5-20", 10000, "0+21"},
        {"adjacent", "bytes=0-10,11-20", 10000, "0+21"},
        {"the same twice", "bytes=500-600,500-600", 10000, "500+101"},
        {"a gap of 80", "bytes=0-9,90-99", 10000, "0+100"},
        {"a gap of 81", "bytes=0-9,91-99", 10000, "0+10 91+9"},
        {"the order asked for stays", "bytes=5000-5009,0-9", 10000, "5000+10 0+10"},
        {"one that joins two", "bytes=0-99,1000-1099,50-1050", 10000, "0+1100"},
        {"a later one joins earlier ones", "bytes=0-99,400-499,800-899,90-410", 10000,
         "0+500 800+100"},
        {"unsatisfiable ones are left out", "bytes=20000-,0-9", 10000, "0+10"},
        {"all unsatisfiable", "bytes=20000-,30000-", 10000, "416"},
        {"one malformed spoils all", "bytes=0-9,x", 10000, "whole"},
    };
    for (const Case& one : cases) {
        CAPTURE(one.rule);
        CHECK(selected(one.field, one.size) == one.expected);
    }
}

TEST_CASE("range: too many are the whole (RFC 9110 14.2)") {
    const auto many = [](std::size_t count) {
        std::string field = "bytes=";
        for (std::size_t i = 0; i < count; ++i) {
            field += std::to_string(i * 1000) + "-" + std::to_string(i * 1000) + ",";
        }
        return field;
    };
    CHECK(select_ranges(many(max_ranges - 1), 1'000'000).ranges.size() == max_ranges - 1);
    CHECK(select_ranges(many(max_ranges), 1'000'000).ranges.size() == max_ranges);
    CHECK(select_ranges(many(max_ranges + 1), 1'000'000).kind == RangeSelection::Kind::whole);
    CHECK(select_ranges(many(1000), 1'000'000).kind == RangeSelection::Kind::whole);
}

TEST_CASE("range: Content-Range (RFC 9110 14.4)") {
    CHECK(content_range({42, 1192}, 1234) == "bytes 42-1233/1234");
    CHECK(
        content_range({0, UINT64_MAX}, UINT64_MAX)
        == "bytes 0-18446744073709551614/18446744073709551615");
    CHECK(unsatisfied_range(1234) == "bytes */1234");
}

TEST_CASE("range: frames parts (RFC 9110 14.6)") {
    const MultipartRanges framing("SEPARATOR", "text/plain", 8000);
    CHECK(framing.content_type() == "multipart/byteranges; boundary=SEPARATOR");
    CHECK(
        framing.part_head({500, 500})
        == "\r\n--SEPARATOR\r\nContent-Type: text/plain\r\n"
           "Content-Range: bytes 500-999/8000\r\n\r\n");
    CHECK(framing.end() == "\r\n--SEPARATOR--\r\n");
}
