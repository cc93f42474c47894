// SPDX-License-Identifier: MIT
#pragma once

// Cookies both ways. Input: one line each for the Cookie field, the wanted name, and the name,
// value, path and domain of a cookie to set; then its options (a byte) and its age (two bytes).

#include "fuzz/fuzz.hpp"

#include <chrono>
#include <optional>

namespace porthole_fuzz {

inline std::optional<std::string_view>
cookie_value(std::string_view field, std::string_view wanted) {
    std::size_t begin = 0;
    while (begin < field.size()) {
        std::size_t end = field.find(';', begin);
        end = end == std::string_view::npos ? field.size() : end;
        const std::string_view pair = field.substr(begin, end - begin);
        const std::size_t equals = pair.find('=');
        if (equals != std::string_view::npos && stripped(pair.substr(0, equals)) == wanted) {
            const std::string_view value = stripped(pair.substr(equals + 1));
            const bool is_quoted = value.size() >= 2 && value.front() == '"' && value.back() == '"';
            return is_quoted ? value.substr(1, value.size() - 2) : value;
        }
        begin = end + 1;
    }
    return std::nullopt;
}

/// A Set-Cookie value as it has to be, by RFC 6265 section 4.1.
inline void check_set_cookie(
    std::string_view line, std::string_view name, std::string_view value,
    const porthole::CookieOptions& options) {
    require(is_clean(line) && line.find('\t') == std::string_view::npos, "no control characters");
    std::string expected = std::string(name) + "=" + std::string(value);
    if (!options.path.empty()) {
        expected += "; Path=" + std::string(options.path);
    }
    if (!options.domain.empty()) {
        expected += "; Domain=" + std::string(options.domain);
    }
    if (options.max_age) {
        const auto age = options.max_age->count();
        expected += "; Max-Age=" + std::to_string(age < 0 ? 0 : age);
    }
    expected += options.http_only ? "; HttpOnly" : "";
    expected += options.secure ? "; Secure" : "";
    constexpr const char* sites[] = {"", "; SameSite=Lax", "; SameSite=Strict", "; SameSite=None"};
    expected += sites[static_cast<int>(options.same_site)];
    require(line == expected, "a cookie has the attributes that were asked for and no other");
    std::size_t semicolons = 0;
    for (const char c : line) {
        semicolons += c == ';' ? 1u : 0u;
    }
    const std::size_t attributes =
        (options.path.empty() ? 0u : 1u) + (options.domain.empty() ? 0u : 1u)
        + (options.max_age ? 1u : 0u) + (options.http_only ? 1u : 0u) + (options.secure ? 1u : 0u)
        + (options.same_site != porthole::SameSite::unset ? 1u : 0u);
    require(semicolons == attributes, "no attribute is injected");
}

inline void fuzz_cookie(const std::uint8_t* data, std::size_t size) {
    Input input(data, size);
    const HeapBytes field(input.line());
    const HeapBytes wanted(input.line());
    const auto found = porthole::find_cookie(field.view(), wanted.view());
    require(found == cookie_value(field.view(), wanted.view()), "two readings of a cookie agree");
    require(!found || lies_in(*found, field.view()), "a cookie's value lies in the field");

    const std::string_view name = input.line();
    const std::string_view value = input.line();
    porthole::CookieOptions options;
    options.path = input.line();
    options.domain = input.line();
    const std::uint8_t flags = input.byte();
    options.http_only = (flags & 1) != 0;
    options.secure = (flags & 2) != 0;
    options.same_site = static_cast<porthole::SameSite>(flags >> 2 & 3);
    if ((flags & 16) != 0) {
        const auto age = static_cast<int>(input.number());
        options.max_age = std::chrono::seconds((flags & 32) != 0 ? -age : age);
    }
    std::string line = "kept";
    if (!porthole::write_cookie(name, value, options, line)) {
        require(line == "kept", "what is refused adds nothing");
        return;
    }
    check_set_cookie(std::string_view(line).substr(4), name, value, options);
    const std::string sent = "a=b; " + std::string(name) + "=" + std::string(value) + "; c=d";
    const auto read = porthole::find_cookie(sent, name);
    require(
        read && (*read == value || name == "a"), "a cookie that was set comes back as it was set");
}

} // namespace porthole_fuzz
