#include "proxy/admin/lookup_asker.h"

#include <chrono>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "proxy/lookup_source_maker.h"

namespace postern::admin {

routing::AskForExplanation LookupAsker(const config::Config& config, const Secret& password) {
  return [&config, &password](size_t number, const std::string& user, std::string* note) {
    const config::Lookup& lookup = config.lookups[number];
    routing::LookupQuestion question;
    question.user = user;
    question.method = "plain";
    question.password = password.Clone();
    question.client_ip = "127.0.0.1";
    question.listener = config.listeners[0].name;
    const auto began = std::chrono::steady_clock::now();
    const absl::StatusOr<routing::LookupFactory> make = PrepareLookup(lookup);
    if (!make.ok()) {
      return routing::LookupAnswer::Of(routing::LookupAnswer::Kind::kTemporary,
                                       std::string(make.status().message()));
    }
    const std::unique_ptr<routing::LookupSource> source = (*make)();
    routing::LookupAnswer answer =
        source->Ask(question, began + std::chrono::nanoseconds(lookup.options.timeout));
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - began;
    *note = absl::StrFormat("asked now, %.1f ms", took.count());
    if (lookup.traits.judges_credentials && password.empty()) {
      *note = absl::StrCat(*note, "; no password was shown, --password-file has one");
    }
    return answer;
  };
}

}  // namespace postern::admin
