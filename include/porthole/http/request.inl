// SPDX-License-Identifier: MIT
#pragma once

// What a handler asks of a request. The target is split when the head is complete, because routing
// needs it; queries, forms and cookies are looked at when somebody asks.

#include "porthole/base/ascii.hpp"
#include "porthole/http/cookie.hpp"
#include "porthole/http/media_type.hpp"
#include "porthole/http/request.hpp"

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN RequestFault RequestParts::set_head(RequestHead& new_head, const char* new_base) {
    base = new_base;
    head = &new_head;
    head->fields.set_base(base);
    has_query = false;
    has_form = false;
    path_is_normalized = false;
    if (!parse_target(head->target.in(base), head->method_name.in(base), target)) {
        return RequestFault::bad_target;
    }
    const bool has_path = target.form == TargetForm::origin || target.form == TargetForm::absolute;
    if (has_path && path_needs_work(target.path)) {
        path_bytes.clear();
        if (!normalize_path(target.path, path_bytes)) {
            return RequestFault::bad_target;
        }
        path_is_normalized = true;
    }
    return RequestFault::none;
}

PORTHOLE_FN void RequestParts::move_to(const char* new_base) noexcept {
    if (new_base == base || head == nullptr) {
        return;
    }
    base = new_base;
    head->fields.set_base(base);
    // The text was accepted before; splitting it again sets every view, and needs no rule about
    // which of them point into the head.
    static_cast<void>(parse_target(head->target.in(base), head->method_name.in(base), target));
}

PORTHOLE_FN void RequestParts::reset() noexcept {
    base = nullptr;
    head = nullptr;
    target = Target{};
    path_is_normalized = false;
    path_bytes.clear();
    parameters.clear();
    segments.clear();
    body = {};
    trailer = nullptr;
    is_mounted = false;
    has_query = false;
    has_form = false;
}

} // namespace detail

PORTHOLE_FN std::string_view Request::method_name() const noexcept {
    return parts_->head->method_name.in(parts_->base);
}

PORTHOLE_FN std::string_view Request::target() const noexcept {
    return parts_->head->target.in(parts_->base);
}

PORTHOLE_FN std::string_view Request::path() const noexcept {
    return parts_->path_is_normalized ? std::string_view(parts_->path_bytes) : parts_->target.path;
}

PORTHOLE_FN std::string_view Request::mount_path() const noexcept {
    return parts_->is_mounted ? parts_->mount_path.in(path().data()) : path();
}

PORTHOLE_FN const FormPairs& Request::query_pairs() const {
    if (!parts_->has_query) {
        parts_->query.parse(parts_->target.query);
        parts_->has_query = true;
    }
    return parts_->query;
}

PORTHOLE_FN std::optional<std::string_view> Request::query(std::string_view name) const {
    return query_pairs().find(name);
}

PORTHOLE_FN std::vector<std::string_view> Request::query_all(std::string_view name) const {
    return query_pairs().find_all(name);
}

PORTHOLE_FN std::optional<std::string_view> Request::header(std::string_view name) const noexcept {
    return fields().find(name);
}

PORTHOLE_FN std::vector<std::string_view> Request::header_all(std::string_view name) const {
    return fields().find_all(name);
}

PORTHOLE_FN std::optional<std::string_view> Request::trailer(std::string_view name) const noexcept {
    return parts_->trailer != nullptr ? parts_->trailer->find(name) : std::nullopt;
}

PORTHOLE_FN std::optional<std::string_view> Request::cookie(std::string_view name) const noexcept {
    for (std::size_t i = 0; i < fields().size(); ++i) {
        const Field field = fields()[i];
        if (!ascii::equals_ignoring_case(field.name, "Cookie")) {
            continue;
        }
        if (const auto value = find_cookie(field.value, name)) {
            return value;
        }
    }
    return std::nullopt;
}

PORTHOLE_FN const FormPairs& Request::form_pairs() const {
    if (!parts_->has_form) {
        const auto type = header("Content-Type");
        parts_->form.clear();
        if (type
            && ascii::equals_ignoring_case(
                media_type_essence(*type), "application/x-www-form-urlencoded")) {
            parts_->form.parse(parts_->body);
        }
        parts_->has_form = true;
    }
    return parts_->form;
}

PORTHOLE_FN std::optional<std::string_view> Request::form(std::string_view name) const {
    return form_pairs().find(name);
}

PORTHOLE_FN std::vector<std::string_view> Request::form_all(std::string_view name) const {
    return form_pairs().find_all(name);
}

PORTHOLE_FN std::string_view Request::param(std::string_view name) const noexcept {
    for (const detail::PathParameter& parameter : parts_->parameters) {
        if (parameter.name == name) {
            return parameter.value.in(path().data());
        }
    }
    return {};
}

PORTHOLE_FN std::string_view Request::authority() const noexcept {
    // RFC 9112 section 3.2.2: the target's authority takes the place of Host.
    const bool is_in_target =
        parts_->target.form == TargetForm::absolute || parts_->target.form == TargetForm::authority;
    return is_in_target ? parts_->target.authority : parts_->head->host.in(parts_->base);
}

PORTHOLE_FN std::string_view Request::host() const noexcept {
    Authority split;
    return parse_authority(authority(), split) ? split.host : std::string_view{};
}

PORTHOLE_FN bool Request::has_conflicting_host() const noexcept {
    return parts_->target.form == TargetForm::absolute && parts_->head->has_host
           && !ascii::equals_ignoring_case(
               parts_->target.authority, parts_->head->host.in(parts_->base));
}

PORTHOLE_FN std::string_view Request::http_version() const noexcept {
    return parts_->head->minor_version == 0 ? "HTTP/1.0" : "HTTP/1.1";
}

PORTHOLE_NAMESPACE_END
