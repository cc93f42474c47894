// SPDX-License-Identifier: MIT

#include "support/options.hpp"

#include <string>
#include <string_view>
#include <vector>

using porthole::Group;
using porthole::Handler;
using porthole::Options;
using porthole::Request;
using porthole::Response;
using porthole::RouteHandle;
using porthole::Server;
using porthole::testing::Client;

namespace {

/// Answers with its own name.
Handler say(std::string name) {
    return [name = std::move(name)](const Request&, Response& response) {
        response.text(name);
    };
}

/// Answers with what a parameter stands for.
Handler say_param(std::string name) {
    return [name = std::move(name)](const Request& request, Response& response) {
        response.text("[" + std::string(request.param(name)) + "]");
    };
}

std::string get(Server& server, std::string_view target) {
    return Client(server).get(target).body;
}

int status_of(Server& server, std::string_view method, std::string_view target) {
    return Client(server).request(method, target).status;
}

} // namespace

TEST_CASE("router: a literal beats a parameter, which beats a wildcard, in every order") {
    const std::string_view patterns[] = {"/a/b", "/a/:x", "/a/*"};
    const int orders[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    for (const auto& order : orders) {
        Server server(porthole_test::options());
        for (const int i : order) {
            server.get(patterns[i], say(std::string(patterns[i])));
        }
        CHECK(get(server, "/a/b") == "/a/b");
        CHECK(get(server, "/a/c") == "/a/:x");
        CHECK(get(server, "/a/b/c") == "/a/*");
        CHECK(get(server, "/a/") == "/a/*");
        CHECK(status_of(server, "GET", "/a") == 404);
    }
}

TEST_CASE("router: an earlier segment decides before a later one") {
    Server server(porthole_test::options());
    server.get("/:x/literal", say("parameter first"));
    server.get("/a/:y", say("literal first"));
    CHECK(get(server, "/a/literal") == "literal first");
    CHECK(get(server, "/b/literal") == "parameter first");
}

TEST_CASE("router: a better branch that leads nowhere is left again") {
    Server server(porthole_test::options());
    server.get("/a/b/c", say("deep"));
    server.get("/:x/b/d", say_param("x"));
    server.get("/*rest", say_param("rest"));
    CHECK(get(server, "/a/b/c") == "deep");
    CHECK(get(server, "/a/b/d") == "[a]");
    CHECK(get(server, "/a/b/e") == "[a/b/e]");
    CHECK(get(server, "/a/b") == "[a/b]");
}

TEST_CASE("router: a literal that answers other methods only is left for a parameter") {
    Server server(porthole_test::options());
    server.post("/users/me", say("post"));
    server.get("/users/:id", say_param("id"));
    CHECK(get(server, "/users/me") == "[me]");
    const auto answer = Client(server).request("DELETE", "/users/me");
    CHECK(answer.status == 405);
    CHECK(answer.header("Allow") == "POST, GET, HEAD, OPTIONS");
}

TEST_CASE("router: the newest of equal routes wins, and its removal brings the older one back") {
    Server server(porthole_test::options());
    server.get("/x", say("old"));
    RouteHandle newer = server.get("/x", say("new"));
    CHECK(get(server, "/x") == "new");
    newer.remove();
    CHECK_FALSE(newer.is_valid());
    CHECK(get(server, "/x") == "old");
    server.get("/p/:a", say_param("a"));
    RouteHandle other = server.get("/p/:b", say_param("b"));
    CHECK(get(server, "/p/1") == "[1]");
    other.remove();
    other.remove();
    CHECK(get(server, "/p/2") == "[2]");
}

TEST_CASE("router: custom methods, in their exact case (RFC 9110 section 9.1)") {
    Server server(porthole_test::options());
    server.route("PURGE", "/cache", say("purged"));
    Client client(server);
    CHECK(client.request("PURGE", "/cache").body == "purged");
    CHECK(client.request("BREW", "/cache").status == 501);
    CHECK(client.request("purge", "/cache").status == 501);
    const auto answer = client.get("/cache");
    CHECK(answer.status == 405);
    CHECK(answer.header("Allow") == "PURGE, OPTIONS");
}

TEST_CASE("router: HEAD goes to GET's route unless it has its own") {
    Server server(porthole_test::options());
    server.get("/x", say("four"));
    Client client(server);
    const auto answer = client.request("HEAD", "/x");
    CHECK(answer.status == 200);
    CHECK(answer.header("Content-Length") == "4");
    CHECK(answer.body.empty());
    server.route("HEAD", "/x", [](const Request&, Response& response) { response.status(201); });
    server.get("/x", say("newer"));
    CHECK(client.request("HEAD", "/x").status == 201);
    CHECK(client.get("/x").body == "newer");
}

TEST_CASE("router: OPTIONS and 405 come by themselves (RFC 9110 sections 9.3.7 and 15.5.6)") {
    Server server(porthole_test::options());
    server.get("/x", say("get"));
    server.put("/x", say("put"));
    server.patch("/x", say("patch"));
    server.del("/x", say("delete"));
    server.route("OPTIONS", "/own", say("mine"));
    Client client(server);
    for (const std::string_view method : {"OPTIONS", "POST"}) {
        const auto answer = client.request(method, "/x");
        CHECK(answer.status == (method == "OPTIONS" ? 204 : 405));
        CHECK(answer.header("Allow") == "GET, HEAD, PUT, PATCH, DELETE, OPTIONS");
    }
    CHECK(client.request("OPTIONS", "/own").body == "mine");
    CHECK(client.request("OPTIONS", "/nothing").status == 404);
    const auto all = client.request("OPTIONS", "*");
    CHECK(all.status == 204);
    CHECK_FALSE(all.has_header("Allow"));
}

TEST_CASE("router: an unknown method is 501 wherever no route takes it") {
    Server server(porthole_test::options());
    server.get("/x", say("x"));
    CHECK(status_of(server, "BREW", "/x") == 501);
    CHECK(status_of(server, "BREW", "/nothing") == 501);
    CHECK(status_of(server, "DELETE", "/nothing") == 404);
}

TEST_CASE("router: an encoded slash stays within its segment (RFC 3986 section 2.2)") {
    Server server(porthole_test::options());
    server.get("/files/:name", say_param("name"));
    server.get("/files/:name/meta", say("meta"));
    CHECK(get(server, "/files/a%2Fb") == "[a/b]");
    CHECK(get(server, "/files/a%2fmeta") == "[a/meta]");
    CHECK(get(server, "/files/a%2Fb/meta") == "meta");
    CHECK(get(server, "/files/%2F") == "[/]");
    CHECK(status_of(server, "GET", "/files/a/b") == 404);
    CHECK(status_of(server, "GET", "/files%2Fa") == 404);
}

TEST_CASE("router: parameters are decoded once") {
    Server server(porthole_test::options());
    server.get("/p/:x", say_param("x"));
    CHECK(get(server, "/p/a%20b%2520c") == "[a b%20c]");
    CHECK(get(server, "/p/%3Ax+y") == "[:x+y]");
    CHECK(get(server, "/p/:x") == "[:x]");
    CHECK(get(server, "/p/*") == "[*]");
}

TEST_CASE("router: dot segments are taken out, raw and encoded (RFC 3986 section 5.2.4)") {
    Server server(porthole_test::options());
    server.get("/a/b", say("b"));
    server.get("/a/", say("slash"));
    server.get("/x/:p/y", say_param("p"));
    for (const std::string_view target :
         {"/a/./b", "/a/c/../b", "/%2e/a/b", "/a/c/%2E./b", "/a/c/.%2e/b"}) {
        CAPTURE(target);
        CHECK(get(server, target) == "b");
    }
    for (const std::string_view target : {"/a/.", "/a/b/..", "/a/b/%2e%2e", "/a/c/../"}) {
        CAPTURE(target);
        CHECK(get(server, target) == "slash");
    }
    CHECK(status_of(server, "GET", "/../a/b") == 400); // above the root
    CHECK(get(server, "/x/a%2Fb/../c%2Fd/y") == "[c/d]");
    CHECK(get(server, "/x/.../y") == "[...]");
    CHECK(get(server, "/x/..a/y") == "[..a]");
}

TEST_CASE("router: an empty segment is a segment, and no parameter's value") {
    Server server(porthole_test::options());
    server.get("/a/:x/b", say_param("x"));
    server.get("/a//b", say("empty"));
    server.get("/w/*rest", say_param("rest"));
    CHECK(get(server, "/a//b") == "empty");
    CHECK(status_of(server, "GET", "/a///b") == 404);
    CHECK(status_of(server, "GET", "//a//b") == 404);
    CHECK(get(server, "/w/") == "[]");
    CHECK(get(server, "/w//x/") == "[/x/]");
    CHECK(status_of(server, "GET", "/w") == 404);
    Server other(porthole_test::options());
    other.get("/a/:x/b", say_param("x"));
    other.get("/p/:x", say_param("x"));
    CHECK(status_of(other, "GET", "/a//b") == 404);
    CHECK(status_of(other, "GET", "/p/") == 404);
}

TEST_CASE("router: a trailing slash makes another path") {
    Server server(porthole_test::options());
    server.get("/a", say("without"));
    server.get("/b/", say("with"));
    server.get("/", say("root"));
    CHECK(get(server, "/a") == "without");
    CHECK(status_of(server, "GET", "/a/") == 404);
    CHECK(get(server, "/b/") == "with");
    CHECK(status_of(server, "GET", "/b") == 404);
    CHECK(get(server, "/") == "root");
    CHECK(get(server, "/?q=/a") == "root");
}

TEST_CASE("router: wildcards with a name and without one") {
    Server server(porthole_test::options());
    server.get("/a/*", say_param("*"));
    server.get("/b/:x/*tail", [](const Request& request, Response& response) {
        response.text(
            std::string(request.param("x")) + "|" + std::string(request.param("tail")) + "|"
            + std::string(request.param("other")));
    });
    CHECK(get(server, "/a/b/c%2Fd/../e") == "[b/e]");
    CHECK(get(server, "/b/1/2/3") == "1|2/3|");
    CHECK(get(server, "/b/1/") == "1||");
}

TEST_CASE("router: a bad pattern is misuse, is logged, and gives a handle that does nothing") {
    int logged = 0;
    Options options = porthole_test::options();
    options.log = [&logged](const porthole::LogEvent& event) {
        logged += event.id == porthole::LogId::bad_pattern ? 1 : 0;
    };
    Server server(options);
    const std::string_view patterns[] = {"", "x", "x/y", "/:", "/a/:/b", "/*/b", "/a/*rest/b"};
    int expected = 0;
    for (const std::string_view pattern : patterns) {
        CAPTURE(pattern);
        const int misuse = porthole_test::misuse_count;
        RouteHandle handle = server.get(pattern, say("never"));
        CHECK(porthole_test::misuse_count == misuse + 1);
        CHECK(logged == ++expected);
        CHECK_FALSE(handle.is_valid());
        handle.max_body_bytes(1).remove();
    }
    const int misuse = porthole_test::misuse_count;
    CHECK_FALSE(server.route("BAD METHOD", "/x", say("never")).is_valid());
    CHECK_FALSE(server.route("", "/x", say("never")).is_valid());
    CHECK_FALSE(server.get("/x", Handler()).is_valid());
    CHECK(porthole_test::misuse_count == misuse + 3);
    CHECK(logged == expected + 3);
    CHECK(status_of(server, "GET", "/x") == 404);
}

TEST_CASE("router: deep patterns and deep paths") {
    constexpr int depth = 500;
    Server server(porthole_test::options());
    std::string pattern;
    std::string path;
    for (int i = 0; i < depth; ++i) {
        pattern += "/:p" + std::to_string(i);
        path += "/v";
    }
    server.get(pattern, say_param("p499"));
    CHECK(get(server, path) == "[v]");
    CHECK(status_of(server, "GET", path + "/v") == 404);
    CHECK(status_of(server, "GET", path.substr(2)) != 200);
    CHECK(status_of(server, "GET", std::string(8000, '/')) == 404);
}

TEST_CASE("router: many routes, added and removed") {
    constexpr std::size_t count = 1000;
    Server server(porthole_test::options());
    std::vector<RouteHandle> handles;
    for (std::size_t i = 0; i < count; ++i) {
        const std::string number = std::to_string(i);
        handles.push_back(server.get("/r" + std::to_string(i % 10) + "/" + number, say(number)));
    }
    for (std::size_t i = 0; i < count; i += 97) {
        const std::string path = "/r" + std::to_string(i % 10) + "/" + std::to_string(i);
        CHECK(get(server, path) == std::to_string(i));
        handles[i].remove();
        CHECK(status_of(server, "GET", path) == 404);
    }
}

TEST_CASE("router: virtual hosts by exact name and by suffix, others fall through") {
    Server server(porthole_test::options());
    server.get("/x", say("any"));
    server.get("/only-any", say("any"));
    server.host("tools.localhost").get("/x", say("tools"));
    server.host("*.localhost").get("/x", say("suffix"));
    server.host("*.deep.localhost").get("/x", say("deep"));
    const auto ask = [&server](std::string_view host, std::string_view target = "/x") {
        return Client(server).get(target, {{"Host", host}}).body;
    };
    CHECK(ask("localhost") == "any");
    CHECK(ask("tools.localhost") == "tools");
    CHECK(ask("TOOLS.LocalHost:8080") == "tools");
    CHECK(ask("tools.localhost.") == "tools");
    CHECK(ask("other.localhost") == "suffix");
    CHECK(ask("a.b.localhost") == "suffix");
    CHECK(ask("a.deep.localhost") == "deep");
    CHECK(ask("deep.localhost") == "suffix");
    CHECK(ask("tools.localhost", "/only-any") == "any");
    CHECK(ask("127.0.0.1") == "any");
}

TEST_CASE("router: names of virtual hosts compare in any case and without a last dot") {
    Server server(porthole_test::options());
    server.host("Tools.LOCALHOST.").get("/x", say("tools"));
    server.host("tools.localhost").post("/x", say("posted"));
    Client client(server);
    CHECK(client.get("/x", {{"Host", "tools.localhost"}}).body == "tools");
    CHECK(client.request("POST", "/x", {{"Host", "tools.localhost"}}).body == "posted");
    CHECK(
        client.request("PUT", "/x", {{"Host", "tools.localhost"}}).header("Allow")
        == "GET, HEAD, POST, OPTIONS");
    CHECK(client.get("/x").status == 404);
}

TEST_CASE("router: Allow names the methods of the virtual host and of any host") {
    Server server(porthole_test::options());
    server.host("tools.localhost").get("/x", say("tools"));
    server.post("/x", say("any"));
    Client client(server);
    const auto answer = client.request("PUT", "/x", {{"Host", "tools.localhost"}});
    CHECK(answer.status == 405);
    CHECK(answer.header("Allow") == "GET, HEAD, POST, OPTIONS");
    CHECK(client.request("PUT", "/x").header("Allow") == "POST, OPTIONS");
}

TEST_CASE("router: the target's authority chooses the virtual host (RFC 9112 section 3.2.2)") {
    Server server(porthole_test::options());
    server.get("/x", say("any"));
    server.host("tools.localhost").get("/x", say("tools"));
    CHECK(
        Client(server).get("http://tools.localhost/x", {{"Host", "tools.localhost"}}).body
        == "tools");
}

TEST_CASE("router: groups put their prefix before patterns, nested ones too") {
    Server server(porthole_test::options());
    Group api = server.group("/api");
    Group user = api.group("/users/:id/");
    api.get("/ping", say("pong"));
    user.get("/name", say_param("id"));
    user.get("/files/*path", say_param("path"));
    CHECK(get(server, "/api/ping") == "pong");
    CHECK(get(server, "/api/users/7/name") == "[7]");
    CHECK(get(server, "/api/users/7/files/a/b") == "[a/b]");
    CHECK(status_of(server, "GET", "/ping") == 404);
}

TEST_CASE("router: clear() takes a group's routes and those of the groups within") {
    Server server(porthole_test::options());
    server.get("/keep", say("kept"));
    Group api = server.group("/api");
    Group inner = api.group("/inner");
    RouteHandle handle = api.get("/a", say("a"));
    inner.get("/b", say("b"));
    api.clear();
    CHECK_FALSE(handle.is_valid());
    CHECK(status_of(server, "GET", "/api/a") == 404);
    CHECK(status_of(server, "GET", "/api/inner/b") == 404);
    CHECK(get(server, "/keep") == "kept");
    inner.get("/b", say("again"));
    CHECK(get(server, "/api/inner/b") == "again");
    server.clear();
    CHECK(status_of(server, "GET", "/keep") == 404);
}
