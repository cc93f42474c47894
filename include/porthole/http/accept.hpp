// SPDX-License-Identifier: MIT
#pragma once

// Proactive negotiation (RFC 9110 section 12.5): how much a client wants a coding or a media type,
// as the quality value that its Accept-Encoding or Accept gives to it.

#include "porthole/http/fields.hpp"

#include <optional>
#include <string_view>

PORTHOLE_NAMESPACE_BEGIN

/// Quality values are thousandths: 0 is "not acceptable", 1000 the default.
inline constexpr int max_quality = 1000;

/// What Accept-Encoding gives to a coding: by its name, else by "*". Nothing when neither is named
/// or the field is absent: then only "identity" can be taken for granted (RFC 9110 section
/// 12.5.3). "x-gzip" is "gzip" (section 8.4.1.3).
std::optional<int> encoding_quality(const Fields& fields, std::string_view coding) noexcept;

/// What Accept gives to a media type, the most specific range deciding: "text/html", "text/*",
/// "*/*" (RFC 9110 section 12.5.1). max_quality when the field is absent.
int media_type_quality(const Fields& fields, std::string_view type) noexcept;

PORTHOLE_NAMESPACE_END
