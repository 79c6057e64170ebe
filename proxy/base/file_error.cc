#include "proxy/base/file_error.h"

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace postern {

absl::Status FileError(const std::string& file, absl::string_view what, int error) {
  const absl::string_view mend = error == ENOENT || error == ENOTDIR ? "check the path"
                                 : error == EACCES ? "let the user that runs postern read it"
                                                   : "check the file and its file system";
  return absl::Status(absl::ErrnoToStatusCode(error),
                      absl::StrCat(file, ": ", what, ": ", std::strerror(error), "; ", mend));
}

}  // namespace postern
