// SPDX-License-Identifier: MIT
#pragma once

// How connections begin: listeners, accepting, the cap, transports from elsewhere; and watched
// descriptors.

#include "porthole/http/target.hpp"
#include "porthole/server/core.hpp"

#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN Error ListenerEntry::open() {
    interest_ = Interest{true, false, false};
    Pollable* owner = this;
    return core_.poller().add(listener_.handle(), owner, interest_);
}

PORTHOLE_FN ListenerEntry::~ListenerEntry() {
    if (listener_.is_open()) {
        core_.poller().remove(listener_.handle());
    }
}

PORTHOLE_FN void ListenerEntry::serve(Readiness) {
    const Expose expose = listener_.options().expose;
    const bool is_exposed = expose != Expose::no && listener_.endpoint().family() != Family::local;
    const Entrance entrance{is_exposed, is_exposed && expose == Expose::lan_with_token};
    for (;;) {
        if (!core_.may_accept()) {
            core_.make_ready(*this);
            return;
        }
        Socket socket;
        Endpoint peer;
        switch (listener_.accept(socket, peer)) {
        case AcceptStatus::accepted:
            core_.accept(std::move(socket), peer, entrance);
            core_.read_clock();
            break;
        case AcceptStatus::retry: break;
        case AcceptStatus::none: return;
        case AcceptStatus::exhausted:
        case AcceptStatus::failed: back_off(); return;
        }
    }
}

/// No descriptor is left: the listener is not watched for a while, instead of being told in vain at
/// each poll that somebody waits.
PORTHOLE_FN void ListenerEntry::back_off() noexcept {
    core_.note_exhausted();
    interest_ = Interest{false, false, false};
    Pollable* owner = this;
    static_cast<void>(core_.poller().modify(listener_.handle(), owner, interest_));
    core_.timers().arm(*this, core_.now() + core_.limits().accept_backoff);
}

PORTHOLE_FN void ListenerEntry::on_deadline() {
    interest_ = Interest{true, false, false};
    Pollable* owner = this;
    static_cast<void>(core_.poller().modify(listener_.handle(), owner, interest_));
}

/// A few for each tick, so that a flood of newcomers leaves time for those who are here.
PORTHOLE_FN bool ServerCore::may_accept() noexcept {
    if (accepts_left_ == 0 || is_out_of_time()) {
        return false;
    }
    --accepts_left_;
    return true;
}

PORTHOLE_FN void ServerCore::note_exhausted() noexcept {
    ++stats_.accept_backoffs;
    log(LogLevel::warning, LogId::accept_failed,
        "No descriptor or memory is left for a new connection; accepting pauses "
        "(Limits::accept_backoff).");
}

/// How many connections the address of `peer` has.
PORTHOLE_FN std::size_t ServerCore::count_from(std::string_view peer) noexcept {
    const std::string_view host = peer.substr(0, peer.rfind(':'));
    std::size_t count = 0;
    for (Connection* c = open_.front(); c != nullptr; c = open_.after(*c)) {
        const std::string_view other = c->peer();
        count += other.substr(0, other.rfind(':')) == host ? 1u : 0u;
    }
    return count;
}

PORTHOLE_FN void ServerCore::accept(Socket socket, const Endpoint& peer, Entrance entrance) {
    // Beyond the cap a few more may hear why they are not served.
    constexpr std::size_t max_refusals = 16;
    ++work_;
    ++stats_.accepted;
    std::string name = peer.to_string();
    const bool is_crowd = entrance.is_exposed && !peer.is_loopback()
                          && count_from(name) >= limits().max_connections_per_address;
    const bool is_full = connections_ >= limits().max_connections;
    Connection* longest_idle = is_full && !is_crowd ? idle_.front() : nullptr;
    if (longest_idle != nullptr) {
        longest_idle->close_now();
    }
    const bool is_refused = is_crowd || (is_full && longest_idle == nullptr);
    if (is_full || is_crowd) {
        ++stats_.refused;
        log(LogLevel::warning, LogId::connection_capped,
            is_crowd ? "One address has too many connections (Limits::max_connections_per_address)."
                     : "The longest idle connection makes room, else the newcomer gets 503 "
                       "(Limits::max_connections).",
            name);
    }
    if (is_refused && connections_ >= limits().max_connections + max_refusals) {
        return;
    }
    std::unique_ptr<Transport> transport(new SocketTransport(std::move(socket)));
    std::unique_ptr<Connection> connection(
        new Connection(*this, std::move(transport), std::move(name), entrance));
    ++connections_;
    Connection& opened = *connection.release();
    open_.push_back(opened);
    if (opened.open()) {
        opened.close_now();
    } else if (is_refused) {
        opened.refuse_in_turn();
    }
}

