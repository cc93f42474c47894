// SPDX-License-Identifier: MIT

#include "support/test.hpp"
#include "support/websocket_fixture.hpp"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

using porthole::MemoryTransport;
using porthole::Message;
using porthole::WebSocketClient;
using porthole_test::from_client;
using porthole_test::from_server;

namespace {

/// A client whose server is the test.
struct World {
    World() : pair(MemoryTransport::make_pair()), client(std::move(pair.client)) {
        client.on_close = [this](int code, std::string_view) {
            end = code;
        };
        client.on_message = [this](const Message& message) {
            received += message.data;
        };
    }
    std::string take() {
        client.pump();
        std::string bytes(100'000, '\0');
        bytes.resize(pair.server->read(bytes.data(), bytes.size()).bytes);
        return bytes;
    }
    void give(std::string_view bytes) {
        pair.server->write(&bytes, 1);
        for (int i = 0; i < 5; ++i) {
            client.pump();
        }
    }
    /// Answers the handshake with these lines; "KEY" in them is the right Sec-WebSocket-Accept.
    void answer(std::string lines) {
        const std::string request = take();
        const std::size_t at = request.find("Sec-WebSocket-Key: ") + 19;
        const std::size_t key = lines.find("KEY");
        if (key != std::string::npos) {
            lines.replace(key, 3, porthole::detail::websocket_accept_key(request.substr(at, 24)));
        }
        give(lines);
    }
    MemoryTransport::Pair pair;
    WebSocketClient client;
    std::string received;
    int end = 0;
};

const std::string good = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\n"
                         "Connection: Upgrade\r\nSec-WebSocket-Accept: KEY\r\n";

} // namespace

TEST_CASE("websocket client: takes no answer but the right one (RFC 6455 4.1)") {
    struct Row {
        std::string lines;
        bool is_good;
    };
    const std::vector<Row> rows = {
        {good + "\r\n", true},
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false},
        {"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
         "Sec-WebSocket-Accept: wrong\r\n\r\n",
         false},
        {"HTTP/1.1 101 x\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: KEY\r\n\r\n", false},
        {good + "Sec-WebSocket-Protocol: unasked\r\n\r\n", false},
        {good + "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n", false},
        {"nonsense\r\n\r\n", false},
    };
    for (const Row& row : rows) {
        CAPTURE(row.lines);
        World world;
        world.answer(row.lines);
        CHECK(world.client.is_open() == row.is_good);
        CHECK(world.client.is_closed() == !row.is_good);
        CHECK(world.end == (row.is_good ? 0 : 1006));
    }
}

TEST_CASE("websocket client: masks what it sends, each frame anew, and wants no masks") {
    World world;
    world.answer(good + "\r\n" + from_server(porthole_test::text_frame, "early"));
    CHECK(world.received == "early");
    CHECK(world.client.send_text("same"));
    const std::string first = world.take();
    CHECK(world.client.send_text("same"));
    const std::string second = world.take();
    REQUIRE(first.size() == 10);
    CHECK((static_cast<unsigned char>(first[1]) & 0x80) != 0);
    CHECK(first.substr(2, 4) != second.substr(2, 4));
    world.give(from_client(porthole_test::text_frame, "masked"));
    CHECK(world.end == 1002);
    CHECK(world.client.is_closed());
}
