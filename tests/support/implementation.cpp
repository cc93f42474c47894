// SPDX-License-Identifier: MIT

// The one source file that carries the library. The misuse recorder comes first, so that the
// library's own assertions count instead of ending the program. In header-only mode nothing needs
// to be asked for, and this file is one user of the header among others.

#include "support/misuse.hpp"

#if !defined(PORTHOLE_HEADER_ONLY) || !PORTHOLE_HEADER_ONLY
#define PORTHOLE_IMPLEMENTATION
#endif
#include <porthole.hpp>
