// SPDX-License-Identifier: MIT

#include "support/full_disk.hpp"
#include "support/options.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace porthole;
using porthole::testing::Answer;
using porthole::testing::Client;
using porthole_test::entries_of;
using porthole_test::options;
using porthole_test::read_file;
using porthole_test::TemporaryDirectory;

namespace {

/// A server that takes uploads at /a into the file "a" of a directory of its own.
struct World {
    explicit World(const UploadOptions& upload = {}) : server(options()) {
        server.put_stream("/a", [this, upload](const Request&) {
            return to_file(place.path("a"), upload).on_abort([this] { ++aborts; });
        });
    }
    std::vector<std::string> entries() const { return entries_of(place); }

    const TemporaryDirectory place;
    int aborts = 0;
    Server server;
};

std::string chunked(std::string_view content) {
    std::string coded;
    while (!content.empty()) {
        constexpr std::size_t most = 4000;
        char head[detail::max_chunk_head_size];
        const std::string_view piece = content.substr(0, most);
        coded.append(head, detail::write_chunk_head(head, piece.size()));
        coded.append(piece).append("\r\n");
        content.remove_prefix(piece.size());
    }
    return coded + "0\r\n\r\n";
}

Answer put_chunked(Server& server, std::string_view content) {
    Client client(server);
    return client.request("PUT", "/a", {{"Transfer-Encoding", "chunked"}}, chunked(content));
}

const std::vector<std::string> nothing;
const std::vector<std::string> only_a{"a"};

} // namespace

