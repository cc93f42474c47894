// SPDX-License-Identifier: MIT
#pragma once

// The byte queue of a connection: bytes are added at the end and consumed at the front. It never
// grows past its cap, and gives its memory back when told that the connection is idle. Growing is
// the only thing that allocates.

#include "porthole/base/config.hpp"

#include <cstddef>
#include <memory>
#include <string_view>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// Views into it are valid until the next call that adds, consumes or releases.
class Buffer {
public:
    /// An empty buffer owns no memory. `max_bytes` is what it holds at the most.
    explicit Buffer(std::size_t max_bytes) noexcept : max_bytes_(max_bytes) {}
    Buffer(Buffer&& other) noexcept;
    Buffer& operator=(Buffer&& other) noexcept;
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    ~Buffer() = default;

    bool is_empty() const noexcept { return begin_ == end_; }
    std::size_t size() const noexcept { return end_ - begin_; }
    std::size_t capacity() const noexcept { return capacity_; }
    std::size_t max_bytes() const noexcept { return max_bytes_; }
    char* data() noexcept { return memory_.get() + begin_; }
    std::string_view view() const noexcept { return {memory_.get() + begin_, size()}; }

    /// Copies `bytes` to the end. False, and nothing is added, when the cap would be passed.
    [[nodiscard]] bool append(std::string_view bytes);
    /// Room for at least `size` more bytes at the end, to be filled and then committed; null
    /// when the cap would be passed.
    [[nodiscard]] char* prepare(std::size_t size);
    /// `size` of the prepared bytes are now content.
    void commit(std::size_t size) noexcept { end_ += size; }
    /// Drops `size` bytes, at most size(), from the front.
    void consume(std::size_t size) noexcept;
    /// Drops everything, keeps the memory.
    void clear() noexcept { begin_ = end_ = 0; }
    /// Drops everything and frees the memory.
    void release() noexcept;

private:
    bool make_room(std::size_t size);

    std::unique_ptr<char[]> memory_;
    std::size_t capacity_ = 0;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
    std::size_t max_bytes_;
};

} // namespace detail

PORTHOLE_NAMESPACE_END
