// SPDX-License-Identifier: MIT

#include "support/options.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using porthole::BeforeHook;
using porthole::Error;
using porthole::Group;
using porthole::Handler;
using porthole::Mount;
using porthole::Next;
using porthole::Request;
using porthole::Response;
using porthole::RouteHandle;
using porthole::Server;
using porthole::testing::Client;

namespace {

Handler say(std::string name) {
    return [name = std::move(name)](const Request&, Response& response) {
        response.text(name);
    };
}

using Trace = std::vector<std::string>;

void trace_hooks(Group& group, Trace& trace, const std::string& name) {
    group.before([&trace, name](const Request&, Response&) {
        trace.push_back("before " + name);
        return Next::go_on;
    });
    group.after([&trace, name](const Request&, Response&) { trace.push_back("after " + name); });
}

/// Answers with the path below its prefix, and tells when it dies.
class EchoMount final : public Mount {
public:
    explicit EchoMount(std::string name, std::shared_ptr<int> sentinel = nullptr)
        : name_(std::move(name)), sentinel_(std::move(sentinel)) {}
    void handle(const Request& request, Response& response) override {
        response.text(name_ + "[" + std::string(request.mount_path()) + "]");
    }

private:
    std::string name_;
    std::shared_ptr<int> sentinel_;
};

std::unique_ptr<Mount> echo(std::string name) {
    return std::make_unique<EchoMount>(std::move(name));
}

} // namespace

TEST_CASE("handler: hooks run around the handler, outer groups first and last") {
    Server server(porthole_test::options());
    Trace trace;
    trace_hooks(server, trace, "server");
    Group api = server.group("/api");
    trace_hooks(api, trace, "api");
    Group inner = api.group("/inner");
    trace_hooks(inner, trace, "inner");
    trace_hooks(inner, trace, "inner 2");
    inner.get("/x", [&trace](const Request&, Response& response) {
        trace.push_back("handler");
        response.text("x");
    });
    CHECK(Client(server).get("/api/inner/x").body == "x");
    CHECK(
        trace
        == Trace{
            "before server", "before api", "before inner", "before inner 2", "handler",
            "after inner", "after inner 2", "after api", "after server"});
    trace.clear();
    CHECK(Client(server).get("/api/nothing").status == 404);
    CHECK(trace == Trace{"before server", "after server"});
}

TEST_CASE("handler: Next::stop sends the hook's answer, or 403 when there is none") {
    Server server(porthole_test::options());
    Group api = server.group("/api");
    bool reached = false;
    int after = 0;
    api.before([](const Request& request, Response& response) {
        if (request.header("X-Key")) {
            return Next::go_on;
        }
        if (request.header("X-Say")) {
            response.status(401).text("who?");
        }
        return Next::stop;
    });
    api.after([&after](const Request&, Response& response) { after = response.status(); });
    api.get("/x", [&reached](const Request&, Response& response) {
        reached = true;
        response.text("in");
    });
    Client client(server);
    CHECK(client.get("/api/x").status == 403);
    CHECK(after == 403);
    const auto refused = client.get("/api/x", {{"X-Say", "1"}});
    CHECK(refused.status == 401);
    CHECK(refused.body == "who?");
    CHECK_FALSE(reached);
    CHECK(client.get("/api/x", {{"X-Key", "1"}}).body == "in");
}

TEST_CASE("handler: the server's own hooks run for requests without a route, too") {
    Server server(porthole_test::options());
    server.before([](const Request& request, Response& response) {
        if (request.path() == "/hook") {
            response.text("from the hook");
            return Next::stop;
        }
        return Next::go_on;
    });
    Client client(server);
    CHECK(client.get("/hook").body == "from the hook");
    CHECK(client.get("/other").status == 404);
}

TEST_CASE("handler: limits of groups, the innermost first, and of routes before them") {
    Server server(porthole_test::options());
    Group api = server.group("/api").max_body_bytes(10);
    Group inner = api.group("/inner").max_body_bytes(20);
    server.post("/x", say("ok"));
    api.post("/x", say("ok"));
    inner.post("/x", say("ok"));
    inner.post("/own", say("ok")).max_body_bytes(5);
    const auto post = [&server](std::string_view path, std::size_t size) {
        return Client(server).post(path, "text/plain", std::string(size, 'x')).status;
    };
    CHECK(post("/x", 1000) == 200);
    CHECK(post("/api/x", 10) == 200);
    CHECK(post("/api/x", 11) == 413);
    CHECK(post("/api/inner/x", 20) == 200);
    CHECK(post("/api/inner/x", 21) == 413);
    CHECK(post("/api/inner/own", 5) == 200);
    CHECK(post("/api/inner/own", 6) == 413);
    server.max_body_bytes(3);
    CHECK(post("/x", 3) == 200);
    CHECK(post("/x", 4) == 413);
}

