#include "bench/maildrop/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "bench/maildrop/command_line.h"
#include "proxy/base/status_macros.h"

namespace postern::maildrop {
namespace {

const std::map<std::string, ListenTls>& TlsNames() {
  static const std::map<std::string, ListenTls> names = {
      {"off", ListenTls::kOff}, {"stls", ListenTls::kStls}, {"implicit", ListenTls::kImplicit}};
  return names;
}

const std::vector<std::pair<std::string, io::IoKind>>& IoNames() {
  static const std::vector<std::pair<std::string, io::IoKind>> names = {
      {"auto", io::IoKind::kAuto}, {"uring", io::IoKind::kUring}, {"epoll", io::IoKind::kEpoll}};
  return names;
}

// What CLI11 fills before it is checked.
struct Raw {
  std::vector<std::string> listen = {"127.0.0.1:1110"};
  ListenTls tls = ListenTls::kOff;
  std::string messages = "10";
  std::string sizes;
  uint64_t size = 5000;
  bool no_pipelining = false;
  double idle_s = 600;
};

// A duration that the command line gives in milliseconds.
void AddLatency(CLI::App* app, const std::string& phase, const std::string& what,
                DurationNs* latency) {
  app->add_option_function<double>(
         "--latency-" + phase + "-ms",
         [latency](const double& ms) { *latency = static_cast<DurationNs>(ms * kMillisecond); },
         "Wait before " + what)
      ->check(CLI::Range(0.0, 600000.0));
}

void DefineServer(CLI::App* app, Options* options, Raw* raw) {
  app->add_option("--listen", raw->listen,
                  "ADDRESS:PORT, or ADDRESS:PORT,implicit|stls|off; may be repeated; port 0 takes "
                  "a free one")
      ->capture_default_str();
  app->add_option("--tls", raw->tls, "TLS of listeners that do not say: off, stls, implicit")
      ->transform(OneOf(TlsNames()));
  app->add_option("--certificate", options->certificate.chain, "PEM file: certificate chain");
  app->add_option("--key", options->certificate.key, "PEM file: private key");
  app->add_option("--io", options->io, "How the kernel is asked: auto, uring or epoll")
      ->transform(OneOf(IoNames()));
  app->add_option("--threads", options->threads, "Threads that serve")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  app->add_option("--sessions-max", options->sessions_max,
                  "Connections of one thread beyond this are closed at once")
      ->capture_default_str();
  app->add_option("--backlog", options->backlog, "Connections the kernel holds until we accept")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app->add_option(
         "--mss", options->mss,
         "Largest TCP segment, for segments as on a network card although this is loopback")
      ->check(CLI::Range(536, 65495));
  app->add_option("--idle-timeout-s", raw->idle_s, "Seconds of silence that end a session")
      ->check(CLI::Range(0.1, 86400.0))
      ->capture_default_str();
  app->add_flag("--quiet", options->quiet, "Print nothing but the ready line and errors");
  app->add_flag("--verbose", options->verbose,
                "A line on stderr for each login: who, from where, what the proxy said");
}

void DefineMail(CLI::App* app, Options* options, Raw* raw) {
  app->add_option("--name", options->mailbox.store, "The store's own name, shown in the greeting")
      ->capture_default_str();
  app->add_option("--messages", raw->messages,
                  "Messages of each user: a number, or a distribution as for --sizes")
      ->capture_default_str();
  CLI::Option* size = app->add_option("--size", raw->size, "Octets of each message")
                          ->check(CLI::Range(kMessageBytesMin, kMessageBytesMax))
                          ->capture_default_str();
  app->add_option("--sizes", raw->sizes,
                  "A distribution: fixed:5000, uniform:1000-20000, lognormal:MEDIAN:SIGMA, "
                  "weighted:SIZE=SHARE,SIZE=SHARE,...")
      ->excludes(size);
  app->add_flag("--samples", options->mailbox.samples,
                "The first three messages of each user are readable");
  app->add_option("--seed", options->mailbox.seed, "Another seed, another store of mail")
      ->capture_default_str();
  app->add_option("--deletions-max", options->deletions_max,
                  "Deleted messages remembered, of all users together")
      ->capture_default_str();
}

void DefineDialogue(CLI::App* app, Options* options, Raw* raw) {
  app->add_option("--password", options->password,
                  "The one right password; without it every one is right but --wrong-password");
  app->add_option("--wrong-password", options->wrong_password, "A password that is refused")
      ->capture_default_str();
  app->add_flag("--apop", options->apop, "Offer APOP; needs --password");
  app->add_option("--capa", options->capabilities,
                  "Lines of CAPA, instead of the usual ones; may be repeated");
  app->add_flag("--no-pipelining", raw->no_pipelining, "Do not announce PIPELINING");
  app->add_flag("--xclient", options->xclient,
                "Show [XCLIENT] in the greeting and believe what XCLIENT says");
  app->add_flag("--proxy-protocol", options->proxy_protocol,
                "Every connection begins with a PROXY protocol header, version 1 or 2");
  AddLatency(app, "greeting", "the greeting", &options->greeting_latency);
  AddLatency(app, "user", "the answer to USER", &options->user_latency);
  AddLatency(app, "pass", "the answer to a login", &options->pass_latency);
  AddLatency(app, "list", "the answer to STAT, LIST and UIDL", &options->list_latency);
  AddLatency(app, "retr", "a message", &options->retr_latency);
  AddLatency(app, "quit", "the answer to QUIT", &options->quit_latency);
  std::string names;
  for (const auto& [name, fault] : FaultNames()) absl::StrAppend(&names, " ", name);
  app->add_option("--fault", options->fault, absl::StrCat("Misbehave:", names))
      ->transform(OneOf(FaultNames()));
  app->add_option("--fault-percent", options->fault_percent, "Share of sessions that misbehave")
      ->check(CLI::Range(1u, 100u))
      ->capture_default_str();
}

// What one option alone cannot show to be wrong.
absl::Status Finish(const Raw& raw, Options* options) {
  for (const std::string& text : raw.listen) {
    ASSIGN_OR_RETURN(const Listen listen, ParseListen(text, raw.tls));
    options->listen.push_back(listen);
    if (listen.tls != ListenTls::kOff &&
        (options->certificate.chain.empty() || options->certificate.key.empty())) {
      return absl::InvalidArgumentError(absl::StrCat(
          text, " speaks TLS: give --certificate FILE and --key FILE (openssl req -x509 -newkey ",
          "ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -addext ",
          "subjectAltName=DNS:localhost -days 30 -keyout key.pem -out certificate.pem makes a ",
          "pair)"));
    }
  }
  const std::string& name = options->mailbox.store;
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
  };
  if (name.empty() || name.size() > 24 || !std::all_of(name.begin(), name.end(), fits)) {
    return absl::InvalidArgumentError("--name takes 1 to 24 letters, digits and hyphens");
  }
  if (options->apop && options->password.empty()) {
    return absl::InvalidArgumentError("--apop proves a password that both know: give --password");
  }
  if (options->apop && options->password == options->wrong_password) {
    return absl::InvalidArgumentError("--password and --wrong-password are the same");
  }
  if (raw.sizes.empty()) {
    ASSIGN_OR_RETURN(options->mailbox.sizes, SizeModel::Parse(absl::StrCat("fixed:", raw.size)));
  } else {
    ASSIGN_OR_RETURN(options->mailbox.sizes, SizeModel::Parse(raw.sizes));
  }
  ASSIGN_OR_RETURN(const SizeModel counts, SizeModel::ParseCounts(raw.messages));
  if (counts.fixed()) {
    options->mailbox.messages = counts.SizeOf(0);
  } else {
    options->mailbox.counts = counts;
  }
  for (const std::string& line : options->capabilities) {
    if (line.empty() || line.size() > 500 || line.find_first_of("\r\n") != std::string::npos) {
      return absl::InvalidArgumentError("--capa takes lines of 1 to 500 characters");
    }
  }
  options->pipelining = !raw.no_pipelining;
  options->idle_timeout = static_cast<DurationNs>(raw.idle_s * kSecond);
  return absl::OkStatus();
}

}  // namespace

