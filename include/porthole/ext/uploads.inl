// SPDX-License-Identifier: MIT
#pragma once

// Behind both kinds of sink stands an object that is shared by their functions, with the program's
// own functions in it, which it calls after its work. It knows its sink only by a weak BodyFlow.

#include "porthole/ext/uploads.hpp"
#include "porthole/os/output_file.hpp"
#include "porthole/server/connection.hpp"
#include "porthole/server/server.hpp"

#include <utility>
#include <vector>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

inline constexpr int upload_created = 201;
inline constexpr int upload_conflict = 409;
inline constexpr int upload_too_large = 413;
inline constexpr int upload_failed = 500;
inline constexpr int upload_overloaded = 503;
inline constexpr int upload_no_space = 507;

/// The status that answers, 0 for ok.
inline int status_of_upload(OutputResult result, const UploadOptions& options) noexcept {
    switch (result) {
    case OutputResult::ok: return 0;
    case OutputResult::no_space: return upload_no_space;
    case OutputResult::already_exists: return options.may_replace ? upload_failed : upload_conflict;
    case OutputResult::exhausted: return upload_overloaded;
    case OutputResult::not_found:
    case OutputResult::denied:
    case OutputResult::failed: break;
    }
    return upload_failed;
}

/// For the page and the log: it names no path.
inline std::string_view describe_upload(int status) noexcept {
    switch (status) {
    case upload_conflict: return "There is a file of that name already.";
    case upload_too_large: return "The file is too large (UploadOptions::max_bytes).";
    case upload_overloaded: return "Too many files are open.";
    case upload_no_space: return "There is no room left for this content.";
    default: return "This content cannot be stored here.";
    }
}

/// Frees a large file's space in steps, one for each turn of the server.
inline void discard_gradually(const std::shared_ptr<OutputFile>& file, const TaskPoster& poster) {
    if (!file->discard_step()) {
        poster.post([file, poster] { discard_gradually(file, poster); });
    }
}

/// A file that is being uploaded. Its functions give 0, or the status that answers.
class UploadFile {
public:
    explicit UploadFile(UploadOptions options)
        : options_(options), file_(std::make_shared<OutputFile>()) {}

    int open(std::string_view path) {
        return status_of_upload(file_->open(path, options_.may_replace), options_);
    }
    int announce(std::uint64_t bytes) noexcept {
        return status_of_upload(file_->announce(bytes), options_);
    }
    int write(std::string_view piece) noexcept {
        if (piece.size() > options_.max_bytes - file_->size()) {
            return upload_too_large;
        }
        const int status = status_of_upload(file_->write(piece), options_);
        if (file_->size() - written_behind_ >= OutputFile::write_behind_bytes) {
            written_behind_ = file_->size();
            file_->write_behind();
        }
        return status;
    }
    int commit(bool& has_replaced) noexcept {
        return status_of_upload(file_->commit(has_replaced), options_);
    }
    void discard(const TaskPoster& poster) { discard_gradually(file_, poster); }

private:
    UploadOptions options_;
    std::shared_ptr<OutputFile> file_; ///< shared with the tasks that discard it
    std::uint64_t written_behind_ = 0;
};

/// What the two kinds of upload have in common: the sink that feeds them.
class Upload {
public:
    BodyFunctions& program() noexcept { return program_; }

    /// Puts `upload` before the functions that the program sets on `sink`.
    template <class Derived>
    static void attach(const std::shared_ptr<Derived>& upload, BodySink& sink) {
        upload->intake_ = sink.intake();
        sink.on_data([upload](std::string_view piece) { upload->take(piece); })
            .on_end([upload](const Request& request, Response& response) {
                upload->end(request, response);
            })
            .on_abort([upload] { upload->abort(); });
        sink.intake()->program = std::shared_ptr<BodyFunctions>(upload, &upload->program_);
    }

protected:
    void refuse(int status, std::string_view sentence) {
        BodyFlow(intake_).refuse(status, sentence);
    }
    /// False once somebody has refused the rest, or the server has gone.
    bool goes_on() const noexcept {
        const std::shared_ptr<BodyIntake> intake = intake_.lock();
        return intake && !intake->is_over && intake->refusal == 0;
    }
    /// While content comes in: where tasks can be put when none does any more.
    void remember_server() {
        if (has_poster_) {
            return;
        }
        const std::shared_ptr<BodyIntake> intake = intake_.lock();
        if (intake && intake->connection != nullptr) {
            poster_ = intake->connection->server().poster();
            has_poster_ = true;
        }
    }
    const TaskPoster& poster() const noexcept { return poster_; }
    void tell_program_of_abort() {
        const std::function<void()> give_up = std::move(program_.on_abort);
        program_ = {};
        if (give_up) {
            give_up();
        }
    }

