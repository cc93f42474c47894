// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/http/chunked.inl"
#include "porthole/http/parser.hpp"
#include "porthole/server/core.hpp"
#include "porthole/server/stream.hpp"

#include <cstring>
#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN void StreamState::wake() {
    if (waker) {
        waker();
    }
}

PORTHOLE_FN void StreamState::end(bool is_complete) noexcept {
    is_over = true;
    waker = nullptr;
    on_writable = nullptr;
    const std::function<void()> give_up = std::move(on_abort);
    on_abort = nullptr;
    queue.release();
    PORTHOLE_TRY {
        if (give_up && !is_complete) {
            give_up();
        }
    }
    PORTHOLE_CATCH_ALL {} // nobody is left to tell
}

PORTHOLE_FN StreamSource::~StreamSource() {
    const bool has_all = state_->size && sent_ == *state_->size; // whether finish() came or not
    state_->end(has_all || state_->is_finished || state_->is_broken);
}

PORTHOLE_FN BodySource::Piece StreamSource::pull(char* into, std::size_t capacity) {
    const std::shared_ptr<StreamState> state = state_; // the program may end us meanwhile
    if (state->is_broken) {
        return {State::failed, 0};
    }
    const std::size_t size = state->queue.size() < capacity ? state->queue.size() : capacity;
    if (size != 0) {
        std::memcpy(into, state->queue.data(), size);
        state->queue.consume(size);
        sent_ += size;
    }
    if (state->was_short && state->queue.size() <= state->low_mark_bytes) {
        state->was_short = false;
        if (const std::shared_ptr<std::function<void()>> go_on = state->on_writable) {
            (*go_on)();
        }
    }
    if (state->is_broken) {
        return {State::failed, 0};
    }
    if (!state->queue.is_empty()) {
        return {State::more, size};
    }
    return {state->is_finished ? State::end : State::wait, size};
}

} // namespace detail

/// The last copy of a stream that was not finished can never be.
struct Stream::Owner {
    explicit Owner(std::shared_ptr<detail::StreamState> shared) : state(std::move(shared)) {}
    Owner(const Owner&) = delete;
    Owner& operator=(const Owner&) = delete;
    ~Owner() {
        if (!state->is_finished && !state->is_over) {
            state->is_broken = true;
            PORTHOLE_TRY {
                state->wake();
            }
            PORTHOLE_CATCH_ALL {} // the client's own deadline ends it
        }
    }

    std::shared_ptr<detail::StreamState> state;
};

PORTHOLE_FN Stream::Stream(std::shared_ptr<detail::StreamState> state)
    : state_(std::move(state)), owner_(std::make_shared<Owner>(state_)) {}

PORTHOLE_FN std::size_t Stream::write(std::string_view bytes) {
    if (!is_open()) {
        return 0;
    }
    const std::size_t free = room();
    const std::size_t size = bytes.size() < free ? bytes.size() : free;
    state_->was_short = state_->was_short || size < bytes.size();
    if (size != 0 && state_->queue.append(bytes.substr(0, size))) {
        state_->wake();
        return size;
    }
    return 0;
}

PORTHOLE_FN bool Stream::write_whole(std::string_view bytes) {
    if (!is_open()) {
        return false;
    }
    if (bytes.size() > room()) {
        state_->was_short = true;
        return false;
    }
    return write(bytes) == bytes.size();
}

PORTHOLE_FN void Stream::on_writable(std::function<void()> go_on) {
    if (is_open()) {
        state_->on_writable =
            go_on ? std::make_shared<std::function<void()>>(std::move(go_on)) : nullptr;
    }
}

PORTHOLE_FN void Stream::on_abort(std::function<void()> give_up) {
    if (is_open()) {
        state_->on_abort = std::move(give_up);
    }
}

PORTHOLE_FN void Stream::trailer(std::string_view name, std::string_view value) {
    value = ascii::trim(value);
    const bool is_allowed = ascii::is_token(name) && ascii::is_field_value(value)
                            && !detail::is_forbidden_in_trailer(name);
    PORTHOLE_ASSERT(
        is_allowed, "a trailer field is a token and a value without controls, and none that "
                    "the content depends on");
    if (is_allowed && is_open()) {
        detail::append_field_line(state_->trailer, name, value);
    }
}

PORTHOLE_FN void Stream::finish() {
    if (is_open()) {
        state_->is_finished = true;
        state_->on_writable = nullptr;
        state_->wake();
    }
}

PORTHOLE_FN void Stream::abort() {
    if (state_ && !state_->is_over) {
        state_->is_broken = true;
        state_->wake();
    }
}

PORTHOLE_FN std::size_t Stream::queued_bytes() const noexcept {
    return state_ ? state_->queue.size() : 0;
}

PORTHOLE_FN std::size_t Stream::room() const noexcept {
    return is_open() ? state_->queue.max_bytes() - state_->queue.size() : 0;
}

PORTHOLE_FN bool Stream::is_open() const noexcept {
    return state_ && !state_->is_over && !state_->is_finished && !state_->is_broken;
}

PORTHOLE_FN Stream Response::stream(std::string_view type, const StreamOptions& options) {
    constexpr std::size_t low_mark_part = 4;
    const std::size_t most = parts_->exchange != nullptr
                                 ? parts_->exchange->connection->limits().max_queue_bytes
                                 : Limits{}.max_queue_bytes;
    const std::size_t high = options.high_mark_bytes != 0 ? options.high_mark_bytes : most;
    const std::size_t low =
        options.low_mark_bytes != 0 ? options.low_mark_bytes : high / low_mark_part;
    PORTHOLE_ASSERT(low <= high, "a low mark is not above the high mark");
    auto state = std::make_shared<detail::StreamState>(high, low < high ? low : high, options.size);
    send(type, std::unique_ptr<BodySource>(new detail::StreamSource(state)));
    return Stream(std::move(state));
}

PORTHOLE_FN Server* Response::server() const noexcept {
    return parts_->exchange != nullptr ? &parts_->exchange->connection->server() : nullptr;
}

PORTHOLE_NAMESPACE_END
