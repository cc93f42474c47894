// SPDX-License-Identifier: MIT

#include "support/allocation_counter.hpp"
#include "support/files_fixture.hpp"
#include "support/socket_client.hpp"

#include <memory>
#include <string>
#include <vector>

using namespace porthole;
using namespace porthole::detail;
using porthole_test::FilesFixture;
using porthole_test::SocketClient;
using porthole_test::TemporaryDirectory;

namespace {

std::shared_ptr<OpenFile> open_file(const TemporaryDirectory& place, const char* name) {
    auto file = std::make_shared<OpenFile>();
    REQUIRE(open_path(place.path(name), file->file, file->info) == OpenResult::ok);
    return file;
}

std::string numbers(std::size_t size) {
    std::string text;
    for (std::size_t i = 0; text.size() < size; ++i) {
        text += std::to_string(i) + ",";
    }
    text.resize(size);
    return text;
}

/// Serves and reads, under a deadline, until `is_done`.
template <class Condition>
bool pump_until(Server& server, SocketClient& client, const Condition& is_done) {
    const auto end = std::chrono::steady_clock::now() + SocketClient::patience;
    while (std::chrono::steady_clock::now() < end) {
        server.tick(std::chrono::milliseconds(5));
        client.pump();
        if (is_done()) {
            return true;
        }
    }
    return false;
}

std::string get(const char* target, const char* fields = "") {
    return std::string("GET ") + target + " HTTP/1.1\r\nHost: localhost\r\n" + fields + "\r\n";
}

} // namespace

TEST_CASE("files_source: yields texts and ranges in order, whatever the pieces") {
    const TemporaryDirectory place;
    place.write("a", "0123456789");
    const auto file = open_file(place, "a");
    for (std::size_t capacity = 1; capacity < 40; ++capacity) {
        CAPTURE(capacity);
        FileSource source(file, {{"<", {2, 3}}, {"", {9, 1}}, {"|", {0, 10}}, {">", {}}});
        CHECK(source.size() == 1u + 3 + 1 + 1 + 10 + 1);
        std::string text;
        BodySource::Piece piece;
        do {
            std::vector<char> bytes(capacity);
            piece = source.pull(bytes.data(), capacity);
            REQUIRE(piece.state != BodySource::State::failed);
            REQUIRE(piece.bytes != 0);
            text.append(bytes.data(), piece.bytes);
        } while (piece.state == BodySource::State::more && text.size() < 100);
        CHECK(text == "<2349|0123456789>");
    }
}

TEST_CASE("files_source: tells which bytes lie in the file") {
    const TemporaryDirectory place;
    place.write("a", "0123456789");
    const auto file = open_file(place, "a");
    FileSource source(file, {{"<", {2, 5}}, {">", {}}});
    BodySource::FilePiece piece;
    CHECK(source.file_piece(piece) == 0); // text comes first
    char byte = 0;
    CHECK(source.pull(&byte, 1).bytes == 1);
    CHECK(source.file_piece(piece) == 5);
    CHECK(piece.handle == file->file.handle());
    CHECK(piece.offset == 2);
    source.skip(4);
    CHECK(source.file_piece(piece) == 1);
    CHECK(piece.offset == 6);
    source.skip(1);
    CHECK(source.file_piece(piece) == 0);
    CHECK(source.pull(&byte, 1).state == BodySource::State::end);
    CHECK(byte == '>');
    CHECK(source.file_piece(piece) == 0);
}

TEST_CASE("files_source: a file that has shrunk fails, one that has grown is sent as it was") {
    const TemporaryDirectory place;
    place.write("a", "0123456789");
    const auto file = open_file(place, "a");
    FileSource source(file, {{"", {0, 10}}});
    char bytes[10] = {};
    CHECK(source.pull(bytes, 4).state == BodySource::State::more);
    place.resize("a", 6);
    const BodySource::Piece rest = source.pull(bytes, 10);
    CHECK(rest.state == BodySource::State::failed);
    place.write("a", "0123456789-and-more");
    FileSource grown(file, {{"", {0, 10}}});
    const BodySource::Piece piece = grown.pull(bytes, sizeof bytes);
    CHECK(piece.state == BodySource::State::end);
    CHECK(piece.bytes == 10);
}

