// SPDX-License-Identifier: MIT
#pragma once

// What a program writes to its standard error, as lines for a log: of bounded length, of a bounded
// number in any time, and without a character that could do something to the reader's terminal or
// pass for a line of somebody else.

#include "porthole/base/config.hpp"

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// Appends `text` with control characters and backslashes as "\\t", "\\x1b", "\\\\", those beyond
/// ASCII among them: C1, line separators, and what turns the direction of writing. The rest of
/// UTF-8 stays; what is none is written out byte by byte.
void escape_for_log(std::string_view text, std::string& into);

class LogLines {
public:
    /// Longer lines are cut, and say so.
    static constexpr std::size_t max_line_bytes = 1024;
    /// Between two calls of allow_more(). What comes beyond is counted and not shown.
    static constexpr std::size_t max_lines = 40;

    using Sink = std::function<void(std::string_view line)>;

    /// Takes bytes as they come and tells each whole line, escaped.
    void add(std::string_view bytes, const Sink& sink);
    /// What is left is a line, too.
    void finish(const Sink& sink);
    /// A while has passed.
    void allow_more(const Sink& sink);

private:
    void end_line(const Sink& sink);

    std::string line_; ///< its beginning, not yet escaped
    std::size_t told_ = 0;
    std::size_t dropped_ = 0;
    bool is_cut_ = false;
    bool has_line_ = false;
};

} // namespace detail

PORTHOLE_NAMESPACE_END
