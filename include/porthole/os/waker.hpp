// SPDX-License-Identifier: MIT
#pragma once

// Ends another thread's wait in the poller: eventfd on Linux, a pipe on other POSIX systems, a
// loopback UDP socket on Windows, whose pollers know nothing else.

#include "porthole/base/error.hpp"
#include "porthole/os/socket.hpp"

#include <atomic>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

class Waker {
public:
    Waker() = default;
    Waker(const Waker&) = delete;
    Waker& operator=(const Waker&) = delete;
    ~Waker() { close(); }

    Error open();
    void close() noexcept;
    /// Readable from wake() to drain().
    NativeHandle handle() const noexcept { return read_end_; }
    /// Any thread may call it; never blocks. Several calls before a drain() count as one.
    void wake() noexcept;
    /// From the waiting thread: makes the handle unreadable again. Costs nothing when nobody
    /// woke.
    void drain() noexcept;

private:
    NativeHandle read_end_ = invalid_handle;
    NativeHandle write_end_ =
        invalid_handle; ///< the same as read_end_ where one descriptor does both
    std::atomic<bool> is_raised_{false};
};

} // namespace detail

PORTHOLE_NAMESPACE_END
