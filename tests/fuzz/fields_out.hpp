// SPDX-License-Identifier: MIT
#pragma once

// What a handler can make of an answer: whatever is called with whatever bytes, the head that is
// sent has exactly the fields that were accepted, in their order, and the library's own. A list
// beside the response keeps the account. Input: what the answer is to (a byte), then commands, each
// a byte and up to two lines.

#include "fuzz/fuzz.hpp"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

namespace porthole_fuzz {

using porthole::Response;
using porthole::detail::AnswerPlan;
using porthole::detail::Framing;
using porthole::detail::ResponseParts;

using Lines = std::vector<std::pair<std::string, std::string>>;

/// What the answer should be.
struct Account {
    int status = 200;
    Lines fields;
    std::size_t body = 0;
    bool has_source = false;
    bool is_sized = false;
    bool must_close = false;

    void remove(std::string_view name) {
        const std::string lower = lowered(name);
        const auto is_it = [&lower](const auto& line) {
            return lowered(line.first) == lower;
        };
        fields.erase(std::remove_if(fields.begin(), fields.end(), is_it), fields.end());
    }
    bool accepts(std::string_view name, std::string_view value) {
        if (!is_name(name) || !is_clean(stripped(value))) {
            return false;
        }
        const std::string lower = lowered(name);
        if (lower == "connection") {
            must_close = must_close || lowered(stripped(value)) == "close";
            return false;
        }
        return lower != "content-length" && lower != "transfer-encoding" && lower != "keep-alive"
               && lower != "upgrade";
    }
    void add(std::string_view name, std::string_view value) {
        if (accepts(name, value)) {
            fields.emplace_back(name, stripped(value));
        }
    }
    void set(std::string_view name, std::string_view value) {
        const std::string kept_name(name);
        const std::string kept_value(value);
        if (accepts(kept_name, kept_value)) {
            remove(kept_name);
            fields.emplace_back(kept_name, stripped(kept_value));
        }
    }
    void set_type(std::string_view type) {
        remove("Content-Type");
        if (is_clean(stripped(type))) {
            fields.emplace_back("Content-Type", stripped(type));
        }
    }
    void begin_content(std::size_t size) {
        body = size;
        has_source = false;
    }
};

/// Content of some size that nobody reads here.
class IdleSource final : public porthole::BodySource {
public:
    explicit IdleSource(bool is_sized) : is_sized_(is_sized) {}
    std::optional<std::uint64_t> size() const override {
        return is_sized_ ? std::optional<std::uint64_t>(5) : std::nullopt;
    }
    Piece pull(char*, std::size_t) override { return {}; }

private:
    bool is_sized_;
};

inline void
redirect(Response& response, Account& account, std::string_view location, std::uint8_t code) {
    constexpr int codes[] = {301, 302, 303, 307, 308, 200};
    const int wanted = codes[code % 6];
    response.redirect(location, wanted);
    account.begin_content(0);
    if (!is_clean(stripped(location))) {
        account.remove("Location");
        account.status = 500;
    } else {
        account.set("Location", location);
        account.status = wanted == 200 ? 302 : wanted;
    }
    account.set_type("text/plain; charset=utf-8");
    account.body = response.body().size();
}

inline void set_cookie(Response& response, Account& account, Input& input) {
    const std::string_view name = input.line();
    const std::string_view value = input.line();
    response.cookie(name, value);
    std::string line;
    if (porthole::write_cookie(name, value, {}, line)) {
        account.add("Set-Cookie", line);
    }
}

/// Names and values that lie in the response itself.
inline void set_from_itself(Response& response, Account& account, Input& input) {
    const std::string_view name = input.line();
    const std::string_view from = input.line();
    const auto value = response.header(from);
    require(
        value.has_value()
            == std::any_of(
                account.fields.begin(), account.fields.end(),
                [from](const auto& line) { return lowered(line.first) == lowered(from); }),
        "a field that was accepted is found");
    if (value) {
        account.set(name, *value);
        response.header(name, *value);
    }
}

inline void set_content(Response& response, Account& account, std::uint8_t op, Input& input) {
    const std::string_view type = input.line();
    switch (op) {
    case 0: {
        const std::string_view body = input.line();
        account.begin_content(body.size());
        account.set_type(type);
        response.send(type, body);
        break;
    }
    case 1:
        account.begin_content(type.size());
        response.body(std::string(type));
        break;
    case 2:
    case 3:
        account.begin_content(0);
        account.has_source = true;
        account.is_sized = op == 2;
        account.set_type(type);
        response.send(type, std::make_unique<IdleSource>(account.is_sized));
        break;
    default:
        account.begin_content(0);
        account.remove("Content-Type");
        account.status = 204;
        response.no_content();
    }
}

inline void step(Response& response, Account& account, Input& input) {
    const std::uint8_t command = input.byte();
    switch (command % 12) {
    case 0: {
        const std::string_view name = input.line();
        const std::string_view value = input.line();
        account.set(name, value);
        response.header(name, value);
        break;
    }
    case 1: {
        const std::string_view name = input.line();
        const std::string_view value = input.line();
        account.add(name, value);
        response.add_header(name, value);
        break;
    }
    case 2: {
        const std::string_view name = input.line();
        account.remove(name);
        response.remove_header(name);
        break;
    }
    case 3: {
        const auto code = static_cast<int>(input.number());
        account.status = code >= 200 && code <= 599 ? code : 500;
        response.status(code);
        break;
    }
    case 4: set_cookie(response, account, input); break;
    case 5: redirect(response, account, input.line(), input.byte()); break;
    case 6: set_from_itself(response, account, input); break;
    case 7:
        account.must_close = true;
        response.close_connection();
        break;
    case 8:
        account = Account{};
        response.reset();
        break;
    default: set_content(response, account, input.byte() % 5, input); break;
    }
}

/// Splits a head into its lines; anything that is not a head ends the program.
inline Lines read_head(std::string_view head, std::string& status_line) {
    require(ends_with(head, "\r\n\r\n"), "a head ends with an empty line");
    Lines lines;
    bool is_first = true;
    for (;;) {
        const std::size_t end = head.find("\r\n");
        const std::string_view line = head.substr(0, end);
        head.remove_prefix(end + 2);
        require(is_clean(line), "a line of a head has no control characters");
        if (is_first) {
            status_line = line;
            is_first = false;
            continue;
        }
        if (line.empty()) {
            break;
        }
        const std::size_t colon = line.find(": ");
        require(colon != std::string_view::npos, "a field line has a colon and a space");
        require(is_name(line.substr(0, colon)), "a field name is a token");
        require(stripped(line.substr(colon + 2)) == line.substr(colon + 2), "a value is trimmed");
        lines.emplace_back(line.substr(0, colon), line.substr(colon + 2));
    }
    require(head.empty(), "nothing follows a head");
    return lines;
}

/// The library's own lines around those of the handler (RFC 9112 section 6).
inline Lines expected_lines(
    const Account& account, const Lines& defaults, const porthole::detail::AnswerContext& context) {
    Lines lines;
    for (const auto& line : defaults) {
        const auto is_same = [&line](const auto& own) {
            return lowered(own.first) == lowered(line.first);
        };
        if (std::none_of(account.fields.begin(), account.fields.end(), is_same)) {
            lines.push_back(line);
        }
    }
    lines.insert(lines.end(), account.fields.begin(), account.fields.end());
    bool is_closing = account.must_close || !context.keep_alive;
    if (account.status == 205) {
        lines.emplace_back("Content-Length", "0");
    } else if (account.status != 204 && account.status != 304) {
        if (!account.has_source) {
            lines.emplace_back("Content-Length", std::to_string(account.body));
        } else if (account.is_sized) {
            lines.emplace_back("Content-Length", "5");
        } else if (context.minor_version == 1) {
            lines.emplace_back("Transfer-Encoding", "chunked");
        } else {
            is_closing = true;
        }
    }
    if (is_closing) {
        lines.emplace_back("Connection", "close");
    } else if (context.minor_version == 0) {
        lines.emplace_back("Connection", "keep-alive");
    }
    return lines;
}

inline void fuzz_fields_out(const std::uint8_t* data, std::size_t size) {
    constexpr int max_steps = 64;
    Input input(data, size);
    const std::uint8_t flags = input.byte();
    porthole::detail::DefaultFields defaults("X-Content-Type-Options: nosniff\r\nServer: s\r\n");
    porthole::detail::AnswerContext context;
    context.is_head = (flags & 1) != 0;
    context.minor_version = (flags & 2) != 0 ? 0 : 1;
    context.keep_alive = (flags & 4) == 0;
    context.defaults = &defaults;
    ResponseParts parts;
    Response response(parts);
    Account account;
    for (int i = 0; i < max_steps && !input.is_empty(); ++i) {
        step(response, account, input);
    }
    porthole::detail::Buffer out(1024 * 1024);
    AnswerPlan plan;
    require(porthole::detail::write_head(parts, context, out, plan), "a head fits");

    std::string status_line;
    const Lines sent = read_head(out.view(), status_line);
    require(
        status_line.substr(0, 13) == "HTTP/1.1 " + std::to_string(account.status) + " ",
        "the status is the one that was set");
    const Lines own = read_head("\r\n" + std::string(defaults.lines()) + "\r\n", status_line);
    require(
        sent == expected_lines(account, own, context),
        "the fields that were accepted are sent, and no other");
    const bool is_bare = account.status == 204 || account.status == 304 || account.status == 205;
    require(plan.sends_content == (!is_bare && !context.is_head), "HEAD, 204, 304 have no content");
    require(
        plan.keep_alive
            == (sent.empty() || sent.back() != Lines::value_type("Connection", "close")),
        "a connection that is closed says so");
}

} // namespace porthole_fuzz
