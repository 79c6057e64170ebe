// Listeners that lead to one backend, and whose greeting may be that backend's.
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proxy/config/config.h"
#include "proxy/config/reachable.h"

namespace postern::config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

struct Parts {
  std::string listener;
  std::string tls = "implicit";
  std::string mail1;  // more keys of the backend
  std::string routes = "[[route]]\nusers = \"*\"\npool = \"mail\"\n";
  std::string rest;
};

absl::StatusOr<Config> Parse(const Parts& parts) {
  return ParseConfig(
      absl::StrCat("[[listener]]\naddress = \"[::]:995\"\ntls = \"", parts.tls, "\"\n",
                   parts.listener, "\n[tls]\ncertificates = [{ chain = \"c\", key = \"k\" }]\n",
                   "[[pool]]\nname = \"mail\"\nbackends = [{ name = \"mail1\", address = "
                   "\"10.0.0.1:110\"",
                   parts.mail1, " }, { name = \"mail2\", address = \"10.0.0.2:110\" }]\n",
                   parts.routes, parts.rest),
      "f");
}

std::string Mistake(const Parts& parts) { return std::string(Parse(parts).status().message()); }

TEST(ListenerBackend, IsReadAndFound) {
  Parts parts;
  parts.listener =
      "backend = \"mail2\"\ngreeting = \"backend\"\n"
      "server_names = [{ name = \"S1.pop.example.net\", backend = \"mail1\" }]";
  parts.routes = "[[route]]\nusers = \"*\"\nbackend = \"mail1\"\n";
  const absl::StatusOr<Config> config = Parse(parts);
  ASSERT_TRUE(config.ok()) << config.status();
  const Listener& listener = config->listeners[0];
  EXPECT_EQ(listener.backend, 1);
  ASSERT_EQ(listener.server_names.size(), 1u);
  EXPECT_EQ(listener.server_names[0].name, "s1.pop.example.net");
  EXPECT_EQ(listener.server_names[0].backend, 0);
  EXPECT_TRUE(listener.relays_greeting);
  EXPECT_THAT(ReachableBackends(*config, listener), ElementsAre(0u, 1u));
}

TEST(ListenerBackend, MeetsTheGeneralLoginDelay) {
  Parts parts;
  parts.routes = "login_delay = \"0s\"\n" + parts.routes;
  parts.rest = "[guard]\nlogin_delay = \"5m\"\n";
  EXPECT_FALSE(Parse(parts)->guard.login_delays);
  parts.listener = "backend = \"mail1\"";
  EXPECT_TRUE(Parse(parts)->guard.login_delays);
  EXPECT_EQ(Parse(parts)->listeners[0].login_delay.seconds, 300u);
  EXPECT_FALSE(Parse(parts)->listeners[0].login_delay.varies);
  parts.listener = "server_names = [{ name = \"a.example\", backend = \"mail1\" }]";
  EXPECT_TRUE(Parse(parts)->guard.login_delays);
  EXPECT_EQ(Parse(parts)->listeners[0].login_delay.seconds, 300u);
  EXPECT_TRUE(Parse(parts)->listeners[0].login_delay.varies);
}

TEST(ListenerBackend, IsOffByDefault) {
  const absl::StatusOr<Config> config = Parse(Parts{});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->listeners[0].backend, -1);
  EXPECT_FALSE(config->listeners[0].relays_greeting);
  EXPECT_EQ(config->listeners[0].only_backend, -1);
}

