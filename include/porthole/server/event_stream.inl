// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/server/event_stream.hpp"
#include "porthole/server/server.hpp"

#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

struct EventStreamState {
    ~EventStreamState() { stream.finish(); }

    Stream stream;
    TimerHandle heartbeat;
    std::string text;      ///< reused from event to event
    bool was_sent = false; ///< since the last heartbeat
};

/// Comments while nothing else is sent. The timer holds no share of the stream, which is the
/// program's.
inline void beat(const std::shared_ptr<EventStreamState>& state, Server& server) {
    state->heartbeat = server.call_after(
        EventStream::heartbeat, [weak = std::weak_ptr<EventStreamState>(state), &server] {
            const std::shared_ptr<EventStreamState> shared = weak.lock();
            if (!shared || !shared->stream.is_open()) {
                return;
            }
            if (!std::exchange(shared->was_sent, false)) {
                shared->stream.write_whole(":\n\n");
            }
            beat(shared, server);
        });
}

} // namespace detail

template <class Append>
PORTHOLE_FN bool EventStream::send_text(const Append& append) {
    if (!is_open()) {
        return false;
    }
    state_->text.clear();
    append(state_->text);
    const bool is_sent = state_->stream.write_whole(state_->text);
    state_->was_sent = state_->was_sent || is_sent;
    return is_sent;
}

PORTHOLE_FN bool EventStream::send(const ServerSentEvent& event) {
    return send_text([&event](std::string& to) { detail::append_event(to, event); });
}

PORTHOLE_FN bool EventStream::comment(std::string_view text) {
    return send_text([text](std::string& to) { detail::append_event_comment(to, text); });
}

PORTHOLE_FN void EventStream::on_writable(std::function<void()> go_on) {
    if (state_) {
        state_->stream.on_writable(std::move(go_on));
    }
}

PORTHOLE_FN void EventStream::on_close(std::function<void()> gone) {
    if (state_) {
        state_->stream.on_abort(std::move(gone));
    }
}

PORTHOLE_FN void EventStream::close() {
    if (state_) {
        state_->heartbeat.cancel();
        state_->stream.finish();
    }
}

PORTHOLE_FN std::size_t EventStream::queued_bytes() const noexcept {
    return state_ ? state_->stream.queued_bytes() : 0;
}

PORTHOLE_FN bool EventStream::is_open() const noexcept {
    return state_ && state_->stream.is_open();
}

PORTHOLE_FN EventStream Response::events() {
    auto state = std::make_shared<detail::EventStreamState>();
    state->stream = stream(detail::event_stream_type);
    detail::set_event_stream_fields(*this);
    if (Server* const owner = server()) {
        detail::beat(state, *owner);
    }
    return EventStream(std::move(state));
}

PORTHOLE_NAMESPACE_END
