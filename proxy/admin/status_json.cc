#include "proxy/admin/status_json.h"

#include <array>
#include <nlohmann/json.hpp>

#include "absl/strings/string_view.h"
#include "metrics/worker_stats.h"
#include "proxy/base/close_reason.h"
#include "proxy/base/guard_refusal.h"

namespace postern::admin {
namespace {

using Json = nlohmann::json;

enum class Zeros { kShow, kLeaveOut };

template <typename Enum, size_t kCount>
Json CountsByName(const std::array<uint64_t, kCount>& counts, absl::string_view (*name_of)(Enum),
                  Zeros zeros) {
  Json result = Json::object();
  for (size_t i = 0; i < kCount; ++i) {
    if (counts[i] == 0 && zeros == Zeros::kLeaveOut) continue;
    result[std::string(name_of(static_cast<Enum>(i)))] = counts[i];
  }
  return result;
}

Json Mean(const metrics::LatencyTotals& totals) {
  if (totals.Count() == 0) return nullptr;
  return totals.MeanSeconds();
}

Json ListenerJson(const metrics::StatusSummary::Listener& row) {
  const metrics::ListenerTotals& totals = row.totals;
  Json json;
  json["name"] = row.name;
  json["active"] = row.active;
  json["sessions"] = totals.sessions;
  json["connections"] = totals.connections;
  json["logins"] = CountsByName(totals.logins, &metrics::LoginResultName, Zeros::kShow);
  json["closed"] = CountsByName(totals.closed, &CloseReasonName, Zeros::kLeaveOut);
  json["tls_versions"] =
      CountsByName(totals.tls_versions, &metrics::TlsVersionName, Zeros::kLeaveOut);
  json["tls_resumed"] = totals.tls_resumed;
  json["bytes_in"] = totals.bytes_in;
  json["bytes_out"] = totals.bytes_out;
  json["bad_commands"] = totals.bad_commands;
  json["stls_injections"] = totals.stls_injections;
  json["guard_refusals"] = CountsByName(totals.guard_refusals, &GuardRefusalName, Zeros::kLeaveOut);
  json["guard_delays"] = totals.guard_delays;
  json["guard_delay_seconds"] = totals.guard_delay_seconds;
  json["handshake_seconds_mean"] = Mean(totals.handshake);
  json["login_seconds_mean"] = Mean(totals.login);
  return json;
}

Json BackendJson(const metrics::StatusSummary::Backend& row) {
  const metrics::BackendTotals& totals = row.totals;
  Json json;
  json["name"] = row.name;
  json["pool"] = row.pool;
  json["active"] = row.active;
  if (row.health.has_value()) {
    const metrics::BackendHealth& health = *row.health;
    json["health"] = {{"state", health.health},          {"up", health.up},
                      {"reason", health.reason},         {"checks_good", health.checks_good},
                      {"checks_bad", health.checks_bad}, {"changes", health.changes},
                      {"ejections", health.ejections},   {"eject_reason", health.eject_reason}};
    json["service"] = {
        {"state", health.service}, {"by", health.service_by}, {"reason", health.service_reason}};
    json["service"]["changed_seconds_ago"] =
        health.service_seconds_ago < 0 ? Json(nullptr) : Json(health.service_seconds_ago);
    json["backup"] = health.backup;
    json["weight"] = {{"configured", health.weight_configured},
                      {"now", health.weight_now},
                      {"set", health.weight_set < 0 ? Json(nullptr) : Json(health.weight_set)},
                      {"by", health.weight_by},
                      {"reason", health.weight_reason}};
    json["agent"] = health.agent;
    json["added"] = nullptr;
    if (health.added) json["added"] = {{"by", health.added_by}, {"reason", health.added_reason}};
    json["load"] = {{"seats", health.seats},
                    {"logins", health.logins},
                    {"sessions_max", health.sessions_max},
                    {"logins_max", health.logins_max}};
    json["health"]["ejected_seconds_left"] =
        health.ejected_seconds_left < 0 ? Json(nullptr) : Json(health.ejected_seconds_left);
    json["health"]["changed_seconds_ago"] =
        health.changed_seconds_ago < 0 ? Json(nullptr) : Json(health.changed_seconds_ago);
  }
  json["sessions"] = totals.sessions;
  json["sessions_total"] = totals.sessions_total;
  json["connects"] = totals.connects;
  json["logins"] = CountsByName(totals.logins, &metrics::LoginResultName, Zeros::kShow);
  json["errors"] = CountsByName(totals.errors, &metrics::UpstreamErrorName, Zeros::kLeaveOut);
  json["closed"] = CountsByName(totals.closed, &CloseReasonName, Zeros::kLeaveOut);
  json["bytes_to"] = totals.bytes_to;
  json["bytes_from"] = totals.bytes_from;
  json["bytes_spliced"] = totals.bytes_spliced;
  json["messages_retrieved"] = totals.messages_retrieved;
  json["connect_seconds_mean"] = Mean(totals.connect);
  json["greeting_seconds_mean"] = Mean(totals.greeting);
  json["login_seconds_mean"] = Mean(totals.login);
  json["queue_seconds_mean"] = Mean(totals.queue);
  json["queued"] = totals.queue.Count();
  return json;
}

Json GuardJson(const metrics::GuardFacts& guard) {
  Json json = {{"tables", Json::array()}, {"lists", Json::array()}};
  for (const metrics::GuardFacts::Table& table : guard.tables) {
    json["tables"].push_back({{"name", table.name},
                              {"entries", table.entries},
                              {"capacity", table.capacity},
                              {"bytes", table.bytes},
                              {"evictions", table.evictions}});
  }
  for (const metrics::GuardFacts::List& list : guard.lists) {
    json["lists"].push_back({{"name", list.name}, {"ranges", list.ranges}});
  }
  return json;
}

}  // namespace

std::string StatusJson(const metrics::StatusSummary& summary) {
  const metrics::ServerFacts& facts = summary.facts;
  Json json;
  json["version"] = summary.build.version;
  json["openssl"] = summary.build.openssl;
  json["uptime_seconds"] = summary.uptime_seconds;
  json["workers"] = summary.workers;
  json["io"] = facts.io;
  json["draining"] = facts.draining;
  json["config"] = {{"generation", facts.config_generation},
                    {"reloads_ok", facts.reloads_ok},
                    {"reloads_failed", facts.reloads_failed},
                    {"loaded_unix_seconds", facts.last_reload_unix_seconds},
                    {"insecure_upstreams", facts.insecure_upstreams}};
  json["log_lines_dropped"] = facts.log_lines_dropped;
  json["holds"] = facts.holds;
  json["held_logins"] = facts.held_logins;
  json["moved_users"] = facts.moved_users;
  json["moved_groups"] = facts.moved_groups;
  json["removed"] = Json::array();
  for (const metrics::ServerFacts::Removed& removed : facts.removed) {
    json["removed"].push_back(
        {{"name", removed.name}, {"by", removed.by}, {"reason", removed.reason}});
  }
  json["certificates"] = Json::array();
  for (const metrics::ServerFacts::Certificate& certificate : facts.certificates) {
    json["certificates"].push_back(
        {{"file", certificate.file}, {"expiry_unix_seconds", certificate.expiry_unix_seconds}});
  }
  json["guard"] = GuardJson(facts.guard);
  json["listeners"] = Json::array();
  for (const auto& listener : summary.listeners)
    json["listeners"].push_back(ListenerJson(listener));
  json["pools"] = Json::array();
  for (const metrics::PoolHealth& pool : facts.pools) {
    json["pools"].push_back({{"name", pool.name},
                             {"backends", pool.backends},
                             {"usable", pool.usable},
                             {"panic", pool.panic},
                             {"waiting", pool.waiting},
                             {"waiting_max", pool.waiting_max}});
  }
  json["backends"] = Json::array();
  for (const auto& backend : summary.backends) json["backends"].push_back(BackendJson(backend));
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace postern::admin
