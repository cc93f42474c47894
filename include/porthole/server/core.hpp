// SPDX-License-Identifier: MIT
#pragma once

// What a Server owns: listeners, connections, watched descriptors, timers, the mailbox, and the
// loop that gives each of them its turn. Connections know it as the provider of shared memory and
// of time.

#include "porthole/base/buffer.hpp"
#include "porthole/base/timer_queue.hpp"
#include "porthole/base/timer_wheel.hpp"
#include "porthole/http/serializer.hpp"
#include "porthole/os/listener.hpp"
#include "porthole/os/poller.hpp"
#include "porthole/server/connection.hpp"
#include "porthole/server/mailbox.hpp"
#include "porthole/server/router.hpp"
#include "porthole/server/server.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// A listener and its turns.
class ListenerEntry final : public Pollable, public TimedTask {
public:
    ListenerEntry(ServerCore& core, Listener listener)
        : core_(core), listener_(static_cast<Listener&&>(listener)) {}
    ~ListenerEntry();

    Error open();
    PORTHOLE_FN void serve(Readiness ready) override;
    void drop() noexcept override { back_off(); }
    PORTHOLE_FN void on_deadline() override;
    const Listener& listener() const noexcept { return listener_; }
    Interest interest() const noexcept { return interest_; }

private:
    void back_off() noexcept;

    ServerCore& core_;
    Listener listener_;
    Interest interest_;
};

/// A watched descriptor and its turns. Shared by its handle; knows the core until either goes.
class WatchEntry final : public Pollable, public ListLink<OpenTag> {
public:
    WatchEntry(ServerCore& core, NativeHandle handle, Interest interest, WatchCallback callback)
        : core_(&core), handle_(handle), interest_(interest), callback_(std::move(callback)) {}

    Error open();
    PORTHOLE_FN void serve(Readiness ready) override;
    void drop() noexcept override { stop(); }
    void set_interest(Interest interest);
    void stop() noexcept;
    NativeHandle handle() const noexcept { return handle_; }
    Interest interest() const noexcept { return interest_; }
    void keep_alive(std::weak_ptr<WatchEntry> self) { self_ = std::move(self); }

private:
    ServerCore* core_; ///< null once it has stopped
    NativeHandle handle_;
    Interest interest_;
    WatchCallback callback_;
    std::weak_ptr<WatchEntry> self_; ///< so that a callback may drop its own handle
};

/// The waker's end in the poller.
class WakerEntry final : public Pollable {
public:
    explicit WakerEntry(Mailbox& mailbox) noexcept : mailbox_(mailbox) {}
    void serve(Readiness) override { mailbox_.waker().drain(); }
    void drop() noexcept override {}

private:
    Mailbox& mailbox_;
};

/// A call that is still to come. Shared with its handle.
class TimerEntry final : public QueuedTimer {
public:
    TimerEntry(ServerCore& core, std::function<void()> task)
        : core_(core), task_(std::move(task)) {}
    void on_deadline();
    void drop() noexcept {
        disarm();
        const std::function<void()> dropped = std::move(task_); // what it holds may drop us again
        task_ = nullptr;
    }
    void keep_alive(std::weak_ptr<TimerEntry> self) { self_ = std::move(self); }

private:
    ServerCore& core_; ///< which makes the call; a handle may outlive it
    std::function<void()> task_;
    std::weak_ptr<TimerEntry> self_; ///< so that the call may drop its own handle
};

class ServerCore {
public:
    explicit ServerCore(Options options);
    ~ServerCore();
    ServerCore(const ServerCore&) = delete;
    ServerCore& operator=(const ServerCore&) = delete;

    // core.inl: the loop
    TickReport tick(std::chrono::nanoseconds budget);
    TickReport tick_until(TimePoint deadline);
    TickReport wait(std::chrono::milliseconds timeout);
    void run();
    bool is_running() const noexcept;
    /// Closes everything; deletes itself, now or when the tick that called it has ended.
    void shut_down() noexcept;
    TimePoint next_deadline() noexcept;
    void wake_always() noexcept;
    Stats stats() const;

