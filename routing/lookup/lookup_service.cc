#include "routing/lookup/lookup_service.h"

#include <pthread.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "proxy/base/log.h"
#include "proxy/base/log_limit.h"
#include "routing/lookup/breaker.h"

namespace postern::routing {

struct LookupTicket {
  LookupKey key;
  LookupService::Done done;
  std::atomic<bool> given_up{false};
};

namespace {

using Kind = LookupAnswer::Kind;

// How often forgotten answers are looked for.
constexpr std::chrono::seconds kSweepInterval(1);
// Between two warnings about answers that cannot be used.
constexpr DurationNs kWarningPeriod = 10 * kSecond;

// One question, and everybody who waits for its answer.
struct Flight {
  LookupKey key;
  LookupQuestion question;
  TimeNs deadline = 0;
  bool remembered = true;  // its answer is, and others may join it
  bool probe = false;
  std::vector<LookupTicketPtr> waiters;

  bool Wanted() const {
    for (const LookupTicketPtr& waiter : waiters) {
      if (!waiter->given_up.load(std::memory_order_relaxed)) return true;
    }
    return false;
  }
};

AnswerPtr Temporary(std::string detail) {
  return std::make_shared<const LookupAnswer>(
      LookupAnswer::Of(Kind::kTemporary, std::move(detail)));
}

// A source that has words for the client has judged; without any it has failed.
bool IsFailure(const LookupAnswer& answer) {
  return answer.kind == Kind::kTemporary && answer.refusal.empty();
}

void Count(LookupCounters::Count* count, uint64_t n = 1) {
  count->fetch_add(n, std::memory_order_relaxed);
}

}  // namespace

absl::string_view LookupKindName(Kind kind) {
  switch (kind) {
    case Kind::kFound:
      return "found";
    case Kind::kUnknown:
      return "unknown";
    case Kind::kTemporary:
      return "temporary";
    case Kind::kForbidden:
      return "forbidden";
    case Kind::kWait:
      return "wait";
  }
  return "";
}

struct LookupService::Core {
  Core(const LookupOptions& lookup_options, const LookupTraits& lookup_traits,
       LookupFactory source_factory, LookupDigest key_digest,
       std::shared_ptr<LookupCounters> lookup_counters, std::function<TimeNs()> lookup_clock)
      : options(lookup_options),
        traits(lookup_traits),
        factory(std::move(source_factory)),
        digest(std::move(key_digest)),
        counters(std::move(lookup_counters)),
        clock(std::move(lookup_clock)),
        cache(lookup_options.entries),
        breaker(lookup_options.breaker_failures, lookup_options.breaker_probe) {}

  const LookupOptions options;
  const LookupTraits traits;
  const LookupFactory factory;
  const LookupDigest digest;
  const std::shared_ptr<LookupCounters> counters;
  const std::function<TimeNs()> clock;
  AnswerCache cache;
  LogLimit warnings{kWarningPeriod};

  mutable std::mutex mutex;
  std::condition_variable work;   // something is queued, or the end
  std::condition_variable quiet;  // a thread has ended, or a call of `done`
  // Everything below under the mutex.
  Breaker breaker;
  std::deque<std::shared_ptr<Flight>> queue;
  absl::flat_hash_map<LookupKey, std::shared_ptr<Flight>> flights;  // those that may be joined
  size_t waiting = 0;
  size_t in_flight = 0;
  size_t threads = 0;
  size_t calling = 0;
  bool stopping = false;

