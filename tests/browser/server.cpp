// SPDX-License-Identifier: MIT

// The program that the browser test attacks: a page of its own that uses everything, and a count of
// handler calls that tells what got through. "open" as an argument switches the guard's rules off,
// so that the test can see that its attacks would work.

#define PORTHOLE_IMPLEMENTATION
#include <porthole.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace {

// SHA-1 (RFC 3174) for Sec-WebSocket-Accept and nothing else.

std::uint32_t rotated(std::uint32_t value, unsigned bits) {
    return value << bits | value >> (32 - bits);
}

void add_block(std::array<std::uint32_t, 5>& state, const unsigned char* block) {
    std::array<std::uint32_t, 80> words{};
    for (std::size_t i = 0; i < words.size(); ++i) {
        if (i < 16) {
            for (std::size_t byte = 0; byte < 4; ++byte) {
                words[i] = words[i] << 8 | block[i * 4 + byte];
            }
        } else {
            words[i] = rotated(words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16], 1);
        }
    }
    constexpr std::uint32_t constants[] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
    std::array<std::uint32_t, 5> s = state;
    for (std::size_t i = 0; i < words.size(); ++i) {
        std::uint32_t mixed = s[1] ^ s[2] ^ s[3];
        if (i < 20) {
            mixed = (s[1] & s[2]) | (~s[1] & s[3]);
        } else if (i >= 40 && i < 60) {
            mixed = (s[1] & s[2]) | (s[1] & s[3]) | (s[2] & s[3]);
        }
        const std::uint32_t next = rotated(s[0], 5) + mixed + s[4] + constants[i / 20] + words[i];
        s = {next, s[0], rotated(s[1], 30), s[2], s[3]};
    }
    for (std::size_t i = 0; i < state.size(); ++i) {
        state[i] += s[i];
    }
}

std::string sha1(std::string text) {
    const std::uint64_t bits = text.size() * 8;
    text += '\x80';
    while (text.size() % 64 != 56) {
        text += '\0';
    }
    for (unsigned shift = 64; shift > 0; shift -= 8) {
        text += static_cast<char>(bits >> (shift - 8) & 0xff);
    }
    std::array<std::uint32_t, 5> state = {
        0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    for (std::size_t at = 0; at < text.size(); at += 64) {
        add_block(state, reinterpret_cast<const unsigned char*>(text.data()) + at);
    }
    std::string digest;
    for (const std::uint32_t word : state) {
        for (unsigned shift = 32; shift > 0; shift -= 8) {
            digest += static_cast<char>(word >> (shift - 8) & 0xff);
        }
    }
    return digest;
}

std::string base64(std::string_view bytes) {
    constexpr char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string text;
    for (std::size_t at = 0; at < bytes.size(); at += 3) {
        std::uint32_t group = 0;
        for (std::size_t i = 0; i < 3; ++i) {
            group = group << 8
                    | (at + i < bytes.size() ? static_cast<unsigned char>(bytes[at + i]) : 0u);
        }
        for (std::size_t i = 0; i < 4; ++i) {
            text += at + i > bytes.size() ? '=' : digits[group >> (18 - 6 * i) & 63];
        }
    }
    return text;
}

/// As much of RFC 6455 as it takes to say hello and to echo one short message.
class Greeter final : public porthole::Upgrade {
public:
    void on_open(porthole::UpgradeLink& link) override {
        link_ = &link;
        say("welcome");
    }
    void on_data(char* bytes, std::size_t bytes_size) override {
        received_.append(bytes, bytes_size);
        constexpr std::size_t head_size = 6; // with the mask that every client sends
        constexpr unsigned size_bits = 0x7f;
        while (received_.size() >= head_size) {
            const std::size_t size = static_cast<unsigned char>(received_[1]) & size_bits;
            if (received_.size() < head_size + size) {
                return;
            }
            const bool is_text = received_[0] == '\x81';
            std::string message;
            for (std::size_t i = 0; i < size; ++i) {
                message += static_cast<char>(received_[head_size + i] ^ received_[2 + i % 4]);
            }
            received_.erase(0, head_size + size);
            if (!is_text) {
                link_->close();
                return;
            }
            say("echo " + message);
        }
    }
    void on_end() override { link_->close(); }
    void on_close() override { link_ = nullptr; }

private:
    void say(std::string_view text) {
        std::string frame = "\x81";
        frame += static_cast<char>(text.size());
        frame += text;
        link_->send(frame);
    }

    porthole::UpgradeLink* link_ = nullptr;
    std::string received_;
};

constexpr std::string_view page = R"html(<!doctype html>
<title>own page</title>
<script>
const within = (promise) => Promise.race([promise,
    new Promise((resolve) => setTimeout(() => resolve('nothing happened'), 5000))]);
const element = (name, attributes) => within(new Promise((resolve) => {
    const made = document.createElement(name);
    made.onload = () => resolve('loaded');
    made.onerror = () => resolve('failed');
    Object.assign(made, attributes);
    document.body.append(made);
}));
const form = () => within(new Promise((resolve) => {
    const frame = document.createElement('iframe');
    frame.name = 'answer';
    document.body.append(frame);
    frame.onload = () => {
        const text = frame.contentDocument.body.textContent;
        if (text !== '') {
            resolve(text);
        }
    };
    const made = document.createElement('form');
    made.method = 'POST';
    made.action = '/form';
    made.target = 'answer';
    made.innerHTML = '<input name="name" value="a b&c">';
    document.body.append(made);
    made.submit();
}));
const socket = () => within(new Promise((resolve) => {
    const made = new WebSocket(location.origin.replace('http', 'ws') + '/socket');
    const heard = [];
    made.onmessage = (event) => {
        heard.push(event.data);
        if (heard.length === 1) {
            made.send('hello');
        } else {
            resolve(heard.join(', '));
        }
    };
    made.onerror = () => resolve('failed');
}));
window.tryAll = async () => ({
    fetch: await (await fetch('/data')).text(),
    post: await (await fetch('/echo', { method: 'POST', body: 'sent' })).text(),
    json: await (await fetch('/echo', { method: 'PUT', body: '{}',
        headers: { 'Content-Type': 'application/json' } })).text(),
    form: await form(),
    script: await element('script', { src: '/script.js' }),
    image: await element('img', { src: '/image.svg' }),
    frame: await element('iframe', { src: '/page' }),
    socket: await socket(),
});
</script>
)html";

