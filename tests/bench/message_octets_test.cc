#include "bench/load/message_octets.h"

#include <gtest/gtest.h>

#include <string>

namespace postern::load {
namespace {

struct Seen {
  bool done;
  bool well_stuffed;
  uint64_t octets;
  size_t consumed;
};

// In pieces of `step` bytes.
Seen Feed(const std::string& wire, size_t step) {
  MessageOctets octets;
  size_t consumed = 0;
  for (size_t at = 0; at < wire.size(); at += step) {
    consumed += octets.OnInput(absl::string_view(wire).substr(at, step));
  }
  return {octets.done(), octets.well_stuffed(), octets.octets(), consumed};
}

TEST(MessageOctetsTest, CountsWhatIsBehindTheStuffing) {
  // "a", ".b", "..", "", ".", all with CRLF: 3 + 4 + 4 + 2 + 3.
  const std::string wire = "a\r\n..b\r\n...\r\n\r\n..\r\n.\r\n";
  for (size_t step = 1; step <= wire.size(); ++step) {
    const Seen seen = Feed(wire, step);
    EXPECT_TRUE(seen.done) << step;
    EXPECT_TRUE(seen.well_stuffed) << step;
    EXPECT_EQ(seen.octets, 16u) << step;
    EXPECT_EQ(seen.consumed, wire.size()) << step;
  }
}

TEST(MessageOctetsTest, TakesNothingBehindTheEnd) {
  const Seen seen = Feed("a\r\n.\r\n+OK\r\n", 100);
  EXPECT_TRUE(seen.done);
  EXPECT_EQ(seen.octets, 3u);
  EXPECT_EQ(seen.consumed, 6u);
}

TEST(MessageOctetsTest, AnEmptyAnswer) {
  const Seen seen = Feed(".\r\n", 1);
  EXPECT_TRUE(seen.done);
  EXPECT_EQ(seen.octets, 0u);
}

TEST(MessageOctetsTest, OnlyCrlfEndsALine) {
  for (const char* wire : {"a\n.\n", "a\n.\r\n", "a\r.\r\n", "a.\r\n", "a\r\n.\n", "a\r\n.\rx"}) {
    for (size_t step = 1; step <= 6; ++step) EXPECT_FALSE(Feed(wire, step).done) << wire;
  }
  EXPECT_TRUE(Feed("a\r\r\n.\r\n", 1).done);
}

TEST(MessageOctetsTest, ALineWithASingleDotIsNotStuffed) {
  EXPECT_FALSE(Feed(".b\r\n.\r\n", 1).well_stuffed);
  EXPECT_FALSE(Feed("a\r\n.\rb\r\n.\r\n", 2).well_stuffed);
  EXPECT_TRUE(Feed("a.b\r\n.\r\n", 1).well_stuffed);
}

}  // namespace
}  // namespace postern::load
