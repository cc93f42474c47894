// SPDX-License-Identifier: MIT
#pragma once

// Sockets on Windows: SOCKET handles and WSAGetLastError(). Winsock has to be started and ended,
// and counts both itself; the count is kept once for each open Socket, so the library needs no
// global and the last socket that closes undoes the first start. socket_posix.inl beside it says
// the same for POSIX.

#include "porthole/os/endpoint.inl"
#include "porthole/os/platform.inl"
#include "porthole/os/socket.inl"

#include <climits>
#include <cstddef>
#include <cstring>

#if defined(_WIN32)

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

inline constexpr int connection_reset_code = WSAECONNRESET;
inline constexpr int broken_pipe_code = WSAESHUTDOWN;

/// Adds one to Winsock's count; 0, or why Winsock is not there.
inline int begin_network() noexcept {
    WSADATA data;
    return ::WSAStartup(MAKEWORD(2, 2), &data);
}

inline void end_network() noexcept {
    static_cast<void>(::WSACleanup());
}

PORTHOLE_FN NetworkUse::NetworkUse() noexcept : code_(begin_network()) {}

PORTHOLE_FN NetworkUse::~NetworkUse() {
    if (code_ == 0) {
        end_network();
    }
}

PORTHOLE_FN int last_socket_error() noexcept {
    return ::WSAGetLastError();
}

/// Adopting a handle counts; moving a Socket moves the count with it; release() leaves it behind,
/// because Winsock going away would close a handle that somebody else still uses.
PORTHOLE_FN Socket::Socket(NativeHandle handle) noexcept : handle_(handle) {
    if (is_open()) {
        static_cast<void>(begin_network()); // cannot fail: the handle shows that Winsock is there
    }
}

PORTHOLE_FN void Socket::close() noexcept {
    if (is_open()) {
        static_cast<void>(::closesocket(native(handle_)));
        handle_ = invalid_handle;
        end_network();
    }
}

/// Non-blocking, and not inherited by child processes.
inline bool prepare_handle(SOCKET handle) noexcept {
    u_long is_on = 1;
    // Fails for handles of layered service providers, which are not inheritable anyway.
    static_cast<void>(
        ::SetHandleInformation(reinterpret_cast<HANDLE>(handle), HANDLE_FLAG_INHERIT, 0));
    return ::ioctlsocket(handle, static_cast<long>(FIONBIO), &is_on) == 0;
}

PORTHOLE_FN int create_socket(Family family, Socket& socket) noexcept {
    int domain = AF_UNSPEC;
    switch (family) {
    case Family::any:
    case Family::local: return WSAEAFNOSUPPORT;
    case Family::ipv4: domain = AF_INET; break;
    case Family::ipv6: domain = AF_INET6; break;
    }
    const NetworkUse network;
    if (network.code() != 0) {
        return network.code();
    }
    const SOCKET handle = ::WSASocketW(
        domain, SOCK_STREAM, IPPROTO_TCP, nullptr, 0,
        WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT);
    if (handle == INVALID_SOCKET) {
        return last_socket_error();
    }
    Socket made(static_cast<NativeHandle>(handle));
    if (!prepare_handle(handle)) {
        return last_socket_error();
    }
    socket = static_cast<Socket&&>(made);
    return 0;
}

/// What a failed read or write means.
inline IoResult failed_io(int code) noexcept {
    IoResult result;
    if (code != WSAEWOULDBLOCK && code != WSAEINTR) {
        result.status = IoStatus::failed;
        result.system_code = code;
    }
    return result;
}

PORTHOLE_FN IoResult Socket::receive(char* into, std::size_t capacity) noexcept {
    IoResult result;
    if (capacity == 0) {
        return result; // recv() would answer 0, which means the end of the stream
    }
    const int size = capacity < INT_MAX ? static_cast<int>(capacity) : INT_MAX;
    const int count = ::recv(native(handle_), into, size, 0);
    if (count < 0) {
        return failed_io(last_socket_error());
    }
    result.status = count == 0 ? IoStatus::end : IoStatus::ok;
    result.bytes = static_cast<std::size_t>(count);
    return result;
}

PORTHOLE_FN IoResult Socket::send(const std::string_view* slices, std::size_t count) noexcept {
    constexpr std::size_t max_slice_bytes = INT_MAX / max_slices;
    IoResult result;
    WSABUF pieces[max_slices];
    DWORD used = 0;
    while (used < count && used < max_slices) {
        const std::string_view slice = slices[used];
        const bool is_cut = slice.size() > max_slice_bytes;
        pieces[used].buf = const_cast<char*>(slice.data());
        pieces[used].len = static_cast<ULONG>(is_cut ? max_slice_bytes : slice.size());
        ++used;
        if (is_cut) {
            break; // what follows must not overtake the rest of this one
        }
    }
    DWORD sent = 0;
    if (used == 0) {
        return result;
    }
    if (::WSASend(native(handle_), pieces, used, &sent, 0, nullptr, nullptr) != 0) {
        return failed_io(last_socket_error());
    }
    result.status = IoStatus::ok;
    result.bytes = sent;
    return result;
}

PORTHOLE_FN void Socket::shut_write() noexcept {
    // Fails when the peer has gone already, which the next read tells.
    static_cast<void>(::shutdown(native(handle_), SD_SEND));
}

