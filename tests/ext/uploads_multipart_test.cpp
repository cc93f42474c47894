// SPDX-License-Identifier: MIT

#include "support/full_disk.hpp"
#include "support/options.hpp"

#include <string>
#include <string_view>
#include <vector>

using namespace porthole;
using porthole::testing::Answer;
using porthole::testing::Client;
using porthole::testing::FieldList;
using porthole_test::entries_of;
using porthole_test::options;
using porthole_test::read_file;
using porthole_test::TemporaryDirectory;

namespace {

const std::vector<std::string> nothing;

std::string part(const std::string& name, const std::string& more, std::string_view content) {
    std::string bytes = "--b\r\nContent-Disposition: form-data; name=\"" + name + "\"" + more;
    return bytes.append("\r\n\r\n").append(content).append("\r\n");
}

const std::string form_end = "--b--\r\n";

/// A form whose parts go where their names say.
struct World {
    explicit World(const MultipartLimits& form_limits = {})
        : limits(form_limits), server(options()) {
        server.post_stream("/form", [this](const Request& request) -> BodySink {
            log.clear();
            return multipart(request, limits)
                .on_part([this](const FormPartHead& head) { return choose(head); })
                .on_data([this](const FormPartHead& head, std::string_view piece) {
                    if (log.compare(0, 1, "<") != 0 || open != head.name) {
                        log += "<";
                        open = head.name;
                    }
                    log += piece;
                })
                .on_part_end([this](const FormPartHead& head, std::string_view text) {
                    log.append("(").append(head.name).append("=").append(text).append(")");
                    open.clear();
                })
                .on_end([this](const Request&, Response& response) {
                    response.text(log + "end " + read_file(place.path("f")));
                })
                .on_abort([this] { ++aborts; });
        });
    }
    PartSink choose(const FormPartHead& head) const {
        if (head.name == "collect") {
            return PartSink::collect();
        }
        if (head.name == "pieces") {
            return PartSink::pieces();
        }
        if (head.name == "refuse") {
            return PartSink::refuse(422, "Not this one.");
        }
        if (head.name == "f" || head.name == "missing/f") {
            return PartSink::to_file(place.path(head.name), file_options);
        }
        return PartSink::skip();
    }
    Answer post(const std::string& form) {
        return Client(server).post("/form", "multipart/form-data; boundary=b", form);
    }
    std::vector<std::string> entries() const { return entries_of(place); }

    const TemporaryDirectory place;
    MultipartLimits limits;
    UploadOptions file_options;
    std::string log;
    std::string open;
    int aborts = 0;
    Server server;
};

} // namespace

TEST_CASE("uploads: a form's parts go where the program wants them, at every split") {
    World world;
    const std::string form = part("collect", "", "text\r\n--") + part("skip", "", "skipped")
                             + part("f", "; filename=\"../x\"", "file\r\n")
                             + part("pieces", "", "\r\npiece") + part("collect", "", "") + form_end;
    const std::string expected =
        "(collect=text\r\n--)(skip=)(f=)<\r\npiece(pieces=)(collect=)end file\r\n";
    const std::string request = testing::write_request(
        "POST", "/form", {{"Content-Type", "multipart/form-data; boundary=b"}}, form);
    const std::size_t head_size = request.size() - form.size();
    for (std::size_t split = 0; split <= form.size(); ++split) {
        CAPTURE(split);
        world.open.clear();
        Client client(world.server);
        client.send(std::string_view(request).substr(0, head_size + split));
        client.tick();
        client.tick();
        if (split < form.size()) {
            CHECK_FALSE(read_file(world.place.path("f")) == "file\r\n");
        }
        client.send(std::string_view(request).substr(head_size + split));
        const Answer answer = client.read_answer();
        REQUIRE(answer.status == 200);
        REQUIRE(world.log.size() + 10 == answer.body.size());
        world.place.remove("f");
        // Where a piece of content was cut, on_data() was called twice.
        std::string whole = answer.body;
        const std::size_t mark = whole.find('<');
        std::string without;
        for (std::size_t i = 0; i < whole.size(); ++i) {
            if (whole[i] != '<' || i == mark) {
                without += whole[i];
            }
        }
        REQUIRE(without == expected);
    }
    CHECK(world.aborts == 0);
    CHECK(world.entries() == nothing);
}

TEST_CASE("uploads: without on_part() files come in pieces, and the rest is collected") {
    Server server(options());
    std::string log;
    server.post_stream("/form", [&](const Request& request) {
        return multipart(request)
            .on_data([&](const FormPartHead& head, std::string_view piece) {
                log.append(*head.file_name).append(":").append(piece).append(";");
            })
            .on_part_end([&](const FormPartHead& head, std::string_view text) {
                log.append(head.name).append("=").append(text).append(";");
            });
    });
    const std::string form =
        part("a", "", "1") + part("b", "; filename=x", "2") + part("c", "", "3") + form_end;
    Client client(server);
    const Answer answer = client.post("/form", "multipart/form-data; boundary=b", form);
    CHECK(answer.status == 204);
    CHECK(log == "a=1;x:2;b=;c=3;");
    server.post_stream("/ignored", [](const Request& request) { return multipart(request); });
    CHECK(client.post("/ignored", "multipart/form-data; boundary=b", form).status == 204);
}

