// SPDX-License-Identifier: MIT
#pragma once

// Runs a head parser over the same bytes in every way in which they can arrive, and checks that it
// always comes to the same end: a parser whose answer depends on how TCP cut its input can be made
// to see two different requests.

#include "support/guarded_bytes.hpp"
#include "support/test.hpp"

#include <cstddef>
#include <string_view>

namespace porthole_test {

using porthole::Limits;
using porthole::RequestFault;
using porthole::detail::ParseStatus;

/// What a parser made of some bytes.
struct Outcome {
    ParseStatus status = ParseStatus::need_more;
    RequestFault fault = RequestFault::none;
    std::size_t head_size = 0;
    std::size_t fields = 0;
};

inline bool operator==(const Outcome& a, const Outcome& b) {
    return a.status == b.status && a.fault == b.fault && a.head_size == b.head_size
           && a.fields == b.fields;
}

template <class Parser>
Outcome outcome_of(const Parser& parser, ParseStatus status) {
    Outcome outcome;
    outcome.status = status;
    outcome.fault = parser.fault();
    if (status == ParseStatus::complete) {
        outcome.head_size = parser.head_size();
        outcome.fields = parser.head().fields.size();
    }
    return outcome;
}

/// Whole, byte by byte, and split at each offset; each time with a hard end, and elsewhere. All of
/// them must agree; returns what they agree on.
template <class Parser>
Outcome parse_every_way(std::string_view input, const Limits& limits = Limits{}) {
    Parser parser(limits);
    const HeapBytes whole(input);
    const Outcome expected = outcome_of(parser, parser.parse(whole.view()));

    GuardedBytes guarded(input.size());
    parser.reset();
    CHECK(outcome_of(parser, parser.parse(guarded.place(input))) == expected);

    parser.reset();
    ParseStatus status = ParseStatus::need_more;
    for (std::size_t size = 0; size <= input.size() && status == ParseStatus::need_more; ++size) {
        const HeapBytes piece(input.substr(0, size));
        status = parser.parse(piece.view());
    }
    CHECK(outcome_of(parser, status) == expected);

    for (std::size_t split = 0; split <= input.size(); ++split) {
        CAPTURE(split);
        parser.reset();
        status = parser.parse(guarded.place(input.substr(0, split)));
        if (status == ParseStatus::need_more) {
            status = parser.parse(whole.view());
        }
        REQUIRE(outcome_of(parser, status) == expected);
        // What has ended stays so.
        if (status != ParseStatus::need_more) {
            REQUIRE(parser.parse(whole.view()) == status);
        }
    }
    return expected;
}

} // namespace porthole_test
