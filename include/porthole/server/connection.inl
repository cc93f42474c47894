// SPDX-License-Identifier: MIT
#pragma once

// The input side of a connection. What becomes of a request's content is in connection_content.inl,
// the output side in connection_output.inl, what every turn ends with in connection_turn.inl, and
// what an Upgrade owns in connection_upgrade.inl.

#include "porthole/server/connection.hpp"
#include "porthole/server/core.hpp"
#include "porthole/server/reply_state.hpp"

#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN void Exchange::reset() noexcept {
    constexpr std::size_t kept_content = 64 * 1024;
    connection = nullptr;
    parser.reset();
    chunked.reset();
    head.clear();
    content.clear();
    if (content.capacity() > kept_content) {
        std::string().swap(content);
    }
    content_left = max_content = 0;
    request.reset();
    response.reset();
    scope = nullptr;
    origin = nullptr;
    handler_time = std::chrono::nanoseconds(0);
    content_sent = 0;
    has_request = is_refused = is_over_budget = false;
    drop_reply();
    if (intake) {
        intake->abort();
        intake.reset();
    }
    content_taken = 0;
    route_id = 0;
    is_content_ending = is_content_unread = false;
    rewrites = 0;
    first_method.clear();
    first_target.clear();
}

PORTHOLE_FN void Exchange::drop_reply() noexcept {
    if (reply) {
        reply->connection = nullptr;
        reply->peer_gone.store(true);
        reply.reset();
    }
}

PORTHOLE_FN Server& Connection::server() noexcept {
    return core_.server();
}

PORTHOLE_FN const Limits& Connection::limits() const noexcept {
    return core_.limits();
}

PORTHOLE_FN
Connection::Connection(
    ServerCore& core, std::unique_ptr<Transport> transport, std::string peer, Entrance entrance)
    : core_(core), transport_(std::move(transport)), peer_(std::move(peer)), entrance_(entrance),
      in_(core.limits().max_request_line_bytes + core.limits().max_fields_bytes
          + core.limits().max_read_bytes_per_turn + Exchange::head_slack),
      out_(
          core.limits().max_queue_bytes + core.limits().max_write_bytes_per_turn
          + ServerCore::max_answers_bytes),
      phase_began_(core.now()) {}

PORTHOLE_FN Connection::~Connection() {
    if (exchange_) {
        core_.release_exchange(std::move(exchange_));
    }
}

PORTHOLE_FN Error Connection::open() {
    core_.timers().arm(*this, phase_deadline());
    core_.note_idle(*this); // one that never says a word makes room at the cap, too
    interest_ = Interest{true, false};
    if (transport_->handle() == invalid_handle) {
        return {};
    }
    Pollable* owner = this;
    Error error = core_.poller().add(transport_->handle(), owner, interest_);
    is_watched_ = !error;
    return error;
}

PORTHOLE_FN void Connection::serve(Readiness ready) {
    output_moved_ = false;
    if (must_refuse_) {
        refuse_newcomer();
        return;
    }
    unwanted_input_ = ready.read && !wants_input();
    if (has_output() || source_ != nullptr) {
        send_output();
    }
    switch (phase_) {
    case Phase::head:
    case Phase::content:
    case Phase::deferred:
    case Phase::sending:
        if (exchange_ && exchange_->intake && exchange_->intake->refusal != 0) {
            refuse_rest();
            if (phase_ != Phase::closed) {
                send_output();
            }
        } else if (exchange_ && exchange_->intake && exchange_->is_content_ending) {
            end_content();
            if (phase_ != Phase::closed && has_output()) {
                send_output();
            }
        } else if (wants_input()) {
            read_requests(ready);
        } else if (ready.hangup || ready.error) {
            report_peer_gone(); // and not told again in vain until the answers have left
        }
        break;
    case Phase::upgraded: read_upgraded(ready); break;
    case Phase::lingering: drain_input(ready); break;
    case Phase::closed: break;
    }
    finish_turn();
}

PORTHOLE_FN bool Connection::wants_input() const noexcept {
    switch (phase_) {
    case Phase::head: return !has_output();
    case Phase::content: return !has_output() && !is_content_paused();
    case Phase::upgraded: return !is_reading_paused_ && !peer_ended_;
    case Phase::lingering: return true;
    case Phase::sending: return takes_content() && !is_content_paused();
    case Phase::deferred:
    case Phase::closed: return false;
    }
    return false;
}

