// What the command lines of the programs here have in common: options that take one of some names,
// and mistakes told as sentences.
#ifndef POSTERN_BENCH_MAILDROP_COMMAND_LINE_H_
#define POSTERN_BENCH_MAILDROP_COMMAND_LINE_H_

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace postern::maildrop {

// For transform() of an option that fills an enum: takes the names of `names`, pairs of a name and
// a value, and nothing else, above all no number.
template <typename Names>
CLI::Validator OneOf(const Names& names) {
  return CLI::Validator(
      [names](std::string& text) {
        std::string known;
        size_t left = names.size();
        for (const auto& [name, value] : names) {
          if (text == name) {
            text = std::to_string(static_cast<int>(value));
            return std::string();
          }
          --left;
          absl::StrAppend(&known, known.empty() ? "" : left == 0 ? " or " : ", ", name);
        }
        return absl::StrCat("\"", text, "\" is not ", known);
      },
      "");
}

// What is wrong with a command line. Not for --help, whose exit code is 0.
inline absl::Status Mistake(const CLI::ParseError& error) {
  return absl::InvalidArgumentError(error.what());
}

}  // namespace postern::maildrop

#endif  // POSTERN_BENCH_MAILDROP_COMMAND_LINE_H_
