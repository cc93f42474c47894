// SPDX-License-Identifier: MIT
#pragma once

// Status codes of the IANA registry with their reason phrases (RFC 9110 section 15), and the table
// that turns what went wrong with a request into the status that answers it.

#include "porthole/base/config.hpp"

#include <string_view>

PORTHOLE_NAMESPACE_BEGIN

/// "Not Found" for 404; "" for codes that are not registered.
std::string_view reason_phrase(int status) noexcept;
/// "HTTP/1.1 404 Not Found\r\n" for registered codes; empty for others.
std::string_view status_line(int status) noexcept;

/// False for 1xx, 204 and 304, which end with their head (RFC 9112 section 6.3).
constexpr bool status_has_content(int status) noexcept {
    return status >= 200 && status != 204 && status != 304;
}

/// Everything that makes the library refuse a request, one sentence each.
enum class RequestFault : unsigned char {
    none,
    bad_request_line,
    bad_method,
    bad_target,
    bad_version,
    unsupported_version,
    target_too_long,
    bad_field_name,
    bad_field_value,
    obsolete_folding,
    bare_line_feed,
    fields_too_large,
    too_many_fields,
    missing_host,
    repeated_host,
    bad_host,
    userinfo_in_host,
    bad_content_length,
    length_required,
    length_and_encoding,
    encoding_in_http10,
    bad_transfer_encoding,
    unknown_transfer_encoding,
    bad_chunk,
    bad_trailer,
    trailer_too_large,
    content_too_large,
    unknown_expectation,
    unknown_method,
    head_timeout,
    content_timeout,
};

/// The status that answers a fault.
int status_of(RequestFault fault) noexcept;
/// The sentence that says what is wrong; those about a limit name the field of Limits.
std::string_view describe(RequestFault fault) noexcept;

PORTHOLE_NAMESPACE_END
