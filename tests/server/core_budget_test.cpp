// SPDX-License-Identifier: MIT

#include "support/counting_transport.hpp"

#include <algorithm>

using namespace std::chrono_literals;
using porthole::BodySource;
using porthole::ManualClock;
using porthole::Options;
using porthole::Request;
using porthole::Response;
using porthole::Server;
using porthole::TickReport;
using porthole_test::add_routes;
using porthole_test::get;
using porthole_test::options;
using porthole_test::Peer;
using porthole_test::post;

namespace {

/// Each handler costs `unit` of time, and nothing else does.
struct Fixture {
    static constexpr auto unit = 100us;
    ManualClock clock;
    Server server{options(clock)};
    std::vector<std::string> order;
    Fixture() {
        add_routes(server);
        server.get("/task/:who", [this](const Request& request, Response& response) {
            order.emplace_back(request.param("who"));
            clock.advance(unit);
            response.text(request.param("who"));
        });
    }
};

std::string repeated(const std::string& request, int times) {
    std::string bytes;
    for (int i = 0; i < times; ++i) {
        bytes += request;
    }
    return bytes;
}

} // namespace

TEST_CASE("core budget: a tick ends within its budget and one unit, and says that more is left") {
    Fixture f;
    std::vector<std::unique_ptr<Peer>> peers;
    for (int i = 0; i < 20; ++i) {
        peers.push_back(std::make_unique<Peer>(f.server));
        peers.back()->send(repeated(get("/task/" + std::to_string(i)), 50));
    }
    std::size_t served = 0;
    for (int i = 0; i < 200 && served < 1000; ++i) {
        const TickReport report = f.server.tick(1ms);
        CHECK(report.elapsed <= 1ms + Fixture::unit);
        CHECK(report.requests <= 11);
        served += report.requests;
        CHECK(report.more == (served < 1000));
        CHECK(report.handler_time == report.requests * Fixture::unit);
    }
    CHECK(served == 1000);
    for (int i = 0; i < 20; ++i) {
        peers[static_cast<std::size_t>(i)]->take();
        const auto answers = peers[static_cast<std::size_t>(i)]->answers();
        REQUIRE(answers.size() == 50);
        for (const auto& answer : answers) {
            CHECK(answer.body == std::to_string(i));
        }
    }
}

TEST_CASE("core budget: those whom one tick left over come first in the next") {
    Fixture f;
    std::vector<std::unique_ptr<Peer>> peers;
    constexpr int count = 10;
    for (int i = 0; i < count; ++i) {
        peers.push_back(std::make_unique<Peer>(f.server));
        peers.back()->send(repeated(get("/task/" + std::to_string(i)), 30));
    }
    // Each turn takes a whole tick: with 30 requests each of them could fill many.
    std::vector<std::string> turns;
    for (int i = 0; i < 2 * count; ++i) {
        f.order.clear();
        f.server.tick(1us);
        REQUIRE_FALSE(f.order.empty());
        CHECK(f.order.size() == 1);
        turns.push_back(f.order.front());
    }
    for (int i = 0; i < count; ++i) {
        CHECK(std::count(turns.begin(), turns.begin() + count, std::to_string(i)) == 1);
        CHECK(std::count(turns.begin() + count, turns.end(), std::to_string(i)) == 1);
    }
}

TEST_CASE("core budget: a newcomer is served within one round, whoever is busy") {
    Fixture f;
    std::vector<std::unique_ptr<Peer>> busy;
    for (int i = 0; i < 8; ++i) {
        busy.push_back(std::make_unique<Peer>(f.server));
        busy.back()->send(repeated(get("/task/busy"), 500));
    }
    f.server.tick(1ms);
    Peer newcomer(f.server);
    newcomer.send(get("/task/new"));
    int ticks = 0;
    std::size_t answers = 0;
    while (answers == 0 && ticks < 50) {
        ++ticks;
        f.server.tick(1us); // one turn
        newcomer.take();
        answers = newcomer.answers().size();
    }
    CHECK(ticks <= 10);
}

TEST_CASE("core budget: a budget of nothing still makes progress") {
    Fixture f;
    Peer peer(f.server);
    peer.send(repeated(get("/task/x"), 5));
    for (int i = 0; i < 20; ++i) {
        f.server.tick(0us);
        f.server.tick(-5us);
    }
    peer.take();
    CHECK(peer.answers().size() == 5);
}

