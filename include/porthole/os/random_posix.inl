// SPDX-License-Identifier: MIT
#pragma once

#if !defined(_WIN32)

#include "porthole/os/platform.inl"
#include "porthole/os/random.hpp"

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// getentropy() never blocks once the system is up and never returns less than asked for.
PORTHOLE_FN bool fill_random(char* into, std::size_t size) noexcept {
    return ::getentropy(into, size) == 0;
}

} // namespace detail

PORTHOLE_NAMESPACE_END

#endif
