// Client certificates, capabilities, and the ways to log in for a user: what is taken and what not.
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proxy/config/config.h"
#include "proxy/config/master_format.h"
#include "proxy/config/reachable.h"

namespace postern::config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Parts {
  std::string listener = "client_certificate = \"required\"\nclient_ca = \"ca.pem\"";
  std::string auth = "mechanisms = [\"external\"]\nsecrets = \"secrets\"";
  std::string pool = "login = \"secret\"";
};

absl::StatusOr<Config> Parse(const Parts& parts) {
  return ParseConfig(
      absl::StrCat("[[listener]]\naddress = \"[::]:995\"\n", parts.listener,
                   "\n[tls]\ncertificates = [{ chain = \"c\", key = \"k\" }]\n[auth]\n", parts.auth,
                   "\n[[pool]]\nname = \"mail\"\n", parts.pool,
                   "\nbackends = [{ name = \"mail1\", address = \"10.0.0.1:110\" }]\n"
                   "[[route]]\nusers = \"*\"\npool = \"mail\"\n"),
      "etc/f");
}

std::string Mistake(const Parts& parts) { return std::string(Parse(parts).status().message()); }

TEST(ClientCertificates, AreReadPerListener) {
  Parts parts;
  absl::StatusOr<Config> config = Parse(parts);
  ASSERT_TRUE(config.ok()) << config.status();
  const Listener& listener = config->listeners[0];
  EXPECT_EQ(listener.client_certificate, tls::ClientCertificate::kRequired);
  EXPECT_EQ(listener.client_ca, "etc/ca.pem");
  EXPECT_EQ(listener.certificate_user, CertificateUser::kCommonName);
  EXPECT_FALSE(listener.capabilities.has_value());
  EXPECT_FALSE(config->capabilities_written);
  EXPECT_EQ(config->backends[0].login, UpstreamLogin::kSecret);
  parts.listener =
      "client_certificate = \"optional\"\nclient_ca = \"/ca.pem\"\ncertificate_user = "
      "\"san-email\"\ncapabilities = [\"TOP\", \"EXPIRE 5\"]";
  config = Parse(parts);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->listeners[0].certificate_user, CertificateUser::kAlternateEmail);
  EXPECT_THAT(config->listeners[0].capabilities.value(), ElementsAre("TOP", "EXPIRE 5"));
}

TEST(ClientCertificates, Mistakes) {
  Parts parts;
  parts.listener = "client_certificate = \"maybe\"\nclient_ca = \"ca.pem\"";
  EXPECT_THAT(Mistake(parts), HasSubstr("f:3:22: client_certificate = \"maybe\" is not one of"));
  parts.listener = "client_certificate = \"required\"";
  EXPECT_THAT(Mistake(parts), HasSubstr("f:3:22: client_certificate needs to know who may sign"));
  parts.listener = "client_ca = \"ca.pem\"";
  EXPECT_THAT(Mistake(parts), HasSubstr("f:3:13: client_ca means nothing without"));
  EXPECT_THAT(Mistake(parts), HasSubstr("no listener asks for one"));
  parts.listener += "\ncertificate_user = \"cn\"";
  EXPECT_THAT(Mistake(parts), HasSubstr("f:4:20: certificate_user means nothing without"));
  parts.listener =
      "tls = \"off\"\nplaintext_logins = true\nclient_certificate = \"optional\"\n"
      "client_ca = \"ca.pem\"";
  EXPECT_THAT(Mistake(parts), HasSubstr("f:5:22: client_certificate means nothing where tls"));
  parts.listener = "capabilities = [\"STLS\"]";
  EXPECT_THAT(Mistake(parts), HasSubstr("f:3:17: capability STLS is the proxy's own"));
}

TEST(External, NeedsBackendsThatWantNoPassword) {
  Parts parts;
  parts.pool = "login = \"password\"";
  EXPECT_THAT(Mistake(parts), HasSubstr("mechanism \"external\" shows us no password, and "
                                        "\"mail1\" wants one"));
  parts.pool = "login = \"sasl\"";
  EXPECT_THAT(Mistake(parts), HasSubstr("wants one"));
}

TEST(External, AMasterNeedsNoSecretsWhereCertificatesAreTheOnlyWay) {
  Parts parts;
  parts.pool = "login = \"master\"\nmaster_user = \"m\"\nmaster_password_file = \"p\"";
  parts.auth = "mechanisms = [\"external\"]\nuser_pass = false";
  EXPECT_EQ(Mistake(parts), "");
  parts.auth = "mechanisms = [\"external\"]";
  EXPECT_THAT(Mistake(parts), HasSubstr("the user must be verified here"));
  parts.auth = "mechanisms = [\"external\", \"plain\"]\nuser_pass = false";
  EXPECT_THAT(Mistake(parts), HasSubstr("the user must be verified here"));
}

