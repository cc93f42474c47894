// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/base/ascii.hpp"
#include "porthole/http/media_type.hpp"

#include <cstddef>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

struct MediaTypeEntry {
    std::string_view extension;
    std::string_view type;
};

/// By extension, in order. IANA registrations where there are any; text/javascript for scripts
/// (RFC 9239).
inline constexpr MediaTypeEntry media_types[] = {
    {"3mf", "model/3mf"},
    {"7z", "application/x-7z-compressed"},
    {"aac", "audio/aac"},
    {"apng", "image/apng"},
    {"avi", "video/x-msvideo"},
    {"avif", "image/avif"},
    {"bin", "application/octet-stream"},
    {"bmp", "image/bmp"},
    {"br", "application/x-brotli"},
    {"bz2", "application/x-bzip2"},
    {"cjs", "text/javascript; charset=utf-8"},
    {"conf", "text/plain; charset=utf-8"},
    {"css", "text/css; charset=utf-8"},
    {"csv", "text/csv; charset=utf-8"},
    {"dds", "image/vnd.ms-dds"},
    {"eot", "application/vnd.ms-fontobject"},
    {"epub", "application/epub+zip"},
    {"exr", "image/x-exr"},
    {"flac", "audio/flac"},
    {"gif", "image/gif"},
    {"glb", "model/gltf-binary"},
    {"gltf", "model/gltf+json"},
    {"gz", "application/gzip"},
    {"hdr", "image/vnd.radiance"},
    {"heic", "image/heic"},
    {"htm", "text/html; charset=utf-8"},
    {"html", "text/html; charset=utf-8"},
    {"ico", "image/vnd.microsoft.icon"},
    {"ics", "text/calendar; charset=utf-8"},
    {"ini", "text/plain; charset=utf-8"},
    {"jpeg", "image/jpeg"},
    {"jpg", "image/jpeg"},
    {"js", "text/javascript; charset=utf-8"},
    {"json", "application/json"},
    {"jsonld", "application/ld+json"},
    {"jxl", "image/jxl"},
    {"ktx2", "image/ktx2"},
    {"log", "text/plain; charset=utf-8"},
    {"m3u8", "application/vnd.apple.mpegurl"},
    {"m4a", "audio/mp4"},
    {"m4v", "video/mp4"},
    {"map", "application/json"},
    {"md", "text/markdown; charset=utf-8"},
    {"mid", "audio/midi"},
    {"midi", "audio/midi"},
    {"mjs", "text/javascript; charset=utf-8"},
    {"mkv", "video/matroska"},
    {"mov", "video/quicktime"},
    {"mp3", "audio/mpeg"},
    {"mp4", "video/mp4"},
    {"mpd", "application/dash+xml"},
    {"mpeg", "video/mpeg"},
    {"mpg", "video/mpeg"},
    {"mtl", "model/mtl"},
    {"obj", "model/obj"},
    {"oga", "audio/ogg"},
    {"ogg", "audio/ogg"},
    {"ogv", "video/ogg"},
    {"opus", "audio/ogg"},
    {"otf", "font/otf"},
    {"pdf", "application/pdf"},
    {"png", "image/png"},
    {"rtf", "application/rtf"},
    {"stl", "model/stl"},
    {"svg", "image/svg+xml"},
    {"tar", "application/x-tar"},
    {"tga", "image/x-tga"},
    {"tif", "image/tiff"},
    {"tiff", "image/tiff"},
    {"toml", "application/toml"},
    {"ts", "video/mp2t"},
    {"tsv", "text/tab-separated-values; charset=utf-8"},
    {"ttc", "font/collection"},
    {"ttf", "font/ttf"},
    {"txt", "text/plain; charset=utf-8"},
    {"vtt", "text/vtt; charset=utf-8"},
    {"wasm", "application/wasm"},
    {"wav", "audio/wav"},
    {"weba", "audio/webm"},
    {"webm", "video/webm"},
    {"webmanifest", "application/manifest+json"},
    {"webp", "image/webp"},
    {"woff", "font/woff"},
    {"woff2", "font/woff2"},
    {"xhtml", "application/xhtml+xml"},
    {"xml", "text/xml; charset=utf-8"},
    {"yaml", "application/yaml"},
    {"yml", "application/yaml"},
    {"zip", "application/zip"},
    {"zst", "application/zstd"},
};
inline constexpr std::size_t media_type_count = sizeof media_types / sizeof media_types[0];
inline constexpr std::size_t max_extension_size = 11;
inline constexpr std::string_view unknown_media_type = "application/octet-stream";

