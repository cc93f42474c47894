// SPDX-License-Identifier: MIT
#pragma once

// An upload that has to be there whole before its program starts: in memory at first, and then in a
// file without a name.

#include "porthole/os/scratch_file.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

class CgiSpool {
public:
    explicit CgiSpool(std::size_t memory_bytes) noexcept : memory_bytes_(memory_bytes) {}

    /// False when the file cannot be made or written.
    bool append(std::string_view bytes);
    std::uint64_t size() const noexcept { return memory_.size() + file_.size(); }
    /// Copies the next bytes; 0 at the end, or when they cannot be read.
    std::size_t read(char* into, std::size_t capacity) noexcept;
    bool is_read() const noexcept { return read_ == size(); }

private:
    std::size_t memory_bytes_;
    std::string memory_;
    ScratchFile file_;
    std::uint64_t read_ = 0;
};

} // namespace detail

PORTHOLE_NAMESPACE_END
