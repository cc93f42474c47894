// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/base/ascii.hpp"
#include "porthole/ext/files.hpp"
#include "porthole/ext/files_answer.inl"
#include "porthole/ext/files_listing.hpp"
#include "porthole/ext/files_listing.inl"
#include "porthole/ext/files_mount.hpp"
#include "porthole/http/accept.hpp"
#include "porthole/http/media_type.hpp"
#include "porthole/http/target.hpp"
#include "porthole/server/server.hpp"

#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

inline constexpr std::string_view brotli_suffix = ".br";
inline constexpr std::string_view gzip_suffix = ".gz";

/// How many files a mount keeps open where that disturbs nobody.
inline constexpr std::size_t default_open_files = 64;

PORTHOLE_FN FilesMount::FilesMount(std::string_view root, FilesOptions options)
    : path_(root), options_(std::move(options)),
      cache_(
          options_.max_open_files_.value_or(has_windows_files() ? 0 : default_open_files),
          options_.recheck_after_),
      scratch_(new char[max_inline_file]) {
    rules_.allows_dotfiles = options_.has_dotfiles_;
    rules_.is_portable = options_.portable_names_.value_or(has_windows_files());
}

PORTHOLE_FN Error FilesMount::attach(Server& server) {
    clock_ = server.options().clock != nullptr ? server.options().clock : &system_clock_;
    auto root = std::make_shared<Directory>();
    const Lookup lookup = options_.is_step_by_step_ ? Lookup::step_by_step : Lookup::automatic;
    if (Error error = Directory::open(path_, "mount", lookup, *root)) {
        return error;
    }
    root_ = std::move(root);
    return {};
}

/// False when a hook has stopped the request.
PORTHOLE_FN bool FilesMount::run_hooks(const Request& request, Response& response) {
    for (const BeforeHook& hook : options_.before_) {
        if (hook(request, response) == Next::stop) {
            if (!response.is_touched()) {
                response.fail(403, "A hook of these files does not allow the request.");
            }
            return false;
        }
    }
    return true;
}

PORTHOLE_FN void FilesMount::handle(const Request& request, Response& response) {
    if (root_ == nullptr || !run_hooks(request, response)) {
        return;
    }
    if (request.method() != Method::get && request.method() != Method::head) {
        response.fail(405, "Files are read with GET and HEAD.");
        response.header("Allow", "GET, HEAD");
        return;
    }
    const std::string_view path = request.mount_path();
    if (check_raw_path(request.target()) != PathVerdict::fine) {
        response.fail(
            400, "A path must not have encoded slashes, backslashes or control characters.");
        return;
    }
    switch (path.empty() ? PathVerdict::fine : check_path(path, rules_)) {
    case PathVerdict::fine: answer_path(request, response, path); break;
    case PathVerdict::hidden: answer_open_failure(response, OpenResult::not_found); break;
    case PathVerdict::malformed:
        response.fail(400, "A path must not have empty or dot segments, controls or backslashes.");
        break;
    }
}

/// The same place with a slash behind it, as a path on this origin: it begins with one slash only.
inline std::string with_slash(const Request& request) {
    std::string_view path = request.path();
    std::string location;
    while (!path.empty()) {
        path.remove_prefix(path[0] == '/' ? 1 : 0);
        const std::string_view part = path.substr(0, path.find('/'));
        if (!part.empty()) {
            location += '/';
            percent_encode(part, location);
        }
        path.remove_prefix(part.size());
    }
    location += '/';
    if (!request.query_string().empty()) {
        location += '?';
        location += request.query_string();
    }
    return location;
}

PORTHOLE_FN void
FilesMount::answer_path(const Request& request, Response& response, std::string_view path) {
    constexpr int moved_permanently = 301;
    const bool is_directory = !path.empty() && path.back() == '/';
    if (is_directory) {
        const std::string_view name = path.substr(1);
        answer_directory(
            request, response, std::string(name.substr(0, name.empty() ? 0 : name.size() - 1)));
        return;
    }
    const std::string name(path.empty() ? path : path.substr(1));
    Found found = find(name);
    if (found.file != nullptr) {
        answer_file(request, response, name, std::move(found.file));
    } else if (found.directory.is_open()) {
        response.redirect(with_slash(request), moved_permanently);
        response.header("Cache-Control", "no-cache");
    } else if (found.result == OpenResult::not_found) {
        answer_missing(request, response, path);
    } else {
        answer_open_failure(response, found.result);
    }
}

