// SPDX-License-Identifier: MIT
#pragma once

// Time as the library sees it. A server reads the clock through this seam only, so that tests run
// every timeout in virtual time and never sleep.

#include "porthole/base/config.hpp"

#include <chrono>

PORTHOLE_NAMESPACE_BEGIN

using TimePoint = std::chrono::steady_clock::time_point;
using Duration = std::chrono::steady_clock::duration;
/// A deadline that does not come.
inline constexpr TimePoint never = (TimePoint::max)();

namespace detail {

/// At the most a century, which can still be added to the time without passing its end.
constexpr Duration to_duration(std::chrono::milliseconds time) noexcept {
    constexpr std::chrono::hours century{24 * 365 * 100};
    return time < century ? Duration(time) : Duration(century);
}

} // namespace detail

/// Where a server reads the time. Called from the thread that ticks, a few times for each
/// request.
class Clock {
public:
    virtual ~Clock() = default;
    /// Monotonic; only differences mean something.
    virtual TimePoint now() noexcept = 0;
    /// Calendar time, for the Date field. Read about once a second.
    virtual std::chrono::system_clock::time_point wall_time() noexcept = 0;
};

/// The machine's own clocks.
class SystemClock final : public Clock {
public:
    TimePoint now() noexcept override { return std::chrono::steady_clock::now(); }
    std::chrono::system_clock::time_point wall_time() noexcept override {
        return std::chrono::system_clock::now();
    }
};

/// A clock that stands still until it is told to move. For tests; not thread-safe.
class ManualClock final : public Clock {
public:
    TimePoint now() noexcept override {
        const TimePoint time = now_;
        now_ += step_;
        return time;
    }
    std::chrono::system_clock::time_point wall_time() noexcept override {
        return wall_epoch
               + std::chrono::duration_cast<std::chrono::system_clock::duration>(
                   now_.time_since_epoch());
    }
    void advance(Duration by) noexcept { now_ += by; }
    /// Each reading of the clock moves it on by `step`: work then takes time, and a test can
    /// count how many units fit a budget.
    void advance_per_reading(Duration step) noexcept { step_ = step; }

    /// What wall_time() shows at the start: Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC
    /// 9110 section 5.6.7.
    static constexpr std::chrono::system_clock::time_point wall_epoch{
        std::chrono::seconds{784'111'777}};

private:
    TimePoint now_{};
    Duration step_{};
};

PORTHOLE_NAMESPACE_END
