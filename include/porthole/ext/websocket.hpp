// SPDX-License-Identifier: MIT
#pragma once

// WebSocket (RFC 6455) as a handler: messages both ways between a program and its pages.
//
//     server.get("/ws", porthole::websocket()
//         .on_open([](porthole::WebSocket& socket) { socket.send_text("hi"); })
//         .on_message([](porthole::WebSocket& socket, const porthole::Message& message) {
//             socket.send(message);
//         })
//         .on_close([](porthole::WebSocket& socket, int code, std::string_view reason) { ... }));
//
// All functions run inside tick(), on its thread, and may send, close, destroy the server. One that
// throws closes its connection with 1011, and no other. Who may connect is the guard's business:
// pages of other sites get 403 before any 101.

#include "porthole/ext/websocket_session.hpp"
#include "porthole/http/response.hpp"
#include "porthole/server/handler.hpp"
#include "porthole/server/task_poster.hpp"

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

PORTHOLE_NAMESPACE_BEGIN

class WebSocket;

namespace detail {

class WebSocketPeer;
struct WebSocketSettings;

/// What sends through a socket besides the program's functions.
class WebSocketFeed {
public:
    virtual ~WebSocketFeed() = default;
    /// In a turn of the socket's own: after WebSocket::wake(), and when what was sent has left.
    virtual void feed(WebSocket& socket) = 0;
    /// What it sends: one feed of a kind for each socket.
    virtual const void* subject() const noexcept = 0;
};

} // namespace detail

/// A message that is encoded once and sent to many, which share its memory. Cheap to copy; any
/// thread. Never compressed.
class PreparedMessage {
public:
    /// Of nothing: it cannot be sent.
    PreparedMessage() = default;
    /// Copies the data, which has to be UTF-8 when it is text.
    explicit PreparedMessage(const Message& message);
    /// A whole frame of a server's, encoded elsewhere (RFC 6455 section 5.2), which nobody changes
    /// any more.
    explicit PreparedMessage(std::shared_ptr<const std::string> frame) noexcept
        : frame_(std::move(frame)) {}
    static PreparedMessage text(std::string_view data) { return PreparedMessage({data, true}); }
    static PreparedMessage binary(std::string_view data) { return PreparedMessage({data, false}); }

    const std::shared_ptr<const std::string>& frame() const noexcept { return frame_; }

private:
    std::shared_ptr<const std::string> frame_;
};

/// Reaches one WebSocket from any thread. Cheap to copy; may outlive the socket and the server.
class WebSocketHandle {
public:
    WebSocketHandle() = default;
    WebSocketHandle(std::weak_ptr<detail::WebSocketPeer> peer, TaskPoster poster) noexcept
        : peer_(std::move(peer)), poster_(std::move(poster)) {}

    /// Any thread. Runs `task` inside the next tick if the socket is still open then; otherwise,
    /// and when the server is gone, it is dropped. Wakes a server that waits.
    void post(std::function<void(WebSocket&)> task) const;

private:
    std::weak_ptr<detail::WebSocketPeer> peer_;
    TaskPoster poster_;
};

/// One connection. Its address stays the same from on_open() until on_close() has returned, and is
/// of no use after that. Ticking thread only.
class WebSocket {
public:
    WebSocket(const WebSocket&) = delete;
    WebSocket& operator=(const WebSocket&) = delete;

    /// All or nothing, in one frame; what the client does not take at once is queued. False, and
    /// nothing is sent, when the socket is closing, when the message is larger than
    /// max_queue_bytes(), or when the queue is full and the policy has no other way. The data may
    /// go when it returns: what has to wait is copied. A large message that on_message() sends back
    /// as it came is not even copied, and what is left of a PreparedMessage never is.
    bool send(const Message& message);
    /// UTF-8 (RFC 6455 section 8.1); other text is the program's mistake.
    bool send_text(std::string_view text) { return send(Message{text, true}); }
    bool send_binary(std::string_view bytes) { return send(Message{bytes, false}); }
    bool send(const PreparedMessage& message);
    /// Takes the place of a message with the same key that still waits, whatever the policy; a
    /// message that has begun to leave is finished first. An empty key is none.
    bool send(const Message& message, std::string_view key);
    bool send(const PreparedMessage& message, std::string_view key);
    /// At most 125 bytes (RFC 6455 section 5.5.2); on_pong() tells of the answer. False when the
    /// socket is closing, or when messages wait, behind which it would measure nothing. Pings for
    /// the connection's own sake are sent without being asked for.
    bool ping(std::string_view payload = {});

    /// Closes behind what is queued: 1000, or 3000 to 4999 for the program's own reasons; at most
    /// 123 bytes of UTF-8 tell why, and more is cut. Messages that still come are dropped.
    /// on_close() follows, in a turn of its own, when the client has answered (RFC 6455 section
    /// 7.1.2), and after close_timeout() at the latest, which cuts what has not left by then. A
    /// second call does nothing.
    void close(int code = detail::close_code::normal, std::string_view reason = {});
    /// Ends the connection without a word; on_close() comes in a turn of its own.
    void abort();

