// SPDX-License-Identifier: MIT

// The uWebSockets side of websocket.py, for its version 0.14: the last whose C++ sources are in the
// npm registry, as the package uws. It does what websocket_echo_server.cpp does, in the way that
// library is meant to be used: prepared messages, sent to all from a timer.
//
// Run:  uwebsockets [--broadcast --size BYTES --seconds N]

#include "../options.hpp"
#include "../peer_clock.hpp"

#include <uWS.h>

#include <cstddef>
#include <string>
#include <vector>

namespace {

using Socket = uWS::WebSocket<uWS::SERVER>;

struct Feed {
    explicit Feed(bench::PeerFrames frame_times) : frames(std::move(frame_times)) {}

    std::string message;
    std::vector<Socket*> sockets;
    bench::PeerFrames frames;

    void publish() {
        frames.measure([this] {
            auto* prepared =
                Socket::prepareMessage(message.data(), message.size(), uWS::OpCode::TEXT, false);
            for (Socket* socket : sockets) {
                socket->sendPrepared(prepared);
            }
            Socket::finalizeMessage(prepared);
        });
    }
};

} // namespace

int main(int argc, char** argv) {
    uWS::Hub hub;
    Feed feed{bench::PeerFrames(argc, argv)};
    feed.message.assign(bench::number_option<std::size_t>(argc, argv, "--size", 1024), 'f');
    hub.onMessage([](Socket* socket, char* data, std::size_t size, uWS::OpCode code) {
        socket->send(data, size, code);
    });
    const bool is_broadcast = bench::has_option(argc, argv, "--broadcast");
    hub.onConnection([&](Socket* socket, const uWS::HttpRequest&) {
        if (is_broadcast && feed.sockets.empty()) {
            auto* timer = new Timer(hub.getLoop());
            timer->setData(&feed);
            timer->start(
                [](Timer* self) { static_cast<Feed*>(self->getData())->publish(); }, 16, 16);
        }
        feed.sockets.push_back(socket);
    });
    hub.onDisconnection([&](Socket* socket, int, char*, std::size_t) {
        feed.sockets.erase(std::find(feed.sockets.begin(), feed.sockets.end(), socket));
    });
    const unsigned port = bench::free_port();
    if (!hub.listen("127.0.0.1", static_cast<int>(port))) {
        return 1;
    }
    bench::print_port(port);
    hub.run();
    return 0;
}
