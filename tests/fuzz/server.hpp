// SPDX-License-Identifier: MIT
#pragma once

// A whole server in memory, with a clock that only the input moves. The input is a list of
// commands: bytes to send, cuts, steps of the clock, half closes, slow reading, replies that come
// late. What has to hold whatever happens: answers are well framed, one for each request and never
// more, nothing follows the last one, a tick stays near its budget, memory stays bounded, and when
// all clients have gone the server is quiet.

#include "fuzz/server_world.hpp"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PORTHOLE_FUZZ_COUNTS_MEMORY 1
extern "C" std::size_t __sanitizer_get_current_allocated_bytes();
#endif
#endif

namespace porthole_fuzz {

/// Requests that reach every corner, so that the input does not have to spell them.
inline std::string_view ready_made(std::size_t index) {
    constexpr std::string_view requests[] = {
        "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.0\r\nConnection: keep-alive\r\nHost: localhost\r\n\r\n",
        "GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "HEAD /big HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello",
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3\r\nabc\r\n2;x\r\nde\r\n0\r\nX-T: 1\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
        "Content-Length: 3\r\n\r\n",
        "PUT /small HTTP/1.1\r\nHost: localhost\r\nContent-Length: 17\r\n\r\n",
        "GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /stream HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n",
        "HEAD /stream HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /stream/empty HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /sized HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /sized/wait HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /short HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /fail HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /later HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "HEAD /later HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /drop HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /up HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n",
        "GET /up HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /move?to=/a%0d%0aX:%20y HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /field?value=a%0d%0aX:y HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /none HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /close HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "HEAD /throw HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /throw HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /files/a/b HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "DELETE /users/7 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /users/%41 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /guarded/door HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /extra HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "BREW /pot HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n",
        "HEAD / HTTP/1.1\r\nHost: localhost\r\nOrigin: null\r\n\r\n",
        "CONNECT a:1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n+3\r\n",
        "\r\n",
    };
    return requests[index % (sizeof requests / sizeof requests[0])];
}

class ServerFuzz {
public:
    ServerFuzz(Input input, const WorldOptions& options, bool ends_abruptly)
        : input_(input), world_(options), has_working_clock_(options.has_working_clock),
          ends_abruptly_(ends_abruptly) {
        slots_[0] = slots_[1] = &world_.connect(16 * 1024);
#ifdef PORTHOLE_FUZZ_COUNTS_MEMORY
        memory_at_start_ = __sanitizer_get_current_allocated_bytes();
#endif
    }

    void run() {
        constexpr int max_commands = 400;
        for (int i = 0; i < max_commands && !input_.is_empty(); ++i) {
            step();
        }
        if (ends_abruptly_) {
            world_.destroy_server(); // with all that is open; the replies outlive it
            for (porthole::Reply& reply : world_.replies()) {
                reply.text("nobody");
            }
            world_.wake_sources();
            return;
        }
        check_every_answer();
        check_quiet_end();
    }

private:
    Peer& peer() {
        return *slots_[slot_];
    }

    void step() {
        const std::uint8_t command = input_.byte();
        switch (command % 16) {
        case 0:
        case 1: send(ready_made(input_.byte())); break;
        case 2: send(input_.take(input_.byte())); break;
        case 3: tick(std::chrono::microseconds(1 + input_.byte())); break;
        case 4: pass_time(std::chrono::milliseconds(50) * input_.byte()); break;
        case 5:
            if (peer().transport) {
                peer().transport->shut_write();
            }
            break;
        case 6: close(peer()); break;
        case 7: reconnect(input_.byte()); break;
        case 8: peer().is_reading = !peer().is_reading; break;
        case 9: slot_ = 1 - slot_; break;
        case 10: finish_reply(input_.byte()); break;
        case 11: world_.wake_sources(); break;
        case 12: piece_ = input_.byte(); break;
        case 13:
            if (peer().transport) {
                peer().transport->reset();
                peer().was_cut = true;
            }
            break;
        case 14: read(peer(), input_.byte()); break;
        case 15: world_.server().post([this] { world_.toggle_route(); }); break;
        default: break;
        }
    }

