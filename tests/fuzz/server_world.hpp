// SPDX-License-Identifier: MIT
#pragma once

// The server of the whole-server fuzz target: routes of every kind, and an account of what each
// connection has asked for, against which server.hpp checks the answers.

#include "fuzz/answers.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace porthole_fuzz {

using porthole::BodySource;
using porthole::Next;
using porthole::Request;
using porthole::Response;

/// A request that has reached the server's own hook.
struct Handled {
    std::string method;
    bool is_old = false;                 ///< HTTP/1.0
    bool may_break = false;              ///< its answer may end before it is complete
    std::optional<std::string> expected; ///< the content of a 200
};

/// A connection as its client sees it.
struct Peer {
    std::unique_ptr<porthole::MemoryTransport> transport;
    std::string received; ///< and not yet checked
    std::vector<Handled> handled;
    std::size_t answers = 0;    ///< final ones that were complete
    std::size_t lines_sent = 0; ///< of which a request needs at least one
    std::string line;           ///< the one that is being sent
    bool has_sent_head = false; ///< a line that begins with HEAD
    std::string echoed;         ///< what an upgrade has sent and the client has not seen yet
    bool is_reading = true;
    bool is_ended = false;    ///< the server has closed its side
    bool was_cut = false;     ///< the client has closed or reset the connection
    bool has_closed = false;  ///< an answer said that the connection ends
    bool is_upgraded = false; ///< seen by the client
};

/// Yields `total` bytes in pieces; may wait after each, and may end early or fail.
class FuzzSource final : public BodySource {
public:
    struct Plan {
        std::size_t total = 0;
        std::optional<std::uint64_t> announced;
        bool waits = false;
        bool fails = false;
    };
    FuzzSource(const Plan& plan, std::vector<std::function<void()>>& wakers)
        : plan_(plan), wakers_(wakers) {}

    static char byte_at(std::size_t at) { return static_cast<char>('a' + at % 26); }
    std::optional<std::uint64_t> size() const override { return plan_.announced; }
    void set_waker(std::function<void()> waker) override { wakers_.push_back(std::move(waker)); }
    Piece pull(char* into, std::size_t capacity) override {
        constexpr std::size_t most = 700;
        if (plan_.waits && !has_waited_) {
            has_waited_ = true;
            return {State::wait, 0};
        }
        has_waited_ = false;
        Piece piece;
        while (at_ < plan_.total && piece.bytes < capacity && piece.bytes < most) {
            into[piece.bytes++] = byte_at(at_++);
        }
        const State last = plan_.fails ? State::failed : State::end;
        piece.state = at_ < plan_.total ? State::more : last;
        return piece;
    }

private:
    Plan plan_;
    std::vector<std::function<void()>>& wakers_;
    std::size_t at_ = 0;
    bool has_waited_ = false;
};

/// Sends back what comes; some letters make it do more.
class FuzzUpgrade final : public porthole::Upgrade {
public:
    explicit FuzzUpgrade(Peer& peer) : peer_(peer) {}
    void on_open(porthole::UpgradeLink& link) override {
        link_ = &link;
        say("hi");
    }
    void on_data(char* data, std::size_t size) override {
        const std::string_view bytes(data, size);
        require(link_ != nullptr, "an upgrade hears nothing behind its end");
        say(bytes);
        const char last = bytes.back();
        if (last == 'q') {
            link_->close();
        } else if (last == 'x') {
            link_->abort();
        } else if (last == 'p') {
            link_->pause_reading(true);
            link_->set_deadline(link_->now() + std::chrono::seconds(1));
        }
    }
    void on_deadline() override { link_->pause_reading(false); }
    void on_end() override { link_->close(); }
    void on_close() override {
        require(link_ != nullptr, "an upgrade is closed once");
        link_ = nullptr;
    }

private:
    void say(std::string_view bytes) {
        if (link_->send(bytes)) {
            peer_.echoed += bytes;
        }
    }

    Peer& peer_;
    porthole::UpgradeLink* link_ = nullptr;
};

/// How the input wants the server to be.
struct WorldOptions {
    bool has_working_clock = false; ///< each look at the clock costs 10 microseconds
    bool has_error_page = false;
    bool has_access_log = false;
    bool has_low_caps = false;
};

class World {
public:
    static constexpr std::chrono::microseconds clock_step{10};

    explicit World(const WorldOptions& wanted) : options_(wanted) {
        server_ = std::make_unique<porthole::Server>(make_options());
        add_hooks();
        add_routes();
        add_streams();
        if (wanted.has_working_clock) {
            clock_.advance_per_reading(clock_step);
        }
    }

    porthole::Server& server() { return *server_; }
    void destroy_server() { server_.reset(); }
    porthole::ManualClock& clock() { return clock_; }
    std::vector<std::unique_ptr<Peer>>& peers() { return peers_; }
    std::vector<porthole::Reply>& replies() { return replies_; }

