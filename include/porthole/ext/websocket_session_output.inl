// SPDX-License-Identifier: MIT
#pragma once

// Bytes out, and time. Small messages go straight to the link; what it does not take waits in the
// outbox, whose cost is bounded. Control frames overtake messages, and cost a fixed amount: of the
// pongs that wait only the last one is kept (RFC 6455 section 5.5.3).

#include "porthole/ext/websocket_session.hpp"
#include "porthole/os/random.hpp"

#include <algorithm>
#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN std::size_t WebSocketSession::buffered_bytes() const noexcept {
    const std::size_t linked = link_ != nullptr ? link_->queued_bytes() : 0;
    return linked + (outbox_ ? outbox_->bytes() : 0);
}

PORTHOLE_FN bool WebSocketSession::may_hand_over() const noexcept {
    return link_ != nullptr && link_->queued_bytes() < link_mark;
}

PORTHOLE_FN bool WebSocketSession::is_keyed(std::string_view key) const noexcept {
    return !key.empty() || options_.policy == WebSocketPolicy::coalesce;
}

PORTHOLE_FN bool WebSocketSession::send(const Message& message, std::string_view key) {
    PORTHOLE_ASSERT(!message.is_text || is_utf8(message.data), "a text message has to be UTF-8");
    if (phase_ != Phase::open) {
        return false;
    }
    FrameHead head;
    head.opcode = message.is_text ? Opcode::text : Opcode::binary;
    char bytes[max_frame_head_size];
    OutFrame frame;
    frame.payload = message.data;
    if (is_collected(message.data)) {
        frame.owner = collected_;
    }
    if (role_ == WebSocketRole::server) {
        head.payload_size = message.data.size();
        frame.head = {bytes, write_frame_head(bytes, head)};
        if (replace_waiting(frame, key)) {
            return true;
        }
    }
    if (!make_room(message.data.size())) {
        return false;
    }
    // What a later message depends on must not be dropped, so who may be dropped is not compressed.
    const bool stays = !is_keyed(key) && options_.policy != WebSocketPolicy::drop_oldest;
    const bool is_direct = is_queue_empty() && may_hand_over();
    scratch_.clear();
    head.has_rsv1 = codec_ && (stays || is_direct) && codec_->compress(message.data, scratch_);
    if (head.has_rsv1) {
        frame.payload = scratch_;
        frame.owner.reset();
    }
    if (role_ == WebSocketRole::client) {
        if (!head.has_rsv1) {
            scratch_.assign(message.data);
        }
        head.is_masked = true;
        head.key = next_key();
        apply_mask(scratch_.data(), scratch_.size(), head.key, 0);
        frame.payload = scratch_;
        frame.owner.reset();
    }
    head.payload_size = frame.payload.size();
    frame.head = {bytes, write_frame_head(bytes, head)};
    put(frame, key, head.has_rsv1 || role_ == WebSocketRole::client);
    note_memory(scratch_.capacity());
    return link_ != nullptr;
}

/// A message that was collected and goes back as it is: nothing is copied then.
PORTHOLE_FN bool WebSocketSession::is_collected(std::string_view data) const noexcept {
    return is_showing_collected_ && collected_ && data.size() >= least_returned
           && data.data() == collected_->view().data() && data.size() == collected_->size()
           && collected_->capacity() - data.size() <= data.size() / 4; // which nobody counts
}

PORTHOLE_FN bool WebSocketSession::send_frame(
    const std::shared_ptr<const std::string>& frame, std::string_view key) {
    PORTHOLE_ASSERT(frame && role_ == WebSocketRole::server, "only servers send unmasked frames");
    if (phase_ != Phase::open || !frame || role_ != WebSocketRole::server) {
        return false;
    }
    OutFrame out;
    out.payload = *frame;
    out.owner = frame;
    if (replace_waiting(out, key)) {
        return true;
    }
    if (!make_room(out.size())) {
        return false;
    }
    put(out, key, false);
    return link_ != nullptr;
}

/// True when a waiting message with that key has been replaced.
PORTHOLE_FN bool WebSocketSession::replace_waiting(const OutFrame& frame, std::string_view key) {
    if (!is_keyed(key) || is_queue_empty()) {
        return false;
    }
    const std::size_t old_size = outbox_->find(key);
    const std::size_t cost = outbox_->cost() + link_->queued_bytes() - old_size;
    if (old_size == 0 || cost > options_.max_queue_bytes
        || frame.size() > options_.max_queue_bytes - cost) {
        return false;
    }
    outbox_->replace(key, frame);
    return true;
}

