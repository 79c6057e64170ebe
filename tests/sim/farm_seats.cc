#include "tests/sim/farm.h"

namespace postern::sim {

ConnectAnswer Farm::AnswerConnect(size_t backend) {
  const BackendSpec& spec = spec_.backends[backend];
  const DurationNs since = io_.scheduler().now() - begin_;
  for (const Outage& outage : spec.outages) {
    if (since >= outage.from && since < outage.until) return ConnectAnswer{outage.kind, 0};
  }
  return spec.connects[io_.random().Below(spec.connects.size())];
}

void Farm::CheckSeats() {
  const auto zero = [this](absl::string_view what, int64_t value) {
    if (value != 0) Fail(absl::StrCat("balance: ", what, " is ", value));
  };
  const std::shared_ptr<routing::PoolQueue> queue = states_.Queue("mail");
  zero("logins that wait", queue->waiting.load());
  zero("maildrops held or waited for", static_cast<int64_t>(states_.maildrops()->size()));
  zero("logins in the line of the pool", static_cast<int64_t>(queue->line.size()));
  for (size_t i = 0; i < spec_.backends.size(); ++i) {
    zero("seats at a backend", state(i)->load().seats());
    zero("logins in progress at a backend", state(i)->load().logins());
    zero("logins in the line of a backend", static_cast<int64_t>(state(i)->line().size()));
  }
}

}  // namespace postern::sim
