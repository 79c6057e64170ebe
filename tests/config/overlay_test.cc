#include "proxy/config/overlay.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace postern::config {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr char kFile[] = R"(
[[listener]]
address = "[::]:110"
tls = "off"
plaintext_logins = true
[[backend]]
name = "own"
address = "10.0.0.9:110"
weight = 7
[[pool]]
name = "mail"
pipelining = "on"
backends = [
{ name = "mail1", address = "h:1", weight = 50, pipelining = "off", agent = {address = "unix:/a"}},
  { name = "mail2", address = "10.0.0.2:110" }, "own"]
[[route]]
users = "*"
pool = "mail"
)";

AddedBackend Added(const std::string& name, const std::string& like = "") {
  AddedBackend added;
  added.name = name;
  added.pool = "mail";
  added.address = "10.0.0.3:110";
  added.like = like;
  added.who = "me";
  return added;
}

Overlay Adding(const AddedBackend& added) {
  Overlay overlay;
  overlay.added.push_back(added);
  return overlay;
}

Overlay Removing(const std::string& name) {
  Overlay overlay;
  overlay.removed.push_back({name, "me", ""});
  return overlay;
}

std::string Wrong(const Overlay& overlay) {
  const absl::StatusOr<Config> config = ParseWithOverlay(kFile, "f", overlay);
  EXPECT_FALSE(config.ok());
  return std::string(config.status().message());
}

std::vector<std::string> PoolOf(const Config& config) {
  std::vector<std::string> names;
  for (const int index : config.routing.pools[0].backends) {
    names.push_back(config.backends[static_cast<size_t>(index)].name);
  }
  return names;
}

const Backend& Find(const Config& config, const std::string& name, uint32_t* weight) {
  size_t i = 0;
  while (config.backends.at(i).name != name) ++i;
  *weight = config.routing.backends[i].weight;
  return config.backends[i];
}

TEST(OverlayTest, AnAddedBackendHasItsPoolsDefaults) {
  const auto config = ParseWithOverlay(kFile, "f", Adding(Added("mail3")));
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_THAT(PoolOf(*config), ElementsAre("mail1", "mail2", "own", "mail3"));
  uint32_t weight = 0;
  EXPECT_EQ(Find(*config, "mail3", &weight).pipelining, Pipelining::kOn);
  EXPECT_EQ(weight, 100u);
}

TEST(OverlayTest, LikeAnotherOneButForItsAgent) {
  const auto config = ParseWithOverlay(kFile, "f", Adding(Added("mail3", "mail1")));
  ASSERT_TRUE(config.ok()) << config.status();
  uint32_t weight = 0;
  const Backend& backend = Find(*config, "mail3", &weight);
  EXPECT_EQ(backend.pipelining, Pipelining::kOff);
  EXPECT_EQ(weight, 50u);
  EXPECT_EQ(backend.address.host, "10.0.0.3");
  EXPECT_EQ(backend.agent.address.ToString(), SocketAddress().ToString());
}

TEST(OverlayTest, WhatIsSaidComesBeforeWhatTheOtherHas) {
  AddedBackend added = Added("mail3", "mail1");
  added.weight = 0;
  added.tls = "implicit";
  added.server_name = "mail.example.org";
  const auto config = ParseWithOverlay(kFile, "f", Adding(added));
  ASSERT_TRUE(config.ok()) << config.status();
  uint32_t weight = 1;
  const Backend& backend = Find(*config, "mail3", &weight);
  EXPECT_EQ(weight, 0u);
  EXPECT_EQ(backend.tls, UpstreamTls::kImplicit);
  EXPECT_EQ(backend.tls_options.server_name, "mail.example.org");
}

TEST(OverlayTest, LikeOneThatThePoolOnlyNames) {
  const auto config = ParseWithOverlay(kFile, "f", Adding(Added("mail3", "own")));
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_THAT(PoolOf(*config), ElementsAre("mail1", "mail2", "own", "mail3"));
  uint32_t weight = 0;
  EXPECT_EQ(Find(*config, "mail3", &weight).pipelining, Pipelining::kAuto) << "not the pool's";
  EXPECT_EQ(weight, 7u);
}

