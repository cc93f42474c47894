// SPDX-License-Identifier: MIT
#pragma once

// What an application server sends: the head, which becomes the head of the answer; the content,
// which is read when the client has room for it; and what goes to the log.

#include "porthole/ext/fastcgi_gate.hpp"
#include "porthole/ext/fastcgi_request.hpp"

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
            if (gate().is_scgi() && fault_.empty()) {
                output_has_ended_ = true;
                return News::end;
            }
            if (fault_.empty()) {
                fault_ = "it closed the connection before the end of its answer";
            }
            return News::broken;
        }
        if (gate().is_scgi()) {
            piece = rest.substr(0, most);
            input_taken_ += piece.size();
            return News::output;
        }
        const FastCgiReader::Result result = reader_.read(rest, most);
        input_taken_ += result.consumed;
        switch (result.event) {
        case Event::need_more: break;
        case Event::output: piece = result.piece; return News::output;
        case Event::errors: lines_.add(result.piece, line_sink()); break;
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

PORTHOLE_FN LogLines::Sink FastCgiRequest::line_sink() {
    return [this](std::string_view line) {
        log(LogLevel::warning, LogId::program_wrote, line);
    };
}

PORTHOLE_FN void FastCgiRequest::on_head_input() {
    constexpr std::size_t most = 64 * 1024;
    if (!receive()) {
        return;
    }
    while (stage_ == Stage::head) {
        std::string_view piece;
        switch (next(most, piece)) {
        case News::nothing: return;
        case News::output:
            answer_.incoming().append(piece);
            take_head();
            break;
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

PORTHOLE_FN void FastCgiRequest::take_head() {
    switch (answer_.look(output_has_ended_, *this)) {
    case CgiAnswering::State::head:
    case CgiAnswering::State::peek: break;
    case CgiAnswering::State::failed: give_up(502, answer_.describe_fault()); break;
    case CgiAnswering::State::whole: complete(); break;
    case CgiAnswering::State::content:
        stage_ = Stage::content;
        update_watch();
        answer_.send_content(shared_from_this());
        break;
    }
}

PORTHOLE_FN BodySource::Piece FastCgiRequest::pull(char* into, std::size_t capacity) {
    using State = BodySource::State;
    const std::shared_ptr<CgiTask> self = shared_from_this();
    source_waits_ = false;
    if (const std::size_t rest = answer_.take_rest(into, capacity)) {
        return {State::more, rest};
    }
    for (bool may_receive = true; !is_broken_ && stage_ == Stage::content;) {
        std::string_view piece;
        switch (next(capacity, piece)) {
        case News::output: return {State::more, piece.copy(into, capacity)};
        case News::end:
            if (answer_.promised_bytes()) {
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

PORTHOLE_FN void FastCgiRequest::on_source_gone(bool is_complete) {
    source_waits_ = false;
    if (stage_ != Stage::content) {
        return;
    }
    if (is_complete || order_.is_head) {
        has_given_all_ = is_complete;
        complete();
    } else {
        abandon(); // the client has gone
    }
}

/// Nothing that belongs to this request is under way in either direction.
PORTHOLE_FN bool FastCgiRequest::is_reusable() const noexcept {
    return gate().settings().keeps_connections && output_has_ended_ && !peer_has_ended_
           && input_taken_ == input_.size() && input_is_closed_ && !has_more_to_send()
           && !upload_.is_dropped() && fault_.empty();
}

/// The client has got all of the answer. What follows of the exchange is awaited for a little: the
/// application may still be at work, and the connection may be of further use.
PORTHOLE_FN void FastCgiRequest::complete() {
    const bool has_sent_all = upload_.has_ended() && !has_more_to_send() && !upload_.is_dropped();
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
            if (answer_.promised_bytes() && has_given_all_) {
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

} // namespace detail

PORTHOLE_NAMESPACE_END
