// SPDX-License-Identifier: MIT
#pragma once

// Whole status lines as literals, one table for each class of codes, so that sending one is a copy;
// the reason phrase is a piece of its line. Below, the one table that says which status answers
// which fault of a request, and in which words.

#include "porthole/http/status.hpp"

#include <cstddef>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

// Codes without a registered meaning are empty; 306 and 418 are reserved as "(Unused)" (RFC 9110
// sections 15.4.7 and 15.5.19), so they have no line either.
inline constexpr std::string_view status_lines_1xx[] = {
    "HTTP/1.1 100 Continue\r\n",
    "HTTP/1.1 101 Switching Protocols\r\n",
    "HTTP/1.1 102 Processing\r\n",
    "HTTP/1.1 103 Early Hints\r\n",
    "HTTP/1.1 104 Upload Resumption Supported\r\n",
};
inline constexpr std::string_view status_lines_2xx[] = {
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.1 201 Created\r\n",
    "HTTP/1.1 202 Accepted\r\n",
    "HTTP/1.1 203 Non-Authoritative Information\r\n",
    "HTTP/1.1 204 No Content\r\n",
    "HTTP/1.1 205 Reset Content\r\n",
    "HTTP/1.1 206 Partial Content\r\n",
    "HTTP/1.1 207 Multi-Status\r\n",
    "HTTP/1.1 208 Already Reported\r\n",
    {},
    {},
    {},
    {},
    {},
    {},
    {},
    {},
    {},
    {},
    {},
    {},
    {},
    {},
    {},
    {},
    {},
    "HTTP/1.1 226 IM Used\r\n",
};
inline constexpr std::string_view status_lines_3xx[] = {
    "HTTP/1.1 300 Multiple Choices\r\n",
    "HTTP/1.1 301 Moved Permanently\r\n",
    "HTTP/1.1 302 Found\r\n",
    "HTTP/1.1 303 See Other\r\n",
    "HTTP/1.1 304 Not Modified\r\n",
    "HTTP/1.1 305 Use Proxy\r\n",
    {},
    "HTTP/1.1 307 Temporary Redirect\r\n",
    "HTTP/1.1 308 Permanent Redirect\r\n",
};
inline constexpr std::string_view status_lines_4xx[] = {
    "HTTP/1.1 400 Bad Request\r\n",
    "HTTP/1.1 401 Unauthorized\r\n",
    "HTTP/1.1 402 Payment Required\r\n",
    "HTTP/1.1 403 Forbidden\r\n",
    "HTTP/1.1 404 Not Found\r\n",
    "HTTP/1.1 405 Method Not Allowed\r\n",
    "HTTP/1.1 406 Not Acceptable\r\n",
    "HTTP/1.1 407 Proxy Authentication Required\r\n",
    "HTTP/1.1 408 Request Timeout\r\n",
    "HTTP/1.1 409 Conflict\r\n",
    "HTTP/1.1 410 Gone\r\n",
    "HTTP/1.1 411 Length Required\r\n",
    "HTTP/1.1 412 Precondition Failed\r\n",
    "HTTP/1.1 413 Content Too Large\r\n",
    "HTTP/1.1 414 URI Too Long\r\n",
    "HTTP/1.1 415 Unsupported Media Type\r\n",
    "HTTP/1.1 416 Range Not Satisfiable\r\n",
    "HTTP/1.1 417 Expectation Failed\r\n",
    {},
    {},
    {},
    "HTTP/1.1 421 Misdirected Request\r\n",
    "HTTP/1.1 422 Unprocessable Content\r\n",
    "HTTP/1.1 423 Locked\r\n",
    "HTTP/1.1 424 Failed Dependency\r\n",
    "HTTP/1.1 425 Too Early\r\n",
    "HTTP/1.1 426 Upgrade Required\r\n",
    {},
    "HTTP/1.1 428 Precondition Required\r\n",
    "HTTP/1.1 429 Too Many Requests\r\n",
    {},
    "HTTP/1.1 431 Request Header Fields Too Large\r\n",
    {},
    {},
    {},
    {},
    {},
    {},
    {},
    {},
    {},
    {},
    {},
    {},
    {},
    {},
    {},
    {},
    {},
    {},
    {},
    "HTTP/1.1 451 Unavailable For Legal Reasons\r\n",
};
inline constexpr std::string_view status_lines_5xx[] = {
    "HTTP/1.1 500 Internal Server Error\r\n",
    "HTTP/1.1 501 Not Implemented\r\n",
    "HTTP/1.1 502 Bad Gateway\r\n",
    "HTTP/1.1 503 Service Unavailable\r\n",
    "HTTP/1.1 504 Gateway Timeout\r\n",
    "HTTP/1.1 505 HTTP Version Not Supported\r\n",
    "HTTP/1.1 506 Variant Also Negotiates\r\n",
    "HTTP/1.1 507 Insufficient Storage\r\n",
    "HTTP/1.1 508 Loop Detected\r\n",
    {},
    "HTTP/1.1 510 Not Extended\r\n",
    "HTTP/1.1 511 Network Authentication Required\r\n",
};

template <std::size_t size>
constexpr std::string_view
status_line_at(const std::string_view (&lines)[size], std::size_t index) noexcept {
    return index < size ? lines[index] : std::string_view{};
}

