// SPDX-License-Identifier: MIT

// Meta-variables, as pure functions of a request's head.

#include "support/test.hpp"

#include <algorithm>
#include <string>
#include <vector>

using namespace porthole;
using namespace porthole::detail;

namespace {

/// The environment of a request with that head.
class Environment {
public:
    explicit Environment(const std::string& head, CgiContext context = {})
        : bytes_(head), parser_(limits_) {
        REQUIRE(parser_.parse(bytes_) == ParseStatus::complete);
        REQUIRE(parts_.set_head(parser_.head(), bytes_.data()) == RequestFault::none);
        parts_.peer = "127.0.0.1:5000";
        lines = build_cgi_environment(Request(parts_), context);
    }
    std::string operator[](const std::string& name) const {
        std::string value = "(none)";
        int count = 0;
        for (const std::string& line : lines) {
            if (line.compare(0, name.size() + 1, name + "=") == 0) {
                value = line.substr(name.size() + 1);
                ++count;
            }
        }
        CHECK(count <= 1);
        return value;
    }
    std::vector<std::string> lines;

private:
    Limits limits_;
    std::string bytes_;
    RequestParser parser_;
    RequestParts parts_;
};

std::string get(const std::string& target, const std::string& fields = "Host: localhost\r\n") {
    return "GET " + target + " HTTP/1.1\r\n" + fields + "\r\n";
}

} // namespace

TEST_CASE("cgi environment: which fields become variables, and as what (RFC 3875 4.1.18)") {
    const struct {
        std::string_view name;
        std::string_view variable;
        bool with_authorization = false;
    } rows[] = {
        {"Accept", "HTTP_ACCEPT"},
        {"accept-language", "HTTP_ACCEPT_LANGUAGE"},
        {"X-1", "HTTP_X_1"},
        {"Host", "HTTP_HOST"},
        {"X_Under", ""},
        {"X.Dot", ""},
        {"X~", ""},
        {"", ""},
        {"Proxy", ""},
        {"PROXY", ""},
        {"Proxy-Authorization", "", true},
        {"Authorization", ""},
        {"Authorization", "HTTP_AUTHORIZATION", true},
        {"Content-Type", ""},
        {"Content-Length", ""},
        {"Content-Encoding", "HTTP_CONTENT_ENCODING"},
        {"Connection", ""},
        {"Keep-Alive", ""},
        {"TE", ""},
        {"Trailer", ""},
        {"Transfer-Encoding", ""},
        {"Upgrade", ""},
        {"Expect", ""},
    };
    for (const auto& row : rows) {
        CAPTURE(row.name);
        CHECK(cgi_field_variable(row.name, row.with_authorization) == row.variable);
    }
}

TEST_CASE("cgi environment: peers as addresses (RFC 3875 4.1.8)") {
    const struct {
        std::string_view peer;
        std::string_view address;
        std::string_view port;
    } rows[] = {
        {"127.0.0.1:80", "127.0.0.1", "80"},
        {"[::1]:8080", "::1", "8080"},
        {"[fe80::1%eth0]:1", "fe80::1%eth0", "1"},
        {"unix:", "127.0.0.1", ""},
        {"unix:/run/x:1", "127.0.0.1", ""},
        {"memory", "0.0.0.0", ""},
        {"", "0.0.0.0", ""},
        {"[x]:1", "0.0.0.0", ""},
    };
    for (const auto& row : rows) {
        CAPTURE(row.peer);
        CHECK(split_peer(row.peer).address == row.address);
        CHECK(split_peer(row.peer).port == row.port);
    }
}

TEST_CASE("cgi environment: the server as the client named it (RFC 3875 4.1.14, 4.1.15)") {
    const struct {
        std::string_view fields;
        std::string_view name;
        std::string_view port;
    } rows[] = {
        {"Host: localhost:8080\r\n", "localhost", "8080"},
        {"Host: localhost\r\n", "localhost", "80"},
        {"Host: [::1]:7\r\n", "[::1]", "7"},
    };
    for (const auto& row : rows) {
        const Environment e(get("/", std::string(row.fields)));
        CHECK(e["SERVER_NAME"] == row.name);
        CHECK(e["SERVER_PORT"] == row.port);
    }
    CgiContext context;
    context.port = 8123;
    const Environment old("GET / HTTP/1.0\r\n\r\n", context);
    CHECK(old["SERVER_NAME"] == "localhost");
    CHECK(old["SERVER_PORT"] == "8123");
    CHECK(old["SERVER_PROTOCOL"] == "HTTP/1.0");
}

