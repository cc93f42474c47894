// SPDX-License-Identifier: MIT

#include "support/files_fixture.hpp"

#include <string>
#include <utility>
#include <vector>

using namespace porthole;
using porthole_test::FilesFixture;
using testing::Answer;

namespace {

/// "{tag}", "{date}" ... in a field become those of the file.
std::string filled(std::string text, const Answer& whole) {
    const std::pair<std::string_view, std::string> names[] = {
        {"{tag}", std::string(whole.header("ETag"))},
        {"{weak}", "W/" + std::string(whole.header("ETag"))},
        {"{date}", std::string(whole.header("Last-Modified"))},
        {"{now}", std::string(whole.header("Date"))},
    };
    for (const auto& name : names) {
        const std::size_t at = text.find(name.first);
        if (at != std::string::npos) {
            text.replace(at, name.first.size(), name.second);
        }
    }
    return text;
}

struct Case {
    const char* rule;
    const char* method;
    std::vector<std::pair<const char*, const char*>> fields;
    int status;
    const char* body;
    const char* content_range;
};

constexpr const char* long_ago = "Sat, 01 Jan 2000 00:00:00 GMT";
constexpr const char* content = "0123456789";

} // namespace

TEST_CASE("files_mount: conditional requests and ranges over the wire (RFC 9110 13 and 14)") {
    FilesFixture fixture;
    fixture.place.write("root/a.txt", content);
    fixture.mount();
    const Answer whole = fixture.get("/a.txt");
    REQUIRE(whole.status == 200);
    const Case cases[] = {
        {"13.1.1 If-Match, the same", "GET", {{"If-Match", "{tag}"}}, 200, content, ""},
        {"13.1.1 If-Match *", "GET", {{"If-Match", "*"}}, 200, content, ""},
        {"13.1.1 If-Match, another", "GET", {{"If-Match", "\"x\""}}, 412, nullptr, ""},
        {"13.1.1 If-Match is strong", "GET", {{"If-Match", "{weak}"}}, 412, nullptr, ""},
        {"13.1.2 If-None-Match, the same", "GET", {{"If-None-Match", "{tag}"}}, 304, "", ""},
        {"13.1.2 If-None-Match is weak", "GET", {{"If-None-Match", "{weak}"}}, 304, "", ""},
        {"13.1.2 If-None-Match, a list", "GET", {{"If-None-Match", "\"x\", {tag}"}}, 304, "", ""},
        {"13.1.2 If-None-Match *", "GET", {{"If-None-Match", "*"}}, 304, "", ""},
        {"13.1.2 If-None-Match, another", "GET", {{"If-None-Match", "\"x\""}}, 200, content, ""},
        {"13.1.2 HEAD", "HEAD", {{"If-None-Match", "{tag}"}}, 304, "", ""},
        {"13.1.3 If-Modified-Since", "GET", {{"If-Modified-Since", "{date}"}}, 304, "", ""},
        {"13.1.3 later", "GET", {{"If-Modified-Since", "{now}"}}, 304, "", ""},
        {"13.1.3 earlier", "GET", {{"If-Modified-Since", long_ago}}, 200, content, ""},
        {"13.1.3 no date", "GET", {{"If-Modified-Since", "soon"}}, 200, content, ""},
        {"13.1.4 If-Unmodified-Since",
         "GET",
         {{"If-Unmodified-Since", "{date}"}},
         200,
         content,
         ""},
        {"13.1.4 earlier", "GET", {{"If-Unmodified-Since", long_ago}}, 412, nullptr, ""},
        {"13.2.2 If-None-Match beats the date",
         "GET",
         {{"If-None-Match", "\"x\""}, {"If-Modified-Since", "{date}"}},
         200,
         content,
         ""},
        {"13.2.2 If-Match beats the date",
         "GET",
         {{"If-Match", "{tag}"}, {"If-Unmodified-Since", long_ago}},
         200,
         content,
         ""},
        {"13.2.2 412 before 304",
         "GET",
         {{"If-Match", "\"x\""}, {"If-None-Match", "{tag}"}},
         412,
         nullptr,
         ""},
        {"13.2.2 304 before 206",
         "GET",
         {{"If-None-Match", "{tag}"}, {"Range", "bytes=0-0"}},
         304,
         "",
         ""},
        {"13.2.2 412 before 416",
         "GET",
         {{"If-Match", "\"x\""}, {"Range", "bytes=99-"}},
         412,
         nullptr,
         ""},
        {"14.1.2 first and last", "GET", {{"Range", "bytes=2-4"}}, 206, "234", "bytes 2-4/10"},
        {"14.1.2 open", "GET", {{"Range", "bytes=7-"}}, 206, "789", "bytes 7-9/10"},
        {"14.1.2 suffix", "GET", {{"Range", "bytes=-3"}}, 206, "789", "bytes 7-9/10"},
        {"14.1.2 the first byte", "GET", {{"Range", "bytes=0-0"}}, 206, "0", "bytes 0-0/10"},
        {"14.1.2 the last byte", "GET", {{"Range", "bytes=9-9"}}, 206, "9", "bytes 9-9/10"},
        {"14.1.2 past the end", "GET", {{"Range", "bytes=8-99"}}, 206, "89", "bytes 8-9/10"},
        {"14.1.2 long suffix", "GET", {{"Range", "bytes=-99"}}, 206, content, "bytes 0-9/10"},
        {"15.5.17 beyond", "GET", {{"Range", "bytes=10-"}}, 416, nullptr, "bytes */10"},
        {"15.5.17 suffix of nothing", "GET", {{"Range", "bytes=-0"}}, 416, nullptr, "bytes */10"},
        {"15.5.17 overflow",
         "GET",
         {{"Range", "bytes=99999999999999999999-"}},
         416,
         nullptr,
         "bytes */10"},
        {"14.1.1 last before first", "GET", {{"Range", "bytes=4-2"}}, 200, content, ""},
        {"14.2 another unit", "GET", {{"Range", "lines=1-2"}}, 200, content, ""},
        {"14.2 malformed", "GET", {{"Range", "bytes=a-b"}}, 200, content, ""},
        {"14.2 two Range fields",
         "GET",
         {{"Range", "bytes=0-0"}, {"Range", "bytes=1-1"}},
         200,
         content,
         ""},
        {"14.2 HEAD has no ranges", "HEAD", {{"Range", "bytes=0-0"}}, 200, "", ""},
        {"15.3.7.2 merged into one",
         "GET",
         {{"Range", "bytes=0-1,1-3"}},
         206,
         "0123",
         "bytes 0-3/10"},
        {"13.1.5 If-Range, the same",
         "GET",
         {{"Range", "bytes=2-4"}, {"If-Range", "{tag}"}},
         206,
         "234",
         "bytes 2-4/10"},
        {"13.1.5 If-Range, another",
         "GET",
         {{"Range", "bytes=2-4"}, {"If-Range", "\"x\""}},
         200,
         content,
         ""},
        {"13.1.5 If-Range is strong",
         "GET",
         {{"Range", "bytes=2-4"}, {"If-Range", "{weak}"}},
         200,
         content,
         ""},
        {"13.1.5 If-Range, the date",
         "GET",
         {{"Range", "bytes=2-4"}, {"If-Range", "{date}"}},
         206,
         "234",
         "bytes 2-4/10"},
        {"13.1.5 If-Range, another date",
         "GET",
         {{"Range", "bytes=2-4"}, {"If-Range", "{now}"}},
         200,
         content,
         ""},
        {"13.1.5 If-Range without Range", "GET", {{"If-Range", "\"x\""}}, 200, content, ""},
        {"13.1.5 If-Range saves from 416",
         "GET",
         {{"Range", "bytes=99-"}, {"If-Range", "\"x\""}},
         200,
         content,
         ""},
    };
    for (const Case& one : cases) {
        CAPTURE(one.rule);
        std::vector<std::string> values;
        for (const auto& field : one.fields) {
            values.push_back(filled(field.second, whole));
        }
        testing::FieldList fields;
        for (std::size_t i = 0; i < values.size(); ++i) {
            fields.emplace_back(one.fields[i].first, values[i]);
        }
        const Answer answer = fixture.request(one.method, "/a.txt", fields);
        CHECK(answer.status == one.status);
        if (one.body != nullptr) {
            CHECK(answer.body == one.body);
        }
        CHECK(answer.header("Content-Range") == one.content_range);
        if (one.status != 412 && one.status != 416) {
            CHECK(answer.header("ETag") == whole.header("ETag"));
            CHECK(answer.header("Cache-Control") == "no-cache");
        }
        if (one.status == 304) {
            CHECK_FALSE(answer.has_header("Content-Length"));
            CHECK_FALSE(answer.has_header("Content-Type"));
        }
    }
}

