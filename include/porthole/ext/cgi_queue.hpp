// SPDX-License-Identifier: MIT
#pragma once

// The requests of one mount that something else answers, a program or a server: how many are being
// answered at the same time, who waits for a place, and the beat by which all of them are looked
// after: their timeouts, and clients that have gone. It goes with its mount, and none of its tasks
// outlives it.

#include "porthole/base/clock.hpp"
#include "porthole/base/log.hpp"
#include "porthole/ext/cgi.hpp"
#include "porthole/server/server.hpp"

#include <chrono>
#include <cstddef>
#include <deque>
#include <memory>
#include <string_view>
#include <vector>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

class CgiTask;

class CgiQueue : public std::enable_shared_from_this<CgiQueue> {
public:
    CgiQueue() = default;
    CgiQueue(const CgiQueue&) = delete;
    CgiQueue& operator=(const CgiQueue&) = delete;
    virtual ~CgiQueue() = default;

    virtual const CgiTaskSettings& settings() const noexcept = 0;

    /// False when one more request would be one too many.
    bool has_room() const noexcept;
    /// Starts it, or lets it wait for its turn.
    void enter(const std::shared_ptr<CgiTask>& task);
    /// It needs no place any more, or will never need one. In a later unit of work its place is
    /// given on.
    void leave(const CgiTask& task);
    /// Where the poller cannot tell: one of the tasks has moved something, so it is worth asking
    /// all of them again soon.
    void ask_again();

    /// Uploads that are spooled count as waiting: each may take disk.
    void begin_spooling() noexcept { ++spooling_; }
    void end_spooling() noexcept { --spooling_; }

    /// Null once the mount has gone.
    Server* server() const noexcept { return server_; }
    const TaskPoster& poster() const noexcept { return poster_; }
    void log(LogLevel level, LogId id, std::string_view sentence, std::string_view peer) const;

protected:
    void attach(Server& server);
    /// Ends all tasks at once.
    void shut_all() noexcept;
    /// The beat is wanted from now on, until nothing is left to be looked after.
    void arm();

private:
    /// Places taken by what is no task any more.
    virtual std::size_t places_behind() const noexcept { return 0; }
    /// Of the timeouts that go by the beat, the shortest.
    PORTHOLE_FN virtual std::chrono::milliseconds shortest_timeout() const noexcept;
    /// The rest of what goes by the beat. True as long as there is something.
    virtual bool look_after(Duration passed) = 0;

    bool has_place() const noexcept;
    void start(const std::shared_ptr<CgiTask>& task);
    void start_next();
    void post_turn();
    void on_beat(Duration passed);
    TimePoint now() const noexcept;

    Server* server_ = nullptr;
    TaskPoster poster_;
    std::vector<std::shared_ptr<CgiTask>> running_;
    std::deque<std::shared_ptr<CgiTask>> waiting_;
    std::size_t spooling_ = 0;
    TimerHandle beat_;
    TimePoint last_beat_{};
    bool is_posted_ = false;
    bool is_asked_ = false;
};

} // namespace detail

PORTHOLE_NAMESPACE_END
