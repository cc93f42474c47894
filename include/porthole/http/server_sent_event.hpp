// SPDX-License-Identifier: MIT
#pragma once

// Events as the EventSource of a browser reads them (WHATWG HTML, section 9.2). Line ends in what
// a program sends never become line ends of the format, so no value can forge a field.

#include "porthole/fwd.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

PORTHOLE_NAMESPACE_BEGIN

/// One event. Empty fields are left out, but data: without it a browser dispatches nothing.
struct ServerSentEvent {
    std::string_view data;  ///< any lines; CR, LF and CRLF all end one
    std::string_view event; ///< its type; empty is "message". One line
    std::string_view id;    ///< comes back as Last-Event-ID. One line, no NUL
    /// How long the browser waits before it connects again; less than nothing is nothing.
    std::optional<std::chrono::milliseconds> retry;
};

namespace detail {

inline constexpr std::string_view event_stream_type = "text/event-stream";
/// Appends the event with its empty line. `event` and `id` are cut at their first line end or NUL.
void append_event(std::string& out, const ServerSentEvent& event);
/// Appends a comment, which keeps connections alive and is otherwise ignored.
void append_event_comment(std::string& out, std::string_view text);
/// What a stream of events carries besides its type, so that neither a cache nor a proxy holds it
/// back.
void set_event_stream_fields(Response& response);

} // namespace detail

PORTHOLE_NAMESPACE_END
