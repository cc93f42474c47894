// SPDX-License-Identifier: MIT

#include "support/fields.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

using namespace porthole;
using namespace porthole::detail;
using porthole_test::FieldLines;

namespace {

constexpr DeflateParameters nothing_wanted{};

/// The server's answer to the client's field lines; "malformed" when the handshake has to fail.
std::string answer(std::string_view offers, const DeflateParameters& wanted = nothing_wanted) {
    std::string text;
    for (std::size_t at = 0; at <= offers.size();) {
        const std::size_t end = (std::min)(offers.find('\n', at), offers.size());
        text += text.empty() ? "Sec-WebSocket-Extensions: " : "\nSec-WebSocket-Extensions: ";
        text += offers.substr(at, end - at);
        at = end + 1;
    }
    FieldLines lines(text);
    const DeflateNegotiation negotiation = negotiate_deflate(lines.fields(), wanted);
    CHECK(negotiation.agreed.has_value() != negotiation.answer.empty());
    return negotiation.is_malformed ? "malformed" : negotiation.answer;
}

/// What the client makes of the server's field: "refused", "none", or the agreement as flags and
/// bits, server first.
std::string reading(std::string_view field, const DeflateParameters& offered = nothing_wanted) {
    FieldLines lines(
        field.empty() ? std::string() : "Sec-WebSocket-Extensions: " + std::string(field));
    const DeflateAnswer result = read_deflate_answer(lines.fields(), offered);
    if (result.is_refused) {
        return "refused";
    }
    if (!result.agreed) {
        return "none";
    }
    const auto side = [](bool resets, int bits) {
        return (resets ? "reset " : "keep ") + std::to_string(bits);
    };
    return side(result.agreed->server_no_context_takeover, result.agreed->server_max_window_bits)
           + ", "
           + side(result.agreed->client_no_context_takeover, result.agreed->client_max_window_bits);
}

/// Bytes that no compressor makes smaller, the same in each run.
std::string noise(std::size_t size, std::uint32_t seed = 1) {
    std::string bytes(size, '\0');
    for (char& byte : bytes) {
        seed = seed * 1664525U + 1013904223U;
        byte = static_cast<char>(seed >> 24);
    }
    return bytes;
}

/// Text such as a dashboard gets.
std::string values(std::size_t size) {
    std::string text;
    for (int i = 0; text.size() < size; ++i) {
        text += R"({"name":"entity )" + std::to_string(i * 7919 % 1000) + R"(","x":)"
                + std::to_string(i * 31 % 977) + "},";
    }
    text.resize(size);
    return text;
}

constexpr std::size_t enough = 64 * 1024 * 1024;

struct Expansion {
    InflateStatus status = InflateStatus::ok;
    std::string text;
};

/// Expands a message that comes in pieces of `step` bytes.
Expansion expand(
    MessageCodec& codec, std::string_view payload, std::size_t step = enough,
    std::size_t max_bytes = enough) {
    Expansion result;
    do {
        const std::string_view piece = payload.substr(0, step);
        payload.remove_prefix(piece.size());
        result.status = codec.expand(piece, payload.empty(), max_bytes, result.text);
    } while (!payload.empty() && result.status == InflateStatus::ok);
    return result;
}

std::string compress(MessageCodec& codec, std::string_view message) {
    std::string payload;
    CHECK(codec.compress(message, payload));
    return payload;
}

/// A literal with zeros in it.
template <std::size_t Size>
std::string_view raw(const char (&text)[Size]) {
    return {text, Size - 1};
}

} // namespace

TEST_CASE("deflate: offers that are accepted (RFC 7692 7.1)") {
    CHECK(answer("permessage-deflate") == "permessage-deflate");
    CHECK(answer("permessage-deflate; client_max_window_bits") == "permessage-deflate");
    CHECK(
        answer("permessage-deflate; client_max_window_bits=10")
        == "permessage-deflate; client_max_window_bits=10");
    CHECK(
        answer("permessage-deflate; server_max_window_bits=8")
        == "permessage-deflate; server_max_window_bits=8");
    CHECK(
        answer("permessage-deflate; server_max_window_bits=15")
        == "permessage-deflate; server_max_window_bits=15");
    CHECK(
        answer("permessage-deflate; server_no_context_takeover")
        == "permessage-deflate; server_no_context_takeover");
    CHECK(
        answer("permessage-deflate; client_no_context_takeover")
        == "permessage-deflate; client_no_context_takeover");
    CHECK(
        answer("permessage-deflate;client_max_window_bits = \"9\" ;server_max_window_bits=\"1\\0\"")
        == "permessage-deflate; server_max_window_bits=10; client_max_window_bits=9");
}

