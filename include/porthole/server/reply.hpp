// SPDX-License-Identifier: MIT
#pragma once

// Answers that come later, from a later frame or from another thread, and the mailbox through which
// other threads reach the one that ticks. It is the only part of the library with a lock in it.

#include "porthole/fwd.hpp"
#include "porthole/http/response.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <string_view>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

class ReplyOwner;

} // namespace detail

/// The right to answer one request, later. Cheap to copy; all copies are the same right, and the
/// last one that goes away without having been used sends 500. May be used from any thread, by one
/// thread at a time, and may outlive the server.
class Reply {
public:
    /// A reply that answers nothing.
    Reply() = default;
    explicit Reply(std::shared_ptr<detail::ReplyOwner> owner) noexcept;

    /// As Response's; before the call that sends.
    Reply& status(int code);
    Reply& header(std::string_view name, std::string_view value);
    Reply& add_header(std::string_view name, std::string_view value);
    Reply& cookie(std::string_view name, std::string_view value, const CookieOptions& options = {});

    /// These send, once; a second one is misuse and does nothing. The answer leaves within the next
    /// tick.
    void send(std::string_view type, std::string_view bytes);
    template <class Bytes, std::enable_if_t<detail::is_byte_container<Bytes>, int> = 0>
    void send(std::string_view type, const Bytes& bytes) {
        send(type, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    }
    void send(std::string_view type, std::unique_ptr<BodySource> source);
    void text(std::string_view bytes);
    void html(std::string_view bytes);
    void json(std::string_view bytes);
    void redirect(std::string_view location, int code = 302);
    void no_content();
    /// As Response::fail(): forgets what was set.
    void fail(int code, std::string_view sentence, std::chrono::seconds retry_after = {});
    /// Answers as a GET of `target`, a path of this server with perhaps a query, would be answered:
    /// hooks, routes and handlers see the same request with that target, and HEAD stays HEAD. The
    /// guard has let it in before. At most eight in a row, then 500. Ticking thread or not, it runs
    /// inside tick().
    void rewrite(std::string_view target);
    /// Sends what status() and header() have set, without content.
    void finish();

    /// True when the client has gone (closed its sending side at least) or the server has: the
    /// answer will probably reach nobody. Any thread.
    bool peer_gone() const noexcept;
    /// True when it has been sent, by any copy, or answers nothing.
    bool is_finished() const noexcept;

private:
    template <class Fill>
    void finish_with(const Fill& fill);

    std::shared_ptr<detail::ReplyOwner> owner_;
};

PORTHOLE_NAMESPACE_END
