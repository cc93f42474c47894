// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/ext/access_log.hpp"
#include "porthole/http/date.hpp"

#include <cstddef>

PORTHOLE_NAMESPACE_BEGIN

PORTHOLE_FN void escape_for_log(std::string_view text, std::string& into) {
    constexpr char digits[] = "0123456789abcdef";
    for (const char c : text) {
        const bool is_plain = c >= ' ' && c <= '~' && c != '"' && c != '\\';
        if (is_plain) {
            into += c;
        } else {
            const auto byte = static_cast<unsigned char>(c);
            into += "\\x";
            into += digits[byte >> 4];
            into += digits[byte & 0x0f];
        }
    }
}

PORTHOLE_FN void write_common_log(const AccessRecord& record, std::string& into) {
    std::string_view host = record.peer;
    const std::size_t colon = host.rfind(':');
    if (colon != std::string_view::npos && colon + 1 < host.size()) {
        host = host.substr(0, colon); // without the port
    }
    char date[date_size]; // "Sun, 06 Nov 1994 08:49:37 GMT"
    write_date(record.time, date);
    const std::string_view text(date, date_size);
    escape_for_log(host.empty() ? std::string_view("-") : host, into);
    into.append(" - - [").append(text.substr(5, 2)).append("/").append(text.substr(8, 3));
    into.append("/").append(text.substr(12, 4)).append(":").append(text.substr(17, 8));
    into += " +0000] \"";
    if (record.method.empty()) {
        into += '-';
    } else {
        escape_for_log(record.method, into);
        into += ' ';
        escape_for_log(record.target, into);
        into += ' ';
        escape_for_log(record.http_version, into);
    }
    into += "\" " + std::to_string(record.status) + " ";
    into += record.content_bytes == 0 ? std::string("-") : std::to_string(record.content_bytes);
    into += '\n';
}

PORTHOLE_NAMESPACE_END
