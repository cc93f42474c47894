// SPDX-License-Identifier: MIT

// The transport in memory has to behave as a socket does, because tests of everything above trust
// it; the transport over a socket has to add nothing.

#include "os/pair.hpp"
#include "support/temporary_directory.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#if defined(__linux__)
#include <cerrno>
#include <csignal>
#include <pthread.h>
#include <sys/socket.h>
#endif

using porthole::IoResult;
using porthole::IoStatus;
using porthole::MemoryTransport;
using porthole::Transport;

namespace {

IoResult write(Transport& to, std::string_view text) {
    return to.write(&text, 1);
}

std::string read(Transport& from, std::size_t capacity = 4096) {
    std::string text(capacity, '\0');
    const IoResult result = from.read(&text[0], capacity);
    text.resize(result.bytes);
    return text;
}

IoStatus read_status(Transport& from) {
    char byte = 0;
    return from.read(&byte, 1).status;
}

} // namespace

TEST_CASE("transport: what one end writes the other reads, both ways") {
    auto pair = MemoryTransport::make_pair();
    CHECK(read_status(*pair.server) == IoStatus::would_block);
    CHECK(write(*pair.client, "request").bytes == 7);
    CHECK(write(*pair.server, "answer").status == IoStatus::ok);
    CHECK(read(*pair.server) == "request");
    CHECK(read(*pair.client) == "answer");
    CHECK(read_status(*pair.client) == IoStatus::would_block);
    CHECK(pair.server->handle() == porthole::invalid_handle);
    CHECK(pair.server->scheme() == "http");
}

TEST_CASE("transport: gathers at most max_slices pieces") {
    auto pair = MemoryTransport::make_pair();
    const std::string_view slices[] = {"a", "", "b", "c", "d"};
    CHECK(pair.client->write(slices, 5).bytes == 3);
    CHECK(read(*pair.server) == "abc");
    CHECK(pair.client->write(slices, 0).status == IoStatus::would_block);
}

TEST_CASE("transport: holds capacity bytes in each direction and not one more") {
    constexpr std::size_t capacity = 8;
    auto pair = MemoryTransport::make_pair(capacity);
    CHECK(write(*pair.client, "1234567").bytes == capacity - 1);
    CHECK(pair.client->readiness().write);
    const std::string_view more[] = {"8", "9"};
    CHECK(pair.client->write(more, 2).bytes == 1);
    CHECK_FALSE(pair.client->readiness().write);
    CHECK(write(*pair.client, "9").status == IoStatus::would_block);
    CHECK(write(*pair.server, "12345678").bytes == capacity);
    CHECK(read(*pair.server, 3) == "123");
    CHECK(pair.client->readiness().write);
    CHECK(write(*pair.client, "9abc").bytes == 3); // around the end of the ring
    CHECK(read(*pair.server) == "456789ab");
}

TEST_CASE("transport: the ring keeps the order at every size") {
    for (std::size_t capacity = 1; capacity <= 9; ++capacity) {
        auto pair = MemoryTransport::make_pair(capacity);
        const std::string text = "the quick brown fox jumps over the lazy dog";
        std::string got;
        std::size_t at = 0;
        for (int i = 0; i < 500 && got.size() < text.size(); ++i) {
            const std::string_view left = std::string_view(text).substr(at);
            at += left.empty() ? 0 : write(*pair.client, left.substr(0, 4)).bytes;
            got += read(*pair.server, 3);
        }
        CHECK(got == text);
    }
}

TEST_CASE("transport: a capacity of nothing is misuse, and one byte then") {
    const int before = porthole_test::misuse_count;
    auto pair = MemoryTransport::make_pair(0);
    CHECK(porthole_test::misuse_count == before + 1);
    CHECK(write(*pair.client, "ab").bytes == 1);
}

TEST_CASE("transport: splits reads where the test says") {
    auto pair = MemoryTransport::make_pair();
    CHECK(write(*pair.client, "abc").bytes == 3);
    pair.server->set_max_read_bytes(1);
    CHECK(read(*pair.server) == "a");
    pair.server->set_max_read_bytes(0);
    CHECK(read_status(*pair.server) == IoStatus::would_block);
    pair.server->set_max_read_bytes(2);
    CHECK(read(*pair.server) == "bc");
}

