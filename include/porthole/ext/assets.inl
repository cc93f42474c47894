// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/ext/assets.hpp"
#include "porthole/ext/files.inl"
#include "porthole/ext/files_path.hpp"
#include "porthole/http/accept.hpp"
#include "porthole/http/media_type.hpp"
#include "porthole/os/random.hpp"

#include <algorithm>
#include <array>
#include <chrono>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

inline std::string_view bytes_of(const AssetBytes& bytes) noexcept {
    return {static_cast<const char*>(bytes.data), bytes.size};
}

PORTHOLE_FN std::optional<std::uint64_t> MemorySource::size() const {
    std::uint64_t size = 0;
    for (const Part& part : parts_) {
        size += part.text.size() + part.bytes.size();
    }
    return size;
}

PORTHOLE_FN std::optional<std::string_view> MemorySource::whole() const {
    if (parts_.size() == 1 && parts_[0].text.empty()) {
        return parts_[0].bytes;
    }
    return std::nullopt;
}

PORTHOLE_FN BodySource::Piece MemorySource::pull(char* into, std::size_t capacity) {
    Piece piece;
    while (at_ < parts_.size() && piece.bytes < capacity) {
        const Part& part = parts_[at_];
        const std::size_t room = capacity - piece.bytes;
        const std::size_t taken =
            sent_ < part.text.size()
                ? part.text.copy(into + piece.bytes, room, sent_)
                : part.bytes.copy(into + piece.bytes, room, sent_ - part.text.size());
        piece.bytes += taken;
        sent_ += taken;
        if (sent_ == part.text.size() + part.bytes.size()) {
            ++at_;
            sent_ = 0;
        }
    }
    piece.state = at_ < parts_.size() ? State::more : State::end;
    return piece;
}

/// Which copy of an asset is sent.
struct AssetVariant {
    AssetBytes bytes;
    std::string_view coding; ///< empty: the plain copy
    std::string_view etag_suffix;
};

/// The copy that the client likes best; of two alike the smaller kind (RFC 9110 section 12.5.3).
inline AssetVariant choose_variant(const Asset& asset, const Fields& fields) noexcept {
    AssetVariant best{asset.plain, {}, {}};
    // Unnamed, the plain copy is allowed, and the last choice.
    int best_quality = encoding_quality(fields, "identity").value_or(0);
    const AssetVariant others[] = {{asset.gzip, "gzip", "-gz"}, {asset.brotli, "br", "-br"}};
    for (const AssetVariant& other : others) {
        const int quality = encoding_quality(fields, other.coding).value_or(0);
        if (other.bytes.data != nullptr && quality != 0 && quality >= best_quality) {
            best = other;
            best_quality = quality;
        }
    }
    return best;
}

inline std::string etag_of(const Asset& asset, std::string_view suffix) {
    std::string text = "\"";
    text.append(asset.etag).append(suffix).append("\"");
    return text;
}

inline std::string_view media_type_of_asset(const Asset& asset) noexcept {
    return asset.media_type != nullptr ? asset.media_type : media_type_of(asset.path);
}

inline std::string_view cache_control_of(const Asset& asset) noexcept {
    const bool is_page = media_type_essence(media_type_of_asset(asset)) == "text/html";
    const bool is_kept =
        asset.caching == AssetCaching::immutable
        || (asset.caching == AssetCaching::by_name && !is_page && has_hash_in_name(asset.path));
    return is_kept ? "public, max-age=31536000, immutable" : "no-cache";
}

/// True, with the answer made, for methods that files do not have.
inline bool refuse_other_methods(const Request& request, Response& response) {
    constexpr int method_not_allowed = 405;
    if (request.method() == Method::get || request.method() == Method::head) {
        return false;
    }
    if (request.method() == Method::options) {
        response.no_content();
    } else {
        response.fail(method_not_allowed, "Files answer GET and HEAD only.");
    }
    response.header("Allow", "GET, HEAD");
    return true;
}

PORTHOLE_FN AssetBundle::AssetBundle(const AssetTable& table) noexcept : table_(table) {
    for (std::size_t i = 1; i < table.size; ++i) {
        PORTHOLE_ASSERT(
            std::string_view(table.assets[i - 1]->path) < table.assets[i]->path,
            "a table of assets is sorted by path");
    }
}

PORTHOLE_FN Error AssetBundle::attach(Server& server) {
    static_cast<void>(server);
    return {};
}

PORTHOLE_FN const Asset* AssetBundle::find(std::string_view path) const noexcept {
    const Asset* const* const end = table_.assets + table_.size;
    const Asset* const* const place =
        std::lower_bound(table_.assets, end, path, [](const Asset* asset, std::string_view wanted) {
            return std::string_view(asset->path) < wanted;
        });
    return place != end && (*place)->path == path ? *place : nullptr;
}

