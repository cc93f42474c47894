// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/base/utf8.hpp"
#include "porthole/ext/channel_subscription.hpp"
#include "porthole/ext/channel_websocket.hpp"

#include <memory>
#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// What the frames of a value differ in.
inline constexpr std::size_t plain_form = 0;
inline constexpr std::size_t keyed_form = 1;
inline constexpr std::size_t binary_form = 2;

inline ChannelValue::Frame make_channel_frame(const ChannelValue& value, std::size_t form) {
    Message message;
    message.data = value.bytes();
    std::string text;
    if (form == keyed_form) {
        text.append(value.key()).append(1, '\n').append(value.bytes());
        message.data = text;
    }
    message.is_text = form != binary_form && is_utf8(message.data);
    return PreparedMessage(message).frame();
}

class ChannelFeed final : public WebSocketFeed, public ChannelSubscriber {
public:
    ChannelFeed(
        WebSocket& socket, const std::shared_ptr<ChannelState>& state, const ChannelStart& start,
        std::size_t form)
        : socket_(socket), form_(form), subscription_(state, socket.server(), start, *this) {}

    void wake() override { socket_.wake(); }
    const void* subject() const noexcept override { return &subscription_.state(); }
    PORTHOLE_FN void feed(WebSocket& socket) override;

private:
    /// A socket gets more while less than this waits for it.
    static constexpr std::size_t mark_bytes = 64 * 1024;
    /// And not more in one go: a unit of the tick's budget.
    static constexpr std::size_t max_values = 256;

    WebSocket& socket_;
    std::size_t form_;
    ChannelSubscription subscription_;
    ChannelStore::Value value_; ///< the next one, when it is known
};

PORTHOLE_FN void ChannelFeed::feed(WebSocket& socket) {
    std::size_t values = 0;
    while (socket.is_open() && socket.buffered_bytes() < mark_bytes) {
        if (values++ == max_values) {
            socket.wake(); // for the others
            return;
        }
        if (!value_) {
            value_ = subscription_.next().value;
        }
        if (!value_) {
            return;
        }
        const bool is_sent = socket.send(PreparedMessage(value_->frame(form_, make_channel_frame)));
        if (!is_sent && socket.buffered_bytes() != 0) {
            return; // it may fit when that has left
        }
        value_.reset();
    }
}

} // namespace detail

PORTHOLE_FN void
subscribe(WebSocket& socket, const Channel& channel, const SubscribeOptions& options) {
    detail::ChannelStart start;
    start.has_snapshot = options.has_snapshot;
    if (!options.topics.empty()) {
        start.topics = std::make_shared<const detail::ChannelTopics>(options.topics);
    }
    const std::size_t form = options.is_binary ? detail::binary_form
                             : options.has_key ? detail::keyed_form
                                               : detail::plain_form;
    if (socket.is_open()) {
        socket.attach(std::make_unique<detail::ChannelFeed>(socket, channel.state(), start, form));
    }
}

PORTHOLE_FN bool unsubscribe(WebSocket& socket, const Channel& channel) {
    return socket.detach(channel.state().get());
}

PORTHOLE_NAMESPACE_END
