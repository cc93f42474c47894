// SPDX-License-Identifier: MIT
#pragma once

// The output side of a connection. Answers of one turn gather in the core's buffer and leave with
// one system call; only what the peer does not take becomes the connection's own. While anything is
// left to send, nothing is read: that is the back-pressure.

#include "porthole/server/connection.hpp"
#include "porthole/server/core.hpp"
#include "porthole/server/reply_state.hpp"

#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN bool Connection::has_output() const noexcept {
    return !out_.is_empty() || !core_.out().is_empty() || !body_left_.empty() || file_is_blocked_;
}

PORTHOLE_FN void Connection::send_answer() {
    // Up to here a copy costs no more than a second piece in a gathered write.
    constexpr std::size_t max_copied_body = 16 * 1024;
    Exchange& x = *exchange_;
    const RequestHead& head = x.parser.head();
    AnswerContext context;
    context.is_head = head.method == Method::head; // known even if the rest cannot be read
    context.minor_version = x.has_request ? head.minor_version : 1;
    if (phase_ == Phase::content && x.intake) {
        x.is_content_unread = true; // it may come to its end meanwhile, but who knows
    }
    context.keep_alive = x.has_request && head.keep_alive && !is_draining_ && !x.is_content_unread
                         && requests_ < core_.limits().max_requests_per_connection;
    context.defaults = &core_.default_fields();
    AnswerPlan plan;
    const bool has_earlier_output = has_output();
    if (!write_head(x.response, context, core_.out(), plan)) {
        core_.note_failure("An answer's fields do not fit the output buffer.", peer_);
        close_now();
        return;
    }
    core_.count_response();
    keep_alive_ = plan.keep_alive;
    has_answer_ = true;
    phase_ = Phase::sending;
    if (x.response.upgrade) {
        begin_upgrade();
        return;
    }
    std::string& body = x.response.body;
    const bool has_source = plan.sends_content && x.response.source;
    const bool has_large_body = plan.sends_content && body.size() > max_copied_body;
    if (core_.has_access_log() && (!keep_alive_ || has_source || has_large_body)) {
        keep_head(); // the log is written when the last byte has left
        if (phase_ == Phase::closed) {
            return;
        }
    }
    if (has_source) {
        begin_source(plan, has_earlier_output);
        return;
    }
    x.content_sent = plan.sends_content ? body.size() : 0;
    if (has_large_body) {
        body_ = std::move(body);
        body_left_ = body_;
        return;
    }
    if (plan.sends_content && !core_.out().append(body)) {
        close_now();
        return;
    }
    if (keep_alive_) {
        finish_answer();
    }
}

PORTHOLE_FN void Connection::begin_source(const AnswerPlan& plan, bool has_earlier_output) {
    source_ = std::move(exchange_->response.source);
    if (const auto whole = source_->whole()) {
        exchange_->content_sent = whole->size();
        if (!whole->empty()) {
            body_left_ = *whole;
            body_owner_ = std::move(source_);
        }
        source_.reset();
        return;
    }
    source_is_chunked_ = plan.framing.kind == Framing::Kind::chunked;
    const bool is_sized = plan.framing.kind == Framing::Kind::length;
    source_left_ = is_sized ? plan.framing.length : UINT64_MAX;
    source_waits_ = false;
    source_waker_ = std::make_shared<Connection*>(this);
    source_->set_waker([waker = source_waker_] {
        if (Connection* connection = *waker) {
            connection->source_waits_ = false;
            connection->core_.make_ready(*connection);
        }
    });
    reads_files_ = !is_sized || !transport_->can_send_files();
    if (is_sized && source_left_ == 0) {
        end_source();
    } else if (is_sized && !has_earlier_output) {
        pull_from_source(); // so that the first piece leaves with the head
    }
}

