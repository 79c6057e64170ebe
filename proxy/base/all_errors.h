// Errors of several things that were tried, so that one run tells them all.
#ifndef POSTERN_PROXY_BASE_ALL_ERRORS_H_
#define POSTERN_PROXY_BASE_ALL_ERRORS_H_

#include <string>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"

namespace postern {

// One thread.
class AllErrors {
 public:
  // Each line of an error's message counts for itself; one that was told already is left out.
  void Add(const absl::Status& status);

  // OK, or the first error's code and all lines in the order in which they came.
  absl::Status ToStatus() const;

 private:
  absl::StatusCode code_ = absl::StatusCode::kOk;
  std::string lines_;
  absl::flat_hash_set<std::string> told_;
};

}  // namespace postern

#endif  // POSTERN_PROXY_BASE_ALL_ERRORS_H_
