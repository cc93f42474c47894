// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/http/date.hpp"

#include "porthole/base/ascii.hpp"

#include <cstdint>
#include <cstring>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// A moment in the Gregorian calendar, UTC. Months are 1 to 12, days 1 to 31.
struct CivilTime {
    std::int64_t year = 1970;
    std::int64_t month = 1;
    std::int64_t day = 1;
    std::int64_t hour = 0;
    std::int64_t minute = 0;
    std::int64_t second = 0;
};

inline constexpr std::int64_t seconds_per_minute = 60;
inline constexpr std::int64_t seconds_per_hour = 60 * seconds_per_minute;
inline constexpr std::int64_t seconds_per_day = 24 * seconds_per_hour;
inline constexpr std::int64_t days_per_year = 365;
inline constexpr std::int64_t days_per_4_years = 4 * days_per_year + 1;
inline constexpr std::int64_t days_per_century = 25 * days_per_4_years - 1;
inline constexpr std::int64_t days_per_400_years = 4 * days_per_century + 1;
/// From March 1st of the year 0 to January 1st of 1970. Years that begin in March have their leap
/// day at the end, where it disturbs nothing.
inline constexpr std::int64_t days_before_1970 = 719468;

/// Days from March 1st to the first day of a month that is `index` months later: they are 31, 30,
/// 31, 30, 31 days long, over and over, which is 153 days to five months.
constexpr std::int64_t days_before_month(std::int64_t index) noexcept {
    return (153 * index + 2) / 5;
}

/// Days since 1970-01-01. Years 0 and later.
constexpr std::int64_t days_of(const CivilTime& time) noexcept {
    const std::int64_t march_year = time.month > 2 ? time.year : time.year - 1;
    const std::int64_t month_index = time.month > 2 ? time.month - 3 : time.month + 9;
    // A whole cycle more keeps January and February of the year 0 from dividing below zero.
    const std::int64_t years = march_year + 400;
    return years * days_per_year + years / 4 - years / 100 + years / 400
           + days_before_month(month_index) + time.day - 1 - days_before_1970 - days_per_400_years;
}

constexpr std::int64_t seconds_of(const CivilTime& time) noexcept {
    return days_of(time) * seconds_per_day + time.hour * seconds_per_hour
           + time.minute * seconds_per_minute + time.second;
}

/// The reverse of days_of(), for January 1st of the year 0 and later.
inline CivilTime civil_of_days(std::int64_t days) noexcept {
    std::int64_t rest = days + days_before_1970 + days_per_400_years;
    const std::int64_t cycles = rest / days_per_400_years;
    rest %= days_per_400_years;
    // The last day of a cycle and of a leap year would begin a fifth part.
    const std::int64_t centuries = rest / days_per_century < 3 ? rest / days_per_century : 3;
    rest -= centuries * days_per_century;
    const std::int64_t fours = rest / days_per_4_years;
    rest %= days_per_4_years;
    const std::int64_t years = rest / days_per_year < 3 ? rest / days_per_year : 3;
    rest -= years * days_per_year;
    const std::int64_t month_index = (5 * rest + 2) / 153;

    CivilTime time;
    time.year = 400 * (cycles - 1) + 100 * centuries + 4 * fours + years;
    time.day = rest - days_before_month(month_index) + 1;
    time.month = month_index < 10 ? month_index + 3 : month_index - 9;
    time.year += time.month <= 2 ? 1 : 0;
    return time;
}

