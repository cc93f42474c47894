// SPDX-License-Identifier: MIT

// Exact timers: in order, to the moment, and out of the queue when they go.

#include "support/test.hpp"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <vector>

using namespace std::chrono_literals;
using porthole::never;
using porthole::TimePoint;
using porthole::detail::QueuedTimer;
using porthole::detail::TimerQueue;

namespace {

constexpr std::uint64_t all = UINT64_MAX;

TimePoint at(std::chrono::nanoseconds time) {
    return TimePoint() + time;
}

} // namespace

TEST_CASE("timer queue: due at its moment and not a nanosecond before") {
    TimerQueue queue;
    QueuedTimer timer;
    CHECK(queue.next_deadline() == never);
    CHECK_FALSE(timer.is_armed());
    queue.arm(timer, at(5ms));
    CHECK(timer.is_armed());
    CHECK(queue.next_deadline() == at(5ms));
    CHECK(queue.expire(at(5ms - 1ns), all) == nullptr);
    CHECK(queue.expire(at(5ms), all) == &timer);
    CHECK_FALSE(timer.is_armed());
    CHECK(queue.expire(at(1s), all) == nullptr);
    CHECK(queue.next_deadline() == never);
}

TEST_CASE("timer queue: of the same moment, the one armed first comes first") {
    TimerQueue queue;
    QueuedTimer timers[5];
    for (QueuedTimer& timer : timers) {
        queue.arm(timer, at(1ms));
    }
    queue.arm(timers[0], at(1ms)); // anew, so it is the last now
    for (const int next : {1, 2, 3, 4, 0}) {
        CHECK(queue.expire(at(1ms), all) == &timers[next]);
    }
}

TEST_CASE("timer queue: one armed behind a number has to wait for a later one") {
    TimerQueue queue;
    QueuedTimer before;
    QueuedTimer behind;
    queue.arm(before, at(2ms));
    const std::uint64_t number = queue.next_number();
    queue.arm(behind, at(2ms));
    CHECK(queue.expire(at(9ms), number) == &before);
    CHECK(queue.expire(at(9ms), number) == nullptr);
    CHECK(queue.expire(at(9ms), number + 1) == &behind);
}

TEST_CASE("timer queue: a timer leaves when it goes, and may outlive the queue") {
    auto queue = std::make_unique<TimerQueue>();
    QueuedTimer kept;
    queue->arm(kept, at(2ms));
    {
        QueuedTimer gone;
        queue->arm(gone, at(1ms));
    }
    CHECK(queue->next_deadline() == at(2ms));
    queue.reset();
    CHECK_FALSE(kept.is_armed());
    kept.disarm();
}

TEST_CASE("timer queue: whatever is armed, moved and disarmed, it agrees with a sorted list") {
    struct Row {
        TimePoint deadline;
        std::uint64_t number;
        QueuedTimer* timer;
    };
    for (std::uint32_t seed = 1; seed <= 20; ++seed) {
        CAPTURE(seed);
        std::mt19937 random(seed);
        TimerQueue queue;
        std::vector<QueuedTimer> timers(40);
        std::vector<Row> rows;
        TimePoint now{};
        const auto forget = [&rows](const QueuedTimer* timer) {
            rows.erase(
                std::remove_if(
                    rows.begin(), rows.end(), [&](const Row& row) { return row.timer == timer; }),
                rows.end());
        };
        for (int step = 0; step < 2000; ++step) {
            QueuedTimer& timer = timers[random() % timers.size()];
            switch (random() % 4) {
            case 0:
            case 1: {
                const TimePoint deadline = now + std::chrono::milliseconds(random() % 50);
                forget(&timer);
                rows.push_back({deadline, queue.next_number(), &timer});
                queue.arm(timer, deadline);
                break;
            }
            case 2:
                forget(&timer);
                timer.disarm();
                break;
            case 3: now += std::chrono::milliseconds(random() % 10); break;
            }
            const auto first =
                std::min_element(rows.begin(), rows.end(), [](const Row& a, const Row& b) {
                    return a.deadline != b.deadline ? a.deadline < b.deadline : a.number < b.number;
                });
            REQUIRE(queue.next_deadline() == (first == rows.end() ? never : first->deadline));
            QueuedTimer* const due =
                first != rows.end() && first->deadline <= now ? first->timer : nullptr;
            REQUIRE(queue.expire(now, all) == due);
            if (due != nullptr) {
                forget(due);
            }
        }
    }
}
