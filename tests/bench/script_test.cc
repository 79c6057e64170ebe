#include "bench/load/script.h"

#include <gtest/gtest.h>

#include <string>

namespace postern::load {
namespace {

Step Make(Verb verb, uint64_t first = 1, uint64_t last = 1) {
  Step step;
  step.verb = verb;
  step.first = first;
  step.last = last;
  return step;
}

std::string Problem(absl::string_view text) {
  return std::string(ParseScript(text, "a.script").status().message());
}

TEST(ScriptTest, EveryStepCanBeWritten) {
  const absl::StatusOr<Script> script = ParseScript(
      "# a comment\n"
      "  CAPA\n"
      "login   # another\n"
      "\n"
      "stat\r\n"
      "list\n"
      "uidl\n"
      "retr 2\n"
      "retr 1-5\n"
      "retr all\n"
      "top 3 10\n"
      "top all 0\n"
      "dele 1-2\n"
      "rset\n"
      "noop\n"
      "pause 200ms\n"
      "idle 1m\n"
      "idle 60s noop 5s\n"
      "until 2m\n"
      "quit",
      "a.script");
  ASSERT_TRUE(script.ok()) << script.status();
  Step top = Make(Verb::kTop, 3, 3);
  top.lines = 10;
  Step pause = Make(Verb::kPause);
  pause.pause = 200 * kMillisecond;
  Step silent = Make(Verb::kIdle);
  silent.pause = 60 * kSecond;
  Step nagging = silent;
  nagging.noop_every = 5 * kSecond;
  Step until = Make(Verb::kUntil);
  until.pause = 120 * kSecond;
  const Script expected = {Make(Verb::kCapa),
                           Make(Verb::kLogin),
                           Make(Verb::kStat),
                           Make(Verb::kList),
                           Make(Verb::kUidl),
                           Make(Verb::kRetr, 2, 2),
                           Make(Verb::kRetr, 1, 5),
                           Make(Verb::kRetr, 1, Step::kAll),
                           top,
                           Make(Verb::kTop, 1, Step::kAll),
                           Make(Verb::kDele, 1, 2),
                           Make(Verb::kRset),
                           Make(Verb::kNoop),
                           pause,
                           silent,
                           nagging,
                           until,
                           Make(Verb::kQuit)};
  EXPECT_EQ(*script, expected);
  EXPECT_EQ(PausesOf(*script), 200 * kMillisecond + 240 * kSecond);
}

TEST(ScriptTest, QuitIsAddedWhereNothingEndsTheSession) {
  EXPECT_EQ(ParseScript("login\n", "x")->back().verb, Verb::kQuit);
  EXPECT_EQ(ParseScript("login\nclose\n", "x")->back().verb, Verb::kClose);
  EXPECT_EQ(ParseScript("login\nclose\n", "x")->size(), 2u);
}

TEST(ScriptTest, MistakesNameFileLineAndWhatIsWrong) {
  EXPECT_EQ(Problem("login\nfetch 1\n"),
            "a.script:2: \"fetch\" is no step; the steps are: capa login stat list uidl retr top "
            "dele rset noop idle pause until quit close");
  EXPECT_EQ(Problem("login\n\nretr\n"), "a.script:3: write retr 1, retr 1-5 or retr all");
  EXPECT_EQ(Problem("login\nretr 5-1\n"),
            "a.script:2: \"5-1\" is no range of message numbers; write 3, 1-5 or all");
  EXPECT_EQ(Problem("stat\n"), "a.script:1: this needs a login before it");
  EXPECT_EQ(Problem("login\nlogin\n"), "a.script:2: the second login");
  EXPECT_EQ(Problem("login\nretr all\n"),
            "a.script:2: \"all\" needs a stat, list or uidl before it");
  EXPECT_EQ(Problem("login\nquit\nnoop\n"), "a.script:3: nothing can follow quit or close");
  EXPECT_EQ(Problem("# nothing\n"),
            "a.script: no steps; write one a line, such as login, stat, quit");
  EXPECT_EQ(Problem("pause long\n"),
            "a.script:1: \"long\" is no duration of up to a day; write 200ms, 1.5s or 2m");
}

TEST(ScriptTest, OtherMistakesAreRefused) {
  for (const char* text :
       {"login\nretr 0", "login\nretr 1-", "login\nretr x", "login\nretr -1", "login now",
        "login\ntop 1", "login\ntop 1 x", "login\ndele", "pause", "pause -1s", "pause 25h",
        "login\nidle 1s noop", "login\nidle 1s each 1s", "login\nidle 1s noop 0s",
        "login\nretr 99999999999999999999"}) {
    EXPECT_FALSE(ParseScript(text, "x").ok()) << text;
  }
  EXPECT_FALSE(ReadScript("/nowhere/a.script").ok());
}

TEST(NamedScriptTest, AreStepsLikeAnyOther) {
  ScriptDetails details;
  EXPECT_EQ(MakeScript(ScriptName::kHandshake, details), Script{Make(Verb::kQuit)});
  EXPECT_EQ(MakeScript(ScriptName::kLogin, details), *ParseScript("login\nquit", "x"));
  EXPECT_EQ(MakeScript(ScriptName::kPoll, details), *ParseScript("login\nstat\nuidl\nquit", "x"));
  EXPECT_EQ(MakeScript(ScriptName::kFetch, details),
            *ParseScript("login\nlist\nretr 1-10\nquit", "x"));
  details.fetch_max = 4;
  details.remove = true;
  EXPECT_EQ(MakeScript(ScriptName::kFetch, details),
            *ParseScript("login\nlist\nretr 1-4\ndele 1-4\nquit", "x"));
  details.fetch_max = 0;
  EXPECT_EQ(MakeScript(ScriptName::kFetch, details), *ParseScript("login\nlist\nquit", "x"));
  details.hold = 60 * kSecond;
  details.noop_every = 5 * kSecond;
  EXPECT_EQ(MakeScript(ScriptName::kIdle, details),
            *ParseScript("login\nidle 60s noop 5s\nquit", "x"));
}

}  // namespace
}  // namespace postern::load
