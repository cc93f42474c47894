// SPDX-License-Identifier: MIT
#pragma once

// Searches by name: the size and the first letter tell nearly all names apart before the rest is
// compared. A head has at most Limits::max_fields lines, so there is no index.

#include "porthole/base/ascii.hpp"
#include "porthole/http/fields.hpp"

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

inline bool is_same_name(std::string_view a, std::string_view b) noexcept {
    return a.size() == b.size() && !a.empty()
           && ascii::to_lower(a.front()) == ascii::to_lower(b.front())
           && ascii::equals_ignoring_case(a, b);
}

} // namespace detail

PORTHOLE_FN std::optional<std::string_view> Fields::find(std::string_view name) const noexcept {
    for (const detail::FieldSpan& span : spans_) {
        if (detail::is_same_name(span.name.in(base_), name)) {
            return span.value.in(base_);
        }
    }
    return std::nullopt;
}

PORTHOLE_FN std::vector<std::string_view> Fields::find_all(std::string_view name) const {
    std::vector<std::string_view> values;
    for (const detail::FieldSpan& span : spans_) {
        if (detail::is_same_name(span.name.in(base_), name)) {
            values.push_back(span.value.in(base_));
        }
    }
    return values;
}

PORTHOLE_FN std::size_t Fields::count(std::string_view name) const noexcept {
    std::size_t total = 0;
    for (const detail::FieldSpan& span : spans_) {
        if (detail::is_same_name(span.name.in(base_), name)) {
            ++total;
        }
    }
    return total;
}

PORTHOLE_FN bool
Fields::has_element(std::string_view name, std::string_view element) const noexcept {
    for (const detail::FieldSpan& span : spans_) {
        if (detail::is_same_name(span.name.in(base_), name)
            && ascii::list_has(span.value.in(base_), element)) {
            return true;
        }
    }
    return false;
}

PORTHOLE_NAMESPACE_END
