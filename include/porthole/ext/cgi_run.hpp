// SPDX-License-Identifier: MIT
#pragma once

// One request that a program answers, from its place in the queue to the program's end. Four things
// go on at once, each when its pipe is ready: the upload into the program, its head or content out
// of it, what it writes to its log, and its end. What one side cannot take stays where it is: in
// the client's socket or in the program's pipe.

#include "porthole/base/buffer.hpp"
#include "porthole/ext/cgi_answer.hpp"
#include "porthole/ext/cgi_gate.hpp"
#include "porthole/ext/cgi_log.hpp"
#include "porthole/ext/cgi_task.hpp"
#include "porthole/ext/cgi_upload.hpp"
#include "porthole/os/process.hpp"
#include "porthole/server/reply.hpp"
#include "porthole/server/server.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// What is to be run.
struct CgiOrder : CgiTaskOrder {
    ProcessOptions process;
    bool is_nph = false;
};

class CgiRun final : public CgiTask {
public:
    CgiRun(std::shared_ptr<CgiGate> gate, CgiOrder order, Reply reply);

    /// Starts the program.
    PORTHOLE_FN void start() override;
    PORTHOLE_FN void on_beat(Duration passed) override;
    /// Kills the program at once.
    PORTHOLE_FN void shut() noexcept override;
    /// True when the poller cannot tell of this program's pipes.
    bool is_polled() const noexcept override { return is_polled_; }

    CgiUpload& upload() noexcept override { return upload_; }
    PORTHOLE_FN void on_content(std::string_view piece) override;
    PORTHOLE_FN void on_content_end() override;
    PORTHOLE_FN void on_content_abort() override;

    PORTHOLE_FN BodySource::Piece pull(char* into, std::size_t capacity) override;
    PORTHOLE_FN void on_source_gone(bool is_complete) override;

private:
    /// For how long the end of a program is awaited that has closed its standard output.
    static constexpr std::chrono::milliseconds patience{100};

    enum class Stage : unsigned char {
        waiting, ///< for content that is spooled, or for a place
        head,    ///< the program runs, and the answer has not begun
        content, ///< the answer has begun
        ending,  ///< nothing more is wanted of the program
        over,
    };

    bool watch_all();
    void watch_pipe(
        WatchHandle& watch, NativeHandle handle, Interest interest, void (CgiRun::*on_ready)());
    void stop_watching() noexcept;
    CgiGate& gate() const noexcept { return static_cast<CgiGate&>(queue()); }

    bool has_more_to_send() const noexcept;
    void feed();
    void drop_input();

    void on_output_ready();
    bool read_head();
    void take_head();
    void fail_head();
    void want_output(bool is_wanted);
    BodySource::State after_output();

    void on_error_ready() { read_errors(1); }
    void read_errors(int at_most);
    LogLines::Sink line_sink();
    void on_exit_ready();
    void poll_all();

    bool check_time(Duration passed);
    void await_end(Duration passed);
    void take_status();
    void give_up(int status, std::string_view why);
    void refuse_start(const Error& error);
    void end_program();
    void kill_program();
    void finish();
    void report_end();

    CgiOrder order_;
    CgiUpload upload_;
    CgiAnswering answer_;
    Process process_;
    WatchHandle input_watch_;
    WatchHandle output_watch_;
    WatchHandle error_watch_;
    WatchHandle exit_watch_;
    Buffer pending_; ///< of the content, on its way into the program
    LogLines lines_;
    std::string failure_; ///< why there is no answer, until it is known how the program ended
    Duration quiet_{};    ///< since something has moved
    Duration age_{};
    Duration ending_for_{};
    Duration awaiting_for_{};
    std::optional<ExitStatus> status_; ///< once it is known how the program ended
    Stage stage_ = Stage::waiting;
    bool is_active_ = false; ///< since the last beat
    bool is_polled_ = false;
    bool output_has_ended_ = false;
    bool source_waits_ = false;
    bool awaits_end_ = false; ///< of the program, since all is read that it printed
    bool is_broken_ = false;  ///< the answer cannot be completed
    bool has_exited_ = false;
    bool was_killed_ = false; ///< by us, so that its end is no news
};

} // namespace detail

PORTHOLE_NAMESPACE_END
