#include "proxy/base/all_errors.h"

#include "gtest/gtest.h"

namespace postern {
namespace {

TEST(AllErrors, IsOkWithoutAny) {
  AllErrors errors;
  EXPECT_TRUE(errors.ToStatus().ok());
  errors.Add(absl::OkStatus());
  EXPECT_TRUE(errors.ToStatus().ok());
}

TEST(AllErrors, TellsEachLineOnceInTheOrderInWhichTheyCame) {
  AllErrors errors;
  errors.Add(absl::NotFoundError("b\na"));
  errors.Add(absl::OkStatus());
  errors.Add(absl::InvalidArgumentError("a\nc"));
  errors.Add(absl::InvalidArgumentError("c\na"));
  const absl::Status status = errors.ToStatus();
  EXPECT_EQ(status.message(), "b\na\nc");
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace postern
