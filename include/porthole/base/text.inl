// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/base/text.hpp"
#include "porthole/base/utf8.hpp"

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// Hands each character to `visit`, and U+FFFD for each byte that belongs to none.
template <class Visit>
void for_each_character(std::string_view text, const Visit& visit) {
    while (!text.empty()) {
        const std::size_t size = first_character_size(text);
        visit(size == 0 ? std::string_view("\xef\xbf\xbd") : text.substr(0, size));
        text.remove_prefix(size == 0 ? 1 : size);
    }
}

PORTHOLE_FN void append_html(std::string_view text, std::string& into) {
    for_each_character(text, [&into](std::string_view character) {
        constexpr char first_visible = 0x20;
        const char c = character[0];
        switch (c) {
        case '&': into += "&amp;"; break;
        case '<': into += "&lt;"; break;
        case '>': into += "&gt;"; break;
        case '"': into += "&quot;"; break;
        case '\'': into += "&#39;"; break;
        case '\t':
        case '\n':
        case '\r': into += c; break;
        default: into += c >= 0 && c < first_visible ? std::string_view("\xef\xbf\xbd") : character;
        }
    });
}

PORTHOLE_FN void append_json(std::string_view text, std::string& into) {
    into += '"';
    for_each_character(text, [&into](std::string_view character) {
        constexpr char digits[] = "0123456789abcdef";
        constexpr char first_visible = 0x20;
        const char c = character[0];
        if (c == '"' || c == '\\') {
            into += '\\';
            into += c;
        } else if (c >= 0 && c < first_visible) {
            into += "\\u00";
            into += digits[c >> 4];
            into += digits[c & 0xf];
        } else {
            into += character;
        }
    });
    into += '"';
}

} // namespace detail

PORTHOLE_FN std::string escape_html(std::string_view text) {
    std::string escaped;
    detail::append_html(text, escaped);
    return escaped;
}

PORTHOLE_FN std::string quote_json(std::string_view text) {
    std::string quoted;
    detail::append_json(text, quoted);
    return quoted;
}

PORTHOLE_NAMESPACE_END
