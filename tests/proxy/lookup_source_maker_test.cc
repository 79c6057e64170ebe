#include "proxy/lookup_source_maker.h"

#include <chrono>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proxy/config/config.h"

namespace postern {
namespace {

using ::testing::HasSubstr;
using Kind = routing::LookupAnswer::Kind;

// From the words of a configuration to a source: each type is there, and says that its server,
// which is none, does not answer.
TEST(LookupSourceMaker, EveryTypeComesFromItsConfiguration) {
  for (const std::string type : {
#ifdef POSTERN_POSTGRESQL
           "type = \"postgresql\"\nservers = [\"127.0.0.1:1\"]\ndatabase = \"mail\"\n"
           "user = \"postern\"\nquery = \"SELECT host AS target FROM users WHERE name = $1\"",
#endif
#ifdef POSTERN_MYSQL
           "type = \"mysql\"\nservers = [\"127.0.0.1:1\"]\ndatabase = \"mail\"\n"
           "user = \"postern\"\nquery = \"SELECT host AS target FROM users WHERE name = $1\"",
#endif
#ifdef POSTERN_LDAP
           "type = \"ldap\"\nuris = [\"ldap://127.0.0.1:1\"]\nbase = \"ou=people,dc=example\"\n"
           "filter = \"(mail={user})\"",
#endif
#ifdef POSTERN_REDIS
           "type = \"redis\"\nservers = [\"127.0.0.1:1\"]\nkey = \"mail:{user}\"",
#endif
       }) {
    const std::string text = absl::StrCat(
        "[[listener]]\naddress = \"127.0.0.1:110\"\ntls = \"off\"\nplaintext_logins = true\n"
        "[[backend]]\nname = \"mail1\"\naddress = \"127.0.0.1:111\"\n"
        "[[lookup]]\nname = \"homes\"\n",
        type, "\n[[route]]\nlookup = \"homes\"\n");
    const absl::StatusOr<config::Config> config = config::ParseConfig(text, "/test/postern.toml");
    ASSERT_TRUE(config.ok()) << config.status();
    ASSERT_EQ(config->lookups.size(), 1u);
    EXPECT_TRUE(config->lookups[0].built());
    const absl::StatusOr<routing::LookupFactory> make = PrepareLookup(config->lookups[0]);
    ASSERT_TRUE(make.ok()) << make.status();
    const std::unique_ptr<routing::LookupSource> source = (*make)();
    ASSERT_NE(source, nullptr);
    routing::LookupQuestion question;
    question.user = "anna@example.org";
    const routing::LookupAnswer answer =
        source->Ask(question, std::chrono::steady_clock::now() + std::chrono::seconds(60));
    EXPECT_EQ(answer.kind, Kind::kTemporary) << type;
    EXPECT_THAT(answer.detail, HasSubstr("127.0.0.1")) << type;
  }
}

// Each server by itself, so that one that answers hides none that does not.
TEST(LookupSourceMaker, EachServerCanBeAskedAlone) {
  for (const std::string type : {
#ifdef POSTERN_AUTH_HTTP
           "type = \"auth_http\"\nurls = [\"http://127.0.0.1:1/\", \"http://127.0.0.1:2/\"]",
#endif
#ifdef POSTERN_LDAP
           "type = \"ldap\"\nuris = [\"ldap://127.0.0.1:1\", \"ldap://127.0.0.1:2\"]\n"
           "base = \"ou=people,dc=example\"\nfilter = \"(mail={user})\"",
#endif
#ifdef POSTERN_REDIS
           "type = \"redis\"\nservers = [\"127.0.0.1:1\", \"127.0.0.1:2\"]\nkey = \"mail:{user}\"",
#endif
       }) {
    const std::string text = absl::StrCat(
        "[[listener]]\naddress = \"127.0.0.1:110\"\ntls = \"off\"\nplaintext_logins = true\n"
        "[[backend]]\nname = \"mail1\"\naddress = \"127.0.0.1:111\"\n"
        "[[lookup]]\nname = \"homes\"\n",
        type, "\n[[route]]\nlookup = \"homes\"\nbackend = \"mail1\"\n");
    const absl::StatusOr<config::Config> config = config::ParseConfig(text, "/test/postern.toml");
    ASSERT_TRUE(config.ok()) << config.status();
    const auto servers = PrepareLookupServers(config->lookups[0]);
    ASSERT_TRUE(servers.ok()) << servers.status();
    ASSERT_EQ(servers->size(), 2u) << type;
    for (size_t i = 0; i < 2; ++i) {
      const std::string port = absl::StrCat("127.0.0.1:", i + 1);
      EXPECT_THAT((*servers)[i].name, HasSubstr(port)) << type;
      routing::LookupQuestion question;
      question.user = "anna@example.org";
      question.method = "plain";
      question.client_ip = "192.0.2.1";
      const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
      const routing::LookupAnswer answer = (*servers)[i].alone()->Ask(question, deadline);
      EXPECT_EQ(answer.kind, Kind::kTemporary) << type;
      EXPECT_THAT(answer.detail, HasSubstr(port)) << type;
    }
    // They have left the rest as it was.
    const absl::StatusOr<routing::LookupFactory> all = PrepareLookup(config->lookups[0]);
    ASSERT_TRUE(all.ok());
    EXPECT_NE((*all)(), nullptr);
    EXPECT_EQ(PrepareLookupServers(config->lookups[0])->size(), 2u) << type;
  }
}

#ifdef POSTERN_AUTH_HTTP
TEST(LookupSourceMaker, APolicyServiceIsAskedWithTheSecretOfItsFile) {
  config::Lookup asker;
  auto options = std::make_shared<routing::PolicyOptions>();
  options->urls.push_back({"http://127.0.0.1:1/", "127.0.0.1", ""});
  options->secret_file = "/nonexistent/key";
  asker.server = options;
  EXPECT_THAT(PrepareLookup(asker).status().message(), HasSubstr("/nonexistent/key"));
  options->secret_file.clear();
  const absl::StatusOr<routing::LookupFactory> make = PrepareLookup(asker);
  ASSERT_TRUE(make.ok()) << make.status();
  routing::LookupQuestion question;
  question.method = "allow";
  question.message = "{}";
  const routing::LookupAnswer answer =
      (*make)()->Ask(question, std::chrono::steady_clock::now() + std::chrono::seconds(60));
  EXPECT_EQ(answer.kind, Kind::kTemporary);
  EXPECT_THAT(answer.detail, HasSubstr("127.0.0.1"));
}
#endif

}  // namespace
}  // namespace postern
