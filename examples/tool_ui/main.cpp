// SPDX-License-Identifier: MIT

// A small tool whose whole web interface is baked into the program: pages, styles, a JavaScript
// module, images and a font. The page shows the frames of a pretended game and can change them.
//
//     cmake --workflow --preset demo && build/demo/examples/tool_ui/tool_ui [port]
//
// In a Debug build the same line, server.mount(), reads examples/tool_ui/web instead: change a file
// there, and the browser shows it at once.

#include <app_assets.hpp> // porthole_embed_assets() makes it; it includes porthole.hpp

#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

namespace {

/// What the page shows and changes. Handlers run on the thread that ticks, so it has no lock.
struct Game {
    std::uint64_t frames = 0;
    double speed = 1.0;
    double angle = 0.0;

    void update() {
        constexpr double radians_per_frame = 0.02;
        angle += radians_per_frame * speed;
        ++frames;
    }
    std::string as_json() const {
        constexpr std::size_t size = 128;
        char text[size];
        std::snprintf(
            text, sizeof text, R"({"frames":%llu,"speed":%.2f,"x":%.4f,"y":%.4f})",
            static_cast<unsigned long long>(frames), speed, std::cos(angle), std::sin(angle));
        return text;
    }
};

void add_routes(porthole::Server& server, Game& game) {
    server.get("/api/game", [&game](const porthole::Request&, porthole::Response& response) {
        response.header("Cache-Control", "no-store").json(game.as_json());
    });
    server.put(
        "/api/speed", [&game](const porthole::Request& request, porthole::Response& response) {
            constexpr int percent = 100;
            constexpr int most = 500;
            const auto value = porthole::parse_number<int>(request.body());
            if (!value || *value < 0 || *value > most) {
                response.fail(400, "The speed is a number from 0 to 500, in percent.");
                return;
            }
            game.speed = static_cast<double>(*value) / percent;
            response.no_content();
        });
}

} // namespace

int main(int argc, char** argv) {
    std::uint16_t port = 8080;
    if (argc > 1) {
        const auto wanted = porthole::parse_number<std::uint16_t>(argv[1]);
        if (!wanted) {
            std::fprintf(stderr, "usage: tool_ui [port]   (0 to 65535; 0 takes a free one)\n");
            return 2;
        }
        port = *wanted;
    }

    Game game;
    porthole::Server server;
    add_routes(server, game);
    if (auto error = server.mount("/", app_assets::bundle())) {
        std::fprintf(stderr, "%s\n", error.message().c_str());
        return 1;
    }
    if (auto error = server.listen("localhost", port)) {
        std::fprintf(stderr, "%s\n", error.message().c_str());
        return 1;
    }
    std::printf("%s - Ctrl-C ends it\n", server.urls().front().c_str());
    std::fflush(stdout);

    constexpr std::chrono::microseconds frame{16'667};
    auto next_frame = std::chrono::steady_clock::now();
    while (server.is_running()) {
        game.update();
        next_frame += frame;
        server.tick_until(next_frame); // serves for the rest of the frame instead of sleeping
    }
}
