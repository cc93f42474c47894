// SPDX-License-Identifier: MIT

// An Upgrade's own turns: on_wake(), and what is sent inside and outside of them, which must reach
// its own peer, in order, and nobody else's.

#include "support/allocation_counter.hpp"
#include "support/counting_transport.hpp"

#include <functional>
#include <memory>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using porthole::ManualClock;
using porthole::Request;
using porthole::Response;
using porthole::Server;
using porthole::UpgradeLink;
using porthole_test::get;
using porthole_test::options;
using porthole_test::Peer;

namespace {

/// Calls what the test has set.
class Owner final : public porthole::Upgrade {
public:
    using Call = std::function<void(UpgradeLink&)>;
    void on_open(UpgradeLink& opened) override {
        link = &opened;
        run(when_open);
    }
    void on_data(char* bytes, std::size_t size) override {
        data.append(bytes, size);
        run(when_data);
    }
    void on_drain() override {
        ++drains;
        run(when_drained);
    }
    void on_deadline() override { run(when_due); }
    void on_stop(UpgradeLink& stopped) override {
        run(when_stopped);
        if (link != nullptr) {
            stopped.close();
        }
    }
    void on_wake() override {
        ++wakes;
        run(when_woken);
    }
    void on_end() override { link->close(); }
    void on_close() override { link = nullptr; }
    void run(const Call& call) {
        if (call && link != nullptr) {
            call(*link);
        }
    }

    UpgradeLink* link = nullptr;
    std::string data;
    int wakes = 0;
    int drains = 0;
    Call when_open, when_data, when_drained, when_due, when_woken, when_stopped;
};

struct WakeWorld {
    ManualClock clock;
    std::shared_ptr<Owner> a = std::make_shared<Owner>();
    std::shared_ptr<Owner> b = std::make_shared<Owner>();
    std::unique_ptr<Server> server;

    explicit WakeWorld(std::size_t max_queue_bytes = 1024 * 1024) {
        porthole::Options made = options(clock);
        made.limits.max_queue_bytes = max_queue_bytes;
        server = std::make_unique<Server>(std::move(made));
        server->get("/a", [this](const Request&, Response& r) { r.upgrade("test", a); });
        server->get("/b", [this](const Request&, Response& r) { r.upgrade("test", b); });
        server->get("/", [](const Request&, Response& r) { r.text("hello"); });
    }
    static void open(Peer& peer, std::string_view path) {
        const std::string request = get(path, "Connection: Upgrade\r\nUpgrade: test\r\n");
        std::string_view rest = request;
        for (int i = 0; i < 20; ++i) {
            rest.remove_prefix(peer.send(rest));
            peer.tick();
        }
        const std::size_t end = peer.received.find("\r\n\r\n");
        REQUIRE(end != std::string::npos);
        peer.received.erase(0, end + 4);
    }
};

} // namespace

TEST_CASE("upgrade: what on_drain sends reaches its own peer and nobody else") {
    WakeWorld world;
    Peer peer(*world.server);
    Peer other(*world.server);
    WakeWorld::open(peer, "/a");
    world.a->drains = 0;
    world.a->when_drained = [&world](UpgradeLink& link) {
        if (world.a->drains <= 3) {
            CHECK(link.send("drained "));
        }
    };
    world.a->when_data = [](UpgradeLink& link) {
        CHECK(link.send("data "));
    };
    peer.send("x");
    other.send(get("/"));
    peer.tick(3);
    other.take();
    CHECK(peer.received == "data drained drained drained ");
    CHECK(other.answers().at(0).body == "hello");
    CHECK(other.received.empty());
}

TEST_CASE("upgrade: on_drain that always sends shares the tick with others") {
    WakeWorld world;
    Peer peer(*world.server, 1024 * 1024);
    Peer other(*world.server);
    WakeWorld::open(peer, "/a");
    world.a->when_drained = [&world](UpgradeLink& link) {
        world.clock.advance(10us);
        CHECK(link.send("x"));
    };
    world.a->link->send("x");
    other.send(get("/"));
    for (int i = 0; i < 5; ++i) {
        const int before = world.a->drains;
        CHECK(world.server->tick(1ms).more);
        CHECK(world.a->drains - before <= 110);
    }
    other.take();
    CHECK(other.answers().size() == 1);
}

