// SPDX-License-Identifier: MIT
#pragma once

// Sockets that accept connections, and the plan that turns one listen(host, port) into all of them:
// each address that the name has, on the same port. Fails loudly, and never shares a port with
// another program.

#include "porthole/os/endpoint.hpp"
#include "porthole/os/socket.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

PORTHOLE_NAMESPACE_BEGIN

/// Who may reach a listener beyond this machine. Anything but loopback is an error until one of
/// the lan values is chosen.
enum class Expose : unsigned char {
    no,                ///< loopback addresses only
    lan_with_token,    ///< any address; every request must carry the server's token
    lan_without_token, ///< any address, open to everybody who reaches the port
};

struct ListenOptions {
    /// Connections that the system queues before they are accepted; 0 means its maximum
    /// (SOMAXCONN).
    int backlog = 0;
    /// Several servers on one port, one to a thread or process, where the system spreads
    /// connections over them (SO_REUSEPORT). An error where there is no such thing.
    bool reuse_port = false;
    /// Only addresses of this family.
    Family family = Family::any;
    /// An IPv6 wildcard takes IPv6 connections only. Off, `::` takes IPv4 ones too and no
    /// separate IPv4 socket is opened for the same wildcard.
    bool v6_only = true;
    Expose expose = Expose::no;
    /// When the port is in use, the next ones are tried, this many in all. Server::port() tells
    /// which one was taken.
    std::uint16_t port_range = 1;
};

namespace detail {

/// How an attempt to accept ended.
enum class AcceptStatus : unsigned char {
    accepted,
    none,      ///< nobody is waiting
    retry,     ///< that peer has gone already; the next may be there
    exhausted, ///< no descriptor or memory left: pause before trying again
    failed,    ///< the listener itself is broken
};

class Listener {
public:
    Listener() = default;
    Listener(Listener&& other) noexcept;
    Listener& operator=(Listener&& other) noexcept;
    ~Listener() { close(); }

    /// Socket, options, bind, listen, getsockname. For a unix socket `mode` are its file's
    /// permissions; a stale socket file is removed first when nobody answers on it.
    static Error
    open(const Endpoint& at, const ListenOptions& options, unsigned mode, Listener& listener);

    bool is_open() const noexcept { return socket_.is_open(); }
    NativeHandle handle() const noexcept { return socket_.handle(); }
    /// Where it really listens: the port that the system chose, for port 0.
    const Endpoint& endpoint() const noexcept { return endpoint_; }
    const ListenOptions& options() const noexcept { return options_; }
    /// The new connection comes out non-blocking, close-on-exec and without delay.
    AcceptStatus accept(Socket& socket, Endpoint& peer) noexcept;
    /// Also removes the file of a unix socket that this listener made.
    void close() noexcept;

private:
    static Error
    open_local(const Endpoint& at, const ListenOptions& options, unsigned mode, Listener& listener);
    void remove_file() noexcept;

    Socket socket_;
    Endpoint endpoint_;
    ListenOptions options_;
    std::uint64_t file_id_[2] = {0, 0}; ///< device and inode: only the own file is removed
};

/// Everything behind Server::listen(). Opens a listener on every endpoint that `host` has, on
/// one port, except those that `existing` holds already, and appends them to `opened`. All or
/// nothing: on an error what this call opened is closed again and `existing` is untouched. An
/// address whose family this machine lacks is left out when another one works; `skipped` then
/// says so.
Error open_listeners(
    std::string_view host, std::uint16_t port, const ListenOptions& options,
    const std::vector<const Listener*>& existing, std::vector<Listener>& opened,
    std::vector<Error>& skipped);

} // namespace detail

PORTHOLE_NAMESPACE_END