PORTHOLE_FN Error Socket::connect(const Endpoint& to) {
    SocketAddress address;
    if (!to_system(to, address)) {
        return endpoint_error("connect", to, WSAEAFNOSUPPORT);
    }
    if (::connect(native(handle_), address.data(), address.length) != 0) {
        const int code = last_socket_error();
        if (code != WSAEWOULDBLOCK && code != WSAEINPROGRESS) {
            return endpoint_error("connect", to, code);
        }
    }
    return {};
}

/// select() and not WSAPoll(), which said nothing of a failed connect before Windows 10 2004.
PORTHOLE_FN bool is_settled(NativeHandle handle) noexcept {
    fd_set writable;
    writable.fd_count = 1;
    writable.fd_array[0] = native(handle);
    fd_set failed = writable;
    timeval no_wait{};
    return ::select(0, nullptr, &writable, &failed, &no_wait) > 0;
}

PORTHOLE_FN int poll_handles(pollfd* entries, std::size_t count, int timeout_ms) noexcept {
    if (count == 0) { // which WSAPoll refuses
        if (timeout_ms != 0) {
            ::Sleep(timeout_ms < 0 ? INFINITE : static_cast<DWORD>(timeout_ms));
        }
        return 0;
    }
    return ::WSAPoll(entries, static_cast<ULONG>(count), timeout_ms);
}

PORTHOLE_FN std::string system_text(int system_code) {
    wchar_t wide[512];
    constexpr auto capacity = static_cast<DWORD>(sizeof wide / sizeof wide[0]);
    const DWORD length = ::FormatMessageW(
        FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS, nullptr,
        static_cast<DWORD>(system_code), 0, wide, capacity, nullptr);
    char text[3 * sizeof wide / sizeof wide[0]];
    const int size = ::WideCharToMultiByte(
        CP_UTF8, 0, wide, static_cast<int>(length), text, static_cast<int>(sizeof text), nullptr,
        nullptr);
    if (length == 0 || size <= 0) {
        return "system error " + std::to_string(system_code);
    }
    return one_line(std::string(text, static_cast<std::size_t>(size)));
}

PORTHOLE_FN ErrorCode classify_socket_error(int system_code) noexcept {
    switch (system_code) {
    case 0: return ErrorCode::ok;
    case WSAEADDRINUSE: return ErrorCode::address_in_use;
    case WSAEADDRNOTAVAIL: return ErrorCode::address_not_available;
    case WSAEACCES: return ErrorCode::permission_denied;
    case WSAEAFNOSUPPORT:
    case WSAEPROTONOSUPPORT: return ErrorCode::unsupported_family;
    case WSAEMFILE:
    case WSAENOBUFS:
    case WSA_NOT_ENOUGH_MEMORY: return ErrorCode::too_many_files;
    case WSAECONNREFUSED: return ErrorCode::connection_refused;
    case WSAETIMEDOUT: return ErrorCode::timed_out;
    default: return ErrorCode::system;
    }
}

PORTHOLE_FN Error resolver_error(std::string_view host, int resolver_code) {
    const ErrorCode known = classify_socket_error(resolver_code);
    const ErrorCode code =
        known == ErrorCode::unsupported_family || known == ErrorCode::too_many_files
            ? known
            : ErrorCode::unknown_host;
    return Error(code, "getaddrinfo", host, default_advice(code))
        .with_system(resolver_code, system_text(resolver_code));
}

PORTHOLE_FN bool local_to_system(std::string_view, SocketAddress&) noexcept {
    return false; // unix sockets are not offered on Windows
}

PORTHOLE_FN Endpoint local_from_system(const SocketAddress&) {
    return {};
}

/// The addresses of one family, asked of a socket: unlike GetAdaptersAddresses() this needs no
/// library besides Winsock.
inline void append_interfaces(Family family, std::vector<Endpoint>& addresses) {
    constexpr std::size_t max_list_bytes = 16 * 1024;
    Socket socket;
    if (create_socket(family, socket) != 0) {
        return;
    }
    std::vector<SOCKET_ADDRESS> memory(max_list_bytes / sizeof(SOCKET_ADDRESS));
    const std::size_t list_bytes = memory.size() * sizeof(SOCKET_ADDRESS);
    DWORD used = 0;
    if (::WSAIoctl(
            native(socket.handle()), static_cast<DWORD>(SIO_ADDRESS_LIST_QUERY), nullptr, 0,
            memory.data(), static_cast<DWORD>(list_bytes), &used, nullptr, nullptr)
        != 0) {
        return;
    }
    INT count = 0;
    std::memcpy(&count, memory.data(), sizeof count);
    const auto* entries = reinterpret_cast<const SOCKET_ADDRESS*>(
        reinterpret_cast<const char*>(memory.data()) + offsetof(SOCKET_ADDRESS_LIST, Address));
    for (INT i = 0; i < count; ++i) {
        const auto length = static_cast<std::size_t>(entries[i].iSockaddrLength);
        SocketAddress address;
        if (length > sizeof address.storage) {
            continue;
        }
        std::memcpy(&address.storage, entries[i].lpSockaddr, length);
        address.length = static_cast<socklen_t>(length);
        Endpoint endpoint = from_system(address);
        endpoint.set_port(0);
        if (endpoint.family() != Family::any && !endpoint.is_wildcard()) { // an interface without
            append_unique(addresses, endpoint);
        }
    }
}

PORTHOLE_FN std::vector<Endpoint> interface_addresses() {
    std::vector<Endpoint> addresses;
    append_localhost(0, Family::any, addresses); // the list below leaves it out
    append_interfaces(Family::ipv4, addresses);
    append_interfaces(Family::ipv6, addresses);
    return addresses;
}

} // namespace detail

PORTHOLE_NAMESPACE_END

#endif
