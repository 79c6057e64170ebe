#include "proxy/base/dns_name.h"

#include <string>

#include "gtest/gtest.h"

namespace postern {
namespace {

TEST(IsDnsName, AsRfc1123Says) {
  const std::string label(63, 'a');
  for (const std::string& good :
       {std::string("localhost"), std::string("pop.example.net"), std::string("A-1.b"),
        std::string("1and1.com"), std::string("xn--bcher-kva.example"), label + ".net",
        label + "." + label + "." + label + "." + std::string(61, 'b')}) {
    EXPECT_TRUE(IsDnsName(good)) << good;
  }
  for (const std::string& bad :
       {std::string(""), std::string("."), std::string("a..b"), std::string("a."),
        std::string("-a.b"), std::string("a-.b"), std::string("a_b.c"), std::string("a b"),
        std::string("192.0.2.1"), std::string("*.example.net"), std::string("b\xc3\xbc.de"),
        label + "a.net", label + "." + label + "." + label + "." + std::string(62, 'b')}) {
    EXPECT_FALSE(IsDnsName(bad)) << bad;
  }
}

}  // namespace
}  // namespace postern
