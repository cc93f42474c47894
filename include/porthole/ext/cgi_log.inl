// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/ext/cgi_log.hpp"

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN void escape_for_log(std::string_view text, std::string& into) {
    constexpr char digits[] = "0123456789abcdef";
    constexpr unsigned char first_visible = 0x20;
    constexpr unsigned char del = 0x7f;
    constexpr unsigned char c1_lead = 0xc2; // 0x80 to 0x9f in UTF-8
    constexpr unsigned char c1_last = 0x9f;
    constexpr unsigned half_byte = 4;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto byte = static_cast<unsigned char>(text[i]);
        const bool is_c1 = byte == c1_lead && i + 1 < text.size()
                           && static_cast<unsigned char>(text[i + 1]) > del
                           && static_cast<unsigned char>(text[i + 1]) <= c1_last;
        if (text[i] == '\\') {
            into += "\\\\";
        } else if (text[i] == '\t') {
            into += "\\t";
        } else if (byte < first_visible || byte == del || is_c1) {
            into += "\\x";
            into += digits[byte >> half_byte];
            into += digits[byte & 0xfu];
        } else {
            into += text[i];
        }
    }
}

PORTHOLE_FN void LogLines::end_line(const Sink& sink) {
    if (has_line_ && told_ < max_lines) {
        ++told_;
        std::string escaped;
        escape_for_log(line_, escaped);
        escaped += is_cut_ ? " [cut]" : "";
        sink(escaped);
    } else if (has_line_) {
        ++dropped_;
    }
    line_.clear();
    is_cut_ = has_line_ = false;
}

PORTHOLE_FN void LogLines::add(std::string_view bytes, const Sink& sink) {
    while (!bytes.empty()) {
        const std::size_t end = bytes.find('\n');
        std::string_view part = bytes.substr(0, end);
        bytes.remove_prefix(end == std::string_view::npos ? bytes.size() : end + 1);
        has_line_ = true;
        const std::size_t room = max_line_bytes - line_.size();
        is_cut_ |= part.size() > room;
        line_.append(part.substr(0, room));
        if (end != std::string_view::npos) {
            if (!line_.empty() && line_.back() == '\r' && !is_cut_) {
                line_.pop_back();
            }
            end_line(sink);
        }
    }
}

PORTHOLE_FN void LogLines::finish(const Sink& sink) {
    end_line(sink);
    allow_more(sink);
}

PORTHOLE_FN void LogLines::allow_more(const Sink& sink) {
    told_ = 0;
    if (dropped_ != 0) {
        sink("[" + std::to_string(dropped_) + " more lines in too short a time]");
        dropped_ = 0;
    }
}

} // namespace detail

PORTHOLE_NAMESPACE_END