TEST_CASE("handler: a mount answers its prefix and everything below it") {
    Server server(porthole_test::options());
    REQUIRE_FALSE(server.mount("/a", echo("a")));
    REQUIRE_FALSE(server.mount("/a/b/", echo("b")));
    Client client(server);
    CHECK(client.get("/a").body == "a[]");
    CHECK(client.get("/a/").body == "a[/]");
    CHECK(client.get("/a/c/d%2Fe/../f").body == "a[/c/f]");
    CHECK(client.get("/a/b").body == "b[]");
    CHECK(client.get("/a/b/c//").body == "b[/c//]");
    CHECK(client.get("/a/bc").body == "a[/bc]");
    CHECK(client.get("/ab").status == 404);
    CHECK(client.request("PUT", "/a/x").body == "a[/x]");
    CHECK(client.request("BREW", "/a/x").body == "a[/x]");
    CHECK(client.request("OPTIONS", "/a/x").body == "a[/x]");
}

TEST_CASE("handler: routes beat mounts, and a method without a route goes to the mount") {
    Server server(porthole_test::options());
    REQUIRE_FALSE(server.mount("/", echo("root")));
    REQUIRE_FALSE(server.group("/g").mount("/m", say("handler mount")));
    server.get("/x", say("route"));
    Client client(server);
    CHECK(client.get("/x").body == "route");
    CHECK(client.request("POST", "/x").body == "root[/x]");
    CHECK(client.get("/x/y").body == "root[/x/y]");
    CHECK(client.get("/").body == "root[/]");
    CHECK(client.get("/g/m/z").body == "handler mount");
    CHECK(client.get("/g/n").body == "root[/g/n]");
}

TEST_CASE("handler: mount() hands on what attach() says, and refuses bad prefixes") {
    class Failing final : public Mount {
    public:
        Error attach(Server&) override {
            return Error(porthole::ErrorCode::misuse, "open", "web/dist", "there is none");
        }
        void handle(const Request&, Response&) override {}
    };
    Server server(porthole_test::options());
    const Error error = server.mount("/x", std::make_unique<Failing>());
    CHECK(error);
    CHECK(error.message().find("web/dist") != std::string::npos);
    CHECK(Client(server).get("/x").status == 404);
    CHECK(server.mount("x", echo("x")));
    CHECK(server.mount("/x/*", echo("x")));
    CHECK(server.mount("/x", std::unique_ptr<Mount>()));
    CHECK_FALSE(server.unmount("/x"));
}

TEST_CASE("handler: unmount() destroys the mount and brings an older one back") {
    Server server(porthole_test::options());
    const auto sentinel = std::make_shared<int>(0);
    REQUIRE_FALSE(server.mount("/a", std::make_unique<EchoMount>("a", sentinel)));
    REQUIRE_FALSE(server.mount("/a/b", echo("b")));
    CHECK(sentinel.use_count() == 2);
    CHECK(server.unmount("/a/"));
    CHECK(sentinel.use_count() == 1);
    CHECK_FALSE(server.unmount("/a"));
    CHECK(Client(server).get("/a").status == 404);
    CHECK(Client(server).get("/a/b").body == "b[]");
}

TEST_CASE("handler: a mount may unmount itself and lives until it returns") {
    class Leaving final : public Mount {
    public:
        explicit Leaving(Server& server, std::shared_ptr<int> sentinel)
            : server_(server), sentinel_(std::move(sentinel)) {}
        void handle(const Request& request, Response& response) override {
            CHECK(server_.unmount("/a"));
            CHECK(sentinel_.use_count() == 2);
            response.text("bye " + std::string(request.mount_path()));
        }

    private:
        Server& server_;
        std::shared_ptr<int> sentinel_;
    };
    Server server(porthole_test::options());
    const auto sentinel = std::make_shared<int>(0);
    REQUIRE_FALSE(server.mount("/a", std::make_unique<Leaving>(server, sentinel)));
    Client client(server);
    CHECK(client.get("/a/x").body == "bye /x");
    CHECK(sentinel.use_count() == 1);
    CHECK(client.get("/a/x").status == 404);
}

TEST_CASE("handler: a route removed inside its own handler lives until it returns") {
    Server server(porthole_test::options());
    const auto sentinel = std::make_shared<std::string>("captured");
    RouteHandle handle;
    handle = server.get("/:id", [&handle, sentinel](const Request& request, Response& response) {
        const RouteHandle copy = handle;
        handle.remove();
        CHECK_FALSE(copy.is_valid());
        CHECK(sentinel.use_count() >= 2);
        response.text(*sentinel + " " + std::string(request.param("id")));
    });
    Client client(server);
    CHECK(client.get("/x").body == "captured x");
    CHECK(sentinel.use_count() == 1);
    CHECK(client.get("/x").status == 404);
}

