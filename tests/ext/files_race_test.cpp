// SPDX-License-Identifier: MIT

// Directories and links that another thread swaps while lookups are under way: the races that
// checking a path before opening it would lose.

#include "support/temporary_directory.hpp"

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#if !defined(_WIN32)
#include <unistd.h>
#endif

using namespace porthole;
using namespace porthole::detail;

#if !defined(_WIN32)

TEST_CASE("files: nothing outside is read while another thread swaps a link") {
    for (const Lookup lookup : {Lookup::automatic, Lookup::step_by_step}) {
        const porthole_test::TemporaryDirectory place;
        place.write("outside/a.txt", "SECRET");
        place.write("root/in/a.txt", "public");
        place.link("root/current", "in");
        const std::string temporary = place.path("root/new");
        const std::string current = place.path("root/current");
        std::atomic<bool> is_over{false};
        std::thread swapper([&] {
            for (unsigned i = 0; !is_over.load(); ++i) {
                const char* target = i % 3 == 0   ? "../outside"
                                     : i % 3 == 1 ? "in"
                                                  : "../root/../outside";
                if (::symlink(target, temporary.c_str()) == 0) {
                    ::rename(temporary.c_str(), current.c_str());
                }
            }
        });
        Directory root;
        const Error error = Directory::open(place.path("root"), "mount", lookup, root);
        REQUIRE_FALSE(error);
        int found = 0;
        int leaked = 0;
        const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(300);
        int rounds = 0;
        while (rounds < 20'000 && std::chrono::steady_clock::now() < end) {
            ++rounds;
            File file;
            FileInfo info;
            if (root.open_beneath("current/a.txt", file, info) == OpenResult::ok) {
                char bytes[6] = {};
                const std::string_view text(bytes, file.read_at(0, bytes, sizeof bytes));
                found += text == "public" ? 1 : 0;
                leaked += text == "SECRET" ? 1 : 0;
            }
        }
        is_over.store(true);
        swapper.join();
        CHECK(leaked == 0);
        CHECK(rounds > 10);
        MESSAGE("rounds " << rounds << ", found inside " << found);
    }
}

TEST_CASE("files: nothing outside is read while another thread swaps a directory for a link") {
    for (const Lookup lookup : {Lookup::automatic, Lookup::step_by_step}) {
        const porthole_test::TemporaryDirectory place;
        place.write("outside/a.txt", "SECRET");
        place.write("root/current/a.txt", "public");
        place.link("root/link", "../outside");
        const std::string directory = place.path("root/current");
        const std::string link = place.path("root/link");
        const std::string spare = place.path("root/spare");
        std::atomic<bool> is_over{false};
        std::thread swapper([&] {
            while (!is_over.load()) {
                ::rename(directory.c_str(), spare.c_str());
                ::rename(link.c_str(), directory.c_str());
                ::rename(directory.c_str(), link.c_str());
                ::rename(spare.c_str(), directory.c_str());
            }
        });
        Directory root;
        const Error error = Directory::open(place.path("root"), "mount", lookup, root);
        REQUIRE_FALSE(error);
        int leaked = 0;
        const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(300);
        for (int i = 0; i < 20'000 && std::chrono::steady_clock::now() < end; ++i) {
            File file;
            FileInfo info;
            if (root.open_beneath("current/a.txt", file, info) == OpenResult::ok) {
                char bytes[6] = {};
                leaked += std::string_view(bytes, file.read_at(0, bytes, sizeof bytes)) == "SECRET";
            }
        }
        is_over.store(true);
        swapper.join();
        CHECK(leaked == 0);
    }
}

#endif
