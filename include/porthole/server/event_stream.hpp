// SPDX-License-Identifier: MIT
#pragma once

// Server-Sent Events to one client. Many clients that see the same data are what Channel is for.

#include "porthole/http/server_sent_event.hpp"
#include "porthole/server/stream.hpp"
#include "porthole/server/timer.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

struct EventStreamState;

} // namespace detail

/// A client that listens. Cheap to copy; all copies are the same stream, which ends with the last
/// one. Ticking thread only.
class EventStream {
public:
    /// Proxies close what is silent for about this long; a comment keeps them from it.
    static constexpr std::chrono::seconds heartbeat{15};

    EventStream() = default;
    explicit EventStream(std::shared_ptr<detail::EventStreamState> state) noexcept
        : state_(std::move(state)) {}

    /// All or nothing: false when the client is too slow and Limits::max_queue_bytes would be
    /// passed, or has gone. The event's views need to be valid for the call only.
    bool send(const ServerSentEvent& event);
    /// An event of the default type, "message".
    bool send(std::string_view data) {
        ServerSentEvent event;
        event.data = data;
        return send(event);
    }
    /// What no page sees, as for keeping proxies from closing the connection; see send().
    bool comment(std::string_view text);
    /// Called when a client that was too slow for send() has taken three quarters of what was
    /// queued: see Stream::on_writable().
    void on_writable(std::function<void()> go_on);
    /// Called once when the client has gone, before close(); runs inside tick().
    void on_close(std::function<void()> gone);
    /// After this the browser connects again; a 204 for that request stops it.
    void close();
    std::size_t queued_bytes() const noexcept;
    bool is_open() const noexcept;

private:
    template <class Append>
    bool send_text(const Append& append);

    std::shared_ptr<detail::EventStreamState> state_;
};

PORTHOLE_NAMESPACE_END
