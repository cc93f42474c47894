// SPDX-License-Identifier: MIT
#pragma once

// The server as its user sees it: routes, listeners, and the calls that pump it.
//
// tick(budget) does, in this order, until nothing moves any more or the budget is spent:
// 1. tasks that post() left, and answers that replies have finished;
// 2. one poll for ready descriptors, without waiting;
// 3. each that is ready, in turn, beginning with those the last tick left over: a listener
//    accepts a few; a connection reads a bounded piece, parses, routes, calls handlers, and
//    writes a bounded piece; a watched descriptor's callback is called;
// 4. deadlines that have passed.
// The clock is looked at between these units, and the rest waits for the next tick. A tick with
// nothing to do is one system call, whatever the number of idle connections, and allocates nothing.

#include "porthole/base/clock.hpp"
#include "porthole/base/error.hpp"
#include "porthole/base/histogram.hpp"
#include "porthole/base/limits.hpp"
#include "porthole/base/log.hpp"
#include "porthole/os/endpoint.hpp"
#include "porthole/os/listener.hpp"
#include "porthole/os/poller.hpp"
#include "porthole/os/transport.hpp"
#include "porthole/server/access_record.hpp"
#include "porthole/server/body_sink.hpp"
#include "porthole/server/guard.hpp"
#include "porthole/server/handler.hpp"
#include "porthole/server/mount.hpp"
#include "porthole/server/task_poster.hpp"
#include "porthole/server/timer.hpp"
#include "porthole/server/watch.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

class Router;
class ServerCore;
struct RouteScope;

/// Called by Server's constructor, so that a program without the implementation fails to link with
/// a message that says what to do.
void define_PORTHOLE_IMPLEMENTATION_in_exactly_one_source_file();

} // namespace detail

/// How a server behaves. Everything has a default that is safe on a developer's machine.
struct Options {
    Limits limits;
    /// Which requests are let in at all.
    Guard guard;
    /// Where the time comes from; null is the machine's clock. Must outlive the server.
    Clock* clock = nullptr;
    /// Where events go; none by default.
    LogSink log;
    /// Told of each answer; none by default. ext/access_log writes it as a line.
    AccessLog access_log;
    /// The Server field of each answer; empty: none is sent.
    std::string server_name;
    PollerKind poller = PollerKind::automatic;
};

/// What one tick did.
struct TickReport {
    std::uint32_t requests = 0;  ///< whose handling began
    std::uint32_t responses = 0; ///< handed to the transport, or queued behind it
    std::uint64_t bytes_in = 0;
    std::uint64_t bytes_out = 0;
    std::chrono::nanoseconds elapsed{0};
    std::chrono::nanoseconds handler_time{0}; ///< the part of elapsed spent in the user's functions
    bool more = false;                        ///< work was left for the next tick
};

/// What a server did since it was made.
struct Stats {
    std::uint64_t ticks = 0;
    std::uint64_t requests = 0;
    std::uint64_t responses = 0;
    std::uint64_t bytes_in = 0;
    std::uint64_t bytes_out = 0;
    std::uint64_t accepted = 0;        ///< connections
    std::uint64_t refused = 0;         ///< connections that got 503, or made room, at the cap
    std::uint64_t timeouts = 0;        ///< connections that a deadline has cut
    std::uint64_t accept_backoffs = 0; ///< pauses because no descriptor was left
    std::size_t connections = 0;       ///< open now
    std::chrono::nanoseconds handler_time{0};
    Histogram tick_times;    ///< ticks that did something, the user's functions included
    Histogram library_times; ///< the same without the user's functions
};

/// A route that was added. A handle that goes away leaves its route; one that outlives the server
/// does nothing.
class RouteHandle {
public:
    RouteHandle() = default;
    RouteHandle(std::weak_ptr<detail::Router> router, std::uint32_t id) noexcept
        : router_(std::move(router)), id_(id) {}

    /// Takes the route out and destroys its handler: at once, or, when it is running, as soon as it
    /// returns.
    void remove();
    /// This route's own Limits::max_body_bytes, or max_streamed_body_bytes.
    RouteHandle& max_body_bytes(std::uint64_t bytes);
    /// False for a pattern that could not be parsed, and after remove().
    bool is_valid() const noexcept;

private:
    std::weak_ptr<detail::Router> router_;
    std::uint32_t id_ = 0;
};

/// Routes below a prefix that share hooks and limits. Cheap to copy; valid as long as the server.
///
/// Patterns begin with '/'. A segment ":name" matches one segment that is not empty, a last segment
/// "*" or "*name" the rest of the path. A literal beats a parameter, which beats a wildcard, in
/// whatever order they were added; the newest of two equal routes wins. HEAD is answered by GET's
/// handler, OPTIONS and 405 with Allow come by themselves.
class Group {
public:
    RouteHandle get(std::string_view pattern, Handler handler);
    RouteHandle post(std::string_view pattern, Handler handler);
    RouteHandle put(std::string_view pattern, Handler handler);
    RouteHandle patch(std::string_view pattern, Handler handler);
    RouteHandle del(std::string_view pattern, Handler handler);
    RouteHandle route(std::string_view method_name, std::string_view pattern, Handler handler);

    /// Routes that take their content as it comes, and decide at the head whether they want it.
    RouteHandle post_stream(std::string_view pattern, StreamHandler handler);
    RouteHandle put_stream(std::string_view pattern, StreamHandler handler);
    RouteHandle patch_stream(std::string_view pattern, StreamHandler handler);
    RouteHandle
    route_stream(std::string_view method_name, std::string_view pattern, StreamHandler handler);

