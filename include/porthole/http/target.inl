// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/base/ascii.hpp"
#include "porthole/base/ip_address.hpp"
#include "porthole/http/target.hpp"

#include <array>
#include <cstddef>
#include <optional>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// What each byte means in a request target. A '#' is visible, but a fragment never travels.
struct TargetTable {
    enum Meaning : unsigned char { refused, plain, percent, question };
    Meaning of[256] = {};
    constexpr TargetTable() {
        for (int c = '!'; c <= '~'; ++c) {
            of[c] = plain;
        }
        of[static_cast<unsigned char>('#')] = refused;
        of[static_cast<unsigned char>('%')] = percent;
        of[static_cast<unsigned char>('?')] = question;
    }
};
inline constexpr TargetTable target_table{};

/// The size of a percent-encoded byte: '%' and two hexadecimal digits.
inline constexpr std::size_t encoded_byte_size = 3;

/// The byte that the three characters at `at` stand for, or -1.
inline int decode_byte(std::string_view text, std::size_t at) noexcept {
    if (text.size() - at < encoded_byte_size) {
        return -1;
    }
    const int high = ascii::hex_value(text[at + 1]);
    const int low = ascii::hex_value(text[at + 2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/// Checks every byte, and finds the first '?' (or the size when there is none).
inline bool check_target_bytes(std::string_view text, std::size_t& question) noexcept {
    question = text.size();
    for (std::size_t i = 0; i < text.size(); ++i) {
        switch (target_table.of[static_cast<unsigned char>(text[i])]) {
        case TargetTable::plain: break;
        case TargetTable::refused: return false;
        case TargetTable::percent:
            if (decode_byte(text, i) < 0) {
                return false;
            }
            break;
        case TargetTable::question:
            if (question == text.size()) {
                question = i;
            }
            break;
        }
    }
    return true;
}

/// http and https, in any case (RFC 3986 section 3.1). Nothing else is served here.
inline bool split_absolute_form(std::string_view text, Target& target) noexcept {
    constexpr std::string_view separator = "://";
    const std::size_t end = text.find(separator);
    if (end == std::string_view::npos) {
        return false;
    }
    target.form = TargetForm::absolute;
    target.scheme = text.substr(0, end);
    if (!ascii::equals_ignoring_case(target.scheme, "http")
        && !ascii::equals_ignoring_case(target.scheme, "https")) {
        return false;
    }
    text.remove_prefix(end + separator.size());
    const std::size_t authority_end = text.find_first_of("/?");
    target.authority = text.substr(0, authority_end);
    Authority authority;
    if (!parse_authority(target.authority, authority)) {
        return false;
    }
    text.remove_prefix(target.authority.size());
    const std::size_t question = text.find('?');
    target.path = text.substr(0, question);
    if (question != std::string_view::npos) {
        target.query = text.substr(question + 1);
    }
    if (target.path.empty()) {
        target.path = "/"; // RFC 9110 section 4.2.3: an empty path is the same as "/"
    }
    return true;
}

inline bool is_host_name(std::string_view text) noexcept {
    for (const char c : text) {
        if (!ascii::is_alpha(c) && !ascii::is_digit(c) && c != '-' && c != '.' && c != '_') {
            return false;
        }
    }
    return !text.empty();
}

/// Stands for a decoded '/' while dot segments are removed, so that it is no segment's end. A
/// decoded NUL is refused, so it cannot be mistaken.
inline constexpr char decoded_slash = '\0';

/// Appends one decoded segment.
inline bool append_segment(std::string_view segment, std::string& into, bool& has_slash) {
    for (std::size_t i = 0; i < segment.size(); ++i) {
        if (segment[i] != '%') {
            into += segment[i];
            continue;
        }
        const int byte = decode_byte(segment, i);
        if (byte <= 0) {
            return false;
        }
        has_slash = has_slash || byte == '/';
        into += byte == '/' ? decoded_slash : static_cast<char>(byte);
        i += encoded_byte_size - 1;
    }
    return true;
}

/// Puts decoded slashes in their place. "%2e%2e%2f" must not smuggle in what was just removed:
/// false when a dot segment comes to light.
inline bool restore_slashes(std::string& path, std::size_t begin) noexcept {
    for (std::size_t i = begin; i < path.size(); ++i) {
        path[i] = path[i] == decoded_slash ? '/' : path[i];
    }
    std::string_view rest = std::string_view(path).substr(begin);
    while (!rest.empty()) {
        rest.remove_prefix(1);
        const std::string_view segment = rest.substr(0, rest.find('/'));
        if (segment == "." || segment == "..") {
            return false;
        }
        rest.remove_prefix(segment.size());
    }
    return true;
}

/// RFC 3986 section 5.2.4 over decoded segments.
inline bool append_normalized(std::string_view path, std::string& into) {
    const std::size_t begin = into.size();
    bool has_slash = false;
    while (!path.empty()) {
        path.remove_prefix(1); // the '/' before the segment
        const std::string_view raw = path.substr(0, path.find('/'));
        path.remove_prefix(raw.size());
        const std::size_t at = into.size();
        into += '/';
        if (!append_segment(raw, into, has_slash)) {
            return false;
        }
        const std::string_view segment = std::string_view(into).substr(at + 1);
        const bool is_parent = segment == "..";
        if (!is_parent && segment != ".") {
            continue;
        }
        into.resize(at);
        if (is_parent) {
            if (at == begin) {
                return false;
            }
            into.resize(into.rfind('/'));
        }
        if (path.empty()) {
            into += '/'; // what ends in a dot segment is a folder
        }
    }
    return !has_slash || restore_slashes(into, begin);
}

} // namespace detail

PORTHOLE_FN bool
parse_target(std::string_view text, std::string_view method_name, Target& target) noexcept {
    target = Target{};
    std::size_t question = 0;
    if (text.empty() || !detail::check_target_bytes(text, question)) {
        return false;
    }
    if (method_name == "CONNECT") {
        // RFC 9110 section 9.3.6: host and port, both of them
        Authority authority;
        target.form = TargetForm::authority;
        target.authority = text;
        return parse_authority(text, authority) && authority.has_port;
    }
    if (text[0] == '/') {
        target.path = text.substr(0, question);
        target.query = question < text.size() ? text.substr(question + 1) : std::string_view();
        return true;
    }
    if (text == "*") {
        target.form = TargetForm::asterisk;
        target.path = text;
        return method_name == "OPTIONS";
    }
    return detail::split_absolute_form(text, target);
}

PORTHOLE_FN bool parse_authority(std::string_view text, Authority& authority) noexcept {
    constexpr std::size_t max_size = 255;
    constexpr std::size_t max_port_digits = 5;
    authority = Authority{};
    if (text.empty() || text.size() > max_size) {
        return false;
    }
    std::size_t host_size = 0;
    if (text[0] == '[') {
        const std::size_t bracket = text.find(']');
        std::array<std::uint8_t, 16> address{};
        if (bracket == std::string_view::npos
            || !detail::parse_ipv6(text.substr(1, bracket - 1), address)) {
            return false;
        }
        host_size = bracket + 1;
    } else {
        host_size = text.find(':') < text.size() ? text.find(':') : text.size();
        if (!detail::is_host_name(text.substr(0, host_size))) {
            return false;
        }
    }
    authority.host = text.substr(0, host_size);
    if (host_size == text.size()) {
        return true;
    }
    const std::string_view digits = text.substr(host_size + 1);
    const auto port = ascii::parse_decimal(digits);
    if (text[host_size] != ':' || digits.size() > max_port_digits || !port || *port > UINT16_MAX) {
        return false;
    }
    authority.has_port = true;
    authority.port = static_cast<std::uint16_t>(*port);
    return true;
}

PORTHOLE_FN bool percent_decode(std::string_view text, std::string& into) {
    const std::size_t before = into.size();
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            into += text[i];
            continue;
        }
        const int byte = detail::decode_byte(text, i);
        if (byte < 0) {
            into.resize(before);
            return false;
        }
        into += static_cast<char>(byte);
        i += detail::encoded_byte_size - 1;
    }
    return true;
}

