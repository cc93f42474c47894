// SPDX-License-Identifier: MIT
#pragma once

// Fields for the pure functions that look at them, from the lines of a head.

#include "support/test.hpp"

#include <string>
#include <string_view>

namespace porthole_test {

/// Owns the bytes that its fields point into.
class FieldLines {
public:
    /// Lines without their ends, separated by '\n': "If-Match: \"a\"\nIf-Range: \"b\"".
    explicit FieldLines(std::string_view lines) : parser_(limits_) {
        bytes_ = "GET / HTTP/1.1\r\nHost: localhost\r\n";
        for (const char c : lines) {
            bytes_ += c == '\n' ? "\r\n" : std::string(1, c);
        }
        bytes_ += lines.empty() ? "\r\n" : "\r\n\r\n";
        REQUIRE(parser_.parse(bytes_) == porthole::detail::ParseStatus::complete);
        parser_.head().fields.set_base(bytes_.data());
    }
    FieldLines(const FieldLines&) = delete;
    FieldLines& operator=(const FieldLines&) = delete;

    const porthole::Fields& fields() { return parser_.head().fields; }

private:
    porthole::Limits limits_;
    porthole::detail::RequestParser parser_;
    std::string bytes_;
};

} // namespace porthole_test
