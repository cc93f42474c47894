// SPDX-License-Identifier: MIT
#include "support/test.hpp"

#include <chrono>
#include <memory>
#include <random>
#include <vector>

using namespace std::chrono_literals;
using porthole::Duration;
using porthole::TimePoint;
using porthole::detail::Timer;
using porthole::detail::TimerWheel;

namespace {

const TimePoint start{1000h};

int expire_all(TimerWheel& wheel, TimePoint now) {
    int count = 0;
    while (wheel.expire(now) != nullptr) {
        ++count;
    }
    return count;
}

/// The first time, in steps of a millisecond, at which the timer comes out.
TimePoint expiry_of(TimerWheel& wheel, TimePoint from, TimePoint until) {
    for (TimePoint now = from; now < until; now += 1ms) {
        if (wheel.is_due(now) && wheel.expire(now) != nullptr) {
            return now;
        }
    }
    return (TimePoint::max)();
}

} // namespace

TEST_CASE("timer_wheel: an empty one has nothing due, ever") {
    TimerWheel wheel(start);
    CHECK(wheel.next_deadline() == (TimePoint::max)());
    CHECK_FALSE(wheel.is_due(start));
    CHECK(wheel.expire(start) == nullptr);
    CHECK(wheel.expire(start + 1h) == nullptr);
    CHECK_FALSE(wheel.is_due(start + 1h));
}

TEST_CASE("timer_wheel: a timer is never early, and late by less than two slots") {
    for (const Duration delay :
         {Duration(0), Duration(1ns), Duration(63ms), Duration(64ms), Duration(65ms), Duration(10s),
          Duration(32s), Duration(33s), Duration(70s), Duration(5min)}) {
        TimerWheel wheel(start);
        Timer timer;
        wheel.arm(timer, start + delay);
        CHECK(timer.is_armed());
        CHECK(timer.deadline() == start + delay);
        const TimePoint expiry = expiry_of(wheel, start, start + 6min);
        CHECK(expiry >= start + delay);
        CHECK(expiry < start + delay + 2 * TimerWheel::resolution);
        CHECK_FALSE(timer.is_armed());
    }
}

TEST_CASE("timer_wheel: a deadline that has passed comes out with the next slot") {
    TimerWheel wheel(start);
    expire_all(wheel, start + 10s);
    Timer timer;
    wheel.arm(timer, start + 1s);
    const TimePoint expiry = expiry_of(wheel, start + 10s, start + 20s);
    CHECK(expiry <= start + 10s + 2 * TimerWheel::resolution);
}

TEST_CASE("timer_wheel: arming again moves a deadline later and earlier") {
    TimerWheel wheel(start);
    Timer timer;
    wheel.arm(timer, start + 1s);
    wheel.arm(timer, start + 3s);
    CHECK(expire_all(wheel, start + 2s) == 0);
    CHECK(timer.is_armed());
    wheel.arm(timer, start + 2500ms);
    CHECK(expire_all(wheel, start + 2499ms) == 0);
    CHECK(expire_all(wheel, start + 2500ms + 2 * TimerWheel::resolution) == 1);
}

TEST_CASE("timer_wheel: disarmed and destroyed timers do not come out") {
    TimerWheel wheel(start);
    Timer disarmed;
    auto destroyed = std::make_unique<Timer>();
    wheel.arm(disarmed, start + 1s);
    wheel.arm(*destroyed, start + 1s);
    wheel.disarm(disarmed);
    wheel.disarm(disarmed);
    destroyed.reset();
    CHECK_FALSE(disarmed.is_armed());
    CHECK(wheel.next_deadline() == (TimePoint::max)());
    CHECK(expire_all(wheel, start + 1h) == 0);
}

TEST_CASE("timer_wheel: stays due while timers are left") {
    TimerWheel wheel(start);
    Timer first, second;
    wheel.arm(first, start + 1s);
    wheel.arm(second, start + 1s);
    CHECK(wheel.expire(start + 2s) != nullptr);
    CHECK(wheel.is_due(start + 2s));
    CHECK(wheel.expire(start + 2s) != nullptr);
    CHECK(wheel.expire(start + 2s) == nullptr);
    CHECK_FALSE(wheel.is_due(start + 2s));
}

