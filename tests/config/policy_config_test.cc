// The policy service of [guard].
#include <fstream>
#include <iterator>
#include <regex>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proxy/config/config.h"

namespace postern::config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// The lines of [guard.policy] are those from the second on.
absl::StatusOr<Config> Parse(absl::string_view policy) {
  return ParseConfig(absl::StrCat("[guard.policy]\n", policy, R"(
[[listener]]
address = "[::]:110"
tls = "off"
plaintext_logins = true
[[backend]]
name = "mail1"
address = "10.0.0.1:110"
[[route]]
users = "*"
backend = "mail1"
)"),
                     "/etc/postern/f.toml");
}

std::vector<std::string> Mistakes(absl::string_view policy) {
  const absl::StatusOr<Config> config = Parse(policy);
  if (config.ok()) return {};
  std::vector<std::string> lines;
  for (absl::string_view line : absl::StrSplit(config.status().message(), '\n')) {
    EXPECT_THAT(std::string(line), StartsWith("/etc/postern/f.toml:"));
    line.remove_prefix(sizeof("/etc/postern/f.toml:") - 1);
    lines.emplace_back(line);
  }
  return lines;
}

#ifdef POSTERN_AUTH_HTTP

constexpr absl::string_view kSmallest =
    "urls = [\"http://127.0.0.1:8084/\"]\nhash_nonce_file = \"nonce\"\n";

const routing::PolicyOptions& ServiceOf(const Lookup& asker) {
  return *std::get<std::shared_ptr<routing::PolicyOptions>>(asker.server);
}

TEST(PolicyConfig, OffByDefault) {
  const absl::StatusOr<Config> config = ParseConfig(R"([guard]
[[listener]]
address = "[::]:110"
tls = "off"
plaintext_logins = true
[[backend]]
name = "mail1"
address = "10.0.0.1:110"
[[route]]
users = "*"
backend = "mail1"
)",
                                                    "f");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_FALSE(config->policy.on());
}

TEST(PolicyConfig, SmallestHasDefaults) {
  const absl::StatusOr<Config> config = Parse(kSmallest);
  ASSERT_TRUE(config.ok()) << config.status();
  const Policy& policy = config->policy;
  EXPECT_EQ(policy.nonce_file, "/etc/postern/nonce");
  EXPECT_EQ(policy.hash_bits, 12);
  EXPECT_FALSE(policy.fail_closed);
  EXPECT_EQ(policy.tarpit_max, 30 * kSecond);
  ASSERT_EQ(policy.askers.size(), 2u);
  EXPECT_EQ(policy.askers[0].options.name, "allow");
  EXPECT_EQ(policy.askers[1].options.name, "report");
  for (const Lookup& asker : policy.askers) {
    EXPECT_TRUE(asker.built());
    EXPECT_EQ(asker.options.timeout, 2 * kSecond);
    EXPECT_EQ(asker.options.connections, 4);
    EXPECT_EQ(asker.options.queue_max, 1000u);
    // Nothing is remembered, and nobody joins another's question.
    EXPECT_EQ(asker.options.ttl, 0);
    EXPECT_EQ(asker.options.negative_ttl, 0);
    EXPECT_EQ(asker.options.stale, 0);
    EXPECT_TRUE(asker.traits.judges_credentials);
    EXPECT_EQ(asker.password_file, "");
    const routing::PolicyOptions& service = ServiceOf(asker);
    ASSERT_EQ(service.urls.size(), 1u);
    EXPECT_EQ(service.urls[0].url, "http://127.0.0.1:8084/");
    EXPECT_EQ(service.key_header, "");
    EXPECT_EQ(service.user, "");
  }
  // Sources of the two may be made at the same time.
  EXPECT_NE(&ServiceOf(policy.askers[0]), &ServiceOf(policy.askers[1]));
  // The guard's own tables are not needed for it.
  EXPECT_FALSE(config->guard.any());
}

