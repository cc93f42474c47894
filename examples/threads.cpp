// SPDX-License-Identifier: MIT

// Other threads. Handlers always run on the thread that ticks; what takes long goes to a worker:
//   - response.defer() gives a Reply, the right to answer later, from any thread;
//   - server.post(fn) runs fn on the ticking thread, so that it may touch what handlers touch
//     without a lock.
//
//     g++ -std=c++17 -pthread -Isingle_include examples/threads.cpp
//     ./a.out [port]
//     curl localhost:8080/primes/30000000     counted by the worker
//     curl localhost:8080/                    answered at once meanwhile

#define PORTHOLE_IMPLEMENTATION // in exactly one source file of the program
#include <porthole.hpp>

#include <condition_variable>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace {

volatile std::sig_atomic_t stop_requested = 0;

void request_stop(int) {
    stop_requested = 1;
}

struct Job {
    std::uint32_t below = 0;
    porthole::Reply reply;
};

// Jobs on their way to the worker. Bounded: a client that asks faster than the worker answers gets
// 503 instead of filling the memory.
class JobQueue {
public:
    bool push(Job job) {
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            if (jobs_.size() >= max_jobs) {
                return false;
            }
            jobs_.push_back(std::move(job));
        }
        changed_.notify_one();
        return true;
    }
    /// Waits for a job; nothing once close() was called.
    std::optional<Job> pop() {
        std::unique_lock<std::mutex> lock(mutex_);
        changed_.wait(lock, [this] { return is_closed_ || !jobs_.empty(); });
        if (is_closed_) {
            return std::nullopt;
        }
        Job job = std::move(jobs_.front());
        jobs_.pop_front();
        return job;
    }
    void close() {
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            is_closed_ = true;
        }
        changed_.notify_all();
    }

private:
    static constexpr std::size_t max_jobs = 16;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Job> jobs_;
    bool is_closed_ = false;
};

constexpr std::uint32_t max_below = 50'000'000;

// Something slow. Nothing when the client has gone meanwhile and nobody wants the answer any more.
std::optional<std::uint32_t> count_primes(std::uint32_t below, const porthole::Reply& reply) {
    std::vector<bool> is_composite(below, false);
    std::uint32_t count = 0;
    for (std::uint32_t i = 2; i < below; ++i) {
        if (is_composite[i]) {
            continue;
        }
        if (++count % 1024 == 0 && reply.peer_gone()) {
            return std::nullopt;
        }
        for (std::uint64_t j = std::uint64_t{i} * i; j < below; j += i) {
            is_composite[static_cast<std::size_t>(j)] = true;
        }
    }
    return count;
}

void work(JobQueue& queue, porthole::Server& server, std::uint64_t& jobs_done) {
    while (std::optional<Job> job = queue.pop()) {
        const std::optional<std::uint32_t> count = count_primes(job->below, job->reply);
        if (!count) {
            continue; // the Reply goes away unanswered, which is right: nobody listens
        }
        // A waiting server wakes up and sends it.
        job->reply.text(
            std::to_string(*count) + " primes below " + std::to_string(job->below) + "\n");
        // jobs_done belongs to the ticking thread, so that is where it changes.
        server.post([&jobs_done] { ++jobs_done; });
    }
}

void answer_primes(
    JobQueue& queue, const porthole::Request& request, porthole::Response& response) {
    const auto below = porthole::parse_number<std::uint32_t>(request.param("below"));
    if (!below || *below > max_below) {
        response.status(400).text("GET /primes/N, with N from 0 to 50000000\n");
        return;
    }
    porthole::Reply reply = response.defer();
    // The views of `request` end with this function: a job gets copies of what it needs.
    if (!queue.push({*below, reply})) {
        reply.fail(503, "The worker is busy; try again.", std::chrono::seconds(1));
    }
}

} // namespace

int main(int argc, char** argv) {
    const auto port = porthole::parse_number<std::uint16_t>(argc > 1 ? argv[1] : "8080");
    if (!port) {
        std::fprintf(stderr, "usage: threads [port]\n");
        return 2;
    }
    std::signal(SIGINT, request_stop);
    std::signal(SIGTERM, request_stop);

    JobQueue queue;
    std::uint64_t jobs_done = 0; // ticking thread only: no lock, no atomic
    porthole::Server server;
    server.get("/", [&jobs_done](const porthole::Request&, porthole::Response& response) {
        response.text("Jobs done: " + std::to_string(jobs_done) + "\nTry /primes/30000000\n");
    });
    server.get(
        "/primes/:below", [&queue](const porthole::Request& request, porthole::Response& response) {
            answer_primes(queue, request, response);
        });
    if (auto error = server.listen("localhost", *port)) {
        std::fprintf(stderr, "%s\n", error.message().c_str());
        return 1;
    }
    for (const std::string& url : server.urls()) {
        std::printf("Listening on %s - Ctrl-C ends it\n", url.c_str());
    }
    std::fflush(stdout);

    std::thread worker([&] { work(queue, server, jobs_done); });
    while (stop_requested == 0) {
        // In a program with frames: server.tick(). The timeout is for stop_requested only.
        server.wait(std::chrono::milliseconds(200));
    }
    // The worker uses the server, so it ends first.
    queue.close();
    worker.join();
}