    /// In pieces of `piece_` bytes with a tick between them; 0 is all at once.
    void send(std::string_view bytes) {
        constexpr int max_pieces = 300;
        for (int i = 0; i < max_pieces && !bytes.empty() && peer().transport; ++i) {
            const std::string_view piece = bytes.substr(0, piece_ == 0 ? bytes.size() : piece_);
            const porthole::IoResult result = peer().transport->write(&piece, 1);
            if (result.status == porthole::IoStatus::ok) {
                note_sent(piece.substr(0, result.bytes));
                bytes.remove_prefix(result.bytes);
            }
            if (piece_ != 0 || result.status != porthole::IoStatus::ok) {
                tick(std::chrono::milliseconds(1));
            }
            if (result.status == porthole::IoStatus::failed) {
                return;
            }
        }
    }
    void note_sent(std::string_view bytes) {
        for (const char c : bytes) {
            peer().lines_sent += c == '\n' ? 1u : 0u;
            peer().line += c;
            peer().has_sent_head = peer().has_sent_head || ends_with(peer().line, "HEAD ");
            if (c == '\n') {
                peer().line.clear();
            }
        }
    }

    void tick(std::chrono::microseconds budget) {
        const porthole::TickReport report = world_.server().tick(budget);
        if (has_working_clock_) {
            // A unit of work looks at the clock a few times before the budget is noticed.
            constexpr int readings = 64;
            require(
                report.elapsed <= budget + readings * World::clock_step,
                "a tick ends soon after its budget");
        }
        for (const auto& each : world_.peers()) {
            if (each->is_reading) {
                read(*each, static_cast<std::size_t>(-1));
            }
            check_answers(*each);
        }
#ifdef PORTHOLE_FUZZ_COUNTS_MEMORY
        constexpr std::size_t most = 4u << 20;
        require(
            __sanitizer_get_current_allocated_bytes() < memory_at_start_ + most,
            "memory stays bounded");
#endif
    }
    void pass_time(std::chrono::milliseconds time) {
        constexpr std::chrono::milliseconds frame(500);
        for (; time > std::chrono::milliseconds::zero(); time -= frame) {
            world_.clock().advance(time < frame ? time : frame);
            tick(std::chrono::milliseconds(10));
        }
    }

    void read(Peer& from, std::size_t most) {
        char bytes[2048];
        while (from.transport && !from.is_ended && most != 0) {
            const std::size_t room = most < sizeof bytes ? most : sizeof bytes;
            const porthole::IoResult result = from.transport->read(bytes, room);
            if (result.status == porthole::IoStatus::would_block) {
                return;
            }
            if (result.status != porthole::IoStatus::ok) {
                from.is_ended = true;
                return;
            }
            from.received.append(bytes, result.bytes);
            most -= result.bytes;
        }
    }
    void close(Peer& which) {
        which.was_cut = which.was_cut || which.transport != nullptr;
        which.transport.reset();
    }
    void reconnect(std::uint8_t how) {
        constexpr std::size_t capacities[] = {1, 7, 300, 4096, 16 * 1024};
        constexpr std::size_t max_peers = 12;
        if (world_.peers().size() < max_peers) {
            slots_[slot_] = &world_.connect(capacities[how % 5]);
        }
    }
    void finish_reply(std::uint8_t how) {
        std::vector<porthole::Reply>& replies = world_.replies();
        if (replies.empty()) {
            return;
        }
        porthole::Reply reply = std::move(replies[how % replies.size()]);
        replies.erase(replies.begin() + how % static_cast<std::ptrdiff_t>(replies.size()));
        switch (how / 16 % 4) {
        case 0: reply.text("later\n"); break;
        case 1: reply.header("X-Late", "1").text("later\n"); break;
        case 2: reply.no_content(); break;
        default: break; // dropped: 500
        }
    }

