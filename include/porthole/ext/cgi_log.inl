// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/base/utf8.hpp"
#include "porthole/ext/cgi_log.hpp"

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// What shows nothing by itself and changes how the rest is shown.
inline bool is_control_character(std::string_view character) noexcept {
    constexpr char first_visible = 0x20;
    constexpr char del = 0x7f;
    if (character.size() == 1) {
        return character[0] < first_visible || character[0] == del;
    }
    const auto is_within = [character](std::string_view first, std::string_view last) {
        return character.size() == first.size() && character >= first && character <= last;
    };
    return is_within("\xc2\x80", "\xc2\x9f")             // C1
           || is_within("\xe2\x80\xa8", "\xe2\x80\xae")  // separators, embeddings, overrides
           || is_within("\xe2\x81\xa6", "\xe2\x81\xa9"); // isolates
}

PORTHOLE_FN void escape_for_log(std::string_view text, std::string& into) {
    constexpr char digits[] = "0123456789abcdef";
    constexpr unsigned half_byte = 4;
    while (!text.empty()) {
        const std::size_t whole = first_character_size(text);
        const std::string_view character = text.substr(0, whole == 0 ? 1 : whole);
        text.remove_prefix(character.size());
        if (character == "\\") {
            into += "\\\\";
        } else if (character == "\t") {
            into += "\\t";
        } else if (whole != 0 && !is_control_character(character)) {
            into += character;
        } else {
            for (const char c : character) {
                const auto byte = static_cast<unsigned char>(c);
                into += "\\x";
                into += digits[byte >> half_byte];
                into += digits[byte & 0xfu];
            }
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
