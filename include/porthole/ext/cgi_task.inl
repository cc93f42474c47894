// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/ext/cgi_task.hpp"
#include "porthole/ext/cgi_upload.hpp"

#include <algorithm>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN void CgiTask::log(LogLevel level, LogId id, std::string_view text) const {
    queue_->log(level, id, name_ + ": " + std::string(text), peer_);
}

PORTHOLE_FN void CgiTask::wake_source() {
    if (waker_) {
        waker_();
    }
}

PORTHOLE_FN void CgiTask::post_wake() {
    if (waker_) {
        queue_->poster().post(waker_);
    }
}

PORTHOLE_FN BodySink make_cgi_sink(CgiQueue& queue, const std::shared_ptr<CgiTask>& task) {
    const CgiTaskSettings& settings = queue.settings();
    const bool is_spooled = task->upload().is_spooled();
    std::uint64_t most = settings.max_body_bytes;
    if (is_spooled) {
        most = most == 0 ? settings.max_spool_bytes : (std::min)(most, settings.max_spool_bytes);
    }
    BodySink sink;
    if (is_spooled || most != 0) {
        sink.max_bytes(most);
    }
    task->upload().set_flow(sink.flow());
    sink.on_data([task](std::string_view piece) { task->on_content(piece); })
        .on_end([task](const Request&, Response&) { task->on_content_end(); })
        .on_abort([task] { task->on_content_abort(); });
    if (!is_spooled) {
        queue.enter(task);
    }
    return sink;
}

PORTHOLE_FN CgiSource::~CgiSource() {
    PORTHOLE_TRY {
        task_->set_waker(nullptr);
        task_->on_source_gone(has_ended_ || (size_ && given_ >= *size_));
    }
    PORTHOLE_CATCH_ALL {} // no memory for a log line; the beat goes on with it
}

PORTHOLE_FN BodySource::Piece CgiSource::pull(char* into, std::size_t capacity) {
    const Piece piece = task_->pull(into, capacity);
    given_ += piece.bytes;
    has_ended_ = has_ended_ || piece.state == State::end;
    return piece;
}

} // namespace detail

PORTHOLE_NAMESPACE_END
