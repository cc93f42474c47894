// SPDX-License-Identifier: MIT
#pragma once

// How other threads reach the thread that ticks: letters, which are functions, put down under a
// lock and run inside the next tick. The tick itself looks at one atomic when nothing has come. The
// mailbox is shared with every Reply, so that one which outlives the server finds it closed instead
// of gone.

#include "porthole/os/waker.hpp"

#include <atomic>
#include <deque>
#include <functional>
#include <mutex>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

class Mailbox {
public:
    using Letter = std::function<void()>;

    Error open() { return waker_.open(); }
    /// Throws the letters away; later ones are not taken.
    void close() noexcept;

    /// Any thread.
    void put(Letter letter);
    /// Any thread: the next tick is a stop. Allowed in a signal handler.
    void request_stop() noexcept;
    bool is_stop_requested() const noexcept { return stop_.load(std::memory_order_acquire); }
    void forget_stop() noexcept { stop_.store(false, std::memory_order_release); }

    // For the thread that ticks:
    bool has_letters() const noexcept { return has_letters_.load(std::memory_order_acquire); }
    /// Takes all that has come.
    void take(std::deque<Letter>& into);
    Waker& waker() noexcept { return waker_; }
    /// While true, put() and request_stop() make the waker's descriptor readable. A server that is
    /// only ticked has no use for it, and saves its callers a system call.
    void set_waking(bool is_waking) noexcept { is_waking_.store(is_waking); }

private:
    std::mutex mutex_;
    std::deque<Letter> letters_;
    bool is_closed_ = false;
    std::atomic<bool> has_letters_{false};
    std::atomic<bool> stop_{false};
    std::atomic<bool> is_waking_{false};
    Waker waker_;
};

} // namespace detail

PORTHOLE_NAMESPACE_END
