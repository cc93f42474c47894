// SPDX-License-Identifier: MIT

#include "support/fields.hpp"

#include <string>

using namespace porthole;
using porthole_test::FieldLines;

namespace {

int coding(const char* fields, std::string_view name) {
    FieldLines lines(fields);
    return encoding_quality(lines.fields(), name).value_or(-1);
}

int media(const char* fields, std::string_view type) {
    FieldLines lines(fields);
    return media_type_quality(lines.fields(), type);
}

} // namespace

TEST_CASE("accept: what a coding is worth (RFC 9110 12.5.3)") {
    CHECK(coding("", "gzip") == -1);
    CHECK(coding("Accept-Encoding:", "gzip") == -1);
    CHECK(coding("Accept-Encoding: gzip", "gzip") == 1000);
    CHECK(coding("Accept-Encoding: GZip", "gzip") == 1000);
    CHECK(coding("Accept-Encoding: gzip", "br") == -1);
    CHECK(coding("Accept-Encoding: gzip, deflate, br;q=0.9", "br") == 900);
    CHECK(coding("Accept-Encoding: gzip;q=0", "gzip") == 0);
    CHECK(coding("Accept-Encoding: *", "br") == 1000);
    CHECK(coding("Accept-Encoding: *;q=0.2, br;q=0.5", "br") == 500);
    CHECK(coding("Accept-Encoding: br;q=0.5, *;q=0.2", "gzip") == 200);
    CHECK(coding("Accept-Encoding: identity;q=0.5", "identity") == 500);
    CHECK(coding("Accept-Encoding: x-gzip", "gzip") == 1000);
    CHECK(coding("Accept-Encoding: br\nAccept-Encoding: gzip;q=0.3", "gzip") == 300);
}

TEST_CASE("accept: quality values are exact (RFC 9110 12.4.2)") {
    const struct {
        const char* text;
        int expected;
    } cases[] = {{"1", 1000},   {"1.", 1000},  {"1.0", 1000}, {"1.000", 1000}, {"0", 0},
                 {"0.", 0},     {"0.0", 0},    {"0.001", 1},  {"0.999", 999},  {"0.5", 500},
                 {"0.25", 250}, {"1.001", -1}, {"2", -1},     {"0.0001", -1},  {"-1", -1},
                 {".5", -1},    {"", -1},      {"0.x", -1},   {"00", -1},      {"1.0000", -1},
                 {"nan", -1}};
    for (const auto& one : cases) {
        CAPTURE(one.text);
        const std::string field = std::string("Accept-Encoding: gzip;q=") + one.text;
        CHECK(coding(field.c_str(), "gzip") == one.expected);
        const std::string spaced = std::string("Accept-Encoding: gzip ; Q=") + one.text;
        CHECK(coding(spaced.c_str(), "gzip") == one.expected);
    }
}

TEST_CASE("accept: the most specific media range decides (RFC 9110 12.5.1)") {
    constexpr const char* field =
        "Accept: text/*;q=0.3, text/html;q=0.7, text/html;level=1, */*;q=0.5";
    CHECK(media(field, "text/html") == 700);
    CHECK(media(field, "text/plain") == 300);
    CHECK(media(field, "image/jpeg") == 500);
    CHECK(media("", "text/html") == 1000);
    CHECK(media("Accept: application/json", "text/html") == 0);
    CHECK(media("Accept: TEXT/HTML", "text/html") == 1000);
    CHECK(media("Accept: text/*;q=0", "text/html") == 0);
    CHECK(media("Accept: text/*x", "text/html") == 0);
    CHECK(media("Accept: *", "text/html") == 0);
}