TEST_CASE("cgi environment: paths (RFC 3875 4.1.5, 4.1.6, 4.1.13)") {
    CgiContext context;
    context.path_info = "/a b";
    context.document_root = "/srv/www";
    context.script_filename = "/srv/www/x.cgi";
    const Environment e(get("/cgi/x.cgi/a%20b?q=%20&r"), context);
    CHECK(e["SCRIPT_NAME"] == "/cgi/x.cgi");
    CHECK(e["PATH_INFO"] == "/a b");
    CHECK(e["PATH_TRANSLATED"] == "/srv/www/a b");
    CHECK(e["SCRIPT_FILENAME"] == "/srv/www/x.cgi");
    CHECK(e["QUERY_STRING"] == "q=%20&r");
    CHECK(e["REQUEST_URI"] == "/cgi/x.cgi/a%20b?q=%20&r");
    CHECK(e["GATEWAY_INTERFACE"] == "CGI/1.1");
    CHECK(e["REDIRECT_STATUS"] == "200");
    CHECK(e["HTTPS"] == "(none)");
    context.has_windows_paths = true;
    context.document_root = "C:\\www";
    CHECK(Environment(get("/cgi/x.cgi/a%20b"), context)["PATH_TRANSLATED"] == "C:\\www\\a b");
    context.document_root = "C:\\";
    CHECK(Environment(get("/cgi/x.cgi/a%20b"), context)["PATH_TRANSLATED"] == "C:\\a b");
    context.has_windows_paths = false;
    context.document_root = "/";
    CHECK(Environment(get("/cgi/x.cgi/a%20b"), context)["PATH_TRANSLATED"] == "/a b");
    context.document_root = "/srv/www/";
    CHECK(Environment(get("/cgi/x.cgi/a%20b"), context)["PATH_TRANSLATED"] == "/srv/www/a b");
    const Environment plain(get("http://localhost/x.cgi?y"));
    CHECK(plain["REQUEST_URI"] == "/x.cgi?y");
    CHECK(plain["PATH_INFO"].empty());
    CHECK(plain["PATH_TRANSLATED"] == "(none)");
    CHECK(plain["QUERY_STRING"] == "y");
    CHECK(Environment(get("http://localhost"))["REQUEST_URI"] == "/");
    CHECK(Environment(get("http://localhost?y"))["REQUEST_URI"] == "/?y");
    CHECK(Environment(get("/"))["QUERY_STRING"].empty());
}

TEST_CASE("cgi environment: content has its type and length (RFC 3875 4.1.2, 4.1.3)") {
    CgiContext context;
    context.content_length = 12;
    const Environment e(
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Type: a/b\r\nContent-Length: 12\r\n\r\n", context);
    CHECK(e["CONTENT_LENGTH"] == "12");
    CHECK(e["CONTENT_TYPE"] == "a/b");
    CHECK(e["HTTP_CONTENT_LENGTH"] == "(none)");
    CHECK(Environment(get("/"))["CONTENT_LENGTH"] == "(none)");
}

TEST_CASE("cgi environment: what the program adds beats the rest, and no name comes twice") {
    const CgiVariables extra{{"HTTP_ACCEPT", "mine"}, {"OWN", "1"}, {"OWN", "2"}};
    CgiContext context;
    context.extra = &extra;
    const Environment e(get("/", "Host: h\r\nAccept: theirs\r\nAccept: more\r\n"), context);
    CHECK(e["HTTP_ACCEPT"] == "mine");
    CHECK(e["OWN"] == "2");
    std::vector<std::string> names;
    for (const std::string& line : e.lines) {
        names.push_back(line.substr(0, line.find('=')));
    }
    std::sort(names.begin(), names.end());
    CHECK(std::adjacent_find(names.begin(), names.end()) == names.end());
}

TEST_CASE("cgi environment: on Windows a name is the same in any case") {
    const CgiVariables extra{{"PATH", "inherited"}, {"Path", "own"}, {"Pat", "other"}};
    CgiContext context;
    context.extra = &extra;
    const Environment posix(get("/"), context);
    CHECK(posix["PATH"] == "inherited");
    CHECK(posix["Path"] == "own");
    context.has_windows_paths = true;
    const Environment windows(get("/"), context);
    CHECK(windows["PATH"] == "(none)");
    CHECK(windows["Path"] == "own");
    CHECK(windows["Pat"] == "other");
}