    // core_listen.inl: listeners, connections, watches
    Error listen(std::string_view host, std::uint16_t port, const ListenOptions& options);
    Error listen_unix(std::string_view path, unsigned mode);
    Error adopt(std::unique_ptr<Transport> transport, std::string_view peer);
    Error watch(
        NativeHandle handle, Interest interest, WatchCallback callback,
        std::shared_ptr<WatchEntry>& entry);
    void for_each_pollfd(const std::function<void(NativeHandle, Interest)>& visit) const;
    std::vector<Endpoint> endpoints() const;
    std::uint16_t port() const noexcept;
    std::vector<std::string> urls() const;
    void accept(Socket socket, const Endpoint& peer, Entrance entrance);
    std::string token();
    bool may_accept() noexcept;
    void note_exhausted() noexcept;
    std::shared_ptr<TimerEntry> call_after(Duration delay, std::function<void()> task);
    void add_watch(WatchEntry& entry) noexcept { watches_.push_back(entry); }

    // dispatch.inl: from a request to its answer
    /// Hooks, route, handler: fills in x.response, or leaves it deferred.
    void handle(Exchange& x);
    /// The error page and the after hooks, for answers that handle() did not see the end of.
    void finish_response(Exchange& x);
    void refuse(Exchange& x, RequestFault fault, std::string_view peer);
    void refuse_overload(Exchange& x, std::string_view peer);
    /// The guard. False when the request goes no further: x then holds the answer.
    bool admit(Exchange& x, const Entrance& entrance);
    bool has_access_log() const noexcept { return options_.access_log != nullptr; }
    void note_access(const Exchange& x, bool is_complete);
    std::shared_ptr<ReplyState> defer(Exchange& x);
    /// rewrite.inl: makes it a request for `target` of this server, and handles that.
    void rewrite(Exchange& x, std::string_view target);
    /// What becomes of a request's content.
    enum class Content : unsigned char {
        collected, ///< in x.content, x.max_content at the most
        streamed,  ///< x.intake takes it
        refused,   ///< x holds the answer, and the content is not read
    };
    Content receive(Exchange& x);
    /// False when the sink threw: x then holds the answer, which is still to be finished, and no
    /// sink any more. What was not `taken` of the piece is to come again.
    bool give(Exchange& x, std::string_view piece, std::size_t& taken);
    /// A unit of what the sink does behind the last byte, again until `is_done`; false as above.
    bool conclude(Exchange& x, bool& is_done);
    /// The content has ended behind an answer that was begun before.
    void end_content(Exchange& x);
    /// A sink takes no more: x then holds the answer.
    void answer_refusal(Exchange& x);
    void set_error_page(Handler page);

    // What connections use.
    /// Answers of one turn beyond this are sent before the next request is taken.
    static constexpr std::size_t max_answers_bytes = 64 * 1024;
    /// What a body source is asked for at a time.
    static constexpr std::size_t max_piece_bytes = 64 * 1024;
    /// Exchanges that are kept for reuse.
    static constexpr std::size_t max_free_exchanges = 16;

    const Options& options() const noexcept { return options_; }
    void set_server(Server& server) noexcept { server_ = &server; }
    Server& server() noexcept { return *server_; }
    NativeHandle poller_handle() const noexcept {
        return poller_ ? poller_->native_handle() : invalid_handle;
    }
    const Limits& limits() const noexcept { return options_.limits; }
    Router& router() noexcept { return *router_; }
    const std::shared_ptr<Router>& shared_router() noexcept { return router_; }
    const std::shared_ptr<Mailbox>& mailbox() noexcept { return mailbox_; }
    Poller& poller() noexcept { return *poller_; }
    TimerWheel& timers() noexcept { return timers_; }
    /// The server's time: the clock, less the gaps in which nobody ticked.
    TimePoint now() const noexcept { return now_; }
    TimePoint read_clock() noexcept { return read_clock(limits().max_tick_gap); }
    TimePoint read_clock(Duration longest) noexcept;
    TimePoint last_reading() const noexcept { return clock_; }
    bool is_out_of_time() const noexcept { return clock_ >= budget_end_; }
    char* read_buffer() noexcept { return read_buffer_.get(); }
    Buffer& out() noexcept { return out_; }
    const Buffer& out() const noexcept { return out_; }
    const DefaultFields& default_fields() noexcept;
    std::unique_ptr<Exchange> acquire_exchange();
    void release_exchange(std::unique_ptr<Exchange> exchange) noexcept;
    /// One that waits for its turn already keeps its place: asking again must not cost it its turn.
    void make_ready(Pollable& item) noexcept {
        if (!item.is_linked()) {
            ready_.push_back(item);
        }
    }
    void note_idle(Connection& connection) noexcept { idle_.push_back(connection); }
    void bury(Connection& connection) noexcept;

