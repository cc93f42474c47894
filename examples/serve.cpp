// SPDX-License-Identifier: MIT

// A static server in a terminal, to try Porthole on a folder:
//
//     g++ -std=c++17 -O2 -Isingle_include examples/serve.cpp -o serve && ./serve web/dist --listing
//
//     --port N      where to listen on localhost; 8080 by default, 0 takes a free one
//     --listing     show directories that have no index.html
//     --spa         answer unknown pages with index.html, for single-page applications
//     --dotfiles    serve names that begin with a dot, too
//     --cgi DIR     run the programs of that folder below /cgi-bin/
//
// It prints each request. In a program with a main loop the mount is the same; only run() becomes a
// tick() in each frame.

#define PORTHOLE_IMPLEMENTATION // in exactly one source file of the program
#include <porthole.hpp>

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

namespace {

struct Arguments {
    std::string directory;
    std::string programs;
    std::uint16_t port = 8080;
    bool is_quiet = false;
    porthole::FilesOptions files;
};

bool read_arguments(int argc, char** argv, Arguments& arguments) {
    for (int i = 1; i < argc; ++i) {
        const std::string_view argument = argv[i];
        if (argument == "--listing") {
            arguments.files.listing();
        } else if (argument == "--spa") {
            arguments.files.spa("index.html");
        } else if (argument == "--dotfiles") {
            arguments.files.dotfiles();
        } else if (argument == "--quiet") {
            arguments.is_quiet = true;
        } else if (argument == "--cgi" && i + 1 < argc) {
            arguments.programs = argv[++i];
        } else if (argument == "--port" && i + 1 < argc) {
            const auto port = porthole::parse_number<std::uint16_t>(argv[++i]);
            if (!port) {
                return false;
            }
            arguments.port = *port;
        } else if (argument.substr(0, 1) != "-" && arguments.directory.empty()) {
            arguments.directory = argument;
        } else {
            return false;
        }
    }
    return !arguments.directory.empty();
}

} // namespace

int main(int argc, char** argv) {
    Arguments arguments;
    if (!read_arguments(argc, argv, arguments)) {
        std::fprintf(
            stderr, "usage: serve DIR [--port N] [--listing] [--spa] [--dotfiles] [--cgi DIR] "
                    "[--quiet]\n");
        return 2;
    }

    porthole::Options options;
    if (!arguments.is_quiet) {
        options.access_log = [](const porthole::AccessRecord& record) {
            std::string line;
            porthole::write_common_log(record, line);
            std::fputs(line.c_str(), stdout);
        };
    }
    options.log = [](const porthole::LogEvent& event) {
        if (event.level >= porthole::LogLevel::warning) {
            std::fprintf(
                stderr, "%.*s\n", static_cast<int>(event.sentence.size()), event.sentence.data());
        }
    };
    porthole::Server server(options);
    if (!arguments.programs.empty()) {
        porthole::CgiOptions cgi;
        cgi.index({"index.cgi", "index.sh", "index.py"});
        if (auto error = server.mount("/cgi-bin", porthole::cgi(arguments.programs, cgi))) {
            std::fprintf(stderr, "%s\n", error.message().c_str());
            return 1;
        }
    }
    if (auto error = server.mount("/", porthole::files(arguments.directory, arguments.files))) {
        std::fprintf(stderr, "%s\n", error.message().c_str());
        return 1;
    }
    if (auto error = server.listen("localhost", arguments.port)) {
        std::fprintf(stderr, "%s\n--port N chooses another\n", error.message().c_str());
        return 1;
    }
    for (const std::string& url : server.urls()) {
        std::printf(
            "Serving %s on %s - Ctrl-C ends it\n", arguments.directory.c_str(), url.c_str());
    }
    std::fflush(stdout);
    server.run();
}