TEST_CASE("handler: another route that is removed is destroyed at once") {
    Server server(porthole_test::options());
    const auto sentinel = std::make_shared<int>(0);
    RouteHandle other = server.get("/other", [sentinel](const Request&, Response&) {});
    long inside = 0;
    server.get("/x", [&](const Request&, Response&) {
        other.remove();
        inside = sentinel.use_count();
    });
    CHECK(Client(server).get("/x").status == 200);
    CHECK(inside == 1);
}

TEST_CASE("handler: a handler that owns another route's end may be removed") {
    Server server(porthole_test::options());
    class Owner {
    public:
        explicit Owner(RouteHandle handle) : handle_(std::move(handle)) {}
        Owner(const Owner&) = delete;
        Owner& operator=(const Owner&) = delete;
        ~Owner() { handle_.remove(); }

    private:
        RouteHandle handle_;
    };
    Group group = server.group("/g");
    for (int i = 0; i < 8; ++i) {
        const auto owned = std::make_shared<Owner>(group.get("/x", say("inner")));
        group.get("/x", [owned](const Request&, Response& response) { response.text("owner"); });
    }
    CHECK(Client(server).get("/g/x").body == "owner");
    group.clear();
    CHECK(Client(server).get("/g/x").status == 404);
}

TEST_CASE("handler: handles may outlive their server") {
    RouteHandle handle;
    {
        Server server(porthole_test::options());
        handle = server.get("/x", say("x"));
        CHECK(handle.is_valid());
    }
    CHECK_FALSE(handle.is_valid());
    handle.max_body_bytes(1).remove();
}

TEST_CASE("handler: a before hook may remove the route that comes next, or its whole group") {
    for (const bool clears : {false, true}) {
        CAPTURE(clears);
        Server server(porthole_test::options());
        const auto sentinel = std::make_shared<std::string>("still here");
        Group group = server.group("/g");
        RouteHandle handle;
        const auto hook_sentinel = std::make_shared<int>(1);
        group.before([&, hook_sentinel](const Request&, Response&) {
            if (clears) {
                group.clear();
            } else {
                handle.remove();
            }
            CHECK(*hook_sentinel == 1);
            return Next::go_on;
        });
        handle = group.get("/:id", [sentinel](const Request& request, Response& response) {
            response.text(*sentinel + " " + std::string(request.param("id")));
        });
        int after_status = 0;
        server.after([&](const Request& request, Response& response) {
            after_status = response.status();
            CHECK(request.param("id") == "x");
        });
        CHECK(Client(server).get("/g/x").status == 200);
        CHECK(after_status == 200);
        CHECK(sentinel.use_count() == 1);
        CHECK(hook_sentinel.use_count() == (clears ? 1 : 2));
    }
}

TEST_CASE("handler: an after hook may remove the route whose parameters others still read") {
    Server server(porthole_test::options());
    Group group = server.group("/g");
    RouteHandle handle;
    handle = group.get("/:a_rather_long_parameter_name", say("x"));
    group.after([&handle](const Request&, Response&) { handle.remove(); });
    std::string seen;
    server.after([&seen](const Request& request, Response&) {
        seen = request.param("a_rather_long_parameter_name");
    });
    CHECK(Client(server).get("/g/value").status == 200);
    CHECK(seen == "value");
}

