// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/server/core.hpp"
#include "porthole/server/task_poster.hpp"
#include "porthole/server/timer.hpp"

#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN void TimerEntry::on_deadline() {
    const std::shared_ptr<TimerEntry> self = self_.lock(); // the call may drop its own handle
    const std::function<void()> task = std::move(task_);
    task_ = nullptr;
    PORTHOLE_TRY {
        if (self && task) {
            task();
        }
    }
    PORTHOLE_CATCH_ALL { // here, since nobody else may know that it still exists
        core_.log(LogLevel::error, LogId::handler_threw, "A timer's task ended with an exception.");
    }
}

PORTHOLE_FN std::shared_ptr<TimerEntry>
ServerCore::call_after(Duration delay, std::function<void()> task) {
    auto entry = std::make_shared<TimerEntry>(*this, std::move(task));
    entry->keep_alive(entry);
    // Between ticks the clock is only looked at: how long a gap may be is for the tick to say.
    const Duration since = clock_source_->now() - clock_;
    const Duration allowed = allowed_gap();
    const TimePoint time = now_ + (since < allowed ? since : allowed);
    calls_.arm(*entry, delay < never - time ? time + delay : never);
    return entry;
}

} // namespace detail

PORTHOLE_FN TimerHandle::TimerHandle(std::shared_ptr<detail::TimerEntry> entry) noexcept
    : entry_(std::move(entry)) {}

PORTHOLE_FN TimerHandle& TimerHandle::operator=(TimerHandle&& other) noexcept {
    if (this != &other) {
        const std::shared_ptr<detail::TimerEntry> entry = std::exchange(entry_, nullptr);
        entry_ = std::move(other.entry_);
        if (entry) {
            entry->drop();
        }
    }
    return *this;
}

PORTHOLE_FN void TimerHandle::cancel() noexcept {
    // What the task holds may be the owner of this handle, which then ends in here.
    if (const std::shared_ptr<detail::TimerEntry> entry = std::exchange(entry_, nullptr)) {
        entry->drop();
    }
}

PORTHOLE_FN bool TimerHandle::is_pending() const noexcept {
    return entry_ && entry_->is_armed();
}

PORTHOLE_FN TaskPoster::TaskPoster(std::shared_ptr<detail::Mailbox> mailbox) noexcept
    : mailbox_(std::move(mailbox)) {}

PORTHOLE_FN void TaskPoster::post(std::function<void()> task) const {
    PORTHOLE_ASSERT(task, "a task is a function");
    if (task && mailbox_) {
        mailbox_->put(std::move(task));
    }
}

PORTHOLE_NAMESPACE_END
