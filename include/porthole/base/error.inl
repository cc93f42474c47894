// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/base/error.hpp"

PORTHOLE_NAMESPACE_BEGIN

PORTHOLE_FN Error::Error(
    ErrorCode code, std::string_view call, std::string_view subject, std::string_view advice)
    : code_(code), call_(call), subject_(subject), advice_(advice) {}

PORTHOLE_FN Error&& Error::with_system(int system_code, std::string_view system_text) && {
    system_code_ = system_code;
    system_text_ = system_text;
    return static_cast<Error&&>(*this);
}

PORTHOLE_FN std::string Error::message() const {
    if (code_ == ErrorCode::ok) {
        return "no error";
    }
    std::string text = call_;
    if (!subject_.empty()) {
        text += text.empty() ? "" : " ";
        text += subject_;
    }
    text += text.empty() ? "" : ": ";
    if (system_text_.empty()) {
        text += describe(code_);
    } else {
        text += system_text_;
        text += " (" + std::to_string(system_code_) + ")";
    }
    if (!advice_.empty()) {
        text += "; " + advice_;
    }
    return text;
}

PORTHOLE_FN std::string_view describe(ErrorCode code) noexcept {
    switch (code) {
    case ErrorCode::ok: return "no error";
    case ErrorCode::address_in_use: return "address already in use";
    case ErrorCode::address_not_available: return "this machine does not have that address";
    case ErrorCode::permission_denied: return "permission denied";
    case ErrorCode::unknown_host: return "unknown host";
    case ErrorCode::unsupported_family: return "this machine does not support that address family";
    case ErrorCode::bad_port: return "not a port from 0 to 65535";
    case ErrorCode::bad_path: return "not usable as a unix socket path";
    case ErrorCode::not_exposed: return "not a loopback address";
    case ErrorCode::too_many_files: return "no file descriptor left";
    case ErrorCode::connection_refused: return "connection refused";
    case ErrorCode::timed_out: return "timed out";
    case ErrorCode::bad_pattern: return "not a valid route pattern";
    case ErrorCode::already_exists: return "already exists";
    case ErrorCode::not_found: return "not found";
    case ErrorCode::misuse: return "not allowed in this state";
    case ErrorCode::system: return "the operating system refused";
    }
    return "unknown error";
}

PORTHOLE_NAMESPACE_END
