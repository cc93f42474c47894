// SPDX-License-Identifier: MIT
#pragma once

// What an application server sends: the head, which becomes the head of the answer; the content,
// which is read when the client has room for it; and what goes to the log.

#include "porthole/ext/fastcgi_gate.hpp"
#include "porthole/ext/fastcgi_request.hpp"
#include "porthole/http/status.hpp"

#include <algorithm>
#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// False when nothing has come. What came before has been taken.
PORTHOLE_FN bool FastCgiRequest::receive() {
    constexpr std::size_t piece = 32 * 1024;
    if (peer_has_ended_) {
        return true;
    }
    input_.resize(piece);
    const IoResult result = socket_.receive(&input_[0], piece);
    input_.resize(result.bytes);
    input_taken_ = 0;
    if (result.status == IoStatus::would_block) {
        return false;
    }
    is_active_ = true;
    if (result.status == IoStatus::ok) {
        has_received_ = true;
        return true;
    }
    peer_has_ended_ = true;
    if (result.status == IoStatus::failed) {
        fault_ = "the connection broke: " + system_text(result.system_code);
    }
    return true;
}

PORTHOLE_FN FastCgiRequest::News FastCgiRequest::next(std::size_t most, std::string_view& piece) {
    using Event = FastCgiReader::Event;
    for (;;) {
        const std::string_view rest = std::string_view(input_).substr(input_taken_);
        if (output_has_ended_) {
            return News::end;
        }
        if (rest.empty() && !peer_has_ended_) {
            return News::nothing;
        }
        if (rest.empty()) {
            if (gate_->is_scgi() && fault_.empty()) {
                output_has_ended_ = true;
                return News::end;
            }
            if (fault_.empty()) {
                fault_ = "it closed the connection before the end of its answer";
            }
            return News::broken;
        }
        if (gate_->is_scgi()) {
            piece = rest.substr(0, most);
            input_taken_ += piece.size();
            return News::output;
        }
        const FastCgiReader::Result result = reader_.read(rest, most);
        input_taken_ += result.consumed;
        switch (result.event) {
        case Event::need_more: break;
        case Event::output: piece = result.piece; return News::output;
        case Event::errors:
            lines_.add(result.piece, [this](std::string_view line) {
                log(LogLevel::warning, LogId::program_wrote, line);
            });
            break;
        case Event::end: return after_end();
        case Event::failed: fault_ = describe(reader_.fault()); return News::broken;
        }
    }
}

PORTHOLE_FN FastCgiRequest::News FastCgiRequest::after_end() {
    output_has_ended_ = true;
    switch (reader_.outcome()) {
    case FastCgiOutcome::complete:
        if (reader_.app_status() != 0) {
            log(LogLevel::warning, LogId::program_failed,
                "the application ended with code " + std::to_string(reader_.app_status()));
        }
        return News::end;
    case FastCgiOutcome::cannot_multiplex: fault_ = "it takes no more on this connection"; break;
    case FastCgiOutcome::overloaded: fault_ = "it is overloaded"; break;
    case FastCgiOutcome::unknown_role: fault_ = "it is no responder"; break;
    case FastCgiOutcome::other: fault_ = "it ended the request for no known reason"; break;
    }
    return News::broken;
}

PORTHOLE_FN void FastCgiRequest::fail_exchange() {
    constexpr int bad_gateway = 502;
    constexpr int unavailable = 503;
    const bool is_overloaded = output_has_ended_ && reader_.outcome() == FastCgiOutcome::overloaded;
    give_up(is_overloaded ? unavailable : bad_gateway, std::exchange(fault_, std::string()));
}

PORTHOLE_FN void FastCgiRequest::on_head_input() {
    constexpr std::size_t most = 64 * 1024;
    if (!receive()) {
        return;
    }
    while (stage_ == Stage::head || stage_ == Stage::peek) {
        std::string_view piece;
        switch (next(most, piece)) {
        case News::nothing: return;
        case News::output: take_output(piece); break;
        case News::end: take_head(); return;
        case News::broken:
            if (is_stale()) {
                begin_again();
            } else {
                fail_exchange();
            }
            return;
        }
    }
}

PORTHOLE_FN void FastCgiRequest::take_output(std::string_view piece) {
    (stage_ == Stage::head ? head_ : rest_).append(piece);
    take_head();
}

PORTHOLE_FN void FastCgiRequest::take_head() {
    using State = CgiHeadParser::State;
    if (stage_ == Stage::head) {
        const State state = output_has_ended_ ? parser_.finish(head_) : parser_.parse(head_);
        if (state == State::failed) {
            fail_head(parser_.fault());
        }
        if (state != State::complete) {
            return;
        }
        if (parser_.head().refused_fields != 0) {
            log(LogLevel::warning, LogId::field_refused,
                "a field of its head was dropped: it has control characters, or is the server's");
        }
        rest_ = head_.substr(parser_.head_size());
        stage_ = Stage::peek;
    }
    const CgiHead& head = parser_.head();
    const bool is_typed = !head.content_type.empty();
    const bool has_content = !rest_.empty();
    if (is_typed || has_content || output_has_ended_ || order_.is_head
        || head.answer == CgiAnswer::local_redirect || !status_has_content(head.status)) {
        answer(is_typed || has_content);
    }
}

