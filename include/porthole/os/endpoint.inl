// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/base/ascii.hpp"
#include "porthole/base/ip_address.hpp"
#include "porthole/os/endpoint.hpp"
#include "porthole/os/platform.inl"

#include <cstring>
#include <memory>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

inline constexpr std::size_t ipv4_bytes = 4;
inline constexpr std::size_t ipv6_bytes = 16;
inline constexpr std::size_t ipv6_groups = 8;
/// Where the IPv4 address begins in ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2).
inline constexpr std::size_t mapped_offset = 12;

/// True for ::ffff:0:0/96.
inline bool is_mapped(const std::array<std::uint8_t, 16>& address) noexcept {
    constexpr std::uint8_t prefix[mapped_offset] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    return std::memcmp(address.data(), prefix, sizeof prefix) == 0;
}

inline void append_number(std::string& text, std::uint64_t number) {
    char digits[20];
    text.append(digits, ascii::write_decimal(digits, number));
}

inline void append_ipv4(std::string& text, const std::uint8_t* bytes) {
    for (std::size_t i = 0; i < ipv4_bytes; ++i) {
        text += i == 0 ? "" : ".";
        append_number(text, bytes[i]);
    }
}

/// Lower case, without leading zeros (RFC 5952 sections 4.1 and 4.3).
inline void append_group(std::string& text, unsigned group) {
    constexpr char digits[] = "0123456789abcdef";
    bool is_leading = true;
    for (unsigned shift = 16; shift > 0;) {
        shift -= 4;
        const unsigned digit = (group >> shift) & 0xf;
        is_leading = is_leading && digit == 0 && shift != 0;
        if (!is_leading) {
            text += digits[digit];
        }
    }
}

/// RFC 5952 section 4.2: the longest run of two or more zero groups becomes "::", the first one of
/// equals. Section 5: the last 32 bits are dotted when a well-known prefix says that they are IPv4.
inline void append_ipv6(std::string& text, const std::array<std::uint8_t, 16>& address) {
    if (is_mapped(address)) {
        text += "::ffff:";
        append_ipv4(text, address.data() + mapped_offset);
        return;
    }
    unsigned groups[ipv6_groups];
    for (std::size_t i = 0; i < ipv6_groups; ++i) {
        groups[i] = static_cast<unsigned>(address[2 * i] << 8 | address[2 * i + 1]);
    }
    std::size_t best = ipv6_groups;
    std::size_t best_length = 1;
    for (std::size_t i = 0; i < ipv6_groups; ++i) {
        std::size_t length = 0;
        while (i + length < ipv6_groups && groups[i + length] == 0) {
            ++length;
        }
        if (length > best_length) {
            best = i;
            best_length = length;
        }
    }
    for (std::size_t i = 0; i < ipv6_groups; ++i) {
        if (i == best) {
            text += "::";
            i += best_length - 1;
            continue;
        }
        if (i != 0 && text.back() != ':') {
            text += ':';
        }
        append_group(text, groups[i]);
    }
}

/// Where an endpoint keeps an IPv4 address.
inline std::array<std::uint8_t, 4>
first_octets(const std::array<std::uint8_t, 16>& address) noexcept {
    return {address[0], address[1], address[2], address[3]};
}

} // namespace detail

PORTHOLE_FN Endpoint
Endpoint::ipv4(const std::array<std::uint8_t, 4>& address, std::uint16_t port) {
    Endpoint endpoint;
    endpoint.family_ = Family::ipv4;
    endpoint.port_ = port;
    std::memcpy(endpoint.address_.data(), address.data(), address.size());
    return endpoint;
}

PORTHOLE_FN Endpoint Endpoint::ipv6(
    const std::array<std::uint8_t, 16>& address, std::uint16_t port, std::uint32_t scope_id) {
    Endpoint endpoint;
    endpoint.family_ = Family::ipv6;
    endpoint.port_ = port;
    endpoint.scope_id_ = scope_id;
    endpoint.address_ = address;
    return endpoint;
}

PORTHOLE_FN Endpoint Endpoint::local(std::string_view path) {
    Endpoint endpoint;
    endpoint.family_ = Family::local;
    endpoint.path_ = path;
    return endpoint;
}

