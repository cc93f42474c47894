// SPDX-License-Identifier: MIT
#pragma once

// The request parser: whole, cut in two at a place the input names, and byte by byte it has to come
// to the same end; and what it accepts has to look like a request to a second, much simpler
// reading. Input: limits (a byte), the cut (two bytes), the request's bytes.

#include "fuzz/fuzz.hpp"

#include <memory>

namespace porthole_fuzz {

using porthole::Limits;
using porthole::detail::Framing;
using porthole::detail::ParseStatus;
using porthole::detail::RequestHead;
using porthole::detail::RequestParser;

/// Everything that a parser says, as text, so that two of them can be compared.
inline std::string digest(const RequestParser& parser, ParseStatus status, const char* base) {
    std::string text = std::to_string(static_cast<int>(status));
    if (status == ParseStatus::failed) {
        return text + " " + std::string(porthole::describe(parser.fault()));
    }
    if (status != ParseStatus::complete) {
        return text;
    }
    const RequestHead& head = parser.head();
    text += " " + std::to_string(parser.head_size());
    text += " " + std::string(head.method_name.in(base));
    text += " " + std::to_string(static_cast<int>(head.method));
    text += " " + std::string(head.target.in(base));
    text += " " + std::to_string(head.minor_version);
    for (std::size_t i = 0; i < head.fields.size(); ++i) {
        text += "\n" + std::string(head.fields[i].name) + "=" + std::string(head.fields[i].value);
    }
    text += "\n" + std::to_string(static_cast<int>(head.framing.kind));
    text += " " + std::to_string(head.framing.length);
    text += " " + std::string(head.has_host ? head.host.in(base) : "-");
    text += head.keep_alive ? " keep" : " close";
    text += head.expects_continue ? " expects" : "";
    text += head.has_upgrade ? " upgrades" : "";
    return text;
}

/// The first `first` bytes, and then `step` more each time.
inline std::string
parse_in_pieces(const Limits& limits, std::string_view bytes, std::size_t first, std::size_t step) {
    RequestParser parser(limits);
    ParseStatus status = ParseStatus::need_more;
    std::unique_ptr<HeapBytes> piece;
    for (std::size_t size = first; status == ParseStatus::need_more; size += step) {
        size = size < bytes.size() ? size : bytes.size();
        piece = std::make_unique<HeapBytes>(bytes.substr(0, size));
        status = parser.parse(piece->view());
        if (size == bytes.size()) {
            break;
        }
    }
    return digest(parser, status, piece->view().data());
}

/// A head that was accepted, read again line by line.
inline void check_head(const RequestParser& parser, std::string_view bytes) {
    const RequestHead& head = parser.head();
    require(parser.head_size() <= bytes.size(), "a head ends within what has come");
    std::string_view text = bytes.substr(0, parser.head_size());
    if (text.substr(0, 2) == "\r\n") {
        text.remove_prefix(2);
    }
    require(text.find("\r\n\r\n") == text.size() - 4, "a head ends at its first empty line");
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool is_pair = text[i] != '\r' || text[i + 1] == '\n';
        require(is_pair && (text[i] != '\n' || text[i - 1] == '\r'), "no bare CR or LF in a head");
        require(text[i] != '\0' && text[i] != '\x7f', "no NUL or DEL in a head");
    }
    const std::string_view start = text.substr(0, text.find("\r\n"));
    text.remove_prefix(start.size() + 2);
    const std::string expected = std::string(head.method_name.in(bytes.data())) + " "
                                 + std::string(head.target.in(bytes.data())) + " HTTP/1."
                                 + std::to_string(head.minor_version);
    require(start == expected, "a request line has three parts and two spaces");
    require(is_name(head.method_name.in(bytes.data())), "a method is a token");

