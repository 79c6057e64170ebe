#include "routing/lookup/redis_source.h"

#include <hiredis/hiredis.h>

#include <array>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "proxy/base/status_macros.h"
#include "routing/lookup/answer_row.h"

namespace postern::routing {
namespace {

// Of one answer; a value that is longer cannot be used anyway.
constexpr size_t kAnswerBytesMax = 64 * 1024;
// Target, user and secret.
constexpr size_t kFieldsMax = 3;

struct FreeReply {
  void operator()(redisReply* reply) const { freeReplyObject(reply); }
};
using Reply = std::unique_ptr<redisReply, FreeReply>;

struct FreeReader {
  void operator()(redisReader* reader) const { redisReaderFree(reader); }
};
using Reader = std::unique_ptr<redisReader, FreeReader>;

std::string Same(absl::string_view text) { return std::string(text); }

absl::string_view TextOf(const redisReply& reply) { return {reply.str, reply.len}; }

// hiredis takes memory for as many elements as an answer announces. False when a piece of an answer
// (`before`: the byte in front of it, 0 at the beginning) announces more than we ever ask for, or
// elements inside elements.
bool IsModest(absl::string_view piece, char before) {
  if (absl::StrContains(piece, "\n*")) return false;
  if (piece[0] != '*') return true;
  if (before != 0) return before != '\n';
  int count = 0;
  const size_t end = piece.find('\r');
  return end != absl::string_view::npos && absl::SimpleAtoi(piece.substr(1, end - 1), &count) &&
         count <= static_cast<int>(kFieldsMax);
}

class RedisSource final : public ServerSource {
 public:
  explicit RedisSource(const RedisOptions& options)
      : ServerSource(options.servers.size()),
        servers_(options.servers),
        user_(options.user),
        password_(options.password.Clone()),
        database_(options.database),
        key_(options.key),
        wrap_(options.wrap) {
    if (options.target_field.empty()) return;
    const std::string* const names[] = {&options.target_field, &options.login_user_field,
                                        &options.login_secret_field};
    for (size_t i = 0; i < std::size(names); ++i) {
      if (names[i]->empty()) continue;
      place_[i] = static_cast<int>(fields_.size());
      fields_.push_back(*names[i]);
    }
  }

 protected:
  absl::Status Connect(size_t index, Deadline deadline) override {
    absl::Status status = Open(servers_[index], deadline);
    if (!status.ok()) Disconnect();
    return status;
  }

  void Disconnect() override {
    stream_.reset();
    reader_.reset();
  }

  bool connected() const override { return stream_ != nullptr; }

  std::optional<LookupAnswer> AskServer(const LookupQuestion& question, Deadline deadline,
                                        std::string* why) override {
    const std::string key = FillPattern(key_, UserParts(question.user), &Same);
    std::vector<absl::string_view> command = {fields_.empty() ? "GET" : "HMGET", key};
    command.insert(command.end(), fields_.begin(), fields_.end());
    absl::StatusOr<Reply> reply = Exchange(command, deadline);
    if (!reply.ok()) {
      *why = std::string(reply.status().message());
      return std::nullopt;
    }
    const redisReply& got = **reply;
    if (got.type == REDIS_REPLY_ERROR) return OnError(TextOf(got), why);
    if (fields_.empty()) return Target(got, why);
    if (got.type != REDIS_REPLY_ARRAY || got.elements != fields_.size()) return Garbage(why);
    return Fields(got, why);
  }

 private:
  static std::optional<LookupAnswer> Garbage(std::string* why) {
    *why = "Redis: an answer of another kind than asked for";
    return std::nullopt;
  }

  // A wrong type or right lies with the key or the operator; the rest may be better elsewhere.
  std::optional<LookupAnswer> OnError(absl::string_view text, std::string* why) const {
    std::string told = absl::StrCat("Redis: ", Scrubbed(text, password_));
    if (absl::StartsWith(text, "WRONGTYPE")) {
      return LookupAnswer::Of(LookupAnswer::Kind::kTemporary, std::move(told));
    }
    *why = std::move(told);
    return std::nullopt;
  }

  static std::optional<LookupAnswer> Target(const redisReply& reply, std::string* why) {
    if (reply.type == REDIS_REPLY_NIL) return LookupAnswer::Of(LookupAnswer::Kind::kUnknown);
    if (reply.type != REDIS_REPLY_STRING) return Garbage(why);
    AnswerRow row;
    if (reply.len > 0) row.target = std::string(TextOf(reply));
    return AnswerOf(std::move(row), "Redis");
  }

  std::optional<LookupAnswer> Fields(const redisReply& reply, std::string* why) const {
    for (size_t i = 0; i < reply.elements; ++i) {
      const int type = reply.element[i]->type;
      if (type != REDIS_REPLY_STRING && type != REDIS_REPLY_NIL) return Garbage(why);
    }
    const auto field = [&](size_t ours) -> const redisReply* {
      if (place_[ours] < 0) return nullptr;
      const redisReply* element = reply.element[place_[ours]];
      return element->type == REDIS_REPLY_NIL ? nullptr : element;
    };
    const redisReply* target = field(0);
    if (target == nullptr) return LookupAnswer::Of(LookupAnswer::Kind::kUnknown);
    AnswerRow row;
    if (target->len > 0) row.target = std::string(TextOf(*target));
    if (const redisReply* user = field(1)) row.login_user = std::string(TextOf(*user));
    if (const redisReply* secret = field(2)) {
      row.login_secret.emplace(TextOf(*secret));
      WipeMemory(secret->str, secret->len);
    }
    return AnswerOf(std::move(row), "Redis");
  }

