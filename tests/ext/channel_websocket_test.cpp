// SPDX-License-Identifier: MIT

// Channels over WebSockets: the same values as by events, each socket at its own pace, beside what
// a program says itself.

#include "support/allocation_counter.hpp"
#include "support/options.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using porthole::Channel;
using porthole::ManualClock;
using porthole::Message;
using porthole::Server;
using porthole::SubscribeOptions;
using porthole::WebSocket;
using porthole::WebSocketClient;
using porthole_test::options;

namespace {

/// A client and what it was sent.
struct Page {
    explicit Page(
        Server& server, ManualClock& clock,
        std::size_t capacity = porthole::MemoryTransport::default_capacity) {
        auto pair = porthole::MemoryTransport::make_pair(capacity);
        REQUIRE_FALSE(server.adopt(std::move(pair.server), "page"));
        porthole::WebSocketClientOptions made;
        made.target = "/ws";
        made.clock = &clock;
        made.session.max_message_bytes = std::size_t{4} * 1024 * 1024;
        client = std::make_unique<WebSocketClient>(std::move(pair.client), made);
        client->on_message = [this](const Message& message) {
            messages.emplace_back(message.data);
            texts += message.is_text ? 1 : 0;
        };
    }
    std::vector<std::string> take() { return std::exchange(messages, {}); }

    std::unique_ptr<WebSocketClient> client;
    std::vector<std::string> messages;
    int texts = 0;
};

struct Hall {
    Hall() : server(options(clock)) { route({}); }
    void route(SubscribeOptions chosen) {
        server.get(
            "/ws", porthole::websocket()
                       .on_open([this, chosen](WebSocket& socket) {
                           sockets.push_back(&socket);
                           porthole::subscribe(socket, channel, chosen);
                       })
                       .on_message([](WebSocket& socket, const Message& message) {
                           socket.send(message);
                       }));
    }
    void run(const std::vector<Page*>& pages, int times = 4) {
        for (int i = 0; i < times; ++i) {
            for (Page* page : pages) {
                page->client->pump();
            }
            server.tick(1s);
        }
        for (Page* page : pages) {
            page->client->pump();
        }
    }

    ManualClock clock;
    Channel channel;
    Server server;
    std::vector<WebSocket*> sockets;
};

using Texts = std::vector<std::string>;

} // namespace

TEST_CASE("channel websocket: snapshot, then what follows, with the key in front") {
    Hall hall;
    CHECK(hall.channel.publish("a", "1"));
    CHECK(hall.channel.publish("b", "old"));
    CHECK(hall.channel.publish("b", "2"));
    Page page(hall.server, hall.clock);
    hall.run({&page});
    CHECK(page.take() == Texts{"a\n1", "b\n2"});
    CHECK(hall.channel.subscribers() == 1);
    CHECK(hall.channel.publish("", "x\ny"));
    CHECK(hall.channel.publish("b", std::string("\xff\0", 2)));
    hall.run({&page});
    CHECK(page.take() == Texts{"\nx\ny", std::string("b\n\xff\0", 4)});
    CHECK(page.texts == 3);
    CHECK(page.client->send_text("hello"));
    hall.run({&page});
    CHECK(page.take() == Texts{"hello"});
}

TEST_CASE("channel websocket: as binary messages, whatever the values hold, without the key") {
    Hall hall;
    SubscribeOptions chosen;
    chosen.is_binary = true;
    hall.route(chosen);
    CHECK(hall.channel.publish("points", "text that is UTF-8"));
    Page page(hall.server, hall.clock);
    hall.run({&page});
    CHECK(page.take() == Texts{"text that is UTF-8"});
    CHECK(page.texts == 0);
}

TEST_CASE("channel websocket: topics, values alone, and no snapshot") {
    Hall hall;
    SubscribeOptions chosen;
    chosen.topics = {"cpu"};
    chosen.has_key = false;
    chosen.has_snapshot = false;
    hall.route(chosen);
    CHECK(hall.channel.publish("cpu", "0"));
    Page page(hall.server, hall.clock);
    hall.run({&page});
    CHECK(hall.channel.publish("cpu/1", "1"));
    CHECK(hall.channel.publish("disk", "2"));
    hall.run({&page});
    CHECK(page.take() == Texts{"1"});
}

TEST_CASE("channel websocket: subscribing again begins anew, and unsubscribing ends it") {
    Hall hall;
    Page page(hall.server, hall.clock);
    CHECK(hall.channel.publish("a", "1"));
    CHECK(hall.channel.publish("b", "2"));
    hall.run({&page});
    CHECK(page.take() == Texts{"a\n1", "b\n2"});
    SubscribeOptions chosen;
    chosen.topics = {"b"};
    porthole::subscribe(*hall.sockets[0], hall.channel, chosen);
    CHECK(hall.channel.subscribers() == 1);
    CHECK(hall.channel.publish("a", "3"));
    hall.run({&page});
    CHECK(page.take() == Texts{"b\n2"});
    Channel other;
    CHECK(other.publish("o", "1"));
    porthole::subscribe(*hall.sockets[0], other);
    hall.run({&page});
    CHECK(page.take() == Texts{"o\n1"});
    CHECK(porthole::unsubscribe(*hall.sockets[0], hall.channel));
    CHECK_FALSE(porthole::unsubscribe(*hall.sockets[0], hall.channel));
    CHECK(hall.channel.subscribers() == 0);
    CHECK(hall.channel.publish("b", "4"));
    CHECK(other.publish("o", "2"));
    hall.run({&page});
    CHECK(page.take() == Texts{"o\n2"});
}

