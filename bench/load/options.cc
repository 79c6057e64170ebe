#include "bench/load/options.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "proxy/base/status_macros.h"

namespace postern::load {
namespace {

constexpr size_t kSourcesMax = 4096;

const std::vector<std::pair<std::string, TargetTls>>& TlsNames() {
  static const std::vector<std::pair<std::string, TargetTls>> names = {
      {"off", TargetTls::kOff}, {"stls", TargetTls::kStls}, {"implicit", TargetTls::kImplicit}};
  return names;
}

const std::vector<std::pair<std::string, Script>>& ScriptNames() {
  static const std::vector<std::pair<std::string, Script>> names = {
      {"handshake", Script::kHandshake},
      {"login", Script::kLogin},
      {"poll", Script::kPoll},
      {"fetch", Script::kFetch},
      {"idle", Script::kIdle}};
  return names;
}

const std::vector<std::pair<std::string, Arrivals>>& ArrivalNames() {
  static const std::vector<std::pair<std::string, Arrivals>> names = {
      {"poisson", Arrivals::kPoisson}, {"constant", Arrivals::kConstant}};
  return names;
}

template <typename Names, typename Value>
absl::string_view NameIn(const Names& names, Value value) {
  for (const auto& [name, named] : names) {
    if (named == value) return name;
  }
  return "";
}

const std::vector<std::pair<std::string, io::IoKind>>& IoNames() {
  static const std::vector<std::pair<std::string, io::IoKind>> names = {
      {"auto", io::IoKind::kAuto}, {"uring", io::IoKind::kUring}, {"epoll", io::IoKind::kEpoll}};
  return names;
}

// What CLI11 fills before it is checked.
struct Raw {
  std::string target = "127.0.0.1:1110";
  std::string tls_version;
  std::string users = "user%d@example.org";
  uint64_t population = 1000;
  std::optional<uint64_t> total;
  std::optional<double> duration_s;
  double timeout_s = 30;
  double hold_s = 10;
  std::string sources;
};

void DefineTarget(CLI::App* app, Options* options, Raw* raw) {
  app->add_option("--target", raw->target, "HOST:PORT, [IPv6]:PORT or unix:/path")
      ->capture_default_str();
  app->add_option("--tls", options->tls, "off, stls or implicit")
      ->transform(CLI::CheckedTransformer(TlsNames()).description(""));
  app->add_option("--tls-version", raw->tls_version, "1.2 or 1.3 only; default: the best of both")
      ->check(CLI::IsMember({"1.2", "1.3"}));
  app->add_flag("--resume", options->tls_options.resume, "Resume TLS sessions with tickets");
  CLI::Option* name = app->add_option("--server-name", options->tls_options.server_name,
                                      "Sent as SNI; with --ca the certificate must carry it");
  app->add_option("--ca", options->tls_options.ca_file,
                  "PEM file of trusted CAs; without it certificates are not verified")
      ->needs(name);
  app->add_option("--source", raw->sources,
                  "Connect from these addresses in turn: 127.0.0.2-127.0.0.9 or a,b,c");
}

void DefineWork(CLI::App* app, Options* options, Raw* raw) {
  app->add_option("--users", raw->users, "Login name; %d is a number below --population")
      ->capture_default_str();
  app->add_option("--population", raw->population, "How many users there are")
      ->check(CLI::Range(uint64_t{1}, uint64_t{1} << 40))
      ->capture_default_str();
  app->add_option("--password", options->password, "Of every user")->capture_default_str();
  app->add_option("--script", options->script,
                  "handshake, login, poll (log in, STAT), fetch (RETR, checked) or idle")
      ->transform(CLI::CheckedTransformer(ScriptNames()).description(""));
  app->add_option("--fetch-max", options->fetch_max, "Messages one session fetches at most")
      ->capture_default_str();
  app->add_flag("--delete", options->remove, "Delete what was fetched");
  app->add_option("--hold-s", raw->hold_s, "Seconds an idle session stays")
      ->check(CLI::Range(0.0, 86400.0))
      ->capture_default_str();
}

void DefineAmount(CLI::App* app, Options* options, Raw* raw) {
  app->add_option("--sessions", options->sessions, "Sessions at once, at most")
      ->check(CLI::Range(1u, 1000000u))
      ->capture_default_str();
  app->add_option("--total", raw->total,
                  "Sessions in all; default 1000, or as many as fit into --duration-s");
  app->add_option("--duration-s", raw->duration_s,
                  "Start no session after so many seconds; default 600")
      ->check(CLI::Range(0.001, 86400.0));
  app->add_option("--timeout-s", raw->timeout_s, "Seconds one session may take")
      ->check(CLI::Range(0.05, 3600.0))
      ->capture_default_str();
  app->add_option("--rate", options->rate,
                  "Open loop: sessions started each second, whatever the server does; latency "
                  "counts from the intended start")
      ->check(CLI::Range(0.001, 1e6));
  app->add_option("--arrivals", options->arrivals, "Of the open loop: poisson or constant")
      ->transform(CLI::CheckedTransformer(ArrivalNames()).description(""));
  app->add_option("--io", options->io, "How the kernel is asked: auto, uring or epoll")
      ->transform(CLI::CheckedTransformer(IoNames()).description(""));
  app->add_option("--threads", options->threads, "Threads that generate load")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  app->add_option("--seed", options->seed, "Of users and arrivals")->capture_default_str();
  app->add_option("--json", options->json, "Write the results to this file (- is stdout), too");
  app->add_flag("--quiet", options->quiet, "No progress, no summary");
}

absl::StatusOr<SocketAddress> Resolve(const std::string& text) {
  ASSIGN_OR_RETURN(const HostPort host, ParseHostPort(text));
  if (host.is_unix() || host.is_literal()) return SocketAddress::Parse(text);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(host.host.c_str(), nullptr, &hints, &found);
  if (error != 0) {
    return absl::NotFoundError(
        absl::StrCat("--target ", text, ": the name is not found (", gai_strerror(error), ")"));
  }
  SocketAddress address(found->ai_addr, found->ai_addrlen);
  freeaddrinfo(found);
  address.set_port(host.port);
  return address;
}

DurationNs FromSeconds(double seconds) { return static_cast<DurationNs>(seconds * kSecond); }

// What one option alone cannot show to be wrong.
absl::Status Finish(const Raw& raw, Options* options) {
  options->target_text = raw.target;
  ASSIGN_OR_RETURN(options->target, Resolve(raw.target));
  ASSIGN_OR_RETURN(options->users, ParseUsers(raw.users, raw.population));
  if (!raw.sources.empty()) {
    ASSIGN_OR_RETURN(options->sources, ParseSources(raw.sources));
    if (options->sources[0].family() != options->target.family()) {
      return absl::InvalidArgumentError("--source and --target are of different address families");
    }
  }
  options->tls_options.insecure = options->tls_options.ca_file.empty();
  if (raw.tls_version == "1.2") options->tls_options.version_max = tls::Version::kTls12;
  if (raw.tls_version == "1.3") options->tls_options.version_min = tls::Version::kTls13;
  if (options->password.empty() || options->password.find_first_of("\r\n") != std::string::npos) {
    return absl::InvalidArgumentError("--password is one line that is not empty");
  }
  options->total = raw.total.value_or(raw.duration_s ? Options::kEndless : 1000);
  options->duration = FromSeconds(raw.duration_s.value_or(600));
  options->timeout = FromSeconds(raw.timeout_s);
  options->hold = FromSeconds(raw.hold_s);
  options->threads = static_cast<int>(
      std::min<uint64_t>(static_cast<uint64_t>(options->threads), options->sessions));
  return absl::OkStatus();
}

}  // namespace

std::string UserPattern::Name(uint64_t index) const {
  return population == 0 ? before : absl::StrCat(before, index, after);
}

absl::string_view Name(TargetTls tls) { return NameIn(TlsNames(), tls); }
absl::string_view Name(Script script) { return NameIn(ScriptNames(), script); }
absl::string_view Name(Arrivals arrivals) { return NameIn(ArrivalNames(), arrivals); }

absl::StatusOr<UserPattern> ParseUsers(absl::string_view pattern, uint64_t population) {
  UserPattern users;
  for (const char c : pattern) {
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) {
      return absl::InvalidArgumentError("--users holds a control character");
    }
  }
  if (pattern.empty() || pattern.size() > 400) {
    return absl::InvalidArgumentError("--users is a name of 1 to 400 characters");
  }
  const size_t number = pattern.find("%d");
  users.before = std::string(pattern.substr(0, number));
  users.after = number == pattern.npos ? "" : std::string(pattern.substr(number + 2));
  users.population = number == pattern.npos ? 0 : population;
  if (absl::StrContains(users.after, "%d")) {
    return absl::InvalidArgumentError("--users has more than one %d");
  }
  return users;
}