TEST_CASE("deflate: offers that are declined (RFC 7692 7.1)") {
    for (const char* offer :
         {"",
          "x-webkit-deflate-frame",
          "permessage-bzip2; client_max_window_bits",
          "permessage-deflate; unknown",
          "permessage-deflate; unknown=1",
          "permessage-deflate; server_max_window_bits",
          "permessage-deflate; server_max_window_bits=7",
          "permessage-deflate; server_max_window_bits=16",
          "permessage-deflate; server_max_window_bits=010",
          "permessage-deflate; server_max_window_bits=0",
          "permessage-deflate; server_max_window_bits=+9",
          "permessage-deflate; server_max_window_bits=18446744073709551625",
          "permessage-deflate; client_max_window_bits=7",
          "permessage-deflate; client_max_window_bits=16",
          "permessage-deflate; client_max_window_bits=x",
          "permessage-deflate; server_no_context_takeover=1",
          "permessage-deflate; client_no_context_takeover=true",
          "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
          "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
          "permessage-deflate; server_max_window_bits=9; server_max_window_bits=9",
          "permessage-deflate; client_max_window_bits; client_max_window_bits=9"}) {
        CAPTURE(offer);
        CHECK(answer(offer).empty());
    }
}

TEST_CASE("deflate: the first offer that can be taken is taken (RFC 7692 5.1)") {
    CHECK(
        answer("permessage-deflate; server_max_window_bits=99, permessage-deflate")
        == "permessage-deflate");
    CHECK(
        answer("permessage-deflate; server_max_window_bits=9, permessage-deflate")
        == "permessage-deflate; server_max_window_bits=9");
    CHECK(answer("permessage-foo, permessage-deflate") == "permessage-deflate");
    CHECK(
        answer("permessage-foo; x=\"a\"\npermessage-deflate; server_no_context_takeover")
        == "permessage-deflate; server_no_context_takeover");
    CHECK(answer(",, permessage-deflate ,,") == "permessage-deflate");
}

TEST_CASE("deflate: a field against its grammar fails the handshake (RFC 6455 9.1)") {
    for (const char* offer :
         {"permessage-deflate;", "permessage-deflate; ;",
          "permessage-deflate; a=", "permessage-deflate; a=\"", "permessage-deflate; a=\"b c\"",
          "permessage-deflate; a=\"\"", "permessage-deflate; a=\"\\", "permessage-deflate a",
          "permessage deflate", "=", "a; b=c d", "a, /b", "permessage-deflate, \"x\"", "a; b==c",
          "permessage-deflate\npermessage-deflate;"}) {
        CAPTURE(offer);
        CHECK(answer(offer) == "malformed");
    }
}

TEST_CASE("deflate: the server may limit both windows on its own (RFC 7692 7.1.2)") {
    CHECK(
        answer("permessage-deflate; client_max_window_bits", server_preferences)
        == "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12");
    // The client's window only when the client can limit it.
    CHECK(
        answer("permessage-deflate", server_preferences)
        == "permessage-deflate; server_max_window_bits=12");
    CHECK(
        answer(
            "permessage-deflate; server_max_window_bits=9; client_max_window_bits=14",
            server_preferences)
        == "permessage-deflate; server_max_window_bits=9; client_max_window_bits=12");
    CHECK(
        answer("permessage-deflate", {true, true, 15, 15})
        == "permessage-deflate; server_no_context_takeover; client_no_context_takeover");
}

TEST_CASE("deflate: what the client offers") {
    CHECK(write_deflate_offer({}) == "permessage-deflate; client_max_window_bits");
    CHECK(
        write_deflate_offer({true, true, 9, 10})
        == "permessage-deflate; server_no_context_takeover; client_no_context_takeover; "
           "server_max_window_bits=9; client_max_window_bits=10");
    CHECK(
        answer(write_deflate_offer({true, true, 9, 10})).size()
        == write_deflate_offer({true, true, 9, 10}).size());
}

