// SPDX-License-Identifier: MIT

#include "support/allocation_counter.hpp"
#include "support/counting_transport.hpp"

using namespace std::chrono_literals;
using porthole::ManualClock;
using porthole::Options;
using porthole::Reply;
using porthole::Request;
using porthole::Response;
using porthole::Server;
using porthole::TickReport;
using porthole::testing::pass_time;
using porthole_test::add_routes;
using porthole_test::AllocationCounter;
using porthole_test::counts_allocations;
using porthole_test::get;
using porthole_test::options;
using porthole_test::Peer;

namespace {

bool did_nothing(const TickReport& report) {
    return report.requests == 0 && report.responses == 0 && report.bytes_in == 0
           && report.bytes_out == 0 && !report.more;
}

} // namespace

TEST_CASE("core: a tick with nothing to do does nothing and allocates nothing") {
    ManualClock clock;
    Server server(options(clock));
    add_routes(server);
    std::vector<std::unique_ptr<Peer>> peers;
    for (int i = 0; i < 100; ++i) {
        peers.push_back(std::make_unique<Peer>(server, 4096));
        peers.back()->send(get("/"));
        peers.back()->tick();
        REQUIRE(peers.back()->answers().size() == 1);
    }
    const AllocationCounter allocations;
    for (int i = 0; i < 100; ++i) {
        const TickReport report = server.tick();
        CHECK(did_nothing(report));
        clock.advance(16ms);
    }
    if (counts_allocations()) {
        CHECK(allocations.count() == 0);
    }
    CHECK(server.stats().tick_times.count() <= 100); // idle ticks are not in the histogram
    for (const auto& peer : peers) {
        CHECK(peer->counts->reads <= 2);
        CHECK(peer->counts->writes == 1);
    }
}

TEST_CASE("core: a keep-alive GET in steady state allocates nothing, one read and one write") {
    ManualClock clock;
    Server server(options(clock));
    server.get("/hello", [](const Request&, Response& response) { response.text("Hello\n"); });
    Peer peer(server);
    const std::string request = get("/hello", "User-Agent: test\r\nAccept: */*\r\n");
    char answer[1024];
    const auto round = [&] {
        peer.send(request);
        server.tick(1s);
        return peer.end->read(answer, sizeof answer).bytes;
    };
    REQUIRE(round() > 100);
    REQUIRE(round() > 100);
    const auto before = *peer.counts;
    const AllocationCounter allocations;
    for (int i = 0; i < 200; ++i) {
        if (round() < 100) {
            FAIL("an answer is missing");
        }
    }
    const std::size_t count = allocations.count();
    CHECK(peer.counts->reads == before.reads + 200);
    CHECK(peer.counts->writes == before.writes + 200);
    if (counts_allocations()) {
        CHECK(count == 0);
    }
}

TEST_CASE("core: an idle connection owns no buffers") {
    if (!counts_allocations()) {
        return;
    }
    ManualClock clock;
    Server server(options(clock));
    add_routes(server);
    Peer warm(server, 1024);
    warm.send(get("/"));
    warm.tick();
    constexpr std::size_t count = 50;
    constexpr std::size_t capacity = 1024;
    std::vector<std::unique_ptr<Peer>> peers;
    peers.reserve(count);
    const std::size_t before = porthole_test::allocated_bytes();
    for (std::size_t i = 0; i < count; ++i) {
        peers.push_back(std::make_unique<Peer>(server, capacity));
        peers.back()->send(get("/"));
        server.tick(1s);
    }
    const std::size_t each = (porthole_test::allocated_bytes() - before) / count;
    // The connection, and the test's own: two pipes and four small objects.
    CHECK(each < 2 * capacity + 2048);
}

TEST_CASE("core: a partial head costs about its own size") {
    if (!counts_allocations()) {
        return;
    }
    ManualClock clock;
    Server server(options(clock));
    add_routes(server);
    constexpr std::size_t count = 50;
    std::vector<std::unique_ptr<Peer>> peers;
    peers.reserve(count);
    const std::size_t before = porthole_test::allocated_bytes();
    for (std::size_t i = 0; i < count; ++i) {
        peers.push_back(std::make_unique<Peer>(server, 1024));
        for (const char* piece : {"GET / HTTP/1.1\r\n", "Host: local", "host\r\nX-"}) {
            peers.back()->send(piece);
            server.tick(1s);
        }
    }
    CHECK((porthole_test::allocated_bytes() - before) / count < 16 * 1024);
}

