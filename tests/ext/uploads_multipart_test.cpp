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

TEST_CASE("uploads: a form's files up to the limit, which others do not count towards") {
    MultipartLimits limits;
    limits.max_files = 2;
    World world(limits);
    const std::string file = part("f", "; filename=\"x\"", "1");
    const std::string others = part("pieces", "; filename=\"x\"", "2") + part("collect", "", "3");
    CHECK(world.post(file + others + form_end).status == 200);
    CHECK(world.post(file + others + file + form_end).status == 200);
    const Answer answer = world.post(file + file + others + file + form_end);
    CHECK(answer.status == 413);
    CHECK(answer.body.find("max_files") != std::string::npos);
    CHECK(world.entries() == std::vector<std::string>{"f"});
    world.limits.max_files = 0;
    CHECK(world.post(others + form_end).status == 200);
    CHECK(world.post(file + form_end).status == 413);
    CHECK(world.aborts == 2);
}

TEST_CASE("uploads: each part, and each file's name, is a unit of the tick's budget") {
    constexpr int parts = 50;
    for (const bool is_chunked : {false, true}) {
        CAPTURE(is_chunked);
        const TemporaryDirectory place;
        ManualClock clock;
        Server server(options(clock));
        int seen = 0;
        int ended = 0;
        server.post_stream("/form", [&](const Request& request) -> BodySink {
            MultipartLimits limits;
            limits.max_files = parts;
            return multipart(request, limits)
                .on_part([&](const FormPartHead&) {
                    clock.advance(std::chrono::microseconds(100)); // as opening a file may take
                    return PartSink::to_file(place.path("f" + std::to_string(seen++)));
                })
                .on_end([&](const Request&, Response& response) {
                    ++ended;
                    response.text("stored");
                });
        });
        std::string form;
        for (int i = 0; i < parts; ++i) {
            form += part("f", "", std::to_string(i));
        }
        form += form_end;
        FieldList fields{{"Content-Type", "multipart/form-data; boundary=b"}};
        if (is_chunked) {
            char head[detail::max_chunk_head_size];
            form.insert(0, head, detail::write_chunk_head(head, form.size()));
            form += "\r\n0\r\n\r\n";
            fields.push_back({"Transfer-Encoding", "chunked"});
        }
        Client client(server);
        client.send(testing::write_request("POST", "/form", fields, form));
        client.send(testing::write_request("GET", "/next"));
        int ticks = 0;
        for (; ticks < 100 && seen < parts; ++ticks) {
            const int before = seen;
            CHECK(server.tick().more);
            CHECK(seen - before <= 11); // 1 ms of them, and the one that noticed
        }
        CHECK(ticks > parts / 20);
        CHECK(seen == parts);
        clock.advance_per_reading(std::chrono::microseconds(100));
        int named = 0;
        for (; ticks < 1000 && ended == 0; ++ticks) {
            server.tick();
            int now = 0;
            for (const std::string& name : entries_of(place)) {
                now += name[0] == 'f' ? 1 : 0;
            }
            CHECK(now - named <= 10);
            named = now;
        }
        CHECK(client.read_answer().body == "stored");
        CHECK(client.read_answer().status == 404); // the next request was kept meanwhile
        CHECK(entries_of(place).size() == parts);
        CHECK(read_file(place.path("f49")) == "49");
    }
}

TEST_CASE("uploads: a form that is given up while its files get their names loses the others") {
    for (const bool is_refused : {false, true}) {
        CAPTURE(is_refused);
        const TemporaryDirectory place;
        ManualClock clock;
        auto server = std::make_unique<Server>(options(clock));
        int parts = 0;
        int aborts = 0;
        BodyFlow flow;
        server->post_stream("/form", [&](const Request& request) -> BodySink {
            MultipartSink form = multipart(request);
            flow = form.flow();
            return form
                .on_part([&](const FormPartHead&) {
                    return PartSink::to_file(place.path("f" + std::to_string(parts++)));
                })
                .on_abort([&] { ++aborts; });
        });
        std::string form;
        for (int i = 0; i < 20; ++i) {
            form += part("f", "", "x");
        }
        Client client(*server);
        client.send(testing::write_request(
            "POST", "/form", {{"Content-Type", "multipart/form-data; boundary=b"}},
            form + form_end));
        clock.advance_per_reading(std::chrono::microseconds(50));
        const auto names = [&place] {
            int count = 0;
            for (const std::string& name : entries_of(place)) {
                count += name[0] == 'f' ? 1 : 0;
            }
            return count;
        };
        for (int i = 0; i < 1000 && names() == 0; ++i) {
            server->tick();
        }
        const int named = names();
        CHECK(named > 0);
        CHECK(named < 20);
        if (is_refused) {
            flow.refuse(422);
            CHECK(client.read_answer().status == 422);
        } else {
            server.reset();
        }
        CHECK(aborts == 1);
        CHECK(names() == named);
        CHECK(entries_of(place).size() == static_cast<std::size_t>(named));
    }
}

