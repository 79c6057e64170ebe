// Names and services of backends, and who is asked for them.
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proxy/config/config.h"

namespace postern::config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

absl::StatusOr<Config> Parse(const std::string& top, const std::string& backend) {
  return ParseConfig(absl::StrCat(top, R"(
[[listener]]
address = "[::]:110"
tls = "off"
plaintext_logins = true
[[route]]
users = "*"
backend = "store"
[[backend]]
name = "store"
)",
                                  backend, "\n"),
                     "f");
}

TEST(NamesTest, AServiceIsAnAddress) {
  const auto config = Parse("name_servers = [\"10.0.0.53:53\", \"[2001:db8::1]:8600\"]",
                            "address = \"srv:_pop3s._tcp.mail.example.net\"\ntls = \"implicit\"\n"
                            "server_name = \"mail.example.net\"");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_THAT(config->name_servers, ElementsAre("10.0.0.53:53", "[2001:db8::1]:8600"));
  EXPECT_TRUE(config->backends[0].address.srv);
  EXPECT_EQ(config->backends[0].address.host, "_pop3s._tcp.mail.example.net");
  EXPECT_FALSE(config->backends[0].address.is_literal());
  EXPECT_EQ(config->backends[0].tls_options.server_name, "mail.example.net");
  const auto plain = Parse("", "address = \"mail.example.net:110\"");
  ASSERT_TRUE(plain.ok()) << plain.status();
  EXPECT_FALSE(plain->backends[0].address.srv);
  EXPECT_TRUE(plain->name_servers.empty());
}

TEST(NamesTest, Mistakes) {
  const struct {
    std::string top, backend, mistake;
  } cases[] = {
      {"", "address = \"srv:pop3.example.net\"", "11:11: address: \"pop3.example.net\" is no name"},
      {"", "address = \"srv:_pop3.example.net\"", "11:11: address: "},
      {"", "address = \"srv:_pop3._tcp\"", "11:11: address: "},
      {"", "address = \"srv:_._tcp.example.net\"", "11:11: address: "},
      {"", "address = \"srv:_pop3._tcp.example.net:110\"", "11:11: address: "},
      {"", "address = \"srv:\"", "write it as \"srv:_pop3._tcp.example.net\""},
      {"", "address = \"srv:_pop3._tcp.example.net\"\ntls = \"stls\"",
       "11:11: a service in DNS has no name that the certificate could carry; write server_name"},
      {"name_servers = [\"10.0.0.53\"]", "address = \"h:1\"", "1:17: name_servers: \"10.0.0.53\""},
      {"name_servers = [\"dns:53\"]", "address = \"h:1\"",
       "1:17: name_servers: \"dns:53\" is no IP"},
      {"name_servers = \"10.0.0.53:53\"", "address = \"h:1\"", "1:16: name_servers is a string"},
  };
  for (const auto& c : cases) {
    const auto config = Parse(c.top, c.backend);
    ASSERT_FALSE(config.ok()) << c.backend;
    EXPECT_THAT(std::string(config.status().message()), HasSubstr(c.mistake));
  }
  // Nothing is verified, so no name is needed.
  EXPECT_TRUE(Parse("", "address = \"srv:_pop3._tcp.x\"\ntls = \"stls\"\ninsecure = true").ok());
}

}  // namespace
}  // namespace postern::config