TEST_CASE("core: posted tasks run once, in order, inside the next tick") {
    ManualClock clock;
    Server server(options(clock));
    std::string order;
    server.post([&] { order += 'a'; });
    server.post([&] { order += 'b'; });
    CHECK(order.empty());
    server.tick();
    CHECK(order == "ab");
    server.tick();
    CHECK(order == "ab");
}

TEST_CASE("core: a task that posts itself anew runs once in a tick") {
    ManualClock clock;
    Server server(options(clock));
    int runs = 0;
    std::function<void()> again = [&] {
        ++runs;
        if (runs < 1000) {
            server.post(again);
        }
    };
    server.post(again);
    CHECK(server.tick(1s).more); // with this clock the budget never ends
    CHECK(runs == 1);
    server.tick(1s);
    CHECK(runs == 2);
}

TEST_CASE("core: what a handler posts when the budget is spent is told by more") {
    ManualClock clock;
    Server server(options(clock));
    bool has_run = false;
    server.get("/", [&](const Request&, Response& response) {
        clock.advance(5ms);
        server.post([&] { has_run = true; });
        response.text("x");
    });
    Peer peer(server);
    peer.send(get("/"));
    CHECK(server.tick(1ms).more);
    CHECK_FALSE(has_run);
    CHECK(server.next_deadline() <= clock.now());
    server.tick(1ms);
    CHECK(has_run);
}

#if defined(__cpp_exceptions)
TEST_CASE("core: a task that throws harms neither the others nor the server") {
    ManualClock clock;
    Server server(options(clock));
    add_routes(server);
    bool has_run = false;
    server.post([] { throw 1; });
    server.post([&] { has_run = true; });
    Peer peer(server);
    peer.send(get("/"));
    peer.tick();
    CHECK(has_run);
    CHECK(peer.answers().size() == 1);
}
#endif

TEST_CASE("core: stop() ends idle connections and an idle server at once") {
    ManualClock clock;
    Server server(options(clock));
    add_routes(server);
    Peer peer(server);
    peer.send(get("/"));
    peer.tick();
    CHECK(server.is_running());
    server.stop();
    CHECK_FALSE(server.is_running());
    server.stop(); // the same
    peer.tick();
    CHECK(peer.is_closed);
    CHECK(server.stats().connections == 0);
    auto pair = porthole::MemoryTransport::make_pair();
    server.tick();
    server.run(); // returns: nothing is left
}

TEST_CASE("core: stop() lets complete answers leave, and nothing longer than its grace") {
    ManualClock clock;
    Server server(options(clock));
    add_routes(server);
    std::vector<Reply> kept;
    server.get(
        "/later", [&](const Request&, Response& response) { kept.push_back(response.defer()); });
    Peer big(server, 64 * 1024);
    big.send(get("/big"));
    Peer later(server);
    later.send(get("/later"));
    Peer never(server);
    never.send(get("/later"));
    Peer head(server);
    head.send("GET / HT");
    Peer body(server);
    body.send("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n1");
    Peer stuck(server, 1024);
    stuck.send(get("/big"));
    Peer idle(server);
    server.tick(1s);
    server.stop();
    server.tick(1s);
    CHECK(server.stats().connections == 6);
    kept.front().text("just in time");
    body.send("2");
    for (int i = 0; i < 40; ++i) {
        big.tick();
    }
    later.tick();
    body.take();
    CHECK(big.answers().size() == 1);
    const auto answers = later.answers();
    REQUIRE(answers.size() == 1);
    CHECK(answers[0].header("Connection") == "close");
    CHECK(later.is_closed);
    CHECK(body.answers().size() == 1);
    idle.take();
    CHECK(idle.is_closed);
    // The big answer had promised to keep alive; its connection ends with it all the same.
    CHECK(big.is_closed);
    pass_time(server, clock, 900ms);
    CHECK(server.stats().connections >= 3);
    pass_time(server, clock, 300ms);
    CHECK(server.stats().connections == 0);
    CHECK(kept.back().peer_gone());
    kept.back().text("too late");
    server.tick();
}

