// SPDX-License-Identifier: MIT
#pragma once

// Messages of one WebSocket that wait until its peer has taken what came before. A payload that has
// an owner is not copied: many sockets may share it, and what a message was received in may wait to
// be sent back. What has not begun to leave can still be dropped, or replaced by a newer message
// with the same key.

#include "porthole/base/config.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

PORTHOLE_NAMESPACE_BEGIN

/// What happens to a message that does not fit the queue of a slow client.
enum class WebSocketPolicy : unsigned char {
    refuse,      ///< send() returns false
    drop_oldest, ///< messages that wait longest make room
    coalesce,    ///< a message replaces a waiting one with the same key; without room: refuse
    close,       ///< the connection is given up with 1008
};

namespace detail {

/// A frame as it is sent. Without an owner its payload is valid for the call only.
struct OutFrame {
    std::string_view head;
    std::string_view payload;
    std::shared_ptr<const void> owner; ///< keeps the payload where it is, unchanged

    std::size_t size() const noexcept { return head.size() + payload.size(); }
    void drop_front(std::size_t size) noexcept;
};

class Outbox {
public:
    bool is_empty() const noexcept { return count_ == 0; }
    /// What waits, and what it costs to keep it.
    std::size_t bytes() const noexcept { return bytes_; }
    std::size_t cost() const noexcept { return bytes_ + count_ * entry_cost; }

    /// What has not left of the oldest frame; there is one. Valid until the next change.
    OutFrame front() const;
    bool has_begun() const noexcept;
    void consume(std::size_t size);

    /// How a frame waits.
    struct Place {
        std::size_t sent = 0;   ///< so many of its bytes have left already
        bool is_pinned = false; ///< it has to be sent: later ones depend on it
        bool is_keyed = false;  ///< others with this key may take its place
        std::string_view key;
    };
    void push(const OutFrame& frame, const Place& place);
    /// The size of the message with that key that waits and has not begun; 0 when there is none.
    std::size_t find(std::string_view key) const;
    /// Puts the frame in its place; find() has seen one.
    void replace(std::string_view key, const OutFrame& frame);
    /// Drops the oldest message that has not begun and is not pinned. False when there is none.
    bool drop_oldest();
    void clear() noexcept;

    /// What a waiting message costs besides its bytes.
    static constexpr std::size_t entry_cost = 128;
    /// A payload of so much is copied to where it can be shared, so that it is copied only once.
    static constexpr std::size_t least_shared = 16 * 1024;

private:
    struct Entry {
        std::string bytes; ///< the head, and a payload without an owner
        std::shared_ptr<const void> owner;
        std::string_view payload; ///< the owner's
        std::string key;
        bool has_begun = false; ///< the first of its bytes have left before it came here
        bool is_pinned = false;
        bool is_keyed = false;
        bool is_dropped = false;

        std::size_t size() const noexcept { return bytes.size() + payload.size(); }
    };

    static void fill(Entry& entry, const OutFrame& frame);
    void forget_key(std::uint64_t number);
    void pop();
    void move_up_front();

    std::deque<Entry> entries_;
    std::unordered_map<std::string, std::uint64_t> keys_; ///< the number of each key's entry
    std::uint64_t first_number_ = 0;
    std::uint64_t next_drop_ = 0;
    std::size_t sent_ = 0; ///< of the front
    std::size_t bytes_ = 0;
    std::size_t count_ = 0; ///< entries that are not dropped
};

} // namespace detail

PORTHOLE_NAMESPACE_END
