// SPDX-License-Identifier: MIT
#pragma once

// An open file as an answer. Nothing here knows paths: the same for mounts and send_file().

#include "porthole/ext/files_mount.hpp"
#include "porthole/ext/files_source.hpp"
#include "porthole/http/conditional.hpp"
#include "porthole/http/date.hpp"
#include "porthole/http/range.hpp"
#include "porthole/os/random.hpp"

#include <string>
#include <utility>
#include <vector>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// Changes within this time of each other may share a time stamp, so that a tag made of it could
/// stand for both (RFC 9110 section 8.8.1).
inline constexpr std::chrono::seconds trusted_age{2};

/// 24 random letters and digits; the content has no way to know them beforehand.
inline std::string make_boundary() {
    constexpr char letters[] = "abcdefghijklmnopqrstuvwxyz012345";
    constexpr std::size_t size = 24;
    constexpr unsigned letter_bits = 0x1f;
    char bytes[size] = {};
    static_cast<void>(fill_random(bytes, size));
    std::string boundary;
    for (const char byte : bytes) {
        boundary += letters[static_cast<unsigned char>(byte) & letter_bits];
    }
    return boundary;
}

/// Validators as they are sent: weak while the file is too young, and no date in the future (RFC
/// 9110 section 8.8.2.1).
struct SentValidators {
    SentValidators(const OpenFile& file, std::chrono::system_clock::time_point now)
        : etag(file.etag), last_modified(file.last_modified) {
        const auto mtime = file.info.mtime();
        const bool is_recent = now - mtime < trusted_age;
        validators.last_modified = mtime < now ? mtime : now;
        validators.is_recent = is_recent;
        if (is_recent) {
            weak_etag = "W/" + file.etag;
            etag = weak_etag;
            own_date.resize(date_size);
            write_date(*validators.last_modified, own_date.data());
            last_modified = own_date;
        }
        validators.etag = etag;
    }
    SentValidators(const SentValidators&) = delete;
    SentValidators& operator=(const SentValidators&) = delete;

    Validators validators;
    std::string_view etag;
    std::string_view last_modified;
    std::string weak_etag;
    std::string own_date;
};

/// The fields that 200, 206 and 304 have in common (RFC 9110 section 15.4.5).
inline void
set_cache_fields(Response& response, const FileContent& content, const SentValidators& validators) {
    if (!response.header("Cache-Control")) { // a hook may know better
        response.header("Cache-Control", content.plain->cache_control);
    }
    response.header("ETag", validators.etag);
    if (content.varies) {
        response.add_header("Vary", "Accept-Encoding");
    }
}

/// The whole, what a Range asks for, or nothing.
inline RangeSelection select_content(
    const Request& request, const FileContent& content, const SentValidators& validators,
    std::chrono::system_clock::time_point now) {
    const auto range = request.header("Range");
    // RFC 9110 section 14.2: Range is defined for GET only. Two of them say nothing.
    if (!range || request.method() != Method::get || request.fields().count("Range") != 1
        || !if_range_passes(request.fields(), validators.validators, now)) {
        return {};
    }
    return select_ranges(*range, content.file->info.size);
}

/// Sets status and fields for several ranges, and returns what to send.
inline std::vector<FileSource::Part> frame_parts(
    Response& response, const FileContent& content, const std::vector<ByteRange>& ranges,
    std::string& type) {
    const std::string boundary = make_boundary();
    const MultipartRanges framing(boundary, content.plain->type, content.file->info.size);
    type = framing.content_type();
    std::vector<FileSource::Part> parts;
    for (const ByteRange& range : ranges) {
        parts.push_back({framing.part_head(range), range});
    }
    parts.push_back({framing.end(), {}});
    constexpr int partial_content = 206;
    response.status(partial_content);
    return parts;
}

/// One run of bytes, small ones at once. False when the file has fewer.
inline bool send_run(
    const Request& request, Response& response, const FileContent& content, const ByteRange& range,
    char* scratch) {
    const std::string& type = content.plain->type;
    if (range.size > max_inline_file || request.method() == Method::head) {
        std::vector<FileSource::Part> parts(1);
        parts[0].range = range;
        response.send(type, std::make_unique<FileSource>(content.file, std::move(parts)));
        return true;
    }
    const auto size = static_cast<std::size_t>(range.size);
    if (content.file->file.read_at(range.first, scratch, size) != size) {
        return false;
    }
    response.send(type, std::string_view(scratch, size));
    return true;
}

PORTHOLE_FN bool answer_with_file(
    const Request& request, Response& response, const FileContent& content,
    std::chrono::system_clock::time_point now, char* scratch) {
    constexpr int partial_content = 206;
    constexpr int not_modified = 304;
    constexpr int precondition_failed = 412;
    constexpr int range_not_satisfiable = 416;
    const SentValidators validators(*content.file, now);
    const std::uint64_t file_size = content.file->info.size;
    switch (
        evaluate_preconditions(request.fields(), request.method(), validators.validators, now)) {
    case Precondition::passed: break;
    case Precondition::not_modified:
        response.status(not_modified);
        set_cache_fields(response, content, validators);
        return true;
    case Precondition::failed:
        response.fail(precondition_failed, "The file is not the one that the request is about.");
        return true;
    }
    RangeSelection selection = select_content(request, content, validators, now);
    if (selection.kind == RangeSelection::Kind::unsatisfiable) {
        response.fail(range_not_satisfiable, "The file has no bytes there.");
        response.header("Content-Range", unsatisfied_range(file_size));
        return true;
    }
    if (selection.ranges.size() > 1) {
        std::string type;
        std::vector<FileSource::Part> parts =
            frame_parts(response, content, selection.ranges, type);
        response.send(type, std::make_unique<FileSource>(content.file, std::move(parts)));
    } else {
        ByteRange run{0, file_size};
        if (selection.kind == RangeSelection::Kind::partial) {
            run = selection.ranges[0];
            response.status(partial_content);
            response.header("Content-Range", content_range(run, file_size));
        }
        if (!send_run(request, response, content, run, scratch)) {
            return false;
        }
    }
    set_cache_fields(response, content, validators);
    response.header("Last-Modified", validators.last_modified);
    response.header("Accept-Ranges", "bytes");
    if (!content.coding.empty()) {
        response.header("Content-Encoding", content.coding);
    }
    return true;
}

PORTHOLE_FN void answer_open_failure(Response& response, OpenResult result) {
    switch (result) {
    case OpenResult::ok:
    case OpenResult::not_found: response.fail(404, "There is no such file."); break;
    case OpenResult::denied: response.fail(403, "This file is not for everybody."); break;
    case OpenResult::too_long: response.fail(400, "This path is too long."); break;
    case OpenResult::exhausted:
        response.fail(503, "Too many files are open.", std::chrono::seconds(1));
        break;
    }
}

} // namespace detail

PORTHOLE_NAMESPACE_END
