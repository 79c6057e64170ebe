#include "bench/maildrop/proxy_header.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace postern::maildrop {
namespace {

std::string Tlv(char type, const std::string& value) {
  return std::string(1, type) + static_cast<char>(value.size() >> 8) +
         static_cast<char>(value.size() & 0xff) + value;
}

std::string Version2(char command, char family, const std::string& block) {
  return std::string("\r\n\r\n\0\r\nQUIT\n", 12) + command + family +
         static_cast<char>(block.size() >> 8) + static_cast<char>(block.size() & 0xff) + block;
}

// 192.0.2.1:4711 to 198.51.100.2:995.
const std::string kEnds4("\xc0\x00\x02\x01\xc6\x33\x64\x02\x12\x67\x03\xe3", 12);

// The same in pieces of every size must be the same.
ProxyHeader Read(const std::string& header, const std::string& rest, std::string* shown) {
  for (size_t size = 0; size < header.size(); ++size) {
    ClientFacts facts;
    size_t bytes = 0;
    const ProxyHeader part = ReadProxyHeader(header.substr(0, size), &bytes, &facts);
    if (part == ProxyHeader::kBad) return part;
    EXPECT_EQ(part, ProxyHeader::kMore) << "after " << size << " bytes";
    EXPECT_TRUE(facts.empty());
  }
  ClientFacts facts;
  size_t bytes = 0;
  const ProxyHeader whole = ReadProxyHeader(header + rest, &bytes, &facts);
  if (whole == ProxyHeader::kDone) {
    EXPECT_EQ(bytes, header.size());
  }
  *shown = facts.ToString(1000);
  return whole;
}

TEST(ProxyHeaderTest, Version1) {
  std::string shown;
  EXPECT_EQ(Read("PROXY TCP4 192.0.2.1 198.51.100.2 4711 995\r\n", "USER a\r\n", &shown),
            ProxyHeader::kDone);
  EXPECT_EQ(shown, "addr=192.0.2.1 port=4711 destaddr=198.51.100.2 destport=995");
  EXPECT_EQ(Read("PROXY TCP6 2001:db8::1 2001:db8::2 4711 995\r\n", "", &shown),
            ProxyHeader::kDone);
  EXPECT_EQ(shown, "addr=2001:db8::1 port=4711 destaddr=2001:db8::2 destport=995");
  EXPECT_EQ(Read("PROXY UNKNOWN\r\n", "x", &shown), ProxyHeader::kDone);
  EXPECT_EQ(shown, "");
  EXPECT_EQ(Read("PROXY UNKNOWN ffff:: :: 1 2\r\n", "x", &shown), ProxyHeader::kDone);
}

TEST(ProxyHeaderTest, DamagedVersion1IsRefused) {
  for (const char* header :
       {"PROXY TCP4 192.0.2.1 198.51.100.2 4711\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 4711 70000\r\n",
        "PROXY TCP4 2001:db8::1 198.51.100.2 4711 995\r\n", "PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n", "PROXY \r\n", "USER a\r\n",
        "proxy TCP4 1.2.3.4\r\n"}) {
    std::string shown;
    EXPECT_EQ(Read(header, "", &shown), ProxyHeader::kBad) << header;
  }
  std::string shown;
  EXPECT_EQ(Read(absl::StrCat("PROXY UNKNOWN ", std::string(200, 'x'), "\r\n"), "", &shown),
            ProxyHeader::kBad);
}

TEST(ProxyHeaderTest, Version2) {
  std::string shown;
  EXPECT_EQ(Read(Version2(0x21, 0x11, kEnds4), "\x16\x03", &shown), ProxyHeader::kDone);
  EXPECT_EQ(shown, "addr=192.0.2.1 port=4711 destaddr=198.51.100.2 destport=995");
  std::string ends6(36, '\0');
  ends6[15] = 1;
  ends6[31] = 2;
  ends6[33] = 110;
  EXPECT_EQ(Read(Version2(0x21, 0x21, ends6), "", &shown), ProxyHeader::kDone);
  EXPECT_EQ(shown, "addr=::1 port=110 destaddr=::2 destport=0");
  EXPECT_EQ(Read(Version2(0x21, 0x31, std::string(216, '/')), "", &shown), ProxyHeader::kDone);
  EXPECT_EQ(shown, "");
  EXPECT_EQ(Read(Version2(0x20, 0x00, ""), "", &shown), ProxyHeader::kDone);
  EXPECT_EQ(shown, "");
}

TEST(ProxyHeaderTest, Version2ShowsItsAttributes) {
  const std::string tls =
      std::string("\x01\0\0\0\x01", 5) + Tlv(0x21, "TLSv1.3") + Tlv(0x23, "TLS_AES_128_GCM_SHA256");
  const std::string block = kEnds4 + Tlv(0x01, "pop3") + Tlv(0x02, "pop.example") +
                            Tlv(0x05, "id 1") + Tlv(0x04, "padding") + Tlv(0x20, tls);
  std::string shown;
  EXPECT_EQ(Read(Version2(0x21, 0x11, block), "", &shown), ProxyHeader::kDone);
  EXPECT_EQ(shown,
            "addr=192.0.2.1 port=4711 destaddr=198.51.100.2 destport=995 alpn=pop3 "
            "destname=pop.example session=id?1 tls=TLSv1.3 cipher=TLS_AES_128_GCM_SHA256");
}

TEST(ProxyHeaderTest, DamagedVersion2IsRefused) {
  for (const std::string& header :
       {Version2(0x22, 0x11, kEnds4), Version2(0x11, 0x11, kEnds4), Version2(0x21, 0x11, "short"),
        Version2(0x21, 0x11, kEnds4 + std::string("\x01\0\x05xx", 5)),
        Version2(0x21, 0x11, kEnds4 + "\x01"), Version2(0x21, 0x11, kEnds4 + Tlv(0x20, "1234")),
        Version2(0x21, 0x11, kEnds4 + std::string(1500, '\0'))}) {
    std::string shown;
    EXPECT_EQ(Read(header, "", &shown), ProxyHeader::kBad);
  }
}

}  // namespace
}  // namespace postern::maildrop
