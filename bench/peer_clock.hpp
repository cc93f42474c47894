// SPDX-License-Identifier: MIT
#pragma once

// What the peers of websocket.py have in common: 60 broadcasts a second for as many seconds as
// Porthole's side runs, how long each of them kept the thread, and a port for libraries that cannot
// tell which one they got.

#include "options.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace bench {

constexpr std::chrono::nanoseconds peer_frame_time(1'000'000'000 / 60);

/// Times what a peer does in its timer. Prints the figures and ends the program after the last one.
class PeerFrames {
public:
    PeerFrames(int argc, char** argv) : length_(number_option(argc, argv, "--seconds", 7)) {}

    template <class Frame>
    void measure(const Frame& frame) {
        const auto started = Clock::now();
        if (times_.empty()) {
            end_ = started + length_;
        }
        frame();
        times_.push_back(Clock::now() - started);
        if (started >= end_) {
            report();
            std::fflush(stdout);
            std::_Exit(0);
        }
    }

private:
    using Clock = std::chrono::steady_clock;

    std::chrono::seconds length_;
    Clock::time_point end_{};
    std::vector<Clock::duration> times_;

    void report() {
        std::sort(times_.begin(), times_.end());
        const std::size_t last = times_.size() - 1;
        const auto at = [this](std::size_t index) {
            return std::chrono::duration<double, std::milli>(times_[index]).count();
        };
        std::printf(
            "%zu frames\ntick wall p50 %.3f ms, p99 %.3f ms, worst %.3f ms\n", times_.size(),
            at(last / 2), at(last * 99 / 100), at(last));
    }
};

/// One that is free now: bound, asked for, and let go.
inline unsigned free_port() {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    socklen_t size = sizeof address;
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), size) != 0
        || ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
        std::perror("no free port");
        std::exit(1);
    }
    ::close(fd);
    return ntohs(address.sin_port);
}

} // namespace bench
