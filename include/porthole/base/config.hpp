// SPDX-License-Identifier: MIT
#pragma once

// What every other file needs first: how definitions are marked, which namespace they live in, and
// what a broken promise of the host program does. The inline namespace carries version and mode, so
// that object files built in different modes fail to link instead of misbehaving. Nothing here
// changes the layout of a type: options that do are run-time fields.

#include "porthole/base/version.hpp"

/// 1: everything is inline, for programs that cannot add a source file. 0 (the default): exactly
/// one source file defines PORTHOLE_IMPLEMENTATION before it includes porthole.hpp.
#ifndef PORTHOLE_HEADER_ONLY
#define PORTHOLE_HEADER_ONLY 0
#endif

// Marks each definition, and the declarations of virtual members: a class with one that is not
// inline from the start would be emitted, with all that it calls, by every file that includes it.
#if PORTHOLE_HEADER_ONLY
#define PORTHOLE_FN inline
#define PORTHOLE_ABI v0_1_header_only
#else
#define PORTHOLE_FN
#define PORTHOLE_ABI v0_1_compiled
#endif

#define PORTHOLE_NAMESPACE_BEGIN                                                                   \
    namespace porthole {                                                                           \
    inline namespace PORTHOLE_ABI {
#define PORTHOLE_NAMESPACE_END                                                                     \
    }                                                                                              \
    }

/// Misuse by the host program, never a peer's doing. `sentence` says what to do instead. Override
/// it by defining PORTHOLE_ASSERT(condition, sentence) beforehand; without it, and with NDEBUG, the
/// call at fault does nothing harmful.
#ifndef PORTHOLE_ASSERT
#include <cassert>
#define PORTHOLE_ASSERT(condition, sentence) assert((condition) && (sentence))
#endif

// An exception that leaves a handler becomes a 500; without exceptions the same code is plain.
#if defined(__cpp_exceptions) || defined(_CPPUNWIND)
#define PORTHOLE_TRY try
#define PORTHOLE_CATCH_STANDARD(name) catch (const std::exception& name)
#define PORTHOLE_CATCH_ALL catch (...)
#else
#define PORTHOLE_TRY if constexpr (true)
#define PORTHOLE_CATCH_STANDARD(name)                                                              \
    else if constexpr (const ::porthole::PORTHOLE_ABI::detail::NoException name; false)
#define PORTHOLE_CATCH_ALL else
#endif

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// Stands where an exception would be caught when there are none.
struct NoException {
    const char* what() const noexcept { return ""; }
};

} // namespace detail

PORTHOLE_NAMESPACE_END