TEST_CASE("uploads: a form comes out the same however it is cut, paused and interrupted") {
    std::string form;
    std::string expected;
    for (int i = 0; i < 8; ++i) {
        const std::string name(1, static_cast<char>('a' + i));
        const std::string text = std::string(static_cast<std::size_t>(i * i), '-') + "\r\n--";
        form += part(name, "", text);
        expected += name + "=" + text + ";";
    }
    form += form_end;
    ManualClock clock;
    Server server(options(clock));
    std::string seen;
    std::string now;
    bool pauses = false;
    server.post_stream("/form", [&](const Request& request) -> BodySink {
        seen.clear();
        MultipartSink sink = multipart(request);
        auto pause = [&server, &pauses, flow = sink.flow()]() mutable {
            if (pauses) {
                flow.pause();
                server.post([flow]() mutable { flow.resume(); });
            }
        };
        return sink
            .on_part([pause](const FormPartHead&) mutable {
                pause();
                return PartSink::pieces();
            })
            .on_data([&now, pause](const FormPartHead&, std::string_view piece) mutable {
                pause();
                now += piece;
            })
            .on_part_end([&](const FormPartHead& head, std::string_view) {
                seen.append(head.name).append("=").append(now).append(";");
                now.clear();
            })
            .on_end([&](const Request&, Response& response) { response.text(seen); });
    });
    for (const std::size_t chunk :
         {std::size_t{0}, std::size_t{1}, std::size_t{3}, std::size_t{90}, form.size()}) {
        std::string coded = chunk == 0 ? form : std::string();
        for (std::size_t at = 0; chunk != 0 && at < form.size(); at += chunk) {
            char head[detail::max_chunk_head_size];
            const std::string piece = form.substr(at, chunk);
            coded.append(head, detail::write_chunk_head(head, piece.size()));
            coded.append(piece).append("\r\n");
        }
        FieldList fields{{"Content-Type", "multipart/form-data; boundary=b"}};
        if (chunk != 0) {
            coded += "0\r\n\r\n";
            fields.push_back({"Transfer-Encoding", "chunked"});
        }
        const std::string once = testing::write_request("POST", "/form", fields, coded);
        for (const bool is_pausing : {false, true}) {
            for (const int step :
                 {0, 1, 400}) { // microseconds that each reading of the clock takes
                CAPTURE(chunk);
                CAPTURE(is_pausing);
                CAPTURE(step);
                pauses = is_pausing;
                clock.advance_per_reading(std::chrono::microseconds(step));
                Client client(server);
                client.send(once + once); // the second is kept while the first one is interrupted
                for (int i = 0; i < 10'000 && server.tick().more; ++i) {}
                CHECK(client.read_answer().body == expected);
                CHECK(client.read_answer().body == expected);
            }
        }
    }
}

TEST_CASE("uploads: a form that pauses takes nothing more of what has arrived already") {
    ManualClock clock; // stands still: no tick is cut short
    Server server(options(clock));
    std::string seen;
    BodyFlow flow;
    server.post_stream("/form", [&](const Request& request) -> BodySink {
        MultipartSink form = multipart(request);
        flow = form.flow();
        return form
            .on_part([&](const FormPartHead& head) {
                seen += head.name;
                flow.pause();
                return PartSink::collect();
            })
            .on_part_end([&](const FormPartHead&, std::string_view text) { seen += text; })
            .on_end([&](const Request&, Response& response) { response.text(seen); });
    });
    Client client(server);
    client.send(testing::write_request(
        "POST", "/form", {{"Content-Type", "multipart/form-data; boundary=b"}},
        part("a", "", "1") + part("b", "", "2") + form_end));
    for (const char* expected : {"a", "a1b"}) {
        for (int i = 0; i < 3; ++i) {
            server.tick();
            CHECK(seen == expected);
        }
        flow.resume();
    }
    CHECK(client.read_answer().body == "a1b2");
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
        std::string seen;
        const auto stop_at = [&, held = std::string(40, 'h')](int here) {
            if (here == where) {
                server.reset();
                seen = held; // is still there
            }
        };
        server->post_stream("/form", [&](const Request& request) {
            return multipart(request)
                .on_part([stop_at](const FormPartHead&) {
                    stop_at(0);
                    return PartSink::pieces();
                })
                .on_data([stop_at](const FormPartHead&, std::string_view) { stop_at(1); })
                .on_part_end([stop_at](const FormPartHead&, std::string_view) { stop_at(2); })
                .on_end([stop_at](const Request&, Response&) { stop_at(3); });
        });
        Client client(*server);
        client.send(testing::write_request(
            "POST", "/form", {{"Content-Type", "multipart/form-data; boundary=b"}},
            part("a", "", "1") + part("b", "", "2") + form_end));
        for (int i = 0; i < 10 && server; ++i) {
            server->tick();
        }
        CHECK_FALSE(server);
        CHECK(seen == std::string(40, 'h'));
    }
}
