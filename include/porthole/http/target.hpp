// SPDX-License-Identifier: MIT
#pragma once

// Request targets (RFC 9112 section 3.2) and percent-encoding (RFC 3986 section 2.1). Everything is
// decoded exactly once.

#include "porthole/base/config.hpp"

#include <cstdint>
#include <string>
#include <string_view>

PORTHOLE_NAMESPACE_BEGIN

enum class TargetForm : unsigned char { origin, absolute, authority, asterisk };

/// A split request target; all views point into it and are still encoded. Only an empty path of
/// the absolute form becomes a constant "/".
struct Target {
    TargetForm form = TargetForm::origin;
    std::string_view scheme;    ///< absolute form only
    std::string_view authority; ///< absolute and authority form: host and port
    std::string_view path;  ///< begins with '/' in origin and absolute form; "*" in asterisk form
    std::string_view query; ///< behind the first '?', without it
};

/// Splits and checks a target for that method: authority form only for CONNECT, asterisk form
/// only for OPTIONS, no fragment, visible ASCII only, every '%' followed by two hexadecimal
/// digits; CONNECT with a port (RFC 9110 section 9.3.6); absolute form only for http and https,
/// with a valid authority. False when it breaks a rule.
bool parse_target(std::string_view text, std::string_view method_name, Target& target) noexcept;

/// A host and an optional port, as in Host and in an authority: "localhost:8080", "[::1]".
struct Authority {
    std::string_view host; ///< with its brackets for IPv6; never empty
    bool has_port = false;
    std::uint16_t port = 0;
};
/// Strict: letters, digits, '-', '.' and '_', or a bracketed IPv6 address without zone; a port of
/// one to five digits up to 65535; no userinfo; at most 255 bytes. False for anything else.
bool parse_authority(std::string_view text, Authority& authority) noexcept;

/// Appends `text` with each %XX replaced by its byte. False, with `into` as it was, when a '%'
/// is not followed by two hexadecimal digits.
bool percent_decode(std::string_view text, std::string& into);
/// Appends `text` with every byte but the unreserved ones (RFC 3986 section 2.3) as %XX.
void percent_encode(std::string_view text, std::string& into);

/// True when a path needs normalize_path(): it has a '%' or a segment "." or "..".
bool path_needs_work(std::string_view path) noexcept;
/// Appends a path that begins with '/', each segment decoded and dot segments removed (RFC 3986
/// section 5.2.4), also encoded ones. "%2F" becomes a '/' that divides nothing while that is
/// done. False, with `into` as it was, when the path climbs above the root, has a NUL or a bad
/// '%', or when its "%2F" would let a dot segment appear.
bool normalize_path(std::string_view path, std::string& into);

PORTHOLE_NAMESPACE_END
