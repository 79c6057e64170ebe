#include "proxy/pop3/proxy_protocol.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace postern::pop3 {
namespace {

using ::testing::HasSubstr;

constexpr absl::string_view kSignature("\r\n\r\n\0\r\nQUIT\n", 12);

std::string U16(size_t value) {
  return {static_cast<char>(value >> 8), static_cast<char>(value & 0xFF)};
}
std::string Tlv(int type, absl::string_view value) {
  return absl::StrCat(std::string(1, static_cast<char>(type)), U16(value.size()), value);
}
// A v2 header with `rest` behind its 16 bytes; `length` differs from the real one where it lies.
std::string V2(int command, int family, absl::string_view rest, int length = -1) {
  const size_t size = length < 0 ? rest.size() : static_cast<size_t>(length);
  return absl::StrCat(kSignature, std::string(1, static_cast<char>(command)),
                      std::string(1, static_cast<char>(family)), U16(size), rest);
}
// 203.0.113.9:4711 to 192.0.2.1:995.
const std::string kEnds4("\xCB\x00\x71\x09\xC0\x00\x02\x01\x12\x67\x03\xE3", 12);

std::string Tcp4(absl::string_view tlvs) { return V2(0x21, 0x11, absl::StrCat(kEnds4, tlvs)); }

struct Got {
  ProxyRead read = ProxyRead::kBad;
  ProxyHeader header;
  size_t consumed = 0;
  std::string why;
};
Got Read(absl::string_view input) {
  Got got;
  got.read = ReadProxyHeader(input, &got.header, &got.consumed, &got.why);
  return got;
}

// Whatever is good or bad about a header is known at its last byte and not before; the bytes of
// the client behind it are left alone.
void ExpectGood(const std::string& header, bool local) {
  for (size_t i = 0; i < header.size(); ++i) {
    EXPECT_EQ(Read(header.substr(0, i)).read, ProxyRead::kNeedMore) << i;
  }
  for (const char* behind : {"", "QUIT\r\n", "\x16\x03\x01"}) {
    const Got got = Read(header + behind);
    ASSERT_EQ(got.read, ProxyRead::kDone) << got.why;
    EXPECT_EQ(got.consumed, header.size());
    EXPECT_EQ(got.header.local, local);
  }
}

TEST(ProxyV1, NamesTheClient) {
  const std::string line = "PROXY TCP4 203.0.113.9 192.0.2.1 4711 995\r\n";
  ExpectGood(line, false);
  const Got got = Read(line);
  EXPECT_EQ(got.header.version, 1);
  EXPECT_EQ(got.header.source.ToString(), "203.0.113.9:4711");
  EXPECT_EQ(got.header.destination.ToString(), "192.0.2.1:995");
  EXPECT_FALSE(got.header.ssl);
  const std::string v6 = "PROXY TCP6 2001:db8::9 2001:db8::1 65535 0\r\n";
  ExpectGood(v6, false);
  EXPECT_EQ(Read(v6).header.source.ToString(), "[2001:db8::9]:65535");
  // A mapped address is the IPv4 client it means.
  EXPECT_EQ(Read("PROXY TCP6 ::ffff:10.0.0.1 ::1 1 2\r\n").header.source.ToString(), "10.0.0.1:1");
}

TEST(ProxyV1, LongestLine) {
  std::string line =
      "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
      "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
  EXPECT_EQ(line.size(), 104u);
  ExpectGood(line, false);
  // UNKNOWN may be followed by anything up to 107 octets.
  line = absl::StrCat("PROXY UNKNOWN ", std::string(91, 'x'), "\r\n");
  EXPECT_EQ(line.size(), kProxyV1BytesMax);
  ExpectGood(line, true);
  EXPECT_EQ(Read(absl::StrCat("PROXY UNKNOWN ", std::string(92, 'x'), "\r\n")).read,
            ProxyRead::kBad);
}

TEST(ProxyV1, UnknownSpeaksForNobody) {
  ExpectGood("PROXY UNKNOWN\r\n", true);
  ExpectGood("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", true);
  EXPECT_TRUE(Read("PROXY UNKNOWN\r\n").header.source.empty());
}

TEST(ProxyV1, Malformed) {
  for (const char* line : {"PROXY \r\n",
                           "PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
                           "PROXY TCP4\r\n",
                           "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
                           "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n",
                           "PROXY TCP4 1.2.3.4  1.2.3.4 1 2\r\n",
                           "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
                           "PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
                           "PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n",
                           "PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n",
                           "PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n",
                           "PROXY TCP4 1.2.3.4 1.2.3.4 1 \r\n",
                           "PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n",
                           "PROXY TCP4 ::1 ::1 1 2\r\n",
                           "PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
                           "PROXY TCP4 mail.example.net 1.2.3.4 1 2\r\n",
                           "PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n",
                           "PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n",
                           "PROXY UNKNOWNX\r\n",
                           "PROXY unknown\r\n",
                           "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n",
                           "PROXY TCP4 1.2.3.4\t1.2.3.4 1 2\r\n",
                           "PROXY \n"}) {
    const Got got = Read(line);
    EXPECT_EQ(got.read, ProxyRead::kBad) << line;
    EXPECT_THAT(got.why, HasSubstr("v1 line")) << line;
  }
  EXPECT_EQ(Read(absl::StrCat("PROXY TCP4 ", std::string(96, '1'))).read, ProxyRead::kBad);
}

TEST(ProxyHeader, AnythingElseIsRefusedAtItsFirstWrongByte) {
  for (const char* text : {"USER anna\r\n", "\x16\x03\x01", "PROXX", "proxy ", "\r\n\r\nQ", "X"}) {
    const Got got = Read(text);
    EXPECT_EQ(got.read, ProxyRead::kBad) << text;
    EXPECT_EQ(got.why, "no PROXY header");
  }
  EXPECT_EQ(Read("").read, ProxyRead::kNeedMore);
}

TEST(ProxyV2, NamesTheClient) {
  ExpectGood(Tcp4(""), false);
  Got got = Read(Tcp4(""));
  EXPECT_EQ(got.header.version, 2);
  EXPECT_EQ(got.header.source.ToString(), "203.0.113.9:4711");
  EXPECT_EQ(got.header.destination.ToString(), "192.0.2.1:995");
  std::string ends6(36, '\0');
  ends6[0] = '\x20';
  ends6[15] = '\x01';
  ends6[31] = '\x02';
  ends6[33] = '\x07';
  const std::string v6 = V2(0x21, 0x21, ends6);
  ExpectGood(v6, false);
  got = Read(v6);
  EXPECT_EQ(got.header.source.ToString(), "[2000::1]:7");
  EXPECT_EQ(got.header.destination.ToString(), "[::2]:0");
}

TEST(ProxyV2, SpeaksForNobody) {
  ExpectGood(V2(0x20, 0x00, ""), true);
  // Whatever a LOCAL header carries is skipped, rubbish too.
  ExpectGood(V2(0x20, 0x11, kEnds4), true);
  ExpectGood(V2(0x20, 0x77, "\xFF\xFF"), true);
  ExpectGood(V2(0x21, 0x00, ""), true);
  ExpectGood(V2(0x21, 0x31, std::string(216, '/')), true);
  EXPECT_TRUE(Read(V2(0x20, 0x11, kEnds4)).header.source.empty());
}

TEST(ProxyV2, Lengths) {
  // Too short for the addresses of its family.
  for (const int length : {0, 1, 11}) {
    const Got got = Read(V2(0x21, 0x11, kEnds4, length));
    EXPECT_EQ(got.read, ProxyRead::kBad) << length;
    EXPECT_THAT(got.why, HasSubstr("too short"));
  }
  EXPECT_EQ(Read(V2(0x21, 0x21, std::string(35, 'x'))).read, ProxyRead::kBad);
  EXPECT_EQ(Read(V2(0x21, 0x31, std::string(215, 'x'))).read, ProxyRead::kBad);
  ExpectGood(V2(0x21, 0x11, kEnds4, 12), false);
  // 13: a TLV of one byte. With client bytes behind the header they must not complete it.
  for (const char* behind : {"", "\x00\x00", "QUIT\r\n"}) {
    EXPECT_EQ(Read(Tcp4("\x04") + behind).read, ProxyRead::kBad);
  }
  // 65535 is refused at once, without waiting for so many bytes.
  EXPECT_THAT(Read(V2(0x21, 0x11, kEnds4, 65535)).why, HasSubstr("more than 4096"));
  EXPECT_EQ(Read(V2(0x20, 0x00, "", 65535)).read, ProxyRead::kBad);
  const std::string most = Tcp4(Tlv(0xE0, std::string(kProxyV2BytesMax - 16 - 12 - 3, 'x')));
  EXPECT_EQ(most.size(), kProxyV2BytesMax);
  EXPECT_EQ(Read(most).read, ProxyRead::kDone);
}

TEST(ProxyV2, VersionsCommandsFamilies) {
  for (const int command : {0x00, 0x01, 0x11, 0x22, 0x2F, 0x31, 0xFF}) {
    EXPECT_EQ(Read(V2(command, 0x11, kEnds4)).read, ProxyRead::kBad) << command;
  }
  for (const int family : {0x01, 0x10, 0x12, 0x22, 0x32, 0x41, 0xFF}) {
    EXPECT_EQ(Read(V2(0x21, family, std::string(216, 'x'))).read, ProxyRead::kBad) << family;
  }
}

TEST(ProxyV2, TlvLengths) {
  using namespace std::string_literals;  // NOLINT
  ExpectGood(Tcp4(Tlv(0x04, "")), false);
  ExpectGood(Tcp4(Tlv(0x04, std::string(300, '\0')) + Tlv(0xE0, "x") + Tlv(0x30, "net")), false);
  for (const std::string& tlvs :
       {"\x04"s, "\x04\x00"s, "\x04\x00\x01"s, "\x04\xFF\xFFxx"s, "\x04\x00\x03xx"s,
        Tlv(0x04, "x") + "\x04"s, Tlv(0x04, "x") + "\x02\x00\x05mail"s, "\x20\x00\x04xxxx"s,
        Tlv(0x20, "\x01\x00\x00\x00\x01\x21"s),
        Tlv(0x20, "\x01\x00\x00\x00\x01\x21\x00\x09TLSv1.3"s), Tlv(0x05, std::string(129, 'u'))}) {
    // The same with a client's bytes behind the header, which must not complete the TLV.
    for (const std::string& behind : {""s, std::string(70000, 'x')}) {
      const Got got = Read(Tcp4(tlvs) + behind);
      EXPECT_EQ(got.read, ProxyRead::kBad);
      EXPECT_THAT(got.why, HasSubstr("TLV"));
    }
  }
}

TEST(ProxyV2, TlvsForTheLog) {
  using namespace std::string_literals;  // NOLINT
  const std::string ssl =
      "\x01\x00\x00\x00\x01"s + Tlv(0x21, "TLSv1.3") + Tlv(0x22, "anna") + Tlv(0x23, "AES");
  const Got got = Read(
      Tcp4(Tlv(0x01, "pop3") + Tlv(0x02, "pop.example.net") + Tlv(0x05, "id-1") + Tlv(0x20, ssl)));
  ASSERT_EQ(got.read, ProxyRead::kDone) << got.why;
  EXPECT_EQ(got.header.alpn, "pop3");
  EXPECT_EQ(got.header.authority, "pop.example.net");
  EXPECT_EQ(got.header.unique_id, "id-1");
  EXPECT_TRUE(got.header.ssl);
  EXPECT_EQ(got.header.ssl_version, "TLSv1.3");
  EXPECT_EQ(got.header.ssl_cipher, "AES");
  // An SSL TLV that says that the client spoke none.
  EXPECT_FALSE(Read(Tcp4(Tlv(0x20, "\x00\x00\x00\x00\x01"s))).header.ssl);
}

TEST(ProxyV2, Checksum) {
  // The check value of CRC-32/ISCSI.
  EXPECT_EQ(Crc32c("123456789"), 0xE3069283u);
  EXPECT_EQ(Crc32c(""), 0u);
  std::string header = Tcp4(Tlv(0x03, std::string(4, '\0')) + Tlv(0x02, "a.example"));
  const size_t at = 16 + 12 + 3;
  const uint32_t sum = Crc32c(header);
  for (size_t i = 0; i < 4; ++i) header[at + i] = static_cast<char>((sum >> (24 - 8 * i)) & 0xFF);
  EXPECT_EQ(Read(header).read, ProxyRead::kDone);
  EXPECT_EQ(Read(header).header.authority, "a.example");
  header.back() = 'f';
  EXPECT_THAT(Read(header).why, HasSubstr("CRC32C"));
  EXPECT_THAT(Read(Tcp4(Tlv(0x03, "abc"))).why, HasSubstr("CRC32C"));
}

// --- writing
// --------------------------------------------------------------------------------------

ClientIdentity Identity(absl::string_view client, absl::string_view destination) {
  ClientIdentity identity;
  identity.client = SocketAddress::Parse(client).value();
  identity.destination = SocketAddress::Parse(destination).value();
  return identity;
}

TEST(WriteProxy, V1) {
  EXPECT_EQ(WriteProxyV1(Identity("203.0.113.9:4711", "192.0.2.1:995")),
            "PROXY TCP4 203.0.113.9 192.0.2.1 4711 995\r\n");
  EXPECT_EQ(WriteProxyV1(Identity("[2001:db8::9]:4711", "[2001:db8::1]:995")),
            "PROXY TCP6 2001:db8::9 2001:db8::1 4711 995\r\n");
  EXPECT_EQ(WriteProxyV1(Identity("203.0.113.9:4711", "[2001:db8::1]:995")),
            "PROXY TCP6 ::ffff:203.0.113.9 2001:db8::1 4711 995\r\n");
  EXPECT_EQ(WriteProxyV1(ClientIdentity()), "PROXY UNKNOWN\r\n");
}

TEST(WriteProxy, V2IsReadBack) {
  ClientIdentity identity = Identity("203.0.113.9:4711", "[2001:db8::1]:995");
  identity.tls = true;
  identity.tls_version = "TLSv1.3";
  identity.tls_cipher = "TLS_AES_128_GCM_SHA256";
  identity.server_name = "pop.example.net";
  identity.alpn_pop3 = true;
  const std::string block = WriteProxyV2(identity, "0123456789abcdef");
  EXPECT_EQ(block[13], '\x21');
  ExpectGood(block, false);
  const ProxyHeader header = Read(block).header;
  EXPECT_EQ(header.source.ToString(), "203.0.113.9:4711");
  EXPECT_EQ(header.destination.ToString(), "[2001:db8::1]:995");
  EXPECT_TRUE(header.ssl);
  EXPECT_EQ(header.ssl_version, "TLSv1.3");
  EXPECT_EQ(header.ssl_cipher, "TLS_AES_128_GCM_SHA256");
  EXPECT_EQ(header.authority, "pop.example.net");
  EXPECT_EQ(header.alpn, "pop3");
  EXPECT_EQ(header.unique_id, "0123456789abcdef");
  // Any bit that flips is noticed.
  for (size_t i = 16; i < block.size(); ++i) {
    if (i == block.size() - 7) continue;  // without its type there is no checksum
    std::string flipped = block;
    flipped[i] = static_cast<char>(flipped[i] ^ 1);
    EXPECT_NE(Read(flipped + std::string(600, 'x')).read, ProxyRead::kDone) << i;
  }
}

TEST(WriteProxy, V2NamesAVerifiedCertificate) {
  ClientIdentity identity = Identity("203.0.113.9:4711", "192.0.2.1:995");
  identity.tls = true;
  identity.tls_version = "TLSv1.3";
  identity.certificate_name = "Änna";
  const std::string block = WriteProxyV2(identity, "");
  EXPECT_EQ(Read(block).header.ssl_common_name, "Änna");
  // The flags: TLS and a certificate; verified.
  EXPECT_EQ(block.substr(16 + 12 + 3, 5), std::string("\x03\0\0\0\0", 5));
  // A part of a name would be another's name.
  identity.certificate_name = std::string(65, 'a');
  const std::string long_name = WriteProxyV2(identity, "");
  EXPECT_EQ(Read(long_name).header.ssl_common_name, "");
  EXPECT_EQ(long_name.substr(16 + 12 + 3, 5), std::string("\x01\0\0\0\1", 5));
}

TEST(ReadProxy, ANameThatNobodyVerifiedIsNone) {
  ClientIdentity identity = Identity("203.0.113.9:4711", "192.0.2.1:995");
  identity.tls = true;
  identity.certificate_name = "anna";
  std::string block = WriteProxyV2(identity, "");
  // Without the checksum, which would notice.
  block.resize(block.size() - 7);
  block[15] = static_cast<char>(block.size() - 16);
  ASSERT_EQ(Read(block).header.ssl_common_name, "anna");
  const size_t flags = 16 + 12 + 3;
  std::string changed = block;
  changed[flags] = '\x01';  // no certificate
  EXPECT_EQ(Read(changed).read, ProxyRead::kDone);
  EXPECT_EQ(Read(changed).header.ssl_common_name, "");
  changed[flags] = '\x05';  // one in the session that was resumed
  EXPECT_EQ(Read(changed).header.ssl_common_name, "anna");
  for (size_t i = 1; i <= 4; ++i) {
    changed = block;
    changed[flags + i] = '\x01';
    EXPECT_EQ(Read(changed).header.ssl_common_name, "") << i;
  }
}

TEST(WriteProxy, V2SaysNoMoreThanItKnows) {
  const std::string block = WriteProxyV2(Identity("203.0.113.9:4711", "192.0.2.1:995"), "");
  EXPECT_EQ(block.size(), 16u + 12 + 7);  // the checksum alone
  const ProxyHeader header = Read(block).header;
  EXPECT_FALSE(header.ssl);
  EXPECT_EQ(header.authority + header.alpn + header.unique_id, "");
  const std::string local = WriteProxyV2(Identity("203.0.113.9:4711", "unix:/run/x"), "id");
  EXPECT_EQ(local, V2(0x20, 0x00, ""));
}

TEST(WriteProxy, V2StaysInsideOneSegment) {
  ClientIdentity identity = Identity("[2001:db8::9]:4711", "[2001:db8::1]:995");
  identity.tls = true;
  identity.tls_version = std::string(4000, 'v');
  identity.tls_cipher = std::string(4000, 'c');
  identity.certificate_name = std::string(64, 'a');
  identity.server_name = std::string(253, 'n');
  identity.alpn_pop3 = true;
  const std::string block = WriteProxyV2(identity, std::string(200, 'u'));
  EXPECT_LE(block.size(), kProxyWrittenBytesMax);
  ExpectGood(block, false);
  EXPECT_EQ(Read(block).header.authority, identity.server_name);
  EXPECT_EQ(Read(block).header.ssl_common_name, identity.certificate_name);
}

}  // namespace
}  // namespace postern::pop3
