// What a client does between its login and its end.
#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "bench/load/client.h"
#include "bench/load/message_octets.h"
#include "bench/maildrop/message.h"
#include "proxy/pop3/reply.h"

namespace postern::load {
namespace {

// Sizes of further messages are not kept.
constexpr uint64_t kSizesMax = 100000;

}  // namespace

uint64_t Client::LastOf(const Step& step) const {
  return messages_ ? std::min(step.last, *messages_) : step.last;
}

coro::Task<Ending> Client::Perform(const Step* step) {
  Ending ending = Ending::kGood;
  switch (step->verb) {
    case Verb::kLogin:
      co_return co_await LogIn();
    case Verb::kCapa:
      co_return co_await Capabilities();
    case Verb::kStat:
      co_return co_await Stat();
    case Verb::kList:
      co_return co_await List(/*unique_ids=*/false);
    case Verb::kUidl:
      co_return co_await List(/*unique_ids=*/true);
    case Verb::kRset:
      ending = co_await Simple("RSET", Span::kRset);
      deleted_ = false;
      co_return ending;
    case Verb::kNoop:
      co_return co_await Simple("NOOP", Span::kNoop);
    case Verb::kIdle:
      co_return co_await Idle(step);
    case Verb::kPause:
      co_return co_await WaitUntil(MonotonicNow() + step->pause);
    case Verb::kUntil:
      co_return co_await WaitUntil(began_ + step->pause);
    case Verb::kQuit:
      co_return co_await Quit();
    case Verb::kClose:
      co_return Ending::kGood;
    case Verb::kRetr:
    case Verb::kTop:
    case Verb::kDele:
      break;
  }
  const uint64_t last = LastOf(*step);
  for (uint64_t index = step->first; index <= last; ++index) {
    if (step->verb == Verb::kRetr) ending = co_await Retrieve(index);
    if (step->verb == Verb::kTop) ending = co_await Top(index, step->lines);
    if (step->verb == Verb::kDele) ending = co_await Delete(index);
    if (ending != Ending::kGood) co_return ending;
  }
  co_return Ending::kGood;
}

coro::Task<Ending> Client::Simple(absl::string_view verb, Span span) {
  const TimeNs started = MonotonicNow();
  step_ = verb.data();
  command_ = absl::StrCat(verb, "\r\n");
  const Ending ending = co_await Ask(Ending::kProtocol);
  if (ending == Ending::kGood) Record(span, started);
  co_return ending;
}

coro::Task<Ending> Client::Capabilities() {
  const TimeNs started = MonotonicNow();
  step_ = "CAPA";
  command_ = "CAPA\r\n";
  const Ending asked = co_await Ask(Ending::kProtocol);
  if (asked != Ending::kGood) co_return asked;
  const Ending ending = co_await SkipMultiline();
  if (ending == Ending::kGood) Record(Span::kCapa, started);
  co_return ending;
}

coro::Task<Ending> Client::Stat() {
  const Ending ending = co_await Simple("STAT", Span::kStat);
  if (ending != Ending::kGood) co_return ending;
  const std::vector<absl::string_view> words = absl::StrSplit(line_, ' ');
  uint64_t messages = 0;
  uint64_t octets = 0;
  if (words.size() < 3 || !absl::SimpleAtoi(words[1], &messages) ||
      !absl::SimpleAtoi(words[2], &octets)) {
    co_return Fail(Ending::kProtocol, line_);
  }
  // Once something is deleted, the count is no longer the highest number.
  if (!deleted_) messages_ = messages;
  co_return Ending::kGood;
}

coro::Task<Ending> Client::List(bool unique_ids) {
  const TimeNs started = MonotonicNow();
  step_ = unique_ids ? "UIDL" : "LIST";
  command_ = absl::StrCat(step_, "\r\n");
  const Ending asked = co_await Ask(Ending::kProtocol);
  if (asked != Ending::kGood) co_return asked;
  listed_ = listed_last_ = 0;
  for (;;) {
    const Ending ending = co_await ReadLine();
    if (ending != Ending::kGood) co_return ending;
    if (line_ == ".") break;
    if (!TakeListingLine(unique_ids)) co_return Fail(Ending::kProtocol, line_);
  }
  Record(unique_ids ? Span::kUidl : Span::kList, started);
  if (deleted_) co_return Ending::kGood;
  if (messages_ && *messages_ != listed_) {
    co_return Fail(Ending::kProtocol,
                   absl::StrCat(listed_, " lines for ", *messages_, " messages"));
  }
  messages_ = listed_last_;
  co_return Ending::kGood;
}

bool Client::TakeListingLine(bool unique_ids) {
  const std::pair<absl::string_view, absl::string_view> words =
      absl::StrSplit(line_, absl::MaxSplits(' ', 1));
  uint64_t index = 0;
  if (!absl::SimpleAtoi(words.first, &index) || index <= listed_last_ || words.second.empty()) {
    return false;
  }
  listed_last_ = index;
  ++listed_;
  if (unique_ids) return true;
  uint64_t octets = 0;
  if (!absl::SimpleAtoi(words.second.substr(0, words.second.find(' ')), &octets)) return false;
  if (context_->options->keep_sizes && index <= kSizesMax) {
    if (sizes_.size() <= index) sizes_.resize(index + 1);
    sizes_[index] = octets;
  }
  return true;
}

coro::Task<Ending> Client::Retrieve(uint64_t index) {
  const TimeNs started = MonotonicNow();
  step_ = "RETR";
  command_ = absl::StrCat("RETR ", index, "\r\n");
  const Ending asked = co_await Ask(Ending::kProtocol);
  if (asked != Ending::kGood) co_return asked;
  const Ending ending = co_await ReceiveMessage(index);
  if (ending != Ending::kGood) co_return ending;
  ++context_->results->messages;
  Record(Span::kRetrieve, started);
  co_return Ending::kGood;
}

coro::Task<Ending> Client::ReceiveMessage(uint64_t index) {
  using Verdict = maildrop::MessageVerifier::Verdict;
  maildrop::MessageVerifier verifier(plan_.user);
  MessageOctets octets;
  Results& results = *context_->results;
  Verdict verdict = Verdict::kMore;
  for (;;) {
    size_t consumed = 0;
    verdict = verifier.OnInput(channel_.input(), &consumed);
    // A message that names its number is compared byte by byte; counting would add nothing.
    if (verifier.number() == 0) octets.OnInput(channel_.input().substr(0, consumed));
    results.message_bytes += consumed;
    channel_.ConsumeInput(consumed);
    if (verdict != Verdict::kMore) break;
    const Outcome outcome = co_await channel_.ReadMore();
    if (outcome != Outcome::kOk) co_return Judge(outcome);
  }
  if (verdict == Verdict::kCorrupt) {
    co_return Fail(Ending::kCorrupt, absl::StrCat("message ", index, ": ", verifier.problem()));
  }
  if (verdict == Verdict::kUnverified) {
    if (!octets.well_stuffed()) {
      co_return Fail(Ending::kCorrupt,
                     absl::StrCat("message ", index, ": a line begins with a single dot"));
    }
    co_return CompareSize(index, octets.octets());
  }
  // Deletions make gaps, but the order of the numbers stays.
  if (verifier.number() < index || verifier.number() <= last_number_) {
    co_return Fail(Ending::kCorrupt, absl::StrCat("message ", index, ": it is message number ",
                                                  verifier.number(), " of the store"));
  }
  last_number_ = verifier.number();
  ++results.verified;
  co_return Ending::kGood;
}

Ending Client::CompareSize(uint64_t index, uint64_t octets) {
  if (index >= sizes_.size() || sizes_[index] == 0) return Ending::kGood;
  if (sizes_[index] != octets) {
    return Fail(Ending::kCorrupt, absl::StrCat("message ", index, ": ", octets,
                                               " octets, LIST says ", sizes_[index]));
  }
  ++context_->results->sizes_compared;
  return Ending::kGood;
}

coro::Task<Ending> Client::Top(uint64_t index, uint64_t lines) {
  const TimeNs started = MonotonicNow();
  step_ = "TOP";
  command_ = absl::StrCat("TOP ", index, " ", lines, "\r\n");
  const Ending asked = co_await Ask(Ending::kProtocol);
  if (asked != Ending::kGood) co_return asked;
  const Ending ending = co_await SkipMultiline();
  if (ending == Ending::kGood) Record(Span::kTop, started);
  co_return ending;
}

coro::Task<Ending> Client::SkipMultiline() {
  MessageOctets octets;
  for (;;) {
    channel_.ConsumeInput(octets.OnInput(channel_.input()));
    if (octets.done()) break;
    const Outcome outcome = co_await channel_.ReadMore();
    if (outcome != Outcome::kOk) co_return Judge(outcome);
  }
  if (!octets.well_stuffed()) {
    co_return Fail(Ending::kCorrupt, "a line begins with a single dot");
  }
  co_return Ending::kGood;
}

coro::Task<Ending> Client::Delete(uint64_t index) {
  const TimeNs started = MonotonicNow();
  step_ = "DELE";
  command_ = absl::StrCat("DELE ", index, "\r\n");
  const Ending ending = co_await Ask(Ending::kProtocol);
  if (ending != Ending::kGood) co_return ending;
  deleted_ = true;
  Record(Span::kDele, started);
  co_return Ending::kGood;
}

coro::Task<Ending> Client::Idle(const Step* step) {
  const TimeNs end = MonotonicNow() + step->pause;
  context_->owner->OnIdle();
  // The first one after a part of the interval, so that sessions do not march in step.
  const DurationNs every = step->noop_every;
  TimeNs next = kNever;
  if (every > 0) {
    next = MonotonicNow() + static_cast<DurationNs>(plan_.random % static_cast<uint64_t>(every));
  }
  for (;;) {
    const Ending waited = co_await WaitUntil(std::min(next, end));
    if (waited != Ending::kGood || next >= end) co_return waited;
    const Ending answered = co_await NoopAt(next);
    if (answered != Ending::kGood) co_return answered;
    next += every;
  }
}

coro::Task<Ending> Client::NoopAt(TimeNs intended) {
  // A NOOP that had to wait for the answer to the one before counts from its own time, as a user's
  // click would. Otherwise from now: timers are up to a tick late, which is not the server's fault.
  const TimeNs now = MonotonicNow();
  const TimeNs started = now - intended > 2 * io::TimerWheel::kTick ? intended : now;
  step_ = "NOOP";
  command_ = "NOOP\r\n";
  // An idle session must not wait for an answer until the end of its time.
  channel_.SetDeadline(std::min(deadline_, io_->Now() + context_->options->timeout));
  const Ending ending = co_await Ask(Ending::kProtocol);
  if (ending != Ending::kGood) co_return ending;
  channel_.SetDeadline(deadline_);
  Record(Span::kNoop, started);
  co_return Ending::kGood;
}

coro::Task<Ending> Client::WaitUntil(TimeNs until) {
  step_ = "pause";
  if (!channel_.input().empty()) co_return Fail(Ending::kProtocol, "words out of turn");
  if (until <= MonotonicNow()) co_return Ending::kGood;
  io_->timers().Arm(&pause_, until);
  const Outcome outcome = co_await channel_.ReadMore();
  io_->timers().Disarm(&pause_);
  // Nothing is said while we are silent; the end of the pause interrupts the read.
  if (outcome == Outcome::kStopped && !channel_.stopped()) co_return Ending::kGood;
  if (outcome == Outcome::kOk) co_return Fail(Ending::kProtocol, "words out of turn");
  co_return Judge(outcome);
}

void Client::OnPause(io::Timer&, void* owner) {
  static_cast<Client*>(owner)->channel_.InterruptRead();
}

coro::Task<Ending> Client::Quit() {
  const TimeNs started = MonotonicNow();
  step_ = "QUIT";
  command_ = "QUIT\r\n";
  const Ending said = co_await Ask(Ending::kProtocol);
  if (said != Ending::kGood) co_return said;
  if (!channel_.input().empty()) {
    co_return Fail(Ending::kProtocol, "words behind the answer to QUIT");
  }
  // The server ends first, so that the waiting time of the port is on its side.
  const Outcome outcome = co_await channel_.ReadMore();
  if (outcome == Outcome::kOk) co_return Fail(Ending::kProtocol, "words behind the answer to QUIT");
  if (outcome != Outcome::kEnd) co_return Judge(outcome);
  Record(Span::kQuit, started);
  co_return Ending::kGood;
}

coro::Task<Ending> Client::QuitRefused() {
  channel_.Queue("QUIT\r\n");
  const Outcome sent = co_await channel_.Flush();
  Outcome outcome = sent;
  while (outcome == Outcome::kOk) {
    channel_.ClearInput();
    outcome = co_await channel_.ReadMore();
  }
  step_ = "QUIT";
  if (outcome == Outcome::kTimeout || outcome == Outcome::kStopped) co_return Judge(outcome);
  co_return Ending::kGood;
}

}  // namespace postern::load
