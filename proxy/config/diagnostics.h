// The mistakes of one configuration file, collected while it is read.
#ifndef POSTERN_PROXY_CONFIG_DIAGNOSTICS_H_
#define POSTERN_PROXY_CONFIG_DIAGNOSTICS_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace postern::config {

// Both count from 1, in Unicode characters; 0 means nowhere in particular.
struct Position {
  int line = 0;
  int column = 0;
};

// One thread.
class Diagnostics {
 public:
  explicit Diagnostics(std::string file) : file_(std::move(file)) {}

  // `message` says what is wrong and how to mend it; it holds no secret. Control bytes in it are
  // escaped, because it may quote the file.
  void Add(Position where, absl::string_view message);

  bool empty() const { return mistakes_.empty(); }
  // OK, or every mistake as "file:line:column: message", one per line, in the order of the file.
  absl::Status ToStatus() const;

 private:
  struct Mistake {
    Position where;
    std::string message;
  };
  std::string file_;
  std::vector<Mistake> mistakes_;
};

// "; did you mean \"X\"?" with the word of `known` nearest to `word`, or "" when none is near.
std::string DidYouMean(absl::string_view word, const std::vector<std::string>& known);

}  // namespace postern::config

#endif  // POSTERN_PROXY_CONFIG_DIAGNOSTICS_H_