constexpr bool media_types_are_in_order() noexcept {
    for (std::size_t i = 0; i < media_type_count; ++i) {
        if (media_types[i].extension.size() > max_extension_size
            || (i > 0 && !(media_types[i - 1].extension < media_types[i].extension))) {
            return false;
        }
    }
    return true;
}
static_assert(media_types_are_in_order(), "the binary search needs the table in order");

/// Takes the next "; name=value" from `rest`; the value is as sent, quotes included. Semicolons
/// in quoted strings do not separate (RFC 9110 section 5.6.4).
inline std::string_view next_parameter(std::string_view& rest) noexcept {
    bool is_quoted = false;
    std::size_t end = 0;
    for (; end < rest.size(); ++end) {
        if (rest[end] == '"') {
            is_quoted = !is_quoted;
        } else if (rest[end] == '\\' && is_quoted && end + 1 < rest.size()) {
            ++end;
        } else if (rest[end] == ';' && !is_quoted) {
            break;
        }
    }
    const std::string_view parameter = rest.substr(0, end);
    rest.remove_prefix(end < rest.size() ? end + 1 : end);
    return ascii::trim(parameter);
}

} // namespace detail

PORTHOLE_FN std::string_view media_type_of(std::string_view path) noexcept {
    const std::size_t mark = path.find_last_of("./\\");
    if (mark == std::string_view::npos || path[mark] != '.') {
        return detail::unknown_media_type;
    }
    const std::string_view sent = path.substr(mark + 1);
    if (sent.size() > detail::max_extension_size) {
        return detail::unknown_media_type;
    }
    char lower[detail::max_extension_size] = {};
    for (std::size_t i = 0; i < sent.size(); ++i) {
        lower[i] = ascii::to_lower(sent[i]);
    }
    const std::string_view extension(lower, sent.size());
    std::size_t begin = 0;
    std::size_t end = detail::media_type_count;
    while (begin < end) {
        const std::size_t middle = begin + (end - begin) / 2;
        const int order = detail::media_types[middle].extension.compare(extension);
        if (order == 0) {
            return detail::media_types[middle].type;
        }
        begin = order < 0 ? middle + 1 : begin;
        end = order < 0 ? end : middle;
    }
    return detail::unknown_media_type;
}

PORTHOLE_FN std::string_view media_type_essence(std::string_view content_type) noexcept {
    return ascii::trim(content_type.substr(0, content_type.find(';')));
}

PORTHOLE_FN std::optional<std::string_view>
media_type_parameter(std::string_view content_type, std::string_view name) noexcept {
    const std::size_t semicolon = content_type.find(';');
    if (semicolon == std::string_view::npos) {
        return std::nullopt;
    }
    std::string_view rest = content_type.substr(semicolon + 1);
    while (!rest.empty()) {
        const std::string_view parameter = detail::next_parameter(rest);
        const std::size_t equals = parameter.find('=');
        if (equals == std::string_view::npos
            || !ascii::equals_ignoring_case(parameter.substr(0, equals), name)) {
            continue;
        }
        std::string_view value = parameter.substr(equals + 1);
        if (value.size() > 1 && value.front() == '"' && value.back() == '"') {
            value = value.substr(1, value.size() - 2);
        }
        return value;
    }
    return std::nullopt;
}

PORTHOLE_NAMESPACE_END
