// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/base/ascii.hpp"
#include "porthole/base/ip_address.hpp"

#include <cstddef>
#include <optional>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN bool parse_ipv4(std::string_view text, std::array<std::uint8_t, 4>& address) noexcept {
    constexpr std::size_t max_digits = 3;
    for (std::size_t octet = 0; octet < address.size(); ++octet) {
        const bool is_last = octet + 1 == address.size();
        const std::size_t dot = text.find('.');
        if (is_last != (dot == std::string_view::npos)) {
            return false;
        }
        const std::string_view digits = text.substr(0, dot);
        const std::optional<std::uint64_t> value = ascii::parse_decimal(digits);
        if (!value || *value > UINT8_MAX || digits.size() > max_digits
            || (digits.size() > 1 && digits[0] == '0')) {
            return false;
        }
        address[octet] = static_cast<std::uint8_t>(*value);
        text.remove_prefix(is_last ? text.size() : dot + 1);
    }
    return true;
}

/// Takes one group of hexadecimal digits from the front; false when there is none of one to four.
inline bool take_group(std::string_view& text, std::uint8_t* into) noexcept {
    constexpr std::size_t max_digits = 4;
    constexpr unsigned bits_per_digit = 4;
    constexpr unsigned bits_per_byte = 8;
    unsigned value = 0;
    std::size_t size = 0;
    while (size < text.size() && ascii::hex_value(text[size]) >= 0) {
        if (size == max_digits) {
            return false;
        }
        value = (value << bits_per_digit) | static_cast<unsigned>(ascii::hex_value(text[size]));
        ++size;
    }
    text.remove_prefix(size);
    into[0] = static_cast<std::uint8_t>(value >> bits_per_byte);
    into[1] = static_cast<std::uint8_t>(value & UINT8_MAX);
    return size != 0;
}

PORTHOLE_FN bool parse_ipv6(std::string_view text, std::array<std::uint8_t, 16>& address) noexcept {
    constexpr std::size_t ipv4_size = 4;
    std::array<std::uint8_t, 16> found{};
    std::size_t size = 0;                 // bytes found
    std::size_t gap = address.size() + 1; // where "::" stood
    if (text.substr(0, 2) == "::") {
        gap = 0;
        text.remove_prefix(2);
    }
    while (!text.empty()) {
        const std::size_t dot = text.find('.');
        if (dot != std::string_view::npos && text.find(':') == std::string_view::npos) {
            std::array<std::uint8_t, ipv4_size> last{};
            if (size + ipv4_size > found.size() || !parse_ipv4(text, last)) {
                return false;
            }
            for (const std::uint8_t byte : last) {
                found[size++] = byte;
            }
            break;
        }
        if (size + 2 > found.size() || !take_group(text, &found[size])) {
            return false;
        }
        size += 2;
        if (text.empty()) {
            break;
        }
        if (text.substr(0, 2) == "::" && gap > address.size()) {
            gap = size;
            text.remove_prefix(2);
        } else if (text[0] == ':' && text.size() > 1 && text[1] != ':') {
            text.remove_prefix(1);
        } else {
            return false;
        }
    }
    const bool has_gap = gap <= address.size();
    if (has_gap ? size >= address.size() : size != address.size()) {
        return false;
    }
    const std::size_t head = has_gap ? gap : size;
    address = {};
    for (std::size_t i = 0; i < head; ++i) {
        address[i] = found[i];
    }
    for (std::size_t i = head; i < size; ++i) {
        address[address.size() - size + i] = found[i];
    }
    return true;
}

/// True when all but the last `kept` bytes are zero, but for the ffff of a mapped IPv4 address.
inline bool has_zero_prefix(const std::array<std::uint8_t, 16>& address, bool is_mapped) noexcept {
    constexpr std::size_t zeros = 10;
    constexpr std::size_t prefix = 12;
    for (std::size_t i = 0; i < prefix; ++i) {
        if (address[i] != (is_mapped && i >= zeros ? UINT8_MAX : 0)) {
            return false;
        }
    }
    return true;
}

inline std::array<std::uint8_t, 4>
last_octets(const std::array<std::uint8_t, 16>& address) noexcept {
    return {address[12], address[13], address[14], address[15]};
}

PORTHOLE_FN bool is_loopback(const std::array<std::uint8_t, 16>& address) noexcept {
    const std::array<std::uint8_t, 4> last = last_octets(address);
    const bool is_one = last[0] == 0 && last[1] == 0 && last[2] == 0 && last[3] == 1;
    return (is_one && has_zero_prefix(address, false))
           || (is_loopback(last) && has_zero_prefix(address, true));
}

PORTHOLE_FN bool is_unspecified(const std::array<std::uint8_t, 16>& address) noexcept {
    return is_unspecified(last_octets(address))
           && (has_zero_prefix(address, false) || has_zero_prefix(address, true));
}

} // namespace detail

PORTHOLE_NAMESPACE_END