    std::size_t hosts = 0;
    std::size_t lengths = 0;
    std::size_t encodings = 0;
    std::size_t count = 0;
    for (; text != "\r\n"; ++count) {
        const std::string_view line = text.substr(0, text.find("\r\n"));
        text.remove_prefix(line.size() + 2);
        const std::size_t colon = line.find(':');
        require(colon != std::string_view::npos, "a field line has a colon");
        require(is_name(line.substr(0, colon)), "a field name is a token");
        const std::string_view value = stripped(line.substr(colon + 1));
        require(is_clean(value), "a field value has no control characters");
        require(count < head.fields.size(), "no field line is left out");
        require(head.fields[count].name == line.substr(0, colon), "a name is what was sent");
        require(head.fields[count].value == value, "a value is what was sent, trimmed");
        const std::string name = lowered(line.substr(0, colon));
        hosts += name == "host" ? 1u : 0u;
        lengths += name == "content-length" ? 1u : 0u;
        encodings += name == "transfer-encoding" ? 1u : 0u;
    }
    require(count == head.fields.size(), "no field is invented");
    require(hosts == 1 || (hosts == 0 && head.minor_version == 0), "one Host in HTTP/1.1");
    require(lengths + encodings <= 1, "one way to end the content");
    require(encodings == 0 || head.minor_version == 1, "no chunked content in HTTP/1.0");
    require(
        (head.framing.kind == Framing::Kind::chunked) == (encodings != 0),
        "chunked if and only if Transfer-Encoding says so");
    require(lengths != 0 || head.framing.length == 0, "no length without Content-Length");
}

/// What handlers would do with it must be safe, and survive a move of the bytes.
inline void use_request(RequestParser& parser, std::string_view bytes) {
    porthole::detail::RequestParts parts;
    parts.base = bytes.data();
    if (parts.set_head(parser.head(), bytes.data()) != porthole::RequestFault::none) {
        return;
    }
    const porthole::Request request(parts);
    const auto seen = [&request] {
        std::string text(request.path());
        text += "|" + std::string(request.query_string()) + "|" + std::string(request.target());
        text += "|" + std::string(request.host()) + "|" + std::string(request.authority());
        text += "|" + std::string(request.query("a").value_or("-"));
        text += "|" + std::string(request.cookie("a").value_or("-"));
        text += "|" + std::string(request.header("Host").value_or("-"));
        text += "|" + std::to_string(request.query_all("a").size());
        text += "|" + std::to_string(request.header_all("a").size());
        text += request.has_conflicting_host() ? "|conflict" : "";
        return text;
    };
    const std::string before = seen();
    const bool has_path = request.method() != porthole::Method::connect;
    require(
        !has_path || request.path() == "*" || request.path().substr(0, 1) == "/",
        "a path begins with '/'");
    require(request.path().find('\0') == std::string_view::npos, "a path has no NUL");
    const HeapBytes moved(bytes.substr(0, parser.head_size()));
    parts.move_to(moved.view().data());
    require(seen() == before, "a request says the same when its bytes have moved");
}

inline void fuzz_parser(const std::uint8_t* data, std::size_t size) {
    Input input(data, size);
    const std::uint8_t flags = input.byte();
    const std::size_t cut = input.number();
    const HeapBytes whole(input.rest());
    const std::string_view bytes = whole.view();
    Limits limits;
    if ((flags & 1) != 0) {
        limits.max_request_line_bytes = 64;
        limits.max_fields_bytes = 128;
        limits.max_fields = 4;
    }
    RequestParser parser(limits);
    const ParseStatus status = parser.parse(bytes);
    const std::string expected = digest(parser, status, bytes.data());
    const std::size_t first = bytes.empty() ? 0 : cut % (bytes.size() + 1);
    const std::size_t step = bytes.size() / 512 + 1; // long inputs in a bounded number of pieces
    require(
        parse_in_pieces(limits, bytes, first, bytes.size() + 1) == expected,
        "a request cut in two is the same request");
    require(
        parse_in_pieces(limits, bytes, 0, step) == expected,
        "a request in small pieces is the same request");
    require(parser.parse(bytes) == status, "what has ended stays so");
    if (status == ParseStatus::complete) {
        check_head(parser, bytes);
        use_request(parser, bytes);
        parser.reset();
        require(
            digest(parser, parser.parse(bytes), bytes.data()) == expected,
            "a parser that was reset is a new one");
    }
}

} // namespace porthole_fuzz
