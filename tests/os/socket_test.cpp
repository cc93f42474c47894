// SPDX-License-Identifier: MIT

// Sockets as the server uses them: flags from birth, gathered writes, ends and resets, and errors
// in words. Real sockets on loopback with ports that the system chooses.

#include "os/pair.hpp"

#include <string>
#include <utility>

#if !defined(_WIN32)
#include <csignal>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#endif

using porthole::Endpoint;
using porthole::ErrorCode;
using porthole::Family;
using porthole::IoResult;
using porthole::IoStatus;
using porthole::detail::Socket;
using porthole_test::connected_pair;
using porthole_test::read_all;
using porthole_test::wait_for;

TEST_CASE("socket: opens, moves and closes") {
    Socket socket;
    CHECK_FALSE(socket.is_open());
    REQUIRE_FALSE(Socket::open(Family::ipv4, socket));
    CHECK(socket.is_open());
    const porthole::NativeHandle handle = socket.handle();
    Socket moved = std::move(socket);
    CHECK(moved.handle() == handle);
    Socket assigned;
    assigned = std::move(moved);
    CHECK(assigned.handle() == handle);
    Socket adopted(assigned.release());
    CHECK_FALSE(assigned.is_open());
    CHECK(adopted.handle() == handle);
    adopted.close();
    adopted.close();
    CHECK_FALSE(adopted.is_open());
}

TEST_CASE("socket: a family that is none is an error") {
    Socket socket;
    const auto error = Socket::open(Family::any, socket);
    CHECK(error.code() == ErrorCode::unsupported_family);
    CHECK(error.call() == "socket");
    CHECK_FALSE(socket.is_open());
}

TEST_CASE("socket: bytes, end of stream, and the other direction after it") {
    auto pair = connected_pair();
    char byte = 0;
    CHECK(pair.server.receive(&byte, 1).status == IoStatus::would_block);
    const std::string_view hello = "hello";
    const IoResult sent = pair.client.send(&hello, 1);
    CHECK(sent.status == IoStatus::ok);
    CHECK(sent.bytes == hello.size());
    CHECK(read_all(pair.server, hello.size()) == "hello");
    CHECK(pair.server.receive(&byte, 0).status == IoStatus::would_block);

    pair.client.shut_write();
    REQUIRE(wait_for(pair.server, {true, false}).read);
    CHECK(pair.server.receive(&byte, 1).status == IoStatus::end);
    CHECK(pair.server.send(&hello, 1).status == IoStatus::ok);
    CHECK(read_all(pair.client, hello.size()) == "hello");
}

TEST_CASE("socket: gathers up to max_slices pieces in order") {
    auto pair = connected_pair();
    const std::string_view slices[] = {"one ", "", "two ", "three", "not this"};
    static_assert(sizeof slices / sizeof slices[0] == porthole::max_slices + 1, "one too many");
    const IoResult sent = pair.client.send(slices, porthole::max_slices + 1);
    CHECK(sent.status == IoStatus::ok);
    CHECK(sent.bytes == 13);
    CHECK(read_all(pair.server, 13) == "one two three");
    char byte = 0;
    CHECK(pair.server.receive(&byte, 1).status == IoStatus::would_block);
    CHECK(pair.client.send(slices, 0).status == IoStatus::would_block);
}

TEST_CASE("socket: a full connection blocks nobody") {
    auto pair = connected_pair();
    const std::string block(256 * 1024, 'x');
    const std::string_view slice = block;
    IoResult result;
    std::size_t total = 0;
    for (int i = 0; i < 1000 && result.status != IoStatus::would_block; ++i) {
        result = pair.client.send(&slice, 1);
        total += result.bytes;
        REQUIRE(result.status != IoStatus::failed);
    }
    CHECK(result.status == IoStatus::would_block);
    CHECK(result.bytes == 0);
    CHECK(read_all(pair.server, total).size() == total);
    CHECK(wait_for(pair.client, {false, true}).write);
}

TEST_CASE("socket: writing to a peer that has gone fails without a signal") {
    auto pair = connected_pair();
    const std::string_view slice = "x";
    CHECK(pair.server.send(&slice, 1).status == IoStatus::ok);
    pair.server.close();
    IoResult result;
    for (int i = 0; i < 100 && result.status != IoStatus::failed; ++i) {
        static_cast<void>(wait_for(pair.client, {true, false}, 50));
        const std::string_view both[] = {"a", "b"};
        result = pair.client.send(both, i % 2 == 0 ? 1 : 2);
    }
    CHECK(result.status == IoStatus::failed);
    CHECK(result.system_code != 0);
}

