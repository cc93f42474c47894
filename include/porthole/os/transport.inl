// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/os/socket_posix.inl"
#include "porthole/os/socket_windows.inl"
#include "porthole/os/transport.hpp"

#include <cstring>
#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN IoResult SocketTransport::read(char* into, std::size_t capacity) noexcept {
    return socket_.receive(into, capacity);
}

PORTHOLE_FN IoResult
SocketTransport::write(const std::string_view* slices, std::size_t count) noexcept {
    return socket_.send(slices, count);
}

} // namespace detail

/// One direction: a ring of bytes, and what its two ends have said. All memory is taken at the
/// start, so that reads and writes allocate as little as those of a socket do: nothing.
struct MemoryTransport::Pipe {
    explicit Pipe(std::size_t max_bytes) : bytes(new char[max_bytes]), capacity(max_bytes) {}

    std::size_t room() const noexcept { return capacity - size; }
    void push(const char* from, std::size_t count) noexcept;
    void pop(char* into, std::size_t count) noexcept;

    std::unique_ptr<char[]> bytes;
    std::size_t capacity;
    std::size_t begin = 0;
    std::size_t size = 0;
    bool is_ended = false;     ///< the writer has finished or is gone
    bool is_abandoned = false; ///< the reader is gone
    bool is_reset = false;
};

PORTHOLE_FN void MemoryTransport::Pipe::push(const char* from, std::size_t count) noexcept {
    const std::size_t end = (begin + size) % capacity;
    const std::size_t first = count < capacity - end ? count : capacity - end;
    std::memcpy(bytes.get() + end, from, first);
    std::memcpy(bytes.get(), from + first, count - first);
    size += count;
}

PORTHOLE_FN void MemoryTransport::Pipe::pop(char* into, std::size_t count) noexcept {
    const std::size_t first = count < capacity - begin ? count : capacity - begin;
    std::memcpy(into, bytes.get() + begin, first);
    std::memcpy(into + first, bytes.get(), count - first);
    size -= count;
    begin = size == 0 ? 0 : (begin + count) % capacity;
}

PORTHOLE_FN
MemoryTransport::MemoryTransport(std::shared_ptr<Pipe> in, std::shared_ptr<Pipe> out) noexcept
    : in_(std::move(in)), out_(std::move(out)) {}

PORTHOLE_FN MemoryTransport::Pair MemoryTransport::make_pair(std::size_t capacity) {
    PORTHOLE_ASSERT(capacity != 0, "a connection needs room for at least one byte");
    const std::size_t size = capacity == 0 ? 1 : capacity;
    const auto to_server = std::make_shared<Pipe>(size);
    const auto to_client = std::make_shared<Pipe>(size);
    Pair pair;
    pair.server.reset(new MemoryTransport(to_server, to_client));
    pair.client.reset(new MemoryTransport(to_client, to_server));
    return pair;
}

PORTHOLE_FN MemoryTransport::~MemoryTransport() {
    in_->is_abandoned = true;
    out_->is_ended = true;
}

PORTHOLE_FN IoResult MemoryTransport::read(char* into, std::size_t capacity) noexcept {
    IoResult result;
    if (in_->is_reset) {
        result.status = IoStatus::failed;
        result.system_code = detail::connection_reset_code;
        return result;
    }
    std::size_t count = capacity < in_->size ? capacity : in_->size;
    count = count < max_read_bytes_ ? count : max_read_bytes_;
    if (count != 0) {
        in_->pop(into, count);
        result.status = IoStatus::ok;
        result.bytes = count;
    } else if (in_->size == 0 && in_->is_ended) {
        result.status = IoStatus::end;
    }
    return result;
}

PORTHOLE_FN IoResult
MemoryTransport::write(const std::string_view* slices, std::size_t count) noexcept {
    IoResult result;
    if (out_->is_reset || out_->is_ended || out_->is_abandoned) {
        result.status = IoStatus::failed;
        result.system_code =
            out_->is_reset ? detail::connection_reset_code : detail::broken_pipe_code;
        return result;
    }
    count = count < max_slices ? count : max_slices;
    for (std::size_t i = 0; i < count && out_->room() != 0; ++i) {
        const std::size_t wanted = slices[i].size();
        const std::size_t taken = wanted < out_->room() ? wanted : out_->room();
        if (taken != 0) {
            out_->push(slices[i].data(), taken);
            result.bytes += taken;
        }
    }
    result.status = result.bytes != 0 ? IoStatus::ok : IoStatus::would_block;
    return result;
}

PORTHOLE_FN void MemoryTransport::shut_write() noexcept {
    out_->is_ended = true;
}

PORTHOLE_FN Readiness MemoryTransport::readiness() const noexcept {
    Readiness readiness;
    readiness.error = in_->is_reset;
    readiness.hangup = in_->is_reset || in_->is_ended || out_->is_abandoned;
    readiness.read = in_->size != 0 || in_->is_ended || in_->is_reset;
    readiness.write = out_->room() != 0 || out_->is_ended || out_->is_abandoned || out_->is_reset;
    return readiness;
}

PORTHOLE_FN void MemoryTransport::reset() noexcept {
    in_->is_reset = true;
    out_->is_reset = true;
}

PORTHOLE_NAMESPACE_END
