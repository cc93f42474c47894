// SPDX-License-Identifier: MIT
#pragma once

// What listening needs of POSIX alone: SO_REUSEADDR, accepting, and the file of a unix socket,
// which is made with the right permissions and removed only while it is ours.

#include "porthole/os/listener.hpp"
#include "porthole/os/listener.inl"
#include "porthole/os/platform.inl"
#include "porthole/os/socket_posix.inl"

#if !defined(_WIN32)

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN Error
prepare_to_bind(Socket& socket, const Endpoint& at, const ListenOptions& options) {
    // Here this means: connections of a former run that linger in TIME_WAIT do not hold the port.
    // It does not share the port with a listener that lives.
    if (!set_option(socket.handle(), SOL_SOCKET, SO_REUSEADDR, 1)) {
        return endpoint_error("setsockopt SO_REUSEADDR", at, last_socket_error());
    }
    if (!options.reuse_port) {
        return {};
    }
#if defined(SO_REUSEPORT_LB)
    constexpr int reuse_port = SO_REUSEPORT_LB; // FreeBSD: the one that spreads connections
#elif defined(SO_REUSEPORT)
    constexpr int reuse_port = SO_REUSEPORT;
#else
    constexpr int reuse_port = -1; // refused below in the system's words
#endif
    if (!set_option(socket.handle(), SOL_SOCKET, reuse_port, 1)) {
        return endpoint_error(
            "setsockopt SO_REUSEPORT", at, last_socket_error(),
            "this system cannot share a port; turn ListenOptions::reuse_port off");
    }
    return {};
}

inline AcceptStatus accept_status(int code) noexcept {
    switch (code) {
    case EAGAIN: return AcceptStatus::none;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM: return AcceptStatus::exhausted;
    // What happened to one peer, or to the way there: it says nothing about the listener. Linux
    // reports errors that wait on the new socket here too.
    case EINTR:
    case ECONNABORTED:
    case ECONNRESET:
    case EPROTO:
    case EPERM:
    case ETIMEDOUT:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENOPROTOOPT: return AcceptStatus::retry;
    default: return is_would_block(code) ? AcceptStatus::none : AcceptStatus::failed;
    }
}

PORTHOLE_FN AcceptStatus Listener::accept(Socket& socket, Endpoint& peer) noexcept {
    SocketAddress address;
#if defined(SOCK_CLOEXEC) && defined(SOCK_NONBLOCK)
    Socket made(
        ::accept4(native(handle()), address.data(), &address.length, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!made.is_open()) {
        return accept_status(errno);
    }
#else
    Socket made(::accept(native(handle()), address.data(), &address.length));
    if (!made.is_open()) {
        return accept_status(errno);
    }
    if (!set_descriptor_flags(native(made.handle()))) {
        return AcceptStatus::retry;
    }
#endif
    prepare_descriptor(native(made.handle()));
    if (endpoint_.family() != Family::local) {
        made.set_no_delay();
    }
    PORTHOLE_TRY {
        peer = from_system(address); // allocates for a unix peer with a path of its own
    }
    PORTHOLE_CATCH_ALL {
        return AcceptStatus::exhausted;
    }
    socket = std::move(made);
    return AcceptStatus::accepted;
}

/// Removes a socket file that a crashed program left behind. Only "connection refused" proves
/// that nobody listens; whatever else comes back, the file may be somebody's. (A program between
/// its bind() and its listen() refuses too: two programs that start at the same moment on the
/// same path can still displace each other. The one that lost notices when its file is gone.)
inline Error remove_stale_file(const Endpoint& at, const SocketAddress& address) {
    struct stat before {};
    const char* path = at.path().c_str();
    if (::lstat(path, &before) != 0) {
        return {}; // not there, or bind() will say what is wrong
    }
    if (!S_ISSOCK(before.st_mode)) {
        return Error(
            ErrorCode::bad_path, "bind", at.to_string(),
            "the path exists and is not a socket; it was left alone: choose another path");
    }
    Socket probe;
    const int code = create_socket(Family::local, probe);
    if (code != 0) {
        return endpoint_error("socket", at, code);
    }
    const bool is_answered = ::connect(native(probe.handle()), address.data(), address.length) == 0;
    const int refusal = is_answered ? 0 : errno;
    if (refusal == EACCES || refusal == EPERM) {
        return endpoint_error(
            "connect", at, refusal,
            "the socket file belongs to another user: remove it or choose another path");
    }
    if (refusal != ECONNREFUSED && refusal != ENOENT) {
        return endpoint_error(
            "bind", at, EADDRINUSE,
            "another program listens on this path: stop it or choose another path");
    }
    struct stat after {};
    const bool is_same = ::lstat(path, &after) == 0 && after.st_dev == before.st_dev
                         && after.st_ino == before.st_ino;
    if (refusal == ECONNREFUSED && is_same && ::unlink(path) != 0) {
        return endpoint_error("unlink", at, errno);
    }
    return {};
}

PORTHOLE_FN Error Listener::open_local(
    const Endpoint& at, const ListenOptions& options, unsigned mode, Listener& listener) {
    Listener made;
    SocketAddress address;
    if (!to_system(at, address)) {
        return Error(
            ErrorCode::bad_path, "bind", at.to_string(),
            "a unix socket path has 1 to " + std::to_string(sizeof(sockaddr_un::sun_path) - 1)
                + " bytes and no NUL");
    }
    if (Error error = remove_stale_file(at, address)) {
        return error;
    }
    const int code = create_socket(Family::local, made.socket_);
    if (code != 0) {
        return endpoint_error("socket", at, code);
    }
    const NativeHandle handle = made.handle();
    if (::bind(native(handle), address.data(), address.length) != 0) {
        return bind_error("bind", at, last_socket_error());
    }
    // From here the file is ours, and an early return removes it. Nobody can connect before
    // listen(), so the time between bind() and chmod() lets nobody in; umask() would do it in
    // one step, but belongs to the whole process and its other threads.
    made.endpoint_ = at;
    made.options_ = options;
    struct stat file {};
    const char* path = at.path().c_str();
    if (::lstat(path, &file) != 0) {
        return endpoint_error("lstat", at, errno);
    }
    made.file_id_[0] = static_cast<std::uint64_t>(file.st_dev);
    made.file_id_[1] = static_cast<std::uint64_t>(file.st_ino);
    if (::chmod(path, static_cast<mode_t>(mode)) != 0) {
        return endpoint_error("chmod", at, errno);
    }
    if (::listen(native(handle), options.backlog > 0 ? options.backlog : SOMAXCONN) != 0) {
        return bind_error("listen", at, last_socket_error());
    }
    listener = std::move(made);
    return {};
}

PORTHOLE_FN void Listener::remove_file() noexcept {
    struct stat file {};
    if (file_id_[1] != 0 && ::lstat(endpoint_.path().c_str(), &file) == 0
        && static_cast<std::uint64_t>(file.st_dev) == file_id_[0]
        && static_cast<std::uint64_t>(file.st_ino) == file_id_[1]) {
        static_cast<void>(::unlink(endpoint_.path().c_str()));
    }
    file_id_[0] = file_id_[1] = 0;
}

} // namespace detail

PORTHOLE_NAMESPACE_END

#endif
