// SPDX-License-Identifier: MIT

// Porthole's half of the differential test: reads a file of requests, gives each to a server of its
// own connection in memory, and prints a line of JSON for each: which requests reached the hook in
// front of all routes, and the status and words of a refusal.
//
// The file: for each request its size as a decimal number, a line feed, and its bytes.

#define PORTHOLE_IMPLEMENTATION
#include <porthole.hpp>

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

namespace {

/// Bytes as they are are no JSON: each is written as two hexadecimal digits.
void add_hex(std::string& into, std::string_view bytes) {
    constexpr char digits[] = "0123456789abcdef";
    into += '"';
    for (const char c : bytes) {
        const auto byte = static_cast<unsigned char>(c);
        into += digits[byte / 16];
        into += digits[byte % 16];
    }
    into += '"';
}

std::string read_file(const char* path) {
    std::string content;
    std::FILE* file = std::fopen(path, "rb");
    if (file == nullptr) {
        return content;
    }
    char piece[65536];
    for (std::size_t size = 1; size != 0; content.append(piece, size)) {
        size = std::fread(piece, 1, sizeof piece, file);
    }
    std::fclose(file);
    return content;
}

class Driver {
public:
    Driver() : server_(make_options()) {
        server_.before([this](const porthole::Request& request, porthole::Response& response) {
            note(request);
            response.text("");
            return porthole::Next::stop;
        });
    }

    std::string try_request(std::string_view bytes) {
        requests_.clear();
        refusal_.clear();
        porthole::testing::Client client(server_);
        while (!bytes.empty() && !client.is_closed()) {
            const std::size_t sent = client.send(bytes);
            bytes.remove_prefix(sent);
            const porthole::TickReport report = client.tick();
            if (sent == 0 && report.bytes_in == 0) {
                break;
            }
        }
        client.tick();
        std::string line = "{\"requests\":[" + requests_ + "],\"refusal\":";
        add_hex(line, refusal_);
        return line + "}";
    }

private:
    void note(const porthole::Request& request) {
        requests_ += requests_.empty() ? "{\"method\":" : ",{\"method\":";
        add_hex(requests_, request.method_name());
        requests_ += ",\"target\":";
        add_hex(requests_, request.target());
        requests_ += ",\"body\":";
        add_hex(requests_, request.body());
        requests_ += ",\"fields\":[";
        for (std::size_t i = 0; i < request.fields().size(); ++i) {
            requests_ += i == 0 ? "" : ",";
            add_hex(requests_, request.fields()[i].name);
            requests_ += ",";
            add_hex(requests_, request.fields()[i].value);
        }
        requests_ += "]}";
    }

    /// Only the parser is compared: the guard and the routes stay out of it.
    porthole::Options make_options() {
        porthole::Options options;
        options.clock = &clock_;
        options.guard.checks_host = false;
        options.guard.checks_origin = false;
        options.guard.checks_fetch_metadata = false;
        options.log = [this](const porthole::LogEvent& event) {
            if (event.id == porthole::LogId::request_refused) {
                refusal_ = event.sentence;
            }
        };
        return options;
    }

    porthole::ManualClock clock_;
    std::string requests_;
    std::string refusal_;
    porthole::Server server_;
};

} // namespace

int main(int count, char** arguments) {
    if (count != 2) {
        std::fprintf(stderr, "usage: driver FILE\n");
        return 2;
    }
    const std::string file = read_file(arguments[1]);
    std::string_view rest = file;
    Driver driver;
    while (!rest.empty()) {
        const std::size_t line = rest.find('\n');
        const auto size = porthole::ascii::parse_decimal(rest.substr(0, line));
        if (!size || line == std::string_view::npos) {
            std::fprintf(stderr, "no size where one belongs\n");
            return 1;
        }
        rest.remove_prefix(line + 1);
        const std::string_view bytes = rest.substr(0, static_cast<std::size_t>(*size));
        rest.remove_prefix(bytes.size());
        std::puts(driver.try_request(bytes).c_str());
    }
    return 0;
}
