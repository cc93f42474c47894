// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/base/ascii.hpp"
#include "porthole/ext/cgi.inl"
#include "porthole/ext/fastcgi.hpp"
#include "porthole/ext/fastcgi_mount.hpp"
#include "porthole/server/server.hpp"

#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// RFC 9110 section 9.2.2, RFC 4918 section 9.1 and RFC 5323 section 2.
inline bool is_idempotent(Method method) noexcept {
    for (const Method other :
         {Method::get, Method::head, Method::put, Method::del, Method::options, Method::trace,
          Method::propfind, Method::report, Method::search}) {
        if (method == other) {
            return true;
        }
    }
    return false;
}

PORTHOLE_FN std::size_t
find_script_end(std::string_view path, const std::vector<std::string>& extensions) noexcept {
    std::size_t begin = 0;
    while (begin < path.size()) {
        const std::size_t slash = path.find('/', begin + 1);
        const std::size_t end = slash == std::string_view::npos ? path.size() : slash;
        const std::string_view part = path.substr(begin + 1, end - begin - 1);
        for (const std::string& extension : extensions) {
            if (part.size() > extension.size()
                && part.substr(part.size() - extension.size()) == extension) {
                return end;
            }
        }
        begin = end;
    }
    return std::string_view::npos;
}

PORTHOLE_FN
FastCgiMount::FastCgiMount(std::string_view address, bool is_scgi, FastCgiSettings settings)
    : gate_(std::make_shared<FastCgiGate>(std::string(address), is_scgi, std::move(settings))) {}

PORTHOLE_FN FastCgiMount::~FastCgiMount() {
    gate_->close();
}

PORTHOLE_FN Error FastCgiMount::attach(Server& server) {
    return gate_->attach(server);
}

/// False when the request goes no further: `response` then says why.
PORTHOLE_FN bool
FastCgiMount::make_order(const Request& request, Response& response, FastCgiOrder& order) const {
    constexpr int moved_permanently = 301;
    const FastCgiSettings& settings = gate_->settings();
    if (gate_->server() == nullptr) {
        response.fail(503, "The server is being taken down.");
        return false;
    }
    if (check_raw_path(request.target()) != PathVerdict::fine) {
        response.fail(
            400, "A path must not have encoded slashes, backslashes or control characters.");
        return false;
    }
    CgiContext context;
    context.path_info = request.mount_path();
    std::string script_filename;
    if (!settings.document_root.empty()) {
        const std::string_view path = request.mount_path();
        if (path.empty()) {
            response.redirect(cgi_directory_location(request), moved_permanently);
            response.header("Cache-Control", "no-cache");
            return false;
        }
        std::size_t end = find_script_end(path, settings.extensions);
        if (end == std::string_view::npos && path.back() == '/') {
            context.index = settings.index;
            end = path.size();
        }
        if (end == std::string_view::npos
            || check_path(path.substr(0, end), rules_) != PathVerdict::fine) {
            response.fail(404, "No program answers at this path.");
            return false;
        }
        context.path_info = path.substr(end);
        script_filename = settings.document_root;
        script_filename.append(path.substr(0, end)).append(context.index);
    }
    if (!gate_->has_room()) {
        response.fail(
            503, "Too many requests wait for their turn (FastCgiOptions::max_waiting).",
            std::chrono::seconds(1));
        return false;
    }
    context.script_filename = script_filename;
    context.document_root = settings.document_root;
    context.software = gate_->server()->options().server_name;
    context.port = gate_->server()->port();
    context.passes_authorization = settings.passes_authorization;
    context.extra = &settings.variables;
    if (const auto length = request.header("Content-Length")) {
        context.content_length = ascii::parse_decimal(*length);
    }
    order.variables = build_cgi_environment(request, context);
    order.name = gate_->address();
    order.peer = request.peer();
    order.is_head = request.method() == Method::head;
    order.is_repeatable = is_idempotent(request.method());
    return true;
}

PORTHOLE_FN void FastCgiMount::handle(const Request& request, Response& response) {
    FastCgiOrder order;
    if (make_order(request, response, order)) {
        gate_->enter(std::make_shared<FastCgiRequest>(gate_, std::move(order), response.defer()));
    }
}

PORTHOLE_FN BodySink FastCgiMount::receive(const Request& request, Response& response) {
    const ChunkedUpload chunked = gate_->settings().chunked;
    FastCgiOrder order;
    if (!make_order(request, response, order)) {
        return {};
    }
    const bool is_sized = request.header("Content-Length").has_value();
    if (!is_sized && chunked == ChunkedUpload::refuse) {
        response.fail(411, "The server behind this path needs to know how much comes.");
        return {};
    }
    order.has_content = true;
    order.is_spooled = !is_sized && (chunked == ChunkedUpload::spool || gate_->is_scgi());
    return make_cgi_sink(
        *gate_, std::make_shared<FastCgiRequest>(gate_, std::move(order), response.defer()));
}

} // namespace detail

PORTHOLE_FN std::unique_ptr<Mount> fastcgi(std::string_view address, FastCgiOptions options) {
    return std::make_unique<detail::FastCgiMount>(address, false, options.settings());
}

PORTHOLE_FN std::unique_ptr<Mount> scgi(std::string_view address, FastCgiOptions options) {
    return std::make_unique<detail::FastCgiMount>(address, true, options.settings());
}

PORTHOLE_NAMESPACE_END
