// SPDX-License-Identifier: MIT

// The token: how it is made, how it is shown, what it becomes in a browser, and where it must never
// appear. Exposed listeners, which always ask for one, are in loopback/expose_test.cpp.

#include "support/options.hpp"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

using porthole::AccessRecord;
using porthole::LogEvent;
using porthole::Options;
using porthole::Request;
using porthole::Response;
using porthole::Server;
using porthole::detail::redact_token;
using porthole::testing::Answer;
using porthole::testing::Client;
using porthole::testing::FieldList;

namespace {

Options asking(std::string token = {}) {
    Options options = porthole_test::options();
    options.guard.requires_token = true;
    options.guard.token = std::move(token);
    return options;
}

void add_routes(Server& server) {
    const auto error = server.mount(
        "/", [](const Request& request, Response& response) { response.text(request.target()); });
    CHECK_FALSE(error);
}

Answer
ask(Server& server, std::string_view target, const FieldList& fields = {},
    std::string_view method = "GET") {
    Client client(server);
    return client.request(method, target, fields);
}

/// The "name=value" of the cookie that an answer sets.
std::string cookie_of(const Answer& answer) {
    const std::string_view field = answer.header("Set-Cookie");
    return std::string(field.substr(0, field.find(';')));
}

std::string bearer(const Server& server) {
    return "Bearer " + server.token();
}

/// Where the token as a query of that target leads to.
std::string location_for(std::string_view target) {
    Server server(asking("t0ken"));
    add_routes(server);
    const Answer answer = ask(server, target);
    CHECK(answer.status == 303);
    return std::string(answer.header("Location"));
}

} // namespace

TEST_CASE("guard_token: without it there is 401 and a challenge (RFC 6750 section 3)") {
    Server server(asking());
    add_routes(server);
    for (const std::string_view method : {"GET", "HEAD", "POST", "OPTIONS", "BREW"}) {
        CAPTURE(method);
        const Answer answer = ask(server, "/", {}, method);
        CHECK(answer.status == 401);
        CHECK(answer.header("WWW-Authenticate") == "Bearer");
        CHECK(answer.header("Connection") == "close");
        CHECK(answer.header("X-Content-Type-Options") == "nosniff");
    }
    CHECK(ask(server, "/", {{"Host", "evil.test"}}).status == 403); // the other rules come first
}

TEST_CASE("guard_token: a server that does not ask for it takes no notice of it") {
    Server server(porthole_test::options());
    add_routes(server);
    CHECK(ask(server, "/?token=x").status == 200);
    CHECK(ask(server, "/", {{"Authorization", "Bearer x"}}).status == 200);
}

TEST_CASE("guard_token: Authorization: Bearer lets every method in") {
    Server server(asking());
    add_routes(server);
    const std::string right = bearer(server);
    for (const std::string_view method : {"GET", "HEAD", "POST", "DELETE"}) {
        CAPTURE(method);
        Client client(server);
        client.send(porthole::testing::write_request(method, "/", {{"authorization", right}}));
        CHECK(client.read_answer(method == "HEAD").status == 200);
    }
    CHECK(ask(server, "/", {{"Authorization", "bEARER " + server.token()}}).status == 200);
}