TEST_CASE("files_source: sizes around the inline and piece limits arrive whole") {
    const std::size_t sizes[] = {0,       1,        16 * 1024 - 1, 16 * 1024, 16 * 1024 + 1,
                                 65'535,  65'536,   65'537,        81'920,    131'072,
                                 300'000, 2'000'000};
    FilesFixture fixture;
    for (const std::size_t size : sizes) {
        fixture.place.write("root/" + std::to_string(size), numbers(size));
    }
    fixture.mount();
    REQUIRE_FALSE(fixture.server.listen("127.0.0.1", 0));
    SocketClient client("127.0.0.1", fixture.server.port());
    for (const std::size_t size : sizes) {
        CAPTURE(size);
        const std::string name = "/" + std::to_string(size);
        CHECK(fixture.get(name).body == numbers(size)); // pulled
        testing::Answer answer;
        client.send(get(name.c_str()));
        REQUIRE(pump_until(fixture.server, client, [&] { return client.take_answer(answer); }));
        CHECK(answer.body == numbers(size)); // sent by the system where it can
        CHECK(answer.header("Content-Length") == std::to_string(size));
    }
}

TEST_CASE("files_source: ranges over a socket, several in one answer, and pipelined requests") {
    FilesFixture fixture;
    const std::string bytes = numbers(500'000);
    fixture.place.write("root/a", bytes);
    fixture.place.write("root/b", "small");
    fixture.mount();
    REQUIRE_FALSE(fixture.server.listen("127.0.0.1", 0));
    SocketClient client("127.0.0.1", fixture.server.port());
    client.send(
        get("/b") + get("/a", "Range: bytes=100000-399999\r\n") + get("/b") + get("/a")
        + get("/a", "Range: bytes=0-99999,200000-299999,-10\r\n") + get("/b"));
    std::vector<testing::Answer> answers;
    REQUIRE(pump_until(fixture.server, client, [&] {
        testing::Answer answer;
        if (client.take_answer(answer)) {
            answers.push_back(answer);
        }
        return answers.size() == 6;
    }));
    CHECK(answers[0].body == "small");
    CHECK(answers[1].body == bytes.substr(100'000, 300'000));
    CHECK(answers[2].body == "small");
    CHECK(answers[3].body == bytes);
    CHECK(answers[4].status == 206);
    CHECK(answers[4].body.find(bytes.substr(0, 100'000)) != std::string::npos);
    CHECK(answers[4].body.find(bytes.substr(200'000, 100'000)) != std::string::npos);
    CHECK(answers[5].body == "small");
}

TEST_CASE("files_source: a file that is cut off during the answer ends the connection") {
    for (const bool is_socket : {true, false}) {
        CAPTURE(is_socket);
        FilesFixture fixture;
        const std::uint64_t size = 64 * 1024 * 1024;
        fixture.place.write("root/a", "A");
        fixture.place.resize("root/a", size);
        fixture.place.write("root/b", std::string(100'000, 'B'));
        fixture.mount();
        REQUIRE_FALSE(fixture.server.listen("127.0.0.1", 0));
        std::string received;
        bool is_closed = false;
        if (is_socket) {
            SocketClient client("127.0.0.1", fixture.server.port());
            client.is_reading = false;
            client.send(get("/a"));
            for (int i = 0; i < 200; ++i) {
                fixture.server.tick(std::chrono::milliseconds(2));
                client.pump();
            }
            fixture.place.resize("root/a", 1000);
            client.is_reading = true;
            REQUIRE(pump_until(fixture.server, client, [&] { return client.is_closed; }));
            received = client.received;
            is_closed = client.is_closed;
        } else {
            testing::Client client(fixture.server);
            client.set_reading(false);
            client.send(get("/a"));
            for (int i = 0; i < 20; ++i) {
                client.tick();
            }
            fixture.place.resize("root/a", 1000);
            client.set_reading(true);
            for (int i = 0; i < 1000 && !client.is_closed(); ++i) {
                client.tick();
            }
            received = client.received();
            is_closed = client.is_closed();
        }
        CHECK(is_closed);
        CHECK(received.find("Content-Length: 67108864") != std::string::npos);
        CHECK(received.size() < size); // less than was promised: the client knows
        CHECK(received.find('B', received.find("\r\n\r\n")) == std::string::npos);
        CHECK(fixture.get("/b").body.size() == 100'000); // and the next one is served
        CHECK(fixture.get("/a").header("Content-Length") == "1000");
    }
}

#if !defined(_WIN32)
TEST_CASE("files_source: a file that is replaced or deleted during the answer is sent to its end") {
    FilesFixture fixture;
    const std::string bytes = numbers(8'000'000);
    fixture.place.write("root/a", bytes);
    fixture.place.write("root/b", std::string(8'000'000, 'B'));
    fixture.mount();
    testing::Client client(fixture.server);
    client.set_reading(false);
    client.send(get("/a"));
    client.tick();
    fixture.place.rename("root/b", "root/a");
    client.set_reading(true);
    CHECK(client.read_answer().body == bytes);
    CHECK(fixture.get("/a").body == std::string(8'000'000, 'B'));
}
#endif

TEST_CASE("files_source: a slow reader of four gigabytes holds one piece and no more") {
    for (const bool is_socket : {false, true}) {
        CAPTURE(is_socket);
        FilesFixture fixture;
        fixture.place.write("root/a", "");
        fixture.place.resize("root/a", std::uint64_t{4} * 1024 * 1024 * 1024);
        fixture.place.write("root/small", "small");
        fixture.mount();
        REQUIRE_FALSE(fixture.server.listen("127.0.0.1", 0));
        CHECK(fixture.get("/small").body == "small"); // all that is made once is made
        testing::Client memory(fixture.server);
        SocketClient client("127.0.0.1", fixture.server.port());
        REQUIRE(pump_until(fixture.server, client, [&] { return client.is_connected(); }));
        client.is_reading = false;
        memory.set_reading(false);
        const std::size_t before = porthole_test::allocated_bytes();
        is_socket ? client.send(get("/a")) : static_cast<void>(memory.send(get("/a")));
        for (int i = 0; i < 300; ++i) {
            fixture.server.tick(std::chrono::milliseconds(1));
        }
        if (porthole_test::counts_allocations()) {
            // A piece in the shared buffer, a copy for the connection, and what surrounds them.
            constexpr std::size_t most = 4 * 64 * 1024;
            CHECK(porthole_test::allocated_bytes() - before < most);
        }
        CHECK(fixture.get("/small").body == "small"); // while that one waits
        CHECK_FALSE(fixture.server.tick(std::chrono::milliseconds(1)).more);
        char bytes[64 * 1024];
        std::uint64_t taken = 0;
        for (int i = 0; i < 200 && !is_socket; ++i) { // it goes on, a little at a time
            const IoResult result = memory.transport().read(bytes, 10'000);
            taken += result.bytes;
            fixture.server.tick(std::chrono::milliseconds(1));
        }
        if (porthole_test::counts_allocations() && !is_socket) {
            CHECK(taken > 1'000'000);
        }
    }
}

TEST_CASE("files_source: the last bytes of four gigabytes") {
    FilesFixture fixture;
    fixture.place.write("root/a", "");
    fixture.place.resize("root/a", std::uint64_t{4} * 1024 * 1024 * 1024 + 5);
    fixture.mount();
    const testing::Answer tail = fixture.get("/a", {{"Range", "bytes=-3"}});
    CHECK(tail.status == 206);
    CHECK(tail.header("Content-Range") == "bytes 4294967298-4294967300/4294967301");
    CHECK(tail.body == std::string(3, '\0'));
    CHECK(fixture.request("HEAD", "/a").header("Content-Length") == "4294967301");
    CHECK(fixture.get("/a", {{"Range", "bytes=4294967300-"}}).body.size() == 1);
    CHECK(fixture.get("/a", {{"Range", "bytes=4294967301-"}}).status == 416);
}

TEST_CASE("files_source: ten downloads share a tick with small requests") {
    FilesFixture fixture;
    fixture.place.write("root/big", "");
    fixture.place.resize("root/big", std::uint64_t{1024} * 1024 * 1024);
    fixture.place.write("root/small", "small");
    fixture.mount();
    REQUIRE_FALSE(fixture.server.listen("127.0.0.1", 0));
    std::vector<std::unique_ptr<SocketClient>> downloads;
    for (int i = 0; i < 10; ++i) {
        downloads.push_back(std::make_unique<SocketClient>("127.0.0.1", fixture.server.port()));
        downloads.back()->send(get("/big"));
    }
    SocketClient small("127.0.0.1", fixture.server.port());
    const auto pump_all = [&] {
        for (auto& download : downloads) {
            download->pump();
            download->received.clear();
        }
    };
    int answered = 0;
    for (int i = 0; i < 20; ++i) {
        small.send(get("/small"));
        testing::Answer answer;
        answered += pump_until(fixture.server, small, [&] {
            pump_all();
            return small.take_answer(answer);
        });
        CHECK(answer.body == "small");
    }
    CHECK(answered == 20);
}

TEST_CASE("files_source: a peer that goes away during a download costs nothing") {
    FilesFixture fixture;
    fixture.place.write("root/big", "");
    fixture.place.resize("root/big", std::uint64_t{1024} * 1024 * 1024);
    fixture.mount();
    REQUIRE_FALSE(fixture.server.listen("127.0.0.1", 0));
    for (int i = 0; i < 20; ++i) {
        SocketClient client("127.0.0.1", fixture.server.port());
        client.send(get("/big"));
        REQUIRE(
            pump_until(fixture.server, client, [&] { return client.received.size() > 100'000; }));
        client.close(); // unread input: a reset, and SIGPIPE for whoever does not expect it
        for (int k = 0; k < 100 && fixture.server.stats().connections != 0; ++k) {
            fixture.server.wait(std::chrono::milliseconds(20));
        }
        CHECK(fixture.server.stats().connections == 0);
    }
}
