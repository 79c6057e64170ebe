#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "bench/load/options.h"
#include "bench/load/results.h"

namespace postern::load {
namespace {

TEST(UsersTest, TheNumberStandsWhereThePatternSays) {
  const absl::StatusOr<UserPattern> users = ParseUsers("a%d@example.org", 10);
  ASSERT_TRUE(users.ok());
  EXPECT_EQ(users->Name(7), "a7@example.org");
  EXPECT_EQ(ParseUsers("%d", 10)->Name(7), "7");
}

TEST(UsersTest, WithoutANumberEverybodyIsTheSame) {
  const absl::StatusOr<UserPattern> users = ParseUsers("alice@example.org", 10);
  ASSERT_TRUE(users.ok());
  EXPECT_EQ(users->population, 0u);
  EXPECT_EQ(users->Name(7), "alice@example.org");
}

TEST(UsersTest, MistakesAreRefused) {
  EXPECT_FALSE(ParseUsers("", 10).ok());
  EXPECT_FALSE(ParseUsers("%d%d", 10).ok());
  EXPECT_FALSE(ParseUsers("a\r\nQUIT", 10).ok());
  EXPECT_FALSE(ParseUsers(std::string(500, 'x'), 10).ok());
}

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

TEST(CommandLineTest, ARunIsAlwaysBounded) {
  const auto parse = [](std::vector<std::string> words) {
    words.insert(words.begin(), "postern-load");
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    int exit_code = -1;
    absl::StatusOr<Options> options =
        ParseCommandLine(static_cast<int>(argv.size()), argv.data(), &exit_code);
    EXPECT_EQ(exit_code, -1);
    return options;
  };
  EXPECT_EQ(parse({})->total, 1000u);
  EXPECT_EQ(parse({})->duration, 600 * kSecond);
  EXPECT_EQ(parse({"--total", "5"})->total, 5u);
  EXPECT_EQ(parse({"--duration-s", "2.5"})->total, Options::kEndless);
  EXPECT_EQ(parse({"--duration-s", "2.5"})->duration, 2500 * kMillisecond);
  EXPECT_TRUE(parse({})->tls_options.insecure);
  EXPECT_FALSE(parse({"--ca", "x.pem", "--server-name", "a.example"})->tls_options.insecure);
  EXPECT_FALSE(parse({"--target", "127.0.0.1:1", "--source", "::1"}).ok());
  EXPECT_FALSE(parse({"--password", ""}).ok());
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
