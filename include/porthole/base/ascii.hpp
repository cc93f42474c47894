// SPDX-License-Identifier: MIT
#pragma once

// Bytes as HTTP sees them: ASCII only, no locale. The tables follow the grammar of RFC 9110
// section 5.6 and RFC 3986 section 2. All of it is total: any byte string is a legal argument.

#include "porthole/base/config.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

PORTHOLE_NAMESPACE_BEGIN

namespace ascii {

constexpr bool is_digit(char c) noexcept {
    return c >= '0' && c <= '9';
}
constexpr bool is_alpha(char c) noexcept {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
constexpr char to_lower(char c) noexcept {
    return (c >= 'A' && c <= 'Z') ? static_cast<char>(c + ('a' - 'A')) : c;
}
/// The value of a hexadecimal digit, or -1.
constexpr int hex_value(char c) noexcept {
    if (is_digit(c)) {
        return c - '0';
    }
    const char lower = to_lower(c);
    return (lower >= 'a' && lower <= 'f') ? lower - 'a' + 10 : -1;
}

/// Equal but for the case of A to Z.
bool equals_ignoring_case(std::string_view a, std::string_view b) noexcept;
/// Without the spaces and tabs at both ends (OWS, RFC 9110 section 5.6.3).
std::string_view trim(std::string_view text) noexcept;

/// tchar (RFC 9110 section 5.6.2): what a method or a field name is made of.
bool is_token_char(char c) noexcept;
/// One or more tchar.
bool is_token(std::string_view text) noexcept;
/// No control character but HTAB: what a field value is made of (RFC 9110 section 5.5).
bool is_field_value(std::string_view text) noexcept;
/// Visible ASCII only: what a request target is made of.
bool is_visible(std::string_view text) noexcept;

/// Digits only, no sign, no blank, no overflow; nothing else is a number.
std::optional<std::uint64_t> parse_decimal(std::string_view text) noexcept;

/// Writes a number's decimal digits; `into` has room for 20. Returns how many were written.
std::size_t write_decimal(char* into, std::uint64_t value) noexcept;

/// Walks a comma-separated list (RFC 9110 section 5.6.1), trimmed, empty elements left out:
/// returns the next element and removes it from `rest`, or nothing at the end. Commas in quoted
/// strings do not separate.
std::optional<std::string_view> next_list_element(std::string_view& rest) noexcept;

/// True when the comma-separated list has that element, in any case.
bool list_has(std::string_view list, std::string_view element) noexcept;

} // namespace ascii

PORTHOLE_NAMESPACE_END
