// SPDX-License-Identifier: MIT

// Programs as web pages, from inside a frame loop: what a tool in shell, Python or Perl can do, a
// browser can ask for, and the loop does not notice.
//
//     g++ -std=c++17 -O2 -Isingle_include examples/cgi_tools.cpp -o cgi_tools && ./cgi_tools
//
//     --port N      where to listen on localhost; 8080 by default, 0 takes a free one
//     --dir DIR     where the programs lie; examples/cgi_tools by default
//     --frames N    ends after that many frames
//
// The folder has an index, the environment of a request, an upload that is hashed and counted while
// it comes, a log that streams for half a minute, and a form. How late the latest frame was is
// printed now and then: watch it while you upload a few gigabytes.

#define PORTHOLE_IMPLEMENTATION // in exactly one source file of the program
#include <porthole.hpp>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

namespace {

struct Arguments {
    std::string directory = "examples/cgi_tools";
    std::uint16_t port = 8080;
    std::uint64_t frames = 0; ///< 0: without end
};

template <class Number>
bool read_number(std::string_view text, Number& number) {
    const auto parsed = porthole::parse_number<Number>(text);
    number = parsed.value_or(number);
    return parsed.has_value();
}

bool read_arguments(int argc, char** argv, Arguments& arguments) {
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string_view name = argv[i];
        if (name == "--dir") {
            arguments.directory = argv[i + 1];
        } else if (
            !(name == "--port" && read_number(argv[i + 1], arguments.port))
            && !(name == "--frames" && read_number(argv[i + 1], arguments.frames))) {
            return false;
        }
    }
    return argc % 2 == 1;
}

bool fails(const porthole::Error& error) {
    if (error) {
        std::fprintf(stderr, "%s\n", error.message().c_str());
    }
    return static_cast<bool>(error);
}

/// The frame loop, which would update and render here; returns when its frames are over.
void run_frames(porthole::Server& server, std::uint64_t frames) {
    using Clock = std::chrono::steady_clock;
    constexpr auto frame = std::chrono::microseconds(16'667);
    constexpr std::uint64_t frames_in_report = 600;
    std::chrono::nanoseconds worst{0};
    auto next = Clock::now();
    for (std::uint64_t number = 1; frames == 0 || number <= frames; ++number) {
        next += frame;
        server.tick_until(next); // in a game: update, render, and then what is left of the frame
        const std::chrono::nanoseconds late = Clock::now() - next;
        worst = late > worst ? late : worst;
        if (number % frames_in_report == 0) {
            std::printf(
                "in the last ten seconds no frame was later than %.2f ms\n",
                std::chrono::duration<double, std::milli>(worst).count());
            std::fflush(stdout);
            worst = {};
        }
    }
}

} // namespace

int main(int argc, char** argv) {
    Arguments arguments;
    if (!read_arguments(argc, argv, arguments)) {
        std::fprintf(stderr, "usage: cgi_tools [--port N] [--dir DIR] [--frames N]\n");
        return 2;
    }
    porthole::Options options;
    options.log = [](const porthole::LogEvent& event) { // programs' own words, among others
        if (event.id != porthole::LogId::listening) {
            std::fprintf(
                stderr, "%.*s\n", static_cast<int>(event.sentence.size()), event.sentence.data());
        }
    };
    porthole::Server server(options);
    porthole::CgiOptions cgi;
    cgi.index({"index.sh"}).timeout(std::chrono::seconds(60));
    if (fails(server.mount("/", porthole::cgi(arguments.directory, cgi)))) {
        std::fprintf(stderr, "--dir DIR tells where the folder examples/cgi_tools lies\n");
        return 1;
    }
    if (fails(server.listen("localhost", arguments.port))) {
        std::fprintf(stderr, "--port N chooses another\n");
        return 1;
    }
    for (const std::string& url : server.urls()) {
        std::printf("The tools are at %s - Ctrl-C ends them\n", url.c_str());
    }
    std::fflush(stdout);
    run_frames(server, arguments.frames);
    return 0;
}
