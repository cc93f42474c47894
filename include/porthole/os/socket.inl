// SPDX-License-Identifier: MIT
#pragma once

// What a socket is on every system: the ownership of its handle, and how the system's codes become
// sentences that tell the user what to do.

#include "porthole/os/platform.inl"
#include "porthole/os/socket.hpp"

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// How often a call that a signal interrupted is made again before it counts as "nothing now".
inline constexpr int max_interrupts = 16;

PORTHOLE_FN Socket& Socket::operator=(Socket&& other) noexcept {
    if (this != &other) {
        close();
        handle_ = other.handle_;
        other.handle_ = invalid_handle;
    }
    return *this;
}

PORTHOLE_FN NativeHandle Socket::release() noexcept {
    const NativeHandle handle = handle_;
    handle_ = invalid_handle;
    return handle;
}

inline std::string_view family_text(Family family) noexcept {
    switch (family) {
    case Family::any: break;
    case Family::ipv4: return "IPv4";
    case Family::ipv6: return "IPv6";
    case Family::local: return "unix";
    }
    return "no family";
}

PORTHOLE_FN Error Socket::open(Family family, Socket& socket) {
    const int code = create_socket(family, socket);
    return code == 0 ? Error() : socket_error("socket", family_text(family), code);
}

PORTHOLE_FN Endpoint Socket::local_endpoint() const {
    SocketAddress address;
    if (::getsockname(native(handle_), address.data(), &address.length) != 0) {
        return {};
    }
    return from_system(address);
}

PORTHOLE_FN Endpoint Socket::peer_endpoint() const {
    SocketAddress address;
    if (::getpeername(native(handle_), address.data(), &address.length) != 0) {
        return {};
    }
    return from_system(address);
}

PORTHOLE_FN void Socket::set_no_delay() noexcept {
    // Without it answers are slower, not wrong; a unix socket refuses it.
    static_cast<void>(set_option(handle_, IPPROTO_TCP, TCP_NODELAY, 1));
}

PORTHOLE_FN int Socket::take_error() noexcept {
    int code = 0;
    auto length = static_cast<socklen_t>(sizeof code);
    if (::getsockopt(native(handle_), SOL_SOCKET, SO_ERROR, reinterpret_cast<char*>(&code), &length)
        != 0) {
        return last_socket_error();
    }
    return code;
}

/// What a user can do about it when the caller knows nothing better.
inline std::string_view default_advice(ErrorCode code) noexcept {
    switch (code) {
    case ErrorCode::address_in_use:
        return "stop the program that holds it, choose another, let ListenOptions::port_range try "
               "the next ones, or pass port 0 for any that is free";
    case ErrorCode::address_not_available:
        return "no interface of this machine has this address; localhost always works";
    case ErrorCode::permission_denied:
        return "ask for the permission, or choose a port or path that this user may use";
    case ErrorCode::unsupported_family:
        return "this machine lacks that kind of address; choose another with "
               "ListenOptions::family";
    case ErrorCode::too_many_files:
        return "close what is not needed, or raise the limit of open files (ulimit -n)";
    case ErrorCode::exhausted:
        return "try again when the machine, or the other side, has less to do";
    case ErrorCode::connection_refused:
        return "nobody listens there; start the other program first or check the port";
    case ErrorCode::timed_out: return "the other side does not answer; check address and firewall";
    case ErrorCode::not_found: return "check the path; its directory has to exist";
    case ErrorCode::unknown_host:
        return "check the spelling and the network; localhost always works";
    case ErrorCode::ok:
    case ErrorCode::bad_port:
    case ErrorCode::bad_path:
    case ErrorCode::too_long:
    case ErrorCode::not_exposed:
    case ErrorCode::bad_pattern:
    case ErrorCode::already_exists:
    case ErrorCode::misuse:
    case ErrorCode::system: break;
    }
    return {};
}

PORTHOLE_FN Error socket_error(
    std::string_view call, std::string_view subject, int system_code, std::string_view advice) {
    const ErrorCode code = classify_socket_error(system_code);
    return Error(code, call, subject, advice.empty() ? default_advice(code) : advice)
        .with_system(system_code, system_text(system_code));
}

/// The same for a call on an endpoint. Takes it whole, because making its text before errno is
/// read could change errno.
inline Error endpoint_error(
    std::string_view call, const Endpoint& at, int system_code, std::string_view advice = {}) {
    return socket_error(call, at.to_string(), system_code, advice);
}

/// Control characters become blanks, and none stay at the end: messages are one line.
inline std::string one_line(std::string text) {
    for (char& c : text) {
        const auto byte = static_cast<unsigned char>(c);
        c = byte < 0x20 || byte == 0x7f ? ' ' : c;
    }
    while (!text.empty() && text.back() == ' ') {
        text.pop_back();
    }
    return text;
}

} // namespace detail

PORTHOLE_NAMESPACE_END
