// SPDX-License-Identifier: MIT

#include "support/fields.hpp"

#include <chrono>
#include <string_view>

using namespace porthole;
using porthole_test::FieldLines;

namespace {

constexpr std::chrono::system_clock::time_point modified{std::chrono::seconds(784'111'777)};
constexpr auto now = modified + std::chrono::hours(24);

Validators validators(std::string_view etag = "\"a\"") {
    Validators made;
    made.etag = etag;
    made.last_modified = modified + std::chrono::milliseconds(900); // fractions do not count
    return made;
}

struct Case {
    const char* rule;
    Method method;
    const char* fields;
    Precondition expected;
};

constexpr const char* before = "Sun, 06 Nov 1994 08:49:36 GMT";
constexpr const char* same = "Sun, 06 Nov 1994 08:49:37 GMT";

/// Appended, since GCC 12 warns of what it makes of operator+ itself.
std::string line(std::string_view name, std::string_view value) {
    std::string text(name);
    text.append(value);
    return text;
}

} // namespace

TEST_CASE("conditional: follows the order of the preconditions (RFC 9110 13.2.2)") {
    constexpr Precondition passed = Precondition::passed;
    constexpr Precondition not_modified = Precondition::not_modified;
    constexpr Precondition failed = Precondition::failed;
    const Case cases[] = {
        {"none at all", Method::get, "", passed},
        {"13.1.1: the tag", Method::get, "If-Match: \"a\"", passed},
        {"13.1.1: another tag", Method::get, "If-Match: \"b\"", failed},
        {"13.1.1: any", Method::get, "If-Match: *", passed},
        {"13.1.1: a list", Method::get, "If-Match: \"x\", \"a\"", passed},
        {"13.1.1: a list over two lines", Method::get, "If-Match: \"x\"\nIf-Match: \"a\"", passed},
        {"13.1.1: strong comparison", Method::get, "If-Match: W/\"a\"", failed},
        {"13.1.1: no tag at all", Method::get, "If-Match: a", failed},
        {"13.1.1: empty", Method::get, "If-Match:", failed},
        {"13.1.1: also for a PUT", Method::put, "If-Match: \"b\"", failed},
        {"13.1.2: the tag", Method::get, "If-None-Match: \"a\"", not_modified},
        {"13.1.2: HEAD", Method::head, "If-None-Match: \"a\"", not_modified},
        {"13.1.2: PUT", Method::put, "If-None-Match: \"a\"", failed},
        {"13.1.2: any", Method::get, "If-None-Match: *", not_modified},
        {"13.1.2: any, PUT", Method::put, "If-None-Match: *", failed},
        {"13.1.2: another", Method::get, "If-None-Match: \"b\"", passed},
        {"13.1.2: weak comparison", Method::get, "If-None-Match: W/\"a\"", not_modified},
        {"13.1.2: a list", Method::get, "If-None-Match: \"x\",,W/\"a\"", not_modified},
        {"8.8.3: a comma in a tag", Method::get, "If-None-Match: \"x,\"a\"", passed},
        {"8.8.3: a backslash is no escape", Method::get, "If-None-Match: \"\\\", \"a\"",
         not_modified},
        {"8.8.3: an open quote", Method::get, "If-None-Match: \"a", passed},
        {"8.8.3: w/ is no W/", Method::get, "If-None-Match: w/\"a\"", passed},
        {"13.1.3: the date", Method::get, "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT",
         not_modified},
        {"13.1.3: RFC 850 date", Method::get, "If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT",
         not_modified},
        {"13.1.3: later", Method::head, "If-Modified-Since: Sun, 06 Nov 1994 08:49:38 GMT",
         not_modified},
        {"13.1.3: earlier", Method::get, "If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT",
         passed},
        {"13.1.3: no date", Method::get, "If-Modified-Since: yesterday", passed},
        {"13.1.3: two dates", Method::get,
         "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\n"
         "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT",
         passed},
        {"13.1.3: GET and HEAD only", Method::put,
         "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT", passed},
        {"13.1.4: the date", Method::get, "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT",
         passed},
        {"13.1.4: earlier", Method::get, "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT",
         failed},
        {"13.1.4: no date", Method::get, "If-Unmodified-Since: 0", passed},
        {"step 1 before step 2", Method::get,
         "If-Match: \"a\"\nIf-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT", passed},
        {"step 1 before step 3", Method::get, "If-Match: \"b\"\nIf-None-Match: \"a\"", failed},
        {"step 1, then step 3", Method::get, "If-Match: \"a\"\nIf-None-Match: \"a\"", not_modified},
        {"step 2 before step 3", Method::get,
         "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT\nIf-None-Match: \"a\"", failed},
        {"step 3 before step 4", Method::get,
         "If-None-Match: \"b\"\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT", passed},
    };
    for (const Case& one : cases) {
        CAPTURE(one.rule);
        FieldLines lines(one.fields);
        CHECK(
            evaluate_preconditions(lines.fields(), one.method, validators(), now) == one.expected);
    }
}