PORTHOLE_FN void
FilesMount::answer_directory(const Request& request, Response& response, const std::string& name) {
    const std::string prefix = name.empty() ? name : name + "/";
    for (const std::string& index : options_.index_) {
        const std::string candidate = prefix + index;
        Found found = find(candidate);
        if (found.file != nullptr) {
            answer_file(request, response, candidate, std::move(found.file));
            return;
        }
        if (found.result != OpenResult::not_found && found.result != OpenResult::ok) {
            answer_open_failure(response, found.result);
            return;
        }
    }
    if (options_.has_listing_) {
        Found found = find(name);
        if (found.directory.is_open()) {
            answer_listing(request, response, name, std::move(found.directory));
            return;
        }
    }
    answer_missing(request, response, name);
}

PORTHOLE_FN void FilesMount::answer_listing(
    const Request& request, Response& response, const std::string& name, File directory) {
    ListingOptions listing;
    listing.is_json = media_type_quality(request.fields(), "application/json")
                      > media_type_quality(request.fields(), "text/html");
    listing.has_dotfiles = options_.has_dotfiles_;
    listing.is_portable = rules_.is_portable;
    listing.has_parent = !name.empty();
    listing.max_entries = options_.max_listed_entries_;
    response.header("Cache-Control", "no-cache");
    response.add_header("Vary", "Accept");
    if (!listing.is_json) {
        response.header("Content-Security-Policy", listing_policy);
    }
    response.send(
        listing.is_json ? "application/json" : "text/html; charset=utf-8",
        std::make_unique<ListingSource>(
            root_, std::move(directory), name, request.path(), listing));
}

/// True for what a browser asks for when the user goes somewhere, as opposed to what a page loads.
inline bool is_navigation(const Request& request) noexcept {
    if (const auto mode = request.header("Sec-Fetch-Mode")) {
        return *mode == "navigate";
    }
    return media_type_quality(request.fields(), "text/html") > 0;
}

PORTHOLE_FN void
FilesMount::answer_missing(const Request& request, Response& response, std::string_view path) {
    if (!options_.spa_.empty() && extension_of(path).empty() && is_navigation(request)) {
        Found found = find(options_.spa_);
        if (found.file != nullptr) {
            answer_file(request, response, options_.spa_, std::move(found.file));
            return;
        }
    }
    answer_open_failure(response, OpenResult::not_found);
}

PORTHOLE_FN void FilesMount::answer_file(
    const Request& request, Response& response, const std::string& name,
    std::shared_ptr<OpenFile> file) {
    FileContent content;
    content.file = content.plain = std::move(file);
    if (options_.has_precompressed_) {
        choose_coding(request, name, content);
    }
    if (!answer_with_file(request, response, content, clock_->wall_time(), scratch_.get())) {
        cache_.forget(name);
        response.fail(503, "The file is being changed.", std::chrono::seconds(1));
    }
}

/// Names are as check_path() left them, or the program's own.
PORTHOLE_FN FilesMount::Found FilesMount::find(const std::string& name) {
    Found found;
    const TimePoint now = clock_->now();
    found.file = cache_.find(name, now);
    if (found.file != nullptr) {
        found.result = OpenResult::ok;
        return found;
    }
    File opened;
    FileInfo info;
    found.result = root_->open_beneath(name, opened, info);
    if (found.result != OpenResult::ok) {
        return found;
    }
    if (info.is_directory) {
        found.directory = std::move(opened);
        return found;
    }
    found.file = std::make_shared<OpenFile>();
    found.file->file = std::move(opened);
    found.file->info = info;
    found.file->type = type_of(name);
    found.file->cache_control = is_immutable(name) ? "public, max-age=31536000, immutable"
                                                   : std::string_view(options_.cache_control_);
    found.file->looked_up = now;
    found.file->describe();
    cache_.keep(name, found.file);
    return found;
}

