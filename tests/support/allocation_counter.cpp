// SPDX-License-Identifier: MIT

#include "support/allocation_counter.hpp"

#include <atomic>
#include <cstddef>
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
std::atomic<std::size_t> live{0};

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

std::size_t live_bytes() {
    return live.load(std::memory_order_relaxed);
}

} // namespace porthole_test

#if !PORTHOLE_TEST_SANITIZED

// The over-aligned forms are left alone: they keep to themselves, and nothing here asks for them.

namespace {

/// In front of each block, so that its size is known when it is freed.
struct alignas(std::max_align_t) Label {
    std::size_t size;
};

void* counted(std::size_t size) noexcept {
    calls.fetch_add(1, std::memory_order_relaxed);
    bytes.fetch_add(size, std::memory_order_relaxed);
    if (size > static_cast<std::size_t>(-1) - sizeof(Label)) {
        return nullptr;
    }
    void* const memory = std::malloc(sizeof(Label) + size);
    if (memory == nullptr) {
        return nullptr;
    }
    live.fetch_add(size, std::memory_order_relaxed);
    return ::new (memory) Label{size} + 1;
}

void uncounted(void* memory) noexcept {
    if (memory != nullptr) {
        Label* const label = static_cast<Label*>(memory) - 1;
        live.fetch_sub(label->size, std::memory_order_relaxed);
        std::free(label);
    }
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
    uncounted(memory);
}

void operator delete[](void* memory) noexcept {
    uncounted(memory);
}

void operator delete(void* memory, std::size_t) noexcept {
    uncounted(memory);
}

void operator delete[](void* memory, std::size_t) noexcept {
    uncounted(memory);
}

void operator delete(void* memory, const std::nothrow_t&) noexcept {
    uncounted(memory);
}

void operator delete[](void* memory, const std::nothrow_t&) noexcept {
    uncounted(memory);
}

#endif
