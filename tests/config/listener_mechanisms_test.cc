// Which SASL mechanisms a listener offers: by a list of its own, and by the backends it leads to.
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proxy/config/config.h"
#include "proxy/config/reachable.h"

namespace postern::config {
namespace {

using ::testing::HasSubstr;

struct Parts {
  std::string auth;    // line 1 on
  std::string first;   // of the first listener, line 5 on when [auth] is one line
  std::string second;  // of the second one
  std::string mail1 = ", login = \"sasl\"";
  std::string mail2;
  std::string routes = "[[route]]\nusers = \"*\"\nbackend = \"mail1\"\n";
};

absl::StatusOr<Config> Parse(const Parts& parts) {
  return ParseConfig(
      absl::StrCat("[auth]\n", parts.auth, "\n[[listener]]\naddress = \"[::]:995\"\n", parts.first,
                   "\n[[listener]]\naddress = \"[::]:1995\"\n", parts.second,
                   "\n[tls]\ncertificates = [{ chain = \"c\", key = \"k\" }]\n",
                   "[[pool]]\nname = \"mail\"\nbackends = [{ name = \"mail1\", address = "
                   "\"10.0.0.1:110\"",
                   parts.mail1, " }, { name = \"mail2\", address = \"10.0.0.2:110\"", parts.mail2,
                   " }]\n", parts.routes),
      "f");
}

std::string Mistake(const Parts& parts) { return std::string(Parse(parts).status().message()); }

// What the listener offers, or the mistake.
std::string Offered(const Parts& parts, size_t listener) {
  const absl::StatusOr<Config> config = Parse(parts);
  if (!config.ok()) return std::string(config.status().message());
  return absl::StrJoin(MechanismsOf(*config, config->listeners[listener]), " ",
                       [](std::string* out, pop3::Mechanism mechanism) {
                         absl::StrAppend(out, pop3::InfoOf(mechanism).word);
                       });
}

TEST(ListenerMechanisms, ByDefaultAreThoseOfAuth) {
  Parts parts;
  EXPECT_EQ(Offered(parts, 0), "plain login");
  EXPECT_FALSE(Parse(parts)->listeners[0].mechanisms.has_value());
  parts.auth = "mechanisms = [\"xoauth2\", \"plain\"]";
  EXPECT_EQ(Offered(parts, 0), "xoauth2 plain");
  EXPECT_FALSE(Parse(parts)->listeners[1].mechanisms.has_value());
}

TEST(ListenerMechanisms, AListenerWhoseBackendTakesNoneDoesWithout) {
  Parts parts;
  parts.auth = "mechanisms = [\"plain\", \"scram-sha-256\", \"login\"]";
  parts.second = "backend = \"mail2\"";
  EXPECT_EQ(Offered(parts, 0), "plain scram-sha-256 login");
  EXPECT_EQ(Offered(parts, 1), "plain login");
  // The other way round: the routes lead where no exchange is carried.
  parts.first = "backend = \"mail1\"";
  parts.second = "";
  parts.routes = "[[route]]\nusers = \"*\"\nbackend = \"mail2\"\n";
  EXPECT_EQ(Offered(parts, 0), "plain scram-sha-256 login");
  EXPECT_EQ(Offered(parts, 1), "plain login");
}

TEST(ListenerMechanisms, OneListenerMustNotLeadToBothKinds) {
  Parts parts;
  parts.auth = "mechanisms = [\"plain\", \"scram-sha-256\"]";
  parts.first = "backend = \"mail1\"";
  parts.routes = "[[route]]\nusers = \"*\"\npool = \"mail\"\n";
  EXPECT_EQ(Mistake(parts),
            "f:2:24: mechanism \"scram-sha-256\" shows us no password, so every backend that the "
            "listener leads to must take the client's own exchange, and \"mail2\" does not; set "
            "login = \"sasl\" there, or write mechanisms without it at the listener in line 6");
  parts.second = "mechanisms = [\"plain\"]";
  EXPECT_EQ(Offered(parts, 0), "plain scram-sha-256");
  EXPECT_EQ(Offered(parts, 1), "plain");
  // Names lead to one, the others to the other.
  parts.second = "backend = \"mail2\"";
  parts.first =
      "backend = \"mail1\"\nserver_names = [{ name = \"s2.example\", backend = \"mail2\" }]";
  EXPECT_THAT(Mistake(parts), HasSubstr("without it at the listener in line 3"));
  // A lookup may name any.
  parts.first = "backend = \"mail1\"";
  parts.second = "";
  parts.routes =
      "[[lookup]]\nname = \"l\"\ntype = \"redis\"\nservers = [\"h:1\"]\nkey = \"{user}\"\n"
      "[[route]]\nlookup = \"l\"\n";
  EXPECT_THAT(Mistake(parts), HasSubstr("and \"mail2\" does not"));
}

TEST(ListenerMechanisms, AMechanismForNobodyIsAMistake) {
  Parts parts;
  parts.auth = "mechanisms = [\"plain\", \"xoauth2\"]";
  parts.mail1 = "";
  EXPECT_EQ(Mistake(parts),
            "f:2:24: mechanism \"xoauth2\" shows us no password, so every backend that the "
            "listener leads to must take the client's own exchange, and \"mail1\" does not; set "
            "login = \"sasl\" there, or remove the mechanism");
}

TEST(ListenerMechanisms, OfItsOwn) {
  Parts parts;
  parts.first = "mechanisms = [\"oauthbearer\", \"plain\"]";
  EXPECT_EQ(Offered(parts, 0), "oauthbearer plain");
  EXPECT_EQ(Offered(parts, 1), "plain login");
  parts.first = "mechanisms = []";
  EXPECT_EQ(Offered(parts, 0), "");
  parts.auth = "user_pass = false\nmechanisms = []";
  parts.first = parts.second = "mechanisms = [\"plain\"]";
  EXPECT_EQ(Offered(parts, 0), "plain") << "nobody uses the list of [auth]";
}

TEST(ListenerMechanisms, MistakesOfItsOwn) {
  Parts parts;
  parts.first = "mechanisms = [\"plain\", \"ntlm\"]";
  EXPECT_THAT(Mistake(parts), HasSubstr("f:5:24: mechanism \"ntlm\" is not one of \"plain\""));
  parts.first = "mechanisms = [\"plain\", \"plain\"]";
  EXPECT_EQ(Mistake(parts), "f:5:24: mechanism \"plain\" stands twice; remove one");
  parts.first = "mechanisms = \"plain\"";
  EXPECT_THAT(Mistake(parts), HasSubstr("f:5:14: mechanisms is a string; it must be a list"));
  parts.first = "mechanisms = [\"cram-md5\"]";
  EXPECT_THAT(Mistake(parts), HasSubstr("f:5:15: mechanism \"cram-md5\" needs the users' secrets"));
  parts.first = "mechanisms = [\"external\"]";
  EXPECT_THAT(Mistake(parts), HasSubstr("f:5:15: mechanism \"external\" is for clients with a "
                                        "certificate, and this listener asks for none; write"));
  // Also where no backend takes it: it is this listener's own word.
  parts.first = "backend = \"mail2\"\nmechanisms = [\"xoauth2\"]";
  EXPECT_THAT(Mistake(parts), HasSubstr("f:6:15: mechanism \"xoauth2\" shows us no password"));
  parts.first = "mechanisms = []";
  parts.auth = "user_pass = false";
  EXPECT_THAT(Mistake(parts),
              HasSubstr("f:5:14: this listener leaves clients no way to log in; name a mechanism"));
}

TEST(ListenerMechanisms, SomeWayToLogInMustBeLeft) {
  Parts parts;
  parts.auth = "user_pass = false\nmechanisms = [\"xoauth2\"]";
  EXPECT_EQ(Mistake(parts), "");
  parts.second = "backend = \"mail2\"";
  EXPECT_THAT(Mistake(parts), HasSubstr("f:3:14: none of the mechanisms can be offered by the "
                                        "listener in line 7, whose backends take none of them"));
  parts.second += "\nmechanisms = [\"plain\"]";
  EXPECT_EQ(Mistake(parts), "");
}

TEST(ListenerMechanisms, ExternalIsForListenersThatAskForCertificates) {
  const std::string asks = "\nclient_certificate = \"required\"\nclient_ca = \"ca.pem\"";
  Parts parts;
  parts.auth = "mechanisms = [\"plain\", \"external\"]\nsecrets = \"s\"";
  parts.mail1 = ", login = \"secret\"";
  parts.first = "backend = \"mail1\"" + asks;
  parts.second = "backend = \"mail2\"";
  EXPECT_EQ(Offered(parts, 0), "plain external");
  EXPECT_EQ(Offered(parts, 1), "plain");
  parts.second += asks;
  EXPECT_EQ(Offered(parts, 1), "plain") << "its backend wants passwords";
  parts.first = "";
  EXPECT_THAT(Mistake(parts), HasSubstr("f:2:24: mechanism \"external\" shows us no password, and "
                                        "\"mail2\" wants one"));
  parts.second = "backend = \"mail2\"";
  EXPECT_THAT(Mistake(parts), HasSubstr("no listener asks for one"));
}

// A master user opens every maildrop: passwords that nobody verifies must not get there.
TEST(ListenerMechanisms, AMasterWithoutSecretsIsForCertificatesAlone) {
  Parts parts;
  parts.auth = "user_pass = false\nmechanisms = [\"external\"]";
  parts.mail1 = ", login = \"master\", master_user = \"m\", master_password_file = \"p\"";
  parts.first = "client_certificate = \"required\"\nclient_ca = \"ca.pem\"";
  EXPECT_EQ(Mistake(parts), "");
  parts.second = "mechanisms = [\"plain\"]";
  EXPECT_THAT(Mistake(parts), HasSubstr("the user must be verified here"));
}

}  // namespace
}  // namespace postern::config
