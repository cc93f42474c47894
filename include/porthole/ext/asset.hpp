// SPDX-License-Identifier: MIT
#pragma once

// What the build writes for each file that it bakes into a program. Generated sources include
// nothing else of the library, so that a folder of a thousand files compiles in seconds; hence the
// plain pointers. All of it is constant data: nothing runs before main() to set it up.

#include "porthole/base/config.hpp"

#include <cstddef>

PORTHOLE_NAMESPACE_BEGIN

/// Bytes that live as long as the program.
struct AssetBytes {
    const void* data = nullptr; ///< null when there are none
    std::size_t size = 0;
};

/// For how long a browser may keep a file.
enum class AssetCaching : unsigned char {
    by_name,    ///< for ever when its name holds a hash of its content, else as revalidate
    revalidate, ///< `no-cache`: it asks each time, and mostly hears that nothing has changed
    immutable,  ///< for ever: the name changes with the content
};

/// One file. Strings end with a zero byte.
struct Asset {
    const char* path;       ///< below the mount, decoded, beginning with '/'
    const char* media_type; ///< null: by the path's extension, see media_type_of()
    const char* etag;       ///< an opaque-tag without its quotes: a part of the content's SHA-256
    AssetBytes plain;
    AssetBytes gzip;   ///< the same content with `Content-Encoding: gzip`
    AssetBytes brotli; ///< ... with `Content-Encoding: br`
    AssetCaching caching;
};

/// All files of one folder.
struct AssetTable {
    const Asset* const* assets; ///< sorted by path, as bytes
    std::size_t size;
    /// The path of the asset that answers where there is none, for programs in the browser that
    /// make up their own paths; null: 404.
    const char* fallback;
    /// The folder itself, for development: files are read from there as long as it exists. Null:
    /// the baked bytes are served.
    const char* directory;
};

PORTHOLE_NAMESPACE_END
