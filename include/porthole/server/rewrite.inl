// SPDX-License-Identifier: MIT
#pragma once

// An answer that is that of another path of this server, without a word to the client: what RFC
// 3875 section 6.2.2 calls a local redirect. The request is written anew with the other target, and
// read again by the same parser as any other, so that nothing is believed that a client could not
// have asked for.

#include "porthole/base/ascii.hpp"
#include "porthole/server/core.hpp"
#include "porthole/server/reply_state.hpp"

#include <string>
#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// RFC 3875 section 6.2.2 wants a bound.
inline constexpr unsigned max_rewrites = 8;

/// Fields about the content, which the new request does not have.
inline bool describes_content(std::string_view name) noexcept {
    for (const std::string_view field :
         {"Content-Length", "Transfer-Encoding", "Content-Type", "Content-Encoding", "Expect",
          "Trailer"}) {
        if (ascii::equals_ignoring_case(name, field)) {
            return true;
        }
    }
    return false;
}

/// The head of a request for `target` that is otherwise the one that came.
inline std::string write_rewritten(const RequestParts& parts, std::string_view target) {
    const Request request(parts);
    std::string head = parts.head->method == Method::head ? "HEAD " : "GET ";
    head.append(target).append(" ").append(request.http_version()).append("\r\n");
    const Fields& fields = request.fields();
    for (std::size_t i = 0; i < fields.size(); ++i) {
        const Field field = fields[i];
        if (!describes_content(field.name)) {
            head.append(field.name).append(": ").append(field.value).append("\r\n");
        }
    }
    head += "\r\n";
    return head;
}

/// In origin form only: another authority would lead past the guard.
PORTHOLE_FN RequestFault ServerCore::show_rewritten(Exchange& x, std::string_view target) {
    if (target.empty() || target[0] != '/' || !ascii::is_visible(target)) {
        return RequestFault::bad_target;
    }
    const std::string head = write_rewritten(x.request, target);
    if (x.rewrites++ == 0) {
        const Request request(x.request);
        x.first_method = request.method_name();
        x.first_target = request.target();
    }
    x.request.reset();
    x.parser.reset();
    x.head.clear();
    RequestFault fault = RequestFault::target_too_long;
    if (x.head.append(head)) {
        const bool is_whole = x.parser.parse(x.head.view()) == ParseStatus::complete;
        fault =
            is_whole ? x.request.set_head(x.parser.head(), x.head.view().data()) : x.parser.fault();
    }
    if (fault != RequestFault::none) {
        show_nothing(x, x.request.peer);
        x.has_request = false;
    }
    return fault;
}

PORTHOLE_FN void ServerCore::rewrite(Exchange& x, std::string_view target) {
    constexpr int internal_server_error = 500;
    const bool is_loop = x.rewrites >= max_rewrites;
    if (!is_loop && show_rewritten(x, target) == RequestFault::none) {
        handle(x);
        return;
    }
    log(LogLevel::error, LogId::request_refused,
        is_loop ? "A local redirect leads to another one, and so on; the answer is 500."
                : "A local redirect does not lead to a path; the answer is 500.",
        x.request.peer);
    x.scope = &router_->root();
    make_error(x, internal_server_error, "This redirect leads nowhere.");
    finish_response(x);
}

PORTHOLE_FN void Connection::rewrite(ReplyState& reply, std::string_view target) {
    const bool is_early = phase_ == Phase::content; // its content is still coming
    if (phase_ != Phase::deferred && !is_early) {
        return;
    }
    Exchange& x = *exchange_;
    reply.connection = nullptr;
    x.reply.reset();
    x.response.reset();
    x.response.exchange = &x;
    output_moved_ = unwanted_input_ = false;
    PORTHOLE_TRY {
        if (is_early) { // what is left of it is nobody's
            phase_ = Phase::deferred;
            x.is_content_unread = true;
            abort_intake();
            x.intake.reset();
        }
        if (phase_ != Phase::closed) {
            core_.rewrite(x, target);
        }
        if (phase_ != Phase::closed && !x.response.is_deferred) {
            send_answer();
            if (phase_ != Phase::closed) {
                send_output();
            }
        }
        if (phase_ == Phase::deferred) {
            x.request.parameters.clear(); // their names live in the route, which may go
        }
    }
    PORTHOLE_CATCH_ALL {
        core_.note_failure("An allocation failed or a body source threw.", peer_);
        close_now();
    }
    finish_turn();
}

} // namespace detail

PORTHOLE_FN void Reply::rewrite(std::string_view target) {
    if (!owner_) {
        return;
    }
    if (!owner_->claim()) {
        owner_->report_repetition();
        return;
    }
    owner_->deliver_rewritten(target);
}

namespace detail {

PORTHOLE_FN void ReplyOwner::deliver_rewritten(std::string_view target) {
    state_->mailbox->put([state = state_, wanted = std::string(target)] {
        if (state->connection != nullptr) {
            state->connection->rewrite(*state, wanted);
        }
    });
}

} // namespace detail

PORTHOLE_NAMESPACE_END
