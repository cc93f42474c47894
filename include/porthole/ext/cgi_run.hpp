// SPDX-License-Identifier: MIT
#pragma once

// One request that a program answers, from its place in the queue to the program's end. Four things
// go on at once, each when its pipe is ready: the upload into the program, its head or content out
// of it, what it writes to its log, and its end. What one side cannot take stays where it is: in
// the client's socket or in the program's pipe.

#include "porthole/base/buffer.hpp"
#include "porthole/ext/cgi_log.hpp"
#include "porthole/ext/cgi_spool.hpp"
#include "porthole/http/body.hpp"
#include "porthole/http/cgi_head.hpp"
#include "porthole/os/process.hpp"
#include "porthole/server/body_sink.hpp"
#include "porthole/server/reply.hpp"
#include "porthole/server/server.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

class CgiGate;

/// What is to be run, and what the run has to know of its request.
struct CgiOrder {
    ProcessOptions process;
    std::string name; ///< for the log
    std::string peer;
    bool is_head = false;
    bool is_nph = false;
    bool has_content = false;
    bool is_spooled = false; ///< the program is to start when the content is complete
};

class CgiRun : public std::enable_shared_from_this<CgiRun> {
public:
    CgiRun(std::shared_ptr<CgiGate> gate, CgiOrder order, Reply reply);
    CgiRun(const CgiRun&) = delete;
    CgiRun& operator=(const CgiRun&) = delete;
    ~CgiRun();

    // The request's content. It is dropped once the program has stopped reading.
    void set_flow(BodyFlow flow) { flow_ = std::move(flow); }
    void on_content(std::string_view piece);
    void on_content_end();
    /// The client has gone, or the request was refused after all.
    void on_content_abort();

    // By the gate.
    /// Starts the program. False: it cannot be, or nobody waits any more; that was all.
    bool start();
    void on_beat(Duration passed);
    /// The mount goes: kills the program at once.
    void shut() noexcept;
    /// True when the poller cannot tell of this program's pipes.
    bool is_polled() const noexcept { return is_polled_; }

    // By the source of the answer.
    BodySource::Piece pull(char* into, std::size_t capacity);
    void set_waker(std::function<void()> waker) { waker_ = std::move(waker); }
    /// `is_complete`: all has been taken that was promised.
    void on_source_gone(bool is_complete);

private:
    enum class Stage : unsigned char {
        waiting, ///< for content that is spooled, or for a place
        head,    ///< the program runs, and its head is not complete
        peek,    ///< it has no Content-Type: is there content?
        content, ///< the answer has begun
        ending,  ///< nothing more is wanted of the program
        over,
    };

    bool watch_all();
    void watch_pipe(
        WatchHandle& watch, NativeHandle handle, Interest interest, void (CgiRun::*on_ready)());
    void mark_active() noexcept;

    void feed();
    void on_input_ready() { feed(); }
    void pause(bool is_paused);
    void drop_input();
    void drop_content(std::size_t bytes);

    void on_output_ready();
    bool read_head();
    void take_head();
    void answer(bool has_content);
    void want_output(bool is_wanted);
    void on_output_end();
    void fail_head(CgiFault fault);

    void on_error_ready();
    void read_errors(int at_most);
    void on_exit_ready();
    void poll_all();

    bool check_time(Duration passed);
    void end_spooling() noexcept;
    void give_up(int status, std::string_view why);
    void refuse_start(const Error& error);
    void end_program();
    void kill_program();
    void finish();
    void report_end(const ExitStatus& status);
    void log(LogLevel level, LogId id, std::string_view text) const;

    std::shared_ptr<CgiGate> gate_;
    CgiOrder order_;
    Reply reply_;
    BodyFlow flow_;
    Process process_;
    WatchHandle input_watch_;
    WatchHandle output_watch_;
    WatchHandle error_watch_;
    WatchHandle exit_watch_;
    CgiSpool spool_;
    Buffer pending_;   ///< of the content, on its way into the program
    std::string head_; ///< as long as it is looked at, it stays where it is
    std::string rest_; ///< content that was read together with the head
    std::size_t rest_taken_ = 0;
    CgiHeadParser parser_;
    LogLines lines_;
    std::function<void()> waker_;
    std::string failure_; ///< why there is no answer, until it is known how the program ended
    Duration quiet_{};    ///< since something has moved
    Duration age_{};
    Duration ending_for_{};
    std::uint64_t dropped_ = 0; ///< bytes of content that the program did not want
    Stage stage_ = Stage::waiting;
    bool is_spooling_ = false;
    bool is_active_ = false; ///< since the last beat
    bool is_polled_ = false;
    bool content_has_ended_ = false;
    bool drops_input_ = false;
    bool is_paused_ = false;
    bool output_has_ended_ = false;
    bool source_waits_ = false;
    bool is_broken_ = false; ///< the answer cannot be completed
    bool has_exited_ = false;
    bool was_killed_ = false; ///< by us, so that its end is no news
};

/// The content of a program's answer.
class CgiSource final : public BodySource {
public:
    CgiSource(std::shared_ptr<CgiRun> run, std::optional<std::uint64_t> size) noexcept
        : run_(std::move(run)), size_(size) {}
    ~CgiSource() override;
    std::optional<std::uint64_t> size() const override { return size_; }
    Piece pull(char* into, std::size_t capacity) override;
    void set_waker(std::function<void()> waker) override { run_->set_waker(std::move(waker)); }

private:
    std::shared_ptr<CgiRun> run_;
    std::optional<std::uint64_t> size_;
    std::uint64_t given_ = 0;
    bool has_ended_ = false;
};

} // namespace detail

PORTHOLE_NAMESPACE_END
