#include "tests/sim/farm_spec.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"

namespace postern::sim {
namespace {

class Drawing {
 public:
  Drawing(uint64_t seed, Weather weather)
      : random_(seed ^ 0x5EED5EED), queue_random_(seed ^ 0x0EEE), weather_(weather) {}

  FarmSpec Draw() {
    if (weather_ == Weather::kHostile) {
      spec_.plan = FaultPlan::Hostile(random_);
    } else if (weather_ != Weather::kFair) {
      spec_.plan = FaultPlan::Unruly(random_);
    } else if (random_.Chance(0.7)) {
      // Every split and every order, but nothing slow enough to meet a deadline.
      spec_.plan = FaultPlan::Unruly(random_);
      spec_.plan.delay_max = random_.Pick<DurationNs>({1000, 100 * kMicrosecond});
      spec_.plan.long_delay = spec_.plan.stall_receive = spec_.plan.late_turn = 0;
    }
    spec_.failover = random_.Chance(0.5);
    spec_.apop = random_.Chance(0.3);
    spec_.sasl = !spec_.apop && random_.Chance(0.4);
    spec_.messages = random_.Below(5);
    spec_.message_bytes = random_.Pick<size_t>({0, 200, 3000, 40000});
    // Megabytes through windows of a few bytes are no new story, only a long one.
    if (spec_.plan.window_max < 1000)
      spec_.message_bytes = std::min<size_t>(spec_.message_bytes, 3000);
    if (weather_ != Weather::kFair && random_.Chance(0.1))
      spec_.sessions_max = 1 + random_.Below(3);
    spec_.backends.clear();
    for (size_t i = 1 + random_.Below(4); i > 0; --i) spec_.backends.push_back(DrawBackend());
    for (size_t i = 1 + random_.Below(5); i > 0; --i) spec_.clients.push_back(DrawClient());
    if (weather_ != Weather::kFair && queue_random_.Chance(0.4)) DrawQueue();
    if (weather_ == Weather::kDraining) {
      spec_.drain_after =
          random_.Between(0, random_.Pick<DurationNs>({10 * kMillisecond, kSecond, 20 * kSecond}));
      spec_.timeouts.drain = random_.Pick<DurationNs>({0, kSecond, 30 * kSecond});
    }
    if (random_.Chance(0.7)) {
      // Every transfer is a long one, and there is not enough for everybody.
      spec_.bulk.block_bytes = 1 + random_.Below(random_.Pick<size_t>({10, 1000, 60000}));
      spec_.bulk.blocks = random_.Below(4);
      spec_.bulk.pipes = random_.Below(4);
      spec_.bulk.long_receive = 1 + random_.Below(random_.Pick<size_t>({1, 200}));
      spec_.bulk.move_min = 1 + random_.Below(random_.Pick<size_t>({1, 200, 5000}));
    }
    return spec_;
  }

 private:
  // Room for few, and patience.
  void DrawQueue() {
    Random& random = queue_random_;
    spec_.queue.wait = random.Pick<DurationNs>({kSecond, 10 * kSecond});
    spec_.queue.waiting_max = static_cast<int>(1 + random.Below(4));
    for (BackendSpec& backend : spec_.backends) {
      if (random.Chance(0.5)) backend.limits.sessions_max = static_cast<int>(1 + random.Below(3));
      if (random.Chance(0.5)) backend.limits.logins_max = static_cast<int>(1 + random.Below(2));
    }
  }