TEST(PolicyConfig, EveryKey) {
  const absl::StatusOr<Config> config = Parse(R"(urls = ["https://a.example/x?y=z", "unix:/run/p"]
ca = "ca.pem"
key_file = "key"
key_header = "X-Key"
hash_nonce_file = "/run/nonce"
hash_truncate = 16
timeout = "1s"
connections = 9
queue_max = 7
fail = "closed"
tarpit_max = "5s"
report = false)");
  ASSERT_TRUE(config.ok()) << config.status();
  const Policy& policy = config->policy;
  ASSERT_EQ(policy.askers.size(), 1u);
  const Lookup& asker = policy.askers[0];
  EXPECT_EQ(asker.options.timeout, kSecond);
  EXPECT_EQ(asker.options.connections, 9);
  EXPECT_EQ(asker.options.queue_max, 7u);
  EXPECT_THAT(asker.options.silence, HasSubstr("told to come back"));
  EXPECT_THAT(asker.files, ElementsAre("/etc/postern/ca.pem"));
  EXPECT_EQ(asker.password_file, "/etc/postern/key");
  const routing::PolicyOptions& service = ServiceOf(asker);
  ASSERT_EQ(service.urls.size(), 2u);
  EXPECT_EQ(service.urls[1].unix_path, "/run/p");
  EXPECT_EQ(service.ca_file, "/etc/postern/ca.pem");
  EXPECT_EQ(service.key_header, "X-Key");
  EXPECT_EQ(service.secret_file, "/etc/postern/key");
  EXPECT_EQ(policy.nonce_file, "/run/nonce");
  EXPECT_EQ(policy.hash_bits, 16);
  EXPECT_TRUE(policy.fail_closed);
  EXPECT_EQ(policy.tarpit_max, 5 * kSecond);
}

TEST(PolicyConfig, AUserWithAPassword) {
  const absl::StatusOr<Config> config =
      Parse(absl::StrCat(kSmallest, "user = \"wforce\"\npassword_file = \"password\""));
  ASSERT_TRUE(config.ok()) << config.status();
  const routing::PolicyOptions& service = ServiceOf(config->policy.askers[1]);
  EXPECT_EQ(service.user, "wforce");
  EXPECT_EQ(service.key_header, "");
  EXPECT_EQ(service.secret_file, "/etc/postern/password");
}

TEST(PolicyConfig, TheHeaderOfAKeyHasADefault) {
  const absl::StatusOr<Config> config = Parse(absl::StrCat(kSmallest, "key_file = \"key\""));
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(ServiceOf(config->policy.askers[0]).key_header, "X-API-Key");
}

TEST(PolicyConfig, WhatIsMissing) {
  EXPECT_THAT(Mistakes(""), ElementsAre(HasSubstr("urls"), HasSubstr("hash_nonce_file")));
  EXPECT_THAT(Mistakes(absl::StrCat(kSmallest, "key_header = \"X-Key\"")),
              ElementsAre(HasSubstr("key_file")));
  EXPECT_THAT(Mistakes(absl::StrCat(kSmallest, "user = \"u\"")),
              ElementsAre(HasSubstr("password_file")));
  EXPECT_THAT(Mistakes(absl::StrCat(kSmallest, "password_file = \"p\"")),
              ElementsAre(HasSubstr("user = \"wforce\"")));
}

TEST(PolicyConfig, OneMistakeAtItsPlace) {
  const auto one = [](absl::string_view line, absl::string_view mistake) {
    EXPECT_THAT(Mistakes(absl::StrCat(kSmallest, line)),
                ElementsAre(StartsWith(std::string(mistake))));
  };
  one("hash_truncat = 12", "4:1: unknown key \"hash_truncat\" in policy; did you mean");
  one("hash_truncate = -1", "4:17: hash_truncate = -1");
  one("hash_truncate = 256", "4:17: hash_truncate = 256");
  one("fail = \"shut\"", "4:8: fail = \"shut\"");
  one("timeout = \"1ms\"", "4:11: timeout = \"1ms\" is out of range");
  one("tarpit_max = \"6m\"", "4:14: tarpit_max = \"6m\" is out of range");
  one("connections = 0", "4:15: connections = 0");
  one("ca = \"ca.pem\"", "4:6: ca means nothing where no URL begins with https://");
  one("key_file = \"k\"\nkey_header = \"a b\"", "5:14: key_header = \"a b\" is not letters");
  one("key_file = \"k\"\nkey_header = \"host\"",
      "5:14: key_header = \"host\" is the request's own");
  one("password_file = \"p\"\nuser = \"a:b\"", "5:8: user has a colon");
  one("password_file = \"p\"\nuser = \"u\"\nkey_file = \"k\"",
      "4:17: the service is shown both a key and a password");
}

