// SPDX-License-Identifier: MIT
#pragma once

// How a web server talks to an application server: the records of FastCGI 1.0 for one request on a
// connection, written and read, and the head of an SCGI request. Pure bytes; what comes from the
// other side is read incrementally, handed on in pieces as it comes, and never trusted.

#include "porthole/base/config.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// FastCGI section 8.
enum class FastCgiType : unsigned char {
    begin_request = 1,
    abort_request = 2,
    end_request = 3,
    params = 4,
    input = 5,  ///< FCGI_STDIN
    output = 6, ///< FCGI_STDOUT
    errors = 7, ///< FCGI_STDERR
    data = 8,
    get_values = 9,
    get_values_result = 10,
    unknown_type = 11,
};

/// One request at a time and connection, so they all have the same number.
inline constexpr std::uint16_t fastcgi_request_id = 1;
inline constexpr std::size_t fastcgi_header_bytes = 8;
/// What one record can carry.
inline constexpr std::size_t max_fastcgi_content = 65535;

/// Appends records of that type with all of `content`, in as many as it takes; an empty one when
/// there is none, which ends a stream (FastCGI section 3.3).
void append_fastcgi_records(FastCgiType type, std::string_view content, std::string& into);
/// Appends what a request begins with: the role of a responder, and its parameters, whose stream is
/// ended. `variables` are "NAME=value"; `keeps` asks to keep the connection open behind it.
void append_fastcgi_head(const std::vector<std::string>& variables, bool keeps, std::string& into);

/// Appends the head of an SCGI request, a netstring: CONTENT_LENGTH first, "0" when there is none
/// among `variables`, then SCGI, then the others.
void append_scgi_head(const std::vector<std::string>& variables, std::string& into);

/// What is wrong with what an application server sends.
enum class FastCgiFault : unsigned char {
    none,
    bad_version,      ///< the first byte of a record is not 1
    wrong_id,         ///< of another request than the one that was sent
    bad_type,         ///< not for this direction
    bad_end,          ///< an FCGI_END_REQUEST that is no eight bytes
    content_past_end, ///< output behind the end of its own stream
};

/// One sentence, for the log.
std::string_view describe(FastCgiFault fault) noexcept;

/// FastCGI section 5.5.
enum class FastCgiOutcome : unsigned char {
    complete = 0,
    cannot_multiplex = 1,
    overloaded = 2,
    unknown_role = 3,
    other = 4, ///< any number beyond
};

/// Reads what the answer to one request consists of.
class FastCgiReader {
public:
    enum class Event : unsigned char {
        need_more,
        output, ///< `piece` goes to the client
        errors, ///< `piece` goes to the log
        end,    ///< the request is over; what follows would be nobody's
        failed,
    };
    struct Result {
        Event event = Event::need_more;
        std::size_t consumed = 0; ///< of the bytes given, `piece` included
        std::string_view piece;   ///< within the bytes given
    };

    /// Goes on with `bytes`, the next that have come, up to the first event. A piece has at most
    /// `most` bytes, which is not 0. need_more has consumed them all.
    Result read(std::string_view bytes, std::size_t most);

    /// At the end.
    FastCgiOutcome outcome() const noexcept { return outcome_; }
    std::uint32_t app_status() const noexcept { return app_status_; }
    /// When failed.
    FastCgiFault fault() const noexcept { return fault_; }

private:
    enum class State : unsigned char { header, content, padding, end, failed };

    Result fail(std::size_t consumed, FastCgiFault fault) noexcept;
    FastCgiFault take_header() noexcept;
    void take_end() noexcept;
    void after_content() noexcept;

    unsigned char bytes_[fastcgi_header_bytes]{}; ///< of a header, or of FCGI_END_REQUEST
    std::size_t collected_ = 0;
    std::size_t left_ = 0; ///< of the record's content
    std::size_t padding_ = 0;
    std::uint32_t app_status_ = 0;
    State state_ = State::header;
    FastCgiType type_ = FastCgiType::output;
    FastCgiOutcome outcome_ = FastCgiOutcome::complete;
    FastCgiFault fault_ = FastCgiFault::none;
    bool is_ours_ = false; ///< else a record of management (FastCGI section 3.3), skipped
    bool output_has_ended_ = false;
};

} // namespace detail

PORTHOLE_NAMESPACE_END
