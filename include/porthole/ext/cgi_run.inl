// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/ext/cgi_gate.hpp"
#include "porthole/ext/cgi_run.hpp"
#include "porthole/ext/cgi_run_output.inl"

#include <cerrno>
#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// What is read back of a spooled upload at a time.
inline constexpr std::size_t cgi_piece_bytes = 64 * 1024;
/// One piece of content, as large as the connection has read it: then it is paused.
inline constexpr std::size_t most_pending = static_cast<std::size_t>(-1) / 2;

inline CgiHeadParser::Options head_options(const CgiSettings& settings, bool is_nph) noexcept {
    CgiHeadParser::Options options;
    options.max_bytes = settings.max_head_bytes;
    options.is_nph = is_nph;
    return options;
}

PORTHOLE_FN CgiRun::CgiRun(std::shared_ptr<CgiGate> gate, CgiOrder order, Reply reply)
    : gate_(std::move(gate)), order_(std::move(order)), reply_(std::move(reply)),
      spool_(gate_->settings().spool_memory_bytes), pending_(most_pending),
      parser_(head_options(gate_->settings(), order_.is_nph)) {
    if (order_.is_spooled) {
        is_spooling_ = true;
        gate_->begin_spooling();
    }
}

PORTHOLE_FN CgiRun::~CgiRun() {
    end_spooling();
}

PORTHOLE_FN void CgiRun::end_spooling() noexcept {
    if (std::exchange(is_spooling_, false)) {
        gate_->end_spooling();
    }
}

PORTHOLE_FN void CgiRun::log(LogLevel level, LogId id, std::string_view text) const {
    gate_->log(level, id, order_.name + ": " + std::string(text), order_.peer);
}

PORTHOLE_FN void CgiRun::mark_active() noexcept {
    is_active_ = true;
}

// The request's content.

PORTHOLE_FN void CgiRun::on_content(std::string_view piece) {
    const std::shared_ptr<CgiRun> self = shared_from_this();
    mark_active();
    if (drops_input_ || stage_ >= Stage::ending) {
        drop_content(piece.size());
    } else if (order_.is_spooled) {
        if (!spool_.append(piece)) {
            log(LogLevel::error, LogId::program_failed,
                "the upload cannot be spooled: the disk for temporary files is full or missing");
            flow_.refuse(507, "There is no room for this upload."); // ends in on_content_abort()
        }
    } else if (!pending_.append(piece)) {
        drop_input();
    } else if (stage_ == Stage::waiting) {
        pause(true);
    } else {
        feed();
    }
}

PORTHOLE_FN void CgiRun::pause(bool is_paused) {
    if (is_paused != is_paused_ && !content_has_ended_) {
        is_paused_ = is_paused;
        is_paused ? flow_.pause() : flow_.resume();
    }
}

PORTHOLE_FN void CgiRun::on_content_end() {
    const std::shared_ptr<CgiRun> self = shared_from_this();
    content_has_ended_ = true;
    if (stage_ == Stage::waiting && order_.is_spooled) {
        order_.process.environment.push_back("CONTENT_LENGTH=" + std::to_string(spool_.size()));
        end_spooling(); // and takes the place that it had
        if (gate_->server() != nullptr) {
            gate_->enter(self);
        } else {
            give_up(503, "its mount has gone");
        }
    } else if (stage_ != Stage::waiting) {
        feed();
    }
}

PORTHOLE_FN void CgiRun::on_content_abort() {
    const std::shared_ptr<CgiRun> self = shared_from_this();
    content_has_ended_ = true;
    if (stage_ < Stage::ending) {
        kill_program();
    }
}

/// Moves what has come of the content into the program, as far as it takes it.
PORTHOLE_FN void CgiRun::feed() {
    if (stage_ == Stage::waiting || drops_input_) {
        return;
    }
    if (order_.is_spooled && pending_.is_empty() && !spool_.is_read()) {
        char* const into = pending_.prepare(cgi_piece_bytes);
        const std::size_t size = into != nullptr ? spool_.read(into, cgi_piece_bytes) : 0;
        pending_.commit(size);
        if (size == 0) {
            give_up(500, "the spooled upload cannot be read back");
            return;
        }
    }
    if (!pending_.is_empty()) {
        const IoResult result = process_.write_input(pending_.view());
        if (result.status == IoStatus::failed) {
            drop_input(); // it has read what it wanted; its answer is still its answer
            return;
        }
        if (result.bytes != 0) {
            mark_active();
            pending_.consume(result.bytes);
        }
    }
    const bool has_rest = !pending_.is_empty() || (order_.is_spooled && !spool_.is_read());
    if (!has_rest && content_has_ended_) {
        input_watch_.stop();
        process_.close_input();
        pending_.release();
    } else if (has_rest && !is_polled_) {
        watch_pipe(
            input_watch_, process_.input_handle(), Interest{false, true}, &CgiRun::on_input_ready);
    } else {
        input_watch_.stop();
    }
    pause(has_rest);
}

