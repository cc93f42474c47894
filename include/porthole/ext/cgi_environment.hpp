// SPDX-License-Identifier: MIT
#pragma once

// What a CGI program is told of its request: the meta-variables of RFC 3875 section 4.1 and those
// that everybody expects besides, built from an allow-list. Pure; also where the path below a mount
// is divided between the script and what the script is asked for.

#include "porthole/http/request.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

PORTHOLE_NAMESPACE_BEGIN

/// Names and values for a program's environment.
using CgiVariables = std::vector<std::pair<std::string, std::string>>;

namespace detail {

/// What the request itself does not say. The views are valid for the call.
struct CgiContext {
    std::string_view path_info;       ///< the end of Request::path() that is not the script's
    std::string_view index;           ///< the script's name, when the path is its directory's
    std::string_view script_filename; ///< empty: none
    std::string_view document_root;   ///< as the system writes it
    std::string_view software;        ///< empty: the library's own name
    std::uint16_t port = 0;           ///< when the client did not name a host
    /// The content's, when there is content and its size is known.
    std::optional<std::uint64_t> content_length;
    bool passes_authorization = false;
    bool has_windows_paths = false;
    const CgiVariables* extra = nullptr; ///< they beat all others
};

/// "NAME=value" for each, sorted by nothing, each name once. Values have no zero byte.
std::vector<std::string> build_cgi_environment(const Request& request, const CgiContext& context);

/// The variable that a field becomes, "HTTP_ACCEPT_LANGUAGE"; empty for one that is not passed on:
/// names with anything but letters, digits and '-' ("X_Y" would pass for "X-Y"), Proxy (which would
/// become HTTP_PROXY), credentials unless they are wanted, what is about the connection, and what
/// has a variable of its own.
std::string cgi_field_variable(std::string_view name, bool passes_authorization);

/// An address as Request::peer() writes it, taken apart. A unix socket counts as this machine;
/// what has no address becomes 0.0.0.0.
struct CgiPeer {
    std::string_view address;
    std::string_view port; ///< may be empty
};
CgiPeer split_peer(std::string_view peer) noexcept;

} // namespace detail

PORTHOLE_NAMESPACE_END
