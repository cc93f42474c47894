// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/base/ascii.hpp"
#include "porthole/base/base64.hpp"
#include "porthole/base/ip_address.hpp"
#include "porthole/http/form.hpp"
#include "porthole/http/request.hpp"
#include "porthole/os/random.hpp"
#include "porthole/server/guard.hpp"

#include <array>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// The fields that tell where a request comes from, found in one pass.
struct Gatekeeper::Evidence {
    std::string_view site;
    std::string_view mode;
    std::string_view destination;
    std::string_view origin;
    std::string_view authorization;
    unsigned sites = 0;
    unsigned origins = 0;
    unsigned authorizations = 0;

    /// By the sizes of the names: most requests of other programs end here.
    static bool may_be_in(const Fields& fields) noexcept {
        constexpr std::size_t origin_size = 6; // Origin
        constexpr std::size_t site_size = 14;  // Sec-Fetch-Site
        bool is_found = false;
        for (std::size_t i = 0; i < fields.size(); ++i) {
            const std::size_t size = fields.name_size(i);
            is_found = is_found || size == origin_size || size == site_size;
        }
        return is_found;
    }

    explicit Evidence(const Fields& fields) noexcept {
        for (std::size_t i = 0; i < fields.size(); ++i) {
            look_at(fields[i]);
        }
    }

    void look_at(const Field& field) noexcept {
        constexpr std::string_view origin_name = "origin";
        constexpr std::string_view authorization_name = "authorization";
        constexpr std::string_view fetch_prefix = "sec-fetch-";
        constexpr std::size_t fetch_size = fetch_prefix.size() + 4;
        if (field.name.size() == fetch_size
            && ascii::equals_ignoring_case(
                field.name.substr(0, fetch_prefix.size()), fetch_prefix)) {
            const std::string_view rest = field.name.substr(fetch_prefix.size());
            if (ascii::equals_ignoring_case(rest, "site")) {
                site = field.value;
                ++sites;
            } else if (ascii::equals_ignoring_case(rest, "mode")) {
                mode = field.value;
            } else if (ascii::equals_ignoring_case(rest, "dest")) {
                destination = field.value;
            }
        } else if (
            field.name.size() == origin_name.size()
            && ascii::equals_ignoring_case(field.name, origin_name)) {
            origin = field.value;
            ++origins;
        } else if (
            field.name.size() == authorization_name.size()
            && ascii::equals_ignoring_case(field.name, authorization_name)) {
            authorization = field.value;
            ++authorizations;
        }
    }
};

inline GuardVerdict refuse_visit(int status, std::string_view sentence) noexcept {
    GuardVerdict verdict;
    verdict.kind = GuardVerdict::Kind::refuse;
    verdict.status = status;
    verdict.sentence = sentence;
    return verdict;
}

PORTHOLE_FN GuardVerdict Gatekeeper::judge(const Request& request, const GuardContext& context) {
    constexpr int bad_request = 400;
    constexpr int forbidden = 403;
    const std::string_view authority = request.authority();
    if (guard_.checks_host && !is_allowed_host(authority, context.is_exposed)) {
        return refuse_visit(
            forbidden, "This server does not go by the name in Host. If it should, add the name to "
                       "Guard::allowed_hosts.");
    }
    if (request.has_conflicting_host()) {
        return refuse_visit(bad_request, "The request target and Host name different hosts.");
    }
    GuardVerdict verdict;
    const bool wants_token = context.needs_token || guard_.requires_token;
    if (!wants_token && !Evidence::may_be_in(request.fields())) {
        return verdict; // neither of the fields that tell: not a page of a browser
    }
    const Evidence evidence(request.fields());
    if (evidence.sites != 0 || evidence.origins != 0) {
        verdict = judge_origin(request, evidence, context);
        if (verdict.kind != GuardVerdict::Kind::pass) {
            return verdict;
        }
    }
    if (wants_token) {
        GuardVerdict entry = judge_token(request, evidence);
        entry.origin = verdict.origin; // a page that may come in can read a 401, too
        return entry;
    }
    return verdict;
}

