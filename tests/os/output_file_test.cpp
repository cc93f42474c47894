// SPDX-License-Identifier: MIT

#include "support/full_disk.hpp"
#include "support/temporary_directory.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

using porthole::detail::File;
using porthole::detail::FileInfo;
using porthole::detail::OpenResult;
using porthole::detail::OutputFile;
using porthole::detail::OutputResult;
using porthole_test::entries_of;
using porthole_test::read_file;
using porthole_test::TemporaryDirectory;

TEST_CASE("output_file: takes its target's name when it is complete, and not before") {
    const TemporaryDirectory place;
    OutputFile file;
    CHECK_FALSE(file.is_open());
    REQUIRE(file.open(place.path("data.bin")) == OutputResult::ok);
    CHECK(file.write("one ") == OutputResult::ok);
    CHECK(file.write("") == OutputResult::ok);
    CHECK(file.write("two") == OutputResult::ok);
    CHECK(file.size() == 7);
    CHECK(read_file(place.path("data.bin")) == "not there");
    const auto meanwhile = entries_of(place);
    REQUIRE(meanwhile.size() == 1);
    CHECK(meanwhile[0].compare(0, 10, ".porthole-") == 0);
    bool has_replaced = true;
    CHECK(file.commit(has_replaced) == OutputResult::ok);
    CHECK_FALSE(has_replaced);
    CHECK_FALSE(file.is_open());
    CHECK(read_file(place.path("data.bin")) == "one two");
    CHECK(entries_of(place) == std::vector<std::string>{"data.bin"});
    CHECK(file.write("more") == OutputResult::failed);
    CHECK(file.commit(has_replaced) == OutputResult::failed);
}

TEST_CASE("output_file: replaces what was there as a whole, or keeps it") {
    const TemporaryDirectory place;
    place.write("a", "old and long");
    for (const bool may_replace : {true, false}) {
        CAPTURE(may_replace);
        OutputFile file;
        const OutputResult opened = file.open(place.path("a"), may_replace);
        CHECK(opened == (may_replace ? OutputResult::ok : OutputResult::already_exists));
    }
    OutputFile file;
    REQUIRE(file.open(place.path("a")) == OutputResult::ok);
    CHECK(file.write("new") == OutputResult::ok);
    CHECK(read_file(place.path("a")) == "old and long");
    bool has_replaced = false;
    CHECK(file.commit(has_replaced) == OutputResult::ok);
    CHECK(has_replaced);
    CHECK(read_file(place.path("a")) == "new");

    // Somebody else is first.
    OutputFile late;
    REQUIRE(late.open(place.path("b"), false) == OutputResult::ok);
    CHECK(late.write("late") == OutputResult::ok);
    place.write("b", "first");
    CHECK(late.commit(has_replaced) == OutputResult::already_exists);
    late.discard();
    CHECK(read_file(place.path("b")) == "first");
    CHECK(entries_of(place) == std::vector<std::string>{"a", "b"});
    OutputFile kept;
    REQUIRE(kept.open(place.path("c"), false) == OutputResult::ok);
    CHECK(kept.commit(has_replaced) == OutputResult::ok);
    CHECK_FALSE(has_replaced);
    CHECK(read_file(place.path("c")).empty());
}

TEST_CASE("output_file: what is not committed leaves nothing behind") {
    const TemporaryDirectory place;
    {
        OutputFile dropped;
        REQUIRE(dropped.open(place.path("a")) == OutputResult::ok);
        CHECK(dropped.write("x") == OutputResult::ok);
        OutputFile moved(std::move(dropped));
        CHECK_FALSE(dropped.is_open());
        CHECK(moved.is_open());
        OutputFile discarded;
        REQUIRE(discarded.open(place.path("b")) == OutputResult::ok);
        discarded.discard();
        discarded.discard();
        CHECK_FALSE(discarded.is_open());
        OutputFile reopened;
        REQUIRE(reopened.open(place.path("c")) == OutputResult::ok);
        REQUIRE(reopened.open(place.path("d")) == OutputResult::ok);
        CHECK(entries_of(place).size() == 2);
    }
    CHECK(entries_of(place).empty());
}

TEST_CASE("output_file: a large one is discarded in steps") {
    const TemporaryDirectory place;
    OutputFile file;
    REQUIRE(file.open(place.path("a")) == OutputResult::ok);
    const std::string mebibyte(1024 * 1024, 'x');
    for (int i = 0; i < 10; ++i) {
        CHECK(file.write(mebibyte) == OutputResult::ok);
        file.write_behind();
    }
    int steps = 1;
    while (!file.discard_step() && steps < 100) {
        CHECK(entries_of(place).empty()); // the name goes first
        ++steps;
    }
    CHECK_FALSE(file.is_open());
    CHECK(steps < 100);
    CHECK(entries_of(place).empty());
    CHECK(file.discard_step());
#if !defined(_WIN32)
    CHECK(steps == 3);
#endif
}

