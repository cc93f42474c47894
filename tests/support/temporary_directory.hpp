// SPDX-License-Identifier: MIT
#pragma once

// A directory of a test's own, with the files it needs, gone when the test ends. Names are UTF-8.

#include "support/test.hpp"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <system_error>

namespace porthole_test {

class TemporaryDirectory {
public:
    /// Files are this old unless a test says otherwise: old enough for a strong entity tag.
    static constexpr std::chrono::seconds default_age{3600};

    TemporaryDirectory() {
        constexpr char letters[] = "abcdefghijklmnop";
        std::string name = "porthole-test-";
        char bytes[12] = {};
        REQUIRE(porthole::detail::fill_random(bytes, sizeof bytes));
        for (const char byte : bytes) {
            name += letters[static_cast<unsigned char>(byte) % 16];
        }
        std::error_code code;
        root_ = std::filesystem::canonical(std::filesystem::temp_directory_path(code), code) / name;
        REQUIRE(std::filesystem::create_directories(root_, code));
    }
    TemporaryDirectory(const TemporaryDirectory&) = delete;
    TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
    ~TemporaryDirectory() {
        std::error_code code;
        std::filesystem::remove_all(root_, code);
    }

    /// Of the directory, or of something in it, as the library takes it.
    std::string path(std::string_view name = {}) const { return to_utf8(native(name)); }

    void make_directory(std::string_view name) const {
        std::error_code code;
        std::filesystem::create_directories(native(name), code);
        REQUIRE_FALSE(code);
    }
    /// Also makes the directories that it needs.
    void write(
        std::string_view name, std::string_view content,
        std::chrono::seconds age = default_age) const {
        const auto file = native(name);
        make_directory(
            name.substr(0, name.find('/') == std::string_view::npos ? 0 : name.rfind('/')));
        {
            std::ofstream stream(file, std::ios::binary | std::ios::trunc);
            stream.write(content.data(), static_cast<std::streamsize>(content.size()));
            REQUIRE(stream.good());
        }
        set_age(name, age);
    }
    void set_age(std::string_view name, std::chrono::seconds age) const {
        std::error_code code;
        std::filesystem::last_write_time(
            native(name), std::filesystem::file_time_type::clock::now() - age, code);
        REQUIRE_FALSE(code);
    }
    /// Sparse where the file system can.
    void resize(std::string_view name, std::uint64_t size) const {
        std::error_code code;
        std::filesystem::resize_file(native(name), size, code);
        REQUIRE_FALSE(code);
    }
    void rename(std::string_view from, std::string_view to) const {
        std::error_code code;
        std::filesystem::rename(native(from), native(to), code);
        REQUIRE_FALSE(code);
    }
    void remove(std::string_view name) const {
        std::error_code code;
        std::filesystem::remove_all(native(name), code);
        REQUIRE_FALSE(code);
    }
    /// False where the system does not let this user make links.
    bool link(std::string_view name, std::string_view target) const {
        std::error_code code;
        std::filesystem::create_symlink(from_utf8(target), native(name), code);
        return !code;
    }

private:
    static std::filesystem::path from_utf8(std::string_view text) {
#if defined(__cpp_char8_t)
        return std::filesystem::path(std::u8string(text.begin(), text.end()));
#else
        return std::filesystem::u8path(text.begin(), text.end());
#endif
    }
    static std::string to_utf8(const std::filesystem::path& path) {
        const auto text = path.u8string();
        return std::string(text.begin(), text.end());
    }
    std::filesystem::path native(std::string_view name) const {
        return name.empty() ? root_ : root_ / from_utf8(name);
    }

    std::filesystem::path root_;
};

} // namespace porthole_test
