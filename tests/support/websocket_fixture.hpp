// SPDX-License-Identifier: MIT
#pragma once

// What the tests of WebSocket share: frames as the other side sends them, written without the
// library, and a link that keeps what a session sends and can be made to take little.

#include "support/misuse.hpp"

#include <porthole.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace porthole_test {

inline constexpr unsigned text_frame = 0x81;
inline constexpr unsigned binary_frame = 0x82;
inline constexpr unsigned close_frame = 0x88;
inline constexpr unsigned ping_frame = 0x89;
inline constexpr unsigned pong_frame = 0x8a;

/// A frame; `first` is its first byte. Masked as a client's, or plain as a server's.
inline std::string frame(unsigned first, std::string_view payload, bool is_masked) {
    const std::string_view key = "\x37\xfa\x21\x3d";
    std::string bytes(1, static_cast<char>(first));
    const unsigned mask = is_masked ? 0x80 : 0;
    const std::uint64_t size = payload.size();
    const unsigned length = size < 126 ? static_cast<unsigned>(size) : size < 65536 ? 126 : 127;
    bytes += static_cast<char>(mask | length);
    for (int shift = length == 127 ? 56 : length == 126 ? 8 : -8; shift >= 0; shift -= 8) {
        bytes += static_cast<char>((size >> shift) & 0xff);
    }
    if (!is_masked) {
        return bytes.append(payload);
    }
    bytes += key;
    for (std::size_t i = 0; i < payload.size(); ++i) {
        bytes += static_cast<char>(payload[i] ^ key[i % 4]);
    }
    return bytes;
}
inline std::string from_client(unsigned first, std::string_view payload = {}) {
    return frame(first, payload, true);
}
inline std::string from_server(unsigned first, std::string_view payload = {}) {
    return frame(first, payload, false);
}
inline std::string close_payload(int code, std::string_view reason = {}) {
    std::string payload{static_cast<char>(code >> 8), static_cast<char>(code & 0xff)};
    return payload.append(reason);
}

/// Takes frames of a server apart: "text:hi", "close:1002", "ping:", ... each with a space behind
/// it.
inline std::string describe_frames(std::string_view bytes) {
    std::string text;
    while (bytes.size() >= 2) {
        const auto first = static_cast<unsigned char>(bytes[0]);
        std::uint64_t size = static_cast<unsigned char>(bytes[1]);
        std::size_t head = 2;
        for (std::size_t more = size == 127 ? 8 : size == 126 ? 2 : 0; more != 0; --more) {
            size = head == 2 ? 0 : size;
            size = size * 256 + static_cast<unsigned char>(bytes[head++]);
        }
        if (bytes.size() < head || bytes.size() - head < size) {
            break;
        }
        const std::string_view payload = bytes.substr(head, static_cast<std::size_t>(size));
        bytes.remove_prefix(head + payload.size());
        switch (first) {
        case text_frame: text += "text:"; break;
        case binary_frame: text += "binary:"; break;
        case close_frame: text += "close:"; break;
        case ping_frame: text += "ping:"; break;
        case pong_frame: text += "pong:"; break;
        default: text += "unknown:"; break;
        }
        if (first == close_frame && payload.size() >= 2) {
            text += std::to_string(
                static_cast<unsigned char>(payload[0]) * 256
                + static_cast<unsigned char>(payload[1]));
        } else {
            text +=
                payload.size() > 40 ? "#" + std::to_string(payload.size()) : std::string(payload);
        }
        text += ' ';
    }
    return bytes.empty() ? text : text + "rest ";
}

/// An UpgradeLink that belongs to no connection. What is beyond `capacity` is not taken.
class FakeLink final : public porthole::UpgradeLink {
public:
    bool send(std::string_view bytes) override {
        if (is_closed || queued.size() + bytes.size() > capacity) {
            return false;
        }
        queued.append(shared_bytes).append(bytes);
        share({}, {});
        return true;
    }
    bool send_shared(const std::shared_ptr<const void>& owner, std::string_view bytes) override {
        if (is_closed || !can_share || !shared_bytes.empty()) {
            return false;
        }
        share(owner, bytes);
        return true;
    }
    std::size_t queued_bytes() const noexcept override {
        return queued.size() + shared_bytes.size();
    }
    void pause_reading(bool is_paused) override { is_reading_paused = is_paused; }
    void close() override { is_closed = true; }
    void abort() override { is_aborted = true; }
    void set_deadline(porthole::TimePoint new_deadline) override { deadline = new_deadline; }
    void wake() override { wants_wake = true; }
    porthole::TimePoint now() const noexcept override { return time; }
    bool has_time() noexcept override { return !is_out_of_time; }
    std::string_view peer() const noexcept override { return "fake"; }

    /// The peer takes everything.
    void take() {
        sent.append(queued).append(shared_bytes);
        queued.clear();
        share({}, {});
    }
    void share(std::shared_ptr<const void> owner, std::string_view bytes) {
        shared = std::move(owner);
        shared_bytes = bytes;
    }

    std::string queued;
    std::string sent;
    bool can_share = false;
    std::shared_ptr<const void> shared; ///< of what waits behind `queued`
    std::string_view shared_bytes;
    std::size_t capacity = std::size_t{64} * 1024 * 1024;
    porthole::TimePoint deadline = porthole::never;
    porthole::TimePoint time{};
    bool is_reading_paused = false;
    bool is_closed = false;
    bool is_aborted = false;
    bool wants_wake = false;
    bool is_out_of_time = false;
};

/// A server's session that echoes messages and writes down what happens.
class EchoSession final : private porthole::detail::SessionEvents {
public:
    explicit EchoSession(const porthole::detail::SessionOptions& options = {})
        : session(porthole::detail::WebSocketRole::server, options, *this) {
        session.on_open(link);
    }
    void handle_message(const porthole::Message& message) override {
        ++messages;
        if (is_echoing) {
            session.send(message);
        }
    }
    void handle_pong(std::string_view payload) override {
        events += "pong:" + std::string(payload) + " ";
    }
    void handle_drain() override { events += "drain "; }
    void handle_wake() override { events += "wake "; }

    /// As the connection does it: bytes where the session wants them, on_data() only while reading
    /// is not paused, turns that were asked for, and the link's queue taken by the peer.
    void receive(std::string_view bytes) {
        if (char* const place = bytes.empty() ? nullptr : session.place_for_input(bytes.size())) {
            bytes.copy(place, bytes.size());
            session.on_data(place, bytes.size());
        } else {
            std::string block(bytes);
            block.shrink_to_fit();
            session.on_data(block.data(), block.size());
        }
        settle();
    }
    void settle() {
        for (int turns = 0; turns < 100'000; ++turns) {
            if (link.wants_wake) {
                link.wants_wake = false;
                session.on_wake();
            } else if (link.queued_bytes() != 0) {
                link.take();
                session.on_drain();
            } else {
                return;
            }
        }
    }

    FakeLink link;
    porthole::detail::WebSocketSession session;
    std::string events;
    int messages = 0;
    bool is_echoing = true;
};

} // namespace porthole_test
