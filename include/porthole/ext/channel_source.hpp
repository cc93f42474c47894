// SPDX-License-Identifier: MIT
#pragma once

// A channel as the content of an answer. The source copies from the shared value straight into the
// connection's piece, and asks for the next one when that has room: a client that stops reading
// holds one piece, and the value that it is in the middle of.

#include "porthole/ext/channel_subscription.hpp"
#include "porthole/http/body.hpp"

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// What events and images have in common.
class ChannelSource : public BodySource, public ChannelSubscriber {
public:
    ChannelSource(
        const std::shared_ptr<ChannelState>& state, Server& server, const ChannelStart& start)
        : subscription_(state, server, start, *this) {}

    PORTHOLE_FN Piece pull(char* into, std::size_t capacity) final;
    void set_waker(std::function<void()> waker) final { waker_ = std::move(waker); }
    PORTHOLE_FN void wake() final;

protected:
    ~ChannelSource() override = default;

    using Next = ChannelSubscription::Next;
    /// Asks for what comes next; what it returns stays where it is until the next call, together
    /// with `next.value`.
    virtual ChannelValue::Parts make_parts(Next& next) = 0;

    ChannelSubscription subscription_;

private:
    /// Of which a piece is made at the most: a unit of the tick's budget.
    static constexpr std::size_t max_values_per_piece = 256;

    bool has_parts() const noexcept {
        return !parts_.head.empty() || !parts_.body.empty() || !parts_.tail.empty();
    }

    std::function<void()> waker_;
    ChannelStore::Value value_; ///< what is being sent ...
    ChannelValue::Parts parts_; ///< ... and what of it is left
};

class ChannelEvents final : public ChannelSource {
public:
    ChannelEvents(
        const std::shared_ptr<ChannelState>& state, Server& server, const ChannelStart& start);
    PORTHOLE_FN bool on_beat() override;

private:
    PORTHOLE_FN ChannelValue::Parts make_parts(Next& next) override;

    std::string text_; ///< what goes before an event
    bool has_greeting_ = false;
    bool has_beat_ = false;
    bool was_sent_ = false; ///< an event, since the last heartbeat
};

class ChannelImages final : public ChannelSource {
public:
    ChannelImages(
        const std::shared_ptr<ChannelState>& state, Server& server, const ChannelStart& start,
        std::string_view type);

    /// The media type of the whole, with its boundary.
    static std::string media_type(const ChannelState& state);

private:
    PORTHOLE_FN ChannelValue::Parts make_parts(Next& next) override;

    std::string separator_; ///< between two images: the boundary and the fields of the next
    bool has_begun_ = false;
};

} // namespace detail

PORTHOLE_NAMESPACE_END