TEST_CASE("core budget: however time passes, every answer is whole and every connection ends") {
    ManualClock clock;
    Options made = options(clock);
    made.limits.max_write_bytes_per_turn = 16 * 1024;
    Server server(made);
    add_routes(server);
    const std::string kinds[] = {
        get("/", "Connection: close\r\n"),
        get("/big", "Connection: close\r\n"),
        get("/big") + get("/n/2", "Connection: close\r\n"),
        repeated(get("/n/1"), 20) + get("/n/2", "Connection: close\r\n"),
        "oh no\r\n\r\n",
        post("/echo", std::string(100'000, 'x')) + get("/n/2", "Connection: close\r\n"),
    };
    for (const auto step : {1us, 20us, 50us, 100us, 200us, 300us, 700us, 1000us}) {
        for (const std::string& bytes : kinds) {
            clock.advance_per_reading(step);
            Peer peer(server, 2 * 1024 * 1024);
            peer.send(bytes);
            int ticks = 0;
            for (; ticks < 500 && !peer.is_closed; ++ticks) {
                server.tick(1ms);
                peer.take();
            }
            CAPTURE(step.count());
            CAPTURE(bytes.substr(0, 50));
            REQUIRE(peer.is_closed);
            const auto answers = peer.answers();
            const bool is_refused = bytes[0] == 'o';
            REQUIRE(answers.back().status == (is_refused ? 400 : 200));
            REQUIRE(answers.back().header("Connection") == "close");
            clock.advance_per_reading({});
            peer.end.reset();
            server.tick();
            REQUIRE(server.stats().connections == 0);
        }
    }
}

TEST_CASE("core budget: a keep-alive answer that ends with the budget lets the next request in") {
    ManualClock clock;
    Server server(options(clock));
    add_routes(server);
    for (int step = 10; step <= 1000; step += 10) {
        clock.advance_per_reading(std::chrono::microseconds(step));
        Peer peer(server, 2 * 1024 * 1024);
        for (int i = 0; i < 3; ++i) {
            CAPTURE(step);
            CAPTURE(i);
            peer.send(get("/big"));
            for (int tick = 0; tick < 50; ++tick) {
                server.tick(1ms);
            }
            peer.take();
            REQUIRE(peer.answers().size() == 1);
        }
    }
}

TEST_CASE("core budget: a fast source and an upload share a tick with small requests") {
    class Endless final : public BodySource {
    public:
        Piece pull(char* into, std::size_t capacity) override {
            std::fill(into, into + capacity, 'e');
            return {State::more, capacity};
        }
    };
    ManualClock clock;
    Options made = options(clock);
    made.limits.max_body_bytes = 100'000'000;
    Server server(made);
    add_routes(server);
    server.get("/endless", [](const Request&, Response& response) {
        response.send("text/plain", std::make_unique<Endless>());
    });
    Peer download(server, 8 * 1024 * 1024);
    download.send(get("/endless"));
    Peer upload(server, 8 * 1024 * 1024);
    upload.send("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50000000\r\n\r\n");
    Peer small(server);
    clock.advance_per_reading(10us);
    int rounds = 0;
    for (int i = 0; i < 60; ++i) {
        upload.send(std::string(1024 * 1024, 'u'));
        small.send(get("/n/1"));
        const TickReport report = server.tick(1ms);
        CHECK(report.elapsed < 2ms);
        CHECK(report.bytes_in <= 8 * 1024 * 1024);
        small.take();
        rounds += static_cast<int>(small.answers().size());
        download.received.clear();
        download.take();
    }
    CHECK(rounds >= 55);
    CHECK(upload.counts->bytes_read > 10 * 1024 * 1024);
    CHECK(download.counts->bytes_written > 10 * 1024 * 1024);
}

TEST_CASE("core budget: deadlines are kept while the server is busy") {
    Fixture f;
    Peer slow(f.server);
    slow.send("GET /");
    Peer busy(f.server, 4 * 1024 * 1024);
    std::size_t sent = 0;
    for (int i = 0; i < 4000 && !slow.is_closed; ++i) {
        sent += busy.send(repeated(get("/task/busy"), 100));
        f.server.tick(1ms);
        f.clock.advance(15ms);
        busy.received.clear();
        busy.take();
        slow.take();
        if (busy.is_closed) {
            busy = Peer(f.server, 4 * 1024 * 1024);
        }
    }
    CHECK(sent != 0);
    CHECK(slow.answers().front().status == 408);
}

TEST_CASE("core budget: posted tasks that the budget leaves over run in the next tick, in order") {
    ManualClock clock;
    Server server(options(clock));
    std::vector<int> ran;
    for (int i = 0; i < 30; ++i) {
        server.post([&ran, &clock, i] {
            ran.push_back(i);
            clock.advance(100us);
        });
    }
    CHECK(server.tick(1ms).more);
    CHECK(ran.size() == 10);
    CHECK(server.next_deadline() <= clock.now());
    server.tick(1ms);
    CHECK_FALSE(server.tick(1ms).more);
    REQUIRE(ran.size() == 30);
    CHECK(std::is_sorted(ran.begin(), ran.end()));
}
