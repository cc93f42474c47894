// SPDX-License-Identifier: MIT

#include "support/options.hpp"

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using porthole::Duration;
using porthole::ManualClock;
using porthole::Server;
using porthole::TimerHandle;
using porthole::testing::pass_time;
using porthole_test::options;

namespace {

struct TimerWorld {
    ManualClock clock;
    std::unique_ptr<Server> server = std::make_unique<Server>(options(clock));
    void pass(Duration time) { pass_time(*server, clock, time); }
};

} // namespace

TEST_CASE("timer: called once, by the first tick from its time on") {
    for (const Duration delay : std::vector<Duration>{1ms, 64ms, 1s, 32s, 33s, 34s, 90s, 3600s}) {
        TimerWorld world;
        int calls = 0;
        const TimerHandle timer = world.server->call_after(delay, [&calls] { ++calls; });
        CHECK(timer.is_pending());
        world.pass(delay - 1ns);
        CHECK(calls == 0);
        world.pass(1ns);
        CHECK(calls == 1);
        CHECK_FALSE(timer.is_pending());
        world.pass(10s);
        CHECK(calls == 1);
    }
}

TEST_CASE("timer: a delay of nothing, or less, is called inside a tick and not before") {
    for (const Duration delay : {Duration(0), Duration(-1s), (Duration::min)()}) {
        TimerWorld world;
        int calls = 0;
        const TimerHandle timer = world.server->call_after(delay, [&calls] { ++calls; });
        CHECK(calls == 0);
        world.server->tick(1s);
        CHECK(calls == 1);
    }
}

TEST_CASE("timer: one that is farther than time reaches is never called, and can be cancelled") {
    TimerWorld world;
    TimerHandle timer = world.server->call_after((Duration::max)(), [] { FAIL_CHECK("called"); });
    TimerHandle hours =
        world.server->call_after(std::chrono::hours(24 * 365 * 200), [] { FAIL_CHECK("called"); });
    world.pass(120s);
    CHECK(timer.is_pending());
    CHECK(hours.is_pending());
    timer.cancel();
    CHECK_FALSE(timer.is_pending());
}

TEST_CASE("timer: timers are called in the order of their times, and then of their arming") {
    TimerWorld world;
    std::string order;
    std::vector<TimerHandle> timers;
    for (const int at : {5, 1, 3, 2, 4, 2, 1}) {
        const std::string name = std::to_string(at) + static_cast<char>('a' + timers.size());
        timers.push_back(world.server->call_after(
            std::chrono::milliseconds(at), [&order, name] { order += name; }));
    }
    world.clock.advance(100ms);
    world.server->tick(1s);
    CHECK(order == "1b1g2d2f3c4e5a");
}

TEST_CASE("timer: its handle cancels it, also by going or by taking another's place") {
    TimerWorld world;
    const auto held = std::make_shared<int>();
    const auto fail = [held] {
        FAIL_CHECK("called");
    };
    int calls = 0;
    TimerHandle cancelled = world.server->call_after(100ms, fail);
    cancelled.cancel();
    cancelled.cancel();
    { const TimerHandle dropped = world.server->call_after(100ms, fail); }
    TimerHandle replaced = world.server->call_after(100ms, fail);
    replaced = world.server->call_after(100ms, [&calls] { ++calls; });
    CHECK(held.use_count() == 2); // its own and that of `fail`
    TimerHandle moved = std::move(replaced);
    TimerHandle& same = moved;
    moved = std::move(same);
    CHECK(moved.is_pending());
    world.pass(300ms);
    CHECK(calls == 1);
    TimerHandle none;
    none.cancel();
    CHECK_FALSE(none.is_pending());
}

TEST_CASE("timer: inside its call the handle may go, cancel others, and be armed anew") {
    TimerWorld world;
    const auto held = std::make_shared<int>();
    int calls = 0;
    TimerHandle other = world.server->call_after(1s, [] { FAIL_CHECK("called"); });
    auto timer = std::make_unique<TimerHandle>();
    *timer = world.server->call_after(100ms, [&, held] {
        CHECK_FALSE(timer->is_pending());
        timer.reset();
        other.cancel();
        ++calls;
        CHECK(held.use_count() >= 2); // what the call holds lives until it returns
    });
    TimerHandle again;
    std::function<void()> beat = [&] {
        ++calls;
        again = world.server->call_after(100ms, beat);
    };
    again = world.server->call_after(100ms, beat);
    world.pass(1s);
    CHECK(held.use_count() == 1);
    CHECK(calls >= 6);
    CHECK(calls <= 11);
}

TEST_CASE("timer: one that arms itself for at once does not hold the tick") {
    TimerWorld world;
    int calls = 0;
    TimerHandle timer;
    std::function<void()> task = [&] {
        ++calls;
        timer = world.server->call_after(0ms, task);
    };
    timer = world.server->call_after(0ms, task);
    for (int ticks = 1; ticks <= 10; ++ticks) {
        world.server->tick(1s);
        CHECK(calls == ticks);
    }
}

TEST_CASE("timer: within tick_until() one is called in its time, also one armed meanwhile") {
    TimerWorld world;
    world.clock.advance_per_reading(100us);
    std::string order;
    TimerHandle second;
    const TimerHandle third = world.server->call_after(4ms, [&order] { order += '3'; });
    const TimerHandle first = world.server->call_after(1ms, [&] {
        order += '1';
        second = world.server->call_after(1ms, [&order] { order += '2'; });
    });
    world.server->tick_until(world.clock.now() + 20ms);
    CHECK(order == "123");
}