TEST_CASE("transport: shut_write ends one direction after its bytes") {
    auto pair = MemoryTransport::make_pair();
    CHECK(write(*pair.client, "last").status == IoStatus::ok);
    pair.client->shut_write();
    CHECK(write(*pair.client, "more").status == IoStatus::failed);
    CHECK(pair.server->readiness().hangup);
    CHECK(read(*pair.server) == "last");
    CHECK(pair.server->readiness().read);
    CHECK(read_status(*pair.server) == IoStatus::end);
    CHECK(read_status(*pair.server) == IoStatus::end);
    CHECK(write(*pair.server, "still").status == IoStatus::ok);
    CHECK(read(*pair.client) == "still");
    CHECK_FALSE(pair.client->readiness().hangup);
}

TEST_CASE("transport: an end that is gone is an end of stream, then a failed write") {
    auto pair = MemoryTransport::make_pair();
    CHECK(write(*pair.client, "bye").status == IoStatus::ok);
    pair.client.reset();
    const porthole::Readiness readiness = pair.server->readiness();
    CHECK(readiness.read);
    CHECK(readiness.write);
    CHECK(readiness.hangup);
    CHECK_FALSE(readiness.error);
    CHECK(read(*pair.server) == "bye");
    CHECK(read_status(*pair.server) == IoStatus::end);
    const IoResult result = write(*pair.server, "x");
    CHECK(result.status == IoStatus::failed);
    CHECK(result.system_code != 0);
}

TEST_CASE("transport: a reset fails both directions and drops what was under way") {
    auto pair = MemoryTransport::make_pair();
    CHECK(write(*pair.client, "lost").status == IoStatus::ok);
    pair.client->reset();
    const porthole::Readiness readiness = pair.server->readiness();
    CHECK(readiness.read);
    CHECK(readiness.write);
    CHECK(readiness.error);
    CHECK(readiness.hangup);
    CHECK(read_status(*pair.server) == IoStatus::failed);
    CHECK(write(*pair.server, "x").status == IoStatus::failed);
    CHECK(read_status(*pair.client) == IoStatus::failed);
}

TEST_CASE("transport: readiness follows the bytes") {
    auto pair = MemoryTransport::make_pair();
    porthole::Readiness readiness = pair.server->readiness();
    CHECK_FALSE(readiness.read);
    CHECK(readiness.write);
    CHECK_FALSE(readiness.hangup);
    CHECK_FALSE(readiness.error);
    CHECK(write(*pair.client, "x").bytes == 1);
    CHECK(pair.server->readiness().read);
    CHECK(read(*pair.server) == "x");
    CHECK_FALSE(pair.server->readiness().read);
}

TEST_CASE("transport: over a socket it is the socket") {
    auto sockets = porthole_test::connected_pair();
    const porthole::NativeHandle handle = sockets.server.handle();
    porthole::detail::SocketTransport server(std::move(sockets.server));
    CHECK(server.handle() == handle);
    CHECK(server.scheme() == "http");
    CHECK(read_status(server) == IoStatus::would_block);
    const std::string_view slices[] = {"he", "llo"};
    CHECK(server.write(slices, 2).bytes == 5);
    CHECK(porthole_test::read_all(sockets.client, 5) == "hello");
    server.shut_write();
    REQUIRE(porthole_test::wait_for(sockets.client, {true, false}).read);
    char byte = 0;
    CHECK(sockets.client.receive(&byte, 1).status == IoStatus::end);
}

TEST_CASE("transport: in memory no file can be sent, and the connection is fine") {
    const porthole_test::TemporaryDirectory place;
    place.write("file", "content");
    porthole::detail::File file;
    porthole::detail::FileInfo info;
    REQUIRE(
        porthole::detail::open_path(place.path("file"), file, info)
        == porthole::detail::OpenResult::ok);
    auto pair = MemoryTransport::make_pair();
    CHECK_FALSE(pair.server->can_send_files());
    const IoResult result = pair.server->send_file(file.handle(), 0, 7);
    CHECK(result.status == IoStatus::failed);
    CHECK(result.system_code == 0);
    CHECK(result.bytes == 0);
    CHECK(write(*pair.server, "by hand").bytes == 7);
    CHECK(read(*pair.client) == "by hand");
}

#if defined(__linux__)

namespace {

using porthole::detail::SocketTransport;

/// A file of that content, and a connection to send it over.
struct Sending {
    explicit Sending(std::string_view content) : sockets(porthole_test::connected_pair()) {
        place.write("file", content);
        porthole::detail::FileInfo info;
        REQUIRE(
            porthole::detail::open_path(place.path("file"), file, info)
            == porthole::detail::OpenResult::ok);
    }
    IoResult send(std::uint64_t offset, std::size_t most) {
        return transport.send_file(file.handle(), offset, most);
    }
    std::string received(std::size_t size) { return porthole_test::read_all(sockets.client, size); }

