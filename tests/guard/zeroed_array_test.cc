#include "proxy/guard/zeroed_array.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <vector>

#include "gtest/gtest.h"

namespace postern::guard {
namespace {

constexpr size_t kHugePage = size_t{1} << 21;

struct Item {
  uint64_t key;
  uint64_t value;
};

uintptr_t Address(const Item& item) { return reinterpret_cast<uintptr_t>(&item); }

// Pages of the array that are in memory.
size_t PagesThere(const ZeroedArray<Item>& array) {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  std::vector<unsigned char> there((array.bytes() + page - 1) / page);
  EXPECT_EQ(mincore(const_cast<Item*>(&array[0]), array.bytes(), there.data()), 0);
  size_t sum = 0;
  for (const unsigned char one : there) sum += one & 1u;
  return sum;
}

TEST(ZeroedArray, EverySizeIsZeroedAndCanBeWrittenToItsEnd) {
  // One page, less and more; one huge page, less and more; several.
  for (const size_t bytes : {size_t{16}, size_t{4096}, size_t{5008}, kHugePage - 16, kHugePage,
                             kHugePage + 16, 3 * kHugePage + 4096}) {
    SCOPED_TRACE(bytes);
    ZeroedArray<Item> array(bytes / sizeof(Item));
    ASSERT_TRUE(array.ok());
    ASSERT_EQ(array.bytes(), bytes);
    for (size_t i = 0; i < array.size(); ++i) {
      ASSERT_EQ(array[i].key, 0u);
      ASSERT_EQ(array[i].value, 0u);
      array[i] = Item{i, ~i};
    }
    for (size_t i = 0; i < array.size(); ++i) {
      ASSERT_EQ(array[i].key, i);
      ASSERT_EQ(array[i].value, ~i);
    }
  }
}

TEST(ZeroedArray, BeginsAtAPageAndALargeOneAtAHugePage) {
  const ZeroedArray<Item> small(10);
  EXPECT_EQ(Address(small[0]) % 4096, 0u);
  // Several, so that chance alone does not align them all.
  const ZeroedArray<Item> one(kHugePage / sizeof(Item));
  const ZeroedArray<Item> two(kHugePage / sizeof(Item) + 1);
  const ZeroedArray<Item> three(2 * kHugePage / sizeof(Item));
  EXPECT_EQ(Address(one[0]) % kHugePage, 0u);
  EXPECT_EQ(Address(two[0]) % kHugePage, 0u);
  EXPECT_EQ(Address(three[0]) % kHugePage, 0u);
}

TEST(ZeroedArray, TakesMemoryOnlyWhereItIsTouched) {
  ZeroedArray<Item> array(64 * kHugePage / sizeof(Item));
  EXPECT_EQ(PagesThere(array), 0u);
  array[array.size() / 2].key = 1;
  EXPECT_GE(PagesThere(array), 1u);
  EXPECT_LE(PagesThere(array), kHugePage / 4096) << "one huge page at most";
}

TEST(ZeroedArray, SaysWhenThereIsNoRoom) {
  const ZeroedArray<Item> array(size_t{1} << 56);  // more than any address space
  EXPECT_FALSE(array.ok());
  EXPECT_EQ(array.size(), size_t{1} << 56);
}

}  // namespace
}  // namespace postern::guard
