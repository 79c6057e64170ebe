#include "proxy/pop3/sasl_first_message.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gtest/gtest.h"

namespace postern::pop3 {
namespace {

// '^' stands for the separator 0x01.
FirstMessage Read(Mechanism mechanism, absl::string_view message, std::string* user) {
  return ReadFirstMessage(mechanism, absl::StrReplaceAll(message, {{"^", "\x01"}}), user);
}

void ExpectUser(Mechanism mechanism, absl::string_view message, absl::string_view user) {
  std::string got;
  EXPECT_EQ(Read(mechanism, message, &got), FirstMessage::kGood) << message;
  EXPECT_EQ(got, user);
}

void ExpectBad(Mechanism mechanism, absl::string_view message,
               FirstMessage verdict = FirstMessage::kMalformed) {
  std::string user;
  EXPECT_EQ(Read(mechanism, message, &user), verdict) << message;
}

TEST(SaslFirstMessage, Scram) {
  for (const Mechanism scram : {Mechanism::kScramSha1, Mechanism::kScramSha256}) {
    // The example of RFC 7677.
    ExpectUser(scram, "n,,n=user,r=rOprNGfwEbeRWgbNEkqO", "user");
    ExpectUser(scram, "y,,n=anna@example.org,r=x,ext=1", "anna@example.org");
    ExpectUser(scram, "n,a=anna,n=anna,r=x", "anna");
    ExpectUser(scram, "n,a=a=2Cb,n=a=2Cb,r=x", "a,b");
    ExpectUser(scram, "n,,n=a=3D2C=2C,r=x", "a=2C,");
    ExpectUser(scram, "n,,n=\xc3\xa4,r=x", "\xc3\xa4");
    ExpectBad(scram, "n,a=bob,n=anna,r=x", FirstMessage::kForeign);
    for (const char* message : {"",
                                "n",
                                "n,",
                                "n,,",
                                "n,,n=",
                                "n,,n=,r=x",
                                "n,,n=anna",
                                "n,,n=anna,",
                                "n,,n=anna,r=",
                                "n,,n=anna,r=,x=1",
                                "n,,r=x,n=anna",
                                "n,,m=ext,n=anna,r=x",
                                "p=tls-unique,,n=anna,r=x",
                                "p=tls-exporter,,n=anna,r=x",
                                "N,,n=anna,r=x",
                                "n,b=anna,n=anna,r=x",
                                "n,a=,n=anna,r=x",
                                "n,,n=an=na,r=x",
                                "n,,n=anna=2,r=x",
                                "n,,n=anna=2c,r=x",
                                "n,,n=an^na,r=x",
                                "n,,n=anna,r=x^",
                                "n,,n=anna\x7f,r=x",
                                "n,,n=anna\r\n,r=x"}) {
      ExpectBad(scram, message);
    }
  }
}

TEST(SaslFirstMessage, Oauthbearer) {
  const Mechanism oauth = Mechanism::kOauthbearer;
  // The example of RFC 7628.
  ExpectUser(oauth,
             "n,a=user@example.com,^host=server.example.com^port=143^"
             "auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==^^",
             "user@example.com");
  ExpectUser(oauth, "n,a=a=2Cb,^auth=bearer x^^", "a,b");
  for (const char* message :
       {"", "n,,^auth=Bearer x^^", "n,a=,^auth=Bearer x^^", "n,a=anna,auth=Bearer x^^",
        "n,a=anna,^auth=Bearer x^", "n,a=anna,^auth=Bearer x", "n,a=anna,^^", "n,a=anna,^host=x^^",
        "n,a=anna,^auth=Bearer ^^", "n,a=anna,^auth=Basic x^^", "n,a=anna,^auth=Bearer x^^more",
        "n,a=anna,^auth=Bearer x^^^", "n,a=anna,^auth=Bea\trer x^^", "n,a=an^na,^auth=Bearer x^^",
        "p=x,a=anna,^auth=Bearer x^^", "n,a=anna,^host^auth=Bearer x^^"}) {
    ExpectBad(oauth, message);
  }
}

TEST(SaslFirstMessage, Xoauth2) {
  const Mechanism oauth = Mechanism::kXoauth2;
  ExpectUser(oauth,
             "user=someuser@example.com^auth=Bearer ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGE^^",
             "someuser@example.com");
  for (const char* message :
       {"", "user=^auth=Bearer x^^", "user=anna", "user=anna^", "user=anna^auth=Bearer x^",
        "user=anna^^auth=Bearer x^^", "auth=Bearer x^user=anna^^", "user=an\tna^auth=Bearer x^^",
        "user=anna^auth=Bearer x^^x", "User=anna^auth=Bearer x^^", "user=anna^auth=Bearer^^"}) {
    ExpectBad(oauth, message);
  }
}

}  // namespace
}  // namespace postern::pop3
