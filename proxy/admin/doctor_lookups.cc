#include "proxy/admin/doctor_lookups.h"

#include <array>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "proxy/admin/lookup_asker.h"
#include "proxy/base/escape.h"
#include "proxy/config/secrets.h"
#include "proxy/lookup_source_maker.h"
#include "routing/lookup/policy_message.h"
#include "routing/user_key.h"
#include "tls/digest.h"

namespace postern::admin {
namespace {

using Clock = std::chrono::steady_clock;
using Kind = routing::LookupAnswer::Kind;

// Somebody whom no directory has, who shows a password that nobody has, from an example's address:
// no client is held responsible for the failed login.
constexpr absl::string_view kNobody = "postern-doctor";
constexpr absl::string_view kNobodysPassword = "no-password-of-anybody";

// What an error says, and what one would look at then; the first that fits.
struct Remedy {
  absl::string_view symptom;  // in the error, in lower case
  absl::string_view mend;
};
constexpr absl::string_view kIsItRunning =
    "nobody listens there: is the service running, and is the address right?";
constexpr absl::string_view kNoAnswer =
    "is the service overloaded, or a firewall between this machine and it?";
constexpr absl::string_view kWhoWeAre =
    "it does not accept who we are: look at the user and the password file of the lookup, and at "
    "what the server lets this machine do";
constexpr absl::string_view kWhatWeAsk =
    "look at what the lookup asks for (database, query, base, key), and at the right to read it";
constexpr std::array kRemedies = {
    Remedy{"connection refused", kIsItRunning},
    Remedy{"couldn't connect", kIsItRunning},
    Remedy{"could not connect", kIsItRunning},
    Remedy{"can't connect", kIsItRunning},
    Remedy{"no such file", kIsItRunning},
    Remedy{"resolve", "does the name exist? getent hosts shows what this machine knows"},
    Remedy{"certificate",
           "name the CA that signed it: ca = \"ca.pem\"; it must be for the name in "
           "the address, and not be over"},
    Remedy{"pg_hba", kWhoWeAre},
    Remedy{"ssl", "does the server speak TLS on this port? Compare with openssl s_client"},
    Remedy{"refused: ", kWhoWeAre},  // Redis: the login is refused: ...
    Remedy{"no route", "look at the route and at firewalls between this machine and the server"},
    Remedy{"unreachable", "look at the route and at firewalls between this machine and the server"},
    Remedy{"access denied", kWhoWeAre},
    Remedy{"authentication", kWhoWeAre},
    Remedy{"invalid credentials", kWhoWeAre},
    Remedy{"noauth", kWhoWeAre},
    Remedy{"noperm", kWhoWeAre},
    Remedy{"password", kWhoWeAre},
    Remedy{"http status 401", kWhoWeAre},
    Remedy{"http status 403", kWhoWeAre},
    Remedy{"http status 404", "is the path in the URL right? See the service's log"},
    Remedy{"role \"", kWhoWeAre},
    Remedy{"permission denied", kWhatWeAsk},
    Remedy{"t exist", kWhatWeAsk},
    Remedy{"unknown database", kWhatWeAsk},
    Remedy{"unknown column", kWhatWeAsk},
    Remedy{"the query", kWhatWeAsk},
    Remedy{"there is no ", kWhatWeAsk},
    Remedy{"wrongtype", kWhatWeAsk},
    Remedy{"timed out", kNoAnswer},
    Remedy{"timeout", kNoAnswer},
    Remedy{"in time", kNoAnswer},
    Remedy{"too long", kNoAnswer},
    Remedy{"no time", kNoAnswer},
};

absl::string_view MendOf(absl::string_view detail) {
  const std::string lower = absl::AsciiStrToLower(detail);
  for (const Remedy& remedy : kRemedies) {
    if (absl::StrContains(lower, remedy.symptom)) return remedy.mend;
  }
  return "see the log of the service";
}

// One server on its way through a thread of its own.
struct Visit {
  const config::Lookup* lookup = nullptr;
  std::string subject;
  LookupServer server;
  routing::LookupQuestion question;
  routing::LookupAnswer answer;
  DurationNs took = 0;
  std::thread thread;
};

// On a thread made for it: clients of databases keep things for each.
void Ask(Visit* visit) {
  const auto began = Clock::now();
  const std::unique_ptr<routing::LookupSource> source = visit->server.alone();
  visit->answer = source->Ask(visit->question,
                              began + std::chrono::nanoseconds(visit->lookup->options.timeout));
  visit->took = std::chrono::nanoseconds(Clock::now() - began).count();
}

routing::LookupQuestion QuestionAboutNobody(const config::Config& config) {
  std::string user;
  if (!routing::NormaliseUser(config.routing.user, kNobody, &user).ok()) {
    user = std::string(kNobody);
  }
  AskedLogin login;
  login.listener = &config.listeners[0];
  login.password = Secret(kNobodysPassword);
  return QuestionFor(login, user);
}

// "allow" is the one that only asks.
routing::LookupQuestion PolicyQuestion(const config::Config& config) {
  routing::LookupQuestion question = QuestionAboutNobody(config);
  // What is wrong with the file stands among the files.
  const absl::StatusOr<Secret> nonce = config::ReadPasswordFile(config.policy.nonce_file);
  const std::string hash =
      routing::PolicyPasswordHash(tls::Sha256({nonce.ok() ? nonce->view() : "", question.user,
                                               absl::string_view("\0", 1), kNobodysPassword}),
                                  config.policy.hash_bits);
  routing::PolicyLogin login;
  login.user = question.user;
  login.password_hash = hash;
  login.client = question.client_ip;
  login.session = kNobody;
  login.tls = question.tls;
  question.method = std::string(routing::kPolicyAllow);
  question.message = routing::PolicyAllowMessage(login);
  return question;
}

void Begin(const config::Lookup& lookup, const std::string& what,
           const std::function<routing::LookupQuestion()>& question, std::deque<Visit>* visits,
           DoctorReport* report) {
  absl::StatusOr<std::vector<LookupServer>> servers = PrepareLookupServers(lookup);
  if (!servers.ok()) {
    report->Bad(absl::StrCat(what, " cannot be asked: ", std::string(servers.status().message())),
                "");
    return;
  }
  for (LookupServer& server : *servers) {
    Visit& visit = visits->emplace_back();
    visit.lookup = &lookup;
    visit.subject = absl::StrCat(what, " (", EscapeForLog(server.name, 200), ")");
    visit.server = std::move(server);
    visit.question = question();
  }
}

}  // namespace

void TellLookup(absl::string_view subject, absl::string_view server, const config::Lookup& lookup,
                const routing::LookupAnswer& answer, DurationNs took, DoctorReport* report) {
  const bool policy = lookup.type == "policy";
  const std::string answers =
      absl::StrFormat("%s: answers in %.1f ms", subject, static_cast<double>(took) / kMillisecond);
  switch (answer.kind) {
    case Kind::kFound:
      report->Good(absl::StrCat(
          answers, policy ? ": a login may go on" : ": found, even a user that nobody has"));
      if (policy || !lookup.traits.judges_credentials) return;
      return report->Note(absl::StrCat(subject,
                                       " says yes to a password that nobody has: somebody behind "
                                       "it must judge"));
    case Kind::kUnknown:
      return report->Good(absl::StrCat(answers, ": does not know a user that nobody has"));
    case Kind::kForbidden:
      return report->Good(absl::StrCat(answers, policy ? ": would refuse" : ": refuses",
                                       " a user that nobody has"));
    case Kind::kWait:
      return report->Good(
          absl::StrCat(answers, ": wants to be asked again, about a user that nobody has"));
    case Kind::kTemporary:
      break;
  }
  absl::string_view detail = answer.detail;
  absl::ConsumePrefix(&detail, absl::StrCat(server, ": "));
  const std::string effect = policy && !lookup.options.silence.empty()
                                 ? absl::StrCat(" (", lookup.options.silence, ")")
                                 : "";
  if (!answer.refusal.empty()) {
    return report->Bad(absl::StrCat(subject, ": answers that it cannot judge now: ",
                                    EscapeForLog(detail.empty() ? answer.refusal : detail, 400)),
                       "see the log of the service");
  }
  report->Bad(absl::StrCat(subject, ": ", EscapeForLog(detail, 400), effect), MendOf(detail));
}

void CheckLookups(const config::Config& config, DoctorReport* report) {
  std::deque<Visit> visits;
  for (const config::Lookup& lookup : config.lookups) {
    Begin(
        lookup, lookup.options.name, [&] { return QuestionAboutNobody(config); }, &visits, report);
  }
  if (config.policy.on()) {
    Begin(
        config.policy.askers[0], "[guard.policy]", [&] { return PolicyQuestion(config); }, &visits,
        report);
  }
  for (Visit& visit : visits) {
    try {
      visit.thread = std::thread(&Ask, &visit);
    } catch (const std::system_error& error) {
      visit.answer.detail = absl::StrCat("no thread to ask with: ", error.what());
    }
  }
  for (Visit& visit : visits) {
    if (visit.thread.joinable()) visit.thread.join();
    TellLookup(visit.subject, visit.server.name, *visit.lookup, visit.answer, visit.took, report);
  }
}

}  // namespace postern::admin
