// SPDX-License-Identifier: MIT
#pragma once

// For systems without Linux's sendfile(2), or with another call of that name: files are read and
// sent like everything else.

#if !defined(__linux__)

#include "porthole/os/transport.hpp"

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN bool system_sends_files() noexcept {
    return false;
}

PORTHOLE_FN IoResult
send_file_bytes(NativeHandle, NativeHandle, std::uint64_t, std::size_t) noexcept {
    IoResult result;
    result.status = IoStatus::failed;
    return result;
}

} // namespace detail

PORTHOLE_NAMESPACE_END

#endif
