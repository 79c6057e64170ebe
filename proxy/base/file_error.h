// Why a file that an operator named cannot be used, and how to mend it.
#ifndef POSTERN_PROXY_BASE_FILE_ERROR_H_
#define POSTERN_PROXY_BASE_FILE_ERROR_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace postern {

// "FILE: cannot be opened: No such file or directory; check the path", with `what` in the middle
// and the code that belongs to `error`, an errno value.
absl::Status FileError(const std::string& file, absl::string_view what, int error);

}  // namespace postern

#endif  // POSTERN_PROXY_BASE_FILE_ERROR_H_
