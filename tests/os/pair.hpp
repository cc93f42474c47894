// SPDX-License-Identifier: MIT
#pragma once

// What the tests of the os layer share: two connected sockets on loopback, and waits that end.

#include "support/test.hpp"

#include <chrono>
#include <memory>
#include <string>

namespace porthole_test {

inline constexpr int patience_ms = 5000;

/// Waits until the handle is ready for one of the interests, for patience_ms at the most.
inline porthole::Readiness
wait_for(porthole::NativeHandle handle, porthole::Interest interest, int timeout_ms = patience_ms) {
    using porthole::detail::Poller;
    std::unique_ptr<Poller> poller;
    const auto error = porthole::detail::make_poller(porthole::PollerKind::poll, poller);
    REQUIRE_FALSE(error);
    const auto add_error = poller->add(handle, nullptr, interest);
    REQUIRE_FALSE(add_error);
    Poller::Event events[Poller::max_events];
    return poller->poll(std::chrono::milliseconds(timeout_ms), events) == 1 ? events[0].readiness
                                                                            : porthole::Readiness{};
}

inline porthole::Readiness wait_for(
    const porthole::detail::Socket& socket, porthole::Interest interest,
    int timeout_ms = patience_ms) {
    return wait_for(socket.handle(), interest, timeout_ms);
}

/// Reads exactly `size` bytes, or what there is when the peer ends or nothing comes any more.
inline std::string read_all(porthole::detail::Socket& socket, std::size_t size) {
    std::string text;
    char piece[16 * 1024];
    while (text.size() < size) {
        const auto result = socket.receive(piece, sizeof piece);
        text.append(piece, result.bytes);
        if (result.status == porthole::IoStatus::would_block
            && !wait_for(socket, {true, false}).read) {
            break;
        }
        if (result.status == porthole::IoStatus::end
            || result.status == porthole::IoStatus::failed) {
            break;
        }
    }
    return text;
}

/// A listener on a port of loopback that the system chooses.
inline porthole::detail::Listener loopback_listener(const porthole::ListenOptions& options = {}) {
    porthole::detail::Listener listener;
    const auto error = porthole::detail::Listener::open(
        porthole::Endpoint::ipv4({127, 0, 0, 1}, 0), options, 0, listener);
    REQUIRE_FALSE(error);
    return listener;
}

/// The next connection; not open when none comes.
inline porthole::detail::Socket accept_one(porthole::detail::Listener& listener) {
    porthole::detail::Socket socket;
    porthole::Endpoint peer;
    if (wait_for(listener.handle(), {true, false}).read) {
        static_cast<void>(listener.accept(socket, peer));
    }
    return socket;
}

/// Connects to that endpoint; not open when it fails.
inline porthole::detail::Socket connect_to(const porthole::Endpoint& to) {
    porthole::detail::Connector connector;
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(patience_ms);
    auto state = connector.start(std::vector<porthole::Endpoint>{to}, deadline);
    while (state == porthole::detail::Connector::State::connecting) {
        static_cast<void>(wait_for(connector.handle(), {false, true}));
        state = connector.advance(std::chrono::steady_clock::now());
    }
    return state == porthole::detail::Connector::State::connected ? connector.take_socket()
                                                                  : porthole::detail::Socket();
}

struct ConnectedPair {
    porthole::detail::Socket client;
    porthole::detail::Socket server;
};

inline ConnectedPair connected_pair() {
    porthole::detail::Listener listener = loopback_listener();
    ConnectedPair pair;
    pair.client = connect_to(listener.endpoint());
    pair.server = accept_one(listener);
    REQUIRE(pair.client.is_open());
    REQUIRE(pair.server.is_open());
    return pair;
}

} // namespace porthole_test
