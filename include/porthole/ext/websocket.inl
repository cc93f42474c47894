// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/base/ascii.hpp"
#include "porthole/ext/websocket.hpp"
#include "porthole/ext/websocket_handshake.hpp"
#include "porthole/server/server.hpp"

#include <algorithm>
#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

struct WebSocketSettings {
    std::function<void(WebSocket&)> on_open;
    std::function<void(WebSocket&, const Message&)> on_message;
    std::function<void(WebSocket&, int, std::string_view)> on_close;
    std::function<void(WebSocket&)> on_drain;
    std::function<void(WebSocket&, std::string_view)> on_pong;
    std::function<void(WebSocket&)> on_wake;
    BeforeHook accept;
    std::vector<std::string> protocols;
    SessionOptions session;
    bool has_queue_bound = false; ///< else the server's own counts
    bool has_frame_bound = false; ///< else it goes by the size of messages
    bool has_compression = true;
};

/// What owns the connection: the session, and the program's functions around it.
class WebSocketPeer final : public Upgrade,
                            private SessionEvents,
                            public std::enable_shared_from_this<WebSocketPeer> {
public:
    WebSocketPeer(
        std::shared_ptr<const WebSocketSettings> settings, const SessionOptions& options,
        Server& server)
        : socket_(*this), settings_(std::move(settings)), server_(server), poster_(server.poster()),
          session_(WebSocketRole::server, options, *this) {}

    void agree(std::string_view protocol, std::unique_ptr<MessageCodec> codec) {
        protocol_.assign(protocol);
        is_compressed_ = codec != nullptr;
        session_.set_codec(std::move(codec));
    }

    WebSocketSession& session() noexcept { return session_; }
    const std::string& protocol() const noexcept { return protocol_; }
    bool is_compressed() const noexcept { return is_compressed_; }
    std::string_view peer() const noexcept {
        return link_ != nullptr ? link_->peer() : std::string_view();
    }
    WebSocketHandle handle() { return {weak_from_this(), poster_}; }
    Server& server() noexcept { return server_; }
    void attach(std::unique_ptr<WebSocketFeed> feed) {
        detach(feed->subject());
        feeds_.push_back(std::move(feed));
        session_.wake();
    }
    bool detach(const void* subject) {
        for (std::size_t i = 0; i < feeds_.size(); ++i) {
            if (!feeds_[i] || feeds_[i]->subject() != subject) {
                continue;
            }
            if (detached_ != nullptr) { // it may be the one that runs
                detached_->push_back(std::move(feeds_[i]));
            } else {
                std::swap(feeds_[i], feeds_.back());
                feeds_.pop_back();
            }
            return true;
        }
        return false;
    }
    void run_posted(const std::function<void(WebSocket&)>& task) {
        if (session_.is_open()) {
            run(task);
        }
    }

    // Upgrade
    void on_open(UpgradeLink& link) override {
        link_ = &link;
        session_.on_open(link);
        run(settings_->on_open);
    }
    char* place_for_input(std::size_t size) override { return session_.place_for_input(size); }
    void on_data(char* bytes, std::size_t size) override { session_.on_data(bytes, size); }
    void on_drain() override {
        session_.on_drain();
        feed();
    }
    void on_deadline() override { session_.on_deadline(); }
    void on_wake() override { session_.on_wake(); }
    void on_stop(UpgradeLink&) override { session_.close(close_code::going_away, {}); }
    void on_end() override { session_.on_end(); }
    void on_close() override {
        session_.on_close();
        if (detached_ == nullptr) {
            feeds_.clear();
        }
        run(settings_->on_close, session_.end_code(), std::string_view(session_.end_reason()));
        link_ = nullptr;
    }

private:
    using Feeds = std::vector<std::unique_ptr<WebSocketFeed>>;

    void handle_message(const Message& message) override { run(settings_->on_message, message); }
    void handle_pong(std::string_view payload) override { run(settings_->on_pong, payload); }
    void handle_drain() override { run(settings_->on_drain); }
    void handle_wake() override {
        feed();
        if (session_.is_open()) {
            run(settings_->on_wake);
        }
    }

    /// A feed may attach and detach others, and end the connection.
    void feed() {
        if (feeds_.empty() || !session_.is_open()) {
            return;
        }
        Feeds detached;
        detached_ = &detached;
        PORTHOLE_TRY {
            for (std::size_t i = 0; i < feeds_.size() && session_.is_open(); ++i) {
                if (feeds_[i]) {
                    feeds_[i]->feed(socket_);
                }
            }
        }
        PORTHOLE_CATCH_ALL {
            session_.fail(close_code::internal_failure, {});
        }
        detached_ = nullptr;
        if (!session_.is_open()) {
            feeds_.clear();
        } else if (!detached.empty()) {
            feeds_.erase(std::remove(feeds_.begin(), feeds_.end(), nullptr), feeds_.end());
        }
    }

    /// One of the program's functions. If it throws the connection ends, and nobody else's does.
    template <class... Parameters, class... Arguments>
    void
    run(const std::function<void(WebSocket&, Parameters...)>& function,
        const Arguments&... arguments) {
        if (!function) {
            return;
        }
        PORTHOLE_TRY {
            function(socket_, arguments...);
        }
        PORTHOLE_CATCH_ALL {
            session_.fail(close_code::internal_failure, {});
        }
    }

    WebSocket socket_;
    const std::shared_ptr<const WebSocketSettings> settings_;
    Server& server_;
    TaskPoster poster_;
    UpgradeLink* link_ = nullptr;
    Feeds feeds_;
    Feeds* detached_ = nullptr; ///< while feeds run: those that must not be destroyed yet
    std::string protocol_;
    bool is_compressed_ = false;
    WebSocketSession session_;
};

