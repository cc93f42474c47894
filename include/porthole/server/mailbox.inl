// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/server/mailbox.hpp"

#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN void Mailbox::close() noexcept {
    std::deque<Letter> dropped;
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        is_closed_ = true;
        dropped.swap(letters_);
        has_letters_.store(false, std::memory_order_release);
        waker_.close();
    }
    // The letters die here, outside the lock: what they own may put letters of its own.
}

PORTHOLE_FN void Mailbox::put(Letter letter) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (is_closed_) {
        return;
    }
    letters_.push_back(std::move(letter));
    has_letters_.store(true); // before is_waking_ is read: the waiting thread does it the other way
    if (is_waking_.load()) {
        waker_.wake();
    }
}

PORTHOLE_FN void Mailbox::request_stop() noexcept {
    stop_.store(true);
    if (is_waking_.load()) {
        waker_.wake();
    }
}

PORTHOLE_FN void Mailbox::take(std::deque<Letter>& into) {
    const std::lock_guard<std::mutex> lock(mutex_);
    has_letters_.store(false, std::memory_order_release);
    if (into.empty()) {
        into.swap(letters_); // at once, however many there are
    }
    while (!letters_.empty()) {
        into.push_back(std::move(letters_.front()));
        letters_.pop_front();
    }
}

} // namespace detail

PORTHOLE_NAMESPACE_END
