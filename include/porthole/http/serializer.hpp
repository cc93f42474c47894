// SPDX-License-Identifier: MIT
#pragma once

// Answers as bytes. What delimits the content is decided here and only here (RFC 9112 section 6),
// from what the client speaks and what the answer holds; a handler has no say in it.

#include "porthole/base/buffer.hpp"
#include "porthole/http/date.hpp"
#include "porthole/http/parser.hpp"
#include "porthole/http/response.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// The field lines that every answer carries, ready to be copied: those that are given once,
/// and Date, which is written anew when the second changes.
class DefaultFields {
public:
    /// `fixed_lines` are complete "Name: value\r\n" lines.
    explicit DefaultFields(std::string_view fixed_lines);
    void set_time(std::chrono::system_clock::time_point now) noexcept;
    /// All lines, Date last.
    std::string_view lines() const noexcept { return lines_; }

private:
    std::string lines_;
};

/// What the answer answers.
struct AnswerContext {
    bool is_head = false;   ///< the request was HEAD: no content is sent, but its length is told
    int minor_version = 1;  ///< the client's: 0 never gets the chunked coding
    bool keep_alive = true; ///< what the request and the server allow
    const DefaultFields* defaults = nullptr;
};

/// How the content follows the head.
struct AnswerPlan {
    Framing framing;
    bool sends_content = true; ///< false for HEAD, 204, 304 and 101
    bool keep_alive = true;    ///< the connection goes on behind this answer
};

/// Appends the head of an answer, its empty line included, and says how the content has to
/// follow. A body in memory is not appended. False when `out` is full.
bool write_head(
    const ResponseParts& parts, const AnswerContext& context, Buffer& out, AnswerPlan& plan);

} // namespace detail

PORTHOLE_NAMESPACE_END