TEST_CASE("deflate: what the client makes of the answer (RFC 7692 7.1)") {
    CHECK(reading("") == "none");
    CHECK(reading("permessage-deflate") == "keep 15, keep 15");
    CHECK(reading("permessage-deflate; server_no_context_takeover") == "reset 15, keep 15");
    CHECK(reading("permessage-deflate; client_no_context_takeover") == "keep 15, reset 15");
    CHECK(reading("permessage-deflate; client_max_window_bits=9") == "keep 15, keep 9");
    CHECK(reading("permessage-deflate; server_max_window_bits=8") == "keep 8, keep 15");
    // What was asked for has to be granted.
    CHECK(reading("permessage-deflate", {true, false, 15, 15}) == "refused");
    CHECK(reading("permessage-deflate", {false, false, 10, 15}) == "refused");
    CHECK(
        reading("permessage-deflate; server_max_window_bits=11", {false, false, 10, 15})
        == "refused");
    CHECK(
        reading("permessage-deflate; server_max_window_bits=10", {false, false, 10, 15})
        == "keep 10, keep 15");
    CHECK(
        reading("permessage-deflate; client_max_window_bits=11", {false, false, 15, 10})
        == "refused");
    // What the client has promised holds whatever the answer says.
    CHECK(reading("permessage-deflate", {false, true, 15, 10}) == "keep 15, reset 10");
    // What nobody offered, and what is none.
    for (const char* field :
         {"permessage-foo", "permessage-deflate, permessage-deflate",
          "permessage-deflate, permessage-foo", "permessage-deflate; unknown",
          "permessage-deflate; client_max_window_bits",
          "permessage-deflate; server_max_window_bits",
          "permessage-deflate; server_max_window_bits=16", "permessage-deflate;"}) {
        CAPTURE(field);
        CHECK(reading(field) == "refused");
    }
}

TEST_CASE("deflate: without zlib there is no codec, with it there is") {
    CHECK((make_server_codec({}) != nullptr) == can_deflate());
    CHECK((make_client_codec({}) != nullptr) == can_deflate());
}

TEST_CASE("deflate: expands the examples of the RFC (RFC 7692 7.2.3)") {
    if (!can_deflate()) {
        return;
    }
    const std::string_view one_block = raw("\xf2\x48\xcd\xc9\xc9\x07\x00");
    const std::string_view examples[] = {
        one_block,
        raw("\xf2\x00\x11\x00\x00"), // from the window of the one before
        raw("\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"),
        raw("\xf3\x48\xcd\xc9\xc9\x07\x00\x00"), // marked as the last block, and no end
        raw("\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"),
        raw("\xf2\x00\x11\x00\x00"),
    };
    for (const std::size_t step : {std::size_t{1}, std::size_t{2}, std::size_t{5}, enough}) {
        const auto codec = make_server_codec({});
        for (const std::string_view example : examples) {
            const Expansion result = expand(*codec, example, step);
            CHECK(result.status == InflateStatus::ok);
            CHECK(result.text == "Hello");
        }
        CHECK(expand(*codec, raw("\x00")).text.empty());
        CHECK(expand(*codec, one_block).text == "Hello");
    }
}

TEST_CASE("deflate: a final block does not lose the window (RFC 7692 7.2.3.4)") {
    if (!can_deflate()) {
        return;
    }
    const auto codec = make_server_codec({});
    CHECK(expand(*codec, raw("\xf3\x48\xcd\xc9\xc9\x07\x00\x00")).text == "Hello");
    CHECK(expand(*codec, raw("\xf2\x00\x11\x00\x00")).text == "Hello");
}

TEST_CASE("deflate: short messages stay as they are") {
    const auto codec = make_server_codec({});
    if (!codec) {
        return;
    }
    std::string payload = "before";
    CHECK_FALSE(codec->compress(std::string(min_compressed_bytes - 1, 'a'), payload));
    CHECK(payload == "before");
    CHECK(codec->compress(std::string(min_compressed_bytes, 'a'), payload));
    CHECK(payload.size() < min_compressed_bytes / 2);
    CHECK(payload.compare(0, 6, "before") == 0);
}

