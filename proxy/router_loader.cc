#include "proxy/router_loader.h"

#include <system_error>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "proxy/base/log.h"
#include "proxy/base/status_macros.h"

namespace postern {
namespace {

constexpr size_t kMegabyte = 1000000;
// Less than this is gone in a moment.
constexpr size_t kLargeMapBytes = 16 * kMegabyte;

void LetGo(const routing::Router* router) {
  if (router->map_memory_bytes() >= kLargeMapBytes) {
    try {
      std::thread([router] { delete router; }).detach();
      return;
    } catch (const std::system_error&) {
      // No thread to be had: then here.
    }
  }
  delete router;
}

}  // namespace

std::string MapProgressLines::Next(TimeNs now, const std::string& file, size_t bytes_done,
                                   size_t bytes_total) {
  if (now - told_ < kSecond || bytes_total == 0) return {};
  told_ = now;
  return absl::StrCat("map ", file, ": ", 100 * bytes_done / bytes_total, " % of ",
                      bytes_total / kMegabyte, " MB read");
}

absl::StatusOr<std::shared_ptr<const routing::Router>> LoadRouter(
    const routing::RouterOptions& options) {
  const TimeNs started = MonotonicNow();
  MapProgressLines lines(started);
  const auto progress = [&lines](const std::string& file, size_t bytes_done, size_t bytes_total) {
    const std::string line = lines.Next(MonotonicNow(), file, bytes_done, bytes_total);
    if (!line.empty()) log::Info(line);
  };
  ASSIGN_OR_RETURN(std::unique_ptr<const routing::Router> router,
                   routing::Router::Create(options, progress));
  const DurationNs took = MonotonicNow() - started;
  if (took >= kSecond) {
    log::Info(absl::StrFormat("maps: %d users loaded in %.1f s, %d MB of memory",
                              router->mapped_users(),
                              static_cast<double>(took) / static_cast<double>(kSecond),
                              router->map_memory_bytes() / kMegabyte));
  }
  return std::shared_ptr<const routing::Router>(router.release(), &LetGo);
}

}  // namespace postern