  BackendSpec DrawBackend() {
    BackendSpec backend;
    backend.tls = random_.Pick({config::UpstreamTls::kOff, config::UpstreamTls::kOff,
                                config::UpstreamTls::kImplicit, config::UpstreamTls::kStls});
    if (random_.Chance(0.3)) backend.mechanism = config::UpstreamMechanism::kAuthPlain;
    backend.pipelining = random_.Pick({config::Pipelining::kAuto, config::Pipelining::kAuto,
                                       config::Pipelining::kOn, config::Pipelining::kOff});
    backend.master = spec_.apop && random_.Chance(0.3);
    backend.unix_socket = random_.Chance(0.1);
    if (backend.tls != config::UpstreamTls::kImplicit) {
      backend.proxy_protocol =
          random_.Pick({config::UpstreamProxy::kOff, config::UpstreamProxy::kOff,
                        config::UpstreamProxy::kV1, config::UpstreamProxy::kV2});
    }
    if (backend.proxy_protocol == config::UpstreamProxy::kOff) {
      backend.xclient = random_.Pick({config::UpstreamXclient::kOff, config::UpstreamXclient::kAuto,
                                      config::UpstreamXclient::kOn});
    }
    ServerScript good;
    good.model.pipelining = random_.Chance(0.7);
    good.model.capa = random_.Chance(0.9);
    good.pace = DrawPace();
    backend.scripts = {good};
    if (weather_ == Weather::kFair || random_.Chance(0.3)) return backend;
    backend.absent = random_.Chance(0.05);
    if (random_.Chance(0.3)) {
      backend.connects.push_back(
          {random_.Pick({ConnectAnswer::Kind::kRefuse, ConnectAnswer::Kind::kBlackhole,
                         ConnectAnswer::Kind::kUnreachable}),
           random_.Between(0, 4 * kSecond)});
    }
    for (size_t i = 1 + random_.Below(3); i > 0; --i) {
      ServerScript bad = good;
      // Most faults strike before the login, the worst ones after it: half of each.
      const int first = static_cast<int>(random_.Chance(0.5) ? ServerFault::kCloseAt
                                                             : ServerFault::kCloseAtAccept);
      bad.fault = static_cast<ServerFault>(random_.Between(first, kServerFaultCount - 1));
      // Those of STLS strike nowhere else.
      if (backend.tls == config::UpstreamTls::kStls && random_.Chance(0.2)) {
        bad.fault = random_.Pick({ServerFault::kStlsRefused, ServerFault::kStlsExtraLine});
      }
      // Small offsets meet the first answers, large ones the inside of a message.
      bad.at = random_.Below(random_.Pick<size_t>({1, 40, 400, 5000, 60000}));
      bad.delay = random_.Pick<DurationNs>(
          {kSecond, 5 * kSecond, 29 * kSecond, 31 * kSecond, 61 * kSecond});
      bad.clean_tls_end = random_.Chance(0.5);
      bad.pace = DrawPace();
      backend.scripts.push_back(bad);
    }
    return backend;
  }

  Peer::Pace DrawPace() {
    Peer::Pace pace;
    if (random_.Chance(0.4))
      pace.chunk_max = 1 + random_.Below(random_.Pick<size_t>({1, 40, 3000}));
    if (random_.Chance(0.2)) pace.read_max = 1 + random_.Below(random_.Pick<size_t>({20, 3000}));
    if (spec_.message_bytes > 3000) {
      pace.chunk_max = std::max<size_t>(pace.chunk_max, 500);
      pace.read_max = std::max<size_t>(pace.read_max, 500);
    }
    // Slow enough to matter, fast enough for a handshake to be done in time.
    if (random_.Chance(0.2)) pace.chunk_delay = random_.Pick<DurationNs>({1000, kMillisecond});
    if (random_.Chance(0.2)) pace.read_delay = random_.Pick<DurationNs>({1000, kMillisecond});
    return pace;
  }

