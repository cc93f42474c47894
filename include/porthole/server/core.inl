// SPDX-License-Identifier: MIT
#pragma once

// The loop. A round is: mail, one poll, a turn for each that is ready, deadlines. A tick is as many
// rounds as the budget allows and the work needs.

#include "porthole/server/core.hpp"

#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN void define_PORTHOLE_IMPLEMENTATION_in_exactly_one_source_file() {}

/// A unit of nothing would never get anywhere, and a time beyond all clocks would overflow.
inline Options with_sane_limits(Options options) {
    for (std::size_t* unit :
         {&options.limits.max_accepts_per_tick, &options.limits.max_read_bytes_per_turn,
          &options.limits.max_write_bytes_per_turn}) {
        *unit = *unit == 0 ? 1 : *unit;
    }
    for (std::chrono::milliseconds* time :
         {&options.limits.head_timeout, &options.limits.body_grace, &options.limits.idle_timeout,
          &options.limits.write_stall_timeout, &options.limits.linger_timeout,
          &options.limits.stop_grace, &options.limits.accept_backoff,
          &options.limits.max_tick_gap}) {
        *time = std::chrono::duration_cast<std::chrono::milliseconds>(to_duration(*time));
    }
    return options;
}

inline std::string fixed_fields(const Options& options) {
    std::string lines;
    if (!options.server_name.empty()) {
        lines += "Server: " + options.server_name + "\r\n";
    }
    if (options.guard.adds_security_fields) {
        lines += "X-Content-Type-Options: nosniff\r\n"
                 "Cross-Origin-Resource-Policy: same-origin\r\n"
                 "Referrer-Policy: no-referrer\r\n";
    }
    return lines;
}

PORTHOLE_FN ServerCore::ServerCore(Options options)
    : options_(with_sane_limits(std::move(options))), gatekeeper_(options_.guard),
      clock_source_(options_.clock != nullptr ? options_.clock : &system_clock_),
      clock_(clock_source_->now()), now_(clock_), budget_end_(never), tick_began_(clock_),
      timers_(clock_), mailbox_(std::make_shared<Mailbox>()), waker_entry_(*mailbox_),
      router_(std::make_shared<Router>()),
      read_buffer_(new char[options_.limits.max_read_bytes_per_turn]),
      events_(new Poller::Event[Poller::max_events]), out_(16 * max_answers_bytes),
      default_fields_(fixed_fields(options_)) {
    exchanges_.reserve(max_free_exchanges);
    if (options_.guard.requires_token && !gatekeeper_.make_secrets()) {
        broken_ = no_secrets();
        return;
    }
    broken_ = make_poller(options_.poller, poller_);
    if (!broken_) {
        broken_ = mailbox_->open();
    }
    if (!broken_) {
        Pollable* owner = &waker_entry_;
        broken_ = poller_->add(mailbox_->waker().handle(), owner, Interest{true, false, false});
    }
}

PORTHOLE_FN ServerCore::~ServerCore() {
    clear_graveyard();
    if (is_gone_ != nullptr) {
        *is_gone_ = true;
    }
}

PORTHOLE_FN void ServerCore::shut_down() noexcept {
    is_shut_down_ = true;
    if (!is_ticking_) { // else the gathered answers may be another one's
        for (IntrusiveList<Connection, OpenTag>* list : {&open_, &descriptorless_}) {
            for (Connection* c = list->front(); c != nullptr; c = list->after(*c)) {
                c->send_last();
            }
        }
    }
    close_connections();
    while (WatchEntry* watch = watches_.front()) {
        watch->stop();
    }
    listeners_.clear();
    while (QueuedTimer* timer = calls_.expire(never, UINT64_MAX)) {
        static_cast<TimerEntry*>(timer)->drop(); // a task may hold the handle that holds it
    }
    if (poller_ && mailbox_->waker().handle() != invalid_handle) {
        poller_->remove(mailbox_->waker().handle());
    }
    mailbox_->close();
    budget_end_ = (TimePoint::min)();
    if (!is_ticking_) {
        delete this;
    }
}

