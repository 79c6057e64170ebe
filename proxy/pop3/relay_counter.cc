#include "proxy/pop3/relay_counter.h"

#include <cstring>

#include "absl/strings/ascii.h"
#include "proxy/base/check.h"

namespace postern::pop3 {
namespace {

constexpr uint8_t kVerbTooLong = 5;

constexpr uint32_t Pack(const char* letters) {
  uint32_t packed = 0;
  for (; *letters != '\0'; ++letters) packed = (packed << 8) | static_cast<uint8_t>(*letters);
  return packed;
}

constexpr std::array<const char*, kRelayCommandCount> kNames = {
    "stat", "list", "retr", "dele", "noop", "rset", "top", "uidl", "capa", "quit", "other",
};

size_t FindLf(absl::string_view bytes) {
  const void* found = std::memchr(bytes.data(), '\n', bytes.size());
  if (found == nullptr) return absl::string_view::npos;
  return static_cast<size_t>(static_cast<const char*>(found) - bytes.data());
}

}  // namespace

absl::string_view RelayCommandName(RelayCommand command) {
  const auto index = static_cast<size_t>(command);
  CHECK(index < kNames.size());
  return kNames[index];
}

void RelayCounter::OnClientBytes(absl::string_view bytes) {
  size_t i = 0;
  while (i < bytes.size()) {
    if (client_at_ == ClientAt::kArgument) {
      const size_t end = FindLf(bytes.substr(i));
      if (end == absl::string_view::npos) return;
      i += end + 1;
      EndCommand();
      continue;
    }
    const char c = bytes[i++];
    if (c == '\n') {
      EndCommand();
    } else if (c == ' ' || c == '\r') {
      client_at_ = ClientAt::kGap;
    } else if (client_at_ == ClientAt::kGap || verb_letters_ == kVerbTooLong) {
      client_at_ = ClientAt::kArgument;
    } else {
      // A NUL must not vanish in front of a short verb.
      const int letter = c == '\0' ? 0xFF : absl::ascii_toupper(static_cast<unsigned char>(c));
      verb_ = (verb_ << 8) | static_cast<uint8_t>(letter);
      ++verb_letters_;
    }
  }
}

RelayCommand RelayCounter::CommandOf(uint32_t verb) {
  switch (verb) {
    case Pack("STAT"):
      return RelayCommand::kStat;
    case Pack("LIST"):
      return RelayCommand::kList;
    case Pack("RETR"):
      return RelayCommand::kRetr;
    case Pack("DELE"):
      return RelayCommand::kDele;
    case Pack("NOOP"):
      return RelayCommand::kNoop;
    case Pack("RSET"):
      return RelayCommand::kRset;
    case Pack("TOP"):
      return RelayCommand::kTop;
    case Pack("UIDL"):
      return RelayCommand::kUidl;
    case Pack("CAPA"):
      return RelayCommand::kCapa;
    case Pack("QUIT"):
      return RelayCommand::kQuit;
    default:
      return RelayCommand::kOther;
  }
}

RelayCounter::Response RelayCounter::ResponseTo(RelayCommand command) const {
  const bool bare = client_at_ != ClientAt::kArgument;
  switch (command) {
    case RelayCommand::kRetr:
      return Response::kMessage;
    case RelayCommand::kTop:
    case RelayCommand::kCapa:
      return Response::kMulti;
    case RelayCommand::kList:
    case RelayCommand::kUidl:
      return bare ? Response::kMulti : Response::kSingle;
    case RelayCommand::kOther: {
      const bool lists = verb_letters_ == 4 && (verb_ == Pack("AUTH") || verb_ == Pack("LANG"));
      return lists && bare ? Response::kMulti : Response::kSingle;
    }
    default:
      return Response::kSingle;
  }
}

void RelayCounter::EndCommand() {
  const RelayCommand command =
      verb_letters_ == kVerbTooLong ? RelayCommand::kOther : CommandOf(verb_);
  ++counts_.commands[static_cast<size_t>(command)];
  Push(ResponseTo(command));
  if (command == RelayCommand::kQuit && client_at_ != ClientAt::kArgument && !quit_sent_) {
    quit_sent_ = true;
    until_quit_answered_ = pending_count_;
  }
  verb_ = 0;
  verb_letters_ = 0;
  client_at_ = ClientAt::kVerb;
}

void RelayCounter::Push(Response response) {
  if (lost_) return;
  if (pending_count_ == kPendingMax) {
    lost_ = true;
    return;
  }
  const size_t slot = (size_t{pending_first_} + pending_count_) % kPendingMax;
  const unsigned shift = static_cast<unsigned>(slot % 4) * 2;
  const unsigned cleared = pending_[slot / 4] & ~(3U << shift);
  pending_[slot / 4] = static_cast<uint8_t>(cleared | (static_cast<unsigned>(response) << shift));
  ++pending_count_;
}

RelayCounter::Response RelayCounter::Pop() {
  DCHECK(pending_count_ > 0);
  const size_t slot = pending_first_;
  const unsigned shift = static_cast<unsigned>(slot % 4) * 2;
  pending_first_ = static_cast<uint8_t>((slot + 1) % kPendingMax);
  --pending_count_;
  if (until_quit_answered_ > 0) --until_quit_answered_;
  return static_cast<Response>((pending_[slot / 4] >> shift) & 3U);
}

void RelayCounter::OnServerBytes(absl::string_view bytes) {
  while (!bytes.empty() && !lost_) {
    const bool status = server_at_ == ServerAt::kStart || server_at_ == ServerAt::kStatus;
    bytes.remove_prefix(status ? TakeStatusBytes(bytes) : TakeBodyBytes(bytes));
  }
}

// Takes bytes up to the end of the status line, at most all.
size_t RelayCounter::TakeStatusBytes(absl::string_view bytes) {
  if (server_at_ == ServerAt::kStart) {
    // Unasked, a server may say good-bye ("-ERR Disconnected for inactivity") and nothing else.
    const bool possible = bytes[0] == '-' || (bytes[0] == '+' && pending_count_ > 0);
    if (!possible) {
      lost_ = true;
      return bytes.size();
    }
    status_ok_ = bytes[0] == '+';
    last_was_cr_ = false;
    server_at_ = ServerAt::kStatus;
  }
  const size_t end = FindLf(bytes);
  if (end == absl::string_view::npos) {
    last_was_cr_ = bytes.back() == '\r';
    return bytes.size();
  }
  EndStatus(end > 0 ? bytes[end - 1] == '\r' : last_was_cr_);
  return end + 1;
}

void RelayCounter::EndStatus(bool crlf) {
  server_speaks_crlf_ = crlf;
  response_ = pending_count_ > 0 ? Pop() : Response::kSingle;
  const bool has_body = status_ok_ && response_ != Response::kSingle;
  server_at_ = has_body ? ServerAt::kLineStart : ServerAt::kStart;
}

// Takes bytes up to the end of the response, at most all.
//
// The last line is "." with the line end that the status line had. A server that speaks CRLF may
// pass on a message with bare LFs in it, so "\n.\n" there is text; but "\n.\r\n" is the end, since
// every server that stuffs dots does it behind an LF.
size_t RelayCounter::TakeBodyBytes(absl::string_view bytes) {
  size_t i = 0;
  while (i < bytes.size()) {
    if (server_at_ == ServerAt::kLine) {
      do {  // one turn a line, and no state written in between
        const size_t end = FindLf(bytes.substr(i));
        if (end == absl::string_view::npos) return bytes.size();
        i += end + 1;
      } while (i < bytes.size() && bytes[i] != '.');
      server_at_ = ServerAt::kLineStart;
      continue;
    }
    const char c = bytes[i++];
    const bool dot = server_at_ == ServerAt::kDot;
    if (server_at_ == ServerAt::kLineStart && c == '.') {
      server_at_ = ServerAt::kDot;
    } else if (dot && c == '\r') {
      server_at_ = ServerAt::kDotCr;
    } else if (c != '\n') {
      server_at_ = ServerAt::kLine;
    } else if (server_at_ == ServerAt::kDotCr || (dot && !server_speaks_crlf_)) {
      EndBody();
      return i;
    } else {
      server_at_ = ServerAt::kLineStart;
    }
  }
  return i;
}

void RelayCounter::SkipBody() {
  CHECK(alone_in_body());
  // Where exactly does not matter: a "." that begins a line has the end of the line before it with
  // it, unless that went by unseen, and then more follows and it is not the last.
  server_at_ = ServerAt::kLine;
}

void RelayCounter::EndBody() {
  if (response_ == Response::kMessage) ++counts_.messages_retrieved;
  server_at_ = ServerAt::kStart;
}

RelayCounter::Boundary RelayCounter::boundary() const {
  if (lost_) return Boundary::kUnknown;
  return server_at_ == ServerAt::kStart ? Boundary::kBetween : Boundary::kInside;
}

bool RelayCounter::response_pending() const {
  return !lost_ && (pending_count_ > 0 || server_at_ != ServerAt::kStart);
}

}  // namespace postern::pop3
