// SPDX-License-Identifier: MIT

// The smallest Porthole program: one file, one header, nothing to link.
//
//     g++ -std=c++17 -Isingle_include examples/hello.cpp -o hello && ./hello [port]
//
// It has no frame of its own, so it calls run(), which sleeps until somebody asks. A program with a
// main loop calls server.tick() in it instead: see game_loop.cpp.

#define PORTHOLE_IMPLEMENTATION // in exactly one source file of the program
#include <porthole.hpp>

#include <cstdint>
#include <cstdio>
#include <string_view>

int main(int argc, char** argv) {
    std::uint16_t port = 8080;
    if (argc > 1) {
        const auto wanted = porthole::parse_number<std::uint16_t>(argv[1]);
        if (!wanted) {
            std::fprintf(stderr, "usage: hello [port]   (0 to 65535; 0 takes a free one)\n");
            return 2;
        }
        port = *wanted;
    }

    porthole::Server server;
    server.get("/", [](const porthole::Request&, porthole::Response& response) {
        response.text("Hello from Porthole\n");
    });
    if (auto error = server.listen("localhost", port)) {
        std::fprintf(stderr, "%s\n", error.message().c_str());
        return 1;
    }
    for (const std::string& url : server.urls()) {
        std::printf("Listening on %s - Ctrl-C ends it\n", url.c_str());
    }
    std::fflush(stdout);
    server.run();
}
