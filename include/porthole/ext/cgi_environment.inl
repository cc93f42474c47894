// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/base/ascii.hpp"
#include "porthole/base/ip_address.hpp"
#include "porthole/ext/cgi_environment.hpp"

#include <array>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// Gathers "NAME=value", later ones in place of earlier ones.
class CgiVariableList {
public:
    /// On Windows names are the same in any case.
    explicit CgiVariableList(bool ignores_case) noexcept : ignores_case_(ignores_case) {}

    void set(std::string_view name, std::string_view value) {
        std::string line(name);
        line.append("=").append(value.substr(0, value.find('\0')));
        for (std::string& old : lines) {
            if (is_same(std::string_view(old).substr(0, old.find('=')), name)) {
                old = std::move(line);
                return;
            }
        }
        lines.push_back(std::move(line));
    }
    void set_if(std::string_view name, std::string_view value) {
        if (!value.empty()) {
            set(name, value);
        }
    }

    std::vector<std::string> lines;

private:
    bool is_same(std::string_view a, std::string_view b) const noexcept {
        return ignores_case_ ? ascii::equals_ignoring_case(a, b) : a == b;
    }

    bool ignores_case_;
};

inline bool is_one_of(std::string_view name, std::initializer_list<std::string_view> names) {
    for (const std::string_view other : names) {
        if (ascii::equals_ignoring_case(name, other)) {
            return true;
        }
    }
    return false;
}

PORTHOLE_FN std::string cgi_field_variable(std::string_view name, bool passes_authorization) {
    std::string variable = "HTTP_";
    for (const char c : name) {
        if (!ascii::is_alpha(c) && !ascii::is_digit(c) && c != '-') {
            return {};
        }
        const bool is_lower = c >= 'a' && c <= 'z';
        variable += c == '-' ? '_' : is_lower ? static_cast<char>(c - 'a' + 'A') : c;
    }
    const bool is_refused =
        name.empty() || is_one_of(name, {"Proxy", "Proxy-Authorization"})
        || (!passes_authorization && is_one_of(name, {"Authorization"}))
        || is_one_of(name, {"Content-Type", "Content-Length"})
        || is_one_of(
            name, {"Connection", "Keep-Alive", "Proxy-Connection", "TE", "Trailer", "Upgrade",
                   "Transfer-Encoding", "Expect", "HTTP2-Settings"});
    return is_refused ? std::string() : variable;
}

PORTHOLE_FN CgiPeer split_peer(std::string_view peer) noexcept {
    constexpr std::string_view unix_socket = "unix:";
    CgiPeer split{"0.0.0.0", {}};
    std::array<std::uint8_t, 4> ipv4{};
    std::array<std::uint8_t, 16> ipv6{};
    if (peer.substr(0, unix_socket.size()) == unix_socket) {
        split.address = "127.0.0.1";
        return split;
    }
    const std::size_t colon = peer.rfind(':');
    std::string_view address = peer.substr(0, colon);
    if (address.size() > 2 && address.front() == '[' && address.back() == ']') {
        address = address.substr(1, address.size() - 2);
        const std::string_view without_zone = address.substr(0, address.find('%'));
        if (!parse_ipv6(without_zone, ipv6)) {
            return split;
        }
    } else if (!parse_ipv4(address, ipv4)) {
        return split;
    }
    split.address = address;
    split.port = colon == std::string_view::npos ? std::string_view() : peer.substr(colon + 1);
    return split;
}

/// RFC 3875 sections 4.1.14 and 4.1.15: as the client named them, so that links that the program
/// makes lead back to where the request came in. The guard has checked the name.
inline void add_server(const Request& request, const CgiContext& context, CgiVariableList& list) {
    Authority authority;
    const bool is_secure = request.scheme() == "https";
    constexpr std::uint16_t http_port = 80;
    constexpr std::uint16_t https_port = 443;
    const std::uint16_t usual_port = is_secure ? https_port : http_port;
    if (parse_authority(request.authority(), authority)) {
        list.set("SERVER_NAME", authority.host);
        list.set("SERVER_PORT", std::to_string(authority.has_port ? authority.port : usual_port));
    } else {
        list.set("SERVER_NAME", "localhost");
        list.set("SERVER_PORT", std::to_string(context.port != 0 ? context.port : usual_port));
    }
    list.set("REQUEST_SCHEME", request.scheme());
    if (is_secure) {
        list.set("HTTPS", "on");
    }
}

