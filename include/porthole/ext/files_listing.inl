// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/base/ascii.hpp"
#include "porthole/base/text.hpp"
#include "porthole/ext/files_listing.hpp"
#include "porthole/ext/files_path.hpp"
#include "porthole/http/date.inl"
#include "porthole/http/target.hpp"

#include <algorithm>
#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

// The policy has the hash of this style: openssl dgst -sha256 -binary | base64.
inline constexpr std::string_view listing_style =
    "body{font-family:system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 "
    "1rem}table{border-collapse:collapse;width:100%}th,td{padding:.25rem "
    ".5rem;text-align:start}td:nth-child(2),th:nth-child(2){text-align:end}tr:nth-child(even) "
    "td{background:#8881}";
/// The Content-Security-Policy of the HTML page: nothing but its own style.
inline constexpr std::string_view listing_policy =
    "default-src 'none'; style-src 'sha256-kbt8NGIRHioMq45jX/ST17CcnNsWqk38sVYCKH7BGyI='; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Directories first, then by the bytes of the name. For a heap, so the other way round.
inline bool is_shown_later(const DirectoryEntry& a, const DirectoryEntry& b) noexcept {
    return a.is_directory != b.is_directory ? b.is_directory : a.name > b.name;
}

inline void append_digits(std::string& text, std::int64_t value, std::size_t width) {
    const std::string digits = std::to_string(value);
    text.append(width > digits.size() ? width - digits.size() : 0, '0').append(digits);
}

/// "2026-11-20T18:04:05Z" (RFC 3339).
inline std::string timestamp(std::int64_t mtime_ns) {
    const auto time = std::chrono::floor<std::chrono::seconds>(std::chrono::nanoseconds(mtime_ns));
    const std::int64_t seconds = time.count();
    const std::int64_t days = (seconds - (seconds < 0 ? seconds_per_day - 1 : 0)) / seconds_per_day;
    const std::int64_t rest = seconds - days * seconds_per_day;
    const CivilTime civil = civil_of_days(days);
    std::string text;
    append_digits(text, civil.year, 4);
    text += '-';
    append_digits(text, civil.month, 2);
    text += '-';
    append_digits(text, civil.day, 2);
    text += 'T';
    append_digits(text, rest / seconds_per_hour, 2);
    text += ':';
    append_digits(text, rest % seconds_per_hour / seconds_per_minute, 2);
    text += ':';
    append_digits(text, rest % seconds_per_minute, 2);
    text += 'Z';
    return text;
}

PORTHOLE_FN ListingSource::ListingSource(
    std::shared_ptr<const Directory> root, File directory, std::string_view name,
    std::string_view title, const ListingOptions& options)
    : root_(std::move(root)), reader_(new DirectoryReader(std::move(directory))), name_(name),
      title_(title), options_(options) {}

PORTHOLE_FN BodySource::Piece ListingSource::pull(char* into, std::size_t capacity) {
    Piece piece;
    piece.state = State::more;
    if (phase_ == Phase::reading) {
        read_entries();
        return piece;
    }
    constexpr std::size_t rows_per_piece = 64;
    for (std::size_t row = 0; row < rows_per_piece && text_.size() < capacity; ++row) {
        if (entries_.empty()) {
            write_end();
            phase_ = Phase::done;
            break;
        }
        std::pop_heap(entries_.begin(), entries_.end(), is_shown_later);
        const DirectoryEntry entry = std::move(entries_.back());
        entries_.pop_back();
        options_.is_json ? write_json_row(entry) : write_html_row(entry);
        has_rows_ = true;
    }
    piece.bytes = text_.copy(into, capacity);
    text_.erase(0, piece.bytes);
    piece.state = phase_ == Phase::done && text_.empty() ? State::end : State::more;
    return piece;
}

PORTHOLE_FN void ListingSource::read_entries() {
    constexpr int entries_per_piece = 32;
    for (int i = 0; i < entries_per_piece; ++i) {
        DirectoryEntry entry;
        if (entries_.size() == options_.max_entries || !reader_->next(entry)) {
            is_cut_ = entries_.size() == options_.max_entries && reader_->next(entry);
            reader_.reset();
            phase_ = Phase::rows;
            write_begin();
            return;
        }
        take_entry(std::move(entry));
    }
}

