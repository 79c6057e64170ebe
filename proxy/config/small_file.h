// Reads a whole small file: the configuration, or one that holds secrets.
#ifndef POSTERN_PROXY_CONFIG_SMALL_FILE_H_
#define POSTERN_PROXY_CONFIG_SMALL_FILE_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "proxy/base/secret.h"

namespace postern::config {

enum class FilePrivacy {
  kAnyone,     // who may read the file does not matter
  kOwnerOnly,  // refused when group or others have any right to it; systemd's credentials, in
               // $CREDENTIALS_DIRECTORY, may look readable for the group
};

// The content, in memory that is wiped when it is given back. Errors name the file, say why and
// how to mend it, and never show what is in it. Only regular files and pipes are read; more than
// `bytes_max` bytes are an error, and so is a pipe that is not filled within seconds.
absl::StatusOr<Secret> ReadSmallFile(const std::string& path, size_t bytes_max,
                                     FilePrivacy privacy);

}  // namespace postern::config

#endif  // POSTERN_PROXY_CONFIG_SMALL_FILE_H_
