// What operators have said, kept across restarts: services and weights of backends, holds,
// moved users, backends that were added or removed by hand.
//
// A text file, one line for each, with tabs between the fields; a last line tells that nothing is
// missing. Each change writes all of it into a new file that then takes the place of the old one,
// so a crash leaves either the old or the new. Names have no control bytes, so no escapes are
// needed.
#ifndef POSTERN_PROXY_STATE_FILE_H_
#define POSTERN_PROXY_STATE_FILE_H_

#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proxy/config/overlay.h"
#include "routing/backend_state.h"

namespace postern {

struct SavedState {
  struct Service {
    std::string backend;
    routing::Service service = routing::Service::kEnabled;
    std::string who;
    std::string why;
  };
  struct Weight {
    std::string backend;
    int weight = 0;
    std::string who;
    std::string why;
  };
  struct Move {
    std::string user;
    std::string backend;
  };
  struct GroupMove {
    routing::UserGroup group;
    std::string backend;
  };
  std::vector<Service> services;
  std::vector<Weight> weights;
  std::vector<routing::Hold> holds;  // of unknown age
  std::vector<Move> moves;
  std::vector<GroupMove> group_moves;  // of ranges, the last one counts
  config::Overlay overlay;
};

std::string WriteState(const routing::BackendStates& states, const config::Overlay& overlay);
// All of it or an error, which begins with "FILE:LINE: ".
absl::StatusOr<SavedState> ParseState(absl::string_view text, const std::string& file);
// A file that does not exist says nothing, which is no error.
absl::StatusOr<SavedState> LoadStateFile(const std::string& path);
// All but the overlay, which is the configuration's business.
absl::Status ApplyState(const SavedState& saved, routing::BackendStates* states);

// Any thread.
class StateFile {
 public:
  // An empty path: nothing is kept.
  StateFile(std::string path, const routing::BackendStates* states,
            std::function<config::Overlay()> overlay);
  StateFile(const StateFile&) = delete;
  StateFile& operator=(const StateFile&) = delete;

  // When it returns OK, what was changed before the call is on disk. Calls that come together
  // share a write.
  absl::Status Save();

 private:
  absl::Status Write() const;

  const std::string path_;
  const routing::BackendStates* const states_;
  const std::function<config::Overlay()> overlay_;
  std::mutex count_mutex_;
  uint64_t wanted_ = 0;  // calls so far
  std::mutex write_mutex_;
  uint64_t written_ = 0;  // calls whose changes are on disk
};

}  // namespace postern

#endif  // POSTERN_PROXY_STATE_FILE_H_
