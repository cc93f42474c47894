// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/ext/cgi_answer.hpp"
#include "porthole/ext/cgi_log.hpp"
#include "porthole/http/status.hpp"

#include <chrono>
#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// RFC 9110 section 15.3.6: 205 has none either, though its framing may say so.
inline bool may_have_content(int status) noexcept {
    constexpr int reset_content = 205;
    return status_has_content(status) && status != reset_content;
}

PORTHOLE_FN CgiAnswering::State CgiAnswering::look(bool has_ended, const CgiTask& task) {
    using Parsed = CgiHeadParser::State;
    if (state_ == State::head) {
        const Parsed parsed = has_ended ? parser_.finish(head_) : parser_.parse(head_);
        if (parsed != Parsed::complete) {
            state_ = parsed == Parsed::failed ? State::failed : State::head;
            return state_;
        }
        if (parser_.head().refused_fields != 0) {
            task.log(
                LogLevel::warning, LogId::field_refused,
                "a field of its head was dropped: it has control characters, or is the server's");
        }
        rest_ = head_.substr(parser_.head_size());
        state_ = State::peek;
    }
    const CgiHead& head = parser_.head();
    const bool is_typed = !head.content_type.empty();
    const bool has_content = !rest_.empty();
    if (state_ == State::peek
        && (is_typed || has_content || has_ended || is_head_wanted_
            || head.answer == CgiAnswer::local_redirect || !may_have_content(head.status))) {
        state_ = send_head(is_typed || has_content);
    }
    return state_;
}

PORTHOLE_FN CgiAnswering::State CgiAnswering::send_head(bool has_content) {
    const CgiHead& head = parser_.head();
    if (head.answer == CgiAnswer::local_redirect) {
        std::exchange(reply_, Reply()).rewrite(head.location);
        return State::whole;
    }
    reply_.status(head.status);
    for (const CgiField& field : head.fields) {
        reply_.add_header(field.name, field.value);
    }
    if (!head.location.empty()) {
        reply_.header("Location", head.location);
    }
    if (has_content && may_have_content(head.status)) {
        return State::content;
    }
    if (!head.content_type.empty()) {
        reply_.header("Content-Type", head.content_type);
    }
    std::exchange(reply_, Reply()).finish();
    return State::whole;
}

PORTHOLE_FN void CgiAnswering::send_content(std::shared_ptr<CgiTask> task) {
    const std::string_view type = parser_.head().content_type;
    promised_ = parser_.head().content_length;
    Reply reply = std::exchange(reply_, Reply());
    reply.send(
        type.empty() ? "application/octet-stream" : type,
        std::make_unique<CgiSource>(std::move(task), promised_));
    std::string().swap(head_);
}

PORTHOLE_FN std::string CgiAnswering::describe_fault() const {
    constexpr std::size_t most = 80;
    std::string text(describe(parser_.fault()));
    const std::string_view line = parser_.bad_line(head_);
    if (!line.empty()) {
        text += ": \"";
        escape_for_log(line.substr(0, most), text);
        text += line.size() > most ? "...\"" : "\"";
    }
    return text;
}

PORTHOLE_FN std::size_t CgiAnswering::take_rest(char* into, std::size_t capacity) {
    if (rest_taken_ < rest_.size()) {
        const std::size_t size = rest_.copy(into, capacity, rest_taken_);
        rest_taken_ += size;
        return size;
    }
    if (!rest_.empty()) {
        std::string().swap(rest_); // assigning would keep the memory
        rest_taken_ = 0;
    }
    return 0;
}

PORTHOLE_FN void CgiAnswering::fail(int status, std::string_view sentence) {
    constexpr int unavailable = 503;
    Reply reply = std::exchange(reply_, Reply());
    if (!reply.is_finished()) {
        reply.fail(status, sentence, std::chrono::seconds(status == unavailable ? 1 : 0));
    }
}

} // namespace detail

PORTHOLE_NAMESPACE_END
