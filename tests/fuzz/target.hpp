// SPDX-License-Identifier: MIT
#pragma once

// Request targets and paths: what is accepted can be put together again from its parts, and a
// normalized path is the one that a second, stack-based reading finds. Input: the method (a byte),
// the target.

#include "fuzz/fuzz.hpp"

#include <optional>
#include <vector>

namespace porthole_fuzz {

using porthole::Target;
using porthole::TargetForm;

/// The path that an encoded one stands for, or nothing when it has to be refused.
inline std::optional<std::string> resolve(std::string_view path) {
    std::vector<std::string> segments;
    bool is_folder = false;
    while (!path.empty()) {
        path.remove_prefix(1);
        const std::string_view raw = path.substr(0, path.find('/'));
        path.remove_prefix(raw.size());
        std::string segment;
        for (std::size_t i = 0; i < raw.size(); ++i) {
            if (raw[i] != '%') {
                segment += raw[i];
                continue;
            }
            if (raw.size() - i < 3 || hex_digit(raw[i + 1]) < 0 || hex_digit(raw[i + 2]) < 0) {
                return std::nullopt;
            }
            segment += static_cast<char>(hex_digit(raw[i + 1]) * 16 + hex_digit(raw[i + 2]));
            i += 2;
        }
        if (segment.find('\0') != std::string::npos) {
            return std::nullopt;
        }
        is_folder = segment == "." || segment == "..";
        if (segment == "..") {
            if (segments.empty()) {
                return std::nullopt;
            }
            segments.pop_back();
        } else if (segment != ".") {
            segments.push_back(segment);
        }
    }
    std::string whole;
    for (const std::string& segment : segments) {
        whole += "/" + segment;
    }
    if (is_folder || whole.empty()) {
        whole += "/";
    }
    const std::string walled = whole + "/"; // a "%2F" may have brought a dot segment with it
    if (walled.find("/./") != std::string::npos || walled.find("/../") != std::string::npos) {
        return std::nullopt;
    }
    return whole;
}

inline void check_path(std::string_view path) {
    std::string normal = "kept";
    const bool is_accepted = porthole::normalize_path(path, normal);
    if (!is_accepted) {
        require(normal == "kept", "what is refused adds nothing");
    }
    if (path.substr(0, 1) != "/" || path.find('\0') != std::string_view::npos) {
        require(!is_accepted, "a path begins with '/' and has no NUL");
        return;
    }
    const std::optional<std::string> expected = resolve(path);
    require(is_accepted == expected.has_value(), "two readings of a path accept the same");
    if (expected) {
        require(normal == "kept" + *expected, "two readings of a path agree");
        require(
            porthole::path_needs_work(path) || *expected == path,
            "a path that needs no work stays as it is");
    }
}

inline void check_parts(std::string_view text, std::string_view method, const Target& target) {
    for (const char c : text) {
        require(c > ' ' && c < '\x7f' && c != '#', "a target is visible ASCII, without a fragment");
    }
    const bool has_query = text.find('?') != std::string_view::npos;
    const std::string tail = (has_query ? "?" : "") + std::string(target.query);
    require(lies_in(target.query, text), "a query is a part of the target");
    switch (target.form) {
    case TargetForm::origin:
        require(std::string(target.path) + tail == text, "an origin form is path and query");
        break;
    case TargetForm::absolute: {
        std::string path(target.path);
        if (!lies_in(target.path, text)) {
            require(path == "/", "only an empty path is replaced");
            path.clear();
        }
        const std::string whole =
            std::string(target.scheme) + "://" + std::string(target.authority) + path + tail;
        require(whole == text, "an absolute form is the sum of its parts");
        require(
            lowered(target.scheme) == "http" || lowered(target.scheme) == "https",
            "only http and https are served");
        break;
    }
    case TargetForm::authority:
        require(method == "CONNECT" && target.authority == text, "authority form is CONNECT's");
        break;
    case TargetForm::asterisk:
        require(method == "OPTIONS" && text == "*", "asterisk form is OPTIONS's");
        break;
    }
    if (target.form == TargetForm::origin || target.form == TargetForm::absolute) {
        require(target.path.substr(0, 1) == "/", "a path begins with '/'");
        require(target.path.find('?') == std::string_view::npos, "a path ends before the query");
    }
}

inline void fuzz_target(const std::uint8_t* data, std::size_t size) {
    constexpr std::string_view methods[] = {"GET", "OPTIONS", "CONNECT", "POST", "get"};
    Input input(data, size);
    const std::string_view method = methods[input.byte() % 5];
    const HeapBytes whole(input.rest());
    const std::string_view text = whole.view();
    Target target;
    if (porthole::parse_target(text, method, target)) {
        check_parts(text, method, target);
        if (target.form == TargetForm::origin || target.form == TargetForm::absolute) {
            check_path(target.path);
        }
    }
    check_path(text);
    check_path("/" + std::string(text));

    std::string encoded;
    porthole::percent_encode(text, encoded);
    std::string decoded;
    require(
        porthole::percent_decode(encoded, decoded) && decoded == text,
        "what was encoded is decoded");
    require(
        encoded.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "-._~%")
            == std::string::npos,
        "only unreserved characters are left as they are");
    std::string kept = "kept";
    if (!porthole::percent_decode(text, kept)) {
        require(kept == "kept", "what is refused adds nothing");
    }
}

} // namespace porthole_fuzz
