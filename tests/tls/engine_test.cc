#include "tls/engine.h"

#include <openssl/err.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/tls/tls_fixture.h"

namespace postern::tls::testing {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

using EngineTest = TlsTest;

TEST_F(EngineTest, HandshakeAgreesOnOurFirstChoices) {
  Connect();
  const HandshakeInfo info = server_.engine->info();
  EXPECT_EQ(info.version, "TLSv1.3");
  EXPECT_EQ(info.cipher, "TLS_AES_128_GCM_SHA256");
  EXPECT_EQ(info.group, "x25519");
  EXPECT_EQ(info.server_name, "pop.example.net");
  EXPECT_FALSE(info.resumed);
  EXPECT_EQ(client_.engine->info().cipher, info.cipher);
}

TEST_F(EngineTest, NothingIsLeftBehind) {
  Connect();
  EXPECT_TRUE(server_.output.empty());
  EXPECT_TRUE(client_.output.empty());
  server_.engine->EndLogin();
  EXPECT_EQ(pool_.blocks_out(), 0u);
  EXPECT_EQ(ERR_peek_error(), 0u);
}

TEST_F(EngineTest, OrderlyEnd) {
  Connect();
  server_.engine->Shutdown();
  const std::string close_notify = server_.TakeOutput();
  EXPECT_FALSE(close_notify.empty());
  server_.engine->Shutdown();
  EXPECT_TRUE(server_.output.empty()) << "close_notify is sent once";

  std::string plaintext;
  EXPECT_EQ(client_.Feed(close_notify, &plaintext), Result::kClosed);
  EXPECT_EQ(client_.Feed("", &plaintext), Result::kClosed);
  // Half-closed: the other direction still works.
  ASSERT_EQ(client_.engine->Write("QUIT\r\n"), Result::kOk);
  EXPECT_EQ(server_.Feed(client_.TakeOutput(), &plaintext), Result::kWantInput);
  EXPECT_EQ(plaintext, "QUIT\r\n");
  EXPECT_EQ(server_.engine->Write("+OK\r\n"), Result::kError) << "after our own close_notify";
  EXPECT_TRUE(server_.output.empty());
  EXPECT_EQ(server_.Feed("", &plaintext), Result::kWantInput);
}

TEST_F(EngineTest, ShutdownBeforeTheHandshakeSaysNothing) {
  LoadServer();
  NewServer();
  server_.engine->Shutdown();
  EXPECT_TRUE(server_.output.empty());
}

TEST_F(EngineTest, TwoCommandsInOneRecordNeedNoSecondInput) {
  Connect();
  ASSERT_EQ(client_.engine->Write("STAT\r\nQUIT\r\n"), Result::kOk);
  const std::string record = client_.TakeOutput();
  server_.engine->SetInput(record);
  std::string plaintext;
  for (int i = 0; i < 4; ++i) {
    char buffer[3];
    size_t bytes = 0;
    ASSERT_EQ(server_.engine->Read(buffer, sizeof(buffer), &bytes), Result::kOk);
    EXPECT_EQ(server_.engine->input_left(), 0u);
    plaintext.append(buffer, bytes);
    server_.engine->EndLogin();  // must not lose what is decrypted already
  }
  EXPECT_EQ(plaintext, "STAT\r\nQUIT\r\n");
  char buffer[3];
  size_t bytes = 0;
  EXPECT_EQ(server_.engine->Read(buffer, sizeof(buffer), &bytes), Result::kWantInput);
}

TEST_F(EngineTest, DataBehindTheHandshakeInTheSameInput) {
  LoadServer();
  NewServer();
  RawClient client;
  SSL_do_handshake(client.ssl());
  std::string plaintext;
  server_.Feed(client.TakeOutput(), &plaintext);
  client.Give(server_.TakeOutput());
  ASSERT_EQ(SSL_do_handshake(client.ssl()), 1);
  client.Write("CAPA\r\n");
  EXPECT_EQ(server_.Feed(client.TakeOutput(), &plaintext), Result::kWantInput);
  EXPECT_EQ(server_.handshake, Result::kOk);
  EXPECT_EQ(plaintext, "CAPA\r\n");
}

TEST_F(EngineTest, RecordsOfOneByte) {
  LoadServer();
  NewServer();
  RawClient client;
  ASSERT_TRUE(client.Shake(&server_));
  std::string sent;
  for (int i = 0; i < 1000; ++i) {
    const char byte = static_cast<char>('a' + i % 26);
    sent += byte;
    client.Write(absl::string_view(&byte, 1));
  }
  std::string plaintext;
  EXPECT_EQ(server_.Feed(client.TakeOutput(), &plaintext), Result::kWantInput);
  EXPECT_EQ(plaintext, sent);
}

// Every combination of version and kind of certificate.
struct Combination {
  Version version;
  bool rsa;
};

class EngineCombinationTest : public TlsTest, public ::testing::WithParamInterface<Combination> {
 protected:
  EngineCombinationTest() {
    if (GetParam().rsa) server_options_.certificates = {TheWorld().rsa};
    LoadServer();
  }
  // A client of our own cannot be limited to 1.2; OpenSSL's can.
  static void Limit(SSL_CTX* context) {
    const int version = GetParam().version == Version::kTls12 ? TLS1_2_VERSION : TLS1_3_VERSION;
    SSL_CTX_set_max_proto_version(context, version);
  }
};

INSTANTIATE_TEST_SUITE_P(
    All, EngineCombinationTest,
    ::testing::Values(Combination{Version::kTls12, false}, Combination{Version::kTls12, true},
                      Combination{Version::kTls13, false}, Combination{Version::kTls13, true}),
    [](const auto& instance) {
      return absl::StrCat(instance.param.version == Version::kTls12 ? "Tls12" : "Tls13",
                          instance.param.rsa ? "Rsa" : "Ecdsa");
    });

TEST_P(EngineCombinationTest, Handshake) {
  NewServer();
  RawClient client(Limit);
  ASSERT_TRUE(client.Shake(&server_)) << server_.engine->error();
  const HandshakeInfo info = server_.engine->info();
  if (GetParam().version == Version::kTls12) {
    EXPECT_EQ(info.version, "TLSv1.2");
    EXPECT_EQ(info.cipher,
              GetParam().rsa ? "ECDHE-RSA-AES128-GCM-SHA256" : "ECDHE-ECDSA-AES128-GCM-SHA256");
  } else {
    EXPECT_EQ(info.version, "TLSv1.3");
  }
  EXPECT_EQ(info.group, "x25519");
  EXPECT_EQ(info.server_name, "");
}

TEST_P(EngineCombinationTest, TenMegabytesBothWays) {
  NewServer();
  RawClient client(Limit);
  ASSERT_TRUE(client.Shake(&server_));
  client.Read();
  std::string data(10'000'000, '\0');
  uint32_t state = 1;
  for (char& c : data) {
    state = state * 1664525 + 1013904223;
    c = static_cast<char>(state >> 24);
  }
  ASSERT_EQ(server_.engine->Write(data), Result::kOk);
  client.Give(server_.TakeOutput());
  EXPECT_TRUE(client.Read() == data);

  client.Write(data);
  const std::string ciphertext = client.TakeOutput();
  std::string plaintext;
  for (size_t at = 0; at < ciphertext.size(); at += 40'000) {
    ASSERT_EQ(server_.Feed(absl::string_view(ciphertext).substr(at, 40'000), &plaintext),
              Result::kWantInput);
  }
  EXPECT_TRUE(plaintext == data);
}

TEST_P(EngineCombinationTest, EverySplitOfTheClientsBytes) {
  NewServer();
  RawClient first(Limit);
  SSL_do_handshake(first.ssl());
  const size_t hello_size = first.TakeOutput().size();
  // Both flights of the client and one command, cut in two at each place, then byte by byte.
  for (size_t cut = 0; cut <= hello_size; ++cut) {
    NewServer();
    RawClient client(Limit);
    std::string plaintext;
    bool written = false;
    for (int turn = 0; turn < 6; ++turn) {
      if (SSL_do_handshake(client.ssl()) == 1 && !written) {
        client.Write("USER u\r\n");
        written = true;
      }
      const std::string out = client.TakeOutput();
      const size_t at = std::min(cut, out.size());
      if (cut == hello_size) {
        for (const char& c : out) server_.Feed(absl::string_view(&c, 1), &plaintext);
      } else {
        server_.Feed(absl::string_view(out).substr(0, at), &plaintext);
        server_.Feed(absl::string_view(out).substr(at), &plaintext);
      }
      client.Give(server_.TakeOutput());
    }
    ASSERT_EQ(plaintext, "USER u\r\n") << "cut at " << cut << ": " << server_.engine->error();
  }
}

TEST_P(EngineCombinationTest, OneCorruptByteInTheHelloNeverConnects) {
  NewServer();
  RawClient first(Limit);
  SSL_do_handshake(first.ssl());
  const size_t hello_size = first.TakeOutput().size();
  for (size_t at = 0; at < hello_size; ++at) {
    NewServer();
    RawClient client(Limit);
    SSL_do_handshake(client.ssl());
    std::string hello = client.TakeOutput();
    hello[at] = static_cast<char>(hello[at] ^ 0x41);
    std::string plaintext;
    server_.Feed(hello, &plaintext);
    client.Give(server_.TakeOutput());
    const bool finished = client.Shake(&server_);
    // The version in the header of the first record means nothing (RFC 8446 section 5.1).
    if (at != 2) {
      EXPECT_FALSE(finished) << "byte " << at;
    }
    EXPECT_EQ(plaintext, "");
    if (server_.handshake == Result::kError) {
      EXPECT_THAT(kErrorWords, Contains(server_.engine->error_word())) << "byte " << at;
      EXPECT_EQ(server_.engine->Handshake(), Result::kError) << "an error is final";
    }
    ASSERT_EQ(ERR_peek_error(), 0u);
  }
}

TEST_P(EngineCombinationTest, OneCorruptByteInARecordIsNeverPlaintext) {
  constexpr absl::string_view kCommand = "DELE 1\r\n";
  size_t size = 1;
  for (size_t at = 0; at < size; ++at) {
    NewServer();
    RawClient client(Limit);
    ASSERT_TRUE(client.Shake(&server_));
    client.Write(kCommand);
    std::string record = client.TakeOutput();
    size = record.size();
    record[at] = static_cast<char>(record[at] ^ 0x20);
    std::string plaintext;
    const Result result = server_.Feed(record, &plaintext);
    EXPECT_EQ(plaintext, "") << "byte " << at;
    // A longer length only waits for the rest; everything else is the end.
    if (at != 3 && at != 4) {
      EXPECT_EQ(result, Result::kError) << "byte " << at;
      EXPECT_EQ(server_.engine->error_word(), "protocol");
    }
  }
}

TEST_P(EngineCombinationTest, ATruncatedHandshakeWaits) {
  NewServer();
  RawClient client(Limit);
  SSL_do_handshake(client.ssl());
  const std::string hello = client.TakeOutput();
  std::string plaintext;
  for (size_t at = 0; at + 1 < hello.size(); ++at) {
    ASSERT_EQ(server_.Feed(absl::string_view(hello).substr(at, 1), &plaintext), Result::kWantInput);
    ASSERT_TRUE(server_.output.empty());
  }
  // The peer is gone: that is the caller's business, and leaves nothing behind.
  server_.Reset();
  EXPECT_EQ(ERR_peek_error(), 0u);
}

TEST_F(EngineTest, TruncatedServerFlightsMakeTheClientWait) {
  LoadServer();
  LoadClient();
  NewServer();
  NewClient();
  std::string ignored;
  ASSERT_EQ(client_.engine->Handshake(), Result::kWantInput);
  server_.Feed(client_.TakeOutput(), &ignored);
  const std::string flight = server_.TakeOutput();
  for (size_t size = 0; size < flight.size(); size += 7) {
    NewClient();
    ASSERT_EQ(client_.engine->Handshake(), Result::kWantInput);
    // Another client's flight: never accepted, whatever its length.
    const Result result = client_.Feed(absl::string_view(flight).substr(0, size), &ignored);
    EXPECT_NE(result, Result::kOk);
    EXPECT_FALSE(client_.engine->handshake_done());
  }
}

TEST_F(EngineTest, OursOneByteAtATime) { Connect(/*step=*/1); }

TEST_F(EngineTest, ClearTextFromAClientIsNamedAndNotAnswered) {
  LoadServer();
  const struct {
    absl::string_view bytes;
    absl::string_view word;
  } kCases[] = {
      {"GET / HTTP/1.1\r\n\r\n", "plaintext_http"},
      {"POST /x HTTP/1.1\r\n", "plaintext_http"},
      {"DELETE /x HTTP/1.1\r\n", "plaintext_http"},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "plaintext_http"},
      {"USER anna\r\n", "not_tls"},
      {"DELE 1\r\n", "not_tls"},
      {"\r\n", "not_tls"},
      {"G", "not_tls"},
      {absl::string_view("\0", 1), "not_tls"},
      {"\x80\x2e\x01\x03\x01", "not_tls"},  // a hello in an SSLv2 frame
      {"\xff\xff\xff\xff\xff\xff", "not_tls"},
  };
  for (const auto& test : kCases) {
    NewServer();
    std::string plaintext;
    EXPECT_EQ(server_.Feed(test.bytes, &plaintext), Result::kError) << test.bytes;
    EXPECT_EQ(server_.engine->error_word(), test.word) << test.bytes;
    EXPECT_TRUE(server_.output.empty()) << "never an answer in clear";
    EXPECT_EQ(plaintext, "");
  }
}

TEST_F(EngineTest, ClearTextFromAServer) {
  LoadClient();
  for (const absl::string_view bytes :
       {"+OK Dovecot ready.\r\n", "-ERR busy\r\n", "HTTP/1.1 400 Bad Request\r\n", "\r\n"}) {
    NewClient();
    ASSERT_EQ(client_.engine->Handshake(), Result::kWantInput);
    client_.TakeOutput();
    std::string plaintext;
    EXPECT_EQ(client_.Feed(bytes, &plaintext), Result::kError);
    EXPECT_EQ(client_.engine->error_word(), "plaintext");
    EXPECT_EQ(plaintext, "");
    EXPECT_TRUE(client_.output.empty());
  }
}

TEST_F(EngineTest, OldVersionsAreRefused) {
  LoadServer();
  for (const int version : {TLS1_VERSION, TLS1_1_VERSION}) {
    NewServer();
    RawClient client([version](SSL_CTX* context) {
      SSL_CTX_set_security_level(context, 0);
      SSL_CTX_set_min_proto_version(context, version);
      SSL_CTX_set_max_proto_version(context, version);
    });
    EXPECT_FALSE(client.Shake(&server_));
    ASSERT_EQ(server_.handshake, Result::kError);
    EXPECT_EQ(server_.engine->error_word(), "version");
  }
}

TEST_F(EngineTest, MinimumVersion13RefusesTls12) {
  server_options_.version_min = Version::kTls13;
  LoadServer();
  NewServer();
  RawClient client(
      [](SSL_CTX* context) { SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION); });
  EXPECT_FALSE(client.Shake(&server_));
  EXPECT_EQ(server_.engine->error_word(), "version");
}

TEST_F(EngineTest, WithoutForwardSecrecyOrAeadThereIsNoSharedCipher) {
  server_options_.certificates = {TheWorld().rsa};
  LoadServer();
  for (const char* list :
       {"AES128-GCM-SHA256", "ECDHE-RSA-AES128-SHA256", "DHE-RSA-AES128-GCM-SHA256"}) {
    NewServer();
    RawClient client([list](SSL_CTX* context) {
      SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
      ASSERT_EQ(SSL_CTX_set_cipher_list(context, list), 1);
    });
    EXPECT_FALSE(client.Shake(&server_)) << list;
    EXPECT_EQ(server_.engine->error_word(), "no_shared_cipher") << list;
  }
}

TEST_F(EngineTest, NoSharedGroup) {
  LoadServer();
  NewServer();
  RawClient client([](SSL_CTX* context) {
    SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
    ASSERT_EQ(SSL_CTX_set1_groups_list(context, "P-521"), 1);
  });
  EXPECT_FALSE(client.Shake(&server_));
  EXPECT_EQ(server_.engine->error_word(), "no_shared_group");
}

TEST_F(EngineTest, Alpn) {
  LoadServer();
  const struct {
    std::string offered;
    bool accepted;
  } kCases[] = {
      {"", true},
      {"\x04pop3", true},
      {"\x04imap\x04pop3", true},
      {"\x08http/1.1", false},
      {"\x02h2\x08http/1.1", false},
      {"\x04POP3", false},
      {"\x05pop3s", false},
  };
  for (const auto& test : kCases) {
    NewServer();
    RawClient client;
    const auto* offered = reinterpret_cast<const unsigned char*>(test.offered.data());
    SSL_set_alpn_protos(client.ssl(), offered, static_cast<unsigned int>(test.offered.size()));
    EXPECT_EQ(client.Shake(&server_), test.accepted) << test.offered;
    if (test.accepted) {
      const unsigned char* selected = nullptr;
      unsigned int size = 0;
      SSL_get0_alpn_selected(client.ssl(), &selected, &size);
      EXPECT_EQ(absl::string_view(reinterpret_cast<const char*>(selected), size),
                test.offered.empty() ? "" : "pop3");
      EXPECT_EQ(server_.engine->info().alpn_pop3, !test.offered.empty());
    } else {
      EXPECT_EQ(server_.engine->error_word(), "alpn");
    }
  }
}

TEST_F(EngineTest, AlpnRefusalIsTheRightAlert) {
  LoadServer();
  NewServer();
  RawClient client;
  const unsigned char offered[] = "\x08http/1.1";
  SSL_set_alpn_protos(client.ssl(), offered, sizeof(offered) - 1);
  SSL_do_handshake(client.ssl());
  std::string plaintext;
  server_.Feed(client.TakeOutput(), &plaintext);
  client.Give(server_.TakeOutput());
  ERR_clear_error();
  EXPECT_LE(SSL_do_handshake(client.ssl()), 0);
  EXPECT_EQ(ERR_GET_REASON(ERR_peek_error()),
            SSL_AD_REASON_OFFSET + SSL_AD_NO_APPLICATION_PROTOCOL);
  ERR_clear_error();
}

TEST_F(EngineTest, RenegotiationIsRefused) {
  LoadServer();
  NewServer();
  RawClient client(
      [](SSL_CTX* context) { SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION); });
  ASSERT_TRUE(client.Shake(&server_));
  ASSERT_EQ(SSL_renegotiate(client.ssl()), 1);
  SSL_do_handshake(client.ssl());
  const std::string hello = client.TakeOutput();
  ASSERT_FALSE(hello.empty());
  std::string plaintext;
  const Result result = server_.Feed(hello, &plaintext);
  EXPECT_TRUE(result == Result::kWantInput || result == Result::kError);
  client.Give(server_.TakeOutput());
  ERR_clear_error();
  EXPECT_LE(SSL_do_handshake(client.ssl()), 0);
  EXPECT_EQ(ERR_GET_REASON(ERR_peek_error()), SSL_R_NO_RENEGOTIATION);
  ERR_clear_error();
}

