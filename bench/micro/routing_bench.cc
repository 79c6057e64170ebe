// What finding a user's backend costs.
//
//   build/release/bin/postern_micro --benchmark_filter='Route|Pick|Choose|Load'
//
// Users are asked for in random order out of a sample spread over the whole map, so that large maps
// pay for the cache lines they do not have. The map of ten million users is a file of 280 MB in
// $TMPDIR (or /tmp), removed as soon as it is loaded.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "proxy/base/check.h"
#include "proxy/base/log.h"
#include "routing/backend_state.h"
#include "routing/balancer.h"
#include "routing/lot_filter.h"
#include "routing/router.h"
#include "routing/stable_hash.h"
#include "routing/user_key.h"

namespace postern::routing {
namespace {

constexpr size_t kSampleUsers = size_t{1} << 18;

// 23 bytes each.
std::string UserName(size_t i) { return absl::StrFormat("user%07d@example.org", i); }

std::string WriteMapFile(size_t users) {
  const char* directory = getenv("TMPDIR");
  std::string path = absl::StrCat(directory == nullptr ? "/tmp" : directory, "/postern_XXXXXX");
  const int fd = mkstemp(path.data());
  CHECK(fd >= 0);
  FILE* file = fdopen(fd, "w");
  CHECK(file != nullptr);
  for (size_t i = 0; i < users; ++i) {
    const std::string line = absl::StrCat(UserName(i), "\tmail", i % 10, "\n");
    CHECK(fwrite(line.data(), 1, line.size(), file) == line.size());
  }
  CHECK(fclose(file) == 0);
  return path;
}

RouterOptions Farm(const std::string& map_file) {
  RouterOptions options;
  PoolOptions pool;
  pool.name = "mail";
  for (int i = 0; i < 10; ++i) {
    BackendOptions backend;
    backend.name = absl::StrCat("mail", i);
    options.backends.push_back(backend);
    pool.backends.push_back(i);
  }
  options.pools.push_back(pool);
  RouteOptions by_map;
  by_map.map_file = map_file;
  RouteOptions by_domain;
  by_domain.users = "*@example.org";
  by_domain.pool = "mail";
  options.routes = {by_map, by_domain};
  return options;
}

std::unique_ptr<const Router> MakeRouter(size_t users) {
  const std::string file = WriteMapFile(users);
  auto router = Router::Create(Farm(file));
  unlink(file.c_str());
  CHECK(router.ok());
  return *std::move(router);
}

// Kept between the runs of one benchmark.
const Router& RouterFor(size_t users) {
  static auto* const routers = new std::map<size_t, std::unique_ptr<const Router>>();
  std::unique_ptr<const Router>& router = (*routers)[users];
  if (router == nullptr) router = MakeRouter(users);
  return *router;
}

std::vector<std::string> Sample(size_t first, size_t users) {
  std::mt19937_64 random(1);
  std::vector<std::string> names;
  names.reserve(kSampleUsers);
  for (size_t i = 0; i < kSampleUsers; ++i) names.push_back(UserName(first + random() % users));
  return names;
}

void RouteSample(benchmark::State& state, const Router& router,
                 const std::vector<std::string>& names) {
  size_t i = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(router.Route(names[i]));
    i = (i + 1) % names.size();
  }
  const auto users = static_cast<double>(router.mapped_users());
  state.counters["bytes_per_user"] = static_cast<double>(router.map_memory_bytes()) / users;
}

void RouteMappedUser(benchmark::State& state) {
  const auto users = static_cast<size_t>(state.range(0));
  RouteSample(state, RouterFor(users), Sample(0, users));
}
BENCHMARK(RouteMappedUser)->Arg(1000)->Arg(1000000)->Arg(10000000);

// Not in the map: the next route's pool of ten takes the user.
void RouteUnmappedUser(benchmark::State& state) {
  const auto users = static_cast<size_t>(state.range(0));
  RouteSample(state, RouterFor(users), Sample(users, users));
}
BENCHMARK(RouteUnmappedUser)->Arg(1000)->Arg(1000000)->Arg(10000000);

void LoadMap(benchmark::State& state) {
  const auto users = static_cast<size_t>(state.range(0));
  const std::string file = WriteMapFile(users);
  for (auto _ : state) {
    const auto router = Router::Create(Farm(file));
    CHECK(router.ok() && (*router)->mapped_users() == users);
  }
  unlink(file.c_str());
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(LoadMap)->Arg(1000000)->Arg(10000000)->Unit(benchmark::kMillisecond);

// What the last owner of a map would wait for; the server leaves it to a thread
// (proxy/router_loader.h).
void ReleaseMap(benchmark::State& state) {
  for (auto _ : state) {
    state.PauseTiming();
    std::unique_ptr<const Router> router = MakeRouter(static_cast<size_t>(state.range(0)));
    state.ResumeTiming();
    router.reset();
  }
}
BENCHMARK(ReleaseMap)->Arg(1000000)->Arg(10000000)->Iterations(1)->Unit(benchmark::kMillisecond);

void Normalise(benchmark::State& state) {
  const UserOptions options;
  std::string key;
  for (auto _ : state) {
    benchmark::DoNotOptimize(NormaliseUser(options, "Alice.Smith@Example.ORG", &key));
  }
}
BENCHMARK(Normalise);

// Without the user's hash: one is as good as another.
void Pick(benchmark::State& state, Balance kind, bool equal, size_t candidates) {
  std::vector<Balancer::Member> members;
  for (int i = 0; i < static_cast<int>(state.range(0)); ++i) {
    members.push_back(
        {absl::StrCat("mail", i), i, static_cast<uint32_t>(equal ? 100 : 90 + i % 20)});
  }
  const Balancer balancer(kind, members);
  std::array<int, Balancer::kPickMax> best{};
  uint64_t user_hash = 1;
  for (auto _ : state) {
    user_hash = MixBits(user_hash + 1);
    benchmark::DoNotOptimize(balancer.Pick(user_hash, absl::MakeSpan(best.data(), candidates)));
  }
}
void PickRendezvous(benchmark::State& state) { Pick(state, Balance::kRendezvous, true, 1); }
void PickRendezvousWeighted(benchmark::State& state) {
  Pick(state, Balance::kRendezvous, false, 1);
}
void PickRendezvousFailover(benchmark::State& state) { Pick(state, Balance::kRendezvous, true, 4); }
void PickMaglev(benchmark::State& state) { Pick(state, Balance::kMaglev, false, 1); }
BENCHMARK(PickRendezvous)->Arg(10)->Arg(100)->Arg(1000);
BENCHMARK(PickRendezvousWeighted)->Arg(10)->Arg(100)->Arg(1000);
BENCHMARK(PickRendezvousFailover)->Arg(10)->Arg(100)->Arg(1000);
BENCHMARK(PickMaglev)->Arg(10)->Arg(100)->Arg(1000);

// A thousand lots, by what the CPU offers: 0 is plain C++.
void FilterLots(benchmark::State& state) {
  const std::vector<LotFilter> filters = LotFilters();
  const auto which = static_cast<size_t>(state.range(0));
  std::vector<uint64_t> seeds(1008);
  for (size_t i = 0; i < seeds.size(); ++i) seeds[i] = MixBits(i);
  std::vector<uint16_t> passing(seeds.size());
  // What four candidates are looked for with.
  const uint64_t least = ~uint64_t{0} / 1008 * (1008 - 11);
  uint64_t user = 1;
  for (auto _ : state) {
    user = MixBits(user + 1);
    benchmark::DoNotOptimize(
        filters[which](seeds.data(), seeds.size(), user, least, passing.data()));
  }
}
BENCHMARK(FilterLots)->DenseRange(0, static_cast<int64_t>(LotFilters().size()) - 1);

// What a login pays for its pool's choice, by what the backends can take at this moment.
// `one_set`: an operator has given one backend another weight.
void ChooseInPool(benchmark::State& state, Balance balance, int load_bound_percent,
                  bool one_set = false) {
  RouterOptions options;
  PoolOptions pool;
  pool.name = "mail";
  pool.failover = true;
  pool.balance = balance;
  pool.load_bound_percent = load_bound_percent;
  BackendStates known;
  BackendStateList states;
  std::mt19937_64 random(1);
  for (int i = 0; i < static_cast<int>(state.range(0)); ++i) {
    BackendOptions backend;
    backend.name = absl::StrCat("mail", i);
    backend.limits.sessions_max = 100000;
    options.backends.push_back(backend);
    pool.backends.push_back(i);
    states.push_back(known.Get(backend.name));
    for (uint64_t seats = 50 + random() % 4; seats > 0; --seats) states.back()->load().TryEnter({});
  }
  log::Configure(log::Level::kError);
  if (one_set) states.front()->SetWeight(50, "bench", "", kSecond);
  options.pools = {pool};
  RouteOptions route;
  route.users = "*";
  route.pool = "mail";
  options.routes = {route};
  const auto router = Router::Create(options).value();
  const std::vector<std::string> names = Sample(0, 1000000);
  size_t i = 0;
  TimeNs now = kSecond;
  for (auto _ : state) {
    // A hundred thousand logins a second.
    benchmark::DoNotOptimize(router->Route(names[i], states, now += 10 * kMicrosecond));
    i = (i + 1) % names.size();
  }
}
void ChooseByHash(benchmark::State& state) { ChooseInPool(state, Balance::kRendezvous, 0); }
void ChooseByHashOneSet(benchmark::State& state) {
  ChooseInPool(state, Balance::kRendezvous, 0, /*one_set=*/true);
}
void ChooseByMaglev(benchmark::State& state) { ChooseInPool(state, Balance::kMaglev, 0); }
void ChooseBounded(benchmark::State& state) { ChooseInPool(state, Balance::kRendezvous, 125); }
void ChooseByTurns(benchmark::State& state) { ChooseInPool(state, Balance::kRoundRobin, 0); }
void ChooseLeastSessions(benchmark::State& state) {
  ChooseInPool(state, Balance::kLeastSessions, 0);
}
BENCHMARK(ChooseByHash)->Arg(10)->Arg(100)->Arg(1000);
BENCHMARK(ChooseByHashOneSet)->Arg(10)->Arg(100)->Arg(1000);
BENCHMARK(ChooseByMaglev)->Arg(10)->Arg(100)->Arg(1000);
BENCHMARK(ChooseBounded)->Arg(10)->Arg(100)->Arg(1000);
BENCHMARK(ChooseByTurns)->Arg(10)->Arg(100)->Arg(1000);
BENCHMARK(ChooseLeastSessions)->Arg(10)->Arg(100)->Arg(1000);

void BuildMaglevTable(benchmark::State& state) {
  std::vector<Balancer::Member> members;
  for (int i = 0; i < static_cast<int>(state.range(0)); ++i) {
    members.push_back({absl::StrCat("mail", i), i, 100});
  }
  for (auto _ : state) benchmark::DoNotOptimize(Balancer(Balance::kMaglev, members).size());
}
BENCHMARK(BuildMaglevTable)->Arg(10)->Arg(100)->Arg(1000)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace postern::routing
