// DNS messages (RFC 1035 section 4) for tests.
#ifndef POSTERN_TESTS_PROXY_DNS_ANSWER_H_
#define POSTERN_TESTS_PROXY_DNS_ANSWER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace postern::testing {

struct SrvText {
  uint16_t priority;
  uint16_t weight;
  uint16_t port;
  std::string target;  // empty: the root, "."
  uint32_t ttl;
};

inline std::string Two(size_t number) {
  return {static_cast<char>(number >> 8 & 0xff), static_cast<char>(number & 0xff)};
}
inline std::string Four(size_t number) { return Two(number >> 16) + Two(number & 0xffff); }

inline std::string DnsName(absl::string_view name) {
  std::string bytes;
  for (const absl::string_view label : absl::StrSplit(name, '.', absl::SkipEmpty())) {
    bytes += static_cast<char>(label.size());
    bytes.append(label.data(), label.size());
  }
  return bytes + '\0';
}

// The answer to a question for _pop3._tcp.example.net.
inline std::string SrvAnswer(const std::vector<SrvText>& records) {
  std::string message = Two(7) + Two(0x8180) + Two(1) + Two(records.size()) + Two(0) + Two(0) +
                        DnsName("_pop3._tcp.example.net") + Two(33) + Two(1);
  for (const SrvText& record : records) {
    const std::string data =
        Two(record.priority) + Two(record.weight) + Two(record.port) + DnsName(record.target);
    message += Two(0xc00c) + Two(33) + Two(1) + Four(record.ttl) + Two(data.size()) + data;
  }
  return message;
}

}  // namespace postern::testing

#endif  // POSTERN_TESTS_PROXY_DNS_ANSWER_H_
