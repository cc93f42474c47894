// SPDX-License-Identifier: MIT
#pragma once

// The protocol of one WebSocket connection (RFC 6455 sections 5 to 8), for both roles: bytes in,
// messages out, and the other way round. It knows no server: it talks to an UpgradeLink and to
// whoever takes its events. What it receives is unmasked and checked where it lies; only a message
// that did not come in one piece is collected.

#include "porthole/base/buffer.hpp"
#include "porthole/base/utf8.hpp"
#include "porthole/ext/websocket_deflate.hpp"
#include "porthole/ext/websocket_frame.hpp"
#include "porthole/ext/websocket_outbox.hpp"
#include "porthole/server/upgrade.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

PORTHOLE_NAMESPACE_BEGIN

/// A whole message; `data` is valid for the call.
struct Message {
    std::string_view data;
    bool is_text = false; ///< and then valid UTF-8
};

namespace detail {

enum class WebSocketRole : unsigned char { server, client };

struct SessionOptions {
    std::size_t max_message_bytes = 1024 * 1024;
    std::size_t max_frames = 1024; ///< in one message
    std::size_t max_queue_bytes = 1024 * 1024;
    WebSocketPolicy policy = WebSocketPolicy::refuse;
    Duration ping_interval = std::chrono::seconds(30); ///< of silence; zero: no pings
    Duration pong_timeout = std::chrono::seconds(15);
    Duration close_timeout = std::chrono::seconds(2);

    /// Longer times count as this one, so that adding them to a moment is safe; negative ones as
    /// none.
    static constexpr std::chrono::milliseconds longest_time = std::chrono::hours(10 * 365 * 24);
};

/// Who takes a session's events. Each may end the session, and the server.
class SessionEvents {
public:
    virtual void handle_message(const Message& message) = 0;
    virtual void handle_pong(std::string_view payload) = 0;
    /// What was queued has left, after so much that the program may wait for it.
    virtual void handle_drain() = 0;
    /// WebSocketSession::wake() was called.
    virtual void handle_wake() = 0;

protected:
    ~SessionEvents() = default;
};

class WebSocketSession {
public:
    WebSocketSession(WebSocketRole role, const SessionOptions& options, SessionEvents& events);
    WebSocketSession(const WebSocketSession&) = delete;
    WebSocketSession& operator=(const WebSocketSession&) = delete;

    /// Null: messages are not compressed.
    void set_codec(std::unique_ptr<MessageCodec> codec) noexcept { codec_ = std::move(codec); }

    // What the link's owner is told:
    void on_open(UpgradeLink& link);
    /// Where the next bytes are best put; null when that makes no difference.
    char* place_for_input(std::size_t size);
    /// Changes the bytes in place.
    void on_data(char* bytes, std::size_t size);
    void on_drain();
    void on_deadline();
    void on_wake();
    void on_end();
    /// The link is gone.
    void on_close() noexcept;

    /// All or nothing; false when it is closing, or past max_queue_bytes under that policy. With a
    /// key, or under WebSocketPolicy::coalesce, it takes the place of a waiting message with that
    /// key. Text has to be UTF-8.
    bool send(const Message& message, std::string_view key = {});
    /// A frame that was encoded before, for the server's role; shared with whoever else sends it.
    bool send_frame(const std::shared_ptr<const std::string>& frame, std::string_view key = {});
    /// At most 125 bytes.
    bool ping(std::string_view payload);
    /// Begins the close handshake behind what is queued. A code that must not be sent becomes 1000,
    /// a long reason is cut. no_code sends none.
    void close(int code, std::string_view reason);
    /// Closes with that code, without waiting for the peer; nothing more is received.
    void fail(int code, std::string_view sentence);
    /// Ends without a word, in the connection's next turn.
    void abort();
    void pause_reading(bool is_paused);
    void wake();

    /// Messages can be sent.
    bool is_open() const noexcept { return phase_ == Phase::open; }
    std::size_t buffered_bytes() const noexcept;
    /// What it ended with: the peer's code, 1005 when it gave none, 1006 when there was no Close
    /// frame; and the session's own code and sentence when it has failed.
    int end_code() const noexcept { return end_code_; }
    const std::string& end_reason() const noexcept { return end_reason_; }

private:
    enum class Phase : unsigned char {
        idle, ///< no link yet
        open,
        closing, ///< our Close frame is on its way; the peer's is awaited
        done,    ///< all has been said; the link closes once it has been sent
        aborted,
        closed,
    };

    // websocket_session.inl: bytes in
    void receive(char* bytes, std::size_t size);
    std::size_t take_head(std::string_view bytes);
    bool check_head();
    std::size_t take_payload(char* bytes, std::size_t size);
    std::size_t take_whole(char* bytes);
    std::size_t take_control(char* bytes, std::size_t size);
    std::size_t take_piece(char* bytes, std::size_t size);
    bool add_piece(std::string_view piece, bool has_high_bytes, bool is_frame_end);
    bool collect(std::string_view piece);
    char* room_for(std::size_t size);
    std::size_t collected_bytes() const noexcept;
    bool expand_piece(std::string_view piece, bool is_last);
    bool check_text(std::string_view piece, bool has_high_bytes, bool is_message_end);
    void end_frame();
    void end_message();
    void deliver(std::string_view data);
    void handle_control(Opcode opcode, std::string_view payload);
    void handle_close(std::string_view payload);
    void hold(std::string_view rest);
    void resume();
    void update_reading();
    bool is_receiving() const noexcept { return phase_ == Phase::open || phase_ == Phase::closing; }

