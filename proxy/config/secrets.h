// Passwords that an operator keeps in files: the users' APOP secrets and the master password.
//
// Both kinds are refused when group or others have any right to the file. Errors name file and
// line and never show what stands there.
#ifndef POSTERN_PROXY_CONFIG_SECRETS_H_
#define POSTERN_PROXY_CONFIG_SECRETS_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proxy/base/secret.h"

namespace postern::config {

// `user:secret`, one per line: the user as the routes see it (normalised), then everything behind
// the first colon, spaces included. Empty lines and lines that begin with # are left out.
// Immutable after Load(): workers share it without locks. The secrets are wiped on destruction.
class SecretsFile {
 public:
  // What makes of a login name the one that routes see.
  using Normalise = std::function<absl::StatusOr<std::string>(absl::string_view)>;

  // A user that `normalise` would change is a mistake: no login would ever find the line.
  static absl::StatusOr<std::unique_ptr<const SecretsFile>> Load(
      const std::string& path, const Normalise& normalise = nullptr);

  // The secret of a user, or null. Lives as long as this object.
  const Secret* Find(absl::string_view user) const;
  size_t size() const { return secrets_.size(); }

 private:
  SecretsFile() = default;
  absl::flat_hash_map<std::string, Secret> secrets_;
};

// The first line of a file, without its line end; it must not be empty.
absl::StatusOr<Secret> ReadPasswordFile(const std::string& path);

}  // namespace postern::config

#endif  // POSTERN_PROXY_CONFIG_SECRETS_H_
