// SPDX-License-Identifier: MIT

// The demo: a game loop at 60 frames a second with a web page into it. The page draws the
// simulation from /state, shows what Porthole costs in each frame, and changes the simulation by
// POST, all while the loop keeps its pace.
//
//     g++ -std=c++17 -O2 -Isingle_include examples/game_loop.cpp
//     ./a.out [--port N] [--seconds N] [--fps N]
//     curl -s localhost:8080/state
//     curl -s -X POST -d 'gravity=0&paused=false' localhost:8080/settings

#define PORTHOLE_IMPLEMENTATION // in exactly one source file of the program
#include <porthole.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace {

using SteadyClock = std::chrono::steady_clock;

// ---- the game: it knows nothing of Porthole ----

struct Settings {
    int gravity = 700; // units per second and second, downwards
    int count = 3000;
    bool paused = false;
};

constexpr int max_gravity = 3000;
constexpr int max_count = 5000;

struct Body {
    float x, y, speed_x, speed_y;
};

class World {
public:
    static constexpr int width = 1600;
    static constexpr int height = 900;

    World() { apply(settings_); }

    const Settings& settings() const { return settings_; }
    const std::vector<Body>& bodies() const { return bodies_; }
    std::uint64_t frame() const { return frame_; }

    void apply(const Settings& settings) {
        settings_ = settings;
        const auto count = static_cast<std::size_t>(settings.count);
        bodies_.resize((std::min)(bodies_.size(), count));
        while (bodies_.size() < count) {
            bodies_.push_back({between(0, width), between(0, height / 2), between(-300, 300), 0});
        }
    }

    void kick() {
        for (Body& body : bodies_) {
            body.speed_x += between(-500, 500);
            body.speed_y -= between(200, 1200);
        }
    }

    void update(float seconds) {
        ++frame_;
        if (settings_.paused) {
            return;
        }
        const float pull = static_cast<float>(settings_.gravity) * seconds;
        for (Body& body : bodies_) {
            body.speed_y += pull;
            body.x += body.speed_x * seconds;
            body.y += body.speed_y * seconds;
            reflect(body.x, body.speed_x, width);
            reflect(body.y, body.speed_y, height);
        }
    }

private:
    static void reflect(float& position, float& speed, int size) {
        const float end = static_cast<float>(size);
        if (position < 0 || position > end) {
            position = std::clamp(position < 0 ? -position : 2 * end - position, 0.0F, end);
            speed = -speed;
        }
    }
    float between(int from, int to) {
        return std::uniform_real_distribution<float>(
            static_cast<float>(from), static_cast<float>(to))(random_);
    }

    Settings settings_;
    std::vector<Body> bodies_;
    std::uint64_t frame_ = 0;
    std::minstd_rand random_;
};

// ---- what the loop measures about itself ----

// A running average over about the last sixty frames.
struct Average {
    double microseconds = 0;
    void add(std::chrono::nanoseconds time) {
        microseconds += (static_cast<double>(time.count()) / 1000 - microseconds) / 60;
    }
};

struct FrameTimes {
    int fps = 60;
    std::uint64_t frames = 0;
    std::uint64_t late_frames = 0;
    Average update;                 // the game's own work
    Average handlers;               // the functions that answer requests
    Average library;                // Porthole itself
    porthole::Histogram tick_times; // every tick() of the frame loop, idle ones included
};

// ---- the page: plain strings, so that the example stays one file ----

constexpr std::string_view page_html = R"html(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Porthole: a look into the game loop</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/style.css">
<script src="/page.js" defer></script>
</head>
<body>
<header>
  <h1>Porthole</h1>
  <p>This page looks into a running game loop, and changes it.</p>
  <p id="connection" role="status">Connecting</p>
