// SPDX-License-Identifier: MIT

#include "support/options.hpp"

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

using porthole::ManualClock;
using porthole::Reply;
using porthole::Request;
using porthole::Response;
using porthole::Server;
using porthole::testing::Client;

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using SteadyClock = std::chrono::steady_clock;

/// No wait of these tests should ever take this long; one that is not woken does.
constexpr seconds patience{30};

} // namespace

TEST_CASE("mailbox: tasks run inside the next tick, in their order") {
    Server server(porthole_test::options());
    std::vector<int> ran;
    for (int i = 0; i < 5; ++i) {
        server.post([&ran, i] { ran.push_back(i); });
    }
    CHECK(ran.empty());
    server.tick();
    CHECK(ran == std::vector<int>{0, 1, 2, 3, 4});
    server.tick();
    CHECK(ran.size() == 5);
}

TEST_CASE("mailbox: tasks from several threads all run, each thread's in order") {
    constexpr int threads = 4;
    constexpr int each = 500;
    Server server(porthole_test::options());
    std::vector<int> last(threads, -1);
    int ran = 0;
    bool is_ordered = true;
    std::vector<std::thread> posters;
    for (int t = 0; t < threads; ++t) {
        posters.emplace_back([&, t] {
            for (int i = 0; i < each; ++i) {
                server.post([&, t, i] {
                    int& before = last[static_cast<std::size_t>(t)];
                    is_ordered = is_ordered && before == i - 1;
                    before = i;
                    ++ran;
                });
            }
        });
    }
    const auto end = SteadyClock::now() + patience;
    while (ran < threads * each && SteadyClock::now() < end) {
        server.wait(milliseconds(100));
    }
    for (std::thread& poster : posters) {
        poster.join();
    }
    CHECK(ran == threads * each);
    CHECK(is_ordered);
}

TEST_CASE("mailbox: a task that always posts another one ends with the tick's budget") {
    ManualClock clock;
    Server server(porthole_test::options(clock));
    clock.advance_per_reading(std::chrono::microseconds(10));
    int ran = 0;
    std::function<void()> again = [&] {
        ++ran;
        server.post(again);
    };
    server.post(again);
    auto report = server.tick(milliseconds(1));
    CHECK(ran >= 1);
    CHECK(ran <= 100);
    CHECK(report.more);
    const int before = ran;
    server.wait(milliseconds(0));
    CHECK(ran > before);
    CHECK(ran <= before + 4);
}

TEST_CASE("mailbox: what is left of many tasks runs in the next tick") {
    ManualClock clock;
    Server server(porthole_test::options(clock));
    clock.advance_per_reading(milliseconds(1));
    int ran = 0;
    for (int i = 0; i < 20; ++i) {
        server.post([&ran] { ++ran; });
    }
    CHECK(server.tick(milliseconds(5)).more);
    CHECK(ran < 20);
    const auto due = server.next_deadline();
    CHECK(due <= clock.now());
    for (int i = 0; i < 20 && ran < 20; ++i) {
        server.tick(milliseconds(5));
    }
    CHECK(ran == 20);
}

TEST_CASE("mailbox: an empty task is left out") {
    Server server(porthole_test::options());
    bool ran = false;
    const int misuse = porthole_test::misuse_count;
    server.post({});
    CHECK(porthole_test::misuse_count == misuse + 1);
    server.post([&ran] { ran = true; });
    server.tick();
    CHECK(ran);
}

#if defined(__cpp_exceptions)
TEST_CASE("mailbox: a task that throws is logged, and the next one runs") {
    int logged = 0;
    porthole::Options options = porthole_test::options();
    options.log = [&logged](const porthole::LogEvent& event) {
        logged += event.id == porthole::LogId::handler_threw ? 1 : 0;
    };
    Server server(options);
    bool ran = false;
    server.post([] { throw 1; });
    server.post([&ran] { ran = true; });
    server.tick(std::chrono::seconds(1)); // the first exception of a process may take its time
    CHECK(ran);
    CHECK(logged == 1);
}
#endif

