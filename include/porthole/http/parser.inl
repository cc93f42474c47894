// SPDX-License-Identifier: MIT
#pragma once

// The strict reading of request heads. Where RFC 9112 leaves a recipient the choice between
// repairing and refusing, this refuses: what two implementations can read in two ways is how
// requests are smuggled. A common GET is looked at once; the few fields that the head itself
// depends on are noticed while they are added, so that nothing is searched for afterwards.

#include "porthole/base/ascii.hpp"
#include "porthole/http/parser.hpp"
#include "porthole/http/target.hpp"

#include <cstring>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// Bits of RequestParser::seen_.
inline constexpr unsigned seen_host = 1u << 0;
inline constexpr unsigned seen_length = 1u << 1;
inline constexpr unsigned seen_encoding = 1u << 2;
inline constexpr unsigned seen_connection = 1u << 3;
inline constexpr unsigned seen_expect = 1u << 4;
inline constexpr unsigned seen_upgrade = 1u << 5;

/// Places in a head are 32-bit offsets, whatever the limits say.
inline std::size_t clamp_to_span(std::size_t limit) noexcept {
    constexpr std::size_t most = UINT32_MAX / 4;
    return limit < most ? limit : most;
}

inline unsigned match_field(std::string_view name, std::string_view wanted, unsigned bit) noexcept {
    return ascii::to_lower(name.front()) == wanted.front()
                   && ascii::equals_ignoring_case(name, wanted)
               ? bit
               : 0;
}

/// The bit of a field that the head itself depends on; 0 for all others. `name` is not empty.
inline unsigned recognize_field(std::string_view name) noexcept {
    constexpr std::string_view host = "host";
    constexpr std::string_view expect = "expect";
    constexpr std::string_view upgrade = "upgrade";
    constexpr std::string_view connection = "connection";
    constexpr std::string_view length = "content-length";
    constexpr std::string_view encoding = "transfer-encoding";
    switch (name.size()) {
    case host.size(): return match_field(name, host, seen_host);
    case expect.size(): return match_field(name, expect, seen_expect);
    case upgrade.size(): return match_field(name, upgrade, seen_upgrade);
    case connection.size(): return match_field(name, connection, seen_connection);
    case length.size(): return match_field(name, length, seen_length);
    case encoding.size(): return match_field(name, encoding, seen_encoding);
    default: return 0;
    }
}

/// Removes CR LF from the end. False when the LF has no CR before it.
inline bool strip_line_end(std::string_view& line) noexcept {
    constexpr std::size_t line_end_size = 2;
    if (line.size() < line_end_size || line[line.size() - line_end_size] != '\r') {
        return false;
    }
    line.remove_suffix(line_end_size);
    return true;
}

/// One behind the line's LF, or 0 when it has not arrived.
PORTHOLE_FN std::size_t HeadCursor::find_line_end(std::string_view bytes) noexcept {
    if (scanned >= bytes.size()) {
        return 0;
    }
    const void* const found = std::memchr(bytes.data() + scanned, '\n', bytes.size() - scanned);
    if (found == nullptr) {
        scanned = bytes.size();
        return 0;
    }
    return static_cast<std::size_t>(static_cast<const char*>(found) - bytes.data()) + 1;
}

PORTHOLE_FN ParseStatus HeadCursor::take_start_line(
    std::string_view bytes, const Limits& limits, std::string_view& line) noexcept {
    const std::size_t limit = clamp_to_span(limits.max_request_line_bytes);
    const std::size_t end = find_line_end(bytes);
    // A line without its end yet has at least one byte to come.
    const std::size_t known_size = end != 0 ? end - line_begin : bytes.size() - line_begin + 1;
    if (known_size > limit) {
        fault = RequestFault::target_too_long;
        return ParseStatus::failed;
    }
    if (end == 0) {
        return ParseStatus::need_more;
    }
    line = bytes.substr(line_begin, known_size);
    if (!strip_line_end(line)) {
        fault = RequestFault::bare_line_feed;
        return ParseStatus::failed;
    }
    line_begin = scanned = fields_begin = end;
    return ParseStatus::complete;
}

/// Whether the line that begins here, and ends at `end` if that is not 0, passes no limit. The
/// empty line that ends the head counts for none.
PORTHOLE_FN bool HeadCursor::has_room_for_line(
    std::string_view bytes, std::size_t end, const Limits& limits, std::size_t count) noexcept {
    const std::size_t arrived = bytes.size() - line_begin;
    if (arrived == 0
        || (bytes[line_begin] == '\r' && (arrived == 1 || bytes[line_begin + 1] == '\n'))) {
        return true;
    }
    if (count >= limits.max_fields) {
        fault = RequestFault::too_many_fields;
        return false;
    }
    const std::size_t known_end = end != 0 ? end : bytes.size() + 1;
    if (known_end - fields_begin > clamp_to_span(limits.max_fields_bytes)) {
        fault = RequestFault::fields_too_large;
        return false;
    }
    return true;
}

