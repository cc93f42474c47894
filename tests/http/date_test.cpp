// SPDX-License-Identifier: MIT
#include "support/test.hpp"

#include <chrono>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

using std::chrono::seconds;
using std::chrono::system_clock;
using Time = system_clock::time_point;

namespace {

Time at(std::int64_t seconds_since_1970) {
    return Time(seconds(seconds_since_1970));
}

std::string written(Time time) {
    char text[porthole::date_size + 1];
    text[porthole::date_size] = '!';
    porthole::write_date(time, text);
    CHECK(text[porthole::date_size] == '!');
    return std::string(text, porthole::date_size);
}

const Time example = at(784'111'777);
const Time now_1994 = example;
const Time now_2026 = at(1'767'225'600); // 2026-01-01

} // namespace

TEST_CASE("date: writes IMF-fixdate (RFC 9110 5.6.7)") {
    CHECK(written(example) == "Sun, 06 Nov 1994 08:49:37 GMT");
    CHECK(written(at(0)) == "Thu, 01 Jan 1970 00:00:00 GMT");
    CHECK(written(at(-1)) == "Wed, 31 Dec 1969 23:59:59 GMT");
    CHECK(written(at(951'782'400)) == "Tue, 29 Feb 2000 00:00:00 GMT");
    CHECK(written(at(951'868'800)) == "Wed, 01 Mar 2000 00:00:00 GMT");
    CHECK(written(at(4'107'542'399)) == "Sun, 28 Feb 2100 23:59:59 GMT");
    CHECK(written(at(4'107'542'400)) == "Mon, 01 Mar 2100 00:00:00 GMT");
    CHECK(written(at(2'147'483'648)) == "Tue, 19 Jan 2038 03:14:08 GMT");
    CHECK(written(at(-8'520'336'000)) == "Fri, 01 Jan 1700 00:00:00 GMT");
    CHECK(written(at(1'735'603'200)) == "Tue, 31 Dec 2024 00:00:00 GMT");
}

TEST_CASE("date: parts of a second count for the second they are in") {
    CHECK(written(at(59) + std::chrono::milliseconds(999)) == "Thu, 01 Jan 1970 00:00:59 GMT");
    CHECK(written(at(0) - std::chrono::milliseconds(1)) == "Wed, 31 Dec 1969 23:59:59 GMT");
}

TEST_CASE("date: the ends of the clock are written without overflow") {
    CHECK(written((Time::max)()).size() == porthole::date_size);
    CHECK(written((Time::min)()).size() == porthole::date_size);
}

TEST_CASE("date: every day from 1700 to 2250 comes back, and weekdays follow each other") {
    const std::string_view days = "ThuFriSatSunMonTueWed";
    std::string previous;
    for (std::int64_t day = -98615; day < 102270; ++day) {
        const Time time = at(day * 86400 + (day * 7919 % 86400 + 86400) % 86400);
        const std::string text = written(time);
        const auto weekday = static_cast<std::size_t>((day % 7 + 7) % 7) * 3;
        const bool is_right = porthole::parse_date(text, now_2026) == time
                              && text.substr(0, 3) == days.substr(weekday, 3) && text != previous;
        if (!is_right) {
            FAIL_CHECK("day ", day, ": ", text);
        }
        previous = text;
    }
}

TEST_CASE("date: reads all three forms (RFC 9110 5.6.7)") {
    CHECK(porthole::parse_date("Sun, 06 Nov 1994 08:49:37 GMT", now_2026) == example);
    CHECK(porthole::parse_date("Sunday, 06-Nov-94 08:49:37 GMT", now_1994) == example);
    CHECK(porthole::parse_date("Sun Nov  6 08:49:37 1994", now_2026) == example);
    CHECK(porthole::parse_date("Wed Nov 16 08:49:37 1994", now_2026) == at(784'975'777));
    for (const char* day :
         {"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"}) {
        const std::string text = std::string(day) + ", 06-Nov-94 08:49:37 GMT";
        CHECK(porthole::parse_date(text, now_1994) == example);
    }
    CHECK(porthole::parse_date("Mon, 06 Nov 1994 08:49:37 GMT", now_2026) == example);
    CHECK(porthole::parse_date("Sun, 31 Dec 2016 23:59:60 GMT", now_2026) == at(1'483'228'800));
}

TEST_CASE("date: two digits mean the latest year that is not more than 50 years ahead") {
    const auto year_of = [](std::string_view digits, Time now) {
        const std::string text = "Friday, 01-Jan-" + std::string(digits) + " 00:00:00 GMT";
        const auto time = porthole::parse_date(text, now);
        return time ? written(*time).substr(12, 4) : std::string("refused");
    };
    CHECK(year_of("26", now_2026) == "2026");
    CHECK(year_of("94", now_2026) == "1994");
    CHECK(year_of("75", now_2026) == "2075");
    CHECK(year_of("76", now_2026) == "2076"); // exactly 50 years is not more than that
    CHECK(year_of("77", now_2026) == "1977");
    CHECK(year_of("76", now_2026 - seconds(1)) == "1976");
    CHECK(year_of("00", now_2026) == "2000");
    CHECK(year_of("01", now_1994) == "2001");
    CHECK(year_of("44", now_1994) == "2044");
    CHECK(year_of("45", now_1994) == "1945");
}

TEST_CASE("date: dates beyond the clock are its ends") {
    const auto late = porthole::parse_date("Fri, 31 Dec 9999 23:59:59 GMT", now_2026);
    const auto early = porthole::parse_date("Sat, 01 Jan 0000 00:00:00 GMT", now_2026);
    CHECK(late > at(9'000'000'000));
    CHECK(early < at(-9'000'000'000));
}

TEST_CASE("date: anything else is nothing") {
    for (const char* bad :
         {"",
          "0",
          "784111777",
          "Sun, 06 Nov 1994 08:49:37",
          "Sun, 06 Nov 1994 08:49:37 UTC",
          "Sun, 06 Nov 1994 08:49:37 gmt",
          "sun, 06 Nov 1994 08:49:37 GMT",
          "Sun, 06 nov 1994 08:49:37 GMT",
          "Sun, 6 Nov 1994 08:49:37 GMT",
          "Sun, 06 Nov 94 08:49:37 GMT",
          "Sun,06 Nov 1994 08:49:37 GMT",
          "Sun, 06  Nov 1994 08:49:37 GMT",
          " Sun, 06 Nov 1994 08:49:37 GMT",
          "Sun, 06 Nov 1994 08:49:37 GMT ",
          "Sun, 06 Nov 1994 8:49:37 GMT",
          "Sun, 06 Nov 1994 08:49 GMT",
          "Sun, 06 Nov 1994 24:00:00 GMT",
          "Sun, 06 Nov 1994 08:60:00 GMT",
          "Sun, 06 Nov 1994 08:00:61 GMT",
          "Sun, 00 Nov 1994 08:49:37 GMT",
          "Sun, 31 Nov 1994 08:49:37 GMT",
          "Sun, 29 Feb 1994 08:49:37 GMT",
          "Sun, 29 Feb 1900 08:49:37 GMT",
          "Sun, -6 Nov 1994 08:49:37 GMT",
          "Sun, +6 Nov 1994 08:49:37 GMT",
          "Sun, 06 Nox 1994 08:49:37 GMT",
          "Sun, 06 ovD 1994 08:49:37 GMT",
          "Sunday, 06 Nov 1994 08:49:37 GMT",
          "Sun, 06-Nov-94 08:49:37 GMT",
          "Sundax, 06-Nov-94 08:49:37 GMT",
          "Sunday, 06-Nov-1994 08:49:37 GMT",
          "Sun Nov 6 08:49:37 1994",
          "Sun Nov 06 08:49:37 94",
          "Sun Nov  0 08:49:37 1994",
          "Sun Nov  6 08:49:37 1994 GMT",
          "Sun Nov   6 08:49:37 1994",
          "Sun, 06 Nov 1994 08:49:37 GMT\r\n"}) {
        CAPTURE(bad);
        CHECK_FALSE(porthole::parse_date(bad, now_1994));
    }
    CHECK(porthole::parse_date("Tue, 29 Feb 2000 08:49:37 GMT", now_1994));
    const std::string good = "Sun, 06 Nov 1994 08:49:37 GMT";
    for (std::size_t size = 0; size < good.size(); ++size) {
        CHECK_FALSE(porthole::parse_date(good.substr(0, size), now_1994));
    }
}
