// SPDX-License-Identifier: MIT
#pragma once

// Forms with files: multipart/form-data (RFC 7578), which is a multipart body (RFC 2046 section
// 5.1) whose parts have names. The parser takes bytes in any pieces and hands out content in
// place; it copies nothing but the heads of parts. For a body that is there as a whole,
// read_form_parts() is all that is needed.

#include "porthole/http/fields.hpp"
#include "porthole/http/request.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

PORTHOLE_NAMESPACE_BEGIN

/// What a form may hold. The size of the whole is bounded by the route's limit for its content.
struct MultipartLimits {
    /// Past it: 413.
    std::size_t max_parts = 100;
    /// The field lines of a part with their line ends, and the empty line. Past it: 431.
    std::size_t max_part_head_bytes = 8 * 1024;
    /// Field lines of a part. Past it: 431.
    std::size_t max_part_fields = 20;
    /// Parts that go to PartSink::to_file(), each of which holds two descriptors until the form is
    /// complete. Past it: 413.
    std::size_t max_files = 20;
    /// A part's name, and a file's name, each, decoded. Past it: 431.
    std::size_t max_name_bytes = 1024;
    /// The content of one part. Past it: 413.
    std::uint64_t max_part_bytes = UINT64_MAX;
    /// The content of all parts together that are collected in memory. Past it: 413.
    std::size_t max_collected_bytes = 1024 * 1024;
    /// What stands before the first part, and behind the last, and means nothing. Past it: 400.
    std::size_t max_preamble_bytes = 4 * 1024;
    std::size_t max_epilogue_bytes = 4 * 1024;
};

/// Everything that makes a form unreadable, one sentence each.
enum class MultipartFault : unsigned char {
    none,
    not_a_form,
    bad_boundary,
    preamble_too_long,
    bad_delimiter,
    bad_part_field,
    bad_disposition,
    part_head_too_large,
    too_many_part_fields,
    name_too_long,
    too_many_parts,
    too_many_files,
    part_too_large,
    collected_too_large,
    epilogue_too_long,
    incomplete,
};

/// The status that answers a fault: 400, 413, 415 or 431.
int status_of(MultipartFault fault) noexcept;
/// The sentence that says what is wrong; those about a limit name the field of MultipartLimits.
std::string_view describe(MultipartFault fault) noexcept;

/// What is said of a part ahead of its content. Names are as the client sent them, with the escapes
/// of browsers undone: any bytes, line ends included.
struct FormPartHead {
    std::string_view name;
    /// Present for files, and may be empty: a file input without a file. It is the client's word,
    /// never a path to open (RFC 7578 section 4.2).
    std::optional<std::string_view> file_name;
    /// "text/plain" when the part does not say (RFC 7578 section 4.4).
    std::string_view content_type = "text/plain";
    /// All field lines of the part.
    Fields fields;
};

/// A part of a form that is there as a whole; see FormPartHead.
struct FormPart {
    std::string name;
    std::optional<std::string> file_name;
    std::string content_type;
    std::string_view content; ///< a view into what it was read from
};

/// The parts of a request's collected body, valid until the handler returns. Nothing when it is no
/// form, or a malformed one.
std::optional<std::vector<FormPart>>
read_form_parts(const Request& request, const MultipartLimits& limits = {});
/// The same for any bytes, with their Content-Type. `fault` tells what is wrong with them.
std::optional<std::vector<FormPart>> read_form_parts(
    std::string_view content_type, std::string_view content, const MultipartLimits& limits,
    MultipartFault& fault);

namespace detail {

/// The boundary that a Content-Type of multipart/form-data names (RFC 2046 section 5.1.1).
MultipartFault read_boundary(std::string_view content_type, std::string_view& boundary);
/// Of a request, which must have one Content-Type.
MultipartFault read_boundary(const Request& request, std::string_view& boundary);

enum class MultipartEvent : unsigned char {
    need_more,  ///< all bytes are consumed
    part_begin, ///< part() is the new one
    data,       ///< data() is the next piece of the part's content, never empty
    part_end,
    failed, ///< fault() says why; stays so
};

class MultipartParser {
public:
    /// A boundary of read_boundary().
    MultipartParser(std::string_view boundary, const MultipartLimits& limits);
    MultipartParser(const MultipartParser&) = delete; // part() points into itself
    MultipartParser& operator=(const MultipartParser&) = delete;

    /// One step: takes some of `bytes`, says how many in `consumed`, and what they were. To be
    /// called with what is left until it is need_more, then with what arrives next.
    MultipartEvent parse(std::string_view bytes, std::size_t& consumed);
    /// No more bytes will come: the form is complete unless there is a fault.
    MultipartFault finish() noexcept;

    /// From part_begin until the next one.
    const FormPartHead& part() const noexcept { return part_; }
    /// Valid until the next parse(): a view into the bytes, or, for what looked like the beginning
    /// of a delimiter and was none, into the parser.
    std::string_view data() const noexcept { return data_; }
    MultipartFault fault() const noexcept { return fault_; }

private:
    enum class State : unsigned char {
        preamble,
        delimiter_end, ///< a delimiter has been read, and what kind it is comes next
        delimiter_dash,
        delimiter_padding,
        delimiter_line_feed,
        head,
        content,
        close_end, ///< the last delimiter has been read
        close_line_feed,
        epilogue,
        over_limit, ///< the part's last byte that is allowed has been handed out
        failed,
    };

    MultipartLimits limits_;
    State state_ = State::preamble;
    MultipartFault fault_ = MultipartFault::none;
    std::string delimiter_;   ///< "\r\n--" and the boundary
    std::size_t matched_ = 0; ///< of it, at the end of what has been consumed
    std::size_t unsent_ = 0;  ///< of matched_: a line end that is no part of the content
    bool is_in_part_ = false; ///< part_begin has been said, and part_end has not
    bool is_head_begun_ = false;
    std::size_t parts_ = 0;
    std::uint64_t counted_ = 0; ///< bytes of the content, the preamble or the epilogue
    std::string head_;          ///< what part_.fields points into
    std::string names_;         ///< what part_.name and part_.file_name point into
    FormPartHead part_;
    std::string_view data_;

    MultipartEvent step(std::string_view rest, std::size_t& taken);
    MultipartEvent search(std::string_view rest, std::size_t& taken);
    MultipartEvent go_on_matching(std::string_view rest, std::size_t& taken);
    MultipartEvent give(std::string_view piece);
    MultipartEvent read_delimiter_end(char c);
    MultipartEvent read_head(std::string_view rest, std::size_t& taken);
    MultipartEvent skip_epilogue(std::string_view rest, std::size_t& taken);
    MultipartEvent end_part(State next) noexcept;
    MultipartEvent begin_part();
    MultipartFault split_head();
    MultipartFault read_names(std::string_view disposition);
    MultipartEvent fail(MultipartFault fault) noexcept;
};

} // namespace detail

PORTHOLE_NAMESPACE_END
