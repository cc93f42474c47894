// SPDX-License-Identifier: MIT

// Measures nothing by itself: hostile.py attacks it. A loop at 60 frames a second that ticks and
// sleeps, tells when each deadline cut a connection, and at the end what the ticks took.
//
// Run:  hostile_server [--seconds N] [--poller automatic|epoll|poll]
// It prints "port N", and at the end lines of "name value".

#include "options.hpp"

#define PORTHOLE_IMPLEMENTATION
#include <porthole.hpp>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <thread>

namespace {

double milliseconds(std::chrono::nanoseconds time) {
    return std::chrono::duration<double, std::milli>(time).count();
}

} // namespace

int main(int argc, char** argv) {
    using Clock = std::chrono::steady_clock;
    const int seconds = bench::number_option(argc, argv, "--seconds", 60);
    const std::string_view poller = bench::text_option(argc, argv, "--poller", "automatic");
    const auto begin = Clock::now();
    std::uint64_t cut = 0;
    double first_cut = 0;
    double last_cut = 0;

    porthole::Options options;
    options.poller = poller == "epoll"  ? porthole::PollerKind::epoll
                     : poller == "poll" ? porthole::PollerKind::poll
                                        : porthole::PollerKind::automatic;
    options.log = [&](const porthole::LogEvent& event) {
        if (event.id == porthole::LogId::timed_out) {
            last_cut = std::chrono::duration<double>(Clock::now() - begin).count();
            first_cut = cut++ == 0 ? last_cut : first_cut;
        }
    };
    porthole::Server server(options);
    server.get("/", [](const porthole::Request&, porthole::Response& response) {
        response.text("Hello from Porthole\n");
    });
    server.get("/large", [](const porthole::Request&, porthole::Response& response) {
        response.body(std::string(1024 * 1024, 'x'));
    });
    server.post(
        "/", [](const porthole::Request&, porthole::Response& response) { response.no_content(); });
    porthole::ListenOptions listen_options;
    listen_options.family = porthole::Family::ipv4;
    if (auto error = server.listen("localhost", 0, listen_options)) {
        std::fprintf(stderr, "%s\n", error.message().c_str());
        return 1;
    }
    bench::print_port(server.port());

    constexpr std::chrono::microseconds frame{16'667};
    auto next = begin;
    while (Clock::now() - begin < std::chrono::seconds(seconds)) {
        server.tick();
        next += frame;
        std::this_thread::sleep_until(next);
    }
    const porthole::Stats stats = server.stats();
    std::printf("tick_p50_ms %.3f\n", milliseconds(stats.tick_times.percentile(0.5)));
    std::printf("tick_p99_ms %.3f\n", milliseconds(stats.tick_times.percentile(0.99)));
    std::printf("tick_worst_ms %.3f\n", milliseconds(stats.tick_times.longest()));
    std::printf("accepted %llu\n", static_cast<unsigned long long>(stats.accepted));
    std::printf("requests %llu\n", static_cast<unsigned long long>(stats.requests));
    std::printf("accept_backoffs %llu\n", static_cast<unsigned long long>(stats.accept_backoffs));
    std::printf("cut_by_deadline %llu\n", static_cast<unsigned long long>(cut));
    std::printf("first_cut_s %.1f\n", first_cut);
    std::printf("last_cut_s %.1f\n", last_cut);
    return 0;
}
