// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/base/utf8.hpp"

#include <cstdint>
#include <cstring>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN std::size_t ascii_prefix(std::string_view text) noexcept {
    constexpr std::uint64_t high_bits = 0x8080808080808080u;
    constexpr std::size_t stride = 4 * sizeof(std::uint64_t);
    std::size_t at = 0;
    for (; text.size() - at >= stride; at += stride) {
        std::uint64_t words[4];
        std::memcpy(words, text.data() + at, stride);
        if (((words[0] | words[1] | words[2] | words[3]) & high_bits) != 0) {
            break;
        }
    }
    while (at < text.size() && static_cast<unsigned char>(text[at]) < 0x80) {
        ++at;
    }
    return at;
}

/// RFC 3629 section 4: the first byte says how many follow, and what the second may be, so that
/// there are no overlong forms, no surrogates and nothing above U+10FFFF.
PORTHOLE_FN bool Utf8Validator::begin_character(unsigned char byte) noexcept {
    least_ = 0x80;
    largest_ = 0xbf;
    if (byte >= 0xc2 && byte <= 0xdf) {
        missing_ = 1;
    } else if (byte >= 0xe0 && byte <= 0xef) {
        missing_ = 2;
        least_ = byte == 0xe0 ? 0xa0 : 0x80;
        largest_ = byte == 0xed ? 0x9f : 0xbf;
    } else if (byte >= 0xf0 && byte <= 0xf4) {
        missing_ = 3;
        least_ = byte == 0xf0 ? 0x90 : 0x80;
        largest_ = byte == 0xf4 ? 0x8f : 0xbf;
    } else {
        is_valid_ = false;
    }
    return is_valid_;
}

PORTHOLE_FN bool Utf8Validator::feed(std::string_view piece) noexcept {
    std::size_t at = 0;
    while (is_valid_ && at < piece.size()) {
        const auto byte = static_cast<unsigned char>(piece[at]);
        if (missing_ != 0) {
            is_valid_ = byte >= least_ && byte <= largest_;
            least_ = 0x80;
            largest_ = 0xbf;
            --missing_;
            ++at;
        } else if (byte < 0x80) {
            at += ascii_prefix(piece.substr(at));
        } else {
            begin_character(byte);
            ++at;
        }
    }
    return is_valid_;
}

PORTHOLE_FN bool is_utf8(std::string_view text) noexcept {
    Utf8Validator validator;
    return validator.feed(text) && validator.is_complete();
}

PORTHOLE_FN std::size_t first_character_size(std::string_view text) noexcept {
    Utf8Validator validator;
    std::size_t size = 0;
    while (size < text.size() && validator.feed(text.substr(size, 1))) {
        ++size;
        if (validator.is_complete()) {
            return size;
        }
    }
    return 0;
}

} // namespace detail

PORTHOLE_NAMESPACE_END