TEST(SecretLogin, NeedsSecrets) {
  Parts parts;
  parts.auth = "mechanisms = [\"plain\"]";
  EXPECT_THAT(Mistake(parts), HasSubstr("logs in with the user's stored secret; write secrets"));
}

TEST(MasterFormatKey, LeavesTheMechanismToTheOperator) {
  Parts parts;
  parts.pool =
      "login = \"master\"\nmaster_user = \"m\"\nmaster_password_file = \"p\"\nmaster_format = "
      "\"{user}*{master}\"";
  absl::StatusOr<Config> config = Parse(parts);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->backends[0].master_format, "{user}*{master}");
  EXPECT_EQ(config->backends[0].mechanism, UpstreamMechanism::kUserPass);
  parts.pool += "\nmechanism = \"auth-plain\"";
  config = Parse(parts);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->backends[0].mechanism, UpstreamMechanism::kAuthPlain);
  parts.pool = "login = \"secret\"\nmaster_format = \"{user}*{master}\"";
  EXPECT_THAT(Mistake(parts), HasSubstr("master_format means nothing without login = \"master\""));
  parts.pool = "master_format = \"{user}{master}\"\nlogin = \"master\"";
  EXPECT_THAT(Mistake(parts), HasSubstr("master_format = \"{user}{master}\" is not {user} and"));
}

TEST(MasterFormat, TwoNamesAndASeparator) {
  EXPECT_EQ(MasterLoginName("{user}*{master}", "anna", "proxy"), "anna*proxy");
  EXPECT_EQ(MasterLoginName("{master}::{user}", "anna", "proxy"), "proxy::anna");
  // "anna*root*proxy" would be anna's mail with another master's rights, or nobody's.
  EXPECT_EQ(MasterLoginName("{user}*{master}", "anna*root", "proxy"), std::nullopt);
  EXPECT_EQ(MasterLoginName("{user}*{master}", "*", "proxy"), std::nullopt);
  for (const absl::string_view bad :
       {"", "{user}", "{user}{master}", "{user}x{master}", "{user} {master}", "{user}*{user}",
        "{user}*{master}*", "*{user}*{master}", "{user}*{master}{user}", "{user}*********{master}",
        "{user}{*}{master}"}) {
    EXPECT_FALSE(ParseMasterFormat(bad).has_value()) << bad;
  }
}

TEST(Reachable, WhatRoutesLeadTo) {
  Config config;
  config.backends.resize(3);
  config.backends[0].name = "a";
  config.backends[1].name = "b";
  config.backends[2].name = "c";
  config.routing.pools = {{"mail", routing::Balance::kRendezvous, {2}, false, {}, true}};
  routing::RouteOptions route;
  route.users = "*@a.test";
  route.backend = "a";
  config.routing.routes = {route};
  EXPECT_THAT(RouteBackends(config), ElementsAre(0u));
  route.backend.clear();
  route.pool = "mail";
  config.routing.routes.push_back(route);
  EXPECT_THAT(RouteBackends(config), ElementsAre(0u, 2u));
  route = {};
  route.map_file = "map";
  config.routing.routes.push_back(route);
  EXPECT_THAT(RouteBackends(config), ElementsAre(0u, 1u, 2u));
}

TEST(Reachable, WhatAListenerLeadsTo) {
  Config config;
  config.backends.resize(3);
  for (size_t i = 0; i < 3; ++i)
    config.backends[i].name = std::string(1, static_cast<char>('a' + i));
  routing::RouteOptions route;
  route.users = "*";
  route.backend = "c";
  config.routing.routes = {route};
  Listener listener;
  EXPECT_THAT(ReachableBackends(config, listener), ElementsAre(2u));
  // Who asks for another name goes where the routes say ...
  listener.server_names = {{"s.example", 0}};
  EXPECT_THAT(ReachableBackends(config, listener), ElementsAre(0u, 2u));
  // ... or to the listener's own.
  listener.backend = 1;
  EXPECT_THAT(ReachableBackends(config, listener), ElementsAre(0u, 1u));
  listener.server_names.clear();
  EXPECT_THAT(ReachableBackends(config, listener), ElementsAre(1u));
}

}  // namespace
}  // namespace postern::config
