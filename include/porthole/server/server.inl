// SPDX-License-Identifier: MIT
#pragma once

// The public face: each call hands on to the core or to the router.

#include "porthole/server/core.hpp"
#include "porthole/server/server.hpp"

#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// A handler in a mount's clothes.
class HandlerMount final : public Mount {
public:
    explicit HandlerMount(Handler handler) : handler_(std::move(handler)) {}
    void handle(const Request& request, Response& response) override {
        handler_(request, response);
    }

private:
    Handler handler_;
};

} // namespace detail

PORTHOLE_FN void RouteHandle::remove() {
    if (const std::shared_ptr<detail::Router> router = router_.lock()) {
        router->remove(id_);
    }
    id_ = 0;
}

PORTHOLE_FN RouteHandle& RouteHandle::max_body_bytes(std::uint64_t bytes) {
    if (const std::shared_ptr<detail::Router> router = router_.lock()) {
        if (detail::Route* route = router->find(id_)) {
            route->max_body_bytes = bytes;
        }
    }
    return *this;
}

PORTHOLE_FN bool RouteHandle::is_valid() const noexcept {
    const std::shared_ptr<detail::Router> router = router_.lock();
    return router && router->find(id_) != nullptr;
}

namespace detail {

/// Null, with a word in the log, for a route that cannot be.
inline Route* add_route(
    ServerCore& core, RouteScope& scope, std::string_view method_name, std::string_view pattern,
    bool has_handler) {
    Error error;
    Route* route = core.router().add(scope, method_name, pattern, error);
    PORTHOLE_ASSERT(route != nullptr && has_handler, "a route has a valid pattern and a handler");
    if (route == nullptr) {
        core.log(LogLevel::error, LogId::bad_pattern, error.message());
        return nullptr;
    }
    if (!has_handler) {
        core.router().remove(route->id);
        core.log(LogLevel::error, LogId::bad_pattern, "A route without a handler was not added.");
        return nullptr;
    }
    return route;
}

} // namespace detail

PORTHOLE_FN RouteHandle
Group::route(std::string_view method_name, std::string_view pattern, Handler handler) {
    detail::Route* route =
        detail::add_route(*core_, *scope_, method_name, pattern, handler != nullptr);
    if (route == nullptr) {
        return {};
    }
    route->handler = std::move(handler);
    return RouteHandle(core_->shared_router(), route->id);
}

PORTHOLE_FN RouteHandle
Group::route_stream(std::string_view method_name, std::string_view pattern, StreamHandler handler) {
    detail::Route* route =
        detail::add_route(*core_, *scope_, method_name, pattern, handler != nullptr);
    if (route == nullptr) {
        return {};
    }
    route->stream_handler = std::move(handler);
    return RouteHandle(core_->shared_router(), route->id);
}

PORTHOLE_FN RouteHandle Group::post_stream(std::string_view pattern, StreamHandler handler) {
    return route_stream("POST", pattern, std::move(handler));
}

PORTHOLE_FN RouteHandle Group::put_stream(std::string_view pattern, StreamHandler handler) {
    return route_stream("PUT", pattern, std::move(handler));
}

PORTHOLE_FN RouteHandle Group::patch_stream(std::string_view pattern, StreamHandler handler) {
    return route_stream("PATCH", pattern, std::move(handler));
}

PORTHOLE_FN RouteHandle Group::get(std::string_view pattern, Handler handler) {
    return route("GET", pattern, std::move(handler));
}

PORTHOLE_FN RouteHandle Group::post(std::string_view pattern, Handler handler) {
    return route("POST", pattern, std::move(handler));
}

PORTHOLE_FN RouteHandle Group::put(std::string_view pattern, Handler handler) {
    return route("PUT", pattern, std::move(handler));
}

PORTHOLE_FN RouteHandle Group::patch(std::string_view pattern, Handler handler) {
    return route("PATCH", pattern, std::move(handler));
}

PORTHOLE_FN RouteHandle Group::del(std::string_view pattern, Handler handler) {
    return route("DELETE", pattern, std::move(handler));
}

PORTHOLE_FN Error Group::mount(std::string_view prefix, std::unique_ptr<Mount> mount) {
    Error error;
    const detail::Route* route =
        core_->router().add_mount(*scope_, prefix, std::move(mount), error);
    if (route == nullptr) {
        return error;
    }
    const std::uint32_t id = route->id;
    error = route->mount->attach(core_->server());
    if (error) {
        core_->router().remove(id);
    }
    return error;
}

PORTHOLE_FN Error Group::mount(std::string_view prefix, Handler handler) {
    if (!handler) {
        return mount(prefix, std::unique_ptr<Mount>());
    }
    return mount(prefix, std::unique_ptr<Mount>(new detail::HandlerMount(std::move(handler))));
}

PORTHOLE_FN bool Group::unmount(std::string_view prefix) {
    return core_->router().remove_mount(*scope_, prefix);
}

