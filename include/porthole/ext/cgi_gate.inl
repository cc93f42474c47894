// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/ext/cgi_gate.hpp"

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN bool CgiGate::look_after(Duration) {
    if (reaper_->size() != 0) {
        reaper_->collect();
    }
    return reaper_->size() != 0;
}

PORTHOLE_FN void CgiGate::close() noexcept {
    constexpr std::chrono::milliseconds patience{100};
    shut_all();
    static_cast<void>(reaper_->finish(patience));
}

} // namespace detail

PORTHOLE_NAMESPACE_END
