// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/ext/websocket_frame.hpp"

#include <cstring>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

inline constexpr unsigned final_bit = 0x80;
inline constexpr unsigned rsv1_bit = 0x40;
inline constexpr unsigned other_rsv_bits = 0x30;
inline constexpr unsigned opcode_bits = 0x0f;
inline constexpr unsigned mask_bit = 0x80;
inline constexpr unsigned length_bits = 0x7f;
inline constexpr unsigned length_in_2 = 126;
inline constexpr unsigned length_in_8 = 127;

PORTHOLE_FN bool is_sendable_close_code(int code) noexcept {
    constexpr int last_registered = 1014;
    if (code >= close_code::normal && code <= last_registered) {
        return code != 1004 && code != close_code::no_code && code != close_code::dropped;
    }
    return code >= 3000 && code <= 4999;
}

inline bool is_known_opcode(unsigned opcode) noexcept {
    return opcode <= 0x2 || (opcode >= 0x8 && opcode <= 0xa);
}

PORTHOLE_FN FrameReading read_frame_head(std::string_view bytes, FrameHead& head) noexcept {
    const auto byte = [bytes](std::size_t i) {
        return static_cast<unsigned>(static_cast<unsigned char>(bytes[i]));
    };
    const auto failed = [](const char* fault) {
        return FrameReading{FrameStatus::failed, 0, fault};
    };
    constexpr std::size_t least = 2;
    if (bytes.size() < least) {
        return {FrameStatus::need_more, least, ""};
    }
    const unsigned opcode = byte(0) & opcode_bits;
    if ((byte(0) & other_rsv_bits) != 0) {
        return failed("A reserved bit is set.");
    }
    if (!is_known_opcode(opcode)) {
        return failed("The opcode is a reserved one.");
    }
    head.opcode = static_cast<Opcode>(opcode);
    head.is_final = (byte(0) & final_bit) != 0;
    head.has_rsv1 = (byte(0) & rsv1_bit) != 0;
    head.is_masked = (byte(1) & mask_bit) != 0;
    const unsigned length = byte(1) & length_bits;
    if (is_control(head.opcode) && !head.is_final) {
        return failed("A control frame is fragmented.");
    }
    if (is_control(head.opcode) && length > max_control_payload) {
        return failed("A control frame is longer than 125 bytes.");
    }
    const std::size_t length_size = length == length_in_8 ? 8 : length == length_in_2 ? 2 : 0;
    const std::size_t size = least + length_size + (head.is_masked ? head.key.size() : 0);
    if (bytes.size() < least + length_size) {
        return {FrameStatus::need_more, size, ""};
    }
    head.payload_size = length_size == 0 ? length : 0;
    for (std::size_t i = 0; i < length_size; ++i) {
        head.payload_size = (head.payload_size << 8) | byte(least + i);
    }
    if ((head.payload_size >> 63) != 0) {
        return failed("A length has its highest bit set.");
    }
    if ((length_size == 2 && head.payload_size < length_in_2)
        || (length_size == 8 && head.payload_size <= 0xffff)) {
        return failed("A length is not in its shortest form.");
    }
    if (bytes.size() < size) {
        return {FrameStatus::need_more, size, ""};
    }
    if (head.is_masked) {
        std::memcpy(head.key.data(), bytes.data() + size - head.key.size(), head.key.size());
    }
    return {FrameStatus::complete, size, ""};
}

PORTHOLE_FN std::size_t write_frame_head(char* into, const FrameHead& head) noexcept {
    const unsigned first = (head.is_final ? final_bit : 0u) | (head.has_rsv1 ? rsv1_bit : 0u)
                           | static_cast<unsigned>(head.opcode);
    const unsigned mask = head.is_masked ? mask_bit : 0u;
    std::size_t length_size = 0;
    unsigned length = static_cast<unsigned>(head.payload_size & length_bits);
    if (head.payload_size > 0xffff) {
        length_size = 8;
        length = length_in_8;
    } else if (head.payload_size >= length_in_2) {
        length_size = 2;
        length = length_in_2;
    }
    into[0] = static_cast<char>(first);
    into[1] = static_cast<char>(mask | length);
    std::size_t size = 2;
    for (std::size_t i = length_size; i-- > 0;) {
        into[size++] = static_cast<char>((head.payload_size >> (8 * i)) & 0xff);
    }
    if (head.is_masked) {
        std::memcpy(into + size, head.key.data(), head.key.size());
        size += head.key.size();
    }
    return size;
}

PORTHOLE_FN bool
apply_mask(char* bytes, std::size_t size, const MaskKey& key, std::uint64_t offset) noexcept {
    constexpr std::uint64_t high_bits = 0x8080808080808080u;
    constexpr std::size_t count = 4;
    char pattern[sizeof(std::uint64_t) + sizeof(MaskKey)];
    for (std::size_t i = 0; i < sizeof pattern; i += key.size()) {
        std::memcpy(pattern + i, key.data(), key.size());
    }
    const char* const here = pattern + offset % key.size();
    std::uint64_t mask = 0;
    std::memcpy(&mask, here, sizeof mask);
    std::uint64_t seen[count] = {};
    std::size_t at = 0;
    for (; size - at >= count * sizeof mask; at += count * sizeof mask) {
        std::uint64_t words[count];
        std::memcpy(words, bytes + at, sizeof words);
        for (std::size_t i = 0; i < count; ++i) {
            words[i] ^= mask;
            seen[i] |= words[i];
        }
        std::memcpy(bytes + at, words, sizeof words);
    }
    std::uint64_t all = seen[0] | seen[1] | seen[2] | seen[3];
    for (; size - at >= sizeof mask; at += sizeof mask) {
        std::uint64_t word = 0;
        std::memcpy(&word, bytes + at, sizeof word);
        word ^= mask;
        all |= word;
        std::memcpy(bytes + at, &word, sizeof word);
    }
    all &= high_bits;
    for (std::size_t i = 0; at < size; ++at, ++i) {
        const unsigned byte =
            static_cast<unsigned char>(bytes[at]) ^ static_cast<unsigned char>(here[i]);
        bytes[at] = static_cast<char>(byte);
        all |= byte & 0x80u;
    }
    return all != 0;
}

} // namespace detail

PORTHOLE_NAMESPACE_END
