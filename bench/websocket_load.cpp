// SPDX-License-Identifier: MIT

// The WebSocket clients of websocket.py, the same ones for Porthole and for its peers: one thread,
// epoll, and no more work for a message than a client cannot avoid, so that the server is what is
// measured. Needs nothing of Porthole.
//
// Run:  websocket_load --port N [--target /] [--connections N] [--size BYTES] [--window N]
//                      [--seconds N] [--listen]
// Without --listen each connection keeps `window` messages of `size` bytes on their way and counts
// what comes back; it prints messages a second and the round trips' times. With --listen they only
// receive, as subscribers do; it prints how many messages the connections got, and the longest gap.

#include "options.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::nanoseconds;

constexpr std::size_t max_head = 10; // of a server's frame
constexpr std::size_t read_step = 256 * 1024;

[[noreturn]] void fail(const char* what) {
    std::fprintf(stderr, "%s: %s\n", what, std::strerror(errno));
    std::exit(1);
}

/// A client's binary frame: RFC 6455 section 5.2, with one mask key for all.
std::string make_frame(std::size_t size) {
    constexpr std::array<unsigned char, 4> key = {0x37, 0xfa, 0x21, 0x3d};
    std::string frame(1, '\x82');
    const auto append = [&frame](std::size_t value, int bytes) {
        for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) {
            frame += static_cast<char>(value >> shift & 0xff);
        }
    };
    constexpr std::size_t masked = 0x80;
    if (size < 126) {
        append(masked | size, 1);
    } else if (size < 65536) {
        append(masked | 126, 1);
        append(size, 2);
    } else {
        append(masked | 127, 1);
        append(size, 8);
    }
    frame.append(reinterpret_cast<const char*>(key.data()), key.size());
    for (std::size_t i = 0; i < size; ++i) {
        frame += static_cast<char>(static_cast<unsigned char>('a' + i % 26) ^ key[i % key.size()]);
    }
    return frame;
}

struct Connection {
    int fd = -1;
    std::size_t unsent = 0;       // bytes of the frames on their way
    std::size_t payload_left = 0; // of the frame that is being received
    std::array<unsigned char, max_head> head{};
    std::size_t head_size = 0;
    std::size_t message_size = 0; // of its frames so far
    bool is_writing = false;
    std::deque<Clock::time_point> sent; // when those that are not back yet were sent
    std::uint64_t received = 0;
    Clock::time_point last{};
};

class Load {
public:
    Load(int argc, char** argv)
        : size_(bench::number_option<std::size_t>(argc, argv, "--size", 64)),
          window_(bench::number_option<std::size_t>(argc, argv, "--window", 1)),
          is_listening_(bench::has_option(argc, argv, "--listen")),
          connections_(bench::number_option<std::size_t>(argc, argv, "--connections", 1)),
          frame_(make_frame(size_)), poller_(::epoll_create1(EPOLL_CLOEXEC)), bytes_(read_step) {
        const auto port = bench::number_option<std::uint16_t>(argc, argv, "--port", 0);
        const auto target = bench::text_option(argc, argv, "--target", "/");
        for (std::size_t i = 0; i < connections_.size(); ++i) {
            connect(connections_[i], port, target);
            epoll_event event{};
            event.events = EPOLLIN;
            event.data.u64 = i;
            ::epoll_ctl(poller_, EPOLL_CTL_ADD, connections_[i].fd, &event);
        }
        std::printf("connected\n");
        std::fflush(stdout);
    }

    void run(Clock::duration length) {
        if (!is_listening_) {
            for (Connection& connection : connections_) {
                for (std::size_t i = 0; i < window_; ++i) {
                    send_one(connection);
                }
            }
            pass(std::chrono::milliseconds(500)); // warms both sides up
            round_trips_.clear();
        }
        for (Connection& connection : connections_) {
            connection.received = 0;
        }
        longest_gap_ = nanoseconds::zero();
        messages_ = 0;
        const auto begin = Clock::now();
        pass(length);
        report(std::chrono::duration<double>(Clock::now() - begin).count());
    }

private:
    std::size_t size_;
    std::size_t window_;
    bool is_listening_;
    std::vector<Connection> connections_;
    std::string frame_;
    int poller_;
    std::vector<char> bytes_;
    std::uint64_t messages_ = 0;
    nanoseconds longest_gap_{};
    std::vector<nanoseconds> round_trips_;

    static void connect(Connection& connection, std::uint16_t port, std::string_view target) {
        connection.fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        const int on = 1;
        ::setsockopt(connection.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (::connect(connection.fd, reinterpret_cast<const sockaddr*>(&address), sizeof address)
            != 0) {
            fail("connect");
        }
        const std::string request = "GET " + std::string(target)
                                    + " HTTP/1.1\r\nHost: localhost:" + std::to_string(port)
                                    + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                                      "Sec-WebSocket-Version: 13\r\n\r\n";
        if (::send(connection.fd, request.data(), request.size(), MSG_NOSIGNAL)
            != static_cast<ssize_t>(request.size())) {
            fail("send");
        }
        // Byte by byte: what follows the head is a frame already.
        std::string answer;
        while (answer.size() < 4 || answer.compare(answer.size() - 4, 4, "\r\n\r\n") != 0) {
            char byte = 0;
            if (::recv(connection.fd, &byte, 1, 0) != 1) {
                fail("handshake");
            }
            answer += byte;
        }
        if (answer.compare(0, 12, "HTTP/1.1 101") != 0) {
            std::fprintf(stderr, "%s", answer.c_str());
            std::exit(1);
        }
        ::fcntl(connection.fd, F_SETFL, O_NONBLOCK);
        connection.last = Clock::now();
    }

    void pass(Clock::duration length) {
        const auto end = Clock::now() + length;
        std::array<epoll_event, 256> events{};
        for (auto now = Clock::now(); now < end; now = Clock::now()) {
            const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - now);
            const int count = ::epoll_wait(
                poller_, events.data(), static_cast<int>(events.size()),
                static_cast<int>(left.count()) + 1);
            for (int i = 0; i < count; ++i) {
                const epoll_event& event = events[static_cast<std::size_t>(i)];
                Connection& connection = connections_[event.data.u64];
                if ((event.events & EPOLLOUT) != 0) {
                    write(connection);
                }
                if ((event.events & ~unsigned{EPOLLOUT}) != 0) {
                    read(connection);
                }
            }
        }
    }

