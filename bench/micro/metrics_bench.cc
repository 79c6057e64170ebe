// What a scrape costs, and what counting costs a worker.
//
//   build/release/bin/postern_micro --benchmark_filter='Scrape|Count'
#include <benchmark/benchmark.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "metrics/collector.h"
#include "metrics/registry.h"
#include "metrics/worker_stats.h"
#include "proxy/base/check.h"

namespace postern::metrics {
namespace {

constexpr int kWorkers = 8;

// Every backend and every worker has counted a little of everything that is common.
void Scrape(benchmark::State& state) {
  const auto backends = static_cast<size_t>(state.range(0));
  Registry registry;
  std::vector<size_t> listener_ids;
  std::vector<size_t> backend_ids;
  for (const char* name : {"pop3", "pop3s"}) listener_ids.push_back(*registry.ListenerId(name));
  for (size_t i = 0; i < backends; ++i) {
    backend_ids.push_back(*registry.BackendId(absl::StrCat("mail", i), "mail"));
  }
  registry.SetActive(listener_ids, backend_ids);
  std::vector<std::unique_ptr<WorkerStats>> stats;
  std::vector<const WorkerStats*> workers;
  for (int i = 0; i < kWorkers; ++i) {
    stats.push_back(std::make_unique<WorkerStats>());
    stats.back()->Grow(listener_ids.size(), backends);
    for (const size_t id : backend_ids) {
      BackendStats& backend = stats.back()->backend(id);
      backend.connects.Add(1);
      backend.connect_seconds.Record(kMillisecond);
      backend.login_seconds.Record(20 * kMillisecond);
      backend.bytes_from_backend.Add(5000);
    }
    workers.push_back(stats.back().get());
  }
  const Collector collector(BuildInfo{"0", "0"}, workers, &registry, [] { return ServerFacts(); });
  size_t bytes = 0;
  for (auto _ : state) bytes = collector.Collect().size();
  CHECK(bytes > backends * 100);
  state.counters["bytes"] = static_cast<double>(bytes);
}
BENCHMARK(Scrape)->Arg(10)->Arg(1000)->Unit(benchmark::kMillisecond);

void CountOne(benchmark::State& state) {
  WorkerStats stats;
  stats.Grow(1, 1);
  for (auto _ : state) stats.backend(0).bytes_from_backend.Add(100);
}
BENCHMARK(CountOne);

void CountLatency(benchmark::State& state) {
  WorkerStats stats;
  stats.Grow(1, 1);
  DurationNs latency = 0;
  for (auto _ : state) {
    latency = (latency + 7 * kMillisecond) % kSecond;
    stats.backend(0).login_seconds.Record(latency);
  }
}
BENCHMARK(CountLatency);

}  // namespace
}  // namespace postern::metrics
