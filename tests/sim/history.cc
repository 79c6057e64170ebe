#include "tests/sim/history.h"

#include <algorithm>
#include <set>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace postern::sim {
namespace {

std::string Show(absl::string_view text) {
  return absl::StrCat("\"", absl::CEscape(text.substr(0, 80)), text.size() > 80 ? "...\"" : "\"");
}

class Checker {
 public:
  explicit Checker(const History& history) : history_(history) {}

  std::vector<std::string> Run() {
    for (const ServerStory& server : history_.servers) CheckServer(server);
    for (const ClientStory& client : history_.clients) {
      CheckClient(client);
      CheckCredentials(client);
      CheckWords(client);
      const ServerStory* server = ServerOf(client);
      if (server != nullptr) CheckSession(client, *server);
      if (server == nullptr && client.logged_in && !LinesOutOfTurn()) {
        Fail(client.name, "was told +OK, but no backend ever said so");
      }
    }
    if (history_.records != history_.connections) {
      Fail("the proxy", absl::StrCat("accepted ", history_.connections, " connections and wrote ",
                                     history_.records, " records"));
    }
    return std::move(failures_);
  }

 private:
  void Fail(absl::string_view who, absl::string_view what) {
    failures_.push_back(absl::StrCat(who, " ", what));
  }

  const ServerStory* ServerOf(const ClientStory& client) const {
    for (const ServerStory& server : history_.servers) {
      if (server.record.logged_in && server.record.user == client.user) return &server;
    }
    return nullptr;
  }

  // Nothing happened in this session that excuses a loss.
  bool Calm(const ClientStory& client, const ServerStory& server) const {
    return !history_.errors_injected && !history_.drained && !client.broken && !server.broken &&
           !client.left_by_reset && !server.struck;
  }

  // Some backend sent lines before it was asked. When they arrive one by one, nobody can tell them
  // from answers: then it has let the client in by itself.
  bool LinesOutOfTurn() const {
    return std::any_of(history_.servers.begin(), history_.servers.end(),
                       [](const ServerStory& server) {
                         return server.fault == ServerFault::kExtraGreeting ||
                                server.fault == ServerFault::kStlsExtraLine;
                       });
  }

  // --- one backend connection ---

  void CheckServer(const ServerStory& server) {
    const MaildropRecord& record = server.record;
    const size_t before_login = record.commands.size() - record.session_commands.size();
    for (size_t i = 0; i < before_login; ++i) {
      const std::string& line = record.commands[i];
      const bool control = std::any_of(line.begin(), line.end(), [](char c) {
        return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
      });
      if (control) {
        Fail(server.name, absl::StrCat("got control bytes before the login: ", Show(line)));
      }
    }
    for (const std::string& user : record.users_offered) {
      if (absl::StrContains(user, "victim")) {
        Fail(server.name, "got a user name that was said before STLS or was never routable");
      }
    }
    CheckOneClient(server);
    if (!record.logged_in) return;
    const auto owner =
        std::find_if(history_.clients.begin(), history_.clients.end(),
                     [&](const ClientStory& client) { return client.user == record.user; });
    if (owner == history_.clients.end() && record.user == history_.canary) return;
    if (owner == history_.clients.end()) {
      Fail(server.name, absl::StrCat("logged in ", record.user, ", which nobody asked for"));
      return;
    }
    if (server.wants_client && server.told_client != owner->address) {
      Fail(server.name, absl::StrCat("was told that ", owner->name, " is ",
                                     Show(server.told_client), " and not ", owner->address));
    }
    const std::string session = record.received.substr(record.session_begin);
    if (!absl::StartsWith(owner->session_text, session)) {
      Fail(server.name, absl::StrCat("heard after the login what ", owner->name,
                                     " never said: ", Difference(session, owner->session_text)));
    }
  }

  // What was opened for one client never serves another, whatever came of the first one.
  void CheckOneClient(const ServerStory& server) {
    std::set<std::string> clients;
    for (const std::string& user : server.record.users_offered) {
      for (const ClientStory& client : history_.clients) {
        if (client.user == user) clients.insert(client.name);
      }
    }
    if (clients.size() > 1) Fail(server.name, "served more than one client");
  }

  static std::string Difference(absl::string_view got, absl::string_view wanted) {
    const auto at = static_cast<size_t>(
        std::mismatch(got.begin(),
                      got.begin() + static_cast<ptrdiff_t>(std::min(got.size(), wanted.size())),
                      wanted.begin())
            .first -
        got.begin());
    return absl::StrCat("at byte ", at, " of ", got.size(), ", ", Show(got.substr(at)),
                        " instead of ", Show(wanted.substr(at)));
  }

  // --- one client ---

  void CheckClient(const ClientStory& client) {
    if (client.records == 0 && !history_.drained && !history_.may_turn_away) {
      Fail(client.name, "connected and never got a session");
    }
    if (client.records > 1) Fail(client.name, "has more than one session record");
    if (client.records == 1 && client.reason == CloseReason::kNone) {
      Fail(client.name, "ended without a reason");
    }
    if (client.reason == CloseReason::kInternal) Fail(client.name, "ended with reason internal");
    if (client.logged_in && !client.may_log_in) Fail(client.name, "was logged in and must not be");
    if (client.logged_in && !client.password_right && !LinesOutOfTurn()) {
      Fail(client.name, "was logged in with a wrong password");
    }
  }

