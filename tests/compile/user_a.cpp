// SPDX-License-Identifier: MIT

#include "user.hpp"

#include <cstdio>
#include <string>

int main() {
    porthole::Server server;
    if (add_routes(server) != 2) {
        return 1;
    }
    if (auto error = server.listen("localhost", 0)) {
        std::fprintf(stderr, "%s\n", error.message().c_str());
        return 1;
    }
    const porthole::TickReport report = server.tick();
    return server.port() != 0 && report.requests == 0 ? 0 : 1;
}
