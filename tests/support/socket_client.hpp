// SPDX-License-Identifier: MIT
#pragma once

// A client over a real socket in the same thread as the server: non-blocking, pumped together with
// it, and everything under a deadline in real time. Where neither side has anything to do, the
// server's own wait is what waits.

#include "support/options.hpp"

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace porthole_test {

class SocketClient {
public:
    /// Longer than any test takes on a slow machine.
    static constexpr std::chrono::seconds patience{20};

    SocketClient() = default;
    /// "localhost", an address, or "unix:/path".
    SocketClient(std::string_view host, std::uint16_t port) { connect(host, port); }

    void connect(std::string_view host, std::uint16_t port) {
        connector_.start(host, port, std::chrono::steady_clock::now() + patience);
        pump();
    }

    /// Sends as the socket takes it; pump() goes on with it.
    void send(std::string_view bytes) {
        if (sent_ == outgoing_.size()) {
            outgoing_.clear();
            sent_ = 0;
        }
        outgoing_.append(bytes);
        pump();
    }

    /// One look at everything; true when something has moved.
    bool pump() {
        if (transport_ == nullptr && !take_transport()) {
            return false;
        }
        const bool has_sent = flush();
        return (is_reading && take_input()) || has_sent;
    }

    /// Takes out one complete answer, if it is there.
    bool take_answer(porthole::testing::Answer& answer, bool is_head = false) {
        const auto reading = porthole::testing::read_answer(received, is_head, is_closed, answer);
        if (reading.status != porthole::detail::ParseStatus::complete || reading.size == 0) {
            return false;
        }
        received.erase(0, reading.size);
        return true;
    }

    bool is_connected() const noexcept { return transport_ != nullptr; }
    bool has_failed_to_connect() const noexcept {
        return connector_.state() == porthole::detail::Connector::State::failed;
    }
    bool has_sent_all() const noexcept { return sent_ == outgoing_.size(); }
    void shut_write() { transport_->shut_write(); }
    void close() { transport_.reset(); }
    porthole::NativeHandle handle() const noexcept { return transport_->handle(); }

    std::string received;
    bool is_reading = true;
    bool is_closed = false; ///< the server has finished sending
    bool is_broken = false; ///< the connection was reset

private:
    bool take_transport() {
        using State = porthole::detail::Connector::State;
        if (connector_.state() == State::connecting) {
            connector_.advance(std::chrono::steady_clock::now());
        }
        if (connector_.state() != State::connected) {
            return false;
        }
        transport_ = std::make_unique<porthole::detail::SocketTransport>(connector_.take_socket());
        return true;
    }

    bool flush() {
        bool has_moved = false;
        while (sent_ < outgoing_.size() && !is_broken) {
            const std::string_view rest = std::string_view(outgoing_).substr(sent_, 256 * 1024);
            const porthole::IoResult result = transport_->write(&rest, 1);
            if (result.status != porthole::IoStatus::ok) {
                is_broken |= result.status == porthole::IoStatus::failed;
                break;
            }
            sent_ += result.bytes;
            has_moved = true;
        }
        return has_moved;
    }

    bool take_input() {
        bool has_moved = false;
        char piece[64 * 1024];
        while (!is_closed) {
            const porthole::IoResult result = transport_->read(piece, sizeof piece);
            if (result.status == porthole::IoStatus::would_block) {
                break;
            }
            is_closed = result.status != porthole::IoStatus::ok;
            is_broken |= result.status == porthole::IoStatus::failed;
            received.append(piece, result.bytes);
            has_moved = true;
        }
        return has_moved;
    }

    porthole::detail::Connector connector_;
    std::unique_ptr<porthole::Transport> transport_;
    std::string outgoing_;
    std::size_t sent_ = 0;
};

/// Ticks the server and pumps the clients until `is_done()`; false when the patience is over.
template <class Predicate>
bool pump_until(
    porthole::Server& server, const std::vector<SocketClient*>& clients, const Predicate& is_done) {
    const auto deadline = std::chrono::steady_clock::now() + SocketClient::patience;
    while (!is_done()) {
        if (std::chrono::steady_clock::now() >= deadline) {
            return false;
        }
        const porthole::TickReport report = server.tick();
        bool has_moved = report.more || report.bytes_in + report.bytes_out != 0;
        for (SocketClient* client : clients) {
            has_moved |= client->pump();
        }
        if (!has_moved && !is_done()) {
            server.wait(std::chrono::milliseconds(1));
        }
    }
    return true;
}

/// Sends the request and returns its answer; status 0 when none came.
inline porthole::testing::Answer
ask(porthole::Server& server, SocketClient& client, std::string_view request) {
    client.send(request);
    porthole::testing::Answer answer;
    bool has_answer = false;
    static_cast<void>(pump_until(server, {&client}, [&] {
        has_answer = has_answer || client.take_answer(answer);
        return has_answer || client.is_closed || client.has_failed_to_connect();
    }));
    return has_answer ? answer : porthole::testing::Answer{};
}

inline std::string simple_get(std::string_view target, std::string_view fields = {}) {
    std::string bytes = "GET ";
    bytes.append(target).append(" HTTP/1.1\r\nHost: localhost\r\n").append(fields).append("\r\n");
    return bytes;
}

} // namespace porthole_test