/// What a fault is answered with.
struct FaultAnswer {
    RequestFault fault;
    int status;
    std::string_view sentence;
};

/// Indexed by RequestFault.
inline constexpr FaultAnswer fault_answers[] = {
    {RequestFault::none, 200, "Nothing is wrong with the request."},
    {RequestFault::bad_request_line, 400,
     "The request line is not a method, a target and a version with single spaces between them."},
    {RequestFault::bad_method, 400, "The method is not a token."},
    {RequestFault::bad_target, 400, "The request target is malformed."},
    {RequestFault::bad_version, 400, "The HTTP version is malformed."},
    {RequestFault::unsupported_version, 505, "Only HTTP/1.1 and HTTP/1.0 are spoken here."},
    {RequestFault::target_too_long, 414,
     "The request line is too long (Limits::max_request_line_bytes)."},
    {RequestFault::bad_field_name, 400,
     "A field line does not begin with a token and a colon right behind it."},
    {RequestFault::bad_field_value, 400, "A field value has a control character."},
    {RequestFault::obsolete_folding, 400,
     "A field line begins with a blank; folded lines are not accepted."},
    {RequestFault::bare_line_feed, 400, "A line ends with LF alone instead of CR LF."},
    {RequestFault::fields_too_large, 431,
     "The field lines are too large together (Limits::max_fields_bytes)."},
    {RequestFault::too_many_fields, 431, "There are too many field lines (Limits::max_fields)."},
    {RequestFault::missing_host, 400, "An HTTP/1.1 request needs a Host field."},
    {RequestFault::repeated_host, 400, "There is more than one Host field."},
    {RequestFault::bad_host, 400, "The Host field is not a host with an optional port."},
    {RequestFault::userinfo_in_host, 403,
     "The Host field has an '@', with which one name passes for another."},
    {RequestFault::bad_content_length, 400, "Content-Length is not one decimal number."},
    {RequestFault::length_required, 411, "Content in HTTP/1.0 needs a Content-Length."},
    {RequestFault::length_and_encoding, 400,
     "Content-Length and Transfer-Encoding exclude each other."},
    {RequestFault::encoding_in_http10, 400, "HTTP/1.0 has no Transfer-Encoding."},
    {RequestFault::bad_transfer_encoding, 400,
     "Transfer-Encoding has to be chunked, once and last."},
    {RequestFault::unknown_transfer_encoding, 501,
     "Transfer-Encoding names a coding other than chunked."},
    {RequestFault::bad_chunk, 400, "The chunked coding is malformed."},
    {RequestFault::bad_trailer, 400,
     "The trailer section is malformed or has a field that may not be there."},
    {RequestFault::trailer_too_large, 431,
     "The trailer section is too large (Limits::max_trailer_bytes, Limits::max_fields)."},
    {RequestFault::content_too_large, 413, "The content is too large (Limits::max_body_bytes)."},
    {RequestFault::unknown_expectation, 417, "Expect names something other than 100-continue."},
    {RequestFault::unknown_method, 501, "The method is not known here."},
    {RequestFault::head_timeout, 408,
     "The head of the request did not arrive in time (Limits::head_timeout)."},
    {RequestFault::content_timeout, 408,
     "The content arrived too slowly (Limits::body_grace, Limits::min_body_bytes_per_second)."},
};

constexpr bool fault_answers_are_in_order() noexcept {
    std::size_t index = 0;
    for (const FaultAnswer& answer : fault_answers) {
        if (static_cast<std::size_t>(answer.fault) != index++) {
            return false;
        }
    }
    return index == static_cast<std::size_t>(RequestFault::content_timeout) + 1;
}
static_assert(fault_answers_are_in_order(), "one row for each RequestFault, in its order");

} // namespace detail

PORTHOLE_FN std::string_view status_line(int status) noexcept {
    constexpr int codes_per_class = 100;
    if (status < 0) {
        return {};
    }
    const auto index = static_cast<std::size_t>(status % codes_per_class);
    switch (status / codes_per_class) {
    case 1: return detail::status_line_at(detail::status_lines_1xx, index);
    case 2: return detail::status_line_at(detail::status_lines_2xx, index);
    case 3: return detail::status_line_at(detail::status_lines_3xx, index);
    case 4: return detail::status_line_at(detail::status_lines_4xx, index);
    case 5: return detail::status_line_at(detail::status_lines_5xx, index);
    default: return {};
    }
}

PORTHOLE_FN std::string_view reason_phrase(int status) noexcept {
    constexpr std::size_t before = std::string_view("HTTP/1.1 200 ").size();
    constexpr std::size_t behind = std::string_view("\r\n").size();
    const std::string_view line = status_line(status);
    return line.empty() ? line : line.substr(before, line.size() - before - behind);
}

PORTHOLE_FN int status_of(RequestFault fault) noexcept {
    return detail::fault_answers[static_cast<std::size_t>(fault)].status;
}

PORTHOLE_FN std::string_view describe(RequestFault fault) noexcept {
    return detail::fault_answers[static_cast<std::size_t>(fault)].sentence;
}

PORTHOLE_NAMESPACE_END
