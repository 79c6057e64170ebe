#include "proxy/config/value_syntax.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "proxy/config/diagnostics.h"

namespace postern::config {
namespace {

TEST(ValueSyntax, Durations) {
  const struct {
    const char* text;
    std::optional<DurationNs> duration;
  } cases[] = {
      {"0s", 0},
      {"500ms", 500 * kMillisecond},
      {"15s", 15 * kSecond},
      {"11m", 660 * kSecond},
      {"1h", 3600 * kSecond},
      {"2562047h", int64_t{2562047} * 3600 * kSecond},
      {"2562048h", std::nullopt},  // more than 63 bits of nanoseconds
      {"99999999999999999999s", std::nullopt},
      {"", std::nullopt},
      {"s", std::nullopt},
      {"5", std::nullopt},
      {"5 s", std::nullopt},
      {" 5s", std::nullopt},
      {"5S", std::nullopt},
      {"5us", std::nullopt},
      {"5d", std::nullopt},
      {"+5s", std::nullopt},
      {"-5s", std::nullopt},
      {"1.5s", std::nullopt},
      {"1h30m", std::nullopt},
  };
  for (const auto& c : cases) EXPECT_EQ(ParseDuration(c.text), c.duration) << c.text;
}

TEST(ValueSyntax, DurationTextReadsBack) {
  for (const char* text : {"0s", "1ms", "1500ms", "15s", "90s", "11m", "1h", "25h"}) {
    EXPECT_EQ(DurationText(*ParseDuration(text)), text);
  }
  EXPECT_EQ(DurationText(60 * kSecond), "1m");
}

TEST(ValueSyntax, ByteSizes) {
  EXPECT_EQ(ParseByteSize("512B"), 512);
  EXPECT_EQ(ParseByteSize("16KiB"), 16384);
  EXPECT_EQ(ParseByteSize("1MiB"), 1048576);
  for (const char* text : {"", "16", "16K", "16kB", "-1B", "1GiB", "9999999999999999MiB"}) {
    EXPECT_EQ(ParseByteSize(text), std::nullopt) << text;
  }
}

TEST(ValueSyntax, CapabilityLines) {
  EXPECT_TRUE(IsCapabilityLine("TOP"));
  EXPECT_TRUE(IsCapabilityLine("EXPIRE 30 USER"));
  for (const char* bad : {"", " TOP", "TOP ", "A  B", "A\r\nB", "A\tB", "b\xc3\xbc", "."}) {
    EXPECT_FALSE(IsCapabilityLine(bad)) << bad;
  }
  EXPECT_FALSE(IsCapabilityLine(std::string(251, 'A')));
}

TEST(ValueSyntax, EntityNames) {
  for (const char* good : {"mail1", "1", "a.b-c_d", "MAIL"}) EXPECT_TRUE(IsEntityName(good));
  for (const char* bad : {"", "-a", "a b", "a/b", "a\"b", "a,b"}) EXPECT_FALSE(IsEntityName(bad));
  EXPECT_TRUE(IsEntityName(std::string(64, 'a')));
  EXPECT_FALSE(IsEntityName(std::string(65, 'a')));
}

TEST(DidYouMeanTest, NearestWordOrNothing) {
  const std::vector<std::string> words = {"address", "backlog", "name", "tls"};
  EXPECT_EQ(DidYouMean("adress", words), "; did you mean \"address\"?");
  EXPECT_EQ(DidYouMean("ADDRESS", words), "; did you mean \"address\"?");
  EXPECT_EQ(DidYouMean("tsl", words), "; did you mean \"tls\"?");
  EXPECT_EQ(DidYouMean("nmae", words), "; did you mean \"name\"?");
  EXPECT_EQ(DidYouMean("foo", words), "");
  EXPECT_EQ(DidYouMean("", words), "");
  EXPECT_EQ(DidYouMean(std::string(100000, 'a'), words), "");
}

}  // namespace
}  // namespace postern::config
