#include "proxy/admin/lookup_asker.h"

#include "gtest/gtest.h"

namespace postern::admin {
namespace {

TEST(LookupAsker, AServiceSeesTheClientThatIsAskedAbout) {
  config::Listener listener;
  listener.name = "pop3s";
  listener.tls = config::ListenerTls::kImplicit;
  AskedLogin login{&listener, "2001:DB8:0::9", "pop.example.net", Secret("word")};
  routing::LookupQuestion question = QuestionFor(login, "anna@example.org");
  EXPECT_EQ(question.user, "anna@example.org");
  EXPECT_EQ(question.method, "plain");
  EXPECT_EQ(question.password.view(), "word");
  EXPECT_EQ(question.client_ip, "2001:db8::9");
  EXPECT_EQ(question.listener, "pop3s");
  EXPECT_EQ(question.sni, "pop.example.net");
  EXPECT_TRUE(question.tls);
  // A name that is none goes no further, as in a session.
  login.sni = "no_name";
  EXPECT_EQ(QuestionFor(login, "anna").sni, "");
}

TEST(LookupAsker, WithoutTlsThereIsNoName) {
  config::Listener listener;
  listener.name = "plain";
  listener.tls = config::ListenerTls::kOff;
  const AskedLogin login{&listener, "", "pop.example.net", Secret()};
  const routing::LookupQuestion question = QuestionFor(login, "anna");
  EXPECT_EQ(question.client_ip, "192.0.2.1");
  EXPECT_EQ(question.sni, "");
  EXPECT_FALSE(question.tls);
}

}  // namespace
}  // namespace postern::admin
