// SPDX-License-Identifier: MIT
#pragma once

// Places for what clients send: a file that appears under its name when it is complete, and the
// parts of a form, taken as they come. Nothing is held in memory but what is asked to be.
//
//     server.put_stream("/data", [](const porthole::Request&) {
//         return porthole::to_file("incoming/data.bin");
//     });
//     server.post_stream("/form", [](const porthole::Request& request) {
//         return porthole::multipart(request)
//             .on_part([](const porthole::FormPartHead& part) {
//                 return part.name == "photo" ? porthole::PartSink::to_file("incoming/photo.jpg")
//                                             : porthole::PartSink::collect();
//             })
//             .on_part_end([](const porthole::FormPartHead& part, std::string_view text) { ... })
//             .on_end([](const porthole::Request&, porthole::Response& response) { ... });
//     });

#include "porthole/http/multipart.hpp"
#include "porthole/server/body_sink.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

class FormUpload;

} // namespace detail

/// A file's name that is safe on every system, made of one that a client has sent (a path's
/// segment, FormPartHead::file_name): without directories, 1 to 128 bytes of UTF-8, no hidden name,
/// no device's, and '_' in place of what some system takes for something else. Names that differ
/// may become the same: UploadOptions::may_replace decides then.
std::string portable_file_name(std::string_view sent);

struct UploadOptions {
    /// False: a file of that name is kept, and the upload is answered with 409.
    bool may_replace = true;
    /// Of this file. More is 413.
    std::uint64_t max_bytes = UINT64_MAX;
};

/// Content into a file at `path`, which is UTF-8 and the program's own: of what a client sent, only
/// portable_file_name() may be part of it. It is written beside its place and renamed when it is
/// complete; what fails or is given up leaves nothing behind, and what was there stays. Answers
/// 201, or 204 when it has replaced a file; 507 when there is no room, at the head where the length
/// is announced; 500 when there is no such directory or it may not be written to.
///
/// Functions that are set on the sink come after its own: on_data() for what has been written,
/// on_end() when the file stands under its name, instead of the answer above, and on_abort() when
/// it never will. A request with Content-Range is refused with 400: it has only a part of the
/// content (RFC 9110 section 14.5). Where a file is replaced its permissions stay; links are
/// replaced themselves, and what is neither is kept.
BodySink to_file(std::string_view path, const UploadOptions& options = {});

/// Where the content of one part of a form goes.
class PartSink {
public:
    /// Nowhere.
    static PartSink skip() { return PartSink(Kind::skip); }
    /// Into memory, for on_part_end(); bounded by MultipartLimits::max_collected_bytes.
    static PartSink collect() { return PartSink(Kind::collect); }
    /// To on_data(), piece by piece.
    static PartSink pieces() { return PartSink(Kind::pieces); }
    /// Into a file, as porthole::to_file() does; MultipartLimits::max_files of them in one form.
    /// All get their names when the whole form has come, in their order and ahead of on_end();
    /// until then each holds two descriptors. When one cannot have its name, those before it have
    /// theirs.
    static PartSink to_file(std::string_view path, const UploadOptions& options = {});
    /// The whole form is refused: a status from 400 to 599, and a sentence for the page.
    static PartSink refuse(int status, std::string_view sentence = {});

private:
    friend class detail::FormUpload;
    enum class Kind : unsigned char { skip, collect, pieces, file, refusal };
    explicit PartSink(Kind kind) noexcept : kind_(kind) {}

    Kind kind_;
    int status_ = 0;
    std::string text_; ///< the path, or the sentence
    UploadOptions options_;
};

/// A form's parts as they come; converts to the BodySink that a route returns. Cheap to copy: all
/// copies are the same form. The functions run inside tick(); a part's head is valid for the call.
/// Of on_end() and on_abort() exactly one is called, and on_abort() also for a form that cannot be
/// read, or a file that cannot be stored.
class MultipartSink {
public:
    /// Decides where a part goes. Without it: files to on_data(), everything else is collected.
    MultipartSink& on_part(std::function<PartSink(const FormPartHead& part)> choose);
    /// A piece of a part that goes to PartSink::pieces().
    MultipartSink&
    on_data(std::function<void(const FormPartHead& part, std::string_view piece)> take);
    /// A part is complete; `text` is what was collected of it.
    MultipartSink&
    on_part_end(std::function<void(const FormPartHead& part, std::string_view text)> take);
    /// Answers when the form is complete; 204 without it.
    MultipartSink& on_end(Handler answer);
    MultipartSink& on_abort(std::function<void()> give_up);
    /// Of the whole form; see BodySink::max_bytes().
    MultipartSink& max_bytes(std::uint64_t bytes);

    /// To be captured by the functions above. A pause takes effect at once, also within what has
    /// arrived already.
    BodyFlow flow() const noexcept { return sink_.flow(); }
    operator BodySink() const { return sink_; }

private:
    friend MultipartSink multipart(const Request& request, const MultipartLimits& limits);
    MultipartSink(BodySink sink, std::shared_ptr<detail::FormUpload> upload) noexcept;

    BodySink sink_;
    std::shared_ptr<detail::FormUpload> upload_;
};

/// Takes multipart/form-data (RFC 7578). What is none is refused with 415; a form that is
/// malformed, or past a limit, with 400, 413 or 431 as soon as that is seen.
MultipartSink multipart(const Request& request, const MultipartLimits& limits = {});

PORTHOLE_NAMESPACE_END
