// SPDX-License-Identifier: MIT
#pragma once

// A non-blocking, close-on-exec stream socket that closes itself. Nothing here blocks, raises
// SIGPIPE, or leaks into a child process. The platforms differ in socket_posix.inl and
// socket_windows.inl only.

#include "porthole/base/error.hpp"
#include "porthole/os/endpoint.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

PORTHOLE_NAMESPACE_BEGIN

/// What the operating system calls a socket: a file descriptor on POSIX, a SOCKET on Windows.
using NativeHandle = std::intptr_t;
inline constexpr NativeHandle invalid_handle = -1;

/// How an attempt to read or write ended.
enum class IoStatus : unsigned char {
    ok,          ///< `bytes` were moved, at least one
    would_block, ///< nothing now; the poller will tell
    end,         ///< read only: the peer has finished sending
    failed,      ///< the connection is broken; `system_code` says why
};

struct IoResult {
    IoStatus status = IoStatus::would_block;
    std::size_t bytes = 0;
    int system_code = 0;
};

/// How many pieces one gathered write may have.
inline constexpr std::size_t max_slices = 4;

namespace detail {

class Socket {
public:
    Socket() = default;
    /// Takes over a non-blocking, close-on-exec stream socket.
    explicit Socket(NativeHandle handle) noexcept;
    Socket(Socket&& other) noexcept : handle_(other.handle_) { other.handle_ = invalid_handle; }
    Socket& operator=(Socket&& other) noexcept;
    Socket(const Socket&) = delete;
    Socket& operator=(const Socket&) = delete;
    ~Socket() { close(); }

    /// A new stream socket of that family, non-blocking and close-on-exec from birth.
    static Error open(Family family, Socket& socket);

    bool is_open() const noexcept { return handle_ != invalid_handle; }
    NativeHandle handle() const noexcept { return handle_; }
    /// Gives the handle up without closing it. On Windows, Winsock then stays loaded for it.
    NativeHandle release() noexcept;
    void close() noexcept;

    IoResult receive(char* into, std::size_t capacity) noexcept;
    /// Gathers up to max_slices pieces into one system call.
    IoResult send(const std::string_view* slices, std::size_t count) noexcept;
    /// Tells the peer that no more will come; reading goes on.
    void shut_write() noexcept;
    /// Small answers leave at once instead of waiting for an acknowledgement (RFC 896).
    void set_no_delay() noexcept;

    /// Begins to connect. Ok when connected or under way: then wait for writability and ask
    /// take_error().
    Error connect(const Endpoint& to);
    /// The socket's pending error as the system's code, 0 when there is none.
    int take_error() noexcept;

    Endpoint local_endpoint() const;
    Endpoint peer_endpoint() const;

private:
    NativeHandle handle_ = invalid_handle;
};

/// The system's words for its code: strerror or FormatMessage, always in one line.
std::string system_text(int system_code);
/// Chooses the ErrorCode for what the system said about a socket call.
ErrorCode classify_socket_error(int system_code) noexcept;
/// An Error for a failed socket call, with the system's words.
Error socket_error(
    std::string_view call, std::string_view subject, int system_code, std::string_view advice = {});

} // namespace detail

PORTHOLE_NAMESPACE_END
