// SPDX-License-Identifier: MIT
#pragma once

// Everything that a peer can make grow, with its bound. All of them are run-time fields, so that no
// macro changes a layout and one program can run a strict and a generous server side by side.

#include "porthole/base/config.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>

PORTHOLE_NAMESPACE_BEGIN

/// The bounds of one server. Every default has a test at the limit and one past it.
struct Limits {
    /// Method, target and version with their line end. Past it: 414 (RFC 9110 section 15.5.15).
    std::size_t max_request_line_bytes = 8 * 1024;
    /// All field lines of the head together. Past it: 431 (RFC 6585 section 5).
    std::size_t max_fields_bytes = 16 * 1024;
    /// Field lines of the head, and of the trailer. Past it: 431.
    std::size_t max_fields = 100;
    /// Content that is collected for a handler. Past it: 413 (RFC 9110 section 15.5.14), before
    /// it is read when its length was announced. Routes may set their own.
    std::uint64_t max_body_bytes = 1024 * 1024;
    /// Content that a route takes as it comes, without collecting it, unless the route, its group
    /// or the sink say otherwise. Past it: 413.
    std::uint64_t max_streamed_body_bytes = std::uint64_t{16} * 1024 * 1024 * 1024;
    /// Chunk-size line with its extensions, in bytes. Past it: 400.
    std::size_t max_chunk_line_bytes = 256;
    /// Trailer section of a chunked body. Past it: 431.
    std::size_t max_trailer_bytes = 4 * 1024;

    /// Open connections. At the cap the longest idle one makes room, else the newcomer gets
    /// 503.
    std::size_t max_connections = 1024;
    /// Of these, from one address, on listeners that are exposed beyond this machine. Past it the
    /// newcomer gets 503.
    std::size_t max_connections_per_address = 64;
    /// Requests on one connection before it is closed, so that load spreads anew.
    std::size_t max_requests_per_connection = 1000;

    /// From the first byte of a request (or the connection's start) to the end of its head, in
    /// total: drip-feeding does not extend it. Past it: 408.
    std::chrono::milliseconds head_timeout{10'000};
    /// Content may arrive as slowly as it likes for this long ...
    std::chrono::milliseconds body_grace{5'000};
    /// ... and after that at this average rate from its start. Below it: 408.
    std::uint64_t min_body_bytes_per_second = 1024;
    /// A kept-alive connection without a request.
    std::chrono::milliseconds idle_timeout{15'000};
    /// An answer of which the peer takes nothing for this long, or, after this long, less than
    /// min_body_bytes_per_second on average.
    std::chrono::milliseconds write_stall_timeout{30'000};
    /// After an error answer: how long, and how much, is still read so that the peer sees the
    /// answer instead of a reset.
    std::chrono::milliseconds linger_timeout{2'000};
    std::uint64_t max_linger_bytes = 4 * 1024 * 1024;
    /// After stop(): how long complete answers may take to leave.
    std::chrono::milliseconds stop_grace{1'000};
    /// No descriptor left: how long accepting pauses before it is tried again.
    std::chrono::milliseconds accept_backoff{100};

    /// Bytes that an upgraded connection or a stream may have queued for a slow peer.
    std::size_t max_queue_bytes = 1024 * 1024;

    /// The units of work in a tick. Larger ones raise throughput, smaller ones keep a tick
    /// closer to its budget.
    std::size_t max_accepts_per_tick = 16;
    std::size_t max_read_bytes_per_turn = 64 * 1024;
    std::size_t max_write_bytes_per_turn = 256 * 1024;

    /// A gap between ticks that is longer than this (a breakpoint, a loading screen) counts as
    /// this long: every deadline moves by the rest of it.
    std::chrono::milliseconds max_tick_gap{1'000};
};

PORTHOLE_NAMESPACE_END
