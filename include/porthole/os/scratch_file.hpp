// SPDX-License-Identifier: MIT
#pragma once

// A file without a name, for bytes that are too many for memory and are read back soon: gone when
// it is closed, or when the process dies. And the variables of the host's own environment, of which
// a program that is started may be given some. The platforms differ in scratch_file_posix.inl and
// scratch_file_windows.inl only.

#include "porthole/os/file.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

class ScratchFile {
public:
    /// In the system's directory for temporary files (TMPDIR, TEMP). False when there is none that
    /// can be written to.
    bool open();
    bool is_open() const noexcept { return file_.is_open(); }
    std::uint64_t size() const noexcept { return size_; }
    /// Adds to the end. False when the disk is full, or when no file of this process may be so
    /// large; this one is of no use then.
    bool append(std::string_view bytes) noexcept;
    /// As File::read_at().
    std::size_t read_at(std::uint64_t offset, char* into, std::size_t capacity) const noexcept {
        return file_.read_at(offset, into, capacity);
    }
    void close() noexcept {
        file_.close();
        size_ = 0;
    }

private:
    File file_;
    std::uint64_t size_ = 0;
};

/// Empty when it is not set. Not for a time when another thread changes the environment.
std::string environment_variable(std::string_view name);

} // namespace detail

PORTHOLE_NAMESPACE_END
