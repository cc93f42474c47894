// SPDX-License-Identifier: MIT
#pragma once

// Reads answers as strictly as RFC 9112 is written, with nothing of the library: the judge of what
// a server sends must not share its mistakes. Whatever is no answer ends the program.

#include "fuzz/fuzz.hpp"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace porthole_fuzz {

struct ReadAnswer {
    bool is_complete = false;
    std::size_t size = 0; ///< when complete: how many bytes it took
    int status = 0;
    std::vector<std::pair<std::string, std::string>> fields; ///< names in lower case
    std::string body;
    bool is_chunked = false;
    bool ends_with_connection = false; ///< framed by nothing but the end

    const std::string* field(std::string_view name) const {
        for (const auto& line : fields) {
            if (line.first == name) {
                return &line.second;
            }
        }
        return nullptr;
    }
    bool closes() const {
        for (const auto& line : fields) { // Connection is a list, and may take two lines
            if (line.first == "connection" && line.second == "close") {
                return true;
            }
        }
        return false;
    }
};

inline void read_answer_head(std::string_view head, ReadAnswer& answer) {
    const std::string_view start = head.substr(0, head.find("\r\n"));
    head.remove_prefix(start.size() + 2);
    require(start.substr(0, 9) == "HTTP/1.1 ", "an answer begins with HTTP/1.1");
    require(start.size() >= 13 && start[12] == ' ', "a status has three digits and a space");
    for (const char c : start.substr(9, 3)) {
        require(c >= '0' && c <= '9', "a status is a number");
        answer.status = answer.status * 10 + (c - '0');
    }
    require(is_clean(start), "a reason has no control characters");
    while (!head.empty()) {
        const std::string_view line = head.substr(0, head.find("\r\n"));
        head.remove_prefix(line.size() + 2);
        const std::size_t colon = line.find(':');
        require(colon != std::string_view::npos, "a field line has a colon");
        require(is_name(line.substr(0, colon)), "a field name is a token");
        require(is_clean(line), "a field line has no control characters");
        const std::string name = lowered(line.substr(0, colon));
        const bool is_single =
            name == "content-length" || name == "transfer-encoding" || name == "date";
        require(!is_single || answer.field(name) == nullptr, "a singleton field comes once");
        answer.fields.emplace_back(name, stripped(line.substr(colon + 1)));
    }
}

/// False when it is not all there yet.
inline bool read_chunks(std::string_view bytes, ReadAnswer& answer, std::size_t& used) {
    const std::string_view all = bytes;
    for (;;) {
        std::size_t digits = 0;
        std::size_t size = 0;
        while (digits < bytes.size() && hex_digit(bytes[digits]) >= 0) {
            require(digits < 8, "a chunk is of a sane size");
            size = size * 16 + static_cast<std::size_t>(hex_digit(bytes[digits]));
            ++digits;
        }
        const std::string_view line_end = bytes.substr(digits, 2);
        require(line_end == std::string_view("\r\n").substr(0, line_end.size()), "a chunk's line");
        if (line_end.size() < 2) {
            return false;
        }
        require(digits != 0, "a chunk has a size");
        bytes.remove_prefix(digits + 2);
        const std::string_view end = bytes.substr(size < bytes.size() ? size : bytes.size(), 2);
        require(end == std::string_view("\r\n").substr(0, end.size()), "a chunk's end");
        if (bytes.size() < size + 2) {
            return false;
        }
        answer.body.append(bytes.substr(0, size));
        bytes.remove_prefix(size + 2);
        if (size == 0) {
            used = all.size() - bytes.size();
            return true;
        }
    }
}

/// One answer at the front of `bytes`. `is_head`: to a HEAD. `has_ended`: nothing more will come.
inline ReadAnswer read_one_answer(std::string_view bytes, bool is_head, bool has_ended) {
    constexpr std::size_t sane = 1u << 20;
    ReadAnswer answer;
    const std::size_t end = bytes.find("\r\n\r\n");
    if (end == std::string_view::npos) {
        require(bytes.size() < sane, "a head ends some day");
        return answer;
    }
    read_answer_head(bytes.substr(0, end + 2), answer);
    const std::string_view rest = bytes.substr(end + 4);
    const std::string* length = answer.field("content-length");
    const std::string* coding = answer.field("transfer-encoding");
    require(length == nullptr || coding == nullptr, "one way to end the content");
    require(coding == nullptr || *coding == "chunked", "no coding but chunked");
    answer.is_chunked = coding != nullptr;
    const bool is_interim = answer.status < 200;
    const bool is_bare = is_interim || answer.status == 204 || answer.status == 304;
    require(
        !(is_interim || answer.status == 204) || (length == nullptr && coding == nullptr),
        "1xx and 204 have no framing (RFC 9110 section 8.6, RFC 9112 section 6.1)");
    std::size_t used = 0;
    if (is_bare || is_head) {
        answer.is_complete = true;
    } else if (length != nullptr) {
        std::size_t wanted = 0;
        require(!length->empty() && length->size() < 8, "a length is of a sane size");
        for (const char c : *length) {
            require(c >= '0' && c <= '9', "a length is a number");
            wanted = wanted * 10 + static_cast<std::size_t>(c - '0');
        }
        answer.is_complete = rest.size() >= wanted;
        answer.body = rest.substr(0, wanted);
        used = wanted;
    } else if (coding != nullptr) {
        answer.is_complete = read_chunks(rest, answer, used);
    } else {
        require(answer.closes(), "content without a length ends with the connection");
        answer.ends_with_connection = true;
        answer.is_complete = has_ended;
        answer.body = rest;
        used = rest.size();
    }
    answer.size = end + 4 + used;
    return answer;
}

} // namespace porthole_fuzz
