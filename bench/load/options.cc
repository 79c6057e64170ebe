#include "bench/load/options.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "bench/load/objective.h"
#include "bench/maildrop/command_line.h"
#include "proxy/base/status_macros.h"

namespace postern::load {
namespace {

constexpr size_t kSourcesMax = 4096;
constexpr double kDurationMaxS = 86400;
constexpr uint64_t kCountMax = uint64_t{1} << 40;
constexpr uint64_t kSeedMax = (uint64_t{1} << 63) - 1;
// Sessions at once, when nobody says.
constexpr uint32_t kClosedLoopSessions = 10;
constexpr uint32_t kOpenLoopSessions = 10000;
// Where a search begins.
constexpr double kSearchRate = 50;

template <typename Value>
using NameList = std::vector<std::pair<std::string, Value>>;

const NameList<TargetTls>& TlsNames() {
  static const NameList<TargetTls> names = {
      {"off", TargetTls::kOff}, {"stls", TargetTls::kStls}, {"implicit", TargetTls::kImplicit}};
  return names;
}

const NameList<Auth>& AuthNames() {
  static const NameList<Auth> names = {
      {"user", Auth::kUserPass}, {"apop", Auth::kApop}, {"plain", Auth::kPlain}};
  return names;
}

// Those that --script takes.
const NameList<ScriptName>& ScriptNames() {
  static const NameList<ScriptName> names = {{"handshake", ScriptName::kHandshake},
                                             {"login", ScriptName::kLogin},
                                             {"poll", ScriptName::kPoll},
                                             {"fetch", ScriptName::kFetch},
                                             {"idle", ScriptName::kIdle}};
  return names;
}

const NameList<Arrivals>& ArrivalNames() {
  static const NameList<Arrivals> names = {{"poisson", Arrivals::kPoisson},
                                           {"constant", Arrivals::kConstant}};
  return names;
}

const NameList<io::IoKind>& IoNames() {
  static const NameList<io::IoKind> names = {
      {"auto", io::IoKind::kAuto}, {"uring", io::IoKind::kUring}, {"epoll", io::IoKind::kEpoll}};
  return names;
}

template <typename Value>
absl::string_view NameIn(const NameList<Value>& names, Value value) {
  for (const auto& [name, named] : names) {
    if (named == value) return name;
  }
  return "";
}

// What CLI11 fills before it is checked.
struct Raw {
  std::string target = "127.0.0.1:1110";
  std::string tls_version;
  std::string tls_cipher;
  std::string users = "user%d@example.org";
  std::string users_file;
  uint64_t population = 1000;
  std::string script_file;
  std::string replay;
  double hold_s = 10;
  double noop_every_s = 0;
  bool inexact_sizes = false;
  std::optional<uint32_t> sessions;
  std::optional<uint64_t> total;
  std::optional<double> duration_s;
  std::optional<double> timeout_s;
  double step_s = 5;
  std::string rate;
  std::string rate_steps;
  std::string sources;
};

void DefineTarget(CLI::App* app, Options* options, Raw* raw) {
  app->add_option("--target", raw->target, "HOST:PORT, [IPv6]:PORT or unix:/path")
      ->capture_default_str();
  app->add_option("--tls", options->tls, "off, stls or implicit")
      ->transform(maildrop::OneOf(TlsNames()));
  app->add_option("--tls-version", raw->tls_version, "1.2 or 1.3 only; default: the best of both")
      ->check(CLI::IsMember({"1.2", "1.3"}));
  app->add_option("--tls-cipher", raw->tls_cipher,
                  "Offer only these, by OpenSSL name, with : between them; TLS_... are for 1.3");
  app->add_option("--tls-groups", options->tls_options.groups,
                  "Key exchange groups, such as X25519:P-256");
  app->add_flag("--resume", options->tls_options.resume, "Resume TLS sessions with tickets");
  app->add_flag("--alpn", options->tls_options.alpn, "Offer the protocol pop3 (ALPN)");
  CLI::Option* name = app->add_option("--server-name", options->tls_options.server_name,
                                      "Sent as SNI; with --ca the certificate must carry it");
  app->add_option("--ca", options->tls_options.ca_file,
                  "PEM file of trusted CAs; without it certificates are not verified")
      ->needs(name);
  app->add_option("--source", raw->sources,
                  "Connect from these addresses in turn: 127.0.0.2-127.0.0.9 or a,b,c");
}

void DefineUsers(CLI::App* app, Options* options, Raw* raw) {
  CLI::Option* pattern =
      app->add_option("--users", raw->users, "Login name; %d is a number below --population")
          ->capture_default_str();
  app->add_option("--population", raw->population, "How many users there are")
      ->check(CLI::Range(uint64_t{1}, kCountMax))
      ->capture_default_str();
  app->add_option("--users-file", raw->users_file,
                  "A file of users: a name on each line, and a password if it has its own")
      ->excludes(pattern);
  app->add_option("--skew", options->skew,
                  "Zipf's exponent: few users come often; default: all users alike")
      ->check(CLI::Range(1.01, 10.0));
  app->add_option("--auth", options->auth, "user (USER, PASS), apop or plain (AUTH PLAIN)")
      ->transform(maildrop::OneOf(AuthNames()));
  app->add_option("--password", options->password, "Of every user")->capture_default_str();
  app->add_option("--wrong-passwords", options->wrong_percent,
                  "Percent of the sessions that use --wrong-password, and must be refused")
      ->check(CLI::Range(0.0, 100.0));
  app->add_option("--wrong-password", options->wrong_password, "The password of these")
      ->capture_default_str();
}

void DefineWork(CLI::App* app, Options* options, Raw* raw) {
  CLI::Option* script =
      app->add_option("--script", options->script,
                      "handshake, login, poll (STAT, UIDL), fetch (LIST, RETR) or idle")
          ->transform(maildrop::OneOf(ScriptNames()));
  CLI::Option* file =
      app->add_option("--script-file", raw->script_file, "A file of steps, one on each line")
          ->excludes(script);
  app->add_option("--fetch-max", options->details.fetch_max,
                  "fetch: messages one session fetches at most")
      ->check(CLI::Range(uint64_t{1}, kCountMax))
      ->capture_default_str();
  app->add_flag("--delete", options->details.remove, "fetch: delete what was fetched");
  app->add_option("--hold-s", raw->hold_s, "idle: seconds a session stays")
      ->check(CLI::Range(0.0, kDurationMaxS))
      ->capture_default_str();
  app->add_option("--noop-s", raw->noop_every_s, "idle: a NOOP every so many seconds")
      ->check(CLI::Range(0.001, kDurationMaxS));
  app->add_flag("--inexact-sizes", raw->inexact_sizes,
                "The server's LIST only estimates: do not compare sizes with it");
  CLI::Option* replay =
      app->add_option("--replay", raw->replay, "Repeat the sessions of this session log")
          ->excludes(script)
          ->excludes(file)
          ->excludes("--skew")
          ->excludes("--wrong-passwords");
  app->add_option("--speed", options->speed, "replay: so many times as fast")
      ->check(CLI::Range(0.001, 100000.0))
      ->capture_default_str()
      ->needs(replay);
  app->add_flag("--map-users", options->map_users, "replay: with the users of --users instead")
      ->needs(replay);
}

void DefineAmount(CLI::App* app, Options* options, Raw* raw) {
  app->add_option("--sessions", raw->sessions,
                  "Sessions at once, at most; default 10, in an open loop 10000")
      ->check(CLI::Range(1u, 1000000u));
  app->add_option("--total", raw->total,
                  "Sessions in all; default 1000, or as many as fit into the duration")
      ->check(CLI::Range(uint64_t{1}, kCountMax));
  app->add_option("--duration-s", raw->duration_s,
                  "Start no session after so many seconds; default 600")
      ->check(CLI::Range(0.001, kDurationMaxS));
  app->add_option("--timeout-s", raw->timeout_s,
                  "Seconds one session may take, without pauses; default 30, or 10 in a search")
      ->check(CLI::Range(0.05, 3600.0));
  CLI::Option* rate = app->add_option(
      "--rate", raw->rate,
      "Open loop: sessions started each second, whatever the server does; 100..1000 is a ramp");
  app->add_option("--rate-steps", raw->rate_steps,
                  "Open loop: rates one after the other, such as 100,200,400:10s")
      ->excludes(rate);
  app->add_option("--arrivals", options->arrivals, "Of the open loop: poisson or constant")
      ->transform(maildrop::OneOf(ArrivalNames()));
}

void DefineSearch(CLI::App* app, Options* options, Raw* raw) {
  CLI::Option* find = app->add_flag("--find-capacity", options->find_capacity,
                                    "Search the highest rate that meets --objective");
  find->excludes("--total")->excludes("--rate-steps")->excludes("--replay");
  app->add_option("--objective", options->objective,
                  "What counts as well served: p99<200ms, login.p99.9<1s, errors<0.1%, ...")
      ->capture_default_str()
      ->needs(find);
  app->add_option("--step-s", raw->step_s, "Seconds for which the search tries each rate")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str()
      ->needs(find);
  app->add_option("--rate-max", options->rate_max, "The search tries no higher rate")
      ->check(CLI::Range(1.0, 1e6))
      ->capture_default_str()
      ->needs(find);
}

void DefineOthers(CLI::App* app, Options* options) {
  app->add_option("--io", options->io, "How the kernel is asked: auto, uring or epoll")
      ->transform(maildrop::OneOf(IoNames()));
  app->add_option("--threads", options->threads, "Threads that generate load")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  app->add_option("--seed", options->seed, "Of users and arrivals")
      ->check(CLI::Range(uint64_t{0}, kSeedMax))
      ->capture_default_str();
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

DurationNs FromSeconds(double seconds) {
  return static_cast<DurationNs>(std::llround(seconds * kSecond));
}

absl::Status CheckPassword(absl::string_view option, absl::string_view password) {
  if (password.empty() || absl::StrContains(password, '\r') || absl::StrContains(password, '\n')) {
    return absl::InvalidArgumentError(absl::StrCat(option, " is one line that is not empty"));
  }
  return absl::OkStatus();
}

absl::Status FinishTls(const Raw& raw, tls::ClientOptions* tls) {
  tls->insecure = tls->ca_file.empty();
  if (raw.tls_version == "1.2") tls->version_max = tls::Version::kTls12;
  if (raw.tls_version == "1.3") tls->version_min = tls::Version::kTls13;
  if (!raw.tls_cipher.empty()) RETURN_IF_ERROR(ChooseCiphers(raw.tls_cipher, tls));
  if (tls->version_min > tls->version_max) {
    return absl::InvalidArgumentError(
        absl::StrCat("--tls-cipher ", raw.tls_cipher, " is not for TLS ", raw.tls_version));
  }
  return absl::OkStatus();
}

absl::Status FinishUsers(const Raw& raw, Options* options) {
  ASSIGN_OR_RETURN(options->users, ParseUsers(raw.users, raw.population));
  if (!raw.users_file.empty()) {
    ASSIGN_OR_RETURN(UserFile file, UserFile::Read(raw.users_file));
    options->user_file = std::make_shared<const UserFile>(std::move(file));
  }
  RETURN_IF_ERROR(CheckPassword("--password", options->password));
  RETURN_IF_ERROR(CheckPassword("--wrong-password", options->wrong_password));
  if (options->password == options->wrong_password && options->wrong_percent > 0) {
    return absl::InvalidArgumentError("--password and --wrong-password are the same");
  }
  return absl::OkStatus();
}

absl::Status FinishWork(const Raw& raw, Options* options) {
  options->details.hold = FromSeconds(raw.hold_s);
  options->details.noop_every = FromSeconds(raw.noop_every_s);
  options->keep_sizes = !raw.inexact_sizes;
  if (!raw.replay.empty()) {
    ASSIGN_OR_RETURN(ReplayLog log, ReplayLog::Read(raw.replay));
    options->replay = std::make_shared<const ReplayLog>(std::move(log));
    options->script = ScriptName::kReplay;
  } else if (!raw.script_file.empty()) {
    ASSIGN_OR_RETURN(options->steps, ReadScript(raw.script_file));
    options->script = ScriptName::kFile;
  } else {
    options->SetScript(options->script);
  }
  const bool logs_in = std::any_of(options->steps.begin(), options->steps.end(),
                                   [](const Step& step) { return step.verb == Verb::kLogin; });
  if (options->wrong_percent > 0 && !logs_in) {
    return absl::InvalidArgumentError("--wrong-passwords needs a script that logs in");
  }
  return absl::OkStatus();
}

absl::Status FinishAmount(const Raw& raw, Options* options) {
  const bool replay = options->replay != nullptr;
  const bool ramp = absl::StrContains(raw.rate, "..");
  DurationNs duration = FromSeconds(raw.duration_s.value_or(600));
  if (!raw.rate.empty()) {
    if (ramp && !raw.duration_s) {
      return absl::InvalidArgumentError("--rate: a ramp needs --duration-s, how long it takes");
    }
    ASSIGN_OR_RETURN(options->rate, RatePlan::ParseRate(raw.rate, duration));
  }
  if (!raw.rate_steps.empty()) {
    if (raw.duration_s) {
      return absl::InvalidArgumentError("--rate-steps says how long it lasts; omit --duration-s");
    }
    ASSIGN_OR_RETURN(options->rate, RatePlan::ParseSteps(raw.rate_steps));
    duration = options->rate.length();
  }
  if (options->find_capacity) {
    if (ramp) return absl::InvalidArgumentError("--find-capacity begins with one --rate");
    if (raw.rate.empty()) options->rate = RatePlan::Constant(kSearchRate, duration);
    options->step = FromSeconds(raw.step_s);
    RETURN_IF_ERROR(Objective::Parse(options->objective).status());
  }
  if (replay && !options->rate.empty()) {
    return absl::InvalidArgumentError("--replay has its own rate: use --speed to change it");
  }
  if (replay && !raw.duration_s) {
    // One nanosecond more, so that the last line is in.
    duration =
        1 + static_cast<DurationNs>(static_cast<double>(options->replay->span()) / options->speed);
  }
  if (duration > FromSeconds(kDurationMaxS)) {
    return absl::InvalidArgumentError(
        "this would take more than a day: shorten it with --duration-s or --speed");
  }
  options->duration = duration;
  const bool bounded = raw.duration_s || !raw.rate_steps.empty() || replay;
  options->total = raw.total.value_or(bounded ? Options::kEndless : 1000);
  options->timeout = FromSeconds(raw.timeout_s.value_or(options->find_capacity ? 10 : 30));
  options->sessions =
      raw.sessions.value_or(options->open_loop() ? kOpenLoopSessions : kClosedLoopSessions);
  options->threads = static_cast<int>(
      std::min<uint64_t>(static_cast<uint64_t>(options->threads), options->sessions));
  return absl::OkStatus();
}

// What one option alone cannot show to be wrong.
absl::Status Finish(const Raw& raw, Options* options) {
  options->target_text = raw.target;
  ASSIGN_OR_RETURN(options->target, Resolve(raw.target));
  if (!raw.sources.empty()) {
    ASSIGN_OR_RETURN(options->sources, ParseSources(raw.sources));
    if (options->sources[0].family() != options->target.family()) {
      return absl::InvalidArgumentError("--source and --target are of different address families");
    }
  }
  RETURN_IF_ERROR(FinishTls(raw, &options->tls_options));
  RETURN_IF_ERROR(FinishUsers(raw, options));
  RETURN_IF_ERROR(FinishWork(raw, options));
  return FinishAmount(raw, options);
}

// An option that would change nothing is a mistake: whoever wrote it expected something of it.
absl::Status CheckMeaning(const CLI::App& app, const Options& options) {
  const bool tls = options.tls != TargetTls::kOff;
  const bool fetch = options.script == ScriptName::kFetch;
  const bool idle = options.script == ScriptName::kIdle;
  const bool own_users = options.replay == nullptr || options.map_users;
  const bool reads = options.replay != nullptr ||
                     std::any_of(options.steps.begin(), options.steps.end(),
                                 [](const Step& step) { return step.verb == Verb::kRetr; });
  constexpr const char* kTls = "--tls stls or --tls implicit";
  constexpr const char* kMapUsers = "--map-users when --replay names the users";
  const struct {
    const char* option;
    bool means_something;
    const char* needs;
  } rules[] = {
      {"--tls-version", tls, kTls},
      {"--tls-cipher", tls, kTls},
      {"--tls-groups", tls, kTls},
      {"--resume", tls, kTls},
      {"--alpn", tls, kTls},
      {"--server-name", tls, kTls},
      {"--ca", tls, kTls},
      {"--fetch-max", fetch, "--script fetch"},
      {"--delete", fetch, "--script fetch"},
      {"--inexact-sizes", reads, "a script that fetches messages"},
      {"--hold-s", idle, "--script idle"},
      {"--noop-s", idle, "--script idle"},
      {"--arrivals", !options.rate.empty(), "--rate, --rate-steps or --find-capacity"},
      {"--users", own_users, kMapUsers},
      {"--users-file", own_users, kMapUsers},
      {"--population", own_users, kMapUsers},
      {"--wrong-password", options.wrong_percent > 0 || options.replay != nullptr,
       "--wrong-passwords or --replay"},
  };
  for (const auto& rule : rules) {
    if (!rule.means_something && app.count(rule.option) > 0) {
      return absl::InvalidArgumentError(
          absl::StrCat(rule.option, " means nothing without ", rule.needs));
    }
  }
  return absl::OkStatus();
}

}  // namespace

DurationNs Options::pauses() const {
  if (replay == nullptr) return PausesOf(steps);
  return static_cast<DurationNs>(static_cast<double>(replay->length_max()) / speed);
}

absl::string_view Name(TargetTls tls) { return NameIn(TlsNames(), tls); }
absl::string_view Name(Auth auth) { return NameIn(AuthNames(), auth); }
absl::string_view Name(Arrivals arrivals) { return NameIn(ArrivalNames(), arrivals); }
absl::string_view Name(ScriptName script) {
  if (script == ScriptName::kFile) return "file";
  if (script == ScriptName::kReplay) return "replay";
  return NameIn(ScriptNames(), script);
}

absl::Status ChooseCiphers(absl::string_view text, tls::ClientOptions* options) {
  for (const absl::string_view name : absl::StrSplit(text, ':', absl::SkipEmpty())) {
    std::string* list = absl::StartsWith(name, "TLS_") ? &options->ciphersuites : &options->ciphers;
    absl::StrAppend(list, list->empty() ? "" : ":", name);
  }
  if (options->ciphers.empty() && options->ciphersuites.empty()) {
    return absl::InvalidArgumentError("--tls-cipher: no name");
  }
  if (options->ciphers.empty()) options->version_min = tls::Version::kTls13;
  if (options->ciphersuites.empty()) options->version_max = tls::Version::kTls12;
  return absl::OkStatus();
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
  DefineUsers(&app, &options, &raw);
  DefineWork(&app, &options, &raw);
  DefineAmount(&app, &options, &raw);
  DefineSearch(&app, &options, &raw);
  DefineOthers(&app, &options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() != 0) return maildrop::Mistake(error);
    *exit_code = app.exit(error);
    return options;
  }
  RETURN_IF_ERROR(Finish(raw, &options));
  RETURN_IF_ERROR(CheckMeaning(app, options));
  return options;
}

}  // namespace postern::load
