// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/ext/fastcgi_gate.hpp"
#include "porthole/ext/fastcgi_request.hpp"
#include "porthole/ext/fastcgi_request_output.inl"

#include <algorithm>
#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// What is read back of a spooled upload at a time.
inline constexpr std::size_t fastcgi_piece_bytes = 32 * 1024;

inline CgiHeadParser::Options fastcgi_head_options(const FastCgiSettings& settings) noexcept {
    CgiHeadParser::Options options;
    options.max_bytes = settings.max_head_bytes;
    return options;
}

PORTHOLE_FN
FastCgiRequest::FastCgiRequest(std::shared_ptr<FastCgiGate> gate, FastCgiOrder order, Reply reply)
    : CgiTask(gate, order), order_(std::move(order)),
      upload_(gate, order_.has_content, order_.is_spooled),
      answer_(std::move(reply), fastcgi_head_options(gate->settings()), order_.is_head) {}

// The request's content.

PORTHOLE_FN void FastCgiRequest::on_content(std::string_view piece) {
    const std::shared_ptr<CgiTask> self = shared_from_this();
    is_active_ = true;
    if (upload_.is_dropped() || stage_ >= Stage::ending) {
        upload_.drop_more(piece.size());
    } else if (upload_.is_spooled()) {
        if (!upload_.spool(piece)) {
            log(LogLevel::error, LogId::program_failed, upload_is_not_spooled);
        }
    } else {
        queue_content(piece);
        if (stage_ >= Stage::head) {
            feed();
        } else {
            upload_.pause(true);
        }
    }
}

PORTHOLE_FN void FastCgiRequest::queue_content(std::string_view bytes) {
    if (gate().is_scgi()) {
        pending_.append(bytes);
    } else if (!bytes.empty()) { // an empty record would be the end
        append_fastcgi_records(FastCgiType::input, bytes, pending_);
    }
}

PORTHOLE_FN void FastCgiRequest::on_content_end() {
    const std::shared_ptr<CgiTask> self = shared_from_this();
    upload_.end();
    if (stage_ == Stage::waiting && upload_.is_spooled()) {
        order_.variables.push_back("CONTENT_LENGTH=" + std::to_string(upload_.spooled_bytes()));
        upload_.leave_spooling(); // and takes the place that it had
        if (queue().server() != nullptr) {
            queue().enter(self);
        } else {
            give_up(503, "its mount has gone");
        }
    } else if (stage_ >= Stage::head && stage_ < Stage::ending) {
        feed();
    }
}

PORTHOLE_FN void FastCgiRequest::on_content_abort() {
    const std::shared_ptr<CgiTask> self = shared_from_this();
    upload_.end();
    if (stage_ < Stage::ending) {
        abandon();
    }
}

PORTHOLE_FN bool FastCgiRequest::has_more_to_send() const noexcept {
    return request_sent_ < request_.size() || pending_sent_ < pending_.size()
           || (!upload_.is_dropped() && upload_.has_spooled());
}

/// Queues what is next of a spooled upload, and the end of the content when it is there.
PORTHOLE_FN bool FastCgiRequest::refill() {
    if (pending_sent_ == pending_.size()) {
        pending_.clear();
        pending_sent_ = 0;
    }
    if (upload_.is_dropped() || !pending_.empty()) {
        return true;
    }
    if (upload_.has_spooled()) {
        std::string bytes(fastcgi_piece_bytes, '\0');
        bytes.resize(upload_.read_spooled(&bytes[0], bytes.size()));
        if (bytes.empty()) {
            give_up(500, "the spooled upload cannot be read back");
            return false;
        }
        queue_content(bytes);
    } else if (upload_.has_ended() && !input_is_closed_) {
        input_is_closed_ = true;
        if (!gate().is_scgi()) { // SCGI knows the end from CONTENT_LENGTH
            append_fastcgi_records(FastCgiType::input, {}, pending_);
        }
    }
    return true;
}

/// Moves what has come of the content to the application server, as far as it takes it.
PORTHOLE_FN void FastCgiRequest::feed() {
    if (stage_ < Stage::head || stage_ >= Stage::ending || !refill()) {
        return;
    }
    if (request_sent_ < request_.size() || !pending_.empty()) {
        const std::string_view slices[] = {
            std::string_view(request_).substr(request_sent_),
            std::string_view(pending_).substr(pending_sent_)};
        const bool has_request = !slices[0].empty();
        const IoResult result = has_request ? socket_.send(slices, pending_.empty() ? 1 : 2)
                                            : socket_.send(slices + 1, 1);
        if (result.status == IoStatus::failed && is_stale()) {
            begin_again();
            return;
        }
        if (result.status == IoStatus::failed) {
            // What it has said before is still its answer, and reading tells when there is none.
            drop_input();
            update_watch();
            return;
        }
        if (result.bytes != 0) {
            is_active_ = true;
            const std::size_t of_request = (std::min)(result.bytes, slices[0].size());
            request_sent_ += of_request;
            pending_sent_ += result.bytes - of_request;
            has_sent_content_ |= order_.has_content && result.bytes > of_request;
        }
    }
    if (!refill()) {
        return;
    }
    if (input_is_closed_ && !has_more_to_send()) {
        std::string().swap(pending_);
        pending_sent_ = 0;
    }
    upload_.pause(has_more_to_send());
    update_watch();
}

