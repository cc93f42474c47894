// SPDX-License-Identifier: MIT

// The server that foreign WebSocket clients talk to: each message comes back as it was. Prints
// "port N", serves until its input ends, and chooses no port by itself, so that tests can run side
// by side.
//
//     /          generous limits, compression where it is built in
//     /plain     the same without compression
//     /limits    the library's own limits
//     /close     closes with what the message says: "1000 reason"

#define PORTHOLE_IMPLEMENTATION
#include <porthole.hpp>

#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <string_view>
#include <thread>

using namespace porthole;

namespace {

void echo(WebSocket& socket, const Message& message) {
    socket.send(message);
}

void close_as_told(WebSocket& socket, const Message& message) {
    int code = 0;
    const char* end = message.data.data() + message.data.size();
    const auto parsed = std::from_chars(message.data.data(), end, code);
    std::string_view reason(parsed.ptr, static_cast<std::size_t>(end - parsed.ptr));
    if (!reason.empty()) {
        reason.remove_prefix(1);
    }
    socket.close(code, reason);
}

auto generous() {
    constexpr std::size_t max_message_bytes = std::size_t{64} * 1024 * 1024;
    constexpr std::size_t max_frames = 1'000'000; // 4 MiB in frames of 64 bytes are 65,536
    return websocket()
        .on_message(echo)
        .protocols({"echo", "mirror"})
        .max_message_bytes(max_message_bytes)
        .max_queue_bytes(2 * max_message_bytes)
        .max_frames(max_frames);
}

} // namespace

int main() {
    Server server;
    server.get("/", generous());
    server.get("/plain", generous().compression(false));
    server.get("/limits", websocket().on_message(echo));
    server.get("/close", websocket().on_message(close_as_told));
    if (auto error = server.listen("localhost", 0)) {
        std::fprintf(stderr, "%s\n", error.message().c_str());
        return 1;
    }
    std::printf("port %u\n", unsigned{server.port()});
    std::fflush(stdout);
    // Ends with the one who started it, however that one ends.
    std::thread parent([&server] {
        while (std::getchar() != EOF) {}
        server.stop();
    });
    server.run();
    parent.join();
    return 0;
}
