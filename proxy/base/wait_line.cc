#include "proxy/base/wait_line.h"

namespace postern {
namespace {

// Of the moving average: about the last eight rooms count.
constexpr DurationNs kSmoothing = 8;

}  // namespace

bool WaitLine::Join(Place* place) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (place->number_ == 0) place->number_ = ++last_number_;
  // Who comes back stands near the front, a newcomer at the end.
  Place* before = nullptr;
  if (place->number_ != last_number_) {
    before = places_.front();
    while (before != nullptr && before->number_ < place->number_) before = places_.Next(before);
  }
  if (before == nullptr) {
    places_.PushBack(place);
  } else {
    places_.InsertBefore(before, place);
  }
  ++epochs_[place->epoch_];
  size_.fetch_add(1, std::memory_order_relaxed);
  return places_.front() == place;
}

void WaitLine::TakeOut(Place* place) {
  place->Unlink();
  size_.fetch_sub(1, std::memory_order_relaxed);
  const auto epoch = epochs_.find(place->epoch_);
  if (--epoch->second == 0) epochs_.erase(epoch);
}

WaitLine::Left WaitLine::Leave(Place* place, bool keep) {
  const std::lock_guard<std::mutex> lock(mutex_);
  Left left;
  left.was_in = place->linked();
  left.was_first = left.was_in && places_.front() == place;
  if (left.was_in) {
    TakeOut(place);
    if (places_.empty()) ForgetSpeed();
  }
  if (!keep) place->number_ = 0;
  return left;
}

bool WaitLine::IsFirst(const Place* place) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return place->linked() && const_cast<WaitLine*>(this)->places_.front() == place;
}

size_t WaitLine::CallNext(size_t count) {
  if (size() == 0) return 0;
  const std::lock_guard<std::mutex> lock(mutex_);
  size_t called = 0;
  while (called < count) {
    Place* place = places_.front();
    if (place == nullptr) break;
    TakeOut(place);
    ++called;
    place->call_(place->owner_);
  }
  if (places_.empty()) ForgetSpeed();
  return called;
}

// What is known of yesterday's line says nothing about the next one.
void WaitLine::ForgetSpeed() {
  last_room_at_ = 0;
  room_gap_ = 0;
}

void WaitLine::CallLater(uint64_t epoch) {
  if (size() == 0) return;
  const std::lock_guard<std::mutex> lock(mutex_);
  if (epochs_.empty() || epochs_.rbegin()->first <= epoch) return;
  Place* place = places_.front();
  while (place->epoch_ <= epoch) place = places_.Next(place);
  TakeOut(place);
  if (places_.empty()) ForgetSpeed();
  place->call_(place->owner_);
}

void WaitLine::CallForRoom(TimeNs now) {
  if (size() == 0) return;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (places_.empty()) return;  // meanwhile, and its speed is forgotten
    if (last_room_at_ != 0) {
      const DurationNs gap = now - last_room_at_;
      room_gap_ = room_gap_ == 0 ? gap : room_gap_ + (gap - room_gap_) / kSmoothing;
    }
    last_room_at_ = now;
  }
  CallNext(1);
}

// Few: one for each configuration that somebody began to wait with.
size_t WaitLine::CountSince(uint64_t epoch) const {
  size_t count = 0;
  for (auto since = epochs_.lower_bound(epoch); since != epochs_.end(); ++since) {
    count += since->second;
  }
  return count;
}

size_t WaitLine::SizeSince(uint64_t epoch) const {
  if (size() == 0) return 0;
  const std::lock_guard<std::mutex> lock(mutex_);
  return CountSince(epoch);
}

DurationNs WaitLine::ExpectedWait(uint64_t epoch) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  // Without any room so far the line stands for another reason.
  if (last_room_at_ == 0) return 0;
  return static_cast<DurationNs>(CountSince(epoch) + 1) * room_gap_;
}

}  // namespace postern