    Peer& connect(std::size_t capacity) {
        auto pair = porthole::MemoryTransport::make_pair(capacity);
        peers_.push_back(std::make_unique<Peer>());
        Peer& peer = *peers_.back();
        peer.transport = std::move(pair.client);
        const auto error =
            server_->adopt(std::move(pair.server), std::to_string(peers_.size() - 1));
        require(!error, "a connection in memory is taken");
        return peer;
    }
    void wake_sources() {
        std::vector<std::function<void()>> wakers;
        wakers.swap(wakers_);
        for (const auto& waker : wakers) {
            waker();
        }
        // Sources that wait a second time use the same waker.
        wakers_.insert(wakers_.end(), wakers.begin(), wakers.end());
    }
    /// A route that comes and goes.
    void toggle_route() {
        if (extra_.is_valid()) {
            extra_.remove();
            return;
        }
        extra_ = server_->get("/extra", [this](const Request& request, Response& response) {
            extra_.remove(); // its own handler, which is running
            response.text(request.path());
        });
    }

private:
    porthole::Options make_options() {
        porthole::Options options;
        options.clock = &clock_;
        options.poller = porthole::PollerKind::poll;
        options.limits.max_request_line_bytes = 512;
        options.limits.max_fields_bytes = 1024;
        options.limits.max_fields = 16;
        options.limits.max_body_bytes = 8 * 1024;
        options.limits.max_queue_bytes = 4 * 1024;
        options.limits.max_read_bytes_per_turn = 2 * 1024;
        options.limits.max_write_bytes_per_turn = 8 * 1024;
        if (options_.has_low_caps) {
            options.limits.max_connections = 2;
            options.limits.max_requests_per_connection = 3;
            options.limits.max_linger_bytes = 64;
        }
        if (options_.has_access_log) {
            options.access_log = [](const porthole::AccessRecord& record) {
                std::string line;
                porthole::write_common_log(record, line);
                require(line.find('\n') == line.size() - 1, "a log line is one line");
            };
        }
        return options;
    }

    Peer& peer_of(const Request& request) {
        return *peers_[static_cast<std::size_t>(std::stoul(std::string(request.peer())))];
    }
    void expect(const Request& request, std::string content) {
        peer_of(request).handled.back().expected = std::move(content);
    }
    void may_break(const Request& request) { peer_of(request).handled.back().may_break = true; }

    void add_hooks() {
        server_->before([this](const Request& request, Response&) {
            Handled handled;
            handled.method = request.method_name();
            handled.is_old = request.http_version() == "HTTP/1.0";
            peer_of(request).handled.push_back(std::move(handled));
            return Next::go_on;
        });
        server_->after([](const Request& request, Response& response) {
            response.header("X-Method", request.method_name()).add_header("X-Hook", "1");
        });
        porthole::Group closed = server_->group("/guarded");
        closed.before([](const Request&, Response&) { return Next::stop; });
        closed.get("/door", [](const Request&, Response&) { require(false, "a hook stops"); });
        if (options_.has_error_page) {
            server_->on_error([](const Request&, Response& response) {
                response.html("<p>" + std::to_string(response.status()));
            });
        }
    }

    void add_routes() {
        server_->get("/", [this](const Request& request, Response& response) {
            expect(request, "root\n");
            response.text("root\n");
        });
        const porthole::Handler echo = [this](const Request& request, Response& response) {
            expect(request, std::string(request.body()));
            response.send("application/octet-stream", request.body());
        };
        server_->post("/echo", echo);
        server_->put("/small", echo).max_body_bytes(16);
        server_->get("/big", [this](const Request& request, Response& response) {
            const std::string big(40'000, 'b');
            expect(request, big);
            response.body(big);
        });
        server_->get("/users/:id", [this](const Request& request, Response& response) {
            expect(request, std::string(request.param("id")));
            response.text(request.param("id"));
        });
        server_->get("/move", [](const Request& request, Response& response) {
            response.redirect(request.query("to").value_or("/"));
        });
        server_->get("/field", [](const Request& request, Response& response) {
            response.header("X-Value", request.query("value").value_or(""));
            response.cookie("c", request.query("value").value_or("")).text("field");
        });
        server_->get("/none", [](const Request&, Response& response) { response.no_content(); });
        server_->get("/close", [](const Request&, Response& response) {
            response.close_connection().text("last");
        });
        server_->get("/later", [this](const Request& request, Response& response) {
            expect(request, "later\n");
            replies_.push_back(response.defer());
        });
        server_->get("/drop", [](const Request&, Response& response) {
            static_cast<void>(response.defer());
        });
        server_->get("/up", [this](const Request& request, Response& response) {
            may_break(request); // its owner may abort at any time
            response.upgrade("echo", std::make_shared<FuzzUpgrade>(peer_of(request)));
        });
#if defined(__cpp_exceptions)
        server_->get("/throw", [](const Request&, Response&) { throw std::runtime_error("no"); });
#endif
        const auto error =
            server_->mount("/files", [this](const Request& request, Response& response) {
                expect(request, std::string(request.mount_path()));
                response.text(request.mount_path());
            });
        require(!error, "a handler can be mounted");
    }

    void add_stream(std::string_view path, const FuzzSource::Plan& plan) {
        server_->get(path, [this, plan](const Request& request, Response& response) {
            std::string content;
            for (std::size_t i = 0; i < plan.total; ++i) {
                content += FuzzSource::byte_at(i);
            }
            expect(request, content);
            const bool is_short = plan.announced && *plan.announced > plan.total;
            if (is_short || plan.fails || plan.waits) {
                may_break(request);
            }
            response.send("text/plain", std::make_unique<FuzzSource>(plan, wakers_));
        });
    }
    void add_streams() {
        FuzzSource::Plan plan;
        add_stream("/stream/empty", plan);
        plan.total = 3000;
        add_stream("/stream", plan);
        plan.announced = 3000;
        add_stream("/sized", plan);
        plan.waits = true;
        add_stream("/sized/wait", plan);
        plan.announced.reset();
        add_stream("/wait", plan);
        plan.waits = false;
        plan.announced = 4000;
        add_stream("/short", plan);
        plan.announced.reset();
        plan.fails = true;
        add_stream("/fail", plan);
    }

    WorldOptions options_;
    porthole::ManualClock clock_;
    std::vector<std::unique_ptr<Peer>> peers_;
    std::vector<std::function<void()>> wakers_;
    std::vector<porthole::Reply> replies_;
    porthole::RouteHandle extra_;
    std::unique_ptr<porthole::Server> server_;
};

} // namespace porthole_fuzz
