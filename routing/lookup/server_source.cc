#include "routing/lookup/server_source.h"

#include <utility>

#include "proxy/base/check.h"

namespace postern::routing {

Secret Terminated(const Secret& text) {
  std::string copy;
  copy.reserve(text.size() + 1);
  copy.append(text.view().data(), text.size());
  copy.push_back('\0');
  Secret terminated(copy);
  WipeMemory(copy.data(), copy.size());
  return terminated;
}

LookupAnswer ServerSource::Ask(const LookupQuestion& question, Deadline deadline) {
  CHECK(servers_ > 0);
  std::string why = "there was no time to ask";
  size_t left = servers_;
  const auto next_server = [&] {
    --left;
    current_ = (current_ + 1) % servers_;
  };
  while (left > 0 && !Passed(deadline)) {
    const auto now = std::chrono::steady_clock::now();
    const Deadline share = now + (deadline - now) / static_cast<int>(left);
    const bool fresh = !connected();
    if (fresh) {
      const absl::Status status = Connect(current_, share);
      if (!status.ok()) {
        why = std::string(status.message());
        next_server();
        continue;
      }
    }
    std::optional<LookupAnswer> answer = AskServer(question, share, &why);
    if (answer.has_value()) return *std::move(answer);
    Disconnect();
    if (fresh || Passed(share)) next_server();
  }
  return LookupAnswer::Of(LookupAnswer::Kind::kTemporary, why);
}

}  // namespace postern::routing
