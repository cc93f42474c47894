// SPDX-License-Identifier: MIT

// The Boost.Beast side of websocket.py: the same echo and the same broadcast, with one thread and
// asynchronous calls.
//
// Run:  beast [--broadcast --size BYTES --seconds N]

#include "../options.hpp"
#include "../peer_clock.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/websocket.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using asio::ip::tcp;

/// One connection: an echo, and a subscriber that is sent the newest message when it is free.
class Session : public std::enable_shared_from_this<Session> {
public:
    Session(tcp::socket socket, std::set<Session*>& all) : stream_(std::move(socket)), all_(all) {}
    ~Session() { all_.erase(this); }

    void start() {
        stream_.auto_fragment(false);
        stream_.read_message_max(std::size_t{64} * 1024 * 1024);
        stream_.async_accept([self = shared_from_this()](beast::error_code error) {
            if (!error) {
                self->all_.insert(self.get());
                self->read();
            }
        });
    }
    void publish(std::shared_ptr<const std::string> message) {
        if (is_writing_) {
            newest_ = std::move(message);
            return;
        }
        is_writing_ = true;
        stream_.text(true);
        const auto buffer = asio::buffer(*message);
        stream_.async_write(
            buffer, [self = shared_from_this(), message](beast::error_code error, std::size_t) {
                self->is_writing_ = false;
                if (!error && self->newest_) {
                    self->publish(std::exchange(self->newest_, nullptr));
                }
            });
    }

private:
    beast::websocket::stream<tcp::socket> stream_;
    std::set<Session*>& all_;
    beast::flat_buffer buffer_;
    std::shared_ptr<const std::string> newest_;
    bool is_writing_ = false;

    void read() {
        stream_.async_read(
            buffer_, [self = shared_from_this()](beast::error_code error, std::size_t) {
                if (!error) {
                    self->write();
                }
            });
    }
    void write() {
        stream_.text(stream_.got_text());
        stream_.async_write(
            buffer_.data(), [self = shared_from_this()](beast::error_code error, std::size_t) {
                self->buffer_.consume(self->buffer_.size());
                if (!error) {
                    self->read();
                }
            });
    }
};

class Program {
public:
    Program(int argc, char** argv)
        : is_broadcast_(bench::has_option(argc, argv, "--broadcast")),
          message_(std::make_shared<const std::string>(
              bench::number_option<std::size_t>(argc, argv, "--size", 1024), 'f')),
          acceptor_(context_, tcp::endpoint(asio::ip::address_v4::loopback(), 0)), timer_(context_),
          frames_(argc, argv) {}

    void run() {
        bench::print_port(acceptor_.local_endpoint().port());
        accept();
        context_.run();
    }

private:
    bool is_broadcast_;
    std::shared_ptr<const std::string> message_;
    asio::io_context context_{1};
    tcp::acceptor acceptor_;
    asio::steady_timer timer_;
    std::set<Session*> sessions_;
    bench::PeerFrames frames_;
    bool is_started_ = false;

    void accept() {
        acceptor_.async_accept([this](beast::error_code error, tcp::socket socket) {
            if (!error) {
                socket.set_option(tcp::no_delay(true));
                std::make_shared<Session>(std::move(socket), sessions_)->start();
            }
            if (is_broadcast_ && !is_started_) {
                is_started_ = true;
                timer_.expires_after(bench::peer_frame_time);
                frame();
            }
            accept();
        });
    }
    void frame() {
        timer_.async_wait([this](beast::error_code) {
            timer_.expires_at(timer_.expiry() + bench::peer_frame_time);
            frames_.measure([this] {
                for (Session* session : sessions_) {
                    session->publish(message_);
                }
            });
            frame();
        });
    }
};

} // namespace

int main(int argc, char** argv) {
    Program(argc, argv).run();
    return 0;
}
