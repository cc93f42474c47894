// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/base/ascii.hpp"
#include "porthole/ext/channel_subscription.hpp"
#include "porthole/os/random.hpp"
#include "porthole/server/server.hpp"

#include <algorithm>
#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN ChannelPort::ChannelPort(Server& server, std::chrono::milliseconds heartbeat)
    : poster(server.poster()), server_(server), heartbeat_(to_duration(heartbeat)) {}

PORTHOLE_FN void ChannelPort::post_letter() {
    poster.post([weak = weak_from_this()] {
        if (const std::shared_ptr<ChannelPort> port = weak.lock()) {
            port->due_.splice_back(port->waiting);
            port->due_.splice_back(port->beating_);
            port->wake_due();
        }
    });
}

/// Some now, and the rest in later letters. Those who wait again meanwhile are not among them.
PORTHOLE_FN void ChannelPort::wake_due() {
    for (std::size_t i = 0; i < unit; ++i) {
        ChannelSubscription* const first = due_.pop_front();
        if (first == nullptr) {
            return;
        }
        first->subscriber().wake();
    }
    if (due_.is_empty() || is_continued_) {
        return;
    }
    poster.post([weak = weak_from_this()] {
        if (const std::shared_ptr<ChannelPort> port = weak.lock()) {
            port->is_continued_ = false;
            port->wake_due();
        }
    });
    is_continued_ = true;
}

PORTHOLE_FN void ChannelPort::begin_beats() {
    if (heartbeat_ > Duration::zero() && !timer_.is_pending()) {
        arm(heartbeat_);
    }
}

PORTHOLE_FN void ChannelPort::arm(Duration delay) {
    timer_ = server_.call_after(delay, [weak = weak_from_this()] {
        if (const std::shared_ptr<ChannelPort> port = weak.lock()) {
            port->beat();
        }
    });
}

/// Those who wait go by once: back to the waiting, or to a turn of their own.
PORTHOLE_FN void ChannelPort::beat() {
    if (beating_.is_empty()) {
        beating_.splice_back(waiting);
    }
    for (std::size_t i = 0; i < unit; ++i) {
        ChannelSubscription* const first = beating_.pop_front();
        if (first == nullptr) {
            break;
        }
        if (first->subscriber().on_beat()) {
            first->subscriber().wake();
        } else {
            waiting.push_back(*first);
        }
    }
    arm(beating_.is_empty() ? heartbeat_ : Duration::zero());
}

/// No secret: two runs of a program must not have the same one by chance.
inline std::string make_epoch() {
    constexpr std::size_t size = 6;
    constexpr std::string_view digits = "0123456789abcdef";
    char bytes[size] = {};
    if (!fill_random(bytes, size)) {
        const auto now = std::chrono::steady_clock::now().time_since_epoch().count();
        for (std::size_t i = 0; i < size; ++i) {
            bytes[i] = static_cast<char>((now >> (i * 8)) & 0xff);
        }
    }
    std::string epoch;
    for (const char byte : bytes) {
        const auto value = static_cast<unsigned char>(byte);
        epoch += digits[value >> 4];
        epoch += digits[value & 0xf];
    }
    return epoch;
}

PORTHOLE_FN ChannelState::ChannelState(const ChannelOptions& options)
    : options_(options), epoch_(make_epoch()), store_(options) {}

PORTHOLE_FN bool ChannelState::publish(std::string_view key, std::string_view bytes) {
    const auto is_control = [](char c) {
        return static_cast<unsigned char>(c) < ' ' || c == '\x7f';
    };
    if (key.size() > options_.max_key_bytes || bytes.size() > options_.max_value_bytes
        || std::find_if(key.begin(), key.end(), is_control) != key.end()) {
        return false;
    }
    // Made, and what it replaces destroyed, outside of the lock.
    auto value = std::make_shared<ChannelValue>(key, bytes);
    ChannelStore::Values dropped;
    const std::lock_guard<std::mutex> lock(mutex_);
    if (is_closed_ || !store_.put(value, dropped)) {
        return false;
    }
    tell();
    return true;
}

PORTHOLE_FN void ChannelState::tell() {
    for (const std::shared_ptr<ChannelPort>& port : ports_) {
        if (port->is_waited_on) {
            port->post_letter();
            port->is_waited_on = false;
        }
    }
}

PORTHOLE_FN bool ChannelState::remove(std::string_view key) {
    ChannelStore::Values dropped;
    const std::lock_guard<std::mutex> lock(mutex_);
    return store_.remove(key, dropped);
}

