// SPDX-License-Identifier: MIT
#pragma once

// Who may use the server. Every web page that the user opens can send requests to a server on
// localhost, so each request is judged by where it comes from before it is routed: by the name it
// used, by what the browser says of the page that sent it, and, when the server is exposed, by a
// token.

#include "porthole/base/error.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

PORTHOLE_NAMESPACE_BEGIN

class Request;

/// The rules of the guard, all on by default. Switch one off only for a reason.
struct Guard {
    /// The Host must be localhost, a name below it, a literal address of this machine, or one of
    /// allowed_hosts. Without it any page can reach the server by letting its own name point to
    /// 127.0.0.1 (DNS rebinding): such a request looks same-origin to everything else.
    bool checks_host = true;
    /// Names beside the built-in ones: "tool.test", or ".tool.test" for it and all below.
    std::vector<std::string> allowed_hosts;

    /// Sec-Fetch-Site must be same-origin or none; other sites may only link to a page. Without it
    /// any page can include scripts and images of the server, and send it GETs.
    bool checks_fetch_metadata = true;
    /// An Origin must be the server's own or one of allowed_origins. Without it any page can POST
    /// forms to the server, and open WebSockets.
    bool checks_origin = true;
    /// Origins that may send requests from a browser and read the answers (CORS):
    /// "http://localhost:5173". Exactly as browsers send them, without a path and the default port;
    /// there is no wildcard, and "null" is never let in.
    std::vector<std::string> allowed_origins;

    /// Each answer carries X-Content-Type-Options: nosniff, Cross-Origin-Resource-Policy:
    /// same-origin and Referrer-Policy: no-referrer, unless the handler sets its own.
    bool adds_security_fields = true;

    /// Requests must carry the token, also on loopback: for machines with several users. Listeners
    /// opened with Expose::lan_with_token always ask for it.
    bool requires_token = false;
    /// The token; empty: a new one from the operating system for each run, see Server::token().
    std::string token;
};

namespace detail {

/// Where a request came in.
struct GuardContext {
    std::string_view scheme = "http";
    bool is_exposed = false;  ///< by a listener that is open to more than this machine
    bool needs_token = false; ///< by a listener that asks for the token
};

/// What the guard makes of a request.
struct GuardVerdict {
    enum class Kind : unsigned char {
        pass,
        refuse,    ///< with `status` and `sentence`
        preflight, ///< a permitted CORS preflight: 204
        login,     ///< the token came in the query: 303 to `location`, with the session cookie
    };
    Kind kind = Kind::pass;
    int status = 0;
    std::string_view sentence;
    /// The foreign origin that may read the answer: an element of Guard::allowed_origins, or null.
    const std::string* origin = nullptr;
};

class Gatekeeper {
public:
    explicit Gatekeeper(const Guard& guard) : guard_(guard) {}

    GuardVerdict judge(const Request& request, const GuardContext& context);
    /// Makes token and session when they are needed for the first time; false when the system has
    /// no random bytes.
    bool make_secrets();
    const std::string& token() const noexcept { return token_; }
    /// "name=value" of the cookie that stands for the token.
    std::string session_cookie_name(const Request& request) const;
    const std::string& session() const noexcept { return session_; }
    bool adds_security_fields() const noexcept { return guard_.adds_security_fields; }

private:
    struct Evidence;

    bool is_allowed_host(std::string_view authority, bool is_exposed);
    bool is_listed_host(std::string_view host) const noexcept;
    GuardVerdict judge_origin(
        const Request& request, const Evidence& evidence, const GuardContext& context) const;
    GuardVerdict judge_token(const Request& request, const Evidence& evidence) const;

    const Guard& guard_;
    std::string token_;
    std::string session_;
    std::string last_host_;         ///< the Host that passed last: nearly always the next one, too
    bool last_was_exposed_ = false; ///< ... and by which rule
};

/// Why a server that needs a token has none.
Error no_secrets();
/// True for the query parameter that carries the token, however its name is encoded.
bool is_token_parameter(std::string_view pair);
/// The target without the value of its token parameter, for logs.
std::string redact_token(std::string_view target);
/// Equal, in a time that depends on the sizes only.
bool equals_in_constant_time(std::string_view a, std::string_view b) noexcept;

} // namespace detail

PORTHOLE_NAMESPACE_END
