// SPDX-License-Identifier: MIT

// Listening: all addresses of a name on one port, loud failures, and the files of unix sockets. All
// ports are chosen by the system.

#include "os/pair.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#if !defined(_WIN32)
#include <cstdlib>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

using porthole::Endpoint;
using porthole::Error;
using porthole::ErrorCode;
using porthole::Expose;
using porthole::Family;
using porthole::ListenOptions;
using porthole::detail::AcceptStatus;
using porthole::detail::Listener;
using porthole::detail::open_listeners;
using porthole::detail::Socket;
using porthole_test::accept_one;
using porthole_test::connect_to;
using porthole_test::loopback_listener;

namespace {

struct Opened {
    Error error;
    std::vector<Listener> listeners;
    std::vector<Error> skipped;

    std::uint16_t port() const {
        return listeners.empty() ? std::uint16_t{0} : listeners[0].endpoint().port();
    }
};

Opened listen_on(
    std::string_view host, std::uint16_t port, const ListenOptions& options = {},
    const std::vector<Listener>& existing = {}) {
    std::vector<const Listener*> known;
    for (const Listener& listener : existing) {
        known.push_back(&listener);
    }
    Opened opened;
    opened.error = open_listeners(host, port, options, known, opened.listeners, opened.skipped);
    return opened;
}

ListenOptions exposed() {
    ListenOptions options;
    options.expose = Expose::lan_with_token;
    return options;
}

bool has_ipv6() {
    return listen_on("::1", 0).error.code() == ErrorCode::ok;
}

bool serves(Listener& listener) {
    Socket client = connect_to(listener.endpoint());
    Socket server = accept_one(listener);
    return client.is_open() && server.is_open();
}

} // namespace

TEST_CASE("listener: port 0 is a port, the endpoint says which, and connections come in") {
    Listener listener = loopback_listener();
    CHECK(listener.is_open());
    CHECK(listener.endpoint().port() != 0);
    CHECK(listener.endpoint().host_text() == "127.0.0.1");
    Socket socket;
    Endpoint peer;
    CHECK(listener.accept(socket, peer) == AcceptStatus::none);
    CHECK_FALSE(socket.is_open());
    Socket client = connect_to(listener.endpoint());
    REQUIRE(porthole_test::wait_for(listener.handle(), {true, false}).read);
    CHECK(listener.accept(socket, peer) == AcceptStatus::accepted);
    CHECK(peer == client.local_endpoint());
    CHECK(listener.accept(socket, peer) == AcceptStatus::none);
}

TEST_CASE("listener: moves without closing, closes once") {
    Listener first = loopback_listener();
    const Endpoint at = first.endpoint();
    Listener second = std::move(first);
    CHECK(second.is_open());
    CHECK(second.endpoint() == at);
    CHECK(serves(second));
    Listener third = loopback_listener();
    third = std::move(second);
    CHECK(third.endpoint() == at);
    CHECK(serves(third));
    third.close();
    third.close();
    CHECK_FALSE(connect_to(at).is_open());
    Socket socket;
    Endpoint peer;
    CHECK(third.accept(socket, peer) == AcceptStatus::failed);
}

TEST_CASE("listener: localhost on port 0 is the same port on ::1 and 127.0.0.1") {
    Opened opened = listen_on("localhost", 0);
    REQUIRE_FALSE(opened.error);
    if (!has_ipv6()) {
        MESSAGE("without IPv6: one listener, and a note about the other");
        CHECK(opened.listeners.size() == 1);
        CHECK(opened.skipped.size() == 1);
        return;
    }
    REQUIRE(opened.listeners.size() == 2);
    CHECK(opened.skipped.empty());
    CHECK(opened.listeners[0].endpoint().host_text() == "::1");
    CHECK(opened.listeners[1].endpoint().host_text() == "127.0.0.1");
    CHECK(opened.listeners[1].endpoint().port() == opened.port());
    CHECK(serves(opened.listeners[0]));
    CHECK(serves(opened.listeners[1]));
}

TEST_CASE("listener: one family only when the options say so") {
    ListenOptions options;
    options.family = Family::ipv4;
    Opened opened = listen_on("localhost", 0, options);
    REQUIRE(opened.listeners.size() == 1);
    CHECK(opened.listeners[0].endpoint().family() == Family::ipv4);
    CHECK(opened.listeners[0].options().family == Family::ipv4);
}

