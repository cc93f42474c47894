// SPDX-License-Identifier: MIT
#pragma once

// What a handler is given: a read-only face over the bytes of one request. Every view is valid
// until the handler returns; copy what is needed longer.

#include "porthole/http/fields.hpp"
#include "porthole/http/form.hpp"
#include "porthole/http/method.hpp"
#include "porthole/http/parser.hpp"
#include "porthole/http/target.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// One ":name" or "*name" of the route that matched. The name lives in the route, the value is a
/// place in Request::path().
struct PathParameter {
    std::string_view name;
    Span value;
};

/// Everything a Request shows. Filled by the connection and the router; reused from request to
/// request, so that its memory is allocated once.
struct RequestParts {
    const char* base = nullptr;      ///< the head's first byte
    RequestHead* head = nullptr;     ///< never null while a Request is shown
    Target target;                   ///< views into the head's bytes; set again when they move
    bool path_is_normalized = false; ///< true: path() is path_bytes
    std::string path_bytes;
    std::vector<PathParameter> parameters;
    std::vector<Span> segments; ///< of path(), for the router
    std::string_view body;
    const Fields* trailer = nullptr;
    std::string_view peer;
    std::string_view scheme = "http";
    bool is_mounted = false;
    Span mount_path; ///< below a mount: a place in path()
    mutable FormPairs query;
    mutable FormPairs form;
    mutable bool has_query = false; ///< `query` has been parsed for this request
    mutable bool has_form = false;

    /// Splits the target of `head`, whose bytes are at `base`, and normalizes the path where it
    /// needs it. bad_target when it breaks a rule.
    RequestFault set_head(RequestHead& new_head, const char* new_base);
    /// The head's bytes are at `new_base` now: sets every view into them anew, those of the
    /// head's fields too.
    void move_to(const char* new_base) noexcept;
    /// Forgets the request, keeps the memory, and peer and scheme, which are the connection's.
    void reset() noexcept;
};

} // namespace detail

/// One request. Not copyable; handed to handlers by reference.
class Request {
public:
    explicit Request(const detail::RequestParts& parts) noexcept : parts_(&parts) {}
    Request(const Request&) = delete;
    Request& operator=(const Request&) = delete;

    Method method() const noexcept { return parts_->head->method; }
    /// The method as it was sent: also for Method::other.
    std::string_view method_name() const noexcept;
    /// The whole request target as it was sent.
    std::string_view target() const noexcept;
    /// Percent-decoded, without dot segments, and always beginning with '/', but for "*" of
    /// OPTIONS *.
    std::string_view path() const noexcept;
    /// Behind the '?', still encoded; empty when there is none.
    std::string_view query_string() const noexcept { return parts_->target.query; }
    /// Below a mount: what follows its prefix in path(), beginning with '/'; empty when path() is
    /// the prefix itself. Elsewhere: path().
    std::string_view mount_path() const noexcept;

    /// The first value of a query parameter, decoded.
    std::optional<std::string_view> query(std::string_view name) const;
    std::vector<std::string_view> query_all(std::string_view name) const;

    /// A field's first value, trimmed. Names compare in any case.
    std::optional<std::string_view> header(std::string_view name) const noexcept;
    std::vector<std::string_view> header_all(std::string_view name) const;
    const Fields& fields() const noexcept { return parts_->head->fields; }
    /// A field of the trailer section of a chunked body.
    std::optional<std::string_view> trailer(std::string_view name) const noexcept;

    /// A cookie's value, without quotes around it (RFC 6265 section 5.4).
    std::optional<std::string_view> cookie(std::string_view name) const noexcept;
    /// The first value of a field of application/x-www-form-urlencoded content, decoded.
    /// Nothing when the content is of another type.
    std::optional<std::string_view> form(std::string_view name) const;
    std::vector<std::string_view> form_all(std::string_view name) const;
    /// The content, without its transfer coding.
    std::string_view body() const noexcept { return parts_->body; }

    /// What ":name" or "*name" of the route's pattern stands for, percent-decoded; empty when
    /// there is no such parameter. A nameless "*" is called "*".
    std::string_view param(std::string_view name) const noexcept;

    /// The other end: "127.0.0.1:51234", "[::1]:51234", "unix:", or a transport's own name.
    std::string_view peer() const noexcept { return parts_->peer; }
    /// The host that was asked for, as sent, without the port: from the target in absolute
    /// form, else from Host. Empty for HTTP/1.0 without Host.
    std::string_view host() const noexcept;
    /// The host and port that were asked for, as sent: from the target in absolute form, else from
    /// Host (RFC 9112 section 3.2.2). Empty when there is neither.
    std::string_view authority() const noexcept;
    /// True for a target in absolute form whose authority is not the one in Host.
    bool has_conflicting_host() const noexcept;
    /// "HTTP/1.1" or "HTTP/1.0".
    std::string_view http_version() const noexcept;
    /// "http" or "https".
    std::string_view scheme() const noexcept { return parts_->scheme; }

private:
    const FormPairs& query_pairs() const;
    const FormPairs& form_pairs() const;

    const detail::RequestParts* parts_;
};

PORTHOLE_NAMESPACE_END