TEST_CASE("guard_token: a wrong, cut, doubled or empty one is 401") {
    Server server(asking());
    add_routes(server);
    const std::string token = server.token();
    std::string changed = token;
    changed.back() = changed.back() == 'A' ? 'B' : 'A';
    for (const std::string& value :
         {std::string(), std::string("Bearer"), std::string("Bearer "), "Bearer " + changed,
          "Bearer " + token.substr(1), "Bearer " + token + "A", "Bearer  " + token,
          "Bearer\t" + token, "Basic " + token, token, "Bearer " + token + ",",
          "Bearer \"" + token + "\""}) {
        CAPTURE(value);
        CHECK(ask(server, "/", {{"Authorization", value}}).status == 401);
    }
    const std::string right = bearer(server);
    CHECK(ask(server, "/", {{"Authorization", right}, {"Authorization", right}}).status == 401);
    for (const std::string& target :
         {std::string("/?token="), std::string("/?token"), "/?token=" + changed, "/?Token=" + token,
          "/?token=" + changed + "&token=" + token, "/?a=token=" + token, "/token=" + token,
          "/?tokens=" + token, "/?xtoken=" + token}) {
        CAPTURE(target);
        CHECK(ask(server, target).status == 401);
    }
    for (const std::string_view method : {"HEAD", "POST", "PUT", "OPTIONS"}) {
        CHECK(ask(server, "/?token=" + token, {}, method).status == 401);
    }
    CHECK(ask(server, "/", {{"Cookie", "porthole-session=" + token}}).status == 401);
    CHECK(ask(server, "/", {{"Cookie", "porthole-session="}}).status == 401);
    CHECK(ask(server, "/", {{"Cookie", "token=" + token}}).status == 401);
}

TEST_CASE("guard_token: an empty secret never equals an empty answer") {
    const porthole::Guard guard;
    porthole::detail::Gatekeeper gatekeeper(guard); // has made no secrets
    const std::string bytes =
        "GET /?token= HTTP/1.1\r\nHost: localhost\r\nCookie: porthole-session=\r\n"
        "Authorization: Bearer \r\n\r\n";
    const porthole::Limits limits;
    porthole::detail::RequestParser parser(limits);
    static_cast<void>(parser.parse(bytes));
    porthole::detail::RequestParts parts;
    static_cast<void>(parts.set_head(parser.head(), bytes.data()));
    porthole::detail::GuardContext context;
    context.needs_token = true;
    const auto verdict = gatekeeper.judge(Request(parts), context);
    CHECK(verdict.kind == porthole::detail::GuardVerdict::Kind::refuse);
    CHECK(verdict.status == 401);
}

TEST_CASE("guard_token: as a query it becomes a session cookie that is not the token") {
    Server server(asking());
    add_routes(server);
    const std::string token = server.token();
    const Answer login = ask(server, "/page?token=" + token, {{"Host", "localhost:8080"}});
    CHECK(login.status == 303);
    CHECK(login.header("Location") == "/page");
    const std::string set(login.header("Set-Cookie"));
    const std::string cookie = cookie_of(login);
    CHECK(cookie.rfind("porthole-session-8080=", 0) == 0);
    CHECK(cookie.size() == std::string("porthole-session-8080=").size() + 43);
    CHECK(set.find("; HttpOnly") != std::string::npos);
    CHECK(set.find("; SameSite=Strict") != std::string::npos);
    CHECK(set.find("; Path=/") != std::string::npos);
    CHECK(set.find("Max-Age") == std::string::npos);
    CHECK(set.find("Domain") == std::string::npos);
    CHECK(set.find("Secure") == std::string::npos); // it is http
    for (const auto& field : login.fields) {
        CHECK(field.second.find(token) == std::string::npos);
    }
    CHECK(login.body.find(token) == std::string::npos);

    const FieldList with_cookie = {{"Host", "localhost:8080"}, {"Cookie", cookie}};
    CHECK(ask(server, "/page", with_cookie).status == 200);
    CHECK(ask(server, "/page", with_cookie, "POST").status == 200);
    // The cookie's name is that of the port, and another server's session is worth nothing.
    CHECK(ask(server, "/", {{"Host", "localhost:8081"}, {"Cookie", cookie}}).status == 401);
    Server other(asking());
    add_routes(other);
    CHECK(ask(other, "/page", with_cookie).status == 401);
}

TEST_CASE("guard_token: the session does not open what the other rules close") {
    Server server(asking());
    add_routes(server);
    const std::string cookie = cookie_of(ask(server, "/?token=" + server.token()));
    CHECK(ask(server, "/", {{"Cookie", cookie}}).status == 200);
    CHECK(ask(server, "/", {{"Cookie", cookie}, {"Origin", "http://evil.test"}}).status == 403);
    CHECK(ask(server, "/", {{"Cookie", cookie}, {"Sec-Fetch-Site", "same-site"}}).status == 403);
    CHECK(ask(server, "/", {{"Cookie", cookie}, {"Host", "evil.test"}}).status == 403);
}

