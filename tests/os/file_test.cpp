// SPDX-License-Identifier: MIT

#include "support/temporary_directory.hpp"

#include <set>
#include <string>
#include <vector>

#if !defined(_WIN32)
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#endif

using namespace porthole;
using namespace porthole::detail;
using porthole_test::TemporaryDirectory;

namespace {

constexpr Lookup lookups[] = {Lookup::automatic, Lookup::step_by_step};

Directory open_directory(const TemporaryDirectory& place, Lookup lookup, const char* name = "") {
    Directory directory;
    const Error error = Directory::open(place.path(name), "mount", lookup, directory);
    REQUIRE_FALSE(error);
    return directory;
}

std::string read(const Directory& directory, std::string_view name) {
    File file;
    FileInfo info;
    switch (directory.open_beneath(name, file, info)) {
    case OpenResult::ok: break;
    case OpenResult::not_found: return "not found";
    case OpenResult::denied: return "denied";
    case OpenResult::too_long: return "too long";
    case OpenResult::exhausted: return "exhausted";
    }
    if (info.is_directory) {
        return "directory";
    }
    std::string bytes(static_cast<std::size_t>(info.size), '\0');
    bytes.resize(file.read_at(0, bytes.data(), bytes.size()));
    return bytes;
}

} // namespace

TEST_CASE("file: opens what lies beneath a directory, and says what it is") {
    const TemporaryDirectory place;
    place.write("root/a.txt", "alpha");
    place.write("root/sub/deep/b.txt", "beta");
    place.write("root/b\xc3\xa4r \xe2\x9c\x93.txt", "gamma");
    for (const Lookup lookup : lookups) {
        const Directory root = open_directory(place, lookup, "root");
        CHECK(read(root, "a.txt") == "alpha");
        CHECK(read(root, "sub/deep/b.txt") == "beta");
        CHECK(read(root, "b\xc3\xa4r \xe2\x9c\x93.txt") == "gamma");
        CHECK(read(root, "") == "directory");
        CHECK(read(root, "sub") == "directory");
        CHECK(read(root, "sub/deep") == "directory");
        CHECK(read(root, "missing") == "not found");
        CHECK(read(root, "missing/a.txt") == "not found");
        CHECK(read(root, "a.txt/b") == "not found");
        CHECK(read(root, std::string(300, 'n')) != "alpha");
    }
}

TEST_CASE("file: a file's size, time and identity") {
    const TemporaryDirectory place;
    place.write("a", "12345", std::chrono::seconds(100));
    place.write("b", "12345", std::chrono::seconds(100));
    const Directory root = open_directory(place, Lookup::automatic);
    File a;
    File b;
    FileInfo info_a;
    FileInfo info_b;
    REQUIRE(root.open_beneath("a", a, info_a) == OpenResult::ok);
    REQUIRE(root.open_beneath("b", b, info_b) == OpenResult::ok);
    CHECK(info_a.size == 5);
    CHECK_FALSE(info_a.is_directory);
    CHECK_FALSE(info_a.is_unlinked);
    CHECK(info_a.inode != info_b.inode);
    CHECK_FALSE(info_a.is_same_as(info_b));
    const auto age = std::chrono::system_clock::now() - info_a.mtime();
    CHECK(age > std::chrono::seconds(90));
    CHECK(age < std::chrono::seconds(1000));
    place.write("a", "1234567", std::chrono::seconds(100));
    FileInfo later;
    REQUIRE(a.read_info(later));
    CHECK(later.size == 7);
    CHECK(later.inode == info_a.inode);
    CHECK_FALSE(later.is_same_as(info_a));
}

TEST_CASE("file: reads at an offset, and less only at the end") {
    const TemporaryDirectory place;
    place.write("a", "0123456789");
    const Directory root = open_directory(place, Lookup::automatic);
    File file;
    FileInfo info;
    REQUIRE(root.open_beneath("a", file, info) == OpenResult::ok);
    char bytes[16] = {};
    CHECK(file.read_at(0, bytes, 10) == 10);
    CHECK(file.read_at(3, bytes, 4) == 4);
    CHECK(std::string_view(bytes, 4) == "3456");
    CHECK(file.read_at(8, bytes, 10) == 2);
    CHECK(file.read_at(10, bytes, 10) == 0);
    CHECK(file.read_at(1000, bytes, 10) == 0);
    CHECK(file.read_at(std::uint64_t{1} << 40, bytes, 10) == 0);
}

