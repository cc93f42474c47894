// SPDX-License-Identifier: MIT

// Who gets a place, who waits, and what the beat tells those who are there.

#include "support/cgi_task_double.hpp"

#include <memory>
#include <string>
#include <vector>

using namespace porthole;
using namespace std::chrono_literals;
using porthole_test::QueueDouble;
using porthole_test::TaskDouble;

namespace {

struct QueueWorld {
    explicit QueueWorld(std::size_t running, std::size_t waiting) {
        queue->wanted.max_running = running;
        queue->wanted.max_waiting = waiting;
        queue->attach(server);
    }
    ~QueueWorld() { queue->shut_all(); }

    std::shared_ptr<TaskDouble> enter(const std::string& name) {
        const auto task = std::make_shared<TaskDouble>(queue, name, &story);
        queue->enter(task);
        return task;
    }
    void tick() { server.tick(1s); }

    ManualClock clock;
    Server server{porthole_test::options(clock)};
    std::shared_ptr<QueueDouble> queue = std::make_shared<QueueDouble>();
    std::string story;
};

} // namespace

TEST_CASE("cgi queue: the first start at once, the next wait, and then there is no room") {
    QueueWorld world(2, 1);
    const auto a = world.enter("a");
    CHECK(world.queue->has_room());
    const auto b = world.enter("b");
    CHECK(world.queue->has_room());
    const auto c = world.enter("c");
    CHECK_FALSE(world.queue->has_room());
    CHECK(world.story == "+a+b");
    world.queue->leave(*a);
    CHECK(world.story == "+a+b"); // starting is a unit of work of its own
    world.tick();
    CHECK(world.story == "+a+b+c");
    CHECK(world.queue->has_room());
}

TEST_CASE("cgi queue: those who wait start in the order in which they came") {
    QueueWorld world(1, 9);
    std::vector<std::shared_ptr<TaskDouble>> tasks;
    for (const char* name : {"a", "b", "c", "d"}) {
        tasks.push_back(world.enter(name));
    }
    world.queue->leave(*tasks[2]); // gives up waiting
    world.tick();
    CHECK(world.story == "+a");
    world.queue->leave(*tasks[0]);
    world.tick();
    world.queue->leave(*tasks[1]);
    world.tick();
    CHECK(world.story == "+a+b+d");
}

TEST_CASE("cgi queue: a place that is not free yet is not given on, but by a later beat") {
    QueueWorld world(1, 1);
    const auto a = world.enter("a");
    const auto b = world.enter("b");
    world.queue->ended_places = 1;
    world.queue->leave(*a);
    world.tick();
    CHECK(world.story == "+a");
    CHECK_FALSE(world.queue->has_room());
    world.queue->ended_places = 0;
    testing::pass_time(world.server, world.clock, 300ms);
    CHECK(world.story == "+a+b");
}

TEST_CASE("cgi queue: uploads that are spooled have a place in it") {
    QueueWorld world(1, 1);
    {
        const TaskDouble first(world.queue, "a", nullptr, true);
        CHECK(world.queue->has_room());
        TaskDouble second(world.queue, "b", nullptr, true);
        CHECK_FALSE(world.queue->has_room());
        second.upload().leave_spooling();
        CHECK(world.queue->has_room());
    }
    const auto a = world.enter("a");
    CHECK(world.queue->has_room());
}

TEST_CASE("cgi queue: the beat tells how much time has passed, and gaps count little") {
    QueueWorld world(1, 1);
    const auto running = world.enter("a");
    const auto waiting = world.enter("b");
    testing::pass_time(world.server, world.clock, 1s);
    CHECK(running->age > 600ms);
    CHECK(running->age <= 1s);
    CHECK(waiting->age == running->age);
    CHECK(world.queue->looked_after == running->age);
    world.clock.advance(3600s); // a breakpoint
    world.tick();
    world.tick();
    CHECK(running->age <= 1s + 2 * world.server.options().limits.max_tick_gap);
}

TEST_CASE("cgi queue: the beat is as fast as the timeouts want, or as what is asked for") {
    QueueWorld world(1, 0);
    world.queue->wanted.timeout = 80ms;
    const auto task = world.enter("a");
    world.clock.advance(10ms);
    world.tick();
    CHECK(task->age == 10ms);
    task->is_asked = true;
    testing::pass_time(world.server, world.clock, 20ms);
    CHECK(task->age == 30ms);
    world.clock.advance(1ms);
    world.tick();
    CHECK(task->age == 31ms);
}

TEST_CASE("cgi queue: when it is shut all of its tasks are, and nothing starts any more") {
    QueueWorld world(1, 9);
    const auto a = world.enter("a");
    const auto b = world.enter("b");
    world.queue->leave(*a);
    world.queue->shut_all();
    CHECK(world.queue->server() == nullptr);
    world.tick();
    CHECK(world.story == "+a-b");
}
