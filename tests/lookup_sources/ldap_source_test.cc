#include "routing/lookup/ldap_source.h"

#include <pthread.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/lookup_sources/real_server.h"
#include "tests/lookup_sources/source_contract.h"
#include "tests/tls/test_certificates.h"

namespace postern::routing::testing {
namespace {

constexpr char kServerUser[] = "openldap";
constexpr char kConfig[] = R"(
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
TLSCertificateFile $DIR/chain.pem
TLSCertificateKeyFile $DIR/key.pem
database mdb
suffix "dc=example,dc=net"
rootdn "cn=postern,dc=example,dc=net"
rootpw "correct horse 7"
directory $DIR/data
access to * by * none
)";

std::string Person(const std::string& cn, const std::string& user, const std::string& more) {
  return absl::StrCat("dn: cn=", cn,
                      ",dc=example,dc=net\nobjectClass: inetOrgPerson\nsn: x\ncn: ", cn,
                      "\nmail: ", user, "\n", more, "\n");
}

std::string Data() {
  return absl::StrCat(
      "dn: dc=example,dc=net\nobjectClass: domain\ndc: example\n\n",
      Person("alice", "alice@example.org", "l: mail1\n"),
      Person("bob", "bob@example.org", "l: mail2\ndisplayName: bobby\ndescription: s3cret bob\n"),
      Person("carol", "carol@example.org", ""), Person("twice1", "twice@example.org", "l: mail1\n"),
      Person("twice2", "twice@example.org", "l: mail2\n"),
      Person("thrice1", "thrice@example.org", "l: mail1\n"),
      Person("thrice2", "thrice@example.org", "l: mail1\n"),
      Person("thrice3", "thrice@example.org", "l: mail1\n"),
      Person("values", "values@example.org", "l: mail1\nl: mail2\n"));
}

struct World {
  World() : directory(kServerUser), authority("LDAP's CA"), port(FreePort()), tls_port(FreePort()) {
    signal(SIGPIPE, SIG_IGN);
    RunProgram({"mkdir", directory.path() + "/data"}, kServerUser);
    tls::testing::CertificateSpec spec;
    spec.ip_addresses = {"127.0.0.1"};
    spec.dns_names = {"localhost"};
    const tls::testing::PemPair pair = authority.Issue(spec);
    directory.Write("chain.pem", pair.chain);
    directory.Write("key.pem", pair.key);
    ca_file = here.Write("ca.pem", authority.pem());
    std::string text = kConfig;
    for (size_t place; (place = text.find("$DIR")) != std::string::npos;) {
      text.replace(place, 4, directory.path());
    }
    const std::string config = directory.Write("slapd.conf", text);
    RunProgram(
        {"/usr/sbin/slapadd", "-q", "-f", config, "-l", directory.Write("data.ldif", Data())},
        kServerUser);
    server = std::make_unique<RealServer>(
        std::vector<std::string>{"/usr/sbin/slapd", "-d", "0", "-f", config, "-h",
                                 absl::StrCat(uri(), " ldaps://127.0.0.1:", tls_port)},
        kServerUser, here.path() + "/log");
    Start();
  }

  void Start() {
    // One after the other.
    server->Start([this] { return Listens(port) && Listens(tls_port); });
  }
  std::string uri() const { return absl::StrCat("ldap://127.0.0.1:", port); }

  LdapOptions Options() const {
    LdapOptions options;
    options.uris = {uri()};
    options.bind_dn = "cn=postern,dc=example,dc=net";
    options.bind_password = Secret(kPassword);
    options.base = "dc=example,dc=net";
    options.filter = "(&(objectClass=inetOrgPerson)(mail={user}))";
    options.target_attribute = "l";
    options.login_user_attribute = "displayName";
    options.login_secret_attribute = "description";
    return options;
  }

