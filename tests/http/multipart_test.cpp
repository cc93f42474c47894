// SPDX-License-Identifier: MIT

#include "support/guarded_bytes.hpp"
#include "support/test.hpp"

#include <string>
#include <string_view>
#include <vector>

using namespace porthole;
using porthole::detail::MultipartEvent;
using porthole::detail::MultipartParser;
using porthole_test::HeapBytes;

namespace {

/// What has come out of a parser, as text.
struct Outcome {
    MultipartFault fault = MultipartFault::none;
    std::string log;
    std::size_t pieces = 0;
};

bool operator==(const Outcome& a, const Outcome& b) {
    return a.fault == b.fault && a.log == b.log;
}

void take_piece(MultipartParser& parser, std::string_view piece, Outcome& outcome) {
    const HeapBytes block(piece);
    std::string_view rest = block.view();
    for (;;) {
        std::size_t consumed = 0;
        const MultipartEvent event = parser.parse(rest, consumed);
        REQUIRE(consumed <= rest.size());
        rest.remove_prefix(consumed);
        switch (event) {
        case MultipartEvent::need_more: CHECK(rest.empty()); return;
        case MultipartEvent::failed: return;
        case MultipartEvent::part_begin:
            outcome.log.append("[").append(parser.part().name);
            if (parser.part().file_name) {
                outcome.log.append(" file ").append(*parser.part().file_name);
            }
            outcome.log.append(" ").append(parser.part().content_type).append(":");
            break;
        case MultipartEvent::data:
            CHECK_FALSE(parser.data().empty());
            outcome.log += parser.data();
            ++outcome.pieces;
            break;
        case MultipartEvent::part_end:
            // The head can still be read when the content has ended.
            CHECK(parser.part().fields.find("content-disposition"));
            outcome.log += "]";
            break;
        }
    }
}

/// The first `first` bytes, and then pieces of `step` bytes.
Outcome parse_in_pieces(
    std::string_view boundary, std::string_view form, const MultipartLimits& limits,
    std::size_t first, std::size_t step) {
    MultipartParser parser(boundary, limits);
    Outcome outcome;
    std::size_t size = first;
    do {
        take_piece(parser, form.substr(0, size), outcome);
        form.remove_prefix(size < form.size() ? size : form.size());
        size = step;
    } while (!form.empty());
    outcome.fault = parser.finish();
    CHECK(parser.fault() == outcome.fault);
    return outcome;
}

/// Whole, byte by byte, and split at each offset: all of them must agree.
Outcome parse_form(
    std::string_view form, const MultipartLimits& limits = {}, std::string_view boundary = "b") {
    const Outcome whole = parse_in_pieces(boundary, form, limits, form.size(), form.size());
    const Outcome bytewise = parse_in_pieces(boundary, form, limits, 1, 1);
    CHECK(bytewise.log == whole.log);
    CHECK(bytewise == whole);
    for (std::size_t split = 0; split <= form.size(); ++split) {
        CAPTURE(split);
        REQUIRE(parse_in_pieces(boundary, form, limits, split, form.size()) == whole);
    }
    return whole;
}

/// One part with that Content-Disposition.
Outcome parse_disposition(const std::string& disposition, const MultipartLimits& limits = {}) {
    return parse_form(
        "--b\r\nContent-Disposition: " + disposition + "\r\n\r\nx\r\n--b--\r\n", limits);
}

const std::string plain_part = "Content-Disposition: form-data; name=\"n\"\r\n\r\n";

MultipartFault fault_of(const std::string& form, const MultipartLimits& limits = {}) {
    return parse_form(form, limits).fault;
}

} // namespace

TEST_CASE("multipart: parts, names, file names and types, however it is cut (RFC 7578 4)") {
    const std::string form =
        "--AaB03x\r\n"
        "Content-Disposition: form-data; name=\"field\"\r\n\r\n"
        "Joe\r\n"
        "--AaB03x\r\n"
        "content-disposition:form-data;name=files;filename=\"a b.bin\"\r\n"
        "Content-Type: application/x-thing; v=1\r\nX-More: yes\r\n\r\n"
        "\r\n\r--AaB03\r\n--AaB03\n--AaB03x\r\n-\r\n\r\n\r\n"
        "--AaB03x \t\r\n"
        "Content-Disposition: FORM-DATA ; Name=\"empty\" ; filename=\"\"; other=1;\r\n\r\n\r\n"
        "--AaB03x--\r\nbehind";
    const Outcome outcome = parse_form(form, {}, "AaB03x");
    CHECK(outcome.fault == MultipartFault::none);
    CHECK(
        outcome.log
        == "[field text/plain:Joe]"
           "[files file a b.bin application/x-thing; v=1:"
           "\r\n\r--AaB03\r\n--AaB03\n--AaB03x\r\n-\r\n\r\n]"
           "[empty file  text/plain:]");
}

