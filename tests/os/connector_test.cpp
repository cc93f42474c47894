// SPDX-License-Identifier: MIT

// Connecting out: names, the walk over several addresses, refusals and deadlines. Time is passed
// in, so that a deadline needs no waiting.

#include "os/pair.hpp"

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#if !defined(_WIN32)
#include <cerrno>
#include <cstdlib>
#include <unistd.h>
#endif

using porthole::Endpoint;
using porthole::ErrorCode;
using porthole::detail::Connector;
using porthole::detail::Listener;
using porthole::detail::Socket;
using porthole_test::accept_one;
using porthole_test::loopback_listener;
using State = porthole::detail::Connector::State;

namespace {

porthole::TimePoint now() {
    return std::chrono::steady_clock::now();
}

porthole::TimePoint in_a_while() {
    return now() + std::chrono::milliseconds(porthole_test::patience_ms);
}

State finish(Connector& connector) {
    while (connector.state() == State::connecting) {
        static_cast<void>(porthole_test::wait_for(connector.handle(), {false, true}));
        connector.advance(now());
    }
    return connector.state();
}

/// A port of 127.0.0.1 where nobody listens.
Endpoint refused_endpoint() {
    return loopback_listener().endpoint();
}

} // namespace

TEST_CASE("connector: connects to a numeric host and hands the socket over") {
    Listener listener = loopback_listener();
    Connector connector;
    CHECK(connector.state() == State::idle);
    connector.start("127.0.0.1", listener.endpoint().port(), in_a_while());
    REQUIRE(finish(connector) == State::connected);
    CHECK_FALSE(connector.error());
    Socket client = connector.take_socket();
    CHECK(connector.state() == State::idle);
    CHECK(client.peer_endpoint() == listener.endpoint());
    Socket server = accept_one(listener);
    const std::string_view text = "hello";
    CHECK(client.send(&text, 1).bytes == text.size());
    CHECK(porthole_test::read_all(server, text.size()) == text);
}

TEST_CASE("connector: walks from IPv6 to IPv4 when only that one listens") {
    Listener listener = loopback_listener();
    Connector connector;
    connector.start("localhost", listener.endpoint().port(), in_a_while());
    REQUIRE(finish(connector) == State::connected);
    CHECK(connector.take_socket().peer_endpoint() == listener.endpoint());
}

TEST_CASE("connector: goes on after each address that fails") {
    Listener listener = loopback_listener();
    Connector connector;
    std::vector<Endpoint> endpoints{
        Endpoint(), refused_endpoint(), refused_endpoint(), listener.endpoint()};
    connector.start(std::move(endpoints), in_a_while());
    REQUIRE(finish(connector) == State::connected);
    CHECK(connector.take_socket().peer_endpoint() == listener.endpoint());
}

TEST_CASE("connector: a refusal is the last address's error") {
    const Endpoint refused = refused_endpoint();
    Connector connector;
    connector.start("localhost", refused.port(), in_a_while());
    REQUIRE(finish(connector) == State::failed);
    CHECK(connector.error().code() == ErrorCode::connection_refused);
    CHECK(connector.error().call() == "connect");
    CHECK(connector.error().endpoint() == refused.to_string());
    CHECK_FALSE(connector.error().advice().empty());
    CHECK(connector.handle() == porthole::invalid_handle);
    CHECK(connector.advance(now()) == State::failed);
}

TEST_CASE("connector: can be started again") {
    Listener listener = loopback_listener();
    Connector connector;
    connector.start(std::vector<Endpoint>{refused_endpoint()}, in_a_while());
    REQUIRE(finish(connector) == State::failed);
    connector.start(std::vector<Endpoint>{listener.endpoint()}, in_a_while());
    CHECK(finish(connector) == State::connected);
    connector.start(std::vector<Endpoint>{listener.endpoint()}, in_a_while());
    CHECK(finish(connector) == State::connected);
}

TEST_CASE("connector: nothing to connect to is an error") {
    Connector connector;
    CHECK(connector.start(std::vector<Endpoint>{}, in_a_while()) == State::failed);
    CHECK(connector.error().code() == ErrorCode::misuse);
    CHECK(connector.start(std::string(1000, 'a'), 80, in_a_while()) == State::failed);
    CHECK(connector.error().code() == ErrorCode::unknown_host);
}

TEST_CASE("connector: taking a socket too early is misuse and gives none") {
    const int before = porthole_test::misuse_count;
    Connector connector;
    CHECK_FALSE(connector.take_socket().is_open());
    CHECK(porthole_test::misuse_count == before + 1);
}

#if !defined(_WIN32)