TEST_CASE("file: a directory that cannot be served is an error that names it") {
    const TemporaryDirectory place;
    place.write("file.txt", "x");
    Directory directory;
    const Error missing =
        Directory::open(place.path("nowhere"), "mount", Lookup::automatic, directory);
    CHECK(missing.code() == ErrorCode::not_found);
    CHECK(missing.message().find("nowhere") != std::string::npos);
    CHECK(missing.message().find("mount") == 0);
    const Error file =
        Directory::open(place.path("file.txt"), "mount", Lookup::automatic, directory);
    CHECK(file.code() == ErrorCode::bad_path);
    CHECK(file.message().find("file.txt") != std::string::npos);
    CHECK(Directory::open("", "mount", Lookup::automatic, directory));
    const std::string with_nul = place.path() + std::string(1, '\0');
    CHECK(Directory::open(with_nul, "mount", Lookup::automatic, directory));
}

TEST_CASE("file: lists a directory by its descriptor") {
    const TemporaryDirectory place;
    place.write("root/a.txt", "alpha", std::chrono::seconds(100));
    place.write("root/sub/b.txt", "beta");
    place.write("root/.hidden", "h");
    place.write("root/\xc3\xa4", "x");
    const Directory root = open_directory(place, Lookup::automatic, "root");
    File directory;
    FileInfo info;
    REQUIRE(root.open_beneath("", directory, info) == OpenResult::ok);
    DirectoryReader reader(std::move(directory));
    std::set<std::string> names;
    DirectoryEntry entry;
    while (names.size() < 100 && reader.next(entry)) {
        names.insert(entry.name);
        CHECK(entry.is_directory == (entry.name == "sub"));
        CHECK(entry.is_regular == (entry.name != "sub"));
        CHECK_FALSE(entry.is_link);
        if (entry.name == "a.txt") {
            CHECK(entry.size == 5);
            CHECK(entry.mtime_ns > 1'000'000'000'000'000'000);
        }
    }
    CHECK(names == std::set<std::string>{".hidden", "a.txt", "sub", "\xc3\xa4"});
    CHECK_FALSE(reader.next(entry));
}

TEST_CASE("file: opens a path of the program's own wherever it lies") {
    const TemporaryDirectory place;
    place.write("a", "alpha");
    File file;
    FileInfo info;
    CHECK(open_path(place.path("a"), file, info) == OpenResult::ok);
    CHECK(info.size == 5);
    CHECK(open_path(place.path("b"), file, info) == OpenResult::not_found);
    CHECK(open_path(place.path(), file, info) == OpenResult::ok);
    CHECK(info.is_directory);
}

TEST_CASE("file: links are followed inside the root and never out of it") {
    const TemporaryDirectory place;
    place.write("secret.txt", "secret");
    place.write("outside/secret.txt", "secret");
    place.write("root/a.txt", "alpha");
    place.write("root/sub/b.txt", "beta");
    place.write("root-beside/secret.txt", "secret");
    const bool can_link = place.link("root/to-a", "a.txt");
    if (!can_link) {
        return; // Windows lets only some users make links
    }
    place.link("root/sub/up", "../a.txt");
    place.link("root/to-sub", "sub");
    place.link("root/chain", "to-sub/up");
    place.link("root/dotted", "./sub/../sub/./b.txt");
    place.link("root/to-root", ".");
    place.link("root/sub/to-parent", "..");
    place.link("root/absolute", place.path("root/sub/b.txt"));
    place.link("root/absolute-root", place.path("root"));
    place.link("root/out", "../secret.txt");
    place.link("root/out-directory", "../outside");
    place.link("root/sub/out-deep", "../../secret.txt");
    place.link("root/out-and-in", "../root/a.txt");
    place.link("root/absolute-out", place.path("secret.txt"));
    place.link("root/absolute-beside", place.path("root-beside/secret.txt"));
    place.link("root/absolute-climb", place.path("root") + "/../secret.txt");
    place.link("root/loop", "loop");
    place.link("root/loop-a", "loop-b");
    place.link("root/loop-b", "loop-a");
    place.link("root/dangling", "nothing");
    place.link("root/slash", "/");
    for (const Lookup lookup : lookups) {
        CAPTURE(static_cast<int>(lookup));
        const Directory root = open_directory(place, lookup, "root");
        CHECK(read(root, "to-a") == "alpha");
        CHECK(read(root, "sub/up") == "alpha");
        CHECK(read(root, "to-sub/b.txt") == "beta");
        CHECK(read(root, "to-sub") == "directory");
        CHECK(read(root, "chain") == "alpha");
        CHECK(read(root, "dotted") == "beta");
        CHECK(read(root, "to-root") == "directory");
        CHECK(read(root, "to-root/to-root/a.txt") == "alpha");
        CHECK(read(root, "sub/to-parent") == "directory");
        CHECK(read(root, "sub/to-parent/a.txt") == "alpha");
        CHECK(read(root, "absolute") == "beta");
        CHECK(read(root, "absolute-root/a.txt") == "alpha");
        for (const char* name :
             {"out", "out-directory", "out-directory/secret.txt", "sub/out-deep", "out-and-in",
              "absolute-out", "absolute-beside", "absolute-climb", "loop", "loop-a", "loop-b",
              "loop/a.txt", "dangling", "dangling/x", "slash", "slash/etc/passwd"}) {
            CAPTURE(name);
            CHECK(read(root, name) == "not found");
        }
    }
}

