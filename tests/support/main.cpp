// SPDX-License-Identifier: MIT

// The test program's main. The library's implementation is compiled beside it, in
// implementation.cpp, so that a change of one does not rebuild the other.

#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "support/test.hpp"
