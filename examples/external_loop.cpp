// SPDX-License-Identifier: MIT

// The host owns the event loop. A program that already waits in poll(), epoll, libuv, GLib or a
// window system's own loop hands Porthole's descriptor to it and calls tick() when it is readable.
// Three calls are all it takes: native_handle() or for_each_pollfd(), next_deadline(), tick().
//
//     g++ -std=c++17 -Isingle_include examples/external_loop.cpp
//     ./a.out [port] [epoll|poll]
//
// Here the host waits for two things, lines on standard input and Porthole: type a line and it is
// what the page shows; "quit" ends the program.

#define PORTHOLE_IMPLEMENTATION // in exactly one source file of the program
#include <porthole.hpp>

#include <cstdio>

#if defined(_WIN32)

int main() {
    // WSAPoll() takes sockets only, and the console is not one. On Windows use for_each_pollfd()
    // with WSAPoll() or WSAEventSelect() beside MsgWaitForMultipleObjects(), in the same way.
    std::puts("external_loop needs POSIX poll(); see the comment in its source for Windows.");
    return 0;
}

#else

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <poll.h>
#include <unistd.h>

namespace {

// How long poll() may sleep, in its own unit. Rounded up, so that it does not wake just before the
// deadline and spin.
int poll_timeout(porthole::TimePoint deadline) {
    if (deadline == porthole::TimePoint::max()) {
        return -1;
    }
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) {
        return 0;
    }
    constexpr int longest = 60'000;
    return left.count() > longest ? longest : static_cast<int>(left.count());
}

// What the server wants poll() to watch. With epoll and kqueue that is one descriptor, which can be
// registered once and for all; with PollerKind::poll it is a set that changes as clients come and
// go, so it is asked for anew each time.
void add_server(const porthole::Server& server, std::vector<pollfd>& fds) {
    if (server.native_handle() != porthole::invalid_handle) {
        fds.push_back({static_cast<int>(server.native_handle()), POLLIN, 0});
        return;
    }
    server.for_each_pollfd([&fds](porthole::NativeHandle handle, porthole::Interest interest) {
        const int events = (interest.read ? POLLIN : 0) | (interest.write ? POLLOUT : 0);
        fds.push_back({static_cast<int>(handle), static_cast<short>(events), 0});
    });
}

// The host's own source of events: false when standard input has ended.
bool read_lines(std::string& pending, std::string& message, bool& should_quit) {
    char piece[512];
    const ssize_t count = ::read(STDIN_FILENO, piece, sizeof piece);
    if (count <= 0) {
        return count < 0 && errno == EINTR;
    }
    pending.append(piece, static_cast<std::size_t>(count));
    for (std::size_t end = 0; (end = pending.find('\n')) != std::string::npos;) {
        message = pending.substr(0, end);
        pending.erase(0, end + 1);
        should_quit = should_quit || message == "quit";
    }
    return true;
}

void loop(porthole::Server& server, std::string& message) {
    std::string pending;
    std::vector<pollfd> fds;
    bool has_input = true;
    bool should_quit = false;
    bool has_more = true;
    while (!should_quit) {
        fds.clear();
        fds.push_back({has_input ? STDIN_FILENO : -1, POLLIN, 0}); // poll() skips -1
        add_server(server, fds);
        // A tick whose budget ran out has work left: come back at once.
        const int timeout = has_more ? 0 : poll_timeout(server.next_deadline());
        if (::poll(fds.data(), static_cast<nfds_t>(fds.size()), timeout) < 0 && errno != EINTR) {
            std::perror("poll");
            return;
        }
        if (fds[0].revents != 0) {
            has_input = read_lines(pending, message, should_quit);
        }
        // Whatever woke the loop, a tick is right: one with nothing to do is a single system call.
        has_more = server.tick().more;
    }
}

} // namespace

int main(int argc, char** argv) {
    const auto port = porthole::parse_number<std::uint16_t>(argc > 1 ? argv[1] : "8080");
    if (!port) {
        std::fprintf(stderr, "usage: external_loop [port] [epoll|poll]\n");
        return 2;
    }
    porthole::Options options;
    if (argc > 2 && std::string_view(argv[2]) == "poll") {
        options.poller = porthole::PollerKind::poll;
    }
    porthole::Server server(options);
    std::string message = "Nothing typed yet";

    server.get("/", [&message](const porthole::Request&, porthole::Response& response) {
        response.text(message + "\n");
    });
    if (auto error = server.listen("localhost", *port)) {
        std::fprintf(stderr, "%s\n", error.message().c_str());
        return 1;
    }
    for (const std::string& url : server.urls()) {
        std::printf("Listening on %s - type a line, or quit\n", url.c_str());
    }
    std::fflush(stdout);
    loop(server, message);
}

#endif