TEST(ListenerBackend, Mistakes) {
  Parts parts;
  parts.listener = "backend = \"mail3\"";
  EXPECT_THAT(Mistake(parts), HasSubstr("f:4:11: there is no backend \"mail3\"; did you mean"));
  parts.listener = "server_names = [{ name = \"a b\", backend = \"mail1\" }]";
  EXPECT_THAT(Mistake(parts), HasSubstr("f:4:26: name = \"a b\" is not a DNS name; write it as"));
  parts.listener = "server_names = [{ name = \"a.example\" }]";
  EXPECT_THAT(Mistake(parts), HasSubstr("an entry of server_names has no backend; write"));
  parts.listener = "server_names = [{ backend = \"mail1\" }]";
  EXPECT_THAT(Mistake(parts), HasSubstr("an entry of server_names has no name; write"));
  parts.listener = "server_names = [{ name = \"a.example\", backend = \"mial1\" }]";
  EXPECT_THAT(Mistake(parts), HasSubstr("there is no backend \"mial1\"; did you mean \"mail1\"?"));
  parts.listener =
      "server_names = [{ name = \"a.example\", backend = \"mail1\" }, { name = \"A.example\", "
      "backend = \"mail2\" }]";
  EXPECT_THAT(Mistake(parts), HasSubstr("name \"A.example\" stands twice; remove one"));
  parts.tls = "stls";
  parts.listener = "server_names = [{ name = \"a.example\", backend = \"mail1\" }]";
  EXPECT_THAT(Mistake(parts), HasSubstr("server_names means nothing here"));
}

TEST(GreetingRelay, NeedsOneBackend) {
  Parts parts;
  parts.listener = "greeting = \"backend\"";
  EXPECT_THAT(Mistake(parts),
              HasSubstr("f:4:12: greeting = \"backend\" is for clients that can lead to one "
                        "backend only, and the routes lead to 2; write backend = \"NAME\""));
  parts.routes = "[[route]]\nusers = \"*\"\nbackend = \"mail2\"\n";
  absl::StatusOr<Config> config = Parse(parts);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->listeners[0].only_backend, 1);
  // A map may name any.
  parts.routes = "[[route]]\nmap = \"m\"\n";
  EXPECT_THAT(Mistake(parts), HasSubstr("the routes lead to 2"));
  parts.listener += "\nbackend = \"mail1\"";
  EXPECT_EQ(Mistake(parts), "");
  parts.listener =
      "greeting = \"backend\"\nserver_names = [{ name = \"a.example\", backend = \"mail1\" }]";
  EXPECT_EQ(Mistake(parts), "");
  parts.listener = "greeting = \"mine\"";
  EXPECT_THAT(Mistake(parts), HasSubstr("greeting = \"mine\" is not one of"));
}

TEST(GreetingRelay, NeedsNoLookups) {
  Parts parts;
  parts.listener = "greeting = \"backend\"";
  parts.rest = "[[lookup]]\nname = \"who\"\nkind = \"auth_http\"\nurl = \"http://127.0.0.1:1/\"\n";
  parts.routes = "[[route]]\nlookup = \"who\"\n";
  EXPECT_THAT(Mistake(parts), HasSubstr("and lookups may name any; write backend"));
}

TEST(GreetingRelay, TheBackendMustJudge) {
  Parts parts;
  parts.listener = "greeting = \"backend\"\nbackend = \"mail1\"";
  parts.mail1 = ", login = \"master\", master_user = \"m\", master_password_file = \"p\"";
  EXPECT_THAT(Mistake(parts), HasSubstr("greeting = \"backend\" lets backend \"mail1\" judge"));
  parts.mail1 = ", login = \"secret\"";
  EXPECT_THAT(Mistake(parts), HasSubstr("greeting = \"backend\" lets backend \"mail1\" judge"));
  parts.mail1 = ", login = \"sasl\"";
  EXPECT_EQ(Mistake(parts), "");
  parts.mail1 = ", proxy_protocol = \"v2\"";
  EXPECT_EQ(Mistake(parts), "");
  parts.listener += "\nxclient_networks = [\"10.0.0.1\"]";
  EXPECT_THAT(Mistake(parts), HasSubstr("connects to \"mail1\" before XCLIENT can say who"));
  parts.mail1 = ", xclient = \"on\"";
  EXPECT_THAT(Mistake(parts), Not(HasSubstr("before XCLIENT")));
}

}  // namespace
}  // namespace postern::config
