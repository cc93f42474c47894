// SPDX-License-Identifier: MIT
#pragma once

// Between a channel's store, which any thread may fill, and its subscribers, which live on the
// ticking threads. A subscriber asks for its next value when it has room for one; only one that has
// asked in vain waits, and only servers with somebody waiting are told of a new value, by one
// letter however many there are.

#include "porthole/base/clock.hpp"
#include "porthole/base/intrusive_list.hpp"
#include "porthole/ext/channel.hpp"
#include "porthole/ext/channel_store.hpp"
#include "porthole/server/task_poster.hpp"
#include "porthole/server/timer.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

class ChannelState;
class ChannelSubscription;

/// Who is told. Both calls come from the ticking thread, from outside of any connection's turn: a
/// subscriber makes a note, and asks for its value in a turn of its own.
class ChannelSubscriber {
public:
    /// What next() did not have is there, or the channel was closed.
    virtual void wake() = 0;
    /// A heartbeat is due. True: wake() is wanted for it.
    virtual bool on_beat() { return false; }

protected:
    ~ChannelSubscriber() = default;
};

struct WaitingTag {};

/// A channel's presence in one server: who waits there. Ticking thread only, but for what the
/// channel's mutex guards.
class ChannelPort : public std::enable_shared_from_this<ChannelPort> {
public:
    ChannelPort(Server& server, std::chrono::milliseconds heartbeat);

    void post_letter();
    void begin_beats();

    const TaskPoster poster;
    IntrusiveList<ChannelSubscription, WaitingTag> waiting;
    std::size_t subscribers = 0;
    bool is_waited_on = false; ///< under the channel's mutex: a value is worth a letter

private:
    /// Subscribers that are woken in one unit of the tick's budget.
    static constexpr std::size_t unit = 256;

    void wake_due();
    void arm(Duration delay);
    void beat();

    Server& server_;
    const Duration heartbeat_;
    IntrusiveList<ChannelSubscription, WaitingTag> due_; ///< to be woken, unit by unit
    bool is_continued_ = false;                          ///< a letter for the rest is under way
    TimerHandle timer_;
    IntrusiveList<ChannelSubscription, WaitingTag> beating_; ///< wait too; a heartbeat is due
};

/// What a channel's handles and its subscribers share.
class ChannelState {
public:
    explicit ChannelState(const ChannelOptions& options);

    const ChannelOptions& options() const noexcept { return options_; }
    /// Sets the numbers of this channel's values apart from those of another run.
    const std::string& epoch() const noexcept { return epoch_; }

    // Any thread:
    bool publish(std::string_view key, std::string_view bytes);
    bool remove(std::string_view key);
    void close() noexcept;
    bool is_open() const;
    ChannelStore::Value find(std::string_view key) const;

    std::atomic<std::size_t> subscribers{0};
    std::atomic<std::uint64_t> skipped{0};

private:
    friend class ChannelSubscription;

    void tell();

    const ChannelOptions options_;
    std::string epoch_;
    mutable std::mutex mutex_;
    ChannelStore store_;                              ///< under the mutex
    std::vector<std::shared_ptr<ChannelPort>> ports_; ///< under the mutex
    bool is_closed_ = false;                          ///< under the mutex
};

/// The last handle closes the channel; subscribers share the state only.
struct ChannelOwner {
    explicit ChannelOwner(const ChannelOptions& options)
        : state(std::make_shared<ChannelState>(options)) {}
    ChannelOwner(const ChannelOwner&) = delete;
    ChannelOwner& operator=(const ChannelOwner&) = delete;
    ~ChannelOwner() { state->close(); }

    const std::shared_ptr<ChannelState> state;
};

/// Which topics, and from where on.
struct ChannelStart {
    std::shared_ptr<const ChannelTopics> topics; ///< null: all keys
    /// The id of the last event that was received; empty, or one of another run: a newcomer.
    std::string_view last_id;
    bool has_snapshot = true; ///< for newcomers
};

/// One subscriber's place in a channel. Ticking thread only; ends with the subscriber, and before
/// the server does.
class ChannelSubscription : public ListLink<WaitingTag> {
public:
    ChannelSubscription(
        std::shared_ptr<ChannelState> state, Server& server, const ChannelStart& start,
        ChannelSubscriber& subscriber);
    ~ChannelSubscription();

    struct Next {
        ChannelStore::Value value; ///< null: there is none now
        std::uint64_t skipped = 0; ///< values in front of it that were lost
        bool is_over = false;      ///< and none will come
    };
    /// The oldest value that this subscriber has not seen. Without one it waits: wake() is called
    /// once, when there may be.
    Next next() { return take(false); }
    /// The newest instead; those in between are left out.
    Next newest() { return take(true); }

    ChannelSubscriber& subscriber() noexcept { return subscriber_; }
    const ChannelState& state() const noexcept { return *state_; }

private:
    Next take(bool is_newest);

    const std::shared_ptr<ChannelState> state_;
    ChannelSubscriber& subscriber_;
    std::shared_ptr<ChannelPort> port_;
    std::shared_ptr<const ChannelTopics> topics_;
    std::uint64_t seen_ = 0; ///< the number of the last value
};

} // namespace detail

PORTHOLE_NAMESPACE_END
