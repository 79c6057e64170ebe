// Where the configuration names the files that something is wrong with. Files are read long after
// the configuration was parsed, by parts that know nothing of it.
#ifndef POSTERN_PROXY_CONFIG_PLACES_H_
#define POSTERN_PROXY_CONFIG_PLACES_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace postern::config {

// Puts "CONFIGURATION:line:column: " in front of every line "FILE: what is wrong" of an error whose
// FILE is named in `text`, the configuration; the first place counts. Other lines, among them those
// about the inside of a file ("FILE:line:column: ..."), stay as they are. `config_file` is the
// configuration's name, where relative paths start.
absl::Status WithPlaces(const absl::Status& status, absl::string_view text,
                        const std::string& config_file);
// The same, with the text read again from `config_file`.
absl::Status WithPlaces(const absl::Status& status, const std::string& config_file);

}  // namespace postern::config

#endif  // POSTERN_PROXY_CONFIG_PLACES_H_
