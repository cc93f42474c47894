// SPDX-License-Identifier: MIT
#pragma once

// The frames of WebSocket (RFC 6455 section 5), as bytes: reading and writing their heads, and the
// mask. Pure functions, the same for both roles; what follows what, and who has to mask, is the
// session's business.

#include "porthole/base/config.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// RFC 6455 section 5.2. Everything else is reserved.
enum class Opcode : std::uint8_t {
    continuation = 0x0,
    text = 0x1,
    binary = 0x2,
    close = 0x8,
    ping = 0x9,
    pong = 0xa,
};

inline constexpr bool is_control(Opcode opcode) noexcept {
    return static_cast<unsigned>(opcode) >= 0x8;
}

/// RFC 6455 section 7.4.1.
namespace close_code {
inline constexpr int normal = 1000;
inline constexpr int going_away = 1001;
inline constexpr int protocol_violation = 1002;
inline constexpr int unsupported_data = 1003;
inline constexpr int no_code = 1005; ///< never sent
inline constexpr int dropped = 1006; ///< never sent
inline constexpr int invalid_data = 1007;
inline constexpr int policy_violation = 1008;
inline constexpr int too_large = 1009;
inline constexpr int internal_failure = 1011;
} // namespace close_code

/// Whether a Close frame may carry that code (RFC 6455 section 7.4, and what has been registered
/// since).
bool is_sendable_close_code(int code) noexcept;

using MaskKey = std::array<char, 4>;

struct FrameHead {
    Opcode opcode = Opcode::continuation;
    bool is_final = true;
    bool has_rsv1 = false; ///< a compressed message (RFC 7692 section 6)
    bool is_masked = false;
    MaskKey key{};
    std::uint64_t payload_size = 0;
};

inline constexpr std::size_t max_frame_head_size = 14;
inline constexpr std::size_t max_control_payload = 125;

enum class FrameStatus : std::uint8_t { need_more, complete, failed };

struct FrameReading {
    FrameStatus status = FrameStatus::need_more;
    std::size_t size = 0;   ///< of the head; while more is needed, what it will be at the least
    const char* fault = ""; ///< the rule that is broken; the code is 1002
};

/// Reads a head from the front of `bytes`. What breaks a rule fails as soon as it is here: reserved
/// bits and opcodes, control frames that are long or fragmented, lengths that are not in their
/// shortest form or have the highest bit set.
FrameReading read_frame_head(std::string_view bytes, FrameHead& head) noexcept;
/// Returns how many bytes were written, at most max_frame_head_size.
std::size_t write_frame_head(char* into, const FrameHead& head) noexcept;

/// Masks or unmasks in place; `offset` is the first byte's place in the payload. True when a result
/// is not ASCII, so that text that is needs no second pass.
bool apply_mask(char* bytes, std::size_t size, const MaskKey& key, std::uint64_t offset) noexcept;

} // namespace detail

PORTHOLE_NAMESPACE_END