/// RFC 3875 sections 4.1.5, 4.1.6 and 4.1.13.
inline void add_paths(const Request& request, const CgiContext& context, CgiVariableList& list) {
    const std::string_view path = request.path();
    std::string script_name(path.substr(0, path.size() - context.path_info.size()));
    script_name += context.index;
    list.set("SCRIPT_NAME", script_name);
    list.set("PATH_INFO", context.path_info);
    list.set_if("SCRIPT_FILENAME", context.script_filename);
    list.set_if("DOCUMENT_ROOT", context.document_root);
    if (!context.path_info.empty() && !context.document_root.empty()) {
        const auto is_separator = [&context](char c) {
            return c == '/' || (c == '\\' && context.has_windows_paths);
        };
        std::string translated(context.document_root);
        while (!translated.empty() && is_separator(translated.back())) {
            translated.pop_back(); // path_info begins with one
        }
        std::string below(context.path_info);
        for (char& c : below) {
            c = c == '/' && context.has_windows_paths ? '\\' : c;
        }
        list.set("PATH_TRANSLATED", translated + below);
    }
    // Not of the RFC, and yet what every framework routes by: path and query as they were sent.
    std::string_view target = request.target();
    const std::size_t scheme_end = target.find("://");
    if (!target.empty() && target[0] != '/' && scheme_end != std::string_view::npos) {
        const std::size_t begin = target.find_first_of("/?", scheme_end + 3);
        target = begin == std::string_view::npos ? std::string_view() : target.substr(begin);
    }
    // RFC 9110 section 4.2.3: an empty path is the same as "/".
    const bool has_path = !target.empty() && target[0] != '?';
    list.set("REQUEST_URI", has_path ? std::string(target) : "/" + std::string(target));
    list.set("QUERY_STRING", request.query_string());
}

/// Fields of one name become one variable: lists with a comma (RFC 9110 section 5.3), cookies with
/// a semicolon (RFC 6265 section 5.4).
inline void add_fields(const Request& request, bool passes_authorization, CgiVariableList& list) {
    const Fields& fields = request.fields();
    for (std::size_t i = 0; i < fields.size(); ++i) {
        const std::string_view name = fields[i].name;
        const std::string variable = cgi_field_variable(name, passes_authorization);
        bool is_repetition = false;
        for (std::size_t j = 0; j < i && !is_repetition; ++j) {
            is_repetition = ascii::equals_ignoring_case(fields[j].name, name);
        }
        if (variable.empty() || is_repetition) {
            continue;
        }
        const bool is_cookie = ascii::equals_ignoring_case(name, "Cookie");
        std::string value(fields[i].value);
        for (std::size_t j = i + 1; j < fields.size(); ++j) {
            if (ascii::equals_ignoring_case(fields[j].name, name)) {
                value.append(is_cookie ? "; " : ", ").append(fields[j].value);
            }
        }
        list.set(variable, value);
    }
}

PORTHOLE_FN std::vector<std::string>
build_cgi_environment(const Request& request, const CgiContext& context) {
    CgiVariableList list(context.has_windows_paths);
    list.set("GATEWAY_INTERFACE", "CGI/1.1");
    list.set("SERVER_PROTOCOL", request.http_version());
    list.set("SERVER_SOFTWARE", context.software.empty() ? "porthole" : context.software);
    list.set("REQUEST_METHOD", request.method_name());
    add_server(request, context, list);
    add_paths(request, context, list);
    const CgiPeer peer = split_peer(request.peer());
    list.set("REMOTE_ADDR", peer.address);
    list.set("REMOTE_HOST", peer.address);
    list.set_if("REMOTE_PORT", peer.port);
    // php-cgi refuses to run without it: it tells that a server stands before it.
    list.set("REDIRECT_STATUS", "200");
    if (context.content_length) {
        list.set("CONTENT_LENGTH", std::to_string(*context.content_length));
    }
    if (const auto type = request.header("Content-Type")) {
        list.set("CONTENT_TYPE", *type);
    }
    add_fields(request, context.passes_authorization, list);
    if (context.extra != nullptr) {
        for (const auto& variable : *context.extra) {
            list.set(variable.first, variable.second);
        }
    }
    return std::move(list.lines);
}

} // namespace detail

PORTHOLE_NAMESPACE_END