TEST_F(EngineTest, KeyUpdatesHaveABudget) {
  LoadServer();
  NewServer();
  RawClient client;
  ASSERT_TRUE(client.Shake(&server_));
  std::string plaintext;
  for (int i = 1; i <= kKeyUpdatesMax; ++i) {
    ASSERT_EQ(SSL_key_update(client.ssl(), SSL_KEY_UPDATE_REQUESTED), 1);
    client.Write("NOOP\r\n");
    ASSERT_EQ(server_.Feed(client.TakeOutput(), &plaintext), Result::kWantInput) << i;
    ASSERT_EQ(server_.engine->Write("+OK\r\n"), Result::kOk);
    client.Give(server_.TakeOutput());
    ASSERT_EQ(client.Read(), "+OK\r\n");
  }
  plaintext.clear();
  ASSERT_EQ(SSL_key_update(client.ssl(), SSL_KEY_UPDATE_NOT_REQUESTED), 1);
  client.Write("NOOP\r\n");
  EXPECT_EQ(server_.Feed(client.TakeOutput(), &plaintext), Result::kError);
  EXPECT_EQ(server_.engine->error_word(), "too_many_key_updates");
  EXPECT_EQ(plaintext, "");
}

TEST_F(EngineTest, AHundredKeyUpdatesInOneInputStopAtTheBudget) {
  LoadServer();
  NewServer();
  RawClient client;
  ASSERT_TRUE(client.Shake(&server_));
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(SSL_key_update(client.ssl(), SSL_KEY_UPDATE_NOT_REQUESTED), 1);
    ASSERT_EQ(SSL_do_handshake(client.ssl()), 1);
  }
  const std::string storm = client.TakeOutput();
  server_.engine->SetInput(storm);
  char buffer[64];
  size_t bytes = 0;
  EXPECT_EQ(server_.engine->Read(buffer, sizeof(buffer), &bytes), Result::kError);
  EXPECT_EQ(server_.engine->error_word(), "too_many_key_updates");
  EXPECT_GT(server_.engine->input_left(), storm.size() / 2) << "the rest was not worked on";
}

