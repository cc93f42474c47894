// SPDX-License-Identifier: MIT
#pragma once

// What every turn of a connection ends with: what to be told of next, until when, and how it ends.

#include "porthole/server/connection.hpp"
#include "porthole/server/core.hpp"
#include "porthole/server/reply_state.hpp"

#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// What every turn ends with: the next one is arranged for.
PORTHOLE_FN void Connection::finish_turn() {
    if (phase_ == Phase::closed) {
        core_.out().clear();
        return;
    }
    const bool has_unread = !in_.is_empty() && !needs_more_ && wants_input();
    if (has_unread) {
        core_.make_ready(*this);
    }
    if (is_idle()) {
        if (is_draining_) {
            close_now();
            return;
        }
        core_.note_idle(*this);
    } else {
        ListLink<IdleTag>::unlink();
    }
    update_interest();
    update_deadline();
}

/// How long a peer may take for that many bytes.
inline Duration time_earned(const Limits& limits, std::uint64_t bytes) noexcept {
    constexpr std::uint64_t a_day = 24 * 60 * 60;
    const std::uint64_t rate =
        limits.min_body_bytes_per_second == 0 ? 1 : limits.min_body_bytes_per_second;
    const std::uint64_t seconds = bytes / rate < a_day ? bytes / rate : a_day;
    return std::chrono::seconds(static_cast<std::int64_t>(seconds));
}

PORTHOLE_FN TimePoint Connection::phase_deadline() const noexcept {
    const Limits& limits = core_.limits();
    switch (phase_) {
    case Phase::head:
        if (has_output()) {
            return never; // nothing is read meanwhile: the write stall is what counts
        }
        if (exchange_ || requests_ == 0) {
            return phase_began_ + limits.head_timeout;
        }
        return phase_began_ + limits.idle_timeout;
    case Phase::content:
        if (has_output() || is_content_paused()) {
            return never;
        }
        return phase_began_ + limits.body_grace + time_earned(limits, received_);
    case Phase::sending:
        if (!takes_content() || is_content_paused()) {
            return never;
        }
        return phase_began_ + limits.body_grace + time_earned(limits, received_);
    case Phase::lingering: return phase_began_ + limits.linger_timeout;
    case Phase::upgraded: return owner_deadline_;
    case Phase::deferred:
    case Phase::closed: return never;
    }
    return never;
}

PORTHOLE_FN void Connection::update_deadline() {
    const Limits& limits = core_.limits();
    if (!output_is_blocked_ || !has_output()) {
        stall_deadline_ = never;
    } else if (output_moved_ || stall_deadline_ == never) {
        if (stall_deadline_ == never) {
            blocked_began_ = core_.now();
            blocked_bytes_ = 0;
        }
        // Nothing for too long, or, taken by the drop, too little for too long.
        const TimePoint silent = core_.now() + limits.write_stall_timeout;
        const TimePoint dripping =
            blocked_began_ + limits.write_stall_timeout + time_earned(limits, blocked_bytes_);
        stall_deadline_ = silent < dripping ? silent : dripping;
    }
    const TimePoint phase = phase_deadline();
    const TimePoint deadline = phase < stall_deadline_ ? phase : stall_deadline_;
    if (deadline == never) {
        core_.timers().disarm(*this);
    } else {
        core_.timers().arm(*this, deadline);
    }
}

PORTHOLE_FN void Connection::on_deadline() {
    const TimePoint now = core_.now();
    output_moved_ = unwanted_input_ = false;
    if (now >= stall_deadline_) {
        core_.note_timeout(
            "The peer took nothing of an answer for too long "
            "(Limits::write_stall_timeout).",
            peer_);
        close_now();
        return;
    }
    if (now < phase_deadline()) {
        update_deadline();
        return;
    }
    switch (phase_) {
    case Phase::head:
        if (!exchange_) {
            close_now(); // idle, or never said a word
            return;
        }
        core_.note_timeout(describe(RequestFault::head_timeout), peer_);
        refuse(RequestFault::head_timeout);
        break;
    case Phase::content:
        core_.note_timeout(describe(RequestFault::content_timeout), peer_);
        refuse(RequestFault::content_timeout);
        break;
    case Phase::upgraded: {
        owner_deadline_ = never;
        call_owner([](Upgrade& owner) { owner.on_deadline(); });
        break;
    }
    case Phase::lingering: close_now(); return;
    case Phase::sending:
        core_.note_timeout(describe(RequestFault::content_timeout), peer_);
        close_now(); // the answer has begun before its content had come
        break;
    case Phase::deferred:
    case Phase::closed: break;
    }
    if (phase_ != Phase::closed && (has_output() || close_when_sent_)) {
        send_output();
    }
    finish_turn();
}

PORTHOLE_FN void Connection::update_interest() {
    Interest wanted = interest_;
    wanted.write = output_is_blocked_ && has_output();
    wanted.hangup = !peer_ended_ && !(phase_ == Phase::upgraded && is_reading_paused_);
    if (wants_input()) {
        wanted.read = true;
    } else if (unwanted_input_ || wanted.write) {
        wanted.read = false; // not before it costs something: most answers come back to reading
    }
    if (wanted != interest_) {
        set_interest(wanted);
    }
}

PORTHOLE_FN void Connection::set_interest(Interest wanted) {
    interest_ = wanted;
    const NativeHandle handle = transport_->handle();
    if (handle == invalid_handle) {
        return;
    }
    Pollable* owner = this;
    const Error error = is_watched_ ? core_.poller().modify(handle, owner, wanted)
                                    : core_.poller().add(handle, owner, wanted);
    is_watched_ = true;
    if (error) {
        close_now();
    }
}

PORTHOLE_FN void Connection::stop_watching() noexcept {
    if (is_watched_) {
        core_.poller().remove(transport_->handle());
        is_watched_ = false;
        interest_ = Interest{false, false, false};
    }
}

PORTHOLE_FN Readiness Connection::wanted_readiness() const noexcept {
    const Readiness is = transport_->readiness();
    Readiness wanted;
    wanted.read = is.read && interest_.read;
    wanted.write = is.write && interest_.write;
    wanted.hangup = is.hangup && interest_.hangup && !peer_ended_;
    wanted.error = is.error && (interest_.read || interest_.write || interest_.hangup);
    return wanted;
}

PORTHOLE_FN void Connection::begin_drain() {
    is_draining_ = true;
    if (is_idle()) {
        close_now();
    } else if (phase_ == Phase::upgraded) {
        const std::shared_ptr<Upgrade> owner = upgrade_;
        PORTHOLE_TRY {
            owner->on_stop(*this);
        }
        PORTHOLE_CATCH_ALL {
            close_now();
        }
    }
}

PORTHOLE_FN void Connection::close_now() noexcept {
    if (phase_ == Phase::closed) {
        return;
    }
    phase_ = Phase::closed;
    stop_watching();
    core_.timers().disarm(*this);
    transport_.reset(); // what core_.out() holds may be another's, whose handler has closed us
    if (source_waker_) {
        *source_waker_ = nullptr;
    }
    core_.bury(*this); // before the program is told, which may destroy the server
    if (exchange_ && has_answer_) {
        note_access(false);
    }
    if (exchange_ && exchange_->reply) {
        exchange_->reply->connection = nullptr;
        exchange_->reply->peer_gone.store(true);
    }
    if (const std::shared_ptr<Upgrade> owner = std::move(upgrade_)) {
        PORTHOLE_TRY {
            owner->on_close();
        }
        PORTHOLE_CATCH_ALL {}
    }
    abort_intake();
}

} // namespace detail

PORTHOLE_NAMESPACE_END