PORTHOLE_FN bool Endpoint::is_loopback() const noexcept {
    switch (family_) {
    case Family::any: return false;
    case Family::local: return true;
    case Family::ipv4: return detail::is_loopback(detail::first_octets(address_));
    case Family::ipv6: break;
    }
    return detail::is_loopback(address_);
}

PORTHOLE_FN bool Endpoint::is_wildcard() const noexcept {
    switch (family_) {
    case Family::any:
    case Family::local: return false;
    case Family::ipv4: return detail::is_unspecified(detail::first_octets(address_));
    case Family::ipv6: break;
    }
    return detail::is_unspecified(address_);
}

PORTHOLE_FN std::string Endpoint::host_text() const {
    std::string text;
    switch (family_) {
    case Family::any: break;
    case Family::ipv4: detail::append_ipv4(text, address_.data()); break;
    case Family::ipv6:
        detail::append_ipv6(text, address_);
        if (scope_id_ != 0) { // RFC 4007 section 11.2
            text += '%';
            detail::append_number(text, scope_id_);
        }
        break;
    case Family::local: text = path_; break;
    }
    return text;
}

PORTHOLE_FN std::string Endpoint::to_string() const {
    std::string text;
    switch (family_) {
    case Family::any: return text;
    case Family::local: return "unix:" + path_;
    case Family::ipv4: text = host_text(); break;
    case Family::ipv6: text = "[" + host_text() + "]"; break;
    }
    text += ':';
    detail::append_number(text, port_);
    return text;
}

