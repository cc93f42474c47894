// SPDX-License-Identifier: MIT
#pragma once

// Behind both kinds of sink stands an object that is shared by their functions, with the program's
// own functions in it, which it calls after its work. It knows its sink only by a weak BodyFlow.

#include "porthole/base/ascii.hpp"
#include "porthole/base/utf8.hpp"
#include "porthole/ext/files_path.hpp"
#include "porthole/ext/uploads.hpp"
#include "porthole/os/output_file.hpp"
#include "porthole/server/connection.hpp"
#include "porthole/server/server.hpp"

#include <utility>
#include <vector>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

inline constexpr int upload_created = 201;
inline constexpr int upload_refused = 400;
inline constexpr int upload_conflict = 409;
inline constexpr int upload_too_large = 413;
inline constexpr int upload_failed = 500;
inline constexpr int upload_overloaded = 503;
inline constexpr int upload_no_space = 507;

/// How a step of an upload ended: with nothing to say, or with the status that answers and a
/// sentence for the page, which names no path.
struct UploadVerdict {
    int status = 0;
    std::string_view sentence;

    explicit operator bool() const noexcept { return status != 0; }
};

inline UploadVerdict judge_upload(OutputResult result, const UploadOptions& options) noexcept {
    switch (result) {
    case OutputResult::ok: return {};
    case OutputResult::no_space:
        return {upload_no_space, "There is no room left for this content."};
    case OutputResult::already_exists:
        if (!options.may_replace) {
            return {upload_conflict, "There is a file of that name already."};
        }
        return {upload_failed, "Where this content is to be stored is something else than a file."};
    case OutputResult::exhausted: return {upload_overloaded, "Too many files are open."};
    case OutputResult::not_found:
        return {upload_failed, "There is no such place where this content could be stored."};
    case OutputResult::denied:
        return {upload_failed, "This server may not write where this content is to be stored."};
    case OutputResult::failed: break;
    }
    return {upload_failed, "This content cannot be stored."};
}

/// Frees a large file's space in steps, one for each turn of the server.
inline void discard_gradually(const std::shared_ptr<OutputFile>& file, const TaskPoster& poster) {
    if (!file->discard_step()) {
        poster.post([file, poster] { discard_gradually(file, poster); });
    }
}

/// A file that is being uploaded.
class UploadFile {
public:
    explicit UploadFile(UploadOptions options)
        : options_(options), file_(std::make_shared<OutputFile>()) {}

    UploadVerdict open(std::string_view path) {
        return judge_upload(file_->open(path, options_.may_replace), options_);
    }
    UploadVerdict announce(std::uint64_t bytes) noexcept {
        return judge_upload(file_->announce(bytes), options_);
    }
    UploadVerdict write(std::string_view piece) noexcept {
        if (piece.size() > options_.max_bytes - file_->size()) {
            return {upload_too_large, "The file is too large (UploadOptions::max_bytes)."};
        }
        const UploadVerdict verdict = judge_upload(file_->write(piece), options_);
        if (file_->size() - written_behind_ >= OutputFile::write_behind_bytes) {
            written_behind_ = file_->size();
            file_->write_behind();
        }
        return verdict;
    }
    UploadVerdict commit(bool& has_replaced) noexcept {
        return judge_upload(file_->commit(has_replaced), options_);
    }
    void discard(const TaskPoster& poster) { discard_gradually(file_, poster); }
    void discard_later(const TaskPoster& poster) {
        poster.post([file = file_, poster] { discard_gradually(file, poster); });
    }

private:
    UploadOptions options_;
    std::shared_ptr<OutputFile> file_; ///< shared with the tasks that discard it
    std::uint64_t written_behind_ = 0;
};

/// What the two kinds of upload have in common: the sink that feeds them.
class Upload {
public:
    BodyFunctions& program() noexcept { return program_; }