PORTHOLE_FN bool Gatekeeper::is_allowed_host(std::string_view authority, bool is_exposed) {
    if (authority == last_host_ && is_exposed == last_was_exposed_ && !authority.empty()) {
        return true;
    }
    Authority parsed;
    if (!parse_authority(authority, parsed)) {
        return false;
    }
    std::string_view host = parsed.host;
    if (host.back() == '.') {
        host.remove_suffix(1);
    }
    constexpr std::string_view local = "localhost";
    constexpr std::string_view below_local = ".localhost";
    bool is_allowed = false;
    std::array<std::uint8_t, 4> ipv4{};
    std::array<std::uint8_t, 16> ipv6{};
    if (host.size() > 2 && host.front() == '['
        && parse_ipv6(host.substr(1, host.size() - 2), ipv6)) {
        is_allowed = is_loopback(ipv6) || (is_exposed && !is_unspecified(ipv6));
    } else if (parse_ipv4(host, ipv4)) {
        is_allowed = is_loopback(ipv4) || (is_exposed && !is_unspecified(ipv4));
    } else {
        is_allowed = ascii::equals_ignoring_case(host, local)
                     || (host.size() > below_local.size()
                         && ascii::equals_ignoring_case(
                             host.substr(host.size() - below_local.size()), below_local));
    }
    is_allowed = is_allowed || is_listed_host(host);
    if (is_allowed) {
        last_host_ = authority;
        last_was_exposed_ = is_exposed;
    }
    return is_allowed;
}

/// ".tool.test" stands for tool.test and every name below it.
PORTHOLE_FN bool Gatekeeper::is_listed_host(std::string_view host) const noexcept {
    for (const std::string& entry : guard_.allowed_hosts) {
        const std::string_view name = entry;
        if (name.empty() || name == ".") {
            continue; // would be the end of every name
        }
        if (name.front() == '.') {
            const bool is_same = ascii::equals_ignoring_case(host, name.substr(1));
            const bool is_below =
                host.size() > name.size()
                && ascii::equals_ignoring_case(host.substr(host.size() - name.size()), name);
            if (is_same || is_below) {
                return true;
            }
        } else if (ascii::equals_ignoring_case(host, name)) {
            return true;
        }
    }
    return false;
}

/// "http://Host", with the default port left out on both sides, in any case.
inline bool is_own_origin(
    std::string_view origin, std::string_view scheme, std::string_view authority) noexcept {
    constexpr std::string_view separator = "://";
    const auto without_default_port = [scheme](std::string_view text) {
        const std::string_view port = scheme == "https" ? ":443" : ":80";
        const bool has_it =
            text.size() > port.size() && text.substr(text.size() - port.size()) == port;
        return has_it ? text.substr(0, text.size() - port.size()) : text;
    };
    if (origin.size() <= scheme.size() + separator.size()
        || !ascii::equals_ignoring_case(origin.substr(0, scheme.size()), scheme)
        || origin.substr(scheme.size(), separator.size()) != separator) {
        return false;
    }
    return ascii::equals_ignoring_case(
        without_default_port(origin.substr(scheme.size() + separator.size())),
        without_default_port(authority));
}

PORTHOLE_FN GuardVerdict Gatekeeper::judge_origin(
    const Request& request, const Evidence& evidence, const GuardContext& context) const {
    constexpr int forbidden = 403;
    GuardVerdict verdict;
    for (const std::string& allowed : guard_.allowed_origins) {
        // "null" is what every sandboxed page sends, so it is nobody's origin.
        const bool is_origin = allowed.find("://") != std::string::npos;
        if (is_origin && evidence.origins == 1 && evidence.origin == allowed) {
            verdict.origin = &allowed;
        }
    }
    if (verdict.origin != nullptr) {
        const bool is_preflight = request.method() == Method::options
                                  && request.header("Access-Control-Request-Method").has_value();
        verdict.kind = is_preflight ? GuardVerdict::Kind::preflight : GuardVerdict::Kind::pass;
        return verdict;
    }
    if (guard_.checks_fetch_metadata && evidence.sites != 0) {
        const bool is_own = evidence.site == "same-origin" || evidence.site == "none";
        const bool is_other = evidence.site == "same-site" || evidence.site == "cross-site";
        const bool is_read = request.method() == Method::get || request.method() == Method::head;
        const bool is_link =
            is_read && evidence.mode == "navigate" && evidence.destination == "document";
        if (evidence.sites != 1 || !(is_own || (is_other && is_link))) {
            return refuse_visit(
                forbidden,
                "A page of another site sent this request (Sec-Fetch-Site). If it may, add "
                "its origin to Guard::allowed_origins.");
        }
    }
    // A form on our own page, which our Referrer-Policy makes hide its origin; the browser vouches
    // for it in a field that no page can set.
    const bool is_own_form = evidence.origins == 1 && evidence.origin == "null"
                             && evidence.sites == 1 && evidence.site == "same-origin";
    if (guard_.checks_origin && evidence.origins != 0 && !is_own_form
        && (evidence.origins != 1
            || !is_own_origin(evidence.origin, context.scheme, request.authority()))) {
        return refuse_visit(
            forbidden,
            "A page of another origin sent this request (Origin). If it may, add the origin "
            "to Guard::allowed_origins.");
    }
    return verdict;
}

