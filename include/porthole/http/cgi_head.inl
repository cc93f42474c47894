// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/base/ascii.hpp"
#include "porthole/http/cgi_head.hpp"

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN std::string_view describe(CgiFault fault) noexcept {
    switch (fault) {
    case CgiFault::none: return "nothing is wrong";
    case CgiFault::empty: return "it ended without printing anything";
    case CgiFault::no_end: return "it ended before the empty line that ends the head";
    case CgiFault::too_long: return "its head has no end within CgiOptions::max_head_bytes";
    case CgiFault::bad_line: return "a line of its head is no field (NAME: VALUE)";
    case CgiFault::repeated_field: return "it printed Content-Type, Location or Status twice";
    case CgiFault::no_field:
        return "its head has none of Content-Type, Location and Status (RFC 3875 section 6.2)";
    case CgiFault::bad_content_type: return "its Content-Type cannot be sent";
    case CgiFault::bad_location: return "its Location is no place";
    case CgiFault::bad_status: return "its Status is not a number from 200 to 599";
    case CgiFault::bad_status_line: return "an nph- program begins with \"HTTP/1.1 200 OK\"";
    case CgiFault::coded_content: return "an nph- program must not use a transfer coding";
    case CgiFault::too_many_fields: return "its head has too many fields";
    }
    return "";
}

/// Three digits, and behind them nothing or a reason, which is not sent (RFC 3875 section 6.3.3).
inline bool parse_cgi_status(std::string_view text, int& status) noexcept {
    constexpr std::size_t digits = 3;
    constexpr std::uint64_t lowest = 200;
    constexpr std::uint64_t highest = 599;
    const auto code = ascii::parse_decimal(text.substr(0, digits));
    if (!code || text.size() < digits || *code < lowest || *code > highest
        || (text.size() > digits && text[digits] != ' ' && text[digits] != '\t')) {
        return false;
    }
    status = static_cast<int>(*code);
    return true;
}

/// Fields about the connection, which is the server's.
inline bool is_connection_field(std::string_view name) noexcept {
    for (const std::string_view own :
         {"Connection", "Keep-Alive", "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding",
          "Upgrade"}) {
        if (ascii::equals_ignoring_case(name, own)) {
            return true;
        }
    }
    return false;
}

PORTHOLE_FN CgiHeadParser::State CgiHeadParser::fail(CgiFault fault) noexcept {
    fault_ = fault;
    state_ = State::failed;
    return state_;
}

PORTHOLE_FN std::string_view CgiHeadParser::bad_line(std::string_view bytes) const noexcept {
    const bool has_one = fault_ == CgiFault::bad_line || fault_ == CgiFault::bad_status_line;
    if (!has_one || line_begin_ >= bytes.size()) {
        return {};
    }
    bytes.remove_prefix(line_begin_);
    bytes = bytes.substr(0, bytes.find('\n'));
    return bytes.substr(0, !bytes.empty() && bytes.back() == '\r' ? bytes.size() - 1 : bytes.npos);
}

/// "HTTP/1.1 404 Not Found". The version says nothing: what the client speaks decides.
PORTHOLE_FN CgiFault CgiHeadParser::take_status_line(std::string_view line) noexcept {
    constexpr std::string_view version = "HTTP/1.";
    constexpr std::size_t status_at = std::string_view("HTTP/1.1 ").size();
    if (line.substr(0, version.size()) != version || line.size() < status_at
        || !ascii::is_digit(line[version.size()]) || line[status_at - 1] != ' ') {
        return CgiFault::bad_status_line;
    }
    return parse_cgi_status(line.substr(status_at), status_) ? CgiFault::none
                                                             : CgiFault::bad_status;
}

/// Remembers where the field stands; the bytes may move until the head is complete.
PORTHOLE_FN CgiFault CgiHeadParser::take_line(std::string_view line) {
    if (options_.is_nph && !has_status_line_) {
        has_status_line_ = true;
        return take_status_line(line);
    }
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || !ascii::is_token(line.substr(0, colon))) {
        return CgiFault::bad_line;
    }
    if (lines_.size() == options_.max_fields) {
        return CgiFault::too_many_fields;
    }
    const std::string_view value = ascii::trim(line.substr(colon + 1));
    const std::size_t value_at =
        value.empty() ? colon + 1 : static_cast<std::size_t>(value.data() - line.data());
    lines_.push_back({line_begin_, colon, line_begin_ + value_at, value.size()});
    return CgiFault::none;
}

