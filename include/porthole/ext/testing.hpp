// SPDX-License-Identifier: MIT
#pragma once

// For unit tests of a program's own routes: a client that talks to a server in memory, without
// sockets, and, with a ManualClock, without waiting. Porthole's own tests use nothing else to
// replay slow clients, splits at every byte and timeouts.
//
//     porthole::Server server;                       // with the program's routes
//     porthole::testing::Client client(server);
//     auto answer = client.get("/users/7");
//     CHECK(answer.status == 200);

#include "porthole/base/clock.hpp"
#include "porthole/http/parser.hpp"
#include "porthole/os/transport.hpp"
#include "porthole/server/server.hpp"

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

PORTHOLE_NAMESPACE_BEGIN

namespace testing {

/// An answer as the client saw it, in its own memory. `status` is 0 when there was none.
struct Answer {
    int status = 0;
    std::string reason;
    std::vector<std::pair<std::string, std::string>> fields;
    std::string body; ///< without its transfer coding

    /// The first value of that name, in any case; empty when there is none.
    std::string_view header(std::string_view name) const noexcept;
    bool has_header(std::string_view name) const noexcept;
};

using FieldList = std::vector<std::pair<std::string_view, std::string_view>>;

/// What read_answer() made of the bytes; `size` is how many of them the answer took.
struct AnswerReading {
    detail::ParseStatus status = detail::ParseStatus::need_more;
    std::size_t size = 0;
};
/// Reads one whole answer from the front of `bytes`. `is_head`: the request was HEAD. `has_ended`:
/// nothing more will come, which ends an answer without a length.
AnswerReading read_answer(std::string_view bytes, bool is_head, bool has_ended, Answer& answer);
/// A request's bytes, with Host: localhost and Content-Length unless `fields` has them.
std::string write_request(
    std::string_view method, std::string_view target, const FieldList& fields = {},
    std::string_view body = {});

/// One connection to a server in the same thread. Requests tick the server until the answer is
/// complete.
class Client {
public:
    /// `capacity` is what each direction holds, as a socket's buffers do.
    explicit Client(
        Server& server, std::size_t capacity = MemoryTransport::default_capacity,
        std::string_view peer = "memory");

    /// Sends a request with Host: localhost (unless `fields` has one) and returns its answer;
    /// status 0 when the connection ends, or nothing moves for max_ticks ticks, before it is
    /// complete.
    Answer request(
        std::string_view method, std::string_view target, const FieldList& fields = {},
        std::string_view body = {});
    Answer get(std::string_view target, const FieldList& fields = {}) {
        return request("GET", target, fields);
    }
    Answer post(std::string_view target, std::string_view type, std::string_view body);

    /// Sends raw bytes as far as the transport takes them; returns how many.
    std::size_t send(std::string_view bytes);
    /// Ticks until one answer is complete, and returns it. `is_head`: the request was HEAD.
    Answer read_answer(bool is_head = false);
    /// Ticks once and takes what has come into received().
    TickReport tick();
    /// All bytes that have come and are not part of an answer read so far.
    const std::string& received() const noexcept { return received_; }
    /// The server has closed its sending side; tick() notices it.
    bool is_closed() const noexcept { return is_closed_; }
    /// Closes the client's sending side only.
    void shut_write() { transport_->shut_write(); }
    /// Closes the connection.
    void close() { transport_.reset(); }
    /// False: received bytes are left in the transport, as a slow reader does.
    void set_reading(bool is_reading) noexcept { is_reading_ = is_reading; }
    MemoryTransport& transport() noexcept { return *transport_; }

    /// How many ticks a request waits for its answer at the most.
    static constexpr int max_ticks = 10'000;

private:
    Server* server_;
    std::unique_ptr<MemoryTransport> transport_;
    std::string received_;
    bool is_closed_ = false;
    bool is_reading_ = true;

    void take_input();
};

/// Lets `time` pass in steps no longer than a frame, ticking the server after each, so that
/// deadlines pass as they would in a program that runs.
void pass_time(Server& server, ManualClock& clock, Duration time);

} // namespace testing

PORTHOLE_NAMESPACE_END
