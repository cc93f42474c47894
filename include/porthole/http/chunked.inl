// SPDX-License-Identifier: MIT
#pragma once

// The strict reading of the chunked coding: sizes, line ends and trailers that two implementations
// could read in two ways are refused. Chunk extensions have no meaning here, but must have the form
// that RFC 9112 section 7.1.1 gives them.

#include "porthole/base/ascii.hpp"
#include "porthole/http/chunked.hpp"

#include <algorithm>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// Fields that would change how the message is framed, routed, authenticated or read, and so must
/// not come behind it (RFC 9110 section 6.5.1).
inline bool is_forbidden_in_trailer(std::string_view name) noexcept {
    constexpr std::string_view names[] = {
        "Accept",
        "Accept-Charset",
        "Accept-Encoding",
        "Accept-Language",
        "Age",
        "Authorization",
        "Cache-Control",
        "Connection",
        "Content-Disposition",
        "Content-Encoding",
        "Content-Language",
        "Content-Length",
        "Content-Location",
        "Content-Range",
        "Content-Security-Policy",
        "Content-Type",
        "Cookie",
        "Date",
        "Expect",
        "Expires",
        "Forwarded",
        "From",
        "Host",
        "HTTP2-Settings",
        "Keep-Alive",
        "Location",
        "Max-Forwards",
        "Origin",
        "Pragma",
        "Range",
        "Referer",
        "Retry-After",
        "Set-Cookie",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
        "User-Agent",
        "Vary",
        "Via",
        "Warning",
        "WWW-Authenticate",
    };
    constexpr std::string_view prefixes[] = {
        "Access-Control-", "If-", "Proxy-", "Sec-", "X-Forwarded-",
    };
    for (const std::string_view listed : names) {
        if (ascii::equals_ignoring_case(name, listed)) {
            return true;
        }
    }
    for (const std::string_view prefix : prefixes) {
        if (ascii::equals_ignoring_case(name.substr(0, prefix.size()), prefix)) {
            return true;
        }
    }
    return false;
}

inline void skip_blanks(std::string_view& text) noexcept {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) {
        text.remove_prefix(1);
    }
}

inline bool skip_token(std::string_view& text) noexcept {
    std::size_t size = 0;
    while (size < text.size() && ascii::is_token_char(text[size])) {
        ++size;
    }
    text.remove_prefix(size);
    return size > 0;
}

/// `text` begins with a double quote.
inline bool skip_quoted_string(std::string_view& text) noexcept {
    for (std::size_t i = 1; i < text.size(); ++i) {
        if (text[i] == '"') {
            text.remove_prefix(i + 1);
            return true;
        }
        if (text[i] == '\\') {
            ++i;
        }
        if (i >= text.size() || !ascii::is_field_value(text.substr(i, 1))) {
            return false;
        }
    }
    return false;
}

/// Whether `text`, all that follows the size, has the form of chunk extensions.
inline bool are_chunk_extensions(std::string_view text) noexcept {
    while (!text.empty()) {
        skip_blanks(text);
        if (text.empty() || text.front() != ';') {
            return false;
        }
        text.remove_prefix(1);
        skip_blanks(text);
        if (!skip_token(text)) {
            return false;
        }
        std::string_view behind = text;
        skip_blanks(behind);
        if (behind.empty() || behind.front() != '=') {
            continue;
        }
        text = behind.substr(1);
        skip_blanks(text);
        const bool is_quoted = !text.empty() && text.front() == '"';
        if (is_quoted ? !skip_quoted_string(text) : !skip_token(text)) {
            return false;
        }
    }
    return true;
}

/// The digits at the begin of a chunk-size line, one to sixteen of them, so that no size overflows.
/// Returns how many they are, or 0 when they are not a size.
inline std::size_t parse_chunk_size(std::string_view line, std::uint64_t& size) noexcept {
    constexpr std::size_t max_digits = 16;
    constexpr unsigned bits_per_digit = 4;
    std::size_t digits = 0;
    size = 0;
    for (; digits < line.size() && ascii::hex_value(line[digits]) >= 0; ++digits) {
        if (digits == max_digits) {
            return 0;
        }
        size = size << bits_per_digit | static_cast<unsigned>(ascii::hex_value(line[digits]));
    }
    return digits;
}

/// Always false, for the callers' sake.
PORTHOLE_FN bool ChunkedDecoder::fail(RequestFault fault) noexcept {
    state_ = State::failed;
    fault_ = fault;
    return false;
}

/// The next line with its line end: in place when all of it is in `bytes`, else from line_, into
/// which the pieces are collected. Failed when it is longer than `max_bytes`; two bytes never
/// are, since they may be the empty line that ends the trailer. The caller clears line_ when it is
/// done with the line.
PORTHOLE_FN ParseStatus ChunkedDecoder::take_line(
    std::string_view bytes, std::size_t& consumed, std::size_t max_bytes, std::string_view& line) {
    const std::string_view rest = bytes.substr(consumed);
    const std::size_t line_feed = rest.find('\n');
    const bool has_end = line_feed != std::string_view::npos;
    const std::string_view piece = has_end ? rest.substr(0, line_feed + 1) : rest;
    if (piece.empty()) {
        return ParseStatus::need_more;
    }
    constexpr std::string_view empty_line = "\r\n";
    const std::size_t known_size = line_.size() + piece.size() + (has_end ? 0 : 1);
    if (known_size > max_bytes && known_size > empty_line.size()) {
        return ParseStatus::failed;
    }
    consumed += piece.size();
    if (has_end && line_.empty()) {
        line = piece;
        return ParseStatus::complete;
    }
    line_.append(piece);
    line = line_;
    return has_end ? ParseStatus::complete : ParseStatus::need_more;
}

