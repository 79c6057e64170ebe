#include "bench/maildrop/message.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "bench/maildrop/samples.h"
#include "bench/maildrop/size_model.h"

namespace postern::maildrop {
namespace {

using Verdict = MessageVerifier::Verdict;

MessageId Id(absl::string_view user, uint64_t number, uint64_t octets) {
  MessageId id;
  id.user = user;
  id.store = "store1";
  id.number = number;
  id.seed = 7;
  id.octets = octets;
  return id;
}

std::string Drain(MessageStream stream, size_t piece) {
  std::string wire;
  std::vector<char> buffer(piece);
  for (;;) {
    const size_t size = stream.Write(buffer.data(), buffer.size());
    if (size == 0) break;
    wire.append(buffer.data(), size);
  }
  EXPECT_TRUE(stream.finished());
  return wire;
}

// The octets LIST counts: without the stuffed dots and the terminator.
size_t OctetsOnTheWire(const std::string& wire) {
  size_t octets = 0;
  for (const absl::string_view line : absl::StrSplit(wire, "\r\n")) {
    octets += line.size() + 2 - (absl::StartsWith(line, ".") ? 1 : 0);
  }
  return octets - 2 - 2;  // the terminator's line, and the nothing behind its CRLF
}

Verdict Verify(MessageVerifier* verifier, absl::string_view wire, size_t piece, size_t* used) {
  *used = 0;
  for (;;) {
    size_t consumed = 0;
    const Verdict verdict = verifier->OnInput(wire.substr(*used, piece), &consumed);
    *used += consumed;
    if (verdict != Verdict::kMore || *used == wire.size()) return verdict;
  }
}

TEST(MessageTest, EverySizeIsExact) {
  for (uint64_t octets = kMessageBytesMin; octets < kMessageBytesMin + 400; ++octets) {
    const std::string wire = Drain(MessageStream(Id("alice@example.org", octets, octets)), 4096);
    EXPECT_EQ(OctetsOnTheWire(wire), octets);
  }
}

TEST(MessageTest, LinesAreShortAndSomeBeginWithADot) {
  const std::string wire = Drain(MessageStream(Id("alice@example.org", 1, 300000)), 16384);
  ASSERT_TRUE(absl::EndsWith(wire, "\r\n.\r\n"));
  size_t longest = 0;
  size_t dots = 0;
  size_t lone_dots = 0;
  const std::vector<absl::string_view> lines = absl::StrSplit(wire, "\r\n");
  for (size_t i = 0; i + 2 < lines.size(); ++i) {
    longest = std::max(longest, lines[i].size() - (absl::StartsWith(lines[i], ".") ? 1 : 0));
    if (!absl::StartsWith(lines[i], ".")) continue;
    EXPECT_TRUE(absl::StartsWith(lines[i], "..")) << "line " << i << " is not stuffed";
    ++dots;
    if (lines[i] == "..") ++lone_dots;
  }
  EXPECT_LE(longest, 78u);
  EXPECT_GT(dots, 20u);
  EXPECT_GT(lone_dots, 2u);
}

TEST(MessageTest, PiecesOfAnySizeGiveTheSameBytes) {
  const MessageId id = Id("bob@example.org", 3, 20000);
  const std::string whole = Drain(MessageStream(id), 65536);
  for (const size_t piece : {128u, 129u, 160u, 500u, 2600u, 4096u}) {
    EXPECT_EQ(Drain(MessageStream(id), piece), whole) << piece;
  }
}

TEST(MessageTest, UsersNumbersAndSeedsDiffer) {
  const std::string wire = Drain(MessageStream(Id("bob@example.org", 3, 5000)), 4096);
  EXPECT_NE(Drain(MessageStream(Id("rob@example.org", 3, 5000)), 4096), wire);
  EXPECT_NE(Drain(MessageStream(Id("bob@example.org", 4, 5000)), 4096), wire);
  EXPECT_NE(UniqueId("bob", 1, 1), UniqueId("bob", 2, 1));
  EXPECT_NE(UniqueId("bob", 1, 1), UniqueId("bob", 1, 2));
}

TEST(MessageTest, TopSendsTheHeaderAndSoManyLines) {
  const MessageId id = Id("bob@example.org", 3, 20000);
  const std::string whole = Drain(MessageStream(id), 65536);
  const std::string top = Drain(MessageStream(id, 2), 65536);
  const size_t body = whole.find("\r\n\r\n") + 4;
  const size_t third_line = whole.find("\r\n", whole.find("\r\n", body) + 2) + 2;
  EXPECT_EQ(top, whole.substr(0, third_line) + ".\r\n");
  EXPECT_EQ(Drain(MessageStream(id, 0), 65536), whole.substr(0, body) + ".\r\n");
}

TEST(VerifierTest, RightMessagesPassInPiecesOfAnySize) {
  for (const uint64_t octets : {uint64_t{640}, uint64_t{5000}, uint64_t{100000}}) {
    const std::string wire = Drain(MessageStream(Id("bob@example.org", 9, octets)), 65536);
    for (const size_t piece : {1u, 2u, 77u, 4096u, 200000u}) {
      MessageVerifier verifier("bob@example.org");
      size_t used = 0;
      EXPECT_EQ(Verify(&verifier, wire + "+OK next\r\n", piece, &used), Verdict::kVerified);
      EXPECT_EQ(used, wire.size());
      EXPECT_EQ(verifier.number(), 9u);
    }
  }
}

TEST(VerifierTest, AnyChangedByteIsFound) {
  const std::string wire = Drain(MessageStream(Id("bob@example.org", 9, 1500)), 65536);
  const size_t header = wire.find("X-Postern-Message");
  for (size_t i = 0; i < wire.size(); ++i) {
    // Without that line it is somebody else's message; the test below has these.
    if (i >= header - 2 && i < header + 19) continue;
    std::string damaged = wire;
    damaged[i] = damaged[i] == '#' ? '!' : '#';
    MessageVerifier verifier("bob@example.org");
    size_t used = 0;
    const Verdict verdict = Verify(&verifier, damaged, 65536, &used);
    // A message whose end is damaged waits for bytes that never come, or is found out.
    EXPECT_TRUE(verdict == Verdict::kCorrupt) << "byte " << i;
  }
}

TEST(VerifierTest, LostAndDoubledBytesAreFound) {
  const std::string wire = Drain(MessageStream(Id("bob@example.org", 9, 5000)), 65536);
  const size_t body = wire.find("\r\n\r\n") + 4;
  for (size_t i = body; i + 5 < wire.size(); i += 13) {
    std::string lost = wire;
    lost.erase(i, 1);
    MessageVerifier first("bob@example.org");
    size_t used = 0;
    EXPECT_NE(Verify(&first, lost, 65536, &used), Verdict::kVerified) << i;
    std::string doubled = wire;
    doubled.insert(i, 1, '~');
    MessageVerifier second("bob@example.org");
    EXPECT_EQ(Verify(&second, doubled, 65536, &used), Verdict::kCorrupt) << i;
  }
}

// What a proxy that mixes up its buffers does: the right number of bytes, each a real line.
TEST(VerifierTest, ExchangedAndForeignPiecesAreFound) {
  const std::string wire = Drain(MessageStream(Id("bob@example.org", 9, 200000)), 65536);
  const std::string other = Drain(MessageStream(Id("bob@example.org", 10, 200000)), 65536);
  const size_t body = wire.find("\r\n\r\n") + 4;
  constexpr size_t kPiece = 16384;
  for (size_t i = body; i + 2 * kPiece < std::min(wire.size(), other.size()); i += kPiece) {
    std::string exchanged = wire;
    exchanged.replace(i, 2 * kPiece, wire.substr(i + kPiece, kPiece) + wire.substr(i, kPiece));
    std::string foreign = wire;
    foreign.replace(i, kPiece, other, i, kPiece);
    for (const std::string& damaged : {exchanged, foreign}) {
      MessageVerifier verifier("bob@example.org");
      size_t used = 0;
      EXPECT_EQ(Verify(&verifier, damaged, 65536, &used), Verdict::kCorrupt) << i;
    }
  }
}

TEST(VerifierTest, AnotherUsersMessageIsFound) {
  const std::string wire = Drain(MessageStream(Id("alice@example.org", 1, 5000)), 65536);
  MessageVerifier verifier("bob@example.org");
  size_t used = 0;
  EXPECT_EQ(Verify(&verifier, wire, 65536, &used), Verdict::kCorrupt);
  EXPECT_EQ(verifier.problem(), "it is the message of another user, alice@example.org");
}

TEST(VerifierTest, SamplesAreCoveredByAChecksum) {
  for (uint64_t number = 1; number <= kSamples; ++number) {
    const MessageId id = Id("bob@example.org", number, 0);
    const Sample sample = MakeSample(number, "bob@example.org", "store1");
    const std::string wire = Drain(MessageStream(id, sample.subject, sample.text), 4096);
    EXPECT_EQ(OctetsOnTheWire(wire), SampleOctets(id, sample.subject, sample.text));
    for (const size_t piece : {1u, 100u, 65536u}) {
      MessageVerifier verifier("bob@example.org");
      size_t used = 0;
      EXPECT_EQ(Verify(&verifier, wire + "+OK", piece, &used), Verdict::kVerified) << number;
      EXPECT_EQ(used, wire.size());
    }
    std::string damaged = wire;
    damaged[damaged.size() - 10] ^= 1;
    MessageVerifier verifier("bob@example.org");
    size_t used = 0;
    EXPECT_EQ(Verify(&verifier, damaged, 65536, &used), Verdict::kCorrupt) << number;
  }
}

TEST(VerifierTest, MailOfAnotherOriginIsOnlyCounted) {
  for (const std::string& message :
       {std::string("Subject: x\r\n\r\nHello\r\n..dot\r\n.\r\n"), std::string(".\r\n"),
        std::string("no header, no empty line\r\n.\r\n"),
        "Subject: x\r\n\r\n" + std::string(50000, 'y') + "\r\n.\r\n",
        "X: " + std::string(50000, 'y') + "\r\n\r\n\r\n.\r\n"}) {
    for (const size_t piece : {1u, 3u, 65536u}) {
      MessageVerifier verifier("bob@example.org");
      size_t used = 0;
      EXPECT_EQ(Verify(&verifier, message + "+OK 2\r\n", piece, &used), Verdict::kUnverified);
      EXPECT_EQ(used, message.size()) << message.substr(0, 20);
    }
  }
}

}  // namespace
}  // namespace postern::maildrop