    BodyFunctions program_;

private:
    std::weak_ptr<BodyIntake> intake_;
    TaskPoster poster_;
    bool has_poster_ = false;
};

class FileUpload : public Upload {
public:
    explicit FileUpload(const UploadOptions& options) : file_(options) {}

    UploadFile& file() noexcept { return file_; }

    /// The length is the parser's: it is a number, and the only one.
    void announce(const Request& request) {
        const auto length = ascii::parse_decimal(request.header("Content-Length").value_or(""));
        if (const int status = length ? file_.announce(*length) : 0) {
            refuse(status, describe_upload(status));
        }
    }
    void take(std::string_view piece) {
        remember_server();
        if (const int status = file_.write(piece)) {
            refuse(status, describe_upload(status));
        } else if (program_.on_data) {
            program_.on_data(piece);
        }
    }
    void end(const Request& request, Response& response) {
        bool has_replaced = false;
        if (const int status = file_.commit(has_replaced)) {
            file_.discard(poster());
            tell_program_of_abort();
            response.fail(status, describe_upload(status));
        } else if (const Handler answer = std::move(program_.on_end)) {
            answer(request, response);
        } else if (has_replaced) {
            response.no_content();
        } else {
            response.status(upload_created);
        }
    }
    void abort() {
        file_.discard(poster());
        tell_program_of_abort();
    }

private:
    UploadFile file_;
};

class FormUpload : public Upload {
public:
    FormUpload(std::string_view boundary, const MultipartLimits& limits)
        : limits_(limits), parser_(boundary, limits) {}

    std::function<PartSink(const FormPartHead&)> on_part;
    std::function<void(const FormPartHead&, std::string_view)> on_piece;
    std::function<void(const FormPartHead&, std::string_view)> on_part_end;

    void take(std::string_view piece);
    void end(const Request& request, Response& response);
    void abort() {
        discard_files();
        forget();
        tell_program_of_abort();
    }

private:
    MultipartLimits limits_;
    MultipartParser parser_;
    PartSink part_ = PartSink::skip();
    std::string collected_;           ///< of the part that is coming in
    std::size_t collected_total_ = 0; ///< of all parts
    std::vector<UploadFile> files_;   ///< the last one is coming in, when part_ is a file

    void begin_part();
    void take_data(std::string_view data);
    void end_part();
    void collect(std::string_view data);
    int commit_files();
    void refuse_file(int status) { refuse(status, describe_upload(status)); }
    void refuse_form(MultipartFault fault) { refuse(status_of(fault), describe(fault)); }
    void discard_files() {
        for (UploadFile& file : files_) {
            file.discard(poster());
        }
        files_.clear();
    }
    void forget() {
        on_part = nullptr;
        on_piece = nullptr;
        on_part_end = nullptr;
    }
};

PORTHOLE_FN void FormUpload::take(std::string_view piece) {
    remember_server();
    MultipartEvent event = MultipartEvent::part_end;
    while (event != MultipartEvent::need_more && goes_on()) {
        std::size_t consumed = 0;
        event = parser_.parse(piece, consumed);
        piece.remove_prefix(consumed);
        switch (event) {
        case MultipartEvent::need_more: break;
        case MultipartEvent::part_begin: begin_part(); break;
        case MultipartEvent::data: take_data(parser_.data()); break;
        case MultipartEvent::part_end: end_part(); break;
        case MultipartEvent::failed: refuse_form(parser_.fault()); break;
        }
    }
}

PORTHOLE_FN void FormUpload::begin_part() {
    const FormPartHead& head = parser_.part();
    collected_.clear();
    part_ = on_part ? on_part(head) : head.file_name ? PartSink::pieces() : PartSink::collect();
    if (part_.kind_ == PartSink::Kind::refusal) {
        refuse(part_.status_, part_.text_);
    }
    if (part_.kind_ != PartSink::Kind::file || !goes_on()) {
        return;
    }
    UploadFile file(part_.options_);
    if (const int status = file.open(part_.text_)) {
        refuse_file(status);
        return;
    }
    files_.push_back(std::move(file));
}