TEST_CASE("multipart: content comes in place, and in one piece where nothing cuts it") {
    std::string content;
    for (int i = 0; i < 5000; ++i) {
        content += static_cast<char>(i * 7);
        content += i % 3 == 0 ? "\r" : i % 5 == 0 ? "\r\n" : i % 7 == 0 ? "\r\n--" : "";
    }
    const std::string form = "--b_b\r\n" + plain_part + content + "\r\n--b_b--";
    const Outcome outcome = parse_in_pieces("b_b", form, {}, form.size(), 1);
    CHECK(outcome.log == "[n text/plain:" + content + "]");
    CHECK(outcome.pieces == 1);
    CHECK(parse_in_pieces("b_b", form, {}, 1, 1) == outcome);
}

TEST_CASE("multipart: preamble and epilogue mean nothing, and are bounded (RFC 2046 5.1.1)") {
    MultipartLimits limits;
    limits.max_preamble_bytes = 8;
    limits.max_epilogue_bytes = 8;
    const std::string part = "--b\r\n" + plain_part + "x\r\n--b--";
    CHECK(fault_of("1234567\r\n" + part, limits) == MultipartFault::none);
    CHECK(fault_of("12345678\r\n" + part, limits) == MultipartFault::none);
    CHECK(fault_of("123456789\r\n" + part, limits) == MultipartFault::preamble_too_long);
    CHECK(fault_of("\r\n" + part, limits) == MultipartFault::none);
    CHECK(fault_of("\r\n--a\r\n\r\n" + part, limits) == MultipartFault::none);
    CHECK(fault_of(part, limits) == MultipartFault::none);
    CHECK(fault_of(part + " \t", limits) == MultipartFault::none);
    CHECK(fault_of(part + " \r\n", limits) == MultipartFault::none);
    CHECK(fault_of(part + "\r\n1234567", limits) == MultipartFault::none);
    CHECK(fault_of(part + "\r\n12345678", limits) == MultipartFault::none);
    CHECK(fault_of(part + "\r\n\r\n--b\r\n", limits) == MultipartFault::none);
    CHECK(fault_of(part + "\r\n123456789", limits) == MultipartFault::epilogue_too_long);
}

TEST_CASE("multipart: an empty form is one without parts, as browsers send it") {
    const Outcome outcome = parse_form("--b--\r\n");
    CHECK(outcome.fault == MultipartFault::none);
    CHECK(outcome.log.empty());
}

TEST_CASE("multipart: a part without content, with one empty line or two") {
    CHECK(parse_form("--b\r\n" + plain_part + "\r\n--b--").log == "[n text/plain:]");
    CHECK(parse_form("--b\r\n" + plain_part + "--b--").log == "[n text/plain:]");
    CHECK(parse_form("--b\r\n" + plain_part + "--\r\n--b--").log == "[n text/plain:--]");
    CHECK(parse_form("--b\r\n" + plain_part + "--a\r\n--b--").log == "[n text/plain:--a]");
    CHECK(parse_form("--b\r\n" + plain_part + "\r\n\r\n--b--").log == "[n text/plain:\r\n]");
}

TEST_CASE("multipart: what ends too early is incomplete") {
    const std::string form = "--b\r\n" + plain_part + "x\r\n--b--";
    for (std::size_t size = 0; size < form.size(); ++size) {
        CAPTURE(size);
        CHECK(
            parse_in_pieces("b", form.substr(0, size), {}, size, 1).fault
            == MultipartFault::incomplete);
    }
    CHECK(fault_of(form) == MultipartFault::none);
}

