// postern-maildrop: serves until SIGTERM or SIGINT.
#include <signal.h>

#include <cstdio>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "bench/maildrop/options.h"
#include "bench/maildrop/store.h"

int main(int argc, char** argv) {
  using postern::maildrop::Options;
  using postern::maildrop::Store;
  // Blocked in every thread, taken by this one.
  signal(SIGPIPE, SIG_IGN);
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  int exit_code = -1;
  absl::StatusOr<Options> options = postern::maildrop::ParseCommandLine(argc, argv, &exit_code);
  if (exit_code >= 0) return exit_code;
  if (!options.ok()) {
    std::fprintf(stderr, "postern-maildrop: %s\n", std::string(options.status().message()).c_str());
    return 2;
  }
  const std::string name = options->mailbox.store;
  const bool quiet = options->quiet;
  Store store(*std::move(options));
  const absl::Status status = store.Start();
  if (!status.ok()) {
    std::fprintf(stderr, "postern-maildrop: %s\n", std::string(status.message()).c_str());
    return 1;
  }
  std::printf("postern-maildrop: %s is ready on %s\n", name.c_str(), store.Where().c_str());
  std::fflush(stdout);
  int number = 0;
  while (sigwait(&signals, &number) != 0) {
  }
  store.Stop();
  if (!quiet) {
    std::printf("postern-maildrop: %s served %llu sessions, refused %llu; %zu messages deleted\n",
                name.c_str(), static_cast<unsigned long long>(store.counts().sessions.load()),
                static_cast<unsigned long long>(store.counts().refused.load()), store.deletions());
  }
  return 0;
}
