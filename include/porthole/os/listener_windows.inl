// SPDX-License-Identifier: MIT
#pragma once

// What listening needs of Windows alone: a port that nobody can take a share of, and accepting.
// There are no unix sockets here.

#include "porthole/os/listener.hpp"
#include "porthole/os/listener.inl"
#include "porthole/os/platform.inl"
#include "porthole/os/socket_windows.inl"

#if defined(_WIN32)

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN Error
prepare_to_bind(Socket& socket, const Endpoint& at, const ListenOptions& options) {
    if (options.reuse_port) {
        return endpoint_error(
            "setsockopt SO_REUSEPORT", at, WSAENOPROTOOPT,
            "Windows cannot spread connections over listeners of one port; turn "
            "ListenOptions::reuse_port off");
    }
    // SO_REUSEADDR would let any program take the port over while this one uses it.
    constexpr int exclusive_address_use = ~SO_REUSEADDR;
    if (!set_option(socket.handle(), SOL_SOCKET, exclusive_address_use, 1)) {
        return endpoint_error("setsockopt SO_EXCLUSIVEADDRUSE", at, last_socket_error());
    }
    return {};
}

inline AcceptStatus accept_status(int code) noexcept {
    switch (code) {
    case WSAEWOULDBLOCK: return AcceptStatus::none;
    case WSAEMFILE:
    case WSAENOBUFS: return AcceptStatus::exhausted;
    case WSAEINTR:
    case WSAECONNABORTED:
    case WSAECONNRESET:
    case WSAENETDOWN: return AcceptStatus::retry;
    default: return AcceptStatus::failed;
    }
}

PORTHOLE_FN AcceptStatus Listener::accept(Socket& socket, Endpoint& peer) noexcept {
    SocketAddress address;
    const SOCKET accepted = ::accept(native(handle()), address.data(), &address.length);
    if (accepted == INVALID_SOCKET) {
        return accept_status(last_socket_error());
    }
    Socket made(static_cast<NativeHandle>(accepted));
    if (!prepare_handle(accepted)) {
        return AcceptStatus::retry;
    }
    made.set_no_delay();
    peer = from_system(address);
    socket = std::move(made);
    return AcceptStatus::accepted;
}

PORTHOLE_FN Error
Listener::open_local(const Endpoint& at, const ListenOptions&, unsigned, Listener&) {
    return endpoint_error(
        "bind", at, WSAEAFNOSUPPORT,
        "unix sockets are not offered on Windows; listen on localhost instead");
}

PORTHOLE_FN void Listener::remove_file() noexcept {}

} // namespace detail

PORTHOLE_NAMESPACE_END

#endif
