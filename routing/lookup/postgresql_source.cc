#include "routing/lookup/postgresql_source.h"

#include <libpq-fe.h>

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "routing/lookup/answer_row.h"

namespace postern::routing {
namespace {

constexpr char kStatement[] = "postern";
constexpr Oid kText = 25;  // pg_type.dat: text
// The statement is not there (any more): a pooler gave us another connection.
constexpr absl::string_view kNoSuchStatement = "26000";
// Bytes that the database's encoding does not know: nobody in it has such a name.
constexpr absl::string_view kNotInRepertoire = "22021";

struct ClearResult {
  void operator()(PGresult* result) const { PQclear(result); }
};
using Result = std::unique_ptr<PGresult, ClearResult>;

void Ignore(void*, const char*) {}

// "/run/postgresql/.s.PGSQL.5432" -> its directory and its port, as libpq wants them.
void SplitSocket(absl::string_view path, std::string* host, std::string* port) {
  constexpr absl::string_view kName = "/.s.PGSQL.";
  const size_t place = path.rfind(kName);
  *host = std::string(path.substr(0, place));
  *port =
      place == absl::string_view::npos ? "5432" : std::string(path.substr(place + kName.size()));
}

class PostgresqlSource final : public ServerSource {
 public:
  explicit PostgresqlSource(const PostgresqlOptions& options)
      : ServerSource(options.servers.size()),
        servers_(options.servers),
        tls_(options.tls),
        database_(options.database),
        user_(options.user),
        password_(options.password.Clone()),
        query_(options.query),
        statement_timeout_(options.statement_timeout) {}
  ~PostgresqlSource() override { Disconnect(); }

 protected:
  absl::Status Connect(size_t index, Deadline deadline) override {
    Start(servers_[index]);
    absl::Status status = connection_ == nullptr
                              ? absl::ResourceExhaustedError("PostgreSQL: no memory")
                              : FinishConnecting(deadline);
    if (status.ok()) status = Prepare(deadline);
    if (!status.ok()) Disconnect();
    return status;
  }

  void Disconnect() override {
    if (connection_ != nullptr) PQfinish(connection_);
    connection_ = nullptr;
  }

  bool connected() const override { return connection_ != nullptr; }

  std::optional<LookupAnswer> AskServer(const LookupQuestion& question, Deadline deadline,
                                        std::string* why) override {
    const UserParts parts(question.user);
    const std::string local(parts.local);
    const std::string domain(parts.domain);
    const char* values[] = {question.user.c_str(), local.c_str(), domain.c_str()};
    if (PQsendQueryPrepared(connection_, kStatement, 3, values, nullptr, nullptr, 0) == 0 ||
        PQsetSingleRowMode(connection_) == 0) {
      *why = Message();
      return std::nullopt;
    }
    std::optional<LookupAnswer> answer;
    while (true) {
      Result result;
      if (!NextResult(deadline, &result, why)) return std::nullopt;
      if (result == nullptr) break;
      const ExecStatusType status = PQresultStatus(result.get());
      if (status == PGRES_SINGLE_TUPLE) {
        if (answer.has_value()) {
          // There may be millions; the connection goes rather than that we read them.
          Disconnect();
          return SeveralRows("PostgreSQL");
        }
        answer = ReadRow(result.get());
      } else if (status != PGRES_TUPLES_OK) {
        answer = OnError(result.get(), status, why);
        if (!answer.has_value()) return std::nullopt;
      }
    }
    if (PQstatus(connection_) != CONNECTION_OK) {
      *why = Message();
      return std::nullopt;
    }
    if (!answer.has_value()) return LookupAnswer::Of(LookupAnswer::Kind::kUnknown);
    return answer;
  }

 private:
  std::string Message() const {
    return absl::StrCat("PostgreSQL: ", Scrubbed(PQerrorMessage(connection_), password_));
  }

  void Start(const HostPort& server) {
    std::string host = server.host;
    std::string port = absl::StrCat(server.port);
    if (server.is_unix()) SplitSocket(server.unix_path, &host, &port);
    const std::string timeout =
        statement_timeout_ == 0
            ? ""
            : absl::StrCat("-c statement_timeout=", statement_timeout_ / kMillisecond);
    const Secret password = Terminated(password_);
    const char* tls_mode = "disable";
    if (tls_.on) tls_mode = tls_.insecure ? "require" : "verify-full";
    // "system" is known from PostgreSQL 16 on; this file holds the same on Debian.
    std::string authorities =
        tls_.ca_file.empty() ? "/etc/ssl/certs/ca-certificates.crt" : tls_.ca_file;
    // "require" would verify, if there was a file.
    if (tls_.insecure) authorities = "/nonexistent/ca.pem";
    const std::pair<const char*, const char*> settings[] = {
        {"host", host.c_str()},
        {"port", port.c_str()},
        {"dbname", database_.c_str()},
        {"user", user_.c_str()},
        {"password", password.view().data()},
        {"passfile", "/dev/null"},
        {"sslmode", tls_mode},
        {"sslrootcert", authorities.c_str()},
        {"gssencmode", "disable"},
        {"application_name", "postern"},
        {"client_encoding", "SQL_ASCII"},
        {"options", timeout.c_str()},
    };
    std::vector<const char*> keys;
    std::vector<const char*> values;
    for (const auto& [key, value] : settings) {
      keys.push_back(key);
      values.push_back(value);
    }
    keys.push_back(nullptr);
    values.push_back(nullptr);
    connection_ = PQconnectStartParams(keys.data(), values.data(), 0);
  }

