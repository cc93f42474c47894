// SPDX-License-Identifier: MIT
#pragma once

// What a program prints: its head, which becomes the head of the answer; its content, which is read
// when the client has room for it; and what it writes to its standard error.

#include "porthole/ext/cgi_gate.hpp"
#include "porthole/ext/cgi_run.hpp"
#include "porthole/http/status.hpp"

#include <cstring>
#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN void CgiRun::on_output_ready() {
    if (stage_ == Stage::head || stage_ == Stage::peek) {
        if (read_head()) {
            take_head();
        }
        return;
    }
    if (stage_ != Stage::content || !source_waits_) {
        output_watch_.stop(); // it has been closed, which is told again and again although masked
        return;
    }
    want_output(false);
    source_waits_ = false;
    mark_active();
    if (waker_) {
        waker_();
    }
}

/// False when nothing has come.
PORTHOLE_FN bool CgiRun::read_head() {
    constexpr std::size_t piece = 16 * 1024;
    std::string& into = stage_ == Stage::head ? head_ : rest_;
    const std::size_t before = into.size();
    into.resize(before + piece);
    const IoResult result = process_.read_output(&into[before], piece);
    into.resize(before + result.bytes);
    if (result.status == IoStatus::would_block) {
        return false;
    }
    mark_active();
    output_has_ended_ = result.status != IoStatus::ok;
    return true;
}

PORTHOLE_FN void CgiRun::take_head() {
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
    const bool is_typed = !parser_.head().content_type.empty();
    const bool has_content = !rest_.empty();
    if (is_typed || has_content || output_has_ended_ || order_.is_head
        || parser_.head().answer == CgiAnswer::local_redirect
        || !status_has_content(parser_.head().status)) {
        answer(is_typed || has_content);
    }
}

PORTHOLE_FN void CgiRun::answer(bool has_content) {
    const CgiHead& head = parser_.head();
    Reply reply = std::exchange(reply_, Reply());
    if (head.answer == CgiAnswer::local_redirect) {
        reply.rewrite(head.location);
        end_program();
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
        end_program();
        return;
    }
    const std::string_view type =
        head.content_type.empty() ? "application/octet-stream" : head.content_type;
    stage_ = Stage::content;
    want_output(false);
    reply.send(type, std::make_unique<CgiSource>(shared_from_this(), head.content_length));
    std::string().swap(head_);
}

/// Its own words are of help to whoever wrote it, so the log gets some of them. What has ended has
/// a status, which is waited for.
PORTHOLE_FN void CgiRun::fail_head(CgiFault fault) {
    constexpr std::size_t most = 80;
    std::string text(describe(fault));
    const std::string_view line = parser_.bad_line(head_);
    if (!line.empty()) {
        text += ": \"";
        escape_for_log(line.substr(0, most), text);
        text += line.size() > most ? "...\"" : "\"";
    }
    if (fault == CgiFault::empty || fault == CgiFault::no_end) {
        failure_ = std::move(text);
        end_program();
    } else {
        give_up(502, text);
    }
}

PORTHOLE_FN void CgiRun::want_output(bool is_wanted) {
    if (!is_wanted) {
        output_watch_.set_interest(Interest{false, false, false});
    } else if (output_watch_.is_watching()) {
        output_watch_.set_interest(Interest{true, false, false});
    } else if (!is_polled_) {
        watch_pipe(
            output_watch_, process_.output_handle(), Interest{true, false, false},
            &CgiRun::on_output_ready);
    }
}

PORTHOLE_FN BodySource::Piece CgiRun::pull(char* into, std::size_t capacity) {
    BodySource::Piece piece;
    source_waits_ = false;
    if (rest_taken_ < rest_.size()) {
        piece.bytes = rest_.copy(into, capacity, rest_taken_);
        piece.state = BodySource::State::more;
        rest_taken_ += piece.bytes;
        return piece;
    }
    if (!rest_.empty()) {
        std::string().swap(rest_); // assigning would keep the memory
        rest_taken_ = 0;
    }
    if (is_broken_ || stage_ != Stage::content) {
        piece.state = BodySource::State::failed;
        return piece;
    }
    const IoResult result =
        output_has_ended_ ? IoResult{IoStatus::end, 0, 0} : process_.read_output(into, capacity);
    switch (result.status) {
    case IoStatus::ok:
        mark_active();
        piece.bytes = result.bytes;
        piece.state = BodySource::State::more;
        break;
    case IoStatus::would_block:
        source_waits_ = true;
        want_output(true);
        piece.state = BodySource::State::wait;
        break;
    case IoStatus::end: piece.state = BodySource::State::end; break;
    case IoStatus::failed: piece.state = BodySource::State::failed; break;
    }
    return piece;
}

PORTHOLE_FN void CgiRun::on_source_gone(bool is_complete) {
    waker_ = nullptr;
    source_waits_ = false;
    if (stage_ != Stage::content) {
        return;
    }
    if (is_complete) {
        end_program();
    } else {
        kill_program(); // the client has gone, or only wanted the head
    }
}

PORTHOLE_FN void CgiRun::on_error_ready() {
    read_errors(1);
}

PORTHOLE_FN void CgiRun::read_errors(int at_most) {
    constexpr std::size_t piece = 4 * 1024;
    char bytes[piece];
    for (int i = 0; i < at_most; ++i) {
        const IoResult result = process_.read_error(bytes, piece);
        if (result.status == IoStatus::would_block) {
            return;
        }
        if (result.status != IoStatus::ok) {
            error_watch_.stop();
            process_.close_error();
            return;
        }
        lines_.add(std::string_view(bytes, result.bytes), [this](std::string_view line) {
            log(LogLevel::warning, LogId::program_wrote, line);
        });
    }
}

PORTHOLE_FN CgiSource::~CgiSource() {
    PORTHOLE_TRY {
        run_->on_source_gone(has_ended_ || (size_ && given_ >= *size_));
    }
    PORTHOLE_CATCH_ALL {} // no memory for a log line; the beat goes on with it
}

PORTHOLE_FN BodySource::Piece CgiSource::pull(char* into, std::size_t capacity) {
    const Piece piece = run_->pull(into, capacity);
    given_ += piece.bytes;
    has_ended_ = has_ended_ || piece.state == State::end;
    return piece;
}

} // namespace detail

PORTHOLE_NAMESPACE_END
