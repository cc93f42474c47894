// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/ext/cgi_gate.hpp"
#include "porthole/ext/cgi_run.hpp"

#include <algorithm>
#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN void
CgiGate::log(LogLevel level, LogId id, std::string_view sentence, std::string_view peer) const {
    if (server_ == nullptr || !server_->options().log) {
        return;
    }
    PORTHOLE_TRY {
        server_->options().log(LogEvent{level, id, sentence, peer});
    }
    PORTHOLE_CATCH_ALL {} // a sink that fails is no reason to drop anybody
}

PORTHOLE_FN bool CgiGate::has_room() const noexcept {
    const std::size_t present = running_.size() + reaper_->size() + waiting_.size() + spooling_;
    return present < settings_.max_programs + settings_.max_waiting;
}

PORTHOLE_FN void CgiGate::enter(const std::shared_ptr<CgiRun>& run) {
    arm();
    if (waiting_.empty() && running_.size() + reaper_->size() < settings_.max_programs) {
        start(run);
    } else {
        waiting_.push_back(run);
    }
}

PORTHOLE_FN void CgiGate::start(const std::shared_ptr<CgiRun>& run) {
    running_.push_back(run);
    if (!run->start()) {
        leave(*run);
    }
}

PORTHOLE_FN void CgiGate::leave(const CgiRun& run) {
    const auto is_it = [&run](const std::shared_ptr<CgiRun>& other) {
        return other.get() == &run;
    };
    running_.erase(std::remove_if(running_.begin(), running_.end(), is_it), running_.end());
    waiting_.erase(std::remove_if(waiting_.begin(), waiting_.end(), is_it), waiting_.end());
    note_free_place();
}

/// Starting a program is a unit of work of its own.
PORTHOLE_FN void CgiGate::note_free_place() {
    if (waiting_.empty() || is_posted_ || server_ == nullptr) {
        return;
    }
    is_posted_ = true;
    server_->poster().post([self = weak_from_this()] {
        if (const std::shared_ptr<CgiGate> gate = self.lock()) {
            gate->is_posted_ = false;
            gate->start_next();
        }
    });
}

PORTHOLE_FN void CgiGate::start_next() {
    if (server_ == nullptr || waiting_.empty()
        || running_.size() + reaper_->size() >= settings_.max_programs) {
        return;
    }
    const std::shared_ptr<CgiRun> run = std::move(waiting_.front());
    waiting_.pop_front();
    start(run);
    note_free_place();
}

PORTHOLE_FN void CgiGate::arm() {
    constexpr std::chrono::milliseconds usual{250};
    constexpr std::chrono::milliseconds least{1};
    constexpr int beats_in_timeout = 8;
    if (beat_.is_pending() || server_ == nullptr) {
        return;
    }
    std::chrono::milliseconds beat = (std::min)(usual, settings_.timeout / beats_in_timeout);
    for (const std::shared_ptr<CgiRun>& run : running_) {
        beat = run->is_polled() ? least : beat;
    }
    beat = (std::max)(beat, least);
    last_beat_ = now();
    beat_ = server_->call_after(beat, [self = weak_from_this(), beat] {
        const std::shared_ptr<CgiGate> gate = self.lock();
        if (gate && gate->server_ != nullptr) {
            // A frame that took long, or a breakpoint, is not the programs' fault.
            const Duration longest = beat + gate->server_->options().limits.max_tick_gap;
            gate->on_beat((std::min)(gate->now() - gate->last_beat_, longest));
            if (!gate->running_.empty() || !gate->waiting_.empty() || gate->reaper_->size() != 0) {
                gate->arm();
            }
        }
    });
}

PORTHOLE_FN TimePoint CgiGate::now() const noexcept {
    Clock* const clock = server_->options().clock;
    return clock != nullptr ? clock->now() : SystemClock().now();
}

PORTHOLE_FN void CgiGate::on_beat(Duration passed) {
    std::vector<std::shared_ptr<CgiRun>> all(running_);
    all.insert(all.end(), waiting_.begin(), waiting_.end());
    for (const std::shared_ptr<CgiRun>& run : all) {
        run->on_beat(passed);
    }
    if (reaper_->size() != 0) {
        reaper_->collect();
    }
    note_free_place();
}

PORTHOLE_FN void CgiGate::ask_again() {
    if (is_posted_ || server_ == nullptr) {
        return;
    }
    is_posted_ = true;
    server_->poster().post([self = weak_from_this()] {
        if (const std::shared_ptr<CgiGate> gate = self.lock()) {
            gate->is_posted_ = false;
            gate->on_beat(Duration::zero());
        }
    });
}

PORTHOLE_FN void CgiGate::close() noexcept {
    constexpr std::chrono::milliseconds patience{100};
    server_ = nullptr;
    beat_.cancel();
    std::vector<std::shared_ptr<CgiRun>> running = std::move(running_);
    std::deque<std::shared_ptr<CgiRun>> waiting = std::move(waiting_);
    running_.clear();
    waiting_.clear();
    for (const std::shared_ptr<CgiRun>& run : running) {
        run->shut();
    }
    for (const std::shared_ptr<CgiRun>& run : waiting) {
        run->shut();
    }
    static_cast<void>(reaper_->finish(patience));
}

} // namespace detail

PORTHOLE_NAMESPACE_END