PORTHOLE_FN void AssetBundle::handle(const Request& request, Response& response) {
    constexpr int not_found = 404;
    if (refuse_other_methods(request, response)) {
        return;
    }
    const std::string_view path = request.mount_path();
    const Asset* asset = nullptr;
    if (!path.empty()) { // else it is the mount's prefix without its '/'
        asset = path.back() == '/' ? find(std::string(path) + "index.html") : find(path);
    }
    if (asset == nullptr && redirect_to_directory(request, response)) {
        return;
    }
    if (asset == nullptr && table_.fallback != nullptr && extension_of(path).empty()
        && is_navigation(request)) {
        asset = find(table_.fallback);
    }
    if (asset == nullptr) {
        response.fail(not_found, "There is no such file.");
        return;
    }
    send(*asset, request, response);
}

/// "/docs" for "/docs/index.html": relative links on that page want the '/'.
PORTHOLE_FN bool
AssetBundle::redirect_to_directory(const Request& request, Response& response) const {
    constexpr int moved_permanently = 301;
    const std::string_view path = request.mount_path();
    if ((!path.empty() && path.back() == '/')
        || find(std::string(path) + "/index.html") == nullptr) {
        return false;
    }
    response.redirect(with_slash(request), moved_permanently);
    response.header("Cache-Control", "no-cache"); // else a browser remembers it for ever
    return true;
}

PORTHOLE_FN void
AssetBundle::send(const Asset& asset, const Request& request, Response& response) const {
    constexpr int partial_content = 206;
    constexpr int not_modified = 304;
    constexpr int precondition_failed = 412;
    constexpr int range_not_satisfiable = 416;
    const auto no_date = std::chrono::system_clock::time_point{};
    const Fields& fields = request.fields();
    const std::string plain_etag = etag_of(asset, {});
    const auto range = request.header("Range");
    RangeSelection selection;
    // RFC 9110 section 14.2: only GET has ranges. They are of the plain copy.
    if (range && request.method() == Method::get && fields.count("Range") == 1
        && if_range_passes(fields, {plain_etag, {}, false}, no_date)) {
        selection = select_ranges(*range, asset.plain.size);
    }
    const bool is_whole = selection.kind == RangeSelection::Kind::whole;
    const AssetVariant variant =
        is_whole ? choose_variant(asset, fields) : AssetVariant{asset.plain, {}, {}};
    const std::string etag = etag_of(asset, variant.etag_suffix);

    const Precondition verdict =
        evaluate_preconditions(fields, request.method(), {etag, {}, false}, no_date);
    if (verdict == Precondition::failed) {
        response.fail(precondition_failed, "The file is not the one that was asked about.");
        return;
    }
    response.header("ETag", etag).header("Cache-Control", cache_control_of(asset));
    if (asset.gzip.data != nullptr || asset.brotli.data != nullptr) {
        response.header("Vary", "Accept-Encoding");
    }
    if (verdict == Precondition::not_modified) {
        response.status(not_modified);
        return;
    }
    response.header("Accept-Ranges", "bytes");
    if (selection.kind == RangeSelection::Kind::unsatisfiable) {
        response.fail(range_not_satisfiable, "The file ends before that range.");
        response.header("Content-Range", unsatisfied_range(asset.plain.size));
    } else if (is_whole) {
        if (!variant.coding.empty()) {
            response.header("Content-Encoding", variant.coding);
        }
        response.send(
            media_type_of_asset(asset), std::make_unique<MemorySource>(bytes_of(variant.bytes)));
    } else {
        response.status(partial_content);
        send_parts(asset, selection.ranges, response);
    }
}

PORTHOLE_FN void AssetBundle::send_parts(
    const Asset& asset, const std::vector<ByteRange>& ranges, Response& response) const {
    constexpr int server_error = 500;
    const std::string_view content = bytes_of(asset.plain);
    const std::string_view type = media_type_of_asset(asset);
    const auto bytes_in = [content](const ByteRange& range) {
        return content.substr(
            static_cast<std::size_t>(range.first), static_cast<std::size_t>(range.size));
    };
    if (ranges.size() == 1) {
        response.header("Content-Range", content_range(ranges[0], content.size()));
        response.send(type, std::make_unique<MemorySource>(bytes_in(ranges[0])));
        return;
    }
    std::array<char, 16> random{};
    if (!fill_random(random.data(), random.size())) {
        response.fail(server_error, "The system has no random bytes for a boundary.");
        return;
    }
    std::string boundary;
    for (const char byte : random) {
        constexpr std::string_view digits = "0123456789abcdef";
        constexpr unsigned low_bits = 0xf;
        boundary += digits[static_cast<unsigned char>(byte) & low_bits];
        boundary += digits[static_cast<unsigned char>(byte) / (low_bits + 1)];
    }
    const MultipartRanges frame(boundary, type, content.size());
    std::vector<MemorySource::Part> parts;
    for (const ByteRange& range : ranges) {
        parts.push_back({frame.part_head(range), bytes_in(range)});
    }
    parts.push_back({frame.end(), {}});
    response.send(frame.content_type(), std::make_unique<MemorySource>(std::move(parts)));
}

} // namespace detail

PORTHOLE_FN std::unique_ptr<Mount> assets(const AssetTable& table) {
    if (table.directory != nullptr) {
        return std::make_unique<detail::DiskAssets>(table);
    }
    return std::make_unique<detail::AssetBundle>(table);
}

PORTHOLE_NAMESPACE_END
