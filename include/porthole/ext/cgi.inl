// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/base/ascii.hpp"
#include "porthole/ext/cgi.hpp"
#include "porthole/ext/cgi_mount.hpp"
#include "porthole/os/scratch_file.hpp"
#include "porthole/server/server.hpp"

#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN
CgiMount::CgiMount(std::string_view root, std::string_view program, CgiSettings settings)
    : root_path_(root), program_(program), gate_(std::make_shared<CgiGate>(std::move(settings))) {
    rules_.is_portable = has_windows_files();
}

PORTHOLE_FN CgiMount::~CgiMount() {
    gate_->close();
}

inline Error missing_program(std::string_view name, std::string_view advice) {
    return Error(ErrorCode::not_found, "mount", name, advice);
}

/// One that cannot be listed may well be entered.
inline Error check_working_directory(const std::string& path) {
    File file;
    FileInfo info;
    const OpenResult result = path.empty() ? OpenResult::denied : open_path(path, file, info);
    const bool is_missing = result == OpenResult::not_found || result == OpenResult::too_long
                            || (result == OpenResult::ok && !info.is_directory);
    return is_missing ? missing_program(path, "it is no directory for programs to be started in")
                      : Error();
}

/// Batch files are read by a shell that takes arguments apart by rules of its own, so nobody can
/// quote for it (CVE-2024-24576).
inline bool is_batch_file(std::string_view name) noexcept {
    const std::string_view extension = extension_of(name);
    return ascii::equals_ignoring_case(extension, "bat")
           || ascii::equals_ignoring_case(extension, "cmd");
}

PORTHOLE_FN Error CgiMount::find_programs() {
    const CgiSettings& settings = gate_->settings();
    const std::string search_path = environment_variable("PATH");
    for (const auto& wanted : settings.interpreters) {
        std::string found = find_program(wanted.second, search_path);
        if (found.empty() || is_batch_file(found)) {
            return missing_program(
                wanted.second, "the interpreter is not in PATH, or cannot be run; install it, or "
                               "name it with its whole path");
        }
        const std::size_t dot = wanted.first.empty() || wanted.first[0] != '.' ? 0 : 1;
        interpreters_.emplace_back(wanted.first.substr(dot), std::move(found));
    }
    if (program_.empty()) {
        return {};
    }
    std::string found = find_program(program_, search_path);
    if (found.empty() || is_batch_file(found)) {
        return missing_program(
            program_, "the program is not in PATH, or cannot be run; name it with its whole path");
    }
    program_ = std::move(found);
    return {};
}

PORTHOLE_FN Error CgiMount::attach(Server& server) {
    const CgiSettings& settings = gate_->settings();
    if (program_.empty()) {
        if (Error error = Directory::open(root_path_, "mount", Lookup::automatic, root_)) {
            return error;
        }
        document_root_ = root_.native_path({});
    }
    if (Error error = check_working_directory(settings.working_directory)) {
        return error;
    }
    if (!settings.document_root.empty()) {
        document_root_ = settings.document_root;
    }
    if (Error error = find_programs()) {
        return error;
    }
    std::vector<std::string> names = settings.inherited;
    if (has_windows_files()) { // without it hardly a program of Windows starts
        names.insert(names.end(), {"SystemRoot", "TEMP", "TMP"});
    }
    for (const std::string& name : names) {
        std::string value = environment_variable(name);
        if (!value.empty()) {
            inherited_.emplace_back(name, std::move(value));
        }
    }
    for (const auto& variable : settings.variables) {
        const bool is_fit = !variable.first.empty() && variable.first.find('=') == std::string::npos
                            && variable.first.find('\0') == std::string::npos;
        PORTHOLE_ASSERT(is_fit, "a variable's name is not empty and has no '='");
        if (is_fit) {
            inherited_.push_back(variable);
        }
    }
    gate_->attach(server);
    return {};
}

PORTHOLE_FN const std::string* CgiMount::interpreter_of(std::string_view name) const noexcept {
    const std::string_view extension = extension_of(name);
    for (const auto& interpreter : interpreters_) {
        if (!extension.empty() && ascii::equals_ignoring_case(interpreter.first, extension)) {
            return &interpreter.second;
        }
    }
    return nullptr;
}

