// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/os/poller.hpp"
#include "porthole/os/poller_epoll.inl"
#include "porthole/os/poller_poll.inl"

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN Error make_poller(PollerKind kind, std::unique_ptr<Poller>& poller) {
    switch (kind == PollerKind::automatic ? best_poller : kind) {
    case PollerKind::epoll: return make_epoll_poller(poller);
    case PollerKind::automatic:
    case PollerKind::poll: break;
    }
    poller = std::make_unique<PollPoller>();
    return {};
}

} // namespace detail

PORTHOLE_NAMESPACE_END
