// SPDX-License-Identifier: MIT
#pragma once

// From a complete request to its answer: hooks, route, handler, error page. All user code that a
// request causes is called from here.

#include "porthole/server/core.hpp"
#include "porthole/server/reply_state.hpp"

#include <exception>
#include <string>
#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// Runs `step`, counts its time as the user's, and turns an exception into a 500.
template <class Step>
PORTHOLE_FN bool ServerCore::run_user_code(Exchange& x, const Step& step) {
    const TimePoint began = read_clock();
    bool has_ended = false;
    PORTHOLE_TRY {
        step();
        has_ended = true;
    }
    PORTHOLE_CATCH_STANDARD(error) {
        log(LogLevel::error, LogId::handler_threw,
            std::string("An exception left a handler or hook; the answer is 500: ") + error.what(),
            x.request.peer);
    }
    PORTHOLE_CATCH_ALL {
        log(LogLevel::error, LogId::handler_threw,
            "An exception left a handler or hook; the answer is 500.", x.request.peer);
    }
    router_->leave();
    const std::chrono::nanoseconds spent = read_clock() - began;
    report_.handler_time += spent;
    x.handler_time += spent;
    x.is_over_budget = is_out_of_time();
    if (x.response.refused_fields != 0) {
        log(LogLevel::warning, LogId::field_refused,
            "A response field was dropped: its name is no token, its value has control characters, "
            "or the server sets it itself.",
            x.request.peer);
    }
    if (has_ended) {
        return true;
    }
    x.drop_reply(); // deferred before it threw: the Reply no longer answers this request
    x.response.reset();
    x.response.status = 500;
    x.response.body = "500 Internal Server Error\n";
    x.response.fields = "Content-Type: text/plain; charset=utf-8\r\n";
    return false;
}

PORTHOLE_FN void ServerCore::handle(Exchange& x) {
    x.response.exchange = &x;
    bool is_finishing = false;
    const bool has_ended = run_user_code(x, [&] {
        handle_steps(x);
        is_finishing = true;
        if (!x.response.is_deferred) {
            finish_steps(x);
        }
    });
    if (!has_ended && !is_finishing && !is_shut_down_) {
        x.is_refused = true; // the 500 is the library's: the user's page and hooks are for it, too
        finish_response(x);
    }
}

PORTHOLE_FN void ServerCore::finish_response(Exchange& x) {
    run_user_code(x, [this, &x] { finish_steps(x); });
}

/// RFC 9110 section 7.8: the field lists the protocol, Connection names the field, and HTTP/1.0 has
/// no such thing.
inline bool asks_for_upgrade(const Request& request, std::string_view protocol) noexcept {
    const auto upgrade = request.header("Upgrade");
    const auto connection = request.header("Connection");
    return request.http_version() == "HTTP/1.1" && upgrade && connection
           && ascii::list_has(*upgrade, protocol) && ascii::list_has(*connection, "upgrade");
}

PORTHOLE_FN void ServerCore::handle_steps(Exchange& x) {
    const Request request(x.request);
    Response response(x.response);
    if (x.intake) { // whose hooks have run at the head
        end_intake(x, request, response);
    } else {
        x.scope = &router_->root();
        if (run_before_hooks(x.scope, x, request, response)) {
            run_route(x, request, response);
        }
    }
    if (x.response.upgrade && !asks_for_upgrade(request, x.response.upgrade_protocol)) {
        const std::string protocol = std::move(x.response.upgrade_protocol);
        make_error(x, 426, "This path speaks another protocol; see the Upgrade field.");
        x.response.fields += "Connection: upgrade\r\nUpgrade: " + protocol + "\r\n";
    }
}

/// Taking the host out of its authority costs something, so it is done for those who route by it.
PORTHOLE_FN std::string_view ServerCore::host_for_routing(const Request& request) const noexcept {
    return router_->has_hosts() ? request.host() : std::string_view();
}

