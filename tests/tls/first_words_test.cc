// What a server says together with its half of the handshake.
#include <string>

#include "gtest/gtest.h"
#include "tests/tls/tls_fixture.h"
#include "tls/engine.h"

namespace postern::tls::testing {
namespace {

class FirstWordsTest : public TlsTest {
 protected:
  // Fresh engines; the client has its hello ready.
  void Begin() {
    LoadServer();
    LoadClient();
    NewServer();
    NewClient();
    server_.engine->SetFirstWords("+OK hello\r\n");
    ASSERT_EQ(client_.engine->Handshake(), Result::kWantInput);
  }
  // Everything both sides have to say, a byte at a time; returns what the client has read.
  std::string Shake() {
    std::string heard, ignored;
    for (int flight = 0; flight < 6; ++flight) {
      for (const char byte : client_.TakeOutput()) {
        EXPECT_EQ(server_.Feed(absl::string_view(&byte, 1), &ignored), Result::kWantInput);
      }
      for (const char byte : server_.TakeOutput()) {
        EXPECT_EQ(client_.Feed(absl::string_view(&byte, 1), &heard), Result::kWantInput);
      }
    }
    EXPECT_TRUE(client_.engine->handshake_done());
    EXPECT_TRUE(server_.engine->handshake_done());
    return heard;
  }
};

TEST_F(FirstWordsTest, LeaveWithOurHalfOfTheHandshake) {
  Begin();
  std::string plaintext;
  ASSERT_EQ(server_.Feed(client_.TakeOutput(), &plaintext), Result::kWantInput);
  EXPECT_FALSE(server_.engine->handshake_done());
  // The client has the words although the server has nothing of its second flight.
  ASSERT_EQ(client_.Feed(server_.TakeOutput(), &plaintext), Result::kWantInput);
  EXPECT_TRUE(client_.engine->handshake_done());
  EXPECT_EQ(plaintext, "+OK hello\r\n");
  plaintext.clear();
  ASSERT_EQ(client_.engine->Write("QUIT\r\n"), Result::kOk);
  ASSERT_EQ(server_.Feed(client_.TakeOutput(), &plaintext), Result::kWantInput);
  EXPECT_TRUE(server_.engine->handshake_done());
  EXPECT_EQ(plaintext, "QUIT\r\n");
  ASSERT_EQ(server_.engine->Write("+OK bye\r\n"), Result::kOk);
  plaintext.clear();
  ASSERT_EQ(client_.Feed(server_.TakeOutput(), &plaintext), Result::kWantInput);
  EXPECT_EQ(plaintext, "+OK bye\r\n") << "once, and in order";
}

TEST_F(FirstWordsTest, ByteByByte) {
  for (const Version version : {Version::kTls12, Version::kTls13}) {
    client_options_.version_min = client_options_.version_max = version;
    Begin();
    EXPECT_EQ(Shake(), "+OK hello\r\n");
  }
}

TEST_F(FirstWordsTest, AfterAHelloRetryRequest) {
  // The client's first guess at a group is one that the server does not take.
  server_options_.groups = "X25519";
  client_options_.groups = "P-256:X25519";
  Begin();
  EXPECT_EQ(Shake(), "+OK hello\r\n");
  EXPECT_EQ(server_.engine->info().group, "x25519");
}

TEST_F(FirstWordsTest, OfAHandshakeThatFailsAreNoTrouble) {
  Begin();
  std::string plaintext;
  ASSERT_EQ(server_.Feed(client_.TakeOutput(), &plaintext), Result::kWantInput);
  // Instead of the client's Finished: a record that nobody can have made.
  std::string forged("\x17\x03\x03\x00\x20", 5);
  forged.append(32, 'x');
  EXPECT_EQ(server_.Feed(forged, &plaintext), Result::kError);
  EXPECT_FALSE(server_.engine->error().empty());
}

}  // namespace
}  // namespace postern::tls::testing
