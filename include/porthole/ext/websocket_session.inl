// SPDX-License-Identifier: MIT
#pragma once

// Bytes in. Output and deadlines are in websocket_session_output.inl. Every call of events_ may end
// the session, so what follows one looks at the phase first.

#include "porthole/ext/websocket_session.hpp"

#include <algorithm>
#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN WebSocketSession::WebSocketSession(
    WebSocketRole role, const SessionOptions& options, SessionEvents& events)
    : events_(events), options_(options), role_(role) {
    const Duration longest = SessionOptions::longest_time;
    for (Duration* time :
         {&options_.ping_interval, &options_.pong_timeout, &options_.close_timeout}) {
        *time = (std::clamp)(*time, Duration::zero(), longest);
    }
}

PORTHOLE_FN void WebSocketSession::on_open(UpgradeLink& link) {
    link_ = &link;
    phase_ = Phase::open;
    received_at_ = link.now();
    arm();
}

PORTHOLE_FN void WebSocketSession::on_data(char* bytes, std::size_t size) {
    if (!is_receiving()) {
        return;
    }
    received_at_ = link_->now();
    is_ping_out_ = false;
    if (!held_.empty() || is_user_paused_ || is_in_receive_) {
        hold({bytes, size}); // in order, behind what came before
        return;
    }
    messages_left_ = max_messages_per_turn;
    expansion_left_ = max_expanded_per_turn;
    receive(bytes, size);
}

PORTHOLE_FN void WebSocketSession::hold(std::string_view rest) {
    held_.append(rest);
    update_reading();
}

/// What has been held is looked at, in a turn of its own.
PORTHOLE_FN void WebSocketSession::resume() {
    is_resume_due_ = false;
    if (!is_receiving() || is_user_paused_ || is_in_receive_) {
        return;
    }
    if (!held_.empty()) {
        messages_left_ = max_messages_per_turn;
        expansion_left_ = max_expanded_per_turn;
        std::string bytes = std::move(held_); // so that what is held anew has a place
        held_.clear();
        receive(bytes.data(), bytes.size());
        if (held_.empty() && is_receiving()) {
            bytes.clear();
            held_ = std::move(bytes); // keeps the memory
            note_memory(held_.capacity());
        }
    }
    if (is_receiving() && has_ended_ && held_.empty()) {
        on_end();
    }
}

/// The link is told when reading is to stop or go on.
PORTHOLE_FN void WebSocketSession::update_reading() {
    if (!is_receiving()) {
        return;
    }
    const bool has_held = !held_.empty();
    if (has_held && !is_user_paused_ && !is_resume_due_) {
        is_resume_due_ = true;
        link_->wake();
    }
    const bool is_paused = is_user_paused_ || has_held;
    if (is_paused != is_reading_paused_) {
        is_reading_paused_ = is_paused;
        link_->pause_reading(is_paused);
    }
}

PORTHOLE_FN void WebSocketSession::pause_reading(bool is_paused) {
    if (is_paused == is_user_paused_ || (is_paused && phase_ != Phase::open)) {
        return; // once it closes, the peer's answer has to come in
    }
    is_user_paused_ = is_paused;
    if (!is_paused && is_receiving()) {
        received_at_ = link_->now(); // nothing could come meanwhile
        is_ping_out_ = false;
    }
    if (!is_in_receive_) {
        update_reading();
    }
}

PORTHOLE_FN void WebSocketSession::receive(char* bytes, std::size_t size) {
    is_in_receive_ = true;
    std::size_t at = 0;
    while (at < size && is_receiving() && !is_user_paused_ && messages_left_ != 0
           && expansion_left_ != 0) {
        if (!has_head_) {
            at += take_head({bytes + at, size - at});
        } else {
            at += take_payload(bytes + at, size - at);
        }
        if (has_head_ && is_receiving() && head_.payload_size == 0) {
            take_payload(nullptr, 0); // what has no payload ends with its head
        }
    }
    is_in_receive_ = false;
    if (!is_receiving()) {
        return;
    }
    if (at < size) {
        held_.assign(bytes + at, size - at);
    }
    update_reading();
    flush(); // an answer to a ping may be waiting for the end of a message
}