TEST_CASE("upgrade: woken from anywhere, on_wake comes once, inside a tick") {
    WakeWorld world;
    Peer peer(*world.server);
    Peer other(*world.server);
    WakeWorld::open(peer, "/a");
    WakeWorld::open(other, "/b");
    world.a->when_woken = [](UpgradeLink& link) {
        CHECK(link.send("woken "));
    };
    world.a->link->wake();
    world.a->link->wake();
    CHECK(world.a->wakes == 0);
    peer.tick();
    CHECK(world.a->wakes == 1);
    world.server->post([&world] { world.a->link->wake(); });
    peer.tick();
    CHECK(world.a->wakes == 2);
    world.b->when_data = [&world](UpgradeLink&) {
        world.a->link->wake();
    };
    other.send("x");
    peer.tick(); // the same tick
    CHECK(world.a->wakes == 3);
    CHECK(peer.received == "woken woken woken ");
    CHECK(other.received.empty());
    peer.tick();
    CHECK(world.a->wakes == 3);
}

TEST_CASE("upgrade: a wake-up for a server that waits ends the waiting") {
    Server server(options());
    const auto owner = std::make_shared<Owner>();
    server.get("/a", [&](const Request&, Response& r) { r.upgrade("test", owner); });
    Peer peer(server);
    WakeWorld::open(peer, "/a");
    owner->link->wake();
    const auto began = std::chrono::steady_clock::now();
    server.wait(5s);
    CHECK(owner->wakes == 1);
    CHECK(std::chrono::steady_clock::now() - began < 4s);
}

TEST_CASE("upgrade: on_wake that asks for itself again does not hold the tick") {
    WakeWorld world;
    Peer peer(*world.server);
    WakeWorld::open(peer, "/a");
    world.a->when_woken = [](UpgradeLink& link) {
        link.wake();
    };
    world.a->link->wake();
    for (int tick = 1; tick <= 3; ++tick) {
        const int before = world.a->wakes;
        CHECK(world.server->tick(1s).more); // in virtual time, which stands still
        CHECK(world.a->wakes - before >= 1);
        CHECK(world.a->wakes - before <= 3);
    }
    world.a->when_woken = [&world](UpgradeLink& link) { // one that gets something done goes on
        world.clock.advance(100us);
        CHECK(link.send("x"));
        link.wake();
    };
    const int before = world.a->wakes;
    world.server->tick(1ms);
    CHECK(world.a->wakes - before > 2);
    CHECK(world.a->wakes - before <= 12);
}

TEST_CASE("upgrade: bytes sent inside and outside of its turns keep their order") {
    WakeWorld world;
    Peer peer(*world.server, 64);
    Peer other(*world.server);
    world.a->when_open = [](UpgradeLink& link) {
        CHECK(link.send("0 "));
    };
    WakeWorld::open(peer, "/a");
    WakeWorld::open(other, "/b");
    int next = 1;
    const auto count = [&next](UpgradeLink& link) {
        CHECK(link.send(std::to_string(next++) + " "));
    };
    world.a->when_data = count;
    world.a->when_woken = count;
    world.a->when_drained = [&](UpgradeLink& link) {
        if (next < 1000) {
            count(link);
        }
    };
    world.a->when_due = count;
    world.b->when_data = [&](UpgradeLink&) {
        count(*world.a->link);
        world.a->link->wake();
    };
    for (int i = 0; i < 300; ++i) {
        count(*world.a->link);
        i % 2 == 0 ? peer.send("x") : other.send("x");
        if (i % 7 == 0) {
            world.a->link->set_deadline(world.clock.now() + 1ms);
            world.clock.advance(64ms);
        }
        world.server->post([&] { count(*world.a->link); });
        world.server->tick(1s);
        if (i % 3 == 0) {
            peer.take();
        }
    }
    peer.tick(2000);
    std::string expected;
    for (int i = 0; i < next; ++i) {
        expected += std::to_string(i) + " ";
    }
    CHECK(peer.received == expected);
    CHECK(other.received.empty());
}

