// SPDX-License-Identifier: MIT
#pragma once

// What pages, look-alike names and smugglers try on a server of localhost, as the raw bytes that
// they send, each with its only right answer. The same table is run in memory and on sockets.

#include "support/options.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace porthole_test {

/// How a row goes on. A request that ends its connection must also end what was pipelined behind.
enum class Then : unsigned char { goes_on, ends, switches };

struct Attack {
    std::string name;
    std::string bytes;
    int status = 0;
    Then then = Then::ends;

    bool is_head() const { return bytes.rfind("HEAD ", 0) == 0; }
};

/// Sent behind each row: who is let go on gets an answer to this one, too.
inline constexpr std::string_view follower =
    "GET /follower HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// Counts what reached the program, and answers as little as it can.
struct AttackTarget {
    int handled = 0;
    int followers = 0;
};

/// Ends when it hears anything.
class ShortUpgrade final : public porthole::Upgrade {
public:
    void on_open(porthole::UpgradeLink& link) override { link_ = &link; }
    void on_data(char*, std::size_t) override { link_->close(); }
    void on_end() override { link_->close(); }
    void on_close() override { link_ = nullptr; }

private:
    porthole::UpgradeLink* link_ = nullptr;
};

inline void add_target(porthole::Server& server, AttackTarget& target) {
    const auto handle = [&target](const porthole::Request&, porthole::Response& response) {
        ++target.handled;
        response.text("reached\n");
    };
    server.get("/", handle);
    server.get("/page", handle);
    server.post("/", handle);
    server.get("/ws", [&target](const porthole::Request&, porthole::Response& response) {
        ++target.handled;
        response.upgrade("websocket", std::make_shared<ShortUpgrade>());
    });
    server.get("/follower", [&target](const porthole::Request&, porthole::Response& response) {
        ++target.followers;
        response.text("follower\n");
    });
}

/// "GET /" with that Host.
inline std::string get_from(std::string_view host, std::string_view fields = {}) {
    std::string bytes = "GET / HTTP/1.1\r\nHost: ";
    return bytes.append(host).append("\r\n").append(fields).append("\r\n");
}

/// "POST /" with Host: localhost:8080 and these fields; the content is "a=1".
inline std::string form_with(std::string_view fields) {
    std::string bytes = "POST / HTTP/1.1\r\nHost: localhost:8080\r\nContent-Length: 3\r\n";
    return bytes.append(fields).append("\r\na=1");
}

/// A WebSocket handshake with Host: localhost:8080 and these fields.
inline std::string handshake_with(std::string_view fields) {
    std::string bytes = "GET /ws HTTP/1.1\r\nHost: localhost:8080\r\nConnection: Upgrade\r\n"
                        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    return bytes.append(fields).append("\r\n");
}

inline std::string fetch_fields(
    std::string_view site, std::string_view mode = "no-cors", std::string_view dest = "empty") {
    std::string fields = "Sec-Fetch-Site: ";
    fields.append(site).append("\r\nSec-Fetch-Mode: ").append(mode);
    return fields.append("\r\nSec-Fetch-Dest: ").append(dest).append("\r\n");
}

