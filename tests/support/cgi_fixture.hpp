// SPDX-License-Identifier: MIT
#pragma once

// A server with a mounted directory of programs: scripts of tests/programs/child.cpp, which run
// everywhere, and, where there is a shell, its own.

#include "support/options.hpp"
#include "support/socket_client.hpp"
#include "support/temporary_directory.hpp"

#include <chrono>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace porthole_test {

class CgiFixture {
public:
    explicit CgiFixture(porthole::Options server_options = options())
        : server(with_log(std::move(server_options), lines)) {
        place.make_directory("root");
    }

    /// Commands of the child program; "\\n" ends a line in what is printed.
    void script(std::string_view name, const std::vector<std::string>& commands) {
        std::string text;
        for (const std::string& command : commands) {
            text += command + "\n";
        }
        place.write("root/" + std::string(name), text);
    }
    /// A program that the system runs by itself. POSIX only.
    void shell(std::string_view name, std::string_view text) {
        place.write("root/" + std::string(name), "#!/bin/sh\n" + std::string(text));
        allow("root/" + std::string(name));
    }
    void allow(std::string_view name) {
        std::error_code code;
        std::filesystem::permissions(
            place.path(name), std::filesystem::perms::owner_exec,
            std::filesystem::perm_options::add, code);
        REQUIRE_FALSE(code);
    }

    void mount(porthole::CgiOptions cgi = {}) {
        cgi.interpreter(".run", PORTHOLE_TEST_CHILD);
        accept(server.mount("/cgi-bin", porthole::cgi(place.path("root"), std::move(cgi))));
        accept(server.listen("127.0.0.1", 0));
    }
    void accept(const porthole::Error& error) { REQUIRE(error.message() == "no error"); }

    /// On a connection of its own.
    porthole::testing::Answer send(std::string_view bytes, bool is_head = false) {
        SocketClient client("127.0.0.1", server.port());
        client.send(bytes);
        porthole::testing::Answer answer;
        bool has_answer = false;
        const bool is_done = pump_until(server, {&client}, [&] {
            has_answer = has_answer || client.take_answer(answer, is_head);
            return has_answer || client.is_closed;
        });
        CHECK(is_done);
        rest = client.received;
        return has_answer ? answer : porthole::testing::Answer{};
    }
    porthole::testing::Answer request(
        std::string_view method, std::string_view target,
        const porthole::testing::FieldList& fields = {}, std::string_view body = {}) {
        return send(
            porthole::testing::write_request(method, target, fields, body), method == "HEAD");
    }
    porthole::testing::Answer get(std::string_view target) { return request("GET", target); }

    /// Ticks until that holds.
    template <class Predicate>
    bool until(const Predicate& is_done) {
        return pump_until(server, {}, is_done);
    }
    /// With a clock of the test's: where the poller cannot tell of pipes they are asked from time
    /// to time, so a little of it has to pass.
    template <class Predicate>
    bool until(
        porthole::ManualClock& clock, const std::vector<SocketClient*>& clients,
        const Predicate& is_done) {
        return pump_until(server, clients, [&] {
            clock.advance(std::chrono::milliseconds(1));
            return is_done();
        });
    }
    bool has_logged(std::string_view part) const {
        for (const std::string& line : lines) {
            if (line.find(part) != std::string::npos) {
                return true;
            }
        }
        return false;
    }

    TemporaryDirectory place;
    std::vector<std::string> lines;
    std::string rest; ///< what came behind the last answer
    porthole::Server server;

private:
    static porthole::Options with_log(porthole::Options options, std::vector<std::string>& lines) {
        options.log = [&lines](const porthole::LogEvent& event) {
            lines.emplace_back(event.sentence);
        };
        return options;
    }
};

inline std::string with_type(std::string_view text) {
    return "Content-Type: text/plain\\n\\n" + std::string(text);
}

} // namespace porthole_test