// Each of the readers below returns whether decode() may go on at once: false when bytes are
// missing or a rule is broken.

PORTHOLE_FN bool ChunkedDecoder::read_size_line(std::string_view bytes, std::size_t& consumed) {
    std::string_view line;
    const ParseStatus status = take_line(bytes, consumed, limits_->max_chunk_line_bytes, line);
    if (status != ParseStatus::complete) {
        return status == ParseStatus::failed && fail(RequestFault::bad_chunk);
    }
    const std::size_t digits = strip_line_end(line) ? parse_chunk_size(line, left_) : 0;
    if (digits == 0 || !are_chunk_extensions(line.substr(digits))) {
        return fail(RequestFault::bad_chunk);
    }
    line_.clear();
    state_ = left_ > 0 ? State::data : State::trailer;
    return true;
}

PORTHOLE_FN bool
ChunkedDecoder::read_data_end(std::string_view bytes, std::size_t& consumed) noexcept {
    for (; left_ > 0; --left_, ++consumed) {
        if (consumed == bytes.size()) {
            return false;
        }
        if (bytes[consumed] != chunk_end[chunk_end.size() - static_cast<std::size_t>(left_)]) {
            return fail(RequestFault::bad_chunk);
        }
    }
    state_ = State::size_line;
    return true;
}

PORTHOLE_FN RequestFault ChunkedDecoder::add_trailer_line(std::string_view line) {
    if (!strip_line_end(line)) {
        return RequestFault::bad_trailer;
    }
    const std::size_t at = trailer_bytes_.size();
    trailer_bytes_.append(line);
    FieldSpan field;
    const std::string_view copy = std::string_view(trailer_bytes_).substr(at);
    if (parse_field_line(copy, trailer_bytes_.data(), field) != RequestFault::none
        || is_forbidden_in_trailer(field.name.in(trailer_bytes_.data()))) {
        return RequestFault::bad_trailer;
    }
    trailer_.add(field);
    return RequestFault::none;
}

PORTHOLE_FN bool ChunkedDecoder::read_trailer_line(std::string_view bytes, std::size_t& consumed) {
    std::string_view line;
    const std::size_t limit = clamp_to_span(limits_->max_trailer_bytes);
    const ParseStatus status = take_line(bytes, consumed, limit - trailer_size_, line);
    if (status != ParseStatus::complete) {
        return status == ParseStatus::failed && fail(RequestFault::trailer_too_large);
    }
    if (line == chunk_end) {
        line_.clear();
        trailer_.set_base(trailer_bytes_.data());
        state_ = State::complete;
        return true;
    }
    if (trailer_.size() >= limits_->max_fields) {
        return fail(RequestFault::trailer_too_large);
    }
    trailer_size_ += line.size();
    const RequestFault fault = add_trailer_line(line);
    line_.clear();
    return fault == RequestFault::none || fail(fault);
}

PORTHOLE_FN ParseStatus
ChunkedDecoder::decode(std::string_view bytes, std::size_t& consumed, std::string_view& content) {
    consumed = 0;
    content = {};
    bool goes_on = true;
    while (goes_on) {
        switch (state_) {
        case State::size_line: goes_on = read_size_line(bytes, consumed); break;
        case State::data: {
            const std::size_t here = bytes.size() - consumed;
            content = bytes.substr(consumed, left_ < here ? static_cast<std::size_t>(left_) : here);
            consumed += content.size();
            left_ -= content.size();
            if (left_ == 0) {
                state_ = State::data_end;
                left_ = chunk_end.size();
            }
            return ParseStatus::need_more;
        }
        case State::data_end: goes_on = read_data_end(bytes, consumed); break;
        case State::trailer: goes_on = read_trailer_line(bytes, consumed); break;
        case State::complete: return ParseStatus::complete;
        case State::failed: return ParseStatus::failed;
        }
    }
    return state_ == State::failed ? ParseStatus::failed : ParseStatus::need_more;
}

PORTHOLE_FN void ChunkedDecoder::put_back(std::size_t size) noexcept {
    if (size != 0) {
        left_ = size + (state_ == State::data ? left_ : 0); // else it counts the line end
        state_ = State::data;
    }
}

PORTHOLE_FN void ChunkedDecoder::reset() noexcept {
    state_ = State::size_line;
    fault_ = RequestFault::none;
    left_ = 0;
    trailer_size_ = 0;
    line_.clear();
    trailer_bytes_.clear();
    trailer_.clear();
}

PORTHOLE_FN std::size_t write_chunk_head(char* into, std::uint64_t size) noexcept {
    constexpr char digits[] = "0123456789abcdef";
    constexpr unsigned bits_per_digit = 4;
    constexpr std::uint64_t digit_mask = 0xf;
    std::size_t count = 1;
    while (count < max_chunk_head_size - chunk_end.size()
           && size >> (bits_per_digit * static_cast<unsigned>(count)) != 0) {
        ++count;
    }
    for (std::size_t i = count; i > 0; --i) {
        into[i - 1] = digits[size & digit_mask];
        size >>= bits_per_digit;
    }
    std::copy(chunk_end.begin(), chunk_end.end(), into + count);
    return count + chunk_end.size();
}

} // namespace detail

PORTHOLE_NAMESPACE_END
