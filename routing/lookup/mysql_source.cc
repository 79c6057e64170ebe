#include "routing/lookup/mysql_source.h"

#include <mysql.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "routing/lookup/answer_row.h"

namespace postern::routing {
namespace {

// A longer value is a mistake that AnswerOf() tells.
constexpr size_t kValueBytesMax = 1024;
// Of libmariadb's errmsg.h, and of the server's errors: the connection or the server went.
constexpr unsigned kClientErrorsFirst = 2000;
constexpr unsigned kClientErrorsLast = 2999;
constexpr unsigned kServerShutdown = 1053;
constexpr unsigned kConnectionKilled = 1927;
constexpr unsigned kUnknownStatement = 1243;
// Bytes that are no UTF-8: nobody in the database has such a name.
constexpr unsigned kInvalidCharacterString = 1300;

// The columns we know by name, in the order of AnswerRow.
constexpr std::array<const char*, 3> kColumns = {"target", "login_user", "login_secret"};

struct Cell {
  std::array<char, kValueBytesMax> data;
  unsigned long length = 0;
  my_bool is_null = 0;
};

class MysqlSource final : public ServerSource {
 public:
  explicit MysqlSource(const MysqlOptions& options)
      : ServerSource(options.servers.size()),
        servers_(options.servers),
        tls_(options.tls),
        database_(options.database),
        user_(options.user),
        password_(options.password.Clone()) {
    auto query = TranslateQuery(options.query);
    if (query.ok()) query_ = *std::move(query);
  }
  ~MysqlSource() override { Disconnect(); }

 protected:
  absl::Status Connect(size_t index, Deadline deadline) override {
    connection_ = mysql_init(nullptr);
    if (connection_ == nullptr) return absl::ResourceExhaustedError("MySQL: no memory");
    const absl::Status status = Open(servers_[index], deadline);
    if (!status.ok()) Disconnect();
    return status;
  }

  void Disconnect() override {
    // mysql_close() says goodbye, and must not wait for a server that does not listen.
    if (connection_ != nullptr) {
      const my_socket fd = mysql_get_socket(connection_);
      if (fd >= 0) shutdown(fd, SHUT_RDWR);
    }
    if (statement_ != nullptr) mysql_stmt_close(statement_);
    if (connection_ != nullptr) mysql_close(connection_);
    statement_ = nullptr;
    connection_ = nullptr;
  }

  bool connected() const override { return connection_ != nullptr; }

  std::optional<LookupAnswer> AskServer(const LookupQuestion& question, Deadline deadline,
                                        std::string* why) override {
    const UserParts parts(question.user);
    const absl::string_view values[] = {parts.user, parts.local, parts.domain};
    std::vector<MYSQL_BIND> binds(query_.parameters.size());
    std::vector<unsigned long> lengths(binds.size());
    for (size_t i = 0; i < binds.size(); ++i) {
      const absl::string_view value = values[static_cast<size_t>(query_.parameters[i] - 1)];
      lengths[i] = value.size();
      binds[i] = MYSQL_BIND{};
      binds[i].buffer_type = MYSQL_TYPE_STRING;
      // Only read.
      binds[i].buffer = const_cast<char*>(value.data());
      binds[i].buffer_length = value.size();
      binds[i].length = &lengths[i];
    }
    if (mysql_stmt_bind_param(statement_, binds.data()) != 0) return Failed(why);
    int result = 0;
    if (!Run([&] { return mysql_stmt_execute_start(&result, statement_); },
             [&](int ready) { return mysql_stmt_execute_cont(&result, statement_, ready); },
             deadline, why)) {
      return std::nullopt;
    }
    if (result != 0) return Failed(why);
    return Fetch(deadline, why);
  }

 private:
  // Drives one call of the non-blocking interface to its end. False when the deadline passes.
  template <typename Start, typename Continue>
  bool Run(const Start& start, const Continue& go_on, Deadline deadline, std::string* why) {
    int wanted = start();
    while (wanted != 0) {
      short events = 0;
      if ((wanted & MYSQL_WAIT_READ) != 0) events = static_cast<short>(events | POLLIN);
      if ((wanted & MYSQL_WAIT_WRITE) != 0) events = static_cast<short>(events | POLLOUT);
      if ((wanted & MYSQL_WAIT_EXCEPT) != 0) events = static_cast<short>(events | POLLPRI);
      const short happened = WaitFor(mysql_get_socket(connection_), events, deadline);
      if (happened == 0) {
        *why = "MySQL: no answer in time";
        return false;
      }
      int ready = 0;
      if ((happened & ~(POLLOUT | POLLPRI)) != 0) ready |= MYSQL_WAIT_READ;
      if ((happened & (POLLOUT | POLLERR | POLLHUP)) != 0) ready |= MYSQL_WAIT_WRITE;
      if ((happened & POLLPRI) != 0) ready |= MYSQL_WAIT_EXCEPT;
      wanted = go_on(ready & wanted);
    }
    return true;
  }