TEST_CASE("guard_token: the token leaves the address also when there is a session already") {
    Server server(asking());
    add_routes(server);
    const std::string target = "/page?token=" + server.token();
    const std::string cookie = cookie_of(ask(server, target));
    const Answer again = ask(server, target, {{"Cookie", cookie}});
    CHECK(again.status == 303);
    CHECK(again.header("Location") == "/page");
    // A program's own parameter of that name is the program's business.
    const Answer own = ask(server, "/page?token=other", {{"Cookie", cookie}});
    CHECK(own.status == 200);
    CHECK(own.body == "/page?token=other");
}

TEST_CASE("guard_token: the clean address keeps the rest of the query, as it was") {
    CHECK(location_for("/?token=t0ken") == "/");
    CHECK(location_for("/a/b?token=t0ken") == "/a/b");
    CHECK(location_for("/?a=1&token=t0ken") == "/?a=1");
    CHECK(location_for("/?token=t0ken&a=1") == "/?a=1");
    CHECK(location_for("/?a=%26b&token=t0ken&c=x+y") == "/?a=%26b&c=x+y");
    CHECK(location_for("/?token=t0ken&token=again") == "/");
    CHECK(location_for("/?tokens=1&token=t0ken&xtoken=2") == "/?tokens=1&xtoken=2");
    CHECK(location_for("/?token=t0ken&a") == "/?a");
    CHECK(location_for("http://localhost/a?token=t0ken") == "/a");
    CHECK(location_for("http://localhost?token=t0ken") == "/");
}

TEST_CASE("guard_token: a token under an encoded name leaves the address, too") {
    CHECK(location_for("/?tok%65n=t0ken") == "/");
    CHECK(location_for("/?a=1&%74%6F%6b%65%6E=%740ken") == "/?a=1");
}

TEST_CASE("guard_token: the clean address never leads to another host") {
    CHECK(location_for("//evil.test/?token=t0ken") == "/evil.test/");
    CHECK(location_for("////evil.test?token=t0ken") == "/evil.test");
    CHECK(location_for("/\\evil.test?token=t0ken") == "/evil.test");
    CHECK(location_for("/\\/\\evil.test?token=t0ken") == "/evil.test");
    CHECK(location_for("http://localhost//evil.test?token=t0ken") == "/evil.test");
}

TEST_CASE("guard_token: control characters cannot get into the clean address") {
    Server server(asking("t0ken"));
    add_routes(server);
    const Answer answer = ask(server, "/a%0d%0aSet-Cookie:%20x=1?token=t0ken&b=%0d%0aX:%201");
    CHECK(answer.status == 303);
    CHECK(answer.header("Location") == "/a%0d%0aSet-Cookie:%20x=1?b=%0d%0aX:%201");
    CHECK_FALSE(answer.has_header("X"));
}

TEST_CASE("guard_token: one is made for each server and stays, 32 bytes as base64url") {
    Server server(asking());
    const std::string token = server.token();
    CHECK(token.size() == 43);
    CHECK(
        token.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
        == std::string::npos);
    CHECK(server.token() == token);
    const auto error = server.listen("127.0.0.1", 0);
    REQUIRE_FALSE(error);
    CHECK(server.token() == token);
    Server other(asking());
    CHECK(other.token() != token);
    Server own(asking("my own"));
    CHECK(own.token() == "my own");
}

