#include "tests/sim/maildrop_model.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "tls/digest.h"

namespace postern::sim {

std::string OnTheWire(const std::string& message) {
  std::string wire;
  for (absl::string_view line : absl::StrSplit(message, "\r\n")) {
    if (absl::StartsWith(line, ".")) wire += '.';
    absl::StrAppend(&wire, line, "\r\n");
  }
  return wire + ".\r\n";
}

void MaildropStore::Add(const std::string& user, const std::string& password, size_t messages,
                        size_t message_bytes) {
  Maildrop& drop = drops_[user];
  drop.password = password;
  for (size_t i = 0; i < messages; ++i) {
    std::string text = absl::StrCat("Subject: ", user, " ", i, "\r\n\r\n.\r\n..\r\n+OK ", user,
                                    "\r\n-ERR ", user, "\r\nQUIT\r\n");
    for (size_t line = 0; text.size() < message_bytes; ++line) {
      absl::StrAppend(&text, user, " ", i, " ", line, "\r\n");
    }
    drop.messages.push_back(absl::StrCat(text, "end of ", user, " ", i));
  }
}

Maildrop* MaildropStore::Find(const std::string& user) {
  const auto found = drops_.find(user);
  return found == drops_.end() ? nullptr : &found->second;
}

std::string MaildropModel::greeting() const {
  if (!options_.apop_challenge.empty()) {
    return absl::StrCat("+OK ", options_.xclient ? "[XCLIENT] " : "", "model ready ",
                        options_.apop_challenge, "\r\n");
  }
  return options_.xclient ? "+OK [XCLIENT] model ready\r\n" : options_.greeting;
}

std::vector<MaildropModel::Answer> MaildropModel::OnInput(absl::string_view bytes) {
  absl::StrAppend(&record_.received, bytes);
  absl::StrAppend(&partial_, bytes);
  std::vector<Answer> answers;
  for (size_t end = partial_.find('\n'); end != std::string::npos; end = partial_.find('\n')) {
    std::string line = partial_.substr(0, end);
    if (absl::EndsWith(line, "\r")) line.pop_back();
    partial_.erase(0, end + 1);
    record_.commands.push_back(line);
    const bool before = record_.logged_in;
    answers.push_back(OnLine(line));
    if (!before && record_.logged_in) {
      record_.session_begin = record_.received.size() - partial_.size();
    }
    if (answers.back().after_login) {
      record_.answers += answers.back().text;
      record_.answer_ends.push_back(record_.answers.size());
    }
    if (answers.back().event != Event::kAnswer) break;
  }
  return answers;
}

MaildropModel::Answer MaildropModel::OnLine(const std::string& line) {
  if (plain_pending_) {
    plain_pending_ = false;
    return Plain(line);
  }
  if (std::exchange(xoauth2_pending_, false)) return Xoauth2(line);
  if (std::exchange(xoauth2_refused_, false)) return Refusal();
  const std::pair<std::string, std::string> parts = absl::StrSplit(line, absl::MaxSplits(' ', 1));
  const std::string verb = absl::AsciiStrToUpper(parts.first);
  const bool after_login = record_.logged_in;
  if (after_login) record_.session_commands.push_back(line);
  Answer answer = after_login ? AfterLogin(verb, parts.second) : BeforeLogin(verb, parts.second);
  answer.verb = verb;
  answer.after_login = after_login;
  return answer;
}

std::string MaildropModel::Capabilities() const {
  return absl::StrCat("+OK\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nUSER\r\n",
                      options_.pipelining ? "PIPELINING\r\n" : "", options_.stls ? "STLS\r\n" : "",
                      options_.xoauth2      ? "SASL PLAIN XOAUTH2\r\n"
                      : options_.auth_plain ? "SASL PLAIN\r\n"
                                            : "",
                      ".\r\n");
}

MaildropModel::Answer MaildropModel::BeforeLogin(const std::string& verb,
                                                 const std::string& argument) {
  Answer answer;
  answer.text = "-ERR unknown command\r\n";
  if (verb == "CAPA" && options_.capa) {
    answer.text = Capabilities();
  } else if (verb == "NOOP") {
    answer.text = "+OK\r\n";
  } else if (verb == "STLS" && options_.stls) {
    answer.event = Event::kStartTls;
    answer.text = "+OK go\r\n";
  } else if (verb == "XCLIENT" && options_.xclient) {
    return Xclient(argument);
  } else if (verb == "USER") {
    user_ = argument;
    record_.users_offered.push_back(argument);
    answer.text = "+OK\r\n";
  } else if (verb == "PASS") {
    if (user_.empty()) return answer;
    return Login(std::exchange(user_, ""), argument);
  } else if (verb == "APOP" && !options_.apop_challenge.empty()) {
    return Apop(argument);
  } else if (verb == "AUTH" && options_.auth_plain && absl::StartsWith(argument, "PLAIN")) {
    if (argument.size() > 6) return Plain(argument.substr(6));
    plain_pending_ = true;
    answer.text = "+ \r\n";
  } else if (verb == "AUTH" && options_.xoauth2 && absl::StartsWith(argument, "XOAUTH2")) {
    if (argument.size() > 8) return Xoauth2(argument.substr(8));
    xoauth2_pending_ = true;
    answer.text = "+ \r\n";
  } else if (verb == "QUIT") {
    answer.event = Event::kQuit;
    answer.text = "+OK bye\r\n";
  }
  return answer;
}

MaildropModel::Answer MaildropModel::Xoauth2(const std::string& base64) {
  std::string message;
  Answer answer;
  answer.text = "-ERR bad response\r\n";
  if (!absl::Base64Unescape(base64, &message)) return answer;
  const std::vector<std::string> fields = absl::StrSplit(message, '\x01');
  if (fields.size() != 4) return answer;
  const std::string user(absl::StripPrefix(fields[0], "user="));
  record_.users_offered.push_back(user);
  answer = Login(user, std::string(absl::StripPrefix(fields[1], "auth=Bearer ")));
  if (record_.logged_in || absl::StrContains(answer.text, "[IN-USE]")) return answer;
  xoauth2_refused_ = true;
  answer.login = false;
  answer.text = "+ eyJzdGF0dXMiOiI0MDEifQ==\r\n";
  return answer;
}

MaildropModel::Answer MaildropModel::Xclient(const std::string& argument) {
  std::string ip, port;
  for (const absl::string_view word : absl::StrSplit(argument, ' ')) {
    const std::pair<absl::string_view, absl::string_view> pair =
        absl::StrSplit(word, absl::MaxSplits('=', 1));
    if (pair.first == "ADDR") ip = std::string(pair.second);
    if (pair.first == "PORT") port = std::string(pair.second);
  }
  record_.told_client = absl::StrCat(ip, ":", port);
  Answer answer;
  answer.text = "+OK Updated\r\n";
  return answer;
}

MaildropModel::Answer MaildropModel::Apop(const std::string& argument) {
  const std::pair<std::string, std::string> parts = absl::StrSplit(argument, ' ');
  record_.users_offered.push_back(parts.first);
  const Maildrop* drop = store_->Find(parts.first);
  if (drop == nullptr) return Refusal();
  const std::string digest = tls::Md5Hex(options_.apop_challenge, drop->password).value();
  return digest == parts.second ? Accept(parts.first) : Refusal();
}

MaildropModel::Answer MaildropModel::Plain(const std::string& base64) {
  std::string message;
  Answer answer;
  answer.text = "-ERR bad response\r\n";
  if (!absl::Base64Unescape(base64, &message)) return answer;
  const std::vector<std::string> fields = absl::StrSplit(message, '\0');
  if (fields.size() != 3) return answer;
  record_.users_offered.push_back(fields[1]);
  if (fields[1] != options_.master_user || options_.master_user.empty()) {
    return Login(fields[1], fields[2]);
  }
  if (fields[2] != options_.master_password) return Refusal();
  return Accept(fields[0]);
}

MaildropModel::Answer MaildropModel::Login(const std::string& user, const std::string& password) {
  record_.passwords_offered.push_back(password);
  const Maildrop* drop = store_->Find(user);
  if (drop == nullptr || drop->password != password) return Refusal();
  return Accept(user);
}

MaildropModel::Answer MaildropModel::Refusal() const {
  Answer answer;
  answer.login = true;
  answer.text = "-ERR [AUTH] wrong name or password\r\n";
  return answer;
}

MaildropModel::Answer MaildropModel::Accept(const std::string& user) {
  drop_ = store_->Find(user);
  if (drop_ == nullptr) return Refusal();
  Answer answer;
  answer.login = true;
  if (options_.locks && drop_->locked) {
    answer.text = "-ERR [IN-USE] another session is there\r\n";
    return answer;
  }
  has_lock_ = options_.locks;
  drop_->locked = drop_->locked || has_lock_;
  record_.logged_in = true;
  record_.user = user;
  answer.text = absl::StrCat("+OK logged in ", user, "\r\n");
  return answer;
}

void MaildropModel::Unlock() {
  if (std::exchange(has_lock_, false)) drop_->locked = false;
}

size_t MaildropModel::Number(absl::string_view argument) const {
  size_t number = 0;
  argument = argument.substr(0, argument.find(' '));
  if (!absl::SimpleAtoi(argument, &number) || number == 0 || number > drop_->messages.size()) {
    return std::string::npos;
  }
  const size_t index = number - 1;
  const bool gone = record_.marked.count(index) != 0 || drop_->deleted.count(index) != 0;
  return gone ? std::string::npos : index;
}

MaildropModel::Answer MaildropModel::Retrieve(const std::string& argument, bool top) {
  Answer answer;
  const size_t index = Number(argument);
  if (index == std::string::npos) {
    answer.text = "-ERR no such message\r\n";
    return answer;
  }
  const std::string& message = drop_->messages[index];
  answer.text = absl::StrCat(
      "+OK\r\n", OnTheWire(top ? message.substr(0, message.find("\r\n\r\n")) : message));
  return answer;
}

MaildropModel::Answer MaildropModel::AfterLogin(const std::string& verb,
                                                const std::string& argument) {
  Answer answer;
  answer.text = "-ERR unknown command\r\n";
  if (verb == "STAT") {
    answer.text = absl::StrCat("+OK ", drop_->messages.size(), " 1234\r\n");
  } else if (verb == "LIST" || verb == "UIDL") {
    if (!argument.empty()) {
      const size_t index = Number(argument);
      answer.text = index == std::string::npos ? "-ERR no such message\r\n"
                                               : absl::StrCat("+OK ", index + 1, " 77\r\n");
      return answer;
    }
    answer.text = "+OK\r\n";
    for (size_t i = 0; i < drop_->messages.size(); ++i) {
      absl::StrAppend(&answer.text, i + 1, " ", drop_->messages[i].size(), "\r\n");
    }
    answer.text += ".\r\n";
  } else if (verb == "RETR" || verb == "TOP") {
    return Retrieve(argument, verb == "TOP");
  } else if (verb == "DELE") {
    const size_t index = Number(argument);
    answer.text = "-ERR no such message\r\n";
    if (index == std::string::npos) return answer;
    record_.marked.insert(index);
    answer.text = "+OK\r\n";
  } else if (verb == "NOOP") {
    answer.text = "+OK\r\n";
  } else if (verb == "RSET") {
    record_.marked.clear();
    answer.text = "+OK\r\n";
  } else if (verb == "CAPA" && options_.capa) {
    answer.text = Capabilities();
  } else if (verb == "QUIT") {
    record_.quit = true;
    record_.committed = record_.marked;
    drop_->deleted.insert(record_.marked.begin(), record_.marked.end());
    answer.event = Event::kQuit;
    answer.text = "+OK bye\r\n";
    Unlock();
  }
  return answer;
}

}  // namespace postern::sim
