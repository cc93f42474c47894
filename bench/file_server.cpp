// SPDX-License-Identifier: MIT

// Measures nothing by itself: it is the Porthole side of files.py. Serves a directory.
//
// Run:  file_server --directory DIR [--port N]
// It prints "port N" and serves until it is killed.

#include "options.hpp"

#define PORTHOLE_IMPLEMENTATION
#include <porthole.hpp>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>

int main(int argc, char** argv) {
    porthole::Server server;
    const std::string directory(bench::text_option(argc, argv, "--directory", "."));
    if (auto error = server.mount("/", porthole::files(directory))) {
        std::fprintf(stderr, "%s\n", error.message().c_str());
        return 1;
    }
    porthole::ListenOptions listen_options;
    listen_options.family = porthole::Family::ipv4;
    const auto port = bench::number_option<std::uint16_t>(argc, argv, "--port", 0);
    if (auto error = server.listen("localhost", port, listen_options)) {
        std::fprintf(stderr, "%s\n", error.message().c_str());
        return 1;
    }
    bench::print_port(server.port());
    for (;;) {
        server.wait(std::chrono::seconds(1));
    }
}
