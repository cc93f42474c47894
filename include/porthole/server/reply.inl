// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/server/core.hpp"
#include "porthole/server/reply.hpp"
#include "porthole/server/reply_state.hpp"

#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN ReplyOwner::ReplyOwner(std::shared_ptr<ReplyState> state) noexcept
    : state_(std::move(state)) {}

PORTHOLE_FN ReplyOwner::~ReplyOwner() {
    if (!claim()) {
        return;
    }
    state_->parts.reset();
    state_->parts.status = 500;
    state_->parts.is_touched = true;
    PORTHOLE_TRY {
        state_->mailbox->put([state = state_] {
            if (state->connection != nullptr) {
                state->connection->note_dropped_reply();
                state->connection->complete(*state);
            }
        });
    }
    PORTHOLE_CATCH_ALL {} // no memory for the letter: the client's own deadline ends it
}

/// Runs on the ticking thread, in the next tick; by then the connection may have gone.
PORTHOLE_FN void ReplyOwner::deliver() {
    state_->mailbox->put([state = state_] {
        if (state->connection != nullptr) {
            state->connection->complete(*state);
        }
    });
}

PORTHOLE_FN void ReplyOwner::report_repetition() {
    PORTHOLE_ASSERT(false, "a Reply answers once; this second answer is not sent");
    state_->mailbox->put([state = state_] {
        if (state->connection != nullptr) {
            state->connection->note_second_reply();
        }
    });
}

} // namespace detail

PORTHOLE_FN Reply Response::defer() {
    PORTHOLE_ASSERT(
        parts_->exchange != nullptr && !parts_->is_deferred,
        "defer() is called once, inside a handler");
    if (parts_->exchange == nullptr || parts_->is_deferred) {
        return Reply();
    }
    detail::Exchange& exchange = *parts_->exchange;
    return Reply(std::make_shared<detail::ReplyOwner>(exchange.connection->defer(exchange)));
}

PORTHOLE_FN Reply::Reply(std::shared_ptr<detail::ReplyOwner> owner) noexcept
    : owner_(std::move(owner)) {}

template <class Fill>
PORTHOLE_FN void Reply::finish_with(const Fill& fill) {
    if (!owner_) {
        return;
    }
    if (!owner_->claim()) {
        owner_->report_repetition();
        return;
    }
    Response response(owner_->state().parts);
    fill(response);
    owner_->deliver();
}

PORTHOLE_FN Reply& Reply::status(int code) {
    if (!is_finished()) {
        Response(owner_->state().parts).status(code);
    }
    return *this;
}

PORTHOLE_FN Reply& Reply::header(std::string_view name, std::string_view value) {
    if (!is_finished()) {
        Response(owner_->state().parts).header(name, value);
    }
    return *this;
}

PORTHOLE_FN Reply& Reply::add_header(std::string_view name, std::string_view value) {
    if (!is_finished()) {
        Response(owner_->state().parts).add_header(name, value);
    }
    return *this;
}

PORTHOLE_FN Reply&
Reply::cookie(std::string_view name, std::string_view value, const CookieOptions& options) {
    if (!is_finished()) {
        Response(owner_->state().parts).cookie(name, value, options);
    }
    return *this;
}

PORTHOLE_FN void Reply::send(std::string_view type, std::string_view bytes) {
    finish_with([&](Response& response) { response.send(type, bytes); });
}

PORTHOLE_FN void Reply::send(std::string_view type, std::unique_ptr<BodySource> source) {
    finish_with([&](Response& response) { response.send(type, std::move(source)); });
}

PORTHOLE_FN void Reply::text(std::string_view bytes) {
    finish_with([&](Response& response) { response.text(bytes); });
}

PORTHOLE_FN void Reply::html(std::string_view bytes) {
    finish_with([&](Response& response) { response.html(bytes); });
}

PORTHOLE_FN void Reply::json(std::string_view bytes) {
    finish_with([&](Response& response) { response.json(bytes); });
}

PORTHOLE_FN void Reply::redirect(std::string_view location, int code) {
    finish_with([&](Response& response) { response.redirect(location, code); });
}

PORTHOLE_FN void Reply::no_content() {
    finish_with([&](Response& response) { response.no_content(); });
}

PORTHOLE_FN void
Reply::fail(int code, std::string_view sentence, std::chrono::seconds retry_after) {
    finish_with([&](Response& response) { response.fail(code, sentence, retry_after); });
}

PORTHOLE_FN void Reply::finish() {
    finish_with([](Response&) {});
}

PORTHOLE_FN bool Reply::peer_gone() const noexcept {
    return !owner_ || owner_->state().peer_gone.load();
}

PORTHOLE_FN bool Reply::is_finished() const noexcept {
    return !owner_ || owner_->state().is_finished.load();
}

PORTHOLE_NAMESPACE_END
