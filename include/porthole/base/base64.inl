// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/base/base64.hpp"

#include <cstddef>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// Three bytes make four digits of six bits; what is missing at the end is padded, if at all.
inline std::string encode_base64(std::string_view bytes, std::string_view digits, bool is_padded) {
    constexpr std::size_t group = 3;
    constexpr unsigned six_bits = 0x3f;
    std::string text;
    text.reserve((bytes.size() / group + 1) * (group + 1));
    for (std::size_t i = 0; i < bytes.size(); i += group) {
        const std::size_t here = bytes.size() - i < group ? bytes.size() - i : group;
        unsigned value = 0;
        for (std::size_t j = 0; j < group; ++j) {
            value = (value << 8) | (j < here ? static_cast<unsigned char>(bytes[i + j]) : 0u);
        }
        for (std::size_t j = 0; j <= group; ++j) {
            if (j <= here) {
                text += digits[(value >> (6 * (group - j))) & six_bits];
            } else if (is_padded) {
                text += '=';
            }
        }
    }
    return text;
}

PORTHOLE_FN std::string base64(std::string_view bytes) {
    return encode_base64(
        bytes, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", true);
}

PORTHOLE_FN std::string base64url(std::string_view bytes) {
    return encode_base64(
        bytes, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", false);
}

} // namespace detail

PORTHOLE_NAMESPACE_END
