// SPDX-License-Identifier: MIT
#pragma once

// Connecting out without blocking: walks the addresses of a name one after the other until one
// answers or the deadline passes. The caller watches handle() for writability and calls advance(),
// at the latest at the deadline.

#include "porthole/base/clock.hpp"
#include "porthole/os/endpoint.hpp"
#include "porthole/os/socket.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

class Connector {
public:
    enum class State : unsigned char { idle, connecting, connected, failed };

    /// Resolves `host` and begins with its first address. "unix:/path" is a unix socket; port
    /// is then ignored.
    State start(std::string_view host, std::uint16_t port, TimePoint deadline);
    /// The same for endpoints that are known.
    State start(std::vector<Endpoint> endpoints, TimePoint deadline);
    /// Looks how far it is; goes on to the next address when this one failed. Call it when
    /// handle() is writable or the deadline has passed.
    State advance(TimePoint now);

    State state() const noexcept { return state_; }
    /// What to watch for writability while connecting. Changes when the next address is tried.
    NativeHandle handle() const noexcept { return socket_.handle(); }
    /// Why it failed: the last address's error, or the deadline's.
    const Error& error() const noexcept { return error_; }
    /// The connected socket; the connector is idle afterwards.
    Socket take_socket() noexcept;

private:
    State try_next();
    bool finish_current();
    State fail(Error error);
    bool is_writable() const noexcept;

    State state_ = State::idle;
    Socket socket_;
    std::vector<Endpoint> endpoints_;
    std::size_t next_ = 0;
    TimePoint deadline_{};
    Error error_;
};

} // namespace detail

PORTHOLE_NAMESPACE_END
