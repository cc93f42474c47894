// SPDX-License-Identifier: MIT
#pragma once

// Takes the place of the library's assertion: misuse is counted instead of ending the program, so
// that a test can see that it was noticed and that nothing bad happened.

namespace porthole_test {

/// How often a PORTHOLE_ASSERT failed since the program began.
inline int misuse_count = 0;

} // namespace porthole_test

#define PORTHOLE_ASSERT(condition, sentence)                                                       \
    ((condition) ? void() : static_cast<void>(++porthole_test::misuse_count))