TEST_CASE("mailbox: tasks that never ran are destroyed with the server") {
    const auto sentinel = std::make_shared<int>(0);
    {
        Server server(porthole_test::options());
        server.post([sentinel] {});
        CHECK(sentinel.use_count() == 2);
    }
    CHECK(sentinel.use_count() == 1);
}

TEST_CASE("mailbox: a task may destroy the server, and those behind it do not run") {
    for (const int how : {0, 1, 2}) {
        CAPTURE(how);
        auto server = std::make_unique<Server>(porthole_test::options());
        Server& called = *server;
        bool ran = false;
        server->post([&server] { server.reset(); });
        server->post([&ran] { ran = true; });
        if (how == 0) {
            called.tick();
        } else if (how == 1) {
            called.wait(milliseconds(0));
        } else {
            called.tick_until(SteadyClock::now() + patience);
        }
        CHECK(server == nullptr);
        CHECK_FALSE(ran);
    }
}

TEST_CASE("mailbox: post() wakes wait()") {
    Server server(porthole_test::options());
    REQUIRE_FALSE(server.listen("127.0.0.1", 0));
    std::atomic<bool> ran{false};
    const auto began = SteadyClock::now();
    std::thread poster([&] { server.post([&ran] { ran = true; }); });
    for (int i = 0; i < 100 && !ran; ++i) {
        server.wait(std::chrono::duration_cast<milliseconds>(patience));
    }
    poster.join();
    CHECK(ran);
    CHECK(SteadyClock::now() - began < patience / 2);
}

TEST_CASE("mailbox: a task that was there before wait() is enough for it to return") {
    Server server(porthole_test::options());
    REQUIRE_FALSE(server.listen("127.0.0.1", 0));
    bool ran = false;
    server.post([&ran] { ran = true; });
    const auto began = SteadyClock::now();
    server.wait(std::chrono::duration_cast<milliseconds>(patience));
    CHECK(ran);
    CHECK(SteadyClock::now() - began < patience / 2);
}

TEST_CASE("mailbox: post() from a thread wakes tick_until(), whether it was idle before or not") {
    for (const bool was_idle : {false, true}) {
        CAPTURE(was_idle);
        auto server = std::make_unique<Server>(porthole_test::options());
        Server& called = *server;
        REQUIRE_FALSE(called.listen("127.0.0.1", 0));
        std::atomic<bool> has_begun{was_idle};
        called.post([&has_begun] { has_begun = true; });
        if (was_idle) {
            called.tick();
        }
        std::thread poster([&] {
            while (!has_begun) { // the first task's end is followed by the sleep
                std::this_thread::yield();
            }
            for (int i = 0; i < 1000; ++i) {
                std::this_thread::yield();
            }
            called.post([&server] { server.reset(); }); // the only way out before the deadline
        });
        called.tick_until(SteadyClock::now() + patience);
        poster.join();
        CHECK(server == nullptr);
    }
}

TEST_CASE("mailbox: stop() from a thread ends run()") {
    Server server(porthole_test::options());
    REQUIRE_FALSE(server.listen("127.0.0.1", 0));
    const auto began = SteadyClock::now();
    std::thread stopper([&server] { server.stop(); });
    server.run();
    stopper.join();
    CHECK_FALSE(server.is_running());
    CHECK(server.endpoints().empty());
    CHECK(SteadyClock::now() - began < patience / 2);
}

TEST_CASE("mailbox: a Reply that outlives the server, and the post of its answer, are harmless") {
    Reply reply;
    {
        Server server(porthole_test::options());
        server.get("/", [&reply](const Request&, Response& response) { reply = response.defer(); });
        Client client(server);
        client.send(porthole::testing::write_request("GET", "/"));
        client.tick();
        CHECK_FALSE(reply.peer_gone());
    }
    CHECK(reply.peer_gone());
    std::thread worker([&reply] { reply.text("nobody reads this"); });
    worker.join();
    CHECK(reply.is_finished());
}
