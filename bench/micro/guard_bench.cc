// What the guard costs a connection and a login.
//
//   build/release/bin/postern_micro --benchmark_filter=Guard
//
// Tables and lists are larger than the cache, and asked in random order.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proxy/base/check.h"
#include "proxy/guard/address_set.h"
#include "proxy/guard/count_table.h"
#include "proxy/guard/fade_table.h"
#include "proxy/guard/guard.h"
#include "proxy/guard/keyed_hash.h"

namespace postern::guard {
namespace {

constexpr size_t kSample = size_t{1} << 16;
constexpr HashKey kKey{0x0123456789abcdefu, 0xfedcba9876543210u};

void BM_GuardKeyedHash(benchmark::State& state) {
  const std::string name(static_cast<size_t>(state.range(0)), 'x');
  for (auto _ : state) benchmark::DoNotOptimize(KeyedHash(kKey, name));
}
BENCHMARK(BM_GuardKeyedHash)->Arg(4)->Arg(16)->Arg(32);

void BM_GuardCountTable(benchmark::State& state) {
  static CountTable table(400'000);
  std::mt19937_64 random(static_cast<uint64_t>(state.thread_index()) + 1);
  std::vector<uint64_t> keys(kSample);
  for (uint64_t& key : keys) key = random();
  size_t i = 0;
  for (auto _ : state) {
    const uint64_t key = keys[i++ % kSample];
    benchmark::DoNotOptimize(table.Add(key, 10));
    table.Remove(key);
  }
}
BENCHMARK(BM_GuardCountTable)->ThreadRange(1, 2)->UseRealTime();

void BM_GuardFadeTable(benchmark::State& state) {
  static FadeTable table(4'000'000);
  std::mt19937_64 random(static_cast<uint64_t>(state.thread_index()) + 1);
  TimeNs now = 1;
  for (auto _ : state) {
    now += 1000;
    benchmark::DoNotOptimize(
        table.Charge(random() % 8'000'000 * 0x9e3779b97f4a7c15u | 1, kSecond, 10, now));
  }
}
BENCHMARK(BM_GuardFadeTable)->ThreadRange(1, 2)->UseRealTime();

SocketAddress V4(uint32_t number) {
  return SocketAddress::FromIp(absl::StrCat(number >> 24, ".", (number >> 16) & 255, ".",
                                            (number >> 8) & 255, ".", number & 255),
                               0)
      .value();
}

SocketAddress V6(uint32_t number) {
  return SocketAddress::FromIp(absl::StrCat("2001:db8:", absl::Hex(number >> 16), ":",
                                            absl::Hex(number & 0xffff), "::1"),
                               0)
      .value();
}

// The argument: millions of networks.
void BM_GuardAddressSet(benchmark::State& state, SocketAddress (*make)(uint32_t)) {
  AddressSet set;
  std::mt19937 random(1);
  std::vector<SocketAddress> sample;
  for (int64_t i = 0; i < state.range(0) * 1'000'000; ++i) {
    const SocketAddress address = make(static_cast<uint32_t>(random()) | 1);
    set.Add(IpNetwork::Parse(address.IpText()).value());
    if (sample.size() < kSample && i % 7 == 0) sample.push_back(address);
  }
  set.Finish();
  for (size_t i = 0; i < sample.size(); i += 2) {
    sample[i] = make(static_cast<uint32_t>(random()));
  }
  size_t i = 0;
  size_t found = 0;
  for (auto _ : state) found += set.Contains(sample[i++ % sample.size()]) ? 1u : 0u;
  CHECK(state.iterations() < 1000 || found > 0);
  state.counters["MB"] = static_cast<double>(set.bytes()) / 1e6;
}
BENCHMARK_CAPTURE(BM_GuardAddressSet, v4, &V4)->Arg(1)->Arg(4);
BENCHMARK_CAPTURE(BM_GuardAddressSet, v6, &V6)->Arg(1)->Arg(4);

// Everything on, from the connection to the good login and the end of the session.
void BM_GuardWholeVisit(benchmark::State& state) {
  Options options;
  options.sessions.user = 100;
  options.sessions.ip = 100;
  options.sessions.prefix = 10'000;
  options.connections.ip = {1'000'000, kSecond};
  options.connections.prefix = {1'000'000, kSecond};
  options.failures.on = true;
  Guard guard(kKey, 100'000);
  CHECK(guard.Prepare(options).ok());
  std::vector<SocketAddress> clients;
  std::vector<std::string> users;
  for (uint32_t i = 0; i < kSample; ++i) {
    clients.push_back(V4(i * 2654435761u));
    users.push_back(absl::StrCat("user", i, "@example.org"));
  }
  TimeNs now = kSecond;
  size_t i = 0;
  for (auto _ : state) {
    now += kMicrosecond;
    const size_t at = i++ % kSample;
    Visit visit(&guard);
    CHECK(guard.LetIn(options, nullptr, clients[at], "pop3s", now) == GuardRefusal::kNone);
    CHECK(guard.TakePlace(options, clients[at], &visit) == GuardRefusal::kNone);
    CHECK(guard.BeginLogin(options, clients[at], users[at], now, &visit) == GuardRefusal::kNone);
    CHECK(guard.Accept(options, 0, now, &visit) == GuardRefusal::kNone);
    guard.EndLogin(options, false, now, &visit);
  }
}
BENCHMARK(BM_GuardWholeVisit);

}  // namespace
}  // namespace postern::guard
