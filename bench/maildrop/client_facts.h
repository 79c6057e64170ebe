// What a proxy in front of the store told about its client: by XCLIENT (as Dovecot understands it)
// or in a PROXY protocol header. Kept as words, in the order they came, to be shown as they are.
#ifndef POSTERN_BENCH_MAILDROP_CLIENT_FACTS_H_
#define POSTERN_BENCH_MAILDROP_CLIENT_FACTS_H_

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace postern::maildrop {

class ClientFacts {
 public:
  // A second value for a key replaces the first. What is not printable, and blanks, become '?'.
  void Set(absl::string_view key, absl::string_view value);
  // Empty when nobody said so.
  absl::string_view Find(absl::string_view key) const;
  bool empty() const { return facts_.empty(); }
  // "addr=192.0.2.1 port=4711 session=abc", at most `bytes_max` bytes of it.
  std::string ToString(size_t bytes_max) const;

  // The words behind XCLIENT: ADDR, PORT, SESSION, TTL, CLIENT-TRANSPORT, DESTADDR, DESTPORT,
  // DESTNAME and FORWARD, in any case; others are ignored, and so is a SESSION of more than 64
  // characters. False, and nothing is changed, when a value is not what its key takes.
  bool ApplyXclient(absl::string_view words);

 private:
  std::vector<std::pair<std::string, std::string>> facts_;
};

}  // namespace postern::maildrop

#endif  // POSTERN_BENCH_MAILDROP_CLIENT_FACTS_H_
