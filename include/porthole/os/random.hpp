// SPDX-License-Identifier: MIT
#pragma once

// Random bytes for secrets, from the operating system and from nowhere else.

#include "porthole/base/config.hpp"

#include <cstddef>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// Fills `into` with `size` bytes, at most 256, that nobody can predict. False when the system has
/// none to give: then there is no secret, and what needs one must fail.
[[nodiscard]] bool fill_random(char* into, std::size_t size) noexcept;

} // namespace detail

PORTHOLE_NAMESPACE_END
