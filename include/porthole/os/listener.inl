// SPDX-License-Identifier: MIT
#pragma once

// The plan of a listen(): which endpoints, on which port, and what happens when one of them cannot
// be had. What a listening socket needs from each system is in listener_posix.inl and
// listener_windows.inl.

#include "porthole/os/endpoint.inl"
#include "porthole/os/listener.hpp"
#include "porthole/os/platform.inl"
#include "porthole/os/socket.inl"

#include <cstring>
#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// SO_REUSEADDR or SO_EXCLUSIVEADDRUSE, and SO_REUSEPORT when it is asked for.
Error prepare_to_bind(Socket& socket, const Endpoint& at, const ListenOptions& options);

inline constexpr std::uint16_t first_unprivileged_port = 1024;

PORTHOLE_FN Listener::Listener(Listener&& other) noexcept
    : socket_(std::move(other.socket_)), endpoint_(std::move(other.endpoint_)),
      options_(other.options_), file_id_{other.file_id_[0], other.file_id_[1]} {
    other.file_id_[0] = other.file_id_[1] = 0;
}

PORTHOLE_FN Listener& Listener::operator=(Listener&& other) noexcept {
    if (this != &other) {
        close();
        socket_ = std::move(other.socket_);
        endpoint_ = std::move(other.endpoint_);
        options_ = other.options_;
        file_id_[0] = std::exchange(other.file_id_[0], 0);
        file_id_[1] = std::exchange(other.file_id_[1], 0);
    }
    return *this;
}

PORTHOLE_FN void Listener::close() noexcept {
    if (is_open()) {
        remove_file(); // first: nobody connects to a name that nobody serves
        socket_.close();
    }
}

/// An Error of bind() or listen(), which knows more about the port than the socket does.
inline Error bind_error(std::string_view call, const Endpoint& at, int system_code) {
    const std::string port = std::to_string(at.port());
    std::string advice;
    switch (classify_socket_error(system_code)) {
    case ErrorCode::address_in_use:
        if (at.family() != Family::local) {
            advice = "port " + port
                     + " is held by another program: stop it, choose another port, let "
                       "ListenOptions::port_range try the next ones, or pass port 0 for any free "
                       "one";
        }
        break;
    case ErrorCode::permission_denied:
        if (at.family() != Family::local && at.port() < first_unprivileged_port) {
            advice = "port " + port
                     + " needs a privileged user: choose one above 1023, 8080 for example";
        } else if (at.family() != Family::local) {
            advice = "port " + port + " is reserved by the system: choose another";
        }
        break;
    default: break;
    }
    return endpoint_error(call, at, system_code, advice);
}

PORTHOLE_FN Error Listener::open(
    const Endpoint& at, const ListenOptions& options, unsigned mode, Listener& listener) {
    if (at.family() == Family::local) {
        return open_local(at, options, mode, listener);
    }
    Listener made;
    SocketAddress address;
    const int code = create_socket(at.family(), made.socket_);
    if (code != 0) {
        return endpoint_error("socket", at, code);
    }
    if (Error error = prepare_to_bind(made.socket_, at, options)) {
        return error;
    }
    const NativeHandle handle = made.handle();
    // Always said, because each system has its own default (RFC 3493 section 5.3).
    if (at.family() == Family::ipv6
        && !set_option(handle, IPPROTO_IPV6, IPV6_V6ONLY, options.v6_only ? 1 : 0)) {
        return endpoint_error("setsockopt IPV6_V6ONLY", at, last_socket_error());
    }
    if (!to_system(at, address) || ::bind(native(handle), address.data(), address.length) != 0) {
        return bind_error("bind", at, last_socket_error());
    }
    if (::listen(native(handle), options.backlog > 0 ? options.backlog : SOMAXCONN) != 0) {
        return bind_error("listen", at, last_socket_error());
    }
    made.endpoint_ = made.socket_.local_endpoint();
    made.options_ = options;
    listener = std::move(made);
    return {};
}

/// What one open_listeners() call works on.
struct ListenPlan {
    const std::vector<Endpoint>& endpoints; ///< the port in them is replaced
    const ListenOptions& options;
    const std::vector<const Listener*>& existing;
    std::vector<Listener> opened;
    std::vector<Error> skipped;
    std::size_t shared = 0; ///< how many endpoints `existing` has already

    void start_over() {
        opened.clear();
        skipped.clear();
        shared = 0;
    }
};

inline const Listener* find_held(const ListenPlan& plan, const Endpoint& at) {
    for (const Listener* listener : plan.existing) {
        if (listener != nullptr && listener->is_open() && listener->endpoint() == at) {
            return listener;
        }
    }
    return nullptr;
}

/// True when an IPv6 wildcard that is open already takes this IPv4 wildcard's connections too.
inline bool is_covered(const ListenPlan& plan, const Endpoint& at) {
    if (plan.options.v6_only || at.family() != Family::ipv4 || !at.is_wildcard()) {
        return false;
    }
    const auto covers = [&at](const Listener& listener) {
        return listener.is_open() && listener.endpoint().family() == Family::ipv6
               && listener.endpoint().is_wildcard() && !listener.options().v6_only
               && listener.endpoint().port() == at.port();
    };
    for (const Listener& listener : plan.opened) {
        if (covers(listener)) {
            return true;
        }
    }
    for (const Listener* listener : plan.existing) {
        if (listener != nullptr && covers(*listener)) {
            return true;
        }
    }
    return false;
}

