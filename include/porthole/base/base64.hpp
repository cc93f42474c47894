// SPDX-License-Identifier: MIT
#pragma once

// Base64 (RFC 4648): section 4 for protocols that want it, section 5 for text that goes into URLs
// and cookies.

#include "porthole/base/config.hpp"

#include <string>
#include <string_view>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// With '+', '/' and padding.
std::string base64(std::string_view bytes);
/// With '-', '_' and no padding.
std::string base64url(std::string_view bytes);

} // namespace detail

PORTHOLE_NAMESPACE_END