/// A breakpoint or a loading screen, between ticks or inside a handler, is not the clients' fault:
/// what exceeds `longest` moves all deadlines at once, by not having happened.
PORTHOLE_FN TimePoint ServerCore::read_clock(Duration longest) noexcept {
    const TimePoint reading = clock_source_->now();
    const Duration gap = reading - clock_;
    clock_ = reading;
    if (gap > longest) {
        skipped_ += gap - longest;
        log(LogLevel::info, LogId::clock_gap,
            "Nobody ticked for a while; deadlines have moved (Limits::max_tick_gap).");
    }
    now_ = clock_ - skipped_;
    return clock_;
}

/// The first reading of a tick: a host that asked for next_deadline() may have slept until then.
PORTHOLE_FN void ServerCore::read_clock_after_gap() noexcept {
    const Duration allowed = allowed_gap();
    promised_ = (TimePoint::min)();
    read_clock(allowed);
}

PORTHOLE_FN Duration ServerCore::allowed_gap() const noexcept {
    const Duration most = limits().max_tick_gap;
    if (promised_ == never) {
        return (Duration::max)();
    }
    return promised_ > clock_ ? promised_ - clock_ + most : most;
}

/// False when it is called from inside a tick, which would hand one connection's buffers to
/// another.
PORTHOLE_FN bool ServerCore::begin_tick(TimePoint budget_end) noexcept {
    PORTHOLE_ASSERT(!is_ticking_, "tick() must not be called from inside a handler");
    if (is_ticking_) {
        return false;
    }
    is_ticking_ = true;
    report_ = TickReport{};
    accepts_left_ = limits().max_accepts_per_tick;
    budget_end_ = budget_end;
    calls_end_ = calls_.next_number();
    tick_began_ = clock_;
    if (mailbox_->is_stop_requested()) {
        begin_stop();
    }
    return true;
}

PORTHOLE_FN TickReport ServerCore::end_tick() noexcept {
    TickReport report = report_;
    read_clock();
    report.elapsed = clock_ - tick_began_;
    report.more = !ready_.is_empty() || !letters_.empty() || mailbox_->has_letters();
    ++stats_.ticks;
    stats_.requests += report.requests;
    stats_.responses += report.responses;
    stats_.bytes_in += report.bytes_in;
    stats_.bytes_out += report.bytes_out;
    stats_.handler_time += report.handler_time;
    if (work_ != 0) {
        stats_.tick_times.add(report.elapsed);
        stats_.library_times.add(report.elapsed - report.handler_time);
        work_ = 0;
    }
    clear_graveyard();
    is_ticking_ = false;
    if (is_shut_down_) {
        delete this;
    }
    return report;
}

PORTHOLE_FN TickReport ServerCore::tick(std::chrono::nanoseconds budget) {
    read_clock_after_gap();
    if (!begin_tick(clock_ + std::chrono::duration_cast<Duration>(budget))) {
        return {};
    }
    serve_rounds();
    return end_tick();
}

PORTHOLE_FN TickReport ServerCore::tick_until(TimePoint deadline) {
    read_clock_after_gap();
    if (!begin_tick(deadline)) {
        return {};
    }
    std::chrono::nanoseconds slept{0};
    serve_rounds();
    while (clock_ < deadline && !is_shut_down_) {
        accepts_left_ = limits().max_accepts_per_tick;
        const Duration next = time_to_next_deadline();
        const Duration left = deadline - clock_;
        const TimePoint before = clock_;
        poll(next < left ? next : left);
        read_clock((Duration::max)()); // sleeping is no gap
        if (clock_ == before) {
            break; // a clock that stands still never reaches the deadline
        }
        slept += clock_ - before;
        calls_end_ = calls_.next_number();
        serve_batch();
        expire_timers();
        const bool has_mail = mailbox_->has_letters() || mailbox_->is_stop_requested();
        if ((work_ != 0 || has_mail) && !is_out_of_time()) {
            serve_rounds();
        }
    }
    tick_began_ += slept; // elapsed is what it cost, not what it waited
    return end_tick();
}