TEST_CASE("deflate: round trips with every window, in both directions") {
    if (!can_deflate()) {
        return;
    }
    const std::string messages[] = {
        std::string(min_compressed_bytes, 'x'),
        values(1000),
        values(200'000),
        noise(100'000),
        std::string(70'000, '\0'),
        values(1'000),
        noise(300) + noise(300) + noise(300),
        noise(600) + noise(600)};
    for (int bits = min_window_bits; bits <= max_window_bits; ++bits) {
        for (const bool resets : {false, true}) {
            CAPTURE(bits);
            CAPTURE(resets);
            const DeflateParameters agreed{resets, resets, bits, bits};
            const auto server = make_server_codec(agreed);
            const auto client = make_client_codec(agreed);
            for (const std::string& message : messages) {
                // In small steps nothing but the agreed window helps the side that expands.
                const Expansion at_client = expand(*client, compress(*server, message), 16);
                CHECK(at_client.status == InflateStatus::ok);
                CHECK(at_client.text == message);
                const Expansion at_server = expand(*server, compress(*client, message));
                CHECK(at_server.status == InflateStatus::ok);
                CHECK(at_server.text == message);
            }
        }
    }
}

TEST_CASE("deflate: the two directions may differ") {
    if (!can_deflate()) {
        return;
    }
    const DeflateParameters agreed{true, false, 9, 15};
    const auto server = make_server_codec(agreed);
    const auto client = make_client_codec(agreed);
    const std::string message = noise(1000);
    for (int i = 0; i < 3; ++i) {
        const std::string down = compress(*server, message);
        CHECK(down.size() >= message.size());
        CHECK(expand(*client, down, 16).text == message);
        const std::string up = compress(*client, message);
        CHECK((up.size() < 50) == (i > 0));
        CHECK(expand(*server, up).text == message);
    }
}

TEST_CASE("deflate: a message refers to those before it only as agreed (RFC 7692 7.1.1)") {
    if (!can_deflate()) {
        return;
    }
    const std::string message = noise(200);
    const auto keeps = make_server_codec({false, false, 12, 12});
    CHECK(compress(*keeps, message).size() >= message.size());
    CHECK(compress(*keeps, message).size() < 20);
    const auto resets = make_server_codec({true, false, 12, 12});
    CHECK(compress(*resets, message).size() >= message.size());
    CHECK(compress(*resets, message).size() >= message.size());
    // A client that has agreed to start anew and does not is told so.
    const auto strict = make_server_codec({false, true, 12, 12});
    const auto client = make_client_codec({false, false, 12, 12});
    CHECK(expand(*strict, compress(*client, message)).text == message);
    CHECK(expand(*strict, compress(*client, message)).status == InflateStatus::corrupt);
}

TEST_CASE("deflate: expanding ends at the bound") {
    if (!can_deflate()) {
        return;
    }
    constexpr std::size_t size = 100'000;
    const auto client = make_client_codec({true, true, 15, 15});
    const std::string payload = compress(*client, std::string(size, 'a'));
    REQUIRE(payload.size() < 1000);
    for (const std::size_t step : {std::size_t{1}, std::size_t{100}, enough}) {
        for (const std::size_t bound : {size - 1, size, size + 1}) {
            const auto server = make_server_codec({});
            const Expansion result = expand(*server, payload, step, bound);
            CHECK(result.status == (bound < size ? InflateStatus::too_large : InflateStatus::ok));
            CHECK(result.text.size() <= bound);
        }
    }
    const auto server = make_server_codec({});
    CHECK(expand(*server, payload, enough, 0).status == InflateStatus::too_large);
    CHECK(expand(*make_server_codec({}), raw("\x00"), enough, 0).status == InflateStatus::ok);
}

TEST_CASE("deflate: a bomb costs what the bound allows") {
    if (!can_deflate()) {
        return;
    }
    constexpr std::size_t bound = 1024 * 1024;
    const auto client = make_client_codec({});
    const std::string bomb = compress(*client, std::string(64 * bound, '\0'));
    REQUIRE(bomb.size() < 512 * 1024);
    const auto server = make_server_codec({});
    const Expansion result = expand(*server, bomb, enough, bound);
    CHECK(result.status == InflateStatus::too_large);
    CHECK(result.text.size() <= bound);
    CHECK(result.text.capacity() <= 2 * bound);
}

TEST_CASE("deflate: what is no deflated data is refused") {
    if (!can_deflate()) {
        return;
    }
    const auto client = make_client_codec({});
    const std::string good = compress(*client, values(500));
    for (const std::string_view payload :
         {raw("\x06"), raw("\xff\xff\xff\xff"), raw("\x00\x05\x00\xfa\xfe\x48"),
          raw("\xf2\x00\x11\x00\x00"), // refers to a window that is empty
          raw("\xf2\x48\xcd\xc9"),     // cut short
          raw("\x00\x05\x00\xfa\xff\x48\x65"), raw("\xf3\x48\xcd\xc9\xc9\x07\x00"),
          std::string_view(good).substr(0, good.size() / 2)}) {
        for (const std::size_t step : {std::size_t{1}, enough}) {
            const auto server = make_server_codec({});
            CHECK(expand(*server, payload, step).status == InflateStatus::corrupt);
        }
    }
}
