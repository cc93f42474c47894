// SPDX-License-Identifier: MIT
#pragma once

// The opening handshake of WebSocket (RFC 6455 section 4), as text: what a request has to have, and
// what its answer says. Both roles compute the same key.

#include "porthole/http/request.hpp"

#include <string>
#include <string_view>
#include <vector>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// Why a request is no WebSocket handshake.
struct HandshakeFault {
    int status = 0; ///< 0: it is one; else 400, 405 or 426
    const char* sentence = "";
};

/// RFC 6455 section 4.2.1. Who may connect is the guard's business and was decided before.
HandshakeFault check_handshake(const Request& request);
/// Sec-WebSocket-Accept for that Sec-WebSocket-Key (RFC 6455 section 4.2.2).
std::string websocket_accept_key(std::string_view key);
/// The first of `ours` that the client offers; empty when there is none.
std::string_view choose_protocol(const Fields& fields, const std::vector<std::string>& ours);
/// Every element of Sec-WebSocket-Protocol is a token (RFC 6455 section 4.1).
bool has_valid_protocols(const Fields& fields);

} // namespace detail

PORTHOLE_NAMESPACE_END
