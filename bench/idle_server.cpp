// SPDX-License-Identifier: MIT

// Measures nothing by itself: syscalls.sh runs it under strace. A frame loop that ticks and sleeps,
// with a given number of idle connections, and marks in the trace where the measured part begins
// and ends, so that start-up and accepting do not count.
//
// Run:  idle_server [--connections K] [--ticks N] [--poller automatic|epoll|poll]
// It prints "port N", waits up to 20 s until K clients are connected, writes "begin", makes N ticks
// at 60 a second, and writes "end".

#include "options.hpp"

#define PORTHOLE_IMPLEMENTATION
#include <porthole.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <thread>

namespace {

// Unbuffered, so that the mark is a system call of its own in the trace.
void mark(const char* text) {
    std::fputs(text, stdout);
    std::fflush(stdout);
}

} // namespace

int main(int argc, char** argv) {
    const auto connections = bench::number_option<std::size_t>(argc, argv, "--connections", 0);
    const int ticks = bench::number_option(argc, argv, "--ticks", 300);
    const std::string_view poller = bench::text_option(argc, argv, "--poller", "automatic");

    porthole::Options options;
    options.limits.max_connections = connections + 16;
    options.limits.head_timeout = std::chrono::minutes(10);
    options.limits.idle_timeout = std::chrono::minutes(10);
    options.poller = poller == "epoll"  ? porthole::PollerKind::epoll
                     : poller == "poll" ? porthole::PollerKind::poll
                                        : porthole::PollerKind::automatic;
    porthole::Server server(options);
    porthole::ListenOptions listen_options;
    listen_options.family = porthole::Family::ipv4;
    if (auto error = server.listen("localhost", 0, listen_options)) {
        std::fprintf(stderr, "%s\n", error.message().c_str());
        return 1;
    }
    bench::print_port(server.port());

    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (server.stats().connections < connections) {
        server.wait(std::chrono::milliseconds(100));
        if (std::chrono::steady_clock::now() > give_up) {
            std::fprintf(stderr, "only %zu clients came\n", server.stats().connections);
            return 1;
        }
    }
    server.tick();
    const auto frame_time = std::chrono::nanoseconds(std::chrono::seconds(1)) / 60;
    auto next_frame = std::chrono::steady_clock::now();
    mark("begin\n");
    for (int i = 0; i < ticks; ++i) {
        server.tick();
        next_frame += frame_time;
        std::this_thread::sleep_until(next_frame);
    }
    mark("end\n");
    return server.stats().connections == connections ? 0 : 1;
}