  ClientSpec DrawClient() {
    ClientSpec client;
    const size_t number = spec_.clients.size();
    client.listener = random_.Below(5);
    client.secure = random_.Chance(0.95);
    client.known = random_.Chance(0.95);
    client.user = absl::StrCat("user", number, client.known ? "@example.net" : "@nowhere.net");
    client.password = random_.Pick<std::string>({"secret", "a b  c ", "[AUTH]%n%s", "x"});
    client.password += absl::StrCat(number);
    client.password_right = random_.Chance(0.9);
    client.login = DrawLogin();
    if (client.login >= LoginKind::kProxyStranger) client.listener = random_.Pick<size_t>({3, 4});
    if (client.login == LoginKind::kXclient || client.login == LoginKind::kXclientLoop) {
      client.listener = 2;
    }
    client.pace = DrawPace();
    client.starts_after =
        random_.Between(0, random_.Pick<DurationNs>({1, 100 * kMillisecond, 10 * kSecond}));
    client.waits = random_.Chance(0.5);
    client.ends_tls = random_.Chance(0.7);
    if (random_.Chance(0.1)) client.deaf_for = random_.Between(0, 40 * kSecond);
    DrawSession(&client);
    client.farewell =
        random_.Pick({Farewell::kWait, Farewell::kWait, Farewell::kLeave, Farewell::kHalfClose,
                      Farewell::kReset, Farewell::kResetSometime});
    if (weather_ == Weather::kFair) {
      client.farewell = random_.Pick({Farewell::kWait, Farewell::kLeave, Farewell::kHalfClose});
    }
    client.resets_after = random_.Between(
        0, random_.Pick<DurationNs>({kMillisecond, 100 * kMillisecond, 5 * kSecond}));
    return client;
  }

  LoginKind DrawLogin() {
    if (random_.Chance(0.15)) {
      return random_.Pick({LoginKind::kNone, LoginKind::kQuit, LoginKind::kControlBytes,
                           LoginKind::kAlwaysWrong, LoginKind::kRubbish, LoginKind::kEndlessLine,
                           LoginKind::kHttp, LoginKind::kStlsInjection, LoginKind::kProxyStranger,
                           LoginKind::kProxyRubbish, LoginKind::kProxySilence,
                           LoginKind::kXclientLoop});
    }
    return random_.Pick(
        {LoginKind::kUserPass, LoginKind::kUserPassAtOnce, LoginKind::kEverythingAtOnce,
         LoginKind::kEverythingAtOnce, LoginKind::kAuthPlain, LoginKind::kAuthPlainTwoSteps,
         LoginKind::kAuthLogin, LoginKind::kXclient,
         spec_.sasl ? LoginKind::kXoauth2 : LoginKind::kUserPass,
         spec_.apop ? LoginKind::kApop : LoginKind::kUserPass, LoginKind::kWrongFirst});
  }

  void DrawSession(ClientSpec* client) {
    for (size_t i = random_.Below(8); i > 0; --i) {
      const size_t number = 1 + random_.Below(spec_.messages + 1);
      client->commands.push_back(random_.Pick<std::string>(
          {"STAT\r\n", "LIST\r\n", "UIDL\r\n", "NOOP\r\n", "RSET\r\n", "CAPA\r\n",
           absl::StrCat("RETR ", number, "\r\n"), absl::StrCat("RETR ", number, "\r\n"),
           absl::StrCat("TOP ", number, " 0\r\n"), absl::StrCat("DELE ", number, "\r\n"),
           absl::StrCat("DELE ", number, "\r\n"), "what is this\r\n"}));
    }
    if (random_.Chance(0.7)) {
      client->commands.push_back("QUIT\r\n");
    } else if (random_.Chance(0.7)) {
      client->commands.push_back(std::string("QUIT\r\n").substr(0, 1 + random_.Below(5)));
    }
  }

  Random random_;
  Random queue_random_;  // of its own, so that the worlds of old seeds stay what they were
  Weather weather_;
  FarmSpec spec_;
};

}  // namespace

const char* WeatherName(Weather weather) {
  switch (weather) {
    case Weather::kFair:
      return "Fair";
    case Weather::kUnruly:
      return "Unruly";
    case Weather::kHostile:
      return "Hostile";
    case Weather::kDraining:
      return "Draining";
  }
  return "";
}

FarmSpec DrawFarm(uint64_t seed, Weather weather) { return Drawing(seed, weather).Draw(); }

}  // namespace postern::sim