inline void add_host_rows(std::vector<Attack>& rows) {
    const auto add = [&rows](std::string_view host, int status) {
        const Then then = status == 200 ? Then::goes_on : Then::ends;
        rows.push_back({"Host: " + std::string(host), get_from(host), status, then});
    };
    for (const std::string_view host :
         {"evil.test",
          "evil.test:8080",
          "EVIL.TEST",
          "localhost.evil.com",
          "127.0.0.1.nip.io",
          "localhost6",
          "10.0.2.555",
          "127.0.0.01",
          "2130706433",
          "0x7f.1",
          "0x7f000001",
          "127.1",
          "0177.0.0.1",
          "[::ffff:8.8.8.8]",
          "[::ffff:0:0]",
          "[::127.0.0.1]",
          "[fe80::1]",
          "[::2]",
          "0.0.0.0",
          "0",
          "[::]",
          "8.8.8.8",
          "192.168.1.2",
          "128.0.0.1",
          "126.255.255.255",
          "256.0.0.1",
          "127.0.0.1.1",
          "localhost..",
          ".",
          "..",
          ".localhost.evil",
          "notlocalhost",
          "localhost.localdomain",
          "-localhost",
          "local_host",
          ".localhost"}) {
        add(host, 403);
    }
    for (const std::string_view host :
         {"localhost", "LOCALHOST:8080", "localhost.", "LocalHost.:80", "app.localhost:9000",
          "a.b.localhost", "app.localhost.", "127.0.0.1", "127.0.0.1:65535", "127.0.0.1.",
          "127.8.8.8", "127.255.255.255", "[::1]", "[::1]:8080", "[0:0:0:0:0:0:0:1]",
          "[::ffff:127.0.0.1]", "[::FFFF:7f00:1]", "localhost:0"}) {
        add(host, 200);
    }
    for (const std::string_view host :
         {"",
          "[",
          "[]",
          "[::1",
          "::1",
          "[::1]]",
          "[::1].",
          "[::1]8080",
          "[::1%25lo]",
          "[::1%lo]",
          "[v1.a]",
          "a:b:c",
          "localhost:",
          "localhost:x",
          "localhost:-1",
          "localhost:+80",
          "localhost:65536",
          "localhost:000080",
          "localhost/x",
          "localhost\\x",
          "localhost, evil.com",
          "local host",
          "localhost?x",
          "localhost#x",
          "%6cocalhost",
          "http://localhost",
          "l\xc3\xb6"
          "calhost",
          "localhost\x7f"}) {
        add(host, 400);
    }
    for (const char* host : {"evil.com:80@127.0.0.1", "user@localhost"}) {
        add(host, 403);
    }
    add(std::string(255, 'a'), 403);
    add(std::string(256, 'a'), 400);
    add(std::string(64 * 1024, 'a'), 431);
    const std::string get = "GET / HTTP/1.1\r\n";
    rows.push_back({"no Host in 1.1", get + "\r\n", 400});
    rows.push_back({"no Host in 1.0", "GET / HTTP/1.0\r\n\r\n", 403});
    rows.push_back({"Host in 1.0", "GET / HTTP/1.0\r\nHost: localhost\r\n\r\n", 200});
    rows.push_back({"two Hosts", get + "Host: localhost\r\nHost: evil.test\r\n\r\n", 400});
    rows.push_back({"two equal Hosts", get + "Host: localhost\r\nhost: localhost\r\n\r\n", 400});
    rows.push_back({"blank before the colon", get + "Host : localhost\r\n\r\n", 400});
    rows.push_back({"NUL in Host", get + std::string("Host: local\0host\r\n\r\n", 21), 400});
}

inline void add_target_rows(std::vector<Attack>& rows) {
    const auto add = [&rows](
                         std::string_view target, std::string_view host, int status,
                         Then then = Then::ends) {
        std::string bytes = "GET ";
        bytes.append(target).append(" HTTP/1.1\r\nHost: ").append(host).append("\r\n\r\n");
        rows.push_back({std::string(target) + " at " + std::string(host), bytes, status, then});
    };
    add("http://localhost/", "localhost", 200, Then::goes_on);
    add("http://localhost", "LOCALHOST", 200, Then::goes_on);
    add("HTTP://[::1]:80/page?x", "[::1]:80", 200, Then::goes_on);
    add("http://evil.test/", "localhost", 403);
    add("http://evil.test/", "evil.test", 403);
    add("http://localhost.evil.test/", "localhost", 403);
    add("http://localhost/", "evil.test", 400);
    add("http://localhost/", "localhost:80", 400);
    add("http://localhost:8080/", "localhost:8081", 400);
    add("http://localhost@evil.test/", "localhost", 400);
    add("http://evil.test@localhost/", "localhost", 400);
    add("http:///", "localhost", 400);
    add("http://localhost\\@evil.test/", "localhost", 400);
    add("ftp://localhost/", "localhost", 400);
    add("file:///etc/passwd", "localhost", 400);
    add("//evil.test/", "localhost", 404, Then::goes_on); // a path like any other
    add("page", "localhost", 400);
    add("*", "localhost", 400);
    add("localhost:80", "localhost", 400);
    add("/#fragment", "localhost", 400);
    add("/a b", "localhost", 400);
    add("/\x7f", "localhost", 400);
    add("/\xc3\xa9", "localhost", 400);
    add("/%", "localhost", 400);
    add("/%zz", "localhost", 400);
    add("/%00", "localhost", 400);
    add("/..", "localhost", 400);
    add("/../etc/passwd", "localhost", 400);
    add("/a/../../etc/passwd", "localhost", 400);
    add("/%2e%2e/etc/passwd", "localhost", 400);
    add("/%2E./etc/passwd", "localhost", 400);
    add("/a/%2e%2e%2f%2e%2e%2fetc", "localhost", 400);
    add("/..%2fetc", "localhost", 400);
    add("/" + std::string(8 * 1024, 'a'), "localhost", 414);
    rows.push_back(
        {"CONNECT elsewhere", "CONNECT evil.test:443 HTTP/1.1\r\nHost: evil.test:443\r\n\r\n",
         403});
    rows.push_back(
        {"CONNECT here", "CONNECT localhost:80 HTTP/1.1\r\nHost: localhost:80\r\n\r\n", 501});
}

