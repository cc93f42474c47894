// SPDX-License-Identifier: MIT
#pragma once

// The most memory that this process has had resident. For POSIX. Linux keeps the figure of
// getrusage() across exec, so that it would be that of the script which has started the program,
// if that was larger; /proc has the program's own.

#include <cstdio>

#include <sys/resource.h>

namespace bench {

inline double peak_megabytes() {
    long kibibytes = 0;
    if (std::FILE* status = std::fopen("/proc/self/status", "r")) {
        char line[256];
        while (kibibytes == 0 && std::fgets(line, sizeof line, status) != nullptr) {
            static_cast<void>(std::sscanf(line, "VmHWM: %ld", &kibibytes));
        }
        std::fclose(status);
    }
    if (kibibytes == 0) {
        rusage usage{};
        ::getrusage(RUSAGE_SELF, &usage);
        kibibytes = usage.ru_maxrss;
    }
    return static_cast<double>(kibibytes) / 1024;
}

} // namespace bench
