// SPDX-License-Identifier: MIT

// A kept connection that was closed between two requests: what may be sent again on a new one, and
// what may have been done already.

#include "support/fastcgi_fixture.hpp"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace porthole;
using porthole::detail::Connector;
using porthole::detail::Listener;
using porthole_test::FastCgiFixture;
using porthole_test::Responder;
using porthole_test::SocketClient;

namespace {

const std::string page = "Content-Type: text/plain\n\nfirst";

} // namespace

TEST_CASE("fastcgi stale: what may have been done is not done again (RFC 9110 section 9.2.2)") {
    for (const std::string_view method : {"GET", "PUT", "DELETE", "POST", "PATCH", "LOCK", "X"}) {
        CAPTURE(method);
        FastCgiFixture f;
        f.mount();
        f.answer_with(page);
        CHECK(f.get("/app/").body == "first");
        int asked = 0;
        f.responder.serve = [&asked](Responder::Peer& peer) {
            if (peer.has_content_end) {
                ++asked;
                peer.next();
                peer.closes = true;
            }
        };
        CHECK(f.request(method, "/app/", {{"Content-Length", "0"}}).status == 502);
        const bool is_idempotent = method == "GET" || method == "PUT" || method == "DELETE";
        CHECK(asked == (is_idempotent ? 2 : 1));
    }
}

#if defined(__linux__)

TEST_CASE("fastcgi stale: a request that begins again hears of its new connection") {
    ManualClock clock; // stands still: no deadline helps
    FastCgiFixture f(porthole_test::options(clock));
    const Endpoint at = f.responder.listener.endpoint();
    f.mount(FastCgiOptions{}.variable("LARGE", std::string(12'000'000, 'x')));
    f.answer_with(page);
    CHECK(f.get("/app/").body == "first");
    // The next head does not fit into the socket's buffers: it breaks while it is on its way.
    f.responder.peer(0).reads = false;
    SocketClient client("127.0.0.1", f.server.port());
    client.send(porthole_test::simple_get("/app/"));
    CHECK(f.until({&client}, [&] { return f.server.stats().requests == 2; }));
    f.responder.listener.close();
    ListenOptions options;
    options.backlog = 1;
    Listener busy;
    f.accept(Listener::open(at, options, 0, busy));
    std::vector<Connector> visitors(8);
    bool is_full = false; // from then on, who connects has to wait
    for (std::size_t i = 0; i < visitors.size() && !is_full; ++i) {
        constexpr int soon_ms = 20;
        is_full = visitors[i].start({at}, never) == Connector::State::connecting
                  && !porthole_test::wait_for(visitors[i].handle(), {false, true}, soon_ms).write;
    }
    if (!is_full) {
        MESSAGE("skipped: a full queue lets newcomers in here");
        return;
    }
    f.responder.peer(0).socket.close(); // a reset: it has not read everything
    for (int i = 0; i < 20; ++i) {
        f.server.tick();
    }
    f.responder.listener = std::move(busy);
    CHECK(f.read(client).body == "first");
}

#endif
