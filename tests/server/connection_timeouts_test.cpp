// SPDX-License-Identifier: MIT

#include "support/counting_transport.hpp"

using namespace std::chrono_literals;
using porthole::ManualClock;
using porthole::Options;
using porthole::Request;
using porthole::Response;
using porthole::Server;
using porthole::testing::pass_time;
using porthole_test::add_routes;
using porthole_test::get;
using porthole_test::options;
using porthole_test::Peer;

namespace {

/// Timers are late by less than two slots, and by a frame.
constexpr auto slack = 200ms;

struct Fixture {
    ManualClock clock;
    Server server;
    explicit Fixture(const porthole::Limits& limits = {}) : server(with(limits)) {
        add_routes(server);
    }
    Options with(const porthole::Limits& limits) {
        Options made = options(clock);
        made.limits = limits;
        return made;
    }
    void pass(porthole::Duration time) { pass_time(server, clock, time); }
    std::size_t connections() const { return server.stats().connections; }
};

} // namespace

TEST_CASE("connection timeouts: an idle connection is kept for 15 s and closed without a word") {
    Fixture f;
    Peer peer(f.server);
    peer.send(get("/"));
    peer.tick();
    CHECK(peer.answers().size() == 1);
    f.pass(14900ms);
    CHECK(f.connections() == 1);
    peer.send(get("/")); // begins anew
    peer.tick();
    CHECK(peer.answers().size() == 1);
    f.pass(14900ms);
    CHECK(f.connections() == 1);
    f.pass(100ms + slack);
    CHECK(f.connections() == 0);
    peer.tick();
    CHECK(peer.received.empty());
    CHECK(peer.is_closed);
}

TEST_CASE("connection timeouts: a connection that never says a word goes after 10 s") {
    Fixture f;
    Peer peer(f.server);
    f.pass(9900ms);
    CHECK(f.connections() == 1);
    f.pass(100ms + slack);
    CHECK(f.connections() == 0);
    peer.take();
    CHECK(peer.received.empty());
}

TEST_CASE("connection timeouts: a head has 10 s in total, however it drips, then 408") {
    Fixture f;
    const auto drip = [&](Peer& peer) {
        for (int i = 0; i < 99; ++i) {
            peer.send("x");
            f.pass(100ms);
        }
        peer.take();
        CHECK(peer.received.empty());
        f.pass(100ms + slack);
        peer.take();
        const auto answers = peer.answers();
        REQUIRE(answers.size() == 1);
        CHECK(answers[0].status == 408);
        CHECK(answers[0].header("Connection") == "close");
        CHECK(peer.is_closed);
        CHECK(f.server.stats().timeouts == 1);
        f.pass(2s + slack);
        CHECK(f.connections() == 0);
    };
    SUBCASE("the first one from the connection's start") {
        Peer peer(f.server);
        drip(peer);
    }
    SUBCASE("later ones from their first byte") {
        Peer peer(f.server);
        peer.send(get("/"));
        peer.tick();
        CHECK(peer.answers().size() == 1);
        f.pass(14s);
        drip(peer);
    }
    SUBCASE("one that is held back in a pipeline from where its turn came") {
        Peer peer(f.server);
        peer.send(get("/") + "GE");
        peer.tick();
        CHECK(peer.answers().size() == 1);
        drip(peer);
    }
}

TEST_CASE("connection timeouts: content has 5 s of grace, then 1 KiB/s on average, else 408") {
    Fixture f;
    const std::string head =
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n";
    SUBCASE("nothing for the grace") {
        Peer peer(f.server);
        peer.send(head);
        f.pass(4900ms);
        peer.take();
        CHECK(peer.received.empty());
        f.pass(100ms + slack);
        peer.take();
        const auto answers = peer.answers();
        REQUIRE(answers.size() == 1);
        CHECK(answers[0].status == 408);
        CHECK(peer.is_closed);
    }
    SUBCASE("a little slower than allowed") {
        Peer peer(f.server);
        peer.send(head);
        for (int i = 0; i < 60 && !peer.is_closed; ++i) {
            peer.send(std::string(900, 'x'));
            f.pass(1s);
            peer.take();
        }
        CHECK(peer.answers().front().status == 408);
    }
    SUBCASE("just fast enough") {
        Peer peer(f.server);
        peer.send(head);
        for (int i = 0; i < 97; ++i) {
            peer.send(std::string(1024, 'x'));
            f.pass(1s);
        }
        CHECK(f.connections() == 1);
        peer.send(std::string(100000 - 97 * 1024, 'x'));
        peer.tick();
        CHECK(peer.answers().front().body.size() == 100000);
    }
    SUBCASE("chunked is held to the same") {
        Peer peer(f.server);
        peer.send("POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
                  "1\r\nx\r\n");
        f.pass(5s + slack);
        peer.take();
        CHECK(peer.answers().front().status == 408);
    }
}

