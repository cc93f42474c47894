// SPDX-License-Identifier: MIT
#pragma once

// One request that an application server answers, from its place in the queue to the end of its
// connection, or to that connection's place among the idle ones. The upload goes in and the answer
// comes out at the same time; what one side cannot take stays where it is: in the client's socket
// or in the application server's.

#include "porthole/ext/cgi_answer.hpp"
#include "porthole/ext/cgi_log.hpp"
#include "porthole/ext/cgi_task.hpp"
#include "porthole/ext/cgi_upload.hpp"
#include "porthole/ext/fastcgi_gate.hpp"
#include "porthole/http/fastcgi_record.hpp"
#include "porthole/os/connector.hpp"
#include "porthole/server/reply.hpp"
#include "porthole/server/server.hpp"

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// What is to be asked.
struct FastCgiOrder : CgiTaskOrder {
    std::vector<std::string> variables; ///< "NAME=value"
    bool is_repeatable = false;         ///< may be done twice (RFC 9110 section 9.2.2)
};

class FastCgiRequest final : public CgiTask {
public:
    FastCgiRequest(std::shared_ptr<FastCgiGate> gate, FastCgiOrder order, Reply reply);

    PORTHOLE_FN void start() override;
    PORTHOLE_FN void on_beat(Duration passed) override;
    PORTHOLE_FN void shut() noexcept override;

    CgiUpload& upload() noexcept override { return upload_; }
    PORTHOLE_FN void on_content(std::string_view piece) override;
    PORTHOLE_FN void on_content_end() override;
    PORTHOLE_FN void on_content_abort() override;

    PORTHOLE_FN BodySource::Piece pull(char* into, std::size_t capacity) override;
    PORTHOLE_FN void on_source_gone(bool is_complete) override;

private:
    enum class Stage : unsigned char {
        waiting,    ///< for content that is spooled, or for a place
        connecting, ///< to the application server
        head,       ///< the request is on its way, and the answer has not begun
        content,    ///< the answer has begun
        ending,     ///< the answer is complete, and the connection may be of further use
        over,
    };
    /// What the connection has to say next.
    enum class News : unsigned char {
        nothing, ///< until more has come
        output,
        end,
        broken, ///< `fault_` says why
    };

    FastCgiGate& gate() const noexcept { return static_cast<FastCgiGate&>(queue()); }

    void begin_connecting();
    void look_at_connector(TimePoint now);
    void fail_connecting();
    void begin_exchange(Socket socket, bool is_reused);
    void update_watch();
    bool watch(NativeHandle handle, Interest interest, void (FastCgiRequest::*callback)(Readiness));
    void on_connect_ready(Readiness readiness);
    void on_ready(Readiness readiness);

    bool has_more_to_send() const noexcept;
    void feed();
    bool refill();
    void queue_content(std::string_view bytes);
    void drop_input();

    bool receive();
    News next(std::size_t most, std::string_view& piece);
    News after_end();
    bool is_stale() const noexcept;
    void begin_again();
    void on_head_input();
    void take_head();
    void fail_exchange();
    void on_ending_input();
    void drain();
    bool is_reusable() const noexcept;
    void complete();
    LogLines::Sink line_sink();

    bool check_time(Duration passed);
    void give_up(int status, std::string_view why);
    void abandon();
    void end_connection(bool keeps_it);

    FastCgiOrder order_;
    CgiUpload upload_;
    CgiAnswering answer_;
    Connector connector_;
    Socket socket_;
    WatchHandle watch_; ///< of the connector's socket, and then of ours
    Interest watched_;
    std::string request_; ///< what goes before the content
    std::size_t request_sent_ = 0;
    std::string pending_; ///< of the content, framed, on its way
    std::size_t pending_sent_ = 0;
    std::string input_; ///< what has been received
    std::size_t input_taken_ = 0;
    FastCgiReader reader_;
    LogLines lines_;
    std::string fault_;
    Duration quiet_{}; ///< since something has moved
    Duration connecting_for_{};
    Duration ending_for_{};
    std::size_t ending_bytes_ = 0;
    Stage stage_ = Stage::waiting;
    bool is_active_ = false; ///< since the last beat
    bool is_reused_ = false; ///< the connection has served another request
    bool has_received_ = false;
    bool has_sent_content_ = false;
    bool input_is_closed_ = false; ///< the end of the content is queued
    bool peer_has_ended_ = false;  ///< the application server has closed its side
    bool output_has_ended_ = false;
    bool has_given_all_ = false; ///< of what the answer promised
    bool source_waits_ = false;
    bool is_broken_ = false; ///< the answer cannot be completed
};

} // namespace detail

PORTHOLE_NAMESPACE_END
