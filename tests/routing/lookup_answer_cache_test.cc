#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "routing/lookup/answer_cache.h"

namespace postern::routing {
namespace {

using Kind = LookupAnswer::Kind;

LookupKey Key(uint32_t number) {
  LookupKey key;
  // The first byte chooses the table.
  key.bytes[0] = static_cast<char>(number * 37);
  std::memcpy(key.bytes.data() + 4, &number, sizeof(number));
  return key;
}

AnswerPtr Answer(Kind kind, const std::string& target = {}) {
  LookupAnswer answer = LookupAnswer::Of(kind);
  answer.target = target;
  return std::make_shared<const LookupAnswer>(std::move(answer));
}

TEST(AnswerCacheTest, FreshThenStaleThenGone) {
  AnswerCache cache(100);
  cache.Put(Key(1), Answer(Kind::kFound, "mail1"), 1000, 2000);
  AnswerCache::Hit hit = cache.Find(Key(1), 1999, 500);
  ASSERT_NE(hit.answer, nullptr);
  EXPECT_TRUE(hit.fresh);
  EXPECT_EQ(hit.answer->target, "mail1");
  EXPECT_EQ(hit.stored_at, 1000);
  hit = cache.Find(Key(1), 2000, 500);
  ASSERT_NE(hit.answer, nullptr);
  EXPECT_FALSE(hit.fresh);
  EXPECT_EQ(cache.Find(Key(1), 2500, 500).answer, nullptr);
  EXPECT_EQ(cache.size(), 0u);
  EXPECT_EQ(cache.Find(Key(2), 0, 500).answer, nullptr);
}

TEST(AnswerCacheTest, ALaterAnswerTakesThePlaceOfTheEarlierOfEitherKind) {
  AnswerCache cache(100);
  cache.Put(Key(1), Answer(Kind::kForbidden), 0, 100);
  cache.Put(Key(1), Answer(Kind::kFound, "mail1"), 0, 100);
  EXPECT_EQ(cache.Find(Key(1), 0, 0).answer->target, "mail1");
  cache.Put(Key(1), Answer(Kind::kUnknown), 0, 100);
  EXPECT_EQ(cache.Find(Key(1), 0, 0).answer->kind, Kind::kUnknown);
  EXPECT_EQ(cache.size(), 1u);
}

TEST(AnswerCacheTest, TheLeastRecentlyUsedMakesRoom) {
  AnswerCache cache(8);  // six for answers that lead somewhere
  for (uint32_t i = 0; i < 6; ++i) {
    EXPECT_EQ(cache.Put(Key(i), Answer(Kind::kFound, absl::StrCat("m", i)), 0, 100), 0u);
  }
  EXPECT_NE(cache.Find(Key(0), 1, 0).answer, nullptr);  // used just now
  EXPECT_EQ(cache.Put(Key(6), Answer(Kind::kFound, "m6"), 0, 100), 1u);
  EXPECT_EQ(cache.Find(Key(1), 1, 0).answer, nullptr);
  EXPECT_NE(cache.Find(Key(0), 1, 0).answer, nullptr);
  EXPECT_EQ(cache.size(), 6u);
}

TEST(AnswerCacheTest, GuessingPasswordsDrivesNobodyOut) {
  for (const size_t entries : {size_t{8}, size_t{4096}}) {
    AnswerCache cache(entries);
    const auto good = static_cast<uint32_t>(entries / 4);
    for (uint32_t i = 0; i < good; ++i) cache.Put(Key(i), Answer(Kind::kFound, "m"), 0, 100);
    size_t evictions = 0;
    for (uint32_t i = 0; i < 4 * entries; ++i) {
      evictions += cache.Put(Key(100000 + i), Answer(Kind::kForbidden), 0, 100);
    }
    EXPECT_GT(evictions, 0u);
    for (uint32_t i = 0; i < good; ++i) EXPECT_NE(cache.Find(Key(i), 1, 0).answer, nullptr) << i;
    EXPECT_LE(cache.size(), entries);
  }
}

TEST(AnswerCacheTest, NoRoomIsNoCache) {
  AnswerCache cache(0);
  cache.Put(Key(1), Answer(Kind::kFound, "m"), 0, 100);
  EXPECT_EQ(cache.Find(Key(1), 0, 0).answer, nullptr);
  EXPECT_EQ(cache.size(), 0u);
}

TEST(AnswerCacheTest, SweepsWhatNobodyUsesAnyMore) {
  AnswerCache cache(2048);  // 16 tables
  for (uint32_t i = 0; i < 200; ++i) cache.Put(Key(i), Answer(Kind::kFound, "m"), 0, 100);
  for (int i = 0; i < 16; ++i) cache.Sweep(149, 50);
  EXPECT_EQ(cache.size(), 200u);
  for (int i = 0; i < 16; ++i) cache.Sweep(150, 50);
  EXPECT_EQ(cache.size(), 0u);
}

}  // namespace
}  // namespace postern::routing
