// SPDX-License-Identifier: MIT

#include "support/guarded_bytes.hpp"
#include "support/test.hpp"

#include <string>
#include <string_view>
#include <vector>

using porthole::detail::ascii_prefix;
using porthole::detail::is_utf8;
using porthole::detail::Utf8Validator;

namespace {

/// RFC 3629 section 3, by the value of what was decoded instead of by ranges of bytes.
bool is_utf8_by_value(std::string_view text) {
    for (std::size_t i = 0; i < text.size();) {
        const auto first = static_cast<unsigned char>(text[i]);
        const std::size_t size = first < 0x80              ? 1
                                 : (first & 0xe0u) == 0xc0 ? 2
                                 : (first & 0xf0u) == 0xe0 ? 3
                                 : (first & 0xf8u) == 0xf0 ? 4
                                                           : 0;
        if (size == 0 || text.size() - i < size) {
            return false;
        }
        unsigned value = size == 1 ? first : first & (0xffu >> (size + 1));
        for (std::size_t j = 1; j < size; ++j) {
            const auto next = static_cast<unsigned char>(text[i + j]);
            if ((next & 0xc0u) != 0x80) {
                return false;
            }
            value = (value << 6) | (next & 0x3fu);
        }
        const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
        if (value < least[size] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) {
            return false;
        }
        i += size;
    }
    return true;
}

std::string hex(std::string_view bytes) {
    std::string text;
    for (const char c : bytes) {
        const auto byte = static_cast<unsigned char>(c);
        text += "0123456789abcdef"[byte >> 4];
        text += "0123456789abcdef"[byte & 15];
    }
    return text;
}

} // namespace

TEST_CASE("utf8: every sequence of two bytes, and the edges of three and four (RFC 3629 4)") {
    const auto check = [](const std::string& text) {
        if (is_utf8(text) != is_utf8_by_value(text)) { // a REQUIRE for each takes a second
            FAIL("told apart wrongly: " << hex(text));
        }
    };
    const unsigned char edges[] = {0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff};
    for (unsigned a = 0; a < 256; ++a) {
        for (unsigned b = 0; b < 256; ++b) {
            std::string text{static_cast<char>(a), static_cast<char>(b)};
            check(text);
            if (a < 0xc0) {
                continue;
            }
            for (const unsigned char c : edges) {
                text.resize(2);
                text += static_cast<char>(c);
                check(text);
                for (const unsigned char d : edges) {
                    text.resize(3);
                    text += static_cast<char>(d);
                    check(text);
                }
            }
        }
    }
}

TEST_CASE("utf8: in pieces it is the same text, wherever they end") {
    const std::string text = "A\xce\xba\xe1\xbd\xb9\xf0\x9f\x98\x80 and plain text behind it";
    for (std::size_t split = 0; split <= text.size(); ++split) {
        Utf8Validator validator;
        const porthole_test::HeapBytes front(std::string_view(text).substr(0, split));
        CHECK(validator.feed(front.view()));
        CHECK(validator.is_complete() == is_utf8_by_value(front.view()));
        CHECK(validator.feed(std::string_view(text).substr(split)));
        CHECK(validator.is_complete());
    }
}

TEST_CASE("utf8: what no text can have is noticed with its byte, not later") {
    struct Row {
        std::string_view bytes;
        std::size_t bad_at;
    };
    const std::vector<Row> rows = {
        {"\xf4\x90\x80\x80", 1}, // above U+10FFFF
        {"\xed\xa0\x80", 1},     // a surrogate
        {"\xe0\x80\xaf", 1},     // overlong
        {"\xc0\xaf", 0},         {"\xf5\x80\x80\x80", 0},
        {"ab\x80", 2},           {"\xce\xba\xe1\xbd\x41", 4},
    };
    for (const Row& row : rows) {
        Utf8Validator validator;
        for (std::size_t i = 0; i < row.bytes.size(); ++i) {
            CHECK(validator.feed(row.bytes.substr(i, 1)) == (i < row.bad_at));
        }
        CHECK_FALSE(validator.is_complete());
        CHECK_FALSE(validator.feed("a"));
        validator.reset();
        CHECK(validator.feed("a"));
        CHECK(validator.is_complete());
    }
}

TEST_CASE("utf8: the first byte that is not ASCII, at every place of a machine word") {
    porthole_test::GuardedBytes guarded(100);
    for (std::size_t size = 0; size < 80; ++size) {
        std::string text(size, 'x');
        CHECK(ascii_prefix(guarded.place(text)) == size);
        for (std::size_t at = 0; at < size; ++at) {
            text.assign(size, 'x');
            text[at] = '\x80';
            REQUIRE(ascii_prefix(guarded.place(text)) == at);
        }
    }
}
