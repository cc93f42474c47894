// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/ext/channel_store.hpp"
#include "porthole/http/server_sent_event.hpp"

#include <algorithm>
#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN ChannelValue::ChannelValue(std::string_view key, std::string_view bytes)
    : key_(key), bytes_(bytes), has_line_ends_(
                                    bytes.find('\n') != std::string_view::npos
                                    || bytes.find('\r') != std::string_view::npos) {}

PORTHOLE_FN ChannelValue::~ChannelValue() {
    delete event_.load();
    for (const auto& frame : frames_) {
        delete frame.load();
    }
}

/// Whoever comes second with it uses the first one's.
template <class T>
const T& keep_first(std::atomic<const T*>& place, std::unique_ptr<const T> made) noexcept {
    const T* kept = nullptr;
    if (place.compare_exchange_strong(kept, made.get(), std::memory_order_acq_rel)) {
        kept = made.release();
    }
    return *kept;
}

PORTHOLE_FN ChannelValue::Frame
ChannelValue::frame(std::size_t form, Frame (*make)(const ChannelValue&, std::size_t form)) const {
    if (const Frame* const made = frames_[form].load(std::memory_order_acquire)) {
        return *made;
    }
    return keep_first(frames_[form], std::make_unique<const Frame>(make(*this, form)));
}

PORTHOLE_FN ChannelValue::Parts ChannelValue::event(std::string_view epoch) const {
    const std::string* made = event_.load(std::memory_order_acquire);
    if (made == nullptr) {
        std::string id(epoch);
        id.append(1, '.').append(std::to_string(number_));
        ServerSentEvent event;
        event.id = id;
        event.event = key_;
        event.data = has_line_ends_ ? std::string_view(bytes_) : std::string_view();
        auto text = std::make_unique<std::string>();
        append_event(*text, event);
        if (!has_line_ends_) {
            text->resize(text->size() - 2); // the bytes stand before the two line ends
        }
        made = &keep_first(event_, std::unique_ptr<const std::string>(std::move(text)));
    }
    if (has_line_ends_) {
        return {*made, {}, {}};
    }
    return {*made, bytes_, "\n\n"};
}

PORTHOLE_FN bool ChannelTopics::has(std::string_view key) const noexcept {
    for (const std::string& name : names_) {
        const bool begins = key.substr(0, name.size()) == name;
        if (begins && (key.size() == name.size() || key[name.size()] == '/')) {
            return true;
        }
    }
    return false;
}

PORTHOLE_FN bool ChannelStore::put(std::shared_ptr<ChannelValue>& value, Values& dropped) {
    const std::size_t size = value->size();
    if (value->key().size() > options_.max_key_bytes
        || value->bytes().size() > options_.max_value_bytes || size > options_.max_total_bytes) {
        return false;
    }
    if (!keeps_all()) {
        return replace(value);
    }
    if (options_.max_values == 0) {
        return false;
    }
    value->number_ = last_number_ + 1;
    values_.emplace_hint(values_.end(), last_number_ + 1, value);
    ++last_number_;
    bytes_ += size;
    make_room(dropped);
    value.reset();
    return true;
}

/// The oldest go until the bounds are kept; the newest fits by itself.
PORTHOLE_FN void ChannelStore::make_room(Values& dropped) {
    while (values_.size() > options_.max_values || bytes_ > options_.max_total_bytes) {
        auto oldest = values_.extract(values_.begin());
        lost_up_to_ = oldest.key();
        bytes_ -= oldest.mapped()->size();
        dropped.insert(std::move(oldest));
    }
}

PORTHOLE_FN bool ChannelStore::replace(std::shared_ptr<ChannelValue>& value) {
    auto entry = keys_.find(value->key());
    const auto old = entry != keys_.end() ? values_.find(entry->second) : values_.end();
    const std::size_t old_size = old != values_.end() ? old->second->size() : 0;
    if (value->size() > options_.max_total_bytes - (bytes_ - old_size)
        || (old == values_.end() && values_.size() >= options_.max_keys)) {
        return false;
    }
    const std::size_t size = value->size();
    const std::uint64_t number = last_number_ + 1;
    value->number_ = number;
    if (old != values_.end()) {
        auto node = values_.extract(old);
        node.key() = number;
        node.mapped().swap(value);
        values_.insert(values_.end(), std::move(node));
    } else {
        // An entry without a value, which a failing allocation would leave, does no harm.
        entry = keys_.try_emplace(value->key(), 0).first;
        values_.emplace_hint(values_.end(), number, value);
        value.reset();
    }
    entry->second = number;
    last_number_ = number;
    bytes_ += size - old_size;
    return true;
}

PORTHOLE_FN bool ChannelStore::remove(std::string_view key, Values& dropped) {
    const std::size_t before = values_.size();
    auto take = [this, &dropped](Values::iterator value) {
        bytes_ -= value->second->size();
        dropped.insert(values_.extract(value));
    };
    if (!keeps_all()) {
        const auto entry = keys_.find(key);
        if (entry == keys_.end()) {
            return false;
        }
        const auto value = values_.find(entry->second);
        if (value != values_.end()) {
            take(value);
        }
        keys_.erase(entry);
        return values_.size() != before;
    }
    for (auto value = values_.begin(); value != values_.end();) {
        const auto here = value++;
        if (here->second->key() == key) {
            take(here);
        }
    }
    return values_.size() != before;
}

PORTHOLE_FN ChannelStore::Value
ChannelStore::next(std::uint64_t behind, const ChannelTopics* topics) const {
    for (auto value = values_.upper_bound(behind); value != values_.end(); ++value) {
        if (topics == nullptr || topics->has(value->second->key())) {
            return value->second;
        }
    }
    return nullptr;
}

PORTHOLE_FN ChannelStore::Value
ChannelStore::newest(std::uint64_t behind, const ChannelTopics* topics) const {
    for (auto value = values_.rbegin(); value != values_.rend() && value->first > behind; ++value) {
        if (topics == nullptr || topics->has(value->second->key())) {
            return value->second;
        }
    }
    return nullptr;
}

PORTHOLE_FN ChannelStore::Value ChannelStore::find(std::string_view key) const {
    if (!keeps_all()) {
        const auto entry = keys_.find(key);
        const auto value = entry != keys_.end() ? values_.find(entry->second) : values_.end();
        return value != values_.end() ? value->second : nullptr;
    }
    const auto value = std::find_if(values_.rbegin(), values_.rend(), [key](const auto& kept) {
        return kept.second->key() == key;
    });
    return value != values_.rend() ? value->second : nullptr;
}

} // namespace detail

PORTHOLE_NAMESPACE_END
