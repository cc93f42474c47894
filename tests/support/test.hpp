// SPDX-License-Identifier: MIT
#pragma once

// What every test file includes: the misuse recorder (which has to come before the library), the
// library as the build gives it (include/ or single_include/), and doctest.

#include "support/misuse.hpp"

#include <porthole.hpp>

#if !defined(__cpp_exceptions) && !defined(_CPPUNWIND)
#define DOCTEST_CONFIG_NO_EXCEPTIONS_BUT_WITH_ALL_ASSERTS
#endif
#include <doctest/doctest.h>
