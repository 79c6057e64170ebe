#include "proxy/config/places.h"

#include <string>

#include "gtest/gtest.h"

namespace postern::config {
namespace {

constexpr char kFile[] = "/etc/postern/postern.toml";
constexpr char kText[] = R"(hostname = "x"
[tls]
certificates = [
  { chain = "tls/a.pem", key = "/keys/a: b.pem" },
  { chain = "/tls/b.pem", key = "tls/a.pem" },
]
[[route]]
map = "maps/users"
pool = "mail"
)";

std::string Placed(const std::string& message) {
  return std::string(WithPlaces(absl::NotFoundError(message), kText, kFile).message());
}

TEST(WithPlaces, NamesThePlaceOfEachFile) {
  EXPECT_EQ(Placed("/etc/postern/maps/users: cannot be opened; check the path\n"
                   "/tls/b.pem: is empty"),
            "/etc/postern/postern.toml:8:7: /etc/postern/maps/users: cannot be opened; check the "
            "path\n/etc/postern/postern.toml:5:13: /tls/b.pem: is empty");
  // The first of several places, and a path with the separator in it.
  EXPECT_EQ(Placed("/etc/postern/tls/a.pem: x"),
            "/etc/postern/postern.toml:4:13: /etc/postern/tls/a.pem: x");
  EXPECT_EQ(Placed("/keys/a: b.pem: is damaged"),
            "/etc/postern/postern.toml:4:32: /keys/a: b.pem: is damaged");
}

TEST(WithPlaces, LeavesOtherLinesAlone) {
  for (const char* line : {
           "/etc/postern/maps/users:3:1: there is no backend \"x\"",
           "/elsewhere: cannot be opened",
           "/etc/postern/postern.toml:3:9: what is wrong",
           "too many backends",
           "",
       }) {
    EXPECT_EQ(Placed(line), line);
  }
}

TEST(WithPlaces, KeepsTheCode) {
  EXPECT_TRUE(WithPlaces(absl::OkStatus(), kText, kFile).ok());
  const absl::Status status = absl::NotFoundError("/tls/b.pem: x");
  EXPECT_TRUE(absl::IsNotFound(WithPlaces(status, kText, kFile)));
  // Without a configuration to look into there is no place to tell.
  EXPECT_EQ(WithPlaces(status, "no = = toml", kFile), status);
  EXPECT_EQ(WithPlaces(status, "/nonexistent/postern.toml"), status);
}

}  // namespace
}  // namespace postern::config
