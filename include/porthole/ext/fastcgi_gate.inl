// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/ext/fastcgi_gate.hpp"
#include "porthole/http/target.hpp"

#include <algorithm>
#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN
FastCgiGate::FastCgiGate(std::string address, bool is_scgi, FastCgiSettings settings)
    : address_(std::move(address)), is_scgi_(is_scgi), settings_(std::move(settings)) {
    settings_.keeps_connections = settings_.keeps_connections && !is_scgi_;
}

PORTHOLE_FN Error FastCgiGate::find_endpoints() {
    constexpr std::string_view local_prefix = "unix:";
    const std::string_view address(address_);
    if (address.substr(0, local_prefix.size()) == local_prefix) {
        if (address.size() == local_prefix.size()) {
            return Error(ErrorCode::bad_path, "mount", address_, "name the path of its socket");
        }
        endpoints_ = {Endpoint::local(address.substr(local_prefix.size()))};
        return {};
    }
    Authority authority;
    if (!parse_authority(address, authority) || !authority.has_port || authority.port == 0) {
        return Error(
            ErrorCode::bad_port, "mount", address_,
            "an application server's address is \"unix:/path\" or \"host:port\"");
    }
    std::string_view host = authority.host;
    if (host.size() > 2 && host.front() == '[') {
        host = host.substr(1, host.size() - 2);
    }
    return resolve(host, authority.port, ResolveOptions{}, endpoints_);
}

PORTHOLE_FN Error FastCgiGate::attach(Server& server) {
    if (Error error = find_endpoints()) {
        return error;
    }
    CgiQueue::attach(server);
    return {};
}

PORTHOLE_FN std::chrono::milliseconds FastCgiGate::shortest_timeout() const noexcept {
    return (std::min)(settings_.timeout, settings_.connect_timeout);
}

/// The youngest first, so that the others get old and go. One that can be read has been closed, or
/// says something that nobody has asked for: it is of no use either way.
PORTHOLE_FN Socket FastCgiGate::take_idle() {
    while (!idle_.empty()) {
        Idle idle = std::move(idle_.back());
        idle_.pop_back();
        idle.watch.stop();
        char byte = 0;
        if (idle.socket.receive(&byte, 1).status == IoStatus::would_block) {
            return std::move(idle.socket);
        }
    }
    return {};
}

PORTHOLE_FN void FastCgiGate::keep(Socket socket) {
    if (server() == nullptr || idle_.size() >= settings_.max_idle) {
        return;
    }
    Idle idle;
    const NativeHandle handle = socket.handle();
    const auto on_ready = [weak = weak_from_this(), this, handle](Readiness) {
        if (const std::shared_ptr<CgiQueue> self = weak.lock()) {
            drop_idle(handle);
        }
    };
    if (server()->watch(handle, Interest{true, false}, on_ready, idle.watch)) {
        return;
    }
    idle.socket = std::move(socket);
    idle_.push_back(std::move(idle));
    arm();
}

PORTHOLE_FN void FastCgiGate::drop_idle(NativeHandle handle) {
    for (std::size_t i = 0; i < idle_.size(); ++i) {
        if (idle_[i].socket.handle() == handle) {
            idle_[i].watch.stop();
            idle_.erase(idle_.begin() + static_cast<std::ptrdiff_t>(i));
            return;
        }
    }
}

PORTHOLE_FN bool FastCgiGate::look_after(Duration passed) {
    constexpr std::chrono::seconds most_idle{60};
    for (std::size_t i = idle_.size(); i-- > 0;) {
        idle_[i].age += passed;
        if (idle_[i].age > most_idle) {
            drop_idle(idle_[i].socket.handle());
        }
    }
    return !idle_.empty();
}

PORTHOLE_FN void FastCgiGate::close() noexcept {
    for (Idle& idle : idle_) {
        idle.watch.stop();
    }
    idle_.clear();
    shut_all();
}

} // namespace detail

PORTHOLE_NAMESPACE_END
