// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/base/ascii.hpp"
#include "porthole/http/response.hpp"
#include "porthole/http/status.hpp"

#include <functional>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// What a ResponseParts keeps for the next answer; a larger one was an exception.
inline constexpr std::size_t kept_body_bytes = 64 * 1024;

inline constexpr std::string_view field_separator = ": ";
inline constexpr std::string_view line_end = "\r\n";

PORTHOLE_FN void ResponseParts::reset() noexcept {
    status = 200;
    is_touched = false;
    has_overrides = false;
    must_close = false;
    is_deferred = false;
    is_refusal = false;
    refused_fields = 0;
    fields.clear();
    if (body.capacity() > kept_body_bytes) {
        std::string().swap(body); // assigning an empty string may keep the memory
    } else {
        body.clear();
    }
    source.reset();
    upgrade.reset();
    upgrade_protocol.clear();
}

PORTHOLE_FN std::size_t line_size(std::string_view lines) noexcept {
    const std::size_t end = lines.find('\n');
    return end == std::string_view::npos ? lines.size() : end + 1;
}

inline bool line_has_name(std::string_view line, std::string_view name) noexcept {
    return line.size() > name.size() && line[name.size()] == ':'
           && ascii::equals_ignoring_case(line.substr(0, name.size()), name);
}

PORTHOLE_FN std::size_t find_field_line(std::string_view lines, std::string_view name) noexcept {
    for (std::size_t at = 0; at < lines.size(); at += line_size(lines.substr(at))) {
        if (line_has_name(lines.substr(at), name)) {
            return at;
        }
    }
    return std::string_view::npos;
}

/// Removes the lines of that name among the first `size` bytes.
inline void remove_field_lines(std::string& lines, std::size_t size, std::string_view name) {
    std::size_t at = 0;
    while (at < size) {
        const std::string_view rest = std::string_view(lines).substr(at);
        const std::size_t here = line_size(rest);
        if (line_has_name(rest, name)) {
            lines.erase(at, here);
            size -= here;
        } else {
            at += here;
        }
    }
}

/// Whose field a name is. Picked by size first, so that most names cost no comparison.
enum class FieldOwner : unsigned char { handler, shared, connection, server };

inline FieldOwner owner_of_field(std::string_view name) noexcept {
    const auto is = [name](std::string_view other) {
        return ascii::equals_ignoring_case(name, other);
    };
    switch (name.size()) {
    case std::string_view("Date").size():
        return is("Date") ? FieldOwner::shared : FieldOwner::handler;
    case std::string_view("Server").size():
        return is("Server") ? FieldOwner::shared : FieldOwner::handler;
    case std::string_view("Upgrade").size():
        return is("Upgrade") ? FieldOwner::server : FieldOwner::handler;
    case std::string_view("Connection").size():
        if (is("Connection")) {
            return FieldOwner::connection;
        }
        return is("Keep-Alive") ? FieldOwner::server : FieldOwner::handler;
    case std::string_view("Content-Length").size():
        return is("Content-Length") ? FieldOwner::server : FieldOwner::handler;
    case std::string_view("Referrer-Policy").size():
        return is("Referrer-Policy") ? FieldOwner::shared : FieldOwner::handler;
    case std::string_view("Transfer-Encoding").size():
        return is("Transfer-Encoding") ? FieldOwner::server : FieldOwner::handler;
    case std::string_view("X-Content-Type-Options").size():
        return is("X-Content-Type-Options") ? FieldOwner::shared : FieldOwner::handler;
    case std::string_view("Cross-Origin-Resource-Policy").size():
        return is("Cross-Origin-Resource-Policy") ? FieldOwner::shared : FieldOwner::handler;
    default: return FieldOwner::handler;
    }
}

/// True when `view` lies in `text`, so that changing the one would change the other.
inline bool points_into(std::string_view view, const std::string& text) noexcept {
    const std::less<const char*> is_before;
    return !is_before(view.data(), text.data())
           && is_before(view.data(), text.data() + text.size());
}

inline void append_field_line(std::string& lines, std::string_view name, std::string_view value) {
    if (points_into(name, lines) || points_into(value, lines)) {
        const std::string name_copy(name);
        const std::string value_copy(value);
        append_field_line(lines, name_copy, value_copy);
        return;
    }
    // Grown once and then filled: four appends would check the capacity four times.
    const std::size_t at = lines.size();
    lines.resize(at + name.size() + field_separator.size() + value.size() + line_end.size());
    char* into = lines.data() + at;
    for (const std::string_view part : {name, field_separator, value, line_end}) {
        into += part.copy(into, part.size()); // an empty value may have no address
    }
}

