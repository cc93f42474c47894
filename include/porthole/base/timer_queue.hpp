// SPDX-License-Identifier: MIT
#pragma once

// Deadlines that are kept to the moment and in order, for the few that programs and extensions set.
// The many of connections, which nearly always move before they are due, are in a TimerWheel: there
// moving costs nothing, and a little late is good enough.

#include "porthole/base/clock.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

class TimerQueue;

/// Something with a deadline. Leaves its queue when destroyed, and may outlive it.
class QueuedTimer {
public:
    QueuedTimer() = default;
    QueuedTimer(const QueuedTimer&) = delete;
    QueuedTimer& operator=(const QueuedTimer&) = delete;
    ~QueuedTimer() { disarm(); }

    bool is_armed() const noexcept { return queue_ != nullptr; }
    void disarm() noexcept;

private:
    friend class TimerQueue;
    TimerQueue* queue_ = nullptr;
    std::size_t place_ = 0;
    TimePoint deadline_{};
    std::uint64_t number_ = 0;
};

/// Timers by due time; of those due at the same time the one armed first comes first. Arming and
/// disarming take time that grows with the logarithm of their number.
class TimerQueue {
public:
    TimerQueue() = default;
    TimerQueue(const TimerQueue&) = delete;
    TimerQueue& operator=(const TimerQueue&) = delete;
    ~TimerQueue();

    /// Makes `timer` due at `deadline`, whether it was armed before or not.
    void arm(QueuedTimer& timer, TimePoint deadline);
    /// What the next timer to be armed will be called.
    std::uint64_t next_number() const noexcept { return next_number_; }
    /// The first timer whose deadline has passed, disarmed, as long as it was armed before the one
    /// called `number`; else null.
    QueuedTimer* expire(TimePoint now, std::uint64_t number) noexcept;
    /// The first deadline; never when none is armed.
    TimePoint next_deadline() const noexcept;

private:
    friend class QueuedTimer;

    bool is_before(const QueuedTimer& a, const QueuedTimer& b) const noexcept;
    void put(std::size_t place, QueuedTimer& timer) noexcept;
    void sift(std::size_t place) noexcept;
    void remove(QueuedTimer& timer) noexcept;

    std::vector<QueuedTimer*> heap_; ///< the parent of n is (n - 1) / 2, and is not after it
    std::uint64_t next_number_ = 0;
};

} // namespace detail

PORTHOLE_NAMESPACE_END