TEST_CASE("uploads: a file is made, and then replaced") {
    World world;
    Client client(world.server);
    const Answer created = client.request("PUT", "/a", {}, "one");
    CHECK(created.status == 201);
    CHECK(created.body.empty());
    CHECK(read_file(world.place.path("a")) == "one");
    CHECK(client.request("PUT", "/a", {}, "two!").status == 204);
    CHECK(read_file(world.place.path("a")) == "two!");
    CHECK(client.request("PUT", "/a", {{"Content-Length", "0"}}).status == 204);
    CHECK(read_file(world.place.path("a")).empty());
    CHECK(put_chunked(world.server, std::string(100'000, 'x')).status == 204);
    CHECK(read_file(world.place.path("a")) == std::string(100'000, 'x'));
    CHECK(world.entries() == only_a);
    CHECK(world.aborts == 0);
}

TEST_CASE("uploads: the program's functions come after the file's") {
    const TemporaryDirectory place;
    Server server(options());
    std::string seen;
    server.put_stream("/a", [&](const Request&) {
        return to_file(place.path("a"))
            .on_data([&](std::string_view piece) { seen += piece; })
            .on_end([&](const Request& request, Response& response) {
                CHECK(read_file(place.path("a")) == "content");
                response.status(202).text(request.path());
            });
    });
    Client client(server);
    const Answer answer = client.request("PUT", "/a", {}, "content");
    CHECK(answer.status == 202);
    CHECK(answer.body == "/a");
    CHECK(seen == "content");
}

TEST_CASE("uploads: a route may refuse, or take, from one lambda") {
    const TemporaryDirectory place;
    Server server(options());
    server.put_stream("/a", [&](const Request& request) {
        if (!request.header("X-Key")) {
            return BodySink::refuse(403, "No key.");
        }
        return to_file(place.path("a"));
    });
    Client client(server);
    CHECK(client.request("PUT", "/a", {{"X-Key", "1"}}, "x").status == 201);
    CHECK(Client(server).request("PUT", "/a", {}, "y").status == 403);
    CHECK(read_file(place.path("a")) == "x");
}

TEST_CASE("uploads: 100-continue is answered by the route's decision (RFC 9110 10.1.1)") {
    UploadOptions upload;
    upload.max_bytes = 100;
    World world(upload);
    const auto ask = [&](const char* length) {
        Client client(world.server);
        client.send(testing::write_request(
            "PUT", "/a", {{"Expect", "100-continue"}, {"Content-Length", length}}));
        client.tick();
        const bool goes_on = client.received().compare(0, 12, "HTTP/1.1 100") == 0;
        if (goes_on) {
            client.send("1234567890");
        }
        const int status = client.read_answer().status;
        return std::make_pair(goes_on, status);
    };
    CHECK(ask("10") == std::make_pair(true, 201));
    CHECK(ask("101") == std::make_pair(false, 413));
    CHECK(world.entries() == only_a);
}

TEST_CASE("uploads: up to the limit, announced or not") {
    UploadOptions upload;
    upload.max_bytes = 10'000;
    World world(upload);
    for (const std::size_t size : {9'999u, 10'000u, 10'001u}) {
        CAPTURE(size);
        const std::string content(size, 'x');
        const bool fits = size <= upload.max_bytes;
        CHECK(
            Client(world.server).request("PUT", "/a", {}, content).status / 100 == (fits ? 2 : 4));
        CHECK(put_chunked(world.server, content).status == (fits ? 204 : 413));
        CHECK(world.entries() == only_a);
        CHECK(read_file(world.place.path("a")).size() == (fits ? size : 10'000u));
    }
}

TEST_CASE("uploads: a part of the content is not stored as the whole (RFC 9110 14.5)") {
    World world;
    CHECK(Client(world.server).request("PUT", "/a", {}, "whole").status == 201);
    const Answer answer =
        Client(world.server).request("PUT", "/a", {{"Content-Range", "bytes 0-1/5"}}, "pa");
    CHECK(answer.status == 400);
    CHECK(read_file(world.place.path("a")) == "whole");
    CHECK(world.entries() == only_a);
    CHECK(world.aborts == 1);
}

TEST_CASE("uploads: a client's name for a file becomes one that is safe on every system") {
    const std::pair<std::string_view, std::string_view> names[] = {
        {"photo.jpg", "photo.jpg"},
        {"b\xc3\xa4r \xe2\x9c\x93.bin", "b\xc3\xa4r \xe2\x9c\x93.bin"},
        {"b\xe4r.bin", "b_r.bin"}, // no UTF-8
        {"../../etc/passwd", "passwd"},
        {"C:\\fakepath\\a.txt", "a.txt"},
        {"/", "_"},
        {"", "_"},
        {".", "_"},
        {"..", "__"},
        {".bashrc", "_bashrc"},
        {"evil.exe.", "evil.exe_"},
        {"evil.exe ", "evil.exe_"},
        {"evil. .", "evil. _"},
        {"a.txt::$DATA", "a.txt__$DATA"},
        {"PROGRA~1", "PROGRA_1"},
        {"CON", "_CON"},
        {"nul.txt", "_nul.txt"},
        {"COM1.tar.gz", "_COM1.tar.gz"},
        {"lpt\xc2\xb2", "_lpt\xc2\xb2"},
        {"con .txt", "_con .txt"},
        {std::string_view("a\0b\n\x7f.c", 7), "a_b__.c"},
        {"*?\"<>|", "______"},
    };
    for (const auto& name : names) {
        CAPTURE(name.first);
        CHECK(portable_file_name(name.first) == name.second);
        CHECK(portable_file_name(name.second) == name.second);
    }
    const std::string long_name(1000, 'n');
    CHECK(portable_file_name(long_name).size() == 127);
    CHECK(portable_file_name(long_name.substr(0, 127)) == long_name.substr(0, 127));
    CHECK(portable_file_name(long_name + ".tar").substr(120) == "nnn.tar");
    CHECK(portable_file_name("CON." + long_name).size() == 128);
    for (std::size_t size = 100; size < 140; ++size) { // cut between characters only
        const std::string name =
            portable_file_name(std::string(size, 'n') + "\xe2\x9c\x93\xc3\xa4.x");
        CHECK(detail::is_utf8(name));
        CHECK(name.size() <= 128);
    }
}

TEST_CASE("uploads: a directory that is not there is 500, and names no path") {
    const TemporaryDirectory place;
    Server server(options());
    server.put_stream("/a", [&](const Request&) { return to_file(place.path("missing/a")); });
    server.put_stream("/b", [&](const Request&) { return to_file(place.path()); });
    for (const char* target : {"/a", "/b"}) {
        Client client(server);
        client.send(testing::write_request("PUT", target, {{"Content-Length", "1000"}}));
        const Answer answer = client.read_answer();
        CHECK(answer.status == 500);
        CHECK(answer.body.find("stored") != std::string::npos);
        CHECK(answer.body.find("porthole-test") == std::string::npos);
    }
    CHECK(entries_of(place) == nothing);
}

TEST_CASE("uploads: what must not be replaced is 409, at the head or at the end") {
    UploadOptions upload;
    upload.may_replace = false;
    World world(upload);
    CHECK(Client(world.server).request("PUT", "/a", {}, "first").status == 201);
    Client late(world.server);
    late.send(testing::write_request("PUT", "/a", {{"Content-Length", "1000"}}));
    CHECK(late.read_answer().status == 409);
    CHECK(world.aborts == 1);

    world.place.remove("a");
    Client slow(world.server);
    slow.send(testing::write_request("PUT", "/a", {{"Content-Length", "4"}}));
    slow.send("sl");
    slow.tick();
    CHECK(Client(world.server).request("PUT", "/a", {}, "fast").status == 201);
    slow.send("ow");
    CHECK(slow.read_answer().status == 409);
    CHECK(read_file(world.place.path("a")) == "fast");
    CHECK(world.entries() == only_a);
    CHECK(world.aborts == 2);
}

TEST_CASE("uploads: a client that leaves midway leaves nothing behind") {
    World world;
    for (const bool is_large : {false, true}) {
        CAPTURE(is_large);
        Client client(world.server, 64 * 1024);
        client.send(testing::write_request("PUT", "/a", {{"Content-Length", "100000000"}}));
        const std::string piece(64 * 1024, 'x');
        const int pieces = is_large ? 160 : 1;
        for (int i = 0; i < pieces; ++i) {
            client.send(piece);
            client.tick();
        }
        CHECK(world.entries().size() == 1);
        client.close();
        world.server.tick();
        world.server.tick();
        CHECK(world.entries() == nothing);
        CHECK(world.aborts == (is_large ? 2 : 1));
    }
    // What is left to be freed is freed by later ticks, or when the server goes.
    for (int i = 0; i < 2; ++i) {
        world.server.tick();
    }
}

TEST_CASE("uploads: a server that goes midway leaves nothing behind") {
    const TemporaryDirectory place;
    int aborts = 0;
    auto server = std::make_unique<Server>(options());
    server->put_stream(
        "/a", [&](const Request&) { return to_file(place.path("a")).on_abort([&] { ++aborts; }); });
    Client client(*server);
    client.send(testing::write_request("PUT", "/a", {{"Content-Length", "100"}}, "half"));
    client.tick();
    CHECK(entries_of(place).size() == 1);
    server.reset();
    CHECK(entries_of(place) == nothing);
    CHECK(aborts == 1);
}

TEST_CASE(
    "uploads: the program's function may destroy the server, and then looks at what it holds") {
    const TemporaryDirectory place;
    std::string seen;
    auto server = std::make_unique<Server>(options());
    server->put_stream("/a", [&](const Request&) {
        return to_file(place.path("a"))
            .on_data([&seen, &server, held = std::string(40, 'h')](std::string_view piece) {
                server.reset();
                seen.append(held).append(piece);
            })
            .on_abort([&seen] { seen += "aborted "; });
    });
    Client client(*server);
    client.send(testing::write_request("PUT", "/a", {}, "whole"));
    for (int i = 0; i < 10 && server; ++i) {
        server->tick();
    }
    CHECK_FALSE(server);
    CHECK(seen == "aborted " + std::string(40, 'h') + "whole");
    CHECK(entries_of(place) == nothing);
}

TEST_CASE("uploads: a name that cannot be had at the end is 500") {
    World world;
    Client client(world.server);
    client.send(testing::write_request("PUT", "/a", {{"Content-Length", "4"}}));
    client.send("ab");
    client.tick();
    world.place.make_directory("a");
    client.send("cd");
    CHECK(client.read_answer().status == 500);
    CHECK(world.aborts == 1);
    CHECK(world.entries() == only_a);
}

TEST_CASE("uploads: a full disk is 507, at the head or midway, and leaves nothing behind") {
    const porthole_test::FullDisk disk;
    if (!disk.is_there()) {
        MESSAGE("skipped: this process may not mount a small file system");
        return;
    }
    Server server(options());
    int aborts = 0;
    server.put_stream(
        "/a", [&](const Request&) { return to_file(disk.path("a")).on_abort([&] { ++aborts; }); });
    Client announced(server);
    announced.send(testing::write_request(
        "PUT", "/a", {{"Content-Length", "8000000"}, {"Expect", "100-continue"}}));
    CHECK(announced.read_answer().status == 507);
    CHECK(announced.received().empty());
    CHECK(entries_of(disk.path()) == nothing);
    const Answer midway = put_chunked(server, std::string(2 * disk.capacity, 'x'));
    CHECK(midway.status == 507);
    CHECK(midway.body.find("room") != std::string::npos);
    CHECK(entries_of(disk.path()) == nothing);
    CHECK(aborts == 2);
    CHECK(Client(server).request("PUT", "/a", {}, "fits").status == 201);
}

#if !defined(_WIN32)

TEST_CASE("uploads: past the largest file this process may write is 507") {
    World world;
    Client(world.server).request("PUT", "/a", {}, "old");
    const porthole_test::FileSizeLimit limit(10'000);
    CHECK(put_chunked(world.server, std::string(10'001, 'x')).status == 507);
    CHECK(read_file(world.place.path("a")) == "old");
    CHECK(Client(world.server).request("PUT", "/a", {}, std::string(10'001, 'x')).status == 507);
    CHECK(put_chunked(world.server, std::string(10'000, 'x')).status == 204);
    CHECK(world.entries() == only_a);
    CHECK(world.aborts == 2);
}

#endif

#if defined(__cpp_exceptions)

TEST_CASE("uploads: an exception in the program's function is 500, and leaves nothing behind") {
    const TemporaryDirectory place;
    Server server(options());
    server.put_stream("/a", [&](const Request&) {
        return to_file(place.path("a")).on_data([](std::string_view) { throw 1; });
    });
    CHECK(Client(server).request("PUT", "/a", {}, "x").status == 500);
    CHECK(entries_of(place) == nothing);
}

#endif
