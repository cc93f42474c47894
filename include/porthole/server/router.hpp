// SPDX-License-Identifier: MIT
#pragma once

// From a method and a path to the handler. Patterns form a tree of segments, one tree for each
// virtual host: a literal segment beats a ":parameter", which beats a "*wildcard", whatever the
// order they were added in. Matching visits each node of the tree at most once and allocates
// nothing in steady state.

#include "porthole/http/request.hpp"
#include "porthole/server/body_sink.hpp"
#include "porthole/server/handler.hpp"
#include "porthole/server/mount.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// The root of a virtual host's tree, or a segment below it.
struct RouteNode;

/// A group of routes: where its prefix begins, and what runs around their handlers.
struct RouteScope {
    RouteScope* parent = nullptr;                    ///< null for the server itself
    std::size_t host = 0;                            ///< index of the virtual host; 0 is any
    std::string prefix;                              ///< without a slash at its end
    std::vector<std::unique_ptr<BeforeHook>> before; ///< each stays in place while it runs
    std::vector<std::unique_ptr<AfterHook>> after;
    std::optional<std::uint64_t> max_body_bytes;
};

struct Route {
    /// What it takes: its path alone, everything below it, or, for a mount, both.
    enum class Kind : unsigned char { exact, wildcard, mount };

    Route() = default;
    Route(const Route&) = delete;
    Route& operator=(const Route&) = delete;
    ~Route();

    std::uint32_t id = 0;
    Kind kind = Kind::exact;
    Method method = Method::other;
    std::string method_name; ///< empty: any method
    std::vector<std::string> names;
    Handler handler;
    StreamHandler stream_handler; ///< of a route that takes its content as it comes, instead
    std::unique_ptr<Mount> mount; ///< of a mount, instead of handler
    bool takes_streams() const noexcept {
        return stream_handler != nullptr || (mount && mount->takes_streams());
    }
    RouteScope* scope = nullptr;
    RouteNode* node = nullptr; ///< where it ends
    std::optional<std::uint64_t> max_body_bytes;
};

class Router {
public:
    Router();
    ~Router();
    Router(const Router&) = delete;
    Router& operator=(const Router&) = delete;

    RouteScope& root() noexcept { return *scopes_.front(); }
    RouteScope& add_scope(RouteScope& parent, std::string_view prefix);
    /// `name` is a host name, exact or "*.suffix"; empty is any host.
    RouteScope& add_host(std::string_view name);

    /// Adds a route below the scope's prefix. Null, with the reason in `error`, when the pattern
    /// cannot be parsed: it begins with '/', ":name" and "*name" are whole segments, and '*' comes
    /// last.
    Route*
    add(RouteScope& scope, std::string_view method_name, std::string_view pattern, Error& error);
    Route* add_mount(
        RouteScope& scope, std::string_view prefix, std::unique_ptr<Mount> mount, Error& error);
    bool remove_mount(RouteScope& scope, std::string_view prefix);
    Route* find(std::uint32_t id) noexcept;
    bool remove(std::uint32_t id);
    /// Removes all routes of the scope and of those within it, and their hooks.
    void clear(RouteScope& scope);

    /// False while all routes are for any host: then `host` is not looked at below.
    bool has_hosts() const noexcept { return hosts_.size() > 1; }
    /// The best route for the request, its parameters filled in, or null. HEAD falls back to GET.
    Route* match(RequestParts& parts, std::string_view host);
    /// The methods that the request's path has routes for, as a value for Allow (RFC 9110
    /// section 10.2.1); empty when it has none.
    std::string allowed_methods(RequestParts& parts, std::string_view host);

    /// While user code runs, what is running is not destroyed when it is removed, but only taken
    /// out; leave() destroys it. Everything else goes at once, so that its code may be unloaded.
    void enter(const RouteScope* scope) noexcept { running_scope_ = scope; }
    /// From the match to the last after hook: what hooks see of the request is the route's own.
    void enter(const Route& route) noexcept { running_route_ = &route; }
    void leave() noexcept;

private:
    struct Search;
    std::vector<std::unique_ptr<RouteNode>> nodes_; ///< of all trees; they stay where they are
    std::vector<std::unique_ptr<Route>> routes_;    ///< of all nodes
    std::vector<RouteNode*> hosts_;                 ///< roots; the first is for any host
    std::vector<std::string> host_names_;
    std::vector<std::unique_ptr<RouteScope>> scopes_; ///< the first is the server's
    const RouteScope* running_scope_ = nullptr;
    const Route* running_route_ = nullptr;
    std::vector<std::unique_ptr<Route>> retired_routes_;
    std::vector<std::unique_ptr<BeforeHook>> retired_before_;
    std::vector<std::unique_ptr<AfterHook>> retired_after_;
    std::uint32_t next_id_ = 1;

    using RemovedRoutes = std::vector<std::unique_ptr<Route>>;

    RouteNode* add_node();
    RouteNode* find_node(RouteNode& root, std::string_view pattern, Route& route);
    RouteNode* find_mount_node(const RouteScope& scope, std::string_view whole, Route& route);
    std::size_t host_index(std::string_view host) const noexcept;
    Route& keep(std::unique_ptr<Route> route, RouteScope& scope, RouteNode& node);
    void take(std::size_t index, RemovedRoutes& removed);
    void retire(RemovedRoutes& removed);
    void clear_hooks(RouteScope& scope);
};

} // namespace detail

PORTHOLE_NAMESPACE_END
