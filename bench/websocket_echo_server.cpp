// SPDX-License-Identifier: MIT

// Measures nothing by itself: it is the Porthole side of websocket.py. An echo, waiting in wait();
// or, with --broadcast, a game at 60 frames a second that sends each subscriber of /feed the same
// message in every frame, and prints what its ticks took.
//
// Run:  websocket_echo_server [--port N] [--broadcast --size BYTES --seconds N --subscribers N]
//                             [--deflate]
//       and the options of frame_clock.hpp
// It prints "port N" and serves until it is killed, or for that many seconds from the last
// subscriber on.

#include "options.hpp"

#define PORTHOLE_IMPLEMENTATION
#include <porthole.hpp>

#include "frame_clock.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

namespace {

/// Who listens to /feed. A frame asks each for a turn of its own, which then sends the newest.
class Feed {
public:
    void open(porthole::Server& server) {
        server.get(
            "/feed",
            porthole::websocket()
                .compression(false)
                .on_open([this](porthole::WebSocket& socket) { sockets_.push_back(&socket); })
                .on_wake([this](porthole::WebSocket& socket) { socket.send(newest_, "frame"); })
                .on_close([this](porthole::WebSocket& socket, int, std::string_view) {
                    sockets_.erase(std::find(sockets_.begin(), sockets_.end(), &socket));
                }));
    }
    std::size_t size() const { return sockets_.size(); }
    void publish(std::size_t size) {
        newest_ = porthole::PreparedMessage::text(std::string(size, 'f'));
        for (porthole::WebSocket* socket : sockets_) {
            socket->wake();
        }
    }

private:
    std::vector<porthole::WebSocket*> sockets_;
    porthole::PreparedMessage newest_;
};

} // namespace

int main(int argc, char** argv) {
    constexpr std::size_t max_message_bytes = std::size_t{16} * 1024 * 1024;
    porthole::Options options;
    options.limits.max_connections = 20'000;
    options.limits.max_accepts_per_tick = 256;
    options.limits.idle_timeout = std::chrono::minutes(10);
    Feed feed; // outlives the server, whose end closes the sockets
    porthole::Server server(options);
    server.get(
        "/", porthole::websocket()
                 .compression(bench::has_option(argc, argv, "--deflate"))
                 .max_message_bytes(max_message_bytes)
                 .max_queue_bytes(2 * max_message_bytes)
                 .on_message([](porthole::WebSocket& socket, const porthole::Message& message) {
                     socket.send(message);
                 }));
    feed.open(server);
    porthole::ListenOptions listen_options;
    listen_options.family = porthole::Family::ipv4;
    const auto port = bench::number_option<std::uint16_t>(argc, argv, "--port", 0);
    if (auto error = server.listen("localhost", port, listen_options)) {
        std::fprintf(stderr, "%s\n", error.message().c_str());
        return 1;
    }
    bench::print_port(server.port());
    if (bench::has_option(argc, argv, "--broadcast")) {
        const auto size = bench::number_option<std::size_t>(argc, argv, "--size", 1024);
        const auto subscribers = bench::number_option<std::size_t>(argc, argv, "--subscribers", 1);
        const auto give_up = bench::SteadyClock::now() + std::chrono::seconds(20);
        while (feed.size() < subscribers && bench::SteadyClock::now() < give_up) {
            server.wait(std::chrono::milliseconds(100));
        }
        bench::run_frames(server, bench::FramePlan(argc, argv), [&feed, size] {
            feed.publish(size);
            return false;
        });
        bench::let_clients_finish(server);
        return 0;
    }
    while (true) {
        server.wait(std::chrono::seconds(1));
    }
}
