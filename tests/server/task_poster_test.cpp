// SPDX-License-Identifier: MIT

#include "support/options.hpp"

#include <atomic>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using porthole::Server;
using porthole::TaskPoster;
using porthole_test::options;

TEST_CASE("task poster: tasks run inside the next tick, in their order") {
    Server server(options());
    const TaskPoster poster = server.poster();
    std::vector<int> ran;
    poster.post([&ran] { ran.push_back(1); });
    const TaskPoster copy = poster;
    copy.post([&ran] { ran.push_back(2); });
    server.post([&ran] { ran.push_back(3); });
    CHECK(ran.empty());
    server.tick(1s);
    CHECK(ran == std::vector<int>{1, 2, 3});
}

TEST_CASE("task poster: a task that posts itself runs once in each tick") {
    Server server(options());
    const TaskPoster poster = server.poster();
    int ran = 0;
    std::function<void()> again = [&] {
        ++ran;
        poster.post(again);
    };
    poster.post(again);
    for (int tick = 1; tick <= 3; ++tick) {
        server.tick(1s);
        CHECK(ran == tick);
    }
}

TEST_CASE("task poster: equal when they post to the same server") {
    Server one(options());
    Server other(options());
    CHECK(one.poster() == one.poster());
    CHECK(one.poster() != other.poster());
    CHECK(TaskPoster() == TaskPoster());
    CHECK(TaskPoster() != one.poster());
}

TEST_CASE("task poster: nobody's, or that of a server that has gone, drops and frees the task") {
    TaskPoster poster;
    const auto held = std::make_shared<int>();
    poster.post([held] {});
    CHECK(held.use_count() == 1);
    {
        Server server(options());
        poster = server.poster();
        poster.post([held] { FAIL_CHECK("nobody ticked"); });
    }
    CHECK(held.use_count() == 1);
    poster.post([held] {});
    CHECK(held.use_count() == 1);
}

TEST_CASE("task poster: an empty task is misuse and nothing else") {
    Server server(options());
    const int before = porthole_test::misuse_count;
    server.poster().post(nullptr);
    CHECK(porthole_test::misuse_count == before + 1);
    server.tick(1s);
}

TEST_CASE("task poster: a task may destroy the server, and later ones are dropped") {
    auto server = std::make_unique<Server>(options());
    const TaskPoster poster = server->poster();
    const auto held = std::make_shared<int>();
    poster.post([&server] { server.reset(); });
    poster.post([held] { FAIL_CHECK("the server has gone"); });
    server->tick(1s);
    CHECK(server == nullptr);
    CHECK(held.use_count() == 1);
}

TEST_CASE("task poster: a waiting server is woken, and threads may post while it goes") {
    constexpr int threads_count = 4;
    constexpr int tasks_each = 500;
    std::atomic<int> posted{0};
    int ran = 0; // the ticking thread's alone
    std::vector<std::thread> threads;
    {
        Server server(options());
        for (int i = 0; i < threads_count; ++i) {
            threads.emplace_back([&posted, &ran, poster = server.poster()] {
                for (int task = 0; task < tasks_each; ++task) {
                    poster.post([&ran] { ++ran; });
                    ++posted;
                }
            });
        }
        const auto began = std::chrono::steady_clock::now();
        while (ran < tasks_each && std::chrono::steady_clock::now() - began < 10s) {
            server.wait(1s);
        }
        CHECK(ran >= tasks_each);
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    CHECK(posted == threads_count * tasks_each);
    CHECK(ran <= threads_count * tasks_each);
}