PORTHOLE_FN TickReport ServerCore::wait(std::chrono::milliseconds timeout) {
    read_clock_after_gap();
    if (!begin_tick(never)) {
        return {};
    }
    read_mail();
    const Duration next = time_to_next_deadline();
    const TimePoint before = clock_;
    const bool has_worked = work_ != 0; // the mail was what it waited for
    poll(has_worked ? Duration::zero() : next < timeout ? next : Duration(timeout));
    read_clock((Duration::max)()); // sleeping is no gap
    tick_began_ += clock_ - before;
    read_mail();
    if (mailbox_->is_stop_requested()) {
        begin_stop();
    }
    serve_batch();
    expire_timers();
    return end_tick();
}

PORTHOLE_FN void ServerCore::run() {
    constexpr std::chrono::hours forever{1};
    PORTHOLE_ASSERT(!is_ticking_, "run() must not be called from inside a handler");
    if (is_ticking_) {
        return;
    }
    bool is_gone = false; // a handler may destroy the server
    is_gone_ = &is_gone;
    while (is_running() || is_draining_ || mailbox_->is_stop_requested()) {
        wait(forever);
        if (is_gone) {
            return;
        }
    }
    is_gone_ = nullptr;
}

PORTHOLE_FN bool ServerCore::is_running() const noexcept {
    return !is_shut_down_ && !is_draining_ && !mailbox_->is_stop_requested()
           && (!listeners_.empty() || connections_ != 0);
}

/// Until a round has moved nothing, or the budget is spent.
PORTHOLE_FN void ServerCore::serve_rounds() {
    std::uint64_t before = 0;
    do {
        read_mail(); // alone it is no reason for a round: a task may post itself for the next tick
        before = work_;
        poll(Duration::zero());
        serve_batch();
        expire_timers();
        read_clock();
    } while (work_ != before && !is_out_of_time());
}

/// One turn for each that is ready now. Those that the budget leaves over come first next time.
PORTHOLE_FN void ServerCore::serve_batch() {
    IntrusiveList<Pollable, ReadyTag> batch;
    batch.splice_back(ready_);
    while (Pollable* item = batch.pop_front()) {
        PORTHOLE_TRY {
            item->serve(item->take_readiness());
        }
        PORTHOLE_CATCH_ALL {
            log(LogLevel::error, LogId::out_of_memory,
                "An allocation failed or a callback threw; the connection was dropped.");
            out_.clear();
            item->drop();
        }
        clear_graveyard();
        read_clock();
        if (is_out_of_time()) {
            break;
        }
    }
    batch.splice_back(ready_);
    ready_.splice_back(batch);
}

PORTHOLE_FN void ServerCore::poll(Duration timeout) {
    if (is_shut_down_ || broken_) {
        return;
    }
    if (!descriptorless_.is_empty()) {
        for (Connection* c = descriptorless_.front(); c != nullptr; c = descriptorless_.after(*c)) {
            const Readiness ready = c->wanted_readiness();
            if (ready.read || ready.write || ready.hangup || ready.error) {
                Pollable& item = *c;
                item.add_readiness(ready);
                if (!item.is_linked()) {
                    make_ready(item);
                }
            }
        }
    }
    const bool sleeps = timeout > Duration::zero() && ready_.is_empty() && letters_.empty();
    if (sleeps) {
        mailbox_->set_waking(
            true); // before the letters are looked for: put() does it the other way
        if (mailbox_->has_letters() || mailbox_->is_stop_requested()) {
            timeout = Duration::zero();
        }
    }
    const Duration most = timeout == (Duration::max)() ? Poller::forever : timeout;
    const std::size_t count = poller_->poll(sleeps ? most : Duration::zero(), events_.get());
    if (sleeps) {
        mailbox_->set_waking(wakes_always_);
    }
    for (std::size_t i = 0; i < count; ++i) {
        Pollable* item = static_cast<Pollable*>(events_[i].owner);
        item->add_readiness(events_[i].readiness);
        if (!item->is_linked()) {
            make_ready(*item);
        }
    }
}

