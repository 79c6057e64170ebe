#include "tls/session_tickets.h"

#include <memory>
#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "tests/tls/tls_fixture.h"

namespace postern::tls::testing {
namespace {

absl::string_view NameOf(const TicketKey& key) {
  return {reinterpret_cast<const char*>(key.name.data()), key.name.size()};
}

TEST(TicketKeysTest, RotatesAndKeepsTwo) {
  TimeNs now = 5 * kSecond;
  TicketKeys keys([&now] { return now; });
  const TicketKey first = keys.Current();
  EXPECT_EQ(NameOf(keys.Current()), NameOf(first));
  ASSERT_TRUE(keys.Find(NameOf(first)).has_value());
  EXPECT_TRUE(keys.Find(NameOf(first))->current);

  now += TicketKeys::kRotation;
  const TicketKey second = keys.Current();
  EXPECT_NE(NameOf(second), NameOf(first));
  EXPECT_NE(second.cipher_key, first.cipher_key);
  EXPECT_NE(second.mac_key, first.mac_key);
  ASSERT_TRUE(keys.Find(NameOf(first)).has_value());
  EXPECT_FALSE(keys.Find(NameOf(first))->current);
  EXPECT_EQ(keys.Find(NameOf(first))->key.mac_key, first.mac_key);

  now += TicketKeys::kRotation;
  EXPECT_TRUE(keys.Find(NameOf(first)).has_value());
  now += TicketKeys::kRotation - 1;
  EXPECT_TRUE(keys.Find(NameOf(first)).has_value());
  now += 1;
  EXPECT_FALSE(keys.Find(NameOf(first)).has_value());
}

TEST(TicketKeysTest, OldKeysDieAlsoWhenNobodyCame) {
  TimeNs now = 0;
  TicketKeys keys([&now] { return now; });
  const TicketKey first = keys.Current();
  now += 3 * TicketKeys::kRotation;
  EXPECT_FALSE(keys.Find(NameOf(first)).has_value());
}

TEST(TicketKeysTest, ForeignNames) {
  TicketKeys keys;
  EXPECT_FALSE(keys.Find("").has_value());
  EXPECT_FALSE(keys.Find(std::string(16, 'x')).has_value());
  EXPECT_NE(NameOf(TicketKeys().Current()), NameOf(TicketKeys().Current()));
}

class ResumptionTest : public TlsTest {
 protected:
  // Runs one whole session, offering `session` when there is one. Returns the session to resume
  // from, or nothing when the server gave no ticket.
  using Session = std::unique_ptr<SSL_SESSION, OpenSslDeleter<SSL_SESSION_free>>;
  Session Visit(SSL_SESSION* session = nullptr, const std::string& sni = "pop.example.net") {
    NewServer();
    RawClient client(
        [this](SSL_CTX* context) { SSL_CTX_set_max_proto_version(context, client_version_); });
    SSL_set_tlsext_host_name(client.ssl(), sni.c_str());
    if (session != nullptr) SSL_set_session(client.ssl(), session);
    EXPECT_TRUE(client.Shake(&server_)) << server_.engine->error();
    client.Read();
    resumed_ = server_.engine->handshake_done() && server_.engine->info().resumed;
    if (client.session() != nullptr) SSL_SESSION_up_ref(client.session());
    // A connection that is dropped without close_notify invalidates its session.
    SSL_set_shutdown(client.ssl(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    return Session(client.session());
  }

  int client_version_ = 0;
  bool resumed_ = false;
};

TEST_F(ResumptionTest, RsaGetsATicketAndResumes) {
  server_options_.certificates = {TheWorld().rsa};
  LoadServer();
  Session session = Visit();
  ASSERT_NE(session, nullptr);
  EXPECT_FALSE(resumed_);
  EXPECT_EQ(SSL_SESSION_get_max_early_data(session.get()), 0u) << "no 0-RTT";
  // Each visit brings the ticket for the next one.
  for (int i = 0; i < 3; ++i) {
    session = Visit(session.get());
    EXPECT_TRUE(resumed_);
    EXPECT_EQ(server_.engine->info().server_name, "pop.example.net");
    ASSERT_NE(session, nullptr);
  }
}

TEST_F(ResumptionTest, EcdsaGetsNoneByDefault) {
  LoadServer();
  EXPECT_EQ(Visit(), nullptr);
}

TEST_F(ResumptionTest, EcdsaGetsOneWhenAsked) {
  server_options_.tickets_ecdsa = 1;
  LoadServer();
  const Session session = Visit();
  ASSERT_NE(session, nullptr);
  Visit(session.get());
  EXPECT_TRUE(resumed_);
}

TEST_F(ResumptionTest, TicketsFollowTheCertificateInUse) {
  // Both kinds for one name: this client takes the ECDSA one, for which there are no tickets.
  server_options_.certificates = {TheWorld().rsa, TheWorld().ecdsa};
  LoadServer();
  EXPECT_EQ(Visit(), nullptr);
}

TEST_F(ResumptionTest, Tls12ResumesWithEitherKey) {
  client_version_ = TLS1_2_VERSION;
  for (const CertificateFiles& files : {TheWorld().ecdsa, TheWorld().rsa}) {
    server_options_.certificates = {files};
    LoadServer();
    const Session session = Visit();
    ASSERT_NE(session, nullptr);
    Visit(session.get());
    EXPECT_TRUE(resumed_);
    EXPECT_EQ(server_.engine->info().server_name, "pop.example.net");
  }
}

TEST_F(ResumptionTest, AllTicketsCanBeTurnedOff) {
  server_options_.certificates = {TheWorld().rsa};
  server_options_.tickets_rsa = 0;
  server_options_.tickets_tls12 = false;
  LoadServer();
  EXPECT_EQ(Visit(), nullptr);
  client_version_ = TLS1_2_VERSION;
  Session session = Visit();
  Visit(session.get());
  EXPECT_FALSE(resumed_);

  server_options_.tickets_rsa = 1;  // for TLS 1.3 only
  LoadServer();
  session = Visit();
  Visit(session.get());
  EXPECT_FALSE(resumed_);
  client_version_ = TLS1_3_VERSION;
  EXPECT_NE(Visit(), nullptr);
}

// A ticket is good for the certificate it was made with, not for another tenant's.
TEST_F(ResumptionTest, ATicketDoesNotCrossToAnotherCertificate) {
  TestDirectory directory;
  CertificateSpec spec;
  spec.dns_names = {"pop.example.org", "mail.example.org"};
  server_options_.certificates = {TheWorld().ecdsa,
                                  directory.Write("other", TheWorld().ca.Issue(spec))};
  server_options_.tickets_ecdsa = 1;
  LoadServer();
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    client_version_ = version;
    const std::string names[] = {"pop.example.net", "pop.example.org"};
    for (int from = 0; from < 2; ++from) {
      const Session session = Visit(nullptr, names[from]);
      ASSERT_NE(session, nullptr);
      Visit(session.get(), names[1 - from]);
      EXPECT_FALSE(resumed_) << version;
      EXPECT_TRUE(server_.engine->handshake_done());
      const Session again = Visit(nullptr, names[from]);
      Visit(again.get(), names[from]);
      EXPECT_TRUE(resumed_) << version;
    }
  }
}

TEST_F(ResumptionTest, KeysMayBeSharedAmongContexts) {
  server_options_.certificates = {TheWorld().rsa};
  TimeNs now = 0;
  const auto keys = std::make_shared<TicketKeys>([&now] { return now; });
  LoadServer(keys);
  Session session = Visit();
  ASSERT_NE(session, nullptr);
  LoadServer(keys);
  session = Visit(session.get());
  EXPECT_TRUE(resumed_);
  now += TicketKeys::kRotation;  // an old key: resumes, and brings a ticket under the new one
  session = Visit(session.get());
  EXPECT_TRUE(resumed_);
  now += 2 * TicketKeys::kRotation;
  session = Visit(session.get());
  EXPECT_TRUE(resumed_);
  now += 3 * TicketKeys::kRotation;
  Visit(session.get());
  EXPECT_FALSE(resumed_) << "its key is gone";

  session = Visit();
  LoadServer();  // keys of its own
  Visit(session.get());
  EXPECT_FALSE(resumed_);
}

TEST_F(ResumptionTest, AForgedTicketMeansAFullHandshake) {
  server_options_.certificates = {TheWorld().rsa};
  LoadServer();
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    client_version_ = version;
    const Session session = Visit();
    ASSERT_NE(session, nullptr);
    unsigned char* encoded = nullptr;
    const int size = i2d_SSL_SESSION(session.get(), &encoded);
    ASSERT_GT(size, 0);
    const unsigned char* ticket = nullptr;
    size_t ticket_size = 0;
    SSL_SESSION_get0_ticket(session.get(), &ticket, &ticket_size);
    std::string bytes(reinterpret_cast<char*>(encoded), static_cast<size_t>(size));
    OPENSSL_free(encoded);
    const size_t at = bytes.find(std::string(reinterpret_cast<const char*>(ticket), ticket_size));
    ASSERT_NE(at, std::string::npos);
    for (size_t i = 0; i < ticket_size; i += 13) {
      std::string forged = bytes;
      forged[at + i] = static_cast<char>(forged[at + i] ^ 1);
      const auto* begin = reinterpret_cast<const unsigned char*>(forged.data());
      const Session broken(d2i_SSL_SESSION(nullptr, &begin, static_cast<long>(forged.size())));
      ASSERT_NE(broken, nullptr);
      Visit(broken.get());
      EXPECT_FALSE(resumed_) << "byte " << i;
    }
  }
}

}  // namespace
}  // namespace postern::tls::testing
