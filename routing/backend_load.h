// How much is going on at one backend, over all workers, and whether there is room for more.
//
// A login takes a seat before it connects and keeps it as the session it becomes. Both numbers
// stand in one word, so that a limit holds exactly, whoever else comes in at the same moment.
#ifndef POSTERN_ROUTING_BACKEND_LOAD_H_
#define POSTERN_ROUTING_BACKEND_LOAD_H_

#include <atomic>
#include <cstdint>

namespace postern::routing {

// 0: no limit.
struct LoadLimits {
  int sessions_max = 0;  // logins in progress included
  int logins_max = 0;    // in progress
};

// Thread-safe, without a lock.
class BackendLoad {
 public:
  // Takes a seat for a login, unless a limit is reached.
  bool TryEnter(const LoadLimits& limits) {
    uint64_t load = load_.load(std::memory_order_relaxed);
    do {
      if (!Fits(load, limits)) return false;
    } while (!load_.compare_exchange_weak(load, load + kSeat + kLogin, std::memory_order_relaxed));
    return true;
  }
  // The login has become a session, which keeps the seat.
  void OnJoined() { load_.fetch_sub(kLogin, std::memory_order_relaxed); }
  // A login that did not become one gives its seat back.
  void LeaveLogin() { load_.fetch_sub(kSeat + kLogin, std::memory_order_relaxed); }
  // A session gives its seat back.
  void LeaveSession() { load_.fetch_sub(kSeat, std::memory_order_relaxed); }

  bool HasRoom(const LoadLimits& limits) const {
    return Fits(load_.load(std::memory_order_relaxed), limits);
  }
  // Sessions and logins in progress.
  int64_t seats() const {
    return static_cast<int64_t>(load_.load(std::memory_order_relaxed) / kSeat);
  }
  int64_t logins() const {
    return static_cast<int64_t>(load_.load(std::memory_order_relaxed) % kSeat);
  }

 private:
  static constexpr uint64_t kLogin = 1;
  static constexpr uint64_t kSeat = uint64_t{1} << 32;

  static bool Fits(uint64_t load, const LoadLimits& limits) {
    return (limits.sessions_max == 0 ||
            load / kSeat < static_cast<uint64_t>(limits.sessions_max)) &&
           (limits.logins_max == 0 || load % kSeat < static_cast<uint64_t>(limits.logins_max));
  }

  // Written by every login: on a cache line of its own, away from what every login reads.
  alignas(64) std::atomic<uint64_t> load_{0};
};

}  // namespace postern::routing

#endif  // POSTERN_ROUTING_BACKEND_LOAD_H_
