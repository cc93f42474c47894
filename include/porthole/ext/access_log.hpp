// SPDX-License-Identifier: MIT
#pragma once

// Lines for an access log. Set Options::access_log to a function that writes them where they
// belong:
//
//     options.access_log = [](const porthole::AccessRecord& record) {
//         std::string line;
//         porthole::write_common_log(record, line);
//         std::fputs(line.c_str(), stdout);
//     };

#include "porthole/server/access_record.hpp"

#include <string>
#include <string_view>

PORTHOLE_NAMESPACE_BEGIN

/// Appends one line in the Common Log Format, with its line end:
/// `127.0.0.1 - - [06/Nov/1994:08:49:37 +0000] "GET / HTTP/1.1" 200 26`. Quotes, backslashes,
/// control characters and bytes beyond ASCII in what the peer has sent are written as a backslash,
/// x and two digits, so that no request can forge a line.
void write_common_log(const AccessRecord& record, std::string& into);

/// Appends `text` with those bytes escaped.
void escape_for_log(std::string_view text, std::string& into);

PORTHOLE_NAMESPACE_END