/// Returns how many bytes belong to the head.
PORTHOLE_FN std::size_t WebSocketSession::take_head(std::string_view bytes) {
    FrameReading reading;
    std::size_t taken = 0;
    if (head_size_ == 0) {
        reading = read_frame_head(bytes, head_);
        taken = reading.size;
    }
    if (reading.status == FrameStatus::need_more) { // it comes in pieces
        taken = 0;
        reading = read_frame_head({head_bytes_, head_size_}, head_);
        while (reading.status == FrameStatus::need_more) {
            if (taken == bytes.size()) {
                return taken;
            }
            const std::size_t wanted = reading.size - head_size_;
            const std::size_t here = (std::min)(wanted, bytes.size() - taken);
            std::copy_n(bytes.data() + taken, here, head_bytes_ + head_size_);
            head_size_ = static_cast<unsigned char>(head_size_ + here);
            taken += here;
            reading = read_frame_head({head_bytes_, head_size_}, head_);
        }
    }
    head_size_ = 0;
    if (reading.status == FrameStatus::failed) {
        fail(close_code::protocol_violation, reading.fault);
        return bytes.size();
    }
    has_head_ = check_head();
    taken_ = 0;
    return taken;
}

/// What a head may say here and now. False when it has failed the connection.
PORTHOLE_FN bool WebSocketSession::check_head() {
    const auto failed = [this](int code, const char* sentence) {
        fail(code, sentence);
        return false;
    };
    if (head_.is_masked != (role_ == WebSocketRole::server)) { // RFC 6455 section 5.1
        return failed(
            close_code::protocol_violation, head_.is_masked
                                                ? "A frame of the server is masked."
                                                : "A frame of the client is not masked.");
    }
    const bool begins = head_.opcode == Opcode::text || head_.opcode == Opcode::binary;
    if (head_.has_rsv1 && (!begins || !codec_)) { // RFC 7692 section 6
        return failed(close_code::protocol_violation, "A reserved bit is set.");
    }
    if (is_control(head_.opcode)) {
        return true;
    }
    if (begins == in_message_) { // RFC 6455 section 5.4
        return failed(
            close_code::protocol_violation,
            begins ? "A message begins within another." : "There is no message to continue.");
    }
    if (begins) {
        in_message_ = true;
        is_text_ = head_.opcode == Opcode::text;
        is_compressed_ = head_.has_rsv1;
        frames_ = 0;
        utf8_.reset();
        message_.clear();
        if (collected_.use_count() > 1) {
            collected_.reset(); // it is being sent still
        } else if (collected_) {
            collected_->clear();
        }
    }
    if (phase_ == Phase::closing) {
        return true; // what is not delivered is not limited either: none of it is kept
    }
    if (++frames_ > options_.max_frames) {
        return failed(close_code::policy_violation, "A message has too many frames.");
    }
    const std::size_t room = options_.max_message_bytes - collected_bytes();
    if (!is_compressed_ && head_.payload_size > room) {
        return failed(close_code::too_large, "A message is too large.");
    }
    return true;
}

PORTHOLE_FN std::size_t WebSocketSession::take_payload(char* bytes, std::size_t size) {
    const std::uint64_t left = head_.payload_size - taken_;
    const std::size_t here = left < size ? static_cast<std::size_t>(left) : size;
    if (is_control(head_.opcode)) {
        return take_control(bytes, here);
    }
    const bool is_whole = taken_ == 0 && here == left && head_.is_final && frames_ == 1
                          && !is_compressed_ && phase_ == Phase::open;
    return is_whole ? take_whole(bytes) : take_piece(bytes, here);
}

/// The case that counts: a message in one frame, all of it here. Nothing is copied.
PORTHOLE_FN std::size_t WebSocketSession::take_whole(char* bytes) {
    const auto size = static_cast<std::size_t>(head_.payload_size);
    const bool has_high_bytes =
        role_ == WebSocketRole::client || apply_mask(bytes, size, head_.key, 0);
    const std::string_view data = size == 0 ? std::string_view() : std::string_view(bytes, size);
    if (check_text(data, has_high_bytes, true)) {
        has_head_ = in_message_ = false;
        deliver(data);
    }
    return size;
}

