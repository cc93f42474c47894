// SPDX-License-Identifier: MIT
#include "support/test.hpp"

#include <algorithm>
#include <chrono>
#include <random>
#include <vector>

using porthole::Histogram;
using std::chrono::nanoseconds;

TEST_CASE("histogram: an empty one has no percentile") {
    const Histogram histogram;
    CHECK(histogram.count() == 0);
    CHECK(histogram.longest() == nanoseconds(0));
    CHECK(histogram.percentile(0.5) == nanoseconds(0));
    CHECK(histogram.percentile(1) == nanoseconds(0));
}

TEST_CASE("histogram: one duration is every percentile, to within a quarter") {
    for (std::int64_t value = 0; value < 17'000'000'000; value += 1 + value / 7) {
        Histogram histogram;
        histogram.add(nanoseconds(value));
        CHECK(histogram.longest() == nanoseconds(value));
        CHECK(histogram.percentile(0) == nanoseconds(value)); // never past the longest
        // With a longer one beside it, the bucket's end shows.
        histogram.add(nanoseconds(17'000'000'000));
        const auto median = histogram.percentile(0.5).count();
        if (median < value || median > value + value / 4) {
            FAIL_CHECK(value, " became ", median);
        }
    }
}

TEST_CASE("histogram: percentiles stay within a quarter of the sorted truth") {
    std::mt19937_64 random(7);
    Histogram histogram;
    std::vector<std::int64_t> values;
    for (int i = 0; i < 10000; ++i) {
        const auto value = static_cast<std::int64_t>(random() >> (30 + random() % 30));
        values.push_back(value);
        histogram.add(nanoseconds(value));
    }
    std::sort(values.begin(), values.end());
    CHECK(histogram.count() == values.size());
    for (const std::size_t percent : {1u, 10u, 50u, 90u, 99u, 100u}) {
        const std::int64_t truth = values[percent * values.size() / 100 - 1];
        const std::int64_t told = histogram.percentile(static_cast<double>(percent) / 100).count();
        CHECK(told >= truth);
        CHECK(told <= truth + truth / 4);
    }
    CHECK(histogram.percentile(1) == histogram.longest());
}

TEST_CASE("histogram: takes durations beyond its ends") {
    Histogram histogram;
    histogram.add(nanoseconds(-5));
    CHECK(histogram.count() == 1);
    CHECK(histogram.longest() == nanoseconds(0));
    CHECK(histogram.percentile(1) == nanoseconds(0));
    const std::chrono::hours hour(1);
    histogram.add(hour);
    CHECK(histogram.longest() == hour);
    CHECK(histogram.percentile(0.99) == hour);
    histogram.add((nanoseconds::max)());
    CHECK(histogram.percentile(1) == (nanoseconds::max)());
}
