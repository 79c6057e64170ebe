// Reads the [[lookup]] tables and compares them with the routes that name them.
#include "proxy/config/lookups.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proxy/config/draft.h"
#include "proxy/config/lookup_sources.h"
#include "proxy/config/value_syntax.h"
#include "routing/stable_hash.h"

namespace postern::config {
namespace {

constexpr DurationNs kHour = 3600 * kSecond;

bool TellsSecrets(const routing::SqlOptions& options) {
  return absl::StrContains(options.query, "login_secret");
}
bool TellsSecrets(const routing::LdapOptions& options) {
  return !options.login_secret_attribute.empty();
}
bool TellsSecrets(const routing::RedisOptions& options) {
  return !options.login_secret_field.empty();
}

const std::string& CaFileOf(const routing::LdapOptions& options) { return options.ca_file; }
template <typename Options>
const std::string& CaFileOf(const Options& options) {
  return options.tls.ca_file;
}

const std::string& PasswordFileOf(const routing::LdapOptions& options) {
  return options.bind_password_file;
}
template <typename Options>
const std::string& PasswordFileOf(const Options& options) {
  return options.password_file;
}

void ParseType(TableReader* reader, const std::string& file, routing::PostgresqlOptions* options) {
  ParsePostgresqlLookup(reader, file, options);
}
void ParseType(TableReader* reader, const std::string& file, routing::MysqlOptions* options) {
  ParseMysqlLookup(reader, file, options);
}
void ParseType(TableReader* reader, const std::string& file, routing::LdapOptions* options) {
  ParseLdapLookup(reader, file, options);
}
void ParseType(TableReader* reader, const std::string& file, routing::RedisOptions* options) {
  ParseRedisLookup(reader, file, options);
}

// A type that knows where users live, and perhaps their secrets, but judges nobody.
template <typename Options>
void ParseServerLookup(TableReader* reader, const std::string& file_name, Diagnostics*,
                       Lookup* lookup) {
  auto options = std::make_shared<Options>();
  ParseType(reader, file_name, options.get());
  lookup->password_file = PasswordFileOf(*options);
  if (!CaFileOf(*options).empty()) lookup->files.push_back(CaFileOf(*options));
  lookup->traits.judges_digests = TellsSecrets(*options);
  lookup->server = std::move(options);
}

struct LookupType {
  absl::string_view word;
  LookupParser parse;
};

// A type of source has a line here and a file lookup_TYPE.cc.
constexpr LookupType kTypes[] = {
    {"auth_http", &ParseAuthHttpLookup},
    {"postgresql", &ParseServerLookup<routing::PostgresqlOptions>},
    {"mysql", &ParseServerLookup<routing::MysqlOptions>},
    {"ldap", &ParseServerLookup<routing::LdapOptions>},
    {"redis", &ParseServerLookup<routing::RedisOptions>},
};

// A text of the whole value that is the same for the same value, wherever it stands.
void Describe(const TomlNode& node, std::string* text) {
  absl::StrAppend(text, static_cast<int>(node.kind), ":", node.text.size(), ":", node.text, ":",
                  node.integer, node.boolean ? "t" : "f", "[");
  for (const TomlNode& item : node.items) Describe(item, text);
  absl::StrAppend(text, "]{");
  std::vector<const TomlEntry*> entries;
  for (const TomlEntry& entry : node.entries) entries.push_back(&entry);
  std::sort(entries.begin(), entries.end(),
            [](const TomlEntry* a, const TomlEntry* b) { return a->key < b->key; });
  for (const TomlEntry* entry : entries) {
    absl::StrAppend(text, entry->key.size(), ":", entry->key, "=");
    Describe(entry->value, text);
  }
  *text += "}";
}

void ParseCache(const TomlNode& table, Diagnostics* diagnostics, Lookup* lookup) {
  TableReader reader(table, "cache", diagnostics);
  routing::LookupOptions& options = lookup->options;
  reader.Duration("ttl", 0, 24 * kHour, &options.ttl);
  reader.Duration("negative_ttl", 0, 24 * kHour, &options.negative_ttl);
  reader.Duration("stale", 0, 24 * kHour, &options.stale);
  int entries = static_cast<int>(options.entries);
  reader.Int("entries", 0, 100'000'000, &entries);
  options.entries = static_cast<size_t>(entries);
  // What the source sees may change its answer; whether it does, only the operator knows.
  reader.Bool("per_client", &lookup->traits.sees_client);
  reader.Finish();
}

void ParseNetworks(TableReader* reader, Lookup* lookup) {
  std::vector<LocatedText> texts;
  if (!reader->Strings("networks", &texts)) return;
  for (const LocatedText& text : texts) {
    absl::StatusOr<IpNetwork> network = IpNetwork::Parse(text.text);
    if (network.ok()) {
      lookup->networks.push_back(*std::move(network));
    } else {
      reader->Add(text.position, absl::StrCat("networks: ", network.status().message(),
                                              "; write it as \"10.0.0.0/8\" or \"2001:db8::1\""));
    }
  }
}

void ParseLookup(const TomlNode& table, Draft* draft, Diagnostics* diagnostics) {
  TableReader reader(table, "[[lookup]]", diagnostics, &TopLevelKeys());
  Lookup lookup;
  lookup.line = table.position.line;
  lookup.fingerprint = FingerprintOf(table);
  Setting<std::string> name;
  ReadSetting(reader, "name", &name, [&](std::string* out) { return reader.String("name", out); });
  if (!name.written) reader.Missing("name", "name = \"auth\"");
  if (name.good && !IsEntityName(name.value)) {
    reader.Add(name.position,
               absl::StrCat("name = \"", name.value,
                            "\" must be 1 to 64 letters, digits, dots, hyphens or underscores, "
                            "the first a letter or digit; write one as \"auth\""));
  }
  for (const Lookup& other : draft->config.lookups) {
    if (!name.good || other.options.name != name.value) continue;
    reader.Add(name.position,
               absl::StrCat("lookup \"", name.value, "\" has the name of the one in line ",
                            other.line, "; give each its own"));
  }
  lookup.options.name = name.value;
  Words<LookupParser> words;
  for (const LookupType& type : kTypes) words.emplace_back(type.word, type.parse);
  LookupParser parse = nullptr;
  if (!reader.Has("type")) reader.Missing("type", absl::StrCat("type = \"", kTypes[0].word, "\""));
  const bool known = reader.Word<LookupParser>("type", words, &parse);
  reader.Duration("timeout", 10 * kMillisecond, 60 * kSecond, &lookup.options.timeout);
  reader.Int("connections", 1, 256, &lookup.options.connections);
  int queue_max = static_cast<int>(lookup.options.queue_max);
  reader.Int("queue_max", 0, 1'000'000, &queue_max);
  lookup.options.queue_max = static_cast<size_t>(queue_max);
  ParseNetworks(&reader, &lookup);
  if (known) {
    for (const LookupType& type : kTypes) {
      if (type.parse == parse) lookup.type = std::string(type.word);
    }
    parse(&reader, draft->config.file, diagnostics, &lookup);
  }
  if (const TomlNode* cache = reader.Table("cache")) ParseCache(*cache, diagnostics, &lookup);
  // Which other keys there are, only the type says, and only if it was built.
  if (known && lookup.built()) reader.Finish();
  draft->config.lookups.push_back(std::move(lookup));
}

}  // namespace

uint64_t FingerprintOf(const TomlNode& table) {
  std::string text;
  Describe(table, &text);
  return routing::StableHash(text);
}

void ParseLookups(TableReader* reader, Draft* draft, Diagnostics* diagnostics) {
  for (const TomlNode* table : reader->Tables("lookup")) ParseLookup(*table, draft, diagnostics);
}

void ValidateLookupRoute(const RouteDraft& route, const Draft& draft, Diagnostics* diagnostics) {
  const auto useless = [diagnostics](absl::string_view key, Position where) {
    diagnostics->Add(where,
                     absl::StrCat("this route has both lookup and ", key, "; write two routes"));
  };
  if (route.users.written) useless("users", route.users.position);
  if (!route.lookup.good) return;
  std::vector<std::string> names;
  for (const Lookup& lookup : draft.config.lookups) {
    if (lookup.options.name == route.lookup.value) return;
    names.push_back(lookup.options.name);
  }
  const std::string suggestion = DidYouMean(route.lookup.value, names);
  diagnostics->Add(route.lookup.position,
                   absl::StrCat("there is no lookup \"", route.lookup.value, "\"",
                                suggestion.empty() ? "; define it with [[lookup]]" : suggestion));
}

bool LookupsJudgeDigests(const Draft& draft) {
  return std::any_of(draft.config.lookups.begin(), draft.config.lookups.end(),
                     [](const Lookup& lookup) { return lookup.traits.judges_digests; });
}

bool LookupsJudgePasswords(const Draft& draft) {
  return std::any_of(draft.config.lookups.begin(), draft.config.lookups.end(),
                     [](const Lookup& lookup) { return lookup.traits.judges_credentials; });
}

}  // namespace postern::config