namespace detail {

// Ports and addresses are copied bytewise: they are in network byte order on both sides, and the
// structures of the system differ in everything but the size of these fields.

PORTHOLE_FN bool to_system(const Endpoint& endpoint, SocketAddress& address) noexcept {
    const std::uint8_t port[2] = {
        static_cast<std::uint8_t>(endpoint.port() >> 8),
        static_cast<std::uint8_t>(endpoint.port() & 0xff)};
    address = SocketAddress();
    switch (endpoint.family()) {
    case Family::any: return false;
    case Family::local: return local_to_system(endpoint.path(), address);
    case Family::ipv4: {
        sockaddr_in in4{};
        in4.sin_family = AF_INET;
        std::memcpy(&in4.sin_port, port, sizeof port);
        std::memcpy(&in4.sin_addr, endpoint.address().data(), ipv4_bytes);
        std::memcpy(&address.storage, &in4, sizeof in4);
        address.length = static_cast<socklen_t>(sizeof in4);
        return true;
    }
    case Family::ipv6: {
        sockaddr_in6 in6{};
        in6.sin6_family = AF_INET6;
        in6.sin6_scope_id = endpoint.scope_id();
        std::memcpy(&in6.sin6_port, port, sizeof port);
        std::memcpy(&in6.sin6_addr, endpoint.address().data(), ipv6_bytes);
        std::memcpy(&address.storage, &in6, sizeof in6);
        address.length = static_cast<socklen_t>(sizeof in6);
        return true;
    }
    }
    return false;
}

PORTHOLE_FN Endpoint from_system(const SocketAddress& address) {
    const auto length = static_cast<std::size_t>(address.length);
    std::uint8_t port[2] = {0, 0};
    if (address.storage.ss_family == AF_INET && length >= sizeof(sockaddr_in)) {
        sockaddr_in in4{};
        std::memcpy(&in4, &address.storage, sizeof in4);
        std::memcpy(port, &in4.sin_port, sizeof port);
        std::array<std::uint8_t, ipv4_bytes> bytes{};
        std::memcpy(bytes.data(), &in4.sin_addr, bytes.size());
        return Endpoint::ipv4(bytes, static_cast<std::uint16_t>(port[0] << 8 | port[1]));
    }
    if (address.storage.ss_family == AF_INET6 && length >= sizeof(sockaddr_in6)) {
        sockaddr_in6 in6{};
        std::memcpy(&in6, &address.storage, sizeof in6);
        std::memcpy(port, &in6.sin6_port, sizeof port);
        std::array<std::uint8_t, ipv6_bytes> bytes{};
        std::memcpy(bytes.data(), &in6.sin6_addr, bytes.size());
        return Endpoint::ipv6(
            bytes, static_cast<std::uint16_t>(port[0] << 8 | port[1]), in6.sin6_scope_id);
    }
    return local_from_system(address);
}

inline void append_unique(std::vector<Endpoint>& endpoints, const Endpoint& endpoint) {
    for (const Endpoint& known : endpoints) {
        if (known == endpoint) {
            return;
        }
    }
    endpoints.push_back(endpoint);
}

/// RFC 6761 section 6.3: the name and all names below it, with or without the root's dot.
inline bool is_localhost(std::string_view host) noexcept {
    constexpr std::string_view name = "localhost";
    if (!host.empty() && host.back() == '.') {
        host.remove_suffix(1);
    }
    if (host.size() < name.size()
        || !ascii::equals_ignoring_case(host.substr(host.size() - name.size()), name)) {
        return false;
    }
    const std::string_view below = host.substr(0, host.size() - name.size());
    return below.empty() || (below.size() > 1 && below.back() == '.');
}

inline void append_localhost(std::uint16_t port, Family family, std::vector<Endpoint>& endpoints) {
    if (family != Family::ipv4) {
        std::array<std::uint8_t, ipv6_bytes> loopback{};
        loopback.back() = 1;
        append_unique(endpoints, Endpoint::ipv6(loopback, port));
    }
    if (family != Family::ipv6) {
        append_unique(endpoints, Endpoint::ipv4({127, 0, 0, 1}, port));
    }
}

inline int system_family(Family family) noexcept {
    switch (family) {
    case Family::ipv4: return AF_INET;
    case Family::ipv6: return AF_INET6;
    case Family::any:
    case Family::local: break;
    }
    return AF_UNSPEC;
}

struct AddressListDeleter {
    void operator()(addrinfo* list) const noexcept { ::freeaddrinfo(list); }
};

PORTHOLE_FN Error resolve(
    std::string_view host, std::uint16_t port, const ResolveOptions& options,
    std::vector<Endpoint>& endpoints) {
    /// The longest name of RFC 1035 section 2.3.4, with room for the zone of an address.
    constexpr std::size_t max_host_bytes = 320;
    if (options.family == Family::local) {
        return Error(
            ErrorCode::unsupported_family, "getaddrinfo", host,
            "a host name has no unix socket; give the path to listen_unix() or as unix:/path");
    }
    if (host.size() > max_host_bytes || host.find('\0') != std::string_view::npos) {
        return Error(
            ErrorCode::unknown_host, "getaddrinfo", host.substr(0, max_host_bytes),
            "this cannot be a host name; try localhost");
    }
    if (is_localhost(host)) {
        append_localhost(port, options.family, endpoints);
        return {};
    }
    // As in a URI, so that what urls() shows can be typed back.
    const bool is_bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']'
                              && host.find(':') != std::string_view::npos;
    const std::string name(is_bracketed ? host.substr(1, host.size() - 2) : host);
    const std::string service = std::to_string(port);

    addrinfo hints{};
    hints.ai_family = system_family(options.family);
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_protocol = IPPROTO_TCP;
    hints.ai_flags = AI_NUMERICSERV;
    hints.ai_flags |= options.is_passive ? AI_PASSIVE : 0;
    hints.ai_flags |= is_bracketed ? AI_NUMERICHOST : 0;

    const NetworkUse network;
    addrinfo* found = nullptr;
    const int code =
        ::getaddrinfo(name.empty() ? nullptr : name.c_str(), service.c_str(), &hints, &found);
    if (code != 0) {
        return resolver_error(host, code);
    }
    const std::unique_ptr<addrinfo, AddressListDeleter> owner(found);
    const std::size_t size_before = endpoints.size();
    for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
        const auto length = static_cast<std::size_t>(entry->ai_addrlen);
        SocketAddress address;
        if (length > sizeof address.storage
            || (entry->ai_family != AF_INET && entry->ai_family != AF_INET6)) {
            continue;
        }
        std::memcpy(&address.storage, entry->ai_addr, length);
        address.length = static_cast<socklen_t>(length);
        append_unique(endpoints, from_system(address));
    }
    if (endpoints.size() == size_before) {
        return Error(
            ErrorCode::unknown_host, "getaddrinfo", host, "the name has no address to use");
    }
    return {};
}

} // namespace detail

PORTHOLE_NAMESPACE_END
