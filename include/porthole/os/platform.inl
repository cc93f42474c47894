// SPDX-License-Identifier: MIT
#pragma once

// The only place where the library includes headers of the operating system, and the few
// declarations of the os layer that have to mention their types. It is read in the one source file
// that holds the implementation, so nothing of it reaches a user's other files.

#include "porthole/base/clock.hpp"
#include "porthole/os/endpoint.hpp"
#include "porthole/os/socket.hpp"

#if defined(_WIN32)

// Whoever includes <windows.h> whole before this file has the Winsock of 1993 in the way, and with
// Microsoft's headers the compiler would print hundreds of redefinitions. One sentence helps more.
// MinGW's headers get along with each other.
#if defined(_MSC_VER) && defined(SOCKET_ERROR) && !defined(_WINSOCK2API_)
#error "Porthole needs Winsock 2: in this file, include <winsock2.h> or <porthole.hpp> first, \
or define WIN32_LEAN_AND_MEAN before <windows.h>."
#endif
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#ifndef NOMINMAX
#define NOMINMAX
#endif
// Set by the old Winsock, or by programs that keep it out with this name; the new one would warn.
#if defined(_WINSOCKAPI_) && !defined(_WINSOCK2API_)
#undef _WINSOCKAPI_
#endif
// clang-format off: winsock2.h has to come before everything that includes windows.h
#include <windows.h>
#include <winsock2.h>
#include <ws2tcpip.h>
// clang-format on
#if defined(_MSC_VER)
#pragma comment(lib, "ws2_32")
#endif

#else

#include <arpa/inet.h>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <dirent.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#endif

// What posix_spawn() can do beyond what all have: close every descriptor from one on, and enter an
// open directory. glibc learned them in 2.34 and 2.29; musl and macOS know the second only.
#if defined(__GLIBC__)
#if __GLIBC_PREREQ(2, 34)
#define PORTHOLE_SPAWN_CLOSES_FROM
#endif
#if __GLIBC_PREREQ(2, 29)
#define PORTHOLE_SPAWN_ENTERS posix_spawn_file_actions_addfchdir_np
#endif
#elif defined(__FreeBSD__)
#define PORTHOLE_SPAWN_CLOSES_FROM
#define PORTHOLE_SPAWN_ENTERS posix_spawn_file_actions_addfchdir_np
#elif defined(__NetBSD__)
#define PORTHOLE_SPAWN_ENTERS posix_spawn_file_actions_addfchdir
#elif defined(__linux__) || defined(__APPLE__)
#define PORTHOLE_SPAWN_ENTERS posix_spawn_file_actions_addfchdir_np
#endif

#endif

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

#if defined(_WIN32)
using NativeSocket = SOCKET;
#else
using NativeSocket = int;
#endif

inline NativeSocket native(NativeHandle handle) noexcept {
    return static_cast<NativeSocket>(handle);
}

/// An endpoint as the system's calls take and give it.
struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t length = sizeof(sockaddr_storage);

    sockaddr* data() noexcept { return reinterpret_cast<sockaddr*>(&storage); }
    const sockaddr* data() const noexcept { return reinterpret_cast<const sockaddr*>(&storage); }
};

/// False for an endpoint that the system cannot hold: never set, or a path that is too long.
bool to_system(const Endpoint& endpoint, SocketAddress& address) noexcept;
Endpoint from_system(const SocketAddress& address);

// Below: what differs between the systems, defined in socket_posix.inl and socket_windows.inl.

/// The part of to_system() and from_system() for unix sockets.
bool local_to_system(std::string_view path, SocketAddress& address) noexcept;
Endpoint local_from_system(const SocketAddress& address);

/// errno or WSAGetLastError().
int last_socket_error() noexcept;
/// A stream socket, or the system's code.
int create_socket(Family family, Socket& socket) noexcept;
/// An Error for what getaddrinfo() returned.
Error resolver_error(std::string_view host, int resolver_code);
/// For calls that count whole milliseconds: rounded up, so that a wait is never cut to a busy loop;
/// -1 for Poller::forever.
inline int whole_milliseconds(Duration timeout) noexcept {
    constexpr std::chrono::milliseconds most{1'000'000'000};
    if (timeout < Duration::zero()) {
        return -1;
    }
    if (timeout > most) {
        return static_cast<int>(most.count());
    }
    const auto whole = std::chrono::duration_cast<std::chrono::milliseconds>(timeout);
    return static_cast<int>(whole.count()) + (whole < timeout ? 1 : 0);
}
/// True when a connection that is being made has succeeded or failed.
bool is_settled(NativeHandle handle) noexcept;
/// poll() or WSAPoll(): how many entries have events, negative when the call failed.
int poll_handles(pollfd* entries, std::size_t count, int timeout_ms) noexcept;

/// Tells the system's socket library that it is in use while the object lives. POSIX has
/// nothing to do; Windows counts.
class NetworkUse {
public:
    NetworkUse() noexcept;
    NetworkUse(const NetworkUse&) = delete;
    NetworkUse& operator=(const NetworkUse&) = delete;
    ~NetworkUse();
    /// What the system said when it could not be had, else 0.
    int code() const noexcept { return code_; }

private:
    int code_ = 0;
};

/// A socket option with an int value. False when the system refused; last_socket_error() tells.
inline bool set_option(NativeHandle handle, int level, int name, int value) noexcept {
    return ::setsockopt(
               native(handle), level, name, reinterpret_cast<const char*>(&value),
               static_cast<socklen_t>(sizeof value))
           == 0;
}

} // namespace detail

PORTHOLE_NAMESPACE_END
