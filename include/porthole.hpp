// SPDX-License-Identifier: MIT
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
//     if (auto error = server.listen("localhost", 8080)) {
//         std::fprintf(stderr, "%s\n", error.message().c_str());
//     }
//     while (game_is_running()) {
//         server.tick();                       // never blocks
//         update();
//         render();
//     }
//
// Where to read on: server/server.hpp has routes, listeners and the calls that pump; what a handler
// is given is in http/request.hpp and http/response.hpp; all that a peer can make grow has its
// bound in base/limits.hpp, and who is let in at all is decided in server/guard.hpp. In ext/ are
// files, CGI, channels, WebSocket and the client for tests, each with an example at its top. Names
// in namespace detail are the library's own and change without notice.
//
// Below is the table of contents, in the order in which bytes travel: from the wire to the handler
// and back. Declarations first; the definitions follow in one block, in one source file.

/// 1: compressed WebSocket messages, with zlib, which the program then links to. Counts where the
/// implementation is; no declaration depends on it.
#ifndef PORTHOLE_WITH_ZLIB
#define PORTHOLE_WITH_ZLIB 0
#endif

// What a program does not need can be left out, so that it compiles sooner: each of these may be
// defined as 0 beforehand. Files of one program may differ in it, as long as the one with the
// implementation has all that the others use.
#ifndef PORTHOLE_WITH_LIVE
#define PORTHOLE_WITH_LIVE 1 // uploads, channels, WebSocket
#endif
#ifndef PORTHOLE_WITH_FILES
#define PORTHOLE_WITH_FILES 1 // static files; together with LIVE also baked-in assets
#endif
#ifndef PORTHOLE_WITH_CGI
#define PORTHOLE_WITH_CGI 1 // CGI, FastCGI and SCGI
#endif

// The order is the table's own:
// clang-format off

// base: what the rest is made of; the standard library only
#include "porthole/base/version.hpp"
#include "porthole/base/config.hpp"
#include "porthole/base/error.hpp"
#include "porthole/base/limits.hpp"
#include "porthole/base/ascii.hpp"
#include "porthole/base/base64.hpp"
#include "porthole/base/buffer.hpp"
#include "porthole/base/clock.hpp"
#include "porthole/base/histogram.hpp"
#include "porthole/base/intrusive_list.hpp"
#include "porthole/base/ip_address.hpp"
#include "porthole/base/log.hpp"
#include "porthole/base/sha1.hpp"
#include "porthole/base/text.hpp"
#include "porthole/base/timer_queue.hpp"
#include "porthole/base/timer_wheel.hpp"
#include "porthole/base/utf8.hpp"
#include "porthole/fwd.hpp"

// os: all that asks the operating system
#include "porthole/os/endpoint.hpp"
#include "porthole/os/socket.hpp"
#include "porthole/os/file.hpp"
#include "porthole/os/listener.hpp"
#include "porthole/os/connector.hpp"
#include "porthole/os/poller.hpp"
#include "porthole/os/waker.hpp"
#include "porthole/os/random.hpp"
#include "porthole/os/transport.hpp"
#if PORTHOLE_WITH_LIVE
#include "porthole/os/output_file.hpp"
#endif
#if PORTHOLE_WITH_CGI
#include "porthole/os/process.hpp"
#include "porthole/os/scratch_file.hpp"
#endif

// http: pure functions over bytes
#include "porthole/http/method.hpp"
#include "porthole/http/status.hpp"
#include "porthole/http/fields.hpp"
#include "porthole/http/target.hpp"
#include "porthole/http/form.hpp"
#include "porthole/http/cookie.hpp"
#include "porthole/http/date.hpp"
#include "porthole/http/media_type.hpp"
#include "porthole/http/accept.hpp"
#include "porthole/http/conditional.hpp"
#include "porthole/http/range.hpp"
#include "porthole/http/parser.hpp"
#include "porthole/http/chunked.hpp"
#include "porthole/http/body.hpp"
#include "porthole/http/request.hpp"
#include "porthole/http/response.hpp"
#include "porthole/http/server_sent_event.hpp"
#include "porthole/http/serializer.hpp"
#if PORTHOLE_WITH_LIVE
#include "porthole/http/multipart.hpp"
#endif
#if PORTHOLE_WITH_CGI
#include "porthole/http/cgi_head.hpp"
#include "porthole/http/fastcgi_record.hpp"
#endif

