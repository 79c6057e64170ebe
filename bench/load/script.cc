#include "bench/load/script.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "bench/load/text_file.h"
#include "proxy/base/escape.h"
#include "proxy/base/status_macros.h"

namespace postern::load {
namespace {

constexpr size_t kScriptBytesMax = 1 << 20;
constexpr size_t kStepsMax = 10000;
constexpr uint64_t kMessageNumberMax = 1'000'000'000;

// How a step is written, for whoever wrote it wrongly.
struct Syntax {
  absl::string_view word;
  Verb verb;
  absl::string_view example;
};
constexpr Syntax kSyntax[] = {
    {"capa", Verb::kCapa, "capa"},
    {"login", Verb::kLogin, "login"},
    {"stat", Verb::kStat, "stat"},
    {"list", Verb::kList, "list"},
    {"uidl", Verb::kUidl, "uidl"},
    {"retr", Verb::kRetr, "retr 1, retr 1-5 or retr all"},
    {"top", Verb::kTop, "top 1 10, top 1-5 0 or top all 10"},
    {"dele", Verb::kDele, "dele 1, dele 1-5 or dele all"},
    {"rset", Verb::kRset, "rset"},
    {"noop", Verb::kNoop, "noop"},
    {"idle", Verb::kIdle, "idle 60s or idle 60s noop 5s"},
    {"pause", Verb::kPause, "pause 200ms"},
    {"until", Verb::kUntil, "until 5s"},
    {"quit", Verb::kQuit, "quit"},
    {"close", Verb::kClose, "close"},
};

bool NeedsLogin(Verb verb) {
  switch (verb) {
    case Verb::kCapa:
    case Verb::kLogin:
    case Verb::kPause:
    case Verb::kUntil:
    case Verb::kQuit:
    case Verb::kClose:
      return false;
    default:
      return true;
  }
}

absl::Status Wrong(absl::string_view what) { return absl::InvalidArgumentError(what); }

absl::Status ParseRange(absl::string_view text, Step* step) {
  if (absl::EqualsIgnoreCase(text, "all")) {
    step->last = Step::kAll;
    return absl::OkStatus();
  }
  const std::pair<absl::string_view, absl::string_view> range =
      absl::StrSplit(text, absl::MaxSplits('-', 1));
  const bool single = range.first.size() == text.size();
  if (!absl::SimpleAtoi(range.first, &step->first) ||
      !absl::SimpleAtoi(single ? range.first : range.second, &step->last) || step->first < 1 ||
      step->first > step->last || step->last > kMessageNumberMax) {
    return Wrong(absl::StrCat("\"", EscapeForLog(text, 40),
                              "\" is no range of message numbers; write 3, 1-5 or all"));
  }
  return absl::OkStatus();
}

absl::Status ParseWait(const std::vector<absl::string_view>& words, Step* step) {
  ASSIGN_OR_RETURN(step->pause, ParseDuration(words[1]));
  if (words.size() != 4) return absl::OkStatus();
  ASSIGN_OR_RETURN(step->noop_every, ParseDuration(words[3]));
  if (step->noop_every < kMillisecond) return Wrong("a NOOP comes at most once a millisecond");
  return absl::OkStatus();
}

absl::StatusOr<Step> ParseStep(const std::vector<absl::string_view>& words) {
  const Syntax* syntax = std::find_if(
      std::begin(kSyntax), std::end(kSyntax),
      [&words](const Syntax& one) { return absl::EqualsIgnoreCase(one.word, words[0]); });
  if (syntax == std::end(kSyntax)) {
    std::string known;
    for (const Syntax& one : kSyntax) absl::StrAppend(&known, " ", one.word);
    return Wrong(
        absl::StrCat("\"", EscapeForLog(words[0], 40), "\" is no step; the steps are:", known));
  }
  Step step;
  step.verb = syntax->verb;
  const absl::Status usage = Wrong(absl::StrCat("write ", syntax->example));
  switch (step.verb) {
    case Verb::kRetr:
    case Verb::kDele:
      if (words.size() != 2) return usage;
      RETURN_IF_ERROR(ParseRange(words[1], &step));
      return step;
    case Verb::kTop:
      if (words.size() != 3 || !absl::SimpleAtoi(words[2], &step.lines)) return usage;
      RETURN_IF_ERROR(ParseRange(words[1], &step));
      return step;
    case Verb::kPause:
    case Verb::kUntil:
      if (words.size() != 2) return usage;
      RETURN_IF_ERROR(ParseWait(words, &step));
      return step;
    case Verb::kIdle:
      if (words.size() != 2 && (words.size() != 4 || !absl::EqualsIgnoreCase(words[2], "noop"))) {
        return usage;
      }
      RETURN_IF_ERROR(ParseWait(words, &step));
      return step;
    default:
      if (words.size() != 1) return usage;
      return step;
  }
}

// What is wrong with `step` behind `before`.
absl::Status CheckOrder(const Step& step, const Script& before) {
  const auto has = [&before](Verb verb) {
    return std::any_of(before.begin(), before.end(),
                       [verb](const Step& one) { return one.verb == verb; });
  };
  if (has(Verb::kQuit) || has(Verb::kClose)) return Wrong("nothing can follow quit or close");
  if (step.verb == Verb::kLogin && has(Verb::kLogin)) return Wrong("the second login");
  if (NeedsLogin(step.verb) && !has(Verb::kLogin)) return Wrong("this needs a login before it");
  if (step.last == Step::kAll && !has(Verb::kStat) && !has(Verb::kList) && !has(Verb::kUidl)) {
    return Wrong("\"all\" needs a stat, list or uidl before it");
  }
  if (before.size() >= kStepsMax) return Wrong(absl::StrCat("more than ", kStepsMax, " steps"));
  return absl::OkStatus();
}

Step Make(Verb verb) {
  Step step;
  step.verb = verb;
  return step;
}

Step MakeRange(Verb verb, uint64_t last) {
  Step step = Make(verb);
  step.last = last;
  return step;
}

}  // namespace

Script MakeScript(ScriptName name, const ScriptDetails& details) {
  Script script;
  script.reserve(4);
  if (name != ScriptName::kHandshake) script.push_back(Make(Verb::kLogin));
  if (name == ScriptName::kPoll) {
    script.push_back(Make(Verb::kStat));
    script.push_back(Make(Verb::kUidl));
  }
  if (name == ScriptName::kFetch) {
    script.push_back(Make(Verb::kList));
    if (details.fetch_max > 0) {
      script.push_back(MakeRange(Verb::kRetr, details.fetch_max));
      if (details.remove) script.push_back(MakeRange(Verb::kDele, details.fetch_max));
    }
  }
  if (name == ScriptName::kIdle) {
    Step step = Make(Verb::kIdle);
    step.pause = details.hold;
    step.noop_every = details.noop_every;
    script.push_back(step);
  }
  script.push_back(Make(Verb::kQuit));
  return script;
}

DurationNs PausesOf(const Script& script) {
  DurationNs sum = 0;
  for (const Step& step : script) sum += step.pause;
  return sum;
}

absl::StatusOr<Script> ParseScript(absl::string_view text, absl::string_view file) {
  Script script;
  int number = 0;
  const auto at = [&](const absl::Status& status) {
    return Wrong(absl::StrCat(file, ":", number, ": ", status.message()));
  };
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line.substr(0, line.find('#')));
    if (line.empty()) continue;
    const std::vector<absl::string_view> words =
        absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
    const absl::StatusOr<Step> step = ParseStep(words);
    if (!step.ok()) return at(step.status());
    const absl::Status order = CheckOrder(*step, script);
    if (!order.ok()) return at(order);
    script.push_back(*step);
  }
  if (script.empty()) {
    return Wrong(absl::StrCat(file, ": no steps; write one a line, such as login, stat, quit"));
  }
  // Who forgets it means it: a session that just breaks off says close.
  if (script.back().verb != Verb::kQuit && script.back().verb != Verb::kClose) {
    script.push_back(Make(Verb::kQuit));
  }
  return script;
}

absl::StatusOr<Script> ReadScript(const std::string& file) {
  ASSIGN_OR_RETURN(const std::string text, ReadTextFile(file, kScriptBytesMax));
  return ParseScript(text, file);
}

absl::StatusOr<DurationNs> ParseDuration(absl::string_view text) {
  absl::Duration duration;
  if (!absl::ParseDuration(text, &duration) || duration < absl::ZeroDuration() ||
      duration > absl::Hours(24)) {
    return Wrong(absl::StrCat("\"", EscapeForLog(text, 40),
                              "\" is no duration of up to a day; write 200ms, 1.5s or 2m"));
  }
  return absl::ToInt64Nanoseconds(duration);
}

}  // namespace postern::load