PORTHOLE_FN bool CgiMount::is_script(const std::string& name, const FileInfo& info) const {
    if (info.is_directory || is_batch_file(name)) {
        return false;
    }
    if (interpreter_of(name) != nullptr) {
        return true;
    }
    const std::string_view extension = extension_of(name);
    return info.is_executable
           && (!has_windows_files() || ascii::equals_ignoring_case(extension, "exe")
               || ascii::equals_ignoring_case(extension, "com"));
}

/// The answer for what cannot be run.
inline CgiTarget refused_target(OpenResult result) {
    CgiTarget target;
    switch (result) {
    case OpenResult::ok:
    case OpenResult::denied:
        target.status = 403;
        target.sentence = "This file cannot be run.";
        target.why = "it cannot be run (chmod +x); the answer is 403";
        break;
    case OpenResult::exhausted:
        target.status = 503;
        target.sentence = "The server has no file descriptor left.";
        target.why = "no descriptor is left to look for it; the answer is 503";
        break;
    case OpenResult::not_found:
    case OpenResult::too_long:
        target.status = 404;
        target.sentence = "No program answers at this path.";
        break;
    }
    return target;
}

/// A directory stands for the first of its index scripts that is there.
PORTHOLE_FN CgiTarget
CgiMount::find_index(std::string_view path, const std::string& directory) const {
    for (const std::string& index : gate_->settings().index) {
        const std::string name = directory.empty() ? index : directory + "/" + index;
        File file;
        FileInfo info;
        const OpenResult result = root_.open_beneath(name, file, info);
        const bool is_there = result != OpenResult::not_found && result != OpenResult::too_long;
        if (is_there && !info.is_directory) {
            const bool is_fit = result == OpenResult::ok && is_script(name, info);
            CgiTarget target = is_fit ? CgiTarget{} : refused_target(result);
            target.script = name;
            target.index = index;
            target.needs_slash = path.empty() || path.back() != '/';
            return target;
        }
    }
    return refused_target(OpenResult::not_found);
}

/// The script is the longest beginning of the path that is a file (RFC 3875 section 4.1.5): parts
/// are added as long as they are directories. Nothing is looked at behind the first file.
PORTHOLE_FN CgiTarget CgiMount::find_script(std::string_view path) const {
    std::string name;
    std::size_t end = 0;
    while (end < path.size() && path[end] == '/' && end + 1 < path.size()) {
        const std::size_t next = path.find('/', end + 1);
        end = next == std::string_view::npos ? path.size() : next;
        if (check_path(path.substr(0, end), rules_) != PathVerdict::fine) {
            // a dotfile, an empty part, a control character
            return refused_target(OpenResult::not_found);
        }
        name = path.substr(1, end - 1);
        File file;
        FileInfo info;
        const OpenResult result = root_.open_beneath(name, file, info);
        if (result != OpenResult::ok || !info.is_directory) {
            const bool is_fit = result == OpenResult::ok && is_script(name, info);
            CgiTarget target = is_fit ? CgiTarget{} : refused_target(result);
            target.script = name;
            target.path_info = path.substr(end);
            return target;
        }
    }
    return find_index(path, name);
}

inline std::size_t last_slash(const std::string& path) noexcept {
    return path.find_last_of(has_windows_files() ? "/\\" : "/");
}

inline std::string directory_of(const std::string& path) {
    const std::size_t end = last_slash(path);
    return end == std::string::npos ? std::string() : path.substr(0, end == 0 ? 1 : end);
}

/// The script is run by its path, since a descriptor is of no use to the interpreter that its first
/// line names: it has to open the script by itself, by a name. So somebody who may write into the
/// directory could put another file there between the look and the start; but such a one could as
/// well write the script itself.
PORTHOLE_FN void CgiMount::plan_process(const std::string& script, ProcessOptions& process) const {
    const std::string path = program_.empty() ? root_.native_path(script) : program_;
    const std::string* interpreter = program_.empty() ? interpreter_of(script) : nullptr;
    process.program = interpreter != nullptr ? *interpreter : path;
    process.arguments = {process.program};
    if (interpreter != nullptr) {
        process.arguments.push_back(path);
    }
    const std::string& directory = gate_->settings().working_directory;
    process.working_directory = directory.empty() ? directory_of(path) : directory;
}

