#include "tests/sim/fleet.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "proxy/coro/frame_pool.h"
#include "tests/sim/fleet_parts.h"

namespace postern::sim {
namespace {

constexpr DurationNs kWorldTime = 24 * 3600 * kSecond;
constexpr size_t kRoundsMax = 20'000'000;
// As HealthThread looks.
constexpr DurationNs kLookEvery = kSecond / 2;
constexpr int kFirstPort = 10000;
constexpr const char* kPassword = "secret";

}  // namespace

Fleet::Fleet(uint64_t seed, FleetSpec spec)
    : spec_(std::move(spec)),
      io_(seed, spec_.plan),
      begin_(io_.scheduler().now()),
      seen_(spec_.backends.size()) {
  story_.backends.resize(spec_.backends.size());
  for (size_t i = 0; i < spec_.workers; ++i) {
    stats_.push_back(std::make_unique<metrics::WorkerStats>());
    WorkerOptions options;
    options.first_session_id = 1 + i * 1'000'000'000;
    workers_.push_back(std::make_unique<Worker>(&io_, stats_.back().get(),
                                                static_cast<SessionSink*>(this), options));
  }
  if (spec_.health.probe != config::Probe::kNone) {
    checker_ = std::make_unique<HealthChecker>(&io_, seed);
    io_.scheduler().After(spec_.lasts, [this] { workers_[0]->Post([this] { checker_->Stop(); }); });
    for (DurationNs at = kLookEvery; at < spec_.lasts; at += kLookEvery) {
      if (spec_.health.end_over > 0) io_.scheduler().After(at, [this] { look_due_ = true; });
    }
  }
  for (size_t i = 0; i < spec_.backends.size(); ++i) AddBackend(i);
  Apply();
  for (size_t i = 0; i < spec_.clients.size(); ++i) {
    if (store_.Find(spec_.clients[i].user) == nullptr) {
      store_.Add(spec_.clients[i].user, kPassword, 1, spec_.message_bytes);
    }
    clients_.push_back(nullptr);
    FleetVisit visit;
    visit.name = absl::StrCat("client ", i);
    visit.user = spec_.clients[i].user;
    story_.visits.push_back(std::move(visit));
    io_.scheduler().After(spec_.clients[i].comes, [this, i] { StartClient(i); });
  }
  for (const FleetOrder& order : spec_.orders) {
    io_.scheduler().After(order.at, [this, order] { due_.push_back(order); });
  }
}

Fleet::~Fleet() = default;

std::shared_ptr<routing::BackendState> Fleet::state(size_t backend) {
  return states_.Get(absl::StrCat("mail", backend));
}

// --- backends ------------------------------------------------------------------------------------

class Fleet::Server : public ScriptedServer {
 public:
  Server(Fleet* fleet, size_t backend, Endpoint* endpoint, ServerScript script)
      : ScriptedServer(&fleet->io_, endpoint, &fleet->store_, std::move(script)),
        fleet_(fleet),
        backend_(backend),
        endpoint_(endpoint),
        began_at_(fleet->Now()) {
    endpoint_->KeepPeersWords();
  }

  size_t backend() const { return backend_; }
  void NoteEnd() {
    if (stay_.time.until != kNever) return;
    stay_.time.until = fleet_->Now();
    if (logged_in_) --fleet_->sessions_;
  }
  void Crash() {
    ResetNow();
    NoteEnd();
    crashed_at_ = fleet_->Now();
  }
  bool logged_in() const { return logged_in_; }
  // False when it did not crash, or nobody had told it a password. At the end of the world: the
  // proxy may have spoken before it knew of the crash.
  bool TellTold(FleetTold* told) const {
    const std::string& words = endpoint_->peers_words();
    if (crashed_at_ < 0 || words.find("PASS ") == std::string::npos) return false;
    const size_t user = words.find("USER ") + 5;
    told->user = words.substr(user, words.find('\r', user) - user);
    told->backend = static_cast<int>(backend_);
    told->time = {began_at_, crashed_at_};
    return true;
  }
  FleetStay Tell() const {
    FleetStay stay = stay_;
    stay.user = record().user;
    stay.backend = static_cast<int>(backend_);
    stay.quit = record().quit;
    stay.answer_ends = record().answer_ends;
    return stay;
  }

