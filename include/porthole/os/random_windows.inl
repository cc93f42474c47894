// SPDX-License-Identifier: MIT
#pragma once

#if defined(_WIN32)

#include "porthole/os/platform.inl"
#include "porthole/os/random.hpp"

// RtlGenRandom under the name that advapi32 exports; no header declares it without the whole of
// ntsecapi.h.
extern "C" BOOLEAN NTAPI SystemFunction036(PVOID, ULONG);

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN bool fill_random(char* into, std::size_t size) noexcept {
    return ::SystemFunction036(into, static_cast<ULONG>(size)) != 0;
}

} // namespace detail

PORTHOLE_NAMESPACE_END

#endif