TEST_CASE("listener: a port in use is a loud error, and nothing of that call stays open") {
    Opened first = listen_on("127.0.0.1", 0);
    REQUIRE_FALSE(first.error);
    Opened second = listen_on("localhost", first.port()); // ::1 is free, 127.0.0.1 is not
    CHECK(second.error.code() == ErrorCode::address_in_use);
    CHECK((second.error.call() == "bind" || second.error.call() == "listen"));
    const std::string port = std::to_string(first.port());
    CHECK(second.error.endpoint() == "127.0.0.1:" + port);
    CHECK_FALSE(second.error.system_text().empty());
    CHECK(second.error.system_code() != 0);
    CHECK(second.error.advice().find(port) != std::string::npos);
    CHECK(second.error.advice().find("ListenOptions::port_range") != std::string::npos);
    CHECK(second.listeners.empty());
    CHECK(serves(first.listeners[0]));
    if (has_ipv6()) {
        Opened third = listen_on("::1", first.port());
        CHECK_FALSE(third.error);
    }
}

TEST_CASE("listener: port_range takes the next port that is free on all addresses") {
    for (int attempt = 0; attempt < 20; ++attempt) {
        Opened first = listen_on("127.0.0.1", 0);
        REQUIRE_FALSE(first.error);
        if (first.port() > 65000) {
            continue;
        }
        ListenOptions options;
        options.port_range = 20;
        Opened second = listen_on("localhost", first.port(), options);
        REQUIRE_FALSE(second.error);
        CHECK(second.port() > first.port());
        CHECK(second.port() < first.port() + options.port_range);
        CHECK(second.listeners.size() == (has_ipv6() ? 2 : 1));
        return;
    }
    FAIL("no port to begin with");
}

TEST_CASE("listener: port_range ends at 65535 and begins at one") {
    ListenOptions options;
    options.port_range = 0;
    CHECK(listen_on("localhost", 0, options).error.code() == ErrorCode::bad_port);
    CHECK(listen_on("localhost", 9000, options).error.code() == ErrorCode::bad_port);
    options.port_range = 2;
    const Error error = listen_on("localhost", 65535, options).error;
    CHECK(error.code() == ErrorCode::bad_port);
    CHECK(error.endpoint() == "localhost:65535");
    CHECK(error.advice().find("ListenOptions::port_range") != std::string::npos);
    // No name, so that a range which is fine gets no further.
    const std::string no_host(1000, 'a');
    CHECK(listen_on(no_host, 65535, options).error.code() == ErrorCode::bad_port);
    CHECK(listen_on(no_host, 65534, options).error.code() == ErrorCode::unknown_host);
    options.port_range = 1;
    CHECK(listen_on(no_host, 65535, options).error.code() == ErrorCode::unknown_host);
    options.port_range = 65535;
    CHECK(listen_on("localhost", 2, options).error.code() == ErrorCode::bad_port);
    CHECK_FALSE(listen_on("localhost", 0, options).error);
}

TEST_CASE("listener: what is listened on already is shared, not opened again") {
    Opened first = listen_on("localhost", 0);
    REQUIRE_FALSE(first.error);
    Opened second = listen_on("localhost", first.port(), {}, first.listeners);
    CHECK_FALSE(second.error);
    CHECK(second.listeners.empty());
    first.listeners.pop_back(); // 127.0.0.1 goes; only that one is opened again
    Opened third = listen_on("localhost", first.port(), {}, first.listeners);
    CHECK_FALSE(third.error);
    REQUIRE(third.listeners.size() == 1);
    CHECK(third.listeners[0].endpoint().host_text() == "127.0.0.1");
}

TEST_CASE("listener: no spelling of a wildcard is exposed by accident") {
    for (const char* host :
         {"", "0.0.0.0", "::", "[::]", "0", "0x0", "00", "0.0", "::ffff:0.0.0.0", "::ffff:0:0",
          "0:0:0:0:0:0:0:0", "192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1"}) {
        CAPTURE(host);
        const Opened opened = listen_on(host, 0);
        if (opened.error.code() == ErrorCode::unknown_host) {
            MESSAGE("skipped: the resolver here does not know this spelling");
            continue;
        }
        CHECK(opened.error.code() == ErrorCode::not_exposed);
        CHECK(opened.error.advice().find("ListenOptions::expose") != std::string::npos);
        CHECK(opened.error.advice().find("Expose::lan_with_token") != std::string::npos);
        CHECK(opened.listeners.empty());
    }
    for (const char* host : {"127.0.0.1", "127.9.9.9", "::ffff:127.0.0.1", "app.localhost"}) {
        CAPTURE(host);
        const Error error = listen_on(host, 0).error;
        CHECK(error.code() != ErrorCode::not_exposed);
    }
}

TEST_CASE("listener: exposed, a wildcard is every interface in both families on one port") {
    Opened opened = listen_on("", 0, exposed());
    REQUIRE_FALSE(opened.error);
    REQUIRE(opened.listeners.size() == (has_ipv6() ? 2 : 1));
    for (const Listener& listener : opened.listeners) {
        CHECK(listener.endpoint().is_wildcard());
        CHECK(listener.endpoint().port() == opened.port());
    }
    Opened mapped = listen_on("::ffff:0.0.0.0", 0, exposed());
    REQUIRE_FALSE(mapped.error);
    CHECK(mapped.listeners[0].endpoint().family() == Family::ipv4);
}