/// Before it is counted in smaller units, which the longest ones do not fit.
inline std::chrono::milliseconds session_time(std::chrono::milliseconds time) noexcept {
    return (std::clamp)(time, std::chrono::milliseconds(0), SessionOptions::longest_time);
}

/// Says why it is none (RFC 6455 sections 4.2.2 and 4.4).
inline void refuse_handshake(const HandshakeFault& fault, Response& response) {
    constexpr int upgrade_required = 426;
    constexpr int method_not_allowed = 405;
    if (fault.status == upgrade_required) {
        response.fail_upgrade("websocket", fault.sentence).header("Sec-WebSocket-Version", "13");
        return;
    }
    response.fail(fault.status, fault.sentence);
    if (fault.status == method_not_allowed) {
        response.header("Allow", "GET");
    }
}

} // namespace detail

PORTHOLE_FN PreparedMessage::PreparedMessage(const Message& message) {
    PORTHOLE_ASSERT(
        !message.is_text || detail::is_utf8(message.data), "a text message has to be UTF-8");
    detail::FrameHead head;
    head.opcode = message.is_text ? detail::Opcode::text : detail::Opcode::binary;
    head.payload_size = message.data.size();
    char bytes[detail::max_frame_head_size];
    std::string frame(bytes, detail::write_frame_head(bytes, head));
    frame.append(message.data);
    frame_ = std::make_shared<const std::string>(std::move(frame));
}

PORTHOLE_FN void WebSocketHandle::post(std::function<void(WebSocket&)> task) const {
    poster_.post([peer = peer_, task = std::move(task)] {
        if (const std::shared_ptr<detail::WebSocketPeer> shared = peer.lock()) {
            shared->run_posted(task);
        }
    });
}

PORTHOLE_FN bool WebSocket::send(const Message& message) {
    return peer_->session().send(message);
}

PORTHOLE_FN bool WebSocket::send(const PreparedMessage& message) {
    return peer_->session().send_frame(message.frame());
}

PORTHOLE_FN bool WebSocket::send(const Message& message, std::string_view key) {
    return peer_->session().send(message, key);
}

