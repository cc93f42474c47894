// SPDX-License-Identifier: MIT
#pragma once

// Byte ranges (RFC 9110 section 14): what a Range field asks of a representation of known size,
// merged and bounded so that no request can make the answer larger than the whole, and the framing
// of multipart/byteranges.

#include "porthole/base/config.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

PORTHOLE_NAMESPACE_BEGIN

/// A part of a representation; never empty.
struct ByteRange {
    std::uint64_t first = 0;
    std::uint64_t size = 0;
};

/// What a Range field comes to.
struct RangeSelection {
    enum class Kind : unsigned char {
        whole,         ///< no Range, or one to be ignored: 200
        partial,       ///< 206 with `ranges`: one, or several as multipart/byteranges
        unsatisfiable, ///< 416
    };
    Kind kind = Kind::whole;
    std::vector<ByteRange> ranges; ///< in the order asked for, none overlapping
};

/// More ranges than this in one field are ignored: the whole is cheaper for both sides (RFC 9110
/// section 14.2).
inline constexpr std::size_t max_ranges = 32;

/// Reads a Range field for a representation of `size` bytes. Malformed fields, other units and too
/// many ranges select the whole. Ranges that overlap, or lie closer together than a part's head is
/// long, become one (RFC 9110 section 15.3.7.2).
RangeSelection select_ranges(std::string_view field, std::uint64_t size);

/// "bytes 0-4/10": the Content-Range of a part.
std::string content_range(const ByteRange& range, std::uint64_t size);
/// "bytes */10": the Content-Range of a 416.
std::string unsatisfied_range(std::uint64_t size);

/// Frames the parts of a multipart/byteranges answer (RFC 9110 section 14.6).
class MultipartRanges {
public:
    /// `boundary` must not occur in the content: random bytes, as token characters. `type` is the
    /// Content-Type of each part. Both must outlive the object.
    MultipartRanges(std::string_view boundary, std::string_view type, std::uint64_t size) noexcept
        : boundary_(boundary), type_(type), size_(size) {}

    /// "multipart/byteranges; boundary=...": the answer's own Content-Type.
    std::string content_type() const;
    /// What stands before the bytes of that part.
    std::string part_head(const ByteRange& range) const;
    /// What stands behind the last part.
    std::string end() const;

private:
    std::string_view boundary_;
    std::string_view type_;
    std::uint64_t size_;
};

PORTHOLE_NAMESPACE_END
