// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/base/ascii.hpp"
#include "porthole/base/text.hpp"
#include "porthole/base/utf8.hpp"

#include <charconv>
#include <cstdlib>
#include <system_error>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN std::optional<std::uint64_t>
parse_unsigned(std::string_view text, std::uint64_t most) noexcept {
    const std::optional<std::uint64_t> number = ascii::parse_decimal(text);
    return number && *number <= most ? number : std::nullopt;
}

PORTHOLE_FN std::optional<std::int64_t>
parse_signed(std::string_view text, std::int64_t least, std::int64_t most) noexcept {
    if (text.substr(0, 1) != "-") {
        const auto number = parse_unsigned(text, static_cast<std::uint64_t>(most));
        return number ? std::optional<std::int64_t>(*number) : std::nullopt;
    }
    // The least has no opposite, so what is behind the sign is bounded as an unsigned number.
    const auto behind_sign = std::uint64_t{0} - static_cast<std::uint64_t>(least);
    const auto number = parse_unsigned(text.substr(1), behind_sign);
    return number ? std::optional<std::int64_t>(-1 - static_cast<std::int64_t>(*number - 1))
                  : std::nullopt;
}

PORTHOLE_FN std::optional<double> parse_floating(std::string_view text, double most) {
    // Both functions below take words, too, and one of them blanks, '+' and hexadecimals.
    const bool has_digit = text.find_first_of("0123456789") != std::string_view::npos;
    if (!has_digit || text.find_first_not_of("0123456789.eE+-") != std::string_view::npos
        || text.front() == '+') {
        return std::nullopt;
    }
    double number = 0;
#if defined(__cpp_lib_to_chars)
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
    const bool is_whole = parsed.ec == std::errc() && parsed.ptr == text.data() + text.size();
#else // where the library lacks it; in a locale with another decimal point only integers pass
    const std::string copy(text);
    char* end = nullptr;
    number = std::strtod(copy.c_str(), &end);
    const bool is_whole = end == copy.c_str() + copy.size();
#endif
    return is_whole && number >= -most && number <= most ? std::optional<double>(number)
                                                         : std::nullopt;
}

/// Hands each character to `visit`, and U+FFFD for each byte that belongs to none.
template <class Visit>
void for_each_character(std::string_view text, const Visit& visit) {
    while (!text.empty()) {
        const std::size_t size = first_character_size(text);
        visit(size == 0 ? std::string_view("\xef\xbf\xbd") : text.substr(0, size));
        text.remove_prefix(size == 0 ? 1 : size);
    }
}

PORTHOLE_FN void append_html(std::string_view text, std::string& into) {
    for_each_character(text, [&into](std::string_view character) {
        constexpr char first_visible = 0x20;
        const char c = character[0];
        switch (c) {
        case '&': into += "&amp;"; break;
        case '<': into += "&lt;"; break;
        case '>': into += "&gt;"; break;
        case '"': into += "&quot;"; break;
        case '\'': into += "&#39;"; break;
        case '\t':
        case '\n':
        case '\r': into += c; break;
        default: into += c >= 0 && c < first_visible ? std::string_view("\xef\xbf\xbd") : character;
        }
    });
}

PORTHOLE_FN void append_json(std::string_view text, std::string& into) {
    into += '"';
    for_each_character(text, [&into](std::string_view character) {
        constexpr char digits[] = "0123456789abcdef";
        constexpr char first_visible = 0x20;
        const char c = character[0];
        if (c == '"' || c == '\\') {
            into += '\\';
            into += c;
        } else if (c >= 0 && c < first_visible) {
            into += "\\u00";
            into += digits[c >> 4];
            into += digits[c & 0xf];
        } else {
            into += character;
        }
    });
    into += '"';
}

} // namespace detail

PORTHOLE_FN std::string escape_html(std::string_view text) {
    std::string escaped;
    detail::append_html(text, escaped);
    return escaped;
}

PORTHOLE_FN std::string quote_json(std::string_view text) {
    std::string quoted;
    detail::append_json(text, quoted);
    return quoted;
}

PORTHOLE_NAMESPACE_END
