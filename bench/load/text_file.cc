#include "bench/load/text_file.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "absl/strings/str_cat.h"

namespace postern::load {

absl::StatusOr<std::string> ReadTextFile(const std::string& file, size_t bytes_max) {
  constexpr size_t kStep = size_t{1} << 20;
  const std::unique_ptr<FILE, int (*)(FILE*)> in(std::fopen(file.c_str(), "re"), std::fclose);
  if (in == nullptr) return absl::NotFoundError(absl::StrCat(file, ": ", std::strerror(errno)));
  std::string text;
  for (;;) {
    const size_t before = text.size();
    text.resize(before + kStep);
    const size_t got = std::fread(text.data() + before, 1, kStep, in.get());
    text.resize(before + got);
    if (text.size() > bytes_max) {
      return absl::InvalidArgumentError(absl::StrCat(file, ": larger than ", bytes_max, " bytes"));
    }
    if (got < kStep) break;
  }
  if (std::ferror(in.get()) != 0) {
    return absl::InvalidArgumentError(absl::StrCat(file, ": ", std::strerror(errno)));
  }
  return text;
}

}  // namespace postern::load
