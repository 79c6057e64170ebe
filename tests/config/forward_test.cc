// What backends are told of clients besides: the key `forward`.
#include "proxy/config/forward.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proxy/config/config.h"

namespace postern::config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

absl::StatusOr<Config> Parse(const std::string& pool, const std::string& mail1 = "") {
  return ParseConfig(absl::StrCat("[[pool]]\nname = \"mail\"\n", pool,
                                  "\nbackends = [{ name = \"mail1\", address = \"10.0.0.1:110\"",
                                  mail1, " }, { name = \"mail2\", address = \"10.0.0.2:110\" }]\n",
                                  "[[listener]]\naddress = \"[::]:110\"\ntls = \"off\"\n"
                                  "plaintext_logins = true\n[[route]]\nusers = \"*\"\n"
                                  "pool = \"mail\"\n"),
                     "f");
}

std::string Mistake(const std::string& pool) { return std::string(Parse(pool).status().message()); }

TEST(Forward, IsReadAtPoolsAndBackends) {
  absl::StatusOr<Config> config =
      Parse("xclient = \"auto\"\nforward = { site = \"ams\", at = \"{listener}\" }",
            ", forward = { own = \"x\" }");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_THAT(config->backends[0].forward, ElementsAre(Pair("own", "x")));
  EXPECT_THAT(config->backends[1].forward,
              ElementsAre(Pair("at", "{listener}"), Pair("site", "ams")));
  config = Parse("xclient = \"auto\"");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_THAT(config->backends[0].forward, IsEmpty());
}

TEST(Forward, Mistakes) {
  EXPECT_THAT(Mistake("forward = { site = \"ams\" }"),
              HasSubstr("f:3:11: forward is told by XCLIENT, and backend \"mail1\" has none"));
  const std::string begin = "xclient = \"auto\"\n";
  EXPECT_THAT(Mistake(begin + "forward = \"ams\""), HasSubstr("f:4:11: forward is a string"));
  EXPECT_THAT(Mistake(begin + "forward = { \"a b\" = \"x\" }"),
              HasSubstr("forward: \"a b\" is no name of a field; write letters, digits"));
  EXPECT_THAT(Mistake(begin + "forward = { a = 1 }"), HasSubstr("f:4:17: "));
  EXPECT_THAT(Mistake(begin + "forward = { a = \"\" }"), HasSubstr("f:4:17: "));
  EXPECT_THAT(Mistake(begin + "forward = { a = \"x\\ny\" }"), HasSubstr("f:4:17: "));
  EXPECT_THAT(Mistake(begin + "forward = { a = \"{listner}\" }"),
              HasSubstr("f:4:17: forward: a = \"{listner}\": {listner} is not one of {listener}, "
                        "{hostname}, {server_name}, {tls_version}, {tls_cipher}, {certificate}; "
                        "did you mean \"listener\"?"));
  for (const char* value : {"{", "}", "{listener", "x}", "{{listener}}", "{listener}}"}) {
    EXPECT_THAT(Mistake(absl::StrCat(begin, "forward = { a = \"", value, "\" }")),
                HasSubstr("f:4:17: forward: a = "))
        << value;
  }
  EXPECT_THAT(Mistake(absl::StrCat(begin, "forward = { a = \"", std::string(300, 'x'), "\" }")),
              HasSubstr("f:4:11: forward is longer than 300 bytes"));
}

TEST(Forward, WordsAreFilledIn) {
  ForwardFacts facts;
  facts.listener = "pop3s";
  facts.tls_version = "TLSv1.3";
  EXPECT_EQ(FillForward("{listener}", facts), "pop3s");
  EXPECT_EQ(FillForward("a {listener}/{tls_version}{server_name} b", facts), "a pop3s/TLSv1.3 b");
  EXPECT_EQ(FillForward("plain", facts), "plain");
}

}  // namespace
}  // namespace postern::config