/// False when the message is not to be sent.
PORTHOLE_FN bool WebSocketSession::make_room(std::size_t size) {
    const auto has_room_beside = [most = options_.max_queue_bytes, size](std::size_t cost) {
        return cost <= most && size <= most - cost;
    };
    const auto fits = [this, &has_room_beside] {
        return has_room_beside(link_->queued_bytes() + (outbox_ ? outbox_->cost() : 0));
    };
    if (fits()) {
        return true;
    }
    owes_drain_ = true;
    switch (options_.policy) {
    case WebSocketPolicy::refuse:
    case WebSocketPolicy::coalesce: return false;
    case WebSocketPolicy::drop_oldest:
        // What the link holds cannot be dropped; where there is no room beside it, nothing else is
        // dropped in vain.
        while (has_room_beside(link_->queued_bytes()) && outbox_ && outbox_->drop_oldest()) {
            if (fits()) {
                return true;
            }
        }
        return false;
    case WebSocketPolicy::close:
        fail(close_code::policy_violation, "The client reads too slowly.");
        return false;
    }
    return false;
}

PORTHOLE_FN void
WebSocketSession::put(const OutFrame& frame, std::string_view key, bool is_pinned) {
    const std::size_t sent = is_queue_empty() ? hand_over(frame) : 0;
    if (link_ == nullptr) {
        return;
    }
    // A program that saw so much in buffered_bytes() may wait for on_drain().
    owes_drain_ = owes_drain_ || sent != frame.size() || !may_hand_over();
    if (sent == frame.size()) {
        return;
    }
    if (!outbox_) {
        outbox_ = std::make_unique<Outbox>();
        note_memory(kept_bytes + 1);
    }
    Outbox::Place place;
    place.sent = sent;
    place.is_pinned = is_pinned;
    place.is_keyed = is_keyed(key);
    place.key = key;
    outbox_->push(frame, place);
    flush(); // what the link need not copy can be given to it at once
}

/// Returns how many bytes the link has taken. It may end the session.
PORTHOLE_FN std::size_t WebSocketSession::hand_over(const OutFrame& frame) {
    char block[max_frame_head_size + joined_payload];
    if (!frame.head.empty() && frame.size() <= sizeof block) { // one call of the link, not two
        std::copy(frame.head.begin(), frame.head.end(), block);
        std::copy(frame.payload.begin(), frame.payload.end(), block + frame.head.size());
        return hand_over(std::string_view(block, frame.size()));
    }
    const std::size_t given = hand_over(frame.head);
    if (given < frame.head.size() || !may_hand_over()) {
        return given;
    }
    const bool is_shared = frame.owner && link_->send_shared(frame.owner, frame.payload);
    return given + (is_shared ? frame.payload.size() : hand_over(frame.payload));
}

PORTHOLE_FN std::size_t WebSocketSession::hand_over(std::string_view bytes) {
    if (!may_hand_over()) {
        return 0;
    }
    std::size_t here = (std::min)(bytes.size(), link_slice);
    while (here != 0 && link_ != nullptr && !link_->send(bytes.substr(0, here))) {
        here /= 2; // its own bound may be lower than ours
    }
    return here;
}

/// Hands over what waits, as far as the link takes it.
PORTHOLE_FN void WebSocketSession::flush() {
    for (;;) {
        const bool is_between = is_queue_empty() || !outbox_->has_begun();
        if (is_between && has_pong_ && may_hand_over()) {
            has_pong_ = false;
            write_control(Opcode::pong, pong_);
        }
        if (is_queue_empty() || !may_hand_over()) {
            break;
        }
        const std::size_t given = hand_over(outbox_->front());
        if (link_ == nullptr || given == 0) {
            return;
        }
        outbox_->consume(given);
    }
    if (link_ == nullptr || !is_queue_empty()) {
        return;
    }
    if (has_close_ && may_hand_over()) {
        has_close_ = false;
        write_control(Opcode::close, close_frame_);
    }
    if (phase_ == Phase::done && !has_close_ && link_ != nullptr
        && !std::exchange(has_closed_link_, true)) {
        link_->close();
    }
}