TEST_CASE("connector: unix:/path is a unix socket, and one that is not there an error") {
    std::string directory = "/tmp/porthole-XXXXXX";
    REQUIRE(::mkdtemp(&directory[0]) != nullptr);
    const std::string path = directory + "/socket";
    Listener listener;
    REQUIRE_FALSE(Listener::open(Endpoint::local(path), {}, 0600, listener));
    Connector connector;
    connector.start("unix:" + path, 0, in_a_while());
    CHECK(finish(connector) == State::connected);
    CHECK(connector.take_socket().peer_endpoint() == Endpoint::local(path));
    listener.close();
    CHECK(connector.start("unix:" + path, 0, in_a_while()) == State::failed);
    CHECK(connector.error().code() == ErrorCode::not_found);
    CHECK(connector.error().endpoint() == "unix:" + path);
    CHECK(connector.start("unix:", 0, in_a_while()) == State::failed);
    CHECK(connector.error().code() == ErrorCode::bad_path);
    ::rmdir(directory.c_str());
}

#endif

#if defined(__linux__)

namespace {

/// Fills a listener's queue, after which Linux lets newcomers wait for an answer that does not
/// come. Returns the first connector of those that has to wait, or null.
Connector* first_waiting(
    std::vector<Connector>& connectors, const std::vector<Endpoint>& to,
    porthole::TimePoint deadline) {
    for (Connector& connector : connectors) {
        if (connector.start(to, deadline) == State::connecting
            && !porthole_test::wait_for(connector.handle(), {false, true}, 20).write) {
            return &connector;
        }
    }
    return nullptr;
}

Listener short_listener() {
    porthole::ListenOptions options;
    options.backlog = 1;
    return loopback_listener(options);
}

} // namespace

TEST_CASE("connector: gives up at the deadline and names who did not answer") {
    Listener listener = short_listener();
    std::vector<Connector> connectors(8);
    const porthole::TimePoint deadline = in_a_while();
    Connector* waiting = first_waiting(connectors, {listener.endpoint()}, deadline);
    REQUIRE(waiting != nullptr);
    CHECK(waiting->advance(deadline - std::chrono::nanoseconds(1)) == State::connecting);
    CHECK(waiting->advance(deadline) == State::failed);
    CHECK(waiting->error().code() == ErrorCode::timed_out);
    CHECK(waiting->error().endpoint() == listener.endpoint().to_string());
    CHECK(waiting->handle() == porthole::invalid_handle);
}

TEST_CASE("connector: the deadline is for all addresses together") {
    Listener busy = short_listener();
    Listener other = loopback_listener();
    std::vector<Connector> connectors(8);
    const porthole::TimePoint deadline = in_a_while();
    Connector* waiting = first_waiting(
        connectors, {refused_endpoint(), busy.endpoint(), other.endpoint()}, deadline);
    REQUIRE(waiting != nullptr);
    CHECK(waiting->advance(deadline) == State::failed);
    CHECK(waiting->error().code() == ErrorCode::timed_out);
    CHECK(waiting->error().endpoint() == busy.endpoint().to_string());
    CHECK(waiting->advance(deadline) == State::failed);
    Socket nobody;
    Endpoint from;
    CHECK(other.accept(nobody, from) == porthole::detail::AcceptStatus::none);
}

TEST_CASE("connector: a unix socket whose queue is full fails at once, and the next is tried") {
    std::string directory = "/tmp/porthole-XXXXXX";
    REQUIRE(::mkdtemp(&directory[0]) != nullptr);
    porthole::ListenOptions options;
    options.backlog = 1;
    Listener busy;
    REQUIRE_FALSE(Listener::open(Endpoint::local(directory + "/socket"), options, 0600, busy));
    std::vector<Connector> connectors(8);
    const Connector* refused = nullptr;
    for (std::size_t i = 0; i < connectors.size() && refused == nullptr; ++i) {
        if (connectors[i].start({busy.endpoint()}, in_a_while()) == State::failed) {
            refused = &connectors[i];
        }
    }
    REQUIRE(refused != nullptr);
    CHECK(refused->error().system_code() == EAGAIN);
    CHECK(refused->error().call() == "connect");
    CHECK(refused->handle() == porthole::invalid_handle);
    Listener other = loopback_listener();
    Connector connector;
    connector.start({busy.endpoint(), other.endpoint()}, in_a_while());
    REQUIRE(finish(connector) == State::connected);
    CHECK(connector.take_socket().peer_endpoint() == other.endpoint());
    busy.close();
    ::rmdir(directory.c_str());
}

TEST_CASE("connector: goes on when an address fails after a wait") {
    Listener busy = short_listener();
    Listener other = loopback_listener();
    std::vector<Connector> connectors(8);
    Connector* waiting =
        first_waiting(connectors, {busy.endpoint(), other.endpoint()}, in_a_while());
    REQUIRE(waiting != nullptr);
    busy.close(); // the next attempt of the system, a second later, is refused
    REQUIRE(porthole_test::wait_for(waiting->handle(), {false, true}).hangup);
    CHECK(finish(*waiting) == State::connected);
    CHECK(waiting->take_socket().peer_endpoint() == other.endpoint());
}

#endif
