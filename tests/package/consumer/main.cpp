// SPDX-License-Identifier: MIT

// A program that uses an installed Porthole. With PORTHOLE_CONSUMER_IMPLEMENTS it carries the
// implementation itself, as after a plain copy of the single header.

#ifdef PORTHOLE_CONSUMER_IMPLEMENTS
#define PORTHOLE_IMPLEMENTATION
#endif
#include <porthole.hpp>

#include <cstdio>

int main() {
    porthole::Server server;
    server.get("/", [](const porthole::Request&, porthole::Response& response) {
        response.text("Hello\n");
    });
    // What may need zlib.
    server.get(
        "/echo", porthole::websocket().on_message(
                     [](porthole::WebSocket& socket, const porthole::Message& message) {
                         socket.send(message);
                     }));
    if (auto error = server.listen("localhost", 0)) {
        std::fprintf(stderr, "%s\n", error.message().c_str());
        return 1;
    }
    server.tick();
    std::printf("porthole %s listens\n", PORTHOLE_VERSION_STRING);
    return server.port() != 0 ? 0 : 1;
}