TEST_CASE("guard_token: the urls carry it, encoded where it needs to be") {
    Server server(asking());
    const auto error = server.listen("127.0.0.1", 0);
    REQUIRE_FALSE(error);
    REQUIRE(server.urls().size() == 1);
    CHECK(
        server.urls()[0]
        == "http://localhost:" + std::to_string(server.port()) + "/?token=" + server.token());
    Server own(asking("a b&c#d+%"));
    add_routes(own);
    const auto own_error = own.listen("127.0.0.1", 0);
    REQUIRE_FALSE(own_error);
    REQUIRE(own.urls().size() == 1);
    const std::string url = own.urls()[0];
    CHECK(url.substr(url.find("/?")) == "/?token=a%20b%26c%23d%2B%25");
    CHECK(ask(own, url.substr(url.find("/?"))).status == 303);
    Server open(porthole_test::options());
    const auto open_error = open.listen("127.0.0.1", 0);
    REQUIRE_FALSE(open_error);
    CHECK(open.urls()[0].find("token") == std::string::npos);
}

TEST_CASE("guard_token: it is in no log, whichever way it came") {
    std::string logged;
    Options options = asking("s3cretT0ken");
    options.log = [&](const LogEvent& event) {
        logged.append(event.sentence).append(event.peer).append("\n");
    };
    options.access_log = [&](const AccessRecord& record) {
        porthole::write_common_log(record, logged);
        logged.append(record.target).append("\n");
    };
    Server server(options);
    add_routes(server);
    const auto error = server.listen("127.0.0.1", 0);
    REQUIRE_FALSE(error);
    ask(server, "/?token=s3cretT0ken&a=1");
    ask(server, "/?a=1&token=s3cretT0ken");
    ask(server, "/?tok%65n=s3cretT0ken");
    ask(server, "http://localhost/?token=s3cretT0ken");
    ask(server, "/", {{"Authorization", "Bearer s3cretT0ken"}});
    ask(server, "/?token=s3cretT0ken", {{"Host", "evil.test"}});
    ask(server, "/?token=s3cretT0ken", {}, "POST");
    ask(server, "/?token=s3cretT0ken", {{"Authorization", "Bearer s3cretT0ken"}});
    CHECK(logged.find("s3cret") == std::string::npos);
    CHECK(logged.find("/?token=***&a=1") != std::string::npos);
}

TEST_CASE("guard_token: redact_token blots out every value of that parameter and nothing else") {
    const std::pair<std::string_view, std::string_view> rows[] = {
        {"", ""},
        {"/", "/"},
        {"*", "*"},
        {"/?", "/?"},
        {"/?&&", "/?&&"},
        {"/token=abc", "/token=abc"},
        {"/?token=abc", "/?token=***"},
        {"/?token=", "/?token=***"},
        {"/?token", "/?token"},
        {"/?a=1&token=abc", "/?a=1&token=***"},
        {"/?token=abc&b=2", "/?token=***&b=2"},
        {"/?token=a&token=b", "/?token=***&token=***"},
        {"/?token=a=b", "/?token=***"},
        {"/?token=a?token=b", "/?token=***"},
        {"/?tokens=abc&xtoken=abc", "/?tokens=abc&xtoken=abc"},
        {"/?a=token=abc", "/?a=token=abc"},
        {"/?tok%65n=abc", "/?tok%65n=***"},
        {"/?%74%6F%6b%65%6E=abc&x", "/?%74%6F%6b%65%6E=***&x"},
        {"http://localhost/?token=abc", "http://localhost/?token=***"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.first);
        CHECK(redact_token(row.first) == row.second);
    }
}

TEST_CASE("guard_token: the comparison looks at every byte and at nothing beyond the sizes") {
    using porthole::detail::equals_in_constant_time;
    CHECK(equals_in_constant_time("", ""));
    CHECK(equals_in_constant_time("abc", "abc"));
    CHECK_FALSE(equals_in_constant_time("abc", "ab"));
    CHECK_FALSE(equals_in_constant_time("ab", "abc"));
    CHECK_FALSE(equals_in_constant_time("", "a"));
    const std::string text(64, 'x');
    for (std::size_t i = 0; i < text.size(); ++i) {
        for (const unsigned bit : {1u, 0x80u}) {
            std::string other = text;
            other[i] = static_cast<char>(static_cast<unsigned char>(other[i]) ^ bit);
            CHECK_FALSE(equals_in_constant_time(text, other));
        }
    }
}
