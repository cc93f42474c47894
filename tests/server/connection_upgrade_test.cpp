// SPDX-License-Identifier: MIT

#include "support/counting_transport.hpp"

#include <functional>

using namespace std::chrono_literals;
using porthole::ManualClock;
using porthole::Request;
using porthole::Response;
using porthole::Server;
using porthole::UpgradeLink;
using porthole_test::add_routes;
using porthole_test::get;
using porthole_test::options;
using porthole_test::Peer;

namespace {

/// Writes down what happens to it.
class Recorder final : public porthole::Upgrade {
public:
    void on_open(UpgradeLink& opened) override {
        link = &opened;
        events += "open ";
        if (when_open) {
            when_open(opened);
        }
    }
    void on_data(char* bytes, std::size_t size) override { data.append(bytes, size); }
    void on_drain() override { events += "drain "; }
    void on_deadline() override {
        events += "deadline ";
        if (when_due) {
            when_due();
        }
    }
    void on_end() override { events += "end "; }
    void on_close() override {
        events += "close ";
        link = nullptr;
    }

    UpgradeLink* link = nullptr;
    std::string events;
    std::string data;
    std::function<void(UpgradeLink&)> when_open;
    std::function<void()> when_due;
};

struct Fixture {
    ManualClock clock;
    Server server{options(clock)};
    std::shared_ptr<Recorder> owner = std::make_shared<Recorder>();
    Fixture() {
        add_routes(server);
        server.get(
            "/up", [this](const Request&, Response& response) { response.upgrade("test", owner); });
    }
    static std::string request() { return get("/up", "Connection: Upgrade\r\nUpgrade: test\r\n"); }
    void open(Peer& peer) {
        peer.send(request());
        peer.tick();
        REQUIRE(owner->link != nullptr);
        CHECK(peer.received.find("HTTP/1.1 101 ") == 0);
        peer.received.clear();
    }
};

} // namespace

TEST_CASE("connection upgrade: bytes behind the request and behind the 101 arrive in order") {
    Fixture f;
    f.owner->when_open = [](UpgradeLink& link) {
        CHECK(link.send("welcome"));
    };
    Peer peer(f.server);
    peer.send(get("/n/1") + Fixture::request() + "early");
    peer.tick();
    CHECK(f.owner->data == "early");
    const auto end = peer.received.rfind("\r\n\r\nwelcome");
    CHECK(end != std::string::npos);
    CHECK(peer.received.find("HTTP/1.1 101 ") != std::string::npos);
    peer.received.clear();
    peer.send(" late");
    peer.tick();
    CHECK(f.owner->data == "early late");
    peer.end->shut_write();
    peer.tick();
    CHECK(f.owner->events == "open drain end ");
    CHECK(f.owner->link->send("still"));
    f.owner->link->close();
    peer.tick(2);
    CHECK(peer.received == "still");
    CHECK(peer.is_closed);
    CHECK(f.owner->events.find("close ") != std::string::npos);
    CHECK(f.server.stats().connections == 0);
}

TEST_CASE("connection upgrade: its queue for a slow peer is bounded") {
    Fixture f;
    Peer peer(f.server, 1024);
    f.open(peer);
    const std::size_t limit = porthole::Limits{}.max_queue_bytes;
    CHECK_FALSE(f.owner->link->send(std::string(limit + 1, 'x')));
    CHECK(f.owner->link->send(std::string(limit, 'x')));
    CHECK_FALSE(f.owner->link->send("y"));
    f.server.tick(1s);
    CHECK(f.owner->link->queued_bytes() == limit - 1024);
    porthole::testing::pass_time(f.server, f.clock, 31s);
    CHECK(f.server.stats().connections == 0);
    CHECK(f.owner->events == "open drain close ");
}

TEST_CASE("connection upgrade: closing another connection inside a handler loses no answer") {
    Fixture f;
    f.server.get("/kick", [&](const Request&, Response& response) {
        f.owner->link->abort();
        response.text("kicked");
    });
    Peer victim(f.server);
    f.open(victim);
    Peer peer(f.server);
    peer.send(get("/n/1") + get("/kick") + get("/n/3"));
    peer.tick();
    const auto answers = peer.answers();
    REQUIRE(answers.size() == 3);
    CHECK(answers[0].body == "1");
    CHECK(answers[1].body == "kicked");
    CHECK(answers[2].body == "3");
    CHECK(f.owner->events == "open drain close ");
    CHECK(f.server.stats().connections == 1);
}

TEST_CASE("connection upgrade: paused, nothing that the peer does costs turns") {
    Fixture f;
    Peer peer(f.server);
    f.open(peer);
    f.owner->link->pause_reading(true);
    peer.send("waits");
    peer.end->shut_write();
    f.server.tick(1s);
    f.server.tick(1s);
    const int reads = peer.counts->reads;
    for (int i = 0; i < 5; ++i) {
        CHECK_FALSE(f.server.tick(1s).more);
    }
    CHECK(peer.counts->reads == reads);
    CHECK(f.owner->data.empty());
    f.owner->link->pause_reading(false);
    f.server.tick(1s);
    f.server.tick(1s);
    CHECK(f.owner->data == "waits");
    CHECK(f.owner->events == "open drain end ");
    f.owner->link->pause_reading(true);
    peer.end->reset();
    f.owner->link->send("x");
    f.server.tick(1s);
    CHECK(f.server.stats().connections == 0);
}

TEST_CASE("connection upgrade: an owner's deadline is called once, and one that throws closes") {
    Fixture f;
    Peer peer(f.server);
    f.open(peer);
    f.owner->link->set_deadline(f.owner->link->now() + 5s);
    porthole::testing::pass_time(f.server, f.clock, 4900ms);
    CHECK(f.owner->events == "open drain ");
    porthole::testing::pass_time(f.server, f.clock, 10s);
    CHECK(f.owner->events == "open drain deadline ");
#if defined(__cpp_exceptions)
    f.owner->when_due = [] {
        throw 1;
    };
    f.owner->link->set_deadline(f.owner->link->now() + 1s);
    porthole::testing::pass_time(f.server, f.clock, 2s);
    CHECK(f.owner->events == "open drain deadline deadline close ");
    CHECK(f.server.stats().connections == 0);
#endif
}

#if defined(__cpp_exceptions)
TEST_CASE("connection upgrade: a watch that drops its handle and throws is gone, no more") {
    ManualClock clock;
    Server server(options(clock));
    porthole::detail::Waker waker; // a descriptor that every system has
    const auto error = waker.open();
    REQUIRE_FALSE(error);
    auto watch = std::make_unique<porthole::WatchHandle>();
    int calls = 0;
    const auto watched = server.watch(
        waker.handle(), {true, false},
        [&](porthole::Readiness) {
            ++calls;
            watch.reset();
            throw 1;
        },
        *watch);
    REQUIRE_FALSE(watched);
    waker.wake();
    for (int i = 0; i < 1000 && calls == 0; ++i) {
        server.wait(1ms);
    }
    server.tick();
    CHECK(calls == 1);
}
#endif

TEST_CASE("connection upgrade: a server that stops closes what is upgraded") {
    Fixture f;
    Peer peer(f.server);
    f.open(peer);
    CHECK(f.owner->link->send("last words"));
    f.server.stop();
    peer.tick(3);
    CHECK(peer.received == "last words");
    CHECK(peer.is_closed);
    CHECK(f.owner->events.find("close ") != std::string::npos);
    peer.end.reset();
    peer.counts.reset();
    f.server.tick();
    CHECK_FALSE(f.server.is_running());
}
