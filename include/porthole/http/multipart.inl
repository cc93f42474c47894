// SPDX-License-Identifier: MIT
#pragma once

// The search for the next delimiter looks for its first byte alone, a carriage return, which occurs
// nowhere else in it: after a mismatch nothing that was compared has to be looked at again, and
// what a piece's end cuts off of a possible delimiter is known without being kept.

#include "porthole/base/ascii.hpp"
#include "porthole/http/media_type.inl"
#include "porthole/http/multipart.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

PORTHOLE_NAMESPACE_BEGIN

PORTHOLE_FN int status_of(MultipartFault fault) noexcept {
    constexpr int bad_request = 400;
    constexpr int content_too_large = 413;
    constexpr int unsupported_media_type = 415;
    constexpr int fields_too_large = 431;
    switch (fault) {
    case MultipartFault::none: return 200;
    case MultipartFault::not_a_form: return unsupported_media_type;
    case MultipartFault::bad_boundary:
    case MultipartFault::preamble_too_long:
    case MultipartFault::bad_delimiter:
    case MultipartFault::bad_part_field:
    case MultipartFault::bad_disposition:
    case MultipartFault::epilogue_too_long:
    case MultipartFault::incomplete: return bad_request;
    case MultipartFault::part_head_too_large:
    case MultipartFault::too_many_part_fields:
    case MultipartFault::name_too_long: return fields_too_large;
    case MultipartFault::too_many_parts:
    case MultipartFault::too_many_files:
    case MultipartFault::part_too_large:
    case MultipartFault::collected_too_large: return content_too_large;
    }
    return bad_request;
}

PORTHOLE_FN std::string_view describe(MultipartFault fault) noexcept {
    switch (fault) {
    case MultipartFault::none: return "";
    case MultipartFault::not_a_form: return "The content is not multipart/form-data.";
    case MultipartFault::bad_boundary:
        return "The Content-Type names no boundary, or one that is not allowed.";
    case MultipartFault::preamble_too_long:
        return "The form does not begin with its boundary (MultipartLimits::max_preamble_bytes).";
    case MultipartFault::bad_delimiter:
        return "A line of the form begins with the boundary and goes on with something else.";
    case MultipartFault::bad_part_field: return "A part of the form has a malformed field line.";
    case MultipartFault::bad_disposition:
        return "A part of the form has no name, or a malformed Content-Disposition.";
    case MultipartFault::part_head_too_large:
        return "The fields of a part are too large (MultipartLimits::max_part_head_bytes).";
    case MultipartFault::too_many_part_fields:
        return "A part of the form has too many fields (MultipartLimits::max_part_fields).";
    case MultipartFault::name_too_long:
        return "A name in the form is too long (MultipartLimits::max_name_bytes).";
    case MultipartFault::too_many_parts:
        return "The form has too many parts (MultipartLimits::max_parts).";
    case MultipartFault::too_many_files:
        return "The form has too many files (MultipartLimits::max_files).";
    case MultipartFault::part_too_large:
        return "A part of the form is too large (MultipartLimits::max_part_bytes).";
    case MultipartFault::collected_too_large:
        return "The form's fields are too large (MultipartLimits::max_collected_bytes).";
    case MultipartFault::epilogue_too_long:
        return "Too much follows the form's end (MultipartLimits::max_epilogue_bytes).";
    case MultipartFault::incomplete: return "The form ends before its last boundary.";
    }
    return "";
}

