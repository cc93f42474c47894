// SPDX-License-Identifier: MIT

#include "support/options.hpp"

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

using porthole::Limits;
using porthole::ManualClock;
using porthole::Options;
using porthole::Request;
using porthole::Response;
using porthole::Server;
using porthole::Upgrade;
using porthole::UpgradeLink;
using porthole::testing::Client;
using std::chrono::milliseconds;

namespace {

constexpr std::string_view request =
    "GET /echo HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";

/// What happened to an upgraded connection; outlives it.
struct Story {
    UpgradeLink* link = nullptr;
    std::string received;
    int opened = 0;
    int drained = 0;
    int deadlines = 0;
    int ended = 0;
    int closed = 0;
    int destroyed = 0;
    bool was_destroyed_first = false;
    bool echoes = true;
    std::function<void(UpgradeLink&)> on_open;
    std::function<void(UpgradeLink&)> on_data;
    std::function<void(UpgradeLink&)> on_end;
    std::function<void(UpgradeLink&)> on_drain;
    std::function<void(UpgradeLink&)> on_deadline;
    std::function<void(UpgradeLink&)> on_close;

    void call(const std::function<void(UpgradeLink&)>& what) {
        if (what) {
            what(*link);
        }
    }
};

class Echo final : public Upgrade {
public:
    explicit Echo(Story& story) : story_(story) {}
    ~Echo() override {
        ++story_.destroyed;
        story_.was_destroyed_first = story_.closed == 0;
    }
    void on_open(UpgradeLink& link) override {
        story_.link = &link;
        ++story_.opened;
        story_.call(story_.on_open);
    }
    void on_data(char* data, std::size_t size) override {
        const std::string_view bytes(data, size);
        story_.received.append(bytes);
        if (story_.echoes) {
            story_.link->send(bytes);
        }
        story_.call(story_.on_data);
    }
    void on_drain() override {
        ++story_.drained;
        story_.call(story_.on_drain);
    }
    void on_deadline() override {
        ++story_.deadlines;
        story_.call(story_.on_deadline);
    }
    void on_end() override {
        ++story_.ended;
        story_.call(story_.on_end);
    }
    void on_close() override {
        ++story_.closed;
        story_.call(story_.on_close);
    }

private:
    Story& story_;
};

/// A server with one upgrading route, its story, and a client that has asked for it.
struct Upgraded {
    Story story;
    ManualClock clock;
    std::unique_ptr<Server> server;
    std::unique_ptr<Client> client;

    explicit Upgraded(const Limits& limits = {}, std::size_t capacity = 64 * 1024) {
        Options options = porthole_test::options(clock);
        options.limits = limits;
        server = std::make_unique<Server>(options);
        server->get("/echo", [this](const Request&, Response& response) {
            response.upgrade("echo", std::make_shared<Echo>(story));
        });
        client = std::make_unique<Client>(*server, capacity);
    }

    void open(std::string_view behind = {}) {
        client->send(std::string(request) + std::string(behind));
        client->tick();
        const auto head = client->read_answer();
        REQUIRE(head.status == 101);
        REQUIRE(head.header("Upgrade") == "echo");
        REQUIRE(head.header("Connection") == "Upgrade");
    }

    void tick(int count = 3) {
        for (int i = 0; i < count; ++i) {
            client->tick();
        }
    }

    /// However it ended: once, and the owner behind it.
    void check_ended() {
        tick();
        CHECK(story.opened == 1);
        CHECK(story.closed == 1);
        CHECK(story.destroyed == 1);
        CHECK_FALSE(story.was_destroyed_first);
    }
};

} // namespace

TEST_CASE("upgrade: 101, then the bytes belong to the owner (RFC 9110 section 7.8)") {
    Upgraded u;
    u.open();
    CHECK(u.story.opened == 1);
    CHECK(u.story.link->peer() == "memory");
    u.client->send("GET / HTTP/1.1\r\n");
    u.tick();
    CHECK(u.client->received() == "GET / HTTP/1.1\r\n");
    u.client->close();
    u.tick();
    CHECK(u.story.ended + u.story.closed >= 1);
    u.story.link->abort();
    u.server->tick();
    CHECK(u.story.closed == 1);
    CHECK(u.story.destroyed == 1);
}

