// [[lookup]] tables, and routes that name them.
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proxy/config/config.h"

namespace postern::config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr absl::string_view kFarm = R"(
[[listener]]
address = "[::]:110"
tls = "off"
plaintext_logins = true
[[pool]]
name = "mail"
backends = [{ name = "mail1", address = "10.0.0.11:110" }]
)";

absl::StatusOr<Config> Parse(absl::string_view text) {
  return ParseConfig(absl::StrCat(text, kFarm), "/etc/postern/f.toml");
}

// The mistakes, without the name of the file.
std::vector<std::string> Mistakes(absl::string_view text) {
  const absl::StatusOr<Config> config = Parse(text);
  if (config.ok()) return {};
  std::vector<std::string> lines = absl::StrSplit(config.status().message(), '\n');
  for (std::string& line : lines) {
    EXPECT_TRUE(absl::StartsWith(line, "/etc/postern/f.toml:")) << line;
    line.erase(0, std::string("/etc/postern/f.toml:").size());
  }
  return lines;
}

#ifdef POSTERN_AUTH_HTTP

constexpr absl::string_view kSmallest = R"([[lookup]]
name = "auth"
type = "auth_http"
urls = ["http://127.0.0.1:9000/auth"]
[[route]]
lookup = "auth"
)";

TEST(LookupConfig, SmallestHasDefaults) {
  const absl::StatusOr<Config> config = Parse(kSmallest);
  ASSERT_TRUE(config.ok()) << config.status().message();
  ASSERT_EQ(config->lookups.size(), 1u);
  const Lookup& lookup = config->lookups[0];
  EXPECT_EQ(lookup.type, "auth_http");
  EXPECT_EQ(lookup.line, 1);
  EXPECT_EQ(lookup.options.name, "auth");
  EXPECT_EQ(lookup.options.timeout, 3 * kSecond);
  EXPECT_EQ(lookup.options.connections, 4);
  EXPECT_EQ(lookup.options.queue_max, 1000u);
  EXPECT_EQ(lookup.options.ttl, 60 * kSecond);
  EXPECT_EQ(lookup.options.entries, 100000u);
  EXPECT_TRUE(lookup.traits.judges_credentials);
  EXPECT_TRUE(lookup.traits.judges_digests);
  EXPECT_TRUE(lookup.traits.sees_client);
  EXPECT_NE(lookup.make(), nullptr);
  EXPECT_THAT(config->routing.lookups, ElementsAre("auth"));
  EXPECT_EQ(config->routing.routes[0].lookup, "auth");
  EXPECT_EQ(config->routing.routes[0].pool, "");
}

TEST(LookupConfig, EveryKey) {
  const absl::StatusOr<Config> config = Parse(R"([[lookup]]
name = "auth"
type = "auth_http"
timeout = "1s"
connections = 7
queue_max = 8
networks = ["10.0.0.0/8"]
cache = { ttl = "9s", negative_ttl = "1s", entries = 11, stale = "12m", per_client = false }
urls = ["https://auth.example.net/pop3", "unix:/run/auth.sock:/auth", "http://[::1]/"]
strict = true
decode = "percent"
pass_client_certificate = true
headers = { "X-Auth-Key" = "secret" }
ca = "ca.pem"
[[route]]
lookup = "auth"
pool = "mail"
)");
  ASSERT_TRUE(config.ok()) << config.status().message();
  const Lookup& lookup = config->lookups[0];
  EXPECT_EQ(lookup.options.timeout, kSecond);
  EXPECT_EQ(lookup.options.connections, 7);
  EXPECT_EQ(lookup.options.queue_max, 8u);
  EXPECT_EQ(lookup.options.ttl, 9 * kSecond);
  EXPECT_EQ(lookup.options.negative_ttl, kSecond);
  EXPECT_EQ(lookup.options.entries, 11u);
  EXPECT_EQ(lookup.options.stale, 720 * kSecond);
  EXPECT_FALSE(lookup.traits.sees_client);
  ASSERT_EQ(lookup.networks.size(), 1u);
  EXPECT_EQ(config->routing.routes[0].pool, "mail");
}

// A reload keeps what is remembered as long as nothing in the table changes, wherever it stands.
TEST(LookupConfig, FingerprintIsOfTheTableAlone) {
  const auto fingerprint = [](absl::string_view text) {
    const absl::StatusOr<Config> config = Parse(text);
    EXPECT_TRUE(config.ok()) << config.status();
    return config->lookups[0].fingerprint;
  };
  const uint64_t before = fingerprint(kSmallest);
  EXPECT_EQ(fingerprint(absl::StrCat("# moved down\nworkers = 3\n", kSmallest)), before);
  std::string other(kSmallest);
  other.replace(other.find("9000"), 4, "9001");
  EXPECT_NE(fingerprint(other), before);
}

