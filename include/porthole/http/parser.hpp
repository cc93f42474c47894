// SPDX-License-Identifier: MIT
#pragma once

// Message heads, incrementally and strictly (RFC 9112). The parser is given the head's bytes from
// its first one each time, more of them each time; what it has looked at it does not look at again,
// and what it found are places in those bytes. It knows no sockets, no clock, and allocates only to
// hold more fields than ever before.

#include "porthole/base/limits.hpp"
#include "porthole/http/fields.hpp"
#include "porthole/http/method.hpp"
#include "porthole/http/status.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// How the content of a message is delimited (RFC 9112 section 6).
struct Framing {
    enum class Kind : unsigned char {
        none,    ///< no content, or content of no bytes
        length,  ///< `length` bytes
        chunked, ///< the chunked coding
        close,   ///< all until the connection ends: answers only
    };
    Kind kind = Kind::none;
    std::uint64_t length = 0;
};

/// What a request's head says. Places are offsets into the head's bytes.
struct RequestHead {
    Method method = Method::other;
    Span method_name;
    Span target;
    int minor_version = 1; ///< 0 or 1: HTTP/1.0 or HTTP/1.1
    Fields fields;
    Framing framing;
    Span host; ///< the one Host value; empty when there was none (HTTP/1.0 only)
    bool has_host = false;
    bool keep_alive = true; ///< the connection may go on behind this request (RFC 9112 section 9.3)
    bool expects_continue = false; ///< Expect: 100-continue
    bool has_upgrade = false;      ///< an Upgrade field that Connection names too
};

enum class ParseStatus : unsigned char { need_more, complete, failed };

/// The walk from line to line that every head shares: where the line that is being read begins, and
/// how far its end has been looked for. Holds the limits, and the strictness about line ends.
struct HeadCursor {
    enum class Step : unsigned char { need_more, field, end, failed };

    std::size_t line_begin = 0;
    std::size_t scanned = 0;      ///< no line end in the line before this
    std::size_t fields_begin = 0; ///< first byte behind the start line
    RequestFault fault = RequestFault::none;

    /// The request line or status line, without its line end.
    ParseStatus
    take_start_line(std::string_view bytes, const Limits& limits, std::string_view& line) noexcept;
    /// The next field line, which is added to `fields`; or the end of the head.
    Step take_field(std::string_view bytes, const Limits& limits, Fields& fields, FieldSpan& field);

private:
    std::size_t find_line_end(std::string_view bytes) noexcept;
    bool has_room_for_line(
        std::string_view bytes, std::size_t end, const Limits& limits, std::size_t count) noexcept;
};

class RequestParser {
public:
    /// `limits` must outlive the parser.
    explicit RequestParser(const Limits& limits) noexcept : limits_(&limits) {}

    /// Goes on with a head that begins at `bytes` and of which `bytes` is all that has arrived,
    /// what earlier calls were given included. The bytes may lie elsewhere each time.
    ParseStatus parse(std::string_view bytes);
    /// When complete: how many bytes the head took, with its empty line and a tolerated CRLF
    /// before it.
    std::size_t head_size() const noexcept { return cursor_.line_begin; }
    /// When failed: why.
    RequestFault fault() const noexcept { return cursor_.fault; }
    const RequestHead& head() const noexcept { return head_; }
    RequestHead& head() noexcept { return head_; }
    /// True when not a byte of a head has been seen since reset().
    bool is_fresh() const noexcept { return cursor_.scanned == 0; }
    /// Begins anew; keeps the memory.
    void reset() noexcept;

private:
    enum class State : unsigned char { start, request_line, fields, complete, failed };

    const Limits* limits_;
    State state_ = State::start;
    unsigned seen_ = 0; ///< which of the fields that the head itself depends on are there
    HeadCursor cursor_;
    RequestHead head_;

    ParseStatus fail(RequestFault fault) noexcept;
    ParseStatus skip_leading_line(std::string_view bytes) noexcept;
    ParseStatus read_request_line(std::string_view bytes) noexcept;
    ParseStatus read_fields(std::string_view bytes);
    RequestFault parse_request_line(std::string_view line, std::size_t at) noexcept;
    RequestFault finish_head(const char* base) noexcept;
};

/// Splits one field line without its line end into name and trimmed value, both as offsets from
/// `base`. Shared by heads and trailers. Returns the rule it breaks, or RequestFault::none.
RequestFault parse_field_line(std::string_view line, const char* base, FieldSpan& field) noexcept;

/// The one place that decides where a request's content ends (RFC 9112 section 6.3). Everything
/// that two implementations could read in two ways is refused.
RequestFault decide_framing(const Fields& fields, int minor_version, Framing& framing) noexcept;

/// What all Connection fields together ask for (RFC 9110 section 7.6.1).
struct ConnectionOptions {
    bool has_close = false;
    bool has_keep_alive = false;
    bool has_upgrade = false;
    /// RFC 9112 section 9.3.
    bool keeps_alive(int minor_version) const noexcept {
        return !has_close && (minor_version >= 1 || has_keep_alive);
    }
};
ConnectionOptions read_connection(const Fields& fields) noexcept;

/// An answer's head, for clients: the test client now, the proxy later. As strict as for
/// requests.
struct ResponseHead {
    int status = 0;
    int minor_version = 1;
    Span reason;
    Fields fields;
    Framing framing;
    bool keep_alive = true;
};

class ResponseParser {
public:
    explicit ResponseParser(const Limits& limits) noexcept : limits_(&limits) {}
    /// As RequestParser::parse. `is_head_answer`: the request was HEAD, so there is no content
    /// whatever the fields say.
    ParseStatus parse(std::string_view bytes, bool is_head_answer = false);
    std::size_t head_size() const noexcept { return cursor_.line_begin; }
    /// When failed: the rule that was broken, in the words for requests; bad_request_line stands
    /// for the status line.
    RequestFault fault() const noexcept { return cursor_.fault; }
    const ResponseHead& head() const noexcept { return head_; }
    ResponseHead& head() noexcept { return head_; }
    void reset() noexcept;

private:
    const Limits* limits_;
    ParseStatus status_ = ParseStatus::need_more;
    bool has_status_line_ = false;
    HeadCursor cursor_;
    ResponseHead head_;

    ParseStatus fail(RequestFault fault) noexcept;
    RequestFault parse_status_line(std::string_view line) noexcept;
    RequestFault finish_head(const char* base, bool is_head_answer) noexcept;
};

} // namespace detail

PORTHOLE_NAMESPACE_END