TEST_CASE("listener: without v6_only one IPv6 wildcard takes IPv4 connections too") {
    if (!has_ipv6()) {
        MESSAGE("skipped: no IPv6 here");
        return;
    }
    ListenOptions options = exposed();
    options.v6_only = false;
    Opened opened = listen_on("", 0, options);
    REQUIRE_FALSE(opened.error);
    REQUIRE(opened.listeners.size() == 1);
    CHECK(opened.listeners[0].endpoint().family() == Family::ipv6);
    Socket client = connect_to(Endpoint::ipv4({127, 0, 0, 1}, opened.port()));
    REQUIRE(client.is_open());
    Socket server = accept_one(opened.listeners[0]);
    CHECK(server.peer_endpoint().host_text() == "::ffff:127.0.0.1");

    Opened ipv6_only = listen_on("::", 0, exposed());
    REQUIRE_FALSE(ipv6_only.error);
    CHECK_FALSE(connect_to(Endpoint::ipv4({127, 0, 0, 1}, ipv6_only.port())).is_open());
}

TEST_CASE("listener: an address that is not on this machine is an error of its own") {
    const Error error = listen_on("192.0.2.77", 0, exposed()).error;
    CHECK(error.code() == ErrorCode::address_not_available);
    CHECK(error.endpoint() == "192.0.2.77:0");
    CHECK_FALSE(error.advice().empty());
}

TEST_CASE("listener: an unknown host is an error before anything is bound") {
    const Error error = listen_on("no-such-host.invalid", 0, exposed()).error;
    if (!error || error.code() == ErrorCode::address_not_available) {
        MESSAGE("skipped: the resolver here answers for names that do not exist");
        return;
    }
    CHECK(error.code() == ErrorCode::unknown_host);
}

TEST_CASE("listener: a port can be taken again at once after a connection (TIME_WAIT)") {
    Listener listener = loopback_listener();
    const Endpoint at = listener.endpoint();
    Socket client = connect_to(at);
    Socket server = accept_one(listener);
    REQUIRE(server.is_open());
    server.close(); // this side closes first, so this side's port lingers
    static_cast<void>(porthole_test::read_all(client, 1));
    client.close();
    listener.close();
    Opened again = listen_on("127.0.0.1", at.port());
    CHECK_FALSE(again.error);
}

TEST_CASE("listener: reuse_port shares a port where the system can, else says so") {
    ListenOptions options;
    options.reuse_port = true;
    Opened first = listen_on("127.0.0.1", 0, options);
    if (first.error) {
        CHECK(first.error.call() == "setsockopt SO_REUSEPORT");
        CHECK(first.error.advice().find("ListenOptions::reuse_port") != std::string::npos);
        return;
    }
    Opened second = listen_on("127.0.0.1", first.port(), options);
    CHECK_FALSE(second.error);
    CHECK(second.port() == first.port());
    Opened third = listen_on("127.0.0.1", first.port());
    CHECK(third.error.code() == ErrorCode::address_in_use);
}

#if defined(_WIN32)

TEST_CASE("listener: unix sockets are an unsupported family on Windows") {
    Listener listener;
    const Error error = Listener::open(Endpoint::local("x"), {}, 0600, listener);
    CHECK(error.code() == ErrorCode::unsupported_family);
}

#else

TEST_CASE("listener: is non-blocking and close-on-exec") {
    Listener listener = loopback_listener();
    const int descriptor = static_cast<int>(listener.handle());
    CHECK((::fcntl(descriptor, F_GETFD) & FD_CLOEXEC) != 0);
    CHECK((::fcntl(descriptor, F_GETFL) & O_NONBLOCK) != 0);
}

TEST_CASE("listener: a port below 1024 as a plain user is a permission error with advice") {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        constexpr uid_t nobody = 65534;
        if (::geteuid() == 0 && ::setuid(nobody) != 0) {
            ::_exit(2);
        }
        const Error error = listen_on("127.0.0.1", 80).error;
        if (!error || error.code() == ErrorCode::address_in_use) {
            ::_exit(2); // ports are not privileged here
        }
        const bool is_right = error.code() == ErrorCode::permission_denied && error.call() == "bind"
                              && error.endpoint() == "127.0.0.1:80"
                              && error.advice().find("1023") != std::string::npos;
        ::_exit(is_right ? 0 : 1);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFEXITED(status));
    if (WEXITSTATUS(status) == 2) {
        MESSAGE("skipped: this user may bind port 80");
        return;
    }
    CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("listener: without a descriptor left accept says so, and recovers") {
    Listener listener = loopback_listener();
    Socket client = connect_to(listener.endpoint());
    REQUIRE(porthole_test::wait_for(listener.handle(), {true, false}).read);
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    rlimit none = before;
    none.rlim_cur = 0;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
    Socket socket;
    Endpoint peer;
    const AcceptStatus starved = listener.accept(socket, peer);
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK(starved == AcceptStatus::exhausted);
    CHECK_FALSE(socket.is_open());
    CHECK(listener.accept(socket, peer) == AcceptStatus::accepted);
}