PORTHOLE_FN Error ServerCore::adopt(std::unique_ptr<Transport> transport, std::string_view peer) {
    if (broken_) {
        return broken_;
    }
    if (transport == nullptr || is_draining_) {
        return Error(ErrorCode::misuse, "adopt", peer, "the server must be running");
    }
    const bool has_descriptor = transport->handle() != invalid_handle;
    std::unique_ptr<Connection> connection(
        new Connection(*this, std::move(transport), std::string(peer), Entrance{}));
    ++connections_;
    ++stats_.accepted;
    Connection& opened = *connection.release();
    (has_descriptor ? open_ : descriptorless_).push_back(opened);
    Error error = opened.open();
    if (error) {
        opened.close_now();
    }
    return error;
}

/// A server that has been stopped, or is about to, starts anew.
PORTHOLE_FN void ServerCore::restart() noexcept {
    if (mailbox_->is_stop_requested() || is_draining_) {
        mailbox_->forget_stop();
        listeners_.clear();
        close_connections();
        is_draining_ = false;
        stop_deadline_ = never;
    }
}

PORTHOLE_FN Error
ServerCore::listen(std::string_view host, std::uint16_t port, const ListenOptions& options) {
    if (broken_) {
        return broken_;
    }
    restart();
    if (options.expose == Expose::lan_with_token && !gatekeeper_.make_secrets()) {
        return no_secrets();
    }
    std::vector<const Listener*> existing;
    for (const std::unique_ptr<ListenerEntry>& entry : listeners_) {
        existing.push_back(&entry->listener());
    }
    std::vector<Listener> opened;
    std::vector<Error> skipped;
    Error error = open_listeners(host, port, options, existing, opened, skipped);
    if (error) {
        return error;
    }
    for (const Error& each : skipped) {
        log(LogLevel::warning, LogId::listen_skipped, each.message());
    }
    return start_listening(std::move(opened));
}

PORTHOLE_FN Error ServerCore::listen_unix(std::string_view path, unsigned mode) {
    if (broken_) {
        return broken_;
    }
    restart();
    const Endpoint endpoint = Endpoint::local(path);
    for (const std::unique_ptr<ListenerEntry>& entry : listeners_) {
        if (entry->listener().endpoint() == endpoint) {
            return {};
        }
    }
    std::vector<Listener> opened(1);
    Error error = Listener::open(endpoint, ListenOptions{}, mode, opened.front());
    return error ? error : start_listening(std::move(opened));
}

PORTHOLE_FN Error ServerCore::start_listening(std::vector<Listener> opened) {
    const std::size_t before = listeners_.size();
    for (Listener& listener : opened) {
        log(LogLevel::info, LogId::listening, "Listening on " + listener.endpoint().to_string());
        listeners_.push_back(
            std::unique_ptr<ListenerEntry>(new ListenerEntry(*this, std::move(listener))));
        Error error = listeners_.back()->open();
        if (error) {
            listeners_.resize(before);
            return error;
        }
    }
    return {};
}

PORTHOLE_FN std::vector<Endpoint> ServerCore::endpoints() const {
    std::vector<Endpoint> all;
    for (const std::unique_ptr<ListenerEntry>& entry : listeners_) {
        all.push_back(entry->listener().endpoint());
    }
    return all;
}

PORTHOLE_FN std::uint16_t ServerCore::port() const noexcept {
    for (const std::unique_ptr<ListenerEntry>& entry : listeners_) {
        if (entry->listener().endpoint().port() != 0) {
            return entry->listener().endpoint().port();
        }
    }
    return 0;
}

PORTHOLE_FN std::string ServerCore::token() {
    return gatekeeper_.make_secrets() ? gatekeeper_.token() : std::string();
}

PORTHOLE_FN std::vector<std::string> ServerCore::urls() const {
    std::vector<std::string> urls;
    const auto add = [&urls](const Endpoint& endpoint, std::string host, const std::string& query) {
        if (endpoint.family() == Family::ipv6 && host != "localhost") {
            host = "[" + host + "]";
        }
        std::string url = "http://" + host + ":" + std::to_string(endpoint.port()) + "/" + query;
        for (const std::string& known : urls) {
            if (known == url) {
                return;
            }
        }
        urls.push_back(std::move(url));
    };
    for (const std::unique_ptr<ListenerEntry>& entry : listeners_) {
        const Endpoint& endpoint = entry->listener().endpoint();
        if (endpoint.family() == Family::local) {
            continue; // no browser speaks it
        }
        const bool needs_token = options_.guard.requires_token
                                 || entry->listener().options().expose == Expose::lan_with_token;
        std::string query;
        if (needs_token) {
            query = "?token=";
            percent_encode(gatekeeper_.token(), query); // the program may have chosen it
        }
        const bool is_local = endpoint.is_loopback() || endpoint.is_wildcard();
        add(endpoint, is_local ? std::string("localhost") : endpoint.host_text(), query);
        if (!endpoint.is_wildcard()) {
            continue;
        }
        for (Endpoint own : interface_addresses()) {
            own.set_port(endpoint.port());
            if (!own.is_loopback() && own.family() == endpoint.family() && own.scope_id() == 0) {
                add(own, own.host_text(), query);
            }
        }
    }
    return urls;
}

