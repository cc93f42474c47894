// SPDX-License-Identifier: MIT
#pragma once

// A server with a mounted temporary directory, and a client in memory.

#include "support/options.hpp"
#include "support/temporary_directory.hpp"

#include <string>
#include <string_view>
#include <utility>

namespace porthole_test {

class FilesFixture {
public:
    explicit FilesFixture(
        porthole::FilesOptions files = {}, porthole::Options server_options = options())
        : server(std::move(server_options)), files_options_(std::move(files)) {
        place.make_directory("root");
    }

    /// After the files are there.
    void mount(std::string_view prefix = "/") {
        const porthole::Error error =
            server.mount(prefix, porthole::files(place.path("root"), files_options_));
        REQUIRE(error.message() == "no error");
    }
    porthole::testing::Answer
    get(std::string_view target, const porthole::testing::FieldList& fields = {}) {
        return request("GET", target, fields);
    }
    /// Each on a connection of its own.
    porthole::testing::Answer request(
        std::string_view method, std::string_view target,
        const porthole::testing::FieldList& fields = {}, std::string_view body = {}) {
        porthole::testing::Client client(server);
        return client.request(method, target, fields, body);
    }

    TemporaryDirectory place;
    porthole::Server server;

private:
    porthole::FilesOptions files_options_;
};

} // namespace porthole_test
