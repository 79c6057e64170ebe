// The running store: threads, each with its own ring, sockets and TLS context.
#ifndef POSTERN_BENCH_MAILDROP_STORE_H_
#define POSTERN_BENCH_MAILDROP_STORE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "bench/maildrop/deletions.h"
#include "bench/maildrop/options.h"

namespace postern::maildrop {

struct StoreCounts {
  std::atomic<uint64_t> sessions{0};
  std::atomic<uint64_t> refused{0};  // beyond --sessions-max
};

class Store {
 public:
  explicit Store(Options options);
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;
  // Stopped.
  ~Store();

  // Listens and serves when it returns. Errors say what to change.
  absl::Status Start();
  // Ends every session and waits for the threads.
  void Stop();

  // The addresses it listens on, with the real ports: "127.0.0.1:1110 (off)", separated by commas.
  std::string Where() const;
  const StoreCounts& counts() const { return counts_; }
  size_t deletions() const { return deletions_.messages(); }

 private:
  class Thread;
  absl::Status OpenSockets(std::vector<int>* sockets);

  Options options_;
  Deletions deletions_;
  StoreCounts counts_;
  std::vector<std::unique_ptr<Thread>> threads_;
};

}  // namespace postern::maildrop

#endif  // POSTERN_BENCH_MAILDROP_STORE_H_
