// SPDX-License-Identifier: MIT
#pragma once

// One connection: bytes in, requests, answers, bytes out, one bounded turn at a time. It owns
// memory only while a request is partial or an answer is on its way; an idle one has none. It never
// destroys itself: it asks the core to bury it, and the core does so when no call on it is left.

#include "porthole/base/buffer.hpp"
#include "porthole/base/timer_wheel.hpp"
#include "porthole/http/chunked.hpp"
#include "porthole/http/parser.hpp"
#include "porthole/http/request.hpp"
#include "porthole/http/response.hpp"
#include "porthole/http/serializer.hpp"
#include "porthole/os/poller.hpp"
#include "porthole/os/transport.hpp"
#include "porthole/server/upgrade.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

class Connection;
class ServerCore;
struct BodyIntake;
struct ReplyState;
struct RouteScope;

struct ReadyTag {};
struct OpenTag {};
struct IdleTag {};

/// Something that gets turns: a connection, a listener, a watched descriptor.
class Pollable : public ListLink<ReadyTag> {
public:
    /// One unit of work.
    virtual void serve(Readiness ready) = 0;
    /// It threw, which only a failing allocation does: give up what it holds.
    virtual void drop() noexcept = 0;

    void add_readiness(Readiness more) noexcept {
        ready_.read |= more.read;
        ready_.write |= more.write;
        ready_.hangup |= more.hangup;
        ready_.error |= more.error;
    }
    Readiness take_readiness() noexcept {
        const Readiness ready = ready_;
        ready_ = {};
        return ready;
    }

protected:
    ~Pollable() = default;

private:
    Readiness ready_;
};

/// Something that a passed deadline calls.
class TimedTask : public Timer {
public:
    virtual void on_deadline() = 0;
    /// on_deadline() threw: give up what it holds.
    virtual void drop() noexcept = 0;

protected:
    ~TimedTask() = default;
};

/// One request and its answer. Pooled by the core: in steady state all connections use the same
/// one.
struct Exchange {
    explicit Exchange(const Limits& limits) noexcept
        : parser(limits), chunked(limits),
          head(limits.max_request_line_bytes + limits.max_fields_bytes + head_slack) {}

    /// The empty lines around a head do not count against its limits.
    static constexpr std::size_t head_slack = 8;

    Connection* connection = nullptr;
    RequestParser parser;
    ChunkedDecoder chunked;
    Buffer head;                    ///< the head's bytes, once they are needed longer than the turn
    std::string content;            ///< what has come of it, when it did not come whole
    std::uint64_t content_left = 0; ///< of a Content-Length
    std::uint64_t max_content = 0;
    RequestParts request;
    ResponseParts response;
    const RouteScope* scope = nullptr; ///< whose after hooks see the answer
    bool has_request = false;          ///< the head was complete and is shown to handlers
    /// The foreign origin that may read the answer (CORS), or null.
    const std::string* origin = nullptr;
    TimePoint began{};                        ///< when the head was complete
    std::chrono::nanoseconds handler_time{0}; ///< in the user's functions
    std::uint64_t content_sent = 0;
    bool is_over_budget = false;
    bool is_refused = false; ///< the library's own answer, for the error page
    std::shared_ptr<ReplyState> reply;
    std::shared_ptr<BodyIntake> intake; ///< takes the content as it comes
    std::uint64_t content_taken = 0;    ///< by it
    std::uint32_t route_id = 0;         ///< the route that it comes from
    bool is_content_ending = false;     ///< all of it has come, and the sink has work to do yet
    bool is_content_unread = false;     ///< and will not be: the connection ends behind the answer
    unsigned rewrites = 0;              ///< how often another target took the first one's place
    std::string first_method;           ///< what the client asked for, once it was rewritten
    std::string first_target;

    void reset() noexcept;
    /// The Reply, if there is one, does not answer this request any more.
    void drop_reply() noexcept;
};

/// How a connection came in, as far as the guard and the caps care.
struct Entrance {
    bool is_exposed = false;
    bool needs_token = false;
};

