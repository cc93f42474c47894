// SPDX-License-Identifier: MIT
#pragma once

// One address that a socket is bound or connected to, as a value: no sockaddr leaves the os layer.
// Names become endpoints through resolve(), the only place that calls getaddrinfo.

#include "porthole/base/error.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

PORTHOLE_NAMESPACE_BEGIN

/// `local` is a unix-domain socket.
enum class Family : unsigned char { any, ipv4, ipv6, local };

/// An IPv4 or IPv6 address with a port, or the path of a unix socket.
class Endpoint {
public:
    Endpoint() = default;
    static Endpoint ipv4(const std::array<std::uint8_t, 4>& address, std::uint16_t port);
    static Endpoint ipv6(
        const std::array<std::uint8_t, 16>& address, std::uint16_t port,
        std::uint32_t scope_id = 0);
    static Endpoint local(std::string_view path);

    /// Family::any for an endpoint that was never set.
    Family family() const noexcept { return family_; }
    std::uint16_t port() const noexcept { return port_; }
    void set_port(std::uint16_t port) noexcept { port_ = port; }
    /// The address in network byte order; an IPv4 address uses the first four.
    const std::array<std::uint8_t, 16>& address() const noexcept { return address_; }
    /// The interface that a link-local IPv6 address belongs to, else 0.
    std::uint32_t scope_id() const noexcept { return scope_id_; }
    /// Of a unix socket; empty otherwise, and for a peer that never bound one.
    const std::string& path() const noexcept { return path_; }

    /// 127.0.0.0/8, ::1, ::ffff:127.0.0.0/104, or a unix socket.
    bool is_loopback() const noexcept;
    /// 0.0.0.0, :: or ::ffff:0.0.0.0: every interface of the machine.
    bool is_wildcard() const noexcept;

    /// "127.0.0.1", "::1" (RFC 5952) or the path.
    std::string host_text() const;
    /// "127.0.0.1:8080", "[::1]:8080" or "unix:/path".
    std::string to_string() const;

    friend bool operator==(const Endpoint& a, const Endpoint& b) noexcept {
        return a.family_ == b.family_ && a.port_ == b.port_ && a.scope_id_ == b.scope_id_
               && a.address_ == b.address_ && a.path_ == b.path_;
    }
    friend bool operator!=(const Endpoint& a, const Endpoint& b) noexcept { return !(a == b); }

private:
    Family family_ = Family::any;
    std::uint16_t port_ = 0;
    std::uint32_t scope_id_ = 0;
    std::array<std::uint8_t, 16> address_{};
    std::string path_;
};

namespace detail {

/// What to resolve a name for.
struct ResolveOptions {
    Family family = Family::any;
    /// For bind: an empty host means every interface. Otherwise it means loopback.
    bool is_passive = false;
};

/// All stream endpoints of a host name or numeric address (RFC 3493 section 6.1), duplicates
/// removed, in the system's order. `localhost` and names below it are ::1 and 127.0.0.1
/// whatever the machine has in its files (RFC 6761 section 6.3). Blocks as long as the system's
/// resolver does; numeric hosts and localhost never do.
Error resolve(
    std::string_view host, std::uint16_t port, const ResolveOptions& options,
    std::vector<Endpoint>& endpoints);

/// The addresses of this machine's interfaces that are up, without ports: what a wildcard
/// listener can be reached at. Empty when the system does not tell.
std::vector<Endpoint> interface_addresses();

} // namespace detail

PORTHOLE_NAMESPACE_END
