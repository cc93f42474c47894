// SPDX-License-Identifier: MIT

#include "user.hpp"

std::size_t add_routes(porthole::Server& server) {
    server.get("/", [](const porthole::Request&, porthole::Response& response) {
        response.text("Hello\n");
    });
    server.post("/items", [](const porthole::Request& request, porthole::Response& response) {
        response.status(201).text(request.path());
    });
    return 2;
}