PORTHOLE_FN void ServerCore::read_mail() {
    if (mailbox_->has_letters()) {
        mailbox_->take(letters_);
    }
    while (!letters_.empty() && !is_shut_down_) {
        const Mailbox::Letter letter = std::move(letters_.front());
        letters_.pop_front();
        ++work_;
        PORTHOLE_TRY {
            letter();
        }
        PORTHOLE_CATCH_ALL {
            log(LogLevel::error, LogId::handler_threw, "A posted task ended with an exception.");
            out_.clear();
        }
        read_clock();
        if (is_out_of_time()) {
            return;
        }
    }
    if (mailbox_->is_stop_requested() && is_ticking_) {
        begin_stop();
    }
}

/// Deadlines and calls in turn, so that neither waits for the other to come to an end.
PORTHOLE_FN void ServerCore::expire_timers() {
    constexpr int most = 4096; // a deadline may be due again at once, by mistake
    for (int i = 0; i < most && !is_shut_down_; ++i) {
        const bool has_expired = expire_deadline();
        const bool has_called = !is_shut_down_ && make_next_call();
        if (!has_expired && !has_called) {
            break;
        }
        ++work_;
        read_clock();
        if (is_out_of_time()) {
            break;
        }
    }
    clear_graveyard();
    if (is_draining_ && (connections_ == 0 || now_ >= stop_deadline_)) {
        finish_stop();
    }
}

/// False when none has passed.
PORTHOLE_FN bool ServerCore::expire_deadline() {
    Timer* const timer = timers_.is_due(now_) ? timers_.expire(now_) : nullptr;
    if (timer == nullptr) {
        return false;
    }
    PORTHOLE_TRY {
        static_cast<TimedTask*>(timer)->on_deadline();
    }
    PORTHOLE_CATCH_ALL {
        log(LogLevel::error, LogId::out_of_memory,
            "A deadline's work ended with an exception; the connection was dropped.");
        out_.clear();
        static_cast<TimedTask*>(timer)->drop();
    }
    return true;
}

/// False when none is due. One that asks for itself anew is not called again in this tick.
PORTHOLE_FN bool ServerCore::make_next_call() {
    QueuedTimer* const timer = calls_.expire(now_, calls_end_);
    if (timer == nullptr) {
        return false;
    }
    static_cast<TimerEntry*>(timer)->on_deadline();
    return true;
}

PORTHOLE_FN Duration ServerCore::time_to_next_deadline() noexcept {
    if (is_draining_ && connections_ == 0) {
        return Duration::zero(); // nothing is left to stop
    }
    TimePoint next = timers_.next_deadline();
    next = next < stop_deadline_ ? next : stop_deadline_;
    next = next < calls_.next_deadline() ? next : calls_.next_deadline();
    if (next == never) {
        return (Duration::max)();
    }
    return next > now_ ? next - now_ : Duration::zero();
}

PORTHOLE_FN TimePoint ServerCore::next_deadline() noexcept {
    wake_always();
    read_clock();
    if (!ready_.is_empty() || !letters_.empty() || mailbox_->has_letters()
        || mailbox_->is_stop_requested() || !descriptorless_.is_empty()) {
        promised_ = clock_;
    } else {
        const Duration left = time_to_next_deadline();
        promised_ = left == (Duration::max)() ? never : clock_ + left;
    }
    return promised_;
}

/// The host waits for our descriptors itself, so put() cannot know when nobody does.
PORTHOLE_FN void ServerCore::wake_always() noexcept {
    wakes_always_ = true;
    mailbox_->set_waking(true);
}

