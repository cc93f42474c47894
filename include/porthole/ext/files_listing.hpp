// SPDX-License-Identifier: MIT
#pragma once

// The page that shows a directory. Entries are read and sorted a few at a time, so that a large
// directory costs a frame no more than a large file does.

#include "porthole/http/body.hpp"
#include "porthole/os/file.hpp"

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

struct ListingOptions {
    bool is_json = false;
    bool has_dotfiles = false;
    bool is_portable = false; ///< leaves out what would not be served
    bool has_parent = false;  ///< a link to the directory above
    std::size_t max_entries = 0;
};

class ListingSource final : public BodySource {
public:
    /// `directory` is open, and called `name` beneath `root`. `title` is what the page calls it.
    ListingSource(
        std::shared_ptr<const Directory> root, File directory, std::string_view name,
        std::string_view title, const ListingOptions& options);
    PORTHOLE_FN Piece pull(char* into, std::size_t capacity) override;

private:
    enum class Phase : unsigned char { reading, rows, done };

    void read_entries();
    void take_entry(DirectoryEntry entry);
    void write_begin();
    void write_html_row(const DirectoryEntry& entry);
    void write_json_row(const DirectoryEntry& entry);
    void write_end();

    std::shared_ptr<const Directory> root_;
    std::unique_ptr<DirectoryReader> reader_;
    std::string name_;
    std::string title_;
    ListingOptions options_;
    std::vector<DirectoryEntry> entries_; ///< a heap, the next one to be shown on top
    std::string text_;                    ///< written and not yet pulled
    bool is_cut_ = false;
    bool has_rows_ = false;
    Phase phase_ = Phase::reading;
};

} // namespace detail

PORTHOLE_NAMESPACE_END