    void check_answers(Peer& from) {
        while (!from.received.empty()) {
            if (from.is_upgraded) {
                require(
                    from.echoed.substr(0, from.received.size()) == from.received,
                    "behind 101 comes what the owner has sent");
                from.echoed.erase(0, from.received.size());
                from.received.clear();
                return;
            }
            require(!from.has_closed, "nothing follows the last answer");
            const bool is_known = from.answers < from.handled.size();
            bool is_head = is_known && from.handled[from.answers].method == "HEAD";
            ReadAnswer answer = read_one_answer(from.received, is_head, from.is_ended);
            if (!answer.is_complete && !is_known && from.has_sent_head && from.is_ended) {
                is_head = true; // a refused HEAD, which no hook has seen
                answer = read_one_answer(from.received, is_head, from.is_ended);
            }
            if (!answer.is_complete) {
                return;
            }
            // A broken-off answer without a length looks complete to everybody.
            const bool is_whole = !answer.ends_with_connection
                                  || !(from.was_cut || world_.server().stats().timeouts != 0);
            from.received.erase(0, answer.size);
            if (answer.status == 100) {
                continue;
            }
            judge(from, answer, is_head, is_whole);
        }
    }

    void judge(Peer& from, const ReadAnswer& answer, bool is_head, bool is_whole) {
        const bool is_known = from.answers < from.handled.size();
        ++from.answers;
        from.has_closed = answer.closes();
        require(from.answers <= from.lines_sent + 1, "no more answers than requests");
        if (!is_known) {
            require(answer.status >= 400, "an answer to no request is an error");
            require(answer.closes(), "a refused request is the last");
            return;
        }
        Handled& handled = from.handled[from.answers - 1];
        require(!answer.is_chunked || !handled.is_old, "HTTP/1.0 gets nothing chunked");
        if (answer.status == 101) {
            require(!handled.is_old, "HTTP/1.0 is never upgraded");
            from.is_upgraded = true;
        } else if (answer.status == 200 && handled.expected && !is_head) {
            const bool is_partial = answer.ends_with_connection && (handled.may_break || !is_whole);
            require(
                answer.body == *handled.expected
                    || (is_partial
                        && handled.expected->compare(0, answer.body.size(), answer.body) == 0),
                "the content is the one that was given");
        }
        handled.expected.reset();
    }

    /// Lets everything come to an end first; clients that stopped reading go on.
    void check_every_answer() {
        while (!world_.replies().empty()) {
            finish_reply(0);
        }
        for (const auto& each : world_.peers()) {
            each->is_reading = true;
        }
        constexpr int rounds = 50;
        for (int i = 0; i < rounds; ++i) {
            world_.wake_sources();
            tick(std::chrono::milliseconds(10));
        }
        while (!world_.replies().empty()) { // asked for behind the first ones
            finish_reply(0);
            tick(std::chrono::milliseconds(10));
        }
        const bool has_timeouts = world_.server().stats().timeouts != 0;
        for (const auto& each : world_.peers()) {
            bool may_break = each->was_cut || has_timeouts || each->is_upgraded;
            for (const Handled& handled : each->handled) {
                may_break = may_break || handled.may_break;
            }
            if (each->is_ended && !may_break) {
                require(each->received.empty(), "a connection ends behind a whole answer");
                require(each->answers >= each->handled.size(), "every request has its answer");
            }
        }
    }

    void check_quiet_end() {
        for (const auto& each : world_.peers()) {
            close(*each);
        }
        constexpr int rounds = 10;
        for (int i = 0; i < rounds; ++i) {
            world_.wake_sources();
            tick(std::chrono::milliseconds(10));
        }
        pass_time(std::chrono::seconds(5));
        require(world_.server().stats().connections == 0, "no connection is left behind");
        const porthole::TickReport report = world_.server().tick(std::chrono::milliseconds(10));
        require(
            !report.more && report.requests == 0 && report.bytes_in == 0 && report.bytes_out == 0,
            "a server without clients is quiet");
    }

    Input input_;
    World world_;
    bool has_working_clock_;
    bool ends_abruptly_;
    Peer* slots_[2] = {};
    std::size_t slot_ = 0;
    std::size_t piece_ = 0;
    [[maybe_unused]] std::size_t memory_at_start_ = 0; // where ASan can tell
};

inline void fuzz_server(const std::uint8_t* data, std::size_t size) {
    Input input(data, size);
    const std::uint8_t flags = input.byte();
    WorldOptions options;
    options.has_working_clock = (flags & 1) != 0;
    options.has_error_page = (flags & 2) != 0;
    options.has_access_log = (flags & 4) != 0;
    options.has_low_caps = (flags & 8) != 0;
    ServerFuzz(input, options, (flags & 16) != 0).run();
}

} // namespace porthole_fuzz
