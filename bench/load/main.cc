// postern-load: runs, shows how far it is, and says what it found.
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "bench/load/capacity.h"
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

// The signals that end the program, taken one at a time.
class Interrupt {
 public:
  Interrupt() {
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGTERM);
    sigaddset(&signals_, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  }

  // Waits for one; false when none came.
  bool Came(postern::DurationNs wait) {
    const timespec time{wait / postern::kSecond, wait % postern::kSecond};
    const bool came = sigtimedwait(&signals_, nullptr, &time) > 0;
    seen_ = seen_ || came;
    return came;
  }
  // Ever.
  bool seen() const { return seen_; }

 private:
  sigset_t signals_;
  bool seen_ = false;
};

// Until all sessions are over. The first SIGINT or SIGTERM starts no more, the second ends those
// under way; a search ends at the first.
void Watch(Generator* generator, Interrupt* interrupt) {
  const bool tty = isatty(STDERR_FILENO) == 1 && !generator->options().quiet;
  bool stopping = false;
  bool idle_said = false;
  uint64_t good_before = 0;
  // Often, so that a short run ends at once.
  for (int turn = 1; !generator->done(); ++turn) {
    if (interrupt->Came(20 * postern::kMillisecond)) {
      generator->Stop(/*now=*/stopping || generator->options().find_capacity);
      stopping = true;
    }
    const uint64_t idle = generator->progress().idle.load();
    const uint64_t expected =
        std::min<uint64_t>(generator->options().sessions, generator->options().total);
    if (!idle_said && idle > 0 && idle >= expected) {
      idle_said = true;
      // A script that measures the server waits for this line.
      std::fprintf(stderr, "%spostern-load: %llu sessions are idle\n", tty ? "\r" : "",
                   static_cast<unsigned long long>(idle));
    }
    if (tty && turn % 50 == 0) ShowProgress(*generator, &good_before);
  }
  if (tty) std::fprintf(stderr, "\r%90s\r", "");
}

absl::StatusOr<Results> Run(const Options& options, Interrupt* interrupt) {
  Generator generator(options);
  const absl::Status status = generator.Start();
  if (!status.ok()) return status;
  Watch(&generator, interrupt);
  return generator.Finish();
}

// Where --json says. Opened before anything is measured, so that a run is not lost to a path that
// cannot be written; what was there before stays until there are results.
class JsonFile {
 public:
  explicit JsonFile(const Options& options) : path_(options.json) {}
  JsonFile(const JsonFile&) = delete;
  JsonFile& operator=(const JsonFile&) = delete;
  ~JsonFile() {
    if (file_ != nullptr && file_ != stdout) std::fclose(file_);
  }

  // False: it cannot be written, and somebody was told.
  bool Open() {
    if (path_.empty()) return true;
    file_ = path_ == "-" ? stdout : std::fopen(path_.c_str(), "a");
    return file_ != nullptr || Complain();
  }

  bool Write(const nlohmann::ordered_json& json) {
    if (file_ == nullptr) return true;
    struct stat about {};
    const bool regular = fstat(fileno(file_), &about) == 0 && S_ISREG(about.st_mode);
    if (file_ != stdout && regular && ftruncate(fileno(file_), 0) != 0) return Complain();
    const bool written = std::fprintf(file_, "%s\n", postern::load::JsonText(json).c_str()) > 0;
    return (written && std::fflush(file_) == 0) || Complain();
  }

 private:
  bool Complain() const {
    std::fprintf(stderr, "postern-load: --json %s: %s\n", path_.c_str(), std::strerror(errno));
    return false;
  }

  const std::string path_;
  FILE* file_ = nullptr;
};

int Complain(const absl::Status& status) {
  std::fprintf(stderr, "postern-load: %s\n", std::string(status.message()).c_str());
  return 2;
}

int RunOnce(const Options& options, Interrupt* interrupt, JsonFile* json) {
  const absl::StatusOr<Results> results = Run(options, interrupt);
  if (!results.ok()) return Complain(results.status());
  if (!options.quiet && options.json != "-") {
    std::printf("%s", postern::load::Summary(options, *results).c_str());
  }
  if (!json->Write(postern::load::ToJson(options, *results))) return 2;
  return results->all_good() && results->sessions() > 0 ? 0 : 1;
}

int RunSearch(const Options& options, Interrupt* interrupt, JsonFile* json) {
  using postern::load::Capacity;
  using postern::load::CapacityStep;
  // With the JSON on standard output, the table goes where the progress goes.
  FILE* const table = options.json == "-" ? stderr : stdout;
  const postern::TimeNs end = postern::MonotonicNow() + options.duration;
  bool first = true;
  if (!options.quiet) std::fputs(postern::load::StepHeading().c_str(), table);
  const absl::StatusOr<Capacity> capacity = postern::load::FindCapacity(
      options, [interrupt](const Options& step) { return Run(step, interrupt); },
      [&]() {
        // A server that was overloaded a moment ago gets time to clean up.
        if (!first) interrupt->Came(postern::kSecond / 2);
        first = false;
        return !interrupt->seen() && postern::MonotonicNow() < end;
      },
      [&](const CapacityStep& step) {
        if (options.quiet) return;
        std::fputs(postern::load::StepLine(step).c_str(), table);
        std::fflush(table);
      });
  if (!capacity.ok()) return Complain(capacity.status());
  if (!options.quiet) std::fputs(postern::load::CapacityText(options, *capacity).c_str(), table);
  if (!json->Write(postern::load::CapacityJson(options, *capacity))) return 2;
  const bool found =
      capacity->limit == Capacity::Limit::kTarget || capacity->limit == Capacity::Limit::kRateMax;
  return found ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  Interrupt interrupt;
  int exit_code = -1;
  const absl::StatusOr<Options> options = postern::load::ParseCommandLine(argc, argv, &exit_code);
  if (exit_code >= 0) return exit_code;
  if (!options.ok()) return Complain(options.status());
  if (options->replay != nullptr && options->replay->bad_lines() > 0) {
    std::fprintf(stderr, "postern-load: %llu lines of the log are no sessions, such as %s\n",
                 static_cast<unsigned long long>(options->replay->bad_lines()),
                 options->replay->first_problem().c_str());
  }
  JsonFile json(*options);
  if (!json.Open()) return 2;
  return options->find_capacity ? RunSearch(*options, &interrupt, &json)
                                : RunOnce(*options, &interrupt, &json);
}
