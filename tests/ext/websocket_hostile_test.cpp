// SPDX-License-Identifier: MIT

// Corners where a program, or the moment, is unkind: callbacks that end what they run in, times at
// the end of their range, a server that stops in the middle of a handshake, and compressed messages
// made to cost.

#include "support/counting_transport.hpp"
#include "support/websocket_world.hpp"

#include <functional>
#include <memory>
#include <string>
#include <string_view>

using namespace std::chrono_literals;
using porthole::Message;
using porthole::Server;
using porthole::WebSocket;
using porthole::detail::SessionOptions;
using porthole_test::describe_frames;
using porthole_test::EchoSession;
using porthole_test::from_client;
using porthole_test::options;
using porthole_test::Peer;
using porthole_test::text_frame;
using World = porthole_test::WebSocketWorld;

namespace {

std::string handshake(std::string_view more = {}) {
    std::string fields =
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    return porthole_test::get("/ws", fields.append(more));
}

/// What the server has sent behind its 101.
std::string frames_of(const Peer& peer) {
    const std::size_t head = peer.received.find("\r\n\r\n");
    return head == std::string::npos ? "no answer"
                                     : describe_frames(peer.received.substr(head + 4));
}

/// Sends nothing, and does what the test wants.
class Feed final : public porthole::detail::WebSocketFeed {
public:
    explicit Feed(std::function<void(WebSocket&)> function) : function_(std::move(function)) {}
    void feed(WebSocket& socket) override { function_(socket); }
    const void* subject() const noexcept override { return this; }

private:
    std::function<void(WebSocket&)> function_;
};

} // namespace

TEST_CASE("websocket hostile: on_wake() is not called any more once the socket has ended") {
    for (const std::string_view end : {"destroy", "close", "abort", "throw"}) {
        CAPTURE(end);
#if !defined(__cpp_exceptions)
        if (end == "throw") {
            continue;
        }
#endif
        World world;
        world.connect(world.route()
                          .on_open([&](WebSocket& socket) {
                              socket.attach(std::make_unique<Feed>([&](WebSocket& fed) {
                                  world.events += "feed ";
                                  if (end == "destroy") {
                                      world.server.reset();
                                  } else if (end == "close") {
                                      fed.close(3000);
                                  } else if (end == "abort") {
                                      fed.abort();
                                  }
#if defined(__cpp_exceptions)
                                  else {
                                      throw 1;
                                  }
#endif
                              }));
                          })
                          .on_wake([&](WebSocket&) { world.events += "wake "; }));
        world.settle();
        CHECK(world.events.find("feed ") == 0);
        CHECK(world.events.find("wake ") == std::string::npos);
        CHECK(world.events.find("close:") != std::string::npos);
    }
}

TEST_CASE("websocket hostile: a feed may be taken away from inside a feed") {
    World world;
    std::string fed;
    const void* other = nullptr;
    world.connect(world.route().on_open([&](WebSocket& socket) {
        auto second = std::make_unique<Feed>([&](WebSocket&) { fed += "second "; });
        other = second.get();
        socket.attach(std::make_unique<Feed>([&](WebSocket& inner) {
            fed += "first ";
            const bool is_first_time = fed == "first ";
            CHECK(inner.detach(other) == is_first_time);
        }));
        socket.attach(std::move(second));
        socket.attach(std::make_unique<Feed>([&](WebSocket&) { fed += "third "; }));
    }));
    world.settle();
    CHECK(fed.find("first third first third ") == 0);
    CHECK(fed.find("second") == std::string::npos);
}

TEST_CASE("websocket hostile: times at the ends of their range mean always and never") {
    constexpr auto longest = (std::chrono::milliseconds::max)();
    World world;
    SUBCASE("the longest") {
        world.connect(
            world.route().ping_interval(10s).pong_timeout(longest).close_timeout(longest));
        porthole::testing::pass_time(*world.server, world.clock, 100s); // the client is not pumped
        CHECK(world.connections() == 1);
        world.client->pause_reading(true);
        world.server->stop();
        world.server->tick(1s);
        CHECK(world.connections() == 1); // its close_timeout has not passed
    }
    SUBCASE("never a ping") {
        world.connect(world.route().ping_interval(longest));
        for (int i = 0; i < 10; ++i) {
            porthole::testing::pass_time(*world.server, world.clock, 60s);
        }
        CHECK(world.connections() == 1);
        world.settle();
        CHECK(world.client->is_open());
    }
    SUBCASE("none, and below") {
        world.connect(world.route().ping_interval(-longest).pong_timeout(0s));
        for (int i = 0; i < 10; ++i) {
            porthole::testing::pass_time(*world.server, world.clock, 60s);
        }
        CHECK(world.connections() == 1);
    }
    SUBCASE("the longest, for a client") {
        porthole::WebSocketClientOptions wanted;
        wanted.session.ping_interval = 10s;
        wanted.session.pong_timeout = (porthole::Duration::max)();
        wanted.session.close_timeout = (porthole::Duration::max)();
        world.connect(world.route(), wanted);
        for (int i = 0; i < 10; ++i) { // the server is not ticked
            world.clock.advance(20s);
            world.client->pump();
        }
        CHECK(world.client->is_open());
        world.client->close();
        world.client->pump();
        world.clock.advance(20s);
        world.client->pump();
        CHECK_FALSE(world.client->is_closed());
    }
    SUBCASE("no time to close") {
        WebSocket* open = nullptr;
        world.connect(world.route().close_timeout(-longest).on_open(
            [&](WebSocket& socket) { open = &socket; }));
        REQUIRE(open != nullptr);
        open->close();
        porthole::testing::pass_time(*world.server, world.clock, 1s);
        CHECK(world.connections() == 0);
    }
}