PORTHOLE_FN void WebSocketSession::send_control(Opcode opcode, std::string_view payload) {
    const bool is_between = is_queue_empty() || !outbox_->has_begun();
    if (is_between && may_hand_over()) {
        has_pong_ = has_pong_ && opcode != Opcode::pong;
        write_control(opcode, payload);
    } else if (opcode == Opcode::pong) {
        keep_pong(payload);
    }
}

PORTHOLE_FN void WebSocketSession::keep_pong(std::string_view payload) {
    has_pong_ = true;
    if (payload.data() != pong_.data()) {
        pong_.assign(payload);
    }
}

PORTHOLE_FN void WebSocketSession::write_control(Opcode opcode, std::string_view payload) {
    FrameHead head;
    head.opcode = opcode;
    head.payload_size = payload.size();
    head.is_masked = role_ == WebSocketRole::client;
    if (head.is_masked) {
        head.key = next_key();
    }
    char bytes[max_frame_head_size + max_control_payload];
    const std::size_t head_size = write_frame_head(bytes, head);
    std::copy(payload.begin(), payload.end(), bytes + head_size);
    if (head.is_masked) {
        apply_mask(bytes + head_size, payload.size(), head.key, 0);
    }
    // No frame may be cut: these two wait until there is room for the whole of them.
    if (!link_->send({bytes, head_size + payload.size()}) && link_ != nullptr) {
        if (opcode == Opcode::close) {
            has_close_ = true;
        } else if (opcode == Opcode::pong) {
            keep_pong(payload);
        }
    }
}

PORTHOLE_FN bool WebSocketSession::ping(std::string_view payload) {
    PORTHOLE_ASSERT(payload.size() <= max_control_payload, "a ping has at most 125 bytes");
    if (phase_ != Phase::open || payload.size() > max_control_payload) {
        return false;
    }
    const bool is_between = is_queue_empty() || !outbox_->has_begun();
    if (!is_between || !may_hand_over()) {
        return false;
    }
    write_control(Opcode::ping, payload);
    return link_ != nullptr;
}

PORTHOLE_FN void WebSocketSession::close(int code, std::string_view reason) {
    if (phase_ != Phase::open) {
        return;
    }
    const bool is_sendable = is_sendable_close_code(code) || code == close_code::no_code;
    PORTHOLE_ASSERT(is_sendable, "a close code is 1000 to 1014 as registered, or 3000 to 4999");
    phase_ = Phase::closing;
    close_deadline_ = link_->now() + options_.close_timeout;
    arm();
    send_close_frame(is_sendable ? code : close_code::normal, reason);
    if (link_ != nullptr) {
        pause_reading(false); // else the answer would never be seen
    }
}

PORTHOLE_FN void WebSocketSession::send_close_frame(int code, std::string_view reason) {
    constexpr std::size_t max_reason = max_control_payload - 2;
    close_frame_.clear();
    if (code != close_code::no_code) {
        close_frame_ += static_cast<char>(code >> 8);
        close_frame_ += static_cast<char>(code & 0xff);
        std::size_t size = (std::min)(reason.size(), max_reason);
        while (size < reason.size() && (static_cast<unsigned char>(reason[size]) & 0xc0u) == 0x80) {
            --size; // not within a character
        }
        reason = reason.substr(0, size);
        close_frame_ += is_utf8(reason) ? reason : std::string_view();
    }
    has_close_ = true;
    flush();
}

PORTHOLE_FN void WebSocketSession::fail(int code, std::string_view sentence) {
    if (!is_receiving()) {
        return;
    }
    end_with(code, sentence);
    const bool is_first = phase_ == Phase::open;
    phase_ = Phase::closing;
    if (is_first) {
        send_close_frame(code, sentence);
    }
    finish();
}

PORTHOLE_FN void WebSocketSession::end_with(int code, std::string_view reason) {
    end_code_ = code;
    end_reason_.assign(reason);
}

/// Nothing more is received; what is queued may still leave for a while.
PORTHOLE_FN void WebSocketSession::finish() {
    if (link_ == nullptr) {
        return;
    }
    phase_ = Phase::done;
    close_deadline_ = link_->now() + options_.close_timeout;
    arm();
    flush();
}

PORTHOLE_FN void WebSocketSession::abort() {
    if (link_ != nullptr && phase_ != Phase::aborted) {
        phase_ = Phase::aborted;
        link_->wake();
    }
}

