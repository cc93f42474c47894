// SPDX-License-Identifier: MIT
#pragma once

// Assets in development. files() does the serving; what comes on top is a script at the end of each
// page, which listens to a channel. While anybody listens, the folder is looked at a few times a
// second, at a bounded number of files each time, and what it looks like is published.

#include "porthole/ext/assets.hpp"
#include "porthole/ext/channel.hpp"
#include "porthole/ext/files.hpp"
#include "porthole/http/media_type.hpp"
#include "porthole/http/target.hpp"
#include "porthole/os/file.hpp"
#include "porthole/server/server.hpp"
#include "porthole/server/timer.hpp"

#include <chrono>
#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

// Dotfiles are never assets, so that these cannot be in the way of one.
inline constexpr std::string_view reload_path = "/.porthole/reload";
inline constexpr std::string_view reload_script_path = "/.porthole/reload.js";
// A page that is hidden keeps no connection: a browser has six for each host.
inline constexpr std::string_view reload_script =
    "const base = document.currentScript.src.replace(/\\.js$/, '');\n"
    "let seen = '';\n"
    "let source = null;\n"
    "function listen() {\n"
    "    if (source) source.close();\n"
    "    source = null;\n"
    "    if (document.hidden) return;\n"
    "    source = new EventSource(base);\n"
    "    source.onmessage = event => {\n"
    "        if (seen && event.data !== seen) location.reload();\n"
    "        seen = event.data;\n"
    "    };\n"
    "}\n"
    "document.addEventListener('visibilitychange', listen);\n"
    "listen();\n";

/// What the folder's files look like, as one number that changes with them.
struct DiskAssets::Watch {
    /// Files that one look takes in, and how often there is one.
    static constexpr std::size_t files_per_look = 64;
    static constexpr std::chrono::milliseconds interval{200};

    explicit Watch(Server& host) : server(host), answer(events(channel)) {}

    Server& server;
    Directory directory;
    Channel channel;
    Handler answer;
    TimerHandle timer;
    std::size_t next = 0;
    std::uint64_t sum = 0;
    std::uint64_t state = 0; ///< of the last full round; 0 before

    void add(std::uint64_t value) noexcept {
        constexpr std::uint64_t prime = 0x100000001b3; // FNV-1a, by words
        sum = (sum ^ value) * prime;
    }
    void look(const AssetTable& table) {
        const std::size_t end = (std::min)(table.size, next + files_per_look);
        for (; next < end; ++next) {
            FileInfo info;
            File file;
            const std::string_view name = std::string_view(table.assets[next]->path).substr(1);
            const OpenResult result = directory.open_beneath(name, file, info);
            add(result == OpenResult::ok ? info.size + 1 : 0);
            add(static_cast<std::uint64_t>(info.mtime_ns));
        }
        if (next == table.size) {
            const std::uint64_t before = std::exchange(state, sum | 1);
            next = 0;
            sum = 0;
            if (state != before) {
                static_cast<void>(channel.publish({}, std::to_string(state)));
            }
        }
    }
    /// For as long as somebody listens.
    void keep_looking(const AssetTable& table) {
        timer = server.call_after(interval, [this, &table] {
            if (channel.subscribers() != 0) {
                look(table);
                keep_looking(table);
            }
        });
    }
};

/// A page with something behind it. Browsers take what follows </html> as a part of the body.
class AppendedSource final : public BodySource {
public:
    AppendedSource(std::unique_ptr<BodySource> page, std::string text) noexcept
        : page_(std::move(page)), text_(std::move(text)) {}