TEST_CASE("files_mount: several ranges as multipart/byteranges (RFC 9110 14.6)") {
    FilesFixture fixture;
    std::string bytes;
    for (int i = 0; i < 100'000; ++i) {
        bytes += static_cast<char>('a' + i % 26);
    }
    fixture.place.write("root/a.txt", bytes);
    fixture.mount();
    const Answer answer = fixture.get("/a.txt", {{"Range", "bytes=0-4, 50000-90000, -3, 200000-"}});
    REQUIRE(answer.status == 206);
    const std::string type(answer.header("Content-Type"));
    REQUIRE(type.find("multipart/byteranges; boundary=") == 0);
    const std::string boundary = type.substr(type.find('=') + 1);
    CHECK(boundary.size() == 24);
    CHECK_FALSE(answer.has_header("Content-Range"));
    const auto part = [&](std::size_t first, std::size_t last) {
        return "\r\n--" + boundary
               + "\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: " + "bytes "
               + std::to_string(first) + "-" + std::to_string(last) + "/100000\r\n\r\n"
               + bytes.substr(first, last - first + 1);
    };
    CHECK(
        answer.body
        == part(0, 4) + part(50000, 90000) + part(99997, 99999) + "\r\n--" + boundary + "--\r\n");
    CHECK(answer.header("Content-Length") == std::to_string(answer.body.size()));
    const Answer again = fixture.get("/a.txt", {{"Range", "bytes=0-4,-3"}});
    CHECK(again.header("Content-Type") != type); // nobody knows the next boundary
}

