// SPDX-License-Identifier: MIT
#pragma once

// What a program shows while it runs: values under keys, published from any thread and read by any
// number of browsers, each at its own pace.
//
//     porthole::Channel channel;
//     server.get("/live", porthole::events(channel));      // new EventSource("/live")
//     channel.publish("frame", R"({"fps":60})");           // addEventListener("frame", ...)
//
// A value is kept once, encoded once, and shared by all who are sent it. A slow subscriber delays
// nobody: what it missed of a key is left out, and it goes on with the newest.

#include "porthole/http/response.hpp"
#include "porthole/server/handler.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

PORTHOLE_NAMESPACE_BEGIN

/// How a channel keeps what is published.
struct ChannelOptions {
    enum class Keep : unsigned char {
        newest, ///< one value for each key: what a newer one replaces, nobody waits for
        all,    ///< every value, until max_values or max_total_bytes push the oldest out
    };
    Keep keep = Keep::newest;
    /// A new subscriber is first sent what is kept; else only what is published from then on.
    bool has_snapshot = true;
    /// With Keep::newest; a key more is refused.
    std::size_t max_keys = 1024;
    /// Longer keys are refused; so are keys with control characters.
    std::size_t max_key_bytes = 256;
    std::size_t max_value_bytes = std::size_t{1024} * 1024;
    /// All that is kept, keys included.
    std::size_t max_total_bytes = std::size_t{16} * 1024 * 1024;
    /// With Keep::all.
    std::size_t max_values = 1024;
    /// That one subscriber may name; more is answered by 400.
    std::size_t max_topics = 32;
    /// Subscribers that were sent nothing for this long get a comment, which keeps proxies from
    /// closing the connection; zero: never.
    std::chrono::milliseconds heartbeat{15'000};
    /// How long browsers wait before they connect again.
    std::optional<std::chrono::milliseconds> retry;
};

namespace detail {

class ChannelState;
struct ChannelOwner;

} // namespace detail

/// A handle: cheap to copy, all copies are the same channel, which is closed with the last one; a
/// route holds one. Servers may be several, each on its own thread, and may come and go before and
/// after it.
class Channel {
public:
    Channel() : Channel(ChannelOptions()) {}
    explicit Channel(const ChannelOptions& options);
    Channel(const Channel&) = default;
    Channel& operator=(const Channel&) = default;
    ~Channel() = default;

    /// Any thread. Keeps a copy and tells those who wait for one. False, and nothing has changed,
    /// when one of the ChannelOptions' bounds is passed or the channel is closed. The key becomes
    /// the event's type; with an empty key that is "message".
    bool publish(std::string_view key, std::string_view bytes);
    template <class Bytes, std::enable_if_t<detail::is_byte_container<Bytes>, int> = 0>
    bool publish(std::string_view key, const Bytes& bytes) {
        return publish(key, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    }
    /// Any thread. Newcomers are not sent it any more; who has it already is not told. True when
    /// there was one. With Keep::all it looks at every value.
    bool remove(std::string_view key);
    /// Any thread. Subscribers are sent what is still new to them, and then the end; those who come
    /// later get 204, which tells a browser to stop connecting.
    void close();

    /// Any thread.
    bool is_open() const;
    /// The newest value of that key. Any thread.
    std::optional<std::string> value(std::string_view key) const;
    /// How many listen now. Any thread.
    std::size_t subscribers() const noexcept;
    /// How many values slow subscribers missed because Keep::all had to let them go, those of
    /// topics that they did not ask for included. Any thread.
    std::uint64_t skipped() const noexcept;

    /// For what brings the values to subscribers in other ways.
    const std::shared_ptr<detail::ChannelState>& state() const noexcept;

private:
    std::shared_ptr<detail::ChannelOwner> owner_;
};

/// Sends a channel as Server-Sent Events, a route for GET: the key is the event's type. A client
/// chooses keys by topics, `?topic=a&topic=b`: a key belongs to a topic that it equals, or that it
/// begins with when a '/' follows. `topics`: these for everyone, whatever the query says. A browser
/// that connects again is sent what it has missed, as far as it is kept.
Handler events(Channel channel, std::vector<std::string> topics = {});

/// Which of a channel's values are shown as images.
struct ImageOptions {
    /// As in events(); none: the topics in the query, and without any, all keys.
    std::vector<std::string> topics;
};

/// Sends a channel as images that replace each other (multipart/x-mixed-replace), a route for GET
/// and the src of an <img>. `type` is that of each value: "image/jpeg". A slow client is sent the
/// newest image when it has taken the one before, and none of those in between.
Handler images(Channel channel, std::string_view type, ImageOptions options = {});

PORTHOLE_NAMESPACE_END
