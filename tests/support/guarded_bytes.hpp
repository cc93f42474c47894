// SPDX-License-Identifier: MIT
#pragma once

// Bytes whose end is a hard one, for parser tests: a heap block of exactly their size, so that the
// address sanitizer sees a read past the end, or the end of a page behind which nothing may be
// touched, so that every build sees it. Where there are no such pages the heap block stands in.

#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>

#if defined(__linux__)
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace porthole_test {

/// A copy in a heap block of exactly that size.
class HeapBytes {
public:
    explicit HeapBytes(std::string_view bytes)
        : memory_(new char[bytes.size()]), size_(bytes.size()) {
        if (!bytes.empty()) {
            std::memcpy(memory_.get(), bytes.data(), bytes.size());
        }
    }
    std::string_view view() const { return {memory_.get(), size_}; }

private:
    std::unique_ptr<char[]> memory_;
    std::size_t size_;
};

#if defined(__linux__)

/// Room whose end is at a protected page; place() puts bytes flush against it.
class GuardedBytes {
public:
    explicit GuardedBytes(std::size_t capacity) {
        const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
        room_ = (capacity + page) / page * page;
        mapped_ = room_ + page;
        void* const memory =
            mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) {
            return;
        }
        memory_ = static_cast<char*>(memory);
        mprotect(memory_ + room_, page, PROT_NONE);
    }
    GuardedBytes(const GuardedBytes&) = delete;
    GuardedBytes& operator=(const GuardedBytes&) = delete;
    ~GuardedBytes() {
        if (memory_ != nullptr) {
            munmap(memory_, mapped_);
        }
    }

    /// The copy is valid until the next call; `bytes` is no longer than the capacity.
    std::string_view place(std::string_view bytes) {
        if (memory_ == nullptr || bytes.size() > room_) {
            return bytes;
        }
        char* const at = memory_ + room_ - bytes.size();
        if (!bytes.empty()) {
            std::memcpy(at, bytes.data(), bytes.size());
        }
        return {at, bytes.size()};
    }

private:
    char* memory_ = nullptr;
    std::size_t room_ = 0;
    std::size_t mapped_ = 0;
};

#else

class GuardedBytes {
public:
    explicit GuardedBytes(std::size_t capacity) { static_cast<void>(capacity); }
    std::string_view place(std::string_view bytes) {
        block_ = std::make_unique<HeapBytes>(bytes);
        return block_->view();
    }

private:
    std::unique_ptr<HeapBytes> block_;
};

#endif

} // namespace porthole_test