  void CheckCredentials(const ClientStory& client) {
    size_t offers = 0;
    std::set<size_t> backends;
    for (const ServerStory& server : history_.servers) {
      const std::vector<std::string>& users = server.record.users_offered;
      if (std::find(users.begin(), users.end(), client.user) == users.end()) continue;
      for (const std::string& password : server.record.passwords_offered) {
        ++offers;
        backends.insert(server.backend);
        const bool known = std::find(client.passwords.begin(), client.passwords.end(), password) !=
                           client.passwords.end();
        if (!known) {
          Fail(server.name, absl::StrCat("was offered a password that ", client.name,
                                         " never gave: ", Show(password)));
        }
      }
    }
    if (history_.may_ask_again) offers = backends.size();
    if (offers > client.passwords.size()) {
      Fail(client.name,
           absl::StrCat("gave ", client.passwords.size(), " passwords, and backends saw ", offers));
    }
  }

  // The right words (RFC 3206), and none that tell of the inside.
  void CheckWords(const ClientStory& client) {
    for (const std::string& reply : client.replies) {
      for (const char* inside : {"10.0.", "internal", "injected", "mail1", "ESMTP", "HTTP"}) {
        if (absl::StrContains(reply, inside)) {
          Fail(client.name, absl::StrCat("was told about the inside: ", Show(reply)));
        }
      }
      if (reply.size() > 510) Fail(client.name, "was given a line of more than 512 octets");
      const bool printable = std::none_of(reply.begin(), reply.end(), [](char c) {
        return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
      });
      if (!printable) Fail(client.name, absl::StrCat("was given control bytes: ", Show(reply)));
    }
    if (!absl::StrContains(client.login_reply, "[AUTH]")) return;
    // Somebody must have judged.
    if (!client.password_right || !client.known || !client.may_log_in) return;
    for (const ServerStory& server : history_.servers) {
      const bool says_so =
          server.fault == ServerFault::kErrUser || server.fault == ServerFault::kPassControls;
      if (server.struck && says_so) return;
    }
    Fail(client.name,
         absl::StrCat("gave the right password and was told ", Show(client.login_reply)));
  }

  // --- the two of them ---

  // Let in by one that was gone before it could say so, the client was let in when it asked again.
  bool LostItsClient(const ServerStory& server) const {
    if (!history_.may_ask_again || !server.record.session_commands.empty()) return false;
    return std::any_of(history_.servers.begin(), history_.servers.end(),
                       [&server](const ServerStory& other) {
                         return &other != &server && other.record.logged_in &&
                                other.record.user == server.record.user;
                       });
  }

  void CheckSession(const ClientStory& client, const ServerStory& server) {
    const MaildropRecord& record = server.record;
    if (client.logged_in && server.fault != ServerFault::kPassExtraLines &&
        server.fault != ServerFault::kExtraGreeting && !LostItsClient(server)) {
      CheckAnswers(client, server);
    }
    if (record.quit && !client.wants_quit) Fail(server.name, "was sent a QUIT nobody said");
    if (!record.quit && !record.committed.empty()) Fail(server.name, "deleted without QUIT");
    if (client.quit_said && client.logged_in && Calm(client, server) && !record.quit) {
      Fail(client.name, "said QUIT, and its backend never heard it");
    }
    if (client.reason == CloseReason::kQuit && !record.quit && Calm(client, server)) {
      Fail(client.name, "has reason quit, and its backend never heard QUIT");
    }
    // Until a client that has left is forgotten, what its backend does is seen.
    if (client.reason == CloseReason::kQuit && server.struck &&
        server.fault == ServerFault::kCloseAtQuit && !history_.errors_injected &&
        !client.left_by_reset && !client.broken) {
      Fail(client.name, "has reason quit, and its backend went without an answer to it");
    }
  }

  void CheckAnswers(const ClientStory& client, const ServerStory& server) {
    const MaildropRecord& record = server.record;
    const std::string& heard = client.heard_after_login;
    if (!absl::StartsWith(record.answers, heard)) {
      Fail(client.name, absl::StrCat("heard what ", server.name,
                                     " never said: ", Difference(heard, record.answers)));
      return;
    }
    const std::vector<size_t>& ends = record.answer_ends;
    const bool whole =
        heard.empty() || std::find(ends.begin(), ends.end(), heard.size()) != ends.end();
    const bool orderly = client.end == Peer::End::kFin || client.end == Peer::End::kCloseNotify;
    if (!whole && orderly) {
      Fail(client.name, absl::StrCat("was given an orderly end inside an answer, after ",
                                     heard.size(), " bytes"));
    }
    // Whoever stays to the end hears everything.
    if (orderly && Calm(client, server) && record.quit && heard != record.answers) {
      Fail(client.name, absl::StrCat("stayed to the end and missed the last ",
                                     record.answers.size() - heard.size(), " bytes"));
    }
  }

  const History& history_;
  std::vector<std::string> failures_;
};

}  // namespace

std::vector<std::string> CheckHistory(const History& history) { return Checker(history).Run(); }

}  // namespace postern::sim
