// A doubly linked list whose links live in the elements: no allocation, removal in constant time.
#ifndef POSTERN_PROXY_BASE_INTRUSIVE_LIST_H_
#define POSTERN_PROXY_BASE_INTRUSIVE_LIST_H_

#include <cstddef>

#include "proxy/base/check.h"

namespace postern {

// Base of an element. `Tag` allows one object to be in several lists: derive once per tag.
template <typename Tag>
class ListNode {
 public:
  ListNode() = default;
  ListNode(const ListNode&) = delete;
  ListNode& operator=(const ListNode&) = delete;
  ~ListNode() { CHECK(!linked()); }

  bool linked() const { return next_ != nullptr; }

  // Takes the element out of whatever list it is in; does nothing when it is in none.
  void Unlink() {
    if (next_ == nullptr) return;
    next_->previous_ = previous_;
    previous_->next_ = next_;
    next_ = previous_ = nullptr;
  }

 private:
  template <typename T, typename ListTag>
  friend class IntrusiveList;
  ListNode* next_ = nullptr;
  ListNode* previous_ = nullptr;
};

// The list never owns its elements. An element must leave the list before it dies.
template <typename T, typename Tag = T>
class IntrusiveList {
 public:
  using Node = ListNode<Tag>;

  IntrusiveList() { head_.next_ = head_.previous_ = &head_; }
  IntrusiveList(const IntrusiveList&) = delete;
  IntrusiveList& operator=(const IntrusiveList&) = delete;
  ~IntrusiveList() {
    CHECK(empty());
    head_.next_ = head_.previous_ = nullptr;
  }

  bool empty() const { return head_.next_ == &head_; }
  T* front() { return empty() ? nullptr : static_cast<T*>(head_.next_); }
  // The element behind `element`, or null at the end.
  T* Next(T* element) {
    Node* next = static_cast<Node*>(element)->next_;
    return next == &head_ ? nullptr : static_cast<T*>(next);
  }

  void PushBack(T* element) {
    Node* node = element;
    CHECK(!node->linked());
    node->previous_ = head_.previous_;
    node->next_ = &head_;
    head_.previous_->next_ = node;
    head_.previous_ = node;
  }

  // `where` is in this list.
  void InsertBefore(T* where, T* element) {
    Node* node = element;
    Node* next = where;
    CHECK(!node->linked() && next->linked());
    node->previous_ = next->previous_;
    node->next_ = next;
    next->previous_->next_ = node;
    next->previous_ = node;
  }

  T* PopFront() {
    T* element = front();
    if (element != nullptr) static_cast<Node*>(element)->Unlink();
    return element;
  }

 private:
  Node head_;
};

}  // namespace postern

#endif  // POSTERN_PROXY_BASE_INTRUSIVE_LIST_H_
