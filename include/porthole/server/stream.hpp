// SPDX-License-Identifier: MIT
#pragma once

// An answer that is written piece by piece, now or in later frames. The queue between the program
// and the client is bounded: a client that is slower than the program makes write() take less, and
// on_writable() tells when to go on.

#include "porthole/base/buffer.hpp"
#include "porthole/http/body.hpp"
#include "porthole/http/response.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// What the program's copies of a Stream share with the connection's end of it.
struct StreamState {
    StreamState(std::size_t high_mark, std::size_t low_mark, std::optional<std::uint64_t> whole)
        : queue(high_mark), low_mark_bytes(low_mark), size(whole) {}

    Buffer queue;
    std::size_t low_mark_bytes;
    std::optional<std::uint64_t> size;
    std::string trailer; ///< complete lines
    std::function<void()> waker;
    /// Shared with the call, in which the program may put another one here, or end the stream.
    std::shared_ptr<std::function<void()>> on_writable;
    std::function<void()> on_abort;
    bool was_short = false;   ///< write() has taken less than it was given
    bool is_finished = false; ///< by the program
    bool is_broken = false;   ///< by the program, before the end
    bool is_over = false;     ///< nothing is taken any more

    void wake();
    /// The connection's end is gone.
    void end(bool is_complete) noexcept;
};

/// The connection's end.
class StreamSource final : public BodySource {
public:
    explicit StreamSource(std::shared_ptr<StreamState> state) noexcept : state_(std::move(state)) {}
    PORTHOLE_FN ~StreamSource() override;
    std::optional<std::uint64_t> size() const override { return state_->size; }
    PORTHOLE_FN Piece pull(char* into, std::size_t capacity) override;
    void set_waker(std::function<void()> waker) override { state_->waker = std::move(waker); }
    std::string_view trailer() const override { return state_->trailer; }

private:
    std::shared_ptr<StreamState> state_;
    std::uint64_t sent_ = 0;
};

} // namespace detail

/// An answer under way. Cheap to copy; all copies are the same stream, and the last one that goes
/// away unfinished breaks the answer off. Ticking thread only; may outlive the server.
class Stream {
public:
    /// A stream that leads nowhere.
    Stream() = default;
    explicit Stream(std::shared_ptr<detail::StreamState> state);

    /// Queues bytes and returns how many were taken: fewer than given when the queue has reached
    /// its high mark; 0 when the client has gone. They leave within this tick, or the next.
    std::size_t write(std::string_view bytes);
    /// The same, but all or nothing. More than the high mark never fits: on_writable() is then not
    /// called either, once the queue is empty.
    bool write_whole(std::string_view bytes);
    /// Called when the queue has fallen to the low mark after a write that was not taken whole, as
    /// often as that happens; an empty function ends it.
    void on_writable(std::function<void()> go_on);
    /// Called once when the client has gone, or wants no content (HEAD), before finish(): all that
    /// the functions hold is freed behind it.
    void on_abort(std::function<void()> give_up);
    /// A field behind the content (RFC 9110 section 6.5), before finish(). Reaches clients that are
    /// sent the chunked coding, HTTP/1.1 without StreamOptions::size; others do not see it.
    /// Framing, routing and authentication fields are refused.
    void trailer(std::string_view name, std::string_view value);
    /// That was all.
    void finish();
    /// Breaks the answer off: the client sees that it is not whole.
    void abort();

    std::size_t queued_bytes() const noexcept;
    /// What write() would take now.
    std::size_t room() const noexcept;
    /// False when the client has gone, and after finish() and abort().
    bool is_open() const noexcept;

private:
    struct Owner;
    std::shared_ptr<detail::StreamState> state_;
    std::shared_ptr<Owner> owner_; ///< breaks the stream off with the last copy
};

PORTHOLE_NAMESPACE_END
