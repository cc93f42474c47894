// SPDX-License-Identifier: MIT
#pragma once

// Names and values of queries and forms, against a second reading. The whole input is the form.

#include "fuzz/fuzz.hpp"

#include <utility>
#include <vector>

namespace porthole_fuzz {

inline std::string form_decoded(std::string_view text) {
    std::string decoded;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool is_encoded = text[i] == '%' && i + 2 < text.size() && hex_digit(text[i + 1]) >= 0
                                && hex_digit(text[i + 2]) >= 0;
        if (is_encoded) {
            decoded += static_cast<char>(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2]));
            i += 2;
        } else {
            decoded += text[i] == '+' ? ' ' : text[i];
        }
    }
    return decoded;
}

inline std::vector<std::pair<std::string, std::string>> form_pairs(std::string_view text) {
    std::vector<std::pair<std::string, std::string>> pairs;
    while (!text.empty() && pairs.size() < porthole::FormPairs::max_pairs) {
        const std::string_view pair = text.substr(0, text.find('&'));
        text.remove_prefix(pair.size() < text.size() ? pair.size() + 1 : pair.size());
        const std::size_t equals = pair.find('=');
        if (pair.empty()) {
            continue;
        }
        const std::string_view value =
            equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1);
        pairs.emplace_back(form_decoded(pair.substr(0, equals)), form_decoded(value));
    }
    return pairs;
}

inline void check_form(
    const porthole::FormPairs& form,
    const std::vector<std::pair<std::string, std::string>>& expected) {
    constexpr std::size_t compared_by_name = 8; // each costs a walk over all of them
    require(form.size() == expected.size(), "a form has as many pairs as were sent");
    for (std::size_t i = 0; i < expected.size(); ++i) {
        require(form.name(i) == expected[i].first, "a name is decoded once");
        require(form.value(i) == expected[i].second, "a value is decoded once");
        if (i >= compared_by_name) {
            continue;
        }
        std::size_t same = 0;
        const std::string* first = nullptr;
        for (const auto& pair : expected) {
            if (pair.first == expected[i].first) {
                first = first == nullptr ? &pair.second : first;
                ++same;
            }
        }
        const auto found = form.find(expected[i].first);
        require(found && *found == *first, "the first value of a name is found");
        require(form.find_all(expected[i].first).size() == same, "all values are found");
    }
}

inline void fuzz_form(const std::uint8_t* data, std::size_t size) {
    Input input(data, size);
    const HeapBytes whole(input.rest());
    const std::vector<std::pair<std::string, std::string>> expected = form_pairs(whole.view());
    porthole::FormPairs form;
    form.parse("old=pairs&that=go");
    form.parse(whole.view());
    check_form(form, expected);

    std::string encoded;
    for (const auto& pair : expected) {
        encoded += encoded.empty() ? "" : "&";
        porthole::percent_encode(pair.first, encoded);
        encoded += "=";
        porthole::percent_encode(pair.second, encoded);
    }
    form.parse(encoded);
    check_form(form, expected);
}

} // namespace porthole_fuzz
