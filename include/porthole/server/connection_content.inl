// SPDX-License-Identifier: MIT
#pragma once

// A request's content: collected for a handler, or given to a sink piece by piece, which may pause
// it, refuse the rest, or have the answer leave before it has ended.

#include "porthole/server/connection.hpp"
#include "porthole/server/core.hpp"
#include "porthole/server/reply_state.hpp"

#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN std::size_t Connection::begin_content(std::string_view rest) {
    Exchange& x = *exchange_;
    phase_ = Phase::content;
    phase_began_ = core_.now();
    received_ = 0;
    x.content_left = x.parser.head().framing.length;
    if (!x.intake) {
        // Once, instead of growing in the middle of a frame; pages that never come cost nothing.
        constexpr std::uint64_t most = 16 * 1024 * 1024;
        x.content.reserve(static_cast<std::size_t>(x.content_left < most ? x.content_left : most));
    }
    if (x.parser.head().expects_continue && rest.empty()) {
        // RFC 9110 section 10.1.1: only while the client may still be waiting for it.
        if (!core_.out().append("HTTP/1.1 100 Continue\r\n\r\n")) {
            close_now();
        }
    }
    return 0;
}

PORTHOLE_FN std::size_t Connection::take_content(std::string_view bytes) {
    Exchange& x = *exchange_;
    if (x.parser.head().framing.kind == Framing::Kind::chunked) {
        return take_chunked(bytes);
    }
    const std::uint64_t here = bytes.size();
    const auto size = static_cast<std::size_t>(here < x.content_left ? here : x.content_left);
    std::size_t taken = 0;
    if (!add_content(bytes.substr(0, size), taken)) {
        return bytes.size();
    }
    x.content_left -= taken;
    if (x.content_left == 0) {
        end_content();
    } else {
        needs_more_ = taken == bytes.size();
    }
    return taken;
}

PORTHOLE_FN std::size_t Connection::take_chunked(std::string_view bytes) {
    Exchange& x = *exchange_;
    std::size_t used = 0;
    for (;;) {
        std::size_t consumed = 0;
        std::string_view piece;
        const ParseStatus status = x.chunked.decode(bytes.substr(used), consumed, piece);
        used += consumed;
        if (!piece.empty()) {
            std::size_t taken = 0;
            if (!add_content(piece, taken)) {
                return bytes.size();
            }
            x.chunked.put_back(piece.size() - taken);
            used -= piece.size() - taken;
        }
        if (status == ParseStatus::failed) {
            refuse(x.chunked.fault());
            return bytes.size();
        }
        if (status == ParseStatus::complete) {
            x.request.trailer = &x.chunked.trailer();
            end_content();
            return used;
        }
        if (used == bytes.size()) {
            needs_more_ = true;
            return used;
        }
        if (is_content_paused() || (x.intake && core_.is_out_of_time())) {
            return used; // each piece is a unit of the budget for the sink
        }
    }
}

/// False when it was too much and has been refused. What was not `taken` is to come again.
PORTHOLE_FN bool Connection::add_content(std::string_view piece, std::size_t& taken) {
    Exchange& x = *exchange_;
    if (x.intake) {
        return give_content(piece, taken);
    }
    taken = piece.size();
    if (piece.size() > x.max_content - x.content.size()) {
        refuse(RequestFault::content_too_large);
        return false;
    }
    x.content.append(piece);
    received_ += piece.size();
    return true;
}

/// To whoever takes the content as it comes. False when it goes no further.
PORTHOLE_FN bool Connection::give_content(std::string_view piece, std::size_t& taken) {
    Exchange& x = *exchange_;
    if (piece.size() > x.max_content - x.content_taken) {
        refuse(RequestFault::content_too_large);
        return false;
    }
    const int status = x.response.status;
    if (!core_.give(x, piece, taken)) {
        fail_content(status);
        return false;
    }
    x.content_taken += taken;
    received_ += taken;
    if (x.intake->refusal != 0) {
        refuse_rest();
        return false;
    }
    return true;
}

/// Its sink threw. `status` was the answer's before, which can only be broken off once it has
/// begun.
PORTHOLE_FN void Connection::fail_content(int status) {
    Exchange& x = *exchange_;
    x.is_content_ending = false;
    if (phase_ == Phase::sending) {
        x.response.status = status; // what the access log is to show
        close_now();
    } else if (phase_ != Phase::closed) {
        core_.finish_response(x);
    }
    if (phase_ != Phase::closed) {
        x.is_content_unread = true;
        send_answer();
    }
}

/// True while the content of the request is coming in, be it behind the begin of its answer.
PORTHOLE_FN bool Connection::takes_content() const noexcept {
    return phase_ == Phase::content || (phase_ == Phase::sending && exchange_ && exchange_->intake);
}

PORTHOLE_FN bool Connection::is_content_paused() const noexcept {
    return exchange_ && exchange_->intake
           && (exchange_->intake->is_paused || exchange_->is_content_ending);
}

/// One unit of what the sink does behind the last byte. True when on_end() may be called.
PORTHOLE_FN bool Connection::conclude_content() {
    Exchange& x = *exchange_;
    if (!x.intake) {
        return true;
    }
    const int status = x.response.status;
    bool is_done = true;
    if (!core_.conclude(x, is_done)) {
        fail_content(status);
        return false;
    }
    x.is_content_ending = !is_done;
    if (!is_done) {
        core_.count_work();
        core_.make_ready(*this);
    }
    return is_done;
}

PORTHOLE_FN void Connection::end_content() {
    Exchange& x = *exchange_;
    if (!conclude_content()) {
        return;
    }
    if (phase_ == Phase::sending) {
        const int status = x.response.status;
        core_.end_content(x);
        x.response.status = status; // has been sent, whatever on_end() did
        return;
    }
    x.request.body = x.content;
    answer();
}

/// The sink takes no more of it.
PORTHOLE_FN void Connection::refuse_rest() {
    Exchange& x = *exchange_;
    if (phase_ != Phase::content) {
        close_now(); // its answer has begun
        return;
    }
    core_.answer_refusal(x);
    if (phase_ != Phase::closed) {
        send_answer();
    }
}

PORTHOLE_FN void Connection::abort_intake() noexcept {
    if (exchange_ && exchange_->intake) {
        exchange_->intake->abort();
    }
}

PORTHOLE_FN void Connection::resume_content() {
    if (takes_content()) {
        phase_began_ = core_.now();
        received_ = 0;
        core_.make_ready(*this);
    }
}

PORTHOLE_FN Reply Connection::defer_content() {
    Exchange& x = *exchange_;
    const bool is_possible = !x.response.is_deferred && phase_ != Phase::sending;
    PORTHOLE_ASSERT(is_possible, "defer() is called once");
    return is_possible ? Reply(std::make_shared<ReplyOwner>(core_.defer(x))) : Reply();
}

} // namespace detail

PORTHOLE_NAMESPACE_END