TEST_CASE("output_file: a target that cannot be is refused at once") {
    const TemporaryDirectory place;
    place.make_directory("directory");
    place.write("file", "x");
    OutputFile file;
    CHECK(file.open(place.path("missing/a")) == OutputResult::not_found);
    CHECK(file.open(place.path("file/a")) == OutputResult::not_found);
    CHECK(file.open(place.path("directory")) == OutputResult::already_exists);
    CHECK(file.open(place.path("directory") + "/") == OutputResult::not_found);
    CHECK(file.open("") == OutputResult::not_found);
    const std::string nul = place.path("a") + std::string(1, '\0') + "b";
    CHECK(file.open(nul) == OutputResult::not_found);
    CHECK_FALSE(file.is_open());
    CHECK(entries_of(place) == std::vector<std::string>{"directory", "file"});
}

TEST_CASE("output_file: names are UTF-8") {
    const TemporaryDirectory place;
    const std::string name = place.path("b\xc3\xa4r \xe2\x9c\x93.bin");
    OutputFile file;
    REQUIRE(file.open(name) == OutputResult::ok);
    CHECK(file.write("x") == OutputResult::ok);
    bool has_replaced = true;
    CHECK(file.commit(has_replaced) == OutputResult::ok);
    CHECK(read_file(name) == "x");
}

TEST_CASE("output_file: a name as long as the system allows") {
    const TemporaryDirectory place;
    constexpr std::size_t longest = 200; // with its directory, what Windows takes in one path
    const std::string base = place.path();
    const std::string name(base.size() < longest ? longest - base.size() : 1, 'n');
    OutputFile file;
    REQUIRE(file.open(place.path(name)) == OutputResult::ok);
    bool has_replaced = false;
    CHECK(file.commit(has_replaced) == OutputResult::ok);
    CHECK(read_file(place.path(name)).empty());
}

TEST_CASE("output_file: an announced size takes room, and not more than what was written") {
    const TemporaryDirectory place;
    OutputFile file;
    CHECK(file.announce(1) == OutputResult::failed);
    REQUIRE(file.open(place.path("a")) == OutputResult::ok);
    CHECK(file.announce(std::uint64_t{1} << 60) == OutputResult::no_space);
    CHECK(file.announce(20 * 1024 * 1024) == OutputResult::ok);
    CHECK(file.write("less") == OutputResult::ok);
    CHECK(file.size() == 4);
    bool has_replaced = false;
    CHECK(file.commit(has_replaced) == OutputResult::ok);
    CHECK(read_file(place.path("a")) == "less");
#if !defined(_WIN32)
    struct stat stat {};
    REQUIRE(::stat(place.path("a").c_str(), &stat) == 0);
    CHECK(stat.st_blocks < 1024);
    CHECK((stat.st_mode & 0777) == (0666 & ~porthole_test::current_umask()));
#endif
}

TEST_CASE("output_file: a full disk is no_space, and the target stays as it was") {
    porthole_test::FullDisk disk;
    if (!disk.is_there()) {
        MESSAGE("skipped: this process may not mount a small file system");
        return;
    }
    const std::string target = disk.path("a");
    const std::string mebibyte(1024 * 1024, 'x');
    OutputFile first;
    REQUIRE(first.open(target) == OutputResult::ok);
    CHECK(first.write("kept") == OutputResult::ok);
    bool has_replaced = false;
    REQUIRE(first.commit(has_replaced) == OutputResult::ok);

    OutputFile file;
    REQUIRE(file.open(target) == OutputResult::ok);
    CHECK(file.announce(std::uint64_t{64} * 1024 * 1024) == OutputResult::no_space);
    CHECK(file.system_code() != 0);
    OutputResult result = OutputResult::ok;
    for (int i = 0; i < 64 && result == OutputResult::ok; ++i) {
        result = file.write(mebibyte);
    }
    CHECK(result == OutputResult::no_space);
    file.discard();
    CHECK(read_file(target) == "kept");
    CHECK(porthole_test::count_entries(disk.path()) == 1);
    REQUIRE(file.open(target) == OutputResult::ok);
    CHECK(file.write(mebibyte) == OutputResult::ok);
}

#if defined(_WIN32)

TEST_CASE("output_file: a name that the system takes for another is refused at once") {
    const TemporaryDirectory place;
    OutputFile file;
    for (const std::string_view name :
         {"a.exe.", "a.exe ", "a.txt:stream", "a.txt::$DATA", "a?", "NUL", "CON"}) {
        CAPTURE(name);
        CHECK(file.open(place.path() + "\\" + std::string(name)) == OutputResult::not_found);
    }
    CHECK(entries_of(place).empty());
}

#endif

#if !defined(_WIN32)

