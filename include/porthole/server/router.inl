// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/base/ascii.hpp"
#include "porthole/http/target.hpp"
#include "porthole/server/router.hpp"

#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// One segment of the patterns of a host, and what ends or branches off there.
struct RouteNode {
    std::string segment; ///< of a literal
    std::vector<RouteNode*> literals;
    RouteNode* parameter = nullptr;
    std::vector<Route*> routes; ///< the oldest first
};

PORTHOLE_FN Route::~Route() = default;

PORTHOLE_FN Router::Router() {
    hosts_.push_back(add_node());
    host_names_.emplace_back();
    scopes_.push_back(std::unique_ptr<RouteScope>(new RouteScope));
}

PORTHOLE_FN Router::~Router() = default;

PORTHOLE_FN RouteNode* Router::add_node() {
    nodes_.push_back(std::unique_ptr<RouteNode>(new RouteNode));
    return nodes_.back().get();
}

/// Without the slashes at its end, below the scope's own prefix.
inline std::string whole_prefix(const RouteScope& scope, std::string_view prefix) {
    while (!prefix.empty() && prefix.back() == '/') {
        prefix.remove_suffix(1);
    }
    std::string whole = scope.prefix;
    whole += !prefix.empty() && prefix.front() != '/' ? "/" : "";
    whole += prefix;
    return whole;
}

PORTHOLE_FN RouteScope& Router::add_scope(RouteScope& parent, std::string_view prefix) {
    std::unique_ptr<RouteScope> scope(new RouteScope);
    scope->parent = &parent;
    scope->host = parent.host;
    scope->prefix = whole_prefix(parent, prefix);
    scopes_.push_back(std::move(scope));
    return *scopes_.back();
}

PORTHOLE_FN RouteScope& Router::add_host(std::string_view name) {
    std::string folded;
    for (const char c : name) {
        folded.push_back(ascii::to_lower(c));
    }
    if (!folded.empty() && folded.back() == '.') {
        folded.pop_back();
    }
    std::size_t index = 0;
    while (index < host_names_.size() && host_names_[index] != folded) {
        ++index;
    }
    if (index == host_names_.size()) {
        host_names_.push_back(std::move(folded));
        hosts_.push_back(add_node());
    }
    RouteScope& scope = add_scope(root(), {});
    scope.host = index;
    return scope;
}

/// Exact names before "*.suffix" ones, longer suffixes before shorter ones; 0 when none fits.
PORTHOLE_FN std::size_t Router::host_index(std::string_view host) const noexcept {
    if (!host.empty() && host.back() == '.') {
        host.remove_suffix(1);
    }
    std::size_t best = 0;
    std::size_t best_size = 0;
    for (std::size_t i = 1; i < host_names_.size(); ++i) {
        const std::string_view name = host_names_[i];
        if (ascii::equals_ignoring_case(name, host)) {
            return i;
        }
        const bool is_suffix = name.size() > 1 && name[0] == '*' && host.size() >= name.size();
        if (is_suffix && name.size() > best_size
            && ascii::equals_ignoring_case(
                name.substr(1), host.substr(host.size() - name.size() + 1))) {
            best = i;
            best_size = name.size();
        }
    }
    return best;
}

/// Walks down the pattern's segments, making the nodes that are missing, and notes the names. Null
/// when the pattern breaks a rule.
PORTHOLE_FN RouteNode* Router::find_node(RouteNode& root, std::string_view pattern, Route& route) {
    if (pattern.empty() || pattern.front() != '/') {
        return nullptr;
    }
    RouteNode* node = &root;
    while (!pattern.empty()) {
        pattern.remove_prefix(1); // the slash
        const std::string_view segment = pattern.substr(0, pattern.find('/'));
        pattern.remove_prefix(segment.size());
        const char kind = segment.empty() ? '/' : segment.front();
        if (kind == '*') {
            route.names.emplace_back(segment.size() == 1 ? segment : segment.substr(1));
            return pattern.empty() ? node : nullptr;
        }
        if (kind == ':') {
            if (segment.size() == 1) {
                return nullptr;
            }
            route.names.emplace_back(segment.substr(1));
            if (node->parameter == nullptr) {
                node->parameter = add_node();
            }
            node = node->parameter;
            continue;
        }
        RouteNode* next = nullptr;
        for (RouteNode* literal : node->literals) {
            next = literal->segment == segment ? literal : next;
        }
        if (next == nullptr) {
            next = add_node();
            next->segment = segment;
            node->literals.push_back(next);
        }
        node = next;
    }
    return node;
}