/// The program reads no more. The rest of the content is still taken from the client for a while,
/// because most clients read no answer before they have sent everything.
PORTHOLE_FN void CgiRun::drop_input() {
    drops_input_ = true;
    input_watch_.stop();
    process_.close_input();
    drop_content(pending_.size());
    pending_.release();
}

PORTHOLE_FN void CgiRun::drop_content(std::size_t bytes) {
    dropped_ += bytes;
    Server* const server = gate_->server();
    pause(server == nullptr || dropped_ > server->options().limits.max_linger_bytes);
}

// Begin and end.

PORTHOLE_FN bool CgiRun::start() {
    if (stage_ != Stage::waiting || reply_.peer_gone()) {
        kill_program();
        return false;
    }
    order_.process.wants_input = order_.has_content;
    order_.process.reaper = gate_->reaper();
    if (const Error error = Process::start(order_.process, process_)) {
        refuse_start(error);
        return false;
    }
    order_.process = ProcessOptions();
    stage_ = Stage::head;
    is_polled_ = process_.output_handle() == invalid_handle;
    mark_active();
    if (!is_polled_ && !watch_all()) {
        give_up(503, "its pipes cannot be watched");
        return true;
    }
    if (order_.has_content) {
        feed();
    }
    return true;
}

PORTHOLE_FN void CgiRun::refuse_start(const Error& error) {
    constexpr int forbidden = 403;
    constexpr int server_error = 500;
    constexpr int unavailable = 503;
    const int code = error.system_code();
    const bool is_shortage = error.code() == ErrorCode::too_many_files || code == EAGAIN
                             || code == ENOMEM || code == ENFILE || code == EMFILE;
    const int status = is_shortage                                    ? unavailable
                       : error.code() == ErrorCode::permission_denied ? forbidden
                                                                      : server_error;
    give_up(status, error.message());
}

PORTHOLE_FN void CgiRun::watch_pipe(
    WatchHandle& watch, NativeHandle handle, Interest interest, void (CgiRun::*on_ready)()) {
    if (watch.is_watching() || handle == invalid_handle || gate_->server() == nullptr) {
        return;
    }
    const Error error = gate_->server()->watch(
        handle, interest,
        [weak = weak_from_this(), on_ready](Readiness) {
            if (const std::shared_ptr<CgiRun> self = weak.lock()) {
                ((*self).*on_ready)();
            }
        },
        watch);
    if (error) {
        log(LogLevel::error, LogId::program_failed, error.message());
    }
}

PORTHOLE_FN bool CgiRun::watch_all() {
    const Interest reading{true, false};
    watch_pipe(output_watch_, process_.output_handle(), reading, &CgiRun::on_output_ready);
    watch_pipe(error_watch_, process_.error_handle(), reading, &CgiRun::on_error_ready);
    watch_pipe(exit_watch_, process_.exit_handle(), reading, &CgiRun::on_exit_ready);
    return output_watch_.is_watching() && error_watch_.is_watching();
}

/// No answer, or none to the end. `why` is for the log: to the client it would say too much.
PORTHOLE_FN void CgiRun::give_up(int status, std::string_view why) {
    std::string text(why);
    text += stage_ == Stage::content ? "; the answer is broken off"
                                     : "; the answer is " + std::to_string(status);
    log(LogLevel::error, LogId::program_failed, text);
    if (!reply_.is_finished()) {
        reply_.fail(status, "The program behind this path did not answer; see the server's log.");
    }
    kill_program();
}

/// The program is to end by itself: it has said all that it had to say.
PORTHOLE_FN void CgiRun::end_program() {
    stage_ = Stage::ending;
    output_watch_.stop();
    process_.close_output();
    if (!drops_input_) {
        drop_input();
    }
    if (has_exited_ || process_.has_ended()) {
        finish();
    }
}

PORTHOLE_FN void CgiRun::kill_program() {
    was_killed_ = true;
    is_broken_ = true;
    reply_ = Reply();
    const bool has_started = stage_ != Stage::waiting;
    const bool was_waiting = source_waits_;
    source_waits_ = false;
    if (!has_started) {
        end_spooling();
        stage_ = Stage::over;
        drop_input();
        gate_->leave(*this);
        return;
    }
    process_.kill_group();
    end_program();
    if (was_waiting && waker_) {
        waker_(); // so that the client is told
    }
}

PORTHOLE_FN void CgiRun::shut() noexcept {
    stage_ = Stage::over;
    is_broken_ = true;
    drops_input_ = true;
    for (WatchHandle* watch : {&input_watch_, &output_watch_, &error_watch_, &exit_watch_}) {
        watch->stop();
    }
    process_ = Process(); // which kills it
    reply_ = Reply();
}