TEST_F(EngineTest, AnAlertIsReportedInWords) {
  client_options_.ca_file.clear();  // does not know the test's CA
  LoadServer();
  LoadClient();
  NewServer();
  NewClient();
  Shake(&client_, &server_);
  EXPECT_EQ(client_.engine->error_word(), "unknown_ca");
  // In TLS 1.3 the server learns it after its own handshake, or as its end.
  ASSERT_EQ(server_.handshake, Result::kError);
  EXPECT_EQ(server_.engine->error_word(), "alert_received");
  EXPECT_THAT(server_.engine->error(), HasSubstr("unknown CA"));
}

TEST_F(EngineTest, TheErrorQueueOfOneConnectionIsNotAnothers) {
  Connect();
  ERR_raise(ERR_LIB_SSL, SSL_R_NO_SHARED_CIPHER);
  std::string plaintext;
  EXPECT_EQ(server_.Feed("", &plaintext), Result::kWantInput);
  ERR_raise(ERR_LIB_SSL, SSL_R_NO_SHARED_CIPHER);
  EXPECT_EQ(server_.engine->Write("+OK\r\n"), Result::kOk);
  EXPECT_EQ(server_.Feed(std::string(40, '\x17'), &plaintext), Result::kError);
  EXPECT_EQ(server_.engine->error_word(), "protocol");
  EXPECT_EQ(ERR_peek_error(), 0u);

  End other(&pool_);
  other.engine = server_context_->NewEngine(&other.output);
  EXPECT_EQ(other.engine->Handshake(), Result::kWantInput);
}

TEST_F(EngineTest, AFailedEngineStaysFailed) {
  Connect();
  std::string plaintext;
  ASSERT_EQ(server_.Feed(std::string(40, '\x17'), &plaintext), Result::kError);
  server_.TakeOutput();
  EXPECT_EQ(server_.engine->Write("+OK\r\n"), Result::kError);
  server_.engine->Shutdown();
  server_.engine->EndLogin();
  EXPECT_TRUE(server_.output.empty());
}

}  // namespace
}  // namespace postern::tls::testing
