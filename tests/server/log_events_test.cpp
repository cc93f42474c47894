// SPDX-License-Identifier: MIT

// What a server tells its log: programs filter by LogId, and sentences about a limit name the field
// that moves it.

#include "support/options.hpp"
#include "support/socket_client.hpp"

#include <algorithm>
#include <chrono>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace porthole;
using porthole_test::SocketClient;

namespace {

struct Event {
    LogLevel level;
    LogId id;
    std::string sentence;
    std::string peer;
};

/// A server, and all that it has told.
class Told {
public:
    explicit Told(const Limits& limits = {}) : server(make_options(limits)) {
        server.get("/", [](const Request&, Response& response) { response.text("hello"); });
    }
    /// The first event of that kind, or null.
    const Event* find(LogId id) const {
        for (const Event& event : events) {
            if (event.id == id) {
                return &event;
            }
        }
        return nullptr;
    }
    std::ptrdiff_t count(LogId id) const {
        return std::count_if(
            events.begin(), events.end(), [id](const Event& event) { return event.id == id; });
    }

    ManualClock clock;
    std::vector<Event> events;
    Server server;

private:
    Options make_options(const Limits& limits) {
        Options options = porthole_test::options(clock);
        options.limits = limits;
        options.log = [this](const LogEvent& event) {
            events.push_back(
                {event.level, event.id, std::string(event.sentence), std::string(event.peer)});
        };
        return options;
    }
};

bool names(const Event* event, std::string_view words) {
    return event != nullptr && event->sentence.find(words) != std::string::npos;
}

} // namespace

TEST_CASE("log events: each listener that opens, and the end") {
    Told told;
    REQUIRE(told.server.listen("127.0.0.1", 0).message() == "no error");
    REQUIRE(told.server.listen("127.0.0.1", 0).message() == "no error");
    REQUIRE(told.count(LogId::listening) == 2);
    CHECK(names(told.find(LogId::listening), std::to_string(told.server.port())));
    CHECK(told.find(LogId::listening)->level == LogLevel::info);
    CHECK(told.count(LogId::stopped) == 0);
    told.server.stop();
    told.server.stop();
    for (int i = 0; i < 3; ++i) {
        told.server.tick();
    }
    CHECK(told.count(LogId::stopped) == 1);
}

TEST_CASE("log events: connections at the cap name the limit and the peer") {
    Limits limits;
    limits.max_connections = 1;
    Told told(limits);
    REQUIRE(told.server.listen("127.0.0.1", 0).message() == "no error");
    SocketClient first("127.0.0.1", told.server.port());
    CHECK(porthole_test::ask(told.server, first, porthole_test::simple_get("/")).status == 200);
    CHECK(told.count(LogId::connection_capped) == 0);
    SocketClient second("127.0.0.1", told.server.port());
    CHECK(porthole_test::ask(told.server, second, porthole_test::simple_get("/")).status == 200);
    REQUIRE(told.count(LogId::connection_capped) == 1);
    const Event* const event = told.find(LogId::connection_capped);
    CHECK(event->level == LogLevel::warning);
    CHECK(names(event, "Limits::max_connections"));
    CHECK(event->peer.substr(0, 10) == "127.0.0.1:");
}

TEST_CASE("log events: a deadline that passes, and a gap that does not count") {
    Told told;
    testing::Client client(told.server);
    client.send("GET / HTTP/1.1\r\n");
    client.tick();
    told.clock.advance(std::chrono::hours(1)); // a breakpoint
    client.tick();
    CHECK(told.count(LogId::timed_out) == 0);
    REQUIRE(told.count(LogId::clock_gap) == 1);
    CHECK(names(told.find(LogId::clock_gap), "Limits::max_tick_gap"));
    testing::pass_time(told.server, told.clock, std::chrono::seconds(10));
    REQUIRE(told.count(LogId::timed_out) == 1);
    CHECK(names(told.find(LogId::timed_out), "Limits::head_timeout"));
    CHECK(told.find(LogId::timed_out)->peer == "memory");
    CHECK(told.count(LogId::clock_gap) == 1);
}

TEST_CASE("log events: what the library refuses is told with the option that would let it in") {
    const struct {
        const char* bytes;
        const char* words;
    } cases[] = {
        {"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", "Guard::allowed_hosts"},
        {"GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n\r\n",
         "Guard::allowed_origins"},
        {"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1048577\r\n\r\n",
         "Limits::max_body_bytes"},
    };
    for (const auto& one : cases) {
        CAPTURE(one.words);
        Told told;
        told.server.post("/", [](const Request&, Response&) {});
        testing::Client client(told.server);
        client.send(one.bytes);
        CHECK(client.read_answer().status >= 400);
        REQUIRE(told.count(LogId::request_refused) == 1);
        CHECK(names(told.find(LogId::request_refused), one.words));
    }
    Told told;
    testing::Client client(told.server);
    CHECK(client.get("/nothing").status == 404);
    CHECK(told.events.empty());
}

TEST_CASE("log events: fields that are dropped, and patterns that cannot be read") {
    Told told;
    told.server.get("/bad", [](const Request&, Response& response) {
        response.header("X-Own", "a\r\nb").text("sent");
    });
    told.server.get("no slash", [](const Request&, Response&) {});
    CHECK(told.count(LogId::bad_pattern) == 1);
    testing::Client client(told.server);
    const auto answer = client.get("/bad");
    CHECK(answer.body == "sent");
    CHECK_FALSE(answer.has_header("X-Own"));
    REQUIRE(told.count(LogId::field_refused) == 1);
    CHECK(told.find(LogId::field_refused)->peer == "memory");
}
