// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/http/fastcgi_record.hpp"

#include <algorithm>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

inline constexpr unsigned fastcgi_byte_bits = 8;
inline constexpr unsigned char fastcgi_version = 1;

inline char fastcgi_byte(std::size_t value, unsigned index) noexcept {
    return static_cast<char>(value >> (fastcgi_byte_bits * index) & 0xffu);
}

inline void append_fastcgi_record(FastCgiType type, std::string_view content, std::string& into) {
    const char header[fastcgi_header_bytes] = {
        static_cast<char>(fastcgi_version),
        static_cast<char>(type),
        fastcgi_byte(fastcgi_request_id, 1),
        fastcgi_byte(fastcgi_request_id, 0),
        fastcgi_byte(content.size(), 1),
        fastcgi_byte(content.size(), 0),
        0, // no padding
        0,
    };
    into.append(header, fastcgi_header_bytes).append(content);
}

PORTHOLE_FN void
append_fastcgi_records(FastCgiType type, std::string_view content, std::string& into) {
    do {
        const std::string_view part = content.substr(0, max_fastcgi_content);
        append_fastcgi_record(type, part, into);
        content.remove_prefix(part.size());
    } while (!content.empty());
}

/// FastCGI section 3.4: one byte up to 127, else four with the highest bit set.
inline void append_fastcgi_length(std::size_t length, std::string& into) {
    constexpr std::size_t most_in_one = 127;
    constexpr unsigned char is_long = 0x80;
    if (length <= most_in_one) {
        into += static_cast<char>(length);
        return;
    }
    into += static_cast<char>(static_cast<unsigned char>(fastcgi_byte(length, 3)) | is_long);
    for (const unsigned index : {2u, 1u, 0u}) {
        into += fastcgi_byte(length, index);
    }
}

PORTHOLE_FN void
append_fastcgi_head(const std::vector<std::string>& variables, bool keeps, std::string& into) {
    // Section 5.1: the role of a responder is 1, and bit 0 of the flags is FCGI_KEEP_CONN.
    const char begin[fastcgi_header_bytes] = {0, 1, keeps ? '\1' : '\0', 0, 0, 0, 0, 0};
    append_fastcgi_record(
        FastCgiType::begin_request, std::string_view(begin, fastcgi_header_bytes), into);
    std::string pairs;
    for (const std::string& variable : variables) {
        const std::size_t name_size = (std::min)(variable.find('='), variable.size());
        const std::size_t value_at = (std::min)(name_size + 1, variable.size());
        append_fastcgi_length(name_size, pairs);
        append_fastcgi_length(variable.size() - value_at, pairs);
        pairs.append(variable, 0, name_size).append(variable, value_at);
    }
    if (!pairs.empty()) {
        append_fastcgi_records(FastCgiType::params, pairs, into);
    }
    append_fastcgi_record(FastCgiType::params, {}, into);
}

PORTHOLE_FN void append_scgi_head(const std::vector<std::string>& variables, std::string& into) {
    constexpr std::string_view length = "CONTENT_LENGTH=";
    const auto is_length = [length](const std::string& variable) {
        return variable.compare(0, length.size(), length) == 0;
    };
    std::string pairs("CONTENT_LENGTH");
    const auto found = std::find_if(variables.begin(), variables.end(), is_length);
    pairs += '\0';
    pairs += found != variables.end() ? found->substr(length.size()) : "0";
    pairs += '\0';
    pairs.append("SCGI").append(1, '\0').append("1").append(1, '\0');
    for (const std::string& variable : variables) {
        const std::size_t name_size = variable.find('=');
        if (!is_length(variable) && name_size != std::string::npos) {
            pairs.append(variable, 0, name_size).append(1, '\0');
            pairs.append(variable, name_size + 1).append(1, '\0');
        }
    }
    into.append(std::to_string(pairs.size())).append(":").append(pairs).append(",");
}

PORTHOLE_FN std::string_view describe(FastCgiFault fault) noexcept {
    switch (fault) {
    case FastCgiFault::none: return "nothing is wrong";
    case FastCgiFault::bad_version: return "a record is not of FastCGI version 1";
    case FastCgiFault::wrong_id: return "a record belongs to a request that was never sent";
    case FastCgiFault::bad_type: return "a record has a type that is not for a web server";
    case FastCgiFault::bad_end: return "the record that ends the request has a wrong size";
    case FastCgiFault::content_past_end: return "output came behind the end of the output";
    }
    return "unknown";
}

