// SPDX-License-Identifier: MIT
#include "support/test.hpp"

#include <string>
#include <string_view>

using porthole::media_type_essence;
using porthole::media_type_of;
using porthole::media_type_parameter;

TEST_CASE("media_type: by extension, in any case, text with its charset") {
    CHECK(media_type_of("a/b.html") == "text/html; charset=utf-8");
    CHECK(media_type_of("INDEX.HTM") == "text/html; charset=utf-8");
    CHECK(media_type_of("app.js") == "text/javascript; charset=utf-8"); // RFC 9239
    CHECK(media_type_of("app.mjs") == "text/javascript; charset=utf-8");
    CHECK(media_type_of("style.css") == "text/css; charset=utf-8");
    CHECK(media_type_of("data.JSON") == "application/json");
    CHECK(media_type_of("app.js.map") == "application/json");
    CHECK(media_type_of("icon.svg") == "image/svg+xml");
    CHECK(media_type_of("favicon.ico") == "image/vnd.microsoft.icon");
    CHECK(media_type_of("game.wasm") == "application/wasm");
    CHECK(media_type_of("font.woff2") == "font/woff2");
    CHECK(media_type_of("model.glb") == "model/gltf-binary");
    CHECK(media_type_of("app.webmanifest") == "application/manifest+json");
    CHECK(media_type_of("movie.mp4") == "video/mp4");
    CHECK(media_type_of("x.7z") == "application/x-7z-compressed");
}

TEST_CASE("media_type: what is unknown is bytes") {
    for (const char* path :
         {"", "html", "a.", ".", "a.html/b", "a.html\\b", "a.html.unknown", "a.htmlx", "a.htm l",
          "dir.js/", "a.webmanifests", "a.averyverylongextension", "a.\xff"}) {
        CAPTURE(path);
        CHECK(media_type_of(path) == "application/octet-stream");
    }
}

TEST_CASE("media_type: every entry of the table is found, whole and in capitals") {
    for (const char* extension :
         {"3mf",  "7z",  "aac",  "avif", "bin",  "bmp",   "br",  "css",  "csv",         "exr",
          "flac", "gif", "glb",  "gltf", "gz",   "hdr",   "htm", "html", "ico",         "jpeg",
          "jpg",  "js",  "json", "ktx2", "m4a",  "map",   "md",  "mjs",  "mov",         "mp3",
          "mp4",  "ogg", "otf",  "pdf",  "png",  "svg",   "tar", "ts",   "ttf",         "txt",
          "wasm", "wav", "webm", "webp", "woff", "woff2", "xml", "zip",  "webmanifest", "zst"}) {
        CAPTURE(extension);
        std::string path = std::string("x.") + extension;
        const std::string_view type = media_type_of(path);
        CHECK(type.find('/') != std::string_view::npos);
        const bool is_bytes = std::string_view(extension) == "bin";
        CHECK((type == "application/octet-stream") == is_bytes);
        CHECK((type.substr(0, 5) == "text/") == (type.find("charset=utf-8") != type.npos));
        for (char& c : path) {
            c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
        }
        CHECK(media_type_of(path) == type);
    }
}

TEST_CASE("media_type: the essence is what stands before the parameters") {
    CHECK(media_type_essence("text/html") == "text/html");
    CHECK(media_type_essence("Text/HTML; charset=utf-8") == "Text/HTML");
    CHECK(media_type_essence(" text/html \t;x") == "text/html");
    CHECK(media_type_essence("") == "");
    CHECK(media_type_essence(";") == "");
}

TEST_CASE("media_type: parameters are found in any case, quoted or not (RFC 9110 5.6.6)") {
    CHECK(media_type_parameter("text/html; charset=utf-8", "charset") == "utf-8");
    CHECK(media_type_parameter("text/html;CHARSET=\"utf-8\"", "charset") == "utf-8");
    CHECK(media_type_parameter("m/x; a=1 ; boundary=\"x;y=z\"; b=2", "boundary") == "x;y=z");
    CHECK(media_type_parameter("m/x; a=1 ; boundary=\"x;y=z\"; b=2", "b") == "2");
    CHECK_FALSE(media_type_parameter("m/x; boundary=\"x;y=z\"", "y"));
    CHECK(media_type_parameter("m/x; a=\"q\\\";b=1\"; b=2", "b") == "2");
    CHECK(media_type_parameter("m/x; a=\"q\\\"\"", "a") == "q\\\"");
    CHECK(media_type_parameter("m/x;;;a=1", "a") == "1");
    CHECK(media_type_parameter("m/x; a=", "a") == "");
    CHECK(media_type_parameter("m/x; a=\"", "a") == "\"");
    for (const char* bad : {"", "text/html", "charset=utf-8", "m/x; charset", "m/x; xcharset=1"}) {
        CAPTURE(bad);
        CHECK_FALSE(media_type_parameter(bad, "charset"));
    }
}
