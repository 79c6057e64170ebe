// [[lookup]] with type = "ldap".
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proxy/config/lookup_sources.h"
#include "routing/lookup/answer_row.h"

namespace postern::config {
namespace {

void ParseUris(TableReader* reader, routing::LdapOptions* options) {
  constexpr absl::string_view kLine = "uris = [\"ldaps://ldap1.example.net\"]";
  std::vector<LocatedText> texts;
  if (!reader->Strings("uris", &texts)) {
    if (!reader->Has("uris")) reader->Missing("uris", kLine);
    return;
  }
  if (texts.empty()) reader->Add(reader->At("uris"), absl::StrCat("uris is empty; write ", kLine));
  for (const LocatedText& text : texts) {
    bool good = false;
    for (const char* scheme : {"ldap://", "ldaps://", "ldapi://"}) {
      good = good || (absl::StartsWith(text.text, scheme) &&
                      text.text.size() > absl::string_view(scheme).size() &&
                      !absl::StrContains(text.text, ' '));
    }
    if (!good) {
      reader->Add(text.position,
                  absl::StrCat("uris: \"", text.text,
                               "\" is no address of a directory; write it as "
                               "\"ldaps://ldap1.example.net\" or \"ldap://10.0.0.5:389\""));
    }
    options->uris.push_back(text.text);
  }
}

}  // namespace

void ParseLdapLookup(TableReader* reader, const std::string& file_name,
                     routing::LdapOptions* options) {
#ifndef POSTERN_LDAP
  reader->Add(reader->At("type"),
              "this postern was built without LDAP; build it with POSTERN_LDAP");
#endif
  ParseUris(reader, options);
  reader->Bool("start_tls", &options->start_tls);
  ParseLookupPath(reader, "ca", file_name, &options->ca_file);
  reader->Bool("insecure", &options->insecure);
  const bool has_dn = reader->String("bind_dn", &options->bind_dn);
  ParseLookupPath(reader, "bind_password_file", file_name, &options->bind_password_file);
  if (has_dn && !reader->Has("bind_password_file")) {
    // RFC 4513 section 5.1.2: a name without a password is anonymous all the same.
    reader->Add(reader->At("bind_dn"), "bind_dn needs a password; write bind_password_file");
  }
  if (!reader->Has("bind_dn") && reader->Has("bind_password_file")) {
    reader->Add(reader->At("bind_password_file"),
                "bind_password_file means nothing without bind_dn; write it or remove this one");
  }
  ParseLookupText(reader, "base", "ou=people,dc=example,dc=net", &options->base);
  reader->Word<routing::LdapScope>("scope",
                                   {{"sub", routing::LdapScope::kSub},
                                    {"one", routing::LdapScope::kOne},
                                    {"base", routing::LdapScope::kBase}},
                                   &options->scope);
  ParseLookupText(reader, "filter", "(mail={user})", &options->filter);
  if (!options->filter.empty() && !routing::PatternNamesUser(options->filter)) {
    reader->Add(reader->At("filter"),
                "the filter does not look at the user, so that all would get one answer; use "
                "{user} or {local}");
  }
  reader->String("target_attribute", &options->target_attribute);
  reader->String("login_user_attribute", &options->login_user_attribute);
  reader->String("login_secret_attribute", &options->login_secret_attribute);
}

}  // namespace postern::config