inline void add_browser_rows(std::vector<Attack>& rows) {
    const std::string own = "Origin: http://localhost:8080\r\n";
    rows.push_back(
        {"rebinding, Origin equals Host",
         "POST / HTTP/1.1\r\nHost: evil.test:8080\r\nOrigin: http://evil.test:8080\r\n"
         "Content-Length: 3\r\n\r\na=1",
         403});
    rows.push_back({"form of the own page", form_with(own), 200, Then::goes_on});
    rows.push_back({"no browser", form_with(""), 200, Then::goes_on});
    for (const std::string_view origin :
         {"http://evil.test",
          "null",
          "",
          "*",
          "http://localhost",
          "http://localhost:8081",
          "http://localhost:80",
          "http://127.0.0.1:8080",
          "http://[::1]:8080",
          "http://app.localhost:8080",
          "http://localhost.:8080",
          "https://localhost:8080",
          "ws://localhost:8080",
          "localhost:8080",
          "//localhost:8080",
          "http:/localhost:8080",
          "http://localhost:8080/",
          "http://localhost:8080 ,",
          "http://localhost:8080.evil.com",
          "http://localhost:8080@evil.com",
          "http://evil.com@localhost:8080",
          "http://localhost:8080 http://evil.test",
          "http://[::",
          "http://",
          "http://localhost:",
          "http://localhost:08080",
          "file://",
          "chrome-extension://abcdef"}) {
        const std::string field = "Origin: " + std::string(origin) + "\r\n";
        rows.push_back({"form, " + field, form_with(field), 403});
        rows.push_back({"WebSocket, " + field, handshake_with(field), 403});
    }
    rows.push_back({"two Origins", form_with(own + own), 403});
    rows.push_back({"WebSocket with two Origins", handshake_with(own + own), 403});
    rows.push_back({"WebSocket of a native client", handshake_with(""), 101, Then::switches});
    rows.push_back({"WebSocket of the own page", handshake_with(own), 101, Then::switches});
    rows.push_back(
        {"WebSocket of another site, without Origin",
         handshake_with(fetch_fields("cross-site", "websocket", "websocket")), 403});
    for (const std::string_view site : {"cross-site", "same-site"}) {
        rows.push_back({"fetch from " + std::string(site), form_with(fetch_fields(site)), 403});
        for (const std::string_view dest : {"script", "image", "iframe", "style", "empty"}) {
            const std::string name = std::string(dest) + " from " + std::string(site);
            const std::string_view mode = dest == "iframe" ? "navigate" : "no-cors";
            const auto bytes = get_from("localhost", fetch_fields(site, mode, dest));
            rows.push_back({name, bytes, 403});
        }
        const std::string link = fetch_fields(site, "navigate", "document");
        const std::string name = "link from " + std::string(site);
        rows.push_back({name, get_from("localhost", link), 200, Then::goes_on});
        rows.push_back({"form by " + name, form_with(link), 403});
        rows.push_back(
            {"HEAD by " + name, "HEAD / HTTP/1.1\r\nHost: localhost\r\n" + link + "\r\n", 200,
             Then::goes_on});
    }
    for (const std::string_view site : {"same-origin", "none"}) {
        const auto bytes = get_from("localhost", fetch_fields(site));
        rows.push_back({"page of " + std::string(site), bytes, 200, Then::goes_on});
    }
    for (const std::string_view site : {"", "Same-Origin", "same-origin, none", "other"}) {
        rows.push_back(
            {"unknown site " + std::string(site), get_from("localhost", fetch_fields(site)), 403});
    }
    rows.push_back(
        {"two sites", get_from("localhost", fetch_fields("none") + fetch_fields("none")), 403});
    const std::string ask = "OPTIONS / HTTP/1.1\r\nHost: localhost:8080\r\n";
    const std::string asked = "Access-Control-Request-Method: PUT\r\n"
                              "Access-Control-Request-Headers: x-a\r\n\r\n";
    rows.push_back({"preflight", ask + "Origin: http://evil.test\r\n" + asked, 403});
    rows.push_back({"preflight of null", ask + "Origin: null\r\n" + asked, 403});
}

