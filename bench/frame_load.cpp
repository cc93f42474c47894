// SPDX-License-Identifier: MIT

// Measures what Porthole takes from a game's frame under load: a loop at 60 frames a second with 4
// ms of work in each and tick(1 ms), the rest slept away, while frame_load.py lets wrk, an uploader
// and a slow reader at it.
//
// Run:  frame_load [--port N] [--seconds N] [--fps N] [--work-us N] [--budget-us N]
//                  [--rest sleep|tick_until]
// Read: frame_clock.hpp says what the times mean, and when a frame is late because of Porthole.

#include "options.hpp"

#define PORTHOLE_IMPLEMENTATION
#include <porthole.hpp>

#include <cstdio>

#if defined(_WIN32)

int main() {
    std::puts("frame_load needs POSIX for the thread's CPU clock.");
    return 0;
}

#else

#include "frame_clock.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>

namespace {

// An answer of 64 MiB that is never in memory as a whole.
class Zeros final : public porthole::BodySource {
public:
    static constexpr std::uint64_t total = 64ULL * 1024 * 1024;
    std::optional<std::uint64_t> size() const override { return total; }
    Piece pull(char* into, std::size_t capacity) override {
        const auto bytes = static_cast<std::size_t>((std::min<std::uint64_t>)(left_, capacity));
        std::memset(into, 0, bytes);
        left_ -= bytes;
        return {left_ == 0 ? State::end : State::more, bytes};
    }

private:
    std::uint64_t left_ = total;
};

void add_routes(porthole::Server& server, std::uint64_t& uploaded) {
    server.get("/", [](const porthole::Request&, porthole::Response& response) {
        response.text("Hello from the frame loop\n");
    });
    constexpr std::uint64_t max_upload_bytes = 2 * 1024 * 1024;
    server
        .post(
            "/upload",
            [&uploaded](const porthole::Request& request, porthole::Response& response) {
                uploaded += request.body().size();
                response.no_content();
            })
        .max_body_bytes(max_upload_bytes);
    server.get("/big", [](const porthole::Request&, porthole::Response& response) {
        response.send("application/octet-stream", std::make_unique<Zeros>());
    });
}

} // namespace

int main(int argc, char** argv) {
    const bench::FramePlan plan(argc, argv);
    porthole::Server server;
    std::uint64_t uploaded = 0;
    add_routes(server, uploaded);
    porthole::ListenOptions options;
    options.family = porthole::Family::ipv4;
    const auto port = bench::number_option<std::uint16_t>(argc, argv, "--port", 0);
    if (auto error = server.listen("localhost", port, options)) {
        std::fprintf(stderr, "%s\n", error.message().c_str());
        return 1;
    }
    bench::print_port(server.port());

    bench::wait_for_load(server);
    const double seconds = bench::run_frames(server, plan);
    const porthole::Stats stats = server.stats();
    std::printf(
        "requests %.0f/s, uploads %.1f MB/s in, sent %.1f MB/s\n",
        static_cast<double>(stats.requests) / seconds,
        static_cast<double>(uploaded) / seconds / 1e6,
        static_cast<double>(stats.bytes_out) / seconds / 1e6);
    std::fflush(stdout);
    bench::let_clients_finish(server);
    return 0;
}

#endif
