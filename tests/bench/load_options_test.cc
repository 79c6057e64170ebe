#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "bench/load/options.h"
#include "bench/load/results.h"

namespace postern::load {
namespace {

TEST(SourcesTest, AddressesAndRanges) {
  const absl::StatusOr<std::vector<SocketAddress>> sources =
      ParseSources("127.0.0.2-127.0.0.4,127.0.1.1");
  ASSERT_TRUE(sources.ok()) << sources.status();
  ASSERT_EQ(sources->size(), 4u);
  EXPECT_EQ((*sources)[0].IpText(), "127.0.0.2");
  EXPECT_EQ((*sources)[2].IpText(), "127.0.0.4");
  EXPECT_EQ((*sources)[3].IpText(), "127.0.1.1");
  EXPECT_TRUE(ParseSources("::1").ok());
}

TEST(SourcesTest, MistakesAreRefused) {
  for (const char* text : {"", "x", "127.0.0.9-127.0.0.2", "127.0.0.1-", "10.0.0.0-11.0.0.0",
                           "127.0.0.1,::1", "::1-::2"}) {
    EXPECT_FALSE(ParseSources(text).ok()) << text;
  }
}

absl::StatusOr<Options> Parse(std::vector<std::string> words) {
  words.insert(words.begin(), "postern-load");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  int exit_code = -1;
  absl::StatusOr<Options> options =
      ParseCommandLine(static_cast<int>(argv.size()), argv.data(), &exit_code);
  EXPECT_EQ(exit_code, -1);
  return options;
}

std::string Problem(std::vector<std::string> words) {
  return std::string(Parse(std::move(words)).status().message());
}

TEST(CommandLineTest, ARunIsAlwaysBounded) {
  EXPECT_EQ(Parse({})->total, 1000u);
  EXPECT_EQ(Parse({})->duration, 600 * kSecond);
  EXPECT_EQ(Parse({"--total", "5"})->total, 5u);
  EXPECT_EQ(Parse({"--duration-s", "2.5"})->total, Options::kEndless);
  EXPECT_EQ(Parse({"--duration-s", "2.5"})->duration, 2500 * kMillisecond);
  EXPECT_TRUE(Parse({})->tls_options.insecure);
  EXPECT_FALSE(Parse({"--ca", "x.pem", "--server-name", "a.example"})->tls_options.insecure);
  EXPECT_FALSE(Parse({"--target", "127.0.0.1:1", "--source", "::1"}).ok());
  EXPECT_FALSE(Parse({"--password", ""}).ok());
}

TEST(CommandLineTest, AnOpenLoopHasPlacesForSlowServers) {
  EXPECT_EQ(Parse({})->sessions, 10u);
  EXPECT_EQ(Parse({"--rate", "5"})->sessions, 10000u);
  EXPECT_EQ(Parse({"--rate", "5", "--sessions", "7"})->sessions, 7u);
}

TEST(CommandLineTest, RatesSayHowLongTheyLast) {
  const absl::StatusOr<Options> ramp = Parse({"--rate", "100..300", "--duration-s", "2"});
  ASSERT_TRUE(ramp.ok()) << ramp.status();
  EXPECT_DOUBLE_EQ(ramp->rate.sessions(), 400);
  EXPECT_NE(Problem({"--rate", "100..300"}).find("--duration-s"), std::string::npos);
  const absl::StatusOr<Options> steps = Parse({"--rate-steps", "100,200:1500ms"});
  ASSERT_TRUE(steps.ok()) << steps.status();
  EXPECT_EQ(steps->duration, 3 * kSecond);
  EXPECT_EQ(steps->total, Options::kEndless);
  EXPECT_FALSE(Parse({"--rate-steps", "100:1s", "--duration-s", "2"}).ok());
}

TEST(CommandLineTest, CiphersDecideTheVersion) {
  const absl::StatusOr<Options> new_one = Parse({"--tls-cipher", "TLS_AES_256_GCM_SHA384"});
  ASSERT_TRUE(new_one.ok()) << new_one.status();
  EXPECT_EQ(new_one->tls_options.ciphersuites, "TLS_AES_256_GCM_SHA384");
  EXPECT_EQ(new_one->tls_options.version_min, tls::Version::kTls13);
  const absl::StatusOr<Options> old_one = Parse({"--tls-cipher", "ECDHE-RSA-AES128-GCM-SHA256"});
  ASSERT_TRUE(old_one.ok()) << old_one.status();
  EXPECT_EQ(old_one->tls_options.ciphers, "ECDHE-RSA-AES128-GCM-SHA256");
  EXPECT_EQ(old_one->tls_options.version_max, tls::Version::kTls12);
  EXPECT_NE(Problem({"--tls-cipher", "TLS_AES_256_GCM_SHA384", "--tls-version", "1.2"})
                .find("is not for TLS 1.2"),
            std::string::npos);
  EXPECT_FALSE(Parse({"--tls-cipher", ":"}).ok());
}

TEST(CommandLineTest, WrongPasswordsAreOther) {
  EXPECT_DOUBLE_EQ(Parse({"--wrong-passwords", "30"})->wrong_percent, 30);
  EXPECT_FALSE(Parse({"--wrong-passwords", "30", "--password", "wrong"}).ok());
  EXPECT_TRUE(Parse({"--password", "wrong"}).ok());
}

TEST(NamesTest, EveryEndingAndSpanHasItsOwn) {
  std::set<absl::string_view> names;
  for (size_t i = 0; i < kEndings; ++i) names.insert(Name(static_cast<Ending>(i)));
  EXPECT_EQ(names.size(), kEndings);
  EXPECT_EQ(Name(Ending::kStopped), "stopped");
  EXPECT_EQ(Name(Span::kSession), "session");
}

}  // namespace
}  // namespace postern::load
