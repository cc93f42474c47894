// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/ext/cgi_gate.hpp"
#include "porthole/ext/cgi_run.hpp"
#include "porthole/ext/cgi_run_output.inl"

#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// What is read back of a spooled upload at a time.
inline constexpr std::size_t cgi_piece_bytes = 64 * 1024;
/// One piece of content, as large as the connection has read it: then it is paused.
inline constexpr std::size_t most_pending = static_cast<std::size_t>(-1) / 2;

inline CgiHeadParser::Options head_options(const CgiTaskSettings& settings, bool is_nph) noexcept {
    CgiHeadParser::Options options;
    options.max_bytes = settings.max_head_bytes;
    options.is_nph = is_nph;
    return options;
}

PORTHOLE_FN CgiRun::CgiRun(std::shared_ptr<CgiGate> gate, CgiOrder order, Reply reply)
    : CgiTask(gate, order), order_(std::move(order)),
      upload_(gate, order_.has_content, order_.is_spooled),
      answer_(std::move(reply), head_options(gate->settings(), order_.is_nph), order_.is_head),
      pending_(most_pending) {}

// The request's content.

PORTHOLE_FN void CgiRun::on_content(std::string_view piece) {
    const std::shared_ptr<CgiTask> self = shared_from_this();
    is_active_ = true;
    if (upload_.is_dropped() || stage_ >= Stage::ending) {
        upload_.drop_more(piece.size());
    } else if (upload_.is_spooled()) {
        if (!upload_.spool(piece)) {
            log(LogLevel::error, LogId::program_failed, upload_is_not_spooled);
        }
    } else if (!pending_.append(piece)) {
        drop_input();
    } else if (stage_ == Stage::waiting) {
        upload_.pause(true);
    } else {
        feed();
    }
}

PORTHOLE_FN void CgiRun::on_content_end() {
    const std::shared_ptr<CgiTask> self = shared_from_this();
    upload_.end();
    if (stage_ == Stage::waiting && upload_.is_spooled()) {
        order_.process.environment.push_back(
            "CONTENT_LENGTH=" + std::to_string(upload_.spooled_bytes()));
        upload_.leave_spooling(); // and takes the place that it had
        if (queue().server() != nullptr) {
            queue().enter(self);
        } else {
            give_up(503, "its mount has gone");
        }
    } else if (stage_ != Stage::waiting) {
        feed();
    }
}

PORTHOLE_FN void CgiRun::on_content_abort() {
    const std::shared_ptr<CgiTask> self = shared_from_this();
    upload_.end();
    if (stage_ < Stage::ending) {
        kill_program();
    }
}

PORTHOLE_FN bool CgiRun::has_more_to_send() const noexcept {
    return !pending_.is_empty() || upload_.has_spooled();
}

/// Moves what has come of the content into the program, as far as it takes it.
PORTHOLE_FN void CgiRun::feed() {
    if (stage_ == Stage::waiting || upload_.is_dropped()) {
        return;
    }
    if (pending_.is_empty() && upload_.has_spooled()) {
        char* const into = pending_.prepare(cgi_piece_bytes);
        const std::size_t size = into != nullptr ? upload_.read_spooled(into, cgi_piece_bytes) : 0;
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
        is_active_ = is_active_ || result.bytes != 0;
        pending_.consume(result.bytes);
    }
    const bool has_rest = has_more_to_send();
    if (has_rest && !is_polled_) {
        watch_pipe(input_watch_, process_.input_handle(), Interest{false, true}, &CgiRun::feed);
    } else {
        input_watch_.stop();
    }
    if (!has_rest && upload_.has_ended()) {
        process_.close_input();
        pending_.release();
    }
    upload_.pause(has_rest);
}

PORTHOLE_FN void CgiRun::drop_input() {
    input_watch_.stop();
    process_.close_input();
    upload_.drop(pending_.size());
    pending_.release();
}

// Begin and end.

PORTHOLE_FN void CgiRun::start() {
    const std::shared_ptr<CgiTask> self = shared_from_this();
    if (stage_ != Stage::waiting || answer_.peer_gone()) {
        kill_program();
        return;
    }
    order_.process.wants_input = order_.has_content;
    order_.process.reaper = gate().reaper();
    if (const Error error = Process::start(order_.process, process_)) {
        refuse_start(error);
        return;
    }
    order_.process = ProcessOptions();
    stage_ = Stage::head;
    is_polled_ = process_.output_handle() == invalid_handle;
    is_active_ = true;
    if (!is_polled_ && !watch_all()) {
        give_up(503, "its pipes cannot be watched");
        return;
    }
    if (order_.has_content) {
        feed();
    }
}

inline int status_of_start(ErrorCode code) noexcept {
    switch (code) {
    case ErrorCode::too_many_files:
    case ErrorCode::exhausted: return 503;
    case ErrorCode::permission_denied: return 403;
    case ErrorCode::too_long: return 431; // it is the fields that become an environment
    default: return 500;
    }
}

PORTHOLE_FN void CgiRun::refuse_start(const Error& error) {
    give_up(status_of_start(error.code()), error.message());
}

