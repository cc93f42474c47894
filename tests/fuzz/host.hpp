// SPDX-License-Identifier: MIT
#pragma once

// Host, Origin and Sec-Fetch-Site, and what the guard makes of them, against the rules written down
// once more: a request passes if and only if they say so. Input: flags (a byte); one line each for
// Host, for Origin, for Sec-Fetch-Site, for an allowed host and for an allowed origin.

#include "fuzz/fuzz.hpp"

#include <array>
#include <vector>

namespace porthole_fuzz {

using porthole::Authority;
using porthole::Guard;
using porthole::detail::Gatekeeper;
using porthole::detail::GuardContext;
using porthole::detail::GuardVerdict;

inline bool is_decimal(std::string_view text, std::size_t most_digits, unsigned most) {
    unsigned value = 0;
    for (const char c : text) {
        if (c < '0' || c > '9') {
            return false;
        }
        value = value < 1'000'000 ? value * 10 + static_cast<unsigned>(c - '0') : value;
    }
    return !text.empty() && text.size() <= most_digits && value <= most;
}

inline std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> parts;
    for (;;) {
        const std::size_t at = text.find(separator);
        parts.push_back(text.substr(0, at));
        if (at == std::string_view::npos) {
            return parts;
        }
        text.remove_prefix(at + 1);
    }
}

/// Four decimal numbers without leading zeros.
inline bool is_ipv4(std::string_view text, std::vector<unsigned>* octets = nullptr) {
    const std::vector<std::string_view> parts = split(text, '.');
    if (parts.size() != 4) {
        return false;
    }
    for (const std::string_view part : parts) {
        if (!is_decimal(part, 3, 255) || (part.size() > 1 && part[0] == '0')) {
            return false;
        }
        if (octets != nullptr) {
            octets->push_back(static_cast<unsigned>(std::stoul(std::string(part))));
        }
    }
    return true;
}

/// The groups on one side of "::"; an IPv4 address may stand for the last two.
inline bool add_groups(std::string_view text, bool is_last, std::vector<unsigned>& groups) {
    if (text.empty()) {
        return true;
    }
    const std::vector<std::string_view> parts = split(text, ':');
    for (std::size_t i = 0; i < parts.size(); ++i) {
        std::vector<unsigned> octets;
        if (is_last && i + 1 == parts.size() && is_ipv4(parts[i], &octets)) {
            groups.push_back(octets[0] * 256 + octets[1]);
            groups.push_back(octets[2] * 256 + octets[3]);
            continue;
        }
        if (parts[i].empty() || parts[i].size() > 4) {
            return false;
        }
        unsigned value = 0;
        for (const char c : parts[i]) {
            if (hex_digit(c) < 0) {
                return false;
            }
            value = value * 16 + static_cast<unsigned>(hex_digit(c));
        }
        groups.push_back(value);
    }
    return true;
}

/// Eight groups, of which "::" stands for one or more that are zero.
inline bool is_ipv6(std::string_view text, std::vector<unsigned>& groups) {
    constexpr std::size_t all = 8;
    const std::size_t gap = text.find("::");
    if (gap == std::string_view::npos) {
        return !text.empty() && add_groups(text, true, groups) && groups.size() == all;
    }
    std::vector<unsigned> tail;
    if (!add_groups(text.substr(0, gap), false, groups)
        || !add_groups(text.substr(gap + 2), true, tail) || groups.size() + tail.size() >= all) {
        return false;
    }
    groups.resize(all - tail.size());
    groups.insert(groups.end(), tail.begin(), tail.end());
    return true;
}

/// "host" and "host:port"; false for what is neither.
inline bool split_authority(std::string_view text, std::string_view& host, std::string_view& port) {
    std::vector<unsigned> groups;
    const bool is_bracketed = text.substr(0, 1) == "[";
    const std::size_t end = is_bracketed ? text.find(']') + 1 : text.find(':');
    if (text.empty() || text.size() > 255 || (is_bracketed && end == 0)) {
        return false;
    }
    host = text.substr(0, end);
    const std::string_view tail = text.substr(host.size());
    port = tail.empty() ? tail : tail.substr(1);
    if (!tail.empty() && (tail[0] != ':' || !is_decimal(port, 5, 65535))) {
        return false;
    }
    if (is_bracketed) {
        return is_ipv6(host.substr(1, host.size() - 2), groups);
    }
    const std::string lower = lowered(host);
    return !host.empty()
           && lower.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-._")
                  == std::string::npos;
}

/// Whether a host stands for this machine, or, when exposed, for any single one.
inline bool is_local(std::string_view text, bool is_exposed) {
    std::string host = lowered(text);
    if (ends_with(host, ".")) {
        host.pop_back();
    }
    std::vector<unsigned> numbers;
    if (is_ipv4(host, &numbers)) {
        const bool is_zero = numbers == std::vector<unsigned>(4, 0);
        return numbers[0] == 127 || (is_exposed && !is_zero);
    }
    if (host.substr(0, 1) == "[" && is_ipv6(host.substr(1, host.size() - 2), numbers)) {
        std::vector<unsigned> zeros(8, 0);
        std::vector<unsigned> one = zeros;
        one[7] = 1;
        std::vector<unsigned> mapped = numbers;
        mapped[6] = mapped[7] = 0;
        std::vector<unsigned> prefix = zeros;
        prefix[5] = 0xffff;
        const bool is_mapped = mapped == prefix;
        const bool is_loopback = numbers == one || (is_mapped && numbers[6] / 256 == 127);
        const bool is_zero = numbers == zeros || (is_mapped && numbers[6] == 0 && numbers[7] == 0);
        return is_loopback || (is_exposed && !is_zero);
    }
    return host == "localhost" || (host.size() > 10 && ends_with(host, ".localhost"));
}