using Counts = std::map<std::string, int>;

void add_routes(porthole::Server& server, Counts& counts) {
    using porthole::Request;
    using porthole::Response;
    server.get("/", [&](const Request&, Response& response) {
        ++counts["root"];
        response.html(page);
    });
    server.get("/page", [&](const Request&, Response& response) {
        ++counts["page"];
        response.html("<!doctype html><title>linked page</title>here");
    });
    server.get("/data", [&](const Request&, Response& response) {
        ++counts["data"];
        response.json("{\"secret\":7}");
    });
    const porthole::Handler echo = [&](const Request& request, Response& response) {
        ++counts["echo"];
        response.text(request.body());
    };
    server.post("/echo", echo);
    server.put("/echo", echo);
    server.post("/form", [&](const Request& request, Response& response) {
        ++counts["form"];
        response.text(request.form("name").value_or("no name"));
    });
    server.get("/script.js", [&](const Request&, Response& response) {
        ++counts["script"];
        response.send("text/javascript", "window.stolen = 7;");
    });
    server.get("/image.svg", [&](const Request&, Response& response) {
        ++counts["image"];
        response.send(
            "image/svg+xml", "<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'></svg>");
    });
    server.get("/socket", [&](const Request& request, Response& response) {
        constexpr std::string_view suffix = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; // RFC 6455 1.3
        ++counts["socket"];
        const std::string key(request.header("Sec-WebSocket-Key").value_or(""));
        response.header("Sec-WebSocket-Accept", base64(sha1(key + std::string(suffix))));
        response.upgrade("websocket", std::make_shared<Greeter>());
    });
    server.get("/counts", [&](const Request&, Response& response) { // for the test alone
        std::string json = "{";
        for (const auto& [name, count] : counts) {
            json += json.size() > 1 ? "," : "";
            json += "\"" + name + "\":" + std::to_string(count);
        }
        response.json(json + "}");
    });
}

} // namespace

int main(int count, char** arguments) {
    porthole::Options options;
    if (count > 1 && std::string_view(arguments[1]) == "open") {
        options.guard.checks_host = false;
        options.guard.checks_fetch_metadata = false;
        options.guard.checks_origin = false;
        options.guard.adds_security_fields = false;
    }
    Counts counts;
    porthole::Server server(std::move(options));
    add_routes(server, counts);
    if (const auto error = server.listen("localhost", 0)) {
        std::fprintf(stderr, "%s\n", error.message().c_str());
        return 1;
    }
    std::printf("%u\n", static_cast<unsigned>(server.port()));
    std::fflush(stdout);
    server.run();
    return 0;
}
