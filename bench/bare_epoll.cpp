// SPDX-License-Identifier: MIT

// Measures nothing by itself: it is the floor that compare.py holds Porthole against. The least
// that a program can do and still look like a web server to wrk: accept, read, find each blank
// line, and answer all of them with one send. No parser, no routes, no deadlines, no limits, and
// only for clients that send requests without bodies and take their answers.
//
// Run:  bare_epoll [--port N] [--answer-file PATH | --answer-bytes N]
// It prints "port N" and serves until it is killed. --answer-file gives the exact bytes to answer
// with, so that both servers send the same; --answer-bytes fills an answer up to that size.

#include "options.hpp"

#include <cstdio>

#if !defined(__linux__)

int main() {
    std::puts("bare_epoll needs Linux.");
    return 0;
}

#else

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

constexpr std::size_t read_bytes = 64 * 1024;
constexpr int max_events = 256;

std::string load_answer(int argc, char** argv) {
    std::string answer;
    const std::string path(bench::text_option(argc, argv, "--answer-file", {}));
    if (!path.empty()) {
        std::FILE* file = std::fopen(path.c_str(), "rb");
        if (file == nullptr) {
            std::perror(path.c_str());
            std::exit(1);
        }
        char piece[4096];
        for (std::size_t count = 0; (count = std::fread(piece, 1, sizeof piece, file)) > 0;) {
            answer.append(piece, count);
        }
        std::fclose(file);
        return answer;
    }
    const std::string body = "Hello from the bare loop\n";
    answer = "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
    const std::string_view filler = "X-Fill: ";
    const auto wanted = bench::number_option<std::size_t>(argc, argv, "--answer-bytes", 0);
    const std::size_t least = answer.size() + filler.size() + 4 + body.size();
    if (wanted > least) {
        answer += std::string(filler) + std::string(wanted - least, 'x') + "\r\n";
    }
    return answer + "\r\n" + body;
}

int open_listener(std::uint16_t port) {
    const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int on = 1;
    ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    socklen_t size = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    if (::bind(listener, generic, size) != 0 || ::listen(listener, SOMAXCONN) != 0
        || ::getsockname(listener, generic, &size) != 0) {
        std::perror("listen");
        std::exit(1);
    }
    bench::print_port(ntohs(address.sin_port));
    return listener;
}

/// Counts the blank lines in `bytes`; `matched` is how much of one the reads before ended with.
std::size_t count_heads(std::string_view bytes, std::uint8_t& matched) {
    constexpr std::string_view blank = "\r\n\r\n";
    std::size_t heads = 0;
    std::size_t at = 0;
    while (at < bytes.size()) {
        if (matched == 0) {
            at = bytes.find('\r', at);
            if (at == std::string_view::npos) {
                break;
            }
        }
        if (bytes[at] == blank[matched]) {
            ++at;
            if (++matched == blank.size()) {
                ++heads;
                matched = 0;
            }
        } else {
            matched = 0; // the byte is looked at again: it may begin a new line end
            at += bytes[at] == '\r' ? 0U : 1U;
        }
    }
    return heads;
}

void accept_all(int epoll, int listener, std::vector<std::uint8_t>& matched) {
    for (;;) {
        const int fd = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            return;
        }
        const int on = 1;
        ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (matched.size() <= static_cast<std::size_t>(fd)) {
            matched.resize(static_cast<std::size_t>(fd) + 1);
        }
        matched[static_cast<std::size_t>(fd)] = 0;
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.fd = fd;
        ::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    }
}

/// False when the connection is done with.
bool serve(int fd, char* buffer, std::string_view answers, std::size_t size, std::uint8_t& state) {
    const ssize_t count = ::recv(fd, buffer, read_bytes, 0);
    if (count <= 0) {
        return false;
    }
    const std::size_t heads = count_heads({buffer, static_cast<std::size_t>(count)}, state);
    if (heads == 0) {
        return true;
    }
    const std::size_t bytes = heads * size;
    if (bytes > answers.size()) {
        return false;
    }
    return ::send(fd, answers.data(), bytes, MSG_NOSIGNAL) == static_cast<ssize_t>(bytes);
}

} // namespace

int main(int argc, char** argv) {
    const std::string answer = load_answer(argc, argv);
    constexpr std::size_t max_pipelined = 4096;
    std::string answers; // as many as one read can ask for, ready to be sent
    for (std::size_t i = 0; i < max_pipelined; ++i) {
        answers += answer;
    }
    const int listener =
        open_listener(bench::number_option<std::uint16_t>(argc, argv, "--port", 0));
    const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = listener;
    ::epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);

    std::vector<char> buffer(read_bytes);
    std::vector<std::uint8_t> matched;
    epoll_event events[max_events];
    for (;;) {
        const int ready = ::epoll_wait(epoll, events, max_events, -1);
        for (int i = 0; i < ready; ++i) {
            const int fd = events[i].data.fd;
            if (fd == listener) {
                accept_all(epoll, listener, matched);
            } else if (!serve(
                           fd, buffer.data(), answers, answer.size(),
                           matched[static_cast<std::size_t>(fd)])) {
                ::close(fd);
            }
        }
    }
}

#endif