TEST_CASE("multipart: a line that begins like a delimiter is one, or an error (RFC 2046 5.1.1)") {
    const std::string begin = "--b\r\n" + plain_part + "x";
    for (const char* line : {"--bc\r\n", "--b-\r\n", "--b-x", "--b x\r\n", "--b\rx", "--b\n"}) {
        CAPTURE(line);
        CHECK(fault_of(begin + "\r\n" + line + "\r\n--b--") == MultipartFault::bad_delimiter);
    }
    for (const char* end : {"x", "-", "\n", "\rx", " x"}) {
        CAPTURE(end);
        CHECK(fault_of(begin + "\r\n--b--" + end) == MultipartFault::bad_delimiter);
    }
}

TEST_CASE("multipart: field lines of a part are as strict as those of a head (RFC 9110 5)") {
    const std::string disposition = "Content-Disposition: form-data; name=n\r\n";
    const auto with = [&](const std::string& line) {
        return fault_of("--b\r\n" + disposition + line + "\r\nx\r\n--b--");
    };
    CHECK(with("X-A: b\r\n") == MultipartFault::none);
    CHECK(with("X-A:\r\n") == MultipartFault::none);
    for (const char* line :
         {"X-A\r\n", ": b\r\n", "X A: b\r\n", "X-A : b\r\n", " folded\r\n", "X-A: b\n",
          "X-A: \x01\r\n", "X-A: b\rc\r\n", "--b\r\n"}) {
        CAPTURE(line);
        CHECK(with(line) == MultipartFault::bad_part_field);
    }
    CHECK(fault_of("--b\r\n\nx\r\n--b--") == MultipartFault::bad_part_field);
}

TEST_CASE("multipart: each part has one name, in one Content-Disposition (RFC 7578 4.2)") {
    for (const char* bad :
         {"form-data", "form-data;", "form-data; filename=\"x\"", "attachment; name=\"x\"",
          "form-data name=\"x\"", "form-data; name=\"x", "form-data; name=", "form-data; name",
          "form-data; name=\"x\" y", "form-data; name=\"x\"y=1", "form-data; name=a b",
          "form-data; name=a; name=b", "form-data; name=a; NAME=a",
          "form-data; name=a; filename=b; filename=c", "form-data; na me=x",
          "form-data; =x; name=x", "form-data; name=\xc3\xa4", "form-data, name=x", ""}) {
        CAPTURE(bad);
        CHECK(parse_disposition(bad).fault == MultipartFault::bad_disposition);
    }
    CHECK(fault_of("--b\r\n\r\nx\r\n--b--") == MultipartFault::bad_disposition);
    CHECK(fault_of("--b\r\nX-A: b\r\n\r\nx\r\n--b--") == MultipartFault::bad_disposition);
    CHECK(
        parse_disposition("form-data; name=a\r\nContent-Disposition: form-data; name=b").fault
        == MultipartFault::bad_disposition);
}

TEST_CASE("multipart: names are unescaped as browsers and others escape them") {
    const auto name = [](const std::string& value) {
        const Outcome outcome = parse_disposition("form-data; name=" + value);
        CHECK(outcome.fault == MultipartFault::none);
        const std::size_t end = outcome.log.find(" text/plain:x]");
        return outcome.log.substr(1, end == std::string::npos ? 0 : end - 1);
    };
    CHECK(name("token") == "token");
    CHECK(name("\"\"").empty());
    CHECK(name("\"a%22b\"") == "a\"b");
    CHECK(name("\"a%0D%0ab\"") == "a\r\nb");
    CHECK(name("\"100%, %41, %2\"") == "100%, %41, %2");
    CHECK(name("\"%%22\"") == "%\"");
    CHECK(name("\"a\\\"b\"") == "a\"b");
    CHECK(name("\"a\\\\b\"") == "a\\b");
    CHECK(name("\"C:\\dir\\file\"") == "C:\\dir\\file");
    CHECK(name("\"a;b=c\"; x=y") == "a;b=c");
    CHECK(name("\"\xc3\xa4 \xe2\x9c\x93\"") == "\xc3\xa4 \xe2\x9c\x93");
    CHECK(name("\"../../etc/passwd\"") == "../../etc/passwd");
}

TEST_CASE("multipart: filename* is not looked at (RFC 7578 4.2)") {
    CHECK(
        parse_disposition("form-data; name=n; filename=\"a\"; filename*=UTF-8''b").log
        == "[n file a text/plain:x]");
    CHECK(parse_disposition("form-data; name=n; filename*=UTF-8''b").log == "[n text/plain:x]");
}

