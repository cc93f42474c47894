// SPDX-License-Identifier: MIT

// The rules of RFC 6455 sections 5 to 8 as a table: what a client sends, and what it then gets.
// Each row is run whole, byte by byte, and split at each offset; all of them must agree. The names
// are those of the cases of the Autobahn test suite where it has them.

#include "support/test.hpp"
#include "support/websocket_fixture.hpp"

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

using namespace std::string_view_literals;
using porthole_test::binary_frame;
using porthole_test::close_frame;
using porthole_test::close_payload;
using porthole_test::EchoSession;
using porthole_test::from_client;
using porthole_test::from_server;
using porthole_test::ping_frame;
using porthole_test::pong_frame;
using porthole_test::text_frame;

namespace {

struct Row {
    std::string name;
    std::string sent;     ///< by the client
    std::string expected; ///< frames of the server, and "end:<code>" once it closes
};

porthole::detail::SessionOptions strict() {
    porthole::detail::SessionOptions options;
    options.max_message_bytes = 70'000;
    options.max_frames = 8;
    return options;
}

std::string outcome_of(EchoSession& echo) {
    std::string events = echo.events;
    const std::string_view drain = "drain "; // depends on how much comes at once
    for (std::size_t at = 0; (at = events.find(drain)) != std::string::npos;) {
        events.erase(at, drain.size());
    }
    std::string text = porthole_test::describe_frames(echo.link.sent) + events;
    if (echo.link.is_closed) {
        text += "end:" + std::to_string(echo.session.end_code());
    }
    return text;
}

void check(const Row& row) {
    CAPTURE(row.name);
    const std::string_view sent = row.sent;
    {
        EchoSession whole(strict());
        whole.receive(sent);
        REQUIRE(outcome_of(whole) == row.expected);
    }
    {
        EchoSession bytewise(strict());
        for (std::size_t i = 0; i < sent.size(); ++i) {
            bytewise.receive(sent.substr(i, 1));
        }
        REQUIRE(outcome_of(bytewise) == row.expected);
    }
    const std::size_t step = sent.size() > 1000 ? sent.size() / 97 : 1;
    for (std::size_t split = 1; split < sent.size(); split += step) {
        CAPTURE(split);
        EchoSession halves(strict());
        halves.receive(sent.substr(0, split));
        halves.receive(sent.substr(split));
        REQUIRE(outcome_of(halves) == row.expected);
    }
}

void check_all(const std::vector<Row>& rows) {
    for (const Row& row : rows) {
        check(row);
    }
}

const std::string bye = from_client(close_frame, close_payload(1000));
const std::string ended = "close:1000 end:1000";
const std::string violation = "close:1002 end:1002";

} // namespace

TEST_CASE("websocket rules: sizes of messages (Autobahn 1.1, 1.2)") {
    const std::size_t sizes[] = {0,   1,   40,    125,   126,    127,   128,
                                 512, 513, 65535, 65536, 69'999, 70'000};
    for (const std::size_t size : sizes) {
        const std::string payload(size, '*');
        const std::string echo = size > 40 ? "#" + std::to_string(size) : payload;
        check({"text", from_client(text_frame, payload) + bye, "text:" + echo + " " + ended});
        if (size < 1000) {
            check(
                {"binary", from_client(binary_frame, payload) + bye,
                 "binary:" + echo + " " + ended});
        }
    }
}

TEST_CASE("websocket rules: pings and pongs (Autobahn 2, RFC 6455 5.5.2)") {
    std::string ten;
    std::string answers;
    for (int i = 0; i < 10; ++i) {
        ten += from_client(ping_frame, "n" + std::to_string(i));
        answers += "pong:n" + std::to_string(i) + " ";
    }
    check_all({
        {"2.1", from_client(ping_frame) + bye, "pong: " + ended},
        {"2.2", from_client(ping_frame, "hello") + bye, "pong:hello " + ended},
        {"2.4", from_client(ping_frame, std::string(125, '\xfe')) + bye, "pong:#125 " + ended},
        {"2.5", from_client(ping_frame, std::string(126, '\xfe')) + bye, violation},
        {"2.7", from_client(pong_frame) + bye, "close:1000 pong: end:1000"},
        {"2.8", from_client(pong_frame, "x") + bye, "close:1000 pong:x end:1000"},
        {"2.10", ten + bye, answers + ended},
    });
}

