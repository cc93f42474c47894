// SPDX-License-Identifier: MIT

#include "support/event_listener.hpp"
#include "support/temporary_directory.hpp"

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace {

using porthole::Asset;
using porthole::AssetBytes;
using porthole::AssetCaching;
using porthole::testing::Answer;
using porthole::testing::Client;
using porthole_test::Listener;

constexpr std::string_view baked_page = "<p>baked</p>";
constexpr std::string_view disk_page = "<p>disk</p>";
constexpr AssetBytes nothing{};
constexpr Asset index = {
    "/index.html",        nullptr, "1dx", {baked_page.data(), baked_page.size()}, nothing, nothing,
    AssetCaching::by_name};
constexpr Asset script = {"/script.js",         nullptr, "5c", {"baked", 5}, nothing, nothing,
                          AssetCaching::by_name};
constexpr const Asset* all[] = {&index, &script};
constexpr std::string_view tag = "\n<script src=\"/ui/.porthole/reload.js\"></script>\n";

struct Shop {
    Shop() : Shop(std::string()) {}
    explicit Shop(std::string place) : where(place.empty() ? directory.path() : std::move(place)) {
        directory.write("index.html", disk_page);
        directory.write("script.js", "disk");
        auto options = porthole_test::options(clock);
        options.log = [this](const porthole::LogEvent& event) {
            log.emplace_back(event.sentence);
        };
        server = std::make_unique<porthole::Server>(std::move(options));
        const porthole::AssetTable table = {all, std::size(all), "/index.html", where.c_str()};
        CHECK_FALSE(server->mount("/ui", porthole::assets(table)));
        client = std::make_unique<Client>(*server);
    }
    Answer get(std::string_view target) { return client->get(target); }
    /// What a page that listens is told within a second; empty: nothing.
    std::string news() {
        porthole::testing::pass_time(*server, clock, std::chrono::seconds(1));
        page->read();
        const auto events = page->take_events();
        return events.empty() ? std::string() : events.back().data;
    }
    void open_page() {
        page = std::make_unique<Listener>(*server, "/ui/.porthole/reload");
        page->tick(2);
    }

    porthole_test::TemporaryDirectory directory;
    std::string where;
    std::vector<std::string> log;
    porthole::ManualClock clock;
    std::unique_ptr<porthole::Server> server;
    std::unique_ptr<Client> client;
    std::unique_ptr<Listener> page;
};

std::string with_tag(std::string_view page) {
    return std::string(page) + std::string(tag);
}

} // namespace

TEST_CASE("assets from disk: the folder is served, and its pages can reload") {
    Shop shop;
    const Answer page = shop.get("/ui/");
    CHECK(page.status == 200);
    CHECK(page.body == with_tag(disk_page));
    CHECK(page.header("Content-Length") == std::to_string(disk_page.size() + tag.size()));
    CHECK(page.header("Content-Type") == "text/html; charset=utf-8");
    CHECK(page.header("Cache-Control") == "no-store");
    CHECK_FALSE(page.has_header("ETag"));
    CHECK_FALSE(page.has_header("Accept-Ranges"));
    CHECK(shop.get("/ui/script.js").body == "disk");
    CHECK(shop.get("/ui/some/where").body == with_tag(disk_page));
    CHECK(shop.get("/ui/missing.js").status == 404);
    CHECK(
        shop.client->request("HEAD", "/ui/").header("Content-Length")
        == page.header("Content-Length"));
}

