// SPDX-License-Identifier: MIT

// Messages that come in pieces and go in pieces: where they are kept meanwhile, what that costs,
// and that what is sent from where it was received is not overwritten before it has left.

#include "support/allocation_counter.hpp"
#include "support/counting_transport.hpp"
#include "support/websocket_fixture.hpp"

#include <functional>
#include <string>
#include <string_view>
#include <vector>

using namespace std::chrono_literals;
using porthole::Message;
using porthole::Server;
using porthole::WebSocket;
using porthole::WebSocketPolicy;
using porthole::WebSocketRoute;
using porthole::detail::SessionOptions;
using porthole_test::binary_frame;
using porthole_test::close_frame;
using porthole_test::close_payload;
using porthole_test::describe_frames;
using porthole_test::EchoSession;
using porthole_test::from_client;
using porthole_test::from_server;
using porthole_test::options;
using porthole_test::Peer;
using porthole_test::ping_frame;
using porthole_test::text_frame;

namespace {

constexpr std::size_t a_mebibyte = std::size_t{1024} * 1024;

/// Different at every place and for every seed.
std::string pattern(std::size_t size, unsigned seed = 0) {
    std::string bytes(size, ' ');
    for (std::size_t i = 0; i < size; ++i) {
        bytes[i] = static_cast<char>('a' + (i * 7 + i / 251 + seed * 3) % 26);
    }
    return bytes;
}

std::string repeat(std::string_view text, std::size_t count) {
    std::string all;
    for (std::size_t i = 0; i < count; ++i) {
        all += text;
    }
    return all;
}

/// A server with one WebSocket, and its client's raw end.
struct Pipe {
    explicit Pipe(const WebSocketRoute& route, std::size_t capacity = 100'000) {
        server.get("/ws", route);
        peer = std::make_unique<Peer>(server, capacity);
        peer->send(porthole_test::get(
            "/ws", "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"));
        peer->tick(3);
        peer->received.clear();
    }
    /// All of it, however little fits at once. Takes nothing.
    void send(std::string_view bytes) {
        for (int i = 0; i < 10'000 && !bytes.empty(); ++i) {
            bytes.remove_prefix(peer->send(bytes));
            server.tick(1s);
        }
        CHECK(bytes.empty());
        server.tick(1s);
    }
    void settle() {
        for (int i = 0; i < 300; ++i) {
            peer->tick();
        }
    }

    Server server{options()};
    std::unique_ptr<Peer> peer;
};

WebSocketRoute echoing() {
    return porthole::websocket().on_message(
        [](WebSocket& socket, const Message& message) { socket.send(message); });
}

} // namespace

TEST_CASE("websocket large: an echo in pieces allocates nothing once it has been sent") {
    if (!porthole_test::counts_allocations()) {
        return;
    }
    for (const std::size_t size : {std::size_t{70'000}, std::size_t{300'000}, a_mebibyte}) {
        CAPTURE(size);
        Pipe pipe(echoing());
        const std::string payload = pattern(size);
        const std::string sent = from_client(binary_frame, payload);
        const std::string expected = from_server(binary_frame, payload);
        std::string received;
        received.reserve(expected.size() + 1000);
        const auto echo = [&] {
            received.clear();
            char block[16 * 1024];
            std::string_view rest = sent;
            for (int i = 0; i < 10'000 && received.size() < expected.size(); ++i) {
                rest.remove_prefix(pipe.peer->send(rest));
                pipe.server.tick(1s);
                received.append(block, pipe.peer->end->read(block, sizeof block).bytes);
            }
        };
        echo();
        echo();
        const porthole_test::AllocationCounter counter;
        echo();
        echo();
        CHECK(counter.count() == 0);
        CHECK(received == expected);
    }
}

