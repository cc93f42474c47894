// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/base/ascii.hpp"
#include "porthole/http/range.hpp"

#include <algorithm>
#include <optional>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// Digits only; a number too large for 64 bits is past the end of everything all the same.
inline std::optional<std::uint64_t> parse_position(std::string_view text) noexcept {
    for (const char c : text) {
        if (!ascii::is_digit(c)) {
            return std::nullopt;
        }
    }
    if (text.empty()) {
        return std::nullopt;
    }
    return ascii::parse_decimal(text).value_or(UINT64_MAX);
}

/// What one range-spec says.
enum class RangeSpec : unsigned char { malformed, unsatisfiable, satisfiable };

/// RFC 9110 section 14.1.2.
inline RangeSpec
read_range_spec(std::string_view spec, std::uint64_t size, ByteRange& range) noexcept {
    const std::size_t dash = spec.find('-');
    if (dash == std::string_view::npos) {
        return RangeSpec::malformed;
    }
    const std::string_view last_text = spec.substr(dash + 1);
    if (dash == 0) {
        const auto suffix = parse_position(last_text);
        if (!suffix) {
            return RangeSpec::malformed;
        }
        range.size = *suffix < size ? *suffix : size;
        range.first = size - range.size;
        return *suffix == 0 ? RangeSpec::unsatisfiable : RangeSpec::satisfiable;
    }
    const auto first = parse_position(spec.substr(0, dash));
    const auto last = last_text.empty() ? std::optional(UINT64_MAX) : parse_position(last_text);
    if (!first || !last || *last < *first) {
        return RangeSpec::malformed;
    }
    if (*first >= size) {
        return RangeSpec::unsatisfiable;
    }
    range.first = *first;
    range.size = (*last < size - 1 ? *last : size - 1) - *first + 1;
    return RangeSpec::satisfiable;
}

/// Merges in place what overlaps or nearly touches. What is left keeps the order asked for.
inline void coalesce(std::vector<ByteRange>& ranges) {
    // About what a part's head takes: bytes of a smaller gap are cheaper than one.
    constexpr std::uint64_t max_gap = 80;
    for (std::size_t i = 0; i < ranges.size(); ++i) {
        for (std::size_t k = i + 1; k < ranges.size();) {
            const ByteRange a = ranges[i];
            const ByteRange b = ranges[k];
            const std::uint64_t begin = (std::min)(a.first, b.first);
            const std::uint64_t end = (std::max)(a.first + a.size, b.first + b.size);
            const std::uint64_t both = a.size + b.size; // no file comes near 2^63 bytes
            if (end - begin > both && end - begin - both > max_gap) {
                ++k;
                continue;
            }
            ranges[i] = ByteRange{begin, end - begin};
            ranges.erase(ranges.begin() + static_cast<std::ptrdiff_t>(k));
            k = i + 1; // the larger one may touch those that were passed
        }
    }
}

inline void append_position(std::string& text, std::uint64_t number) {
    constexpr std::size_t max_digits = 20;
    char digits[max_digits];
    text.append(digits, ascii::write_decimal(digits, number));
}

} // namespace detail

PORTHOLE_FN RangeSelection select_ranges(std::string_view field, std::uint64_t size) {
    RangeSelection whole;
    const std::size_t equals = field.find('=');
    if (equals == std::string_view::npos
        || !ascii::equals_ignoring_case(field.substr(0, equals), "bytes")) {
        return whole;
    }
    RangeSelection selection;
    std::string_view rest = field.substr(equals + 1);
    std::size_t count = 0;
    while (const auto spec = ascii::next_list_element(rest)) {
        ByteRange range;
        const detail::RangeSpec meaning = detail::read_range_spec(*spec, size, range);
        if (meaning == detail::RangeSpec::malformed || ++count > max_ranges) {
            return whole;
        }
        if (meaning == detail::RangeSpec::satisfiable) {
            if (range.size == 0) {
                return whole; // a suffix of nothing: satisfiable, and no Content-Range can say it
            }
            selection.ranges.push_back(range);
        }
    }
    if (count == 0) {
        return whole;
    }
    detail::coalesce(selection.ranges);
    selection.kind = selection.ranges.empty() ? RangeSelection::Kind::unsatisfiable
                                              : RangeSelection::Kind::partial;
    return selection;
}

PORTHOLE_FN std::string content_range(const ByteRange& range, std::uint64_t size) {
    std::string text = "bytes ";
    detail::append_position(text, range.first);
    text += '-';
    detail::append_position(text, range.first + range.size - 1);
    text += '/';
    detail::append_position(text, size);
    return text;
}

PORTHOLE_FN std::string unsatisfied_range(std::uint64_t size) {
    std::string text = "bytes */";
    detail::append_position(text, size);
    return text;
}

PORTHOLE_FN std::string MultipartRanges::content_type() const {
    std::string text = "multipart/byteranges; boundary=";
    text += boundary_;
    return text;
}

PORTHOLE_FN std::string MultipartRanges::part_head(const ByteRange& range) const {
    std::string text = "\r\n--";
    text.append(boundary_).append("\r\nContent-Type: ").append(type_);
    text.append("\r\nContent-Range: ").append(content_range(range, size_)).append("\r\n\r\n");
    return text;
}

PORTHOLE_FN std::string MultipartRanges::end() const {
    std::string text = "\r\n--";
    text.append(boundary_).append("--\r\n");
    return text;
}

PORTHOLE_NAMESPACE_END