PORTHOLE_FN void FastCgiRequest::answer(bool has_content) {
    const CgiHead& head = parser_.head();
    Reply reply = std::exchange(reply_, Reply());
    if (head.answer == CgiAnswer::local_redirect) {
        reply.rewrite(head.location);
        complete();
        return;
    }
    reply.status(head.status);
    for (const CgiField& field : head.fields) {
        reply.add_header(field.name, field.value);
    }
    if (!head.location.empty()) {
        reply.header("Location", head.location);
    }
    if (!has_content || !status_has_content(head.status)) {
        if (!head.content_type.empty()) {
            reply.header("Content-Type", head.content_type);
        }
        reply.finish();
        complete();
        return;
    }
    const std::string_view type =
        head.content_type.empty() ? "application/octet-stream" : head.content_type;
    stage_ = Stage::content;
    promised_ = head.content_length;
    update_watch();
    reply.send(type, std::make_unique<FastCgiSource>(shared_from_this(), promised_));
    std::string().swap(head_);
}

/// Its own words are of help to whoever wrote it, so the log gets some of them.
PORTHOLE_FN void FastCgiRequest::fail_head(CgiFault fault) {
    constexpr std::size_t most = 80;
    std::string text(describe(fault));
    const std::string_view line = parser_.bad_line(head_);
    if (!line.empty()) {
        text += ": \"";
        escape_for_log(line.substr(0, most), text);
        text += line.size() > most ? "...\"" : "\"";
    }
    give_up(502, text);
}

/// So much fits and was promised.
PORTHOLE_FN std::size_t FastCgiRequest::bounded(std::size_t capacity) const noexcept {
    if (!promised_) {
        return capacity;
    }
    const std::uint64_t left = *promised_ - given_;
    return left < capacity ? static_cast<std::size_t>(left) : capacity;
}

PORTHOLE_FN BodySource::Piece FastCgiRequest::pull(char* into, std::size_t capacity) {
    using State = BodySource::State;
    const std::shared_ptr<FastCgiRequest> self = shared_from_this();
    source_waits_ = false;
    const std::size_t most = bounded(capacity);
    std::size_t size = 0;
    if (most == 0) {
        return {State::end, 0};
    }
    if (rest_taken_ < rest_.size()) {
        size = rest_.copy(into, most, rest_taken_);
        rest_taken_ += size;
        given_ += size;
        return {State::more, size};
    }
    if (!rest_.empty()) {
        std::string().swap(rest_); // assigning would keep the memory
        rest_taken_ = 0;
    }
    for (bool may_receive = true; !is_broken_ && stage_ == Stage::content;) {
        std::string_view piece;
        switch (next(most, piece)) {
        case News::output:
            size = piece.copy(into, most);
            given_ += size;
            return {State::more, size};
        case News::end:
            source_has_ended_ = true;
            if (promised_) {
                log(LogLevel::warning, LogId::program_failed,
                    "it sent less than its Content-Length; the answer is broken off");
            }
            return {State::end, 0};
        case News::broken: fail_exchange(); break;
        case News::nothing:
            if (!may_receive || !receive()) {
                source_waits_ = true;
                update_watch();
                return {State::wait, 0};
            }
            may_receive = false;
            break;
        }
    }
    return {State::failed, 0};
}

PORTHOLE_FN void FastCgiRequest::on_source_gone() {
    waker_ = nullptr;
    source_waits_ = false;
    if (stage_ != Stage::content) {
        return;
    }
    if (source_has_ended_ || order_.is_head || (promised_ && given_ == *promised_)) {
        complete();
    } else {
        abandon(); // the client has gone
    }
}

/// Nothing that belongs to this request is under way in either direction.
PORTHOLE_FN bool FastCgiRequest::is_reusable() const noexcept {
    return gate_->settings().keeps_connections && output_has_ended_ && !peer_has_ended_
           && input_taken_ == input_.size() && input_is_closed_ && !has_more_to_send()
           && !drops_input_ && fault_.empty();
}

/// The client has got all of the answer. What follows of the exchange is awaited for a little: the
/// application may still be at work, and the connection may be of further use.
PORTHOLE_FN void FastCgiRequest::complete() {
    const bool has_sent_all = content_has_ended_ && !has_more_to_send() && !drops_input_;
    if (output_has_ended_ || !has_sent_all || peer_has_ended_) {
        end_connection(is_reusable());
        return;
    }
    stage_ = Stage::ending;
    update_watch();
    drain();
}

PORTHOLE_FN void FastCgiRequest::on_ending_input() {
    if (receive()) {
        drain();
    }
}

PORTHOLE_FN void FastCgiRequest::drain() {
    constexpr std::size_t most = 256 * 1024;
    while (stage_ == Stage::ending) {
        std::string_view piece;
        switch (next(most, piece)) {
        case News::nothing: return;
        case News::output:
            ending_bytes_ += piece.size();
            if (promised_ && given_ == *promised_) {
                log(LogLevel::warning, LogId::program_failed,
                    "it sent more than its Content-Length; the rest is dropped");
                end_connection(false);
            } else if (ending_bytes_ > most) {
                end_connection(false);
            }
            break;
        case News::end:
        case News::broken: end_connection(is_reusable()); break;
        }
    }
}

PORTHOLE_FN FastCgiSource::~FastCgiSource() {
    PORTHOLE_TRY {
        request_->on_source_gone();
    }
    PORTHOLE_CATCH_ALL {} // no memory for a log line; the beat goes on with it
}

} // namespace detail

PORTHOLE_NAMESPACE_END
