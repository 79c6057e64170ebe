// What a backend is told of a client beyond the usual: the values of `forward`, in which words in
// braces stand for what is true of the session.
#ifndef POSTERN_PROXY_CONFIG_FORWARD_H_
#define POSTERN_PROXY_CONFIG_FORWARD_H_

#include <string>

#include "absl/strings/string_view.h"
#include "proxy/config/diagnostics.h"
#include "proxy/config/table_reader.h"
#include "proxy/pop3/forward_fields.h"

namespace postern::config {

// What the words stand for; empty where a session has none.
struct ForwardFacts {
  absl::string_view listener;
  absl::string_view hostname;
  absl::string_view server_name;  // the last four: of the client's TLS
  absl::string_view tls_version;
  absl::string_view tls_cipher;
  absl::string_view certificate;
};

struct ForwardWord {
  absl::string_view name;
  absl::string_view ForwardFacts::*fact;
};
inline constexpr ForwardWord kForwardWords[] = {
    {"listener", &ForwardFacts::listener},       {"hostname", &ForwardFacts::hostname},
    {"server_name", &ForwardFacts::server_name}, {"tls_version", &ForwardFacts::tls_version},
    {"tls_cipher", &ForwardFacts::tls_cipher},   {"certificate", &ForwardFacts::certificate},
};

// Reads `forward` as it is written. False when it is missing or wrong; wrong ones are reported.
bool ReadForwardTable(TableReader* reader, Diagnostics* diagnostics, pop3::ForwardFields* fields);

// One value with its words filled in; it was accepted by ReadForwardTable().
std::string FillForward(absl::string_view value, const ForwardFacts& facts);

}  // namespace postern::config

#endif  // POSTERN_PROXY_CONFIG_FORWARD_H_
