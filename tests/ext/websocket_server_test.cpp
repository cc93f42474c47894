// SPDX-License-Identifier: MIT

// A WebSocket and all of the server under it: slow readers under each policy, ends that do not go
// by the book, fairness, and what a message costs.

#include "support/allocation_counter.hpp"
#include "support/counting_transport.hpp"
#include "support/websocket_world.hpp"

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

using namespace std::chrono_literals;
using porthole::Message;
using porthole::Server;
using porthole::WebSocket;
using porthole::WebSocketPolicy;
using porthole_test::binary_frame;
using porthole_test::close_frame;
using porthole_test::close_payload;
using porthole_test::describe_frames;
using porthole_test::from_client;
using porthole_test::options;
using porthole_test::Peer;
using porthole_test::text_frame;
using World = porthole_test::WebSocketWorld;

namespace {

const std::string handshake = porthole_test::get(
    "/ws", "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");

/// What the server has sent behind its 101.
std::string frames_of(const Peer& peer) {
    const std::size_t head = peer.received.find("\r\n\r\n");
    return head == std::string::npos ? "no answer"
                                     : describe_frames(peer.received.substr(head + 4));
}

/// A client that stops reading, and what it gets once it reads again.
struct SlowReader {
    explicit SlowReader(WebSocketPolicy policy) {
        world.connect(world.route()
                          .policy(policy)
                          .max_queue_bytes(bound)
                          .on_open([this](WebSocket& opened) { socket = &opened; })
                          .on_drain([this](WebSocket&) { ++drains; }));
        REQUIRE(socket != nullptr);
        world.client->on_message = [this](const Message& message) {
            received.push_back(std::stoul(std::string(message.data.substr(1))));
        };
        world.client->pause_reading(true);
    }
    /// Sends numbers, each in ten kilobytes; the last one that was taken is in `last`.
    void send(std::size_t count) {
        const std::size_t before = porthole_test::live_bytes();
        for (std::size_t i = 0; i < count; ++i) {
            const std::string number = std::to_string(i);
            std::string text = "n" + number;
            text.resize(10'000, ' ');
            const std::string key = "k" + std::to_string(i % 10);
            const bool has_room = socket->send({text, true}, keys ? key : std::string());
            last = has_room ? i : last;
            refused += has_room ? 0u : 1u;
            world.server->tick(1s);
            if (world.events.find("close") != std::string::npos || !socket->is_open()) {
                break;
            }
            most_queued = (std::max)(most_queued, socket->buffered_bytes());
            const std::size_t now = porthole_test::live_bytes();
            most_memory = (std::max)(most_memory, now < before ? 0 : now - before);
        }
    }
    void resume() {
        world.client->pause_reading(false);
        world.settle();
    }

    static constexpr std::size_t bound = 300'000;
    /// Besides the queue: the pipe of the transport, the connection's buffer, and a message.
    static constexpr std::size_t slack =
        porthole::MemoryTransport::default_capacity + std::size_t{200'000};
    World world;
    WebSocket* socket = nullptr;
    bool keys = false;
    int drains = 0;
    std::size_t last = 0;
    std::size_t refused = 0;
    std::size_t most_queued = 0;
    std::size_t most_memory = 0;
    std::vector<unsigned long> received;
};

} // namespace

TEST_CASE("websocket server: a slow reader under refuse gets a gapless beginning") {
    SlowReader slow(WebSocketPolicy::refuse);
    slow.send(500);
    CHECK(slow.refused > 400);
    CHECK(slow.most_queued <= SlowReader::bound);
    CHECK(slow.most_queued > SlowReader::bound / 2);
    CHECK(slow.most_memory < SlowReader::bound + SlowReader::slack);
    slow.resume();
    CHECK(slow.received.size() == slow.last + 1);
    CHECK(slow.received.back() == slow.last);
    CHECK(slow.drains == 1);
    CHECK(slow.socket->is_open());
}

TEST_CASE("websocket server: a slow reader under drop_oldest gets the newest, in order") {
    SlowReader slow(WebSocketPolicy::drop_oldest);
    slow.send(2000);
    CHECK(slow.refused == 0);
    CHECK(slow.most_queued <= SlowReader::bound);
    CHECK(slow.most_memory < SlowReader::bound + SlowReader::slack);
    slow.resume();
    CHECK(slow.received.size() < 100);
    CHECK(slow.received.back() == 1999);
    CHECK(std::is_sorted(slow.received.begin(), slow.received.end()));
}

TEST_CASE("websocket server: a slow reader under coalesce gets the newest of each key") {
    SlowReader slow(WebSocketPolicy::coalesce);
    slow.keys = true;
    slow.send(2000);
    CHECK(slow.refused == 0);
    CHECK(slow.most_queued <= SlowReader::bound);
    CHECK(slow.most_memory < SlowReader::bound + SlowReader::slack);
    slow.resume();
    std::map<unsigned long, unsigned long> newest;
    for (const unsigned long number : slow.received) {
        newest[number % 10] = number;
    }
    REQUIRE(newest.size() == 10);
    for (const auto& [key, number] : newest) {
        CHECK(number == 1990 + key);
    }
}

TEST_CASE("websocket server: a slow reader under close is given up") {
    SlowReader slow(WebSocketPolicy::close);
    slow.send(500);
    CHECK(slow.refused == 1);
    CHECK(slow.most_memory < SlowReader::bound + SlowReader::slack);
    porthole::testing::pass_time(*slow.world.server, slow.world.clock, 3s);
    CHECK(slow.world.events == "close:1008:The client reads too slowly. ");
    CHECK(slow.world.connections() == 0);
}

TEST_CASE("websocket server: a clogged client is waited for within close_timeout") {
    struct Row {
        const char* name;
        std::string raw; ///< what the client sends once it is clogged
        const char* expected;
    };
    const std::vector<Row> rows = {
        {"close", "", "close:1006: "},
        {"failure", from_client(0x83), "close:1002:The opcode is a reserved one. "},
        {"the client's close", from_client(close_frame, close_payload(4000)), "close:4000: "},
    };
    for (const Row& row : rows) {
        CAPTURE(row.name);
        SlowReader slow(WebSocketPolicy::refuse);
        slow.send(100);
        if (row.raw.empty()) {
            slow.socket->close(4001);
        } else {
            CHECK(slow.world.client->send_raw(row.raw));
            slow.world.client->pump();
        }
        porthole::testing::pass_time(*slow.world.server, slow.world.clock, 1900ms);
        CHECK(slow.world.connections() == 1);
        CHECK(slow.world.events.empty());
        porthole::testing::pass_time(*slow.world.server, slow.world.clock, 200ms);
        CHECK(slow.world.connections() == 0);
        CHECK(slow.world.events == row.expected);
    }
}

TEST_CASE("websocket server: an echoed message allocates nothing") {
    if (!porthole_test::counts_allocations()) {
        return;
    }
    Server server(options());
    int messages = 0;
    server.get("/ws", porthole::websocket().on_message([&](WebSocket& socket, const Message& m) {
        ++messages;
        socket.send(m);
    }));
    Peer peer(server);
    peer.send(handshake);
    peer.tick(3);
    for (const std::size_t size : {std::size_t{64}, std::size_t{16 * 1024}}) {
        CAPTURE(size);
        const std::string bytes = from_client(text_frame, std::string(size, 'x'));
        std::vector<char> block(64 * 1024);
        const auto echo = [&](int count) {
            for (int i = 0; i < count; ++i) {
                peer.send(bytes);
                server.tick(1s);
                while (peer.end->read(block.data(), block.size()).bytes != 0) {}
            }
        };
        echo(10);
        messages = 0;
        const porthole_test::AllocationCounter counter;
        echo(100);
        CHECK(counter.count() == 0);
        CHECK(messages == 100);
    }
}

TEST_CASE("websocket server: 16 MiB come and go where the limits are raised") {
    constexpr std::size_t size = std::size_t{16} * 1024 * 1024;
    World world;
    porthole::WebSocketClientOptions wanted;
    wanted.session.max_message_bytes = size;
    wanted.session.max_queue_bytes = size + 1000;
    world.connect(world.route().max_message_bytes(size).max_queue_bytes(size + 1000), wanted);
    CHECK(world.client->send_binary(std::string(size, 'x')));
    world.settle();
    CHECK(world.received == "#16777216 ");
    CHECK(world.client->is_open());
}

TEST_CASE("websocket server: who sends much at once does not keep another waiting") {
    Server server(options());
    std::string order;
    server.get("/ws", porthole::websocket().on_message([&](WebSocket&, const Message& message) {
        order += message.data;
    }));
    Peer busy(server);
    Peer other(server);
    busy.send(handshake);
    other.send(handshake);
    busy.tick(2);
    other.tick(2);
    std::string flood;
    for (int i = 0; i < 5000; ++i) {
        flood += from_client(text_frame, "x");
    }
    CHECK(busy.send(flood) == flood.size());
    other.send(from_client(text_frame, "o"));
    busy.tick(50);
    CHECK(order.size() == 5001);
    CHECK(order.find('o') <= 256);
}

TEST_CASE("websocket server: the moments of ping and drop") {
    porthole::ManualClock clock;
    Server server(options(clock));
    std::string events;
    server.get(
        "/ws",
        porthole::websocket().ping_interval(10s).pong_timeout(5s).on_close(
            [&](WebSocket&, int code, std::string_view) { events += std::to_string(code); }));
    Peer peer(server);
    peer.send(handshake);
    peer.tick(3);
    porthole::testing::pass_time(server, clock, 9900ms);
    peer.tick();
    CHECK(frames_of(peer).empty());
    porthole::testing::pass_time(server, clock, 200ms);
    peer.tick();
    CHECK(frames_of(peer) == "ping: ");
    SUBCASE("no answer") {
        porthole::testing::pass_time(server, clock, 4700ms);
        CHECK(events.empty());
        porthole::testing::pass_time(server, clock, 400ms);
        CHECK(events == "1006");
        peer.tick();
        CHECK(peer.is_closed);
    }
    SUBCASE("an answer") {
        peer.send(from_client(porthole_test::pong_frame));
        porthole::testing::pass_time(server, clock, 9900ms);
        CHECK(events.empty());
        peer.tick();
        CHECK(frames_of(peer) == "ping: ");
    }
}

TEST_CASE("websocket server: both close at once, each with one Close frame (RFC 6455 7.1.5)") {
    World world;
    WebSocket* socket = nullptr;
    world.connect(world.route().on_open([&](WebSocket& opened) { socket = &opened; }));
    REQUIRE(socket != nullptr);
    world.client->close(4001, "client");
    socket->close(4002, "server");
    world.settle();
    CHECK(world.events == "close:4001:client ");
    CHECK(world.end == 4002);
    porthole::testing::pass_time(*world.server, world.clock, 100ms);
    CHECK(world.connections() == 0);
}

TEST_CASE("websocket server: data and frames behind a Close are ignored (RFC 6455 5.5.1)") {
    Server server(options());
    std::string events;
    server.get(
        "/ws", porthole::websocket()
                   .on_message([&](WebSocket&, const Message& message) {
                       events += "message:" + std::string(message.data) + " ";
                   })
                   .on_close([&](WebSocket&, int code, std::string_view) {
                       events += "close:" + std::to_string(code);
                   }));
    Peer peer(server);
    peer.send(handshake);
    peer.tick(2);
    peer.send(
        from_client(text_frame, "a") + from_client(close_frame, close_payload(1000))
        + from_client(text_frame, "b") + from_client(0x83));
    peer.tick(3);
    peer.send(from_client(text_frame, "c"));
    peer.tick(3);
    CHECK(events == "message:a close:1000");
    CHECK(frames_of(peer) == "close:1000 ");
    CHECK(peer.is_closed);
}

TEST_CASE("websocket server: a client that shuts its sending side still gets what is queued") {
    World world;
    world.connect(world.route());
    CHECK(world.client->send_binary(std::string(500'000, 'x')));
    for (int i = 0; i < 100 && world.client->buffered_bytes() != 0; ++i) {
        world.client->pump();
        world.server->tick(1s);
    }
    world.client->transport()->shut_write();
    world.settle();
    CHECK(world.received == "#500000 ");
    CHECK(world.events == "open close:1006: ");
    CHECK(world.end == 1006);
    porthole::testing::pass_time(*world.server, world.clock, 100ms);
    CHECK(world.connections() == 0);
}

TEST_CASE("websocket server: frames that come with the handshake are not lost") {
    const std::string bytes =
        handshake + from_client(text_frame, "early") + from_client(binary_frame, "bird");
    for (std::size_t split = handshake.size() - 2; split <= bytes.size(); ++split) {
        CAPTURE(split);
        Server server(options());
        server.get("/ws", porthole::websocket().on_message([](WebSocket& socket, const Message& m) {
            socket.send(m);
        }));
        Peer peer(server);
        peer.send(std::string_view(bytes).substr(0, split));
        peer.tick(2);
        peer.send(std::string_view(bytes).substr(split));
        peer.tick(3);
        CHECK(frames_of(peer) == "text:early binary:bird ");
    }
}

TEST_CASE("websocket server: no turn of a handler's own may confuse the frames around it") {
    // Sends from on_message() while its own input is held, and a close in the middle of it.
    World world;
    int count = 0;
    world.connect(world.route().on_message([&](WebSocket& socket, const Message&) {
        ++count;
        socket.pause_reading(count % 2 == 1);
        socket.send_binary(std::string(50'000, 'x'));
        socket.pause_reading(false);
        if (count == 300) {
            socket.close(4005);
            socket.pause_reading(true); // of no effect: the client's answer has to be seen
        }
    }));
    world.client->pause_reading(true);
    std::string flood;
    for (int i = 0; i < 400; ++i) {
        flood += from_client(text_frame, "x");
    }
    CHECK(world.client->send_raw(flood));
    for (int i = 0; i < 10; ++i) {
        world.client->pump();
        world.server->tick(1s);
    }
    CHECK(count == 300);
    world.client->pause_reading(false);
    world.settle();
    CHECK(world.end == 4005);
    CHECK(world.events == "open close:4005: ");
}
