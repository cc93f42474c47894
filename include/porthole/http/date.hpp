// SPDX-License-Identifier: MIT
#pragma once

// IMF-fixdate (RFC 9110 section 5.6.7), without the C library's locale and time zone.

#include "porthole/base/config.hpp"

#include <chrono>
#include <cstddef>
#include <optional>
#include <string_view>

PORTHOLE_NAMESPACE_BEGIN

/// How long an IMF-fixdate is.
inline constexpr std::size_t date_size = 29;

/// Writes "Sun, 06 Nov 1994 08:49:37 GMT", date_size bytes, no end. Years 0 to 9999;
/// times beyond are the first or last moment of those.
void write_date(std::chrono::system_clock::time_point time, char* into) noexcept;
/// Reads IMF-fixdate and the two obsolete forms (RFC 850 and asctime), which a server must
/// accept. `now` decides the century of a two-digit year. The weekday is not compared. A date that
/// system_clock cannot hold is its last moment. Anything else is nothing.
std::optional<std::chrono::system_clock::time_point>
parse_date(std::string_view text, std::chrono::system_clock::time_point now) noexcept;

PORTHOLE_NAMESPACE_END
