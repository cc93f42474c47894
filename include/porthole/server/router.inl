// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/base/ascii.hpp"
#include "porthole/http/target.hpp"
#include "porthole/server/router.hpp"

#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

struct RouteNode {
    std::string segment; ///< of a literal
    std::vector<std::unique_ptr<RouteNode>> literals;
    std::unique_ptr<RouteNode> parameter;
    std::vector<std::unique_ptr<Route>> routes;    ///< that end here, the oldest first
    std::vector<std::unique_ptr<Route>> wildcards; ///< that take everything below
    std::vector<std::unique_ptr<Route>> mounts;    ///< that take everything below, and this
};

PORTHOLE_FN Router::Router() {
    hosts_.push_back(std::unique_ptr<RouteNode>(new RouteNode));
    host_names_.emplace_back();
    scopes_.push_back(std::unique_ptr<RouteScope>(new RouteScope));
}

PORTHOLE_FN Router::~Router() = default;

PORTHOLE_FN RouteScope& Router::add_scope(RouteScope& parent, std::string_view prefix) {
    while (!prefix.empty() && prefix.back() == '/') {
        prefix.remove_suffix(1);
    }
    std::unique_ptr<RouteScope> scope(new RouteScope);
    scope->parent = &parent;
    scope->host = parent.host;
    scope->prefix = parent.prefix;
    scope->prefix += prefix;
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
        hosts_.push_back(std::unique_ptr<RouteNode>(new RouteNode));
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
            if (!node->parameter) {
                node->parameter.reset(new RouteNode);
            }
            node = node->parameter.get();
            continue;
        }
        RouteNode* next = nullptr;
        for (const std::unique_ptr<RouteNode>& literal : node->literals) {
            next = literal->segment == segment ? literal.get() : next;
        }
        if (next == nullptr) {
            node->literals.push_back(std::unique_ptr<RouteNode>(new RouteNode));
            next = node->literals.back().get();
            next->segment = segment;
        }
        node = next;
    }
    return node;
}

PORTHOLE_FN Route* Router::add(
    RouteScope& scope, std::string_view method_name, std::string_view pattern, Error& error) {
    const std::string whole = scope.prefix + std::string(pattern);
    std::unique_ptr<Route> route(new Route);
    RouteNode* node = nullptr;
    if (ascii::is_token(method_name) && !pattern.empty() && pattern.front() == '/') {
        node = find_node(*hosts_[scope.host], whole, *route);
    }
    if (node == nullptr) {
        error = Error(
            ErrorCode::bad_pattern, "route", std::string(method_name) + " " + whole,
            "a pattern begins with '/', and ':name' and a last '*name' are whole segments");
        return nullptr;
    }
    route->id = next_id_++;
    route->method = parse_method(method_name);
    route->method_name = method_name;
    route->scope = &scope;
    const bool is_wildcard = whole.find("/*") != std::string::npos;
    auto& list = is_wildcard ? node->wildcards : node->routes;
    list.push_back(std::move(route));
    return list.back().get();
}

PORTHOLE_FN Error
Router::add_mount(RouteScope& scope, std::string_view prefix, std::unique_ptr<Mount> mount) {
    while (!prefix.empty() && prefix.back() == '/') {
        prefix.remove_suffix(1);
    }
    const std::string whole = scope.prefix + std::string(prefix);
    std::unique_ptr<Route> route(new Route);
    const bool has_wildcard = whole.find("/*") != std::string::npos;
    const bool is_absolute = prefix.empty() || prefix.front() == '/';
    RouteNode* node = nullptr;
    if (!has_wildcard && is_absolute) {
        node = whole.empty() ? hosts_[scope.host].get()
                             : find_node(*hosts_[scope.host], whole, *route);
    }
    if (node == nullptr || mount == nullptr) {
        return Error(
            ErrorCode::bad_pattern, "mount", whole, "a prefix begins with '/' and has no wildcard");
    }
    for (const char c : whole) {
        route->prefix_segments += c == '/' ? 1 : 0;
    }
    route->id = next_id_++;
    route->scope = &scope;
    route->mount = std::move(mount);
    node->mounts.push_back(std::move(route));
    return {};
}

template <class Predicate>
PORTHOLE_FN bool Router::remove_if(RouteNode& node, const Predicate& predicate) {
    bool has_removed = false;
    for (auto* list : {&node.routes, &node.wildcards, &node.mounts}) {
        for (std::size_t i = list->size(); i > 0; --i) {
            if (predicate(node, *(*list)[i - 1])) {
                std::unique_ptr<Route> route = std::move((*list)[i - 1]);
                list->erase(list->begin() + static_cast<std::ptrdiff_t>(i - 1));
                retire(std::move(route));
                has_removed = true;
            }
        }
    }
    for (const std::unique_ptr<RouteNode>& literal : node.literals) {
        has_removed |= remove_if(*literal, predicate);
    }
    if (node.parameter) {
        has_removed |= remove_if(*node.parameter, predicate);
    }
    return has_removed;
}

PORTHOLE_FN void Router::retire(std::unique_ptr<Route> route) {
    if (route.get() == running_route_) {
        retired_routes_.push_back(std::move(route));
    }
}

PORTHOLE_FN void Router::leave() noexcept {
    running_scope_ = nullptr;
    running_route_ = nullptr;
    if (!retired_routes_.empty() || !retired_before_.empty() || !retired_after_.empty()) {
        retired_routes_.clear();
        retired_before_.clear();
        retired_after_.clear();
    }
}

