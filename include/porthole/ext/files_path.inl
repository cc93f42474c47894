// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/base/ascii.hpp"
#include "porthole/ext/files_path.hpp"

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// Controls, and the separator that only some systems know.
inline bool is_forbidden_in_path(unsigned char byte) noexcept {
    constexpr unsigned char first_visible = 0x20;
    constexpr unsigned char del = 0x7f;
    return byte < first_visible || byte == del || byte == '\\';
}

inline bool has_forbidden_byte(std::string_view text) noexcept {
    for (const char c : text) {
        if (is_forbidden_in_path(static_cast<unsigned char>(c))) {
            return true;
        }
    }
    return false;
}

PORTHOLE_FN PathVerdict check_raw_path(std::string_view target) noexcept {
    constexpr int digit_values = 16;
    target = target.substr(0, target.find('?'));
    if (has_forbidden_byte(target)) {
        return PathVerdict::malformed;
    }
    for (std::size_t at = target.find('%'); at != std::string_view::npos;
         at = target.find('%', at + 1)) {
        const std::string_view code = target.substr(at + 1, 2);
        const int high = code.size() == 2 ? ascii::hex_value(code[0]) : -1;
        const int low = code.size() == 2 ? ascii::hex_value(code[1]) : -1;
        if (high < 0 || low < 0) {
            continue; // a request with such a target is refused elsewhere
        }
        const auto byte = static_cast<unsigned char>(high * digit_values + low);
        if (byte == '/' || is_forbidden_in_path(byte)) {
            return PathVerdict::malformed;
        }
    }
    return PathVerdict::fine;
}

PORTHOLE_FN PathVerdict check_path(std::string_view path, const PathRules& rules) noexcept {
    if (path.empty() || path[0] != '/' || path.size() > max_file_path || has_forbidden_byte(path)) {
        return PathVerdict::malformed;
    }
    PathVerdict verdict = PathVerdict::fine;
    std::string_view rest = path.substr(1);
    while (!rest.empty()) {
        const std::string_view part = rest.substr(0, rest.find('/'));
        if (part.empty() || part == "." || part == "..") {
            return PathVerdict::malformed;
        }
        if ((part[0] == '.' && !rules.allows_dotfiles)
            || (rules.is_portable && !is_portable_name(part))) {
            verdict = PathVerdict::hidden;
        }
        rest.remove_prefix(part.size() < rest.size() ? part.size() + 1 : part.size());
    }
    return verdict;
}

/// The names of devices, which Windows opens in every directory and with any extension. COM and
/// LPT take a digit from 1 to 9, the superscripts of Latin-1 included.
inline bool is_device_name(std::string_view name) noexcept {
    std::string_view stem = name.substr(0, name.find('.'));
    while (!stem.empty() && stem.back() == ' ') {
        stem.remove_suffix(1);
    }
    for (const std::string_view device : {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"}) {
        if (ascii::equals_ignoring_case(stem, device)) {
            return true;
        }
    }
    constexpr std::size_t port_size = 3;
    const std::string_view port = stem.substr(0, port_size);
    if (!ascii::equals_ignoring_case(port, "COM") && !ascii::equals_ignoring_case(port, "LPT")) {
        return false;
    }
    const std::string_view number = stem.substr(port_size);
    return (number.size() == 1 && number[0] >= '1' && number[0] <= '9') || number == "\xc2\xb9"
           || number == "\xc2\xb2" || number == "\xc2\xb3";
}

/// "PROGRA~1": another name of a file whose own one is longer, and perhaps hidden.
inline bool is_short_name(std::string_view name) noexcept {
    const std::size_t tilde = name.find('~');
    return tilde != std::string_view::npos && tilde + 1 < name.size()
           && ascii::is_digit(name[tilde + 1]);
}

PORTHOLE_FN bool is_portable_name(std::string_view name) noexcept {
    return !name.empty() && name.find_first_of(":*?\"<>|") == std::string_view::npos
           && name.back() != '.' && name.back() != ' ' && !is_device_name(name)
           && !is_short_name(name);
}

PORTHOLE_FN std::string_view extension_of(std::string_view path) noexcept {
    const std::string_view name = path.substr(path.rfind('/') + 1); // npos + 1 is 0
    const std::size_t dot = name.rfind('.');
    return dot == std::string_view::npos || dot == 0 ? std::string_view() : name.substr(dot + 1);
}

PORTHOLE_FN bool has_hash_in_name(std::string_view path) noexcept {
    constexpr std::size_t shortest = 8;
    constexpr std::size_t longest = 64;
    const std::string_view extension = extension_of(path);
    if (extension.empty()) {
        return false;
    }
    std::string_view stem = path.substr(path.rfind('/') + 1);
    stem.remove_suffix(extension.size() + 1);
    const std::size_t separator = stem.find_last_of(".-");
    if (separator == std::string_view::npos || separator == 0) {
        return false;
    }
    const std::string_view hash = stem.substr(separator + 1);
    bool has_digit = false;
    bool has_lower = false;
    bool has_upper = false;
    bool is_hex = true;
    for (const char c : hash) {
        if (!ascii::is_digit(c) && !ascii::is_alpha(c) && c != '_') {
            return false;
        }
        has_digit |= ascii::is_digit(c);
        has_lower |= c >= 'a' && c <= 'z';
        has_upper |= c >= 'A' && c <= 'Z';
        is_hex = is_hex && (ascii::is_digit(c) || (c >= 'a' && c <= 'f'));
    }
    // Words, dates and version numbers must not pass for one: a hash that does is only asked for
    // again, a word that did would be kept for a year.
    const bool is_hex_hash =
        is_hex && has_digit && has_lower && hash.size() >= shortest && hash.size() <= longest;
    const bool is_base64_hash = hash.size() == shortest && has_digit && has_lower && has_upper;
    return is_hex_hash || is_base64_hash;
}

} // namespace detail

PORTHOLE_NAMESPACE_END
