#include "proxy/resolver.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proxy/base/log.h"
#include "proxy/name_client.h"

namespace postern {
namespace {

// Records that live shorter are not worth more questions.
constexpr DurationNs kSoonest = kSecond;
// After a look-up that failed.
constexpr DurationNs kRetry = 3 * kSecond;

std::string KeyOf(const HostPort& address) {
  return absl::StrCat(address.srv ? "srv:" : "", address.host, ":", address.port);
}

std::string Join(const std::vector<SocketAddress>& addresses) {
  std::string text;
  for (const SocketAddress& address : addresses) {
    absl::StrAppend(&text, text.empty() ? "" : ", ", address.ToString());
  }
  return text;
}

// What is known of one name, from whichever watch.
struct Known {
  std::vector<std::vector<SocketAddress>> orders;  // as they were answered
  AddressOrders shared;                            // the same, for the book; empty: never answered
  std::string failing;  // the error of the last look-up; empty: it was good
  TimeNs due = 0;       // when to look again
};

}  // namespace

struct Resolver::State {
  std::mutex mutex;
  std::condition_variable changed;
  std::shared_ptr<AddressBook> book;
  std::vector<Target> targets;
  DurationNs interval = 30 * kSecond;
  std::map<std::string, Known> known;  // by KeyOf()
  uint64_t watch = 0;                  // counts Watch() calls
  uint64_t answered = 0;               // the last of them that was looked up wholly
  bool stop = false;
  std::string servers;

  // With the lock held.
  void Take(const Target& target, NameAnswer answer);
};

Resolver::Resolver() : state_(std::make_shared<State>()) {
  std::thread([state = state_] { Run(state); }).detach();
}

Resolver::~Resolver() {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  state_->stop = true;
  state_->changed.notify_all();
}

void Resolver::Watch(std::shared_ptr<AddressBook> book, std::vector<Target> targets,
                     DurationNs interval, const std::string& servers) {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  for (const Target& target : targets) {
    const auto known = state_->known.find(KeyOf(target.address));
    if (known != state_->known.end()) book->SetOrders(target.backend, known->second.shared);
  }
  state_->book = std::move(book);
  state_->targets = std::move(targets);
  state_->interval = interval;
  state_->servers = servers;
  ++state_->watch;
  state_->changed.notify_all();
}

bool Resolver::WaitForFirstAnswers(DurationNs patience) {
  std::unique_lock<std::mutex> lock(state_->mutex);
  const uint64_t watch = state_->watch;
  const auto is_known = [this](const Target& target) {
    const auto known = state_->known.find(KeyOf(target.address));
    return known != state_->known.end() && !known->second.shared.empty();
  };
  return state_->changed.wait_for(lock, std::chrono::nanoseconds(patience), [&] {
    return state_->answered >= watch ||
           std::all_of(state_->targets.begin(), state_->targets.end(), is_known);
  });
}

void Resolver::State::Take(const Target& target, NameAnswer answer) {
  Known& name = known[KeyOf(target.address)];
  DurationNs wait = interval;
  if (answer.orders.empty()) {
    if (name.failing != answer.error) {
      log::Warning(absl::StrCat(
          "backend ", target.name, ": cannot resolve ", target.address.host, ": ", answer.error,
          name.shared.empty() ? "" : "; its last known addresses stay in use"));
    }
    name.failing = answer.error;
    wait = std::min(wait, kRetry);
  } else {
    name.failing.clear();
    if (answer.ttl > 0) wait = std::max(kSoonest, std::min(wait, answer.ttl));
    if (name.orders != answer.orders) {
      log::Info(absl::StrCat("backend ", target.name, ": ", target.address.host, " is at ",
                             Join(answer.orders.front())));
      name.orders = std::move(answer.orders);
      name.shared.clear();
      for (const auto& order : name.orders) {
        name.shared.push_back(std::make_shared<const std::vector<SocketAddress>>(order));
      }
    }
    if (book->SetOrders(target.backend, name.shared)) {
      log::Warning(absl::StrCat("backend ", target.name, ": ", target.address.host,
                                " leads to a listener of ours; no login is sent there"));
    }
  }
  name.due = MonotonicNow() + wait;
}

void Resolver::Run(const std::shared_ptr<State>& state) {
  std::unique_lock<std::mutex> lock(state->mutex);
  uint64_t begun = 0;  // the last watch whose names were all asked for
  while (!state->stop) {
    const uint64_t watch = state->watch;
    const TimeNs now = MonotonicNow();
    TimeNs next = now + state->interval;
    std::vector<Target> due;
    std::vector<HostPort> names;
    for (const Target& target : state->targets) {
      const TimeNs when = watch == begun ? state->known[KeyOf(target.address)].due : now;
      if (when > now) {
        next = std::min(next, when);
        continue;
      }
      due.push_back(target);
      names.push_back(target.address);
    }
    if (due.empty() && watch == begun) {
      state->changed.wait_for(lock, std::chrono::nanoseconds(next - now),
                              [&] { return state->stop || state->watch != watch; });
      continue;
    }
    NameClient client(state->servers);
    lock.unlock();
    std::vector<NameAnswer> answers = client.LookUp(names);
    lock.lock();
    if (state->stop) return;
    if (state->watch != watch) continue;
    for (size_t i = 0; i < due.size(); ++i) state->Take(due[i], std::move(answers[i]));
    begun = watch;
    state->answered = watch;
    state->changed.notify_all();
  }
}

}  // namespace postern
