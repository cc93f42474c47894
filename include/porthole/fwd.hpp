// SPDX-License-Identifier: MIT
#pragma once

// Names only, for headers that mention Porthole's types without needing them.

#include "porthole/base/config.hpp"

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