PORTHOLE_FN bool Router::remove(std::uint32_t id) {
    for (const std::unique_ptr<RouteNode>& host : hosts_) {
        if (remove_if(*host, [id](const RouteNode&, const Route& r) { return r.id == id; })) {
            return true;
        }
    }
    return false;
}

PORTHOLE_FN bool Router::remove_mount(RouteScope& scope, std::string_view prefix) {
    while (!prefix.empty() && prefix.back() == '/') {
        prefix.remove_suffix(1);
    }
    const std::string whole = scope.prefix + std::string(prefix);
    Route scratch;
    RouteNode* root = hosts_[scope.host].get();
    RouteNode* place = whole.empty() ? root : find_node(*root, whole, scratch);
    if (place == nullptr) {
        return false;
    }
    return remove_if(*place, [place](const RouteNode& node, const Route& route) {
        return &node == place && route.mount != nullptr;
    });
}

PORTHOLE_FN void Router::clear(RouteScope& scope) {
    const auto is_within = [&scope](const RouteScope* inner) {
        while (inner != nullptr && inner != &scope) {
            inner = inner->parent;
        }
        return inner != nullptr;
    };
    for (const std::unique_ptr<RouteNode>& host : hosts_) {
        remove_if(*host, [&is_within](const RouteNode&, const Route& route) {
            return is_within(route.scope);
        });
    }
    for (const std::unique_ptr<RouteScope>& each : scopes_) {
        if (is_within(each.get())) {
            clear_hooks(*each);
        }
    }
}

PORTHOLE_FN void Router::clear_hooks(RouteScope& scope) {
    for (const RouteScope* each = running_scope_; each != nullptr; each = each->parent) {
        if (each == &scope) { // one of them may be running
            for (std::unique_ptr<BeforeHook>& hook : scope.before) {
                retired_before_.push_back(std::move(hook));
            }
            for (std::unique_ptr<AfterHook>& hook : scope.after) {
                retired_after_.push_back(std::move(hook));
            }
        }
    }
    scope.before.clear();
    scope.after.clear();
}

PORTHOLE_FN Route* Router::find(std::uint32_t id) noexcept {
    Route* found = nullptr;
    const auto look = [&](auto& self, RouteNode& node) -> void {
        for (auto* list : {&node.routes, &node.wildcards}) {
            for (const std::unique_ptr<Route>& route : *list) {
                found = route->id == id ? route.get() : found;
            }
        }
        for (const std::unique_ptr<RouteNode>& literal : node.literals) {
            self(self, *literal);
        }
        if (node.parameter) {
            self(self, *node.parameter);
        }
    };
    for (const std::unique_ptr<RouteNode>& host : hosts_) {
        look(look, *host);
    }
    return found;
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

    bool takes(const Route& route, bool as_get) const noexcept {
        if (route.method_name.empty()) {
            return true;
        }
        if (as_get) {
            return route.method == Method::get;
        }
        return route.method == method
               && (method != Method::other || route.method_name == method_name);
    }

    /// The newest route of the list that takes the method; GET's for HEAD when there is none.
    Route* pick(const std::vector<std::unique_ptr<Route>>& list) {
        if (allowed != nullptr) {
            for (const std::unique_ptr<Route>& route : list) {
                add_allowed(*route);
            }
            return nullptr;
        }
        for (const bool as_get : {false, true}) {
            if (as_get && method != Method::head) {
                break;
            }
            for (std::size_t i = list.size(); i > 0; --i) {
                if (takes(*list[i - 1], as_get)) {
                    return list[i - 1].get();
                }
            }
        }
        return nullptr;
    }

    void add_allowed(const Route& route) {
        const auto add = [this](std::string_view name) {
            if (!ascii::list_has(*allowed, name)) {
                *allowed += allowed->empty() ? "" : ", ";
                *allowed += name;
            }
        };
        if (!route.method_name.empty()) {
            add(route.method_name);
        }
        if (route.method == Method::get) {
            add("HEAD");
        }
    }

    Route* descend(const RouteNode& node, std::size_t depth) {
        const std::vector<Span>& segments = parts.segments;
        const std::size_t parameters = parts.parameters.size();
        if (depth == segments.size()) {
            Route* route = pick(node.routes);
            return route != nullptr ? route : finish_mount(pick(node.mounts), depth);
        }
        const std::string_view segment = segments[depth].in(path.data());
        for (const std::unique_ptr<RouteNode>& literal : node.literals) {
            if (literal->segment == segment) {
                if (Route* route = descend(*literal, depth + 1)) {
                    return route;
                }
            }
        }
        if (node.parameter && !segment.empty()) {
            parts.parameters.push_back(PathParameter{{}, segments[depth]});
            if (Route* route = descend(*node.parameter, depth + 1)) {
                return route;
            }
            parts.parameters.resize(parameters);
        }
        if (Route* route = pick(node.wildcards)) {
            const auto at = segments[depth].at;
            const auto size = static_cast<std::uint32_t>(path.size() - at);
            parts.parameters.push_back(PathParameter{{}, Span{at, size}});
            return route;
        }
        return finish_mount(pick(node.mounts), depth);
    }

    /// What is below the prefix begins with its slash; nothing is below when the path is the
    /// prefix.
    Route* finish_mount(Route* route, std::size_t depth) noexcept {
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
