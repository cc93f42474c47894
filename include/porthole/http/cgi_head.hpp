// SPDX-License-Identifier: MIT
#pragma once

// The head of what a CGI program prints (RFC 3875 section 6), incrementally: Content-Type, Location
// and Status decide what kind of answer it is, and the other fields go along with it. Programs end
// their lines as they like, with LF or CRLF. Nothing here trusts them: what could not be sent is
// either a fault of the whole or a field that is left out.

#include "porthole/base/config.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// What is wrong with what a program prints.
enum class CgiFault : unsigned char {
    none,
    empty,            ///< it ended without having printed anything
    no_end,           ///< it ended within its head
    too_long,         ///< no empty line within the bound
    bad_line,         ///< a line that is no field
    repeated_field,   ///< a second Content-Type, Location or Status
    no_field,         ///< none of these three
    bad_content_type, ///< empty, or with control characters
    bad_location,     ///< empty, or with blanks or control characters
    bad_status,       ///< not a number from 200 to 599
    bad_status_line,  ///< NPH: the first line is none
    coded_content,    ///< NPH: a transfer coding, which is the server's business
    too_many_fields,
};

/// One sentence, for the log.
std::string_view describe(CgiFault fault) noexcept;

/// What kind of answer it is (RFC 3875 section 6.2).
enum class CgiAnswer : unsigned char {
    document,
    local_redirect,  ///< the server answers as if the client had asked for `location`
    client_redirect, ///< perhaps with a document
};

/// A line of the head, to be sent as it is.
struct CgiField {
    std::string_view name;
    std::string_view value;
};

/// Views are into the bytes that parse() was given last.
struct CgiHead {
    CgiAnswer answer = CgiAnswer::document;
    int status = 200;
    std::string_view content_type; ///< empty when there is none
    std::string_view location;     ///< without its own line in `fields`
    /// What the program promises; not set when it promises two different things.
    std::optional<std::uint64_t> content_length;
    std::vector<CgiField> fields;   ///< the others, fit to be sent
    std::size_t refused_fields = 0; ///< left out: control characters, or the server's own fields
};

class CgiHeadParser {
public:
    enum class State : unsigned char { need_more, complete, failed };
    struct Options {
        std::size_t max_bytes = 16 * 1024;
        std::size_t max_fields = 100;
        /// The program speaks HTTP by itself (RFC 3875 section 5): a status line comes first.
        bool is_nph = false;
    };

    explicit CgiHeadParser(const Options& options) noexcept : options_(options) {}

    /// Goes on with a head that begins at `bytes` and of which `bytes` is all that has come, what
    /// earlier calls were given included. The bytes may lie elsewhere each time.
    State parse(std::string_view bytes);
    /// The program has finished: what is missing is a fault.
    State finish(std::string_view bytes);
    /// When complete.
    const CgiHead& head() const noexcept { return head_; }
    /// When complete: how many bytes it took, with its empty line.
    std::size_t head_size() const noexcept { return line_begin_; }
    /// When failed.
    CgiFault fault() const noexcept { return fault_; }
    /// When failed: the line that did it, as far as one did.
    std::string_view bad_line(std::string_view bytes) const noexcept;

private:
    struct Line {
        std::size_t at;
        std::size_t name_size;
        std::size_t value_at;
        std::size_t value_size;
    };

    State fail(CgiFault fault) noexcept;
    CgiFault take_line(std::string_view line);
    CgiFault take_status_line(std::string_view line) noexcept;
    CgiFault complete(std::string_view bytes);
    CgiFault take_field(std::string_view name, std::string_view value);
    CgiFault decide() noexcept;

    Options options_;
    State state_ = State::need_more;
    CgiFault fault_ = CgiFault::none;
    std::size_t line_begin_ = 0;
    std::size_t scanned_ = 0;
    bool has_status_line_ = false;
    bool has_status_ = false;
    bool has_type_ = false;
    bool has_location_ = false;
    bool has_conflict_ = false; ///< of lengths
    int status_ = 200;
    std::vector<Line> lines_;
    CgiHead head_;
};

} // namespace detail

PORTHOLE_NAMESPACE_END
