#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

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
  EXPECT_FALSE(Parse({"--tls", "stls", "--ca", "x.pem", "--server-name", "a.example"})
                   ->tls_options.insecure);
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
  const absl::StatusOr<Options> new_one =
      Parse({"--tls", "implicit", "--tls-cipher", "TLS_AES_256_GCM_SHA384"});
  ASSERT_TRUE(new_one.ok()) << new_one.status();
  EXPECT_EQ(new_one->tls_options.ciphersuites, "TLS_AES_256_GCM_SHA384");
  EXPECT_EQ(new_one->tls_options.version_min, tls::Version::kTls13);
  const absl::StatusOr<Options> old_one =
      Parse({"--tls", "implicit", "--tls-cipher", "ECDHE-RSA-AES128-GCM-SHA256"});
  ASSERT_TRUE(old_one.ok()) << old_one.status();
  EXPECT_EQ(old_one->tls_options.ciphers, "ECDHE-RSA-AES128-GCM-SHA256");
  EXPECT_EQ(old_one->tls_options.version_max, tls::Version::kTls12);
  EXPECT_NE(Problem({"--tls", "implicit", "--tls-cipher", "TLS_AES_256_GCM_SHA384", "--tls-version",
                     "1.2"})
                .find("is not for TLS 1.2"),
            std::string::npos);
  EXPECT_FALSE(Parse({"--tls", "implicit", "--tls-cipher", ":"}).ok());
}

TEST(CommandLineTest, NamesAreNamesAndMistakesAreSentences) {
  EXPECT_EQ(Problem({"--tls", "foo"}), "--tls: \"foo\" is not off, stls or implicit");
  EXPECT_EQ(Problem({"--tls", "1"}), "--tls: \"1\" is not off, stls or implicit");
  EXPECT_EQ(Parse({"--tls", "stls"})->tls, TargetTls::kStls);
  EXPECT_EQ(Problem({"--script", "0"}),
            "--script: \"0\" is not handshake, login, poll, fetch or idle");
  for (const char* option : {"--auth", "--arrivals", "--io"}) {
    EXPECT_NE(Problem({option, "1"}).find("\"1\" is not "), std::string::npos) << option;
  }
  EXPECT_NE(Problem({"--nonsense"}).find("--nonsense"), std::string::npos);
  EXPECT_NE(Problem({"--threads", "x"}).find("--threads"), std::string::npos);
}

TEST(CommandLineTest, CountsDoNotWrapAround) {
  for (const char* option : {"--total", "--fetch-max", "--population", "--sessions", "--seed"}) {
    for (const char* value : {"-1", "1.5", "99999999999999999999", "x"}) {
      std::vector<std::string> words = {option, value};
      if (words[0] == "--fetch-max") words.insert(words.end(), {"--script", "fetch"});
      EXPECT_NE(Problem(words).find(option), std::string::npos) << option << " " << value;
    }
  }
  EXPECT_NE(Problem({"--total", "0"}), "");
  EXPECT_NE(Problem({"--fetch-max", "0", "--script", "fetch"}), "");
  EXPECT_EQ(Parse({"--seed", "0"})->seed, 0u);
}

TEST(CommandLineTest, WhatWouldMeanNothingIsRefused) {
  EXPECT_EQ(Problem({"--resume"}), "--resume means nothing without --tls stls or --tls implicit");
  EXPECT_EQ(Problem({"--hold-s", "5"}), "--hold-s means nothing without --script idle");
  EXPECT_EQ(Problem({"--arrivals", "constant"}),
            "--arrivals means nothing without --rate, --rate-steps or --find-capacity");
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"--tls-version", "1.3"},
                                             {"--tls-cipher", "TLS_AES_128_GCM_SHA256"},
                                             {"--tls-groups", "X25519"},
                                             {"--alpn"},
                                             {"--server-name", "a.example"},
                                             {"--server-name", "a.example", "--ca", "x.pem"},
                                             {"--tls", "off", "--alpn"},
                                             {"--noop-s", "1"},
                                             {"--delete"},
                                             {"--fetch-max", "3"},
                                             {"--script", "idle", "--delete"},
                                             {"--script", "poll", "--inexact-sizes"},
                                             {"--wrong-password", "x"}}) {
    EXPECT_NE(Problem(words).find("means nothing without"), std::string::npos) << words[0];
  }
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
           {"--tls", "stls", "--resume", "--alpn"},
           {"--script", "idle", "--hold-s", "5"},
           {"--script", "fetch", "--delete", "--fetch-max", "3", "--inexact-sizes"},
           {"--rate", "5", "--arrivals", "constant"},
           {"--find-capacity", "--arrivals", "constant"},
           {"--wrong-passwords", "5", "--wrong-password", "x"}}) {
    EXPECT_EQ(Problem(words), "") << words[0];
  }
}

