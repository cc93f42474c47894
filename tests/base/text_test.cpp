// SPDX-License-Identifier: MIT

#include "support/test.hpp"

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

using porthole::escape_html;
using porthole::parse_number;
using porthole::quote_json;

TEST_CASE("text: a number is the whole text, in decimal, and fits") {
    CHECK(parse_number<int>("42") == 42);
    CHECK(parse_number<int>("-7") == -7);
    CHECK(parse_number<int>("007") == 7);
    CHECK(parse_number<std::uint8_t>("255") == std::uint8_t{255});
    CHECK(
        parse_number<std::int64_t>("-9223372036854775808")
        == (std::numeric_limits<std::int64_t>::min)());
    const std::string_view none[] = {"",     " ",   " 1",  "1 ",  "+1", "1x",
                                     "0x10", "1.5", "1e3", "--1", "-",  "2147483648"};
    for (const std::string_view text : none) {
        CAPTURE(text);
        CHECK_FALSE(parse_number<int>(text));
    }
    CHECK_FALSE(parse_number<std::uint8_t>("256"));
    CHECK_FALSE(parse_number<unsigned>("-1"));
    CHECK(parse_number<int>("-0") == 0);
    CHECK(parse_number<std::int8_t>("-128") == std::int8_t{-128});
    CHECK_FALSE(parse_number<std::int8_t>("-129"));
    CHECK(parse_number<std::int8_t>("127") == std::int8_t{127});
    CHECK_FALSE(parse_number<std::int8_t>("128"));
    CHECK(parse_number<std::uint64_t>("18446744073709551615") == UINT64_MAX);
    CHECK_FALSE(parse_number<std::uint64_t>("18446744073709551616"));
    CHECK_FALSE(parse_number<std::int64_t>("-9223372036854775809"));
}

TEST_CASE("text: a floating number is finite") {
    CHECK(parse_number<double>("0.5") == 0.5);
    CHECK(parse_number<double>("-1e3") == -1000.0);
    CHECK(parse_number<float>("2") == 2.0f);
    CHECK_FALSE(parse_number<float>("1e39"));
    CHECK(parse_number<double>("1e39"));
    const std::string_view none[] = {"",  "inf", "-infinity", "nan", "1e999", "0,5",  "+1",   " 1",
                                     ".", "-",   "e5",        "1e",  "1-2",   "1.5 ", "0x1p3"};
    for (const std::string_view text : none) {
        CAPTURE(text);
        CHECK_FALSE(parse_number<double>(text));
    }
}

TEST_CASE("text: HTML has nothing that ends a text or an attribute") {
    CHECK(escape_html("a<b>&\"'c") == "a&lt;b&gt;&amp;&quot;&#39;c");
    CHECK(escape_html("one\r\n\ttwo") == "one\r\n\ttwo");
    CHECK(escape_html(std::string_view("\0\x01\x1f", 3)) == "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
    CHECK(escape_html("") == "");
}

TEST_CASE("text: a JSON string is escaped and quoted (RFC 8259 7)") {
    CHECK(quote_json("a\"\\\n\x1f/") == "\"a\\\"\\\\\\u000a\\u001f/\"");
    CHECK(quote_json(std::string_view("\0", 1)) == "\"\\u0000\"");
    CHECK(quote_json("") == "\"\"");
}

TEST_CASE("text: what is not UTF-8 becomes U+FFFD, byte by byte (RFC 3629)") {
    const std::string_view good = "\xc3\xa4\xe2\x82\xac\xf0\x9f\x9a\xa2";
    CHECK(escape_html(good) == good);
    CHECK(quote_json(good) == '"' + std::string(good) + '"');
    struct Row {
        std::string_view text;
        std::size_t replaced;
    };
    const Row rows[] = {
        {"\xff", 1},
        {"\xc3", 1},
        {"\x80", 1},
        {"\xc0\xaf", 2},
        {"\xe2\x82", 2},
        {"\xed\xa0\x80", 3},
        {"\xf4\x90\x80\x80", 4},
        {"\xf0\x9f\x9a", 3},
    };
    for (const Row& row : rows) {
        std::string wanted = "<";
        for (std::size_t i = 0; i < row.replaced; ++i) {
            wanted += "\xef\xbf\xbd";
        }
        CHECK(quote_json("<" + std::string(row.text) + ">") == '"' + wanted + ">\"");
    }
}
