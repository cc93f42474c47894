// SPDX-License-Identifier: MIT
#pragma once

// Compression of WebSocket messages (RFC 7692): what is agreed on in the handshake, which is pure
// text, and the seam behind which the compressor is. A message codec belongs to one connection and
// holds the state of both directions; make_server_codec() gives none when Porthole was built
// without zlib (PORTHOLE_WITH_ZLIB), and then the extension is never offered nor accepted.
//
// With the default preferences a connection that compresses holds 38 KiB for what it sends and 11
// KiB for what it receives (40 KiB from a client that does not let its window be limited), each
// from the first compressed message in that direction on, and neither before.

#include "porthole/http/fields.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// Base-two logarithms of the LZ77 window (RFC 7692 section 7.1.2).
inline constexpr int min_window_bits = 8;
inline constexpr int max_window_bits = 15;

/// Shorter messages do not get smaller by compression; they are sent as they are.
inline constexpr std::size_t min_compressed_bytes = 64;

/// What both sides have agreed on, or what one of them wishes for (RFC 7692 section 7.1). Bits of
/// 15 are the same as none named.
struct DeflateParameters {
    bool server_no_context_takeover = false;
    bool client_no_context_takeover = false;
    int server_max_window_bits = max_window_bits;
    int client_max_window_bits = max_window_bits;
};

/// What a server asks for on its own: 4 KiB windows, because a program with a thousand dashboards
/// should not hold 300 MiB for them.
inline constexpr DeflateParameters server_preferences{false, false, 12, 12};

/// What the server makes of Sec-WebSocket-Extensions.
struct DeflateNegotiation {
    /// The field does not follow its grammar: the handshake fails (RFC 6455 section 9.1).
    bool is_malformed = false;
    /// The first offer that can be taken; nothing when there is none.
    std::optional<DeflateParameters> agreed;
    /// The answer's Sec-WebSocket-Extensions; empty when nothing was agreed.
    std::string answer;
};

/// Pure and independent of zlib: whoever cannot deflate ignores `agreed`.
DeflateNegotiation
negotiate_deflate(const Fields& fields, const DeflateParameters& wanted = server_preferences);

/// The client's Sec-WebSocket-Extensions for that wish.
std::string write_deflate_offer(const DeflateParameters& wanted);

/// What the server's answer means to the client that made that offer.
struct DeflateAnswer {
    /// An extension or a parameter that was not offered, or a malformed one: the client fails the
    /// connection (RFC 7692 section 7.1).
    bool is_refused = false;
    std::optional<DeflateParameters> agreed;
};
DeflateAnswer read_deflate_answer(const Fields& fields, const DeflateParameters& offered);

enum class InflateStatus : std::uint8_t {
    ok,
    too_large, ///< more than was allowed: 1009
    corrupt,   ///< no deflated data: 1007
    no_memory, ///< 1011
};

/// Compresses the messages that one connection sends, and expands those that it receives.
class MessageCodec {
public:
    virtual ~MessageCodec() = default;
    /// Appends the payload of a frame with RSV1 set. False when the message is to be sent as it
    /// is, because it is short or memory was refused; nothing has been appended then.
    virtual bool compress(std::string_view message, std::string& into) = 0;
    /// Appends what a piece of a compressed message stands for; `is_last` with the last piece,
    /// which may be empty. `into` never grows beyond `max_bytes`. After anything but ok the codec
    /// is of no more use.
    virtual InflateStatus
    expand(std::string_view piece, bool is_last, std::size_t max_bytes, std::string& into) = 0;
};

/// True when messages can be compressed in this build.
bool can_deflate() noexcept;
/// For the server's side of a connection, or for the client's. Null when can_deflate() is false.
std::unique_ptr<MessageCodec> make_server_codec(const DeflateParameters& agreed);
std::unique_ptr<MessageCodec> make_client_codec(const DeflateParameters& agreed);

} // namespace detail

PORTHOLE_NAMESPACE_END
