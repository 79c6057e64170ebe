// Reads a file that was named on the command line.
#ifndef POSTERN_BENCH_LOAD_TEXT_FILE_H_
#define POSTERN_BENCH_LOAD_TEXT_FILE_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"

namespace postern::load {

// Errors name the file and say why. More than `bytes_max` bytes are an error.
absl::StatusOr<std::string> ReadTextFile(const std::string& file, size_t bytes_max);

}  // namespace postern::load

#endif  // POSTERN_BENCH_LOAD_TEXT_FILE_H_