    void count_work() noexcept { ++work_; }
    void count_in(std::size_t bytes) noexcept;
    void count_out(std::size_t bytes) noexcept;
    void count_request() noexcept { ++report_.requests; }
    void count_response() noexcept { ++report_.responses; }
    void log(LogLevel level, LogId id, std::string_view sentence, std::string_view peer = {});
    void note_timeout(std::string_view sentence, std::string_view peer);
    void note_failure(std::string_view sentence, std::string_view peer);

private:
    // core.inl
    bool begin_tick(TimePoint budget_end) noexcept;
    TickReport end_tick() noexcept;
    void serve_rounds();
    void serve_batch();
    void poll(Duration timeout);
    Duration time_to_next_deadline() noexcept;
    void read_mail();
    void expire_timers();
    bool expire_deadline();
    bool make_next_call();
    Duration allowed_gap() const noexcept;
    void read_clock_after_gap() noexcept;
    void begin_stop();
    void finish_stop();
    void close_connections() noexcept;
    void clear_graveyard() noexcept;

    // core_listen.inl
    std::size_t count_from(std::string_view peer) noexcept;
    Error start_listening(std::vector<Listener> opened);
    void restart() noexcept;

    // dispatch.inl
    template <class Step>
    bool run_user_code(Exchange& x, const Step& step);
    void handle_steps(Exchange& x);
    void finish_steps(Exchange& x);
    std::string_view host_for_routing(const Request& request) const noexcept;
    void run_route(Exchange& x, const Request& request, Response& response);
    void answer_unrouted(Exchange& x, const Request& request, Response& response);
    bool run_before_hooks(
        const RouteScope* scope, Exchange& x, const Request& request, Response& response);
    void make_error(Exchange& x, int status, std::string_view sentence);
    std::uint64_t max_content(const Route* route) const noexcept;
    bool open_intake(Exchange& x);
    template <class Function, class Call>
    bool run_intake(Exchange& x, Function& function, const Call& call);
    void end_intake(Exchange& x, const Request& request, Response& response);
    RequestFault show_rewritten(Exchange& x, std::string_view target);
    void answer_login(Exchange& x);
    void answer_preflight(Exchange& x);
    void show_nothing(Exchange& x, std::string_view peer) noexcept;

    Server* server_ = nullptr;
    Options options_;
    Gatekeeper gatekeeper_;
    SystemClock system_clock_;
    Clock* clock_source_;
    TimePoint clock_;    ///< as last read
    Duration skipped_{}; ///< gaps that deadlines do not count
    TimePoint now_;      ///< clock_ - skipped_
    TimePoint budget_end_;
    TimePoint tick_began_;
    TimePoint promised_ = (TimePoint::min)(); ///< what next_deadline() told the host
    TimerWheel timers_;
    TimerQueue calls_;            ///< of call_after()
    std::uint64_t calls_end_ = 0; ///< those from it on were armed too late for this tick
    std::unique_ptr<Poller> poller_;
    std::shared_ptr<Mailbox> mailbox_;
    WakerEntry waker_entry_;
    std::shared_ptr<Router> router_;
    std::shared_ptr<Handler> error_page_;
    RequestHead empty_head_;              ///< what the request of an answer to nothing shows
    std::deque<Mailbox::Letter> letters_; ///< taken from the mailbox and not yet run

    std::vector<std::unique_ptr<ListenerEntry>> listeners_;
    IntrusiveList<Pollable, ReadyTag> ready_;
    IntrusiveList<Connection, OpenTag> open_;
    IntrusiveList<Connection, OpenTag>
        descriptorless_;                      ///< in-memory transports: asked in each round
    IntrusiveList<Connection, IdleTag> idle_; ///< the longest idle one first
    IntrusiveList<Connection, OpenTag> graveyard_;
    IntrusiveList<WatchEntry, OpenTag> watches_;
    std::vector<std::unique_ptr<Exchange>> exchanges_; ///< free ones

    std::unique_ptr<char[]> read_buffer_;
    std::unique_ptr<Poller::Event[]> events_;
    Buffer out_;
    DefaultFields default_fields_;
    std::int64_t date_period_ = -1; ///< of the clock, in which the Date field was written
    TickReport report_;
    Stats stats_;
    TimePoint stop_deadline_ = never;
    std::size_t connections_ = 0;
    std::size_t accepts_left_ = 0;
    std::uint64_t work_ = 0;  ///< grows with everything that was done
    bool* is_gone_ = nullptr; ///< tells run() that the server was destroyed
    bool is_ticking_ = false;
    bool is_draining_ = false;
    bool is_shut_down_ = false;
    bool wakes_always_ = false;
    Error broken_; ///< why the poller or the waker could not be made; listen() tells
};

} // namespace detail

PORTHOLE_NAMESPACE_END
