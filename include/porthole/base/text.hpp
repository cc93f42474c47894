// SPDX-License-Identifier: MIT
#pragma once

// From text to numbers, and from text to HTML and JSON: what nearly every handler needs, and what
// goes wrong when it is written in haste.

#include "porthole/base/config.hpp"

#include <charconv>
#include <cmath>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>

PORTHOLE_NAMESPACE_BEGIN

/// The decimal number that the whole of `text` is: "42", "-7", and for floating types "0.5" and
/// "1e3", too. Nothing when it is anything else or does not fit: blanks, a leading '+', "0x10",
/// "300" for a std::uint8_t, "nan". The locale has no say.
template <class Number>
std::optional<Number> parse_number(std::string_view text) noexcept {
    static_assert(
        std::is_arithmetic_v<Number> && !std::is_same_v<Number, bool>,
        "parse_number() makes integers and floating numbers");
    Number number{};
    const char* const end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data(), end, number);
    if (parsed.ec != std::errc() || parsed.ptr != end) {
        return std::nullopt;
    }
    if constexpr (std::is_floating_point_v<Number>) {
        if (!std::isfinite(number)) {
            return std::nullopt;
        }
    }
    return number;
}

/// `text` for HTML, between tags and in quoted attributes. What is not UTF-8, and control
/// characters, become U+FFFD.
std::string escape_html(std::string_view text);
/// `text` as a JSON string, with its quotes (RFC 8259 section 7). What is not UTF-8 becomes U+FFFD.
std::string quote_json(std::string_view text);

namespace detail {

void append_html(std::string_view text, std::string& into);
void append_json(std::string_view text, std::string& into);

} // namespace detail

PORTHOLE_NAMESPACE_END