  absl::Status Open(const HostPort& server, Deadline deadline) {
    const auto left = static_cast<unsigned>((MillisecondsLeft(deadline) + 999) / 1000);
    mysql_options(connection_, MYSQL_OPT_NONBLOCK, nullptr);
    // Where the library waits by itself, it does not wait longer than this.
    mysql_options(connection_, MYSQL_OPT_CONNECT_TIMEOUT, &left);
    const my_bool no = 0;
    const my_bool verify = tls_.on && !tls_.insecure ? 1 : 0;
    const my_bool on = tls_.on ? 1 : 0;
    mysql_options(connection_, MYSQL_OPT_RECONNECT, &no);
    mysql_options(connection_, MYSQL_OPT_SSL_ENFORCE, &on);
    mysql_options(connection_, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify);
    if (tls_.on) {
      const char* ca =
          tls_.ca_file.empty() ? "/etc/ssl/certs/ca-certificates.crt" : tls_.ca_file.c_str();
      mysql_ssl_set(connection_, nullptr, nullptr, tls_.insecure ? nullptr : ca, nullptr, nullptr);
    }
    // Names are bytes to us; the database compares them by its own rules.
    mysql_options(connection_, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    const unsigned local_infile = 0;
    mysql_options(connection_, MYSQL_OPT_LOCAL_INFILE, &local_infile);
    const Secret password = Terminated(password_);
    const char* host = server.is_unix() ? nullptr : server.host.c_str();
    const char* path = server.is_unix() ? server.unix_path.c_str() : nullptr;
    MYSQL* opened = nullptr;
    std::string why;
    if (!Run(
            [&] {
              return mysql_real_connect_start(&opened, connection_, host, user_.c_str(),
                                              password.view().data(), database_.c_str(),
                                              server.port, path, 0);
            },
            [&](int ready) { return mysql_real_connect_cont(&opened, connection_, ready); },
            deadline, &why)) {
      return absl::DeadlineExceededError("MySQL: connecting took too long");
    }
    if (opened == nullptr) return absl::UnavailableError(Message());
    return Prepare(deadline);
  }

  absl::Status Prepare(Deadline deadline) {
    statement_ = mysql_stmt_init(connection_);
    if (statement_ == nullptr) return absl::UnavailableError(Message());
    int result = 0;
    std::string why;
    if (!Run(
            [&] {
              return mysql_stmt_prepare_start(&result, statement_, query_.text.data(),
                                              query_.text.size());
            },
            [&](int ready) { return mysql_stmt_prepare_cont(&result, statement_, ready); },
            deadline, &why)) {
      return absl::DeadlineExceededError(why);
    }
    if (result != 0) {
      return absl::FailedPreconditionError(
          absl::StrCat("MySQL: the query cannot be prepared: ",
                       Scrubbed(mysql_stmt_error(statement_), password_)));
    }
    if (mysql_stmt_param_count(statement_) != query_.parameters.size()) {
      return absl::FailedPreconditionError("MySQL: the query has other parameters than $1 to $3");
    }
    return FindColumns();
  }

  // Which column of the result is which of ours.
  absl::Status FindColumns() {
    columns_.fill(-1);
    MYSQL_RES* description = mysql_stmt_result_metadata(statement_);
    if (description == nullptr) {
      return absl::FailedPreconditionError("MySQL: the query gives no rows; write a SELECT");
    }
    column_count_ = mysql_num_fields(description);
    for (unsigned i = 0; i < column_count_; ++i) {
      const absl::string_view name = mysql_fetch_field_direct(description, i)->name;
      for (size_t ours = 0; ours < kColumns.size(); ++ours) {
        if (name == kColumns[ours]) columns_[ours] = static_cast<int>(i);
      }
    }
    mysql_free_result(description);
    if (columns_[0] < 0) {
      return absl::FailedPreconditionError("MySQL: the query gives no column named target");
    }
    return absl::OkStatus();
  }

  std::optional<LookupAnswer> Fetch(Deadline deadline, std::string* why) {
    std::vector<Cell> cells(column_count_);
    const auto wipe = [&cells] {
      for (Cell& cell : cells) WipeMemory(cell.data.data(), cell.data.size());
    };
    std::vector<MYSQL_BIND> binds(column_count_);
    for (size_t i = 0; i < cells.size(); ++i) {
      binds[i] = MYSQL_BIND{};
      binds[i].buffer_type = MYSQL_TYPE_STRING;
      binds[i].buffer = cells[i].data.data();
      binds[i].buffer_length = cells[i].data.size();
      binds[i].length = &cells[i].length;
      binds[i].is_null = &cells[i].is_null;
    }
    if (mysql_stmt_bind_result(statement_, binds.data()) != 0) return Failed(why);
    std::optional<LookupAnswer> answer;
    while (true) {
      int result = 0;
      if (!Run([&] { return mysql_stmt_fetch_start(&result, statement_); },
               [&](int ready) { return mysql_stmt_fetch_cont(&result, statement_, ready); },
               deadline, why)) {
        wipe();
        return std::nullopt;
      }
      if (result == MYSQL_NO_DATA) break;
      if (result != 0 && result != MYSQL_DATA_TRUNCATED) {
        wipe();
        return Failed(why);
      }
      if (answer.has_value()) {
        // There may be millions; the connection goes rather than that we read them.
        Disconnect();
        answer = SeveralRows("MySQL");
        break;
      }
      answer = ReadRow(cells);
      wipe();
    }
    wipe();
    if (statement_ != nullptr) mysql_stmt_free_result(statement_);
    if (!answer.has_value()) return LookupAnswer::Of(LookupAnswer::Kind::kUnknown);
    return answer;
  }

  LookupAnswer ReadRow(const std::vector<Cell>& cells) const {
    // Of a value that is longer than the cell the part is still too long to be used.
    const auto view = [&](size_t ours) -> std::optional<absl::string_view> {
      if (columns_[ours] < 0) return std::nullopt;
      const Cell& cell = cells[static_cast<size_t>(columns_[ours])];
      if (cell.is_null != 0) return std::nullopt;
      return absl::string_view(cell.data.data(), std::min<size_t>(cell.length, cell.data.size()));
    };
    AnswerRow row;
    if (const auto target = view(0)) row.target = std::string(*target);
    if (const auto user = view(1)) row.login_user = std::string(*user);
    if (const auto secret = view(2)) row.login_secret.emplace(*secret);
    return AnswerOf(std::move(row), "MySQL");
  }

  std::string Message() const {
    return absl::StrCat("MySQL: ", Scrubbed(mysql_error(connection_), password_));
  }

  // The statement went wrong: nothing when another connection may do better.
  std::optional<LookupAnswer> Failed(std::string* why) {
    const unsigned code = mysql_stmt_errno(statement_);
    const std::string text =
        absl::StrCat("MySQL: ", Scrubbed(mysql_stmt_error(statement_), password_));
    const bool broken = (code >= kClientErrorsFirst && code <= kClientErrorsLast) ||
                        code == kServerShutdown || code == kConnectionKilled ||
                        code == kUnknownStatement || code == 0;
    if (broken) {
      *why = text;
      return std::nullopt;
    }
    mysql_stmt_free_result(statement_);
    if (code == kInvalidCharacterString) return LookupAnswer::Of(LookupAnswer::Kind::kUnknown);
    return LookupAnswer::Of(LookupAnswer::Kind::kTemporary, text);
  }

  const std::vector<HostPort> servers_;
  const LookupTls tls_;
  const std::string database_;
  const std::string user_;
  const Secret password_;
  MysqlQuery query_;
  MYSQL* connection_ = nullptr;
  MYSQL_STMT* statement_ = nullptr;
  std::array<int, 3> columns_{};
  unsigned column_count_ = 0;
};

}  // namespace

std::unique_ptr<LookupSource> MakeMysqlSource(const MysqlOptions& options) {
  // mysql_init() would do it by itself, but not in several threads at once.
  static std::once_flag once;
  std::call_once(once, [] { mysql_library_init(0, nullptr, nullptr); });
  return std::make_unique<MysqlSource>(options);
}

}  // namespace postern::routing
