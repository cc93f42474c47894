// SPDX-License-Identifier: MIT

// Measures what Porthole takes from a game's frame under load: a loop at 60 frames a second with 4
// ms of work in each and tick(1 ms), the rest slept away, while frame_load.py lets wrk, an uploader
// and a slow reader at it.
//
// Run:  frame_load [--port N] [--seconds N] [--fps N] [--work-us N] [--budget-us N]
//                  [--rest sleep|tick_until]
// Read: "tick wall" includes what the system took the core away for; "tick cpu" is what the thread
// itself spent and is what Porthole answers for. A frame is late when its work and its tick end
// after the frame does; it is late because of Porthole when the work had left room for the tick's
// budget and the tick took more than that room.

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

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>
#include <thread>
#include <vector>

#include <time.h>

namespace {

using SteadyClock = std::chrono::steady_clock;
using std::chrono::nanoseconds;

nanoseconds thread_cpu_time() {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return std::chrono::seconds(time.tv_sec) + nanoseconds(time.tv_nsec);
}

// The game's own work: keeps the core busy for that long.
void work_for(nanoseconds time) {
    const auto end = SteadyClock::now() + time;
    while (SteadyClock::now() < end) {}
}

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

double milliseconds(nanoseconds time) {
    return std::chrono::duration<double, std::milli>(time).count();
}

void print_times(const char* name, std::vector<nanoseconds> times) {
    if (times.empty()) {
        return;
    }
    std::sort(times.begin(), times.end());
    const std::size_t last = times.size() - 1;
    std::printf(
        "%s p50 %.3f ms, p99 %.3f ms, worst %.3f ms\n", name, milliseconds(times[last / 2]),
        milliseconds(times[last * 99 / 100]), milliseconds(times[last]));
}

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

// They end a little later than the measurement; cut off, they would report errors that are none.
void let_clients_finish(porthole::Server& server) {
    const auto close_at = SteadyClock::now() + std::chrono::seconds(1);
    while (SteadyClock::now() < close_at) {
        server.tick_until(close_at);
    }
}

} // namespace

int main(int argc, char** argv) {
    const auto frame_time =
        nanoseconds(std::chrono::seconds(1)) / bench::number_option(argc, argv, "--fps", 60);
    const std::chrono::seconds length(bench::number_option(argc, argv, "--seconds", 7));
    const std::chrono::microseconds work(bench::number_option(argc, argv, "--work-us", 4000));
    const std::chrono::microseconds budget(bench::number_option(argc, argv, "--budget-us", 1000));
    const bool serves_rest = bench::text_option(argc, argv, "--rest", "sleep") == "tick_until";

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

    // The clock starts with the load, so that quiet frames do not flatter the figures.
    const auto give_up = SteadyClock::now() + std::chrono::seconds(10);
    while (server.stats().requests == 0 && SteadyClock::now() < give_up) {
        server.wait(std::chrono::milliseconds(100));
    }
    std::vector<nanoseconds> wall;
    std::vector<nanoseconds> cpu;
    std::size_t late = 0;
    std::size_t late_by_tick = 0;
    std::size_t late_by_tick_cpu = 0;
    const auto begin = SteadyClock::now();
    auto frame_end = begin;
    while (frame_end < begin + length) {
        frame_end += frame_time;
        work_for(work);
        const auto started = SteadyClock::now();
        const auto cpu_started = thread_cpu_time();
        server.tick(budget);
        cpu.push_back(thread_cpu_time() - cpu_started);
        const auto ended = SteadyClock::now();
        wall.push_back(ended - started);
        const auto left = frame_end - started;
        late += ended > frame_end ? 1U : 0U;
        late_by_tick += left >= budget && wall.back() > left ? 1U : 0U;
        late_by_tick_cpu += left >= budget && cpu.back() > left ? 1U : 0U;
        if (serves_rest) {
            server.tick_until(frame_end);
        } else {
            std::this_thread::sleep_until(frame_end);
        }
        frame_end = (std::max)(frame_end, SteadyClock::now()); // what is lost is lost
    }
    const double seconds = std::chrono::duration<double>(SteadyClock::now() - begin).count();
    const porthole::Stats stats = server.stats();
    std::printf("%zu frames in %.2f s\n", wall.size(), seconds);
    print_times("tick wall", wall);
    print_times("tick cpu ", cpu);
    std::printf(
        "frames late %zu; because of Porthole %zu by wall time, %zu by CPU time\n", late,
        late_by_tick, late_by_tick_cpu);
    std::printf(
        "requests %.0f/s, uploads %.1f MB/s in, sent %.1f MB/s\n",
        static_cast<double>(stats.requests) / seconds,
        static_cast<double>(uploaded) / seconds / 1e6,
        static_cast<double>(stats.bytes_out) / seconds / 1e6);
    std::fflush(stdout);
    let_clients_finish(server);
    return 0;
}

#endif
