// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/server/body_sink.hpp"
#include "porthole/server/core.hpp"

#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN void BodyIntake::refuse(int status, std::string_view sentence) {
    constexpr int first_error = 400;
    constexpr int last_error = 599;
    constexpr int internal_server_error = 500;
    const bool is_error = status >= first_error && status <= last_error;
    PORTHOLE_ASSERT(is_error, "a refusal is a status from 400 to 599");
    refusal = is_error ? status : internal_server_error;
    refusal_sentence.assign(sentence);
}

PORTHOLE_FN void BodyIntake::abort() noexcept {
    if (is_over) {
        return;
    }
    is_over = true;
    connection = nullptr;
    const std::function<void()> give_up = std::move(on_abort);
    PORTHOLE_TRY {
        if (give_up) {
            give_up();
        }
    }
    PORTHOLE_CATCH_ALL {} // it was the last that the program had to say of this content
    forget();
}

PORTHOLE_FN void BodyIntake::forget() noexcept {
    is_over = true;
    connection = nullptr;
    on_data = nullptr;
    on_end = nullptr;
    on_abort = nullptr;
    on_head = nullptr;
    on_some = nullptr;
    on_last = nullptr;
    program = nullptr;
}

} // namespace detail

PORTHOLE_FN BodySink::BodySink() : intake_(std::make_shared<detail::BodyIntake>()) {}

PORTHOLE_FN BodySink BodySink::refuse(int status, std::string_view sentence) {
    BodySink sink;
    sink.intake_->refuse(status, sentence);
    return sink;
}

PORTHOLE_FN BodySink& BodySink::on_data(std::function<void(std::string_view piece)> take) & {
    functions().on_data = std::move(take);
    return *this;
}

PORTHOLE_FN BodySink&& BodySink::on_data(std::function<void(std::string_view piece)> take) && {
    return std::move(on_data(std::move(take)));
}

PORTHOLE_FN BodySink& BodySink::on_end(Handler answer) & {
    functions().on_end = std::move(answer);
    return *this;
}

PORTHOLE_FN BodySink&& BodySink::on_end(Handler answer) && {
    return std::move(on_end(std::move(answer)));
}

PORTHOLE_FN BodySink& BodySink::on_abort(std::function<void()> give_up) & {
    functions().on_abort = std::move(give_up);
    return *this;
}

PORTHOLE_FN BodySink&& BodySink::on_abort(std::function<void()> give_up) && {
    return std::move(on_abort(std::move(give_up)));
}

PORTHOLE_FN BodySink& BodySink::max_bytes(std::uint64_t bytes) & {
    intake_->max_bytes = bytes;
    return *this;
}

PORTHOLE_FN BodySink&& BodySink::max_bytes(std::uint64_t bytes) && {
    return std::move(max_bytes(bytes));
}

PORTHOLE_FN void BodyFlow::pause() {
    if (const std::shared_ptr<detail::BodyIntake> intake = intake_.lock()) {
        intake->is_paused = true;
    }
}

PORTHOLE_FN void BodyFlow::resume() {
    const std::shared_ptr<detail::BodyIntake> intake = intake_.lock();
    if (intake && intake->is_paused) {
        intake->is_paused = false;
        if (intake->connection != nullptr) {
            intake->connection->resume_content();
        }
    }
}

PORTHOLE_FN void BodyFlow::refuse(int status, std::string_view sentence) {
    const std::shared_ptr<detail::BodyIntake> intake = intake_.lock();
    if (!intake || intake->is_over || intake->refusal != 0) {
        return;
    }
    intake->refuse(status, sentence);
    if (intake->connection != nullptr) {
        intake->connection->resume_content();
    }
}

PORTHOLE_FN Reply BodyFlow::defer() {
    const std::shared_ptr<detail::BodyIntake> intake = intake_.lock();
    const bool is_possible = intake && intake->connection != nullptr;
    PORTHOLE_ASSERT(is_possible, "defer() is for content that is coming in");
    return is_possible ? intake->connection->defer_content() : Reply();
}

PORTHOLE_FN bool BodyFlow::is_over() const noexcept {
    const std::shared_ptr<detail::BodyIntake> intake = intake_.lock();
    return !intake || intake->is_over;
}

PORTHOLE_NAMESPACE_END