PORTHOLE_FN CgiHeadParser::State CgiHeadParser::parse(std::string_view bytes) {
    while (state_ == State::need_more) {
        const std::size_t end = bytes.find('\n', scanned_);
        const bool is_within = end != std::string_view::npos && end < options_.max_bytes;
        if (!is_within) {
            scanned_ = bytes.size();
            return bytes.size() >= options_.max_bytes ? fail(CgiFault::too_long) : state_;
        }
        std::string_view line = bytes.substr(line_begin_, end - line_begin_);
        if (!line.empty() && line.back() == '\r') {
            line.remove_suffix(1);
        }
        if (!line.empty()) {
            const CgiFault fault = take_line(line);
            if (fault != CgiFault::none) {
                return fail(fault);
            }
            line_begin_ = scanned_ = end + 1;
            continue;
        }
        line_begin_ = scanned_ = end + 1;
        const CgiFault fault = complete(bytes);
        state_ = State::complete;
        return fault == CgiFault::none ? state_ : fail(fault);
    }
    return state_;
}

PORTHOLE_FN CgiHeadParser::State CgiHeadParser::finish(std::string_view bytes) {
    if (parse(bytes) == State::need_more) {
        return fail(bytes.empty() ? CgiFault::empty : CgiFault::no_end);
    }
    return state_;
}

PORTHOLE_FN CgiFault CgiHeadParser::complete(std::string_view bytes) {
    if (options_.is_nph && !has_status_line_) {
        return CgiFault::bad_status_line;
    }
    head_.status = status_;
    head_.fields.reserve(lines_.size());
    for (const Line& line : lines_) {
        const CgiFault fault = take_field(
            bytes.substr(line.at, line.name_size), bytes.substr(line.value_at, line.value_size));
        if (fault != CgiFault::none) {
            return fault;
        }
    }
    return decide();
}

PORTHOLE_FN CgiFault CgiHeadParser::take_field(std::string_view name, std::string_view value) {
    const auto is = [name](std::string_view other) {
        return ascii::equals_ignoring_case(name, other);
    };
    const bool is_fit = ascii::is_field_value(value);
    if (is("Content-Type")) {
        if (has_type_) {
            return CgiFault::repeated_field;
        }
        has_type_ = true;
        head_.content_type = value;
        return is_fit && !value.empty() ? CgiFault::none : CgiFault::bad_content_type;
    }
    if (is("Location")) {
        if (has_location_) {
            return CgiFault::repeated_field;
        }
        has_location_ = true;
        head_.location = value;
        const bool has_blank = value.find_first_of(" \t") != std::string_view::npos;
        return is_fit && !value.empty() && !has_blank ? CgiFault::none : CgiFault::bad_location;
    }
    if (is("Status") && !options_.is_nph) {
        if (has_status_) {
            return CgiFault::repeated_field;
        }
        has_status_ = true;
        return parse_cgi_status(value, head_.status) ? CgiFault::none : CgiFault::bad_status;
    }
    if (options_.is_nph && is("Transfer-Encoding")) {
        return CgiFault::coded_content;
    }
    if (is("Content-Length")) {
        const auto length = ascii::parse_decimal(value);
        has_conflict_ |= !length || (head_.content_length && *head_.content_length != *length);
        head_.content_length = length;
        return CgiFault::none;
    }
    if (is_fit && !is_connection_field(name)) {
        head_.fields.push_back({name, value});
    } else {
        ++head_.refused_fields;
    }
    return CgiFault::none;
}

/// RFC 3875 section 6.2.
PORTHOLE_FN CgiFault CgiHeadParser::decide() noexcept {
    constexpr int found = 302;
    if (has_conflict_) {
        head_.content_length.reset();
        ++head_.refused_fields;
    }
    if (!has_type_ && !has_location_ && !has_status_ && !options_.is_nph) {
        return CgiFault::no_field;
    }
    if (!has_location_) {
        return CgiFault::none;
    }
    // A local redirect has no other field; "//name" would be another host's, and a fragment is for
    // the client to find. With a Status, a cookie or a document of its own, it is meant to come
    // again.
    const bool is_path = head_.location[0] == '/' && head_.location.substr(0, 2) != "//"
                         && head_.location.find('#') == std::string_view::npos;
    if (is_path && lines_.size() == 1 && !options_.is_nph) {
        head_.answer = CgiAnswer::local_redirect;
        return CgiFault::none;
    }
    if (!has_status_ && !options_.is_nph) {
        head_.status = found;
    }
    head_.answer = CgiAnswer::client_redirect;
    return CgiFault::none;
}

} // namespace detail

PORTHOLE_NAMESPACE_END
