// SPDX-License-Identifier: MIT
#pragma once

// poll(), and WSAPoll() on Windows: everywhere, but each call looks at all that is watched. The
// array for the system lives as long as the poller, so a poll() allocates nothing. Before Windows
// 10 2004 WSAPoll() said nothing of a connect that failed; who connects has a deadline anyway, and
// Connector looks for itself when it passes.

#include "porthole/os/platform.inl"
#include "porthole/os/poller.hpp"
#include "porthole/os/socket.inl"

#include <unordered_map>
#include <vector>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

#if defined(POLLRDHUP)
inline constexpr short poll_peer_closed = POLLRDHUP;
#else
inline constexpr short poll_peer_closed = 0; // the read that meets the end tells
#endif

class PollPoller final : public Poller {
public:
    PORTHOLE_FN Error add(NativeHandle handle, void* owner, Interest interest) override;
    PORTHOLE_FN Error modify(NativeHandle handle, void* owner, Interest interest) override;
    PORTHOLE_FN void remove(NativeHandle handle) noexcept override;
    PORTHOLE_FN std::size_t poll(Duration timeout, Event* events) noexcept override;
    NativeHandle native_handle() const noexcept override { return invalid_handle; }

private:
    static short events_for(Interest interest) noexcept;
    static Readiness readiness_of(const pollfd& entry) noexcept;

    std::vector<pollfd> entries_;
    std::vector<void*> owners_; ///< beside entries_, index by index
    std::unordered_map<NativeHandle, std::size_t> index_;
    std::size_t start_ = 0; ///< where the next poll() begins to look
};

PORTHOLE_FN short PollPoller::events_for(Interest interest) noexcept {
    int events = interest.hangup ? poll_peer_closed : 0;
    events |= interest.read ? POLLIN : 0;
    events |= interest.write ? POLLOUT : 0;
    return static_cast<short>(events);
}

/// WSAPoll() reports the end of a stream as a hangup alone, and so does poll() for a pipe; whoever
/// wants to read has to be told that the end is there.
PORTHOLE_FN Readiness PollPoller::readiness_of(const pollfd& entry) noexcept {
    const int happened = entry.revents;
    const bool is_reader = (entry.events & POLLIN) != 0;
    Readiness readiness;
    readiness.read = (happened & POLLIN) != 0 || (is_reader && (happened & POLLHUP) != 0);
    readiness.write = (happened & POLLOUT) != 0;
    readiness.error = (happened & (POLLERR | POLLNVAL)) != 0;
    readiness.hangup = readiness.error || (happened & (POLLHUP | poll_peer_closed)) != 0;
    return readiness;
}

PORTHOLE_FN Error PollPoller::add(NativeHandle handle, void* owner, Interest interest) {
    if (handle == invalid_handle || !index_.emplace(handle, entries_.size()).second) {
        return Error(
            ErrorCode::misuse, "poll", std::to_string(handle),
            "the descriptor is not open or is watched already");
    }
    pollfd entry{};
    entry.fd = native(handle);
    entry.events = events_for(interest);
    entries_.push_back(entry);
    owners_.push_back(owner);
    return {};
}

PORTHOLE_FN Error PollPoller::modify(NativeHandle handle, void* owner, Interest interest) {
    const auto found = index_.find(handle);
    if (found == index_.end()) {
        return Error(
            ErrorCode::misuse, "poll", std::to_string(handle), "the descriptor is not watched");
    }
    entries_[found->second].events = events_for(interest);
    owners_[found->second] = owner;
    return {};
}

/// The last entry takes the place of the one that goes.
PORTHOLE_FN void PollPoller::remove(NativeHandle handle) noexcept {
    const auto found = index_.find(handle);
    if (found == index_.end()) {
        return;
    }
    const std::size_t hole = found->second;
    index_.erase(found);
    if (hole + 1 != entries_.size()) {
        entries_[hole] = entries_.back();
        owners_[hole] = owners_.back();
        const auto moved = index_.find(static_cast<NativeHandle>(entries_[hole].fd));
        moved->second = hole;
    }
    entries_.pop_back();
    owners_.pop_back();
}

PORTHOLE_FN std::size_t PollPoller::poll(Duration timeout, Event* events) noexcept {
    const int answer = poll_handles(entries_.data(), entries_.size(), whole_milliseconds(timeout));
    std::size_t ready = answer > 0 ? static_cast<std::size_t>(answer) : 0;
    ready = ready < max_events ? ready : max_events;
    std::size_t filled = 0;
    std::size_t at = start_ < entries_.size() ? start_ : 0;
    for (std::size_t looked = 0; filled < ready && looked < entries_.size(); ++looked) {
        if (entries_[at].revents != 0) {
            events[filled].owner = owners_[at];
            events[filled].readiness = readiness_of(entries_[at]);
            ++filled;
        }
        at = at + 1 < entries_.size() ? at + 1 : 0;
    }
    start_ = at; // those that did not fit this time come first next time
    return filled;
}

} // namespace detail

PORTHOLE_NAMESPACE_END
