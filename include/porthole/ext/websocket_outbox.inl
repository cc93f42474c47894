// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/ext/websocket_outbox.hpp"

#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN std::string_view Outbox::front() const noexcept {
    return entries_.front().bytes().substr(sent_);
}

PORTHOLE_FN bool Outbox::has_begun() const noexcept {
    return sent_ != 0;
}

PORTHOLE_FN void Outbox::consume(std::size_t size) {
    sent_ += size;
    bytes_ -= size;
    if (sent_ == entries_.front().bytes().size()) {
        --count_;
        forget_key(first_number_);
        pop();
    }
}

/// The front, and what was dropped behind it.
PORTHOLE_FN void Outbox::pop() {
    sent_ = 0;
    do {
        entries_.pop_front();
        ++first_number_;
    } while (!entries_.empty() && entries_.front().is_dropped);
}

PORTHOLE_FN void Outbox::fill(Entry& entry, const OutFrame& frame) {
    entry.shared = frame.shared;
    entry.owned.clear();
    if (!frame.shared) {
        entry.owned.reserve(frame.size());
        entry.owned.append(frame.head).append(frame.payload);
    }
}

PORTHOLE_FN void Outbox::forget_key(std::uint64_t number) {
    const Entry& entry = entries_[static_cast<std::size_t>(number - first_number_)];
    if (!entry.is_keyed) {
        return;
    }
    const auto place = keys_.find(entry.key);
    if (place != keys_.end() && place->second == number) {
        keys_.erase(place); // else a newer one has the key
    }
}

PORTHOLE_FN void Outbox::push(const OutFrame& frame, const Place& place) {
    if (place.sent >= frame.size()) {
        return;
    }
    Entry& entry = entries_.emplace_back();
    fill(entry, frame);
    bytes_ += frame.size() - place.sent;
    ++count_;
    if (entries_.size() == 1) {
        sent_ = place.sent;
    }
    entry.is_pinned = place.is_pinned || place.sent != 0;
    entry.is_keyed = place.is_keyed && !entry.is_pinned;
    if (entry.is_keyed) {
        entry.key.assign(place.key);
        keys_[entry.key] = first_number_ + entries_.size() - 1;
    }
}

PORTHOLE_FN std::size_t Outbox::find(std::string_view key) const {
    const auto place = keys_.find(std::string(key));
    if (place == keys_.end() || (place->second == first_number_ && has_begun())) {
        return 0;
    }
    return entries_[static_cast<std::size_t>(place->second - first_number_)].bytes().size();
}

PORTHOLE_FN void Outbox::replace(std::string_view key, const OutFrame& frame) {
    const auto place = keys_.find(std::string(key));
    if (place == keys_.end()) {
        return;
    }
    Entry& entry = entries_[static_cast<std::size_t>(place->second - first_number_)];
    bytes_ -= entry.bytes().size();
    fill(entry, frame);
    bytes_ += entry.bytes().size();
}

/// The front may stay for long while all behind it is dropped: what was dropped takes no room.
PORTHOLE_FN void Outbox::move_up_front() {
    while (entries_.size() > 1 && entries_[1].is_dropped) {
        Entry& front = entries_.front();
        const auto place = front.is_keyed ? keys_.find(front.key) : keys_.end();
        if (place != keys_.end() && place->second == first_number_) {
            ++place->second;
        }
        entries_[1] = std::move(front);
        entries_.pop_front();
        ++first_number_;
    }
}

PORTHOLE_FN bool Outbox::drop_oldest() {
    const std::uint64_t first = has_begun() ? first_number_ + 1 : first_number_;
    next_drop_ = next_drop_ < first ? first : next_drop_;
    // What is in front of next_drop_ has been dropped or stays: nobody looks at it twice.
    while (next_drop_ - first_number_ < entries_.size()) {
        const std::uint64_t number = next_drop_++;
        Entry& entry = entries_[static_cast<std::size_t>(number - first_number_)];
        if (entry.is_pinned) {
            continue;
        }
        forget_key(number);
        bytes_ -= entry.bytes().size();
        --count_;
        entry = Entry();
        entry.is_dropped = true;
        if (number == first_number_) {
            pop();
        } else {
            move_up_front();
        }
        return true;
    }
    return false;
}

PORTHOLE_FN void Outbox::clear() noexcept {
    entries_.clear();
    keys_.clear();
    sent_ = bytes_ = count_ = 0;
}

} // namespace detail

PORTHOLE_NAMESPACE_END
