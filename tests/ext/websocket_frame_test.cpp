// SPDX-License-Identifier: MIT

#include "support/guarded_bytes.hpp"
#include "support/test.hpp"

#include <string>
#include <string_view>
#include <vector>

using namespace std::string_view_literals;
using porthole::detail::apply_mask;
using porthole::detail::FrameHead;
using porthole::detail::FrameReading;
using porthole::detail::FrameStatus;
using porthole::detail::MaskKey;
using porthole::detail::Opcode;
using porthole::detail::read_frame_head;

namespace {

FrameStatus status_of(std::string_view bytes) {
    const porthole_test::HeapBytes block(bytes);
    FrameHead head;
    return read_frame_head(block.view(), head).status;
}

} // namespace

TEST_CASE("websocket frame: what is written is read, at each edge of the lengths (RFC 6455 5.2)") {
    const std::uint64_t sizes[] = {0,     1,     125,        126,         127,
                                   65535, 65536, 0xffffffff, 0x100000000, 0x7fffffffffffffff};
    const std::size_t head_sizes[] = {2, 2, 2, 4, 4, 4, 10, 10, 10, 10};
    for (std::size_t i = 0; i < 10; ++i) {
        for (const bool is_masked : {false, true}) {
            CAPTURE(sizes[i]);
            FrameHead head;
            head.opcode = Opcode::binary;
            head.has_rsv1 = i % 2 == 0;
            head.is_final = i % 3 != 0;
            head.is_masked = is_masked;
            head.key = {'k', 'e', 'y', '!'};
            head.payload_size = sizes[i];
            char bytes[porthole::detail::max_frame_head_size];
            const std::size_t size = write_frame_head(bytes, head);
            CHECK(size == head_sizes[i] + (is_masked ? 4 : 0));
            for (std::size_t part = 0; part < size; ++part) {
                const porthole_test::HeapBytes block({bytes, part});
                FrameHead other;
                const FrameReading reading = read_frame_head(block.view(), other);
                CHECK(reading.status == FrameStatus::need_more);
                CHECK(reading.size > part);
                CHECK(reading.size <= size);
            }
            FrameHead read;
            const FrameReading reading = read_frame_head({bytes, size}, read);
            REQUIRE(reading.status == FrameStatus::complete);
            CHECK(reading.size == size);
            CHECK(read.payload_size == sizes[i]);
            CHECK(read.has_rsv1 == head.has_rsv1);
            CHECK(read.is_final == head.is_final);
            CHECK(read.is_masked == is_masked);
            CHECK((!is_masked || read.key == head.key));
        }
    }
}

TEST_CASE("websocket frame: what breaks a rule fails as soon as it is here (RFC 6455 5.2, 5.5)") {
    const std::vector<std::string_view> rows = {
        "\x92\x80"sv, // RSV3
        "\xa2\x80"sv, // RSV2
        "\x83\x80"sv, // reserved opcodes
        "\x87\x80"sv,
        "\x8b\x80"sv,
        "\x8f\x80"sv,
        "\x09\x80"sv, // a fragmented ping
        "\x08\x80"sv,
        "\x89\xfe"sv, // a long ping
        "\x88\xff"sv,
        "\x82\xfe\x00\x7d"sv, // longer than needed
        "\x82\x7e\x00\x00"sv,
        "\x82\xff\0\0\0\0\0\0\xff\xff"sv,
        "\x82\xff\x80\0\0\0\0\0\0\0"sv, // the highest bit
    };
    for (const std::string_view row : rows) {
        CAPTURE(row.size());
        CHECK(status_of(row) == FrameStatus::failed);
        CHECK(status_of(row.substr(0, row.size() - 1)) == FrameStatus::need_more);
    }
    CHECK(status_of("\x82\x7e\x00\x7e"sv) == FrameStatus::complete);
    CHECK(status_of("\x82\x7f\0\0\0\0\0\x01\0\0"sv) == FrameStatus::complete);
}

TEST_CASE("websocket frame: the mask, at each size and offset (RFC 6455 5.3)") {
    const MaskKey key = {'\x12', '\x9a', '\x00', '\xff'};
    std::string plain;
    for (int i = 0; i < 100; ++i) {
        plain += static_cast<char>(i * 37 + 11);
    }
    for (std::size_t size = 0; size <= plain.size(); ++size) {
        for (std::size_t offset = 0; offset < 9; ++offset) {
            std::string expected = plain.substr(0, size);
            bool has_high_bytes = false;
            for (std::size_t i = 0; i < size; ++i) {
                expected[i] = static_cast<char>(expected[i] ^ key[(i + offset) % 4]);
                has_high_bytes = has_high_bytes || (expected[i] & 0x80) != 0;
            }
            std::string bytes = plain.substr(0, size);
            bytes.shrink_to_fit();
            REQUIRE(apply_mask(bytes.data(), size, key, offset) == has_high_bytes);
            REQUIRE(bytes == expected);
        }
    }
    std::string text(80, 'a');
    const MaskKey none{};
    CHECK_FALSE(apply_mask(text.data(), text.size(), none, 0));
    for (std::size_t at = 0; at < text.size(); ++at) {
        text.assign(80, 'a');
        text[at] = '\x80';
        REQUIRE(apply_mask(text.data(), text.size(), none, 0));
    }
}

TEST_CASE("websocket frame: codes that a Close frame may carry (RFC 6455 7.4)") {
    using porthole::detail::is_sendable_close_code;
    for (const int code :
         {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000,
          4999}) {
        CHECK(is_sendable_close_code(code));
    }
    for (const int code : {0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535}) {
        CHECK_FALSE(is_sendable_close_code(code));
    }
}
