// SPDX-License-Identifier: MIT
#pragma once

// SHA-1 (FIPS 180-4), because the handshake of WebSocket asks for it (RFC 6455 section 4.2.2). It
// keeps no secret and proves nothing there; nothing else may use it.

#include "porthole/base/config.hpp"

#include <array>
#include <string_view>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

using Sha1Digest = std::array<char, 20>;

Sha1Digest sha1(std::string_view bytes) noexcept;

} // namespace detail

PORTHOLE_NAMESPACE_END