PORTHOLE_FN std::shared_ptr<OpenFile>
FilesMount::find_sibling(const std::string& name, const OpenFile& plain, OpenFile::Sibling& state) {
    if (state == OpenFile::Sibling::absent) {
        return nullptr;
    }
    Found found = find(name);
    if (found.file == nullptr) {
        state = OpenFile::Sibling::absent;
        return nullptr;
    }
    state = OpenFile::Sibling::present;
    // Tools that copy or unpack write both within moments, in any order.
    constexpr std::int64_t tolerance_ns = 2'000'000'000;
    const bool is_stale = found.file->info.mtime_ns < plain.info.mtime_ns - tolerance_ns;
    return is_stale ? nullptr : std::move(found.file);
}

/// RFC 9110 section 12.5.3. A request for a range gets the plain file: the parts of one download
/// then always come from the same bytes, whatever each request accepts.
PORTHOLE_FN void
FilesMount::choose_coding(const Request& request, const std::string& name, FileContent& content) {
    OpenFile& plain = *content.plain;
    std::shared_ptr<OpenFile> brotli =
        find_sibling(name + std::string(brotli_suffix), plain, plain.brotli);
    std::shared_ptr<OpenFile> gzip =
        find_sibling(name + std::string(gzip_suffix), plain, plain.gzip);
    content.varies = brotli != nullptr || gzip != nullptr;
    const Fields& fields = request.fields();
    if (!content.varies || fields.count("Range") != 0) {
        return;
    }
    const int for_brotli = brotli ? encoding_quality(fields, "br").value_or(0) : 0;
    const int for_gzip = gzip ? encoding_quality(fields, "gzip").value_or(0) : 0;
    const int for_plain = encoding_quality(fields, "identity").value_or(0);
    const int best = for_brotli >= for_gzip ? for_brotli : for_gzip;
    if (best == 0 || best < for_plain) {
        return;
    }
    const bool is_brotli = for_brotli == best;
    content.coding = is_brotli ? "br" : "gzip";
    content.file = std::move(is_brotli ? brotli : gzip);
}

PORTHOLE_FN std::string_view FilesMount::type_of(std::string_view name) const noexcept {
    const std::string_view extension = extension_of(name);
    for (const auto& own : options_.media_types_) {
        if (!extension.empty() && ascii::equals_ignoring_case(own.first, extension)) {
            return own.second;
        }
    }
    return media_type_of(name);
}

PORTHOLE_FN bool FilesMount::is_immutable(std::string_view name) const {
    if (options_.is_immutable_) {
        return options_.is_immutable_(name);
    }
    return has_hash_in_name(name) && media_type_essence(type_of(name)) != "text/html";
}

} // namespace detail

PORTHOLE_FN FilesOptions&
FilesOptions::media_type(std::string_view extension, std::string_view type) {
    const bool is_well_formed = ascii::is_field_value(type);
    PORTHOLE_ASSERT(is_well_formed, "a content type has no CR, LF, NUL or other control");
    if (is_well_formed) {
        media_types_.emplace_back(extension, type);
    }
    return *this;
}

PORTHOLE_FN std::unique_ptr<Mount> files(std::string_view root, FilesOptions options) {
    return std::make_unique<detail::FilesMount>(root, std::move(options));
}

PORTHOLE_FN void send_file(const Request& request, Response& response, std::string_view path) {
    if (request.method() != Method::get && request.method() != Method::head) {
        response.fail(405, "Files are read with GET and HEAD.");
        response.header("Allow", "GET, HEAD");
        return;
    }
    detail::FileContent content;
    content.file = content.plain = std::make_shared<detail::OpenFile>();
    detail::OpenFile& file = *content.file;
    const detail::OpenResult result = detail::open_path(path, file.file, file.info);
    if (result != detail::OpenResult::ok || file.info.is_directory) {
        detail::answer_open_failure(response, result);
        return;
    }
    file.type = media_type_of(path);
    file.cache_control = "no-cache";
    file.describe();
    char scratch[detail::max_inline_file];
    if (!detail::answer_with_file(
            request, response, content, std::chrono::system_clock::now(), scratch)) {
        response.fail(503, "The file is being changed.");
    }
}

PORTHOLE_NAMESPACE_END