TEST_CASE("websocket rules: reserved bits and opcodes, and masks (Autobahn 3, 4, RFC 6455 5.1)") {
    const std::string hello = from_client(text_frame, "hello");
    std::vector<Row> rows = {
        {"3.1", from_client(0xc1, "x") + bye, violation},
        {"3.2", hello + from_client(0xa1, "x") + from_client(ping_frame),
         "text:hello " + violation},
        {"3.3", hello + from_client(0x91, "x") + bye, "text:hello " + violation},
        {"3.5 binary", from_client(0xf2, "x") + bye, violation},
        {"3.6 ping", from_client(0xe9, "x") + bye, violation},
        {"3.7 close", from_client(0xc8, close_payload(1000)), violation},
        {"a continuation with RSV1", from_client(0x01, "a") + from_client(0xc0, "b") + bye,
         violation},
        {"unmasked text", from_server(text_frame, "x") + bye, violation},
        {"unmasked ping", from_server(ping_frame, "x") + bye, violation},
        {"unmasked close", from_server(close_frame), violation},
    };
    for (const unsigned opcode : {3u, 4u, 5u, 6u, 7u, 0xbu, 0xcu, 0xdu, 0xeu, 0xfu}) {
        rows.push_back({"4", hello + from_client(0x80 | opcode) + bye, "text:hello " + violation});
        rows.push_back({"4", from_client(0x80 | opcode, "payload") + bye, violation});
    }
    check_all(rows);
}

TEST_CASE("websocket rules: fragments (Autobahn 5, RFC 6455 5.4)") {
    const std::string a = from_client(0x01, "frag1");
    const std::string b = from_client(0x80, "frag2");
    const std::string middle = from_client(0x00, "-");
    const std::string empty = from_client(0x00);
    check_all({
        {"5.1", from_client(0x09, "x") + from_client(0x80, "y") + bye, violation},
        {"5.2", from_client(0x0a, "x") + from_client(0x80, "y") + bye, violation},
        {"a fragmented close", from_client(0x08) + bye, violation},
        {"5.3", a + b + bye, "text:frag1frag2 " + ended},
        {"5.6", a + from_client(ping_frame, "p") + b + bye, "pong:p text:frag1frag2 " + ended},
        {"5.9", b + from_client(text_frame, "hi") + bye, violation},
        {"5.12", middle + from_client(text_frame, "hi") + bye, violation},
        {"5.15", a + b + from_client(0x00, "x") + bye, "text:frag1frag2 " + violation},
        {"5.16", from_client(0x00, "f") + a + b + bye, violation},
        {"5.18", a + from_client(text_frame, "frag2") + bye, violation},
        {"5.19",
         a + middle + from_client(ping_frame, "1") + middle + from_client(ping_frame, "2") + middle
             + b + bye,
         "pong:1 pong:2 text:frag1---frag2 " + ended},
        {"6.1.2 empty fragments", from_client(0x01) + empty + from_client(0x80) + bye,
         "text: " + ended},
        {"6.1.3", from_client(0x01) + middle + from_client(0x80) + bye, "text:- " + ended},
        {"binary", from_client(0x02, "\xff") + from_client(0x80, "\xfe") + bye,
         "binary:\xff\xfe " + ended},
        {"two in a row", a + b + a + b + bye, "text:frag1frag2 text:frag1frag2 " + ended},
    });
}