constexpr bool is_leap_year(std::int64_t year) noexcept {
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

constexpr std::int64_t days_in_month(std::int64_t year, std::int64_t month) noexcept {
    if (month == 2) {
        return is_leap_year(year) ? 29 : 28;
    }
    return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

inline std::int64_t seconds_since_1970(std::chrono::system_clock::time_point time) noexcept {
    return std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
}

/// A clock that counts nanoseconds ends in 2262: later dates are its last moment.
inline std::chrono::system_clock::time_point time_of_seconds(std::int64_t seconds) noexcept {
    using Time = std::chrono::system_clock::time_point;
    const auto latest =
        std::chrono::duration_cast<std::chrono::seconds>((Time::max)().time_since_epoch());
    const auto earliest =
        std::chrono::duration_cast<std::chrono::seconds>((Time::min)().time_since_epoch());
    if (seconds >= latest.count()) {
        return (Time::max)();
    }
    if (seconds <= earliest.count()) {
        return (Time::min)();
    }
    return Time(std::chrono::seconds(seconds));
}

inline constexpr std::string_view month_names = "JanFebMarAprMayJunJulAugSepOctNovDec";
inline constexpr std::string_view day_names = "ThuFriSatSunMonTueWed"; // 1970 began with one
inline constexpr std::size_t short_name_size = 3;

/// A cursor over a date: each function takes one part, and all fail once one has.
struct DateReader {
    std::string_view rest;
    bool is_ok = true;

    void expect(std::string_view literal) noexcept {
        is_ok = is_ok && rest.substr(0, literal.size()) == literal;
        rest.remove_prefix(is_ok ? literal.size() : 0);
    }
    std::int64_t number(std::size_t digits) noexcept {
        const auto value = ascii::parse_decimal(rest.substr(0, digits));
        is_ok = is_ok && rest.size() >= digits && value.has_value();
        rest.remove_prefix(is_ok ? digits : 0);
        return is_ok ? static_cast<std::int64_t>(*value) : 0;
    }
    /// The place of a three-letter name in a list of them.
    std::int64_t short_name(std::string_view names) noexcept {
        const std::string_view name = rest.substr(0, short_name_size);
        for (std::size_t at = 0; is_ok && at < names.size(); at += short_name_size) {
            if (names.substr(at, short_name_size) == name) {
                rest.remove_prefix(short_name_size);
                return static_cast<std::int64_t>(at / short_name_size);
            }
        }
        is_ok = false;
        return 0;
    }
    void time_of_day(CivilTime& time) noexcept {
        time.hour = number(2);
        expect(":");
        time.minute = number(2);
        expect(":");
        time.second = number(2);
    }
};

/// "Sun, 06 Nov 1994 08:49:37 GMT"
inline bool read_imf_fixdate(std::string_view text, CivilTime& time) noexcept {
    DateReader reader{text};
    reader.short_name(day_names);
    reader.expect(", ");
    time.day = reader.number(2);
    reader.expect(" ");
    time.month = reader.short_name(month_names) + 1;
    reader.expect(" ");
    time.year = reader.number(4);
    reader.expect(" ");
    reader.time_of_day(time);
    reader.expect(" GMT");
    return reader.is_ok && reader.rest.empty();
}

/// "Sun Nov  6 08:49:37 1994"
inline bool read_asctime_date(std::string_view text, CivilTime& time) noexcept {
    DateReader reader{text};
    reader.short_name(day_names);
    reader.expect(" ");
    time.month = reader.short_name(month_names) + 1;
    reader.expect(" ");
    if (reader.rest.substr(0, 1) == " ") {
        reader.expect(" ");
        time.day = reader.number(1);
    } else {
        time.day = reader.number(2);
    }
    reader.expect(" ");
    reader.time_of_day(time);
    reader.expect(" ");
    time.year = reader.number(4);
    return reader.is_ok && reader.rest.empty();
}

/// RFC 9110 section 5.6.7: two digits mean the latest such year that is not more than 50 years
/// ahead.
inline void choose_century(CivilTime& time, std::chrono::system_clock::time_point now) noexcept {
    constexpr std::int64_t century = 100;
    constexpr std::int64_t years_ahead = 50;
    const std::int64_t now_seconds = seconds_since_1970(now);
    const std::int64_t now_days =
        (now_seconds - (now_seconds < 0 ? seconds_per_day - 1 : 0)) / seconds_per_day;
    CivilTime latest = civil_of_days(now_days);
    latest.year += years_ahead;
    latest.second = now_seconds - now_days * seconds_per_day;
    time.year += (latest.year / century) * century;
    if (seconds_of(time) > seconds_of(latest)) {
        time.year -= century;
    }
}

/// "Sunday, 06-Nov-94 08:49:37 GMT"
inline bool read_rfc850_date(
    std::string_view text, std::chrono::system_clock::time_point now, CivilTime& time) noexcept {
    constexpr std::string_view day_ends[] = {"rsday", "day",  "urday", "day",
                                             "day",   "sday", "nesday"};
    DateReader reader{text};
    reader.expect(day_ends[reader.short_name(day_names)]);
    reader.expect(", ");
    time.day = reader.number(2);
    reader.expect("-");
    time.month = reader.short_name(month_names) + 1;
    reader.expect("-");
    time.year = reader.number(2);
    reader.expect(" ");
    reader.time_of_day(time);
    reader.expect(" GMT");
    if (!reader.is_ok || !reader.rest.empty()) {
        return false;
    }
    choose_century(time, now);
    return true;
}

inline bool is_possible(const CivilTime& time) noexcept {
    // Second 60 is a leap second (RFC 5322 section 3.3).
    return time.day >= 1 && time.day <= days_in_month(time.year, time.month) && time.hour < 24
           && time.minute < 60 && time.second <= 60;
}

inline void write_digits(char* into, std::int64_t value, int digits) noexcept {
    for (int i = digits - 1; i >= 0; --i) {
        into[i] = static_cast<char>('0' + value % 10);
        value /= 10;
    }
}

} // namespace detail

PORTHOLE_FN void write_date(std::chrono::system_clock::time_point time, char* into) noexcept {
    using namespace detail;
    constexpr std::int64_t first = days_of(CivilTime{0, 1, 1, 0, 0, 0}) * seconds_per_day;
    constexpr std::int64_t last = days_of(CivilTime{10000, 1, 1, 0, 0, 0}) * seconds_per_day - 1;
    std::int64_t seconds = seconds_since_1970(time);
    seconds = seconds < first ? first : (seconds > last ? last : seconds);
    // Counted from the year 0 on, so that nothing is below zero.
    const std::int64_t days = (seconds - first) / seconds_per_day + first / seconds_per_day;
    const std::int64_t second_of_day = seconds - days * seconds_per_day;
    const CivilTime civil = civil_of_days(days);
    const std::int64_t week_offset = days % 7 < 0 ? days % 7 + 7 : days % 7;
    const auto weekday = static_cast<std::size_t>(week_offset) * short_name_size;
    const auto month = static_cast<std::size_t>(civil.month - 1) * short_name_size;

    std::memcpy(into, "Day, 00 Mon 0000 00:00:00 GMT", date_size);
    std::memcpy(into, day_names.data() + weekday, short_name_size);
    write_digits(into + 5, civil.day, 2);
    std::memcpy(into + 8, month_names.data() + month, short_name_size);
    write_digits(into + 12, civil.year, 4);
    write_digits(into + 17, second_of_day / seconds_per_hour, 2);
    write_digits(into + 20, second_of_day / seconds_per_minute % 60, 2);
    write_digits(into + 23, second_of_day % 60, 2);
}

PORTHOLE_FN std::optional<std::chrono::system_clock::time_point>
parse_date(std::string_view text, std::chrono::system_clock::time_point now) noexcept {
    detail::CivilTime time;
    const bool is_read = detail::read_imf_fixdate(text, time)
                         || detail::read_rfc850_date(text, now, time)
                         || detail::read_asctime_date(text, time);
    if (!is_read || !detail::is_possible(time)) {
        return std::nullopt;
    }
    return detail::time_of_seconds(detail::seconds_of(time));
}

PORTHOLE_NAMESPACE_END
