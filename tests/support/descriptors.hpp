// SPDX-License-Identifier: MIT
#pragma once

// The descriptors of this process: how many there are, and a way to have no more of them for a
// while. Linux only.

#if defined(__linux__)

#include <cstddef>
#include <filesystem>
#include <system_error>
#include <vector>

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

namespace porthole_test {

/// The one that lists them is among them, each time.
inline std::size_t descriptors() {
    std::error_code code;
    std::size_t count = 0;
    for (std::filesystem::directory_iterator at("/proc/self/fd", code), end; !code && at != end;
         at.increment(code)) {
        ++count;
    }
    return count;
}

/// As long as it lives, the process gets no descriptor. Nothing may be checked meanwhile: the
/// sanitizers and the test program itself need descriptors for their questions.
class NoDescriptors {
public:
    NoDescriptors() {
        constexpr std::size_t most = 256;
        taken_.reserve(most + 1);
        const int first = ::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (first < 0 || ::getrlimit(RLIMIT_NOFILE, &before_) != 0) {
            return;
        }
        taken_.push_back(first);
        rlimit lowered = before_;
        const rlim_t wanted = static_cast<rlim_t>(first) + most;
        lowered.rlim_cur = wanted < before_.rlim_cur ? wanted : before_.rlim_cur;
        is_lowered_ = ::setrlimit(RLIMIT_NOFILE, &lowered) == 0;
        while (is_lowered_ && taken_.size() <= most) {
            const int more = ::fcntl(first, F_DUPFD_CLOEXEC, 0);
            if (more < 0) {
                break;
            }
            taken_.push_back(more);
        }
    }
    NoDescriptors(const NoDescriptors&) = delete;
    NoDescriptors& operator=(const NoDescriptors&) = delete;
    ~NoDescriptors() {
        for (const int descriptor : taken_) {
            ::close(descriptor);
        }
        if (is_lowered_) {
            ::setrlimit(RLIMIT_NOFILE, &before_);
        }
    }

private:
    std::vector<int> taken_;
    rlimit before_{};
    bool is_lowered_ = false;
};

} // namespace porthole_test

#endif
