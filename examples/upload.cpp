// SPDX-License-Identifier: MIT

// Uploads of any size into a folder, while the program goes on: each is written as it comes, shows
// its progress in the page, and stands under its name only when it is complete. What the user's
// file is called decides nothing about where it is written.
//
//     g++ -std=c++17 -O2 -Isingle_include examples/upload.cpp
//     ./a.out [--port N] [--folder PATH] [--max-mb N]
//     curl -T large.iso localhost:8080/files/large.iso

#define PORTHOLE_IMPLEMENTATION // in exactly one source file of the program
#include <porthole.hpp>

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string>
#include <string_view>

namespace {

constexpr std::string_view page_html = R"html(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Porthole: uploads</title>
<link rel="icon" href="data:,">
<style>
:root { color-scheme: dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 40rem; margin: 2rem auto; padding: 0 1rem; background: #0b1220;
  color: #e6edf7; }
label, li { display: block; padding: 1rem; background: #131d30; border: 1px solid #24324d;
  border-radius: .8rem; }
input, ::file-selector-button { font: inherit; }
::file-selector-button { margin-right: 1rem; padding: .5rem .8rem; color: inherit;
  background: #1d2a44; border: 1px solid #3a4c70; border-radius: .5rem; }
ul { padding: 0; }
li { margin: .5rem 0; overflow-wrap: anywhere; }
progress { width: 100%; accent-color: #3ecf8e; }
:focus-visible { outline: 3px solid #9cc2ff; outline-offset: 2px; }
</style>
<script src="/page.js" defer></script>
</head>
<body>
<h1>Uploads</h1>
<p>Each file stands in the program's folder when it is there as a whole.</p>
<label><input id="files" type="file" aria-label="Files" multiple></label>
<ul id="list" aria-live="polite"></ul>
</body>
</html>
)html";

// XMLHttpRequest, since fetch() does not tell how far an upload is.
constexpr std::string_view page_js = R"js('use strict';
const list = document.getElementById('list');
function upload(file) {
  const item = list.appendChild(document.createElement('li'));
  const bar = document.createElement('progress');
  const words = document.createElement('span');
  words.textContent = file.name;
  item.append(words, bar);
  bar.max = file.size || 1;
  bar.value = 0;
  const request = new XMLHttpRequest();
  request.open('PUT', '/files/' + encodeURIComponent(file.name));
  request.upload.onprogress = event => { bar.value = event.loaded; };
  request.onload = () => {
    item.dataset.status = request.status;
    words.textContent = file.name + ': ' + request.responseText.trim();
    bar.remove();
  };
  request.onerror = () => {
    item.dataset.status = 0;
    words.textContent = file.name + ': the connection has ended';
    bar.remove();
  };
  request.send(file);
}
document.getElementById('files').addEventListener('change', event => {
  [...event.target.files].forEach(upload);
});
)js";

struct Arguments {
    int port = 8080;
    int max_megabytes = 16 * 1024;
    std::string folder = ".";
};

void add_routes(porthole::Server& server, const Arguments& arguments) {
    using porthole::Request;
    using porthole::Response;
    constexpr std::uint64_t megabyte = 1024 * 1024;
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

    // Asked at the head of the request, before a byte of the file has been read.
    auto upload = server.put_stream("/files/:name", [folder = arguments.folder](const Request& r) {
        const std::string name = porthole::portable_file_name(r.param("name"));
        std::printf("%s begins\n", name.c_str());
        return porthole::to_file(folder + "/" + name)
            .on_end([name](const Request&, Response& response) {
                std::printf("%s is complete\n", name.c_str());
                response.status(201).text("stored as " + name + "\n");
            });
    });
    upload.max_body_bytes(static_cast<std::uint64_t>(arguments.max_megabytes) * megabyte);
}

bool parse_integer(std::string_view text, int least, int most, int& value) {
    const auto number = porthole::parse_number<int>(text);
    value = number.value_or(least);
    return number && *number >= least && *number <= most;
}

bool parse_arguments(int argc, char** argv, Arguments& arguments) {
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string_view name = argv[i];
        const std::string_view value = argv[i + 1];
        if (name == "--folder") {
            arguments.folder = value;
        } else if (
            !(name == "--port" && parse_integer(value, 0, 65535, arguments.port))
            && !(
                name == "--max-mb"
                && parse_integer(value, 1, 1'000'000, arguments.max_megabytes))) {
            return false;
        }
    }
    return argc % 2 == 1; // each option has its value
}

porthole::Server* running = nullptr;

void request_stop(int) {
    running->stop(); // allowed in a signal handler
}

} // namespace

int main(int argc, char** argv) {
    Arguments arguments;
    if (!parse_arguments(argc, argv, arguments)) {
        std::fputs("usage: upload [--port N] [--folder PATH] [--max-mb N]\n", stderr);
        return 2;
    }
    std::error_code unused;
    if (!std::filesystem::is_directory(arguments.folder, unused)) {
        std::fprintf(
            stderr, "%s is no folder: make it, or name another one with --folder\n",
            arguments.folder.c_str());
        return 1;
    }
    porthole::Server server;
    add_routes(server, arguments);
    if (auto error = server.listen(static_cast<std::uint16_t>(arguments.port))) {
        std::fprintf(stderr, "%s\n--port N chooses another\n", error.message().c_str());
        return 1;
    }
    running = &server;
    std::signal(SIGINT, request_stop);
    std::signal(SIGTERM, request_stop);
    for (const std::string& url : server.urls()) {
        std::printf("Open %s in a browser. Ctrl-C ends it.\n", url.c_str());
    }
    std::fflush(stdout);
    server.run(); // a game calls tick() in its loop instead
    return 0;
}