TEST_CASE("output_file: past what this process may write there is no_space, and no signal") {
    const TemporaryDirectory place;
    const porthole_test::FileSizeLimit limit(1000);
    OutputFile file;
    REQUIRE(file.open(place.path("a")) == OutputResult::ok);
    CHECK(file.announce(1001) == OutputResult::no_space);
    CHECK(file.announce(1000) == OutputResult::ok);
    CHECK(file.write(std::string(999, 'x')) == OutputResult::ok);
    CHECK(file.write("xx") == OutputResult::no_space);
    CHECK(file.write("x") == OutputResult::ok);
    CHECK(file.write("x") == OutputResult::no_space);
}

TEST_CASE("output_file: a file system that does not tell its room is not taken for a full one") {
    const porthole_test::UnmeasuredDisk disk;
    if (!disk.is_there()) {
        MESSAGE("skipped: this process may not mount a file system");
        return;
    }
    OutputFile file;
    REQUIRE(file.open(disk.path("a")) == OutputResult::ok);
    CHECK(file.announce(100'000) == OutputResult::ok);
    CHECK(file.write(std::string(100'000, 'x')) == OutputResult::ok);
    bool has_replaced = true;
    CHECK(file.commit(has_replaced) == OutputResult::ok);
    CHECK(read_file(disk.path("a")).size() == 100'000);
}

TEST_CASE("output_file: who may read a file stays so when it is replaced") {
    const TemporaryDirectory place;
    for (const mode_t mode : {mode_t{0600}, mode_t{0640}, mode_t{0755}, mode_t{04755}}) {
        CAPTURE(mode);
        place.write("a", "old");
        REQUIRE(::chmod(place.path("a").c_str(), mode) == 0);
        OutputFile file;
        REQUIRE(file.open(place.path("a")) == OutputResult::ok);
        bool has_replaced = false;
        REQUIRE(file.commit(has_replaced) == OutputResult::ok);
        struct stat stat {};
        REQUIRE(::stat(place.path("a").c_str(), &stat) == 0);
        CHECK((stat.st_mode & 07777) == (mode & 0777)); // content from outside runs as nobody else
    }
}

TEST_CASE("output_file: only files are replaced, and no pipe or device") {
    const TemporaryDirectory place;
    REQUIRE(::mkfifo(place.path("pipe").c_str(), 0600) == 0);
    OutputFile file;
    CHECK(file.open(place.path("pipe")) == OutputResult::already_exists);
    CHECK(entries_of(place) == std::vector<std::string>{"pipe"});
}

TEST_CASE("output_file: a directory without permission is denied") {
    if (::geteuid() == 0) {
        MESSAGE("skipped: root may write everywhere");
        return;
    }
    const TemporaryDirectory place;
    place.make_directory("closed");
    REQUIRE(::chmod(place.path("closed").c_str(), 0500) == 0);
    OutputFile file;
    CHECK(file.open(place.path("closed/a")) == OutputResult::denied);
}

TEST_CASE("output_file: a directory that may be written to need not be readable") {
    const TemporaryDirectory place;
    place.make_directory("box");
    REQUIRE(::chmod(place.path("box").c_str(), 0300) == 0); // for root it changes nothing
    OutputFile file;
    REQUIRE(file.open(place.path("box/a")) == OutputResult::ok);
    bool has_replaced = true;
    CHECK(file.commit(has_replaced) == OutputResult::ok);
    REQUIRE(::chmod(place.path("box").c_str(), 0700) == 0);
    CHECK(entries_of(place.path("box")) == std::vector<std::string>{"a"});
}

TEST_CASE("output_file: a link of the target's name is replaced, not followed") {
    const TemporaryDirectory place;
    place.write("elsewhere", "untouched");
    REQUIRE(place.link("a", "elsewhere"));
    OutputFile file;
    REQUIRE(file.open(place.path("a")) == OutputResult::ok);
    CHECK(file.write("new") == OutputResult::ok);
    bool has_replaced = false;
    CHECK(file.commit(has_replaced) == OutputResult::ok);
    CHECK(has_replaced);
    CHECK(read_file(place.path("a")) == "new");
    CHECK(read_file(place.path("elsewhere")) == "untouched");
}

TEST_CASE("output_file: the working directory and the directory's name may change meanwhile") {
    const TemporaryDirectory place;
    place.make_directory("sub");
    OutputFile file;
    REQUIRE(file.open(place.path("sub/a")) == OutputResult::ok);
    CHECK(file.write("x") == OutputResult::ok);
    place.rename("sub", "moved");
    bool has_replaced = false;
    CHECK(file.commit(has_replaced) == OutputResult::ok);
    CHECK(read_file(place.path("moved/a")) == "x");
}

TEST_CASE("output_file: a target that has become a directory is a failed commit") {
    const TemporaryDirectory place;
    OutputFile file;
    REQUIRE(file.open(place.path("a")) == OutputResult::ok);
    place.make_directory("a");
    bool has_replaced = false;
    CHECK(file.commit(has_replaced) == OutputResult::already_exists);
    file.discard();
    CHECK(entries_of(place) == std::vector<std::string>{"a"});
}

#endif
