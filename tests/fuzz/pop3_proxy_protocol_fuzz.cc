// The PROXY header: byte 0 cuts the rest. Whatever comes, the verdict does not depend on what
// stands behind the header or on how it was cut, and what was read can be written and read again.
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "proxy/base/check.h"
#include "proxy/pop3/proxy_protocol.h"
#include "tests/fuzz/split_points.h"

namespace postern::pop3 {
namespace {

struct Got {
  ProxyRead read = ProxyRead::kNeedMore;
  ProxyHeader header;
  size_t consumed = 0;
  std::string why;
};

Got Read(absl::string_view input) {
  Got got;
  got.read = ReadProxyHeader(input, &got.header, &got.consumed, &got.why);
  CHECK(got.consumed <= input.size());
  CHECK((got.read == ProxyRead::kBad) == !got.why.empty());
  return got;
}

void CheckSame(const ProxyHeader& a, const ProxyHeader& b) {
  CHECK(a.local == b.local && a.source == b.source && a.destination == b.destination);
  CHECK(a.ssl_common_name == b.ssl_common_name);
  CHECK(a.ssl == b.ssl && a.authority == b.authority && a.unique_id == b.unique_id);
}

void CheckWriting(const ProxyHeader& header) {
  ClientIdentity identity;
  identity.client = header.source;
  identity.destination = header.destination;
  identity.tls = header.ssl;
  identity.tls_version = header.ssl_version;
  identity.tls_cipher = header.ssl_cipher;
  identity.certificate_name = header.ssl_common_name;
  if (header.authority.size() <= 253) identity.server_name = header.authority;
  const std::string v1 = WriteProxyV1(identity);
  const std::string v2 = WriteProxyV2(identity, header.unique_id);
  CHECK(v1.size() <= kProxyV1BytesMax && v2.size() <= kProxyWrittenBytesMax);
  for (const std::string& written : {v1, v2}) {
    const Got again = Read(written);
    CHECK(again.read == ProxyRead::kDone && again.consumed == written.size());
    CHECK(again.header.local == header.local && again.header.source == header.source);
  }
}

}  // namespace
}  // namespace postern::pop3

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace postern::pop3;  // NOLINT
  if (size == 0) return 0;
  const absl::string_view input(reinterpret_cast<const char*>(data + 1), size - 1);
  const Got whole = Read(input);
  if (whole.read == ProxyRead::kNeedMore) {
    CHECK(input.size() < kProxyV2BytesMax);
    return 0;
  }
  postern::fuzz::SplitPoints cuts(data[0]);
  std::string pending;
  absl::string_view rest = input;
  Got split;
  while (split.read == ProxyRead::kNeedMore && !rest.empty()) {
    const absl::string_view segment = cuts.Take(&rest);
    pending.append(segment.data(), segment.size());
    split = Read(pending);
  }
  CHECK(split.read == whole.read);
  if (whole.read == ProxyRead::kBad) return 0;
  CHECK(split.consumed == whole.consumed);
  CheckSame(split.header, whole.header);
  CheckWriting(whole.header);
  return 0;
}
