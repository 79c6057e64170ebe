// The SASL mechanisms of each listener: read, and compared with the backends that must take them.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proxy/config/draft.h"
#include "proxy/config/reachable.h"
#include "proxy/config/value_syntax.h"
#include "proxy/pop3/mechanism.h"

namespace postern::config {
namespace {

using pop3::Mechanism;

bool IsCarried(Mechanism mechanism) { return pop3::InfoOf(mechanism).carried; }

// Whether users who log in by it can be logged in at the backend.
bool Takes(const Backend& backend, Mechanism mechanism) {
  if (IsCarried(mechanism)) return backend.login == UpstreamLogin::kSasl;
  if (mechanism != Mechanism::kExternal) return true;
  return backend.login == UpstreamLogin::kMaster || backend.login == UpstreamLogin::kSecret;
}

// What the backend that lacks it must become.
std::string Lack(const Backend& backend, Mechanism mechanism) {
  const absl::string_view word = pop3::InfoOf(mechanism).word;
  if (mechanism == Mechanism::kExternal) {
    return absl::StrCat("mechanism \"", word, "\" shows us no password, and \"", backend.name,
                        "\" wants one; set login = \"master\" or \"secret\" there, or ");
  }
  return absl::StrCat("mechanism \"", word,
                      "\" shows us no password, so every backend that the listener leads to must "
                      "take the client's own exchange, and \"",
                      backend.name, "\" does not; set login = \"sasl\" there, or ");
}

// One listener, and how the backends that it leads to take mechanisms.
class ListenerView {
 public:
  ListenerView(const Draft& draft, size_t listener)
      : config_(draft.config), written_(draft.listeners[listener]) {
    const Listener& value = draft.config.listeners[listener];
    // A name that was written wrongly has been reported.
    known_ = (value.backend >= 0 || !written_.backend.written) &&
             value.server_names.size() == written_.server_names.size();
    if (known_) reachable_ = ReachableBackends(draft.config, value);
  }

  const ListenerDraft& written() const { return written_; }
  bool asks_certificate() const { return written_.client_certificate.written; }
  // Nothing is known to be wrong where nothing is known.
  bool TakenByAll(Mechanism mechanism) const { return FirstWithout(mechanism) == nullptr; }
  bool TakenByAny(Mechanism mechanism) const {
    return reachable_.empty() || std::any_of(reachable_.begin(), reachable_.end(), [&](size_t i) {
             return Takes(config_.backends[i], mechanism);
           });
  }
  // Null: all have it.
  const Backend* FirstWithout(Mechanism mechanism) const {
    for (const size_t i : reachable_) {
      if (!Takes(config_.backends[i], mechanism)) return &config_.backends[i];
    }
    return nullptr;
  }