PORTHOLE_FN void Connection::read_requests(Readiness ready) {
    if (!in_.is_empty() && !needs_more_) {
        process_held();
        const bool is_upgraded = phase_ == Phase::upgraded; // what comes now is its owner's
        if (is_upgraded || !wants_input() || (!in_.is_empty() && !needs_more_)) {
            return;
        }
    }
    if (!ready.read && !ready.hangup && !ready.error) {
        return;
    }
    const std::size_t most = core_.limits().max_read_bytes_per_turn;
    const IoResult result = transport_->read(core_.read_buffer(), most);
    if (result.status == IoStatus::would_block) {
        return;
    }
    if (result.status == IoStatus::failed) {
        close_now();
        return;
    }
    if (result.status == IoStatus::end) {
        on_peer_end();
        return;
    }
    core_.count_in(result.bytes);
    const std::string_view bytes(core_.read_buffer(), result.bytes);
    if (!in_.is_empty()) { // a copy, so that a head that drips costs no more than its size
        if (in_.append(bytes)) {
            process_held();
        } else {
            close_now();
        }
        return;
    }
    const std::size_t used = process(bytes);
    if (phase_ != Phase::closed && phase_ != Phase::lingering && !in_.append(bytes.substr(used))) {
        close_now();
    }
}

PORTHOLE_FN void Connection::process_held() {
    const std::size_t used = process(in_.view());
    if (phase_ == Phase::closed) {
        return; // a handler may still be looking at in_, which dies with the connection
    }
    in_.consume(used < in_.size() ? used : in_.size()); // a lingering one has dropped all
    if (in_.is_empty()) {
        in_.release();
    }
}

/// Takes as many requests as the budget allows, answers them, and sends the answers together.
/// Returns how many bytes were taken.
PORTHOLE_FN std::size_t Connection::process(std::string_view bytes) {
    std::size_t used = 0;
    needs_more_ = false;
    do {
        if (phase_ == Phase::head) {
            used += take_head(bytes.substr(used));
        } else if (takes_content() && !is_content_paused()) {
            used += take_content(bytes.substr(used));
        } else {
            break;
        }
        if (phase_ != Phase::closed && core_.out().size() >= ServerCore::max_answers_bytes) {
            send_output();
            if (has_output()) {
                break;
            }
        }
    } while (used < bytes.size() && !needs_more_ && !core_.is_out_of_time());
    if (phase_ != Phase::closed && !core_.out().is_empty()) {
        send_output();
    }
    return used;
}

PORTHOLE_FN std::size_t Connection::take_head(std::string_view bytes) {
    if (!exchange_) {
        exchange_ = core_.acquire_exchange();
        exchange_->connection = this;
        if (requests_ != 0) {
            phase_began_ = core_.now();
        }
    }
    switch (exchange_->parser.parse(bytes)) {
    case ParseStatus::need_more: needs_more_ = true; return 0;
    case ParseStatus::failed: refuse(exchange_->parser.fault()); return bytes.size();
    case ParseStatus::complete: break;
    }
    return begin_request(bytes);
}

/// RFC 1945 section 7.2.2: content in HTTP/1.0 has a Content-Length, so a POST without one was cut
/// off.
inline bool needs_length(const RequestHead& head) noexcept {
    const bool has_content =
        head.method == Method::post || head.method == Method::put || head.method == Method::patch;
    return has_content && !head.fields.find("Content-Length");
}

