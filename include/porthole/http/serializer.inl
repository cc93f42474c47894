// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/base/ascii.hpp"
#include "porthole/http/serializer.hpp"
#include "porthole/http/status.hpp"

#include <cstddef>
#include <cstring>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

inline constexpr std::string_view head_line_end = "\r\n";
inline constexpr std::string_view date_line_begin = "Date: ";
inline constexpr std::string_view length_line_begin = "Content-Length: ";
inline constexpr std::string_view chunked_line = "Transfer-Encoding: chunked\r\n";
inline constexpr std::string_view close_line = "Connection: close\r\n";
inline constexpr std::string_view keep_alive_line = "Connection: keep-alive\r\n";
inline constexpr std::string_view upgrade_lines_begin = "Connection: Upgrade\r\nUpgrade: ";

PORTHOLE_FN DefaultFields::DefaultFields(std::string_view fixed_lines) {
    lines_.append(fixed_lines).append(date_line_begin);
    lines_.append(date_size, ' ').append(head_line_end);
    set_time({});
}

PORTHOLE_FN void DefaultFields::set_time(std::chrono::system_clock::time_point now) noexcept {
    write_date(now, lines_.data() + (lines_.size() - head_line_end.size() - date_size));
}

/// Writes into prepared memory; the caller has counted.
struct HeadWriter {
    char* at;
    void add(std::string_view text) noexcept {
        std::memcpy(at, text.data(), text.size());
        at += text.size();
    }
    void add_decimal(std::uint64_t value) noexcept { at += ascii::write_decimal(at, value); }
};

/// RFC 9112 section 6.3, from the sender's side.
inline AnswerPlan
plan_answer(const ResponseParts& parts, const AnswerContext& context, int status) noexcept {
    constexpr int reset_content = 205;
    AnswerPlan plan;
    plan.keep_alive = context.keep_alive && !parts.must_close;
    if (parts.upgrade != nullptr) {
        plan.keep_alive = true;
        plan.sends_content = false;
        return plan;
    }
    if (!status_has_content(status)) {
        plan.sends_content = false;
        return plan;
    }
    plan.sends_content = !context.is_head && status != reset_content;
    plan.framing.kind = Framing::Kind::length;
    if (status == reset_content) {
        return plan; // RFC 9110 section 15.3.6: no content, and Content-Length: 0 says so
    }
    if (parts.source == nullptr) {
        plan.framing.length = parts.body.size();
    } else if (const auto size = parts.source->size()) {
        plan.framing.length = *size;
    } else if (context.minor_version > 0) {
        plan.framing.kind = Framing::Kind::chunked;
    } else {
        plan.framing.kind = Framing::Kind::close;
        plan.keep_alive = false;
    }
    return plan;
}

inline void add_status_line(HeadWriter& head, int status) noexcept {
    const std::string_view line = status_line(status);
    if (!line.empty()) {
        head.add(line);
        return;
    }
    // RFC 9112 section 4: the reason may be empty, the space before it not.
    head.add("HTTP/1.1 ");
    head.add_decimal(static_cast<std::uint64_t>(status));
    head.add(" \r\n");
}

/// The server's own fields, without those that the answer sets itself.
inline void
add_defaults(HeadWriter& head, const ResponseParts& parts, std::string_view lines) noexcept {
    if (!parts.has_overrides) {
        head.add(lines);
        return;
    }
    while (!lines.empty()) {
        const std::string_view line = lines.substr(0, line_size(lines));
        const std::string_view name = line.substr(0, line.find(':'));
        if (find_field_line(parts.fields, name) == std::string_view::npos) {
            head.add(line);
        }
        lines.remove_prefix(line.size());
    }
}

inline void add_framing(HeadWriter& head, const Framing& framing) noexcept {
    switch (framing.kind) {
    case Framing::Kind::none:
    case Framing::Kind::close: break;
    case Framing::Kind::length:
        head.add(length_line_begin);
        head.add_decimal(framing.length);
        head.add(head_line_end);
        break;
    case Framing::Kind::chunked: head.add(chunked_line); break;
    }
}

inline void add_connection(
    HeadWriter& head, const ResponseParts& parts, const AnswerContext& context,
    const AnswerPlan& plan) noexcept {
    if (parts.upgrade != nullptr) {
        head.add(upgrade_lines_begin);
        head.add(parts.upgrade_protocol);
        head.add(head_line_end);
    } else if (!plan.keep_alive) {
        head.add(close_line);
    } else if (context.minor_version == 0) {
        head.add(keep_alive_line); // RFC 9112 section 9.3: 1.0 closes unless it is told
    }
}

PORTHOLE_FN bool write_head(
    const ResponseParts& parts, const AnswerContext& context, Buffer& out, AnswerPlan& plan) {
    constexpr int switching_protocols = 101;
    // More than the longest status line, framing and connection lines take together.
    constexpr std::size_t fixed_size = 256;
    const int status = parts.upgrade != nullptr ? switching_protocols : parts.status;
    const std::string_view defaults =
        context.defaults != nullptr ? context.defaults->lines() : std::string_view();
    char* const begin = out.prepare(
        fixed_size + defaults.size() + parts.fields.size() + parts.upgrade_protocol.size());
    if (begin == nullptr) {
        return false;
    }
    plan = plan_answer(parts, context, status);
    HeadWriter head{begin};
    add_status_line(head, status);
    if (!defaults.empty()) {
        add_defaults(head, parts, defaults);
    }
    if (!parts.fields.empty()) {
        head.add(parts.fields);
    }
    add_framing(head, plan.framing);
    add_connection(head, parts, context, plan);
    head.add(head_line_end);
    out.commit(static_cast<std::size_t>(head.at - begin));
    return true;
}

} // namespace detail

PORTHOLE_NAMESPACE_END
