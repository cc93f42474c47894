// SPDX-License-Identifier: MIT

#include "support/files_fixture.hpp"

#include <memory>
#include <string>

using namespace porthole;
using namespace porthole::detail;
using porthole_test::FilesFixture;
using porthole_test::TemporaryDirectory;

namespace {

std::shared_ptr<OpenFile>
open_file(const TemporaryDirectory& place, const char* name, TimePoint now) {
    auto file = std::make_shared<OpenFile>();
    REQUIRE(open_path(place.path(name), file->file, file->info) == OpenResult::ok);
    file->looked_up = now;
    file->describe();
    return file;
}

} // namespace

TEST_CASE("files_cache: keeps a bounded number of files, the least recently used goes first") {
    const TemporaryDirectory place;
    place.write("x", "x");
    OpenFileCache cache(3, std::chrono::seconds(1));
    const TimePoint now{};
    for (const char* name : {"a", "b", "c"}) {
        cache.keep(name, open_file(place, "x", now));
    }
    CHECK(cache.size() == 3);
    CHECK(cache.find("a", now) != nullptr); // b is now the oldest
    cache.keep("d", open_file(place, "x", now));
    CHECK(cache.size() == 3);
    CHECK(cache.find("b", now) == nullptr);
    CHECK(cache.find("a", now) != nullptr);
    CHECK(cache.find("c", now) != nullptr);
    CHECK(cache.find("d", now) != nullptr);
    cache.keep("d", open_file(place, "x", now)); // in its own place
    CHECK(cache.size() == 3);
    cache.forget("d");
    cache.forget("nobody");
    CHECK(cache.size() == 2);
    OpenFileCache off(0, std::chrono::seconds(1));
    off.keep("a", open_file(place, "x", now));
    CHECK(off.size() == 0);
    CHECK(off.find("a", now) == nullptr);
}

TEST_CASE("files_cache: a name is looked up anew after a while, a changed file is seen at once") {
    const TemporaryDirectory place;
    place.write("x", "one", std::chrono::seconds(100));
    OpenFileCache cache(3, std::chrono::seconds(1));
    TimePoint now{};
    const auto file = open_file(place, "x", now);
    const std::string etag = file->etag;
    cache.keep("x", file);
    now += std::chrono::milliseconds(999);
    REQUIRE(cache.find("x", now) == file);
    CHECK(file->etag == etag);
    place.write("x", "three", std::chrono::seconds(50));
    REQUIRE(cache.find("x", now) == file);
    CHECK(file->info.size == 5);
    CHECK(file->etag != etag);
    CHECK(cache.find("x", now + std::chrono::milliseconds(1)) == nullptr);
    CHECK(cache.size() == 0);
}

#if !defined(_WIN32)
TEST_CASE("files_cache: a file that lost its name is not the one that the name stands for") {
    const TemporaryDirectory place;
    place.write("x", "one");
    OpenFileCache cache(3, std::chrono::seconds(1));
    cache.keep("x", open_file(place, "x", TimePoint{}));
    place.write("y", "two");
    place.rename("y", "x");
    CHECK(cache.find("x", TimePoint{}) == nullptr);
}
#endif

TEST_CASE("files_cache: a tag is made of inode, size and time, and ends with the file's change") {
    OpenFile file;
    file.info.inode = 0xabc;
    file.info.size = 0;
    file.info.mtime_ns = 0x10;
    file.describe();
    CHECK(file.etag == "\"abc-0-10\"");
    CHECK(file.last_modified == "Thu, 01 Jan 1970 00:00:00 GMT");
    file.info.mtime_ns = -1;
    file.describe();
    CHECK(file.etag == "\"abc-0-ffffffffffffffff\"");
    CHECK(file.last_modified == "Wed, 31 Dec 1969 23:59:59 GMT");
}

TEST_CASE("files_cache: through a mount, with the clock of the server") {
    ManualClock clock;
    FilesFixture fixture({}, porthole_test::options(clock));
    fixture.place.write("root/real/a.txt", "one");
    fixture.place.write("root/other/a.txt", "two");
    if (!fixture.place.link("root/current", "real")) {
        return;
    }
    fixture.mount();
    CHECK(fixture.get("/current/a.txt").body == "one");
    fixture.place.link("root/new", "other");
    fixture.place.rename("root/new", "root/current");
    clock.advance(std::chrono::milliseconds(900));
    const std::string soon = fixture.get("/current/a.txt").body;
    CHECK((soon == "one" || has_windows_files()));
    clock.advance(std::chrono::milliseconds(100));
    CHECK(fixture.get("/current/a.txt").body == "two");
}

TEST_CASE("files_cache: recheck_after() and max_open_files() say when a name is looked up anew") {
    const struct {
        FilesOptions options;
        const char* at_once;
        const char* after_100_ms;
    } cases[] = {
        {FilesOptions{}, "one", "one"},
        {FilesOptions{}.recheck_after(std::chrono::milliseconds(100)), "one", "two"},
        {FilesOptions{}.max_open_files(0), "two", "two"},
    };
    for (const auto& one : cases) {
        ManualClock clock;
        FilesFixture fixture(one.options, porthole_test::options(clock));
        fixture.place.write("root/real/a.txt", "one");
        fixture.place.write("root/other/a.txt", "two");
        if (!fixture.place.link("root/current", "real") || has_windows_files()) {
            return;
        }
        fixture.mount();
        CHECK(fixture.get("/current/a.txt").body == "one");
        fixture.place.link("root/new", "other");
        fixture.place.rename("root/new", "root/current");
        CHECK(fixture.get("/current/a.txt").body == one.at_once);
        clock.advance(std::chrono::milliseconds(100));
        CHECK(fixture.get("/current/a.txt").body == one.after_100_ms);
    }
}
