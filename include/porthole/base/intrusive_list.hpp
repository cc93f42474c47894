// SPDX-License-Identifier: MIT
#pragma once

// A list whose links live in its elements: joining and leaving cost a few pointer writes and no
// memory, and an element that is destroyed leaves its list by itself. The server's queues (ready,
// idle, timers) are made of it, so that no callback can leave a dangling entry behind.

#include "porthole/base/config.hpp"

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