PORTHOLE_FN void WebSocketSession::wake() {
    if (link_ != nullptr) {
        owner_wants_wake_ = true;
        link_->wake();
    }
}

PORTHOLE_FN void WebSocketSession::on_wake() {
    if (phase_ == Phase::aborted) {
        link_->abort();
        return;
    }
    if (is_resume_due_) {
        resume();
    }
    if (link_ != nullptr && std::exchange(owner_wants_wake_, false)) {
        events_.handle_wake();
    }
}

PORTHOLE_FN void WebSocketSession::on_drain() {
    flush();
    const bool has_drained = phase_ == Phase::open && owes_drain_ && buffered_bytes() == 0;
    if (has_drained) {
        owes_drain_ = false;
        events_.handle_drain();
    }
}

PORTHOLE_FN TimePoint WebSocketSession::next_deadline() const noexcept {
    switch (phase_) {
    case Phase::open: break;
    case Phase::closing:
    case Phase::done: return close_deadline_;
    case Phase::idle:
    case Phase::aborted:
    case Phase::closed: return never;
    }
    TimePoint next = release_at_;
    if (options_.ping_interval > Duration::zero()) {
        next =
            (std::min)(next, is_ping_out_ ? ping_deadline_ : received_at_ + options_.ping_interval);
    }
    return next;
}

/// One that is armed too early costs a call; to move it with each message would cost more.
PORTHOLE_FN void WebSocketSession::arm() {
    const TimePoint next = next_deadline();
    if (link_ != nullptr && next < armed_) {
        armed_ = next;
        link_->set_deadline(next);
    }
}

PORTHOLE_FN void WebSocketSession::on_deadline() {
    const TimePoint now = link_->now();
    armed_ = never;
    if (phase_ != Phase::open) {
        if (now >= close_deadline_) {
            link_->abort();
            return;
        }
    } else {
        if (now >= release_at_) {
            const TimePoint idle_at = received_at_ + keep_time;
            release_at_ = now < idle_at ? idle_at : never;
            if (release_at_ == never) {
                release_memory();
            }
        }
        check_silence(now);
    }
    arm();
}

/// RFC 6455 section 5.5.2: whether the peer is still there. Whatever it sends is an answer.
PORTHOLE_FN void WebSocketSession::check_silence(TimePoint now) {
    if (options_.ping_interval <= Duration::zero()) {
        return;
    }
    if (is_reading_paused_ || buffered_bytes() != 0) {
        received_at_ = now; // it cannot answer; that it takes nothing has a deadline of its own
        is_ping_out_ = false;
    } else if (is_ping_out_ && now >= ping_deadline_) {
        end_with(close_code::dropped, "The client did not answer a ping.");
        abort();
    } else if (!is_ping_out_ && now >= received_at_ + options_.ping_interval) {
        is_ping_out_ = true;
        ping_deadline_ = now + options_.pong_timeout;
        write_control(Opcode::ping, {});
    }
}

/// Memory that has been used is given back when it has not been for a while.
PORTHOLE_FN void WebSocketSession::note_memory(std::size_t capacity) {
    if (capacity > kept_bytes && release_at_ == never && link_ != nullptr) {
        release_at_ = link_->now() + keep_time;
        arm();
    }
}

PORTHOLE_FN void WebSocketSession::release_memory() {
    if (!in_message_) {
        std::string().swap(message_);
        collected_.reset();
    }
    if (held_.empty()) {
        std::string().swap(held_);
    }
    std::string().swap(scratch_);
    if (is_queue_empty()) {
        outbox_.reset();
    } else {
        note_memory(kept_bytes + 1);
    }
}

/// RFC 6455 section 5.3: keys that nobody can predict.
PORTHOLE_FN MaskKey WebSocketSession::next_key() {
    MaskKey key{};
    if (!keys_) {
        keys_ = std::make_unique<KeyPool>();
    }
    if (keys_->left < key.size()) {
        keys_->left = keys_->bytes.size();
        if (!fill_random(keys_->bytes.data(), keys_->bytes.size())) {
            abort();
        }
    }
    keys_->left -= key.size();
    std::copy_n(keys_->bytes.data() + keys_->left, key.size(), key.begin());
    return key;
}

} // namespace detail

PORTHOLE_NAMESPACE_END
