// SPDX-License-Identifier: MIT
#pragma once

// An application server in the test's own thread, which does as it is told, and a server with a
// mount that speaks to it. Its side of FastCGI is written out here once more, on its own.

#include "os/pair.hpp"
#include "support/options.hpp"
#include "support/socket_client.hpp"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace porthole_test {

inline std::string fastcgi_record(int type, std::string_view content, int id = 1) {
    std::string bytes{'\1', static_cast<char>(type), '\0', static_cast<char>(id)};
    bytes += static_cast<char>(content.size() / 256);
    bytes += static_cast<char>(content.size() % 256);
    return bytes.append(2, '\0').append(content);
}

inline std::string fastcgi_end(int outcome = 0, int code = 0) {
    std::string content(8, '\0');
    content[3] = static_cast<char>(code);
    content[4] = static_cast<char>(outcome);
    return fastcgi_record(3, content);
}

/// A whole answer.
inline std::string fastcgi_answer(std::string_view text) {
    return fastcgi_record(6, text) + fastcgi_record(6, "") + fastcgi_end();
}

class Responder {
public:
    struct Peer {
        porthole::detail::Socket socket;
        std::string in;
        std::string out;
        std::string parameters; ///< as they have come so far
        std::map<std::string, std::string> variables;
        std::string first_variable;
        std::string content;
        bool keeps = false;
        bool has_head = false;
        bool has_content_end = false;
        bool was_aborted = false;
        bool has_gone = false; ///< the client of this connection has closed it
        bool reads = true;
        bool closes = false; ///< once all has been sent
        int requests = 0;
        std::size_t most_out = 0;

        void say(std::string_view bytes) { out.append(bytes); }
        /// Answers, and is ready for another one.
        void answer(std::string_view text) {
            say(fastcgi_answer(text));
            next();
        }
        void next() {
            ++requests;
            has_head = has_content_end = false;
            variables.clear();
            content.clear();
            closes = closes || !keeps;
        }
    };

    explicit Responder(bool is_scgi = false) : listener(loopback_listener()), is_scgi_(is_scgi) {}

    std::string address() const {
        return "127.0.0.1:" + std::to_string(listener.endpoint().port());
    }
    Peer& peer(std::size_t index) { return *peers.at_index(index); }

    void pump() {
        porthole::detail::Socket socket;
        porthole::Endpoint from;
        while (listener.is_open()
               && listener.accept(socket, from) == porthole::detail::AcceptStatus::accepted) {
            peers.all.push_back(std::make_unique<Peer>());
            peers.all.back()->socket = std::move(socket);
        }
        for (std::size_t i = 0; i < peers.all.size(); ++i) {
            pump(*peers.all[i]);
        }
    }

    struct Peers {
        std::vector<std::unique_ptr<Peer>> all;
        Peer* at_index(std::size_t index) const {
            REQUIRE(index < all.size());
            return all[index].get();
        }
        std::size_t size() const { return all.size(); }
    } peers;
    porthole::detail::Listener listener;
    std::function<void(Peer&)> serve; ///< whenever a request's head is there

private:
    void pump(Peer& peer) {
        char bytes[16 * 1024];
        while (peer.socket.is_open() && peer.reads && !peer.has_gone) {
            const porthole::IoResult result = peer.socket.receive(bytes, sizeof bytes);
            if (result.status == porthole::IoStatus::would_block) {
                break;
            }
            peer.in.append(bytes, result.bytes);
            peer.has_gone = result.status != porthole::IoStatus::ok;
        }
        is_scgi_ ? parse_scgi(peer) : parse(peer);
        if (peer.has_head && serve) {
            serve(peer);
        }
        while (peer.socket.is_open() && !peer.out.empty()) {
            const std::string_view slice(peer.out);
            const porthole::IoResult result = peer.socket.send(&slice, 1);
            if (result.status != porthole::IoStatus::ok) {
                break;
            }
            peer.out.erase(0, result.bytes);
        }
        if (peer.closes && peer.out.empty()) {
            peer.socket.close();
        }
    }

    static std::size_t number(std::string_view bytes) {
        std::size_t value = 0;
        for (const char c : bytes) {
            value = value * 256 + static_cast<unsigned char>(c);
        }
        return value;
    }
    static std::size_t take_length(std::string_view& pairs) {
        const bool is_long = (static_cast<unsigned char>(pairs[0]) & 0x80) != 0;
        const std::size_t size = is_long ? 4 : 1;
        const std::size_t length = number(pairs.substr(0, size)) & 0x7fffffff;
        pairs.remove_prefix(size);
        return length;
    }
    static void take_pairs(std::string_view pairs, Peer& peer) {
        while (!pairs.empty()) {
            const std::size_t name = take_length(pairs);
            const std::size_t value = take_length(pairs);
            peer.variables[std::string(pairs.substr(0, name))] = pairs.substr(name, value);
            pairs.remove_prefix(name + value);
        }
    }

