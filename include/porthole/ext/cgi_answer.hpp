// SPDX-License-Identifier: MIT
#pragma once

// The answer that is made of what comes from behind: its head is collected and looked at, becomes
// the head of the answer (RFC 3875 section 6), and what was read together with it is its content's
// begin. What cannot be an answer is 502, and the log says why.

#include "porthole/ext/cgi_task.hpp"
#include "porthole/http/cgi_head.hpp"
#include "porthole/server/reply.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

class CgiAnswering {
public:
    enum class State : unsigned char {
        head,    ///< not complete
        peek,    ///< there is no Content-Type: is there content?
        content, ///< it is to be sent by send_content()
        whole,   ///< all that was to be sent has been
        failed,
    };

    CgiAnswering(Reply reply, const CgiHeadParser::Options& options, bool is_head_wanted)
        : reply_(std::move(reply)), parser_(options), is_head_wanted_(is_head_wanted) {}

    /// Where to append what comes next.
    std::string& incoming() noexcept { return state_ == State::head ? head_ : rest_; }
    /// Looks at what has come, all of it when `has_ended`.
    State look(bool has_ended, const CgiTask& task);

    /// When failed.
    CgiFault fault() const noexcept { return parser_.fault(); }
    /// When failed: one line for the log, with some of its own words, which are of help to whoever
    /// wrote the program.
    std::string describe_fault() const;

    /// When it has content: lets `task` be its source.
    void send_content(std::shared_ptr<CgiTask> task);
    /// The content that the head promises.
    std::optional<std::uint64_t> promised_bytes() const noexcept { return promised_; }
    /// Copies what was read together with the head; 0 when no more is left.
    std::size_t take_rest(char* into, std::size_t capacity);

    /// Answers with an error, if there is no answer yet. A 503 is worth another try in a second.
    void fail(int status, std::string_view sentence);
    /// Nobody waits for it.
    void forget() noexcept { reply_ = Reply(); }
    bool is_finished() const noexcept { return reply_.is_finished(); }
    bool peer_gone() const noexcept { return reply_.peer_gone(); }

private:
    State send_head(bool has_content);

    Reply reply_;
    CgiHeadParser parser_;
    std::string head_; ///< as long as it is looked at, it stays where it is
    std::string rest_;
    std::size_t rest_taken_ = 0;
    std::optional<std::uint64_t> promised_;
    State state_ = State::head;
    bool is_head_wanted_;
};

} // namespace detail

PORTHOLE_NAMESPACE_END