// server: routes, connections, and the tick
#include "porthole/server/guard.hpp"
#include "porthole/server/handler.hpp"
#include "porthole/server/reply.hpp"
#include "porthole/server/body_sink.hpp"
#include "porthole/server/mount.hpp"
#include "porthole/server/stream.hpp"
#include "porthole/server/task_poster.hpp"
#include "porthole/server/timer.hpp"
#include "porthole/server/event_stream.hpp"
#include "porthole/server/upgrade.hpp"
#include "porthole/server/watch.hpp"
#include "porthole/server/access_record.hpp"
#include "porthole/server/server.hpp"

// ext: what stands alone on top
#include "porthole/ext/access_log.hpp"
#include "porthole/ext/files_path.hpp"
#include "porthole/ext/testing.hpp"
#if PORTHOLE_WITH_LIVE
#include "porthole/ext/channel.hpp"
#include "porthole/ext/channel_websocket.hpp"
#include "porthole/ext/uploads.hpp"
#include "porthole/ext/websocket.hpp"
#include "porthole/ext/websocket_client.hpp"
#include "porthole/ext/websocket_deflate.hpp"
#include "porthole/ext/websocket_frame.hpp"
#include "porthole/ext/websocket_handshake.hpp"
#include "porthole/ext/websocket_outbox.hpp"
#include "porthole/ext/websocket_session.hpp"
#endif
#if PORTHOLE_WITH_FILES
#include "porthole/ext/files.hpp"
#include "porthole/ext/files_cache.hpp"
#include "porthole/ext/files_listing.hpp"
#include "porthole/ext/files_mount.hpp"
#include "porthole/ext/files_source.hpp"
#endif
#if PORTHOLE_WITH_LIVE && PORTHOLE_WITH_FILES
#include "porthole/ext/asset.hpp"
#include "porthole/ext/assets.hpp"
#endif
#if PORTHOLE_WITH_CGI
#include "porthole/ext/cgi.hpp"
#include "porthole/ext/cgi_answer.hpp"
#include "porthole/ext/cgi_environment.hpp"
#include "porthole/ext/cgi_gate.hpp"
#include "porthole/ext/cgi_log.hpp"
#include "porthole/ext/cgi_mount.hpp"
#include "porthole/ext/cgi_queue.hpp"
#include "porthole/ext/cgi_run.hpp"
#include "porthole/ext/cgi_spool.hpp"
#include "porthole/ext/cgi_task.hpp"
#include "porthole/ext/cgi_upload.hpp"
#include "porthole/ext/fastcgi.hpp"
#include "porthole/ext/fastcgi_gate.hpp"
#include "porthole/ext/fastcgi_mount.hpp"
#include "porthole/ext/fastcgi_request.hpp"
#endif

#endif // PORTHOLE_HPP

// The implementation: in the one source file that asks for it, or everywhere in header-only mode.
#if (defined(PORTHOLE_IMPLEMENTATION) || PORTHOLE_HEADER_ONLY) && !defined(PORTHOLE_IMPLEMENTED)
#define PORTHOLE_IMPLEMENTED

#include "porthole/os/platform.inl"

#include "porthole/base/ascii.inl"
#include "porthole/base/base64.inl"
#include "porthole/base/buffer.inl"
#include "porthole/base/error.inl"
#include "porthole/base/histogram.inl"
#include "porthole/base/ip_address.inl"
#include "porthole/base/sha1.inl"
#include "porthole/base/text.inl"
#include "porthole/base/timer_queue.inl"
#include "porthole/base/timer_wheel.inl"
#include "porthole/base/utf8.inl"

#include "porthole/os/endpoint.inl"
#include "porthole/os/socket_posix.inl"
#include "porthole/os/socket_windows.inl"
#include "porthole/os/listener.inl"
#include "porthole/os/listener_posix.inl"
#include "porthole/os/listener_windows.inl"
#include "porthole/os/connector.inl"
#include "porthole/os/poller_epoll.inl"
#include "porthole/os/poller_poll.inl"
#include "porthole/os/poller.inl"
#include "porthole/os/waker_posix.inl"
#include "porthole/os/waker_windows.inl"
#include "porthole/os/random_posix.inl"
#include "porthole/os/random_windows.inl"
#include "porthole/os/transport.inl"
#include "porthole/os/send_file_linux.inl"
#include "porthole/os/send_file_other.inl"
#include "porthole/os/file_posix.inl"
#include "porthole/os/file_windows.inl"
#if PORTHOLE_WITH_LIVE
#include "porthole/os/output_file.inl"
#include "porthole/os/output_file_posix.inl"
#include "porthole/os/output_file_windows.inl"
#endif
#if PORTHOLE_WITH_CGI
#include "porthole/os/spawn_posix.inl"
#include "porthole/os/spawn_windows.inl"
#include "porthole/os/process_posix.inl"
#include "porthole/os/process_windows.inl"
#include "porthole/os/scratch_file_posix.inl"
#include "porthole/os/scratch_file_windows.inl"
#endif

