// SPDX-License-Identifier: MIT
#pragma once

// The zlib adapter for compressed WebSocket messages (RFC 7692 section 7.2), read only when
// PORTHOLE_WITH_ZLIB asks for it; the one place that knows zlib. Each direction's state is made
// with its first compressed message. Expanding goes step by step, so that a message which would
// grow past its bound costs no more memory than the bound.

#include "porthole/ext/websocket_deflate.hpp"

#include <zlib.h>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// What a sync flush ends with; senders leave it out (RFC 7692 section 7.2.1).
inline constexpr std::string_view deflate_tail("\x00\x00\xff\xff", 4);

/// How one side compresses.
struct DeflateSide {
    int window_bits;
    bool no_context_takeover;
};

class ZlibCodec final : public MessageCodec {
public:
    ZlibCodec(const DeflateSide& sending, const DeflateSide& receiving) noexcept
        : sending_(sending), receiving_(receiving) {}
    ~ZlibCodec() override {
        if (has_deflater_) {
            deflateEnd(&deflater_);
        }
        if (has_inflater_) {
            inflateEnd(&inflater_);
        }
    }
    ZlibCodec(const ZlibCodec&) = delete;
    ZlibCodec& operator=(const ZlibCodec&) = delete;

    PORTHOLE_FN bool compress(std::string_view message, std::string& into) override;
    PORTHOLE_FN InflateStatus
    expand(std::string_view piece, bool is_last, std::size_t max_bytes, std::string& into) override;

private:
    // zlib's inner state points back to its z_stream: a codec stays where it is.
    z_stream deflater_{};
    z_stream inflater_{};
    DeflateSide sending_;
    DeflateSide receiving_;
    bool has_deflater_ = false;
    bool has_inflater_ = false;

    /// zlib counts in unsigned int; larger inputs are given to it in pieces.
    static constexpr std::size_t max_piece = std::size_t{1} << 30;
    /// A flush wants more than six bytes of room, or it is written twice (zlib.h on deflate()).
    static constexpr std::size_t min_step = 256;
    static constexpr std::size_t max_step = 16 * 1024;

    bool open_deflater() noexcept;
    bool open_inflater() noexcept;
    bool deflate_piece(std::string_view piece, int flush, std::string& into);
    InflateStatus
    inflate_piece(std::string_view piece, int flush, std::size_t max_bytes, std::string& into);
    static const Bytef* input(std::string_view bytes) noexcept {
        return reinterpret_cast<const Bytef*>(bytes.data());
    }
};

PORTHOLE_FN bool ZlibCodec::open_deflater() noexcept {
    if (has_deflater_) {
        return true;
    }
    // 512 bytes are the smallest window that zlib writes without a header. When 256 were agreed on,
    // only runs are compressed: their distance is one, whatever the window.
    const bool is_smallest = sending_.window_bits == min_window_bits;
    const int bits = is_smallest ? min_window_bits + 1 : sending_.window_bits;
    // Hash table and output buffer as large as the window's two halves: 2^(bits + 3) bytes in all.
    const int memory_level = bits - 7;
    has_deflater_ = deflateInit2(
                        &deflater_, Z_BEST_SPEED, Z_DEFLATED, -bits, memory_level,
                        is_smallest ? Z_RLE : Z_DEFAULT_STRATEGY)
                    == Z_OK;
    return has_deflater_;
}

PORTHOLE_FN bool ZlibCodec::open_inflater() noexcept {
    // One step of leniency: 256 bytes are what zlib itself cannot keep to when it compresses.
    const int bits =
        receiving_.window_bits == min_window_bits ? min_window_bits + 1 : receiving_.window_bits;
    has_inflater_ = has_inflater_ || inflateInit2(&inflater_, -bits) == Z_OK;
    return has_inflater_;
}

PORTHOLE_FN bool ZlibCodec::compress(std::string_view message, std::string& into) {
    if (message.size() < min_compressed_bytes || !open_deflater()) {
        return false;
    }
    const std::size_t before = into.size();
    while (message.size() > max_piece) {
        if (!deflate_piece(message.substr(0, max_piece), Z_NO_FLUSH, into)) {
            into.resize(before);
            return false;
        }
        message.remove_prefix(max_piece);
    }
    if (!deflate_piece(message, Z_SYNC_FLUSH, into)) {
        into.resize(before);
        return false;
    }
    into.resize(into.size() - deflate_tail.size());
    if (sending_.no_context_takeover) {
        deflateReset(&deflater_);
    }
    return true;
}

