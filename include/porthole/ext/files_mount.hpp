// SPDX-License-Identifier: MIT
#pragma once

// What serves a directory: from a request's path to an open file, and from there to an answer.

#include "porthole/base/clock.hpp"
#include "porthole/ext/files.hpp"
#include "porthole/ext/files_cache.hpp"
#include "porthole/ext/files_path.hpp"
#include "porthole/os/file.hpp"
#include "porthole/server/mount.hpp"

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// A file as the content of an answer.
struct FileContent {
    std::shared_ptr<OpenFile> file;  ///< whose bytes are sent
    std::shared_ptr<OpenFile> plain; ///< whose type and Cache-Control they have; mostly the same
    std::string_view coding;         ///< Content-Encoding; empty for the plain file
    bool varies = false;             ///< another request would get another coding
};

/// Files up to this size are read into the answer at once, so that they leave with its head.
inline constexpr std::size_t max_inline_file = 16 * 1024;

/// Answers a GET or HEAD with a file: preconditions, range, fields and content. `scratch` has room
/// for max_inline_file bytes. False when the file has shrunk meanwhile: nothing was answered.
bool answer_with_file(
    const Request& request, Response& response, const FileContent& content,
    std::chrono::system_clock::time_point now, char* scratch);
/// What a failed lookup is to the client; no word about the path.
void answer_open_failure(Response& response, OpenResult result);

class FilesMount final : public Mount {
public:
    FilesMount(std::string_view root, FilesOptions options);
    PORTHOLE_FN Error attach(Server& server) override;
    PORTHOLE_FN void handle(const Request& request, Response& response) override;

private:
    struct Found {
        OpenResult result = OpenResult::not_found;
        std::shared_ptr<OpenFile> file; ///< when it is a regular file
        File directory;                 ///< when it is a directory
    };

    bool run_hooks(const Request& request, Response& response);
    void answer_path(const Request& request, Response& response, std::string_view path);
    void answer_directory(const Request& request, Response& response, const std::string& name);
    void answer_listing(
        const Request& request, Response& response, const std::string& name, File directory);
    void answer_missing(const Request& request, Response& response, std::string_view path);
    void answer_file(
        const Request& request, Response& response, const std::string& name,
        std::shared_ptr<OpenFile> file);
    Found find(const std::string& name);
    std::shared_ptr<OpenFile>
    find_sibling(const std::string& name, const OpenFile& plain, OpenFile::Sibling& state);
    void choose_coding(const Request& request, const std::string& name, FileContent& content);
    std::string_view type_of(std::string_view name) const noexcept;
    bool is_immutable(std::string_view name) const;

    std::string path_;
    FilesOptions options_;
    PathRules rules_;
    std::shared_ptr<const Directory> root_;
    SystemClock system_clock_;
    Clock* clock_ = nullptr;
    OpenFileCache cache_;
    std::unique_ptr<char[]> scratch_;
};

} // namespace detail

PORTHOLE_NAMESPACE_END
