// Reads [[backend]], [[pool]] and [[route]] key by key into a Draft.
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "proxy/config/draft.h"
#include "proxy/config/value_syntax.h"

namespace postern::config {
namespace {

void ReadPath(TableReader* reader, absl::string_view key, const std::string& file_name,
              Setting<std::string>* setting) {
  ReadSetting(*reader, key, setting, [&](std::string* out) { return reader->String(key, out); });
  if (setting->good) setting->value = ResolvePath(file_name, setting->value);
}

bool ReadServerName(TableReader* reader, std::string* out) {
  if (!reader->String("server_name", out)) return false;
  HostPort name;
  name.host = *out;
  if (IsDnsName(*out) || name.is_literal()) return true;
  reader->Add(reader->At("server_name"),
              absl::StrCat("server_name = \"", *out,
                           "\" is neither a DNS name nor an IP address; write the name that "
                           "stands in the backend's certificate"));
  return false;
}

// The keys that a pool and a backend share.
void ReadUpstream(TableReader* reader, const std::string& file_name, UpstreamDraft* upstream,
                  Diagnostics* diagnostics) {
  ReadSetting(*reader, "tls", &upstream->tls, [&](UpstreamTls* out) {
    return reader->Word<UpstreamTls>("tls",
                                     {{"off", UpstreamTls::kOff},
                                      {"implicit", UpstreamTls::kImplicit},
                                      {"stls", UpstreamTls::kStls}},
                                     out);
  });
  ReadPath(reader, "ca", file_name, &upstream->ca);
  ReadSetting(*reader, "server_name", &upstream->server_name,
              [&](std::string* out) { return ReadServerName(reader, out); });
  ReadSetting(*reader, "insecure", &upstream->insecure,
              [&](bool* out) { return reader->Bool("insecure", out); });
  ReadSetting(*reader, "login", &upstream->login, [&](UpstreamLogin* out) {
    return reader->Word<UpstreamLogin>("login",
                                       {{"password", UpstreamLogin::kPassword},
                                        {"master", UpstreamLogin::kMaster},
                                        {"sasl", UpstreamLogin::kSasl},
                                        {"secret", UpstreamLogin::kSecret}},
                                       out);
  });
  ReadSetting(*reader, "mechanism", &upstream->mechanism, [&](UpstreamMechanism* out) {
    return reader->Word<UpstreamMechanism>("mechanism",
                                           {{"user-pass", UpstreamMechanism::kUserPass},
                                            {"auth-plain", UpstreamMechanism::kAuthPlain}},
                                           out);
  });
  ReadSetting(*reader, "pipelining", &upstream->pipelining, [&](Pipelining* out) {
    return reader->Word<Pipelining>(
        "pipelining",
        {{"auto", Pipelining::kAuto}, {"on", Pipelining::kOn}, {"off", Pipelining::kOff}}, out);
  });
  ParseIntroduction(reader, diagnostics, upstream);
  ReadSetting(*reader, "master_user", &upstream->master_user,
              [&](std::string* out) { return reader->String("master_user", out); });
  ReadPath(reader, "master_password_file", file_name, &upstream->master_password_file);
  ReadSetting(*reader, "master_format", &upstream->master_format,
              [&](std::string* out) { return ReadMasterFormat(reader, out); });
  ReadSetting(*reader, "referrals", &upstream->referrals,
              [&](int* out) { return reader->Int("referrals", 0, 5, out); });
  ReadSetting(*reader, "health", &upstream->health, [&](HealthDraft* out) {
    const TomlNode* table = reader->Table("health");
    return table != nullptr && ParseHealth(*table, file_name, diagnostics, out);
  });
  ParseLimits(reader, upstream);
}

bool ReadName(TableReader* reader, std::string* out) {
  if (!reader->String("name", out)) return false;
  if (IsEntityName(*out)) return true;
  reader->Add(reader->At("name"),
              absl::StrCat("name = \"", *out,
                           "\" must be 1 to 64 letters, digits, dots, hyphens or underscores, "
                           "the first a letter or digit; write one as \"mail1\""));
  return false;
}

// "_pop3._tcp.example.org": two labels that begin with an underscore, then a DNS name (RFC 2782).
bool IsServiceName(absl::string_view text) {
  for (int i = 0; i < 2; ++i) {
    const size_t dot = text.find('.');
    if (dot == absl::string_view::npos || dot < 2 || text[0] != '_') return false;
    if (!IsDnsName(text.substr(1, dot - 1))) return false;
    text.remove_prefix(dot + 1);
  }
  return text.size() <= 200 && IsDnsName(text);
}

bool ReadBackendAddress(TableReader* reader, std::string* out, HostPort* host_port) {
  if (!reader->String("address", out)) return false;
  absl::string_view service = *out;
  if (absl::ConsumePrefix(&service, "srv:")) {
    if (IsServiceName(service)) {
      host_port->host = std::string(service);
      host_port->srv = true;
      return true;
    }
    reader->Add(reader->At("address"), absl::StrCat("address: \"", service,
                                                    "\" is no name of a service; write it as "
                                                    "\"srv:_pop3._tcp.example.net\""));
    return false;
  }
  absl::StatusOr<HostPort> parsed = ParseHostPort(*out);
  std::string why;
  if (!parsed.ok()) {
    why = std::string(parsed.status().message());
  } else if (!parsed->is_unix() && parsed->port == 0) {
    why = absl::StrCat("\"", *out, "\" has port 0");
  } else if (!parsed->is_unix() && !parsed->is_literal() && !IsDnsName(parsed->host)) {
    why = absl::StrCat("\"", parsed->host, "\" is neither a DNS name nor an IP address");
  } else {
    *host_port = *std::move(parsed);
    return true;
  }
  reader->Add(reader->At("address"),
              absl::StrCat("address: ", why,
                           "; write it as \"10.0.0.11:110\", \"mail1.example.net:995\", "
                           "\"srv:_pop3._tcp.example.net\" or \"unix:/run/pop3.sock\""));
  return false;
}

BackendDraft ParseBackend(const TomlNode& table, const std::string& file_name, int pool,
                          Diagnostics* diagnostics) {
  TableReader reader(table, pool < 0 ? "[[backend]]" : "a backend", diagnostics, &TopLevelKeys());
  BackendDraft backend;
  backend.table = table.position;
  backend.pool = pool;
  ReadSetting(reader, "name", &backend.name,
              [&](std::string* out) { return ReadName(&reader, out); });
  if (!backend.name.written) reader.Missing("name", "name = \"mail1\"");
  ReadSetting(reader, "address", &backend.address, [&](std::string* out) {
    return ReadBackendAddress(&reader, out, &backend.host_port);
  });
  if (!backend.address.written) reader.Missing("address", "address = \"10.0.0.11:110\"");
  int weight = 100;
  reader.Int("weight", 0, 10000, &weight);
  backend.weight = static_cast<uint32_t>(weight);
  ReadSetting(reader, "backup", &backend.backup,
              [&](bool* out) { return reader.Bool("backup", out); });
  if (const TomlNode* agent = reader.Table("agent")) {
    ParseAgent(*agent, diagnostics, &backend.agent);
  }
  ReadUpstream(&reader, file_name, &backend.own, diagnostics);
  reader.Finish();
  return backend;
}

void ParseMembers(TableReader* reader, int pool_index, PoolDraft* pool, Draft* draft,
                  Diagnostics* diagnostics) {
  pool->backends = reader->At("backends");
  if (!reader->Has("backends")) {
    reader->Missing("backends", "backends = [{ name = \"mail1\", address = \"10.0.0.11:110\" }]");
  }
  const TomlNode* list = reader->List("backends");
  if (list == nullptr) return;
  pool->backends_good = true;
  for (const TomlNode& item : list->items) {
    PoolMember member;
    member.position = item.position;
    if (item.kind == NodeKind::kTable) {
      member.backend = static_cast<int>(draft->backends.size());
      draft->backends.push_back(ParseBackend(item, draft->config.file, pool_index, diagnostics));
    } else if (item.kind == NodeKind::kString) {
      if (!TableReader::ReadText(item, "an item of backends", false, diagnostics, &member.name)) {
        pool->backends_good = false;
        continue;
      }
    } else {
      diagnostics->Add(item.position,
                       absl::StrCat("an item of backends is ", NodeKindName(item.kind),
                                    "; it must be { name = ..., address = ... } or the name of "
                                    "a [[backend]] in quotes"));
      pool->backends_good = false;
      continue;
    }
    pool->members.push_back(std::move(member));
  }
}

void ParsePool(const TomlNode& table, Draft* draft, Diagnostics* diagnostics) {
  TableReader reader(table, "[[pool]]", diagnostics, &TopLevelKeys());
  PoolDraft pool;
  pool.table = table.position;
  ReadSetting(reader, "name", &pool.name, [&](std::string* out) { return ReadName(&reader, out); });
  if (!pool.name.written) reader.Missing("name", "name = \"mail\"");
  ParseBalance(&reader, diagnostics, &pool.balance);
  reader.Bool("affinity", &pool.affinity);
  ReadSetting(reader, "affinity_for", &pool.affinity_for, [&](DurationNs* out) {
    return reader.Duration("affinity_for", 0, 24 * 3600 * kSecond, out);
  });
  ParseInUse(&reader, diagnostics, &pool.in_use);
  if (DurationNs delay = 0; ReadLoginDelay(&reader, &delay)) pool.login_delay = delay;
  if (const TomlNode* eject = reader.Table("eject")) ParseEject(*eject, diagnostics, &pool);
  ReadUpstream(&reader, draft->config.file, &pool.defaults, diagnostics);
  ParseMembers(&reader, static_cast<int>(draft->pools.size()), &pool, draft, diagnostics);
  reader.Finish();
  draft->pools.push_back(std::move(pool));
}

void ParseRoute(const TomlNode& table, Draft* draft, Diagnostics* diagnostics) {
  TableReader reader(table, "[[route]]", diagnostics, &TopLevelKeys());
  RouteDraft route;
  route.table = table.position;
  ReadPath(&reader, "map", draft->config.file, &route.map);
  ReadPath(&reader, "cdb", draft->config.file, &route.cdb);
  ReadPath(&reader, "rules", draft->config.file, &route.rules);
  ReadSetting(reader, "regex", &route.regex,
              [&](std::string* out) { return reader.String("regex", out); });
  ReadSetting(reader, "target", &route.target,
              [&](std::string* out) { return reader.String("target", out); });
  ReadSetting(reader, "users", &route.users,
              [&](std::string* out) { return reader.String("users", out); });
  ReadSetting(reader, "pool", &route.pool,
              [&](std::string* out) { return reader.String("pool", out); });
  ReadSetting(reader, "backend", &route.backend,
              [&](std::string* out) { return reader.String("backend", out); });
  ReadSetting(reader, "lookup", &route.lookup,
              [&](std::string* out) { return reader.String("lookup", out); });
  if (DurationNs delay = 0; ReadLoginDelay(&reader, &delay)) route.login_delay = delay;
  reader.Finish();
  draft->routes.push_back(std::move(route));
}

}  // namespace

void ParseUpstreams(TableReader* reader, Draft* draft, Diagnostics* diagnostics) {
  for (const TomlNode* table : reader->Tables("backend")) {
    draft->backends.push_back(ParseBackend(*table, draft->config.file, -1, diagnostics));
  }
  for (const TomlNode* table : reader->Tables("pool")) ParsePool(*table, draft, diagnostics);
  for (const TomlNode* table : reader->Tables("route")) ParseRoute(*table, draft, diagnostics);
}

}  // namespace postern::config
