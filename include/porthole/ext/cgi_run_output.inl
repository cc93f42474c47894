// SPDX-License-Identifier: MIT
#pragma once

// What a program prints: its head, which becomes the head of the answer; its content, which is read
// when the client has room for it; and what it writes to its standard error.

#include "porthole/ext/cgi_gate.hpp"
#include "porthole/ext/cgi_run.hpp"

#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN void CgiRun::on_output_ready() {
    if (stage_ == Stage::head) {
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
    is_active_ = true;
    wake_source();
}

/// False when nothing has come.
PORTHOLE_FN bool CgiRun::read_head() {
    constexpr std::size_t piece = 16 * 1024;
    std::string& into = answer_.incoming();
    const std::size_t before = into.size();
    into.resize(before + piece);
    const IoResult result = process_.read_output(&into[before], piece);
    into.resize(before + result.bytes);
    if (result.status == IoStatus::would_block) {
        return false;
    }
    is_active_ = true;
    output_has_ended_ = result.status != IoStatus::ok;
    return true;
}

PORTHOLE_FN void CgiRun::take_head() {
    switch (answer_.look(output_has_ended_, *this)) {
    case CgiAnswering::State::head:
    case CgiAnswering::State::peek: break;
    case CgiAnswering::State::failed: fail_head(); break;
    case CgiAnswering::State::whole: end_program(); break;
    case CgiAnswering::State::content:
        stage_ = Stage::content;
        want_output(false);
        answer_.send_content(shared_from_this());
        break;
    }
}

/// What has ended has a status, which is waited for.
PORTHOLE_FN void CgiRun::fail_head() {
    const CgiFault fault = answer_.fault();
    if (fault == CgiFault::empty || fault == CgiFault::no_end) {
        failure_ = answer_.describe_fault();
        end_program();
    } else {
        give_up(502, answer_.describe_fault());
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
    if (const std::size_t rest = answer_.take_rest(into, capacity)) {
        return {BodySource::State::more, rest};
    }
    if (is_broken_ || stage_ != Stage::content) {
        piece.state = BodySource::State::failed;
        return piece;
    }
    const IoResult result =
        output_has_ended_ ? IoResult{IoStatus::end, 0, 0} : process_.read_output(into, capacity);
    switch (result.status) {
    case IoStatus::ok:
        is_active_ = true;
        piece.bytes = result.bytes;
        piece.state = BodySource::State::more;
        break;
    case IoStatus::would_block:
        source_waits_ = true;
        want_output(true);
        piece.state = BodySource::State::wait;
        break;
    case IoStatus::end: piece.state = after_output(); break;
    case IoStatus::failed: piece.state = BodySource::State::failed; break;
    }
    return piece;
}

inline std::string describe_end(const ExitStatus& status) {
    switch (status.kind) {
    case ExitStatus::Kind::exited: return "it ended with code " + std::to_string(status.value);
    case ExitStatus::Kind::signalled:
        return "it was ended by signal " + std::to_string(status.value);
    case ExitStatus::Kind::unknown: break;
    }
    return "how it ended is not known";
}

/// A program that was killed in the middle of its content must not pass for one that is done. Where
/// no length tells them apart, the end of the program does, which comes a moment after that of its
/// output.
PORTHOLE_FN BodySource::State CgiRun::after_output() {
    output_has_ended_ = true;
    if (answer_.promised_bytes()) {
        return BodySource::State::end;
    }
    if (has_exited_ || process_.has_ended()) {
        exit_watch_.stop();
        take_status();
    }
    if (status_ && status_->kind == ExitStatus::Kind::signalled) {
        log(LogLevel::error, LogId::program_failed,
            describe_end(*status_) + "; the answer is broken off");
        return BodySource::State::failed;
    }
    if (status_ || awaiting_for_ > patience) {
        return BodySource::State::end;
    }
    output_watch_.stop();
    awaits_end_ = source_waits_ = true;
    return BodySource::State::wait;
}

PORTHOLE_FN void CgiRun::on_source_gone(bool is_complete) {
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

PORTHOLE_FN LogLines::Sink CgiRun::line_sink() {
    return [this](std::string_view line) {
        log(LogLevel::warning, LogId::program_wrote, line);
    };
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
        lines_.add(std::string_view(bytes, result.bytes), line_sink());
    }
}

} // namespace detail

PORTHOLE_NAMESPACE_END
