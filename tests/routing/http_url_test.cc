#include "gtest/gtest.h"
#include "routing/lookup/http_client.h"

namespace postern::routing {
namespace {

TEST(HttpUrlTest, AKeyInTheQueryHasNoName) {
  EXPECT_EQ((HttpUrl{"http://h:1/auth?key=s3cret", "h", ""}).Name(), "http://h:1/auth?...");
  EXPECT_EQ((HttpUrl{"https://h/auth", "h", ""}).Name(), "https://h/auth");
  EXPECT_EQ((HttpUrl{"http://localhost/a?key=s3cret", "localhost", "/run/s"}).Name(),
            "unix:/run/s");
}

}  // namespace
}  // namespace postern::routing