PORTHOLE_FN bool WebSocket::send(const PreparedMessage& message, std::string_view key) {
    return peer_->session().send_frame(message.frame(), key);
}

PORTHOLE_FN bool WebSocket::ping(std::string_view payload) {
    return peer_->session().ping(payload);
}

PORTHOLE_FN void WebSocket::close(int code, std::string_view reason) {
    peer_->session().close(code, reason);
}

PORTHOLE_FN void WebSocket::abort() {
    peer_->session().abort();
}

PORTHOLE_FN std::size_t WebSocket::buffered_bytes() const noexcept {
    return peer_->session().buffered_bytes();
}

PORTHOLE_FN void WebSocket::pause_reading(bool is_paused) {
    peer_->session().pause_reading(is_paused);
}

PORTHOLE_FN void WebSocket::wake() {
    peer_->session().wake();
}

PORTHOLE_FN bool WebSocket::is_open() const noexcept {
    return peer_->session().is_open();
}

PORTHOLE_FN const std::string& WebSocket::protocol() const noexcept {
    return peer_->protocol();
}

PORTHOLE_FN bool WebSocket::is_compressed() const noexcept {
    return peer_->is_compressed();
}

PORTHOLE_FN std::string_view WebSocket::peer() const noexcept {
    return peer_->peer();
}

PORTHOLE_FN WebSocketHandle WebSocket::handle() const {
    return peer_->handle();
}

PORTHOLE_FN Server& WebSocket::server() const noexcept {
    return peer_->server();
}

PORTHOLE_FN void WebSocket::attach(std::unique_ptr<detail::WebSocketFeed> feed) {
    peer_->attach(std::move(feed));
}

PORTHOLE_FN bool WebSocket::detach(const void* subject) {
    return peer_->detach(subject);
}

PORTHOLE_FN WebSocketRoute::WebSocketRoute()
    : settings_(std::make_shared<detail::WebSocketSettings>()) {}

/// Copies share their settings until one of them is changed, connections included.
PORTHOLE_FN detail::WebSocketSettings& WebSocketRoute::edit() {
    if (settings_.use_count() != 1) {
        settings_ = std::make_shared<detail::WebSocketSettings>(*settings_);
    }
    return *settings_;
}

PORTHOLE_FN WebSocketRoute& WebSocketRoute::on_open(std::function<void(WebSocket&)> function) {
    edit().on_open = std::move(function);
    return *this;
}

PORTHOLE_FN WebSocketRoute&
WebSocketRoute::on_message(std::function<void(WebSocket&, const Message&)> function) {
    edit().on_message = std::move(function);
    return *this;
}

PORTHOLE_FN WebSocketRoute& WebSocketRoute::on_close(
    std::function<void(WebSocket&, int code, std::string_view reason)> function) {
    edit().on_close = std::move(function);
    return *this;
}

PORTHOLE_FN WebSocketRoute& WebSocketRoute::on_drain(std::function<void(WebSocket&)> function) {
    edit().on_drain = std::move(function);
    return *this;
}

PORTHOLE_FN WebSocketRoute&
WebSocketRoute::on_pong(std::function<void(WebSocket&, std::string_view payload)> function) {
    edit().on_pong = std::move(function);
    return *this;
}

PORTHOLE_FN WebSocketRoute& WebSocketRoute::on_wake(std::function<void(WebSocket&)> function) {
    edit().on_wake = std::move(function);
    return *this;
}

PORTHOLE_FN WebSocketRoute& WebSocketRoute::accept(BeforeHook decide) {
    edit().accept = std::move(decide);
    return *this;
}

PORTHOLE_FN WebSocketRoute& WebSocketRoute::protocols(std::vector<std::string> names) {
    for ([[maybe_unused]] const std::string& name : names) {
        PORTHOLE_ASSERT(ascii::is_token(name), "a subprotocol's name is a token");
    }
    edit().protocols = std::move(names);
    return *this;
}

PORTHOLE_FN WebSocketRoute& WebSocketRoute::max_message_bytes(std::size_t bytes) {
    edit().session.max_message_bytes = bytes;
    return *this;
}