TEST_CASE("websocket large: a length that is announced costs no memory before it comes") {
    if (!porthole_test::counts_allocations()) {
        return;
    }
    constexpr std::size_t announced = 16 * a_mebibyte;
    constexpr std::size_t slack = 140'000; // a read's room, and growing
    Pipe pipe(porthole::websocket().max_message_bytes(announced), 10'000);
    const std::string bytes = from_client(binary_frame, pattern(announced)).substr(0, 600'000);
    const std::size_t before = porthole_test::live_bytes();
    std::string_view rest = bytes;
    for (const std::size_t size : {15u, 1'000u, 10'000u, 100'000u, 400'000u}) {
        CAPTURE(size);
        pipe.send(rest.substr(0, size));
        rest.remove_prefix(size);
        const std::size_t came = bytes.size() - rest.size();
        CHECK(porthole_test::live_bytes() < before + 2 * came + slack);
    }
}

TEST_CASE("websocket large: messages are whole however they are cut, and where frames meet") {
    // Behind a large frame there is a ping, or the next message, in the same piece.
    std::string expected;
    std::string bytes;
    for (unsigned i = 0; i < 6; ++i) {
        const std::string payload = pattern(50'000 + 30'000 * i, i);
        if (i % 2 == 0) {
            bytes += from_client(text_frame, payload);
        } else {
            bytes += from_client(0x01, payload.substr(0, 40'000)) + from_client(ping_frame, "p");
            bytes += from_client(0x00, payload.substr(40'000, 1)) + from_client(0x00, "");
            bytes += from_client(0x80, payload.substr(40'001));
        }
        bytes += from_client(text_frame, "small");
        expected += payload + "small";
    }
    for (const std::size_t read : {std::size_t{1'000}, std::size_t{30'011}, std::size_t{65'536}}) {
        CAPTURE(read);
        porthole::Options made = options();
        made.limits.max_read_bytes_per_turn = read;
        Server server(made);
        std::string got;
        server.get("/ws", porthole::websocket().on_message([&](WebSocket&, const Message& message) {
            got += message.data;
        }));
        Peer peer(server);
        peer.send(porthole_test::get(
            "/ws", "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"));
        std::string_view rest = bytes;
        for (int i = 0; i < 10'000 && !rest.empty(); ++i) {
            rest.remove_prefix(peer.send(rest));
            peer.tick();
        }
        peer.tick(5);
        CHECK(got == expected);
        const std::size_t head = peer.received.find("\r\n\r\n");
        CHECK(describe_frames(peer.received.substr(head + 4)) == repeat("pong:p ", 3));
    }
}

TEST_CASE("websocket large: what is sent back is not overwritten by what comes next") {
    Pipe pipe(echoing().max_queue_bytes(4 * a_mebibyte));
    std::string expected;
    for (unsigned i = 0; i < 8; ++i) { // nobody reads meanwhile
        const std::string payload = pattern(400'000 - i * 20'000, i);
        pipe.send(from_client(binary_frame, payload));
        expected += from_server(binary_frame, payload);
    }
    pipe.settle();
    CHECK(pipe.peer->received == expected);
}

TEST_CASE("websocket large: a message may be sent several times, and looked at afterwards") {
    const std::string payload = pattern(200'000);
    bool was_same = false;
    Pipe pipe(porthole::websocket()
                  .max_queue_bytes(a_mebibyte)
                  .on_message([&](WebSocket& socket, const Message& message) {
                      CHECK(socket.send(message));
                      CHECK(socket.send_binary(message.data));
                      CHECK(socket.send(message, "key"));
                      CHECK(socket.send(message, "key"));
                      CHECK(socket.send_binary(message.data.substr(1)));
                      was_same = message.data == payload;
                  }));
    pipe.send(from_client(text_frame, payload));
    CHECK(was_same);
    pipe.settle();
    const std::string text = from_server(text_frame, payload);
    CHECK(
        pipe.peer->received
        == text + from_server(binary_frame, payload) + text
               + from_server(binary_frame, payload.substr(1)));
}

TEST_CASE("websocket large: what waits for a slow client is counted, and counts as what it keeps") {
    if (!porthole_test::counts_allocations()) {
        return;
    }
    for (const auto policy : {WebSocketPolicy::refuse, WebSocketPolicy::drop_oldest}) {
        for (const std::size_t size : {20'000u, 100'000u, 400'000u}) {
            CAPTURE(size);
            constexpr std::size_t bound = 1'000'000;
            // The queue, what the largest message has left behind, and the server's buffers.
            const std::size_t most = bound + a_mebibyte + 3 * size + 600'000;
            Pipe pipe(echoing().policy(policy).max_queue_bytes(bound), 10'000);
            // One that leaves large memory behind, which small ones must not hold on to.
            const std::size_t before = porthole_test::live_bytes();
            pipe.send(from_client(0x02, pattern(400'000)) + from_client(0x80, pattern(400'000)));
            pipe.settle();
            std::string().swap(pipe.peer->received);
            for (unsigned i = 0; i < 100; ++i) {
                const std::string payload = pattern(size / 2, i);
                pipe.send(from_client(0x02, payload));
                pipe.send(from_client(0x80, payload));
                CHECK(porthole_test::live_bytes() < before + most);
            }
        }
    }
}

TEST_CASE("websocket large: a program's own message is copied once, and only what has to wait") {
    if (!porthole_test::counts_allocations()) {
        return;
    }
    WebSocket* open = nullptr;
    Pipe pipe(porthole::websocket().max_queue_bytes(2 * a_mebibyte).on_open([&](WebSocket& socket) {
        open = &socket;
    }));
    REQUIRE(open != nullptr);
    const std::string payload = pattern(a_mebibyte);
    const std::size_t before = porthole_test::live_bytes();
    CHECK(open->send_binary(payload));
    pipe.server.tick(1s);
    // Outside of a turn a first slice is copied to the connection's buffer, the rest waits.
    CHECK(porthole_test::live_bytes() < before + a_mebibyte + 400'000);
    pipe.settle();
    CHECK(pipe.peer->received == from_server(binary_frame, payload));
    pipe.peer->received.clear();
    const auto prepared = porthole::PreparedMessage::binary(payload);
    const std::size_t prepared_at = porthole_test::live_bytes();
    CHECK(open->send(prepared));
    pipe.server.tick(1s);
    CHECK(porthole_test::live_bytes() < prepared_at + 150'000); // the pipe's
    CHECK(open->buffered_bytes() > a_mebibyte / 2);
    pipe.settle();
    CHECK(pipe.peer->received == from_server(binary_frame, payload));
}

TEST_CASE("websocket large: the server may be destroyed, the socket closed, while one is shown") {
    for (const std::string_view what : {"destroy", "close", "abort"}) {
        for (const bool is_sent : {true, false}) {
            CAPTURE(what);
            std::unique_ptr<Server> server = std::make_unique<Server>(options());
            int ends = 0;
            int messages = 0;
            server->get(
                "/ws", porthole::websocket()
                           .on_message([&](WebSocket& socket, const Message& message) {
                               ++messages;
                               CHECK((!is_sent || socket.send(message)));
                               if (what == "close") {
                                   socket.close();
                               } else if (what == "abort") {
                                   socket.abort();
                               } else {
                                   server.reset();
                               }
                               CHECK_FALSE(socket.send(message));
                               CHECK(message.data.size() == 200'000);
                               CHECK(message.data.back() == pattern(200'000).back());
                           })
                           .on_close([&](WebSocket&, int, std::string_view) { ++ends; }));
            Peer peer(*server);
            peer.send(porthole_test::get(
                "/ws", "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                       "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"));
            std::string bytes = from_client(binary_frame, pattern(200'000));
            bytes += from_client(close_frame, close_payload(1000));
            std::string_view rest = bytes;
            for (int i = 0; i < 100 && server; ++i) {
                rest.remove_prefix(rest.empty() ? 0 : peer.send(rest));
                server->tick(1s);
                peer.take();
            }
            CHECK(messages == 1);
            CHECK(ends == 1);
        }
    }
}

TEST_CASE("websocket large: a pause between the pieces keeps them, and none is read in place") {
    EchoSession echo;
    echo.link.can_share = true;
    const std::string payload = pattern(100'000);
    const std::string bytes = from_client(binary_frame, payload);
    echo.receive(std::string_view(bytes).substr(0, 20'000));
    CHECK(echo.session.place_for_input(1000) != nullptr);
    CHECK(echo.session.place_for_input(bytes.size() - 20'000) != nullptr);
    CHECK(echo.session.place_for_input(bytes.size() - 20'000 + 1) == nullptr);
    echo.session.pause_reading(true);
    CHECK(echo.session.place_for_input(1000) == nullptr);
    echo.receive(std::string_view(bytes).substr(20'000, 30'000));
    echo.session.pause_reading(false);
    CHECK(echo.session.place_for_input(1000) == nullptr); // what is held comes first
    echo.settle();
    echo.receive(std::string_view(bytes).substr(50'000));
    CHECK(echo.link.sent == from_server(binary_frame, payload));
    CHECK(echo.session.place_for_input(1000) == nullptr);
    echo.receive(from_client(0x02, payload).substr(0, 20'000));
    const std::size_t left = from_client(0x02, payload).size() - 20'000;
    CHECK(echo.session.place_for_input(left) != nullptr);
    CHECK(echo.session.place_for_input(left + 1) == nullptr); // another frame's would come, too
}

TEST_CASE("websocket large: behind a shared message a Close and a pong keep their order") {
    SessionOptions wanted;
    wanted.max_queue_bytes = a_mebibyte;
    EchoSession echo(wanted);
    echo.link.can_share = true;
    const std::string bytes = from_client(text_frame, pattern(100'000));
    for (const std::size_t at : {std::size_t{0}, std::size_t{50'000}}) {
        std::string piece = bytes.substr(at, 50'000 + at);
        echo.session.on_data(piece.data(), piece.size());
    }
    CHECK(echo.messages == 1);
    CHECK(echo.link.shared.use_count() != 0);
    std::string ping = from_client(ping_frame, "p");
    echo.session.on_data(ping.data(), ping.size());
    CHECK(echo.session.send({"behind", true}));
    echo.session.close(1000, {});
    CHECK(echo.link.shared.use_count() != 0);
    echo.settle();
    CHECK(describe_frames(echo.link.sent) == "text:#100000 pong:p text:behind close:1000 ");
}

TEST_CASE("websocket large: memory much larger than its message does not wait with it") {
    EchoSession echo;
    echo.link.can_share = true;
    const auto show = [&](const std::string& bytes) {
        std::string first = bytes.substr(0, 1000);
        std::string rest = bytes.substr(1000);
        echo.session.on_data(first.data(), first.size());
        echo.session.on_data(rest.data(), rest.size());
        const bool is_shared = echo.link.shared.use_count() != 0;
        echo.settle();
        return is_shared;
    };
    // Of unknown length, it has been doubled to 128 KiB.
    CHECK_FALSE(show(from_client(0x02, pattern(60'000)) + from_client(0x80, pattern(10'000))));
    CHECK_FALSE(show(from_client(0x02, pattern(60'000)) + from_client(0x80, pattern(40'000))));
    CHECK(show(from_client(0x02, pattern(60'000)) + from_client(0x80, pattern(65'000))));
    CHECK_FALSE(show(from_client(binary_frame, pattern(100'000)))); // in the same memory
    CHECK(show(from_client(binary_frame, pattern(140'000))));
    CHECK(show(from_client(binary_frame, pattern(140'000 * 4 / 5))));
    CHECK_FALSE(show(from_client(binary_frame, pattern(140'000 * 4 / 5 - 1))));
    CHECK_FALSE(show(from_client(binary_frame, pattern(10'000)))); // not worth it
    echo.link.time += 5s;
    echo.session.on_deadline();
    CHECK(show(from_client(binary_frame, pattern(20'000))));
    CHECK(echo.messages == 9);
}

TEST_CASE("websocket large: on_drain() follows whenever 64 KiB or more have waited") {
    constexpr std::size_t mark = 64 * 1024;
    for (const bool can_share : {true, false}) {
        for (const std::size_t size : {mark - 5, mark - 4, std::size_t{300'000}}) {
            CAPTURE(can_share);
            CAPTURE(size);
            EchoSession echo;
            echo.link.can_share = can_share;
            const auto prepared = porthole::PreparedMessage::binary(pattern(size));
            SUBCASE("at once") {
                CHECK(echo.session.send_frame(prepared.frame()));
            }
            SUBCASE("little by little") {
                CHECK(echo.session.send({pattern(size / 2), false}));
                CHECK(echo.session.send({pattern(size - size / 2 - 4), false}));
            }
            const bool has_waited = echo.session.buffered_bytes() >= mark;
            CHECK(has_waited == (size != mark - 5));
            echo.settle();
            CHECK(echo.events == (has_waited ? "drain " : ""));
            CHECK(echo.session.send({"small", true}));
            echo.settle();
            CHECK(echo.events == (has_waited ? "drain " : ""));
        }
    }
}