TEST_CASE("connection timeouts: an answer of which nothing is taken for 30 s ends it") {
    Fixture f;
    Peer peer(f.server, 64 * 1024);
    peer.send(get("/big"));
    f.pass(29s);
    CHECK(f.connections() == 1);
    peer.take(); // progress, late
    f.pass(29s);
    CHECK(f.connections() == 1);
    f.pass(1s + slack);
    CHECK(f.connections() == 0);
    CHECK(f.server.stats().timeouts == 1);
}

TEST_CASE("connection timeouts: an answer that is taken by the drop ends after 30 s, too") {
    // As slowhttptest -X does: always some progress, and a large answer is held for ever.
    for (const std::size_t bytes : {100u, 6000u}) {
        CAPTURE(bytes);
        Fixture f;
        Peer peer(f.server, 8 * 1024);
        peer.send(get("/big"));
        std::string piece(bytes, ' ');
        for (int i = 0; i < 5; ++i) {
            f.pass(5s);
            static_cast<void>(peer.end->read(&piece[0], piece.size()));
        }
        CHECK(f.connections() == 1);
        for (int i = 0; i < 4; ++i) {
            f.pass(5s);
            static_cast<void>(peer.end->read(&piece[0], piece.size()));
        }
        CHECK(f.connections() == (bytes == 6000 ? 1 : 0)); // 1.2 KB/s are enough
    }
}

TEST_CASE("connection timeouts: a slow reader of small answers is neither idle nor late") {
    porthole::Limits limits;
    limits.min_body_bytes_per_second = 16;
    Fixture f(limits);
    Peer peer(f.server, 2048);
    std::string bytes;
    for (int i = 0; i < 40; ++i) {
        bytes += get("/n/" + std::to_string(i));
    }
    REQUIRE(peer.send(bytes) == bytes.size());
    f.server.tick(1s);
    SUBCASE("with a complete last request") {}
    SUBCASE("with the beginning of another one") {
        peer.send("GET /n/40 HTT");
    }
    f.server.tick(1s);
    std::size_t answers = 0;
    char piece[100];
    for (int i = 0; i < 1000 && answers < 40; ++i) {
        f.pass(2s); // the answers take minutes to leave
        const auto result = peer.end->read(piece, sizeof piece);
        REQUIRE(result.status == porthole::IoStatus::ok);
        peer.received.append(piece, result.bytes);
        answers += peer.answers().size();
    }
    CHECK(answers == 40);
}

TEST_CASE("connection timeouts: a deferred answer may take as long as it takes") {
    Fixture f;
    porthole::Reply kept;
    f.server.get("/later", [&](const Request&, Response& response) { kept = response.defer(); });
    Peer peer(f.server);
    peer.send(get("/later"));
    f.pass(10min);
    CHECK(f.connections() == 1);
    kept.text("patience");
    peer.tick();
    CHECK(peer.answers().front().body == "patience");
    f.pass(14900ms); // the idle time begins with the answer
    CHECK(f.connections() == 1);
}

TEST_CASE("connection timeouts: a breakpoint of minutes between ticks cuts nobody") {
    Fixture f;
    porthole::Reply kept;
    f.server.get("/later", [&](const Request&, Response& response) { kept = response.defer(); });
    Peer idle(f.server);
    idle.send(get("/"));
    Peer head(f.server);
    head.send("GET / HT");
    Peer body(f.server);
    body.send("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n1");
    Peer slow(f.server, 512);
    slow.send(get("/big"));
    Peer deferred(f.server);
    deferred.send(get("/later"));
    f.server.tick(1s);
    bool asks = false;
    SUBCASE("ticked only") {}
    SUBCASE("with a host that looks at next_deadline()") {
        asks = true;
    }
    for (int gap = 0; gap < 3; ++gap) {
        if (asks) {
            static_cast<void>(f.server.next_deadline());
        }
        f.clock.advance(10min);
        f.server.tick(1s);
        CHECK(f.connections() == 5);
    }
    idle.take();
    CHECK(idle.answers().size() == 1);
    head.send("TP/1.1\r\nHost: localhost\r\n\r\n");
    head.tick();
    CHECK(head.answers().front().status == 200);
    body.send("2");
    body.tick();
    CHECK(body.answers().front().body == "12");
    kept.text("now");
    deferred.tick();
    CHECK(deferred.answers().front().body == "now");
    slow.tick(5000);
    CHECK(slow.answers().front().body.size() == 1024 * 1024);
    f.pass(16s); // and the deadlines still exist
    CHECK(f.connections() == 0);
}

TEST_CASE("connection timeouts: many short gaps add up to no reprieve") {
    Fixture f;
    Peer peer(f.server);
    peer.send("GET");
    f.server.tick();
    for (int i = 0; i < 12; ++i) {
        f.clock.advance(900ms); // a slow program, within Limits::max_tick_gap
        f.server.tick(1s);
    }
    peer.take();
    CHECK(peer.answers().front().status == 408);
}
