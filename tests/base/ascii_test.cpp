// SPDX-License-Identifier: MIT
#include "support/test.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ascii = porthole::ascii;

namespace {

std::vector<std::string_view> elements_of(std::string_view list) {
    std::vector<std::string_view> elements;
    while (const auto element = ascii::next_list_element(list)) {
        elements.push_back(*element);
    }
    return elements;
}

using Views = std::vector<std::string_view>;

} // namespace

TEST_CASE("ascii: classes and case know A to Z and 0 to 9 only, for every byte") {
    for (int i = 0; i < 256; ++i) {
        const char c = static_cast<char>(i);
        CHECK(ascii::is_digit(c) == (std::string_view("0123456789").find(c) != std::string::npos));
        const bool is_upper = i >= 'A' && i <= 'Z';
        CHECK(ascii::is_alpha(c) == (is_upper || (i >= 'a' && i <= 'z')));
        CHECK(ascii::to_lower(c) == (is_upper ? static_cast<char>(i + 32) : c));
        const auto digit = std::string_view("0123456789abcdef").find(ascii::to_lower(c));
        CHECK(ascii::hex_value(c) == (digit == std::string::npos ? -1 : static_cast<int>(digit)));
    }
}

TEST_CASE("ascii: tchar is what RFC 9110 section 5.6.2 lists, for every byte") {
    const std::string_view others = "!#$%&'*+-.^_`|~";
    for (int i = 0; i < 256; ++i) {
        const char c = static_cast<char>(i);
        const bool is_wanted = ascii::is_alpha(c) || ascii::is_digit(c)
                               || (i != 0 && others.find(c) != std::string_view::npos);
        CHECK(ascii::is_token_char(c) == is_wanted);
        CHECK(ascii::is_token(std::string(1, c)) == is_wanted);
    }
    CHECK_FALSE(ascii::is_token(""));
    CHECK(ascii::is_token("Content-Type"));
    CHECK_FALSE(ascii::is_token("Content Type"));
}

TEST_CASE("ascii: a field value has no control but HTAB, at any place and length (RFC 9110 5.5)") {
    for (std::size_t size = 1; size <= 24; ++size) {
        for (std::size_t at = 0; at < size; ++at) {
            for (int i = 0; i < 256; ++i) {
                std::string text(size, 'x');
                text[at] = static_cast<char>(i);
                const bool is_control = (i < 0x20 && i != '\t') || i == 0x7f;
                if (ascii::is_field_value(text) == is_control) {
                    FAIL_CHECK("byte ", i, " at ", at, " of ", size);
                }
            }
        }
    }
    CHECK(ascii::is_field_value(""));
    CHECK(ascii::is_field_value("a\tb\xff long enough for whole words \x80"));
    CHECK_FALSE(ascii::is_field_value("a tab\t in front does not hide the rest \r\nX: y"));
    CHECK_FALSE(ascii::is_field_value(std::string_view("12345678\0", 9)));
}

TEST_CASE("ascii: visible is '!' to '~'") {
    for (int i = 0; i < 256; ++i) {
        const std::string text(1, static_cast<char>(i));
        CHECK(ascii::is_visible(text) == (i > 0x20 && i < 0x7f));
    }
}

TEST_CASE("ascii: compares in any case, and only the case of letters") {
    CHECK(ascii::equals_ignoring_case("", ""));
    CHECK(ascii::equals_ignoring_case("Host", "hOsT"));
    CHECK_FALSE(ascii::equals_ignoring_case("Host", "Hosts"));
    CHECK_FALSE(ascii::equals_ignoring_case("a[", "a{"));
    CHECK_FALSE(ascii::equals_ignoring_case("@", "`"));
    CHECK_FALSE(ascii::equals_ignoring_case("\xc4", "\xe4"));
}

TEST_CASE("ascii: trims spaces and tabs at both ends") {
    CHECK(ascii::trim("") == "");
    CHECK(ascii::trim(" \t ") == "");
    CHECK(ascii::trim("\t a b ") == "a b");
    CHECK(ascii::trim("a\r") == "a\r");
}

TEST_CASE("ascii: a number is digits only and does not overflow") {
    CHECK(ascii::parse_decimal("0") == 0u);
    CHECK(ascii::parse_decimal("007") == 7u);
    CHECK(ascii::parse_decimal("18446744073709551614") == UINT64_MAX - 1);
    CHECK(ascii::parse_decimal("18446744073709551615") == UINT64_MAX);
    CHECK_FALSE(ascii::parse_decimal("18446744073709551616"));
    CHECK_FALSE(ascii::parse_decimal("99999999999999999999"));
    for (const char* bad : {"", "+5", "-1", " 5", "5 ", "0x5", "5,5", "1_0", "5.0", "\xb2"}) {
        CHECK_FALSE(ascii::parse_decimal(bad));
    }
}

TEST_CASE("ascii: writes what it reads") {
    for (const std::uint64_t value :
         {std::uint64_t{0}, std::uint64_t{9}, std::uint64_t{10}, std::uint64_t{99},
          std::uint64_t{100}, UINT64_MAX - 1, UINT64_MAX}) {
        char digits[20];
        const std::string_view text(digits, ascii::write_decimal(digits, value));
        CHECK(text == std::to_string(value));
        CHECK(ascii::parse_decimal(text) == value);
    }
}

TEST_CASE("ascii: lists leave empty elements out and keep quoted commas (RFC 9110 5.6.1)") {
    CHECK(elements_of("") == Views{});
    CHECK(elements_of(" , ,") == Views{});
    CHECK(elements_of("a") == Views{"a"});
    CHECK(elements_of("a, b ,\tc") == Views{"a", "b", "c"});
    CHECK(elements_of(R"(a="x,y", b)") == Views{R"(a="x,y")", "b"});
    CHECK(elements_of(R"("x\",y",z)") == Views{R"("x\",y")", "z"});
    CHECK(elements_of(R"("open, b)") == Views{R"("open, b)"});
    CHECK(elements_of("\"\\") == Views{"\"\\"});
    CHECK(ascii::list_has("keep-alive, Upgrade", "upgrade"));
    CHECK_FALSE(ascii::list_has("keep-alive, Upgrades", "upgrade"));
}