 protected:
  void OnHeard() override {
    ScriptedServer::OnHeard();
    if (record().logged_in && !logged_in_) {
      logged_in_ = true;
      stay_.time.from = fleet_->Now();
      ++fleet_->sessions_;
      fleet_->sessions_most_ = std::max(fleet_->sessions_most_, fleet_->sessions_);
    }
    // It lets go of the maildrop now.
    if (record().quit) NoteEnd();
  }
  void OnEnd() override {
    ScriptedServer::OnEnd();
    NoteEnd();
  }

 private:
  Fleet* fleet_;
  size_t backend_;
  Endpoint* endpoint_;
  bool logged_in_ = false;
  const DurationNs began_at_;
  DurationNs crashed_at_ = -1;
  FleetStay stay_;
};

void Fleet::AddBackend(size_t index) {
  io_.AddBackend(
      FleetAddress(index),
      [this, index] {
        ConnectAnswer answer;
        Reachable(index, &answer.kind);
        return answer;
      },
      [this, index](Endpoint* endpoint) {
        ServerScript script;
        script.pace = spec_.backends[index].pace;
        if (spec_.backends[index].lingers) script.fault = ServerFault::kNoCloseAfterQuit;
        servers_.push_back(std::make_unique<Server>(this, index, endpoint, std::move(script)));
        servers_.back()->Start();
      });
  for (const FleetOutage& outage : spec_.backends[index].outages) {
    story_.backends[index].outages.push_back(outage.time);
    if (!outage.crash) continue;
    story_.backends[index].crashes.push_back(outage.time.from);
    io_.scheduler().After(outage.time.from, [this, index] { Crash(index); });
  }
}

bool Fleet::Reachable(size_t index, ConnectAnswer::Kind* kind) {
  const DurationNs now = Now();
  for (const FleetOutage& outage : spec_.backends[index].outages) {
    if (now < outage.time.from || now >= outage.time.until) continue;
    if (kind != nullptr) *kind = outage.kind;
    return false;
  }
  return true;
}

void Fleet::Crash(size_t index) {
  for (const std::unique_ptr<Server>& server : servers_) {
    if (server->backend() != index || server->closed()) continue;
    server->Crash();
  }
}

// --- clients -------------------------------------------------------------------------------------

class Fleet::Client : public ScriptedClient {
 public:
  Client(Fleet* fleet, FleetVisit* visit, Endpoint* endpoint)
      : ScriptedClient(&fleet->io_, endpoint), fleet_(fleet), visit_(visit) {}

 protected:
  void OnEnd() override {
    if (visit_->client_ended < 0) visit_->client_ended = fleet_->Now();
    ScriptedClient::OnEnd();
  }

