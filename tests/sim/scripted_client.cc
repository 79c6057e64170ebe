#include "tests/sim/scripted_client.h"

#include <utility>

#include "absl/strings/match.h"

namespace postern::sim {

void ScriptedClient::Add(Step step) {
  const bool first = !started_ && steps_.empty();
  steps_.push_back(std::move(step));
  if (!first) return;
  // The script starts when the peer does.
  started_ = true;
  Do([this] { Go(); });
}

void ScriptedClient::Send(std::string text) {
  Add({Step::Kind::kSend, std::move(text), 0, 0, nullptr, nullptr});
}
void ScriptedClient::SendMade(std::function<std::string()> make) {
  Add({Step::Kind::kSendMade, "", 0, 0, nullptr, std::move(make)});
}
void ScriptedClient::Mark(bool* flag) {
  Add({Step::Kind::kMark, "", 0, 0, nullptr, nullptr, flag});
}
void ScriptedClient::Expect(size_t lines) {
  Add({Step::Kind::kExpect, "", lines, 0, nullptr, nullptr});
}
void ScriptedClient::ExpectLogin() { Add({Step::Kind::kExpectLogin, "", 0, 0, nullptr, nullptr}); }
void ScriptedClient::ExpectMultiline() {
  Add({Step::Kind::kExpectMultiline, "", 0, 0, nullptr, nullptr});
}
void ScriptedClient::ExpectBytes(size_t bytes) {
  Add({Step::Kind::kExpectBytes, "", bytes, 0, nullptr, nullptr});
}
void ScriptedClient::Otherwise() { Add({Step::Kind::kOtherwise, "", 0, 0, nullptr, nullptr}); }
void ScriptedClient::SecureAfterOk(EngineMaker maker) {
  Add({Step::Kind::kSecureAfterOk, "", 0, 0, std::move(maker), nullptr});
}
void ScriptedClient::Secure(EngineMaker maker) {
  Add({Step::Kind::kSecure, "", 0, 0, std::move(maker), nullptr});
}
void ScriptedClient::Wait(DurationNs duration) {
  Add({Step::Kind::kWait, "", 0, duration, nullptr, nullptr});
}
void ScriptedClient::StopReadingFor(DurationNs duration) {
  Add({Step::Kind::kStopReading, "", 0, duration, nullptr, nullptr});
}
void ScriptedClient::EndTls() { Add({Step::Kind::kEndTls, "", 0, 0, nullptr, nullptr}); }
void ScriptedClient::EndOutput() { Add({Step::Kind::kEndOutput, "", 0, 0, nullptr, nullptr}); }
void ScriptedClient::Leave() { Add({Step::Kind::kLeave, "", 0, 0, nullptr, nullptr}); }
void ScriptedClient::Abort() { Add({Step::Kind::kAbort, "", 0, 0, nullptr, nullptr}); }
void ScriptedClient::WaitForEnd() { Add({Step::Kind::kWaitForEnd, "", 0, 0, nullptr, nullptr}); }

void ScriptedClient::OnEnd() {
  Go();
  // Whatever the script still wanted to hear will not come.
  Close();
}

void ScriptedClient::Go() {
  if (going_) return;
  going_ = true;
  while (!steps_.empty() && Take(steps_.front())) steps_.pop_front();
  finished_ = steps_.empty();
  going_ = false;
}

bool ScriptedClient::Take(Step& step) {
  switch (step.kind) {
    case Step::Kind::kSend:
      Say(step.text);
      return true;
    case Step::Kind::kSendMade:
      Say(step.make());
      return true;
    case Step::Kind::kMark:
      Do([this, flag = step.flag] { *flag = !output_failed(); });
      return true;
    case Step::Kind::kExpect:
      while (step.count > 0) {
        if (!TakeStatusLine()) return false;
        --step.count;
      }
      return true;
    case Step::Kind::kExpectLogin:
      if (!TakeStatusLine()) return false;
      login_reply_ = replies_.back();
      if (absl::StartsWith(replies_.back(), "+OK")) {
        logged_in_ = true;
        login_end_ = parsed_;
      } else {
        SkipToOtherwise();
      }
      return true;
    case Step::Kind::kExpectMultiline:
      return TakeMultiline();
    case Step::Kind::kExpectBytes:
      return heard().size() >= step.count;
    case Step::Kind::kOtherwise:
      if (logged_in_) steps_.resize(1);
      return true;
    case Step::Kind::kSecureAfterOk:
      if (!replies_.empty() && absl::StartsWith(replies_.back(), "+OK")) {
        StartTls(std::move(step.maker));
      } else {
        steps_.resize(1);
        Close();
      }
      return true;
    case Step::Kind::kSecure:
      StartTls(std::move(step.maker));
      return true;
    case Step::Kind::kWait:
      Pause(step.duration);
      // What comes next waits for the pause, expectations included.
      step = Step{Step::Kind::kStart, "", 0, 0, nullptr, nullptr};
      Do([this] {
        if (!steps_.empty() && steps_.front().kind == Step::Kind::kStart) steps_.pop_front();
        Go();
      });
      return false;
    case Step::Kind::kStart:
      return false;
    case Step::Kind::kStopReading:
      SetReading(false);
      world()->scheduler().After(step.duration, [this] { SetReading(true); });
      return true;
    case Step::Kind::kEndTls:
      CloseNotify();
      return true;
    case Step::Kind::kEndOutput:
      HalfClose();
      return true;
    case Step::Kind::kLeave:
      Close();
      return true;
    case Step::Kind::kAbort:
      Reset();
      return true;
    case Step::Kind::kWaitForEnd:
      return end() != End::kNone;
  }
  return true;
}

void ScriptedClient::SkipToOtherwise() {
  // The front is the step that is just being taken.
  while (steps_.size() > 1 && steps_[1].kind != Step::Kind::kOtherwise) {
    steps_.erase(steps_.begin() + 1);
  }
  if (steps_.size() > 1) steps_.erase(steps_.begin() + 1);
}

bool ScriptedClient::TakeStatusLine() {
  const size_t end = heard().find('\n', parsed_);
  if (end == std::string::npos) return false;
  std::string line = heard().substr(parsed_, end - parsed_);
  if (absl::EndsWith(line, "\r")) line.pop_back();
  replies_.push_back(std::move(line));
  parsed_ = end + 1;
  return true;
}

bool ScriptedClient::TakeMultiline() {
  if (!body_pending_) {
    if (!TakeStatusLine()) return false;
    if (!absl::StartsWith(replies_.back(), "+OK")) return true;
    body_pending_ = true;
  }
  for (;;) {
    const size_t end = heard().find("\r\n", parsed_);
    if (end == std::string::npos) return false;
    const bool last = end - parsed_ == 1 && heard()[parsed_] == '.';
    parsed_ = end + 2;
    if (!last) continue;
    body_pending_ = false;
    return true;
  }
}

}  // namespace postern::sim
