#include "bench/maildrop/dialogue.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "proxy/pop3/sasl.h"
#include "tls/digest.h"

namespace postern::maildrop {
namespace {

Answer Reply(std::string text) {
  Answer answer;
  answer.text = std::move(text);
  return answer;
}

Answer Act(Action action, std::string text = {}) {
  Answer answer;
  answer.action = action;
  answer.text = std::move(text);
  return answer;
}

constexpr absl::string_view kNoSuchMessage = "-ERR no such message\r\n";
// A status line has 512 octets (RFC 2449 section 4).
constexpr size_t kFactsBytesMax = 400;

}  // namespace

Dialogue::Dialogue(const Options* options, Deletions* deletions, ListenTls tls, Fault fault,
                   std::string challenge)
    : options_(options),
      deletions_(deletions),
      stls_(tls == ListenTls::kStls),
      fault_(fault),
      challenge_(std::move(challenge)) {}

Answer Dialogue::Greet() const {
  switch (fault_) {
    case Fault::kNoGreeting:
      return Act(Action::kStall);
    case Fault::kBadGreeting:
      return Act(Action::kReply, "220 mail.example ESMTP\r\n");
    case Fault::kErrGreeting:
      return Act(Action::kClose, "-ERR [SYS/TEMP] not now\r\n");
    case Fault::kCloseOnConnect:
      return Act(Action::kClose);
    case Fault::kRstOnConnect:
      return Act(Action::kReset);
    default:
      break;
  }
  Answer answer = Reply(absl::StrCat("+OK ", options_->xclient ? "[XCLIENT] " : "",
                                     options_->mailbox.store, " ready"));
  if (!challenge_.empty()) absl::StrAppend(&answer.text, " ", challenge_);
  answer.text += "\r\n";
  answer.pause = options_->greeting_latency;
  return answer;
}

Answer Dialogue::OnLine(absl::string_view line) {
  if (plain_expected_) {
    plain_expected_ = false;
    if (line == "*") return Reply("-ERR cancelled\r\n");
    return Plain(line);
  }
  const size_t space = line.find(' ');
  const std::string verb = absl::AsciiStrToUpper(line.substr(0, space));
  const absl::string_view argument =
      space == line.npos ? absl::string_view() : line.substr(space + 1);
  if (verb == "QUIT") return Quit();
  if (verb == "CAPA") return Capa();
  return mailbox_ ? AfterLogin(verb, argument) : BeforeLogin(verb, argument);
}

void Dialogue::OnTlsStarted() {
  // Nothing said in the clear counts (RFC 2595 section 4).
  stls_ = false;
  user_.clear();
}

void Dialogue::SetClientFacts(const ClientFacts& facts) {
  if (!facts.empty()) client_facts_ = std::make_unique<ClientFacts>(facts);
}

Answer Dialogue::BeforeLogin(absl::string_view verb, absl::string_view argument) {
  if (verb == "USER") return User(argument);
  if (verb == "PASS") {
    if (user_.empty()) return Reply("-ERR USER first\r\n");
    const std::string user = std::exchange(user_, {});
    return Login(user, IsRight(argument));
  }
  if (verb == "AUTH") return Auth(argument);
  if (verb == "APOP" && !challenge_.empty()) return Apop(argument);
  if (verb == "STLS" && stls_) return Act(Action::kStartTls, "+OK begin TLS\r\n");
  if (verb == "XCLIENT" && options_->xclient) return Xclient(argument);
  if (verb == "NOOP") return Reply("+OK\r\n");
  return Reply("-ERR not before login\r\n");
}

Answer Dialogue::AfterLogin(absl::string_view verb, absl::string_view argument) {
  if (verb == "STAT") return Stat();
  if (verb == "LIST") return List(argument, /*unique_ids=*/false);
  if (verb == "UIDL") return List(argument, /*unique_ids=*/true);
  if (verb == "RETR") return Retrieve(argument, /*top=*/false);
  if (verb == "TOP") return Retrieve(argument, /*top=*/true);
  if (verb == "DELE") return Delete(argument);
  if (verb == "NOOP") return Reply("+OK\r\n");
  if (verb == "RSET") {
    mailbox_->UnmarkAll();
    return Reply("+OK nothing is deleted\r\n");
  }
  return Reply("-ERR unknown command\r\n");
}

Answer Dialogue::Capa() const {
  std::string lines;
  if (options_->capabilities.empty()) {
    absl::StrAppend(&lines, "TOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\n",
                    "IMPLEMENTATION postern-maildrop\r\n");
    if (options_->pipelining) lines += "PIPELINING\r\n";
  }
  for (const std::string& line : options_->capabilities) absl::StrAppend(&lines, line, "\r\n");
  if (!mailbox_) lines += "USER\r\nSASL PLAIN\r\n";
  if (stls_) lines += "STLS\r\n";
  return Reply(absl::StrCat("+OK\r\n", lines, ".\r\n"));
}

Answer Dialogue::Xclient(absl::string_view words) {
  auto facts = client_facts_ ? std::make_unique<ClientFacts>(*client_facts_)
                             : std::make_unique<ClientFacts>();
  if (!facts->ApplyXclient(words)) return Reply("-ERR Invalid parameters\r\n");
  if (!facts->empty()) client_facts_ = std::move(facts);
  return Reply("+OK Updated\r\n");
}

Answer Dialogue::User(absl::string_view name) {
  if (fault_ == Fault::kCloseAfterUser) return Act(Action::kClose);
  if (name.empty()) return Reply("-ERR USER takes a name\r\n");
  user_ = std::string(name);
  Answer answer = Reply("+OK\r\n");
  answer.pause = options_->user_latency;
  return answer;
}

Answer Dialogue::Auth(absl::string_view argument) {
  if (argument.empty()) return Reply("+OK\r\nPLAIN\r\n.\r\n");
  const std::vector<absl::string_view> words = absl::StrSplit(argument, absl::MaxSplits(' ', 1));
  if (!absl::EqualsIgnoreCase(words[0], "PLAIN")) return Reply("-ERR no such mechanism\r\n");
  if (words.size() == 2) return Plain(words[1]);
  plain_expected_ = true;
  return Reply("+ \r\n");
}

Answer Dialogue::Plain(absl::string_view base64) {
  const absl::StatusOr<Secret> message = pop3::DecodeBase64(base64);
  if (!message.ok()) return Reply("-ERR no base64\r\n");
  const absl::StatusOr<pop3::PlainMessage> plain = pop3::ParsePlain(message->view());
  if (!plain.ok()) return Reply("-ERR no PLAIN message\r\n");
  // With an authorization id a master user acts for somebody else.
  const std::string& user = plain->authorization_id.empty() ? plain->user : plain->authorization_id;
  return Login(user, IsRight(plain->password.view()));
}

Answer Dialogue::Apop(absl::string_view argument) {
  const std::vector<absl::string_view> words = absl::StrSplit(argument, ' ');
  if (words.size() != 2 || words[0].empty())
    return Reply("-ERR APOP takes a name and a digest\r\n");
  const absl::StatusOr<std::string> digest = tls::Md5Hex(challenge_, options_->password);
  return Login(words[0], digest.ok() && absl::EqualsIgnoreCase(*digest, words[1]));
}

bool Dialogue::IsRight(absl::string_view password) const {
  return options_->password.empty() ? password != options_->wrong_password
                                    : password == options_->password;
}

Answer Dialogue::Login(absl::string_view user, bool right) {
  Answer answer;
  answer.pause = options_->pass_latency;
  switch (fault_) {
    case Fault::kStallAfterPass:
      return Act(Action::kStall);
    case Fault::kRefuseTemporarily:
      answer.text = "-ERR [SYS/TEMP] the store is not well\r\n";
      return answer;
    case Fault::kInUse:
      answer.text = "-ERR [IN-USE] the mailbox is open elsewhere\r\n";
      return answer;
    case Fault::kRefuseLogin:
      right = false;
      break;
    default:
      break;
  }
  if (!right) {
    answer.text = "-ERR [AUTH] Authentication failed.\r\n";
    return answer;
  }
  mailbox_.emplace(&options_->mailbox, deletions_, std::string(user));
  if (fault_ == Fault::kLongReply) {
    answer.text = absl::StrCat("+OK ", std::string(3994, 'x'), "\r\n");
    return answer;
  }
  answer.text = absl::StrCat("+OK ", mailbox_->size(), " messages on ", options_->mailbox.store);
  if (client_facts_) {
    absl::StrAppend(&answer.text, " for ", client_facts_->ToString(kFactsBytesMax));
  }
  answer.text += "\r\n";
  return answer;
}

std::optional<size_t> Dialogue::Index(absl::string_view argument) const {
  size_t index = 0;
  if (!absl::SimpleAtoi(argument, &index) || index < 1 || index > mailbox_->size() ||
      mailbox_->marked(index)) {
    return std::nullopt;
  }
  return index;
}

Answer Dialogue::Stat() const {
  uint64_t messages = 0;
  uint64_t octets = 0;
  mailbox_->Stat(&messages, &octets);
  Answer answer = Reply(absl::StrCat("+OK ", messages, " ", octets, "\r\n"));
  answer.pause = options_->list_latency;
  return answer;
}

Answer Dialogue::List(absl::string_view argument, bool unique_ids) {
  Answer answer;
  answer.pause = options_->list_latency;
  if (argument.empty()) {
    answer.action = Action::kListing;
    answer.text = "+OK\r\n";
    answer.unique_ids = unique_ids;
    return answer;
  }
  const std::optional<size_t> index = Index(argument);
  if (!index) {
    answer.text = std::string(kNoSuchMessage);
  } else if (unique_ids) {
    answer.text = absl::StrCat("+OK ", *index, " ", mailbox_->UniqueIdOf(*index), "\r\n");
  } else {
    answer.text = absl::StrCat("+OK ", *index, " ", mailbox_->Octets(*index), "\r\n");
  }
  return answer;
}

Answer Dialogue::Retrieve(absl::string_view argument, bool top) {
  Answer answer = Act(Action::kMessage);
  answer.body_lines = MessageStream::kAllLines;
  if (top) {
    const std::vector<absl::string_view> words = absl::StrSplit(argument, ' ');
    if (words.size() != 2 || !absl::SimpleAtoi(words[1], &answer.body_lines)) {
      return Reply("-ERR TOP takes a message and a number of lines\r\n");
    }
    argument = words[0];
  }
  const std::optional<size_t> index = Index(argument);
  if (!index) return Reply(std::string(kNoSuchMessage));
  answer.index = *index;
  answer.text = top ? "+OK\r\n" : absl::StrCat("+OK ", mailbox_->Octets(*index), " octets\r\n");
  answer.pause = options_->retr_latency;
  return answer;
}

Answer Dialogue::Delete(absl::string_view argument) {
  const std::optional<size_t> index = Index(argument);
  if (!index) return Reply(std::string(kNoSuchMessage));
  mailbox_->Mark(*index);
  return Reply(absl::StrCat("+OK message ", *index, " deleted\r\n"));
}

Answer Dialogue::Quit() {
  const bool good = !mailbox_ || mailbox_->Commit();
  Answer answer =
      Act(Action::kClose,
          good ? "+OK bye\r\n"
               : "-ERR [SYS/PERM] this store remembers no more deletions; nothing is deleted\r\n");
  answer.pause = options_->quit_latency;
  return answer;
}

std::string ListingPart(const Mailbox& mailbox, bool unique_ids, size_t bytes_max, size_t* index) {
  std::string part;
  while (*index <= mailbox.size() && part.size() + 48 <= bytes_max) {
    const size_t i = (*index)++;
    if (mailbox.marked(i)) continue;
    if (unique_ids) {
      absl::StrAppend(&part, i, " ", mailbox.UniqueIdOf(i), "\r\n");
    } else {
      absl::StrAppend(&part, i, " ", mailbox.Octets(i), "\r\n");
    }
  }
  if (*index > mailbox.size()) part += ".\r\n";
  return part;
}

}  // namespace postern::maildrop