PORTHOLE_FN void CgiRun::watch_pipe(
    WatchHandle& watch, NativeHandle handle, Interest interest, void (CgiRun::*on_ready)()) {
    if (watch.is_watching() || handle == invalid_handle || queue().server() == nullptr) {
        return;
    }
    const Error error = queue().server()->watch(
        handle, interest,
        [weak = weak_from_this(), this, on_ready](Readiness) {
            if (const std::shared_ptr<CgiTask> self = weak.lock()) {
                (this->*on_ready)();
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
    answer_.fail(status, no_answer);
    kill_program();
}

/// The program is to end by itself: it has said all that it had to say.
PORTHOLE_FN void CgiRun::end_program() {
    stage_ = Stage::ending;
    output_watch_.stop();
    process_.close_output();
    if (!upload_.is_dropped()) {
        drop_input();
    }
    if (has_exited_ || process_.has_ended()) {
        finish();
    }
}

PORTHOLE_FN void CgiRun::kill_program() {
    was_killed_ = true;
    is_broken_ = true;
    answer_.forget();
    const bool has_started = stage_ != Stage::waiting;
    const bool was_waiting = std::exchange(source_waits_, false);
    if (!has_started) {
        upload_.leave_spooling();
        stage_ = Stage::over;
        drop_input();
        queue().leave(*this);
        return;
    }
    process_.kill_group();
    end_program();
    if (was_waiting) {
        wake_source(); // so that the client is told
    }
}

PORTHOLE_FN void CgiRun::stop_watching() noexcept {
    for (WatchHandle* watch : {&input_watch_, &output_watch_, &error_watch_, &exit_watch_}) {
        watch->stop();
    }
}

PORTHOLE_FN void CgiRun::shut() noexcept {
    stage_ = Stage::over;
    is_broken_ = true;
    stop_watching();
    process_ = Process(); // which kills it
    PORTHOLE_TRY {
        upload_.drop(0);
        answer_.fail(503, "What answered at this path has been taken down.");
        if (std::exchange(source_waits_, false)) {
            post_wake();
        }
    }
    PORTHOLE_CATCH_ALL {} // no memory: the client waits until its own deadline
    answer_.forget();
}

/// When the program has ended: ends what it has left running, as long as the number is its own.
PORTHOLE_FN void CgiRun::take_status() {
    if (!status_) {
        process_.kill_group();
        status_ = process_.try_reap();
    }
}

/// The program has ended.
PORTHOLE_FN void CgiRun::finish() {
    constexpr int last_reads = 16;
    if (stage_ == Stage::over) {
        return;
    }
    read_errors(last_reads);
    exit_watch_.stop(); // before its handle is closed, whose number a log sink may then get
    take_status();
    if (!status_) {
        return; // not yet, after all: the beat asks again
    }
    lines_.finish(line_sink());
    stage_ = Stage::over;
    stop_watching();
    report_end();
    process_ = Process();
    queue().leave(*this);
}

PORTHOLE_FN void CgiRun::report_end() {
    const ExitStatus& status = *status_;
    const bool is_news =
        !was_killed_ && status.kind != ExitStatus::Kind::unknown && !status.is_success();
    if (!failure_.empty()) {
        const std::string why = std::exchange(failure_, std::string());
        log(LogLevel::error, LogId::program_failed,
            why + (is_news ? "; " + describe_end(status) : "") + "; the answer is 502");
        answer_.fail(502, no_answer);
    } else if (is_news) {
        log(LogLevel::warning, LogId::program_failed, describe_end(status));
    }
}

PORTHOLE_FN void CgiRun::on_exit_ready() {
    has_exited_ = true;
    exit_watch_.stop();
    if (stage_ == Stage::ending) {
        finish();
    } else if (awaits_end_ && std::exchange(source_waits_, false)) {
        wake_source();
    }
}

// The beat.

PORTHOLE_FN void CgiRun::poll_all() {
    if (stage_ == Stage::head) {
        on_output_ready();
    } else if (stage_ == Stage::content && source_waits_) {
        wake_source();
    }
    if (stage_ == Stage::head || stage_ == Stage::content) {
        feed();
        read_errors(1);
    }
    if (is_active_) {
        queue().ask_again();
    }
}

PORTHOLE_FN void CgiRun::on_beat(Duration passed) {
    const std::shared_ptr<CgiTask> self = shared_from_this();
    if (stage_ == Stage::over || check_time(passed)) {
        return;
    }
    lines_.allow_more(line_sink());
    await_end(passed);
    if (stage_ < Stage::content && failure_.empty() && answer_.peer_gone()) {
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

/// One that goes on without its standard output has said all that the client will get.
PORTHOLE_FN void CgiRun::await_end(Duration passed) {
    awaiting_for_ += awaits_end_ ? passed : Duration::zero();
    if (awaiting_for_ > patience && std::exchange(source_waits_, false)) {
        wake_source();
    }
}

/// True when the run has come to its end by that.
PORTHOLE_FN bool CgiRun::check_time(Duration passed) {
    constexpr std::chrono::seconds grace{3};
    const CgiSettings& settings = gate().settings();
    age_ += passed;
    const bool waits_for_upload = stage_ >= Stage::head && !upload_.has_ended()
                                  && !upload_.is_dropped() && !has_more_to_send();
    const bool waits_for_client = (stage_ == Stage::content && !source_waits_) || waits_for_upload;
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
        const bool waits_for_content = upload_.is_spooled() && !upload_.has_ended();
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