PORTHOLE_FN WebSocketRoute& WebSocketRoute::max_frames(std::size_t frames) {
    edit().session.max_frames = frames;
    edit().has_frame_bound = true;
    return *this;
}

PORTHOLE_FN WebSocketRoute& WebSocketRoute::max_queue_bytes(std::size_t bytes) {
    edit().session.max_queue_bytes = bytes;
    edit().has_queue_bound = true;
    return *this;
}

PORTHOLE_FN WebSocketRoute& WebSocketRoute::policy(WebSocketPolicy policy) {
    edit().session.policy = policy;
    return *this;
}

PORTHOLE_FN WebSocketRoute& WebSocketRoute::ping_interval(std::chrono::milliseconds interval) {
    edit().session.ping_interval = detail::session_time(interval);
    return *this;
}

PORTHOLE_FN WebSocketRoute& WebSocketRoute::pong_timeout(std::chrono::milliseconds timeout) {
    edit().session.pong_timeout = detail::session_time(timeout);
    return *this;
}

PORTHOLE_FN WebSocketRoute& WebSocketRoute::close_timeout(std::chrono::milliseconds timeout) {
    edit().session.close_timeout = detail::session_time(timeout);
    return *this;
}

PORTHOLE_FN WebSocketRoute& WebSocketRoute::compression(bool is_wanted) {
    edit().has_compression = is_wanted;
    return *this;
}

namespace detail {

/// What was not set follows from what was: who takes large messages may also echo them, and take
/// them in pieces.
inline SessionOptions session_options(const WebSocketSettings& settings, const Server& server) {
    constexpr std::size_t bytes_for_a_frame = 64;
    SessionOptions options = settings.session;
    if (!settings.has_queue_bound) {
        options.max_queue_bytes =
            (std::max)(server.options().limits.max_queue_bytes, options.max_message_bytes);
    }
    if (!settings.has_frame_bound) {
        options.max_frames =
            (std::max)(options.max_frames, options.max_message_bytes / bytes_for_a_frame);
    }
    return options;
}

} // namespace detail

PORTHOLE_FN void WebSocketRoute::operator()(const Request& request, Response& response) const {
    const detail::HandshakeFault fault = detail::check_handshake(request);
    if (fault.status != 0) {
        detail::refuse_handshake(fault, response);
        return;
    }
    const detail::DeflateNegotiation deflate = detail::negotiate_deflate(request.fields());
    if (deflate.is_malformed) {
        detail::refuse_handshake({400, "Sec-WebSocket-Extensions is malformed."}, response);
        return;
    }
    if (settings_->accept && settings_->accept(request, response) == Next::stop) {
        if (!response.is_touched()) {
            response.fail(403, "This WebSocket was refused.");
        }
        return;
    }
    Server* const server = response.server();
    if (server == nullptr) {
        response.fail(500, "A WebSocket is served by a server.");
        return;
    }
    const detail::SessionOptions options = detail::session_options(*settings_, *server);
    const auto peer = std::make_shared<detail::WebSocketPeer>(settings_, options, *server);
    const std::string_view protocol =
        detail::choose_protocol(request.fields(), settings_->protocols);
    std::unique_ptr<detail::MessageCodec> codec;
    if (deflate.agreed && settings_->has_compression) {
        codec = detail::make_server_codec(*deflate.agreed);
    }
    if (codec) {
        response.header("Sec-WebSocket-Extensions", deflate.answer);
    }
    peer->agree(protocol, std::move(codec));
    if (!protocol.empty()) {
        response.header("Sec-WebSocket-Protocol", protocol);
    }
    const auto key = request.header("Sec-WebSocket-Key");
    response.header("Sec-WebSocket-Accept", detail::websocket_accept_key(key.value_or("")));
    response.upgrade("websocket", peer);
}

PORTHOLE_FN WebSocketRoute websocket() {
    return WebSocketRoute();
}

PORTHOLE_NAMESPACE_END
