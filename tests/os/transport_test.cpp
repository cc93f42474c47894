// SPDX-License-Identifier: MIT

// The transport in memory has to behave as a socket does, because tests of everything above trust
// it; the transport over a socket has to add nothing.

#include "os/pair.hpp"

#include <string>
#include <utility>

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