TEST(OverlayTest, AReplacedBackendIsLikeTheOneThatGoes) {
  Overlay overlay = Adding(Added("mail3", "own"));
  overlay.removed = Removing("own").removed;
  const auto config = ParseWithOverlay(kFile, "f", overlay);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_THAT(PoolOf(*config), ElementsAre("mail1", "mail2", "mail3"));
  EXPECT_THAT(config->backends, SizeIs(3));
}

TEST(OverlayTest, TheNameOfARemovedBackendIsFree) {
  Overlay overlay = Adding(Added("mail1"));
  EXPECT_THAT(Wrong(overlay), HasSubstr("there is a backend \"mail1\" already"));
  overlay.removed = Removing("mail1").removed;
  const auto config = ParseWithOverlay(kFile, "f", overlay);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_THAT(PoolOf(*config), ElementsAre("mail2", "own", "mail1"));
}

TEST(OverlayTest, TheRulesOfTheFileHold) {
  AddedBackend added = Added("mail3");
  added.address = "nowhere:0";
  EXPECT_THAT(Wrong(Adding(added)), StartsWith("address: \"nowhere:0\" has port 0"));
  added = Added("mail3");
  added.ca = "ca.pem";
  EXPECT_THAT(Wrong(Adding(added)), StartsWith("ca means nothing while tls = \"off\""));
  EXPECT_THAT(Wrong(Adding(Added("mail"))), HasSubstr("has the name of the pool in line 11"));
  EXPECT_THAT(Wrong(Adding(Added("-"))), HasSubstr("must be 1 to 64 letters"));
  EXPECT_THAT(Wrong(Adding(Added("mail3", "mail9"))), HasSubstr("has no backend \"mail9\""));
  added = Added("mail3");
  added.pool = "own";
  EXPECT_THAT(Wrong(Adding(added)), HasSubstr("there is no pool \"own\""));
  Overlay all = Removing("mail1");
  all.removed.push_back({"mail2", "me", ""});
  all.removed.push_back({"own", "me", ""});
  EXPECT_THAT(Wrong(all), StartsWith("f:"));
}

TEST(OverlayTest, WhatTheFileSaysByNowIsSettled) {
  Overlay overlay = Adding(Added("mail2"));
  overlay.removed = Removing("mail7").removed;
  const auto fitted = ParseFitting(kFile, "f", overlay);
  ASSERT_TRUE(fitted.ok()) << fitted.status();
  EXPECT_TRUE(fitted->overlay.empty());
  EXPECT_THAT(fitted->settled, ElementsAre(StartsWith("backend mail7: the file has it no longer"),
                                           StartsWith("backend mail2: the file has it now")));
  EXPECT_THAT(fitted->warnings, IsEmpty());
  EXPECT_THAT(PoolOf(fitted->config), SizeIs(3));
}

TEST(OverlayTest, WhatStillFitsIsKept) {
  Overlay overlay = Adding(Added("mail3"));
  overlay.added.push_back(Added("mail4", "mail9"));
  overlay.removed = Removing("mail1").removed;
  overlay.removed.push_back({"mail2", "me", ""});
  const auto fitted = ParseFitting(
      absl::StrCat(kFile, "[[route]]\nusers = \"x\"\nbackend = \"mail2\"\n"), "f", overlay);
  // Nobody reaches a route behind "*": the file is wrong without an overlay, too.
  EXPECT_FALSE(fitted.ok());
  std::string file = kFile;
  file.insert(file.find("[[route]]"), "[[route]]\nusers = \"x\"\nbackend = \"mail2\"\n");
  const auto better = ParseFitting(file, "f", overlay);
  ASSERT_TRUE(better.ok()) << better.status();
  EXPECT_THAT(PoolOf(better->config), ElementsAre("mail2", "own", "mail3"));
  ASSERT_THAT(better->overlay.added, SizeIs(1));
  ASSERT_THAT(better->overlay.removed, SizeIs(1));
  EXPECT_EQ(better->overlay.removed[0].name, "mail1");
  EXPECT_THAT(better->warnings,
              ElementsAre(HasSubstr("backend mail4, added by hand by me, does not fit"),
                          HasSubstr("backend mail2, removed by hand by me, is needed")));
}

