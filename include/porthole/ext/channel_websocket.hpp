// SPDX-License-Identifier: MIT
#pragma once

// A channel over WebSockets, beside whatever else a program says on them:
//
//     server.get("/ws", porthole::websocket().on_open([channel](porthole::WebSocket& socket) {
//         porthole::subscribe(socket, channel);
//     }));
//
// Each socket is sent the next value when it has taken the one before, as with events().

#include "porthole/ext/channel.hpp"
#include "porthole/ext/websocket.hpp"

#include <string>
#include <vector>

PORTHOLE_NAMESPACE_BEGIN

/// What a socket is sent of a channel.
struct SubscribeOptions {
    /// As in events(); none: all keys.
    std::vector<std::string> topics;
    /// Messages are the key, a line feed, and the value; else the value alone.
    bool has_key = true;
    /// The value alone, as a binary message whatever it holds: for values that are no text.
    bool is_binary = false;
    /// First what is kept; else only what is published from now on.
    bool has_snapshot = true;
};

/// Sends the channel's values as messages, as text where they are UTF-8 unless the options say
/// otherwise. Called again for the same channel it begins anew, with other topics perhaps. A closed
/// channel ends it and leaves the socket open. A value that is larger than the socket's queue
/// (WebSocketRoute::max_queue_bytes) is left out. Ticking thread only.
void subscribe(WebSocket& socket, const Channel& channel, const SubscribeOptions& options = {});
/// True when it was subscribed.
bool unsubscribe(WebSocket& socket, const Channel& channel);

PORTHOLE_NAMESPACE_END