PORTHOLE_FN FastCgiReader::Result
FastCgiReader::fail(std::size_t consumed, FastCgiFault fault) noexcept {
    state_ = State::failed;
    fault_ = fault;
    return {Event::failed, consumed, {}};
}

PORTHOLE_FN FastCgiFault FastCgiReader::take_header() noexcept {
    const auto two_bytes = [this](std::size_t at) {
        return static_cast<std::size_t>(bytes_[at]) << fastcgi_byte_bits | bytes_[at + 1];
    };
    constexpr std::size_t id_at = 2;
    constexpr std::size_t length_at = 4;
    constexpr std::size_t padding_at = 6;
    if (bytes_[0] != fastcgi_version) {
        return FastCgiFault::bad_version;
    }
    type_ = static_cast<FastCgiType>(bytes_[1]);
    left_ = two_bytes(length_at);
    padding_ = bytes_[padding_at];
    is_ours_ = two_bytes(id_at) != 0;
    collected_ = 0;
    state_ = State::content;
    if (!is_ours_) {
        const bool is_management =
            type_ == FastCgiType::get_values_result || type_ == FastCgiType::unknown_type;
        return is_management ? FastCgiFault::none : FastCgiFault::bad_type;
    }
    if (two_bytes(id_at) != fastcgi_request_id) {
        return FastCgiFault::wrong_id;
    }
    if (type_ == FastCgiType::end_request) {
        return left_ == fastcgi_header_bytes ? FastCgiFault::none : FastCgiFault::bad_end;
    }
    if (type_ != FastCgiType::output && type_ != FastCgiType::errors) {
        return FastCgiFault::bad_type;
    }
    if (type_ == FastCgiType::output) {
        if (output_has_ended_ && left_ != 0) {
            return FastCgiFault::content_past_end;
        }
        output_has_ended_ = left_ == 0;
    }
    return FastCgiFault::none;
}

PORTHOLE_FN void FastCgiReader::take_end() noexcept {
    constexpr std::size_t status_bytes = 4;
    for (std::size_t i = 0; i < status_bytes; ++i) {
        app_status_ = app_status_ << fastcgi_byte_bits | bytes_[i];
    }
    const unsigned char outcome = bytes_[status_bytes];
    const auto most = static_cast<unsigned char>(FastCgiOutcome::other);
    outcome_ = static_cast<FastCgiOutcome>((std::min)(outcome, most));
}

PORTHOLE_FN void FastCgiReader::after_content() noexcept {
    if (left_ == 0) {
        const bool is_end = is_ours_ && type_ == FastCgiType::end_request;
        state_ = padding_ != 0 ? State::padding : is_end ? State::end : State::header;
    }
}

PORTHOLE_FN FastCgiReader::Result FastCgiReader::read(std::string_view bytes, std::size_t most) {
    std::size_t at = 0;
    const auto collect = [&] {
        while (at < bytes.size() && collected_ < fastcgi_header_bytes) {
            bytes_[collected_++] = static_cast<unsigned char>(bytes[at++]);
        }
    };
    for (;;) {
        const std::size_t rest = bytes.size() - at;
        switch (state_) {
        case State::failed: return {Event::failed, at, {}};
        case State::end: return {Event::end, at, {}};
        case State::header:
            collect();
            if (collected_ < fastcgi_header_bytes) {
                return {Event::need_more, at, {}};
            }
            if (const FastCgiFault fault = take_header(); fault != FastCgiFault::none) {
                return fail(at, fault);
            }
            after_content();
            break;
        case State::content: {
            if (rest == 0) {
                return {Event::need_more, at, {}};
            }
            if (is_ours_ && type_ == FastCgiType::end_request) {
                const std::size_t before = at;
                collect();
                left_ -= at - before;
                if (left_ == 0) {
                    take_end();
                    after_content();
                }
                break;
            }
            const std::string_view piece =
                bytes.substr(at, (std::min)({rest, left_, is_ours_ ? most : left_}));
            at += piece.size();
            left_ -= piece.size();
            after_content();
            if (is_ours_) {
                return {type_ == FastCgiType::output ? Event::output : Event::errors, at, piece};
            }
            break;
        }
        case State::padding: {
            const std::size_t skipped = (std::min)(rest, padding_);
            at += skipped;
            padding_ -= skipped;
            if (padding_ != 0) {
                return {Event::need_more, at, {}};
            }
            left_ = 0;
            after_content();
            break;
        }
        }
    }
}

} // namespace detail

PORTHOLE_NAMESPACE_END