</header>
<main>
  <section class="view" aria-label="Simulation">
    <canvas id="view" role="img" aria-label="Moving bodies" width="1600" height="900"></canvas>
  </section>
  <div class="side">
    <section aria-labelledby="controls-title">
      <h2 id="controls-title">Controls</h2>
      <div class="control">
        <label for="gravity">Gravity</label><output id="gravity-value" for="gravity"></output>
        <input id="gravity" name="gravity" type="range" min="-3000" max="3000" step="50">
      </div>
      <div class="control">
        <label for="count">Bodies</label><output id="count-value" for="count"></output>
        <input id="count" name="count" type="range" min="0" max="5000" step="100">
      </div>
      <div class="buttons">
        <button type="button" id="paused" aria-pressed="false">Pause</button>
        <button type="button" id="kick">Kick</button>
      </div>
    </section>
    <section aria-labelledby="frame-title">
      <h2 id="frame-title">One frame</h2>
      <div class="bar" aria-hidden="true">
        <span id="bar-update"></span><span id="bar-handlers"></span><span id="bar-library"></span>
      </div>
      <dl class="legend">
        <div><dt class="update">Game</dt><dd id="update_us"></dd></div>
        <div><dt class="handlers">Handlers</dt><dd id="handlers_us"></dd></div>
        <div><dt class="library">Porthole</dt><dd id="library_us"></dd></div>
        <div><dt class="free">Free</dt><dd id="free_us"></dd></div>
      </dl>
    </section>
    <section aria-labelledby="loop-title">
      <h2 id="loop-title">The loop</h2>
      <dl class="figures">
        <div><dt>Frame time</dt><dd id="frame_us"></dd></div>
        <div><dt>Porthole's share</dt><dd id="share"></dd></div>
        <div><dt>Tick p99</dt><dd id="tick_p99_us"></dd></div>
        <div><dt>Worst tick</dt><dd id="tick_worst_us"></dd></div>
        <div><dt>Requests</dt><dd id="requests"></dd></div>
        <div><dt>Frames</dt><dd id="frames"></dd></div>
        <div><dt>Late frames</dt><dd id="late_frames"></dd></div>
      </dl>
    </section>
  </div>
</main>
</body>
</html>
)html";

constexpr std::string_view page_css = R"css(
:root { color-scheme: dark; --back: #0b1220; --panel: #131d30; --line: #24324d; --text: #e6edf7;
  --soft: #9fb0c9; --update: #5b8def; --handlers: #f2b544; --library: #3ecf8e; }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; background: var(--back); color: var(--text);
  font: 16px/1.45 system-ui, sans-serif; padding: 1rem clamp(1rem, 3vw, 2rem); }
header { display: flex; align-items: center; gap: .8rem; margin-bottom: 1rem; flex-wrap: wrap; }
header p { margin: 0; color: var(--soft); }
h1 { font-size: 1.3rem; margin: 0; }
h2 { font-size: .85rem; margin: 0 0 .7rem; color: var(--soft); font-weight: 600; }
#connection { margin-left: auto; padding: .2rem .7rem; border: 1px solid var(--line);
  border-radius: 1rem; font-size: .85rem; color: var(--text); }
#connection.on { border-color: var(--library); }
#connection.off { border-color: #ff6b6b; }
main { display: grid; gap: 1rem; grid-template-columns: minmax(0, 1fr) 21rem; align-items: start; }
section { background: var(--panel); border: 1px solid var(--line); border-radius: .8rem;
  padding: 1rem; }
