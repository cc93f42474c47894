// SPDX-License-Identifier: MIT
#pragma once

// Request methods (RFC 9110 section 9, RFC 5789, RFC 4918, RFC 3253, RFC 5323, and PURGE of common
// caches as `other`). Methods are case-sensitive.

#include "porthole/base/config.hpp"

#include <string_view>

PORTHOLE_NAMESPACE_BEGIN

/// `other` is any token that is not listed; compare Request::method_name() for those. `del` is
/// DELETE, which is a keyword in small letters and a macro of windows.h in capitals.
enum class Method : unsigned char {
    get,
    head,
    post,
    put,
    del,
    patch,
    options,
    trace,
    connect,
    propfind,
    proppatch,
    mkcol,
    copy,
    move,
    lock,
    unlock,
    report,
    search,
    other,
};

/// Exact, in any length of time but without allocating. Unknown tokens are Method::other.
Method parse_method(std::string_view name) noexcept;
/// "GET" for Method::get; "" for Method::other.
std::string_view to_string(Method method) noexcept;

PORTHOLE_NAMESPACE_END