TEST_CASE("websocket hostile: a handshake that ends while the server stops gets its 1001") {
    porthole::ManualClock clock;
    Server server(options(clock));
    std::string events;
    server.get(
        "/ws", porthole::websocket()
                   .on_open([&](WebSocket& socket) {
                       events += "open ";
                       socket.send_text("hello");
                   })
                   .on_close([&](WebSocket&, int code, std::string_view) {
                       events += "close:" + std::to_string(code);
                   }));
    Peer peer(server);
    const std::string request = handshake();
    peer.send(std::string_view(request).substr(0, 40));
    peer.tick(2);
    server.stop();
    peer.tick(2);
    peer.send(std::string_view(request).substr(40));
    peer.tick(3);
    CHECK(frames_of(peer) == "text:hello close:1001 ");
    peer.send(from_client(porthole_test::close_frame, porthole_test::close_payload(1001)));
    peer.tick(3);
    CHECK(events == "open close:1001");
    CHECK(peer.is_closed);
}

#if defined(__cpp_exceptions)
TEST_CASE("websocket hostile: a client's function that throws closes its connection with 1011") {
    for (const std::string_view place : {"open", "message", "pong"}) {
        CAPTURE(place);
        World world;
        world.connect(world.route().on_message([](WebSocket& socket, const Message& message) {
            socket.send(message);
            socket.send(message);
            socket.ping("p");
        }));
        int calls = 0;
        const auto throws = [&](std::string_view here) {
            if (here == place) {
                ++calls;
                throw 1;
            }
        };
        auto pair = porthole::MemoryTransport::make_pair();
        REQUIRE_FALSE(world.server->adopt(std::move(pair.server), "memory"));
        porthole::WebSocketClientOptions wanted;
        wanted.clock = &world.clock;
        world.client =
            std::make_unique<porthole::WebSocketClient>(std::move(pair.client), std::move(wanted));
        world.client->on_open = [&] {
            world.client->send_text("x");
            throws("open");
        };
        world.client->on_message = [&](const Message&) {
            throws("message");
        };
        world.client->on_pong = [&](std::string_view) {
            throws("pong");
        };
        world.client->on_close = [&](int code, std::string_view) {
            world.end = code;
            throw 1;
        };
        CHECK_NOTHROW(world.settle());
        world.client->send_text("x");
        if (place == "pong") {
            CHECK_NOTHROW(world.client->ping("p"));
        }
        CHECK_NOTHROW(world.settle());
        CHECK(world.end == 1011);
        CHECK(calls == 1);
        CHECK(world.client->is_closed());
        CHECK(world.events.find("close:1011:") != std::string::npos);
    }
}
#endif

TEST_CASE("websocket hostile: a 426 names the protocol that is spoken (RFC 9110 15.5.22)") {
    Server server(options());
    server.get("/ws", porthole::websocket());
    const std::string plain = porthole_test::get("/ws");
    const std::string old = porthole_test::get(
        "/ws", "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 8\r\n"
               "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
    for (const std::string& request : {plain, old}) {
        Peer peer(server);
        peer.send(request + porthole_test::get("/none"));
        peer.tick(3);
        const auto answers = peer.answers();
        REQUIRE(answers.size() == 2); // the connection goes on
        CHECK(answers[0].status == 426);
        CHECK(answers[0].header("Upgrade") == "websocket");
        CHECK(answers[0].header("Connection") == "upgrade");
        CHECK(answers[0].header("Sec-WebSocket-Version") == "13");
        CHECK(answers[1].status == 404);
    }
}

TEST_CASE("websocket hostile: a turn's expanding ends with its budget, a step at a time") {
    // Stands for a compressor whose every byte becomes a kilobyte.
    class Bomb final : public porthole::detail::MessageCodec {
    public:
        bool compress(std::string_view, std::string&) override { return false; }
        porthole::detail::InflateStatus
        expand(std::string_view piece, bool, std::size_t max_bytes, std::string& into) override {
            const std::size_t grown = piece.size() * 1024;
            most = grown < most ? most : grown;
            ++steps;
            if (into.size() + grown > max_bytes) {
                return porthole::detail::InflateStatus::too_large;
            }
            into.append(grown, 'x');
            return porthole::detail::InflateStatus::ok;
        }
        std::size_t most = 0;
        int steps = 0;
    };
    SessionOptions wanted;
    wanted.max_message_bytes = std::size_t{16} * 1024 * 1024;
    EchoSession echo(wanted);
    echo.is_echoing = false;
    auto codec = std::make_unique<Bomb>();
    const Bomb& bomb = *codec;
    echo.session.set_codec(std::move(codec));
    std::string bytes = from_client(0xc1, std::string(10'000, 'c'));
    echo.link.is_out_of_time = true;
    echo.session.on_data(bytes.data(), bytes.size());
    CHECK(bomb.most <= 256 * 1024); // a fraction of a millisecond
    CHECK(bomb.steps == 1);
    CHECK(echo.link.wants_wake);
    echo.session.on_wake();
    CHECK(bomb.steps == 2);
    echo.link.is_out_of_time = false;
    echo.settle();
    CHECK(echo.messages == 1);
}