inline void add_smuggling_rows(std::vector<Attack>& rows) {
    const std::string post = "POST / HTTP/1.1\r\nHost: localhost\r\n";
    const auto add = [&rows,
                      &post](std::string_view name, std::string_view rest, int status = 400) {
        const Then then = status == 200 ? Then::goes_on : Then::ends;
        rows.push_back({std::string(name), post + std::string(rest), status, then});
    };
    const std::string chunked = "Transfer-Encoding: chunked\r\n\r\n";
    add("length and chunked", "Content-Length: 5\r\n" + chunked + "0\r\n\r\n");
    add("chunked and length", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n");
    add("two lengths", "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!");
    add("two equal lengths", "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello");
    for (const std::string_view length :
         {"5,5", "5, 5", "+5", "-1", "-0", "0x5", "5 5", "5.0", "5e0", "", "5;", "\"5\"",
          "18446744073709551616", "99999999999999999999999"}) {
        const std::string field = "Content-Length: " + std::string(length) + "\r\n\r\nhello";
        add("Content-Length " + std::string(length), field);
    }
    for (const std::string_view coding :
         {"chunked, chunked", "chunked, gzip", "chunked,", ",chunked", "chunked;q=1", "",
          "chunk ed", "chunked gzip", "\"chunked\"", "chunked\x0b"}) {
        const std::string field = "Transfer-Encoding: " + std::string(coding) + "\r\n\r\n";
        add("Transfer-Encoding " + std::string(coding), field + "0\r\n\r\n");
    }
    for (const std::string_view coding :
         {"gzip", "gzip, chunked", "identity", "xchunked", "chunkedx", "cow"}) {
        const std::string field = "Transfer-Encoding: " + std::string(coding) + "\r\n\r\n";
        add("Transfer-Encoding " + std::string(coding), field + "0\r\n\r\n", 501);
    }
    add("two encodings", "Transfer-Encoding: chunked\r\n" + chunked + "0\r\n\r\n");
    add("encoding with a blank", "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n");
    add("encoding folded", "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n");
    rows.push_back(
        {"chunked in 1.0", "POST / HTTP/1.0\r\nHost: localhost\r\n" + chunked + "0\r\n\r\n", 400});
    rows.push_back({"no length in 1.0", "POST / HTTP/1.0\r\nHost: localhost\r\n\r\n", 411});
    for (const std::string_view size :
         {"", " 1", "1 ", "+1", "-1", "0x1", "1_", "g", "\t1", "10000000000000000",
          "fffffffffffffffff", "1\n", "1\r", ";x"}) {
        const std::string body = std::string(size) + "\r\na\r\n0\r\n\r\n";
        add("chunk size " + std::string(size), chunked + body);
    }
    add("chunk too short for its size", chunked + "2\r\na\r\n0\r\n\r\n");
    add("chunk too long for its size", chunked + "1\r\nab\r\n0\r\n\r\n");
    add("chunk ends with LF", chunked + "1\r\na\n0\r\n\r\n");
    add("trailer with a length", chunked + "0\r\nContent-Length: 5\r\n\r\n");
    add("trailer with Host", chunked + "0\r\nHost: evil.test\r\n\r\n");
    add("trailer without colon", chunked + "0\r\nx\r\n\r\n");
    add("trailer with a blank", chunked + "0\r\nx : y\r\n\r\n");
    add("good chunks", chunked + "1\r\na\r\n02;x=y\r\nbc\r\n0\r\nX-Sum: 1\r\n\r\n", 200);
    const std::string get = "GET / HTTP/1.1\r\nHost: localhost\r\n";
    const auto add_get = [&rows, &get](std::string_view name, std::string_view lines) {
        rows.push_back({std::string(name), get + std::string(lines) + "\r\n", 400});
    };
    add_get("folded line", "X-A: 1\r\n 2\r\n");
    add_get("line of blanks", " \r\n");
    add_get("bare CR in a value", "X-A: 1\rX-B: 2\r\n");
    add_get("bare LF behind a value", "X-A: 1\nX-B: 2\r\n");
    add_get("NUL in a value", std::string_view("X-A: 1\0002\r\n", 10));
    add_get("control character in a value", "X-A: 1\x01\r\n");
    add_get("DEL in a value", "X-A: 1\x7f\r\n");
    add_get("no name", ": 1\r\n");
    add_get("no colon", "X-A\r\n");
    add_get("blank in a name", "X A: 1\r\n");
    add_get("tab before the colon", "X-A\t: 1\r\n");
    add_get("name beyond ASCII", "X-\xc3\xa9: 1\r\n");
    rows.push_back({"LF ends the lines", "GET / HTTP/1.1\nHost: localhost\n\n", 400});
    rows.push_back({"CR ends the lines", "GET / HTTP/1.1\rHost: localhost\r\r\n\n", 400});
}

inline void add_size_rows(std::vector<Attack>& rows) {
    std::string fields;
    for (int i = 0; i < 99; ++i) {
        fields += "X-A: 1\r\n";
    }
    rows.push_back({"100 fields", get_from("localhost", fields), 200, Then::goes_on});
    rows.push_back({"101 fields", get_from("localhost", fields + "X-A: 1\r\n"), 431});
    const std::string big = "X-A: " + std::string(17 * 1024, 'a') + "\r\n";
    rows.push_back({"17 KiB field", get_from("localhost", big), 431});
    rows.push_back(
        {"body limit + 1", "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1048577\r\n\r\n",
         413});
    rows.push_back(
        {"chunk beyond the limit",
         "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n100001\r\n"
             + std::string(1024 * 1024 + 1, 'a'),
         413});
}

inline std::vector<Attack> attack_table() {
    std::vector<Attack> rows;
    add_host_rows(rows);
    add_target_rows(rows);
    add_browser_rows(rows);
    add_smuggling_rows(rows);
    add_size_rows(rows);
    return rows;
}

/// What must be true of every answer in `received`, which is all that came before the server ended
/// the connection.
inline void check_answers(const Attack& row, std::string_view received) {
    std::vector<porthole::testing::Answer> answers;
    bool is_head = row.is_head();
    while (!received.empty()) {
        porthole::testing::Answer answer;
        const auto reading = porthole::testing::read_answer(received, is_head, true, answer);
        REQUIRE(reading.status == porthole::detail::ParseStatus::complete);
        received.remove_prefix(reading.size);
        is_head = false;
        if (answer.status != 100) {
            answers.push_back(answer);
        }
    }
    const bool is_10 = row.bytes.find(" HTTP/1.0\r\n") != std::string::npos;
    REQUIRE(answers.size() == (row.then == Then::goes_on && !is_10 ? 2u : 1u));
    CHECK(answers[0].status == row.status);
    if (row.then == Then::ends && !is_10) {
        CHECK(answers[0].header("Connection") == "close");
    }
    if (row.status >= 400) {
        CHECK(answers[0].header("Content-Type") == "text/plain; charset=utf-8");
    }
    for (const auto& answer : answers) {
        CHECK_FALSE(answer.has_header("Access-Control-Allow-Origin"));
        CHECK_FALSE(answer.has_header("Access-Control-Allow-Methods"));
        CHECK_FALSE(answer.has_header("Access-Control-Allow-Headers"));
        CHECK(answer.header("X-Content-Type-Options") == "nosniff");
        CHECK(answer.header("Cross-Origin-Resource-Policy") == "same-origin");
        CHECK(answer.header("Referrer-Policy") == "no-referrer");
        CHECK(answer.body.find("evil") == std::string::npos);
    }
}

/// What must be true of the program behind the server.
inline void check_target(const Attack& row, const AttackTarget& target) {
    CHECK(target.handled == (row.status < 400 ? 1 : 0));
    CHECK(target.followers == (row.then == Then::goes_on ? 1 : 0));
}

} // namespace porthole_test
