// SPDX-License-Identifier: MIT

// The program that run.py builds around a folder of assets: shows what was baked in, and what a
// client gets.

#include <app_assets.hpp>

#include <chrono>
#include <cstdio>
#include <string>
#include <string_view>

namespace {

void write_bytes(const std::string& path, const porthole::AssetBytes& bytes) {
    if (std::FILE* file = bytes.data != nullptr ? std::fopen(path.c_str(), "wb") : nullptr) {
        std::fwrite(bytes.data, 1, bytes.size, file);
        std::fclose(file);
    }
}

/// Lists the table, one asset a line, and writes N.plain, N.gz and N.br.
int dump(const std::string& directory) {
    const porthole::AssetTable& table = app_assets::table();
    for (std::size_t i = 0; i < table.size; ++i) {
        const porthole::Asset& asset = *table.assets[i];
        std::printf(
            "%d %s %zu %s\n", static_cast<int>(asset.caching), asset.etag, asset.plain.size,
            asset.path);
        const std::string stem = directory + "/" + std::to_string(i);
        write_bytes(stem + ".plain", asset.plain);
        write_bytes(stem + ".gz", asset.gzip);
        write_bytes(stem + ".br", asset.brotli);
    }
    return 0;
}

/// What the first event of a stream says, or nothing.
std::string listen(porthole::Server& server, std::string_view target) {
    constexpr std::string_view field = "\ndata: ";
    constexpr int patience = 500;
    porthole::testing::Client client(server);
    client.send(porthole::testing::write_request("GET", target));
    for (int i = 0; i < patience; ++i) {
        server.wait(std::chrono::milliseconds(10));
        client.tick();
        const std::string& bytes = client.received();
        const std::size_t begin = bytes.find(field);
        const std::size_t end = bytes.find("\n\n", begin);
        if (begin != std::string::npos && end != std::string::npos) {
            return bytes.substr(begin + field.size(), end - begin - field.size());
        }
    }
    return "nothing";
}

int get(int count, char** targets) {
    porthole::Server server;
    if (auto error = server.mount("/ui", app_assets::bundle())) {
        std::fprintf(stderr, "%s\n", error.message().c_str());
        return 1;
    }
    porthole::testing::Client client(server);
    for (int i = 0; i < count; ++i) {
        if (std::string_view(targets[i]) == "pause") { // until run.py has changed a file
            std::puts("paused");
            std::fflush(stdout);
            std::getchar();
            continue;
        }
        const std::string_view target = targets[i];
        if (target.substr(0, 7) == "listen:") {
            std::printf("heard %s\n", listen(server, target.substr(7)).c_str());
            continue;
        }
        const auto answer = client.get(targets[i]);
        std::printf("%d %s\n", answer.status, answer.body.c_str());
    }
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    if (argc == 3 && std::string_view(argv[1]) == "dump") {
        return dump(argv[2]);
    }
    return argc >= 3 && std::string_view(argv[1]) == "get" ? get(argc - 2, argv + 2) : 2;
}
