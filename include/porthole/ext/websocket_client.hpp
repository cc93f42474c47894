// SPDX-License-Identifier: MIT
#pragma once

// The client's side of WebSocket, for tests and tools: one connection over a transport, pumped by
// hand. It shares frames and session with the server's side.

#include "porthole/base/clock.hpp"
#include "porthole/ext/websocket_session.hpp"
#include "porthole/os/transport.hpp"

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

PORTHOLE_NAMESPACE_BEGIN

struct WebSocketClientOptions {
    std::string host = "localhost"; ///< the Host field
    std::string target = "/";
    std::string origin;                 ///< none is sent when empty
    std::vector<std::string> protocols; ///< offered, the preferred one first
    std::string more_fields;            ///< complete lines: "Name: value\r\n"
    bool has_compression = false;       ///< offered, where there is zlib
    detail::SessionOptions session;
    Clock* clock = nullptr; ///< null is the machine's; must outlive the client
};

namespace detail {

class WebSocketClientCore;

} // namespace detail

/// Set what is to be called, then pump() until is_closed(). The functions run inside pump() and
/// must not destroy the client; one that throws closes the connection with 1011. One thread.
class WebSocketClient {
public:
    /// Sends the handshake.
    explicit WebSocketClient(
        std::unique_ptr<Transport> transport, WebSocketClientOptions options = {});
    ~WebSocketClient();
    WebSocketClient(const WebSocketClient&) = delete;
    WebSocketClient& operator=(const WebSocketClient&) = delete;

    std::function<void()> on_open;
    std::function<void(const Message&)> on_message;
    std::function<void(std::string_view payload)> on_pong;
    /// Code and reason as in WebSocketRoute::on_close(); 1006 also when the handshake was refused.
    std::function<void(int code, std::string_view reason)> on_close;

    /// Reads and writes what can be without waiting. True when something moved.
    bool pump();

    bool send(const Message& message);
    bool send_text(std::string_view text) { return send(Message{text, true}); }
    bool send_binary(std::string_view bytes) { return send(Message{bytes, false}); }
    bool ping(std::string_view payload = {});
    void close(int code = detail::close_code::normal, std::string_view reason = {});
    void abort();
    /// Bytes as they are, ahead of what the session queues: for tests of a server.
    bool send_raw(std::string_view bytes);
    void pause_reading(bool is_paused);

    bool is_open() const noexcept;
    bool is_closed() const noexcept;
    /// Of the handshake's answer; 0 before it has come.
    int status() const noexcept;
    const std::string& protocol() const noexcept;
    /// True when messages are compressed.
    bool is_compressed() const noexcept;
    std::size_t buffered_bytes() const noexcept;
    Transport* transport() noexcept;

private:
    std::unique_ptr<detail::WebSocketClientCore> core_;
};

PORTHOLE_NAMESPACE_END
