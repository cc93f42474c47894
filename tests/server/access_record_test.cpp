// SPDX-License-Identifier: MIT

// What Options::access_log is told: once for each answer, with the facts of that request, also when
// the answer leaves long after the request's bytes have gone.

#include "support/options.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

using porthole::AccessRecord;
using porthole::ManualClock;
using porthole::Options;
using porthole::Request;
using porthole::Response;
using porthole::Server;
using porthole::testing::Client;

namespace {

/// A record in memory of its own.
struct Entry {
    std::string peer;
    std::string method;
    std::string target;
    std::string version;
    AccessRecord facts;
};

struct Log {
    std::vector<Entry> entries;

    porthole::AccessLog sink() {
        return [this](const AccessRecord& record) {
            entries.push_back(
                {std::string(record.peer), std::string(record.method), std::string(record.target),
                 std::string(record.http_version), record});
        };
    }
};

Options logging(Log& log, Options options = porthole_test::options()) {
    options.access_log = log.sink();
    return options;
}

void add_routes(Server& server) {
    server.get("/", [](const Request&, Response& response) { response.text("hello"); });
    server.post("/", [](const Request&, Response& response) { response.text("hello"); });
    server.get(
        "/long", [](const Request&, Response& response) { response.text(std::string(2000, 'x')); });
    server.get("/big", [](const Request&, Response& response) {
        response.text(std::string(100'000, 'x'));
    });
}

/// Fills every buffer that the server reads into with other bytes.
void overwrite_buffers(Server& server) {
    Client other(server, 4096);
    other.send("GET /" + std::string(3000, 'z') + " HTTP/1.1\r\nHost: localhost\r\n\r\n");
    other.tick();
}

} // namespace

TEST_CASE("access_record: tells who asked for what, and what it got") {
    Log log;
    ManualClock clock;
    Server server(logging(log, porthole_test::options(clock)));
    add_routes(server);
    Client client(server, 4096, "192.0.2.1:99");
    CHECK(client.get("/?a=1&token=x").status == 200);
    REQUIRE(log.entries.size() == 1);
    const Entry& entry = log.entries[0];
    CHECK(entry.peer == "192.0.2.1:99");
    CHECK(entry.method == "GET");
    CHECK(entry.target == "/?a=1&token=***");
    CHECK(entry.version == "HTTP/1.1");
    CHECK(entry.facts.status == 200);
    CHECK(entry.facts.content_bytes == 5);
    CHECK(entry.facts.is_complete);
    CHECK_FALSE(entry.facts.is_over_budget);
    CHECK(entry.facts.time == clock.wall_time());
}

TEST_CASE("access_record: one for each of several pipelined answers, HEAD without content") {
    Log log;
    Server server(logging(log));
    add_routes(server);
    Client client(server);
    client.send("HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n"
                "BREW / HTTP/1.1\r\nHost: localhost\r\n\r\n"
                "GET /lost HTTP/1.0\r\nHost: localhost\r\n\r\n");
    client.tick();
    REQUIRE(log.entries.size() == 3);
    CHECK(log.entries[0].method == "HEAD");
    CHECK(log.entries[0].facts.content_bytes == 0);
    CHECK(log.entries[1].method == "BREW");
    CHECK(log.entries[1].facts.status == 501);
    CHECK(log.entries[2].target == "/lost");
    CHECK(log.entries[2].version == "HTTP/1.0");
    CHECK(log.entries[2].facts.status == 404);
}

TEST_CASE("access_record: what could not be read has no method and no target") {
    Log log;
    Server server(logging(log));
    add_routes(server);
    Client client(server);
    client.send("GET / HTTP/1.1\r\nHost: localhost\r\nX y: 1\r\n\r\n");
    CHECK(client.read_answer().status == 400);
    client.tick();
    REQUIRE(log.entries.size() == 1);
    CHECK(log.entries[0].method.empty());
    CHECK(log.entries[0].target.empty());
    CHECK(log.entries[0].facts.status == 400);
    CHECK(log.entries[0].facts.duration == std::chrono::nanoseconds(0));
}

TEST_CASE("access_record: what the guard refuses is told, too") {
    Log log;
    Server server(logging(log));
    Client client(server);
    CHECK(client.get("/x", {{"Host", "evil.test"}}).status == 403);
    client.tick();
    REQUIRE(log.entries.size() == 1);
    CHECK(log.entries[0].target == "/x");
    CHECK(log.entries[0].facts.status == 403);
}

TEST_CASE("access_record: an answer that waits for its peer keeps the request's words") {
    // Last of its connection, small and large, with the request whole and in two pieces.
    for (const std::string_view target : {"/long", "/big"}) {
        for (const bool is_split : {false, true}) {
            for (const std::string_view version : {"1.0", "1.1"}) {
                CAPTURE(target);
                CAPTURE(is_split);
                Log log;
                Server server(logging(log));
                add_routes(server);
                Client client(server, 512);
                client.set_reading(false);
                std::string bytes = "GET ";
                bytes.append(target).append(" HTTP/").append(version);
                bytes += "\r\nHost: localhost\r\nConnection: close\r\n\r\n";
                const std::size_t cut = is_split ? 20 : bytes.size();
                client.send(bytes.substr(0, cut));
                client.tick();
                client.send(bytes.substr(cut));
                client.tick();
                CHECK(log.entries.empty());
                overwrite_buffers(server);
                log.entries.clear();
                client.set_reading(true);
                for (int i = 0; i < 1000 && !client.is_closed(); ++i) {
                    client.tick();
                }
                REQUIRE(log.entries.size() == 1);
                CHECK(log.entries[0].method == "GET");
                CHECK(log.entries[0].target == target);
                CHECK(log.entries[0].facts.is_complete);
                CHECK(log.entries[0].facts.content_bytes == (target == "/big" ? 100'000 : 2000));
            }
        }
    }
}

TEST_CASE("access_record: an answer whose peer goes is told as incomplete, with the same words") {
    for (const std::string_view target : {"/long", "/big"}) {
        Log log;
        Server server(logging(log));
        add_routes(server);
        Client client(server, 512);
        client.set_reading(false);
        std::string bytes = "GET ";
        bytes.append(target).append(" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        client.send(bytes);
        client.tick();
        overwrite_buffers(server);
        log.entries.clear();
        client.close();
        for (int i = 0; i < 10; ++i) {
            server.tick();
        }
        REQUIRE(log.entries.size() == 1);
        CHECK(log.entries[0].target == target);
        CHECK_FALSE(log.entries[0].facts.is_complete);
    }
}

TEST_CASE("access_record: a large error page for what could not be read is told without words") {
    Log log;
    Server server(logging(log));
    server.on_error(
        [](const Request&, Response& response) { response.html(std::string(50'000, 'e')); });
    Client client(server);
    client.send(
        "GET / HTTP/1.1\r\nHost: localhost\r\nX-A: " + std::string(8000, 'a')
        + "\r\nX y: 1\r\n\r\n");
    const auto answer = client.read_answer();
    CHECK(answer.status == 400);
    CHECK(answer.body.size() == 50'000);
    client.tick();
    REQUIRE(log.entries.size() == 1);
    CHECK(log.entries[0].target.empty());
    CHECK(log.entries[0].facts.content_bytes == 50'000);
}

TEST_CASE("access_record: a deferred answer is told when it leaves, with its duration") {
    Log log;
    ManualClock clock;
    Server server(logging(log, porthole_test::options(clock)));
    porthole::Reply reply;
    server.get("/later", [&](const Request&, Response& response) { reply = response.defer(); });
    Client client(server);
    client.send("GET /later?x HTTP/1.1\r\nHost: localhost\r\n\r\n");
    client.tick();
    CHECK(log.entries.empty());
    overwrite_buffers(server);
    log.entries.clear();
    clock.advance(std::chrono::milliseconds(300));
    reply.text("now");
    CHECK(client.read_answer().status == 200);
    REQUIRE(log.entries.size() == 1);
    CHECK(log.entries[0].target == "/later?x");
    CHECK(log.entries[0].facts.content_bytes == 3);
    CHECK(log.entries[0].facts.duration == std::chrono::milliseconds(300));
}

TEST_CASE("access_record: handler time and the flag for a handler that used up the tick") {
    Log log;
    ManualClock clock;
    Server server(logging(log, porthole_test::options(clock)));
    server.get("/slow", [&](const Request&, Response& response) {
        clock.advance(std::chrono::milliseconds(20));
        response.text("slow");
    });
    server.get("/quick", [&](const Request&, Response& response) { response.text("quick"); });
    Client client(server);
    const auto ask = [&](std::string_view target) {
        client.send(porthole::testing::write_request("GET", target));
        server.tick(std::chrono::milliseconds(1));
        server.tick(std::chrono::milliseconds(1));
    };
    ask("/slow");
    ask("/quick");
    REQUIRE(log.entries.size() == 2);
    CHECK(log.entries[0].facts.handler_time == std::chrono::milliseconds(20));
    CHECK(log.entries[0].facts.is_over_budget);
    CHECK(log.entries[1].facts.handler_time == std::chrono::milliseconds(0));
    CHECK_FALSE(log.entries[1].facts.is_over_budget);
}

TEST_CASE("access_record: an upgrade is told as 101") {
    class Silent final : public porthole::Upgrade {
    public:
        void on_open(porthole::UpgradeLink&) override {}
        void on_data(char*, std::size_t) override {}
        void on_end() override {}
        void on_close() override {}
    };
    Log log;
    Server server(logging(log));
    server.get("/ws", [](const Request&, Response& response) {
        response.upgrade("websocket", std::make_shared<Silent>());
    });
    Client client(server);
    const auto answer = client.get("/ws", {{"Connection", "Upgrade"}, {"Upgrade", "websocket"}});
    CHECK(answer.status == 101);
    REQUIRE(log.entries.size() == 1);
    CHECK(log.entries[0].facts.status == 101);
    CHECK(log.entries[0].target == "/ws");
}

#if defined(__cpp_exceptions) || defined(_CPPUNWIND)
TEST_CASE("access_record: a log that throws harms nobody, also while a connection goes") {
    Options options = porthole_test::options();
    options.access_log = [](const AccessRecord&) {
        throw std::runtime_error("disk full");
    };
    Server server(options);
    add_routes(server);
    Client good(server);
    CHECK(good.get("/").status == 200);
    CHECK(good.get("/").status == 200);
    Client gone(server, 512);
    gone.set_reading(false);
    gone.send("GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n");
    gone.tick();
    gone.close();
    for (int i = 0; i < 10; ++i) {
        server.tick();
    }
    CHECK(server.stats().connections == 1);
    CHECK(good.get("/").status == 200);
}
#endif
