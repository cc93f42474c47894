// SPDX-License-Identifier: MIT

#include "support/allocation_counter.hpp"

#include <atomic>
#include <cstdlib>
#include <new>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PORTHOLE_TEST_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)                            \
    || __has_feature(memory_sanitizer)
#define PORTHOLE_TEST_SANITIZED 1
#endif
#endif
#ifndef PORTHOLE_TEST_SANITIZED
#define PORTHOLE_TEST_SANITIZED 0
#endif

namespace {

std::atomic<std::size_t> calls{0};
std::atomic<std::size_t> bytes{0};

} // namespace

namespace porthole_test {

bool counts_allocations() {
    return PORTHOLE_TEST_SANITIZED == 0;
}

std::size_t allocation_count() {
    return calls.load(std::memory_order_relaxed);
}

std::size_t allocated_bytes() {
    return bytes.load(std::memory_order_relaxed);
}

} // namespace porthole_test

#if !PORTHOLE_TEST_SANITIZED

// The over-aligned forms are left alone: they keep to themselves, and nothing here asks for them.

namespace {

void* counted(std::size_t size) noexcept {
    calls.fetch_add(1, std::memory_order_relaxed);
    bytes.fetch_add(size, std::memory_order_relaxed);
    return std::malloc(size != 0 ? size : 1);
}

void* counted_or_throw(std::size_t size) {
    void* memory = counted(size);
    if (memory == nullptr) {
#if defined(__cpp_exceptions)
        throw std::bad_alloc();
#else
        std::abort();
#endif
    }
    return memory;
}

} // namespace

void* operator new(std::size_t size) {
    return counted_or_throw(size);
}

void* operator new[](std::size_t size) {
    return counted_or_throw(size);
}

void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
    return counted(size);
}

void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
    return counted(size);
}

void operator delete(void* memory) noexcept {
    std::free(memory);
}

void operator delete[](void* memory) noexcept {
    std::free(memory);
}

void operator delete(void* memory, std::size_t) noexcept {
    std::free(memory);
}

void operator delete[](void* memory, std::size_t) noexcept {
    std::free(memory);
}

void operator delete(void* memory, const std::nothrow_t&) noexcept {
    std::free(memory);
}

void operator delete[](void* memory, const std::nothrow_t&) noexcept {
    std::free(memory);
}

#endif
