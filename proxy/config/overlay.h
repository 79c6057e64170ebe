// What operators have changed by hand: backends that the file does not have, and backends that it
// has and that are gone. The running configuration is the file with this laid over it.
//
// The changes are made in the TOML tree, before anything is read from it. So an added backend gets
// its pool's defaults, is judged by every rule and is told of in the same words as one that stands
// in the file.
#ifndef POSTERN_PROXY_CONFIG_OVERLAY_H_
#define POSTERN_PROXY_CONFIG_OVERLAY_H_

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proxy/base/secret.h"
#include "proxy/config/config.h"

namespace postern::config {

// As an operator writes it: an empty text means that the key is not written.
struct AddedBackend {
  std::string name;
  std::string pool;
  std::string address;
  // A backend of the same pool in the file, whose keys are taken over, all but `agent`: that is the
  // address of one machine.
  std::string like;
  // What that one's keys were when the file last had it, for the time when it has gone; as
  // RememberModels() writes them.
  std::string model;
  std::string tls;
  std::string ca;  // a relative path starts at the directory of the file
  std::string server_name;
  std::optional<int> weight;
  std::string who;  // wanted it; escaped, like the reason
  std::string why;
};

struct RemovedBackend {
  std::string name;
  std::string who;
  std::string why;
};

struct Overlay {
  std::vector<AddedBackend> added;
  std::vector<RemovedBackend> removed;  // they stand in the file
  bool empty() const { return added.empty() && removed.empty(); }
};

// The file's text, as LoadConfig() reads it.
absl::StatusOr<Secret> ReadConfigText(const std::string& file);

// The file with all of `overlay` over it; InvalidArgument when that does not make a good
// configuration.
absl::StatusOr<Config> ParseWithOverlay(absl::string_view text, const std::string& file_name,
                                        const Overlay& overlay);

// Fills in `model` of all that are like a backend that the file has.
void RememberModels(absl::string_view text, Overlay* overlay);

// A file that may have changed since `wanted` was.
struct Fitted {
  Config config;
  Overlay overlay;                    // what is in it
  std::vector<std::string> settled;   // sentences: what the file says itself by now
  std::vector<std::string> warnings;  // sentences: what does not go together with the file
};
// Fails when the file is wrong without the overlay, too. `judge`, where there is one, sees what the
// text does not tell, such as whether the files that it names can be read.
absl::StatusOr<Fitted> ParseFitting(
    absl::string_view text, const std::string& file_name, const Overlay& wanted,
    const std::function<absl::Status(const Config&)>& judge = nullptr);

}  // namespace postern::config

#endif  // POSTERN_PROXY_CONFIG_OVERLAY_H_
