// SPDX-License-Identifier: MIT
#pragma once

// From a request's path to the name of a file, and what a name says about the file. Every rule
// that refuses a path without asking the system stands here; all of it is pure.

#include "porthole/base/config.hpp"

#include <string>
#include <string_view>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// What there is to say about a path before any file is looked for.
enum class PathVerdict : unsigned char {
    fine,
    malformed, ///< 400: no path that this library would ever make
    hidden,    ///< 404: a name that is not served here
};

struct PathRules {
    bool allows_dotfiles = false;
    bool is_portable = false; ///< refuse what Windows would take for something else
};

/// Longer paths are refused: what common systems take.
inline constexpr std::size_t max_file_path = 4096;

/// Judges the raw target of a request: an encoded slash is refused wherever it stands, since
/// decoding would move what it separates, and so are backslashes and control characters, encoded or
/// not.
PathVerdict check_raw_path(std::string_view target) noexcept;
/// Judges a decoded path that begins with '/'. Empty parts, but for the last, dot segments,
/// controls and backslashes are malformed.
PathVerdict check_path(std::string_view path, const PathRules& rules) noexcept;
/// True when Windows takes a name for what it says: no reserved characters or device names, no dot
/// or space at its end, no short name of another one.
bool is_portable_name(std::string_view name) noexcept;
/// Behind the last dot of the last part, or empty. A dot in front begins no extension.
std::string_view extension_of(std::string_view path) noexcept;
/// True for names with a content hash as bundlers write it: "app.3f2a9c1b.js",
/// "index-BcD3fG7h.css".
bool has_hash_in_name(std::string_view path) noexcept;

} // namespace detail

PORTHOLE_NAMESPACE_END
