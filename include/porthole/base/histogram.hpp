// SPDX-License-Identifier: MIT
#pragma once

// How long ticks take, over the whole life of a server, in a fixed amount of memory: four buckets
// to each doubling, so that any percentile is at most a quarter too long.

#include "porthole/base/config.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>

PORTHOLE_NAMESPACE_BEGIN

/// Counts durations from 0 ns to about 17 s; longer ones fall into the last bucket.
class Histogram {
public:
    void add(std::chrono::nanoseconds duration) noexcept;
    std::uint64_t count() const noexcept { return count_; }
    /// The exact longest.
    std::chrono::nanoseconds longest() const noexcept { return longest_; }
    /// The duration that `fraction` (0 to 1) of all stay at or below, rounded up to its
    /// bucket's end, but never past the longest; zero when nothing was counted.
    /// percentile(0.99) is the p99.
    std::chrono::nanoseconds percentile(double fraction) const noexcept;

private:
    static constexpr std::size_t steps = 4; ///< buckets to a doubling
    static constexpr std::size_t buckets = 132;
    static std::size_t bucket_of(std::uint64_t nanoseconds) noexcept;
    static std::uint64_t end_of(std::size_t bucket) noexcept;

    std::uint64_t counts_[buckets] = {};
    std::uint64_t count_ = 0;
    std::chrono::nanoseconds longest_{0};
};

PORTHOLE_NAMESPACE_END
