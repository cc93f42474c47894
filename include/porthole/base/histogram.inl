// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/base/histogram.hpp"

PORTHOLE_NAMESPACE_BEGIN

/// The highest set bit picks the doubling, the two bits below it the step.
PORTHOLE_FN std::size_t Histogram::bucket_of(std::uint64_t nanoseconds) noexcept {
    if (nanoseconds < steps) {
        return static_cast<std::size_t>(nanoseconds);
    }
    constexpr unsigned stride = 8; // first by bytes, then by bits: this runs in every tick
    std::size_t doubling = 0;
    std::uint64_t rest = nanoseconds;
    for (; rest >= (2 * steps) << stride; rest >>= stride) {
        doubling += stride;
    }
    for (; rest >= 2 * steps; rest >>= 1) {
        ++doubling;
    }
    const std::size_t step = static_cast<std::size_t>(nanoseconds >> doubling) - steps;
    const std::size_t bucket = (doubling + 1) * steps + step;
    return bucket < buckets ? bucket : buckets - 1;
}

PORTHOLE_FN std::uint64_t Histogram::end_of(std::size_t bucket) noexcept {
    if (bucket < steps) {
        return bucket;
    }
    const std::size_t doubling = bucket / steps - 1;
    const std::uint64_t next = steps + bucket % steps + 1;
    return (next << doubling) - 1;
}

PORTHOLE_FN void Histogram::add(std::chrono::nanoseconds duration) noexcept {
    const auto ticks = duration.count() < 0 ? 0 : duration.count();
    ++counts_[bucket_of(static_cast<std::uint64_t>(ticks))];
    ++count_;
    if (duration > longest_) {
        longest_ = duration;
    }
}

PORTHOLE_FN std::chrono::nanoseconds Histogram::percentile(double fraction) const noexcept {
    const double wanted = fraction * static_cast<double>(count_);
    std::uint64_t seen = 0;
    for (std::size_t bucket = 0; bucket < buckets; ++bucket) {
        seen += counts_[bucket];
        if (seen != 0 && static_cast<double>(seen) >= wanted) {
            const std::chrono::nanoseconds end{static_cast<std::int64_t>(end_of(bucket))};
            // The last bucket also holds what is longer than its end.
            return end < longest_ && bucket + 1 < buckets ? end : longest_;
        }
    }
    return longest_;
}

PORTHOLE_NAMESPACE_END
