#include "proxy/pop3/referral.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace postern::pop3 {
namespace {

// "user|host|port", or "none".
std::string Read(absl::string_view line) {
  const std::optional<Referral> referral = ReadReferral(line);
  if (!referral.has_value()) return "none";
  return absl::StrCat(referral->user, "|", referral->host, "|", referral->port);
}

std::string Of(absl::string_view place) {
  return Read(absl::StrCat("-ERR [REFERRAL/", place, "] Try there.\r\n"));
}

TEST(Referral, Forms) {
  EXPECT_EQ(Of("anna@mail2.example.net:110"), "anna|mail2.example.net|110");
  EXPECT_EQ(Of("anna@example.org@10.0.0.2"), "anna@example.org|10.0.0.2|0");
  EXPECT_EQ(Of("mail2"), "|mail2|0");
  EXPECT_EQ(Of("@mail2:995"), "|mail2|995");
  EXPECT_EQ(Of("anna@2001:db8::2"), "anna|2001:db8::2|0");
  EXPECT_EQ(Read("-ERR [referral/anna@h]"), "anna|h|0");
}

TEST(Referral, WhatIsNone) {
  for (const absl::string_view line :
       {"+OK [REFERRAL/anna@h]", "-ERR [AUTH] no", "-ERR REFERRAL/anna@h", "-ERR", "", "+ x",
        "-ERR [REFERRAL]", "-ERR [REFERRALS/h]", "-ERR [REFERRAL/an na@h]"}) {
    EXPECT_EQ(Read(line), "none") << line;
  }
  for (const absl::string_view place : {"", "anna@", "anna@:110", "anna@h:", "anna@h:0",
                                        "anna@h:65536", "anna@h:1x", "anna@h:-1", "anna@h:+1"}) {
    EXPECT_EQ(Of(place), "none") << place;
  }
  EXPECT_EQ(Of(absl::string_view("an\0na@h", 7)), "none");
  EXPECT_EQ(Of("an\tna@h"), "none");
}

}  // namespace
}  // namespace postern::pop3
