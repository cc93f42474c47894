// SPDX-License-Identifier: MIT
#pragma once

// What owns a connection after 101 Switching Protocols: the seam that WebSocket is built on.

#include "porthole/base/clock.hpp"

#include <cstddef>
#include <memory>
#include <string_view>

PORTHOLE_NAMESPACE_BEGIN

/// The owner's side of the connection. Valid from on_open() until on_close() returns; ticking
/// thread only.
class UpgradeLink {
public:
    /// Queues bytes; they leave within this tick when the peer takes them, and cost the connection
    /// no memory when that is at once and they are sent from inside one of the owner's own
    /// callbacks. False, and nothing is queued, when Limits::max_queue_bytes would be passed or the
    /// connection is closing.
    virtual bool send(std::string_view bytes) = 0;
    /// Likewise without a copy: `owner` keeps the bytes where they are, unchanged, until they have
    /// left. They do not count against Limits::max_queue_bytes, being the owner's memory. False
    /// when a link can only copy, and for what is small: then send() is the way.
    virtual bool send_shared(const std::shared_ptr<const void>& owner, std::string_view bytes) {
        static_cast<void>(owner);
        static_cast<void>(bytes);
        return false;
    }
    /// What the peer has not taken yet.
    virtual std::size_t queued_bytes() const noexcept = 0;
    /// Stops and resumes on_data(): back-pressure to the peer.
    virtual void pause_reading(bool is_paused) = 0;
    /// Closes once all that is queued has left, within Limits::write_stall_timeout.
    virtual void close() = 0;
    /// Closes at once.
    virtual void abort() = 0;
    /// on_deadline() is called when it passes; never means never.
    virtual void set_deadline(TimePoint deadline) = 0;
    /// Asks for on_wake(), in a turn of the connection's own: work that concerns many connections
    /// is so cut into units of the budget.
    virtual void wake() = 0;
    /// The server's time, which stands still while the program does.
    virtual TimePoint now() const noexcept = 0;
    /// False when the tick's budget is spent: what can wait had better wait for another turn.
    virtual bool has_time() noexcept = 0;
    virtual std::string_view peer() const noexcept = 0;

protected:
    ~UpgradeLink() = default;
};

/// A protocol that takes a connection over. The connection shares its ownership; all calls come
/// from inside tick().
class Upgrade {
public:
    virtual ~Upgrade() = default;
    /// Once, behind the 101.
    virtual void on_open(UpgradeLink& link) = 0;
    /// Bytes of the peer, valid for the call; all of them count as taken. The owner may change them
    /// in place.
    virtual void on_data(char* bytes, std::size_t size) = 0;
    /// Where the next bytes are to be read, with room for `size`; null, as here, for a buffer of
    /// the server's, which several connections share. Followed by on_data() with bytes that lie
    /// there, unless nothing has come.
    virtual char* place_for_input(std::size_t size) {
        static_cast<void>(size);
        return nullptr;
    }
    /// The queue has become empty after it had not been.
    virtual void on_drain() {}
    virtual void on_deadline() {}
    /// UpgradeLink::wake() was called; several calls may become one.
    virtual void on_wake() {}
    /// The server stops: say goodbye and UpgradeLink::close(), within Limits::stop_grace. Without
    /// this the link is closed at once.
    virtual void on_stop(UpgradeLink& link) { link.close(); }
    /// The peer has finished sending. The connection stays open for sending until the owner closes
    /// it.
    virtual void on_end() = 0;
    /// Once, whatever happened; the link is gone when it returns.
    virtual void on_close() = 0;
};

PORTHOLE_NAMESPACE_END
