// SPDX-License-Identifier: MIT

// The calls that wait, threads that wake them, and hosts that own the loop, with real sockets.

#include "support/socket_client.hpp"

#include <atomic>
#include <thread>

using namespace std::chrono_literals;
using porthole::ManualClock;
using porthole::Options;
using porthole::Request;
using porthole::Response;
using porthole::Server;
using porthole_test::ask;
using porthole_test::options;
using porthole_test::pump_until;
using porthole_test::simple_get;
using porthole_test::SocketClient;
using SteadyClock = std::chrono::steady_clock;

namespace {

void add_hello(Server& server) {
    server.get("/", [](const Request&, Response& response) { response.text("hello"); });
    REQUIRE_FALSE(server.listen("127.0.0.1", 0));
}

/// A client in a thread of its own: whether it got its answer.
bool fetch(std::uint16_t port, std::string_view target = "/") {
    SocketClient client("127.0.0.1", port);
    client.send(simple_get(target));
    const auto deadline = SteadyClock::now() + SocketClient::patience;
    porthole::testing::Answer answer;
    while (SteadyClock::now() < deadline && !client.take_answer(answer)) {
        client.pump();
        std::this_thread::yield();
    }
    return answer.status == 200;
}

/// Whoever waits for the grace to end is seen.
porthole::Options with_long_grace() {
    porthole::Options made = options();
    made.limits.stop_grace = 30s;
    return made;
}

} // namespace

TEST_CASE("loop: tick_until() serves meanwhile and returns at its deadline, not before") {
    Server server(options());
    add_hello(server);
    std::atomic<bool> has_answer{false};
    std::thread client([&] { has_answer = fetch(server.port()); });
    const auto begin = SteadyClock::now();
    const auto report = server.tick_until(begin + 300ms);
    const auto end = SteadyClock::now();
    CHECK(end >= begin + 300ms);
    for (int i = 0; i < 1000 && !has_answer; ++i) { // a machine that is very busy
        server.wait(10ms);
    }
    client.join();
    CHECK(has_answer);
    CHECK(report.elapsed + 1ms < end - begin); // what it cost, not what it waited
    CHECK(server.stats().requests == 1);
}

TEST_CASE("loop: tick_until() that has nothing to do sleeps") {
    Server server(options());
    add_hello(server);
    for (int i = 0; i < 5; ++i) {
        const auto deadline = SteadyClock::now() + 5ms;
        const auto report = server.tick_until(deadline);
        CHECK(SteadyClock::now() >= deadline);
        CHECK(report.requests == 0);
    }
}

TEST_CASE("loop: wait() is woken by a post from another thread") {
    Server server(options());
    add_hello(server);
    std::atomic<bool> has_run{false};
    std::thread other([&] { server.post([&] { has_run = true; }); });
    const auto begin = SteadyClock::now();
    for (int i = 0; i < 5 && !has_run; ++i) {
        server.wait(20s);
    }
    other.join();
    CHECK(has_run);
    CHECK(SteadyClock::now() - begin < 15s); // a lost wake-up takes 20 s
}

TEST_CASE("loop: run() serves until stop() from another thread, and returns at once") {
    Server server(with_long_grace());
    add_hello(server);
    const std::uint16_t port = server.port();
    bool has_answer = false;
    SteadyClock::time_point stopped{};
    std::thread other([&] {
        has_answer = fetch(port) && fetch(port);
        stopped = SteadyClock::now();
        server.stop();
    });
    server.run();
    const auto returned = SteadyClock::now();
    other.join();
    CHECK(has_answer);
    CHECK(returned - stopped < 15s); // not the whole grace
    CHECK(server.stats().connections == 0);
    CHECK_FALSE(server.is_running());
    const auto error = server.listen("127.0.0.1", 0); // and it can begin anew
    REQUIRE_FALSE(error);
    SocketClient client("127.0.0.1", server.port());
    CHECK(ask(server, client, simple_get("/")).body == "hello");
}

TEST_CASE("loop: run() returns soon after stop() from a handler") {
    Server server(with_long_grace());
    add_hello(server);
    SteadyClock::time_point stopped{};
    server.get("/quit", [&](const Request&, Response& response) {
        stopped = SteadyClock::now();
        server.stop();
        response.text("bye");
    });
    const std::uint16_t port = server.port();
    std::atomic<bool> has_answer{false};
    std::thread other([&] { has_answer = fetch(port, "/quit"); });
    server.run();
    CHECK(SteadyClock::now() - stopped < 15s);
    other.join();
    CHECK(has_answer);
}

TEST_CASE("loop: run() returns at once when there is nothing to run") {
    Server server(with_long_grace());
    server.run();
    add_hello(server);
    server.stop();
    const auto begin = SteadyClock::now();
    server.run();
    CHECK(SteadyClock::now() - begin < 15s);
}

TEST_CASE("loop: a reply from another thread is sent by the tick that it wakes") {
    Server server(options());
    add_hello(server);
    std::thread worker;
    server.get("/work", [&](const Request&, Response& response) {
        worker = std::thread([reply = response.defer()]() mutable { reply.text("worked"); });
    });
    SocketClient client("127.0.0.1", server.port());
    CHECK(ask(server, client, simple_get("/work")).body == "worked");
    worker.join();
}

TEST_CASE("loop: a host that sleeps as long as next_deadline() allows cuts nobody early") {
    ManualClock clock;
    Options made = options(clock);
    made.limits.idle_timeout = 60s;
    Server server(made);
    add_hello(server);
    CHECK(server.next_deadline() == porthole::TimePoint::max());
    SocketClient client("127.0.0.1", server.port());
    REQUIRE(ask(server, client, simple_get("/")).status == 200);
    const auto began = clock.now();
    int sleeps = 0;
    for (; sleeps < 100 && server.stats().connections != 0; ++sleeps) {
        const auto next = server.next_deadline();
        REQUIRE(next != porthole::TimePoint::max());
        if (next > clock.now()) {
            clock.advance(next - clock.now()); // far more than Limits::max_tick_gap
        }
        server.tick();
    }
    CHECK(server.stats().connections == 0);
    CHECK(clock.now() - began >= 60s);
    CHECK(clock.now() - began < 62s);
    CHECK(sleeps < 10);
}

TEST_CASE("loop: the host may own the loop and wait for the server's descriptors") {
    Server server(options());
    add_hello(server);
    SocketClient client("127.0.0.1", server.port());
    client.send(simple_get("/"));
    const auto deadline = SteadyClock::now() + SocketClient::patience;
    porthole::testing::Answer answer;
    while (!client.take_answer(answer) && SteadyClock::now() < deadline) {
        std::unique_ptr<porthole::detail::Poller> poller;
        const auto error = porthole::detail::make_poller(porthole::PollerKind::poll, poller);
        REQUIRE_FALSE(error);
        if (server.native_handle() != porthole::invalid_handle) {
            REQUIRE_FALSE(poller->add(server.native_handle(), nullptr, {true, false, false}));
        } else {
            server.for_each_pollfd([&](porthole::NativeHandle handle, porthole::Interest interest) {
                REQUIRE_FALSE(poller->add(handle, nullptr, interest));
            });
        }
        porthole::detail::Poller::Event events[porthole::detail::Poller::max_events];
        static_cast<void>(poller->poll(std::chrono::milliseconds(20), events));
        server.tick();
        client.pump();
    }
    CHECK(answer.body == "hello");
}