TEST_CASE("files_mount: a thousand ranges are the whole, once") {
    FilesFixture fixture;
    fixture.place.write("root/a.txt", std::string(20'000, 'x'));
    fixture.mount();
    std::string field = "bytes=0-";
    for (int i = 0; i < 1000; ++i) {
        field += ",0-";
    }
    const Answer answer = fixture.get("/a.txt", {{"Range", field}});
    CHECK(answer.status == 200);
    CHECK(answer.body.size() == 20'000);
    const Answer few = fixture.get("/a.txt", {{"Range", "bytes=0-,0-,0-,0-,0-"}});
    CHECK(few.status == 206);
    CHECK(few.body.size() == 20'000);
}

TEST_CASE("files_mount: empty files") {
    FilesFixture fixture;
    fixture.place.write("root/empty", "");
    fixture.mount();
    CHECK(fixture.get("/empty").status == 200);
    CHECK(fixture.get("/empty").header("Content-Length") == "0");
    CHECK(fixture.request("HEAD", "/empty").header("Content-Length") == "0");
    const Answer beyond = fixture.get("/empty", {{"Range", "bytes=0-"}});
    CHECK(beyond.status == 416);
    CHECK(beyond.header("Content-Range") == "bytes */0");
    CHECK(fixture.get("/empty", {{"Range", "bytes=-1"}}).status == 200);
}

TEST_CASE("files_mount: an entity tag is weak while the file is too fresh to trust") {
    FilesFixture fixture;
    fixture.place.write("root/fresh", content, std::chrono::seconds(0));
    fixture.place.write("root/future", content, std::chrono::seconds(-1000));
    fixture.place.write("root/old", content, std::chrono::seconds(10));
    fixture.mount();
    CHECK(fixture.get("/fresh").header("ETag").substr(0, 3) == "W/\"");
    CHECK(fixture.get("/old").header("ETag").substr(0, 1) == "\"");
    const Answer future = fixture.get("/future");
    CHECK(future.header("ETag").substr(0, 3) == "W/\"");
    // RFC 9110 section 8.8.2.1: no date in the future
    CHECK(future.header("Last-Modified") <= future.header("Date"));
    const std::string weak(fixture.get("/fresh").header("ETag"));
    CHECK(fixture.get("/fresh", {{"If-None-Match", weak}}).status == 304);
    CHECK(fixture.get("/fresh", {{"If-None-Match", weak.substr(2)}}).status == 304);
    CHECK(fixture.get("/fresh", {{"Range", "bytes=0-0"}, {"If-Range", weak}}).status == 200);
    fixture.place.set_age("root/fresh", std::chrono::seconds(10));
    CHECK(fixture.get("/fresh").header("ETag").substr(0, 1) == "\"");
}

TEST_CASE("files_mount: a changed file has another entity tag at once") {
    FilesFixture fixture;
    fixture.place.write("root/a", "one", std::chrono::seconds(100));
    fixture.mount();
    const std::string first(fixture.get("/a").header("ETag"));
    CHECK(fixture.get("/a").header("ETag") == first);
    fixture.place.write("root/a", "two", std::chrono::seconds(90)); // same size, same inode
    const Answer second = fixture.get("/a", {{"If-None-Match", first}});
    CHECK(second.status == 200);
    CHECK(second.body == "two");
    fixture.place.write("root/b", "333", std::chrono::seconds(90));
    fixture.place.remove("root/a");
    fixture.place.rename("root/b", "root/a"); // as editors save
    CHECK(fixture.get("/a", {{"If-None-Match", second.header("ETag")}}).body == "333");
}