PORTHOLE_FN void FastCgiRequest::drop_input() {
    request_sent_ = request_.size();
    const std::size_t unsent = pending_.size() - pending_sent_;
    std::string().swap(pending_);
    pending_sent_ = 0;
    upload_.drop(unsent);
}

// The connection.

PORTHOLE_FN void FastCgiRequest::start() {
    const std::shared_ptr<CgiTask> self = shared_from_this();
    if (stage_ != Stage::waiting || answer_.peer_gone()) {
        abandon();
        return;
    }
    if (gate().is_scgi()) {
        append_scgi_head(order_.variables, request_);
    } else {
        append_fastcgi_head(order_.variables, gate().settings().keeps_connections, request_);
    }
    std::vector<std::string>().swap(order_.variables);
    is_active_ = true;
    Socket idle = gate().take_idle();
    if (idle.is_open()) {
        begin_exchange(std::move(idle), true);
    } else {
        begin_connecting();
    }
}

/// The deadline is not the connector's but the beat's: a breakpoint must not use it up.
PORTHOLE_FN void FastCgiRequest::begin_connecting() {
    stage_ = Stage::connecting;
    connector_.start(gate().endpoints(), never);
    look_at_connector(TimePoint());
}

PORTHOLE_FN void FastCgiRequest::look_at_connector(TimePoint now) {
    using State = Connector::State;
    watch_.stop(); // the next address has another socket
    switch (connector_.state() == State::connecting ? connector_.advance(now)
                                                    : connector_.state()) {
    case State::connected: begin_exchange(connector_.take_socket(), false); break;
    case State::connecting:
        if (!watch(connector_.handle(), Interest{false, true}, &FastCgiRequest::on_connect_ready)) {
            give_up(503, "its socket cannot be watched");
        }
        break;
    case State::idle:
    case State::failed: fail_connecting(); break;
    }
}

PORTHOLE_FN void FastCgiRequest::on_connect_ready(Readiness) {
    if (stage_ == Stage::connecting) {
        look_at_connector(TimePoint());
    }
}

PORTHOLE_FN void FastCgiRequest::fail_connecting() {
    constexpr int bad_gateway = 502;
    constexpr int unavailable = 503;
    constexpr int timeout = 504;
    const Error& error = connector_.error();
    // A unix socket whose queue is full says so instead of waiting.
    const bool is_shortage =
        error.code() == ErrorCode::too_many_files || error.code() == ErrorCode::exhausted;
    const int status = error.code() == ErrorCode::timed_out ? timeout
                       : is_shortage                        ? unavailable
                                                            : bad_gateway;
    give_up(status, error.message());
}

PORTHOLE_FN void FastCgiRequest::begin_exchange(Socket socket, bool is_reused) {
    connector_ = Connector();
    socket_ = std::move(socket);
    is_reused_ = is_reused;
    request_sent_ = 0;
    watched_ = {};
    stage_ = Stage::head;
    is_active_ = true;
    feed();
}

/// A kept connection that was closed by the other side between two requests: nothing has been done
/// with this one, so it may be sent again.
PORTHOLE_FN bool FastCgiRequest::is_stale() const noexcept {
    const bool was_understood = request_sent_ == request_.size();
    return is_reused_ && !has_received_ && !has_sent_content_ && stage_ == Stage::head
           && (order_.is_repeatable || !was_understood);
}

PORTHOLE_FN void FastCgiRequest::begin_again() {
    watch_.stop();
    socket_.close();
    if (!order_.has_content) {
        pending_.clear(); // perhaps a part of the record that ends the content
        pending_sent_ = 0;
        input_is_closed_ = false;
    }
    fault_.clear();
    peer_has_ended_ = false;
    reader_ = FastCgiReader();
    begin_connecting();
}

/// Asks for what is wanted now: nothing of the answer while the client has no room for it.
PORTHOLE_FN void FastCgiRequest::update_watch() {
    if (stage_ < Stage::head || stage_ == Stage::over) {
        return;
    }
    Interest interest{stage_ != Stage::content || source_waits_, has_more_to_send(), false};
    if (peer_has_ended_) {
        interest = Interest{false, false, false};
    }
    if (watch_.is_watching()) {
        if (interest != watched_) {
            watch_.set_interest(interest);
        }
    } else if (!watch(socket_.handle(), interest, &FastCgiRequest::on_ready)) {
        give_up(503, "its connection cannot be watched");
        return;
    }
    watched_ = interest;
}