PORTHOLE_FN void ChannelState::close() noexcept {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (is_closed_) {
        return;
    }
    is_closed_ = true;
    PORTHOLE_TRY {
        tell();
    }
    PORTHOLE_CATCH_ALL {} // they notice at their next heartbeat
}

PORTHOLE_FN bool ChannelState::is_open() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return !is_closed_;
}

PORTHOLE_FN ChannelStore::Value ChannelState::find(std::string_view key) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return store_.find(key);
}

/// The number in an id of this epoch, or nothing.
inline std::optional<std::uint64_t>
number_in_id(std::string_view id, std::string_view epoch) noexcept {
    if (id.substr(0, epoch.size()) != epoch || id.substr(epoch.size(), 1) != ".") {
        return std::nullopt;
    }
    return ascii::parse_decimal(id.substr(epoch.size() + 1));
}

PORTHOLE_FN ChannelSubscription::ChannelSubscription(
    std::shared_ptr<ChannelState> state, Server& server, const ChannelStart& start,
    ChannelSubscriber& subscriber)
    : state_(std::move(state)), subscriber_(subscriber), topics_(start.topics) {
    const std::optional<std::uint64_t> seen = number_in_id(start.last_id, state_->epoch());
    const TaskPoster poster = server.poster();
    {
        const std::lock_guard<std::mutex> lock(state_->mutex_);
        const ChannelStore& store = state_->store_;
        if (seen && *seen <= store.last_number()) {
            seen_ = *seen;
        } else {
            seen_ = start.has_snapshot ? store.lost_up_to() : store.last_number();
        }
        auto& ports = state_->ports_;
        const auto port = std::find_if(ports.begin(), ports.end(), [&poster](const auto& other) {
            return other->poster == poster;
        });
        if (port != ports.end()) {
            port_ = *port;
        } else {
            port_ = std::make_shared<ChannelPort>(server, state_->options().heartbeat);
            ports.push_back(port_);
        }
    }
    port_->begin_beats();
    ++port_->subscribers;
    ++state_->subscribers;
}

PORTHOLE_FN ChannelSubscription::~ChannelSubscription() {
    --state_->subscribers;
    if (--port_->subscribers != 0) {
        return;
    }
    const std::lock_guard<std::mutex> lock(state_->mutex_);
    auto& ports = state_->ports_;
    ports.erase(std::remove(ports.begin(), ports.end(), port_), ports.end());
}

PORTHOLE_FN ChannelSubscription::Next ChannelSubscription::take(bool is_newest) {
    Next next;
    {
        const std::lock_guard<std::mutex> lock(state_->mutex_);
        const ChannelStore& store = state_->store_;
        next.value =
            is_newest ? store.newest(seen_, topics_.get()) : store.next(seen_, topics_.get());
        if (!is_newest && seen_ < store.lost_up_to()) {
            next.skipped = store.lost_up_to() - seen_;
        }
        if (next.value) {
            seen_ = next.value->number();
        } else {
            seen_ = store.last_number(); // nothing up to here was for this one
            next.is_over = state_->is_closed_;
            port_->is_waited_on = port_->is_waited_on || !next.is_over;
        }
    }
    if (next.skipped != 0) {
        state_->skipped += next.skipped;
    }
    if (!next.value && !next.is_over) {
        port_->waiting.push_back(*this);
    }
    return next;
}

} // namespace detail

PORTHOLE_FN Channel::Channel(const ChannelOptions& options)
    : owner_(std::make_shared<detail::ChannelOwner>(options)) {}

PORTHOLE_FN bool Channel::publish(std::string_view key, std::string_view bytes) {
    return owner_->state->publish(key, bytes);
}

PORTHOLE_FN bool Channel::remove(std::string_view key) {
    return owner_->state->remove(key);
}

PORTHOLE_FN void Channel::close() {
    owner_->state->close();
}

PORTHOLE_FN bool Channel::is_open() const {
    return owner_->state->is_open();
}

PORTHOLE_FN std::optional<std::string> Channel::value(std::string_view key) const {
    const auto found = owner_->state->find(key);
    return found ? std::optional<std::string>(found->bytes()) : std::nullopt;
}

PORTHOLE_FN std::size_t Channel::subscribers() const noexcept {
    return owner_->state->subscribers;
}

PORTHOLE_FN std::uint64_t Channel::skipped() const noexcept {
    return owner_->state->skipped;
}

PORTHOLE_FN const std::shared_ptr<detail::ChannelState>& Channel::state() const noexcept {
    return owner_->state;
}

PORTHOLE_NAMESPACE_END
