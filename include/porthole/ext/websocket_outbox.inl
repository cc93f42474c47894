// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/ext/websocket_outbox.hpp"

#include <algorithm>
#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN void OutFrame::drop_front(std::size_t size) noexcept {
    const std::size_t of_head = (std::min)(size, head.size());
    head.remove_prefix(of_head);
    payload.remove_prefix((std::min)(size - of_head, payload.size()));
}

PORTHOLE_FN OutFrame Outbox::front() const {
    const Entry& entry = entries_.front();
    OutFrame frame{entry.bytes, entry.payload, entry.owner};
    frame.drop_front(sent_);
    return frame;
}

PORTHOLE_FN bool Outbox::has_begun() const noexcept {
    return sent_ != 0 || (!entries_.empty() && entries_.front().has_begun);
}

PORTHOLE_FN void Outbox::consume(std::size_t size) {
    sent_ += size;
    bytes_ -= size;
    if (sent_ == entries_.front().size()) {
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
    entry.owner = frame.owner;
    entry.payload = frame.payload;
    entry.bytes.assign(frame.head);
    if (frame.owner) {
        return;
    }
    if (frame.payload.size() < least_shared) {
        entry.bytes.append(frame.payload);
        entry.payload = {};
        return;
    }
    const std::shared_ptr<char> copy(new char[frame.payload.size()], std::default_delete<char[]>());
    std::copy(frame.payload.begin(), frame.payload.end(), copy.get());
    entry.payload = {copy.get(), frame.payload.size()};
    entry.owner = copy;
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
    OutFrame rest = frame;
    rest.drop_front(place.sent);
    Entry& entry = entries_.emplace_back();
    fill(entry, rest);
    bytes_ += rest.size();
    ++count_;
    entry.has_begun = place.sent != 0;
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
    return entries_[static_cast<std::size_t>(place->second - first_number_)].size();
}

PORTHOLE_FN void Outbox::replace(std::string_view key, const OutFrame& frame) {
    const auto place = keys_.find(std::string(key));
    if (place == keys_.end()) {
        return;
    }
    Entry& entry = entries_[static_cast<std::size_t>(place->second - first_number_)];
    bytes_ -= entry.size();
    fill(entry, frame);
    bytes_ += entry.size();
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
        bytes_ -= entry.size();
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