TEST_CASE("websocket rules: text is UTF-8, checked as it comes (Autobahn 6, RFC 6455 8.1)") {
    const std::string invalid = "close:1007 end:1007";
    const std::string kosme = "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5";
    std::string single;
    for (std::size_t i = 0; i < 5; ++i) {
        single += from_client(
            i == 0   ? 0x01
            : i == 4 ? 0x80
                     : 0x00,
            kosme.substr(i, i == 4 ? 7 : 1));
    }
    check_all({
        {"6.2.1", from_client(text_frame, "Hello-\xc2\xb5@\xc3\x9f") + bye,
         "text:Hello-\xc2\xb5@\xc3\x9f " + ended},
        {"6.2.3", single + bye, "text:" + kosme + " " + ended},
        {"6.3.1", from_client(text_frame, kosme + "\xed\xa0\x80" + "edited") + bye, invalid},
        {"6.4.1 fail fast in a later fragment, which never ends",
         from_client(0x01, kosme) + from_client(0x00, "\xf4\x90\x80\x80"), invalid},
        {"6.4.3 fail fast within a frame that is not complete",
         from_client(text_frame, kosme + "\xf4\x90" + std::string(50, 'x')).substr(0, 22), invalid},
        {"6.6 a character that is cut off", from_client(text_frame, "\xce") + bye, invalid},
        {"cut off behind a fragment", from_client(0x01, "\xce") + from_client(0x80) + bye, invalid},
        {"ASCII within a character", from_client(0x01, "\xce") + from_client(0x00, "a"), invalid},
        {"cut between fragments", from_client(0x01, "\xce") + from_client(0x80, "\xba") + bye,
         "text:\xce\xba " + ended},
        {"6.9 the last code point", from_client(text_frame, "\xf4\x8f\xbf\xbf") + bye,
         "text:\xf4\x8f\xbf\xbf " + ended},
        {"6.21 a surrogate", from_client(text_frame, "\xed\xbf\xbf") + bye, invalid},
        {"6.14 0xfe", from_client(text_frame, "\xfe") + bye, invalid},
        {"6.18 overlong", from_client(text_frame, "\xc0\xaf") + bye, invalid},
        {"the next message starts anew",
         from_client(text_frame, "\xce\xba") + from_client(text_frame, "\xce\xba") + bye,
         "text:\xce\xba text:\xce\xba " + ended},
        {"binary may be anything", from_client(binary_frame, "\xfe") + bye, "binary:\xfe " + ended},
    });
}

TEST_CASE("websocket rules: the close handshake (Autobahn 7, RFC 6455 5.5.1, 7.4)") {
    const std::string reason = "Hello World!";
    std::vector<Row> rows = {
        {"7.1.1", from_client(text_frame, "hi") + bye, "text:hi " + ended},
        {"7.1.2 twice", bye + bye, ended},
        {"7.1.3 a ping behind it", bye + from_client(ping_frame), ended},
        {"7.1.4 text behind it", bye + from_client(text_frame, "x"), ended},
        {"7.1.5 within a message", from_client(0x01, "f") + bye + from_client(0x80, "g"), ended},
        {"7.3.1", from_client(close_frame), "close: end:1005"},
        {"7.3.2", from_client(close_frame, "a"), violation},
        {"7.3.4", from_client(close_frame, close_payload(1000, reason)), ended},
        {"7.3.5", from_client(close_frame, close_payload(1000, std::string(123, '*'))), ended},
        {"7.3.6", from_client(close_frame, close_payload(1000, std::string(124, '*'))), violation},
        {"7.5.1", from_client(close_frame, close_payload(1000, "\xce\xba\xed\xa0\x80")),
         "close:1007 end:1007"},
    };
    for (const int code :
         {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999}) {
        const std::string number = std::to_string(code);
        rows.push_back(
            {"7.7", from_client(close_frame, close_payload(code)),
             "close:" + number + " end:" + number});
    }
    for (const int code : {0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65535}) {
        rows.push_back({"7.9", from_client(close_frame, close_payload(code)), violation});
    }
    check_all(rows);
}

TEST_CASE("websocket rules: limits, at the limit and one past it (RFC 6455 10.4)") {
    const std::string too_large = "close:1009 end:1009";
    const auto in_frames = [](int count) {
        std::string bytes = from_client(0x01, "x");
        for (int i = 2; i < count; ++i) {
            bytes += from_client(0x00, "x");
        }
        return bytes + from_client(0x80, "x");
    };
    check_all({
        {"one frame", from_client(binary_frame, std::string(70'001, 'x')), too_large},
        {"at the head already", from_client(binary_frame, std::string(70'001, 'x')).substr(0, 14),
         too_large},
        {"two frames", from_client(0x02, std::string(69'999, 'x')) + from_client(0x80, "12") + bye,
         too_large},
        {"two frames that fit",
         from_client(0x02, std::string(69'999, 'x')) + from_client(0x80, "1") + bye,
         "binary:#70000 " + ended},
        {"the largest length",
         "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff"
         "keys",
         too_large},
        {"2^63", std::string("\x82\xff\x80\0\0\0\0\0\0\0keys", 14), violation},
        {"eight frames", in_frames(8) + bye, "text:xxxxxxxx " + ended},
        {"nine frames", in_frames(9) + bye, "close:1008 end:1008"},
        {"a long length for a short frame", std::string("\x81\xfe\x00\x05keys", 8), violation},
    });
}
