// SPDX-License-Identifier: MIT
#pragma once

// Conditional requests (RFC 9110 section 13): whether a client's copy is still good, and whether a
// part of it may be completed. Pure functions over the request's fields and the validators of what
// would be sent, for files, baked-in assets and handlers alike.

#include "porthole/http/fields.hpp"
#include "porthole/http/method.hpp"

#include <chrono>
#include <optional>
#include <string_view>

PORTHOLE_NAMESPACE_BEGIN

/// What tells one version of a representation from another (RFC 9110 section 8.8).
struct Validators {
    /// An entity tag with its quotes, W/ included; empty when there is none.
    std::string_view etag;
    /// Fractions of a second do not count: the field has none.
    std::optional<std::chrono::system_clock::time_point> last_modified;
    /// The date is too young to be the only one of its second, so it is a weak validator
    /// (section 8.8.2.2).
    bool is_recent = false;
};

/// What the preconditions make of a request.
enum class Precondition : unsigned char {
    passed,       ///< go on
    not_modified, ///< 304
    failed,       ///< 412
};

/// If-Match, If-Unmodified-Since, If-None-Match and If-Modified-Since in the order of RFC 9110
/// section 13.2.2, for a resource that exists. `now` decides the century of obsolete dates.
Precondition evaluate_preconditions(
    const Fields& fields, Method method, const Validators& validators,
    std::chrono::system_clock::time_point now) noexcept;

/// False when an If-Range says that the Range beside it is to be ignored (RFC 9110 section
/// 13.1.5); true without If-Range.
bool if_range_passes(
    const Fields& fields, const Validators& validators,
    std::chrono::system_clock::time_point now) noexcept;

/// True when a list of entity tags, or "*", has this one. Weak comparison ignores W/; the strong
/// one never matches a weak tag (RFC 9110 section 8.8.3.2). A list ends where it is malformed.
enum class EtagComparison : unsigned char { strong, weak };
bool etag_list_has(
    std::string_view list, std::string_view etag, EtagComparison comparison) noexcept;

PORTHOLE_NAMESPACE_END
