#include "proxy/admin/status_json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

namespace postern::admin {
namespace {

using Json = nlohmann::json;

template <typename Enum>
size_t At(Enum value) {
  return static_cast<size_t>(value);
}

metrics::StatusSummary Summary() {
  metrics::StatusSummary summary;
  summary.build = {"0.1.0", "OpenSSL 3.0.17"};
  summary.uptime_seconds = 12.5;
  summary.workers = 2;
  summary.facts.io = "uring";
  summary.facts.config_generation = 3;
  summary.facts.reloads_failed = 1;
  summary.facts.certificates.push_back({"/tls/mail.pem", 1.8e9});
  summary.listeners.push_back({"[::]:995", true, {}});
  summary.listeners[0].totals.sessions = 4;
  summary.listeners[0].totals.connections = 5;
  summary.listeners[0].totals.logins[At(metrics::LoginResult::kRefused)] = 6;
  summary.listeners[0].totals.guard_refusals[At(GuardRefusal::kSessionsIp)] = 9;
  summary.listeners[0].totals.guard_delays = 2;
  summary.listeners[0].totals.guard_delay_seconds = 1.5;
  summary.facts.guard.tables.push_back({"failures", 10, 16, 256, 3});
  summary.facts.guard.lists.push_back({"deny", 12});
  metrics::BackendHealth health;
  health.health = "down";
  health.up = false;
  health.reason = "greeting: timeout";
  health.changed_seconds_ago = 9.5;
  health.checks_bad = 3;
  health.ejections = 2;
  health.eject_reason = "greeting: closed";
  health.ejected_seconds_left = 4.5;
  health.service = "draining";
  health.service_seconds_ago = 1.5;
  health.service_by = "uid 0 (pid 7)";
  health.service_reason = "new disks";
  health.weight_configured = 100;
  health.weight_now = 25;
  health.weight_set = 50;
  health.weight_by = "uid 0 (pid 8)";
  health.agent = "50%, drain";
  health.added = true;
  health.added_by = "uid 0 (pid 9)";
  health.added_reason = "more room";
  health.seats = 9;
  health.logins = 2;
  health.sessions_max = 30;
  summary.facts.pools.push_back({"mail", 3, 0, true, 7, 100});
  summary.backends.push_back({"mail1", "mail", false, {}, health});
  summary.backends[0].totals.errors[At(metrics::UpstreamError::kGreetingTimeout)] = 7;
  summary.backends[0].totals.closed[At(CloseReason::kQuit)] = 8;
  summary.backends[0].totals.connect.buckets[0] = 2;
  summary.backends[0].totals.connect.sum_seconds = 0.5;
  return summary;
}

TEST(StatusJson, SaysWhatTheSummarySays) {
  const Json json = Json::parse(StatusJson(Summary()));
  EXPECT_EQ(json["version"], "0.1.0");
  EXPECT_EQ(json["openssl"], "OpenSSL 3.0.17");
  EXPECT_EQ(json["uptime_seconds"], 12.5);
  EXPECT_EQ(json["workers"], 2);
  EXPECT_EQ(json["io"], "uring");
  EXPECT_EQ(json["draining"], false);
  EXPECT_EQ(json["config"]["generation"], 3);
  EXPECT_EQ(json["config"]["reloads_failed"], 1);
  EXPECT_EQ(json["certificates"][0]["file"], "/tls/mail.pem");
  ASSERT_EQ(json["listeners"].size(), 1u);
  const Json& listener = json["listeners"][0];
  EXPECT_EQ(listener["name"], "[::]:995");
  EXPECT_EQ(listener["active"], true);
  EXPECT_EQ(listener["sessions"], 4);
  EXPECT_EQ(listener["connections"], 5);
  EXPECT_EQ(listener["logins"], (Json{{"accepted", 0},
                                      {"refused", 6},
                                      {"unknown_user", 0},
                                      {"unavailable", 0},
                                      {"limited", 0},
                                      {"sys", 0}}));
  EXPECT_EQ(listener["guard_refusals"], (Json{{"sessions_ip", 9}}));
  EXPECT_EQ(listener["guard_delays"], 2);
  EXPECT_EQ(listener["guard_delay_seconds"], 1.5);
  EXPECT_EQ(json["guard"],
            (Json{{"tables", Json::array({Json{{"name", "failures"},
                                               {"entries", 10},
                                               {"capacity", 16},
                                               {"bytes", 256},
                                               {"evictions", 3}}})},
                  {"lists", Json::array({Json{{"name", "deny"}, {"ranges", 12}}})}}));
  ASSERT_EQ(json["backends"].size(), 1u);
  const Json& backend = json["backends"][0];
  EXPECT_EQ(backend["pool"], "mail");
  EXPECT_EQ(backend["health"], (Json{{"state", "down"},
                                     {"up", false},
                                     {"reason", "greeting: timeout"},
                                     {"changed_seconds_ago", 9.5},
                                     {"checks_good", 0},
                                     {"checks_bad", 3},
                                     {"changes", 0},
                                     {"ejections", 2},
                                     {"eject_reason", "greeting: closed"},
                                     {"ejected_seconds_left", 4.5}}));
  EXPECT_EQ(backend["service"], (Json{{"state", "draining"},
                                      {"by", "uid 0 (pid 7)"},
                                      {"reason", "new disks"},
                                      {"changed_seconds_ago", 1.5}}));
  EXPECT_EQ(backend["weight"], (Json{{"configured", 100},
                                     {"now", 25.0},
                                     {"set", 50},
                                     {"by", "uid 0 (pid 8)"},
                                     {"reason", ""}}));
  EXPECT_EQ(backend["load"],
            (Json{{"seats", 9}, {"logins", 2}, {"sessions_max", 30}, {"logins_max", 0}}));
  EXPECT_EQ(backend["backup"], false);
  EXPECT_EQ(backend["agent"], "50%, drain");
  EXPECT_EQ(backend["added"]["by"], "uid 0 (pid 9)");
  EXPECT_EQ(backend["added"]["reason"], "more room");
  EXPECT_EQ(json["pools"][0], (Json{{"name", "mail"},
                                    {"backends", 3},
                                    {"usable", 0},
                                    {"panic", true},
                                    {"waiting", 7},
                                    {"waiting_max", 100}}));
  EXPECT_EQ(backend["active"], false);
  EXPECT_EQ(backend["errors"], (Json{{"greeting_timeout", 7}}));
  EXPECT_EQ(backend["closed"], (Json{{"quit", 8}}));
  EXPECT_EQ(backend["connect_seconds_mean"], 0.25);
  EXPECT_TRUE(backend["login_seconds_mean"].is_null());
}

TEST(StatusJson, EmptyListsStayLists) {
  const Json json = Json::parse(StatusJson(metrics::StatusSummary()));
  for (const char* list : {"listeners", "backends", "certificates"}) {
    EXPECT_TRUE(json[list].is_array()) << list;
  }
}

TEST(StatusJson, NamesAreEscapedAndRepaired) {
  metrics::StatusSummary summary = Summary();
  summary.backends[0].name = "a\"</script>\n\xff";
  const std::string text = StatusJson(summary);
  EXPECT_EQ(text.find('\n'), text.size() - 1);
  EXPECT_EQ(Json::parse(text)["backends"][0]["name"], "a\"</script>\n\xef\xbf\xbd");
}

}  // namespace
}  // namespace postern::admin