TEST(LookupConfig, JudgesInsteadOfSecrets) {
  EXPECT_THAT(
      Mistakes(absl::StrCat("[auth]\napop = true\nmechanisms = [\"cram-md5\"]\n", kSmallest)),
      ElementsAre());
  EXPECT_THAT(Mistakes(absl::StrCat(kSmallest, R"(
[[backend]]
name = "m"
address = "10.0.0.1:110"
login = "master"
master_user = "proxy"
master_password_file = "/etc/postern/master"
)")),
              ElementsAre());
  // A mechanism that is carried must be taken by whatever an answer may name.
  EXPECT_THAT(Mistakes(absl::StrCat("[auth]\nmechanisms = [\"xoauth2\"]\n", kSmallest)),
              ElementsAre(HasSubstr("shows us no password")));
}

TEST(LookupConfig, MistakesOfUrls) {
  for (const char* url :
       {"", "auth", "ftp://x/", "http://", "http:///x", "http://u:p@h/", "http://h:0/",
        "http://h:x/", "http://h:70000/", "http://a b/", "http://h/#f", "http://[::1/",
        "http://-h/", "unix:", "unix:/", "unix:x", "unix:/x:y", "http://h\xc3\xa4/"}) {
    const std::vector<std::string> mistakes =
        Mistakes(absl::StrCat("[[lookup]]\nname = \"a\"\ntype = \"auth_http\"\nurls = [\"", url,
                              "\"]\n[[route]]\nlookup = \"a\"\n"));
    ASSERT_EQ(mistakes.size(), 1u) << url;
    EXPECT_THAT(mistakes[0], HasSubstr("4:9: ")) << url;
    EXPECT_THAT(mistakes[0], HasSubstr("; write ")) << url;
  }
}

TEST(LookupConfig, Mistakes) {
  const std::string head = "[[lookup]]\nname = \"auth\"\ntype = \"auth_http\"\n";
  const std::string urls = "urls = [\"http://127.0.0.1/\"]\n";
  const std::string route = "[[route]]\nlookup = \"auth\"\n";
  EXPECT_THAT(Mistakes(absl::StrCat(head, route)),
              ElementsAre(HasSubstr("[[lookup]] has no urls; write urls = ")));
  EXPECT_THAT(Mistakes(absl::StrCat(head, "urls = []\n", route)),
              ElementsAre(HasSubstr("4:8: urls is empty; write")));
  EXPECT_THAT(Mistakes(absl::StrCat(head, urls, "ca = \"x\"\n", route)),
              ElementsAre(HasSubstr("ca means nothing where no URL begins with https://; remove")));
  EXPECT_THAT(Mistakes(absl::StrCat(head, urls, "headers = { \"Auth-User\" = \"x\" }\n", route)),
              ElementsAre(HasSubstr("header \"Auth-User\" is the protocol's own; remove it")));
  EXPECT_THAT(Mistakes(absl::StrCat(head, urls, "headers = { \"a b\" = \"x\" }\n", route)),
              ElementsAre(HasSubstr("is not letters, digits and hyphens; write")));
  EXPECT_THAT(Mistakes(absl::StrCat(head, urls, "headers = { X = \"a\\r\\nb\" }\n", route)),
              ElementsAre(HasSubstr("control character")));
  EXPECT_THAT(Mistakes(absl::StrCat(head, urls, "url = \"x\"\n", route)),
              ElementsAre(HasSubstr("did you mean \"urls\"?")));
  EXPECT_THAT(Mistakes(absl::StrCat(head, urls, "cache = { tll = \"1s\" }\n", route)),
              ElementsAre(HasSubstr("did you mean \"ttl\"?")));
  EXPECT_THAT(Mistakes(absl::StrCat(head, urls, "networks = [\"10.0.0.1/8\"]\n", route)),
              ElementsAre(HasSubstr("5:13: networks: ")));
  EXPECT_THAT(Mistakes(absl::StrCat(head, urls, head, urls, route)),
              ElementsAre(HasSubstr("has the name of the one in line 1; give each its own")));
  EXPECT_THAT(Mistakes(absl::StrCat("[[lookup]]\nname = \"auth\"\n", route)),
              ElementsAre(HasSubstr("[[lookup]] has no type; write type = ")));
  EXPECT_THAT(Mistakes(absl::StrCat("[[lookup]]\nname = \"auth\"\ntype = \"auth-http\"\n", route)),
              ElementsAre(HasSubstr("did you mean \"auth_http\"?")));
}

TEST(LookupConfig, MistakesOfRoutes) {
  const std::string head(kSmallest.substr(0, kSmallest.find("[[route]]")));
  EXPECT_THAT(Mistakes(absl::StrCat(head, "[[route]]\nlookup = \"aut\"\n")),
              ElementsAre(HasSubstr("there is no lookup \"aut\"; did you mean \"auth\"?")));
  EXPECT_THAT(Mistakes("[[route]]\nlookup = \"auth\"\n"),
              ElementsAre(HasSubstr("there is no lookup \"auth\"; define it with [[lookup]]")));
  EXPECT_THAT(Mistakes(absl::StrCat(head, "[[route]]\nlookup = \"auth\"\nusers = \"*\"\n")),
              ElementsAre(HasSubstr("both lookup and users; write two routes")));
  EXPECT_THAT(Mistakes(absl::StrCat(head, "[[route]]\nlookup = \"auth\"\npool = \"mial\"\n")),
              ElementsAre(HasSubstr("did you mean \"mail\"?")));
  EXPECT_THAT(Mistakes(absl::StrCat(
                  head, "[[route]]\nlookup = \"auth\"\npool = \"mail\"\nbackend = \"mail1\"\n")),
              ElementsAre(HasSubstr("both pool and backend")));
  // Behind everybody nobody is left.
  EXPECT_THAT(Mistakes(absl::StrCat(head,
                                    "[[route]]\nusers = \"*\"\npool = \"mail\"\n[[route]]\n"
                                    "lookup = \"auth\"\n")),
              ElementsAre(HasSubstr("nobody reaches this route")));
}

#else

TEST(LookupConfig, WithoutAuthHttpItSaysSo) {
  EXPECT_THAT(Mistakes("[[lookup]]\nname = \"a\"\ntype = \"auth_http\"\nurls = [\"http://h/\"]\n"
                       "[[route]]\nlookup = \"a\"\n"),
              ElementsAre(HasSubstr("3:8: this postern was built without auth_http; build it")));
}

#endif

}  // namespace
}  // namespace postern::config
