// SPDX-License-Identifier: MIT
#pragma once

// What a channel keeps: values in the order in which they were published. A subscriber's place is
// the number of the last value that it has seen, so that a thousand of them cost a thousand
// numbers. Nothing here knows of threads or of servers.

#include "porthole/ext/channel.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// What was published. It does not change once it is kept; any thread may read it.
class ChannelValue {
public:
    ChannelValue(std::string_view key, std::string_view bytes);
    ~ChannelValue();
    ChannelValue(const ChannelValue&) = delete;
    ChannelValue& operator=(const ChannelValue&) = delete;

    std::uint64_t number() const noexcept { return number_; }
    const std::string& key() const noexcept { return key_; }
    const std::string& bytes() const noexcept { return bytes_; }
    /// What it counts towards ChannelOptions::max_total_bytes.
    std::size_t size() const noexcept { return key_.size() + bytes_.size(); }

    /// What is sent in one go, one behind the other.
    struct Parts {
        std::string_view head;
        std::string_view body;
        std::string_view tail;
    };
    /// As an event with its id. The text around the bytes, or all of it when there are line ends
    /// among them, is made by whoever asks first.
    Parts event(std::string_view epoch) const;
    using Frame = std::shared_ptr<const std::string>;
    /// In another form, made by `make` for whoever asks first; `form` counts from zero.
    Frame frame(std::size_t form, Frame (*make)(const ChannelValue&, std::size_t form)) const;
    static constexpr std::size_t forms = 3;

private:
    friend class ChannelStore;

    std::uint64_t number_ = 0;
    std::string key_;
    std::string bytes_;
    bool has_line_ends_;
    mutable std::atomic<const std::string*> event_{nullptr};
    mutable std::atomic<const Frame*> frames_[forms] = {};
};

/// Which keys a subscriber wants.
class ChannelTopics {
public:
    explicit ChannelTopics(std::vector<std::string> names) : names_(std::move(names)) {}
    bool has(std::string_view key) const noexcept;

private:
    std::vector<std::string> names_;
};

class ChannelStore {
public:
    using Value = std::shared_ptr<const ChannelValue>;
    using Values = std::map<std::uint64_t, std::shared_ptr<ChannelValue>>;

    explicit ChannelStore(const ChannelOptions& options) noexcept : options_(options) {}

    /// Keeps it under the next number; false when a bound is passed. What it replaces is then in
    /// `value` and in `dropped`, so that it can be destroyed outside of a lock.
    bool put(std::shared_ptr<ChannelValue>& value, Values& dropped);
    bool remove(std::string_view key, Values& dropped);

    /// The oldest value behind that number, or null. No topics: any key.
    Value next(std::uint64_t behind, const ChannelTopics* topics) const;
    /// The newest value, if it is behind that number.
    Value newest(std::uint64_t behind, const ChannelTopics* topics) const;
    /// The newest value of that key, or null.
    Value find(std::string_view key) const;

    /// The number of the value that was published last.
    std::uint64_t last_number() const noexcept { return last_number_; }
    /// Up to here values had to go because others came: who was behind has missed some.
    std::uint64_t lost_up_to() const noexcept { return lost_up_to_; }
    std::size_t size() const noexcept { return values_.size(); }
    std::size_t bytes() const noexcept { return bytes_; }

private:
    bool keeps_all() const noexcept { return options_.keep == ChannelOptions::Keep::all; }
    bool replace(std::shared_ptr<ChannelValue>& value);
    void make_room(Values& dropped);

    ChannelOptions options_;
    Values values_;
    std::map<std::string, std::uint64_t, std::less<>> keys_; ///< with Keep::newest
    std::uint64_t last_number_ = 0;
    std::uint64_t lost_up_to_ = 0;
    std::size_t bytes_ = 0;
};

} // namespace detail

PORTHOLE_NAMESPACE_END
