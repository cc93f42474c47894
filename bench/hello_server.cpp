// SPDX-License-Identifier: MIT

// Measures nothing by itself: it is the Porthole side of compare.py and syscalls.sh. The hello
// example, waiting in wait(), with the options that a bench needs.
//
// Run:  hello_server [--port N] [--poller automatic|epoll|poll] [--seconds N]
// It prints "port N" and serves until it is killed, or for that many seconds.

#include "options.hpp"

#define PORTHOLE_IMPLEMENTATION
#include <porthole.hpp>

#include <chrono>
#include <cstdint>
#include <cstdio>

int main(int argc, char** argv) {
    porthole::Options options;
    const std::string_view poller = bench::text_option(argc, argv, "--poller", "automatic");
    options.poller = poller == "epoll"  ? porthole::PollerKind::epoll
                     : poller == "poll" ? porthole::PollerKind::poll
                                        : porthole::PollerKind::automatic;
    porthole::Server server(options);
    server.get("/", [](const porthole::Request&, porthole::Response& response) {
        response.text("Hello from Porthole\n");
    });
    porthole::ListenOptions listen_options;
    listen_options.family = porthole::Family::ipv4;
    const auto port = bench::number_option<std::uint16_t>(argc, argv, "--port", 0);
    if (auto error = server.listen("localhost", port, listen_options)) {
        std::fprintf(stderr, "%s\n", error.message().c_str());
        return 1;
    }
    bench::print_port(server.port());
    const int seconds = bench::number_option(argc, argv, "--seconds", 0);
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
    while (seconds == 0 || std::chrono::steady_clock::now() < end) {
        server.wait(std::chrono::seconds(1));
    }
    return 0;
}
