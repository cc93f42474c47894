// SPDX-License-Identifier: MIT

#include "support/counting_transport.hpp"

#include <functional>
#include <memory>
#include <string>

using namespace std::chrono_literals;
using porthole::EventStream;
using porthole::ManualClock;
using porthole::Request;
using porthole::Response;
using porthole::Server;
using porthole::ServerSentEvent;
using porthole::testing::Answer;
using porthole::testing::Client;
using porthole::testing::pass_time;
using porthole_test::get;
using porthole_test::options;
using porthole_test::Peer;

namespace {

struct EventWorld {
    ManualClock clock;
    EventStream events;
    int closed = 0;
    std::shared_ptr<int> held = std::make_shared<int>(0);
    std::unique_ptr<Server> server;

    explicit EventWorld(std::size_t max_queue_bytes = 4096) {
        porthole::Options made = options(clock);
        made.limits.max_queue_bytes = max_queue_bytes;
        server = std::make_unique<Server>(std::move(made));
        server->get("/live", [this](const Request&, Response& response) {
            events = response.events();
            events.on_close([this, keep = held] { ++closed; });
        });
        server->get("/", [](const Request&, Response& response) { response.text("hello"); });
    }
    /// What has come behind the head, without the chunks' heads.
    static std::string text(const Peer& peer) {
        std::string all = peer.received;
        all.erase(0, all.find("\r\n\r\n") + 4);
        std::string text;
        porthole::Limits limits;
        porthole::detail::ChunkedDecoder decoder(limits);
        std::string_view rest = all;
        std::size_t consumed = 1;
        while (consumed != 0) {
            std::string_view piece;
            decoder.decode(rest, consumed, piece);
            text += piece;
            rest.remove_prefix(consumed);
        }
        return text;
    }
};

} // namespace

TEST_CASE("event stream: events, now and in later frames, with the fields that they need") {
    EventWorld world;
    world.server->get("/hello", [&world](const Request&, Response& response) {
        world.events = response.events();
        CHECK(world.events.send("now"));
    });
    Peer peer(*world.server);
    peer.send(get("/hello", "Last-Event-ID: 6\r\n"));
    peer.tick();
    CHECK(peer.received.find("Content-Type: text/event-stream\r\n") != std::string::npos);
    CHECK(peer.received.find("Cache-Control: no-store\r\n") != std::string::npos);
    CHECK(peer.received.find("X-Accel-Buffering: no\r\n") != std::string::npos);
    ServerSentEvent event;
    event.data = "later\non";
    event.event = "frame";
    event.id = "7";
    CHECK(world.events.send(event));
    CHECK(world.events.comment("note"));
    peer.tick();
    CHECK(
        EventWorld::text(peer)
        == "data: now\n\nid: 7\nevent: frame\ndata: later\ndata: on\n\n: note\n\n");
    CHECK(world.events.is_open());
    world.events.close();
    CHECK_FALSE(world.events.is_open());
    CHECK_FALSE(world.events.send("too late"));
    CHECK_FALSE(world.events.comment("too late"));
    peer.tick();
    CHECK(peer.answers().size() == 1); // whole: the browser comes again
    peer.send(get("/"));
    peer.tick();
    CHECK(peer.answers().at(0).body == "hello");
}

TEST_CASE("event stream: a comment keeps it alive while nothing else is sent") {
    EventWorld world;
    Peer peer(*world.server);
    peer.send(get("/live"));
    peer.tick();
    pass_time(*world.server, world.clock, 14900ms);
    peer.take();
    CHECK(EventWorld::text(peer).empty());
    pass_time(*world.server, world.clock, 300ms);
    peer.take();
    CHECK(EventWorld::text(peer) == ":\n\n");
    for (int i = 0; i < 4; ++i) { // one in each period is enough
        pass_time(*world.server, world.clock, 14s);
        CHECK(world.events.send("x"));
    }
    peer.take();
    CHECK(EventWorld::text(peer) == ":\n\ndata: x\n\ndata: x\n\ndata: x\n\n");
    pass_time(*world.server, world.clock, 31s);
    peer.take();
    CHECK(EventWorld::text(peer).substr(39) == ":\n\n");
    world.events.close();
    pass_time(*world.server, world.clock, 60s);
    CHECK(world.server->next_deadline() > world.clock.now());
}

