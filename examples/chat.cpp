// SPDX-License-Identifier: MIT

// A chat over WebSocket: who is there, what is said, and what was said lately for those who come
// later.
//
//     g++ -std=c++17 -O2 -Isingle_include examples/chat.cpp
//     ./a.out [--port N]

#define PORTHOLE_IMPLEMENTATION // in exactly one source file of the program
#include <porthole.hpp>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr std::string_view page_html = R"html(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Porthole: chat</title>
<link rel="icon" href="data:,">
<style>
:root { color-scheme: dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 40rem; margin: 2rem auto; padding: 0 1rem; background: #0b1220;
  color: #e6edf7; }
#connection { color: #9fb0c9; }
#lines { list-style: none; margin: 0 0 1rem; padding: .8rem 1rem; height: 50vh;
  overflow-y: auto; background: #131d30; border: 1px solid #24324d; border-radius: .8rem; }
li { overflow-wrap: anywhere; }
form { display: flex; gap: .5rem; }
input, button { font: inherit; padding: .5rem .8rem; color: inherit; background: #1d2a44;
  border: 1px solid #3a4c70; border-radius: .5rem; }
input { flex: 1; min-width: 0; }
::placeholder { color: #9fb0c9; }
:focus-visible { outline: 3px solid #9cc2ff; outline-offset: 2px; }
</style>
<script src="/page.js" defer></script>
</head>
<body>
<h1>Chat</h1>
<p id="connection" role="status">Connecting</p>
<ul id="lines" aria-live="polite"></ul>
<form id="say"><input id="text" aria-label="Message" placeholder="Say something" maxlength="500"
  autocomplete="off">
<button>Say</button></form>
</body>
</html>
)html";

constexpr std::string_view page_js = R"js('use strict';
const connection = document.getElementById('connection');
const lines = document.getElementById('lines');
const text = document.getElementById('text');
let socket;
function connect() {
  socket = new WebSocket(location.origin.replace(/^http/, 'ws') + '/chat');
  socket.onopen = () => { connection.textContent = 'Connected'; lines.replaceChildren(); };
  socket.onmessage = event => {
    const item = lines.appendChild(document.createElement('li'));
    item.textContent = event.data; // never innerHTML: it is what others wrote
    item.scrollIntoView();
  };
  socket.onclose = event => {
    connection.textContent = 'Not connected (' + event.code + ' ' + event.reason + ')';
    setTimeout(connect, 1000);
  };
}
document.getElementById('say').addEventListener('submit', event => {
  event.preventDefault();
  if (text.value && socket.readyState === WebSocket.OPEN) {
    socket.send(text.value);
    text.value = '';
  }
});
connect();
)js";

class Room {
public:
    void enter(porthole::WebSocket& socket) {
        for (const std::string& line : history_) {
            socket.send_text(line);
        }
        people_.push_back({&socket, "guest " + std::to_string(++guests_)});
        say(people_.back().name + " is here");
    }

    // A socket is there from on_open() to on_close().
    void leave(const porthole::WebSocket& socket) {
        const auto person = find(socket);
        const std::string name = person->name;
        people_.erase(person);
        say(name + " has left");
    }

    void hear(const porthole::WebSocket& socket, std::string_view words) {
        say(find(socket)->name + ": " + std::string(words));
    }

private:
    struct Person {
        porthole::WebSocket* socket;
        std::string name;
    };

    std::vector<Person>::iterator find(const porthole::WebSocket& socket) {
        return std::find_if(people_.begin(), people_.end(), [&](const Person& person) {
            return person.socket == &socket;
        });
    }

    // Whoever reads too slowly misses a line; nobody waits for anybody.
    void say(const std::string& line) {
        constexpr std::size_t remembered = 50;
        history_.push_back(line);
        if (history_.size() > remembered) {
            history_.pop_front();
        }
        for (const Person& person : people_) {
            person.socket->send_text(line);
        }
    }

    std::vector<Person> people_;
    std::deque<std::string> history_;
    int guests_ = 0;
};

void add_routes(porthole::Server& server, Room& room) {
    using porthole::Message;
    using porthole::Request;
    using porthole::Response;
    using porthole::WebSocket;
    constexpr std::size_t longest_line = 2000;
    constexpr int unsupported_data = 1003; // RFC 6455 section 7.4.1
    server.get("/", [](const Request&, Response& response) {
        response
            .header(
                "Content-Security-Policy", "default-src 'none'; script-src 'self'; connect-src "
                                           "'self'; style-src 'unsafe-inline'; img-src data:; "
                                           "frame-ancestors 'none'")
            .html(page_html);
    });
    server.get("/page.js", [](const Request&, Response& response) {
        response.send("text/javascript; charset=utf-8", page_js);
    });
    server.get(
        "/chat",
        porthole::websocket()
            .max_message_bytes(longest_line)
            .on_open([&room](WebSocket& socket) { room.enter(socket); })
            .on_message([&room](WebSocket& socket, const Message& message) {
                if (!message.is_text) {
                    socket.close(unsupported_data, "only text is spoken here");
                    return;
                }
                room.hear(socket, message.data);
            })
            .on_close([&room](WebSocket& socket, int, std::string_view) { room.leave(socket); }));
}

porthole::Server* running = nullptr;

void request_stop(int) {
    running->stop(); // allowed in a signal handler
}

} // namespace

int main(int argc, char** argv) {
    const bool has_port = argc == 3 && std::string_view(argv[1]) == "--port";
    const auto port = porthole::parse_number<std::uint16_t>(has_port ? argv[2] : "8080");
    if ((argc != 1 && !has_port) || !port) {
        std::fputs("usage: chat [--port N]\n", stderr);
        return 2;
    }
    Room room; // before the server, whose last breath it still hears
    porthole::Server server;
    add_routes(server, room);
    if (auto error = server.listen(*port)) {
        std::fprintf(stderr, "%s\n--port N chooses another\n", error.message().c_str());
        return 1;
    }
    running = &server;
    std::signal(SIGINT, request_stop);
    std::signal(SIGTERM, request_stop);
    for (const std::string& url : server.urls()) {
        std::printf("Open %s in two windows. Ctrl-C ends it.\n", url.c_str());
    }
    std::fflush(stdout);
    server.run(); // a game calls tick() in its loop instead
    return 0;
}