PORTHOLE_FN Route& Router::keep(std::unique_ptr<Route> route, RouteScope& scope, RouteNode& node) {
    route->id = next_id_++;
    route->scope = &scope;
    route->node = &node;
    node.routes.push_back(route.get());
    routes_.push_back(std::move(route));
    return *routes_.back();
}

PORTHOLE_FN Route* Router::add(
    RouteScope& scope, std::string_view method_name, std::string_view pattern, Error& error) {
    std::string whole = scope.prefix;
    whole += pattern;
    std::unique_ptr<Route> route(new Route);
    RouteNode* node = nullptr;
    if (ascii::is_token(method_name) && !pattern.empty() && pattern.front() == '/') {
        node = find_node(*hosts_[scope.host], whole, *route);
    }
    if (node == nullptr) {
        std::string subject(method_name);
        subject.append(" ").append(whole);
        error = Error(
            ErrorCode::bad_pattern, "route", subject,
            "a pattern begins with '/', and ':name' and a last '*name' are whole segments");
        return nullptr;
    }
    route->method = parse_method(method_name);
    route->method_name = method_name;
    const bool is_wildcard = whole.find("/*") != std::string::npos;
    route->kind = is_wildcard ? Route::Kind::wildcard : Route::Kind::exact;
    return &keep(std::move(route), scope, *node);
}

PORTHOLE_FN Route* Router::add_mount(
    RouteScope& scope, std::string_view prefix, std::unique_ptr<Mount> mount, Error& error) {
    const std::string whole = whole_prefix(scope, prefix);
    std::unique_ptr<Route> route(new Route);
    const bool has_wildcard = whole.find("/*") != std::string::npos;
    const bool is_absolute = prefix.empty() || prefix.front() == '/';
    RouteNode* node = nullptr;
    if (!has_wildcard && is_absolute && mount != nullptr) {
        node = find_mount_node(scope, whole, *route);
    }
    if (node == nullptr) {
        error = Error(
            ErrorCode::bad_pattern, "mount", whole, "a prefix begins with '/' and has no wildcard");
        return nullptr;
    }
    route->kind = Route::Kind::mount;
    route->mount = std::move(mount);
    return &keep(std::move(route), scope, *node);
}

PORTHOLE_FN RouteNode*
Router::find_mount_node(const RouteScope& scope, std::string_view whole, Route& route) {
    RouteNode* root = hosts_[scope.host];
    return whole.empty() ? root : find_node(*root, whole, route);
}

/// Takes a route out of the tree. The caller lets it die when all is whole again: what its handler
/// owns may remove other routes.
PORTHOLE_FN void Router::take(std::size_t index, RemovedRoutes& removed) {
    std::vector<Route*>& siblings = routes_[index]->node->routes;
    for (std::size_t i = 0; i < siblings.size(); ++i) {
        if (siblings[i] == routes_[index].get()) {
            siblings.erase(siblings.begin() + static_cast<std::ptrdiff_t>(i));
            break;
        }
    }
    removed.push_back(std::move(routes_[index]));
    routes_.erase(routes_.begin() + static_cast<std::ptrdiff_t>(index));
}

/// What is running lives until leave(); the rest dies with `removed`.
PORTHOLE_FN void Router::retire(RemovedRoutes& removed) {
    for (std::unique_ptr<Route>& route : removed) {
        if (route.get() == running_route_) {
            retired_routes_.push_back(std::move(route));
        }
    }
}

PORTHOLE_FN void Router::leave() noexcept {
    running_scope_ = nullptr;
    running_route_ = nullptr;
    if (!retired_routes_.empty() || !retired_before_.empty() || !retired_after_.empty()) {
        const RemovedRoutes routes(std::move(retired_routes_)); // what they own may come back here
        const auto before = std::move(retired_before_);
        const auto after = std::move(retired_after_);
        retired_routes_.clear();
        retired_before_.clear();
        retired_after_.clear();
    }
}

PORTHOLE_FN bool Router::remove(std::uint32_t id) {
    RemovedRoutes removed;
    for (std::size_t i = routes_.size(); i > 0; --i) {
        if (routes_[i - 1]->id == id) {
            take(i - 1, removed);
        }
    }
    retire(removed);
    return !removed.empty();
}

