// SPDX-License-Identifier: MIT
#pragma once

// Deadlines for thousands of connections: setting one is a store, and a tick in which none is due
// costs one comparison. A deadline that moves later, which is what nearly all do, stays in its slot
// until that slot is due and is moved then; only one that moves earlier changes its place at once.

#include "porthole/base/clock.hpp"
#include "porthole/base/intrusive_list.hpp"

#include <cstddef>
#include <cstdint>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

struct TimerTag {};

/// Something with a deadline. Leaves its wheel when destroyed.
class Timer : public ListLink<TimerTag> {
public:
    bool is_armed() const noexcept { return is_linked(); }
    TimePoint deadline() const noexcept { return deadline_; }

private:
    friend class TimerWheel;
    TimePoint deadline_{};
    std::int64_t scheduled_tick_ = 0;
};

/// Timers by due time, in slots of 64 ms over a horizon of about 33 s; later ones wait in the
/// last slot and are sorted in again. A timer is never early, and late by less than two slots when
/// expire() is called that often. After a gap each slot is looked at once, however long it was.
class TimerWheel {
public:
    static constexpr std::chrono::milliseconds resolution{64};

    explicit TimerWheel(TimePoint now) noexcept;

    /// Makes `timer` due at `deadline`, whether it was armed before or not.
    void arm(Timer& timer, TimePoint deadline) noexcept;
    void disarm(Timer& timer) noexcept { timer.unlink(); }

    /// True when expire() would have something to look at.
    bool is_due(TimePoint now) const noexcept { return now >= next_due_; }
    /// A timer whose deadline has passed, disarmed, or null when there is none left. Call it
    /// until it returns null, or as often as the budget allows.
    Timer* expire(TimePoint now) noexcept;
    /// When expire() should be called next: no timer comes out before this, and the earliest
    /// deadline is at most one slot before it. never when none is armed. May be early,
    /// never later than that.
    TimePoint next_deadline() const noexcept;

private:
    static constexpr std::size_t slots = 512;
    using Slot = IntrusiveList<Timer, TimerTag>;

    std::int64_t tick_of(TimePoint time) const noexcept;
    TimePoint time_of(std::int64_t tick) const noexcept;
    void skip_to(std::int64_t now_tick) noexcept;
    void place(Timer& timer) noexcept;

    TimePoint epoch_;
    std::int64_t current_tick_ = 0; ///< slots before this one are empty
    TimePoint next_due_;            ///< when the current slot is over
    Slot slots_[slots];
};

} // namespace detail

PORTHOLE_NAMESPACE_END
