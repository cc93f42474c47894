// SPDX-License-Identifier: MIT
#pragma once

// A sink that writes down what happens to it, and a server with one behind POST /up: what the tests
// of streamed content have in common.

#include "support/options.hpp"

#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace porthole_test {

/// What a sink's functions saw. All of them hold `held`, so that its use_count() tells whether the
/// library still does.
struct SinkRecord {
    std::string data;
    int pieces = 0;
    int ended = 0;
    int aborted = 0;
    porthole::BodyFlow flow;
    std::shared_ptr<int> held = std::make_shared<int>(0);
    std::function<void()> when_data;
    std::function<void()> when_aborted;
    porthole::Handler when_ended;

    porthole::BodySink sink() {
        porthole::BodySink sink;
        flow = sink.flow();
        sink.on_data([this, keep = held](std::string_view piece) {
            data.append(piece);
            ++pieces;
            if (when_data) {
                when_data();
            }
        });
        sink.on_end(
            [this, keep = held](const porthole::Request& request, porthole::Response& response) {
                ++ended;
                if (when_ended) {
                    when_ended(request, response);
                } else {
                    response.text("took " + std::to_string(data.size()));
                }
            });
        sink.on_abort([this, keep = held] {
            ++aborted;
            if (when_aborted) {
                when_aborted();
            }
        });
        return sink;
    }
    /// Nothing of the sink is left.
    bool is_free() const { return held.use_count() == 1; }
};

/// "POST <target>" with its content chunked: each of `pieces` one chunk.
inline std::string chunked_post(
    std::string_view target, std::initializer_list<std::string_view> pieces,
    std::string_view trailer = {}) {
    std::string bytes = "POST ";
    bytes.append(target).append(
        " HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (const std::string_view piece : pieces) {
        char head[porthole::detail::max_chunk_head_size];
        bytes.append(head, porthole::detail::write_chunk_head(head, piece.size()));
        bytes.append(piece).append("\r\n");
    }
    return bytes.append("0\r\n").append(trailer).append("\r\n");
}

/// A head that announces `size` bytes, without them.
inline std::string
post_head(std::string_view target, std::size_t size, std::string_view fields = {}) {
    std::string bytes = "POST ";
    bytes.append(target).append(" HTTP/1.1\r\nHost: localhost\r\nContent-Length: ");
    return bytes.append(std::to_string(size)).append("\r\n").append(fields).append("\r\n");
}

/// A server whose POST /up streams into `record`.
struct SinkWorld {
    porthole::ManualClock clock;
    SinkRecord record;
    int asked = 0; ///< how often the route was
    std::unique_ptr<porthole::Server> server;

    explicit SinkWorld(const porthole::Limits& limits = {}) {
        porthole::Options made = options(clock);
        made.limits = limits;
        server = std::make_unique<porthole::Server>(std::move(made));
        server->post_stream("/up", [this](const porthole::Request&) {
            ++asked;
            return record.sink();
        });
        server->get("/", [](const porthole::Request&, porthole::Response& response) {
            response.text("hello");
        });
    }
    /// Ticks without a client's help; true when something moved or is left to do.
    bool moves() {
        const porthole::TickReport report = server->tick(std::chrono::seconds(1));
        return report.more || report.bytes_in != 0 || report.bytes_out != 0;
    }
};

} // namespace porthole_test
