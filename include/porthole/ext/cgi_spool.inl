// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/ext/cgi_spool.hpp"

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN bool CgiSpool::append(std::string_view bytes) {
    if (!file_.is_open()) {
        const std::size_t room = memory_bytes_ - memory_.size();
        const std::string_view part = bytes.substr(0, room);
        memory_.append(part);
        bytes.remove_prefix(part.size());
        if (bytes.empty()) {
            return true;
        }
        if (!file_.open()) {
            return false;
        }
    }
    return file_.append(bytes);
}

PORTHOLE_FN std::size_t CgiSpool::read(char* into, std::size_t capacity) noexcept {
    std::size_t size = 0;
    if (read_ < memory_.size()) {
        size = memory_.copy(into, capacity, static_cast<std::size_t>(read_));
    } else if (file_.is_open()) {
        size = file_.read_at(read_ - memory_.size(), into, capacity);
    }
    read_ += size;
    return size;
}

} // namespace detail

PORTHOLE_NAMESPACE_END