/// The choke point: every field that reaches the wire by a program's wish passes here (RFC 9110
/// section 5). Says whether a line may be added; the trimmed value is left in `value`.
inline bool
accept_field(ResponseParts& parts, std::string_view name, std::string_view& value) noexcept {
    value = ascii::trim(value);
    const bool is_well_formed = ascii::is_token(name) && ascii::is_field_value(value);
    PORTHOLE_ASSERT(
        is_well_formed, "a field name is a token, and a value has no CR, LF, NUL or other control");
    if (!is_well_formed) {
        ++parts.refused_fields;
        return false;
    }
    switch (owner_of_field(name)) {
    case FieldOwner::handler: break;
    case FieldOwner::shared: parts.has_overrides = true; break;
    case FieldOwner::connection: {
        const bool is_close = ascii::equals_ignoring_case(value, "close");
        PORTHOLE_ASSERT(is_close, "the server decides on Connection, but for \"close\"");
        if (is_close) {
            parts.must_close = true;
            parts.is_touched = true;
        } else {
            ++parts.refused_fields;
        }
        return false;
    }
    case FieldOwner::server:
        PORTHOLE_ASSERT(
            false, "the server computes Content-Length, Transfer-Encoding, Keep-Alive and Upgrade");
        ++parts.refused_fields;
        return false;
    }
    parts.is_touched = true;
    return true;
}

/// Replaces the lines of that name. Adds before it removes: the value may lie in the old line.
inline void set_field(ResponseParts& parts, std::string_view name, std::string_view value) {
    if (!accept_field(parts, name, value)) {
        return;
    }
    const std::size_t before = parts.fields.size();
    if (points_into(name, parts.fields)) {
        const std::string name_copy(name);
        append_field_line(parts.fields, name_copy, value);
        remove_field_lines(parts.fields, before, name_copy);
        return;
    }
    append_field_line(parts.fields, name, value);
    remove_field_lines(parts.fields, before, name);
}

/// header("Content-Type", type), without the checks that this name does not need. A type that is
/// refused does not leave that of the content before it.
inline void set_content_type(ResponseParts& parts, std::string_view type) {
    constexpr std::string_view name = "Content-Type";
    const std::size_t before = parts.fields.size();
    type = ascii::trim(type);
    const bool is_well_formed = ascii::is_field_value(type);
    PORTHOLE_ASSERT(is_well_formed, "a content type has no CR, LF, NUL or other control");
    if (is_well_formed) {
        append_field_line(parts.fields, name, type);
    } else {
        ++parts.refused_fields;
    }
    if (before != 0) {
        remove_field_lines(parts.fields, before, name);
    }
}

/// What had been the answer's content, or its new owner, is no longer.
inline void begin_content(ResponseParts& parts) noexcept {
    parts.is_touched = true;
    parts.is_refusal = false;
    parts.source.reset();
    parts.upgrade.reset();
}

/// Each part of an Upgrade value, a name and perhaps a version, is a token (RFC 9110 section 7.8).
inline bool is_protocol(std::string_view text) noexcept {
    const std::size_t slash = text.find('/');
    return ascii::is_token(text.substr(0, slash))
           && (slash == std::string_view::npos || ascii::is_token(text.substr(slash + 1)));
}

} // namespace detail

PORTHOLE_FN Response& Response::status(int code) {
    constexpr int first = 200;
    constexpr int last = 599;
    constexpr int internal_server_error = 500;
    const bool is_final = code >= first && code <= last;
    PORTHOLE_ASSERT(is_final, "a final status is 200 to 599; 101 comes with upgrade()");
    parts_->status = is_final ? code : internal_server_error;
    parts_->is_touched = true;
    return *this;
}

PORTHOLE_FN Response& Response::header(std::string_view name, std::string_view value) {
    detail::set_field(*parts_, name, value);
    return *this;
}

PORTHOLE_FN Response& Response::add_header(std::string_view name, std::string_view value) {
    if (detail::accept_field(*parts_, name, value)) {
        detail::append_field_line(parts_->fields, name, value);
    }
    return *this;
}

PORTHOLE_FN Response& Response::remove_header(std::string_view name) {
    if (detail::points_into(name, parts_->fields)) {
        const std::string name_copy(name);
        return remove_header(name_copy);
    }
    detail::remove_field_lines(parts_->fields, parts_->fields.size(), name);
    return *this;
}

PORTHOLE_FN std::optional<std::string_view> Response::header(std::string_view name) const noexcept {
    const std::string_view lines = parts_->fields;
    const std::size_t at = detail::find_field_line(lines, name);
    if (at == std::string_view::npos) {
        return std::nullopt;
    }
    const std::size_t value_at = name.size() + detail::field_separator.size();
    std::string_view line = lines.substr(at, detail::line_size(lines.substr(at)));
    line.remove_suffix(detail::line_end.size());
    return line.substr(value_at);
}

