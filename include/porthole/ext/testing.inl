// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/base/ascii.hpp"
#include "porthole/base/limits.hpp"
#include "porthole/ext/testing.hpp"
#include "porthole/http/chunked.hpp"

#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace testing {

PORTHOLE_FN std::string_view Answer::header(std::string_view name) const noexcept {
    for (const auto& field : fields) {
        if (ascii::equals_ignoring_case(field.first, name)) {
            return field.second;
        }
    }
    return {};
}

PORTHOLE_FN bool Answer::has_header(std::string_view name) const noexcept {
    for (const auto& field : fields) {
        if (ascii::equals_ignoring_case(field.first, name)) {
            return true;
        }
    }
    return false;
}

PORTHOLE_FN AnswerReading
read_answer(std::string_view bytes, bool is_head, bool has_ended, Answer& answer) {
    Limits limits; // a client of its own server trusts it more than a server its clients
    limits.max_fields_bytes = limits.max_fields = limits.max_trailer_bytes = bytes.size();
    AnswerReading reading;
    detail::ResponseParser parser(limits);
    reading.status = parser.parse(bytes, is_head);
    if (reading.status != detail::ParseStatus::complete) {
        return reading;
    }
    const detail::ResponseHead& head = parser.head();
    answer = Answer{};
    answer.status = head.status;
    answer.reason = head.reason.in(bytes.data());
    for (std::size_t i = 0; i < head.fields.size(); ++i) {
        answer.fields.emplace_back(head.fields[i].name, head.fields[i].value);
    }
    reading.size = parser.head_size();
    std::string_view rest = bytes.substr(reading.size);
    switch (head.framing.kind) {
    case detail::Framing::Kind::none: return reading;
    case detail::Framing::Kind::length:
        if (rest.size() < head.framing.length) {
            reading.status = detail::ParseStatus::need_more;
            return reading;
        }
        answer.body = rest.substr(0, static_cast<std::size_t>(head.framing.length));
        reading.size += answer.body.size();
        return reading;
    case detail::Framing::Kind::close:
        reading.status = has_ended ? detail::ParseStatus::complete : detail::ParseStatus::need_more;
        answer.body = rest;
        reading.size = bytes.size();
        return reading;
    case detail::Framing::Kind::chunked: break;
    }
    detail::ChunkedDecoder decoder(limits);
    do {
        std::size_t consumed = 0;
        std::string_view piece;
        reading.status = decoder.decode(rest, consumed, piece);
        answer.body += piece;
        reading.size += consumed;
        rest.remove_prefix(consumed);
    } while (reading.status == detail::ParseStatus::need_more && !rest.empty());
    return reading;
}

PORTHOLE_FN std::string write_request(
    std::string_view method, std::string_view target, const FieldList& fields,
    std::string_view body) {
    std::string bytes;
    bytes.append(method).append(" ").append(target).append(" HTTP/1.1\r\n");
    bool has_host = false;
    bool has_framing = false;
    for (const auto& field : fields) {
        has_host |= ascii::equals_ignoring_case(field.first, "Host");
        has_framing |= ascii::equals_ignoring_case(field.first, "Content-Length")
                       || ascii::equals_ignoring_case(field.first, "Transfer-Encoding");
        bytes.append(field.first).append(": ").append(field.second).append("\r\n");
    }
    if (!has_host) {
        bytes += "Host: localhost\r\n";
    }
    if (!body.empty() && !has_framing) {
        bytes += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    }
    bytes.append("\r\n").append(body);
    return bytes;
}

PORTHOLE_FN Client::Client(Server& server, std::size_t capacity, std::string_view peer)
    : server_(&server) {
    MemoryTransport::Pair pair = MemoryTransport::make_pair(capacity);
    transport_ = std::move(pair.client);
    if (server.adopt(std::move(pair.server), peer)) {
        is_closed_ = true;
    }
}

PORTHOLE_FN Answer Client::request(
    std::string_view method, std::string_view target, const FieldList& fields,
    std::string_view body) {
    const std::string bytes = write_request(method, target, fields, body);
    std::string_view rest = bytes;
    for (int i = 0; i < max_ticks && !rest.empty() && !is_closed_; ++i) {
        rest.remove_prefix(send(rest));
        if (!rest.empty()) {
            tick();
        }
    }
    return read_answer(method == "HEAD");
}

PORTHOLE_FN Answer
Client::post(std::string_view target, std::string_view type, std::string_view body) {
    return request("POST", target, {{"Content-Type", type}}, body);
}

PORTHOLE_FN std::size_t Client::send(std::string_view bytes) {
    if (!transport_ || bytes.empty()) {
        return 0;
    }
    const IoResult result = transport_->write(&bytes, 1);
    return result.status == IoStatus::ok ? result.bytes : 0;
}

PORTHOLE_FN TickReport Client::tick() {
    const TickReport report = server_->tick(std::chrono::seconds(1));
    take_input();
    return report;
}

PORTHOLE_FN void Client::take_input() {
    constexpr std::size_t piece = 16 * 1024;
    while (transport_ && is_reading_ && !is_closed_) {
        char bytes[piece];
        const IoResult result = transport_->read(bytes, sizeof bytes);
        if (result.status == IoStatus::ok) {
            received_.append(bytes, result.bytes);
            continue;
        }
        is_closed_ = result.status != IoStatus::would_block;
        return;
    }
}

PORTHOLE_FN Answer Client::read_answer(bool is_head) {
    Answer answer;
    for (int i = 0; i < max_ticks; ++i) {
        const AnswerReading reading = testing::read_answer(received_, is_head, is_closed_, answer);
        constexpr int first_final = 200;
        if (reading.status == detail::ParseStatus::complete) {
            received_.erase(0, reading.size);
            if (answer.status >= first_final || answer.status == 101) {
                return answer;
            }
            continue; // 100 Continue: the answer is still to come
        }
        if (reading.status == detail::ParseStatus::failed || is_closed_) {
            break;
        }
        tick();
    }
    return Answer{};
}

PORTHOLE_FN void pass_time(Server& server, ManualClock& clock, Duration time) {
    constexpr Duration frame = std::chrono::milliseconds(16);
    while (time > Duration::zero()) {
        const Duration step = time < frame ? time : frame;
        clock.advance(step);
        server.tick(std::chrono::seconds(1));
        time -= step;
    }
}

} // namespace testing

PORTHOLE_NAMESPACE_END
