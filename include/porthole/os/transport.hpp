// SPDX-License-Identifier: MIT
#pragma once

// How bytes get in and out of a connection. The server knows this interface only: a plain socket, a
// pair of buffers in memory, or, from an adapter, TLS.

#include "porthole/os/poller.hpp"
#include "porthole/os/socket.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

PORTHOLE_NAMESPACE_BEGIN

/// One connection's bytes, non-blocking. Owned and called by the thread that ticks.
class Transport {
public:
    virtual ~Transport() = default;
    virtual IoResult read(char* into, std::size_t capacity) noexcept = 0;
    /// Gathers at most max_slices pieces. May take less than all.
    virtual IoResult write(const std::string_view* slices, std::size_t count) noexcept = 0;
    /// True when send_file() is worth a try.
    virtual bool can_send_files() const noexcept { return false; }
    /// Writes at most `most` bytes of an open file, from that offset on. May take less. `end`:
    /// the file has no bytes there. `failed` with system_code 0: not possible with this file,
    /// which is then to be read and written; the connection is fine.
    virtual IoResult send_file(NativeHandle file, std::uint64_t offset, std::size_t most) noexcept {
        static_cast<void>(file);
        static_cast<void>(offset);
        static_cast<void>(most);
        IoResult result;
        result.status = IoStatus::failed;
        return result;
    }
    /// Tells the peer that no more will come; reading goes on.
    virtual void shut_write() noexcept = 0;
    /// The descriptor to watch, or invalid_handle: then the server asks readiness() in each
    /// tick.
    virtual NativeHandle handle() const noexcept { return invalid_handle; }
    /// What could be done now. For transports without a descriptor, and for those that hold
    /// bytes which their descriptor no longer shows (TLS).
    virtual Readiness readiness() const noexcept { return {}; }
    /// "http", or "https" for a transport that encrypts.
    virtual std::string_view scheme() const noexcept { return "http"; }
};

namespace detail {

/// Whether files can go to a socket without being read, and how: Transport::send_file().
bool system_sends_files() noexcept;
IoResult send_file_bytes(
    NativeHandle socket, NativeHandle file, std::uint64_t offset, std::size_t most) noexcept;

/// A connected socket.
class SocketTransport final : public Transport {
public:
    explicit SocketTransport(Socket socket) noexcept : socket_(static_cast<Socket&&>(socket)) {}
    PORTHOLE_FN IoResult read(char* into, std::size_t capacity) noexcept override;
    PORTHOLE_FN IoResult write(const std::string_view* slices, std::size_t count) noexcept override;
    bool can_send_files() const noexcept override { return system_sends_files(); }
    IoResult
    send_file(NativeHandle file, std::uint64_t offset, std::size_t most) noexcept override {
        return send_file_bytes(socket_.handle(), file, offset, most);
    }
    void shut_write() noexcept override { socket_.shut_write(); }
    NativeHandle handle() const noexcept override { return socket_.handle(); }

private:
    Socket socket_;
};

} // namespace detail

/// Two ends of a connection in memory, for tests: what one end writes, the other reads. Each
/// direction holds at most `capacity` bytes, so that back-pressure can be tested. Not
/// thread-safe. An end that is destroyed looks to the other like a closed socket.
class MemoryTransport final : public Transport {
public:
    struct Pair {
        std::unique_ptr<MemoryTransport> server;
        std::unique_ptr<MemoryTransport> client;
    };
    static Pair make_pair(std::size_t capacity = default_capacity);
    static constexpr std::size_t default_capacity = 256 * 1024;

    PORTHOLE_FN ~MemoryTransport() override;
    PORTHOLE_FN IoResult read(char* into, std::size_t capacity) noexcept override;
    PORTHOLE_FN IoResult write(const std::string_view* slices, std::size_t count) noexcept override;
    PORTHOLE_FN void shut_write() noexcept override;
    PORTHOLE_FN Readiness readiness() const noexcept override;

    /// Breaks the connection: the other end's next read and write fail, as after a reset.
    void reset() noexcept;
    /// At most this many bytes for each read from now on: splits at every byte with 1.
    void set_max_read_bytes(std::size_t bytes) noexcept { max_read_bytes_ = bytes; }

private:
    struct Pipe;
    MemoryTransport(std::shared_ptr<Pipe> in, std::shared_ptr<Pipe> out) noexcept;

    std::shared_ptr<Pipe> in_;
    std::shared_ptr<Pipe> out_;
    std::size_t max_read_bytes_ = static_cast<std::size_t>(-1);
};

PORTHOLE_NAMESPACE_END