/// Sends for as long as the peer takes it, up to a turn's share.
PORTHOLE_FN void Connection::send_output() {
    std::size_t left = core_.limits().max_write_bytes_per_turn;
    output_is_blocked_ = file_is_blocked_ = false;
    for (;;) {
        BodySource::FilePiece piece;
        std::uint64_t file_bytes = 0;
        if (source_ && !source_waits_ && !has_output()) {
            file_bytes = next_file_piece(piece);
            if (file_bytes == 0) {
                pull_from_source();
            }
            if (phase_ == Phase::closed) {
                return;
            }
        }
        if (file_bytes != 0) {
            left -= send_file_piece(
                piece, file_bytes < left ? static_cast<std::size_t>(file_bytes) : left);
        } else if (has_output()) {
            left -= write_some(left);
        } else {
            on_output_sent();
            if (phase_ == Phase::closed || !has_output()) {
                return;
            } // else on_drain() has sent more
        }
        if (phase_ == Phase::closed) {
            return;
        }
        if (output_is_blocked_) {
            break;
        }
        core_.read_clock();
        const bool has_rest = has_output() || (source_ && !source_waits_);
        if (has_rest && (left == 0 || core_.is_out_of_time())) {
            core_.make_ready(*this);
            break;
        }
    }
    keep_unsent();
}

/// One gathered write of at most `most` bytes. Short means that the peer's window is full, which
/// saves the call that would only say so.
PORTHOLE_FN std::size_t Connection::write_some(std::size_t most) {
    std::string_view slices[max_slices];
    std::size_t count = 0;
    std::size_t total = 0;
    const std::string_view parts[] = {out_.view(), core_.out().view(), body_left_};
    for (const std::string_view part : parts) {
        const std::string_view slice = part.substr(0, most - total);
        if (!slice.empty()) {
            slices[count++] = slice;
            total += slice.size();
        }
    }
    const IoResult result = transport_->write(slices, count);
    if (result.status == IoStatus::would_block) {
        output_is_blocked_ = true;
        return 0;
    }
    if (result.status != IoStatus::ok) {
        close_now();
        return 0;
    }
    core_.count_out(result.bytes);
    output_moved_ = true;
    blocked_bytes_ += result.bytes;
    output_is_blocked_ = result.bytes < total;
    std::size_t taken = result.bytes;
    for (Buffer* buffer : {&out_, &core_.out()}) {
        const std::size_t here = taken < buffer->size() ? taken : buffer->size();
        buffer->consume(here);
        taken -= here;
    }
    body_left_.remove_prefix(taken);
    if (taken != 0 && body_left_.empty()) {
        std::string().swap(body_); // assigning would keep the memory
        body_owner_.reset();
        body_share_.reset();
    }
    return result.bytes;
}

PORTHOLE_FN void Connection::send_last() noexcept {
    if (phase_ == Phase::closed || !has_output()) {
        return;
    }
    const std::string_view slices[] = {out_.view(), body_left_};
    static_cast<void>(transport_->write(slices, 2)); // nothing is left to do when it fails
}

/// How many of the source's next bytes the transport may take straight from a file.
PORTHOLE_FN std::uint64_t Connection::next_file_piece(BodySource::FilePiece& piece) {
    constexpr std::uint64_t least = 16 * 1024; // below it reading is no dearer
    if (reads_files_ || source_left_ < least) {
        return 0;
    }
    const std::uint64_t bytes = source_->file_piece(piece);
    if (phase_ == Phase::closed || bytes < least) {
        return 0;
    }
    return bytes < source_left_ ? bytes : source_left_;
}

/// At most `most` bytes of a file, which pass no buffer of ours: a slow peer then costs no memory.
PORTHOLE_FN std::size_t
Connection::send_file_piece(const BodySource::FilePiece& piece, std::size_t most) {
    const IoResult result = transport_->send_file(piece.handle, piece.offset, most);
    switch (result.status) {
    case IoStatus::ok: break;
    case IoStatus::would_block: output_is_blocked_ = file_is_blocked_ = true; return 0;
    case IoStatus::end:
        core_.note_failure("The content of an answer ended too early.", peer_);
        close_now();
        return 0;
    case IoStatus::failed:
        reads_files_ = true;
        if (result.system_code != 0) {
            close_now();
        }
        return 0;
    }
    core_.count_out(result.bytes);
    output_moved_ = true;
    blocked_bytes_ += result.bytes;
    exchange_->content_sent += result.bytes;
    source_left_ -= result.bytes;
    source_->skip(result.bytes);
    if (source_left_ == 0) {
        end_source();
    }
    return result.bytes;
}

