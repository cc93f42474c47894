// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/ext/fastcgi_gate.hpp"
#include "porthole/ext/fastcgi_request.hpp"
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
    server_ = &server;
    poster_ = server.poster();
    return {};
}

PORTHOLE_FN void
FastCgiGate::log(LogLevel level, LogId id, std::string_view sentence, std::string_view peer) const {
    if (server_ == nullptr || !server_->options().log) {
        return;
    }
    PORTHOLE_TRY {
        server_->options().log(LogEvent{level, id, sentence, peer});
    }
    PORTHOLE_CATCH_ALL {} // a sink that fails is no reason to drop anybody
}

PORTHOLE_FN bool FastCgiGate::has_room() const noexcept {
    return running_.size() + waiting_.size() + spooling_
           < settings_.max_connections + settings_.max_waiting;
}

PORTHOLE_FN void FastCgiGate::enter(const std::shared_ptr<FastCgiRequest>& request) {
    arm();
    if (waiting_.empty() && running_.size() < settings_.max_connections) {
        start(request);
    } else {
        waiting_.push_back(request);
    }
}

PORTHOLE_FN void FastCgiGate::start(const std::shared_ptr<FastCgiRequest>& request) {
    running_.push_back(request);
    request->start();
}

PORTHOLE_FN void FastCgiGate::leave(const FastCgiRequest& request) {
    const auto is_it = [&request](const std::shared_ptr<FastCgiRequest>& other) {
        return other.get() == &request;
    };
    running_.erase(std::remove_if(running_.begin(), running_.end(), is_it), running_.end());
    waiting_.erase(std::remove_if(waiting_.begin(), waiting_.end(), is_it), waiting_.end());
    note_free_place();
}

/// Beginning with the next one is a unit of work of its own.
PORTHOLE_FN void FastCgiGate::note_free_place() {
    if (waiting_.empty() || is_posted_ || server_ == nullptr) {
        return;
    }
    is_posted_ = true;
    poster_.post([self = weak_from_this()] {
        if (const std::shared_ptr<FastCgiGate> gate = self.lock()) {
            gate->is_posted_ = false;
            gate->start_next();
        }
    });
}

PORTHOLE_FN void FastCgiGate::start_next() {
    if (server_ == nullptr || waiting_.empty() || running_.size() >= settings_.max_connections) {
        return;
    }
    const std::shared_ptr<FastCgiRequest> request = std::move(waiting_.front());
    waiting_.pop_front();
    start(request);
    note_free_place();
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
    if (server_ == nullptr || idle_.size() >= settings_.max_idle) {
        return;
    }
    Idle idle;
    const NativeHandle handle = socket.handle();
    const auto on_ready = [self = weak_from_this(), handle](Readiness) {
        if (const std::shared_ptr<FastCgiGate> gate = self.lock()) {
            gate->drop_idle(handle);
        }
    };
    if (server_->watch(handle, Interest{true, false}, on_ready, idle.watch)) {
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

PORTHOLE_FN void FastCgiGate::arm() {
    constexpr std::chrono::milliseconds usual{250};
    constexpr std::chrono::milliseconds least{1};
    constexpr int beats_in_timeout = 8;
    if (beat_.is_pending() || server_ == nullptr) {
        return;
    }
    const auto shortest = (std::min)(settings_.timeout, settings_.connect_timeout);
    const auto beat = (std::max)(least, (std::min)(usual, shortest / beats_in_timeout));
    last_beat_ = now();
    beat_ = server_->call_after(beat, [self = weak_from_this(), beat] {
        const std::shared_ptr<FastCgiGate> gate = self.lock();
        if (gate && gate->server_ != nullptr) {
            // A frame that took long, or a breakpoint, is not the fault of those behind.
            const Duration longest = beat + gate->server_->options().limits.max_tick_gap;
            gate->on_beat((std::min)(gate->now() - gate->last_beat_, longest));
            if (!gate->running_.empty() || !gate->waiting_.empty() || !gate->idle_.empty()) {
                gate->arm();
            }
        }
    });
}

PORTHOLE_FN TimePoint FastCgiGate::now() const noexcept {
    Clock* const clock = server_->options().clock;
    return clock != nullptr ? clock->now() : SystemClock().now();
}

PORTHOLE_FN void FastCgiGate::on_beat(Duration passed) {
    constexpr std::chrono::seconds most_idle{60};
    std::vector<std::shared_ptr<FastCgiRequest>> all(running_);
    all.insert(all.end(), waiting_.begin(), waiting_.end());
    for (const std::shared_ptr<FastCgiRequest>& request : all) {
        request->on_beat(passed);
    }
    for (std::size_t i = idle_.size(); i-- > 0;) {
        idle_[i].age += passed;
        if (idle_[i].age > most_idle) {
            drop_idle(idle_[i].socket.handle());
        }
    }
    note_free_place();
}

PORTHOLE_FN void FastCgiGate::close() noexcept {
    server_ = nullptr;
    beat_.cancel();
    const std::vector<std::shared_ptr<FastCgiRequest>> running = std::move(running_);
    const std::deque<std::shared_ptr<FastCgiRequest>> waiting = std::move(waiting_);
    running_.clear();
    waiting_.clear();
    for (Idle& idle : idle_) {
        idle.watch.stop();
    }
    idle_.clear();
    for (const std::shared_ptr<FastCgiRequest>& request : running) {
        request->shut();
    }
    for (const std::shared_ptr<FastCgiRequest>& request : waiting) {
        request->shut();
    }
}

} // namespace detail

PORTHOLE_NAMESPACE_END