TEST(OverlayTest, WhoIsLikeOneThatHasGoneStays) {
  for (const std::string gone : {"mail1", "own"}) {
    Overlay overlay = Adding(Added("mail3", gone));
    RememberModels(kFile, &overlay);
    EXPECT_THAT(overlay.added[0].model, Not(HasSubstr("agent")));
    std::string file = kFile;
    const size_t own = file.find("[[backend]]");
    const size_t pool = file.find("[[pool]]");
    if (gone == "own") {
      file.replace(file.find(", \"own\"]"), 8, "]");
      file.erase(own, pool - own);
    } else {
      const size_t entry = file.find("{ name = \"mail1\"");
      file.erase(entry, file.find("{ name = \"mail2\"") - entry);
    }
    const auto fitted = ParseFitting(file, "f", overlay);
    ASSERT_TRUE(fitted.ok()) << fitted.status();
    EXPECT_THAT(fitted->warnings, IsEmpty());
    uint32_t weight = 0;
    const Backend& added = Find(fitted->config, "mail3", &weight);
    EXPECT_EQ(weight, gone == "own" ? 7u : 50u);
    EXPECT_EQ(added.address.port, 110);
    // What the file does not tell any more is not forgotten.
    Overlay kept = fitted->overlay;
    RememberModels(file, &kept);
    EXPECT_EQ(kept.added[0].model, overlay.added[0].model);
  }
}

TEST(OverlayTest, TheFileSaysMoreThanWhatWasRemembered) {
  Overlay overlay = Adding(Added("mail3", "mail1"));
  RememberModels(kFile, &overlay);
  std::string file = kFile;
  file.replace(file.find("weight = 50"), 11, "weight = 60");
  uint32_t weight = 0;
  Find(ParseFitting(file, "f", overlay)->config, "mail3", &weight);
  EXPECT_EQ(weight, 60u);
}

TEST(OverlayTest, WhatTheJudgeRefusesGoesAloneAndInFewTrials) {
  Overlay overlay;
  for (int i = 0; i < 64; ++i) overlay.added.push_back(Added(absl::StrCat("new", i)));
  overlay.removed = Removing("mail1").removed;
  int trials = 0;
  const auto judge = [&trials](const Config& config) {
    ++trials;
    for (const Backend& backend : config.backends) {
      if (backend.name == "new41") return absl::NotFoundError("no such file");
    }
    return absl::OkStatus();
  };
  const auto fitted = ParseFitting(kFile, "f", overlay, judge);
  ASSERT_TRUE(fitted.ok()) << fitted.status();
  EXPECT_THAT(fitted->overlay.added, SizeIs(63));
  EXPECT_THAT(fitted->overlay.removed, SizeIs(1));
  EXPECT_THAT(PoolOf(fitted->config), SizeIs(2 + 63));
  EXPECT_THAT(fitted->warnings, ElementsAre(AllOf(StartsWith("backend new41, added by hand by me"),
                                                  HasSubstr("no such file"))));
  EXPECT_LT(trials, 20);
  // A file that is bad by itself is what is wrong.
  const auto never = [](const Config&) { return absl::NotFoundError("no map"); };
  EXPECT_EQ(ParseFitting(kFile, "f", overlay, never).status().message(), "no map");
}

TEST(OverlayTest, OneThatIsAddedLetsAnotherGo) {
  std::string file = kFile;
  const size_t list = file.find("{ name = \"mail2\"");
  file.replace(list, file.find("\"own\"]") - list, "");
  Overlay overlay = Adding(Added("mail3"));
  overlay.added.push_back(Added("mail4", "gone"));
  overlay.removed = Removing("mail1").removed;
  overlay.removed.push_back({"own", "me", ""});
  const auto fitted = ParseFitting(file, "f", overlay);
  ASSERT_TRUE(fitted.ok()) << fitted.status();
  EXPECT_THAT(PoolOf(fitted->config), ElementsAre("mail3"));
  EXPECT_THAT(fitted->warnings, SizeIs(1));
}

}  // namespace
}  // namespace postern::config