PORTHOLE_FN bool FastCgiRequest::watch(
    NativeHandle handle, Interest interest, void (FastCgiRequest::*callback)(Readiness)) {
    if (queue().server() == nullptr) {
        return false;
    }
    const Error error = queue().server()->watch(
        handle, interest,
        [weak = weak_from_this(), this, callback](Readiness readiness) {
            if (const std::shared_ptr<CgiTask> self = weak.lock()) {
                (this->*callback)(readiness);
            }
        },
        watch_);
    return !error;
}

PORTHOLE_FN void FastCgiRequest::on_ready(Readiness readiness) {
    const bool is_read = readiness.read || readiness.hangup || readiness.error;
    if (readiness.write && has_more_to_send()) {
        feed();
    }
    if (!is_read || stage_ == Stage::connecting) { // feed() has begun again, on another socket
        return;
    }
    if (stage_ == Stage::head) {
        on_head_input();
    } else if (stage_ == Stage::ending) {
        on_ending_input();
    } else if (stage_ == Stage::content && source_waits_) {
        source_waits_ = false;
        is_active_ = true;
        update_watch();
        wake_source();
    } else {
        watch_.stop(); // a broken connection is told again and again although it is masked
    }
}

// Ends.

/// No answer, or none to the end. `why` is for the log: to the client it would say too much.
PORTHOLE_FN void FastCgiRequest::give_up(int status, std::string_view why) {
    const bool has_begun = stage_ >= Stage::content;
    std::string text(why);
    text += has_begun ? "; the answer is broken off" : "; the answer is " + std::to_string(status);
    log(LogLevel::error, LogId::program_failed, text);
    answer_.fail(status, no_answer);
    abandon();
}

/// Closing is what tells the application server that nobody waits any more: it is seen at once, by
/// those that do not read FCGI_ABORT_REQUEST too.
PORTHOLE_FN void FastCgiRequest::abandon() {
    is_broken_ = true;
    answer_.forget();
    upload_.leave_spooling();
    const bool was_waiting = std::exchange(source_waits_, false);
    end_connection(false);
    if (was_waiting) {
        wake_source(); // so that the client is told
    }
}

PORTHOLE_FN void FastCgiRequest::shut() noexcept {
    stage_ = Stage::over;
    is_broken_ = true;
    watch_.stop();
    connector_ = Connector();
    socket_.close();
    PORTHOLE_TRY {
        upload_.drop(0);
        answer_.fail(503, "What answered at this path has been taken down.");
        if (std::exchange(source_waits_, false)) {
            post_wake();
        }
    }
    PORTHOLE_CATCH_ALL {} // no memory: the client waits until its own deadline
    answer_.forget();
}

/// The exchange has come to its end, well or not; `keeps_it`: the connection is fit for another.
PORTHOLE_FN void FastCgiRequest::end_connection(bool keeps_it) {
    if (stage_ == Stage::over) {
        return;
    }
    stage_ = Stage::over;
    watch_.stop();
    connector_ = Connector();
    lines_.finish(line_sink());
    if (!upload_.is_dropped()) {
        drop_input();
    }
    if (keeps_it) {
        gate().keep(std::move(socket_));
    }
    socket_.close();
    std::string().swap(input_);
    std::string().swap(request_);
    request_sent_ = 0;
    queue().leave(*this);
}

PORTHOLE_FN void FastCgiRequest::on_beat(Duration passed) {
    const std::shared_ptr<CgiTask> self = shared_from_this();
    if (stage_ == Stage::over || check_time(passed)) {
        return;
    }
    lines_.allow_more(line_sink());
    if (stage_ < Stage::content && answer_.peer_gone()) {
        abandon(); // nobody waits for it any more
    }
}

/// True when the request has come to its end by that.
PORTHOLE_FN bool FastCgiRequest::check_time(Duration passed) {
    constexpr std::chrono::seconds grace{3};
    const FastCgiSettings& settings = gate().settings();
    const bool waits_for_upload = stage_ >= Stage::head && !upload_.has_ended()
                                  && !has_more_to_send() && !upload_.is_dropped();
    const bool waits_for_client = (stage_ == Stage::content && !source_waits_) || waits_for_upload;
    quiet_ = is_active_ || waits_for_client ? Duration::zero() : quiet_ + passed;
    is_active_ = false;
    switch (stage_) {
    case Stage::waiting:
        if (quiet_ <= settings.timeout) {
            return false;
        }
        give_up(503, "no place became free in time (FastCgiOptions::max_connections)");
        return true;
    case Stage::connecting:
        connecting_for_ += passed;
        if (connecting_for_ <= settings.connect_timeout) {
            return false;
        }
        look_at_connector(never); // one last look
        return stage_ == Stage::over;
    case Stage::ending:
        ending_for_ += passed;
        if (ending_for_ <= grace) {
            return false;
        }
        end_connection(false);
        return true;
    case Stage::head:
    case Stage::content:
        if (quiet_ <= settings.timeout) {
            return false;
        }
        give_up(504, "neither sent nor read anything in time (FastCgiOptions::timeout)");
        return true;
    case Stage::over: break;
    }
    return true;
}

} // namespace detail

PORTHOLE_NAMESPACE_END