TEST_CASE("conditional: a weak tag never matches strongly (RFC 9110 8.8.3.2)") {
    FieldLines match("If-Match: W/\"a\"");
    CHECK(
        evaluate_preconditions(match.fields(), Method::get, validators("W/\"a\""), now)
        == Precondition::failed);
    FieldLines none("If-None-Match: \"a\"");
    CHECK(
        evaluate_preconditions(none.fields(), Method::get, validators("W/\"a\""), now)
        == Precondition::not_modified);
    CHECK_FALSE(etag_list_has("\"\"", "", EtagComparison::weak));
    CHECK(etag_list_has("\"\"", "\"\"", EtagComparison::strong));
}

TEST_CASE("conditional: without a date, dates say nothing (RFC 9110 13.1.3, 13.1.4)") {
    Validators dateless;
    dateless.etag = "\"a\"";
    FieldLines since(line("If-Modified-Since: ", same));
    FieldLines until(line("If-Unmodified-Since: ", before));
    CHECK(
        evaluate_preconditions(since.fields(), Method::get, dateless, now) == Precondition::passed);
    CHECK(
        evaluate_preconditions(until.fields(), Method::get, dateless, now) == Precondition::passed);
}

TEST_CASE("conditional: If-Range compares strongly (RFC 9110 13.1.5)") {
    const struct {
        const char* rule;
        const char* fields;
        bool expected;
    } cases[] = {
        {"absent", "", true},
        {"the tag", "If-Range: \"a\"", true},
        {"another tag", "If-Range: \"b\"", false},
        {"a weak tag", "If-Range: W/\"a\"", false},
        {"no list", "If-Range: \"a\", \"b\"", false},
        {"the date", "If-Range: Sun, 06 Nov 1994 08:49:37 GMT", true},
        {"a later date is not the same", "If-Range: Sun, 06 Nov 1994 08:49:38 GMT", false},
        {"an earlier date", "If-Range: Sun, 06 Nov 1994 08:49:36 GMT", false},
        {"neither", "If-Range: a", false},
        {"two of them", "If-Range: \"a\"\nIf-Range: \"a\"", false},
    };
    for (const auto& one : cases) {
        CAPTURE(one.rule);
        FieldLines lines(one.fields);
        CHECK(if_range_passes(lines.fields(), validators(), now) == one.expected);
    }
}

TEST_CASE("conditional: If-Range needs strong validators on our side as well (RFC 9110 8.8.2.2)") {
    Validators young = validators("W/\"a\"");
    young.is_recent = true;
    FieldLines tag("If-Range: W/\"a\"");
    FieldLines strong("If-Range: \"a\"");
    FieldLines date(line("If-Range: ", same));
    CHECK_FALSE(if_range_passes(tag.fields(), young, now));
    CHECK_FALSE(if_range_passes(strong.fields(), young, now));
    CHECK_FALSE(if_range_passes(date.fields(), young, now));
}
