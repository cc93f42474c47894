// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/base/sha1.hpp"

#include <cstddef>
#include <cstdint>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

using Sha1State = std::array<std::uint32_t, 5>;
inline constexpr std::size_t sha1_block_size = 64;

inline std::uint32_t rotate_left(std::uint32_t word, unsigned bits) noexcept {
    return (word << bits) | (word >> (32u - bits));
}

/// FIPS 180-4 section 6.1.2.
inline void add_sha1_block(Sha1State& state, const unsigned char* block) noexcept {
    constexpr std::size_t rounds = 80;
    std::uint32_t words[rounds];
    for (std::size_t i = 0; i < 16; ++i, block += 4) {
        words[i] = (std::uint32_t{block[0]} << 24) | (std::uint32_t{block[1]} << 16)
                   | (std::uint32_t{block[2]} << 8) | std::uint32_t{block[3]};
    }
    for (std::size_t i = 16; i < rounds; ++i) {
        words[i] = rotate_left(words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16], 1);
    }
    auto [a, b, c, d, e] = state;
    for (std::size_t i = 0; i < rounds; ++i) {
        std::uint32_t mixed = 0;
        if (i < 20) {
            mixed = ((b & c) | (~b & d)) + 0x5a827999u;
        } else if (i < 40) {
            mixed = (b ^ c ^ d) + 0x6ed9eba1u;
        } else if (i < 60) {
            mixed = ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdcu;
        } else {
            mixed = (b ^ c ^ d) + 0xca62c1d6u;
        }
        const std::uint32_t next = rotate_left(a, 5) + mixed + e + words[i];
        e = d;
        d = c;
        c = rotate_left(b, 30);
        b = a;
        a = next;
    }
    state = {state[0] + a, state[1] + b, state[2] + c, state[3] + d, state[4] + e};
}

PORTHOLE_FN Sha1Digest sha1(std::string_view bytes) noexcept {
    Sha1State state{0x67452301u, 0xefcdab89u, 0x98badcfeu, 0x10325476u, 0xc3d2e1f0u};
    const std::uint64_t bits = std::uint64_t{bytes.size()} * 8;
    unsigned char block[sha1_block_size] = {};
    std::size_t used = 0;
    for (const char c : bytes) {
        block[used++] = static_cast<unsigned char>(c);
        if (used == sha1_block_size) {
            add_sha1_block(state, block);
            used = 0;
        }
    }
    // FIPS 180-4 section 5.1.1: a one bit, zeros, and the length in the last eight bytes.
    constexpr std::size_t length_at = sha1_block_size - 8;
    block[used++] = 0x80;
    if (used > length_at) {
        for (; used < sha1_block_size; ++used) {
            block[used] = 0;
        }
        add_sha1_block(state, block);
        used = 0;
    }
    for (; used < length_at; ++used) {
        block[used] = 0;
    }
    for (unsigned i = 0; i < 8; ++i) {
        block[length_at + i] = static_cast<unsigned char>((bits >> (56 - 8 * i)) & 0xff);
    }
    add_sha1_block(state, block);
    Sha1Digest digest{};
    for (std::size_t i = 0; i < digest.size(); ++i) {
        digest[i] = static_cast<char>((state[i / 4] >> (24 - 8 * (i % 4))) & 0xff);
    }
    return digest;
}

} // namespace detail

PORTHOLE_NAMESPACE_END