TEST_CASE("timer_wheel: a deadline beyond the horizon does not keep it busy") {
    TimerWheel wheel(start);
    Timer timer;
    wheel.arm(timer, start + 48h);
    for (TimePoint now = start; now < start + 3min; now += 100ms) {
        REQUIRE(wheel.expire(now) == nullptr);
    }
    CHECK(timer.is_armed());
    wheel.arm(timer, (TimePoint::max)());
    CHECK(expire_all(wheel, start + 72h) == 0);
    CHECK(timer.is_armed());
}

TEST_CASE("timer_wheel: after a gap of any length what has passed comes out, and nothing else") {
    for (const Duration gap : {Duration(32s), Duration(33s), Duration(1h), Duration(24h * 365)}) {
        TimerWheel wheel(start);
        Timer before, at, after;
        wheel.arm(before, start + 5s);
        wheel.arm(at, start + gap - TimerWheel::resolution);
        wheel.arm(after, start + gap + 1s);
        CHECK(expire_all(wheel, start + gap) == 2);
        CHECK_FALSE(before.is_armed());
        CHECK_FALSE(at.is_armed());
        CHECK(after.is_armed());
        CHECK(wheel.next_deadline() <= start + gap + 1s + TimerWheel::resolution);
        CHECK(expire_all(wheel, start + gap + 999ms) == 0);
        CHECK(expire_all(wheel, start + gap + 1s + 2 * TimerWheel::resolution) == 1);
    }
}

TEST_CASE("timer_wheel: agrees with a plain list of deadlines, whatever happens") {
    std::mt19937 random(424242);
    constexpr std::size_t count = 300;
    std::vector<std::unique_ptr<Timer>> timers(count);
    std::vector<TimePoint> armed(count, (TimePoint::max)()); // the model: max is disarmed
    TimerWheel wheel(start);
    TimePoint now = start;
    for (auto& timer : timers) {
        timer = std::make_unique<Timer>();
    }
    const auto slack = 2 * TimerWheel::resolution;
    std::size_t expired = 0;
    for (int step = 0; step < 30000; ++step) {
        const std::size_t i = random() % count;
        const unsigned action = random() % 16;
        if (action < 12) {
            armed[i] = now + std::chrono::milliseconds(random() % (action < 8 ? 2000 : 90'000));
            wheel.arm(*timers[i], armed[i]);
        } else if (action < 14) {
            armed[i] = (TimePoint::max)();
            wheel.disarm(*timers[i]);
        } else {
            armed[i] = (TimePoint::max)();
            timers[i] = std::make_unique<Timer>();
        }
        TimePoint earliest = (TimePoint::max)();
        for (const TimePoint deadline : armed) {
            earliest = deadline < earliest ? deadline : earliest;
        }
        REQUIRE((wheel.next_deadline() == (TimePoint::max)()) == (earliest == (TimePoint::max)()));
        if (earliest != (TimePoint::max)()) {
            REQUIRE(wheel.next_deadline() <= earliest + TimerWheel::resolution);
        }
        now += step % 5000 == 4999 ? Duration(1h) : Duration(random() % 20 * 1ms);
        if (wheel.is_due(now)) {
            while (Timer* timer = wheel.expire(now)) {
                std::size_t which = 0;
                while (which < count && timers[which].get() != timer) {
                    ++which;
                }
                REQUIRE(which < count);
                REQUIRE(armed[which] <= now);
                armed[which] = (TimePoint::max)();
                ++expired;
            }
        }
        for (const TimePoint deadline : armed) {
            if (deadline != (TimePoint::max)() && now >= deadline + slack) {
                FAIL("a timer is late at step ", step);
            }
        }
    }
    CHECK(expired > 1000);
}
