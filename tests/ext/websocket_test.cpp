// SPDX-License-Identifier: MIT

#include "support/websocket_world.hpp"

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using porthole::MemoryTransport;
using porthole::Message;
using porthole::WebSocket;
using porthole::WebSocketClient;
using porthole::WebSocketClientOptions;
using porthole::WebSocketRoute;
using porthole_test::from_client;
using World = porthole_test::WebSocketWorld;

TEST_CASE("websocket: both sides talk, and part with a code") {
    World world;
    world.connect(world.route());
    CHECK(world.client->status() == 101);
    CHECK(world.client->send_text("hello"));
    CHECK(world.client->send_binary(std::string(300'000, 'x')));
    world.settle();
    CHECK(world.received == "hello #300000 ");
    world.client->close(4001, "done");
    world.settle();
    CHECK(world.events == "open close:4001:done ");
    CHECK(world.end == 4001);
    CHECK(world.connections() == 0);
}

TEST_CASE("websocket: each broken rule has its code, one Close frame, and an end within seconds") {
    struct Row {
        std::string bytes;
        int code;
    };
    const std::vector<Row> rows = {
        {from_client(0x83), 1002},
        {from_client(0x81, "\xff"), 1007},
        {from_client(0x82, std::string(5000, 'x')), 1009},
        {from_client(0x01) + from_client(0x00) + from_client(0x00) + from_client(0x80), 1008},
        {from_client(0x88, porthole_test::close_payload(1001)), 1001},
        {from_client(0x81, "unsupported"), 1003},
    };
    for (const Row& row : rows) {
        CAPTURE(row.code);
        World world;
        world.connect(world.route().max_message_bytes(4096).max_frames(3).on_message(
            [](WebSocket& socket, const Message&) { socket.close(1003, "only binary"); }));
        CHECK(world.client->send_raw(row.bytes));
        world.settle();
        CHECK(world.end == row.code);
        CHECK(world.events.find("open close:" + std::to_string(row.code) + ":") == 0);
        porthole::testing::pass_time(*world.server, world.clock, 3s);
        CHECK(world.connections() == 0);
    }
}

TEST_CASE("websocket: functions that take long end the turn, and no message is lost") {
    constexpr int count = 20;
    World world;
    int heard = 0;
    world.connect(world.route().on_message([&](WebSocket&, const Message&) {
        ++heard;
        world.clock.advance(400us);
    }));
    std::string bytes;
    for (int i = 0; i < count; ++i) {
        bytes += from_client(0x81, "x");
    }
    CHECK(world.client->send_raw(bytes));
    world.client->pump();
    for (int frame = 0; frame < count && heard < count; ++frame) {
        const int before = heard;
        world.server->tick(1ms);
        CHECK(heard > before);
        CHECK(heard - before <= 3);
    }
    CHECK(heard == count);
}

TEST_CASE("websocket: the bounds that were not set follow the size of messages") {
    constexpr std::size_t size = std::size_t{4} * 1024 * 1024;
    constexpr std::size_t most = size / 64;
    for (const std::size_t frames : {most, most + 1}) {
        CAPTURE(frames);
        World world;
        std::size_t got = 0;
        WebSocketClientOptions wanted;
        wanted.session.max_message_bytes = size;
        world.connect(
            world.route().max_message_bytes(size).on_message(
                [&got](WebSocket& socket, const Message& message) {
                    got = message.data.size();
                    CHECK(socket.send(Message{std::string(size, 'x'), false}));
                }),
            wanted);
        std::string bytes = from_client(0x02, "a");
        for (std::size_t i = 2; i < frames; ++i) {
            bytes += from_client(0x00, "b");
        }
        bytes += from_client(0x80, "c");
        while (!bytes.empty()) {
            constexpr std::size_t piece = 64 * 1024;
            CHECK(world.client->send_raw(bytes.substr(0, piece)));
            bytes.erase(0, piece);
            world.settle();
        }
        CHECK(got == (frames == most ? frames : 0));
        CHECK(world.end == (frames == most ? 0 : 1008));
    }
}

#if defined(__cpp_exceptions)
TEST_CASE("websocket: a function that throws closes its connection with 1011, and no other") {
    World world;
    world.connect(world.route().on_message([](WebSocket&, const Message&) { throw 1; }));
    world.client->send_text("x");
    world.settle();
    CHECK(world.end == 1011);
    CHECK(world.events == "open close:1011: ");
}
#endif

TEST_CASE("websocket: the server's end is 1001") {
    World world;
    world.connect(world.route());
    world.server->stop();
    world.settle();
    CHECK(world.end == 1001);
    CHECK(world.events.find("open close:1001:") == 0);
}

TEST_CASE("websocket: a client that is gone is 1006, told once") {
    World world;
    world.connect(world.route());
    world.client.reset();
    world.server->tick(1s);
    world.server->tick(1s);
    CHECK(world.events == "open close:1006: ");
}

TEST_CASE("websocket: who does not answer pings is dropped, who does stays") {
    World world;
    world.connect(world.route());
    for (int i = 0; i < 100; ++i) {
        porthole::testing::pass_time(*world.server, world.clock, 1s);
        world.settle();
    }
    CHECK(world.client->is_open());
    porthole::testing::pass_time(*world.server, world.clock, 50s); // the client is not pumped
    CHECK(world.events.find("open close:1006:") == 0);
    CHECK(world.connections() == 0);
}

TEST_CASE("websocket: the server may be destroyed inside each function") {
    for (const std::string_view place : {"open", "message", "pong", "drain", "wake", "close"}) {
        CAPTURE(place);
        World world;
        int ends = 0;
        const auto destroy = [&](std::string_view here) {
            if (here == place) {
                world.server.reset();
            }
        };
        world.connect(porthole::websocket()
                          .on_open([&](WebSocket& socket) {
                              destroy("open");
                              socket.wake();
                              socket.ping("p");
                              socket.send_binary(std::string(200'000, 'x'));
                              socket.send_binary(std::string(200'000, 'x'));
                          })
                          .on_message([&](WebSocket& socket, const Message& message) {
                              destroy("message");
                              socket.send(message);
                              socket.close();
                          })
                          .on_pong([&](WebSocket&, std::string_view) { destroy("pong"); })
                          .on_drain([&](WebSocket&) { destroy("drain"); })
                          .on_wake([&](WebSocket&) { destroy("wake"); })
                          .on_close([&](WebSocket&, int, std::string_view) {
                              ++ends;
                              destroy("close");
                          }));
        for (int i = 0; i < 3; ++i) {
            world.client->send_text("x");
        }
        world.settle();
        CHECK(ends == 1);
        CHECK(world.server == nullptr);
    }
}

TEST_CASE("websocket: post() reaches a socket from any thread, and nobody when it is gone") {
    World world;
    porthole::WebSocketHandle handle;
    world.connect(world.route().on_open([&](WebSocket& socket) { handle = socket.handle(); }));
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([handle] {
            for (int j = 0; j < 100; ++j) {
                handle.post([](WebSocket& socket) { socket.send_text("p"); });
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    world.settle();
    CHECK(world.received.size() == 4 * 100 * 2);
    world.client->close();
    world.settle();
    bool was_run = false;
    handle.post([&](WebSocket&) { was_run = true; });
    world.settle();
    world.server.reset();
    handle.post([&](WebSocket&) { was_run = true; });
    CHECK_FALSE(was_run);
}

TEST_CASE("websocket: a client that does not read costs no more than its bound") {
    World world;
    WebSocket* open = nullptr;
    world.connect(world.route().on_open([&](WebSocket& socket) { open = &socket; }));
    REQUIRE(open != nullptr);
    world.client->pause_reading(true);
    const std::size_t limit = porthole::Limits{}.max_queue_bytes;
    std::size_t most = 0;
    const auto prepared = porthole::PreparedMessage::binary(std::string(10'000, 'x'));
    bool was_refused = false;
    for (int i = 0; i < 1000; ++i) {
        was_refused = !open->send(prepared) || was_refused;
        world.server->tick(1s);
        most = open->buffered_bytes() > most ? open->buffered_bytes() : most;
    }
    CHECK(was_refused);
    CHECK(most <= limit);
    CHECK(most > limit / 2);
    world.client->pause_reading(false);
    world.settle();
    CHECK(open->buffered_bytes() == 0);
    CHECK(open->send(prepared));
}

TEST_CASE("websocket: abort() is told in a turn of its own") {
    World world;
    world.connect(world.route().on_message([&](WebSocket& socket, const Message&) {
        socket.abort();
        CHECK_FALSE(socket.is_open());
        world.events += "aborted ";
    }));
    world.client->send_text("x");
    world.settle();
    CHECK(world.events == "open aborted close:1006: ");
    CHECK(world.end == 1006);
}

TEST_CASE("websocket: subprotocol, peer and a handler of its own for each request") {
    World world;
    const WebSocketRoute base = world.route().protocols({"b", "a"});
    WebSocketClientOptions wanted;
    wanted.protocols = {"a", "b"};
    world.server->get("/", [](const porthole::Request&, porthole::Response&) {});
    world.connect(
        WebSocketRoute(base).on_open([&](WebSocket& socket) {
            world.events += socket.protocol() + "@" + std::string(socket.peer()) + " ";
        }),
        wanted);
    CHECK(world.client->protocol() == "b");
    CHECK(world.events == "b@memory ");
    World other;
    other.server->get("/", [&](const porthole::Request& request, porthole::Response& response) {
        WebSocketRoute(base).on_open(
            [name = std::string(request.query("n").value_or("none"))](WebSocket& socket) {
                socket.send_text(name);
            })(request, response);
    });
    auto pair = MemoryTransport::make_pair();
    REQUIRE_FALSE(other.server->adopt(std::move(pair.server), "memory"));
    WebSocketClientOptions named;
    named.target = "/?n=ann";
    other.client = std::make_unique<WebSocketClient>(std::move(pair.client), named);
    other.client->on_message = [&](const Message& message) {
        other.received = message.data;
    };
    other.settle();
    CHECK(other.received == "ann");
}
