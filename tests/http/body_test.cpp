// SPDX-License-Identifier: MIT
#include "support/test.hpp"

#include <cstddef>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

using porthole::BodySource;

namespace {

/// The least that a source has to be.
class TextSource final : public BodySource {
public:
    explicit TextSource(std::string text) : text_(std::move(text)) {}
    Piece pull(char* into, std::size_t capacity) override {
        const std::size_t left = text_.size() - at_;
        const std::size_t size = left < capacity ? left : capacity;
        std::memcpy(into, text_.data() + at_, size);
        at_ += size;
        return {at_ == text_.size() ? State::end : State::more, size};
    }

private:
    std::string text_;
    std::size_t at_ = 0;
};

} // namespace

TEST_CASE("body: a source only has to pull; its size is unknown and wakers are ignored") {
    TextSource source("hello world");
    BodySource& seam = source;
    CHECK_FALSE(seam.size());
    seam.set_waker([] { FAIL("nobody waits"); });
    std::string content;
    char piece[4];
    BodySource::Piece last;
    int pulls = 0;
    do {
        last = seam.pull(piece, sizeof piece);
        content.append(piece, last.bytes);
        ++pulls;
    } while (last.state == BodySource::State::more && pulls < 10);
    CHECK(last.state == BodySource::State::end);
    CHECK(pulls == 3);
    CHECK(content == "hello world");
}

TEST_CASE("body: a piece is an empty end unless it says otherwise") {
    const BodySource::Piece piece;
    CHECK(piece.state == BodySource::State::end);
    CHECK(piece.bytes == 0);
}

TEST_CASE("body: a source is destroyed through the seam") {
    struct Counted final : BodySource {
        explicit Counted(int& count) : destroyed(&count) {}
        ~Counted() override { ++*destroyed; }
        Piece pull(char*, std::size_t) override { return {}; }
        int* destroyed;
    };
    int destroyed = 0;
    std::unique_ptr<BodySource> source = std::make_unique<Counted>(destroyed);
    source.reset();
    CHECK(destroyed == 1);
}