    std::optional<std::uint64_t> size() const override {
        const auto size = page_->size();
        return size ? std::optional(*size + text_.size()) : std::nullopt;
    }
    Piece pull(char* into, std::size_t capacity) override {
        if (!has_page_ended_) {
            Piece piece = page_->pull(into, capacity);
            has_page_ended_ = piece.state == State::end;
            piece.state = has_page_ended_ ? State::more : piece.state;
            return piece;
        }
        Piece piece;
        piece.bytes = text_.copy(into, capacity, sent_);
        sent_ += piece.bytes;
        piece.state = sent_ == text_.size() ? State::end : State::more;
        return piece;
    }
    void set_waker(std::function<void()> waker) override { page_->set_waker(std::move(waker)); }

private:
    std::unique_ptr<BodySource> page_;
    std::string text_;
    std::size_t sent_ = 0;
    bool has_page_ended_ = false;
};

PORTHOLE_FN DiskAssets::DiskAssets(const AssetTable& table) : table_(table), baked_(table) {
    FilesOptions options;
    if (table.fallback != nullptr) {
        options.spa(std::string_view(table.fallback).substr(1));
    }
    files_ = files(table.directory, std::move(options));
}

PORTHOLE_FN DiskAssets::~DiskAssets() = default;

PORTHOLE_FN Error DiskAssets::attach(Server& server) {
    auto watch = std::make_unique<Watch>(server);
    const Error error =
        Directory::open(table_.directory, "mount", Lookup::automatic, watch->directory);
    if (error) {
        // A development build on another machine; it has everything with it.
        if (server.options().log) {
            const std::string sentence =
                error.message() + "; serving the assets as they were baked in.";
            server.options().log(
                {LogLevel::warning, LogId::assets_baked, sentence, std::string_view()});
        }
        return baked_.attach(server);
    }
    watch_ = std::move(watch);
    return files_->attach(server);
}

PORTHOLE_FN void DiskAssets::handle(const Request& request, Response& response) {
    if (!watch_) {
        baked_.handle(request, response);
        return;
    }
    const std::string_view path = request.mount_path();
    if (path == reload_path || path == reload_script_path) {
        if (refuse_other_methods(request, response)) {
            return;
        }
        if (path == reload_script_path) {
            response.header("Cache-Control", "no-store");
            response.send("text/javascript; charset=utf-8", reload_script);
            return;
        }
        watch_->look(table_); // a page that comes back hears at once what has changed meanwhile
        if (!watch_->timer.is_pending()) {
            watch_->keep_looking(table_);
        }
        watch_->answer(request, response);
        return;
    }
    files_->handle(request, response);
    add_script(request, response);
}

PORTHOLE_FN std::string encode_request_path(std::string_view path) {
    // "//name" would lead to another host.
    const std::size_t begin = path.find_first_not_of('/');
    path.remove_prefix(begin == std::string_view::npos ? path.size() : begin);
    std::string text = "/";
    for (;;) {
        const std::string_view segment = path.substr(0, path.find('/'));
        percent_encode(segment, text);
        if (segment.size() == path.size()) {
            return text;
        }
        text += '/';
        path.remove_prefix(segment.size() + 1);
    }
}

PORTHOLE_FN void DiskAssets::add_script(const Request& request, Response& response) const {
    constexpr int ok = 200;
    const std::string_view type = response.header("Content-Type").value_or("");
    if (response.status() != ok || media_type_essence(type) != "text/html"
        || response.header("Content-Encoding")) {
        return;
    }
    std::string_view prefix = request.path();
    prefix.remove_suffix(request.mount_path().size());
    std::string text = "\n<script src=\"";
    text += prefix.empty() ? std::string() : encode_request_path(prefix);
    text.append(reload_script_path).append("\"></script>\n");
    if (auto page = response.take_source()) {
        const std::string kept_type(type);
        response.send(kept_type, std::make_unique<AppendedSource>(std::move(page), text));
    } else {
        response.body(std::string(response.body()) + text);
    }
    // It is not the file any more, and the next one may be another.
    response.remove_header("ETag").remove_header("Last-Modified").remove_header("Accept-Ranges");
    response.header("Cache-Control", "no-store");
}

} // namespace detail

PORTHOLE_NAMESPACE_END