PORTHOLE_FN std::size_t WebSocketSession::take_control(char* bytes, std::size_t size) {
    if (head_.is_masked) {
        apply_mask(bytes, size, head_.key, taken_);
    }
    taken_ += size;
    const bool is_whole = size == head_.payload_size;
    if (!is_whole) {
        control_.append(bytes, size);
    }
    if (taken_ == head_.payload_size) {
        has_head_ = false;
        const std::string_view whole =
            is_whole && size != 0 ? std::string_view(bytes, size) : std::string_view(control_);
        handle_control(head_.opcode, whole);
        control_.clear();
    }
    return size;
}

/// A piece of a message that has to be collected.
PORTHOLE_FN std::size_t WebSocketSession::take_piece(char* bytes, std::size_t size) {
    std::size_t here = size;
    if (is_compressed_ && phase_ == Phase::open) {
        here = (std::min)(size, expand_slice);
    }
    const bool has_high_bytes = !head_.is_masked || apply_mask(bytes, here, head_.key, taken_);
    taken_ += here;
    const bool is_frame_end = taken_ == head_.payload_size;
    if (phase_ == Phase::open
        && !add_piece({here == 0 ? "" : bytes, here}, has_high_bytes, is_frame_end)) {
        return size;
    }
    if (is_frame_end) {
        end_frame();
    }
    return here;
}

/// False when it has failed the connection.
PORTHOLE_FN bool
WebSocketSession::add_piece(std::string_view piece, bool has_high_bytes, bool is_frame_end) {
    const bool is_message_end = is_frame_end && head_.is_final;
    if (is_compressed_) {
        return expand_piece(piece, is_message_end);
    }
    if (!check_text(piece, has_high_bytes, is_message_end)) {
        return false;
    }
    return collect(piece);
}

PORTHOLE_FN std::size_t WebSocketSession::collected_bytes() const noexcept {
    return is_compressed_ ? message_.size() : collected_ ? collected_->size() : 0;
}

PORTHOLE_FN bool WebSocketSession::collect(std::string_view piece) {
    if (piece.empty()) {
        return true;
    }
    const bool is_in_place = collected_ && collected_->size() < collected_->capacity()
                             && piece.data() == collected_->data() + collected_->size();
    if (!is_in_place) {
        char* const room = room_for(piece.size());
        if (room == nullptr) {
            fail(close_code::too_large, "A message is too large.");
            return false;
        }
        std::copy(piece.begin(), piece.end(), room);
    }
    collected_->commit(piece.size());
    return true;
}

/// It grows by doubling, up to what the message will be if its first head has said so: a length
/// that is only announced costs nothing.
PORTHOLE_FN char* WebSocketSession::room_for(std::size_t size) {
    const bool is_only_frame = head_.is_final && frames_ == 1;
    const std::size_t most =
        is_only_frame ? static_cast<std::size_t>(head_.payload_size) : options_.max_message_bytes;
    const bool is_reusable = collected_
                             && (!collected_->is_empty() || collected_->capacity() >= most
                                 || collected_->max_bytes() == most);
    if (!is_reusable) {
        collected_ = std::make_shared<Buffer>(most);
    }
    return collected_->prepare(size);
}

PORTHOLE_FN char* WebSocketSession::place_for_input(std::size_t size) {
    const bool is_collecting = phase_ == Phase::open && has_head_ && !is_control(head_.opcode)
                               && !is_compressed_ && held_.empty() && !is_user_paused_
                               && !is_in_receive_;
    return is_collecting && head_.payload_size - taken_ >= size ? room_for(size) : nullptr;
}

PORTHOLE_FN bool WebSocketSession::expand_piece(std::string_view piece, bool is_last) {
    const std::size_t before = message_.size();
    switch (codec_->expand(piece, is_last, options_.max_message_bytes, message_)) {
    case InflateStatus::ok: break;
    case InflateStatus::too_large:
        fail(close_code::too_large, "A message is too large once it is expanded.");
        return false;
    case InflateStatus::corrupt:
        fail(close_code::invalid_data, "A compressed message cannot be expanded.");
        return false;
    case InflateStatus::no_memory:
        fail(close_code::internal_failure, "There is no memory to expand a message.");
        return false;
    }
    const std::size_t grown = message_.size() - before;
    expansion_left_ -= (std::min)(expansion_left_, grown);
    if (grown >= large_step && !link_->has_time()) {
        expansion_left_ = 0;
    }
    return check_text(std::string_view(message_).substr(before), true, is_last);
}