TEST_CASE("assets from disk: a page that is too large for one piece gets its script, too") {
    Shop shop;
    const std::string page(500'000, 'x');
    shop.directory.write("index.html", page);
    CHECK(shop.get("/ui/").body == with_tag(page));
    shop.directory.write("index.html", "");
    CHECK(shop.get("/ui/").body == with_tag(""));
}

TEST_CASE("assets from disk: a page hears of a baked file that changes, and of nothing else") {
    Shop shop;
    const Answer reload = shop.get("/ui/.porthole/reload.js");
    CHECK(reload.header("Content-Type") == "text/javascript; charset=utf-8");
    CHECK(reload.header("Cache-Control") == "no-store");
    CHECK(reload.body.find("EventSource") != std::string::npos);
    CHECK(shop.client->post("/ui/.porthole/reload", "text/plain", "").status == 405);
    shop.open_page();
    CHECK(shop.page->head.header("Content-Type") == "text/event-stream");
    CHECK(shop.page->head.header("Cache-Control") == "no-store");
    const std::string first = shop.news();
    CHECK_FALSE(first.empty());
    CHECK(shop.news().empty());
    shop.directory.write("other.txt", "not an asset");
    CHECK(shop.news().empty());
    shop.directory.write("script.js", "longer than before");
    const std::string second = shop.news();
    CHECK_FALSE(second.empty());
    CHECK(second != first);
    shop.directory.set_age("index.html", std::chrono::seconds(5));
    CHECK_FALSE(shop.news().empty());
    const std::filesystem::path file(shop.directory.path("script.js"));
    const auto time = std::filesystem::last_write_time(file);
    shop.directory.resize("script.js", 3);
    std::filesystem::last_write_time(file, time);
    CHECK_FALSE(shop.news().empty());
    shop.directory.rename("script.js", "gone.js");
    const std::string last = shop.news();
    CHECK_FALSE(last.empty());
    shop.open_page(); // what a page that was loaded just now compares with
    CHECK(shop.news() == last);
}

TEST_CASE("assets from disk: nobody listening, nothing is looked at") {
    Shop shop;
    constexpr auto never = porthole::never;
    shop.open_page();
    const std::string first = shop.news();
    shop.page->peer.end.reset();
    porthole::testing::pass_time(*shop.server, shop.clock, std::chrono::seconds(1));
    shop.client->close();
    porthole::testing::pass_time(*shop.server, shop.clock, std::chrono::seconds(1));
    CHECK(shop.server->next_deadline() == never);
    // What happens meanwhile is told to the next page, by what it first hears.
    shop.directory.write("script.js", "changed meanwhile");
    shop.open_page();
    const std::string second = shop.news();
    CHECK_FALSE(second.empty());
    CHECK(second != first);
}

TEST_CASE("assets from disk: one look takes in a bounded number of files") {
    constexpr std::size_t count = 130;                 // at 64 for each look
    constexpr std::chrono::milliseconds interval{330}; // between two looks, and a little
    std::vector<std::string> paths;
    for (std::size_t i = 0; i < count; ++i) {
        paths.push_back("/" + std::to_string(1000 + i));
    }
    std::vector<Asset> many;
    std::vector<const Asset*> table;
    for (const std::string& path : paths) {
        many.push_back(
            {path.c_str(), nullptr, "0", nothing, nothing, nothing, AssetCaching::by_name});
    }
    for (const Asset& asset : many) {
        table.push_back(&asset);
    }
    porthole_test::TemporaryDirectory directory;
    const std::string where = directory.path();
    porthole::ManualClock clock;
    porthole::Server server(porthole_test::options(clock));
    CHECK_FALSE(
        server.mount("/", porthole::assets({table.data(), table.size(), nullptr, where.c_str()})));
    Listener page(server, "/.porthole/reload");
    page.tick(2); // the first look
    const auto news = [&] {
        clock.advance(interval);
        page.tick(2);
        return page.take_events().size();
    };
    CHECK(page.take_events().empty());
    CHECK(news() == 0);
    CHECK(news() == 1);
    directory.write("1129", "the last one");
    CHECK(news() == 0);
    CHECK(news() == 0);
    CHECK(news() == 1);
    CHECK(news() == 0);
}

TEST_CASE("assets from disk: without the folder the baked files are served, and the log says so") {
    Shop shop("/nowhere/at all");
    CHECK(shop.get("/ui/").body == baked_page);
    CHECK(shop.get("/ui/script.js").header("ETag") == "\"5c\"");
    CHECK(shop.get("/ui/.porthole/reload.js").status == 404);
    REQUIRE(shop.log.size() == 1);
    CHECK(shop.log[0].find("/nowhere/at all") != std::string::npos);
    CHECK(shop.log[0].find("baked in") != std::string::npos);
}

TEST_CASE("assets from disk: dotfiles and paths out of the folder stay hidden") {
    Shop shop;
    shop.directory.write(".hidden", "secret");
    CHECK(shop.get("/ui/.hidden").status == 404);
    CHECK(shop.get("/ui/.porthole/other").status == 404);
    CHECK(shop.get("/ui/..%2f..%2fetc/passwd").status == 400);
}