PORTHOLE_FN Group Group::group(std::string_view prefix) {
    PORTHOLE_ASSERT(prefix.empty() || prefix.front() == '/', "a group's prefix begins with '/'");
    return Group(core_, &core_->router().add_scope(*scope_, prefix));
}

PORTHOLE_FN void Group::before(BeforeHook hook) {
    PORTHOLE_ASSERT(hook, "a hook is a function");
    if (!hook) {
        return;
    }
    scope_->before.push_back(std::unique_ptr<BeforeHook>(new BeforeHook(std::move(hook))));
}

PORTHOLE_FN void Group::after(AfterHook hook) {
    PORTHOLE_ASSERT(hook, "a hook is a function");
    if (!hook) {
        return;
    }
    scope_->after.push_back(std::unique_ptr<AfterHook>(new AfterHook(std::move(hook))));
}

PORTHOLE_FN Group& Group::max_body_bytes(std::uint64_t bytes) {
    scope_->max_body_bytes = bytes;
    return *this;
}

PORTHOLE_FN void Group::clear() {
    core_->router().clear(*scope_);
}

PORTHOLE_FN Server::Server(detail::ServerCore* core) noexcept
    : Group(core, &core->router().root()) {
    core->set_server(*this);
}

PORTHOLE_FN detail::ServerCore* Server::make_core(Options options) {
    return new detail::ServerCore(std::move(options));
}

PORTHOLE_FN Server::~Server() {
    core_->shut_down();
}

PORTHOLE_FN Error
Server::listen(std::string_view host, std::uint16_t port, const ListenOptions& options) {
    return core_->listen(host, port, options);
}

PORTHOLE_FN Error Server::listen(std::uint16_t port, const ListenOptions& options) {
    return core_->listen("localhost", port, options);
}

PORTHOLE_FN Error Server::listen_unix(std::string_view path, unsigned mode) {
    return core_->listen_unix(path, mode);
}

PORTHOLE_FN Error Server::adopt(std::unique_ptr<Transport> transport, std::string_view peer) {
    return core_->adopt(std::move(transport), peer);
}

PORTHOLE_FN Group Server::host(std::string_view name) {
    return Group(core_, &core_->router().add_host(name));
}

PORTHOLE_FN void Server::on_error(Handler page) {
    core_->set_error_page(std::move(page));
}

PORTHOLE_FN TickReport Server::tick(std::chrono::microseconds budget) {
    return core_->tick(budget);
}

PORTHOLE_FN TickReport Server::tick_until(TimePoint deadline) {
    return core_->tick_until(deadline);
}

PORTHOLE_FN TickReport Server::wait(std::chrono::milliseconds timeout) {
    return core_->wait(timeout);
}

PORTHOLE_FN void Server::run() {
    core_->run();
}

PORTHOLE_FN void Server::stop() noexcept {
    core_->mailbox()->request_stop();
}

PORTHOLE_FN bool Server::is_running() const noexcept {
    return core_->is_running();
}

PORTHOLE_FN void Server::post(std::function<void()> task) {
    PORTHOLE_ASSERT(task, "a task is a function");
    if (task) {
        core_->mailbox()->put(std::move(task));
    }
}

PORTHOLE_FN Error
Server::watch(NativeHandle handle, Interest interest, WatchCallback callback, WatchHandle& watch) {
    std::shared_ptr<detail::WatchEntry> entry;
    Error error = core_->watch(handle, interest, std::move(callback), entry);
    watch = WatchHandle(std::move(entry));
    return error;
}

PORTHOLE_FN TaskPoster Server::poster() const {
    return TaskPoster(core_->mailbox());
}

PORTHOLE_FN TimerHandle Server::call_after(Duration delay, std::function<void()> task) {
    PORTHOLE_ASSERT(task, "a task is a function");
    return task ? TimerHandle(core_->call_after(delay, std::move(task))) : TimerHandle();
}

PORTHOLE_FN NativeHandle Server::native_handle() const noexcept {
    core_->wake_always();
    return core_->poller_handle();
}

PORTHOLE_FN void
Server::for_each_pollfd(const std::function<void(NativeHandle, Interest)>& visit) const {
    core_->wake_always();
    core_->for_each_pollfd(visit);
}

PORTHOLE_FN TimePoint Server::next_deadline() const noexcept {
    return core_->next_deadline();
}

PORTHOLE_FN std::vector<Endpoint> Server::endpoints() const {
    return core_->endpoints();
}

PORTHOLE_FN std::uint16_t Server::port() const noexcept {
    return core_->port();
}

PORTHOLE_FN std::vector<std::string> Server::urls() const {
    return core_->urls();
}

PORTHOLE_FN std::string Server::token() const {
    return core_->token();
}

PORTHOLE_FN Stats Server::stats() const {
    return core_->stats();
}

PORTHOLE_FN const Options& Server::options() const noexcept {
    return core_->options();
}

PORTHOLE_NAMESPACE_END
