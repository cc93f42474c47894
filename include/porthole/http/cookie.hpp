// SPDX-License-Identifier: MIT
#pragma once

// Cookies in and out (RFC 6265).

#include "porthole/base/config.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

PORTHOLE_NAMESPACE_BEGIN

enum class SameSite : unsigned char { unset, lax, strict, cross_site };

/// What goes with a cookie to the browser. Defaults are the safe ones.
struct CookieOptions {
    std::string_view path = "/";
    std::string_view domain = {};
    /// Unset: until the browser ends. Zero or less: delete it.
    std::optional<std::chrono::seconds> max_age = std::nullopt;
    bool http_only = true;
    bool secure = false;
    /// `cross_site` is written as None, which needs `secure`.
    SameSite same_site = SameSite::lax;
};

/// The value of the cookie `name` in one Cookie field value, without the quotes around it.
std::optional<std::string_view>
find_cookie(std::string_view cookie_field, std::string_view name) noexcept;
/// Appends a Set-Cookie value. False, with `into` as it was, when the name is not a token, the
/// value has a byte outside cookie-octet (RFC 6265 section 4.1.1), path or domain a ';' or a
/// control character, or when it is cross_site but not secure, which browsers would drop.
bool write_cookie(
    std::string_view name, std::string_view value, const CookieOptions& options, std::string& into);

PORTHOLE_NAMESPACE_END