    /// Bytes, with the frames' heads, that are queued here and not yet taken by the client's side
    /// of the connection.
    std::size_t buffered_bytes() const noexcept;
    /// True: no more messages are received until it is false again, and the client has to wait.
    /// Meanwhile its Close, and that it has gone, are not noticed, and it is not pinged.
    void pause_reading(bool is_paused);
    /// Asks for on_wake() in a turn of this socket's own, so that work that concerns many sockets
    /// is cut into units of the tick's budget. Several calls become one.
    void wake();

    /// Messages can be sent and come: from on_open() on until either side closes.
    bool is_open() const noexcept;
    /// The subprotocol that was agreed on; empty when there is none.
    const std::string& protocol() const noexcept;
    /// True when messages are compressed.
    bool is_compressed() const noexcept;
    /// The other end, as Request::peer().
    std::string_view peer() const noexcept;
    WebSocketHandle handle() const;
    /// The server that it came to.
    Server& server() const noexcept;
    /// For extensions: asked for what it has from now on, in place of one with the same subject;
    /// destroyed when the socket closes.
    void attach(std::unique_ptr<detail::WebSocketFeed> feed);
    /// True when there was one with that subject.
    bool detach(const void* subject);

private:
    friend class detail::WebSocketPeer;
    explicit WebSocket(detail::WebSocketPeer& peer) noexcept : peer_(&peer) {}

    detail::WebSocketPeer* peer_;
};

/// What a route speaks: made by websocket(), set up by chaining, and then a Handler. Copies are
/// independent. May also be called inside a handler, with functions that capture what belongs to
/// that request.
class WebSocketRoute {
public:
    WebSocketRoute();

    /// The handshake is done; what is sent here follows the 101.
    WebSocketRoute& on_open(std::function<void(WebSocket&)> function);
    /// A whole message. Its data is valid for the call. Without this function they are dropped.
    WebSocketRoute& on_message(std::function<void(WebSocket&, const Message&)> function);
    /// Exactly once for each on_open(): the client's code and reason; 1005 when it gave none; 1006
    /// when the connection just ended, or did not answer a close() in time; this side's own when
    /// the client broke a rule or a limit (RFC 6455 section 7.4.1). The reason is UTF-8, of at most
    /// 123 bytes, valid for the call. Nothing can be sent any more.
    WebSocketRoute&
    on_close(std::function<void(WebSocket&, int code, std::string_view reason)> function);
    /// All that was queued has left, after a send() that was refused or left 64 KiB or more in
    /// buffered_bytes(); what is less leaves without a word.
    WebSocketRoute& on_drain(std::function<void(WebSocket&)> function);
    /// A Pong has come, asked for or not: at most 125 bytes, valid for the call.
    WebSocketRoute& on_pong(std::function<void(WebSocket&, std::string_view payload)> function);
    /// WebSocket::wake() was called, and the socket is still open.
    WebSocketRoute& on_wake(std::function<void(WebSocket&)> function);
    /// Decides by the request, once it is known to be a handshake, as a before hook does:
    /// Next::stop sends the answer as it was left, or 403.
    WebSocketRoute& accept(BeforeHook decide);
    /// Subprotocols, tokens, the preferred one first. The first that the client offers, too, is
    /// agreed on; when there is none, the connection has none (RFC 6455 section 4.2.2).
    WebSocketRoute& protocols(std::vector<std::string> names);

    /// Messages that are larger, once expanded, close with 1009. Memory grows as they come, not
    /// when they are announced. Default: 1 MiB.
    WebSocketRoute& max_message_bytes(std::size_t bytes);
    /// Frames of one message; more close with 1008. Default: 1024, or one for each 64 bytes of
    /// max_message_bytes() when that is more.
    WebSocketRoute& max_frames(std::size_t frames);
    /// What may wait for one client, and so also the largest message that can be sent. Default:
    /// Limits::max_queue_bytes, or max_message_bytes() when that is more.
    WebSocketRoute& max_queue_bytes(std::size_t bytes);
    /// What becomes of a message that does not fit. Default: WebSocketPolicy::refuse.
    WebSocketRoute& policy(WebSocketPolicy policy);
    /// After so much silence the client is asked whether it is still there (RFC 6455 section
    /// 5.5.2); zero: never. A client that has not taken what is queued is not asked:
    /// Limits::write_stall_timeout counts then. Default: 30 s. Of these three times, negative ones
    /// count as zero, and more than ten years as ten.
    WebSocketRoute& ping_interval(std::chrono::milliseconds interval);
    /// How long its answer, which may be anything, may take before the connection is dropped.
    /// Default: 15 s.
    WebSocketRoute& pong_timeout(std::chrono::milliseconds timeout);
    /// How long a closing connection waits for the client. Default: 2 s.
    WebSocketRoute& close_timeout(std::chrono::milliseconds timeout);
    /// permessage-deflate (RFC 7692) for clients that ask for it. On by default; without zlib
    /// (PORTHOLE_WITH_ZLIB) it is never agreed on.
    WebSocketRoute& compression(bool is_wanted);

    /// The answer: 101; 400, 405 or 426 for what is no handshake (RFC 6455 section 4.2.2), 403 by
    /// accept().
    void operator()(const Request& request, Response& response) const;

private:
    detail::WebSocketSettings& edit();

    std::shared_ptr<detail::WebSocketSettings> settings_;
};

/// The settings of a route that speaks WebSocket; see above.
WebSocketRoute websocket();

PORTHOLE_NAMESPACE_END