PORTHOLE_FN void ServerCore::run_route(Exchange& x, const Request& request, Response& response) {
    Route* route = router_->match(x.request, host_for_routing(request));
    if (route == nullptr) {
        answer_unrouted(x, request, response);
        return;
    }
    router_->enter(*route);
    x.scope = route->scope;
    const bool has_own_hooks = x.scope != &router_->root();
    if (has_own_hooks && !run_before_hooks(x.scope, x, request, response)) {
        return;
    }
    router_->enter(x.scope);
    if (route->stream_handler) {
        x.intake = route->stream_handler(request).intake(); // of no content
        x.route_id = route->id;
        if (x.intake->on_head && x.intake->refusal == 0 && !is_shut_down_) {
            x.intake->on_head(request);
        }
        if (!is_shut_down_) {
            end_intake(x, request, response);
        }
    } else if (route->mount) {
        route->mount->handle(request, response);
    } else {
        route->handler(request, response);
    }
}

/// Outer groups first. The server's own hooks, which have run before the route was known, are left
/// out unless `scope` is the server's. False when one of them has stopped the request.
PORTHOLE_FN bool ServerCore::run_before_hooks(
    const RouteScope* scope, Exchange& x, const Request& request, Response& response) {
    if (scope->parent != nullptr && scope->parent->parent != nullptr
        && !run_before_hooks(scope->parent, x, request, response)) {
        return false;
    }
    router_->enter(scope);
    for (std::size_t i = 0; i < scope->before.size(); ++i) {
        const Next next = (*scope->before[i])(request, response);
        if (is_shut_down_) {
            return false;
        }
        if (next == Next::stop) {
            if (!x.response.is_touched && !x.response.is_deferred) {
                make_error(x, 403, "A hook of this server does not allow the request.");
            }
            return false;
        }
    }
    return true;
}

PORTHOLE_FN void
ServerCore::answer_unrouted(Exchange& x, const Request& request, Response& response) {
    const std::string allowed = router_->allowed_methods(x.request, host_for_routing(request));
    if (request.method() == Method::options && (!allowed.empty() || request.path() == "*")) {
        response.status(204);
        if (!allowed.empty()) {
            response.header("Allow", allowed);
        }
    } else if (request.method() == Method::other) {
        make_error(
            x, status_of(RequestFault::unknown_method), describe(RequestFault::unknown_method));
    } else if (!allowed.empty()) {
        make_error(x, 405, "This path does not answer that method; see the Allow field.");
        response.header("Allow", allowed);
    } else {
        make_error(x, 404, "Nothing answers at this path.");
    }
}

/// The library's own answer. It reflects nothing of the request.
PORTHOLE_FN void ServerCore::make_error(Exchange& x, int status, std::string_view sentence) {
    x.response.reset();
    x.response.exchange = &x;
    x.is_refused = true;
    std::string& body = x.response.body;
    body = std::to_string(status);
    body += ' ';
    body += reason_phrase(status);
    body += '\n';
    body += sentence;
    body += '\n';
    x.response.fields = "Content-Type: text/plain; charset=utf-8\r\n";
    x.response.status = status;
    x.response.is_touched = true;
}

PORTHOLE_FN void ServerCore::finish_steps(Exchange& x) {
    constexpr int first_error = 400;
    const Request request(x.request);
    Response response(x.response);
    const bool is_empty = x.response.body.empty() && !x.response.source && !x.response.upgrade;
    x.response.exchange = nullptr; // it is too late to defer: nothing would wait for the Reply
    if (error_page_ && !is_shut_down_ && x.response.status >= first_error
        && (x.is_refused || x.response.is_refusal || is_empty)) {
        const std::shared_ptr<Handler> page = error_page_; // it may set another one
        router_->enter(nullptr);
        (*page)(request, response);
    }
    if (!options_.guard.allowed_origins.empty()) { // the after hooks may still change it
        response.add_header("Vary", "Origin");     // also without one: a cache may hold the answer
        if (x.origin != nullptr) {
            response.header("Access-Control-Allow-Origin", *x.origin);
        }
    }
    for (const RouteScope* scope = x.scope; scope != nullptr; scope = scope->parent) {
        router_->enter(scope);
        for (std::size_t i = 0; i < scope->after.size() && !is_shut_down_; ++i) {
            (*scope->after[i])(request, response);
        }
    }
}