namespace detail {

/// bchars (RFC 2046 section 5.1.1); a space must not be the last.
inline bool is_boundary(std::string_view text) noexcept {
    constexpr std::size_t max_boundary_bytes = 70;
    for (const char c : text) {
        if (!ascii::is_alpha(c) && !ascii::is_digit(c)
            && std::string_view("'()+_,-./:=? ").find(c) == std::string_view::npos) {
            return false;
        }
    }
    return !text.empty() && text.size() <= max_boundary_bytes && text.back() != ' ';
}

PORTHOLE_FN MultipartFault
read_boundary(std::string_view content_type, std::string_view& boundary) {
    if (!ascii::equals_ignoring_case(media_type_essence(content_type), "multipart/form-data")) {
        return MultipartFault::not_a_form;
    }
    std::string_view rest =
        content_type.substr((std::min)(content_type.find(';'), content_type.size()));
    std::size_t boundaries = 0;
    while (!rest.empty()) {
        const std::string_view parameter = next_parameter(rest);
        const std::string_view name = parameter.substr(0, parameter.find('='));
        if (ascii::equals_ignoring_case(name, "boundary")) {
            ++boundaries;
        }
    }
    const auto value = media_type_parameter(content_type, "boundary");
    // Two of them: others may read the form by the second.
    if (!value || boundaries != 1 || !is_boundary(*value)) {
        return MultipartFault::bad_boundary;
    }
    boundary = *value;
    return MultipartFault::none;
}

PORTHOLE_FN MultipartFault read_boundary(const Request& request, std::string_view& boundary) {
    const auto content_type = request.header("Content-Type");
    if (!content_type || request.fields().count("Content-Type") != 1) {
        return MultipartFault::not_a_form;
    }
    return read_boundary(*content_type, boundary);
}

PORTHOLE_FN
MultipartParser::MultipartParser(std::string_view boundary, const MultipartLimits& limits)
    : limits_(limits), delimiter_("\r\n--") {
    delimiter_ += boundary;
    // The first delimiter may stand at the very beginning, as if a line end were before it.
    matched_ = unsent_ = 2;
}

PORTHOLE_FN MultipartEvent MultipartParser::fail(MultipartFault fault) noexcept {
    state_ = State::failed;
    fault_ = fault;
    data_ = {};
    return MultipartEvent::failed;
}

PORTHOLE_FN MultipartEvent MultipartParser::parse(std::string_view bytes, std::size_t& consumed) {
    consumed = 0;
    data_ = {};
    for (;;) {
        std::size_t taken = 0;
        const MultipartEvent event = step(bytes.substr(consumed), taken);
        consumed += taken;
        if (event != MultipartEvent::need_more || consumed == bytes.size()) {
            return event;
        }
    }
}

PORTHOLE_FN MultipartFault MultipartParser::finish() noexcept {
    const bool is_complete =
        state_ == State::close_end || state_ == State::epilogue || state_ == State::close_line_feed;
    if (!is_complete && state_ != State::failed) {
        static_cast<void>(fail(
            state_ == State::over_limit ? MultipartFault::part_too_large
                                        : MultipartFault::incomplete));
    }
    return fault_;
}

PORTHOLE_FN MultipartEvent MultipartParser::step(std::string_view rest, std::size_t& taken) {
    switch (state_) {
    case State::preamble:
    case State::content: return matched_ != 0 ? go_on_matching(rest, taken) : search(rest, taken);
    case State::delimiter_end:
    case State::delimiter_dash:
    case State::delimiter_padding:
    case State::delimiter_line_feed:
    case State::close_end:
    case State::close_line_feed:
        if (rest.empty()) {
            return MultipartEvent::need_more;
        }
        taken = 1;
        return read_delimiter_end(rest.front());
    case State::head: return read_head(rest, taken);
    case State::epilogue: return skip_epilogue(rest, taken);
    case State::over_limit: return fail(MultipartFault::part_too_large);
    case State::failed: break;
    }
    return MultipartEvent::failed;
}

/// Content up to the next delimiter, or to what may be the beginning of one.
PORTHOLE_FN MultipartEvent MultipartParser::search(std::string_view rest, std::size_t& taken) {
    const char* const begin = rest.data();
    std::size_t at = 0;
    std::size_t compared = 0;
    while (at < rest.size()) {
        const void* found = std::memchr(begin + at, '\r', rest.size() - at);
        if (found == nullptr) {
            at = rest.size();
            break;
        }
        at = static_cast<std::size_t>(static_cast<const char*>(found) - begin);
        compared = (std::min)(rest.size() - at, delimiter_.size());
        if (std::memcmp(begin + at, delimiter_.data(), compared) == 0) {
            break;
        }
        compared = 0;
        ++at;
    }
    taken = at;
    if (at != 0) {
        return give(rest.substr(0, at));
    }
    taken = matched_ = compared;
    unsent_ = 0;
    state_ = matched_ == delimiter_.size() ? State::delimiter_end : state_;
    return MultipartEvent::need_more;
}

/// A delimiter may have begun in earlier bytes.
PORTHOLE_FN MultipartEvent
MultipartParser::go_on_matching(std::string_view rest, std::size_t& taken) {
    while (matched_ < delimiter_.size() && taken < rest.size()
           && rest[taken] == delimiter_[matched_]) {
        ++matched_;
        ++taken;
    }
    if (matched_ == delimiter_.size()) {
        state_ = State::delimiter_end;
        return MultipartEvent::need_more;
    }
    if (taken == rest.size()) {
        return MultipartEvent::need_more;
    }
    const std::string_view held = std::string_view(delimiter_).substr(unsent_, matched_ - unsent_);
    matched_ = unsent_ = 0;
    return held.empty() ? MultipartEvent::need_more : give(held);
}

PORTHOLE_FN MultipartEvent MultipartParser::give(std::string_view piece) {
    if (state_ == State::preamble) {
        counted_ += piece.size();
        return counted_ > limits_.max_preamble_bytes ? fail(MultipartFault::preamble_too_long)
                                                     : MultipartEvent::need_more;
    }
    const std::uint64_t allowed = limits_.max_part_bytes - counted_;
    if (allowed == 0) {
        return fail(MultipartFault::part_too_large);
    }
    if (piece.size() > allowed) {
        piece = piece.substr(0, static_cast<std::size_t>(allowed));
        state_ = State::over_limit;
    }
    counted_ += piece.size();
    data_ = piece;
    return MultipartEvent::data;
}

/// What follows the boundary on its line: nothing or padding before another part, "--" behind the
/// last one (RFC 2046 section 5.1.1). No content may have a line that begins like a delimiter, so
/// anything else there is an error, and no guess is made at what was meant.
PORTHOLE_FN MultipartEvent MultipartParser::read_delimiter_end(char c) {
    const bool is_padding = c == ' ' || c == '\t';
    switch (state_) {
    case State::delimiter_end:
        if (c == '-') {
            state_ = State::delimiter_dash;
            return MultipartEvent::need_more;
        }
        [[fallthrough]];
    case State::delimiter_padding:
        state_ = c == '\r' ? State::delimiter_line_feed : State::delimiter_padding;
        return c == '\r' || is_padding ? MultipartEvent::need_more
                                       : fail(MultipartFault::bad_delimiter);
    case State::delimiter_line_feed:
        return c == '\n' ? end_part(State::head) : fail(MultipartFault::bad_delimiter);
    case State::delimiter_dash:
        return c == '-' ? end_part(State::close_end) : fail(MultipartFault::bad_delimiter);
    case State::close_end:
        state_ = c == '\r' ? State::close_line_feed : State::close_end;
        return c == '\r' || is_padding ? MultipartEvent::need_more
                                       : fail(MultipartFault::bad_delimiter);
    case State::close_line_feed:
        counted_ = 0;
        state_ = State::epilogue;
        return c == '\n' ? MultipartEvent::need_more : fail(MultipartFault::bad_delimiter);
    case State::preamble:
    case State::head:
    case State::content:
    case State::epilogue:
    case State::over_limit:
    case State::failed: break;
    }
    return fail(MultipartFault::bad_delimiter);
}

PORTHOLE_FN MultipartEvent MultipartParser::end_part(State next) noexcept {
    state_ = next;
    is_head_begun_ = false;
    return std::exchange(is_in_part_, false) ? MultipartEvent::part_end : MultipartEvent::need_more;
}

PORTHOLE_FN MultipartEvent
MultipartParser::skip_epilogue(std::string_view rest, std::size_t& taken) {
    taken = rest.size();
    counted_ += rest.size();
    return counted_ > limits_.max_epilogue_bytes ? fail(MultipartFault::epilogue_too_long)
                                                 : MultipartEvent::need_more;
}

/// Collects lines up to the empty one.
PORTHOLE_FN MultipartEvent MultipartParser::read_head(std::string_view rest, std::size_t& taken) {
    if (rest.empty()) {
        return MultipartEvent::need_more;
    }
    if (!is_head_begun_) {
        if (parts_ == limits_.max_parts) {
            return fail(MultipartFault::too_many_parts);
        }
        is_head_begun_ = true;
        head_.clear();
    }
    const std::size_t line_feed = rest.find('\n');
    const bool has_line = line_feed != std::string_view::npos;
    const std::string_view piece = rest.substr(0, has_line ? line_feed + 1 : rest.size());
    if (piece.size() > limits_.max_part_head_bytes - head_.size()) {
        return fail(MultipartFault::part_head_too_large);
    }
    head_.append(piece);
    taken = piece.size();
    if (!has_line) {
        return MultipartEvent::need_more;
    }
    const std::string_view head = head_;
    if (head.size() < 2 || head[head.size() - 2] != '\r') {
        return fail(MultipartFault::bad_part_field); // a bare line feed
    }
    const bool is_empty_line =
        head.size() == 2 || (head.size() > 3 && head.substr(head.size() - 4) == "\r\n\r\n");
    return is_empty_line ? begin_part() : MultipartEvent::need_more;
}

PORTHOLE_FN MultipartEvent MultipartParser::begin_part() {
    const MultipartFault fault = split_head();
    if (fault != MultipartFault::none) {
        return fail(fault);
    }
    ++parts_;
    counted_ = 0;
    state_ = State::content;
    is_in_part_ = true;
    // The empty line's end may also be the one that a delimiter begins with: no content at all.
    matched_ = unsent_ = 2;
    return MultipartEvent::part_begin;
}

PORTHOLE_FN MultipartFault MultipartParser::split_head() {
    part_.name = {};
    part_.file_name.reset();
    part_.fields.clear();
    part_.fields.set_base(head_.data());
    const auto span_of = [this](std::string_view text) {
        return Span{
            static_cast<std::uint32_t>(text.data() - head_.data()),
            static_cast<std::uint32_t>(text.size())};
    };
    std::string_view rest = head_;
    for (;;) {
        const std::string_view line = rest.substr(0, rest.find("\r\n"));
        rest.remove_prefix(line.size() + 2);
        if (line.empty()) {
            break;
        }
        const std::size_t colon = line.find(':');
        const std::string_view name = line.substr(0, colon);
        if (colon == std::string_view::npos || !ascii::is_token(name)) {
            return MultipartFault::bad_part_field;
        }
        const std::string_view value = ascii::trim(line.substr(colon + 1));
        if (!ascii::is_field_value(value)) {
            return MultipartFault::bad_part_field;
        }
        if (part_.fields.size() == limits_.max_part_fields) {
            return MultipartFault::too_many_part_fields;
        }
        part_.fields.add({span_of(name), span_of(value)});
    }
    part_.content_type = part_.fields.find("Content-Type").value_or("text/plain");
    const auto disposition = part_.fields.find("Content-Disposition");
    if (!disposition || part_.fields.count("Content-Disposition") != 1) {
        return MultipartFault::bad_disposition;
    }
    return read_names(*disposition);
}

/// The escapes that are in use within the quotes of a form's names: browsers write a quote, a
/// carriage return and a line feed as %22, %0D and %0A, and nothing else so (WHATWG HTML section
/// 4.10.21.8); other clients put a backslash before a quote or a backslash. A backslash that
/// escapes nothing is one, as in the paths that old browsers sent.
inline void append_form_name(std::string_view quoted, std::string& into) {
    while (!quoted.empty()) {
        char c = quoted.front();
        std::size_t used = 1;
        if (c == '\\' && quoted.size() > 1 && (quoted[1] == '"' || quoted[1] == '\\')) {
            c = quoted[1];
            used = 2;
        } else if (c == '%' && quoted.size() > 2) {
            constexpr int base = 16;
            const int high = ascii::hex_value(quoted[1]);
            const int low = ascii::hex_value(quoted[2]);
            const int value = high >= 0 && low >= 0 ? high * base + low : -1;
            if (value == '"' || value == '\r' || value == '\n') {
                c = static_cast<char>(value);
                used = 3;
            }
        }
        into += c;
        quoted.remove_prefix(used);
    }
}

/// The size of a quoted-string at the front of `text`, or 0.
inline std::size_t quoted_size(std::string_view text) noexcept {
    if (text.empty() || text.front() != '"') {
        return 0;
    }
    for (std::size_t i = 1; i < text.size(); ++i) {
        if (text[i] == '"') {
            return i + 1;
        }
        const bool is_escape =
            text[i] == '\\' && i + 1 < text.size() && (text[i + 1] == '"' || text[i + 1] == '\\');
        i += is_escape ? 1 : 0;
    }
    return 0;
}

/// Takes "; name=value" from the front of `rest`. False when it is none; an empty name when there
/// is nothing between two semicolons, which is allowed (RFC 9110 section 5.6.6).
inline bool next_disposition_parameter(
    std::string_view& rest, std::string_view& name, std::string_view& value) noexcept {
    const auto skip_blanks = [&rest] {
        rest.remove_prefix((std::min)(rest.find_first_not_of(" \t"), rest.size()));
    };
    name = value = {};
    if (rest.front() != ';') {
        return false;
    }
    rest.remove_prefix(1);
    skip_blanks();
    if (rest.empty() || rest.front() == ';') {
        return true;
    }
    name = rest.substr(0, rest.find('='));
    if (name.size() == rest.size() || !ascii::is_token(name)) {
        return false;
    }
    rest.remove_prefix(name.size() + 1);
    std::size_t size = quoted_size(rest);
    if (size == 0) {
        size = (std::min)(rest.find_first_of("; \t"), rest.size());
        if (!ascii::is_token(rest.substr(0, size))) {
            return false;
        }
    }
    value = rest.substr(0, size);
    rest.remove_prefix(size);
    skip_blanks();
    return true;
}

/// Content-Disposition: form-data; name="..."; filename="..." (RFC 7578 section 4.2). Other
/// parameters mean nothing, "filename*" among them, which must not be used here.
PORTHOLE_FN MultipartFault MultipartParser::read_names(std::string_view disposition) {
    const std::size_t type_size = (std::min)(disposition.find_first_of("; \t"), disposition.size());
    if (!ascii::equals_ignoring_case(disposition.substr(0, type_size), "form-data")) {
        return MultipartFault::bad_disposition;
    }
    std::string_view rest = ascii::trim(disposition.substr(type_size));
    std::optional<std::string_view> name;
    std::optional<std::string_view> file_name;
    while (!rest.empty()) {
        std::string_view found;
        std::string_view value;
        if (!next_disposition_parameter(rest, found, value)) {
            return MultipartFault::bad_disposition;
        }
        const bool is_name = ascii::equals_ignoring_case(found, "name");
        if (!is_name && !ascii::equals_ignoring_case(found, "filename")) {
            continue;
        }
        std::optional<std::string_view>& place = is_name ? name : file_name;
        if (place) {
            return MultipartFault::bad_disposition; // others may go by the other one
        }
        place = value;
    }
    if (!name) {
        return MultipartFault::bad_disposition;
    }
    const auto append = [this](std::string_view sent) {
        const std::size_t before = names_.size();
        if (sent.front() == '"') {
            append_form_name(sent.substr(1, sent.size() - 2), names_);
        } else {
            names_.append(sent);
        }
        return names_.size() - before;
    };
    names_.clear();
    names_.reserve(name->size() + (file_name ? file_name->size() : 0)); // the views stay valid
    const std::size_t name_size = append(*name);
    const std::size_t file_name_size = file_name ? append(*file_name) : 0;
    part_.name = std::string_view(names_).substr(0, name_size);
    if (file_name) {
        part_.file_name = std::string_view(names_).substr(name_size);
    }
    return name_size > limits_.max_name_bytes || file_name_size > limits_.max_name_bytes
               ? MultipartFault::name_too_long
               : MultipartFault::none;
}

} // namespace detail

