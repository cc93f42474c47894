// SPDX-License-Identifier: MIT

// Each row of the attack table in memory: whole, and byte by byte, since a rule that depends on how
// TCP cut the request is no rule. Then the attacks that take time, which a manual clock makes
// short.

#include "support/attack_table.hpp"

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

using porthole::ManualClock;
using porthole::Server;
using porthole::testing::Client;
using porthole_test::Attack;
using porthole_test::attack_table;
using porthole_test::AttackTarget;

namespace {

/// Sends `bytes` in pieces, ticking as long as anything is left or the connection is open.
std::string converse(Server& server, std::string_view bytes, std::size_t piece) {
    constexpr int max_idle_ticks = 8;
    Client client(server);
    int idle = 0;
    while (idle < max_idle_ticks && !client.is_closed()) {
        const std::size_t before = client.received().size();
        const std::size_t sent = client.send(bytes.substr(0, piece));
        bytes.remove_prefix(sent);
        client.tick();
        idle = sent == 0 && client.received().size() == before ? idle + 1 : 0;
    }
    CHECK(client.is_closed());
    return client.received();
}

void check_row(const Attack& row, std::size_t piece) {
    CAPTURE(row.name);
    CAPTURE(piece);
    Server server(porthole_test::options());
    AttackTarget target;
    porthole_test::add_target(server, target);
    const std::string received =
        converse(server, row.bytes + std::string(porthole_test::follower), piece);
    porthole_test::check_answers(row, received);
    const bool is_10 = row.bytes.find(" HTTP/1.0\r\n") != std::string::npos;
    if (!is_10) {
        porthole_test::check_target(row, target);
    }
    // Whatever was sent, the next one is served.
    Client next(server);
    CHECK(next.get("/").status == 200);
}

} // namespace

TEST_CASE("attack_table: each row has its one answer, and nothing behind it is answered") {
    for (const Attack& row : attack_table()) {
        check_row(row, row.bytes.size() + porthole_test::follower.size());
    }
}

TEST_CASE("attack_table: byte by byte the answers are the same") {
    constexpr std::size_t largest = 1024;
    for (const Attack& row : attack_table()) {
        if (row.bytes.size() <= largest) {
            check_row(row, 1);
        }
    }
}

TEST_CASE("attack_table: a head that drips is cut at the total deadline with 408") {
    ManualClock clock;
    Server server(porthole_test::options(clock));
    AttackTarget target;
    porthole_test::add_target(server, target);
    Client slow(server);
    slow.send("GET / HTTP/1.1\r\nHost: localhost\r\n");
    int seconds = 0;
    for (; seconds < 60 && !slow.is_closed(); ++seconds) {
        slow.send("X-A: 1\r\n");
        porthole::testing::pass_time(server, clock, std::chrono::seconds(1));
        slow.tick();
    }
    CHECK(seconds >= 10);
    CHECK(seconds <= 12);
    CHECK(slow.read_answer().status == 408);
    CHECK(target.handled == 0);
}

TEST_CASE("attack_table: content that drips is cut below the minimum rate with 408") {
    ManualClock clock;
    Server server(porthole_test::options(clock));
    AttackTarget target;
    porthole_test::add_target(server, target);
    Client slow(server);
    slow.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n");
    int seconds = 0;
    for (; seconds < 60 && !slow.is_closed(); ++seconds) {
        slow.send("0123456789");
        porthole::testing::pass_time(server, clock, std::chrono::seconds(1));
        slow.tick();
    }
    CHECK(seconds >= 5);
    CHECK(seconds <= 7);
    CHECK(slow.read_answer().status == 408);
    CHECK(target.handled == 0);
}

TEST_CASE("attack_table: a peer that does not read its answer is cut at the stall deadline") {
    ManualClock clock;
    Server server(porthole_test::options(clock));
    server.get("/big", [](const porthole::Request&, porthole::Response& response) {
        response.body(std::string(1024 * 1024, 'x'));
    });
    Client slow(server, 1024);
    slow.set_reading(false);
    slow.send("GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n");
    slow.tick();
    CHECK(server.stats().connections == 1);
    porthole::testing::pass_time(server, clock, std::chrono::seconds(29));
    CHECK(server.stats().connections == 1);
    porthole::testing::pass_time(server, clock, std::chrono::seconds(2));
    CHECK(server.stats().connections == 0);
}

TEST_CASE(
    "attack_table: 200 silent connections go at their deadline, others are served meanwhile") {
    ManualClock clock;
    Server server(porthole_test::options(clock));
    AttackTarget target;
    porthole_test::add_target(server, target);
    std::vector<Client> silent;
    for (int i = 0; i < 200; ++i) {
        silent.emplace_back(server);
    }
    Client good(server);
    CHECK(good.get("/").status == 200);
    porthole::testing::pass_time(server, clock, std::chrono::seconds(9));
    CHECK(good.get("/").status == 200);
    CHECK(server.stats().connections == 201);
    porthole::testing::pass_time(server, clock, std::chrono::seconds(2));
    CHECK(server.stats().connections == 1);
    CHECK(good.get("/").status == 200);
}