/// Before anything else looks at the request: static files, 404s, OPTIONS and upgrades, too.
PORTHOLE_FN bool ServerCore::admit(Exchange& x, const Entrance& entrance) {
    constexpr int unauthorized = 401;
    const Request request(x.request);
    const GuardContext context{x.request.scheme, entrance.is_exposed, entrance.needs_token};
    const GuardVerdict verdict = gatekeeper_.judge(request, context);
    x.origin = verdict.origin;
    switch (verdict.kind) {
    case GuardVerdict::Kind::pass: return true;
    case GuardVerdict::Kind::refuse:
        log(LogLevel::info, LogId::request_refused, verdict.sentence, x.request.peer);
        make_error(x, verdict.status, verdict.sentence);
        if (verdict.status == unauthorized) { // RFC 6750 section 3
            Response(x.response).header("WWW-Authenticate", "Bearer");
        }
        break;
    case GuardVerdict::Kind::preflight: answer_preflight(x); break;
    case GuardVerdict::Kind::login: answer_login(x); break;
    }
    x.scope = &router_->root();
    finish_response(x);
    x.response.must_close = true; // its content, if it has any, is not read
    return false;
}

/// The permission that a browser asks for beforehand (WHATWG Fetch, CORS-preflight). What the
/// origin may do was decided with Guard::allowed_origins, so what it asks for is granted.
PORTHOLE_FN void ServerCore::answer_preflight(Exchange& x) {
    const Request request(x.request);
    Response response(x.response);
    response.no_content();
    response.header(
        "Access-Control-Allow-Methods",
        request.header("Access-Control-Request-Method").value_or(""));
    if (const auto fields = request.header("Access-Control-Request-Headers")) {
        response.header("Access-Control-Allow-Headers", *fields);
    }
    response.header("Access-Control-Max-Age", "600");
}

/// The token becomes a session cookie, and leaves the address bar and the history.
PORTHOLE_FN void ServerCore::answer_login(Exchange& x) {
    constexpr int see_other = 303;
    const Request request(x.request);
    Response response(x.response);
    std::string_view path = x.request.target.path;
    // "//name" would lead to another host, and so would "/\\name", which browsers read the same.
    while (path.size() > 1 && (path[1] == '/' || path[1] == '\\')) {
        path.remove_prefix(1);
    }
    std::string location = "/";
    location += path.substr(1);
    char separator = '?';
    std::string_view rest = request.query_string();
    while (!rest.empty()) {
        const std::string_view pair = rest.substr(0, rest.find('&'));
        rest.remove_prefix(pair.size() < rest.size() ? pair.size() + 1 : rest.size());
        if (!is_token_parameter(pair)) {
            location += separator;
            location += pair;
            separator = '&';
        }
    }
    response.redirect(location, see_other);
    CookieOptions cookie;
    cookie.same_site = SameSite::strict;
    cookie.secure = x.request.scheme == "https";
    response.cookie(gatekeeper_.session_cookie_name(request), gatekeeper_.session(), cookie);
}

PORTHOLE_FN void ServerCore::note_access(const Exchange& x, bool is_complete) {
    if (!options_.access_log) {
        return;
    }
    const Request request(x.request);
    AccessRecord record;
    record.time = clock_source_->wall_time();
    record.peer = request.peer();
    const bool is_rewritten = x.rewrites != 0;
    record.method = is_rewritten    ? std::string_view(x.first_method)
                    : x.has_request ? request.method_name()
                                    : std::string_view();
    record.http_version = request.http_version();
    record.status = x.response.status;
    record.content_bytes = x.content_sent;
    record.is_complete = is_complete;
    record.duration = x.has_request ? clock_ - x.began : Duration::zero();
    record.handler_time = x.handler_time;
    record.is_over_budget = x.is_over_budget;
    PORTHOLE_TRY {
        const std::string_view asked = is_rewritten ? x.first_target : request.target();
        const std::string target =
            x.has_request || is_rewritten ? redact_token(asked) : std::string();
        record.target = target;
        options_.access_log(record);
    }
    PORTHOLE_CATCH_ALL {} // a log that cannot be written is no reason to fail an answer
}

