// SPDX-License-Identifier: MIT
// Porthole 0.1.0, all of it in one file. Generated from include/ by tools/amalgamate.py:
// change the files there instead of this one.
#ifndef PORTHOLE_HPP
#define PORTHOLE_HPP

// Porthole: an HTTP server that a game or desktop program pumps from its own main loop.
//
//     #define PORTHOLE_IMPLEMENTATION          // in exactly one source file
//     #include <porthole.hpp>
//
//     porthole::Server server;
//     server.get("/", [](const porthole::Request&, porthole::Response& response) {
//         response.text("Hello from the frame loop\n");
//     });
//     if (auto error = server.listen("localhost", 8080)) { ... error.message() ... }
//     while (running) { server.tick(); update(); render(); }
//
// Below is the table of contents, in the order in which bytes travel: from the wire to the handler
// and back. Declarations first; the definitions follow in one block, in one source file.

/// 1: compressed WebSocket messages, with zlib, which the program then links to. Counts where the
/// implementation is; no declaration depends on it.
#ifndef PORTHOLE_WITH_ZLIB
#define PORTHOLE_WITH_ZLIB 0
#endif

// The order is the table's own:
// clang-format off

// base: what the rest is made of; the standard library only

// porthole/base/version.hpp

// The version, once. CMake, Meson and the single header read it from here; a test compares them.

#define PORTHOLE_VERSION_MAJOR 0
#define PORTHOLE_VERSION_MINOR 1
#define PORTHOLE_VERSION_PATCH 0
#define PORTHOLE_VERSION_STRING "0.1.0"

// porthole/base/config.hpp

// What every other file needs first: how definitions are marked, which namespace they live in, and
// what a broken promise of the host program does. The inline namespace carries version and mode, so
// that object files built in different modes fail to link instead of misbehaving. Nothing here
// changes the layout of a type: options that do are run-time fields.

/// 1: everything is inline, for programs that cannot add a source file. 0 (the default): exactly
/// one source file defines PORTHOLE_IMPLEMENTATION before it includes porthole.hpp.
#ifndef PORTHOLE_HEADER_ONLY
#define PORTHOLE_HEADER_ONLY 0
#endif

#if PORTHOLE_HEADER_ONLY
#define PORTHOLE_FN inline
#define PORTHOLE_ABI v0_1_header_only
#else
#define PORTHOLE_FN
#define PORTHOLE_ABI v0_1_compiled
#endif

#define PORTHOLE_NAMESPACE_BEGIN                                                                   \
    namespace porthole {                                                                           \
    inline namespace PORTHOLE_ABI {
#define PORTHOLE_NAMESPACE_END                                                                     \
    }                                                                                              \
    }

/// Misuse by the host program, never a peer's doing. `sentence` says what to do instead. Override
/// it by defining PORTHOLE_ASSERT(condition, sentence) beforehand; without it, and with NDEBUG, the
/// call at fault does nothing harmful.
#ifndef PORTHOLE_ASSERT
#include <cassert>
#define PORTHOLE_ASSERT(condition, sentence) assert((condition) && (sentence))
#endif

// An exception that leaves a handler becomes a 500; without exceptions the same code is plain.
#if defined(__cpp_exceptions) || defined(_CPPUNWIND)
#define PORTHOLE_TRY try
#define PORTHOLE_CATCH_STANDARD(name) catch (const std::exception& name)
#define PORTHOLE_CATCH_ALL catch (...)
#else
#define PORTHOLE_TRY if constexpr (true)
#define PORTHOLE_CATCH_STANDARD(name)                                                              \
    else if constexpr (const ::porthole::PORTHOLE_ABI::detail::NoException name; false)
#define PORTHOLE_CATCH_ALL else
#endif

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// Stands where an exception would be caught when there are none.
struct NoException {
    const char* what() const noexcept { return ""; }
};

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/base/error.hpp

// Expected failures are values. An Error says which call failed, on what, what the system said, and
// what the user can do about it; it converts to true when there is one.

#include <string>
#include <string_view>

PORTHOLE_NAMESPACE_BEGIN

/// What kind of failure it is, for code that reacts to it. The sentence is Error::message().
enum class ErrorCode : unsigned char {
    ok,                    ///< no error
    address_in_use,        ///< another socket holds the port
    address_not_available, ///< no interface of this machine has that address
    permission_denied,     ///< a port below 1024, or a path that this user may not touch
    unknown_host,          ///< the name does not resolve
    unsupported_family,    ///< this machine lacks IPv4, IPv6 or unix sockets
    bad_port,              ///< not a number from 0 to 65535, or a range that passes 65535
    bad_path,              ///< a unix socket path that is empty, too long, or not a socket
    not_exposed,           ///< not a loopback address, and ListenOptions::expose does not allow it
    too_many_files,        ///< the process or the system has no descriptor left
    connection_refused,    ///< nobody listens there
    timed_out,             ///< the deadline passed
    bad_pattern,           ///< a route or mount pattern that cannot be parsed
    already_exists,        ///< something of that name is there already
    not_found,             ///< a file, directory or program that is not there
    misuse,                ///< the call is not legal in this state
    system,                ///< anything else the operating system refused
};

/// An expected failure, or none. One pointer wide, and nothing else when there is none, so that it
/// costs little to hand one up through many calls.
class [[nodiscard]] Error {
public:
    Error() = default;
    Error(
        ErrorCode code, std::string_view call, std::string_view subject,
        std::string_view advice = {});
    Error(const Error& other);
    Error(Error&& other) noexcept : facts_(other.facts_) { other.facts_ = nullptr; }
    Error& operator=(Error other) noexcept {
        Facts* const mine = facts_;
        facts_ = other.facts_;
        other.facts_ = mine;
        return *this;
    }
    ~Error() {
        if (facts_ != nullptr) {
            forget();
        }
    }

    /// True when there is an error, so that `if (auto error = server.listen(8080))` reads well.
    explicit operator bool() const noexcept { return facts_ != nullptr; }

    ErrorCode code() const noexcept;
    // Views below are valid as long as the Error.

    /// The call that failed: "bind", "getaddrinfo", "mount" ...
    std::string_view call() const noexcept;
    /// What it was called on: "[::1]:8080", a path, a pattern.
    std::string_view endpoint() const noexcept;
    /// The operating system's own words; empty when it was not asked.
    std::string_view system_text() const noexcept;
    /// errno, WSAGetLastError() or the getaddrinfo() code; 0 when the system was not asked.
    int system_code() const noexcept;
    /// What the user can do about it; may be empty.
    std::string_view advice() const noexcept;
    /// All of it in one line: `bind [::1]:8080: Address already in use (98); <advice>`.
    std::string message() const;

    /// Adds what the operating system said.
    Error&& with_system(int system_code, std::string_view system_text) &&;

private:
    struct Facts {
        ErrorCode code = ErrorCode::ok;
        int system_code = 0;
        std::string call;
        std::string subject;
        std::string system_text;
        std::string advice;
    };
    void forget() noexcept;

    Facts* facts_ = nullptr; ///< owned; null when there is no error
};

/// The code's own short sentence, for logs and tests: "address already in use".
std::string_view describe(ErrorCode code) noexcept;

PORTHOLE_NAMESPACE_END

// porthole/base/limits.hpp

// Everything that a peer can make grow, with its bound. All of them are run-time fields, so that no
// macro changes a layout and one program can run a strict and a generous server side by side.

#include <chrono>
#include <cstddef>
#include <cstdint>

PORTHOLE_NAMESPACE_BEGIN

/// The bounds of one server. Every default has a test at the limit and one past it.
struct Limits {
    /// Method, target and version with their line end. Past it: 414 (RFC 9110 section 15.5.15).
    std::size_t max_request_line_bytes = 8 * 1024;
    /// All field lines of the head together. Past it: 431 (RFC 6585 section 5).
    std::size_t max_fields_bytes = 16 * 1024;
    /// Field lines of the head, and of the trailer. Past it: 431.
    std::size_t max_fields = 100;
    /// Content that is collected for a handler. Past it: 413 (RFC 9110 section 15.5.14), before
    /// it is read when its length was announced. Routes may set their own.
    std::uint64_t max_body_bytes = 1024 * 1024;
    /// Content that a route takes as it comes, without collecting it, unless the route, its group
    /// or the sink say otherwise. Past it: 413.
    std::uint64_t max_streamed_body_bytes = std::uint64_t{16} * 1024 * 1024 * 1024;
    /// Chunk-size line with its extensions, in bytes. Past it: 400.
    std::size_t max_chunk_line_bytes = 256;
    /// Trailer section of a chunked body. Past it: 431.
    std::size_t max_trailer_bytes = 4 * 1024;

    /// Open connections. At the cap the longest idle one makes room, else the newcomer gets
    /// 503.
    std::size_t max_connections = 1024;
    /// Of these, from one address, on listeners that are exposed beyond this machine. Past it the
    /// newcomer gets 503.
    std::size_t max_connections_per_address = 64;
    /// Requests on one connection before it is closed, so that load spreads anew.
    std::size_t max_requests_per_connection = 1000;

    /// From the first byte of a request (or the connection's start) to the end of its head, in
    /// total: drip-feeding does not extend it. Past it: 408.
    std::chrono::milliseconds head_timeout{10'000};
    /// Content may arrive as slowly as it likes for this long ...
    std::chrono::milliseconds body_grace{5'000};
    /// ... and after that at this average rate from its start. Below it: 408.
    std::uint64_t min_body_bytes_per_second = 1024;
    /// A kept-alive connection without a request.
    std::chrono::milliseconds idle_timeout{15'000};
    /// An answer of which the peer takes nothing for this long, or, after this long, less than
    /// min_body_bytes_per_second on average.
    std::chrono::milliseconds write_stall_timeout{30'000};
    /// After an error answer: how long, and how much, is still read so that the peer sees the
    /// answer instead of a reset.
    std::chrono::milliseconds linger_timeout{2'000};
    std::uint64_t max_linger_bytes = 4 * 1024 * 1024;
    /// After stop(): how long complete answers may take to leave.
    std::chrono::milliseconds stop_grace{1'000};
    /// No descriptor left: how long accepting pauses before it is tried again.
    std::chrono::milliseconds accept_backoff{100};

    /// Bytes that an upgraded connection or a stream may have queued for a slow peer.
    std::size_t max_queue_bytes = 1024 * 1024;

    /// The units of work in a tick. Larger ones raise throughput, smaller ones keep a tick
    /// closer to its budget.
    std::size_t max_accepts_per_tick = 16;
    std::size_t max_read_bytes_per_turn = 64 * 1024;
    std::size_t max_write_bytes_per_turn = 256 * 1024;

    /// A gap between ticks that is longer than this (a breakpoint, a loading screen) counts as
    /// this long: every deadline moves by the rest of it.
    std::chrono::milliseconds max_tick_gap{1'000};
};

PORTHOLE_NAMESPACE_END

// porthole/base/ascii.hpp

// Bytes as HTTP sees them: ASCII only, no locale. The tables follow the grammar of RFC 9110
// section 5.6 and RFC 3986 section 2. All of it is total: any byte string is a legal argument.

#include <optional>

PORTHOLE_NAMESPACE_BEGIN

namespace ascii {

constexpr bool is_digit(char c) noexcept {
    return c >= '0' && c <= '9';
}
constexpr bool is_alpha(char c) noexcept {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
constexpr char to_lower(char c) noexcept {
    return (c >= 'A' && c <= 'Z') ? static_cast<char>(c + ('a' - 'A')) : c;
}
/// The value of a hexadecimal digit, or -1.
constexpr int hex_value(char c) noexcept {
    if (is_digit(c)) {
        return c - '0';
    }
    const char lower = to_lower(c);
    return (lower >= 'a' && lower <= 'f') ? lower - 'a' + 10 : -1;
}

/// Equal but for the case of A to Z.
bool equals_ignoring_case(std::string_view a, std::string_view b) noexcept;
/// Without the spaces and tabs at both ends (OWS, RFC 9110 section 5.6.3).
std::string_view trim(std::string_view text) noexcept;

/// tchar (RFC 9110 section 5.6.2): what a method or a field name is made of.
bool is_token_char(char c) noexcept;
/// One or more tchar.
bool is_token(std::string_view text) noexcept;
/// No control character but HTAB: what a field value is made of (RFC 9110 section 5.5).
bool is_field_value(std::string_view text) noexcept;
/// Visible ASCII only: what a request target is made of.
bool is_visible(std::string_view text) noexcept;

/// Digits only, no sign, no blank, no overflow; nothing else is a number.
std::optional<std::uint64_t> parse_decimal(std::string_view text) noexcept;

/// Writes a number's decimal digits; `into` has room for 20. Returns how many were written.
std::size_t write_decimal(char* into, std::uint64_t value) noexcept;

/// Walks a comma-separated list (RFC 9110 section 5.6.1), trimmed, empty elements left out:
/// returns the next element and removes it from `rest`, or nothing at the end. Commas in quoted
/// strings do not separate.
std::optional<std::string_view> next_list_element(std::string_view& rest) noexcept;

/// True when the comma-separated list has that element, in any case.
bool list_has(std::string_view list, std::string_view element) noexcept;

} // namespace ascii

PORTHOLE_NAMESPACE_END

// porthole/base/base64.hpp

// Base64 (RFC 4648): section 4 for protocols that want it, section 5 for text that goes into URLs
// and cookies.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// With '+', '/' and padding.
std::string base64(std::string_view bytes);
/// With '-', '_' and no padding.
std::string base64url(std::string_view bytes);

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/base/buffer.hpp

// The byte queue of a connection: bytes are added at the end and consumed at the front. It never
// grows past its cap, and gives its memory back when told that the connection is idle. Growing is
// the only thing that allocates.

#include <memory>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// Views into it are valid until the next call that adds, consumes or releases.
class Buffer {
public:
    /// An empty buffer owns no memory. `max_bytes` is what it holds at the most.
    explicit Buffer(std::size_t max_bytes) noexcept : max_bytes_(max_bytes) {}
    Buffer(Buffer&& other) noexcept;
    Buffer& operator=(Buffer&& other) noexcept;
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    ~Buffer() = default;

    bool is_empty() const noexcept { return begin_ == end_; }
    std::size_t size() const noexcept { return end_ - begin_; }
    std::size_t capacity() const noexcept { return capacity_; }
    std::size_t max_bytes() const noexcept { return max_bytes_; }
    char* data() noexcept { return memory_.get() + begin_; }
    std::string_view view() const noexcept { return {memory_.get() + begin_, size()}; }

    /// Copies `bytes` to the end. False, and nothing is added, when the cap would be passed.
    [[nodiscard]] bool append(std::string_view bytes);
    /// Room for at least `size` more bytes at the end, to be filled and then committed; null
    /// when the cap would be passed.
    [[nodiscard]] char* prepare(std::size_t size);
    /// `size` of the prepared bytes are now content.
    void commit(std::size_t size) noexcept { end_ += size; }
    /// Drops `size` bytes, at most size(), from the front.
    void consume(std::size_t size) noexcept;
    /// Drops everything, keeps the memory.
    void clear() noexcept { begin_ = end_ = 0; }
    /// Drops everything and frees the memory.
    void release() noexcept;

private:
    bool make_room(std::size_t size);

    std::unique_ptr<char[]> memory_;
    std::size_t capacity_ = 0;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
    std::size_t max_bytes_;
};

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/base/clock.hpp

// Time as the library sees it. A server reads the clock through this seam only, so that tests run
// every timeout in virtual time and never sleep.

PORTHOLE_NAMESPACE_BEGIN

using TimePoint = std::chrono::steady_clock::time_point;
using Duration = std::chrono::steady_clock::duration;
/// A deadline that does not come.
inline constexpr TimePoint never = (TimePoint::max)();

/// Where a server reads the time. Called from the thread that ticks, a few times for each
/// request.
class Clock {
public:
    virtual ~Clock() = default;
    /// Monotonic; only differences mean something.
    virtual TimePoint now() noexcept = 0;
    /// Calendar time, for the Date field. Read about once a second.
    virtual std::chrono::system_clock::time_point wall_time() noexcept = 0;
};

/// The machine's own clocks.
class SystemClock final : public Clock {
public:
    TimePoint now() noexcept override { return std::chrono::steady_clock::now(); }
    std::chrono::system_clock::time_point wall_time() noexcept override {
        return std::chrono::system_clock::now();
    }
};

/// A clock that stands still until it is told to move. For tests; not thread-safe.
class ManualClock final : public Clock {
public:
    TimePoint now() noexcept override {
        const TimePoint time = now_;
        now_ += step_;
        return time;
    }
    std::chrono::system_clock::time_point wall_time() noexcept override {
        return wall_epoch
               + std::chrono::duration_cast<std::chrono::system_clock::duration>(
                   now_.time_since_epoch());
    }
    void advance(Duration by) noexcept { now_ += by; }
    /// Each reading of the clock moves it on by `step`: work then takes time, and a test can
    /// count how many units fit a budget.
    void advance_per_reading(Duration step) noexcept { step_ = step; }

    /// What wall_time() shows at the start: Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC
    /// 9110 section 5.6.7.
    static constexpr std::chrono::system_clock::time_point wall_epoch{
        std::chrono::seconds{784'111'777}};

private:
    TimePoint now_{};
    Duration step_{};
};

PORTHOLE_NAMESPACE_END

// porthole/base/histogram.hpp

// How long ticks take, over the whole life of a server, in a fixed amount of memory: four buckets
// to each doubling, so that any percentile is at most a quarter too long.

PORTHOLE_NAMESPACE_BEGIN

/// Counts durations from 0 ns to about 17 s; longer ones fall into the last bucket.
class Histogram {
public:
    void add(std::chrono::nanoseconds duration) noexcept;
    std::uint64_t count() const noexcept { return count_; }
    /// The exact longest.
    std::chrono::nanoseconds longest() const noexcept { return longest_; }
    /// The duration that `fraction` (0 to 1) of all stay at or below, rounded up to its
    /// bucket's end, but never past the longest; zero when nothing was counted.
    /// percentile(0.99) is the p99.
    std::chrono::nanoseconds percentile(double fraction) const noexcept;

private:
    static constexpr std::size_t steps = 4; ///< buckets to a doubling
    static constexpr std::size_t buckets = 132;
    static std::size_t bucket_of(std::uint64_t nanoseconds) noexcept;
    static std::uint64_t end_of(std::size_t bucket) noexcept;

    std::uint64_t counts_[buckets] = {};
    std::uint64_t count_ = 0;
    std::chrono::nanoseconds longest_{0};
};

PORTHOLE_NAMESPACE_END

// porthole/base/intrusive_list.hpp

// A list whose links live in its elements: joining and leaving cost a few pointer writes and no
// memory, and an element that is destroyed leaves its list by itself. The server's queues (ready,
// idle, timers) are made of it, so that no callback can leave a dangling entry behind.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// A place in at most one list. Derive from it once per kind of list, told apart by `Tag`.
template <class Tag>
class ListLink {
public:
    ListLink() = default;
    ListLink(const ListLink&) = delete;
    ListLink& operator=(const ListLink&) = delete;
    ~ListLink() { unlink(); }

    bool is_linked() const noexcept { return next_ != nullptr; }
    void unlink() noexcept {
        if (next_ != nullptr) {
            next_->previous_ = previous_;
            previous_->next_ = next_;
            next_ = previous_ = nullptr;
        }
    }

private:
    template <class T, class U>
    friend class IntrusiveList;

    ListLink* next_ = nullptr;
    ListLink* previous_ = nullptr;
};

/// A queue of T, which derives from ListLink<Tag>. Elements are not owned.
template <class T, class Tag>
class IntrusiveList {
public:
    IntrusiveList() noexcept { head_.next_ = head_.previous_ = &head_; }
    ~IntrusiveList() {
        while (!is_empty()) {
            head_.next_->unlink();
        }
        head_.next_ = head_.previous_ = nullptr;
    }
    IntrusiveList(const IntrusiveList&) = delete;
    IntrusiveList& operator=(const IntrusiveList&) = delete;

    bool is_empty() const noexcept { return head_.next_ == &head_; }
    /// The first element, or null.
    T* front() noexcept { return is_empty() ? nullptr : element(head_.next_); }
    /// The element behind `of`, or null. For walking a list that does not change meanwhile.
    T* after(T& of) noexcept {
        ListLink<Tag>* next = static_cast<ListLink<Tag>&>(of).next_;
        return next == &head_ ? nullptr : element(next);
    }
    /// Moves `item` from wherever it is to the end.
    void push_back(T& item) noexcept { insert_before(head_, item); }
    /// Takes the first element out, or returns null.
    T* pop_front() noexcept {
        T* first = front();
        if (first != nullptr) {
            static_cast<ListLink<Tag>*>(first)->unlink();
        }
        return first;
    }
    /// Moves all elements of `other` to the end, in their order, in constant time.
    void splice_back(IntrusiveList& other) noexcept {
        if (other.is_empty()) {
            return;
        }
        ListLink<Tag>* first = other.head_.next_;
        ListLink<Tag>* last = other.head_.previous_;
        other.head_.next_ = other.head_.previous_ = &other.head_;
        first->previous_ = head_.previous_;
        head_.previous_->next_ = first;
        last->next_ = &head_;
        head_.previous_ = last;
    }

private:
    static T* element(ListLink<Tag>* link) noexcept { return static_cast<T*>(link); }
    void insert_before(ListLink<Tag>& place, ListLink<Tag>& link) noexcept {
        link.unlink();
        link.next_ = &place;
        link.previous_ = place.previous_;
        place.previous_->next_ = &link;
        place.previous_ = &link;
    }

    ListLink<Tag> head_;
};

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/base/ip_address.hpp

// IP addresses as text, in their strict forms only. The forgiving ones (127.1, 0x7f.1, 2130706433,
// leading zeros) are how a look-alike slips past a check, so nothing here knows them.

#include <array>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// Four decimal octets without leading zeros (RFC 3986 section 3.2.2). False for anything else.
bool parse_ipv4(std::string_view text, std::array<std::uint8_t, 4>& address) noexcept;
/// Eight groups of one to four hexadecimal digits, one "::" for one or more groups of zero, the
/// last two groups also as IPv4 (RFC 4291 section 2.2). No brackets and no zone.
bool parse_ipv6(std::string_view text, std::array<std::uint8_t, 16>& address) noexcept;

/// 127.0.0.0/8.
constexpr bool is_loopback(const std::array<std::uint8_t, 4>& address) noexcept {
    return address[0] == 127;
}
/// ::1 and ::ffff:127.0.0.0/104.
bool is_loopback(const std::array<std::uint8_t, 16>& address) noexcept;
/// 0.0.0.0, which is not an address to reach anybody at.
constexpr bool is_unspecified(const std::array<std::uint8_t, 4>& address) noexcept {
    return address[0] == 0 && address[1] == 0 && address[2] == 0 && address[3] == 0;
}
/// :: and ::ffff:0.0.0.0.
bool is_unspecified(const std::array<std::uint8_t, 16>& address) noexcept;

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/base/log.hpp

// What the server has to say about itself. Silent by default: a library has no business on its
// host's stdout. Each event has an id to filter by and a sentence to read; sentences about a limit
// name the field that changes it.

#include <functional>

PORTHOLE_NAMESPACE_BEGIN

enum class LogLevel : unsigned char { debug, info, warning, error };

/// What happened. Ids are stable; sentences are not.
enum class LogId : unsigned char {
    listening,         ///< a listener was opened
    listen_skipped,    ///< one address of several is not available on this machine
    stopped,           ///< the server has stopped
    accept_failed,     ///< accepting paused: no descriptor left
    connection_capped, ///< Limits::max_connections reached
    request_refused,   ///< a request was answered by the library with 4xx or 5xx
    timed_out,         ///< a deadline cut a connection
    connection_failed, ///< the transport reported an error
    handler_threw,     ///< an exception left a handler
    reply_dropped,     ///< the last Reply went away unanswered
    reply_twice,       ///< a Reply was finished a second time
    field_refused,     ///< a response field with forbidden bytes was dropped
    bad_pattern,       ///< a route pattern that cannot be parsed
    out_of_memory,     ///< an allocation failed; the connection was dropped
    clock_gap,         ///< no tick for longer than Limits::max_tick_gap
    assets_baked,      ///< the folder of assets is gone; the baked ones are served
    program_failed,    ///< a CGI program could not answer, or ended badly
    program_wrote,     ///< a line that a CGI program wrote to its standard error
};

/// One event. The views are valid during the call.
struct LogEvent {
    LogLevel level;
    LogId id;
    std::string_view sentence;
    std::string_view peer; ///< "127.0.0.1:51234", or empty when no connection is concerned
};

/// Called on the thread that ticks. Must not call back into the server.
using LogSink = std::function<void(const LogEvent&)>;

PORTHOLE_NAMESPACE_END

// porthole/base/sha1.hpp

// SHA-1 (FIPS 180-4), because the handshake of WebSocket asks for it (RFC 6455 section 4.2.2). It
// keeps no secret and proves nothing there; nothing else may use it.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

using Sha1Digest = std::array<char, 20>;

Sha1Digest sha1(std::string_view bytes) noexcept;

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/base/timer_wheel.hpp

// Deadlines for thousands of connections: setting one is a store, and a tick in which none is due
// costs one comparison. A deadline that moves later, which is what nearly all do, stays in its slot
// until that slot is due and is moved then; only one that moves earlier changes its place at once.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

struct TimerTag {};

/// Something with a deadline. Leaves its wheel when destroyed.
class Timer : public ListLink<TimerTag> {
public:
    bool is_armed() const noexcept { return is_linked(); }
    TimePoint deadline() const noexcept { return deadline_; }

private:
    friend class TimerWheel;
    TimePoint deadline_{};
    std::int64_t scheduled_tick_ = 0;
};

/// Timers by due time, in slots of 64 ms over a horizon of about 33 s; later ones wait in the
/// last slot and are sorted in again. A timer is never early, and late by less than two slots when
/// expire() is called that often. After a gap each slot is looked at once, however long it was.
class TimerWheel {
public:
    static constexpr std::chrono::milliseconds resolution{64};

    explicit TimerWheel(TimePoint now) noexcept;

    /// Makes `timer` due at `deadline`, whether it was armed before or not.
    void arm(Timer& timer, TimePoint deadline) noexcept;
    void disarm(Timer& timer) noexcept { timer.unlink(); }

    /// True when expire() would have something to look at.
    bool is_due(TimePoint now) const noexcept { return now >= next_due_; }
    /// A timer whose deadline has passed, disarmed, or null when there is none left. Call it
    /// until it returns null, or as often as the budget allows.
    Timer* expire(TimePoint now) noexcept;
    /// When expire() should be called next: no timer comes out before this, and the earliest
    /// deadline is at most one slot before it. never when none is armed. May be early,
    /// never later than that.
    TimePoint next_deadline() const noexcept;

private:
    static constexpr std::size_t slots = 512;
    using Slot = IntrusiveList<Timer, TimerTag>;

    std::int64_t tick_of(TimePoint time) const noexcept;
    TimePoint time_of(std::int64_t tick) const noexcept;
    void skip_to(std::int64_t now_tick) noexcept;
    void place(Timer& timer) noexcept;

    TimePoint epoch_;
    std::int64_t current_tick_ = 0; ///< slots before this one are empty
    TimePoint next_due_;            ///< when the current slot is over
    Slot slots_[slots];
};

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/base/utf8.hpp

// UTF-8 (RFC 3629) that arrives in pieces, which may end within a character. A byte that cannot
// belong to any text is noticed when it comes, not when its character is complete.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

class Utf8Validator {
public:
    /// False from the first byte on that no text can have there; then only reset() helps.
    bool feed(std::string_view piece) noexcept;
    /// True between two characters.
    bool is_complete() const noexcept { return missing_ == 0 && is_valid_; }
    void reset() noexcept { *this = Utf8Validator(); }

private:
    bool begin_character(unsigned char byte) noexcept;

    unsigned char missing_ = 0;    ///< bytes of the character under way
    unsigned char least_ = 0x80;   ///< what its next byte may be ...
    unsigned char largest_ = 0xbf; ///< ... at the most
    bool is_valid_ = true;
};

bool is_utf8(std::string_view text) noexcept;
/// How many bytes at the front are ASCII.
std::size_t ascii_prefix(std::string_view text) noexcept;

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/fwd.hpp

// Names only, for headers that mention Porthole's types without needing them.

PORTHOLE_NAMESPACE_BEGIN

class BodyFlow;
class BodySink;
class BodySource;
class Channel;
class Clock;
class Endpoint;
class Error;
class EventStream;
class Fields;
class Group;
class ManualClock;
class Mount;
class MultipartSink;
class PartSink;
class Reply;
class Request;
class Response;
class RouteHandle;
class Server;
class Stream;
class TaskPoster;
class TimerHandle;
class Transport;
class Upgrade;
class UpgradeLink;
class WatchHandle;
class WebSocket;
class WebSocketClient;
class WebSocketHandle;
class WebSocketRoute;
struct ChannelOptions;
struct FormPart;
struct FormPartHead;
struct Limits;
struct ListenOptions;
struct Message;
struct MultipartLimits;
struct Options;
struct TickReport;
struct UploadOptions;

PORTHOLE_NAMESPACE_END

// os: all that asks the operating system

// porthole/os/endpoint.hpp

// One address that a socket is bound or connected to, as a value: no sockaddr leaves the os layer.
// Names become endpoints through resolve(), the only place that calls getaddrinfo.

#include <vector>

PORTHOLE_NAMESPACE_BEGIN

/// `local` is a unix-domain socket.
enum class Family : unsigned char { any, ipv4, ipv6, local };

/// An IPv4 or IPv6 address with a port, or the path of a unix socket.
class Endpoint {
public:
    Endpoint() = default;
    static Endpoint ipv4(const std::array<std::uint8_t, 4>& address, std::uint16_t port);
    static Endpoint ipv6(
        const std::array<std::uint8_t, 16>& address, std::uint16_t port,
        std::uint32_t scope_id = 0);
    static Endpoint local(std::string_view path);

    /// Family::any for an endpoint that was never set.
    Family family() const noexcept { return family_; }
    std::uint16_t port() const noexcept { return port_; }
    void set_port(std::uint16_t port) noexcept { port_ = port; }
    /// The address in network byte order; an IPv4 address uses the first four.
    const std::array<std::uint8_t, 16>& address() const noexcept { return address_; }
    /// The interface that a link-local IPv6 address belongs to, else 0.
    std::uint32_t scope_id() const noexcept { return scope_id_; }
    /// Of a unix socket; empty otherwise, and for a peer that never bound one.
    const std::string& path() const noexcept { return path_; }

    /// 127.0.0.0/8, ::1, ::ffff:127.0.0.0/104, or a unix socket.
    bool is_loopback() const noexcept;
    /// 0.0.0.0, :: or ::ffff:0.0.0.0: every interface of the machine.
    bool is_wildcard() const noexcept;

    /// "127.0.0.1", "::1" (RFC 5952) or the path.
    std::string host_text() const;
    /// "127.0.0.1:8080", "[::1]:8080" or "unix:/path".
    std::string to_string() const;

    friend bool operator==(const Endpoint& a, const Endpoint& b) noexcept {
        return a.family_ == b.family_ && a.port_ == b.port_ && a.scope_id_ == b.scope_id_
               && a.address_ == b.address_ && a.path_ == b.path_;
    }
    friend bool operator!=(const Endpoint& a, const Endpoint& b) noexcept { return !(a == b); }

private:
    Family family_ = Family::any;
    std::uint16_t port_ = 0;
    std::uint32_t scope_id_ = 0;
    std::array<std::uint8_t, 16> address_{};
    std::string path_;
};

namespace detail {

/// What to resolve a name for.
struct ResolveOptions {
    Family family = Family::any;
    /// For bind: an empty host means every interface. Otherwise it means loopback.
    bool is_passive = false;
};

/// All stream endpoints of a host name or numeric address (RFC 3493 section 6.1), duplicates
/// removed, in the system's order. `localhost` and names below it are ::1 and 127.0.0.1
/// whatever the machine has in its files (RFC 6761 section 6.3). Blocks as long as the system's
/// resolver does; numeric hosts and localhost never do.
Error resolve(
    std::string_view host, std::uint16_t port, const ResolveOptions& options,
    std::vector<Endpoint>& endpoints);

/// The addresses of this machine's interfaces that are up, without ports: what a wildcard
/// listener can be reached at. Empty when the system does not tell.
std::vector<Endpoint> interface_addresses();

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/os/socket.hpp

// A non-blocking, close-on-exec stream socket that closes itself. Nothing here blocks, raises
// SIGPIPE, or leaks into a child process. The platforms differ in socket_posix.inl and
// socket_windows.inl only.

PORTHOLE_NAMESPACE_BEGIN

/// What the operating system calls a socket: a file descriptor on POSIX, a SOCKET on Windows.
using NativeHandle = std::intptr_t;
inline constexpr NativeHandle invalid_handle = -1;

/// How an attempt to read or write ended.
enum class IoStatus : unsigned char {
    ok,          ///< `bytes` were moved, at least one
    would_block, ///< nothing now; the poller will tell
    end,         ///< read only: the peer has finished sending
    failed,      ///< the connection is broken; `system_code` says why
};

struct IoResult {
    IoStatus status = IoStatus::would_block;
    std::size_t bytes = 0;
    int system_code = 0;
};

/// How many pieces one gathered write may have.
inline constexpr std::size_t max_slices = 4;

namespace detail {

class Socket {
public:
    Socket() = default;
    /// Takes over a non-blocking, close-on-exec stream socket.
    explicit Socket(NativeHandle handle) noexcept;
    Socket(Socket&& other) noexcept : handle_(other.handle_) { other.handle_ = invalid_handle; }
    Socket& operator=(Socket&& other) noexcept;
    Socket(const Socket&) = delete;
    Socket& operator=(const Socket&) = delete;
    ~Socket() { close(); }

    /// A new stream socket of that family, non-blocking and close-on-exec from birth.
    static Error open(Family family, Socket& socket);

    bool is_open() const noexcept { return handle_ != invalid_handle; }
    NativeHandle handle() const noexcept { return handle_; }
    /// Gives the handle up without closing it. On Windows, Winsock then stays loaded for it.
    NativeHandle release() noexcept;
    void close() noexcept;

    IoResult receive(char* into, std::size_t capacity) noexcept;
    /// Gathers up to max_slices pieces into one system call.
    IoResult send(const std::string_view* slices, std::size_t count) noexcept;
    /// Tells the peer that no more will come; reading goes on.
    void shut_write() noexcept;
    /// Small answers leave at once instead of waiting for an acknowledgement (RFC 896).
    void set_no_delay() noexcept;

    /// Begins to connect. Ok when connected or under way: then wait for writability and ask
    /// take_error().
    Error connect(const Endpoint& to);
    /// The socket's pending error as the system's code, 0 when there is none.
    int take_error() noexcept;

    Endpoint local_endpoint() const;
    Endpoint peer_endpoint() const;

private:
    NativeHandle handle_ = invalid_handle;
};

/// The system's words for its code: strerror or FormatMessage, always in one line.
std::string system_text(int system_code);
/// Chooses the ErrorCode for what the system said about a socket call.
ErrorCode classify_socket_error(int system_code) noexcept;
/// An Error for a failed socket call, with the system's words.
Error socket_error(
    std::string_view call, std::string_view subject, int system_code, std::string_view advice = {});

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/os/file.hpp

// Files for reading, opened beneath a directory that is opened once and by descriptor, so that no
// name, link or rename leads out of it. The platforms differ in file_posix.inl and
// file_windows.inl only. Names are UTF-8 with '/' between their parts, on every system.

#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// What can be told of a file without reading it.
struct FileInfo {
    bool is_directory = false;
    bool is_unlinked = false; ///< its last name is gone: deleted, or replaced by another file
    bool is_executable = false; ///< somebody may run it; on Windows the name alone tells
    std::uint64_t volume = 0;
    std::uint64_t inode = 0;
    std::uint64_t size = 0;
    std::int64_t mtime_ns = 0; ///< since 1970

    /// The same file in the same state, as far as the system tells.
    bool is_same_as(const FileInfo& other) const noexcept {
        return volume == other.volume && inode == other.inode && size == other.size
               && mtime_ns == other.mtime_ns;
    }
    std::chrono::system_clock::time_point mtime() const noexcept {
        return std::chrono::system_clock::time_point(
            std::chrono::duration_cast<std::chrono::system_clock::duration>(
                std::chrono::nanoseconds(mtime_ns)));
    }
};

/// How an attempt to open something ended.
enum class OpenResult : unsigned char {
    ok,
    not_found, ///< not there, out of the root, or neither a regular file nor a directory
    denied,    ///< there, and this process may not read it
    too_long,  ///< a name or the path exceeds what the system takes
    exhausted, ///< no descriptor or memory left
};

/// An open regular file or directory, close-on-exec. Closes itself.
class File {
public:
    File() = default;
    explicit File(NativeHandle handle) noexcept : handle_(handle) {}
    File(File&& other) noexcept : handle_(std::exchange(other.handle_, invalid_handle)) {}
    File& operator=(File&& other) noexcept {
        std::swap(handle_, other.handle_);
        return *this;
    }
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    ~File() { close(); }

    bool is_open() const noexcept { return handle_ != invalid_handle; }
    NativeHandle handle() const noexcept { return handle_; }
    void close() noexcept;
    /// Gives the handle up without closing it.
    NativeHandle release() noexcept { return std::exchange(handle_, invalid_handle); }
    /// False when the system does not tell, or when it is no regular file or directory.
    bool read_info(FileInfo& info) const noexcept;
    /// Fills `into` from that offset. Returns how many bytes there were: fewer than `capacity`
    /// only at the file's end, or when reading fails.
    std::size_t read_at(std::uint64_t offset, char* into, std::size_t capacity) const noexcept;
    /// The system is not to read ahead by itself: its windows may be megabytes, all within the one
    /// call that meets their edge. To be said before the first byte is read.
    void stop_reading_ahead() const noexcept;
    /// These bytes are wanted soon: reads them in the background where the system can.
    void read_ahead(std::uint64_t offset, std::uint64_t bytes) const noexcept;

private:
    NativeHandle handle_ = invalid_handle;
};

/// An entry of a directory.
struct DirectoryEntry {
    std::string name;
    bool is_link = false; ///< then the rest says nothing: open it to know
    bool is_directory = false;
    bool is_regular = false;
    std::uint64_t size = 0;
    std::int64_t mtime_ns = 0;
};

/// Reads the entries of an open directory one by one, in the system's order, "." and ".." left
/// out.
class DirectoryReader {
public:
    /// Takes a directory that Directory::open_beneath() has opened.
    explicit DirectoryReader(File directory);
    DirectoryReader(const DirectoryReader&) = delete;
    DirectoryReader& operator=(const DirectoryReader&) = delete;
    ~DirectoryReader();
    /// False at the end.
    bool next(DirectoryEntry& entry);

private:
    struct State;
    std::unique_ptr<State> state_;
};

/// How names beneath a directory are looked up.
enum class Lookup : unsigned char {
    automatic,    ///< by one call where the system has one that stays beneath (openat2)
    step_by_step, ///< component by component, everywhere
};

/// The root of a tree of files. What is opened beneath it lies beneath it: symbolic links are
/// followed as long as they stay inside, also when they are swapped meanwhile.
class Directory {
public:
    Directory();
    Directory(Directory&& other) noexcept;
    Directory& operator=(Directory&& other) noexcept;
    ~Directory();

    /// `call` names the user's call in the Error.
    static Error
    open(std::string_view path, std::string_view call, Lookup lookup, Directory& directory);

    /// Opens a regular file or a directory. `name` is relative, without empty parts, "." and
    /// ".."; empty is the root itself. Never blocks on FIFOs, devices or sockets: they are
    /// not_found.
    OpenResult open_beneath(std::string_view name, File& file, FileInfo& info) const;

    /// Where something beneath lies, as programs are told it: from the root of the file system, in
    /// the system's own form. Empty name: the directory itself.
    std::string native_path(std::string_view name) const;

private:
    struct Walk;
    OpenResult open_directly(const std::string& name, File& file) const;
    OpenResult open_by_steps(std::string_view name, File& file) const;

    File root_;
    std::string real_path_; ///< without links, for absolute links that lead back inside
    bool opens_directly_ = false;
};

/// Opens a regular file or a directory wherever it lies: a path of the program itself.
OpenResult open_path(std::string_view path, File& file, FileInfo& info);

/// True where names compare in any case, devices have names everywhere, and an open file stands in
/// the way of those who want to replace it.
bool has_windows_files() noexcept;

/// Symbolic links that one lookup follows at the most.
inline constexpr int max_followed_links = 40;

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/os/output_file.hpp

// A file that is written beside its target under a name of its own, and takes the target's name
// when it is complete: nobody ever sees half of it, and what fails leaves nothing behind. The
// platforms differ in output_file_posix.inl and output_file_windows.inl only. Paths are UTF-8.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// How a step of writing a file ended.
enum class OutputResult : unsigned char {
    ok,
    no_space,       ///< the disk, the quota, or what this process may write, is used up
    not_found,      ///< the target's directory is not there, or its path names no file
    denied,         ///< there, and this process may not write into it
    already_exists, ///< a directory of the target's name, or a file that was to be kept
    exhausted,      ///< no descriptor or memory left
    failed,         ///< anything else; system_code() tells
};

/// Discards itself unless it was committed. No call waits for the disk, but for what the system
/// itself makes a writer wait.
class OutputFile {
public:
    OutputFile();
    OutputFile(OutputFile&& other) noexcept;
    OutputFile& operator=(OutputFile&& other) noexcept;
    OutputFile(const OutputFile&) = delete;
    OutputFile& operator=(const OutputFile&) = delete;
    ~OutputFile();

    /// Creates the file beside `target`. The target's directory is looked up once: commit() finds
    /// it though the program has changed its working directory since. `may_replace` false: an
    /// existing target is already_exists, here and in commit().
    OutputResult open(std::string_view target, bool may_replace = true);
    bool is_open() const noexcept { return state_ != nullptr; }

    /// So many bytes are to come: no_space when there is no room for them now. The room is taken
    /// in steps, ahead of the writing, where that is cheap.
    OutputResult announce(std::uint64_t bytes) noexcept;
    /// All of `bytes`, or a reason. After a reason only discard() makes sense.
    OutputResult write(std::string_view bytes) noexcept;
    /// Starts to bring to the disk, in the background, what has been written since the last call,
    /// and gives up the memory of what was written long before. Otherwise the system collects
    /// gigabytes, and then makes one write() wait for them. To be called about once in
    /// `write_behind_bytes`.
    void write_behind() noexcept;
    static constexpr std::uint64_t write_behind_bytes = 1024 * 1024;

    /// Gives the file its target's name, in place of what had it. The bytes are as safe as those
    /// of any file that was just written: the system brings them to the disk when it likes.
    /// `has_replaced` tells whether there was such a file before.
    OutputResult commit(bool& has_replaced) noexcept;
    /// Removes the file and frees what it holds, all in one call: for a large file, on many file
    /// systems, that takes a long time.
    void discard() noexcept;
    /// The same in steps: removes the name at the first call, and frees a bounded amount in each.
    /// False when there is more to free.
    bool discard_step() noexcept;

    std::uint64_t size() const noexcept;
    /// What the system said when something was not ok; 0 when it was not asked.
    int system_code() const noexcept { return system_code_; }

private:
    struct State;
    OutputResult keep(int code) noexcept;

    std::unique_ptr<State> state_;
    int system_code_ = 0;
};

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/os/listener.hpp

// Sockets that accept connections, and the plan that turns one listen(host, port) into all of them:
// each address that the name has, on the same port. Fails loudly, and never shares a port with
// another program.

PORTHOLE_NAMESPACE_BEGIN

/// Who may reach a listener beyond this machine. Anything but loopback is an error until one of
/// the lan values is chosen.
enum class Expose : unsigned char {
    no,                ///< loopback addresses only
    lan_with_token,    ///< any address; every request must carry the server's token
    lan_without_token, ///< any address, open to everybody who reaches the port
};

struct ListenOptions {
    /// Connections that the system queues before they are accepted; 0 means its maximum
    /// (SOMAXCONN).
    int backlog = 0;
    /// Several servers on one port, one to a thread or process, where the system spreads
    /// connections over them (SO_REUSEPORT). An error where there is no such thing.
    bool reuse_port = false;
    /// Only addresses of this family.
    Family family = Family::any;
    /// An IPv6 wildcard takes IPv6 connections only. Off, `::` takes IPv4 ones too and no
    /// separate IPv4 socket is opened for the same wildcard.
    bool v6_only = true;
    Expose expose = Expose::no;
    /// When the port is in use, the next ones are tried, this many in all. Server::port() tells
    /// which one was taken.
    std::uint16_t port_range = 1;
};

namespace detail {

/// How an attempt to accept ended.
enum class AcceptStatus : unsigned char {
    accepted,
    none,      ///< nobody is waiting
    retry,     ///< that peer has gone already; the next may be there
    exhausted, ///< no descriptor or memory left: pause before trying again
    failed,    ///< the listener itself is broken
};

class Listener {
public:
    Listener() = default;
    Listener(Listener&& other) noexcept;
    Listener& operator=(Listener&& other) noexcept;
    ~Listener() { close(); }

    /// Socket, options, bind, listen, getsockname. For a unix socket `mode` are its file's
    /// permissions; a stale socket file is removed first when nobody answers on it.
    static Error
    open(const Endpoint& at, const ListenOptions& options, unsigned mode, Listener& listener);

    bool is_open() const noexcept { return socket_.is_open(); }
    NativeHandle handle() const noexcept { return socket_.handle(); }
    /// Where it really listens: the port that the system chose, for port 0.
    const Endpoint& endpoint() const noexcept { return endpoint_; }
    const ListenOptions& options() const noexcept { return options_; }
    /// The new connection comes out non-blocking, close-on-exec and without delay.
    AcceptStatus accept(Socket& socket, Endpoint& peer) noexcept;
    /// Also removes the file of a unix socket that this listener made.
    void close() noexcept;

private:
    static Error
    open_local(const Endpoint& at, const ListenOptions& options, unsigned mode, Listener& listener);
    void remove_file() noexcept;

    Socket socket_;
    Endpoint endpoint_;
    ListenOptions options_;
    std::uint64_t file_id_[2] = {0, 0}; ///< device and inode: only the own file is removed
};

/// Everything behind Server::listen(). Opens a listener on every endpoint that `host` has, on
/// one port, except those that `existing` holds already, and appends them to `opened`. All or
/// nothing: on an error what this call opened is closed again and `existing` is untouched. An
/// address whose family this machine lacks is left out when another one works; `skipped` then
/// says so.
Error open_listeners(
    std::string_view host, std::uint16_t port, const ListenOptions& options,
    const std::vector<const Listener*>& existing, std::vector<Listener>& opened,
    std::vector<Error>& skipped);

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/os/connector.hpp

// Connecting out without blocking: walks the addresses of a name one after the other until one
// answers or the deadline passes. The caller watches handle() for writability and calls advance(),
// at the latest at the deadline.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

class Connector {
public:
    enum class State : unsigned char { idle, connecting, connected, failed };

    /// Resolves `host` and begins with its first address. "unix:/path" is a unix socket; port
    /// is then ignored.
    State start(std::string_view host, std::uint16_t port, TimePoint deadline);
    /// The same for endpoints that are known.
    State start(std::vector<Endpoint> endpoints, TimePoint deadline);
    /// Looks how far it is; goes on to the next address when this one failed. Call it when
    /// handle() is writable or the deadline has passed.
    State advance(TimePoint now);

    State state() const noexcept { return state_; }
    /// What to watch for writability while connecting. Changes when the next address is tried.
    NativeHandle handle() const noexcept { return socket_.handle(); }
    /// Why it failed: the last address's error, or the deadline's.
    const Error& error() const noexcept { return error_; }
    /// The connected socket; the connector is idle afterwards.
    Socket take_socket() noexcept;

private:
    State try_next();
    bool finish_current();
    State fail(Error error);
    bool is_writable() const noexcept;

    State state_ = State::idle;
    Socket socket_;
    std::vector<Endpoint> endpoints_;
    std::size_t next_ = 0;
    TimePoint deadline_{};
    Error error_;
};

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/os/poller.hpp

// Which descriptors are ready. One interface, several systems behind it: epoll on Linux, and poll
// or WSAPoll everywhere. All of them are level-triggered: what was not served is reported again.

PORTHOLE_NAMESPACE_BEGIN

/// Which mechanism waits for descriptors. `automatic` takes the best one that the system has.
enum class PollerKind : unsigned char { automatic, epoll, poll };

/// What to be told about.
struct Interest {
    bool read = false;
    bool write = false;
    bool hangup = true; ///< that the peer has finished sending; a broken connection is always told
    friend bool operator==(Interest a, Interest b) noexcept {
        return a.read == b.read && a.write == b.write && a.hangup == b.hangup;
    }
    friend bool operator!=(Interest a, Interest b) noexcept { return !(a == b); }
};

/// What happened.
struct Readiness {
    bool read = false;   ///< bytes, a connection, or the end of the stream can be read
    bool write = false;  ///< there is room to write
    bool hangup = false; ///< the peer has finished sending, or the connection is broken
    bool error = false;  ///< the connection is broken
};

namespace detail {

class Poller {
public:
    struct Event {
        void* owner;
        Readiness readiness;
    };
    /// What one call of poll() reports at the most.
    static constexpr std::size_t max_events = 256;
    static constexpr Duration forever{-1};

    virtual ~Poller() = default;
    /// Starts to watch. `owner` comes back with each event and is never looked at. A descriptor
    /// without interest is still told of hangups and errors.
    virtual Error add(NativeHandle handle, void* owner, Interest interest) = 0;
    virtual Error modify(NativeHandle handle, void* owner, Interest interest) = 0;
    /// Must be called before the descriptor is closed.
    virtual void remove(NativeHandle handle) noexcept = 0;
    /// Fills up to max_events events and returns how many. Waits `timeout` at the most: zero asks
    /// and returns, forever waits for ever. A signal ends the wait early.
    virtual std::size_t poll(Duration timeout, Event* events) noexcept = 0;
    /// One descriptor that is readable when anything watched is ready, or invalid_handle.
    virtual NativeHandle native_handle() const noexcept = 0;
};

/// Makes a poller of that kind; an error when the system has none such.
Error make_poller(PollerKind kind, std::unique_ptr<Poller>& poller);

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/os/waker.hpp

// Ends another thread's wait in the poller: eventfd on Linux, a pipe on other POSIX systems, a
// loopback UDP socket on Windows, whose pollers know nothing else.

#include <atomic>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

class Waker {
public:
    Waker() = default;
    Waker(const Waker&) = delete;
    Waker& operator=(const Waker&) = delete;
    ~Waker() { close(); }

    Error open();
    void close() noexcept;
    /// Readable from wake() to drain().
    NativeHandle handle() const noexcept { return read_end_; }
    /// Any thread may call it; never blocks. Several calls before a drain() count as one.
    void wake() noexcept;
    /// From the waiting thread: makes the handle unreadable again. Costs nothing when nobody
    /// woke.
    void drain() noexcept;

private:
    NativeHandle read_end_ = invalid_handle;
    NativeHandle write_end_ =
        invalid_handle; ///< the same as read_end_ where one descriptor does both
    std::atomic<bool> is_raised_{false};
};

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/os/random.hpp

// Random bytes for secrets, from the operating system and from nowhere else.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// Fills `into` with `size` bytes, at most 256, that nobody can predict. False when the system has
/// none to give: then there is no secret, and what needs one must fail.
[[nodiscard]] bool fill_random(char* into, std::size_t size) noexcept;

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/os/transport.hpp

// How bytes get in and out of a connection. The server knows this interface only: a plain socket, a
// pair of buffers in memory, or, from an adapter, TLS.

PORTHOLE_NAMESPACE_BEGIN

/// One connection's bytes, non-blocking. Owned and called by the thread that ticks.
class Transport {
public:
    virtual ~Transport() = default;
    virtual IoResult read(char* into, std::size_t capacity) noexcept = 0;
    /// Gathers at most max_slices pieces. May take less than all.
    virtual IoResult write(const std::string_view* slices, std::size_t count) noexcept = 0;
    /// True when send_file() is worth a try.
    virtual bool can_send_files() const noexcept { return false; }
    /// Writes at most `most` bytes of an open file, from that offset on. May take less. `end`:
    /// the file has no bytes there. `failed` with system_code 0: not possible with this file,
    /// which is then to be read and written; the connection is fine.
    virtual IoResult send_file(NativeHandle file, std::uint64_t offset, std::size_t most) noexcept {
        static_cast<void>(file);
        static_cast<void>(offset);
        static_cast<void>(most);
        IoResult result;
        result.status = IoStatus::failed;
        return result;
    }
    /// Tells the peer that no more will come; reading goes on.
    virtual void shut_write() noexcept = 0;
    /// The descriptor to watch, or invalid_handle: then the server asks readiness() in each
    /// tick.
    virtual NativeHandle handle() const noexcept { return invalid_handle; }
    /// What could be done now. For transports without a descriptor, and for those that hold
    /// bytes which their descriptor no longer shows (TLS).
    virtual Readiness readiness() const noexcept { return {}; }
    /// "http", or "https" for a transport that encrypts.
    virtual std::string_view scheme() const noexcept { return "http"; }
};

namespace detail {

/// Whether files can go to a socket without being read, and how: Transport::send_file().
bool system_sends_files() noexcept;
IoResult send_file_bytes(
    NativeHandle socket, NativeHandle file, std::uint64_t offset, std::size_t most) noexcept;

/// A connected socket.
class SocketTransport final : public Transport {
public:
    explicit SocketTransport(Socket socket) noexcept : socket_(static_cast<Socket&&>(socket)) {}
    IoResult read(char* into, std::size_t capacity) noexcept override;
    IoResult write(const std::string_view* slices, std::size_t count) noexcept override;
    bool can_send_files() const noexcept override { return system_sends_files(); }
    IoResult
    send_file(NativeHandle file, std::uint64_t offset, std::size_t most) noexcept override {
        return send_file_bytes(socket_.handle(), file, offset, most);
    }
    void shut_write() noexcept override { socket_.shut_write(); }
    NativeHandle handle() const noexcept override { return socket_.handle(); }

private:
    Socket socket_;
};

} // namespace detail

/// Two ends of a connection in memory, for tests: what one end writes, the other reads. Each
/// direction holds at most `capacity` bytes, so that back-pressure can be tested. Not
/// thread-safe. An end that is destroyed looks to the other like a closed socket.
class MemoryTransport final : public Transport {
public:
    struct Pair {
        std::unique_ptr<MemoryTransport> server;
        std::unique_ptr<MemoryTransport> client;
    };
    static Pair make_pair(std::size_t capacity = default_capacity);
    static constexpr std::size_t default_capacity = 256 * 1024;

    ~MemoryTransport() override;
    IoResult read(char* into, std::size_t capacity) noexcept override;
    IoResult write(const std::string_view* slices, std::size_t count) noexcept override;
    void shut_write() noexcept override;
    Readiness readiness() const noexcept override;

    /// Breaks the connection: the other end's next read and write fail, as after a reset.
    void reset() noexcept;
    /// At most this many bytes for each read from now on: splits at every byte with 1.
    void set_max_read_bytes(std::size_t bytes) noexcept { max_read_bytes_ = bytes; }

private:
    struct Pipe;
    MemoryTransport(std::shared_ptr<Pipe> in, std::shared_ptr<Pipe> out) noexcept;

    std::shared_ptr<Pipe> in_;
    std::shared_ptr<Pipe> out_;
    std::size_t max_read_bytes_ = static_cast<std::size_t>(-1);
};

PORTHOLE_NAMESPACE_END

// porthole/os/process.hpp

// Starts a program and talks to it without ever waiting: its standard input, output and errors are
// non-blocking, it leads a process group of its own (on Windows a job), and inherits nothing but
// what is named here. The platforms differ in process_posix.inl and process_windows.inl only.
//
// The three are pipes and not sockets: "> /dev/stderr" and "cat /dev/stdin" are common in scripts,
// and a socket cannot be opened by name. That a pipe's write raises SIGPIPE is dealt with here.
//
// On Windows the server's pollers cannot wait for pipes or processes. There every handle below is
// invalid, and the owner calls the reading, writing and asking functions from time to time: asking
// whether there is something costs no system call.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

class ProcessReaper;

/// Which calls a process is started and served with.
enum class ProcessCalls : unsigned char {
    automatic, ///< the best that the system has
    portable,  ///< those that every POSIX system has
};

struct ProcessOptions {
    /// The file to run, from the root of the file system; see find_program(). Bytes on POSIX, UTF-8
    /// on Windows, as all text here.
    std::string program;
    /// What the program gets as argv, its own name first; empty: `program` alone. No shell sees it.
    std::vector<std::string> arguments;
    /// "NAME=value": these and no other.
    std::vector<std::string> environment;
    /// Empty: the host's.
    std::string working_directory;
    bool wants_input = true;  ///< else the program meets the end of its input at once
    bool wants_output = true; ///< else what it prints is lost
    bool wants_error = true;
    /// Who buries the program when its Process goes before it; see ProcessReaper.
    std::shared_ptr<ProcessReaper> reaper;
    ProcessCalls calls = ProcessCalls::automatic;
};

/// How a program ended.
struct ExitStatus {
    enum class Kind : unsigned char {
        exited,    ///< by itself; `value` is its exit code
        signalled, ///< by the signal `value`; on Windows by an exception or a kill
        unknown,   ///< the host program waits for any child, or ignores SIGCHLD, and was first
    };
    Kind kind = Kind::unknown;
    int value = 0;
    bool is_success() const noexcept { return kind == Kind::exited && value == 0; }
};

/// A running program and our ends of its pipes. Ticking thread only; no function waits.
class Process {
public:
    Process() noexcept;
    Process(Process&& other) noexcept;
    Process& operator=(Process&& other) noexcept;
    /// Kills the group. A program that is not gone by then is left to the reaper.
    ~Process();

    /// Starts the program. A file that is not there or cannot be run, a missing interpreter, a
    /// missing directory and missing descriptors are errors; nothing stays open then. Returns when
    /// the system has loaded the program, and costs the same however large this process is.
    static Error start(const ProcessOptions& options, Process& process);

    /// From start() until try_reap() has answered.
    bool is_started() const noexcept;
    /// The system's number for it; 0 when it is not started.
    std::int64_t id() const noexcept;

    // Our ends, for the poller: write interest for the first, read interest for the others. A
    // closed end, and every end on Windows, is invalid_handle. When the program has closed its
    // side the poller tells so again and again, whatever the interest: stop watching then, and
    // also while output is not wanted for the moment.

    NativeHandle input_handle() const noexcept;
    NativeHandle output_handle() const noexcept;
    NativeHandle error_handle() const noexcept;
    /// Readable when the program has ended; invalid where the system has no such thing (before
    /// Linux 5.3, elsewhere): then ask has_ended() from time to time.
    NativeHandle exit_handle() const noexcept;

    /// Takes what the pipe has room for. `failed`: the program reads no more. Never raises SIGPIPE.
    IoResult write_input(std::string_view bytes) noexcept;
    /// `end`: the program and all that it started have closed it.
    IoResult read_output(char* into, std::size_t capacity) noexcept;
    IoResult read_error(char* into, std::size_t capacity) noexcept;
    /// The program reads the end of its input after what was written.
    void close_input() noexcept;
    /// The program's further writes fail; on POSIX they raise SIGPIPE in it.
    void close_output() noexcept;
    void close_error() noexcept;

    /// True when the program itself has ended; what it started may still run.
    bool has_ended() noexcept;
    /// Once it has ended: how. The number is then free for other programs, so this is the last
    /// that can be done; kill_group() before it ends what the program has left running.
    std::optional<ExitStatus> try_reap() noexcept;

    /// Asks the program and all that it started, unless it left the group, to end: SIGTERM. The
    /// same as kill_group() on Windows, which has no such request.
    void terminate_group() noexcept;
    /// Ends them all, whether they want or not.
    void kill_group() noexcept;

private:
    struct State;
    std::unique_ptr<State> state_;
};

/// Takes the programs whose Process went before they did: all of them are killed, and the system
/// keeps an entry for each until somebody asks how it ended. Shared by the owner of the processes
/// and by each of them, so that nothing is lost whichever goes first. Ticking thread only. Always
/// empty on Windows, where nothing stays.
class ProcessReaper {
public:
    ProcessReaper() = default;
    ProcessReaper(const ProcessReaper&) = delete;
    ProcessReaper& operator=(const ProcessReaper&) = delete;
    /// Asks once more for each, and does not wait.
    ~ProcessReaper();

    /// Programs that are killed and not yet gone: they count as running against a limit.
    std::size_t size() const noexcept { return ids_.size(); }
    /// Asks for some of them, in turn, one system call each; returns how many are left.
    std::size_t collect(std::size_t at_most = 8) noexcept;
    /// For the owner's own end: waits for all of them, but no longer than that. True when none is
    /// left. The only function here that waits; a killed program rarely needs a millisecond.
    bool finish(Duration at_most) noexcept;

private:
    friend class Process;
    /// Makes room for one more, so that adopt() needs no memory.
    void expect();
    void forget() noexcept { --expected_; }
    void adopt(std::int64_t id) noexcept;

    std::vector<std::int64_t> ids_;
    std::size_t expected_ = 0; ///< running processes that may still come
    std::size_t next_ = 0;     ///< whom collect() asks next
};

/// Where a program lies, from the root of the file system: a name with a slash is completed with
/// the working directory, another is looked for in `search_path`, which is what PATH holds. Empty
/// when there is no such file that can be run. Looks at the disk: for set-up, not for a tick.
std::string find_program(std::string_view name, std::string_view search_path);

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/os/scratch_file.hpp

// A file without a name, for bytes that are too many for memory and are read back soon: gone when
// it is closed, or when the process dies. And the variables of the host's own environment, of which
// a program that is started may be given some. The platforms differ in scratch_file_posix.inl and
// scratch_file_windows.inl only.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

class ScratchFile {
public:
    /// In the system's directory for temporary files (TMPDIR, TEMP). False when there is none that
    /// can be written to.
    bool open();
    bool is_open() const noexcept { return file_.is_open(); }
    std::uint64_t size() const noexcept { return size_; }
    /// Adds to the end. False when the disk is full; the file is of no use then.
    bool append(std::string_view bytes) noexcept;
    /// As File::read_at().
    std::size_t read_at(std::uint64_t offset, char* into, std::size_t capacity) const noexcept {
        return file_.read_at(offset, into, capacity);
    }
    void close() noexcept {
        file_.close();
        size_ = 0;
    }

private:
    File file_;
    std::uint64_t size_ = 0;
};

/// Empty when it is not set. Not for a time when another thread changes the environment.
std::string environment_variable(std::string_view name);

} // namespace detail

PORTHOLE_NAMESPACE_END

// http: pure functions over bytes

// porthole/http/method.hpp

// Request methods (RFC 9110 section 9, RFC 5789, RFC 4918, RFC 3253, RFC 5323, and PURGE of common
// caches as `other`). Methods are case-sensitive.

PORTHOLE_NAMESPACE_BEGIN

/// `other` is any token that is not listed; compare Request::method_name() for those. `del` is
/// DELETE, which is a keyword in small letters and a macro of windows.h in capitals.
enum class Method : unsigned char {
    get,
    head,
    post,
    put,
    del,
    patch,
    options,
    trace,
    connect,
    propfind,
    proppatch,
    mkcol,
    copy,
    move,
    lock,
    unlock,
    report,
    search,
    other,
};

/// Exact, in any length of time but without allocating. Unknown tokens are Method::other.
Method parse_method(std::string_view name) noexcept;
/// "GET" for Method::get; "" for Method::other.
std::string_view to_string(Method method) noexcept;

PORTHOLE_NAMESPACE_END

// porthole/http/status.hpp

// Status codes of the IANA registry with their reason phrases (RFC 9110 section 15), and the table
// that turns what went wrong with a request into the status that answers it.

PORTHOLE_NAMESPACE_BEGIN

/// "Not Found" for 404; "" for codes that are not registered.
std::string_view reason_phrase(int status) noexcept;
/// "HTTP/1.1 404 Not Found\r\n" for registered codes; empty for others.
std::string_view status_line(int status) noexcept;

/// False for 1xx, 204 and 304, which end with their head (RFC 9112 section 6.3).
constexpr bool status_has_content(int status) noexcept {
    return status >= 200 && status != 204 && status != 304;
}

/// Everything that makes the library refuse a request, one sentence each.
enum class RequestFault : unsigned char {
    none,
    bad_request_line,
    bad_method,
    bad_target,
    bad_version,
    unsupported_version,
    target_too_long,
    bad_field_name,
    bad_field_value,
    obsolete_folding,
    bare_line_feed,
    fields_too_large,
    too_many_fields,
    missing_host,
    repeated_host,
    bad_host,
    userinfo_in_host,
    bad_content_length,
    length_required,
    length_and_encoding,
    encoding_in_http10,
    bad_transfer_encoding,
    unknown_transfer_encoding,
    bad_chunk,
    bad_trailer,
    trailer_too_large,
    content_too_large,
    unknown_expectation,
    unknown_method,
    head_timeout,
    content_timeout,
};

/// The status that answers a fault.
int status_of(RequestFault fault) noexcept;
/// The sentence that says what is wrong; those about a limit name the field of Limits.
std::string_view describe(RequestFault fault) noexcept;

PORTHOLE_NAMESPACE_END

// porthole/http/fields.hpp

// Field lines of a received message, as places in the bytes they arrived in: nothing is copied, and
// the bytes may move as a whole.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// A piece of a message head: an offset from its first byte, and a size.
struct Span {
    std::uint32_t at = 0;
    std::uint32_t size = 0;
    std::string_view in(const char* base) const noexcept { return {base + at, size}; }
};

struct FieldSpan {
    Span name;
    Span value;
};

} // namespace detail

/// One field line; the value is trimmed.
struct Field {
    std::string_view name;
    std::string_view value;
};

/// The field lines of a message in the order of arrival. Names compare in any case (RFC 9110
/// section 5.1).
class Fields {
public:
    std::size_t size() const noexcept { return spans_.size(); }
    bool is_empty() const noexcept { return spans_.empty(); }
    Field operator[](std::size_t index) const noexcept {
        return {spans_[index].name.in(base_), spans_[index].value.in(base_)};
    }
    /// Of the name at that place, without building the field.
    std::size_t name_size(std::size_t index) const noexcept { return spans_[index].name.size; }
    /// The first value with that name.
    std::optional<std::string_view> find(std::string_view name) const noexcept;
    /// All values with that name, in order.
    std::vector<std::string_view> find_all(std::string_view name) const;
    /// How many field lines have that name.
    std::size_t count(std::string_view name) const noexcept;
    /// True when any line of that name has `element` in its comma-separated list.
    bool has_element(std::string_view name, std::string_view element) const noexcept;

    // For the parsers.
    void clear() noexcept { spans_.clear(); }
    void add(const detail::FieldSpan& span) { spans_.push_back(span); }
    /// The head's first byte is at `base` from now on.
    void set_base(const char* base) noexcept { base_ = base; }

private:
    const char* base_ = nullptr;
    std::vector<detail::FieldSpan> spans_;
};

PORTHOLE_NAMESPACE_END

// porthole/http/target.hpp

// Request targets (RFC 9112 section 3.2) and percent-encoding (RFC 3986 section 2.1). Everything is
// decoded exactly once.

PORTHOLE_NAMESPACE_BEGIN

enum class TargetForm : unsigned char { origin, absolute, authority, asterisk };

/// A split request target; all views point into it and are still encoded. Only an empty path of
/// the absolute form becomes a constant "/".
struct Target {
    TargetForm form = TargetForm::origin;
    std::string_view scheme;    ///< absolute form only
    std::string_view authority; ///< absolute and authority form: host and port
    std::string_view path;  ///< begins with '/' in origin and absolute form; "*" in asterisk form
    std::string_view query; ///< behind the first '?', without it
};

/// Splits and checks a target for that method: authority form only for CONNECT, asterisk form
/// only for OPTIONS, no fragment, visible ASCII only, every '%' followed by two hexadecimal
/// digits; CONNECT with a port (RFC 9110 section 9.3.6); absolute form only for http and https,
/// with a valid authority. False when it breaks a rule.
bool parse_target(std::string_view text, std::string_view method_name, Target& target) noexcept;

/// A host and an optional port, as in Host and in an authority: "localhost:8080", "[::1]".
struct Authority {
    std::string_view host; ///< with its brackets for IPv6; never empty
    bool has_port = false;
    std::uint16_t port = 0;
};
/// Strict: letters, digits, '-', '.' and '_', or a bracketed IPv6 address without zone; a port of
/// one to five digits up to 65535; no userinfo; at most 255 bytes. False for anything else.
bool parse_authority(std::string_view text, Authority& authority) noexcept;

/// Appends `text` with each %XX replaced by its byte. False, with `into` as it was, when a '%'
/// is not followed by two hexadecimal digits.
bool percent_decode(std::string_view text, std::string& into);
/// Appends `text` with every byte but the unreserved ones (RFC 3986 section 2.3) as %XX.
void percent_encode(std::string_view text, std::string& into);

/// True when a path needs normalize_path(): it has a '%' or a segment "." or "..".
bool path_needs_work(std::string_view path) noexcept;
/// Appends a path that begins with '/', each segment decoded and dot segments removed (RFC 3986
/// section 5.2.4), also encoded ones. "%2F" becomes a '/' that divides nothing while that is
/// done. False, with `into` as it was, when the path climbs above the root, has a NUL or a bad
/// '%', or when its "%2F" would let a dot segment appear.
bool normalize_path(std::string_view path, std::string& into);

PORTHOLE_NAMESPACE_END

// porthole/http/form.hpp

// Names and values of a query or of application/x-www-form-urlencoded content (WHATWG URL,
// section 5.1).

PORTHOLE_NAMESPACE_BEGIN

/// Decoded name-value pairs. Owns their bytes; views are valid until the next parse() or
/// clear(). Memory is kept for reuse, but for that of a very large one.
class FormPairs {
public:
    /// How many pairs are kept at the most; further ones are ignored.
    static constexpr std::size_t max_pairs = 1000;

    /// Replaces the content. '+' is a space; a '%' that is not followed by two hexadecimal
    /// digits stands for itself, as browsers have it.
    void parse(std::string_view encoded);
    void clear() noexcept;

    std::size_t size() const noexcept { return pairs_.size(); }
    std::string_view name(std::size_t index) const noexcept;
    std::string_view value(std::size_t index) const noexcept;
    /// The first value of that name; names are exact.
    std::optional<std::string_view> find(std::string_view name) const noexcept;
    std::vector<std::string_view> find_all(std::string_view name) const;

private:
    struct Pair {
        std::size_t name_at, name_size, value_at, value_size;
    };
    std::string decoded_;
    std::vector<Pair> pairs_;
};

PORTHOLE_NAMESPACE_END

// porthole/http/cookie.hpp

// Cookies in and out (RFC 6265).

PORTHOLE_NAMESPACE_BEGIN

enum class SameSite : unsigned char { unset, lax, strict, cross_site };

/// What goes with a cookie to the browser. Defaults are the safe ones.
struct CookieOptions {
    std::string_view path = "/";
    std::string_view domain = {};
    /// Unset: until the browser ends. Zero or less: delete it.
    std::optional<std::chrono::seconds> max_age = std::nullopt;
    bool http_only = true;
    bool secure = false;
    /// `cross_site` is written as None, which needs `secure`.
    SameSite same_site = SameSite::lax;
};

/// The value of the cookie `name` in one Cookie field value, without the quotes around it.
std::optional<std::string_view>
find_cookie(std::string_view cookie_field, std::string_view name) noexcept;
/// Appends a Set-Cookie value. False, with `into` as it was, when the name is not a token, the
/// value has a byte outside cookie-octet (RFC 6265 section 4.1.1), path or domain a ';' or a
/// control character, or when it is cross_site but not secure, which browsers would drop.
bool write_cookie(
    std::string_view name, std::string_view value, const CookieOptions& options, std::string& into);

PORTHOLE_NAMESPACE_END

// porthole/http/date.hpp

// IMF-fixdate (RFC 9110 section 5.6.7), without the C library's locale and time zone.

PORTHOLE_NAMESPACE_BEGIN

/// How long an IMF-fixdate is.
inline constexpr std::size_t date_size = 29;

/// Writes "Sun, 06 Nov 1994 08:49:37 GMT", date_size bytes, no end. Years 0 to 9999;
/// times beyond are the first or last moment of those.
void write_date(std::chrono::system_clock::time_point time, char* into) noexcept;
/// Reads IMF-fixdate and the two obsolete forms (RFC 850 and asctime), which a server must
/// accept. `now` decides the century of a two-digit year. The weekday is not compared. A date that
/// system_clock cannot hold is its last moment. Anything else is nothing.
std::optional<std::chrono::system_clock::time_point>
parse_date(std::string_view text, std::chrono::system_clock::time_point now) noexcept;

PORTHOLE_NAMESPACE_END

// porthole/http/media_type.hpp

// Media types by file extension, and what a Content-Type field says.

PORTHOLE_NAMESPACE_BEGIN

/// "text/html; charset=utf-8" for "a/b.html"; "application/octet-stream" for what is unknown.
/// The extension compares in any case. Text types carry charset=utf-8.
std::string_view media_type_of(std::string_view path) noexcept;

/// A Content-Type value without its parameters: "text/html" of "Text/HTML; charset=utf-8"
/// compares equal in any case.
std::string_view media_type_essence(std::string_view content_type) noexcept;
/// A parameter's value, without quotes around it (escapes inside stay): "utf-8" for "charset".
std::optional<std::string_view>
media_type_parameter(std::string_view content_type, std::string_view name) noexcept;

PORTHOLE_NAMESPACE_END

// porthole/http/accept.hpp

// Proactive negotiation (RFC 9110 section 12.5): how much a client wants a coding or a media type,
// as the quality value that its Accept-Encoding or Accept gives to it.

PORTHOLE_NAMESPACE_BEGIN

/// Quality values are thousandths: 0 is "not acceptable", 1000 the default.
inline constexpr int max_quality = 1000;

/// What Accept-Encoding gives to a coding: by its name, else by "*". Nothing when neither is named
/// or the field is absent: then only "identity" can be taken for granted (RFC 9110 section
/// 12.5.3). "x-gzip" is "gzip" (section 8.4.1.3).
std::optional<int> encoding_quality(const Fields& fields, std::string_view coding) noexcept;

/// What Accept gives to a media type, the most specific range deciding: "text/html", "text/*",
/// "*/*" (RFC 9110 section 12.5.1). max_quality when the field is absent.
int media_type_quality(const Fields& fields, std::string_view type) noexcept;

PORTHOLE_NAMESPACE_END

// porthole/http/conditional.hpp

// Conditional requests (RFC 9110 section 13): whether a client's copy is still good, and whether a
// part of it may be completed. Pure functions over the request's fields and the validators of what
// would be sent, for files, baked-in assets and handlers alike.

PORTHOLE_NAMESPACE_BEGIN

/// What tells one version of a representation from another (RFC 9110 section 8.8).
struct Validators {
    /// An entity tag with its quotes, W/ included; empty when there is none.
    std::string_view etag;
    /// Fractions of a second do not count: the field has none.
    std::optional<std::chrono::system_clock::time_point> last_modified;
    /// The date is too young to be the only one of its second, so it is a weak validator
    /// (section 8.8.2.2).
    bool is_recent = false;
};

/// What the preconditions make of a request.
enum class Precondition : unsigned char {
    passed,       ///< go on
    not_modified, ///< 304
    failed,       ///< 412
};

/// If-Match, If-Unmodified-Since, If-None-Match and If-Modified-Since in the order of RFC 9110
/// section 13.2.2, for a resource that exists. `now` decides the century of obsolete dates.
Precondition evaluate_preconditions(
    const Fields& fields, Method method, const Validators& validators,
    std::chrono::system_clock::time_point now) noexcept;

/// False when an If-Range says that the Range beside it is to be ignored (RFC 9110 section
/// 13.1.5); true without If-Range.
bool if_range_passes(
    const Fields& fields, const Validators& validators,
    std::chrono::system_clock::time_point now) noexcept;

/// True when a list of entity tags, or "*", has this one. Weak comparison ignores W/; the strong
/// one never matches a weak tag (RFC 9110 section 8.8.3.2). A list ends where it is malformed.
enum class EtagComparison : unsigned char { strong, weak };
bool etag_list_has(
    std::string_view list, std::string_view etag, EtagComparison comparison) noexcept;

PORTHOLE_NAMESPACE_END

// porthole/http/range.hpp

// Byte ranges (RFC 9110 section 14): what a Range field asks of a representation of known size,
// merged and bounded so that no request can make the answer larger than the whole, and the framing
// of multipart/byteranges.

PORTHOLE_NAMESPACE_BEGIN

/// A part of a representation; never empty.
struct ByteRange {
    std::uint64_t first = 0;
    std::uint64_t size = 0;
};

/// What a Range field comes to.
struct RangeSelection {
    enum class Kind : unsigned char {
        whole,         ///< no Range, or one to be ignored: 200
        partial,       ///< 206 with `ranges`: one, or several as multipart/byteranges
        unsatisfiable, ///< 416
    };
    Kind kind = Kind::whole;
    std::vector<ByteRange> ranges; ///< in the order asked for, none overlapping
};

/// More ranges than this in one field are ignored: the whole is cheaper for both sides (RFC 9110
/// section 14.2).
inline constexpr std::size_t max_ranges = 32;

/// Reads a Range field for a representation of `size` bytes. Malformed fields, other units and too
/// many ranges select the whole. Ranges that overlap, or lie closer together than a part's head is
/// long, become one (RFC 9110 section 15.3.7.2).
RangeSelection select_ranges(std::string_view field, std::uint64_t size);

/// "bytes 0-4/10": the Content-Range of a part.
std::string content_range(const ByteRange& range, std::uint64_t size);
/// "bytes */10": the Content-Range of a 416.
std::string unsatisfied_range(std::uint64_t size);

/// Frames the parts of a multipart/byteranges answer (RFC 9110 section 14.6).
class MultipartRanges {
public:
    /// `boundary` must not occur in the content: random bytes, as token characters. `type` is the
    /// Content-Type of each part. Both must outlive the object.
    MultipartRanges(std::string_view boundary, std::string_view type, std::uint64_t size) noexcept
        : boundary_(boundary), type_(type), size_(size) {}

    /// "multipart/byteranges; boundary=...": the answer's own Content-Type.
    std::string content_type() const;
    /// What stands before the bytes of that part.
    std::string part_head(const ByteRange& range) const;
    /// What stands behind the last part.
    std::string end() const;

private:
    std::string_view boundary_;
    std::string_view type_;
    std::uint64_t size_;
};

PORTHOLE_NAMESPACE_END

// porthole/http/parser.hpp

// Message heads, incrementally and strictly (RFC 9112). The parser is given the head's bytes from
// its first one each time, more of them each time; what it has looked at it does not look at again,
// and what it found are places in those bytes. It knows no sockets, no clock, and allocates only to
// hold more fields than ever before.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// How the content of a message is delimited (RFC 9112 section 6).
struct Framing {
    enum class Kind : unsigned char {
        none,    ///< no content, or content of no bytes
        length,  ///< `length` bytes
        chunked, ///< the chunked coding
        close,   ///< all until the connection ends: answers only
    };
    Kind kind = Kind::none;
    std::uint64_t length = 0;
};

/// What a request's head says. Places are offsets into the head's bytes.
struct RequestHead {
    Method method = Method::other;
    Span method_name;
    Span target;
    int minor_version = 1; ///< 0 or 1: HTTP/1.0 or HTTP/1.1
    Fields fields;
    Framing framing;
    Span host; ///< the one Host value; empty when there was none (HTTP/1.0 only)
    bool has_host = false;
    bool keep_alive = true; ///< the connection may go on behind this request (RFC 9112 section 9.3)
    bool expects_continue = false; ///< Expect: 100-continue
    bool has_upgrade = false;      ///< an Upgrade field that Connection names too
};

enum class ParseStatus : unsigned char { need_more, complete, failed };

/// The walk from line to line that every head shares: where the line that is being read begins, and
/// how far its end has been looked for. Holds the limits, and the strictness about line ends.
struct HeadCursor {
    enum class Step : unsigned char { need_more, field, end, failed };

    std::size_t line_begin = 0;
    std::size_t scanned = 0;      ///< no line end in the line before this
    std::size_t fields_begin = 0; ///< first byte behind the start line
    RequestFault fault = RequestFault::none;

    /// The request line or status line, without its line end.
    ParseStatus
    take_start_line(std::string_view bytes, const Limits& limits, std::string_view& line) noexcept;
    /// The next field line, which is added to `fields`; or the end of the head.
    Step take_field(std::string_view bytes, const Limits& limits, Fields& fields, FieldSpan& field);

private:
    std::size_t find_line_end(std::string_view bytes) noexcept;
    bool has_room_for_line(
        std::string_view bytes, std::size_t end, const Limits& limits, std::size_t count) noexcept;
};

class RequestParser {
public:
    /// `limits` must outlive the parser.
    explicit RequestParser(const Limits& limits) noexcept : limits_(&limits) {}

    /// Goes on with a head that begins at `bytes` and of which `bytes` is all that has arrived,
    /// what earlier calls were given included. The bytes may lie elsewhere each time.
    ParseStatus parse(std::string_view bytes);
    /// When complete: how many bytes the head took, with its empty line and a tolerated CRLF
    /// before it.
    std::size_t head_size() const noexcept { return cursor_.line_begin; }
    /// When failed: why.
    RequestFault fault() const noexcept { return cursor_.fault; }
    const RequestHead& head() const noexcept { return head_; }
    RequestHead& head() noexcept { return head_; }
    /// True when not a byte of a head has been seen since reset().
    bool is_fresh() const noexcept { return cursor_.scanned == 0; }
    /// Begins anew; keeps the memory.
    void reset() noexcept;

private:
    enum class State : unsigned char { start, request_line, fields, complete, failed };

    const Limits* limits_;
    State state_ = State::start;
    unsigned seen_ = 0; ///< which of the fields that the head itself depends on are there
    HeadCursor cursor_;
    RequestHead head_;

    ParseStatus fail(RequestFault fault) noexcept;
    ParseStatus skip_leading_line(std::string_view bytes) noexcept;
    ParseStatus read_request_line(std::string_view bytes) noexcept;
    ParseStatus read_fields(std::string_view bytes);
    RequestFault parse_request_line(std::string_view line, std::size_t at) noexcept;
    RequestFault finish_head(const char* base) noexcept;
};

/// Splits one field line without its line end into name and trimmed value, both as offsets from
/// `base`. Shared by heads and trailers. Returns the rule it breaks, or RequestFault::none.
RequestFault parse_field_line(std::string_view line, const char* base, FieldSpan& field) noexcept;

/// The one place that decides where a request's content ends (RFC 9112 section 6.3). Everything
/// that two implementations could read in two ways is refused.
RequestFault decide_framing(const Fields& fields, int minor_version, Framing& framing) noexcept;

/// What all Connection fields together ask for (RFC 9110 section 7.6.1).
struct ConnectionOptions {
    bool has_close = false;
    bool has_keep_alive = false;
    bool has_upgrade = false;
    /// RFC 9112 section 9.3.
    bool keeps_alive(int minor_version) const noexcept {
        return !has_close && (minor_version >= 1 || has_keep_alive);
    }
};
ConnectionOptions read_connection(const Fields& fields) noexcept;

/// An answer's head, for clients: the test client now, the proxy later. As strict as for
/// requests.
struct ResponseHead {
    int status = 0;
    int minor_version = 1;
    Span reason;
    Fields fields;
    Framing framing;
    bool keep_alive = true;
};

class ResponseParser {
public:
    explicit ResponseParser(const Limits& limits) noexcept : limits_(&limits) {}
    /// As RequestParser::parse. `is_head_answer`: the request was HEAD, so there is no content
    /// whatever the fields say.
    ParseStatus parse(std::string_view bytes, bool is_head_answer = false);
    std::size_t head_size() const noexcept { return cursor_.line_begin; }
    /// When failed: the rule that was broken, in the words for requests; bad_request_line stands
    /// for the status line.
    RequestFault fault() const noexcept { return cursor_.fault; }
    const ResponseHead& head() const noexcept { return head_; }
    ResponseHead& head() noexcept { return head_; }
    void reset() noexcept;

private:
    const Limits* limits_;
    ParseStatus status_ = ParseStatus::need_more;
    bool has_status_line_ = false;
    HeadCursor cursor_;
    ResponseHead head_;

    ParseStatus fail(RequestFault fault) noexcept;
    RequestFault parse_status_line(std::string_view line) noexcept;
    RequestFault finish_head(const char* base, bool is_head_answer) noexcept;
};

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/http/chunked.hpp

// The chunked coding (RFC 9112 section 7.1), both ways. The decoder takes bytes in any pieces and
// hands out content in place; it copies only the lines that a piece's end cuts in two.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

class ChunkedDecoder {
public:
    /// `limits` must outlive the decoder.
    explicit ChunkedDecoder(const Limits& limits) noexcept : limits_(&limits) {}
    ChunkedDecoder(const ChunkedDecoder&) = delete; // the trailer points into itself
    ChunkedDecoder& operator=(const ChunkedDecoder&) = delete;

    /// One step: takes some of `bytes` (says how many in `consumed`) and may hand out a piece
    /// of content, a view into `bytes`. need_more: call again with what is left, or, when all
    /// is consumed, with what arrives next. complete: the trailer has ended. Call it while it
    /// consumes.
    ParseStatus decode(std::string_view bytes, std::size_t& consumed, std::string_view& content);

    RequestFault fault() const noexcept { return fault_; }
    /// When complete: the trailer's fields. Fields that a trailer must not carry (RFC 9110
    /// section 6.5.1) have made it fail.
    const Fields& trailer() const noexcept { return trailer_; }
    void reset() noexcept;

private:
    enum class State : unsigned char { size_line, data, data_end, trailer, complete, failed };

    const Limits* limits_;
    State state_ = State::size_line;
    RequestFault fault_ = RequestFault::none;
    std::uint64_t left_ = 0;       ///< bytes still to come: of the chunk, or of its line end
    std::size_t trailer_size_ = 0; ///< of all trailer lines so far, with their line ends
    std::string line_;             ///< a line that has begun in an earlier piece
    std::string trailer_bytes_;    ///< what trailer_ points into
    Fields trailer_;

    ParseStatus take_line(
        std::string_view bytes, std::size_t& consumed, std::size_t max_bytes,
        std::string_view& line);
    bool read_size_line(std::string_view bytes, std::size_t& consumed);
    bool read_data_end(std::string_view bytes, std::size_t& consumed) noexcept;
    bool read_trailer_line(std::string_view bytes, std::size_t& consumed);
    RequestFault add_trailer_line(std::string_view line);
    bool fail(RequestFault fault) noexcept;
};

/// How long the line before a chunk can be: sixteen digits and CRLF.
inline constexpr std::size_t max_chunk_head_size = 18;
/// Writes "1a2b\r\n" for a chunk of `size` bytes; returns how many were written.
std::size_t write_chunk_head(char* into, std::uint64_t size) noexcept;
/// What follows a chunk's bytes and the trailer, and what comes before the trailer.
inline constexpr std::string_view chunk_end = "\r\n";
inline constexpr std::string_view last_chunk_begin = "0\r\n";

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/http/body.hpp

// The seam for answers whose content is not in memory: the connection asks for the next piece when
// it has room for one, so a slow reader costs one piece and no more.

PORTHOLE_NAMESPACE_BEGIN

/// How Response::stream() queues and delimits what a program writes.
struct StreamOptions {
    /// The exact size of all that will be written, when it is known: the answer then carries
    /// Content-Length. Else it is chunked, or ends with the connection for HTTP/1.0.
    std::optional<std::uint64_t> size;
    /// What is queued for a slow client at the most; 0 is Limits::max_queue_bytes.
    std::size_t high_mark_bytes = 0;
    /// on_writable() is called when this much is left; 0 is a quarter of the high mark.
    std::size_t low_mark_bytes = 0;
};

/// Content by pulling. Called on the thread that ticks; destroyed when the answer has been sent
/// or the peer has gone.
class BodySource {
public:
    enum class State : unsigned char {
        more,   ///< ask again when there is room
        wait,   ///< nothing now: call the waker when there is
        end,    ///< that was all
        failed, ///< the answer cannot be finished; the connection is broken off
    };
    struct Piece {
        State state = State::end;
        std::size_t bytes = 0; ///< how many were written, also together with `end`
    };

    virtual ~BodySource() = default;
    /// The exact size when it is known: the answer then carries Content-Length, and is broken
    /// off when the source yields less; what it yields beyond is not sent. Unknown: chunked, or
    /// until close for HTTP/1.0.
    virtual std::optional<std::uint64_t> size() const { return std::nullopt; }
    /// All of the content, when it lies in memory that stays where it is as long as this source
    /// lives: it is then sent from there, without being copied and without pull().
    virtual std::optional<std::string_view> whole() const { return std::nullopt; }
    /// Writes the next piece, up to `capacity` bytes. One unit of the tick's budget: must not
    /// block.
    virtual Piece pull(char* into, std::size_t capacity) = 0;
    /// Bytes of an open file: its descriptor or HANDLE, and where they begin.
    struct FilePiece {
        std::intptr_t handle = -1;
        std::uint64_t offset = 0;
    };
    /// For a source of known size: where the next bytes lie when all that are left in this run
    /// are a file's, and how many (0: pull them). They may then be sent without being pulled, as
    /// far as skip() tells.
    virtual std::uint64_t file_piece(FilePiece& piece) {
        static_cast<void>(piece);
        return 0;
    }
    /// So many bytes of file_piece() have been sent.
    virtual void skip(std::uint64_t bytes) { static_cast<void>(bytes); }
    /// Field lines behind the content, complete and checked, asked for at its end. Only sent with
    /// the chunked coding.
    virtual std::string_view trailer() const { return {}; }
    /// Handed over before the first pull(): to be called, on the ticking thread, when a source
    /// that said `wait` has something. Safe to call after the connection has gone.
    virtual void set_waker(std::function<void()> waker) { static_cast<void>(waker); }
};

PORTHOLE_NAMESPACE_END

// porthole/http/request.hpp

// What a handler is given: a read-only face over the bytes of one request. Every view is valid
// until the handler returns; copy what is needed longer.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// One ":name" or "*name" of the route that matched. The name lives in the route, the value is a
/// place in Request::path().
struct PathParameter {
    std::string_view name;
    Span value;
};

/// Everything a Request shows. Filled by the connection and the router; reused from request to
/// request, so that its memory is allocated once.
struct RequestParts {
    const char* base = nullptr;      ///< the head's first byte
    RequestHead* head = nullptr;     ///< never null while a Request is shown
    Target target;                   ///< views into the head's bytes; set again when they move
    bool path_is_normalized = false; ///< true: path() is path_bytes
    std::string path_bytes;
    std::vector<PathParameter> parameters;
    std::vector<Span> segments; ///< of path(), for the router
    std::string_view body;
    const Fields* trailer = nullptr;
    std::string_view peer;
    std::string_view scheme = "http";
    bool is_mounted = false;
    Span mount_path; ///< below a mount: a place in path()
    mutable FormPairs query;
    mutable FormPairs form;
    mutable bool has_query = false; ///< `query` has been parsed for this request
    mutable bool has_form = false;

    /// Splits the target of `head`, whose bytes are at `base`, and normalizes the path where it
    /// needs it. bad_target when it breaks a rule.
    RequestFault set_head(RequestHead& new_head, const char* new_base);
    /// The head's bytes are at `new_base` now: sets every view into them anew, those of the
    /// head's fields too.
    void move_to(const char* new_base) noexcept;
    /// Forgets the request, keeps the memory, and peer and scheme, which are the connection's.
    void reset() noexcept;
};

} // namespace detail

/// One request. Not copyable; handed to handlers by reference.
class Request {
public:
    explicit Request(const detail::RequestParts& parts) noexcept : parts_(&parts) {}
    Request(const Request&) = delete;
    Request& operator=(const Request&) = delete;

    Method method() const noexcept { return parts_->head->method; }
    /// The method as it was sent: also for Method::other.
    std::string_view method_name() const noexcept;
    /// The whole request target as it was sent.
    std::string_view target() const noexcept;
    /// Percent-decoded, without dot segments, and always beginning with '/', but for "*" of
    /// OPTIONS *.
    std::string_view path() const noexcept;
    /// Behind the '?', still encoded; empty when there is none.
    std::string_view query_string() const noexcept { return parts_->target.query; }
    /// Below a mount: what follows its prefix in path(), beginning with '/'; empty when path() is
    /// the prefix itself. Elsewhere: path().
    std::string_view mount_path() const noexcept;

    /// The first value of a query parameter, decoded.
    std::optional<std::string_view> query(std::string_view name) const;
    std::vector<std::string_view> query_all(std::string_view name) const;

    /// A field's first value, trimmed. Names compare in any case.
    std::optional<std::string_view> header(std::string_view name) const noexcept;
    std::vector<std::string_view> header_all(std::string_view name) const;
    const Fields& fields() const noexcept { return parts_->head->fields; }
    /// A field of the trailer section of a chunked body.
    std::optional<std::string_view> trailer(std::string_view name) const noexcept;

    /// A cookie's value, without quotes around it (RFC 6265 section 5.4).
    std::optional<std::string_view> cookie(std::string_view name) const noexcept;
    /// The first value of a field of application/x-www-form-urlencoded content, decoded.
    /// Nothing when the content is of another type.
    std::optional<std::string_view> form(std::string_view name) const;
    std::vector<std::string_view> form_all(std::string_view name) const;
    /// The content, without its transfer coding.
    std::string_view body() const noexcept { return parts_->body; }

    /// What ":name" or "*name" of the route's pattern stands for, percent-decoded; empty when
    /// there is no such parameter. A nameless "*" is called "*".
    std::string_view param(std::string_view name) const noexcept;

    /// The other end: "127.0.0.1:51234", "[::1]:51234", "unix:", or a transport's own name.
    std::string_view peer() const noexcept { return parts_->peer; }
    /// The host that was asked for, as sent, without the port: from the target in absolute
    /// form, else from Host. Empty for HTTP/1.0 without Host.
    std::string_view host() const noexcept;
    /// The host and port that were asked for, as sent: from the target in absolute form, else from
    /// Host (RFC 9112 section 3.2.2). Empty when there is neither.
    std::string_view authority() const noexcept;
    /// True for a target in absolute form whose authority is not the one in Host.
    bool has_conflicting_host() const noexcept;
    /// "HTTP/1.1" or "HTTP/1.0".
    std::string_view http_version() const noexcept;
    /// "http" or "https".
    std::string_view scheme() const noexcept { return parts_->scheme; }

private:
    const FormPairs& query_pairs() const;
    const FormPairs& form_pairs() const;

    const detail::RequestParts* parts_;
};

PORTHOLE_NAMESPACE_END

// porthole/http/multipart.hpp

// Forms with files: multipart/form-data (RFC 7578), which is a multipart body (RFC 2046 section
// 5.1) whose parts have names. The parser takes bytes in any pieces and hands out content in
// place; it copies nothing but the heads of parts. For a body that is there as a whole,
// read_form_parts() is all that is needed.

PORTHOLE_NAMESPACE_BEGIN

/// What a form may hold. The size of the whole is bounded by the route's limit for its content.
struct MultipartLimits {
    /// Past it: 413.
    std::size_t max_parts = 100;
    /// The field lines of a part with their line ends, and the empty line. Past it: 431.
    std::size_t max_part_head_bytes = 8 * 1024;
    /// Field lines of a part. Past it: 431.
    std::size_t max_part_fields = 20;
    /// A part's name, and a file's name, each, decoded. Past it: 431.
    std::size_t max_name_bytes = 1024;
    /// The content of one part. Past it: 413.
    std::uint64_t max_part_bytes = UINT64_MAX;
    /// The content of all parts together that are collected in memory. Past it: 413.
    std::size_t max_collected_bytes = 1024 * 1024;
    /// What stands before the first part, and behind the last, and means nothing. Past it: 400.
    std::size_t max_preamble_bytes = 4 * 1024;
    std::size_t max_epilogue_bytes = 4 * 1024;
};

/// Everything that makes a form unreadable, one sentence each.
enum class MultipartFault : unsigned char {
    none,
    not_a_form,
    bad_boundary,
    preamble_too_long,
    bad_delimiter,
    bad_part_field,
    bad_disposition,
    part_head_too_large,
    too_many_part_fields,
    name_too_long,
    too_many_parts,
    part_too_large,
    collected_too_large,
    epilogue_too_long,
    incomplete,
};

/// The status that answers a fault: 400, 413, 415 or 431.
int status_of(MultipartFault fault) noexcept;
/// The sentence that says what is wrong; those about a limit name the field of MultipartLimits.
std::string_view describe(MultipartFault fault) noexcept;

/// What is said of a part ahead of its content. Names are as the client sent them, with the escapes
/// of browsers undone: any bytes, line ends included.
struct FormPartHead {
    std::string_view name;
    /// Present for files, and may be empty: a file input without a file. It is the client's word,
    /// never a path to open (RFC 7578 section 4.2).
    std::optional<std::string_view> file_name;
    /// "text/plain" when the part does not say (RFC 7578 section 4.4).
    std::string_view content_type = "text/plain";
    /// All field lines of the part.
    Fields fields;
};

/// A part of a form that is there as a whole; see FormPartHead.
struct FormPart {
    std::string name;
    std::optional<std::string> file_name;
    std::string content_type;
    std::string_view content; ///< a view into what it was read from
};

/// The parts of a request's collected body, valid until the handler returns. Nothing when it is no
/// form, or a malformed one.
std::optional<std::vector<FormPart>>
read_form_parts(const Request& request, const MultipartLimits& limits = {});
/// The same for any bytes, with their Content-Type. `fault` tells what is wrong with them.
std::optional<std::vector<FormPart>> read_form_parts(
    std::string_view content_type, std::string_view content, const MultipartLimits& limits,
    MultipartFault& fault);

namespace detail {

/// The boundary that a Content-Type of multipart/form-data names (RFC 2046 section 5.1.1).
MultipartFault read_boundary(std::string_view content_type, std::string_view& boundary);
/// Of a request, which must have one Content-Type.
MultipartFault read_boundary(const Request& request, std::string_view& boundary);

enum class MultipartEvent : unsigned char {
    need_more,  ///< all bytes are consumed
    part_begin, ///< part() is the new one
    data,       ///< data() is the next piece of the part's content, never empty
    part_end,
    failed, ///< fault() says why; stays so
};

class MultipartParser {
public:
    /// A boundary of read_boundary().
    MultipartParser(std::string_view boundary, const MultipartLimits& limits);
    MultipartParser(const MultipartParser&) = delete; // part() points into itself
    MultipartParser& operator=(const MultipartParser&) = delete;

    /// One step: takes some of `bytes`, says how many in `consumed`, and what they were. To be
    /// called with what is left until it is need_more, then with what arrives next.
    MultipartEvent parse(std::string_view bytes, std::size_t& consumed);
    /// No more bytes will come: the form is complete unless there is a fault.
    MultipartFault finish() noexcept;

    /// From part_begin until the next one.
    const FormPartHead& part() const noexcept { return part_; }
    /// Valid until the next parse(): a view into the bytes, or, for what looked like the beginning
    /// of a delimiter and was none, into the parser.
    std::string_view data() const noexcept { return data_; }
    MultipartFault fault() const noexcept { return fault_; }

private:
    enum class State : unsigned char {
        preamble,
        delimiter_end, ///< a delimiter has been read, and what kind it is comes next
        delimiter_dash,
        delimiter_padding,
        delimiter_line_feed,
        head,
        content,
        close_end, ///< the last delimiter has been read
        close_line_feed,
        epilogue,
        over_limit, ///< the part's last byte that is allowed has been handed out
        failed,
    };

    MultipartLimits limits_;
    State state_ = State::preamble;
    MultipartFault fault_ = MultipartFault::none;
    std::string delimiter_;   ///< "\r\n--" and the boundary
    std::size_t matched_ = 0; ///< of it, at the end of what has been consumed
    std::size_t unsent_ = 0;  ///< of matched_: a line end that is no part of the content
    bool is_in_part_ = false; ///< part_begin has been said, and part_end has not
    bool is_head_begun_ = false;
    std::size_t parts_ = 0;
    std::uint64_t counted_ = 0; ///< bytes of the content, the preamble or the epilogue
    std::string head_;          ///< what part_.fields points into
    std::string names_;         ///< what part_.name and part_.file_name point into
    FormPartHead part_;
    std::string_view data_;

    MultipartEvent step(std::string_view rest, std::size_t& taken);
    MultipartEvent search(std::string_view rest, std::size_t& taken);
    MultipartEvent go_on_matching(std::string_view rest, std::size_t& taken);
    MultipartEvent give(std::string_view piece);
    MultipartEvent read_delimiter_end(char c);
    MultipartEvent read_head(std::string_view rest, std::size_t& taken);
    MultipartEvent skip_epilogue(std::string_view rest, std::size_t& taken);
    MultipartEvent end_part(State next) noexcept;
    MultipartEvent begin_part();
    MultipartFault split_head();
    MultipartFault read_names(std::string_view disposition);
    MultipartEvent fail(MultipartFault fault) noexcept;
};

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/http/response.hpp

// What a handler fills in. Fields are checked and kept as they will be sent, so that this is the
// one place through which a name or a value reaches the wire, and sending them is one copy.

#include <type_traits>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

struct Exchange;

/// An answer as data. Reused from request to request, so that its memory is allocated once.
struct ResponseParts {
    int status = 200;
    bool is_touched = false;    ///< a handler or hook has set something
    bool has_overrides = false; ///< a field is set that the server would add by itself
    bool must_close = false;    ///< the connection ends behind this answer
    bool is_deferred = false;
    bool is_refusal = false;     ///< the library's own words, which the error page may replace
    unsigned refused_fields = 0; ///< fields with forbidden bytes, dropped
    std::string fields;          ///< complete lines: "Name: value\r\n" ...
    std::string body;
    std::unique_ptr<BodySource> source; ///< when set, instead of body
    std::shared_ptr<Upgrade> upgrade; ///< when set, the answer is 101 and this owns the connection
    std::string upgrade_protocol;
    Exchange* exchange = nullptr; ///< what defer() takes the answer from; null outside a server

    /// Back to an untouched 200; keeps the memory, and `exchange`.
    void reset() noexcept;
};

/// The size of the first of complete field lines, its CRLF included.
std::size_t line_size(std::string_view lines) noexcept;
/// Where the first line of that name begins among complete field lines, or npos.
std::size_t find_field_line(std::string_view lines, std::string_view name) noexcept;

/// A container of bytes that is not a string: std::vector<std::uint8_t>, std::array<std::byte,
/// N> ...
template <class T, class = void>
inline constexpr bool is_byte_container = false;
template <class T>
inline constexpr bool is_byte_container<
    T,
    std::void_t<
        decltype(std::declval<const T&>().data()[0]), decltype(std::declval<const T&>().size())>> =
    sizeof(*std::declval<const T&>().data()) == 1
    && !std::is_convertible_v<const T&, std::string_view>;

} // namespace detail

/// One answer. Untouched it is 200 without content. Setters return the response, for chaining;
/// setting the content again replaces it.
class Response {
public:
    explicit Response(detail::ResponseParts& parts) noexcept : parts_(&parts) {}
    Response(const Response&) = delete;
    Response& operator=(const Response&) = delete;

    /// 200 to 599 (RFC 9110 section 15). 101 comes with upgrade().
    Response& status(int code);
    int status() const noexcept { return parts_->status; }

    /// Sets a field, in place of any of that name. The name must be a token, the value free of
    /// CR, LF, NUL and other control characters (RFC 9110 section 5.5): else it is dropped and
    /// logged. Content-Length, Transfer-Encoding, Keep-Alive and Upgrade are the server's own
    /// and cannot be set; Connection only to "close", which is close_connection(). The views
    /// may be of this response's own fields.
    Response& header(std::string_view name, std::string_view value);
    /// Adds a field line, beside others of that name.
    Response& add_header(std::string_view name, std::string_view value);
    Response& remove_header(std::string_view name);
    /// The first value that was set.
    std::optional<std::string_view> header(std::string_view name) const noexcept;
    /// Adds a Set-Cookie field (RFC 6265 section 4.1).
    Response&
    cookie(std::string_view name, std::string_view value, const CookieOptions& options = {});

    /// Content with its type; the bytes are copied.
    Response& send(std::string_view type, std::string_view bytes);
    template <class Bytes, std::enable_if_t<detail::is_byte_container<Bytes>, int> = 0>
    Response& send(std::string_view type, const Bytes& bytes) {
        return send(type, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    }
    Response& text(std::string_view bytes) { return send("text/plain; charset=utf-8", bytes); }
    Response& html(std::string_view bytes) { return send("text/html; charset=utf-8", bytes); }
    Response& json(std::string_view bytes) { return send("application/json", bytes); }
    /// Content that is moved in instead of copied, for large answers; set the type with
    /// header().
    Response& body(std::string bytes);
    std::string_view body() const noexcept { return parts_->body; }
    /// Content that is pulled as the peer takes it.
    Response& send(std::string_view type, std::unique_ptr<BodySource> source);
    /// Takes such content out again, for hooks that put something around it; null when there is
    /// none.
    std::unique_ptr<BodySource> take_source() noexcept { return std::move(parts_->source); }

    /// Location, as it is, and a short text; 301, 302, 303, 307 or 308 (RFC 9110 section 15.4).
    /// A location with control characters becomes a 500 without Location.
    Response& redirect(std::string_view location, int code = 302);
    /// An error in the library's own plain form: the code, its reason and a sentence; forgets
    /// everything that was set. Server::on_error() may put a page in its place.
    Response& fail(int code, std::string_view sentence);
    /// 204, without content and Content-Type.
    Response& no_content();
    /// True when anything has been set, or the answer is deferred.
    bool is_touched() const noexcept { return parts_->is_touched || parts_->is_deferred; }
    /// The connection ends behind this answer.
    Response& close_connection();
    /// Forgets everything that was set; an answer that was deferred stays with its Reply.
    Response& reset();

    /// Answer later: from a later frame or from another thread. The handler returns without an
    /// answer; status and fields that were set go along into the Reply. Call it once.
    Reply defer();
    /// Content that the program writes piece by piece, in this frame and in later ones.
    Stream stream(std::string_view type, const StreamOptions& options = {});
    /// Server-Sent Events to this client, in this frame and in later ones; the fields that browsers
    /// and proxies need are set.
    EventStream events();
    /// The server that asks; null outside of one.
    Server* server() const noexcept;
    /// 101: `owner` owns the connection once the handler has returned. `protocol` is the
    /// Upgrade field's value. When the request did not ask for that upgrade the answer is 426
    /// instead (RFC 9110 section 15.5.22).
    Response& upgrade(std::string_view protocol, std::shared_ptr<Upgrade> owner);

private:
    detail::ResponseParts* parts_;
};

PORTHOLE_NAMESPACE_END

// porthole/http/server_sent_event.hpp

// Events as the EventSource of a browser reads them (WHATWG HTML, section 9.2). Line ends in what
// a program sends never become line ends of the format, so no value can forge a field.

PORTHOLE_NAMESPACE_BEGIN

/// One event. Empty fields are left out, but data: without it a browser dispatches nothing.
struct ServerSentEvent {
    std::string_view data;  ///< any lines; CR, LF and CRLF all end one
    std::string_view event; ///< its type; empty is "message". One line
    std::string_view id;    ///< comes back as Last-Event-ID. One line, no NUL
    /// How long the browser waits before it connects again.
    std::optional<std::chrono::milliseconds> retry;
};

namespace detail {

inline constexpr std::string_view event_stream_type = "text/event-stream";
/// Appends the event with its empty line. `event` and `id` are cut at their first line end or NUL.
void append_event(std::string& out, const ServerSentEvent& event);
/// Appends a comment, which keeps connections alive and is otherwise ignored.
void append_event_comment(std::string& out, std::string_view text);
/// What a stream of events carries besides its type, so that neither a cache nor a proxy holds it
/// back.
void set_event_stream_fields(Response& response);

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/http/serializer.hpp

// Answers as bytes. What delimits the content is decided here and only here (RFC 9112 section 6),
// from what the client speaks and what the answer holds; a handler has no say in it.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// The field lines that every answer carries, ready to be copied: those that are given once,
/// and Date, which is written anew when the second changes.
class DefaultFields {
public:
    /// `fixed_lines` are complete "Name: value\r\n" lines.
    explicit DefaultFields(std::string_view fixed_lines);
    void set_time(std::chrono::system_clock::time_point now) noexcept;
    /// All lines, Date last.
    std::string_view lines() const noexcept { return lines_; }

private:
    std::string lines_;
};

/// What the answer answers.
struct AnswerContext {
    bool is_head = false;   ///< the request was HEAD: no content is sent, but its length is told
    int minor_version = 1;  ///< the client's: 0 never gets the chunked coding
    bool keep_alive = true; ///< what the request and the server allow
    const DefaultFields* defaults = nullptr;
};

/// How the content follows the head.
struct AnswerPlan {
    Framing framing;
    bool sends_content = true; ///< false for HEAD, 204, 304 and 101
    bool keep_alive = true;    ///< the connection goes on behind this answer
};

/// Appends the head of an answer, its empty line included, and says how the content has to
/// follow. A body in memory is not appended. False when `out` is full.
bool write_head(
    const ResponseParts& parts, const AnswerContext& context, Buffer& out, AnswerPlan& plan);

} // namespace detail

PORTHOLE_NAMESPACE_END

// server: routes, connections, and the tick

// porthole/server/guard.hpp

// Who may use the server. Every web page that the user opens can send requests to a server on
// localhost, so each request is judged by where it comes from before it is routed: by the name it
// used, by what the browser says of the page that sent it, and, when the server is exposed, by a
// token.

PORTHOLE_NAMESPACE_BEGIN

class Request;

/// The rules of the guard, all on by default. Switch one off only for a reason.
struct Guard {
    /// The Host must be localhost, a name below it, a literal address of this machine, or one of
    /// allowed_hosts. Without it any page can reach the server by letting its own name point to
    /// 127.0.0.1 (DNS rebinding): such a request looks same-origin to everything else.
    bool checks_host = true;
    /// Names beside the built-in ones: "tool.test", or ".tool.test" for it and all below.
    std::vector<std::string> allowed_hosts;

    /// Sec-Fetch-Site must be same-origin or none; other sites may only link to a page. Without it
    /// any page can include scripts and images of the server, and send it GETs.
    bool checks_fetch_metadata = true;
    /// An Origin must be the server's own or one of allowed_origins. Without it any page can POST
    /// forms to the server, and open WebSockets.
    bool checks_origin = true;
    /// Origins that may send requests from a browser and read the answers (CORS):
    /// "http://localhost:5173". Exactly as browsers send them, without a path and the default port;
    /// there is no wildcard, and "null" is never let in.
    std::vector<std::string> allowed_origins;

    /// Each answer carries X-Content-Type-Options: nosniff, Cross-Origin-Resource-Policy:
    /// same-origin and Referrer-Policy: no-referrer, unless the handler sets its own.
    bool adds_security_fields = true;

    /// Requests must carry the token, also on loopback: for machines with several users. Listeners
    /// opened with Expose::lan_with_token always ask for it.
    bool requires_token = false;
    /// The token; empty: a new one from the operating system for each run, see Server::token().
    std::string token;
};

namespace detail {

/// Where a request came in.
struct GuardContext {
    std::string_view scheme = "http";
    bool is_exposed = false;  ///< by a listener that is open to more than this machine
    bool needs_token = false; ///< by a listener that asks for the token
};

/// What the guard makes of a request.
struct GuardVerdict {
    enum class Kind : unsigned char {
        pass,
        refuse,    ///< with `status` and `sentence`
        preflight, ///< a permitted CORS preflight: 204
        login,     ///< the token came in the query: 303 to `location`, with the session cookie
    };
    Kind kind = Kind::pass;
    int status = 0;
    std::string_view sentence;
    /// The foreign origin that may read the answer: an element of Guard::allowed_origins, or null.
    const std::string* origin = nullptr;
};

class Gatekeeper {
public:
    explicit Gatekeeper(const Guard& guard) : guard_(guard) {}

    GuardVerdict judge(const Request& request, const GuardContext& context);
    /// Makes token and session when they are needed for the first time; false when the system has
    /// no random bytes.
    bool make_secrets();
    const std::string& token() const noexcept { return token_; }
    /// "name=value" of the cookie that stands for the token.
    std::string session_cookie_name(const Request& request) const;
    const std::string& session() const noexcept { return session_; }
    bool adds_security_fields() const noexcept { return guard_.adds_security_fields; }

private:
    struct Evidence;

    bool is_allowed_host(std::string_view authority, bool is_exposed);
    bool is_listed_host(std::string_view host) const noexcept;
    GuardVerdict judge_origin(
        const Request& request, const Evidence& evidence, const GuardContext& context) const;
    GuardVerdict judge_token(const Request& request, const Evidence& evidence) const;

    const Guard& guard_;
    std::string token_;
    std::string session_;
    std::string last_host_;         ///< the Host that passed last: nearly always the next one, too
    bool last_was_exposed_ = false; ///< ... and by which rule
};

/// Why a server that needs a token has none.
Error no_secrets();
/// True for the query parameter that carries the token, however its name is encoded.
bool is_token_parameter(std::string_view pair);
/// The target without the value of its token parameter, for logs.
std::string redact_token(std::string_view target);
/// Equal, in a time that depends on the sizes only.
bool equals_in_constant_time(std::string_view a, std::string_view b) noexcept;

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/server/handler.hpp

// What users and extensions give to the server: functions that answer, and hooks around them. All
// of it runs on the thread that ticks, and nowhere else.

PORTHOLE_NAMESPACE_BEGIN

/// Answers a request. May touch the program's state without a lock, add and remove routes, its own
/// included, and stop or destroy the server. An exception that leaves it becomes a 500.
using Handler = std::function<void(const Request&, Response&)>;

/// What a before hook decides.
enum class Next : unsigned char {
    go_on, ///< to the next hook, and in the end to the handler
    stop,  ///< send the answer as the hook left it; 403 when the hook left it untouched
};
using BeforeHook = std::function<Next(const Request&, Response&)>;
/// Sees each answer before it is sent, and may still change it.
using AfterHook = std::function<void(const Request&, Response&)>;

PORTHOLE_NAMESPACE_END

// porthole/server/reply.hpp

// Answers that come later, from a later frame or from another thread, and the mailbox through which
// other threads reach the one that ticks. It is the only part of the library with a lock in it.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

class ReplyOwner;

} // namespace detail

/// The right to answer one request, later. Cheap to copy; all copies are the same right, and the
/// last one that goes away without having been used sends 500. May be used from any thread, by one
/// thread at a time, and may outlive the server.
class Reply {
public:
    /// A reply that answers nothing.
    Reply() = default;
    explicit Reply(std::shared_ptr<detail::ReplyOwner> owner) noexcept;

    /// As Response's; before the call that sends.
    Reply& status(int code);
    Reply& header(std::string_view name, std::string_view value);
    Reply& add_header(std::string_view name, std::string_view value);
    Reply& cookie(std::string_view name, std::string_view value, const CookieOptions& options = {});

    /// These send, once; a second one is misuse and does nothing. The answer leaves within the next
    /// tick.
    void send(std::string_view type, std::string_view bytes);
    template <class Bytes, std::enable_if_t<detail::is_byte_container<Bytes>, int> = 0>
    void send(std::string_view type, const Bytes& bytes) {
        send(type, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    }
    void send(std::string_view type, std::unique_ptr<BodySource> source);
    void text(std::string_view bytes);
    void html(std::string_view bytes);
    void json(std::string_view bytes);
    void redirect(std::string_view location, int code = 302);
    void no_content();
    /// As Response::fail(): forgets what was set.
    void fail(int code, std::string_view sentence);
    /// Answers as a GET of `target`, a path of this server with perhaps a query, would be answered:
    /// hooks, routes and handlers see the same request with that target, and HEAD stays HEAD. The
    /// guard has let it in before. At most eight in a row, then 500. Ticking thread or not, it runs
    /// inside tick().
    void rewrite(std::string_view target);
    /// Sends what status() and header() have set, without content.
    void finish();

    /// True when the client has gone (closed its sending side at least) or the server has: the
    /// answer will probably reach nobody. Any thread.
    bool peer_gone() const noexcept;
    /// True when it has been sent, by any copy, or answers nothing.
    bool is_finished() const noexcept;

private:
    template <class Fill>
    void finish_with(const Fill& fill);

    std::shared_ptr<detail::ReplyOwner> owner_;
};

PORTHOLE_NAMESPACE_END

// porthole/server/body_sink.hpp

// Content that is taken as it comes, instead of being collected: uploads, CGI programs, proxies. A
// route is asked at the request's head where the content goes, and may refuse it before a byte of
// it has been read. What its sink cannot take yet stays in the client's socket: that is the
// back-pressure.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

class Connection;

/// What takes the content and answers.
struct BodyFunctions {
    std::function<void(std::string_view)> on_data;
    Handler on_end;
    std::function<void()> on_abort;
};

/// What stands behind the copies of one BodySink, and what its connection asks.
struct BodyIntake : BodyFunctions {
    /// An extension's: called before the first byte, and may still refuse the content.
    std::function<void(const Request&)> on_head;
    /// An extension's, when its own functions stand before those that the program sets on the same
    /// sink: those go here, and it calls them.
    std::shared_ptr<BodyFunctions> program;
    std::uint64_t max_bytes = UINT64_MAX;
    int refusal = 0; ///< the status of the answer, when it takes no more
    std::string refusal_sentence;
    bool is_paused = false;
    bool is_over = false;
    Connection* connection = nullptr; ///< while content is coming in

    /// Calls on_abort, once, and forgets the program's functions and all that they hold.
    void abort() noexcept;
    void forget() noexcept;
};

} // namespace detail

/// Steers the content that a BodySink takes. Cheap to copy; does nothing once the content has
/// ended. Ticking thread only.
class BodyFlow {
public:
    BodyFlow() = default;
    explicit BodyFlow(std::weak_ptr<detail::BodyIntake> intake) noexcept
        : intake_(std::move(intake)) {}

    /// No on_data() until resume(): the socket is not read. The deadlines for the content wait,
    /// too. on_end() may still follow what was the last piece.
    void pause();
    void resume();
    /// Takes no more: the request is answered with `status` at once, the connection ends behind
    /// it, and on_abort() is called.
    void refuse(int status, std::string_view sentence = {});
    /// The answer need not wait for the end of the content: what the Reply is given leaves at once,
    /// while the rest still comes in. on_end() is then called, too, and what it sets is not sent.
    /// When the answer ends before the content, so does the connection. Call it once.
    Reply defer();
    /// True when no content comes any more: it has ended, was refused, or the client has gone.
    bool is_over() const noexcept;

private:
    std::weak_ptr<detail::BodyIntake> intake_;
};

/// Where a request's content goes. One without functions drops what comes and answers 204. Exactly
/// one of on_end() and on_abort() is called. All functions run inside tick(); an exception that
/// leaves one of them makes the answer a 500.
class BodySink {
public:
    BodySink();

    /// The request goes no further: that status, 400 to 599, and a sentence for the page. The
    /// content is not read, and a client that waits with `Expect: 100-continue` never sends it.
    static BodySink refuse(int status, std::string_view sentence = {});

    /// Gets the pieces in their order, without the transfer coding; each is valid for the call.
    BodySink& on_data(std::function<void(std::string_view piece)> take) &;
    BodySink&& on_data(std::function<void(std::string_view piece)> take) &&;
    /// Answers, when all of the content has come; request.body() is empty.
    BodySink& on_end(Handler answer) &;
    BodySink&& on_end(Handler answer) &&;
    /// The content will not be complete: the client has gone or was too slow, it broke a rule or a
    /// limit, or the program itself has refused the rest.
    BodySink& on_abort(std::function<void()> give_up) &;
    BodySink&& on_abort(std::function<void()> give_up) &&;
    /// More is 413, at the head when the length is announced. Can only lower the route's own bound,
    /// or Limits::max_streamed_body_bytes.
    BodySink& max_bytes(std::uint64_t bytes) &;
    BodySink&& max_bytes(std::uint64_t bytes) &&;

    /// To be captured by the functions above.
    BodyFlow flow() const noexcept { return BodyFlow(intake_); }
    const std::shared_ptr<detail::BodyIntake>& intake() const noexcept { return intake_; }

private:
    detail::BodyFunctions& functions() noexcept {
        return intake_->program ? *intake_->program : *intake_;
    }

    std::shared_ptr<detail::BodyIntake> intake_;
};

/// Called at the head of a request, whose content is still to come: decides where it goes.
using StreamHandler = std::function<BodySink(const Request&)>;

PORTHOLE_NAMESPACE_END

// porthole/server/mount.hpp

// A module that answers everything below a prefix: files, CGI, a proxy, a user's own.

PORTHOLE_NAMESPACE_BEGIN

/// Owned by the server; destroyed by Server::unmount() or with the server. Ticking thread only.
class Mount {
public:
    virtual ~Mount() = default;
    /// Called once by Server::mount(), which hands an error on to its caller and drops the mount.
    virtual Error attach(Server& server) {
        static_cast<void>(server);
        return {};
    }
    /// Any method; Request::mount_path() is the path below the prefix.
    virtual void handle(const Request& request, Response& response) = 0;
    /// True for a mount that takes the content of requests as it comes: those that have content
    /// are then given to receive() instead of handle().
    virtual bool takes_streams() const noexcept { return false; }
    /// Called at the head of a request with content, behind the before hooks: where does it go? An
    /// answer that is given here is sent without reading it. One that is deferred may come at any
    /// time, as with BodyFlow::defer(); else the sink's on_end() answers.
    virtual BodySink receive(const Request& request, Response& response) {
        static_cast<void>(request);
        static_cast<void>(response);
        return {};
    }
};

PORTHOLE_NAMESPACE_END

// porthole/server/stream.hpp

// An answer that is written piece by piece, now or in later frames. The queue between the program
// and the client is bounded: a client that is slower than the program makes write() take less, and
// on_writable() tells when to go on.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// What the program's copies of a Stream share with the connection's end of it.
struct StreamState {
    StreamState(std::size_t high_mark, std::size_t low_mark, std::optional<std::uint64_t> whole)
        : queue(high_mark), low_mark_bytes(low_mark), size(whole) {}

    Buffer queue;
    std::size_t low_mark_bytes;
    std::optional<std::uint64_t> size;
    std::string trailer; ///< complete lines
    std::function<void()> waker;
    std::function<void()> on_writable;
    std::function<void()> on_abort;
    bool was_short = false;   ///< write() has taken less than it was given
    bool is_finished = false; ///< by the program
    bool is_broken = false;   ///< by the program, before the end
    bool is_over = false;     ///< nothing is taken any more

    void wake();
    /// The connection's end is gone.
    void end(bool is_complete) noexcept;
};

/// The connection's end.
class StreamSource final : public BodySource {
public:
    explicit StreamSource(std::shared_ptr<StreamState> state) noexcept : state_(std::move(state)) {}
    ~StreamSource() override;
    std::optional<std::uint64_t> size() const override { return state_->size; }
    Piece pull(char* into, std::size_t capacity) override;
    void set_waker(std::function<void()> waker) override { state_->waker = std::move(waker); }
    std::string_view trailer() const override { return state_->trailer; }

private:
    std::shared_ptr<StreamState> state_;
    std::uint64_t sent_ = 0;
};

} // namespace detail

/// An answer under way. Cheap to copy; all copies are the same stream, and the last one that goes
/// away unfinished breaks the answer off. Ticking thread only; may outlive the server.
class Stream {
public:
    /// A stream that leads nowhere.
    Stream() = default;
    explicit Stream(std::shared_ptr<detail::StreamState> state);

    /// Queues bytes and returns how many were taken: fewer than given when the queue has reached
    /// its high mark; 0 when the client has gone. They leave within this tick, or the next.
    std::size_t write(std::string_view bytes);
    /// The same, but all or nothing.
    bool write_whole(std::string_view bytes);
    /// Called when the queue has fallen to the low mark after a write that was not taken whole.
    void on_writable(std::function<void()> go_on);
    /// Called once when the client has gone, or wants no content (HEAD), before finish(): all that
    /// the functions hold is freed behind it.
    void on_abort(std::function<void()> give_up);
    /// A field behind the content (RFC 9110 section 6.5), before finish(). Reaches clients that are
    /// sent the chunked coding, HTTP/1.1 without StreamOptions::size; others do not see it.
    /// Framing, routing and authentication fields are refused.
    void trailer(std::string_view name, std::string_view value);
    /// That was all.
    void finish();
    /// Breaks the answer off: the client sees that it is not whole.
    void abort();

    std::size_t queued_bytes() const noexcept;
    /// What write() would take now.
    std::size_t room() const noexcept;
    /// False when the client has gone, and after finish() and abort().
    bool is_open() const noexcept;

private:
    struct Owner;
    std::shared_ptr<detail::StreamState> state_;
    std::shared_ptr<Owner> owner_; ///< breaks the stream off with the last copy
};

PORTHOLE_NAMESPACE_END

// porthole/server/task_poster.hpp

// How other threads hand work to the thread that ticks without having to know whether the server
// still exists.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

class Mailbox;

} // namespace detail

/// Posts tasks to one server. Cheap to copy; any thread; may outlive the server, and then drops
/// what it is given.
class TaskPoster {
public:
    TaskPoster() = default;
    explicit TaskPoster(std::shared_ptr<detail::Mailbox> mailbox) noexcept;

    /// Runs `task` inside the next tick and wakes a waiting server.
    void post(std::function<void()> task) const;
    /// The same server?
    friend bool operator==(const TaskPoster& a, const TaskPoster& b) noexcept {
        return a.mailbox_ == b.mailbox_;
    }
    friend bool operator!=(const TaskPoster& a, const TaskPoster& b) noexcept { return !(a == b); }

private:
    std::shared_ptr<detail::Mailbox> mailbox_;
};

PORTHOLE_NAMESPACE_END

// porthole/server/timer.hpp

// Deadlines for extensions and programs: a function that is called inside a later tick.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

class TimerEntry;

} // namespace detail

/// A call that is still to come. Cancelled when it is destroyed. May outlive the server. Ticking
/// thread only.
class [[nodiscard]] TimerHandle {
public:
    TimerHandle() = default;
    explicit TimerHandle(std::shared_ptr<detail::TimerEntry> entry) noexcept;
    TimerHandle(TimerHandle&& other) noexcept = default;
    TimerHandle& operator=(TimerHandle&& other) noexcept;
    ~TimerHandle() { cancel(); }

    /// Also from inside the call.
    void cancel() noexcept;
    /// True until it has been called or cancelled.
    bool is_pending() const noexcept;

private:
    std::shared_ptr<detail::TimerEntry> entry_;
};

PORTHOLE_NAMESPACE_END

// porthole/server/event_stream.hpp

// Server-Sent Events to one client. Many clients that see the same data are what Channel is for.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

struct EventStreamState;

} // namespace detail

/// A client that listens. Cheap to copy; all copies are the same stream, which ends with the last
/// one. Ticking thread only.
class EventStream {
public:
    /// Proxies close what is silent for about this long; a comment keeps them from it.
    static constexpr std::chrono::seconds heartbeat{15};

    EventStream() = default;
    explicit EventStream(std::shared_ptr<detail::EventStreamState> state) noexcept
        : state_(std::move(state)) {}

    /// All or nothing: false when the client is too slow and Limits::max_queue_bytes would be
    /// passed, or has gone.
    bool send(const ServerSentEvent& event);
    /// An event of the default type.
    bool send(std::string_view data) {
        ServerSentEvent event;
        event.data = data;
        return send(event);
    }
    bool comment(std::string_view text);
    /// Called once when the client has gone.
    void on_close(std::function<void()> gone);
    /// After this the browser connects again; a 204 for that request stops it.
    void close();
    std::size_t queued_bytes() const noexcept;
    bool is_open() const noexcept;

private:
    std::shared_ptr<detail::EventStreamState> state_;
};

PORTHOLE_NAMESPACE_END

// porthole/server/upgrade.hpp

// What owns a connection after 101 Switching Protocols: the seam that WebSocket is built on.

PORTHOLE_NAMESPACE_BEGIN

/// The owner's side of the connection. Valid from on_open() until on_close() returns; ticking
/// thread only.
class UpgradeLink {
public:
    /// Queues bytes; they leave within this tick when the peer takes them, and cost the connection
    /// no memory when that is at once and they are sent from inside one of the owner's own
    /// callbacks. False, and nothing is queued, when Limits::max_queue_bytes would be passed or the
    /// connection is closing.
    virtual bool send(std::string_view bytes) = 0;
    /// What the peer has not taken yet.
    virtual std::size_t queued_bytes() const noexcept = 0;
    /// Stops and resumes on_data(): back-pressure to the peer.
    virtual void pause_reading(bool is_paused) = 0;
    /// Closes once all that is queued has left, within Limits::write_stall_timeout.
    virtual void close() = 0;
    /// Closes at once.
    virtual void abort() = 0;
    /// on_deadline() is called when it passes; never means never.
    virtual void set_deadline(TimePoint deadline) = 0;
    /// Asks for on_wake(), in a turn of the connection's own: work that concerns many connections
    /// is so cut into units of the budget.
    virtual void wake() = 0;
    /// The server's time, which stands still while the program does.
    virtual TimePoint now() const noexcept = 0;
    virtual std::string_view peer() const noexcept = 0;

protected:
    ~UpgradeLink() = default;
};

/// A protocol that takes a connection over. The connection shares its ownership; all calls come
/// from inside tick().
class Upgrade {
public:
    virtual ~Upgrade() = default;
    /// Once, behind the 101.
    virtual void on_open(UpgradeLink& link) = 0;
    /// Bytes of the peer, valid for the call; all of them count as taken. The owner may change them
    /// in place.
    virtual void on_data(char* bytes, std::size_t size) = 0;
    /// The queue has become empty after it had not been.
    virtual void on_drain() {}
    virtual void on_deadline() {}
    /// UpgradeLink::wake() was called; several calls may become one.
    virtual void on_wake() {}
    /// The server stops: say goodbye and UpgradeLink::close(), within Limits::stop_grace. Without
    /// this the link is closed at once.
    virtual void on_stop(UpgradeLink& link) { link.close(); }
    /// The peer has finished sending. The connection stays open for sending until the owner closes
    /// it.
    virtual void on_end() = 0;
    /// Once, whatever happened; the link is gone when it returns.
    virtual void on_close() = 0;
};

PORTHOLE_NAMESPACE_END

// porthole/server/watch.hpp

// The seam for extensions with descriptors of their own (pipes of a CGI program, a proxy's
// sockets): the server watches them together with its connections and calls back inside tick().

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

class WatchEntry;

} // namespace detail

/// Called inside tick() with what is ready. One call is one unit of the budget: it must not block,
/// and should move a bounded amount.
using WatchCallback = std::function<void(Readiness)>;

/// A watched descriptor. Stops watching when it is destroyed, which must happen before the
/// descriptor is closed; the descriptor itself is not owned. May outlive the server. Ticking thread
/// only.
class WatchHandle {
public:
    WatchHandle() = default;
    explicit WatchHandle(std::shared_ptr<detail::WatchEntry> entry) noexcept;
    WatchHandle(WatchHandle&& other) noexcept = default;
    WatchHandle& operator=(WatchHandle&& other) noexcept;
    ~WatchHandle() { stop(); }

    bool is_watching() const noexcept { return entry_ != nullptr; }
    void set_interest(Interest interest);
    /// Also from inside the callback.
    void stop() noexcept;

private:
    std::shared_ptr<detail::WatchEntry> entry_;
};

PORTHOLE_NAMESPACE_END

// porthole/server/access_record.hpp

// One answered request, as plain facts, for whoever keeps a log of them.

PORTHOLE_NAMESPACE_BEGIN

/// What happened to one request. The views are valid during the call.
struct AccessRecord {
    std::chrono::system_clock::time_point time; ///< when its answer had been sent
    std::string_view peer;                      ///< "127.0.0.1:51234"
    std::string_view method;                    ///< empty when the request could not be read
    std::string_view target;                    ///< the value of a token parameter is blotted out
    std::string_view http_version;
    int status = 0;
    std::uint64_t content_bytes = 0; ///< of the answer, handed to the transport
    bool is_complete = true;         ///< false: the connection ended within the answer
    /// From the end of the request's head to the last byte of the answer.
    std::chrono::nanoseconds duration{0};
    std::chrono::nanoseconds handler_time{0}; ///< in the user's functions
    bool is_over_budget = false;              ///< they alone used up what was left of the tick
};

/// Called once for each answer, inside tick(). Must not call back into the server.
using AccessLog = std::function<void(const AccessRecord&)>;

PORTHOLE_NAMESPACE_END

// porthole/server/server.hpp

// The server as its user sees it: routes, listeners, and the calls that pump it.
//
// tick(budget) does, in this order, until nothing moves any more or the budget is spent:
//   1. tasks that post() left, and answers that replies have finished;
//   2. one poll for ready descriptors, without waiting;
//   3. each that is ready, in turn, beginning with those the last tick left over: a listener
//   accepts a
//      few; a connection reads a bounded piece, parses, routes, calls handlers, and writes a
//      bounded piece; a watched descriptor's callback is called;
//   4. deadlines that have passed.
// The clock is looked at between these units, and the rest waits for the next tick. A tick with
// nothing to do is one system call, whatever the number of idle connections, and allocates nothing.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

class Router;
class ServerCore;
struct RouteScope;

/// Called by Server's constructor, so that a program without the implementation fails to link with
/// a message that says what to do.
void define_PORTHOLE_IMPLEMENTATION_in_exactly_one_source_file();

} // namespace detail

/// How a server behaves. Everything has a default that is safe on a developer's machine.
struct Options {
    Limits limits;
    /// Which requests are let in at all.
    Guard guard;
    /// Where the time comes from; null is the machine's clock. Must outlive the server.
    Clock* clock = nullptr;
    /// Where events go; none by default.
    LogSink log;
    /// Told of each answer; none by default. ext/access_log writes it as a line.
    AccessLog access_log;
    /// The Server field of each answer; empty: none is sent.
    std::string server_name;
    PollerKind poller = PollerKind::automatic;
};

/// What one tick did.
struct TickReport {
    std::uint32_t requests = 0;  ///< whose handling began
    std::uint32_t responses = 0; ///< handed to the transport, or queued behind it
    std::uint64_t bytes_in = 0;
    std::uint64_t bytes_out = 0;
    std::chrono::nanoseconds elapsed{0};
    std::chrono::nanoseconds handler_time{0}; ///< the part of elapsed spent in the user's functions
    bool more = false;                        ///< work was left for the next tick
};

/// What a server did since it was made.
struct Stats {
    std::uint64_t ticks = 0;
    std::uint64_t requests = 0;
    std::uint64_t responses = 0;
    std::uint64_t bytes_in = 0;
    std::uint64_t bytes_out = 0;
    std::uint64_t accepted = 0;        ///< connections
    std::uint64_t refused = 0;         ///< connections that got 503, or made room, at the cap
    std::uint64_t timeouts = 0;        ///< connections that a deadline has cut
    std::uint64_t accept_backoffs = 0; ///< pauses because no descriptor was left
    std::size_t connections = 0;       ///< open now
    std::chrono::nanoseconds handler_time{0};
    Histogram tick_times;    ///< ticks that did something, the user's functions included
    Histogram library_times; ///< the same without the user's functions
};

/// A route that was added. A handle that goes away leaves its route; one that outlives the server
/// does nothing.
class RouteHandle {
public:
    RouteHandle() = default;
    RouteHandle(std::weak_ptr<detail::Router> router, std::uint32_t id) noexcept
        : router_(std::move(router)), id_(id) {}

    /// Takes the route out and destroys its handler: at once, or, when it is running, as soon as it
    /// returns.
    void remove();
    /// This route's own Limits::max_body_bytes, or max_streamed_body_bytes.
    RouteHandle& max_body_bytes(std::uint64_t bytes);
    /// False for a pattern that could not be parsed, and after remove().
    bool is_valid() const noexcept;

private:
    std::weak_ptr<detail::Router> router_;
    std::uint32_t id_ = 0;
};

/// Routes below a prefix that share hooks and limits. Cheap to copy; valid as long as the server.
///
/// Patterns begin with '/'. A segment ":name" matches one segment that is not empty, a last segment
/// "*" or
/// "*name" the rest of the path. A literal beats a parameter, which beats a wildcard, in whatever
/// order they were added; the newest of two equal routes wins. HEAD is answered by GET's handler,
/// OPTIONS and 405 with Allow come by themselves.
class Group {
public:
    RouteHandle get(std::string_view pattern, Handler handler);
    RouteHandle post(std::string_view pattern, Handler handler);
    RouteHandle put(std::string_view pattern, Handler handler);
    RouteHandle patch(std::string_view pattern, Handler handler);
    RouteHandle del(std::string_view pattern, Handler handler);
    RouteHandle route(std::string_view method_name, std::string_view pattern, Handler handler);

    /// Routes that take their content as it comes, and decide at the head whether they want it.
    RouteHandle post_stream(std::string_view pattern, StreamHandler handler);
    RouteHandle put_stream(std::string_view pattern, StreamHandler handler);
    RouteHandle patch_stream(std::string_view pattern, StreamHandler handler);
    RouteHandle
    route_stream(std::string_view method_name, std::string_view pattern, StreamHandler handler);

    /// Gives everything below `prefix`, and `prefix` itself, to `mount`. Routes beat mounts; a
    /// longer prefix beats a shorter one.
    Error mount(std::string_view prefix, std::unique_ptr<Mount> mount);
    /// A handler as a mount.
    Error mount(std::string_view prefix, Handler handler);
    /// True when there was such a mount.
    bool unmount(std::string_view prefix);

    /// A group within this one.
    Group group(std::string_view prefix);
    /// Runs before the handlers of this group and the groups within, in the order added, outer
    /// groups first. The server's own also run for requests that match no route.
    void before(BeforeHook hook);
    /// Runs behind the handlers of this group, in the order added, inner groups first. The server's
    /// own see every answer, the library's error pages included.
    void after(AfterHook hook);
    /// Limits::max_body_bytes, and max_streamed_body_bytes, for the routes of this group.
    Group& max_body_bytes(std::uint64_t bytes);
    /// Removes all routes, mounts and hooks of this group and the groups within: hot reload.
    void clear();

protected:
    friend class Server;
    Group(detail::ServerCore* core, detail::RouteScope* scope) noexcept
        : core_(core), scope_(scope) {}

    detail::ServerCore* core_;
    detail::RouteScope* scope_;
};

/// An HTTP/1.1 server without a thread of its own. All calls but stop() and post() belong to one
/// thread: the one that ticks.
class Server : public Group {
public:
    explicit Server(Options options = {}) : Server(make_core(std::move(options))) {
        detail::define_PORTHOLE_IMPLEMENTATION_in_exactly_one_source_file();
    }
    /// Closes everything at once, after one attempt to send what is complete. Never blocks. Also
    /// legal inside a handler, whose answer is then not sent.
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    /// Listens on every address of `host` on that port; port 0 takes a free one, the same for all.
    /// May be called several times. All or nothing: an error names the call, the endpoint and the
    /// remedy, and leaves earlier listeners alone. Blocks only for names that the system has to
    /// look up.
    Error listen(std::string_view host, std::uint16_t port, const ListenOptions& options = {});
    /// On localhost.
    Error listen(std::uint16_t port, const ListenOptions& options = {});
    /// On a unix socket with those permissions. A socket file that nobody answers on is replaced.
    Error listen_unix(std::string_view path, unsigned mode = 0600);
    /// Takes a connection that was made elsewhere: the in-memory transport, an inherited socket,
    /// TLS.
    Error adopt(std::unique_ptr<Transport> transport, std::string_view peer);

    /// Routes for requests to that host only: "tools.localhost", or "*.localhost" for all below.
    /// Others fall through to the routes for any host.
    Group host(std::string_view name);
    /// Makes the page for every error that the library answers, and for answers from 400 on that
    /// have no content. response.status() tells which. A request that could not be parsed shows no
    /// method. Like an after hook it answers at once: defer() is for handlers.
    void on_error(Handler page);

    /// Serves for at most `budget`; never blocks.
    TickReport tick(std::chrono::microseconds budget = std::chrono::milliseconds(1));
    /// Serves and sleeps in turn until `deadline`: instead of sleeping away the rest of a frame.
    TickReport tick_until(TimePoint deadline);
    /// Sleeps until something is ready, `timeout` at the most, and serves what is.
    TickReport wait(std::chrono::milliseconds timeout);
    /// Serves until stop(). Returns at once when nothing listens.
    void run();
    /// Stops listening, closes idle connections, lets complete answers leave within
    /// Limits::stop_grace, and ends run(). Any thread, any state; several calls are one. listen()
    /// starts anew.
    void stop() noexcept;
    /// False from stop() on, until it listens again.
    bool is_running() const noexcept;

    using Group::post;
    /// Runs `task` inside the next tick and wakes a waiting server. Any thread.
    void post(std::function<void()> task);
    /// What posts to this server, for threads and objects that may outlive it. Any thread.
    TaskPoster poster() const;
    /// Calls `task` inside a tick once `delay` has passed, in the server's time, which stands still
    /// while the program does: never early, and late by less than 128 ms when it is ticked that
    /// often. Timers of about the same time are called in no particular order.
    TimerHandle call_after(Duration delay, std::function<void()> task);
    /// Watches a descriptor and calls back inside tick().
    Error watch(NativeHandle handle, Interest interest, WatchCallback callback, WatchHandle& watch);

    /// One descriptor that is readable when tick() has something to do, or invalid_handle with
    /// pollers that have none: then use for_each_pollfd().
    NativeHandle native_handle() const noexcept;
    /// Calls `visit` with each descriptor that the server waits for.
    void for_each_pollfd(const std::function<void(NativeHandle, Interest)>& visit) const;
    /// tick() at the latest then; never when nothing is pending.
    TimePoint next_deadline() const noexcept;

    /// Where it listens.
    std::vector<Endpoint> endpoints() const;
    /// The port of the first listener that has one, else 0.
    std::uint16_t port() const noexcept;
    /// Addresses to type into a browser: "http://localhost:8080/", and each interface's when
    /// exposed; with the token where one is asked for.
    std::vector<std::string> urls() const;
    /// What opens listeners that ask for a token: `Authorization: Bearer <token>`, or once
    /// `?token=` in a browser. Empty when the system has no random bytes to give.
    std::string token() const;
    Stats stats() const;
    const Options& options() const noexcept;

private:
    explicit Server(detail::ServerCore* core) noexcept;
    static detail::ServerCore* make_core(Options options);
};

PORTHOLE_NAMESPACE_END

// ext: what stands alone on top

// porthole/ext/access_log.hpp

// Lines for an access log. Set Options::access_log to a function that writes them where they
// belong:
//
//     options.access_log = [&](const porthole::AccessRecord& record) {
//         line.clear();
//         porthole::write_common_log(record, line);
//         std::fputs(line.c_str(), file);
//     };

PORTHOLE_NAMESPACE_BEGIN

/// Appends one line in the Common Log Format, with its line end:
/// `127.0.0.1 - - [06/Nov/1994:08:49:37 +0000] "GET / HTTP/1.1" 200 26`. Quotes, backslashes,
/// control characters and bytes beyond ASCII in what the peer has sent are written as a backslash,
/// x and two digits, so that no request can forge a line.
void write_common_log(const AccessRecord& record, std::string& into);

/// Appends `text` with those bytes escaped.
void escape_for_log(std::string_view text, std::string& into);

PORTHOLE_NAMESPACE_END

// porthole/ext/asset.hpp

// What the build writes for each file that it bakes into a program. Generated sources include
// nothing else of the library, so that a folder of a thousand files compiles in seconds; hence the
// plain pointers. All of it is constant data: nothing runs before main() to set it up.

PORTHOLE_NAMESPACE_BEGIN

/// Bytes that live as long as the program.
struct AssetBytes {
    const void* data = nullptr; ///< null when there are none
    std::size_t size = 0;
};

/// For how long a browser may keep a file.
enum class AssetCaching : unsigned char {
    by_name,    ///< for ever when its name holds a hash of its content, else as revalidate
    revalidate, ///< `no-cache`: it asks each time, and mostly hears that nothing has changed
    immutable,  ///< for ever: the name changes with the content
};

/// One file. Strings end with a zero byte.
struct Asset {
    const char* path;       ///< below the mount, decoded, beginning with '/'
    const char* media_type; ///< null: by the path's extension, see media_type_of()
    const char* etag;       ///< an opaque-tag without its quotes: a part of the content's SHA-256
    AssetBytes plain;
    AssetBytes gzip;   ///< the same content with `Content-Encoding: gzip`
    AssetBytes brotli; ///< ... with `Content-Encoding: br`
    AssetCaching caching;
};

/// All files of one folder.
struct AssetTable {
    const Asset* const* assets; ///< sorted by path, as bytes
    std::size_t size;
    /// The path of the asset that answers where there is none, for programs in the browser that
    /// make up their own paths; null: 404.
    const char* fallback;
    /// The folder itself, for development: files are read from there as long as it exists. Null:
    /// the baked bytes are served.
    const char* directory;
};

PORTHOLE_NAMESPACE_END

// porthole/ext/assets.hpp

// Files that the build has baked into the program, with porthole_embed_assets() for CMake or
// tools/embed_assets.py; docs/assets.md tells how. The generated header gives
//
//     server.mount("/", app_assets::bundle());
//
// Conditional requests, ranges and compressed copies; every byte is sent from where it lies in the
// program. In development builds the same line reads the folder instead, and browsers reload their
// page when a file in it has changed.

PORTHOLE_NAMESPACE_BEGIN

/// Serves a table, which the generated bundle() hands over; it must live as long as the server.
/// With AssetTable::directory the files are read from that folder when it can be opened.
std::unique_ptr<Mount> assets(const AssetTable& table);

namespace detail {

/// Content that lies in constant memory, or parts of it with text in front of each.
class MemorySource final : public BodySource {
public:
    struct Part {
        std::string text;
        std::string_view bytes;
    };
    explicit MemorySource(std::string_view bytes) { parts_.push_back({{}, bytes}); }
    explicit MemorySource(std::vector<Part> parts) noexcept : parts_(std::move(parts)) {}

    std::optional<std::uint64_t> size() const override;
    std::optional<std::string_view> whole() const override;
    Piece pull(char* into, std::size_t capacity) override;

private:
    std::vector<Part> parts_;
    std::size_t at_ = 0;   ///< the part that is being sent
    std::size_t sent_ = 0; ///< of its text and bytes together
};

/// Serves the baked bytes.
class AssetBundle final : public Mount {
public:
    explicit AssetBundle(const AssetTable& table) noexcept;
    Error attach(Server& server) override;
    void handle(const Request& request, Response& response) override;

private:
    const Asset* find(std::string_view path) const noexcept;
    bool redirect_to_directory(const Request& request, Response& response) const;
    void send(const Asset& asset, const Request& request, Response& response) const;
    void
    send_parts(const Asset& asset, const std::vector<ByteRange>& ranges, Response& response) const;

    AssetTable table_;
};

/// Serves the folder that a table was made from, through files(), and tells pages to reload.
class DiskAssets final : public Mount {
public:
    explicit DiskAssets(const AssetTable& table);
    ~DiskAssets() override;
    Error attach(Server& server) override;
    void handle(const Request& request, Response& response) override;

private:
    struct Watch;
    void add_script(const Request& request, Response& response) const;

    AssetTable table_;
    std::unique_ptr<Mount> files_;
    AssetBundle baked_;
    std::unique_ptr<Watch> watch_; ///< null when the folder is not there: baked_ answers
};

/// The path of a request for use in a Location or a page: encoded, and never of another origin.
std::string encode_request_path(std::string_view path);

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/ext/channel.hpp

// What a program shows while it runs: values under keys, published from any thread and read by any
// number of browsers, each at its own pace.
//
//     porthole::Channel channel;
//     server.get("/live", porthole::events(channel));      // new EventSource("/live")
//     channel.publish("frame", R"({"fps":60})");           // addEventListener("frame", ...)
//
// A value is kept once, encoded once, and shared by all who are sent it. A slow subscriber delays
// nobody: what it missed of a key is left out, and it goes on with the newest.

PORTHOLE_NAMESPACE_BEGIN

/// How a channel keeps what is published.
struct ChannelOptions {
    enum class Keep : unsigned char {
        newest, ///< one value for each key: what a newer one replaces, nobody waits for
        all,    ///< every value, until max_values or max_total_bytes push the oldest out
    };
    Keep keep = Keep::newest;
    /// A new subscriber is first sent what is kept; else only what is published from then on.
    bool has_snapshot = true;
    /// With Keep::newest; a key more is refused.
    std::size_t max_keys = 1024;
    /// Longer keys are refused; so are keys with control characters.
    std::size_t max_key_bytes = 256;
    std::size_t max_value_bytes = std::size_t{1024} * 1024;
    /// All that is kept, keys included.
    std::size_t max_total_bytes = std::size_t{16} * 1024 * 1024;
    /// With Keep::all.
    std::size_t max_values = 1024;
    /// That one subscriber may name; more is answered by 400.
    std::size_t max_topics = 32;
    /// Subscribers that were sent nothing for this long get a comment, which keeps proxies from
    /// closing the connection; zero: never.
    std::chrono::milliseconds heartbeat{15'000};
    /// How long browsers wait before they connect again.
    std::optional<std::chrono::milliseconds> retry;
};

namespace detail {

class ChannelState;
struct ChannelOwner;

} // namespace detail

/// A handle: cheap to copy, all copies are the same channel, which is closed with the last one; a
/// route holds one. Servers may be several, each on its own thread, and may come and go before and
/// after it.
class Channel {
public:
    Channel() : Channel(ChannelOptions()) {}
    explicit Channel(const ChannelOptions& options);
    Channel(const Channel&) = default;
    Channel& operator=(const Channel&) = default;
    ~Channel() = default;

    /// Any thread. Keeps a copy and tells those who wait for one. False, and nothing has changed,
    /// when one of the ChannelOptions' bounds is passed or the channel is closed. The key becomes
    /// the event's type; with an empty key that is "message".
    bool publish(std::string_view key, std::string_view bytes);
    template <class Bytes, std::enable_if_t<detail::is_byte_container<Bytes>, int> = 0>
    bool publish(std::string_view key, const Bytes& bytes) {
        return publish(key, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    }
    /// Any thread. Newcomers are not sent it any more; who has it already is not told. True when
    /// there was one. With Keep::all it looks at every value.
    bool remove(std::string_view key);
    /// Any thread. Subscribers are sent what is still new to them, and then the end; those who come
    /// later get 204, which tells a browser to stop connecting.
    void close();

    /// Any thread.
    bool is_open() const;
    /// The newest value of that key. Any thread.
    std::optional<std::string> value(std::string_view key) const;
    /// How many listen now. Any thread.
    std::size_t subscribers() const noexcept;
    /// How many values slow subscribers missed because Keep::all had to let them go, those of
    /// topics that they did not ask for included. Any thread.
    std::uint64_t skipped() const noexcept;

    /// For what brings the values to subscribers in other ways.
    const std::shared_ptr<detail::ChannelState>& state() const noexcept;

private:
    std::shared_ptr<detail::ChannelOwner> owner_;
};

/// Sends a channel as Server-Sent Events, a route for GET: the key is the event's type. A client
/// chooses keys by topics, `?topic=a&topic=b`: a key belongs to a topic that it equals, or that it
/// begins with when a '/' follows. `topics`: these for everyone, whatever the query says. A browser
/// that connects again is sent what it has missed, as far as it is kept.
Handler events(Channel channel, std::vector<std::string> topics = {});

/// Which of a channel's values are shown as images.
struct ImageOptions {
    /// As in events(); none: the topics in the query, and without any, all keys.
    std::vector<std::string> topics;
};

/// Sends a channel as images that replace each other (multipart/x-mixed-replace), a route for GET
/// and the src of an <img>. `type` is that of each value: "image/jpeg". A slow client is sent the
/// newest image when it has taken the one before, and none of those in between.
Handler images(Channel channel, std::string_view type, ImageOptions options = {});

PORTHOLE_NAMESPACE_END

// porthole/ext/channel_websocket.hpp

// A channel over WebSockets, beside whatever else a program says on them:
//
//     server.get("/ws", porthole::websocket().on_open([channel](porthole::WebSocket& socket) {
//         porthole::subscribe(socket, channel);
//     }));
//
// Each socket is sent the next value when it has taken the one before, as with events().

// porthole/ext/websocket.hpp

// WebSocket (RFC 6455) as a handler: messages both ways between a program and its pages.
//
//     server.get("/ws", porthole::websocket()
//         .on_open([](porthole::WebSocket& socket) { socket.send_text("hi"); })
//         .on_message([](porthole::WebSocket& socket, const porthole::Message& message) {
//             socket.send(message);
//         })
//         .on_close([](porthole::WebSocket& socket, int code, std::string_view reason) { ... }));
//
// All functions run inside tick(), and may destroy the server. One that throws closes its
// connection with 1011.

// porthole/ext/websocket_session.hpp

// The protocol of one WebSocket connection (RFC 6455 sections 5 to 8), for both roles: bytes in,
// messages out, and the other way round. It knows no server: it talks to an UpgradeLink and to
// whoever takes its events. What it receives is unmasked and checked where it lies; only a message
// that did not come in one piece is collected.

// porthole/ext/websocket_deflate.hpp

// Compression of WebSocket messages (RFC 7692): what is agreed on in the handshake, which is pure
// text, and the seam behind which the compressor is. A message codec belongs to one connection and
// holds the state of both directions; make_server_codec() gives none when Porthole was built
// without zlib (PORTHOLE_WITH_ZLIB), and then the extension is never offered nor accepted.
//
// With the default preferences a connection that compresses holds 38 KiB for what it sends and 11
// KiB for what it receives (40 KiB from a client that does not let its window be limited), each
// from the first compressed message in that direction on, and neither before.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// Base-two logarithms of the LZ77 window (RFC 7692 section 7.1.2).
inline constexpr int min_window_bits = 8;
inline constexpr int max_window_bits = 15;

/// Shorter messages do not get smaller by compression; they are sent as they are.
inline constexpr std::size_t min_compressed_bytes = 64;

/// What both sides have agreed on, or what one of them wishes for (RFC 7692 section 7.1). Bits of
/// 15 are the same as none named.
struct DeflateParameters {
    bool server_no_context_takeover = false;
    bool client_no_context_takeover = false;
    int server_max_window_bits = max_window_bits;
    int client_max_window_bits = max_window_bits;
};

/// What a server asks for on its own: 4 KiB windows, because a program with a thousand dashboards
/// should not hold 300 MiB for them.
inline constexpr DeflateParameters server_preferences{false, false, 12, 12};

/// What the server makes of Sec-WebSocket-Extensions.
struct DeflateNegotiation {
    /// The field does not follow its grammar: the handshake fails (RFC 6455 section 9.1).
    bool is_malformed = false;
    /// The first offer that can be taken; nothing when there is none.
    std::optional<DeflateParameters> agreed;
    /// The answer's Sec-WebSocket-Extensions; empty when nothing was agreed.
    std::string answer;
};

/// Pure and independent of zlib: whoever cannot deflate ignores `agreed`.
DeflateNegotiation
negotiate_deflate(const Fields& fields, const DeflateParameters& wanted = server_preferences);

/// The client's Sec-WebSocket-Extensions for that wish.
std::string write_deflate_offer(const DeflateParameters& wanted);

/// What the server's answer means to the client that made that offer.
struct DeflateAnswer {
    /// An extension or a parameter that was not offered, or a malformed one: the client fails the
    /// connection (RFC 7692 section 7.1).
    bool is_refused = false;
    std::optional<DeflateParameters> agreed;
};
DeflateAnswer read_deflate_answer(const Fields& fields, const DeflateParameters& offered);

enum class InflateStatus : std::uint8_t {
    ok,
    too_large, ///< more than was allowed: 1009
    corrupt,   ///< no deflated data: 1007
    no_memory, ///< 1011
};

/// Compresses the messages that one connection sends, and expands those that it receives.
class MessageCodec {
public:
    virtual ~MessageCodec() = default;
    /// Appends the payload of a frame with RSV1 set. False when the message is to be sent as it
    /// is, because it is short or memory was refused; nothing has been appended then.
    virtual bool compress(std::string_view message, std::string& into) = 0;
    /// Appends what a piece of a compressed message stands for; `is_last` with the last piece,
    /// which may be empty. `into` never grows beyond `max_bytes`. After anything but ok the codec
    /// is of no more use.
    virtual InflateStatus
    expand(std::string_view piece, bool is_last, std::size_t max_bytes, std::string& into) = 0;
};

/// True when messages can be compressed in this build.
bool can_deflate() noexcept;
/// For the server's side of a connection, or for the client's. Null when can_deflate() is false.
std::unique_ptr<MessageCodec> make_server_codec(const DeflateParameters& agreed);
std::unique_ptr<MessageCodec> make_client_codec(const DeflateParameters& agreed);

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/ext/websocket_frame.hpp

// The frames of WebSocket (RFC 6455 section 5), as bytes: reading and writing their heads, and the
// mask. Pure functions, the same for both roles; what follows what, and who has to mask, is the
// session's business.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// RFC 6455 section 5.2. Everything else is reserved.
enum class Opcode : std::uint8_t {
    continuation = 0x0,
    text = 0x1,
    binary = 0x2,
    close = 0x8,
    ping = 0x9,
    pong = 0xa,
};

inline constexpr bool is_control(Opcode opcode) noexcept {
    return static_cast<unsigned>(opcode) >= 0x8;
}

/// RFC 6455 section 7.4.1.
namespace close_code {
inline constexpr int normal = 1000;
inline constexpr int going_away = 1001;
inline constexpr int protocol_violation = 1002;
inline constexpr int unsupported_data = 1003;
inline constexpr int no_code = 1005; ///< never sent
inline constexpr int dropped = 1006; ///< never sent
inline constexpr int invalid_data = 1007;
inline constexpr int policy_violation = 1008;
inline constexpr int too_large = 1009;
inline constexpr int internal_failure = 1011;
} // namespace close_code

/// Whether a Close frame may carry that code (RFC 6455 section 7.4, and what has been registered
/// since).
bool is_sendable_close_code(int code) noexcept;

using MaskKey = std::array<char, 4>;

struct FrameHead {
    Opcode opcode = Opcode::continuation;
    bool is_final = true;
    bool has_rsv1 = false; ///< a compressed message (RFC 7692 section 6)
    bool is_masked = false;
    MaskKey key{};
    std::uint64_t payload_size = 0;
};

inline constexpr std::size_t max_frame_head_size = 14;
inline constexpr std::size_t max_control_payload = 125;

enum class FrameStatus : std::uint8_t { need_more, complete, failed };

struct FrameReading {
    FrameStatus status = FrameStatus::need_more;
    std::size_t size = 0;   ///< of the head; while more is needed, what it will be at the least
    const char* fault = ""; ///< the rule that is broken; the code is 1002
};

/// Reads a head from the front of `bytes`. What breaks a rule fails as soon as it is here: reserved
/// bits and opcodes, control frames that are long or fragmented, lengths that are not in their
/// shortest form or have the highest bit set.
FrameReading read_frame_head(std::string_view bytes, FrameHead& head) noexcept;
/// Returns how many bytes were written, at most max_frame_head_size.
std::size_t write_frame_head(char* into, const FrameHead& head) noexcept;

/// Masks or unmasks in place; `offset` is the first byte's place in the payload. True when a result
/// is not ASCII, so that text that is needs no second pass.
bool apply_mask(char* bytes, std::size_t size, const MaskKey& key, std::uint64_t offset) noexcept;

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/ext/websocket_outbox.hpp

// Messages of one WebSocket that wait until its peer has taken what came before. Frames are encoded
// once and may be shared; what has not begun to leave can still be dropped, or replaced by a newer
// message with the same key.

#include <deque>
#include <unordered_map>

PORTHOLE_NAMESPACE_BEGIN

/// What happens to a message that does not fit the queue of a slow client.
enum class WebSocketPolicy : unsigned char {
    refuse,      ///< send() returns false
    drop_oldest, ///< messages that wait longest make room
    coalesce,    ///< a message replaces a waiting one with the same key; without room: refuse
    close,       ///< the connection is given up with 1008
};

namespace detail {

/// A frame as it is sent: its head and its payload, or both in one shared string.
struct OutFrame {
    std::string_view head;
    std::string_view payload;
    std::shared_ptr<const std::string> shared;

    std::size_t size() const noexcept {
        return shared ? shared->size() : head.size() + payload.size();
    }
};

class Outbox {
public:
    bool is_empty() const noexcept { return count_ == 0; }
    /// What waits, and what it costs to keep it.
    std::size_t bytes() const noexcept { return bytes_; }
    std::size_t cost() const noexcept { return bytes_ + count_ * entry_cost; }

    /// The oldest frame's bytes that have not left; there is one.
    std::string_view front() const noexcept;
    bool has_begun() const noexcept;
    void consume(std::size_t size);

    /// How a frame waits.
    struct Place {
        std::size_t sent = 0;   ///< so many of its bytes have left already
        bool is_pinned = false; ///< it has to be sent: later ones depend on it
        bool is_keyed = false;  ///< others with this key may take its place
        std::string_view key;
    };
    void push(const OutFrame& frame, const Place& place);
    /// The size of the message with that key that waits and has not begun; 0 when there is none.
    std::size_t find(std::string_view key) const;
    /// Puts the frame in its place; find() has seen one.
    void replace(std::string_view key, const OutFrame& frame);
    /// Drops the oldest message that has not begun and is not pinned. False when there is none.
    bool drop_oldest();
    void clear() noexcept;

    /// What a waiting message costs besides its bytes.
    static constexpr std::size_t entry_cost = 128;

private:
    struct Entry {
        std::string owned;
        std::shared_ptr<const std::string> shared;
        std::string key;
        bool is_pinned = false;
        bool is_keyed = false;
        bool is_dropped = false;

        std::string_view bytes() const noexcept { return shared ? *shared : owned; }
    };

    static void fill(Entry& entry, const OutFrame& frame);
    void forget_key(std::uint64_t number);
    void pop();
    void move_up_front();

    std::deque<Entry> entries_;
    std::unordered_map<std::string, std::uint64_t> keys_; ///< the number of each key's entry
    std::uint64_t first_number_ = 0;
    std::uint64_t next_drop_ = 0;
    std::size_t sent_ = 0; ///< of the front
    std::size_t bytes_ = 0;
    std::size_t count_ = 0; ///< entries that are not dropped
};

} // namespace detail

PORTHOLE_NAMESPACE_END

PORTHOLE_NAMESPACE_BEGIN

/// A whole message; `data` is valid for the call.
struct Message {
    std::string_view data;
    bool is_text = false; ///< and then valid UTF-8
};

namespace detail {

enum class WebSocketRole : unsigned char { server, client };

struct SessionOptions {
    std::size_t max_message_bytes = 1024 * 1024;
    std::size_t max_frames = 1024; ///< in one message
    std::size_t max_queue_bytes = 1024 * 1024;
    WebSocketPolicy policy = WebSocketPolicy::refuse;
    Duration ping_interval = std::chrono::seconds(30); ///< of silence; zero: no pings
    Duration pong_timeout = std::chrono::seconds(15);
    Duration close_timeout = std::chrono::seconds(2);
};

/// Who takes a session's events. Each may end the session, and the server.
class SessionEvents {
public:
    virtual void handle_message(const Message& message) = 0;
    virtual void handle_pong(std::string_view payload) = 0;
    /// What was queued has left.
    virtual void handle_drain() = 0;
    /// WebSocketSession::wake() was called.
    virtual void handle_wake() = 0;

protected:
    ~SessionEvents() = default;
};

class WebSocketSession {
public:
    WebSocketSession(WebSocketRole role, const SessionOptions& options, SessionEvents& events);
    WebSocketSession(const WebSocketSession&) = delete;
    WebSocketSession& operator=(const WebSocketSession&) = delete;

    /// Null: messages are not compressed.
    void set_codec(std::unique_ptr<MessageCodec> codec) noexcept { codec_ = std::move(codec); }

    // What the link's owner is told:
    void on_open(UpgradeLink& link);
    /// Changes the bytes in place.
    void on_data(char* bytes, std::size_t size);
    void on_drain();
    void on_deadline();
    void on_wake();
    void on_end();
    /// The link is gone.
    void on_close() noexcept;

    /// All or nothing; false when it is closing, or past max_queue_bytes under that policy. With a
    /// key, or under WebSocketPolicy::coalesce, it takes the place of a waiting message with that
    /// key. Text has to be UTF-8.
    bool send(const Message& message, std::string_view key = {});
    /// A frame that was encoded before, for the server's role; shared with whoever else sends it.
    bool send_frame(const std::shared_ptr<const std::string>& frame, std::string_view key = {});
    /// At most 125 bytes.
    bool ping(std::string_view payload);
    /// Begins the close handshake behind what is queued. A code that must not be sent becomes 1000,
    /// a long reason is cut. no_code sends none.
    void close(int code, std::string_view reason);
    /// Closes with that code, without waiting for the peer; nothing more is received.
    void fail(int code, std::string_view sentence);
    /// Ends without a word, in the connection's next turn.
    void abort();
    void pause_reading(bool is_paused);
    void wake();

    /// Messages can be sent.
    bool is_open() const noexcept { return phase_ == Phase::open; }
    std::size_t buffered_bytes() const noexcept;
    /// What it ended with: the peer's code, 1005 when it gave none, 1006 when there was no Close
    /// frame; and the session's own code and sentence when it has failed.
    int end_code() const noexcept { return end_code_; }
    const std::string& end_reason() const noexcept { return end_reason_; }

private:
    enum class Phase : unsigned char {
        idle, ///< no link yet
        open,
        closing, ///< our Close frame is on its way; the peer's is awaited
        done,    ///< all has been said; the link closes once it has been sent
        aborted,
        closed,
    };

    // websocket_session.inl: bytes in
    void receive(char* bytes, std::size_t size);
    std::size_t take_head(std::string_view bytes);
    bool check_head();
    std::size_t take_payload(char* bytes, std::size_t size);
    std::size_t take_whole(char* bytes);
    std::size_t take_control(char* bytes, std::size_t size);
    std::size_t take_piece(char* bytes, std::size_t size);
    bool add_piece(std::string_view piece, bool has_high_bytes, bool is_frame_end);
    bool expand_piece(std::string_view piece, bool is_last);
    bool check_text(std::string_view piece, bool has_high_bytes, bool is_message_end);
    void end_frame();
    void end_message();
    void deliver(std::string_view data);
    void handle_control(Opcode opcode, std::string_view payload);
    void handle_close(std::string_view payload);
    void hold(std::string_view rest);
    void resume();
    void update_reading();
    bool is_receiving() const noexcept { return phase_ == Phase::open || phase_ == Phase::closing; }

    // websocket_session_output.inl: bytes out, and deadlines
    bool replace_waiting(const OutFrame& frame, std::string_view key);
    bool make_room(std::size_t size);
    void put(const OutFrame& frame, std::string_view key, bool is_pinned);
    bool is_keyed(std::string_view key) const noexcept;
    bool is_queue_empty() const noexcept { return !outbox_ || outbox_->is_empty(); }
    bool may_hand_over() const noexcept;
    std::size_t hand_over(const OutFrame& frame);
    std::size_t hand_over(std::string_view bytes);
    void flush();
    void send_control(Opcode opcode, std::string_view payload);
    void write_control(Opcode opcode, std::string_view payload);
    void keep_pong(std::string_view payload);
    void send_close_frame(int code, std::string_view reason);
    void finish();
    void end_with(int code, std::string_view reason);
    TimePoint next_deadline() const noexcept;
    void arm();
    void check_silence(TimePoint now);
    void note_memory(std::size_t capacity);
    void release_memory();
    MaskKey next_key();

    /// Units of one turn: what is left of it waits for the next one.
    static constexpr unsigned max_messages_per_turn = 256;
    static constexpr std::size_t max_expanded_per_turn = 256 * 1024;
    static constexpr std::size_t expand_slice = 1024; ///< may become a thousand times as much
    /// The link is handed more while it holds less than this, ...
    static constexpr std::size_t link_mark = 64 * 1024;
    /// ... and at most so much at once.
    static constexpr std::size_t link_slice = 256 * 1024;
    /// Memory that is kept while messages come, and given back after a while.
    static constexpr std::size_t kept_bytes = 4 * 1024;
    static constexpr Duration keep_time = std::chrono::seconds(2);

    SessionEvents& events_;
    UpgradeLink* link_ = nullptr;
    std::unique_ptr<MessageCodec> codec_;
    SessionOptions options_;
    const WebSocketRole role_;
    Phase phase_ = Phase::idle;

    FrameHead head_;
    char head_bytes_[max_frame_head_size] = {}; ///< of a head that came in pieces
    unsigned char head_size_ = 0;
    bool has_head_ = false;      ///< head_ is complete, and its payload is coming
    bool in_message_ = false;    ///< the first frame of a message has begun
    bool is_text_ = false;       ///< the message under way
    bool is_compressed_ = false; ///< the message under way
    bool is_user_paused_ = false;
    bool is_reading_paused_ = false; ///< as the link was told
    bool is_in_receive_ = false;
    bool has_ended_ = false; ///< the peer sends no more
    bool owner_wants_wake_ = false;
    bool is_resume_due_ = false;
    bool was_short_ = false; ///< on_drain() is owed
    bool has_closed_link_ = false;
    bool is_ping_out_ = false;
    bool has_pong_ = false;   ///< to be sent as soon as there is room
    bool has_close_ = false;  ///< likewise, behind everything
    std::uint64_t taken_ = 0; ///< of the current payload
    std::size_t frames_ = 0;  ///< of the current message
    unsigned messages_left_ = 0;
    std::size_t expansion_left_ = 0;
    Utf8Validator utf8_;
    std::string message_; ///< what has come of the message, when not in one piece
    std::string control_; ///< likewise of a control frame's payload
    std::string held_;    ///< received and not looked at yet

    std::unique_ptr<Outbox> outbox_; ///< messages that wait for room in the link
    std::string pong_;
    std::string close_frame_;
    std::string scratch_; ///< a payload that is compressed or masked
    std::string keys_;    ///< random bytes for masks to come

    TimePoint received_at_{};
    TimePoint ping_deadline_ = never;
    TimePoint close_deadline_ = never;
    TimePoint release_at_ = never;
    TimePoint armed_ = never;
    int end_code_ = close_code::dropped;
    std::string end_reason_;
};

} // namespace detail

PORTHOLE_NAMESPACE_END

PORTHOLE_NAMESPACE_BEGIN

class WebSocket;

namespace detail {

class WebSocketPeer;
struct WebSocketSettings;

/// What sends through a socket besides the program's functions.
class WebSocketFeed {
public:
    virtual ~WebSocketFeed() = default;
    /// In a turn of the socket's own: after WebSocket::wake(), and when what was sent has left.
    virtual void feed(WebSocket& socket) = 0;
    /// What it sends: one feed of a kind for each socket.
    virtual const void* subject() const noexcept = 0;
};

} // namespace detail

/// A message that is encoded once and sent to many. Cheap to copy; any thread. Never compressed.
class PreparedMessage {
public:
    PreparedMessage() = default;
    explicit PreparedMessage(const Message& message);
    /// A frame of a server's, encoded elsewhere.
    explicit PreparedMessage(std::shared_ptr<const std::string> frame) noexcept
        : frame_(std::move(frame)) {}
    static PreparedMessage text(std::string_view data) { return PreparedMessage({data, true}); }
    static PreparedMessage binary(std::string_view data) { return PreparedMessage({data, false}); }

    const std::shared_ptr<const std::string>& frame() const noexcept { return frame_; }

private:
    std::shared_ptr<const std::string> frame_;
};

/// Reaches one WebSocket from any thread. Cheap to copy; may outlive the socket and the server.
class WebSocketHandle {
public:
    WebSocketHandle() = default;
    WebSocketHandle(std::weak_ptr<detail::WebSocketPeer> peer, TaskPoster poster) noexcept
        : peer_(std::move(peer)), poster_(std::move(poster)) {}

    /// Any thread. Runs `task` inside the next tick if the socket is still open then.
    void post(std::function<void(WebSocket&)> task) const;

private:
    std::weak_ptr<detail::WebSocketPeer> peer_;
    TaskPoster poster_;
};

/// One connection. Its address stays the same from on_open() until on_close() has returned, and is
/// of no use after that. Ticking thread only.
class WebSocket {
public:
    WebSocket(const WebSocket&) = delete;
    WebSocket& operator=(const WebSocket&) = delete;

    /// All or nothing; what the client does not take at once is queued. False when the socket is
    /// closing, or when the queue is full and the policy has no other way.
    bool send(const Message& message);
    /// UTF-8.
    bool send_text(std::string_view text) { return send(Message{text, true}); }
    bool send_binary(std::string_view bytes) { return send(Message{bytes, false}); }
    bool send(const PreparedMessage& message);
    /// Takes the place of a message with the same key that still waits, whatever the policy.
    bool send(const Message& message, std::string_view key);
    bool send(const PreparedMessage& message, std::string_view key);
    /// At most 125 bytes; on_pong() tells of the answer. Pings for the connection's own sake are
    /// sent without being asked for.
    bool ping(std::string_view payload = {});

    /// Closes behind what is queued: 1000, or 3000 to 4999 for the program's own reasons; at most
    /// 123 bytes of UTF-8 tell why. Messages that still come are dropped. on_close() follows when
    /// the client has answered, or after close_timeout.
    void close(int code = detail::close_code::normal, std::string_view reason = {});
    /// Ends the connection without a word; on_close() comes in a turn of its own.
    void abort();

    /// Queued here, and not yet taken by the client's side of the connection.
    std::size_t buffered_bytes() const noexcept;
    /// True: no more messages are received until it is false again, and the client has to wait.
    void pause_reading(bool is_paused);
    /// Asks for on_wake() in a turn of this socket's own, so that work that concerns many sockets
    /// is cut into units of the tick's budget.
    void wake();

    bool is_open() const noexcept;
    /// The subprotocol that was agreed on; empty when there is none.
    const std::string& protocol() const noexcept;
    /// True when messages are compressed.
    bool is_compressed() const noexcept;
    /// The other end, as Request::peer().
    std::string_view peer() const noexcept;
    WebSocketHandle handle() const;
    /// The server that it came to.
    Server& server() const noexcept;
    /// For extensions: asked for what it has from now on, in place of one with the same subject;
    /// destroyed when the socket closes.
    void attach(std::unique_ptr<detail::WebSocketFeed> feed);
    /// True when there was one with that subject.
    bool detach(const void* subject);

private:
    friend class detail::WebSocketPeer;
    explicit WebSocket(detail::WebSocketPeer& peer) noexcept : peer_(&peer) {}

    detail::WebSocketPeer* peer_;
};

/// What a route speaks: made by websocket(), set up by chaining, and then a Handler. Copies are
/// independent. May also be called inside a handler, with functions that capture what belongs to
/// that request.
class WebSocketRoute {
public:
    WebSocketRoute();

    WebSocketRoute& on_open(std::function<void(WebSocket&)> function);
    WebSocketRoute& on_message(std::function<void(WebSocket&, const Message&)> function);
    /// Exactly once for each on_open(): the client's code and reason; 1005 when it gave none; 1006
    /// when the connection just ended; this side's own when the client broke a rule or a limit.
    /// Nothing can be sent any more.
    WebSocketRoute&
    on_close(std::function<void(WebSocket&, int code, std::string_view reason)> function);
    /// All that was queued has left, after something had to wait.
    WebSocketRoute& on_drain(std::function<void(WebSocket&)> function);
    WebSocketRoute& on_pong(std::function<void(WebSocket&, std::string_view payload)> function);
    WebSocketRoute& on_wake(std::function<void(WebSocket&)> function);
    /// Decides by the request, as a before hook does: Next::stop sends the answer as it was left,
    /// or 403.
    WebSocketRoute& accept(BeforeHook decide);
    /// Subprotocols, the preferred one first.
    WebSocketRoute& protocols(std::vector<std::string> names);

    /// Larger ones, once expanded, close with 1009. Default: 1 MiB.
    WebSocketRoute& max_message_bytes(std::size_t bytes);
    /// Frames of one message; more close with 1008. Default: 1024.
    WebSocketRoute& max_frames(std::size_t frames);
    /// What may wait for one client, and so also the largest message that can be sent. Default:
    /// Limits::max_queue_bytes.
    WebSocketRoute& max_queue_bytes(std::size_t bytes);
    WebSocketRoute& policy(WebSocketPolicy policy);
    /// After so much silence the client is asked whether it is still there; zero: never. Default:
    /// 30 s.
    WebSocketRoute& ping_interval(std::chrono::milliseconds interval);
    /// How long its answer may take before the connection is dropped. Default: 15 s.
    WebSocketRoute& pong_timeout(std::chrono::milliseconds timeout);
    /// How long a closing connection waits for the client. Default: 2 s.
    WebSocketRoute& close_timeout(std::chrono::milliseconds timeout);
    /// permessage-deflate (RFC 7692) for clients that ask for it. On by default; without zlib
    /// (PORTHOLE_WITH_ZLIB) it is never agreed on.
    WebSocketRoute& compression(bool is_wanted);

    void operator()(const Request& request, Response& response) const;

private:
    detail::WebSocketSettings& edit();

    std::shared_ptr<detail::WebSocketSettings> settings_;
};

WebSocketRoute websocket();

PORTHOLE_NAMESPACE_END

PORTHOLE_NAMESPACE_BEGIN

/// What a socket is sent of a channel.
struct SubscribeOptions {
    /// As in events(); none: all keys.
    std::vector<std::string> topics;
    /// Messages are the key, a line feed, and the value; else the value alone.
    bool has_key = true;
    /// The value alone, as a binary message whatever it holds: for values that are no text.
    bool is_binary = false;
    /// First what is kept; else only what is published from now on.
    bool has_snapshot = true;
};

/// Sends the channel's values as messages, as text where they are UTF-8 unless the options say
/// otherwise; again for the same channel
/// it begins anew, with other topics say. A closed channel ends it and leaves the socket open. A
/// value that is larger than the socket's queue (WebSocketRoute::max_queue_bytes) is left out.
/// Ticking thread only.
void subscribe(WebSocket& socket, const Channel& channel, const SubscribeOptions& options = {});
/// True when it was subscribed.
bool unsubscribe(WebSocket& socket, const Channel& channel);

PORTHOLE_NAMESPACE_END

// porthole/ext/files.hpp

// Static files from a directory:
//
//     server.mount("/", porthole::files("web/dist", porthole::FilesOptions{}.spa("index.html")));
//
// Conditional requests, ranges, precompressed siblings, index files; by default no listing and no
// dotfiles. What is opened lies beneath the directory, whatever names and links say. Nothing waits
// for a slow reader: contents leave in bounded pieces.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {
class FilesMount;
}

/// How a directory is served. Setters return the options, for chaining.
class FilesOptions {
public:
    /// Names tried for a path that ends in '/', in order; "index.html" by default.
    FilesOptions& index(std::vector<std::string> names) {
        index_ = std::move(names);
        return *this;
    }
    /// For single-page applications: this file answers navigations to paths that do not exist and
    /// whose last part has no extension.
    FilesOptions& spa(std::string_view name) {
        spa_ = name;
        return *this;
    }
    /// A page with the names, sizes and dates of a directory without an index file, as HTML or,
    /// by Accept, as JSON. Off by default.
    FilesOptions& listing(bool is_on = true) {
        has_listing_ = is_on;
        return *this;
    }
    /// How many entries a listing shows at the most.
    FilesOptions& max_listed_entries(std::size_t count) {
        max_listed_entries_ = count;
        return *this;
    }
    /// The Content-Type for an extension without its dot, in any case; beats the built-in one.
    FilesOptions& media_type(std::string_view extension, std::string_view type);
    /// Serves, and lists, names that begin with a dot. Off by default.
    FilesOptions& dotfiles(bool is_on = true) {
        has_dotfiles_ = is_on;
        return *this;
    }
    /// Answers with NAME.br or NAME.gz beside NAME when the client accepts that and the sibling is
    /// not older than NAME. On by default.
    FilesOptions& precompressed(bool is_on) {
        has_precompressed_ = is_on;
        return *this;
    }
    /// Refuses names that mean something else on Windows, such as "con.txt", "a:b" and "name.". On
    /// by default on Windows only.
    FilesOptions& portable_names(bool is_on = true) {
        portable_names_ = is_on;
        return *this;
    }
    /// Cache-Control for whatever is not immutable; "no-cache" by default, with which a browser
    /// asks each time and mostly gets a 304.
    FilesOptions& cache_control(std::string_view value) {
        cache_control_ = value;
        return *this;
    }
    /// Which names never change their content and may be kept for a year. By default those with a
    /// hash in them as bundlers write it ("app.3f2a9c1b.js"), pages excepted.
    FilesOptions& immutable(std::function<bool(std::string_view name)> is_immutable) {
        is_immutable_ = std::move(is_immutable);
        return *this;
    }
    /// How many files are kept open for repeated requests; 0 keeps none. On Windows, where that
    /// keeps others from replacing the files, the default is 0.
    FilesOptions& max_open_files(std::size_t count) {
        max_open_files_ = count;
        return *this;
    }
    /// For how long a kept file's name is not looked up again. What happens to the file itself is
    /// seen at once.
    FilesOptions& recheck_after(std::chrono::milliseconds time) {
        recheck_after_ = time;
        return *this;
    }
    /// Runs before each request to these files, in the order added.
    FilesOptions& before(BeforeHook hook) {
        before_.push_back(std::move(hook));
        return *this;
    }
    /// Looks names up part by part even where the system can do it in one call. For tests.
    FilesOptions& step_by_step(bool is_on = true) {
        is_step_by_step_ = is_on;
        return *this;
    }

private:
    friend class detail::FilesMount;

    static constexpr std::size_t default_listed_entries = 10'000;
    static constexpr std::chrono::milliseconds default_recheck{1'000};

    std::vector<std::string> index_{"index.html"};
    std::string spa_;
    std::vector<std::pair<std::string, std::string>> media_types_;
    std::string cache_control_ = "no-cache";
    std::function<bool(std::string_view)> is_immutable_;
    std::vector<BeforeHook> before_;
    std::size_t max_listed_entries_ = default_listed_entries;
    std::optional<std::size_t> max_open_files_;
    std::chrono::milliseconds recheck_after_ = default_recheck;
    std::optional<bool> portable_names_;
    bool has_listing_ = false;
    bool has_dotfiles_ = false;
    bool has_precompressed_ = true;
    bool is_step_by_step_ = false;
};

/// Serves the files below `root`, a path as the operating system takes it, in UTF-8. mount()
/// returns an error that names it when it is not there, no directory, or not readable.
std::unique_ptr<Mount> files(std::string_view root, FilesOptions options = {});

/// Answers a GET or HEAD with one file, wherever it lies: preconditions and ranges included. The
/// path is the program's own: never build it from what a request says, mount files() for that.
void send_file(const Request& request, Response& response, std::string_view path);

PORTHOLE_NAMESPACE_END

// porthole/ext/files_cache.hpp

// Open files, each with what its answers need to know, and a small bounded store of those that
// were asked for lately, so that a repeated request costs no open.

#include <map>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// A regular file that is open. Shared by the store and the answers that are being sent.
struct OpenFile {
    /// Whether NAME.br, say, lies beside it.
    enum class Sibling : unsigned char { unknown, absent, present };

    File file;
    FileInfo info;
    std::string type;          ///< Content-Type
    std::string cache_control; ///< Cache-Control
    std::string etag;          ///< strong, with its quotes
    std::string last_modified;
    Sibling brotli = Sibling::unknown;
    Sibling gzip = Sibling::unknown;
    TimePoint looked_up{}; ///< when its name led here

    /// Writes etag and last_modified anew from `info`.
    void describe();
};

/// By name, at most so many; the least recently used goes first.
class OpenFileCache {
public:
    OpenFileCache(std::size_t max_files, Duration recheck_after) noexcept
        : max_files_(max_files), recheck_after_(recheck_after) {}

    /// The file of that name if it is kept and still the one that the name stands for. One fstat;
    /// a file that was changed meanwhile comes with what is true now.
    std::shared_ptr<OpenFile> find(std::string_view name, TimePoint now);
    void keep(std::string_view name, const std::shared_ptr<OpenFile>& file);
    void forget(std::string_view name);
    std::size_t size() const noexcept { return files_.size(); }

private:
    struct Entry {
        std::shared_ptr<OpenFile> file;
        std::uint64_t used = 0;
    };
    std::map<std::string, Entry, std::less<>> files_;
    std::uint64_t uses_ = 0;
    std::size_t max_files_;
    Duration recheck_after_;
};

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/ext/files_listing.hpp

// The page that shows a directory. Entries are read and sorted a few at a time, so that a large
// directory costs a frame no more than a large file does.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

struct ListingOptions {
    bool is_json = false;
    bool has_dotfiles = false;
    bool is_portable = false; ///< leaves out what would not be served
    bool has_parent = false;  ///< a link to the directory above
    std::size_t max_entries = 0;
};

/// Bytes as HTML text; what is not UTF-8 becomes U+FFFD.
void append_html(std::string_view text, std::string& into);
/// Bytes as a JSON string with its quotes; what is not UTF-8 becomes U+FFFD.
void append_json(std::string_view text, std::string& into);

class ListingSource final : public BodySource {
public:
    /// `directory` is open, and called `name` beneath `root`. `title` is what the page calls it.
    ListingSource(
        std::shared_ptr<const Directory> root, File directory, std::string_view name,
        std::string_view title, const ListingOptions& options);
    Piece pull(char* into, std::size_t capacity) override;

private:
    enum class Phase : unsigned char { reading, rows, done };

    void read_entries();
    void take_entry(DirectoryEntry entry);
    void write_begin();
    void write_html_row(const DirectoryEntry& entry);
    void write_json_row(const DirectoryEntry& entry);
    void write_end();

    std::shared_ptr<const Directory> root_;
    std::unique_ptr<DirectoryReader> reader_;
    std::string name_;
    std::string title_;
    ListingOptions options_;
    std::vector<DirectoryEntry> entries_; ///< a heap, the next one to be shown on top
    std::string text_;                    ///< written and not yet pulled
    bool is_cut_ = false;
    bool has_rows_ = false;
    Phase phase_ = Phase::reading;
};

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/ext/files_mount.hpp

// What serves a directory: from a request's path to an open file, and from there to an answer.

// porthole/ext/files_path.hpp

// From a request's path to the name of a file, and what a name says about the file. Every rule
// that refuses a path without asking the system stands here; all of it is pure.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// What there is to say about a path before any file is looked for.
enum class PathVerdict : unsigned char {
    fine,
    malformed, ///< 400: no path that this library would ever make
    hidden,    ///< 404: a name that is not served here
};

struct PathRules {
    bool allows_dotfiles = false;
    bool is_portable = false; ///< refuse what Windows would take for something else
};

/// Longer paths are refused: what common systems take.
inline constexpr std::size_t max_file_path = 4096;

/// Judges the raw target of a request: an encoded slash or backslash is refused wherever it
/// stands, since decoding would move what it separates.
PathVerdict check_raw_path(std::string_view target) noexcept;
/// Judges a decoded path that begins with '/'. Empty parts, but for the last, dot segments,
/// controls and backslashes are malformed.
PathVerdict check_path(std::string_view path, const PathRules& rules) noexcept;
/// True when Windows takes a name for what it says: no reserved characters or device names, no dot
/// or space at its end, no short name of another one.
bool is_portable_name(std::string_view name) noexcept;
/// Behind the last dot of the last part, or empty. A dot in front begins no extension.
std::string_view extension_of(std::string_view path) noexcept;
/// True for names with a content hash as bundlers write it: "app.3f2a9c1b.js",
/// "index-BcD3fG7h.css".
bool has_hash_in_name(std::string_view path) noexcept;

} // namespace detail

PORTHOLE_NAMESPACE_END

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// A file as the content of an answer.
struct FileContent {
    std::shared_ptr<OpenFile> file;  ///< whose bytes are sent
    std::shared_ptr<OpenFile> plain; ///< whose type and Cache-Control they have; mostly the same
    std::string_view coding;         ///< Content-Encoding; empty for the plain file
    bool varies = false;             ///< another request would get another coding
};

/// Files up to this size are read into the answer at once, so that they leave with its head.
inline constexpr std::size_t max_inline_file = 16 * 1024;

/// Answers a GET or HEAD with a file: preconditions, range, fields and content. `scratch` has room
/// for max_inline_file bytes. False when the file has shrunk meanwhile: nothing was answered.
bool answer_with_file(
    const Request& request, Response& response, const FileContent& content,
    std::chrono::system_clock::time_point now, char* scratch);
/// What a failed lookup is to the client; no word about the path.
void answer_open_failure(Response& response, OpenResult result);

class FilesMount final : public Mount {
public:
    FilesMount(std::string_view root, FilesOptions options);
    Error attach(Server& server) override;
    void handle(const Request& request, Response& response) override;

private:
    struct Found {
        OpenResult result = OpenResult::not_found;
        std::shared_ptr<OpenFile> file; ///< when it is a regular file
        File directory;                 ///< when it is a directory
    };

    bool run_hooks(const Request& request, Response& response);
    void answer_path(const Request& request, Response& response, std::string_view path);
    void answer_directory(const Request& request, Response& response, const std::string& name);
    void answer_listing(
        const Request& request, Response& response, const std::string& name, File directory);
    void answer_missing(const Request& request, Response& response, std::string_view path);
    void answer_file(
        const Request& request, Response& response, const std::string& name,
        std::shared_ptr<OpenFile> file);
    Found find(const std::string& name);
    std::shared_ptr<OpenFile>
    find_sibling(const std::string& name, const OpenFile& plain, OpenFile::Sibling& state);
    void choose_coding(const Request& request, const std::string& name, FileContent& content);
    std::string_view type_of(std::string_view name) const noexcept;
    bool is_immutable(std::string_view name) const;

    std::string path_;
    FilesOptions options_;
    PathRules rules_;
    std::shared_ptr<const Directory> root_;
    SystemClock system_clock_;
    Clock* clock_ = nullptr;
    OpenFileCache cache_;
    std::unique_ptr<char[]> scratch_;
};

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/ext/files_source.hpp

// A file's content, or parts of it, as a body source of known size. The size is what the file had
// when the answer began: one that has shrunk since breaks the answer off, and what it has grown by
// is not sent.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

class FileSource final : public BodySource {
public:
    /// Text, and bytes of the file behind it.
    struct Part {
        std::string text;
        ByteRange range;
    };
    FileSource(std::shared_ptr<const OpenFile> file, std::vector<Part> parts);

    std::optional<std::uint64_t> size() const override { return size_; }
    Piece pull(char* into, std::size_t capacity) override;
    std::uint64_t file_piece(FilePiece& piece) override;
    void skip(std::uint64_t bytes) override;

private:
    bool is_at_end() const noexcept { return at_ == parts_.size(); }
    void leave_finished_parts() noexcept;
    void read_ahead() noexcept;

    /// What is read ahead of the turn that sends it, for files that are larger.
    static constexpr std::uint64_t window = 256 * 1024;

    std::shared_ptr<const OpenFile> file_;
    std::vector<Part> parts_;
    std::uint64_t size_ = 0;
    std::size_t at_ = 0;           ///< the part that is being sent
    std::size_t text_sent_ = 0;    ///< of its text
    std::uint64_t bytes_sent_ = 0; ///< of its range
    std::uint64_t read_ahead_to_ = 0;
};

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/ext/testing.hpp

// For unit tests of a program's own routes: a client that talks to a server in memory, without
// sockets, and, with a ManualClock, without waiting. Porthole's own tests use nothing else to
// replay slow clients, splits at every byte and timeouts.
//
//     porthole::Server server;                       // with the program's routes
//     porthole::testing::Client client(server);
//     auto answer = client.get("/users/7");
//     CHECK(answer.status == 200);

PORTHOLE_NAMESPACE_BEGIN

namespace testing {

/// An answer as the client saw it, in its own memory. `status` is 0 when there was none.
struct Answer {
    int status = 0;
    std::string reason;
    std::vector<std::pair<std::string, std::string>> fields;
    std::string body; ///< without its transfer coding

    /// The first value of that name, in any case; empty when there is none.
    std::string_view header(std::string_view name) const noexcept;
    bool has_header(std::string_view name) const noexcept;
};

using FieldList = std::vector<std::pair<std::string_view, std::string_view>>;

/// What read_answer() made of the bytes; `size` is how many of them the answer took.
struct AnswerReading {
    detail::ParseStatus status = detail::ParseStatus::need_more;
    std::size_t size = 0;
};
/// Reads one whole answer from the front of `bytes`. `is_head`: the request was HEAD. `has_ended`:
/// nothing more will come, which ends an answer without a length.
AnswerReading read_answer(std::string_view bytes, bool is_head, bool has_ended, Answer& answer);
/// A request's bytes, with Host: localhost and Content-Length unless `fields` has them.
std::string write_request(
    std::string_view method, std::string_view target, const FieldList& fields = {},
    std::string_view body = {});

/// One connection to a server in the same thread. Requests tick the server until the answer is
/// complete.
class Client {
public:
    /// `capacity` is what each direction holds, as a socket's buffers do.
    explicit Client(
        Server& server, std::size_t capacity = MemoryTransport::default_capacity,
        std::string_view peer = "memory");

    /// Sends a request with Host: localhost (unless `fields` has one) and returns its answer;
    /// status 0 when the connection ends, or nothing moves for max_ticks ticks, before it is
    /// complete.
    Answer request(
        std::string_view method, std::string_view target, const FieldList& fields = {},
        std::string_view body = {});
    Answer get(std::string_view target, const FieldList& fields = {}) {
        return request("GET", target, fields);
    }
    Answer post(std::string_view target, std::string_view type, std::string_view body);

    /// Sends raw bytes as far as the transport takes them; returns how many.
    std::size_t send(std::string_view bytes);
    /// Ticks until one answer is complete, and returns it. `is_head`: the request was HEAD.
    Answer read_answer(bool is_head = false);
    /// Ticks once and takes what has come into received().
    TickReport tick();
    /// All bytes that have come and are not part of an answer read so far.
    const std::string& received() const noexcept { return received_; }
    /// The server has closed its sending side; tick() notices it.
    bool is_closed() const noexcept { return is_closed_; }
    /// Closes the client's sending side only.
    void shut_write() { transport_->shut_write(); }
    /// Closes the connection.
    void close() { transport_.reset(); }
    /// False: received bytes are left in the transport, as a slow reader does.
    void set_reading(bool is_reading) noexcept { is_reading_ = is_reading; }
    MemoryTransport& transport() noexcept { return *transport_; }

    /// How many ticks a request waits for its answer at the most.
    static constexpr int max_ticks = 10'000;

private:
    Server* server_;
    std::unique_ptr<MemoryTransport> transport_;
    std::string received_;
    bool is_closed_ = false;
    bool is_reading_ = true;

    void take_input();
};

/// Lets `time` pass in steps no longer than a frame, ticking the server after each, so that
/// deadlines pass as they would in a program that runs.
void pass_time(Server& server, ManualClock& clock, Duration time);

} // namespace testing

PORTHOLE_NAMESPACE_END

// porthole/ext/uploads.hpp

// Places for what clients send: a file that appears under its name when it is complete, and the
// parts of a form, taken as they come. Nothing is held in memory but what is asked to be.
//
//     server.put_stream("/data", [](const porthole::Request&) {
//         return porthole::to_file("incoming/data.bin");
//     });
//     server.post_stream("/form", [](const porthole::Request& request) {
//         return porthole::multipart(request)
//             .on_part([](const porthole::FormPartHead& part) {
//                 return part.name == "photo" ? porthole::PartSink::to_file("incoming/photo.jpg")
//                                             : porthole::PartSink::collect();
//             })
//             .on_part_end([](const porthole::FormPartHead& part, std::string_view text) { ... })
//             .on_end([](const porthole::Request&, porthole::Response& response) { ... });
//     });

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

class FormUpload;

} // namespace detail

struct UploadOptions {
    /// False: a file of that name is kept, and the upload is answered with 409.
    bool may_replace = true;
    /// More is 413.
    std::uint64_t max_bytes = UINT64_MAX;
};

/// Content into a file at `path`, which is UTF-8 and the program's own: never made of what a client
/// sent without a check. It is written beside its place and renamed when it is complete; what fails
/// or is given up leaves nothing behind, and what was there stays. Answers 201, or 204 when it has
/// replaced a file; 507 when there is no room, at the head where the length is announced; 500 when
/// there is no such directory or it may not be written to.
///
/// Functions that are set on the sink come after its own: on_data() for what has been written,
/// on_end() when the file stands under its name, instead of the answer above, and on_abort() when
/// it never will.
BodySink to_file(std::string_view path, const UploadOptions& options = {});

/// Where the content of one part of a form goes.
class PartSink {
public:
    /// Nowhere.
    static PartSink skip() { return PartSink(Kind::skip); }
    /// Into memory, for on_part_end(); bounded by MultipartLimits::max_collected_bytes.
    static PartSink collect() { return PartSink(Kind::collect); }
    /// To on_data(), piece by piece.
    static PartSink pieces() { return PartSink(Kind::pieces); }
    /// Into a file, as porthole::to_file() does. All files of a form get their names when the whole
    /// form has come, ahead of on_end(); until then each holds two descriptors.
    static PartSink to_file(std::string_view path, const UploadOptions& options = {});
    /// The whole form is refused: a status from 400 to 599, and a sentence for the page.
    static PartSink refuse(int status, std::string_view sentence = {});

private:
    friend class detail::FormUpload;
    enum class Kind : unsigned char { skip, collect, pieces, file, refusal };
    explicit PartSink(Kind kind) noexcept : kind_(kind) {}

    Kind kind_;
    int status_ = 0;
    std::string text_; ///< the path, or the sentence
    UploadOptions options_;
};

/// A form's parts as they come; converts to the BodySink that a route returns. Cheap to copy: all
/// copies are the same form. The functions run inside tick(); a part's head is valid for the call.
/// Of on_end() and on_abort() exactly one is called, and on_abort() also for a form that cannot be
/// read, or a file that cannot be stored.
class MultipartSink {
public:
    /// Decides where a part goes. Without it: files to on_data(), everything else is collected.
    MultipartSink& on_part(std::function<PartSink(const FormPartHead& part)> choose);
    /// A piece of a part that goes to PartSink::pieces().
    MultipartSink&
    on_data(std::function<void(const FormPartHead& part, std::string_view piece)> take);
    /// A part is complete; `text` is what was collected of it.
    MultipartSink&
    on_part_end(std::function<void(const FormPartHead& part, std::string_view text)> take);
    /// Answers when the form is complete; 204 without it.
    MultipartSink& on_end(Handler answer);
    MultipartSink& on_abort(std::function<void()> give_up);
    /// Of the whole form; see BodySink::max_bytes().
    MultipartSink& max_bytes(std::uint64_t bytes);

    /// To be captured by the functions above. A pause takes effect behind the piece that has
    /// arrived, which may hold several parts.
    BodyFlow flow() const noexcept { return sink_.flow(); }
    operator BodySink() const { return sink_; }

private:
    friend MultipartSink multipart(const Request& request, const MultipartLimits& limits);
    MultipartSink(BodySink sink, std::shared_ptr<detail::FormUpload> upload) noexcept;

    BodySink sink_;
    std::shared_ptr<detail::FormUpload> upload_;
};

/// Takes multipart/form-data (RFC 7578). What is none is refused with 415; a form that is
/// malformed, or past a limit, with 400, 413 or 431 as soon as that is seen.
MultipartSink multipart(const Request& request, const MultipartLimits& limits = {});

PORTHOLE_NAMESPACE_END

// porthole/ext/websocket_client.hpp

// The client's side of WebSocket, for tests and tools: one connection over a transport, pumped by
// hand. It shares frames and session with the server's side.

PORTHOLE_NAMESPACE_BEGIN

struct WebSocketClientOptions {
    std::string host = "localhost"; ///< the Host field
    std::string target = "/";
    std::string origin;                 ///< none is sent when empty
    std::vector<std::string> protocols; ///< offered, the preferred one first
    std::string more_fields;            ///< complete lines: "Name: value\r\n"
    bool has_compression = false;       ///< offered, where there is zlib
    detail::SessionOptions session;
    Clock* clock = nullptr; ///< null is the machine's; must outlive the client
};

namespace detail {

class WebSocketClientCore;

} // namespace detail

/// Set what is to be called, then pump() until is_closed(). The functions run inside pump().
class WebSocketClient {
public:
    /// Sends the handshake.
    explicit WebSocketClient(
        std::unique_ptr<Transport> transport, WebSocketClientOptions options = {});
    ~WebSocketClient();
    WebSocketClient(const WebSocketClient&) = delete;
    WebSocketClient& operator=(const WebSocketClient&) = delete;

    std::function<void()> on_open;
    std::function<void(const Message&)> on_message;
    std::function<void(std::string_view payload)> on_pong;
    /// Code and reason as in WebSocketRoute::on_close(); 1006 also when the handshake was refused.
    std::function<void(int code, std::string_view reason)> on_close;

    /// Reads and writes what can be without waiting. True when something moved.
    bool pump();

    bool send(const Message& message);
    bool send_text(std::string_view text) { return send(Message{text, true}); }
    bool send_binary(std::string_view bytes) { return send(Message{bytes, false}); }
    bool ping(std::string_view payload = {});
    void close(int code = detail::close_code::normal, std::string_view reason = {});
    void abort();
    /// Bytes as they are, ahead of what the session queues: for tests of a server.
    bool send_raw(std::string_view bytes);
    void pause_reading(bool is_paused);

    bool is_open() const noexcept;
    bool is_closed() const noexcept;
    /// Of the handshake's answer; 0 before it has come.
    int status() const noexcept;
    const std::string& protocol() const noexcept;
    /// True when messages are compressed.
    bool is_compressed() const noexcept;
    std::size_t buffered_bytes() const noexcept;
    Transport* transport() noexcept;

private:
    std::unique_ptr<detail::WebSocketClientCore> core_;
};

PORTHOLE_NAMESPACE_END

// porthole/ext/websocket_handshake.hpp

// The opening handshake of WebSocket (RFC 6455 section 4), as text: what a request has to have, and
// what its answer says. Both roles compute the same key.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// Why a request is no WebSocket handshake.
struct HandshakeFault {
    int status = 0; ///< 0: it is one; else 400, 405 or 426
    const char* sentence = "";
};

/// RFC 6455 section 4.2.1. Who may connect is the guard's business and was decided before.
HandshakeFault check_handshake(const Request& request);
/// Sec-WebSocket-Accept for that Sec-WebSocket-Key (RFC 6455 section 4.2.2).
std::string websocket_accept_key(std::string_view key);
/// The first of `ours` that the client offers; empty when there is none.
std::string_view choose_protocol(const Fields& fields, const std::vector<std::string>& ours);
/// Every element of Sec-WebSocket-Protocol is a token (RFC 6455 section 4.1).
bool has_valid_protocols(const Fields& fields);

} // namespace detail

PORTHOLE_NAMESPACE_END

#endif // PORTHOLE_HPP

// The implementation: in the one source file that asks for it, or everywhere in header-only mode.
#if (defined(PORTHOLE_IMPLEMENTATION) || PORTHOLE_HEADER_ONLY) && !defined(PORTHOLE_IMPLEMENTED)
#define PORTHOLE_IMPLEMENTED

// porthole/os/platform.inl

// The only place where the library includes headers of the operating system, and the few
// declarations of the os layer that have to mention their types. It is read in the one source file
// that holds the implementation, so nothing of it reaches a user's other files.

#if defined(_WIN32)

// Whoever includes <windows.h> whole before this file has the Winsock of 1993 in the way, and with
// Microsoft's headers the compiler would print hundreds of redefinitions. One sentence helps more.
// MinGW's headers get along with each other.
#if defined(_MSC_VER) && defined(SOCKET_ERROR) && !defined(_WINSOCK2API_)
#error "Porthole needs Winsock 2: in this file, include <winsock2.h> or <porthole.hpp> first, \
or define WIN32_LEAN_AND_MEAN before <windows.h>."
#endif
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#ifndef NOMINMAX
#define NOMINMAX
#endif
// Set by the old Winsock, or by programs that keep it out with this name; the new one would warn.
#if defined(_WINSOCKAPI_) && !defined(_WINSOCK2API_)
#undef _WINSOCKAPI_
#endif
// clang-format off: winsock2.h has to come before everything that includes windows.h
#include <windows.h>
#include <winsock2.h>
#include <ws2tcpip.h>
// clang-format on
#if defined(_MSC_VER)
#pragma comment(lib, "ws2_32")
#endif

#else

#include <arpa/inet.h>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <dirent.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#endif

// What posix_spawn() can do beyond what all have: close every descriptor from one on, and enter an
// open directory. glibc learned them in 2.34 and 2.29; musl and macOS know the second only.
#if defined(__GLIBC__)
#if __GLIBC_PREREQ(2, 34)
#define PORTHOLE_SPAWN_CLOSES_FROM
#endif
#if __GLIBC_PREREQ(2, 29)
#define PORTHOLE_SPAWN_ENTERS posix_spawn_file_actions_addfchdir_np
#endif
#elif defined(__FreeBSD__)
#define PORTHOLE_SPAWN_CLOSES_FROM
#define PORTHOLE_SPAWN_ENTERS posix_spawn_file_actions_addfchdir_np
#elif defined(__NetBSD__)
#define PORTHOLE_SPAWN_ENTERS posix_spawn_file_actions_addfchdir
#elif defined(__linux__) || defined(__APPLE__)
#define PORTHOLE_SPAWN_ENTERS posix_spawn_file_actions_addfchdir_np
#endif

#endif

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

#if defined(_WIN32)
using NativeSocket = SOCKET;
#else
using NativeSocket = int;
#endif

inline NativeSocket native(NativeHandle handle) noexcept {
    return static_cast<NativeSocket>(handle);
}

/// An endpoint as the system's calls take and give it.
struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t length = sizeof(sockaddr_storage);

    sockaddr* data() noexcept { return reinterpret_cast<sockaddr*>(&storage); }
    const sockaddr* data() const noexcept { return reinterpret_cast<const sockaddr*>(&storage); }
};

/// False for an endpoint that the system cannot hold: never set, or a path that is too long.
bool to_system(const Endpoint& endpoint, SocketAddress& address) noexcept;
Endpoint from_system(const SocketAddress& address);

// Below: what differs between the systems, defined in socket_posix.inl and socket_windows.inl.

/// The part of to_system() and from_system() for unix sockets.
bool local_to_system(std::string_view path, SocketAddress& address) noexcept;
Endpoint local_from_system(const SocketAddress& address);

/// errno or WSAGetLastError().
int last_socket_error() noexcept;
/// A stream socket, or the system's code.
int create_socket(Family family, Socket& socket) noexcept;
/// An Error for what getaddrinfo() returned.
Error resolver_error(std::string_view host, int resolver_code);
/// For calls that count whole milliseconds: rounded up, so that a wait is never cut to a busy loop;
/// -1 for Poller::forever.
inline int whole_milliseconds(Duration timeout) noexcept {
    constexpr std::chrono::milliseconds most{1'000'000'000};
    if (timeout < Duration::zero()) {
        return -1;
    }
    if (timeout > most) {
        return static_cast<int>(most.count());
    }
    const auto whole = std::chrono::duration_cast<std::chrono::milliseconds>(timeout);
    return static_cast<int>(whole.count()) + (whole < timeout ? 1 : 0);
}
/// True when a connection that is being made has succeeded or failed.
bool is_settled(NativeHandle handle) noexcept;
/// poll() or WSAPoll(): how many entries have events, negative when the call failed.
int poll_handles(pollfd* entries, std::size_t count, int timeout_ms) noexcept;

/// Tells the system's socket library that it is in use while the object lives. POSIX has
/// nothing to do; Windows counts.
class NetworkUse {
public:
    NetworkUse() noexcept;
    NetworkUse(const NetworkUse&) = delete;
    NetworkUse& operator=(const NetworkUse&) = delete;
    ~NetworkUse();
    /// What the system said when it could not be had, else 0.
    int code() const noexcept { return code_; }

private:
    int code_ = 0;
};

/// A socket option with an int value. False when the system refused; last_socket_error() tells.
inline bool set_option(NativeHandle handle, int level, int name, int value) noexcept {
    return ::setsockopt(
               native(handle), level, name, reinterpret_cast<const char*>(&value),
               static_cast<socklen_t>(sizeof value))
           == 0;
}

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/base/ascii.inl

#include <cstring>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// One byte per character: 1 for tchar. Built at compile time, so nothing runs before main().
struct TokenTable {
    bool is_token[256] = {};
    constexpr TokenTable() {
        for (int c = '0'; c <= '9'; ++c) {
            is_token[c] = true;
        }
        for (int c = 'a'; c <= 'z'; ++c) {
            is_token[c] = true;
            is_token[c - 'a' + 'A'] = true;
        }
        for (const char c :
             {'!', '#', '$', '%', '&', '\'', '*', '+', '-', '.', '^', '_', '`', '|', '~'}) {
            is_token[static_cast<unsigned char>(c)] = true;
        }
    }
};
inline constexpr TokenTable token_table{};

/// Eight bytes at a time: a set top bit for every byte that is below 0x20 or equal to 0x7f.
/// Exact for the question "is there any", which is all that is asked.
inline std::uint64_t control_bits(std::uint64_t word) noexcept {
    constexpr std::uint64_t ones = 0x0101010101010101u;
    constexpr std::uint64_t tops = 0x8080808080808080u;
    const std::uint64_t below_space = (word - ones * 0x20) & ~word;
    const std::uint64_t delete_zeroed = word ^ (ones * 0x7f);
    const std::uint64_t is_delete = (delete_zeroed - ones) & ~delete_zeroed;
    return (below_space | is_delete) & tops;
}

inline bool is_value_char(char c) noexcept {
    const auto byte = static_cast<unsigned char>(c);
    return (byte >= 0x20 && byte != 0x7f) || c == '\t';
}

} // namespace detail

namespace ascii {

PORTHOLE_FN bool equals_ignoring_case(std::string_view a, std::string_view b) noexcept {
    if (a.size() != b.size()) {
        return false;
    }
    for (std::size_t i = 0; i < a.size(); ++i) {
        if (a[i] != b[i] && to_lower(a[i]) != to_lower(b[i])) {
            return false;
        }
    }
    return true;
}

PORTHOLE_FN std::string_view trim(std::string_view text) noexcept {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) {
        text.remove_prefix(1);
    }
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) {
        text.remove_suffix(1);
    }
    return text;
}

PORTHOLE_FN bool is_token_char(char c) noexcept {
    return detail::token_table.is_token[static_cast<unsigned char>(c)];
}

PORTHOLE_FN bool is_token(std::string_view text) noexcept {
    for (const char c : text) {
        if (!is_token_char(c)) {
            return false;
        }
    }
    return !text.empty();
}

PORTHOLE_FN bool is_field_value(std::string_view text) noexcept {
    constexpr std::size_t step = sizeof(std::uint64_t);
    const auto has_control = [](const char* at) {
        std::uint64_t word = 0;
        std::memcpy(&word, at, step);
        return detail::control_bits(word) != 0;
    };
    bool is_suspect = text.size() < step;
    for (std::size_t i = 0; i + step <= text.size() && !is_suspect; i += step) {
        is_suspect = has_control(text.data() + i);
    }
    if (!is_suspect && !has_control(text.data() + text.size() - step)) {
        return true;
    }
    for (const char c : text) { // short, or with a tab, which is legal
        if (!detail::is_value_char(c)) {
            return false;
        }
    }
    return true;
}

PORTHOLE_FN bool is_visible(std::string_view text) noexcept {
    for (const char c : text) {
        if (c < '!' || c > '~') {
            return false;
        }
    }
    return true;
}

PORTHOLE_FN std::optional<std::uint64_t> parse_decimal(std::string_view text) noexcept {
    if (text.empty()) {
        return std::nullopt;
    }
    constexpr std::uint64_t base = 10;
    std::uint64_t value = 0;
    for (const char c : text) {
        if (!is_digit(c)) {
            return std::nullopt;
        }
        const auto digit = static_cast<std::uint64_t>(c - '0');
        if (value > (UINT64_MAX - digit) / base) {
            return std::nullopt;
        }
        value = value * base + digit;
    }
    return value;
}

PORTHOLE_FN std::size_t write_decimal(char* into, std::uint64_t value) noexcept {
    constexpr std::uint64_t base = 10;
    char reversed[20];
    std::size_t size = 0;
    do {
        reversed[size++] = static_cast<char>('0' + value % base);
        value /= base;
    } while (value != 0);
    for (std::size_t i = 0; i < size; ++i) {
        into[i] = reversed[size - 1 - i];
    }
    return size;
}

PORTHOLE_FN std::optional<std::string_view> next_list_element(std::string_view& rest) noexcept {
    while (!rest.empty()) {
        bool is_quoted = false;
        std::size_t end = 0;
        for (; end < rest.size(); ++end) {
            if (rest[end] == '"') {
                is_quoted = !is_quoted;
            } else if (rest[end] == '\\' && is_quoted && end + 1 < rest.size()) {
                ++end;
            } else if (rest[end] == ',' && !is_quoted) {
                break;
            }
        }
        const std::string_view element = trim(rest.substr(0, end));
        rest.remove_prefix(end < rest.size() ? end + 1 : end);
        if (!element.empty()) {
            return element;
        }
    }
    return std::nullopt;
}

PORTHOLE_FN bool list_has(std::string_view list, std::string_view element) noexcept {
    while (const auto found = next_list_element(list)) {
        if (equals_ignoring_case(*found, element)) {
            return true;
        }
    }
    return false;
}

} // namespace ascii

PORTHOLE_NAMESPACE_END

// porthole/base/base64.inl

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// Three bytes make four digits of six bits; what is missing at the end is padded, if at all.
inline std::string encode_base64(std::string_view bytes, std::string_view digits, bool is_padded) {
    constexpr std::size_t group = 3;
    constexpr unsigned six_bits = 0x3f;
    std::string text;
    text.reserve((bytes.size() / group + 1) * (group + 1));
    for (std::size_t i = 0; i < bytes.size(); i += group) {
        const std::size_t here = bytes.size() - i < group ? bytes.size() - i : group;
        unsigned value = 0;
        for (std::size_t j = 0; j < group; ++j) {
            value = (value << 8) | (j < here ? static_cast<unsigned char>(bytes[i + j]) : 0u);
        }
        for (std::size_t j = 0; j <= group; ++j) {
            if (j <= here) {
                text += digits[(value >> (6 * (group - j))) & six_bits];
            } else if (is_padded) {
                text += '=';
            }
        }
    }
    return text;
}

PORTHOLE_FN std::string base64(std::string_view bytes) {
    return encode_base64(
        bytes, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", true);
}

PORTHOLE_FN std::string base64url(std::string_view bytes) {
    return encode_base64(
        bytes, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", false);
}

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/base/buffer.inl

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN Buffer::Buffer(Buffer&& other) noexcept
    : memory_(std::move(other.memory_)), capacity_(std::exchange(other.capacity_, 0)),
      begin_(std::exchange(other.begin_, 0)), end_(std::exchange(other.end_, 0)),
      max_bytes_(other.max_bytes_) {}

PORTHOLE_FN Buffer& Buffer::operator=(Buffer&& other) noexcept {
    memory_ = std::move(other.memory_);
    capacity_ = std::exchange(other.capacity_, 0);
    begin_ = std::exchange(other.begin_, 0);
    end_ = std::exchange(other.end_, 0);
    max_bytes_ = other.max_bytes_;
    return *this;
}

PORTHOLE_FN bool Buffer::append(std::string_view bytes) {
    if (bytes.empty()) {
        return true;
    }
    char* into = prepare(bytes.size());
    if (into == nullptr) {
        return false;
    }
    std::memcpy(into, bytes.data(), bytes.size());
    commit(bytes.size());
    return true;
}

PORTHOLE_FN char* Buffer::prepare(std::size_t size) {
    if (size > capacity_ - end_ && !make_room(size)) {
        return nullptr;
    }
    return memory_.get() + end_;
}

PORTHOLE_FN void Buffer::consume(std::size_t size) noexcept {
    PORTHOLE_ASSERT(size <= this->size(), "consume at most what the buffer holds");
    begin_ += size < this->size() ? size : this->size();
    if (begin_ == end_) {
        begin_ = end_ = 0;
    }
}

PORTHOLE_FN void Buffer::release() noexcept {
    memory_.reset();
    capacity_ = begin_ = end_ = 0;
}

/// Doubles, so that adding byte by byte stays linear; moves the content down when that is
/// enough and frees at least half, so that moving stays linear too, or when it cannot grow.
PORTHOLE_FN bool Buffer::make_room(std::size_t size) {
    const std::size_t smallest = max_bytes_ < 256 ? max_bytes_ : 256;
    const std::size_t held = this->size();
    if (held > max_bytes_ || size > max_bytes_ - held) {
        return false;
    }
    const std::size_t needed = held + size;
    const bool is_worth_moving = begin_ >= capacity_ / 2 || capacity_ == max_bytes_;
    if (needed <= capacity_ && is_worth_moving) {
        std::memmove(memory_.get(), memory_.get() + begin_, held);
    } else {
        std::size_t grown = capacity_ < smallest ? smallest : capacity_;
        while (grown < needed || (grown == capacity_ && grown < max_bytes_)) {
            grown = grown > max_bytes_ / 2 ? max_bytes_ : grown * 2;
        }
        grown = grown < needed ? needed : grown;
        std::unique_ptr<char[]> memory(new char[grown]);
        if (held != 0) {
            std::memcpy(memory.get(), memory_.get() + begin_, held);
        }
        memory_ = std::move(memory);
        capacity_ = grown;
    }
    begin_ = 0;
    end_ = held;
    return true;
}

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/base/error.inl

PORTHOLE_NAMESPACE_BEGIN

PORTHOLE_FN Error::Error(
    ErrorCode code, std::string_view call, std::string_view subject, std::string_view advice) {
    if (code != ErrorCode::ok) {
        facts_ = new Facts;
        facts_->code = code;
        facts_->call = call;
        facts_->subject = subject;
        facts_->advice = advice;
    }
}

PORTHOLE_FN Error::Error(const Error& other)
    : facts_(other.facts_ != nullptr ? new Facts(*other.facts_) : nullptr) {}

PORTHOLE_FN void Error::forget() noexcept {
    delete facts_;
    facts_ = nullptr;
}

PORTHOLE_FN ErrorCode Error::code() const noexcept {
    return facts_ != nullptr ? facts_->code : ErrorCode::ok;
}

PORTHOLE_FN std::string_view Error::call() const noexcept {
    return facts_ != nullptr ? std::string_view(facts_->call) : std::string_view();
}

PORTHOLE_FN std::string_view Error::endpoint() const noexcept {
    return facts_ != nullptr ? std::string_view(facts_->subject) : std::string_view();
}

PORTHOLE_FN std::string_view Error::system_text() const noexcept {
    return facts_ != nullptr ? std::string_view(facts_->system_text) : std::string_view();
}

PORTHOLE_FN int Error::system_code() const noexcept {
    return facts_ != nullptr ? facts_->system_code : 0;
}

PORTHOLE_FN std::string_view Error::advice() const noexcept {
    return facts_ != nullptr ? std::string_view(facts_->advice) : std::string_view();
}

PORTHOLE_FN Error&& Error::with_system(int system_code, std::string_view system_text) && {
    if (facts_ != nullptr) {
        facts_->system_code = system_code;
        facts_->system_text = system_text;
    }
    return static_cast<Error&&>(*this);
}

PORTHOLE_FN std::string Error::message() const {
    if (facts_ == nullptr) {
        return "no error";
    }
    const Facts& what = *facts_;
    std::string text = what.call;
    if (!what.subject.empty()) {
        text.append(text.empty() ? "" : " ").append(what.subject);
    }
    text.append(text.empty() ? "" : ": ");
    if (what.system_text.empty()) {
        text += describe(what.code);
    } else {
        text.append(what.system_text).append(" (");
        text.append(std::to_string(what.system_code)).append(")");
    }
    if (!what.advice.empty()) {
        text.append("; ").append(what.advice);
    }
    return text;
}

PORTHOLE_FN std::string_view describe(ErrorCode code) noexcept {
    switch (code) {
    case ErrorCode::ok: return "no error";
    case ErrorCode::address_in_use: return "address already in use";
    case ErrorCode::address_not_available: return "this machine does not have that address";
    case ErrorCode::permission_denied: return "permission denied";
    case ErrorCode::unknown_host: return "unknown host";
    case ErrorCode::unsupported_family: return "this machine does not support that address family";
    case ErrorCode::bad_port: return "not a port from 0 to 65535";
    case ErrorCode::bad_path: return "not usable as a unix socket path";
    case ErrorCode::not_exposed: return "not a loopback address";
    case ErrorCode::too_many_files: return "no file descriptor left";
    case ErrorCode::connection_refused: return "connection refused";
    case ErrorCode::timed_out: return "timed out";
    case ErrorCode::bad_pattern: return "not a valid route pattern";
    case ErrorCode::already_exists: return "already exists";
    case ErrorCode::not_found: return "not found";
    case ErrorCode::misuse: return "not allowed in this state";
    case ErrorCode::system: return "the operating system refused";
    }
    return "unknown error";
}

PORTHOLE_NAMESPACE_END

// porthole/base/histogram.inl

PORTHOLE_NAMESPACE_BEGIN

/// The highest set bit picks the doubling, the two bits below it the step.
PORTHOLE_FN std::size_t Histogram::bucket_of(std::uint64_t nanoseconds) noexcept {
    if (nanoseconds < steps) {
        return static_cast<std::size_t>(nanoseconds);
    }
    constexpr unsigned stride = 8; // first by bytes, then by bits: this runs in every tick
    std::size_t doubling = 0;
    std::uint64_t rest = nanoseconds;
    for (; rest >= (2 * steps) << stride; rest >>= stride) {
        doubling += stride;
    }
    for (; rest >= 2 * steps; rest >>= 1) {
        ++doubling;
    }
    const std::size_t step = static_cast<std::size_t>(nanoseconds >> doubling) - steps;
    const std::size_t bucket = (doubling + 1) * steps + step;
    return bucket < buckets ? bucket : buckets - 1;
}

PORTHOLE_FN std::uint64_t Histogram::end_of(std::size_t bucket) noexcept {
    if (bucket < steps) {
        return bucket;
    }
    const std::size_t doubling = bucket / steps - 1;
    const std::uint64_t next = steps + bucket % steps + 1;
    return (next << doubling) - 1;
}

PORTHOLE_FN void Histogram::add(std::chrono::nanoseconds duration) noexcept {
    const auto ticks = duration.count() < 0 ? 0 : duration.count();
    ++counts_[bucket_of(static_cast<std::uint64_t>(ticks))];
    ++count_;
    if (duration > longest_) {
        longest_ = duration;
    }
}

PORTHOLE_FN std::chrono::nanoseconds Histogram::percentile(double fraction) const noexcept {
    const double wanted = fraction * static_cast<double>(count_);
    std::uint64_t seen = 0;
    for (std::size_t bucket = 0; bucket < buckets; ++bucket) {
        seen += counts_[bucket];
        if (seen != 0 && static_cast<double>(seen) >= wanted) {
            const std::chrono::nanoseconds end{static_cast<std::int64_t>(end_of(bucket))};
            // The last bucket also holds what is longer than its end.
            return end < longest_ && bucket + 1 < buckets ? end : longest_;
        }
    }
    return longest_;
}

PORTHOLE_NAMESPACE_END

// porthole/base/ip_address.inl

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN bool parse_ipv4(std::string_view text, std::array<std::uint8_t, 4>& address) noexcept {
    constexpr std::size_t max_digits = 3;
    for (std::size_t octet = 0; octet < address.size(); ++octet) {
        const bool is_last = octet + 1 == address.size();
        const std::size_t dot = text.find('.');
        if (is_last != (dot == std::string_view::npos)) {
            return false;
        }
        const std::string_view digits = text.substr(0, dot);
        const std::optional<std::uint64_t> value = ascii::parse_decimal(digits);
        if (!value || *value > UINT8_MAX || digits.size() > max_digits
            || (digits.size() > 1 && digits[0] == '0')) {
            return false;
        }
        address[octet] = static_cast<std::uint8_t>(*value);
        text.remove_prefix(is_last ? text.size() : dot + 1);
    }
    return true;
}

/// Takes one group of hexadecimal digits from the front; false when there is none of one to four.
inline bool take_group(std::string_view& text, std::uint8_t* into) noexcept {
    constexpr std::size_t max_digits = 4;
    constexpr unsigned bits_per_digit = 4;
    constexpr unsigned bits_per_byte = 8;
    unsigned value = 0;
    std::size_t size = 0;
    while (size < text.size() && ascii::hex_value(text[size]) >= 0) {
        if (size == max_digits) {
            return false;
        }
        value = (value << bits_per_digit) | static_cast<unsigned>(ascii::hex_value(text[size]));
        ++size;
    }
    text.remove_prefix(size);
    into[0] = static_cast<std::uint8_t>(value >> bits_per_byte);
    into[1] = static_cast<std::uint8_t>(value & UINT8_MAX);
    return size != 0;
}

PORTHOLE_FN bool parse_ipv6(std::string_view text, std::array<std::uint8_t, 16>& address) noexcept {
    constexpr std::size_t ipv4_size = 4;
    std::array<std::uint8_t, 16> found{};
    std::size_t size = 0;                 // bytes found
    std::size_t gap = address.size() + 1; // where "::" stood
    if (text.substr(0, 2) == "::") {
        gap = 0;
        text.remove_prefix(2);
    }
    while (!text.empty()) {
        const std::size_t dot = text.find('.');
        if (dot != std::string_view::npos && text.find(':') == std::string_view::npos) {
            std::array<std::uint8_t, ipv4_size> last{};
            if (size + ipv4_size > found.size() || !parse_ipv4(text, last)) {
                return false;
            }
            for (const std::uint8_t byte : last) {
                found[size++] = byte;
            }
            break;
        }
        if (size + 2 > found.size() || !take_group(text, &found[size])) {
            return false;
        }
        size += 2;
        if (text.empty()) {
            break;
        }
        if (text.substr(0, 2) == "::" && gap > address.size()) {
            gap = size;
            text.remove_prefix(2);
        } else if (text[0] == ':' && text.size() > 1 && text[1] != ':') {
            text.remove_prefix(1);
        } else {
            return false;
        }
    }
    const bool has_gap = gap <= address.size();
    if (has_gap ? size >= address.size() : size != address.size()) {
        return false;
    }
    const std::size_t head = has_gap ? gap : size;
    address = {};
    for (std::size_t i = 0; i < head; ++i) {
        address[i] = found[i];
    }
    for (std::size_t i = head; i < size; ++i) {
        address[address.size() - size + i] = found[i];
    }
    return true;
}

/// True when all but the last `kept` bytes are zero, but for the ffff of a mapped IPv4 address.
inline bool has_zero_prefix(const std::array<std::uint8_t, 16>& address, bool is_mapped) noexcept {
    constexpr std::size_t zeros = 10;
    constexpr std::size_t prefix = 12;
    for (std::size_t i = 0; i < prefix; ++i) {
        if (address[i] != (is_mapped && i >= zeros ? UINT8_MAX : 0)) {
            return false;
        }
    }
    return true;
}

inline std::array<std::uint8_t, 4>
last_octets(const std::array<std::uint8_t, 16>& address) noexcept {
    return {address[12], address[13], address[14], address[15]};
}

PORTHOLE_FN bool is_loopback(const std::array<std::uint8_t, 16>& address) noexcept {
    const std::array<std::uint8_t, 4> last = last_octets(address);
    const bool is_one = last[0] == 0 && last[1] == 0 && last[2] == 0 && last[3] == 1;
    return (is_one && has_zero_prefix(address, false))
           || (is_loopback(last) && has_zero_prefix(address, true));
}

PORTHOLE_FN bool is_unspecified(const std::array<std::uint8_t, 16>& address) noexcept {
    return is_unspecified(last_octets(address))
           && (has_zero_prefix(address, false) || has_zero_prefix(address, true));
}

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/base/sha1.inl

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

using Sha1State = std::array<std::uint32_t, 5>;
inline constexpr std::size_t sha1_block_size = 64;

inline std::uint32_t rotate_left(std::uint32_t word, unsigned bits) noexcept {
    return (word << bits) | (word >> (32u - bits));
}

/// FIPS 180-4 section 6.1.2.
inline void add_sha1_block(Sha1State& state, const unsigned char* block) noexcept {
    constexpr std::size_t rounds = 80;
    std::uint32_t words[rounds];
    for (std::size_t i = 0; i < 16; ++i, block += 4) {
        words[i] = (std::uint32_t{block[0]} << 24) | (std::uint32_t{block[1]} << 16)
                   | (std::uint32_t{block[2]} << 8) | std::uint32_t{block[3]};
    }
    for (std::size_t i = 16; i < rounds; ++i) {
        words[i] = rotate_left(words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16], 1);
    }
    auto [a, b, c, d, e] = state;
    for (std::size_t i = 0; i < rounds; ++i) {
        std::uint32_t mixed = 0;
        if (i < 20) {
            mixed = ((b & c) | (~b & d)) + 0x5a827999u;
        } else if (i < 40) {
            mixed = (b ^ c ^ d) + 0x6ed9eba1u;
        } else if (i < 60) {
            mixed = ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdcu;
        } else {
            mixed = (b ^ c ^ d) + 0xca62c1d6u;
        }
        const std::uint32_t next = rotate_left(a, 5) + mixed + e + words[i];
        e = d;
        d = c;
        c = rotate_left(b, 30);
        b = a;
        a = next;
    }
    state = {state[0] + a, state[1] + b, state[2] + c, state[3] + d, state[4] + e};
}

PORTHOLE_FN Sha1Digest sha1(std::string_view bytes) noexcept {
    Sha1State state{0x67452301u, 0xefcdab89u, 0x98badcfeu, 0x10325476u, 0xc3d2e1f0u};
    const std::uint64_t bits = std::uint64_t{bytes.size()} * 8;
    unsigned char block[sha1_block_size] = {};
    std::size_t used = 0;
    for (const char c : bytes) {
        block[used++] = static_cast<unsigned char>(c);
        if (used == sha1_block_size) {
            add_sha1_block(state, block);
            used = 0;
        }
    }
    // FIPS 180-4 section 5.1.1: a one bit, zeros, and the length in the last eight bytes.
    constexpr std::size_t length_at = sha1_block_size - 8;
    block[used++] = 0x80;
    if (used > length_at) {
        for (; used < sha1_block_size; ++used) {
            block[used] = 0;
        }
        add_sha1_block(state, block);
        used = 0;
    }
    for (; used < length_at; ++used) {
        block[used] = 0;
    }
    for (unsigned i = 0; i < 8; ++i) {
        block[length_at + i] = static_cast<unsigned char>((bits >> (56 - 8 * i)) & 0xff);
    }
    add_sha1_block(state, block);
    Sha1Digest digest{};
    for (std::size_t i = 0; i < digest.size(); ++i) {
        digest[i] = static_cast<char>((state[i / 4] >> (24 - 8 * (i % 4))) & 0xff);
    }
    return digest;
}

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/base/timer_wheel.inl

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN TimerWheel::TimerWheel(TimePoint now) noexcept
    : epoch_(now), next_due_(now + resolution) {}

PORTHOLE_FN std::int64_t TimerWheel::tick_of(TimePoint time) const noexcept {
    return (time - epoch_) / std::chrono::duration_cast<Duration>(resolution);
}

PORTHOLE_FN TimePoint TimerWheel::time_of(std::int64_t tick) const noexcept {
    return epoch_ + std::chrono::duration_cast<Duration>(resolution) * tick;
}

PORTHOLE_FN void TimerWheel::arm(Timer& timer, TimePoint deadline) noexcept {
    timer.deadline_ = deadline;
    if (timer.is_linked() && timer.scheduled_tick_ <= tick_of(deadline)) {
        return; // found when its slot is due, and moved then
    }
    place(timer);
}

PORTHOLE_FN void TimerWheel::place(Timer& timer) noexcept {
    // One slot less than there are: expire() places timers while the slot before the current
    // one is still being emptied, and must not find them there again.
    const std::int64_t last = current_tick_ + static_cast<std::int64_t>(slots) - 2;
    std::int64_t tick = tick_of(timer.deadline_);
    tick = tick < current_tick_ ? current_tick_ : tick;
    tick = tick > last ? last : tick;
    timer.scheduled_tick_ = tick;
    slots_[static_cast<std::size_t>(tick) % slots].push_back(timer);
}

/// After more than a whole turn without a look, one turn up to `now_tick` sees every timer.
PORTHOLE_FN void TimerWheel::skip_to(std::int64_t now_tick) noexcept {
    const std::int64_t turn = static_cast<std::int64_t>(slots);
    if (now_tick - current_tick_ > turn) {
        current_tick_ = now_tick - turn;
    }
}

/// A slot is looked at once all of it has passed, so that nothing in it can still be early.
PORTHOLE_FN Timer* TimerWheel::expire(TimePoint now) noexcept {
    const std::int64_t now_tick = tick_of(now);
    skip_to(now_tick);
    while (current_tick_ < now_tick) {
        Slot& slot = slots_[static_cast<std::size_t>(current_tick_) % slots];
        while (Timer* timer = slot.pop_front()) {
            if (timer->deadline_ <= now) {
                return timer;
            }
            const std::int64_t here = current_tick_++;
            place(*timer); // never into the slot that is being emptied
            current_tick_ = here;
        }
        ++current_tick_;
    }
    next_due_ = time_of(current_tick_ + 1);
    return nullptr;
}

PORTHOLE_FN TimePoint TimerWheel::next_deadline() const noexcept {
    for (std::size_t i = 0; i < slots; ++i) {
        const std::int64_t tick = current_tick_ + static_cast<std::int64_t>(i);
        if (!slots_[static_cast<std::size_t>(tick) % slots].is_empty()) {
            return time_of(tick + 1);
        }
    }
    return never;
}

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/base/utf8.inl

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN std::size_t ascii_prefix(std::string_view text) noexcept {
    constexpr std::uint64_t high_bits = 0x8080808080808080u;
    constexpr std::size_t stride = 4 * sizeof(std::uint64_t);
    std::size_t at = 0;
    for (; text.size() - at >= stride; at += stride) {
        std::uint64_t words[4];
        std::memcpy(words, text.data() + at, stride);
        if (((words[0] | words[1] | words[2] | words[3]) & high_bits) != 0) {
            break;
        }
    }
    while (at < text.size() && static_cast<unsigned char>(text[at]) < 0x80) {
        ++at;
    }
    return at;
}

/// RFC 3629 section 4: the first byte says how many follow, and what the second may be, so that
/// there are no overlong forms, no surrogates and nothing above U+10FFFF.
PORTHOLE_FN bool Utf8Validator::begin_character(unsigned char byte) noexcept {
    least_ = 0x80;
    largest_ = 0xbf;
    if (byte >= 0xc2 && byte <= 0xdf) {
        missing_ = 1;
    } else if (byte >= 0xe0 && byte <= 0xef) {
        missing_ = 2;
        least_ = byte == 0xe0 ? 0xa0 : 0x80;
        largest_ = byte == 0xed ? 0x9f : 0xbf;
    } else if (byte >= 0xf0 && byte <= 0xf4) {
        missing_ = 3;
        least_ = byte == 0xf0 ? 0x90 : 0x80;
        largest_ = byte == 0xf4 ? 0x8f : 0xbf;
    } else {
        is_valid_ = false;
    }
    return is_valid_;
}

PORTHOLE_FN bool Utf8Validator::feed(std::string_view piece) noexcept {
    std::size_t at = 0;
    while (is_valid_ && at < piece.size()) {
        const auto byte = static_cast<unsigned char>(piece[at]);
        if (missing_ != 0) {
            is_valid_ = byte >= least_ && byte <= largest_;
            least_ = 0x80;
            largest_ = 0xbf;
            --missing_;
            ++at;
        } else if (byte < 0x80) {
            at += ascii_prefix(piece.substr(at));
        } else {
            begin_character(byte);
            ++at;
        }
    }
    return is_valid_;
}

PORTHOLE_FN bool is_utf8(std::string_view text) noexcept {
    Utf8Validator validator;
    return validator.feed(text) && validator.is_complete();
}

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/os/endpoint.inl

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

inline constexpr std::size_t ipv4_bytes = 4;
inline constexpr std::size_t ipv6_bytes = 16;
inline constexpr std::size_t ipv6_groups = 8;
/// Where the IPv4 address begins in ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2).
inline constexpr std::size_t mapped_offset = 12;

/// True for ::ffff:0:0/96.
inline bool is_mapped(const std::array<std::uint8_t, 16>& address) noexcept {
    constexpr std::uint8_t prefix[mapped_offset] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    return std::memcmp(address.data(), prefix, sizeof prefix) == 0;
}

inline void append_number(std::string& text, std::uint64_t number) {
    char digits[20];
    text.append(digits, ascii::write_decimal(digits, number));
}

inline void append_ipv4(std::string& text, const std::uint8_t* bytes) {
    for (std::size_t i = 0; i < ipv4_bytes; ++i) {
        text += i == 0 ? "" : ".";
        append_number(text, bytes[i]);
    }
}

/// Lower case, without leading zeros (RFC 5952 sections 4.1 and 4.3).
inline void append_group(std::string& text, unsigned group) {
    constexpr char digits[] = "0123456789abcdef";
    bool is_leading = true;
    for (unsigned shift = 16; shift > 0;) {
        shift -= 4;
        const unsigned digit = (group >> shift) & 0xf;
        is_leading = is_leading && digit == 0 && shift != 0;
        if (!is_leading) {
            text += digits[digit];
        }
    }
}

/// RFC 5952 section 4.2: the longest run of two or more zero groups becomes "::", the first one of
/// equals. Section 5: the last 32 bits are dotted when a well-known prefix says that they are IPv4.
inline void append_ipv6(std::string& text, const std::array<std::uint8_t, 16>& address) {
    if (is_mapped(address)) {
        text += "::ffff:";
        append_ipv4(text, address.data() + mapped_offset);
        return;
    }
    unsigned groups[ipv6_groups];
    for (std::size_t i = 0; i < ipv6_groups; ++i) {
        groups[i] = static_cast<unsigned>(address[2 * i] << 8 | address[2 * i + 1]);
    }
    std::size_t best = ipv6_groups;
    std::size_t best_length = 1;
    for (std::size_t i = 0; i < ipv6_groups; ++i) {
        std::size_t length = 0;
        while (i + length < ipv6_groups && groups[i + length] == 0) {
            ++length;
        }
        if (length > best_length) {
            best = i;
            best_length = length;
        }
    }
    for (std::size_t i = 0; i < ipv6_groups; ++i) {
        if (i == best) {
            text += "::";
            i += best_length - 1;
            continue;
        }
        if (i != 0 && text.back() != ':') {
            text += ':';
        }
        append_group(text, groups[i]);
    }
}

/// Where an endpoint keeps an IPv4 address.
inline std::array<std::uint8_t, 4>
first_octets(const std::array<std::uint8_t, 16>& address) noexcept {
    return {address[0], address[1], address[2], address[3]};
}

} // namespace detail

PORTHOLE_FN Endpoint
Endpoint::ipv4(const std::array<std::uint8_t, 4>& address, std::uint16_t port) {
    Endpoint endpoint;
    endpoint.family_ = Family::ipv4;
    endpoint.port_ = port;
    std::memcpy(endpoint.address_.data(), address.data(), address.size());
    return endpoint;
}

PORTHOLE_FN Endpoint Endpoint::ipv6(
    const std::array<std::uint8_t, 16>& address, std::uint16_t port, std::uint32_t scope_id) {
    Endpoint endpoint;
    endpoint.family_ = Family::ipv6;
    endpoint.port_ = port;
    endpoint.scope_id_ = scope_id;
    endpoint.address_ = address;
    return endpoint;
}

PORTHOLE_FN Endpoint Endpoint::local(std::string_view path) {
    Endpoint endpoint;
    endpoint.family_ = Family::local;
    endpoint.path_ = path;
    return endpoint;
}

PORTHOLE_FN bool Endpoint::is_loopback() const noexcept {
    switch (family_) {
    case Family::any: return false;
    case Family::local: return true;
    case Family::ipv4: return detail::is_loopback(detail::first_octets(address_));
    case Family::ipv6: break;
    }
    return detail::is_loopback(address_);
}

PORTHOLE_FN bool Endpoint::is_wildcard() const noexcept {
    switch (family_) {
    case Family::any:
    case Family::local: return false;
    case Family::ipv4: return detail::is_unspecified(detail::first_octets(address_));
    case Family::ipv6: break;
    }
    return detail::is_unspecified(address_);
}

PORTHOLE_FN std::string Endpoint::host_text() const {
    std::string text;
    switch (family_) {
    case Family::any: break;
    case Family::ipv4: detail::append_ipv4(text, address_.data()); break;
    case Family::ipv6:
        detail::append_ipv6(text, address_);
        if (scope_id_ != 0) { // RFC 4007 section 11.2
            text += '%';
            detail::append_number(text, scope_id_);
        }
        break;
    case Family::local: text = path_; break;
    }
    return text;
}

PORTHOLE_FN std::string Endpoint::to_string() const {
    std::string text;
    switch (family_) {
    case Family::any: return text;
    case Family::local: return "unix:" + path_;
    case Family::ipv4: text = host_text(); break;
    case Family::ipv6: text = "[" + host_text() + "]"; break;
    }
    text += ':';
    detail::append_number(text, port_);
    return text;
}

namespace detail {

// Ports and addresses are copied bytewise: they are in network byte order on both sides, and the
// structures of the system differ in everything but the size of these fields.

PORTHOLE_FN bool to_system(const Endpoint& endpoint, SocketAddress& address) noexcept {
    const std::uint8_t port[2] = {
        static_cast<std::uint8_t>(endpoint.port() >> 8),
        static_cast<std::uint8_t>(endpoint.port() & 0xff)};
    address = SocketAddress();
    switch (endpoint.family()) {
    case Family::any: return false;
    case Family::local: return local_to_system(endpoint.path(), address);
    case Family::ipv4: {
        sockaddr_in in4{};
        in4.sin_family = AF_INET;
        std::memcpy(&in4.sin_port, port, sizeof port);
        std::memcpy(&in4.sin_addr, endpoint.address().data(), ipv4_bytes);
        std::memcpy(&address.storage, &in4, sizeof in4);
        address.length = static_cast<socklen_t>(sizeof in4);
        return true;
    }
    case Family::ipv6: {
        sockaddr_in6 in6{};
        in6.sin6_family = AF_INET6;
        in6.sin6_scope_id = endpoint.scope_id();
        std::memcpy(&in6.sin6_port, port, sizeof port);
        std::memcpy(&in6.sin6_addr, endpoint.address().data(), ipv6_bytes);
        std::memcpy(&address.storage, &in6, sizeof in6);
        address.length = static_cast<socklen_t>(sizeof in6);
        return true;
    }
    }
    return false;
}

PORTHOLE_FN Endpoint from_system(const SocketAddress& address) {
    const auto length = static_cast<std::size_t>(address.length);
    std::uint8_t port[2] = {0, 0};
    if (address.storage.ss_family == AF_INET && length >= sizeof(sockaddr_in)) {
        sockaddr_in in4{};
        std::memcpy(&in4, &address.storage, sizeof in4);
        std::memcpy(port, &in4.sin_port, sizeof port);
        std::array<std::uint8_t, ipv4_bytes> bytes{};
        std::memcpy(bytes.data(), &in4.sin_addr, bytes.size());
        return Endpoint::ipv4(bytes, static_cast<std::uint16_t>(port[0] << 8 | port[1]));
    }
    if (address.storage.ss_family == AF_INET6 && length >= sizeof(sockaddr_in6)) {
        sockaddr_in6 in6{};
        std::memcpy(&in6, &address.storage, sizeof in6);
        std::memcpy(port, &in6.sin6_port, sizeof port);
        std::array<std::uint8_t, ipv6_bytes> bytes{};
        std::memcpy(bytes.data(), &in6.sin6_addr, bytes.size());
        return Endpoint::ipv6(
            bytes, static_cast<std::uint16_t>(port[0] << 8 | port[1]), in6.sin6_scope_id);
    }
    return local_from_system(address);
}

inline void append_unique(std::vector<Endpoint>& endpoints, const Endpoint& endpoint) {
    for (const Endpoint& known : endpoints) {
        if (known == endpoint) {
            return;
        }
    }
    endpoints.push_back(endpoint);
}

/// RFC 6761 section 6.3: the name and all names below it, with or without the root's dot.
inline bool is_localhost(std::string_view host) noexcept {
    constexpr std::string_view name = "localhost";
    if (!host.empty() && host.back() == '.') {
        host.remove_suffix(1);
    }
    if (host.size() < name.size()
        || !ascii::equals_ignoring_case(host.substr(host.size() - name.size()), name)) {
        return false;
    }
    const std::string_view below = host.substr(0, host.size() - name.size());
    return below.empty() || (below.size() > 1 && below.back() == '.');
}

inline void append_localhost(std::uint16_t port, Family family, std::vector<Endpoint>& endpoints) {
    if (family != Family::ipv4) {
        std::array<std::uint8_t, ipv6_bytes> loopback{};
        loopback.back() = 1;
        append_unique(endpoints, Endpoint::ipv6(loopback, port));
    }
    if (family != Family::ipv6) {
        append_unique(endpoints, Endpoint::ipv4({127, 0, 0, 1}, port));
    }
}

inline int system_family(Family family) noexcept {
    switch (family) {
    case Family::ipv4: return AF_INET;
    case Family::ipv6: return AF_INET6;
    case Family::any:
    case Family::local: break;
    }
    return AF_UNSPEC;
}

struct AddressListDeleter {
    void operator()(addrinfo* list) const noexcept { ::freeaddrinfo(list); }
};

PORTHOLE_FN Error resolve(
    std::string_view host, std::uint16_t port, const ResolveOptions& options,
    std::vector<Endpoint>& endpoints) {
    /// The longest name of RFC 1035 section 2.3.4, with room for the zone of an address.
    constexpr std::size_t max_host_bytes = 320;
    if (options.family == Family::local) {
        return Error(
            ErrorCode::unsupported_family, "getaddrinfo", host,
            "a host name has no unix socket; give the path to listen_unix() or as unix:/path");
    }
    if (host.size() > max_host_bytes || host.find('\0') != std::string_view::npos) {
        return Error(
            ErrorCode::unknown_host, "getaddrinfo", host.substr(0, max_host_bytes),
            "this cannot be a host name; try localhost");
    }
    if (is_localhost(host)) {
        append_localhost(port, options.family, endpoints);
        return {};
    }
    // As in a URI, so that what urls() shows can be typed back.
    const bool is_bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']'
                              && host.find(':') != std::string_view::npos;
    const std::string name(is_bracketed ? host.substr(1, host.size() - 2) : host);
    const std::string service = std::to_string(port);

    addrinfo hints{};
    hints.ai_family = system_family(options.family);
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_protocol = IPPROTO_TCP;
    hints.ai_flags = AI_NUMERICSERV;
    hints.ai_flags |= options.is_passive ? AI_PASSIVE : 0;
    hints.ai_flags |= is_bracketed ? AI_NUMERICHOST : 0;

    const NetworkUse network;
    addrinfo* found = nullptr;
    const int code =
        ::getaddrinfo(name.empty() ? nullptr : name.c_str(), service.c_str(), &hints, &found);
    if (code != 0) {
        return resolver_error(host, code);
    }
    const std::unique_ptr<addrinfo, AddressListDeleter> owner(found);
    const std::size_t size_before = endpoints.size();
    for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
        const auto length = static_cast<std::size_t>(entry->ai_addrlen);
        SocketAddress address;
        if (length > sizeof address.storage
            || (entry->ai_family != AF_INET && entry->ai_family != AF_INET6)) {
            continue;
        }
        std::memcpy(&address.storage, entry->ai_addr, length);
        address.length = static_cast<socklen_t>(length);
        append_unique(endpoints, from_system(address));
    }
    if (endpoints.size() == size_before) {
        return Error(
            ErrorCode::unknown_host, "getaddrinfo", host, "the name has no address to use");
    }
    return {};
}

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/os/socket_posix.inl

// Sockets on POSIX systems: file descriptors, errno, and a write that never raises SIGPIPE.
// socket_windows.inl beside it says the same in Winsock.

// porthole/os/socket.inl

// What a socket is on every system: the ownership of its handle, and how the system's codes become
// sentences that tell the user what to do.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// How often a call that a signal interrupted is made again before it counts as "nothing now".
inline constexpr int max_interrupts = 16;

PORTHOLE_FN Socket& Socket::operator=(Socket&& other) noexcept {
    if (this != &other) {
        close();
        handle_ = other.handle_;
        other.handle_ = invalid_handle;
    }
    return *this;
}

PORTHOLE_FN NativeHandle Socket::release() noexcept {
    const NativeHandle handle = handle_;
    handle_ = invalid_handle;
    return handle;
}

inline std::string_view family_text(Family family) noexcept {
    switch (family) {
    case Family::any: break;
    case Family::ipv4: return "IPv4";
    case Family::ipv6: return "IPv6";
    case Family::local: return "unix";
    }
    return "no family";
}

PORTHOLE_FN Error Socket::open(Family family, Socket& socket) {
    const int code = create_socket(family, socket);
    return code == 0 ? Error() : socket_error("socket", family_text(family), code);
}

PORTHOLE_FN Endpoint Socket::local_endpoint() const {
    SocketAddress address;
    if (::getsockname(native(handle_), address.data(), &address.length) != 0) {
        return {};
    }
    return from_system(address);
}

PORTHOLE_FN Endpoint Socket::peer_endpoint() const {
    SocketAddress address;
    if (::getpeername(native(handle_), address.data(), &address.length) != 0) {
        return {};
    }
    return from_system(address);
}

PORTHOLE_FN void Socket::set_no_delay() noexcept {
    // Without it answers are slower, not wrong; a unix socket refuses it.
    static_cast<void>(set_option(handle_, IPPROTO_TCP, TCP_NODELAY, 1));
}

PORTHOLE_FN int Socket::take_error() noexcept {
    int code = 0;
    auto length = static_cast<socklen_t>(sizeof code);
    if (::getsockopt(native(handle_), SOL_SOCKET, SO_ERROR, reinterpret_cast<char*>(&code), &length)
        != 0) {
        return last_socket_error();
    }
    return code;
}

/// What a user can do about it when the caller knows nothing better.
inline std::string_view default_advice(ErrorCode code) noexcept {
    switch (code) {
    case ErrorCode::address_in_use:
        return "stop the program that holds it, choose another, let ListenOptions::port_range try "
               "the next ones, or pass port 0 for any that is free";
    case ErrorCode::address_not_available:
        return "no interface of this machine has this address; localhost always works";
    case ErrorCode::permission_denied:
        return "ask for the permission, or choose a port or path that this user may use";
    case ErrorCode::unsupported_family:
        return "this machine lacks that kind of address; choose another with "
               "ListenOptions::family";
    case ErrorCode::too_many_files:
        return "close what is not needed, or raise the limit of open files (ulimit -n)";
    case ErrorCode::connection_refused:
        return "nobody listens there; start the other program first or check the port";
    case ErrorCode::timed_out: return "the other side does not answer; check address and firewall";
    case ErrorCode::not_found: return "check the path; its directory has to exist";
    case ErrorCode::unknown_host:
        return "check the spelling and the network; localhost always works";
    case ErrorCode::ok:
    case ErrorCode::bad_port:
    case ErrorCode::bad_path:
    case ErrorCode::not_exposed:
    case ErrorCode::bad_pattern:
    case ErrorCode::already_exists:
    case ErrorCode::misuse:
    case ErrorCode::system: break;
    }
    return {};
}

PORTHOLE_FN Error socket_error(
    std::string_view call, std::string_view subject, int system_code, std::string_view advice) {
    const ErrorCode code = classify_socket_error(system_code);
    return Error(code, call, subject, advice.empty() ? default_advice(code) : advice)
        .with_system(system_code, system_text(system_code));
}

/// The same for a call on an endpoint. Takes it whole, because making its text before errno is
/// read could change errno.
inline Error endpoint_error(
    std::string_view call, const Endpoint& at, int system_code, std::string_view advice = {}) {
    return socket_error(call, at.to_string(), system_code, advice);
}

/// Control characters become blanks, and none stay at the end: messages are one line.
inline std::string one_line(std::string text) {
    for (char& c : text) {
        const auto byte = static_cast<unsigned char>(c);
        c = byte < 0x20 || byte == 0x7f ? ' ' : c;
    }
    while (!text.empty() && text.back() == ' ') {
        text.pop_back();
    }
    return text;
}

} // namespace detail

PORTHOLE_NAMESPACE_END

#if !defined(_WIN32)

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

inline constexpr int connection_reset_code = ECONNRESET;
inline constexpr int broken_pipe_code = EPIPE;

#if defined(MSG_NOSIGNAL)
inline constexpr int send_flags = MSG_NOSIGNAL;
#else
inline constexpr int send_flags = 0; // SO_NOSIGPIPE does it, see prepare_descriptor()
#endif

PORTHOLE_FN NetworkUse::NetworkUse() noexcept {}
PORTHOLE_FN NetworkUse::~NetworkUse() {}

PORTHOLE_FN int last_socket_error() noexcept {
    return errno;
}

inline bool is_would_block(int code) noexcept {
    return code == EAGAIN || code == EWOULDBLOCK;
}

/// Close-on-exec and non-blocking, for systems that cannot make a descriptor so in one call.
inline bool set_descriptor_flags(int descriptor) noexcept {
    const int flags = ::fcntl(descriptor, F_GETFL);
    return ::fcntl(descriptor, F_SETFD, FD_CLOEXEC) == 0 && flags >= 0
           && ::fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) == 0;
}

/// A broken connection is an error of the write, never a signal to the host program.
inline void prepare_descriptor([[maybe_unused]] int descriptor) noexcept {
#if defined(SO_NOSIGPIPE)
    static_cast<void>(set_option(descriptor, SOL_SOCKET, SO_NOSIGPIPE, 1));
#endif
}

PORTHOLE_FN Socket::Socket(NativeHandle handle) noexcept : handle_(handle) {}

PORTHOLE_FN void Socket::close() noexcept {
    if (is_open()) {
        // Never repeated after EINTR: the descriptor is gone by then and may be someone else's.
        static_cast<void>(::close(native(handle_)));
        handle_ = invalid_handle;
    }
}

PORTHOLE_FN int create_socket(Family family, Socket& socket) noexcept {
    int domain = AF_UNSPEC;
    switch (family) {
    case Family::any: return EAFNOSUPPORT;
    case Family::ipv4: domain = AF_INET; break;
    case Family::ipv6: domain = AF_INET6; break;
    case Family::local: domain = AF_UNIX; break;
    }
#if defined(SOCK_CLOEXEC) && defined(SOCK_NONBLOCK)
    Socket made(::socket(domain, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!made.is_open()) {
        return errno;
    }
#else
    Socket made(::socket(domain, SOCK_STREAM, 0));
    if (!made.is_open() || !set_descriptor_flags(native(made.handle()))) {
        return errno;
    }
#endif
    prepare_descriptor(native(made.handle()));
    socket = static_cast<Socket&&>(made);
    return 0;
}

PORTHOLE_FN IoResult Socket::receive(char* into, std::size_t capacity) noexcept {
    IoResult result;
    if (capacity == 0) {
        return result; // recv() would answer 0, which means the end of the stream
    }
    for (int attempt = 0; attempt < max_interrupts; ++attempt) {
        const ssize_t count = ::recv(native(handle_), into, capacity, 0);
        if (count >= 0) {
            result.status = count == 0 ? IoStatus::end : IoStatus::ok;
            result.bytes = static_cast<std::size_t>(count);
            return result;
        }
        if (errno != EINTR) {
            const bool is_broken = !is_would_block(errno);
            result.status = is_broken ? IoStatus::failed : IoStatus::would_block;
            result.system_code = is_broken ? errno : 0;
            return result;
        }
    }
    return result;
}

/// One piece needs no message header; send() is the cheaper call.
inline ssize_t send_once(int descriptor, const std::string_view* slices, std::size_t count) {
    if (count == 1) {
        return ::send(descriptor, slices[0].data(), slices[0].size(), send_flags);
    }
    iovec pieces[max_slices];
    for (std::size_t i = 0; i < count; ++i) {
        pieces[i].iov_base = const_cast<char*>(slices[i].data());
        pieces[i].iov_len = slices[i].size();
    }
    msghdr message{};
    message.msg_iov = pieces;
    message.msg_iovlen = static_cast<decltype(message.msg_iovlen)>(count);
    return ::sendmsg(descriptor, &message, send_flags);
}

PORTHOLE_FN IoResult Socket::send(const std::string_view* slices, std::size_t count) noexcept {
    IoResult result;
    count = count < max_slices ? count : max_slices;
    for (int attempt = 0; attempt < max_interrupts && count != 0; ++attempt) {
        const ssize_t sent = send_once(native(handle_), slices, count);
        if (sent >= 0) {
            result.status = IoStatus::ok;
            result.bytes = static_cast<std::size_t>(sent);
            return result;
        }
        if (errno != EINTR) {
            const bool is_broken = !is_would_block(errno);
            result.status = is_broken ? IoStatus::failed : IoStatus::would_block;
            result.system_code = is_broken ? errno : 0;
            return result;
        }
    }
    return result;
}

PORTHOLE_FN void Socket::shut_write() noexcept {
    // Fails when the peer has gone already, which the next read tells.
    static_cast<void>(::shutdown(native(handle_), SHUT_WR));
}

PORTHOLE_FN Error Socket::connect(const Endpoint& to) {
    SocketAddress address;
    if (!to_system(to, address)) {
        return Error(
            ErrorCode::bad_path, "connect", to.to_string(),
            "a unix socket path has 1 to 107 bytes");
    }
    // An interrupted connect goes on by itself; asking again would only answer EALREADY.
    if (::connect(native(handle_), address.data(), address.length) != 0 && errno != EINPROGRESS
        && errno != EINTR) {
        return endpoint_error("connect", to, errno);
    }
    return {};
}

PORTHOLE_FN bool is_settled(NativeHandle handle) noexcept {
    pollfd entry{};
    entry.fd = native(handle);
    entry.events = POLLOUT;
    return poll_handles(&entry, 1, 0) > 0;
}

PORTHOLE_FN int poll_handles(pollfd* entries, std::size_t count, int timeout_ms) noexcept {
    return ::poll(entries, static_cast<nfds_t>(count), timeout_ms);
}

// glibc and the POSIX standard disagree about what strerror_r returns; overloads take either.
inline const char* chosen_text(int, const char* buffer) noexcept {
    return buffer;
}
inline const char* chosen_text(const char* text, const char*) noexcept {
    return text;
}

PORTHOLE_FN std::string system_text(int system_code) {
    char buffer[256] = {};
    const char* text = chosen_text(::strerror_r(system_code, buffer, sizeof buffer), buffer);
    return one_line(text);
}

PORTHOLE_FN ErrorCode classify_socket_error(int system_code) noexcept {
    switch (system_code) {
    case 0: return ErrorCode::ok;
    case EADDRINUSE: return ErrorCode::address_in_use;
    case EADDRNOTAVAIL: return ErrorCode::address_not_available;
    case EACCES:
    case EPERM: return ErrorCode::permission_denied;
    case EAFNOSUPPORT:
    case EPROTONOSUPPORT: return ErrorCode::unsupported_family;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM: return ErrorCode::too_many_files;
    case ECONNREFUSED: return ErrorCode::connection_refused;
    case ETIMEDOUT: return ErrorCode::timed_out;
    case ENOENT: return ErrorCode::not_found;
    default: return ErrorCode::system;
    }
}

PORTHOLE_FN Error resolver_error(std::string_view host, int resolver_code) {
    if (resolver_code == EAI_SYSTEM) {
        const int code = errno;
        return socket_error("getaddrinfo", host, code);
    }
    const ErrorCode code = resolver_code == EAI_FAMILY   ? ErrorCode::unsupported_family
                           : resolver_code == EAI_MEMORY ? ErrorCode::too_many_files
                                                         : ErrorCode::unknown_host;
    return Error(code, "getaddrinfo", host, default_advice(code))
        .with_system(resolver_code, one_line(::gai_strerror(resolver_code)));
}

PORTHOLE_FN bool local_to_system(std::string_view path, SocketAddress& address) noexcept {
    sockaddr_un local{};
    // The closing NUL has to fit, and one inside would name another file.
    if (path.empty() || path.size() >= sizeof local.sun_path
        || path.find('\0') != std::string_view::npos) {
        return false;
    }
    local.sun_family = AF_UNIX;
    std::memcpy(local.sun_path, path.data(), path.size());
    std::memcpy(&address.storage, &local, sizeof local);
    address.length = static_cast<socklen_t>(sizeof local);
    return true;
}

PORTHOLE_FN Endpoint local_from_system(const SocketAddress& address) {
    const auto length = static_cast<std::size_t>(address.length);
    if (address.storage.ss_family != AF_UNIX) {
        return {};
    }
    sockaddr_un local{};
    constexpr std::size_t path_offset = offsetof(sockaddr_un, sun_path);
    std::memcpy(&local, &address.storage, length < sizeof local ? length : sizeof local);
    const std::size_t max_path = length > path_offset ? length - path_offset : 0;
    const std::string_view path(
        local.sun_path, max_path < sizeof local.sun_path ? max_path : sizeof local.sun_path);
    return Endpoint::local(path.substr(0, path.find('\0')));
}

struct InterfaceListDeleter {
    void operator()(ifaddrs* list) const noexcept { ::freeifaddrs(list); }
};

PORTHOLE_FN std::vector<Endpoint> interface_addresses() {
    std::vector<Endpoint> addresses;
    ifaddrs* found = nullptr;
    if (::getifaddrs(&found) != 0) {
        return addresses;
    }
    const std::unique_ptr<ifaddrs, InterfaceListDeleter> owner(found);
    for (const ifaddrs* entry = found; entry != nullptr; entry = entry->ifa_next) {
        if (entry->ifa_addr == nullptr || (entry->ifa_flags & IFF_UP) == 0) {
            continue;
        }
        const bool is_ipv6 = entry->ifa_addr->sa_family == AF_INET6;
        if (!is_ipv6 && entry->ifa_addr->sa_family != AF_INET) {
            continue;
        }
        SocketAddress address;
        const std::size_t length = is_ipv6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
        std::memcpy(&address.storage, entry->ifa_addr, length);
        address.length = static_cast<socklen_t>(length);
        append_unique(addresses, from_system(address));
    }
    return addresses;
}

} // namespace detail

PORTHOLE_NAMESPACE_END

#endif

// porthole/os/socket_windows.inl

// Sockets on Windows: SOCKET handles and WSAGetLastError(). Winsock has to be started and ended,
// and counts both itself; the count is kept once for each open Socket, so the library needs no
// global and the last socket that closes undoes the first start. socket_posix.inl beside it says
// the same for POSIX.

#include <climits>

#if defined(_WIN32)

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

inline constexpr int connection_reset_code = WSAECONNRESET;
inline constexpr int broken_pipe_code = WSAESHUTDOWN;

/// Adds one to Winsock's count; 0, or why Winsock is not there.
inline int begin_network() noexcept {
    WSADATA data;
    return ::WSAStartup(MAKEWORD(2, 2), &data);
}

inline void end_network() noexcept {
    static_cast<void>(::WSACleanup());
}

PORTHOLE_FN NetworkUse::NetworkUse() noexcept : code_(begin_network()) {}

PORTHOLE_FN NetworkUse::~NetworkUse() {
    if (code_ == 0) {
        end_network();
    }
}

PORTHOLE_FN int last_socket_error() noexcept {
    return ::WSAGetLastError();
}

/// Adopting a handle counts; moving a Socket moves the count with it; release() leaves it behind,
/// because Winsock going away would close a handle that somebody else still uses.
PORTHOLE_FN Socket::Socket(NativeHandle handle) noexcept : handle_(handle) {
    if (is_open()) {
        static_cast<void>(begin_network()); // cannot fail: the handle shows that Winsock is there
    }
}

PORTHOLE_FN void Socket::close() noexcept {
    if (is_open()) {
        static_cast<void>(::closesocket(native(handle_)));
        handle_ = invalid_handle;
        end_network();
    }
}

/// Non-blocking, and not inherited by child processes.
inline bool prepare_handle(SOCKET handle) noexcept {
    u_long is_on = 1;
    // Fails for handles of layered service providers, which are not inheritable anyway.
    static_cast<void>(
        ::SetHandleInformation(reinterpret_cast<HANDLE>(handle), HANDLE_FLAG_INHERIT, 0));
    return ::ioctlsocket(handle, static_cast<long>(FIONBIO), &is_on) == 0;
}

PORTHOLE_FN int create_socket(Family family, Socket& socket) noexcept {
    int domain = AF_UNSPEC;
    switch (family) {
    case Family::any:
    case Family::local: return WSAEAFNOSUPPORT;
    case Family::ipv4: domain = AF_INET; break;
    case Family::ipv6: domain = AF_INET6; break;
    }
    const NetworkUse network;
    if (network.code() != 0) {
        return network.code();
    }
    const SOCKET handle = ::WSASocketW(
        domain, SOCK_STREAM, IPPROTO_TCP, nullptr, 0,
        WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT);
    if (handle == INVALID_SOCKET) {
        return last_socket_error();
    }
    Socket made(static_cast<NativeHandle>(handle));
    if (!prepare_handle(handle)) {
        return last_socket_error();
    }
    socket = static_cast<Socket&&>(made);
    return 0;
}

/// What a failed read or write means.
inline IoResult failed_io(int code) noexcept {
    IoResult result;
    if (code != WSAEWOULDBLOCK && code != WSAEINTR) {
        result.status = IoStatus::failed;
        result.system_code = code;
    }
    return result;
}

PORTHOLE_FN IoResult Socket::receive(char* into, std::size_t capacity) noexcept {
    IoResult result;
    if (capacity == 0) {
        return result; // recv() would answer 0, which means the end of the stream
    }
    const int size = capacity < INT_MAX ? static_cast<int>(capacity) : INT_MAX;
    const int count = ::recv(native(handle_), into, size, 0);
    if (count < 0) {
        return failed_io(last_socket_error());
    }
    result.status = count == 0 ? IoStatus::end : IoStatus::ok;
    result.bytes = static_cast<std::size_t>(count);
    return result;
}

PORTHOLE_FN IoResult Socket::send(const std::string_view* slices, std::size_t count) noexcept {
    constexpr std::size_t max_slice_bytes = INT_MAX / max_slices;
    IoResult result;
    WSABUF pieces[max_slices];
    DWORD used = 0;
    while (used < count && used < max_slices) {
        const std::string_view slice = slices[used];
        const bool is_cut = slice.size() > max_slice_bytes;
        pieces[used].buf = const_cast<char*>(slice.data());
        pieces[used].len = static_cast<ULONG>(is_cut ? max_slice_bytes : slice.size());
        ++used;
        if (is_cut) {
            break; // what follows must not overtake the rest of this one
        }
    }
    DWORD sent = 0;
    if (used == 0) {
        return result;
    }
    if (::WSASend(native(handle_), pieces, used, &sent, 0, nullptr, nullptr) != 0) {
        return failed_io(last_socket_error());
    }
    result.status = IoStatus::ok;
    result.bytes = sent;
    return result;
}

PORTHOLE_FN void Socket::shut_write() noexcept {
    // Fails when the peer has gone already, which the next read tells.
    static_cast<void>(::shutdown(native(handle_), SD_SEND));
}

PORTHOLE_FN Error Socket::connect(const Endpoint& to) {
    SocketAddress address;
    if (!to_system(to, address)) {
        return endpoint_error("connect", to, WSAEAFNOSUPPORT);
    }
    if (::connect(native(handle_), address.data(), address.length) != 0) {
        const int code = last_socket_error();
        if (code != WSAEWOULDBLOCK && code != WSAEINPROGRESS) {
            return endpoint_error("connect", to, code);
        }
    }
    return {};
}

/// select() and not WSAPoll(), which said nothing of a failed connect before Windows 10 2004.
PORTHOLE_FN bool is_settled(NativeHandle handle) noexcept {
    fd_set writable;
    writable.fd_count = 1;
    writable.fd_array[0] = native(handle);
    fd_set failed = writable;
    timeval no_wait{};
    return ::select(0, nullptr, &writable, &failed, &no_wait) > 0;
}

PORTHOLE_FN int poll_handles(pollfd* entries, std::size_t count, int timeout_ms) noexcept {
    if (count == 0) { // which WSAPoll refuses
        if (timeout_ms != 0) {
            ::Sleep(timeout_ms < 0 ? INFINITE : static_cast<DWORD>(timeout_ms));
        }
        return 0;
    }
    return ::WSAPoll(entries, static_cast<ULONG>(count), timeout_ms);
}

PORTHOLE_FN std::string system_text(int system_code) {
    wchar_t wide[512];
    constexpr auto capacity = static_cast<DWORD>(sizeof wide / sizeof wide[0]);
    const DWORD length = ::FormatMessageW(
        FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS, nullptr,
        static_cast<DWORD>(system_code), 0, wide, capacity, nullptr);
    char text[3 * sizeof wide / sizeof wide[0]];
    const int size = ::WideCharToMultiByte(
        CP_UTF8, 0, wide, static_cast<int>(length), text, static_cast<int>(sizeof text), nullptr,
        nullptr);
    if (length == 0 || size <= 0) {
        return "system error " + std::to_string(system_code);
    }
    return one_line(std::string(text, static_cast<std::size_t>(size)));
}

PORTHOLE_FN ErrorCode classify_socket_error(int system_code) noexcept {
    switch (system_code) {
    case 0: return ErrorCode::ok;
    case WSAEADDRINUSE: return ErrorCode::address_in_use;
    case WSAEADDRNOTAVAIL: return ErrorCode::address_not_available;
    case WSAEACCES: return ErrorCode::permission_denied;
    case WSAEAFNOSUPPORT:
    case WSAEPROTONOSUPPORT: return ErrorCode::unsupported_family;
    case WSAEMFILE:
    case WSAENOBUFS:
    case WSA_NOT_ENOUGH_MEMORY: return ErrorCode::too_many_files;
    case WSAECONNREFUSED: return ErrorCode::connection_refused;
    case WSAETIMEDOUT: return ErrorCode::timed_out;
    default: return ErrorCode::system;
    }
}

PORTHOLE_FN Error resolver_error(std::string_view host, int resolver_code) {
    const ErrorCode known = classify_socket_error(resolver_code);
    const ErrorCode code =
        known == ErrorCode::unsupported_family || known == ErrorCode::too_many_files
            ? known
            : ErrorCode::unknown_host;
    return Error(code, "getaddrinfo", host, default_advice(code))
        .with_system(resolver_code, system_text(resolver_code));
}

PORTHOLE_FN bool local_to_system(std::string_view, SocketAddress&) noexcept {
    return false; // unix sockets are not offered on Windows
}

PORTHOLE_FN Endpoint local_from_system(const SocketAddress&) {
    return {};
}

/// The addresses of one family, asked of a socket: unlike GetAdaptersAddresses() this needs no
/// library besides Winsock.
inline void append_interfaces(Family family, std::vector<Endpoint>& addresses) {
    constexpr std::size_t max_list_bytes = 16 * 1024;
    Socket socket;
    if (create_socket(family, socket) != 0) {
        return;
    }
    std::vector<SOCKET_ADDRESS> memory(max_list_bytes / sizeof(SOCKET_ADDRESS));
    const std::size_t list_bytes = memory.size() * sizeof(SOCKET_ADDRESS);
    DWORD used = 0;
    if (::WSAIoctl(
            native(socket.handle()), static_cast<DWORD>(SIO_ADDRESS_LIST_QUERY), nullptr, 0,
            memory.data(), static_cast<DWORD>(list_bytes), &used, nullptr, nullptr)
        != 0) {
        return;
    }
    INT count = 0;
    std::memcpy(&count, memory.data(), sizeof count);
    const auto* entries = reinterpret_cast<const SOCKET_ADDRESS*>(
        reinterpret_cast<const char*>(memory.data()) + offsetof(SOCKET_ADDRESS_LIST, Address));
    for (INT i = 0; i < count; ++i) {
        const auto length = static_cast<std::size_t>(entries[i].iSockaddrLength);
        SocketAddress address;
        if (length > sizeof address.storage) {
            continue;
        }
        std::memcpy(&address.storage, entries[i].lpSockaddr, length);
        address.length = static_cast<socklen_t>(length);
        Endpoint endpoint = from_system(address);
        endpoint.set_port(0);
        if (endpoint.family() != Family::any && !endpoint.is_wildcard()) { // an interface without
            append_unique(addresses, endpoint);
        }
    }
}

PORTHOLE_FN std::vector<Endpoint> interface_addresses() {
    std::vector<Endpoint> addresses;
    append_localhost(0, Family::any, addresses); // the list below leaves it out
    append_interfaces(Family::ipv4, addresses);
    append_interfaces(Family::ipv6, addresses);
    return addresses;
}

} // namespace detail

PORTHOLE_NAMESPACE_END

#endif

// porthole/os/listener.inl

// The plan of a listen(): which endpoints, on which port, and what happens when one of them cannot
// be had. What a listening socket needs from each system is in listener_posix.inl and
// listener_windows.inl.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// SO_REUSEADDR or SO_EXCLUSIVEADDRUSE, and SO_REUSEPORT when it is asked for.
Error prepare_to_bind(Socket& socket, const Endpoint& at, const ListenOptions& options);

inline constexpr std::uint16_t first_unprivileged_port = 1024;

PORTHOLE_FN Listener::Listener(Listener&& other) noexcept
    : socket_(std::move(other.socket_)), endpoint_(std::move(other.endpoint_)),
      options_(other.options_), file_id_{other.file_id_[0], other.file_id_[1]} {
    other.file_id_[0] = other.file_id_[1] = 0;
}

PORTHOLE_FN Listener& Listener::operator=(Listener&& other) noexcept {
    if (this != &other) {
        close();
        socket_ = std::move(other.socket_);
        endpoint_ = std::move(other.endpoint_);
        options_ = other.options_;
        file_id_[0] = std::exchange(other.file_id_[0], 0);
        file_id_[1] = std::exchange(other.file_id_[1], 0);
    }
    return *this;
}

PORTHOLE_FN void Listener::close() noexcept {
    if (is_open()) {
        remove_file(); // first: nobody connects to a name that nobody serves
        socket_.close();
    }
}

/// An Error of bind() or listen(), which knows more about the port than the socket does.
inline Error bind_error(std::string_view call, const Endpoint& at, int system_code) {
    const std::string port = std::to_string(at.port());
    std::string advice;
    switch (classify_socket_error(system_code)) {
    case ErrorCode::address_in_use:
        if (at.family() != Family::local) {
            advice = "port " + port
                     + " is held by another program: stop it, choose another port, let "
                       "ListenOptions::port_range try the next ones, or pass port 0 for any free "
                       "one";
        }
        break;
    case ErrorCode::permission_denied:
        if (at.family() != Family::local && at.port() < first_unprivileged_port) {
            advice = "port " + port
                     + " needs a privileged user: choose one above 1023, 8080 for example";
        } else if (at.family() != Family::local) {
            advice = "port " + port + " is reserved by the system: choose another";
        }
        break;
    default: break;
    }
    return endpoint_error(call, at, system_code, advice);
}

PORTHOLE_FN Error Listener::open(
    const Endpoint& at, const ListenOptions& options, unsigned mode, Listener& listener) {
    if (at.family() == Family::local) {
        return open_local(at, options, mode, listener);
    }
    Listener made;
    SocketAddress address;
    const int code = create_socket(at.family(), made.socket_);
    if (code != 0) {
        return endpoint_error("socket", at, code);
    }
    if (Error error = prepare_to_bind(made.socket_, at, options)) {
        return error;
    }
    const NativeHandle handle = made.handle();
    // Always said, because each system has its own default (RFC 3493 section 5.3).
    if (at.family() == Family::ipv6
        && !set_option(handle, IPPROTO_IPV6, IPV6_V6ONLY, options.v6_only ? 1 : 0)) {
        return endpoint_error("setsockopt IPV6_V6ONLY", at, last_socket_error());
    }
    if (!to_system(at, address) || ::bind(native(handle), address.data(), address.length) != 0) {
        return bind_error("bind", at, last_socket_error());
    }
    if (::listen(native(handle), options.backlog > 0 ? options.backlog : SOMAXCONN) != 0) {
        return bind_error("listen", at, last_socket_error());
    }
    made.endpoint_ = made.socket_.local_endpoint();
    made.options_ = options;
    listener = std::move(made);
    return {};
}

/// What one open_listeners() call works on.
struct ListenPlan {
    const std::vector<Endpoint>& endpoints; ///< the port in them is replaced
    const ListenOptions& options;
    const std::vector<const Listener*>& existing;
    std::vector<Listener> opened;
    std::vector<Error> skipped;
    std::size_t shared = 0; ///< how many endpoints `existing` has already

    void start_over() {
        opened.clear();
        skipped.clear();
        shared = 0;
    }
};

inline const Listener* find_held(const ListenPlan& plan, const Endpoint& at) {
    for (const Listener* listener : plan.existing) {
        if (listener != nullptr && listener->is_open() && listener->endpoint() == at) {
            return listener;
        }
    }
    return nullptr;
}

/// True when an IPv6 wildcard that is open already takes this IPv4 wildcard's connections too.
inline bool is_covered(const ListenPlan& plan, const Endpoint& at) {
    if (plan.options.v6_only || at.family() != Family::ipv4 || !at.is_wildcard()) {
        return false;
    }
    const auto covers = [&at](const Listener& listener) {
        return listener.is_open() && listener.endpoint().family() == Family::ipv6
               && listener.endpoint().is_wildcard() && !listener.options().v6_only
               && listener.endpoint().port() == at.port();
    };
    for (const Listener& listener : plan.opened) {
        if (covers(listener)) {
            return true;
        }
    }
    for (const Listener* listener : plan.existing) {
        if (listener != nullptr && covers(*listener)) {
            return true;
        }
    }
    return false;
}

/// All endpoints on one port. With port 0 the first one that opens decides, and nothing is shared.
inline Error open_on_port(ListenPlan& plan, std::uint16_t port) {
    const bool is_any_port = port == 0;
    plan.start_over();
    for (Endpoint at : plan.endpoints) {
        at.set_port(port);
        if (is_covered(plan, at)) {
            continue;
        }
        const Listener* held = is_any_port ? nullptr : find_held(plan, at);
        if (held != nullptr && held->options().expose != plan.options.expose) {
            return Error(
                ErrorCode::misuse, "listen", at.to_string(),
                "it is open already with another ListenOptions::expose, which would go on "
                "applying");
        }
        if (held != nullptr) {
            ++plan.shared;
            continue;
        }
        Listener listener;
        Error error = Listener::open(at, plan.options, 0, listener);
        if (error.code() == ErrorCode::unsupported_family
            || error.code() == ErrorCode::address_not_available) {
            plan.skipped.push_back(std::move(error));
            continue;
        }
        if (error) {
            return error;
        }
        port = listener.endpoint().port();
        plan.opened.push_back(std::move(listener));
    }
    if (plan.opened.empty() && plan.shared == 0 && !plan.skipped.empty()) {
        return plan.skipped.front();
    }
    return {};
}

/// A port that another program has, or that the system has set aside (Windows does that in
/// ranges): the next one may be free.
inline bool is_taken(const Error& error, std::uint16_t port) {
    return error.code() == ErrorCode::address_in_use
           || (error.code() == ErrorCode::permission_denied && port >= first_unprivileged_port);
}

/// Tries the ports that the options allow, one after the other.
inline Error open_on_ports(ListenPlan& plan, std::uint16_t port) {
    /// How often the system may choose a port that is free on one address only.
    constexpr unsigned max_any_port_attempts = 16;
    const unsigned attempts = port == 0 ? max_any_port_attempts : plan.options.port_range;
    Error error;
    for (unsigned attempt = 0; attempt < attempts; ++attempt) {
        const auto next = static_cast<std::uint16_t>(port == 0 ? 0 : port + attempt);
        error = open_on_port(plan, next);
        if (!is_taken(error, port == 0 ? first_unprivileged_port : next)) {
            return error;
        }
    }
    return error;
}

inline Error
check_port_range(std::string_view host, std::uint16_t port, const ListenOptions& options) {
    constexpr unsigned max_port = 65535;
    const bool is_past_end = port != 0 && port + options.port_range - 1u > max_port;
    if (options.port_range != 0 && !is_past_end) {
        return {};
    }
    std::string subject(host);
    subject += ":" + std::to_string(port);
    if (options.port_range == 0) {
        return Error(
            ErrorCode::bad_port, "listen", subject,
            "ListenOptions::port_range is how many ports to try, at least 1");
    }
    return Error(
        ErrorCode::bad_port, "listen", subject,
        "the last port of ListenOptions::port_range would be above 65535");
}

inline Error check_exposure(const std::vector<Endpoint>& endpoints, const ListenOptions& options) {
    for (const Endpoint& endpoint : endpoints) {
        if (options.expose == Expose::no && !endpoint.is_loopback()) {
            return Error(
                ErrorCode::not_exposed, "listen", endpoint.to_string(),
                "other machines could reach this: listen on localhost, or set "
                "ListenOptions::expose to Expose::lan_with_token or Expose::lan_without_token");
        }
    }
    return {};
}

/// Makes ::ffff:a.b.c.d the IPv4 address that it is, so that it behaves the same whatever v6_only
/// says, and puts an IPv6 wildcard that takes IPv4 too before the IPv4 one that it covers.
inline std::vector<Endpoint>
in_opening_order(const std::vector<Endpoint>& resolved, const ListenOptions& options) {
    std::vector<Endpoint> ordered;
    for (Endpoint endpoint : resolved) {
        const std::array<std::uint8_t, 16>& bytes = endpoint.address();
        if (endpoint.family() == Family::ipv6 && is_mapped(bytes)
            && options.family != Family::ipv6) {
            std::array<std::uint8_t, ipv4_bytes> last{};
            std::memcpy(last.data(), bytes.data() + mapped_offset, last.size());
            endpoint = Endpoint::ipv4(last, endpoint.port());
        }
        if (!options.v6_only && endpoint.family() == Family::ipv6 && endpoint.is_wildcard()) {
            ordered.insert(ordered.begin(), endpoint);
        } else {
            append_unique(ordered, endpoint);
        }
    }
    return ordered;
}

PORTHOLE_FN Error open_listeners(
    std::string_view host, std::uint16_t port, const ListenOptions& options,
    const std::vector<const Listener*>& existing, std::vector<Listener>& opened,
    std::vector<Error>& skipped) {
    if (Error error = check_port_range(host, port, options)) {
        return error;
    }
    std::vector<Endpoint> resolved;
    ResolveOptions resolve_options;
    resolve_options.family = options.family;
    resolve_options.is_passive = true;
    if (Error error = resolve(host, port, resolve_options, resolved)) {
        return error;
    }
    const std::vector<Endpoint> endpoints = in_opening_order(resolved, options);
    if (Error error = check_exposure(endpoints, options)) {
        return error;
    }
    ListenPlan plan{endpoints, options, existing, {}, {}, 0};
    if (Error error = open_on_ports(plan, port)) {
        return error;
    }
    for (Listener& listener : plan.opened) {
        opened.push_back(std::move(listener));
    }
    for (Error& error : plan.skipped) {
        skipped.push_back(std::move(error));
    }
    return {};
}

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/os/listener_posix.inl

// What listening needs of POSIX alone: SO_REUSEADDR, accepting, and the file of a unix socket,
// which is made with the right permissions and removed only while it is ours.

#if !defined(_WIN32)

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN Error
prepare_to_bind(Socket& socket, const Endpoint& at, const ListenOptions& options) {
    // Here this means: connections of a former run that linger in TIME_WAIT do not hold the port.
    // It does not share the port with a listener that lives.
    if (!set_option(socket.handle(), SOL_SOCKET, SO_REUSEADDR, 1)) {
        return endpoint_error("setsockopt SO_REUSEADDR", at, last_socket_error());
    }
    if (!options.reuse_port) {
        return {};
    }
#if defined(SO_REUSEPORT_LB)
    constexpr int reuse_port = SO_REUSEPORT_LB; // FreeBSD: the one that spreads connections
#elif defined(SO_REUSEPORT)
    constexpr int reuse_port = SO_REUSEPORT;
#else
    constexpr int reuse_port = -1; // refused below in the system's words
#endif
    if (!set_option(socket.handle(), SOL_SOCKET, reuse_port, 1)) {
        return endpoint_error(
            "setsockopt SO_REUSEPORT", at, last_socket_error(),
            "this system cannot share a port; turn ListenOptions::reuse_port off");
    }
    return {};
}

inline AcceptStatus accept_status(int code) noexcept {
    switch (code) {
    case EAGAIN: return AcceptStatus::none;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM: return AcceptStatus::exhausted;
    // What happened to one peer, or to the way there: it says nothing about the listener. Linux
    // reports errors that wait on the new socket here too.
    case EINTR:
    case ECONNABORTED:
    case ECONNRESET:
    case EPROTO:
    case EPERM:
    case ETIMEDOUT:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENOPROTOOPT: return AcceptStatus::retry;
    default: return is_would_block(code) ? AcceptStatus::none : AcceptStatus::failed;
    }
}

PORTHOLE_FN AcceptStatus Listener::accept(Socket& socket, Endpoint& peer) noexcept {
    SocketAddress address;
#if defined(SOCK_CLOEXEC) && defined(SOCK_NONBLOCK)
    Socket made(
        ::accept4(native(handle()), address.data(), &address.length, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!made.is_open()) {
        return accept_status(errno);
    }
#else
    Socket made(::accept(native(handle()), address.data(), &address.length));
    if (!made.is_open()) {
        return accept_status(errno);
    }
    if (!set_descriptor_flags(native(made.handle()))) {
        return AcceptStatus::retry;
    }
#endif
    prepare_descriptor(native(made.handle()));
    if (endpoint_.family() != Family::local) {
        made.set_no_delay();
    }
    PORTHOLE_TRY {
        peer = from_system(address); // allocates for a unix peer with a path of its own
    }
    PORTHOLE_CATCH_ALL {
        return AcceptStatus::exhausted;
    }
    socket = std::move(made);
    return AcceptStatus::accepted;
}

/// Removes a socket file that a crashed program left behind. Only "connection refused" proves
/// that nobody listens; whatever else comes back, the file may be somebody's. (A program between
/// its bind() and its listen() refuses too: two programs that start at the same moment on the
/// same path can still displace each other. The one that lost notices when its file is gone.)
inline Error remove_stale_file(const Endpoint& at, const SocketAddress& address) {
    struct stat before {};
    const char* path = at.path().c_str();
    if (::lstat(path, &before) != 0) {
        return {}; // not there, or bind() will say what is wrong
    }
    if (!S_ISSOCK(before.st_mode)) {
        return Error(
            ErrorCode::bad_path, "bind", at.to_string(),
            "the path exists and is not a socket; it was left alone: choose another path");
    }
    Socket probe;
    const int code = create_socket(Family::local, probe);
    if (code != 0) {
        return endpoint_error("socket", at, code);
    }
    const bool is_answered = ::connect(native(probe.handle()), address.data(), address.length) == 0;
    const int refusal = is_answered ? 0 : errno;
    if (refusal == EACCES || refusal == EPERM) {
        return endpoint_error(
            "connect", at, refusal,
            "the socket file belongs to another user: remove it or choose another path");
    }
    if (refusal != ECONNREFUSED && refusal != ENOENT) {
        return endpoint_error(
            "bind", at, EADDRINUSE,
            "another program listens on this path: stop it or choose another path");
    }
    struct stat after {};
    const bool is_same = ::lstat(path, &after) == 0 && after.st_dev == before.st_dev
                         && after.st_ino == before.st_ino;
    if (refusal == ECONNREFUSED && is_same && ::unlink(path) != 0) {
        return endpoint_error("unlink", at, errno);
    }
    return {};
}

PORTHOLE_FN Error Listener::open_local(
    const Endpoint& at, const ListenOptions& options, unsigned mode, Listener& listener) {
    Listener made;
    SocketAddress address;
    if (!to_system(at, address)) {
        return Error(
            ErrorCode::bad_path, "bind", at.to_string(),
            "a unix socket path has 1 to " + std::to_string(sizeof(sockaddr_un::sun_path) - 1)
                + " bytes and no NUL");
    }
    if (Error error = remove_stale_file(at, address)) {
        return error;
    }
    const int code = create_socket(Family::local, made.socket_);
    if (code != 0) {
        return endpoint_error("socket", at, code);
    }
    const NativeHandle handle = made.handle();
    if (::bind(native(handle), address.data(), address.length) != 0) {
        return bind_error("bind", at, last_socket_error());
    }
    // From here the file is ours, and an early return removes it. Nobody can connect before
    // listen(), so the time between bind() and chmod() lets nobody in; umask() would do it in
    // one step, but belongs to the whole process and its other threads.
    made.endpoint_ = at;
    made.options_ = options;
    struct stat file {};
    const char* path = at.path().c_str();
    if (::lstat(path, &file) != 0) {
        return endpoint_error("lstat", at, errno);
    }
    made.file_id_[0] = static_cast<std::uint64_t>(file.st_dev);
    made.file_id_[1] = static_cast<std::uint64_t>(file.st_ino);
    if (::chmod(path, static_cast<mode_t>(mode)) != 0) {
        return endpoint_error("chmod", at, errno);
    }
    if (::listen(native(handle), options.backlog > 0 ? options.backlog : SOMAXCONN) != 0) {
        return bind_error("listen", at, last_socket_error());
    }
    listener = std::move(made);
    return {};
}

PORTHOLE_FN void Listener::remove_file() noexcept {
    struct stat file {};
    if (file_id_[1] != 0 && ::lstat(endpoint_.path().c_str(), &file) == 0
        && static_cast<std::uint64_t>(file.st_dev) == file_id_[0]
        && static_cast<std::uint64_t>(file.st_ino) == file_id_[1]) {
        static_cast<void>(::unlink(endpoint_.path().c_str()));
    }
    file_id_[0] = file_id_[1] = 0;
}

} // namespace detail

PORTHOLE_NAMESPACE_END

#endif

// porthole/os/listener_windows.inl

// What listening needs of Windows alone: a port that nobody can take a share of, and accepting.
// There are no unix sockets here.

#if defined(_WIN32)

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN Error
prepare_to_bind(Socket& socket, const Endpoint& at, const ListenOptions& options) {
    if (options.reuse_port) {
        return endpoint_error(
            "setsockopt SO_REUSEPORT", at, WSAENOPROTOOPT,
            "Windows cannot spread connections over listeners of one port; turn "
            "ListenOptions::reuse_port off");
    }
    // SO_REUSEADDR would let any program take the port over while this one uses it.
    constexpr int exclusive_address_use = ~SO_REUSEADDR;
    if (!set_option(socket.handle(), SOL_SOCKET, exclusive_address_use, 1)) {
        return endpoint_error("setsockopt SO_EXCLUSIVEADDRUSE", at, last_socket_error());
    }
    return {};
}

inline AcceptStatus accept_status(int code) noexcept {
    switch (code) {
    case WSAEWOULDBLOCK: return AcceptStatus::none;
    case WSAEMFILE:
    case WSAENOBUFS: return AcceptStatus::exhausted;
    case WSAEINTR:
    case WSAECONNABORTED:
    case WSAECONNRESET:
    case WSAENETDOWN: return AcceptStatus::retry;
    default: return AcceptStatus::failed;
    }
}

PORTHOLE_FN AcceptStatus Listener::accept(Socket& socket, Endpoint& peer) noexcept {
    SocketAddress address;
    const SOCKET accepted = ::accept(native(handle()), address.data(), &address.length);
    if (accepted == INVALID_SOCKET) {
        return accept_status(last_socket_error());
    }
    Socket made(static_cast<NativeHandle>(accepted));
    if (!prepare_handle(accepted)) {
        return AcceptStatus::retry;
    }
    made.set_no_delay();
    peer = from_system(address);
    socket = std::move(made);
    return AcceptStatus::accepted;
}

PORTHOLE_FN Error
Listener::open_local(const Endpoint& at, const ListenOptions&, unsigned, Listener&) {
    return endpoint_error(
        "bind", at, WSAEAFNOSUPPORT,
        "unix sockets are not offered on Windows; listen on localhost instead");
}

PORTHOLE_FN void Listener::remove_file() noexcept {}

} // namespace detail

PORTHOLE_NAMESPACE_END

#endif

// porthole/os/connector.inl

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN Connector::State
Connector::start(std::string_view host, std::uint16_t port, TimePoint deadline) {
    constexpr std::string_view local_prefix = "unix:";
    std::vector<Endpoint> endpoints;
    if (host.substr(0, local_prefix.size()) == local_prefix) {
        endpoints.push_back(Endpoint::local(host.substr(local_prefix.size())));
    } else if (Error error = resolve(host, port, ResolveOptions{}, endpoints)) {
        return fail(std::move(error));
    }
    return start(std::move(endpoints), deadline);
}

PORTHOLE_FN Connector::State Connector::start(std::vector<Endpoint> endpoints, TimePoint deadline) {
    endpoints_ = std::move(endpoints);
    deadline_ = deadline;
    next_ = 0;
    error_ = Error(ErrorCode::misuse, "connect", "", "there is no endpoint to connect to");
    return try_next();
}

/// Begins with each address in turn until one does not fail at once. One that succeeds at once,
/// as unix sockets and often loopback do, needs no wait.
PORTHOLE_FN Connector::State Connector::try_next() {
    while (next_ < endpoints_.size()) {
        const Endpoint& to = endpoints_[next_++];
        const int code = create_socket(to.family(), socket_);
        error_ = code == 0 ? socket_.connect(to) : endpoint_error("socket", to, code);
        if (!error_) {
            state_ = State::connecting;
            if (!is_writable() || finish_current()) {
                return state_;
            }
        }
    }
    return fail(std::move(error_));
}

/// The current address has an outcome. False, with error_ set, when it is a failure.
PORTHOLE_FN bool Connector::finish_current() {
    const Endpoint& to = endpoints_[next_ - 1];
    if (const int code = socket_.take_error()) {
        error_ = endpoint_error("connect", to, code);
        return false;
    }
    if (to.family() != Family::local) {
        // A port that nobody listens on may be chosen for this end too; TCP then connects the
        // socket to itself (RFC 9293 section 3.5, simultaneous open).
        if (socket_.local_endpoint() == socket_.peer_endpoint()) {
            error_ = Error(
                ErrorCode::connection_refused, "connect", to.to_string(),
                default_advice(ErrorCode::connection_refused));
            return false;
        }
        socket_.set_no_delay();
    }
    state_ = State::connected;
    error_ = {};
    return true;
}

PORTHOLE_FN Connector::State Connector::advance(TimePoint now) {
    if (state_ != State::connecting) {
        return state_;
    }
    if (is_writable()) {
        return finish_current() ? state_ : try_next();
    }
    if (now >= deadline_) {
        return fail(Error(
            ErrorCode::timed_out, "connect", endpoints_[next_ - 1].to_string(),
            default_advice(ErrorCode::timed_out)));
    }
    return state_;
}

PORTHOLE_FN Connector::State Connector::fail(Error error) {
    socket_.close();
    error_ = std::move(error);
    state_ = State::failed;
    return state_;
}

PORTHOLE_FN bool Connector::is_writable() const noexcept {
    return is_settled(socket_.handle());
}

PORTHOLE_FN Socket Connector::take_socket() noexcept {
    if (state_ != State::connected) {
        PORTHOLE_ASSERT(state_ == State::connected, "take_socket() once it is connected");
        return {};
    }
    state_ = State::idle;
    return std::move(socket_);
}

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/os/poller_epoll.inl

// epoll, the poller of Linux: the cost of a poll() depends on what is ready, not on how much is
// watched. Level-triggered, so that a server that ran out of budget is told again.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

#if defined(__linux__)

class EpollPoller final : public Poller {
public:
    EpollPoller() noexcept : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {}
    EpollPoller(const EpollPoller&) = delete;
    EpollPoller& operator=(const EpollPoller&) = delete;
    ~EpollPoller() override {
        if (is_open()) {
            static_cast<void>(::close(epoll_));
        }
    }
    bool is_open() const noexcept { return epoll_ >= 0; }

    Error add(NativeHandle handle, void* owner, Interest interest) override {
        return control(EPOLL_CTL_ADD, handle, owner, interest);
    }
    Error modify(NativeHandle handle, void* owner, Interest interest) override {
        return control(EPOLL_CTL_MOD, handle, owner, interest);
    }
    void remove(NativeHandle handle) noexcept override {
        epoll_event unused{}; // kernels before 2.6.9 want one
        static_cast<void>(::epoll_ctl(epoll_, EPOLL_CTL_DEL, native(handle), &unused));
    }
    std::size_t poll(Duration timeout, Event* events) noexcept override;
    NativeHandle native_handle() const noexcept override { return epoll_; }

private:
    int wait(Duration timeout) noexcept;
    Error control(int operation, NativeHandle handle, void* owner, Interest interest);

    int epoll_;
    bool has_precise_wait_ = true; ///< until the kernel says otherwise
    epoll_event ready_[max_events];
};

PORTHOLE_FN Error
EpollPoller::control(int operation, NativeHandle handle, void* owner, Interest interest) {
    // Errors and full hangups are always told; the half-closed one has to be asked for.
    unsigned events = interest.hangup ? static_cast<unsigned>(EPOLLRDHUP) : 0u;
    events |= interest.read ? static_cast<unsigned>(EPOLLIN) : 0u;
    events |= interest.write ? static_cast<unsigned>(EPOLLOUT) : 0u;
    epoll_event event{};
    event.events = events;
    event.data.ptr = owner;
    if (::epoll_ctl(epoll_, operation, native(handle), &event) != 0) {
        const int code = errno;
        return socket_error("epoll_ctl", std::to_string(handle), code);
    }
    return {};
}

/// A frame's rest is no whole number of milliseconds, so where the kernel (5.11) can wait more
/// precisely it does.
PORTHOLE_FN int EpollPoller::wait(Duration timeout) noexcept {
    constexpr int most = static_cast<int>(max_events);
#if defined(SYS_epoll_pwait2)
    constexpr std::int64_t billion = 1'000'000'000;
    if (timeout > Duration::zero() && has_precise_wait_) {
        const std::int64_t total = std::chrono::nanoseconds(timeout).count();
        std::int64_t parts[2] = {total / billion, total % billion}; // the kernel's 64-bit timespec
        const long count =
            ::syscall(SYS_epoll_pwait2, epoll_, ready_, most, parts, nullptr, std::size_t{0});
        if (count >= 0 || errno != ENOSYS) {
            return static_cast<int>(count);
        }
        has_precise_wait_ = false;
    }
#endif
    return ::epoll_wait(epoll_, ready_, most, whole_milliseconds(timeout));
}

PORTHOLE_FN std::size_t EpollPoller::poll(Duration timeout, Event* events) noexcept {
    const int count = wait(timeout);
    const std::size_t size = count > 0 ? static_cast<std::size_t>(count) : 0;
    for (std::size_t i = 0; i < size; ++i) {
        const unsigned what = ready_[i].events;
        events[i].owner = ready_[i].data.ptr;
        Readiness& readiness = events[i].readiness;
        // A pipe's end of stream is a hangup alone.
        readiness.read = (what & (EPOLLIN | EPOLLHUP)) != 0;
        readiness.write = (what & EPOLLOUT) != 0;
        readiness.error = (what & EPOLLERR) != 0;
        readiness.hangup = (what & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    }
    return size;
}

inline Error make_epoll_poller(std::unique_ptr<Poller>& poller) {
    auto made = std::make_unique<EpollPoller>();
    if (!made->is_open()) {
        return socket_error("epoll_create1", "", errno);
    }
    poller = std::move(made);
    return {};
}

inline constexpr PollerKind best_poller = PollerKind::epoll;

#else

inline Error make_epoll_poller(std::unique_ptr<Poller>&) {
    return Error(
        ErrorCode::misuse, "epoll_create1", "",
        "this system has no epoll: choose PollerKind::automatic or PollerKind::poll");
}

inline constexpr PollerKind best_poller = PollerKind::poll;

#endif

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/os/poller_poll.inl

// poll(), and WSAPoll() on Windows: everywhere, but each call looks at all that is watched. The
// array for the system lives as long as the poller, so a poll() allocates nothing. Before Windows
// 10 2004 WSAPoll() said nothing of a connect that failed; who connects has a deadline anyway, and
// Connector looks for itself when it passes.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

#if defined(POLLRDHUP)
inline constexpr short poll_peer_closed = POLLRDHUP;
#else
inline constexpr short poll_peer_closed = 0; // the read that meets the end tells
#endif

class PollPoller final : public Poller {
public:
    Error add(NativeHandle handle, void* owner, Interest interest) override;
    Error modify(NativeHandle handle, void* owner, Interest interest) override;
    void remove(NativeHandle handle) noexcept override;
    std::size_t poll(Duration timeout, Event* events) noexcept override;
    NativeHandle native_handle() const noexcept override { return invalid_handle; }

private:
    static short events_for(Interest interest) noexcept;
    static Readiness readiness_of(const pollfd& entry) noexcept;

    std::vector<pollfd> entries_;
    std::vector<void*> owners_; ///< beside entries_, index by index
    std::unordered_map<NativeHandle, std::size_t> index_;
    std::size_t start_ = 0; ///< where the next poll() begins to look
};

PORTHOLE_FN short PollPoller::events_for(Interest interest) noexcept {
    int events = interest.hangup ? poll_peer_closed : 0;
    events |= interest.read ? POLLIN : 0;
    events |= interest.write ? POLLOUT : 0;
    return static_cast<short>(events);
}

/// WSAPoll() reports the end of a stream as a hangup alone, and so does poll() for a pipe; whoever
/// wants to read has to be told that the end is there.
PORTHOLE_FN Readiness PollPoller::readiness_of(const pollfd& entry) noexcept {
    const int happened = entry.revents;
    const bool is_reader = (entry.events & POLLIN) != 0;
    Readiness readiness;
    readiness.read = (happened & POLLIN) != 0 || (is_reader && (happened & POLLHUP) != 0);
    readiness.write = (happened & POLLOUT) != 0;
    readiness.error = (happened & (POLLERR | POLLNVAL)) != 0;
    readiness.hangup = readiness.error || (happened & (POLLHUP | poll_peer_closed)) != 0;
    return readiness;
}

PORTHOLE_FN Error PollPoller::add(NativeHandle handle, void* owner, Interest interest) {
    if (handle == invalid_handle || !index_.emplace(handle, entries_.size()).second) {
        return Error(
            ErrorCode::misuse, "poll", std::to_string(handle),
            "the descriptor is not open or is watched already");
    }
    pollfd entry{};
    entry.fd = native(handle);
    entry.events = events_for(interest);
    entries_.push_back(entry);
    owners_.push_back(owner);
    return {};
}

PORTHOLE_FN Error PollPoller::modify(NativeHandle handle, void* owner, Interest interest) {
    const auto found = index_.find(handle);
    if (found == index_.end()) {
        return Error(
            ErrorCode::misuse, "poll", std::to_string(handle), "the descriptor is not watched");
    }
    entries_[found->second].events = events_for(interest);
    owners_[found->second] = owner;
    return {};
}

/// The last entry takes the place of the one that goes.
PORTHOLE_FN void PollPoller::remove(NativeHandle handle) noexcept {
    const auto found = index_.find(handle);
    if (found == index_.end()) {
        return;
    }
    const std::size_t hole = found->second;
    index_.erase(found);
    if (hole + 1 != entries_.size()) {
        entries_[hole] = entries_.back();
        owners_[hole] = owners_.back();
        const auto moved = index_.find(static_cast<NativeHandle>(entries_[hole].fd));
        moved->second = hole;
    }
    entries_.pop_back();
    owners_.pop_back();
}

PORTHOLE_FN std::size_t PollPoller::poll(Duration timeout, Event* events) noexcept {
    const int answer = poll_handles(entries_.data(), entries_.size(), whole_milliseconds(timeout));
    std::size_t ready = answer > 0 ? static_cast<std::size_t>(answer) : 0;
    ready = ready < max_events ? ready : max_events;
    std::size_t filled = 0;
    std::size_t at = start_ < entries_.size() ? start_ : 0;
    for (std::size_t looked = 0; filled < ready && looked < entries_.size(); ++looked) {
        if (entries_[at].revents != 0) {
            events[filled].owner = owners_[at];
            events[filled].readiness = readiness_of(entries_[at]);
            ++filled;
        }
        at = at + 1 < entries_.size() ? at + 1 : 0;
    }
    start_ = at; // those that did not fit this time come first next time
    return filled;
}

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/os/poller.inl

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN Error make_poller(PollerKind kind, std::unique_ptr<Poller>& poller) {
    switch (kind == PollerKind::automatic ? best_poller : kind) {
    case PollerKind::epoll: return make_epoll_poller(poller);
    case PollerKind::automatic:
    case PollerKind::poll: break;
    }
    poller = std::make_unique<PollPoller>();
    return {};
}

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/os/waker_posix.inl

// The waker on POSIX: an eventfd where there is one, else a pipe. Either holds one unread message
// at the most, because only the first wake() after a drain() writes.

#if !defined(_WIN32)

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN Error Waker::open() {
    close();
#if defined(EFD_CLOEXEC)
    read_end_ = write_end_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (read_end_ < 0) {
        return socket_error("eventfd", "", errno);
    }
#else
    int ends[2] = {-1, -1};
    if (::pipe(ends) != 0) {
        return socket_error("pipe", "", errno);
    }
    read_end_ = ends[0];
    write_end_ = ends[1];
    if (!set_descriptor_flags(ends[0]) || !set_descriptor_flags(ends[1])) {
        const int code = errno;
        close();
        return socket_error("fcntl", "", code);
    }
#endif
    return {};
}

PORTHOLE_FN void Waker::close() noexcept {
    if (write_end_ != invalid_handle && write_end_ != read_end_) {
        static_cast<void>(::close(native(write_end_)));
    }
    if (read_end_ != invalid_handle) {
        static_cast<void>(::close(native(read_end_)));
    }
    read_end_ = write_end_ = invalid_handle;
    is_raised_.store(false, std::memory_order_release);
}

PORTHOLE_FN void Waker::wake() noexcept {
    if (write_end_ == invalid_handle || is_raised_.exchange(true, std::memory_order_acq_rel)) {
        return;
    }
    const std::uint64_t one = 1; // an eventfd takes eight bytes; a pipe does not mind
    for (int attempt = 0; attempt < max_interrupts; ++attempt) {
        if (::write(native(write_end_), &one, sizeof one) >= 0 || errno != EINTR) {
            return;
        }
    }
    is_raised_.store(false, std::memory_order_release); // so that the next wake() tries again
}

/// The flag falls after the read and only when something was read: a wake() that has raised it and
/// not written yet keeps it up, and is drained in the next round. A wake() between read and fall
/// writes nothing, so look for work after drain(), never before.
PORTHOLE_FN void Waker::drain() noexcept {
    if (!is_raised_.load(std::memory_order_acquire)) {
        return;
    }
    std::uint64_t count = 0;
    if (::read(native(read_end_), &count, sizeof count) > 0) {
        static_cast<void>(is_raised_.exchange(false, std::memory_order_acq_rel));
    }
}

} // namespace detail

PORTHOLE_NAMESPACE_END

#endif

// porthole/os/waker_windows.inl

// The waker on Windows, whose pollers know sockets only: a UDP socket on loopback that is connected
// to itself, so that no other program can reach it.

#if defined(_WIN32)

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// Bound to a free port of 127.0.0.1 and connected to it. 0, or the system's code.
inline int connect_to_itself(SOCKET handle) noexcept {
    SocketAddress address;
    if (!prepare_handle(handle) || !to_system(Endpoint::ipv4({127, 0, 0, 1}, 0), address)
        || ::bind(handle, address.data(), address.length) != 0) {
        return last_socket_error();
    }
    address = SocketAddress();
    if (::getsockname(handle, address.data(), &address.length) != 0
        || ::connect(handle, address.data(), address.length) != 0) {
        return last_socket_error();
    }
    return 0;
}

PORTHOLE_FN Error Waker::open() {
    close();
    if (const int code = begin_network()) {
        return socket_error("WSAStartup", "", code);
    }
    const SOCKET handle = ::WSASocketW(
        AF_INET, SOCK_DGRAM, IPPROTO_UDP, nullptr, 0,
        WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT);
    if (handle == INVALID_SOCKET) {
        const int code = last_socket_error();
        end_network();
        return socket_error("socket", "UDP", code);
    }
    read_end_ = write_end_ = static_cast<NativeHandle>(handle);
    if (const int code = connect_to_itself(handle)) {
        close();
        return socket_error("connect", "the waker's own UDP port", code);
    }
    return {};
}

PORTHOLE_FN void Waker::close() noexcept {
    if (read_end_ != invalid_handle) {
        static_cast<void>(::closesocket(native(read_end_)));
        read_end_ = write_end_ = invalid_handle;
        end_network();
    }
    is_raised_.store(false, std::memory_order_release);
}

PORTHOLE_FN void Waker::wake() noexcept {
    if (write_end_ == invalid_handle || is_raised_.exchange(true, std::memory_order_acq_rel)) {
        return;
    }
    const char one = 1;
    if (::send(native(write_end_), &one, 1, 0) != 1) {
        is_raised_.store(false, std::memory_order_release); // so that the next wake() tries again
    }
}

/// The flag falls after the read and only when something was read: a wake() that has raised it and
/// not written yet keeps it up, and is drained in the next round. A wake() between read and fall
/// writes nothing, so look for work after drain(), never before.
PORTHOLE_FN void Waker::drain() noexcept {
    if (!is_raised_.load(std::memory_order_acquire)) {
        return;
    }
    char byte = 0;
    if (::recv(native(read_end_), &byte, 1, 0) > 0) {
        static_cast<void>(is_raised_.exchange(false, std::memory_order_acq_rel));
    }
}

} // namespace detail

PORTHOLE_NAMESPACE_END

#endif

// porthole/os/random_posix.inl

#if !defined(_WIN32)

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// getentropy() never blocks once the system is up and never returns less than asked for.
PORTHOLE_FN bool fill_random(char* into, std::size_t size) noexcept {
    return ::getentropy(into, size) == 0;
}

} // namespace detail

PORTHOLE_NAMESPACE_END

#endif

// porthole/os/random_windows.inl

#if defined(_WIN32)

// RtlGenRandom under the name that advapi32 exports; no header declares it without the whole of
// ntsecapi.h.
extern "C" BOOLEAN NTAPI SystemFunction036(PVOID, ULONG);

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN bool fill_random(char* into, std::size_t size) noexcept {
    return ::SystemFunction036(into, static_cast<ULONG>(size)) != 0;
}

} // namespace detail

PORTHOLE_NAMESPACE_END

#endif

// porthole/os/transport.inl

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN IoResult SocketTransport::read(char* into, std::size_t capacity) noexcept {
    return socket_.receive(into, capacity);
}

PORTHOLE_FN IoResult
SocketTransport::write(const std::string_view* slices, std::size_t count) noexcept {
    return socket_.send(slices, count);
}

} // namespace detail

/// One direction: a ring of bytes, and what its two ends have said. All memory is taken at the
/// start, so that reads and writes allocate as little as those of a socket do: nothing.
struct MemoryTransport::Pipe {
    explicit Pipe(std::size_t max_bytes) : bytes(new char[max_bytes]), capacity(max_bytes) {}

    std::size_t room() const noexcept { return capacity - size; }
    void push(const char* from, std::size_t count) noexcept;
    void pop(char* into, std::size_t count) noexcept;

    std::unique_ptr<char[]> bytes;
    std::size_t capacity;
    std::size_t begin = 0;
    std::size_t size = 0;
    bool is_ended = false;     ///< the writer has finished or is gone
    bool is_abandoned = false; ///< the reader is gone
    bool is_reset = false;
};

PORTHOLE_FN void MemoryTransport::Pipe::push(const char* from, std::size_t count) noexcept {
    const std::size_t end = (begin + size) % capacity;
    const std::size_t first = count < capacity - end ? count : capacity - end;
    std::memcpy(bytes.get() + end, from, first);
    std::memcpy(bytes.get(), from + first, count - first);
    size += count;
}

PORTHOLE_FN void MemoryTransport::Pipe::pop(char* into, std::size_t count) noexcept {
    const std::size_t first = count < capacity - begin ? count : capacity - begin;
    std::memcpy(into, bytes.get() + begin, first);
    std::memcpy(into + first, bytes.get(), count - first);
    size -= count;
    begin = size == 0 ? 0 : (begin + count) % capacity;
}

PORTHOLE_FN
MemoryTransport::MemoryTransport(std::shared_ptr<Pipe> in, std::shared_ptr<Pipe> out) noexcept
    : in_(std::move(in)), out_(std::move(out)) {}

PORTHOLE_FN MemoryTransport::Pair MemoryTransport::make_pair(std::size_t capacity) {
    PORTHOLE_ASSERT(capacity != 0, "a connection needs room for at least one byte");
    const std::size_t size = capacity == 0 ? 1 : capacity;
    const auto to_server = std::make_shared<Pipe>(size);
    const auto to_client = std::make_shared<Pipe>(size);
    Pair pair;
    pair.server.reset(new MemoryTransport(to_server, to_client));
    pair.client.reset(new MemoryTransport(to_client, to_server));
    return pair;
}

PORTHOLE_FN MemoryTransport::~MemoryTransport() {
    in_->is_abandoned = true;
    out_->is_ended = true;
}

PORTHOLE_FN IoResult MemoryTransport::read(char* into, std::size_t capacity) noexcept {
    IoResult result;
    if (in_->is_reset) {
        result.status = IoStatus::failed;
        result.system_code = detail::connection_reset_code;
        return result;
    }
    std::size_t count = capacity < in_->size ? capacity : in_->size;
    count = count < max_read_bytes_ ? count : max_read_bytes_;
    if (count != 0) {
        in_->pop(into, count);
        result.status = IoStatus::ok;
        result.bytes = count;
    } else if (in_->size == 0 && in_->is_ended) {
        result.status = IoStatus::end;
    }
    return result;
}

PORTHOLE_FN IoResult
MemoryTransport::write(const std::string_view* slices, std::size_t count) noexcept {
    IoResult result;
    if (out_->is_reset || out_->is_ended || out_->is_abandoned) {
        result.status = IoStatus::failed;
        result.system_code =
            out_->is_reset ? detail::connection_reset_code : detail::broken_pipe_code;
        return result;
    }
    count = count < max_slices ? count : max_slices;
    for (std::size_t i = 0; i < count && out_->room() != 0; ++i) {
        const std::size_t wanted = slices[i].size();
        const std::size_t taken = wanted < out_->room() ? wanted : out_->room();
        if (taken != 0) {
            out_->push(slices[i].data(), taken);
            result.bytes += taken;
        }
    }
    result.status = result.bytes != 0 ? IoStatus::ok : IoStatus::would_block;
    return result;
}

PORTHOLE_FN void MemoryTransport::shut_write() noexcept {
    out_->is_ended = true;
}

PORTHOLE_FN Readiness MemoryTransport::readiness() const noexcept {
    Readiness readiness;
    readiness.error = in_->is_reset;
    readiness.hangup = in_->is_reset || in_->is_ended || out_->is_abandoned;
    readiness.read = in_->size != 0 || in_->is_ended || in_->is_reset;
    readiness.write = out_->room() != 0 || out_->is_ended || out_->is_abandoned || out_->is_reset;
    return readiness;
}

PORTHOLE_FN void MemoryTransport::reset() noexcept {
    in_->is_reset = true;
    out_->is_reset = true;
}

PORTHOLE_NAMESPACE_END

// porthole/os/send_file_linux.inl

// sendfile(2): a file's bytes go from the page cache to the socket without being copied through
// this process. send_file_other.inl beside it is for systems that are served by reading instead.

#if defined(__linux__)

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// sendfile() cannot be told MSG_NOSIGNAL, so SIGPIPE is held back from this thread for the length
/// of the call, and the one that the call itself has raised is taken away. The program's own
/// handlers and masks see nothing of it.
class PipeSignalHold {
public:
    PipeSignalHold() noexcept {
        sigemptyset(&pipe_);
        sigaddset(&pipe_, SIGPIPE);
        is_held_ = ::pthread_sigmask(SIG_BLOCK, &pipe_, &before_) == 0;
        // Only a signal that was held back before can have been waiting.
        if (is_held_ && sigismember(&before_, SIGPIPE) == 1) {
            sigset_t pending;
            was_pending_ = ::sigpending(&pending) != 0 || sigismember(&pending, SIGPIPE) == 1;
        }
    }
    PipeSignalHold(const PipeSignalHold&) = delete;
    PipeSignalHold& operator=(const PipeSignalHold&) = delete;
    ~PipeSignalHold() {
        if (is_held_) {
            static_cast<void>(::pthread_sigmask(SIG_SETMASK, &before_, nullptr));
        }
    }
    /// The call has failed, or sent less than it was to: also when it broke half-way.
    void take_signal() noexcept {
        const timespec at_once{};
        if (is_held_ && !was_pending_) {
            static_cast<void>(::sigtimedwait(&pipe_, nullptr, &at_once));
        }
    }

private:
    sigset_t pipe_{};
    sigset_t before_{};
    bool was_pending_ = false;
    bool is_held_ = false;
};

PORTHOLE_FN bool system_sends_files() noexcept {
    return true;
}

PORTHOLE_FN IoResult send_file_bytes(
    NativeHandle socket, NativeHandle file, std::uint64_t offset, std::size_t most) noexcept {
    IoResult result;
    PipeSignalHold hold;
    for (int attempt = 0; attempt < max_interrupts; ++attempt) {
        off_t at = static_cast<off_t>(offset);
        const ssize_t sent = ::sendfile(native(socket), static_cast<int>(file), &at, most);
        const int code = errno;
        if (sent < 0 || static_cast<std::size_t>(sent) < most) {
            hold.take_signal();
        }
        if (sent >= 0) {
            result.status = sent == 0 ? IoStatus::end : IoStatus::ok;
            result.bytes = static_cast<std::size_t>(sent);
            return result;
        }
        if (code != EINTR) {
            // EINVAL and ENOSYS: this kind of file cannot be sent so; the connection is fine.
            const bool is_impossible = code == EINVAL || code == ENOSYS || code == EOVERFLOW;
            result.status = is_would_block(code) ? IoStatus::would_block : IoStatus::failed;
            result.system_code = is_would_block(code) || is_impossible ? 0 : code;
            return result;
        }
    }
    return result;
}

} // namespace detail

PORTHOLE_NAMESPACE_END

#endif

// porthole/os/send_file_other.inl

// For systems without Linux's sendfile(2), or with another call of that name: files are read and
// sent like everything else.

#if !defined(__linux__)

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN bool system_sends_files() noexcept {
    return false;
}

PORTHOLE_FN IoResult
send_file_bytes(NativeHandle, NativeHandle, std::uint64_t, std::size_t) noexcept {
    IoResult result;
    result.status = IoStatus::failed;
    return result;
}

} // namespace detail

PORTHOLE_NAMESPACE_END

#endif

// porthole/os/file_posix.inl

// Files on POSIX systems. Where Linux has openat2() the kernel keeps a lookup beneath the root;
// elsewhere each part of a name is opened by itself with O_NOFOLLOW, and links are followed here,
// inside the root, with ".." going back to a descriptor that is still open.

#if !defined(_WIN32)

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// Never blocks in open, never becomes the terminal of this process, never goes to a child.
inline constexpr int file_flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY;

// What a directory needs to be opened for while it is only passed through: searching.
#if defined(O_PATH)
inline constexpr int step_flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
#elif defined(O_SEARCH)
inline constexpr int step_flags = O_SEARCH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
#else
inline constexpr int step_flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
#endif

inline int native_file(const File& file) noexcept {
    return static_cast<int>(file.handle());
}

inline OpenResult classify_open_error(int code) noexcept {
    switch (code) {
    case 0: return OpenResult::ok;
    case EACCES:
    case EPERM: return OpenResult::denied;
    case ENAMETOOLONG: return OpenResult::too_long;
    case EMFILE:
    case ENFILE:
    case ENOMEM: return OpenResult::exhausted;
    default: return OpenResult::not_found;
    }
}

/// openat() that goes on after a signal. -1 with errno.
inline int open_at(int directory, const char* name, int flags) noexcept {
    for (int attempt = 0; attempt < max_interrupts; ++attempt) {
        const int descriptor = ::openat(directory, name, flags);
        if (descriptor >= 0 || errno != EINTR) {
            return descriptor;
        }
    }
    return -1;
}

#if defined(SYS_openat2)
/// The kernel's struct open_how and the two of its flags that matter here.
struct OpenHow {
    std::uint64_t flags;
    std::uint64_t mode;
    std::uint64_t resolve;
};
inline constexpr std::uint64_t resolve_no_magic_links = 0x02;
inline constexpr std::uint64_t resolve_beneath = 0x08;

inline int open_beneath_at(int directory, const char* name) noexcept {
    OpenHow how{};
    how.flags = static_cast<std::uint64_t>(file_flags);
    how.resolve = resolve_beneath | resolve_no_magic_links;
    for (int attempt = 0; attempt < max_interrupts; ++attempt) {
        const long descriptor = ::syscall(SYS_openat2, directory, name, &how, sizeof how);
        if (descriptor >= 0 || errno != EINTR) {
            return static_cast<int>(descriptor);
        }
    }
    return -1;
}
#else
inline int open_beneath_at(int, const char*) noexcept {
    errno = ENOSYS;
    return -1;
}
#endif

// The one field whose name differs between the systems.
template <class Stat>
auto mtime_of(const Stat& stat, int) noexcept -> decltype(stat.st_mtim) {
    return stat.st_mtim;
}
template <class Stat>
auto mtime_of(const Stat& stat, long) noexcept -> decltype(stat.st_mtimespec) {
    return stat.st_mtimespec;
}

inline std::int64_t mtime_ns_of(const struct stat& stat) noexcept {
    constexpr std::int64_t second = 1'000'000'000;
    constexpr std::int64_t last_second = INT64_MAX / second - 1;
    const auto time = mtime_of(stat, 0);
    const auto seconds = static_cast<std::int64_t>(time.tv_sec);
    const std::int64_t bounded = seconds > last_second    ? last_second
                                 : seconds < -last_second ? -last_second
                                                          : seconds;
    return bounded * second + static_cast<std::int64_t>(time.tv_nsec);
}

PORTHOLE_FN void File::close() noexcept {
    if (is_open()) {
        static_cast<void>(::close(static_cast<int>(handle_)));
        handle_ = invalid_handle;
    }
}

PORTHOLE_FN bool File::read_info(FileInfo& info) const noexcept {
    struct stat stat {};
    if (::fstat(native_file(*this), &stat) != 0
        || (!S_ISREG(stat.st_mode) && !S_ISDIR(stat.st_mode)) || stat.st_size < 0) {
        return false;
    }
    info.is_directory = S_ISDIR(stat.st_mode);
    info.is_unlinked = stat.st_nlink == 0;
    info.is_executable = (stat.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)) != 0;
    info.volume = static_cast<std::uint64_t>(stat.st_dev);
    info.inode = static_cast<std::uint64_t>(stat.st_ino);
    info.size = static_cast<std::uint64_t>(stat.st_size);
    info.mtime_ns = mtime_ns_of(stat);
    return true;
}

PORTHOLE_FN void File::stop_reading_ahead() const noexcept {
#if defined(POSIX_FADV_RANDOM)
    static_cast<void>(::posix_fadvise(native_file(*this), 0, 0, POSIX_FADV_RANDOM));
#endif
}

PORTHOLE_FN void File::read_ahead(std::uint64_t offset, std::uint64_t bytes) const noexcept {
#if defined(POSIX_FADV_WILLNEED)
    static_cast<void>(::posix_fadvise(
        native_file(*this), static_cast<off_t>(offset), static_cast<off_t>(bytes),
        POSIX_FADV_WILLNEED));
#else
    static_cast<void>(offset);
    static_cast<void>(bytes);
#endif
}

PORTHOLE_FN std::size_t
File::read_at(std::uint64_t offset, char* into, std::size_t capacity) const noexcept {
    std::size_t done = 0;
    int interrupts = 0;
    while (done < capacity) {
        const ssize_t count = ::pread(
            native_file(*this), into + done, capacity - done, static_cast<off_t>(offset + done));
        if (count > 0) {
            done += static_cast<std::size_t>(count);
        } else if (count == 0 || errno != EINTR || ++interrupts == max_interrupts) {
            break;
        }
    }
    return done;
}

struct DirectoryReader::State {
    ~State() {
        if (stream != nullptr) {
            static_cast<void>(::closedir(stream));
        }
    }
    DIR* stream = nullptr;
};

PORTHOLE_FN DirectoryReader::DirectoryReader(File directory) : state_(new State) {
    state_->stream = ::fdopendir(native_file(directory));
    if (state_->stream != nullptr) {
        static_cast<void>(directory.release()); // the stream closes it
    }
}

PORTHOLE_FN DirectoryReader::~DirectoryReader() = default;

PORTHOLE_FN bool DirectoryReader::next(DirectoryEntry& entry) {
    if (state_->stream == nullptr) {
        return false;
    }
    while (const dirent* found = ::readdir(state_->stream)) {
        const std::string_view name = found->d_name;
        struct stat stat {};
        if (name == "." || name == ".."
            || ::fstatat(::dirfd(state_->stream), found->d_name, &stat, AT_SYMLINK_NOFOLLOW) != 0) {
            continue; // deleted meanwhile
        }
        entry.name = name;
        entry.is_link = S_ISLNK(stat.st_mode);
        entry.is_directory = S_ISDIR(stat.st_mode);
        entry.is_regular = S_ISREG(stat.st_mode);
        entry.size = stat.st_size > 0 ? static_cast<std::uint64_t>(stat.st_size) : 0;
        entry.mtime_ns = mtime_ns_of(stat);
        return true;
    }
    return false;
}

PORTHOLE_FN Directory::Directory() = default;
PORTHOLE_FN Directory::Directory(Directory&& other) noexcept = default;
PORTHOLE_FN Directory& Directory::operator=(Directory&& other) noexcept = default;
PORTHOLE_FN Directory::~Directory() = default;

inline Error directory_error(std::string_view call, std::string_view path, int code) {
    const std::string_view advice =
        code == ENOENT    ? "create the directory first, or start the program where it lies"
        : code == ENOTDIR ? "name a directory"
        : code == EACCES  ? "this user may not read it"
                          : std::string_view();
    const ErrorCode kind = code == ENOTDIR ? ErrorCode::bad_path : classify_socket_error(code);
    return Error(kind, call, path, advice).with_system(code, system_text(code));
}

struct FreeMemory {
    void operator()(char* memory) const noexcept { std::free(memory); }
};

PORTHOLE_FN Error
Directory::open(std::string_view path, std::string_view call, Lookup lookup, Directory& directory) {
    const std::string name(path);
    if (name.find('\0') != std::string::npos) {
        return directory_error(call, path, ENOENT);
    }
    Directory made;
    made.root_ = File(::open(name.c_str(), file_flags | O_DIRECTORY));
    if (!made.root_.is_open()) {
        return directory_error(call, path, errno);
    }
    const std::unique_ptr<char, FreeMemory> real(::realpath(name.c_str(), nullptr));
    made.real_path_ = real ? real.get() : "";
    // Readable and not searchable: every file in it would be refused.
    const File probe(open_at(native_file(made.root_), ".", file_flags | O_DIRECTORY));
    if (!probe.is_open()) {
        return directory_error(call, path, errno);
    }
    if (lookup == Lookup::automatic) {
        const File direct(open_beneath_at(native_file(made.root_), "."));
        made.opens_directly_ = direct.is_open(); // an old kernel, or a sandbox that forbids it
    }
    directory = std::move(made);
    return {};
}

/// One lookup, part by part. `pending` holds what is still to be walked, `passed` the directories
/// that it has come through, the root left out.
struct Directory::Walk {
    const Directory& directory;
    std::string pending;
    std::vector<File> passed;
    int links = 0;

    int here() const noexcept {
        return native_file(passed.empty() ? directory.root_ : passed.back());
    }
    std::string take_part();
    OpenResult step(const std::string& part, File& file);
    OpenResult follow_link(const std::string& part);
};

PORTHOLE_FN std::string Directory::Walk::take_part() {
    const std::size_t end = pending.find('/');
    std::string part = pending.substr(0, end);
    const std::size_t next =
        pending.find_first_not_of('/', end == std::string::npos ? pending.size() : end);
    pending.erase(0, next == std::string::npos ? pending.size() : next);
    return part;
}

/// Puts a link's target before what is still to be walked. not_found when it leads out, or when it
/// is no link at all.
PORTHOLE_FN OpenResult Directory::Walk::follow_link(const std::string& part) {
    constexpr std::size_t max_target = 4096;
    if (++links > max_followed_links) {
        return OpenResult::not_found;
    }
    char bytes[max_target];
    const ssize_t size = ::readlinkat(here(), part.c_str(), bytes, sizeof bytes);
    if (size <= 0 || static_cast<std::size_t>(size) == sizeof bytes
        || pending.size() > max_target) {
        return OpenResult::not_found;
    }
    std::string_view target(bytes, static_cast<std::size_t>(size));
    if (target[0] == '/') {
        // An absolute link back into the root is walked from the root.
        const std::string& root = directory.real_path_;
        if (root.empty() || target.substr(0, root.size()) != root
            || (root != "/" && target.size() > root.size() && target[root.size()] != '/')) {
            return OpenResult::not_found;
        }
        target.remove_prefix(root.size());
        const std::size_t begin = target.find_first_not_of('/');
        target.remove_prefix(begin == std::string_view::npos ? target.size() : begin);
        passed.clear();
    }
    pending.insert(0, pending.empty() ? "" : "/");
    pending.insert(0, target);
    return OpenResult::ok;
}

/// Opens one part. `file` is open when it was the last.
PORTHOLE_FN OpenResult Directory::Walk::step(const std::string& part, File& file) {
    constexpr std::size_t max_depth = 64;
    if (part == ".." && passed.empty()) {
        return OpenResult::not_found; // out of the root
    }
    if (part == "..") {
        passed.pop_back();
        return OpenResult::ok;
    }
    if (part.empty() || part == ".") {
        return OpenResult::ok;
    }
    const bool is_last = pending.empty();
    File opened(open_at(here(), part.c_str(), is_last ? file_flags | O_NOFOLLOW : step_flags));
    if (!opened.is_open()) {
        const int code = errno;
        // What the systems say about a link that was not to be followed.
        const bool may_be_link =
            code == ELOOP || code == EMLINK || code == ENOTDIR || code == EACCES || code == ENXIO;
        if (may_be_link && follow_link(part) == OpenResult::ok) {
            return OpenResult::ok;
        }
        return classify_open_error(code);
    }
    if (is_last) {
        file = std::move(opened);
        return OpenResult::ok;
    }
    if (passed.size() == max_depth) {
        return OpenResult::not_found;
    }
    passed.push_back(std::move(opened));
    return OpenResult::ok;
}

PORTHOLE_FN OpenResult Directory::open_by_steps(std::string_view name, File& file) const {
    Walk walk{*this, std::string(name), {}, 0};
    while (!walk.pending.empty()) {
        const OpenResult result = walk.step(walk.take_part(), file);
        if (result != OpenResult::ok || file.is_open()) {
            return result;
        }
    }
    // A link that ended in "..", ".", or at the root: the directory itself.
    file = File(open_at(walk.here(), ".", file_flags | O_DIRECTORY));
    return file.is_open() ? OpenResult::ok : classify_open_error(errno);
}

PORTHOLE_FN OpenResult Directory::open_directly(const std::string& name, File& file) const {
    file = File(open_beneath_at(native_file(root_), name.empty() ? "." : name.c_str()));
    if (file.is_open()) {
        return OpenResult::ok;
    }
    const int code = errno;
    // EXDEV: an absolute link, which may well lead back inside. EAGAIN: something on the way was
    // renamed meanwhile.
    return code == EXDEV || code == EAGAIN ? open_by_steps(name, file) : classify_open_error(code);
}

PORTHOLE_FN OpenResult
Directory::open_beneath(std::string_view name, File& file, FileInfo& info) const {
    File opened;
    const OpenResult result =
        opens_directly_ ? open_directly(std::string(name), opened) : open_by_steps(name, opened);
    if (result != OpenResult::ok) {
        return result;
    }
    if (!opened.read_info(info)) {
        return OpenResult::not_found;
    }
    file = std::move(opened);
    return OpenResult::ok;
}

PORTHOLE_FN std::string Directory::native_path(std::string_view name) const {
    std::string path = real_path_;
    path += name.empty() || path == "/" ? "" : "/";
    return path.append(name);
}

PORTHOLE_FN OpenResult open_path(std::string_view path, File& file, FileInfo& info) {
    if (path.find('\0') != std::string_view::npos) {
        return OpenResult::not_found;
    }
    File opened(open_at(AT_FDCWD, std::string(path).c_str(), file_flags));
    if (!opened.is_open()) {
        return classify_open_error(errno);
    }
    if (!opened.read_info(info)) {
        return OpenResult::not_found;
    }
    file = std::move(opened);
    return OpenResult::ok;
}

PORTHOLE_FN bool has_windows_files() noexcept {
    return false;
}

} // namespace detail

PORTHOLE_NAMESPACE_END

#endif

// porthole/os/file_windows.inl

// Files on Windows: HANDLEs, wide calls, UTF-8 outside. There is no call that stays beneath a
// directory, so a file is opened first and asked where it really lies; links and junctions that
// lead out are then closed again unread.

#include <cwchar>

#if defined(_WIN32)

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

inline HANDLE native_file(const File& file) noexcept {
    return reinterpret_cast<HANDLE>(file.handle());
}

/// Empty for what is not UTF-8: no file has such a name.
inline std::wstring widen(std::string_view text) {
    const int size = static_cast<int>(text.size());
    const int count =
        ::MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text.data(), size, nullptr, 0);
    std::wstring wide(count > 0 ? static_cast<std::size_t>(count) : 0, L'\0');
    if (count > 0) {
        ::MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text.data(), size, &wide[0], count);
    }
    return wide;
}

inline std::string narrow(const wchar_t* text, std::size_t size) {
    const int length = static_cast<int>(size);
    const int count = ::WideCharToMultiByte(CP_UTF8, 0, text, length, nullptr, 0, nullptr, nullptr);
    std::string bytes(count > 0 ? static_cast<std::size_t>(count) : 0, '\0');
    if (count > 0) {
        ::WideCharToMultiByte(CP_UTF8, 0, text, length, &bytes[0], count, nullptr, nullptr);
    }
    return bytes;
}

inline OpenResult classify_file_error(DWORD code) noexcept {
    switch (code) {
    case ERROR_ACCESS_DENIED:
    case ERROR_SHARING_VIOLATION:
    case ERROR_LOCK_VIOLATION: return OpenResult::denied;
    case ERROR_FILENAME_EXCED_RANGE: return OpenResult::too_long;
    case ERROR_TOO_MANY_OPEN_FILES:
    case ERROR_NO_SYSTEM_RESOURCES:
    case ERROR_NOT_ENOUGH_MEMORY: return OpenResult::exhausted;
    default: return OpenResult::not_found;
    }
}

/// For reading, without getting in the way of those who write, rename or delete. The flag makes
/// directories openable.
inline File open_wide(const std::wstring& path) noexcept {
    const HANDLE handle = ::CreateFileW(
        path.c_str(), GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, nullptr,
        OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS, nullptr);
    return handle == INVALID_HANDLE_VALUE ? File() : File(reinterpret_cast<NativeHandle>(handle));
}

/// Where an open file really lies, links and short names resolved; empty when it is not told.
inline std::wstring final_path(const File& file) {
    constexpr DWORD flags = FILE_NAME_NORMALIZED | VOLUME_NAME_DOS;
    const DWORD needed = ::GetFinalPathNameByHandleW(native_file(file), nullptr, 0, flags);
    std::wstring path(needed, L'\0');
    const DWORD size =
        needed == 0 ? 0 : ::GetFinalPathNameByHandleW(native_file(file), &path[0], needed, flags);
    path.resize(size < needed ? size : 0);
    return path;
}

/// True when `path` is `root` or lies beneath it. Both are final, so their case is the same.
inline bool is_beneath(const std::wstring& path, const std::wstring& root) noexcept {
    if (root.empty() || path.compare(0, root.size(), root) != 0) {
        return false;
    }
    return path.size() == root.size() || root.back() == L'\\' || path[root.size()] == L'\\';
}

/// FILETIME counts 100 ns since 1601.
inline std::int64_t to_unix_ns(std::int64_t file_time) noexcept {
    constexpr std::int64_t ticks_before_1970 = 116'444'736'000'000'000;
    constexpr std::int64_t ns_per_tick = 100;
    return (file_time - ticks_before_1970) * ns_per_tick;
}

inline std::uint64_t join_words(DWORD high, DWORD low) noexcept {
    constexpr unsigned word_bits = 32;
    return (static_cast<std::uint64_t>(high) << word_bits) | low;
}

PORTHOLE_FN void File::close() noexcept {
    if (is_open()) {
        static_cast<void>(::CloseHandle(native_file(*this)));
        handle_ = invalid_handle;
    }
}

PORTHOLE_FN bool File::read_info(FileInfo& info) const noexcept {
    BY_HANDLE_FILE_INFORMATION found{};
    if (::GetFileType(native_file(*this)) != FILE_TYPE_DISK
        || ::GetFileInformationByHandle(native_file(*this), &found) == 0) {
        return false;
    }
    info.is_directory = (found.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
    info.is_unlinked = found.nNumberOfLinks == 0;
    info.is_executable = !info.is_directory;
    info.volume = found.dwVolumeSerialNumber;
    info.inode = join_words(found.nFileIndexHigh, found.nFileIndexLow);
    info.size = join_words(found.nFileSizeHigh, found.nFileSizeLow);
    info.mtime_ns = to_unix_ns(static_cast<std::int64_t>(
        join_words(found.ftLastWriteTime.dwHighDateTime, found.ftLastWriteTime.dwLowDateTime)));
    return true;
}

// Windows reads ahead in steps of its own, and has no call to ask for more of them.
PORTHOLE_FN void File::stop_reading_ahead() const noexcept {}
PORTHOLE_FN void File::read_ahead(std::uint64_t, std::uint64_t) const noexcept {}

PORTHOLE_FN std::size_t
File::read_at(std::uint64_t offset, char* into, std::size_t capacity) const noexcept {
    constexpr std::size_t most = 1024 * 1024 * 1024;
    constexpr unsigned word_bits = 32;
    std::size_t done = 0;
    while (done < capacity) {
        const std::uint64_t at = offset + done;
        const std::size_t wanted = capacity - done < most ? capacity - done : most;
        OVERLAPPED place{};
        place.Offset = static_cast<DWORD>(at);
        place.OffsetHigh = static_cast<DWORD>(at >> word_bits);
        DWORD count = 0;
        if (::ReadFile(native_file(*this), into + done, static_cast<DWORD>(wanted), &count, &place)
                == 0
            || count == 0) {
            break;
        }
        done += count;
    }
    return done;
}

struct DirectoryReader::State {
    File directory;
    alignas(8) char block[8 * 1024];
    std::size_t at = 0;
    bool has_block = false;
    bool has_ended = false;

    /// False when there are no more.
    bool read_block() noexcept {
        at = 0;
        has_block = !has_ended
                    && ::GetFileInformationByHandleEx(
                           native_file(directory), FileIdBothDirectoryInfo, block, sizeof block)
                           != 0;
        has_ended = !has_block;
        return has_block;
    }
};

PORTHOLE_FN DirectoryReader::DirectoryReader(File directory) : state_(new State) {
    state_->directory = std::move(directory);
}

PORTHOLE_FN DirectoryReader::~DirectoryReader() = default;

PORTHOLE_FN bool DirectoryReader::next(DirectoryEntry& entry) {
    while (state_->has_block || state_->read_block()) {
        const auto* found =
            reinterpret_cast<const FILE_ID_BOTH_DIR_INFO*>(state_->block + state_->at);
        state_->at += found->NextEntryOffset;
        state_->has_block = found->NextEntryOffset != 0;
        entry.name = narrow(found->FileName, found->FileNameLength / sizeof(wchar_t));
        if (entry.name == "." || entry.name == "..") {
            continue;
        }
        entry.is_link = (found->FileAttributes & FILE_ATTRIBUTE_REPARSE_POINT) != 0;
        entry.is_directory = (found->FileAttributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
        entry.is_regular = !entry.is_directory;
        entry.size = static_cast<std::uint64_t>(found->EndOfFile.QuadPart);
        entry.mtime_ns = to_unix_ns(found->LastWriteTime.QuadPart);
        return true;
    }
    return false;
}

struct Directory::Walk {};

PORTHOLE_FN Directory::Directory() = default;
PORTHOLE_FN Directory::Directory(Directory&& other) noexcept = default;
PORTHOLE_FN Directory& Directory::operator=(Directory&& other) noexcept = default;
PORTHOLE_FN Directory::~Directory() = default;

inline Error directory_error(std::string_view call, std::string_view path, DWORD code) {
    const bool is_missing = code == ERROR_FILE_NOT_FOUND || code == ERROR_PATH_NOT_FOUND;
    const ErrorCode kind = is_missing                    ? ErrorCode::not_found
                           : code == ERROR_ACCESS_DENIED ? ErrorCode::permission_denied
                           : code == ERROR_DIRECTORY     ? ErrorCode::bad_path
                                                         : ErrorCode::system;
    const std::string_view advice =
        is_missing                ? "create the directory first, or start the program where it lies"
        : code == ERROR_DIRECTORY ? "name a directory"
                                  : std::string_view();
    const int system_code = static_cast<int>(code);
    return Error(kind, call, path, advice).with_system(system_code, system_text(system_code));
}

PORTHOLE_FN Error
Directory::open(std::string_view path, std::string_view call, Lookup lookup, Directory& directory) {
    static_cast<void>(lookup);
    if (path.empty() || path.find('\0') != std::string_view::npos) {
        return directory_error(call, path, ERROR_PATH_NOT_FOUND);
    }
    Directory made;
    made.root_ = open_wide(widen(path));
    if (!made.root_.is_open()) {
        return directory_error(call, path, ::GetLastError());
    }
    FileInfo info;
    if (!made.root_.read_info(info) || !info.is_directory) {
        return directory_error(call, path, ERROR_DIRECTORY);
    }
    const std::wstring real = final_path(made.root_);
    if (real.empty()) {
        return directory_error(call, path, ::GetLastError());
    }
    made.real_path_ = narrow(real.data(), real.size());
    directory = std::move(made);
    return {};
}

PORTHOLE_FN OpenResult
Directory::open_beneath(std::string_view name, File& file, FileInfo& info) const {
    constexpr std::size_t max_path = 32'000; // of "\\?\" paths, which final ones are
    const std::wstring root = widen(real_path_);
    std::wstring path = root;
    if (!name.empty()) {
        std::wstring below = widen(name);
        for (wchar_t& c : below) {
            c = c == L'/' ? L'\\' : c;
        }
        path += path.back() == L'\\' ? L"" : L"\\";
        path += below;
        if (below.empty() || path.size() > max_path) {
            return below.empty() ? OpenResult::not_found : OpenResult::too_long;
        }
    }
    File opened = open_wide(path);
    if (!opened.is_open()) {
        return classify_file_error(::GetLastError());
    }
    if (!opened.read_info(info) || !is_beneath(final_path(opened), root)) {
        return OpenResult::not_found;
    }
    file = std::move(opened);
    return OpenResult::ok;
}

/// Without the prefix for long paths, which few programs understand.
PORTHOLE_FN std::string Directory::native_path(std::string_view name) const {
    constexpr std::string_view prefix = "\\\\?\\";
    constexpr std::string_view share = "\\\\?\\UNC\\";
    std::string path = real_path_;
    if (path.compare(0, share.size(), share) == 0) {
        path.replace(0, share.size(), "\\\\");
    } else if (path.compare(0, prefix.size(), prefix) == 0) {
        path.erase(0, prefix.size());
    }
    path += name.empty() || (!path.empty() && path.back() == '\\') ? "" : "\\";
    path += name;
    for (char& c : path) {
        c = c == '/' ? '\\' : c;
    }
    return path;
}

PORTHOLE_FN OpenResult open_path(std::string_view path, File& file, FileInfo& info) {
    if (path.empty() || path.find('\0') != std::string_view::npos) {
        return OpenResult::not_found;
    }
    File opened = open_wide(widen(path));
    if (!opened.is_open()) {
        return classify_file_error(::GetLastError());
    }
    if (!opened.read_info(info)) {
        return OpenResult::not_found;
    }
    file = std::move(opened);
    return OpenResult::ok;
}

PORTHOLE_FN bool has_windows_files() noexcept {
    return true;
}

} // namespace detail

PORTHOLE_NAMESPACE_END

#endif

// porthole/os/output_file.inl

// What is the same on all systems: the name that a file has until it is complete.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// Names to try before giving up: two that are equal by chance are not to be expected at all.
inline constexpr int max_unfinished_names = 4;

/// ".porthole-<16 letters>.part" with its terminator: a name that says what it is, hidden from
/// listings, and that nobody can be waiting at. False when there are no random bytes.
struct UnfinishedName {
    static constexpr std::string_view front = ".porthole-";
    static constexpr std::string_view back = ".part";
    static constexpr std::size_t letters = 16;

    char text[front.size() + letters + back.size() + 1] = {};

    [[nodiscard]] bool make() noexcept {
        constexpr std::string_view alphabet = "abcdefghijklmnopqrstuvwxyz234567";
        char random[letters];
        if (!fill_random(random, letters)) {
            return false;
        }
        char* at = text + front.copy(text, front.size());
        for (const char byte : random) {
            *at++ = alphabet[static_cast<unsigned char>(byte) % alphabet.size()];
        }
        at += back.copy(at, back.size());
        *at = '\0';
        return true;
    }
};

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/os/output_file_posix.inl

// Output files on POSIX systems: everything happens relative to a descriptor of the target's
// directory. What makes writers wait was measured on ext4: allocating blocks while older ones are
// brought to the disk, and freeing a large file's blocks all at once.

#include <algorithm>

#if !defined(_WIN32)

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

struct OutputFile::State {
    State() = default;
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    ~State() {
        close_descriptor(file);
        close_descriptor(directory);
    }
    static void close_descriptor(int& descriptor) noexcept {
        if (descriptor >= 0) {
            static_cast<void>(::close(descriptor));
            descriptor = -1;
        }
    }

    int directory = -1;
    int file = -1;
    bool has_name = false; ///< of its own, which is to be removed
    bool may_replace = true;
    UnfinishedName name;
    std::string target; ///< within the directory
    std::uint64_t written = 0;
    std::uint64_t announced = 0;
    std::uint64_t allocated = 0;   ///< ahead of the writing
    std::uint64_t sent_behind = 0; ///< on its way to the disk
    std::uint64_t max_bytes = UINT64_MAX;
};

inline OutputResult classify_output_error(int code) noexcept {
    switch (code) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG: return OutputResult::no_space;
    case ENOENT:
    case ENOTDIR:
    case EINVAL:
    case ENAMETOOLONG:
    case ELOOP: return OutputResult::not_found;
    case EACCES:
    case EPERM:
    case EROFS: return OutputResult::denied;
    case EEXIST:
    case EISDIR:
    case ENOTEMPTY: return OutputResult::already_exists;
    case EMFILE:
    case ENFILE:
    case ENOMEM: return OutputResult::exhausted;
    default: return OutputResult::failed;
    }
}

PORTHOLE_FN OutputFile::OutputFile() = default;
PORTHOLE_FN OutputFile::OutputFile(OutputFile&& other) noexcept = default;

PORTHOLE_FN OutputFile& OutputFile::operator=(OutputFile&& other) noexcept {
    std::swap(state_, other.state_);
    std::swap(system_code_, other.system_code_);
    return *this;
}

PORTHOLE_FN OutputFile::~OutputFile() {
    discard();
}

PORTHOLE_FN OutputResult OutputFile::keep(int code) noexcept {
    system_code_ = code;
    return classify_output_error(code);
}

PORTHOLE_FN std::uint64_t OutputFile::size() const noexcept {
    return state_ ? state_->written : 0;
}

/// What this process may write into one file. A write() past it would be a signal, which by
/// default ends the program: so there is none.
inline std::uint64_t max_file_bytes() noexcept {
    struct rlimit limit {};
    if (::getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
        return UINT64_MAX;
    }
    return static_cast<std::uint64_t>(limit.rlim_cur);
}

PORTHOLE_FN OutputResult OutputFile::open(std::string_view target, bool may_replace) {
    discard();
    system_code_ = 0;
    const std::size_t slash = target.rfind('/');
    const bool has_directory = slash != std::string_view::npos;
    const std::string_view base = has_directory ? target.substr(slash + 1) : target;
    if (base.empty() || base == "." || base == ".."
        || target.find('\0') != std::string_view::npos) {
        return OutputResult::not_found;
    }
    const std::string directory(has_directory ? target.substr(0, slash + 1) : "./");
    auto state = std::make_unique<State>();
    state->target = base;
    state->may_replace = may_replace;
    state->max_bytes = max_file_bytes();
    state->directory = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (state->directory < 0) {
        return keep(errno);
    }
    struct stat stat {};
    if (::fstatat(state->directory, state->target.c_str(), &stat, AT_SYMLINK_NOFOLLOW) == 0
        && (S_ISDIR(stat.st_mode) || !may_replace)) {
        return keep(EEXIST);
    }
    constexpr int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
    constexpr mode_t mode = 0666; // less what the umask takes
    for (int i = 0; i < max_unfinished_names && state->file < 0; ++i) {
        if (!state->name.make()) {
            return OutputResult::failed;
        }
        state->file = ::openat(state->directory, state->name.text, flags, mode);
        if (state->file < 0 && errno != EEXIST && errno != EINTR) {
            return keep(errno);
        }
    }
    if (state->file < 0) {
        return keep(EEXIST);
    }
    state->has_name = true;
    state_ = std::move(state);
    return OutputResult::ok;
}

PORTHOLE_FN OutputResult OutputFile::announce(std::uint64_t bytes) noexcept {
    if (!is_open()) {
        return OutputResult::failed;
    }
    if (bytes > state_->max_bytes) {
        return keep(EFBIG);
    }
    struct statvfs room {};
    if (::fstatvfs(state_->file, &room) == 0 && room.f_frsize != 0
        && bytes / room.f_frsize > room.f_bavail) {
        return keep(ENOSPC);
    }
    state_->announced = bytes;
    return OutputResult::ok;
}

#if defined(SYNC_FILE_RANGE_WRITE) && defined(FALLOC_FL_KEEP_SIZE)

/// Takes room for what is announced, a step ahead of the writing. Then the blocks are there when
/// their bytes are brought to the disk, and no writer waits until they have been found. The file's
/// size stays what is written. False when the system will not do it.
inline bool allocate_ahead(int file, std::uint64_t at, std::uint64_t bytes) noexcept {
    return ::fallocate(file, FALLOC_FL_KEEP_SIZE, static_cast<off_t>(at), static_cast<off_t>(bytes))
           == 0;
}

inline void start_writing(int file, std::uint64_t at, std::uint64_t bytes) noexcept {
    static_cast<void>(::sync_file_range(
        file, static_cast<off_t>(at), static_cast<off_t>(bytes), SYNC_FILE_RANGE_WRITE));
}

#else

// Other systems write behind by themselves, in smaller amounts.
inline bool allocate_ahead(int, std::uint64_t, std::uint64_t) noexcept {
    return false;
}
inline void start_writing(int, std::uint64_t, std::uint64_t) noexcept {}

#endif

PORTHOLE_FN OutputResult OutputFile::write(std::string_view bytes) noexcept {
    constexpr std::uint64_t step = 16 * 1024 * 1024;
    if (!is_open()) {
        return OutputResult::failed;
    }
    State& state = *state_;
    if (bytes.size() > state.max_bytes - state.written) {
        return keep(EFBIG);
    }
    if (state.written + bytes.size() > state.allocated && state.allocated < state.announced) {
        const std::uint64_t wanted = (std::min)(step, state.announced - state.allocated);
        if (allocate_ahead(state.file, state.allocated, wanted)) {
            state.allocated += wanted;
        } else {
            state.announced = 0; // a full disk is reported by the writing
        }
    }
    int interrupts = 0;
    while (!bytes.empty()) {
        const ssize_t count = ::write(state.file, bytes.data(), bytes.size());
        if (count > 0) {
            bytes.remove_prefix(static_cast<std::size_t>(count));
            state.written += static_cast<std::uint64_t>(count);
        } else if (count == 0 || errno != EINTR || ++interrupts == max_interrupts) {
            return keep(count == 0 ? EIO : errno);
        }
    }
    return OutputResult::ok;
}

PORTHOLE_FN void OutputFile::write_behind() noexcept {
    // Up to this size a file stays in memory, for whoever reads it next.
    constexpr std::uint64_t kept_bytes = 64 * 1024 * 1024;
    if (!is_open() || state_->written == state_->sent_behind) {
        return;
    }
    const std::uint64_t at = std::exchange(state_->sent_behind, state_->written);
    const std::uint64_t bytes = state_->written - at;
    start_writing(state_->file, at, bytes);
#if defined(POSIX_FADV_DONTNEED)
    if (at >= kept_bytes) {
        static_cast<void>(::posix_fadvise(
            state_->file, static_cast<off_t>(at - kept_bytes), static_cast<off_t>(bytes),
            POSIX_FADV_DONTNEED));
    }
#endif
}

/// Gives `name` the name `target`, which nobody may have. 0 or errno.
inline int rename_without_replacing(int directory, const char* name, const char* target) noexcept {
#if defined(SYS_renameat2)
    constexpr unsigned keep_target = 1; // RENAME_NOREPLACE
    if (::syscall(SYS_renameat2, directory, name, directory, target, keep_target) == 0) {
        return 0;
    }
    if (errno != ENOSYS && errno != EINVAL && errno != EPERM) {
        return errno;
    }
#endif
    if (::linkat(directory, name, directory, target, 0) != 0) {
        return errno;
    }
    static_cast<void>(::unlinkat(directory, name, 0));
    return 0;
}

PORTHOLE_FN OutputResult OutputFile::commit(bool& has_replaced) noexcept {
    if (!is_open() || !state_->has_name) {
        return OutputResult::failed;
    }
    State& state = *state_;
    if (state.allocated > state.written
        && ::ftruncate(state.file, static_cast<off_t>(state.written)) != 0) {
        return keep(errno); // less has come than was announced, and the rest would stay taken
    }
    // File systems that write through a network report a full disk here at the latest.
    if (::close(std::exchange(state.file, -1)) != 0 && errno != EINTR) {
        return keep(errno);
    }
    struct stat stat {};
    has_replaced =
        ::fstatat(state.directory, state.target.c_str(), &stat, AT_SYMLINK_NOFOLLOW) == 0;
    int code = 0;
    if (!state.may_replace) {
        code = rename_without_replacing(state.directory, state.name.text, state.target.c_str());
    } else if (
        ::renameat(state.directory, state.name.text, state.directory, state.target.c_str()) != 0) {
        code = errno;
    }
    if (code != 0) {
        return keep(code);
    }
    state.has_name = false;
    state_.reset();
    return OutputResult::ok;
}

PORTHOLE_FN bool OutputFile::discard_step() noexcept {
    constexpr std::uint64_t step = 4 * 1024 * 1024;
    if (!is_open()) {
        return true;
    }
    State& state = *state_;
    if (std::exchange(state.has_name, false)) {
        static_cast<void>(::unlinkat(state.directory, state.name.text, 0));
    }
    const std::uint64_t left = (std::max)(state.written, state.allocated);
    if (state.file < 0 || left <= step) {
        state_.reset();
        return true;
    }
    state.written = state.allocated = left - step;
    if (::ftruncate(state.file, static_cast<off_t>(left - step)) != 0) {
        state_.reset();
    }
    return !is_open();
}

PORTHOLE_FN void OutputFile::discard() noexcept {
    if (is_open() && state_->has_name) {
        static_cast<void>(::unlinkat(state_->directory, state_->name.text, 0));
    }
    state_.reset();
}

} // namespace detail

PORTHOLE_NAMESPACE_END

#endif

// porthole/os/output_file_windows.inl

// Output files on Windows: HANDLEs and wide paths. The system writes behind in small amounts by
// itself, and frees a file's space quickly, so those calls have nothing to do.

#if defined(_WIN32)

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

struct OutputFile::State {
    State() = default;
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    ~State() { close_handle(); }
    bool close_handle() noexcept {
        const HANDLE handle = std::exchange(file, INVALID_HANDLE_VALUE);
        return handle == INVALID_HANDLE_VALUE || ::CloseHandle(handle) != 0;
    }

    HANDLE file = INVALID_HANDLE_VALUE;
    std::wstring path; ///< absolute, as is the target's
    std::wstring target;
    bool may_replace = true;
    std::uint64_t written = 0;
};

inline OutputResult classify_output_error(DWORD code) noexcept {
    constexpr DWORD disk_quota_exceeded = 1295; // MinGW has no name for it
    switch (code) {
    case ERROR_DISK_FULL:
    case ERROR_HANDLE_DISK_FULL:
    case disk_quota_exceeded:
    case ERROR_FILE_TOO_LARGE: return OutputResult::no_space;
    case ERROR_FILE_NOT_FOUND:
    case ERROR_PATH_NOT_FOUND:
    case ERROR_INVALID_NAME:
    case ERROR_BAD_PATHNAME:
    case ERROR_DIRECTORY:
    case ERROR_FILENAME_EXCED_RANGE: return OutputResult::not_found;
    case ERROR_ACCESS_DENIED:
    case ERROR_WRITE_PROTECT:
    case ERROR_SHARING_VIOLATION:
    case ERROR_LOCK_VIOLATION: return OutputResult::denied;
    case ERROR_FILE_EXISTS:
    case ERROR_ALREADY_EXISTS: return OutputResult::already_exists;
    case ERROR_TOO_MANY_OPEN_FILES:
    case ERROR_NO_SYSTEM_RESOURCES:
    case ERROR_NOT_ENOUGH_MEMORY: return OutputResult::exhausted;
    default: return OutputResult::failed;
    }
}

PORTHOLE_FN OutputFile::OutputFile() = default;
PORTHOLE_FN OutputFile::OutputFile(OutputFile&& other) noexcept = default;

PORTHOLE_FN OutputFile& OutputFile::operator=(OutputFile&& other) noexcept {
    std::swap(state_, other.state_);
    std::swap(system_code_, other.system_code_);
    return *this;
}

PORTHOLE_FN OutputFile::~OutputFile() {
    discard();
}

PORTHOLE_FN OutputResult OutputFile::keep(int code) noexcept {
    system_code_ = code;
    return classify_output_error(static_cast<DWORD>(code));
}

PORTHOLE_FN std::uint64_t OutputFile::size() const noexcept {
    return state_ ? state_->written : 0;
}

inline int last_output_error() noexcept {
    return static_cast<int>(::GetLastError());
}

/// Of a path that may be relative, with the separators of Windows; empty when there is none.
inline std::wstring absolute_path(std::string_view path) {
    const std::wstring wide = widen(path);
    const DWORD needed = wide.empty() ? 0 : ::GetFullPathNameW(wide.c_str(), 0, nullptr, nullptr);
    std::wstring full(needed, L'\0');
    const DWORD size =
        needed == 0 ? 0 : ::GetFullPathNameW(wide.c_str(), needed, &full[0], nullptr);
    full.resize(size < needed ? size : 0);
    return full;
}

PORTHOLE_FN OutputResult OutputFile::open(std::string_view target, bool may_replace) {
    discard();
    system_code_ = 0;
    if (target.empty() || target.find('\0') != std::string_view::npos || target.back() == '/'
        || target.back() == '\\') {
        return OutputResult::not_found;
    }
    auto state = std::make_unique<State>();
    state->may_replace = may_replace;
    state->target = absolute_path(target);
    const std::size_t separator = state->target.rfind(L'\\');
    if (separator == std::wstring::npos || separator + 1 == state->target.size()) {
        return OutputResult::not_found;
    }
    const DWORD found = ::GetFileAttributesW(state->target.c_str());
    if (found != INVALID_FILE_ATTRIBUTES
        && (!may_replace || (found & FILE_ATTRIBUTE_DIRECTORY) != 0)) {
        return keep(ERROR_ALREADY_EXISTS);
    }
    for (int i = 0; i < max_unfinished_names && state->file == INVALID_HANDLE_VALUE; ++i) {
        UnfinishedName name;
        if (!name.make()) {
            return OutputResult::failed;
        }
        state->path = state->target.substr(0, separator + 1) + widen(name.text);
        state->file = ::CreateFileW(
            state->path.c_str(), GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_DELETE, nullptr,
            CREATE_NEW, FILE_ATTRIBUTE_NORMAL, nullptr);
        if (state->file == INVALID_HANDLE_VALUE && ::GetLastError() != ERROR_FILE_EXISTS) {
            return keep(last_output_error());
        }
    }
    if (state->file == INVALID_HANDLE_VALUE) {
        return keep(ERROR_FILE_EXISTS);
    }
    state_ = std::move(state);
    return OutputResult::ok;
}

PORTHOLE_FN OutputResult OutputFile::announce(std::uint64_t bytes) noexcept {
    if (!is_open()) {
        return OutputResult::failed;
    }
    std::wstring& path = state_->path;
    const std::size_t separator = path.rfind(L'\\');
    const wchar_t first = std::exchange(path[separator + 1], L'\0'); // the directory, for the call
    ULARGE_INTEGER room{};
    const bool is_known = ::GetDiskFreeSpaceExW(path.c_str(), &room, nullptr, nullptr) != 0;
    path[separator + 1] = first;
    return is_known && bytes > room.QuadPart ? keep(ERROR_DISK_FULL) : OutputResult::ok;
}

PORTHOLE_FN OutputResult OutputFile::write(std::string_view bytes) noexcept {
    constexpr std::size_t most = 1024 * 1024 * 1024;
    if (!is_open()) {
        return OutputResult::failed;
    }
    while (!bytes.empty()) {
        const std::size_t wanted = bytes.size() < most ? bytes.size() : most;
        DWORD count = 0;
        if (::WriteFile(state_->file, bytes.data(), static_cast<DWORD>(wanted), &count, nullptr)
            == 0) {
            return keep(last_output_error());
        }
        if (count == 0) {
            return keep(ERROR_DISK_FULL);
        }
        bytes.remove_prefix(count);
        state_->written += count;
    }
    return OutputResult::ok;
}

PORTHOLE_FN void OutputFile::write_behind() noexcept {}

PORTHOLE_FN OutputResult OutputFile::commit(bool& has_replaced) noexcept {
    if (!is_open()) {
        return OutputResult::failed;
    }
    if (!state_->close_handle()) {
        return keep(last_output_error());
    }
    has_replaced = ::GetFileAttributesW(state_->target.c_str()) != INVALID_FILE_ATTRIBUTES;
    const DWORD flags = state_->may_replace ? MOVEFILE_REPLACE_EXISTING : 0;
    if (::MoveFileExW(state_->path.c_str(), state_->target.c_str(), flags) == 0) {
        return keep(last_output_error());
    }
    state_.reset();
    return OutputResult::ok;
}

PORTHOLE_FN bool OutputFile::discard_step() noexcept {
    discard();
    return true;
}

PORTHOLE_FN void OutputFile::discard() noexcept {
    if (is_open()) {
        static_cast<void>(state_->close_handle());
        static_cast<void>(::DeleteFileW(state_->path.c_str()));
        state_.reset();
    }
}

} // namespace detail

PORTHOLE_NAMESPACE_END

#endif

// porthole/os/spawn_posix.inl

// How a program is started on POSIX systems: by posix_spawn(). The child borrows this process's
// memory until it has become the other program, so nothing is copied however large the host is, and
// none of the host's code runs in it. The C library does that with all signals blocked, and hands
// up why exec failed.

#if !defined(_WIN32)

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// Standard input, output and error have the numbers below this.
inline constexpr int first_private_descriptor = 3;

inline int pipe_descriptor(const File& end) noexcept {
    return static_cast<int>(end.handle());
}

/// One end of ours, non-blocking, and the program's, which blocks as programs expect.
struct Pipe {
    File ours;
    File theirs;
};

/// Descriptors below 3 are free when the host has closed its own; what is opened there would be in
/// the way of those that the program gets.
inline int lift_descriptor(File& end) noexcept {
    if (pipe_descriptor(end) >= first_private_descriptor) {
        return 0;
    }
    const int lifted = ::fcntl(pipe_descriptor(end), F_DUPFD_CLOEXEC, first_private_descriptor);
    if (lifted < 0) {
        return errno;
    }
    end = File(lifted);
    return 0;
}

/// 0, or the system's code.
inline int open_pipe(bool is_input, Pipe& made) noexcept {
    int ends[2] = {-1, -1};
#if defined(SOCK_CLOEXEC) // the systems that know the one know pipe2() too
    if (::pipe2(ends, O_CLOEXEC) != 0) {
        return errno;
    }
#else
    if (::pipe(ends) != 0) {
        return errno;
    }
#endif
    Pipe pipe;
    pipe.ours = File(ends[is_input ? 1 : 0]);
    pipe.theirs = File(ends[is_input ? 0 : 1]);
    int code = lift_descriptor(pipe.ours);
    code = code != 0 ? code : lift_descriptor(pipe.theirs);
    if (code != 0) {
        return code;
    }
    const int ours = pipe_descriptor(pipe.ours);
    if (!set_descriptor_flags(ours)
        || ::fcntl(pipe_descriptor(pipe.theirs), F_SETFD, FD_CLOEXEC) != 0) {
        return errno;
    }
#if defined(F_SETNOSIGPIPE)
    if (is_input && ::fcntl(ours, F_SETNOSIGPIPE, 1) != 0) {
        return errno;
    }
#endif
    made = std::move(pipe);
    return 0;
}

/// What posix_spawn() is to do in the child, in order. The first code that is not 0 stays.
class SpawnPlan {
public:
    SpawnPlan() noexcept {
        note(::posix_spawn_file_actions_init(&actions_));
        note(::posix_spawnattr_init(&attributes_));
    }
    SpawnPlan(const SpawnPlan&) = delete;
    SpawnPlan& operator=(const SpawnPlan&) = delete;
    ~SpawnPlan() {
        ::posix_spawnattr_destroy(&attributes_);
        ::posix_spawn_file_actions_destroy(&actions_);
    }

    int code() const noexcept { return code_; }
    /// A group of its own, no signal blocked, none ignored.
    void isolate(bool closes_all) noexcept;
    void connect(const Pipe& pipe, int to) noexcept;
    void enter(const File& directory) noexcept;
    void close_all() noexcept;
    void close_listed() noexcept;
    int
    run(pid_t& id, const char* program, char* const* arguments,
        char* const* environment) const noexcept {
        return ::posix_spawn(&id, program, &actions_, &attributes_, arguments, environment);
    }

private:
    void note(int code) noexcept { code_ = code_ != 0 ? code_ : code; }

    posix_spawn_file_actions_t actions_;
    posix_spawnattr_t attributes_;
    int code_ = 0;
};

#if defined(PORTHOLE_SPAWN_CLOSES_FROM) || defined(POSIX_SPAWN_CLOEXEC_DEFAULT)
inline constexpr bool spawn_closes_all = true;
#else
inline constexpr bool spawn_closes_all = false;
#endif

PORTHOLE_FN void SpawnPlan::isolate([[maybe_unused]] bool closes_all) noexcept {
    int flags = POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
#if defined(POSIX_SPAWN_CLOEXEC_DEFAULT)
    flags |= closes_all ? POSIX_SPAWN_CLOEXEC_DEFAULT : 0;
#endif
    sigset_t none;
    sigset_t all;
    ::sigemptyset(&none);
    ::sigfillset(&all);
    note(::posix_spawnattr_setflags(&attributes_, static_cast<short>(flags)));
    note(::posix_spawnattr_setpgroup(&attributes_, 0));
    note(::posix_spawnattr_setsigmask(&attributes_, &none));
    note(::posix_spawnattr_setsigdefault(&attributes_, &all));
}

PORTHOLE_FN void SpawnPlan::connect(const Pipe& pipe, int to) noexcept {
    if (pipe.theirs.is_open()) {
        note(::posix_spawn_file_actions_adddup2(&actions_, pipe_descriptor(pipe.theirs), to));
        return;
    }
    const int mode = to == STDIN_FILENO ? O_RDONLY : O_WRONLY;
    note(::posix_spawn_file_actions_addopen(&actions_, to, "/dev/null", mode, 0));
}

PORTHOLE_FN void SpawnPlan::enter(const File& directory) noexcept {
    const int descriptor = pipe_descriptor(directory);
#if defined(PORTHOLE_SPAWN_ENTERS)
    note(::PORTHOLE_SPAWN_ENTERS(&actions_, descriptor));
#else
    static_cast<void>(descriptor);
    note(ENOSYS);
#endif
}

PORTHOLE_FN void SpawnPlan::close_all() noexcept {
#if defined(PORTHOLE_SPAWN_CLOSES_FROM)
    note(::posix_spawn_file_actions_addclosefrom_np(&actions_, first_private_descriptor));
#endif
}

/// What would survive exec is closed by name. Descriptors that another thread opens at this very
/// moment without close-on-exec are missed; close_all() misses none.
PORTHOLE_FN void SpawnPlan::close_listed() noexcept {
    DIR* list = ::opendir("/proc/self/fd");
    list = list != nullptr ? list : ::opendir("/dev/fd");
    if (list == nullptr) {
        note(errno);
        return;
    }
    bool is_list = false; // a /dev/fd that is a mere directory does not know the list itself
    while (const dirent* entry = ::readdir(list)) {
        char* end = nullptr;
        const long number = std::strtol(entry->d_name, &end, 10);
        if (end == entry->d_name || *end != '\0') {
            continue;
        }
        const int descriptor = static_cast<int>(number);
        is_list = is_list || descriptor == ::dirfd(list);
        if (descriptor < first_private_descriptor) {
            continue;
        }
        const int flags = ::fcntl(descriptor, F_GETFD);
        if (flags >= 0 && (flags & FD_CLOEXEC) == 0) {
            note(::posix_spawn_file_actions_addclose(&actions_, descriptor));
        }
    }
    ::closedir(list);
    note(is_list ? 0 : ENOTSUP);
}

/// The form that exec takes: pointers into `texts`, and a null at the end.
inline std::vector<char*> to_vector(const std::vector<std::string>& texts) {
    std::vector<char*> pointers;
    pointers.reserve(texts.size() + 1);
    for (const std::string& text : texts) {
        pointers.push_back(const_cast<char*>(text.c_str()));
    }
    pointers.push_back(nullptr);
    return pointers;
}

inline Error spawn_error(const std::string& program, int code) {
    std::string_view advice;
    switch (code) {
    case ENOENT:
        advice = ::access(program.c_str(), F_OK) == 0
                     ? "the interpreter that its first line names is not there"
                     : "there is no such program";
        break;
    case EACCES:
    case EPERM:
        advice = "make it executable (chmod +x), and its interpreter too; a directory, and what "
                 "lies on a disk mounted noexec, cannot be run";
        break;
    case ENOEXEC:
        advice = "it is neither a program of this machine nor a script whose first line names its "
                 "interpreter (#!)";
        break;
    case EAGAIN: advice = "no more processes: end some, or raise the limit (ulimit -u)"; break;
    case E2BIG: advice = "arguments and environment are longer than the system takes"; break;
    default: break;
    }
    return socket_error("posix_spawn", program, code, advice);
}

/// What no system could pass on.
inline Error check_process_options(const ProcessOptions& options) {
    constexpr char zero = '\0';
    const auto has_zero = [](const std::string& text) {
        return text.find(zero) != std::string::npos;
    };
    if (options.program.empty() || options.program[0] != '/') {
        return Error(
            ErrorCode::misuse, "posix_spawn", options.program,
            "the path has to begin at the root of the file system");
    }
    bool is_bad = has_zero(options.program) || has_zero(options.working_directory);
    for (const std::string& argument : options.arguments) {
        is_bad = is_bad || has_zero(argument);
    }
    for (const std::string& variable : options.environment) {
        const std::size_t sign = variable.find('=');
        is_bad = is_bad || has_zero(variable) || sign == 0 || sign == std::string::npos;
    }
    return is_bad ? Error(
               ErrorCode::misuse, "posix_spawn", options.program,
               "no text may hold a zero byte, and each variable is NAME=value")
                  : Error();
}

/// Opened here and entered in the child, so that a missing one is told from a missing program.
inline Error plan_directory(const std::string& path, SpawnPlan& plan, File& directory) {
    if (path.empty()) {
        return {};
    }
    directory = File(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const int code = directory.is_open() ? lift_descriptor(directory) : errno;
    if (code != 0) {
        return socket_error("open", path, code, "the program's working directory");
    }
    plan.enter(directory);
    if (plan.code() == ENOSYS) {
        return socket_error(
            "posix_spawn", path, ENOSYS,
            "this system cannot start a program in another directory (glibc 2.29 can)");
    }
    return {};
}

} // namespace detail

PORTHOLE_NAMESPACE_END

#endif

// porthole/os/spawn_windows.inl

// How a program is started on Windows: by CreateProcess(), with a list of the three handles that it
// gets, suspended until its job holds it. Windows passes one command line and every program cuts it
// itself; it is written here so that the rules of CommandLineToArgvW() give the arguments back. The
// interpreter of batch files has rules of its own, so those are refused.

#if defined(_WIN32)

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// What each pipe holds, in the system and in our own memory.
inline constexpr std::size_t pipe_buffer_bytes = 64 * 1024;
/// STATUS_CONTROL_C_EXIT: what the system itself gives to programs that are asked to end.
inline constexpr UINT killed_exit_code = 0xC000013Au;

/// Our end of a pipe. The system works on `buffer` and `operation` while `is_pending`, so both stay
/// where they are until that is over.
struct OverlappedPipe {
    OverlappedPipe() = default;
    OverlappedPipe(const OverlappedPipe&) = delete;
    OverlappedPipe& operator=(const OverlappedPipe&) = delete;
    ~OverlappedPipe() { close(); }

    void close() noexcept {
        if (is_pending) {
            DWORD moved = 0;
            // A pipe lets go at once, so the wait is none.
            static_cast<void>(::CancelIoEx(native_file(end), &operation));
            static_cast<void>(::GetOverlappedResult(native_file(end), &operation, &moved, TRUE));
            is_pending = false;
        }
        end.close();
        event.close();
    }

    File end;
    File event;
    OVERLAPPED operation{};
    std::unique_ptr<char[]> buffer;
    std::size_t begin = 0; ///< of what was read and not yet taken
    std::size_t size = 0;
    bool is_pending = false;
    DWORD code = 0; ///< why nothing more can be read or written
};

inline Error process_error(
    std::string_view call, std::string_view subject, DWORD system_code,
    std::string_view advice = {}) {
    constexpr DWORD elevation_required = 740; // ERROR_ELEVATION_REQUIRED, which MinGW lacks
    ErrorCode code = ErrorCode::system;
    switch (system_code) {
    case ERROR_FILE_NOT_FOUND:
    case ERROR_PATH_NOT_FOUND:
        code = ErrorCode::not_found;
        advice = advice.empty() ? "there is no such program" : advice;
        break;
    case ERROR_ACCESS_DENIED:
    case elevation_required: code = ErrorCode::permission_denied; break;
    case ERROR_TOO_MANY_OPEN_FILES:
    case ERROR_NO_SYSTEM_RESOURCES:
    case ERROR_NOT_ENOUGH_MEMORY: code = ErrorCode::too_many_files; break;
    case ERROR_BAD_EXE_FORMAT:
        advice = "it is no program; a script needs its interpreter as the program";
        break;
    default: break;
    }
    const int number = static_cast<int>(system_code);
    return Error(code, call, subject, advice).with_system(number, system_text(number));
}

/// A name that nobody can guess, so that nobody else is at its other end.
inline bool make_pipe_name(std::wstring& name) {
    constexpr wchar_t letters[] = L"abcdefghijklmnop";
    constexpr unsigned letter_bits = 4;
    unsigned char bytes[16];
    if (!fill_random(reinterpret_cast<char*>(bytes), sizeof bytes)) {
        return false;
    }
    name = L"\\\\.\\pipe\\porthole-";
    for (const unsigned char byte : bytes) {
        name += letters[byte >> letter_bits];
        name += letters[byte & ((1u << letter_bits) - 1)];
    }
    return true;
}

/// The standard handles that the program gets.
struct ChildEnds {
    File input;
    File output;
    File error;

    Error open(
        const ProcessOptions& options, OverlappedPipe& to_input, OverlappedPipe& from_output,
        OverlappedPipe& from_error) {
        Error failed = open_one(options.wants_input, true, to_input, input);
        if (!failed) {
            failed = open_one(options.wants_output, false, from_output, output);
        }
        if (!failed) {
            failed = open_one(options.wants_error, false, from_error, error);
        }
        return failed;
    }

private:
    static Error open_one(bool is_wanted, bool is_input, OverlappedPipe& ours, File& theirs);
};

PORTHOLE_FN Error
ChildEnds::open_one(bool is_wanted, bool is_input, OverlappedPipe& ours, File& theirs) {
    std::wstring name = L"NUL";
    if (is_wanted) {
        if (!make_pipe_name(name)) {
            return Error(ErrorCode::system, "pipe", "", "the system gave no random bytes");
        }
        const DWORD direction = is_input ? PIPE_ACCESS_OUTBOUND : PIPE_ACCESS_INBOUND;
        ours.end = File(reinterpret_cast<NativeHandle>(::CreateNamedPipeW(
            name.c_str(), direction | FILE_FLAG_OVERLAPPED | FILE_FLAG_FIRST_PIPE_INSTANCE,
            PIPE_TYPE_BYTE | PIPE_READMODE_BYTE | PIPE_WAIT | PIPE_REJECT_REMOTE_CLIENTS, 1,
            static_cast<DWORD>(pipe_buffer_bytes), static_cast<DWORD>(pipe_buffer_bytes), 0,
            nullptr)));
        if (!ours.end.is_open()) {
            return process_error("CreateNamedPipe", "", ::GetLastError());
        }
        ours.event =
            File(reinterpret_cast<NativeHandle>(::CreateEventW(nullptr, TRUE, FALSE, nullptr)));
        if (ours.event.handle() == 0) {
            static_cast<void>(ours.event.release());
            return process_error("CreateEvent", "", ::GetLastError());
        }
        ours.operation.hEvent = native_file(ours.event);
        ours.buffer = std::make_unique<char[]>(pipe_buffer_bytes);
    }
    SECURITY_ATTRIBUTES inherited{};
    inherited.nLength = static_cast<DWORD>(sizeof inherited);
    inherited.bInheritHandle = TRUE;
    // Blocking, as programs expect; the attributes let them ask what state the pipe is in.
    const DWORD access =
        is_input ? GENERIC_READ | FILE_WRITE_ATTRIBUTES : GENERIC_WRITE | FILE_READ_ATTRIBUTES;
    theirs = File(reinterpret_cast<NativeHandle>(::CreateFileW(
        name.c_str(), access, is_wanted ? 0 : FILE_SHARE_READ | FILE_SHARE_WRITE, &inherited,
        OPEN_EXISTING, 0, nullptr)));
    return theirs.is_open() ? Error() : process_error("CreateFile", "", ::GetLastError());
}

/// Quoted so that CommandLineToArgvW() and the C library's start-up give back the same argument:
/// backslashes count double only before a quotation mark. In the first they never do, and it ends
/// at its first quotation mark, so it must have none.
inline void append_argument(std::wstring& line, const std::wstring& argument, bool is_first) {
    if (is_first) {
        line = L'"' + argument + L'"';
        return;
    }
    line += L" \"";
    std::size_t backslashes = 0;
    for (const wchar_t c : argument) {
        if (c == L'"') {
            line.append(backslashes + 1, L'\\');
        }
        backslashes = c == L'\\' ? backslashes + 1 : 0;
        line += c;
    }
    line.append(backslashes, L'\\');
    line += L'"';
}

/// Win32 drops dots and blanks at a name's end, so they hide nothing here.
inline bool is_batch_program(std::string_view path) noexcept {
    while (!path.empty() && (path.back() == '.' || path.back() == ' ')) {
        path.remove_suffix(1);
    }
    const auto ends_with = [path](std::string_view extension) {
        if (path.size() < extension.size()) {
            return false;
        }
        const std::string_view tail = path.substr(path.size() - extension.size());
        for (std::size_t i = 0; i < tail.size(); ++i) {
            const char c = tail[i];
            if ((c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c) != extension[i]) {
                return false;
            }
        }
        return true;
    };
    return ends_with(".bat") || ends_with(".cmd");
}

/// The directory of the host is not where programs are looked for, so a path is asked for.
inline bool is_rooted(std::string_view path) noexcept {
    const bool has_drive = path.size() > 2 && path[1] == ':';
    const char first = path.empty() ? '\0' : path[has_drive ? 2 : 0];
    return first == '/' || first == '\\';
}

/// Sorted as the system wants it, each ended by a zero, and one zero more.
inline std::wstring make_environment_block(std::vector<std::wstring> variables) {
    const auto is_before = [](const std::wstring& a, const std::wstring& b) {
        const std::size_t a_size = a.find(L'=');
        const std::size_t b_size = b.find(L'=');
        return ::CompareStringOrdinal(
                   a.c_str(), static_cast<int>(a_size), b.c_str(), static_cast<int>(b_size), TRUE)
               == CSTR_LESS_THAN;
    };
    std::stable_sort(variables.begin(), variables.end(), is_before);
    std::wstring block;
    for (const std::wstring& variable : variables) {
        block += variable;
        block += L'\0';
    }
    block.append(block.empty() ? 2 : 1, L'\0');
    return block;
}

/// What CreateProcess() is to be told, in its own words.
class SpawnPlan {
public:
    Error prepare(const ProcessOptions& options);
    /// Suspended, into the job, and on.
    Error
    run(const std::string& name, const ChildEnds& ends, File& process, File& job, std::int64_t& id);

private:
    Error
    create(const std::string& name, STARTUPINFOEXW& startup, PROCESS_INFORMATION& created) noexcept;

    std::wstring program_;
    std::wstring line_;
    std::wstring environment_;
    std::wstring directory_;
};

PORTHOLE_FN Error SpawnPlan::prepare(const ProcessOptions& options) {
    const auto refuse = [&options](std::string_view advice) {
        return Error(ErrorCode::misuse, "CreateProcess", options.program, advice);
    };
    if (is_batch_program(options.program)) {
        return refuse("batch files are not run: their arguments cannot be made safe");
    }
    if (!is_rooted(options.program)) {
        return refuse("the path has to begin at the root of a disk");
    }
    bool is_bad = false;
    const auto to_wide = [&is_bad](const std::string& text) {
        std::wstring wide = widen(text);
        is_bad = is_bad || text.find('\0') != std::string::npos || wide.empty() != text.empty();
        return wide;
    };
    program_ = to_wide(options.program);
    directory_ = to_wide(options.working_directory);
    std::replace(program_.begin(), program_.end(), L'/', L'\\');
    std::replace(directory_.begin(), directory_.end(), L'/', L'\\');
    if (options.arguments.empty()) {
        append_argument(line_, program_, true);
    }
    for (const std::string& argument : options.arguments) {
        append_argument(line_, to_wide(argument), line_.empty());
    }
    is_bad = is_bad
             || (!options.arguments.empty() && options.arguments[0].find('"') != std::string::npos);
    std::vector<std::wstring> variables;
    for (const std::string& variable : options.environment) {
        const std::size_t sign = variable.find('=');
        is_bad = is_bad || sign == 0 || sign == std::string::npos;
        variables.push_back(to_wide(variable));
    }
    if (is_bad) {
        return refuse("all text is UTF-8 without a zero byte, and each variable is NAME=value");
    }
    environment_ = make_environment_block(std::move(variables));
    return {};
}

/// A job that ends its processes with its last handle, which is ours.
inline Error open_job(File& job) {
    const HANDLE made = ::CreateJobObjectW(nullptr, nullptr);
    if (made == nullptr) {
        return process_error("CreateJobObject", "", ::GetLastError());
    }
    job = File(reinterpret_cast<NativeHandle>(made));
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits{};
    limits.BasicLimitInformation.LimitFlags =
        JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE | JOB_OBJECT_LIMIT_DIE_ON_UNHANDLED_EXCEPTION;
    if (::SetInformationJobObject(
            made, JobObjectExtendedLimitInformation, &limits, static_cast<DWORD>(sizeof limits))
        == 0) {
        return process_error("SetInformationJobObject", "", ::GetLastError());
    }
    return {};
}

PORTHOLE_FN Error SpawnPlan::create(
    const std::string& name, STARTUPINFOEXW& startup, PROCESS_INFORMATION& created) noexcept {
    constexpr DWORD flags = CREATE_SUSPENDED | CREATE_NO_WINDOW | CREATE_UNICODE_ENVIRONMENT
                            | EXTENDED_STARTUPINFO_PRESENT;
    if (::CreateProcessW(
            program_.c_str(), &line_[0], nullptr, nullptr, TRUE, flags, &environment_[0],
            directory_.empty() ? nullptr : directory_.c_str(), &startup.StartupInfo, &created)
        != 0) {
        return {};
    }
    const DWORD code = ::GetLastError();
    const bool is_directory = code == ERROR_DIRECTORY;
    return process_error(
        "CreateProcess", name, code, is_directory ? "the working directory is not there" : "");
}

PORTHOLE_FN Error SpawnPlan::run(
    const std::string& name, const ChildEnds& ends, File& process, File& job, std::int64_t& id) {
    if (Error error = open_job(job)) {
        return error;
    }
    HANDLE handles[] = {native_file(ends.input), native_file(ends.output), native_file(ends.error)};
    SIZE_T list_size = 0;
    ::InitializeProcThreadAttributeList(nullptr, 1, 0, &list_size); // fails, and tells the size
    const auto memory = std::make_unique<char[]>(list_size);
    STARTUPINFOEXW startup{};
    startup.lpAttributeList = reinterpret_cast<LPPROC_THREAD_ATTRIBUTE_LIST>(memory.get());
    if (::InitializeProcThreadAttributeList(startup.lpAttributeList, 1, 0, &list_size) == 0) {
        return process_error("InitializeProcThreadAttributeList", name, ::GetLastError());
    }
    startup.StartupInfo.cb = static_cast<DWORD>(sizeof startup);
    startup.StartupInfo.dwFlags = STARTF_USESTDHANDLES;
    startup.StartupInfo.hStdInput = handles[0];
    startup.StartupInfo.hStdOutput = handles[1];
    startup.StartupInfo.hStdError = handles[2];
    PROCESS_INFORMATION created{};
    Error error;
    if (::UpdateProcThreadAttribute(
            startup.lpAttributeList, 0, PROC_THREAD_ATTRIBUTE_HANDLE_LIST, handles, sizeof handles,
            nullptr, nullptr)
        == 0) {
        error = process_error("UpdateProcThreadAttribute", name, ::GetLastError());
    } else {
        error = create(name, startup, created);
    }
    ::DeleteProcThreadAttributeList(startup.lpAttributeList);
    if (error) {
        return error;
    }
    process = File(reinterpret_cast<NativeHandle>(created.hProcess));
    const File thread(reinterpret_cast<NativeHandle>(created.hThread));
    if (::AssignProcessToJobObject(native_file(job), created.hProcess) == 0
        || ::ResumeThread(created.hThread) == static_cast<DWORD>(-1)) {
        const DWORD code = ::GetLastError();
        static_cast<void>(::TerminateProcess(created.hProcess, killed_exit_code));
        return process_error("AssignProcessToJobObject", name, code);
    }
    id = static_cast<std::int64_t>(created.dwProcessId);
    return {};
}

inline bool is_file(const std::wstring& path) noexcept {
    const DWORD attributes = ::GetFileAttributesW(path.c_str());
    return !path.empty() && attributes != INVALID_FILE_ATTRIBUTES
           && (attributes & FILE_ATTRIBUTE_DIRECTORY) == 0;
}

/// From the root of a disk; empty when it is no file.
inline std::string complete_path(std::string_view path) {
    const std::wstring wide = widen(path);
    const DWORD needed = ::GetFullPathNameW(wide.c_str(), 0, nullptr, nullptr);
    std::wstring full(needed, L'\0');
    const DWORD size =
        needed == 0 ? 0 : ::GetFullPathNameW(wide.c_str(), needed, &full[0], nullptr);
    full.resize(size < needed ? size : 0);
    return is_file(full) ? narrow(full.c_str(), full.size()) : std::string();
}

PORTHOLE_FN std::string find_program(std::string_view name, std::string_view search_path) {
    const bool is_path = name.find_first_of("/\\:") != std::string_view::npos;
    for (const std::string_view extension : {".exe", ".com", ""}) {
        const std::string file = std::string(name) + std::string(extension);
        if (is_path) {
            std::string found = complete_path(file);
            if (!found.empty()) {
                return found;
            }
            continue;
        }
        std::string_view left = search_path;
        while (!name.empty() && !left.empty()) {
            const std::size_t end = left.find(';');
            const std::string_view part = left.substr(0, end);
            std::string found =
                part.empty() ? std::string() : complete_path(std::string(part) + '\\' + file);
            if (!found.empty()) {
                return found;
            }
            left.remove_prefix(end == std::string_view::npos ? left.size() : end + 1);
        }
    }
    return {};
}

} // namespace detail

PORTHOLE_NAMESPACE_END

#endif

// porthole/os/process_posix.inl

// Running processes on POSIX systems: their pipes, and how they end. How they begin is in
// spawn_posix.inl. Only children of our own are ever waited for, each by its number, so the host's
// are left alone, and there is no signal handler.

#if !defined(_WIN32)

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

struct Process::State {
    State(pid_t its_id, std::shared_ptr<ProcessReaper> its_reaper) noexcept
        : id(its_id), reaper(std::move(its_reaper)) {}
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    ~State();

    std::optional<ExitStatus> try_reap() noexcept;

    pid_t id; ///< 0 when it is reaped: then the number may be another program's
    std::shared_ptr<ProcessReaper> reaper;
    File input;
    File output;
    File error;
    File exit;
    bool has_quiet_write = true; ///< until the kernel says otherwise
};

inline IoResult failed_pipe(int code) noexcept {
    IoResult result;
    if (code != EINTR && !is_would_block(code)) {
        result.status = IoStatus::failed;
        result.system_code = code;
    }
    return result;
}

inline IoResult read_pipe(NativeHandle end, char* into, std::size_t capacity) noexcept {
    IoResult result;
    if (end == invalid_handle) {
        result.status = IoStatus::end;
        return result;
    }
    if (capacity == 0) {
        return result; // read() would answer 0, which means the end
    }
    for (int attempt = 0; attempt < max_interrupts; ++attempt) {
        const ssize_t count = ::read(static_cast<int>(end), into, capacity);
        if (count >= 0) {
            result.status = count == 0 ? IoStatus::end : IoStatus::ok;
            result.bytes = static_cast<std::size_t>(count);
            return result;
        }
        if (errno != EINTR) {
            return failed_pipe(errno);
        }
    }
    return result;
}

/// write() with SIGPIPE kept from the host: it is blocked in this thread meanwhile, and taken away
/// if the write made one. One that was pending before is the host's own and stays.
inline ssize_t write_masked(int descriptor, std::string_view bytes) noexcept {
    sigset_t broken_pipe;
    sigset_t before;
    sigset_t pending;
    ::sigemptyset(&broken_pipe);
    ::sigaddset(&broken_pipe, SIGPIPE);
    ::sigemptyset(&pending);
    ::sigpending(&pending);
    const bool was_pending = ::sigismember(&pending, SIGPIPE) == 1;
    // Of this thread alone on every system; pthread_sigmask() would need a library more on some.
    ::sigprocmask(SIG_BLOCK, &broken_pipe, &before);
    const ssize_t count = ::write(descriptor, bytes.data(), bytes.size());
    const int code = errno;
    if (count < 0 && code == EPIPE && !was_pending) {
        ::sigpending(&pending);
        int taken = 0;
        if (::sigismember(&pending, SIGPIPE) == 1) {
            ::sigwait(&broken_pipe, &taken); // it is there, so this does not wait
        }
    }
    ::sigprocmask(SIG_SETMASK, &before, nullptr);
    errno = code;
    return count;
}

/// One write() that raises no SIGPIPE: by a flag where the kernel has it (Linux 6.18), by a
/// property of the pipe (macOS), else by hiding the signal.
inline ssize_t
write_quietly(int descriptor, std::string_view bytes, [[maybe_unused]] bool& has_flag) noexcept {
#if defined(F_SETNOSIGPIPE)
    return ::write(descriptor, bytes.data(), bytes.size());
#else
#if defined(SYS_pwritev2)
    constexpr int no_signal = 0x100;     // RWF_NOSIGNAL, which older headers lack
    constexpr unsigned long here = ~0ul; // a pipe has no positions
    if (has_flag) {
        iovec piece{const_cast<char*>(bytes.data()), bytes.size()};
        const long count = ::syscall(SYS_pwritev2, descriptor, &piece, 1ul, here, here, no_signal);
        if (count >= 0 || (errno != EOPNOTSUPP && errno != ENOSYS && errno != EINVAL)) {
            return static_cast<ssize_t>(count);
        }
        has_flag = false;
    }
#endif
    return write_masked(descriptor, bytes);
#endif
}

inline File open_exit_handle([[maybe_unused]] pid_t id) noexcept {
#if defined(SYS_pidfd_open)
    return File(::syscall(SYS_pidfd_open, id, 0u)); // close-on-exec by itself
#else
    return File();
#endif
}

PORTHOLE_FN Error Process::start(const ProcessOptions& options, Process& process) {
    if (Error error = check_process_options(options)) {
        return error;
    }
    Pipe pipes[first_private_descriptor];
    const bool wanted[] = {options.wants_input, options.wants_output, options.wants_error};
    SpawnPlan plan;
    for (int i = 0; i < first_private_descriptor; ++i) {
        const int code = wanted[i] ? open_pipe(i == STDIN_FILENO, pipes[i]) : 0;
        if (code != 0) {
            return socket_error("pipe", options.program, code);
        }
        plan.connect(pipes[i], i);
    }
    File directory;
    if (Error error = plan_directory(options.working_directory, plan, directory)) {
        return error;
    }
    const bool is_automatic = options.calls == ProcessCalls::automatic;
    const bool closes_all = spawn_closes_all && is_automatic;
    plan.isolate(closes_all);
    closes_all ? plan.close_all() : plan.close_listed();
    if (plan.code() != 0) {
        return socket_error("posix_spawn", options.program, plan.code());
    }
    std::vector<char*> arguments = to_vector(options.arguments);
    const std::vector<char*> environment = to_vector(options.environment);
    if (options.arguments.empty()) {
        arguments.insert(arguments.begin(), const_cast<char*>(options.program.c_str()));
    }
    auto state = std::make_unique<State>(0, options.reaper);
    if (state->reaper) {
        state->reaper->expect();
    }
    pid_t id = 0;
    if (const int code =
            plan.run(id, options.program.c_str(), arguments.data(), environment.data())) {
        return spawn_error(options.program, code);
    }
    state->id = id;
    state->input = std::move(pipes[STDIN_FILENO].ours);
    state->output = std::move(pipes[STDOUT_FILENO].ours);
    state->error = std::move(pipes[STDERR_FILENO].ours);
    if (is_automatic) {
        state->exit = open_exit_handle(id);
    }
    state->has_quiet_write = is_automatic;
    process.state_ = std::move(state);
    return {};
}

/// Waits for this child and no other: the rest are the host's.
inline std::optional<ExitStatus> reap_child(pid_t id) noexcept {
    int status = 0;
    pid_t answer = 0;
    for (int attempt = 0; attempt < max_interrupts; ++attempt) {
        answer = ::waitpid(id, &status, WNOHANG);
        if (answer >= 0 || errno != EINTR) {
            break;
        }
    }
    ExitStatus ended;
    if (answer == 0 || (answer < 0 && errno == EINTR)) {
        return std::nullopt;
    }
    if (answer == id && WIFEXITED(status)) {
        ended.kind = ExitStatus::Kind::exited;
        ended.value = WEXITSTATUS(status);
    } else if (answer == id && WIFSIGNALED(status)) {
        ended.kind = ExitStatus::Kind::signalled;
        ended.value = WTERMSIG(status);
    }
    return ended;
}

PORTHOLE_FN Process::State::~State() {
    if (id > 0) {
        // The number is still the program's, ended or not, because nobody has waited for it.
        static_cast<void>(::kill(-id, SIGKILL));
        if (!try_reap() && reaper) {
            reaper->adopt(id);
        }
    }
    if (reaper) {
        reaper->forget();
    }
}

PORTHOLE_FN std::optional<ExitStatus> Process::State::try_reap() noexcept {
    const auto status = id > 0 ? reap_child(id) : std::nullopt;
    if (status) {
        id = 0;
        exit.close();
    }
    return status;
}

PORTHOLE_FN Process::Process() noexcept = default;
PORTHOLE_FN Process::Process(Process&& other) noexcept = default;
PORTHOLE_FN Process& Process::operator=(Process&& other) noexcept = default;
PORTHOLE_FN Process::~Process() = default;

PORTHOLE_FN bool Process::is_started() const noexcept {
    return id() != 0;
}

PORTHOLE_FN std::int64_t Process::id() const noexcept {
    return state_ ? state_->id : 0;
}

PORTHOLE_FN NativeHandle Process::input_handle() const noexcept {
    return state_ ? state_->input.handle() : invalid_handle;
}

PORTHOLE_FN NativeHandle Process::output_handle() const noexcept {
    return state_ ? state_->output.handle() : invalid_handle;
}

PORTHOLE_FN NativeHandle Process::error_handle() const noexcept {
    return state_ ? state_->error.handle() : invalid_handle;
}

PORTHOLE_FN NativeHandle Process::exit_handle() const noexcept {
    return state_ ? state_->exit.handle() : invalid_handle;
}

PORTHOLE_FN IoResult Process::write_input(std::string_view bytes) noexcept {
    if (input_handle() == invalid_handle) {
        return failed_pipe(EPIPE);
    }
    IoResult result;
    for (int attempt = 0; attempt < max_interrupts && !bytes.empty(); ++attempt) {
        const ssize_t count =
            write_quietly(pipe_descriptor(state_->input), bytes, state_->has_quiet_write);
        if (count >= 0) {
            result.status = IoStatus::ok;
            result.bytes = static_cast<std::size_t>(count);
            return result;
        }
        if (errno != EINTR) {
            return failed_pipe(errno);
        }
    }
    return result;
}

PORTHOLE_FN IoResult Process::read_output(char* into, std::size_t capacity) noexcept {
    return read_pipe(output_handle(), into, capacity);
}

PORTHOLE_FN IoResult Process::read_error(char* into, std::size_t capacity) noexcept {
    return read_pipe(error_handle(), into, capacity);
}

PORTHOLE_FN void Process::close_input() noexcept {
    if (state_) {
        state_->input.close();
    }
}

PORTHOLE_FN void Process::close_output() noexcept {
    if (state_) {
        state_->output.close();
    }
}

PORTHOLE_FN void Process::close_error() noexcept {
    if (state_) {
        state_->error.close();
    }
}

/// Looks without taking: the number has to stay the program's, so that its group can be killed.
PORTHOLE_FN bool Process::has_ended() noexcept {
    if (!is_started()) {
        return true;
    }
    siginfo_t information{};
    const int answer =
        ::waitid(P_PID, static_cast<id_t>(state_->id), &information, WEXITED | WNOHANG | WNOWAIT);
    return answer == 0 ? information.si_pid != 0 : errno == ECHILD;
}

PORTHOLE_FN std::optional<ExitStatus> Process::try_reap() noexcept {
    return state_ ? state_->try_reap() : std::nullopt;
}

PORTHOLE_FN void Process::terminate_group() noexcept {
    if (is_started()) {
        static_cast<void>(::kill(-state_->id, SIGTERM));
    }
}

PORTHOLE_FN void Process::kill_group() noexcept {
    if (is_started()) {
        static_cast<void>(::kill(-state_->id, SIGKILL));
    }
}

PORTHOLE_FN ProcessReaper::~ProcessReaper() {
    static_cast<void>(collect(ids_.size()));
}

PORTHOLE_FN void ProcessReaper::expect() {
    ++expected_;
    ids_.reserve(ids_.size() + expected_);
}

PORTHOLE_FN void ProcessReaper::adopt(std::int64_t id) noexcept {
    ids_.push_back(id);
}

PORTHOLE_FN std::size_t ProcessReaper::collect(std::size_t at_most) noexcept {
    std::size_t looks = at_most < ids_.size() ? at_most : ids_.size();
    for (; looks != 0; --looks) {
        next_ = next_ < ids_.size() ? next_ : 0;
        if (reap_child(static_cast<pid_t>(ids_[next_]))) {
            ids_[next_] = ids_.back();
            ids_.pop_back();
        } else {
            ++next_;
        }
    }
    return ids_.size();
}

PORTHOLE_FN bool ProcessReaper::finish(Duration at_most) noexcept {
    const auto deadline = std::chrono::steady_clock::now() + at_most;
    while (collect(ids_.size()) != 0 && std::chrono::steady_clock::now() < deadline) {
        static_cast<void>(::poll(nullptr, 0, 1));
    }
    return ids_.empty();
}

/// A regular file that this user may run.
inline bool is_runnable(const std::string& path) noexcept {
    struct stat found {};
    return ::stat(path.c_str(), &found) == 0 && S_ISREG(found.st_mode)
           && ::access(path.c_str(), X_OK) == 0;
}

inline std::string complete_path(std::string path) {
    if (path.empty() || path[0] == '/') {
        return path;
    }
    const std::unique_ptr<char, void (*)(void*)> directory(::getcwd(nullptr, 0), &std::free);
    return directory ? std::string(directory.get()) + '/' + path : std::string();
}

PORTHOLE_FN std::string find_program(std::string_view name, std::string_view search_path) {
    if (name.find('/') != std::string_view::npos) {
        std::string path = complete_path(std::string(name));
        return is_runnable(path) ? path : std::string();
    }
    while (!name.empty() && !search_path.empty()) {
        const std::size_t end = search_path.find(':');
        // An empty part would be the working directory, where anything may lie.
        if (end != 0) {
            std::string path(search_path.substr(0, end));
            path = complete_path(path + '/' + std::string(name));
            if (is_runnable(path)) {
                return path;
            }
        }
        search_path.remove_prefix(end == std::string_view::npos ? search_path.size() : end + 1);
    }
    return {};
}

} // namespace detail

PORTHOLE_NAMESPACE_END

#endif

// porthole/os/process_windows.inl

// Running processes on Windows: overlapped named pipes, because nothing else there reads and writes
// without waiting, and a job object, which ends the program and all that it starts. How they begin
// is in spawn_windows.inl.

#if defined(_WIN32)

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

struct Process::State {
    State() = default;
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    ~State();

    std::int64_t id = 0; ///< 0 when it is reaped
    OverlappedPipe input;
    OverlappedPipe output;
    OverlappedPipe error;
    bool closes_input = false; ///< once what was taken is written
    File job;
    File process;
};

/// False while the system still reads into or writes from the buffer; else how that ended is in
/// `code`, and how many bytes in `moved`.
inline bool settle(OverlappedPipe& pipe, DWORD& moved) noexcept {
    moved = 0;
    if (!pipe.is_pending) {
        return true;
    }
    if (!HasOverlappedIoCompleted(&pipe.operation)) { // looks at memory, no system call
        return false;
    }
    pipe.is_pending = false;
    if (::GetOverlappedResult(native_file(pipe.end), &pipe.operation, &moved, FALSE) == 0) {
        pipe.code = ::GetLastError();
    }
    return true;
}

inline IoResult pipe_result(DWORD code) noexcept {
    IoResult result;
    const bool is_end =
        code == ERROR_BROKEN_PIPE || code == ERROR_PIPE_NOT_CONNECTED || code == ERROR_HANDLE_EOF;
    result.status = is_end ? IoStatus::end : IoStatus::failed;
    result.system_code = is_end ? 0 : static_cast<int>(code);
    return result;
}

inline void begin_read(OverlappedPipe& pipe) noexcept {
    pipe.begin = pipe.size = 0;
    pipe.is_pending = true;
    if (::ReadFile(
            native_file(pipe.end), pipe.buffer.get(), static_cast<DWORD>(pipe_buffer_bytes),
            nullptr, &pipe.operation)
        == 0) {
        const DWORD code = ::GetLastError();
        pipe.is_pending = code == ERROR_IO_PENDING;
        pipe.code = pipe.is_pending ? 0 : code;
    }
}

inline IoResult read_pipe(OverlappedPipe& pipe, char* into, std::size_t capacity) noexcept {
    IoResult result;
    if (!pipe.end.is_open()) {
        result.status = IoStatus::end;
        return result;
    }
    // Twice: what was read before may be nothing, and the next may be there already.
    for (int attempt = 0; attempt < 2 && capacity != 0; ++attempt) {
        DWORD moved = 0;
        if (!settle(pipe, moved)) {
            return result;
        }
        pipe.size += moved;
        if (pipe.begin < pipe.size) {
            const std::size_t left = pipe.size - pipe.begin;
            result.bytes = left < capacity ? left : capacity;
            std::memcpy(into, pipe.buffer.get() + pipe.begin, result.bytes);
            pipe.begin += result.bytes;
            result.status = IoStatus::ok;
            return result;
        }
        if (pipe.code != 0) {
            return pipe_result(pipe.code);
        }
        begin_read(pipe);
    }
    return result;
}

inline IoResult write_pipe(OverlappedPipe& pipe, std::string_view bytes) noexcept {
    IoResult result;
    DWORD moved = 0;
    if (bytes.empty() || !settle(pipe, moved)) {
        return result;
    }
    if (pipe.code == 0) {
        const std::size_t size =
            bytes.size() < pipe_buffer_bytes ? bytes.size() : pipe_buffer_bytes;
        std::memcpy(pipe.buffer.get(), bytes.data(), size);
        pipe.is_pending = true;
        if (::WriteFile(
                native_file(pipe.end), pipe.buffer.get(), static_cast<DWORD>(size), nullptr,
                &pipe.operation)
            == 0) {
            const DWORD code = ::GetLastError();
            pipe.is_pending = code == ERROR_IO_PENDING;
            pipe.code = pipe.is_pending ? 0 : code;
        }
        result.bytes = size;
    }
    if (pipe.code != 0) {
        result.bytes = 0;
        result.system_code = static_cast<int>(pipe.code);
    }
    result.status = pipe.code != 0 ? IoStatus::failed : IoStatus::ok;
    return result;
}

/// The end of the input goes out behind the bytes that were taken before it.
inline void finish_input(OverlappedPipe& input, bool closes_input) noexcept {
    DWORD moved = 0;
    if (closes_input && input.end.is_open() && settle(input, moved)) {
        input.close();
    }
}

PORTHOLE_FN Process::State::~State() {
    if (id != 0) {
        static_cast<void>(::TerminateJobObject(native_file(job), killed_exit_code));
    }
}

PORTHOLE_FN Error Process::start(const ProcessOptions& options, Process& process) {
    SpawnPlan plan;
    if (Error error = plan.prepare(options)) {
        return error;
    }
    auto state = std::make_unique<State>();
    ChildEnds ends;
    if (Error error = ends.open(options, state->input, state->output, state->error)) {
        return error;
    }
    if (Error error = plan.run(options.program, ends, state->process, state->job, state->id)) {
        return error;
    }
    process.state_ = std::move(state);
    return {};
}

PORTHOLE_FN Process::Process() noexcept = default;
PORTHOLE_FN Process::Process(Process&& other) noexcept = default;
PORTHOLE_FN Process& Process::operator=(Process&& other) noexcept = default;
PORTHOLE_FN Process::~Process() = default;

PORTHOLE_FN bool Process::is_started() const noexcept {
    return id() != 0;
}

PORTHOLE_FN std::int64_t Process::id() const noexcept {
    return state_ ? state_->id : 0;
}

PORTHOLE_FN NativeHandle Process::input_handle() const noexcept {
    return invalid_handle;
}

PORTHOLE_FN NativeHandle Process::output_handle() const noexcept {
    return invalid_handle;
}

PORTHOLE_FN NativeHandle Process::error_handle() const noexcept {
    return invalid_handle;
}

PORTHOLE_FN NativeHandle Process::exit_handle() const noexcept {
    return invalid_handle;
}

PORTHOLE_FN IoResult Process::write_input(std::string_view bytes) noexcept {
    if (!state_ || !state_->input.end.is_open() || state_->closes_input) {
        IoResult result;
        result.status = IoStatus::failed;
        result.system_code = static_cast<int>(ERROR_NO_DATA);
        return result;
    }
    return write_pipe(state_->input, bytes);
}

PORTHOLE_FN IoResult Process::read_output(char* into, std::size_t capacity) noexcept {
    if (!state_) {
        return pipe_result(ERROR_BROKEN_PIPE);
    }
    finish_input(state_->input, state_->closes_input);
    return read_pipe(state_->output, into, capacity);
}

PORTHOLE_FN IoResult Process::read_error(char* into, std::size_t capacity) noexcept {
    if (!state_) {
        return pipe_result(ERROR_BROKEN_PIPE);
    }
    finish_input(state_->input, state_->closes_input);
    return read_pipe(state_->error, into, capacity);
}

PORTHOLE_FN void Process::close_input() noexcept {
    if (state_) {
        state_->closes_input = true;
        finish_input(state_->input, true);
    }
}

PORTHOLE_FN void Process::close_output() noexcept {
    if (state_) {
        state_->output.close();
    }
}

PORTHOLE_FN void Process::close_error() noexcept {
    if (state_) {
        state_->error.close();
    }
}

PORTHOLE_FN bool Process::has_ended() noexcept {
    if (!is_started()) {
        return true;
    }
    finish_input(state_->input, state_->closes_input);
    return ::WaitForSingleObject(native_file(state_->process), 0) == WAIT_OBJECT_0;
}

/// Codes from 0xC0000000 on are the system's: an exception, or our own kill.
PORTHOLE_FN std::optional<ExitStatus> Process::try_reap() noexcept {
    constexpr DWORD first_exception = 0xC0000000u;
    if (!is_started() || !has_ended()) {
        return std::nullopt;
    }
    ExitStatus status;
    DWORD code = 0;
    if (::GetExitCodeProcess(native_file(state_->process), &code) != 0) {
        status.kind =
            code >= first_exception ? ExitStatus::Kind::signalled : ExitStatus::Kind::exited;
        status.value = static_cast<int>(code);
    }
    state_->id = 0;
    state_->process.close();
    // What the program has left running may stay, as on POSIX; the job must not end it then.
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION no_limits{};
    static_cast<void>(::SetInformationJobObject(
        native_file(state_->job), JobObjectExtendedLimitInformation, &no_limits,
        static_cast<DWORD>(sizeof no_limits)));
    state_->job.close();
    return status;
}

PORTHOLE_FN void Process::terminate_group() noexcept {
    kill_group();
}

PORTHOLE_FN void Process::kill_group() noexcept {
    if (is_started()) {
        static_cast<void>(::TerminateJobObject(native_file(state_->job), killed_exit_code));
    }
}

PORTHOLE_FN ProcessReaper::~ProcessReaper() = default;

PORTHOLE_FN void ProcessReaper::expect() {}

PORTHOLE_FN void ProcessReaper::adopt(std::int64_t) noexcept {}

PORTHOLE_FN std::size_t ProcessReaper::collect(std::size_t) noexcept {
    return 0;
}

PORTHOLE_FN bool ProcessReaper::finish(Duration) noexcept {
    return true;
}

} // namespace detail

PORTHOLE_NAMESPACE_END

#endif

// porthole/os/scratch_file_posix.inl

// Scratch files on POSIX systems: by O_TMPFILE where Linux and the file system have it, else
// created under a name that is taken away at once.

#if !defined(_WIN32)

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN std::string environment_variable(std::string_view name) {
    const char* value = ::getenv(std::string(name).c_str());
    return value != nullptr ? value : "";
}

PORTHOLE_FN bool ScratchFile::open() {
    std::string directory = environment_variable("TMPDIR");
    directory = directory.empty() ? "/tmp" : directory;
#if defined(O_TMPFILE)
    constexpr unsigned mode = 0600;
    file_ = File(::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, mode));
#endif
    if (!file_.is_open()) {
        std::string name = directory + "/porthole-XXXXXX";
        file_ = File(::mkstemp(&name[0]));
        if (file_.is_open()) {
            static_cast<void>(::unlink(name.c_str()));
            static_cast<void>(::fcntl(native_file(file_), F_SETFD, FD_CLOEXEC));
        }
    }
    size_ = 0;
    return file_.is_open();
}

PORTHOLE_FN bool ScratchFile::append(std::string_view bytes) noexcept {
    int interrupts = 0;
    while (!bytes.empty()) {
        const ssize_t count =
            ::pwrite(native_file(file_), bytes.data(), bytes.size(), static_cast<off_t>(size_));
        if (count > 0) {
            size_ += static_cast<std::uint64_t>(count);
            bytes.remove_prefix(static_cast<std::size_t>(count));
        } else if (count == 0 || errno != EINTR || ++interrupts == max_interrupts) {
            return false;
        }
    }
    return true;
}

} // namespace detail

PORTHOLE_NAMESPACE_END

#endif

// porthole/os/scratch_file_windows.inl

// Scratch files on Windows: the system deletes them when their one handle is closed.

#if defined(_WIN32)

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN std::string environment_variable(std::string_view name) {
    const std::wstring wide = widen(name);
    const DWORD size = ::GetEnvironmentVariableW(wide.c_str(), nullptr, 0); // with its end
    std::wstring value(size, L'\0');
    const DWORD count = size == 0 ? 0 : ::GetEnvironmentVariableW(wide.c_str(), &value[0], size);
    return count < size ? narrow(value.data(), count) : std::string();
}

PORTHOLE_FN bool ScratchFile::open() {
    wchar_t directory[MAX_PATH + 1] = {};
    wchar_t name[MAX_PATH + 1] = {};
    const DWORD size = ::GetTempPathW(MAX_PATH + 1, directory);
    if (size == 0 || size > MAX_PATH || ::GetTempFileNameW(directory, L"por", 0, name) == 0) {
        return false;
    }
    const DWORD access = GENERIC_READ | GENERIC_WRITE;
    const DWORD attributes = FILE_ATTRIBUTE_TEMPORARY | FILE_FLAG_DELETE_ON_CLOSE;
    const HANDLE handle =
        ::CreateFileW(name, access, 0, nullptr, CREATE_ALWAYS, attributes, nullptr);
    if (handle == INVALID_HANDLE_VALUE) {
        static_cast<void>(::DeleteFileW(name));
        return false;
    }
    file_ = File(reinterpret_cast<NativeHandle>(handle));
    size_ = 0;
    return true;
}

PORTHOLE_FN bool ScratchFile::append(std::string_view bytes) noexcept {
    constexpr std::size_t most = 1024 * 1024 * 1024;
    constexpr unsigned word_bits = 32;
    while (!bytes.empty()) {
        OVERLAPPED where{};
        where.Offset = static_cast<DWORD>(size_ & 0xffffffffu);
        where.OffsetHigh = static_cast<DWORD>(size_ >> word_bits);
        const auto wanted = static_cast<DWORD>(bytes.size() < most ? bytes.size() : most);
        DWORD written = 0;
        if (::WriteFile(native_file(file_), bytes.data(), wanted, &written, &where) == 0
            || written == 0) {
            return false;
        }
        size_ += written;
        bytes.remove_prefix(written);
    }
    return true;
}

} // namespace detail

PORTHOLE_NAMESPACE_END

#endif

// porthole/http/method.inl

// One table of names, in the order of the enumerators, for both ways. The common methods come
// first, and a name of another size is passed over without looking at its bytes.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// Indexed by Method.
inline constexpr std::string_view method_names[] = {
    "GET",   "HEAD",    "POST",     "PUT",       "DELETE", "PATCH", "OPTIONS",
    "TRACE", "CONNECT", "PROPFIND", "PROPPATCH", "MKCOL",  "COPY",  "MOVE",
    "LOCK",  "UNLOCK",  "REPORT",   "SEARCH",    "",
};
static_assert(
    sizeof method_names / sizeof method_names[0] == static_cast<std::size_t>(Method::other) + 1,
    "one name for each enumerator");

} // namespace detail

PORTHOLE_FN Method parse_method(std::string_view name) noexcept {
    for (std::size_t i = 0; i < static_cast<std::size_t>(Method::other); ++i) {
        if (name == detail::method_names[i]) {
            return static_cast<Method>(i);
        }
    }
    return Method::other;
}

PORTHOLE_FN std::string_view to_string(Method method) noexcept {
    return detail::method_names[static_cast<std::size_t>(method)];
}

PORTHOLE_NAMESPACE_END

// porthole/http/status.inl

// Whole status lines as literals, one table for each class of codes, so that sending one is a copy;
// the reason phrase is a piece of its line. Below, the one table that says which status answers
// which fault of a request, and in which words.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

// Codes without a registered meaning are empty; 306 and 418 are reserved as "(Unused)" (RFC 9110
// sections 15.4.7 and 15.5.19), so they have no line either.
inline constexpr std::string_view status_lines_1xx[] = {
    "HTTP/1.1 100 Continue\r\n",
    "HTTP/1.1 101 Switching Protocols\r\n",
    "HTTP/1.1 102 Processing\r\n",
    "HTTP/1.1 103 Early Hints\r\n",
    "HTTP/1.1 104 Upload Resumption Supported\r\n",
};
inline constexpr std::string_view status_lines_2xx[] = {
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.1 201 Created\r\n",
    "HTTP/1.1 202 Accepted\r\n",
    "HTTP/1.1 203 Non-Authoritative Information\r\n",
    "HTTP/1.1 204 No Content\r\n",
    "HTTP/1.1 205 Reset Content\r\n",
    "HTTP/1.1 206 Partial Content\r\n",
    "HTTP/1.1 207 Multi-Status\r\n",
    "HTTP/1.1 208 Already Reported\r\n",
    {},
    {},
    {},
    {},
    {},
    {},
    {},
    {},
    {},
    {},
    {},
    {},
    {},
    {},
    {},
    {},
    {},
    "HTTP/1.1 226 IM Used\r\n",
};
inline constexpr std::string_view status_lines_3xx[] = {
    "HTTP/1.1 300 Multiple Choices\r\n",
    "HTTP/1.1 301 Moved Permanently\r\n",
    "HTTP/1.1 302 Found\r\n",
    "HTTP/1.1 303 See Other\r\n",
    "HTTP/1.1 304 Not Modified\r\n",
    "HTTP/1.1 305 Use Proxy\r\n",
    {},
    "HTTP/1.1 307 Temporary Redirect\r\n",
    "HTTP/1.1 308 Permanent Redirect\r\n",
};
inline constexpr std::string_view status_lines_4xx[] = {
    "HTTP/1.1 400 Bad Request\r\n",
    "HTTP/1.1 401 Unauthorized\r\n",
    "HTTP/1.1 402 Payment Required\r\n",
    "HTTP/1.1 403 Forbidden\r\n",
    "HTTP/1.1 404 Not Found\r\n",
    "HTTP/1.1 405 Method Not Allowed\r\n",
    "HTTP/1.1 406 Not Acceptable\r\n",
    "HTTP/1.1 407 Proxy Authentication Required\r\n",
    "HTTP/1.1 408 Request Timeout\r\n",
    "HTTP/1.1 409 Conflict\r\n",
    "HTTP/1.1 410 Gone\r\n",
    "HTTP/1.1 411 Length Required\r\n",
    "HTTP/1.1 412 Precondition Failed\r\n",
    "HTTP/1.1 413 Content Too Large\r\n",
    "HTTP/1.1 414 URI Too Long\r\n",
    "HTTP/1.1 415 Unsupported Media Type\r\n",
    "HTTP/1.1 416 Range Not Satisfiable\r\n",
    "HTTP/1.1 417 Expectation Failed\r\n",
    {},
    {},
    {},
    "HTTP/1.1 421 Misdirected Request\r\n",
    "HTTP/1.1 422 Unprocessable Content\r\n",
    "HTTP/1.1 423 Locked\r\n",
    "HTTP/1.1 424 Failed Dependency\r\n",
    "HTTP/1.1 425 Too Early\r\n",
    "HTTP/1.1 426 Upgrade Required\r\n",
    {},
    "HTTP/1.1 428 Precondition Required\r\n",
    "HTTP/1.1 429 Too Many Requests\r\n",
    {},
    "HTTP/1.1 431 Request Header Fields Too Large\r\n",
    {},
    {},
    {},
    {},
    {},
    {},
    {},
    {},
    {},
    {},
    {},
    {},
    {},
    {},
    {},
    {},
    {},
    {},
    {},
    "HTTP/1.1 451 Unavailable For Legal Reasons\r\n",
};
inline constexpr std::string_view status_lines_5xx[] = {
    "HTTP/1.1 500 Internal Server Error\r\n",
    "HTTP/1.1 501 Not Implemented\r\n",
    "HTTP/1.1 502 Bad Gateway\r\n",
    "HTTP/1.1 503 Service Unavailable\r\n",
    "HTTP/1.1 504 Gateway Timeout\r\n",
    "HTTP/1.1 505 HTTP Version Not Supported\r\n",
    "HTTP/1.1 506 Variant Also Negotiates\r\n",
    "HTTP/1.1 507 Insufficient Storage\r\n",
    "HTTP/1.1 508 Loop Detected\r\n",
    {},
    "HTTP/1.1 510 Not Extended\r\n",
    "HTTP/1.1 511 Network Authentication Required\r\n",
};

template <std::size_t size>
constexpr std::string_view
status_line_at(const std::string_view (&lines)[size], std::size_t index) noexcept {
    return index < size ? lines[index] : std::string_view{};
}

/// What a fault is answered with.
struct FaultAnswer {
    RequestFault fault;
    int status;
    std::string_view sentence;
};

/// Indexed by RequestFault.
inline constexpr FaultAnswer fault_answers[] = {
    {RequestFault::none, 200, "Nothing is wrong with the request."},
    {RequestFault::bad_request_line, 400,
     "The request line is not a method, a target and a version with single spaces between them."},
    {RequestFault::bad_method, 400, "The method is not a token."},
    {RequestFault::bad_target, 400, "The request target is malformed."},
    {RequestFault::bad_version, 400, "The HTTP version is malformed."},
    {RequestFault::unsupported_version, 505, "Only HTTP/1.1 and HTTP/1.0 are spoken here."},
    {RequestFault::target_too_long, 414,
     "The request line is too long (Limits::max_request_line_bytes)."},
    {RequestFault::bad_field_name, 400,
     "A field line does not begin with a token and a colon right behind it."},
    {RequestFault::bad_field_value, 400, "A field value has a control character."},
    {RequestFault::obsolete_folding, 400,
     "A field line begins with a blank; folded lines are not accepted."},
    {RequestFault::bare_line_feed, 400, "A line ends with LF alone instead of CR LF."},
    {RequestFault::fields_too_large, 431,
     "The field lines are too large together (Limits::max_fields_bytes)."},
    {RequestFault::too_many_fields, 431, "There are too many field lines (Limits::max_fields)."},
    {RequestFault::missing_host, 400, "An HTTP/1.1 request needs a Host field."},
    {RequestFault::repeated_host, 400, "There is more than one Host field."},
    {RequestFault::bad_host, 400, "The Host field is not a host with an optional port."},
    {RequestFault::userinfo_in_host, 403,
     "The Host field has an '@', with which one name passes for another."},
    {RequestFault::bad_content_length, 400, "Content-Length is not one decimal number."},
    {RequestFault::length_required, 411, "Content in HTTP/1.0 needs a Content-Length."},
    {RequestFault::length_and_encoding, 400,
     "Content-Length and Transfer-Encoding exclude each other."},
    {RequestFault::encoding_in_http10, 400, "HTTP/1.0 has no Transfer-Encoding."},
    {RequestFault::bad_transfer_encoding, 400,
     "Transfer-Encoding has to be chunked, once and last."},
    {RequestFault::unknown_transfer_encoding, 501,
     "Transfer-Encoding names a coding other than chunked."},
    {RequestFault::bad_chunk, 400, "The chunked coding is malformed."},
    {RequestFault::bad_trailer, 400,
     "The trailer section is malformed or has a field that may not be there."},
    {RequestFault::trailer_too_large, 431,
     "The trailer section is too large (Limits::max_trailer_bytes, Limits::max_fields)."},
    {RequestFault::content_too_large, 413, "The content is too large (Limits::max_body_bytes)."},
    {RequestFault::unknown_expectation, 417, "Expect names something other than 100-continue."},
    {RequestFault::unknown_method, 501, "The method is not known here."},
    {RequestFault::head_timeout, 408,
     "The head of the request did not arrive in time (Limits::head_timeout)."},
    {RequestFault::content_timeout, 408,
     "The content arrived too slowly (Limits::body_grace, Limits::min_body_bytes_per_second)."},
};

constexpr bool fault_answers_are_in_order() noexcept {
    std::size_t index = 0;
    for (const FaultAnswer& answer : fault_answers) {
        if (static_cast<std::size_t>(answer.fault) != index++) {
            return false;
        }
    }
    return index == static_cast<std::size_t>(RequestFault::content_timeout) + 1;
}
static_assert(fault_answers_are_in_order(), "one row for each RequestFault, in its order");

} // namespace detail

PORTHOLE_FN std::string_view status_line(int status) noexcept {
    constexpr int codes_per_class = 100;
    if (status < 0) {
        return {};
    }
    const auto index = static_cast<std::size_t>(status % codes_per_class);
    switch (status / codes_per_class) {
    case 1: return detail::status_line_at(detail::status_lines_1xx, index);
    case 2: return detail::status_line_at(detail::status_lines_2xx, index);
    case 3: return detail::status_line_at(detail::status_lines_3xx, index);
    case 4: return detail::status_line_at(detail::status_lines_4xx, index);
    case 5: return detail::status_line_at(detail::status_lines_5xx, index);
    default: return {};
    }
}

PORTHOLE_FN std::string_view reason_phrase(int status) noexcept {
    constexpr std::size_t before = std::string_view("HTTP/1.1 200 ").size();
    constexpr std::size_t behind = std::string_view("\r\n").size();
    const std::string_view line = status_line(status);
    return line.empty() ? line : line.substr(before, line.size() - before - behind);
}

PORTHOLE_FN int status_of(RequestFault fault) noexcept {
    return detail::fault_answers[static_cast<std::size_t>(fault)].status;
}

PORTHOLE_FN std::string_view describe(RequestFault fault) noexcept {
    return detail::fault_answers[static_cast<std::size_t>(fault)].sentence;
}

PORTHOLE_NAMESPACE_END

// porthole/http/fields.inl

// Searches by name: the size and the first letter tell nearly all names apart before the rest is
// compared. A head has at most Limits::max_fields lines, so there is no index.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

inline bool is_same_name(std::string_view a, std::string_view b) noexcept {
    return a.size() == b.size() && !a.empty()
           && ascii::to_lower(a.front()) == ascii::to_lower(b.front())
           && ascii::equals_ignoring_case(a, b);
}

} // namespace detail

PORTHOLE_FN std::optional<std::string_view> Fields::find(std::string_view name) const noexcept {
    for (const detail::FieldSpan& span : spans_) {
        if (detail::is_same_name(span.name.in(base_), name)) {
            return span.value.in(base_);
        }
    }
    return std::nullopt;
}

PORTHOLE_FN std::vector<std::string_view> Fields::find_all(std::string_view name) const {
    std::vector<std::string_view> values;
    for (const detail::FieldSpan& span : spans_) {
        if (detail::is_same_name(span.name.in(base_), name)) {
            values.push_back(span.value.in(base_));
        }
    }
    return values;
}

PORTHOLE_FN std::size_t Fields::count(std::string_view name) const noexcept {
    std::size_t total = 0;
    for (const detail::FieldSpan& span : spans_) {
        if (detail::is_same_name(span.name.in(base_), name)) {
            ++total;
        }
    }
    return total;
}

PORTHOLE_FN bool
Fields::has_element(std::string_view name, std::string_view element) const noexcept {
    for (const detail::FieldSpan& span : spans_) {
        if (detail::is_same_name(span.name.in(base_), name)
            && ascii::list_has(span.value.in(base_), element)) {
            return true;
        }
    }
    return false;
}

PORTHOLE_NAMESPACE_END

// porthole/http/target.inl

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// What each byte means in a request target. A '#' is visible, but a fragment never travels.
struct TargetTable {
    enum Meaning : unsigned char { refused, plain, percent, question };
    Meaning of[256] = {};
    constexpr TargetTable() {
        for (int c = '!'; c <= '~'; ++c) {
            of[c] = plain;
        }
        of[static_cast<unsigned char>('#')] = refused;
        of[static_cast<unsigned char>('%')] = percent;
        of[static_cast<unsigned char>('?')] = question;
    }
};
inline constexpr TargetTable target_table{};

/// The size of a percent-encoded byte: '%' and two hexadecimal digits.
inline constexpr std::size_t encoded_byte_size = 3;

/// The byte that the three characters at `at` stand for, or -1.
inline int decode_byte(std::string_view text, std::size_t at) noexcept {
    if (text.size() - at < encoded_byte_size) {
        return -1;
    }
    const int high = ascii::hex_value(text[at + 1]);
    const int low = ascii::hex_value(text[at + 2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/// Checks every byte, and finds the first '?' (or the size when there is none).
inline bool check_target_bytes(std::string_view text, std::size_t& question) noexcept {
    question = text.size();
    for (std::size_t i = 0; i < text.size(); ++i) {
        switch (target_table.of[static_cast<unsigned char>(text[i])]) {
        case TargetTable::plain: break;
        case TargetTable::refused: return false;
        case TargetTable::percent:
            if (decode_byte(text, i) < 0) {
                return false;
            }
            break;
        case TargetTable::question:
            if (question == text.size()) {
                question = i;
            }
            break;
        }
    }
    return true;
}

/// http and https, in any case (RFC 3986 section 3.1). Nothing else is served here.
inline bool split_absolute_form(std::string_view text, Target& target) noexcept {
    constexpr std::string_view separator = "://";
    const std::size_t end = text.find(separator);
    if (end == std::string_view::npos) {
        return false;
    }
    target.form = TargetForm::absolute;
    target.scheme = text.substr(0, end);
    if (!ascii::equals_ignoring_case(target.scheme, "http")
        && !ascii::equals_ignoring_case(target.scheme, "https")) {
        return false;
    }
    text.remove_prefix(end + separator.size());
    const std::size_t authority_end = text.find_first_of("/?");
    target.authority = text.substr(0, authority_end);
    Authority authority;
    if (!parse_authority(target.authority, authority)) {
        return false;
    }
    text.remove_prefix(target.authority.size());
    const std::size_t question = text.find('?');
    target.path = text.substr(0, question);
    if (question != std::string_view::npos) {
        target.query = text.substr(question + 1);
    }
    if (target.path.empty()) {
        target.path = "/"; // RFC 9110 section 4.2.3: an empty path is the same as "/"
    }
    return true;
}

inline bool is_host_name(std::string_view text) noexcept {
    for (const char c : text) {
        if (!ascii::is_alpha(c) && !ascii::is_digit(c) && c != '-' && c != '.' && c != '_') {
            return false;
        }
    }
    return !text.empty();
}

/// Stands for a decoded '/' while dot segments are removed, so that it is no segment's end. A
/// decoded NUL is refused, so it cannot be mistaken.
inline constexpr char decoded_slash = '\0';

/// Appends one decoded segment.
inline bool append_segment(std::string_view segment, std::string& into, bool& has_slash) {
    for (std::size_t i = 0; i < segment.size(); ++i) {
        if (segment[i] != '%') {
            into += segment[i];
            continue;
        }
        const int byte = decode_byte(segment, i);
        if (byte <= 0) {
            return false;
        }
        has_slash = has_slash || byte == '/';
        into += byte == '/' ? decoded_slash : static_cast<char>(byte);
        i += encoded_byte_size - 1;
    }
    return true;
}

/// Puts decoded slashes in their place. "%2e%2e%2f" must not smuggle in what was just removed:
/// false when a dot segment comes to light.
inline bool restore_slashes(std::string& path, std::size_t begin) noexcept {
    for (std::size_t i = begin; i < path.size(); ++i) {
        path[i] = path[i] == decoded_slash ? '/' : path[i];
    }
    std::string_view rest = std::string_view(path).substr(begin);
    while (!rest.empty()) {
        rest.remove_prefix(1);
        const std::string_view segment = rest.substr(0, rest.find('/'));
        if (segment == "." || segment == "..") {
            return false;
        }
        rest.remove_prefix(segment.size());
    }
    return true;
}

/// RFC 3986 section 5.2.4 over decoded segments.
inline bool append_normalized(std::string_view path, std::string& into) {
    const std::size_t begin = into.size();
    bool has_slash = false;
    while (!path.empty()) {
        path.remove_prefix(1); // the '/' before the segment
        const std::string_view raw = path.substr(0, path.find('/'));
        path.remove_prefix(raw.size());
        const std::size_t at = into.size();
        into += '/';
        if (!append_segment(raw, into, has_slash)) {
            return false;
        }
        const std::string_view segment = std::string_view(into).substr(at + 1);
        const bool is_parent = segment == "..";
        if (!is_parent && segment != ".") {
            continue;
        }
        into.resize(at);
        if (is_parent) {
            if (at == begin) {
                return false;
            }
            into.resize(into.rfind('/'));
        }
        if (path.empty()) {
            into += '/'; // what ends in a dot segment is a folder
        }
    }
    return !has_slash || restore_slashes(into, begin);
}

} // namespace detail

PORTHOLE_FN bool
parse_target(std::string_view text, std::string_view method_name, Target& target) noexcept {
    target = Target{};
    std::size_t question = 0;
    if (text.empty() || !detail::check_target_bytes(text, question)) {
        return false;
    }
    if (method_name == "CONNECT") {
        // RFC 9110 section 9.3.6: host and port, both of them
        Authority authority;
        target.form = TargetForm::authority;
        target.authority = text;
        return parse_authority(text, authority) && authority.has_port;
    }
    if (text[0] == '/') {
        target.path = text.substr(0, question);
        target.query = question < text.size() ? text.substr(question + 1) : std::string_view();
        return true;
    }
    if (text == "*") {
        target.form = TargetForm::asterisk;
        target.path = text;
        return method_name == "OPTIONS";
    }
    return detail::split_absolute_form(text, target);
}

PORTHOLE_FN bool parse_authority(std::string_view text, Authority& authority) noexcept {
    constexpr std::size_t max_size = 255;
    constexpr std::size_t max_port_digits = 5;
    authority = Authority{};
    if (text.empty() || text.size() > max_size) {
        return false;
    }
    std::size_t host_size = 0;
    if (text[0] == '[') {
        const std::size_t bracket = text.find(']');
        std::array<std::uint8_t, 16> address{};
        if (bracket == std::string_view::npos
            || !detail::parse_ipv6(text.substr(1, bracket - 1), address)) {
            return false;
        }
        host_size = bracket + 1;
    } else {
        host_size = text.find(':') < text.size() ? text.find(':') : text.size();
        if (!detail::is_host_name(text.substr(0, host_size))) {
            return false;
        }
    }
    authority.host = text.substr(0, host_size);
    if (host_size == text.size()) {
        return true;
    }
    const std::string_view digits = text.substr(host_size + 1);
    const auto port = ascii::parse_decimal(digits);
    if (text[host_size] != ':' || digits.size() > max_port_digits || !port || *port > UINT16_MAX) {
        return false;
    }
    authority.has_port = true;
    authority.port = static_cast<std::uint16_t>(*port);
    return true;
}

PORTHOLE_FN bool percent_decode(std::string_view text, std::string& into) {
    const std::size_t before = into.size();
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            into += text[i];
            continue;
        }
        const int byte = detail::decode_byte(text, i);
        if (byte < 0) {
            into.resize(before);
            return false;
        }
        into += static_cast<char>(byte);
        i += detail::encoded_byte_size - 1;
    }
    return true;
}

PORTHOLE_FN void percent_encode(std::string_view text, std::string& into) {
    constexpr char digits[] = "0123456789ABCDEF";
    for (const char c : text) {
        if (ascii::is_alpha(c) || ascii::is_digit(c) || c == '-' || c == '.' || c == '_'
            || c == '~') {
            into += c;
        } else {
            const auto byte = static_cast<unsigned char>(c);
            into += '%';
            into += digits[byte >> 4];
            into += digits[byte & 0xf];
        }
    }
}

PORTHOLE_FN bool path_needs_work(std::string_view path) noexcept {
    char before = '\0';
    for (std::size_t i = 0; i < path.size(); ++i) {
        const char c = path[i];
        if (c == '%') {
            return true;
        }
        if (c == '.' && before == '/') {
            const std::size_t dots = path.substr(i, 2) == ".." ? 2 : 1;
            if (i + dots == path.size() || path[i + dots] == '/') {
                return true;
            }
        }
        before = c;
    }
    return false;
}

PORTHOLE_FN bool normalize_path(std::string_view path, std::string& into) {
    const std::size_t before = into.size();
    if (path.empty() || path[0] != '/' || path.find('\0') != std::string_view::npos
        || !detail::append_normalized(path, into)) {
        into.resize(before);
        return false;
    }
    return true;
}

PORTHOLE_NAMESPACE_END

// porthole/http/form.inl

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// What a FormPairs keeps for the next request; a larger one was an exception.
inline constexpr std::size_t kept_form_bytes = 64 * 1024;

/// Appends `text` decoded; never longer than `text`.
inline void append_form_decoded(std::string_view text, std::string& into) {
    for (std::size_t i = 0; i < text.size(); ++i) {
        char c = text[i] == '+' ? ' ' : text[i];
        if (c == '%' && text.size() - i > 2) {
            const int high = ascii::hex_value(text[i + 1]);
            const int low = ascii::hex_value(text[i + 2]);
            if (high >= 0 && low >= 0) {
                c = static_cast<char>(high * 16 + low);
                i += 2;
            }
        }
        into += c;
    }
}

} // namespace detail

PORTHOLE_FN void FormPairs::parse(std::string_view encoded) {
    clear();
    decoded_.reserve(encoded.size());
    while (!encoded.empty() && pairs_.size() < max_pairs) {
        const std::string_view pair = encoded.substr(0, encoded.find('&'));
        encoded.remove_prefix(pair.size() < encoded.size() ? pair.size() + 1 : pair.size());
        if (pair.empty()) {
            continue;
        }
        const std::string_view name = pair.substr(0, pair.find('='));
        Pair place{};
        place.name_at = decoded_.size();
        detail::append_form_decoded(name, decoded_);
        place.name_size = decoded_.size() - place.name_at;
        place.value_at = decoded_.size();
        if (name.size() < pair.size()) {
            detail::append_form_decoded(pair.substr(name.size() + 1), decoded_);
        }
        place.value_size = decoded_.size() - place.value_at;
        pairs_.push_back(place);
    }
}

PORTHOLE_FN void FormPairs::clear() noexcept {
    pairs_.clear();
    if (decoded_.capacity() > detail::kept_form_bytes) {
        std::string().swap(decoded_); // assigning an empty string may keep the memory
    } else {
        decoded_.clear();
    }
}

PORTHOLE_FN std::string_view FormPairs::name(std::size_t index) const noexcept {
    return {decoded_.data() + pairs_[index].name_at, pairs_[index].name_size};
}

PORTHOLE_FN std::string_view FormPairs::value(std::size_t index) const noexcept {
    return {decoded_.data() + pairs_[index].value_at, pairs_[index].value_size};
}

PORTHOLE_FN std::optional<std::string_view>
FormPairs::find(std::string_view wanted) const noexcept {
    for (std::size_t i = 0; i < pairs_.size(); ++i) {
        if (name(i) == wanted) {
            return value(i);
        }
    }
    return std::nullopt;
}

PORTHOLE_FN std::vector<std::string_view> FormPairs::find_all(std::string_view wanted) const {
    std::vector<std::string_view> values;
    for (std::size_t i = 0; i < pairs_.size(); ++i) {
        if (name(i) == wanted) {
            values.push_back(value(i));
        }
    }
    return values;
}

PORTHOLE_NAMESPACE_END

// porthole/http/cookie.inl

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// cookie-octet (RFC 6265 section 4.1.1): visible ASCII without the quote, comma, semicolon and
/// backslash.
inline bool is_cookie_value(std::string_view value) noexcept {
    for (const char c : value) {
        if (c < '!' || c > '~' || c == '"' || c == ',' || c == ';' || c == '\\') {
            return false;
        }
    }
    return true;
}

/// av-octet (RFC 6265 section 4.1.1), and the bytes above ASCII that paths may have.
inline bool is_cookie_attribute(std::string_view value) noexcept {
    return ascii::is_field_value(value) && value.find_first_of(";\t") == std::string_view::npos;
}

inline void append_max_age(std::chrono::seconds max_age, std::string& into) {
    constexpr std::size_t max_digits = 20;
    char digits[max_digits];
    // Zero is all that is needed to delete a cookie, and the grammar knows no sign.
    const auto seconds = static_cast<std::uint64_t>(max_age.count() < 0 ? 0 : max_age.count());
    into += "; Max-Age=";
    into.append(digits, ascii::write_decimal(digits, seconds));
}

} // namespace detail

PORTHOLE_FN std::optional<std::string_view>
find_cookie(std::string_view cookie_field, std::string_view name) noexcept {
    while (!cookie_field.empty()) {
        const std::string_view pair = cookie_field.substr(0, cookie_field.find(';'));
        cookie_field.remove_prefix(
            pair.size() < cookie_field.size() ? pair.size() + 1 : pair.size());
        const std::size_t equals = pair.find('=');
        if (equals == std::string_view::npos || ascii::trim(pair.substr(0, equals)) != name) {
            continue;
        }
        std::string_view value = ascii::trim(pair.substr(equals + 1));
        if (value.size() > 1 && value.front() == '"' && value.back() == '"') {
            value = value.substr(1, value.size() - 2);
        }
        return value;
    }
    return std::nullopt;
}

PORTHOLE_FN bool write_cookie(
    std::string_view name, std::string_view value, const CookieOptions& options,
    std::string& into) {
    const bool is_refused_by_browsers =
        options.same_site == SameSite::cross_site && !options.secure;
    if (!ascii::is_token(name) || !detail::is_cookie_value(value)
        || !detail::is_cookie_attribute(options.path)
        || !detail::is_cookie_attribute(options.domain) || is_refused_by_browsers) {
        return false;
    }
    into.append(name).append("=").append(value);
    if (!options.path.empty()) {
        into.append("; Path=").append(options.path);
    }
    if (!options.domain.empty()) {
        into.append("; Domain=").append(options.domain);
    }
    if (options.max_age) {
        detail::append_max_age(*options.max_age, into);
    }
    into += options.http_only ? "; HttpOnly" : "";
    into += options.secure ? "; Secure" : "";
    switch (options.same_site) {
    case SameSite::unset: break;
    case SameSite::lax: into += "; SameSite=Lax"; break;
    case SameSite::strict: into += "; SameSite=Strict"; break;
    case SameSite::cross_site: into += "; SameSite=None"; break;
    }
    return true;
}

PORTHOLE_NAMESPACE_END

// porthole/http/date.inl

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// A moment in the Gregorian calendar, UTC. Months are 1 to 12, days 1 to 31.
struct CivilTime {
    std::int64_t year = 1970;
    std::int64_t month = 1;
    std::int64_t day = 1;
    std::int64_t hour = 0;
    std::int64_t minute = 0;
    std::int64_t second = 0;
};

inline constexpr std::int64_t seconds_per_minute = 60;
inline constexpr std::int64_t seconds_per_hour = 60 * seconds_per_minute;
inline constexpr std::int64_t seconds_per_day = 24 * seconds_per_hour;
inline constexpr std::int64_t days_per_year = 365;
inline constexpr std::int64_t days_per_4_years = 4 * days_per_year + 1;
inline constexpr std::int64_t days_per_century = 25 * days_per_4_years - 1;
inline constexpr std::int64_t days_per_400_years = 4 * days_per_century + 1;
/// From March 1st of the year 0 to January 1st of 1970. Years that begin in March have their leap
/// day at the end, where it disturbs nothing.
inline constexpr std::int64_t days_before_1970 = 719468;

/// Days from March 1st to the first day of a month that is `index` months later: they are 31, 30,
/// 31, 30, 31 days long, over and over, which is 153 days to five months.
constexpr std::int64_t days_before_month(std::int64_t index) noexcept {
    return (153 * index + 2) / 5;
}

/// Days since 1970-01-01. Years 0 and later.
constexpr std::int64_t days_of(const CivilTime& time) noexcept {
    const std::int64_t march_year = time.month > 2 ? time.year : time.year - 1;
    const std::int64_t month_index = time.month > 2 ? time.month - 3 : time.month + 9;
    // A whole cycle more keeps January and February of the year 0 from dividing below zero.
    const std::int64_t years = march_year + 400;
    return years * days_per_year + years / 4 - years / 100 + years / 400
           + days_before_month(month_index) + time.day - 1 - days_before_1970 - days_per_400_years;
}

constexpr std::int64_t seconds_of(const CivilTime& time) noexcept {
    return days_of(time) * seconds_per_day + time.hour * seconds_per_hour
           + time.minute * seconds_per_minute + time.second;
}

/// The reverse of days_of(), for January 1st of the year 0 and later.
inline CivilTime civil_of_days(std::int64_t days) noexcept {
    std::int64_t rest = days + days_before_1970 + days_per_400_years;
    const std::int64_t cycles = rest / days_per_400_years;
    rest %= days_per_400_years;
    // The last day of a cycle and of a leap year would begin a fifth part.
    const std::int64_t centuries = rest / days_per_century < 3 ? rest / days_per_century : 3;
    rest -= centuries * days_per_century;
    const std::int64_t fours = rest / days_per_4_years;
    rest %= days_per_4_years;
    const std::int64_t years = rest / days_per_year < 3 ? rest / days_per_year : 3;
    rest -= years * days_per_year;
    const std::int64_t month_index = (5 * rest + 2) / 153;

    CivilTime time;
    time.year = 400 * (cycles - 1) + 100 * centuries + 4 * fours + years;
    time.day = rest - days_before_month(month_index) + 1;
    time.month = month_index < 10 ? month_index + 3 : month_index - 9;
    time.year += time.month <= 2 ? 1 : 0;
    return time;
}

constexpr bool is_leap_year(std::int64_t year) noexcept {
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

constexpr std::int64_t days_in_month(std::int64_t year, std::int64_t month) noexcept {
    if (month == 2) {
        return is_leap_year(year) ? 29 : 28;
    }
    return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

inline std::int64_t seconds_since_1970(std::chrono::system_clock::time_point time) noexcept {
    return std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
}

/// A clock that counts nanoseconds ends in 2262: later dates are its last moment.
inline std::chrono::system_clock::time_point time_of_seconds(std::int64_t seconds) noexcept {
    using Time = std::chrono::system_clock::time_point;
    const auto latest =
        std::chrono::duration_cast<std::chrono::seconds>((Time::max)().time_since_epoch());
    const auto earliest =
        std::chrono::duration_cast<std::chrono::seconds>((Time::min)().time_since_epoch());
    if (seconds >= latest.count()) {
        return (Time::max)();
    }
    if (seconds <= earliest.count()) {
        return (Time::min)();
    }
    return Time(std::chrono::seconds(seconds));
}

inline constexpr std::string_view month_names = "JanFebMarAprMayJunJulAugSepOctNovDec";
inline constexpr std::string_view day_names = "ThuFriSatSunMonTueWed"; // 1970 began with one
inline constexpr std::size_t short_name_size = 3;

/// A cursor over a date: each function takes one part, and all fail once one has.
struct DateReader {
    std::string_view rest;
    bool is_ok = true;

    void expect(std::string_view literal) noexcept {
        is_ok = is_ok && rest.substr(0, literal.size()) == literal;
        rest.remove_prefix(is_ok ? literal.size() : 0);
    }
    std::int64_t number(std::size_t digits) noexcept {
        const auto value = ascii::parse_decimal(rest.substr(0, digits));
        is_ok = is_ok && rest.size() >= digits && value.has_value();
        rest.remove_prefix(is_ok ? digits : 0);
        return is_ok ? static_cast<std::int64_t>(*value) : 0;
    }
    /// The place of a three-letter name in a list of them.
    std::int64_t short_name(std::string_view names) noexcept {
        const std::string_view name = rest.substr(0, short_name_size);
        for (std::size_t at = 0; is_ok && at < names.size(); at += short_name_size) {
            if (names.substr(at, short_name_size) == name) {
                rest.remove_prefix(short_name_size);
                return static_cast<std::int64_t>(at / short_name_size);
            }
        }
        is_ok = false;
        return 0;
    }
    void time_of_day(CivilTime& time) noexcept {
        time.hour = number(2);
        expect(":");
        time.minute = number(2);
        expect(":");
        time.second = number(2);
    }
};

/// "Sun, 06 Nov 1994 08:49:37 GMT"
inline bool read_imf_fixdate(std::string_view text, CivilTime& time) noexcept {
    DateReader reader{text};
    reader.short_name(day_names);
    reader.expect(", ");
    time.day = reader.number(2);
    reader.expect(" ");
    time.month = reader.short_name(month_names) + 1;
    reader.expect(" ");
    time.year = reader.number(4);
    reader.expect(" ");
    reader.time_of_day(time);
    reader.expect(" GMT");
    return reader.is_ok && reader.rest.empty();
}

/// "Sun Nov  6 08:49:37 1994"
inline bool read_asctime_date(std::string_view text, CivilTime& time) noexcept {
    DateReader reader{text};
    reader.short_name(day_names);
    reader.expect(" ");
    time.month = reader.short_name(month_names) + 1;
    reader.expect(" ");
    if (reader.rest.substr(0, 1) == " ") {
        reader.expect(" ");
        time.day = reader.number(1);
    } else {
        time.day = reader.number(2);
    }
    reader.expect(" ");
    reader.time_of_day(time);
    reader.expect(" ");
    time.year = reader.number(4);
    return reader.is_ok && reader.rest.empty();
}

/// RFC 9110 section 5.6.7: two digits mean the latest such year that is not more than 50 years
/// ahead.
inline void choose_century(CivilTime& time, std::chrono::system_clock::time_point now) noexcept {
    constexpr std::int64_t century = 100;
    constexpr std::int64_t years_ahead = 50;
    const std::int64_t now_seconds = seconds_since_1970(now);
    const std::int64_t now_days =
        (now_seconds - (now_seconds < 0 ? seconds_per_day - 1 : 0)) / seconds_per_day;
    CivilTime latest = civil_of_days(now_days);
    latest.year += years_ahead;
    latest.second = now_seconds - now_days * seconds_per_day;
    time.year += (latest.year / century) * century;
    if (seconds_of(time) > seconds_of(latest)) {
        time.year -= century;
    }
}

/// "Sunday, 06-Nov-94 08:49:37 GMT"
inline bool read_rfc850_date(
    std::string_view text, std::chrono::system_clock::time_point now, CivilTime& time) noexcept {
    constexpr std::string_view day_ends[] = {"rsday", "day",  "urday", "day",
                                             "day",   "sday", "nesday"};
    DateReader reader{text};
    reader.expect(day_ends[reader.short_name(day_names)]);
    reader.expect(", ");
    time.day = reader.number(2);
    reader.expect("-");
    time.month = reader.short_name(month_names) + 1;
    reader.expect("-");
    time.year = reader.number(2);
    reader.expect(" ");
    reader.time_of_day(time);
    reader.expect(" GMT");
    if (!reader.is_ok || !reader.rest.empty()) {
        return false;
    }
    choose_century(time, now);
    return true;
}

inline bool is_possible(const CivilTime& time) noexcept {
    // Second 60 is a leap second (RFC 5322 section 3.3).
    return time.day >= 1 && time.day <= days_in_month(time.year, time.month) && time.hour < 24
           && time.minute < 60 && time.second <= 60;
}

inline void write_digits(char* into, std::int64_t value, int digits) noexcept {
    for (int i = digits - 1; i >= 0; --i) {
        into[i] = static_cast<char>('0' + value % 10);
        value /= 10;
    }
}

} // namespace detail

PORTHOLE_FN void write_date(std::chrono::system_clock::time_point time, char* into) noexcept {
    using namespace detail;
    constexpr std::int64_t first = days_of(CivilTime{0, 1, 1, 0, 0, 0}) * seconds_per_day;
    constexpr std::int64_t last = days_of(CivilTime{10000, 1, 1, 0, 0, 0}) * seconds_per_day - 1;
    std::int64_t seconds = seconds_since_1970(time);
    seconds = seconds < first ? first : (seconds > last ? last : seconds);
    // Counted from the year 0 on, so that nothing is below zero.
    const std::int64_t days = (seconds - first) / seconds_per_day + first / seconds_per_day;
    const std::int64_t second_of_day = seconds - days * seconds_per_day;
    const CivilTime civil = civil_of_days(days);
    const std::int64_t week_offset = days % 7 < 0 ? days % 7 + 7 : days % 7;
    const auto weekday = static_cast<std::size_t>(week_offset) * short_name_size;
    const auto month = static_cast<std::size_t>(civil.month - 1) * short_name_size;

    std::memcpy(into, "Day, 00 Mon 0000 00:00:00 GMT", date_size);
    std::memcpy(into, day_names.data() + weekday, short_name_size);
    write_digits(into + 5, civil.day, 2);
    std::memcpy(into + 8, month_names.data() + month, short_name_size);
    write_digits(into + 12, civil.year, 4);
    write_digits(into + 17, second_of_day / seconds_per_hour, 2);
    write_digits(into + 20, second_of_day / seconds_per_minute % 60, 2);
    write_digits(into + 23, second_of_day % 60, 2);
}

PORTHOLE_FN std::optional<std::chrono::system_clock::time_point>
parse_date(std::string_view text, std::chrono::system_clock::time_point now) noexcept {
    detail::CivilTime time;
    const bool is_read = detail::read_imf_fixdate(text, time)
                         || detail::read_rfc850_date(text, now, time)
                         || detail::read_asctime_date(text, time);
    if (!is_read || !detail::is_possible(time)) {
        return std::nullopt;
    }
    return detail::time_of_seconds(detail::seconds_of(time));
}

PORTHOLE_NAMESPACE_END

// porthole/http/media_type.inl

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

struct MediaTypeEntry {
    std::string_view extension;
    std::string_view type;
};

/// By extension, in order. IANA registrations where there are any; text/javascript for scripts
/// (RFC 9239).
inline constexpr MediaTypeEntry media_types[] = {
    {"3mf", "model/3mf"},
    {"7z", "application/x-7z-compressed"},
    {"aac", "audio/aac"},
    {"apng", "image/apng"},
    {"avi", "video/x-msvideo"},
    {"avif", "image/avif"},
    {"bin", "application/octet-stream"},
    {"bmp", "image/bmp"},
    {"br", "application/x-brotli"},
    {"bz2", "application/x-bzip2"},
    {"cjs", "text/javascript; charset=utf-8"},
    {"conf", "text/plain; charset=utf-8"},
    {"css", "text/css; charset=utf-8"},
    {"csv", "text/csv; charset=utf-8"},
    {"dds", "image/vnd.ms-dds"},
    {"eot", "application/vnd.ms-fontobject"},
    {"epub", "application/epub+zip"},
    {"exr", "image/x-exr"},
    {"flac", "audio/flac"},
    {"gif", "image/gif"},
    {"glb", "model/gltf-binary"},
    {"gltf", "model/gltf+json"},
    {"gz", "application/gzip"},
    {"hdr", "image/vnd.radiance"},
    {"heic", "image/heic"},
    {"htm", "text/html; charset=utf-8"},
    {"html", "text/html; charset=utf-8"},
    {"ico", "image/vnd.microsoft.icon"},
    {"ics", "text/calendar; charset=utf-8"},
    {"ini", "text/plain; charset=utf-8"},
    {"jpeg", "image/jpeg"},
    {"jpg", "image/jpeg"},
    {"js", "text/javascript; charset=utf-8"},
    {"json", "application/json"},
    {"jsonld", "application/ld+json"},
    {"jxl", "image/jxl"},
    {"ktx2", "image/ktx2"},
    {"log", "text/plain; charset=utf-8"},
    {"m3u8", "application/vnd.apple.mpegurl"},
    {"m4a", "audio/mp4"},
    {"m4v", "video/mp4"},
    {"map", "application/json"},
    {"md", "text/markdown; charset=utf-8"},
    {"mid", "audio/midi"},
    {"midi", "audio/midi"},
    {"mjs", "text/javascript; charset=utf-8"},
    {"mkv", "video/matroska"},
    {"mov", "video/quicktime"},
    {"mp3", "audio/mpeg"},
    {"mp4", "video/mp4"},
    {"mpd", "application/dash+xml"},
    {"mpeg", "video/mpeg"},
    {"mpg", "video/mpeg"},
    {"mtl", "model/mtl"},
    {"obj", "model/obj"},
    {"oga", "audio/ogg"},
    {"ogg", "audio/ogg"},
    {"ogv", "video/ogg"},
    {"opus", "audio/ogg"},
    {"otf", "font/otf"},
    {"pdf", "application/pdf"},
    {"png", "image/png"},
    {"rtf", "application/rtf"},
    {"stl", "model/stl"},
    {"svg", "image/svg+xml"},
    {"tar", "application/x-tar"},
    {"tga", "image/x-tga"},
    {"tif", "image/tiff"},
    {"tiff", "image/tiff"},
    {"toml", "application/toml"},
    {"ts", "video/mp2t"},
    {"tsv", "text/tab-separated-values; charset=utf-8"},
    {"ttc", "font/collection"},
    {"ttf", "font/ttf"},
    {"txt", "text/plain; charset=utf-8"},
    {"vtt", "text/vtt; charset=utf-8"},
    {"wasm", "application/wasm"},
    {"wav", "audio/wav"},
    {"weba", "audio/webm"},
    {"webm", "video/webm"},
    {"webmanifest", "application/manifest+json"},
    {"webp", "image/webp"},
    {"woff", "font/woff"},
    {"woff2", "font/woff2"},
    {"xhtml", "application/xhtml+xml"},
    {"xml", "text/xml; charset=utf-8"},
    {"yaml", "application/yaml"},
    {"yml", "application/yaml"},
    {"zip", "application/zip"},
    {"zst", "application/zstd"},
};
inline constexpr std::size_t media_type_count = sizeof media_types / sizeof media_types[0];
inline constexpr std::size_t max_extension_size = 11;
inline constexpr std::string_view unknown_media_type = "application/octet-stream";

constexpr bool media_types_are_in_order() noexcept {
    for (std::size_t i = 0; i < media_type_count; ++i) {
        if (media_types[i].extension.size() > max_extension_size
            || (i > 0 && !(media_types[i - 1].extension < media_types[i].extension))) {
            return false;
        }
    }
    return true;
}
static_assert(media_types_are_in_order(), "the binary search needs the table in order");

/// Takes the next "; name=value" from `rest`; the value is as sent, quotes included. Semicolons
/// in quoted strings do not separate (RFC 9110 section 5.6.4).
inline std::string_view next_parameter(std::string_view& rest) noexcept {
    bool is_quoted = false;
    std::size_t end = 0;
    for (; end < rest.size(); ++end) {
        if (rest[end] == '"') {
            is_quoted = !is_quoted;
        } else if (rest[end] == '\\' && is_quoted && end + 1 < rest.size()) {
            ++end;
        } else if (rest[end] == ';' && !is_quoted) {
            break;
        }
    }
    const std::string_view parameter = rest.substr(0, end);
    rest.remove_prefix(end < rest.size() ? end + 1 : end);
    return ascii::trim(parameter);
}

} // namespace detail

PORTHOLE_FN std::string_view media_type_of(std::string_view path) noexcept {
    const std::size_t mark = path.find_last_of("./\\");
    if (mark == std::string_view::npos || path[mark] != '.') {
        return detail::unknown_media_type;
    }
    const std::string_view sent = path.substr(mark + 1);
    if (sent.size() > detail::max_extension_size) {
        return detail::unknown_media_type;
    }
    char lower[detail::max_extension_size] = {};
    for (std::size_t i = 0; i < sent.size(); ++i) {
        lower[i] = ascii::to_lower(sent[i]);
    }
    const std::string_view extension(lower, sent.size());
    std::size_t begin = 0;
    std::size_t end = detail::media_type_count;
    while (begin < end) {
        const std::size_t middle = begin + (end - begin) / 2;
        const int order = detail::media_types[middle].extension.compare(extension);
        if (order == 0) {
            return detail::media_types[middle].type;
        }
        begin = order < 0 ? middle + 1 : begin;
        end = order < 0 ? end : middle;
    }
    return detail::unknown_media_type;
}

PORTHOLE_FN std::string_view media_type_essence(std::string_view content_type) noexcept {
    return ascii::trim(content_type.substr(0, content_type.find(';')));
}

PORTHOLE_FN std::optional<std::string_view>
media_type_parameter(std::string_view content_type, std::string_view name) noexcept {
    const std::size_t semicolon = content_type.find(';');
    if (semicolon == std::string_view::npos) {
        return std::nullopt;
    }
    std::string_view rest = content_type.substr(semicolon + 1);
    while (!rest.empty()) {
        const std::string_view parameter = detail::next_parameter(rest);
        const std::size_t equals = parameter.find('=');
        if (equals == std::string_view::npos
            || !ascii::equals_ignoring_case(parameter.substr(0, equals), name)) {
            continue;
        }
        std::string_view value = parameter.substr(equals + 1);
        if (value.size() > 1 && value.front() == '"' && value.back() == '"') {
            value = value.substr(1, value.size() - 2);
        }
        return value;
    }
    return std::nullopt;
}

PORTHOLE_NAMESPACE_END

// porthole/http/accept.inl

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// qvalue: "0" or "1", and up to three decimals (RFC 9110 section 12.4.2). -1 for anything else.
inline int parse_quality(std::string_view text) noexcept {
    constexpr std::size_t max_size = 5;
    if (text.empty() || text.size() > max_size || (text[0] != '0' && text[0] != '1')
        || (text.size() > 1 && text[1] != '.')) {
        return -1;
    }
    int quality = text[0] == '1' ? max_quality : 0;
    int unit = max_quality;
    for (const char digit : text.substr(text.size() > 1 ? 2 : 1)) {
        if (!ascii::is_digit(digit)) {
            return -1;
        }
        unit /= 10;
        quality += (digit - '0') * unit;
    }
    return quality <= max_quality ? quality : -1;
}

/// One element of an Accept list: "text/html;level=1;q=0.5".
struct Preference {
    std::string_view name;
    int quality = max_quality;
    bool has_parameters = false; ///< others than q
};

/// False when its weight is malformed: the element then says nothing.
inline bool read_preference(std::string_view element, Preference& preference) noexcept {
    preference = Preference{};
    std::size_t semicolon = element.find(';');
    preference.name = ascii::trim(element.substr(0, semicolon));
    while (semicolon != std::string_view::npos) {
        element.remove_prefix(semicolon + 1);
        semicolon = element.find(';');
        const std::string_view parameter = ascii::trim(element.substr(0, semicolon));
        const std::size_t equals = parameter.find('=');
        if (equals != 1 || ascii::to_lower(parameter[0]) != 'q') {
            preference.has_parameters |= !parameter.empty();
            continue;
        }
        preference.quality = parse_quality(parameter.substr(equals + 1));
        return preference.quality >= 0;
    }
    return true;
}

/// Calls `visit` with each element of each line of that field.
template <class Visit>
void for_each_preference(const Fields& fields, std::string_view name, const Visit& visit) noexcept {
    for (std::size_t i = 0; i < fields.size(); ++i) {
        const Field field = fields[i];
        if (!ascii::equals_ignoring_case(field.name, name)) {
            continue;
        }
        std::string_view rest = field.value;
        while (const auto element = ascii::next_list_element(rest)) {
            Preference preference;
            if (read_preference(*element, preference)) {
                visit(preference);
            }
        }
    }
}

/// How closely a media range fits: 3 for the type itself, 2 for "text/*", 1 for "*/*", 0 not.
inline int media_range_fit(const Preference& preference, std::string_view type) noexcept {
    const std::string_view range = preference.name;
    const std::size_t slash = type.find('/');
    if (preference.has_parameters) {
        return 0; // what is offered here has none of them
    }
    if (ascii::equals_ignoring_case(range, type)) {
        return 3;
    }
    if (range.size() == slash + 2 && range.back() == '*'
        && ascii::equals_ignoring_case(range.substr(0, slash + 1), type.substr(0, slash + 1))) {
        return 2;
    }
    return range == "*/*" ? 1 : 0;
}

} // namespace detail

PORTHOLE_FN std::optional<int>
encoding_quality(const Fields& fields, std::string_view coding) noexcept {
    std::optional<int> by_name;
    std::optional<int> by_star;
    detail::for_each_preference(
        fields, "Accept-Encoding", [&](const detail::Preference& preference) {
            std::string_view name = preference.name;
            if (ascii::equals_ignoring_case(name, "x-gzip")) {
                name.remove_prefix(std::string_view("x-").size());
            }
            if (ascii::equals_ignoring_case(name, coding)) {
                by_name = preference.quality;
            } else if (name == "*") {
                by_star = preference.quality;
            }
        });
    return by_name ? by_name : by_star;
}

PORTHOLE_FN int media_type_quality(const Fields& fields, std::string_view type) noexcept {
    if (fields.count("Accept") == 0) {
        return max_quality;
    }
    int best_fit = 0;
    int quality = 0;
    detail::for_each_preference(fields, "Accept", [&](const detail::Preference& preference) {
        const int fit = detail::media_range_fit(preference, type);
        if (fit > best_fit) {
            best_fit = fit;
            quality = preference.quality;
        }
    });
    return quality;
}

PORTHOLE_NAMESPACE_END

// porthole/http/conditional.inl

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

inline constexpr std::string_view weak_prefix = "W/";

inline bool is_weak_etag(std::string_view etag) noexcept {
    return etag.substr(0, weak_prefix.size()) == weak_prefix;
}

inline std::string_view opaque_part(std::string_view etag) noexcept {
    return is_weak_etag(etag) ? etag.substr(weak_prefix.size()) : etag;
}

/// Takes the next entity tag off a list; empty at its end and where it is malformed. A backslash
/// is an ordinary character in here (RFC 9110 section 8.8.3).
inline std::string_view next_etag(std::string_view& rest) noexcept {
    const std::size_t begin = rest.find_first_not_of(" \t,");
    rest.remove_prefix(begin == std::string_view::npos ? rest.size() : begin);
    const std::size_t quote = is_weak_etag(rest) ? weak_prefix.size() : 0;
    if (rest.substr(quote, 1) != "\"") {
        return {};
    }
    const std::size_t end = rest.find('"', quote + 1);
    if (end == std::string_view::npos) {
        return {};
    }
    const std::string_view etag = rest.substr(0, end + 1);
    rest.remove_prefix(etag.size());
    return etag;
}

/// A list may be spread over several field lines (RFC 9110 section 5.3).
inline bool any_line_has_etag(
    const Fields& fields, std::string_view name, std::string_view etag,
    EtagComparison comparison) noexcept {
    for (std::size_t i = 0; i < fields.size(); ++i) {
        const Field field = fields[i];
        if (ascii::equals_ignoring_case(field.name, name)
            && etag_list_has(field.value, etag, comparison)) {
            return true;
        }
    }
    return false;
}

/// A date condition counts when there is exactly one valid date (RFC 9110 section 13.1.3), and a
/// date to compare it with.
inline std::optional<std::chrono::seconds> date_condition(
    const Fields& fields, std::string_view name,
    std::chrono::system_clock::time_point now) noexcept {
    const auto text = fields.find(name);
    if (!text || fields.count(name) != 1) {
        return std::nullopt;
    }
    const auto date = parse_date(*text, now);
    return date ? std::optional(std::chrono::floor<std::chrono::seconds>(date->time_since_epoch()))
                : std::nullopt;
}

inline std::chrono::seconds whole_seconds(std::chrono::system_clock::time_point time) noexcept {
    return std::chrono::floor<std::chrono::seconds>(time.time_since_epoch());
}

} // namespace detail

PORTHOLE_FN bool
etag_list_has(std::string_view list, std::string_view etag, EtagComparison comparison) noexcept {
    if (ascii::trim(list) == "*") {
        return true;
    }
    if (etag.empty() || (comparison == EtagComparison::strong && detail::is_weak_etag(etag))) {
        return false;
    }
    for (;;) {
        const std::string_view candidate = detail::next_etag(list);
        if (candidate.empty()) {
            return false;
        }
        const bool is_equal = comparison == EtagComparison::strong
                                  ? candidate == etag
                                  : detail::opaque_part(candidate) == detail::opaque_part(etag);
        if (is_equal) {
            return true;
        }
    }
}

PORTHOLE_FN Precondition evaluate_preconditions(
    const Fields& fields, Method method, const Validators& validators,
    std::chrono::system_clock::time_point now) noexcept {
    const bool is_reading = method == Method::get || method == Method::head;
    // Steps 1 and 2: what a client that changes things, or goes on with a download, relies on.
    if (fields.count("If-Match") != 0) {
        if (!detail::any_line_has_etag(
                fields, "If-Match", validators.etag, EtagComparison::strong)) {
            return Precondition::failed;
        }
    } else if (const auto date = detail::date_condition(fields, "If-Unmodified-Since", now)) {
        if (validators.last_modified && detail::whole_seconds(*validators.last_modified) > *date) {
            return Precondition::failed;
        }
    }
    // Steps 3 and 4: a cache that asks whether its copy is still good.
    if (fields.count("If-None-Match") != 0) {
        if (detail::any_line_has_etag(
                fields, "If-None-Match", validators.etag, EtagComparison::weak)) {
            return is_reading ? Precondition::not_modified : Precondition::failed;
        }
        return Precondition::passed;
    }
    if (is_reading && validators.last_modified) {
        const auto date = detail::date_condition(fields, "If-Modified-Since", now);
        if (date && detail::whole_seconds(*validators.last_modified) <= *date) {
            return Precondition::not_modified;
        }
    }
    return Precondition::passed;
}

PORTHOLE_FN bool if_range_passes(
    const Fields& fields, const Validators& validators,
    std::chrono::system_clock::time_point now) noexcept {
    const std::size_t count = fields.count("If-Range");
    if (count == 0) {
        return true;
    }
    const std::string_view value = *fields.find("If-Range");
    if (count != 1) {
        return false;
    }
    if (value.substr(0, 1) == "\"" || detail::is_weak_etag(value)) {
        return !detail::is_weak_etag(value) && value == validators.etag;
    }
    // Section 13.1.5: an exact match, and only with a date that is a strong validator.
    const auto date = parse_date(value, now);
    return date && validators.last_modified && !validators.is_recent
           && detail::whole_seconds(*validators.last_modified) == detail::whole_seconds(*date);
}

PORTHOLE_NAMESPACE_END

// porthole/http/range.inl

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// Digits only; a number too large for 64 bits is past the end of everything all the same.
inline std::optional<std::uint64_t> parse_position(std::string_view text) noexcept {
    for (const char c : text) {
        if (!ascii::is_digit(c)) {
            return std::nullopt;
        }
    }
    if (text.empty()) {
        return std::nullopt;
    }
    return ascii::parse_decimal(text).value_or(UINT64_MAX);
}

/// What one range-spec says.
enum class RangeSpec : unsigned char { malformed, unsatisfiable, satisfiable };

/// RFC 9110 section 14.1.2.
inline RangeSpec
read_range_spec(std::string_view spec, std::uint64_t size, ByteRange& range) noexcept {
    const std::size_t dash = spec.find('-');
    if (dash == std::string_view::npos) {
        return RangeSpec::malformed;
    }
    const std::string_view last_text = spec.substr(dash + 1);
    if (dash == 0) {
        const auto suffix = parse_position(last_text);
        if (!suffix) {
            return RangeSpec::malformed;
        }
        range.size = *suffix < size ? *suffix : size;
        range.first = size - range.size;
        return *suffix == 0 ? RangeSpec::unsatisfiable : RangeSpec::satisfiable;
    }
    const auto first = parse_position(spec.substr(0, dash));
    const auto last = last_text.empty() ? std::optional(UINT64_MAX) : parse_position(last_text);
    if (!first || !last || *last < *first) {
        return RangeSpec::malformed;
    }
    if (*first >= size) {
        return RangeSpec::unsatisfiable;
    }
    range.first = *first;
    range.size = (*last < size - 1 ? *last : size - 1) - *first + 1;
    return RangeSpec::satisfiable;
}

/// Merges in place what overlaps or nearly touches. What is left keeps the order asked for.
inline void coalesce(std::vector<ByteRange>& ranges) {
    // About what a part's head takes: bytes of a smaller gap are cheaper than one.
    constexpr std::uint64_t max_gap = 80;
    for (std::size_t i = 0; i < ranges.size(); ++i) {
        for (std::size_t k = i + 1; k < ranges.size();) {
            const ByteRange a = ranges[i];
            const ByteRange b = ranges[k];
            const std::uint64_t begin = (std::min)(a.first, b.first);
            const std::uint64_t end = (std::max)(a.first + a.size, b.first + b.size);
            const std::uint64_t both = a.size + b.size; // no file comes near 2^63 bytes
            if (end - begin > both && end - begin - both > max_gap) {
                ++k;
                continue;
            }
            ranges[i] = ByteRange{begin, end - begin};
            ranges.erase(ranges.begin() + static_cast<std::ptrdiff_t>(k));
            k = i + 1; // the larger one may touch those that were passed
        }
    }
}

inline void append_position(std::string& text, std::uint64_t number) {
    constexpr std::size_t max_digits = 20;
    char digits[max_digits];
    text.append(digits, ascii::write_decimal(digits, number));
}

} // namespace detail

PORTHOLE_FN RangeSelection select_ranges(std::string_view field, std::uint64_t size) {
    RangeSelection whole;
    const std::size_t equals = field.find('=');
    if (equals == std::string_view::npos
        || !ascii::equals_ignoring_case(field.substr(0, equals), "bytes")) {
        return whole;
    }
    RangeSelection selection;
    std::string_view rest = field.substr(equals + 1);
    std::size_t count = 0;
    while (const auto spec = ascii::next_list_element(rest)) {
        ByteRange range;
        const detail::RangeSpec meaning = detail::read_range_spec(*spec, size, range);
        if (meaning == detail::RangeSpec::malformed || ++count > max_ranges) {
            return whole;
        }
        if (meaning == detail::RangeSpec::satisfiable) {
            if (range.size == 0) {
                return whole; // a suffix of nothing: satisfiable, and no Content-Range can say it
            }
            selection.ranges.push_back(range);
        }
    }
    if (count == 0) {
        return whole;
    }
    detail::coalesce(selection.ranges);
    selection.kind = selection.ranges.empty() ? RangeSelection::Kind::unsatisfiable
                                              : RangeSelection::Kind::partial;
    return selection;
}

PORTHOLE_FN std::string content_range(const ByteRange& range, std::uint64_t size) {
    std::string text = "bytes ";
    detail::append_position(text, range.first);
    text += '-';
    detail::append_position(text, range.first + range.size - 1);
    text += '/';
    detail::append_position(text, size);
    return text;
}

PORTHOLE_FN std::string unsatisfied_range(std::uint64_t size) {
    std::string text = "bytes */";
    detail::append_position(text, size);
    return text;
}

PORTHOLE_FN std::string MultipartRanges::content_type() const {
    std::string text = "multipart/byteranges; boundary=";
    text += boundary_;
    return text;
}

PORTHOLE_FN std::string MultipartRanges::part_head(const ByteRange& range) const {
    std::string text = "\r\n--";
    text.append(boundary_).append("\r\nContent-Type: ").append(type_);
    text.append("\r\nContent-Range: ").append(content_range(range, size_)).append("\r\n\r\n");
    return text;
}

PORTHOLE_FN std::string MultipartRanges::end() const {
    std::string text = "\r\n--";
    text.append(boundary_).append("--\r\n");
    return text;
}

PORTHOLE_NAMESPACE_END

// porthole/http/parser.inl

// The strict reading of request heads. Where RFC 9112 leaves a recipient the choice between
// repairing and refusing, this refuses: what two implementations can read in two ways is how
// requests are smuggled. A common GET is looked at once; the few fields that the head itself
// depends on are noticed while they are added, so that nothing is searched for afterwards.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// Bits of RequestParser::seen_.
inline constexpr unsigned seen_host = 1u << 0;
inline constexpr unsigned seen_length = 1u << 1;
inline constexpr unsigned seen_encoding = 1u << 2;
inline constexpr unsigned seen_connection = 1u << 3;
inline constexpr unsigned seen_expect = 1u << 4;
inline constexpr unsigned seen_upgrade = 1u << 5;

/// Places in a head are 32-bit offsets, whatever the limits say.
inline std::size_t clamp_to_span(std::size_t limit) noexcept {
    constexpr std::size_t most = UINT32_MAX / 4;
    return limit < most ? limit : most;
}

inline unsigned match_field(std::string_view name, std::string_view wanted, unsigned bit) noexcept {
    return ascii::to_lower(name.front()) == wanted.front()
                   && ascii::equals_ignoring_case(name, wanted)
               ? bit
               : 0;
}

/// The bit of a field that the head itself depends on; 0 for all others. `name` is not empty.
inline unsigned recognize_field(std::string_view name) noexcept {
    constexpr std::string_view host = "host";
    constexpr std::string_view expect = "expect";
    constexpr std::string_view upgrade = "upgrade";
    constexpr std::string_view connection = "connection";
    constexpr std::string_view length = "content-length";
    constexpr std::string_view encoding = "transfer-encoding";
    switch (name.size()) {
    case host.size(): return match_field(name, host, seen_host);
    case expect.size(): return match_field(name, expect, seen_expect);
    case upgrade.size(): return match_field(name, upgrade, seen_upgrade);
    case connection.size(): return match_field(name, connection, seen_connection);
    case length.size(): return match_field(name, length, seen_length);
    case encoding.size(): return match_field(name, encoding, seen_encoding);
    default: return 0;
    }
}

/// Removes CR LF from the end. False when the LF has no CR before it.
inline bool strip_line_end(std::string_view& line) noexcept {
    constexpr std::size_t line_end_size = 2;
    if (line.size() < line_end_size || line[line.size() - line_end_size] != '\r') {
        return false;
    }
    line.remove_suffix(line_end_size);
    return true;
}

/// One behind the line's LF, or 0 when it has not arrived.
PORTHOLE_FN std::size_t HeadCursor::find_line_end(std::string_view bytes) noexcept {
    if (scanned >= bytes.size()) {
        return 0;
    }
    const void* const found = std::memchr(bytes.data() + scanned, '\n', bytes.size() - scanned);
    if (found == nullptr) {
        scanned = bytes.size();
        return 0;
    }
    return static_cast<std::size_t>(static_cast<const char*>(found) - bytes.data()) + 1;
}

PORTHOLE_FN ParseStatus HeadCursor::take_start_line(
    std::string_view bytes, const Limits& limits, std::string_view& line) noexcept {
    const std::size_t limit = clamp_to_span(limits.max_request_line_bytes);
    const std::size_t end = find_line_end(bytes);
    // A line without its end yet has at least one byte to come.
    const std::size_t known_size = end != 0 ? end - line_begin : bytes.size() - line_begin + 1;
    if (known_size > limit) {
        fault = RequestFault::target_too_long;
        return ParseStatus::failed;
    }
    if (end == 0) {
        return ParseStatus::need_more;
    }
    line = bytes.substr(line_begin, known_size);
    if (!strip_line_end(line)) {
        fault = RequestFault::bare_line_feed;
        return ParseStatus::failed;
    }
    line_begin = scanned = fields_begin = end;
    return ParseStatus::complete;
}

/// Whether the line that begins here, and ends at `end` if that is not 0, passes no limit. The
/// empty line that ends the head counts for none.
PORTHOLE_FN bool HeadCursor::has_room_for_line(
    std::string_view bytes, std::size_t end, const Limits& limits, std::size_t count) noexcept {
    const std::size_t arrived = bytes.size() - line_begin;
    if (arrived == 0
        || (bytes[line_begin] == '\r' && (arrived == 1 || bytes[line_begin + 1] == '\n'))) {
        return true;
    }
    if (count >= limits.max_fields) {
        fault = RequestFault::too_many_fields;
        return false;
    }
    const std::size_t known_end = end != 0 ? end : bytes.size() + 1;
    if (known_end - fields_begin > clamp_to_span(limits.max_fields_bytes)) {
        fault = RequestFault::fields_too_large;
        return false;
    }
    return true;
}

PORTHOLE_FN HeadCursor::Step HeadCursor::take_field(
    std::string_view bytes, const Limits& limits, Fields& fields, FieldSpan& field) {
    const std::size_t end = find_line_end(bytes);
    if (!has_room_for_line(bytes, end, limits, fields.size())) {
        return Step::failed;
    }
    if (end == 0) {
        return Step::need_more;
    }
    std::string_view line = bytes.substr(line_begin, end - line_begin);
    if (!strip_line_end(line)) {
        fault = RequestFault::bare_line_feed;
        return Step::failed;
    }
    if (!line.empty()) {
        fault = parse_field_line(line, bytes.data(), field);
        if (fault != RequestFault::none) {
            return Step::failed;
        }
        fields.add(field);
    }
    line_begin = scanned = end;
    return line.empty() ? Step::end : Step::field;
}

PORTHOLE_FN RequestFault
parse_field_line(std::string_view line, const char* base, FieldSpan& field) noexcept {
    std::size_t name_size = 0;
    while (name_size < line.size() && ascii::is_token_char(line[name_size])) {
        ++name_size;
    }
    if (name_size == 0) {
        const bool is_folded = !line.empty() && (line.front() == ' ' || line.front() == '\t');
        return is_folded ? RequestFault::obsolete_folding : RequestFault::bad_field_name;
    }
    if (name_size == line.size() || line[name_size] != ':') {
        return RequestFault::bad_field_name; // RFC 9112 section 5.1: no blank before the colon
    }
    const std::string_view value = ascii::trim(line.substr(name_size + 1));
    if (!ascii::is_field_value(value)) {
        return RequestFault::bad_field_value;
    }
    field.name.at = static_cast<std::uint32_t>(line.data() - base);
    field.name.size = static_cast<std::uint32_t>(name_size);
    field.value.at = static_cast<std::uint32_t>(value.data() - base);
    field.value.size = static_cast<std::uint32_t>(value.size());
    return RequestFault::none;
}

/// What is wrong with a version that is neither HTTP/1.1 nor HTTP/1.0 (RFC 9112 section 2.3).
inline RequestFault judge_version(std::string_view version) noexcept {
    constexpr std::string_view pattern = "HTTP/d.d";
    if (version.size() != pattern.size()) {
        return RequestFault::bad_version;
    }
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        if (pattern[i] == 'd' ? !ascii::is_digit(version[i]) : version[i] != pattern[i]) {
            return RequestFault::bad_version;
        }
    }
    return RequestFault::unsupported_version;
}

/// Reads HTTP/1.0 and HTTP/1.1.
inline RequestFault parse_version(std::string_view version, int& minor_version) noexcept {
    constexpr std::string_view prefix = "HTTP/1.";
    if (version.size() == prefix.size() + 1
        && std::memcmp(version.data(), prefix.data(), prefix.size()) == 0
        && (version.back() == '1' || version.back() == '0')) {
        minor_version = version.back() - '0';
        return RequestFault::none;
    }
    return judge_version(version);
}

PORTHOLE_FN RequestFault
RequestParser::parse_request_line(std::string_view line, std::size_t at) noexcept {
    std::size_t method_size = 0;
    while (method_size < line.size() && ascii::is_token_char(line[method_size])) {
        ++method_size;
    }
    if (method_size == 0 || method_size == line.size()) {
        return RequestFault::bad_request_line;
    }
    if (line[method_size] != ' ') {
        return RequestFault::bad_method;
    }
    const std::size_t target_at = method_size + 1;
    const std::size_t target_end = line.rfind(' ');
    if (target_end <= target_at) { // no version, or two spaces in a row
        return RequestFault::bad_request_line;
    }
    const RequestFault version_fault =
        parse_version(line.substr(target_end + 1), head_.minor_version);
    if (version_fault != RequestFault::none) {
        return version_fault;
    }
    const std::string_view target = line.substr(target_at, target_end - target_at);
    if (!ascii::is_visible(target)) {
        return target.find(' ') == std::string_view::npos ? RequestFault::bad_target
                                                          : RequestFault::bad_request_line;
    }
    head_.method = parse_method(line.substr(0, method_size));
    head_.method_name.at = static_cast<std::uint32_t>(at);
    head_.method_name.size = static_cast<std::uint32_t>(method_size);
    head_.target.at = static_cast<std::uint32_t>(at + target_at);
    head_.target.size = static_cast<std::uint32_t>(target.size());
    return RequestFault::none;
}

PORTHOLE_FN ParseStatus RequestParser::fail(RequestFault fault) noexcept {
    state_ = State::failed;
    cursor_.fault = fault;
    return ParseStatus::failed;
}

/// One empty line before the request line is forgiven (RFC 9112 section 2.2), since old clients
/// send one behind a body. What cannot begin a method is refused at its first byte: a TLS
/// handshake would otherwise wait for a line end that never comes.
PORTHOLE_FN ParseStatus RequestParser::skip_leading_line(std::string_view bytes) noexcept {
    constexpr std::string_view line_end = "\r\n";
    const std::size_t skipped = !bytes.empty() && bytes.front() == '\r' ? line_end.size() : 0;
    if (skipped != 0 && bytes.size() > 1 && bytes[1] != '\n') {
        return fail(RequestFault::bad_request_line);
    }
    if (bytes.size() <= skipped) {
        cursor_.scanned = bytes.size();
        return ParseStatus::need_more;
    }
    const char first = bytes[skipped];
    if (!ascii::is_token_char(first)) {
        return fail(first == '\n' ? RequestFault::bare_line_feed : RequestFault::bad_request_line);
    }
    cursor_.line_begin = cursor_.scanned = skipped;
    state_ = State::request_line;
    return ParseStatus::complete;
}

PORTHOLE_FN ParseStatus RequestParser::read_request_line(std::string_view bytes) noexcept {
    const std::size_t at = cursor_.line_begin;
    std::string_view line;
    const ParseStatus status = cursor_.take_start_line(bytes, *limits_, line);
    if (status == ParseStatus::failed) {
        return fail(cursor_.fault);
    }
    if (status == ParseStatus::need_more) {
        return status;
    }
    const RequestFault fault = parse_request_line(line, at);
    if (fault != RequestFault::none) {
        return fail(fault);
    }
    state_ = State::fields;
    return ParseStatus::complete;
}

PORTHOLE_FN ParseStatus RequestParser::read_fields(std::string_view bytes) {
    FieldSpan field;
    for (;;) {
        switch (cursor_.take_field(bytes, *limits_, head_.fields, field)) {
        case HeadCursor::Step::need_more: return ParseStatus::need_more;
        case HeadCursor::Step::failed: return fail(cursor_.fault);
        case HeadCursor::Step::field: {
            const unsigned bit = recognize_field(field.name.in(bytes.data()));
            if ((bit & seen_host) != 0) {
                if ((seen_ & seen_host) != 0) {
                    return fail(RequestFault::repeated_host);
                }
                head_.host = field.value;
                head_.has_host = true;
            }
            seen_ |= bit;
            break;
        }
        case HeadCursor::Step::end: {
            const RequestFault fault = finish_head(bytes.data());
            if (fault != RequestFault::none) {
                return fail(fault);
            }
            state_ = State::complete;
            return ParseStatus::complete;
        }
        }
    }
}

PORTHOLE_FN ParseStatus RequestParser::parse(std::string_view bytes) {
    ParseStatus status = ParseStatus::need_more;
    switch (state_) {
    case State::start:
        status = skip_leading_line(bytes);
        if (status != ParseStatus::complete) {
            return status;
        }
        [[fallthrough]];
    case State::request_line:
        status = read_request_line(bytes);
        if (status != ParseStatus::complete) {
            return status;
        }
        [[fallthrough]];
    case State::fields: return read_fields(bytes);
    case State::complete: return ParseStatus::complete;
    case State::failed: break;
    }
    return ParseStatus::failed;
}

PORTHOLE_FN void RequestParser::reset() noexcept {
    state_ = State::start;
    seen_ = 0;
    cursor_ = HeadCursor{};
    head_.fields.clear();
    head_.method = Method::other;
    head_.method_name = head_.target = head_.host = Span{};
    head_.minor_version = 1;
    head_.framing = Framing{};
    head_.has_host = false;
    head_.keep_alive = true;
    head_.expects_continue = false;
    head_.has_upgrade = false;
}

/// False when an expectation is not 100-continue, the only one there is (RFC 9110 section 10.1.1).
inline bool expects_only_continue(const Fields& fields) noexcept {
    bool has_any = false;
    for (std::size_t i = 0; i < fields.size(); ++i) {
        const Field field = fields[i];
        if (recognize_field(field.name) != seen_expect) {
            continue;
        }
        std::string_view rest = field.value;
        while (const auto element = ascii::next_list_element(rest)) {
            if (!ascii::equals_ignoring_case(*element, "100-continue")) {
                return false;
            }
            has_any = true;
        }
    }
    return has_any;
}

PORTHOLE_FN RequestFault RequestParser::finish_head(const char* base) noexcept {
    head_.fields.set_base(base);
    if (!head_.has_host) {
        if (head_.minor_version >= 1) { // RFC 9112 section 3.2
            return RequestFault::missing_host;
        }
    } else {
        Authority authority;
        const std::string_view host = head_.host.in(base);
        if (!parse_authority(host, authority)) {
            const bool has_userinfo = host.find('@') != std::string_view::npos;
            return has_userinfo ? RequestFault::userinfo_in_host : RequestFault::bad_host;
        }
    }
    if ((seen_ & (seen_length | seen_encoding)) != 0) {
        const RequestFault fault = decide_framing(head_.fields, head_.minor_version, head_.framing);
        if (fault != RequestFault::none) {
            return fault;
        }
    }
    head_.keep_alive = head_.minor_version >= 1;
    if ((seen_ & seen_connection) != 0) {
        const ConnectionOptions options = read_connection(head_.fields);
        head_.keep_alive = options.keeps_alive(head_.minor_version);
        // RFC 9110 section 7.8: an Upgrade in HTTP/1.0 is ignored.
        head_.has_upgrade =
            options.has_upgrade && (seen_ & seen_upgrade) != 0 && head_.minor_version >= 1;
    }
    if ((seen_ & seen_expect) != 0 && head_.minor_version >= 1) {
        if (!expects_only_continue(head_.fields)) {
            return RequestFault::unknown_expectation;
        }
        head_.expects_continue = true;
    }
    return RequestFault::none;
}

PORTHOLE_FN ConnectionOptions read_connection(const Fields& fields) noexcept {
    ConnectionOptions options;
    for (std::size_t i = 0; i < fields.size(); ++i) {
        const Field field = fields[i];
        if (recognize_field(field.name) != seen_connection) {
            continue;
        }
        std::string_view rest = field.value;
        while (const auto element = ascii::next_list_element(rest)) {
            options.has_close |= ascii::equals_ignoring_case(*element, "close");
            options.has_keep_alive |= ascii::equals_ignoring_case(*element, "keep-alive");
            options.has_upgrade |= ascii::equals_ignoring_case(*element, "upgrade");
        }
    }
    return options;
}

/// Reads the codings of Transfer-Encoding lines, in their order (RFC 9112 section 6.1).
struct CodingList {
    bool has_unknown = false;
    bool has_chunked = false;
    bool is_malformed = false;

    void add(std::string_view coding) noexcept {
        // Nothing may follow chunked, and nothing may be left out between two commas.
        is_malformed |= has_chunked;
        if (ascii::equals_ignoring_case(coding, "chunked")) {
            has_chunked = true;
            return;
        }
        const std::string_view name = ascii::trim(coding.substr(0, coding.find(';')));
        is_malformed |= !ascii::is_token(name) || ascii::equals_ignoring_case(name, "chunked");
        has_unknown = true;
    }

    void add_line(std::string_view value) noexcept {
        for (;;) {
            const std::size_t comma = value.find(',');
            add(ascii::trim(value.substr(0, comma)));
            if (comma == std::string_view::npos) {
                return;
            }
            value.remove_prefix(comma + 1);
        }
    }
};

PORTHOLE_FN RequestFault
decide_framing(const Fields& fields, int minor_version, Framing& framing) noexcept {
    CodingList codings;
    std::size_t encodings = 0;
    std::size_t lengths = 0;
    std::string_view length_text;
    for (std::size_t i = 0; i < fields.size(); ++i) {
        const Field field = fields[i];
        const unsigned bit = recognize_field(field.name);
        if (bit == seen_length) {
            ++lengths;
            length_text = field.value;
        } else if (bit == seen_encoding) {
            ++encodings;
            codings.add_line(field.value);
        }
    }
    framing = Framing{};
    if (encodings > 0) {
        if (minor_version < 1) {
            return RequestFault::encoding_in_http10; // RFC 9112 section 6.1: framing is faulty
        }
        if (lengths > 0) {
            return RequestFault::length_and_encoding;
        }
        if (codings.is_malformed) {
            return RequestFault::bad_transfer_encoding;
        }
        if (codings.has_unknown) {
            return RequestFault::unknown_transfer_encoding;
        }
        framing.kind = Framing::Kind::chunked;
    } else if (lengths > 0) {
        const auto length = ascii::parse_decimal(length_text);
        if (lengths > 1 || !length) { // equal ones too: RFC 9110 section 8.6 lets us refuse
            return RequestFault::bad_content_length;
        }
        framing.kind = *length > 0 ? Framing::Kind::length : Framing::Kind::none;
        framing.length = *length;
    }
    return RequestFault::none;
}

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/http/response_parser.inl

// Heads of answers, for clients. The walk over the lines, the field lines and the framing fields
// are read by the same functions as those of requests; only what RFC 9112 has differently for
// answers is here: the status line, and content that ends with the connection.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN ParseStatus ResponseParser::fail(RequestFault fault) noexcept {
    status_ = ParseStatus::failed;
    cursor_.fault = fault;
    return status_;
}

/// "HTTP/1.1 200 OK"; the reason, and the space before it, may be missing. The line is
/// the head's first, so its places are the head's.
PORTHOLE_FN RequestFault ResponseParser::parse_status_line(std::string_view line) noexcept {
    constexpr std::size_t code_at = std::string_view("HTTP/1.1 ").size();
    constexpr std::size_t code_size = 3;
    constexpr int lowest = 100;
    constexpr int highest = 599;
    const std::size_t version_size = line.find(' ');
    if (version_size == std::string_view::npos) {
        return RequestFault::bad_request_line;
    }
    const RequestFault version_fault =
        parse_version(line.substr(0, version_size), head_.minor_version);
    if (version_fault != RequestFault::none) {
        return version_fault;
    }
    if (line.size() < code_at + code_size) {
        return RequestFault::bad_request_line;
    }
    const auto code = ascii::parse_decimal(line.substr(code_at, code_size));
    if (!code || *code < lowest || *code > highest) {
        return RequestFault::bad_request_line;
    }
    head_.status = static_cast<int>(*code);
    std::string_view reason = line.substr(code_at + code_size);
    if (!reason.empty()) {
        if (reason.front() != ' ' || !ascii::is_field_value(reason)) {
            return RequestFault::bad_request_line;
        }
        reason.remove_prefix(1);
    }
    head_.reason.at = static_cast<std::uint32_t>(line.size() - reason.size());
    head_.reason.size = static_cast<std::uint32_t>(reason.size());
    return RequestFault::none;
}

/// RFC 9112 section 6.3, for answers. The framing fields are checked also where they do not count.
PORTHOLE_FN RequestFault
ResponseParser::finish_head(const char* base, bool is_head_answer) noexcept {
    head_.fields.set_base(base);
    const RequestFault fault = decide_framing(head_.fields, head_.minor_version, head_.framing);
    if (fault != RequestFault::none) {
        return fault;
    }
    head_.keep_alive = read_connection(head_.fields).keeps_alive(head_.minor_version);
    if (is_head_answer || !status_has_content(head_.status)) {
        head_.framing = Framing{};
    } else if (
        head_.framing.kind == Framing::Kind::none && head_.fields.count("Content-Length") == 0) {
        head_.framing.kind = Framing::Kind::close;
        head_.keep_alive = false;
    }
    return RequestFault::none;
}

PORTHOLE_FN ParseStatus ResponseParser::parse(std::string_view bytes, bool is_head_answer) {
    if (status_ != ParseStatus::need_more) {
        return status_;
    }
    if (!has_status_line_) {
        std::string_view line;
        const ParseStatus status = cursor_.take_start_line(bytes, *limits_, line);
        if (status != ParseStatus::complete) {
            return status == ParseStatus::failed ? fail(cursor_.fault) : status;
        }
        const RequestFault fault = parse_status_line(line);
        if (fault != RequestFault::none) {
            return fail(fault);
        }
        has_status_line_ = true;
    }
    FieldSpan field;
    for (;;) {
        switch (cursor_.take_field(bytes, *limits_, head_.fields, field)) {
        case HeadCursor::Step::need_more: return ParseStatus::need_more;
        case HeadCursor::Step::failed: return fail(cursor_.fault);
        case HeadCursor::Step::field: break;
        case HeadCursor::Step::end: {
            const RequestFault fault = finish_head(bytes.data(), is_head_answer);
            if (fault != RequestFault::none) {
                return fail(fault);
            }
            status_ = ParseStatus::complete;
            return status_;
        }
        }
    }
}

PORTHOLE_FN void ResponseParser::reset() noexcept {
    status_ = ParseStatus::need_more;
    has_status_line_ = false;
    cursor_ = HeadCursor{};
    head_.fields.clear();
    head_.status = 0;
    head_.minor_version = 1;
    head_.reason = Span{};
    head_.framing = Framing{};
    head_.keep_alive = true;
}

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/http/chunked.inl

// The strict reading of the chunked coding: sizes, line ends and trailers that two implementations
// could read in two ways are refused. Chunk extensions have no meaning here, but must have the form
// that RFC 9112 section 7.1.1 gives them.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// Fields that would change how the message is framed, routed, authenticated or read, and so must
/// not come behind it (RFC 9110 section 6.5.1).
inline bool is_forbidden_in_trailer(std::string_view name) noexcept {
    constexpr std::string_view names[] = {
        "Accept",
        "Accept-Charset",
        "Accept-Encoding",
        "Accept-Language",
        "Age",
        "Authorization",
        "Cache-Control",
        "Connection",
        "Content-Disposition",
        "Content-Encoding",
        "Content-Language",
        "Content-Length",
        "Content-Location",
        "Content-Range",
        "Content-Security-Policy",
        "Content-Type",
        "Cookie",
        "Date",
        "Expect",
        "Expires",
        "Forwarded",
        "From",
        "Host",
        "HTTP2-Settings",
        "Keep-Alive",
        "Location",
        "Max-Forwards",
        "Origin",
        "Pragma",
        "Range",
        "Referer",
        "Retry-After",
        "Set-Cookie",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
        "User-Agent",
        "Vary",
        "Via",
        "Warning",
        "WWW-Authenticate",
    };
    constexpr std::string_view prefixes[] = {
        "Access-Control-", "If-", "Proxy-", "Sec-", "X-Forwarded-",
    };
    for (const std::string_view listed : names) {
        if (ascii::equals_ignoring_case(name, listed)) {
            return true;
        }
    }
    for (const std::string_view prefix : prefixes) {
        if (ascii::equals_ignoring_case(name.substr(0, prefix.size()), prefix)) {
            return true;
        }
    }
    return false;
}

inline void skip_blanks(std::string_view& text) noexcept {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) {
        text.remove_prefix(1);
    }
}

inline bool skip_token(std::string_view& text) noexcept {
    std::size_t size = 0;
    while (size < text.size() && ascii::is_token_char(text[size])) {
        ++size;
    }
    text.remove_prefix(size);
    return size > 0;
}

/// `text` begins with a double quote.
inline bool skip_quoted_string(std::string_view& text) noexcept {
    for (std::size_t i = 1; i < text.size(); ++i) {
        if (text[i] == '"') {
            text.remove_prefix(i + 1);
            return true;
        }
        if (text[i] == '\\') {
            ++i;
        }
        if (i >= text.size() || !ascii::is_field_value(text.substr(i, 1))) {
            return false;
        }
    }
    return false;
}

/// Whether `text`, all that follows the size, has the form of chunk extensions.
inline bool are_chunk_extensions(std::string_view text) noexcept {
    while (!text.empty()) {
        skip_blanks(text);
        if (text.empty() || text.front() != ';') {
            return false;
        }
        text.remove_prefix(1);
        skip_blanks(text);
        if (!skip_token(text)) {
            return false;
        }
        std::string_view behind = text;
        skip_blanks(behind);
        if (behind.empty() || behind.front() != '=') {
            continue;
        }
        text = behind.substr(1);
        skip_blanks(text);
        const bool is_quoted = !text.empty() && text.front() == '"';
        if (is_quoted ? !skip_quoted_string(text) : !skip_token(text)) {
            return false;
        }
    }
    return true;
}

/// The digits at the begin of a chunk-size line, one to sixteen of them, so that no size overflows.
/// Returns how many they are, or 0 when they are not a size.
inline std::size_t parse_chunk_size(std::string_view line, std::uint64_t& size) noexcept {
    constexpr std::size_t max_digits = 16;
    constexpr unsigned bits_per_digit = 4;
    std::size_t digits = 0;
    size = 0;
    for (; digits < line.size() && ascii::hex_value(line[digits]) >= 0; ++digits) {
        if (digits == max_digits) {
            return 0;
        }
        size = size << bits_per_digit | static_cast<unsigned>(ascii::hex_value(line[digits]));
    }
    return digits;
}

/// Always false, for the callers' sake.
PORTHOLE_FN bool ChunkedDecoder::fail(RequestFault fault) noexcept {
    state_ = State::failed;
    fault_ = fault;
    return false;
}

/// The next line with its line end: in place when all of it is in `bytes`, else from line_, into
/// which the pieces are collected. Failed when it is longer than `max_bytes`; two bytes never
/// are, since they may be the empty line that ends the trailer. The caller clears line_ when it is
/// done with the line.
PORTHOLE_FN ParseStatus ChunkedDecoder::take_line(
    std::string_view bytes, std::size_t& consumed, std::size_t max_bytes, std::string_view& line) {
    const std::string_view rest = bytes.substr(consumed);
    const std::size_t line_feed = rest.find('\n');
    const bool has_end = line_feed != std::string_view::npos;
    const std::string_view piece = has_end ? rest.substr(0, line_feed + 1) : rest;
    if (piece.empty()) {
        return ParseStatus::need_more;
    }
    constexpr std::string_view empty_line = "\r\n";
    const std::size_t known_size = line_.size() + piece.size() + (has_end ? 0 : 1);
    if (known_size > max_bytes && known_size > empty_line.size()) {
        return ParseStatus::failed;
    }
    consumed += piece.size();
    if (has_end && line_.empty()) {
        line = piece;
        return ParseStatus::complete;
    }
    line_.append(piece);
    line = line_;
    return has_end ? ParseStatus::complete : ParseStatus::need_more;
}

// Each of the readers below returns whether decode() may go on at once: false when bytes are
// missing or a rule is broken.

PORTHOLE_FN bool ChunkedDecoder::read_size_line(std::string_view bytes, std::size_t& consumed) {
    std::string_view line;
    const ParseStatus status = take_line(bytes, consumed, limits_->max_chunk_line_bytes, line);
    if (status != ParseStatus::complete) {
        return status == ParseStatus::failed && fail(RequestFault::bad_chunk);
    }
    const std::size_t digits = strip_line_end(line) ? parse_chunk_size(line, left_) : 0;
    if (digits == 0 || !are_chunk_extensions(line.substr(digits))) {
        return fail(RequestFault::bad_chunk);
    }
    line_.clear();
    state_ = left_ > 0 ? State::data : State::trailer;
    return true;
}

PORTHOLE_FN bool
ChunkedDecoder::read_data_end(std::string_view bytes, std::size_t& consumed) noexcept {
    for (; left_ > 0; --left_, ++consumed) {
        if (consumed == bytes.size()) {
            return false;
        }
        if (bytes[consumed] != chunk_end[chunk_end.size() - static_cast<std::size_t>(left_)]) {
            return fail(RequestFault::bad_chunk);
        }
    }
    state_ = State::size_line;
    return true;
}

PORTHOLE_FN RequestFault ChunkedDecoder::add_trailer_line(std::string_view line) {
    if (!strip_line_end(line)) {
        return RequestFault::bad_trailer;
    }
    const std::size_t at = trailer_bytes_.size();
    trailer_bytes_.append(line);
    FieldSpan field;
    const std::string_view copy = std::string_view(trailer_bytes_).substr(at);
    if (parse_field_line(copy, trailer_bytes_.data(), field) != RequestFault::none
        || is_forbidden_in_trailer(field.name.in(trailer_bytes_.data()))) {
        return RequestFault::bad_trailer;
    }
    trailer_.add(field);
    return RequestFault::none;
}

PORTHOLE_FN bool ChunkedDecoder::read_trailer_line(std::string_view bytes, std::size_t& consumed) {
    std::string_view line;
    const std::size_t limit = clamp_to_span(limits_->max_trailer_bytes);
    const ParseStatus status = take_line(bytes, consumed, limit - trailer_size_, line);
    if (status != ParseStatus::complete) {
        return status == ParseStatus::failed && fail(RequestFault::trailer_too_large);
    }
    if (line == chunk_end) {
        line_.clear();
        trailer_.set_base(trailer_bytes_.data());
        state_ = State::complete;
        return true;
    }
    if (trailer_.size() >= limits_->max_fields) {
        return fail(RequestFault::trailer_too_large);
    }
    trailer_size_ += line.size();
    const RequestFault fault = add_trailer_line(line);
    line_.clear();
    return fault == RequestFault::none || fail(fault);
}

PORTHOLE_FN ParseStatus
ChunkedDecoder::decode(std::string_view bytes, std::size_t& consumed, std::string_view& content) {
    consumed = 0;
    content = {};
    bool goes_on = true;
    while (goes_on) {
        switch (state_) {
        case State::size_line: goes_on = read_size_line(bytes, consumed); break;
        case State::data: {
            const std::size_t here = bytes.size() - consumed;
            content = bytes.substr(consumed, left_ < here ? static_cast<std::size_t>(left_) : here);
            consumed += content.size();
            left_ -= content.size();
            if (left_ == 0) {
                state_ = State::data_end;
                left_ = chunk_end.size();
            }
            return ParseStatus::need_more;
        }
        case State::data_end: goes_on = read_data_end(bytes, consumed); break;
        case State::trailer: goes_on = read_trailer_line(bytes, consumed); break;
        case State::complete: return ParseStatus::complete;
        case State::failed: return ParseStatus::failed;
        }
    }
    return state_ == State::failed ? ParseStatus::failed : ParseStatus::need_more;
}

PORTHOLE_FN void ChunkedDecoder::reset() noexcept {
    state_ = State::size_line;
    fault_ = RequestFault::none;
    left_ = 0;
    trailer_size_ = 0;
    line_.clear();
    trailer_bytes_.clear();
    trailer_.clear();
}

PORTHOLE_FN std::size_t write_chunk_head(char* into, std::uint64_t size) noexcept {
    constexpr char digits[] = "0123456789abcdef";
    constexpr unsigned bits_per_digit = 4;
    constexpr std::uint64_t digit_mask = 0xf;
    std::size_t count = 1;
    while (count < max_chunk_head_size - chunk_end.size()
           && size >> (bits_per_digit * static_cast<unsigned>(count)) != 0) {
        ++count;
    }
    for (std::size_t i = count; i > 0; --i) {
        into[i - 1] = digits[size & digit_mask];
        size >>= bits_per_digit;
    }
    std::copy(chunk_end.begin(), chunk_end.end(), into + count);
    return count + chunk_end.size();
}

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/http/request.inl

// What a handler asks of a request. The target is split when the head is complete, because routing
// needs it; queries, forms and cookies are looked at when somebody asks.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN RequestFault RequestParts::set_head(RequestHead& new_head, const char* new_base) {
    base = new_base;
    head = &new_head;
    head->fields.set_base(base);
    has_query = false;
    has_form = false;
    path_is_normalized = false;
    if (!parse_target(head->target.in(base), head->method_name.in(base), target)) {
        return RequestFault::bad_target;
    }
    const bool has_path = target.form == TargetForm::origin || target.form == TargetForm::absolute;
    if (has_path && path_needs_work(target.path)) {
        path_bytes.clear();
        if (!normalize_path(target.path, path_bytes)) {
            return RequestFault::bad_target;
        }
        path_is_normalized = true;
    }
    return RequestFault::none;
}

PORTHOLE_FN void RequestParts::move_to(const char* new_base) noexcept {
    if (new_base == base || head == nullptr) {
        return;
    }
    base = new_base;
    head->fields.set_base(base);
    // The text was accepted before; splitting it again sets every view, and needs no rule about
    // which of them point into the head.
    static_cast<void>(parse_target(head->target.in(base), head->method_name.in(base), target));
}

PORTHOLE_FN void RequestParts::reset() noexcept {
    base = nullptr;
    head = nullptr;
    target = Target{};
    path_is_normalized = false;
    path_bytes.clear();
    parameters.clear();
    segments.clear();
    body = {};
    trailer = nullptr;
    is_mounted = false;
    has_query = false;
    has_form = false;
}

} // namespace detail

PORTHOLE_FN std::string_view Request::method_name() const noexcept {
    return parts_->head->method_name.in(parts_->base);
}

PORTHOLE_FN std::string_view Request::target() const noexcept {
    return parts_->head->target.in(parts_->base);
}

PORTHOLE_FN std::string_view Request::path() const noexcept {
    return parts_->path_is_normalized ? std::string_view(parts_->path_bytes) : parts_->target.path;
}

PORTHOLE_FN std::string_view Request::mount_path() const noexcept {
    return parts_->is_mounted ? parts_->mount_path.in(path().data()) : path();
}

PORTHOLE_FN const FormPairs& Request::query_pairs() const {
    if (!parts_->has_query) {
        parts_->query.parse(parts_->target.query);
        parts_->has_query = true;
    }
    return parts_->query;
}

PORTHOLE_FN std::optional<std::string_view> Request::query(std::string_view name) const {
    return query_pairs().find(name);
}

PORTHOLE_FN std::vector<std::string_view> Request::query_all(std::string_view name) const {
    return query_pairs().find_all(name);
}

PORTHOLE_FN std::optional<std::string_view> Request::header(std::string_view name) const noexcept {
    return fields().find(name);
}

PORTHOLE_FN std::vector<std::string_view> Request::header_all(std::string_view name) const {
    return fields().find_all(name);
}

PORTHOLE_FN std::optional<std::string_view> Request::trailer(std::string_view name) const noexcept {
    return parts_->trailer != nullptr ? parts_->trailer->find(name) : std::nullopt;
}

PORTHOLE_FN std::optional<std::string_view> Request::cookie(std::string_view name) const noexcept {
    for (std::size_t i = 0; i < fields().size(); ++i) {
        const Field field = fields()[i];
        if (!ascii::equals_ignoring_case(field.name, "Cookie")) {
            continue;
        }
        if (const auto value = find_cookie(field.value, name)) {
            return value;
        }
    }
    return std::nullopt;
}

PORTHOLE_FN const FormPairs& Request::form_pairs() const {
    if (!parts_->has_form) {
        const auto type = header("Content-Type");
        parts_->form.clear();
        if (type
            && ascii::equals_ignoring_case(
                media_type_essence(*type), "application/x-www-form-urlencoded")) {
            parts_->form.parse(parts_->body);
        }
        parts_->has_form = true;
    }
    return parts_->form;
}

PORTHOLE_FN std::optional<std::string_view> Request::form(std::string_view name) const {
    return form_pairs().find(name);
}

PORTHOLE_FN std::vector<std::string_view> Request::form_all(std::string_view name) const {
    return form_pairs().find_all(name);
}

PORTHOLE_FN std::string_view Request::param(std::string_view name) const noexcept {
    for (const detail::PathParameter& parameter : parts_->parameters) {
        if (parameter.name == name) {
            return parameter.value.in(path().data());
        }
    }
    return {};
}

PORTHOLE_FN std::string_view Request::authority() const noexcept {
    // RFC 9112 section 3.2.2: the target's authority takes the place of Host.
    const bool is_in_target =
        parts_->target.form == TargetForm::absolute || parts_->target.form == TargetForm::authority;
    return is_in_target ? parts_->target.authority : parts_->head->host.in(parts_->base);
}

PORTHOLE_FN std::string_view Request::host() const noexcept {
    Authority split;
    return parse_authority(authority(), split) ? split.host : std::string_view{};
}

PORTHOLE_FN bool Request::has_conflicting_host() const noexcept {
    return parts_->target.form == TargetForm::absolute && parts_->head->has_host
           && !ascii::equals_ignoring_case(
               parts_->target.authority, parts_->head->host.in(parts_->base));
}

PORTHOLE_FN std::string_view Request::http_version() const noexcept {
    return parts_->head->minor_version == 0 ? "HTTP/1.0" : "HTTP/1.1";
}

PORTHOLE_NAMESPACE_END

// porthole/http/multipart.inl

// The search for the next delimiter looks for its first byte alone, a carriage return, which occurs
// nowhere else in it: after a mismatch nothing that was compared has to be looked at again, and
// what a piece's end cuts off of a possible delimiter is known without being kept.

PORTHOLE_NAMESPACE_BEGIN

PORTHOLE_FN int status_of(MultipartFault fault) noexcept {
    constexpr int bad_request = 400;
    constexpr int content_too_large = 413;
    constexpr int unsupported_media_type = 415;
    constexpr int fields_too_large = 431;
    switch (fault) {
    case MultipartFault::none: return 200;
    case MultipartFault::not_a_form: return unsupported_media_type;
    case MultipartFault::bad_boundary:
    case MultipartFault::preamble_too_long:
    case MultipartFault::bad_delimiter:
    case MultipartFault::bad_part_field:
    case MultipartFault::bad_disposition:
    case MultipartFault::epilogue_too_long:
    case MultipartFault::incomplete: return bad_request;
    case MultipartFault::part_head_too_large:
    case MultipartFault::too_many_part_fields:
    case MultipartFault::name_too_long: return fields_too_large;
    case MultipartFault::too_many_parts:
    case MultipartFault::part_too_large:
    case MultipartFault::collected_too_large: return content_too_large;
    }
    return bad_request;
}

PORTHOLE_FN std::string_view describe(MultipartFault fault) noexcept {
    switch (fault) {
    case MultipartFault::none: return "";
    case MultipartFault::not_a_form: return "The content is not multipart/form-data.";
    case MultipartFault::bad_boundary:
        return "The Content-Type names no boundary, or one that is not allowed.";
    case MultipartFault::preamble_too_long:
        return "The form does not begin with its boundary (MultipartLimits::max_preamble_bytes).";
    case MultipartFault::bad_delimiter:
        return "A line of the form begins with the boundary and goes on with something else.";
    case MultipartFault::bad_part_field: return "A part of the form has a malformed field line.";
    case MultipartFault::bad_disposition:
        return "A part of the form has no name, or a malformed Content-Disposition.";
    case MultipartFault::part_head_too_large:
        return "The fields of a part are too large (MultipartLimits::max_part_head_bytes).";
    case MultipartFault::too_many_part_fields:
        return "A part of the form has too many fields (MultipartLimits::max_part_fields).";
    case MultipartFault::name_too_long:
        return "A name in the form is too long (MultipartLimits::max_name_bytes).";
    case MultipartFault::too_many_parts:
        return "The form has too many parts (MultipartLimits::max_parts).";
    case MultipartFault::part_too_large:
        return "A part of the form is too large (MultipartLimits::max_part_bytes).";
    case MultipartFault::collected_too_large:
        return "The form's fields are too large (MultipartLimits::max_collected_bytes).";
    case MultipartFault::epilogue_too_long:
        return "Too much follows the form's end (MultipartLimits::max_epilogue_bytes).";
    case MultipartFault::incomplete: return "The form ends before its last boundary.";
    }
    return "";
}

namespace detail {

/// bchars (RFC 2046 section 5.1.1); a space must not be the last.
inline bool is_boundary(std::string_view text) noexcept {
    constexpr std::size_t max_boundary_bytes = 70;
    for (const char c : text) {
        if (!ascii::is_alpha(c) && !ascii::is_digit(c)
            && std::string_view("'()+_,-./:=? ").find(c) == std::string_view::npos) {
            return false;
        }
    }
    return !text.empty() && text.size() <= max_boundary_bytes && text.back() != ' ';
}

PORTHOLE_FN MultipartFault
read_boundary(std::string_view content_type, std::string_view& boundary) {
    if (!ascii::equals_ignoring_case(media_type_essence(content_type), "multipart/form-data")) {
        return MultipartFault::not_a_form;
    }
    std::string_view rest =
        content_type.substr((std::min)(content_type.find(';'), content_type.size()));
    std::size_t boundaries = 0;
    while (!rest.empty()) {
        const std::string_view parameter = next_parameter(rest);
        const std::string_view name = parameter.substr(0, parameter.find('='));
        if (ascii::equals_ignoring_case(name, "boundary")) {
            ++boundaries;
        }
    }
    const auto value = media_type_parameter(content_type, "boundary");
    // Two of them: others may read the form by the second.
    if (!value || boundaries != 1 || !is_boundary(*value)) {
        return MultipartFault::bad_boundary;
    }
    boundary = *value;
    return MultipartFault::none;
}

PORTHOLE_FN MultipartFault read_boundary(const Request& request, std::string_view& boundary) {
    const auto content_type = request.header("Content-Type");
    if (!content_type || request.fields().count("Content-Type") != 1) {
        return MultipartFault::not_a_form;
    }
    return read_boundary(*content_type, boundary);
}

PORTHOLE_FN
MultipartParser::MultipartParser(std::string_view boundary, const MultipartLimits& limits)
    : limits_(limits), delimiter_("\r\n--") {
    delimiter_ += boundary;
    // The first delimiter may stand at the very beginning, as if a line end were before it.
    matched_ = unsent_ = 2;
}

PORTHOLE_FN MultipartEvent MultipartParser::fail(MultipartFault fault) noexcept {
    state_ = State::failed;
    fault_ = fault;
    data_ = {};
    return MultipartEvent::failed;
}

PORTHOLE_FN MultipartEvent MultipartParser::parse(std::string_view bytes, std::size_t& consumed) {
    consumed = 0;
    data_ = {};
    for (;;) {
        std::size_t taken = 0;
        const MultipartEvent event = step(bytes.substr(consumed), taken);
        consumed += taken;
        if (event != MultipartEvent::need_more || consumed == bytes.size()) {
            return event;
        }
    }
}

PORTHOLE_FN MultipartFault MultipartParser::finish() noexcept {
    const bool is_complete =
        state_ == State::close_end || state_ == State::epilogue || state_ == State::close_line_feed;
    if (!is_complete && state_ != State::failed) {
        static_cast<void>(fail(
            state_ == State::over_limit ? MultipartFault::part_too_large
                                        : MultipartFault::incomplete));
    }
    return fault_;
}

PORTHOLE_FN MultipartEvent MultipartParser::step(std::string_view rest, std::size_t& taken) {
    switch (state_) {
    case State::preamble:
    case State::content: return matched_ != 0 ? go_on_matching(rest, taken) : search(rest, taken);
    case State::delimiter_end:
    case State::delimiter_dash:
    case State::delimiter_padding:
    case State::delimiter_line_feed:
    case State::close_end:
    case State::close_line_feed:
        if (rest.empty()) {
            return MultipartEvent::need_more;
        }
        taken = 1;
        return read_delimiter_end(rest.front());
    case State::head: return read_head(rest, taken);
    case State::epilogue: return skip_epilogue(rest, taken);
    case State::over_limit: return fail(MultipartFault::part_too_large);
    case State::failed: break;
    }
    return MultipartEvent::failed;
}

/// Content up to the next delimiter, or to what may be the beginning of one.
PORTHOLE_FN MultipartEvent MultipartParser::search(std::string_view rest, std::size_t& taken) {
    const char* const begin = rest.data();
    std::size_t at = 0;
    std::size_t compared = 0;
    while (at < rest.size()) {
        const void* found = std::memchr(begin + at, '\r', rest.size() - at);
        if (found == nullptr) {
            at = rest.size();
            break;
        }
        at = static_cast<std::size_t>(static_cast<const char*>(found) - begin);
        compared = (std::min)(rest.size() - at, delimiter_.size());
        if (std::memcmp(begin + at, delimiter_.data(), compared) == 0) {
            break;
        }
        compared = 0;
        ++at;
    }
    taken = at;
    if (at != 0) {
        return give(rest.substr(0, at));
    }
    taken = matched_ = compared;
    unsent_ = 0;
    state_ = matched_ == delimiter_.size() ? State::delimiter_end : state_;
    return MultipartEvent::need_more;
}

/// A delimiter may have begun in earlier bytes.
PORTHOLE_FN MultipartEvent
MultipartParser::go_on_matching(std::string_view rest, std::size_t& taken) {
    while (matched_ < delimiter_.size() && taken < rest.size()
           && rest[taken] == delimiter_[matched_]) {
        ++matched_;
        ++taken;
    }
    if (matched_ == delimiter_.size()) {
        state_ = State::delimiter_end;
        return MultipartEvent::need_more;
    }
    if (taken == rest.size()) {
        return MultipartEvent::need_more;
    }
    const std::string_view held = std::string_view(delimiter_).substr(unsent_, matched_ - unsent_);
    matched_ = unsent_ = 0;
    return held.empty() ? MultipartEvent::need_more : give(held);
}

PORTHOLE_FN MultipartEvent MultipartParser::give(std::string_view piece) {
    if (state_ == State::preamble) {
        counted_ += piece.size();
        return counted_ > limits_.max_preamble_bytes ? fail(MultipartFault::preamble_too_long)
                                                     : MultipartEvent::need_more;
    }
    const std::uint64_t allowed = limits_.max_part_bytes - counted_;
    if (allowed == 0) {
        return fail(MultipartFault::part_too_large);
    }
    if (piece.size() > allowed) {
        piece = piece.substr(0, static_cast<std::size_t>(allowed));
        state_ = State::over_limit;
    }
    counted_ += piece.size();
    data_ = piece;
    return MultipartEvent::data;
}

/// What follows the boundary on its line: nothing or padding before another part, "--" behind the
/// last one (RFC 2046 section 5.1.1). No content may have a line that begins like a delimiter, so
/// anything else there is an error, and no guess is made at what was meant.
PORTHOLE_FN MultipartEvent MultipartParser::read_delimiter_end(char c) {
    const bool is_padding = c == ' ' || c == '\t';
    switch (state_) {
    case State::delimiter_end:
        if (c == '-') {
            state_ = State::delimiter_dash;
            return MultipartEvent::need_more;
        }
        [[fallthrough]];
    case State::delimiter_padding:
        state_ = c == '\r' ? State::delimiter_line_feed : State::delimiter_padding;
        return c == '\r' || is_padding ? MultipartEvent::need_more
                                       : fail(MultipartFault::bad_delimiter);
    case State::delimiter_line_feed:
        return c == '\n' ? end_part(State::head) : fail(MultipartFault::bad_delimiter);
    case State::delimiter_dash:
        return c == '-' ? end_part(State::close_end) : fail(MultipartFault::bad_delimiter);
    case State::close_end:
        state_ = c == '\r' ? State::close_line_feed : State::close_end;
        return c == '\r' || is_padding ? MultipartEvent::need_more
                                       : fail(MultipartFault::bad_delimiter);
    case State::close_line_feed:
        counted_ = 0;
        state_ = State::epilogue;
        return c == '\n' ? MultipartEvent::need_more : fail(MultipartFault::bad_delimiter);
    case State::preamble:
    case State::head:
    case State::content:
    case State::epilogue:
    case State::over_limit:
    case State::failed: break;
    }
    return fail(MultipartFault::bad_delimiter);
}

PORTHOLE_FN MultipartEvent MultipartParser::end_part(State next) noexcept {
    state_ = next;
    is_head_begun_ = false;
    return std::exchange(is_in_part_, false) ? MultipartEvent::part_end : MultipartEvent::need_more;
}

PORTHOLE_FN MultipartEvent
MultipartParser::skip_epilogue(std::string_view rest, std::size_t& taken) {
    taken = rest.size();
    counted_ += rest.size();
    return counted_ > limits_.max_epilogue_bytes ? fail(MultipartFault::epilogue_too_long)
                                                 : MultipartEvent::need_more;
}

/// Collects lines up to the empty one.
PORTHOLE_FN MultipartEvent MultipartParser::read_head(std::string_view rest, std::size_t& taken) {
    if (rest.empty()) {
        return MultipartEvent::need_more;
    }
    if (!is_head_begun_) {
        if (parts_ == limits_.max_parts) {
            return fail(MultipartFault::too_many_parts);
        }
        is_head_begun_ = true;
        head_.clear();
    }
    const std::size_t line_feed = rest.find('\n');
    const bool has_line = line_feed != std::string_view::npos;
    const std::string_view piece = rest.substr(0, has_line ? line_feed + 1 : rest.size());
    if (piece.size() > limits_.max_part_head_bytes - head_.size()) {
        return fail(MultipartFault::part_head_too_large);
    }
    head_.append(piece);
    taken = piece.size();
    if (!has_line) {
        return MultipartEvent::need_more;
    }
    const std::string_view head = head_;
    if (head.size() < 2 || head[head.size() - 2] != '\r') {
        return fail(MultipartFault::bad_part_field); // a bare line feed
    }
    const bool is_empty_line =
        head.size() == 2 || (head.size() > 3 && head.substr(head.size() - 4) == "\r\n\r\n");
    return is_empty_line ? begin_part() : MultipartEvent::need_more;
}

PORTHOLE_FN MultipartEvent MultipartParser::begin_part() {
    const MultipartFault fault = split_head();
    if (fault != MultipartFault::none) {
        return fail(fault);
    }
    ++parts_;
    counted_ = 0;
    state_ = State::content;
    is_in_part_ = true;
    // The empty line's end may also be the one that a delimiter begins with: no content at all.
    matched_ = unsent_ = 2;
    return MultipartEvent::part_begin;
}

PORTHOLE_FN MultipartFault MultipartParser::split_head() {
    part_.name = {};
    part_.file_name.reset();
    part_.fields.clear();
    part_.fields.set_base(head_.data());
    const auto span_of = [this](std::string_view text) {
        return Span{
            static_cast<std::uint32_t>(text.data() - head_.data()),
            static_cast<std::uint32_t>(text.size())};
    };
    std::string_view rest = head_;
    for (;;) {
        const std::string_view line = rest.substr(0, rest.find("\r\n"));
        rest.remove_prefix(line.size() + 2);
        if (line.empty()) {
            break;
        }
        const std::size_t colon = line.find(':');
        const std::string_view name = line.substr(0, colon);
        if (colon == std::string_view::npos || !ascii::is_token(name)) {
            return MultipartFault::bad_part_field;
        }
        const std::string_view value = ascii::trim(line.substr(colon + 1));
        if (!ascii::is_field_value(value)) {
            return MultipartFault::bad_part_field;
        }
        if (part_.fields.size() == limits_.max_part_fields) {
            return MultipartFault::too_many_part_fields;
        }
        part_.fields.add({span_of(name), span_of(value)});
    }
    part_.content_type = part_.fields.find("Content-Type").value_or("text/plain");
    const auto disposition = part_.fields.find("Content-Disposition");
    if (!disposition || part_.fields.count("Content-Disposition") != 1) {
        return MultipartFault::bad_disposition;
    }
    return read_names(*disposition);
}

/// The escapes that are in use within the quotes of a form's names: browsers write a quote, a
/// carriage return and a line feed as %22, %0D and %0A, and nothing else so (WHATWG HTML section
/// 4.10.21.8); other clients put a backslash before a quote or a backslash. A backslash that
/// escapes nothing is one, as in the paths that old browsers sent.
inline void append_form_name(std::string_view quoted, std::string& into) {
    while (!quoted.empty()) {
        char c = quoted.front();
        std::size_t used = 1;
        if (c == '\\' && quoted.size() > 1 && (quoted[1] == '"' || quoted[1] == '\\')) {
            c = quoted[1];
            used = 2;
        } else if (c == '%' && quoted.size() > 2) {
            constexpr int base = 16;
            const int high = ascii::hex_value(quoted[1]);
            const int low = ascii::hex_value(quoted[2]);
            const int value = high >= 0 && low >= 0 ? high * base + low : -1;
            if (value == '"' || value == '\r' || value == '\n') {
                c = static_cast<char>(value);
                used = 3;
            }
        }
        into += c;
        quoted.remove_prefix(used);
    }
}

/// The size of a quoted-string at the front of `text`, or 0.
inline std::size_t quoted_size(std::string_view text) noexcept {
    if (text.empty() || text.front() != '"') {
        return 0;
    }
    for (std::size_t i = 1; i < text.size(); ++i) {
        if (text[i] == '"') {
            return i + 1;
        }
        const bool is_escape =
            text[i] == '\\' && i + 1 < text.size() && (text[i + 1] == '"' || text[i + 1] == '\\');
        i += is_escape ? 1 : 0;
    }
    return 0;
}

/// Takes "; name=value" from the front of `rest`. False when it is none; an empty name when there
/// is nothing between two semicolons, which is allowed (RFC 9110 section 5.6.6).
inline bool next_disposition_parameter(
    std::string_view& rest, std::string_view& name, std::string_view& value) noexcept {
    const auto skip_blanks = [&rest] {
        rest.remove_prefix((std::min)(rest.find_first_not_of(" \t"), rest.size()));
    };
    name = value = {};
    if (rest.front() != ';') {
        return false;
    }
    rest.remove_prefix(1);
    skip_blanks();
    if (rest.empty() || rest.front() == ';') {
        return true;
    }
    name = rest.substr(0, rest.find('='));
    if (name.size() == rest.size() || !ascii::is_token(name)) {
        return false;
    }
    rest.remove_prefix(name.size() + 1);
    std::size_t size = quoted_size(rest);
    if (size == 0) {
        size = (std::min)(rest.find_first_of("; \t"), rest.size());
        if (!ascii::is_token(rest.substr(0, size))) {
            return false;
        }
    }
    value = rest.substr(0, size);
    rest.remove_prefix(size);
    skip_blanks();
    return true;
}

/// Content-Disposition: form-data; name="..."; filename="..." (RFC 7578 section 4.2). Other
/// parameters mean nothing, "filename*" among them, which must not be used here.
PORTHOLE_FN MultipartFault MultipartParser::read_names(std::string_view disposition) {
    const std::size_t type_size = (std::min)(disposition.find_first_of("; \t"), disposition.size());
    if (!ascii::equals_ignoring_case(disposition.substr(0, type_size), "form-data")) {
        return MultipartFault::bad_disposition;
    }
    std::string_view rest = ascii::trim(disposition.substr(type_size));
    std::optional<std::string_view> name;
    std::optional<std::string_view> file_name;
    while (!rest.empty()) {
        std::string_view found;
        std::string_view value;
        if (!next_disposition_parameter(rest, found, value)) {
            return MultipartFault::bad_disposition;
        }
        const bool is_name = ascii::equals_ignoring_case(found, "name");
        if (!is_name && !ascii::equals_ignoring_case(found, "filename")) {
            continue;
        }
        std::optional<std::string_view>& place = is_name ? name : file_name;
        if (place) {
            return MultipartFault::bad_disposition; // others may go by the other one
        }
        place = value;
    }
    if (!name) {
        return MultipartFault::bad_disposition;
    }
    const auto append = [this](std::string_view sent) {
        const std::size_t before = names_.size();
        if (sent.front() == '"') {
            append_form_name(sent.substr(1, sent.size() - 2), names_);
        } else {
            names_.append(sent);
        }
        return names_.size() - before;
    };
    names_.clear();
    names_.reserve(name->size() + (file_name ? file_name->size() : 0)); // the views stay valid
    const std::size_t name_size = append(*name);
    const std::size_t file_name_size = file_name ? append(*file_name) : 0;
    part_.name = std::string_view(names_).substr(0, name_size);
    if (file_name) {
        part_.file_name = std::string_view(names_).substr(name_size);
    }
    return name_size > limits_.max_name_bytes || file_name_size > limits_.max_name_bytes
               ? MultipartFault::name_too_long
               : MultipartFault::none;
}

} // namespace detail

PORTHOLE_FN std::optional<std::vector<FormPart>> read_form_parts(
    std::string_view content_type, std::string_view content, const MultipartLimits& limits,
    MultipartFault& fault) {
    using detail::MultipartEvent;
    std::string_view boundary;
    fault = detail::read_boundary(content_type, boundary);
    if (fault != MultipartFault::none) {
        return std::nullopt;
    }
    detail::MultipartParser parser(boundary, limits);
    std::vector<FormPart> parts;
    MultipartEvent event = MultipartEvent::part_end;
    std::size_t at = 0;    // of the content: where parse() goes on
    std::size_t begin = 0; // of the last part's content
    std::size_t size = 0;
    while (event != MultipartEvent::need_more && event != MultipartEvent::failed) {
        std::size_t consumed = 0;
        event = parser.parse(content.substr(at), consumed);
        at += consumed;
        if (event == MultipartEvent::part_begin) {
            const FormPartHead& head = parser.part();
            FormPart part;
            part.name.assign(head.name);
            if (head.file_name) {
                part.file_name.emplace(*head.file_name);
            }
            part.content_type.assign(head.content_type);
            parts.push_back(std::move(part));
            begin = at;
            size = 0;
        } else if (event == MultipartEvent::data) {
            size += parser.data().size();
        } else if (event == MultipartEvent::part_end) {
            parts.back().content = content.substr(begin, size);
        }
    }
    fault = parser.finish();
    return fault == MultipartFault::none ? std::optional<std::vector<FormPart>>(std::move(parts))
                                         : std::nullopt;
}

PORTHOLE_FN std::optional<std::vector<FormPart>>
read_form_parts(const Request& request, const MultipartLimits& limits) {
    std::string_view boundary;
    if (detail::read_boundary(request, boundary) != MultipartFault::none) {
        return std::nullopt;
    }
    MultipartFault fault = MultipartFault::none;
    return read_form_parts(*request.header("Content-Type"), request.body(), limits, fault);
}

PORTHOLE_NAMESPACE_END

// porthole/http/response.inl

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// What a ResponseParts keeps for the next answer; a larger one was an exception.
inline constexpr std::size_t kept_body_bytes = 64 * 1024;

inline constexpr std::string_view field_separator = ": ";
inline constexpr std::string_view line_end = "\r\n";

PORTHOLE_FN void ResponseParts::reset() noexcept {
    status = 200;
    is_touched = false;
    has_overrides = false;
    must_close = false;
    is_deferred = false;
    is_refusal = false;
    refused_fields = 0;
    fields.clear();
    if (body.capacity() > kept_body_bytes) {
        std::string().swap(body); // assigning an empty string may keep the memory
    } else {
        body.clear();
    }
    source.reset();
    upgrade.reset();
    upgrade_protocol.clear();
}

PORTHOLE_FN std::size_t line_size(std::string_view lines) noexcept {
    const std::size_t end = lines.find('\n');
    return end == std::string_view::npos ? lines.size() : end + 1;
}

inline bool line_has_name(std::string_view line, std::string_view name) noexcept {
    return line.size() > name.size() && line[name.size()] == ':'
           && ascii::equals_ignoring_case(line.substr(0, name.size()), name);
}

PORTHOLE_FN std::size_t find_field_line(std::string_view lines, std::string_view name) noexcept {
    for (std::size_t at = 0; at < lines.size(); at += line_size(lines.substr(at))) {
        if (line_has_name(lines.substr(at), name)) {
            return at;
        }
    }
    return std::string_view::npos;
}

/// Removes the lines of that name among the first `size` bytes.
inline void remove_field_lines(std::string& lines, std::size_t size, std::string_view name) {
    std::size_t at = 0;
    while (at < size) {
        const std::string_view rest = std::string_view(lines).substr(at);
        const std::size_t here = line_size(rest);
        if (line_has_name(rest, name)) {
            lines.erase(at, here);
            size -= here;
        } else {
            at += here;
        }
    }
}

/// Whose field a name is. Picked by size first, so that most names cost no comparison.
enum class FieldOwner : unsigned char { handler, shared, connection, server };

inline FieldOwner owner_of_field(std::string_view name) noexcept {
    const auto is = [name](std::string_view other) {
        return ascii::equals_ignoring_case(name, other);
    };
    switch (name.size()) {
    case std::string_view("Date").size():
        return is("Date") ? FieldOwner::shared : FieldOwner::handler;
    case std::string_view("Server").size():
        return is("Server") ? FieldOwner::shared : FieldOwner::handler;
    case std::string_view("Upgrade").size():
        return is("Upgrade") ? FieldOwner::server : FieldOwner::handler;
    case std::string_view("Connection").size():
        if (is("Connection")) {
            return FieldOwner::connection;
        }
        return is("Keep-Alive") ? FieldOwner::server : FieldOwner::handler;
    case std::string_view("Content-Length").size():
        return is("Content-Length") ? FieldOwner::server : FieldOwner::handler;
    case std::string_view("Referrer-Policy").size():
        return is("Referrer-Policy") ? FieldOwner::shared : FieldOwner::handler;
    case std::string_view("Transfer-Encoding").size():
        return is("Transfer-Encoding") ? FieldOwner::server : FieldOwner::handler;
    case std::string_view("X-Content-Type-Options").size():
        return is("X-Content-Type-Options") ? FieldOwner::shared : FieldOwner::handler;
    case std::string_view("Cross-Origin-Resource-Policy").size():
        return is("Cross-Origin-Resource-Policy") ? FieldOwner::shared : FieldOwner::handler;
    default: return FieldOwner::handler;
    }
}

/// True when `view` lies in `text`, so that changing the one would change the other.
inline bool points_into(std::string_view view, const std::string& text) noexcept {
    const std::less<const char*> is_before;
    return !is_before(view.data(), text.data())
           && is_before(view.data(), text.data() + text.size());
}

inline void append_field_line(std::string& lines, std::string_view name, std::string_view value) {
    if (points_into(name, lines) || points_into(value, lines)) {
        const std::string name_copy(name);
        const std::string value_copy(value);
        append_field_line(lines, name_copy, value_copy);
        return;
    }
    // Grown once and then filled: four appends would check the capacity four times.
    const std::size_t at = lines.size();
    lines.resize(at + name.size() + field_separator.size() + value.size() + line_end.size());
    char* into = lines.data() + at;
    for (const std::string_view part : {name, field_separator, value, line_end}) {
        into += part.copy(into, part.size()); // an empty value may have no address
    }
}

/// The choke point: every field that reaches the wire by a program's wish passes here (RFC 9110
/// section 5). Says whether a line may be added; the trimmed value is left in `value`.
inline bool
accept_field(ResponseParts& parts, std::string_view name, std::string_view& value) noexcept {
    value = ascii::trim(value);
    const bool is_well_formed = ascii::is_token(name) && ascii::is_field_value(value);
    PORTHOLE_ASSERT(
        is_well_formed, "a field name is a token, and a value has no CR, LF, NUL or other control");
    if (!is_well_formed) {
        ++parts.refused_fields;
        return false;
    }
    switch (owner_of_field(name)) {
    case FieldOwner::handler: break;
    case FieldOwner::shared: parts.has_overrides = true; break;
    case FieldOwner::connection: {
        const bool is_close = ascii::equals_ignoring_case(value, "close");
        PORTHOLE_ASSERT(is_close, "the server decides on Connection, but for \"close\"");
        if (is_close) {
            parts.must_close = true;
            parts.is_touched = true;
        } else {
            ++parts.refused_fields;
        }
        return false;
    }
    case FieldOwner::server:
        PORTHOLE_ASSERT(
            false, "the server computes Content-Length, Transfer-Encoding, Keep-Alive and Upgrade");
        ++parts.refused_fields;
        return false;
    }
    parts.is_touched = true;
    return true;
}

/// Replaces the lines of that name. Adds before it removes: the value may lie in the old line.
inline void set_field(ResponseParts& parts, std::string_view name, std::string_view value) {
    if (!accept_field(parts, name, value)) {
        return;
    }
    const std::size_t before = parts.fields.size();
    if (points_into(name, parts.fields)) {
        const std::string name_copy(name);
        append_field_line(parts.fields, name_copy, value);
        remove_field_lines(parts.fields, before, name_copy);
        return;
    }
    append_field_line(parts.fields, name, value);
    remove_field_lines(parts.fields, before, name);
}

/// header("Content-Type", type), without the checks that this name does not need. A type that is
/// refused does not leave that of the content before it.
inline void set_content_type(ResponseParts& parts, std::string_view type) {
    constexpr std::string_view name = "Content-Type";
    const std::size_t before = parts.fields.size();
    type = ascii::trim(type);
    const bool is_well_formed = ascii::is_field_value(type);
    PORTHOLE_ASSERT(is_well_formed, "a content type has no CR, LF, NUL or other control");
    if (is_well_formed) {
        append_field_line(parts.fields, name, type);
    } else {
        ++parts.refused_fields;
    }
    if (before != 0) {
        remove_field_lines(parts.fields, before, name);
    }
}

/// What had been the answer's content, or its new owner, is no longer.
inline void begin_content(ResponseParts& parts) noexcept {
    parts.is_touched = true;
    parts.is_refusal = false;
    parts.source.reset();
    parts.upgrade.reset();
}

/// Each part of an Upgrade value, a name and perhaps a version, is a token (RFC 9110 section 7.8).
inline bool is_protocol(std::string_view text) noexcept {
    const std::size_t slash = text.find('/');
    return ascii::is_token(text.substr(0, slash))
           && (slash == std::string_view::npos || ascii::is_token(text.substr(slash + 1)));
}

} // namespace detail

PORTHOLE_FN Response& Response::status(int code) {
    constexpr int first = 200;
    constexpr int last = 599;
    constexpr int internal_server_error = 500;
    const bool is_final = code >= first && code <= last;
    PORTHOLE_ASSERT(is_final, "a final status is 200 to 599; 101 comes with upgrade()");
    parts_->status = is_final ? code : internal_server_error;
    parts_->is_touched = true;
    return *this;
}

PORTHOLE_FN Response& Response::header(std::string_view name, std::string_view value) {
    detail::set_field(*parts_, name, value);
    return *this;
}

PORTHOLE_FN Response& Response::add_header(std::string_view name, std::string_view value) {
    if (detail::accept_field(*parts_, name, value)) {
        detail::append_field_line(parts_->fields, name, value);
    }
    return *this;
}

PORTHOLE_FN Response& Response::remove_header(std::string_view name) {
    if (detail::points_into(name, parts_->fields)) {
        const std::string name_copy(name);
        return remove_header(name_copy);
    }
    detail::remove_field_lines(parts_->fields, parts_->fields.size(), name);
    return *this;
}

PORTHOLE_FN std::optional<std::string_view> Response::header(std::string_view name) const noexcept {
    const std::string_view lines = parts_->fields;
    const std::size_t at = detail::find_field_line(lines, name);
    if (at == std::string_view::npos) {
        return std::nullopt;
    }
    const std::size_t value_at = name.size() + detail::field_separator.size();
    std::string_view line = lines.substr(at, detail::line_size(lines.substr(at)));
    line.remove_suffix(detail::line_end.size());
    return line.substr(value_at);
}

PORTHOLE_FN Response&
Response::cookie(std::string_view name, std::string_view value, const CookieOptions& options) {
    std::string field;
    const bool is_written = write_cookie(name, value, options, field);
    PORTHOLE_ASSERT(
        is_written, "a cookie's name is a token, its value has no blank, quote, comma or "
                    "semicolon, and a cross-site one is secure");
    if (!is_written) {
        ++parts_->refused_fields;
        return *this;
    }
    return add_header("Set-Cookie", field);
}

PORTHOLE_FN Response& Response::send(std::string_view type, std::string_view bytes) {
    detail::begin_content(*parts_);
    parts_->body.assign(bytes);
    detail::set_content_type(*parts_, type);
    return *this;
}

PORTHOLE_FN Response& Response::body(std::string bytes) {
    detail::begin_content(*parts_);
    parts_->body = std::move(bytes);
    return *this;
}

PORTHOLE_FN Response& Response::send(std::string_view type, std::unique_ptr<BodySource> source) {
    PORTHOLE_ASSERT(source != nullptr, "a body source is needed; no_content() sends none");
    detail::begin_content(*parts_);
    parts_->body.clear();
    parts_->source = std::move(source);
    detail::set_content_type(*parts_, type);
    return *this;
}

PORTHOLE_FN Response& Response::redirect(std::string_view location, int code) {
    constexpr int moved_permanently = 301;
    constexpr int found = 302;
    constexpr int see_other = 303;
    constexpr int temporary_redirect = 307;
    constexpr int permanent_redirect = 308;
    constexpr int internal_server_error = 500;
    const bool is_redirect = code == moved_permanently || code == found || code == see_other
                             || code == temporary_redirect || code == permanent_redirect;
    PORTHOLE_ASSERT(is_redirect, "a redirect is 301, 302, 303, 307 or 308");
    const unsigned refused_before = parts_->refused_fields;
    detail::set_field(*parts_, "Location", location);
    if (parts_->refused_fields != refused_before) {
        remove_header("Location");
        return status(internal_server_error).text("This redirect leads nowhere.\n");
    }
    return status(is_redirect ? code : found).text("What you look for is elsewhere.\n");
}

PORTHOLE_FN Response& Response::fail(int code, std::string_view sentence) {
    reset();
    status(code);
    std::string page = std::to_string(parts_->status);
    page.append(" ").append(reason_phrase(parts_->status)).append("\n");
    page.append(sentence).append("\n");
    text(page);
    parts_->is_refusal = true;
    return *this;
}

PORTHOLE_FN Response& Response::no_content() {
    constexpr int no_content_status = 204;
    detail::begin_content(*parts_);
    parts_->body.clear();
    remove_header("Content-Type");
    return status(no_content_status);
}

PORTHOLE_FN Response& Response::close_connection() {
    parts_->must_close = true;
    parts_->is_touched = true;
    return *this;
}

PORTHOLE_FN Response& Response::reset() {
    // A deferred answer stays with its Reply, and what was refused is still to be logged.
    const bool is_deferred = parts_->is_deferred;
    const unsigned refused_fields = parts_->refused_fields;
    parts_->reset();
    parts_->is_deferred = is_deferred;
    parts_->refused_fields = refused_fields;
    return *this;
}

PORTHOLE_FN Response& Response::upgrade(std::string_view protocol, std::shared_ptr<Upgrade> owner) {
    constexpr int internal_server_error = 500;
    protocol = ascii::trim(protocol);
    const bool is_possible = owner != nullptr && detail::is_protocol(protocol);
    PORTHOLE_ASSERT(is_possible, "an upgrade needs an owner and a protocol such as \"websocket\"");
    detail::begin_content(*parts_);
    parts_->body.clear();
    if (!is_possible) {
        ++parts_->refused_fields;
        return status(internal_server_error).text("This upgrade is not possible.\n");
    }
    parts_->upgrade_protocol.assign(protocol);
    parts_->upgrade = std::move(owner);
    return *this;
}

PORTHOLE_NAMESPACE_END

// porthole/http/serializer.inl

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

inline constexpr std::string_view head_line_end = "\r\n";
inline constexpr std::string_view date_line_begin = "Date: ";
inline constexpr std::string_view length_line_begin = "Content-Length: ";
inline constexpr std::string_view chunked_line = "Transfer-Encoding: chunked\r\n";
inline constexpr std::string_view close_line = "Connection: close\r\n";
inline constexpr std::string_view keep_alive_line = "Connection: keep-alive\r\n";
inline constexpr std::string_view upgrade_lines_begin = "Connection: Upgrade\r\nUpgrade: ";

PORTHOLE_FN DefaultFields::DefaultFields(std::string_view fixed_lines) {
    lines_.append(fixed_lines).append(date_line_begin);
    lines_.append(date_size, ' ').append(head_line_end);
    set_time({});
}

PORTHOLE_FN void DefaultFields::set_time(std::chrono::system_clock::time_point now) noexcept {
    write_date(now, lines_.data() + (lines_.size() - head_line_end.size() - date_size));
}

/// Writes into prepared memory; the caller has counted.
struct HeadWriter {
    char* at;
    void add(std::string_view text) noexcept {
        std::memcpy(at, text.data(), text.size());
        at += text.size();
    }
    void add_decimal(std::uint64_t value) noexcept { at += ascii::write_decimal(at, value); }
};

/// RFC 9112 section 6.3, from the sender's side.
inline AnswerPlan
plan_answer(const ResponseParts& parts, const AnswerContext& context, int status) noexcept {
    constexpr int reset_content = 205;
    AnswerPlan plan;
    plan.keep_alive = context.keep_alive && !parts.must_close;
    if (parts.upgrade != nullptr) {
        plan.keep_alive = true;
        plan.sends_content = false;
        return plan;
    }
    if (!status_has_content(status)) {
        plan.sends_content = false;
        return plan;
    }
    plan.sends_content = !context.is_head && status != reset_content;
    plan.framing.kind = Framing::Kind::length;
    if (status == reset_content) {
        return plan; // RFC 9110 section 15.3.6: no content, and Content-Length: 0 says so
    }
    if (parts.source == nullptr) {
        plan.framing.length = parts.body.size();
    } else if (const auto size = parts.source->size()) {
        plan.framing.length = *size;
    } else if (context.minor_version > 0) {
        plan.framing.kind = Framing::Kind::chunked;
    } else {
        plan.framing.kind = Framing::Kind::close;
        plan.keep_alive = false;
    }
    return plan;
}

inline void add_status_line(HeadWriter& head, int status) noexcept {
    const std::string_view line = status_line(status);
    if (!line.empty()) {
        head.add(line);
        return;
    }
    // RFC 9112 section 4: the reason may be empty, the space before it not.
    head.add("HTTP/1.1 ");
    head.add_decimal(static_cast<std::uint64_t>(status));
    head.add(" \r\n");
}

/// The server's own fields, without those that the answer sets itself.
inline void
add_defaults(HeadWriter& head, const ResponseParts& parts, std::string_view lines) noexcept {
    if (!parts.has_overrides) {
        head.add(lines);
        return;
    }
    while (!lines.empty()) {
        const std::string_view line = lines.substr(0, line_size(lines));
        const std::string_view name = line.substr(0, line.find(':'));
        if (find_field_line(parts.fields, name) == std::string_view::npos) {
            head.add(line);
        }
        lines.remove_prefix(line.size());
    }
}

inline void add_framing(HeadWriter& head, const Framing& framing) noexcept {
    switch (framing.kind) {
    case Framing::Kind::none:
    case Framing::Kind::close: break;
    case Framing::Kind::length:
        head.add(length_line_begin);
        head.add_decimal(framing.length);
        head.add(head_line_end);
        break;
    case Framing::Kind::chunked: head.add(chunked_line); break;
    }
}

inline void add_connection(
    HeadWriter& head, const ResponseParts& parts, const AnswerContext& context,
    const AnswerPlan& plan) noexcept {
    if (parts.upgrade != nullptr) {
        head.add(upgrade_lines_begin);
        head.add(parts.upgrade_protocol);
        head.add(head_line_end);
    } else if (!plan.keep_alive) {
        head.add(close_line);
    } else if (context.minor_version == 0) {
        head.add(keep_alive_line); // RFC 9112 section 9.3: 1.0 closes unless it is told
    }
}

PORTHOLE_FN bool write_head(
    const ResponseParts& parts, const AnswerContext& context, Buffer& out, AnswerPlan& plan) {
    constexpr int switching_protocols = 101;
    // More than the longest status line, framing and connection lines take together.
    constexpr std::size_t fixed_size = 256;
    const int status = parts.upgrade != nullptr ? switching_protocols : parts.status;
    const std::string_view defaults =
        context.defaults != nullptr ? context.defaults->lines() : std::string_view();
    char* const begin = out.prepare(
        fixed_size + defaults.size() + parts.fields.size() + parts.upgrade_protocol.size());
    if (begin == nullptr) {
        return false;
    }
    plan = plan_answer(parts, context, status);
    HeadWriter head{begin};
    add_status_line(head, status);
    if (!defaults.empty()) {
        add_defaults(head, parts, defaults);
    }
    if (!parts.fields.empty()) {
        head.add(parts.fields);
    }
    add_framing(head, plan.framing);
    add_connection(head, parts, context, plan);
    head.add(head_line_end);
    out.commit(static_cast<std::size_t>(head.at - begin));
    return true;
}

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/http/server_sent_event.inl

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// Up to what would end the line, or make a browser ignore the field.
inline std::string_view one_line(std::string_view text) noexcept {
    constexpr std::string_view ends("\r\n\0", 3);
    return text.substr(0, text.find_first_of(ends));
}

/// A line of its own, with the field's name, for each line of `text`; one for an empty text.
inline void append_lines(std::string& out, std::string_view name, std::string_view text) {
    for (;;) {
        const std::size_t end = text.find_first_of("\r\n");
        out.append(name).append(text.substr(0, end)).append("\n");
        if (end == std::string_view::npos) {
            return;
        }
        const bool is_pair = text[end] == '\r' && text.substr(end + 1, 1) == "\n";
        text.remove_prefix(end + (is_pair ? 2 : 1));
    }
}

PORTHOLE_FN void append_event(std::string& out, const ServerSentEvent& event) {
    if (event.retry) {
        const auto milliseconds = event.retry->count() < 0 ? 0 : event.retry->count();
        out.append("retry: ").append(std::to_string(milliseconds)).append("\n");
    }
    if (!event.id.empty()) {
        out.append("id: ").append(one_line(event.id)).append("\n");
    }
    if (!event.event.empty()) {
        out.append("event: ").append(one_line(event.event)).append("\n");
    }
    const bool is_only_fields = event.data.empty() && event.retry && event.event.empty();
    if (!is_only_fields) {
        append_lines(out, "data: ", event.data);
    }
    out.append("\n");
}

PORTHOLE_FN void append_event_comment(std::string& out, std::string_view text) {
    append_lines(out, ": ", text);
    out.append("\n");
}

PORTHOLE_FN void set_event_stream_fields(Response& response) {
    response.header("Cache-Control", "no-store");
    response.header("X-Accel-Buffering", "no");
}

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/server/guard.inl

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// The fields that tell where a request comes from, found in one pass.
struct Gatekeeper::Evidence {
    std::string_view site;
    std::string_view mode;
    std::string_view destination;
    std::string_view origin;
    std::string_view authorization;
    unsigned sites = 0;
    unsigned origins = 0;
    unsigned authorizations = 0;

    /// By the sizes of the names: most requests of other programs end here.
    static bool may_be_in(const Fields& fields) noexcept {
        constexpr std::size_t origin_size = 6; // Origin
        constexpr std::size_t site_size = 14;  // Sec-Fetch-Site
        bool is_found = false;
        for (std::size_t i = 0; i < fields.size(); ++i) {
            const std::size_t size = fields.name_size(i);
            is_found = is_found || size == origin_size || size == site_size;
        }
        return is_found;
    }

    explicit Evidence(const Fields& fields) noexcept {
        for (std::size_t i = 0; i < fields.size(); ++i) {
            look_at(fields[i]);
        }
    }

    void look_at(const Field& field) noexcept {
        constexpr std::string_view origin_name = "origin";
        constexpr std::string_view authorization_name = "authorization";
        constexpr std::string_view fetch_prefix = "sec-fetch-";
        constexpr std::size_t fetch_size = fetch_prefix.size() + 4;
        if (field.name.size() == fetch_size
            && ascii::equals_ignoring_case(
                field.name.substr(0, fetch_prefix.size()), fetch_prefix)) {
            const std::string_view rest = field.name.substr(fetch_prefix.size());
            if (ascii::equals_ignoring_case(rest, "site")) {
                site = field.value;
                ++sites;
            } else if (ascii::equals_ignoring_case(rest, "mode")) {
                mode = field.value;
            } else if (ascii::equals_ignoring_case(rest, "dest")) {
                destination = field.value;
            }
        } else if (
            field.name.size() == origin_name.size()
            && ascii::equals_ignoring_case(field.name, origin_name)) {
            origin = field.value;
            ++origins;
        } else if (
            field.name.size() == authorization_name.size()
            && ascii::equals_ignoring_case(field.name, authorization_name)) {
            authorization = field.value;
            ++authorizations;
        }
    }
};

inline GuardVerdict refuse_visit(int status, std::string_view sentence) noexcept {
    GuardVerdict verdict;
    verdict.kind = GuardVerdict::Kind::refuse;
    verdict.status = status;
    verdict.sentence = sentence;
    return verdict;
}

PORTHOLE_FN GuardVerdict Gatekeeper::judge(const Request& request, const GuardContext& context) {
    constexpr int bad_request = 400;
    constexpr int forbidden = 403;
    const std::string_view authority = request.authority();
    if (guard_.checks_host && !is_allowed_host(authority, context.is_exposed)) {
        return refuse_visit(
            forbidden, "This server does not go by the name in Host. If it should, add the name to "
                       "Guard::allowed_hosts.");
    }
    if (request.has_conflicting_host()) {
        return refuse_visit(bad_request, "The request target and Host name different hosts.");
    }
    GuardVerdict verdict;
    const bool wants_token = context.needs_token || guard_.requires_token;
    if (!wants_token && !Evidence::may_be_in(request.fields())) {
        return verdict; // neither of the fields that tell: not a page of a browser
    }
    const Evidence evidence(request.fields());
    if (evidence.sites != 0 || evidence.origins != 0) {
        verdict = judge_origin(request, evidence, context);
        if (verdict.kind != GuardVerdict::Kind::pass) {
            return verdict;
        }
    }
    if (wants_token) {
        GuardVerdict entry = judge_token(request, evidence);
        entry.origin = verdict.origin; // a page that may come in can read a 401, too
        return entry;
    }
    return verdict;
}

PORTHOLE_FN bool Gatekeeper::is_allowed_host(std::string_view authority, bool is_exposed) {
    if (authority == last_host_ && is_exposed == last_was_exposed_ && !authority.empty()) {
        return true;
    }
    Authority parsed;
    if (!parse_authority(authority, parsed)) {
        return false;
    }
    std::string_view host = parsed.host;
    if (host.back() == '.') {
        host.remove_suffix(1);
    }
    constexpr std::string_view local = "localhost";
    constexpr std::string_view below_local = ".localhost";
    bool is_allowed = false;
    std::array<std::uint8_t, 4> ipv4{};
    std::array<std::uint8_t, 16> ipv6{};
    if (host.size() > 2 && host.front() == '['
        && parse_ipv6(host.substr(1, host.size() - 2), ipv6)) {
        is_allowed = is_loopback(ipv6) || (is_exposed && !is_unspecified(ipv6));
    } else if (parse_ipv4(host, ipv4)) {
        is_allowed = is_loopback(ipv4) || (is_exposed && !is_unspecified(ipv4));
    } else {
        is_allowed = ascii::equals_ignoring_case(host, local)
                     || (host.size() > below_local.size()
                         && ascii::equals_ignoring_case(
                             host.substr(host.size() - below_local.size()), below_local));
    }
    is_allowed = is_allowed || is_listed_host(host);
    if (is_allowed) {
        last_host_ = authority;
        last_was_exposed_ = is_exposed;
    }
    return is_allowed;
}

/// ".tool.test" stands for tool.test and every name below it.
PORTHOLE_FN bool Gatekeeper::is_listed_host(std::string_view host) const noexcept {
    for (const std::string& entry : guard_.allowed_hosts) {
        const std::string_view name = entry;
        if (name.empty() || name == ".") {
            continue; // would be the end of every name
        }
        if (name.front() == '.') {
            const bool is_same = ascii::equals_ignoring_case(host, name.substr(1));
            const bool is_below =
                host.size() > name.size()
                && ascii::equals_ignoring_case(host.substr(host.size() - name.size()), name);
            if (is_same || is_below) {
                return true;
            }
        } else if (ascii::equals_ignoring_case(host, name)) {
            return true;
        }
    }
    return false;
}

/// "http://Host", with the default port left out on both sides, in any case.
inline bool is_own_origin(
    std::string_view origin, std::string_view scheme, std::string_view authority) noexcept {
    constexpr std::string_view separator = "://";
    const auto without_default_port = [scheme](std::string_view text) {
        const std::string_view port = scheme == "https" ? ":443" : ":80";
        const bool has_it =
            text.size() > port.size() && text.substr(text.size() - port.size()) == port;
        return has_it ? text.substr(0, text.size() - port.size()) : text;
    };
    if (origin.size() <= scheme.size() + separator.size()
        || !ascii::equals_ignoring_case(origin.substr(0, scheme.size()), scheme)
        || origin.substr(scheme.size(), separator.size()) != separator) {
        return false;
    }
    return ascii::equals_ignoring_case(
        without_default_port(origin.substr(scheme.size() + separator.size())),
        without_default_port(authority));
}

PORTHOLE_FN GuardVerdict Gatekeeper::judge_origin(
    const Request& request, const Evidence& evidence, const GuardContext& context) const {
    constexpr int forbidden = 403;
    GuardVerdict verdict;
    for (const std::string& allowed : guard_.allowed_origins) {
        // "null" is what every sandboxed page sends, so it is nobody's origin.
        const bool is_origin = allowed.find("://") != std::string::npos;
        if (is_origin && evidence.origins == 1 && evidence.origin == allowed) {
            verdict.origin = &allowed;
        }
    }
    if (verdict.origin != nullptr) {
        const bool is_preflight = request.method() == Method::options
                                  && request.header("Access-Control-Request-Method").has_value();
        verdict.kind = is_preflight ? GuardVerdict::Kind::preflight : GuardVerdict::Kind::pass;
        return verdict;
    }
    if (guard_.checks_fetch_metadata && evidence.sites != 0) {
        const bool is_own = evidence.site == "same-origin" || evidence.site == "none";
        const bool is_other = evidence.site == "same-site" || evidence.site == "cross-site";
        const bool is_read = request.method() == Method::get || request.method() == Method::head;
        const bool is_link =
            is_read && evidence.mode == "navigate" && evidence.destination == "document";
        if (evidence.sites != 1 || !(is_own || (is_other && is_link))) {
            return refuse_visit(
                forbidden,
                "A page of another site sent this request (Sec-Fetch-Site). If it may, add "
                "its origin to Guard::allowed_origins.");
        }
    }
    // A form on our own page, which our Referrer-Policy makes hide its origin; the browser vouches
    // for it in a field that no page can set.
    const bool is_own_form = evidence.origins == 1 && evidence.origin == "null"
                             && evidence.sites == 1 && evidence.site == "same-origin";
    if (guard_.checks_origin && evidence.origins != 0 && !is_own_form
        && (evidence.origins != 1
            || !is_own_origin(evidence.origin, context.scheme, request.authority()))) {
        return refuse_visit(
            forbidden,
            "A page of another origin sent this request (Origin). If it may, add the origin "
            "to Guard::allowed_origins.");
    }
    return verdict;
}

PORTHOLE_FN GuardVerdict
Gatekeeper::judge_token(const Request& request, const Evidence& evidence) const {
    constexpr int unauthorized = 401;
    constexpr std::string_view bearer = "Bearer ";
    if (token_.empty()) {
        return refuse_visit(unauthorized, "This server has no token and lets nobody in.");
    }
    if (evidence.authorizations == 1 && evidence.authorization.size() > bearer.size()
        && ascii::equals_ignoring_case(evidence.authorization.substr(0, bearer.size()), bearer)
        && equals_in_constant_time(evidence.authorization.substr(bearer.size()), token_)) {
        return {};
    }
    if (request.method() == Method::get) { // before the cookie: it leaves the address each time
        const auto given = request.query("token");
        if (given && equals_in_constant_time(*given, token_)) {
            GuardVerdict verdict;
            verdict.kind = GuardVerdict::Kind::login;
            return verdict;
        }
    }
    const auto session = request.cookie(session_cookie_name(request));
    if (session && equals_in_constant_time(*session, session_)) {
        return {};
    }
    return refuse_visit(
        unauthorized,
        "This server wants its token: open the address with ?token= that it printed, or "
        "send Authorization: Bearer.");
}

/// Cookies ignore ports, so the name carries it: two servers on one machine keep two sessions.
PORTHOLE_FN std::string Gatekeeper::session_cookie_name(const Request& request) const {
    Authority authority;
    std::string name = "porthole-session";
    if (parse_authority(request.authority(), authority) && authority.has_port) {
        name += "-" + std::to_string(authority.port);
    }
    return name;
}

PORTHOLE_FN bool Gatekeeper::make_secrets() {
    constexpr std::size_t secret_size = 32;
    char bytes[2 * secret_size];
    if (!session_.empty()) {
        return true;
    }
    if (!fill_random(bytes, sizeof bytes)) {
        return false;
    }
    session_ = base64url({bytes, secret_size});
    token_ = guard_.token.empty() ? base64url({bytes + secret_size, secret_size}) : guard_.token;
    return true;
}

PORTHOLE_FN Error no_secrets() {
    return Error(
        ErrorCode::system, "getentropy", "the server's token",
        "without random bytes there is no token, and without a token nobody is let in");
}

PORTHOLE_FN bool equals_in_constant_time(std::string_view a, std::string_view b) noexcept {
    if (a.size() != b.size()) {
        return false;
    }
    volatile unsigned char difference = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        difference = static_cast<unsigned char>(difference | (a[i] ^ b[i]));
    }
    return difference == 0;
}

/// Names are decoded before they are compared, as Request::query() does: "tok%65n" is one, too.
PORTHOLE_FN bool is_token_parameter(std::string_view pair) {
    std::string name;
    append_form_decoded(pair.substr(0, pair.find('=')), name);
    return name == "token";
}

PORTHOLE_FN std::string redact_token(std::string_view target) {
    std::size_t end = target.find('?');
    std::string redacted(target.substr(0, end));
    while (end < target.size()) {
        redacted += target[end]; // '?' or '&'
        const std::size_t begin = end + 1;
        end = target.find('&', begin);
        const std::string_view pair = target.substr(begin, end - begin);
        const std::size_t equals = pair.find('=');
        if (equals != std::string_view::npos && is_token_parameter(pair)) {
            redacted.append(pair.substr(0, equals)).append("=***");
        } else {
            redacted += pair;
        }
    }
    return redacted;
}

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/server/router.inl

// porthole/server/router.hpp

// From a method and a path to the handler. Patterns form a tree of segments, one tree for each
// virtual host: a literal segment beats a ":parameter", which beats a "*wildcard", whatever the
// order they were added in. Matching visits each node of the tree at most once and allocates
// nothing in steady state.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// The root of a virtual host's tree, or a segment below it.
struct RouteNode;

/// A group of routes: where its prefix begins, and what runs around their handlers.
struct RouteScope {
    RouteScope* parent = nullptr;                    ///< null for the server itself
    std::size_t host = 0;                            ///< index of the virtual host; 0 is any
    std::string prefix;                              ///< without a slash at its end
    std::vector<std::unique_ptr<BeforeHook>> before; ///< each stays in place while it runs
    std::vector<std::unique_ptr<AfterHook>> after;
    std::optional<std::uint64_t> max_body_bytes;
};

struct Route {
    /// What it takes: its path alone, everything below it, or, for a mount, both.
    enum class Kind : unsigned char { exact, wildcard, mount };

    Route() = default;
    Route(const Route&) = delete;
    Route& operator=(const Route&) = delete;
    ~Route();

    std::uint32_t id = 0;
    Kind kind = Kind::exact;
    Method method = Method::other;
    std::string method_name; ///< empty: any method
    std::vector<std::string> names;
    Handler handler;
    StreamHandler stream_handler; ///< of a route that takes its content as it comes, instead
    std::unique_ptr<Mount> mount; ///< of a mount, instead of handler
    bool takes_streams() const noexcept {
        return stream_handler != nullptr || (mount && mount->takes_streams());
    }
    RouteScope* scope = nullptr;
    RouteNode* node = nullptr; ///< where it ends
    std::optional<std::uint64_t> max_body_bytes;
};

class Router {
public:
    Router();
    ~Router();
    Router(const Router&) = delete;
    Router& operator=(const Router&) = delete;

    RouteScope& root() noexcept { return *scopes_.front(); }
    RouteScope& add_scope(RouteScope& parent, std::string_view prefix);
    /// `name` is a host name, exact or "*.suffix"; empty is any host.
    RouteScope& add_host(std::string_view name);

    /// Adds a route below the scope's prefix. Null, with the reason in `error`, when the pattern
    /// cannot be parsed: it begins with '/', ":name" and "*name" are whole segments, and '*' comes
    /// last.
    Route*
    add(RouteScope& scope, std::string_view method_name, std::string_view pattern, Error& error);
    Route* add_mount(
        RouteScope& scope, std::string_view prefix, std::unique_ptr<Mount> mount, Error& error);
    bool remove_mount(RouteScope& scope, std::string_view prefix);
    Route* find(std::uint32_t id) noexcept;
    bool remove(std::uint32_t id);
    /// Removes all routes of the scope and of those within it, and their hooks.
    void clear(RouteScope& scope);

    /// False while all routes are for any host: then `host` is not looked at below.
    bool has_hosts() const noexcept { return hosts_.size() > 1; }
    /// The best route for the request, its parameters filled in, or null. HEAD falls back to GET.
    Route* match(RequestParts& parts, std::string_view host);
    /// The methods that the request's path has routes for, as a value for Allow (RFC 9110
    /// section 10.2.1); empty when it has none.
    std::string allowed_methods(RequestParts& parts, std::string_view host);

    /// While user code runs, what is running is not destroyed when it is removed, but only taken
    /// out; leave() destroys it. Everything else goes at once, so that its code may be unloaded.
    void enter(const RouteScope* scope) noexcept { running_scope_ = scope; }
    /// From the match to the last after hook: what hooks see of the request is the route's own.
    void enter(const Route& route) noexcept { running_route_ = &route; }
    void leave() noexcept;

private:
    struct Search;
    std::vector<std::unique_ptr<RouteNode>> nodes_; ///< of all trees; they stay where they are
    std::vector<std::unique_ptr<Route>> routes_;    ///< of all nodes
    std::vector<RouteNode*> hosts_;                 ///< roots; the first is for any host
    std::vector<std::string> host_names_;
    std::vector<std::unique_ptr<RouteScope>> scopes_; ///< the first is the server's
    const RouteScope* running_scope_ = nullptr;
    const Route* running_route_ = nullptr;
    std::vector<std::unique_ptr<Route>> retired_routes_;
    std::vector<std::unique_ptr<BeforeHook>> retired_before_;
    std::vector<std::unique_ptr<AfterHook>> retired_after_;
    std::uint32_t next_id_ = 1;

    using RemovedRoutes = std::vector<std::unique_ptr<Route>>;

    RouteNode* add_node();
    RouteNode* find_node(RouteNode& root, std::string_view pattern, Route& route);
    RouteNode* find_mount_node(const RouteScope& scope, std::string_view whole, Route& route);
    std::size_t host_index(std::string_view host) const noexcept;
    Route& keep(std::unique_ptr<Route> route, RouteScope& scope, RouteNode& node);
    void take(std::size_t index, RemovedRoutes& removed);
    void retire(RemovedRoutes& removed);
    void clear_hooks(RouteScope& scope);
};

} // namespace detail

PORTHOLE_NAMESPACE_END

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// One segment of the patterns of a host, and what ends or branches off there.
struct RouteNode {
    std::string segment; ///< of a literal
    std::vector<RouteNode*> literals;
    RouteNode* parameter = nullptr;
    std::vector<Route*> routes; ///< the oldest first
};

PORTHOLE_FN Route::~Route() = default;

PORTHOLE_FN Router::Router() {
    hosts_.push_back(add_node());
    host_names_.emplace_back();
    scopes_.push_back(std::unique_ptr<RouteScope>(new RouteScope));
}

PORTHOLE_FN Router::~Router() = default;

PORTHOLE_FN RouteNode* Router::add_node() {
    nodes_.push_back(std::unique_ptr<RouteNode>(new RouteNode));
    return nodes_.back().get();
}

/// Without the slashes at its end, below the scope's own prefix.
inline std::string whole_prefix(const RouteScope& scope, std::string_view prefix) {
    while (!prefix.empty() && prefix.back() == '/') {
        prefix.remove_suffix(1);
    }
    std::string whole = scope.prefix;
    whole += !prefix.empty() && prefix.front() != '/' ? "/" : "";
    whole += prefix;
    return whole;
}

PORTHOLE_FN RouteScope& Router::add_scope(RouteScope& parent, std::string_view prefix) {
    std::unique_ptr<RouteScope> scope(new RouteScope);
    scope->parent = &parent;
    scope->host = parent.host;
    scope->prefix = whole_prefix(parent, prefix);
    scopes_.push_back(std::move(scope));
    return *scopes_.back();
}

PORTHOLE_FN RouteScope& Router::add_host(std::string_view name) {
    std::string folded;
    for (const char c : name) {
        folded.push_back(ascii::to_lower(c));
    }
    if (!folded.empty() && folded.back() == '.') {
        folded.pop_back();
    }
    std::size_t index = 0;
    while (index < host_names_.size() && host_names_[index] != folded) {
        ++index;
    }
    if (index == host_names_.size()) {
        host_names_.push_back(std::move(folded));
        hosts_.push_back(add_node());
    }
    RouteScope& scope = add_scope(root(), {});
    scope.host = index;
    return scope;
}

/// Exact names before "*.suffix" ones, longer suffixes before shorter ones; 0 when none fits.
PORTHOLE_FN std::size_t Router::host_index(std::string_view host) const noexcept {
    if (!host.empty() && host.back() == '.') {
        host.remove_suffix(1);
    }
    std::size_t best = 0;
    std::size_t best_size = 0;
    for (std::size_t i = 1; i < host_names_.size(); ++i) {
        const std::string_view name = host_names_[i];
        if (ascii::equals_ignoring_case(name, host)) {
            return i;
        }
        const bool is_suffix = name.size() > 1 && name[0] == '*' && host.size() >= name.size();
        if (is_suffix && name.size() > best_size
            && ascii::equals_ignoring_case(
                name.substr(1), host.substr(host.size() - name.size() + 1))) {
            best = i;
            best_size = name.size();
        }
    }
    return best;
}

/// Walks down the pattern's segments, making the nodes that are missing, and notes the names. Null
/// when the pattern breaks a rule.
PORTHOLE_FN RouteNode* Router::find_node(RouteNode& root, std::string_view pattern, Route& route) {
    if (pattern.empty() || pattern.front() != '/') {
        return nullptr;
    }
    RouteNode* node = &root;
    while (!pattern.empty()) {
        pattern.remove_prefix(1); // the slash
        const std::string_view segment = pattern.substr(0, pattern.find('/'));
        pattern.remove_prefix(segment.size());
        const char kind = segment.empty() ? '/' : segment.front();
        if (kind == '*') {
            route.names.emplace_back(segment.size() == 1 ? segment : segment.substr(1));
            return pattern.empty() ? node : nullptr;
        }
        if (kind == ':') {
            if (segment.size() == 1) {
                return nullptr;
            }
            route.names.emplace_back(segment.substr(1));
            if (node->parameter == nullptr) {
                node->parameter = add_node();
            }
            node = node->parameter;
            continue;
        }
        RouteNode* next = nullptr;
        for (RouteNode* literal : node->literals) {
            next = literal->segment == segment ? literal : next;
        }
        if (next == nullptr) {
            next = add_node();
            next->segment = segment;
            node->literals.push_back(next);
        }
        node = next;
    }
    return node;
}

PORTHOLE_FN Route& Router::keep(std::unique_ptr<Route> route, RouteScope& scope, RouteNode& node) {
    route->id = next_id_++;
    route->scope = &scope;
    route->node = &node;
    node.routes.push_back(route.get());
    routes_.push_back(std::move(route));
    return *routes_.back();
}

PORTHOLE_FN Route* Router::add(
    RouteScope& scope, std::string_view method_name, std::string_view pattern, Error& error) {
    std::string whole = scope.prefix;
    whole += pattern;
    std::unique_ptr<Route> route(new Route);
    RouteNode* node = nullptr;
    if (ascii::is_token(method_name) && !pattern.empty() && pattern.front() == '/') {
        node = find_node(*hosts_[scope.host], whole, *route);
    }
    if (node == nullptr) {
        std::string subject(method_name);
        subject.append(" ").append(whole);
        error = Error(
            ErrorCode::bad_pattern, "route", subject,
            "a pattern begins with '/', and ':name' and a last '*name' are whole segments");
        return nullptr;
    }
    route->method = parse_method(method_name);
    route->method_name = method_name;
    const bool is_wildcard = whole.find("/*") != std::string::npos;
    route->kind = is_wildcard ? Route::Kind::wildcard : Route::Kind::exact;
    return &keep(std::move(route), scope, *node);
}

PORTHOLE_FN Route* Router::add_mount(
    RouteScope& scope, std::string_view prefix, std::unique_ptr<Mount> mount, Error& error) {
    const std::string whole = whole_prefix(scope, prefix);
    std::unique_ptr<Route> route(new Route);
    const bool has_wildcard = whole.find("/*") != std::string::npos;
    const bool is_absolute = prefix.empty() || prefix.front() == '/';
    RouteNode* node = nullptr;
    if (!has_wildcard && is_absolute && mount != nullptr) {
        node = find_mount_node(scope, whole, *route);
    }
    if (node == nullptr) {
        error = Error(
            ErrorCode::bad_pattern, "mount", whole, "a prefix begins with '/' and has no wildcard");
        return nullptr;
    }
    route->kind = Route::Kind::mount;
    route->mount = std::move(mount);
    return &keep(std::move(route), scope, *node);
}

PORTHOLE_FN RouteNode*
Router::find_mount_node(const RouteScope& scope, std::string_view whole, Route& route) {
    RouteNode* root = hosts_[scope.host];
    return whole.empty() ? root : find_node(*root, whole, route);
}

/// Takes a route out of the tree. The caller lets it die when all is whole again: what its handler
/// owns may remove other routes.
PORTHOLE_FN void Router::take(std::size_t index, RemovedRoutes& removed) {
    std::vector<Route*>& siblings = routes_[index]->node->routes;
    for (std::size_t i = 0; i < siblings.size(); ++i) {
        if (siblings[i] == routes_[index].get()) {
            siblings.erase(siblings.begin() + static_cast<std::ptrdiff_t>(i));
            break;
        }
    }
    removed.push_back(std::move(routes_[index]));
    routes_.erase(routes_.begin() + static_cast<std::ptrdiff_t>(index));
}

/// What is running lives until leave(); the rest dies with `removed`.
PORTHOLE_FN void Router::retire(RemovedRoutes& removed) {
    for (std::unique_ptr<Route>& route : removed) {
        if (route.get() == running_route_) {
            retired_routes_.push_back(std::move(route));
        }
    }
}

PORTHOLE_FN void Router::leave() noexcept {
    running_scope_ = nullptr;
    running_route_ = nullptr;
    if (!retired_routes_.empty() || !retired_before_.empty() || !retired_after_.empty()) {
        const RemovedRoutes routes(std::move(retired_routes_)); // what they own may come back here
        const auto before = std::move(retired_before_);
        const auto after = std::move(retired_after_);
        retired_routes_.clear();
        retired_before_.clear();
        retired_after_.clear();
    }
}

PORTHOLE_FN bool Router::remove(std::uint32_t id) {
    RemovedRoutes removed;
    for (std::size_t i = routes_.size(); i > 0; --i) {
        if (routes_[i - 1]->id == id) {
            take(i - 1, removed);
        }
    }
    retire(removed);
    return !removed.empty();
}

PORTHOLE_FN bool Router::remove_mount(RouteScope& scope, std::string_view prefix) {
    Route scratch;
    const RouteNode* place = find_mount_node(scope, whole_prefix(scope, prefix), scratch);
    RemovedRoutes removed;
    for (std::size_t i = routes_.size(); i > 0; --i) {
        if (routes_[i - 1]->node == place && routes_[i - 1]->kind == Route::Kind::mount) {
            take(i - 1, removed);
        }
    }
    retire(removed);
    return !removed.empty();
}

PORTHOLE_FN void Router::clear(RouteScope& scope) {
    const auto is_within = [&scope](const RouteScope* inner) {
        while (inner != nullptr && inner != &scope) {
            inner = inner->parent;
        }
        return inner != nullptr;
    };
    RemovedRoutes removed;
    for (std::size_t i = routes_.size(); i > 0; --i) {
        if (is_within(routes_[i - 1]->scope)) {
            take(i - 1, removed);
        }
    }
    retire(removed);
    for (std::size_t i = 0; i < scopes_.size(); ++i) { // a hook's end may add groups
        if (is_within(scopes_[i].get())) {
            clear_hooks(*scopes_[i]);
        }
    }
}

PORTHOLE_FN void Router::clear_hooks(RouteScope& scope) {
    // Hooks die when the lists are whole again: what they own may add others.
    auto before = std::move(scope.before);
    auto after = std::move(scope.after);
    scope.before.clear();
    scope.after.clear();
    for (const RouteScope* each = running_scope_; each != nullptr; each = each->parent) {
        if (each == &scope) { // one of them may be running
            for (std::unique_ptr<BeforeHook>& hook : before) {
                retired_before_.push_back(std::move(hook));
            }
            for (std::unique_ptr<AfterHook>& hook : after) {
                retired_after_.push_back(std::move(hook));
            }
        }
    }
}

PORTHOLE_FN Route* Router::find(std::uint32_t id) noexcept {
    for (const std::unique_ptr<Route>& route : routes_) {
        if (route->id == id) {
            return route.get();
        }
    }
    return nullptr;
}

/// One request on its way down a tree. Segments are places in the path that handlers see, so an
/// encoded slash in a segment does not split it.
struct Router::Search {
    RequestParts& parts;
    std::string_view path;
    Method method;
    std::string_view method_name;
    std::string* allowed = nullptr; ///< when set: collect methods instead of matching

    /// The path's segments behind its first slash. A path that had to be normalized is split by its
    /// raw segments, whose decoded sizes are known.
    void split() {
        std::vector<Span>& segments = parts.segments;
        segments.clear();
        if (!parts.path_is_normalized) {
            std::size_t begin = 1;
            for (;;) {
                const std::size_t slash = path.find('/', begin);
                const std::size_t end = slash == std::string_view::npos ? path.size() : slash;
                add_segment(begin, end - begin);
                if (slash == std::string_view::npos) {
                    return;
                }
                begin = slash + 1;
            }
        }
        split_normalized(parts.target.path);
    }

    void split_normalized(std::string_view raw) {
        std::vector<Span>& segments = parts.segments;
        std::size_t begin = 1;
        bool ends_with_dots = false;
        while (!raw.empty()) {
            raw.remove_prefix(1); // the slash
            const std::string_view segment = raw.substr(0, raw.find('/'));
            raw.remove_prefix(segment.size());
            const std::size_t dots = count_dots(segment);
            ends_with_dots = dots == 1 || dots == 2;
            if (dots == 2 && !segments.empty()) {
                begin = segments.back().at;
                segments.pop_back();
            }
            if (!ends_with_dots) {
                const std::size_t size = decoded_size(segment);
                add_segment(begin, size);
                begin += size + 1;
            }
        }
        if (ends_with_dots) {
            add_segment(begin, 0);
        }
    }

    void add_segment(std::size_t at, std::size_t size) {
        parts.segments.push_back(
            Span{static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(size)});
    }

    static std::size_t decoded_size(std::string_view segment) noexcept {
        std::size_t size = segment.size();
        for (const char c : segment) {
            size -= c == '%' ? 2 : 0;
        }
        return size;
    }

    /// 1 for "." and 2 for "..", however encoded; 0 for anything else.
    static std::size_t count_dots(std::string_view segment) noexcept {
        std::size_t dots = 0;
        while (!segment.empty()) {
            const bool is_encoded =
                segment.size() >= 3 && ascii::equals_ignoring_case(segment.substr(0, 3), "%2e");
            if (!is_encoded && segment.front() != '.') {
                return 0;
            }
            segment.remove_prefix(is_encoded ? 3 : 1);
            ++dots;
        }
        return dots <= 2 ? dots : 0;
    }

    bool takes(const Route& route) const noexcept {
        return route.method_name.empty()
               || (route.method == method
                   && (method != Method::other || route.method_name == method_name));
    }

    /// The newest route of that kind that takes the method; GET's for HEAD when there is none.
    Route* pick(const RouteNode& node, Route::Kind kind) {
        Route* best = nullptr;
        Route* as_get = nullptr;
        for (Route* route : node.routes) {
            if (route->kind != kind) {
                continue;
            }
            if (allowed != nullptr) {
                add_allowed(*route);
            } else if (takes(*route)) {
                best = route;
            } else if (route->method == Method::get && method == Method::head) {
                as_get = route;
            }
        }
        return best != nullptr ? best : as_get;
    }

    void add_allowed(const Route& route) {
        add_allowed(route.method_name);
        add_allowed(route.method == Method::get ? "HEAD" : "");
    }

    void add_allowed(std::string_view name) {
        if (!name.empty() && !ascii::list_has(*allowed, name)) {
            *allowed += allowed->empty() ? "" : ", ";
            *allowed += name;
        }
    }

    Route* descend(const RouteNode& node, std::size_t depth) {
        const std::vector<Span>& segments = parts.segments;
        if (depth == segments.size()) {
            Route* route = pick(node, Route::Kind::exact);
            return route != nullptr ? route : pick_mount(node, depth);
        }
        const std::string_view segment = segments[depth].in(path.data());
        for (const RouteNode* literal : node.literals) {
            if (literal->segment == segment) {
                if (Route* route = descend(*literal, depth + 1)) {
                    return route;
                }
            }
        }
        if (node.parameter != nullptr && !segment.empty()) {
            parts.parameters.push_back(PathParameter{{}, segments[depth]});
            if (Route* route = descend(*node.parameter, depth + 1)) {
                return route;
            }
            parts.parameters.pop_back();
        }
        if (Route* route = pick(node, Route::Kind::wildcard)) {
            const auto at = segments[depth].at;
            const auto size = static_cast<std::uint32_t>(path.size() - at);
            parts.parameters.push_back(PathParameter{{}, Span{at, size}});
            return route;
        }
        return pick_mount(node, depth);
    }

    /// What is below the prefix begins with its slash; nothing is below when the path is the
    /// prefix.
    Route* pick_mount(const RouteNode& node, std::size_t depth) {
        Route* route = pick(node, Route::Kind::mount);
        if (route != nullptr) {
            const bool has_rest = depth < parts.segments.size();
            const std::size_t at =
                has_rest ? parts.segments[depth].at - std::size_t{1} : path.size();
            parts.is_mounted = true;
            parts.mount_path =
                Span{static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(path.size() - at)};
        }
        return route;
    }
};

PORTHOLE_FN Route* Router::match(RequestParts& parts, std::string_view host) {
    const Request request(parts);
    parts.parameters.clear();
    parts.is_mounted = false;
    if (parts.target.path.empty() || parts.target.path.front() != '/') {
        return nullptr; // OPTIONS *
    }
    Search search{parts, request.path(), request.method(), request.method_name()};
    search.split();
    const std::size_t index = hosts_.size() == 1 ? 0 : host_index(host);
    Route* route = search.descend(*hosts_[index], 0);
    if (route == nullptr && index != 0) {
        route = search.descend(*hosts_[0], 0);
    }
    if (route != nullptr) {
        for (std::size_t i = 0; i < parts.parameters.size(); ++i) {
            parts.parameters[i].name = route->names[i];
        }
    }
    return route;
}

PORTHOLE_FN std::string Router::allowed_methods(RequestParts& parts, std::string_view host) {
    const Request request(parts);
    std::string allowed;
    if (parts.segments.empty() || parts.target.path.empty() || parts.target.path.front() != '/') {
        return allowed;
    }
    Search search{parts, request.path(), request.method(), request.method_name(), &allowed};
    const std::size_t index = hosts_.size() == 1 ? 0 : host_index(host);
    search.descend(*hosts_[index], 0);
    if (index != 0) {
        search.descend(*hosts_[0], 0);
    }
    parts.parameters.clear();
    if (!allowed.empty()) {
        allowed += ascii::list_has(allowed, "OPTIONS") ? "" : ", OPTIONS";
    }
    return allowed;
}

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/server/mailbox.inl

// porthole/server/mailbox.hpp

// How other threads reach the thread that ticks: letters, which are functions, put down under a
// lock and run inside the next tick. The tick itself looks at one atomic when nothing has come. The
// mailbox is shared with every Reply, so that one which outlives the server finds it closed instead
// of gone.

#include <mutex>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

class Mailbox {
public:
    using Letter = std::function<void()>;

    Error open() { return waker_.open(); }
    /// Throws the letters away; later ones are not taken.
    void close() noexcept;

    /// Any thread.
    void put(Letter letter);
    /// Any thread: the next tick is a stop. Allowed in a signal handler.
    void request_stop() noexcept;
    bool is_stop_requested() const noexcept { return stop_.load(std::memory_order_acquire); }
    void forget_stop() noexcept { stop_.store(false, std::memory_order_release); }

    // For the thread that ticks:
    bool has_letters() const noexcept { return has_letters_.load(std::memory_order_acquire); }
    /// Takes all that has come.
    void take(std::deque<Letter>& into);
    Waker& waker() noexcept { return waker_; }
    /// While true, put() and request_stop() make the waker's descriptor readable. A server that is
    /// only ticked has no use for it, and saves its callers a system call.
    void set_waking(bool is_waking) noexcept { is_waking_.store(is_waking); }

private:
    std::mutex mutex_;
    std::deque<Letter> letters_;
    bool is_closed_ = false;
    std::atomic<bool> has_letters_{false};
    std::atomic<bool> stop_{false};
    std::atomic<bool> is_waking_{false};
    Waker waker_;
};

} // namespace detail

PORTHOLE_NAMESPACE_END

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN void Mailbox::close() noexcept {
    std::deque<Letter> dropped;
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        is_closed_ = true;
        dropped.swap(letters_);
        has_letters_.store(false, std::memory_order_release);
        waker_.close();
    }
    // The letters die here, outside the lock: what they own may put letters of its own.
}

PORTHOLE_FN void Mailbox::put(Letter letter) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (is_closed_) {
        return;
    }
    letters_.push_back(std::move(letter));
    has_letters_.store(true); // before is_waking_ is read: the waiting thread does it the other way
    if (is_waking_.load()) {
        waker_.wake();
    }
}

PORTHOLE_FN void Mailbox::request_stop() noexcept {
    stop_.store(true);
    if (is_waking_.load()) {
        waker_.wake();
    }
}

PORTHOLE_FN void Mailbox::take(std::deque<Letter>& into) {
    const std::lock_guard<std::mutex> lock(mutex_);
    has_letters_.store(false, std::memory_order_release);
    while (!letters_.empty()) {
        into.push_back(std::move(letters_.front()));
        letters_.pop_front();
    }
}

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/server/reply.inl

// porthole/server/core.hpp

// What a Server owns: listeners, connections, watched descriptors, timers, the mailbox, and the
// loop that gives each of them its turn. Connections know it as the provider of shared memory and
// of time.

// porthole/server/connection.hpp

// One connection: bytes in, requests, answers, bytes out, one bounded turn at a time. It owns
// memory only while a request is partial or an answer is on its way; an idle one has none. It never
// destroys itself: it asks the core to bury it, and the core does so when no call on it is left.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

class Connection;
class ServerCore;
struct BodyIntake;
struct ReplyState;
struct RouteScope;

struct ReadyTag {};
struct OpenTag {};
struct IdleTag {};

/// Something that gets turns: a connection, a listener, a watched descriptor.
class Pollable : public ListLink<ReadyTag> {
public:
    /// One unit of work.
    virtual void serve(Readiness ready) = 0;
    /// It threw, which only a failing allocation does: give up what it holds.
    virtual void drop() noexcept = 0;

    void add_readiness(Readiness more) noexcept {
        ready_.read |= more.read;
        ready_.write |= more.write;
        ready_.hangup |= more.hangup;
        ready_.error |= more.error;
    }
    Readiness take_readiness() noexcept {
        const Readiness ready = ready_;
        ready_ = {};
        return ready;
    }

protected:
    ~Pollable() = default;

private:
    Readiness ready_;
};

/// Something that a passed deadline calls.
class TimedTask : public Timer {
public:
    virtual void on_deadline() = 0;
    /// on_deadline() threw: give up what it holds.
    virtual void drop() noexcept = 0;

protected:
    ~TimedTask() = default;
};

/// One request and its answer. Pooled by the core: in steady state all connections use the same
/// one.
struct Exchange {
    explicit Exchange(const Limits& limits) noexcept
        : parser(limits), chunked(limits),
          head(limits.max_request_line_bytes + limits.max_fields_bytes + head_slack) {}

    /// The empty lines around a head do not count against its limits.
    static constexpr std::size_t head_slack = 8;

    Connection* connection = nullptr;
    RequestParser parser;
    ChunkedDecoder chunked;
    Buffer head;                    ///< the head's bytes, once they are needed longer than the turn
    std::string content;            ///< what has come of it, when it did not come whole
    std::uint64_t content_left = 0; ///< of a Content-Length
    std::uint64_t max_content = 0;
    RequestParts request;
    ResponseParts response;
    const RouteScope* scope = nullptr; ///< whose after hooks see the answer
    bool has_request = false;          ///< the head was complete and is shown to handlers
    /// The foreign origin that may read the answer (CORS), or null.
    const std::string* origin = nullptr;
    TimePoint began{};                        ///< when the head was complete
    std::chrono::nanoseconds handler_time{0}; ///< in the user's functions
    std::uint64_t content_sent = 0;
    bool is_over_budget = false;
    bool is_refused = false; ///< the library's own answer, for the error page
    std::shared_ptr<ReplyState> reply;
    std::shared_ptr<BodyIntake> intake; ///< takes the content as it comes
    std::uint64_t content_taken = 0;    ///< by it
    std::uint32_t route_id = 0;         ///< the route that it comes from
    bool is_content_unread = false;     ///< and will not be: the connection ends behind the answer
    unsigned rewrites = 0;              ///< how often another target took the first one's place
    std::string first_method;           ///< what the client asked for, once it was rewritten
    std::string first_target;

    void reset() noexcept;
    /// The Reply, if there is one, does not answer this request any more.
    void drop_reply() noexcept;
};

/// How a connection came in, as far as the guard and the caps care.
struct Entrance {
    bool is_exposed = false;
    bool needs_token = false;
};

class Connection final : public Pollable,
                         public TimedTask,
                         public ListLink<OpenTag>,
                         public ListLink<IdleTag>,
                         public UpgradeLink {
public:
    Connection(
        ServerCore& core, std::unique_ptr<Transport> transport, std::string peer,
        Entrance entrance);
    ~Connection();

    /// Begins to watch; an error means that the connection is to be dropped.
    Error open();
    void serve(Readiness ready) override;
    void drop() noexcept override { close_now(); }
    void on_deadline() override;

    /// What a transport without a descriptor is ready for, as far as it matters now.
    Readiness wanted_readiness() const noexcept;
    /// Answers 503 without having read a request, and closes; in a turn of its own, since hooks see
    /// the answer and may end the listener that it came through.
    void refuse_in_turn() noexcept;
    /// The server stops: closes when idle, else behind the current answer.
    void begin_drain();
    /// The server goes, outside of a tick: one attempt to send what is complete.
    void send_last() noexcept;
    /// Closes at once, whatever is under way.
    void close_now() noexcept;
    /// A handler wants to answer later.
    std::shared_ptr<ReplyState> defer(Exchange& exchange);
    /// A deferred answer has come.
    void complete(ReplyState& reply);
    /// A deferred answer is that of another target.
    void rewrite(ReplyState& reply, std::string_view target);
    void note_dropped_reply();
    void note_second_reply();
    /// A sink goes on, or gives up.
    void resume_content();
    /// A sink's answer is to come before its content has ended.
    Reply defer_content();
    Server& server() noexcept;
    const Limits& limits() const noexcept;
    const Entrance& entrance() const noexcept { return entrance_; }
    bool is_closed() const noexcept { return phase_ == Phase::closed; }
    NativeHandle handle() const noexcept {
        return transport_ ? transport_->handle() : invalid_handle;
    }
    Interest interest() const noexcept { return interest_; }

    // UpgradeLink
    bool send(std::string_view bytes) override;
    std::size_t queued_bytes() const noexcept override;
    void pause_reading(bool is_paused) override;
    void close() override;
    void abort() override;
    void set_deadline(TimePoint deadline) override;
    void wake() override;
    TimePoint now() const noexcept override;
    std::string_view peer() const noexcept override { return peer_; }

private:
    enum class Phase : unsigned char {
        head,      ///< waits for a request, or reads its head
        content,   ///< reads a request's content
        deferred,  ///< a Reply has the answer
        sending,   ///< an answer is on its way and nothing is read meanwhile
        upgraded,  ///< an Upgrade owns the connection
        lingering, ///< all is sent; the peer's rest is drained so that it can read the answer
        closed,
    };

    // connection.inl: bytes in
    void refuse_newcomer();
    void read_requests(Readiness ready);
    std::size_t process(std::string_view bytes);
    void process_held();
    std::size_t take_head(std::string_view bytes);
    std::size_t begin_request(std::string_view bytes);
    template <class Call>
    void call_owner(const Call& call);
    void keep_head();
    void answer();
    void refuse(RequestFault fault);
    void on_peer_end();
    void drain_input(Readiness ready);
    void become_idle();
    void read_upgraded(Readiness ready);
    void finish_turn();
    void update_deadline();
    TimePoint phase_deadline() const noexcept;
    void update_interest();
    void set_interest(Interest wanted);
    void stop_watching() noexcept;
    bool wants_input() const noexcept;

    // connection_content.inl: a request's content
    std::size_t begin_content(std::string_view rest);
    std::size_t take_content(std::string_view bytes);
    std::size_t take_chunked(std::string_view bytes);
    bool add_content(std::string_view piece);
    bool give_content(std::string_view piece);
    bool takes_content() const noexcept;
    bool is_content_paused() const noexcept;
    void end_content();
    void refuse_rest();
    void abort_intake() noexcept;

    // connection_output.inl: bytes out
    bool has_output() const noexcept;
    bool is_idle() const noexcept {
        return phase_ == Phase::head && !exchange_ && in_.is_empty() && !has_output();
    }
    void send_answer();
    void begin_source(const AnswerPlan& plan, bool has_earlier_output);
    void send_output();
    void pull_from_source();
    std::uint64_t next_file_piece(BodySource::FilePiece& piece);
    std::size_t send_file_piece(const BodySource::FilePiece& piece, std::size_t most);
    BodySource::State pull_plain(Buffer& out);
    BodySource::State pull_chunk(Buffer& out);
    void end_source();
    std::size_t write_some(std::size_t most);
    void keep_unsent();
    void on_output_sent();
    void finish_answer();
    void begin_upgrade();
    void begin_linger();
    void report_peer_gone() noexcept;
    void note_access(bool is_complete);

    ServerCore& core_;
    std::unique_ptr<Transport> transport_;
    std::string peer_;
    Entrance entrance_;
    std::unique_ptr<Exchange> exchange_; ///< null when idle
    Buffer in_;                          ///< received and not yet taken; owned only while needed
    Buffer out_;                         ///< not yet taken by the peer
    std::string body_;                   ///< a large answer's content ...
    std::unique_ptr<BodySource> body_owner_; ///< ... or whoever keeps it in memory ...
    std::string_view body_left_;             ///< ... and what of it has not left yet
    std::unique_ptr<BodySource> source_;
    std::shared_ptr<Connection*> source_waker_; ///< what a source's waker reaches us through
    std::uint64_t source_left_ = 0;             ///< of a source of known size
    std::shared_ptr<Upgrade> upgrade_;
    TimePoint phase_began_{};
    TimePoint blocked_began_{};        ///< when the peer began to take less than it is given
    std::uint64_t blocked_bytes_ = 0;  ///< what it has taken since then
    TimePoint stall_deadline_ = never; ///< when output is blocked
    TimePoint owner_deadline_ = never; ///< an Upgrade's
    std::uint64_t received_ = 0; ///< content bytes since phase_began_; drained bytes when lingering
    std::size_t requests_ = 0;
    Phase phase_ = Phase::head;
    Interest interest_;
    bool is_watched_ = false;
    bool needs_more_ = false; ///< what in_ holds has been looked at and is not enough
    bool keep_alive_ = true;  ///< behind the current answer
    bool source_is_chunked_ = false;
    bool source_waits_ = false;
    bool output_is_blocked_ = false; ///< the transport took less than it was given
    bool file_is_blocked_ = false;   ///< so did it with a file's bytes, which nobody holds
    bool reads_files_ = false;       ///< the transport cannot send the source's file by itself
    bool output_moved_ = false;      ///< in this turn
    bool unwanted_input_ = false;    ///< the poller reported input that is not read now
    bool is_reading_paused_ = false; ///< by an Upgrade
    bool is_in_turn_ = false;        ///< an Upgrade is being called in a turn of this connection
    bool wants_wake_ = false;        ///< an Upgrade has asked for it
    bool close_when_sent_ = false;   ///< by an Upgrade
    bool peer_ended_ = false;
    bool is_draining_ = false;
    bool must_refuse_ = false; ///< a newcomer beyond the cap
    bool has_answer_ = false;  ///< being sent, and not yet in the access log
};

} // namespace detail

PORTHOLE_NAMESPACE_END

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// A listener and its turns.
class ListenerEntry final : public Pollable, public TimedTask {
public:
    ListenerEntry(ServerCore& core, Listener listener)
        : core_(core), listener_(static_cast<Listener&&>(listener)) {}
    ~ListenerEntry();

    Error open();
    void serve(Readiness ready) override;
    void drop() noexcept override { back_off(); }
    void on_deadline() override;
    const Listener& listener() const noexcept { return listener_; }
    Interest interest() const noexcept { return interest_; }

private:
    void back_off() noexcept;

    ServerCore& core_;
    Listener listener_;
    Interest interest_;
};

/// A watched descriptor and its turns. Shared by its handle; knows the core until either goes.
class WatchEntry final : public Pollable, public ListLink<OpenTag> {
public:
    WatchEntry(ServerCore& core, NativeHandle handle, Interest interest, WatchCallback callback)
        : core_(&core), handle_(handle), interest_(interest), callback_(std::move(callback)) {}

    Error open();
    void serve(Readiness ready) override;
    void drop() noexcept override { stop(); }
    void set_interest(Interest interest);
    void stop() noexcept;
    NativeHandle handle() const noexcept { return handle_; }
    Interest interest() const noexcept { return interest_; }
    void keep_alive(std::weak_ptr<WatchEntry> self) { self_ = std::move(self); }

private:
    ServerCore* core_; ///< null once it has stopped
    NativeHandle handle_;
    Interest interest_;
    WatchCallback callback_;
    std::weak_ptr<WatchEntry> self_; ///< so that a callback may drop its own handle
};

/// The waker's end in the poller.
class WakerEntry final : public Pollable {
public:
    explicit WakerEntry(Mailbox& mailbox) noexcept : mailbox_(mailbox) {}
    void serve(Readiness) override { mailbox_.waker().drain(); }
    void drop() noexcept override {}

private:
    Mailbox& mailbox_;
};

/// A call that is still to come. Shared with its handle.
class TimerEntry final : public TimedTask {
public:
    TimerEntry(ServerCore& core, std::function<void()> task)
        : core_(core), task_(std::move(task)) {}
    void on_deadline() override;
    void drop() noexcept override {
        unlink();
        task_ = nullptr;
    }
    void keep_alive(std::weak_ptr<TimerEntry> self) { self_ = std::move(self); }

private:
    ServerCore& core_; ///< which makes the call; a handle may outlive it
    std::function<void()> task_;
    std::weak_ptr<TimerEntry> self_; ///< so that the call may drop its own handle
};

class ServerCore {
public:
    explicit ServerCore(Options options);
    ~ServerCore();
    ServerCore(const ServerCore&) = delete;
    ServerCore& operator=(const ServerCore&) = delete;

    // core.inl: the loop
    TickReport tick(std::chrono::nanoseconds budget);
    TickReport tick_until(TimePoint deadline);
    TickReport wait(std::chrono::milliseconds timeout);
    void run();
    bool is_running() const noexcept;
    /// Closes everything; deletes itself, now or when the tick that called it has ended.
    void shut_down() noexcept;
    TimePoint next_deadline() noexcept;
    void wake_always() noexcept;
    Stats stats() const;

    // core_listen.inl: listeners, connections, watches
    Error listen(std::string_view host, std::uint16_t port, const ListenOptions& options);
    Error listen_unix(std::string_view path, unsigned mode);
    Error adopt(std::unique_ptr<Transport> transport, std::string_view peer);
    Error watch(
        NativeHandle handle, Interest interest, WatchCallback callback,
        std::shared_ptr<WatchEntry>& entry);
    void for_each_pollfd(const std::function<void(NativeHandle, Interest)>& visit) const;
    std::vector<Endpoint> endpoints() const;
    std::uint16_t port() const noexcept;
    std::vector<std::string> urls() const;
    void accept(Socket socket, const Endpoint& peer, Entrance entrance);
    std::string token();
    bool may_accept() noexcept;
    void note_exhausted() noexcept;
    std::shared_ptr<TimerEntry> call_after(Duration delay, std::function<void()> task);
    void add_watch(WatchEntry& entry) noexcept { watches_.push_back(entry); }

    // dispatch.inl: from a request to its answer
    /// Hooks, route, handler: fills in x.response, or leaves it deferred.
    void handle(Exchange& x);
    /// The error page and the after hooks, for answers that handle() did not see the end of.
    void finish_response(Exchange& x);
    void refuse(Exchange& x, RequestFault fault, std::string_view peer);
    void refuse_overload(Exchange& x, std::string_view peer);
    /// The guard. False when the request goes no further: x then holds the answer.
    bool admit(Exchange& x, const Entrance& entrance);
    bool has_access_log() const noexcept { return options_.access_log != nullptr; }
    void note_access(const Exchange& x, bool is_complete);
    std::shared_ptr<ReplyState> defer(Exchange& x);
    /// rewrite.inl: makes it a request for `target` of this server, and handles that.
    void rewrite(Exchange& x, std::string_view target);
    /// What becomes of a request's content.
    enum class Content : unsigned char {
        collected, ///< in x.content, x.max_content at the most
        streamed,  ///< x.intake takes it
        refused,   ///< x holds the answer, and the content is not read
    };
    Content receive(Exchange& x);
    /// False when the sink threw: x then holds the answer, which is still to be finished, and no
    /// sink any more.
    bool give(Exchange& x, std::string_view piece);
    /// The content has ended behind an answer that was begun before.
    void end_content(Exchange& x);
    /// A sink takes no more: x then holds the answer.
    void answer_refusal(Exchange& x);
    void set_error_page(Handler page);

    // What connections use.
    /// Answers of one turn beyond this are sent before the next request is taken.
    static constexpr std::size_t max_answers_bytes = 64 * 1024;
    /// What a body source is asked for at a time.
    static constexpr std::size_t max_piece_bytes = 64 * 1024;
    /// Exchanges that are kept for reuse.
    static constexpr std::size_t max_free_exchanges = 16;

    const Options& options() const noexcept { return options_; }
    void set_server(Server& server) noexcept { server_ = &server; }
    Server& server() noexcept { return *server_; }
    NativeHandle poller_handle() const noexcept {
        return poller_ ? poller_->native_handle() : invalid_handle;
    }
    const Limits& limits() const noexcept { return options_.limits; }
    Router& router() noexcept { return *router_; }
    const std::shared_ptr<Router>& shared_router() noexcept { return router_; }
    const std::shared_ptr<Mailbox>& mailbox() noexcept { return mailbox_; }
    Poller& poller() noexcept { return *poller_; }
    TimerWheel& timers() noexcept { return timers_; }
    /// The server's time: the clock, less the gaps in which nobody ticked.
    TimePoint now() const noexcept { return now_; }
    TimePoint read_clock() noexcept { return read_clock(limits().max_tick_gap); }
    TimePoint read_clock(Duration longest) noexcept;
    TimePoint last_reading() const noexcept { return clock_; }
    bool is_out_of_time() const noexcept { return clock_ >= budget_end_; }
    char* read_buffer() noexcept { return read_buffer_.get(); }
    Buffer& out() noexcept { return out_; }
    const Buffer& out() const noexcept { return out_; }
    const DefaultFields& default_fields() noexcept;
    std::unique_ptr<Exchange> acquire_exchange();
    void release_exchange(std::unique_ptr<Exchange> exchange) noexcept;
    /// One that waits for its turn already keeps its place: asking again must not cost it its turn.
    void make_ready(Pollable& item) noexcept {
        if (!item.is_linked()) {
            ready_.push_back(item);
        }
    }
    void note_idle(Connection& connection) noexcept { idle_.push_back(connection); }
    void bury(Connection& connection) noexcept;

    void count_work() noexcept { ++work_; }
    void count_in(std::size_t bytes) noexcept;
    void count_out(std::size_t bytes) noexcept;
    void count_request() noexcept { ++report_.requests; }
    void count_response() noexcept { ++report_.responses; }
    void log(LogLevel level, LogId id, std::string_view sentence, std::string_view peer = {});
    void note_timeout(std::string_view sentence, std::string_view peer);
    void note_failure(std::string_view sentence, std::string_view peer);

private:
    // core.inl
    bool begin_tick(TimePoint budget_end) noexcept;
    TickReport end_tick() noexcept;
    void serve_rounds();
    void serve_batch();
    void poll(Duration timeout);
    Duration time_to_next_deadline() noexcept;
    void read_mail();
    void expire_timers();
    Duration allowed_gap() const noexcept;
    void read_clock_after_gap() noexcept;
    void begin_stop();
    void finish_stop();
    void close_connections() noexcept;
    void clear_graveyard() noexcept;

    // core_listen.inl
    std::size_t count_from(std::string_view peer) noexcept;
    Error start_listening(std::vector<Listener> opened);
    void restart() noexcept;

    // dispatch.inl
    template <class Step>
    bool run_user_code(Exchange& x, const Step& step);
    void handle_steps(Exchange& x);
    void finish_steps(Exchange& x);
    std::string_view host_for_routing(const Request& request) const noexcept;
    void run_route(Exchange& x, const Request& request, Response& response);
    void answer_unrouted(Exchange& x, const Request& request, Response& response);
    bool run_before_hooks(
        const RouteScope* scope, Exchange& x, const Request& request, Response& response);
    void make_error(Exchange& x, int status, std::string_view sentence);
    std::uint64_t max_content(const Route* route) const noexcept;
    bool open_intake(Exchange& x);
    void end_intake(Exchange& x, const Request& request, Response& response);
    RequestFault show_rewritten(Exchange& x, std::string_view target);
    void answer_login(Exchange& x);
    void answer_preflight(Exchange& x);
    void show_nothing(Exchange& x, std::string_view peer) noexcept;

    Server* server_ = nullptr;
    Options options_;
    Gatekeeper gatekeeper_;
    SystemClock system_clock_;
    Clock* clock_source_;
    TimePoint clock_;    ///< as last read
    Duration skipped_{}; ///< gaps that deadlines do not count
    TimePoint now_;      ///< clock_ - skipped_
    TimePoint budget_end_;
    TimePoint tick_began_;
    TimePoint promised_ = (TimePoint::min)(); ///< what next_deadline() told the host
    TimerWheel timers_;
    std::unique_ptr<Poller> poller_;
    std::shared_ptr<Mailbox> mailbox_;
    WakerEntry waker_entry_;
    std::shared_ptr<Router> router_;
    std::shared_ptr<Handler> error_page_;
    RequestHead empty_head_;              ///< what the request of an answer to nothing shows
    std::deque<Mailbox::Letter> letters_; ///< taken from the mailbox and not yet run

    std::vector<std::unique_ptr<ListenerEntry>> listeners_;
    IntrusiveList<Pollable, ReadyTag> ready_;
    IntrusiveList<Connection, OpenTag> open_;
    IntrusiveList<Connection, OpenTag>
        descriptorless_;                      ///< in-memory transports: asked in each round
    IntrusiveList<Connection, IdleTag> idle_; ///< the longest idle one first
    IntrusiveList<Connection, OpenTag> graveyard_;
    IntrusiveList<WatchEntry, OpenTag> watches_;
    std::vector<std::unique_ptr<Exchange>> exchanges_; ///< free ones

    std::unique_ptr<char[]> read_buffer_;
    std::unique_ptr<Poller::Event[]> events_;
    Buffer out_;
    DefaultFields default_fields_;
    std::int64_t date_period_ = -1; ///< of the clock, in which the Date field was written
    TickReport report_;
    Stats stats_;
    TimePoint stop_deadline_ = never;
    std::size_t connections_ = 0;
    std::size_t accepts_left_ = 0;
    std::uint64_t work_ = 0;  ///< grows with everything that was done
    bool* is_gone_ = nullptr; ///< tells run() that the server was destroyed
    bool is_ticking_ = false;
    bool is_draining_ = false;
    bool is_shut_down_ = false;
    bool wakes_always_ = false;
    Error broken_; ///< why the poller or the waker could not be made; listen() tells
};

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/server/reply_state.hpp

// What stands behind the copies of one Reply, and how it finds its connection again.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

class Connection;

/// Shared by the Reply's copies, the connection, and the letter that carries the answer home.
struct ReplyState {
    ResponseParts parts; ///< written by whoever finishes, then read by the ticking thread
    Connection* connection = nullptr; ///< ticking thread only; null once the connection has gone
    std::shared_ptr<Mailbox> mailbox;
    std::atomic<bool> is_finished{false};
    std::atomic<bool> peer_gone{false};
};

/// Lives as long as any copy of the Reply; the end of the last one is an answer, too.
class ReplyOwner {
public:
    explicit ReplyOwner(std::shared_ptr<ReplyState> state) noexcept;
    ReplyOwner(const ReplyOwner&) = delete;
    ReplyOwner& operator=(const ReplyOwner&) = delete;
    ~ReplyOwner();

    ReplyState& state() noexcept { return *state_; }
    /// True for the first caller only: the right to answer is used up.
    bool claim() noexcept { return !state_->is_finished.exchange(true); }
    /// Sends what stands in parts.
    void deliver();
    /// Sends the answer of another target.
    void deliver_rewritten(std::string_view target);
    /// Somebody finished a second time: says so in the log.
    void report_repetition();

private:
    std::shared_ptr<ReplyState> state_;
};

} // namespace detail

PORTHOLE_NAMESPACE_END

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN ReplyOwner::ReplyOwner(std::shared_ptr<ReplyState> state) noexcept
    : state_(std::move(state)) {}

PORTHOLE_FN ReplyOwner::~ReplyOwner() {
    if (!claim()) {
        return;
    }
    state_->parts.reset();
    state_->parts.status = 500;
    state_->parts.is_touched = true;
    PORTHOLE_TRY {
        state_->mailbox->put([state = state_] {
            if (state->connection != nullptr) {
                state->connection->note_dropped_reply();
                state->connection->complete(*state);
            }
        });
    }
    PORTHOLE_CATCH_ALL {} // no memory for the letter: the client's own deadline ends it
}

/// Runs on the ticking thread, in the next tick; by then the connection may have gone.
PORTHOLE_FN void ReplyOwner::deliver() {
    state_->mailbox->put([state = state_] {
        if (state->connection != nullptr) {
            state->connection->complete(*state);
        }
    });
}

PORTHOLE_FN void ReplyOwner::report_repetition() {
    PORTHOLE_ASSERT(false, "a Reply answers once; this second answer is not sent");
    state_->mailbox->put([state = state_] {
        if (state->connection != nullptr) {
            state->connection->note_second_reply();
        }
    });
}

} // namespace detail

PORTHOLE_FN Reply Response::defer() {
    PORTHOLE_ASSERT(
        parts_->exchange != nullptr && !parts_->is_deferred,
        "defer() is called once, inside a handler");
    if (parts_->exchange == nullptr || parts_->is_deferred) {
        return Reply();
    }
    detail::Exchange& exchange = *parts_->exchange;
    return Reply(std::make_shared<detail::ReplyOwner>(exchange.connection->defer(exchange)));
}

PORTHOLE_FN Reply::Reply(std::shared_ptr<detail::ReplyOwner> owner) noexcept
    : owner_(std::move(owner)) {}

template <class Fill>
PORTHOLE_FN void Reply::finish_with(const Fill& fill) {
    if (!owner_) {
        return;
    }
    if (!owner_->claim()) {
        owner_->report_repetition();
        return;
    }
    Response response(owner_->state().parts);
    fill(response);
    owner_->deliver();
}

PORTHOLE_FN Reply& Reply::status(int code) {
    if (!is_finished()) {
        Response(owner_->state().parts).status(code);
    }
    return *this;
}

PORTHOLE_FN Reply& Reply::header(std::string_view name, std::string_view value) {
    if (!is_finished()) {
        Response(owner_->state().parts).header(name, value);
    }
    return *this;
}

PORTHOLE_FN Reply& Reply::add_header(std::string_view name, std::string_view value) {
    if (!is_finished()) {
        Response(owner_->state().parts).add_header(name, value);
    }
    return *this;
}

PORTHOLE_FN Reply&
Reply::cookie(std::string_view name, std::string_view value, const CookieOptions& options) {
    if (!is_finished()) {
        Response(owner_->state().parts).cookie(name, value, options);
    }
    return *this;
}

PORTHOLE_FN void Reply::send(std::string_view type, std::string_view bytes) {
    finish_with([&](Response& response) { response.send(type, bytes); });
}

PORTHOLE_FN void Reply::send(std::string_view type, std::unique_ptr<BodySource> source) {
    finish_with([&](Response& response) { response.send(type, std::move(source)); });
}

PORTHOLE_FN void Reply::text(std::string_view bytes) {
    finish_with([&](Response& response) { response.text(bytes); });
}

PORTHOLE_FN void Reply::html(std::string_view bytes) {
    finish_with([&](Response& response) { response.html(bytes); });
}

PORTHOLE_FN void Reply::json(std::string_view bytes) {
    finish_with([&](Response& response) { response.json(bytes); });
}

PORTHOLE_FN void Reply::redirect(std::string_view location, int code) {
    finish_with([&](Response& response) { response.redirect(location, code); });
}

PORTHOLE_FN void Reply::no_content() {
    finish_with([&](Response& response) { response.no_content(); });
}

PORTHOLE_FN void Reply::fail(int code, std::string_view sentence) {
    finish_with([&](Response& response) { response.fail(code, sentence); });
}

PORTHOLE_FN void Reply::finish() {
    finish_with([](Response&) {});
}

PORTHOLE_FN bool Reply::peer_gone() const noexcept {
    return !owner_ || owner_->state().peer_gone.load();
}

PORTHOLE_FN bool Reply::is_finished() const noexcept {
    return !owner_ || owner_->state().is_finished.load();
}

PORTHOLE_NAMESPACE_END

// porthole/server/body_sink.inl

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN void BodyIntake::abort() noexcept {
    if (is_over) {
        return;
    }
    is_over = true;
    connection = nullptr;
    const std::function<void()> give_up = std::move(on_abort);
    PORTHOLE_TRY {
        if (give_up) {
            give_up();
        }
    }
    PORTHOLE_CATCH_ALL {} // it was the last that the program had to say of this content
    forget();
}

PORTHOLE_FN void BodyIntake::forget() noexcept {
    is_over = true;
    connection = nullptr;
    on_data = nullptr;
    on_end = nullptr;
    on_abort = nullptr;
    on_head = nullptr;
    program = nullptr;
}

} // namespace detail

PORTHOLE_FN BodySink::BodySink() : intake_(std::make_shared<detail::BodyIntake>()) {}

PORTHOLE_FN BodySink BodySink::refuse(int status, std::string_view sentence) {
    constexpr int first_error = 400;
    constexpr int last_error = 599;
    constexpr int internal_server_error = 500;
    const bool is_error = status >= first_error && status <= last_error;
    PORTHOLE_ASSERT(is_error, "a refusal is a status from 400 to 599");
    BodySink sink;
    sink.intake_->refusal = is_error ? status : internal_server_error;
    sink.intake_->refusal_sentence.assign(sentence);
    return sink;
}

PORTHOLE_FN BodySink& BodySink::on_data(std::function<void(std::string_view piece)> take) & {
    functions().on_data = std::move(take);
    return *this;
}

PORTHOLE_FN BodySink&& BodySink::on_data(std::function<void(std::string_view piece)> take) && {
    return std::move(on_data(std::move(take)));
}

PORTHOLE_FN BodySink& BodySink::on_end(Handler answer) & {
    functions().on_end = std::move(answer);
    return *this;
}

PORTHOLE_FN BodySink&& BodySink::on_end(Handler answer) && {
    return std::move(on_end(std::move(answer)));
}

PORTHOLE_FN BodySink& BodySink::on_abort(std::function<void()> give_up) & {
    functions().on_abort = std::move(give_up);
    return *this;
}

PORTHOLE_FN BodySink&& BodySink::on_abort(std::function<void()> give_up) && {
    return std::move(on_abort(std::move(give_up)));
}

PORTHOLE_FN BodySink& BodySink::max_bytes(std::uint64_t bytes) & {
    intake_->max_bytes = bytes;
    return *this;
}

PORTHOLE_FN BodySink&& BodySink::max_bytes(std::uint64_t bytes) && {
    return std::move(max_bytes(bytes));
}

PORTHOLE_FN void BodyFlow::pause() {
    if (const std::shared_ptr<detail::BodyIntake> intake = intake_.lock()) {
        intake->is_paused = true;
    }
}

PORTHOLE_FN void BodyFlow::resume() {
    const std::shared_ptr<detail::BodyIntake> intake = intake_.lock();
    if (intake && intake->is_paused) {
        intake->is_paused = false;
        if (intake->connection != nullptr) {
            intake->connection->resume_content();
        }
    }
}

PORTHOLE_FN void BodyFlow::refuse(int status, std::string_view sentence) {
    constexpr int first_error = 400;
    constexpr int last_error = 599;
    constexpr int internal_server_error = 500;
    const bool is_error = status >= first_error && status <= last_error;
    PORTHOLE_ASSERT(is_error, "a refusal is a status from 400 to 599");
    const std::shared_ptr<detail::BodyIntake> intake = intake_.lock();
    if (!intake || intake->is_over || intake->refusal != 0) {
        return;
    }
    intake->refusal = is_error ? status : internal_server_error;
    intake->refusal_sentence.assign(sentence);
    if (intake->connection != nullptr) {
        intake->connection->resume_content();
    }
}

PORTHOLE_FN Reply BodyFlow::defer() {
    const std::shared_ptr<detail::BodyIntake> intake = intake_.lock();
    const bool is_possible = intake && intake->connection != nullptr;
    PORTHOLE_ASSERT(is_possible, "defer() is for content that is coming in");
    return is_possible ? intake->connection->defer_content() : Reply();
}

PORTHOLE_FN bool BodyFlow::is_over() const noexcept {
    const std::shared_ptr<detail::BodyIntake> intake = intake_.lock();
    return !intake || intake->is_over;
}

PORTHOLE_NAMESPACE_END

// porthole/server/stream.inl

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN void StreamState::wake() {
    if (waker) {
        waker();
    }
}

PORTHOLE_FN void StreamState::end(bool is_complete) noexcept {
    is_over = true;
    waker = nullptr;
    on_writable = nullptr;
    const std::function<void()> give_up = std::move(on_abort);
    on_abort = nullptr;
    queue.release();
    PORTHOLE_TRY {
        if (give_up && !is_complete) {
            give_up();
        }
    }
    PORTHOLE_CATCH_ALL {} // nobody is left to tell
}

PORTHOLE_FN StreamSource::~StreamSource() {
    const bool has_all = state_->size && sent_ == *state_->size; // whether finish() came or not
    state_->end(has_all || state_->is_finished || state_->is_broken);
}

PORTHOLE_FN BodySource::Piece StreamSource::pull(char* into, std::size_t capacity) {
    const std::shared_ptr<StreamState> state = state_; // the program may end us meanwhile
    if (state->is_broken) {
        return {State::failed, 0};
    }
    const std::size_t size = state->queue.size() < capacity ? state->queue.size() : capacity;
    if (size != 0) {
        std::memcpy(into, state->queue.data(), size);
        state->queue.consume(size);
        sent_ += size;
    }
    if (state->was_short && state->queue.size() <= state->low_mark_bytes) {
        state->was_short = false;
        if (const std::function<void()> go_on = state->on_writable) {
            go_on();
        }
    }
    if (state->is_broken) {
        return {State::failed, 0};
    }
    if (!state->queue.is_empty()) {
        return {State::more, size};
    }
    return {state->is_finished ? State::end : State::wait, size};
}

} // namespace detail

/// The last copy of a stream that was not finished can never be.
struct Stream::Owner {
    explicit Owner(std::shared_ptr<detail::StreamState> shared) : state(std::move(shared)) {}
    Owner(const Owner&) = delete;
    Owner& operator=(const Owner&) = delete;
    ~Owner() {
        if (!state->is_finished && !state->is_over) {
            state->is_broken = true;
            PORTHOLE_TRY {
                state->wake();
            }
            PORTHOLE_CATCH_ALL {} // the client's own deadline ends it
        }
    }

    std::shared_ptr<detail::StreamState> state;
};

PORTHOLE_FN Stream::Stream(std::shared_ptr<detail::StreamState> state)
    : state_(std::move(state)), owner_(std::make_shared<Owner>(state_)) {}

PORTHOLE_FN std::size_t Stream::write(std::string_view bytes) {
    if (!is_open()) {
        return 0;
    }
    const std::size_t free = room();
    const std::size_t size = bytes.size() < free ? bytes.size() : free;
    state_->was_short = state_->was_short || size < bytes.size();
    if (size != 0 && state_->queue.append(bytes.substr(0, size))) {
        state_->wake();
        return size;
    }
    return 0;
}

PORTHOLE_FN bool Stream::write_whole(std::string_view bytes) {
    if (!is_open()) {
        return false;
    }
    if (bytes.size() > room()) {
        state_->was_short = true;
        return false;
    }
    return write(bytes) == bytes.size();
}

PORTHOLE_FN void Stream::on_writable(std::function<void()> go_on) {
    if (is_open()) {
        state_->on_writable = std::move(go_on);
    }
}

PORTHOLE_FN void Stream::on_abort(std::function<void()> give_up) {
    if (is_open()) {
        state_->on_abort = std::move(give_up);
    }
}

PORTHOLE_FN void Stream::trailer(std::string_view name, std::string_view value) {
    value = ascii::trim(value);
    const bool is_allowed = ascii::is_token(name) && ascii::is_field_value(value)
                            && !detail::is_forbidden_in_trailer(name);
    PORTHOLE_ASSERT(
        is_allowed, "a trailer field is a token and a value without controls, and none that "
                    "the content depends on");
    if (is_allowed && is_open()) {
        detail::append_field_line(state_->trailer, name, value);
    }
}

PORTHOLE_FN void Stream::finish() {
    if (is_open()) {
        state_->is_finished = true;
        state_->on_writable = nullptr;
        state_->wake();
    }
}

PORTHOLE_FN void Stream::abort() {
    if (state_ && !state_->is_over) {
        state_->is_broken = true;
        state_->wake();
    }
}

PORTHOLE_FN std::size_t Stream::queued_bytes() const noexcept {
    return state_ ? state_->queue.size() : 0;
}

PORTHOLE_FN std::size_t Stream::room() const noexcept {
    return is_open() ? state_->queue.max_bytes() - state_->queue.size() : 0;
}

PORTHOLE_FN bool Stream::is_open() const noexcept {
    return state_ && !state_->is_over && !state_->is_finished && !state_->is_broken;
}

PORTHOLE_FN Stream Response::stream(std::string_view type, const StreamOptions& options) {
    constexpr std::size_t low_mark_part = 4;
    const std::size_t most = parts_->exchange != nullptr
                                 ? parts_->exchange->connection->limits().max_queue_bytes
                                 : Limits{}.max_queue_bytes;
    const std::size_t high = options.high_mark_bytes != 0 ? options.high_mark_bytes : most;
    const std::size_t low =
        options.low_mark_bytes != 0 ? options.low_mark_bytes : high / low_mark_part;
    PORTHOLE_ASSERT(low <= high, "a low mark is not above the high mark");
    auto state = std::make_shared<detail::StreamState>(high, low < high ? low : high, options.size);
    send(type, std::unique_ptr<BodySource>(new detail::StreamSource(state)));
    return Stream(std::move(state));
}

PORTHOLE_FN Server* Response::server() const noexcept {
    return parts_->exchange != nullptr ? &parts_->exchange->connection->server() : nullptr;
}

PORTHOLE_NAMESPACE_END

// porthole/server/timer.inl

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN void TimerEntry::on_deadline() {
    const std::shared_ptr<TimerEntry> self = self_.lock(); // the call may drop its own handle
    const std::function<void()> task = std::move(task_);
    task_ = nullptr;
    PORTHOLE_TRY {
        if (self && task) {
            task();
        }
    }
    PORTHOLE_CATCH_ALL { // here, since nobody else may know that it still exists
        core_.log(LogLevel::error, LogId::handler_threw, "A timer's task ended with an exception.");
    }
}

PORTHOLE_FN std::shared_ptr<TimerEntry>
ServerCore::call_after(Duration delay, std::function<void()> task) {
    auto entry = std::make_shared<TimerEntry>(*this, std::move(task));
    entry->keep_alive(entry);
    // Between ticks the clock is only looked at: how long a gap may be is for the tick to say.
    const Duration since = clock_source_->now() - clock_;
    const Duration allowed = allowed_gap();
    const TimePoint time = now_ + (since < allowed ? since : allowed);
    timers_.arm(*entry, delay < never - time ? time + delay : never);
    return entry;
}

} // namespace detail

PORTHOLE_FN TimerHandle::TimerHandle(std::shared_ptr<detail::TimerEntry> entry) noexcept
    : entry_(std::move(entry)) {}

PORTHOLE_FN TimerHandle& TimerHandle::operator=(TimerHandle&& other) noexcept {
    if (this != &other) {
        cancel();
        entry_ = std::move(other.entry_);
    }
    return *this;
}

PORTHOLE_FN void TimerHandle::cancel() noexcept {
    if (entry_) {
        entry_->drop();
        entry_.reset();
    }
}

PORTHOLE_FN bool TimerHandle::is_pending() const noexcept {
    return entry_ && entry_->is_armed();
}

PORTHOLE_FN TaskPoster::TaskPoster(std::shared_ptr<detail::Mailbox> mailbox) noexcept
    : mailbox_(std::move(mailbox)) {}

PORTHOLE_FN void TaskPoster::post(std::function<void()> task) const {
    PORTHOLE_ASSERT(task, "a task is a function");
    if (task && mailbox_) {
        mailbox_->put(std::move(task));
    }
}

PORTHOLE_NAMESPACE_END

// porthole/server/event_stream.inl

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

struct EventStreamState {
    ~EventStreamState() { stream.finish(); }

    Stream stream;
    TimerHandle heartbeat;
    std::string text;      ///< reused from event to event
    bool was_sent = false; ///< since the last heartbeat
};

/// Comments while nothing else is sent. The timer holds no share of the stream, which is the
/// program's.
inline void beat(const std::shared_ptr<EventStreamState>& state, Server& server) {
    state->heartbeat = server.call_after(
        EventStream::heartbeat, [weak = std::weak_ptr<EventStreamState>(state), &server] {
            const std::shared_ptr<EventStreamState> shared = weak.lock();
            if (!shared || !shared->stream.is_open()) {
                return;
            }
            if (!std::exchange(shared->was_sent, false)) {
                shared->stream.write_whole(":\n\n");
            }
            beat(shared, server);
        });
}

} // namespace detail

PORTHOLE_FN bool EventStream::send(const ServerSentEvent& event) {
    if (!is_open()) {
        return false;
    }
    state_->text.clear();
    detail::append_event(state_->text, event);
    const bool is_sent = state_->stream.write_whole(state_->text);
    state_->was_sent = state_->was_sent || is_sent;
    return is_sent;
}

PORTHOLE_FN bool EventStream::comment(std::string_view text) {
    if (!is_open()) {
        return false;
    }
    state_->text.clear();
    detail::append_event_comment(state_->text, text);
    const bool is_sent = state_->stream.write_whole(state_->text);
    state_->was_sent = state_->was_sent || is_sent;
    return is_sent;
}

PORTHOLE_FN void EventStream::on_close(std::function<void()> gone) {
    if (state_) {
        state_->stream.on_abort(std::move(gone));
    }
}

PORTHOLE_FN void EventStream::close() {
    if (state_) {
        state_->heartbeat.cancel();
        state_->stream.finish();
    }
}

PORTHOLE_FN std::size_t EventStream::queued_bytes() const noexcept {
    return state_ ? state_->stream.queued_bytes() : 0;
}

PORTHOLE_FN bool EventStream::is_open() const noexcept {
    return state_ && state_->stream.is_open();
}

PORTHOLE_FN EventStream Response::events() {
    auto state = std::make_shared<detail::EventStreamState>();
    state->stream = stream(detail::event_stream_type);
    detail::set_event_stream_fields(*this);
    if (Server* const owner = server()) {
        detail::beat(state, *owner);
    }
    return EventStream(std::move(state));
}

PORTHOLE_NAMESPACE_END

// porthole/server/connection.inl

// The input side of a connection. What becomes of a request's content is in connection_content.inl,
// the output side in connection_output.inl, what every turn ends with in connection_turn.inl.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN void Exchange::reset() noexcept {
    constexpr std::size_t kept_content = 64 * 1024;
    connection = nullptr;
    parser.reset();
    chunked.reset();
    head.clear();
    content.clear();
    if (content.capacity() > kept_content) {
        std::string().swap(content);
    }
    content_left = max_content = 0;
    request.reset();
    response.reset();
    scope = nullptr;
    origin = nullptr;
    handler_time = std::chrono::nanoseconds(0);
    content_sent = 0;
    has_request = is_refused = is_over_budget = false;
    drop_reply();
    if (intake) {
        intake->abort();
        intake.reset();
    }
    content_taken = 0;
    route_id = 0;
    is_content_unread = false;
    rewrites = 0;
    first_method.clear();
    first_target.clear();
}

PORTHOLE_FN void Exchange::drop_reply() noexcept {
    if (reply) {
        reply->connection = nullptr;
        reply->peer_gone.store(true);
        reply.reset();
    }
}

PORTHOLE_FN Server& Connection::server() noexcept {
    return core_.server();
}

PORTHOLE_FN const Limits& Connection::limits() const noexcept {
    return core_.limits();
}

PORTHOLE_FN
Connection::Connection(
    ServerCore& core, std::unique_ptr<Transport> transport, std::string peer, Entrance entrance)
    : core_(core), transport_(std::move(transport)), peer_(std::move(peer)), entrance_(entrance),
      in_(core.limits().max_request_line_bytes + core.limits().max_fields_bytes
          + core.limits().max_read_bytes_per_turn + Exchange::head_slack),
      out_(
          core.limits().max_queue_bytes + core.limits().max_write_bytes_per_turn
          + ServerCore::max_answers_bytes),
      phase_began_(core.now()) {}

PORTHOLE_FN Connection::~Connection() {
    if (exchange_) {
        core_.release_exchange(std::move(exchange_));
    }
}

PORTHOLE_FN Error Connection::open() {
    core_.timers().arm(*this, phase_deadline());
    core_.note_idle(*this); // one that never says a word makes room at the cap, too
    interest_ = Interest{true, false};
    if (transport_->handle() == invalid_handle) {
        return {};
    }
    Pollable* owner = this;
    Error error = core_.poller().add(transport_->handle(), owner, interest_);
    is_watched_ = !error;
    return error;
}

PORTHOLE_FN void Connection::serve(Readiness ready) {
    output_moved_ = false;
    if (must_refuse_) {
        refuse_newcomer();
        return;
    }
    unwanted_input_ = ready.read && !wants_input();
    if (has_output() || source_ != nullptr) {
        send_output();
    }
    switch (phase_) {
    case Phase::head:
    case Phase::content:
    case Phase::deferred:
    case Phase::sending:
        if (exchange_ && exchange_->intake && exchange_->intake->refusal != 0) {
            refuse_rest();
            if (phase_ != Phase::closed) {
                send_output();
            }
        } else if (wants_input()) {
            read_requests(ready);
        } else if (ready.hangup || ready.error) {
            report_peer_gone(); // and not told again in vain until the answers have left
        }
        break;
    case Phase::upgraded: read_upgraded(ready); break;
    case Phase::lingering: drain_input(ready); break;
    case Phase::closed: break;
    }
    finish_turn();
}

PORTHOLE_FN bool Connection::wants_input() const noexcept {
    switch (phase_) {
    case Phase::head: return !has_output();
    case Phase::content: return !has_output() && !is_content_paused();
    case Phase::upgraded: return !is_reading_paused_ && !peer_ended_;
    case Phase::lingering: return true;
    case Phase::sending: return takes_content() && !is_content_paused();
    case Phase::deferred:
    case Phase::closed: return false;
    }
    return false;
}

PORTHOLE_FN void Connection::read_requests(Readiness ready) {
    if (!in_.is_empty() && !needs_more_) {
        process_held();
        const bool is_upgraded = phase_ == Phase::upgraded; // what comes now is its owner's
        if (is_upgraded || !wants_input() || (!in_.is_empty() && !needs_more_)) {
            return;
        }
    }
    if (!ready.read && !ready.hangup && !ready.error) {
        return;
    }
    const std::size_t most = core_.limits().max_read_bytes_per_turn;
    const IoResult result = transport_->read(core_.read_buffer(), most);
    if (result.status == IoStatus::would_block) {
        return;
    }
    if (result.status == IoStatus::failed) {
        close_now();
        return;
    }
    if (result.status == IoStatus::end) {
        on_peer_end();
        return;
    }
    core_.count_in(result.bytes);
    const std::string_view bytes(core_.read_buffer(), result.bytes);
    if (!in_.is_empty()) { // a copy, so that a head that drips costs no more than its size
        if (in_.append(bytes)) {
            process_held();
        } else {
            close_now();
        }
        return;
    }
    const std::size_t used = process(bytes);
    if (phase_ != Phase::closed && phase_ != Phase::lingering && !in_.append(bytes.substr(used))) {
        close_now();
    }
}

PORTHOLE_FN void Connection::process_held() {
    const std::size_t used = process(in_.view());
    if (phase_ == Phase::closed) {
        return; // a handler may still be looking at in_, which dies with the connection
    }
    in_.consume(used < in_.size() ? used : in_.size()); // a lingering one has dropped all
    if (in_.is_empty()) {
        in_.release();
    }
}

/// Takes as many requests as the budget allows, answers them, and sends the answers together.
/// Returns how many bytes were taken.
PORTHOLE_FN std::size_t Connection::process(std::string_view bytes) {
    std::size_t used = 0;
    needs_more_ = false;
    do {
        if (phase_ == Phase::head) {
            used += take_head(bytes.substr(used));
        } else if (takes_content() && !is_content_paused()) {
            used += take_content(bytes.substr(used));
        } else {
            break;
        }
        if (phase_ != Phase::closed && core_.out().size() >= ServerCore::max_answers_bytes) {
            send_output();
            if (has_output()) {
                break;
            }
        }
    } while (used < bytes.size() && !needs_more_ && !core_.is_out_of_time());
    if (phase_ != Phase::closed && !core_.out().is_empty()) {
        send_output();
    }
    return used;
}

PORTHOLE_FN std::size_t Connection::take_head(std::string_view bytes) {
    if (!exchange_) {
        exchange_ = core_.acquire_exchange();
        exchange_->connection = this;
        if (requests_ != 0) {
            phase_began_ = core_.now();
        }
    }
    switch (exchange_->parser.parse(bytes)) {
    case ParseStatus::need_more: needs_more_ = true; return 0;
    case ParseStatus::failed: refuse(exchange_->parser.fault()); return bytes.size();
    case ParseStatus::complete: break;
    }
    return begin_request(bytes);
}

/// RFC 1945 section 7.2.2: content in HTTP/1.0 has a Content-Length, so a POST without one was cut
/// off.
inline bool needs_length(const RequestHead& head) noexcept {
    const bool has_content =
        head.method == Method::post || head.method == Method::put || head.method == Method::patch;
    return has_content && !head.fields.find("Content-Length");
}

/// The head is complete: decides whether the content is here, is to be read, or is refused.
PORTHOLE_FN std::size_t Connection::begin_request(std::string_view bytes) {
    Exchange& x = *exchange_;
    RequestHead& head = x.parser.head();
    const std::size_t head_size = x.parser.head_size();
    ++requests_;
    core_.count_request();
    x.request.peer = peer_;
    x.request.scheme = transport_->scheme();
    const RequestFault fault = x.request.set_head(head, bytes.data());
    if (fault != RequestFault::none) {
        refuse(fault);
        return bytes.size();
    }
    x.has_request = true;
    x.began = core_.last_reading();
    if (!core_.admit(x, entrance_)) {
        if (phase_ != Phase::closed) {
            send_answer();
        }
        return bytes.size();
    }
    if (head.method == Method::connect) {
        refuse(RequestFault::unknown_method); // a tunnel is what this server never is
        return bytes.size();
    }
    if (head.framing.kind == Framing::Kind::none) {
        if (head.minor_version == 0 && needs_length(head)) {
            refuse(RequestFault::length_required);
            return bytes.size();
        }
        answer();
        return head_size;
    }
    const ServerCore::Content content = core_.receive(x);
    if (phase_ == Phase::closed) {
        return bytes.size();
    }
    if (content == ServerCore::Content::refused) {
        x.is_content_unread = true;
        if (x.response.is_deferred) {
            phase_ = Phase::deferred;
            keep_head();
        } else {
            send_answer();
        }
        return bytes.size();
    }
    const std::string_view rest = bytes.substr(head_size);
    if (head.framing.kind == Framing::Kind::length) {
        if (head.framing.length > x.max_content) {
            refuse(RequestFault::content_too_large);
            return bytes.size();
        }
        const bool is_here = head.framing.length <= rest.size();
        if (is_here && content == ServerCore::Content::collected) {
            const auto size = static_cast<std::size_t>(head.framing.length);
            x.request.body = rest.substr(0, size);
            answer(); // the exchange may be another's from here on
            return head_size + size;
        }
    }
    keep_head();
    return head_size + begin_content(rest);
}

/// The head outlives the turn: its bytes move into the exchange.
PORTHOLE_FN void Connection::keep_head() {
    Exchange& x = *exchange_;
    if (!x.has_request || !x.head.is_empty()) { // what could not be read has no head to keep
        return;
    }
    if (!x.head.append({x.request.base, x.parser.head_size()})) {
        close_now();
        return;
    }
    x.request.move_to(x.head.view().data());
}

PORTHOLE_FN void Connection::answer() {
    Exchange& x = *exchange_;
    core_.handle(x);
    if (phase_ == Phase::closed) {
        return;
    }
    if (!x.response.is_deferred) {
        send_answer();
        return;
    }
    phase_ = Phase::deferred;
    keep_head();
    x.request.body = {};
    x.request.parameters.clear(); // their names live in the route, which may go
}

/// The one way in which the library refuses a request: one answer, and the connection's end.
PORTHOLE_FN void Connection::refuse(RequestFault fault) {
    if (!exchange_) {
        exchange_ = core_.acquire_exchange();
        exchange_->connection = this;
    }
    if (phase_ == Phase::sending) {
        close_now(); // the answer has begun before its content had come
        return;
    }
    core_.refuse(*exchange_, fault, peer_);
    if (phase_ != Phase::closed) {
        send_answer();
    }
}

PORTHOLE_FN void Connection::refuse_in_turn() noexcept {
    must_refuse_ = true;
    core_.make_ready(*this);
}

PORTHOLE_FN void Connection::refuse_newcomer() {
    must_refuse_ = false;
    exchange_ = core_.acquire_exchange();
    exchange_->connection = this;
    core_.refuse_overload(*exchange_, peer_);
    if (phase_ != Phase::closed) {
        send_answer();
        send_output();
    }
    finish_turn();
}

/// End of the stream between requests or within one: whatever was answered has been sent.
PORTHOLE_FN void Connection::on_peer_end() {
    peer_ended_ = true;
    close_now();
}

PORTHOLE_FN void Connection::drain_input(Readiness ready) {
    if (!ready.read && !ready.hangup && !ready.error) {
        return;
    }
    const IoResult result =
        transport_->read(core_.read_buffer(), core_.limits().max_read_bytes_per_turn);
    if (result.status == IoStatus::would_block) {
        return;
    }
    core_.count_in(result.bytes);
    received_ += result.bytes;
    if (result.status != IoStatus::ok || received_ > core_.limits().max_linger_bytes) {
        close_now();
    }
}

/// In a turn of this connection: what the owner sends leaves behind it.
template <class Call>
PORTHOLE_FN void Connection::call_owner(const Call& call) {
    const std::shared_ptr<Upgrade> owner = upgrade_; // a callback may close the connection
    is_in_turn_ = true;
    call(*owner);
    is_in_turn_ = false;
}

PORTHOLE_FN void Connection::read_upgraded(Readiness ready) {
    if (std::exchange(wants_wake_, false)) {
        call_owner([](Upgrade& owner) { owner.on_wake(); });
        if (!wants_wake_) { // else it would keep a tick going that gets nothing done
            core_.count_work();
        }
    }
    if (phase_ != Phase::upgraded) {
        return;
    }
    if (ready.error) {
        close_now();
    } else if (is_reading_paused_ || peer_ended_) {
        if (ready.hangup && !interest_.hangup) {
            stop_watching(); // reported although it is masked: both directions are closed
        }
    } else if (!in_.is_empty()) {
        Buffer held(std::move(in_));
        core_.count_work();
        call_owner([&held](Upgrade& owner) { owner.on_data(held.data(), held.size()); });
    } else if (ready.read || ready.hangup) {
        const IoResult result =
            transport_->read(core_.read_buffer(), core_.limits().max_read_bytes_per_turn);
        if (result.status == IoStatus::ok) {
            core_.count_in(result.bytes);
            call_owner([this, &result](Upgrade& owner) {
                owner.on_data(core_.read_buffer(), result.bytes);
            });
        } else if (result.status == IoStatus::end) {
            peer_ended_ = true;
            core_.count_work();
            call_owner([](Upgrade& owner) { owner.on_end(); });
        } else if (result.status == IoStatus::failed) {
            close_now();
        }
    }
    if (phase_ == Phase::upgraded && (has_output() || close_when_sent_)) {
        send_output();
    }
}

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/server/connection_content.inl

// A request's content: collected for a handler, or given to a sink piece by piece, which may pause
// it, refuse the rest, or have the answer leave before it has ended.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN std::size_t Connection::begin_content(std::string_view rest) {
    Exchange& x = *exchange_;
    phase_ = Phase::content;
    phase_began_ = core_.now();
    received_ = 0;
    x.content_left = x.parser.head().framing.length;
    if (!x.intake) {
        // Once, instead of growing in the middle of a frame; pages that never come cost nothing.
        constexpr std::uint64_t most = 16 * 1024 * 1024;
        x.content.reserve(static_cast<std::size_t>(x.content_left < most ? x.content_left : most));
    }
    if (x.parser.head().expects_continue && rest.empty()) {
        // RFC 9110 section 10.1.1: only while the client may still be waiting for it.
        if (!core_.out().append("HTTP/1.1 100 Continue\r\n\r\n")) {
            close_now();
        }
    }
    return 0;
}

PORTHOLE_FN std::size_t Connection::take_content(std::string_view bytes) {
    Exchange& x = *exchange_;
    if (x.parser.head().framing.kind == Framing::Kind::chunked) {
        return take_chunked(bytes);
    }
    const std::uint64_t here = bytes.size();
    const auto size = static_cast<std::size_t>(here < x.content_left ? here : x.content_left);
    if (!add_content(bytes.substr(0, size))) {
        return bytes.size();
    }
    x.content_left -= size;
    if (x.content_left != 0) {
        needs_more_ = true;
        return size;
    }
    end_content();
    return size;
}

PORTHOLE_FN std::size_t Connection::take_chunked(std::string_view bytes) {
    Exchange& x = *exchange_;
    std::size_t used = 0;
    for (;;) {
        std::size_t consumed = 0;
        std::string_view piece;
        const ParseStatus status = x.chunked.decode(bytes.substr(used), consumed, piece);
        used += consumed;
        if (!piece.empty() && !add_content(piece)) {
            return bytes.size();
        }
        if (status == ParseStatus::failed) {
            refuse(x.chunked.fault());
            return bytes.size();
        }
        if (status == ParseStatus::complete) {
            x.request.trailer = &x.chunked.trailer();
            end_content();
            return used;
        }
        if (used == bytes.size()) {
            needs_more_ = true;
            return used;
        }
        if (is_content_paused() || (x.intake && core_.is_out_of_time())) {
            return used; // each piece is a unit of the budget for the sink
        }
    }
}

/// False when it was too much and has been refused.
PORTHOLE_FN bool Connection::add_content(std::string_view piece) {
    Exchange& x = *exchange_;
    if (x.intake) {
        return give_content(piece);
    }
    if (piece.size() > x.max_content - x.content.size()) {
        refuse(RequestFault::content_too_large);
        return false;
    }
    x.content.append(piece);
    received_ += piece.size();
    return true;
}

/// To whoever takes the content as it comes. False when it goes no further.
PORTHOLE_FN bool Connection::give_content(std::string_view piece) {
    Exchange& x = *exchange_;
    if (piece.size() > x.max_content - x.content_taken) {
        refuse(RequestFault::content_too_large);
        return false;
    }
    x.content_taken += piece.size();
    received_ += piece.size();
    const bool has_begun = phase_ != Phase::content; // the answer; then it can only be broken off
    const int status = x.response.status;
    if (!core_.give(x, piece)) {
        if (has_begun) {
            x.response.status = status; // what the access log is to show
            close_now();
        } else if (phase_ != Phase::closed) {
            core_.finish_response(x);
        }
        if (phase_ != Phase::closed) {
            x.is_content_unread = true;
            send_answer();
        }
        return false;
    }
    if (x.intake->refusal != 0) {
        refuse_rest();
        return false;
    }
    return true;
}

/// True while the content of the request is coming in, be it behind the begin of its answer.
PORTHOLE_FN bool Connection::takes_content() const noexcept {
    return phase_ == Phase::content || (phase_ == Phase::sending && exchange_ && exchange_->intake);
}

PORTHOLE_FN bool Connection::is_content_paused() const noexcept {
    return exchange_ && exchange_->intake && exchange_->intake->is_paused;
}

PORTHOLE_FN void Connection::end_content() {
    Exchange& x = *exchange_;
    if (phase_ == Phase::sending) {
        const int status = x.response.status;
        core_.end_content(x);
        x.response.status = status; // has been sent, whatever on_end() did
        return;
    }
    x.request.body = x.content;
    answer();
}

/// The sink takes no more of it.
PORTHOLE_FN void Connection::refuse_rest() {
    Exchange& x = *exchange_;
    if (phase_ != Phase::content) {
        close_now(); // its answer has begun
        return;
    }
    core_.answer_refusal(x);
    if (phase_ != Phase::closed) {
        send_answer();
    }
}

PORTHOLE_FN void Connection::abort_intake() noexcept {
    if (exchange_ && exchange_->intake) {
        exchange_->intake->abort();
    }
}

PORTHOLE_FN void Connection::resume_content() {
    if (takes_content()) {
        phase_began_ = core_.now();
        received_ = 0;
        core_.make_ready(*this);
    }
}

PORTHOLE_FN Reply Connection::defer_content() {
    Exchange& x = *exchange_;
    const bool is_possible = !x.response.is_deferred && phase_ != Phase::sending;
    PORTHOLE_ASSERT(is_possible, "defer() is called once");
    return is_possible ? Reply(std::make_shared<ReplyOwner>(core_.defer(x))) : Reply();
}

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/server/connection_output.inl

// The output side of a connection. Answers of one turn gather in the core's buffer and leave with
// one system call; only what the peer does not take becomes the connection's own. While anything is
// left to send, nothing is read: that is the back-pressure.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN bool Connection::has_output() const noexcept {
    return !out_.is_empty() || !core_.out().is_empty() || !body_left_.empty() || file_is_blocked_;
}

PORTHOLE_FN void Connection::send_answer() {
    // Up to here a copy costs no more than a second piece in a gathered write.
    constexpr std::size_t max_copied_body = 16 * 1024;
    Exchange& x = *exchange_;
    const RequestHead& head = x.parser.head();
    AnswerContext context;
    context.is_head = head.method == Method::head; // known even if the rest cannot be read
    context.minor_version = x.has_request ? head.minor_version : 1;
    if (phase_ == Phase::content && x.intake) {
        x.is_content_unread = true; // it may come to its end meanwhile, but who knows
    }
    context.keep_alive = x.has_request && head.keep_alive && !is_draining_ && !x.is_content_unread
                         && requests_ < core_.limits().max_requests_per_connection;
    context.defaults = &core_.default_fields();
    AnswerPlan plan;
    const bool has_earlier_output = has_output();
    if (!write_head(x.response, context, core_.out(), plan)) {
        core_.note_failure("An answer's fields do not fit the output buffer.", peer_);
        close_now();
        return;
    }
    core_.count_response();
    keep_alive_ = plan.keep_alive;
    has_answer_ = true;
    phase_ = Phase::sending;
    if (x.response.upgrade) {
        begin_upgrade();
        return;
    }
    std::string& body = x.response.body;
    const bool has_source = plan.sends_content && x.response.source;
    const bool has_large_body = plan.sends_content && body.size() > max_copied_body;
    if (core_.has_access_log() && (!keep_alive_ || has_source || has_large_body)) {
        keep_head(); // the log is written when the last byte has left
        if (phase_ == Phase::closed) {
            return;
        }
    }
    if (has_source) {
        begin_source(plan, has_earlier_output);
        return;
    }
    x.content_sent = plan.sends_content ? body.size() : 0;
    if (has_large_body) {
        body_ = std::move(body);
        body_left_ = body_;
        return;
    }
    if (plan.sends_content && !core_.out().append(body)) {
        close_now();
        return;
    }
    if (keep_alive_) {
        finish_answer();
    }
}

PORTHOLE_FN void Connection::begin_source(const AnswerPlan& plan, bool has_earlier_output) {
    source_ = std::move(exchange_->response.source);
    if (const auto whole = source_->whole()) {
        exchange_->content_sent = whole->size();
        if (!whole->empty()) {
            body_left_ = *whole;
            body_owner_ = std::move(source_);
        }
        source_.reset();
        return;
    }
    source_is_chunked_ = plan.framing.kind == Framing::Kind::chunked;
    const bool is_sized = plan.framing.kind == Framing::Kind::length;
    source_left_ = is_sized ? plan.framing.length : UINT64_MAX;
    source_waits_ = false;
    source_waker_ = std::make_shared<Connection*>(this);
    source_->set_waker([waker = source_waker_] {
        if (Connection* connection = *waker) {
            connection->source_waits_ = false;
            connection->core_.make_ready(*connection);
        }
    });
    reads_files_ = !is_sized || !transport_->can_send_files();
    if (is_sized && source_left_ == 0) {
        end_source();
    } else if (is_sized && !has_earlier_output) {
        pull_from_source(); // so that the first piece leaves with the head
    }
}

/// Sends for as long as the peer takes it, up to a turn's share.
PORTHOLE_FN void Connection::send_output() {
    std::size_t left = core_.limits().max_write_bytes_per_turn;
    output_is_blocked_ = file_is_blocked_ = false;
    for (;;) {
        BodySource::FilePiece piece;
        std::uint64_t file_bytes = 0;
        if (source_ && !source_waits_ && !has_output()) {
            file_bytes = next_file_piece(piece);
            if (file_bytes == 0) {
                pull_from_source();
            }
            if (phase_ == Phase::closed) {
                return;
            }
        }
        if (file_bytes != 0) {
            left -= send_file_piece(
                piece, file_bytes < left ? static_cast<std::size_t>(file_bytes) : left);
        } else if (has_output()) {
            left -= write_some(left);
        } else {
            on_output_sent();
            if (core_.out().is_empty()) {
                return;
            } // else on_drain() has sent more
        }
        if (phase_ == Phase::closed) {
            return;
        }
        if (output_is_blocked_) {
            break;
        }
        core_.read_clock();
        const bool has_rest = has_output() || (source_ && !source_waits_);
        if (has_rest && (left == 0 || core_.is_out_of_time())) {
            core_.make_ready(*this);
            break;
        }
    }
    keep_unsent();
}

/// One gathered write of at most `most` bytes. Short means that the peer's window is full, which
/// saves the call that would only say so.
PORTHOLE_FN std::size_t Connection::write_some(std::size_t most) {
    std::string_view slices[max_slices];
    std::size_t count = 0;
    std::size_t total = 0;
    const std::string_view parts[] = {out_.view(), core_.out().view(), body_left_};
    for (const std::string_view part : parts) {
        const std::string_view slice = part.substr(0, most - total);
        if (!slice.empty()) {
            slices[count++] = slice;
            total += slice.size();
        }
    }
    const IoResult result = transport_->write(slices, count);
    if (result.status == IoStatus::would_block) {
        output_is_blocked_ = true;
        return 0;
    }
    if (result.status != IoStatus::ok) {
        close_now();
        return 0;
    }
    core_.count_out(result.bytes);
    output_moved_ = true;
    blocked_bytes_ += result.bytes;
    output_is_blocked_ = result.bytes < total;
    std::size_t taken = result.bytes;
    for (Buffer* buffer : {&out_, &core_.out()}) {
        const std::size_t here = taken < buffer->size() ? taken : buffer->size();
        buffer->consume(here);
        taken -= here;
    }
    body_left_.remove_prefix(taken);
    if (taken != 0 && body_left_.empty()) {
        std::string().swap(body_); // assigning would keep the memory
        body_owner_.reset();
    }
    return result.bytes;
}

PORTHOLE_FN void Connection::send_last() noexcept {
    if (phase_ == Phase::closed || !has_output()) {
        return;
    }
    const std::string_view slices[] = {out_.view(), body_left_};
    static_cast<void>(transport_->write(slices, 2)); // nothing is left to do when it fails
}

/// How many of the source's next bytes the transport may take straight from a file.
PORTHOLE_FN std::uint64_t Connection::next_file_piece(BodySource::FilePiece& piece) {
    constexpr std::uint64_t least = 16 * 1024; // below it reading is no dearer
    if (reads_files_ || source_left_ < least) {
        return 0;
    }
    const std::uint64_t bytes = source_->file_piece(piece);
    if (phase_ == Phase::closed || bytes < least) {
        return 0;
    }
    return bytes < source_left_ ? bytes : source_left_;
}

/// At most `most` bytes of a file, which pass no buffer of ours: a slow peer then costs no memory.
PORTHOLE_FN std::size_t
Connection::send_file_piece(const BodySource::FilePiece& piece, std::size_t most) {
    const IoResult result = transport_->send_file(piece.handle, piece.offset, most);
    switch (result.status) {
    case IoStatus::ok: break;
    case IoStatus::would_block: output_is_blocked_ = file_is_blocked_ = true; return 0;
    case IoStatus::end:
        core_.note_failure("The content of an answer ended too early.", peer_);
        close_now();
        return 0;
    case IoStatus::failed:
        reads_files_ = true;
        if (result.system_code != 0) {
            close_now();
        }
        return 0;
    }
    core_.count_out(result.bytes);
    output_moved_ = true;
    blocked_bytes_ += result.bytes;
    exchange_->content_sent += result.bytes;
    source_left_ -= result.bytes;
    source_->skip(result.bytes);
    if (source_left_ == 0) {
        end_source();
    }
    return result.bytes;
}

/// What the peer has not taken becomes the connection's own.
PORTHOLE_FN void Connection::keep_unsent() {
    if (!out_.append(core_.out().view())) {
        core_.note_failure("An answer does not fit the output queue.", peer_);
        close_now();
    }
    core_.out().clear();
}

PORTHOLE_FN void Connection::pull_from_source() {
    source_waits_ = true; // before it is asked: its waker may be called while it answers
    const BodySource::State state =
        source_is_chunked_ ? pull_chunk(core_.out()) : pull_plain(core_.out());
    if (phase_ == Phase::closed) {
        core_.out().clear(); // it has destroyed the server: nobody is left to send to
        return;
    }
    source_waits_ = source_waits_ && state == BodySource::State::wait;
    switch (state) {
    case BodySource::State::more:
        if (!has_output()) {
            core_.make_ready(*this); // nothing, and yet not waiting: asked again next turn
        }
        break;
    case BodySource::State::wait: break;
    case BodySource::State::end: end_source(); break;
    case BodySource::State::failed:
        core_.note_failure("The content of an answer ended too early.", peer_);
        close_now();
        break;
    }
}

/// Content of known size, or until the connection ends.
PORTHOLE_FN BodySource::State Connection::pull_plain(Buffer& out) {
    constexpr std::uint64_t most = ServerCore::max_piece_bytes;
    const auto capacity = static_cast<std::size_t>(source_left_ < most ? source_left_ : most);
    char* into = out.prepare(capacity);
    if (into == nullptr) {
        return BodySource::State::failed;
    }
    const BodySource::Piece piece = source_->pull(into, capacity);
    PORTHOLE_ASSERT(piece.bytes <= capacity, "BodySource::pull() must not write past its capacity");
    const std::size_t size = piece.bytes < capacity ? piece.bytes : capacity;
    out.commit(size);
    const bool is_sized = source_left_ != UINT64_MAX;
    source_left_ -= is_sized ? size : 0;
    exchange_->content_sent += size;
    if (is_sized && source_left_ == 0) {
        return BodySource::State::end;
    }
    const bool is_short = is_sized && piece.state == BodySource::State::end;
    return is_short ? BodySource::State::failed : piece.state;
}

/// The chunk's head is written right before its bytes once their number is known.
PORTHOLE_FN BodySource::State Connection::pull_chunk(Buffer& out) {
    constexpr std::size_t capacity = ServerCore::max_piece_bytes;
    char* into = out.prepare(
        max_chunk_head_size + capacity + chunk_end.size() + last_chunk_begin.size()
        + chunk_end.size());
    if (into == nullptr) {
        return BodySource::State::failed;
    }
    const BodySource::Piece piece = source_->pull(into + max_chunk_head_size, capacity);
    PORTHOLE_ASSERT(piece.bytes <= capacity, "BodySource::pull() must not write past its capacity");
    const std::size_t size = piece.bytes < capacity ? piece.bytes : capacity;
    if (size == 0 || piece.state == BodySource::State::failed) {
        return piece.state; // an empty chunk would end the body
    }
    exchange_->content_sent += size;
    char head[max_chunk_head_size];
    const std::size_t head_size = write_chunk_head(head, size);
    const std::size_t gap = max_chunk_head_size - head_size;
    for (std::size_t i = 0; i < head_size; ++i) {
        into[gap + i] = head[i];
    }
    out.commit(max_chunk_head_size + size);
    out.consume(gap);
    return out.append(chunk_end) ? piece.state : BodySource::State::failed;
}

PORTHOLE_FN void Connection::end_source() {
    if (source_is_chunked_) {
        const std::string_view trailer = source_->trailer();
        Buffer& out = core_.out();
        if (!out.append(last_chunk_begin) || !out.append(trailer) || !out.append(chunk_end)) {
            close_now();
        }
    }
    if (source_waker_) {
        *source_waker_ = nullptr;
        source_waker_.reset();
    }
    source_.reset();
}

PORTHOLE_FN void Connection::on_output_sent() {
    constexpr std::size_t kept_by_upgraded = 4 * 1024; // they send often, and little
    if (phase_ != Phase::upgraded || out_.capacity() > kept_by_upgraded) {
        out_.release();
    }
    switch (phase_) {
    case Phase::sending:
        if (source_) {
            break; // it waits
        }
        if (keep_alive_) {
            finish_answer();
        } else {
            begin_linger();
        }
        break;
    case Phase::upgraded:
        if (close_when_sent_) {
            begin_linger();
        } else if (output_moved_) {
            call_owner([](Upgrade& owner) { owner.on_drain(); });
        }
        break;
    case Phase::head:
    case Phase::content:
        phase_began_ = core_.now(); // while the answers left, nothing was read
        received_ = 0;
        break;
    case Phase::deferred:
    case Phase::lingering:
    case Phase::closed: break;
    }
}

/// The next request may come.
PORTHOLE_FN void Connection::finish_answer() {
    note_access(true);
    core_.release_exchange(std::move(exchange_)); // a source that was not needed tells the program
    if (phase_ == Phase::closed) {
        return;
    }
    phase_ = Phase::head;
    phase_began_ = core_.now();
    needs_more_ = false;
}

/// RFC 9112 section 9.6: a close with unread input resets the connection, and the reset may
/// overtake the answer. So the sending side is shut, and what still comes is read for a while.
PORTHOLE_FN void Connection::begin_linger() {
    if (const std::shared_ptr<Upgrade> owner = std::move(upgrade_)) {
        upgrade_.reset();
        owner->on_close();
    }
    if (phase_ == Phase::closed) {
        return;
    }
    abort_intake();
    if (phase_ == Phase::closed) {
        return;
    }
    if (exchange_) {
        note_access(true);
        core_.release_exchange(std::move(exchange_));
    }
    if (phase_ == Phase::closed) {
        return;
    }
    transport_->shut_write();
    phase_ = Phase::lingering;
    phase_began_ = core_.now();
    received_ = 0;
    in_.release();
    out_.release();
}

PORTHOLE_FN void Connection::begin_upgrade() {
    upgrade_ = std::move(exchange_->response.upgrade);
    exchange_->response.status = 101;
    note_access(true);
    core_.release_exchange(std::move(exchange_));
    phase_ = Phase::upgraded;
    peer_ended_ = false; // an end that was noticed before is still to be told to the owner
    keep_unsent();       // what the owner sends stays behind the 101
    if (phase_ == Phase::closed) {
        return;
    }
    call_owner([this](Upgrade& owner) { owner.on_open(*this); });
    if (phase_ == Phase::upgraded) {
        core_.make_ready(*this); // for what it has sent, and for what came behind the request
    }
}

PORTHOLE_FN void Connection::note_access(bool is_complete) {
    has_answer_ = false;
    core_.note_access(*exchange_, is_complete);
}

PORTHOLE_FN void Connection::report_peer_gone() noexcept {
    if (exchange_ && exchange_->reply) {
        exchange_->reply->peer_gone.store(true);
    }
    if (phase_ == Phase::sending && source_waits_ && !takes_content()) {
        close_now(); // nobody waits for what the source may have some day
        return;
    }
    if (peer_ended_ && (phase_ == Phase::deferred || is_content_paused())) {
        stop_watching(); // reported again although it is masked: both directions are closed
    }
    peer_ended_ = true;
}

PORTHOLE_FN std::shared_ptr<ReplyState> Connection::defer(Exchange& exchange) {
    return core_.defer(exchange);
}

PORTHOLE_FN void Connection::note_dropped_reply() {
    core_.log(
        LogLevel::warning, LogId::reply_dropped,
        "The last copy of a Reply went away unanswered; the answer is 500.", peer_);
}

PORTHOLE_FN void Connection::note_second_reply() {
    core_.log(
        LogLevel::warning, LogId::reply_twice,
        "A Reply was finished a second time; only the first answer is sent.", peer_);
}

PORTHOLE_FN void Connection::complete(ReplyState& reply) {
    const bool is_early = phase_ == Phase::content; // its content is still coming
    if (phase_ != Phase::deferred && !is_early) {
        return;
    }
    Exchange& x = *exchange_;
    x.response = std::move(reply.parts);
    x.response.exchange = &x;
    x.response.is_deferred = false;
    x.reply.reset();
    output_moved_ = unwanted_input_ = false;
    PORTHOLE_TRY {
        core_.finish_response(x);
        if (phase_ != Phase::closed) {
            send_answer();
        }
        if (phase_ != Phase::closed) {
            send_output();
        }
    }
    PORTHOLE_CATCH_ALL {
        core_.note_failure("An allocation failed or a body source threw.", peer_);
        close_now();
    }
    finish_turn();
}

PORTHOLE_FN std::size_t Connection::queued_bytes() const noexcept {
    return out_.size() + (is_in_turn_ ? core_.out().size() : 0);
}

/// In a turn of its own it sends through the core's buffer, so that only what the peer does not
/// take costs it memory.
PORTHOLE_FN bool Connection::send(std::string_view bytes) {
    const std::size_t most = core_.limits().max_queue_bytes;
    if (phase_ != Phase::upgraded || close_when_sent_ || bytes.size() > most
        || queued_bytes() > most - bytes.size()) {
        return false;
    }
    if (is_in_turn_ && core_.out().append(bytes)) {
        return true;
    }
    if (is_in_turn_) {
        keep_unsent();
    }
    if (phase_ != Phase::upgraded || !out_.append(bytes)) {
        return false;
    }
    core_.make_ready(*this);
    return true;
}

PORTHOLE_FN void Connection::wake() {
    if (phase_ == Phase::upgraded) {
        wants_wake_ = true;
        core_.make_ready(*this);
    }
}

PORTHOLE_FN void Connection::pause_reading(bool is_paused) {
    is_reading_paused_ = is_paused;
    if (phase_ == Phase::upgraded) {
        core_.make_ready(*this);
    }
}

PORTHOLE_FN void Connection::close() {
    if (phase_ == Phase::upgraded) {
        close_when_sent_ = true;
        core_.make_ready(*this);
    }
}

PORTHOLE_FN void Connection::abort() {
    close_now();
}

PORTHOLE_FN void Connection::set_deadline(TimePoint deadline) {
    owner_deadline_ = deadline;
    if (phase_ == Phase::upgraded) {
        update_deadline();
    }
}

PORTHOLE_FN TimePoint Connection::now() const noexcept {
    return core_.now();
}

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/server/connection_turn.inl

// What every turn of a connection ends with: what to be told of next, until when, and how it ends.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// What every turn ends with: the next one is arranged for.
PORTHOLE_FN void Connection::finish_turn() {
    if (phase_ == Phase::closed) {
        core_.out().clear();
        return;
    }
    const bool has_unread = !in_.is_empty() && !needs_more_ && wants_input();
    if (has_unread) {
        core_.make_ready(*this);
    }
    if (is_idle()) {
        if (is_draining_) {
            close_now();
            return;
        }
        core_.note_idle(*this);
    } else {
        ListLink<IdleTag>::unlink();
    }
    update_interest();
    update_deadline();
}

/// How long a peer may take for that many bytes.
inline Duration time_earned(const Limits& limits, std::uint64_t bytes) noexcept {
    constexpr std::uint64_t a_day = 24 * 60 * 60;
    const std::uint64_t rate =
        limits.min_body_bytes_per_second == 0 ? 1 : limits.min_body_bytes_per_second;
    const std::uint64_t seconds = bytes / rate < a_day ? bytes / rate : a_day;
    return std::chrono::seconds(static_cast<std::int64_t>(seconds));
}

PORTHOLE_FN TimePoint Connection::phase_deadline() const noexcept {
    const Limits& limits = core_.limits();
    switch (phase_) {
    case Phase::head:
        if (has_output()) {
            return never; // nothing is read meanwhile: the write stall is what counts
        }
        if (exchange_ || requests_ == 0) {
            return phase_began_ + limits.head_timeout;
        }
        return phase_began_ + limits.idle_timeout;
    case Phase::content:
        if (has_output() || is_content_paused()) {
            return never;
        }
        return phase_began_ + limits.body_grace + time_earned(limits, received_);
    case Phase::sending:
        if (!takes_content() || is_content_paused()) {
            return never;
        }
        return phase_began_ + limits.body_grace + time_earned(limits, received_);
    case Phase::lingering: return phase_began_ + limits.linger_timeout;
    case Phase::upgraded: return owner_deadline_;
    case Phase::deferred:
    case Phase::closed: return never;
    }
    return never;
}

PORTHOLE_FN void Connection::update_deadline() {
    const Limits& limits = core_.limits();
    if (!output_is_blocked_ || !has_output()) {
        stall_deadline_ = never;
    } else if (output_moved_ || stall_deadline_ == never) {
        if (stall_deadline_ == never) {
            blocked_began_ = core_.now();
            blocked_bytes_ = 0;
        }
        // Nothing for too long, or, taken by the drop, too little for too long.
        const TimePoint silent = core_.now() + limits.write_stall_timeout;
        const TimePoint dripping =
            blocked_began_ + limits.write_stall_timeout + time_earned(limits, blocked_bytes_);
        stall_deadline_ = silent < dripping ? silent : dripping;
    }
    const TimePoint phase = phase_deadline();
    const TimePoint deadline = phase < stall_deadline_ ? phase : stall_deadline_;
    if (deadline == never) {
        core_.timers().disarm(*this);
    } else {
        core_.timers().arm(*this, deadline);
    }
}

PORTHOLE_FN void Connection::on_deadline() {
    const TimePoint now = core_.now();
    output_moved_ = unwanted_input_ = false;
    if (now >= stall_deadline_) {
        core_.note_timeout(
            "The peer took nothing of an answer for too long "
            "(Limits::write_stall_timeout).",
            peer_);
        close_now();
        return;
    }
    if (now < phase_deadline()) {
        update_deadline();
        return;
    }
    switch (phase_) {
    case Phase::head:
        if (!exchange_) {
            close_now(); // idle, or never said a word
            return;
        }
        core_.note_timeout(describe(RequestFault::head_timeout), peer_);
        refuse(RequestFault::head_timeout);
        break;
    case Phase::content:
        core_.note_timeout(describe(RequestFault::content_timeout), peer_);
        refuse(RequestFault::content_timeout);
        break;
    case Phase::upgraded: {
        owner_deadline_ = never;
        call_owner([](Upgrade& owner) { owner.on_deadline(); });
        break;
    }
    case Phase::lingering: close_now(); return;
    case Phase::sending:
        core_.note_timeout(describe(RequestFault::content_timeout), peer_);
        close_now(); // the answer has begun before its content had come
        break;
    case Phase::deferred:
    case Phase::closed: break;
    }
    if (phase_ != Phase::closed && (has_output() || close_when_sent_)) {
        send_output();
    }
    finish_turn();
}

PORTHOLE_FN void Connection::update_interest() {
    Interest wanted = interest_;
    wanted.write = output_is_blocked_ && has_output();
    wanted.hangup = !peer_ended_ && !(phase_ == Phase::upgraded && is_reading_paused_);
    if (wants_input()) {
        wanted.read = true;
    } else if (unwanted_input_ || wanted.write) {
        wanted.read = false; // not before it costs something: most answers come back to reading
    }
    if (wanted != interest_) {
        set_interest(wanted);
    }
}

PORTHOLE_FN void Connection::set_interest(Interest wanted) {
    interest_ = wanted;
    const NativeHandle handle = transport_->handle();
    if (handle == invalid_handle) {
        return;
    }
    Pollable* owner = this;
    const Error error = is_watched_ ? core_.poller().modify(handle, owner, wanted)
                                    : core_.poller().add(handle, owner, wanted);
    is_watched_ = true;
    if (error) {
        close_now();
    }
}

PORTHOLE_FN void Connection::stop_watching() noexcept {
    if (is_watched_) {
        core_.poller().remove(transport_->handle());
        is_watched_ = false;
        interest_ = Interest{false, false, false};
    }
}

PORTHOLE_FN Readiness Connection::wanted_readiness() const noexcept {
    const Readiness is = transport_->readiness();
    Readiness wanted;
    wanted.read = is.read && interest_.read;
    wanted.write = is.write && interest_.write;
    wanted.hangup = is.hangup && interest_.hangup && !peer_ended_;
    wanted.error = is.error && (interest_.read || interest_.write || interest_.hangup);
    return wanted;
}

PORTHOLE_FN void Connection::begin_drain() {
    is_draining_ = true;
    if (is_idle()) {
        close_now();
    } else if (phase_ == Phase::upgraded) {
        const std::shared_ptr<Upgrade> owner = upgrade_;
        PORTHOLE_TRY {
            owner->on_stop(*this);
        }
        PORTHOLE_CATCH_ALL {
            close_now();
        }
    }
}

PORTHOLE_FN void Connection::close_now() noexcept {
    if (phase_ == Phase::closed) {
        return;
    }
    phase_ = Phase::closed;
    stop_watching();
    core_.timers().disarm(*this);
    transport_.reset(); // what core_.out() holds may be another's, whose handler has closed us
    if (source_waker_) {
        *source_waker_ = nullptr;
    }
    core_.bury(*this); // before the program is told, which may destroy the server
    if (exchange_ && has_answer_) {
        note_access(false);
    }
    if (exchange_ && exchange_->reply) {
        exchange_->reply->connection = nullptr;
        exchange_->reply->peer_gone.store(true);
    }
    if (const std::shared_ptr<Upgrade> owner = std::move(upgrade_)) {
        PORTHOLE_TRY {
            owner->on_close();
        }
        PORTHOLE_CATCH_ALL {}
    }
    abort_intake();
}

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/server/dispatch.inl

// From a complete request to its answer: hooks, route, handler, error page. All user code that a
// request causes is called from here.

#include <exception>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// Runs `step`, counts its time as the user's, and turns an exception into a 500.
template <class Step>
PORTHOLE_FN bool ServerCore::run_user_code(Exchange& x, const Step& step) {
    const TimePoint began = read_clock();
    bool has_ended = false;
    PORTHOLE_TRY {
        step();
        has_ended = true;
    }
    PORTHOLE_CATCH_STANDARD(error) {
        log(LogLevel::error, LogId::handler_threw,
            std::string("An exception left a handler or hook; the answer is 500: ") + error.what(),
            x.request.peer);
    }
    PORTHOLE_CATCH_ALL {
        log(LogLevel::error, LogId::handler_threw,
            "An exception left a handler or hook; the answer is 500.", x.request.peer);
    }
    router_->leave();
    const std::chrono::nanoseconds spent = read_clock() - began;
    report_.handler_time += spent;
    x.handler_time += spent;
    x.is_over_budget = is_out_of_time();
    if (x.response.refused_fields != 0) {
        log(LogLevel::warning, LogId::field_refused,
            "A response field was dropped: its name is no token, its value has control characters, "
            "or the server sets it itself.",
            x.request.peer);
    }
    if (has_ended) {
        return true;
    }
    x.drop_reply(); // deferred before it threw: the Reply no longer answers this request
    x.response.reset();
    x.response.status = 500;
    x.response.body = "500 Internal Server Error\n";
    x.response.fields = "Content-Type: text/plain; charset=utf-8\r\n";
    return false;
}

PORTHOLE_FN void ServerCore::handle(Exchange& x) {
    x.response.exchange = &x;
    bool is_finishing = false;
    const bool has_ended = run_user_code(x, [&] {
        handle_steps(x);
        is_finishing = true;
        if (!x.response.is_deferred) {
            finish_steps(x);
        }
    });
    if (!has_ended && !is_finishing && !is_shut_down_) {
        x.is_refused = true; // the 500 is the library's: the user's page and hooks are for it, too
        finish_response(x);
    }
}

PORTHOLE_FN void ServerCore::finish_response(Exchange& x) {
    run_user_code(x, [this, &x] { finish_steps(x); });
}

/// RFC 9110 section 7.8: the field lists the protocol, Connection names the field, and HTTP/1.0 has
/// no such thing.
inline bool asks_for_upgrade(const Request& request, std::string_view protocol) noexcept {
    const auto upgrade = request.header("Upgrade");
    const auto connection = request.header("Connection");
    return request.http_version() == "HTTP/1.1" && upgrade && connection
           && ascii::list_has(*upgrade, protocol) && ascii::list_has(*connection, "upgrade");
}

PORTHOLE_FN void ServerCore::handle_steps(Exchange& x) {
    const Request request(x.request);
    Response response(x.response);
    if (x.intake) { // whose hooks have run at the head
        end_intake(x, request, response);
    } else {
        x.scope = &router_->root();
        if (run_before_hooks(x.scope, x, request, response)) {
            run_route(x, request, response);
        }
    }
    if (x.response.upgrade && !asks_for_upgrade(request, x.response.upgrade_protocol)) {
        const std::string protocol = std::move(x.response.upgrade_protocol);
        make_error(x, 426, "This path speaks another protocol; see the Upgrade field.");
        x.response.fields += "Connection: upgrade\r\nUpgrade: " + protocol + "\r\n";
    }
}

/// Taking the host out of its authority costs something, so it is done for those who route by it.
PORTHOLE_FN std::string_view ServerCore::host_for_routing(const Request& request) const noexcept {
    return router_->has_hosts() ? request.host() : std::string_view();
}

PORTHOLE_FN void ServerCore::run_route(Exchange& x, const Request& request, Response& response) {
    Route* route = router_->match(x.request, host_for_routing(request));
    if (route == nullptr) {
        answer_unrouted(x, request, response);
        return;
    }
    router_->enter(*route);
    x.scope = route->scope;
    const bool has_own_hooks = x.scope != &router_->root();
    if (has_own_hooks && !run_before_hooks(x.scope, x, request, response)) {
        return;
    }
    router_->enter(x.scope);
    if (route->stream_handler) {
        x.intake = route->stream_handler(request).intake(); // of no content
        x.route_id = route->id;
        if (x.intake->on_head && x.intake->refusal == 0 && !is_shut_down_) {
            x.intake->on_head(request);
        }
        if (!is_shut_down_) {
            end_intake(x, request, response);
        }
    } else if (route->mount) {
        route->mount->handle(request, response);
    } else {
        route->handler(request, response);
    }
}

/// Outer groups first. The server's own hooks, which have run before the route was known, are left
/// out unless `scope` is the server's. False when one of them has stopped the request.
PORTHOLE_FN bool ServerCore::run_before_hooks(
    const RouteScope* scope, Exchange& x, const Request& request, Response& response) {
    if (scope->parent != nullptr && scope->parent->parent != nullptr
        && !run_before_hooks(scope->parent, x, request, response)) {
        return false;
    }
    router_->enter(scope);
    for (std::size_t i = 0; i < scope->before.size(); ++i) {
        const Next next = (*scope->before[i])(request, response);
        if (is_shut_down_) {
            return false;
        }
        if (next == Next::stop) {
            if (!x.response.is_touched && !x.response.is_deferred) {
                make_error(x, 403, "A hook of this server does not allow the request.");
            }
            return false;
        }
    }
    return true;
}

PORTHOLE_FN void
ServerCore::answer_unrouted(Exchange& x, const Request& request, Response& response) {
    const std::string allowed = router_->allowed_methods(x.request, host_for_routing(request));
    if (request.method() == Method::options && (!allowed.empty() || request.path() == "*")) {
        response.status(204);
        if (!allowed.empty()) {
            response.header("Allow", allowed);
        }
    } else if (request.method() == Method::other) {
        make_error(
            x, status_of(RequestFault::unknown_method), describe(RequestFault::unknown_method));
    } else if (!allowed.empty()) {
        make_error(x, 405, "This path does not answer that method; see the Allow field.");
        response.header("Allow", allowed);
    } else {
        make_error(x, 404, "Nothing answers at this path.");
    }
}

/// The library's own answer. It reflects nothing of the request.
PORTHOLE_FN void ServerCore::make_error(Exchange& x, int status, std::string_view sentence) {
    x.response.reset();
    x.response.exchange = &x;
    x.is_refused = true;
    std::string& body = x.response.body;
    body = std::to_string(status);
    body += ' ';
    body += reason_phrase(status);
    body += '\n';
    body += sentence;
    body += '\n';
    x.response.fields = "Content-Type: text/plain; charset=utf-8\r\n";
    x.response.status = status;
    x.response.is_touched = true;
}

PORTHOLE_FN void ServerCore::finish_steps(Exchange& x) {
    constexpr int first_error = 400;
    const Request request(x.request);
    Response response(x.response);
    const bool is_empty = x.response.body.empty() && !x.response.source && !x.response.upgrade;
    x.response.exchange = nullptr; // it is too late to defer: nothing would wait for the Reply
    if (error_page_ && !is_shut_down_ && x.response.status >= first_error
        && (x.is_refused || x.response.is_refusal || is_empty)) {
        const std::shared_ptr<Handler> page = error_page_; // it may set another one
        router_->enter(nullptr);
        (*page)(request, response);
    }
    if (!options_.guard.allowed_origins.empty()) { // the after hooks may still change it
        response.add_header("Vary", "Origin");     // also without one: a cache may hold the answer
        if (x.origin != nullptr) {
            response.header("Access-Control-Allow-Origin", *x.origin);
        }
    }
    for (const RouteScope* scope = x.scope; scope != nullptr; scope = scope->parent) {
        router_->enter(scope);
        for (std::size_t i = 0; i < scope->after.size() && !is_shut_down_; ++i) {
            (*scope->after[i])(request, response);
        }
    }
}

/// Before anything else looks at the request: static files, 404s, OPTIONS and upgrades, too.
PORTHOLE_FN bool ServerCore::admit(Exchange& x, const Entrance& entrance) {
    constexpr int unauthorized = 401;
    const Request request(x.request);
    const GuardContext context{x.request.scheme, entrance.is_exposed, entrance.needs_token};
    const GuardVerdict verdict = gatekeeper_.judge(request, context);
    x.origin = verdict.origin;
    switch (verdict.kind) {
    case GuardVerdict::Kind::pass: return true;
    case GuardVerdict::Kind::refuse:
        log(LogLevel::info, LogId::request_refused, verdict.sentence, x.request.peer);
        make_error(x, verdict.status, verdict.sentence);
        if (verdict.status == unauthorized) { // RFC 6750 section 3
            Response(x.response).header("WWW-Authenticate", "Bearer");
        }
        break;
    case GuardVerdict::Kind::preflight: answer_preflight(x); break;
    case GuardVerdict::Kind::login: answer_login(x); break;
    }
    x.scope = &router_->root();
    finish_response(x);
    x.response.must_close = true; // its content, if it has any, is not read
    return false;
}

/// The permission that a browser asks for beforehand (WHATWG Fetch, CORS-preflight). What the
/// origin may do was decided with Guard::allowed_origins, so what it asks for is granted.
PORTHOLE_FN void ServerCore::answer_preflight(Exchange& x) {
    const Request request(x.request);
    Response response(x.response);
    response.no_content();
    response.header(
        "Access-Control-Allow-Methods",
        request.header("Access-Control-Request-Method").value_or(""));
    if (const auto fields = request.header("Access-Control-Request-Headers")) {
        response.header("Access-Control-Allow-Headers", *fields);
    }
    response.header("Access-Control-Max-Age", "600");
}

/// The token becomes a session cookie, and leaves the address bar and the history.
PORTHOLE_FN void ServerCore::answer_login(Exchange& x) {
    constexpr int see_other = 303;
    const Request request(x.request);
    Response response(x.response);
    std::string_view path = x.request.target.path;
    // "//name" would lead to another host, and so would "/\\name", which browsers read the same.
    while (path.size() > 1 && (path[1] == '/' || path[1] == '\\')) {
        path.remove_prefix(1);
    }
    std::string location = "/";
    location += path.substr(1);
    char separator = '?';
    std::string_view rest = request.query_string();
    while (!rest.empty()) {
        const std::string_view pair = rest.substr(0, rest.find('&'));
        rest.remove_prefix(pair.size() < rest.size() ? pair.size() + 1 : rest.size());
        if (!is_token_parameter(pair)) {
            location += separator;
            location += pair;
            separator = '&';
        }
    }
    response.redirect(location, see_other);
    CookieOptions cookie;
    cookie.same_site = SameSite::strict;
    cookie.secure = x.request.scheme == "https";
    response.cookie(gatekeeper_.session_cookie_name(request), gatekeeper_.session(), cookie);
}

PORTHOLE_FN void ServerCore::note_access(const Exchange& x, bool is_complete) {
    if (!options_.access_log) {
        return;
    }
    const Request request(x.request);
    AccessRecord record;
    record.time = clock_source_->wall_time();
    record.peer = request.peer();
    const bool is_rewritten = x.rewrites != 0;
    record.method = is_rewritten    ? std::string_view(x.first_method)
                    : x.has_request ? request.method_name()
                                    : std::string_view();
    record.http_version = request.http_version();
    record.status = x.response.status;
    record.content_bytes = x.content_sent;
    record.is_complete = is_complete;
    record.duration = x.has_request ? clock_ - x.began : Duration::zero();
    record.handler_time = x.handler_time;
    record.is_over_budget = x.is_over_budget;
    PORTHOLE_TRY {
        const std::string_view asked = is_rewritten ? x.first_target : request.target();
        const std::string target =
            x.has_request || is_rewritten ? redact_token(asked) : std::string();
        record.target = target;
        options_.access_log(record);
    }
    PORTHOLE_CATCH_ALL {} // a log that cannot be written is no reason to fail an answer
}

/// What handlers see of a request that could not be read: nothing but its peer.
PORTHOLE_FN void ServerCore::show_nothing(Exchange& x, std::string_view peer) noexcept {
    x.request.reset();
    x.request.base = "";
    x.request.head = &empty_head_;
    x.request.peer = peer;
}

PORTHOLE_FN void ServerCore::refuse(Exchange& x, RequestFault fault, std::string_view peer) {
    x.drop_reply();
    if (const std::shared_ptr<BodyIntake> intake = std::move(x.intake)) {
        x.intake.reset();
        intake->abort();
    }
    if (is_shut_down_) {
        return;
    }
    if (!x.has_request) {
        show_nothing(x, peer);
    }
    x.scope = &router_->root();
    log(LogLevel::info, LogId::request_refused, describe(fault), peer);
    make_error(x, status_of(fault), describe(fault));
    finish_response(x);
    x.response.must_close = true;
}

PORTHOLE_FN void ServerCore::refuse_overload(Exchange& x, std::string_view peer) {
    show_nothing(x, peer);
    x.scope = &router_->root();
    make_error(x, 503, "Too many connections (Limits::max_connections).");
    Response(x.response).header("Retry-After", "1");
    finish_response(x);
    x.response.must_close = true;
}

/// The route's own bound, else that of the innermost group that has one, else the server's.
PORTHOLE_FN std::uint64_t ServerCore::max_content(const Route* route) const noexcept {
    if (route == nullptr) {
        return limits().max_body_bytes;
    }
    if (route->max_body_bytes) {
        return *route->max_body_bytes;
    }
    for (const RouteScope* scope = route->scope; scope != nullptr; scope = scope->parent) {
        if (scope->max_body_bytes) {
            return *scope->max_body_bytes;
        }
    }
    return route->takes_streams() ? limits().max_streamed_body_bytes : limits().max_body_bytes;
}

PORTHOLE_FN ServerCore::Content ServerCore::receive(Exchange& x) {
    const Request request(x.request);
    const Route* route = router_->match(x.request, host_for_routing(request));
    x.max_content = max_content(route);
    x.request.parameters.clear(); // their names live in the route, which may go meanwhile
    const Framing& framing = x.request.head->framing;
    const bool is_too_large =
        framing.kind == Framing::Kind::length && framing.length > x.max_content;
    if (route == nullptr || is_too_large || !route->takes_streams()) {
        return Content::collected;
    }
    x.response.exchange = &x;
    bool goes_on = false;
    const bool has_ended = run_user_code(x, [&] { goes_on = open_intake(x); });
    x.request.parameters.clear();
    if (goes_on) {
        return Content::streamed;
    }
    if (!has_ended) {
        x.is_refused = true;
    }
    if (x.response.upgrade) { // what comes next is content, not the other protocol
        make_error(x, 400, "A request that asks for another protocol has no content here.");
    }
    if (!x.response.is_deferred && !is_shut_down_) {
        finish_response(x);
    }
    return Content::refused;
}

/// Asks the route where the content goes. False when the request goes no further.
PORTHOLE_FN bool ServerCore::open_intake(Exchange& x) {
    const Request request(x.request);
    Response response(x.response);
    x.scope = &router_->root();
    if (!run_before_hooks(x.scope, x, request, response)) {
        return false;
    }
    Route* route = router_->match(x.request, host_for_routing(request));
    if (route == nullptr || !route->takes_streams()) { // a hook has changed the routes
        answer_unrouted(x, request, response);
        return false;
    }
    router_->enter(*route);
    x.scope = route->scope;
    x.route_id = route->id;
    const bool has_own_hooks = x.scope != &router_->root();
    if (has_own_hooks && !run_before_hooks(x.scope, x, request, response)) {
        return false;
    }
    router_->enter(x.scope);
    x.response.is_touched = false; // a hook's fields are no answer
    const BodySink sink =
        route->mount ? route->mount->receive(request, response) : route->stream_handler(request);
    const std::shared_ptr<BodyIntake>& intake = sink.intake();
    const bool is_answered = x.response.is_touched && !x.response.is_deferred;
    if (intake->on_head && intake->refusal == 0 && !is_answered && !is_shut_down_) {
        intake->on_head(request);
    }
    if (intake->refusal != 0 || is_answered || is_shut_down_) {
        intake->abort();
        if (intake->refusal != 0 && !is_shut_down_) {
            x.drop_reply();
            make_error(x, intake->refusal, intake->refusal_sentence);
        }
        return false;
    }
    x.max_content = intake->max_bytes < x.max_content ? intake->max_bytes : x.max_content;
    x.intake = intake;
    x.intake->connection = x.connection;
    return true;
}

PORTHOLE_FN bool ServerCore::give(Exchange& x, std::string_view piece) {
    const std::shared_ptr<BodyIntake> intake = x.intake;
    if (!intake->on_data) {
        return true;
    }
    std::function<void(std::string_view)> take = std::move(intake->on_data);
    const bool has_ended = run_user_code(x, [&] { take(piece); });
    if (has_ended) {
        if (!intake->is_over) { // else it has ended itself, while it ran
            intake->on_data = std::move(take);
        }
        return !is_shut_down_;
    }
    x.intake.reset();
    intake->abort();
    x.is_refused = true;
    return false;
}

PORTHOLE_FN void ServerCore::end_intake(Exchange& x, const Request& request, Response& response) {
    const std::shared_ptr<BodyIntake> intake = std::move(x.intake);
    x.intake.reset();
    const Route* route = router_->match(x.request, host_for_routing(request));
    if (route != nullptr && route->id == x.route_id) {
        router_->enter(*route);
    } else {
        x.request.parameters.clear(); // it has gone meanwhile
    }
    if (intake->refusal != 0) {
        intake->abort();
        if (!is_shut_down_) {
            make_error(x, intake->refusal, intake->refusal_sentence);
        }
        return;
    }
    const Handler answer = std::move(intake->on_end);
    intake->forget();
    if (answer) {
        answer(request, response);
    } else if (!x.response.is_deferred) {
        response.no_content();
    }
}

PORTHOLE_FN void ServerCore::end_content(Exchange& x) {
    ResponseParts unused;
    unused.is_deferred = true;
    run_user_code(x, [&] {
        const Request request(x.request);
        Response response(unused);
        end_intake(x, request, response);
    });
}

PORTHOLE_FN void ServerCore::answer_refusal(Exchange& x) {
    const std::shared_ptr<BodyIntake> intake = std::move(x.intake);
    x.intake.reset();
    x.drop_reply();
    intake->abort();
    if (is_shut_down_) {
        return;
    }
    make_error(x, intake->refusal, intake->refusal_sentence);
    finish_response(x);
    x.response.must_close = true;
}

PORTHOLE_FN std::shared_ptr<ReplyState> ServerCore::defer(Exchange& x) {
    auto state = std::make_shared<ReplyState>();
    state->connection = x.connection;
    state->mailbox = mailbox_;
    state->parts = std::move(x.response);
    state->parts.exchange = nullptr;
    x.response.reset();
    x.response.exchange = &x;
    x.response.is_deferred = true;
    x.reply = state;
    return state;
}

PORTHOLE_FN void ServerCore::set_error_page(Handler page) {
    error_page_ = page ? std::make_shared<Handler>(std::move(page)) : nullptr;
}

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/server/rewrite.inl

// An answer that is that of another path of this server, without a word to the client: what RFC
// 3875 section 6.2.2 calls a local redirect. The request is written anew with the other target, and
// read again by the same parser as any other, so that nothing is believed that a client could not
// have asked for.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// RFC 3875 section 6.2.2 wants a bound.
inline constexpr unsigned max_rewrites = 8;

/// Fields about the content, which the new request does not have.
inline bool describes_content(std::string_view name) noexcept {
    for (const std::string_view field :
         {"Content-Length", "Transfer-Encoding", "Content-Type", "Content-Encoding", "Expect",
          "Trailer"}) {
        if (ascii::equals_ignoring_case(name, field)) {
            return true;
        }
    }
    return false;
}

/// The head of a request for `target` that is otherwise the one that came.
inline std::string write_rewritten(const RequestParts& parts, std::string_view target) {
    const Request request(parts);
    std::string head = parts.head->method == Method::head ? "HEAD " : "GET ";
    head.append(target).append(" ").append(request.http_version()).append("\r\n");
    const Fields& fields = request.fields();
    for (std::size_t i = 0; i < fields.size(); ++i) {
        const Field field = fields[i];
        if (!describes_content(field.name)) {
            head.append(field.name).append(": ").append(field.value).append("\r\n");
        }
    }
    head += "\r\n";
    return head;
}

/// In origin form only: another authority would lead past the guard.
PORTHOLE_FN RequestFault ServerCore::show_rewritten(Exchange& x, std::string_view target) {
    if (target.empty() || target[0] != '/' || !ascii::is_visible(target)) {
        return RequestFault::bad_target;
    }
    const std::string head = write_rewritten(x.request, target);
    if (x.rewrites++ == 0) {
        const Request request(x.request);
        x.first_method = request.method_name();
        x.first_target = request.target();
    }
    x.request.reset();
    x.parser.reset();
    x.head.clear();
    RequestFault fault = RequestFault::target_too_long;
    if (x.head.append(head)) {
        const bool is_whole = x.parser.parse(x.head.view()) == ParseStatus::complete;
        fault =
            is_whole ? x.request.set_head(x.parser.head(), x.head.view().data()) : x.parser.fault();
    }
    if (fault != RequestFault::none) {
        show_nothing(x, x.request.peer);
        x.has_request = false;
    }
    return fault;
}

PORTHOLE_FN void ServerCore::rewrite(Exchange& x, std::string_view target) {
    constexpr int internal_server_error = 500;
    const bool is_loop = x.rewrites >= max_rewrites;
    if (!is_loop && show_rewritten(x, target) == RequestFault::none) {
        handle(x);
        return;
    }
    log(LogLevel::error, LogId::request_refused,
        is_loop ? "A local redirect leads to another one, and so on; the answer is 500."
                : "A local redirect does not lead to a path; the answer is 500.",
        x.request.peer);
    x.scope = &router_->root();
    make_error(x, internal_server_error, "This redirect leads nowhere.");
    finish_response(x);
}

PORTHOLE_FN void Connection::rewrite(ReplyState& reply, std::string_view target) {
    const bool is_early = phase_ == Phase::content; // its content is still coming
    if (phase_ != Phase::deferred && !is_early) {
        return;
    }
    Exchange& x = *exchange_;
    reply.connection = nullptr;
    x.reply.reset();
    x.response.reset();
    x.response.exchange = &x;
    output_moved_ = unwanted_input_ = false;
    PORTHOLE_TRY {
        if (is_early) { // what is left of it is nobody's
            phase_ = Phase::deferred;
            x.is_content_unread = true;
            abort_intake();
            x.intake.reset();
        }
        if (phase_ != Phase::closed) {
            core_.rewrite(x, target);
        }
        if (phase_ != Phase::closed && !x.response.is_deferred) {
            send_answer();
            if (phase_ != Phase::closed) {
                send_output();
            }
        }
        if (phase_ == Phase::deferred) {
            x.request.parameters.clear(); // their names live in the route, which may go
        }
    }
    PORTHOLE_CATCH_ALL {
        core_.note_failure("An allocation failed or a body source threw.", peer_);
        close_now();
    }
    finish_turn();
}

} // namespace detail

PORTHOLE_FN void Reply::rewrite(std::string_view target) {
    if (!owner_) {
        return;
    }
    if (!owner_->claim()) {
        owner_->report_repetition();
        return;
    }
    owner_->deliver_rewritten(target);
}

namespace detail {

PORTHOLE_FN void ReplyOwner::deliver_rewritten(std::string_view target) {
    state_->mailbox->put([state = state_, wanted = std::string(target)] {
        if (state->connection != nullptr) {
            state->connection->rewrite(*state, wanted);
        }
    });
}

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/server/core_listen.inl

// How connections begin: listeners, accepting, the cap, transports from elsewhere; and watched
// descriptors.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN Error ListenerEntry::open() {
    interest_ = Interest{true, false, false};
    Pollable* owner = this;
    return core_.poller().add(listener_.handle(), owner, interest_);
}

PORTHOLE_FN ListenerEntry::~ListenerEntry() {
    if (listener_.is_open()) {
        core_.poller().remove(listener_.handle());
    }
}

PORTHOLE_FN void ListenerEntry::serve(Readiness) {
    const Expose expose = listener_.options().expose;
    const bool is_exposed = expose != Expose::no && listener_.endpoint().family() != Family::local;
    const Entrance entrance{is_exposed, is_exposed && expose == Expose::lan_with_token};
    for (;;) {
        if (!core_.may_accept()) {
            core_.make_ready(*this);
            return;
        }
        Socket socket;
        Endpoint peer;
        switch (listener_.accept(socket, peer)) {
        case AcceptStatus::accepted:
            core_.accept(std::move(socket), peer, entrance);
            core_.read_clock();
            break;
        case AcceptStatus::retry: break;
        case AcceptStatus::none: return;
        case AcceptStatus::exhausted:
        case AcceptStatus::failed: back_off(); return;
        }
    }
}

/// No descriptor is left: the listener is not watched for a while, instead of being told in vain at
/// each poll that somebody waits.
PORTHOLE_FN void ListenerEntry::back_off() noexcept {
    core_.note_exhausted();
    interest_ = Interest{false, false, false};
    Pollable* owner = this;
    static_cast<void>(core_.poller().modify(listener_.handle(), owner, interest_));
    core_.timers().arm(*this, core_.now() + core_.limits().accept_backoff);
}

PORTHOLE_FN void ListenerEntry::on_deadline() {
    interest_ = Interest{true, false, false};
    Pollable* owner = this;
    static_cast<void>(core_.poller().modify(listener_.handle(), owner, interest_));
}

/// A few for each tick, so that a flood of newcomers leaves time for those who are here.
PORTHOLE_FN bool ServerCore::may_accept() noexcept {
    if (accepts_left_ == 0 || is_out_of_time()) {
        return false;
    }
    --accepts_left_;
    return true;
}

PORTHOLE_FN void ServerCore::note_exhausted() noexcept {
    ++stats_.accept_backoffs;
    log(LogLevel::warning, LogId::accept_failed,
        "No descriptor or memory is left for a new connection; accepting pauses "
        "(Limits::accept_backoff).");
}

/// How many connections the address of `peer` has.
PORTHOLE_FN std::size_t ServerCore::count_from(std::string_view peer) noexcept {
    const std::string_view host = peer.substr(0, peer.rfind(':'));
    std::size_t count = 0;
    for (Connection* c = open_.front(); c != nullptr; c = open_.after(*c)) {
        const std::string_view other = c->peer();
        count += other.substr(0, other.rfind(':')) == host ? 1u : 0u;
    }
    return count;
}

PORTHOLE_FN void ServerCore::accept(Socket socket, const Endpoint& peer, Entrance entrance) {
    // Beyond the cap a few more may hear why they are not served.
    constexpr std::size_t max_refusals = 16;
    ++work_;
    ++stats_.accepted;
    std::string name = peer.to_string();
    const bool is_crowd = entrance.is_exposed && !peer.is_loopback()
                          && count_from(name) >= limits().max_connections_per_address;
    const bool is_full = connections_ >= limits().max_connections;
    Connection* longest_idle = is_full && !is_crowd ? idle_.front() : nullptr;
    if (longest_idle != nullptr) {
        longest_idle->close_now();
    }
    const bool is_refused = is_crowd || (is_full && longest_idle == nullptr);
    if (is_full || is_crowd) {
        ++stats_.refused;
        log(LogLevel::warning, LogId::connection_capped,
            is_crowd ? "One address has too many connections (Limits::max_connections_per_address)."
                     : "The longest idle connection makes room, else the newcomer gets 503 "
                       "(Limits::max_connections).",
            name);
    }
    if (is_refused && connections_ >= limits().max_connections + max_refusals) {
        return;
    }
    std::unique_ptr<Transport> transport(new SocketTransport(std::move(socket)));
    std::unique_ptr<Connection> connection(
        new Connection(*this, std::move(transport), std::move(name), entrance));
    ++connections_;
    Connection& opened = *connection.release();
    open_.push_back(opened);
    if (opened.open()) {
        opened.close_now();
    } else if (is_refused) {
        opened.refuse_in_turn();
    }
}

PORTHOLE_FN Error ServerCore::adopt(std::unique_ptr<Transport> transport, std::string_view peer) {
    if (broken_) {
        return broken_;
    }
    if (transport == nullptr || is_draining_) {
        return Error(ErrorCode::misuse, "adopt", peer, "the server must be running");
    }
    const bool has_descriptor = transport->handle() != invalid_handle;
    std::unique_ptr<Connection> connection(
        new Connection(*this, std::move(transport), std::string(peer), Entrance{}));
    ++connections_;
    ++stats_.accepted;
    Connection& opened = *connection.release();
    (has_descriptor ? open_ : descriptorless_).push_back(opened);
    Error error = opened.open();
    if (error) {
        opened.close_now();
    }
    return error;
}

/// A server that has been stopped, or is about to, starts anew.
PORTHOLE_FN void ServerCore::restart() noexcept {
    if (mailbox_->is_stop_requested() || is_draining_) {
        mailbox_->forget_stop();
        listeners_.clear();
        close_connections();
        is_draining_ = false;
        stop_deadline_ = never;
    }
}

PORTHOLE_FN Error
ServerCore::listen(std::string_view host, std::uint16_t port, const ListenOptions& options) {
    if (broken_) {
        return broken_;
    }
    restart();
    if (options.expose == Expose::lan_with_token && !gatekeeper_.make_secrets()) {
        return no_secrets();
    }
    std::vector<const Listener*> existing;
    for (const std::unique_ptr<ListenerEntry>& entry : listeners_) {
        existing.push_back(&entry->listener());
    }
    std::vector<Listener> opened;
    std::vector<Error> skipped;
    Error error = open_listeners(host, port, options, existing, opened, skipped);
    if (error) {
        return error;
    }
    for (const Error& each : skipped) {
        log(LogLevel::warning, LogId::listen_skipped, each.message());
    }
    return start_listening(std::move(opened));
}

PORTHOLE_FN Error ServerCore::listen_unix(std::string_view path, unsigned mode) {
    if (broken_) {
        return broken_;
    }
    restart();
    const Endpoint endpoint = Endpoint::local(path);
    for (const std::unique_ptr<ListenerEntry>& entry : listeners_) {
        if (entry->listener().endpoint() == endpoint) {
            return {};
        }
    }
    std::vector<Listener> opened(1);
    Error error = Listener::open(endpoint, ListenOptions{}, mode, opened.front());
    return error ? error : start_listening(std::move(opened));
}

PORTHOLE_FN Error ServerCore::start_listening(std::vector<Listener> opened) {
    const std::size_t before = listeners_.size();
    for (Listener& listener : opened) {
        log(LogLevel::info, LogId::listening, "Listening on " + listener.endpoint().to_string());
        listeners_.push_back(
            std::unique_ptr<ListenerEntry>(new ListenerEntry(*this, std::move(listener))));
        Error error = listeners_.back()->open();
        if (error) {
            listeners_.resize(before);
            return error;
        }
    }
    return {};
}

PORTHOLE_FN std::vector<Endpoint> ServerCore::endpoints() const {
    std::vector<Endpoint> all;
    for (const std::unique_ptr<ListenerEntry>& entry : listeners_) {
        all.push_back(entry->listener().endpoint());
    }
    return all;
}

PORTHOLE_FN std::uint16_t ServerCore::port() const noexcept {
    for (const std::unique_ptr<ListenerEntry>& entry : listeners_) {
        if (entry->listener().endpoint().port() != 0) {
            return entry->listener().endpoint().port();
        }
    }
    return 0;
}

PORTHOLE_FN std::string ServerCore::token() {
    return gatekeeper_.make_secrets() ? gatekeeper_.token() : std::string();
}

PORTHOLE_FN std::vector<std::string> ServerCore::urls() const {
    std::vector<std::string> urls;
    const auto add = [&urls](const Endpoint& endpoint, std::string host, const std::string& query) {
        if (endpoint.family() == Family::ipv6 && host != "localhost") {
            host = "[" + host + "]";
        }
        std::string url = "http://" + host + ":" + std::to_string(endpoint.port()) + "/" + query;
        for (const std::string& known : urls) {
            if (known == url) {
                return;
            }
        }
        urls.push_back(std::move(url));
    };
    for (const std::unique_ptr<ListenerEntry>& entry : listeners_) {
        const Endpoint& endpoint = entry->listener().endpoint();
        if (endpoint.family() == Family::local) {
            continue; // no browser speaks it
        }
        const bool needs_token = options_.guard.requires_token
                                 || entry->listener().options().expose == Expose::lan_with_token;
        std::string query;
        if (needs_token) {
            query = "?token=";
            percent_encode(gatekeeper_.token(), query); // the program may have chosen it
        }
        const bool is_local = endpoint.is_loopback() || endpoint.is_wildcard();
        add(endpoint, is_local ? std::string("localhost") : endpoint.host_text(), query);
        if (!endpoint.is_wildcard()) {
            continue;
        }
        for (Endpoint own : interface_addresses()) {
            own.set_port(endpoint.port());
            if (!own.is_loopback() && own.family() == endpoint.family() && own.scope_id() == 0) {
                add(own, own.host_text(), query);
            }
        }
    }
    return urls;
}

PORTHOLE_FN void
ServerCore::for_each_pollfd(const std::function<void(NativeHandle, Interest)>& visit) const {
    if (broken_) {
        return;
    }
    visit(mailbox_->waker().handle(), Interest{true, false, false});
    for (const std::unique_ptr<ListenerEntry>& entry : listeners_) {
        if (entry->interest().read) {
            visit(entry->listener().handle(), entry->interest());
        }
    }
    auto& self = const_cast<ServerCore&>(*this); // walking an intrusive list does not change it
    for (Connection* c = self.open_.front(); c != nullptr; c = self.open_.after(*c)) {
        const Interest interest = c->interest();
        if (interest.read || interest.write || interest.hangup) {
            visit(c->handle(), interest);
        }
    }
    for (WatchEntry* w = self.watches_.front(); w != nullptr; w = self.watches_.after(*w)) {
        visit(w->handle(), w->interest());
    }
}

PORTHOLE_FN Error ServerCore::watch(
    NativeHandle handle, Interest interest, WatchCallback callback,
    std::shared_ptr<WatchEntry>& entry) {
    if (broken_) {
        return broken_;
    }
    PORTHOLE_ASSERT(callback, "a watch needs a callback");
    if (!callback) {
        return Error(ErrorCode::misuse, "watch", "", "a watch needs a callback");
    }
    entry = std::make_shared<WatchEntry>(*this, handle, interest, std::move(callback));
    entry->keep_alive(entry);
    Error error = entry->open();
    if (error) {
        entry.reset();
    }
    return error;
}

PORTHOLE_FN Error WatchEntry::open() {
    Pollable* owner = this;
    Error error = core_->poller().add(handle_, owner, interest_);
    if (!error) {
        core_->add_watch(*this);
    }
    return error;
}

PORTHOLE_FN void WatchEntry::serve(Readiness ready) {
    const std::shared_ptr<WatchEntry> self = self_.lock();
    if (core_ != nullptr && self) {
        core_->count_work();
        PORTHOLE_TRY {
            callback_(ready);
        }
        PORTHOLE_CATCH_ALL {
            stop(); // here, since nobody else may know that it still exists
        }
    }
}

PORTHOLE_FN void WatchEntry::set_interest(Interest interest) {
    if (core_ == nullptr || interest == interest_) {
        return;
    }
    interest_ = interest;
    Pollable* owner = this;
    if (core_->poller().modify(handle_, owner, interest)) {
        stop();
    }
}

PORTHOLE_FN void WatchEntry::stop() noexcept {
    if (core_ != nullptr) {
        core_->poller().remove(handle_);
        core_ = nullptr;
        static_cast<ListLink<ReadyTag>&>(*this).unlink();
        static_cast<ListLink<OpenTag>&>(*this).unlink();
    }
}

} // namespace detail

PORTHOLE_FN WatchHandle::WatchHandle(std::shared_ptr<detail::WatchEntry> entry) noexcept
    : entry_(std::move(entry)) {}

PORTHOLE_FN WatchHandle& WatchHandle::operator=(WatchHandle&& other) noexcept {
    if (this != &other) {
        stop();
        entry_ = std::move(other.entry_);
    }
    return *this;
}

PORTHOLE_FN void WatchHandle::set_interest(Interest interest) {
    if (entry_) {
        entry_->set_interest(interest);
    }
}

PORTHOLE_FN void WatchHandle::stop() noexcept {
    if (entry_) {
        entry_->stop();
        entry_.reset();
    }
}

PORTHOLE_NAMESPACE_END

// porthole/server/core.inl

// The loop. A round is: mail, one poll, a turn for each that is ready, deadlines. A tick is as many
// rounds as the budget allows and the work needs.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN void define_PORTHOLE_IMPLEMENTATION_in_exactly_one_source_file() {}

/// A unit of nothing would never get anywhere.
inline Options with_units(Options options) {
    for (std::size_t* unit :
         {&options.limits.max_accepts_per_tick, &options.limits.max_read_bytes_per_turn,
          &options.limits.max_write_bytes_per_turn}) {
        *unit = *unit == 0 ? 1 : *unit;
    }
    return options;
}

inline std::string fixed_fields(const Options& options) {
    std::string lines;
    if (!options.server_name.empty()) {
        lines += "Server: " + options.server_name + "\r\n";
    }
    if (options.guard.adds_security_fields) {
        lines += "X-Content-Type-Options: nosniff\r\n"
                 "Cross-Origin-Resource-Policy: same-origin\r\n"
                 "Referrer-Policy: no-referrer\r\n";
    }
    return lines;
}

PORTHOLE_FN ServerCore::ServerCore(Options options)
    : options_(with_units(std::move(options))), gatekeeper_(options_.guard),
      clock_source_(options_.clock != nullptr ? options_.clock : &system_clock_),
      clock_(clock_source_->now()), now_(clock_), budget_end_(never), tick_began_(clock_),
      timers_(clock_), mailbox_(std::make_shared<Mailbox>()), waker_entry_(*mailbox_),
      router_(std::make_shared<Router>()),
      read_buffer_(new char[options_.limits.max_read_bytes_per_turn]),
      events_(new Poller::Event[Poller::max_events]), out_(16 * max_answers_bytes),
      default_fields_(fixed_fields(options_)) {
    exchanges_.reserve(max_free_exchanges);
    if (options_.guard.requires_token && !gatekeeper_.make_secrets()) {
        broken_ = no_secrets();
        return;
    }
    broken_ = make_poller(options_.poller, poller_);
    if (!broken_) {
        broken_ = mailbox_->open();
    }
    if (!broken_) {
        Pollable* owner = &waker_entry_;
        broken_ = poller_->add(mailbox_->waker().handle(), owner, Interest{true, false, false});
    }
}

PORTHOLE_FN ServerCore::~ServerCore() {
    clear_graveyard();
    if (is_gone_ != nullptr) {
        *is_gone_ = true;
    }
}

PORTHOLE_FN void ServerCore::shut_down() noexcept {
    is_shut_down_ = true;
    if (!is_ticking_) { // else the gathered answers may be another one's
        for (IntrusiveList<Connection, OpenTag>* list : {&open_, &descriptorless_}) {
            for (Connection* c = list->front(); c != nullptr; c = list->after(*c)) {
                c->send_last();
            }
        }
    }
    close_connections();
    while (WatchEntry* watch = watches_.front()) {
        watch->stop();
    }
    listeners_.clear();
    if (poller_ && mailbox_->waker().handle() != invalid_handle) {
        poller_->remove(mailbox_->waker().handle());
    }
    mailbox_->close();
    budget_end_ = (TimePoint::min)();
    if (!is_ticking_) {
        delete this;
    }
}

/// A breakpoint or a loading screen, between ticks or inside a handler, is not the clients' fault:
/// what exceeds `longest` moves all deadlines at once, by not having happened.
PORTHOLE_FN TimePoint ServerCore::read_clock(Duration longest) noexcept {
    const TimePoint reading = clock_source_->now();
    const Duration gap = reading - clock_;
    clock_ = reading;
    if (gap > longest) {
        skipped_ += gap - longest;
        log(LogLevel::info, LogId::clock_gap,
            "Nobody ticked for a while; deadlines have moved (Limits::max_tick_gap).");
    }
    now_ = clock_ - skipped_;
    return clock_;
}

/// The first reading of a tick: a host that asked for next_deadline() may have slept until then.
PORTHOLE_FN void ServerCore::read_clock_after_gap() noexcept {
    const Duration allowed = allowed_gap();
    promised_ = (TimePoint::min)();
    read_clock(allowed);
}

PORTHOLE_FN Duration ServerCore::allowed_gap() const noexcept {
    const Duration most = limits().max_tick_gap;
    if (promised_ == never) {
        return (Duration::max)();
    }
    return promised_ > clock_ ? promised_ - clock_ + most : most;
}

/// False when it is called from inside a tick, which would hand one connection's buffers to
/// another.
PORTHOLE_FN bool ServerCore::begin_tick(TimePoint budget_end) noexcept {
    PORTHOLE_ASSERT(!is_ticking_, "tick() must not be called from inside a handler");
    if (is_ticking_) {
        return false;
    }
    is_ticking_ = true;
    report_ = TickReport{};
    accepts_left_ = limits().max_accepts_per_tick;
    budget_end_ = budget_end;
    tick_began_ = clock_;
    if (mailbox_->is_stop_requested()) {
        begin_stop();
    }
    return true;
}

PORTHOLE_FN TickReport ServerCore::end_tick() noexcept {
    TickReport report = report_;
    read_clock();
    report.elapsed = clock_ - tick_began_;
    report.more = !ready_.is_empty() || !letters_.empty() || mailbox_->has_letters();
    ++stats_.ticks;
    stats_.requests += report.requests;
    stats_.responses += report.responses;
    stats_.bytes_in += report.bytes_in;
    stats_.bytes_out += report.bytes_out;
    stats_.handler_time += report.handler_time;
    if (work_ != 0) {
        stats_.tick_times.add(report.elapsed);
        stats_.library_times.add(report.elapsed - report.handler_time);
        work_ = 0;
    }
    clear_graveyard();
    is_ticking_ = false;
    if (is_shut_down_) {
        delete this;
    }
    return report;
}

PORTHOLE_FN TickReport ServerCore::tick(std::chrono::nanoseconds budget) {
    read_clock_after_gap();
    if (!begin_tick(clock_ + std::chrono::duration_cast<Duration>(budget))) {
        return {};
    }
    serve_rounds();
    return end_tick();
}

PORTHOLE_FN TickReport ServerCore::tick_until(TimePoint deadline) {
    read_clock_after_gap();
    if (!begin_tick(deadline)) {
        return {};
    }
    std::chrono::nanoseconds slept{0};
    serve_rounds();
    while (clock_ < deadline && !is_shut_down_) {
        accepts_left_ = limits().max_accepts_per_tick;
        const Duration next = time_to_next_deadline();
        const Duration left = deadline - clock_;
        const TimePoint before = clock_;
        poll(next < left ? next : left);
        read_clock((Duration::max)()); // sleeping is no gap
        if (clock_ == before) {
            break; // a clock that stands still never reaches the deadline
        }
        slept += clock_ - before;
        serve_batch();
        expire_timers();
        const bool has_mail = mailbox_->has_letters() || mailbox_->is_stop_requested();
        if ((work_ != 0 || has_mail) && !is_out_of_time()) {
            serve_rounds();
        }
    }
    tick_began_ += slept; // elapsed is what it cost, not what it waited
    return end_tick();
}

PORTHOLE_FN TickReport ServerCore::wait(std::chrono::milliseconds timeout) {
    read_clock_after_gap();
    if (!begin_tick(never)) {
        return {};
    }
    read_mail();
    const Duration next = time_to_next_deadline();
    const TimePoint before = clock_;
    const bool has_worked = work_ != 0; // the mail was what it waited for
    poll(has_worked ? Duration::zero() : next < timeout ? next : Duration(timeout));
    read_clock((Duration::max)()); // sleeping is no gap
    tick_began_ += clock_ - before;
    read_mail();
    if (mailbox_->is_stop_requested()) {
        begin_stop();
    }
    serve_batch();
    expire_timers();
    return end_tick();
}

PORTHOLE_FN void ServerCore::run() {
    constexpr std::chrono::hours forever{1};
    PORTHOLE_ASSERT(!is_ticking_, "run() must not be called from inside a handler");
    if (is_ticking_) {
        return;
    }
    bool is_gone = false; // a handler may destroy the server
    is_gone_ = &is_gone;
    while (is_running() || is_draining_ || mailbox_->is_stop_requested()) {
        wait(forever);
        if (is_gone) {
            return;
        }
    }
    is_gone_ = nullptr;
}

PORTHOLE_FN bool ServerCore::is_running() const noexcept {
    return !is_shut_down_ && !is_draining_ && !mailbox_->is_stop_requested()
           && (!listeners_.empty() || connections_ != 0);
}

/// Until a round has moved nothing, or the budget is spent.
PORTHOLE_FN void ServerCore::serve_rounds() {
    std::uint64_t before = 0;
    do {
        read_mail(); // alone it is no reason for a round: a task may post itself for the next tick
        before = work_;
        poll(Duration::zero());
        serve_batch();
        expire_timers();
        read_clock();
    } while (work_ != before && !is_out_of_time());
}

/// One turn for each that is ready now. Those that the budget leaves over come first next time.
PORTHOLE_FN void ServerCore::serve_batch() {
    IntrusiveList<Pollable, ReadyTag> batch;
    batch.splice_back(ready_);
    while (Pollable* item = batch.pop_front()) {
        PORTHOLE_TRY {
            item->serve(item->take_readiness());
        }
        PORTHOLE_CATCH_ALL {
            log(LogLevel::error, LogId::out_of_memory,
                "An allocation failed or a callback threw; the connection was dropped.");
            out_.clear();
            item->drop();
        }
        clear_graveyard();
        read_clock();
        if (is_out_of_time()) {
            break;
        }
    }
    batch.splice_back(ready_);
    ready_.splice_back(batch);
}

PORTHOLE_FN void ServerCore::poll(Duration timeout) {
    if (is_shut_down_ || broken_) {
        return;
    }
    if (!descriptorless_.is_empty()) {
        for (Connection* c = descriptorless_.front(); c != nullptr; c = descriptorless_.after(*c)) {
            const Readiness ready = c->wanted_readiness();
            if (ready.read || ready.write || ready.hangup || ready.error) {
                Pollable& item = *c;
                item.add_readiness(ready);
                if (!item.is_linked()) {
                    make_ready(item);
                }
            }
        }
    }
    const bool sleeps = timeout > Duration::zero() && ready_.is_empty() && letters_.empty();
    if (sleeps) {
        mailbox_->set_waking(
            true); // before the letters are looked for: put() does it the other way
        if (mailbox_->has_letters() || mailbox_->is_stop_requested()) {
            timeout = Duration::zero();
        }
    }
    const Duration most = timeout == (Duration::max)() ? Poller::forever : timeout;
    const std::size_t count = poller_->poll(sleeps ? most : Duration::zero(), events_.get());
    if (sleeps) {
        mailbox_->set_waking(wakes_always_);
    }
    for (std::size_t i = 0; i < count; ++i) {
        Pollable* item = static_cast<Pollable*>(events_[i].owner);
        item->add_readiness(events_[i].readiness);
        if (!item->is_linked()) {
            make_ready(*item);
        }
    }
}

PORTHOLE_FN void ServerCore::read_mail() {
    if (mailbox_->has_letters()) {
        mailbox_->take(letters_);
    }
    while (!letters_.empty() && !is_shut_down_) {
        const Mailbox::Letter letter = std::move(letters_.front());
        letters_.pop_front();
        ++work_;
        PORTHOLE_TRY {
            letter();
        }
        PORTHOLE_CATCH_ALL {
            log(LogLevel::error, LogId::handler_threw, "A posted task ended with an exception.");
            out_.clear();
        }
        read_clock();
        if (is_out_of_time()) {
            return;
        }
    }
    if (mailbox_->is_stop_requested() && is_ticking_) {
        begin_stop();
    }
}

PORTHOLE_FN void ServerCore::expire_timers() {
    constexpr int most = 4096; // a task may be due again at once, by mistake
    for (int i = 0; i < most && timers_.is_due(now_) && !is_shut_down_; ++i) {
        Timer* timer = timers_.expire(now_);
        if (timer == nullptr) {
            break;
        }
        ++work_;
        PORTHOLE_TRY {
            static_cast<TimedTask*>(timer)->on_deadline();
        }
        PORTHOLE_CATCH_ALL {
            log(LogLevel::error, LogId::out_of_memory,
                "A deadline's work ended with an exception; the connection was dropped.");
            out_.clear();
            static_cast<TimedTask*>(timer)->drop();
        }
        read_clock();
        if (is_out_of_time()) {
            break;
        }
    }
    clear_graveyard();
    if (is_draining_ && (connections_ == 0 || now_ >= stop_deadline_)) {
        finish_stop();
    }
}

PORTHOLE_FN Duration ServerCore::time_to_next_deadline() noexcept {
    if (is_draining_ && connections_ == 0) {
        return Duration::zero(); // nothing is left to stop
    }
    TimePoint next = timers_.next_deadline();
    next = next < stop_deadline_ ? next : stop_deadline_;
    if (next == never) {
        return (Duration::max)();
    }
    return next > now_ ? next - now_ : Duration::zero();
}

PORTHOLE_FN TimePoint ServerCore::next_deadline() noexcept {
    wake_always();
    read_clock();
    if (!ready_.is_empty() || !letters_.empty() || mailbox_->has_letters()
        || mailbox_->is_stop_requested() || !descriptorless_.is_empty()) {
        promised_ = clock_;
    } else {
        const Duration left = time_to_next_deadline();
        promised_ = left == (Duration::max)() ? never : clock_ + left;
    }
    return promised_;
}

/// The host waits for our descriptors itself, so put() cannot know when nobody does.
PORTHOLE_FN void ServerCore::wake_always() noexcept {
    wakes_always_ = true;
    mailbox_->set_waking(true);
}

PORTHOLE_FN void ServerCore::begin_stop() {
    mailbox_->forget_stop();
    if (is_draining_) {
        return;
    }
    is_draining_ = true;
    ++work_;
    listeners_.clear();
    stop_deadline_ = now_ + limits().stop_grace;
    for (IntrusiveList<Connection, OpenTag>* list : {&open_, &descriptorless_}) {
        IntrusiveList<Connection, OpenTag> rest; // a callback may close any of them
        rest.splice_back(*list);
        while (Connection* connection = rest.front()) {
            list->push_back(*connection);
            is_shut_down_ ? connection->close_now() : connection->begin_drain();
        }
    }
}

PORTHOLE_FN void ServerCore::finish_stop() {
    close_connections();
    is_draining_ = false;
    stop_deadline_ = never;
    log(LogLevel::info, LogId::stopped, "The server has stopped.");
}

PORTHOLE_FN void ServerCore::close_connections() noexcept {
    for (IntrusiveList<Connection, OpenTag>* list : {&open_, &descriptorless_}) {
        while (Connection* connection = list->front()) {
            connection->close_now();
        }
    }
    if (!is_ticking_) {
        clear_graveyard();
    }
}

PORTHOLE_FN void ServerCore::bury(Connection& connection) noexcept {
    static_cast<ListLink<ReadyTag>&>(connection).unlink();
    static_cast<ListLink<IdleTag>&>(connection).unlink();
    graveyard_.push_back(connection);
    --connections_;
    ++work_;
}

/// Only between turns, when no call on a connection is left on the stack.
PORTHOLE_FN void ServerCore::clear_graveyard() noexcept {
    while (Connection* connection = graveyard_.pop_front()) {
        delete connection;
    }
}

PORTHOLE_FN const DefaultFields& ServerCore::default_fields() noexcept {
    // Twice a second is often enough for a field that shows seconds, and saves reading a second
    // clock.
    constexpr std::chrono::milliseconds step{500};
    const std::int64_t period =
        clock_.time_since_epoch() / std::chrono::duration_cast<Duration>(step);
    if (period != date_period_) {
        date_period_ = period;
        default_fields_.set_time(clock_source_->wall_time());
    }
    return default_fields_;
}

PORTHOLE_FN std::unique_ptr<Exchange> ServerCore::acquire_exchange() {
    if (exchanges_.empty()) {
        return std::unique_ptr<Exchange>(new Exchange(limits()));
    }
    std::unique_ptr<Exchange> exchange = std::move(exchanges_.back());
    exchanges_.pop_back();
    return exchange;
}

PORTHOLE_FN void ServerCore::release_exchange(std::unique_ptr<Exchange> exchange) noexcept {
    exchange->reset();
    if (exchanges_.size() < max_free_exchanges) {
        exchanges_.push_back(std::move(exchange));
    }
}

PORTHOLE_FN void ServerCore::count_in(std::size_t bytes) noexcept {
    report_.bytes_in += bytes;
    ++work_;
}

PORTHOLE_FN void ServerCore::count_out(std::size_t bytes) noexcept {
    report_.bytes_out += bytes;
    ++work_;
}

PORTHOLE_FN void
ServerCore::log(LogLevel level, LogId id, std::string_view sentence, std::string_view peer) {
    if (options_.log) {
        PORTHOLE_TRY {
            options_.log(LogEvent{level, id, sentence, peer});
        }
        PORTHOLE_CATCH_ALL {} // a sink that fails is no reason to drop anybody
    }
}

PORTHOLE_FN void ServerCore::note_timeout(std::string_view sentence, std::string_view peer) {
    ++stats_.timeouts;
    log(LogLevel::info, LogId::timed_out, sentence, peer);
}

PORTHOLE_FN void ServerCore::note_failure(std::string_view sentence, std::string_view peer) {
    log(LogLevel::warning, LogId::connection_failed, sentence, peer);
}

PORTHOLE_FN Stats ServerCore::stats() const {
    Stats stats = stats_;
    stats.connections = connections_;
    return stats;
}

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/server/server.inl

// The public face: each call hands on to the core or to the router.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// A handler in a mount's clothes.
class HandlerMount final : public Mount {
public:
    explicit HandlerMount(Handler handler) : handler_(std::move(handler)) {}
    void handle(const Request& request, Response& response) override {
        handler_(request, response);
    }

private:
    Handler handler_;
};

} // namespace detail

PORTHOLE_FN void RouteHandle::remove() {
    if (const std::shared_ptr<detail::Router> router = router_.lock()) {
        router->remove(id_);
    }
    id_ = 0;
}

PORTHOLE_FN RouteHandle& RouteHandle::max_body_bytes(std::uint64_t bytes) {
    if (const std::shared_ptr<detail::Router> router = router_.lock()) {
        if (detail::Route* route = router->find(id_)) {
            route->max_body_bytes = bytes;
        }
    }
    return *this;
}

PORTHOLE_FN bool RouteHandle::is_valid() const noexcept {
    const std::shared_ptr<detail::Router> router = router_.lock();
    return router && router->find(id_) != nullptr;
}

namespace detail {

/// Null, with a word in the log, for a route that cannot be.
inline Route* add_route(
    ServerCore& core, RouteScope& scope, std::string_view method_name, std::string_view pattern,
    bool has_handler) {
    Error error;
    Route* route = core.router().add(scope, method_name, pattern, error);
    PORTHOLE_ASSERT(route != nullptr && has_handler, "a route has a valid pattern and a handler");
    if (route == nullptr) {
        core.log(LogLevel::error, LogId::bad_pattern, error.message());
        return nullptr;
    }
    if (!has_handler) {
        core.router().remove(route->id);
        core.log(LogLevel::error, LogId::bad_pattern, "A route without a handler was not added.");
        return nullptr;
    }
    return route;
}

} // namespace detail

PORTHOLE_FN RouteHandle
Group::route(std::string_view method_name, std::string_view pattern, Handler handler) {
    detail::Route* route =
        detail::add_route(*core_, *scope_, method_name, pattern, handler != nullptr);
    if (route == nullptr) {
        return {};
    }
    route->handler = std::move(handler);
    return RouteHandle(core_->shared_router(), route->id);
}

PORTHOLE_FN RouteHandle
Group::route_stream(std::string_view method_name, std::string_view pattern, StreamHandler handler) {
    detail::Route* route =
        detail::add_route(*core_, *scope_, method_name, pattern, handler != nullptr);
    if (route == nullptr) {
        return {};
    }
    route->stream_handler = std::move(handler);
    return RouteHandle(core_->shared_router(), route->id);
}

PORTHOLE_FN RouteHandle Group::post_stream(std::string_view pattern, StreamHandler handler) {
    return route_stream("POST", pattern, std::move(handler));
}

PORTHOLE_FN RouteHandle Group::put_stream(std::string_view pattern, StreamHandler handler) {
    return route_stream("PUT", pattern, std::move(handler));
}

PORTHOLE_FN RouteHandle Group::patch_stream(std::string_view pattern, StreamHandler handler) {
    return route_stream("PATCH", pattern, std::move(handler));
}

PORTHOLE_FN RouteHandle Group::get(std::string_view pattern, Handler handler) {
    return route("GET", pattern, std::move(handler));
}

PORTHOLE_FN RouteHandle Group::post(std::string_view pattern, Handler handler) {
    return route("POST", pattern, std::move(handler));
}

PORTHOLE_FN RouteHandle Group::put(std::string_view pattern, Handler handler) {
    return route("PUT", pattern, std::move(handler));
}

PORTHOLE_FN RouteHandle Group::patch(std::string_view pattern, Handler handler) {
    return route("PATCH", pattern, std::move(handler));
}

PORTHOLE_FN RouteHandle Group::del(std::string_view pattern, Handler handler) {
    return route("DELETE", pattern, std::move(handler));
}

PORTHOLE_FN Error Group::mount(std::string_view prefix, std::unique_ptr<Mount> mount) {
    Error error;
    const detail::Route* route =
        core_->router().add_mount(*scope_, prefix, std::move(mount), error);
    if (route == nullptr) {
        return error;
    }
    const std::uint32_t id = route->id;
    error = route->mount->attach(core_->server());
    if (error) {
        core_->router().remove(id);
    }
    return error;
}

PORTHOLE_FN Error Group::mount(std::string_view prefix, Handler handler) {
    if (!handler) {
        return mount(prefix, std::unique_ptr<Mount>());
    }
    return mount(prefix, std::unique_ptr<Mount>(new detail::HandlerMount(std::move(handler))));
}

PORTHOLE_FN bool Group::unmount(std::string_view prefix) {
    return core_->router().remove_mount(*scope_, prefix);
}

PORTHOLE_FN Group Group::group(std::string_view prefix) {
    PORTHOLE_ASSERT(prefix.empty() || prefix.front() == '/', "a group's prefix begins with '/'");
    return Group(core_, &core_->router().add_scope(*scope_, prefix));
}

PORTHOLE_FN void Group::before(BeforeHook hook) {
    PORTHOLE_ASSERT(hook, "a hook is a function");
    if (!hook) {
        return;
    }
    scope_->before.push_back(std::unique_ptr<BeforeHook>(new BeforeHook(std::move(hook))));
}

PORTHOLE_FN void Group::after(AfterHook hook) {
    PORTHOLE_ASSERT(hook, "a hook is a function");
    if (!hook) {
        return;
    }
    scope_->after.push_back(std::unique_ptr<AfterHook>(new AfterHook(std::move(hook))));
}

PORTHOLE_FN Group& Group::max_body_bytes(std::uint64_t bytes) {
    scope_->max_body_bytes = bytes;
    return *this;
}

PORTHOLE_FN void Group::clear() {
    core_->router().clear(*scope_);
}

PORTHOLE_FN Server::Server(detail::ServerCore* core) noexcept
    : Group(core, &core->router().root()) {
    core->set_server(*this);
}

PORTHOLE_FN detail::ServerCore* Server::make_core(Options options) {
    return new detail::ServerCore(std::move(options));
}

PORTHOLE_FN Server::~Server() {
    core_->shut_down();
}

PORTHOLE_FN Error
Server::listen(std::string_view host, std::uint16_t port, const ListenOptions& options) {
    return core_->listen(host, port, options);
}

PORTHOLE_FN Error Server::listen(std::uint16_t port, const ListenOptions& options) {
    return core_->listen("localhost", port, options);
}

PORTHOLE_FN Error Server::listen_unix(std::string_view path, unsigned mode) {
    return core_->listen_unix(path, mode);
}

PORTHOLE_FN Error Server::adopt(std::unique_ptr<Transport> transport, std::string_view peer) {
    return core_->adopt(std::move(transport), peer);
}

PORTHOLE_FN Group Server::host(std::string_view name) {
    return Group(core_, &core_->router().add_host(name));
}

PORTHOLE_FN void Server::on_error(Handler page) {
    core_->set_error_page(std::move(page));
}

PORTHOLE_FN TickReport Server::tick(std::chrono::microseconds budget) {
    return core_->tick(budget);
}

PORTHOLE_FN TickReport Server::tick_until(TimePoint deadline) {
    return core_->tick_until(deadline);
}

PORTHOLE_FN TickReport Server::wait(std::chrono::milliseconds timeout) {
    return core_->wait(timeout);
}

PORTHOLE_FN void Server::run() {
    core_->run();
}

PORTHOLE_FN void Server::stop() noexcept {
    core_->mailbox()->request_stop();
}

PORTHOLE_FN bool Server::is_running() const noexcept {
    return core_->is_running();
}

PORTHOLE_FN void Server::post(std::function<void()> task) {
    PORTHOLE_ASSERT(task, "a task is a function");
    if (task) {
        core_->mailbox()->put(std::move(task));
    }
}

PORTHOLE_FN Error
Server::watch(NativeHandle handle, Interest interest, WatchCallback callback, WatchHandle& watch) {
    std::shared_ptr<detail::WatchEntry> entry;
    Error error = core_->watch(handle, interest, std::move(callback), entry);
    watch = WatchHandle(std::move(entry));
    return error;
}

PORTHOLE_FN TaskPoster Server::poster() const {
    return TaskPoster(core_->mailbox());
}

PORTHOLE_FN TimerHandle Server::call_after(Duration delay, std::function<void()> task) {
    PORTHOLE_ASSERT(task, "a task is a function");
    return task ? TimerHandle(core_->call_after(delay, std::move(task))) : TimerHandle();
}

PORTHOLE_FN NativeHandle Server::native_handle() const noexcept {
    core_->wake_always();
    return core_->poller_handle();
}

PORTHOLE_FN void
Server::for_each_pollfd(const std::function<void(NativeHandle, Interest)>& visit) const {
    core_->wake_always();
    core_->for_each_pollfd(visit);
}

PORTHOLE_FN TimePoint Server::next_deadline() const noexcept {
    return core_->next_deadline();
}

PORTHOLE_FN std::vector<Endpoint> Server::endpoints() const {
    return core_->endpoints();
}

PORTHOLE_FN std::uint16_t Server::port() const noexcept {
    return core_->port();
}

PORTHOLE_FN std::vector<std::string> Server::urls() const {
    return core_->urls();
}

PORTHOLE_FN std::string Server::token() const {
    return core_->token();
}

PORTHOLE_FN Stats Server::stats() const {
    return core_->stats();
}

PORTHOLE_FN const Options& Server::options() const noexcept {
    return core_->options();
}

PORTHOLE_NAMESPACE_END

// porthole/ext/access_log.inl

PORTHOLE_NAMESPACE_BEGIN

PORTHOLE_FN void escape_for_log(std::string_view text, std::string& into) {
    constexpr char digits[] = "0123456789abcdef";
    for (const char c : text) {
        const bool is_plain = c >= ' ' && c <= '~' && c != '"' && c != '\\';
        if (is_plain) {
            into += c;
        } else {
            const auto byte = static_cast<unsigned char>(c);
            into += "\\x";
            into += digits[byte >> 4];
            into += digits[byte & 0x0f];
        }
    }
}

PORTHOLE_FN void write_common_log(const AccessRecord& record, std::string& into) {
    std::string_view host = record.peer;
    const std::size_t colon = host.rfind(':');
    if (colon != std::string_view::npos && colon + 1 < host.size()) {
        host = host.substr(0, colon); // without the port
    }
    char date[date_size]; // "Sun, 06 Nov 1994 08:49:37 GMT"
    write_date(record.time, date);
    const std::string_view text(date, date_size);
    escape_for_log(host.empty() ? std::string_view("-") : host, into);
    into.append(" - - [").append(text.substr(5, 2)).append("/").append(text.substr(8, 3));
    into.append("/").append(text.substr(12, 4)).append(":").append(text.substr(17, 8));
    into += " +0000] \"";
    if (record.method.empty()) {
        into += '-';
    } else {
        escape_for_log(record.method, into);
        into += ' ';
        escape_for_log(record.target, into);
        into += ' ';
        escape_for_log(record.http_version, into);
    }
    into += "\" " + std::to_string(record.status) + " ";
    into += record.content_bytes == 0 ? std::string("-") : std::to_string(record.content_bytes);
    into += '\n';
}

PORTHOLE_NAMESPACE_END

// porthole/ext/channel_store.inl

// porthole/ext/channel_store.hpp

// What a channel keeps: values in the order in which they were published. A subscriber's place is
// the number of the last value that it has seen, so that a thousand of them cost a thousand
// numbers. Nothing here knows of threads or of servers.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// What was published. It does not change once it is kept; any thread may read it.
class ChannelValue {
public:
    ChannelValue(std::string_view key, std::string_view bytes);
    ~ChannelValue();
    ChannelValue(const ChannelValue&) = delete;
    ChannelValue& operator=(const ChannelValue&) = delete;

    std::uint64_t number() const noexcept { return number_; }
    const std::string& key() const noexcept { return key_; }
    const std::string& bytes() const noexcept { return bytes_; }
    /// What it counts towards ChannelOptions::max_total_bytes.
    std::size_t size() const noexcept { return key_.size() + bytes_.size(); }

    /// What is sent in one go, one behind the other.
    struct Parts {
        std::string_view head;
        std::string_view body;
        std::string_view tail;
    };
    /// As an event with its id. The text around the bytes, or all of it when there are line ends
    /// among them, is made by whoever asks first.
    Parts event(std::string_view epoch) const;
    using Frame = std::shared_ptr<const std::string>;
    /// In another form, made by `make` for whoever asks first; `form` counts from zero.
    Frame frame(std::size_t form, Frame (*make)(const ChannelValue&, std::size_t form)) const;
    static constexpr std::size_t forms = 3;

private:
    friend class ChannelStore;

    std::uint64_t number_ = 0;
    std::string key_;
    std::string bytes_;
    bool has_line_ends_;
    mutable std::atomic<const std::string*> event_{nullptr};
    mutable std::atomic<const Frame*> frames_[forms] = {};
};

/// Which keys a subscriber wants.
class ChannelTopics {
public:
    explicit ChannelTopics(std::vector<std::string> names) : names_(std::move(names)) {}
    bool has(std::string_view key) const noexcept;

private:
    std::vector<std::string> names_;
};

class ChannelStore {
public:
    using Value = std::shared_ptr<const ChannelValue>;
    using Values = std::map<std::uint64_t, std::shared_ptr<ChannelValue>>;

    explicit ChannelStore(const ChannelOptions& options) noexcept : options_(options) {}

    /// Keeps it under the next number; false when a bound is passed. What it replaces is then in
    /// `value` and in `dropped`, so that it can be destroyed outside of a lock.
    bool put(std::shared_ptr<ChannelValue>& value, Values& dropped);
    bool remove(std::string_view key, Values& dropped);

    /// The oldest value behind that number, or null. No topics: any key.
    Value next(std::uint64_t behind, const ChannelTopics* topics) const;
    /// The newest value, if it is behind that number.
    Value newest(std::uint64_t behind, const ChannelTopics* topics) const;
    /// The newest value of that key, or null.
    Value find(std::string_view key) const;

    /// The number of the value that was published last.
    std::uint64_t last_number() const noexcept { return last_number_; }
    /// Up to here values had to go because others came: who was behind has missed some.
    std::uint64_t lost_up_to() const noexcept { return lost_up_to_; }
    std::size_t size() const noexcept { return values_.size(); }
    std::size_t bytes() const noexcept { return bytes_; }

private:
    bool keeps_all() const noexcept { return options_.keep == ChannelOptions::Keep::all; }
    bool replace(std::shared_ptr<ChannelValue>& value);
    void make_room(Values& dropped);

    ChannelOptions options_;
    Values values_;
    std::map<std::string, std::uint64_t, std::less<>> keys_; ///< with Keep::newest
    std::uint64_t last_number_ = 0;
    std::uint64_t lost_up_to_ = 0;
    std::size_t bytes_ = 0;
};

} // namespace detail

PORTHOLE_NAMESPACE_END

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN ChannelValue::ChannelValue(std::string_view key, std::string_view bytes)
    : key_(key), bytes_(bytes), has_line_ends_(
                                    bytes.find('\n') != std::string_view::npos
                                    || bytes.find('\r') != std::string_view::npos) {}

PORTHOLE_FN ChannelValue::~ChannelValue() {
    delete event_.load();
    for (const auto& frame : frames_) {
        delete frame.load();
    }
}

/// Whoever comes second with it uses the first one's.
template <class T>
const T& keep_first(std::atomic<const T*>& place, std::unique_ptr<const T> made) noexcept {
    const T* kept = nullptr;
    if (place.compare_exchange_strong(kept, made.get(), std::memory_order_acq_rel)) {
        kept = made.release();
    }
    return *kept;
}

PORTHOLE_FN ChannelValue::Frame
ChannelValue::frame(std::size_t form, Frame (*make)(const ChannelValue&, std::size_t form)) const {
    if (const Frame* const made = frames_[form].load(std::memory_order_acquire)) {
        return *made;
    }
    return keep_first(frames_[form], std::make_unique<const Frame>(make(*this, form)));
}

PORTHOLE_FN ChannelValue::Parts ChannelValue::event(std::string_view epoch) const {
    const std::string* made = event_.load(std::memory_order_acquire);
    if (made == nullptr) {
        std::string id(epoch);
        id.append(1, '.').append(std::to_string(number_));
        ServerSentEvent event;
        event.id = id;
        event.event = key_;
        event.data = has_line_ends_ ? std::string_view(bytes_) : std::string_view();
        auto text = std::make_unique<std::string>();
        append_event(*text, event);
        if (!has_line_ends_) {
            text->resize(text->size() - 2); // the bytes stand before the two line ends
        }
        made = &keep_first(event_, std::unique_ptr<const std::string>(std::move(text)));
    }
    if (has_line_ends_) {
        return {*made, {}, {}};
    }
    return {*made, bytes_, "\n\n"};
}

PORTHOLE_FN bool ChannelTopics::has(std::string_view key) const noexcept {
    for (const std::string& name : names_) {
        const bool begins = key.substr(0, name.size()) == name;
        if (begins && (key.size() == name.size() || key[name.size()] == '/')) {
            return true;
        }
    }
    return false;
}

PORTHOLE_FN bool ChannelStore::put(std::shared_ptr<ChannelValue>& value, Values& dropped) {
    const std::size_t size = value->size();
    if (value->key().size() > options_.max_key_bytes
        || value->bytes().size() > options_.max_value_bytes || size > options_.max_total_bytes) {
        return false;
    }
    if (!keeps_all()) {
        return replace(value);
    }
    if (options_.max_values == 0) {
        return false;
    }
    value->number_ = last_number_ + 1;
    values_.emplace_hint(values_.end(), last_number_ + 1, value);
    ++last_number_;
    bytes_ += size;
    make_room(dropped);
    value.reset();
    return true;
}

/// The oldest go until the bounds are kept; the newest fits by itself.
PORTHOLE_FN void ChannelStore::make_room(Values& dropped) {
    while (values_.size() > options_.max_values || bytes_ > options_.max_total_bytes) {
        auto oldest = values_.extract(values_.begin());
        lost_up_to_ = oldest.key();
        bytes_ -= oldest.mapped()->size();
        dropped.insert(std::move(oldest));
    }
}

PORTHOLE_FN bool ChannelStore::replace(std::shared_ptr<ChannelValue>& value) {
    auto entry = keys_.find(value->key());
    const auto old = entry != keys_.end() ? values_.find(entry->second) : values_.end();
    const std::size_t old_size = old != values_.end() ? old->second->size() : 0;
    if (value->size() > options_.max_total_bytes - (bytes_ - old_size)
        || (old == values_.end() && values_.size() >= options_.max_keys)) {
        return false;
    }
    const std::size_t size = value->size();
    const std::uint64_t number = last_number_ + 1;
    value->number_ = number;
    if (old != values_.end()) {
        auto node = values_.extract(old);
        node.key() = number;
        node.mapped().swap(value);
        values_.insert(values_.end(), std::move(node));
    } else {
        // An entry without a value, which a failing allocation would leave, does no harm.
        entry = keys_.try_emplace(value->key(), 0).first;
        values_.emplace_hint(values_.end(), number, value);
        value.reset();
    }
    entry->second = number;
    last_number_ = number;
    bytes_ += size - old_size;
    return true;
}

PORTHOLE_FN bool ChannelStore::remove(std::string_view key, Values& dropped) {
    const std::size_t before = values_.size();
    auto take = [this, &dropped](Values::iterator value) {
        bytes_ -= value->second->size();
        dropped.insert(values_.extract(value));
    };
    if (!keeps_all()) {
        const auto entry = keys_.find(key);
        if (entry == keys_.end()) {
            return false;
        }
        const auto value = values_.find(entry->second);
        if (value != values_.end()) {
            take(value);
        }
        keys_.erase(entry);
        return values_.size() != before;
    }
    for (auto value = values_.begin(); value != values_.end();) {
        const auto here = value++;
        if (here->second->key() == key) {
            take(here);
        }
    }
    return values_.size() != before;
}

PORTHOLE_FN ChannelStore::Value
ChannelStore::next(std::uint64_t behind, const ChannelTopics* topics) const {
    for (auto value = values_.upper_bound(behind); value != values_.end(); ++value) {
        if (topics == nullptr || topics->has(value->second->key())) {
            return value->second;
        }
    }
    return nullptr;
}

PORTHOLE_FN ChannelStore::Value
ChannelStore::newest(std::uint64_t behind, const ChannelTopics* topics) const {
    for (auto value = values_.rbegin(); value != values_.rend() && value->first > behind; ++value) {
        if (topics == nullptr || topics->has(value->second->key())) {
            return value->second;
        }
    }
    return nullptr;
}

PORTHOLE_FN ChannelStore::Value ChannelStore::find(std::string_view key) const {
    if (!keeps_all()) {
        const auto entry = keys_.find(key);
        const auto value = entry != keys_.end() ? values_.find(entry->second) : values_.end();
        return value != values_.end() ? value->second : nullptr;
    }
    const auto value = std::find_if(values_.rbegin(), values_.rend(), [key](const auto& kept) {
        return kept.second->key() == key;
    });
    return value != values_.rend() ? value->second : nullptr;
}

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/ext/channel_subscription.inl

// porthole/ext/channel_subscription.hpp

// Between a channel's store, which any thread may fill, and its subscribers, which live on the
// ticking threads. A subscriber asks for its next value when it has room for one; only one that has
// asked in vain waits, and only servers with somebody waiting are told of a new value, by one
// letter however many there are.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

class ChannelState;
class ChannelSubscription;

/// Who is told. Both calls come from the ticking thread, from outside of any connection's turn: a
/// subscriber makes a note, and asks for its value in a turn of its own.
class ChannelSubscriber {
public:
    /// What next() did not have is there, or the channel was closed.
    virtual void wake() = 0;
    /// A heartbeat is due. True: wake() is wanted for it.
    virtual bool on_beat() { return false; }

protected:
    ~ChannelSubscriber() = default;
};

struct WaitingTag {};

/// A channel's presence in one server: who waits there. Ticking thread only, but for what the
/// channel's mutex guards.
class ChannelPort : public std::enable_shared_from_this<ChannelPort> {
public:
    ChannelPort(Server& server, std::chrono::milliseconds heartbeat);

    void post_letter();
    void begin_beats();

    const TaskPoster poster;
    IntrusiveList<ChannelSubscription, WaitingTag> waiting;
    std::size_t subscribers = 0;
    bool is_waited_on = false; ///< under the channel's mutex: a value is worth a letter

private:
    /// Subscribers that are woken in one unit of the tick's budget.
    static constexpr std::size_t unit = 256;

    void wake_due();
    void arm(Duration delay);
    void beat();

    Server& server_;
    std::chrono::milliseconds heartbeat_;
    IntrusiveList<ChannelSubscription, WaitingTag> due_; ///< to be woken, unit by unit
    bool is_continued_ = false;                          ///< a letter for the rest is under way
    TimerHandle timer_;
    IntrusiveList<ChannelSubscription, WaitingTag> beating_; ///< wait too; a heartbeat is due
};

/// What a channel's handles and its subscribers share.
class ChannelState {
public:
    explicit ChannelState(const ChannelOptions& options);

    const ChannelOptions& options() const noexcept { return options_; }
    /// Sets the numbers of this channel's values apart from those of another run.
    const std::string& epoch() const noexcept { return epoch_; }

    // Any thread:
    bool publish(std::string_view key, std::string_view bytes);
    bool remove(std::string_view key);
    void close() noexcept;
    bool is_open() const;
    ChannelStore::Value find(std::string_view key) const;

    std::atomic<std::size_t> subscribers{0};
    std::atomic<std::uint64_t> skipped{0};

private:
    friend class ChannelSubscription;

    void tell();

    const ChannelOptions options_;
    std::string epoch_;
    mutable std::mutex mutex_;
    ChannelStore store_;                              ///< under the mutex
    std::vector<std::shared_ptr<ChannelPort>> ports_; ///< under the mutex
    bool is_closed_ = false;                          ///< under the mutex
};

/// The last handle closes the channel; subscribers share the state only.
struct ChannelOwner {
    explicit ChannelOwner(const ChannelOptions& options)
        : state(std::make_shared<ChannelState>(options)) {}
    ChannelOwner(const ChannelOwner&) = delete;
    ChannelOwner& operator=(const ChannelOwner&) = delete;
    ~ChannelOwner() { state->close(); }

    const std::shared_ptr<ChannelState> state;
};

/// Which topics, and from where on.
struct ChannelStart {
    std::shared_ptr<const ChannelTopics> topics; ///< null: all keys
    /// The id of the last event that was received; empty, or one of another run: a newcomer.
    std::string_view last_id;
    bool has_snapshot = true; ///< for newcomers
};

/// One subscriber's place in a channel. Ticking thread only; ends with the subscriber, and before
/// the server does.
class ChannelSubscription : public ListLink<WaitingTag> {
public:
    ChannelSubscription(
        std::shared_ptr<ChannelState> state, Server& server, const ChannelStart& start,
        ChannelSubscriber& subscriber);
    ~ChannelSubscription();

    struct Next {
        ChannelStore::Value value; ///< null: there is none now
        std::uint64_t skipped = 0; ///< values in front of it that were lost
        bool is_over = false;      ///< and none will come
    };
    /// The oldest value that this subscriber has not seen. Without one it waits: wake() is called
    /// once, when there may be.
    Next next() { return take(false); }
    /// The newest instead; those in between are left out.
    Next newest() { return take(true); }

    ChannelSubscriber& subscriber() noexcept { return subscriber_; }
    const ChannelState& state() const noexcept { return *state_; }

private:
    Next take(bool is_newest);

    const std::shared_ptr<ChannelState> state_;
    ChannelSubscriber& subscriber_;
    std::shared_ptr<ChannelPort> port_;
    std::shared_ptr<const ChannelTopics> topics_;
    std::uint64_t seen_ = 0; ///< the number of the last value
};

} // namespace detail

PORTHOLE_NAMESPACE_END

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN ChannelPort::ChannelPort(Server& server, std::chrono::milliseconds heartbeat)
    : poster(server.poster()), server_(server), heartbeat_(heartbeat) {}

PORTHOLE_FN void ChannelPort::post_letter() {
    poster.post([weak = weak_from_this()] {
        if (const std::shared_ptr<ChannelPort> port = weak.lock()) {
            port->due_.splice_back(port->waiting);
            port->due_.splice_back(port->beating_);
            port->wake_due();
        }
    });
}

/// Some now, and the rest in later letters. Those who wait again meanwhile are not among them.
PORTHOLE_FN void ChannelPort::wake_due() {
    for (std::size_t i = 0; i < unit; ++i) {
        ChannelSubscription* const first = due_.pop_front();
        if (first == nullptr) {
            return;
        }
        first->subscriber().wake();
    }
    if (due_.is_empty() || is_continued_) {
        return;
    }
    is_continued_ = true;
    poster.post([weak = weak_from_this()] {
        if (const std::shared_ptr<ChannelPort> port = weak.lock()) {
            port->is_continued_ = false;
            port->wake_due();
        }
    });
}

PORTHOLE_FN void ChannelPort::begin_beats() {
    if (heartbeat_ > std::chrono::milliseconds::zero() && !timer_.is_pending()) {
        arm(heartbeat_);
    }
}

PORTHOLE_FN void ChannelPort::arm(Duration delay) {
    timer_ = server_.call_after(delay, [weak = weak_from_this()] {
        if (const std::shared_ptr<ChannelPort> port = weak.lock()) {
            port->beat();
        }
    });
}

/// Those who wait go by once: back to the waiting, or to a turn of their own.
PORTHOLE_FN void ChannelPort::beat() {
    if (beating_.is_empty()) {
        beating_.splice_back(waiting);
    }
    for (std::size_t i = 0; i < unit; ++i) {
        ChannelSubscription* const first = beating_.pop_front();
        if (first == nullptr) {
            break;
        }
        if (first->subscriber().on_beat()) {
            first->subscriber().wake();
        } else {
            waiting.push_back(*first);
        }
    }
    arm(beating_.is_empty() ? Duration(heartbeat_) : Duration::zero());
}

/// No secret: two runs of a program must not have the same one by chance.
inline std::string make_epoch() {
    constexpr std::size_t size = 6;
    constexpr std::string_view digits = "0123456789abcdef";
    char bytes[size] = {};
    if (!fill_random(bytes, size)) {
        const auto now = std::chrono::steady_clock::now().time_since_epoch().count();
        for (std::size_t i = 0; i < size; ++i) {
            bytes[i] = static_cast<char>((now >> (i * 8)) & 0xff);
        }
    }
    std::string epoch;
    for (const char byte : bytes) {
        const auto value = static_cast<unsigned char>(byte);
        epoch += digits[value >> 4];
        epoch += digits[value & 0xf];
    }
    return epoch;
}

PORTHOLE_FN ChannelState::ChannelState(const ChannelOptions& options)
    : options_(options), epoch_(make_epoch()), store_(options) {}

PORTHOLE_FN bool ChannelState::publish(std::string_view key, std::string_view bytes) {
    const auto is_control = [](char c) {
        return static_cast<unsigned char>(c) < ' ' || c == '\x7f';
    };
    if (key.size() > options_.max_key_bytes || bytes.size() > options_.max_value_bytes
        || std::find_if(key.begin(), key.end(), is_control) != key.end()) {
        return false;
    }
    // Made, and what it replaces destroyed, outside of the lock.
    auto value = std::make_shared<ChannelValue>(key, bytes);
    ChannelStore::Values dropped;
    const std::lock_guard<std::mutex> lock(mutex_);
    if (is_closed_ || !store_.put(value, dropped)) {
        return false;
    }
    tell();
    return true;
}

PORTHOLE_FN void ChannelState::tell() {
    for (const std::shared_ptr<ChannelPort>& port : ports_) {
        if (port->is_waited_on) {
            port->post_letter();
            port->is_waited_on = false;
        }
    }
}

PORTHOLE_FN bool ChannelState::remove(std::string_view key) {
    ChannelStore::Values dropped;
    const std::lock_guard<std::mutex> lock(mutex_);
    return store_.remove(key, dropped);
}

PORTHOLE_FN void ChannelState::close() noexcept {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (is_closed_) {
        return;
    }
    is_closed_ = true;
    PORTHOLE_TRY {
        tell();
    }
    PORTHOLE_CATCH_ALL {} // they notice at their next heartbeat
}

PORTHOLE_FN bool ChannelState::is_open() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return !is_closed_;
}

PORTHOLE_FN ChannelStore::Value ChannelState::find(std::string_view key) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return store_.find(key);
}

/// The number in an id of this epoch, or nothing.
inline std::optional<std::uint64_t>
number_in_id(std::string_view id, std::string_view epoch) noexcept {
    if (id.substr(0, epoch.size()) != epoch || id.substr(epoch.size(), 1) != ".") {
        return std::nullopt;
    }
    return ascii::parse_decimal(id.substr(epoch.size() + 1));
}

PORTHOLE_FN ChannelSubscription::ChannelSubscription(
    std::shared_ptr<ChannelState> state, Server& server, const ChannelStart& start,
    ChannelSubscriber& subscriber)
    : state_(std::move(state)), subscriber_(subscriber), topics_(start.topics) {
    const std::optional<std::uint64_t> seen = number_in_id(start.last_id, state_->epoch());
    const TaskPoster poster = server.poster();
    {
        const std::lock_guard<std::mutex> lock(state_->mutex_);
        const ChannelStore& store = state_->store_;
        if (seen && *seen <= store.last_number()) {
            seen_ = *seen;
        } else {
            seen_ = start.has_snapshot ? store.lost_up_to() : store.last_number();
        }
        auto& ports = state_->ports_;
        const auto port = std::find_if(ports.begin(), ports.end(), [&poster](const auto& other) {
            return other->poster == poster;
        });
        if (port != ports.end()) {
            port_ = *port;
        } else {
            port_ = std::make_shared<ChannelPort>(server, state_->options().heartbeat);
            ports.push_back(port_);
        }
    }
    ++port_->subscribers;
    ++state_->subscribers;
    port_->begin_beats();
}

PORTHOLE_FN ChannelSubscription::~ChannelSubscription() {
    --state_->subscribers;
    if (--port_->subscribers != 0) {
        return;
    }
    const std::lock_guard<std::mutex> lock(state_->mutex_);
    auto& ports = state_->ports_;
    ports.erase(std::remove(ports.begin(), ports.end(), port_), ports.end());
}

PORTHOLE_FN ChannelSubscription::Next ChannelSubscription::take(bool is_newest) {
    Next next;
    {
        const std::lock_guard<std::mutex> lock(state_->mutex_);
        const ChannelStore& store = state_->store_;
        next.value =
            is_newest ? store.newest(seen_, topics_.get()) : store.next(seen_, topics_.get());
        if (!is_newest && seen_ < store.lost_up_to()) {
            next.skipped = store.lost_up_to() - seen_;
        }
        if (next.value) {
            seen_ = next.value->number();
        } else {
            seen_ = store.last_number(); // nothing up to here was for this one
            next.is_over = state_->is_closed_;
            port_->is_waited_on = port_->is_waited_on || !next.is_over;
        }
    }
    if (next.skipped != 0) {
        state_->skipped += next.skipped;
    }
    if (!next.value && !next.is_over) {
        port_->waiting.push_back(*this);
    }
    return next;
}

} // namespace detail

PORTHOLE_FN Channel::Channel(const ChannelOptions& options)
    : owner_(std::make_shared<detail::ChannelOwner>(options)) {}

PORTHOLE_FN bool Channel::publish(std::string_view key, std::string_view bytes) {
    return owner_->state->publish(key, bytes);
}

PORTHOLE_FN bool Channel::remove(std::string_view key) {
    return owner_->state->remove(key);
}

PORTHOLE_FN void Channel::close() {
    owner_->state->close();
}

PORTHOLE_FN bool Channel::is_open() const {
    return owner_->state->is_open();
}

PORTHOLE_FN std::optional<std::string> Channel::value(std::string_view key) const {
    const auto found = owner_->state->find(key);
    return found ? std::optional<std::string>(found->bytes()) : std::nullopt;
}

PORTHOLE_FN std::size_t Channel::subscribers() const noexcept {
    return owner_->state->subscribers;
}

PORTHOLE_FN std::uint64_t Channel::skipped() const noexcept {
    return owner_->state->skipped;
}

PORTHOLE_FN const std::shared_ptr<detail::ChannelState>& Channel::state() const noexcept {
    return owner_->state;
}

PORTHOLE_NAMESPACE_END

// porthole/ext/channel_source.inl

// porthole/ext/channel_source.hpp

// A channel as the content of an answer. The source copies from the shared value straight into the
// connection's piece, and asks for the next one when that has room: a client that stops reading
// holds one piece, and the value that it is in the middle of.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// What events and images have in common.
class ChannelSource : public BodySource, public ChannelSubscriber {
public:
    ChannelSource(
        const std::shared_ptr<ChannelState>& state, Server& server, const ChannelStart& start)
        : subscription_(state, server, start, *this) {}

    Piece pull(char* into, std::size_t capacity) final;
    void set_waker(std::function<void()> waker) final { waker_ = std::move(waker); }
    void wake() final;

protected:
    ~ChannelSource() override = default;

    using Next = ChannelSubscription::Next;
    /// Asks for what comes next; what it returns stays where it is until the next call, together
    /// with `next.value`.
    virtual ChannelValue::Parts make_parts(Next& next) = 0;

    ChannelSubscription subscription_;

private:
    bool has_parts() const noexcept {
        return !parts_.head.empty() || !parts_.body.empty() || !parts_.tail.empty();
    }

    std::function<void()> waker_;
    ChannelStore::Value value_; ///< what is being sent ...
    ChannelValue::Parts parts_; ///< ... and what of it is left
};

class ChannelEvents final : public ChannelSource {
public:
    ChannelEvents(
        const std::shared_ptr<ChannelState>& state, Server& server, const ChannelStart& start);
    bool on_beat() override;

private:
    ChannelValue::Parts make_parts(Next& next) override;

    std::string text_; ///< what goes before an event
    bool has_greeting_ = false;
    bool has_beat_ = false;
    bool was_sent_ = false; ///< an event, since the last heartbeat
};

class ChannelImages final : public ChannelSource {
public:
    ChannelImages(
        const std::shared_ptr<ChannelState>& state, Server& server, const ChannelStart& start,
        std::string_view type);

    /// The media type of the whole, with its boundary.
    static std::string media_type(const ChannelState& state);

private:
    ChannelValue::Parts make_parts(Next& next) override;

    std::string separator_; ///< between two images: the boundary and the fields of the next
    bool has_begun_ = false;
};

} // namespace detail

PORTHOLE_NAMESPACE_END

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN void ChannelSource::wake() {
    if (waker_) {
        waker_();
    }
}

PORTHOLE_FN BodySource::Piece ChannelSource::pull(char* into, std::size_t capacity) {
    std::size_t size = 0;
    for (;;) {
        for (std::string_view* part : {&parts_.head, &parts_.body, &parts_.tail}) {
            const std::size_t room = capacity - size;
            const std::size_t bytes = part->size() < room ? part->size() : room;
            if (bytes != 0) {
                std::memcpy(into + size, part->data(), bytes);
                part->remove_prefix(bytes);
                size += bytes;
            }
        }
        if (has_parts() || size == capacity) {
            return {State::more, size};
        }
        Next next;
        parts_ = make_parts(next);
        value_ = std::move(next.value);
        if (!has_parts()) {
            return {next.is_over ? State::end : State::wait, size};
        }
    }
}

PORTHOLE_FN ChannelEvents::ChannelEvents(
    const std::shared_ptr<ChannelState>& state, Server& server, const ChannelStart& start)
    : ChannelSource(state, server, start) {
    if (const auto retry = state->options().retry) {
        ServerSentEvent event;
        event.retry = retry;
        append_event(text_, event);
        has_greeting_ = true;
    }
}

PORTHOLE_FN bool ChannelEvents::on_beat() {
    has_beat_ = !std::exchange(was_sent_, false);
    return has_beat_;
}

PORTHOLE_FN ChannelValue::Parts ChannelEvents::make_parts(Next& next) {
    ChannelValue::Parts parts;
    if (std::exchange(has_greeting_, false)) {
        parts.head = text_;
        return parts;
    }
    next = subscription_.next();
    if (next.value) {
        parts = next.value->event(subscription_.state().epoch());
        was_sent_ = true;
    }
    const bool has_beat = std::exchange(has_beat_, false);
    if (next.skipped != 0) {
        text_.clear();
        append_event_comment(text_, std::to_string(next.skipped) + " values were lost");
        text_.append(parts.head);
        parts.head = text_;
    } else if (!next.value && has_beat) {
        parts.head = ":\n\n";
    }
    return parts;
}

PORTHOLE_FN ChannelImages::ChannelImages(
    const std::shared_ptr<ChannelState>& state, Server& server, const ChannelStart& start,
    std::string_view type)
    : ChannelSource(state, server, start), separator_("\r\n--") {
    separator_.append(state->epoch()).append("\r\nContent-Type: ").append(type).append("\r\n\r\n");
}

PORTHOLE_FN std::string ChannelImages::media_type(const ChannelState& state) {
    return "multipart/x-mixed-replace; boundary=" + state.epoch();
}

/// Browsers show an image when the next one has begun, so each is followed by the beginning of the
/// next (RFC 2046 section 5.1; no length, which would have to be known by then).
PORTHOLE_FN ChannelValue::Parts ChannelImages::make_parts(Next& next) {
    ChannelValue::Parts parts;
    if (!has_begun_) {
        has_begun_ = true;
        parts.head = std::string_view(separator_).substr(2);
        return parts;
    }
    next = subscription_.newest();
    if (next.value) {
        parts.body = next.value->bytes();
        parts.tail = separator_;
    }
    return parts;
}

/// What the program has fixed, or the query names; null: all keys. False: too many.
inline bool choose_topics(
    const Request& request, const ChannelOptions& options,
    const std::shared_ptr<const ChannelTopics>& fixed,
    std::shared_ptr<const ChannelTopics>& topics) {
    topics = fixed;
    if (fixed) {
        return true;
    }
    const std::vector<std::string_view> asked = request.query_all("topic");
    if (!asked.empty() && asked.size() <= options.max_topics) {
        topics =
            std::make_shared<ChannelTopics>(std::vector<std::string>(asked.begin(), asked.end()));
    }
    return asked.size() <= options.max_topics;
}

inline std::shared_ptr<const ChannelTopics> fix_topics(std::vector<std::string> names) {
    return names.empty() ? nullptr : std::make_shared<const ChannelTopics>(std::move(names));
}

/// Where a subscriber starts; nothing when the answer is already another one.
inline std::optional<ChannelStart> start_channel(
    const Channel& channel, const std::shared_ptr<const ChannelTopics>& fixed,
    const Request& request, Response& response) {
    constexpr int bad_request = 400;
    constexpr int unavailable = 503;
    const ChannelOptions& options = channel.state()->options();
    ChannelStart start;
    response.header("Cache-Control", "no-store");
    if (!channel.is_open()) {
        response.no_content();
    } else if (!choose_topics(request, options, fixed, start.topics)) {
        response.fail(bad_request, "Too many topics (ChannelOptions::max_topics).");
    } else if (response.server() == nullptr) {
        response.fail(unavailable, "A channel is served by a server.");
    } else {
        start.has_snapshot = options.has_snapshot;
        return start;
    }
    return std::nullopt;
}

} // namespace detail

PORTHOLE_FN Handler events(Channel channel, std::vector<std::string> topics) {
    return [channel = std::move(channel), fixed = detail::fix_topics(std::move(topics))](
               const Request& request, Response& response) {
        auto start = detail::start_channel(channel, fixed, request, response);
        if (!start) {
            return;
        }
        start->last_id = request.header("Last-Event-ID").value_or("");
        response.send(
            detail::event_stream_type,
            std::make_unique<detail::ChannelEvents>(channel.state(), *response.server(), *start));
        detail::set_event_stream_fields(response);
    };
}

PORTHOLE_FN Handler images(Channel channel, std::string_view type, ImageOptions options) {
    const bool is_value = !type.empty() && ascii::is_field_value(type);
    PORTHOLE_ASSERT(is_value, "images() wants a media type: \"image/jpeg\"");
    return [channel = std::move(channel), fixed = detail::fix_topics(std::move(options.topics)),
            type = std::string(is_value ? type : "application/octet-stream")](
               const Request& request, Response& response) {
        auto start = detail::start_channel(channel, fixed, request, response);
        if (!start) {
            return;
        }
        response.send(
            detail::ChannelImages::media_type(*channel.state()),
            std::make_unique<detail::ChannelImages>(
                channel.state(), *response.server(), *start, type));
    };
}

PORTHOLE_NAMESPACE_END

// porthole/ext/files_path.inl

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN PathVerdict check_raw_path(std::string_view target) noexcept {
    target = target.substr(0, target.find('?'));
    for (std::size_t at = target.find('%'); at != std::string_view::npos;
         at = target.find('%', at + 1)) {
        const std::string_view code = target.substr(at + 1, 2);
        if (code == "2f" || code == "2F" || code == "5c" || code == "5C") {
            return PathVerdict::malformed;
        }
    }
    return PathVerdict::fine;
}

inline bool has_forbidden_byte(std::string_view text) noexcept {
    constexpr unsigned char first_visible = 0x20;
    constexpr unsigned char del = 0x7f;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < first_visible || byte == del || c == '\\') {
            return true;
        }
    }
    return false;
}

PORTHOLE_FN PathVerdict check_path(std::string_view path, const PathRules& rules) noexcept {
    if (path.empty() || path[0] != '/' || path.size() > max_file_path || has_forbidden_byte(path)) {
        return PathVerdict::malformed;
    }
    PathVerdict verdict = PathVerdict::fine;
    std::string_view rest = path.substr(1);
    while (!rest.empty()) {
        const std::string_view part = rest.substr(0, rest.find('/'));
        if (part.empty() || part == "." || part == "..") {
            return PathVerdict::malformed;
        }
        if ((part[0] == '.' && !rules.allows_dotfiles)
            || (rules.is_portable && !is_portable_name(part))) {
            verdict = PathVerdict::hidden;
        }
        rest.remove_prefix(part.size() < rest.size() ? part.size() + 1 : part.size());
    }
    return verdict;
}

/// The names of devices, which Windows opens in every directory and with any extension. COM and
/// LPT take a digit from 1 to 9, the superscripts of Latin-1 included.
inline bool is_device_name(std::string_view name) noexcept {
    std::string_view stem = name.substr(0, name.find('.'));
    while (!stem.empty() && stem.back() == ' ') {
        stem.remove_suffix(1);
    }
    for (const std::string_view device : {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"}) {
        if (ascii::equals_ignoring_case(stem, device)) {
            return true;
        }
    }
    constexpr std::size_t port_size = 3;
    const std::string_view port = stem.substr(0, port_size);
    if (!ascii::equals_ignoring_case(port, "COM") && !ascii::equals_ignoring_case(port, "LPT")) {
        return false;
    }
    const std::string_view number = stem.substr(port_size);
    return (number.size() == 1 && number[0] >= '1' && number[0] <= '9') || number == "\xc2\xb9"
           || number == "\xc2\xb2" || number == "\xc2\xb3";
}

/// "PROGRA~1": another name of a file whose own one is longer, and perhaps hidden.
inline bool is_short_name(std::string_view name) noexcept {
    const std::size_t tilde = name.find('~');
    return tilde != std::string_view::npos && tilde + 1 < name.size()
           && ascii::is_digit(name[tilde + 1]);
}

PORTHOLE_FN bool is_portable_name(std::string_view name) noexcept {
    return !name.empty() && name.find_first_of(":*?\"<>|") == std::string_view::npos
           && name.back() != '.' && name.back() != ' ' && !is_device_name(name)
           && !is_short_name(name);
}

PORTHOLE_FN std::string_view extension_of(std::string_view path) noexcept {
    const std::string_view name = path.substr(path.rfind('/') + 1); // npos + 1 is 0
    const std::size_t dot = name.rfind('.');
    return dot == std::string_view::npos || dot == 0 ? std::string_view() : name.substr(dot + 1);
}

PORTHOLE_FN bool has_hash_in_name(std::string_view path) noexcept {
    constexpr std::size_t shortest = 8;
    constexpr std::size_t longest = 64;
    const std::string_view extension = extension_of(path);
    if (extension.empty()) {
        return false;
    }
    std::string_view stem = path.substr(path.rfind('/') + 1);
    stem.remove_suffix(extension.size() + 1);
    const std::size_t separator = stem.find_last_of(".-");
    if (separator == std::string_view::npos || separator == 0) {
        return false;
    }
    const std::string_view hash = stem.substr(separator + 1);
    bool has_digit = false;
    bool has_lower = false;
    bool has_upper = false;
    bool is_hex = true;
    for (const char c : hash) {
        if (!ascii::is_digit(c) && !ascii::is_alpha(c) && c != '_') {
            return false;
        }
        has_digit |= ascii::is_digit(c);
        has_lower |= c >= 'a' && c <= 'z';
        has_upper |= c >= 'A' && c <= 'Z';
        is_hex = is_hex && (ascii::is_digit(c) || (c >= 'a' && c <= 'f'));
    }
    // Words, dates and version numbers must not pass for one: a hash that does is only asked for
    // again, a word that did would be kept for a year.
    const bool is_hex_hash =
        is_hex && has_digit && has_lower && hash.size() >= shortest && hash.size() <= longest;
    const bool is_base64_hash = hash.size() == shortest && has_digit && has_lower && has_upper;
    return is_hex_hash || is_base64_hash;
}

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/ext/files_cache.inl

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

inline void append_hex(std::string& text, std::uint64_t value) {
    constexpr char digits[] = "0123456789abcdef";
    constexpr unsigned bits_per_digit = 4;
    char written[16];
    std::size_t at = sizeof written;
    do {
        written[--at] = digits[value & 0xf];
        value >>= bits_per_digit;
    } while (value != 0);
    text.append(written + at, sizeof written - at);
}

PORTHOLE_FN void OpenFile::describe() {
    etag = "\"";
    append_hex(etag, info.inode);
    etag += '-';
    append_hex(etag, info.size);
    etag += '-';
    append_hex(etag, static_cast<std::uint64_t>(info.mtime_ns));
    etag += '"';
    last_modified.resize(date_size);
    write_date(info.mtime(), last_modified.data());
}

PORTHOLE_FN std::shared_ptr<OpenFile> OpenFileCache::find(std::string_view name, TimePoint now) {
    const auto found = files_.find(name);
    if (found == files_.end()) {
        return nullptr;
    }
    const std::shared_ptr<OpenFile> file = found->second.file;
    FileInfo info;
    // Unlinked: the name, if it is still there, stands for another file.
    if (now - file->looked_up >= recheck_after_ || !file->file.read_info(info)
        || info.is_unlinked) {
        files_.erase(found);
        return nullptr;
    }
    found->second.used = ++uses_;
    if (info.is_same_as(file->info)) {
        return file;
    }
    file->info = info;
    file->describe();
    return file;
}

PORTHOLE_FN void OpenFileCache::keep(std::string_view name, const std::shared_ptr<OpenFile>& file) {
    if (max_files_ == 0) {
        return;
    }
    if (files_.size() >= max_files_ && files_.find(name) == files_.end()) {
        auto oldest = files_.begin();
        for (auto it = files_.begin(); it != files_.end(); ++it) {
            oldest = it->second.used < oldest->second.used ? it : oldest;
        }
        files_.erase(oldest);
    }
    files_.insert_or_assign(std::string(name), Entry{file, ++uses_});
}

PORTHOLE_FN void OpenFileCache::forget(std::string_view name) {
    const auto found = files_.find(name);
    if (found != files_.end()) {
        files_.erase(found);
    }
}

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/ext/files_source.inl

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN FileSource::FileSource(std::shared_ptr<const OpenFile> file, std::vector<Part> parts)
    : file_(std::move(file)), parts_(std::move(parts)) {
    for (const Part& part : parts_) {
        size_ += part.text.size() + part.range.size;
    }
    leave_finished_parts();
    if (size_ > window) {
        file_->file.stop_reading_ahead();
        read_ahead();
    }
}

/// What the next turns will send is fetched while they wait for their tick: one bounded piece,
/// instead of as much as the system likes within the call that meets the end of what is there.
PORTHOLE_FN void FileSource::read_ahead() noexcept {
    if (is_at_end() || size_ <= window) {
        return;
    }
    const ByteRange& range = parts_[at_].range;
    const std::uint64_t next = range.first + bytes_sent_;
    const std::uint64_t end = range.first + range.size;
    if (read_ahead_to_ < next || read_ahead_to_ > end) {
        read_ahead_to_ = next; // another part, or the first
    }
    if (read_ahead_to_ < end && read_ahead_to_ - next < window) {
        const std::uint64_t left = end - read_ahead_to_;
        const std::uint64_t bytes = left < window ? left : window;
        file_->file.read_ahead(read_ahead_to_, bytes);
        read_ahead_to_ += bytes;
    }
}

PORTHOLE_FN void FileSource::leave_finished_parts() noexcept {
    while (!is_at_end() && text_sent_ == parts_[at_].text.size()
           && bytes_sent_ == parts_[at_].range.size) {
        ++at_;
        text_sent_ = 0;
        bytes_sent_ = 0;
    }
}

PORTHOLE_FN BodySource::Piece FileSource::pull(char* into, std::size_t capacity) {
    Piece piece;
    while (!is_at_end() && piece.bytes < capacity) {
        const Part& part = parts_[at_];
        const std::size_t room = capacity - piece.bytes;
        if (text_sent_ < part.text.size()) {
            const std::size_t taken = part.text.copy(into + piece.bytes, room, text_sent_);
            text_sent_ += taken;
            piece.bytes += taken;
        } else {
            const std::uint64_t left = part.range.size - bytes_sent_;
            const auto wanted = left < room ? static_cast<std::size_t>(left) : room;
            const std::size_t taken =
                file_->file.read_at(part.range.first + bytes_sent_, into + piece.bytes, wanted);
            bytes_sent_ += taken;
            piece.bytes += taken;
            if (taken < wanted) {
                piece.state = State::failed; // it has shrunk, or the disk has failed
                return piece;
            }
        }
        leave_finished_parts();
    }
    piece.state = is_at_end() ? State::end : State::more;
    read_ahead();
    return piece;
}

PORTHOLE_FN std::uint64_t FileSource::file_piece(FilePiece& piece) {
    if (is_at_end() || text_sent_ < parts_[at_].text.size()) {
        return 0;
    }
    const ByteRange& range = parts_[at_].range;
    piece.handle = file_->file.handle();
    piece.offset = range.first + bytes_sent_;
    return range.size - bytes_sent_;
}

PORTHOLE_FN void FileSource::skip(std::uint64_t bytes) {
    bytes_sent_ += bytes;
    leave_finished_parts();
    read_ahead();
}

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/ext/files_listing.inl

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

// The policy has the hash of this style: openssl dgst -sha256 -binary | base64.
inline constexpr std::string_view listing_style =
    "body{font-family:system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 "
    "1rem}table{border-collapse:collapse;width:100%}th,td{padding:.25rem "
    ".5rem;text-align:start}td:nth-child(2),th:nth-child(2){text-align:end}tr:nth-child(even) "
    "td{background:#8881}";
/// The Content-Security-Policy of the HTML page: nothing but its own style.
inline constexpr std::string_view listing_policy =
    "default-src 'none'; style-src 'sha256-kbt8NGIRHioMq45jX/ST17CcnNsWqk38sVYCKH7BGyI='; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The size of the UTF-8 sequence that `text` begins with, 0 when it is none (RFC 3629).
inline std::size_t utf8_size(std::string_view text) noexcept {
    const auto byte = [text](std::size_t at) {
        return at < text.size() ? static_cast<unsigned char>(text[at]) : 0u;
    };
    const auto is_tail = [&](std::size_t at) {
        return (byte(at) & 0xc0u) == 0x80u;
    };
    const unsigned first = byte(0);
    if (first < 0x80) {
        return 1;
    }
    if (first >= 0xc2 && first <= 0xdf) {
        return is_tail(1) ? 2 : 0;
    }
    if (first >= 0xe0 && first <= 0xef) {
        const bool is_overlong = first == 0xe0 && byte(1) < 0xa0;
        const bool is_surrogate = first == 0xed && byte(1) > 0x9f;
        return is_tail(1) && is_tail(2) && !is_overlong && !is_surrogate ? 3 : 0;
    }
    if (first >= 0xf0 && first <= 0xf4) {
        const bool is_overlong = first == 0xf0 && byte(1) < 0x90;
        const bool is_beyond = first == 0xf4 && byte(1) > 0x8f;
        return is_tail(1) && is_tail(2) && is_tail(3) && !is_overlong && !is_beyond ? 4 : 0;
    }
    return 0;
}

/// Hands each character to `visit`, and U+FFFD for each byte that belongs to none.
template <class Visit>
void for_each_character(std::string_view text, const Visit& visit) {
    while (!text.empty()) {
        const std::size_t size = utf8_size(text);
        visit(size == 0 ? std::string_view("\xef\xbf\xbd") : text.substr(0, size));
        text.remove_prefix(size == 0 ? 1 : size);
    }
}

PORTHOLE_FN void append_html(std::string_view text, std::string& into) {
    for_each_character(text, [&into](std::string_view character) {
        constexpr char first_visible = 0x20;
        const char c = character[0];
        switch (c) {
        case '&': into += "&amp;"; break;
        case '<': into += "&lt;"; break;
        case '>': into += "&gt;"; break;
        case '"': into += "&quot;"; break;
        case '\'': into += "&#39;"; break;
        default: into += c >= 0 && c < first_visible ? std::string_view("\xef\xbf\xbd") : character;
        }
    });
}

PORTHOLE_FN void append_json(std::string_view text, std::string& into) {
    into += '"';
    for_each_character(text, [&into](std::string_view character) {
        constexpr char digits[] = "0123456789abcdef";
        constexpr char first_visible = 0x20;
        const char c = character[0];
        if (c == '"' || c == '\\') {
            into += '\\';
            into += c;
        } else if (c >= 0 && c < first_visible) {
            into += "\\u00";
            into += digits[c >> 4];
            into += digits[c & 0xf];
        } else {
            into += character;
        }
    });
    into += '"';
}

/// Directories first, then by the bytes of the name. For a heap, so the other way round.
inline bool is_shown_later(const DirectoryEntry& a, const DirectoryEntry& b) noexcept {
    return a.is_directory != b.is_directory ? b.is_directory : a.name > b.name;
}

inline void append_digits(std::string& text, std::int64_t value, std::size_t width) {
    const std::string digits = std::to_string(value);
    text.append(width > digits.size() ? width - digits.size() : 0, '0').append(digits);
}

/// "2026-11-20T18:04:05Z" (RFC 3339).
inline std::string timestamp(std::int64_t mtime_ns) {
    const auto time = std::chrono::floor<std::chrono::seconds>(std::chrono::nanoseconds(mtime_ns));
    const std::int64_t seconds = time.count();
    const std::int64_t days = (seconds - (seconds < 0 ? seconds_per_day - 1 : 0)) / seconds_per_day;
    const std::int64_t rest = seconds - days * seconds_per_day;
    const CivilTime civil = civil_of_days(days);
    std::string text;
    append_digits(text, civil.year, 4);
    text += '-';
    append_digits(text, civil.month, 2);
    text += '-';
    append_digits(text, civil.day, 2);
    text += 'T';
    append_digits(text, rest / seconds_per_hour, 2);
    text += ':';
    append_digits(text, rest % seconds_per_hour / seconds_per_minute, 2);
    text += ':';
    append_digits(text, rest % seconds_per_minute, 2);
    text += 'Z';
    return text;
}

PORTHOLE_FN ListingSource::ListingSource(
    std::shared_ptr<const Directory> root, File directory, std::string_view name,
    std::string_view title, const ListingOptions& options)
    : root_(std::move(root)), reader_(new DirectoryReader(std::move(directory))), name_(name),
      title_(title), options_(options) {}

PORTHOLE_FN BodySource::Piece ListingSource::pull(char* into, std::size_t capacity) {
    Piece piece;
    piece.state = State::more;
    if (phase_ == Phase::reading) {
        read_entries();
        return piece;
    }
    constexpr std::size_t rows_per_piece = 64;
    for (std::size_t row = 0; row < rows_per_piece && text_.size() < capacity; ++row) {
        if (entries_.empty()) {
            write_end();
            phase_ = Phase::done;
            break;
        }
        std::pop_heap(entries_.begin(), entries_.end(), is_shown_later);
        const DirectoryEntry entry = std::move(entries_.back());
        entries_.pop_back();
        options_.is_json ? write_json_row(entry) : write_html_row(entry);
        has_rows_ = true;
    }
    piece.bytes = text_.copy(into, capacity);
    text_.erase(0, piece.bytes);
    piece.state = phase_ == Phase::done && text_.empty() ? State::end : State::more;
    return piece;
}

PORTHOLE_FN void ListingSource::read_entries() {
    constexpr int entries_per_piece = 32;
    for (int i = 0; i < entries_per_piece; ++i) {
        DirectoryEntry entry;
        if (entries_.size() == options_.max_entries || !reader_->next(entry)) {
            is_cut_ = entries_.size() == options_.max_entries && reader_->next(entry);
            reader_.reset();
            phase_ = Phase::rows;
            write_begin();
            return;
        }
        take_entry(std::move(entry));
    }
}

/// What a request for it would not be given is not shown either.
PORTHOLE_FN void ListingSource::take_entry(DirectoryEntry entry) {
    PathRules rules;
    rules.allows_dotfiles = options_.has_dotfiles;
    rules.is_portable = options_.is_portable;
    if (check_path("/" + entry.name, rules) != PathVerdict::fine) {
        return;
    }
    if (entry.is_link) {
        File file;
        FileInfo info;
        const std::string path = name_.empty() ? entry.name : name_ + "/" + entry.name;
        if (root_->open_beneath(path, file, info) != OpenResult::ok) {
            return;
        }
        entry.is_directory = info.is_directory;
        entry.is_regular = !info.is_directory;
        entry.size = info.size;
        entry.mtime_ns = info.mtime_ns;
    }
    if (entry.is_directory || entry.is_regular) {
        entries_.push_back(std::move(entry));
        std::push_heap(entries_.begin(), entries_.end(), is_shown_later);
    }
}

PORTHOLE_FN void ListingSource::write_begin() {
    if (options_.is_json) {
        text_ += "[";
        return;
    }
    text_ += "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
             "<meta name=\"viewport\" content=\"width=device-width\">\n<title>";
    append_html(title_, text_);
    text_ += "</title>\n<style>";
    text_ += listing_style;
    text_ += "</style>\n</head>\n<body>\n<main>\n<h1>";
    append_html(title_, text_);
    text_ += "</h1>\n";
    if (options_.has_parent) {
        text_ += "<p><a href=\"../\">Up to the parent directory</a></p>\n";
    }
    text_ += "<table>\n<thead><tr><th scope=\"col\">Name</th><th scope=\"col\">Bytes</th>"
             "<th scope=\"col\">Modified (UTC)</th></tr></thead>\n<tbody>\n";
}

PORTHOLE_FN void ListingSource::write_html_row(const DirectoryEntry& entry) {
    const std::string_view slash = entry.is_directory ? "/" : "";
    const std::string time = timestamp(entry.mtime_ns);
    constexpr std::size_t date_width = 10; // of "2026-11-20"
    constexpr std::size_t time_width = 5;  // of "18:04"
    text_ += "<tr><td><a href=\"./";       // so that no name can be taken for a scheme
    percent_encode(entry.name, text_);
    text_.append(slash).append("\">");
    append_html(entry.name, text_);
    text_.append(slash).append("</a></td><td>");
    text_ +=
        entry.is_directory ? "<span aria-hidden=\"true\">-</span>" : std::to_string(entry.size);
    text_.append("</td><td><time datetime=\"").append(time).append("\">");
    text_.append(time, 0, date_width).append(" ").append(time, date_width + 1, time_width);
    text_ += "</time></td></tr>\n";
}

PORTHOLE_FN void ListingSource::write_json_row(const DirectoryEntry& entry) {
    text_ += has_rows_ ? ",\n{\"name\":" : "\n{\"name\":";
    append_json(entry.name, text_);
    text_ += ",\"href\":\"./";
    percent_encode(entry.name, text_);
    text_ += entry.is_directory ? "/\",\"type\":\"directory\"" : "\",\"type\":\"file\",\"size\":";
    text_ += entry.is_directory ? "" : std::to_string(entry.size);
    text_.append(",\"modified\":\"").append(timestamp(entry.mtime_ns)).append("\"}");
}

PORTHOLE_FN void ListingSource::write_end() {
    if (options_.is_json) {
        text_ += "\n]\n";
        return;
    }
    text_ += "</tbody>\n</table>\n";
    text_ += is_cut_ ? "<p>There are more entries than this page shows.</p>\n" : "";
    text_ += "</main>\n</body>\n</html>\n";
}

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/ext/files_answer.inl

// An open file as an answer. Nothing here knows paths: the same for mounts and send_file().

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// Changes within this time of each other may share a time stamp, so that a tag made of it could
/// stand for both (RFC 9110 section 8.8.1).
inline constexpr std::chrono::seconds trusted_age{2};

/// 24 random letters and digits; the content has no way to know them beforehand.
inline std::string make_boundary() {
    constexpr char letters[] = "abcdefghijklmnopqrstuvwxyz012345";
    constexpr std::size_t size = 24;
    constexpr unsigned letter_bits = 0x1f;
    char bytes[size] = {};
    static_cast<void>(fill_random(bytes, size));
    std::string boundary;
    for (const char byte : bytes) {
        boundary += letters[static_cast<unsigned char>(byte) & letter_bits];
    }
    return boundary;
}

/// Validators as they are sent: weak while the file is too young, and no date in the future (RFC
/// 9110 section 8.8.2.1).
struct SentValidators {
    SentValidators(const OpenFile& file, std::chrono::system_clock::time_point now)
        : etag(file.etag), last_modified(file.last_modified) {
        const auto mtime = file.info.mtime();
        const bool is_recent = now - mtime < trusted_age;
        validators.last_modified = mtime < now ? mtime : now;
        validators.is_recent = is_recent;
        if (is_recent) {
            weak_etag = "W/" + file.etag;
            etag = weak_etag;
            own_date.resize(date_size);
            write_date(*validators.last_modified, own_date.data());
            last_modified = own_date;
        }
        validators.etag = etag;
    }
    SentValidators(const SentValidators&) = delete;
    SentValidators& operator=(const SentValidators&) = delete;

    Validators validators;
    std::string_view etag;
    std::string_view last_modified;
    std::string weak_etag;
    std::string own_date;
};

/// The fields that 200, 206 and 304 have in common (RFC 9110 section 15.4.5).
inline void
set_cache_fields(Response& response, const FileContent& content, const SentValidators& validators) {
    if (!response.header("Cache-Control")) { // a hook may know better
        response.header("Cache-Control", content.plain->cache_control);
    }
    response.header("ETag", validators.etag);
    if (content.varies) {
        response.add_header("Vary", "Accept-Encoding");
    }
}

/// The whole, what a Range asks for, or nothing.
inline RangeSelection select_content(
    const Request& request, const FileContent& content, const SentValidators& validators,
    std::chrono::system_clock::time_point now) {
    const auto range = request.header("Range");
    // RFC 9110 section 14.2: Range is defined for GET only. Two of them say nothing.
    if (!range || request.method() != Method::get || request.fields().count("Range") != 1
        || !if_range_passes(request.fields(), validators.validators, now)) {
        return {};
    }
    return select_ranges(*range, content.file->info.size);
}

/// Sets status and fields for several ranges, and returns what to send.
inline std::vector<FileSource::Part> frame_parts(
    Response& response, const FileContent& content, const std::vector<ByteRange>& ranges,
    std::string& type) {
    const std::string boundary = make_boundary();
    const MultipartRanges framing(boundary, content.plain->type, content.file->info.size);
    type = framing.content_type();
    std::vector<FileSource::Part> parts;
    for (const ByteRange& range : ranges) {
        parts.push_back({framing.part_head(range), range});
    }
    parts.push_back({framing.end(), {}});
    constexpr int partial_content = 206;
    response.status(partial_content);
    return parts;
}

/// One run of bytes, small ones at once. False when the file has fewer.
inline bool send_run(
    const Request& request, Response& response, const FileContent& content, const ByteRange& range,
    char* scratch) {
    const std::string& type = content.plain->type;
    if (range.size > max_inline_file || request.method() == Method::head) {
        std::vector<FileSource::Part> parts(1);
        parts[0].range = range;
        response.send(type, std::make_unique<FileSource>(content.file, std::move(parts)));
        return true;
    }
    const auto size = static_cast<std::size_t>(range.size);
    if (content.file->file.read_at(range.first, scratch, size) != size) {
        return false;
    }
    response.send(type, std::string_view(scratch, size));
    return true;
}

PORTHOLE_FN bool answer_with_file(
    const Request& request, Response& response, const FileContent& content,
    std::chrono::system_clock::time_point now, char* scratch) {
    constexpr int partial_content = 206;
    constexpr int not_modified = 304;
    constexpr int precondition_failed = 412;
    constexpr int range_not_satisfiable = 416;
    const SentValidators validators(*content.file, now);
    const std::uint64_t file_size = content.file->info.size;
    switch (
        evaluate_preconditions(request.fields(), request.method(), validators.validators, now)) {
    case Precondition::passed: break;
    case Precondition::not_modified:
        response.status(not_modified);
        set_cache_fields(response, content, validators);
        return true;
    case Precondition::failed:
        response.fail(precondition_failed, "The file is not the one that the request is about.");
        return true;
    }
    RangeSelection selection = select_content(request, content, validators, now);
    if (selection.kind == RangeSelection::Kind::unsatisfiable) {
        response.fail(range_not_satisfiable, "The file has no bytes there.");
        response.header("Content-Range", unsatisfied_range(file_size));
        return true;
    }
    if (selection.ranges.size() > 1) {
        std::string type;
        std::vector<FileSource::Part> parts =
            frame_parts(response, content, selection.ranges, type);
        response.send(type, std::make_unique<FileSource>(content.file, std::move(parts)));
    } else {
        ByteRange run{0, file_size};
        if (selection.kind == RangeSelection::Kind::partial) {
            run = selection.ranges[0];
            response.status(partial_content);
            response.header("Content-Range", content_range(run, file_size));
        }
        if (!send_run(request, response, content, run, scratch)) {
            return false;
        }
    }
    set_cache_fields(response, content, validators);
    response.header("Last-Modified", validators.last_modified);
    response.header("Accept-Ranges", "bytes");
    if (!content.coding.empty()) {
        response.header("Content-Encoding", content.coding);
    }
    return true;
}

PORTHOLE_FN void answer_open_failure(Response& response, OpenResult result) {
    switch (result) {
    case OpenResult::ok:
    case OpenResult::not_found: response.fail(404, "There is no such file."); break;
    case OpenResult::denied: response.fail(403, "This file is not for everybody."); break;
    case OpenResult::too_long: response.fail(400, "This path is too long."); break;
    case OpenResult::exhausted:
        response.fail(503, "Too many files are open.");
        response.header("Retry-After", "1");
        break;
    }
}

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/ext/files.inl

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

inline constexpr std::string_view brotli_suffix = ".br";
inline constexpr std::string_view gzip_suffix = ".gz";

/// How many files a mount keeps open where that disturbs nobody.
inline constexpr std::size_t default_open_files = 64;

PORTHOLE_FN FilesMount::FilesMount(std::string_view root, FilesOptions options)
    : path_(root), options_(std::move(options)),
      cache_(
          options_.max_open_files_.value_or(has_windows_files() ? 0 : default_open_files),
          options_.recheck_after_),
      scratch_(new char[max_inline_file]) {
    rules_.allows_dotfiles = options_.has_dotfiles_;
    rules_.is_portable = options_.portable_names_.value_or(has_windows_files());
}

PORTHOLE_FN Error FilesMount::attach(Server& server) {
    clock_ = server.options().clock != nullptr ? server.options().clock : &system_clock_;
    auto root = std::make_shared<Directory>();
    const Lookup lookup = options_.is_step_by_step_ ? Lookup::step_by_step : Lookup::automatic;
    if (Error error = Directory::open(path_, "mount", lookup, *root)) {
        return error;
    }
    root_ = std::move(root);
    return {};
}

/// False when a hook has stopped the request.
PORTHOLE_FN bool FilesMount::run_hooks(const Request& request, Response& response) {
    for (const BeforeHook& hook : options_.before_) {
        if (hook(request, response) == Next::stop) {
            if (!response.is_touched()) {
                response.fail(403, "A hook of these files does not allow the request.");
            }
            return false;
        }
    }
    return true;
}

PORTHOLE_FN void FilesMount::handle(const Request& request, Response& response) {
    if (root_ == nullptr || !run_hooks(request, response)) {
        return;
    }
    if (request.method() != Method::get && request.method() != Method::head) {
        response.fail(405, "Files are read with GET and HEAD.");
        response.header("Allow", "GET, HEAD");
        return;
    }
    const std::string_view path = request.mount_path();
    if (check_raw_path(request.target()) != PathVerdict::fine) {
        response.fail(400, "A path must not have an encoded slash or backslash.");
        return;
    }
    switch (path.empty() ? PathVerdict::fine : check_path(path, rules_)) {
    case PathVerdict::fine: answer_path(request, response, path); break;
    case PathVerdict::hidden: answer_open_failure(response, OpenResult::not_found); break;
    case PathVerdict::malformed:
        response.fail(400, "A path must not have empty or dot segments, controls or backslashes.");
        break;
    }
}

/// The same place with a slash behind it, as a path on this origin: it begins with one slash only.
inline std::string with_slash(const Request& request) {
    std::string_view path = request.path();
    std::string location;
    while (!path.empty()) {
        path.remove_prefix(path[0] == '/' ? 1 : 0);
        const std::string_view part = path.substr(0, path.find('/'));
        if (!part.empty()) {
            location += '/';
            percent_encode(part, location);
        }
        path.remove_prefix(part.size());
    }
    location += '/';
    if (!request.query_string().empty()) {
        location += '?';
        location += request.query_string();
    }
    return location;
}

PORTHOLE_FN void
FilesMount::answer_path(const Request& request, Response& response, std::string_view path) {
    constexpr int moved_permanently = 301;
    const bool is_directory = !path.empty() && path.back() == '/';
    if (is_directory) {
        const std::string_view name = path.substr(1);
        answer_directory(
            request, response, std::string(name.substr(0, name.empty() ? 0 : name.size() - 1)));
        return;
    }
    const std::string name(path.empty() ? path : path.substr(1));
    Found found = find(name);
    if (found.file != nullptr) {
        answer_file(request, response, name, std::move(found.file));
    } else if (found.directory.is_open()) {
        response.redirect(with_slash(request), moved_permanently);
        response.header("Cache-Control", "no-cache");
    } else if (found.result == OpenResult::not_found) {
        answer_missing(request, response, path);
    } else {
        answer_open_failure(response, found.result);
    }
}

PORTHOLE_FN void
FilesMount::answer_directory(const Request& request, Response& response, const std::string& name) {
    const std::string prefix = name.empty() ? name : name + "/";
    for (const std::string& index : options_.index_) {
        const std::string candidate = prefix + index;
        Found found = find(candidate);
        if (found.file != nullptr) {
            answer_file(request, response, candidate, std::move(found.file));
            return;
        }
        if (found.result != OpenResult::not_found && found.result != OpenResult::ok) {
            answer_open_failure(response, found.result);
            return;
        }
    }
    if (options_.has_listing_) {
        Found found = find(name);
        if (found.directory.is_open()) {
            answer_listing(request, response, name, std::move(found.directory));
            return;
        }
    }
    answer_missing(request, response, name);
}

PORTHOLE_FN void FilesMount::answer_listing(
    const Request& request, Response& response, const std::string& name, File directory) {
    ListingOptions listing;
    listing.is_json = media_type_quality(request.fields(), "application/json")
                      > media_type_quality(request.fields(), "text/html");
    listing.has_dotfiles = options_.has_dotfiles_;
    listing.is_portable = rules_.is_portable;
    listing.has_parent = !name.empty();
    listing.max_entries = options_.max_listed_entries_;
    response.header("Cache-Control", "no-cache");
    response.add_header("Vary", "Accept");
    if (!listing.is_json) {
        response.header("Content-Security-Policy", listing_policy);
    }
    response.send(
        listing.is_json ? "application/json" : "text/html; charset=utf-8",
        std::make_unique<ListingSource>(
            root_, std::move(directory), name, request.path(), listing));
}

/// True for what a browser asks for when the user goes somewhere, as opposed to what a page loads.
inline bool is_navigation(const Request& request) noexcept {
    if (const auto mode = request.header("Sec-Fetch-Mode")) {
        return *mode == "navigate";
    }
    return media_type_quality(request.fields(), "text/html") > 0;
}

PORTHOLE_FN void
FilesMount::answer_missing(const Request& request, Response& response, std::string_view path) {
    if (!options_.spa_.empty() && extension_of(path).empty() && is_navigation(request)) {
        Found found = find(options_.spa_);
        if (found.file != nullptr) {
            answer_file(request, response, options_.spa_, std::move(found.file));
            return;
        }
    }
    answer_open_failure(response, OpenResult::not_found);
}

PORTHOLE_FN void FilesMount::answer_file(
    const Request& request, Response& response, const std::string& name,
    std::shared_ptr<OpenFile> file) {
    FileContent content;
    content.file = content.plain = std::move(file);
    if (options_.has_precompressed_) {
        choose_coding(request, name, content);
    }
    if (!answer_with_file(request, response, content, clock_->wall_time(), scratch_.get())) {
        cache_.forget(name);
        response.fail(503, "The file is being changed.");
        response.header("Retry-After", "1");
    }
}

/// Names are as check_path() left them, or the program's own.
PORTHOLE_FN FilesMount::Found FilesMount::find(const std::string& name) {
    Found found;
    const TimePoint now = clock_->now();
    found.file = cache_.find(name, now);
    if (found.file != nullptr) {
        found.result = OpenResult::ok;
        return found;
    }
    File opened;
    FileInfo info;
    found.result = root_->open_beneath(name, opened, info);
    if (found.result != OpenResult::ok) {
        return found;
    }
    if (info.is_directory) {
        found.directory = std::move(opened);
        return found;
    }
    found.file = std::make_shared<OpenFile>();
    found.file->file = std::move(opened);
    found.file->info = info;
    found.file->type = type_of(name);
    found.file->cache_control = is_immutable(name) ? "public, max-age=31536000, immutable"
                                                   : std::string_view(options_.cache_control_);
    found.file->looked_up = now;
    found.file->describe();
    cache_.keep(name, found.file);
    return found;
}

PORTHOLE_FN std::shared_ptr<OpenFile>
FilesMount::find_sibling(const std::string& name, const OpenFile& plain, OpenFile::Sibling& state) {
    if (state == OpenFile::Sibling::absent) {
        return nullptr;
    }
    Found found = find(name);
    if (found.file == nullptr) {
        state = OpenFile::Sibling::absent;
        return nullptr;
    }
    state = OpenFile::Sibling::present;
    // Tools that copy or unpack write both within moments, in any order.
    constexpr std::int64_t tolerance_ns = 2'000'000'000;
    const bool is_stale = found.file->info.mtime_ns < plain.info.mtime_ns - tolerance_ns;
    return is_stale ? nullptr : std::move(found.file);
}

/// RFC 9110 section 12.5.3. A request for a range gets the plain file: the parts of one download
/// then always come from the same bytes, whatever each request accepts.
PORTHOLE_FN void
FilesMount::choose_coding(const Request& request, const std::string& name, FileContent& content) {
    OpenFile& plain = *content.plain;
    std::shared_ptr<OpenFile> brotli =
        find_sibling(name + std::string(brotli_suffix), plain, plain.brotli);
    std::shared_ptr<OpenFile> gzip =
        find_sibling(name + std::string(gzip_suffix), plain, plain.gzip);
    content.varies = brotli != nullptr || gzip != nullptr;
    const Fields& fields = request.fields();
    if (!content.varies || fields.count("Range") != 0) {
        return;
    }
    const int for_brotli = brotli ? encoding_quality(fields, "br").value_or(0) : 0;
    const int for_gzip = gzip ? encoding_quality(fields, "gzip").value_or(0) : 0;
    const int for_plain = encoding_quality(fields, "identity").value_or(0);
    const int best = for_brotli >= for_gzip ? for_brotli : for_gzip;
    if (best == 0 || best < for_plain) {
        return;
    }
    const bool is_brotli = for_brotli == best;
    content.coding = is_brotli ? "br" : "gzip";
    content.file = std::move(is_brotli ? brotli : gzip);
}

PORTHOLE_FN std::string_view FilesMount::type_of(std::string_view name) const noexcept {
    const std::string_view extension = extension_of(name);
    for (const auto& own : options_.media_types_) {
        if (!extension.empty() && ascii::equals_ignoring_case(own.first, extension)) {
            return own.second;
        }
    }
    return media_type_of(name);
}

PORTHOLE_FN bool FilesMount::is_immutable(std::string_view name) const {
    if (options_.is_immutable_) {
        return options_.is_immutable_(name);
    }
    return has_hash_in_name(name) && media_type_essence(type_of(name)) != "text/html";
}

} // namespace detail

PORTHOLE_FN FilesOptions&
FilesOptions::media_type(std::string_view extension, std::string_view type) {
    const bool is_well_formed = ascii::is_field_value(type);
    PORTHOLE_ASSERT(is_well_formed, "a content type has no CR, LF, NUL or other control");
    if (is_well_formed) {
        media_types_.emplace_back(extension, type);
    }
    return *this;
}

PORTHOLE_FN std::unique_ptr<Mount> files(std::string_view root, FilesOptions options) {
    return std::make_unique<detail::FilesMount>(root, std::move(options));
}

PORTHOLE_FN void send_file(const Request& request, Response& response, std::string_view path) {
    if (request.method() != Method::get && request.method() != Method::head) {
        response.fail(405, "Files are read with GET and HEAD.");
        response.header("Allow", "GET, HEAD");
        return;
    }
    detail::FileContent content;
    content.file = content.plain = std::make_shared<detail::OpenFile>();
    detail::OpenFile& file = *content.file;
    const detail::OpenResult result = detail::open_path(path, file.file, file.info);
    if (result != detail::OpenResult::ok || file.info.is_directory) {
        detail::answer_open_failure(response, result);
        return;
    }
    file.type = media_type_of(path);
    file.cache_control = "no-cache";
    file.describe();
    char scratch[detail::max_inline_file];
    if (!detail::answer_with_file(
            request, response, content, std::chrono::system_clock::now(), scratch)) {
        response.fail(503, "The file is being changed.");
    }
}

PORTHOLE_NAMESPACE_END

// porthole/ext/assets.inl

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

inline std::string_view bytes_of(const AssetBytes& bytes) noexcept {
    return {static_cast<const char*>(bytes.data), bytes.size};
}

PORTHOLE_FN std::optional<std::uint64_t> MemorySource::size() const {
    std::uint64_t size = 0;
    for (const Part& part : parts_) {
        size += part.text.size() + part.bytes.size();
    }
    return size;
}

PORTHOLE_FN std::optional<std::string_view> MemorySource::whole() const {
    if (parts_.size() == 1 && parts_[0].text.empty()) {
        return parts_[0].bytes;
    }
    return std::nullopt;
}

PORTHOLE_FN BodySource::Piece MemorySource::pull(char* into, std::size_t capacity) {
    Piece piece;
    while (at_ < parts_.size() && piece.bytes < capacity) {
        const Part& part = parts_[at_];
        const std::size_t room = capacity - piece.bytes;
        const std::size_t taken =
            sent_ < part.text.size()
                ? part.text.copy(into + piece.bytes, room, sent_)
                : part.bytes.copy(into + piece.bytes, room, sent_ - part.text.size());
        piece.bytes += taken;
        sent_ += taken;
        if (sent_ == part.text.size() + part.bytes.size()) {
            ++at_;
            sent_ = 0;
        }
    }
    piece.state = at_ < parts_.size() ? State::more : State::end;
    return piece;
}

/// Which copy of an asset is sent.
struct AssetVariant {
    AssetBytes bytes;
    std::string_view coding; ///< empty: the plain copy
    std::string_view etag_suffix;
};

/// The copy that the client likes best; of two alike the smaller kind (RFC 9110 section 12.5.3).
inline AssetVariant choose_variant(const Asset& asset, const Fields& fields) noexcept {
    AssetVariant best{asset.plain, {}, {}};
    // Unnamed, the plain copy is allowed, and the last choice.
    int best_quality = encoding_quality(fields, "identity").value_or(0);
    const AssetVariant others[] = {{asset.gzip, "gzip", "-gz"}, {asset.brotli, "br", "-br"}};
    for (const AssetVariant& other : others) {
        const int quality = encoding_quality(fields, other.coding).value_or(0);
        if (other.bytes.data != nullptr && quality != 0 && quality >= best_quality) {
            best = other;
            best_quality = quality;
        }
    }
    return best;
}

inline std::string etag_of(const Asset& asset, std::string_view suffix) {
    std::string text = "\"";
    text.append(asset.etag).append(suffix).append("\"");
    return text;
}

inline std::string_view media_type_of_asset(const Asset& asset) noexcept {
    return asset.media_type != nullptr ? asset.media_type : media_type_of(asset.path);
}

inline std::string_view cache_control_of(const Asset& asset) noexcept {
    const bool is_page = media_type_essence(media_type_of_asset(asset)) == "text/html";
    const bool is_kept =
        asset.caching == AssetCaching::immutable
        || (asset.caching == AssetCaching::by_name && !is_page && has_hash_in_name(asset.path));
    return is_kept ? "public, max-age=31536000, immutable" : "no-cache";
}

/// True, with the answer made, for methods that files do not have.
inline bool refuse_other_methods(const Request& request, Response& response) {
    constexpr int method_not_allowed = 405;
    if (request.method() == Method::get || request.method() == Method::head) {
        return false;
    }
    if (request.method() == Method::options) {
        response.no_content();
    } else {
        response.fail(method_not_allowed, "Files answer GET and HEAD only.");
    }
    response.header("Allow", "GET, HEAD");
    return true;
}

PORTHOLE_FN AssetBundle::AssetBundle(const AssetTable& table) noexcept : table_(table) {
    for (std::size_t i = 1; i < table.size; ++i) {
        PORTHOLE_ASSERT(
            std::string_view(table.assets[i - 1]->path) < table.assets[i]->path,
            "a table of assets is sorted by path");
    }
}

PORTHOLE_FN Error AssetBundle::attach(Server& server) {
    static_cast<void>(server);
    return {};
}

PORTHOLE_FN const Asset* AssetBundle::find(std::string_view path) const noexcept {
    const Asset* const* const end = table_.assets + table_.size;
    const Asset* const* const place =
        std::lower_bound(table_.assets, end, path, [](const Asset* asset, std::string_view wanted) {
            return std::string_view(asset->path) < wanted;
        });
    return place != end && (*place)->path == path ? *place : nullptr;
}

PORTHOLE_FN void AssetBundle::handle(const Request& request, Response& response) {
    constexpr int not_found = 404;
    if (refuse_other_methods(request, response)) {
        return;
    }
    const std::string_view path = request.mount_path();
    const Asset* asset = nullptr;
    if (!path.empty()) { // else it is the mount's prefix without its '/'
        asset = path.back() == '/' ? find(std::string(path) + "index.html") : find(path);
    }
    if (asset == nullptr && redirect_to_directory(request, response)) {
        return;
    }
    if (asset == nullptr && table_.fallback != nullptr && extension_of(path).empty()
        && is_navigation(request)) {
        asset = find(table_.fallback);
    }
    if (asset == nullptr) {
        response.fail(not_found, "There is no such file.");
        return;
    }
    send(*asset, request, response);
}

/// "/docs" for "/docs/index.html": relative links on that page want the '/'.
PORTHOLE_FN bool
AssetBundle::redirect_to_directory(const Request& request, Response& response) const {
    constexpr int moved_permanently = 301;
    const std::string_view path = request.mount_path();
    if ((!path.empty() && path.back() == '/')
        || find(std::string(path) + "/index.html") == nullptr) {
        return false;
    }
    response.redirect(with_slash(request), moved_permanently);
    response.header("Cache-Control", "no-cache"); // else a browser remembers it for ever
    return true;
}

PORTHOLE_FN void
AssetBundle::send(const Asset& asset, const Request& request, Response& response) const {
    constexpr int partial_content = 206;
    constexpr int not_modified = 304;
    constexpr int precondition_failed = 412;
    constexpr int range_not_satisfiable = 416;
    const auto no_date = std::chrono::system_clock::time_point{};
    const Fields& fields = request.fields();
    const std::string plain_etag = etag_of(asset, {});
    const auto range = request.header("Range");
    RangeSelection selection;
    // RFC 9110 section 14.2: only GET has ranges. They are of the plain copy.
    if (range && request.method() == Method::get && fields.count("Range") == 1
        && if_range_passes(fields, {plain_etag, {}, false}, no_date)) {
        selection = select_ranges(*range, asset.plain.size);
    }
    const bool is_whole = selection.kind == RangeSelection::Kind::whole;
    const AssetVariant variant =
        is_whole ? choose_variant(asset, fields) : AssetVariant{asset.plain, {}, {}};
    const std::string etag = etag_of(asset, variant.etag_suffix);

    const Precondition verdict =
        evaluate_preconditions(fields, request.method(), {etag, {}, false}, no_date);
    if (verdict == Precondition::failed) {
        response.fail(precondition_failed, "The file is not the one that was asked about.");
        return;
    }
    response.header("ETag", etag).header("Cache-Control", cache_control_of(asset));
    if (asset.gzip.data != nullptr || asset.brotli.data != nullptr) {
        response.header("Vary", "Accept-Encoding");
    }
    if (verdict == Precondition::not_modified) {
        response.status(not_modified);
        return;
    }
    response.header("Accept-Ranges", "bytes");
    if (selection.kind == RangeSelection::Kind::unsatisfiable) {
        response.fail(range_not_satisfiable, "The file ends before that range.");
        response.header("Content-Range", unsatisfied_range(asset.plain.size));
    } else if (is_whole) {
        if (!variant.coding.empty()) {
            response.header("Content-Encoding", variant.coding);
        }
        response.send(
            media_type_of_asset(asset), std::make_unique<MemorySource>(bytes_of(variant.bytes)));
    } else {
        response.status(partial_content);
        send_parts(asset, selection.ranges, response);
    }
}

PORTHOLE_FN void AssetBundle::send_parts(
    const Asset& asset, const std::vector<ByteRange>& ranges, Response& response) const {
    constexpr int server_error = 500;
    const std::string_view content = bytes_of(asset.plain);
    const std::string_view type = media_type_of_asset(asset);
    const auto bytes_in = [content](const ByteRange& range) {
        return content.substr(
            static_cast<std::size_t>(range.first), static_cast<std::size_t>(range.size));
    };
    if (ranges.size() == 1) {
        response.header("Content-Range", content_range(ranges[0], content.size()));
        response.send(type, std::make_unique<MemorySource>(bytes_in(ranges[0])));
        return;
    }
    std::array<char, 16> random{};
    if (!fill_random(random.data(), random.size())) {
        response.fail(server_error, "The system has no random bytes for a boundary.");
        return;
    }
    std::string boundary;
    for (const char byte : random) {
        constexpr std::string_view digits = "0123456789abcdef";
        constexpr unsigned low_bits = 0xf;
        boundary += digits[static_cast<unsigned char>(byte) & low_bits];
        boundary += digits[static_cast<unsigned char>(byte) / (low_bits + 1)];
    }
    const MultipartRanges frame(boundary, type, content.size());
    std::vector<MemorySource::Part> parts;
    for (const ByteRange& range : ranges) {
        parts.push_back({frame.part_head(range), bytes_in(range)});
    }
    parts.push_back({frame.end(), {}});
    response.send(frame.content_type(), std::make_unique<MemorySource>(std::move(parts)));
}

} // namespace detail

PORTHOLE_FN std::unique_ptr<Mount> assets(const AssetTable& table) {
    if (table.directory != nullptr) {
        return std::make_unique<detail::DiskAssets>(table);
    }
    return std::make_unique<detail::AssetBundle>(table);
}

PORTHOLE_NAMESPACE_END

// porthole/ext/assets_disk.inl

// Assets in development. files() does the serving; what comes on top is a script at the end of each
// page, which listens to a channel. While anybody listens, the folder is looked at a few times a
// second, at a bounded number of files each time, and what it looks like is published.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

// Dotfiles are never assets, so that these cannot be in the way of one.
inline constexpr std::string_view reload_path = "/.porthole/reload";
inline constexpr std::string_view reload_script_path = "/.porthole/reload.js";
// A page that is hidden keeps no connection: a browser has six for each host.
inline constexpr std::string_view reload_script =
    "const base = document.currentScript.src.replace(/\\.js$/, '');\n"
    "let seen = '';\n"
    "let source = null;\n"
    "function listen() {\n"
    "    if (source) source.close();\n"
    "    source = null;\n"
    "    if (document.hidden) return;\n"
    "    source = new EventSource(base);\n"
    "    source.onmessage = event => {\n"
    "        if (seen && event.data !== seen) location.reload();\n"
    "        seen = event.data;\n"
    "    };\n"
    "}\n"
    "document.addEventListener('visibilitychange', listen);\n"
    "listen();\n";

/// What the folder's files look like, as one number that changes with them.
struct DiskAssets::Watch {
    /// Files that one look takes in, and how often there is one.
    static constexpr std::size_t files_per_look = 64;
    static constexpr std::chrono::milliseconds interval{200};

    explicit Watch(Server& host) : server(host), answer(events(channel)) {}

    Server& server;
    Directory directory;
    Channel channel;
    Handler answer;
    TimerHandle timer;
    std::size_t next = 0;
    std::uint64_t sum = 0;
    std::uint64_t state = 0; ///< of the last full round; 0 before

    void add(std::uint64_t value) noexcept {
        constexpr std::uint64_t prime = 0x100000001b3; // FNV-1a, by words
        sum = (sum ^ value) * prime;
    }
    void look(const AssetTable& table) {
        const std::size_t end = (std::min)(table.size, next + files_per_look);
        for (; next < end; ++next) {
            FileInfo info;
            File file;
            const std::string_view name = std::string_view(table.assets[next]->path).substr(1);
            const OpenResult result = directory.open_beneath(name, file, info);
            add(result == OpenResult::ok ? info.size + 1 : 0);
            add(static_cast<std::uint64_t>(info.mtime_ns));
        }
        if (next == table.size) {
            const std::uint64_t before = std::exchange(state, sum | 1);
            next = 0;
            sum = 0;
            if (state != before) {
                static_cast<void>(channel.publish({}, std::to_string(state)));
            }
        }
    }
    /// For as long as somebody listens.
    void keep_looking(const AssetTable& table) {
        timer = server.call_after(interval, [this, &table] {
            if (channel.subscribers() != 0) {
                look(table);
                keep_looking(table);
            }
        });
    }
};

/// A page with something behind it. Browsers take what follows </html> as a part of the body.
class AppendedSource final : public BodySource {
public:
    AppendedSource(std::unique_ptr<BodySource> page, std::string text) noexcept
        : page_(std::move(page)), text_(std::move(text)) {}

    std::optional<std::uint64_t> size() const override {
        const auto size = page_->size();
        return size ? std::optional(*size + text_.size()) : std::nullopt;
    }
    Piece pull(char* into, std::size_t capacity) override {
        if (!has_page_ended_) {
            Piece piece = page_->pull(into, capacity);
            has_page_ended_ = piece.state == State::end;
            piece.state = has_page_ended_ ? State::more : piece.state;
            return piece;
        }
        Piece piece;
        piece.bytes = text_.copy(into, capacity, sent_);
        sent_ += piece.bytes;
        piece.state = sent_ == text_.size() ? State::end : State::more;
        return piece;
    }
    void set_waker(std::function<void()> waker) override { page_->set_waker(std::move(waker)); }

private:
    std::unique_ptr<BodySource> page_;
    std::string text_;
    std::size_t sent_ = 0;
    bool has_page_ended_ = false;
};

PORTHOLE_FN DiskAssets::DiskAssets(const AssetTable& table) : table_(table), baked_(table) {
    FilesOptions options;
    if (table.fallback != nullptr) {
        options.spa(std::string_view(table.fallback).substr(1));
    }
    files_ = files(table.directory, std::move(options));
}

PORTHOLE_FN DiskAssets::~DiskAssets() = default;

PORTHOLE_FN Error DiskAssets::attach(Server& server) {
    auto watch = std::make_unique<Watch>(server);
    const Error error =
        Directory::open(table_.directory, "mount", Lookup::automatic, watch->directory);
    if (error) {
        // A development build on another machine; it has everything with it.
        if (server.options().log) {
            const std::string sentence =
                error.message() + "; serving the assets as they were baked in.";
            server.options().log(
                {LogLevel::warning, LogId::assets_baked, sentence, std::string_view()});
        }
        return baked_.attach(server);
    }
    watch_ = std::move(watch);
    return files_->attach(server);
}

PORTHOLE_FN void DiskAssets::handle(const Request& request, Response& response) {
    if (!watch_) {
        baked_.handle(request, response);
        return;
    }
    const std::string_view path = request.mount_path();
    if (path == reload_path || path == reload_script_path) {
        if (refuse_other_methods(request, response)) {
            return;
        }
        if (path == reload_script_path) {
            response.header("Cache-Control", "no-store");
            response.send("text/javascript; charset=utf-8", reload_script);
            return;
        }
        watch_->look(table_); // a page that comes back hears at once what has changed meanwhile
        if (!watch_->timer.is_pending()) {
            watch_->keep_looking(table_);
        }
        watch_->answer(request, response);
        return;
    }
    files_->handle(request, response);
    add_script(request, response);
}

PORTHOLE_FN std::string encode_request_path(std::string_view path) {
    // "//name" would lead to another host.
    const std::size_t begin = path.find_first_not_of('/');
    path.remove_prefix(begin == std::string_view::npos ? path.size() : begin);
    std::string text = "/";
    for (;;) {
        const std::string_view segment = path.substr(0, path.find('/'));
        percent_encode(segment, text);
        if (segment.size() == path.size()) {
            return text;
        }
        text += '/';
        path.remove_prefix(segment.size() + 1);
    }
}

PORTHOLE_FN void DiskAssets::add_script(const Request& request, Response& response) const {
    constexpr int ok = 200;
    const std::string_view type = response.header("Content-Type").value_or("");
    if (response.status() != ok || media_type_essence(type) != "text/html"
        || response.header("Content-Encoding")) {
        return;
    }
    std::string_view prefix = request.path();
    prefix.remove_suffix(request.mount_path().size());
    std::string text = "\n<script src=\"";
    text += prefix.empty() ? std::string() : encode_request_path(prefix);
    text.append(reload_script_path).append("\"></script>\n");
    if (auto page = response.take_source()) {
        const std::string kept_type(type);
        response.send(kept_type, std::make_unique<AppendedSource>(std::move(page), text));
    } else {
        response.body(std::string(response.body()) + text);
    }
    // It is not the file any more, and the next one may be another.
    response.remove_header("ETag").remove_header("Last-Modified").remove_header("Accept-Ranges");
    response.header("Cache-Control", "no-store");
}

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/ext/testing.inl

PORTHOLE_NAMESPACE_BEGIN

namespace testing {

PORTHOLE_FN std::string_view Answer::header(std::string_view name) const noexcept {
    for (const auto& field : fields) {
        if (ascii::equals_ignoring_case(field.first, name)) {
            return field.second;
        }
    }
    return {};
}

PORTHOLE_FN bool Answer::has_header(std::string_view name) const noexcept {
    for (const auto& field : fields) {
        if (ascii::equals_ignoring_case(field.first, name)) {
            return true;
        }
    }
    return false;
}

PORTHOLE_FN AnswerReading
read_answer(std::string_view bytes, bool is_head, bool has_ended, Answer& answer) {
    Limits limits; // a client of its own server trusts it more than a server its clients
    limits.max_fields_bytes = limits.max_fields = limits.max_trailer_bytes = bytes.size();
    AnswerReading reading;
    detail::ResponseParser parser(limits);
    reading.status = parser.parse(bytes, is_head);
    if (reading.status != detail::ParseStatus::complete) {
        return reading;
    }
    const detail::ResponseHead& head = parser.head();
    answer = Answer{};
    answer.status = head.status;
    answer.reason = head.reason.in(bytes.data());
    for (std::size_t i = 0; i < head.fields.size(); ++i) {
        answer.fields.emplace_back(head.fields[i].name, head.fields[i].value);
    }
    reading.size = parser.head_size();
    std::string_view rest = bytes.substr(reading.size);
    switch (head.framing.kind) {
    case detail::Framing::Kind::none: return reading;
    case detail::Framing::Kind::length:
        if (rest.size() < head.framing.length) {
            reading.status = detail::ParseStatus::need_more;
            return reading;
        }
        answer.body = rest.substr(0, static_cast<std::size_t>(head.framing.length));
        reading.size += answer.body.size();
        return reading;
    case detail::Framing::Kind::close:
        reading.status = has_ended ? detail::ParseStatus::complete : detail::ParseStatus::need_more;
        answer.body = rest;
        reading.size = bytes.size();
        return reading;
    case detail::Framing::Kind::chunked: break;
    }
    detail::ChunkedDecoder decoder(limits);
    do {
        std::size_t consumed = 0;
        std::string_view piece;
        reading.status = decoder.decode(rest, consumed, piece);
        answer.body += piece;
        reading.size += consumed;
        rest.remove_prefix(consumed);
    } while (reading.status == detail::ParseStatus::need_more && !rest.empty());
    return reading;
}

PORTHOLE_FN std::string write_request(
    std::string_view method, std::string_view target, const FieldList& fields,
    std::string_view body) {
    std::string bytes;
    bytes.append(method).append(" ").append(target).append(" HTTP/1.1\r\n");
    bool has_host = false;
    bool has_framing = false;
    for (const auto& field : fields) {
        has_host |= ascii::equals_ignoring_case(field.first, "Host");
        has_framing |= ascii::equals_ignoring_case(field.first, "Content-Length")
                       || ascii::equals_ignoring_case(field.first, "Transfer-Encoding");
        bytes.append(field.first).append(": ").append(field.second).append("\r\n");
    }
    if (!has_host) {
        bytes += "Host: localhost\r\n";
    }
    if (!body.empty() && !has_framing) {
        bytes += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    }
    bytes.append("\r\n").append(body);
    return bytes;
}

PORTHOLE_FN Client::Client(Server& server, std::size_t capacity, std::string_view peer)
    : server_(&server) {
    MemoryTransport::Pair pair = MemoryTransport::make_pair(capacity);
    transport_ = std::move(pair.client);
    if (server.adopt(std::move(pair.server), peer)) {
        is_closed_ = true;
    }
}

PORTHOLE_FN Answer Client::request(
    std::string_view method, std::string_view target, const FieldList& fields,
    std::string_view body) {
    const std::string bytes = write_request(method, target, fields, body);
    std::string_view rest = bytes;
    for (int i = 0; i < max_ticks && !rest.empty() && !is_closed_; ++i) {
        rest.remove_prefix(send(rest));
        if (!rest.empty()) {
            tick();
        }
    }
    return read_answer(method == "HEAD");
}

PORTHOLE_FN Answer
Client::post(std::string_view target, std::string_view type, std::string_view body) {
    return request("POST", target, {{"Content-Type", type}}, body);
}

PORTHOLE_FN std::size_t Client::send(std::string_view bytes) {
    if (!transport_ || bytes.empty()) {
        return 0;
    }
    const IoResult result = transport_->write(&bytes, 1);
    return result.status == IoStatus::ok ? result.bytes : 0;
}

PORTHOLE_FN TickReport Client::tick() {
    const TickReport report = server_->tick(std::chrono::seconds(1));
    take_input();
    return report;
}

PORTHOLE_FN void Client::take_input() {
    constexpr std::size_t piece = 16 * 1024;
    while (transport_ && is_reading_ && !is_closed_) {
        char bytes[piece];
        const IoResult result = transport_->read(bytes, sizeof bytes);
        if (result.status == IoStatus::ok) {
            received_.append(bytes, result.bytes);
            continue;
        }
        is_closed_ = result.status != IoStatus::would_block;
        return;
    }
}

PORTHOLE_FN Answer Client::read_answer(bool is_head) {
    Answer answer;
    for (int i = 0; i < max_ticks; ++i) {
        const AnswerReading reading = testing::read_answer(received_, is_head, is_closed_, answer);
        constexpr int first_final = 200;
        if (reading.status == detail::ParseStatus::complete) {
            received_.erase(0, reading.size);
            if (answer.status >= first_final || answer.status == 101) {
                return answer;
            }
            continue; // 100 Continue: the answer is still to come
        }
        if (reading.status == detail::ParseStatus::failed || is_closed_) {
            break;
        }
        tick();
    }
    return Answer{};
}

PORTHOLE_FN void pass_time(Server& server, ManualClock& clock, Duration time) {
    constexpr Duration frame = std::chrono::milliseconds(16);
    while (time > Duration::zero()) {
        const Duration step = time < frame ? time : frame;
        clock.advance(step);
        server.tick(std::chrono::seconds(1));
        time -= step;
    }
}

} // namespace testing

PORTHOLE_NAMESPACE_END

// porthole/ext/uploads.inl

// Behind both kinds of sink stands an object that is shared by their functions, with the program's
// own functions in it, which it calls after its work. It knows its sink only by a weak BodyFlow.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

inline constexpr int upload_created = 201;
inline constexpr int upload_conflict = 409;
inline constexpr int upload_too_large = 413;
inline constexpr int upload_failed = 500;
inline constexpr int upload_overloaded = 503;
inline constexpr int upload_no_space = 507;

/// The status that answers, 0 for ok.
inline int status_of_upload(OutputResult result, const UploadOptions& options) noexcept {
    switch (result) {
    case OutputResult::ok: return 0;
    case OutputResult::no_space: return upload_no_space;
    case OutputResult::already_exists: return options.may_replace ? upload_failed : upload_conflict;
    case OutputResult::exhausted: return upload_overloaded;
    case OutputResult::not_found:
    case OutputResult::denied:
    case OutputResult::failed: break;
    }
    return upload_failed;
}

/// For the page and the log: it names no path.
inline std::string_view describe_upload(int status) noexcept {
    switch (status) {
    case upload_conflict: return "There is a file of that name already.";
    case upload_too_large: return "The file is too large (UploadOptions::max_bytes).";
    case upload_overloaded: return "Too many files are open.";
    case upload_no_space: return "There is no room left for this content.";
    default: return "This content cannot be stored here.";
    }
}

/// Frees a large file's space in steps, one for each turn of the server.
inline void discard_gradually(const std::shared_ptr<OutputFile>& file, const TaskPoster& poster) {
    if (!file->discard_step()) {
        poster.post([file, poster] { discard_gradually(file, poster); });
    }
}

/// A file that is being uploaded. Its functions give 0, or the status that answers.
class UploadFile {
public:
    explicit UploadFile(UploadOptions options)
        : options_(options), file_(std::make_shared<OutputFile>()) {}

    int open(std::string_view path) {
        return status_of_upload(file_->open(path, options_.may_replace), options_);
    }
    int announce(std::uint64_t bytes) noexcept {
        return status_of_upload(file_->announce(bytes), options_);
    }
    int write(std::string_view piece) noexcept {
        if (piece.size() > options_.max_bytes - file_->size()) {
            return upload_too_large;
        }
        const int status = status_of_upload(file_->write(piece), options_);
        if (file_->size() - written_behind_ >= OutputFile::write_behind_bytes) {
            written_behind_ = file_->size();
            file_->write_behind();
        }
        return status;
    }
    int commit(bool& has_replaced) noexcept {
        return status_of_upload(file_->commit(has_replaced), options_);
    }
    void discard(const TaskPoster& poster) { discard_gradually(file_, poster); }

private:
    UploadOptions options_;
    std::shared_ptr<OutputFile> file_; ///< shared with the tasks that discard it
    std::uint64_t written_behind_ = 0;
};

/// What the two kinds of upload have in common: the sink that feeds them.
class Upload {
public:
    BodyFunctions& program() noexcept { return program_; }

    /// Puts `upload` before the functions that the program sets on `sink`.
    template <class Derived>
    static void attach(const std::shared_ptr<Derived>& upload, BodySink& sink) {
        upload->intake_ = sink.intake();
        sink.on_data([upload](std::string_view piece) { upload->take(piece); })
            .on_end([upload](const Request& request, Response& response) {
                upload->end(request, response);
            })
            .on_abort([upload] { upload->abort(); });
        sink.intake()->program = std::shared_ptr<BodyFunctions>(upload, &upload->program_);
    }

protected:
    void refuse(int status, std::string_view sentence) {
        BodyFlow(intake_).refuse(status, sentence);
    }
    /// False once somebody has refused the rest, or the server has gone.
    bool goes_on() const noexcept {
        const std::shared_ptr<BodyIntake> intake = intake_.lock();
        return intake && !intake->is_over && intake->refusal == 0;
    }
    /// While content comes in: where tasks can be put when none does any more.
    void remember_server() {
        if (has_poster_) {
            return;
        }
        const std::shared_ptr<BodyIntake> intake = intake_.lock();
        if (intake && intake->connection != nullptr) {
            poster_ = intake->connection->server().poster();
            has_poster_ = true;
        }
    }
    const TaskPoster& poster() const noexcept { return poster_; }
    void tell_program_of_abort() {
        const std::function<void()> give_up = std::move(program_.on_abort);
        program_ = {};
        if (give_up) {
            give_up();
        }
    }

    BodyFunctions program_;

private:
    std::weak_ptr<BodyIntake> intake_;
    TaskPoster poster_;
    bool has_poster_ = false;
};

class FileUpload : public Upload {
public:
    explicit FileUpload(const UploadOptions& options) : file_(options) {}

    UploadFile& file() noexcept { return file_; }

    /// The length is the parser's: it is a number, and the only one.
    void announce(const Request& request) {
        const auto length = ascii::parse_decimal(request.header("Content-Length").value_or(""));
        if (const int status = length ? file_.announce(*length) : 0) {
            refuse(status, describe_upload(status));
        }
    }
    void take(std::string_view piece) {
        remember_server();
        if (const int status = file_.write(piece)) {
            refuse(status, describe_upload(status));
        } else if (program_.on_data) {
            program_.on_data(piece);
        }
    }
    void end(const Request& request, Response& response) {
        bool has_replaced = false;
        if (const int status = file_.commit(has_replaced)) {
            file_.discard(poster());
            tell_program_of_abort();
            response.fail(status, describe_upload(status));
        } else if (const Handler answer = std::move(program_.on_end)) {
            answer(request, response);
        } else if (has_replaced) {
            response.no_content();
        } else {
            response.status(upload_created);
        }
    }
    void abort() {
        file_.discard(poster());
        tell_program_of_abort();
    }

private:
    UploadFile file_;
};

class FormUpload : public Upload {
public:
    FormUpload(std::string_view boundary, const MultipartLimits& limits)
        : limits_(limits), parser_(boundary, limits) {}

    std::function<PartSink(const FormPartHead&)> on_part;
    std::function<void(const FormPartHead&, std::string_view)> on_piece;
    std::function<void(const FormPartHead&, std::string_view)> on_part_end;

    void take(std::string_view piece);
    void end(const Request& request, Response& response);
    void abort() {
        discard_files();
        forget();
        tell_program_of_abort();
    }

private:
    MultipartLimits limits_;
    MultipartParser parser_;
    PartSink part_ = PartSink::skip();
    std::string collected_;           ///< of the part that is coming in
    std::size_t collected_total_ = 0; ///< of all parts
    std::vector<UploadFile> files_;   ///< the last one is coming in, when part_ is a file

    void begin_part();
    void take_data(std::string_view data);
    void end_part();
    void collect(std::string_view data);
    int commit_files();
    void refuse_file(int status) { refuse(status, describe_upload(status)); }
    void refuse_form(MultipartFault fault) { refuse(status_of(fault), describe(fault)); }
    void discard_files() {
        for (UploadFile& file : files_) {
            file.discard(poster());
        }
        files_.clear();
    }
    void forget() {
        on_part = nullptr;
        on_piece = nullptr;
        on_part_end = nullptr;
    }
};

PORTHOLE_FN void FormUpload::take(std::string_view piece) {
    remember_server();
    MultipartEvent event = MultipartEvent::part_end;
    while (event != MultipartEvent::need_more && goes_on()) {
        std::size_t consumed = 0;
        event = parser_.parse(piece, consumed);
        piece.remove_prefix(consumed);
        switch (event) {
        case MultipartEvent::need_more: break;
        case MultipartEvent::part_begin: begin_part(); break;
        case MultipartEvent::data: take_data(parser_.data()); break;
        case MultipartEvent::part_end: end_part(); break;
        case MultipartEvent::failed: refuse_form(parser_.fault()); break;
        }
    }
}

PORTHOLE_FN void FormUpload::begin_part() {
    const FormPartHead& head = parser_.part();
    collected_.clear();
    part_ = on_part ? on_part(head) : head.file_name ? PartSink::pieces() : PartSink::collect();
    if (part_.kind_ == PartSink::Kind::refusal) {
        refuse(part_.status_, part_.text_);
    }
    if (part_.kind_ != PartSink::Kind::file || !goes_on()) {
        return;
    }
    UploadFile file(part_.options_);
    if (const int status = file.open(part_.text_)) {
        refuse_file(status);
        return;
    }
    files_.push_back(std::move(file));
}

PORTHOLE_FN void FormUpload::take_data(std::string_view data) {
    switch (part_.kind_) {
    case PartSink::Kind::collect: collect(data); break;
    case PartSink::Kind::pieces:
        if (on_piece) {
            on_piece(parser_.part(), data);
        }
        break;
    case PartSink::Kind::file:
        if (const int status = files_.back().write(data)) {
            refuse_file(status);
        }
        break;
    case PartSink::Kind::skip:
    case PartSink::Kind::refusal: break;
    }
}

PORTHOLE_FN void FormUpload::collect(std::string_view data) {
    if (data.size() > limits_.max_collected_bytes - collected_total_) {
        refuse_form(MultipartFault::collected_too_large);
        return;
    }
    collected_total_ += data.size();
    collected_.append(data);
}

PORTHOLE_FN void FormUpload::end_part() {
    if (on_part_end) {
        on_part_end(parser_.part(), collected_);
    }
}

/// 0, or the status of the first that cannot have its name; those before it have theirs.
PORTHOLE_FN int FormUpload::commit_files() {
    for (UploadFile& file : files_) {
        bool has_replaced = false;
        if (const int status = file.commit(has_replaced)) {
            return status;
        }
    }
    files_.clear();
    return 0;
}

PORTHOLE_FN void FormUpload::end(const Request& request, Response& response) {
    forget();
    const MultipartFault fault = parser_.finish();
    const int status = fault == MultipartFault::none ? commit_files() : status_of(fault);
    if (status != 0) {
        discard_files();
        tell_program_of_abort();
        response.fail(
            status, fault == MultipartFault::none ? describe_upload(status) : describe(fault));
    } else if (const Handler answer = std::move(program_.on_end)) {
        answer(request, response);
    } else {
        response.no_content();
    }
}

} // namespace detail

PORTHOLE_FN BodySink to_file(std::string_view path, const UploadOptions& options) {
    const auto upload = std::make_shared<detail::FileUpload>(options);
    if (const int status = upload->file().open(path)) {
        return BodySink::refuse(status, detail::describe_upload(status));
    }
    BodySink sink;
    sink.max_bytes(options.max_bytes);
    detail::Upload::attach(upload, sink);
    sink.intake()->on_head = [upload](const Request& request) {
        upload->announce(request);
    };
    return sink;
}

PORTHOLE_FN PartSink PartSink::to_file(std::string_view path, const UploadOptions& options) {
    PartSink sink(Kind::file);
    sink.text_.assign(path);
    sink.options_ = options;
    return sink;
}

PORTHOLE_FN PartSink PartSink::refuse(int status, std::string_view sentence) {
    PartSink sink(Kind::refusal);
    sink.status_ = status;
    sink.text_.assign(sentence);
    return sink;
}

PORTHOLE_FN
MultipartSink::MultipartSink(BodySink sink, std::shared_ptr<detail::FormUpload> upload) noexcept
    : sink_(std::move(sink)), upload_(std::move(upload)) {}

PORTHOLE_FN MultipartSink&
MultipartSink::on_part(std::function<PartSink(const FormPartHead& part)> choose) {
    upload_->on_part = std::move(choose);
    return *this;
}

PORTHOLE_FN MultipartSink&
MultipartSink::on_data(std::function<void(const FormPartHead& part, std::string_view piece)> take) {
    upload_->on_piece = std::move(take);
    return *this;
}

PORTHOLE_FN MultipartSink& MultipartSink::on_part_end(
    std::function<void(const FormPartHead& part, std::string_view text)> take) {
    upload_->on_part_end = std::move(take);
    return *this;
}

PORTHOLE_FN MultipartSink& MultipartSink::on_end(Handler answer) {
    upload_->program().on_end = std::move(answer);
    return *this;
}

PORTHOLE_FN MultipartSink& MultipartSink::on_abort(std::function<void()> give_up) {
    upload_->program().on_abort = std::move(give_up);
    return *this;
}

PORTHOLE_FN MultipartSink& MultipartSink::max_bytes(std::uint64_t bytes) {
    sink_.max_bytes(bytes);
    return *this;
}

PORTHOLE_FN MultipartSink multipart(const Request& request, const MultipartLimits& limits) {
    std::string_view boundary;
    const MultipartFault fault = detail::read_boundary(request, boundary);
    const auto upload = std::make_shared<detail::FormUpload>(boundary, limits);
    BodySink sink = fault == MultipartFault::none
                        ? BodySink()
                        : BodySink::refuse(status_of(fault), describe(fault));
    detail::Upload::attach(upload, sink);
    return MultipartSink(std::move(sink), upload);
}

PORTHOLE_NAMESPACE_END

// porthole/ext/websocket_deflate.inl

// The handshake's part of permessage-deflate: pure text, the same with zlib and without it.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

inline constexpr std::string_view deflate_name = "permessage-deflate";
inline constexpr std::string_view extensions_field = "Sec-WebSocket-Extensions";

struct ExtensionParameter {
    std::string_view name;
    std::optional<std::string> value;
};

/// One element of Sec-WebSocket-Extensions: "name; parameter; parameter=value".
struct ExtensionElement {
    std::string_view name;
    std::vector<ExtensionParameter> parameters;
};

/// Reads one line of Sec-WebSocket-Extensions by its grammar (RFC 6455 section 9.1).
class ExtensionScanner {
public:
    explicit ExtensionScanner(std::string_view line) noexcept : rest_(line) {}

    /// False at the end of the line, or where it breaks the grammar: is_malformed() tells.
    bool next(ExtensionElement& element) {
        while (skip(',')) {}
        element = ExtensionElement{};
        if (rest_.empty()) {
            return false;
        }
        is_malformed_ = !take_token(element.name);
        while (!is_malformed_ && skip(';')) {
            is_malformed_ = !take_parameter(element);
        }
        is_malformed_ = is_malformed_ || !(rest_.empty() || skip(','));
        return !is_malformed_;
    }
    bool is_malformed() const noexcept { return is_malformed_; }

private:
    std::string_view rest_;
    bool is_malformed_ = false;

    bool skip(char separator) noexcept {
        rest_ = ascii::trim(rest_);
        if (rest_.empty() || rest_.front() != separator) {
            return false;
        }
        rest_ = ascii::trim(rest_.substr(1));
        return true;
    }
    bool take_token(std::string_view& token) noexcept {
        std::size_t size = 0;
        while (size < rest_.size() && ascii::is_token_char(rest_[size])) {
            ++size;
        }
        token = rest_.substr(0, size);
        rest_.remove_prefix(size);
        return size > 0;
    }
    bool take_parameter(ExtensionElement& element) {
        ExtensionParameter parameter;
        if (!take_token(parameter.name)) {
            return false;
        }
        if (skip('=')) {
            std::string_view token;
            parameter.value.emplace();
            if (take_token(token)) {
                *parameter.value = token;
            } else if (!take_quoted(*parameter.value)) {
                return false;
            }
        }
        element.parameters.push_back(std::move(parameter));
        return true;
    }
    /// What a quoted value stands for has to be a token again.
    bool take_quoted(std::string& value) {
        if (rest_.empty() || rest_.front() != '"') {
            return false;
        }
        std::size_t at = 1;
        for (; at < rest_.size() && rest_[at] != '"'; ++at) {
            if (rest_[at] == '\\' && ++at == rest_.size()) {
                return false;
            }
            value += rest_[at];
        }
        if (at == rest_.size() || !ascii::is_token(value)) {
            return false;
        }
        rest_.remove_prefix(at + 1);
        return true;
    }
};

/// The parameters of one permessage-deflate element, and which of them it names.
struct DeflateElement {
    DeflateParameters parameters;
    bool has_server_bits = false;
    bool has_client_bits = false;
};

/// A decimal of 8 to 15 without leading zeros (RFC 7692 sections 7.1.2.1 and 7.1.2.2).
inline bool read_window_bits(const std::optional<std::string>& value, int& bits) noexcept {
    if (!value || value->empty() || value->front() == '0') {
        return false;
    }
    const auto number = ascii::parse_decimal(*value);
    if (!number || *number < static_cast<std::uint64_t>(min_window_bits)
        || *number > static_cast<std::uint64_t>(max_window_bits)) {
        return false;
    }
    bits = static_cast<int>(*number);
    return true;
}

/// False for what RFC 7692 section 7.1 says to decline: unknown names, values where none belong or
/// invalid ones, and the same name twice. Only an offer may name client_max_window_bits without a
/// value.
inline bool
read_deflate_element(const ExtensionElement& element, bool is_offer, DeflateElement& deflate) {
    deflate = DeflateElement{};
    DeflateParameters& parameters = deflate.parameters;
    const auto set_flag = [](bool& flag, const std::optional<std::string>& value) {
        return !std::exchange(flag, true) && !value;
    };
    for (const auto& [name, value] : element.parameters) {
        bool is_valid = false;
        if (name == "server_no_context_takeover") {
            is_valid = set_flag(parameters.server_no_context_takeover, value);
        } else if (name == "client_no_context_takeover") {
            is_valid = set_flag(parameters.client_no_context_takeover, value);
        } else if (name == "server_max_window_bits") {
            is_valid = !std::exchange(deflate.has_server_bits, true)
                       && read_window_bits(value, parameters.server_max_window_bits);
        } else if (name == "client_max_window_bits") {
            is_valid = !std::exchange(deflate.has_client_bits, true)
                       && ((is_offer && !value)
                           || read_window_bits(value, parameters.client_max_window_bits));
        }
        if (!is_valid) {
            return false;
        }
    }
    return true;
}

inline void append_bits(std::string& text, std::string_view name, int bits) {
    text.append(name).append(std::to_string(bits));
}

/// Agrees to an offer, and says so in the answer.
inline void accept_deflate(
    const DeflateElement& offer, const DeflateParameters& wanted, DeflateNegotiation& negotiation) {
    DeflateParameters agreed = offer.parameters;
    agreed.server_no_context_takeover |= wanted.server_no_context_takeover;
    agreed.client_no_context_takeover |= wanted.client_no_context_takeover;
    agreed.server_max_window_bits =
        (std::min)(agreed.server_max_window_bits, wanted.server_max_window_bits);
    // A client that does not name its window cannot be told to limit it (RFC 7692 section
    // 7.1.2.2).
    if (offer.has_client_bits) {
        agreed.client_max_window_bits =
            (std::min)(agreed.client_max_window_bits, wanted.client_max_window_bits);
    }
    std::string& answer = negotiation.answer;
    answer = deflate_name;
    answer += agreed.server_no_context_takeover ? "; server_no_context_takeover" : "";
    answer += agreed.client_no_context_takeover ? "; client_no_context_takeover" : "";
    if (offer.has_server_bits || agreed.server_max_window_bits < max_window_bits) {
        append_bits(answer, "; server_max_window_bits=", agreed.server_max_window_bits);
    }
    if (offer.has_client_bits && agreed.client_max_window_bits < max_window_bits) {
        append_bits(answer, "; client_max_window_bits=", agreed.client_max_window_bits);
    }
    negotiation.agreed = agreed;
}

PORTHOLE_FN DeflateNegotiation
negotiate_deflate(const Fields& fields, const DeflateParameters& wanted) {
    DeflateNegotiation negotiation;
    for (const std::string_view line : fields.find_all(extensions_field)) {
        ExtensionScanner scanner(line);
        ExtensionElement element;
        DeflateElement offer;
        while (scanner.next(element)) {
            // The first that can be taken is the one that the client likes best (section 5).
            if (!negotiation.agreed && element.name == deflate_name
                && read_deflate_element(element, true, offer)) {
                accept_deflate(offer, wanted, negotiation);
            }
        }
        if (scanner.is_malformed()) {
            return {true, std::nullopt, {}};
        }
    }
    return negotiation;
}

PORTHOLE_FN std::string write_deflate_offer(const DeflateParameters& wanted) {
    std::string offer(deflate_name);
    offer += wanted.server_no_context_takeover ? "; server_no_context_takeover" : "";
    offer += wanted.client_no_context_takeover ? "; client_no_context_takeover" : "";
    if (wanted.server_max_window_bits < max_window_bits) {
        append_bits(offer, "; server_max_window_bits=", wanted.server_max_window_bits);
    }
    if (wanted.client_max_window_bits < max_window_bits) {
        append_bits(offer, "; client_max_window_bits=", wanted.client_max_window_bits);
    } else {
        offer += "; client_max_window_bits";
    }
    return offer;
}

PORTHOLE_FN DeflateAnswer
read_deflate_answer(const Fields& fields, const DeflateParameters& offered) {
    constexpr DeflateAnswer refused{true, std::nullopt};
    DeflateAnswer answer;
    for (const std::string_view line : fields.find_all(extensions_field)) {
        ExtensionScanner scanner(line);
        ExtensionElement element;
        DeflateElement deflate;
        while (scanner.next(element)) {
            if (answer.agreed || element.name != deflate_name
                || !read_deflate_element(element, false, deflate)) {
                return refused;
            }
            DeflateParameters& agreed = deflate.parameters;
            // The server may promise more than it was asked for, and never less.
            if ((offered.server_no_context_takeover && !agreed.server_no_context_takeover)
                || agreed.server_max_window_bits > offered.server_max_window_bits
                || (deflate.has_client_bits
                    && agreed.client_max_window_bits > offered.client_max_window_bits)) {
                return refused;
            }
            agreed.client_no_context_takeover |= offered.client_no_context_takeover;
            agreed.client_max_window_bits =
                (std::min)(agreed.client_max_window_bits, offered.client_max_window_bits);
            answer.agreed = agreed;
        }
        if (scanner.is_malformed()) {
            return refused;
        }
    }
    return answer;
}

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/ext/websocket_frame.inl

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

inline constexpr unsigned final_bit = 0x80;
inline constexpr unsigned rsv1_bit = 0x40;
inline constexpr unsigned other_rsv_bits = 0x30;
inline constexpr unsigned opcode_bits = 0x0f;
inline constexpr unsigned mask_bit = 0x80;
inline constexpr unsigned length_bits = 0x7f;
inline constexpr unsigned length_in_2 = 126;
inline constexpr unsigned length_in_8 = 127;

PORTHOLE_FN bool is_sendable_close_code(int code) noexcept {
    constexpr int last_registered = 1014;
    if (code >= close_code::normal && code <= last_registered) {
        return code != 1004 && code != close_code::no_code && code != close_code::dropped;
    }
    return code >= 3000 && code <= 4999;
}

inline bool is_known_opcode(unsigned opcode) noexcept {
    return opcode <= 0x2 || (opcode >= 0x8 && opcode <= 0xa);
}

PORTHOLE_FN FrameReading read_frame_head(std::string_view bytes, FrameHead& head) noexcept {
    const auto byte = [bytes](std::size_t i) {
        return static_cast<unsigned>(static_cast<unsigned char>(bytes[i]));
    };
    const auto failed = [](const char* fault) {
        return FrameReading{FrameStatus::failed, 0, fault};
    };
    constexpr std::size_t least = 2;
    if (bytes.size() < least) {
        return {FrameStatus::need_more, least, ""};
    }
    const unsigned opcode = byte(0) & opcode_bits;
    if ((byte(0) & other_rsv_bits) != 0) {
        return failed("A reserved bit is set.");
    }
    if (!is_known_opcode(opcode)) {
        return failed("The opcode is a reserved one.");
    }
    head.opcode = static_cast<Opcode>(opcode);
    head.is_final = (byte(0) & final_bit) != 0;
    head.has_rsv1 = (byte(0) & rsv1_bit) != 0;
    head.is_masked = (byte(1) & mask_bit) != 0;
    const unsigned length = byte(1) & length_bits;
    if (is_control(head.opcode) && !head.is_final) {
        return failed("A control frame is fragmented.");
    }
    if (is_control(head.opcode) && length > max_control_payload) {
        return failed("A control frame is longer than 125 bytes.");
    }
    const std::size_t length_size = length == length_in_8 ? 8 : length == length_in_2 ? 2 : 0;
    const std::size_t size = least + length_size + (head.is_masked ? head.key.size() : 0);
    if (bytes.size() < least + length_size) {
        return {FrameStatus::need_more, size, ""};
    }
    head.payload_size = length_size == 0 ? length : 0;
    for (std::size_t i = 0; i < length_size; ++i) {
        head.payload_size = (head.payload_size << 8) | byte(least + i);
    }
    if ((head.payload_size >> 63) != 0) {
        return failed("A length has its highest bit set.");
    }
    if ((length_size == 2 && head.payload_size < length_in_2)
        || (length_size == 8 && head.payload_size <= 0xffff)) {
        return failed("A length is not in its shortest form.");
    }
    if (bytes.size() < size) {
        return {FrameStatus::need_more, size, ""};
    }
    if (head.is_masked) {
        std::memcpy(head.key.data(), bytes.data() + size - head.key.size(), head.key.size());
    }
    return {FrameStatus::complete, size, ""};
}

PORTHOLE_FN std::size_t write_frame_head(char* into, const FrameHead& head) noexcept {
    const unsigned first = (head.is_final ? final_bit : 0u) | (head.has_rsv1 ? rsv1_bit : 0u)
                           | static_cast<unsigned>(head.opcode);
    const unsigned mask = head.is_masked ? mask_bit : 0u;
    std::size_t length_size = 0;
    unsigned length = static_cast<unsigned>(head.payload_size & length_bits);
    if (head.payload_size > 0xffff) {
        length_size = 8;
        length = length_in_8;
    } else if (head.payload_size >= length_in_2) {
        length_size = 2;
        length = length_in_2;
    }
    into[0] = static_cast<char>(first);
    into[1] = static_cast<char>(mask | length);
    std::size_t size = 2;
    for (std::size_t i = length_size; i-- > 0;) {
        into[size++] = static_cast<char>((head.payload_size >> (8 * i)) & 0xff);
    }
    if (head.is_masked) {
        std::memcpy(into + size, head.key.data(), head.key.size());
        size += head.key.size();
    }
    return size;
}

PORTHOLE_FN bool
apply_mask(char* bytes, std::size_t size, const MaskKey& key, std::uint64_t offset) noexcept {
    constexpr std::uint64_t high_bits = 0x8080808080808080u;
    constexpr std::size_t count = 4;
    char pattern[sizeof(std::uint64_t)];
    for (std::size_t i = 0; i < sizeof pattern; ++i) {
        pattern[i] = key[static_cast<std::size_t>((offset + i) % key.size())];
    }
    std::uint64_t mask = 0;
    std::memcpy(&mask, pattern, sizeof mask);
    std::uint64_t seen[count] = {};
    std::size_t at = 0;
    for (; size - at >= count * sizeof mask; at += count * sizeof mask) {
        std::uint64_t words[count];
        std::memcpy(words, bytes + at, sizeof words);
        for (std::size_t i = 0; i < count; ++i) {
            words[i] ^= mask;
            seen[i] |= words[i];
        }
        std::memcpy(bytes + at, words, sizeof words);
    }
    std::uint64_t all = (seen[0] | seen[1] | seen[2] | seen[3]) & high_bits;
    for (std::size_t i = 0; at < size; ++at, ++i) {
        const unsigned byte = static_cast<unsigned char>(bytes[at])
                              ^ static_cast<unsigned char>(pattern[i % sizeof pattern]);
        bytes[at] = static_cast<char>(byte);
        all |= byte & 0x80u;
    }
    return all != 0;
}

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/ext/websocket_handshake.inl

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// 16 bytes are 22 digits and two of padding, and the last digit has four bits to spare, which are
/// zero.
inline bool is_websocket_key(std::string_view key) noexcept {
    constexpr std::size_t digits = 22;
    if (key.size() != digits + 2 || key.substr(digits) != "==") {
        return false;
    }
    for (const char c : key.substr(0, digits)) {
        if (!ascii::is_alpha(c) && !ascii::is_digit(c) && c != '+' && c != '/') {
            return false;
        }
    }
    return std::string_view("AQgw").find(key[digits - 1]) != std::string_view::npos;
}

inline bool any_list_has(const Fields& fields, std::string_view name, std::string_view element) {
    for (const std::string_view line : fields.find_all(name)) {
        if (ascii::list_has(line, element)) {
            return true;
        }
    }
    return false;
}

PORTHOLE_FN HandshakeFault check_handshake(const Request& request) {
    constexpr int bad_request = 400;
    constexpr int method_not_allowed = 405;
    constexpr int upgrade_required = 426;
    const Fields& fields = request.fields();
    if (request.method() != Method::get) {
        return {method_not_allowed, "A WebSocket handshake is a GET (RFC 6455 section 4.1)."};
    }
    if (!any_list_has(fields, "Upgrade", "websocket")) {
        return {upgrade_required, "This path speaks WebSocket."};
    }
    if (request.http_version() != "HTTP/1.1" || !any_list_has(fields, "Connection", "upgrade")) {
        return {bad_request, "A WebSocket handshake is HTTP/1.1 with \"Connection: Upgrade\"."};
    }
    const auto versions = fields.find_all("Sec-WebSocket-Version");
    if (versions.size() != 1) {
        return {bad_request, "A WebSocket handshake has one Sec-WebSocket-Version."};
    }
    if (versions[0] != "13") {
        const bool is_number = ascii::parse_decimal(versions[0]).has_value();
        return {
            is_number ? upgrade_required : bad_request,
            "Only version 13 of WebSocket is spoken here."};
    }
    const auto keys = fields.find_all("Sec-WebSocket-Key");
    if (keys.size() != 1 || !is_websocket_key(keys[0])) {
        return {bad_request, "Sec-WebSocket-Key is not the base64 of 16 bytes."};
    }
    if (!has_valid_protocols(fields)) {
        return {bad_request, "Sec-WebSocket-Protocol is not a list of tokens."};
    }
    return {};
}

PORTHOLE_FN std::string websocket_accept_key(std::string_view key) {
    std::string text(key);
    text += "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    const Sha1Digest digest = sha1(text);
    return base64({digest.data(), digest.size()});
}

PORTHOLE_FN bool has_valid_protocols(const Fields& fields) {
    for (std::string_view rest : fields.find_all("Sec-WebSocket-Protocol")) {
        bool has_any = false;
        while (const auto name = ascii::next_list_element(rest)) {
            has_any = true;
            if (!ascii::is_token(*name)) {
                return false;
            }
        }
        if (!has_any) {
            return false;
        }
    }
    return true;
}

PORTHOLE_FN std::string_view
choose_protocol(const Fields& fields, const std::vector<std::string>& ours) {
    const auto lines = fields.find_all("Sec-WebSocket-Protocol");
    for (const std::string& name : ours) {
        for (std::string_view rest : lines) {
            while (const auto offered = ascii::next_list_element(rest)) {
                if (*offered == name) { // unlike most tokens, these have a case
                    return name;
                }
            }
        }
    }
    return {};
}

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/ext/websocket_outbox.inl

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN std::string_view Outbox::front() const noexcept {
    return entries_.front().bytes().substr(sent_);
}

PORTHOLE_FN bool Outbox::has_begun() const noexcept {
    return sent_ != 0;
}

PORTHOLE_FN void Outbox::consume(std::size_t size) {
    sent_ += size;
    bytes_ -= size;
    if (sent_ == entries_.front().bytes().size()) {
        --count_;
        forget_key(first_number_);
        pop();
    }
}

/// The front, and what was dropped behind it.
PORTHOLE_FN void Outbox::pop() {
    sent_ = 0;
    do {
        entries_.pop_front();
        ++first_number_;
    } while (!entries_.empty() && entries_.front().is_dropped);
}

PORTHOLE_FN void Outbox::fill(Entry& entry, const OutFrame& frame) {
    entry.shared = frame.shared;
    entry.owned.clear();
    if (!frame.shared) {
        entry.owned.reserve(frame.size());
        entry.owned.append(frame.head).append(frame.payload);
    }
}

PORTHOLE_FN void Outbox::forget_key(std::uint64_t number) {
    const Entry& entry = entries_[static_cast<std::size_t>(number - first_number_)];
    if (!entry.is_keyed) {
        return;
    }
    const auto place = keys_.find(entry.key);
    if (place != keys_.end() && place->second == number) {
        keys_.erase(place); // else a newer one has the key
    }
}

PORTHOLE_FN void Outbox::push(const OutFrame& frame, const Place& place) {
    if (place.sent >= frame.size()) {
        return;
    }
    Entry& entry = entries_.emplace_back();
    fill(entry, frame);
    bytes_ += frame.size() - place.sent;
    ++count_;
    if (entries_.size() == 1) {
        sent_ = place.sent;
    }
    entry.is_pinned = place.is_pinned || place.sent != 0;
    entry.is_keyed = place.is_keyed && !entry.is_pinned;
    if (entry.is_keyed) {
        entry.key.assign(place.key);
        keys_[entry.key] = first_number_ + entries_.size() - 1;
    }
}

PORTHOLE_FN std::size_t Outbox::find(std::string_view key) const {
    const auto place = keys_.find(std::string(key));
    if (place == keys_.end() || (place->second == first_number_ && has_begun())) {
        return 0;
    }
    return entries_[static_cast<std::size_t>(place->second - first_number_)].bytes().size();
}

PORTHOLE_FN void Outbox::replace(std::string_view key, const OutFrame& frame) {
    const auto place = keys_.find(std::string(key));
    if (place == keys_.end()) {
        return;
    }
    Entry& entry = entries_[static_cast<std::size_t>(place->second - first_number_)];
    bytes_ -= entry.bytes().size();
    fill(entry, frame);
    bytes_ += entry.bytes().size();
}

/// The front may stay for long while all behind it is dropped: what was dropped takes no room.
PORTHOLE_FN void Outbox::move_up_front() {
    while (entries_.size() > 1 && entries_[1].is_dropped) {
        Entry& front = entries_.front();
        const auto place = front.is_keyed ? keys_.find(front.key) : keys_.end();
        if (place != keys_.end() && place->second == first_number_) {
            ++place->second;
        }
        entries_[1] = std::move(front);
        entries_.pop_front();
        ++first_number_;
    }
}

PORTHOLE_FN bool Outbox::drop_oldest() {
    const std::uint64_t first = has_begun() ? first_number_ + 1 : first_number_;
    next_drop_ = next_drop_ < first ? first : next_drop_;
    // What is in front of next_drop_ has been dropped or stays: nobody looks at it twice.
    while (next_drop_ - first_number_ < entries_.size()) {
        const std::uint64_t number = next_drop_++;
        Entry& entry = entries_[static_cast<std::size_t>(number - first_number_)];
        if (entry.is_pinned) {
            continue;
        }
        forget_key(number);
        bytes_ -= entry.bytes().size();
        --count_;
        entry = Entry();
        entry.is_dropped = true;
        if (number == first_number_) {
            pop();
        } else {
            move_up_front();
        }
        return true;
    }
    return false;
}

PORTHOLE_FN void Outbox::clear() noexcept {
    entries_.clear();
    keys_.clear();
    sent_ = bytes_ = count_ = 0;
}

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/ext/websocket_session.inl

// Bytes in. Output and deadlines are in websocket_session_output.inl. Every call of events_ may end
// the session, so what follows one looks at the phase first.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN WebSocketSession::WebSocketSession(
    WebSocketRole role, const SessionOptions& options, SessionEvents& events)
    : events_(events), options_(options), role_(role) {}

PORTHOLE_FN void WebSocketSession::on_open(UpgradeLink& link) {
    link_ = &link;
    phase_ = Phase::open;
    received_at_ = link.now();
    arm();
}

PORTHOLE_FN void WebSocketSession::on_data(char* bytes, std::size_t size) {
    if (!is_receiving()) {
        return;
    }
    received_at_ = link_->now();
    is_ping_out_ = false;
    if (!held_.empty() || is_user_paused_ || is_in_receive_) {
        hold({bytes, size}); // in order, behind what came before
        return;
    }
    messages_left_ = max_messages_per_turn;
    expansion_left_ = max_expanded_per_turn;
    receive(bytes, size);
}

PORTHOLE_FN void WebSocketSession::hold(std::string_view rest) {
    held_.append(rest);
    update_reading();
}

/// What has been held is looked at, in a turn of its own.
PORTHOLE_FN void WebSocketSession::resume() {
    is_resume_due_ = false;
    if (!is_receiving() || is_user_paused_ || is_in_receive_) {
        return;
    }
    if (!held_.empty()) {
        messages_left_ = max_messages_per_turn;
        expansion_left_ = max_expanded_per_turn;
        std::string bytes = std::move(held_); // so that what is held anew has a place
        held_.clear();
        receive(bytes.data(), bytes.size());
        if (held_.empty() && is_receiving()) {
            bytes.clear();
            held_ = std::move(bytes); // keeps the memory
            note_memory(held_.capacity());
        }
    }
    if (is_receiving() && has_ended_ && held_.empty()) {
        on_end();
    }
}

/// The link is told when reading is to stop or go on.
PORTHOLE_FN void WebSocketSession::update_reading() {
    if (!is_receiving()) {
        return;
    }
    const bool has_held = !held_.empty();
    if (has_held && !is_user_paused_ && !is_resume_due_) {
        is_resume_due_ = true;
        link_->wake();
    }
    const bool is_paused = is_user_paused_ || has_held;
    if (is_paused != is_reading_paused_) {
        is_reading_paused_ = is_paused;
        link_->pause_reading(is_paused);
    }
}

PORTHOLE_FN void WebSocketSession::pause_reading(bool is_paused) {
    if (is_paused == is_user_paused_ || (is_paused && phase_ != Phase::open)) {
        return; // once it closes, the peer's answer has to come in
    }
    is_user_paused_ = is_paused;
    if (!is_paused && is_receiving()) {
        received_at_ = link_->now(); // nothing could come meanwhile
        is_ping_out_ = false;
    }
    if (!is_in_receive_) {
        update_reading();
    }
}

PORTHOLE_FN void WebSocketSession::receive(char* bytes, std::size_t size) {
    is_in_receive_ = true;
    std::size_t at = 0;
    while (at < size && is_receiving() && !is_user_paused_ && messages_left_ != 0
           && expansion_left_ != 0) {
        if (!has_head_) {
            at += take_head({bytes + at, size - at});
        } else {
            at += take_payload(bytes + at, size - at);
        }
        if (has_head_ && is_receiving() && head_.payload_size == 0) {
            take_payload(nullptr, 0); // what has no payload ends with its head
        }
    }
    is_in_receive_ = false;
    if (!is_receiving()) {
        return;
    }
    if (at < size) {
        held_.assign(bytes + at, size - at);
    }
    update_reading();
    flush(); // an answer to a ping may be waiting for the end of a message
}

/// Returns how many bytes belong to the head.
PORTHOLE_FN std::size_t WebSocketSession::take_head(std::string_view bytes) {
    FrameReading reading;
    std::size_t taken = 0;
    if (head_size_ == 0) {
        reading = read_frame_head(bytes, head_);
        taken = reading.size;
    }
    if (reading.status == FrameStatus::need_more) { // it comes in pieces
        taken = 0;
        reading = read_frame_head({head_bytes_, head_size_}, head_);
        while (reading.status == FrameStatus::need_more) {
            if (taken == bytes.size()) {
                return taken;
            }
            const std::size_t wanted = reading.size - head_size_;
            const std::size_t here = (std::min)(wanted, bytes.size() - taken);
            std::copy_n(bytes.data() + taken, here, head_bytes_ + head_size_);
            head_size_ = static_cast<unsigned char>(head_size_ + here);
            taken += here;
            reading = read_frame_head({head_bytes_, head_size_}, head_);
        }
    }
    head_size_ = 0;
    if (reading.status == FrameStatus::failed) {
        fail(close_code::protocol_violation, reading.fault);
        return bytes.size();
    }
    has_head_ = check_head();
    taken_ = 0;
    return taken;
}

/// What a head may say here and now. False when it has failed the connection.
PORTHOLE_FN bool WebSocketSession::check_head() {
    const auto failed = [this](int code, const char* sentence) {
        fail(code, sentence);
        return false;
    };
    if (head_.is_masked != (role_ == WebSocketRole::server)) { // RFC 6455 section 5.1
        return failed(
            close_code::protocol_violation, head_.is_masked
                                                ? "A frame of the server is masked."
                                                : "A frame of the client is not masked.");
    }
    const bool begins = head_.opcode == Opcode::text || head_.opcode == Opcode::binary;
    if (head_.has_rsv1 && (!begins || !codec_)) { // RFC 7692 section 6
        return failed(close_code::protocol_violation, "A reserved bit is set.");
    }
    if (is_control(head_.opcode)) {
        return true;
    }
    if (begins == in_message_) { // RFC 6455 section 5.4
        return failed(
            close_code::protocol_violation,
            begins ? "A message begins within another." : "There is no message to continue.");
    }
    if (begins) {
        in_message_ = true;
        is_text_ = head_.opcode == Opcode::text;
        is_compressed_ = head_.has_rsv1;
        frames_ = 0;
        utf8_.reset();
        message_.clear();
    }
    if (phase_ == Phase::closing) {
        return true; // what is not delivered is not limited either: none of it is kept
    }
    if (++frames_ > options_.max_frames) {
        return failed(close_code::policy_violation, "A message has too many frames.");
    }
    const std::size_t room = options_.max_message_bytes - message_.size();
    if (!is_compressed_ && head_.payload_size > room) {
        return failed(close_code::too_large, "A message is too large.");
    }
    return true;
}

PORTHOLE_FN std::size_t WebSocketSession::take_payload(char* bytes, std::size_t size) {
    const std::uint64_t left = head_.payload_size - taken_;
    const std::size_t here = left < size ? static_cast<std::size_t>(left) : size;
    if (is_control(head_.opcode)) {
        return take_control(bytes, here);
    }
    const bool is_whole = taken_ == 0 && here == left && head_.is_final && frames_ == 1
                          && !is_compressed_ && phase_ == Phase::open;
    return is_whole ? take_whole(bytes) : take_piece(bytes, here);
}

/// The case that counts: a message in one frame, all of it here. Nothing is copied.
PORTHOLE_FN std::size_t WebSocketSession::take_whole(char* bytes) {
    const auto size = static_cast<std::size_t>(head_.payload_size);
    const bool has_high_bytes =
        role_ == WebSocketRole::client || apply_mask(bytes, size, head_.key, 0);
    const std::string_view data = size == 0 ? std::string_view() : std::string_view(bytes, size);
    if (check_text(data, has_high_bytes, true)) {
        has_head_ = in_message_ = false;
        deliver(data);
    }
    return size;
}

PORTHOLE_FN std::size_t WebSocketSession::take_control(char* bytes, std::size_t size) {
    if (head_.is_masked) {
        apply_mask(bytes, size, head_.key, taken_);
    }
    taken_ += size;
    const bool is_whole = size == head_.payload_size;
    if (!is_whole) {
        control_.append(bytes, size);
    }
    if (taken_ == head_.payload_size) {
        has_head_ = false;
        const std::string_view whole =
            is_whole && size != 0 ? std::string_view(bytes, size) : std::string_view(control_);
        handle_control(head_.opcode, whole);
        control_.clear();
    }
    return size;
}

/// A piece of a message that has to be collected.
PORTHOLE_FN std::size_t WebSocketSession::take_piece(char* bytes, std::size_t size) {
    std::size_t here = size;
    if (is_compressed_ && phase_ == Phase::open) {
        here = (std::min)(size, expand_slice);
    }
    const bool has_high_bytes = !head_.is_masked || apply_mask(bytes, here, head_.key, taken_);
    taken_ += here;
    const bool is_frame_end = taken_ == head_.payload_size;
    if (phase_ == Phase::open
        && !add_piece({here == 0 ? "" : bytes, here}, has_high_bytes, is_frame_end)) {
        return size;
    }
    if (is_frame_end) {
        end_frame();
    }
    return here;
}

/// False when it has failed the connection.
PORTHOLE_FN bool
WebSocketSession::add_piece(std::string_view piece, bool has_high_bytes, bool is_frame_end) {
    const bool is_message_end = is_frame_end && head_.is_final;
    if (is_compressed_) {
        return expand_piece(piece, is_message_end);
    }
    if (!check_text(piece, has_high_bytes, is_message_end)) {
        return false;
    }
    if (message_.empty() && head_.is_final) {
        // Once, instead of growing again and again; pages that never come cost nothing.
        constexpr std::uint64_t most = 16 * 1024 * 1024;
        message_.reserve(static_cast<std::size_t>((std::min)(head_.payload_size, most)));
    }
    message_.append(piece);
    return true;
}

PORTHOLE_FN bool WebSocketSession::expand_piece(std::string_view piece, bool is_last) {
    const std::size_t before = message_.size();
    switch (codec_->expand(piece, is_last, options_.max_message_bytes, message_)) {
    case InflateStatus::ok: break;
    case InflateStatus::too_large:
        fail(close_code::too_large, "A message is too large once it is expanded.");
        return false;
    case InflateStatus::corrupt:
        fail(close_code::invalid_data, "A compressed message cannot be expanded.");
        return false;
    case InflateStatus::no_memory:
        fail(close_code::internal_failure, "There is no memory to expand a message.");
        return false;
    }
    const std::size_t grown = message_.size() - before;
    expansion_left_ -= (std::min)(expansion_left_, grown);
    return check_text(std::string_view(message_).substr(before), true, is_last);
}

/// RFC 6455 section 8.1, at the first byte that no text can have.
PORTHOLE_FN bool
WebSocketSession::check_text(std::string_view piece, bool has_high_bytes, bool is_message_end) {
    if (!is_text_) {
        return true;
    }
    const bool is_ascii = !has_high_bytes && utf8_.is_complete();
    const bool is_valid = is_ascii || utf8_.feed(piece);
    if (!is_valid || (is_message_end && !utf8_.is_complete())) {
        fail(close_code::invalid_data, "A text message is not UTF-8.");
        return false;
    }
    return true;
}

PORTHOLE_FN void WebSocketSession::end_frame() {
    has_head_ = false;
    if (!head_.is_final) {
        return;
    }
    in_message_ = false;
    if (phase_ != Phase::open) {
        return;
    }
    // In a string of its own: what it calls may end the session's use of message_.
    std::string whole = std::move(message_);
    message_.clear();
    deliver(whole);
    if (is_receiving()) {
        whole.clear();
        message_ = std::move(whole);
        note_memory(message_.capacity());
    }
}

PORTHOLE_FN void WebSocketSession::deliver(std::string_view data) {
    --messages_left_;
    const Message message{data, is_text_};
    events_.handle_message(message);
}

PORTHOLE_FN void WebSocketSession::handle_control(Opcode opcode, std::string_view payload) {
    switch (opcode) {
    case Opcode::ping:
        --messages_left_;
        if (phase_ == Phase::open) {
            send_control(Opcode::pong, payload);
        }
        break;
    case Opcode::pong:
        --messages_left_;
        if (phase_ == Phase::open) {
            events_.handle_pong(payload);
        }
        break;
    case Opcode::close: handle_close(payload); break;
    case Opcode::continuation:
    case Opcode::text:
    case Opcode::binary: break;
    }
}

/// RFC 6455 section 5.5.1: answered by the same code, unless ours was first.
PORTHOLE_FN void WebSocketSession::handle_close(std::string_view payload) {
    constexpr std::size_t code_size = 2;
    if (payload.size() == 1) {
        fail(close_code::protocol_violation, "A Close frame has half a code.");
        return;
    }
    int code = close_code::no_code;
    std::string_view reason;
    if (!payload.empty()) {
        code =
            static_cast<unsigned char>(payload[0]) * 256 + static_cast<unsigned char>(payload[1]);
        reason = payload.substr(code_size);
        if (!is_sendable_close_code(code)) {
            fail(close_code::protocol_violation, "A Close frame has a code that is never sent.");
            return;
        }
        if (!is_utf8(reason)) {
            fail(close_code::invalid_data, "The reason in a Close frame is not UTF-8.");
            return;
        }
    }
    end_with(code, reason);
    if (phase_ == Phase::open) {
        send_close_frame(code, {});
    }
    finish();
}

/// The peer sends no more, and has not said that it would not.
PORTHOLE_FN void WebSocketSession::on_end() {
    has_ended_ = true;
    if (!is_receiving() || !held_.empty()) {
        return;
    }
    finish();
}

PORTHOLE_FN void WebSocketSession::on_close() noexcept {
    phase_ = Phase::closed;
    link_ = nullptr;
    if (!is_in_receive_) { // a message may be looked at still
        std::string().swap(message_);
        std::string().swap(held_);
    }
    outbox_.reset();
    codec_ = is_in_receive_ ? std::move(codec_) : nullptr;
}

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/ext/websocket_session_output.inl

// Bytes out, and time. Small messages go straight to the link; what it does not take waits in the
// outbox, whose cost is bounded. Control frames overtake messages, and cost a fixed amount: of the
// pongs that wait only the last one is kept (RFC 6455 section 5.5.3).

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN std::size_t WebSocketSession::buffered_bytes() const noexcept {
    const std::size_t linked = link_ != nullptr ? link_->queued_bytes() : 0;
    return linked + (outbox_ ? outbox_->bytes() : 0);
}

PORTHOLE_FN bool WebSocketSession::may_hand_over() const noexcept {
    return link_ != nullptr && link_->queued_bytes() < link_mark;
}

PORTHOLE_FN bool WebSocketSession::is_keyed(std::string_view key) const noexcept {
    return !key.empty() || options_.policy == WebSocketPolicy::coalesce;
}

PORTHOLE_FN bool WebSocketSession::send(const Message& message, std::string_view key) {
    PORTHOLE_ASSERT(!message.is_text || is_utf8(message.data), "a text message has to be UTF-8");
    if (phase_ != Phase::open) {
        return false;
    }
    FrameHead head;
    head.opcode = message.is_text ? Opcode::text : Opcode::binary;
    char bytes[max_frame_head_size];
    OutFrame frame;
    frame.payload = message.data;
    if (role_ == WebSocketRole::server) {
        head.payload_size = message.data.size();
        frame.head = {bytes, write_frame_head(bytes, head)};
        if (replace_waiting(frame, key)) {
            return true;
        }
    }
    if (!make_room(message.data.size())) {
        return false;
    }
    // What a later message depends on must not be dropped, so who may be dropped is not compressed.
    const bool stays = !is_keyed(key) && options_.policy != WebSocketPolicy::drop_oldest;
    const bool is_direct = is_queue_empty() && may_hand_over();
    scratch_.clear();
    head.has_rsv1 = codec_ && (stays || is_direct) && codec_->compress(message.data, scratch_);
    if (head.has_rsv1) {
        frame.payload = scratch_;
    }
    if (role_ == WebSocketRole::client) {
        if (!head.has_rsv1) {
            scratch_.assign(message.data);
        }
        head.is_masked = true;
        head.key = next_key();
        apply_mask(scratch_.data(), scratch_.size(), head.key, 0);
        frame.payload = scratch_;
    }
    head.payload_size = frame.payload.size();
    frame.head = {bytes, write_frame_head(bytes, head)};
    put(frame, key, head.has_rsv1 || role_ == WebSocketRole::client);
    note_memory(scratch_.capacity());
    return link_ != nullptr;
}

PORTHOLE_FN bool WebSocketSession::send_frame(
    const std::shared_ptr<const std::string>& frame, std::string_view key) {
    PORTHOLE_ASSERT(frame && role_ == WebSocketRole::server, "only servers send unmasked frames");
    if (phase_ != Phase::open || !frame || role_ != WebSocketRole::server) {
        return false;
    }
    OutFrame out;
    out.shared = frame;
    if (replace_waiting(out, key)) {
        return true;
    }
    if (!make_room(out.size())) {
        return false;
    }
    put(out, key, false);
    return link_ != nullptr;
}

/// True when a waiting message with that key has been replaced.
PORTHOLE_FN bool WebSocketSession::replace_waiting(const OutFrame& frame, std::string_view key) {
    if (!is_keyed(key) || is_queue_empty()) {
        return false;
    }
    const std::size_t old_size = outbox_->find(key);
    const std::size_t cost = outbox_->cost() + link_->queued_bytes() - old_size;
    if (old_size == 0 || cost > options_.max_queue_bytes
        || frame.size() > options_.max_queue_bytes - cost) {
        return false;
    }
    outbox_->replace(key, frame);
    return true;
}

/// False when the message is not to be sent.
PORTHOLE_FN bool WebSocketSession::make_room(std::size_t size) {
    const auto fits = [this, size] {
        const std::size_t cost = link_->queued_bytes() + (outbox_ ? outbox_->cost() : 0);
        return cost <= options_.max_queue_bytes && size <= options_.max_queue_bytes - cost;
    };
    if (fits()) {
        return true;
    }
    was_short_ = true;
    switch (options_.policy) {
    case WebSocketPolicy::refuse:
    case WebSocketPolicy::coalesce: return false;
    case WebSocketPolicy::drop_oldest:
        while (size <= options_.max_queue_bytes && outbox_ && outbox_->drop_oldest()) {
            if (fits()) {
                return true;
            }
        }
        return false;
    case WebSocketPolicy::close:
        fail(close_code::policy_violation, "The client reads too slowly.");
        return false;
    }
    return false;
}

PORTHOLE_FN void
WebSocketSession::put(const OutFrame& frame, std::string_view key, bool is_pinned) {
    const std::size_t sent = is_queue_empty() ? hand_over(frame) : 0;
    if (link_ == nullptr || sent == frame.size()) {
        return;
    }
    was_short_ = true;
    if (!outbox_) {
        outbox_ = std::make_unique<Outbox>();
        note_memory(kept_bytes + 1);
    }
    Outbox::Place place;
    place.sent = sent;
    place.is_pinned = is_pinned;
    place.is_keyed = is_keyed(key);
    place.key = key;
    outbox_->push(frame, place);
}

/// Returns how many bytes the link has taken. It may end the session.
PORTHOLE_FN std::size_t WebSocketSession::hand_over(const OutFrame& frame) {
    if (frame.shared) {
        return hand_over(*frame.shared);
    }
    const std::size_t given = hand_over(frame.head);
    return given < frame.head.size() ? given : given + hand_over(frame.payload);
}

PORTHOLE_FN std::size_t WebSocketSession::hand_over(std::string_view bytes) {
    std::size_t given = 0;
    while (given < bytes.size() && may_hand_over()) {
        std::size_t here = (std::min)(bytes.size() - given, link_slice);
        while (here != 0 && link_ != nullptr && !link_->send(bytes.substr(given, here))) {
            here /= 2; // its own bound may be lower than ours
        }
        if (here == 0) {
            break;
        }
        given += here;
    }
    return given;
}

/// Hands over what waits, as far as the link takes it.
PORTHOLE_FN void WebSocketSession::flush() {
    for (;;) {
        const bool is_between = is_queue_empty() || !outbox_->has_begun();
        if (is_between && has_pong_ && may_hand_over()) {
            has_pong_ = false;
            write_control(Opcode::pong, pong_);
        }
        if (is_queue_empty() || !may_hand_over()) {
            break;
        }
        const std::size_t given = hand_over(outbox_->front());
        if (link_ == nullptr || given == 0) {
            return;
        }
        outbox_->consume(given);
    }
    if (link_ == nullptr || !is_queue_empty()) {
        return;
    }
    if (has_close_ && may_hand_over()) {
        has_close_ = false;
        write_control(Opcode::close, close_frame_);
    }
    if (phase_ == Phase::done && !has_close_ && link_ != nullptr
        && !std::exchange(has_closed_link_, true)) {
        link_->close();
    }
}

PORTHOLE_FN void WebSocketSession::send_control(Opcode opcode, std::string_view payload) {
    const bool is_between = is_queue_empty() || !outbox_->has_begun();
    if (is_between && may_hand_over()) {
        has_pong_ = has_pong_ && opcode != Opcode::pong;
        write_control(opcode, payload);
    } else if (opcode == Opcode::pong) {
        keep_pong(payload);
    }
}

PORTHOLE_FN void WebSocketSession::keep_pong(std::string_view payload) {
    has_pong_ = true;
    if (payload.data() != pong_.data()) {
        pong_.assign(payload);
    }
}

PORTHOLE_FN void WebSocketSession::write_control(Opcode opcode, std::string_view payload) {
    FrameHead head;
    head.opcode = opcode;
    head.payload_size = payload.size();
    head.is_masked = role_ == WebSocketRole::client;
    if (head.is_masked) {
        head.key = next_key();
    }
    char bytes[max_frame_head_size + max_control_payload];
    const std::size_t head_size = write_frame_head(bytes, head);
    std::copy(payload.begin(), payload.end(), bytes + head_size);
    if (head.is_masked) {
        apply_mask(bytes + head_size, payload.size(), head.key, 0);
    }
    // No frame may be cut: these two wait until there is room for the whole of them.
    if (!link_->send({bytes, head_size + payload.size()}) && link_ != nullptr) {
        if (opcode == Opcode::close) {
            has_close_ = true;
        } else if (opcode == Opcode::pong) {
            keep_pong(payload);
        }
    }
}

PORTHOLE_FN bool WebSocketSession::ping(std::string_view payload) {
    PORTHOLE_ASSERT(payload.size() <= max_control_payload, "a ping has at most 125 bytes");
    if (phase_ != Phase::open || payload.size() > max_control_payload) {
        return false;
    }
    const bool is_between = is_queue_empty() || !outbox_->has_begun();
    if (!is_between || !may_hand_over()) {
        return false;
    }
    write_control(Opcode::ping, payload);
    return link_ != nullptr;
}

PORTHOLE_FN void WebSocketSession::close(int code, std::string_view reason) {
    if (phase_ != Phase::open) {
        return;
    }
    const bool is_sendable = is_sendable_close_code(code) || code == close_code::no_code;
    PORTHOLE_ASSERT(is_sendable, "a close code is 1000 to 1014 as registered, or 3000 to 4999");
    phase_ = Phase::closing;
    close_deadline_ = link_->now() + options_.close_timeout;
    arm();
    send_close_frame(is_sendable ? code : close_code::normal, reason);
    if (link_ != nullptr) {
        pause_reading(false); // else the answer would never be seen
    }
}

PORTHOLE_FN void WebSocketSession::send_close_frame(int code, std::string_view reason) {
    constexpr std::size_t max_reason = max_control_payload - 2;
    close_frame_.clear();
    if (code != close_code::no_code) {
        close_frame_ += static_cast<char>(code >> 8);
        close_frame_ += static_cast<char>(code & 0xff);
        std::size_t size = (std::min)(reason.size(), max_reason);
        while (size < reason.size() && (static_cast<unsigned char>(reason[size]) & 0xc0u) == 0x80) {
            --size; // not within a character
        }
        reason = reason.substr(0, size);
        close_frame_ += is_utf8(reason) ? reason : std::string_view();
    }
    has_close_ = true;
    flush();
}

PORTHOLE_FN void WebSocketSession::fail(int code, std::string_view sentence) {
    if (!is_receiving()) {
        return;
    }
    end_with(code, sentence);
    const bool is_first = phase_ == Phase::open;
    phase_ = Phase::closing;
    if (is_first) {
        send_close_frame(code, sentence);
    }
    finish();
}

PORTHOLE_FN void WebSocketSession::end_with(int code, std::string_view reason) {
    end_code_ = code;
    end_reason_.assign(reason);
}

/// Nothing more is received; what is queued may still leave for a while.
PORTHOLE_FN void WebSocketSession::finish() {
    if (link_ == nullptr) {
        return;
    }
    phase_ = Phase::done;
    close_deadline_ = link_->now() + options_.close_timeout;
    arm();
    flush();
}

PORTHOLE_FN void WebSocketSession::abort() {
    if (link_ != nullptr && phase_ != Phase::aborted) {
        phase_ = Phase::aborted;
        link_->wake();
    }
}

PORTHOLE_FN void WebSocketSession::wake() {
    if (link_ != nullptr) {
        owner_wants_wake_ = true;
        link_->wake();
    }
}

PORTHOLE_FN void WebSocketSession::on_wake() {
    if (phase_ == Phase::aborted) {
        link_->abort();
        return;
    }
    if (is_resume_due_) {
        resume();
    }
    if (link_ != nullptr && std::exchange(owner_wants_wake_, false)) {
        events_.handle_wake();
    }
}

PORTHOLE_FN void WebSocketSession::on_drain() {
    flush();
    const bool has_drained = phase_ == Phase::open && was_short_ && buffered_bytes() == 0;
    if (has_drained) {
        was_short_ = false;
        events_.handle_drain();
    }
}

PORTHOLE_FN TimePoint WebSocketSession::next_deadline() const noexcept {
    switch (phase_) {
    case Phase::open: break;
    case Phase::closing:
    case Phase::done: return close_deadline_;
    case Phase::idle:
    case Phase::aborted:
    case Phase::closed: return never;
    }
    TimePoint next = release_at_;
    if (options_.ping_interval > Duration::zero()) {
        next =
            (std::min)(next, is_ping_out_ ? ping_deadline_ : received_at_ + options_.ping_interval);
    }
    return next;
}

/// One that is armed too early costs a call; to move it with each message would cost more.
PORTHOLE_FN void WebSocketSession::arm() {
    const TimePoint next = next_deadline();
    if (link_ != nullptr && next < armed_) {
        armed_ = next;
        link_->set_deadline(next);
    }
}

PORTHOLE_FN void WebSocketSession::on_deadline() {
    const TimePoint now = link_->now();
    armed_ = never;
    if (phase_ != Phase::open) {
        if (now >= close_deadline_) {
            link_->abort();
            return;
        }
    } else {
        if (now >= release_at_) {
            const TimePoint idle_at = received_at_ + keep_time;
            release_at_ = now < idle_at ? idle_at : never;
            if (release_at_ == never) {
                release_memory();
            }
        }
        check_silence(now);
    }
    arm();
}

/// RFC 6455 section 5.5.2: whether the peer is still there. Whatever it sends is an answer.
PORTHOLE_FN void WebSocketSession::check_silence(TimePoint now) {
    if (options_.ping_interval <= Duration::zero()) {
        return;
    }
    if (is_reading_paused_ || buffered_bytes() != 0) {
        received_at_ = now; // it cannot answer; that it takes nothing has a deadline of its own
        is_ping_out_ = false;
    } else if (is_ping_out_ && now >= ping_deadline_) {
        end_with(close_code::dropped, "The client did not answer a ping.");
        abort();
    } else if (!is_ping_out_ && now >= received_at_ + options_.ping_interval) {
        is_ping_out_ = true;
        ping_deadline_ = now + options_.pong_timeout;
        write_control(Opcode::ping, {});
    }
}

/// Memory that has been used is given back when it has not been for a while.
PORTHOLE_FN void WebSocketSession::note_memory(std::size_t capacity) {
    if (capacity > kept_bytes && release_at_ == never && link_ != nullptr) {
        release_at_ = link_->now() + keep_time;
        arm();
    }
}

PORTHOLE_FN void WebSocketSession::release_memory() {
    if (!in_message_) {
        std::string().swap(message_);
    }
    if (held_.empty()) {
        std::string().swap(held_);
    }
    std::string().swap(scratch_);
    if (is_queue_empty()) {
        outbox_.reset();
    } else {
        note_memory(kept_bytes + 1);
    }
}

/// RFC 6455 section 5.3: keys that nobody can predict.
PORTHOLE_FN MaskKey WebSocketSession::next_key() {
    constexpr std::size_t pool = 256;
    MaskKey key{};
    if (keys_.size() < key.size()) {
        keys_.assign(pool, '\0');
        if (!fill_random(keys_.data(), keys_.size())) {
            abort();
        }
    }
    std::copy_n(keys_.end() - static_cast<std::ptrdiff_t>(key.size()), key.size(), key.begin());
    keys_.resize(keys_.size() - key.size());
    return key;
}

} // namespace detail

PORTHOLE_NAMESPACE_END

// porthole/ext/websocket_client.inl

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// The connection under the session, and the handshake ahead of it.
class WebSocketClientCore final : private UpgradeLink, private SessionEvents {
public:
    WebSocketClientCore(
        WebSocketClient& client, std::unique_ptr<Transport> transport,
        WebSocketClientOptions options);

    bool pump();
    WebSocketSession& session() noexcept { return session_; }
    const WebSocketSession& session() const noexcept { return session_; }
    bool send_raw(std::string_view bytes) { return !is_closed && out_.append(bytes); }
    Transport* transport() noexcept { return transport_.get(); }

    std::string protocol;
    int status = 0;
    bool is_compressed = false;
    bool is_closed = false;

private:
    // UpgradeLink
    bool send(std::string_view bytes) override { return send_raw(bytes); }
    std::size_t queued_bytes() const noexcept override { return out_.size(); }
    void pause_reading(bool is_paused) override { is_paused_ = is_paused; }
    void close() override { must_close_ = true; }
    void abort() override { must_abort_ = true; }
    void set_deadline(TimePoint deadline) override { deadline_ = deadline; }
    void wake() override { wants_wake_ = true; }
    TimePoint now() const noexcept override { return clock_->now(); }
    std::string_view peer() const noexcept override { return "server"; }

    // SessionEvents
    void handle_message(const Message& message) override {
        if (client_.on_message) {
            client_.on_message(message);
        }
    }
    void handle_pong(std::string_view payload) override {
        if (client_.on_pong) {
            client_.on_pong(payload);
        }
    }
    void handle_drain() override {}
    void handle_wake() override {}

    void write_request();
    bool write_some();
    bool read_some();
    void take_answer(std::string_view bytes);
    bool accepts(const ResponseHead& head);
    void end();

    static constexpr std::size_t piece_bytes = 64 * 1024;
    static constexpr std::size_t max_answer_bytes = 16 * 1024;

    WebSocketClient& client_;
    std::unique_ptr<Transport> transport_;
    const WebSocketClientOptions options_;
    SystemClock system_clock_;
    Clock* clock_;
    Buffer out_;
    WebSocketSession session_;
    std::string answer_; ///< what has come of it
    std::string key_;
    std::unique_ptr<char[]> piece_ = std::make_unique<char[]>(piece_bytes);
    TimePoint deadline_ = never;
    bool is_upgraded_ = false;
    bool is_paused_ = false;
    bool must_close_ = false;
    bool must_abort_ = false;
    bool wants_wake_ = false;
    bool has_ended_ = false;
};

PORTHOLE_FN WebSocketClientCore::WebSocketClientCore(
    WebSocketClient& client, std::unique_ptr<Transport> transport, WebSocketClientOptions options)
    : client_(client), transport_(std::move(transport)), options_(std::move(options)),
      clock_(options_.clock != nullptr ? options_.clock : &system_clock_),
      out_(std::size_t{4} * 1024 * 1024), session_(WebSocketRole::client, options_.session, *this) {
    write_request();
}

PORTHOLE_FN void WebSocketClientCore::write_request() {
    char nonce[16];
    is_closed = !fill_random(nonce, sizeof nonce);
    key_ = base64({nonce, sizeof nonce});
    std::string request = "GET " + options_.target + " HTTP/1.1\r\nHost: " + options_.host
                          + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
                          + key_ + "\r\n";
    if (!options_.origin.empty()) {
        request += "Origin: " + options_.origin + "\r\n";
    }
    for (std::size_t i = 0; i < options_.protocols.size(); ++i) {
        request += (i == 0 ? "Sec-WebSocket-Protocol: " : ", ") + options_.protocols[i];
    }
    request += options_.protocols.empty() ? "" : "\r\n";
    if (options_.has_compression && can_deflate()) {
        request += "Sec-WebSocket-Extensions: " + write_deflate_offer({}) + "\r\n";
    }
    request += options_.more_fields + "\r\n";
    is_closed = !out_.append(request) || is_closed;
}

PORTHOLE_FN bool WebSocketClientCore::pump() {
    if (is_closed) {
        return false;
    }
    bool has_moved = false;
    if (clock_->now() >= deadline_) {
        deadline_ = never;
        session_.on_deadline();
        has_moved = true;
    }
    if (std::exchange(wants_wake_, false)) {
        session_.on_wake();
        has_moved = true;
    }
    has_moved = read_some() || has_moved;
    has_moved = write_some() || has_moved;
    if (must_abort_ || (must_close_ && out_.is_empty())) {
        end();
    }
    return has_moved;
}

PORTHOLE_FN bool WebSocketClientCore::write_some() {
    if (out_.is_empty()) {
        return false;
    }
    const std::string_view bytes = out_.view();
    const IoResult result = transport_->write(&bytes, 1);
    if (result.status == IoStatus::would_block) {
        return false;
    }
    if (result.status != IoStatus::ok) {
        must_abort_ = true;
        return true;
    }
    out_.consume(result.bytes);
    if (out_.is_empty() && is_upgraded_) {
        session_.on_drain();
    }
    return true;
}

PORTHOLE_FN bool WebSocketClientCore::read_some() {
    if (is_paused_ || has_ended_) {
        return false;
    }
    const IoResult result = transport_->read(piece_.get(), piece_bytes);
    if (result.status == IoStatus::would_block) {
        return false;
    }
    if (result.status != IoStatus::ok) {
        has_ended_ = true;
        if (is_upgraded_ && result.status == IoStatus::end) {
            session_.on_end();
        } else {
            must_abort_ = true;
        }
    } else if (is_upgraded_) {
        session_.on_data(piece_.get(), result.bytes);
    } else {
        take_answer({piece_.get(), result.bytes});
    }
    return true;
}

PORTHOLE_FN void WebSocketClientCore::take_answer(std::string_view bytes) {
    answer_.append(bytes);
    Limits limits;
    limits.max_fields_bytes = max_answer_bytes;
    ResponseParser parser(limits);
    const ParseStatus state = parser.parse(answer_);
    if (state == ParseStatus::need_more) {
        return;
    }
    status = state == ParseStatus::complete ? parser.head().status : 0;
    if (state != ParseStatus::complete || !accepts(parser.head())) {
        must_abort_ = true;
        return;
    }
    is_upgraded_ = true;
    std::string rest = answer_.substr(parser.head_size());
    answer_.clear();
    session_.on_open(*this);
    if (client_.on_open) {
        client_.on_open();
    }
    if (!rest.empty()) {
        session_.on_data(rest.data(), rest.size());
    }
}

/// RFC 6455 section 4.1, the second half.
PORTHOLE_FN bool WebSocketClientCore::accepts(const ResponseHead& head) {
    constexpr int switching_protocols = 101;
    const Fields& fields = head.fields;
    const auto accept = fields.find("Sec-WebSocket-Accept");
    const auto upgrade = fields.find("Upgrade");
    const auto connection = fields.find("Connection");
    if (head.status != switching_protocols || !upgrade || !connection || !accept
        || !ascii::equals_ignoring_case(*upgrade, "websocket")
        || !ascii::list_has(*connection, "upgrade") || *accept != websocket_accept_key(key_)) {
        return false;
    }
    if (const auto chosen = fields.find("Sec-WebSocket-Protocol")) {
        bool is_offered = false;
        for (const std::string& name : options_.protocols) {
            is_offered = is_offered || name == *chosen;
        }
        if (!is_offered) {
            return false;
        }
        protocol.assign(*chosen);
    }
    if (!options_.has_compression || !can_deflate()) {
        return !fields.find("Sec-WebSocket-Extensions");
    }
    const DeflateAnswer answer = read_deflate_answer(fields, {});
    if (!answer.is_refused && answer.agreed) {
        session_.set_codec(make_client_codec(*answer.agreed));
        is_compressed = true;
    }
    return !answer.is_refused;
}

PORTHOLE_FN void WebSocketClientCore::end() {
    is_closed = true;
    transport_->shut_write();
    session_.on_close();
    if (client_.on_close) {
        client_.on_close(session_.end_code(), session_.end_reason());
    }
}

} // namespace detail

PORTHOLE_FN WebSocketClient::WebSocketClient(
    std::unique_ptr<Transport> transport, WebSocketClientOptions options)
    : core_(std::make_unique<detail::WebSocketClientCore>(
        *this, std::move(transport), std::move(options))) {}

PORTHOLE_FN WebSocketClient::~WebSocketClient() = default;

PORTHOLE_FN bool WebSocketClient::pump() {
    return core_->pump();
}

PORTHOLE_FN bool WebSocketClient::send(const Message& message) {
    return core_->session().send(message);
}

PORTHOLE_FN bool WebSocketClient::ping(std::string_view payload) {
    return core_->session().ping(payload);
}

PORTHOLE_FN void WebSocketClient::close(int code, std::string_view reason) {
    core_->session().close(code, reason);
}

PORTHOLE_FN void WebSocketClient::abort() {
    core_->session().abort();
}

PORTHOLE_FN bool WebSocketClient::send_raw(std::string_view bytes) {
    return core_->send_raw(bytes);
}

PORTHOLE_FN void WebSocketClient::pause_reading(bool is_paused) {
    core_->session().pause_reading(is_paused);
}

PORTHOLE_FN bool WebSocketClient::is_open() const noexcept {
    return core_->session().is_open();
}

PORTHOLE_FN bool WebSocketClient::is_closed() const noexcept {
    return core_->is_closed;
}

PORTHOLE_FN int WebSocketClient::status() const noexcept {
    return core_->status;
}

PORTHOLE_FN const std::string& WebSocketClient::protocol() const noexcept {
    return core_->protocol;
}

PORTHOLE_FN bool WebSocketClient::is_compressed() const noexcept {
    return core_->is_compressed;
}

PORTHOLE_FN std::size_t WebSocketClient::buffered_bytes() const noexcept {
    return core_->session().buffered_bytes();
}

PORTHOLE_FN Transport* WebSocketClient::transport() noexcept {
    return core_->transport();
}

PORTHOLE_NAMESPACE_END

// porthole/ext/websocket.inl

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

struct WebSocketSettings {
    std::function<void(WebSocket&)> on_open;
    std::function<void(WebSocket&, const Message&)> on_message;
    std::function<void(WebSocket&, int, std::string_view)> on_close;
    std::function<void(WebSocket&)> on_drain;
    std::function<void(WebSocket&, std::string_view)> on_pong;
    std::function<void(WebSocket&)> on_wake;
    BeforeHook accept;
    std::vector<std::string> protocols;
    SessionOptions session;
    bool has_queue_bound = false; ///< else the server's own counts
    bool has_compression = true;
};

/// What owns the connection: the session, and the program's functions around it.
class WebSocketPeer final : public Upgrade,
                            private SessionEvents,
                            public std::enable_shared_from_this<WebSocketPeer> {
public:
    WebSocketPeer(
        std::shared_ptr<const WebSocketSettings> settings, const SessionOptions& options,
        Server& server)
        : socket_(*this), settings_(std::move(settings)), server_(server), poster_(server.poster()),
          session_(WebSocketRole::server, options, *this) {}

    void agree(std::string_view protocol, std::unique_ptr<MessageCodec> codec) {
        protocol_.assign(protocol);
        is_compressed_ = codec != nullptr;
        session_.set_codec(std::move(codec));
    }

    WebSocketSession& session() noexcept { return session_; }
    const std::string& protocol() const noexcept { return protocol_; }
    bool is_compressed() const noexcept { return is_compressed_; }
    std::string_view peer() const noexcept {
        return link_ != nullptr ? link_->peer() : std::string_view();
    }
    WebSocketHandle handle() { return {weak_from_this(), poster_}; }
    Server& server() noexcept { return server_; }
    void attach(std::unique_ptr<WebSocketFeed> feed) {
        detach(feed->subject());
        feeds_.push_back(std::move(feed));
        session_.wake();
    }
    bool detach(const void* subject) {
        for (auto& feed : feeds_) {
            if (feed->subject() == subject) {
                std::swap(feed, feeds_.back());
                feeds_.pop_back();
                return true;
            }
        }
        return false;
    }
    void run_posted(const std::function<void(WebSocket&)>& task) {
        if (session_.is_open()) {
            run(task);
        }
    }

    // Upgrade
    void on_open(UpgradeLink& link) override {
        link_ = &link;
        session_.on_open(link);
        run(settings_->on_open);
    }
    void on_data(char* bytes, std::size_t size) override { session_.on_data(bytes, size); }
    void on_drain() override {
        session_.on_drain();
        feed();
    }
    void on_deadline() override { session_.on_deadline(); }
    void on_wake() override { session_.on_wake(); }
    void on_stop(UpgradeLink&) override { session_.close(close_code::going_away, {}); }
    void on_end() override { session_.on_end(); }
    void on_close() override {
        session_.on_close();
        if (!is_feeding_) {
            feeds_.clear();
        }
        run(settings_->on_close, session_.end_code(), std::string_view(session_.end_reason()));
        link_ = nullptr;
    }

private:
    void handle_message(const Message& message) override { run(settings_->on_message, message); }
    void handle_pong(std::string_view payload) override { run(settings_->on_pong, payload); }
    void handle_drain() override { run(settings_->on_drain); }
    void handle_wake() override {
        feed();
        run(settings_->on_wake);
    }

    /// No code of the program's runs here, but a failing send may end the connection.
    void feed() {
        if (feeds_.empty() || !session_.is_open()) {
            return;
        }
        is_feeding_ = true;
        PORTHOLE_TRY {
            for (const auto& feed : feeds_) {
                feed->feed(socket_);
            }
        }
        PORTHOLE_CATCH_ALL {
            session_.fail(close_code::internal_failure, {});
        }
        is_feeding_ = false;
        if (!session_.is_open()) {
            feeds_.clear();
        }
    }

    /// One of the program's functions. If it throws the connection ends, and nobody else's does.
    template <class... Parameters, class... Arguments>
    void
    run(const std::function<void(WebSocket&, Parameters...)>& function,
        const Arguments&... arguments) {
        if (!function) {
            return;
        }
        PORTHOLE_TRY {
            function(socket_, arguments...);
        }
        PORTHOLE_CATCH_ALL {
            session_.fail(close_code::internal_failure, {});
        }
    }

    WebSocket socket_;
    const std::shared_ptr<const WebSocketSettings> settings_;
    Server& server_;
    TaskPoster poster_;
    UpgradeLink* link_ = nullptr;
    std::vector<std::unique_ptr<WebSocketFeed>> feeds_;
    std::string protocol_;
    bool is_compressed_ = false;
    bool is_feeding_ = false;
    WebSocketSession session_;
};

/// Says why it is none (RFC 6455 sections 4.2.2 and 4.4).
inline void refuse_handshake(const HandshakeFault& fault, Response& response) {
    constexpr int upgrade_required = 426;
    constexpr int method_not_allowed = 405;
    response.fail(fault.status, fault.sentence);
    if (fault.status == upgrade_required) {
        response.header("Sec-WebSocket-Version", "13");
    } else if (fault.status == method_not_allowed) {
        response.header("Allow", "GET");
    }
}

} // namespace detail

PORTHOLE_FN PreparedMessage::PreparedMessage(const Message& message) {
    PORTHOLE_ASSERT(
        !message.is_text || detail::is_utf8(message.data), "a text message has to be UTF-8");
    detail::FrameHead head;
    head.opcode = message.is_text ? detail::Opcode::text : detail::Opcode::binary;
    head.payload_size = message.data.size();
    char bytes[detail::max_frame_head_size];
    std::string frame(bytes, detail::write_frame_head(bytes, head));
    frame.append(message.data);
    frame_ = std::make_shared<const std::string>(std::move(frame));
}

PORTHOLE_FN void WebSocketHandle::post(std::function<void(WebSocket&)> task) const {
    poster_.post([peer = peer_, task = std::move(task)] {
        if (const std::shared_ptr<detail::WebSocketPeer> shared = peer.lock()) {
            shared->run_posted(task);
        }
    });
}

PORTHOLE_FN bool WebSocket::send(const Message& message) {
    return peer_->session().send(message);
}

PORTHOLE_FN bool WebSocket::send(const PreparedMessage& message) {
    return peer_->session().send_frame(message.frame());
}

PORTHOLE_FN bool WebSocket::send(const Message& message, std::string_view key) {
    return peer_->session().send(message, key);
}

PORTHOLE_FN bool WebSocket::send(const PreparedMessage& message, std::string_view key) {
    return peer_->session().send_frame(message.frame(), key);
}

PORTHOLE_FN bool WebSocket::ping(std::string_view payload) {
    return peer_->session().ping(payload);
}

PORTHOLE_FN void WebSocket::close(int code, std::string_view reason) {
    peer_->session().close(code, reason);
}

PORTHOLE_FN void WebSocket::abort() {
    peer_->session().abort();
}

PORTHOLE_FN std::size_t WebSocket::buffered_bytes() const noexcept {
    return peer_->session().buffered_bytes();
}

PORTHOLE_FN void WebSocket::pause_reading(bool is_paused) {
    peer_->session().pause_reading(is_paused);
}

PORTHOLE_FN void WebSocket::wake() {
    peer_->session().wake();
}

PORTHOLE_FN bool WebSocket::is_open() const noexcept {
    return peer_->session().is_open();
}

PORTHOLE_FN const std::string& WebSocket::protocol() const noexcept {
    return peer_->protocol();
}

PORTHOLE_FN bool WebSocket::is_compressed() const noexcept {
    return peer_->is_compressed();
}

PORTHOLE_FN std::string_view WebSocket::peer() const noexcept {
    return peer_->peer();
}

PORTHOLE_FN WebSocketHandle WebSocket::handle() const {
    return peer_->handle();
}

PORTHOLE_FN Server& WebSocket::server() const noexcept {
    return peer_->server();
}

PORTHOLE_FN void WebSocket::attach(std::unique_ptr<detail::WebSocketFeed> feed) {
    peer_->attach(std::move(feed));
}

PORTHOLE_FN bool WebSocket::detach(const void* subject) {
    return peer_->detach(subject);
}

PORTHOLE_FN WebSocketRoute::WebSocketRoute()
    : settings_(std::make_shared<detail::WebSocketSettings>()) {}

/// Copies share their settings until one of them is changed, connections included.
PORTHOLE_FN detail::WebSocketSettings& WebSocketRoute::edit() {
    if (settings_.use_count() != 1) {
        settings_ = std::make_shared<detail::WebSocketSettings>(*settings_);
    }
    return *settings_;
}

PORTHOLE_FN WebSocketRoute& WebSocketRoute::on_open(std::function<void(WebSocket&)> function) {
    edit().on_open = std::move(function);
    return *this;
}

PORTHOLE_FN WebSocketRoute&
WebSocketRoute::on_message(std::function<void(WebSocket&, const Message&)> function) {
    edit().on_message = std::move(function);
    return *this;
}

PORTHOLE_FN WebSocketRoute& WebSocketRoute::on_close(
    std::function<void(WebSocket&, int code, std::string_view reason)> function) {
    edit().on_close = std::move(function);
    return *this;
}

PORTHOLE_FN WebSocketRoute& WebSocketRoute::on_drain(std::function<void(WebSocket&)> function) {
    edit().on_drain = std::move(function);
    return *this;
}

PORTHOLE_FN WebSocketRoute&
WebSocketRoute::on_pong(std::function<void(WebSocket&, std::string_view payload)> function) {
    edit().on_pong = std::move(function);
    return *this;
}

PORTHOLE_FN WebSocketRoute& WebSocketRoute::on_wake(std::function<void(WebSocket&)> function) {
    edit().on_wake = std::move(function);
    return *this;
}

PORTHOLE_FN WebSocketRoute& WebSocketRoute::accept(BeforeHook decide) {
    edit().accept = std::move(decide);
    return *this;
}

PORTHOLE_FN WebSocketRoute& WebSocketRoute::protocols(std::vector<std::string> names) {
    for ([[maybe_unused]] const std::string& name : names) {
        PORTHOLE_ASSERT(ascii::is_token(name), "a subprotocol's name is a token");
    }
    edit().protocols = std::move(names);
    return *this;
}

PORTHOLE_FN WebSocketRoute& WebSocketRoute::max_message_bytes(std::size_t bytes) {
    edit().session.max_message_bytes = bytes;
    return *this;
}

PORTHOLE_FN WebSocketRoute& WebSocketRoute::max_frames(std::size_t frames) {
    edit().session.max_frames = frames;
    return *this;
}

PORTHOLE_FN WebSocketRoute& WebSocketRoute::max_queue_bytes(std::size_t bytes) {
    edit().session.max_queue_bytes = bytes;
    edit().has_queue_bound = true;
    return *this;
}

PORTHOLE_FN WebSocketRoute& WebSocketRoute::policy(WebSocketPolicy policy) {
    edit().session.policy = policy;
    return *this;
}

PORTHOLE_FN WebSocketRoute& WebSocketRoute::ping_interval(std::chrono::milliseconds interval) {
    edit().session.ping_interval = interval;
    return *this;
}

PORTHOLE_FN WebSocketRoute& WebSocketRoute::pong_timeout(std::chrono::milliseconds timeout) {
    edit().session.pong_timeout = timeout;
    return *this;
}

PORTHOLE_FN WebSocketRoute& WebSocketRoute::close_timeout(std::chrono::milliseconds timeout) {
    edit().session.close_timeout = timeout;
    return *this;
}

PORTHOLE_FN WebSocketRoute& WebSocketRoute::compression(bool is_wanted) {
    edit().has_compression = is_wanted;
    return *this;
}

PORTHOLE_FN void WebSocketRoute::operator()(const Request& request, Response& response) const {
    const detail::HandshakeFault fault = detail::check_handshake(request);
    if (fault.status != 0) {
        detail::refuse_handshake(fault, response);
        return;
    }
    const detail::DeflateNegotiation deflate = detail::negotiate_deflate(request.fields());
    if (deflate.is_malformed) {
        detail::refuse_handshake({400, "Sec-WebSocket-Extensions is malformed."}, response);
        return;
    }
    if (settings_->accept && settings_->accept(request, response) == Next::stop) {
        if (!response.is_touched()) {
            response.fail(403, "This WebSocket was refused.");
        }
        return;
    }
    Server* const server = response.server();
    if (server == nullptr) {
        response.fail(500, "A WebSocket is served by a server.");
        return;
    }
    detail::SessionOptions options = settings_->session;
    if (!settings_->has_queue_bound) {
        options.max_queue_bytes = server->options().limits.max_queue_bytes;
    }
    const auto peer = std::make_shared<detail::WebSocketPeer>(settings_, options, *server);
    const std::string_view protocol =
        detail::choose_protocol(request.fields(), settings_->protocols);
    std::unique_ptr<detail::MessageCodec> codec;
    if (deflate.agreed && settings_->has_compression) {
        codec = detail::make_server_codec(*deflate.agreed);
    }
    if (codec) {
        response.header("Sec-WebSocket-Extensions", deflate.answer);
    }
    peer->agree(protocol, std::move(codec));
    if (!protocol.empty()) {
        response.header("Sec-WebSocket-Protocol", protocol);
    }
    const auto key = request.header("Sec-WebSocket-Key");
    response.header("Sec-WebSocket-Accept", detail::websocket_accept_key(key.value_or("")));
    response.upgrade("websocket", peer);
}

PORTHOLE_FN WebSocketRoute websocket() {
    return WebSocketRoute();
}

PORTHOLE_NAMESPACE_END

// porthole/ext/channel_websocket.inl

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// What the frames of a value differ in.
inline constexpr std::size_t plain_form = 0;
inline constexpr std::size_t keyed_form = 1;
inline constexpr std::size_t binary_form = 2;

inline ChannelValue::Frame make_channel_frame(const ChannelValue& value, std::size_t form) {
    Message message;
    message.data = value.bytes();
    std::string text;
    if (form == keyed_form) {
        text.append(value.key()).append(1, '\n').append(value.bytes());
        message.data = text;
    }
    message.is_text = form != binary_form && is_utf8(message.data);
    return PreparedMessage(message).frame();
}

class ChannelFeed final : public WebSocketFeed, public ChannelSubscriber {
public:
    ChannelFeed(
        WebSocket& socket, const std::shared_ptr<ChannelState>& state, const ChannelStart& start,
        std::size_t form)
        : socket_(socket), form_(form), subscription_(state, socket.server(), start, *this) {}

    void wake() override { socket_.wake(); }
    const void* subject() const noexcept override { return &subscription_.state(); }
    void feed(WebSocket& socket) override;

private:
    /// A socket gets more while less than this waits for it.
    static constexpr std::size_t mark_bytes = 64 * 1024;

    WebSocket& socket_;
    std::size_t form_;
    ChannelSubscription subscription_;
    ChannelStore::Value value_; ///< the next one, when it is known
};

PORTHOLE_FN void ChannelFeed::feed(WebSocket& socket) {
    while (socket.is_open() && socket.buffered_bytes() < mark_bytes) {
        if (!value_) {
            value_ = subscription_.next().value;
        }
        if (!value_) {
            return;
        }
        const bool is_sent = socket.send(PreparedMessage(value_->frame(form_, make_channel_frame)));
        if (!is_sent && socket.buffered_bytes() != 0) {
            return; // it may fit when that has left
        }
        value_.reset();
    }
}

} // namespace detail

PORTHOLE_FN void
subscribe(WebSocket& socket, const Channel& channel, const SubscribeOptions& options) {
    detail::ChannelStart start;
    start.has_snapshot = options.has_snapshot;
    if (!options.topics.empty()) {
        start.topics = std::make_shared<const detail::ChannelTopics>(options.topics);
    }
    const std::size_t form = options.is_binary ? detail::binary_form
                             : options.has_key ? detail::keyed_form
                                               : detail::plain_form;
    if (socket.is_open()) {
        socket.attach(std::make_unique<detail::ChannelFeed>(socket, channel.state(), start, form));
    }
}

PORTHOLE_FN bool unsubscribe(WebSocket& socket, const Channel& channel) {
    return socket.detach(channel.state().get());
}

PORTHOLE_NAMESPACE_END
#if PORTHOLE_WITH_ZLIB

// porthole/ext/websocket_deflate_zlib.inl

// The zlib adapter for compressed WebSocket messages (RFC 7692 section 7.2), read only when
// PORTHOLE_WITH_ZLIB asks for it; the one place that knows zlib. Each direction's state is made
// with its first compressed message. Expanding goes step by step, so that a message which would
// grow past its bound costs no more memory than the bound.

#include <zlib.h>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// What a sync flush ends with; senders leave it out (RFC 7692 section 7.2.1).
inline constexpr std::string_view deflate_tail("\x00\x00\xff\xff", 4);

/// How one side compresses.
struct DeflateSide {
    int window_bits;
    bool no_context_takeover;
};

class ZlibCodec final : public MessageCodec {
public:
    ZlibCodec(const DeflateSide& sending, const DeflateSide& receiving) noexcept
        : sending_(sending), receiving_(receiving) {}
    ~ZlibCodec() override {
        if (has_deflater_) {
            deflateEnd(&deflater_);
        }
        if (has_inflater_) {
            inflateEnd(&inflater_);
        }
    }
    ZlibCodec(const ZlibCodec&) = delete;
    ZlibCodec& operator=(const ZlibCodec&) = delete;

    bool compress(std::string_view message, std::string& into) override;
    InflateStatus
    expand(std::string_view piece, bool is_last, std::size_t max_bytes, std::string& into) override;

private:
    // zlib's inner state points back to its z_stream: a codec stays where it is.
    z_stream deflater_{};
    z_stream inflater_{};
    DeflateSide sending_;
    DeflateSide receiving_;
    bool has_deflater_ = false;
    bool has_inflater_ = false;

    /// zlib counts in unsigned int; larger inputs are given to it in pieces.
    static constexpr std::size_t max_piece = std::size_t{1} << 30;
    /// A flush wants more than six bytes of room, or it is written twice (zlib.h on deflate()).
    static constexpr std::size_t min_step = 256;
    static constexpr std::size_t max_step = 16 * 1024;

    bool open_deflater() noexcept;
    bool open_inflater() noexcept;
    bool deflate_piece(std::string_view piece, int flush, std::string& into);
    InflateStatus
    inflate_piece(std::string_view piece, int flush, std::size_t max_bytes, std::string& into);
    static const Bytef* input(std::string_view bytes) noexcept {
        return reinterpret_cast<const Bytef*>(bytes.data());
    }
};

PORTHOLE_FN bool ZlibCodec::open_deflater() noexcept {
    if (has_deflater_) {
        return true;
    }
    // 512 bytes are the smallest window that zlib writes without a header. When 256 were agreed on,
    // only runs are compressed: their distance is one, whatever the window.
    const bool is_smallest = sending_.window_bits == min_window_bits;
    const int bits = is_smallest ? min_window_bits + 1 : sending_.window_bits;
    // Hash table and output buffer as large as the window's two halves: 2^(bits + 3) bytes in all.
    const int memory_level = bits - 7;
    has_deflater_ = deflateInit2(
                        &deflater_, Z_BEST_SPEED, Z_DEFLATED, -bits, memory_level,
                        is_smallest ? Z_RLE : Z_DEFAULT_STRATEGY)
                    == Z_OK;
    return has_deflater_;
}

PORTHOLE_FN bool ZlibCodec::open_inflater() noexcept {
    // One step of leniency: 256 bytes are what zlib itself cannot keep to when it compresses.
    const int bits =
        receiving_.window_bits == min_window_bits ? min_window_bits + 1 : receiving_.window_bits;
    has_inflater_ = has_inflater_ || inflateInit2(&inflater_, -bits) == Z_OK;
    return has_inflater_;
}

PORTHOLE_FN bool ZlibCodec::compress(std::string_view message, std::string& into) {
    if (message.size() < min_compressed_bytes || !open_deflater()) {
        return false;
    }
    const std::size_t before = into.size();
    while (message.size() > max_piece) {
        if (!deflate_piece(message.substr(0, max_piece), Z_NO_FLUSH, into)) {
            into.resize(before);
            return false;
        }
        message.remove_prefix(max_piece);
    }
    if (!deflate_piece(message, Z_SYNC_FLUSH, into)) {
        into.resize(before);
        return false;
    }
    into.resize(into.size() - deflate_tail.size());
    if (sending_.no_context_takeover) {
        deflateReset(&deflater_);
    }
    return true;
}

PORTHOLE_FN bool ZlibCodec::deflate_piece(std::string_view piece, int flush, std::string& into) {
    deflater_.next_in = const_cast<Bytef*>(input(piece));
    deflater_.avail_in = static_cast<uInt>(piece.size());
    std::size_t size = into.size();
    do {
        const std::size_t step = (std::clamp)(piece.size() / 2, min_step, max_step);
        into.resize(size + step);
        deflater_.next_out = reinterpret_cast<Bytef*>(into.data() + size);
        deflater_.avail_out = static_cast<uInt>(step);
        const int result = deflate(&deflater_, flush);
        if (result != Z_OK && result != Z_BUF_ERROR) {
            return false;
        }
        size += step - deflater_.avail_out;
    } while (deflater_.avail_out == 0);
    into.resize(size);
    return true;
}

PORTHOLE_FN InflateStatus
ZlibCodec::expand(std::string_view piece, bool is_last, std::size_t max_bytes, std::string& into) {
    if (!open_inflater()) {
        return InflateStatus::no_memory;
    }
    while (!piece.empty()) {
        const std::string_view part = piece.substr(0, max_piece);
        const InflateStatus status = inflate_piece(part, Z_SYNC_FLUSH, max_bytes, into);
        if (status != InflateStatus::ok) {
            return status;
        }
        piece.remove_prefix(part.size());
    }
    if (!is_last) {
        return InflateStatus::ok;
    }
    const InflateStatus status = inflate_piece(deflate_tail, Z_BLOCK, max_bytes, into);
    // With its tail back in place a message ends between two blocks, or it was cut short.
    constexpr int is_between_blocks = 128;
    if (status == InflateStatus::ok && (inflater_.data_type & is_between_blocks) == 0) {
        return InflateStatus::corrupt;
    }
    if (receiving_.no_context_takeover) {
        inflateReset(&inflater_);
    }
    return status;
}

PORTHOLE_FN InflateStatus ZlibCodec::inflate_piece(
    std::string_view piece, int flush, std::size_t max_bytes, std::string& into) {
    inflater_.next_in = const_cast<Bytef*>(input(piece));
    inflater_.avail_in = static_cast<uInt>(piece.size());
    std::size_t size = into.size();
    InflateStatus status = InflateStatus::ok;
    do {
        if (into.size() == size) {
            const std::size_t step = (std::clamp)(piece.size() * 4, min_step, max_step);
            into.resize(size + (std::min)(step, max_bytes - (std::min)(size, max_bytes)));
        }
        // At the bound a single byte tells whether there would be more.
        Bytef spill = 0;
        const std::size_t room = into.size() - size;
        inflater_.next_out = room > 0 ? reinterpret_cast<Bytef*>(into.data() + size) : &spill;
        inflater_.avail_out = room > 0 ? static_cast<uInt>(room) : 1;
        const uInt offered = inflater_.avail_out;
        const int result = inflate(&inflater_, flush);
        const std::size_t made = offered - inflater_.avail_out;
        if (room == 0 && made > 0) {
            status = InflateStatus::too_large;
            break;
        }
        size += made;
        if (result == Z_STREAM_END) {
            // A block may be marked as the last; the window goes on behind it (RFC 7692 section
            // 7.2.3.4).
            inflateResetKeep(&inflater_);
        } else if (result == Z_BUF_ERROR) {
            break; // nothing left to do, which is no error
        } else if (result != Z_OK) {
            status = result == Z_MEM_ERROR ? InflateStatus::no_memory : InflateStatus::corrupt;
        }
    } while (status == InflateStatus::ok && (inflater_.avail_in > 0 || inflater_.avail_out == 0));
    into.resize(size);
    return status;
}

PORTHOLE_FN bool can_deflate() noexcept {
    return true;
}

inline std::unique_ptr<MessageCodec>
make_zlib_codec(const DeflateSide& sending, const DeflateSide& receiving) {
    return std::make_unique<ZlibCodec>(sending, receiving);
}

PORTHOLE_FN std::unique_ptr<MessageCodec> make_server_codec(const DeflateParameters& agreed) {
    return make_zlib_codec(
        {agreed.server_max_window_bits, agreed.server_no_context_takeover},
        {agreed.client_max_window_bits, agreed.client_no_context_takeover});
}

PORTHOLE_FN std::unique_ptr<MessageCodec> make_client_codec(const DeflateParameters& agreed) {
    return make_zlib_codec(
        {agreed.client_max_window_bits, agreed.client_no_context_takeover},
        {agreed.server_max_window_bits, agreed.server_no_context_takeover});
}

} // namespace detail

PORTHOLE_NAMESPACE_END
#else

// porthole/ext/websocket_deflate_none.inl

// Stands where the zlib adapter would be: without it messages are never compressed, and the
// extension is neither offered nor accepted.

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN bool can_deflate() noexcept {
    return false;
}

PORTHOLE_FN std::unique_ptr<MessageCodec> make_server_codec(const DeflateParameters&) {
    return nullptr;
}

PORTHOLE_FN std::unique_ptr<MessageCodec> make_client_codec(const DeflateParameters&) {
    return nullptr;
}

} // namespace detail

PORTHOLE_NAMESPACE_END
#endif

// clang-format on

#endif