TEST_CASE("multipart: parts up to the limit") {
    MultipartLimits limits;
    limits.max_parts = 3;
    std::string form;
    for (int parts = 1; parts <= 4; ++parts) {
        form += "--b\r\n" + plain_part + "x\r\n";
        CHECK(
            fault_of(form + "--b--", limits)
            == (parts <= 3 ? MultipartFault::none : MultipartFault::too_many_parts));
    }
}

TEST_CASE("multipart: a part's head, its fields and its names up to the limit") {
    MultipartLimits limits;
    limits.max_part_head_bytes = plain_part.size();
    const std::string form = "--b\r\n" + plain_part + "x\r\n--b--";
    CHECK(fault_of(form, limits) == MultipartFault::none);
    ++limits.max_part_head_bytes;
    CHECK(fault_of(form, limits) == MultipartFault::none);
    limits.max_part_head_bytes -= 2;
    CHECK(fault_of(form, limits) == MultipartFault::part_head_too_large);

    MultipartLimits fields;
    fields.max_part_fields = 2;
    const std::string disposition = "Content-Disposition: form-data; name=n\r\n";
    CHECK(
        fault_of("--b\r\n" + disposition + "A: 1\r\n\r\n\r\n--b--", fields)
        == MultipartFault::none);
    CHECK(
        fault_of("--b\r\n" + disposition + "A: 1\r\nB: 2\r\n\r\n\r\n--b--", fields)
        == MultipartFault::too_many_part_fields);

    MultipartLimits names;
    names.max_name_bytes = 4;
    CHECK(parse_disposition("form-data; name=abc", names).fault == MultipartFault::none);
    CHECK(parse_disposition("form-data; name=\"ab%22d\"", names).fault == MultipartFault::none);
    CHECK(parse_disposition("form-data; name=abcde", names).fault == MultipartFault::name_too_long);
    CHECK(
        parse_disposition("form-data; name=a; filename=abcd", names).fault == MultipartFault::none);
    CHECK(
        parse_disposition("form-data; name=a; filename=abcde", names).fault
        == MultipartFault::name_too_long);
}

TEST_CASE("multipart: a part's content up to the limit, which is all that comes out of it") {
    MultipartLimits limits;
    limits.max_part_bytes = 6;
    for (const char* content : {"12345", "123456", "\r\n--a\r", "\r\r\n--"}) {
        CAPTURE(content);
        const Outcome outcome = parse_form("--b\r\n" + plain_part + content + "\r\n--b--", limits);
        CHECK(outcome.fault == MultipartFault::none);
    }
    for (const char* content : {"1234567", "12345678", "\r\n--\r\n-", "123\r\n--"}) {
        CAPTURE(content);
        const Outcome outcome = parse_form("--b\r\n" + plain_part + content + "\r\n--b--", limits);
        CHECK(outcome.fault == MultipartFault::part_too_large);
        CHECK(outcome.log == "[n text/plain:" + std::string(content).substr(0, 6));
    }
    limits.max_part_bytes = 0;
    CHECK(fault_of("--b\r\n" + plain_part + "\r\n--b--", limits) == MultipartFault::none);
    CHECK(
        fault_of("--b\r\n" + plain_part + "x\r\n--b--", limits) == MultipartFault::part_too_large);
}

TEST_CASE("multipart: boundaries of 1 to 70 of the allowed characters (RFC 2046 5.1.1)") {
    const auto read = [](const std::string& content_type) {
        std::string_view boundary;
        const MultipartFault fault = detail::read_boundary(content_type, boundary);
        return fault == MultipartFault::none         ? std::string(boundary)
               : fault == MultipartFault::not_a_form ? "not a form"
                                                     : "bad";
    };
    const std::string type = "multipart/form-data; boundary=";
    CHECK(read(type + "b") == "b");
    CHECK(read("Multipart/Form-Data;charset=utf-8;BOUNDARY=\"a b\"") == "a b");
    CHECK(
        read(type + "----WebKitFormBoundary7MA4YWxkTrZu0gW")
        == "----WebKitFormBoundary7MA4YWxkTrZu0gW");
    CHECK(read(type + "\"'()+_,-./:=?\"") == "'()+_,-./:=?");
    CHECK(read(type + std::string(69, 'x')) == std::string(69, 'x'));
    CHECK(read(type + std::string(70, 'x')) == std::string(70, 'x'));
    CHECK(read(type + std::string(71, 'x')) == "bad");
    for (const char* value :
         {"", "\"\"", "\"a \"", "a\"b", "\"a\\-b\"", "a*b", "\xc3\xa4", "a; boundary=b", "\"a"}) {
        CAPTURE(value);
        CHECK(read(type + value) == "bad");
    }
    CHECK(read("multipart/form-data") == "bad");
    CHECK(read("multipart/mixed; boundary=b") == "not a form");
    CHECK(read("") == "not a form");
}

