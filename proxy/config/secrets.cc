#include "proxy/config/secrets.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "proxy/base/escape.h"
#include "proxy/base/status_macros.h"
#include "proxy/config/small_file.h"
#include "proxy/config/value_syntax.h"

namespace postern::config {
namespace {

constexpr size_t kSecretsBytesMax = 256 << 20;
constexpr size_t kPasswordBytesMax = 4096;
// Longer ones could not be sent to a backend in one command line.
constexpr size_t kSecretBytesMax = 255;

absl::Status LineError(const std::string& path, int line, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(path, ":", line, ": ", what));
}

// Takes one line, without its end, from the front of `text`.
absl::string_view TakeLine(absl::string_view* text) {
  const size_t end = text->find('\n');
  absl::string_view line = text->substr(0, end);
  text->remove_prefix(end == absl::string_view::npos ? text->size() : end + 1);
  absl::ConsumeSuffix(&line, "\r");
  return line;
}

}  // namespace

absl::StatusOr<std::unique_ptr<const SecretsFile>> SecretsFile::Load(const std::string& path,
                                                                     const Normalise& normalise) {
  ASSIGN_OR_RETURN(const Secret content,
                   ReadSmallFile(path, kSecretsBytesMax, FilePrivacy::kOwnerOnly));
  auto file = std::unique_ptr<SecretsFile>(new SecretsFile());
  absl::string_view rest = content.view();
  for (int number = 1; !rest.empty(); ++number) {
    const absl::string_view line = TakeLine(&rest);
    if (absl::StripAsciiWhitespace(line).empty() || line[0] == '#') continue;
    const size_t colon = line.find(':');
    if (colon == absl::string_view::npos) {
      return LineError(path, number, "has no colon; write user:secret");
    }
    const absl::string_view user = line.substr(0, colon);
    const absl::string_view secret = line.substr(colon + 1);
    if (user.empty() || absl::StripAsciiWhitespace(user).size() != user.size()) {
      return LineError(path, number,
                       "the user before the colon is empty or has spaces around it; write "
                       "user:secret");
    }
    if (secret.empty()) {
      return LineError(path, number, "there is no secret behind the colon; write user:secret");
    }
    if (secret.size() > kSecretBytesMax) {
      return LineError(path, number,
                       absl::StrCat("the secret is longer than ", kSecretBytesMax,
                                    " bytes; choose a shorter one"));
    }
    if (!HasNoControlBytes(line)) {
      return LineError(path, number, "holds a control character; write the line without");
    }
    if (normalise != nullptr) {
      const absl::StatusOr<std::string> looked_up = normalise(user);
      if (!looked_up.ok()) return LineError(path, number, looked_up.status().message());
      if (*looked_up != user) {
        return LineError(path, number,
                         absl::StrCat("[users] makes \"", EscapeForLog(*looked_up),
                                      "\" of this user, so that the line would never be found; "
                                      "write the name like that"));
      }
    }
    if (!file->secrets_.try_emplace(std::string(user), secret).second) {
      return LineError(path, number, "this user stands in an earlier line; remove one of the two");
    }
  }
  return std::unique_ptr<const SecretsFile>(std::move(file));
}

const Secret* SecretsFile::Find(absl::string_view user) const {
  const auto found = secrets_.find(user);
  return found == secrets_.end() ? nullptr : &found->second;
}

absl::StatusOr<Secret> ReadPasswordFile(const std::string& path) {
  ASSIGN_OR_RETURN(const Secret content,
                   ReadSmallFile(path, kPasswordBytesMax, FilePrivacy::kOwnerOnly));
  absl::string_view rest = content.view();
  const absl::string_view line = TakeLine(&rest);
  if (line.empty()) return LineError(path, 1, "is empty; write the password in the first line");
  if (line.size() > kSecretBytesMax) {
    return LineError(path, 1,
                     absl::StrCat("the password is longer than ", kSecretBytesMax,
                                  " bytes; choose a shorter one"));
  }
  if (!HasNoControlBytes(line)) {
    return LineError(path, 1, "holds a control character; write the password without");
  }
  return Secret(line);
}

}  // namespace postern::config
