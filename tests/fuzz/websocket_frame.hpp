// SPDX-License-Identifier: MIT
#pragma once

// The codec of WebSocket frames: a head that is read is the one that is written, no byte behind it
// matters, and a head that is not complete says so. Input: the bytes of a head and what follows.

#include "fuzz/fuzz.hpp"

namespace porthole_fuzz {

inline void fuzz_websocket_frame(const std::uint8_t* data, std::size_t size) {
    using namespace porthole::detail;
    const Input input(data, size);
    const HeapBytes block(input.rest());
    const std::string_view bytes = block.view();
    FrameHead head;
    const FrameReading reading = read_frame_head(bytes, head);
    for (std::size_t part = 0; part <= bytes.size() && part <= max_frame_head_size; ++part) {
        const HeapBytes front(bytes.substr(0, part));
        FrameHead other;
        const FrameReading early = read_frame_head(front.view(), other);
        require(
            early.status == FrameStatus::need_more || early.status == reading.status,
            "more bytes do not change what is known");
        require(
            early.status != FrameStatus::need_more || (early.size > part && early.size <= 14),
            "a head that is not complete needs more than there is");
    }
    if (reading.status == FrameStatus::need_more) {
        require(bytes.size() < max_frame_head_size, "no head is longer than the longest");
    }
    if (reading.status != FrameStatus::complete) {
        return;
    }
    require(reading.size <= bytes.size(), "a head takes no more than there is");
    char written[max_frame_head_size];
    const std::size_t written_size = write_frame_head(written, head);
    require(
        std::string_view(written, written_size) == bytes.substr(0, reading.size),
        "what is read is what is written");
    std::string payload(bytes.substr(reading.size));
    const std::string before = payload;
    const bool has_high_bytes = apply_mask(payload.data(), payload.size(), head.key, size);
    bool has_high = false;
    for (std::size_t i = 0; i < payload.size(); ++i) {
        const char expected = static_cast<char>(before[i] ^ head.key[(size + i) % 4]);
        require(payload[i] == expected, "the mask is that of its place");
        has_high = has_high || (static_cast<unsigned char>(expected) & 0x80u) != 0;
    }
    require(has_high == has_high_bytes, "bytes that are not ASCII are noticed");
}

} // namespace porthole_fuzz