  std::string Title() const {
    return options.title.empty() ? absl::StrCat("lookup ", options.name) : options.title;
  }
  bool Remembers(const LookupQuestion& question) const;
  AnswerPtr Fallback(const LookupKey& key, TimeNs now, std::string why);
  AnswerPtr Enqueue(LookupQuestion question, const LookupKey& key, TimeNs now, Done done,
                    LookupTicketPtr* ticket);
  void DropUnwanted(TimeNs now);
  std::shared_ptr<Flight> Next(bool sweeps);
  void Serve(LookupSource* source, const std::shared_ptr<Flight>& flight);
  void Finish(const std::shared_ptr<Flight>& flight, LookupAnswer answer, bool asked,
              DurationNs took);
  void Remember(const Flight& flight, const AnswerPtr& answer, TimeNs now);
  void Judge(const LookupAnswer& answer, TimeNs now);
  static void Run(const std::shared_ptr<Core>& core, size_t number);
};

// Digests come once. A carried exchange shows a judging source nothing that it could judge.
bool LookupService::Core::Remembers(const LookupQuestion& question) const {
  return !traits.judges_credentials || (question.digest.empty() && !question.password.empty());
}

// A stale refusal helps nobody: [SYS/TEMP] is harmless, and it is the truth.
AnswerPtr LookupService::Core::Fallback(const LookupKey& key, TimeNs now, std::string why) {
  const AnswerCache::Hit hit = cache.Find(key, now, options.stale);
  if (hit.answer != nullptr && (hit.fresh || hit.answer->kind == Kind::kFound)) {
    Count(hit.fresh ? &counters->hits : &counters->stale);
    return hit.answer;
  }
  return Temporary(std::move(why));
}

void LookupService::Core::DropUnwanted(TimeNs now) {
  // Deadlines are in the order of the queue.
  while (!queue.empty() && (now >= queue.front()->deadline || !queue.front()->Wanted())) {
    const std::shared_ptr<Flight> flight = std::move(queue.front());
    queue.pop_front();
    Count(&counters->expired);
    waiting -= flight->waiters.size();
    const auto place = flights.find(flight->key);
    if (place != flights.end() && place->second == flight) flights.erase(place);
    // Their askers look at their own watches: whoever has not given up yet does so now.
  }
}

AnswerPtr LookupService::Core::Enqueue(LookupQuestion question, const LookupKey& key, TimeNs now,
                                       Done done, LookupTicketPtr* ticket) {
  const bool remembered = Remembers(question);
  std::unique_lock<std::mutex> lock(mutex);
  if (stopping) return Temporary("the lookup is ending");
  const auto join = remembered ? flights.find(key) : flights.end();
  const bool joins = join != flights.end();
  const Breaker::Gate gate = joins ? Breaker::Gate::kPass : breaker.Knock(now);
  if (gate == Breaker::Gate::kRefuse) {
    lock.unlock();
    Count(&counters->breaker);
    return Fallback(key, now, "not asked: the lookup has failed too often");
  }
  const size_t waiting_max = options.queue_max + static_cast<size_t>(options.connections);
  if (waiting >= waiting_max) DropUnwanted(now);
  if (waiting >= waiting_max) {
    lock.unlock();
    Count(&counters->queue_full);
    return Fallback(key, now, "not asked: too many questions wait");
  }
  *ticket = std::make_shared<LookupTicket>();
  (*ticket)->key = key;
  (*ticket)->done = std::move(done);
  ++waiting;
  if (joins) {
    Count(&counters->coalesced);
    join->second->waiters.push_back(*ticket);
    return nullptr;
  }
  auto flight = std::make_shared<Flight>();
  flight->key = key;
  flight->question = std::move(question);
  flight->deadline = now + options.timeout;
  flight->remembered = remembered;
  flight->probe = gate == Breaker::Gate::kProbe;
  flight->waiters.push_back(*ticket);
  if (remembered) flights.emplace(key, flight);
  queue.push_back(std::move(flight));
  // A thread that is woken under the lock takes the core, finds the lock taken and sleeps again.
  lock.unlock();
  work.notify_one();
  return nullptr;
}

std::shared_ptr<Flight> LookupService::Core::Next(bool sweeps) {
  std::unique_lock<std::mutex> lock(mutex);
  while (!stopping) {
    DropUnwanted(clock());
    if (!queue.empty()) {
      std::shared_ptr<Flight> flight = std::move(queue.front());
      queue.pop_front();
      ++in_flight;
      return flight;
    }
    if (!sweeps) {
      work.wait(lock);
    } else if (work.wait_for(lock, kSweepInterval) == std::cv_status::timeout) {
      lock.unlock();
      cache.Sweep(clock(), options.stale);
      lock.lock();
    }
  }
  return nullptr;
}

void LookupService::Core::Serve(LookupSource* source, const std::shared_ptr<Flight>& flight) {
  {
    const std::lock_guard<std::mutex> lock(mutex);
    if (breaker.open() && !flight->probe) source = nullptr;
  }
  if (source == nullptr) {
    Finish(flight, LookupAnswer::Of(Kind::kTemporary, "not asked: the lookup has failed too often"),
           /*asked=*/false, 0);
    return;
  }
  const TimeNs began = clock();
  const auto left = std::chrono::nanoseconds(flight->deadline - began);
  LookupAnswer answer = source->Ask(
      flight->question, std::chrono::steady_clock::now() +
                            std::chrono::duration_cast<std::chrono::steady_clock::duration>(left));
  Finish(flight, std::move(answer), /*asked=*/true, clock() - began);
}

void LookupService::Core::Remember(const Flight& flight, const AnswerPtr& answer, TimeNs now) {
  if (!flight.remembered || answer->kind == Kind::kTemporary || answer->kind == Kind::kWait) return;
  const DurationNs configured = answer->kind == Kind::kFound ? options.ttl : options.negative_ttl;
  const DurationNs ttl = configured == 0 ? 0 : answer->ttl.value_or(configured);
  // What was true before is not to come back as a stale answer.
  if (ttl <= 0) return cache.Erase(flight.key);
  Count(&counters->evictions, cache.Put(flight.key, answer, now, now + ttl));
}

void LookupService::Core::Judge(const LookupAnswer& answer, TimeNs now) {
  if (IsFailure(answer)) {
    if (breaker.OnFailure(now)) {
      log::Warning(absl::StrCat(Title(), ": ", options.breaker_failures,
                                " failures in a row, the last one: ", answer.detail, "; ",
                                options.silence.empty()
                                    ? "logins that need it are told to come back until it answers"
                                    : options.silence));
    }
  } else if (breaker.OnSuccess()) {
    log::Info(absl::StrCat(Title(), ": answers again"));
  }
}

void LookupService::Core::Finish(const std::shared_ptr<Flight>& flight, LookupAnswer given,
                                 bool asked, DurationNs took) {
  const TimeNs now = clock();
  const auto own = std::make_shared<const LookupAnswer>(std::move(given));
  if (asked) {
    Count(&counters->answers[static_cast<size_t>(own->kind)]);
    size_t bucket = 0;
    const double seconds = static_cast<double>(took) / static_cast<double>(kSecond);
    while (bucket < kLookupSecondsBounds.size() && seconds > kLookupSecondsBounds[bucket]) ++bucket;
    Count(&counters->seconds[bucket]);
    Count(&counters->nanoseconds, took > 0 ? static_cast<uint64_t>(took) : 0);
    Remember(*flight, own, now);
  }
  const AnswerPtr answer = IsFailure(*own) ? Fallback(flight->key, now, own->detail) : own;
  std::vector<LookupTicketPtr> waiters;
  {
    const std::lock_guard<std::mutex> lock(mutex);
    --in_flight;
    waiting -= flight->waiters.size();
    const auto place = flights.find(flight->key);
    if (place != flights.end() && place->second == flight) flights.erase(place);
    if (asked) Judge(*own, now);
    if (stopping) return;
    waiters.swap(flight->waiters);
    ++calling;
  }
  for (const LookupTicketPtr& waiter : waiters) {
    if (!waiter->given_up.load(std::memory_order_relaxed)) waiter->done(answer);
  }
  {
    const std::lock_guard<std::mutex> lock(mutex);
    --calling;
  }
  quiet.notify_all();
}

void LookupService::Core::Run(const std::shared_ptr<Core>& core, size_t number) {
  pthread_setname_np(pthread_self(), absl::StrCat("lookup-", number).c_str());
  {
    const std::unique_ptr<LookupSource> source = core->factory();
    while (const std::shared_ptr<Flight> flight = core->Next(/*sweeps=*/number == 0)) {
      core->Serve(source.get(), flight);
    }
  }
  {
    const std::lock_guard<std::mutex> lock(core->mutex);
    --core->threads;
  }
  core->quiet.notify_all();
}

absl::StatusOr<std::shared_ptr<LookupService>> LookupService::Start(
    const LookupOptions& options, const LookupTraits& traits, LookupFactory factory,
    LookupDigest digest, std::shared_ptr<LookupCounters> counters, std::function<TimeNs()> clock) {
  auto core = std::make_shared<Core>(options, traits, std::move(factory), std::move(digest),
                                     std::move(counters), std::move(clock));
  std::shared_ptr<LookupService> service(new LookupService(core));
  for (int i = 0; i < options.connections; ++i) {
    {
      const std::lock_guard<std::mutex> lock(core->mutex);
      ++core->threads;
    }
    try {
      std::thread([core, i] { Core::Run(core, static_cast<size_t>(i)); }).detach();
    } catch (const std::system_error& error) {
      const std::lock_guard<std::mutex> lock(core->mutex);
      --core->threads;
      return absl::ResourceExhaustedError(
          absl::StrCat(core->Title(), ": no thread: ", error.what()));
    }
  }
  return service;
}

LookupService::LookupService(std::shared_ptr<Core> core) : core_(std::move(core)) {}

LookupService::~LookupService() { Stop(0); }

AnswerPtr LookupService::Ask(LookupQuestion question, TimeNs now, Done done,
                             LookupTicketPtr* ticket) {
  const LookupKey key = KeyOf(question, core_->traits, core_->digest);
  if (core_->Remembers(question)) {
    AnswerCache::Hit hit = core_->cache.Find(key, now, core_->options.stale);
    if (hit.fresh) {
      Count(&core_->counters->hits);
      return std::move(hit.answer);
    }
  }
  Count(&core_->counters->misses);
  return core_->Enqueue(std::move(question), key, now, std::move(done), ticket);
}

AnswerPtr LookupService::GiveUp(const LookupTicketPtr& ticket, TimeNs now) {
  ticket->given_up.store(true, std::memory_order_relaxed);
  Count(&core_->counters->timed_out);
  return core_->Fallback(ticket->key, now, "no answer in time");
}

void LookupService::Forget(const LookupTicketPtr& ticket) {
  ticket->given_up.store(true, std::memory_order_relaxed);
}

void LookupService::Stop(DurationNs patience) {
  std::unique_lock<std::mutex> lock(core_->mutex);
  core_->stopping = true;
  core_->queue.clear();
  core_->flights.clear();
  core_->work.notify_all();
  // They only hand an answer over.
  core_->quiet.wait(lock, [this] { return core_->calling == 0; });
  core_->quiet.wait_for(lock, std::chrono::nanoseconds(patience),
                        [this] { return core_->threads == 0; });
}

std::optional<uint64_t> LookupService::MayWarn(TimeNs now) { return core_->warnings.Pass(now); }
const LookupOptions& LookupService::options() const { return core_->options; }
const LookupTraits& LookupService::traits() const { return core_->traits; }
const LookupCounters& LookupService::counters() const { return *core_->counters; }

LookupReport LookupService::Report() const {
  LookupReport report;
  {
    const std::lock_guard<std::mutex> lock(core_->mutex);
    report.waiting = core_->waiting;
    report.queued = core_->queue.size();
    report.in_flight = core_->in_flight;
    report.breaker_open = core_->breaker.open();
  }
  report.entries = core_->cache.size();
  return report;
}

}  // namespace postern::routing
