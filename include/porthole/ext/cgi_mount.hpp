// SPDX-License-Identifier: MIT
#pragma once

// From a request below a mount to the program that answers it: which file is the script, what of
// the path is left for it, who interprets it, and with which environment it starts.

#include "porthole/ext/cgi.hpp"
#include "porthole/ext/cgi_gate.hpp"
#include "porthole/ext/cgi_run.hpp"
#include "porthole/ext/files_path.hpp"
#include "porthole/os/file.hpp"
#include "porthole/server/mount.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// What a path below the mount leads to.
struct CgiTarget {
    int status = 0;             ///< of the refusal; 0: there is a script
    std::string_view sentence;  ///< of the refusal
    std::string why;            ///< for the log, when the client is not told
    std::string script;         ///< below the root
    std::string index;          ///< the part of `script` that the path does not have
    std::string_view path_info; ///< the end of the path
    bool needs_slash = false;   ///< a directory with an index: the path lacks its slash
};

class CgiMount final : public Mount {
public:
    /// With a root: the scripts below it. Else: one program.
    CgiMount(std::string_view root, std::string_view program, CgiSettings settings);
    PORTHOLE_FN ~CgiMount() override;
    PORTHOLE_FN Error attach(Server& server) override;
    PORTHOLE_FN void handle(const Request& request, Response& response) override;
    bool takes_streams() const noexcept override { return true; }
    PORTHOLE_FN BodySink receive(const Request& request, Response& response) override;

private:
    Error find_programs();
    bool make_order(const Request& request, Response& response, CgiOrder& order);
    CgiTarget find_script(std::string_view path) const;
    CgiTarget find_index(std::string_view path, const std::string& directory) const;
    bool is_script(const std::string& name, const FileInfo& info) const;
    const std::string* interpreter_of(std::string_view name) const noexcept;
    void plan_process(const std::string& script, ProcessOptions& process) const;
    std::vector<std::string> make_environment(
        const Request& request, const CgiTarget& target, const std::string& script_path) const;

    std::string root_path_;
    std::string program_;
    std::shared_ptr<CgiGate> gate_;
    Directory root_;
    PathRules rules_;
    /// Extensions and the paths of their programs.
    std::vector<std::pair<std::string, std::string>> interpreters_;
    CgiVariables inherited_;
    std::string document_root_;
};

} // namespace detail

PORTHOLE_NAMESPACE_END
