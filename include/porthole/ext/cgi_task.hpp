// SPDX-License-Identifier: MIT
#pragma once

// What a queue, a request's content and an answer's source know of one request that something else
// answers: a program (CgiRun) or a server (FastCgiRequest).

#include "porthole/base/log.hpp"
#include "porthole/ext/cgi_queue.hpp"
#include "porthole/http/body.hpp"
#include "porthole/server/body_sink.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

class CgiUpload;

/// What the client is told; the log says more.
inline constexpr std::string_view no_answer =
    "What is behind this path did not answer; see the server's log.";

/// What has to be known of the request.
struct CgiTaskOrder {
    std::string name; ///< of what answers, for the log
    std::string peer;
    bool is_head = false;
    bool has_content = false;
    bool is_spooled = false; ///< its turn comes when the content is complete
};

class CgiTask : public std::enable_shared_from_this<CgiTask> {
public:
    CgiTask(std::shared_ptr<CgiQueue> queue, const CgiTaskOrder& order)
        : queue_(std::move(queue)), name_(order.name), peer_(order.peer) {}
    CgiTask(const CgiTask&) = delete;
    CgiTask& operator=(const CgiTask&) = delete;
    virtual ~CgiTask() = default;

    // By the queue.
    /// Its turn has come. Leaves the queue when it comes to nothing.
    virtual void start() = 0;
    virtual void on_beat(Duration passed) = 0;
    /// The mount goes: ends everything at once.
    virtual void shut() noexcept = 0;
    /// True when the poller cannot tell what moves here.
    virtual bool is_polled() const noexcept { return false; }

    // By the request's content, which is dropped once nobody reads it any more.
    virtual CgiUpload& upload() noexcept = 0;
    virtual void on_content(std::string_view piece) = 0;
    virtual void on_content_end() = 0;
    /// The client has gone, or the request was refused after all.
    virtual void on_content_abort() = 0;

    // By the source of the answer.
    virtual BodySource::Piece pull(char* into, std::size_t capacity) = 0;
    /// `is_complete`: all has been taken that was promised.
    virtual void on_source_gone(bool is_complete) = 0;
    void set_waker(std::function<void()> waker) { waker_ = std::move(waker); }

    void log(LogLevel level, LogId id, std::string_view text) const;

protected:
    CgiQueue& queue() const noexcept { return *queue_; }
    /// The source may be asked again: now, or in a later unit of work.
    void wake_source();
    void post_wake();

private:
    std::shared_ptr<CgiQueue> queue_;
    std::string name_;
    std::string peer_;
    std::function<void()> waker_;
};

/// The sink of the content that goes to `task`. One that is not spooled is queued at once.
BodySink make_cgi_sink(CgiQueue& queue, const std::shared_ptr<CgiTask>& task);

/// The content of an answer, as it comes from behind.
class CgiSource final : public BodySource {
public:
    CgiSource(std::shared_ptr<CgiTask> task, std::optional<std::uint64_t> size) noexcept
        : task_(std::move(task)), size_(size) {}
    PORTHOLE_FN ~CgiSource() override;
    std::optional<std::uint64_t> size() const override { return size_; }
    PORTHOLE_FN Piece pull(char* into, std::size_t capacity) override;
    void set_waker(std::function<void()> waker) override { task_->set_waker(std::move(waker)); }

private:
    std::shared_ptr<CgiTask> task_;
    std::optional<std::uint64_t> size_;
    std::uint64_t given_ = 0;
    bool has_ended_ = false;
};

} // namespace detail

PORTHOLE_NAMESPACE_END
