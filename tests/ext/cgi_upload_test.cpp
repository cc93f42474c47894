// SPDX-License-Identifier: MIT

// Content on its way to what answers: spooled, held back or dropped.

#include "support/cgi_task_double.hpp"

#include <memory>
#include <string>

using namespace porthole;
using porthole::detail::CgiUpload;
using porthole_test::QueueDouble;

TEST_CASE("cgi upload: a request without content has all of it") {
    const auto queue = std::make_shared<QueueDouble>();
    CHECK(CgiUpload(queue, false, false).has_ended());
    CgiUpload upload(queue, true, false);
    CHECK_FALSE(upload.has_ended());
    CHECK_FALSE(upload.has_spooled());
    upload.end();
    CHECK(upload.has_ended());
}

TEST_CASE("cgi upload: what is spooled is read back in order, past the memory's bound, too") {
    const auto queue = std::make_shared<QueueDouble>();
    queue->wanted.spool_memory_bytes = 10;
    CgiUpload upload(queue, true, true);
    CHECK(upload.spool("0123456"));
    CHECK(upload.spool("789abcdef"));
    CHECK(upload.spooled_bytes() == 16);
    std::string back;
    char bytes[5];
    for (int i = 0; i < 16 && upload.has_spooled(); ++i) {
        back.append(bytes, upload.read_spooled(bytes, sizeof bytes));
    }
    CHECK(back == "0123456789abcdef");
    CHECK(upload.read_spooled(bytes, sizeof bytes) == 0);
}

TEST_CASE("cgi upload: it counts as spooled until it leaves, once") {
    const auto queue = std::make_shared<QueueDouble>();
    queue->wanted.max_running = 1;
    queue->wanted.max_waiting = 0;
    {
        CgiUpload upload(queue, true, true);
        CHECK_FALSE(queue->has_room());
        upload.leave_spooling();
        upload.leave_spooling();
        CHECK(queue->has_room());
    }
    CHECK(queue->has_room());
}

TEST_CASE("cgi upload: what nobody reads is taken as far as a lingering close takes it") {
    Options wanted = porthole_test::options();
    wanted.limits.max_linger_bytes = 10'000;
    const auto queue = std::make_shared<QueueDouble>();
    Server server(wanted);
    queue->attach(server);
    std::shared_ptr<CgiUpload> upload;
    std::size_t taken = 0;
    server.post_stream("/up", [&](const Request&) {
        BodySink sink;
        upload = std::make_shared<CgiUpload>(queue, true, false);
        upload->set_flow(sink.flow());
        upload->drop(0);
        sink.on_data([&](std::string_view piece) {
            taken += piece.size();
            upload->drop_more(piece.size());
        });
        return sink;
    });
    testing::Client client(server);
    client.send(
        "POST /up HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"
        + std::string(1000, 'x'));
    server.tick();
    CHECK(taken == 1000);
    for (int i = 0; i < 100; ++i) {
        client.send(std::string(1000, 'x'));
        server.tick();
    }
    CHECK(taken > 10'000); // the piece that went past the bound was still taken
    CHECK(taken < 100'000);
    CHECK(upload->is_dropped());
    queue->shut_all();
}
