#include "bench/load/generator.h"

#include <sys/resource.h>

#include <algorithm>
#include <utility>

#include "bench/load/load_thread.h"
#include "proxy/base/status_macros.h"

namespace postern::load {
namespace {

void RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

}  // namespace

Generator::Generator(Options options) : run_(std::move(options)) {}

Generator::~Generator() {
  Stop(/*now=*/true);
  for (const std::unique_ptr<LoadThread>& thread : threads_) thread->Join();
}

absl::Status Generator::Start() {
  RaiseDescriptorLimit();
  cpu_before_ = CpuSeconds();
  const auto threads = static_cast<uint32_t>(run_.options.threads);
  for (uint32_t i = 0; i < threads; ++i) {
    const uint32_t sessions = run_.options.sessions;
    const uint32_t places = sessions / threads + (i < sessions % threads ? 1 : 0);
    auto thread = std::make_unique<LoadThread>(&run_, i, places);
    RETURN_IF_ERROR(thread->Start());
    threads_.push_back(std::move(thread));
  }
  return absl::OkStatus();
}

bool Generator::done() const {
  return std::all_of(threads_.begin(), threads_.end(),
                     [](const std::unique_ptr<LoadThread>& thread) { return thread->done(); });
}

void Generator::Stop(bool now) {
  run_.stopping.store(true);
  if (now) run_.aborting.store(true);
}

Results Generator::Finish() {
  Results results;
  for (const std::unique_ptr<LoadThread>& thread : threads_) {
    thread->Join();
    results.Merge(thread->results());
  }
  results.cpu_seconds = CpuSeconds() - cpu_before_;
  return results;
}

Histogram Generator::LiveSessions() const {
  Histogram sessions;
  for (const std::unique_ptr<LoadThread>& thread : threads_) {
    sessions.Merge(thread->LiveSessions());
  }
  return sessions;
}

}  // namespace postern::load