    /// Gives everything below `prefix`, and `prefix` itself, to `mount`. Routes beat mounts; a
    /// longer prefix beats a shorter one.
    Error mount(std::string_view prefix, std::unique_ptr<Mount> mount);
    /// A handler as a mount.
    Error mount(std::string_view prefix, Handler handler);
    /// True when there was such a mount.
    bool unmount(std::string_view prefix);

    /// A group within this one.
    Group group(std::string_view prefix);
    /// Runs before the handlers of this group and the groups within, in the order added, outer
    /// groups first. The server's own also run for requests that match no route.
    void before(BeforeHook hook);
    /// Runs behind the handlers of this group, in the order added, inner groups first. The server's
    /// own see every answer, the library's error pages included.
    void after(AfterHook hook);
    /// Limits::max_body_bytes, and max_streamed_body_bytes, for the routes of this group.
    Group& max_body_bytes(std::uint64_t bytes);
    /// Removes all routes, mounts and hooks of this group and the groups within: hot reload.
    void clear();

protected:
    friend class Server;
    Group(detail::ServerCore* core, detail::RouteScope* scope) noexcept
        : core_(core), scope_(scope) {}

    detail::ServerCore* core_;
    detail::RouteScope* scope_;
};

/// An HTTP/1.1 server without a thread of its own. All calls but stop(), post() and poster() belong
/// to one thread: the one that ticks.
class Server : public Group {
public:
    explicit Server(Options options = {}) : Server(make_core(std::move(options))) {
        detail::define_PORTHOLE_IMPLEMENTATION_in_exactly_one_source_file();
    }
    /// Closes everything at once, after one attempt to send what is complete. Never blocks. Also
    /// legal inside a handler, whose answer is then not sent.
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    /// Listens on every address of `host` on that port; port 0 takes a free one, the same for all.
    /// May be called several times. All or nothing: an error names the call, the endpoint and the
    /// remedy, and leaves earlier listeners alone. Blocks only for names that the system has to
    /// look up.
    Error listen(std::string_view host, std::uint16_t port, const ListenOptions& options = {});
    /// On localhost.
    Error listen(std::uint16_t port, const ListenOptions& options = {});
    /// On a unix socket with those permissions. A socket file that nobody answers on is replaced.
    Error listen_unix(std::string_view path, unsigned mode = 0600);
    /// Takes a connection that was made elsewhere: the in-memory transport, an inherited socket,
    /// TLS.
    Error adopt(std::unique_ptr<Transport> transport, std::string_view peer);

    /// Routes for requests to that host only: "tools.localhost", or "*.localhost" for all below.
    /// Others fall through to the routes for any host.
    Group host(std::string_view name);
    /// Makes the page for every error that the library answers, and for answers from 400 on that
    /// have no content. response.status() tells which. A request that could not be parsed shows no
    /// method. Like an after hook it answers at once: defer() is for handlers.
    void on_error(Handler page);

    /// Serves for at most `budget`; never blocks.
    TickReport tick(std::chrono::microseconds budget = std::chrono::milliseconds(1));
    /// Serves and sleeps in turn until `deadline`: instead of sleeping away the rest of a frame.
    TickReport tick_until(TimePoint deadline);
    /// Sleeps until something is ready, `timeout` at the most, and serves what is.
    TickReport wait(std::chrono::milliseconds timeout);
    /// Serves until stop(). Returns at once when nothing listens.
    void run();
    /// Stops listening, closes idle connections, lets complete answers leave within
    /// Limits::stop_grace, and ends run(). Any thread, any state, also a handler or a signal
    /// handler; several calls are one. listen() starts anew.
    void stop() noexcept;
    /// False from stop() on, until it listens again.
    bool is_running() const noexcept;

    using Group::post;
    /// Runs `task` inside the next tick and wakes a waiting server. Any thread.
    void post(std::function<void()> task);
    /// What posts to this server, for threads and objects that may outlive it. Any thread.
    TaskPoster poster() const;
    /// Calls `task` inside a tick once `delay` has passed, in the server's time, which stands still
    /// while the program does: by the first tick from then on, in the order of their times. Not
    /// before the next tick, or sleep of tick_until(), however short the delay is.
    TimerHandle call_after(Duration delay, std::function<void()> task);
    /// Watches a descriptor and calls back inside tick().
    Error watch(NativeHandle handle, Interest interest, WatchCallback callback, WatchHandle& watch);

    /// One descriptor that is readable when tick() has something to do, or invalid_handle with
    /// pollers that have none: then use for_each_pollfd().
    NativeHandle native_handle() const noexcept;
    /// Calls `visit` with each descriptor that the server waits for.
    void for_each_pollfd(const std::function<void(NativeHandle, Interest)>& visit) const;
    /// tick() at the latest then; never when nothing is pending.
    TimePoint next_deadline() const noexcept;

    /// Where it listens.
    std::vector<Endpoint> endpoints() const;
    /// The port of the first listener that has one, else 0.
    std::uint16_t port() const noexcept;
    /// Addresses to type into a browser: "http://localhost:8080/", and each interface's when
    /// exposed; with the token where one is asked for.
    std::vector<std::string> urls() const;
    /// What opens listeners that ask for a token: `Authorization: Bearer <token>`, or once
    /// `?token=` in a browser. Empty when the system has no random bytes to give.
    std::string token() const;
    Stats stats() const;
    const Options& options() const noexcept;

private:
    explicit Server(detail::ServerCore* core) noexcept;
    static detail::ServerCore* make_core(Options options);
};

PORTHOLE_NAMESPACE_END
