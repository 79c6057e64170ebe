#include "proxy/admin/status_text.h"

#include "gtest/gtest.h"
#include "proxy/admin/status_json.h"

namespace postern::admin {
namespace {

metrics::StatusSummary Summary() {
  metrics::StatusSummary summary;
  summary.facts.pools = {{"mail", 3, 1, false}, {"spare", 1, 0, true, 3, 100}};
  const auto add = [&summary](const char* name, const metrics::BackendHealth& health,
                              int64_t sessions) {
    metrics::StatusSummary::Backend row;
    row.name = name;
    row.pool = "mail";
    row.health = health;
    row.totals.sessions = sessions;
    summary.backends.push_back(row);
  };
  metrics::BackendHealth up;
  up.health = "up";
  up.changed_seconds_ago = 7300;
  add("mail1", up, 12);
  metrics::BackendHealth down;
  down.health = "down";
  down.up = false;
  down.reason = "greeting: timeout";
  down.changed_seconds_ago = 90;
  add("mail2", down, 0);
  metrics::BackendHealth ejected;
  ejected.health = "unchecked";
  ejected.ejected_seconds_left = 4.2;
  ejected.eject_reason = "connect: refused";
  ejected.weight_set = 50;
  ejected.weight_by = "uid 0 (pid 8)";
  ejected.added = true;
  ejected.added_by = "uid 0 (pid 9)";
  ejected.added_reason = "more room";
  add("mail3", ejected, 1);
  down.service = "draining";
  down.service_by = "uid 0 (pid 7)";
  down.service_reason = "new disks";
  down.service_seconds_ago = 200000;
  add("long-name", down, 3);
  summary.backends.emplace_back();  // one that a reload took away
  summary.backends.back().name = "gone";
  return summary;
}

TEST(StatusText, OneLineForEach) {
  const absl::StatusOr<std::string> text = StatusText(StatusJson(Summary()));
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_EQ(*text,
            "POOL   USABLE  BACKENDS\n"
            "mail   1       3\n"
            "spare  0       1         panic, 3 logins wait\n"
            "\n"
            "BACKEND    POOL  STATE     SINCE     SESSIONS  WHY\n"
            "mail1      mail  up        2 h       12\n"
            "mail2      mail  down      90 s      0         greeting: timeout\n"
            "mail3      mail  ejected   4 s left  1         connect: refused; weight 50 by uid 0 "
            "(pid 8); added by uid 0 (pid 9): more room\n"
            "long-name  mail  draining  2 d       3         by uid 0 (pid 7): new disks\n");
}

TEST(StatusText, WhatOperatorsHaveDoneByHand) {
  metrics::StatusSummary summary;
  summary.facts.holds = summary.facts.held_logins = 1;
  summary.facts.moved_users = summary.facts.moved_groups = 1;
  summary.facts.removed = {{"mail7", "uid 0 (pid 7)", "too old"}, {"mail8", "uid 0 (pid 8)", ""}};
  const absl::StatusOr<std::string> text = StatusText(StatusJson(summary));
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_EQ(text->substr(text->find("1 on hold")),
            "1 on hold, 1 login waits\n"
            "\n"
            "1 moved user\n"
            "\n"
            "1 moved domain or range\n"
            "\n"
            "removed by hand: mail7, by uid 0 (pid 7): too old\n"
            "removed by hand: mail8, by uid 0 (pid 8)\n");
}

TEST(StatusText, HowFullABackendIs) {
  metrics::StatusSummary summary = Summary();
  summary.backends[0].health->sessions_max = 500;
  summary.backends[0].health->seats = 13;
  const absl::StatusOr<std::string> text = StatusText(StatusJson(summary));
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_NE(text->find("mail1      mail  up        2 h       13/500\n"), std::string::npos)
      << *text;
}

TEST(StatusText, SessionsOfABackend) {
  const std::string json = StatusJson(Summary());
  EXPECT_EQ(SessionsOf(json, "mail1").value(), 12);
  EXPECT_EQ(SessionsOf(json, "nobody").value(), 0);
}

TEST(StatusText, AnotherAnswer) {
  for (const char* json : {"", "[]", "{}", "{\"pools\":5}", "{\"pools\":[],\"backends\":[{}]}x"}) {
    EXPECT_FALSE(StatusText(json).ok()) << json;
  }
  EXPECT_FALSE(SessionsOf("{}", "x").ok());
}

}  // namespace
}  // namespace postern::admin
