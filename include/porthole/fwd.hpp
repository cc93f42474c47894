// SPDX-License-Identifier: MIT
#pragma once

// Names only, for headers that mention Porthole's types without needing them.

#include "porthole/base/config.hpp"

PORTHOLE_NAMESPACE_BEGIN

class BodySource;
class Clock;
class Endpoint;
class Error;
class Fields;
class Group;
class ManualClock;
class Mount;
class Reply;
class Request;
class Response;
class RouteHandle;
class Server;
class Transport;
class Upgrade;
class UpgradeLink;
class WatchHandle;
struct Limits;
struct ListenOptions;
struct Options;
struct TickReport;

PORTHOLE_NAMESPACE_END