PORTHOLE_FN bool ZlibCodec::deflate_piece(std::string_view piece, int flush, std::string& into) {
    deflater_.next_in = const_cast<Bytef*>(input(piece));
    deflater_.avail_in = static_cast<uInt>(piece.size());
    std::size_t size = into.size();
    do {
        const std::size_t step = (std::clamp)(piece.size() / 2, min_step, max_step);
        into.resize(size + step);
        deflater_.next_out = reinterpret_cast<Bytef*>(into.data() + size);
        deflater_.avail_out = static_cast<uInt>(step);
        const int result = deflate(&deflater_, flush);
        if (result != Z_OK && result != Z_BUF_ERROR) {
            return false;
        }
        size += step - deflater_.avail_out;
    } while (deflater_.avail_out == 0);
    into.resize(size);
    return true;
}

PORTHOLE_FN InflateStatus
ZlibCodec::expand(std::string_view piece, bool is_last, std::size_t max_bytes, std::string& into) {
    if (!open_inflater()) {
        return InflateStatus::no_memory;
    }
    while (!piece.empty()) {
        const std::string_view part = piece.substr(0, max_piece);
        const InflateStatus status = inflate_piece(part, Z_SYNC_FLUSH, max_bytes, into);
        if (status != InflateStatus::ok) {
            return status;
        }
        piece.remove_prefix(part.size());
    }
    if (!is_last) {
        return InflateStatus::ok;
    }
    const InflateStatus status = inflate_piece(deflate_tail, Z_BLOCK, max_bytes, into);
    // With its tail back in place a message ends between two blocks, or it was cut short.
    constexpr int is_between_blocks = 128;
    if (status == InflateStatus::ok && (inflater_.data_type & is_between_blocks) == 0) {
        return InflateStatus::corrupt;
    }
    if (receiving_.no_context_takeover) {
        inflateReset(&inflater_);
    }
    return status;
}

PORTHOLE_FN InflateStatus ZlibCodec::inflate_piece(
    std::string_view piece, int flush, std::size_t max_bytes, std::string& into) {
    inflater_.next_in = const_cast<Bytef*>(input(piece));
    inflater_.avail_in = static_cast<uInt>(piece.size());
    std::size_t size = into.size();
    InflateStatus status = InflateStatus::ok;
    do {
        if (into.size() == size) {
            const std::size_t step = (std::clamp)(piece.size() * 4, min_step, max_step);
            into.resize(size + (std::min)(step, max_bytes - (std::min)(size, max_bytes)));
        }
        // At the bound a single byte tells whether there would be more.
        Bytef spill = 0;
        const std::size_t room = into.size() - size;
        inflater_.next_out = room > 0 ? reinterpret_cast<Bytef*>(into.data() + size) : &spill;
        inflater_.avail_out = room > 0 ? static_cast<uInt>(room) : 1;
        const uInt offered = inflater_.avail_out;
        const int result = inflate(&inflater_, flush);
        const std::size_t made = offered - inflater_.avail_out;
        if (room == 0 && made > 0) {
            status = InflateStatus::too_large;
            break;
        }
        size += made;
        if (result == Z_STREAM_END) {
            // A block may be marked as the last; the window goes on behind it (RFC 7692 section
            // 7.2.3.4).
            inflateResetKeep(&inflater_);
        } else if (result == Z_BUF_ERROR) {
            break; // nothing left to do, which is no error
        } else if (result != Z_OK) {
            status = result == Z_MEM_ERROR ? InflateStatus::no_memory : InflateStatus::corrupt;
        }
    } while (status == InflateStatus::ok && (inflater_.avail_in > 0 || inflater_.avail_out == 0));
    into.resize(size);
    return status;
}

PORTHOLE_FN bool can_deflate() noexcept {
    return true;
}

inline std::unique_ptr<MessageCodec>
make_zlib_codec(const DeflateSide& sending, const DeflateSide& receiving) {
    return std::make_unique<ZlibCodec>(sending, receiving);
}

PORTHOLE_FN std::unique_ptr<MessageCodec> make_server_codec(const DeflateParameters& agreed) {
    return make_zlib_codec(
        {agreed.server_max_window_bits, agreed.server_no_context_takeover},
        {agreed.client_max_window_bits, agreed.client_no_context_takeover});
}

PORTHOLE_FN std::unique_ptr<MessageCodec> make_client_codec(const DeflateParameters& agreed) {
    return make_zlib_codec(
        {agreed.client_max_window_bits, agreed.client_no_context_takeover},
        {agreed.server_max_window_bits, agreed.server_no_context_takeover});
}

} // namespace detail

PORTHOLE_NAMESPACE_END
