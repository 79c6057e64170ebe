// How a pool spreads its users, how much its backends take, and who waits: reads these keys and
// compares them with each other.
#include <cmath>

#include "absl/strings/str_cat.h"
#include "proxy/config/draft.h"
#include "proxy/config/value_syntax.h"

namespace postern::config {
namespace {

using routing::Balance;

constexpr DurationNs kHour = 3600 * kSecond;
constexpr int kManyMax = 1000000;

bool ParseQueue(const TomlNode& table, Diagnostics* diagnostics, routing::QueueRules* rules) {
  TableReader reader(table, "queue", diagnostics);
  rules->wait = 10 * kSecond;
  reader.Duration("wait", 100 * kMillisecond, kHour / 6, &rules->wait);
  reader.Int("max", 1, kManyMax, &rules->waiting_max);
  reader.Finish();
  return true;
}

// What sends users to backends that are not their own needs backends that share the mail.
void NeedFailover(const BalanceDraft& draft, absl::string_view what, Position where,
                  Diagnostics* diagnostics) {
  if (draft.failover.value || (draft.failover.written && !draft.failover.good)) return;
  diagnostics->Add(where,
                   absl::StrCat(what,
                                " takes users to other backends than their own, which is right "
                                "only where every backend sees the same mail; write failover = "
                                "true, or remove this"));
}

}  // namespace

void ParseAgent(const TomlNode& table, Diagnostics* diagnostics, Agent* agent) {
  TableReader reader(table, "agent", diagnostics);
  std::string text;
  if (!reader.Has("address")) reader.Missing("address", "address = \"10.0.0.11:9999\"");
  if (reader.String("address", &text)) {
    const absl::StatusOr<SocketAddress> address = SocketAddress::Parse(text);
    if (address.ok() && (address->is_unix() || address->port() != 0)) {
      agent->address = *address;
    } else {
      reader.Add(reader.At("address"),
                 absl::StrCat("address = \"", text,
                              "\" is no place to ask; write an IP address and a port as "
                              "\"10.0.0.11:9999\", or \"unix:/run/agent.sock\""));
    }
  }
  reader.Duration("interval", 100 * kMillisecond, kHour, &agent->interval);
  reader.Duration("timeout", 100 * kMillisecond, 60 * kSecond, &agent->timeout);
  reader.Finish();
}

void ParseLimits(TableReader* reader, UpstreamDraft* upstream) {
  ReadSetting(*reader, "max_sessions", &upstream->max_sessions,
              [&](int* out) { return reader->Int("max_sessions", 1, kManyMax, out); });
  ReadSetting(*reader, "max_logins_in_flight", &upstream->max_logins_in_flight,
              [&](int* out) { return reader->Int("max_logins_in_flight", 1, kManyMax, out); });
}

void ParseBalance(TableReader* reader, Diagnostics* diagnostics, BalanceDraft* draft) {
  ReadSetting(*reader, "balance", &draft->balance, [&](Balance* out) {
    return reader->Word<Balance>("balance",
                                 {{"user-hash", Balance::kRendezvous},
                                  {"rendezvous", Balance::kRendezvous},
                                  {"maglev", Balance::kMaglev},
                                  {"least-sessions", Balance::kLeastSessions},
                                  {"round-robin", Balance::kRoundRobin}},
                                 out);
  });
  ReadSetting(*reader, "failover", &draft->failover,
              [&](bool* out) { return reader->Bool("failover", out); });
  ReadSetting(*reader, "load_bound", &draft->load_bound,
              [&](double* out) { return reader->Decimal("load_bound", 1.01, 100, out); });
  ReadSetting(*reader, "slow_start", &draft->slow_start,
              [&](DurationNs* out) { return reader->Duration("slow_start", kSecond, kHour, out); });
  ReadSetting(*reader, "queue", &draft->queue, [&](routing::QueueRules* out) {
    const TomlNode* table = reader->Table("queue");
    return table != nullptr && ParseQueue(*table, diagnostics, out);
  });
}

void ResolveBalance(const BalanceDraft& draft, const Draft& whole, routing::PoolOptions* options,
                    Diagnostics* diagnostics) {
  options->balance = draft.balance.value;
  options->failover = draft.failover.value;
  options->load_bound_percent = static_cast<int>(std::lround(draft.load_bound.value * 100));
  options->slow_start = draft.slow_start.value;
  if (draft.queue.good) options->queue = draft.queue.value;
  const bool by_user = routing::IsByUser(draft.balance.value);
  if (!by_user) {
    const absl::string_view word =
        draft.balance.value == Balance::kRoundRobin ? "round-robin" : "least-sessions";
    NeedFailover(draft, absl::StrCat("balance = \"", word, "\""), draft.balance.position,
                 diagnostics);
    if (draft.load_bound.written) {
      diagnostics->Add(draft.load_bound.position,
                       absl::StrCat("load_bound means nothing with balance = \"", word,
                                    "\", which looks at no user; remove it"));
    }
  } else if (draft.load_bound.good) {
    NeedFailover(draft, "load_bound", draft.load_bound.position, diagnostics);
  }
  if (draft.slow_start.good) {
    NeedFailover(draft, "slow_start", draft.slow_start.position, diagnostics);
  }
  for (const int index : options->backends) {
    const BackendDraft& backend = whole.backends[static_cast<size_t>(index)];
    if (backend.backup.value) {
      NeedFailover(draft, "a backup", backend.backup.position, diagnostics);
    }
  }
  if (draft.queue.good && options->queue.wait > whole.config.timeouts.login) {
    diagnostics->Add(
        draft.queue.position,
        absl::StrCat("nobody waits ", DurationText(options->queue.wait),
                     ": a login is given up after ", DurationText(whole.config.timeouts.login),
                     "; make wait shorter, or login in [timeouts] longer"));
  }
}

}  // namespace postern::config
