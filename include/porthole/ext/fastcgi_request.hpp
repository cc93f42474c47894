// SPDX-License-Identifier: MIT
#pragma once

// One request that an application server answers, from its place in the queue to the end of its
// connection, or to that connection's place among the idle ones. The upload goes in and the answer
// comes out at the same time; what one side cannot take stays where it is: in the client's socket
// or in the application server's.

#include "porthole/base/buffer.hpp"
#include "porthole/ext/cgi_log.hpp"
#include "porthole/ext/cgi_spool.hpp"
#include "porthole/http/body.hpp"
#include "porthole/http/cgi_head.hpp"
#include "porthole/http/fastcgi_record.hpp"
#include "porthole/os/connector.hpp"
#include "porthole/server/body_sink.hpp"
#include "porthole/server/reply.hpp"
#include "porthole/server/server.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

class FastCgiGate;

/// What is to be asked, and what has to be known of its request.
struct FastCgiOrder {
    std::vector<std::string> variables; ///< "NAME=value"
    std::string peer;
    bool is_head = false;
    bool has_content = false;
    bool is_spooled = false; ///< to be sent when the content is complete
};

class FastCgiRequest : public std::enable_shared_from_this<FastCgiRequest> {
public:
    FastCgiRequest(std::shared_ptr<FastCgiGate> gate, FastCgiOrder order, Reply reply);
    FastCgiRequest(const FastCgiRequest&) = delete;
    FastCgiRequest& operator=(const FastCgiRequest&) = delete;
    ~FastCgiRequest();

    // The request's content. It is dropped once nobody reads it any more.
    void set_flow(BodyFlow flow) { flow_ = std::move(flow); }
    void on_content(std::string_view piece);
    void on_content_end();
    /// The client has gone, or the request was refused after all.
    void on_content_abort();

    // By the gate.
    void start();
    void on_beat(Duration passed);
    /// The mount goes.
    void shut() noexcept;

    // By the source of the answer.
    BodySource::Piece pull(char* into, std::size_t capacity);
    void set_waker(std::function<void()> waker) { waker_ = std::move(waker); }
    void on_source_gone();

private:
    enum class Stage : unsigned char {
        waiting,    ///< for content that is spooled, or for a place
        connecting, ///< to the application server
        head,       ///< the request is on its way, and the head of the answer is not complete
        peek,       ///< it has no Content-Type: is there content?
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
    void pause(bool is_paused);
    void drop_input();
    void drop_content(std::size_t bytes);

    bool receive();
    News next(std::size_t most, std::string_view& piece);
    News after_end();
    bool is_stale() const noexcept;
    void begin_again();
    void on_head_input();
    void take_output(std::string_view piece);
    void take_head();
    void answer(bool has_content);
    void fail_head(CgiFault fault);
    void fail_exchange();
    void on_ending_input();
    void drain();
    bool is_reusable() const noexcept;
    std::size_t bounded(std::size_t capacity) const noexcept;
    void complete();

    bool check_time(Duration passed);
    void end_spooling() noexcept;
    void give_up(int status, std::string_view why);
    void abandon();
    void end_connection(bool keeps_it);
    void log(LogLevel level, LogId id, std::string_view text) const;

    std::shared_ptr<FastCgiGate> gate_;
    FastCgiOrder order_;
    Reply reply_;
    BodyFlow flow_;
    Connector connector_;
    Socket socket_;
    WatchHandle watch_; ///< of the connector's socket, and then of ours
    Interest watched_;
    std::string request_; ///< what goes before the content
    std::size_t request_sent_ = 0;
    CgiSpool spool_;
    std::string pending_; ///< of the content, framed, on its way
    std::size_t pending_sent_ = 0;
    std::string input_; ///< what has been received
    std::size_t input_taken_ = 0;
    FastCgiReader reader_;
    std::string head_; ///< as long as it is looked at, it stays where it is
    std::string rest_; ///< content that was read together with the head
    std::size_t rest_taken_ = 0;
    CgiHeadParser parser_;
    std::optional<std::uint64_t> promised_; ///< by the answer's Content-Length
    std::uint64_t given_ = 0;
    LogLines lines_;
    std::function<void()> waker_;
    std::string fault_;
    Duration quiet_{}; ///< since something has moved
    Duration connecting_for_{};
    Duration ending_for_{};
    std::uint64_t dropped_ = 0; ///< bytes of content that nobody wanted
    std::size_t ending_bytes_ = 0;
    Stage stage_ = Stage::waiting;
    bool is_spooling_ = false;
    bool is_active_ = false; ///< since the last beat
    bool is_reused_ = false; ///< the connection has served another request
    bool has_received_ = false;
    bool has_sent_content_ = false;
    bool content_has_ended_ = false;
    bool input_is_closed_ = false; ///< the end of the content is queued
    bool drops_input_ = false;
    bool is_paused_ = false;
    bool peer_has_ended_ = false; ///< the application server has closed its side
    bool output_has_ended_ = false;
    bool source_waits_ = false;
    bool source_has_ended_ = false;
    bool is_broken_ = false; ///< the answer cannot be completed
};

/// The content of an application server's answer.
class FastCgiSource final : public BodySource {
public:
    FastCgiSource(
        std::shared_ptr<FastCgiRequest> request, std::optional<std::uint64_t> size) noexcept
        : request_(std::move(request)), size_(size) {}
    ~FastCgiSource() override;
    std::optional<std::uint64_t> size() const override { return size_; }
    Piece pull(char* into, std::size_t capacity) override { return request_->pull(into, capacity); }
    void set_waker(std::function<void()> waker) override { request_->set_waker(std::move(waker)); }

private:
    std::shared_ptr<FastCgiRequest> request_;
    std::optional<std::uint64_t> size_;
};

} // namespace detail

PORTHOLE_NAMESPACE_END
