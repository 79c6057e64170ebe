#include "proxy/admin/lookup_asker.h"

#include <chrono>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "proxy/base/socket_address.h"
#include "proxy/config/value_syntax.h"
#include "proxy/lookup_source_maker.h"

namespace postern::admin {

routing::LookupQuestion QuestionFor(const AskedLogin& login, const std::string& user) {
  routing::LookupQuestion question;
  question.user = user;
  question.method = "plain";
  question.password = login.password.Clone();
  question.client_ip = login.client_ip.empty() ? std::string(kExampleClient) : login.client_ip;
  // In the spelling of a session.
  const absl::StatusOr<SocketAddress> client = SocketAddress::FromIp(question.client_ip, 0);
  if (client.ok()) question.client_ip = client->IpText();
  question.listener = login.listener->name;
  question.tls = login.listener->tls != config::ListenerTls::kOff;
  if (question.tls && config::IsDnsName(login.sni)) question.sni = login.sni;
  return question;
}

routing::AskForExplanation LookupAsker(const config::Config& config, const AskedLogin& login) {
  return [&config, &login](size_t number, const std::string& user, std::string* note) {
    const config::Lookup& lookup = config.lookups[number];
    const routing::LookupQuestion question = QuestionFor(login, user);
    const auto began = std::chrono::steady_clock::now();
    const absl::StatusOr<routing::LookupFactory> make = PrepareLookup(lookup);
    if (!make.ok()) {
      return routing::LookupAnswer::Of(routing::LookupAnswer::Kind::kTemporary,
                                       std::string(make.status().message()));
    }
    const std::unique_ptr<routing::LookupSource> source = (*make)();
    routing::LookupAnswer answer =
        source->Ask(question, began + std::chrono::nanoseconds(lookup.options.timeout));
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - began;
    *note = absl::StrFormat("asked now, %.1f ms", took.count());
    if (lookup.traits.judges_credentials && login.password.empty()) {
      *note = absl::StrCat(*note, "; no password was shown, --password-file has one");
    }
    return answer;
  };
}

}  // namespace postern::admin
