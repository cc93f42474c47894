// SPDX-License-Identifier: MIT
#pragma once

// Scratch files on POSIX systems: by O_TMPFILE where Linux and the file system have it, else
// created under a name that is taken away at once.

#include "porthole/os/file_posix.inl"
#include "porthole/os/platform.inl"
#include "porthole/os/scratch_file.hpp"

#if !defined(_WIN32)

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN std::string environment_variable(std::string_view name) {
    const char* value = ::getenv(std::string(name).c_str());
    return value != nullptr ? value : "";
}

PORTHOLE_FN bool ScratchFile::open() {
    std::string directory = environment_variable("TMPDIR");
    directory = directory.empty() ? "/tmp" : directory;
#if defined(O_TMPFILE)
    constexpr unsigned mode = 0600;
    file_ = File(::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, mode));
#endif
    if (!file_.is_open()) {
        std::string name = directory + "/porthole-XXXXXX";
        file_ = File(::mkstemp(&name[0]));
        if (file_.is_open()) {
            static_cast<void>(::unlink(name.c_str()));
            static_cast<void>(::fcntl(native_file(file_), F_SETFD, FD_CLOEXEC));
        }
    }
    size_ = 0;
    return file_.is_open();
}

PORTHOLE_FN bool ScratchFile::append(std::string_view bytes) noexcept {
    const std::uint64_t most = max_file_bytes();
    if (size_ > most || bytes.size() > most - size_) {
        return false;
    }
    int interrupts = 0;
    while (!bytes.empty()) {
        const ssize_t count =
            ::pwrite(native_file(file_), bytes.data(), bytes.size(), static_cast<off_t>(size_));
        if (count > 0) {
            size_ += static_cast<std::uint64_t>(count);
            bytes.remove_prefix(static_cast<std::size_t>(count));
        } else if (count == 0 || errno != EINTR || ++interrupts == max_interrupts) {
            return false;
        }
    }
    return true;
}

} // namespace detail

PORTHOLE_NAMESPACE_END

#endif