TEST_CASE("channel websocket: one of ten stops reading, and the others see every newest value") {
    constexpr std::size_t size = 20'000;
    Hall hall;
    Page stalled(hall.server, hall.clock, 5000);
    std::vector<std::unique_ptr<Page>> others;
    std::vector<Page*> all;
    for (int i = 0; i < 9; ++i) {
        others.push_back(std::make_unique<Page>(hall.server, hall.clock));
        all.push_back(others.back().get());
    }
    stalled.client->pump();
    hall.server.tick(1s);
    stalled.client->pump();
    hall.run(all);
    CHECK(hall.channel.subscribers() == 10);
    std::size_t before = 0;
    for (int frame = 0; frame < 300; ++frame) {
        const std::string value = std::to_string(1000 + frame) + std::string(size, 'x');
        CHECK(hall.channel.publish("frame", value));
        hall.clock.advance(16ms);
        hall.run(all, 1);
        for (Page* page : all) {
            REQUIRE(page->take() == Texts{"frame\n" + value});
        }
        before = frame == 100 ? porthole_test::live_bytes() : before;
    }
    CHECK(porthole_test::live_bytes() <= before + 4096);
    hall.run({&stalled}, 100);
    const auto got = stalled.take();
    REQUIRE_FALSE(got.empty());
    CHECK(got.size() < 10); // what was under way, and the newest
    CHECK(got.back().substr(0, 10) == "frame\n1299");
}

TEST_CASE("channel websocket: many values in one go, more than fit any queue") {
    Hall hall;
    for (int i = 0; i < 500; ++i) {
        CHECK(hall.channel.publish(std::to_string(i), std::string(10'000, 'v')));
    }
    Page fast(hall.server, hall.clock);
    Page slow(hall.server, hall.clock, 3000);
    hall.run({&fast, &slow}, 4000);
    CHECK(fast.take().size() == 500);
    CHECK(slow.take().size() == 500);
}

TEST_CASE("channel websocket: a value that no queue can hold is left out") {
    Hall hall;
    hall.server.get(
        "/ws", porthole::websocket().max_queue_bytes(50'000).on_open(
                   [&hall](WebSocket& socket) { porthole::subscribe(socket, hall.channel); }));
    CHECK(hall.channel.publish("large", std::string(60'000, 'x')));
    CHECK(hall.channel.publish("small", "1"));
    Page page(hall.server, hall.clock);
    hall.run({&page});
    CHECK(page.take() == Texts{"small\n1"});
}

TEST_CASE("channel websocket: many small values come in units of the tick's budget") {
    constexpr int count = 1000;
    Hall hall;
    for (int i = 0; i < count; ++i) {
        CHECK(hall.channel.publish(std::to_string(i), ""));
    }
    Page page(hall.server, hall.clock);
    hall.clock.advance_per_reading(1us);
    std::uint64_t most = 0;
    Texts all;
    for (int i = 0; i < 100 && all.size() < count; ++i) {
        page.client->pump();
        const std::uint64_t sent = hall.server.tick(1us).bytes_out;
        most = sent > most ? sent : most;
        page.client->pump();
        const Texts more = page.take();
        all.insert(all.end(), more.begin(), more.end());
    }
    CHECK(all.size() == count);
    CHECK(all.back() == "999\n");
    constexpr std::size_t message_bytes = 6;
    constexpr std::size_t head_bytes = 256; // of the 101, when it leaves in the same tick
    CHECK(most <= 2 * 256 * message_bytes + head_bytes); // one go, and one when that has left
}

TEST_CASE("channel websocket: any of channel, server and client may go first") {
    auto hall = std::make_unique<Hall>();
    Channel channel = hall->channel;
    auto page = std::make_unique<Page>(hall->server, hall->clock);
    Page other(hall->server, hall->clock);
    hall->run({page.get(), &other});
    CHECK(channel.subscribers() == 2);
    page.reset();
    hall->server.tick(1s);
    CHECK(channel.subscribers() == 1);
    channel.close();
    hall->run({&other});
    CHECK(other.client->is_open());
    CHECK(channel.subscribers() == 1);
    hall.reset();
    CHECK(channel.subscribers() == 0);
}

TEST_CASE("channel websocket: a frame is encoded once for all") {
    if (!porthole_test::counts_allocations()) {
        return;
    }
    constexpr std::size_t count = 50;
    constexpr std::size_t size = 100'000;
    Hall hall;
    std::vector<std::unique_ptr<Page>> pages;
    std::vector<Page*> all;
    for (std::size_t i = 0; i < count; ++i) {
        pages.push_back(std::make_unique<Page>(hall.server, hall.clock, 1000));
        all.push_back(pages.back().get());
    }
    hall.run(all);
    const std::size_t before = porthole_test::live_bytes();
    CHECK(hall.channel.publish("frame", std::string(size, 'x')));
    hall.server.tick(1s);
    // The value, its frame, and the piece that each connection has taken over.
    CHECK(porthole_test::live_bytes() - before < 2 * size + count * 140'000);
}
