// SPDX-License-Identifier: MIT
#pragma once

// What a handler fills in. Fields are checked and kept as they will be sent, so that this is the
// one place through which a name or a value reaches the wire, and sending them is one copy.

#include "porthole/fwd.hpp"
#include "porthole/http/body.hpp"
#include "porthole/http/cookie.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

struct Exchange;

/// An answer as data. Reused from request to request, so that its memory is allocated once.
struct ResponseParts {
    int status = 200;
    bool is_touched = false;    ///< a handler or hook has set something
    bool has_overrides = false; ///< a field is set that the server would add by itself
    bool must_close = false;    ///< the connection ends behind this answer
    bool is_deferred = false;
    bool is_refusal = false;     ///< the library's own words, which the error page may replace
    unsigned refused_fields = 0; ///< fields with forbidden bytes, dropped
    std::string fields;          ///< complete lines: "Name: value\r\n" ...
    std::string body;
    std::unique_ptr<BodySource> source; ///< when set, instead of body
    std::shared_ptr<Upgrade> upgrade; ///< when set, the answer is 101 and this owns the connection
    std::string upgrade_protocol;
    Exchange* exchange = nullptr; ///< what defer() takes the answer from; null outside a server

    /// Back to an untouched 200; keeps the memory, and `exchange`.
    void reset() noexcept;
};

/// The size of the first of complete field lines, its CRLF included.
std::size_t line_size(std::string_view lines) noexcept;
/// Where the first line of that name begins among complete field lines, or npos.
std::size_t find_field_line(std::string_view lines, std::string_view name) noexcept;

/// A container of bytes that is not a string: std::vector<std::uint8_t>, std::array<std::byte,
/// N> ...
template <class T, class = void>
inline constexpr bool is_byte_container = false;
template <class T>
inline constexpr bool is_byte_container<
    T,
    std::void_t<
        decltype(std::declval<const T&>().data()[0]), decltype(std::declval<const T&>().size())>> =
    sizeof(*std::declval<const T&>().data()) == 1
    && !std::is_convertible_v<const T&, std::string_view>;

} // namespace detail

/// One answer. Untouched it is 200 without content. Setters return the response, for chaining;
/// setting the content again replaces it.
class Response {
public:
    explicit Response(detail::ResponseParts& parts) noexcept : parts_(&parts) {}
    Response(const Response&) = delete;
    Response& operator=(const Response&) = delete;

    /// 200 to 599 (RFC 9110 section 15). 101 comes with upgrade().
    Response& status(int code);
    int status() const noexcept { return parts_->status; }

    /// Sets a field, in place of any of that name. The name must be a token, the value free of
    /// CR, LF, NUL and other control characters (RFC 9110 section 5.5): else it is dropped and
    /// logged. Content-Length, Transfer-Encoding, Keep-Alive and Upgrade are the server's own
    /// and cannot be set; Connection only to "close", which is close_connection(). The views
    /// may be of this response's own fields.
    Response& header(std::string_view name, std::string_view value);
    /// Adds a field line, beside others of that name.
    Response& add_header(std::string_view name, std::string_view value);
    Response& remove_header(std::string_view name);
    /// The first value that was set.
    std::optional<std::string_view> header(std::string_view name) const noexcept;
    /// Adds a Set-Cookie field (RFC 6265 section 4.1).
    Response&
    cookie(std::string_view name, std::string_view value, const CookieOptions& options = {});

    /// Content with its type; the bytes are copied.
    Response& send(std::string_view type, std::string_view bytes);
    template <class Bytes, std::enable_if_t<detail::is_byte_container<Bytes>, int> = 0>
    Response& send(std::string_view type, const Bytes& bytes) {
        return send(type, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    }
    Response& text(std::string_view bytes) { return send("text/plain; charset=utf-8", bytes); }
    Response& html(std::string_view bytes) { return send("text/html; charset=utf-8", bytes); }
    Response& json(std::string_view bytes) { return send("application/json", bytes); }
    /// Content that is moved in instead of copied, for large answers; set the type with
    /// header().
    Response& body(std::string bytes);
    std::string_view body() const noexcept { return parts_->body; }
    /// Content that is pulled as the peer takes it.
    Response& send(std::string_view type, std::unique_ptr<BodySource> source);
    /// Takes such content out again, for hooks that put something around it; null when there is
    /// none.
    std::unique_ptr<BodySource> take_source() noexcept { return std::move(parts_->source); }

    /// Location, as it is, and a short text; 301, 302, 303, 307 or 308 (RFC 9110 section 15.4).
    /// A location with control characters becomes a 500 without Location.
    Response& redirect(std::string_view location, int code = 302);
    /// An error in the library's own plain form: the code, its reason and a sentence; forgets
    /// everything that was set. Server::on_error() may put a page in its place. With `retry_after`
    /// the client is told when to try again (RFC 9110 section 10.2.3).
    Response& fail(int code, std::string_view sentence, std::chrono::seconds retry_after = {});
    /// 204, without content and Content-Type.
    Response& no_content();
    /// True when anything has been set, or the answer is deferred.
    bool is_touched() const noexcept { return parts_->is_touched || parts_->is_deferred; }
    /// The connection ends behind this answer.
    Response& close_connection();
    /// Forgets everything that was set; an answer that was deferred stays with its Reply.
    Response& reset();

    /// Answer later: from a later frame or from another thread. The handler returns without an
    /// answer; status and fields that were set go along into the Reply. Call it once.
    Reply defer();
    /// Content that the program writes piece by piece, in this frame and in later ones.
    Stream stream(std::string_view type, const StreamOptions& options = {});
    /// Server-Sent Events to this client, in this frame and in later ones; the fields that browsers
    /// and proxies need are set.
    EventStream events();
    /// The server that asks; null outside of one.
    Server* server() const noexcept;
    /// 101: `owner` owns the connection once the handler has returned. `protocol` is the
    /// Upgrade field's value. When the request did not ask for that upgrade the answer is 426
    /// instead (RFC 9110 section 15.5.22).
    Response& upgrade(std::string_view protocol, std::shared_ptr<Upgrade> owner);
    /// 426 for a request that did not ask for `protocol`, which Upgrade then names (RFC 9110
    /// section 15.5.22); otherwise like fail().
    Response& fail_upgrade(std::string_view protocol, std::string_view sentence);

private:
    detail::ResponseParts* parts_;
};

PORTHOLE_NAMESPACE_END
