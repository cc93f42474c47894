// SPDX-License-Identifier: MIT
#pragma once

// How many programs of one mount run at the same time, who waits for a place, and the beat by which
// all of them are looked after: their timeouts, clients that have gone, and programs that have
// ended. It goes with its mount, and no program outlives it.

#include "porthole/base/log.hpp"
#include "porthole/ext/cgi.hpp"
#include "porthole/os/process.hpp"
#include "porthole/server/server.hpp"

#include <cstddef>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

class CgiRun;

class CgiGate : public std::enable_shared_from_this<CgiGate> {
public:
    explicit CgiGate(CgiSettings settings) : settings_(std::move(settings)) {}

    void attach(Server& server) noexcept { server_ = &server; }
    /// Kills what runs, and waits for its end for the moment that a killed program needs.
    void close() noexcept;

    /// False when one more request would be one too many.
    bool has_room() const noexcept;
    /// Starts the program, or lets it wait for its turn.
    void enter(const std::shared_ptr<CgiRun>& run);
    /// It needs no place any more, or will never need one. In a later unit of work its place is
    /// given on.
    void leave(const CgiRun& run);

    Server* server() const noexcept { return server_; }
    const CgiSettings& settings() const noexcept { return settings_; }
    const std::shared_ptr<ProcessReaper>& reaper() const noexcept { return reaper_; }
    void log(LogLevel level, LogId id, std::string_view sentence, std::string_view peer) const;
    /// Where the poller cannot tell: one of the programs has moved something, so it is worth asking
    /// all of them again soon.
    void ask_again();

    /// Uploads that are spooled count as waiting: each may take disk.
    void begin_spooling() noexcept { ++spooling_; }
    void end_spooling() noexcept { --spooling_; }

private:
    void start(const std::shared_ptr<CgiRun>& run);
    void start_next();
    void note_free_place();
    void arm();
    void on_beat(Duration passed);
    TimePoint now() const noexcept;

    CgiSettings settings_;
    Server* server_ = nullptr; ///< null once it is closed
    std::shared_ptr<ProcessReaper> reaper_ = std::make_shared<ProcessReaper>();
    std::vector<std::shared_ptr<CgiRun>> running_;
    std::deque<std::shared_ptr<CgiRun>> waiting_;
    std::size_t spooling_ = 0;
    TimerHandle beat_;
    TimePoint last_beat_{};
    bool is_posted_ = false;
};

} // namespace detail

PORTHOLE_NAMESPACE_END