  ServerDirectory directory;
  tls::testing::TestDirectory here;
  tls::testing::CertificateAuthority authority;
  std::string ca_file;
  const uint16_t port;
  const uint16_t tls_port;
  std::unique_ptr<RealServer> server;
};

class LdapSourceTest : public WithServer<World> {
 protected:
  static std::unique_ptr<LookupSource> Source() { return MakeLdapSource(world_->Options()); }
};

TEST_F(LdapSourceTest, Answers) {
  const auto source = Source();
  ExpectAnswers(source.get());
  ExpectSeveral(source.get());
  EXPECT_THAT(AskFor(source.get(), "thrice@example.org").detail,
              ::testing::HasSubstr("there are several answers"));
  EXPECT_EQ(AskFor(source.get(), "values@example.org").detail, "LDAP: l has several values");
}

TEST_F(LdapSourceTest, NamesAreNeverPartOfTheFilter) { ExpectNoInjection(Source().get()); }

TEST_F(LdapSourceTest, LocalPartScopeAndAttributes) {
  LdapOptions options = world_->Options();
  options.filter = "(cn={local})";
  options.scope = LdapScope::kOne;
  options.login_user_attribute.clear();
  options.login_secret_attribute.clear();
  const LookupAnswer bob = AskFor(MakeLdapSource(options).get(), "bob@anything");
  EXPECT_EQ(bob.target, "mail2");
  EXPECT_EQ(bob.login_user, "");
  options.scope = LdapScope::kBase;
  EXPECT_EQ(AskFor(MakeLdapSource(options).get(), "bob").kind, Kind::kUnknown);
}

TEST_F(LdapSourceTest, Tls) {
  for (const bool start_tls : {false, true}) {
    LdapOptions options = world_->Options();
    options.start_tls = start_tls;
    if (!start_tls) options.uris = {absl::StrCat("ldaps://127.0.0.1:", world_->tls_port)};
    options.ca_file = world_->ca_file;
    ExpectAlice(MakeLdapSource(options).get());
    options.ca_file = "/etc/ssl/certs/ca-certificates.crt";
    ExpectFailure(MakeLdapSource(options).get(), "LDAP: ");
    options.insecure = true;
    ExpectAlice(MakeLdapSource(options).get());
  }
}

TEST_F(LdapSourceTest, TlsWithoutAThreadIsAFailure) {
  LdapOptions options = world_->Options();
  options.uris = {absl::StrCat("ldaps://127.0.0.1:", world_->tls_port)};
  options.ca_file = world_->ca_file;
  const auto source = MakeLdapSource(options);
  // No address space holds such a stack.
  pthread_attr_t usual;
  pthread_attr_t immense;
  ASSERT_EQ(pthread_getattr_default_np(&usual), 0);
  ASSERT_EQ(pthread_attr_init(&immense), 0);
  ASSERT_EQ(pthread_attr_setstacksize(&immense, size_t{1} << 48), 0);
  ASSERT_EQ(pthread_setattr_default_np(&immense), 0);
  ExpectFailure(source.get(), "LDAP: no thread for TLS: ");
  ASSERT_EQ(pthread_setattr_default_np(&usual), 0);
  pthread_attr_destroy(&immense);
  pthread_attr_destroy(&usual);
  ExpectAlice(source.get());
}

TEST_F(LdapSourceTest, WhatIsWrongIsTold) {
  LdapOptions options = world_->Options();
  options.filter = "(mail={user}";
  ExpectFailure(MakeLdapSource(options).get(), "the filter is malformed");
  options = world_->Options();
  options.base = "dc=example,dc=com";
  ExpectFailure(MakeLdapSource(options).get(), "LDAP: there is no dc=example,dc=com");
  options = world_->Options();
  options.bind_password = Secret("correct horse 77");
  ExpectFailure(MakeLdapSource(options).get(), "LDAP: bind: Invalid credentials");
}

TEST_F(LdapSourceTest, AFrozenServerMeetsTheDeadline) {
  const auto source = Source();
  ExpectAlice(source.get());
  const auto fresh = Source();
  LdapOptions options = world_->Options();
  options.uris = {absl::StrCat("ldaps://127.0.0.1:", world_->tls_port)};
  options.ca_file = world_->ca_file;
  const auto fresh_tls = MakeLdapSource(options);
  world_->server->Freeze();
  ExpectFailure(source.get(), "Timed out", std::chrono::seconds(2));
  ExpectFailure(fresh.get(), "Timed out", std::chrono::seconds(2));
  ExpectFailure(fresh_tls.get(), "LDAP: ", std::chrono::seconds(2));
  world_->server->Thaw();
  ExpectAlice(source.get());
  ExpectAlice(fresh.get());
  ExpectAlice(fresh_tls.get());
}

TEST_F(LdapSourceTest, ARestartIsMended) {
  const auto source = Source();
  const auto other = Source();
  ExpectAlice(source.get());
  ExpectAlice(other.get());
  world_->server->Kill();
  ExpectFailure(source.get(), "LDAP: cannot connect to");
  world_->Start();
  ExpectAlice(source.get());
  // This one still has the connection that broke.
  ExpectAlice(other.get());
}

TEST_F(LdapSourceTest, TheNextServerIsAsked) {
  FakeServer silent("");
  LdapOptions options = world_->Options();
  options.uris = {absl::StrCat("ldap://127.0.0.1:", FreePort()),
                  absl::StrCat("ldap://127.0.0.1:", silent.port()), world_->uri()};
  const auto source = MakeLdapSource(options);
  ExpectTheNextIsAsked(source.get(), silent);
}

TEST_F(LdapSourceTest, Garbage) {
  FakeServer web("HTTP/1.1 400 Bad Request\r\n\r\n");
  LdapOptions options = world_->Options();
  options.uris = {absl::StrCat("ldap://127.0.0.1:", web.port())};
  // Nothing of it is a whole message, so the deadline ends it.
  ExpectFailure(MakeLdapSource(options).get(), "LDAP: ", std::chrono::seconds(2));
}

}  // namespace
}  // namespace postern::routing::testing
