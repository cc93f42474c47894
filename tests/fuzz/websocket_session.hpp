// SPDX-License-Identifier: MIT
#pragma once

// A server's WebSocket session that echoes: however its input is cut, it sends the same frames and
// comes to the same end; what it echoes as text is UTF-8; there is one Close frame at the most, and
// nothing behind it. Input: flags (a byte: small limits, a small link, bytes as they are, a codec,
// the policy of a small queue, long payloads to a link that shares), the cut (two bytes), what the
// client sends; frames without a mask are given one, so that inputs get further.

#include "fuzz/fuzz.hpp"

#include "support/websocket_fixture.hpp"

namespace porthole_fuzz {

struct WebSocketOutcome {
    std::string sent;
    std::string events;
    int code = 0;
    bool is_closed = false;
};

inline bool operator==(const WebSocketOutcome& a, const WebSocketOutcome& b) {
    return a.sent == b.sent && a.events == b.events && a.code == b.code
           && a.is_closed == b.is_closed;
}

/// Stands for a compressor, in any build: each byte becomes as many as its low bits say.
class RepeatingCodec final : public porthole::detail::MessageCodec {
public:
    bool compress(std::string_view, std::string&) override { return false; }
    porthole::detail::InflateStatus
    expand(std::string_view piece, bool, std::size_t max_bytes, std::string& into) override {
        for (const char c : piece) {
            const auto byte = static_cast<unsigned char>(c);
            if (byte == 0xfe) {
                return porthole::detail::InflateStatus::corrupt;
            }
            if (into.size() + (byte & 7u) > max_bytes) {
                return porthole::detail::InflateStatus::too_large;
            }
            into.append(byte & 7u, c);
        }
        return porthole::detail::InflateStatus::ok;
    }
};

inline WebSocketOutcome
run_websocket(std::string_view bytes, std::uint8_t flags, std::size_t first, std::size_t step) {
    porthole::detail::SessionOptions options;
    if ((flags & 1) != 0) {
        options.max_message_bytes = 100;
        options.max_frames = 3;
    }
    if ((flags & 16) != 0) {
        options.max_queue_bytes = 1000;
        options.policy = static_cast<porthole::WebSocketPolicy>((flags >> 5) & 3u);
    }
    if ((flags & (128 | 16)) == 128) { // else what is refused would depend on the pieces
        options.max_queue_bytes = std::size_t{64} * 1024 * 1024;
    }
    porthole_test::EchoSession echo(options);
    if ((flags & 8) != 0) {
        echo.session.set_codec(std::make_unique<RepeatingCodec>());
    }
    if ((flags & 2) != 0) {
        echo.link.capacity = 200;
    }
    echo.link.can_share = (flags & 128) != 0;
    std::size_t size = first;
    do {
        const std::string_view piece = bytes.substr(0, size);
        bytes.remove_prefix(piece.size());
        echo.receive(piece);
        size = step;
    } while (!bytes.empty());
    return {echo.link.sent, echo.events, echo.session.end_code(), echo.link.is_closed};
}

/// Reads the server's frames without the library's codec.
inline void check_server_frames(std::string_view bytes) {
    bool is_closed = false;
    while (!bytes.empty()) {
        require(!is_closed, "nothing follows a Close frame");
        require(bytes.size() >= 2, "frames are whole");
        const auto first = static_cast<unsigned char>(bytes[0]);
        std::size_t size = static_cast<unsigned char>(bytes[1]);
        std::size_t head = 2;
        require(size < 128, "a server does not mask");
        if (size >= 126) {
            head = size == 126 ? 4 : 10;
            require(bytes.size() >= head, "frames are whole");
            size = 0;
            for (std::size_t i = 2; i < head; ++i) {
                size = size * 256 + static_cast<unsigned char>(bytes[i]);
            }
        }
        require(bytes.size() - head >= size, "frames are whole");
        const std::string_view payload = bytes.substr(head, size);
        require(
            first == 0x81 || first == 0x82 || first == 0x88 || first == 0x8a,
            "a server that echoes sends messages, pongs and a Close");
        require(first != 0x81 || porthole::detail::is_utf8(payload), "text is UTF-8");
        is_closed = first == 0x88;
        bytes.remove_prefix(head + size);
    }
}

inline void fuzz_websocket_session(const std::uint8_t* data, std::size_t size) {
    const bool is_long = size != 0 && (data[0] & 128) != 0 && (data[0] & 4) == 0;
    const std::size_t most = is_long ? 256 : 4096;
    Input input(data, size < most ? size : most);
    const std::uint8_t flags = input.byte();
    const std::size_t cut = input.number();
    std::string bytes;
    if ((flags & 4) != 0) { // as they are
        bytes = std::string(input.rest());
    } else {
        while (!input.is_empty()) { // a first byte, a size, and that many bytes
            const std::uint8_t first = input.byte();
            const std::size_t length = input.byte();
            std::string payload(input.take(length));
            if (is_long && (first & 8) == 0) {
                constexpr std::size_t times = 2000;
                const std::string once = payload;
                payload.reserve(once.size() * times);
                for (std::size_t i = 1; i < times; ++i) {
                    payload += once;
                }
            }
            bytes += porthole_test::from_client(first, payload);
        }
    }
    const WebSocketOutcome expected = run_websocket(bytes, flags, bytes.size(), bytes.size() + 1);
    check_server_frames(expected.sent);
    // What leaves first depends on when there is room; and when a piece expands to what breaks two
    // rules, which one is seen first depends on the piece.
    const bool has_two_faults =
        (flags & 8) != 0 && (expected.code == 1007 || expected.code == 1009);
    if ((flags & (2 | 16)) != 0 || has_two_faults) {
        const std::size_t step = is_long ? 1000 : 1;
        check_server_frames(run_websocket(bytes, flags, step, step).sent);
        return;
    }
    if (is_long) { // byte by byte would take too long
        const std::size_t step = 1000 + cut % 50'000;
        const WebSocketOutcome other = run_websocket(bytes, flags, step, step);
        check_server_frames(other.sent); // which pong overtakes which message depends on the pieces
        require(
            other.code == expected.code && other.is_closed == expected.is_closed,
            "a connection in pieces comes to the same end");
        return;
    }
    const std::size_t first = bytes.empty() ? 0 : cut % (bytes.size() + 1);
    require(
        run_websocket(bytes, flags, first, bytes.size() + 1) == expected,
        "a connection cut in two is the same connection");
    require(
        run_websocket(bytes, flags, 1, 1) == expected,
        "a connection byte by byte is the same connection");
}

} // namespace porthole_fuzz