PORTHOLE_FN void percent_encode(std::string_view text, std::string& into) {
    constexpr char digits[] = "0123456789ABCDEF";
    for (const char c : text) {
        if (ascii::is_alpha(c) || ascii::is_digit(c) || c == '-' || c == '.' || c == '_'
            || c == '~') {
            into += c;
        } else {
            const auto byte = static_cast<unsigned char>(c);
            into += '%';
            into += digits[byte >> 4];
            into += digits[byte & 0xf];
        }
    }
}

PORTHOLE_FN bool path_needs_work(std::string_view path) noexcept {
    char before = '\0';
    for (std::size_t i = 0; i < path.size(); ++i) {
        const char c = path[i];
        if (c == '%') {
            return true;
        }
        if (c == '.' && before == '/') {
            const std::size_t dots = path.substr(i, 2) == ".." ? 2 : 1;
            if (i + dots == path.size() || path[i + dots] == '/') {
                return true;
            }
        }
        before = c;
    }
    return false;
}

PORTHOLE_FN bool normalize_path(std::string_view path, std::string& into) {
    const std::size_t before = into.size();
    if (path.empty() || path[0] != '/' || path.find('\0') != std::string_view::npos
        || !detail::append_normalized(path, into)) {
        into.resize(before);
        return false;
    }
    return true;
}

PORTHOLE_NAMESPACE_END