PORTHOLE_FN void ServerCore::begin_stop() {
    mailbox_->forget_stop();
    if (is_draining_) {
        return;
    }
    is_draining_ = true;
    ++work_;
    listeners_.clear();
    stop_deadline_ = now_ + limits().stop_grace;
    for (IntrusiveList<Connection, OpenTag>* list : {&open_, &descriptorless_}) {
        IntrusiveList<Connection, OpenTag> rest; // a callback may close any of them
        rest.splice_back(*list);
        while (Connection* connection = rest.front()) {
            list->push_back(*connection);
            is_shut_down_ ? connection->close_now() : connection->begin_drain();
        }
    }
}

PORTHOLE_FN void ServerCore::finish_stop() {
    close_connections();
    is_draining_ = false;
    stop_deadline_ = never;
    log(LogLevel::info, LogId::stopped, "The server has stopped.");
}

PORTHOLE_FN void ServerCore::close_connections() noexcept {
    for (IntrusiveList<Connection, OpenTag>* list : {&open_, &descriptorless_}) {
        while (Connection* connection = list->front()) {
            connection->close_now();
        }
    }
    if (!is_ticking_) {
        clear_graveyard();
    }
}

PORTHOLE_FN void ServerCore::bury(Connection& connection) noexcept {
    static_cast<ListLink<ReadyTag>&>(connection).unlink();
    static_cast<ListLink<IdleTag>&>(connection).unlink();
    graveyard_.push_back(connection);
    --connections_;
    ++work_;
}

/// Only between turns, when no call on a connection is left on the stack.
PORTHOLE_FN void ServerCore::clear_graveyard() noexcept {
    while (Connection* connection = graveyard_.pop_front()) {
        delete connection;
    }
}

PORTHOLE_FN const DefaultFields& ServerCore::default_fields() noexcept {
    // Twice a second is often enough for a field that shows seconds, and saves reading a second
    // clock.
    constexpr std::chrono::milliseconds step{500};
    const std::int64_t period =
        clock_.time_since_epoch() / std::chrono::duration_cast<Duration>(step);
    if (period != date_period_) {
        date_period_ = period;
        default_fields_.set_time(clock_source_->wall_time());
    }
    return default_fields_;
}

PORTHOLE_FN std::unique_ptr<Exchange> ServerCore::acquire_exchange() {
    if (exchanges_.empty()) {
        return std::unique_ptr<Exchange>(new Exchange(limits()));
    }
    std::unique_ptr<Exchange> exchange = std::move(exchanges_.back());
    exchanges_.pop_back();
    return exchange;
}

PORTHOLE_FN void ServerCore::release_exchange(std::unique_ptr<Exchange> exchange) noexcept {
    exchange->reset();
    if (exchanges_.size() < max_free_exchanges) {
        exchanges_.push_back(std::move(exchange));
    }
}

PORTHOLE_FN void ServerCore::count_in(std::size_t bytes) noexcept {
    report_.bytes_in += bytes;
    ++work_;
}

PORTHOLE_FN void ServerCore::count_out(std::size_t bytes) noexcept {
    report_.bytes_out += bytes;
    ++work_;
}

PORTHOLE_FN void
ServerCore::log(LogLevel level, LogId id, std::string_view sentence, std::string_view peer) {
    if (options_.log) {
        PORTHOLE_TRY {
            options_.log(LogEvent{level, id, sentence, peer});
        }
        PORTHOLE_CATCH_ALL {} // a sink that fails is no reason to drop anybody
    }
}

PORTHOLE_FN void ServerCore::note_timeout(std::string_view sentence, std::string_view peer) {
    ++stats_.timeouts;
    log(LogLevel::info, LogId::timed_out, sentence, peer);
}

PORTHOLE_FN void ServerCore::note_failure(std::string_view sentence, std::string_view peer) {
    log(LogLevel::warning, LogId::connection_failed, sentence, peer);
}

PORTHOLE_FN Stats ServerCore::stats() const {
    Stats stats = stats_;
    stats.connections = connections_;
    return stats;
}

} // namespace detail

PORTHOLE_NAMESPACE_END