PORTHOLE_FN HeadCursor::Step HeadCursor::take_field(
    std::string_view bytes, const Limits& limits, Fields& fields, FieldSpan& field) {
    const std::size_t end = find_line_end(bytes);
    if (!has_room_for_line(bytes, end, limits, fields.size())) {
        return Step::failed;
    }
    if (end == 0) {
        return Step::need_more;
    }
    std::string_view line = bytes.substr(line_begin, end - line_begin);
    if (!strip_line_end(line)) {
        fault = RequestFault::bare_line_feed;
        return Step::failed;
    }
    if (!line.empty()) {
        fault = parse_field_line(line, bytes.data(), field);
        if (fault != RequestFault::none) {
            return Step::failed;
        }
        fields.add(field);
    }
    line_begin = scanned = end;
    return line.empty() ? Step::end : Step::field;
}

PORTHOLE_FN RequestFault
parse_field_line(std::string_view line, const char* base, FieldSpan& field) noexcept {
    std::size_t name_size = 0;
    while (name_size < line.size() && ascii::is_token_char(line[name_size])) {
        ++name_size;
    }
    if (name_size == 0) {
        const bool is_folded = !line.empty() && (line.front() == ' ' || line.front() == '\t');
        return is_folded ? RequestFault::obsolete_folding : RequestFault::bad_field_name;
    }
    if (name_size == line.size() || line[name_size] != ':') {
        return RequestFault::bad_field_name; // RFC 9112 section 5.1: no blank before the colon
    }
    const std::string_view value = ascii::trim(line.substr(name_size + 1));
    if (!ascii::is_field_value(value)) {
        return RequestFault::bad_field_value;
    }
    field.name.at = static_cast<std::uint32_t>(line.data() - base);
    field.name.size = static_cast<std::uint32_t>(name_size);
    field.value.at = static_cast<std::uint32_t>(value.data() - base);
    field.value.size = static_cast<std::uint32_t>(value.size());
    return RequestFault::none;
}

/// What is wrong with a version that is neither HTTP/1.1 nor HTTP/1.0 (RFC 9112 section 2.3).
inline RequestFault judge_version(std::string_view version) noexcept {
    constexpr std::string_view pattern = "HTTP/d.d";
    if (version.size() != pattern.size()) {
        return RequestFault::bad_version;
    }
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        if (pattern[i] == 'd' ? !ascii::is_digit(version[i]) : version[i] != pattern[i]) {
            return RequestFault::bad_version;
        }
    }
    return RequestFault::unsupported_version;
}

/// Reads HTTP/1.0 and HTTP/1.1.
inline RequestFault parse_version(std::string_view version, int& minor_version) noexcept {
    constexpr std::string_view prefix = "HTTP/1.";
    if (version.size() == prefix.size() + 1
        && std::memcmp(version.data(), prefix.data(), prefix.size()) == 0
        && (version.back() == '1' || version.back() == '0')) {
        minor_version = version.back() - '0';
        return RequestFault::none;
    }
    return judge_version(version);
}

PORTHOLE_FN RequestFault
RequestParser::parse_request_line(std::string_view line, std::size_t at) noexcept {
    std::size_t method_size = 0;
    while (method_size < line.size() && ascii::is_token_char(line[method_size])) {
        ++method_size;
    }
    if (method_size == 0 || method_size == line.size()) {
        return RequestFault::bad_request_line;
    }
    if (line[method_size] != ' ') {
        return RequestFault::bad_method;
    }
    const std::size_t target_at = method_size + 1;
    const std::size_t target_end = line.rfind(' ');
    if (target_end <= target_at) { // no version, or two spaces in a row
        return RequestFault::bad_request_line;
    }
    const RequestFault version_fault =
        parse_version(line.substr(target_end + 1), head_.minor_version);
    if (version_fault != RequestFault::none) {
        return version_fault;
    }
    const std::string_view target = line.substr(target_at, target_end - target_at);
    if (!ascii::is_visible(target)) {
        return target.find(' ') == std::string_view::npos ? RequestFault::bad_target
                                                          : RequestFault::bad_request_line;
    }
    head_.method = parse_method(line.substr(0, method_size));
    head_.method_name.at = static_cast<std::uint32_t>(at);
    head_.method_name.size = static_cast<std::uint32_t>(method_size);
    head_.target.at = static_cast<std::uint32_t>(at + target_at);
    head_.target.size = static_cast<std::uint32_t>(target.size());
    return RequestFault::none;
}