/// What the peer has not taken becomes the connection's own.
PORTHOLE_FN void Connection::keep_unsent() {
    if (!out_.append(core_.out().view())) {
        core_.note_failure("An answer does not fit the output queue.", peer_);
        close_now();
    }
    core_.out().clear();
}

PORTHOLE_FN void Connection::pull_from_source() {
    source_waits_ = true; // before it is asked: its waker may be called while it answers
    const BodySource::State state =
        source_is_chunked_ ? pull_chunk(core_.out()) : pull_plain(core_.out());
    if (phase_ == Phase::closed) {
        core_.out().clear(); // it has destroyed the server: nobody is left to send to
        return;
    }
    source_waits_ = source_waits_ && state == BodySource::State::wait;
    switch (state) {
    case BodySource::State::more:
        if (!has_output()) {
            core_.make_ready(*this); // nothing, and yet not waiting: asked again next turn
        }
        break;
    case BodySource::State::wait: break;
    case BodySource::State::end: end_source(); break;
    case BodySource::State::failed:
        core_.note_failure("The content of an answer ended too early.", peer_);
        close_now();
        break;
    }
}

/// Content of known size, or until the connection ends.
PORTHOLE_FN BodySource::State Connection::pull_plain(Buffer& out) {
    constexpr std::uint64_t most = ServerCore::max_piece_bytes;
    const auto capacity = static_cast<std::size_t>(source_left_ < most ? source_left_ : most);
    char* into = out.prepare(capacity);
    if (into == nullptr) {
        return BodySource::State::failed;
    }
    const BodySource::Piece piece = source_->pull(into, capacity);
    PORTHOLE_ASSERT(piece.bytes <= capacity, "BodySource::pull() must not write past its capacity");
    const std::size_t size = piece.bytes < capacity ? piece.bytes : capacity;
    out.commit(size);
    const bool is_sized = source_left_ != UINT64_MAX;
    source_left_ -= is_sized ? size : 0;
    exchange_->content_sent += size;
    if (is_sized && source_left_ == 0) {
        return BodySource::State::end;
    }
    const bool is_short = is_sized && piece.state == BodySource::State::end;
    return is_short ? BodySource::State::failed : piece.state;
}

/// The chunk's head is written right before its bytes once their number is known.
PORTHOLE_FN BodySource::State Connection::pull_chunk(Buffer& out) {
    constexpr std::size_t capacity = ServerCore::max_piece_bytes;
    char* into = out.prepare(
        max_chunk_head_size + capacity + chunk_end.size() + last_chunk_begin.size()
        + chunk_end.size());
    if (into == nullptr) {
        return BodySource::State::failed;
    }
    const BodySource::Piece piece = source_->pull(into + max_chunk_head_size, capacity);
    PORTHOLE_ASSERT(piece.bytes <= capacity, "BodySource::pull() must not write past its capacity");
    const std::size_t size = piece.bytes < capacity ? piece.bytes : capacity;
    if (size == 0 || piece.state == BodySource::State::failed) {
        return piece.state; // an empty chunk would end the body
    }
    exchange_->content_sent += size;
    char head[max_chunk_head_size];
    const std::size_t head_size = write_chunk_head(head, size);
    const std::size_t gap = max_chunk_head_size - head_size;
    for (std::size_t i = 0; i < head_size; ++i) {
        into[gap + i] = head[i];
    }
    out.commit(max_chunk_head_size + size);
    out.consume(gap);
    return out.append(chunk_end) ? piece.state : BodySource::State::failed;
}

PORTHOLE_FN void Connection::end_source() {
    if (source_is_chunked_) {
        const std::string_view trailer = source_->trailer();
        Buffer& out = core_.out();
        if (!out.append(last_chunk_begin) || !out.append(trailer) || !out.append(chunk_end)) {
            close_now();
        }
    }
    if (source_waker_) {
        *source_waker_ = nullptr;
        source_waker_.reset();
    }
    source_.reset();
}

