// SPDX-License-Identifier: MIT
#pragma once

// What stands behind the copies of one Reply, and how it finds its connection again.

#include "porthole/http/response.hpp"
#include "porthole/server/mailbox.hpp"

#include <atomic>
#include <memory>
#include <string_view>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

class Connection;

/// Shared by the Reply's copies, the connection, and the letter that carries the answer home.
struct ReplyState {
    ResponseParts parts; ///< written by whoever finishes, then read by the ticking thread
    Connection* connection = nullptr; ///< ticking thread only; null once the connection has gone
    std::shared_ptr<Mailbox> mailbox;
    std::atomic<bool> is_finished{false};
    std::atomic<bool> peer_gone{false};
};

/// Lives as long as any copy of the Reply; the end of the last one is an answer, too.
class ReplyOwner {
public:
    explicit ReplyOwner(std::shared_ptr<ReplyState> state) noexcept;
    ReplyOwner(const ReplyOwner&) = delete;
    ReplyOwner& operator=(const ReplyOwner&) = delete;
    ~ReplyOwner();

    ReplyState& state() noexcept { return *state_; }
    /// True for the first caller only: the right to answer is used up.
    bool claim() noexcept { return !state_->is_finished.exchange(true); }
    /// Sends what stands in parts.
    void deliver();
    /// Sends the answer of another target.
    void deliver_rewritten(std::string_view target);
    /// Somebody finished a second time: says so in the log.
    void report_repetition();

private:
    std::shared_ptr<ReplyState> state_;
};

} // namespace detail

PORTHOLE_NAMESPACE_END
