// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/base/error.hpp"

PORTHOLE_NAMESPACE_BEGIN

PORTHOLE_FN Error::Error(
    ErrorCode code, std::string_view call, std::string_view subject, std::string_view advice) {
    if (code != ErrorCode::ok) {
        facts_ = new Facts;
        facts_->code = code;
        facts_->call = call;
        facts_->subject = subject;
        facts_->advice = advice;
    }
}

PORTHOLE_FN Error::Error(const Error& other)
    : facts_(other.facts_ != nullptr ? new Facts(*other.facts_) : nullptr) {}

PORTHOLE_FN void Error::forget() noexcept {
    delete facts_;
    facts_ = nullptr;
}

PORTHOLE_FN ErrorCode Error::code() const noexcept {
    return facts_ != nullptr ? facts_->code : ErrorCode::ok;
}

PORTHOLE_FN std::string_view Error::call() const noexcept {
    return facts_ != nullptr ? std::string_view(facts_->call) : std::string_view();
}

PORTHOLE_FN std::string_view Error::endpoint() const noexcept {
    return facts_ != nullptr ? std::string_view(facts_->subject) : std::string_view();
}

PORTHOLE_FN std::string_view Error::system_text() const noexcept {
    return facts_ != nullptr ? std::string_view(facts_->system_text) : std::string_view();
}

PORTHOLE_FN int Error::system_code() const noexcept {
    return facts_ != nullptr ? facts_->system_code : 0;
}

PORTHOLE_FN std::string_view Error::advice() const noexcept {
    return facts_ != nullptr ? std::string_view(facts_->advice) : std::string_view();
}

PORTHOLE_FN Error&& Error::with_system(int system_code, std::string_view system_text) && {
    if (facts_ != nullptr) {
        facts_->system_code = system_code;
        facts_->system_text = system_text;
    }
    return static_cast<Error&&>(*this);
}

PORTHOLE_FN std::string Error::message() const {
    if (facts_ == nullptr) {
        return "no error";
    }
    const Facts& what = *facts_;
    std::string text = what.call;
    if (!what.subject.empty()) {
        text.append(text.empty() ? "" : " ").append(what.subject);
    }
    text.append(text.empty() ? "" : ": ");
    if (what.system_text.empty()) {
        text += describe(what.code);
    } else {
        text.append(what.system_text).append(" (");
        text.append(std::to_string(what.system_code)).append(")");
    }
    if (!what.advice.empty()) {
        text.append("; ").append(what.advice);
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
    case ErrorCode::exhausted: return "nothing is left of what it takes";
    case ErrorCode::too_long: return "too long";
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