TEST_CASE("upgrade: queued_bytes and the limit count in its turns and outside of them") {
    WakeWorld world(1000);
    Peer peer(*world.server, 64);
    WakeWorld::open(peer, "/a");
    world.a->drains = 0;
    const auto fill = [&world](UpgradeLink& link) {
        const std::size_t had = link.queued_bytes();
        CHECK(link.send(std::string(1000 - had - 1, 'x')));
        CHECK(link.queued_bytes() == 999);
        CHECK_FALSE(link.send("xx"));
        CHECK(link.queued_bytes() == 999);
        CHECK(link.send("x"));
        CHECK(link.queued_bytes() == 1000);
        CHECK_FALSE(link.send("x"));
        CHECK(link.send(""));
        static_cast<void>(world);
    };
    world.a->when_data = fill;
    peer.send("x");
    world.server->tick(1s);
    CHECK(world.a->link->queued_bytes() == 1000 - 64); // the rest is the peer's
    fill(*world.a->link);
    world.server->tick(1s);
    CHECK(world.a->link->queued_bytes() == 1000);
    CHECK(world.a->drains == 0);
    peer.tick(100);
    CHECK(world.a->link->queued_bytes() == 0);
    CHECK(peer.received.size() == 1064);
    CHECK(world.a->drains == 1);
}

TEST_CASE("upgrade: the server, or its own or another link, may end inside on_wake") {
    for (const std::string_view what : {"server", "own", "other"}) {
        CAPTURE(what);
        WakeWorld world;
        Peer peer(*world.server);
        Peer other(*world.server);
        WakeWorld::open(peer, "/a");
        WakeWorld::open(other, "/b");
        world.a->when_woken = [&](UpgradeLink& link) {
            CHECK(link.send("last"));
            if (what == "server") {
                world.server.reset();
            } else {
                what == "own" ? link.abort() : world.b->link->abort();
            }
        };
        world.a->link->wake();
        world.server->tick(1s);
        CHECK((world.a->link == nullptr) == (what != "other"));
        CHECK((world.b->link == nullptr) == (what != "own"));
        other.take();
        CHECK(other.received.empty());
    }
}

TEST_CASE("upgrade: the server may be destroyed inside on_close") {
    class Closing final : public porthole::Upgrade {
    public:
        explicit Closing(std::function<void()> call) : call_(std::move(call)) {}
        void on_open(UpgradeLink&) override {}
        void on_data(char*, std::size_t) override {}
        void on_end() override {}
        void on_close() override { call_(); }

    private:
        std::function<void()> call_;
    };
    WakeWorld world;
    int closed = 0;
    world.server->get("/c", [&](const Request&, Response& response) {
        response.upgrade("test", std::make_shared<Closing>([&] {
                             ++closed;
                             world.server.reset();
                         }));
    });
    Peer peer(*world.server);
    WakeWorld::open(peer, "/c");
    peer.end->reset();
    world.server->tick(1s);
    CHECK(closed == 1);
    CHECK(world.server == nullptr);
}

TEST_CASE("upgrade: on_stop may say goodbye, and may destroy the server with all its links") {
    for (const bool destroys : {false, true}) {
        CAPTURE(destroys);
        WakeWorld world;
        Peer peer(*world.server);
        Peer other(*world.server);
        WakeWorld::open(peer, "/a");
        WakeWorld::open(other, "/b");
        world.a->when_stopped = [&](UpgradeLink& link) {
            CHECK(link.send("bye"));
            if (destroys) {
                world.server.reset();
            }
        };
        world.server->stop();
        world.server->tick(1s);
        peer.take();
        other.take();
        CHECK(world.a->link == nullptr);
        CHECK(world.b->link == nullptr);
        CHECK(world.a.use_count() == 1);
        CHECK(world.b.use_count() == 1);
        CHECK(peer.is_closed);
        CHECK(other.is_closed);
        CHECK(other.received.empty());
        if (!destroys) {
            CHECK(peer.received == "bye");
        }
    }
}