 private:
  Fleet* fleet_;
  FleetVisit* visit_;
};

void Fleet::StartClient(size_t number) {
  const FleetClient& spec = spec_.clients[number];
  FleetVisit* visit = &story_.visits[number];
  visit->came = Now();
  visit->goes_at_once = !spec.quits;
  const auto from =
      SocketAddress::Parse(absl::StrCat("203.0.113.9:", static_cast<size_t>(kFirstPort) + number));
  Endpoint* endpoint = io_.ConnectTo(FleetListener(spec.worker), from.value());
  clients_[number] = std::make_unique<Client>(this, visit, endpoint);
  Client* client = clients_[number].get();
  client->Expect();
  client->Send(absl::StrCat("USER ", spec.user, "\r\n"));
  client->Expect();
  client->Send(absl::StrCat("PASS ", kPassword, "\r\n"));
  client->ExpectLogin();
  for (int i = 0; i < spec.retrievals; ++i) {
    client->Send("RETR 1\r\n");
    client->ExpectMultiline();
  }
  if (spec.stays > 0) client->Wait(spec.stays);
  if (spec.quits) {
    client->Send("QUIT\r\n");
    client->Expect();
    client->WaitForEnd();
  } else {
    client->Leave();
  }
  client->Otherwise();
  client->Send("QUIT\r\n");
  client->WaitForEnd();
  client->Begin();
  if (spec.patience == 0) return;
  io_.scheduler().After(spec.patience, [client, visit] {
    if (client->logged_in() || !client->login_reply().empty() || client->closed()) return;
    visit->gave_up = true;
    client->CloseNow();
  });
}

void Fleet::OnSessionEnd(const SessionRecord& record) {
  const auto number = static_cast<size_t>(record.client.port()) - kFirstPort;
  FleetVisit& visit = story_.visits.at(number);
  ++visit.records;
  visit.ended = Now();
  visit.reason = record.reason;
  visit.why = std::string(record.upstream_error);
  int backend = -1;
  if (absl::SimpleAtoi(record.backend.substr(std::min<size_t>(4, record.backend.size())),
                       &backend)) {
    visit.backend = backend;
  }
}

// --- the run -------------------------------------------------------------------------------------

void Fleet::Round() {
  const DurationNs before = Now();
  // Each has a mailbox of its own; the world is one, so the first one waits for all.
  for (size_t i = 0; i < workers_.size(); ++i) workers_[i]->RunTurn(i == 0 ? kNever : 0);
  if (checker_ != nullptr) checker_->Tidy();
  std::vector<FleetOrder> due;
  due.swap(due_);
  for (const FleetOrder& order : due) Give(order);
  if (std::exchange(look_due_, false)) LookAtChecks();
  AdvanceMoves();
  Sample(before);
  if (look_) look_(*this, Now());
}

void Fleet::Sample(DurationNs before) {
  const TimeNs now = io_.Now();
  const DurationNs since = Now();
  const std::vector<routing::BackendOptions>& configured = snapshot_->config.routing.backends;
  bool usable_primary = false;
  bool open_primary = false;
  for (size_t i = 0; i < seen_.size(); ++i) {
    Seen& seen = seen_[i];
    const auto place = static_cast<size_t>(place_[i]);
    const bool there = place_[i] >= 0;
    const routing::BackendState& state = there ? *snapshot_->backend_states[place] : *seen.state;
    const bool usable =
        there && state.usable(now) && state.weight().Now(configured[place].weight, now) > 0;
    const bool has_room = usable && state.load().HasRoom(configured[place].limits);
    if (there && !configured[place].backup) {
      usable_primary = usable_primary || usable;
      open_primary = open_primary || has_room;
    }
    const bool reachable = Reachable(i, nullptr);
    FleetBackendStory& story = story_.backends[i];
    const bool asked = spec_.pool.eject.failures == 0 || !state.awaits_trial(now);
    // To nobody's wrong: it was open all the time between its two ends, and not tempting outside.
    const bool open = has_room && reachable && asked;
    const bool tempting = has_room && !(reachable && asked);
    seen.open.Note(open, open ? since : before, &story.open);
    seen.tempting.Note(tempting, tempting ? before : since, &story.tempting);
    seen.unasked.Note(!there || state.service() == routing::Service::kDisabled, since,
                      &story.unasked);
    seen.up.Note(state.health() == routing::Health::kUp, since, &story.up);
    seen.down.Note(there && state.health() == routing::Health::kDown, since, &story.down);
  }
  const bool full = usable_primary && !open_primary;
  full_.Note(full, full ? before : since, &story_.full);
  if (spec_.pool.queue.wait > 0 && states_.Queue("mail")->waiting.load() > 0) ++waited_;
}

bool Fleet::AtRest() const {
  if (!io_.quiet() || !due_.empty() || !moves_.empty()) return false;
  if (checker_ != nullptr && !checker_->done()) return false;
  return std::all_of(workers_.begin(), workers_.end(),
                     [](const auto& worker) { return worker->sessions() == 0; });
}

std::vector<std::string> Fleet::Run() {
  size_t rounds = 0;
  const auto too_long = [&] { return ++rounds > kRoundsMax || Now() > kWorldTime; };
  while (!AtRest() && !too_long()) Round();
  for (const std::unique_ptr<Worker>& worker : workers_) worker->Drain(kSecond);
  const auto done = [this] {
    return AtRest() && std::all_of(workers_.begin(), workers_.end(),
                                   [](const auto& worker) { return worker->done(); });
  };
  while (!done() && !too_long()) Round();
  Tell();
  if (!done()) {
    Fail(absl::StrCat("hang after ", rounds, " rounds"));
    for (std::string& failure : CheckFleet(story_)) Fail(std::move(failure));
    // Their own checks would end the process before anybody could read this.
    for (std::unique_ptr<Worker>& worker : workers_) worker.release();
    checker_.release();
    return std::move(failures_);
  }
  CheckBalance();
  for (std::string& failure : CheckFleet(story_)) Fail(std::move(failure));
  return std::move(failures_);
}

void Fleet::Tell() {
  for (size_t i = 0; i < clients_.size(); ++i) {
    if (clients_[i] == nullptr) continue;
    FleetVisit& visit = story_.visits[i];
    const Client& client = *clients_[i];
    visit.logged_in = client.logged_in();
    visit.reply = client.login_reply();
    visit.heard_all = client.finished();
    visit.heard_bytes = client.heard_after_login().size();
  }
  for (const std::unique_ptr<Server>& server : servers_) {
    if (server->logged_in()) story_.stays.push_back(server->Tell());
    FleetTold told;
    if (server->TellTold(&told)) story_.told.push_back(std::move(told));
  }
  for (size_t i = 0; i < seen_.size(); ++i) {
    FleetBackendStory& story = story_.backends[i];
    seen_[i].Finish(&story);
    story.weight = spec_.backends[i].weight;
    story.backup = spec_.backends[i].backup;
  }
  full_.Finish(&story_.full);
  story_.lasted = spec_.lasts;
  FleetPromises& promises = story_.promises;
  promises.affinity = spec_.pool.affinity;
  promises.failover = spec_.pool.failover;
  promises.queue_wait = spec_.pool.queue.wait;
  promises.candidates_max = routing::kCandidatesMax;
  const config::Timeouts& timeouts = snapshot_->config.timeouts;
  promises.attempt =
      snapshot_->config.limits.upstream_tries * (timeouts.upstream_connect + kSecond);
  promises.hold = timeouts.hold - kSecond;
  promises.on_its_way = 4 * spec_.plan.delay_max + 5 * kMillisecond;
  promises.end_over = spec_.health.end_over;
  if (checker_ == nullptr) return;
  // In the worst case a check that has just begun hangs until its time is over, or has just gone
  // well; then the next one comes after an interval, and the others after fast ones.
  const config::Health& health = spec_.health;
  const DurationNs slack = kSecond / 2;
  promises.found_within =
      health.interval + health.jitter + health.timeout +
      (health.fall - 1) * (health.fast_interval + health.jitter + health.timeout) + slack;
  DurationNs answers_within = 0;  // a check that asks for a greeting
  for (const FleetBackend& backend : spec_.backends) {
    answers_within = std::max(answers_within, backend.pace.chunk_delay);
  }
  promises.trusted_within = health.timeout + health.interval + health.jitter +
                            (health.rise - 1) * (health.fast_interval + health.jitter) +
                            health.rise * answers_within + slack;
}

void Fleet::CheckBalance() {
  for (const std::string& violation : io_.violations()) Fail(absl::StrCat("io: ", violation));
  const auto zero = [this](absl::string_view what, size_t value) {
    if (value != 0) Fail(absl::StrCat("balance: ", what, " is ", value));
  };
  zero("open descriptors", io_.open_descriptors());
  zero("buffers lent", io_.buffers_lent());
  zero("operations in flight", io_.ops_in_flight());
  zero("coroutine frames", coro::FramePool::ThisThread().live());
  for (const std::unique_ptr<Worker>& worker : workers_) {
    zero("blocks out", worker->blocks().blocks_out());
    zero("large buffers lent", worker->bulk().blocks_lent());
    zero("pipes lent", worker->bulk().pipes_lent());
    zero("spreads in progress", worker->spread().busy() ? 1 : 0);
  }
  zero("users in the affinity table", states_.affinity()->size());
  zero("logins that wait for a release", static_cast<size_t>(states_.holds()->waiting()));
  const std::shared_ptr<routing::PoolQueue> queue = states_.Queue("mail");
  zero("logins that wait", static_cast<size_t>(queue->waiting.load()));
  zero("logins in the line of the pool", queue->line.size());
  for (size_t i = 0; i < spec_.backends.size(); ++i) {
    zero("seats at a backend", static_cast<size_t>(state(i)->load().seats()));
    zero("logins in progress at a backend", static_cast<size_t>(state(i)->load().logins()));
    zero("logins in the line of a backend", state(i)->line().size());
  }
  for (const std::unique_ptr<metrics::WorkerStats>& stats : stats_) {
    zero("connections_active", static_cast<size_t>(stats->loop().connections_active.Get()));
    for (size_t i = 0; i < registry_.backend_count(); ++i) {
      zero("sessions_active of a backend",
           static_cast<size_t>(stats->backend(i).sessions_active.Get()));
    }
  }
  workers_.clear();
  checker_.reset();
  if (io_.timers().armed() != 0) Fail("balance: timers are still armed");
}

}  // namespace postern::sim
