// SPDX-License-Identifier: MIT

// A unity build: users of the header before and behind the implementation, all in one file, and the
// header again afterwards.

#include "user_b.cpp"

#define PORTHOLE_IMPLEMENTATION
#include <porthole.hpp>

#include <porthole.hpp>

#include "user_a.cpp"
