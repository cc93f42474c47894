// SPDX-License-Identifier: MIT

// Measures what big downloads take from a game's frame: a loop at 60 frames a second with 4 ms of
// work in each and tick(1 ms), the rest slept away, while downloads.py fetches large files from the
// directory that the program serves.
//
// Run:  downloads --directory DIR [--port N] [--seconds N] [--fps N] [--work-us N]
//                 [--budget-us N] [--rest sleep|tick_until]
// Read: frame_clock.hpp says what the times mean, and when a frame is late because of Porthole.

#include "options.hpp"

#define PORTHOLE_IMPLEMENTATION
#include <porthole.hpp>

#include <cstdio>

#if defined(_WIN32)

int main() {
    std::puts("downloads needs POSIX for the thread's CPU clock.");
    return 0;
}

#else

#include "frame_clock.hpp"

#include <cstdint>
#include <string>

int main(int argc, char** argv) {
    const bench::FramePlan plan(argc, argv);
    const std::string directory(bench::text_option(argc, argv, "--directory", "."));
    porthole::Server server;
    if (auto error = server.mount("/", porthole::files(directory))) {
        std::fprintf(stderr, "%s\n", error.message().c_str());
        return 1;
    }
    porthole::ListenOptions options;
    options.family = porthole::Family::ipv4;
    const auto port = bench::number_option<std::uint16_t>(argc, argv, "--port", 0);
    if (auto error = server.listen("localhost", port, options)) {
        std::fprintf(stderr, "%s\n", error.message().c_str());
        return 1;
    }
    bench::print_port(server.port());

    bench::wait_for_load(server);
    const double seconds = bench::run_frames(server, plan);
    const porthole::Stats stats = server.stats();
    std::printf(
        "requests %llu, sent %.1f MB/s\n", static_cast<unsigned long long>(stats.requests),
        static_cast<double>(stats.bytes_out) / seconds / 1e6);
    std::fflush(stdout);
    return 0;
}

#endif