absl::string_view Name(ListenTls tls) {
  switch (tls) {
    case ListenTls::kOff:
      return "off";
    case ListenTls::kStls:
      return "stls";
    case ListenTls::kImplicit:
      return "implicit";
  }
  return "";
}

const std::vector<std::pair<std::string, Fault>>& FaultNames() {
  static const std::vector<std::pair<std::string, Fault>> names = {
      {"no-greeting", Fault::kNoGreeting},
      {"bad-greeting", Fault::kBadGreeting},
      {"err-greeting", Fault::kErrGreeting},
      {"close-on-connect", Fault::kCloseOnConnect},
      {"rst-on-connect", Fault::kRstOnConnect},
      {"close-after-user", Fault::kCloseAfterUser},
      {"stall-after-pass", Fault::kStallAfterPass},
      {"refuse-login", Fault::kRefuseLogin},
      {"refuse-temporarily", Fault::kRefuseTemporarily},
      {"in-use", Fault::kInUse},
      {"long-reply", Fault::kLongReply},
      {"stall-mid-retr", Fault::kStallMidRetr},
      {"close-mid-retr", Fault::kCloseMidRetr},
      {"rst-mid-retr", Fault::kRstMidRetr},
      {"no-terminator", Fault::kNoTerminator},
  };
  return names;
}

absl::StatusOr<Listen> ParseListen(absl::string_view text, ListenTls tls) {
  Listen listen;
  listen.tls = tls;
  absl::string_view address = text;
  const size_t comma = text.rfind(',');
  if (comma != text.npos) {
    const auto found = TlsNames().find(std::string(text.substr(comma + 1)));
    if (found == TlsNames().end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("--listen ", text, ": behind the comma stands off, stls or implicit"));
    }
    listen.tls = found->second;
    address = text.substr(0, comma);
  }
  ASSIGN_OR_RETURN(listen.address, SocketAddress::Parse(address));
  return listen;
}

absl::StatusOr<Options> ParseCommandLine(int argc, char** argv, int* exit_code) {
  Options options;
  options.mailbox.store = "maildrop";
  Raw raw;
  CLI::App app(
      "A POP3 store whose mail is made up: every user exists, every byte of every message can be\n"
      "checked by the client. For tests, demonstrations and measurements; never for real mail.",
      "postern-maildrop");
  DefineServer(&app, &options, &raw);
  DefineMail(&app, &options, &raw);
  DefineDialogue(&app, &options, &raw);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() != 0) return Mistake(error);
    *exit_code = app.exit(error);
    return options;
  }
  RETURN_IF_ERROR(Finish(raw, &options));
  return options;
}

}  // namespace postern::maildrop
