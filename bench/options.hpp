// SPDX-License-Identifier: MIT
#pragma once

// What the bench programs have in common: "--name value" options, and a line that tells the scripts
// which port a server took. Nothing here is on a measured path.

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <system_error>

namespace bench {

/// The value behind `name`, or `fallback` when the option is not there.
inline std::string_view
text_option(int argc, char** argv, std::string_view name, std::string_view fallback) {
    for (int i = 1; i + 1 < argc; ++i) {
        if (argv[i] == name) {
            return argv[i + 1];
        }
    }
    return fallback;
}

inline bool has_option(int argc, char** argv, std::string_view name) {
    for (int i = 1; i < argc; ++i) {
        if (argv[i] == name) {
            return true;
        }
    }
    return false;
}

/// The same for a number; ends the program when it is none.
template <class Number>
Number number_option(int argc, char** argv, std::string_view name, Number fallback) {
    const std::string_view text = text_option(argc, argv, name, {});
    if (text.empty()) {
        return fallback;
    }
    Number value{};
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
    if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) {
        std::fprintf(stderr, "%s %s: not a number in range\n", name.data(), text.data());
        std::exit(2);
    }
    return value;
}

/// The line that the scripts wait for.
inline void print_port(unsigned port) {
    std::printf("port %u\n", port);
    std::fflush(stdout);
}

} // namespace bench