TEST_CASE("uploads: what is no form is 415 at the head, a malformed one is 400") {
    World world;
    Client client(world.server);
    client.send(testing::write_request(
        "POST", "/form",
        {{"Content-Type", "text/plain"}, {"Content-Length", "9"}, {"Expect", "100-continue"}}));
    CHECK(client.read_answer().status == 415);
    CHECK(Client(world.server).post("/form", "multipart/form-data", "x").status == 400);
    CHECK(world.aborts == 2);

    const Answer bad = world.post("--b\r\nbad\r\n\r\n" + form_end);
    CHECK(bad.status == 400);
    CHECK(bad.body.find("malformed field line") != std::string::npos);
    CHECK(world.post(part("f", "", "x")).status == 400);
    CHECK(world.post("").status == 400);
    CHECK(world.entries() == nothing);
    CHECK(world.post(part("f", "", "x") + "--bx").status == 400);
    CHECK(world.post("--b\r\n\r\n" + form_end).status == 400);
    CHECK(world.entries() == nothing);
}

TEST_CASE("uploads: a form's limits at their edge") {
    MultipartLimits limits;
    limits.max_parts = 2;
    limits.max_part_bytes = 8;
    limits.max_collected_bytes = 10;
    limits.max_name_bytes = 16;
    World world(limits);
    const std::string skipped = part("s", "", "");
    CHECK(world.post(skipped + form_end).status == 200);
    CHECK(world.post(skipped + skipped + form_end).status == 200);
    CHECK(world.post(skipped + skipped + skipped + form_end).status == 413);
    CHECK(world.post(part("s", "", "12345678") + form_end).status == 200);
    CHECK(world.post(part("s", "", "123456789") + form_end).status == 413);
    const auto collected = [](const char* a, const char* b) {
        return part("collect", "", a) + part("collect", "", b) + form_end;
    };
    CHECK(world.post(collected("1234", "12345")).status == 200);
    CHECK(world.post(collected("12345", "12345")).status == 200);
    const Answer too_much = world.post(collected("12345", "123456"));
    CHECK(too_much.status == 413);
    CHECK(too_much.body.find("max_collected_bytes") != std::string::npos);
    CHECK(world.post(part(std::string(16, 'n'), "", "") + form_end).status == 200);
    CHECK(world.post(part(std::string(17, 'n'), "", "") + form_end).status == 431);
    CHECK(world.aborts == 4);
}

TEST_CASE("uploads: a part that the program refuses ends the form") {
    World world;
    const Answer answer = world.post(
        part("f", "", "x") + part("refuse", "", "y") + part("pieces", "", "z") + form_end);
    CHECK(answer.status == 422);
    CHECK(answer.body.find("Not this one.") != std::string::npos);
    CHECK(world.log == "(f=)");
    CHECK(world.entries() == nothing);
    CHECK(world.aborts == 1);
}

TEST_CASE("uploads: a form's file that cannot be stored is 500, 409 or 413") {
    World world;
    CHECK(world.post(part("missing/f", "", "x") + form_end).status == 500);
    world.file_options.max_bytes = 3;
    CHECK(world.post(part("f", "", "123") + form_end).status == 200);
    CHECK(world.post(part("f", "", "1234") + form_end).status == 413);
    world.file_options.may_replace = false;
    CHECK(world.post(part("f", "", "1") + form_end).status == 409);
    world.place.remove("f");
    // Two parts for one file: only one of them can have the name.
    CHECK(world.post(part("f", "", "1") + part("f", "", "2") + form_end).status == 409);
    CHECK(read_file(world.place.path("f")) == "1");
    CHECK(world.entries().size() == 1);
    CHECK(world.aborts == 4);
}

TEST_CASE("uploads: a client that leaves amid a form leaves no files behind") {
    World world;
    Client client(world.server);
    const std::string form = part("f", "", "whole") + part("f", "", "half");
    client.send(testing::write_request(
        "POST", "/form",
        {{"Content-Type", "multipart/form-data; boundary=b"}, {"Content-Length", "1000"}}, form));
    client.tick();
    CHECK(world.entries().size() == 2);
    client.close();
    world.server.tick();
    CHECK(world.entries() == nothing);
    CHECK(world.aborts == 1);
}

TEST_CASE("uploads: no room for a form's file is 507") {
    const porthole_test::FullDisk disk;
    if (!disk.is_there()) {
        MESSAGE("skipped: this process may not mount a small file system");
        return;
    }
    Server server(options());
    server.post_stream("/form", [&](const Request& request) {
        return multipart(request).on_part(
            [&](const FormPartHead& head) { return PartSink::to_file(disk.path(head.name)); });
    });
    const std::string large(disk.capacity, 'x');
    Client client(server);
    const std::string form = part("a", "", "small") + part("b", "", large) + form_end;
    CHECK(client.post("/form", "multipart/form-data; boundary=b", form).status == 507);
    CHECK(entries_of(disk.path()) == nothing);
}

TEST_CASE("uploads: a callback of a form may stop the server") {
    for (const int where : {0, 1, 2, 3}) {
        CAPTURE(where);
        auto server = std::make_unique<Server>(options());
        const auto stop_at = [&](int here) {
            if (here == where) {
                server.reset();
            }
        };
        server->post_stream("/form", [&](const Request& request) {
            return multipart(request)
                .on_part([&](const FormPartHead&) {
                    stop_at(0);
                    return PartSink::pieces();
                })
                .on_data([&](const FormPartHead&, std::string_view) { stop_at(1); })
                .on_part_end([&](const FormPartHead&, std::string_view) { stop_at(2); })
                .on_end([&](const Request&, Response&) { stop_at(3); });
        });
        Client client(*server);
        client.send(testing::write_request(
            "POST", "/form", {{"Content-Type", "multipart/form-data; boundary=b"}},
            part("a", "", "1") + part("b", "", "2") + form_end));
        for (int i = 0; i < 10 && server; ++i) {
            server->tick();
        }
        CHECK_FALSE(server);
    }
}