TEST_CASE("handler: a route that is removed while its content comes leaves nothing behind") {
    Server server(porthole_test::options());
    RouteHandle handle = server.post("/:a_rather_long_parameter_name", say("x"));
    handle.max_body_bytes(4);
    int asked = 0;
    server.after([&asked](const Request& request, Response&) {
        asked += request.param("a_rather_long_parameter_name").empty() ? 1 : 0;
    });
    Client client(server);
    client.send("POST /value HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.tick();
    handle.remove();
    client.send("5\r\nhello\r\n0\r\n\r\n");
    CHECK(client.read_answer().status == 413);
    CHECK(asked == 1);
}

TEST_CASE("handler: hooks may add hooks, and clear those that run") {
    Server server(porthole_test::options());
    int before = 0;
    int after = 0;
    BeforeHook hook = [&](const Request&, Response&) {
        ++before;
        for (int i = 0; i < 20; ++i) {
            server.before([&before](const Request&, Response&) {
                ++before;
                return Next::go_on;
            });
        }
        return Next::go_on;
    };
    server.before(hook);
    const auto sentinel = std::make_shared<int>(7);
    server.after([&, sentinel](const Request&, Response& response) {
        ++after;
        server.clear();
        server.after([&after](const Request&, Response&) { after += 100; });
        response.header("X-Sentinel", std::to_string(*sentinel));
    });
    server.get("/x", say("x"));
    const auto answer = Client(server).get("/x");
    CHECK(answer.body == "x");
    CHECK(answer.header("X-Sentinel") == "7");
    CHECK(before == 21);
    CHECK(after % 100 == 1);
    CHECK(sentinel.use_count() == 1);
    CHECK(Client(server).get("/x").status == 404);
}

TEST_CASE("handler: empty hooks and pages are left out") {
    Server server(porthole_test::options());
    const int misuse = porthole_test::misuse_count;
    server.before({});
    server.after({});
    CHECK(porthole_test::misuse_count == misuse + 2);
    server.on_error(say("page"));
    CHECK(Client(server).get("/x").body == "page");
    server.on_error({});
    const auto answer = Client(server).get("/x");
    CHECK(answer.status == 404);
    CHECK(answer.body != "page");
    CHECK(server.mount("/m", Handler()));
}

TEST_CASE("handler: on_error() makes the page for 404, 405, 413, 400 and empty answers from 400") {
    Server server(porthole_test::options());
    server.on_error([](const Request&, Response& response) {
        response.text("page " + std::to_string(response.status()));
    });
    int after = 0;
    server.after([&after](const Request&, Response&) { ++after; });
    server.get("/x", say("x"));
    server.post("/small", say("x")).max_body_bytes(1);
    server.get("/empty", [](const Request&, Response& response) { response.status(418); });
    server.get(
        "/full", [](const Request&, Response& response) { response.status(418).text("my own"); });
    CHECK(Client(server).get("/nothing").body == "page 404");
    const auto not_allowed = Client(server).request("PUT", "/x");
    CHECK(not_allowed.body == "page 405");
    CHECK(not_allowed.header("Allow") == "GET, HEAD, OPTIONS");
    CHECK(Client(server).post("/small", "text/plain", "12").body == "page 413");
    CHECK(Client(server).get("/empty").body == "page 418");
    CHECK(Client(server).get("/full").body == "my own");
    Client bad(server);
    bad.send("nonsense\r\n\r\n");
    CHECK(bad.read_answer().body == "page 400");
    CHECK(after == 6);
    CHECK(Client(server).get("/x").body == "x");
}

TEST_CASE("handler: after hooks may change every answer") {
    Server server(porthole_test::options());
    server.after([](const Request&, Response& response) {
        response.header("X-Status", std::to_string(response.status()));
        if (response.status() == 404) {
            response.status(200).text("found after all");
        }
    });
    server.get("/x", say("x"));
    Client client(server);
    CHECK(client.get("/x").header("X-Status") == "200");
    CHECK(client.request("PUT", "/x").header("X-Status") == "405");
    const auto answer = client.get("/nothing");
    CHECK(answer.status == 200);
    CHECK(answer.body == "found after all");
}

#if defined(__cpp_exceptions)
TEST_CASE("handler: an exception becomes a 500 with the user's page, and the server lives on") {
    Server server(porthole_test::options());
    int logged = 0;
    int after = 0;
    server.after([&](const Request&, Response& response) { after = response.status(); });
    Group group = server.group("/g");
    group.before([](const Request&, Response&) -> Next { throw std::string("before"); });
    group.get("/x", say("never"));
    const auto sentinel = std::make_shared<int>(0);
    RouteHandle handle;
    handle = server.get("/x", [&handle, sentinel](const Request&, Response& response) {
        handle.remove();
        response.header("X-Half", "done").text("half");
        throw 1;
    });
    Client client(server);
    auto answer = client.get("/x");
    CHECK(answer.status == 500);
    CHECK_FALSE(answer.has_header("X-Half"));
    CHECK(after == 500);
    CHECK(sentinel.use_count() == 1);
    CHECK(client.get("/g/x").status == 500);
    CHECK(client.get("/x").status == 404);
    server.on_error([&logged](const Request&, Response& response) {
        ++logged;
        response.text("page " + std::to_string(response.status()));
    });
    CHECK(client.get("/g/x").body == "page 500");
    CHECK(logged == 1);
}

TEST_CASE("handler: exceptions of pages and after hooks do not repeat themselves") {
    Server server(porthole_test::options());
    int pages = 0;
    int hooks = 0;
    server.on_error([&pages](const Request&, Response&) {
        ++pages;
        throw 1;
    });
    Client client(server);
    CHECK(client.get("/x").status == 500);
    CHECK(pages == 1);
    server.after([&hooks](const Request&, Response&) {
        ++hooks;
        throw 1;
    });
    server.get("/ok", say("ok"));
    CHECK(client.get("/ok").status == 500);
    CHECK(hooks == 1);
}
#endif