PORTHOLE_FN ParseStatus RequestParser::fail(RequestFault fault) noexcept {
    state_ = State::failed;
    cursor_.fault = fault;
    return ParseStatus::failed;
}

/// One empty line before the request line is forgiven (RFC 9112 section 2.2), since old clients
/// send one behind a body. What cannot begin a method is refused at its first byte: a TLS
/// handshake would otherwise wait for a line end that never comes.
PORTHOLE_FN ParseStatus RequestParser::skip_leading_line(std::string_view bytes) noexcept {
    constexpr std::string_view line_end = "\r\n";
    const std::size_t skipped = !bytes.empty() && bytes.front() == '\r' ? line_end.size() : 0;
    if (skipped != 0 && bytes.size() > 1 && bytes[1] != '\n') {
        return fail(RequestFault::bad_request_line);
    }
    if (bytes.size() <= skipped) {
        cursor_.scanned = bytes.size();
        return ParseStatus::need_more;
    }
    const char first = bytes[skipped];
    if (!ascii::is_token_char(first)) {
        return fail(first == '\n' ? RequestFault::bare_line_feed : RequestFault::bad_request_line);
    }
    cursor_.line_begin = cursor_.scanned = skipped;
    state_ = State::request_line;
    return ParseStatus::complete;
}

PORTHOLE_FN ParseStatus RequestParser::read_request_line(std::string_view bytes) noexcept {
    const std::size_t at = cursor_.line_begin;
    std::string_view line;
    const ParseStatus status = cursor_.take_start_line(bytes, *limits_, line);
    if (status == ParseStatus::failed) {
        return fail(cursor_.fault);
    }
    if (status == ParseStatus::need_more) {
        return status;
    }
    const RequestFault fault = parse_request_line(line, at);
    if (fault != RequestFault::none) {
        return fail(fault);
    }
    state_ = State::fields;
    return ParseStatus::complete;
}

PORTHOLE_FN ParseStatus RequestParser::read_fields(std::string_view bytes) {
    FieldSpan field;
    for (;;) {
        switch (cursor_.take_field(bytes, *limits_, head_.fields, field)) {
        case HeadCursor::Step::need_more: return ParseStatus::need_more;
        case HeadCursor::Step::failed: return fail(cursor_.fault);
        case HeadCursor::Step::field: {
            const unsigned bit = recognize_field(field.name.in(bytes.data()));
            if ((bit & seen_host) != 0) {
                if ((seen_ & seen_host) != 0) {
                    return fail(RequestFault::repeated_host);
                }
                head_.host = field.value;
                head_.has_host = true;
            }
            seen_ |= bit;
            break;
        }
        case HeadCursor::Step::end: {
            const RequestFault fault = finish_head(bytes.data());
            if (fault != RequestFault::none) {
                return fail(fault);
            }
            state_ = State::complete;
            return ParseStatus::complete;
        }
        }
    }
}

PORTHOLE_FN ParseStatus RequestParser::parse(std::string_view bytes) {
    ParseStatus status = ParseStatus::need_more;
    switch (state_) {
    case State::start:
        status = skip_leading_line(bytes);
        if (status != ParseStatus::complete) {
            return status;
        }
        [[fallthrough]];
    case State::request_line:
        status = read_request_line(bytes);
        if (status != ParseStatus::complete) {
            return status;
        }
        [[fallthrough]];
    case State::fields: return read_fields(bytes);
    case State::complete: return ParseStatus::complete;
    case State::failed: break;
    }
    return ParseStatus::failed;
}

PORTHOLE_FN void RequestParser::reset() noexcept {
    state_ = State::start;
    seen_ = 0;
    cursor_ = HeadCursor{};
    head_.fields.clear();
    head_.method = Method::other;
    head_.method_name = head_.target = head_.host = Span{};
    head_.minor_version = 1;
    head_.framing = Framing{};
    head_.has_host = false;
    head_.keep_alive = true;
    head_.expects_continue = false;
    head_.has_upgrade = false;
}

/// False when an expectation is not 100-continue, the only one there is (RFC 9110 section 10.1.1).
inline bool expects_only_continue(const Fields& fields) noexcept {
    bool has_any = false;
    for (std::size_t i = 0; i < fields.size(); ++i) {
        const Field field = fields[i];
        if (recognize_field(field.name) != seen_expect) {
            continue;
        }
        std::string_view rest = field.value;
        while (const auto element = ascii::next_list_element(rest)) {
            if (!ascii::equals_ignoring_case(*element, "100-continue")) {
                return false;
            }
            has_any = true;
        }
    }
    return has_any;
}