PORTHOLE_FN std::optional<std::vector<FormPart>> read_form_parts(
    std::string_view content_type, std::string_view content, const MultipartLimits& limits,
    MultipartFault& fault) {
    using detail::MultipartEvent;
    std::string_view boundary;
    fault = detail::read_boundary(content_type, boundary);
    if (fault != MultipartFault::none) {
        return std::nullopt;
    }
    detail::MultipartParser parser(boundary, limits);
    std::vector<FormPart> parts;
    MultipartEvent event = MultipartEvent::part_end;
    std::size_t at = 0;    // of the content: where parse() goes on
    std::size_t begin = 0; // of the last part's content
    std::size_t size = 0;
    while (event != MultipartEvent::need_more && event != MultipartEvent::failed) {
        std::size_t consumed = 0;
        event = parser.parse(content.substr(at), consumed);
        at += consumed;
        if (event == MultipartEvent::part_begin) {
            const FormPartHead& head = parser.part();
            FormPart part;
            part.name.assign(head.name);
            if (head.file_name) {
                part.file_name.emplace(*head.file_name);
            }
            part.content_type.assign(head.content_type);
            parts.push_back(std::move(part));
            begin = at;
            size = 0;
        } else if (event == MultipartEvent::data) {
            size += parser.data().size();
        } else if (event == MultipartEvent::part_end) {
            parts.back().content = content.substr(begin, size);
        }
    }
    fault = parser.finish();
    return fault == MultipartFault::none ? std::optional<std::vector<FormPart>>(std::move(parts))
                                         : std::nullopt;
}

PORTHOLE_FN std::optional<std::vector<FormPart>>
read_form_parts(const Request& request, const MultipartLimits& limits) {
    std::string_view boundary;
    if (detail::read_boundary(request, boundary) != MultipartFault::none) {
        return std::nullopt;
    }
    MultipartFault fault = MultipartFault::none;
    return read_form_parts(*request.header("Content-Type"), request.body(), limits, fault);
}

PORTHOLE_NAMESPACE_END