PORTHOLE_FN void Connection::on_output_sent() {
    constexpr std::size_t kept_by_upgraded = 4 * 1024; // they send often, and little
    if (phase_ != Phase::upgraded || out_.capacity() > kept_by_upgraded) {
        out_.release();
    }
    switch (phase_) {
    case Phase::sending:
        if (source_) {
            break; // it waits
        }
        if (keep_alive_) {
            finish_answer();
        } else {
            begin_linger();
        }
        break;
    case Phase::upgraded:
        if (close_when_sent_) {
            begin_linger();
        } else if (output_moved_) {
            call_owner([](Upgrade& owner) { owner.on_drain(); });
        }
        break;
    case Phase::head:
    case Phase::content:
        phase_began_ = core_.now(); // while the answers left, nothing was read
        received_ = 0;
        break;
    case Phase::deferred:
    case Phase::lingering:
    case Phase::closed: break;
    }
}

/// The next request may come.
PORTHOLE_FN void Connection::finish_answer() {
    note_access(true);
    core_.release_exchange(std::move(exchange_)); // a source that was not needed tells the program
    if (phase_ == Phase::closed) {
        return;
    }
    phase_ = Phase::head;
    phase_began_ = core_.now();
    needs_more_ = false;
}

/// RFC 9112 section 9.6: a close with unread input resets the connection, and the reset may
/// overtake the answer. So the sending side is shut, and what still comes is read for a while.
PORTHOLE_FN void Connection::begin_linger() {
    if (const std::shared_ptr<Upgrade> owner = std::move(upgrade_)) {
        upgrade_.reset();
        owner->on_close();
    }
    if (phase_ == Phase::closed) {
        return;
    }
    abort_intake();
    if (phase_ == Phase::closed) {
        return;
    }
    if (exchange_) {
        note_access(true);
        core_.release_exchange(std::move(exchange_));
    }
    if (phase_ == Phase::closed) {
        return;
    }
    transport_->shut_write();
    phase_ = Phase::lingering;
    phase_began_ = core_.now();
    received_ = 0;
    in_.release();
    out_.release();
}

PORTHOLE_FN void Connection::note_access(bool is_complete) {
    has_answer_ = false;
    core_.note_access(*exchange_, is_complete);
}

PORTHOLE_FN void Connection::report_peer_gone() noexcept {
    if (exchange_ && exchange_->reply) {
        exchange_->reply->peer_gone.store(true);
    }
    if (phase_ == Phase::sending && source_waits_ && !takes_content()) {
        close_now(); // nobody waits for what the source may have some day
        return;
    }
    if (peer_ended_ && (phase_ == Phase::deferred || is_content_paused())) {
        stop_watching(); // reported again although it is masked: both directions are closed
    }
    peer_ended_ = true;
}

PORTHOLE_FN std::shared_ptr<ReplyState> Connection::defer(Exchange& exchange) {
    return core_.defer(exchange);
}

PORTHOLE_FN void Connection::note_dropped_reply() {
    core_.log(
        LogLevel::warning, LogId::reply_dropped,
        "The last copy of a Reply went away unanswered; the answer is 500.", peer_);
}

PORTHOLE_FN void Connection::note_second_reply() {
    core_.log(
        LogLevel::warning, LogId::reply_twice,
        "A Reply was finished a second time; only the first answer is sent.", peer_);
}

PORTHOLE_FN void Connection::complete(ReplyState& reply) {
    const bool is_early = phase_ == Phase::content; // its content is still coming
    if (phase_ != Phase::deferred && !is_early) {
        return;
    }
    Exchange& x = *exchange_;
    x.response = std::move(reply.parts);
    x.response.exchange = &x;
    x.response.is_deferred = false;
    x.reply.reset();
    output_moved_ = unwanted_input_ = false;
    PORTHOLE_TRY {
        core_.finish_response(x);
        if (phase_ != Phase::closed) {
            send_answer();
        }
        if (phase_ != Phase::closed) {
            send_output();
        }
    }
    PORTHOLE_CATCH_ALL {
        core_.note_failure("An allocation failed or a body source threw.", peer_);
        close_now();
    }
    finish_turn();
}

} // namespace detail

PORTHOLE_NAMESPACE_END
