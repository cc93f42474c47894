// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/os/connector.hpp"
#include "porthole/os/platform.inl"
#include "porthole/os/socket.inl"

#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN Connector::State
Connector::start(std::string_view host, std::uint16_t port, TimePoint deadline) {
    constexpr std::string_view local_prefix = "unix:";
    std::vector<Endpoint> endpoints;
    if (host.substr(0, local_prefix.size()) == local_prefix) {
        endpoints.push_back(Endpoint::local(host.substr(local_prefix.size())));
    } else if (Error error = resolve(host, port, ResolveOptions{}, endpoints)) {
        return fail(std::move(error));
    }
    return start(std::move(endpoints), deadline);
}

PORTHOLE_FN Connector::State Connector::start(std::vector<Endpoint> endpoints, TimePoint deadline) {
    endpoints_ = std::move(endpoints);
    deadline_ = deadline;
    next_ = 0;
    error_ = Error(ErrorCode::misuse, "connect", "", "there is no endpoint to connect to");
    return try_next();
}

/// Begins with each address in turn until one does not fail at once. One that succeeds at once,
/// as unix sockets and often loopback do, needs no wait.
PORTHOLE_FN Connector::State Connector::try_next() {
    while (next_ < endpoints_.size()) {
        const Endpoint& to = endpoints_[next_++];
        const int code = create_socket(to.family(), socket_);
        error_ = code == 0 ? socket_.connect(to) : endpoint_error("socket", to, code);
        if (!error_) {
            state_ = State::connecting;
            if (!is_writable() || finish_current()) {
                return state_;
            }
        }
    }
    return fail(std::move(error_));
}

/// The current address has an outcome. False, with error_ set, when it is a failure.
PORTHOLE_FN bool Connector::finish_current() {
    const Endpoint& to = endpoints_[next_ - 1];
    if (const int code = socket_.take_error()) {
        error_ = endpoint_error("connect", to, code);
        return false;
    }
    if (to.family() != Family::local) {
        // A port that nobody listens on may be chosen for this end too; TCP then connects the
        // socket to itself (RFC 9293 section 3.5, simultaneous open).
        if (socket_.local_endpoint() == socket_.peer_endpoint()) {
            error_ = Error(
                ErrorCode::connection_refused, "connect", to.to_string(),
                default_advice(ErrorCode::connection_refused));
            return false;
        }
        socket_.set_no_delay();
    }
    state_ = State::connected;
    error_ = {};
    return true;
}

PORTHOLE_FN Connector::State Connector::advance(TimePoint now) {
    if (state_ != State::connecting) {
        return state_;
    }
    if (is_writable()) {
        return finish_current() ? state_ : try_next();
    }
    if (now >= deadline_) {
        return fail(Error(
            ErrorCode::timed_out, "connect", endpoints_[next_ - 1].to_string(),
            default_advice(ErrorCode::timed_out)));
    }
    return state_;
}

PORTHOLE_FN Connector::State Connector::fail(Error error) {
    socket_.close();
    error_ = std::move(error);
    state_ = State::failed;
    return state_;
}

PORTHOLE_FN bool Connector::is_writable() const noexcept {
    return is_settled(socket_.handle());
}

PORTHOLE_FN Socket Connector::take_socket() noexcept {
    if (state_ != State::connected) {
        PORTHOLE_ASSERT(state_ == State::connected, "take_socket() once it is connected");
        return {};
    }
    state_ = State::idle;
    return std::move(socket_);
}

} // namespace detail

PORTHOLE_NAMESPACE_END