/// All endpoints on one port. With port 0 the first one that opens decides, and nothing is shared.
inline Error open_on_port(ListenPlan& plan, std::uint16_t port) {
    const bool is_any_port = port == 0;
    plan.start_over();
    for (Endpoint at : plan.endpoints) {
        at.set_port(port);
        if (is_covered(plan, at)) {
            continue;
        }
        const Listener* held = is_any_port ? nullptr : find_held(plan, at);
        if (held != nullptr && held->options().expose != plan.options.expose) {
            return Error(
                ErrorCode::misuse, "listen", at.to_string(),
                "it is open already with another ListenOptions::expose, which would go on "
                "applying");
        }
        if (held != nullptr) {
            ++plan.shared;
            continue;
        }
        Listener listener;
        Error error = Listener::open(at, plan.options, 0, listener);
        if (error.code() == ErrorCode::unsupported_family
            || error.code() == ErrorCode::address_not_available) {
            plan.skipped.push_back(std::move(error));
            continue;
        }
        if (error) {
            return error;
        }
        port = listener.endpoint().port();
        plan.opened.push_back(std::move(listener));
    }
    if (plan.opened.empty() && plan.shared == 0 && !plan.skipped.empty()) {
        return plan.skipped.front();
    }
    return {};
}

/// A port that another program has, or that the system has set aside (Windows does that in
/// ranges): the next one may be free.
inline bool is_taken(const Error& error, std::uint16_t port) {
    return error.code() == ErrorCode::address_in_use
           || (error.code() == ErrorCode::permission_denied && port >= first_unprivileged_port);
}

/// Tries the ports that the options allow, one after the other.
inline Error open_on_ports(ListenPlan& plan, std::uint16_t port) {
    /// How often the system may choose a port that is free on one address only.
    constexpr unsigned max_any_port_attempts = 16;
    const unsigned attempts = port == 0 ? max_any_port_attempts : plan.options.port_range;
    Error error;
    for (unsigned attempt = 0; attempt < attempts; ++attempt) {
        const auto next = static_cast<std::uint16_t>(port == 0 ? 0 : port + attempt);
        error = open_on_port(plan, next);
        if (!is_taken(error, port == 0 ? first_unprivileged_port : next)) {
            return error;
        }
    }
    return error;
}

inline Error
check_port_range(std::string_view host, std::uint16_t port, const ListenOptions& options) {
    constexpr unsigned max_port = 65535;
    const bool is_past_end = port != 0 && port + options.port_range - 1u > max_port;
    if (options.port_range != 0 && !is_past_end) {
        return {};
    }
    std::string subject(host);
    subject += ":" + std::to_string(port);
    if (options.port_range == 0) {
        return Error(
            ErrorCode::bad_port, "listen", subject,
            "ListenOptions::port_range is how many ports to try, at least 1");
    }
    return Error(
        ErrorCode::bad_port, "listen", subject,
        "the last port of ListenOptions::port_range would be above 65535");
}

inline Error check_exposure(const std::vector<Endpoint>& endpoints, const ListenOptions& options) {
    for (const Endpoint& endpoint : endpoints) {
        if (options.expose == Expose::no && !endpoint.is_loopback()) {
            return Error(
                ErrorCode::not_exposed, "listen", endpoint.to_string(),
                "other machines could reach this: listen on localhost, or set "
                "ListenOptions::expose to Expose::lan_with_token or Expose::lan_without_token");
        }
    }
    return {};
}

/// Makes ::ffff:a.b.c.d the IPv4 address that it is, so that it behaves the same whatever v6_only
/// says, and puts an IPv6 wildcard that takes IPv4 too before the IPv4 one that it covers.
inline std::vector<Endpoint>
in_opening_order(const std::vector<Endpoint>& resolved, const ListenOptions& options) {
    std::vector<Endpoint> ordered;
    for (Endpoint endpoint : resolved) {
        const std::array<std::uint8_t, 16>& bytes = endpoint.address();
        if (endpoint.family() == Family::ipv6 && is_mapped(bytes)
            && options.family != Family::ipv6) {
            std::array<std::uint8_t, ipv4_bytes> last{};
            std::memcpy(last.data(), bytes.data() + mapped_offset, last.size());
            endpoint = Endpoint::ipv4(last, endpoint.port());
        }
        if (!options.v6_only && endpoint.family() == Family::ipv6 && endpoint.is_wildcard()) {
            ordered.insert(ordered.begin(), endpoint);
        } else {
            append_unique(ordered, endpoint);
        }
    }
    return ordered;
}

PORTHOLE_FN Error open_listeners(
    std::string_view host, std::uint16_t port, const ListenOptions& options,
    const std::vector<const Listener*>& existing, std::vector<Listener>& opened,
    std::vector<Error>& skipped) {
    if (Error error = check_port_range(host, port, options)) {
        return error;
    }
    std::vector<Endpoint> resolved;
    ResolveOptions resolve_options;
    resolve_options.family = options.family;
    resolve_options.is_passive = true;
    if (Error error = resolve(host, port, resolve_options, resolved)) {
        return error;
    }
    const std::vector<Endpoint> endpoints = in_opening_order(resolved, options);
    if (Error error = check_exposure(endpoints, options)) {
        return error;
    }
    ListenPlan plan{endpoints, options, existing, {}, {}, 0};
    if (Error error = open_on_ports(plan, port)) {
        return error;
    }
    for (Listener& listener : plan.opened) {
        opened.push_back(std::move(listener));
    }
    for (Error& error : plan.skipped) {
        skipped.push_back(std::move(error));
    }
    return {};
}

} // namespace detail

PORTHOLE_NAMESPACE_END
