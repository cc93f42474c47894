// SPDX-License-Identifier: MIT
#pragma once

// A queue and tasks of which the test decides everything: what they note of the calls they get, and
// that no program and no server is behind them.

#include "support/options.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace porthole_test {

class QueueDouble final : public porthole::detail::CgiQueue {
public:
    using CgiQueue::attach;
    using CgiQueue::shut_all;

    const porthole::detail::CgiTaskSettings& settings() const noexcept override { return wanted; }

    porthole::detail::CgiTaskSettings wanted;
    std::size_t ended_places = 0; ///< places that are not free yet
    porthole::Duration looked_after{};

private:
    std::size_t places_behind() const noexcept override { return ended_places; }
    bool look_after(porthole::Duration passed) override {
        looked_after += passed;
        return false;
    }
};

/// Writes what happens to it into `story`: "+a" is started, "-a" is shut.
class TaskDouble final : public porthole::detail::CgiTask {
public:
    TaskDouble(
        const std::shared_ptr<QueueDouble>& queue, std::string name, std::string* story = nullptr,
        bool is_spooled = false)
        : CgiTask(queue, order(name)), story_(story), name_(std::move(name)),
          upload_(queue, is_spooled, is_spooled) {}

    void start() override { tell('+'); }
    void on_beat(porthole::Duration passed) override { age += passed; }
    void shut() noexcept override { tell('-'); }
    bool is_polled() const noexcept override { return is_asked; }
    porthole::detail::CgiUpload& upload() noexcept override { return upload_; }
    void on_content(std::string_view) override {}
    void on_content_end() override {}
    void on_content_abort() override {}
    porthole::BodySource::Piece pull(char* into, std::size_t capacity) override {
        const std::size_t size = content.copy(into, capacity);
        content.erase(0, size);
        using State = porthole::BodySource::State;
        return {content.empty() ? State::end : State::more, size};
    }
    void on_source_gone(bool is_complete) override { tell(is_complete ? '!' : '?'); }
    using CgiTask::wake_source;

    porthole::Duration age{};
    bool is_asked = false;
    std::string content;

private:
    static porthole::detail::CgiTaskOrder order(const std::string& name) {
        porthole::detail::CgiTaskOrder made;
        made.name = name;
        made.peer = "10.0.0.1:80";
        return made;
    }
    void tell(char what) {
        if (story_ != nullptr) {
            (*story_ += what) += name_;
        }
    }

    std::string* story_;
    std::string name_;
    porthole::detail::CgiUpload upload_;
};

} // namespace porthole_test