/// What a request for it would not be given is not shown either.
PORTHOLE_FN void ListingSource::take_entry(DirectoryEntry entry) {
    PathRules rules;
    rules.allows_dotfiles = options_.has_dotfiles;
    rules.is_portable = options_.is_portable;
    if (check_path("/" + entry.name, rules) != PathVerdict::fine) {
        return;
    }
    if (entry.is_link) {
        File file;
        FileInfo info;
        const std::string path = name_.empty() ? entry.name : name_ + "/" + entry.name;
        if (root_->open_beneath(path, file, info) != OpenResult::ok) {
            return;
        }
        entry.is_directory = info.is_directory;
        entry.is_regular = !info.is_directory;
        entry.size = info.size;
        entry.mtime_ns = info.mtime_ns;
    }
    if (entry.is_directory || entry.is_regular) {
        entries_.push_back(std::move(entry));
        std::push_heap(entries_.begin(), entries_.end(), is_shown_later);
    }
}

PORTHOLE_FN void ListingSource::write_begin() {
    if (options_.is_json) {
        text_ += "[";
        return;
    }
    text_ += "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
             "<meta name=\"viewport\" content=\"width=device-width\">\n<title>";
    append_html(title_, text_);
    text_ += "</title>\n<style>";
    text_ += listing_style;
    text_ += "</style>\n</head>\n<body>\n<main>\n<h1>";
    append_html(title_, text_);
    text_ += "</h1>\n";
    if (options_.has_parent) {
        text_ += "<p><a href=\"../\">Up to the parent directory</a></p>\n";
    }
    text_ += "<table>\n<thead><tr><th scope=\"col\">Name</th><th scope=\"col\">Bytes</th>"
             "<th scope=\"col\">Modified (UTC)</th></tr></thead>\n<tbody>\n";
}

PORTHOLE_FN void ListingSource::write_html_row(const DirectoryEntry& entry) {
    const std::string_view slash = entry.is_directory ? "/" : "";
    const std::string time = timestamp(entry.mtime_ns);
    constexpr std::size_t date_width = 10; // of "2026-11-20"
    constexpr std::size_t time_width = 5;  // of "18:04"
    text_ += "<tr><td><a href=\"./";       // so that no name can be taken for a scheme
    percent_encode(entry.name, text_);
    text_.append(slash).append("\">");
    append_html(entry.name, text_);
    text_.append(slash).append("</a></td><td>");
    text_ +=
        entry.is_directory ? "<span aria-hidden=\"true\">-</span>" : std::to_string(entry.size);
    text_.append("</td><td><time datetime=\"").append(time).append("\">");
    text_.append(time, 0, date_width).append(" ").append(time, date_width + 1, time_width);
    text_ += "</time></td></tr>\n";
}

PORTHOLE_FN void ListingSource::write_json_row(const DirectoryEntry& entry) {
    text_ += has_rows_ ? ",\n{\"name\":" : "\n{\"name\":";
    append_json(entry.name, text_);
    text_ += ",\"href\":\"./";
    percent_encode(entry.name, text_);
    text_ += entry.is_directory ? "/\",\"type\":\"directory\"" : "\",\"type\":\"file\",\"size\":";
    text_ += entry.is_directory ? "" : std::to_string(entry.size);
    text_.append(",\"modified\":\"").append(timestamp(entry.mtime_ns)).append("\"}");
}

PORTHOLE_FN void ListingSource::write_end() {
    if (options_.is_json) {
        text_ += "\n]\n";
        return;
    }
    text_ += "</tbody>\n</table>\n";
    text_ += is_cut_ ? "<p>There are more entries than this page shows.</p>\n" : "";
    text_ += "</main>\n</body>\n</html>\n";
}

} // namespace detail

PORTHOLE_NAMESPACE_END
