// SPDX-License-Identifier: MIT
#pragma once

// A server that speaks WebSocket, in memory and in virtual time, and one client of it.

#include "support/options.hpp"
#include "support/websocket_fixture.hpp"

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace porthole_test {

/// A server in virtual time and one client of it.
struct WebSocketWorld {
    std::string events;   ///< of the server's side
    std::string received; ///< by the client
    int end = 0;
    porthole::ManualClock clock;
    std::unique_ptr<porthole::Server> server = std::make_unique<porthole::Server>(options(clock));
    std::unique_ptr<porthole::WebSocketClient> client;

    porthole::WebSocketRoute route() {
        return porthole::websocket()
            .on_open([this](porthole::WebSocket&) { events += "open "; })
            .on_message([](porthole::WebSocket& socket, const porthole::Message& message) {
                socket.send(message);
            })
            .on_close([this](porthole::WebSocket& socket, int code, std::string_view reason) {
                events += "close:" + std::to_string(code) + ":" + std::string(reason) + " ";
                CHECK_FALSE(socket.is_open());
                CHECK_FALSE(socket.send_text("too late"));
            });
    }
    void
    connect(const porthole::WebSocketRoute& chosen, porthole::WebSocketClientOptions wanted = {}) {
        server->get("/", chosen);
        auto pair = porthole::MemoryTransport::make_pair();
        REQUIRE_FALSE(server->adopt(std::move(pair.server), "memory"));
        wanted.clock = &clock;
        client =
            std::make_unique<porthole::WebSocketClient>(std::move(pair.client), std::move(wanted));
        client->on_message = [this](const porthole::Message& message) {
            received += message.data.size() > 40 ? "#" + std::to_string(message.data.size())
                                                 : std::string(message.data);
            received += ' ';
        };
        client->on_close = [this](int code, std::string_view) {
            end = code;
        };
        settle();
    }
    void settle() {
        for (int quiet = 0, turns = 0; quiet < 3 && turns < 100'000; ++turns) {
            const bool has_moved = client->pump();
            const bool has_more = server && server->tick(std::chrono::seconds(1)).more;
            quiet = has_moved || has_more ? 0 : quiet + 1;
        }
    }
    std::size_t connections() const { return server->stats().connections; }
};

} // namespace porthole_test