/// What handlers see of a request that could not be read: nothing but its peer.
PORTHOLE_FN void ServerCore::show_nothing(Exchange& x, std::string_view peer) noexcept {
    x.request.reset();
    x.request.base = "";
    x.request.head = &empty_head_;
    x.request.peer = peer;
}

PORTHOLE_FN void ServerCore::refuse(Exchange& x, RequestFault fault, std::string_view peer) {
    x.drop_reply();
    if (const std::shared_ptr<BodyIntake> intake = std::move(x.intake)) {
        x.intake.reset();
        intake->abort();
    }
    if (is_shut_down_) {
        return;
    }
    if (!x.has_request) {
        show_nothing(x, peer);
    }
    x.scope = &router_->root();
    log(LogLevel::info, LogId::request_refused, describe(fault), peer);
    make_error(x, status_of(fault), describe(fault));
    finish_response(x);
    x.response.must_close = true;
}

PORTHOLE_FN void ServerCore::refuse_overload(Exchange& x, std::string_view peer) {
    show_nothing(x, peer);
    x.scope = &router_->root();
    make_error(x, 503, "Too many connections (Limits::max_connections).");
    Response(x.response).header("Retry-After", "1");
    finish_response(x);
    x.response.must_close = true;
}

/// The route's own bound, else that of the innermost group that has one, else the server's.
PORTHOLE_FN std::uint64_t ServerCore::max_content(const Route* route) const noexcept {
    if (route == nullptr) {
        return limits().max_body_bytes;
    }
    if (route->max_body_bytes) {
        return *route->max_body_bytes;
    }
    for (const RouteScope* scope = route->scope; scope != nullptr; scope = scope->parent) {
        if (scope->max_body_bytes) {
            return *scope->max_body_bytes;
        }
    }
    return route->takes_streams() ? limits().max_streamed_body_bytes : limits().max_body_bytes;
}

PORTHOLE_FN ServerCore::Content ServerCore::receive(Exchange& x) {
    const Request request(x.request);
    const Route* route = router_->match(x.request, host_for_routing(request));
    x.max_content = max_content(route);
    x.request.parameters.clear(); // their names live in the route, which may go meanwhile
    const Framing& framing = x.request.head->framing;
    const bool is_too_large =
        framing.kind == Framing::Kind::length && framing.length > x.max_content;
    if (route == nullptr || is_too_large || !route->takes_streams()) {
        return Content::collected;
    }
    x.response.exchange = &x;
    bool goes_on = false;
    const bool has_ended = run_user_code(x, [&] { goes_on = open_intake(x); });
    x.request.parameters.clear();
    if (goes_on) {
        return Content::streamed;
    }
    if (!has_ended) {
        x.is_refused = true;
    }
    if (x.response.upgrade) { // what comes next is content, not the other protocol
        make_error(x, 400, "A request that asks for another protocol has no content here.");
    }
    if (!x.response.is_deferred && !is_shut_down_) {
        finish_response(x);
    }
    return Content::refused;
}

/// Asks the route where the content goes. False when the request goes no further.
PORTHOLE_FN bool ServerCore::open_intake(Exchange& x) {
    const Request request(x.request);
    Response response(x.response);
    x.scope = &router_->root();
    if (!run_before_hooks(x.scope, x, request, response)) {
        return false;
    }
    Route* route = router_->match(x.request, host_for_routing(request));
    if (route == nullptr || !route->takes_streams()) { // a hook has changed the routes
        answer_unrouted(x, request, response);
        return false;
    }
    router_->enter(*route);
    x.scope = route->scope;
    x.route_id = route->id;
    const bool has_own_hooks = x.scope != &router_->root();
    if (has_own_hooks && !run_before_hooks(x.scope, x, request, response)) {
        return false;
    }
    router_->enter(x.scope);
    x.response.is_touched = false; // a hook's fields are no answer
    const BodySink sink =
        route->mount ? route->mount->receive(request, response) : route->stream_handler(request);
    const std::shared_ptr<BodyIntake>& intake = sink.intake();
    const bool is_answered = x.response.is_touched && !x.response.is_deferred;
    if (intake->on_head && intake->refusal == 0 && !is_answered && !is_shut_down_) {
        intake->on_head(request);
    }
    if (intake->refusal != 0 || is_answered || is_shut_down_) {
        intake->abort();
        if (intake->refusal != 0 && !is_shut_down_) {
            x.drop_reply();
            make_error(x, intake->refusal, intake->refusal_sentence);
        }
        return false;
    }
    const bool is_new = !intake->is_over && intake->connection == nullptr;
    PORTHOLE_ASSERT(is_new, "a BodySink takes the content of one request");
    if (!is_new) {
        make_error(x, 500, "This content cannot be taken.");
        return false;
    }
    x.max_content = intake->max_bytes < x.max_content ? intake->max_bytes : x.max_content;
    x.intake = intake;
    x.intake->connection = x.connection;
    return true;
}

