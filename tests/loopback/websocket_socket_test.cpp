// SPDX-License-Identifier: MIT

// WebSocket over real sockets: what the memory transport cannot show.

#include "support/socket_client.hpp"
#include "support/websocket_fixture.hpp"

#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

using porthole::Message;
using porthole::Server;
using porthole::WebSocket;
using porthole_test::close_frame;
using porthole_test::close_payload;
using porthole_test::describe_frames;
using porthole_test::from_client;
using porthole_test::options;
using porthole_test::pump_until;
using porthole_test::SocketClient;
using porthole_test::text_frame;

namespace {

const std::string handshake = porthole_test::simple_get(
    "/ws", "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");

/// What has come behind the 101.
std::string frames_of(const SocketClient& client) {
    const std::size_t head = client.received.find("\r\n\r\n");
    return head == std::string::npos ? "" : describe_frames(client.received.substr(head + 4));
}

} // namespace

TEST_CASE("websocket socket: echo, from the handshake's own packet to the close") {
    Server server(options());
    server.get("/ws", porthole::websocket().on_message([](WebSocket& socket, const Message& m) {
        socket.send(m);
    }));
    REQUIRE_FALSE(server.listen("127.0.0.1", 0));
    SocketClient client("127.0.0.1", server.port());
    client.send(
        handshake + from_client(text_frame, "early")
        + from_client(text_frame, std::string(200'000, 'x'))
        + from_client(close_frame, close_payload(1000)));
    CHECK(pump_until(server, {&client}, [&] { return client.is_closed; }));
    CHECK(frames_of(client) == "text:early text:#200000 close:1000 ");
    CHECK_FALSE(client.is_broken);
}

TEST_CASE("websocket socket: posts from threads while the server ticks") {
    Server server(options());
    std::vector<porthole::WebSocketHandle> handles;
    int ends = 0;
    server.get(
        "/ws", porthole::websocket()
                   .on_open([&](WebSocket& socket) { handles.push_back(socket.handle()); })
                   .on_close([&](WebSocket&, int, std::string_view) { ++ends; }));
    REQUIRE_FALSE(server.listen("127.0.0.1", 0));
    SocketClient stays("127.0.0.1", server.port());
    SocketClient leaves("127.0.0.1", server.port());
    stays.send(handshake);
    leaves.send(handshake);
    REQUIRE(pump_until(server, {&stays, &leaves}, [&] { return handles.size() == 2; }));
    std::atomic<int> posted{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) {
        threads.emplace_back([handles, &posted] {
            for (int j = 0; j < 100; ++j) {
                for (const porthole::WebSocketHandle& handle : handles) {
                    handle.post(
                        [&posted](WebSocket& socket) { posted += socket.send_text("p") ? 1 : 0; });
                }
            }
        });
    }
    CHECK(pump_until(server, {&stays, &leaves}, [&] { return posted > 50; }));
    leaves.close();
    CHECK(pump_until(server, {&stays}, [&] {
        return ends == 1 && stays.received.size() > 300 * std::string_view("..p").size();
    }));
    for (std::thread& thread : threads) {
        thread.join();
    }
    const std::size_t head = stays.received.find("\r\n\r\n") + 4;
    CHECK(pump_until(server, {&stays}, [&] { return stays.received.size() - head == 900; }));
}

TEST_CASE("websocket socket: a client that does not read, and one that does beside it") {
    Server server(options());
    std::vector<WebSocket*> sockets;
    server.get(
        "/ws", porthole::websocket()
                   .max_queue_bytes(300'000)
                   .policy(porthole::WebSocketPolicy::drop_oldest)
                   .on_open([&](WebSocket& socket) { sockets.push_back(&socket); }));
    REQUIRE_FALSE(server.listen("127.0.0.1", 0));
    SocketClient slow("127.0.0.1", server.port());
    slow.send(handshake);
    REQUIRE(pump_until(server, {&slow}, [&] { return sockets.size() == 1; }));
    SocketClient quick("127.0.0.1", server.port());
    quick.send(handshake);
    REQUIRE(pump_until(server, {&slow, &quick}, [&] { return sockets.size() == 2; }));
    slow.is_reading = false;
    const auto frame = porthole::PreparedMessage::binary(std::string(50'000, 'x'));
    std::size_t sent = 0;
    std::size_t most = 0;
    // The system's buffers take some megabytes before any of this waits.
    CHECK(pump_until(server, {&slow, &quick}, [&] {
        if (sockets[1]->buffered_bytes() == 0) {
            sockets[0]->send(frame);
            sockets[1]->send(frame);
            most = (std::max)(most, sockets[0]->buffered_bytes());
            ++sent;
        }
        return most > 200'000 && sent > 100;
    }));
    CHECK(most <= 300'000);
    CHECK(pump_until(server, {&quick}, [&] { return quick.received.size() > sent * 50'000; }));
    sockets[0]->send_text("newest");
    slow.is_reading = true;
    CHECK(pump_until(server, {&slow, &quick}, [&] {
        return slow.received.find("newest") != std::string::npos;
    }));
    CHECK(frames_of(slow).find("rest") == std::string::npos);
}

TEST_CASE("websocket socket: a reset is 1006, told once") {
    Server server(options());
    std::string events;
    server.get(
        "/ws",
        porthole::websocket()
            .on_open([](WebSocket& socket) { socket.send_binary(std::string(100'000, 'x')); })
            .on_close([&](WebSocket&, int code, std::string_view) {
                events += std::to_string(code) + " ";
            }));
    REQUIRE_FALSE(server.listen("127.0.0.1", 0));
    SocketClient client("127.0.0.1", server.port());
    client.is_reading = false;
    client.send(handshake);
    REQUIRE(pump_until(server, {&client}, [&] { return server.stats().bytes_out > 100'000; }));
    client.close(); // with unread input: the system sends a reset
    CHECK(pump_until(server, {}, [&] { return !events.empty(); }));
    CHECK(events == "1006 ");
    CHECK(server.stats().connections == 0);
}