TEST_CASE("upgrade: data right behind the request, whole and byte by byte") {
    Upgraded u;
    u.open("hello");
    u.tick();
    CHECK(u.client->received() == "hello");

    Upgraded slow;
    const std::string bytes = std::string(request) + "hello";
    for (const char c : bytes) {
        slow.client->send(std::string_view(&c, 1));
        slow.client->tick();
    }
    CHECK(slow.client->read_answer().status == 101);
    slow.tick();
    CHECK(slow.client->received() == "hello");
    CHECK(slow.story.received == "hello");
}

TEST_CASE("upgrade: what on_open() sends comes behind the 101") {
    Upgraded u;
    u.story.on_open = [](UpgradeLink& link) {
        CHECK(link.send("welcome "));
    };
    u.open("you");
    u.tick();
    CHECK(u.client->received() == "welcome you");
}

TEST_CASE("upgrade: a request that did not ask for it gets 426 (RFC 9110 section 15.5.22)") {
    Upgraded u;
    const auto ask = [&u](const porthole::testing::FieldList& fields) {
        return Client(*u.server).get("/echo", fields);
    };
    const auto answer = ask({});
    CHECK(answer.status == 426);
    CHECK(answer.header("Upgrade") == "echo");
    CHECK(answer.header("Connection").find("pgrade") != std::string_view::npos);
    CHECK(ask({{"Upgrade", "echo"}}).status == 426);
    CHECK(ask({{"Connection", "upgrade"}}).status == 426);
    CHECK(ask({{"Connection", "upgrade"}, {"Upgrade", "other"}}).status == 426);
    CHECK(u.story.opened == 0);
    CHECK(u.story.destroyed == 4);
    CHECK(ask({{"Connection", "keep-alive, UPGRADE"}, {"Upgrade", "other, ECHO"}}).status == 101);
    CHECK(u.story.opened == 1);
    Client old(*u.server);
    old.send(
        "GET /echo HTTP/1.0\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
    CHECK(old.read_answer().status == 426);
    CHECK(u.story.opened == 1);
}

TEST_CASE("upgrade: the connection goes on behind a 426") {
    Upgraded u;
    u.server->get("/x", [](const Request&, Response& response) { response.text("x"); });
    CHECK(u.client->get("/echo").status == 426);
    CHECK(u.client->get("/x").body == "x");
}

TEST_CASE("upgrade: the queue is bounded, and refuses whole") {
    Limits limits;
    limits.max_queue_bytes = 1000;
    Upgraded u(limits, 100);
    u.open();
    u.tick();
    u.client->set_reading(false);
    UpgradeLink& link = *u.story.link;
    CHECK_FALSE(link.send(std::string(1001, 'x')));
    CHECK(link.queued_bytes() == 0);
    CHECK(link.send(std::string(999, 'x')));
    CHECK(link.send("x"));
    CHECK_FALSE(link.send("x"));
    CHECK(link.queued_bytes() == 1000);
    const int drained = u.story.drained;
    u.tick();
    CHECK(link.queued_bytes() == 900);
    CHECK(u.story.drained == drained);
    u.client->set_reading(true);
    u.tick(20);
    CHECK(u.client->received() == std::string(1000, 'x'));
    CHECK(link.queued_bytes() == 0);
    CHECK(u.story.drained == drained + 1);
}

TEST_CASE("upgrade: on_drain() may send more") {
    Upgraded u;
    int left = 5;
    u.story.on_drain = [&left](UpgradeLink& link) {
        if (left > 0) {
            --left;
            link.send("d");
        }
    };
    u.open();
    u.tick(8);
    CHECK(left == 0);
    CHECK(u.client->received() == "ddddd");
}

TEST_CASE("upgrade: pause_reading() holds the peer's bytes back") {
    Upgraded u({}, 100);
    u.story.on_open = [](UpgradeLink& link) {
        link.pause_reading(true);
    };
    u.client->send(std::string(request) + "early");
    u.tick();
    CHECK(u.client->read_answer().status == 101);
    u.tick();
    CHECK(u.story.received.empty());
    CHECK(u.client->send(std::string(200, 'y')) == 100);
    u.tick();
    CHECK(u.story.received.empty());
    u.story.link->pause_reading(false);
    u.tick();
    CHECK(u.story.received == "early" + std::string(100, 'y'));
    u.story.link->pause_reading(true);
    u.client->shut_write();
    u.tick();
    CHECK(u.story.ended == 0);
    u.story.link->pause_reading(false);
    u.tick();
    CHECK(u.story.ended == 1);
}

TEST_CASE("upgrade: a paused connection whose peer half-closes leaves the server quiet") {
    Upgraded u;
    u.open();
    u.story.link->pause_reading(true);
    u.client->shut_write();
    u.tick();
    CHECK_FALSE(u.client->tick().more);
    const auto before = u.server->stats().library_times.count();
    u.tick(5);
    CHECK(u.server->stats().library_times.count() == before);
}

TEST_CASE("upgrade: close() lets what is queued leave first") {
    Upgraded u({}, 100);
    u.open();
    u.tick();
    u.client->set_reading(false);
    u.story.link->send(std::string(300, 'x'));
    u.story.link->close();
    CHECK_FALSE(u.story.link->send("late"));
    u.tick();
    CHECK(u.story.closed == 0);
    u.client->set_reading(true);
    u.tick(10);
    CHECK(u.client->received() == std::string(300, 'x'));
    CHECK(u.client->is_closed());
    u.check_ended();
}

TEST_CASE("upgrade: close() of a peer that takes nothing ends with write_stall_timeout") {
    Limits limits;
    limits.write_stall_timeout = milliseconds(500);
    Upgraded u(limits, 100);
    u.open();
    u.client->set_reading(false);
    u.story.link->send(std::string(300, 'x'));
    u.story.link->close();
    u.tick();
    porthole::testing::pass_time(*u.server, u.clock, milliseconds(400));
    CHECK(u.story.closed == 0);
    porthole::testing::pass_time(*u.server, u.clock, milliseconds(200));
    CHECK(u.server->stats().timeouts == 1);
    u.check_ended();
}

TEST_CASE("upgrade: close() and abort() inside each callback") {
    using Callback = std::function<void(UpgradeLink&)> Story::*;
    const Callback callbacks[] = {
        &Story::on_open, &Story::on_data, &Story::on_end, &Story::on_drain, &Story::on_deadline};
    int index = -1;
    for (const Callback callback : callbacks) {
        ++index;
        CAPTURE(index);
        for (const bool aborts : {false, true}) {
            Upgraded u;
            u.story.*callback = [aborts](UpgradeLink& link) {
                link.send("last words");
                aborts ? link.abort() : link.close();
                CHECK_FALSE(link.send("later"));
                link.set_deadline(link.now());
                link.pause_reading(true);
                link.abort();
                link.close();
            };
            u.client->send(std::string(request) + "data");
            u.tick();
            if (u.story.closed == 0) {
                u.story.link->set_deadline(u.story.link->now() + milliseconds(10));
                porthole::testing::pass_time(*u.server, u.clock, milliseconds(200));
            }
            u.client->shut_write();
            u.check_ended();
            CHECK(u.server->stats().connections == 0);
        }
    }
}

TEST_CASE("upgrade: calls inside on_close() are harmless") {
    Upgraded u;
    u.story.on_close = [](UpgradeLink& link) {
        link.send("x");
        link.pause_reading(true);
        link.set_deadline(link.now());
        link.close();
        link.abort();
        CHECK(link.peer() == "memory");
    };
    u.open();
    u.story.link->close();
    u.check_ended();
    CHECK(u.server->stats().connections == 0);
}

TEST_CASE("upgrade: a half close is on_end(), and sending goes on") {
    Upgraded u;
    u.open("abc");
    u.client->shut_write();
    u.tick();
    CHECK(u.story.ended == 1);
    CHECK(u.story.closed == 0);
    CHECK(u.story.link->send("def"));
    u.tick();
    CHECK(u.client->received() == "abcdef");
    CHECK(u.story.ended == 1);
    u.story.link->close();
    u.check_ended();
}

TEST_CASE("upgrade: deadlines in virtual time, set anew and taken back") {
    Upgraded u;
    u.open();
    UpgradeLink& link = *u.story.link;
    link.set_deadline(link.now() + milliseconds(100));
    porthole::testing::pass_time(*u.server, u.clock, milliseconds(90));
    CHECK(u.story.deadlines == 0);
    porthole::testing::pass_time(*u.server, u.clock, milliseconds(40));
    CHECK(u.story.deadlines == 1);
    porthole::testing::pass_time(*u.server, u.clock, milliseconds(1000));
    CHECK(u.story.deadlines == 1);
    link.set_deadline(link.now() + milliseconds(50));
    link.set_deadline(porthole::TimePoint::max());
    porthole::testing::pass_time(*u.server, u.clock, std::chrono::minutes(2));
    CHECK(u.story.deadlines == 1);
    CHECK(u.story.closed == 0);
    u.story.on_deadline = [](UpgradeLink& l) {
        l.set_deadline(l.now() + milliseconds(100));
    };
    link.set_deadline(link.now());
    porthole::testing::pass_time(*u.server, u.clock, milliseconds(1000));
    CHECK(u.story.deadlines >= 9);
    CHECK(u.story.deadlines <= 12);
}

TEST_CASE("upgrade: a broken connection is on_close(), whatever the owner waits for") {
    for (const bool is_paused : {false, true}) {
        for (const bool has_ended : {false, true}) {
            CAPTURE(is_paused);
            CAPTURE(has_ended);
            Upgraded u;
            u.open();
            if (has_ended) {
                u.client->shut_write();
                u.tick();
            }
            u.story.link->pause_reading(is_paused);
            u.tick();
            u.client->transport().reset();
            u.tick();
            if (u.story.closed == 0) { // nothing is watched any more: sending finds out
                u.story.link->send("x");
            }
            u.check_ended();
        }
    }
}

TEST_CASE("upgrade: stop() closes it when its queue has left") {
    Upgraded u;
    u.open();
    u.story.link->send("last");
    u.server->stop();
    u.tick();
    CHECK(u.client->received() == "last");
    u.check_ended();
}

TEST_CASE("upgrade: the server's end is on_close(), inside and outside of a tick") {
    Upgraded outside;
    outside.open();
    outside.server.reset();
    CHECK(outside.story.closed == 1);
    CHECK(outside.story.destroyed == 1);

    Upgraded inside;
    inside.story.on_data = [&inside](UpgradeLink&) {
        inside.server.reset();
    };
    inside.open();
    Server& server = *inside.server;
    inside.client->send("x");
    server.tick();
    CHECK(inside.story.closed == 1);
    CHECK(inside.story.destroyed == 1);
}

TEST_CASE("upgrade: abort() in another connection's turn leaves that one's answers alone") {
    Upgraded u;
    u.open();
    u.server->get("/abort", [&u](const Request&, Response& response) {
        u.story.link->abort();
        response.text("aborted");
    });
    u.server->get("/x", [](const Request&, Response& response) { response.text("x"); });
    Client other(*u.server);
    using porthole::testing::write_request;
    other.send(
        write_request("GET", "/x") + write_request("GET", "/abort") + write_request("GET", "/x"));
    CHECK(other.read_answer().body == "x");
    CHECK(other.read_answer().body == "aborted");
    CHECK(other.read_answer().body == "x");
    u.check_ended();
}

#if defined(__cpp_exceptions)
TEST_CASE("upgrade: an exception of the owner costs its connection only") {
    using Callback = std::function<void(UpgradeLink&)> Story::*;
    const Callback callbacks[] = {
        &Story::on_open, &Story::on_data, &Story::on_end, &Story::on_deadline, &Story::on_close};
    for (const Callback callback : callbacks) {
        Upgraded u;
        u.server->get("/x", [](const Request&, Response& response) { response.text("x"); });
        u.story.*callback = [](UpgradeLink&) {
            throw 1;
        };
        u.client->send(std::string(request) + "data");
        u.tick();
        if (u.story.closed == 0) {
            u.story.link->set_deadline(u.story.link->now());
            u.tick();
        }
        u.client->shut_write();
        u.tick();
        if (u.story.closed == 0) {
            u.story.link->close();
        }
        u.check_ended();
        CHECK(Client(*u.server).get("/x").body == "x");
    }
}
#endif