  absl::Status Open(const HostPort& server, Deadline deadline) {
    auto stream = ConnectStream(server, deadline);
    if (stream.ok() && wrap_ != nullptr) {
      stream = wrap_(*std::move(stream), server.host, deadline);
    }
    if (!stream.ok()) {
      return absl::UnavailableError(absl::StrCat("Redis: ", stream.status().message()));
    }
    stream_ = *std::move(stream);
    reader_.reset(redisReaderCreate());
    if (reader_ == nullptr) return absl::ResourceExhaustedError("Redis: no memory");
    if (!password_.empty()) {
      std::vector<absl::string_view> login = {"AUTH"};
      if (!user_.empty()) login.push_back(user_);
      login.push_back(password_.view());
      RETURN_IF_ERROR(Demand(login, "the login is refused", deadline));
    }
    if (database_ == 0) return absl::OkStatus();
    const std::string number = absl::StrCat(database_);
    return Demand({"SELECT", number}, "the database cannot be selected", deadline);
  }

  // A command that must be answered by OK.
  absl::Status Demand(const std::vector<absl::string_view>& command, absl::string_view otherwise,
                      Deadline deadline) {
    ASSIGN_OR_RETURN(const Reply reply, Exchange(command, deadline));
    if (reply->type == REDIS_REPLY_STATUS && TextOf(*reply) == "OK") return absl::OkStatus();
    const std::string told =
        reply->type == REDIS_REPLY_ERROR ? Scrubbed(TextOf(*reply), password_) : "no OK";
    return absl::FailedPreconditionError(absl::StrCat("Redis: ", otherwise, ": ", told));
  }

  absl::StatusOr<Reply> Exchange(const std::vector<absl::string_view>& command, Deadline deadline) {
    const auto failed = [](absl::string_view why) {
      return absl::UnavailableError(absl::StrCat("Redis: ", why));
    };
    // Whatever came unasked would be taken for the answer, and the next answer for the next user's.
    char unasked;
    const auto early = stream_->Read(&unasked, 1, Deadline());
    if (!absl::IsDeadlineExceeded(early.status())) {
      return failed(early.ok() ? "the server spoke unasked" : early.status().message());
    }
    std::vector<const char*> words;
    std::vector<size_t> lengths;
    for (const absl::string_view word : command) {
      words.push_back(word.data());
      lengths.push_back(word.size());
    }
    char* formatted = nullptr;
    const auto size = redisFormatCommandArgv(&formatted, static_cast<int>(words.size()),
                                             words.data(), lengths.data());
    if (size < 0) return failed("no memory");
    const auto bytes = static_cast<size_t>(size);
    const absl::Status written = stream_->Write(absl::string_view(formatted, bytes), deadline);
    WipeMemory(formatted, bytes);
    redisFreeCommand(formatted);
    if (!written.ok()) return failed(written.message());
    std::array<char, 4096> buffer;
    const auto wiper = absl::MakeCleanup([&buffer] { WipeMemory(buffer.data(), buffer.size()); });
    char before = 0;
    for (size_t received = 0;;) {
      const auto got = stream_->Read(buffer.data(), buffer.size(), deadline);
      if (!got.ok()) return failed(got.status().message());
      if (!IsModest(absl::string_view(buffer.data(), *got), before)) {
        return failed("an answer of another kind than asked for");
      }
      before = buffer[*got - 1] == 0 ? ' ' : buffer[*got - 1];
      received += *got;
      if (received > kAnswerBytesMax) return failed("the answer is too long");
      void* reply = nullptr;
      if (redisReaderFeed(reader_.get(), buffer.data(), *got) != REDIS_OK ||
          redisReaderGetReply(reader_.get(), &reply) != REDIS_OK) {
        return failed("the answer is no RESP");
      }
      if (reply == nullptr) continue;
      Reply whole(static_cast<redisReply*>(reply));
      if (reader_->pos < reader_->len) return failed("more than one answer came");
      return whole;
    }
  }

  const std::vector<HostPort> servers_;
  const std::string user_;
  const Secret password_;
  const int database_;
  const std::string key_;
  const StreamWrapper wrap_;
  std::vector<std::string> fields_;
  std::array<int, kFieldsMax> place_ = {-1, -1,
                                        -1};  // of target, login_user, login_secret in fields_
  std::unique_ptr<ByteStream> stream_;
  Reader reader_;
};

}  // namespace

std::unique_ptr<LookupSource> MakeRedisSource(const RedisOptions& options) {
  return std::make_unique<RedisSource>(options);
}

}  // namespace postern::routing
