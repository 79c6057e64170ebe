#include "proxy/config/toml_json.h"

#include <string>

#include "gtest/gtest.h"

namespace postern::config {
namespace {

TEST(TomlJsonTest, ThereAndBack) {
  Diagnostics diagnostics("f");
  TomlNode root;
  ASSERT_TRUE(
      ParseToml("s = \"a\\tb\\u00e9\\\"\"\ni = -7\nbig = 9007199254740993\nr = 2.0\nb = true\n"
                "l = [1, \"x\", [], {k = 1.5}]\n[t]\nd = 2024-01-01\nu = {}\n",
                &root, &diagnostics));
  const std::string json = TomlToJson(root);
  EXPECT_EQ(json,
            "{\"b\":true,\"big\":9007199254740993,\"i\":-7,\"l\":[1,\"x\",[],{\"k\":1.5}],"
            "\"r\":2.0,\"s\":\"a\\tb\\u00e9\\\"\",\"t\":{\"u\":{}}}");
  const std::optional<TomlNode> back = TomlFromJson(json);
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(TomlToJson(*back), json);
}

TEST(TomlJsonTest, WhatIsNone) {
  for (const char* wrong : {"", "{", "null", "{\"a\":null}", "[nan]", "{} {}"}) {
    EXPECT_FALSE(TomlFromJson(wrong).has_value()) << wrong;
  }
}

}  // namespace
}  // namespace postern::config