 private:
  const Config& config_;
  const ListenerDraft& written_;
  bool known_ = false;
  std::vector<size_t> reachable_;
};

// What does not depend on backends.
void ValidateByItself(const Draft& draft, const MechanismsDraft& list, Diagnostics* diagnostics) {
  for (const auto& [mechanism, position] : list.list) {
    const bool digest = mechanism == Mechanism::kCramMd5 || mechanism == Mechanism::kDigestMd5;
    if (digest && !draft.secrets_written && !LookupsJudgeDigests(draft)) {
      diagnostics->Add(
          position, absl::StrCat("mechanism \"", pop3::InfoOf(mechanism).word,
                                 "\" needs the users' secrets to verify against; write secrets = "
                                 "\"/etc/postern/secrets\" in [auth], or remove the mechanism"));
    }
#ifndef POSTERN_DIGEST_MD5
    if (mechanism == Mechanism::kDigestMd5) {
      diagnostics->Add(position,
                       "this postern was built without GNU SASL; build it with "
                       "POSTERN_DIGEST_MD5, or remove the mechanism");
    }
#endif
  }
}

// The list of one listener: all of it must be possible.
void ValidateOwn(const ListenerView& view, Diagnostics* diagnostics) {
  for (const auto& [mechanism, position] : view.written().mechanisms.list) {
    if (mechanism == Mechanism::kExternal && !view.asks_certificate()) {
      diagnostics->Add(position,
                       "mechanism \"external\" is for clients with a certificate, and this "
                       "listener asks for none; write client_certificate = \"optional\" and "
                       "client_ca here, or remove the mechanism");
    }
    if (const Backend* backend = view.FirstWithout(mechanism)) {
      diagnostics->Add(position, absl::StrCat(Lack(*backend, mechanism), "remove the mechanism"));
    }
  }
}

// A mechanism of [auth]: a listener offers it where all of its backends take it, and does without
// where none does. It is a mistake where some do, and where nobody is offered it.
void ValidateShared(const std::vector<ListenerView>& users, Mechanism mechanism, Position position,
                    Diagnostics* diagnostics) {
  const bool external = mechanism == Mechanism::kExternal;
  bool asked = false;
  bool offered = false;
  const ListenerView* without = nullptr;
  for (const ListenerView& view : users) {
    if (external && !view.asks_certificate()) continue;
    asked = true;
    if (view.TakenByAll(mechanism)) {
      offered = true;
    } else if (view.TakenByAny(mechanism)) {
      diagnostics->Add(position,
                       absl::StrCat(Lack(*view.FirstWithout(mechanism), mechanism),
                                    "write mechanisms without it at the listener in line ",
                                    view.written().table.line));
      return;
    } else if (without == nullptr) {
      without = &view;
    }
  }
  if (users.empty() || offered) return;
  if (!asked) {
    diagnostics->Add(position,
                     "mechanism \"external\" is for clients with a certificate, and no listener "
                     "asks for one; write client_certificate = \"optional\" and client_ca at a "
                     "[[listener]], or remove the mechanism");
    return;
  }
  diagnostics->Add(position, absl::StrCat(Lack(*without->FirstWithout(mechanism), mechanism),
                                          "remove the mechanism"));
}

// What the listener offers, if that is not what [auth] says.
std::optional<std::vector<Mechanism>> Narrowed(const ListenerView& view,
                                               const std::vector<Mechanism>& shared) {
  std::vector<Mechanism> offered;
  if (view.written().mechanisms.written) {
    for (const auto& [mechanism, position] : view.written().mechanisms.list) {
      offered.push_back(mechanism);
    }
    return offered;
  }
  for (const Mechanism mechanism : shared) {
    if (view.TakenByAll(mechanism)) offered.push_back(mechanism);
  }
  if (offered.size() == shared.size()) return std::nullopt;
  return offered;
}

// A listener where USER, APOP and SASL are all impossible.
void ValidateSomeWay(const Draft& draft, const ListenerDraft& written, const Listener& listener,
                     Diagnostics* diagnostics) {
  const pop3::DialogueOptions& dialogue = draft.config.dialogue;
  const bool apop_maybe = draft.apop.value || (draft.apop.written && !draft.apop.good);
  if (dialogue.user_pass || apop_maybe || listener.relays_greeting) return;
  if (!MechanismsOf(draft.config, listener).empty()) return;
  if (written.mechanisms.written) {
    if (!written.mechanisms.good) return;
    diagnostics->Add(written.mechanisms.position,
                     "this listener leaves clients no way to log in; name a mechanism, or allow "
                     "user_pass or apop in [auth]");
  } else if (!dialogue.mechanisms.empty() && diagnostics->empty()) {
    diagnostics->Add(draft.mechanisms.position,
                     absl::StrCat("none of the mechanisms can be offered by the listener in line ",
                                  written.table.line,
                                  ", whose backends take none of them: no client could log in; "
                                  "allow user_pass, or write mechanisms at that listener"));
  }
}

}  // namespace

void ReadMechanisms(TableReader* reader, MechanismsDraft* draft) {
  draft->position = reader->At("mechanisms");
  std::vector<LocatedText> words;
  if (!reader->Strings("mechanisms", &words)) return;
  draft->written = true;
  draft->good = true;
  std::vector<std::string> known;
  for (const pop3::MechanismInfo& info : pop3::kMechanisms) known.emplace_back(info.word);
  for (const LocatedText& word : words) {
    const auto found = std::find(known.begin(), known.end(), word.text);
    if (found == known.end()) {
      draft->good = false;
      reader->Add(word.position,
                  absl::StrCat("mechanism \"", word.text, "\" is not one of \"",
                               absl::StrJoin(known, "\", \""), "\"", DidYouMean(word.text, known)));
      continue;
    }
    const auto mechanism = static_cast<Mechanism>(found - known.begin());
    if (std::any_of(draft->list.begin(), draft->list.end(),
                    [mechanism](const auto& other) { return other.first == mechanism; })) {
      draft->good = false;
      reader->Add(word.position,
                  absl::StrCat("mechanism \"", word.text, "\" stands twice; remove one"));
      continue;
    }
    draft->list.emplace_back(mechanism, word.position);
  }
}

bool OnlyByCertificate(const Draft& draft) {
  const pop3::DialogueOptions& dialogue = draft.config.dialogue;
  if (dialogue.user_pass || dialogue.apop) return false;
  const auto is_external = [](Mechanism mechanism) { return mechanism == Mechanism::kExternal; };
  const bool shared =
      !dialogue.mechanisms.empty() &&
      std::all_of(dialogue.mechanisms.begin(), dialogue.mechanisms.end(), is_external);
  return std::all_of(
      draft.listeners.begin(), draft.listeners.end(), [&](const ListenerDraft& listener) {
        if (!listener.mechanisms.written) return shared;
        return !listener.mechanisms.list.empty() &&
               std::all_of(listener.mechanisms.list.begin(), listener.mechanisms.list.end(),
                           [&](const auto& own) { return is_external(own.first); });
      });
}

void ValidateMechanisms(Draft* draft, Diagnostics* diagnostics) {
  ValidateByItself(*draft, draft->mechanisms, diagnostics);
  std::vector<ListenerView> views;
  std::vector<ListenerView> sharing;  // the list of [auth]
  for (size_t i = 0; i < draft->listeners.size(); ++i) {
    views.emplace_back(*draft, i);
    if (!draft->listeners[i].mechanisms.written) {
      sharing.push_back(views.back());
      continue;
    }
    ValidateByItself(*draft, draft->listeners[i].mechanisms, diagnostics);
    ValidateOwn(views.back(), diagnostics);
  }
  for (const auto& [mechanism, position] : draft->mechanisms.list) {
    ValidateShared(sharing, mechanism, position, diagnostics);
  }
  for (size_t i = 0; i < views.size(); ++i) {
    Listener& listener = draft->config.listeners[i];
    listener.mechanisms = Narrowed(views[i], draft->config.dialogue.mechanisms);
    ValidateSomeWay(*draft, draft->listeners[i], listener, diagnostics);
  }
}

}  // namespace postern::config