TEST(PolicyConfig, UrlsAreThoseOfAService) {
  const auto of = [](absl::string_view urls) {
    return Mistakes(absl::StrCat("hash_nonce_file = \"n\"\nurls = [", urls, "]"));
  };
  EXPECT_THAT(of(""), ElementsAre(StartsWith("3:8: urls is empty")));
  EXPECT_THAT(of("\"http://u:p@h/\""), ElementsAre(HasSubstr("is no URL of a service")));
  EXPECT_THAT(of("\"http://user:s3cret@h/x?key=s3cret\""),
              ElementsAre(HasSubstr("\"http://...@h/x?...\" is no URL of a service")));
  EXPECT_THAT(of("\"h:1/x?key=s3cret\""), ElementsAre(HasSubstr("\"h:1/x?...\" is no URL")));
  EXPECT_THAT(of("\"ftp://h/\""), ElementsAre(HasSubstr("is no URL of a service")));
}

std::string ReadAll(absl::string_view file) {
  std::ifstream stream(absl::StrCat(POSTERN_SOURCE_DIR, "/deploy/", file));
  return {std::istreambuf_iterator<char>(stream), {}};
}

// The block of the example, without its marks: real keys, and the defaults where there are some.
TEST(PolicyConfig, TheExampleShowsTheDefaults) {
  const std::string example = ReadAll("examples/postern.toml");
  const size_t begin = example.find("# [guard.policy]\n");
  ASSERT_NE(begin, std::string::npos);
  const std::regex setting("# ([a-z_]+) = .*");
  const std::string page = ReadAll("man/postern.toml.5");
  std::string text;
  int keys = 0;
  std::smatch match;
  for (const absl::string_view line :
       absl::StrSplit(absl::string_view(example).substr(example.find('\n', begin) + 1), '\n')) {
    const std::string whole(line);
    if (!std::regex_match(whole, match, setting)) break;
    ++keys;
    const std::string key = match[1];
    EXPECT_TRUE(std::regex_search(page, std::regex("(Sy|,) " + key + "[ \n]"))) << key;
    absl::StrAppend(&text, line.substr(2), "\n");
  }
  EXPECT_EQ(keys, 12);  // all but those of Basic authentication
  const absl::StatusOr<Config> shown = Parse(text);
  ASSERT_TRUE(shown.ok()) << shown.status();
  const absl::StatusOr<Config> smallest = Parse(kSmallest);
  ASSERT_TRUE(smallest.ok()) << smallest.status();
  EXPECT_EQ(shown->policy.hash_bits, smallest->policy.hash_bits);
  EXPECT_EQ(shown->policy.fail_closed, smallest->policy.fail_closed);
  EXPECT_EQ(shown->policy.tarpit_max, smallest->policy.tarpit_max);
  ASSERT_EQ(shown->policy.askers.size(), smallest->policy.askers.size());
  const routing::LookupOptions& options = shown->policy.askers[0].options;
  EXPECT_EQ(options.timeout, smallest->policy.askers[0].options.timeout);
  EXPECT_EQ(options.connections, smallest->policy.askers[0].options.connections);
  EXPECT_EQ(options.queue_max, smallest->policy.askers[0].options.queue_max);
  EXPECT_EQ(ServiceOf(shown->policy.askers[0]).key_header, "X-API-Key");
}

#else

TEST(PolicyConfig, IsNotBuilt) {
  EXPECT_THAT(Mistakes("urls = [\"http://127.0.0.1:8084/\"]"),
              ElementsAre(HasSubstr("built without policy services")));
}

#endif

}  // namespace
}  // namespace postern::config
