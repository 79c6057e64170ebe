#include "proxy/pop3/capability.h"

#include <gtest/gtest.h>

namespace postern::pop3 {
namespace {

TEST(Capability, TheOrderIsOursWhateverTheConfigurationSays) {
  const absl::string_view mechanisms[] = {"PLAIN", "LOGIN"};
  CapabilityState state;
  state.user_pass = true;
  state.mechanisms = mechanisms;
  state.stls = true;
  EXPECT_EQ(CapabilityReply(state, {"LOGIN-DELAY 10", "UIDL", "PIPELINING", "AUTH-RESP-CODE",
                                    "RESP-CODES", "EXPIRE NEVER", "TOP"}),
            "+OK Capability list follows\r\n"
            "TOP\r\nUSER\r\nSASL PLAIN LOGIN\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\n"
            "UIDL\r\nLOGIN-DELAY 10\r\nEXPIRE NEVER\r\nSTLS\r\n.\r\n");
}

TEST(Capability, OnlyWhatHoldsIsSaid) {
  EXPECT_EQ(CapabilityReply({}, {}), "+OK Capability list follows\r\n.\r\n");
}

TEST(Capability, WhatTheStateDecidesCannotBeConfiguredIn) {
  EXPECT_EQ(CapabilityReply({}, {"USER", "SASL PLAIN", "STLS", "stls", "IMPLEMENTATION Secret 1.0",
                                 "UTF8 USER", "LANG", "top"}),
            "+OK Capability list follows\r\nTOP\r\n.\r\n");
}

TEST(Capability, LinesThatWouldBreakTheResponseAreLeftOut) {
  EXPECT_EQ(CapabilityReply({}, {"X\r\nY", "", ".", " X", std::string(511, 'A'), "XOK", "XOK"}),
            "+OK Capability list follows\r\nXOK\r\n.\r\n");
}

}  // namespace
}  // namespace postern::pop3