/// Gives one of the sink's functions to `call`. False when it threw, or the server has gone.
template <class Function, class Call>
PORTHOLE_FN bool ServerCore::run_intake(Exchange& x, Function& function, const Call& call) {
    const std::shared_ptr<BodyIntake> intake = x.intake;
    BorrowedFunction<Function> borrowed(function);
    if (run_user_code(x, [&] { call(borrowed.call); })) {
        if (!intake->is_over) { // else it has ended itself, while it ran
            borrowed.give_back();
        }
        return !is_shut_down_;
    }
    x.intake.reset();
    intake->abort();
    x.is_refused = true;
    return false;
}

PORTHOLE_FN bool ServerCore::give(Exchange& x, std::string_view piece, std::size_t& taken) {
    BodyIntake& intake = *x.intake;
    taken = piece.size();
    if (intake.on_some) {
        return run_intake(x, intake.on_some, [&](const auto& take) { taken = take(piece); });
    }
    return !intake.on_data || run_intake(x, intake.on_data, [&](const auto& take) { take(piece); });
}

PORTHOLE_FN bool ServerCore::conclude(Exchange& x, bool& is_done) {
    BodyIntake& intake = *x.intake;
    is_done = true;
    return !intake.on_last
           || run_intake(x, intake.on_last, [&](const auto& step) { is_done = step(); });
}

PORTHOLE_FN void ServerCore::end_intake(Exchange& x, const Request& request, Response& response) {
    const std::shared_ptr<BodyIntake> intake = std::move(x.intake);
    x.intake.reset();
    const Route* route = router_->match(x.request, host_for_routing(request));
    if (route != nullptr && route->id == x.route_id) {
        router_->enter(*route);
    } else {
        x.request.parameters.clear(); // it has gone meanwhile
    }
    if (intake->refusal != 0) {
        intake->abort();
        if (!is_shut_down_) {
            make_error(x, intake->refusal, intake->refusal_sentence);
        }
        return;
    }
    const Handler answer = std::move(intake->on_end);
    intake->forget();
    if (answer) {
        answer(request, response);
    } else if (!x.response.is_deferred) {
        response.no_content();
    }
}

PORTHOLE_FN void ServerCore::end_content(Exchange& x) {
    ResponseParts unused;
    unused.is_deferred = true;
    run_user_code(x, [&] {
        const Request request(x.request);
        Response response(unused);
        end_intake(x, request, response);
    });
}

PORTHOLE_FN void ServerCore::answer_refusal(Exchange& x) {
    const std::shared_ptr<BodyIntake> intake = std::move(x.intake);
    x.intake.reset();
    x.drop_reply();
    intake->abort();
    if (is_shut_down_) {
        return;
    }
    make_error(x, intake->refusal, intake->refusal_sentence);
    finish_response(x);
    x.response.must_close = true;
}

PORTHOLE_FN std::shared_ptr<ReplyState> ServerCore::defer(Exchange& x) {
    auto state = std::make_shared<ReplyState>();
    state->connection = x.connection;
    state->mailbox = mailbox_;
    state->parts = std::move(x.response);
    state->parts.exchange = nullptr;
    x.response.reset();
    x.response.exchange = &x;
    x.response.is_deferred = true;
    x.reply = state;
    return state;
}

PORTHOLE_FN void ServerCore::set_error_page(Handler page) {
    error_page_ = page ? std::make_shared<Handler>(std::move(page)) : nullptr;
}

} // namespace detail

PORTHOLE_NAMESPACE_END
