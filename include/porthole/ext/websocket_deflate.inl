// SPDX-License-Identifier: MIT
#pragma once

// The handshake's part of permessage-deflate: pure text, the same with zlib and without it.

#include "porthole/base/ascii.hpp"
#include "porthole/ext/websocket_deflate.hpp"

#include <algorithm>
#include <utility>
#include <vector>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

inline constexpr std::string_view deflate_name = "permessage-deflate";
inline constexpr std::string_view extensions_field = "Sec-WebSocket-Extensions";

struct ExtensionParameter {
    std::string_view name;
    std::optional<std::string> value;
};

/// One element of Sec-WebSocket-Extensions: "name; parameter; parameter=value".
struct ExtensionElement {
    std::string_view name;
    std::vector<ExtensionParameter> parameters;
};

/// Reads one line of Sec-WebSocket-Extensions by its grammar (RFC 6455 section 9.1).
class ExtensionScanner {
public:
    explicit ExtensionScanner(std::string_view line) noexcept : rest_(line) {}

    /// False at the end of the line, or where it breaks the grammar: is_malformed() tells.
    bool next(ExtensionElement& element) {
        while (skip(',')) {}
        element = ExtensionElement{};
        if (rest_.empty()) {
            return false;
        }
        is_malformed_ = !take_token(element.name);
        while (!is_malformed_ && skip(';')) {
            is_malformed_ = !take_parameter(element);
        }
        is_malformed_ = is_malformed_ || !(rest_.empty() || skip(','));
        return !is_malformed_;
    }
    bool is_malformed() const noexcept { return is_malformed_; }

private:
    std::string_view rest_;
    bool is_malformed_ = false;

    bool skip(char separator) noexcept {
        rest_ = ascii::trim(rest_);
        if (rest_.empty() || rest_.front() != separator) {
            return false;
        }
        rest_ = ascii::trim(rest_.substr(1));
        return true;
    }
    bool take_token(std::string_view& token) noexcept {
        std::size_t size = 0;
        while (size < rest_.size() && ascii::is_token_char(rest_[size])) {
            ++size;
        }
        token = rest_.substr(0, size);
        rest_.remove_prefix(size);
        return size > 0;
    }
    bool take_parameter(ExtensionElement& element) {
        ExtensionParameter parameter;
        if (!take_token(parameter.name)) {
            return false;
        }
        if (skip('=')) {
            std::string_view token;
            parameter.value.emplace();
            if (take_token(token)) {
                *parameter.value = token;
            } else if (!take_quoted(*parameter.value)) {
                return false;
            }
        }
        element.parameters.push_back(std::move(parameter));
        return true;
    }
    /// What a quoted value stands for has to be a token again.
    bool take_quoted(std::string& value) {
        if (rest_.empty() || rest_.front() != '"') {
            return false;
        }
        std::size_t at = 1;
        for (; at < rest_.size() && rest_[at] != '"'; ++at) {
            if (rest_[at] == '\\' && ++at == rest_.size()) {
                return false;
            }
            value += rest_[at];
        }
        if (at == rest_.size() || !ascii::is_token(value)) {
            return false;
        }
        rest_.remove_prefix(at + 1);
        return true;
    }
};

/// The parameters of one permessage-deflate element, and which of them it names.
struct DeflateElement {
    DeflateParameters parameters;
    bool has_server_bits = false;
    bool has_client_bits = false;
};

/// A decimal of 8 to 15 without leading zeros (RFC 7692 sections 7.1.2.1 and 7.1.2.2).
inline bool read_window_bits(const std::optional<std::string>& value, int& bits) noexcept {
    if (!value || value->empty() || value->front() == '0') {
        return false;
    }
    const auto number = ascii::parse_decimal(*value);
    if (!number || *number < static_cast<std::uint64_t>(min_window_bits)
        || *number > static_cast<std::uint64_t>(max_window_bits)) {
        return false;
    }
    bits = static_cast<int>(*number);
    return true;
}

/// False for what RFC 7692 section 7.1 says to decline: unknown names, values where none belong or
/// invalid ones, and the same name twice. Only an offer may name client_max_window_bits without a
/// value.
inline bool
read_deflate_element(const ExtensionElement& element, bool is_offer, DeflateElement& deflate) {
    deflate = DeflateElement{};
    DeflateParameters& parameters = deflate.parameters;
    const auto set_flag = [](bool& flag, const std::optional<std::string>& value) {
        return !std::exchange(flag, true) && !value;
    };
    for (const auto& [name, value] : element.parameters) {
        bool is_valid = false;
        if (name == "server_no_context_takeover") {
            is_valid = set_flag(parameters.server_no_context_takeover, value);
        } else if (name == "client_no_context_takeover") {
            is_valid = set_flag(parameters.client_no_context_takeover, value);
        } else if (name == "server_max_window_bits") {
            is_valid = !std::exchange(deflate.has_server_bits, true)
                       && read_window_bits(value, parameters.server_max_window_bits);
        } else if (name == "client_max_window_bits") {
            is_valid = !std::exchange(deflate.has_client_bits, true)
                       && ((is_offer && !value)
                           || read_window_bits(value, parameters.client_max_window_bits));
        }
        if (!is_valid) {
            return false;
        }
    }
    return true;
}

