// SPDX-License-Identifier: MIT
#pragma once

// The waker on POSIX: an eventfd where there is one, else a pipe. Either holds one unread message
// at the most, because only the first wake() after a drain() writes.

#include "porthole/os/platform.inl"
#include "porthole/os/socket_posix.inl"
#include "porthole/os/waker.hpp"

#if !defined(_WIN32)

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN Error Waker::open() {
    close();
#if defined(EFD_CLOEXEC)
    read_end_ = write_end_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (read_end_ < 0) {
        return socket_error("eventfd", "", errno);
    }
#else
    int ends[2] = {-1, -1};
    if (::pipe(ends) != 0) {
        return socket_error("pipe", "", errno);
    }
    read_end_ = ends[0];
    write_end_ = ends[1];
    if (!set_descriptor_flags(ends[0]) || !set_descriptor_flags(ends[1])) {
        const int code = errno;
        close();
        return socket_error("fcntl", "", code);
    }
#endif
    return {};
}

PORTHOLE_FN void Waker::close() noexcept {
    if (write_end_ != invalid_handle && write_end_ != read_end_) {
        static_cast<void>(::close(native(write_end_)));
    }
    if (read_end_ != invalid_handle) {
        static_cast<void>(::close(native(read_end_)));
    }
    read_end_ = write_end_ = invalid_handle;
    is_raised_.store(false, std::memory_order_release);
}

PORTHOLE_FN void Waker::wake() noexcept {
    if (write_end_ == invalid_handle || is_raised_.exchange(true, std::memory_order_acq_rel)) {
        return;
    }
    const std::uint64_t one = 1; // an eventfd takes eight bytes; a pipe does not mind
    for (int attempt = 0; attempt < max_interrupts; ++attempt) {
        if (::write(native(write_end_), &one, sizeof one) >= 0 || errno != EINTR) {
            return;
        }
    }
    is_raised_.store(false, std::memory_order_release); // so that the next wake() tries again
}

/// The flag falls after the read and only when something was read: a wake() that has raised it and
/// not written yet keeps it up, and is drained in the next round. A wake() between read and fall
/// writes nothing, so look for work after drain(), never before.
PORTHOLE_FN void Waker::drain() noexcept {
    if (!is_raised_.load(std::memory_order_acquire)) {
        return;
    }
    std::uint64_t count = 0;
    if (::read(native(read_end_), &count, sizeof count) > 0) {
        static_cast<void>(is_raised_.exchange(false, std::memory_order_acq_rel));
    }
}

} // namespace detail

PORTHOLE_NAMESPACE_END

#endif
