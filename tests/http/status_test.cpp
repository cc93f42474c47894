// SPDX-License-Identifier: MIT

#include "support/test.hpp"

#include <cstddef>
#include <string>
#include <string_view>

using porthole::RequestFault;

TEST_CASE("status: registered codes have their reason phrase (RFC 9110 section 15)") {
    struct Row {
        int code;
        std::string_view reason;
    };
    const Row rows[] = {
        {100, "Continue"},
        {101, "Switching Protocols"},
        {103, "Early Hints"},
        {104, "Upload Resumption Supported"},
        {200, "OK"},
        {204, "No Content"},
        {206, "Partial Content"},
        {208, "Already Reported"},
        {226, "IM Used"},
        {300, "Multiple Choices"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {404, "Not Found"},
        {408, "Request Timeout"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {417, "Expectation Failed"},
        {421, "Misdirected Request"},
        {426, "Upgrade Required"},
        {428, "Precondition Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {451, "Unavailable For Legal Reasons"},
        {500, "Internal Server Error"},
        {505, "HTTP Version Not Supported"},
        {508, "Loop Detected"},
        {510, "Not Extended"},
        {511, "Network Authentication Required"},
    };
    for (const Row& row : rows) {
        CAPTURE(row.code);
        CHECK(porthole::reason_phrase(row.code) == row.reason);
    }
}

TEST_CASE("status: a status line is its code and its reason, or nothing") {
    int registered = 0;
    for (int code = -1000; code <= 1100; ++code) {
        CAPTURE(code);
        const std::string_view line = porthole::status_line(code);
        const std::string_view reason = porthole::reason_phrase(code);
        CHECK(line.empty() == reason.empty());
        if (!line.empty()) {
            ++registered;
            CHECK(line == "HTTP/1.1 " + std::to_string(code) + " " + std::string(reason) + "\r\n");
        }
    }
    CHECK(registered == 62);
    for (const int code :
         {0, 99, 105, 209, 225, 227, 306, 309, 418, 427, 430, 450, 452, 509, 512}) {
        CAPTURE(code);
        CHECK(porthole::status_line(code).empty());
    }
}

TEST_CASE("status: 1xx, 204 and 304 have no content (RFC 9112 section 6.3)") {
    for (const int code : {100, 101, 199, 204, 304}) {
        CHECK_FALSE(porthole::status_has_content(code));
    }
    for (const int code : {200, 203, 205, 206, 303, 305, 404, 500}) {
        CHECK(porthole::status_has_content(code));
    }
}

TEST_CASE("status: every fault has a status and a sentence") {
    struct Row {
        RequestFault fault;
        int status;
    };
    const Row others[] = {
        {RequestFault::unsupported_version, 505},
        {RequestFault::target_too_long, 414},
        {RequestFault::fields_too_large, 431},
        {RequestFault::too_many_fields, 431},
        {RequestFault::userinfo_in_host, 403},
        {RequestFault::length_required, 411},
        {RequestFault::unknown_transfer_encoding, 501},
        {RequestFault::trailer_too_large, 431},
        {RequestFault::content_too_large, 413},
        {RequestFault::unknown_expectation, 417},
        {RequestFault::unknown_method, 501},
        {RequestFault::head_timeout, 408},
        {RequestFault::content_timeout, 408},
    };
    const auto last = static_cast<int>(RequestFault::content_timeout);
    for (int i = static_cast<int>(RequestFault::none) + 1; i <= last; ++i) {
        CAPTURE(i);
        const auto fault = static_cast<RequestFault>(i);
        int expected = 400;
        for (const Row& row : others) {
            expected = row.fault == fault ? row.status : expected;
        }
        CHECK(porthole::status_of(fault) == expected);
        const std::string_view sentence = porthole::describe(fault);
        REQUIRE_FALSE(sentence.empty());
        CHECK(sentence.back() == '.');
        const bool is_about_limit =
            expected == 408 || expected == 413 || expected == 414 || expected == 431;
        CHECK((sentence.find("Limits::") != std::string_view::npos) == is_about_limit);
    }
    CHECK(porthole::status_of(RequestFault::none) == 200);
}
