// What `postern doctor` found, as it appears on a terminal.
#ifndef POSTERN_PROXY_ADMIN_DOCTOR_REPORT_H_
#define POSTERN_PROXY_ADMIN_DOCTOR_REPORT_H_

#include <functional>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"

namespace postern::admin {

// Writes as it goes: a title for each part, a line for each finding, and for what is wrong how to
// mend it. Text is for a terminal: what came from peers is escaped already.
//
//   Backends
//     ok     mail1 (10.0.0.11:110): greets, plain
//     BAD    mail2 (10.0.0.12:110): connect: Connection refused
//            -> is the server running, and is the port right?
class DoctorReport {
 public:
  using Output = std::function<void(absl::string_view)>;
  explicit DoctorReport(Output output) : output_(std::move(output)) {}

  void Begin(absl::string_view part);
  void Good(absl::string_view what);
  // Good to know, and no mistake.
  void Note(absl::string_view what);
  // Works, and should be looked at.
  void Warn(absl::string_view what, absl::string_view mend);
  // Users notice it, or will.
  void Bad(absl::string_view what, absl::string_view mend);
  // The last line.
  void End();

  int problems() const { return problems_; }
  int warnings() const { return warnings_; }

 private:
  void Tell(absl::string_view word, absl::string_view what, absl::string_view mend);

  Output output_;
  std::string title_;  // of the part, until its first finding; one without any has none
  int problems_ = 0;
  int warnings_ = 0;
};

}  // namespace postern::admin

#endif  // POSTERN_PROXY_ADMIN_DOCTOR_REPORT_H_
