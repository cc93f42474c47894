// SPDX-License-Identifier: MIT
#pragma once

// From text to numbers, and from text to HTML and JSON: what nearly every handler needs, and what
// goes wrong when it is written in haste.

#include "porthole/base/config.hpp"

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// Within the bounds, both included; `least` is not above 0.
std::optional<std::int64_t>
parse_signed(std::string_view text, std::int64_t least, std::int64_t most) noexcept;
std::optional<std::uint64_t> parse_unsigned(std::string_view text, std::uint64_t most) noexcept;
/// Within plus and minus `most`.
std::optional<double> parse_floating(std::string_view text, double most);

} // namespace detail

/// The decimal number that the whole of `text` is: "42", "-7", and for float and double "0.5" and
/// "1e3", too. Nothing when it is anything else or does not fit: blanks, a leading '+', "0x10",
/// "300" for a std::uint8_t, "nan".
template <class Number>
std::optional<Number> parse_number(std::string_view text) {
    static_assert(
        std::is_arithmetic_v<
            Number> && !std::is_same_v<Number, bool> && sizeof(Number) <= sizeof(std::uint64_t),
        "parse_number() makes integers, float and double");
    using Range = std::numeric_limits<Number>;
    const auto narrow = [](auto wide) {
        return wide ? std::optional<Number>(static_cast<Number>(*wide)) : std::nullopt;
    };
    if constexpr (std::is_floating_point_v<Number>) {
        return narrow(detail::parse_floating(text, (Range::max)()));
    } else if constexpr (std::is_signed_v<Number>) {
        return narrow(detail::parse_signed(text, (Range::min)(), (Range::max)()));
    } else {
        return narrow(detail::parse_unsigned(text, (Range::max)()));
    }
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