  absl::Status FinishConnecting(Deadline deadline) {
    if (PQstatus(connection_) == CONNECTION_BAD) return absl::UnavailableError(Message());
    PostgresPollingStatusType state = PGRES_POLLING_WRITING;
    while (state != PGRES_POLLING_OK) {
      const short events = state == PGRES_POLLING_READING ? POLLIN : POLLOUT;
      if (WaitFor(PQsocket(connection_), events, deadline) == 0) {
        return absl::DeadlineExceededError("PostgreSQL: connecting took too long");
      }
      state = PQconnectPoll(connection_);
      if (state == PGRES_POLLING_FAILED) return absl::UnavailableError(Message());
    }
    PQsetNoticeProcessor(connection_, &Ignore, nullptr);
    if (PQsetnonblocking(connection_, 1) != 0) return absl::UnavailableError(Message());
    return absl::OkStatus();
  }

  absl::Status Prepare(Deadline deadline) {
    const Oid types[] = {kText, kText, kText};
    if (PQsendPrepare(connection_, kStatement, query_.c_str(), 3, types) == 0) {
      return absl::UnavailableError(Message());
    }
    std::string why;
    absl::Status status;
    while (true) {
      Result result;
      if (!NextResult(deadline, &result, &why)) return absl::UnavailableError(why);
      if (result == nullptr) return status;
      if (PQresultStatus(result.get()) != PGRES_COMMAND_OK) {
        status = absl::FailedPreconditionError(
            absl::StrCat("PostgreSQL: the query cannot be prepared: ",
                         Scrubbed(PQresultErrorMessage(result.get()), password_)));
      }
    }
  }

  // False with *why when the deadline passes or the connection breaks; *result is null at the end.
  bool NextResult(Deadline deadline, Result* result, std::string* why) {
    int unsent = PQflush(connection_);
    while (PQisBusy(connection_) != 0 || unsent > 0) {
      const auto wanted = static_cast<short>(unsent > 0 ? POLLIN | POLLOUT : POLLIN);
      const short ready = WaitFor(PQsocket(connection_), wanted, deadline);
      if (ready == 0) {
        *why = "PostgreSQL: no answer in time";
        return false;
      }
      if ((ready & ~POLLOUT) != 0 && PQconsumeInput(connection_) == 0) {
        *why = Message();
        return false;
      }
      if (unsent > 0) unsent = PQflush(connection_);
      if (unsent < 0) {
        *why = Message();
        return false;
      }
    }
    result->reset(PQgetResult(connection_));
    return true;
  }

  // Nothing when another connection may do better.
  std::optional<LookupAnswer> OnError(const PGresult* result, ExecStatusType status,
                                      std::string* why) {
    const char* code = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    if (status == PGRES_COMMAND_OK) {
      return LookupAnswer::Of(LookupAnswer::Kind::kTemporary,
                              "PostgreSQL: the query gives no rows; write a SELECT");
    }
    if (code != nullptr && code == kNotInRepertoire) {
      return LookupAnswer::Of(LookupAnswer::Kind::kUnknown);
    }
    const std::string text =
        absl::StrCat("PostgreSQL: ", Scrubbed(PQresultErrorMessage(result), password_));
    // Class 57P: the server goes down or comes up. Class 08: the connection.
    if (code == nullptr || code == kNoSuchStatement || absl::StartsWith(code, "57P") ||
        absl::StartsWith(code, "08")) {
      *why = text;
      return std::nullopt;
    }
    return LookupAnswer::Of(LookupAnswer::Kind::kTemporary, text);
  }

  static std::optional<std::string> Text(const PGresult* result, const char* column) {
    const int number = PQfnumber(result, column);
    if (number < 0 || PQgetisnull(result, 0, number) != 0) return std::nullopt;
    return std::string(PQgetvalue(result, 0, number),
                       static_cast<size_t>(PQgetlength(result, 0, number)));
  }

  static LookupAnswer ReadRow(PGresult* result) {
    if (PQfnumber(result, "target") < 0) {
      return LookupAnswer::Of(LookupAnswer::Kind::kTemporary,
                              "PostgreSQL: the query gives no column named target");
    }
    AnswerRow row;
    row.target = Text(result, "target");
    row.login_user = Text(result, "login_user");
    const int secret = PQfnumber(result, "login_secret");
    if (secret >= 0 && PQgetisnull(result, 0, secret) == 0) {
      char* value = PQgetvalue(result, 0, secret);
      const auto length = static_cast<size_t>(PQgetlength(result, 0, secret));
      row.login_secret.emplace(absl::string_view(value, length));
      WipeMemory(value, length);
    }
    return AnswerOf(std::move(row), "PostgreSQL");
  }

  const std::vector<HostPort> servers_;
  const LookupTls tls_;
  const std::string database_;
  const std::string user_;
  const Secret password_;
  const std::string query_;
  const DurationNs statement_timeout_;
  PGconn* connection_ = nullptr;
};

}  // namespace

std::unique_ptr<LookupSource> MakePostgresqlSource(const PostgresqlOptions& options) {
  return std::make_unique<PostgresqlSource>(options);
}

}  // namespace postern::routing
