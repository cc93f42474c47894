// SPDX-License-Identifier: MIT
#pragma once

// Stands where the zlib adapter would be: without it messages are never compressed, and the
// extension is neither offered nor accepted.

#include "porthole/ext/websocket_deflate.hpp"

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN bool can_deflate() noexcept {
    return false;
}

PORTHOLE_FN std::unique_ptr<MessageCodec> make_server_codec(const DeflateParameters&) {
    return nullptr;
}

PORTHOLE_FN std::unique_ptr<MessageCodec> make_client_codec(const DeflateParameters&) {
    return nullptr;
}

} // namespace detail

PORTHOLE_NAMESPACE_END
