// SPDX-License-Identifier: MIT
#include "support/test.hpp"

#include <cstring>
#include <random>
#include <string>
#include <utility>

using porthole::detail::Buffer;

TEST_CASE("buffer: an empty one owns no memory, and gives it back when released") {
    Buffer buffer(1000);
    CHECK(buffer.is_empty());
    CHECK(buffer.capacity() == 0);
    CHECK(buffer.append(""));
    CHECK(buffer.capacity() == 0);
    CHECK(buffer.append("abc"));
    CHECK(buffer.capacity() > 0);
    buffer.clear();
    CHECK(buffer.is_empty());
    CHECK(buffer.capacity() > 0);
    buffer.release();
    CHECK(buffer.capacity() == 0);
    CHECK(buffer.append("again"));
    CHECK(buffer.view() == "again");
}

TEST_CASE("buffer: never holds more than its cap, however small") {
    for (const std::size_t cap : {0u, 1u, 100u, 255u, 256u, 257u, 1000u}) {
        CAPTURE(cap);
        Buffer buffer(cap);
        CHECK(buffer.max_bytes() == cap);
        if (cap > 0) {
            CHECK(buffer.append(std::string(cap - 1, 'a')));
            CHECK(buffer.append("b"));
        }
        CHECK(buffer.size() == cap);
        CHECK_FALSE(buffer.append("c"));
        CHECK(buffer.prepare(1) == nullptr);
        CHECK(buffer.size() == cap);
        CHECK(buffer.capacity() <= cap);
    }
}

TEST_CASE("buffer: a small one is not lured past its cap by its first growth") {
    Buffer buffer(100);
    CHECK(buffer.append(std::string(60, 'a')));
    CHECK_FALSE(buffer.append(std::string(60, 'b')));
    CHECK(buffer.append(std::string(40, 'b')));
    CHECK_FALSE(buffer.append("c"));
}

TEST_CASE("buffer: refuses sizes that would overflow") {
    Buffer buffer(1000);
    CHECK(buffer.append("abc"));
    CHECK(buffer.prepare(SIZE_MAX) == nullptr);
    CHECK(buffer.prepare(SIZE_MAX - 2) == nullptr);
    CHECK(buffer.view() == "abc");
}

TEST_CASE("buffer: makes room at the end of what has been consumed") {
    Buffer buffer(256);
    CHECK(buffer.append(std::string(256, 'a')));
    buffer.consume(1);
    CHECK(buffer.append("b"));
    CHECK(buffer.capacity() == 256);
    CHECK(buffer.view() == std::string(255, 'a') + "b");
    buffer.consume(256);
    CHECK(buffer.is_empty());
}

TEST_CASE("buffer: consuming more than there is, is misuse and empties it") {
    Buffer buffer(100);
    CHECK(buffer.append("abc"));
    const int before = porthole_test::misuse_count;
    buffer.consume(4);
    CHECK(porthole_test::misuse_count == before + 1);
    CHECK(buffer.is_empty());
    CHECK(buffer.append("def"));
    CHECK(buffer.view() == "def");
}

TEST_CASE("buffer: prepared bytes count once they are committed") {
    Buffer buffer(100);
    char* into = buffer.prepare(10);
    CHECK(into != nullptr);
    CHECK(buffer.is_empty());
    std::memcpy(into, "hello", 5);
    buffer.commit(5);
    CHECK(buffer.view() == "hello");
}

TEST_CASE("buffer: moving leaves an empty one behind") {
    Buffer first(100);
    CHECK(first.append("abc"));
    Buffer second(std::move(first));
    CHECK(second.view() == "abc");
    CHECK(first.is_empty());
    CHECK(first.capacity() == 0);
    Buffer third(5);
    CHECK(third.append("xyz"));
    third = std::move(second);
    CHECK(third.view() == "abc");
    CHECK(third.max_bytes() == 100);
    CHECK(second.is_empty());
    CHECK(second.append("new"));
}

TEST_CASE("buffer: is a queue, whatever the order of calls") {
    std::mt19937 random(20240607);
    Buffer buffer(4096);
    std::string model;
    char next = 0;
    for (int step = 0; step < 20000; ++step) {
        const std::size_t size = random() % 300;
        if (random() % 2 == 0) {
            const std::string piece(size, ++next);
            const bool fits = model.size() + size <= 4096;
            if (buffer.append(piece) != fits) {
                FAIL("the cap is not where it should be, at step ", step);
            }
            model += fits ? piece : "";
        } else {
            const std::size_t taken = size < model.size() ? size : model.size();
            buffer.consume(taken);
            model.erase(0, taken);
        }
        if (buffer.view() != model) {
            FAIL("the content differs at step ", step);
        }
    }
    CHECK(buffer.capacity() <= 4096);
}
