// SPDX-License-Identifier: MIT
#include "support/test.hpp"

#include <memory>
#include <vector>

namespace {

struct FirstTag {};
struct SecondTag {};

struct Item : porthole::detail::ListLink<FirstTag>, porthole::detail::ListLink<SecondTag> {
    explicit Item(int value) : number(value) {}
    int number;
};

using List = porthole::detail::IntrusiveList<Item, FirstTag>;
using OtherList = porthole::detail::IntrusiveList<Item, SecondTag>;

template <class AnyList>
std::vector<int> numbers_in(AnyList& list) {
    std::vector<int> numbers;
    for (Item* item = list.front(); item != nullptr; item = list.after(*item)) {
        numbers.push_back(item->number);
    }
    return numbers;
}

bool is_linked(const Item& item) {
    return static_cast<const porthole::detail::ListLink<FirstTag>&>(item).is_linked();
}

using Numbers = std::vector<int>;

} // namespace

TEST_CASE("intrusive_list: is a queue") {
    List list;
    CHECK(list.is_empty());
    CHECK(list.front() == nullptr);
    CHECK(list.pop_front() == nullptr);
    Item a(1), b(2), c(3);
    list.push_back(a);
    list.push_back(b);
    list.push_back(c);
    CHECK(numbers_in(list) == Numbers{1, 2, 3});
    CHECK(list.pop_front() == &a);
    CHECK_FALSE(is_linked(a));
    CHECK(is_linked(b));
    CHECK(numbers_in(list) == Numbers{2, 3});
}

TEST_CASE("intrusive_list: adding again moves to the end, also from another list") {
    List list, other;
    Item a(1), b(2);
    list.push_back(a);
    list.push_back(b);
    list.push_back(a);
    CHECK(numbers_in(list) == Numbers{2, 1});
    list.push_back(a);
    CHECK(numbers_in(list) == Numbers{2, 1});
    other.push_back(b);
    CHECK(numbers_in(list) == Numbers{1});
    CHECK(numbers_in(other) == Numbers{2});
}

TEST_CASE("intrusive_list: a destroyed element leaves") {
    List list;
    Item a(1);
    auto b = std::make_unique<Item>(2);
    Item c(3);
    list.push_back(a);
    list.push_back(*b);
    list.push_back(c);
    b.reset();
    CHECK(numbers_in(list) == Numbers{1, 3});
}

TEST_CASE("intrusive_list: a destroyed list lets go of its elements") {
    Item a(1), b(2);
    {
        List list;
        list.push_back(a);
        list.push_back(b);
    }
    CHECK_FALSE(is_linked(a));
    CHECK_FALSE(is_linked(b));
}

TEST_CASE("intrusive_list: an element may be in one list of each kind") {
    List list;
    OtherList other;
    Item a(1), b(2);
    list.push_back(a);
    list.push_back(b);
    other.push_back(b);
    other.push_back(a);
    CHECK(numbers_in(list) == Numbers{1, 2});
    CHECK(numbers_in(other) == Numbers{2, 1});
    CHECK(other.pop_front() == &b);
    CHECK(numbers_in(list) == Numbers{1, 2});
}

TEST_CASE("intrusive_list: splicing moves all in their order") {
    List list, other;
    Item a(1), b(2), c(3), d(4);
    list.splice_back(other);
    CHECK(list.is_empty());
    other.push_back(a);
    other.push_back(b);
    list.splice_back(other);
    CHECK(numbers_in(list) == Numbers{1, 2});
    CHECK(other.is_empty());
    other.push_back(c);
    other.push_back(d);
    list.splice_back(other);
    CHECK(numbers_in(list) == Numbers{1, 2, 3, 4});
    static_cast<porthole::detail::ListLink<FirstTag>&>(d).unlink();
    static_cast<porthole::detail::ListLink<FirstTag>&>(a).unlink();
    CHECK(numbers_in(list) == Numbers{2, 3});
    other.push_back(a);
    CHECK(numbers_in(other) == Numbers{1});
}
