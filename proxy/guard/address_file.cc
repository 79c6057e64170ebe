#include "proxy/guard/address_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "proxy/base/escape.h"
#include "proxy/base/file_descriptor.h"
#include "proxy/base/file_error.h"
#include "proxy/base/ip_network.h"
#include "proxy/base/status_macros.h"

namespace postern::guard {
namespace {

constexpr absl::string_view kBlanks = " \t\r";
// Of a line that is shown in an error.
constexpr size_t kShownBytes = 64;

absl::StatusOr<std::string> ReadFile(const std::string& file) {
  // Without O_NONBLOCK a FIFO would hold us until somebody writes to it.
  const FileDescriptor fd(open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (fd.get() < 0) return FileError(file, "cannot be opened", errno);
  struct stat status {};
  if (fstat(fd.get(), &status) != 0) {
    return FileError(file, "cannot be read", errno);
  }
  if (!S_ISREG(status.st_mode)) {
    return absl::FailedPreconditionError(absl::StrCat(file, ": is not a regular file"));
  }
  std::string text(std::min(static_cast<size_t>(status.st_size), kListBytesMax) + 1, '\0');
  size_t used = 0;
  for (;;) {
    if (used > kListBytesMax) {
      return absl::FailedPreconditionError(absl::StrCat(file, ": is larger than ", kListBytesMax,
                                                        " bytes; is this the right file?"));
    }
    // It may have grown since.
    if (used == text.size()) text.resize(std::min(2 * used, kListBytesMax + 1));
    const ssize_t got = read(fd.get(), text.data() + used, text.size() - used);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return FileError(file, "cannot be read", errno);
    if (got == 0) break;
    used += static_cast<size_t>(got);
  }
  text.resize(used);
  return text;
}

// Errors are safe to log.
absl::StatusOr<IpNetwork> ParseNetwork(absl::string_view text) {
  const std::string shown = EscapeForLog(text, kShownBytes);
  if (shown == text) return IpNetwork::Parse(text);
  return absl::InvalidArgumentError(absl::StrCat("\"", shown, "\" is no network"));
}

}  // namespace

absl::Status ParseAddressList(absl::string_view text, absl::string_view name, AddressSet* set) {
  std::string mistakes;
  int mistake_count = 0;
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    absl::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    line = line.substr(0, line.find('#'));
    const size_t first = line.find_first_not_of(kBlanks);
    if (first == absl::string_view::npos) continue;
    line = line.substr(first, line.find_last_not_of(kBlanks) - first + 1);
    const absl::StatusOr<IpNetwork> network = ParseNetwork(line);
    if (network.ok()) {
      set->Add(*network);
      continue;
    }
    absl::StrAppend(&mistakes, mistakes.empty() ? "" : "\n", name, ":", number, ":", first + 1,
                    ": ", network.status().message(),
                    "; write networks as \"192.0.2.0/24\" or \"2001:db8::/32\"");
    if (++mistake_count == kListMistakesMax) {
      absl::StrAppend(&mistakes, "\n", name, ": reading stopped after ", kListMistakesMax,
                      " mistakes");
      break;
    }
  }
  return mistakes.empty() ? absl::OkStatus() : absl::InvalidArgumentError(mistakes);
}

absl::Status LoadAddressFile(const std::string& file, AddressSet* set) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(file));
  return ParseAddressList(text, file, set);
}

}  // namespace postern::guard