/// RFC 6455 section 8.1, at the first byte that no text can have.
PORTHOLE_FN bool
WebSocketSession::check_text(std::string_view piece, bool has_high_bytes, bool is_message_end) {
    if (!is_text_) {
        return true;
    }
    const bool is_ascii = !has_high_bytes && utf8_.is_complete();
    const bool is_valid = is_ascii || utf8_.feed(piece);
    if (!is_valid || (is_message_end && !utf8_.is_complete())) {
        fail(close_code::invalid_data, "A text message is not UTF-8.");
        return false;
    }
    return true;
}

PORTHOLE_FN void WebSocketSession::end_frame() {
    has_head_ = false;
    if (!head_.is_final) {
        return;
    }
    in_message_ = false;
    if (phase_ != Phase::open) {
        return;
    }
    if (!is_compressed_) {
        // It may be sent back in the memory that it is in: then the next one gets a new one.
        const std::shared_ptr<const Buffer> whole = collected_;
        is_showing_collected_ = true;
        deliver(whole ? whole->view() : std::string_view());
        is_showing_collected_ = false;
        note_memory(whole ? whole->capacity() : 0);
        return;
    }
    // In a string of its own: what it calls may end the session's use of message_.
    std::string whole = std::move(message_);
    message_.clear();
    deliver(whole);
    if (is_receiving()) {
        whole.clear();
        message_ = std::move(whole);
        note_memory(message_.capacity());
    }
}

PORTHOLE_FN void WebSocketSession::deliver(std::string_view data) {
    --messages_left_;
    const Message message{data, is_text_};
    events_.handle_message(message);
    if (link_ != nullptr && messages_left_ != 0 && !link_->has_time()) {
        messages_left_ = 0; // the rest waits for the next turn
    }
}

PORTHOLE_FN void WebSocketSession::handle_control(Opcode opcode, std::string_view payload) {
    switch (opcode) {
    case Opcode::ping:
        --messages_left_;
        if (phase_ == Phase::open) {
            send_control(Opcode::pong, payload);
        }
        break;
    case Opcode::pong:
        --messages_left_;
        if (phase_ == Phase::open) {
            events_.handle_pong(payload);
        }
        break;
    case Opcode::close: handle_close(payload); break;
    case Opcode::continuation:
    case Opcode::text:
    case Opcode::binary: break;
    }
}

/// RFC 6455 section 5.5.1: answered by the same code, unless ours was first.
PORTHOLE_FN void WebSocketSession::handle_close(std::string_view payload) {
    constexpr std::size_t code_size = 2;
    if (payload.size() == 1) {
        fail(close_code::protocol_violation, "A Close frame has half a code.");
        return;
    }
    int code = close_code::no_code;
    std::string_view reason;
    if (!payload.empty()) {
        code =
            static_cast<unsigned char>(payload[0]) * 256 + static_cast<unsigned char>(payload[1]);
        reason = payload.substr(code_size);
        if (!is_sendable_close_code(code)) {
            fail(close_code::protocol_violation, "A Close frame has a code that is never sent.");
            return;
        }
        if (!is_utf8(reason)) {
            fail(close_code::invalid_data, "The reason in a Close frame is not UTF-8.");
            return;
        }
    }
    end_with(code, reason);
    if (phase_ == Phase::open) {
        send_close_frame(code, {});
    }
    finish();
}

/// The peer sends no more, and has not said that it would not.
PORTHOLE_FN void WebSocketSession::on_end() {
    has_ended_ = true;
    if (!is_receiving() || !held_.empty()) {
        return;
    }
    finish();
}

PORTHOLE_FN void WebSocketSession::on_close() noexcept {
    phase_ = Phase::closed;
    link_ = nullptr;
    if (!is_in_receive_) { // a message may be looked at still
        std::string().swap(message_);
        std::string().swap(held_);
        collected_.reset();
    }
    outbox_.reset();
    codec_ = is_in_receive_ ? std::move(codec_) : nullptr;
}

} // namespace detail

PORTHOLE_NAMESPACE_END
