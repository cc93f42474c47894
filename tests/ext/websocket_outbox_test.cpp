// SPDX-License-Identifier: MIT

#include "support/allocation_counter.hpp"
#include "support/test.hpp"

#include <memory>
#include <string>
#include <string_view>

using porthole::detail::Outbox;
using porthole::detail::OutFrame;

namespace {

OutFrame frame(std::string_view payload) {
    OutFrame made;
    made.head = "[";
    made.payload = payload;
    return made;
}

Outbox::Place keyed(std::string_view key) {
    Outbox::Place place;
    place.is_keyed = true;
    place.key = key;
    return place;
}

std::string drain(Outbox& outbox) {
    std::string text;
    while (!outbox.is_empty()) {
        const OutFrame front = outbox.front();
        text += front.head.empty() ? front.payload[0] : front.head[0];
        outbox.consume(1);
    }
    return text;
}

} // namespace

TEST_CASE("outbox: what waits is counted and leaves in order") {
    Outbox outbox;
    CHECK(outbox.is_empty());
    outbox.push(frame("abc"), {});
    const auto owner = std::make_shared<const std::string>("shared");
    OutFrame shared;
    shared.payload = *owner;
    shared.owner = owner;
    outbox.push(shared, {});
    Outbox::Place begun;
    begun.sent = 2;
    Outbox other;
    other.push(frame("abc"), begun);
    CHECK(other.bytes() == 2);
    CHECK(other.has_begun());
    CHECK(outbox.bytes() == 10);
    CHECK(outbox.cost() == 10 + 2 * Outbox::entry_cost);
    CHECK(drain(outbox) == "[abcshared");
    CHECK(outbox.bytes() == 0);
    CHECK(drain(other) == "bc");
}

TEST_CASE("outbox: a key's message is replaced until it begins to leave") {
    Outbox outbox;
    outbox.push(frame("one"), keyed("k"));
    outbox.push(frame("other"), {});
    CHECK(outbox.find("k") == 4);
    CHECK(outbox.find("x") == 0);
    outbox.replace("k", frame("three"));
    CHECK(outbox.bytes() == 12);
    outbox.consume(1);
    CHECK(outbox.find("k") == 0);
    outbox.push(frame("new"), keyed("k"));
    CHECK(outbox.find("k") == 4);
    CHECK(drain(outbox) == "three[other[new");
    CHECK(outbox.find("k") == 0);
}

TEST_CASE("outbox: the oldest is dropped, but not what has begun or is pinned") {
    Outbox outbox;
    outbox.push(frame("a"), {});
    Outbox::Place pinned;
    pinned.is_pinned = true;
    outbox.push(frame("b"), pinned);
    outbox.push(frame("c"), keyed("k"));
    outbox.push(frame("d"), {});
    outbox.consume(1);
    CHECK(outbox.drop_oldest());
    CHECK(outbox.find("k") == 0);
    CHECK(outbox.drop_oldest());
    CHECK_FALSE(outbox.drop_oldest());
    outbox.push(frame("e"), {});
    CHECK(outbox.bytes() == 5);
    CHECK(drain(outbox) == "a[b[e");
    outbox.push(frame("f"), {});
    CHECK(outbox.drop_oldest());
    CHECK(outbox.is_empty());
    CHECK(outbox.bytes() == 0);
}

TEST_CASE("outbox: what is dropped takes no room, however long the front stays") {
    if (!porthole_test::counts_allocations()) {
        return;
    }
    Outbox outbox;
    outbox.push(frame("front"), keyed("front"));
    outbox.consume(1);
    const std::size_t before = porthole_test::live_bytes();
    for (int i = 0; i < 10'000; ++i) {
        outbox.push(frame("x"), keyed(i % 2 == 0 ? "even" : "front"));
        outbox.push(frame("y"), {});
        CHECK(outbox.drop_oldest());
        CHECK(outbox.drop_oldest());
    }
    CHECK(porthole_test::live_bytes() < before + 4096);
    CHECK(outbox.find("front") == 0);
    outbox.push(frame("new"), keyed("k"));
    CHECK(outbox.find("k") == 4);
    outbox.replace("k", frame("newer"));
    CHECK(drain(outbox) == "front[newer");
}

TEST_CASE("outbox: what has an owner is not copied, and let go when it has left") {
    const auto owner = std::make_shared<const std::string>(100, 'o');
    OutFrame shared = frame(*owner);
    shared.owner = owner;
    Outbox outbox;
    outbox.push(shared, {});
    Outbox::Place begun;
    begun.sent = 40;
    outbox.push(shared, begun);
    CHECK(owner.use_count() == 4);
    CHECK(outbox.bytes() == 101 + 61);
    CHECK(outbox.front().head == "[");
    CHECK(outbox.front().payload.data() == owner->data());
    outbox.consume(1);
    CHECK(outbox.front().head.empty());
    CHECK(outbox.front().payload.data() == owner->data());
    outbox.consume(99);
    CHECK(outbox.front().payload == "o");
    outbox.consume(1);
    CHECK(outbox.has_begun());
    CHECK(outbox.front().payload.data() == owner->data() + 39);
    CHECK(outbox.front().payload.size() == 61);
    outbox.consume(61);
    CHECK(outbox.is_empty());
    shared.owner.reset();
    CHECK(owner.use_count() == 1);
}

TEST_CASE("outbox: only what has not left is copied, and once it is large it can be shared") {
    for (const std::size_t size : {Outbox::least_shared - 1, Outbox::least_shared}) {
        CAPTURE(size);
        std::string payload(size + 1000, 'x');
        payload += "end";
        Outbox::Place begun;
        begun.sent = 1 + 1000 + 3; // the head, too
        Outbox outbox;
        {
            OutFrame made = frame(payload);
            if (porthole_test::counts_allocations()) {
                const std::size_t before = porthole_test::live_bytes();
                outbox.push(made, begun);
                CHECK(porthole_test::live_bytes() - before < size + 2000);
            } else {
                outbox.push(made, begun);
            }
        }
        payload.assign("changed");
        CHECK(outbox.bytes() == size);
        const OutFrame front = outbox.front();
        CHECK((front.owner != nullptr) == (size == Outbox::least_shared));
        const std::string bytes = std::string(front.head).append(front.payload);
        CHECK(bytes == std::string(size - 3, 'x') + "end");
        CHECK(outbox.has_begun());
        CHECK_FALSE(outbox.drop_oldest());
    }
}