    porthole_test::TemporaryDirectory place;
    porthole::detail::File file;
    porthole_test::ConnectedPair sockets;
    SocketTransport transport{std::move(sockets.server)};
};

/// Another byte at each place, as far as the eye of a comparison goes.
std::string varied_bytes(std::size_t size) {
    constexpr std::size_t period = 251;
    std::string bytes(size, '\0');
    for (std::size_t i = 0; i < size; ++i) {
        bytes[i] = static_cast<char>(i % period ^ i / period % period);
    }
    return bytes;
}

volatile std::sig_atomic_t pipe_signals = 0;

/// Counts SIGPIPE instead of dying of it.
class PipeSignalCount {
public:
    PipeSignalCount() {
        pipe_signals = 0;
        struct sigaction action {};
        action.sa_handler = [](int) {
            pipe_signals = pipe_signals + 1;
        };
        REQUIRE(::sigaction(SIGPIPE, &action, &before_) == 0);
    }
    PipeSignalCount(const PipeSignalCount&) = delete;
    PipeSignalCount& operator=(const PipeSignalCount&) = delete;
    ~PipeSignalCount() { static_cast<void>(::sigaction(SIGPIPE, &before_, nullptr)); }

    static bool is_pending() {
        sigset_t pending;
        REQUIRE(::sigpending(&pending) == 0);
        return sigismember(&pending, SIGPIPE) == 1;
    }
    static bool is_blocked() {
        sigset_t blocked;
        REQUIRE(::pthread_sigmask(SIG_BLOCK, nullptr, &blocked) == 0);
        return sigismember(&blocked, SIGPIPE) == 1;
    }
    static void set_blocked(bool is_on) {
        sigset_t pipe;
        sigemptyset(&pipe);
        sigaddset(&pipe, SIGPIPE);
        REQUIRE(::pthread_sigmask(is_on ? SIG_BLOCK : SIG_UNBLOCK, &pipe, nullptr) == 0);
    }

private:
    struct sigaction before_ {};
};

} // namespace