section.view { padding: 0; overflow: hidden; }
canvas { display: block; width: 100%; height: auto; aspect-ratio: 16 / 9; background: #070c16; }
.side { display: grid; gap: 1rem; }
.control { display: grid; grid-template-columns: 1fr auto; margin-bottom: .5rem; }
.control input { grid-column: 1 / -1; width: 100%; height: 1.8rem; margin: 0;
  accent-color: var(--update); }
output, dd { font-variant-numeric: tabular-nums; }
.buttons { display: flex; gap: .5rem; flex-wrap: wrap; }
button { flex: 1; min-height: 2.5rem; padding: 0 .8rem; font: inherit; color: var(--text);
  white-space: nowrap; background: #1d2a44; border: 1px solid #3a4c70; border-radius: .5rem;
  cursor: pointer; }
button:hover { background: #26375a; }
button[aria-pressed="true"] { background: var(--handlers); border-color: var(--handlers);
  color: #1a1303; }
:focus-visible { outline: 3px solid #9cc2ff; outline-offset: 2px; }
.bar { display: flex; height: .9rem; overflow: hidden; border-radius: .3rem; background: #0a101d;
  border: 1px solid var(--line); }
.bar span { width: 0; }
#bar-update, .update::before { background: var(--update); }
#bar-handlers, .handlers::before { background: var(--handlers); }
#bar-library, .library::before { background: var(--library); }
dl { margin: 0; }
.legend { display: flex; flex-wrap: wrap; gap: .5rem 1rem; margin-top: .7rem; }
.legend dt::before { content: ""; display: inline-block; width: .6em; height: .6em;
  margin-right: .4em; border-radius: .15em; }
.legend .free::before { background: #0a101d; outline: 1px solid var(--line); }
dt { color: var(--soft); font-size: .8rem; }
dd { margin: 0; white-space: nowrap; }
.figures { display: grid; grid-template-columns: 1fr 1fr; gap: .7rem 1rem; }
.figures dd { font-size: 1.15rem; }
@media (max-width: 60rem) { main { grid-template-columns: minmax(0, 1fr); } }
)css";

constexpr std::string_view page_js = R"js('use strict';
const element = id => document.getElementById(id);
const canvas = element('view'), paint = canvas.getContext('2d');
const colors = ['#5b8def', '#3ecf8e', '#f2b544', '#ff7eb6', '#a98bff', '#5cd6e8'];
const calm = matchMedia('(prefers-reduced-motion: reduce)');
const wait = ms => new Promise(done => setTimeout(done, ms));
const nextFrame = () => new Promise(done => requestAnimationFrame(done));
const time = us => us < 100 ? us + ' \u00b5s' : (us / 1000).toFixed(us < 10000 ? 2 : 1) + ' ms';
const whole = number => number.toLocaleString('en');
function show(id, text) {
  if (element(id).textContent !== text) element(id).textContent = text;
}
function showConnection(isOn) {
  element('connection').className = isOn ? 'on' : 'off';
  show('connection', isOn ? 'Connected' : 'No answer: is the program still running?');
}
async function getJson(path, options) {
  const answer = await fetch(path, { cache: 'no-store', ...options });
  if (!answer.ok) throw new Error(path + ': ' + answer.status);
  return answer.json();
}
// "bodies" is x, y, x, y, ... in whole units of a width by height box.
function draw(state) {
  const wide = Math.round(canvas.clientWidth * Math.min(devicePixelRatio, 2));
  const high = Math.round(wide * state.height / state.width);
  if (canvas.width !== wide || canvas.height !== high) {
    canvas.width = wide;
    canvas.height = high;
  }
  paint.clearRect(0, 0, wide, high);
  const scale = wide / state.width, list = state.bodies, step = 2 * colors.length;
  colors.forEach((color, index) => {
    paint.fillStyle = color;
    paint.beginPath();
    for (let i = 2 * index; i < list.length; i += step) {
      const x = list[i] * scale, y = list[i + 1] * scale, radius = (3 + i % 7) * scale;
      paint.moveTo(x + radius, y);
      paint.arc(x, y, radius, 0, 7);
    }
    paint.fill();
  });
}
// One request at a time, as fast as frames are drawn; once a second for who wants little motion.
async function watchState() {
  for (;;) {
    try {
      draw(await getJson('/state'));
      await (calm.matches ? wait(1000) : nextFrame());
    } catch {
      await wait(1000);
    }
  }
}
function showStats(stats) {
  for (const id of ['update_us', 'handlers_us', 'library_us', 'tick_p99_us', 'tick_worst_us']) {
    show(id, time(stats[id]));
  }
  for (const id of ['requests', 'frames', 'late_frames']) show(id, whole(stats[id]));
  const used = stats.update_us + stats.handlers_us + stats.library_us;
  show('frame_us', time(used));
  show('free_us', time(Math.max(0, stats.budget_us - used)));
  show('share', (100 * stats.library_us / stats.budget_us).toFixed(2) + ' %');
  for (const part of ['update', 'handlers', 'library']) {
    element('bar-' + part).style.width = 100 * stats[part + '_us'] / stats.budget_us + '%';
  }
  canvas.setAttribute('aria-label', stats.count + ' bodies, gravity ' + stats.gravity
    + (stats.paused ? ', paused' : ''));
}
const sliders = ['gravity', 'count'];
let movedAt = -1e9; // while a slider is being moved, older answers do not move it back
function showSettings(settings) {
  if (performance.now() - movedAt < 600) return;
  for (const name of sliders) {
    element(name).value = settings[name];
    show(name + '-value', whole(settings[name]));
  }
  element('paused').setAttribute('aria-pressed', settings.paused);
}
async function watchStats() {
  for (;;) {
    try {
      const stats = await getJson('/stats');
      showStats(stats);
      showSettings(stats);
      showConnection(true);
    } catch {
      showConnection(false);
    }
    await wait(500);
  }
}
async function change(settings) {
  try {
    const body = new URLSearchParams(settings);
    showSettings(await getJson('/settings', { method: 'POST', body }));
  } catch {
    showConnection(false);
  }
}
for (const name of sliders) {
  element(name).addEventListener('input', event => {
    movedAt = performance.now();
    show(name + '-value', whole(Number(event.target.value)));
    change({ [name]: event.target.value });
  });
}
element('paused').addEventListener('click', event => {
  change({ paused: event.target.getAttribute('aria-pressed') !== 'true' });
});
element('kick').addEventListener('click', () => change({ kick: true }));
watchState();
watchStats();
)js";

// ---- the routes: everything that a browser or curl may ask ----

template <class Integer>
void append(std::string& json, std::string_view name, Integer value) {
    json += json.back() == '{' ? "\"" : ",\"";
    json += name;
    json += "\":";
    json += std::to_string(value);
}

std::string settings_json(const Settings& settings) {
    std::string json = "{";
    append(json, "gravity", settings.gravity);
    append(json, "count", settings.count);
    json += settings.paused ? ",\"paused\":true}" : ",\"paused\":false}";
    return json;
}

// Positions as integers: half the bytes, and quicker to write.
void write_state(const World& world, std::string& json) {
    json = "{";
    append(json, "frame", world.frame());
    append(json, "width", World::width);
    append(json, "height", World::height);
    json += ",\"bodies\":[";
    char digits[16];
    for (const Body& body : world.bodies()) {
        for (const float position : {body.x, body.y}) {
            const auto end = std::to_chars(digits, digits + sizeof digits, std::lround(position));
            json.append(digits, end.ptr);
            json += ',';
        }
    }
    if (json.back() == ',') {
        json.pop_back();
    }
    json += "]}";
}

std::string
stats_json(const porthole::Server& server, const World& world, const FrameTimes& times) {
    std::string json = settings_json(world.settings());
    json.pop_back(); // more to come
    append(json, "budget_us", 1'000'000 / times.fps);
    append(json, "frames", times.frames);
    append(json, "late_frames", times.late_frames);
    append(json, "update_us", std::llround(times.update.microseconds));
    append(json, "handlers_us", std::llround(times.handlers.microseconds));
    append(json, "library_us", std::llround(times.library.microseconds));
    append(json, "tick_p99_us", times.tick_times.percentile(0.99).count() / 1000);
    append(json, "tick_worst_us", times.tick_times.longest().count() / 1000);
    append(json, "requests", server.stats().requests);
    return json + "}";
}

bool parse_integer(std::string_view text, int least, int most, int& into) {
    const auto number = porthole::parse_number<int>(text);
    if (!number || *number < least || *number > most) {
        return false;
    }
    into = *number;
    return true;
}

// POST /settings with gravity, count, paused or kick as a form, which is what both `curl -d` and
// URLSearchParams send. One bad value, and nothing changes.
void change_settings(World& world, const porthole::Request& request, porthole::Response& response) {
    Settings settings = world.settings();
    const auto gravity = request.form("gravity");
    const auto count = request.form("count");
    const auto paused = request.form("paused");
    const bool kick = request.form("kick") == "true";
    const bool is_valid =
        (gravity || count || paused || kick)
        && (!gravity || parse_integer(*gravity, -max_gravity, max_gravity, settings.gravity))
        && (!count || parse_integer(*count, 0, max_count, settings.count))
        && (!paused || *paused == "true" || *paused == "false");
    if (!is_valid) {
        response.status(400).text("Send a form with gravity (-3000 to 3000), count (0 to 5000), "
                                  "paused (true or false) or kick=true\n");
        return;
    }
    settings.paused = paused ? *paused == "true" : settings.paused;
    // Handlers run inside tick(), on this thread: the world is theirs to change, without a lock.
    world.apply(settings);
    if (kick) {
        world.kick();
    }
    response.header("Cache-Control", "no-store").json(settings_json(settings));
}

void add_file(porthole::Server& server, const char* path, const char* type, std::string_view text) {
    server.get(path, [=](const porthole::Request&, porthole::Response& response) {
        // The page may load its own files and talk to this server; nothing else.
        response.header(
            "Content-Security-Policy",
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; "
            "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
        response.send(type, text);
    });
}

void add_routes(porthole::Server& server, World& world, const FrameTimes& times) {
    add_file(server, "/", "text/html; charset=utf-8", page_html);
    add_file(server, "/style.css", "text/css; charset=utf-8", page_css);
    add_file(server, "/page.js", "text/javascript; charset=utf-8", page_js);
    server.get(
        "/state", [&world, json = std::string(), frame = std::uint64_t{0}](
                      const porthole::Request&, porthole::Response& response) mutable {
            // Written once per frame, however many browsers ask for it.
            if (json.empty() || frame != world.frame()) {
                write_state(world, json);
                frame = world.frame();
            }
            response.header("Cache-Control", "no-store").json(json);
        });
    server.get("/stats", [&](const porthole::Request&, porthole::Response& response) {
        response.header("Cache-Control", "no-store").json(stats_json(server, world, times));
    });
    server.post(
        "/settings", [&world](const porthole::Request& request, porthole::Response& response) {
            change_settings(world, request, response);
        });
}

// ---- the program ----

volatile std::sig_atomic_t stop_requested = 0; // Porthole itself installs no signal handler

void request_stop(int) {
    stop_requested = 1;
}

struct Arguments {
    int port = 8080;
    int seconds = 0; // 0: until Ctrl-C
    int fps = 60;
};

bool parse_arguments(int argc, char** argv, Arguments& arguments) {
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string_view name = argv[i];
        const std::string_view value = argv[i + 1];
        if (!(name == "--port" && parse_integer(value, 0, 65535, arguments.port))
            && !(name == "--seconds" && parse_integer(value, 0, 1'000'000, arguments.seconds))
            && !(name == "--fps" && parse_integer(value, 1, 1000, arguments.fps))) {
            return false;
        }
    }
    return argc % 2 == 1; // each option has its value
}

bool listen(porthole::Server& server, int port) {
    porthole::ListenOptions options;
    // A demo would rather start on one of the next ports than not at all.
    options.port_range = port > 0 && port < 65'500 ? 20 : 1;
    if (auto error = server.listen("localhost", static_cast<std::uint16_t>(port), options)) {
        std::fprintf(stderr, "%s\n", error.message().c_str());
        return false;
    }
    if (port != 0 && server.port() != port) {
        std::printf("Port %d is taken.\n", port);
    }
    for (const std::string& url : server.urls()) {
        std::printf("Open %s in a browser. Ctrl-C ends the game.\n", url.c_str());
    }
    std::fflush(stdout);
    return true;
}

void run_frames(
    porthole::Server& server, World& world, FrameTimes& times, const Arguments& arguments) {
    const auto frame_time = SteadyClock::duration(std::chrono::seconds(1)) / arguments.fps;
    const auto end = arguments.seconds == 0
                         ? (SteadyClock::time_point::max)()
                         : SteadyClock::now() + std::chrono::seconds(arguments.seconds);
    auto next_frame = SteadyClock::now();
    while (stop_requested == 0 && next_frame < end) {
        const auto started = SteadyClock::now();
        if (started > next_frame + std::chrono::milliseconds(1)) {
            ++times.late_frames;
            next_frame = started; // what is lost is lost; frames that hurry to catch up look worse
        }
        world.update(1.0F / static_cast<float>(arguments.fps));
        times.update.add(SteadyClock::now() - started);

        // Inside the frame: never blocks, and ends within its budget whatever the clients do.
        const porthole::TickReport inside = server.tick(std::chrono::milliseconds(1));
        times.tick_times.add(inside.elapsed);

        // The rest of the frame would be slept away. tick_until() sleeps too, but wakes for each
        // request: browsers get their answers at once, from time that nobody else wanted. A game
        // whose renderer waits for the display instead leaves this out.
        next_frame += frame_time;
        const porthole::TickReport spare = server.tick_until(next_frame);

        const auto handlers = inside.handler_time + spare.handler_time;
        times.handlers.add(handlers);
        times.library.add(inside.elapsed + spare.elapsed - handlers);
        ++times.frames;
    }
}

} // namespace

int main(int argc, char** argv) {
    Arguments arguments;
    if (!parse_arguments(argc, argv, arguments)) {
        const bool asked = argc == 2 && std::string_view(argv[1]) == "--help";
        std::fprintf(
            asked ? stdout : stderr,
            "usage: game_loop [--port N] [--seconds N] [--fps N]\n"
            "  --port N     listen there, or on one of the next ports (8080; 0 takes a free one)\n"
            "  --seconds N  end after that time (0: not before Ctrl-C)\n"
            "  --fps N      frames per second, 1 to 1000 (60)\n");
        return asked ? 0 : 2;
    }
    std::signal(SIGINT, request_stop);
    std::signal(SIGTERM, request_stop);

    World world;
    FrameTimes times;
    times.fps = arguments.fps;
    porthole::Server server;
    add_routes(server, world, times);
    if (!listen(server, arguments.port)) {
        return 1;
    }
    run_frames(server, world, times, arguments);

    std::printf(
        "%llu frames, %llu late, worst tick %.3f ms, %llu requests\n",
        static_cast<unsigned long long>(times.frames),
        static_cast<unsigned long long>(times.late_frames),
        static_cast<double>(times.tick_times.longest().count()) / 1e6,
        static_cast<unsigned long long>(server.stats().requests));
    return 0;
}
