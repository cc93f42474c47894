// SPDX-License-Identifier: MIT
#pragma once

// Counts what the whole program takes from operator new, on all its threads. Under a sanitizer,
// which brings an operator new of its own, nothing is replaced and counts_allocations() says so.

#include <cstddef>

namespace porthole_test {

/// False under sanitizers: a test that counts has to return early.
bool counts_allocations();

/// How often operator new was called since the program began.
std::size_t allocation_count();

/// How many bytes were asked for since the program began.
std::size_t allocated_bytes();

/// How many of them are in use now.
std::size_t live_bytes();

/// The allocations since its construction.
class AllocationCounter {
public:
    AllocationCounter() : begin_(allocation_count()) {}
    std::size_t count() const { return allocation_count() - begin_; }

private:
    std::size_t begin_;
};

} // namespace porthole_test