TEST_CASE("multipart: read_form_parts() gives views into the content") {
    const std::string type = "multipart/form-data; boundary=b";
    const std::string form = "pre\r\n--b\r\nContent-Disposition: form-data; name=\"a%22\"\r\n\r\n"
                             "--1\r\n--b\r\n"
                             "Content-Disposition: form-data; name=f; filename=\"x\"\r\n"
                             "Content-Type: image/png\r\n\r\n\x89PNG\r\n\r\n--b--\r\n";
    const HeapBytes block(form);
    MultipartFault fault = MultipartFault::incomplete;
    const auto parts = read_form_parts(type, block.view(), {}, fault);
    CHECK(fault == MultipartFault::none);
    REQUIRE(parts);
    REQUIRE(parts->size() == 2);
    const FormPart& first = (*parts)[0];
    const FormPart& second = (*parts)[1];
    CHECK(first.name == "a\"");
    CHECK_FALSE(first.file_name);
    CHECK(first.content_type == "text/plain");
    CHECK(first.content == "--1");
    CHECK(second.name == "f");
    REQUIRE(second.file_name);
    CHECK(*second.file_name == "x");
    CHECK(second.content_type == "image/png");
    CHECK(second.content == "\x89PNG\r\n");
    CHECK(second.content.data() == block.view().data() + form.find("\x89PNG"));

    CHECK_FALSE(read_form_parts(type, block.view().substr(0, form.size() - 5), {}, fault));
    CHECK(fault == MultipartFault::incomplete);
    CHECK_FALSE(read_form_parts("text/plain", block.view(), {}, fault));
    CHECK(fault == MultipartFault::not_a_form);
}

TEST_CASE("multipart: an ordinary handler reads the parts of its request") {
    Server server;
    server.post("/form", [](const Request& request, Response& response) {
        const auto parts = read_form_parts(request);
        std::string text = parts ? "" : "nothing";
        for (std::size_t i = 0; parts && i < parts->size(); ++i) {
            text.append((*parts)[i].name).append("=").append((*parts)[i].content).append(";");
        }
        response.text(text);
    });
    testing::Client client(server);
    const std::string form = "--b\r\n" + plain_part + "x\r\n--b--\r\n";
    CHECK(client.post("/form", "multipart/form-data; boundary=b", form).body == "n=x;");
    CHECK(client.post("/form", "multipart/form-data; boundary=c", form).body == "nothing");
    CHECK(client.post("/form", "text/plain", form).body == "nothing");
    CHECK(client.request("POST", "/form", {}, form).body == "nothing");
    CHECK(
        client
            .request(
                "POST", "/form",
                {{"Content-Type", "multipart/form-data; boundary=b"},
                 {"Content-Type", "text/plain"}},
                form)
            .body
        == "nothing");
}

TEST_CASE("multipart: each fault has a status and a sentence") {
    for (int i = 1; i <= static_cast<int>(MultipartFault::incomplete); ++i) {
        const auto fault = static_cast<MultipartFault>(i);
        CAPTURE(i);
        const std::string_view sentence = describe(fault);
        CHECK(sentence.size() > 10);
        CHECK(sentence.back() == '.');
        const int status = status_of(fault);
        CHECK((status == 400 || status == 413 || status == 415 || status == 431));
    }
    CHECK(describe(MultipartFault::none).empty());
    CHECK(status_of(MultipartFault::part_too_large) == 413);
    CHECK(status_of(MultipartFault::part_head_too_large) == 431);
    CHECK(status_of(MultipartFault::incomplete) == 400);
    CHECK(status_of(MultipartFault::not_a_form) == 415);
}
