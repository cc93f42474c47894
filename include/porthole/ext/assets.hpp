// SPDX-License-Identifier: MIT
#pragma once

// Files that the build has baked into the program, with porthole_embed_assets() for CMake or
// tools/embed_assets.py; docs/assets.md tells how. The generated header gives
//
//     auto error = server.mount("/", app_assets::bundle());
//
// Conditional requests, ranges and compressed copies; every byte is sent from where it lies in the
// program. In development builds the same line reads the folder instead, and browsers reload their
// page when a file in it has changed.

#include "porthole/ext/asset.hpp"
#include "porthole/http/body.hpp"
#include "porthole/http/conditional.hpp"
#include "porthole/http/range.hpp"
#include "porthole/server/mount.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

PORTHOLE_NAMESPACE_BEGIN

/// Serves a table, which the generated bundle() hands over; it must live as long as the server.
/// With AssetTable::directory the files are read from that folder when it can be opened.
std::unique_ptr<Mount> assets(const AssetTable& table);

namespace detail {

/// Content that lies in constant memory, or parts of it with text in front of each.
class MemorySource final : public BodySource {
public:
    struct Part {
        std::string text;
        std::string_view bytes;
    };
    explicit MemorySource(std::string_view bytes) { parts_.push_back({{}, bytes}); }
    explicit MemorySource(std::vector<Part> parts) noexcept : parts_(std::move(parts)) {}

    PORTHOLE_FN std::optional<std::uint64_t> size() const override;
    PORTHOLE_FN std::optional<std::string_view> whole() const override;
    PORTHOLE_FN Piece pull(char* into, std::size_t capacity) override;

private:
    std::vector<Part> parts_;
    std::size_t at_ = 0;   ///< the part that is being sent
    std::size_t sent_ = 0; ///< of its text and bytes together
};

/// Serves the baked bytes.
class AssetBundle final : public Mount {
public:
    explicit AssetBundle(const AssetTable& table) noexcept;
    PORTHOLE_FN Error attach(Server& server) override;
    PORTHOLE_FN void handle(const Request& request, Response& response) override;

private:
    const Asset* find(std::string_view path) const noexcept;
    bool redirect_to_directory(const Request& request, Response& response) const;
    void send(const Asset& asset, const Request& request, Response& response) const;
    void
    send_parts(const Asset& asset, const std::vector<ByteRange>& ranges, Response& response) const;

    AssetTable table_;
};

/// Serves the folder that a table was made from, through files(), and tells pages to reload.
class DiskAssets final : public Mount {
public:
    explicit DiskAssets(const AssetTable& table);
    PORTHOLE_FN ~DiskAssets() override;
    PORTHOLE_FN Error attach(Server& server) override;
    PORTHOLE_FN void handle(const Request& request, Response& response) override;

private:
    struct Watch;
    void add_script(const Request& request, Response& response) const;

    AssetTable table_;
    std::unique_ptr<Mount> files_;
    AssetBundle baked_;
    std::unique_ptr<Watch> watch_; ///< null when the folder is not there: baked_ answers
};

/// The path of a request for use in a Location or a page: encoded, and never of another origin.
std::string encode_request_path(std::string_view path);

} // namespace detail

PORTHOLE_NAMESPACE_END
