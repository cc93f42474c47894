// SPDX-License-Identifier: MIT
#pragma once

// The decoder of the chunked coding: in one piece, in two and byte by byte it hands out the same
// content, as views into what it was given; and a second, much simpler decoder agrees. Input:
// limits (a byte), the cut (two bytes), the coded content.

#include "fuzz/fuzz.hpp"

#include <memory>

namespace porthole_fuzz {

using porthole::Limits;
using porthole::RequestFault;
using porthole::detail::ChunkedDecoder;
using porthole::detail::ParseStatus;

/// What has come out of a decoder.
struct Decoded {
    ParseStatus status = ParseStatus::need_more;
    RequestFault fault = RequestFault::none;
    std::string content;
    std::string trailer;
    std::size_t consumed = 0; ///< up to the end of the trailer, when complete
};

inline bool operator==(const Decoded& a, const Decoded& b) {
    return a.status == b.status && a.fault == b.fault && a.content == b.content
           && a.trailer == b.trailer
           && (a.status != ParseStatus::complete || a.consumed == b.consumed);
}

/// Hands one piece over, in a block of its own, until the decoder takes no more of it.
inline void decode_piece(ChunkedDecoder& decoder, std::string_view piece, Decoded& decoded) {
    const HeapBytes block(piece);
    std::string_view rest = block.view();
    for (;;) {
        std::size_t consumed = 0;
        std::string_view content;
        decoded.status = decoder.decode(rest, consumed, content);
        require(consumed <= rest.size(), "a decoder takes no more than there is");
        require(lies_in(content, rest.substr(0, consumed)), "content is handed out in place");
        decoded.content += content;
        decoded.consumed += consumed;
        rest.remove_prefix(consumed);
        if (decoded.status != ParseStatus::need_more) {
            return;
        }
        if (rest.empty()) {
            return;
        }
        require(consumed != 0, "a decoder that wants more takes what there is");
    }
}

inline Decoded decode_in_pieces(
    const Limits& limits, std::string_view bytes, std::size_t first, std::size_t step) {
    ChunkedDecoder decoder(limits);
    Decoded decoded;
    std::size_t size = first;
    do {
        const std::string_view piece = bytes.substr(0, size);
        bytes.remove_prefix(piece.size());
        decode_piece(decoder, piece, decoded);
        size = step;
    } while (decoded.status == ParseStatus::need_more && !bytes.empty());
    decoded.fault = decoder.fault();
    if (decoded.status == ParseStatus::complete) {
        for (std::size_t i = 0; i < decoder.trailer().size(); ++i) {
            const porthole::Field field = decoder.trailer()[i];
            require(is_name(field.name) && is_clean(field.value), "a trailer is well formed");
            decoded.trailer.append(field.name).append("=").append(field.value).append("\n");
        }
    }
    return decoded;
}

/// The coding without extensions and trailer, written down once more.
inline bool decode_plain(std::string_view bytes, std::string& content, std::size_t& consumed) {
    const std::string_view all = bytes;
    for (;;) {
        const std::size_t end = bytes.find("\r\n");
        if (end == std::string_view::npos || end == 0 || end > 16) {
            return false;
        }
        std::uint64_t size = 0;
        for (const char c : bytes.substr(0, end)) {
            if (hex_digit(c) < 0) {
                return false;
            }
            size = size * 16 + static_cast<std::uint64_t>(hex_digit(c));
        }
        bytes.remove_prefix(end + 2);
        if (bytes.size() < 2 || size > bytes.size() - 2) {
            return false;
        }
        const auto here = static_cast<std::size_t>(size);
        content.append(bytes.substr(0, here));
        if (bytes.substr(here, 2) != "\r\n") {
            return false;
        }
        bytes.remove_prefix(here + 2);
        if (size == 0) {
            consumed = all.size() - bytes.size();
            return true;
        }
    }
}

/// What the sender's half writes is read back.
inline void check_round_trip(const Limits& limits, std::string_view content, std::size_t chunk) {
    std::string coded;
    for (std::string_view rest = content; !rest.empty();) {
        const std::string_view piece = rest.substr(0, chunk);
        char head[porthole::detail::max_chunk_head_size];
        coded.append(head, porthole::detail::write_chunk_head(head, piece.size()));
        coded.append(piece).append(porthole::detail::chunk_end);
        rest.remove_prefix(piece.size());
    }
    coded.append("0\r\n\r\n");
    const Decoded decoded = decode_in_pieces(limits, coded, coded.size(), 1);
    require(
        decoded.status == ParseStatus::complete && decoded.content == content
            && decoded.consumed == coded.size(),
        "what was coded is decoded");
}

inline void fuzz_chunked(const std::uint8_t* data, std::size_t size) {
    Input input(data, size);
    const std::uint8_t flags = input.byte();
    const std::size_t cut = input.number();
    const std::string_view bytes = input.rest();
    Limits limits;
    check_round_trip(limits, bytes, cut % 64 + 1);
    std::string content;
    std::size_t consumed = 0;
    const bool is_plain = decode_plain(bytes, content, consumed);
    if ((flags & 1) != 0) {
        limits.max_chunk_line_bytes = 20;
        limits.max_trailer_bytes = 40;
        limits.max_fields = 2;
    }
    const Decoded expected = decode_in_pieces(limits, bytes, bytes.size(), 1);
    const std::size_t first = bytes.empty() ? 0 : cut % (bytes.size() + 1);
    require(
        decode_in_pieces(limits, bytes, first, bytes.size() + 1) == expected,
        "content cut in two is the same content");
    require(
        decode_in_pieces(limits, bytes, 1, 1) == expected,
        "content byte by byte is the same content");
    if (is_plain) {
        require(expected.status == ParseStatus::complete, "plain chunks are understood");
        require(
            expected.content == content && expected.consumed == consumed,
            "two decoders of plain chunks agree");
    }
}

} // namespace porthole_fuzz
