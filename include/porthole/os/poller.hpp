// SPDX-License-Identifier: MIT
#pragma once

// Which descriptors are ready. One interface, several systems behind it: epoll on Linux, and poll
// or WSAPoll everywhere. All of them are level-triggered: what was not served is reported again.

#include "porthole/base/clock.hpp"
#include "porthole/base/error.hpp"
#include "porthole/os/socket.hpp"

#include <cstddef>
#include <memory>

PORTHOLE_NAMESPACE_BEGIN

/// Which mechanism waits for descriptors. `automatic` takes the best one that the system has.
enum class PollerKind : unsigned char { automatic, epoll, poll };

/// What to be told about.
struct Interest {
    bool read = false;
    bool write = false;
    bool hangup = true; ///< that the peer has finished sending; a broken connection is always told
    friend bool operator==(Interest a, Interest b) noexcept {
        return a.read == b.read && a.write == b.write && a.hangup == b.hangup;
    }
    friend bool operator!=(Interest a, Interest b) noexcept { return !(a == b); }
};

/// What happened.
struct Readiness {
    bool read = false;   ///< bytes, a connection, or the end of the stream can be read
    bool write = false;  ///< there is room to write
    bool hangup = false; ///< the peer has finished sending, or the connection is broken
    bool error = false;  ///< the connection is broken
};

namespace detail {

class Poller {
public:
    struct Event {
        void* owner;
        Readiness readiness;
    };
    /// What one call of poll() reports at the most.
    static constexpr std::size_t max_events = 256;
    static constexpr Duration forever{-1};

    virtual ~Poller() = default;
    /// Starts to watch. `owner` comes back with each event and is never looked at. A descriptor
    /// without interest is still told of hangups and errors.
    virtual Error add(NativeHandle handle, void* owner, Interest interest) = 0;
    virtual Error modify(NativeHandle handle, void* owner, Interest interest) = 0;
    /// Must be called before the descriptor is closed.
    virtual void remove(NativeHandle handle) noexcept = 0;
    /// Fills up to max_events events and returns how many. Waits `timeout` at the most: zero asks
    /// and returns, forever waits for ever. A signal ends the wait early.
    virtual std::size_t poll(Duration timeout, Event* events) noexcept = 0;
    /// One descriptor that is readable when anything watched is ready, or invalid_handle.
    virtual NativeHandle native_handle() const noexcept = 0;
};

/// Makes a poller of that kind; an error when the system has none such.
Error make_poller(PollerKind kind, std::unique_ptr<Poller>& poller);

} // namespace detail

PORTHOLE_NAMESPACE_END