PORTHOLE_FN RequestFault RequestParser::finish_head(const char* base) noexcept {
    head_.fields.set_base(base);
    if (!head_.has_host) {
        if (head_.minor_version >= 1) { // RFC 9112 section 3.2
            return RequestFault::missing_host;
        }
    } else {
        Authority authority;
        const std::string_view host = head_.host.in(base);
        if (!parse_authority(host, authority)) {
            const bool has_userinfo = host.find('@') != std::string_view::npos;
            return has_userinfo ? RequestFault::userinfo_in_host : RequestFault::bad_host;
        }
    }
    if ((seen_ & (seen_length | seen_encoding)) != 0) {
        const RequestFault fault = decide_framing(head_.fields, head_.minor_version, head_.framing);
        if (fault != RequestFault::none) {
            return fault;
        }
    }
    head_.keep_alive = head_.minor_version >= 1;
    if ((seen_ & seen_connection) != 0) {
        const ConnectionOptions options = read_connection(head_.fields);
        head_.keep_alive = options.keeps_alive(head_.minor_version);
        // RFC 9110 section 7.8: an Upgrade in HTTP/1.0 is ignored.
        head_.has_upgrade =
            options.has_upgrade && (seen_ & seen_upgrade) != 0 && head_.minor_version >= 1;
    }
    if ((seen_ & seen_expect) != 0 && head_.minor_version >= 1) {
        if (!expects_only_continue(head_.fields)) {
            return RequestFault::unknown_expectation;
        }
        head_.expects_continue = true;
    }
    return RequestFault::none;
}

PORTHOLE_FN ConnectionOptions read_connection(const Fields& fields) noexcept {
    ConnectionOptions options;
    for (std::size_t i = 0; i < fields.size(); ++i) {
        const Field field = fields[i];
        if (recognize_field(field.name) != seen_connection) {
            continue;
        }
        std::string_view rest = field.value;
        while (const auto element = ascii::next_list_element(rest)) {
            options.has_close |= ascii::equals_ignoring_case(*element, "close");
            options.has_keep_alive |= ascii::equals_ignoring_case(*element, "keep-alive");
            options.has_upgrade |= ascii::equals_ignoring_case(*element, "upgrade");
        }
    }
    return options;
}

/// Reads the codings of Transfer-Encoding lines, in their order (RFC 9112 section 6.1).
struct CodingList {
    bool has_unknown = false;
    bool has_chunked = false;
    bool is_malformed = false;

    void add(std::string_view coding) noexcept {
        // Nothing may follow chunked, and nothing may be left out between two commas.
        is_malformed |= has_chunked;
        if (ascii::equals_ignoring_case(coding, "chunked")) {
            has_chunked = true;
            return;
        }
        const std::string_view name = ascii::trim(coding.substr(0, coding.find(';')));
        is_malformed |= !ascii::is_token(name) || ascii::equals_ignoring_case(name, "chunked");
        has_unknown = true;
    }

    void add_line(std::string_view value) noexcept {
        for (;;) {
            const std::size_t comma = value.find(',');
            add(ascii::trim(value.substr(0, comma)));
            if (comma == std::string_view::npos) {
                return;
            }
            value.remove_prefix(comma + 1);
        }
    }
};

PORTHOLE_FN RequestFault
decide_framing(const Fields& fields, int minor_version, Framing& framing) noexcept {
    CodingList codings;
    std::size_t encodings = 0;
    std::size_t lengths = 0;
    std::string_view length_text;
    for (std::size_t i = 0; i < fields.size(); ++i) {
        const Field field = fields[i];
        const unsigned bit = recognize_field(field.name);
        if (bit == seen_length) {
            ++lengths;
            length_text = field.value;
        } else if (bit == seen_encoding) {
            ++encodings;
            codings.add_line(field.value);
        }
    }
    framing = Framing{};
    if (encodings > 0) {
        if (minor_version < 1) {
            return RequestFault::encoding_in_http10; // RFC 9112 section 6.1: framing is faulty
        }
        if (lengths > 0) {
            return RequestFault::length_and_encoding;
        }
        if (codings.is_malformed) {
            return RequestFault::bad_transfer_encoding;
        }
        if (codings.has_unknown) {
            return RequestFault::unknown_transfer_encoding;
        }
        framing.kind = Framing::Kind::chunked;
    } else if (lengths > 0) {
        const auto length = ascii::parse_decimal(length_text);
        if (lengths > 1 || !length) { // equal ones too: RFC 9110 section 8.6 lets us refuse
            return RequestFault::bad_content_length;
        }
        framing.kind = *length > 0 ? Framing::Kind::length : Framing::Kind::none;
        framing.length = *length;
    }
    return RequestFault::none;
}

} // namespace detail

PORTHOLE_NAMESPACE_END
