#include "tests/sim/farm.h"

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proxy/coro/frame_pool.h"
#include "proxy/pop3/proxy_protocol.h"
#include "proxy/snapshot_builder.h"
#include "tests/sim/test_tls.h"
#include "tls/digest.h"

namespace postern::sim {
namespace {

// No world may go on longer than this; the longest deadline of a session is its idle limit.
constexpr DurationNs kWorldTime = 4 * 3600 * kSecond;
// A window of one byte makes a turn of every byte.
constexpr size_t kTurnsMax = 2'000'000;
// Blocks a session may hold: input, two outputs on each side, and one in transit.
constexpr size_t kBlocksPerSession = 7;
constexpr const char* kMasterUser = "master";
constexpr const char* kMasterPassword = "master secret";
constexpr const char* kCanaryPassword = "canary secret";
constexpr size_t kListeners = 5;
constexpr const char* kListenAddresses[kListeners] = {"198.51.100.1:995", "198.51.100.1:110",
                                                      "198.51.100.1:1110", "198.51.100.1:2995",
                                                      "198.51.100.1:2110"};
constexpr const char* kNeighbourNetwork = "192.0.2.0/24";

bool WantsProxyHeader(size_t listener) { return listener >= 3; }
bool SpeaksTls(size_t listener) { return listener != 2 && listener != 4; }

SocketAddress BackendAddress(size_t index, bool unix_socket) {
  return SocketAddress::Parse(unix_socket ? absl::StrCat("unix:/run/backend", index)
                                          : absl::StrCat("10.0.0.", index + 1, ":110"))
      .value();
}

std::string RealPassword(const ClientSpec& client) {
  return client.password_right ? client.password : "another one";
}

tls::Library* SharedLibrary() {
  static tls::Library library;
  return &library;
}

}  // namespace

Farm::Farm(uint64_t seed, FarmSpec spec)
    : spec_(std::move(spec)), io_(seed, spec_.plan), begin_(io_.scheduler().now()) {
  for (const ClientSpec& client : spec_.clients) AddClient(client);
  config::Config config = MakeConfig();
  const size_t listeners = config.listeners.size();
  auto shared = BuildSnapshot(std::move(config), &registry_, 1, &states_).value();
  PutGuard(seed, shared.get());
  stats_.Grow(listeners, spec_.backends.size());
  auto snapshot = BuildWorkerSnapshot(shared, SharedLibrary(), nullptr).value();
  WorkerOptions options;
  options.sessions_max = spec_.sessions_max;
  options.bulk = spec_.bulk;
  worker_ = std::make_unique<Worker>(&io_, &stats_, static_cast<SessionSink*>(this), options);
  std::vector<ListenerSocket> sockets;
  for (const config::Listener& listener : shared->config.listeners) {
    sockets.push_back({listener.address.ToString(), io_.Listen(listener.address)});
  }
  for (size_t i = 0; i < spec_.backends.size(); ++i) AddBackend(i);
  if (spec_.health.probe != config::Probe::kNone) StartChecks(snapshot);
  if (spec_.watched_for > 0) StartWatch(shared);
  worker_->Configure(std::move(snapshot), std::move(sockets));
  if (spec_.drain_after >= 0) {
    io_.scheduler().After(spec_.drain_after, [this] {
      history_.drained = true;
      worker_->Post([this] { worker_->Drain(spec_.timeouts.drain); });
    });
  }
}

Farm::~Farm() = default;

void Farm::StartChecks(const std::shared_ptr<const WorkerSnapshot>& snapshot) {
  store_.Add(kCanaryUser, kCanaryPassword, 0, 0);
  history_.canary = kCanaryUser;
  checker_ = std::make_unique<HealthChecker>(&io_, io_.random().Next());
  checker_->Configure(snapshot);
  for (const DurationNs after : spec_.reloads_after) {
    io_.scheduler().After(after, [this, snapshot] {
      worker_->Post([this, snapshot] { checker_->Configure(snapshot); });
    });
  }
  io_.scheduler().After(spec_.health_for, [this] { worker_->Post([this] { checker_->Stop(); }); });
}

config::Config Farm::MakeConfig() {
  config::Config config;
  config.hostname = TestTls::kName;
  for (size_t i = 0; i < kListeners; ++i) {
    config::Listener listener;
    listener.address = SocketAddress::Parse(kListenAddresses[i]).value();
    listener.name = kListenAddresses[i];
    listener.tls = !SpeaksTls(i) ? config::ListenerTls::kOff
                   : i == 1      ? config::ListenerTls::kStls
                                 : config::ListenerTls::kImplicit;
    listener.plaintext_logins = i == 2;
    if (i == 2) listener.xclient_networks = {IpNetwork::Parse(kNeighbourNetwork).value()};
    if (WantsProxyHeader(i)) {
      listener.proxy_protocol = true;
      listener.proxy_networks = {IpNetwork::Parse(kNeighbourNetwork).value()};
    }
    config.listeners.push_back(std::move(listener));
  }
  config.tls.certificates = {TestTls::Get().files()};
  config.timeouts = spec_.timeouts;
  if (spec_.apop) {
    config.dialogue.apop = true;
    config.dialogue.mechanisms.push_back(pop3::Mechanism::kDigestMd5);
    std::string secrets;
    for (const ClientSpec& client : spec_.clients) {
      if (client.known) absl::StrAppend(&secrets, client.user, ":", RealPassword(client), "\n");
    }
    config.auth.secrets_file = WriteFile("secrets", secrets);
  }
  if (spec_.relay) RelayGreetings(&config);
  if (spec_.sasl) config.dialogue.mechanisms.push_back(pop3::Mechanism::kXoauth2);
  routing::PoolOptions pool;
  pool.name = "mail";
  pool.failover = spec_.failover;
  pool.queue = spec_.queue;
  pool.in_use = spec_.in_use;
  pool.eject = spec_.eject;
  pool.affinity = spec_.affinity;
  for (size_t i = 0; i < spec_.backends.size(); ++i) {
    const BackendSpec& spec = spec_.backends[i];
    config::Backend backend;
    backend.name = absl::StrCat("mail", i + 1);
    if (spec.unix_socket) {
      backend.address.unix_path = absl::StrCat("/run/backend", i);
    } else {
      backend.address.host = absl::StrCat("10.0.0.", i + 1);
      backend.address.port = 110;
    }
    backend.tls = spec.tls;
    backend.tls_options.ca_file = TestTls::Get().ca_file();
    backend.tls_options.server_name = TestTls::kName;
    backend.mechanism = spec.mechanism;
    backend.pipelining = spec.pipelining;
    backend.proxy_protocol = spec.proxy_protocol;
    backend.xclient = spec.xclient;
    if (spec_.sasl) backend.login = config::UpstreamLogin::kSasl;
    if (spec.master) {
      backend.login = config::UpstreamLogin::kMaster;
      backend.master_user = kMasterUser;
      backend.master_password_file = WriteFile("master", absl::StrCat(kMasterPassword, "\n"));
    }
    backend.health = spec_.health;
    if (spec_.health.probe == config::Probe::kLogin) {
      backend.health.user = kCanaryUser;
      if (!spec.master) {
        backend.health.password_file = WriteFile("canary", absl::StrCat(kCanaryPassword, "\n"));
      }
    }
    config.backends.push_back(std::move(backend));
    config.routing.backends.push_back({absl::StrCat("mail", i + 1), 100, false, spec.limits});
    pool.backends.push_back(static_cast<int>(i));
  }
  config.routing.pools = {pool};
  routing::RouteOptions route;
  route.users = "*@example.net";
  route.pool = "mail";
  config.routing.routes = {route};
  return config;
}

void Farm::AddBackend(size_t index) {
  const BackendSpec& spec = spec_.backends[index];
  if (spec.absent) return;
  io_.AddBackend(
      BackendAddress(index, spec.unix_socket), [this, index] { return AnswerConnect(index); },
      [this, index](Endpoint* endpoint) {
        const BackendSpec& backend = spec_.backends[index];
        ServerScript script = DrawScript(index);
        script.implicit_tls = backend.tls == config::UpstreamTls::kImplicit;
        script.model.stls = backend.tls == config::UpstreamTls::kStls;
        script.proxy_header = backend.proxy_protocol != config::UpstreamProxy::kOff;
        script.tls = TestTls::Get().ServerEngines();
        if (backend.master) {
          script.model.master_user = kMasterUser;
          script.model.master_password = kMasterPassword;
        }
        Server server;
        if (spec_.relay) script.model.apop_challenge = absl::StrCat("<", servers_.size(), "@h>");
        script.model.xoauth2 = spec_.sasl;
        script.model.xclient = backend.xclient != config::UpstreamXclient::kOff;
        server.wants_client = script.proxy_header || script.model.xclient;
        server.backend = index;
        server.name = absl::StrCat("backend ", index, " connection ", servers_.size());
        server.peer = std::make_unique<ScriptedServer>(&io_, endpoint, &store_, std::move(script));
        servers_.push_back(std::move(server));
        servers_.back().peer->Start();
      });
}

// --- clients -------------------------------------------------------------------------------------

void Farm::AddClient(const ClientSpec& spec) {
  auto client = std::make_unique<Client>();
  client->spec = spec;
  const size_t number = clients_.size();
  client->address = SocketAddress::Parse(absl::StrCat("203.0.113.9:", 20000 + number)).value();
  client->connects_from = client->address;
  const bool introduced = WantsProxyHeader(spec.listener) ? spec.login != LoginKind::kProxyStranger
                                                          : spec.login == LoginKind::kXclient;
  if (introduced || spec.login == LoginKind::kXclientLoop) {
    client->connects_from =
        SocketAddress::Parse(absl::StrCat("192.0.2.1:", 20000 + number)).value();
  }
  ClientStory& story = client->story;
  story.name = absl::StrCat("client ", number);
  story.address = client->address.ToString();
  story.user = spec.user;
  if (spec.login == LoginKind::kWrongFirst) story.passwords.push_back("wrong");
  if (spec.login == LoginKind::kAlwaysWrong) story.passwords.assign(3, "wrong");
  story.passwords.push_back(spec.password);
  story.password_right = spec.password_right;
  story.known = spec.known;
  story.may_log_in = spec.login < LoginKind::kNone && (spec.listener != 1 || spec.secure) &&
                     spec.known && (spec.login != LoginKind::kApop || spec_.apop || spec_.relay) &&
                     (spec.login != LoginKind::kDigestMd5 || spec_.apop) &&
                     (spec.login != LoginKind::kXoauth2 || spec_.sasl);
  story.session_text = absl::StrJoin(spec.commands, "");
  story.wants_quit = !spec.commands.empty() && spec.commands.back() == "QUIT\r\n";
  store_.Add(spec.user, RealPassword(spec), spec_.messages, spec_.message_bytes);
  clients_.push_back(std::move(client));
  Client* added = clients_.back().get();
  io_.scheduler().After(spec.starts_after, [this, added] { StartClient(added); });
}

void Farm::StartClient(Client* client) {
  Endpoint* endpoint = io_.ConnectTo(
      SocketAddress::Parse(kListenAddresses[client->spec.listener]).value(), client->connects_from);
  client->peer = std::make_unique<ScriptedClient>(&io_, endpoint);
  client->peer->set_pace(client->spec.pace);
  WriteScript(client);
  client->peer->Begin();
  if (client->spec.farewell != Farewell::kResetSometime) return;
  io_.scheduler().After(client->spec.resets_after, [client] {
    if (client->peer->closed()) return;
    client->reset_at_random = true;
    client->peer->ResetNow();
  });
}

void Farm::WriteScript(Client* client) {
  const ClientSpec& spec = client->spec;
  ScriptedClient& peer = *client->peer;
  if (WantsProxyHeader(spec.listener)) WriteProxyHeader(client);
  if (SpeaksTls(spec.listener) && spec.listener != 1) {
    peer.Secure(TestTls::Get().ClientEngines());
  }
  peer.Expect();
  if (spec.listener == 1 && spec.secure && spec.login != LoginKind::kStlsInjection) {
    peer.Send("STLS\r\n");
    peer.Expect();
    peer.SecureAfterOk(TestTls::Get().ClientEngines());
  }
  if (spec.login >= LoginKind::kNone) return WriteHopelessLogin(client);
  WriteLogin(client);
  if (spec.login != LoginKind::kEverythingAtOnce) WriteSession(client);
  WriteFarewell(client);
  peer.Otherwise();
  peer.Send("QUIT\r\n");
  peer.WaitForEnd();
}

void Farm::WriteProxyHeader(Client* client) {
  pop3::ClientIdentity identity;
  identity.client = client->address;
  identity.destination = SocketAddress::Parse("198.51.100.7:995").value();
  if (!SpeaksTls(client->spec.listener)) {
    identity.tls = true;
    identity.tls_version = "TLSv1.3";
    identity.server_name = TestTls::kName;
  }
  std::string header = SpeaksTls(client->spec.listener) ? pop3::WriteProxyV1(identity)
                                                        : pop3::WriteProxyV2(identity, "id");
  if (client->spec.login == LoginKind::kProxyRubbish) header.back() = '!';
  if (client->spec.login == LoginKind::kProxySilence) header.resize(header.size() / 2);
  client->peer->Send(header);
}

void Farm::WriteLogin(Client* client) {
  const ClientSpec& spec = client->spec;
  ScriptedClient& peer = *client->peer;
  const std::string user = absl::StrCat("USER ", spec.user, "\r\n");
  const std::string pass = absl::StrCat("PASS ", spec.password, "\r\n");
  switch (spec.login) {
    case LoginKind::kWrongFirst:
      peer.Send(absl::StrCat(user, "PASS wrong\r\n"));
      peer.Expect(2);
      [[fallthrough]];
    case LoginKind::kUserPass:
      peer.Send(user);
      peer.Expect();
      peer.Send(pass);
      break;
    case LoginKind::kUserPassAtOnce:
      peer.Send(user + pass);
      peer.Expect();
      break;
    case LoginKind::kEverythingAtOnce:
      peer.Send(absl::StrCat(user, pass, client->story.session_text));
      if (client->story.wants_quit) peer.Mark(&client->story.quit_said);
      peer.Expect();
      break;
    case LoginKind::kAuthPlain:
    case LoginKind::kAuthPlainTwoSteps: {
      const std::string message = absl::Base64Escape(absl::StrCat(
          absl::string_view("\0", 1), spec.user, absl::string_view("\0", 1), spec.password));
      if (spec.login == LoginKind::kAuthPlain) {
        peer.Send(absl::StrCat("AUTH PLAIN ", message, "\r\n"));
      } else {
        peer.Send("AUTH PLAIN\r\n");
        peer.Expect();
        peer.Send(message + "\r\n");
      }
      break;
    }
    case LoginKind::kAuthLogin:
      peer.Send("AUTH LOGIN\r\n");
      peer.Expect();
      peer.Send(absl::Base64Escape(spec.user) + "\r\n");
      peer.Expect();
      peer.Send(absl::Base64Escape(spec.password) + "\r\n");
      break;
    case LoginKind::kXoauth2:
      peer.Send(
          absl::StrCat("AUTH XOAUTH2 ",
                       absl::Base64Escape(absl::StrCat("user=", spec.user, "\x01", "auth=Bearer ",
                                                       spec.password, "\x01\x01")),
                       "\r\n"));
      // An error challenge comes first, and wants an empty answer.
      if (!spec.password_right && spec.known) {
        peer.Expect();
        peer.Send("\r\n");
      }
      break;
    case LoginKind::kDigestMd5:
      WriteDigestLogin(client);
      break;
    case LoginKind::kXclient:
      peer.Send(absl::StrCat("XCLIENT ADDR=", client->address.IpText(),
                             " PORT=", client->address.port(), " TTL=2\r\n", user, pass));
      peer.Expect(2);
      break;
    case LoginKind::kApop:
      peer.SendMade([client] {
        const std::string& greeting = client->peer->replies().front();
        const size_t begin = greeting.find('<');
        const std::string challenge = begin == std::string::npos ? "" : greeting.substr(begin);
        return absl::StrCat("APOP ", client->spec.user, " ",
                            tls::Md5Hex(challenge, client->spec.password).value(), "\r\n");
      });
      break;
    default:
      break;
  }
  peer.ExpectLogin();
}

void Farm::WriteHopelessLogin(Client* client) {
  ScriptedClient& peer = *client->peer;
  const std::string& user = client->spec.user;
  switch (client->spec.login) {
    case LoginKind::kQuit:
      peer.Send("QUIT\r\n");
      break;
    case LoginKind::kControlBytes:
      peer.Send(absl::StrCat("USER ", user, absl::string_view("\0admin\r\n", 8)));
      peer.Send(absl::StrCat("USER ", user, "\tvictim\r\nPASS a\tb\r\nPASS ", client->spec.password,
                             "\r\nQUIT\r\n"));
      break;
    case LoginKind::kRubbish:
      for (int i = 0; i < 12; ++i) peer.Send("STAT\r\nFOO:BAR\r\n\r\n");
      break;
    case LoginKind::kAlwaysWrong:
      for (int i = 0; i < 3; ++i) peer.Send(absl::StrCat("USER ", user, "\r\nPASS wrong\r\n"));
      break;
    case LoginKind::kEndlessLine:
      // Beyond every limit; more would only take long through a window of a few bytes.
      peer.Send(std::string(21000, 'A'));
      break;
    case LoginKind::kXclientLoop:
      peer.Send(
          absl::StrCat("XCLIENT TTL=1\r\nUSER ", user, "\r\nPASS ", client->spec.password, "\r\n"));
      break;
    case LoginKind::kHttp:
      peer.Send("GET / HTTP/1.1\r\nUSER victim\r\n\r\n");
      break;
    case LoginKind::kStlsInjection:
      peer.Send(absl::StrCat("STLS\r\nUSER victim-", user, "\r\n"));
      peer.Expect();
      peer.SecureAfterOk(TestTls::Get().ClientEngines());
      peer.Send(absl::StrCat("PASS ", client->spec.password, "\r\n"));
      break;
    default:
      break;
  }
  if (client->spec.farewell == Farewell::kReset) peer.Abort();
  if (client->spec.farewell == Farewell::kLeave) peer.Leave();
  peer.WaitForEnd();
}

void Farm::WriteSession(Client* client) {
  const ClientSpec& spec = client->spec;
  ScriptedClient& peer = *client->peer;
  if (spec.deaf_for > 0) peer.StopReadingFor(spec.deaf_for);
  for (const std::string& command : spec.commands) {
    if (spec.idle_for > 0 && &command == &spec.commands.back()) peer.Wait(spec.idle_for);
    peer.Send(command);
    const bool quit = command == "QUIT\r\n";
    if (quit) peer.Mark(&client->story.quit_said);
    if (!spec.waits || quit || !absl::EndsWith(command, "\n")) continue;
    const bool multiline = command == "LIST\r\n" || command == "UIDL\r\n" ||
                           command == "CAPA\r\n" || absl::StartsWith(command, "RETR") ||
                           absl::StartsWith(command, "TOP");
    multiline ? peer.ExpectMultiline() : peer.Expect();
  }
}

void Farm::WriteFarewell(Client* client) {
  ScriptedClient& peer = *client->peer;
  const bool tls = SpeaksTls(client->spec.listener) && client->spec.ends_tls;
  switch (client->spec.farewell) {
    case Farewell::kLeave:
      if (tls) peer.EndTls();
      peer.Leave();
      break;
    case Farewell::kHalfClose:
      if (tls) peer.EndTls();
      peer.EndOutput();
      break;
    case Farewell::kReset:
      peer.Abort();
      break;
    case Farewell::kWait:
    case Farewell::kResetSometime:
      break;
  }
  peer.WaitForEnd();
}

// --- the run -------------------------------------------------------------------------------------

void Farm::OnSessionEnd(const SessionRecord& record) {
  ++history_.records;
  for (const std::unique_ptr<Client>& client : clients_) {
    // One who was never introduced is known by where it came from.
    if (!(client->address == record.client) && !(client->connects_from == record.client)) continue;
    ++client->story.records;
    client->story.reason = record.reason;
    client->story.record_logged_in = record.logged_in;
    client->story.backend = std::string(record.backend);
    client->story.total = record.total;
  }
}

void Farm::Turn() {
  worker_->RunTurn(kNever);
  if (checker_ != nullptr) checker_->Tidy();
  if (spec_.shared_users) NoteTimes();
  const size_t blocks = worker_->blocks().blocks_out();
  if (blocks > blocks_most_) {
    blocks_most_ = blocks;
    if (blocks > kBlocksPerSession * (worker_->sessions() + 1)) {
      Fail(absl::StrCat("memory: ", blocks, " blocks for ", worker_->sessions(), " sessions"));
    }
  }
}

void Farm::NoteTimes() {
  const DurationNs now = io_.scheduler().now() - begin_;
  for (Server& server : servers_) {
    if (server.logged_in_at < 0 && server.peer->record().logged_in) server.logged_in_at = now;
    const bool over = server.peer->closed() || server.peer->end() != Peer::End::kNone;
    if (server.ended_at < 0 && over) server.ended_at = now;
  }
}

bool Farm::WorldAtRest() {
  return worker_->sessions() == 0 && io_.quiet() && (checker_ == nullptr || checker_->done());
}

std::vector<std::string> Farm::Run() {
  size_t turns = 0;
  const auto too_long = [&] {
    return ++turns > kTurnsMax || io_.scheduler().now() - begin_ > kWorldTime;
  };
  while (!WorldAtRest() && !too_long()) Turn();
  worker_->Drain(kSecond);
  while (!(worker_->done() && WorldAtRest()) && !too_long()) Turn();
  Tell();
  if (!worker_->done()) {
    Fail(absl::StrCat("hang: ", worker_->sessions(), " sessions are still there after ", turns,
                      " turns"));
    for (std::string& failure : Judge()) Fail(std::move(failure));
    // The worker's own checks would end the process before anybody could read this.
    worker_.release();
    checker_.release();
    return std::move(failures_);
  }
  CheckBalance();
  for (std::string& failure : Judge()) Fail(std::move(failure));
  return std::move(failures_);
}

void Farm::Tell() {
  for (const std::unique_ptr<Client>& client : clients_) {
    ClientStory& story = client->story;
    const ScriptedClient& peer = *client->peer;
    story.left_by_reset = client->reset_at_random || peer.closed_by_reset();
    story.broken = peer.broken();
    story.logged_in = peer.logged_in();
    story.replies = peer.replies();
    story.login_reply = peer.login_reply();
    story.heard_after_login = peer.heard_after_login();
    story.end = peer.end();
    history_.clients.push_back(story);
  }
  for (const Server& server : servers_) {
    ServerStory story;
    story.name = server.name;
    story.record = server.peer->record();
    story.fault = server.peer->script().fault;
    story.struck = server.peer->struck();
    story.broken = server.peer->broken();
    story.wants_client = server.wants_client;
    story.told_client = server.peer->told_client();
    if (story.told_client.empty()) story.told_client = story.record.told_client;
    story.backend = server.backend;
    story.logged_in_at = server.logged_in_at;
    story.ended_at = server.ended_at;
    history_.servers.push_back(std::move(story));
  }
  history_.may_turn_away = spec_.sessions_max < spec_.clients.size();
  history_.may_ask_again = spec_.queue.wait > 0 || spec_.in_use.wait > 0;
  history_.errors_injected = io_.errors_injected() > 0;
  for (size_t i = 0; i < kListeners; ++i) {
    history_.connections += stats_.listener(i).connections.Get();
  }
}

void Farm::CheckBalance() {
  for (const std::string& violation : io_.violations()) Fail(absl::StrCat("io: ", violation));
  const auto zero = [this](const char* what, int64_t value) {
    if (value != 0) Fail(absl::StrCat("balance: ", what, " is ", value));
  };
  zero("open descriptors", static_cast<int64_t>(io_.open_descriptors()));
  zero("buffers lent", static_cast<int64_t>(io_.buffers_lent()));
  zero("operations in flight", static_cast<int64_t>(io_.ops_in_flight()));
  zero("large buffers lent", static_cast<int64_t>(worker_->bulk().blocks_lent()));
  zero("pipes lent", static_cast<int64_t>(worker_->bulk().pipes_lent()));
  zero("users in the affinity table", static_cast<int64_t>(states_.affinity()->size()));
  CheckSeats();
  zero("places of the guard", static_cast<int64_t>(PlacesTaken()));
  zero("blocks out", static_cast<int64_t>(worker_->blocks().blocks_out()));
  zero("coroutine frames", static_cast<int64_t>(coro::FramePool::ThisThread().live()));
  zero("connections_active", stats_.loop().connections_active.Get());
  for (size_t i = 0; i < kListeners; ++i) {
    metrics::ListenerStats& listener = stats_.listener(i);
    zero("sessions_active of a listener", listener.sessions_active.Get());
    uint64_t closed = 0;
    for (const metrics::Counter& counter : listener.closed) closed += counter.Get();
    zero("connections without a close reason",
         static_cast<int64_t>(listener.connections.Get() - closed));
  }
  for (size_t i = 0; i < spec_.backends.size(); ++i) {
    metrics::BackendStats& backend = stats_.backend(i);
    zero("sessions_active of a backend", backend.sessions_active.Get());
    uint64_t closed = 0;
    for (const metrics::Counter& counter : backend.closed) closed += counter.Get();
    zero("joined sessions without a close reason",
         static_cast<int64_t>(backend.sessions.Get() - closed));
  }
  worker_.reset();
  checker_.reset();
  if (io_.timers().armed() != 0) Fail("balance: timers are still armed");
}

}  // namespace postern::sim