TEST(CommandLineTest, WrongPasswordsAreOther) {
  EXPECT_DOUBLE_EQ(Parse({"--wrong-passwords", "30"})->wrong_percent, 30);
  EXPECT_FALSE(Parse({"--wrong-passwords", "30", "--password", "wrong"}).ok());
  EXPECT_TRUE(Parse({"--password", "wrong"}).ok());
  EXPECT_EQ(Problem({"--wrong-passwords", "30", "--script", "handshake"}),
            "--wrong-passwords needs a script that logs in");
}

// A file of the test's own, gone with it.
class TextFile {
 public:
  explicit TextFile(const std::string& text) : path_(testing::TempDir() + "/load_options_XXXXXX") {
    const int fd = mkstemp(path_.data());
    EXPECT_GE(fd, 0);
    EXPECT_EQ(write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
    close(fd);
  }
  ~TextFile() { unlink(path_.c_str()); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

TEST(CommandLineTest, FilesAreRead) {
  const TextFile script("login\nnoop\n");
  EXPECT_EQ(Parse({"--script-file", script.path()})->steps.size(), 3u);
  EXPECT_EQ(Parse({"--script-file", script.path()})->script, ScriptName::kFile);
  const TextFile bad("login\nnope\n");
  EXPECT_NE(Problem({"--script-file", bad.path()}).find(bad.path() + ":2: \"nope\""),
            std::string::npos);
  const TextFile users("alice\nbob secret\n");
  EXPECT_EQ(Parse({"--users-file", users.path()})->population(), 2u);
  EXPECT_NE(Problem({"--users-file", "/nowhere/users"}).find("/nowhere/users: No such file"),
            std::string::npos);
}

TEST(CommandLineTest, AReplayLastsAsLongAsItsLog) {
  const TextFile log(
      "time=2026-11-23T11:19:00.100Z user=a result=logged_in total_ms=100\n"
      "time=2026-11-23T11:19:08.000Z user=b result=logged_in total_ms=4000\n");
  const absl::StatusOr<Options> options = Parse({"--replay", log.path(), "--speed", "2"});
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(options->script, ScriptName::kReplay);
  EXPECT_TRUE(options->open_loop());
  EXPECT_EQ(options->duration, 2 * kSecond + 1);  // from 0 to 4 s
  EXPECT_EQ(options->pauses(), 2 * kSecond);
  EXPECT_EQ(options->total, Options::kEndless);
  EXPECT_FALSE(Parse({"--replay", log.path(), "--rate", "5"}).ok());
  EXPECT_NE(Problem({"--replay", log.path(), "--users", "u%d"}).find("--map-users"),
            std::string::npos);
  EXPECT_TRUE(Parse({"--replay", log.path(), "--users", "u%d", "--map-users"}).ok());
}

TEST(CommandLineTest, ASearchBeginsWithOneRate) {
  const absl::StatusOr<Options> search = Parse({"--find-capacity"});
  ASSERT_TRUE(search.ok()) << search.status();
  EXPECT_EQ(search->rate.rate_max(), 50);
  EXPECT_EQ(search->timeout, 10 * kSecond);
  EXPECT_EQ(search->step, 5 * kSecond);
  EXPECT_FALSE(Parse({"--find-capacity", "--rate", "1..2", "--duration-s", "5"}).ok());
  EXPECT_NE(Problem({"--find-capacity", "--objective", "fast"}).find("is no condition"),
            std::string::npos);
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