namespace {

/// A directory of its own for socket files, removed at the end.
struct Directory {
    Directory() : path("/tmp/porthole-XXXXXX") { REQUIRE(::mkdtemp(&path[0]) != nullptr); }
    ~Directory() {
        for (const char* name : {"/socket", "/file", "/moved"}) {
            ::unlink((path + name).c_str());
        }
        ::rmdir(path.c_str());
    }
    std::string path;
};

bool exists(const std::string& path) {
    struct stat file {};
    return ::lstat(path.c_str(), &file) == 0;
}

} // namespace

TEST_CASE("listener: a unix socket has the mode that was asked for, and serves") {
    const Directory directory;
    const std::string path = directory.path + "/socket";
    for (const unsigned mode : {0600u, 0666u, 0660u}) {
        Listener listener;
        REQUIRE_FALSE(Listener::open(Endpoint::local(path), {}, mode, listener));
        struct stat file {};
        REQUIRE(::lstat(path.c_str(), &file) == 0);
        CHECK(S_ISSOCK(file.st_mode));
        CHECK((file.st_mode & 0777u) == mode);
        CHECK(listener.endpoint() == Endpoint::local(path));
        CHECK(serves(listener));
        listener.close();
        CHECK_FALSE(exists(path));
    }
}

TEST_CASE("listener: a unix socket that somebody serves is in use, a stale one is replaced") {
    const Directory directory;
    const std::string path = directory.path + "/socket";
    const Endpoint at = Endpoint::local(path);
    Listener first;
    REQUIRE_FALSE(Listener::open(at, {}, 0600, first));
    Listener second;
    const Error error = Listener::open(at, {}, 0600, second);
    CHECK(error.code() == ErrorCode::address_in_use);
    CHECK(error.endpoint() == "unix:" + path);
    CHECK(exists(path));
    CHECK(serves(first));

    const std::string moved = directory.path + "/moved";
    REQUIRE(::rename(path.c_str(), moved.c_str()) == 0);
    first.close(); // finds its name gone, and leaves a stale file under the other
    REQUIRE(::rename(moved.c_str(), path.c_str()) == 0);
    REQUIRE_FALSE(Listener::open(at, {}, 0600, second));
    CHECK(serves(second));
}

TEST_CASE("listener: closing removes the own socket file only") {
    const Directory directory;
    const std::string path = directory.path + "/socket";
    Listener first;
    REQUIRE_FALSE(Listener::open(Endpoint::local(path), {}, 0600, first));
    REQUIRE(::rename(path.c_str(), (directory.path + "/moved").c_str()) == 0);
    Listener second;
    REQUIRE_FALSE(Listener::open(Endpoint::local(path), {}, 0600, second));
    first.close();
    CHECK(exists(path));
    CHECK(serves(second));
    Listener third = std::move(second);
    CHECK(exists(path));
    third.close();
    CHECK_FALSE(exists(path));
}

TEST_CASE("listener: a path that is not a socket is never touched") {
    const Directory directory;
    const std::string path = directory.path + "/file";
    const int file = ::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    REQUIRE(file >= 0);
    ::close(file);
    Listener listener;
    const Error error = Listener::open(Endpoint::local(path), {}, 0600, listener);
    CHECK(error.code() == ErrorCode::bad_path);
    CHECK(exists(path));
    CHECK_FALSE(listener.is_open());
}

TEST_CASE("listener: a unix socket path has 1 to 107 bytes and an existing directory") {
    Listener listener;
    const auto code_for = [&listener](const std::string& path) {
        return Listener::open(Endpoint::local(path), {}, 0600, listener).code();
    };
    CHECK(code_for("") == ErrorCode::bad_path);
    CHECK(code_for(std::string("/tmp/a\0b", 8)) == ErrorCode::bad_path);
    const Directory directory;
    const std::size_t longest = sizeof(sockaddr_un::sun_path) - 1;
    std::string path = directory.path + "/";
    path.append(longest - path.size(), 'x');
    CHECK(code_for(path + "x") == ErrorCode::bad_path);
    CHECK(code_for(path) == ErrorCode::ok);
    CHECK(serves(listener));
    listener.close();
    CHECK_FALSE(exists(path));
    CHECK(code_for(directory.path + "/no/socket") == ErrorCode::not_found);
}

#endif
