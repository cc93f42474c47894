// SPDX-License-Identifier: MIT
#pragma once

// Content that is taken as it comes, instead of being collected: uploads, CGI programs, proxies. A
// route is asked at the request's head where the content goes, and may refuse it before a byte of
// it has been read. What its sink cannot take yet stays in the client's socket: that is the
// back-pressure.

#include "porthole/server/handler.hpp"
#include "porthole/server/reply.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

class Connection;

/// A function of the program's, taken out of its place while it is called: what it does may empty
/// that place, or put another function there.
template <class Function>
struct BorrowedFunction {
    explicit BorrowedFunction(Function& from) : place(from), call(std::move(from)) {
        place = nullptr;
    }
    /// For the next call, unless there is another one by now.
    void give_back() {
        if (!place) {
            place = std::move(call);
        }
    }

    Function& place;
    Function call;
};

/// What takes the content and answers.
struct BodyFunctions {
    std::function<void(std::string_view)> on_data;
    Handler on_end;
    std::function<void()> on_abort;
};

/// What stands behind the copies of one BodySink, and what its connection asks.
struct BodyIntake : BodyFunctions {
    /// An extension's: called before the first byte, and may still refuse the content.
    std::function<void(const Request&)> on_head;
    /// An extension's, instead of on_data(), when a piece may be much work: takes some of it, at
    /// least a byte unless it pauses or refuses, and says how much. The rest comes again, in the
    /// next tick when this one has no time left.
    std::function<std::size_t(std::string_view)> on_some;
    /// An extension's: work behind the last byte, one unit in each call; on_end() follows once it
    /// has returned true.
    std::function<bool()> on_last;
    /// An extension's, when its own functions stand before those that the program sets on the same
    /// sink: those go here, and it calls them.
    std::shared_ptr<BodyFunctions> program;
    std::uint64_t max_bytes = UINT64_MAX;
    int refusal = 0; ///< the status of the answer, when it takes no more
    std::string refusal_sentence;
    bool is_paused = false;
    bool is_over = false;
    Connection* connection = nullptr; ///< while content is coming in

    /// Notes the answer; the connection sees it in its next turn.
    void refuse(int status, std::string_view sentence);
    /// Calls on_abort, once, and forgets the program's functions and all that they hold.
    void abort() noexcept;
    void forget() noexcept;
};

} // namespace detail

/// Steers the content that a BodySink takes. Cheap to copy; does nothing once the content has
/// ended. Ticking thread only.
class BodyFlow {
public:
    BodyFlow() = default;
    explicit BodyFlow(std::weak_ptr<detail::BodyIntake> intake) noexcept
        : intake_(std::move(intake)) {}

    /// No on_data() until resume(): the socket is not read. The deadlines for the content wait,
    /// too. on_end() may still follow what was the last piece.
    void pause();
    void resume();
    /// Takes no more: the request is answered with `status`, from 400 to 599, and the sentence in
    /// the same tick or the next, the connection ends behind it, and on_abort() is called. The
    /// first refusal counts.
    void refuse(int status, std::string_view sentence = {});
    /// The answer need not wait for the end of the content: what the Reply is given leaves at once,
    /// while the rest still comes in. on_end() is then called, too, and what it sets is not sent.
    /// When the answer ends before the content, so does the connection. Call it once.
    Reply defer();
    /// True when no content comes any more: it has ended, was refused, or the client has gone.
    bool is_over() const noexcept;

private:
    std::weak_ptr<detail::BodyIntake> intake_;
};

/// Where one request's content goes: each needs a sink of its own. One without functions drops what
/// comes and answers 204. Exactly one of on_end() and on_abort() is called. All functions run
/// inside tick(), and may destroy anything; an exception that leaves one of them makes the answer a
/// 500.
class BodySink {
public:
    BodySink();

    /// The request goes no further: that status, 400 to 599, and a sentence for the page. The
    /// content is not read, and a client that waits with `Expect: 100-continue` never sends it.
    static BodySink refuse(int status, std::string_view sentence = {});

    /// Gets the pieces in their order, without the transfer coding; each is valid for the call.
    BodySink& on_data(std::function<void(std::string_view piece)> take) &;
    BodySink&& on_data(std::function<void(std::string_view piece)> take) &&;
    /// Answers, when all of the content has come; request.body() is empty.
    BodySink& on_end(Handler answer) &;
    BodySink&& on_end(Handler answer) &&;
    /// The content will not be complete: the client has gone or was too slow, it broke a rule or a
    /// limit, or the program itself has refused the rest.
    BodySink& on_abort(std::function<void()> give_up) &;
    BodySink&& on_abort(std::function<void()> give_up) &&;
    /// More is 413, at the head when the length is announced. Can only lower the route's own bound,
    /// or Limits::max_streamed_body_bytes; 0 allows no content at all.
    BodySink& max_bytes(std::uint64_t bytes) &;
    BodySink&& max_bytes(std::uint64_t bytes) &&;

    /// To be captured by the functions above.
    BodyFlow flow() const noexcept { return BodyFlow(intake_); }
    const std::shared_ptr<detail::BodyIntake>& intake() const noexcept { return intake_; }

private:
    detail::BodyFunctions& functions() noexcept {
        return intake_->program ? *intake_->program : *intake_;
    }

    std::shared_ptr<detail::BodyIntake> intake_;
};

/// Called at the head of a request, whose content is still to come: decides where it goes.
using StreamHandler = std::function<BodySink(const Request&)>;

PORTHOLE_NAMESPACE_END
