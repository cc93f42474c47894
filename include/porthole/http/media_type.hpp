// SPDX-License-Identifier: MIT
#pragma once

// Media types by file extension, and what a Content-Type field says.

#include "porthole/base/config.hpp"

#include <optional>
#include <string_view>

PORTHOLE_NAMESPACE_BEGIN

/// "text/html; charset=utf-8" for "a/b.html"; "application/octet-stream" for what is unknown.
/// The extension compares in any case. Text types carry charset=utf-8.
std::string_view media_type_of(std::string_view path) noexcept;

/// A Content-Type value without its parameters: "text/html" of "Text/HTML; charset=utf-8"
/// compares equal in any case.
std::string_view media_type_essence(std::string_view content_type) noexcept;
/// A parameter's value, without quotes around it (escapes inside stay): "utf-8" for "charset".
std::optional<std::string_view>
media_type_parameter(std::string_view content_type, std::string_view name) noexcept;

PORTHOLE_NAMESPACE_END