PORTHOLE_FN void FormUpload::take_data(std::string_view data) {
    switch (part_.kind_) {
    case PartSink::Kind::collect: collect(data); break;
    case PartSink::Kind::pieces:
        if (on_piece) {
            on_piece(parser_.part(), data);
        }
        break;
    case PartSink::Kind::file:
        if (const int status = files_.back().write(data)) {
            refuse_file(status);
        }
        break;
    case PartSink::Kind::skip:
    case PartSink::Kind::refusal: break;
    }
}

PORTHOLE_FN void FormUpload::collect(std::string_view data) {
    if (data.size() > limits_.max_collected_bytes - collected_total_) {
        refuse_form(MultipartFault::collected_too_large);
        return;
    }
    collected_total_ += data.size();
    collected_.append(data);
}

PORTHOLE_FN void FormUpload::end_part() {
    if (on_part_end) {
        on_part_end(parser_.part(), collected_);
    }
}

/// 0, or the status of the first that cannot have its name; those before it have theirs.
PORTHOLE_FN int FormUpload::commit_files() {
    for (UploadFile& file : files_) {
        bool has_replaced = false;
        if (const int status = file.commit(has_replaced)) {
            return status;
        }
    }
    files_.clear();
    return 0;
}

PORTHOLE_FN void FormUpload::end(const Request& request, Response& response) {
    forget();
    const MultipartFault fault = parser_.finish();
    const int status = fault == MultipartFault::none ? commit_files() : status_of(fault);
    if (status != 0) {
        discard_files();
        tell_program_of_abort();
        response.fail(
            status, fault == MultipartFault::none ? describe_upload(status) : describe(fault));
    } else if (const Handler answer = std::move(program_.on_end)) {
        answer(request, response);
    } else {
        response.no_content();
    }
}

} // namespace detail

PORTHOLE_FN BodySink to_file(std::string_view path, const UploadOptions& options) {
    const auto upload = std::make_shared<detail::FileUpload>(options);
    if (const int status = upload->file().open(path)) {
        return BodySink::refuse(status, detail::describe_upload(status));
    }
    BodySink sink;
    sink.max_bytes(options.max_bytes);
    detail::Upload::attach(upload, sink);
    sink.intake()->on_head = [upload](const Request& request) {
        upload->announce(request);
    };
    return sink;
}

PORTHOLE_FN PartSink PartSink::to_file(std::string_view path, const UploadOptions& options) {
    PartSink sink(Kind::file);
    sink.text_.assign(path);
    sink.options_ = options;
    return sink;
}

PORTHOLE_FN PartSink PartSink::refuse(int status, std::string_view sentence) {
    PartSink sink(Kind::refusal);
    sink.status_ = status;
    sink.text_.assign(sentence);
    return sink;
}

PORTHOLE_FN
MultipartSink::MultipartSink(BodySink sink, std::shared_ptr<detail::FormUpload> upload) noexcept
    : sink_(std::move(sink)), upload_(std::move(upload)) {}

PORTHOLE_FN MultipartSink&
MultipartSink::on_part(std::function<PartSink(const FormPartHead& part)> choose) {
    upload_->on_part = std::move(choose);
    return *this;
}

PORTHOLE_FN MultipartSink&
MultipartSink::on_data(std::function<void(const FormPartHead& part, std::string_view piece)> take) {
    upload_->on_piece = std::move(take);
    return *this;
}

PORTHOLE_FN MultipartSink& MultipartSink::on_part_end(
    std::function<void(const FormPartHead& part, std::string_view text)> take) {
    upload_->on_part_end = std::move(take);
    return *this;
}

PORTHOLE_FN MultipartSink& MultipartSink::on_end(Handler answer) {
    upload_->program().on_end = std::move(answer);
    return *this;
}

PORTHOLE_FN MultipartSink& MultipartSink::on_abort(std::function<void()> give_up) {
    upload_->program().on_abort = std::move(give_up);
    return *this;
}

PORTHOLE_FN MultipartSink& MultipartSink::max_bytes(std::uint64_t bytes) {
    sink_.max_bytes(bytes);
    return *this;
}

PORTHOLE_FN MultipartSink multipart(const Request& request, const MultipartLimits& limits) {
    std::string_view boundary;
    const MultipartFault fault = detail::read_boundary(request, boundary);
    const auto upload = std::make_shared<detail::FormUpload>(boundary, limits);
    BodySink sink = fault == MultipartFault::none
                        ? BodySink()
                        : BodySink::refuse(status_of(fault), describe(fault));
    detail::Upload::attach(upload, sink);
    return MultipartSink(std::move(sink), upload);
}

PORTHOLE_NAMESPACE_END