PORTHOLE_FN std::vector<std::string> CgiMount::make_environment(
    const Request& request, const CgiTarget& target, const std::string& script_path) const {
    const Server& server = *gate_->server();
    CgiContext context;
    context.path_info = target.path_info;
    context.index = target.index;
    context.script_filename = script_path;
    context.document_root = document_root_;
    context.software = server.options().server_name;
    context.port = server.port();
    context.passes_authorization = gate_->settings().passes_authorization;
    context.has_windows_paths = has_windows_files();
    context.extra = &inherited_;
    if (const auto length = request.header("Content-Length")) {
        context.content_length = ascii::parse_decimal(*length);
    }
    return build_cgi_environment(request, context);
}

/// Where the path leads, as a location on this origin.
inline std::string cgi_directory_location(const Request& request) {
    std::string location;
    std::string_view path = request.path();
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
        location.append("?").append(request.query_string());
    }
    return location;
}

/// False when the request goes no further: `response` then says why.
PORTHOLE_FN bool CgiMount::make_order(const Request& request, Response& response, CgiOrder& order) {
    constexpr int moved_permanently = 301;
    if (gate_->server() == nullptr) {
        response.fail(503, "The server is being taken down.");
        return false;
    }
    if (check_raw_path(request.target()) != PathVerdict::fine) {
        response.fail(
            400, "A path must not have encoded slashes, backslashes or control characters.");
        return false;
    }
    const std::string_view path = request.mount_path();
    CgiTarget target;
    if (program_.empty()) {
        target = find_script(path);
    } else {
        target.path_info = path;
    }
    order.name = program_.empty() ? target.script : program_.substr(last_slash(program_) + 1);
    order.peer = request.peer();
    if (target.status != 0) {
        response.fail(target.status, target.sentence);
        if (!target.why.empty()) {
            gate_->log(
                LogLevel::warning, LogId::program_failed, order.name + ": " + target.why,
                order.peer);
        }
        return false;
    }
    if (target.needs_slash) {
        response.redirect(cgi_directory_location(request), moved_permanently);
        response.header("Cache-Control", "no-cache");
        return false;
    }
    if (!gate_->has_room()) {
        response.fail(
            503, "Too many requests wait for their turn (CgiOptions::max_waiting).",
            std::chrono::seconds(1));
        return false;
    }
    plan_process(target.script, order.process);
    order.process.environment = make_environment(
        request, target, program_.empty() ? root_.native_path(target.script) : program_);
    order.is_head = request.method() == Method::head;
    constexpr std::string_view nph = "nph-";
    const std::string_view file = std::string_view(order.name).substr(order.name.rfind('/') + 1);
    order.is_nph = file.substr(0, nph.size()) == nph;
    return true;
}

PORTHOLE_FN void CgiMount::handle(const Request& request, Response& response) {
    CgiOrder order;
    if (make_order(request, response, order)) {
        gate_->enter(std::make_shared<CgiRun>(gate_, std::move(order), response.defer()));
    }
}

PORTHOLE_FN BodySink CgiMount::receive(const Request& request, Response& response) {
    const ChunkedUpload chunked = gate_->settings().chunked;
    CgiOrder order;
    if (!make_order(request, response, order)) {
        return {};
    }
    const bool is_sized = request.header("Content-Length").has_value();
    if (!is_sized && chunked == ChunkedUpload::refuse) {
        response.fail(411, "The program behind this path needs to know how much comes.");
        return {};
    }
    order.has_content = true;
    order.is_spooled = !is_sized && chunked == ChunkedUpload::spool;
    return make_cgi_sink(
        *gate_, std::make_shared<CgiRun>(gate_, std::move(order), response.defer()));
}

} // namespace detail

PORTHOLE_FN std::unique_ptr<Mount> cgi(std::string_view root, CgiOptions options) {
    return std::make_unique<detail::CgiMount>(root, std::string_view(), options.settings());
}

PORTHOLE_FN std::unique_ptr<Mount>
cgi_program(std::string_view program, CgiVariables variables, CgiOptions options) {
    detail::CgiSettings settings = options.settings();
    settings.variables.insert(settings.variables.end(), variables.begin(), variables.end());
    return std::make_unique<detail::CgiMount>(std::string_view(), program, std::move(settings));
}

PORTHOLE_NAMESPACE_END
