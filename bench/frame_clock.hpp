// SPDX-License-Identifier: MIT
#pragma once

// A game's main loop with a Porthole server in it, and what the server takes from its frames. For
// POSIX, whose clock of a thread's CPU time tells Porthole's part from that of other programs. The
// program that includes this has included <porthole.hpp> before, with its implementation.
//
// Read: "tick wall" includes what the system took the core away for; "tick cpu" is what the thread
// itself spent and is what Porthole answers for. A frame is late when its work and its tick end
// after the frame does; it is late because of Porthole when the work had left room for the tick's
// budget and the tick took more than that room.

#include "options.hpp"

#include <porthole.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <thread>
#include <vector>

#include <time.h>

namespace bench {

using SteadyClock = std::chrono::steady_clock;
using std::chrono::nanoseconds;

/// How the frames go: 60 a second with 4 ms of work and tick(1 ms) in each, the rest slept away,
/// unless options say otherwise.
struct FramePlan {
    FramePlan(int argc, char** argv)
        : frame_time(nanoseconds(std::chrono::seconds(1)) / number_option(argc, argv, "--fps", 60)),
          length(number_option(argc, argv, "--seconds", 7)),
          work(number_option(argc, argv, "--work-us", 4000)),
          budget(number_option(argc, argv, "--budget-us", 1000)),
          serves_rest(text_option(argc, argv, "--rest", "sleep") == "tick_until") {}

    nanoseconds frame_time;
    std::chrono::seconds length;
    std::chrono::microseconds work;
    std::chrono::microseconds budget;
    bool serves_rest;
};

inline nanoseconds thread_cpu_time() {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return std::chrono::seconds(time.tv_sec) + nanoseconds(time.tv_nsec);
}

/// The game's own work: keeps the core busy for that long.
inline void work_for(nanoseconds time) {
    const auto end = SteadyClock::now() + time;
    while (SteadyClock::now() < end) {}
}

inline double milliseconds(nanoseconds time) {
    return std::chrono::duration<double, std::milli>(time).count();
}

inline void print_times(const char* name, std::vector<nanoseconds> times) {
    if (times.empty()) {
        return;
    }
    std::sort(times.begin(), times.end());
    const std::size_t last = times.size() - 1;
    std::printf(
        "%s p50 %.3f ms, p99 %.3f ms, worst %.3f ms\n", name, milliseconds(times[last / 2]),
        milliseconds(times[last * 99 / 100]), milliseconds(times[last]));
}

/// The clock starts with the load, so that quiet frames do not flatter the figures.
inline void wait_for_load(porthole::Server& server) {
    const auto give_up = SteadyClock::now() + std::chrono::seconds(10);
    while (server.stats().requests == 0 && SteadyClock::now() < give_up) {
        server.wait(std::chrono::milliseconds(100));
    }
}

/// Runs the frames until the plan's time is over, or `is_done`; prints what their ticks took, and
/// returns how many seconds it all lasted.
template <class IsDone>
double run_frames(porthole::Server& server, const FramePlan& plan, const IsDone& is_done) {
    std::vector<nanoseconds> wall;
    std::vector<nanoseconds> cpu;
    std::size_t late = 0;
    std::size_t late_by_tick = 0;
    std::size_t late_by_tick_cpu = 0;
    const auto begin = SteadyClock::now();
    auto frame_end = begin;
    while (frame_end < begin + plan.length && !is_done()) {
        frame_end += plan.frame_time;
        work_for(plan.work);
        const auto started = SteadyClock::now();
        const auto cpu_started = thread_cpu_time();
        server.tick(plan.budget);
        cpu.push_back(thread_cpu_time() - cpu_started);
        const auto ended = SteadyClock::now();
        wall.push_back(ended - started);
        const auto left = frame_end - started;
        late += ended > frame_end ? 1U : 0U;
        late_by_tick += left >= plan.budget && wall.back() > left ? 1U : 0U;
        late_by_tick_cpu += left >= plan.budget && cpu.back() > left ? 1U : 0U;
        if (plan.serves_rest) {
            server.tick_until(frame_end);
        } else {
            std::this_thread::sleep_until(frame_end);
        }
        frame_end = (std::max)(frame_end, SteadyClock::now()); // what is lost is lost
    }
    const double seconds = std::chrono::duration<double>(SteadyClock::now() - begin).count();
    std::printf("%zu frames in %.2f s\n", wall.size(), seconds);
    print_times("tick wall", wall);
    print_times("tick cpu ", cpu);
    std::printf(
        "frames late %zu; because of Porthole %zu by wall time, %zu by CPU time\n", late,
        late_by_tick, late_by_tick_cpu);
    return seconds;
}

inline double run_frames(porthole::Server& server, const FramePlan& plan) {
    return run_frames(server, plan, [] { return false; });
}

/// They end a little later than the measurement; cut off, they would report errors that are none.
inline void let_clients_finish(porthole::Server& server) {
    const auto close_at = SteadyClock::now() + std::chrono::seconds(1);
    while (SteadyClock::now() < close_at) {
        server.tick_until(close_at);
    }
}

} // namespace bench