PORTHOLE_FN GuardVerdict
Gatekeeper::judge_token(const Request& request, const Evidence& evidence) const {
    constexpr int unauthorized = 401;
    constexpr std::string_view bearer = "Bearer ";
    if (token_.empty()) {
        return refuse_visit(unauthorized, "This server has no token and lets nobody in.");
    }
    if (evidence.authorizations == 1 && evidence.authorization.size() > bearer.size()
        && ascii::equals_ignoring_case(evidence.authorization.substr(0, bearer.size()), bearer)
        && equals_in_constant_time(evidence.authorization.substr(bearer.size()), token_)) {
        return {};
    }
    if (request.method() == Method::get) { // before the cookie: it leaves the address each time
        const auto given = request.query("token");
        if (given && equals_in_constant_time(*given, token_)) {
            GuardVerdict verdict;
            verdict.kind = GuardVerdict::Kind::login;
            return verdict;
        }
    }
    const auto session = request.cookie(session_cookie_name(request));
    if (session && equals_in_constant_time(*session, session_)) {
        return {};
    }
    return refuse_visit(
        unauthorized,
        "This server wants its token: open the address with ?token= that it printed, or "
        "send Authorization: Bearer.");
}

/// Cookies ignore ports, so the name carries it: two servers on one machine keep two sessions.
PORTHOLE_FN std::string Gatekeeper::session_cookie_name(const Request& request) const {
    Authority authority;
    std::string name = "porthole-session";
    if (parse_authority(request.authority(), authority) && authority.has_port) {
        name += "-" + std::to_string(authority.port);
    }
    return name;
}

PORTHOLE_FN bool Gatekeeper::make_secrets() {
    constexpr std::size_t secret_size = 32;
    char bytes[2 * secret_size];
    if (!session_.empty()) {
        return true;
    }
    if (!fill_random(bytes, sizeof bytes)) {
        return false;
    }
    session_ = base64url({bytes, secret_size});
    token_ = guard_.token.empty() ? base64url({bytes + secret_size, secret_size}) : guard_.token;
    return true;
}

PORTHOLE_FN Error no_secrets() {
    return Error(
        ErrorCode::system, "getentropy", "the server's token",
        "without random bytes there is no token, and without a token nobody is let in");
}

PORTHOLE_FN bool equals_in_constant_time(std::string_view a, std::string_view b) noexcept {
    if (a.size() != b.size()) {
        return false;
    }
    volatile unsigned char difference = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        difference = static_cast<unsigned char>(difference | (a[i] ^ b[i]));
    }
    return difference == 0;
}

/// Names are decoded before they are compared, as Request::query() does: "tok%65n" is one, too.
PORTHOLE_FN bool is_token_parameter(std::string_view pair) {
    std::string name;
    append_form_decoded(pair.substr(0, pair.find('=')), name);
    return name == "token";
}

PORTHOLE_FN std::string redact_token(std::string_view target) {
    std::size_t end = target.find('?');
    std::string redacted(target.substr(0, end));
    while (end < target.size()) {
        redacted += target[end]; // '?' or '&'
        const std::size_t begin = end + 1;
        end = target.find('&', begin);
        const std::string_view pair = target.substr(begin, end - begin);
        const std::size_t equals = pair.find('=');
        if (equals != std::string_view::npos && is_token_parameter(pair)) {
            redacted.append(pair.substr(0, equals)).append("=***");
        } else {
            redacted += pair;
        }
    }
    return redacted;
}

} // namespace detail

PORTHOLE_NAMESPACE_END