    void send_one(Connection& connection) {
        connection.sent.push_back(Clock::now());
        connection.unsent += frame_.size();
        write(connection);
    }

    void write(Connection& connection) {
        while (connection.unsent > 0) {
            // The rest of the frame that is under way, then whole ones.
            const std::size_t left = (connection.unsent - 1) % frame_.size() + 1;
            const ssize_t sent =
                ::send(connection.fd, frame_.data() + frame_.size() - left, left, MSG_NOSIGNAL);
            if (sent < 0) {
                if (errno != EAGAIN) {
                    fail("send");
                }
                break;
            }
            connection.unsent -= static_cast<std::size_t>(sent);
        }
        const bool is_writing = connection.unsent > 0;
        if (is_writing != connection.is_writing) {
            connection.is_writing = is_writing;
            epoll_event event{};
            event.events = is_writing ? EPOLLIN | EPOLLOUT : EPOLLIN;
            event.data.u64 = static_cast<std::uint64_t>(&connection - connections_.data());
            ::epoll_ctl(poller_, EPOLL_CTL_MOD, connection.fd, &event);
        }
    }

    void read(Connection& connection) {
        const ssize_t got = ::recv(connection.fd, bytes_.data(), bytes_.size(), 0);
        if (got <= 0) {
            if (got < 0 && errno == EAGAIN) {
                return;
            }
            errno = got == 0 ? ECONNRESET : errno;
            fail("recv");
        }
        std::string_view bytes(bytes_.data(), static_cast<std::size_t>(got));
        while (!bytes.empty()) {
            if (connection.payload_left == 0) {
                connection.head[connection.head_size++] = static_cast<unsigned char>(bytes[0]);
                bytes.remove_prefix(1);
                if (!take_head(connection)) {
                    continue;
                }
            }
            const std::size_t taken = (std::min)(connection.payload_left, bytes.size());
            bytes.remove_prefix(taken);
            connection.payload_left -= taken;
            if (connection.payload_left == 0) {
                finish_frame(connection);
            }
        }
    }

    /// True when the head is complete.
    static bool take_head(Connection& connection) {
        const auto& head = connection.head;
        if (connection.head_size < 2) {
            return false;
        }
        std::size_t size = head[1];
        const std::size_t more = size == 127 ? 8 : size == 126 ? 2 : 0;
        if (connection.head_size < 2 + more) {
            return false;
        }
        if (more > 0) {
            size = 0;
            for (std::size_t i = 0; i < more; ++i) {
                size = size << 8 | head[2 + i];
            }
        }
        connection.payload_left = size;
        connection.message_size += size;
        return true;
    }

    void finish_frame(Connection& connection) {
        constexpr unsigned opcode_bits = 0x0f;
        constexpr unsigned first_control = 8;
        const bool is_last = (connection.head[0] & 0x80U) != 0;
        connection.head_size = 0;
        if ((connection.head[0] & opcode_bits) >= first_control || !is_last) {
            return;
        }
        const std::size_t size = std::exchange(connection.message_size, 0);
        ++messages_;
        ++connection.received;
        const auto now = Clock::now();
        if (is_listening_) {
            longest_gap_ = (std::max)(longest_gap_, nanoseconds(now - connection.last));
            connection.last = now;
            return;
        }
        if (size != size_ || connection.sent.empty()) {
            std::fprintf(stderr, "an echo of %zu bytes\n", size);
            std::exit(1);
        }
        round_trips_.push_back(now - connection.sent.front());
        connection.sent.pop_front();
        send_one(connection);
    }

    void report(double seconds) {
        std::printf(
            "messages %llu rate %.1f\n", static_cast<unsigned long long>(messages_),
            static_cast<double>(messages_) / seconds);
        if (is_listening_) {
            const auto [least, most] = std::minmax_element(
                connections_.begin(), connections_.end(),
                [](const Connection& a, const Connection& b) { return a.received < b.received; });
            std::printf(
                "each between %llu and %llu, longest gap %.3f ms\n",
                static_cast<unsigned long long>(least->received),
                static_cast<unsigned long long>(most->received),
                std::chrono::duration<double, std::milli>(longest_gap_).count());
        } else if (!round_trips_.empty()) {
            std::sort(round_trips_.begin(), round_trips_.end());
            const auto at = [this](std::size_t hundredths) {
                const std::size_t index = (round_trips_.size() - 1) * hundredths / 100;
                return std::chrono::duration<double, std::micro>(round_trips_[index]).count();
            };
            std::printf("p50 %.1f p99 %.1f worst %.1f us\n", at(50), at(99), at(100));
        }
    }
};

} // namespace

int main(int argc, char** argv) {
    Load load(argc, argv);
    load.run(std::chrono::seconds(bench::number_option(argc, argv, "--seconds", 3)));
    return 0;
}
