// SPDX-License-Identifier: MIT
#pragma once

// A connection that an Upgrade owns: its turns, and its owner's side of it. What is sent in a turn
// gathers in the core's buffer like answers do; what is large leaves from where it is.

#include "porthole/server/connection.hpp"
#include "porthole/server/core.hpp"

#include <algorithm>
#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN void Connection::begin_upgrade() {
    upgrade_ = std::move(exchange_->response.upgrade);
    exchange_->response.status = 101;
    note_access(true);
    core_.release_exchange(std::move(exchange_));
    phase_ = Phase::upgraded;
    peer_ended_ = false; // an end that was noticed before is still to be told to the owner
    keep_unsent();       // what the owner sends stays behind the 101
    if (phase_ == Phase::closed) {
        return;
    }
    call_owner([this](Upgrade& owner) { owner.on_open(*this); });
    if (phase_ == Phase::upgraded && is_draining_) { // the server has said so to all others
        call_owner([this](Upgrade& owner) { owner.on_stop(*this); });
    }
    if (phase_ == Phase::upgraded) {
        core_.make_ready(*this); // for what it has sent, and for what came behind the request
    }
}

PORTHOLE_FN void Connection::read_upgraded(Readiness ready) {
    if (std::exchange(wants_wake_, false)) {
        call_owner([](Upgrade& owner) { owner.on_wake(); });
        if (!wants_wake_) { // else it would keep a tick going that gets nothing done
            core_.count_work();
        }
    }
    if (phase_ != Phase::upgraded) {
        return;
    }
    if (ready.error) {
        close_now();
    } else if (is_reading_paused_ || peer_ended_) {
        if (ready.hangup && !interest_.hangup) {
            stop_watching(); // reported although it is masked: both directions are closed
        }
    } else if (!in_.is_empty()) {
        Buffer held(std::move(in_));
        core_.count_work();
        call_owner([&held](Upgrade& owner) { owner.on_data(held.data(), held.size()); });
    } else if (ready.read || ready.hangup) {
        const std::size_t most = core_.limits().max_read_bytes_per_turn;
        char* const place = upgrade_->place_for_input(most);
        char* const into = place != nullptr ? place : core_.read_buffer();
        const IoResult result = transport_->read(into, most);
        if (result.status == IoStatus::ok) {
            core_.count_in(result.bytes);
            call_owner([into, &result](Upgrade& owner) { owner.on_data(into, result.bytes); });
        } else if (result.status == IoStatus::end) {
            peer_ended_ = true;
            core_.count_work();
            call_owner([](Upgrade& owner) { owner.on_end(); });
        } else if (result.status == IoStatus::failed) {
            close_now();
        }
    }
    if (phase_ == Phase::upgraded && (has_output() || close_when_sent_)) {
        send_output();
    }
}

PORTHOLE_FN std::size_t Connection::queued_bytes() const noexcept {
    return out_.size() + (is_in_turn_ ? core_.out().size() : 0) + body_left_.size();
}

/// In a turn of its own it sends through the core's buffer, so that only what the peer does not
/// take costs it memory; what is large, and first, is not even copied there.
PORTHOLE_FN bool Connection::send(std::string_view bytes) {
    constexpr std::size_t least_at_once = 64 * 1024; // less is gathered with what comes behind it
    const std::size_t most = core_.limits().max_queue_bytes;
    if (phase_ != Phase::upgraded || close_when_sent_ || bytes.size() > most
        || queued_bytes() > most - bytes.size() || !queue_body_left()) {
        return false;
    }
    if (may_write_now_ && bytes.size() >= least_at_once && out_.is_empty()) {
        bytes.remove_prefix(write_now(bytes));
    }
    return bytes.empty() || queue(bytes);
}

PORTHOLE_FN bool
Connection::send_shared(const std::shared_ptr<const void>& owner, std::string_view bytes) {
    constexpr std::size_t least_shared = 16 * 1024; // less is cheaper to copy
    if (phase_ != Phase::upgraded || close_when_sent_ || bytes.size() < least_shared
        || queued_bytes() > core_.limits().max_queue_bytes || !queue_body_left()) {
        return false;
    }
    body_left_ = bytes;
    body_share_ = owner;
    if (!is_in_turn_) {
        core_.make_ready(*this);
    }
    return true;
}

/// What stays in its owner's memory leaves last: to send more behind it, it is copied after all.
PORTHOLE_FN bool Connection::queue_body_left() {
    if (!body_left_.empty()) {
        if (!queue(body_left_)) {
            return false;
        }
        body_left_ = {};
        body_share_.reset();
    }
    return true;
}

PORTHOLE_FN bool Connection::queue(std::string_view bytes) {
    if (is_in_turn_ && core_.out().append(bytes)) {
        return true;
    }
    if (is_in_turn_) {
        keep_unsent();
    }
    if (phase_ != Phase::upgraded || !out_.append(bytes)) {
        return false;
    }
    core_.make_ready(*this);
    return true;
}

/// One write in a turn, from where the bytes are, behind what has gathered. A failure is met again
/// by the next one, outside of the owner's call.
PORTHOLE_FN std::size_t Connection::write_now(std::string_view bytes) {
    may_write_now_ = false;
    Buffer& gathered = core_.out();
    const std::size_t most = core_.limits().max_write_bytes_per_turn;
    const std::string_view slices[] = {gathered.view(), bytes.substr(0, most)};
    const bool has_gathered = !gathered.is_empty();
    const IoResult result =
        transport_->write(has_gathered ? slices : slices + 1, has_gathered ? 2 : 1);
    if (result.status != IoStatus::ok) {
        return 0;
    }
    core_.count_out(result.bytes);
    output_moved_ = true;
    const std::size_t first = (std::min)(result.bytes, gathered.size());
    gathered.consume(first);
    return result.bytes - first;
}

PORTHOLE_FN void Connection::wake() {
    if (phase_ == Phase::upgraded) {
        wants_wake_ = true;
        core_.make_ready(*this);
    }
}

PORTHOLE_FN void Connection::pause_reading(bool is_paused) {
    is_reading_paused_ = is_paused;
    if (phase_ == Phase::upgraded) {
        core_.make_ready(*this);
    }
}

PORTHOLE_FN void Connection::close() {
    if (phase_ == Phase::upgraded) {
        close_when_sent_ = true;
        core_.make_ready(*this);
    }
}

PORTHOLE_FN void Connection::abort() {
    close_now();
}

PORTHOLE_FN void Connection::set_deadline(TimePoint deadline) {
    owner_deadline_ = deadline;
    if (phase_ == Phase::upgraded) {
        update_deadline();
    }
}

PORTHOLE_FN bool Connection::has_time() noexcept {
    core_.read_clock();
    return !core_.is_out_of_time();
}

PORTHOLE_FN TimePoint Connection::now() const noexcept {
    return core_.now();
}

} // namespace detail

PORTHOLE_NAMESPACE_END
