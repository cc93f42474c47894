// SPDX-License-Identifier: MIT
#pragma once

// What an application server is sent: FastCGI's parameters and content and the head of SCGI, read
// back by decoders that know nothing of the encoders, are what they were made from. Input: flags
// (a byte), the size that the content and, by flag, the last variable grow to (two bytes), a
// variable in each line up to an empty one, then content.

#include "fuzz/fuzz.hpp"

#include <algorithm>
#include <utility>
#include <vector>

namespace porthole_fuzz {

using Pairs = std::vector<std::pair<std::string, std::string>>;

/// Big-endian, and taken from the front.
inline std::size_t take_number(std::string_view& bytes, std::size_t size) {
    require(bytes.size() >= size, "a number is whole");
    std::size_t value = 0;
    for (const char c : bytes.substr(0, size)) {
        value = value * 256 + static_cast<unsigned char>(c);
    }
    bytes.remove_prefix(size);
    return value;
}

/// FastCGI section 3.3: a record of the request, from the front.
inline std::string_view take_record(std::string_view& bytes, std::size_t& type) {
    require(take_number(bytes, 1) == 1, "a record is of version 1");
    type = take_number(bytes, 1);
    require(take_number(bytes, 2) == 1, "a record is of the one request");
    const std::size_t length = take_number(bytes, 2);
    const std::size_t padding = take_number(bytes, 1);
    require(take_number(bytes, 1) == 0, "what is reserved is 0");
    require(bytes.size() >= length + padding, "a record is whole");
    const std::string_view content = bytes.substr(0, length);
    bytes.remove_prefix(length + padding);
    return content;
}

/// A stream of that type up to its empty record.
inline std::string take_stream(std::string_view& bytes, std::size_t wanted) {
    std::string all;
    for (;;) {
        std::size_t type = 0;
        const std::string_view content = take_record(bytes, type);
        require(type == wanted, "a stream is not broken into");
        if (content.empty()) {
            return all;
        }
        all.append(content);
    }
}

/// FastCGI section 3.4.
inline Pairs split_pairs(std::string_view bytes) {
    Pairs pairs;
    const auto take_length = [&bytes] {
        require(!bytes.empty(), "a pair has two lengths");
        const bool is_long = (static_cast<unsigned char>(bytes[0]) & 0x80u) != 0;
        const std::size_t length = take_number(bytes, is_long ? 4 : 1) & 0x7fffffffu;
        require(is_long == (length > 127), "a length is as short as can be");
        return length;
    };
    while (!bytes.empty()) {
        const std::size_t name = take_length();
        const std::size_t value = take_length();
        require(name <= bytes.size() && value <= bytes.size() - name, "a pair is whole");
        pairs.emplace_back(bytes.substr(0, name), bytes.substr(name, value));
        bytes.remove_prefix(name + value);
    }
    return pairs;
}

inline void check_fastcgi(
    const std::vector<std::string>& variables, const Pairs& expected, bool keeps,
    std::string_view content) {
    using porthole::detail::append_fastcgi_records;
    using porthole::detail::FastCgiType;
    constexpr std::string_view before = "before";
    std::string written(before);
    porthole::detail::append_fastcgi_head(variables, keeps, written);
    std::string_view rest(written);
    require(rest.substr(0, before.size()) == before, "what was there before stays");
    rest.remove_prefix(before.size());
    std::size_t type = 0;
    const std::string_view begin = take_record(rest, type);
    require(type == 1 && begin.size() == 8, "a request begins with its role");
    require(begin.substr(0, 2) == std::string_view("\0\1", 2), "it asks a responder");
    require(begin[2] == (keeps ? '\1' : '\0'), "it says whether to keep the connection");
    require(begin.substr(3) == std::string_view("\0\0\0\0\0", 5), "what is reserved is 0");
    require(split_pairs(take_stream(rest, 4)) == expected, "its variables are read back");
    require(rest.empty(), "nothing comes behind the variables");

    std::string stream;
    if (!content.empty()) {
        append_fastcgi_records(FastCgiType::input, content, stream);
    }
    append_fastcgi_records(FastCgiType::input, {}, stream);
    const std::size_t records = (content.size() + 65534) / 65535 + 1;
    require(stream.size() == content.size() + records * 8, "it takes no more records than needed");
    rest = stream;
    require(take_stream(rest, 5) == content, "the content is read back");
    require(rest.empty(), "nothing comes behind its end");
}

/// A netstring of names and values, each with a NUL behind it.
inline void check_scgi(const std::vector<std::string>& variables, const Pairs& pairs) {
    Pairs expected{{"CONTENT_LENGTH", "0"}, {"SCGI", "1"}};
    bool has_length = false;
    for (std::size_t i = 0; i < pairs.size(); ++i) {
        if (variables[i].find('=') == std::string::npos) {
            continue;
        }
        if (pairs[i].first != "CONTENT_LENGTH") {
            expected.push_back(pairs[i]);
        } else if (!std::exchange(has_length, true)) {
            expected[0].second = pairs[i].second;
        }
    }
    constexpr std::string_view before = "before";
    std::string written(before);
    porthole::detail::append_scgi_head(variables, written);
    std::string_view rest(written);
    require(rest.substr(0, before.size()) == before, "what was there before stays");
    rest.remove_prefix(before.size());
    std::size_t size = 0;
    require(!rest.empty() && rest[0] != '0', "a size is written without zeros in front");
    while (!rest.empty() && rest[0] >= '0' && rest[0] <= '9') {
        size = size * 10 + static_cast<std::size_t>(rest[0] - '0');
        rest.remove_prefix(1);
    }
    require(rest.size() == size + 2 && rest[0] == ':', "the size is that of what follows");
    require(rest.back() == ',', "it ends with a comma");
    rest = rest.substr(1, size);
    Pairs found;
    while (!rest.empty()) {
        std::string parts[2];
        for (std::string& part : parts) {
            const std::size_t end = rest.find('\0');
            require(end != std::string_view::npos, "a name has a value, and both have an end");
            part = rest.substr(0, end);
            rest.remove_prefix(end + 1);
        }
        found.emplace_back(parts[0], parts[1]);
    }
    require(found == expected, "an SCGI head is read back, its length first");
}

/// `text`, again and again.
inline std::string grown(std::string_view text, std::size_t size) {
    std::string all;
    all.reserve(size);
    while (!text.empty() && all.size() < size) {
        all.append(text.substr(0, size - all.size()));
    }
    return all;
}

inline void fuzz_fastcgi_request(const std::uint8_t* data, std::size_t size) {
    Input input(data, size);
    const std::uint8_t flags = input.byte();
    const std::size_t target = input.number() * ((flags & 2) != 0 ? 3 : 1);
    std::vector<std::string> variables;
    while (!input.is_empty()) {
        const std::string_view line = input.line();
        if (line.empty()) {
            break;
        }
        variables.emplace_back(line);
        // The environment is made without them; in SCGI one would end its value.
        std::replace(variables.back().begin(), variables.back().end(), '\0', '0');
    }
    if ((flags & 4) != 0 && !variables.empty()) {
        std::string& last = variables.back();
        last += grown(last, target);
    }
    Pairs pairs;
    for (const std::string& variable : variables) {
        const std::string name(variable.substr(0, variable.find('=')));
        const bool has_value = name.size() < variable.size();
        pairs.emplace_back(name, has_value ? variable.substr(name.size() + 1) : std::string());
    }
    const std::string content =
        (flags & 8) != 0 ? grown(input.rest(), target) : std::string(input.rest());
    check_fastcgi(variables, pairs, (flags & 1) != 0, content);
    check_scgi(variables, pairs);
}

} // namespace porthole_fuzz