TEST_CASE("core: stop() from a handler sends its answer first") {
    ManualClock clock;
    Server server(options(clock));
    server.get("/quit", [&](const Request&, Response& response) {
        server.stop();
        response.text("bye");
    });
    Peer peer(server);
    peer.send(get("/quit"));
    peer.tick(3);
    CHECK(peer.answers().size() == 1);
    CHECK(peer.is_closed);
    CHECK(server.stats().connections == 0);
    CHECK_FALSE(server.is_running());
}

TEST_CASE("core: a server that stopped takes no connection until it listens again") {
    ManualClock clock;
    Server server(options(clock));
    add_routes(server);
    Peer held(server);
    held.send("GET /");
    server.tick();
    server.stop();
    server.tick();
    auto pair = porthole::MemoryTransport::make_pair();
    CHECK(server.adopt(std::move(pair.server), "late"));
    const auto error = server.listen("127.0.0.1", 0);
    CHECK_FALSE(error);
    CHECK(server.is_running());
    Peer peer(server);
    peer.send(get("/"));
    peer.tick();
    CHECK(peer.answers().size() == 1);
}

TEST_CASE("core: a handler may destroy the server while others wait for their turn") {
    ManualClock clock;
    auto server = std::make_unique<Server>(options(clock));
    server->get("/", [&](const Request&, Response& response) {
        response.text("never sent");
        server.reset();
    });
    Peer a(*server);
    Peer b(*server);
    a.send(get("/") + get("/"));
    b.send(get("/"));
    server->tick(1s);
    CHECK(server == nullptr);
    a.take();
    b.take();
    CHECK(a.is_closed);
    CHECK(b.is_closed);
    CHECK(a.received.empty());
}

TEST_CASE("core: tick() inside a handler is misuse and does nothing") {
    ManualClock clock;
    Server server(options(clock));
    const int before = porthole_test::misuse_count;
    server.get("/", [&](const Request&, Response& response) {
        CHECK(did_nothing(server.tick(1s)));
        response.text("fine");
    });
    Peer peer(server);
    peer.send(get("/"));
    peer.tick();
    CHECK(peer.answers().size() == 1);
    CHECK(porthole_test::misuse_count == before + 1);
}

TEST_CASE("core: tick_until() ends with a clock that stands still") {
    ManualClock clock;
    Server server(options(clock));
    add_routes(server);
    Peer peer(server);
    peer.send(get("/"));
    server.tick_until(clock.now() + 50ms);
    peer.take();
    CHECK(peer.answers().size() == 1);
}

TEST_CASE("core: a breakpoint inside a handler moves the deadlines, too") {
    porthole::ManualClock clock;
    porthole::Server server(porthole_test::options(clock));
    server.get("/stop", [&](const porthole::Request&, porthole::Response& response) {
        clock.advance(std::chrono::minutes(10)); // the debugger stands here
        response.text("on");
    });
    porthole::testing::Client idle(server);
    idle.tick();
    porthole::testing::Client busy(server);
    CHECK(busy.get("/stop").status == 200);
    idle.tick();
    CHECK_FALSE(idle.is_closed());
    CHECK(server.stats().connections == 2);
}

TEST_CASE("core: a log sink that throws harms nobody") {
#if defined(__cpp_exceptions)
    porthole::Options options = porthole_test::options();
    options.log = [](const porthole::LogEvent&) {
        throw 1;
    };
    porthole::Server server(options);
    porthole::testing::Client client(server);
    client.send("nonsense\r\n\r\n");
    CHECK(client.read_answer().status == 400);
#endif
}

TEST_CASE("core: times beyond all clocks are times that never come") {
    ManualClock clock;
    porthole::Options made = options(clock);
    porthole::Limits& limits = made.limits;
    for (std::chrono::milliseconds* time :
         {&limits.head_timeout, &limits.body_grace, &limits.idle_timeout,
          &limits.write_stall_timeout, &limits.linger_timeout, &limits.stop_grace,
          &limits.accept_backoff, &limits.max_tick_gap}) {
        *time = (std::chrono::milliseconds::max)();
    }
    Server server(std::move(made));
    add_routes(server);
    Peer idle(server);
    Peer peer(server);
    peer.send(get("/"));
    peer.tick();
    CHECK(peer.answers().size() == 1);
    clock.advance(24h);
    pass_time(server, clock, 60s);
    CHECK(server.stats().connections == 2);
    server.stop();
    server.tick();
    CHECK(server.stats().connections == 0);
}
