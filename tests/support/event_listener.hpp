// SPDX-License-Identifier: MIT
#pragma once

// An EventSource without a browser: connects in memory, takes the chunked coding away, and reads
// events as WHATWG HTML section 9.2.6 says.

#include "support/counting_transport.hpp"

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace porthole_test {

struct ReceivedEvent {
    std::string type; ///< "message" when the stream names none
    std::string data;
    std::string id; ///< the last that was seen, in this event or before
};

/// Reads events from any pieces of a stream.
class EventReader {
public:
    void read(std::string_view bytes) {
        rest_ += bytes;
        std::size_t begin = 0;
        for (;;) {
            const std::size_t end = rest_.find('\n', begin);
            if (end == std::string::npos) {
                break;
            }
            take_line(std::string_view(rest_).substr(begin, end - begin));
            begin = end + 1;
        }
        rest_.erase(0, begin);
    }
    /// What is not yet an event.
    std::string_view rest() const { return rest_; }

    std::vector<ReceivedEvent> events;
    std::vector<std::string> comments;
    std::string retry;

private:
    void take_line(std::string_view line) {
        if (line.empty()) {
            if (has_data_) {
                data_.pop_back();
                events.push_back({type_.empty() ? "message" : type_, data_, id_});
            }
            type_.clear();
            data_.clear();
            has_data_ = false;
            return;
        }
        const std::size_t colon = line.find(':');
        const std::string_view name = line.substr(0, colon);
        std::string_view value = colon == line.npos ? std::string_view() : line.substr(colon + 1);
        if (value.substr(0, 1) == " ") {
            value.remove_prefix(1);
        }
        if (colon == 0) {
            comments.emplace_back(value);
        } else if (name == "event") {
            type_ = value;
        } else if (name == "data") {
            data_.append(value).append("\n");
            has_data_ = true;
        } else if (name == "id") {
            id_ = value;
        } else if (name == "retry") {
            retry = value;
        }
    }

    std::string rest_;
    std::string type_;
    std::string data_;
    std::string id_;
    bool has_data_ = false;
};

/// A client of a chunked answer that goes on and on.
class Listener {
public:
    Listener(
        porthole::Server& server, std::string_view target, std::string_view fields = {},
        std::size_t capacity = porthole::MemoryTransport::default_capacity)
        : peer(server, capacity),
          decoder_(std::make_unique<porthole::detail::ChunkedDecoder>(limits_)) {
        REQUIRE(peer.send(get(target, fields)) != 0);
    }
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;

    /// Takes what has come; no tick. Returns the content's new bytes.
    std::string take() {
        peer.take();
        return decode();
    }
    /// One tick, and what it brought.
    void tick(int times = 1) {
        for (int i = 0; i < times; ++i) {
            peer.tick();
            reader.read(decode());
        }
    }
    /// What has come, without a tick, as events.
    void read() { reader.read(take()); }
    std::vector<ReceivedEvent> take_events() {
        std::vector<ReceivedEvent> events;
        events.swap(reader.events);
        return events;
    }
    /// "type=data" of all events, with spaces between them.
    std::string take_summary() {
        std::string text;
        for (const ReceivedEvent& event : take_events()) {
            text += (text.empty() ? "" : " ") + event.type + "=" + event.data;
            last_id = event.id;
        }
        return text;
    }

    Peer peer;
    EventReader reader;
    porthole::testing::Answer head;
    std::string last_id;
    bool is_over = false; ///< the content has come to its end

private:
    std::string decode() {
        using porthole::detail::ParseStatus;
        if (head.status == 0) {
            const std::size_t end = peer.received.find("\r\n\r\n");
            if (end == std::string::npos) {
                return {};
            }
            // Only the head: what follows it has no end yet.
            const std::string bytes = peer.received.substr(0, end + 4);
            const auto reading = porthole::testing::read_answer(bytes, true, false, head);
            REQUIRE(reading.status == ParseStatus::complete);
            peer.received.erase(0, bytes.size());
        }
        std::string content;
        std::string_view rest = peer.received;
        while (!rest.empty() && !is_over) {
            std::size_t consumed = 0;
            std::string_view piece;
            const ParseStatus status = decoder_->decode(rest, consumed, piece);
            REQUIRE(status != ParseStatus::failed);
            content += piece;
            rest.remove_prefix(consumed);
            is_over = status == ParseStatus::complete;
        }
        peer.received.erase(0, peer.received.size() - rest.size());
        return content;
    }

    porthole::Limits limits_;
    std::unique_ptr<porthole::detail::ChunkedDecoder> decoder_;
};

} // namespace porthole_test