inline void append_bits(std::string& text, std::string_view name, int bits) {
    text.append(name).append(std::to_string(bits));
}

/// Agrees to an offer, and says so in the answer.
inline void accept_deflate(
    const DeflateElement& offer, const DeflateParameters& wanted, DeflateNegotiation& negotiation) {
    DeflateParameters agreed = offer.parameters;
    agreed.server_no_context_takeover |= wanted.server_no_context_takeover;
    agreed.client_no_context_takeover |= wanted.client_no_context_takeover;
    agreed.server_max_window_bits =
        (std::min)(agreed.server_max_window_bits, wanted.server_max_window_bits);
    // A client that does not name its window cannot be told to limit it (RFC 7692 section
    // 7.1.2.2).
    if (offer.has_client_bits) {
        agreed.client_max_window_bits =
            (std::min)(agreed.client_max_window_bits, wanted.client_max_window_bits);
    }
    std::string& answer = negotiation.answer;
    answer = deflate_name;
    answer += agreed.server_no_context_takeover ? "; server_no_context_takeover" : "";
    answer += agreed.client_no_context_takeover ? "; client_no_context_takeover" : "";
    if (offer.has_server_bits || agreed.server_max_window_bits < max_window_bits) {
        append_bits(answer, "; server_max_window_bits=", agreed.server_max_window_bits);
    }
    if (offer.has_client_bits && agreed.client_max_window_bits < max_window_bits) {
        append_bits(answer, "; client_max_window_bits=", agreed.client_max_window_bits);
    }
    negotiation.agreed = agreed;
}

PORTHOLE_FN DeflateNegotiation
negotiate_deflate(const Fields& fields, const DeflateParameters& wanted) {
    DeflateNegotiation negotiation;
    for (const std::string_view line : fields.find_all(extensions_field)) {
        ExtensionScanner scanner(line);
        ExtensionElement element;
        DeflateElement offer;
        while (scanner.next(element)) {
            // The first that can be taken is the one that the client likes best (section 5).
            if (!negotiation.agreed && element.name == deflate_name
                && read_deflate_element(element, true, offer)) {
                accept_deflate(offer, wanted, negotiation);
            }
        }
        if (scanner.is_malformed()) {
            return {true, std::nullopt, {}};
        }
    }
    return negotiation;
}

PORTHOLE_FN std::string write_deflate_offer(const DeflateParameters& wanted) {
    std::string offer(deflate_name);
    offer += wanted.server_no_context_takeover ? "; server_no_context_takeover" : "";
    offer += wanted.client_no_context_takeover ? "; client_no_context_takeover" : "";
    if (wanted.server_max_window_bits < max_window_bits) {
        append_bits(offer, "; server_max_window_bits=", wanted.server_max_window_bits);
    }
    if (wanted.client_max_window_bits < max_window_bits) {
        append_bits(offer, "; client_max_window_bits=", wanted.client_max_window_bits);
    } else {
        offer += "; client_max_window_bits";
    }
    return offer;
}

PORTHOLE_FN DeflateAnswer
read_deflate_answer(const Fields& fields, const DeflateParameters& offered) {
    constexpr DeflateAnswer refused{true, std::nullopt};
    DeflateAnswer answer;
    for (const std::string_view line : fields.find_all(extensions_field)) {
        ExtensionScanner scanner(line);
        ExtensionElement element;
        DeflateElement deflate;
        while (scanner.next(element)) {
            if (answer.agreed || element.name != deflate_name
                || !read_deflate_element(element, false, deflate)) {
                return refused;
            }
            DeflateParameters& agreed = deflate.parameters;
            // The server may promise more than it was asked for, and never less.
            if ((offered.server_no_context_takeover && !agreed.server_no_context_takeover)
                || agreed.server_max_window_bits > offered.server_max_window_bits
                || (deflate.has_client_bits
                    && agreed.client_max_window_bits > offered.client_max_window_bits)) {
                return refused;
            }
            agreed.client_no_context_takeover |= offered.client_no_context_takeover;
            agreed.client_max_window_bits =
                (std::min)(agreed.client_max_window_bits, offered.client_max_window_bits);
            answer.agreed = agreed;
        }
        if (scanner.is_malformed()) {
            return refused;
        }
    }
    return answer;
}

} // namespace detail

PORTHOLE_NAMESPACE_END
