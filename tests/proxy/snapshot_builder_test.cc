#include "proxy/snapshot_builder.h"

#include <sys/stat.h>

#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/tls/test_certificates.h"

namespace postern {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

config::Config Parse(const std::string& text) {
  absl::StatusOr<config::Config> config = config::ParseConfig(text, "postern.toml");
  EXPECT_TRUE(config.ok()) << config.status();
  return *std::move(config);
}

constexpr char kFarm[] = R"(
hostname = "pop.example.net"
[[listener]]
address = "127.0.0.1:1110"
tls = "off"
plaintext_logins = true
[[pool]]
name = "mail"
backends = [
  { name = "mail1", address = "127.0.0.1:2110" },
  { name = "mail2", address = "store.example.net:110" },
]
[[route]]
users = "*"
pool = "mail"
)";

TEST(SnapshotBuilder, LiteralAddressesAreKnownAtOnceNamesAreNot) {
  metrics::Registry registry;
  const auto snapshot = BuildSnapshot(Parse(kFarm), &registry, 7);
  ASSERT_TRUE(snapshot.ok()) << snapshot.status();
  EXPECT_EQ((*snapshot)->generation, 7u);
  ASSERT_NE((*snapshot)->addresses->Get(0), nullptr);
  EXPECT_EQ((*snapshot)->addresses->Get(0)->front().ToString(), "127.0.0.1:2110");
  EXPECT_EQ((*snapshot)->addresses->Get(1), nullptr);
  EXPECT_THAT((*snapshot)->backend_pools, ElementsAre("mail", "mail"));
  EXPECT_TRUE((*snapshot)->dialogues[0].plaintext_logins);
  EXPECT_EQ((*snapshot)->dialogues[0].hostname, "pop.example.net");
}

TEST(SnapshotBuilder, MetricIdsStayAcrossReloads) {
  metrics::Registry registry;
  const auto first = BuildSnapshot(Parse(kFarm), &registry, 1);
  std::string other = kFarm;
  other.replace(other.find("mail1"), 5, "mail0");
  const auto second = BuildSnapshot(Parse(other), &registry, 2);
  const auto third = BuildSnapshot(Parse(kFarm), &registry, 3);
  ASSERT_TRUE(first.ok() && second.ok() && third.ok());
  EXPECT_EQ((*first)->backend_stats, (*third)->backend_stats);
  EXPECT_NE((*first)->backend_stats[0], (*second)->backend_stats[0]);
  EXPECT_EQ((*first)->backend_stats[1], (*second)->backend_stats[1]);
}

TEST(SnapshotBuilder, EveryFileThatIsMissingIsNamed) {
  metrics::Registry registry;
  const std::string base = kFarm;
  const auto with_map = BuildSnapshot(Parse(base.substr(0, base.find("[[route]]")) +
                                            "[[route]]\nmap = \"/nonexistent/users.map\"\n"),
                                      &registry, 1);
  ASSERT_FALSE(with_map.ok());
  EXPECT_THAT(std::string(with_map.status().message()), HasSubstr("/nonexistent/users.map"));

  const auto with_secrets = BuildSnapshot(
      Parse(base + "[auth]\napop = true\nsecrets = \"/nonexistent/secrets\"\n"), &registry, 1);
  ASSERT_FALSE(with_secrets.ok());
  EXPECT_THAT(std::string(with_secrets.status().message()), HasSubstr("/nonexistent/secrets"));

  std::string tls = base;
  tls.replace(tls.find("tls = \"off\"\nplaintext_logins = true"), 35,
              "tls = \"implicit\"                      ");
  const auto shared = BuildSnapshot(
      Parse(tls + "[tls]\ncertificates = [{ chain = \"/nonexistent/c.pem\", key = \"/k.pem\" }]\n"),
      &registry, 1);
  ASSERT_TRUE(shared.ok()) << shared.status();
  tls::Library library;
  const auto worker = BuildWorkerSnapshot(*shared, &library, nullptr);
  ASSERT_FALSE(worker.ok());
  EXPECT_THAT(std::string(worker.status().message()), HasSubstr("/nonexistent/c.pem"));
}

// A login is looked up by what [users] makes of its name; other spellings would lie there in vain.
TEST(SnapshotBuilder, SecretsAreForNamesAsTheyAreLookedUp) {
  metrics::Registry registry;
  const tls::testing::TestDirectory directory;
  const std::string path = directory.path() + "/secrets";
  const std::string config = absl::StrCat(kFarm, "[auth]\napop = true\nsecrets = \"", path,
                                          "\"\n[users]\ndefault_domain = \"example.net\"\n");
  const auto build_with = [&](const std::string& user) {
    std::ofstream(path) << "# comment\n" << user << ":hunter2-marker\n";
    EXPECT_EQ(chmod(path.c_str(), 0600), 0);
    return BuildSnapshot(Parse(config), &registry, 1).status();
  };
  EXPECT_TRUE(build_with("alice@example.net").ok());
  for (const char* user : {"alice", "alice@Example.NET"}) {
    const std::string message(build_with(user).message());
    EXPECT_THAT(message, HasSubstr(path + ":2: [users] makes \"alice@example.net\" of this user"));
    EXPECT_THAT(message, Not(HasSubstr("hunter2")));
  }
  EXPECT_THAT(std::string(build_with("@example.net").message()),
              HasSubstr("nothing before the '@'"));
}

#ifdef POSTERN_AUTH_HTTP
TEST(SnapshotBuilder, FilesOfLookupsAreLookedAtBeforehand) {
  metrics::Registry registry;
  const absl::StatusOr<std::shared_ptr<Snapshot>> snapshot =
      BuildSnapshot(Parse(absl::StrCat(kFarm, R"(
[[lookup]]
name = "auth"
type = "auth_http"
urls = ["https://auth.example.net/"]
ca = "/nowhere/ca.pem"
)")),
                    &registry, 1);
  ASSERT_FALSE(snapshot.ok());
  EXPECT_THAT(std::string(snapshot.status().message()), HasSubstr("/nowhere/ca.pem"));
}
#endif

}  // namespace
}  // namespace postern
