// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/base/ascii.hpp"
#include "porthole/base/base64.hpp"
#include "porthole/base/buffer.hpp"
#include "porthole/ext/websocket_client.hpp"
#include "porthole/ext/websocket_handshake.hpp"
#include "porthole/http/parser.hpp"
#include "porthole/os/random.hpp"

#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// The connection under the session, and the handshake ahead of it.
class WebSocketClientCore final : private UpgradeLink, private SessionEvents {
public:
    WebSocketClientCore(
        WebSocketClient& client, std::unique_ptr<Transport> transport,
        WebSocketClientOptions options);

    bool pump();
    WebSocketSession& session() noexcept { return session_; }
    const WebSocketSession& session() const noexcept { return session_; }
    bool send_raw(std::string_view bytes) { return !is_closed && out_.append(bytes); }
    Transport* transport() noexcept { return transport_.get(); }

    std::string protocol;
    int status = 0;
    bool is_compressed = false;
    bool is_closed = false;

private:
    // UpgradeLink
    bool send(std::string_view bytes) override { return send_raw(bytes); }
    std::size_t queued_bytes() const noexcept override { return out_.size(); }
    void pause_reading(bool is_paused) override { is_paused_ = is_paused; }
    void close() override { must_close_ = true; }
    void abort() override { must_abort_ = true; }
    void set_deadline(TimePoint deadline) override { deadline_ = deadline; }
    void wake() override { wants_wake_ = true; }
    TimePoint now() const noexcept override { return clock_->now(); }
    bool has_time() noexcept override { return true; }
    std::string_view peer() const noexcept override { return "server"; }

    // SessionEvents
    void handle_message(const Message& message) override { run(client_.on_message, message); }
    void handle_pong(std::string_view payload) override { run(client_.on_pong, payload); }
    void handle_drain() override {}
    void handle_wake() override {}

    /// One of the program's functions. If it throws the connection ends.
    template <class... Parameters, class... Arguments>
    void run(const std::function<void(Parameters...)>& function, const Arguments&... arguments) {
        if (!function) {
            return;
        }
        PORTHOLE_TRY {
            function(arguments...);
        }
        PORTHOLE_CATCH_ALL {
            session_.fail(close_code::internal_failure, {});
        }
    }

    void write_request();
    bool write_some();
    bool read_some();
    void take_answer(std::string_view bytes);
    bool accepts(const ResponseHead& head);
    void end();

    static constexpr std::size_t piece_bytes = 64 * 1024;
    static constexpr std::size_t max_answer_bytes = 16 * 1024;

    WebSocketClient& client_;
    std::unique_ptr<Transport> transport_;
    const WebSocketClientOptions options_;
    SystemClock system_clock_;
    Clock* clock_;
    Buffer out_;
    WebSocketSession session_;
    std::string answer_; ///< what has come of it
    std::string key_;
    std::unique_ptr<char[]> piece_ = std::make_unique<char[]>(piece_bytes);
    TimePoint deadline_ = never;
    bool is_upgraded_ = false;
    bool is_paused_ = false;
    bool must_close_ = false;
    bool must_abort_ = false;
    bool wants_wake_ = false;
    bool has_ended_ = false;
};

PORTHOLE_FN WebSocketClientCore::WebSocketClientCore(
    WebSocketClient& client, std::unique_ptr<Transport> transport, WebSocketClientOptions options)
    : client_(client), transport_(std::move(transport)), options_(std::move(options)),
      clock_(options_.clock != nullptr ? options_.clock : &system_clock_),
      out_(std::size_t{4} * 1024 * 1024), session_(WebSocketRole::client, options_.session, *this) {
    write_request();
}

PORTHOLE_FN void WebSocketClientCore::write_request() {
    char nonce[16];
    is_closed = !fill_random(nonce, sizeof nonce);
    key_ = base64({nonce, sizeof nonce});
    std::string request = "GET " + options_.target + " HTTP/1.1\r\nHost: " + options_.host
                          + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
                          + key_ + "\r\n";
    if (!options_.origin.empty()) {
        request += "Origin: " + options_.origin + "\r\n";
    }
    for (std::size_t i = 0; i < options_.protocols.size(); ++i) {
        request += (i == 0 ? "Sec-WebSocket-Protocol: " : ", ") + options_.protocols[i];
    }
    request += options_.protocols.empty() ? "" : "\r\n";
    if (options_.has_compression && can_deflate()) {
        request += "Sec-WebSocket-Extensions: " + write_deflate_offer({}) + "\r\n";
    }
    request += options_.more_fields + "\r\n";
    is_closed = !out_.append(request) || is_closed;
}

PORTHOLE_FN bool WebSocketClientCore::pump() {
    if (is_closed) {
        return false;
    }
    bool has_moved = false;
    if (clock_->now() >= deadline_) {
        deadline_ = never;
        session_.on_deadline();
        has_moved = true;
    }
    if (std::exchange(wants_wake_, false)) {
        session_.on_wake();
        has_moved = true;
    }
    has_moved = read_some() || has_moved;
    has_moved = write_some() || has_moved;
    if (must_abort_ || (must_close_ && out_.is_empty())) {
        end();
    }
    return has_moved;
}