/// The head is complete: decides whether the content is here, is to be read, or is refused.
PORTHOLE_FN std::size_t Connection::begin_request(std::string_view bytes) {
    Exchange& x = *exchange_;
    RequestHead& head = x.parser.head();
    const std::size_t head_size = x.parser.head_size();
    ++requests_;
    core_.count_request();
    x.request.peer = peer_;
    x.request.scheme = transport_->scheme();
    const RequestFault fault = x.request.set_head(head, bytes.data());
    if (fault != RequestFault::none) {
        refuse(fault);
        return bytes.size();
    }
    x.has_request = true;
    x.began = core_.last_reading();
    if (!core_.admit(x, entrance_)) {
        if (phase_ != Phase::closed) {
            send_answer();
        }
        return bytes.size();
    }
    if (head.method == Method::connect) {
        refuse(RequestFault::unknown_method); // a tunnel is what this server never is
        return bytes.size();
    }
    if (head.framing.kind == Framing::Kind::none) {
        if (head.minor_version == 0 && needs_length(head)) {
            refuse(RequestFault::length_required);
            return bytes.size();
        }
        answer();
        return head_size;
    }
    const ServerCore::Content content = core_.receive(x);
    if (phase_ == Phase::closed) {
        return bytes.size();
    }
    if (content == ServerCore::Content::refused) {
        x.is_content_unread = true;
        if (x.response.is_deferred) {
            phase_ = Phase::deferred;
            keep_head();
        } else {
            send_answer();
        }
        return bytes.size();
    }
    const std::string_view rest = bytes.substr(head_size);
    if (head.framing.kind == Framing::Kind::length) {
        if (head.framing.length > x.max_content) {
            refuse(RequestFault::content_too_large);
            return bytes.size();
        }
        const bool is_here = head.framing.length <= rest.size();
        if (is_here && content == ServerCore::Content::collected) {
            const auto size = static_cast<std::size_t>(head.framing.length);
            x.request.body = rest.substr(0, size);
            answer(); // the exchange may be another's from here on
            return head_size + size;
        }
    }
    keep_head();
    return head_size + begin_content(rest);
}

/// The head outlives the turn: its bytes move into the exchange.
PORTHOLE_FN void Connection::keep_head() {
    Exchange& x = *exchange_;
    if (!x.has_request || !x.head.is_empty()) { // what could not be read has no head to keep
        return;
    }
    if (!x.head.append({x.request.base, x.parser.head_size()})) {
        close_now();
        return;
    }
    x.request.move_to(x.head.view().data());
}

PORTHOLE_FN void Connection::answer() {
    Exchange& x = *exchange_;
    core_.handle(x);
    if (phase_ == Phase::closed) {
        return;
    }
    if (!x.response.is_deferred) {
        send_answer();
        return;
    }
    phase_ = Phase::deferred;
    keep_head();
    x.request.body = {};
    x.request.parameters.clear(); // their names live in the route, which may go
}

/// The one way in which the library refuses a request: one answer, and the connection's end.
PORTHOLE_FN void Connection::refuse(RequestFault fault) {
    if (!exchange_) {
        exchange_ = core_.acquire_exchange();
        exchange_->connection = this;
    }
    if (phase_ == Phase::sending) {
        close_now(); // the answer has begun before its content had come
        return;
    }
    core_.refuse(*exchange_, fault, peer_);
    if (phase_ != Phase::closed) {
        send_answer();
    }
}

PORTHOLE_FN void Connection::refuse_in_turn() noexcept {
    must_refuse_ = true;
    core_.make_ready(*this);
}

PORTHOLE_FN void Connection::refuse_newcomer() {
    must_refuse_ = false;
    exchange_ = core_.acquire_exchange();
    exchange_->connection = this;
    core_.refuse_overload(*exchange_, peer_);
    if (phase_ != Phase::closed) {
        send_answer();
        send_output();
    }
    finish_turn();
}

/// End of the stream between requests or within one: whatever was answered has been sent.
PORTHOLE_FN void Connection::on_peer_end() {
    peer_ended_ = true;
    close_now();
}

PORTHOLE_FN void Connection::drain_input(Readiness ready) {
    if (!ready.read && !ready.hangup && !ready.error) {
        return;
    }
    const IoResult result =
        transport_->read(core_.read_buffer(), core_.limits().max_read_bytes_per_turn);
    if (result.status == IoStatus::would_block) {
        return;
    }
    core_.count_in(result.bytes);
    received_ += result.bytes;
    if (result.status != IoStatus::ok || received_ > core_.limits().max_linger_bytes) {
        close_now();
    }
}

/// In a turn of this connection: what the owner sends leaves behind it.
template <class Call>
PORTHOLE_FN void Connection::call_owner(const Call& call) {
    const std::shared_ptr<Upgrade> owner = upgrade_; // a callback may close the connection
    is_in_turn_ = may_write_now_ = true;
    call(*owner);
    is_in_turn_ = may_write_now_ = false;
}

} // namespace detail

PORTHOLE_NAMESPACE_END
