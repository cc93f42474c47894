// SPDX-License-Identifier: MIT
#pragma once

// The chunked coding (RFC 9112 section 7.1), both ways. The decoder takes bytes in any pieces and
// hands out content in place; it copies only the lines that a piece's end cuts in two.

#include "porthole/base/limits.hpp"
#include "porthole/http/parser.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

class ChunkedDecoder {
public:
    /// `limits` must outlive the decoder.
    explicit ChunkedDecoder(const Limits& limits) noexcept : limits_(&limits) {}
    ChunkedDecoder(const ChunkedDecoder&) = delete; // the trailer points into itself
    ChunkedDecoder& operator=(const ChunkedDecoder&) = delete;

    /// One step: takes some of `bytes` (says how many in `consumed`) and may hand out a piece
    /// of content, a view into `bytes`. need_more: call again with what is left, or, when all
    /// is consumed, with what arrives next. complete: the trailer has ended. Call it while it
    /// consumes.
    ParseStatus decode(std::string_view bytes, std::size_t& consumed, std::string_view& content);

    /// The last `size` bytes of the piece that was just handed out were not taken: they come again.
    void put_back(std::size_t size) noexcept;

    RequestFault fault() const noexcept { return fault_; }
    /// When complete: the trailer's fields. Fields that a trailer must not carry (RFC 9110
    /// section 6.5.1) have made it fail.
    const Fields& trailer() const noexcept { return trailer_; }
    void reset() noexcept;

private:
    enum class State : unsigned char { size_line, data, data_end, trailer, complete, failed };

    const Limits* limits_;
    State state_ = State::size_line;
    RequestFault fault_ = RequestFault::none;
    std::uint64_t left_ = 0;       ///< bytes still to come: of the chunk, or of its line end
    std::size_t trailer_size_ = 0; ///< of all trailer lines so far, with their line ends
    std::string line_;             ///< a line that has begun in an earlier piece
    std::string trailer_bytes_;    ///< what trailer_ points into
    Fields trailer_;

    ParseStatus take_line(
        std::string_view bytes, std::size_t& consumed, std::size_t max_bytes,
        std::string_view& line);
    bool read_size_line(std::string_view bytes, std::size_t& consumed);
    bool read_data_end(std::string_view bytes, std::size_t& consumed) noexcept;
    bool read_trailer_line(std::string_view bytes, std::size_t& consumed);
    RequestFault add_trailer_line(std::string_view line);
    bool fail(RequestFault fault) noexcept;
};

/// How long the line before a chunk can be: sixteen digits and CRLF.
inline constexpr std::size_t max_chunk_head_size = 18;
/// Writes "1a2b\r\n" for a chunk of `size` bytes; returns how many were written.
std::size_t write_chunk_head(char* into, std::uint64_t size) noexcept;
/// What follows a chunk's bytes and the trailer, and what comes before the trailer.
inline constexpr std::string_view chunk_end = "\r\n";
inline constexpr std::string_view last_chunk_begin = "0\r\n";

} // namespace detail

PORTHOLE_NAMESPACE_END