    void parse(Peer& peer) {
        const std::string& in = peer.in;
        std::size_t at = 0;
        while (in.size() - at >= 8) {
            const std::size_t size = number(std::string_view(in).substr(at + 4, 2));
            if (in.size() - at < 8 + size) {
                break;
            }
            const std::string_view content = std::string_view(in).substr(at + 8, size);
            switch (in[at + 1]) {
            case 1: peer.keeps = (content[2] & 1) != 0; break;
            case 2: peer.was_aborted = true; break;
            case 4:
                peer.parameters.append(content); // a pair may lie in several records
                if (size == 0) {
                    peer.has_head = true;
                    take_pairs(peer.parameters, peer);
                    peer.parameters.clear();
                }
                break;
            case 5:
                peer.has_content_end = size == 0;
                peer.content.append(content);
                break;
            default: FAIL("a record that no web server sends"); break;
            }
            at += 8 + size + static_cast<unsigned char>(in[at + 6]);
        }
        peer.in.erase(0, at);
    }

    void parse_scgi(Peer& peer) {
        if (!peer.has_head) {
            const std::size_t colon = peer.in.find(':');
            std::uint64_t size = 0;
            for (std::size_t i = 0; i < colon && colon != std::string::npos; ++i) {
                size = size * 10 + static_cast<unsigned char>(peer.in[i] - '0');
            }
            if (colon == std::string::npos || peer.in.size() < colon + 2 + size) {
                return;
            }
            std::string_view rest(peer.in);
            rest = rest.substr(colon + 1, static_cast<std::size_t>(size));
            while (!rest.empty()) {
                const std::string name(rest.substr(0, rest.find('\0')));
                rest.remove_prefix(name.size() + 1);
                const std::string value(rest.substr(0, rest.find('\0')));
                rest.remove_prefix(value.size() + 1);
                peer.first_variable = peer.first_variable.empty() ? name : peer.first_variable;
                peer.variables[name] = value;
            }
            peer.in.erase(0, colon + 2 + static_cast<std::size_t>(size));
            peer.has_head = true;
        }
        peer.content.append(peer.in);
        peer.in.clear();
        const std::string& wanted = peer.variables["CONTENT_LENGTH"];
        peer.has_content_end = std::to_string(peer.content.size()) == wanted;
    }

    bool is_scgi_;
};

class FastCgiFixture {
public:
    explicit FastCgiFixture(porthole::Options server_options = options(), bool is_scgi = false)
        : responder(is_scgi), server(with_log(std::move(server_options), lines)) {}

    void mount(porthole::FastCgiOptions options = {}) {
        accept(server.mount("/app", porthole::fastcgi(responder.address(), std::move(options))));
        accept(server.listen("127.0.0.1", 0));
    }
    void accept(const porthole::Error& error) { REQUIRE(error.message() == "no error"); }
    /// Each request is answered with that, when its content has come.
    void answer_with(std::string text) {
        responder.serve = [text = std::move(text)](Responder::Peer& peer) {
            if (peer.has_content_end) {
                peer.answer(text);
            }
        };
    }

    template <class Predicate>
    bool until(const std::vector<SocketClient*>& clients, const Predicate& is_done) {
        return pump_until(server, clients, [&] {
            responder.pump();
            return is_done();
        });
    }
    /// With a clock of the test's, of which `step` passes each time.
    template <class Predicate>
    bool until(
        porthole::ManualClock& clock, porthole::Duration step,
        const std::vector<SocketClient*>& clients, const Predicate& is_done) {
        return until(clients, [&] {
            clock.advance(step);
            return is_done();
        });
    }
    porthole::testing::Answer read(SocketClient& client, bool is_head = false) {
        porthole::testing::Answer answer;
        bool has_answer = false;
        const bool is_done = until({&client}, [&] {
            has_answer = has_answer || client.take_answer(answer, is_head);
            return has_answer || client.is_closed;
        });
        CHECK(is_done);
        return has_answer ? answer : porthole::testing::Answer{};
    }
    porthole::testing::Answer send(std::string_view bytes, bool is_head = false) {
        SocketClient client("127.0.0.1", server.port());
        client.send(bytes);
        return read(client, is_head);
    }
    porthole::testing::Answer request(
        std::string_view method, std::string_view target,
        const porthole::testing::FieldList& fields = {}, std::string_view body = {}) {
        return send(
            porthole::testing::write_request(method, target, fields, body), method == "HEAD");
    }
    porthole::testing::Answer get(std::string_view target) { return request("GET", target); }
    bool has_logged(std::string_view part) const {
        return std::any_of(lines.begin(), lines.end(), [part](const std::string& line) {
            return line.find(part) != std::string::npos;
        });
    }

    Responder responder;
    std::vector<std::string> lines;
    porthole::Server server;

private:
    static porthole::Options with_log(porthole::Options options, std::vector<std::string>& lines) {
        options.log = [&lines](const porthole::LogEvent& event) {
            lines.emplace_back(event.sentence);
        };
        return options;
    }
};

} // namespace porthole_test
