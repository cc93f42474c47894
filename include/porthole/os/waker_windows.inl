// SPDX-License-Identifier: MIT
#pragma once

// The waker on Windows, whose pollers know sockets only: a UDP socket on loopback that is connected
// to itself, so that no other program can reach it.

#include "porthole/os/platform.inl"
#include "porthole/os/socket_windows.inl"
#include "porthole/os/waker.hpp"

#if defined(_WIN32)

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// Bound to a free port of 127.0.0.1 and connected to it. 0, or the system's code.
inline int connect_to_itself(SOCKET handle) noexcept {
    SocketAddress address;
    if (!prepare_handle(handle) || !to_system(Endpoint::ipv4({127, 0, 0, 1}, 0), address)
        || ::bind(handle, address.data(), address.length) != 0) {
        return last_socket_error();
    }
    address = SocketAddress();
    if (::getsockname(handle, address.data(), &address.length) != 0
        || ::connect(handle, address.data(), address.length) != 0) {
        return last_socket_error();
    }
    return 0;
}

PORTHOLE_FN Error Waker::open() {
    close();
    if (const int code = begin_network()) {
        return socket_error("WSAStartup", "", code);
    }
    const SOCKET handle = ::WSASocketW(
        AF_INET, SOCK_DGRAM, IPPROTO_UDP, nullptr, 0,
        WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT);
    if (handle == INVALID_SOCKET) {
        const int code = last_socket_error();
        end_network();
        return socket_error("socket", "UDP", code);
    }
    read_end_ = write_end_ = static_cast<NativeHandle>(handle);
    if (const int code = connect_to_itself(handle)) {
        close();
        return socket_error("connect", "the waker's own UDP port", code);
    }
    return {};
}

PORTHOLE_FN void Waker::close() noexcept {
    if (read_end_ != invalid_handle) {
        static_cast<void>(::closesocket(native(read_end_)));
        read_end_ = write_end_ = invalid_handle;
        end_network();
    }
    is_raised_.store(false, std::memory_order_release);
}

PORTHOLE_FN void Waker::wake() noexcept {
    if (write_end_ == invalid_handle || is_raised_.exchange(true, std::memory_order_acq_rel)) {
        return;
    }
    const char one = 1;
    if (::send(native(write_end_), &one, 1, 0) != 1) {
        is_raised_.store(false, std::memory_order_release); // so that the next wake() tries again
    }
}

/// The flag falls after the read and only when something was read: a wake() that has raised it and
/// not written yet keeps it up, and is drained in the next round. A wake() between read and fall
/// writes nothing, so look for work after drain(), never before.
PORTHOLE_FN void Waker::drain() noexcept {
    if (!is_raised_.load(std::memory_order_acquire)) {
        return;
    }
    char byte = 0;
    if (::recv(native(read_end_), &byte, 1, 0) > 0) {
        static_cast<void>(is_raised_.exchange(false, std::memory_order_acq_rel));
    }
}

} // namespace detail

PORTHOLE_NAMESPACE_END

#endif
