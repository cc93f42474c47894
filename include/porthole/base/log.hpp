// SPDX-License-Identifier: MIT
#pragma once

// What the server has to say about itself. Silent by default: a library has no business on its
// host's stdout. Each event has an id to filter by and a sentence to read; sentences about a limit
// name the field that changes it.

#include "porthole/base/config.hpp"

#include <functional>
#include <string_view>

PORTHOLE_NAMESPACE_BEGIN

enum class LogLevel : unsigned char { debug, info, warning, error };

/// What happened. Ids are stable; sentences are not.
enum class LogId : unsigned char {
    listening,         ///< a listener was opened
    listen_skipped,    ///< one address of several is not available on this machine
    stopped,           ///< the server has stopped
    accept_failed,     ///< accepting paused: no descriptor left
    connection_capped, ///< Limits::max_connections reached
    request_refused,   ///< a request was answered by the library with 4xx or 5xx
    timed_out,         ///< a deadline cut a connection
    connection_failed, ///< the transport reported an error
    handler_threw,     ///< an exception left a handler
    reply_dropped,     ///< the last Reply went away unanswered
    reply_twice,       ///< a Reply was finished a second time
    field_refused,     ///< a response field with forbidden bytes was dropped
    bad_pattern,       ///< a route pattern that cannot be parsed
    out_of_memory,     ///< an allocation failed; the connection was dropped
    clock_gap,         ///< no tick for longer than Limits::max_tick_gap
    assets_baked,      ///< the folder of assets is gone; the baked ones are served
    program_failed,    ///< a CGI program could not answer, or ended badly
    program_wrote,     ///< a line that a CGI program wrote to its standard error
};

/// One event. The views are valid during the call.
struct LogEvent {
    LogLevel level;
    LogId id;
    std::string_view sentence;
    std::string_view peer; ///< "127.0.0.1:51234", or empty when no connection is concerned
};

/// Called on the thread that ticks. Must not call back into the server.
using LogSink = std::function<void(const LogEvent&)>;

PORTHOLE_NAMESPACE_END
