// SPDX-License-Identifier: MIT

// A dashboard that is pushed to instead of asking: the frame's figures as Server-Sent Events, the
// moving picture over a WebSocket, and back over the same socket what the user turns. Each browser
// is sent the newest state at its own pace; a slow one delays neither the others nor the loop.
//
//     g++ -std=c++17 -O2 -Isingle_include examples/live_dashboard.cpp
//     ./a.out [--port N] [--seconds N]
//     curl -N localhost:8080/events

#define PORTHOLE_IMPLEMENTATION // in exactly one source file of the program
#include <porthole.hpp>

#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

namespace {

using SteadyClock = std::chrono::steady_clock;

// ---- the game: it knows nothing of Porthole ----

// Points on a ring that is pulled out of shape.
class World {
public:
    static constexpr int count = 400;

    int speed = 50; // what the user turns, 0 to 200

    void update(float seconds) {
        ++frame_;
        time_ += seconds * static_cast<float>(speed) / 50;
    }
    std::uint64_t frame() const { return frame_; }
    // x, y of each point, -10000 to 10000.
    void write_points(std::vector<std::int16_t>& points) const {
        constexpr float turn = 6.2831853F;
        constexpr float size = 6000;
        points.clear();
        for (int i = 0; i < count; ++i) {
            const float angle = turn * static_cast<float>(i) / count;
            const float radius = size * (1 + 0.4F * std::sin(5 * angle + 2 * time_));
            points.push_back(static_cast<std::int16_t>(radius * std::cos(angle + time_ / 3)));
            points.push_back(static_cast<std::int16_t>(radius * std::sin(angle + time_ / 3)));
        }
    }

private:
    std::uint64_t frame_ = 0;
    float time_ = 0;
};

// ---- the page ----

constexpr std::string_view page_html = R"html(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Porthole: live dashboard</title>
<link rel="icon" href="data:,">
<style>
:root { color-scheme: dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 1rem auto; padding: 0 1rem; background: #0b1220;
  color: #e6edf7; }
canvas { width: 100%; aspect-ratio: 2; background: #070c16; border-radius: .6rem; }
dl { display: flex; gap: 2rem; flex-wrap: wrap; }
dt { color: #9fb0c9; font-size: .85rem; }
dd { margin: 0; font-size: 1.2rem; font-variant-numeric: tabular-nums; }
input { width: 100%; }
</style>
<script src="/page.js" defer></script>
</head>
<body>
<h1>Live dashboard</h1>
<p><span id="events" role="status">Events: connecting</span> /
<span id="socket" role="status">Socket: connecting</span></p>
<canvas id="view" width="1200" height="600" role="img" aria-label="A moving ring"></canvas>
<p><label>Speed <input id="speed" type="range" min="0" max="200"></label></p>
<dl id="figures"></dl>
</body>
</html>
)html";

constexpr std::string_view page_js = R"js('use strict';
const element = id => document.getElementById(id);
const canvas = element('view'), paint = canvas.getContext('2d');
const speed = element('speed');

// EventSource connects again by itself, and says which event it has seen last.
const events = new EventSource('/events');
events.onopen = () => { element('events').textContent = 'Events: connected'; };
events.onerror = () => { element('events').textContent = 'Events: connecting'; };
events.addEventListener('stats', event => {
  const figures = element('figures');
  figures.replaceChildren();
  for (const [name, value] of Object.entries(JSON.parse(event.data))) {
    const box = figures.appendChild(document.createElement('div'));
    const words = name.replace(/_us$/, ' (\u00b5s)').replaceAll('_', ' ');
    box.appendChild(document.createElement('dt')).textContent = words;
    box.appendChild(document.createElement('dd')).textContent = value.toLocaleString('en');
  }
  figures.dataset.last = event.lastEventId;
});
events.addEventListener('speed', event => {
  if (document.activeElement !== speed) speed.value = event.data;
  speed.dataset.shown = event.data;
});

function draw(points) {
  paint.clearRect(0, 0, canvas.width, canvas.height);
  paint.strokeStyle = '#3ecf8e';
  paint.lineWidth = 3;
  paint.beginPath();
  for (let i = 0; i < points.length; i += 2) {
    paint.lineTo(canvas.width / 2 + points[i] / 36, canvas.height / 2 + points[i + 1] / 36);
  }
  paint.closePath();
  paint.stroke();
  canvas.dataset.frames = Number(canvas.dataset.frames ?? 0) + 1;
}
let socket;
function connect() {
  socket = new WebSocket(location.origin.replace(/^http/, 'ws') + '/socket');
  socket.binaryType = 'arraybuffer';
  socket.onopen = () => { element('socket').textContent = 'Socket: connected'; };
  socket.onmessage = event => draw(new Int16Array(event.data));
  socket.onclose = () => {
    element('socket').textContent = 'Socket: connecting';
    setTimeout(connect, 1000);
  };
}
connect();
speed.addEventListener('input', () => {
  if (socket.readyState === WebSocket.OPEN) socket.send('speed=' + speed.value);
});
)js";

// ---- what the program shows, and what it lets the user change ----

struct Dashboard {
    porthole::Channel figures; // read over Server-Sent Events
    porthole::Channel view;    // read over the WebSocket
};

void show_speed(Dashboard& dashboard, const World& world) {
    dashboard.figures.publish("speed", std::to_string(world.speed));
}

// "speed=120". Anything else is a mistake of the page's.
bool change(World& world, std::string_view words) {
    constexpr std::string_view name = "speed=";
    constexpr int most = 200;
    if (words.substr(0, name.size()) != name) {
        return false;
    }
    words.remove_prefix(name.size());
    const auto value = porthole::parse_number<int>(words);
    if (!value || *value < 0 || *value > most) {
        return false;
    }
    world.speed = *value;
    return true;
}

void add_routes(porthole::Server& server, World& world, Dashboard& dashboard) {
    using porthole::Message;
    using porthole::Request;
    using porthole::Response;
    using porthole::WebSocket;
    constexpr int policy_violation = 1008; // RFC 6455 section 7.4.1
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
    server.get("/events", porthole::events(dashboard.figures));
    server.get(
        "/socket", porthole::websocket()
                       .on_open([&](WebSocket& socket) {
                           porthole::SubscribeOptions options;
                           options.is_binary = true;
                           porthole::subscribe(socket, dashboard.view, options);
                       })
                       .on_message([&](WebSocket& socket, const Message& message) {
                           if (!message.is_text || !change(world, message.data)) {
                               socket.close(policy_violation, "say speed=0 to speed=200");
                               return;
                           }
                           show_speed(dashboard, world);
                       }));
}

void show_figures(porthole::Server& server, const World& world, Dashboard& dashboard) {
    const porthole::Stats stats = server.stats();
    const auto microseconds = [](std::chrono::nanoseconds time) {
        return std::to_string(std::chrono::duration_cast<std::chrono::microseconds>(time).count());
    };
    dashboard.figures.publish(
        "stats", "{\"frame\":" + std::to_string(world.frame())
                     + ",\"viewers\":" + std::to_string(dashboard.view.subscribers())
                     + ",\"connections\":" + std::to_string(stats.connections)
                     + ",\"sent_bytes\":" + std::to_string(stats.bytes_out)
                     + ",\"longest_tick_us\":" + microseconds(stats.library_times.longest()) + "}");
}

// ---- the program ----

volatile std::sig_atomic_t stop_requested = 0;

void request_stop(int) {
    stop_requested = 1;
}

void run_frames(porthole::Server& server, World& world, Dashboard& dashboard, int seconds) {
    constexpr int fps = 60;
    constexpr int frames_between_figures = 15;
    std::vector<std::int16_t> points;
    auto next_frame = SteadyClock::now();
    for (int frame = 0; stop_requested == 0 && (seconds == 0 || frame < seconds * fps); ++frame) {
        world.update(1.0F / fps);
        if (dashboard.view.subscribers() != 0) {
            world.write_points(points);
            dashboard.view.publish(
                "points", {reinterpret_cast<const char*>(points.data()), 2 * points.size()});
        }
        if (frame % frames_between_figures == 0) {
            show_figures(server, world, dashboard);
        }
        server.tick();
        next_frame += SteadyClock::duration(std::chrono::seconds(1)) / fps;
        server.tick_until(next_frame); // where a game would render
    }
}

struct Arguments {
    int port = 8080;
    int seconds = 0; // 0: until Ctrl-C
};

bool parse_arguments(int argc, char** argv, Arguments& arguments) {
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string_view name = argv[i];
        const std::string_view value = argv[i + 1];
        int& number = name == "--port" ? arguments.port : arguments.seconds;
        const auto parsed = porthole::parse_number<int>(value);
        if ((name != "--port" && name != "--seconds") || !parsed || *parsed < 0
            || (name == "--port" && *parsed > 65535)) {
            return false;
        }
        number = *parsed;
    }
    return argc % 2 == 1; // each option has its value
}

} // namespace

int main(int argc, char** argv) {
    Arguments arguments;
    if (!parse_arguments(argc, argv, arguments)) {
        std::fputs("usage: live_dashboard [--port N] [--seconds N]\n", stderr);
        return 2;
    }
    std::signal(SIGINT, request_stop);
    std::signal(SIGTERM, request_stop);
    World world;
    Dashboard dashboard;
    porthole::Server server;
    add_routes(server, world, dashboard);
    if (auto error = server.listen(static_cast<std::uint16_t>(arguments.port))) {
        std::fprintf(stderr, "%s\n--port N chooses another\n", error.message().c_str());
        return 1;
    }
    for (const std::string& url : server.urls()) {
        std::printf("Open %s in a browser. Ctrl-C ends it.\n", url.c_str());
    }
    std::fflush(stdout);
    show_speed(dashboard, world);
    run_frames(server, world, dashboard, arguments.seconds);
    return 0;
}