TEST_CASE("upgrade: who is woken in each frame keeps its place, however short the budget") {
    constexpr int count = 8;
    constexpr int frames = 80;
    WakeWorld world;
    std::vector<std::shared_ptr<Owner>> owners;
    std::vector<std::unique_ptr<Peer>> peers;
    for (int i = 0; i < count; ++i) {
        const std::string path = "/owner" + std::to_string(i);
        owners.push_back(std::make_shared<Owner>());
        world.server->get(path, [owner = owners.back()](const Request&, Response& response) {
            response.upgrade("test", owner);
        });
        peers.push_back(std::make_unique<Peer>(*world.server));
        WakeWorld::open(*peers.back(), path);
        owners.back()->when_woken = [&world](UpgradeLink&) {
            world.clock.advance(400us); // two turns fill a frame's budget
        };
    }
    for (int frame = 0; frame < frames; ++frame) {
        for (const std::shared_ptr<Owner>& owner : owners) {
            owner->link->wake();
        }
        world.server->tick(1ms);
    }
    for (const std::shared_ptr<Owner>& owner : owners) {
        CHECK(owner->wakes >= frames * 2 / count);
    }
}

TEST_CASE("upgrade: what is large and first leaves from where it is, the rest in its order") {
    constexpr std::size_t large = 100'000;
    for (const std::size_t capacity : {std::size_t{1} << 20, std::size_t{10'000}}) {
        CAPTURE(capacity);
        WakeWorld world;
        Peer peer(*world.server, capacity);
        WakeWorld::open(peer, "/a");
        std::size_t written_inside = 0;
        const std::string first(large, '1');
        const std::string second(large, '2');
        world.a->when_data = [&](UpgradeLink& link) {
            const std::size_t before = peer.counts->bytes_written;
            CHECK(link.send(first));
            written_inside = peer.counts->bytes_written - before;
            CHECK(link.queued_bytes() == large - written_inside);
            CHECK(link.send("middle"));
            CHECK(link.send(second));
            CHECK(link.queued_bytes() == 2 * large + 6 - written_inside);
        };
        peer.send("x");
        for (int i = 0; i < 100; ++i) {
            peer.tick();
        }
        CHECK(written_inside == (capacity < large ? capacity : large));
        CHECK(peer.received == first + "middle" + second);
        CHECK(world.a->link->queued_bytes() == 0);
    }
}

TEST_CASE("upgrade: what is large leaves at once behind what has gathered, in a turn of its own") {
    constexpr std::size_t large = 100'000;
    WakeWorld world;
    Peer peer(*world.server, 1 << 20);
    WakeWorld::open(peer, "/a");
    const std::string block(large, 'x');
    world.a->when_data = [&](UpgradeLink& link) {
        const std::size_t before = peer.counts->bytes_written;
        CHECK(link.send("head"));
        CHECK(peer.counts->bytes_written == before);
        CHECK(link.send(block));
        CHECK(peer.counts->bytes_written == before + 4 + large);
        CHECK(link.queued_bytes() == 0);
        CHECK(link.send(block)); // one write in a turn
        CHECK(link.queued_bytes() == large);
    };
    peer.send("x");
    peer.tick(3);
    const std::size_t before = peer.counts->bytes_written;
    CHECK(world.a->link->send(block));
    CHECK(peer.counts->bytes_written == before);
    peer.tick(3);
    CHECK(peer.received == "head" + block + block + block);
}

TEST_CASE("upgrade: what is shared stays where it is, leaves in order, and is then let go") {
    constexpr std::size_t large = 100'000;
    for (const std::size_t capacity : {std::size_t{1} << 20, std::size_t{10'000}}) {
        for (const bool is_in_turn : {true, false}) {
            CAPTURE(capacity);
            CAPTURE(is_in_turn);
            WakeWorld world;
            Peer peer(*world.server, capacity);
            WakeWorld::open(peer, "/a");
            const auto first = std::make_shared<const std::string>(large, '1');
            const auto second = std::make_shared<const std::string>(large, '2');
            const auto send = [&](UpgradeLink& link) {
                CHECK(link.send("head"));
                CHECK(link.send_shared(first, *first));
                CHECK(link.queued_bytes() == large + 4);
                CHECK(first.use_count() == 2);
                CHECK_FALSE(link.send_shared(first, "small"));
                CHECK(link.send("middle"));
                CHECK(first.use_count() == 1); // copied after all, to keep the order
                CHECK(link.send_shared(second, *second));
                CHECK(link.queued_bytes() == 2 * large + 10);
            };
            if (is_in_turn) {
                world.a->when_data = send;
                peer.send("x");
            } else {
                send(*world.a->link);
            }
            for (int i = 0; i < 100; ++i) {
                peer.tick();
            }
            CHECK(peer.received == "head" + *first + "middle" + *second);
            CHECK(world.a->link->queued_bytes() == 0);
            CHECK(second.use_count() == 1);
        }
    }
}

TEST_CASE("upgrade: what is shared from on_drain leaves, and costs a slow peer no memory") {
    if (!porthole_test::counts_allocations()) {
        return;
    }
    constexpr std::size_t large = 1'000'000;
    WakeWorld world(10'000); // the bound is for what is copied
    Peer peer(*world.server, 1000);
    WakeWorld::open(peer, "/a");
    const auto block = std::make_shared<const std::string>(large, 'b');
    world.a->drains = 0;
    world.a->when_drained = [&](UpgradeLink& link) {
        if (world.a->drains == 1) {
            CHECK(link.send_shared(block, *block));
            CHECK_FALSE(link.send_shared(block, *block)); // the first does not fit the bound
            CHECK_FALSE(link.send("x"));
        }
    };
    const std::size_t before = porthole_test::live_bytes();
    CHECK(world.a->link->send("first"));
    for (int i = 0; i < 10; ++i) {
        world.server->tick(1s);
        peer.take();
    }
    CHECK(world.a->link->queued_bytes() > large / 2);
    CHECK(porthole_test::live_bytes() < before + 50'000);
    for (int i = 0; i < 1200; ++i) {
        world.server->tick(1s);
        peer.take();
    }
    CHECK(peer.received == "first" + *block);
    CHECK(block.use_count() == 1);
    CHECK(world.a->drains == 2);
}

TEST_CASE("upgrade: what is shared is let go when the connection ends before it has left") {
    WakeWorld world;
    auto peer = std::make_unique<Peer>(*world.server, 1000);
    WakeWorld::open(*peer, "/a");
    const auto block = std::make_shared<const std::string>(100'000, 'b');
    CHECK(world.a->link->send_shared(block, *block));
    world.server->tick(1s);
    CHECK(block.use_count() == 2);
    SUBCASE("the peer goes") {
        peer->end.reset();
    }
    SUBCASE("the owner gives up") {
        world.a->link->abort();
    }
    SUBCASE("the peer takes nothing") {
        porthole::testing::pass_time(*world.server, world.clock, 31s);
    }
    world.server->tick(1s);
    CHECK(block.use_count() == 1);
    CHECK(world.a->link == nullptr);
}

TEST_CASE("upgrade: what comes can be read to where its owner wants it") {
    class Placing final : public porthole::Upgrade {
    public:
        void on_open(UpgradeLink&) override {}
        char* place_for_input(std::size_t size) override {
            most = size;
            return has_place ? place : nullptr;
        }
        void on_data(char* bytes, std::size_t size) override {
            data.append(bytes, size);
            is_in_place = bytes == place;
        }
        void on_end() override {}
        void on_close() override {}
        std::string data;
        std::size_t most = 0;
        bool has_place = true;
        bool is_in_place = false;
        char place[256] = {};
    };
    porthole::Options made = options();
    made.limits.max_read_bytes_per_turn = sizeof Placing::place;
    Server server(made);
    const auto owner = std::make_shared<Placing>();
    server.get("/", [&](const Request&, Response& r) { r.upgrade("test", owner); });
    Peer peer(server);
    peer.send(get("/", "Connection: Upgrade\r\nUpgrade: test\r\n") + "early ");
    peer.tick(3);
    CHECK(owner->data == "early ");
    CHECK_FALSE(owner->is_in_place); // it came with the request
    peer.send("placed ");
    peer.tick(2);
    CHECK(owner->is_in_place);
    CHECK(owner->most == sizeof Placing::place);
    owner->has_place = false;
    peer.send("not placed");
    peer.tick(2);
    CHECK_FALSE(owner->is_in_place);
    CHECK(owner->data == "early placed not placed");
}

TEST_CASE("upgrade: a large message to a peer that is gone closes once, and outside of the call") {
    WakeWorld world;
    Peer peer(*world.server);
    WakeWorld::open(peer, "/a");
    world.a->when_data = [&](UpgradeLink& link) {
        peer.end.reset();
        link.send(std::string(100'000, 'x'));
        CHECK(world.a->link != nullptr);
    };
    peer.send("x");
    world.server->tick(1s);
    world.server->tick(1s);
    CHECK(world.a->link == nullptr);
}
