// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/http/response.hpp"
#include "porthole/http/server_sent_event.hpp"

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// Up to what would end the line, or make a browser ignore the field.
inline std::string_view one_line(std::string_view text) noexcept {
    constexpr std::string_view ends("\r\n\0", 3);
    return text.substr(0, text.find_first_of(ends));
}

/// A line of its own, with the field's name, for each line of `text`; one for an empty text.
inline void append_lines(std::string& out, std::string_view name, std::string_view text) {
    for (;;) {
        const std::size_t end = text.find_first_of("\r\n");
        out.append(name).append(text.substr(0, end)).append("\n");
        if (end == std::string_view::npos) {
            return;
        }
        const bool is_pair = text[end] == '\r' && text.substr(end + 1, 1) == "\n";
        text.remove_prefix(end + (is_pair ? 2 : 1));
    }
}

PORTHOLE_FN void append_event(std::string& out, const ServerSentEvent& event) {
    if (event.retry) {
        const auto milliseconds = event.retry->count() < 0 ? 0 : event.retry->count();
        out.append("retry: ").append(std::to_string(milliseconds)).append("\n");
    }
    if (!event.id.empty()) {
        out.append("id: ").append(one_line(event.id)).append("\n");
    }
    if (!event.event.empty()) {
        out.append("event: ").append(one_line(event.event)).append("\n");
    }
    const bool is_only_fields = event.data.empty() && event.retry && event.event.empty();
    if (!is_only_fields) {
        append_lines(out, "data: ", event.data);
    }
    out.append("\n");
}

PORTHOLE_FN void append_event_comment(std::string& out, std::string_view text) {
    append_lines(out, ": ", text);
    out.append("\n");
}

PORTHOLE_FN void set_event_stream_fields(Response& response) {
    response.header("Cache-Control", "no-store");
    response.header("X-Accel-Buffering", "no");
}

} // namespace detail

PORTHOLE_NAMESPACE_END