TEST_CASE("file: a root that is a link itself is where it leads") {
    const TemporaryDirectory place;
    place.write("real/a.txt", "alpha");
    if (!place.link("root", "real")) {
        return;
    }
    for (const Lookup lookup : lookups) {
        const Directory root = open_directory(place, lookup, "root");
        CHECK(read(root, "a.txt") == "alpha");
    }
}

TEST_CASE("file: the root is a descriptor: renaming it away does not change what is served") {
#if !defined(_WIN32)
    const TemporaryDirectory place;
    place.write("root/a.txt", "alpha");
    for (const Lookup lookup : lookups) {
        const Directory root = open_directory(place, lookup, "root");
        place.rename("root", "elsewhere");
        place.write("root/a.txt", "another");
        CHECK(read(root, "a.txt") == "alpha");
        place.remove("root");
        place.rename("elsewhere", "root");
    }
#endif
}

#if !defined(_WIN32)

TEST_CASE("file: FIFOs, sockets and devices are not found, and opening them does not block") {
    const TemporaryDirectory place;
    place.write("root/a.txt", "alpha");
    REQUIRE(::mkfifo(place.path("root/fifo").c_str(), 0600) == 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = place.path("root/socket");
    REQUIRE(path.size() < sizeof address.sun_path);
    path.copy(address.sun_path, path.size());
    const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
    REQUIRE(::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    const bool has_device =
        ::mknod(place.path("root/device").c_str(), S_IFCHR | 0600, static_cast<dev_t>(0x103)) == 0;
    place.link("root/to-fifo", "fifo");
    for (const Lookup lookup : lookups) {
        const Directory root = open_directory(place, lookup, "root");
        CHECK(read(root, "fifo") == "not found");
        CHECK(read(root, "fifo/x") == "not found");
        CHECK(read(root, "to-fifo") == "not found");
        CHECK(read(root, "socket") == "not found");
        CHECK(read(root, "device") == "not found");
    }
    MESSAGE("with a device: " << has_device);
    ::close(socket);
    File file;
    FileInfo info;
    CHECK(open_path("/dev/null", file, info) == OpenResult::not_found);
}

TEST_CASE("file: names and trees beyond the system's limits") {
    const TemporaryDirectory place;
    std::string deep = "root";
    for (int i = 0; i < 60; ++i) {
        deep += "/d";
    }
    place.write(deep + "/leaf", "leaf");
    for (const Lookup lookup : lookups) {
        const Directory root = open_directory(place, lookup, "root");
        CHECK(read(root, deep.substr(5) + "/leaf") == "leaf");
        CHECK(read(root, std::string(255, 'n')) == "not found");
        CHECK(read(root, std::string(256, 'n')) == "too long");
    }
}

TEST_CASE("file: a handle that was closed leaves no descriptor behind") {
    const TemporaryDirectory place;
    place.write("root/sub/a.txt", "alpha");
    place.link("root/out", "../..");
    const auto lowest = [] {
        const int descriptor = ::dup(0);
        ::close(descriptor);
        return descriptor;
    };
    for (const Lookup lookup : lookups) {
        const Directory root = open_directory(place, lookup, "root");
        const int before = lowest();
        for (int i = 0; i < 50; ++i) {
            CHECK(read(root, "sub/a.txt") == "alpha");
            CHECK(read(root, "sub/missing") == "not found");
            CHECK(read(root, "out/x") == "not found");
        }
        CHECK(lowest() == before);
    }
}

TEST_CASE("file: a step through a directory that is no longer there") {
    const TemporaryDirectory place;
    place.write("root/sub/a.txt", "alpha");
    const Directory root = open_directory(place, Lookup::step_by_step, "root");
    File directory;
    FileInfo info;
    REQUIRE(root.open_beneath("sub", directory, info) == OpenResult::ok);
    place.remove("root/sub");
    REQUIRE(directory.read_info(info));
    CHECK(info.is_unlinked);
    CHECK(read(root, "sub/a.txt") == "not found");
}

#endif