PORTHOLE_FN bool Router::remove_mount(RouteScope& scope, std::string_view prefix) {
    Route scratch;
    const RouteNode* place = find_mount_node(scope, whole_prefix(scope, prefix), scratch);
    RemovedRoutes removed;
    for (std::size_t i = routes_.size(); i > 0; --i) {
        if (routes_[i - 1]->node == place && routes_[i - 1]->kind == Route::Kind::mount) {
            take(i - 1, removed);
        }
    }
    retire(removed);
    return !removed.empty();
}

PORTHOLE_FN void Router::clear(RouteScope& scope) {
    const auto is_within = [&scope](const RouteScope* inner) {
        while (inner != nullptr && inner != &scope) {
            inner = inner->parent;
        }
        return inner != nullptr;
    };
    RemovedRoutes removed;
    for (std::size_t i = routes_.size(); i > 0; --i) {
        if (is_within(routes_[i - 1]->scope)) {
            take(i - 1, removed);
        }
    }
    retire(removed);
    for (std::size_t i = 0; i < scopes_.size(); ++i) { // a hook's end may add groups
        if (is_within(scopes_[i].get())) {
            clear_hooks(*scopes_[i]);
        }
    }
}

PORTHOLE_FN void Router::clear_hooks(RouteScope& scope) {
    // Hooks die when the lists are whole again: what they own may add others.
    auto before = std::move(scope.before);
    auto after = std::move(scope.after);
    scope.before.clear();
    scope.after.clear();
    for (const RouteScope* each = running_scope_; each != nullptr; each = each->parent) {
        if (each == &scope) { // one of them may be running
            for (std::unique_ptr<BeforeHook>& hook : before) {
                retired_before_.push_back(std::move(hook));
            }
            for (std::unique_ptr<AfterHook>& hook : after) {
                retired_after_.push_back(std::move(hook));
            }
        }
    }
}

PORTHOLE_FN Route* Router::find(std::uint32_t id) noexcept {
    for (const std::unique_ptr<Route>& route : routes_) {
        if (route->id == id) {
            return route.get();
        }
    }
    return nullptr;
}

/// One request on its way down a tree. Segments are places in the path that handlers see, so an
/// encoded slash in a segment does not split it.
struct Router::Search {
    RequestParts& parts;
    std::string_view path;
    Method method;
    std::string_view method_name;
    std::string* allowed = nullptr; ///< when set: collect methods instead of matching

    /// The path's segments behind its first slash. A path that had to be normalized is split by its
    /// raw segments, whose decoded sizes are known.
    void split() {
        std::vector<Span>& segments = parts.segments;
        segments.clear();
        if (!parts.path_is_normalized) {
            std::size_t begin = 1;
            for (;;) {
                const std::size_t slash = path.find('/', begin);
                const std::size_t end = slash == std::string_view::npos ? path.size() : slash;
                add_segment(begin, end - begin);
                if (slash == std::string_view::npos) {
                    return;
                }
                begin = slash + 1;
            }
        }
        split_normalized(parts.target.path);
    }

    void split_normalized(std::string_view raw) {
        std::vector<Span>& segments = parts.segments;
        std::size_t begin = 1;
        bool ends_with_dots = false;
        while (!raw.empty()) {
            raw.remove_prefix(1); // the slash
            const std::string_view segment = raw.substr(0, raw.find('/'));
            raw.remove_prefix(segment.size());
            const std::size_t dots = count_dots(segment);
            ends_with_dots = dots == 1 || dots == 2;
            if (dots == 2 && !segments.empty()) {
                begin = segments.back().at;
                segments.pop_back();
            }
            if (!ends_with_dots) {
                const std::size_t size = decoded_size(segment);
                add_segment(begin, size);
                begin += size + 1;
            }
        }
        if (ends_with_dots) {
            add_segment(begin, 0);
        }
    }

    void add_segment(std::size_t at, std::size_t size) {
        parts.segments.push_back(
            Span{static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(size)});
    }

    static std::size_t decoded_size(std::string_view segment) noexcept {
        std::size_t size = segment.size();
        for (const char c : segment) {
            size -= c == '%' ? 2 : 0;
        }
        return size;
    }

    /// 1 for "." and 2 for "..", however encoded; 0 for anything else.
    static std::size_t count_dots(std::string_view segment) noexcept {
        std::size_t dots = 0;
        while (!segment.empty()) {
            const bool is_encoded =
                segment.size() >= 3 && ascii::equals_ignoring_case(segment.substr(0, 3), "%2e");
            if (!is_encoded && segment.front() != '.') {
                return 0;
            }
            segment.remove_prefix(is_encoded ? 3 : 1);
            ++dots;
        }
        return dots <= 2 ? dots : 0;
    }