TEST_CASE("timer: many that are due share the budget") {
    TimerWorld world;
    int calls = 0;
    std::vector<TimerHandle> timers;
    for (int i = 0; i < 1000; ++i) {
        timers.push_back(world.server->call_after(1ms, [&] {
            ++calls;
            world.clock.advance(100us);
        }));
    }
    world.clock.advance(200ms);
    world.server->tick(1ms);
    CHECK(calls > 0);
    CHECK(calls <= 11);
    for (int i = 0; i < 1000 && calls < 1000; ++i) {
        world.server->tick(1ms);
    }
    CHECK(calls == 1000);
}

TEST_CASE("timer: the server may be destroyed inside the call, and handles outlive it") {
    TimerWorld world;
    const auto held = std::make_shared<int>();
    int calls = 0;
    const TimerHandle later = world.server->call_after(5s, [held] { FAIL_CHECK("called"); });
    const TimerHandle timer = world.server->call_after(100ms, [&] {
        ++calls;
        world.server.reset();
    });
    for (int i = 0; i < 100 && world.server; ++i) {
        world.clock.advance(16ms);
        world.server->tick(1s);
    }
    CHECK(calls == 1);
    CHECK_FALSE(timer.is_pending());
    CHECK_FALSE(later.is_pending());
}

TEST_CASE("timer: what pending calls hold is freed with the server, their own handles included") {
    struct Holder {
        TimerHandle timer;
    };
    TimerWorld world;
    const auto held = std::make_shared<int>();
    const auto holder = std::make_shared<Holder>();
    holder->timer = world.server->call_after(5s, [holder, held] { FAIL_CHECK("called"); });
    TimerHandle outside = world.server->call_after(5s, [held] { FAIL_CHECK("called"); });
    CHECK(held.use_count() == 3);
    world.server.reset();
    CHECK(held.use_count() == 1);
    CHECK(holder.use_count() == 1);
    CHECK_FALSE(outside.is_pending());
}

TEST_CASE("timer: a cancelled call may hold the last share of what owns its handle") {
    struct Holder {
        TimerHandle timer;
        std::shared_ptr<int> held;
    };
    TimerWorld world;
    const auto held = std::make_shared<int>();
    auto holder = std::make_shared<Holder>();
    holder->held = held;
    TimerHandle& timer = holder->timer;
    timer = world.server->call_after(5s, [keep = holder] { FAIL_CHECK("called"); });
    holder.reset();
    timer.cancel();
    CHECK(held.use_count() == 1);
    world.pass(6s);
}

TEST_CASE("timer: a gap in which nobody ticked does not count (Limits::max_tick_gap)") {
    TimerWorld world;
    int calls = 0;
    world.server->tick();
    const TimerHandle timer = world.server->call_after(5s, [&calls] { ++calls; });
    world.clock.advance(3600s); // a breakpoint: counts as one second
    world.server->tick(1s);
    CHECK(calls == 0);
    world.pass(3900ms);
    CHECK(calls == 0);
    world.pass(300ms);
    CHECK(calls == 1);
}

TEST_CASE("timer: armed behind a gap and before the next tick it is not early") {
    TimerWorld world;
    world.server->tick();
    world.clock.advance(3600s);
    int calls = 0;
    const TimerHandle timer = world.server->call_after(5s, [&calls] { ++calls; });
    world.pass(4900ms);
    CHECK(calls == 0);
    world.pass(300ms);
    CHECK(calls == 1);
}

TEST_CASE("timer: arming one is no reason to see a gap where the host slept as it was told") {
    TimerWorld world;
    world.server->tick();
    int calls = 0;
    const TimerHandle first = world.server->call_after(10s, [&calls] { ++calls; });
    const Duration left = world.server->next_deadline() - world.clock.now();
    CHECK(left > 9s);
    world.clock.advance(left - 1s);
    const TimerHandle second = world.server->call_after(60s, [&calls] { ++calls; });
    world.clock.advance(1s);
    world.server->tick(1s);
    CHECK(calls == 1);
    world.pass(58s);
    CHECK(calls == 1); // and it is not early for having been armed in a sleep
}

TEST_CASE("timer: a waiting server wakes for it") {
    Server server(options());
    int calls = 0;
    const TimerHandle timer = server.call_after(10ms, [&calls] { ++calls; });
    const auto began = std::chrono::steady_clock::now();
    for (int i = 0; i < 10 && calls == 0; ++i) {
        server.wait(5s);
    }
    CHECK(calls == 1);
    CHECK(std::chrono::steady_clock::now() - began < 4s);
}

#if defined(__cpp_exceptions)
TEST_CASE("timer: a call that throws is logged, also when it has dropped its own handle") {
    ManualClock clock;
    int logged = 0;
    porthole::Options made = options(clock);
    made.log = [&logged](const porthole::LogEvent& event) {
        logged += event.id == porthole::LogId::handler_threw ? 1 : 0;
    };
    Server server(std::move(made));
    int calls = 0;
    auto dropped = std::make_unique<TimerHandle>();
    *dropped = server.call_after(100ms, [&] {
        dropped.reset();
        throw std::runtime_error("timer");
    });
    const TimerHandle kept = server.call_after(100ms, [] { throw std::runtime_error("timer"); });
    const TimerHandle good = server.call_after(100ms, [&calls] { ++calls; });
    pass_time(server, clock, 300ms);
    CHECK(logged == 2);
    CHECK(calls == 1);
    CHECK_FALSE(kept.is_pending());
}
#endif
