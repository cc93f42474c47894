// SPDX-License-Identifier: MIT
#pragma once

// An in-memory connection whose server side counts its calls and can be made to read little at a
// time: what a test needs to see system calls that there are not.

#include "support/options.hpp"

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace porthole_test {

/// What the server did with its transport. Outlives the connection.
struct TransportCounts {
    int reads = 0;
    int writes = 0;
    std::size_t bytes_read = 0;
    std::size_t bytes_written = 0;
};

class CountingTransport final : public porthole::Transport {
public:
    CountingTransport(
        std::unique_ptr<porthole::MemoryTransport> inner, std::shared_ptr<TransportCounts> counts)
        : inner_(std::move(inner)), counts_(std::move(counts)) {}

    porthole::IoResult read(char* into, std::size_t capacity) noexcept override {
        const porthole::IoResult result = inner_->read(into, capacity);
        ++counts_->reads;
        counts_->bytes_read += result.bytes;
        return result;
    }
    porthole::IoResult write(const std::string_view* slices, std::size_t count) noexcept override {
        const porthole::IoResult result = inner_->write(slices, count);
        ++counts_->writes;
        counts_->bytes_written += result.bytes;
        return result;
    }
    void shut_write() noexcept override { inner_->shut_write(); }
    porthole::Readiness readiness() const noexcept override { return inner_->readiness(); }

private:
    std::unique_ptr<porthole::MemoryTransport> inner_;
    std::shared_ptr<TransportCounts> counts_;
};

/// The client's end of a counted connection, with everything that has come in `received`.
class Peer {
public:
    explicit Peer(
        porthole::Server& server,
        std::size_t capacity = porthole::MemoryTransport::default_capacity,
        std::size_t max_read_bytes = static_cast<std::size_t>(-1))
        : counts(std::make_shared<TransportCounts>()), server_(&server) {
        auto pair = porthole::MemoryTransport::make_pair(capacity);
        pair.server->set_max_read_bytes(max_read_bytes);
        end = std::move(pair.client);
        const auto error = server.adopt(
            std::make_unique<CountingTransport>(std::move(pair.server), counts), "peer");
        REQUIRE_FALSE(error);
    }

    std::size_t send(std::string_view bytes) { return end->write(&bytes, 1).bytes; }

    /// Takes what has come; no tick.
    void take() {
        char piece[4096];
        for (;;) {
            const porthole::IoResult result = end->read(piece, sizeof piece);
            if (result.status != porthole::IoStatus::ok) {
                is_closed |= result.status != porthole::IoStatus::would_block;
                return;
            }
            received.append(piece, result.bytes);
        }
    }
    void tick(int times = 1) {
        for (int i = 0; i < times; ++i) {
            server_->tick(std::chrono::seconds(1));
            take();
        }
    }

    /// All complete answers that have come, taken out of `received`. 100 Continue is left out.
    std::vector<porthole::testing::Answer> answers(bool is_head = false) {
        std::vector<porthole::testing::Answer> all;
        porthole::testing::Answer answer;
        for (;;) {
            const auto reading =
                porthole::testing::read_answer(received, is_head, is_closed, answer);
            if (reading.status != porthole::detail::ParseStatus::complete || reading.size == 0) {
                return all;
            }
            received.erase(0, reading.size);
            if (answer.status >= 200 || answer.status == 101) {
                all.push_back(answer);
            }
        }
    }

    std::shared_ptr<TransportCounts> counts;
    std::unique_ptr<porthole::MemoryTransport> end;
    std::string received;
    bool is_closed = false; ///< the server has closed its sending side

private:
    porthole::Server* server_;
};

/// "GET <target>" with Host, ready to be sent; `fields` are complete lines.
inline std::string get(std::string_view target, std::string_view fields = {}) {
    std::string bytes = "GET ";
    bytes.append(target).append(" HTTP/1.1\r\nHost: localhost\r\n").append(fields).append("\r\n");
    return bytes;
}

inline std::string post(std::string_view target, std::string_view body) {
    return porthole::testing::write_request("POST", target, {}, body);
}

/// A server's usual routes in these tests: "/" answers with what was asked, "/echo" with what came.
inline void add_routes(porthole::Server& server) {
    server.get("/", [](const porthole::Request&, porthole::Response& response) {
        response.text("hello");
    });
    server.get("/n/:n", [](const porthole::Request& request, porthole::Response& response) {
        response.text(request.param("n"));
    });
    server.post("/echo", [](const porthole::Request& request, porthole::Response& response) {
        response.text(request.body());
    });
    server.get("/big", [](const porthole::Request&, porthole::Response& response) {
        response.body(std::string(1024 * 1024, 'b'));
    });
}

} // namespace porthole_test