/// The program has ended: ends what it has left running, and takes its status.
PORTHOLE_FN void CgiRun::finish() {
    constexpr int last_reads = 16;
    if (stage_ == Stage::over) {
        return;
    }
    read_errors(last_reads);
    process_.kill_group();
    const std::optional<ExitStatus> status = process_.try_reap();
    if (!status) {
        return; // not yet, after all: the beat asks again
    }
    lines_.finish(
        [this](std::string_view line) { log(LogLevel::warning, LogId::program_wrote, line); });
    stage_ = Stage::over;
    for (WatchHandle* watch : {&input_watch_, &output_watch_, &error_watch_, &exit_watch_}) {
        watch->stop();
    }
    report_end(*status);
    process_ = Process();
    gate_->leave(*this);
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

PORTHOLE_FN void CgiRun::report_end(const ExitStatus& status) {
    const bool is_news =
        !was_killed_ && status.kind != ExitStatus::Kind::unknown && !status.is_success();
    if (!failure_.empty()) {
        const std::string why = std::exchange(failure_, std::string());
        log(LogLevel::error, LogId::program_failed,
            why + (is_news ? "; " + describe_end(status) : "") + "; the answer is 502");
        reply_.fail(502, "The program behind this path did not answer; see the server's log.");
        reply_ = Reply();
    } else if (is_news) {
        log(LogLevel::warning, LogId::program_failed, describe_end(status));
    }
}

PORTHOLE_FN void CgiRun::on_exit_ready() {
    has_exited_ = true;
    exit_watch_.stop();
    if (stage_ == Stage::ending) {
        finish();
    }
}

// The beat.

PORTHOLE_FN void CgiRun::poll_all() {
    if (stage_ == Stage::head || stage_ == Stage::peek) {
        on_output_ready();
    } else if (stage_ == Stage::content && source_waits_ && waker_) {
        waker_();
    }
    if (stage_ == Stage::head || stage_ == Stage::peek || stage_ == Stage::content) {
        feed();
        read_errors(1);
    }
    if (is_active_) {
        gate_->ask_again();
    }
}

PORTHOLE_FN void CgiRun::on_beat(Duration passed) {
    const std::shared_ptr<CgiRun> self = shared_from_this();
    if (stage_ == Stage::over || check_time(passed)) {
        return;
    }
    lines_.allow_more(
        [this](std::string_view line) { log(LogLevel::warning, LogId::program_wrote, line); });
    const bool is_unseen =
        stage_ == Stage::waiting || stage_ == Stage::head || stage_ == Stage::peek;
    if (is_unseen && failure_.empty() && reply_.peer_gone()) {
        kill_program(); // nobody waits for it any more
        return;
    }
    if (is_polled_) {
        poll_all();
    }
    // Without a handle that tells, and for one that told before the program could be reaped.
    const bool may_have_ended = stage_ == Stage::ending || !exit_watch_.is_watching();
    if (stage_ != Stage::waiting && stage_ != Stage::over && may_have_ended
        && process_.has_ended()) {
        on_exit_ready();
    }
}

/// True when the run has come to its end by that.
PORTHOLE_FN bool CgiRun::check_time(Duration passed) {
    constexpr std::chrono::seconds grace{3};
    const CgiSettings& settings = gate_->settings();
    age_ += passed;
    const bool waits_for_client = stage_ == Stage::content && !source_waits_;
    quiet_ = is_active_ || waits_for_client ? Duration::zero() : quiet_ + passed;
    is_active_ = false;
    if (stage_ == Stage::ending) {
        // It was told to end when its output was closed; then it is asked, and then it is made to.
        ending_for_ += passed;
        if (ending_for_ > 2 * grace) {
            process_.kill_group();
        } else if (ending_for_ > grace) {
            process_.terminate_group();
        }
        return false;
    }
    const bool is_old = settings.max_run_time.count() != 0 && stage_ != Stage::waiting
                        && age_ > settings.max_run_time;
    if (stage_ == Stage::waiting) {
        const bool waits_for_content = order_.is_spooled && !content_has_ended_;
        age_ = Duration::zero();
        if (waits_for_content || quiet_ <= settings.timeout) {
            return false;
        }
        give_up(503, "it has not had its turn within CgiOptions::timeout");
        return true;
    }
    if (!is_old && quiet_ <= settings.timeout) {
        return false;
    }
    give_up(
        504, is_old ? "it ran for longer than CgiOptions::max_run_time"
                    : "it did nothing for longer than CgiOptions::timeout");
    return true;
}

} // namespace detail

PORTHOLE_NAMESPACE_END