TEST_CASE("transport: a socket sends a file, as a whole and from any offset") {
    const std::string content = varied_bytes(20'000);
    Sending sending(content);
    CHECK(sending.transport.can_send_files());
    IoResult result = sending.send(0, content.size());
    CHECK(result.status == IoStatus::ok);
    CHECK(result.bytes == content.size());
    CHECK(sending.received(content.size()) == content);

    for (const std::size_t offset : {std::size_t{1}, std::size_t{4097}, content.size() - 1}) {
        result = sending.send(offset, 1);
        CHECK(result.status == IoStatus::ok);
        CHECK(result.bytes == 1);
        CHECK(sending.received(1) == content.substr(offset, 1));
    }
    result = sending.send(4095, 4098); // over the edges of two pages
    CHECK(result.bytes == 4098);
    CHECK(sending.received(4098) == content.substr(4095, 4098));
    char byte = 0;
    CHECK(sending.sockets.client.receive(&byte, 1).status == IoStatus::would_block);
}

TEST_CASE("transport: a file and what was written around it arrive in order") {
    Sending sending("content");
    CHECK(write(sending.transport, "head ").bytes == 5);
    CHECK(sending.send(0, 7).bytes == 7);
    CHECK(write(sending.transport, " tail").bytes == 5);
    CHECK(sending.received(17) == "head content tail");
}

TEST_CASE("transport: a full socket takes part of a file, then nothing, then the rest") {
    const std::string content = varied_bytes(8 * 1024 * 1024);
    Sending sending(content);
    const int small_buffer = 64 * 1024;
    for (const auto& [handle, option] :
         {std::pair(sending.transport.handle(), SO_SNDBUF),
          std::pair(sending.sockets.client.handle(), SO_RCVBUF)}) {
        REQUIRE(
            ::setsockopt(
                static_cast<int>(handle), SOL_SOCKET, option, &small_buffer, sizeof small_buffer)
            == 0);
    }
    IoResult result = sending.send(0, content.size());
    CHECK(result.status == IoStatus::ok);
    CHECK(result.bytes > 0);
    CHECK(result.bytes < content.size());
    std::size_t at = result.bytes;
    for (int i = 0; i < 1000 && result.status == IoStatus::ok; ++i) {
        result = sending.send(at, content.size() - at);
        at += result.bytes;
    }
    CHECK(result.status == IoStatus::would_block);
    CHECK(result.bytes == 0);
    CHECK(result.system_code == 0);
    REQUIRE(at < content.size());

    std::string got;
    for (int i = 0; i < 100'000 && got.size() < content.size(); ++i) {
        const std::string piece = sending.received(at - got.size());
        REQUIRE(piece.size() == at - got.size());
        got += piece;
        if (at < content.size()) {
            REQUIRE(porthole_test::wait_for(sending.transport.handle(), {false, true}).write);
            result = sending.send(at, content.size() - at);
            REQUIRE(result.status != IoStatus::failed);
            at += result.bytes;
        }
    }
    CHECK(got == content);
}

TEST_CASE("transport: a file that is shorter than promised ends") {
    Sending sending("0123456789");
    CHECK(sending.send(10, 1).status == IoStatus::end);
    CHECK(sending.send(1'000'000, 1).status == IoStatus::end);
    const IoResult result = sending.send(8, 100);
    CHECK(result.status == IoStatus::ok);
    CHECK(result.bytes == 2);
    CHECK(sending.received(2) == "89"); // before the file changes: sendfile() copies nothing
    sending.place.resize("file", 4);
    CHECK(sending.send(4, 6).status == IoStatus::end);
    CHECK(sending.send(4, 6).bytes == 0);
    sending.place.resize("file", 0);
    CHECK(sending.send(0, 10).status == IoStatus::end);
    CHECK(write(sending.transport, "!").bytes == 1); // the connection itself is fine
    CHECK(sending.received(1) == "!");
}

TEST_CASE("transport: what is no regular file is left to reading, and the connection is fine") {
    Sending sending("content");
    porthole::detail::File directory;
    porthole::detail::FileInfo info;
    REQUIRE(
        porthole::detail::open_path(sending.place.path(), directory, info)
        == porthole::detail::OpenResult::ok);
    const IoResult result = sending.transport.send_file(directory.handle(), 0, 10);
    CHECK(result.status == IoStatus::failed);
    CHECK(result.system_code == 0);
    CHECK(sending.send(0, 7).bytes == 7);
    CHECK(sending.received(7) == "content");
}

TEST_CASE("transport: a file for a peer that has gone fails without a signal") {
    const PipeSignalCount count;
    Sending sending("content");
    sending.sockets.client.close();
    IoResult result;
    for (int i = 0; i < 100 && result.system_code != EPIPE; ++i) { // a reset may come first
        static_cast<void>(porthole_test::wait_for(sending.transport.handle(), {true, false}, 50));
        result = sending.send(0, 7);
    }
    CHECK(result.status == IoStatus::failed);
    CHECK(result.system_code == EPIPE);
    CHECK(pipe_signals == 0);
    CHECK_FALSE(PipeSignalCount::is_pending());
    CHECK_FALSE(PipeSignalCount::is_blocked());
}

TEST_CASE("transport: a failed file leaves the program's own SIGPIPE and mask as they were") {
    const PipeSignalCount count;
    Sending sending("content");
    sending.transport.shut_write();
    PipeSignalCount::set_blocked(true);
    CHECK(sending.send(0, 7).system_code == EPIPE);
    CHECK(PipeSignalCount::is_blocked());
    CHECK_FALSE(PipeSignalCount::is_pending()); // the call has taken what it raised
    REQUIRE(::raise(SIGPIPE) == 0);
    CHECK(sending.send(0, 7).system_code == EPIPE);
    CHECK(PipeSignalCount::is_pending()); // and nothing that is the program's
    PipeSignalCount::set_blocked(false);
    CHECK(pipe_signals == 1);
    CHECK(sending.send(0, 7).system_code == EPIPE);
    CHECK(pipe_signals == 1);
}

#else

TEST_CASE("transport: without sendfile a socket leaves files to reading") {
    auto sockets = porthole_test::connected_pair();
    porthole::detail::SocketTransport server(std::move(sockets.server));
    CHECK_FALSE(server.can_send_files());
    const IoResult result = server.send_file(porthole::invalid_handle, 0, 1);
    CHECK(result.status == IoStatus::failed);
    CHECK(result.system_code == 0);
    CHECK(write(server, "by hand").bytes == 7);
}

#endif