#include "porthole/http/method.inl"
#include "porthole/http/status.inl"
#include "porthole/http/fields.inl"
#include "porthole/http/target.inl"
#include "porthole/http/form.inl"
#include "porthole/http/cookie.inl"
#include "porthole/http/date.inl"
#include "porthole/http/media_type.inl"
#include "porthole/http/accept.inl"
#include "porthole/http/conditional.inl"
#include "porthole/http/range.inl"
#include "porthole/http/parser.inl"
#include "porthole/http/response_parser.inl"
#include "porthole/http/chunked.inl"
#include "porthole/http/request.inl"
#include "porthole/http/response.inl"
#include "porthole/http/serializer.inl"
#include "porthole/http/server_sent_event.inl"
#if PORTHOLE_WITH_LIVE
#include "porthole/http/multipart.inl"
#endif
#if PORTHOLE_WITH_CGI
#include "porthole/http/cgi_head.inl"
#include "porthole/http/fastcgi_record.inl"
#endif

#include "porthole/server/guard.inl"
#include "porthole/server/router.inl"
#include "porthole/server/mailbox.inl"
#include "porthole/server/reply.inl"
#include "porthole/server/body_sink.inl"
#include "porthole/server/stream.inl"
#include "porthole/server/timer.inl"
#include "porthole/server/event_stream.inl"
#include "porthole/server/connection.inl"
#include "porthole/server/connection_content.inl"
#include "porthole/server/connection_output.inl"
#include "porthole/server/connection_turn.inl"
#include "porthole/server/connection_upgrade.inl"
#include "porthole/server/dispatch.inl"
#include "porthole/server/rewrite.inl"
#include "porthole/server/core_listen.inl"
#include "porthole/server/core.inl"
#include "porthole/server/server.inl"

#include "porthole/ext/access_log.inl"
#include "porthole/ext/files_path.inl"
#include "porthole/ext/testing.inl"
#if PORTHOLE_WITH_LIVE
#include "porthole/ext/channel_store.inl"
#include "porthole/ext/channel_subscription.inl"
#include "porthole/ext/channel_source.inl"
#include "porthole/ext/uploads.inl"
#include "porthole/ext/websocket_deflate.inl"
#include "porthole/ext/websocket_frame.inl"
#include "porthole/ext/websocket_handshake.inl"
#include "porthole/ext/websocket_outbox.inl"
#include "porthole/ext/websocket_session.inl"
#include "porthole/ext/websocket_session_output.inl"
#include "porthole/ext/websocket_client.inl"
#include "porthole/ext/websocket.inl"
#include "porthole/ext/channel_websocket.inl"
#if PORTHOLE_WITH_ZLIB
#include "porthole/ext/websocket_deflate_zlib.inl"
#else
#include "porthole/ext/websocket_deflate_none.inl"
#endif
#endif
#if PORTHOLE_WITH_FILES
#include "porthole/ext/files_cache.inl"
#include "porthole/ext/files_source.inl"
#include "porthole/ext/files_listing.inl"
#include "porthole/ext/files_answer.inl"
#include "porthole/ext/files.inl"
#endif
#if PORTHOLE_WITH_LIVE && PORTHOLE_WITH_FILES
#include "porthole/ext/assets.inl"
#include "porthole/ext/assets_disk.inl"
#endif
#if PORTHOLE_WITH_CGI
#include "porthole/ext/cgi_environment.inl"
#include "porthole/ext/cgi_log.inl"
#include "porthole/ext/cgi_spool.inl"
#include "porthole/ext/cgi_queue.inl"
#include "porthole/ext/cgi_task.inl"
#include "porthole/ext/cgi_upload.inl"
#include "porthole/ext/cgi_answer.inl"
#include "porthole/ext/cgi_gate.inl"
#include "porthole/ext/cgi_run_output.inl"
#include "porthole/ext/cgi_run.inl"
#include "porthole/ext/cgi.inl"
#include "porthole/ext/fastcgi_gate.inl"
#include "porthole/ext/fastcgi_request_output.inl"
#include "porthole/ext/fastcgi_request.inl"
#include "porthole/ext/fastcgi.inl"
#endif

// clang-format on

#endif
