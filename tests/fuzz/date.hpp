// SPDX-License-Identifier: MIT
#pragma once

// Dates both ways: what is written is an IMF-fixdate that is read back, and what is read agrees
// with a calendar written down once more. Input: seconds of a time (five bytes), then a date's
// text.

#include "fuzz/fuzz.hpp"

#include <chrono>
#include <cstdint>
#include <optional>

namespace porthole_fuzz {

using SystemTime = std::chrono::system_clock::time_point;

inline bool is_leap_year(std::int64_t year) {
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

inline std::int64_t days_of_month(std::int64_t year, std::int64_t month) {
    constexpr std::int64_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month == 1 && is_leap_year(year) ? 29 : days[month];
}

/// Days from 1 January 1970 to the first of January of a year, counted one year after the other.
inline std::int64_t days_before_year(std::int64_t year) {
    std::int64_t days = 0;
    for (std::int64_t y = 1970; y < year; ++y) {
        days += is_leap_year(y) ? 366 : 365;
    }
    for (std::int64_t y = year; y < 1970; ++y) {
        days -= is_leap_year(y) ? 366 : 365;
    }
    return days;
}

/// The seconds since 1970 of an IMF-fixdate, whatever its weekday; nothing for any other text.
inline std::optional<std::int64_t> read_fixdate(std::string_view text) {
    constexpr std::string_view months = "JanFebMarAprMayJunJulAugSepOctNovDec";
    constexpr std::string_view weekdays = "MonTueWedThuFriSatSun";
    constexpr std::string_view pattern = "www, dd mmm dddd dd:dd:dd GMT";
    if (text.size() != pattern.size()) {
        return std::nullopt;
    }
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        const bool is_digit = text[i] >= '0' && text[i] <= '9';
        if (pattern[i] == 'd' ? !is_digit
                              : pattern[i] != 'w' && pattern[i] != 'm' && pattern[i] != text[i]) {
            return std::nullopt;
        }
    }
    const auto number = [text](std::size_t at, std::size_t size) {
        std::int64_t value = 0;
        for (const char c : text.substr(at, size)) {
            value = value * 10 + (c - '0');
        }
        return value;
    };
    const std::size_t month_at = months.find(text.substr(8, 3));
    const std::size_t weekday_at = weekdays.find(text.substr(0, 3));
    if (month_at == std::string_view::npos || month_at % 3 != 0
        || weekday_at == std::string_view::npos || weekday_at % 3 != 0) {
        return std::nullopt;
    }
    const auto month = static_cast<std::int64_t>(month_at / 3);
    const std::int64_t year = number(12, 4);
    const std::int64_t day = number(5, 2);
    if (day < 1 || day > days_of_month(year, month) || number(17, 2) > 23 || number(20, 2) > 59
        || number(23, 2) > 60) {
        return std::nullopt;
    }
    std::int64_t days = days_before_year(year) + day - 1;
    for (std::int64_t m = 0; m < month; ++m) {
        days += days_of_month(year, m);
    }
    return ((days * 24 + number(17, 2)) * 60 + number(20, 2)) * 60 + number(23, 2);
}

inline std::int64_t seconds_of(SystemTime time) {
    return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

inline void fuzz_date(const std::uint8_t* data, std::size_t size) {
    Input input(data, size);
    std::int64_t seconds = 0;
    for (int i = 0; i < 5; ++i) {
        seconds = seconds * 256 + input.byte();
    }
    const bool is_early = (seconds & 1) != 0; // every second time before 1970
    seconds = is_early ? -(seconds % 8'000'000'000) : seconds % 9'000'000'000;
    const SystemTime time{std::chrono::seconds(seconds)};
    char written[porthole::date_size];
    porthole::write_date(time, written);
    const std::string_view line(written, sizeof written);
    require(read_fixdate(line) == seconds, "a written date is the time it was written from");
    const auto back = porthole::parse_date(line, time);
    require(back && *back == time, "a written date is read back");

    const HeapBytes text(input.rest());
    const auto parsed = porthole::parse_date(text.view(), time);
    if (const auto expected = read_fixdate(text.view())) {
        const bool fits = *expected > -9'000'000'000 && *expected < 9'000'000'000;
        // A leap second may be taken for the second behind it, or not at all.
        const bool is_leap = text.view().substr(23, 2) == "60";
        require(
            is_leap || !fits || (parsed && seconds_of(*parsed) == *expected),
            "two readings of a date agree");
    }
    if (parsed) {
        porthole::write_date(*parsed, written);
        const auto again = porthole::parse_date(line, time);
        require(again.has_value(), "what was read can be written and read again");
    }
}

} // namespace porthole_fuzz