PORTHOLE_FN Response&
Response::cookie(std::string_view name, std::string_view value, const CookieOptions& options) {
    std::string field;
    const bool is_written = write_cookie(name, value, options, field);
    PORTHOLE_ASSERT(
        is_written, "a cookie's name is a token, its value has no blank, quote, comma or "
                    "semicolon, and a cross-site one is secure");
    if (!is_written) {
        ++parts_->refused_fields;
        return *this;
    }
    return add_header("Set-Cookie", field);
}

PORTHOLE_FN Response& Response::send(std::string_view type, std::string_view bytes) {
    detail::begin_content(*parts_);
    parts_->body.assign(bytes);
    detail::set_content_type(*parts_, type);
    return *this;
}

PORTHOLE_FN Response& Response::body(std::string bytes) {
    detail::begin_content(*parts_);
    parts_->body = std::move(bytes);
    return *this;
}

PORTHOLE_FN Response& Response::send(std::string_view type, std::unique_ptr<BodySource> source) {
    PORTHOLE_ASSERT(source != nullptr, "a body source is needed; no_content() sends none");
    detail::begin_content(*parts_);
    parts_->body.clear();
    parts_->source = std::move(source);
    detail::set_content_type(*parts_, type);
    return *this;
}

PORTHOLE_FN Response& Response::redirect(std::string_view location, int code) {
    constexpr int moved_permanently = 301;
    constexpr int found = 302;
    constexpr int see_other = 303;
    constexpr int temporary_redirect = 307;
    constexpr int permanent_redirect = 308;
    constexpr int internal_server_error = 500;
    const bool is_redirect = code == moved_permanently || code == found || code == see_other
                             || code == temporary_redirect || code == permanent_redirect;
    PORTHOLE_ASSERT(is_redirect, "a redirect is 301, 302, 303, 307 or 308");
    const unsigned refused_before = parts_->refused_fields;
    detail::set_field(*parts_, "Location", location);
    if (parts_->refused_fields != refused_before) {
        remove_header("Location");
        return status(internal_server_error).text("This redirect leads nowhere.\n");
    }
    return status(is_redirect ? code : found).text("What you look for is elsewhere.\n");
}

PORTHOLE_FN Response&
Response::fail(int code, std::string_view sentence, std::chrono::seconds retry_after) {
    reset();
    status(code);
    if (retry_after.count() > 0) {
        header("Retry-After", std::to_string(retry_after.count()));
    }
    std::string page = std::to_string(parts_->status);
    page.append(" ").append(reason_phrase(parts_->status)).append("\n");
    page.append(sentence).append("\n");
    text(page);
    parts_->is_refusal = true;
    return *this;
}

PORTHOLE_FN Response& Response::no_content() {
    constexpr int no_content_status = 204;
    detail::begin_content(*parts_);
    parts_->body.clear();
    remove_header("Content-Type");
    return status(no_content_status);
}

PORTHOLE_FN Response& Response::close_connection() {
    parts_->must_close = true;
    parts_->is_touched = true;
    return *this;
}

PORTHOLE_FN Response& Response::reset() {
    // A deferred answer stays with its Reply, and what was refused is still to be logged.
    const bool is_deferred = parts_->is_deferred;
    const unsigned refused_fields = parts_->refused_fields;
    parts_->reset();
    parts_->is_deferred = is_deferred;
    parts_->refused_fields = refused_fields;
    return *this;
}

PORTHOLE_FN Response& Response::upgrade(std::string_view protocol, std::shared_ptr<Upgrade> owner) {
    constexpr int internal_server_error = 500;
    protocol = ascii::trim(protocol);
    const bool is_possible = owner != nullptr && detail::is_protocol(protocol);
    PORTHOLE_ASSERT(is_possible, "an upgrade needs an owner and a protocol such as \"websocket\"");
    detail::begin_content(*parts_);
    parts_->body.clear();
    if (!is_possible) {
        ++parts_->refused_fields;
        return status(internal_server_error).text("This upgrade is not possible.\n");
    }
    parts_->upgrade_protocol.assign(protocol);
    parts_->upgrade = std::move(owner);
    return *this;
}

PORTHOLE_FN Response& Response::fail_upgrade(std::string_view protocol, std::string_view sentence) {
    constexpr int upgrade_required = 426;
    PORTHOLE_ASSERT(detail::is_protocol(protocol), "a protocol is named such as \"websocket\"");
    fail(upgrade_required, sentence);
    if (detail::is_protocol(protocol)) { // RFC 9110 section 7.8: Connection names it, too
        parts_->fields.append("Connection: upgrade\r\nUpgrade: ").append(protocol).append("\r\n");
    }
    return *this;
}

PORTHOLE_NAMESPACE_END
