// Reads lists of addresses: one network per line.
//
//   # comment
//   192.0.2.0/24
//   2001:db8::/32     a comment may follow behind a #
//   198.51.100.7
//
// Lines end in LF or CRLF; blank lines and blanks around the network are fine. A network may stand
// there twice, and in another one.
#ifndef POSTERN_PROXY_GUARD_ADDRESS_FILE_H_
#define POSTERN_PROXY_GUARD_ADDRESS_FILE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "proxy/guard/address_set.h"

namespace postern::guard {

// Mistakes told before reading stops.
inline constexpr int kListMistakesMax = 20;
// Larger files are taken for the wrong ones.
inline constexpr size_t kListBytesMax = size_t{1} << 30;

// Adds what stands in the file. Errors are "file:line:column: what is wrong; how to mend it", one
// per line; or why the file cannot be read.
absl::Status LoadAddressFile(const std::string& file, AddressSet* set);

// The same from memory; `name` stands for the file in errors.
absl::Status ParseAddressList(absl::string_view text, absl::string_view name, AddressSet* set);

}  // namespace postern::guard

#endif  // POSTERN_PROXY_GUARD_ADDRESS_FILE_H_
