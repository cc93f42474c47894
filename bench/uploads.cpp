// SPDX-License-Identifier: MIT

// Measures what a big upload into a file takes from a game's frame: a loop at 60 frames a second
// with 4 ms of work in each and tick(1 ms), the rest slept away, while uploads.py sends.
//
// Run:  uploads --file PATH [--port N] [--seconds N] [--fps N] [--work-us N] [--budget-us N]
//               [--rest sleep|tick_until]
// Read: frame_clock.hpp says what the times mean. The memory is the most that the process has had
// resident, the program itself included.

#include "options.hpp"

#define PORTHOLE_IMPLEMENTATION
#include <porthole.hpp>

#include <cstdio>

#if defined(_WIN32)

int main() {
    std::puts("uploads needs POSIX for the thread's CPU clock.");
    return 0;
}

#else

#include "frame_clock.hpp"
#include "peak_memory.hpp"

#include <cstdint>
#include <string>

int main(int argc, char** argv) {
    const bench::FramePlan plan(argc, argv);
    const std::string path(bench::text_option(argc, argv, "--file", "upload.bin"));
    porthole::Server server;
    bool is_answered = false;
    bool has_begun = false;
    server.put_stream("/file", [&](const porthole::Request&) {
        has_begun = true;
        return porthole::to_file(path);
    });
    server.after([&](const porthole::Request&, porthole::Response&) { is_answered = has_begun; });
    porthole::ListenOptions options;
    options.family = porthole::Family::ipv4;
    const auto port = bench::number_option<std::uint16_t>(argc, argv, "--port", 0);
    if (auto error = server.listen("localhost", port, options)) {
        std::fprintf(stderr, "%s\n", error.message().c_str());
        return 1;
    }
    bench::print_port(server.port());

    bench::wait_for_load(server);
    const double before = bench::peak_megabytes();
    const double seconds = bench::run_frames(server, plan, [&] { return is_answered; });
    const porthole::Stats stats = server.stats();
    std::printf(
        "received %.1f MB/s; memory %.1f MB before, %.1f MB at its peak\n",
        static_cast<double>(stats.bytes_in) / seconds / 1e6, before, bench::peak_megabytes());
    bench::let_clients_finish(server);
    std::fflush(stdout);
    return 0;
}

#endif