inline bool is_listed(std::string_view text, const Guard& guard) {
    std::string host = lowered(text);
    if (ends_with(host, ".")) {
        host.pop_back();
    }
    for (const std::string& entry : guard.allowed_hosts) {
        const std::string name = lowered(entry);
        if (name.empty() || name == ".") {
            continue; // names nobody
        }
        if (name.substr(0, 1) == "."
                ? host == name.substr(1) || (host.size() > name.size() && ends_with(host, name))
                : host == name) {
            return true;
        }
    }
    return false;
}

/// What the input asks for.
struct Visit {
    std::string_view host;
    std::string_view origin;
    std::string_view site;
    bool has_origin = false;
    bool has_site = false;
    bool is_link = false;
    bool is_doubled = false;
    bool is_exposed = false;
};

inline bool passes(const Visit& visit, const Guard& guard) {
    std::string_view host;
    std::string_view port;
    if (!split_authority(visit.host, host, port)
        || !(is_local(host, visit.is_exposed) || is_listed(host, guard))) {
        return false;
    }
    const bool has_one_origin = visit.has_origin && !visit.is_doubled;
    // Without a scheme it names no origin ("null", "*", ""), whatever a list says.
    const bool is_origin = visit.origin.find("://") != std::string_view::npos;
    if (has_one_origin && is_origin && !guard.allowed_origins.empty()
        && visit.origin == guard.allowed_origins[0]) {
        return true;
    }
    if (visit.has_site) {
        const bool is_own = visit.site == "same-origin" || visit.site == "none";
        const bool is_other = visit.site == "same-site" || visit.site == "cross-site";
        if (!is_own && !(is_other && visit.is_link)) {
            return false;
        }
    }
    const bool is_own_form =
        has_one_origin && visit.origin == "null" && visit.has_site && visit.site == "same-origin";
    if (visit.has_origin && !is_own_form) {
        std::string own = "http://" + lowered(visit.host);
        std::string given = lowered(visit.origin);
        for (std::string* text : {&own, &given}) {
            if (ends_with(*text, ":80") && text->size() > 10) {
                text->resize(text->size() - 3);
            }
        }
        return has_one_origin && own == given;
    }
    return true;
}

inline bool guard_passes(Gatekeeper& gatekeeper, const Visit& visit, bool& is_request) {
    std::string bytes = "GET / HTTP/1.1\r\nHost: " + std::string(visit.host) + "\r\n";
    for (int i = 0; visit.has_origin && i < (visit.is_doubled ? 2 : 1); ++i) {
        bytes += "oRiGin:" + std::string(visit.origin) + "\r\n";
    }
    if (visit.has_site) {
        bytes += "Sec-Fetch-Site: " + std::string(visit.site) + "\r\n";
    }
    if (visit.is_link) {
        bytes += "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n";
    }
    bytes += "\r\n";
    const porthole::Limits limits;
    porthole::detail::RequestParser parser(limits);
    is_request = parser.parse(bytes) == porthole::detail::ParseStatus::complete;
    if (!is_request) {
        return false;
    }
    porthole::detail::RequestParts parts;
    parts.base = bytes.data();
    require(
        parts.set_head(parser.head(), bytes.data()) == porthole::RequestFault::none,
        "a plain target is a target");
    const porthole::Request request(parts);
    GuardContext context;
    context.is_exposed = visit.is_exposed;
    const GuardVerdict verdict = gatekeeper.judge(request, context);
    require(
        verdict.origin == nullptr || *verdict.origin == visit.origin,
        "only the origin that asked may read the answer");
    const bool is_pass = verdict.kind == GuardVerdict::Kind::pass;
    require(
        is_pass || (verdict.kind == GuardVerdict::Kind::refuse && verdict.status == 403),
        "what does not pass is answered with 403");
    return is_pass;
}

inline void fuzz_host(const std::uint8_t* data, std::size_t size) {
    Input input(data, size);
    const std::uint8_t flags = input.byte();
    Visit visit;
    const HeapBytes host_line(input.line());
    visit.host = host_line.view();
    visit.origin = stripped(input.line());
    visit.site = stripped(input.line());
    visit.has_origin = (flags & 1) != 0;
    visit.has_site = (flags & 2) != 0;
    visit.is_link = (flags & 4) != 0;
    visit.is_doubled = (flags & 8) != 0;
    Guard guard;
    const std::string_view allowed_host = input.line();
    if ((flags & 16) != 0) {
        guard.allowed_hosts.emplace_back(allowed_host);
    }
    const std::string_view allowed_origin = input.line();
    if ((flags & 32) != 0) {
        guard.allowed_origins.emplace_back(allowed_origin);
    }

    Authority authority;
    std::string_view host;
    std::string_view port;
    const bool is_valid = porthole::parse_authority(visit.host, authority);
    require(is_valid == split_authority(visit.host, host, port), "two readings of Host agree");
    if (is_valid) {
        require(authority.host == host, "the host is the part before the port");
        require(
            authority.has_port ? std::stoul(std::string(port)) == authority.port : port.empty(),
            "the port is the number behind the colon");
    }
    visit.host = stripped(visit.host);
    Gatekeeper gatekeeper(guard);
    // Both ways, and each twice: what it remembers of the last Host must not change its mind.
    for (int round = 0; round < 4; ++round) {
        visit.is_exposed = (round & 1) != 0;
        bool is_request = false;
        const bool has_passed = guard_passes(gatekeeper, visit, is_request);
        require(!is_request || has_passed == passes(visit, guard), "the guard keeps its rules");
    }
}

} // namespace porthole_fuzz
