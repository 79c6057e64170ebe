#include "tests/sim/scripted_server.h"

#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proxy/pop3/proxy_protocol.h"

namespace postern::sim {
namespace {

constexpr std::array<const char*, kServerFaultCount> kNames = {
    "none",          "close_at_accept",  "reset_at_accept",  "no_greeting",
    "slow_greeting", "err_greeting",     "garbage_greeting", "http_greeting",
    "nul_greeting",  "endless_greeting", "extra_greeting",   "close_after_greeting",
    "stls_refused",  "stls_extra_line",  "capa_endless",     "no_user_reply",
    "err_user",      "no_pass_reply",    "close_at_pass",    "reset_at_pass",
    "pass_in_use",   "pass_sys_temp",    "pass_long",        "pass_controls",
    "pass_garbage",  "pass_slow",        "pass_extra_lines", "close_at",
    "reset_at",      "stall_at",         "close_at_quit",    "no_close_after_quit"};
static_assert(kNames.back() != nullptr);

}  // namespace

const char* ServerFaultName(ServerFault fault) { return kNames[static_cast<size_t>(fault)]; }

ScriptedServer::ScriptedServer(SimIo* world, Endpoint* endpoint, MaildropStore* store,
                               ServerScript script)
    : Peer(world, endpoint), script_(std::move(script)), model_(store, script_.model) {
  set_pace(script_.pace);
}

void ScriptedServer::Start() {
  if (script_.fault == ServerFault::kCloseAtAccept) {
    struck_ = true;
    return CloseNow();
  }
  if (script_.fault == ServerFault::kResetAtAccept) {
    struck_ = true;
    return ResetNow();
  }
  if (script_.implicit_tls) StartTls(script_.tls);
  if (!script_.proxy_header) Greet();
  Begin();
}

bool ScriptedServer::ReadProxyHeader() {
  pop3::ProxyHeader header;
  std::string why;
  const pop3::ProxyRead read = pop3::ReadProxyHeader(heard(), &header, &used_, &why);
  if (read == pop3::ProxyRead::kDone) {
    told_client_ = header.source.ToString();
    script_.proxy_header = false;
    Greet();
  } else if (read == pop3::ProxyRead::kBad) {
    Close();
  }
  return read == pop3::ProxyRead::kDone;
}

bool ScriptedServer::Strike(ServerFault fault) {
  if (script_.fault != fault) return false;
  struck_ = true;
  return true;
}

void ScriptedServer::Greet() {
  switch (script_.fault) {
    case ServerFault::kNoGreeting:
      struck_ = silent_ = true;
      return;
    case ServerFault::kSlowGreeting:
      struck_ = true;
      Pause(script_.delay);
      break;
    case ServerFault::kErrGreeting:
      struck_ = true;
      return Say("-ERR [SYS/TEMP] busy at mail1\r\n");
    case ServerFault::kGarbageGreeting:
      struck_ = true;
      return Say("220 smtp.internal ESMTP\r\n");
    case ServerFault::kHttpGreeting:
      struck_ = true;
      Say("HTTP/1.0 400 Bad Request\r\n\r\n");
      return Close();
    case ServerFault::kNulGreeting:
      struck_ = true;
      return Say(absl::string_view("+OK a\0b\r\n", 9));
    case ServerFault::kEndlessGreeting:
      struck_ = true;
      return Say(std::string(70000, '+'));
    case ServerFault::kExtraGreeting:
      struck_ = true;
      return Say(absl::StrCat(model_.greeting(), "+OK logged in\r\n+OK logged in\r\n"));
    case ServerFault::kCloseAfterGreeting:
      struck_ = true;
      Say(model_.greeting());
      return Close();
    default:
      break;
  }
  Say(model_.greeting());
}

void ScriptedServer::OnHeard() {
  if (script_.proxy_header && !ReadProxyHeader()) return;
  while (used_ < heard().size()) {
    const absl::string_view fresh = absl::string_view(heard()).substr(used_);
    used_ = heard().size();
    for (const MaildropModel::Answer& answer : model_.OnInput(fresh)) Perform(answer);
  }
}

void ScriptedServer::OnEnd() {
  // A server whose client is gone has nothing left to wait for.
  model_.Unlock();
  Close();
}

void ScriptedServer::Perform(const MaildropModel::Answer& answer) {
  if (silent_) return;
  if (answer.login) return PerformLogin(answer);
  if (answer.event == MaildropModel::Event::kStartTls) {
    if (Strike(ServerFault::kStlsRefused)) return Say("-ERR no TLS today\r\n");
    Say(answer.text);
    if (Strike(ServerFault::kStlsExtraLine)) Say("+OK injected\r\n");
    StartTls(script_.tls);
    return Do([this] { model_.OnTlsStarted(); });
  }
  if (answer.after_login) {
    if (answer.event == MaildropModel::Event::kQuit && Strike(ServerFault::kCloseAtQuit)) {
      silent_ = true;
      return Close();
    }
    SayAnswer(answer.text);
    if (answer.event == MaildropModel::Event::kQuit && !silent_ &&
        !Strike(ServerFault::kNoCloseAfterQuit)) {
      CloseNotify();
      Close();
    }
    return;
  }
  if (answer.verb == "CAPA" && Strike(ServerFault::kCapaEndless)) {
    silent_ = true;
    std::string endless = "+OK\r\n";
    for (int i = 0; i < 5000; ++i) endless += "X-NEVER-ENDING\r\n";
    return Say(endless);
  }
  if (answer.verb == "USER" && Strike(ServerFault::kNoUserReply)) {
    silent_ = true;
    return;
  }
  if (answer.verb == "USER" && Strike(ServerFault::kErrUser)) {
    return Say("-ERR [AUTH] no such user\r\n");
  }
  Say(answer.text);
  if (answer.event == MaildropModel::Event::kQuit) Close();
}

void ScriptedServer::PerformLogin(const MaildropModel::Answer& answer) {
  switch (script_.fault) {
    case ServerFault::kNoPassReply:
      struck_ = silent_ = true;
      return;
    case ServerFault::kCloseAtPass:
      struck_ = silent_ = true;
      return Close();
    case ServerFault::kResetAtPass:
      struck_ = silent_ = true;
      return Reset();
    case ServerFault::kPassInUse:
      struck_ = silent_ = true;
      return Say("-ERR [IN-USE] maildrop locked\r\n");
    case ServerFault::kPassSysTemp:
      struck_ = silent_ = true;
      return Say("-ERR [SYS/TEMP] disk is away\r\n");
    case ServerFault::kPassLong:
      struck_ = silent_ = true;
      return Say(absl::StrCat("-ERR ", std::string(5000, 'x'), "\r\n"));
    case ServerFault::kPassControls:
      struck_ = silent_ = true;
      return Say("-ERR [AUTH] \x01\x1b[2J\x7f\xff no\r\n");
    case ServerFault::kPassGarbage:
      struck_ = silent_ = true;
      return Say("hello\r\n");
    case ServerFault::kPassSlow:
      struck_ = true;
      Pause(script_.delay);
      break;
    case ServerFault::kPassExtraLines:
      struck_ = true;
      return Say(absl::StrCat(answer.text, "+OK extra\r\n"));
    default:
      break;
  }
  if (!model_.record().logged_in && script_.refusal_delay > 0) Pause(script_.refusal_delay);
  Say(answer.text);
  if (model_.record().logged_in && script_.at == 0) SayAnswer("");
}

void ScriptedServer::SayAnswer(const std::string& text) {
  if (silent_) return;
  const ServerFault fault = script_.fault;
  const bool cuts = fault == ServerFault::kCloseAt || fault == ServerFault::kResetAt ||
                    fault == ServerFault::kStallAt;
  if (!cuts || answered_ + text.size() < script_.at) {
    answered_ += text.size();
    return Say(text);
  }
  Say(text.substr(0, script_.at - answered_));
  answered_ = script_.at;
  struck_ = silent_ = true;
  if (fault == ServerFault::kResetAt) return Reset();
  if (fault == ServerFault::kStallAt) return;
  if (script_.clean_tls_end) CloseNotify();
  Close();
}

}  // namespace postern::sim
