#include "proxy/resolver.h"

#include <netdb.h>

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

namespace postern {
namespace {

struct Answer {
  AddressList addresses;  // null when the look-up failed
  std::string error;
};

Answer LookUp(const HostPort& address) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* list = nullptr;
  Answer answer;
  const int result = getaddrinfo(address.host.c_str(), nullptr, &hints, &list);
  if (result != 0) {
    answer.error = gai_strerror(result);
    return answer;
  }
  std::vector<SocketAddress> found;
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    found.emplace_back(entry->ai_addr, entry->ai_addrlen).set_port(address.port);
  }
  freeaddrinfo(list);
  if (found.empty()) {
    answer.error = "no address";
    return answer;
  }
  answer.addresses = std::make_shared<const std::vector<SocketAddress>>(InFixedOrder(found));
  return answer;
}

std::string KeyOf(const HostPort& address) { return absl::StrCat(address.host, ":", address.port); }

std::string Join(const std::vector<SocketAddress>& addresses) {
  std::string text;
  for (const SocketAddress& address : addresses) {
    absl::StrAppend(&text, text.empty() ? "" : ", ", address.ToString());
  }
  return text;
}

}  // namespace

AddressList LookUpAddresses(const HostPort& address, std::string* error) {
  Answer answer = LookUp(address);
  *error = std::move(answer.error);
  return std::move(answer.addresses);
}

std::vector<SocketAddress> InFixedOrder(const std::vector<SocketAddress>& found) {
  std::vector<SocketAddress> ordered = found;
  const int preferred = found.empty() ? AF_UNSPEC : found.front().family();
  const auto before = [preferred](const SocketAddress& a, const SocketAddress& b) {
    if (a.family() != b.family()) return a.family() == preferred;
    return a.ToString() < b.ToString();
  };
  std::sort(ordered.begin(), ordered.end(), before);
  ordered.erase(std::unique(ordered.begin(), ordered.end()), ordered.end());
  return ordered;
}

struct Resolver::State {
  std::mutex mutex;
  std::condition_variable changed;
  std::shared_ptr<AddressBook> book;
  std::vector<Target> targets;
  DurationNs interval = 30 * kSecond;
  std::map<std::string, AddressList> known;  // by "host:port"
  std::map<std::string, std::string> failing;
  uint64_t watch = 0;     // counts Watch() calls
  uint64_t answered = 0;  // the last of them that was looked up wholly
  bool stop = false;
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
                     DurationNs interval) {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  for (const Target& target : targets) {
    const auto known = state_->known.find(KeyOf(target.address));
    if (known != state_->known.end()) book->Set(target.backend, known->second);
  }
  state_->book = std::move(book);
  state_->targets = std::move(targets);
  state_->interval = interval;
  ++state_->watch;
  state_->changed.notify_all();
}

bool Resolver::WaitForFirstAnswers(DurationNs patience) {
  std::unique_lock<std::mutex> lock(state_->mutex);
  const uint64_t watch = state_->watch;
  const auto is_known = [this](const Target& target) {
    return state_->known.count(KeyOf(target.address)) != 0;
  };
  return state_->changed.wait_for(lock, std::chrono::nanoseconds(patience), [&] {
    return state_->answered >= watch ||
           std::all_of(state_->targets.begin(), state_->targets.end(), is_known);
  });
}

void Resolver::Run(const std::shared_ptr<State>& state) {
  std::unique_lock<std::mutex> lock(state->mutex);
  while (!state->stop) {
    const uint64_t watch = state->watch;
    const std::vector<Target> targets = state->targets;
    for (const Target& target : targets) {
      const std::string key = KeyOf(target.address);
      lock.unlock();
      const Answer answer = LookUp(target.address);
      lock.lock();
      if (state->stop) return;
      if (state->watch != watch) break;
      std::string& failing = state->failing[key];
      if (answer.addresses == nullptr) {
        if (failing != answer.error) {
          const bool stale = state->known.count(key) != 0;
          log::Warning(absl::StrCat("backend ", target.name, ": cannot resolve ",
                                    target.address.host, ": ", answer.error,
                                    stale ? "; its last known addresses stay in use" : ""));
        }
        failing = answer.error;
        continue;
      }
      failing.clear();
      AddressList& known = state->known[key];
      if (known == nullptr || *known != *answer.addresses) {
        log::Info(absl::StrCat("backend ", target.name, ": ", target.address.host, " is at ",
                               Join(*answer.addresses)));
        known = answer.addresses;
      }
      state->book->Set(target.backend, known);
    }
    if (state->watch != watch) continue;
    state->answered = watch;
    state->changed.notify_all();
    state->changed.wait_for(lock, std::chrono::nanoseconds(state->interval),
                            [&] { return state->stop || state->watch != watch; });
  }
}

}  // namespace postern
