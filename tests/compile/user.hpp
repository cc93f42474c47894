// SPDX-License-Identifier: MIT
#pragma once

// A program in two source files that hand a server to each other: what the link checks are made of.

#include <porthole.hpp>

#include <cstddef>

/// Adds a route; in user_b.cpp.
std::size_t add_routes(porthole::Server& server);
