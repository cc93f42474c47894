// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/base/ascii.hpp"
#include "porthole/base/base64.hpp"
#include "porthole/base/sha1.hpp"
#include "porthole/ext/websocket_handshake.hpp"

#include <cstddef>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// 16 bytes are 22 digits and two of padding, and the last digit has four bits to spare, which are
/// zero.
inline bool is_websocket_key(std::string_view key) noexcept {
    constexpr std::size_t digits = 22;
    if (key.size() != digits + 2 || key.substr(digits) != "==") {
        return false;
    }
    for (const char c : key.substr(0, digits)) {
        if (!ascii::is_alpha(c) && !ascii::is_digit(c) && c != '+' && c != '/') {
            return false;
        }
    }
    return std::string_view("AQgw").find(key[digits - 1]) != std::string_view::npos;
}

inline bool any_list_has(const Fields& fields, std::string_view name, std::string_view element) {
    for (const std::string_view line : fields.find_all(name)) {
        if (ascii::list_has(line, element)) {
            return true;
        }
    }
    return false;
}

PORTHOLE_FN HandshakeFault check_handshake(const Request& request) {
    constexpr int bad_request = 400;
    constexpr int method_not_allowed = 405;
    constexpr int upgrade_required = 426;
    const Fields& fields = request.fields();
    if (request.method() != Method::get) {
        return {method_not_allowed, "A WebSocket handshake is a GET (RFC 6455 section 4.1)."};
    }
    if (!any_list_has(fields, "Upgrade", "websocket")) {
        return {upgrade_required, "This path speaks WebSocket."};
    }
    if (request.http_version() != "HTTP/1.1" || !any_list_has(fields, "Connection", "upgrade")) {
        return {bad_request, "A WebSocket handshake is HTTP/1.1 with \"Connection: Upgrade\"."};
    }
    const auto versions = fields.find_all("Sec-WebSocket-Version");
    if (versions.size() != 1) {
        return {bad_request, "A WebSocket handshake has one Sec-WebSocket-Version."};
    }
    if (versions[0] != "13") {
        const bool is_number = ascii::parse_decimal(versions[0]).has_value();
        return {
            is_number ? upgrade_required : bad_request,
            "Only version 13 of WebSocket is spoken here."};
    }
    const auto keys = fields.find_all("Sec-WebSocket-Key");
    if (keys.size() != 1 || !is_websocket_key(keys[0])) {
        return {bad_request, "Sec-WebSocket-Key is not the base64 of 16 bytes."};
    }
    if (!has_valid_protocols(fields)) {
        return {bad_request, "Sec-WebSocket-Protocol is not a list of tokens."};
    }
    return {};
}

PORTHOLE_FN std::string websocket_accept_key(std::string_view key) {
    std::string text(key);
    text += "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    const Sha1Digest digest = sha1(text);
    return base64({digest.data(), digest.size()});
}

PORTHOLE_FN bool has_valid_protocols(const Fields& fields) {
    for (std::string_view rest : fields.find_all("Sec-WebSocket-Protocol")) {
        bool has_any = false;
        while (const auto name = ascii::next_list_element(rest)) {
            has_any = true;
            if (!ascii::is_token(*name)) {
                return false;
            }
        }
        if (!has_any) {
            return false;
        }
    }
    return true;
}

PORTHOLE_FN std::string_view
choose_protocol(const Fields& fields, const std::vector<std::string>& ours) {
    const auto lines = fields.find_all("Sec-WebSocket-Protocol");
    for (const std::string& name : ours) {
        for (std::string_view rest : lines) {
            while (const auto offered = ascii::next_list_element(rest)) {
                if (*offered == name) { // unlike most tokens, these have a case
                    return name;
                }
            }
        }
    }
    return {};
}

} // namespace detail

PORTHOLE_NAMESPACE_END