absl::StatusOr<std::vector<SocketAddress>> ParseSources(absl::string_view text) {
  std::vector<SocketAddress> sources;
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    const std::pair<absl::string_view, absl::string_view> range =
        absl::StrSplit(part, absl::MaxSplits('-', 1));
    if (range.second.empty()) {
      ASSIGN_OR_RETURN(const SocketAddress address, SocketAddress::FromIp(part, 0));
      sources.push_back(address);
    } else {
      in_addr first{};
      in_addr last{};
      if (inet_pton(AF_INET, std::string(range.first).c_str(), &first) != 1 ||
          inet_pton(AF_INET, std::string(range.second).c_str(), &last) != 1 ||
          ntohl(first.s_addr) > ntohl(last.s_addr) ||
          ntohl(last.s_addr) - ntohl(first.s_addr) >= kSourcesMax) {
        return absl::InvalidArgumentError(
            absl::StrCat("--source: \"", part, "\" is no range of up to ", kSourcesMax,
                         " IPv4 addresses; write 127.0.0.2-127.0.0.9"));
      }
      for (uint32_t ip = ntohl(first.s_addr); ip <= ntohl(last.s_addr); ++ip) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(ip);
        sources.emplace_back(reinterpret_cast<const sockaddr*>(&address), sizeof(address));
      }
    }
    if (sources.size() > kSourcesMax) {
      return absl::InvalidArgumentError(
          absl::StrCat("--source: more than ", kSourcesMax, " addresses"));
    }
    if (sources.back().family() != sources.front().family()) {
      return absl::InvalidArgumentError("--source mixes IPv4 and IPv6");
    }
  }
  return sources;
}

absl::StatusOr<Options> ParseCommandLine(int argc, char** argv, int* exit_code) {
  Options options;
  Raw raw;
  CLI::App app(
      "Logs in to a POP3 server, many at a time, and measures it. What a synthetic store\n"
      "(postern-maildrop) sends is checked byte by byte.",
      "postern-load");
  DefineTarget(&app, &options, &raw);
  DefineWork(&app, &options, &raw);
  DefineAmount(&app, &options, &raw);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    *exit_code = app.exit(error);
    return options;
  }
  RETURN_IF_ERROR(Finish(raw, &options));
  return options;
}

}  // namespace postern::load
