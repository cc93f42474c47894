// SPDX-License-Identifier: MIT
#pragma once

// The version, once. CMake, Meson and the single header read it from here; a test compares them.

#define PORTHOLE_VERSION_MAJOR 0
#define PORTHOLE_VERSION_MINOR 1
#define PORTHOLE_VERSION_PATCH 0
#define PORTHOLE_VERSION_STRING "0.1.0"
