// SPDX-License-Identifier: MIT

// Measures what a CGI program with a big upload or a big answer takes from a game's frame: a loop
// at 60 frames a second with 4 ms of work in each and tick(1 ms), the rest slept away, until the
// client of cgi.py has gone. With --wait it measures nothing by itself and is the Porthole side of
// `cgi.py rate`: it waits in wait() until it is killed.
//
// Run:  cgi_server --directory DIR [--port N] [--programs N] [--wait] [--seconds N] [--fps N]
//                  [--work-us N] [--budget-us N] [--rest sleep|tick_until]
// Read: frame_clock.hpp says what the times mean. The memory is the most that this process has had
// resident, without the programs that it starts.

#include "options.hpp"

#define PORTHOLE_IMPLEMENTATION
#include <porthole.hpp>

#include <cstdio>

#if defined(_WIN32)

int main() {
    std::puts("cgi_server needs POSIX for the thread's CPU clock.");
    return 0;
}

#else

#include "frame_clock.hpp"
#include "peak_memory.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

namespace {

void run_game(porthole::Server& server, const bench::FramePlan& plan) {
    bench::wait_for_load(server);
    const double before = bench::peak_megabytes();
    const double seconds =
        bench::run_frames(server, plan, [&] { return server.stats().connections == 0; });
    const porthole::Stats stats = server.stats();
    std::printf(
        "received %.1f MB/s, sent %.1f MB/s; memory %.1f MB before, %.1f MB at its peak\n",
        static_cast<double>(stats.bytes_in) / seconds / 1e6,
        static_cast<double>(stats.bytes_out) / seconds / 1e6, before, bench::peak_megabytes());
    std::fflush(stdout);
}

} // namespace

int main(int argc, char** argv) {
    const bench::FramePlan plan(argc, argv);
    const std::string directory(bench::text_option(argc, argv, "--directory", "."));
    porthole::Options server_options;
    server_options.log = [](const porthole::LogEvent& event) {
        if (event.level >= porthole::LogLevel::warning) {
            const int size = static_cast<int>(event.sentence.size());
            std::fprintf(stderr, "%.*s\n", size, event.sentence.data());
        }
    };
    porthole::Server server(server_options);
    porthole::CgiOptions cgi_options;
    cgi_options.max_programs(bench::number_option<std::size_t>(argc, argv, "--programs", 4));
    if (auto error = server.mount("/cgi-bin", porthole::cgi(directory, cgi_options))) {
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
    while (bench::has_option(argc, argv, "--wait")) {
        server.wait(std::chrono::seconds(1));
    }
    run_game(server, plan);
    return 0;
}

#endif
