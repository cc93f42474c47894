// SPDX-License-Identifier: MIT
#pragma once

// IP addresses as text, in their strict forms only. The forgiving ones (127.1, 0x7f.1, 2130706433,
// leading zeros) are how a look-alike slips past a check, so nothing here knows them.

#include "porthole/base/config.hpp"

#include <array>
#include <cstdint>
#include <string_view>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// Four decimal octets without leading zeros (RFC 3986 section 3.2.2). False for anything else.
bool parse_ipv4(std::string_view text, std::array<std::uint8_t, 4>& address) noexcept;
/// Eight groups of one to four hexadecimal digits, one "::" for one or more groups of zero, the
/// last two groups also as IPv4 (RFC 4291 section 2.2). No brackets and no zone.
bool parse_ipv6(std::string_view text, std::array<std::uint8_t, 16>& address) noexcept;

/// 127.0.0.0/8.
constexpr bool is_loopback(const std::array<std::uint8_t, 4>& address) noexcept {
    return address[0] == 127;
}
/// ::1 and ::ffff:127.0.0.0/104.
bool is_loopback(const std::array<std::uint8_t, 16>& address) noexcept;
/// 0.0.0.0, which is not an address to reach anybody at.
constexpr bool is_unspecified(const std::array<std::uint8_t, 4>& address) noexcept {
    return address[0] == 0 && address[1] == 0 && address[2] == 0 && address[3] == 0;
}
/// :: and ::ffff:0.0.0.0.
bool is_unspecified(const std::array<std::uint8_t, 16>& address) noexcept;

} // namespace detail

PORTHOLE_NAMESPACE_END
