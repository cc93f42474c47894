// SPDX-License-Identifier: MIT

#define PORTHOLE_IMPLEMENTATION
#include <porthole.hpp>