    /// Puts `upload` before the functions that the program sets on `sink`. What takes the content
    /// is for the caller to set.
    template <class Derived>
    static void attach(const std::shared_ptr<Derived>& upload, BodySink& sink) {
        upload->intake_ = sink.intake();
        sink.on_end([upload](const Request& request, Response& response) {
            upload->end(request, response);
        });
        sink.on_abort([upload] { upload->abort(); });
        sink.intake()->program = std::shared_ptr<BodyFunctions>(upload, &upload->program_);
    }

protected:
    void refuse(const UploadVerdict& verdict) {
        BodyFlow(intake_).refuse(verdict.status, verdict.sentence);
    }
    /// False once somebody has refused the rest, or the server has gone.
    bool goes_on() const noexcept {
        const std::shared_ptr<BodyIntake> intake = intake_.lock();
        return intake && !intake->is_over && intake->refusal == 0;
    }
    /// Has the program paused, or is the tick's budget spent? Then what has arrived waits.
    bool must_wait() const noexcept {
        const std::shared_ptr<BodyIntake> intake = intake_.lock();
        return intake && intake->connection != nullptr
               && (intake->is_paused || !intake->connection->has_time());
    }
    /// Gives a function of the program's to `how`, which calls it. It may end all of this.
    template <class Function, class How>
    void call(Function& function, const How& how) {
        if (function) {
            BorrowedFunction<Function> borrowed(function);
            how(borrowed.call);
            if (goes_on()) {
                borrowed.give_back();
            }
        }
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
        if (request.header("Content-Range")) { // RFC 9110 section 14.5
            refuse({upload_refused, "A part of the content cannot be stored as the whole."});
            return;
        }
        const auto length = ascii::parse_decimal(request.header("Content-Length").value_or(""));
        if (const UploadVerdict verdict = length ? file_.announce(*length) : UploadVerdict()) {
            refuse(verdict);
        }
    }
    void take(std::string_view piece) {
        remember_server();
        if (const UploadVerdict verdict = file_.write(piece)) {
            refuse(verdict);
            return;
        }
        call(program_.on_data, [piece](const auto& take) { take(piece); });
    }
    void end(const Request& request, Response& response) {
        bool has_replaced = false;
        if (const UploadVerdict verdict = file_.commit(has_replaced)) {
            file_.discard(poster());
            tell_program_of_abort();
            response.fail(verdict.status, verdict.sentence);
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

    /// Returns how much was taken: each part is a unit of the tick's budget.
    std::size_t take(std::string_view piece);
    /// Gives the next file its name. True when there is none left that can have one.
    bool commit_next();
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
    std::size_t committed_ = 0;       ///< of files_, those that have their names
    UploadVerdict commit_verdict_;    ///< of the first that cannot have its name

    void begin_part();
    void take_data(std::string_view data);
    void end_part();
    void collect(std::string_view data);
    void refuse_form(MultipartFault fault) { refuse({status_of(fault), describe(fault)}); }
    void discard_files() {
        constexpr std::size_t most = 8; // in one unit; the others have units of their own
        for (std::size_t i = committed_; i < files_.size(); ++i) {
            i - committed_ < most ? files_[i].discard(poster()) : files_[i].discard_later(poster());
        }
        files_.clear();
    }
    void forget() {
        on_part = nullptr;
        on_piece = nullptr;
        on_part_end = nullptr;
    }
};

PORTHOLE_FN std::size_t FormUpload::take(std::string_view piece) {
    remember_server();
    std::size_t taken = 0;
    MultipartEvent event = MultipartEvent::part_end;
    do {
        std::size_t consumed = 0;
        event = parser_.parse(piece.substr(taken), consumed);
        taken += consumed;
        switch (event) {
        case MultipartEvent::need_more: return taken;
        case MultipartEvent::part_begin: begin_part(); break;
        case MultipartEvent::data: take_data(parser_.data()); break;
        case MultipartEvent::part_end: end_part(); break;
        case MultipartEvent::failed: refuse_form(parser_.fault()); break;
        }
    } while (goes_on() && !must_wait());
    return taken;
}

PORTHOLE_FN void FormUpload::begin_part() {
    const FormPartHead& head = parser_.part();
    collected_.clear();
    part_ = head.file_name ? PartSink::pieces() : PartSink::collect();
    call(on_part, [&](const auto& choose) { part_ = choose(head); });
    if (part_.kind_ == PartSink::Kind::refusal) {
        refuse({part_.status_, part_.text_});
    }
    if (part_.kind_ != PartSink::Kind::file || !goes_on()) {
        return;
    }
    if (files_.size() >= limits_.max_files) {
        refuse_form(MultipartFault::too_many_files);
        return;
    }
    UploadFile file(part_.options_);
    if (const UploadVerdict verdict = file.open(part_.text_)) {
        refuse(verdict);
        return;
    }
    files_.push_back(std::move(file));
}

PORTHOLE_FN void FormUpload::take_data(std::string_view data) {
    switch (part_.kind_) {
    case PartSink::Kind::collect: collect(data); break;
    case PartSink::Kind::pieces:
        call(on_piece, [&](const auto& take) { take(parser_.part(), data); });
        break;
    case PartSink::Kind::file:
        if (const UploadVerdict verdict = files_.back().write(data)) {
            refuse(verdict);
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
    call(on_part_end, [&](const auto& take) { take(parser_.part(), collected_); });
}

PORTHOLE_FN bool FormUpload::commit_next() {
    if (parser_.finish() != MultipartFault::none || committed_ == files_.size()) {
        return true;
    }
    bool has_replaced = false;
    commit_verdict_ = files_[committed_].commit(has_replaced);
    if (commit_verdict_) {
        return true;
    }
    return ++committed_ == files_.size();
}

PORTHOLE_FN void FormUpload::end(const Request& request, Response& response) {
    forget();
    const MultipartFault fault = parser_.finish();
    const UploadVerdict verdict = fault == MultipartFault::none
                                      ? commit_verdict_
                                      : UploadVerdict{status_of(fault), describe(fault)};
    if (verdict) {
        discard_files();
        tell_program_of_abort();
        response.fail(verdict.status, verdict.sentence);
    } else if (const Handler answer = std::move(program_.on_end)) {
        answer(request, response);
    } else {
        response.no_content();
    }
}

} // namespace detail

PORTHOLE_FN std::string portable_file_name(std::string_view sent) {
    constexpr std::size_t longest = 127; // and one that may be put in front
    constexpr std::size_t longest_extension = 16;
    constexpr unsigned char first_visible = 0x20;
    constexpr unsigned char first_beyond_ascii = 0x7f; // which is a control character itself
    sent.remove_prefix(sent.find_last_of("/\\") + 1);  // npos + 1 is 0
    const bool is_text = detail::is_utf8(sent);
    std::string name;
    for (const char c : sent) {
        const auto byte = static_cast<unsigned char>(c);
        const bool is_plain = byte >= first_visible && byte < first_beyond_ascii
                              && std::string_view(":*?\"<>|~").find(c) == std::string_view::npos;
        name += is_plain || (byte > first_beyond_ascii && is_text) ? c : '_';
    }
    if (name.size() > longest) {
        const std::size_t extension = detail::extension_of(name).size();
        const std::size_t kept =
            extension != 0 && extension <= longest_extension ? extension + 1 : 0;
        std::size_t end = longest - kept;
        while ((static_cast<unsigned char>(name[end]) & 0xc0u) == 0x80u) { // within a character
            --end;
        }
        name.erase(end, name.size() - kept - end);
    }
    if (name.empty()) {
        return "_";
    }
    name.front() = name.front() == '.' ? '_' : name.front();
    name.back() = name.back() == '.' || name.back() == ' ' ? '_' : name.back();
    return detail::is_portable_name(name) ? name : "_" + name;
}

PORTHOLE_FN BodySink to_file(std::string_view path, const UploadOptions& options) {
    const auto upload = std::make_shared<detail::FileUpload>(options);
    if (const detail::UploadVerdict verdict = upload->file().open(path)) {
        return BodySink::refuse(verdict.status, verdict.sentence);
    }
    BodySink sink;
    sink.max_bytes(options.max_bytes);
    sink.on_data([upload](std::string_view piece) { upload->take(piece); });
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
    sink.intake()->on_some = [upload](std::string_view piece) {
        return upload->take(piece);
    };
    sink.intake()->on_last = [upload] {
        return upload->commit_next();
    };
    return MultipartSink(std::move(sink), upload);
}

PORTHOLE_NAMESPACE_END
