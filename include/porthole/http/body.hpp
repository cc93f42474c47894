// SPDX-License-Identifier: MIT
#pragma once

// The seam for answers whose content is not in memory: the connection asks for the next piece when
// it has room for one, so a slow reader costs one piece and no more.

#include "porthole/base/config.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

PORTHOLE_NAMESPACE_BEGIN

/// How Response::stream() queues and delimits what a program writes.
struct StreamOptions {
    /// The exact size of all that will be written, when it is known: the answer then carries
    /// Content-Length. Else it is chunked, or ends with the connection for HTTP/1.0.
    std::optional<std::uint64_t> size;
    /// What is queued for a slow client at the most; 0 is Limits::max_queue_bytes.
    std::size_t high_mark_bytes = 0;
    /// on_writable() is called when this much is left; 0 is a quarter of the high mark.
    std::size_t low_mark_bytes = 0;
};

/// Content by pulling. Called on the thread that ticks; destroyed when the answer has been sent
/// or the peer has gone.
class BodySource {
public:
    enum class State : unsigned char {
        more,   ///< ask again when there is room
        wait,   ///< nothing now: call the waker when there is
        end,    ///< that was all
        failed, ///< the answer cannot be finished; the connection is broken off
    };
    struct Piece {
        State state = State::end;
        std::size_t bytes = 0; ///< how many were written, also together with `end`
    };

    virtual ~BodySource() = default;
    /// The exact size when it is known: the answer then carries Content-Length, and is broken
    /// off when the source yields less; what it yields beyond is not sent. Unknown: chunked, or
    /// until close for HTTP/1.0.
    virtual std::optional<std::uint64_t> size() const { return std::nullopt; }
    /// All of the content, when it lies in memory that stays where it is as long as this source
    /// lives: it is then sent from there, without being copied and without pull().
    virtual std::optional<std::string_view> whole() const { return std::nullopt; }
    /// Writes the next piece, up to `capacity` bytes. One unit of the tick's budget: must not
    /// block.
    virtual Piece pull(char* into, std::size_t capacity) = 0;
    /// Bytes of an open file: its descriptor or HANDLE, and where they begin.
    struct FilePiece {
        std::intptr_t handle = -1;
        std::uint64_t offset = 0;
    };
    /// For a source of known size: where the next bytes lie when all that are left in this run
    /// are a file's, and how many (0: pull them). They may then be sent without being pulled, as
    /// far as skip() tells.
    virtual std::uint64_t file_piece(FilePiece& piece) {
        static_cast<void>(piece);
        return 0;
    }
    /// So many bytes of file_piece() have been sent.
    virtual void skip(std::uint64_t bytes) { static_cast<void>(bytes); }
    /// Field lines behind the content, complete and checked, asked for at its end. Only sent with
    /// the chunked coding.
    virtual std::string_view trailer() const { return {}; }
    /// Handed over before the first pull(): to be called, on the ticking thread, when a source
    /// that said `wait` has something. Safe to call after the connection has gone.
    virtual void set_waker(std::function<void()> waker) { static_cast<void>(waker); }
};

PORTHOLE_NAMESPACE_END