class Connection final : public Pollable,
                         public TimedTask,
                         public ListLink<OpenTag>,
                         public ListLink<IdleTag>,
                         public UpgradeLink {
public:
    Connection(
        ServerCore& core, std::unique_ptr<Transport> transport, std::string peer,
        Entrance entrance);
    ~Connection();

    /// Begins to watch; an error means that the connection is to be dropped.
    Error open();
    PORTHOLE_FN void serve(Readiness ready) override;
    void drop() noexcept override { close_now(); }
    PORTHOLE_FN void on_deadline() override;

    /// What a transport without a descriptor is ready for, as far as it matters now.
    Readiness wanted_readiness() const noexcept;
    /// Answers 503 without having read a request, and closes; in a turn of its own, since hooks see
    /// the answer and may end the listener that it came through.
    void refuse_in_turn() noexcept;
    /// The server stops: closes when idle, else behind the current answer.
    void begin_drain();
    /// The server goes, outside of a tick: one attempt to send what is complete.
    void send_last() noexcept;
    /// Closes at once, whatever is under way.
    void close_now() noexcept;
    /// A handler wants to answer later.
    std::shared_ptr<ReplyState> defer(Exchange& exchange);
    /// A deferred answer has come.
    void complete(ReplyState& reply);
    /// A deferred answer is that of another target.
    void rewrite(ReplyState& reply, std::string_view target);
    void note_dropped_reply();
    void note_second_reply();
    /// A sink goes on, or gives up.
    void resume_content();
    /// A sink's answer is to come before its content has ended.
    Reply defer_content();
    Server& server() noexcept;
    const Limits& limits() const noexcept;
    const Entrance& entrance() const noexcept { return entrance_; }
    bool is_closed() const noexcept { return phase_ == Phase::closed; }
    NativeHandle handle() const noexcept {
        return transport_ ? transport_->handle() : invalid_handle;
    }
    Interest interest() const noexcept { return interest_; }

    // UpgradeLink
    PORTHOLE_FN bool send(std::string_view bytes) override;
    PORTHOLE_FN bool
    send_shared(const std::shared_ptr<const void>& owner, std::string_view bytes) override;
    PORTHOLE_FN std::size_t queued_bytes() const noexcept override;
    PORTHOLE_FN void pause_reading(bool is_paused) override;
    PORTHOLE_FN void close() override;
    PORTHOLE_FN void abort() override;
    PORTHOLE_FN void set_deadline(TimePoint deadline) override;
    PORTHOLE_FN void wake() override;
    PORTHOLE_FN TimePoint now() const noexcept override;
    PORTHOLE_FN bool has_time() noexcept override;
    std::string_view peer() const noexcept override { return peer_; }

private:
    enum class Phase : unsigned char {
        head,      ///< waits for a request, or reads its head
        content,   ///< reads a request's content
        deferred,  ///< a Reply has the answer
        sending,   ///< an answer is on its way and nothing is read meanwhile
        upgraded,  ///< an Upgrade owns the connection
        lingering, ///< all is sent; the peer's rest is drained so that it can read the answer
        closed,
    };

    // connection.inl: bytes in
    void refuse_newcomer();
    void read_requests(Readiness ready);
    std::size_t process(std::string_view bytes);
    void process_held();
    std::size_t take_head(std::string_view bytes);
    std::size_t begin_request(std::string_view bytes);
    template <class Call>
    void call_owner(const Call& call);
    void keep_head();
    void answer();
    void refuse(RequestFault fault);
    void on_peer_end();
    void drain_input(Readiness ready);
    void become_idle();
    void finish_turn();
    void update_deadline();
    TimePoint phase_deadline() const noexcept;
    void update_interest();
    void set_interest(Interest wanted);
    void stop_watching() noexcept;
    bool wants_input() const noexcept;

    // connection_content.inl: a request's content
    std::size_t begin_content(std::string_view rest);
    std::size_t take_content(std::string_view bytes);
    std::size_t take_chunked(std::string_view bytes);
    bool add_content(std::string_view piece, std::size_t& taken);
    bool give_content(std::string_view piece, std::size_t& taken);
    void fail_content(int status);
    bool conclude_content();
    bool takes_content() const noexcept;
    bool is_content_paused() const noexcept;
    void end_content();
    void refuse_rest();
    void abort_intake() noexcept;

    // connection_output.inl: bytes out
    bool has_output() const noexcept;
    bool is_idle() const noexcept {
        return phase_ == Phase::head && !exchange_ && in_.is_empty() && !has_output();
    }
    void send_answer();
    void begin_source(const AnswerPlan& plan, bool has_earlier_output);
    void send_output();
    void pull_from_source();
    std::uint64_t next_file_piece(BodySource::FilePiece& piece);
    std::size_t send_file_piece(const BodySource::FilePiece& piece, std::size_t most);
    BodySource::State pull_plain(Buffer& out);
    BodySource::State pull_chunk(Buffer& out);
    void end_source();
    std::size_t write_some(std::size_t most);
    void keep_unsent();
    void on_output_sent();
    void finish_answer();
    void begin_linger();
    void report_peer_gone() noexcept;
    void note_access(bool is_complete);

    // connection_upgrade.inl: what an Upgrade owns
    void begin_upgrade();
    void read_upgraded(Readiness ready);
    std::size_t write_now(std::string_view bytes);
    bool queue(std::string_view bytes);
    bool queue_body_left();

    ServerCore& core_;
    std::unique_ptr<Transport> transport_;
    std::string peer_;
    Entrance entrance_;
    std::unique_ptr<Exchange> exchange_; ///< null when idle
    Buffer in_;                          ///< received and not yet taken; owned only while needed
    Buffer out_;                         ///< not yet taken by the peer
    std::string body_;                   ///< a large answer's content ...
    std::unique_ptr<BodySource> body_owner_; ///< ... or whoever keeps it in memory ...
    std::shared_ptr<const void> body_share_; ///< ... which an Upgrade's link does like this ...
    std::string_view body_left_;             ///< ... and what of it has not left yet
    std::unique_ptr<BodySource> source_;
    std::shared_ptr<Connection*> source_waker_; ///< what a source's waker reaches us through
    std::uint64_t source_left_ = 0;             ///< of a source of known size
    std::shared_ptr<Upgrade> upgrade_;
    TimePoint phase_began_{};
    TimePoint blocked_began_{};        ///< when the peer began to take less than it is given
    std::uint64_t blocked_bytes_ = 0;  ///< what it has taken since then
    TimePoint stall_deadline_ = never; ///< when output is blocked
    TimePoint owner_deadline_ = never; ///< an Upgrade's
    std::uint64_t received_ = 0; ///< content bytes since phase_began_; drained bytes when lingering
    std::size_t requests_ = 0;
    Phase phase_ = Phase::head;
    Interest interest_;
    bool is_watched_ = false;
    bool needs_more_ = false; ///< what in_ holds has been looked at and is not enough
    bool keep_alive_ = true;  ///< behind the current answer
    bool source_is_chunked_ = false;
    bool source_waits_ = false;
    bool output_is_blocked_ = false; ///< the transport took less than it was given
    bool file_is_blocked_ = false;   ///< so did it with a file's bytes, which nobody holds
    bool reads_files_ = false;       ///< the transport cannot send the source's file by itself
    bool output_moved_ = false;      ///< in this turn
    bool unwanted_input_ = false;    ///< the poller reported input that is not read now
    bool is_reading_paused_ = false; ///< by an Upgrade
    bool is_in_turn_ = false;        ///< an Upgrade is being called in a turn of this connection
    bool may_write_now_ = false;     ///< and has not written yet
    bool wants_wake_ = false;        ///< an Upgrade has asked for it
    bool close_when_sent_ = false;   ///< by an Upgrade
    bool peer_ended_ = false;
    bool is_draining_ = false;
    bool must_refuse_ = false; ///< a newcomer beyond the cap
    bool has_answer_ = false;  ///< being sent, and not yet in the access log
};

} // namespace detail

PORTHOLE_NAMESPACE_END
