// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/base/timer_queue.hpp"

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN void QueuedTimer::disarm() noexcept {
    if (queue_ != nullptr) {
        queue_->remove(*this);
    }
}

PORTHOLE_FN TimerQueue::~TimerQueue() {
    for (QueuedTimer* const timer : heap_) {
        timer->queue_ = nullptr;
    }
}

PORTHOLE_FN void TimerQueue::arm(QueuedTimer& timer, TimePoint deadline) {
    timer.disarm();
    heap_.push_back(&timer);
    timer.queue_ = this;
    timer.deadline_ = deadline;
    timer.number_ = next_number_++;
    timer.place_ = heap_.size() - 1;
    sift(timer.place_);
}

PORTHOLE_FN QueuedTimer* TimerQueue::expire(TimePoint now, std::uint64_t number) noexcept {
    if (heap_.empty() || heap_.front()->deadline_ > now || heap_.front()->number_ >= number) {
        return nullptr;
    }
    QueuedTimer* const timer = heap_.front();
    remove(*timer);
    return timer;
}

PORTHOLE_FN TimePoint TimerQueue::next_deadline() const noexcept {
    return heap_.empty() ? never : heap_.front()->deadline_;
}

PORTHOLE_FN bool TimerQueue::is_before(const QueuedTimer& a, const QueuedTimer& b) const noexcept {
    return a.deadline_ != b.deadline_ ? a.deadline_ < b.deadline_ : a.number_ < b.number_;
}

PORTHOLE_FN void TimerQueue::put(std::size_t place, QueuedTimer& timer) noexcept {
    heap_[place] = &timer;
    timer.place_ = place;
}

/// Moves the timer at `place` up or down, to where it belongs.
PORTHOLE_FN void TimerQueue::sift(std::size_t place) noexcept {
    QueuedTimer& timer = *heap_[place];
    while (place != 0 && is_before(timer, *heap_[(place - 1) / 2])) {
        put(place, *heap_[(place - 1) / 2]);
        place = (place - 1) / 2;
    }
    for (;;) {
        std::size_t child = 2 * place + 1;
        if (child >= heap_.size()) {
            break;
        }
        const std::size_t other = child + 1;
        child = other < heap_.size() && is_before(*heap_[other], *heap_[child]) ? other : child;
        if (!is_before(*heap_[child], timer)) {
            break;
        }
        put(place, *heap_[child]);
        place = child;
    }
    put(place, timer);
}

PORTHOLE_FN void TimerQueue::remove(QueuedTimer& timer) noexcept {
    const std::size_t place = timer.place_;
    QueuedTimer& last = *heap_.back();
    heap_.pop_back();
    timer.queue_ = nullptr;
    if (&last != &timer) {
        put(place, last);
        sift(place);
    }
}

} // namespace detail

PORTHOLE_NAMESPACE_END
