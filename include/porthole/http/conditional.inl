// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/base/ascii.hpp"
#include "porthole/http/conditional.hpp"
#include "porthole/http/date.hpp"

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

inline constexpr std::string_view weak_prefix = "W/";

inline bool is_weak_etag(std::string_view etag) noexcept {
    return etag.substr(0, weak_prefix.size()) == weak_prefix;
}

inline std::string_view opaque_part(std::string_view etag) noexcept {
    return is_weak_etag(etag) ? etag.substr(weak_prefix.size()) : etag;
}

/// Takes the next entity tag off a list; empty at its end and where it is malformed. A backslash
/// is an ordinary character in here (RFC 9110 section 8.8.3).
inline std::string_view next_etag(std::string_view& rest) noexcept {
    const std::size_t begin = rest.find_first_not_of(" \t,");
    rest.remove_prefix(begin == std::string_view::npos ? rest.size() : begin);
    const std::size_t quote = is_weak_etag(rest) ? weak_prefix.size() : 0;
    if (rest.substr(quote, 1) != "\"") {
        return {};
    }
    const std::size_t end = rest.find('"', quote + 1);
    if (end == std::string_view::npos) {
        return {};
    }
    const std::string_view etag = rest.substr(0, end + 1);
    rest.remove_prefix(etag.size());
    return etag;
}

/// A list may be spread over several field lines (RFC 9110 section 5.3).
inline bool any_line_has_etag(
    const Fields& fields, std::string_view name, std::string_view etag,
    EtagComparison comparison) noexcept {
    for (std::size_t i = 0; i < fields.size(); ++i) {
        const Field field = fields[i];
        if (ascii::equals_ignoring_case(field.name, name)
            && etag_list_has(field.value, etag, comparison)) {
            return true;
        }
    }
    return false;
}

/// A date condition counts when there is exactly one valid date (RFC 9110 section 13.1.3), and a
/// date to compare it with.
inline std::optional<std::chrono::seconds> date_condition(
    const Fields& fields, std::string_view name,
    std::chrono::system_clock::time_point now) noexcept {
    const auto text = fields.find(name);
    if (!text || fields.count(name) != 1) {
        return std::nullopt;
    }
    const auto date = parse_date(*text, now);
    return date ? std::optional(std::chrono::floor<std::chrono::seconds>(date->time_since_epoch()))
                : std::nullopt;
}

inline std::chrono::seconds whole_seconds(std::chrono::system_clock::time_point time) noexcept {
    return std::chrono::floor<std::chrono::seconds>(time.time_since_epoch());
}

} // namespace detail

PORTHOLE_FN bool
etag_list_has(std::string_view list, std::string_view etag, EtagComparison comparison) noexcept {
    if (ascii::trim(list) == "*") {
        return true;
    }
    if (etag.empty() || (comparison == EtagComparison::strong && detail::is_weak_etag(etag))) {
        return false;
    }
    for (;;) {
        const std::string_view candidate = detail::next_etag(list);
        if (candidate.empty()) {
            return false;
        }
        const bool is_equal = comparison == EtagComparison::strong
                                  ? candidate == etag
                                  : detail::opaque_part(candidate) == detail::opaque_part(etag);
        if (is_equal) {
            return true;
        }
    }
}

PORTHOLE_FN Precondition evaluate_preconditions(
    const Fields& fields, Method method, const Validators& validators,
    std::chrono::system_clock::time_point now) noexcept {
    const bool is_reading = method == Method::get || method == Method::head;
    // Steps 1 and 2: what a client that changes things, or goes on with a download, relies on.
    if (fields.count("If-Match") != 0) {
        if (!detail::any_line_has_etag(
                fields, "If-Match", validators.etag, EtagComparison::strong)) {
            return Precondition::failed;
        }
    } else if (const auto date = detail::date_condition(fields, "If-Unmodified-Since", now)) {
        if (validators.last_modified && detail::whole_seconds(*validators.last_modified) > *date) {
            return Precondition::failed;
        }
    }
    // Steps 3 and 4: a cache that asks whether its copy is still good.
    if (fields.count("If-None-Match") != 0) {
        if (detail::any_line_has_etag(
                fields, "If-None-Match", validators.etag, EtagComparison::weak)) {
            return is_reading ? Precondition::not_modified : Precondition::failed;
        }
        return Precondition::passed;
    }
    if (is_reading && validators.last_modified) {
        const auto date = detail::date_condition(fields, "If-Modified-Since", now);
        if (date && detail::whole_seconds(*validators.last_modified) <= *date) {
            return Precondition::not_modified;
        }
    }
    return Precondition::passed;
}

PORTHOLE_FN bool if_range_passes(
    const Fields& fields, const Validators& validators,
    std::chrono::system_clock::time_point now) noexcept {
    const std::size_t count = fields.count("If-Range");
    if (count == 0) {
        return true;
    }
    const std::string_view value = *fields.find("If-Range");
    if (count != 1) {
        return false;
    }
    if (value.substr(0, 1) == "\"" || detail::is_weak_etag(value)) {
        return !detail::is_weak_etag(value) && value == validators.etag;
    }
    // Section 13.1.5: an exact match, and only with a date that is a strong validator.
    const auto date = parse_date(value, now);
    return date && validators.last_modified && !validators.is_recent
           && detail::whole_seconds(*validators.last_modified) == detail::whole_seconds(*date);
}

PORTHOLE_NAMESPACE_END
