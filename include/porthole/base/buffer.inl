// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/base/buffer.hpp"

#include <cstring>
#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN Buffer::Buffer(Buffer&& other) noexcept
    : memory_(std::move(other.memory_)), capacity_(std::exchange(other.capacity_, 0)),
      begin_(std::exchange(other.begin_, 0)), end_(std::exchange(other.end_, 0)),
      max_bytes_(other.max_bytes_) {}

PORTHOLE_FN Buffer& Buffer::operator=(Buffer&& other) noexcept {
    memory_ = std::move(other.memory_);
    capacity_ = std::exchange(other.capacity_, 0);
    begin_ = std::exchange(other.begin_, 0);
    end_ = std::exchange(other.end_, 0);
    max_bytes_ = other.max_bytes_;
    return *this;
}

PORTHOLE_FN bool Buffer::append(std::string_view bytes) {
    if (bytes.empty()) {
        return true;
    }
    char* into = prepare(bytes.size());
    if (into == nullptr) {
        return false;
    }
    std::memcpy(into, bytes.data(), bytes.size());
    commit(bytes.size());
    return true;
}

PORTHOLE_FN char* Buffer::prepare(std::size_t size) {
    if (size > capacity_ - end_ && !make_room(size)) {
        return nullptr;
    }
    return memory_.get() + end_;
}

PORTHOLE_FN void Buffer::consume(std::size_t size) noexcept {
    PORTHOLE_ASSERT(size <= this->size(), "consume at most what the buffer holds");
    begin_ += size < this->size() ? size : this->size();
    if (begin_ == end_) {
        begin_ = end_ = 0;
    }
}

PORTHOLE_FN void Buffer::release() noexcept {
    memory_.reset();
    capacity_ = begin_ = end_ = 0;
}

/// Doubles, so that adding byte by byte stays linear; moves the content down when that is
/// enough and frees at least half, so that moving stays linear too, or when it cannot grow.
PORTHOLE_FN bool Buffer::make_room(std::size_t size) {
    const std::size_t smallest = max_bytes_ < 256 ? max_bytes_ : 256;
    const std::size_t held = this->size();
    if (held > max_bytes_ || size > max_bytes_ - held) {
        return false;
    }
    const std::size_t needed = held + size;
    const bool is_worth_moving = begin_ >= capacity_ / 2 || capacity_ == max_bytes_;
    if (needed <= capacity_ && is_worth_moving) {
        std::memmove(memory_.get(), memory_.get() + begin_, held);
    } else {
        std::size_t grown = capacity_ < smallest ? smallest : capacity_;
        while (grown < needed || (grown == capacity_ && grown < max_bytes_)) {
            grown = grown > max_bytes_ / 2 ? max_bytes_ : grown * 2;
        }
        grown = grown < needed ? needed : grown;
        std::unique_ptr<char[]> memory(new char[grown]);
        if (held != 0) {
            std::memcpy(memory.get(), memory_.get() + begin_, held);
        }
        memory_ = std::move(memory);
        capacity_ = grown;
    }
    begin_ = 0;
    end_ = held;
    return true;
}

} // namespace detail

PORTHOLE_NAMESPACE_END
