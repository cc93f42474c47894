// SPDX-License-Identifier: MIT
#pragma once

// Sockets on POSIX systems: file descriptors, errno, and a write that never raises SIGPIPE.
// socket_windows.inl beside it says the same in Winsock.

#include "porthole/os/endpoint.inl"
#include "porthole/os/platform.inl"
#include "porthole/os/socket.inl"

#include <cstddef>
#include <cstring>
#include <memory>

#if !defined(_WIN32)

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

inline constexpr int connection_reset_code = ECONNRESET;
inline constexpr int broken_pipe_code = EPIPE;

#if defined(MSG_NOSIGNAL)
inline constexpr int send_flags = MSG_NOSIGNAL;
#else
inline constexpr int send_flags = 0; // SO_NOSIGPIPE does it, see prepare_descriptor()
#endif

PORTHOLE_FN NetworkUse::NetworkUse() noexcept {}
PORTHOLE_FN NetworkUse::~NetworkUse() {}

PORTHOLE_FN int last_socket_error() noexcept {
    return errno;
}

inline bool is_would_block(int code) noexcept {
    return code == EAGAIN || code == EWOULDBLOCK;
}

/// Close-on-exec and non-blocking, for systems that cannot make a descriptor so in one call.
inline bool set_descriptor_flags(int descriptor) noexcept {
    const int flags = ::fcntl(descriptor, F_GETFL);
    return ::fcntl(descriptor, F_SETFD, FD_CLOEXEC) == 0 && flags >= 0
           && ::fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) == 0;
}

/// A broken connection is an error of the write, never a signal to the host program.
inline void prepare_descriptor([[maybe_unused]] int descriptor) noexcept {
#if defined(SO_NOSIGPIPE)
    static_cast<void>(set_option(descriptor, SOL_SOCKET, SO_NOSIGPIPE, 1));
#endif
}

PORTHOLE_FN Socket::Socket(NativeHandle handle) noexcept : handle_(handle) {}

PORTHOLE_FN void Socket::close() noexcept {
    if (is_open()) {
        // Never repeated after EINTR: the descriptor is gone by then and may be someone else's.
        static_cast<void>(::close(native(handle_)));
        handle_ = invalid_handle;
    }
}

