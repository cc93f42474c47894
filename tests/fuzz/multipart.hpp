// SPDX-License-Identifier: MIT
#pragma once

// The parser of forms: in one piece, in two and byte by byte it sees the same parts with the same
// content, hands it out in place, and keeps its limits; and a second, much simpler reading agrees
// on what is a form. Input: limits (a byte), the cut (two bytes), the boundary (a line), the form.

#include "fuzz/fuzz.hpp"

#include <vector>

namespace porthole_fuzz {

using porthole::MultipartFault;
using porthole::MultipartLimits;
using porthole::detail::MultipartEvent;
using porthole::detail::MultipartParser;

struct FuzzedPart {
    std::string name;
    std::string file_name;
    std::string content;
    bool has_ended = false;
};

inline bool operator==(const FuzzedPart& a, const FuzzedPart& b) {
    return a.name == b.name && a.file_name == b.file_name && a.content == b.content
           && a.has_ended == b.has_ended;
}

struct FuzzedForm {
    MultipartFault fault = MultipartFault::none;
    std::vector<FuzzedPart> parts;
};

inline bool operator==(const FuzzedForm& a, const FuzzedForm& b) {
    return a.fault == b.fault && a.parts == b.parts;
}

inline MultipartLimits form_limits(std::uint8_t choice) {
    MultipartLimits limits;
    limits.max_parts = 1 + choice % 4;
    limits.max_part_head_bytes = 64U << (choice / 4 % 4);
    limits.max_part_bytes = choice % 16 == 0 ? UINT64_MAX : choice;
    limits.max_name_bytes = 16;
    limits.max_part_fields = 3;
    limits.max_preamble_bytes = limits.max_epilogue_bytes = 16;
    return limits;
}

inline void check_part_head(const MultipartParser& parser, const MultipartLimits& limits) {
    const porthole::FormPartHead& head = parser.part();
    require(head.name.size() <= limits.max_name_bytes, "a name keeps its limit");
    require(
        head.file_name.value_or("").size() <= limits.max_name_bytes,
        "a file's name keeps its limit");
    require(head.fields.size() <= limits.max_part_fields, "fields keep their limit");
    for (std::size_t i = 0; i < head.fields.size(); ++i) {
        require(
            is_name(head.fields[i].name) && is_clean(head.fields[i].value),
            "a part's field is well formed");
    }
    require(head.fields.count("content-disposition") == 1, "a part has one disposition");
}

/// False when the parser has failed.
inline bool parse_piece(
    MultipartParser& parser, std::string_view piece, const MultipartLimits& limits,
    FuzzedForm& form) {
    const HeapBytes block(piece);
    std::string_view rest = block.view();
    for (;;) {
        std::size_t consumed = 0;
        const MultipartEvent event = parser.parse(rest, consumed);
        require(consumed <= rest.size(), "a parser takes no more than there is");
        const std::string_view taken = rest.substr(0, consumed);
        rest.remove_prefix(consumed);
        switch (event) {
        case MultipartEvent::need_more:
            require(rest.empty(), "a parser that wants more has taken what there is");
            return true;
        case MultipartEvent::failed:
            require(parser.fault() != MultipartFault::none, "a failure has a reason");
            return false;
        case MultipartEvent::part_begin:
            require(form.parts.empty() || form.parts.back().has_ended, "parts do not nest");
            check_part_head(parser, limits);
            form.parts.emplace_back();
            form.parts.back().name = parser.part().name;
            form.parts.back().file_name = parser.part().file_name.value_or("(none)");
            break;
        case MultipartEvent::data:
            require(!parser.data().empty(), "a piece is not empty");
            // Else it is the beginning of a delimiter that was none, and ends at a line's end.
            if (!lies_in(parser.data(), taken)) {
                require(parser.data().size() < 80, "nothing but a delimiter is held back");
            }
            form.parts.back().content += parser.data();
            break;
        case MultipartEvent::part_end: form.parts.back().has_ended = true; break;
        }
    }
}

inline FuzzedForm parse_form_in_pieces(
    std::string_view boundary, const MultipartLimits& limits, std::string_view bytes,
    std::size_t first, std::size_t step) {
    MultipartParser parser(boundary, limits);
    FuzzedForm form;
    std::size_t size = first;
    bool goes_on = true;
    do {
        const std::string_view piece = bytes.substr(0, size);
        bytes.remove_prefix(piece.size());
        goes_on = parse_piece(parser, piece, limits, form);
        size = step;
    } while (goes_on && !bytes.empty());
    form.fault = parser.finish();
    require(goes_on || form.fault != MultipartFault::none, "what has failed stays so");
    for (const FuzzedPart& part : form.parts) {
        require(part.content.size() <= limits.max_part_bytes, "a part keeps its limit");
        require(part.has_ended || form.fault != MultipartFault::none, "parts end with their form");
    }
    require(form.parts.size() <= limits.max_parts, "parts keep their limit");
    return form;
}

/// Where the content of the parts is, found by looking for whole delimiters only.
inline void
check_contents(std::string_view boundary, std::string_view bytes, const FuzzedForm& form) {
    const std::string delimiter = "\r\n--" + std::string(boundary);
    const std::string whole = "\r\n" + std::string(bytes);
    std::size_t at = whole.find(delimiter);
    for (const FuzzedPart& part : form.parts) {
        const std::size_t head_end = whole.find("\r\n\r\n", at + delimiter.size());
        require(head_end != std::string::npos, "a part has a head");
        const std::size_t next = whole.find(delimiter, head_end + 2);
        require(next != std::string::npos, "a part has an end");
        const std::size_t begin = head_end + 4;
        const std::string content = next > begin ? whole.substr(begin, next - begin) : "";
        require(part.content == content, "a part is what lies between two delimiters");
        at = next;
    }
    require(whole.substr(at + delimiter.size(), 2) == "--", "the last delimiter ends the form");
}

inline void fuzz_multipart(const std::uint8_t* data, std::size_t size) {
    Input input(data, size);
    const MultipartLimits limits = form_limits(input.byte());
    const std::size_t cut = input.number();
    const std::string content_type = "multipart/form-data; boundary=" + std::string(input.line());
    std::string_view boundary;
    if (porthole::detail::read_boundary(content_type, boundary) != MultipartFault::none) {
        boundary = "b";
    }
    require(!boundary.empty() && boundary.size() <= 70, "a boundary has 1 to 70 bytes");
    const std::string_view bytes = input.rest();
    const std::size_t first = bytes.empty() ? 0 : cut % (bytes.size() + 1);
    const FuzzedForm whole =
        parse_form_in_pieces(boundary, limits, bytes, bytes.size(), bytes.size());
    require(
        parse_form_in_pieces(boundary, limits, bytes, first, bytes.size()) == whole,
        "two pieces are the same form as one");
    require(
        parse_form_in_pieces(boundary, limits, bytes, 1, 1) == whole,
        "bytes are the same form as one piece");
    if (whole.fault == MultipartFault::none) {
        check_contents(boundary, bytes, whole);
    }

    MultipartFault fault = MultipartFault::none;
    const HeapBytes block(bytes);
    const std::string type = "multipart/form-data; boundary=\"" + std::string(boundary) + "\"";
    const auto parts = porthole::read_form_parts(type, block.view(), limits, fault);
    require(fault == whole.fault, "read_form_parts() sees the same faults");
    require(parts.has_value() == (fault == MultipartFault::none), "a form is read or faulty");
    for (std::size_t i = 0; parts && i < parts->size(); ++i) {
        require((*parts)[i].name == whole.parts[i].name, "a part keeps its name");
        require((*parts)[i].content == whole.parts[i].content, "a part keeps its content");
        require(lies_in((*parts)[i].content, block.view()), "a part lies in the content");
    }
    require(!parts || parts->size() == whole.parts.size(), "no part is lost");
}

} // namespace porthole_fuzz