    bool takes(const Route& route) const noexcept {
        return route.method_name.empty()
               || (route.method == method
                   && (method != Method::other || route.method_name == method_name));
    }

    /// The newest route of that kind that takes the method; GET's for HEAD when there is none.
    Route* pick(const RouteNode& node, Route::Kind kind) {
        Route* best = nullptr;
        Route* as_get = nullptr;
        for (Route* route : node.routes) {
            if (route->kind != kind) {
                continue;
            }
            if (allowed != nullptr) {
                add_allowed(*route);
            } else if (takes(*route)) {
                best = route;
            } else if (route->method == Method::get && method == Method::head) {
                as_get = route;
            }
        }
        return best != nullptr ? best : as_get;
    }

    void add_allowed(const Route& route) {
        add_allowed(route.method_name);
        add_allowed(route.method == Method::get ? "HEAD" : "");
    }

    void add_allowed(std::string_view name) {
        if (!name.empty() && !ascii::list_has(*allowed, name)) {
            *allowed += allowed->empty() ? "" : ", ";
            *allowed += name;
        }
    }

    Route* descend(const RouteNode& node, std::size_t depth) {
        const std::vector<Span>& segments = parts.segments;
        if (depth == segments.size()) {
            Route* route = pick(node, Route::Kind::exact);
            return route != nullptr ? route : pick_mount(node, depth);
        }
        const std::string_view segment = segments[depth].in(path.data());
        for (const RouteNode* literal : node.literals) {
            if (literal->segment == segment) {
                if (Route* route = descend(*literal, depth + 1)) {
                    return route;
                }
            }
        }
        if (node.parameter != nullptr && !segment.empty()) {
            parts.parameters.push_back(PathParameter{{}, segments[depth]});
            if (Route* route = descend(*node.parameter, depth + 1)) {
                return route;
            }
            parts.parameters.pop_back();
        }
        if (Route* route = pick(node, Route::Kind::wildcard)) {
            const auto at = segments[depth].at;
            const auto size = static_cast<std::uint32_t>(path.size() - at);
            parts.parameters.push_back(PathParameter{{}, Span{at, size}});
            return route;
        }
        return pick_mount(node, depth);
    }

    /// What is below the prefix begins with its slash; nothing is below when the path is the
    /// prefix.
    Route* pick_mount(const RouteNode& node, std::size_t depth) {
        Route* route = pick(node, Route::Kind::mount);
        if (route != nullptr) {
            const bool has_rest = depth < parts.segments.size();
            const std::size_t at =
                has_rest ? parts.segments[depth].at - std::size_t{1} : path.size();
            parts.is_mounted = true;
            parts.mount_path =
                Span{static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(path.size() - at)};
        }
        return route;
    }
};

PORTHOLE_FN Route* Router::match(RequestParts& parts, std::string_view host) {
    const Request request(parts);
    parts.parameters.clear();
    parts.is_mounted = false;
    if (parts.target.path.empty() || parts.target.path.front() != '/') {
        return nullptr; // OPTIONS *
    }
    Search search{parts, request.path(), request.method(), request.method_name()};
    search.split();
    const std::size_t index = hosts_.size() == 1 ? 0 : host_index(host);
    Route* route = search.descend(*hosts_[index], 0);
    if (route == nullptr && index != 0) {
        route = search.descend(*hosts_[0], 0);
    }
    if (route != nullptr) {
        for (std::size_t i = 0; i < parts.parameters.size(); ++i) {
            parts.parameters[i].name = route->names[i];
        }
    }
    return route;
}

PORTHOLE_FN std::string Router::allowed_methods(RequestParts& parts, std::string_view host) {
    const Request request(parts);
    std::string allowed;
    if (parts.segments.empty() || parts.target.path.empty() || parts.target.path.front() != '/') {
        return allowed;
    }
    Search search{parts, request.path(), request.method(), request.method_name(), &allowed};
    const std::size_t index = hosts_.size() == 1 ? 0 : host_index(host);
    search.descend(*hosts_[index], 0);
    if (index != 0) {
        search.descend(*hosts_[0], 0);
    }
    parts.parameters.clear();
    if (!allowed.empty()) {
        allowed += ascii::list_has(allowed, "OPTIONS") ? "" : ", OPTIONS";
    }
    return allowed;
}

} // namespace detail

PORTHOLE_NAMESPACE_END