PORTHOLE_FN void
ServerCore::for_each_pollfd(const std::function<void(NativeHandle, Interest)>& visit) const {
    if (broken_) {
        return;
    }
    visit(mailbox_->waker().handle(), Interest{true, false, false});
    for (const std::unique_ptr<ListenerEntry>& entry : listeners_) {
        if (entry->interest().read) {
            visit(entry->listener().handle(), entry->interest());
        }
    }
    auto& self = const_cast<ServerCore&>(*this); // walking an intrusive list does not change it
    for (Connection* c = self.open_.front(); c != nullptr; c = self.open_.after(*c)) {
        const Interest interest = c->interest();
        if (interest.read || interest.write || interest.hangup) {
            visit(c->handle(), interest);
        }
    }
    for (WatchEntry* w = self.watches_.front(); w != nullptr; w = self.watches_.after(*w)) {
        visit(w->handle(), w->interest());
    }
}

PORTHOLE_FN Error ServerCore::watch(
    NativeHandle handle, Interest interest, WatchCallback callback,
    std::shared_ptr<WatchEntry>& entry) {
    if (broken_) {
        return broken_;
    }
    PORTHOLE_ASSERT(callback, "a watch needs a callback");
    if (!callback) {
        return Error(ErrorCode::misuse, "watch", "", "a watch needs a callback");
    }
    entry = std::make_shared<WatchEntry>(*this, handle, interest, std::move(callback));
    entry->keep_alive(entry);
    Error error = entry->open();
    if (error) {
        entry.reset();
    }
    return error;
}

PORTHOLE_FN Error WatchEntry::open() {
    Pollable* owner = this;
    Error error = core_->poller().add(handle_, owner, interest_);
    if (!error) {
        core_->add_watch(*this);
    }
    return error;
}

PORTHOLE_FN void WatchEntry::serve(Readiness ready) {
    const std::shared_ptr<WatchEntry> self = self_.lock();
    if (core_ != nullptr && self) {
        core_->count_work();
        BorrowedFunction<WatchCallback> borrowed(callback_); // stop() must not destroy it meanwhile
        PORTHOLE_TRY {
            borrowed.call(ready);
            if (core_ != nullptr) {
                borrowed.give_back();
            }
        }
        PORTHOLE_CATCH_ALL {
            stop(); // here, since nobody else may know that it still exists
        }
    }
}

PORTHOLE_FN void WatchEntry::set_interest(Interest interest) {
    if (core_ == nullptr || interest == interest_) {
        return;
    }
    interest_ = interest;
    Pollable* owner = this;
    if (core_->poller().modify(handle_, owner, interest)) {
        stop();
    }
}

PORTHOLE_FN void WatchEntry::stop() noexcept {
    if (core_ != nullptr) {
        core_->poller().remove(handle_);
        core_ = nullptr;
        static_cast<ListLink<ReadyTag>&>(*this).unlink();
        static_cast<ListLink<OpenTag>&>(*this).unlink();
        const WatchCallback dropped = std::move(callback_); // it may hold the handle that holds us
        callback_ = nullptr;
    }
}

} // namespace detail

PORTHOLE_FN WatchHandle::WatchHandle(std::shared_ptr<detail::WatchEntry> entry) noexcept
    : entry_(std::move(entry)) {}

PORTHOLE_FN WatchHandle& WatchHandle::operator=(WatchHandle&& other) noexcept {
    if (this != &other) {
        const std::shared_ptr<detail::WatchEntry> entry = std::exchange(entry_, nullptr);
        entry_ = std::move(other.entry_);
        if (entry) {
            entry->stop();
        }
    }
    return *this;
}

PORTHOLE_FN void WatchHandle::set_interest(Interest interest) {
    if (entry_) {
        entry_->set_interest(interest);
    }
}

PORTHOLE_FN void WatchHandle::stop() noexcept {
    // What the callback holds may be the owner of this handle, which then ends in here.
    if (const std::shared_ptr<detail::WatchEntry> entry = std::exchange(entry_, nullptr)) {
        entry->stop();
    }
}

PORTHOLE_NAMESPACE_END
