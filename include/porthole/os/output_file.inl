// SPDX-License-Identifier: MIT
#pragma once

// What is the same on all systems: the name that a file has until it is complete.

#include "porthole/os/output_file.hpp"
#include "porthole/os/random.hpp"

#include <cstddef>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// Names to try before giving up: two that are equal by chance are not to be expected at all.
inline constexpr int max_unfinished_names = 4;

/// ".porthole-<16 letters>.part" with its terminator: a name that says what it is, hidden from
/// listings, and that nobody can be waiting at. False when there are no random bytes.
struct UnfinishedName {
    static constexpr std::string_view front = ".porthole-";
    static constexpr std::string_view back = ".part";
    static constexpr std::size_t letters = 16;

    char text[front.size() + letters + back.size() + 1] = {};

    [[nodiscard]] bool make() noexcept {
        constexpr std::string_view alphabet = "abcdefghijklmnopqrstuvwxyz234567";
        char random[letters];
        if (!fill_random(random, letters)) {
            return false;
        }
        char* at = text + front.copy(text, front.size());
        for (const char byte : random) {
            *at++ = alphabet[static_cast<unsigned char>(byte) % alphabet.size()];
        }
        at += back.copy(at, back.size());
        *at = '\0';
        return true;
    }
};

} // namespace detail

PORTHOLE_NAMESPACE_END
