// SPDX-License-Identifier: MIT

// The program that plays to the browser: a page with an audio element, the sound as a file, and a
// count of what was asked for and how it was answered. "plain" as the second argument serves the
// same bytes without ranges, so that the test can see that seeking needs them.
//
//     media DIRECTORY files|plain

#define PORTHOLE_IMPLEMENTATION
#include <porthole.hpp>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

namespace {

constexpr std::string_view page = R"html(<!doctype html>
<title>player</title>
<audio id="player" src="/sound.wav" preload="metadata" muted controls></audio>
)html";

std::string content_of(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
}

} // namespace

int main(int count, char** arguments) {
    using porthole::Request;
    using porthole::Response;
    if (count != 3) {
        std::fputs("media DIRECTORY files|plain\n", stderr);
        return 2;
    }
    const std::string directory = arguments[1];
    porthole::Server server;
    std::string answers; // JSON objects, one for each answer to a request for the sound
    server.after([&](const Request& request, Response& response) {
        if (request.path() == "/sound.wav") {
            std::string range;
            porthole::escape_for_log(request.header("Range").value_or(""), range);
            answers += answers.empty() ? "" : ",";
            answers += "{\"range\":\"" + range
                       + "\",\"status\":" + std::to_string(response.status()) + "}";
        }
    });
    server.get("/answers", [&](const Request&, Response& response) {
        response.json("[" + answers + "]");
    });
    server.get("/player", [](const Request&, Response& response) { response.html(page); });
    if (std::string_view(arguments[2]) == "plain") {
        server.get(
            "/sound.wav",
            [sound = content_of(directory + "/sound.wav")](const Request&, Response& response) {
                response.send("audio/wav", sound);
            });
    } else if (const auto error = server.mount("/", porthole::files(directory))) {
        std::fprintf(stderr, "%s\n", error.message().c_str());
        return 1;
    }
    if (const auto error = server.listen("localhost", 0)) {
        std::fprintf(stderr, "%s\n", error.message().c_str());
        return 1;
    }
    std::printf("%u\n", static_cast<unsigned>(server.port()));
    std::fflush(stdout);
    server.run();
    return 0;
}