TEST_CASE("event stream: a client that is too slow gets nothing half, and holds a bounded queue") {
    EventWorld world(4096);
    Peer peer(*world.server, 300);
    peer.send(get("/live"));
    peer.tick();
    int taken = 0;
    int refused = 0;
    const std::string data(100, 'd');
    for (int i = 0; i < 10'000; ++i) {
        world.events.send(data) ? ++taken : ++refused;
        CHECK(world.events.queued_bytes() <= 4096);
        if (i % 100 == 0) {
            world.server->tick(1s);
        }
    }
    CHECK(refused > 9'000);
    CHECK(world.events.is_open());
    peer.tick(1000);
    CHECK(EventWorld::text(peer).size() == static_cast<std::size_t>(taken) * (data.size() + 8));
    CHECK(world.events.send(data));                         // goes on
    CHECK_FALSE(world.events.send(std::string(5000, 'd'))); // never fits
}

TEST_CASE("event stream: a client that was too slow is told of when it has room again") {
    EventWorld world(4096);
    Peer peer(*world.server, 300);
    peer.send(get("/live"));
    peer.tick();
    int calls = 0;
    world.events.on_writable([&] {
        ++calls;
        CHECK(world.events.queued_bytes() <= 1024);
        CHECK(world.events.send("again"));
    });
    const std::string data(100, 'd');
    while (world.events.send(data)) {}
    peer.tick(1000);
    CHECK(calls == 1);
    CHECK(EventWorld::text(peer).find("data: again") != std::string::npos);
}

TEST_CASE("event stream: on_close is called once when the client goes, and all is freed") {
    for (const bool is_blocked : {false, true}) {
        EventWorld world;
        Peer peer(*world.server, 300);
        peer.send(get("/live"));
        peer.tick();
        if (is_blocked) {
            world.events.send(std::string(2000, 'd'));
            world.server->tick(1s);
        }
        peer.end.reset();
        for (int i = 0; i < 3; ++i) {
            world.server->tick(1s);
        }
        CHECK(world.closed == 1);
        CHECK(world.held.use_count() == 1);
        CHECK_FALSE(world.events.is_open());
        CHECK_FALSE(world.events.send("x"));
        CHECK(world.server->stats().connections == 0);
        pass_time(*world.server, world.clock, 60s); // no heartbeat behind the end
    }
}

TEST_CASE("event stream: a client that vanished without a word is found by the heartbeat") {
    EventWorld world;
    Peer peer(*world.server, 300);
    peer.send(get("/live"));
    peer.tick();
    world.events.send(std::string(2000, 'd'));
    pass_time(*world.server, world.clock, 31s); // nothing is taken: Limits::write_stall_timeout
    CHECK(world.closed == 1);
    CHECK_FALSE(world.events.is_open());
}

TEST_CASE("event stream: dropped by the program it ends whole, by close() too") {
    for (const bool is_dropped : {false, true}) {
        EventWorld world;
        Peer peer(*world.server);
        peer.send(get("/live"));
        peer.tick();
        world.events.send("last");
        EventStream copy = world.events;
        world.events = EventStream();
        CHECK(copy.is_open());
        is_dropped ? static_cast<void>(copy = EventStream()) : copy.close();
        peer.tick();
        const auto answers = peer.answers();
        REQUIRE(answers.size() == 1);
        CHECK(answers[0].body == "data: last\n\n");
        CHECK(world.closed == 0);
        CHECK(world.held.use_count() == 1);
    }
}

TEST_CASE("event stream: HEAD gets the fields and no stream") {
    EventWorld world;
    Client client(*world.server);
    const Answer answer = client.request("HEAD", "/live");
    CHECK(answer.header("Content-Type") == "text/event-stream");
    CHECK(world.closed == 1);
    CHECK_FALSE(world.events.is_open());
}

TEST_CASE("event stream: it outlives the server, which may go inside on_close") {
    for (const bool is_inside : {false, true}) {
        EventWorld world;
        Peer peer(*world.server);
        peer.send(get("/live"));
        peer.tick();
        EventStream copy = world.events;
        if (is_inside) {
            copy.on_close([&world] { world.server.reset(); });
            peer.end.reset();
            for (int i = 0; i < 3 && world.server; ++i) {
                world.server->tick(1s);
            }
        }
        world.server.reset();
        CHECK_FALSE(copy.is_open());
        CHECK_FALSE(copy.send("x"));
        CHECK(world.held.use_count() == 1);
        copy.close();
    }
}

TEST_CASE("event stream: one that leads nowhere takes nothing") {
    EventStream none;
    CHECK_FALSE(none.send("x"));
    CHECK_FALSE(none.comment("x"));
    CHECK_FALSE(none.is_open());
    CHECK(none.queued_bytes() == 0);
    none.on_close([] {});
    none.close();
}
