// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/base/ascii.hpp"

#include <cstring>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// One byte per character: 1 for tchar. Built at compile time, so nothing runs before main().
struct TokenTable {
    bool is_token[256] = {};
    constexpr TokenTable() {
        for (int c = '0'; c <= '9'; ++c) {
            is_token[c] = true;
        }
        for (int c = 'a'; c <= 'z'; ++c) {
            is_token[c] = true;
            is_token[c - 'a' + 'A'] = true;
        }
        for (const char c :
             {'!', '#', '$', '%', '&', '\'', '*', '+', '-', '.', '^', '_', '`', '|', '~'}) {
            is_token[static_cast<unsigned char>(c)] = true;
        }
    }
};
inline constexpr TokenTable token_table{};

/// Eight bytes at a time: a set top bit for every byte that is below 0x20 or equal to 0x7f.
/// Exact for the question "is there any", which is all that is asked.
inline std::uint64_t control_bits(std::uint64_t word) noexcept {
    constexpr std::uint64_t ones = 0x0101010101010101u;
    constexpr std::uint64_t tops = 0x8080808080808080u;
    const std::uint64_t below_space = (word - ones * 0x20) & ~word;
    const std::uint64_t delete_zeroed = word ^ (ones * 0x7f);
    const std::uint64_t is_delete = (delete_zeroed - ones) & ~delete_zeroed;
    return (below_space | is_delete) & tops;
}

inline bool is_value_char(char c) noexcept {
    const auto byte = static_cast<unsigned char>(c);
    return (byte >= 0x20 && byte != 0x7f) || c == '\t';
}

} // namespace detail

namespace ascii {

PORTHOLE_FN bool equals_ignoring_case(std::string_view a, std::string_view b) noexcept {
    if (a.size() != b.size()) {
        return false;
    }
    for (std::size_t i = 0; i < a.size(); ++i) {
        if (a[i] != b[i] && to_lower(a[i]) != to_lower(b[i])) {
            return false;
        }
    }
    return true;
}

PORTHOLE_FN std::string_view trim(std::string_view text) noexcept {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) {
        text.remove_prefix(1);
    }
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) {
        text.remove_suffix(1);
    }
    return text;
}

PORTHOLE_FN bool is_token_char(char c) noexcept {
    return detail::token_table.is_token[static_cast<unsigned char>(c)];
}

PORTHOLE_FN bool is_token(std::string_view text) noexcept {
    for (const char c : text) {
        if (!is_token_char(c)) {
            return false;
        }
    }
    return !text.empty();
}

PORTHOLE_FN bool is_field_value(std::string_view text) noexcept {
    constexpr std::size_t step = sizeof(std::uint64_t);
    const auto has_control = [](const char* at) {
        std::uint64_t word = 0;
        std::memcpy(&word, at, step);
        return detail::control_bits(word) != 0;
    };
    bool is_suspect = text.size() < step;
    for (std::size_t i = 0; i + step <= text.size() && !is_suspect; i += step) {
        is_suspect = has_control(text.data() + i);
    }
    if (!is_suspect && !has_control(text.data() + text.size() - step)) {
        return true;
    }
    for (const char c : text) { // short, or with a tab, which is legal
        if (!detail::is_value_char(c)) {
            return false;
        }
    }
    return true;
}

PORTHOLE_FN bool is_visible(std::string_view text) noexcept {
    for (const char c : text) {
        if (c < '!' || c > '~') {
            return false;
        }
    }
    return true;
}

PORTHOLE_FN std::optional<std::uint64_t> parse_decimal(std::string_view text) noexcept {
    if (text.empty()) {
        return std::nullopt;
    }
    constexpr std::uint64_t base = 10;
    std::uint64_t value = 0;
    for (const char c : text) {
        if (!is_digit(c)) {
            return std::nullopt;
        }
        const auto digit = static_cast<std::uint64_t>(c - '0');
        if (value > (UINT64_MAX - digit) / base) {
            return std::nullopt;
        }
        value = value * base + digit;
    }
    return value;
}

PORTHOLE_FN std::size_t write_decimal(char* into, std::uint64_t value) noexcept {
    constexpr std::uint64_t base = 10;
    char reversed[20];
    std::size_t size = 0;
    do {
        reversed[size++] = static_cast<char>('0' + value % base);
        value /= base;
    } while (value != 0);
    for (std::size_t i = 0; i < size; ++i) {
        into[i] = reversed[size - 1 - i];
    }
    return size;
}

PORTHOLE_FN std::optional<std::string_view> next_list_element(std::string_view& rest) noexcept {
    while (!rest.empty()) {
        bool is_quoted = false;
        std::size_t end = 0;
        for (; end < rest.size(); ++end) {
            if (rest[end] == '"') {
                is_quoted = !is_quoted;
            } else if (rest[end] == '\\' && is_quoted && end + 1 < rest.size()) {
                ++end;
            } else if (rest[end] == ',' && !is_quoted) {
                break;
            }
        }
        const std::string_view element = trim(rest.substr(0, end));
        rest.remove_prefix(end < rest.size() ? end + 1 : end);
        if (!element.empty()) {
            return element;
        }
    }
    return std::nullopt;
}

PORTHOLE_FN bool list_has(std::string_view list, std::string_view element) noexcept {
    while (const auto found = next_list_element(list)) {
        if (equals_ignoring_case(*found, element)) {
            return true;
        }
    }
    return false;
}

} // namespace ascii

PORTHOLE_NAMESPACE_END