PORTHOLE_FN int create_socket(Family family, Socket& socket) noexcept {
    int domain = AF_UNSPEC;
    switch (family) {
    case Family::any: return EAFNOSUPPORT;
    case Family::ipv4: domain = AF_INET; break;
    case Family::ipv6: domain = AF_INET6; break;
    case Family::local: domain = AF_UNIX; break;
    }
#if defined(SOCK_CLOEXEC) && defined(SOCK_NONBLOCK)
    Socket made(::socket(domain, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!made.is_open()) {
        return errno;
    }
#else
    Socket made(::socket(domain, SOCK_STREAM, 0));
    if (!made.is_open() || !set_descriptor_flags(native(made.handle()))) {
        return errno;
    }
#endif
    prepare_descriptor(native(made.handle()));
    socket = static_cast<Socket&&>(made);
    return 0;
}

PORTHOLE_FN IoResult Socket::receive(char* into, std::size_t capacity) noexcept {
    IoResult result;
    if (capacity == 0) {
        return result; // recv() would answer 0, which means the end of the stream
    }
    for (int attempt = 0; attempt < max_interrupts; ++attempt) {
        const ssize_t count = ::recv(native(handle_), into, capacity, 0);
        if (count >= 0) {
            result.status = count == 0 ? IoStatus::end : IoStatus::ok;
            result.bytes = static_cast<std::size_t>(count);
            return result;
        }
        if (errno != EINTR) {
            const bool is_broken = !is_would_block(errno);
            result.status = is_broken ? IoStatus::failed : IoStatus::would_block;
            result.system_code = is_broken ? errno : 0;
            return result;
        }
    }
    return result;
}

/// One piece needs no message header; send() is the cheaper call.
inline ssize_t send_once(int descriptor, const std::string_view* slices, std::size_t count) {
    if (count == 1) {
        return ::send(descriptor, slices[0].data(), slices[0].size(), send_flags);
    }
    iovec pieces[max_slices];
    for (std::size_t i = 0; i < count; ++i) {
        pieces[i].iov_base = const_cast<char*>(slices[i].data());
        pieces[i].iov_len = slices[i].size();
    }
    msghdr message{};
    message.msg_iov = pieces;
    message.msg_iovlen = static_cast<decltype(message.msg_iovlen)>(count);
    return ::sendmsg(descriptor, &message, send_flags);
}

PORTHOLE_FN IoResult Socket::send(const std::string_view* slices, std::size_t count) noexcept {
    IoResult result;
    count = count < max_slices ? count : max_slices;
    for (int attempt = 0; attempt < max_interrupts && count != 0; ++attempt) {
        const ssize_t sent = send_once(native(handle_), slices, count);
        if (sent >= 0) {
            result.status = IoStatus::ok;
            result.bytes = static_cast<std::size_t>(sent);
            return result;
        }
        if (errno != EINTR) {
            const bool is_broken = !is_would_block(errno);
            result.status = is_broken ? IoStatus::failed : IoStatus::would_block;
            result.system_code = is_broken ? errno : 0;
            return result;
        }
    }
    return result;
}

PORTHOLE_FN void Socket::shut_write() noexcept {
    // Fails when the peer has gone already, which the next read tells.
    static_cast<void>(::shutdown(native(handle_), SHUT_WR));
}

PORTHOLE_FN Error Socket::connect(const Endpoint& to) {
    SocketAddress address;
    if (!to_system(to, address)) {
        return Error(
            ErrorCode::bad_path, "connect", to.to_string(),
            "a unix socket path has 1 to 107 bytes");
    }
    // An interrupted connect goes on by itself; asking again would only answer EALREADY.
    if (::connect(native(handle_), address.data(), address.length) != 0 && errno != EINPROGRESS
        && errno != EINTR) {
        return endpoint_error("connect", to, errno);
    }
    return {};
}

PORTHOLE_FN bool is_settled(NativeHandle handle) noexcept {
    pollfd entry{};
    entry.fd = native(handle);
    entry.events = POLLOUT;
    return poll_handles(&entry, 1, 0) > 0;
}

PORTHOLE_FN int poll_handles(pollfd* entries, std::size_t count, int timeout_ms) noexcept {
    return ::poll(entries, static_cast<nfds_t>(count), timeout_ms);
}

// glibc and the POSIX standard disagree about what strerror_r returns; overloads take either.
inline const char* chosen_text(int, const char* buffer) noexcept {
    return buffer;
}
inline const char* chosen_text(const char* text, const char*) noexcept {
    return text;
}

PORTHOLE_FN std::string system_text(int system_code) {
    char buffer[256] = {};
    const char* text = chosen_text(::strerror_r(system_code, buffer, sizeof buffer), buffer);
    return one_line(text);
}

PORTHOLE_FN ErrorCode classify_socket_error(int system_code) noexcept {
    switch (system_code) {
    case 0: return ErrorCode::ok;
    case EADDRINUSE: return ErrorCode::address_in_use;
    case EADDRNOTAVAIL: return ErrorCode::address_not_available;
    case EACCES:
    case EPERM: return ErrorCode::permission_denied;
    case EAFNOSUPPORT:
    case EPROTONOSUPPORT: return ErrorCode::unsupported_family;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM: return ErrorCode::too_many_files;
    case EAGAIN: return ErrorCode::exhausted; // a unix socket's queue is full
    case ECONNREFUSED: return ErrorCode::connection_refused;
    case ETIMEDOUT: return ErrorCode::timed_out;
    case ENOENT: return ErrorCode::not_found;
    default: return ErrorCode::system;
    }
}

PORTHOLE_FN Error resolver_error(std::string_view host, int resolver_code) {
    if (resolver_code == EAI_SYSTEM) {
        const int code = errno;
        return socket_error("getaddrinfo", host, code);
    }
    const ErrorCode code = resolver_code == EAI_FAMILY   ? ErrorCode::unsupported_family
                           : resolver_code == EAI_MEMORY ? ErrorCode::too_many_files
                                                         : ErrorCode::unknown_host;
    return Error(code, "getaddrinfo", host, default_advice(code))
        .with_system(resolver_code, one_line(::gai_strerror(resolver_code)));
}

PORTHOLE_FN bool local_to_system(std::string_view path, SocketAddress& address) noexcept {
    sockaddr_un local{};
    // The closing NUL has to fit, and one inside would name another file.
    if (path.empty() || path.size() >= sizeof local.sun_path
        || path.find('\0') != std::string_view::npos) {
        return false;
    }
    local.sun_family = AF_UNIX;
    std::memcpy(local.sun_path, path.data(), path.size());
    std::memcpy(&address.storage, &local, sizeof local);
    address.length = static_cast<socklen_t>(sizeof local);
    return true;
}

PORTHOLE_FN Endpoint local_from_system(const SocketAddress& address) {
    const auto length = static_cast<std::size_t>(address.length);
    if (address.storage.ss_family != AF_UNIX) {
        return {};
    }
    sockaddr_un local{};
    constexpr std::size_t path_offset = offsetof(sockaddr_un, sun_path);
    std::memcpy(&local, &address.storage, length < sizeof local ? length : sizeof local);
    const std::size_t max_path = length > path_offset ? length - path_offset : 0;
    const std::string_view path(
        local.sun_path, max_path < sizeof local.sun_path ? max_path : sizeof local.sun_path);
    return Endpoint::local(path.substr(0, path.find('\0')));
}

struct InterfaceListDeleter {
    void operator()(ifaddrs* list) const noexcept { ::freeifaddrs(list); }
};

PORTHOLE_FN std::vector<Endpoint> interface_addresses() {
    std::vector<Endpoint> addresses;
    ifaddrs* found = nullptr;
    if (::getifaddrs(&found) != 0) {
        return addresses;
    }
    const std::unique_ptr<ifaddrs, InterfaceListDeleter> owner(found);
    for (const ifaddrs* entry = found; entry != nullptr; entry = entry->ifa_next) {
        if (entry->ifa_addr == nullptr || (entry->ifa_flags & IFF_UP) == 0) {
            continue;
        }
        const bool is_ipv6 = entry->ifa_addr->sa_family == AF_INET6;
        if (!is_ipv6 && entry->ifa_addr->sa_family != AF_INET) {
            continue;
        }
        SocketAddress address;
        const std::size_t length = is_ipv6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
        std::memcpy(&address.storage, entry->ifa_addr, length);
        address.length = static_cast<socklen_t>(length);
        append_unique(addresses, from_system(address));
    }
    return addresses;
}

} // namespace detail

PORTHOLE_NAMESPACE_END

#endif
