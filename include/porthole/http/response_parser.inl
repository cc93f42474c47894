// SPDX-License-Identifier: MIT
#pragma once

// Heads of answers, for clients. The walk over the lines, the field lines and the framing fields
// are read by the same functions as those of requests; only what RFC 9112 has differently for
// answers is here: the status line, and content that ends with the connection.

#include "porthole/base/ascii.hpp"
#include "porthole/http/parser.hpp"

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN ParseStatus ResponseParser::fail(RequestFault fault) noexcept {
    status_ = ParseStatus::failed;
    cursor_.fault = fault;
    return status_;
}

/// "HTTP/1.1 200 OK"; the reason, and the space before it, may be missing. The line is
/// the head's first, so its places are the head's.
PORTHOLE_FN RequestFault ResponseParser::parse_status_line(std::string_view line) noexcept {
    constexpr std::size_t code_at = std::string_view("HTTP/1.1 ").size();
    constexpr std::size_t code_size = 3;
    constexpr int lowest = 100;
    constexpr int highest = 599;
    const std::size_t version_size = line.find(' ');
    if (version_size == std::string_view::npos) {
        return RequestFault::bad_request_line;
    }
    const RequestFault version_fault =
        parse_version(line.substr(0, version_size), head_.minor_version);
    if (version_fault != RequestFault::none) {
        return version_fault;
    }
    if (line.size() < code_at + code_size) {
        return RequestFault::bad_request_line;
    }
    const auto code = ascii::parse_decimal(line.substr(code_at, code_size));
    if (!code || *code < lowest || *code > highest) {
        return RequestFault::bad_request_line;
    }
    head_.status = static_cast<int>(*code);
    std::string_view reason = line.substr(code_at + code_size);
    if (!reason.empty()) {
        if (reason.front() != ' ' || !ascii::is_field_value(reason)) {
            return RequestFault::bad_request_line;
        }
        reason.remove_prefix(1);
    }
    head_.reason.at = static_cast<std::uint32_t>(line.size() - reason.size());
    head_.reason.size = static_cast<std::uint32_t>(reason.size());
    return RequestFault::none;
}

/// RFC 9112 section 6.3, for answers. The framing fields are checked also where they do not count.
PORTHOLE_FN RequestFault
ResponseParser::finish_head(const char* base, bool is_head_answer) noexcept {
    head_.fields.set_base(base);
    const RequestFault fault = decide_framing(head_.fields, head_.minor_version, head_.framing);
    if (fault != RequestFault::none) {
        return fault;
    }
    head_.keep_alive = read_connection(head_.fields).keeps_alive(head_.minor_version);
    if (is_head_answer || !status_has_content(head_.status)) {
        head_.framing = Framing{};
    } else if (
        head_.framing.kind == Framing::Kind::none && head_.fields.count("Content-Length") == 0) {
        head_.framing.kind = Framing::Kind::close;
        head_.keep_alive = false;
    }
    return RequestFault::none;
}

PORTHOLE_FN ParseStatus ResponseParser::parse(std::string_view bytes, bool is_head_answer) {
    if (status_ != ParseStatus::need_more) {
        return status_;
    }
    if (!has_status_line_) {
        std::string_view line;
        const ParseStatus status = cursor_.take_start_line(bytes, *limits_, line);
        if (status != ParseStatus::complete) {
            return status == ParseStatus::failed ? fail(cursor_.fault) : status;
        }
        const RequestFault fault = parse_status_line(line);
        if (fault != RequestFault::none) {
            return fail(fault);
        }
        has_status_line_ = true;
    }
    FieldSpan field;
    for (;;) {
        switch (cursor_.take_field(bytes, *limits_, head_.fields, field)) {
        case HeadCursor::Step::need_more: return ParseStatus::need_more;
        case HeadCursor::Step::failed: return fail(cursor_.fault);
        case HeadCursor::Step::field: break;
        case HeadCursor::Step::end: {
            const RequestFault fault = finish_head(bytes.data(), is_head_answer);
            if (fault != RequestFault::none) {
                return fail(fault);
            }
            status_ = ParseStatus::complete;
            return status_;
        }
        }
    }
}

PORTHOLE_FN void ResponseParser::reset() noexcept {
    status_ = ParseStatus::need_more;
    has_status_line_ = false;
    cursor_ = HeadCursor{};
    head_.fields.clear();
    head_.status = 0;
    head_.minor_version = 1;
    head_.reason = Span{};
    head_.framing = Framing{};
    head_.keep_alive = true;
}

} // namespace detail

PORTHOLE_NAMESPACE_END
