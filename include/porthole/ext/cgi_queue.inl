// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/ext/cgi_queue.hpp"
#include "porthole/ext/cgi_task.hpp"

#include <algorithm>
#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN void CgiQueue::attach(Server& server) {
    server_ = &server;
    poster_ = server.poster();
}

PORTHOLE_FN void
CgiQueue::log(LogLevel level, LogId id, std::string_view sentence, std::string_view peer) const {
    if (server_ == nullptr || !server_->options().log) {
        return;
    }
    PORTHOLE_TRY {
        server_->options().log(LogEvent{level, id, sentence, peer});
    }
    PORTHOLE_CATCH_ALL {} // a sink that fails is no reason to drop anybody
}

PORTHOLE_FN bool CgiQueue::has_room() const noexcept {
    const std::size_t present = running_.size() + places_behind() + waiting_.size() + spooling_;
    return present < settings().max_running + settings().max_waiting;
}

PORTHOLE_FN bool CgiQueue::has_place() const noexcept {
    return running_.size() + places_behind() < settings().max_running;
}

PORTHOLE_FN void CgiQueue::enter(const std::shared_ptr<CgiTask>& task) {
    arm();
    if (waiting_.empty() && has_place()) {
        start(task);
    } else {
        waiting_.push_back(task);
    }
}

PORTHOLE_FN void CgiQueue::start(const std::shared_ptr<CgiTask>& task) {
    running_.push_back(task);
    task->start();
}

PORTHOLE_FN void CgiQueue::leave(const CgiTask& task) {
    const auto is_it = [&task](const std::shared_ptr<CgiTask>& other) {
        return other.get() == &task;
    };
    running_.erase(std::remove_if(running_.begin(), running_.end(), is_it), running_.end());
    waiting_.erase(std::remove_if(waiting_.begin(), waiting_.end(), is_it), waiting_.end());
    if (!waiting_.empty()) {
        post_turn();
    }
}

PORTHOLE_FN void CgiQueue::ask_again() {
    is_asked_ = true;
    post_turn();
}

/// Starting a task is a unit of work of its own.
PORTHOLE_FN void CgiQueue::post_turn() {
    if (is_posted_ || server_ == nullptr) {
        return;
    }
    is_posted_ = true;
    poster_.post([self = weak_from_this()] {
        if (const std::shared_ptr<CgiQueue> queue = self.lock()) {
            queue->is_posted_ = false;
            queue->start_next();
            if (std::exchange(queue->is_asked_, false)) {
                queue->on_beat(Duration::zero());
            }
        }
    });
}

PORTHOLE_FN void CgiQueue::start_next() {
    if (server_ == nullptr || waiting_.empty() || !has_place()) {
        return;
    }
    const std::shared_ptr<CgiTask> task = std::move(waiting_.front());
    waiting_.pop_front();
    start(task);
    if (!waiting_.empty() && has_place()) {
        post_turn();
    }
}

PORTHOLE_FN std::chrono::milliseconds CgiQueue::shortest_timeout() const noexcept {
    return settings().timeout;
}

PORTHOLE_FN void CgiQueue::arm() {
    constexpr std::chrono::milliseconds usual{250};
    constexpr std::chrono::milliseconds least{1};
    constexpr int beats_in_timeout = 8;
    if (beat_.is_pending() || server_ == nullptr) {
        return;
    }
    std::chrono::milliseconds beat = (std::min)(usual, shortest_timeout() / beats_in_timeout);
    for (const std::shared_ptr<CgiTask>& task : running_) {
        beat = task->is_polled() ? least : beat;
    }
    beat = (std::max)(beat, least);
    last_beat_ = now();
    beat_ = server_->call_after(beat, [self = weak_from_this(), beat] {
        const std::shared_ptr<CgiQueue> queue = self.lock();
        if (queue && queue->server_ != nullptr) {
            // A frame that took long, or a breakpoint, is nobody's fault.
            const Duration longest = beat + queue->server_->options().limits.max_tick_gap;
            queue->on_beat((std::min)(queue->now() - queue->last_beat_, longest));
        }
    });
}

PORTHOLE_FN TimePoint CgiQueue::now() const noexcept {
    Clock* const clock = server_->options().clock;
    return clock != nullptr ? clock->now() : SystemClock().now();
}

PORTHOLE_FN void CgiQueue::on_beat(Duration passed) {
    std::vector<std::shared_ptr<CgiTask>> all(running_);
    all.insert(all.end(), waiting_.begin(), waiting_.end());
    for (const std::shared_ptr<CgiTask>& task : all) {
        task->on_beat(passed);
    }
    const bool has_more = look_after(passed);
    if (!waiting_.empty() && has_place()) {
        post_turn();
    }
    if (has_more || !running_.empty() || !waiting_.empty()) {
        arm();
    }
}

PORTHOLE_FN void CgiQueue::shut_all() noexcept {
    server_ = nullptr;
    beat_.cancel();
    const std::vector<std::shared_ptr<CgiTask>> running = std::move(running_);
    const std::deque<std::shared_ptr<CgiTask>> waiting = std::move(waiting_);
    running_.clear();
    waiting_.clear();
    for (const std::shared_ptr<CgiTask>& task : running) {
        task->shut();
    }
    for (const std::shared_ptr<CgiTask>& task : waiting) {
        task->shut();
    }
}

} // namespace detail

PORTHOLE_NAMESPACE_END
