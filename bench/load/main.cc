// postern-load: runs, shows how far it is, and says what it found.
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "bench/load/generator.h"
#include "bench/load/options.h"
#include "bench/load/report.h"
#include "bench/load/results.h"

namespace {

using postern::load::Generator;
using postern::load::Options;
using postern::load::Results;

double Milliseconds(postern::DurationNs duration) {
  return static_cast<double>(duration) / postern::kMillisecond;
}

void ShowProgress(const Generator& generator, uint64_t* good_before) {
  const postern::load::Progress& progress = generator.progress();
  const uint64_t good = progress.good.load();
  const uint64_t failed = progress.failed.load();
  const postern::load::Histogram sessions = generator.LiveSessions();
  std::fprintf(stderr,
               "\r%llu/s, %llu good, %llu failed, %llu under way, p50 %.1f ms, p99 %.1f ms   ",
               static_cast<unsigned long long>(good - *good_before),
               static_cast<unsigned long long>(good), static_cast<unsigned long long>(failed),
               static_cast<unsigned long long>(progress.started.load() - good - failed),
               Milliseconds(sessions.Percentile(50)), Milliseconds(sessions.Percentile(99)));
  std::fflush(stderr);
  *good_before = good;
}

// Until all sessions are over. The first SIGINT or SIGTERM starts no more, the second ends those
// under way.
void Watch(Generator* generator, const sigset_t& signals) {
  const bool tty = isatty(STDERR_FILENO) == 1 && !generator->options().quiet;
  bool stopping = false;
  bool idle_said = false;
  uint64_t good_before = 0;
  // Often, so that a short run ends at once.
  for (int turn = 1; !generator->done(); ++turn) {
    const timespec wait{0, 20'000'000};
    if (sigtimedwait(&signals, nullptr, &wait) > 0) {
      generator->Stop(/*now=*/stopping);
      stopping = true;
    }
    const uint64_t idle = generator->progress().idle.load();
    if (!idle_said && idle > 0 && idle >= generator->options().sessions) {
      idle_said = true;
      // A script that measures the server waits for this line.
      std::fprintf(stderr, "%spostern-load: %llu sessions are idle\n", tty ? "\r" : "",
                   static_cast<unsigned long long>(idle));
    }
    if (tty && turn % 50 == 0) ShowProgress(*generator, &good_before);
  }
  if (tty) std::fprintf(stderr, "\r%90s\r", "");
}

bool WriteJson(const std::string& file, const std::string& json) {
  if (file == "-") {
    std::printf("%s\n", json.c_str());
    return true;
  }
  FILE* out = std::fopen(file.c_str(), "w");
  bool good = out != nullptr && std::fprintf(out, "%s\n", json.c_str()) > 0;
  if (out != nullptr && std::fclose(out) != 0) good = false;
  if (!good) std::fprintf(stderr, "postern-load: %s: %s\n", file.c_str(), std::strerror(errno));
  return good;
}

}  // namespace

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  int exit_code = -1;
  absl::StatusOr<Options> options = postern::load::ParseCommandLine(argc, argv, &exit_code);
  if (exit_code >= 0) return exit_code;
  if (!options.ok()) {
    std::fprintf(stderr, "postern-load: %s\n", std::string(options.status().message()).c_str());
    return 2;
  }
  Generator generator(*std::move(options));
  const absl::Status status = generator.Start();
  if (!status.ok()) {
    std::fprintf(stderr, "postern-load: %s\n", std::string(status.message()).c_str());
    return 2;
  }
  Watch(&generator, signals);
  const Results results = generator.Finish();
  if (!generator.options().quiet && generator.options().json != "-") {
    std::printf("%s", postern::load::Summary(generator.options(), results).c_str());
  }
  if (!generator.options().json.empty() &&
      !WriteJson(generator.options().json,
                 postern::load::JsonText(postern::load::ToJson(generator.options(), results)))) {
    return 2;
  }
  return results.failed() == 0 && results.sessions() > 0 ? 0 : 1;
}