    // websocket_session_output.inl: bytes out, and deadlines
    bool replace_waiting(const OutFrame& frame, std::string_view key);
    bool make_room(std::size_t size);
    void put(const OutFrame& frame, std::string_view key, bool is_pinned);
    bool is_collected(std::string_view data) const noexcept;
    bool is_keyed(std::string_view key) const noexcept;
    bool is_queue_empty() const noexcept { return !outbox_ || outbox_->is_empty(); }
    bool may_hand_over() const noexcept;
    std::size_t hand_over(const OutFrame& frame);
    std::size_t hand_over(std::string_view bytes);
    void flush();
    void send_control(Opcode opcode, std::string_view payload);
    void write_control(Opcode opcode, std::string_view payload);
    void keep_pong(std::string_view payload);
    void send_close_frame(int code, std::string_view reason);
    void finish();
    void end_with(int code, std::string_view reason);
    TimePoint next_deadline() const noexcept;
    void arm();
    void check_silence(TimePoint now);
    void note_memory(std::size_t capacity);
    void release_memory();
    MaskKey next_key();

    /// Random bytes for masks to come.
    struct KeyPool {
        std::array<char, 256> bytes;
        std::size_t left = 0;
    };

    /// Units of one turn: what is left of it waits for the next one.
    static constexpr unsigned max_messages_per_turn = 256;
    static constexpr std::size_t max_expanded_per_turn = 256 * 1024;
    static constexpr std::size_t large_step = 16 * 1024; ///< worth a look at the budget
    static constexpr std::size_t expand_slice = 256;     ///< may become a thousand times as much
    /// The link is handed more while it holds less than this, ...
    static constexpr std::size_t link_mark = 64 * 1024;
    /// ... and at most so much at once.
    static constexpr std::size_t link_slice = 256 * 1024;
    /// From so much on a message can be sent back in the memory that it was received in.
    static constexpr std::size_t least_returned = 16 * 1024;
    /// Up to so much, a payload is copied behind its head before both are handed over.
    static constexpr std::size_t joined_payload = 512;
    /// Memory that is kept while messages come, and given back after a while.
    static constexpr std::size_t kept_bytes = 4 * 1024;
    static constexpr Duration keep_time = std::chrono::seconds(2);

    SessionEvents& events_;
    UpgradeLink* link_ = nullptr;
    std::unique_ptr<MessageCodec> codec_;
    SessionOptions options_;
    const WebSocketRole role_;
    Phase phase_ = Phase::idle;

    FrameHead head_;
    char head_bytes_[max_frame_head_size] = {}; ///< of a head that came in pieces
    unsigned char head_size_ = 0;
    bool has_head_ = false;      ///< head_ is complete, and its payload is coming
    bool in_message_ = false;    ///< the first frame of a message has begun
    bool is_text_ = false;       ///< the message under way
    bool is_compressed_ = false; ///< the message under way
    bool is_user_paused_ = false;
    bool is_reading_paused_ = false; ///< as the link was told
    bool is_in_receive_ = false;
    bool is_showing_collected_ = false; ///< to handle_message()
    bool has_ended_ = false;            ///< the peer sends no more
    bool owner_wants_wake_ = false;
    bool is_resume_due_ = false;
    bool owes_drain_ = false; ///< the program is told when all has left
    bool has_closed_link_ = false;
    bool is_ping_out_ = false;
    bool has_pong_ = false;   ///< to be sent as soon as there is room
    bool has_close_ = false;  ///< likewise, behind everything
    std::uint64_t taken_ = 0; ///< of the current payload
    std::size_t frames_ = 0;  ///< of the current message
    unsigned messages_left_ = 0;
    std::size_t expansion_left_ = 0;
    Utf8Validator utf8_;
    std::string message_; ///< what has come of a compressed message, expanded
    /// What has come of any other, when not in one piece. Shared with the queue for as long as it
    /// takes to send it back.
    std::shared_ptr<Buffer> collected_;
    std::string control_; ///< likewise of a control frame's payload
    std::string held_;    ///< received and not looked at yet

    std::unique_ptr<Outbox> outbox_; ///< messages that wait for room in the link
    std::string pong_;
    std::string close_frame_;
    std::string scratch_;           ///< a payload that is compressed or masked
    std::unique_ptr<KeyPool> keys_; ///< a client's

    TimePoint received_at_{};
    TimePoint ping_deadline_ = never;
    TimePoint close_deadline_ = never;
    TimePoint release_at_ = never;
    TimePoint armed_ = never;
    int end_code_ = close_code::dropped;
    std::string end_reason_;
};

} // namespace detail

PORTHOLE_NAMESPACE_END