PORTHOLE_FN bool WebSocketClientCore::write_some() {
    if (out_.is_empty()) {
        return false;
    }
    const std::string_view bytes = out_.view();
    const IoResult result = transport_->write(&bytes, 1);
    if (result.status == IoStatus::would_block) {
        return false;
    }
    if (result.status != IoStatus::ok) {
        must_abort_ = true;
        return true;
    }
    out_.consume(result.bytes);
    if (out_.is_empty() && is_upgraded_) {
        session_.on_drain();
    }
    return true;
}

PORTHOLE_FN bool WebSocketClientCore::read_some() {
    if (is_paused_ || has_ended_) {
        return false;
    }
    const IoResult result = transport_->read(piece_.get(), piece_bytes);
    if (result.status == IoStatus::would_block) {
        return false;
    }
    if (result.status != IoStatus::ok) {
        has_ended_ = true;
        if (is_upgraded_ && result.status == IoStatus::end) {
            session_.on_end();
        } else {
            must_abort_ = true;
        }
    } else if (is_upgraded_) {
        session_.on_data(piece_.get(), result.bytes);
    } else {
        take_answer({piece_.get(), result.bytes});
    }
    return true;
}

PORTHOLE_FN void WebSocketClientCore::take_answer(std::string_view bytes) {
    answer_.append(bytes);
    Limits limits;
    limits.max_fields_bytes = max_answer_bytes;
    ResponseParser parser(limits);
    const ParseStatus state = parser.parse(answer_);
    if (state == ParseStatus::need_more) {
        return;
    }
    status = state == ParseStatus::complete ? parser.head().status : 0;
    if (state != ParseStatus::complete || !accepts(parser.head())) {
        must_abort_ = true;
        return;
    }
    is_upgraded_ = true;
    std::string rest = answer_.substr(parser.head_size());
    answer_.clear();
    session_.on_open(*this);
    run(client_.on_open);
    if (!rest.empty()) {
        session_.on_data(rest.data(), rest.size());
    }
}

/// RFC 6455 section 4.1, the second half.
PORTHOLE_FN bool WebSocketClientCore::accepts(const ResponseHead& head) {
    constexpr int switching_protocols = 101;
    const Fields& fields = head.fields;
    const auto accept = fields.find("Sec-WebSocket-Accept");
    const auto upgrade = fields.find("Upgrade");
    const auto connection = fields.find("Connection");
    if (head.status != switching_protocols || !upgrade || !connection || !accept
        || !ascii::equals_ignoring_case(*upgrade, "websocket")
        || !ascii::list_has(*connection, "upgrade") || *accept != websocket_accept_key(key_)) {
        return false;
    }
    if (const auto chosen = fields.find("Sec-WebSocket-Protocol")) {
        bool is_offered = false;
        for (const std::string& name : options_.protocols) {
            is_offered = is_offered || name == *chosen;
        }
        if (!is_offered) {
            return false;
        }
        protocol.assign(*chosen);
    }
    if (!options_.has_compression || !can_deflate()) {
        return !fields.find("Sec-WebSocket-Extensions");
    }
    const DeflateAnswer answer = read_deflate_answer(fields, {});
    if (!answer.is_refused && answer.agreed) {
        session_.set_codec(make_client_codec(*answer.agreed));
        is_compressed = true;
    }
    return !answer.is_refused;
}

PORTHOLE_FN void WebSocketClientCore::end() {
    is_closed = true;
    transport_->shut_write();
    session_.on_close();
    run(client_.on_close, session_.end_code(), std::string_view(session_.end_reason()));
}

} // namespace detail

PORTHOLE_FN WebSocketClient::WebSocketClient(
    std::unique_ptr<Transport> transport, WebSocketClientOptions options)
    : core_(std::make_unique<detail::WebSocketClientCore>(
        *this, std::move(transport), std::move(options))) {}

PORTHOLE_FN WebSocketClient::~WebSocketClient() = default;

PORTHOLE_FN bool WebSocketClient::pump() {
    return core_->pump();
}

PORTHOLE_FN bool WebSocketClient::send(const Message& message) {
    return core_->session().send(message);
}

PORTHOLE_FN bool WebSocketClient::ping(std::string_view payload) {
    return core_->session().ping(payload);
}

PORTHOLE_FN void WebSocketClient::close(int code, std::string_view reason) {
    core_->session().close(code, reason);
}

PORTHOLE_FN void WebSocketClient::abort() {
    core_->session().abort();
}

PORTHOLE_FN bool WebSocketClient::send_raw(std::string_view bytes) {
    return core_->send_raw(bytes);
}

PORTHOLE_FN void WebSocketClient::pause_reading(bool is_paused) {
    core_->session().pause_reading(is_paused);
}

PORTHOLE_FN bool WebSocketClient::is_open() const noexcept {
    return core_->session().is_open();
}

PORTHOLE_FN bool WebSocketClient::is_closed() const noexcept {
    return core_->is_closed;
}

PORTHOLE_FN int WebSocketClient::status() const noexcept {
    return core_->status;
}

PORTHOLE_FN const std::string& WebSocketClient::protocol() const noexcept {
    return core_->protocol;
}

PORTHOLE_FN bool WebSocketClient::is_compressed() const noexcept {
    return core_->is_compressed;
}

PORTHOLE_FN std::size_t WebSocketClient::buffered_bytes() const noexcept {
    return core_->session().buffered_bytes();
}

PORTHOLE_FN Transport* WebSocketClient::transport() noexcept {
    return core_->transport();
}

PORTHOLE_NAMESPACE_END
