// SPDX-License-Identifier: MIT
#pragma once

// One table of names, in the order of the enumerators, for both ways. The common methods come
// first, and a name of another size is passed over without looking at its bytes.

#include "porthole/http/method.hpp"

#include <cstddef>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// Indexed by Method.
inline constexpr std::string_view method_names[] = {
    "GET",   "HEAD",    "POST",     "PUT",       "DELETE", "PATCH", "OPTIONS",
    "TRACE", "CONNECT", "PROPFIND", "PROPPATCH", "MKCOL",  "COPY",  "MOVE",
    "LOCK",  "UNLOCK",  "REPORT",   "SEARCH",    "",
};
static_assert(
    sizeof method_names / sizeof method_names[0] == static_cast<std::size_t>(Method::other) + 1,
    "one name for each enumerator");

} // namespace detail

PORTHOLE_FN Method parse_method(std::string_view name) noexcept {
    for (std::size_t i = 0; i < static_cast<std::size_t>(Method::other); ++i) {
        if (name == detail::method_names[i]) {
            return static_cast<Method>(i);
        }
    }
    return Method::other;
}

PORTHOLE_FN std::string_view to_string(Method method) noexcept {
    return detail::method_names[static_cast<std::size_t>(method)];
}

PORTHOLE_NAMESPACE_END