TEST_CASE("socket: knows both of its ends") {
    auto pair = connected_pair();
    CHECK(pair.client.local_endpoint() == pair.server.peer_endpoint());
    CHECK(pair.client.peer_endpoint() == pair.server.local_endpoint());
    CHECK(pair.client.local_endpoint().is_loopback());
    CHECK(pair.client.local_endpoint().port() != 0);
    CHECK(Socket().local_endpoint() == Endpoint());
    CHECK(pair.client.take_error() == 0);
}

TEST_CASE("socket: an error has the call, the endpoint, the system's words and advice") {
    Socket socket;
    REQUIRE_FALSE(Socket::open(Family::ipv4, socket));
    const auto error = socket.connect(Endpoint());
    CHECK(error);
    CHECK(error.call() == "connect");
#if !defined(_WIN32)
    const auto refused = porthole::detail::socket_error("connect", "[::1]:9", ECONNREFUSED);
    CHECK(refused.code() == ErrorCode::connection_refused);
    CHECK(refused.endpoint() == "[::1]:9");
    CHECK(refused.system_code() == ECONNREFUSED);
    CHECK(refused.system_text() == "Connection refused");
    CHECK_FALSE(refused.advice().empty());
    CHECK(porthole::detail::socket_error("x", "y", EIO, "do z").advice() == "do z");
#endif
}

TEST_CASE("socket: the system's text is one line") {
    for (int code = 1; code < 200; ++code) {
        const std::string text = porthole::detail::system_text(code);
        CHECK_FALSE(text.empty());
        CHECK(text.find_first_of("\r\n\t") == std::string::npos);
        CHECK(text.back() != ' ');
    }
}

#if !defined(_WIN32)

TEST_CASE("socket: is non-blocking and close-on-exec from birth") {
    auto pair = connected_pair();
    Socket local;
    REQUIRE_FALSE(Socket::open(Family::local, local));
    for (const Socket* socket : {&pair.client, &pair.server, &local}) {
        const int descriptor = static_cast<int>(socket->handle());
        CHECK((::fcntl(descriptor, F_GETFD) & FD_CLOEXEC) != 0);
        CHECK((::fcntl(descriptor, F_GETFL) & O_NONBLOCK) != 0);
    }
    int no_delay = 0;
    socklen_t size = sizeof no_delay;
    const int accepted = static_cast<int>(pair.server.handle());
    REQUIRE(::getsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &no_delay, &size) == 0);
    CHECK(no_delay != 0);
}

TEST_CASE("socket: each system code has its class") {
    using porthole::detail::classify_socket_error;
    CHECK(classify_socket_error(0) == ErrorCode::ok);
    CHECK(classify_socket_error(EADDRINUSE) == ErrorCode::address_in_use);
    CHECK(classify_socket_error(EADDRNOTAVAIL) == ErrorCode::address_not_available);
    CHECK(classify_socket_error(EACCES) == ErrorCode::permission_denied);
    CHECK(classify_socket_error(EPERM) == ErrorCode::permission_denied);
    CHECK(classify_socket_error(EAFNOSUPPORT) == ErrorCode::unsupported_family);
    CHECK(classify_socket_error(EMFILE) == ErrorCode::too_many_files);
    CHECK(classify_socket_error(ENOBUFS) == ErrorCode::too_many_files);
    CHECK(classify_socket_error(ECONNREFUSED) == ErrorCode::connection_refused);
    CHECK(classify_socket_error(ETIMEDOUT) == ErrorCode::timed_out);
    CHECK(classify_socket_error(ENOENT) == ErrorCode::not_found);
    CHECK(classify_socket_error(EAGAIN) == ErrorCode::exhausted);
    CHECK(classify_socket_error(EIO) == ErrorCode::system);
}

TEST_CASE("socket: without a descriptor left the error names the limit") {
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    rlimit none = before;
    none.rlim_cur = 0;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
    Socket socket;
    const auto error = Socket::open(Family::ipv4, socket);
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK(error.code() == ErrorCode::too_many_files);
    CHECK(error.system_code() == EMFILE);
    CHECK(error.advice().find("ulimit -n") != std::string::npos);
    CHECK_FALSE(socket.is_open());
}

#else

TEST_CASE("socket: unix sockets are an unsupported family on Windows") {
    Socket socket;
    CHECK(Socket::open(Family::local, socket).code() == ErrorCode::unsupported_family);
}

#endif
