// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/base/ascii.hpp"
#include "porthole/http/cookie.hpp"

#include <cstddef>
#include <cstdint>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// cookie-octet (RFC 6265 section 4.1.1): visible ASCII without the quote, comma, semicolon and
/// backslash.
inline bool is_cookie_value(std::string_view value) noexcept {
    for (const char c : value) {
        if (c < '!' || c > '~' || c == '"' || c == ',' || c == ';' || c == '\\') {
            return false;
        }
    }
    return true;
}

/// av-octet (RFC 6265 section 4.1.1), and the bytes above ASCII that paths may have.
inline bool is_cookie_attribute(std::string_view value) noexcept {
    return ascii::is_field_value(value) && value.find_first_of(";\t") == std::string_view::npos;
}

inline void append_max_age(std::chrono::seconds max_age, std::string& into) {
    constexpr std::size_t max_digits = 20;
    char digits[max_digits];
    // Zero is all that is needed to delete a cookie, and the grammar knows no sign.
    const auto seconds = static_cast<std::uint64_t>(max_age.count() < 0 ? 0 : max_age.count());
    into += "; Max-Age=";
    into.append(digits, ascii::write_decimal(digits, seconds));
}

} // namespace detail

PORTHOLE_FN std::optional<std::string_view>
find_cookie(std::string_view cookie_field, std::string_view name) noexcept {
    while (!cookie_field.empty()) {
        const std::string_view pair = cookie_field.substr(0, cookie_field.find(';'));
        cookie_field.remove_prefix(
            pair.size() < cookie_field.size() ? pair.size() + 1 : pair.size());
        const std::size_t equals = pair.find('=');
        if (equals == std::string_view::npos || ascii::trim(pair.substr(0, equals)) != name) {
            continue;
        }
        std::string_view value = ascii::trim(pair.substr(equals + 1));
        if (value.size() > 1 && value.front() == '"' && value.back() == '"') {
            value = value.substr(1, value.size() - 2);
        }
        return value;
    }
    return std::nullopt;
}

PORTHOLE_FN bool write_cookie(
    std::string_view name, std::string_view value, const CookieOptions& options,
    std::string& into) {
    const bool is_refused_by_browsers =
        options.same_site == SameSite::cross_site && !options.secure;
    if (!ascii::is_token(name) || !detail::is_cookie_value(value)
        || !detail::is_cookie_attribute(options.path)
        || !detail::is_cookie_attribute(options.domain) || is_refused_by_browsers) {
        return false;
    }
    into.append(name).append("=").append(value);
    if (!options.path.empty()) {
        into.append("; Path=").append(options.path);
    }
    if (!options.domain.empty()) {
        into.append("; Domain=").append(options.domain);
    }
    if (options.max_age) {
        detail::append_max_age(*options.max_age, into);
    }
    into += options.http_only ? "; HttpOnly" : "";
    into += options.secure ? "; Secure" : "";
    switch (options.same_site) {
    case SameSite::unset: break;
    case SameSite::lax: into += "; SameSite=Lax"; break;
    case SameSite::strict: into += "; SameSite=Strict"; break;
    case SameSite::cross_site: into += "; SameSite=None"; break;
    }
    return true;
}

PORTHOLE_NAMESPACE_END
