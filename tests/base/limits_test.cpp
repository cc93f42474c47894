// SPDX-License-Identifier: MIT
#include "support/test.hpp"

#include <chrono>

TEST_CASE("limits: the defaults are the documented ones") {
    using namespace std::chrono_literals;
    const porthole::Limits limits;
    CHECK(limits.max_request_line_bytes == 8192);
    CHECK(limits.max_fields_bytes == 16384);
    CHECK(limits.max_fields == 100);
    CHECK(limits.max_body_bytes == 1048576);
    CHECK(limits.max_connections == 1024);
    CHECK(limits.max_requests_per_connection == 1000);
    CHECK(limits.head_timeout == 10s);
    CHECK(limits.body_grace == 5s);
    CHECK(limits.min_body_bytes_per_second == 1024);
    CHECK(limits.idle_timeout == 15s);
    CHECK(limits.write_stall_timeout == 30s);
    CHECK(limits.max_queue_bytes == 1048576);
    CHECK(limits.max_accepts_per_tick == 16);
    CHECK(limits.max_read_bytes_per_turn == 65536);
    CHECK(limits.max_write_bytes_per_turn == 262144);
}

TEST_CASE("limits: the defaults fit together") {
    const porthole::Limits limits;
    CHECK(limits.max_chunk_line_bytes > 18); // sixteen digits and CRLF
    CHECK(limits.max_trailer_bytes <= limits.max_fields_bytes);
    CHECK(limits.linger_timeout < limits.write_stall_timeout);
    CHECK(limits.accept_backoff < limits.max_tick_gap);
}
