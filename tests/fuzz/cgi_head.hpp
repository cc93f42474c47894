// SPDX-License-Identifier: MIT
#pragma once

// Heads of CGI programs: they say the same whole, byte by byte and from other places in memory, and
// whatever is accepted can be sent. Input: a byte of options, then what a program prints.

#include "fuzz/fuzz.hpp"

namespace porthole_fuzz {

inline bool has_control(std::string_view text) {
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if ((byte < 0x20 && c != '\t') || byte == 0x7f) {
            return true;
        }
    }
    return false;
}

inline void check_cgi_head(const porthole::detail::CgiHead& head, std::string_view text) {
    require(head.status >= 200 && head.status <= 599, "a status can be sent");
    require(!has_control(head.content_type), "a type has no control character");
    require(!has_control(head.location), "a location has no control character");
    for (const porthole::detail::CgiField& field : head.fields) {
        require(!field.name.empty(), "a field has a name");
        require(
            field.name.find_first_of(" \t\r\n:") == std::string_view::npos
                && !has_control(field.name),
            "a field's name is a token");
        require(!has_control(field.value), "a field's value has no control character");
        const std::size_t at = static_cast<std::size_t>(field.name.data() - text.data());
        require(at < text.size(), "a field lies in what was printed");
    }
    // Through the choke point: nothing that was accepted may be refused there.
    porthole::detail::ResponseParts parts;
    porthole::Response response(parts);
    for (const porthole::detail::CgiField& field : head.fields) {
        response.add_header(field.name, field.value);
    }
    if (!head.location.empty()) {
        response.header("Location", head.location);
    }
    response.send(head.content_type, "");
    require(parts.refused_fields == 0, "what a head has is accepted by the answer");
    const bool is_local = head.answer == porthole::detail::CgiAnswer::local_redirect;
    require(
        !is_local || (head.location[0] == '/' && head.location.substr(0, 2) != "//"),
        "a local redirect stays on this server");
}

inline void fuzz_cgi_head(const std::uint8_t* data, std::size_t size) {
    using porthole::detail::CgiHeadParser;
    using State = CgiHeadParser::State;
    Input input(data, size);
    const std::uint8_t choice = input.byte();
    CgiHeadParser::Options options;
    options.is_nph = (choice & 1) != 0;
    options.max_bytes = (choice & 2) != 0 ? 64 : options.max_bytes;
    options.max_fields = (choice & 4) != 0 ? 3 : options.max_fields;
    const HeapBytes text(input.rest());

    CgiHeadParser whole(options);
    const State state = whole.finish(text.view());
    require(state != State::need_more, "an end is an end");
    CgiHeadParser slow(options);
    State slow_state = State::need_more;
    for (std::size_t end = 0; end <= text.view().size() && slow_state == State::need_more; ++end) {
        const HeapBytes piece(text.view().substr(0, end));
        slow_state = slow.parse(piece.view());
    }
    slow_state = slow_state == State::need_more ? slow.finish(text.view()) : slow_state;
    require(slow_state == state, "a head is the same byte by byte");
    require(slow.fault() == whole.fault(), "so is its fault");
    if (state == State::complete) {
        require(whole.head_size() <= options.max_bytes, "its size keeps the bound");
        require(whole.head_size() == slow.head_size(), "so is its size");
        require(whole.head().fields.size() <= options.max_fields, "so do its fields");
        check_cgi_head(whole.head(), text.view());
    } else {
        require(!porthole::detail::describe(whole.fault()).empty(), "a fault has a sentence");
        static_cast<void>(whole.bad_line(text.view()));
    }
}

} // namespace porthole_fuzz
