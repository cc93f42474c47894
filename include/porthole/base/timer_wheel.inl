// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/base/timer_wheel.hpp"

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN TimerWheel::TimerWheel(TimePoint now) noexcept
    : epoch_(now), next_due_(now + resolution) {}

PORTHOLE_FN std::int64_t TimerWheel::tick_of(TimePoint time) const noexcept {
    return (time - epoch_) / std::chrono::duration_cast<Duration>(resolution);
}

PORTHOLE_FN TimePoint TimerWheel::time_of(std::int64_t tick) const noexcept {
    return epoch_ + std::chrono::duration_cast<Duration>(resolution) * tick;
}

PORTHOLE_FN void TimerWheel::arm(Timer& timer, TimePoint deadline) noexcept {
    timer.deadline_ = deadline;
    if (timer.is_linked() && timer.scheduled_tick_ <= tick_of(deadline)) {
        return; // found when its slot is due, and moved then
    }
    place(timer);
}

PORTHOLE_FN void TimerWheel::place(Timer& timer) noexcept {
    // One slot less than there are: expire() places timers while the slot before the current
    // one is still being emptied, and must not find them there again.
    const std::int64_t last = current_tick_ + static_cast<std::int64_t>(slots) - 2;
    std::int64_t tick = tick_of(timer.deadline_);
    tick = tick < current_tick_ ? current_tick_ : tick;
    tick = tick > last ? last : tick;
    timer.scheduled_tick_ = tick;
    slots_[static_cast<std::size_t>(tick) % slots].push_back(timer);
}

/// After more than a whole turn without a look, one turn up to `now_tick` sees every timer.
PORTHOLE_FN void TimerWheel::skip_to(std::int64_t now_tick) noexcept {
    const std::int64_t turn = static_cast<std::int64_t>(slots);
    if (now_tick - current_tick_ > turn) {
        current_tick_ = now_tick - turn;
    }
}

/// A slot is looked at once all of it has passed, so that nothing in it can still be early.
PORTHOLE_FN Timer* TimerWheel::expire(TimePoint now) noexcept {
    const std::int64_t now_tick = tick_of(now);
    skip_to(now_tick);
    while (current_tick_ < now_tick) {
        Slot& slot = slots_[static_cast<std::size_t>(current_tick_) % slots];
        while (Timer* timer = slot.pop_front()) {
            if (timer->deadline_ <= now) {
                return timer;
            }
            const std::int64_t here = current_tick_++;
            place(*timer); // never into the slot that is being emptied
            current_tick_ = here;
        }
        ++current_tick_;
    }
    next_due_ = time_of(current_tick_ + 1);
    return nullptr;
}

PORTHOLE_FN TimePoint TimerWheel::next_deadline() const noexcept {
    for (std::size_t i = 0; i < slots; ++i) {
        const std::int64_t tick = current_tick_ + static_cast<std::int64_t>(i);
        if (!slots_[static_cast<std::size_t>(tick) % slots].is_empty()) {
            return time_of(tick + 1);
        }
    }
    return never;
}

} // namespace detail

PORTHOLE_NAMESPACE_END
