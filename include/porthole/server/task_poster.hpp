// SPDX-License-Identifier: MIT
#pragma once

// How other threads hand work to the thread that ticks without having to know whether the server
// still exists.

#include "porthole/base/config.hpp"

#include <functional>
#include <memory>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

class Mailbox;

} // namespace detail

/// Posts tasks to one server. Cheap to copy; any thread; may outlive the server, and then drops
/// what it is given.
class TaskPoster {
public:
    TaskPoster() = default;
    explicit TaskPoster(std::shared_ptr<detail::Mailbox> mailbox) noexcept;

    /// Runs `task` inside the next tick and wakes a waiting server. Tasks run in the order in which
    /// they were posted, as far as the budget goes; an exception that leaves one is logged. How
    /// many wait is for the program to bound.
    void post(std::function<void()> task) const;
    /// The same server?
    friend bool operator==(const TaskPoster& a, const TaskPoster& b) noexcept {
        return a.mailbox_ == b.mailbox_;
    }
    friend bool operator!=(const TaskPoster& a, const TaskPoster& b) noexcept { return !(a == b); }

private:
    std::shared_ptr<detail::Mailbox> mailbox_;
};

PORTHOLE_NAMESPACE_END
