// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/ext/cgi_upload.hpp"

#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN
CgiUpload::CgiUpload(std::shared_ptr<CgiQueue> queue, bool has_content, bool is_spooled)
    : queue_(std::move(queue)), spool_(queue_->settings().spool_memory_bytes),
      is_spooled_(is_spooled), is_counted_(is_spooled), has_ended_(!has_content) {
    if (is_counted_) {
        queue_->begin_spooling();
    }
}

PORTHOLE_FN void CgiUpload::leave_spooling() noexcept {
    if (std::exchange(is_counted_, false)) {
        queue_->end_spooling();
    }
}

PORTHOLE_FN bool CgiUpload::spool(std::string_view piece) {
    if (spool_.append(piece)) {
        return true;
    }
    flow_.refuse(507, "There is no room for this upload.");
    return false;
}

PORTHOLE_FN void CgiUpload::pause(bool is_paused) {
    if (is_paused != is_paused_ && !has_ended_) {
        is_paused_ = is_paused;
        is_paused ? flow_.pause() : flow_.resume();
    }
}

PORTHOLE_FN void CgiUpload::drop(std::size_t unsent) {
    is_dropped_ = true;
    drop_more(unsent);
}

PORTHOLE_FN void CgiUpload::drop_more(std::size_t bytes) {
    dropped_ += bytes;
    Server* const server = queue_->server();
    pause(server == nullptr || dropped_ > server->options().limits.max_linger_bytes);
}

} // namespace detail

PORTHOLE_NAMESPACE_END
