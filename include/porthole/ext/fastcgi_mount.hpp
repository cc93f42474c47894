// SPDX-License-Identifier: MIT
#pragma once

// From a request below a mount to what an application server is asked: which part of the path names
// the script, and which variables go with it.

#include "porthole/ext/fastcgi.hpp"
#include "porthole/ext/fastcgi_gate.hpp"
#include "porthole/ext/fastcgi_request.hpp"
#include "porthole/ext/files_path.hpp"
#include "porthole/server/mount.hpp"

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// Where the script's part of a path ends: behind the first part that has one of these endings and
/// something before it; npos when there is none.
std::size_t
find_script_end(std::string_view path, const std::vector<std::string>& extensions) noexcept;

class FastCgiMount final : public Mount {
public:
    FastCgiMount(std::string_view address, bool is_scgi, FastCgiSettings settings);
    PORTHOLE_FN ~FastCgiMount() override;
    PORTHOLE_FN Error attach(Server& server) override;
    PORTHOLE_FN void handle(const Request& request, Response& response) override;
    bool takes_streams() const noexcept override { return true; }
    PORTHOLE_FN BodySink receive(const Request& request, Response& response) override;

private:
    bool make_order(const Request& request, Response& response, FastCgiOrder& order) const;

    std::shared_ptr<FastCgiGate> gate_;
    PathRules rules_;
};

} // namespace detail

PORTHOLE_NAMESPACE_END
