// SPDX-License-Identifier: MIT

// The attack table on real sockets: what holds in memory holds with a kernel in between, whose
// resets would lose an answer that was not lingered for.

#include "os/pair.hpp"
#include "support/attack_table.hpp"

#include <chrono>
#include <string>
#include <string_view>

using porthole::Server;
using porthole_test::Attack;
using porthole_test::attack_table;
using porthole_test::AttackTarget;

namespace {

/// Everything that the server answers until it ends the connection; both sides run on this thread.
std::string converse(Server& server, std::string_view bytes) {
    using Clock = std::chrono::steady_clock;
    porthole::detail::Socket socket = porthole_test::connect_to(server.endpoints().front());
    REQUIRE(socket.is_open());
    std::string received;
    char piece[16 * 1024];
    const Clock::time_point deadline =
        Clock::now() + std::chrono::milliseconds(porthole_test::patience_ms);
    while (Clock::now() < deadline) {
        const auto sent = bytes.empty() ? porthole::IoResult{} : socket.send(&bytes, 1);
        bytes.remove_prefix(sent.bytes);
        server.tick(std::chrono::milliseconds(100));
        const auto result = socket.receive(piece, sizeof piece);
        received.append(piece, result.bytes);
        if (result.status == porthole::IoStatus::end) {
            return received;
        }
        REQUIRE(result.status != porthole::IoStatus::failed);
        if (result.status == porthole::IoStatus::would_block && sent.bytes == 0) {
            server.wait(std::chrono::milliseconds(1)); // the kernel has the bytes on their way
        }
    }
    FAIL("the connection did not end");
    return received;
}

} // namespace

TEST_CASE("attack_table_socket: each row has its one answer on a socket, too") {
    for (const Attack& row : attack_table()) {
        CAPTURE(row.name);
        Server server(porthole_test::options());
        const auto error = server.listen("127.0.0.1", 0);
        REQUIRE_FALSE(error);
        AttackTarget target;
        porthole_test::add_target(server, target);
        const std::string follower(porthole_test::follower);
        porthole_test::check_answers(row, converse(server, row.bytes + follower));
        if (row.bytes.find(" HTTP/1.0\r\n") == std::string::npos) {
            porthole_test::check_target(row, target);
        }
        const Attack good{
            "good", porthole_test::get_from("localhost"), 200, porthole_test::Then::goes_on};
        porthole_test::check_answers(good, converse(server, good.bytes + follower));
    }
}
