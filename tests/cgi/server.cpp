// SPDX-License-Identifier: MIT

// The server of run.py: programs that others have written, behind CGI mounts. Prints its port, and
// ends when its standard input does.

#define PORTHOLE_IMPLEMENTATION
#include <porthole.hpp>

#include <chrono>
#include <cstdio>
#include <string>
#include <thread>

namespace {

bool fails(const porthole::Error& error) {
    if (error) {
        std::fprintf(stderr, "%s\n", error.message().c_str());
    }
    return static_cast<bool>(error);
}

} // namespace

// server CGI-DIR REPOSITORIES GIT-HTTP-BACKEND [PHP-CGI [PHP-FPM-ADDRESS]]; "-" for what is not
// there
int main(int argc, char** argv) {
    if (argc < 4) {
        return 2;
    }
    porthole::Options options;
    options.log = [](const porthole::LogEvent& event) {
        std::fprintf(
            stderr, "%.*s\n", static_cast<int>(event.sentence.size()), event.sentence.data());
    };
    porthole::Server server(options);
    porthole::CgiOptions cgi;
    if (argc > 4 && std::string(argv[4]) != "-") {
        cgi.interpreter(".php", argv[4]);
    }
    if (fails(server.mount("/cgi-bin", porthole::cgi(argv[1], cgi)))) {
        return 1;
    }
    const porthole::CgiVariables git{
        {"GIT_PROJECT_ROOT", argv[2]}, {"GIT_HTTP_EXPORT_ALL", "1"}, {"REMOTE_USER", "tester"}};
    porthole::CgiOptions streamed;
    streamed.chunked_upload(porthole::ChunkedUpload::stream);
    if (std::string(argv[3]) != "-"
        && (fails(server.mount("/git", porthole::cgi_program(argv[3], git)))
            || fails(
                server.mount("/git-streamed", porthole::cgi_program(argv[3], git, streamed))))) {
        return 1;
    }
    porthole::FastCgiOptions fpm;
    fpm.document_root(argv[1]);
    if (argc > 5 && std::string(argv[5]) != "-"
        && fails(server.mount("/fpm", porthole::fastcgi(argv[5], fpm)))) {
        return 1;
    }
    if (fails(server.listen("127.0.0.1", 0))) {
        return 1;
    }
    std::printf("%u\n", static_cast<unsigned>(server.port()));
    std::fflush(stdout);
    std::thread([&server] { // the runner's end is this program's
        while (std::getchar() != EOF) {}
        server.stop();
    })
        .detach();
    server.run();
    return 0;
}
