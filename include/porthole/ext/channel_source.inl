// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/base/ascii.hpp"
#include "porthole/ext/channel_source.hpp"
#include "porthole/http/server_sent_event.hpp"
#include "porthole/server/server.hpp"

#include <cstring>
#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN void ChannelSource::wake() {
    if (waker_) {
        waker_();
    }
}

PORTHOLE_FN BodySource::Piece ChannelSource::pull(char* into, std::size_t capacity) {
    std::size_t size = 0;
    std::size_t values = 0;
    for (;;) {
        for (std::string_view* part : {&parts_.head, &parts_.body, &parts_.tail}) {
            const std::size_t room = capacity - size;
            const std::size_t bytes = part->size() < room ? part->size() : room;
            if (bytes != 0) {
                std::memcpy(into + size, part->data(), bytes);
                part->remove_prefix(bytes);
                size += bytes;
            }
        }
        if (has_parts() || size == capacity || values++ == max_values_per_piece) {
            return {State::more, size};
        }
        Next next;
        parts_ = make_parts(next);
        value_ = std::move(next.value);
        if (!has_parts()) {
            return {next.is_over ? State::end : State::wait, size};
        }
    }
}

PORTHOLE_FN ChannelEvents::ChannelEvents(
    const std::shared_ptr<ChannelState>& state, Server& server, const ChannelStart& start)
    : ChannelSource(state, server, start) {
    if (const auto retry = state->options().retry) {
        ServerSentEvent event;
        event.retry = retry;
        append_event(text_, event);
        has_greeting_ = true;
    }
}

PORTHOLE_FN bool ChannelEvents::on_beat() {
    has_beat_ = !std::exchange(was_sent_, false);
    return has_beat_;
}

PORTHOLE_FN ChannelValue::Parts ChannelEvents::make_parts(Next& next) {
    ChannelValue::Parts parts;
    if (std::exchange(has_greeting_, false)) {
        parts.head = text_;
        return parts;
    }
    next = subscription_.next();
    if (next.value) {
        parts = next.value->event(subscription_.state().epoch());
        was_sent_ = true;
    }
    const bool has_beat = std::exchange(has_beat_, false);
    if (next.skipped != 0) {
        text_.clear();
        append_event_comment(text_, std::to_string(next.skipped) + " values were lost");
        text_.append(parts.head);
        parts.head = text_;
    } else if (!next.value && has_beat) {
        parts.head = ":\n\n";
    }
    return parts;
}

PORTHOLE_FN ChannelImages::ChannelImages(
    const std::shared_ptr<ChannelState>& state, Server& server, const ChannelStart& start,
    std::string_view type)
    : ChannelSource(state, server, start), separator_("\r\n--") {
    separator_.append(state->epoch()).append("\r\nContent-Type: ").append(type).append("\r\n\r\n");
}

PORTHOLE_FN std::string ChannelImages::media_type(const ChannelState& state) {
    return "multipart/x-mixed-replace; boundary=" + state.epoch();
}

/// Browsers show an image when the next one has begun, so each is followed by the beginning of the
/// next (RFC 2046 section 5.1; no length, which would have to be known by then).
PORTHOLE_FN ChannelValue::Parts ChannelImages::make_parts(Next& next) {
    ChannelValue::Parts parts;
    if (!has_begun_) {
        has_begun_ = true;
        parts.head = std::string_view(separator_).substr(2);
        return parts;
    }
    next = subscription_.newest();
    if (next.value) {
        parts.body = next.value->bytes();
        parts.tail = separator_;
    }
    return parts;
}

/// What the program has fixed, or the query names; null: all keys. False: too many.
inline bool choose_topics(
    const Request& request, const ChannelOptions& options,
    const std::shared_ptr<const ChannelTopics>& fixed,
    std::shared_ptr<const ChannelTopics>& topics) {
    topics = fixed;
    if (fixed) {
        return true;
    }
    const std::vector<std::string_view> asked = request.query_all("topic");
    if (!asked.empty() && asked.size() <= options.max_topics) {
        topics =
            std::make_shared<ChannelTopics>(std::vector<std::string>(asked.begin(), asked.end()));
    }
    return asked.size() <= options.max_topics;
}

inline std::shared_ptr<const ChannelTopics> fix_topics(std::vector<std::string> names) {
    return names.empty() ? nullptr : std::make_shared<const ChannelTopics>(std::move(names));
}

/// Where a subscriber starts; nothing when the answer is already another one.
inline std::optional<ChannelStart> start_channel(
    const Channel& channel, const std::shared_ptr<const ChannelTopics>& fixed,
    const Request& request, Response& response) {
    constexpr int bad_request = 400;
    constexpr int unavailable = 503;
    const ChannelOptions& options = channel.state()->options();
    ChannelStart start;
    response.header("Cache-Control", "no-store");
    if (!channel.is_open()) {
        response.no_content();
    } else if (!choose_topics(request, options, fixed, start.topics)) {
        response.fail(bad_request, "Too many topics (ChannelOptions::max_topics).");
    } else if (response.server() == nullptr) {
        response.fail(unavailable, "A channel is served by a server.");
    } else {
        start.has_snapshot = options.has_snapshot;
        return start;
    }
    return std::nullopt;
}

} // namespace detail

PORTHOLE_FN Handler events(Channel channel, std::vector<std::string> topics) {
    return [channel = std::move(channel), fixed = detail::fix_topics(std::move(topics))](
               const Request& request, Response& response) {
        auto start = detail::start_channel(channel, fixed, request, response);
        if (!start) {
            return;
        }
        start->last_id = request.header("Last-Event-ID").value_or("");
        response.send(
            detail::event_stream_type,
            std::make_unique<detail::ChannelEvents>(channel.state(), *response.server(), *start));
        detail::set_event_stream_fields(response);
    };
}

PORTHOLE_FN Handler images(Channel channel, std::string_view type, ImageOptions options) {
    const bool is_value = !type.empty() && ascii::is_field_value(type);
    PORTHOLE_ASSERT(is_value, "images() wants a media type: \"image/jpeg\"");
    return [channel = std::move(channel), fixed = detail::fix_topics(std::move(options.topics)),
            type = std::string(is_value ? type : "application/octet-stream")](
               const Request& request, Response& response) {
        auto start = detail::start_channel(channel, fixed, request, response);
        if (!start) {
            return;
        }
        response.send(
            detail::ChannelImages::media_type(*channel.state()),
            std::make_unique<detail::ChannelImages>(
                channel.state(), *response.server(), *start, type));
    };
}

PORTHOLE_NAMESPACE_END
