"""What is measured: each scenario by its letter."""

import dataclasses

TLS13 = "TLSv1.3 TLS_AES_128_GCM_SHA256"
TLS12 = "TLSv1.2 ECDHE-ECDSA-AES128-GCM-SHA256"


@dataclasses.dataclass(frozen=True)
class Scenario:
    key: str
    title: str
    about: str
    kind: str = "load"  # which function measures it: KINDS in rounds.py
    group: str = ""  # what --only may say for several of them
    tls: str = ""  # version and cipher that every session must have; "" is no TLS
    certificate: str = "ecdsa"
    resume: bool = False
    script: str = "login"
    messages: int = 0  # fetched by each session
    size: int = 1000
    sessions: int = 100  # at once
    first: int = 200  # sessions of the run that finds out how many fit into the time
    network: str = "loopback"
    rate: float = 0  # sessions a second, the same for all; 0: as many as they can
    arrivals: str = "poisson"
    longer: float = 1  # with a rate: so many times the usual length of a run
    wrong_percent: float = 0
    population: int = 0  # how many users there are; 0: the load generator's default
    setup: dict = dataclasses.field(default_factory=dict)  # of all rows; see peers/peer.py
    # By peer: what its own row has on top of `setup`, where an expert would set it up otherwise.
    peer_setup: dict = dataclasses.field(default_factory=dict)
    checks_each_s: float = 0  # connections of the proxy's own to the stores, at most
    variants: tuple = ()  # further rows: (name, peer, title, what differs)
    variants_only: bool = False
    without: tuple = ()  # peers that cannot do it; the note says why
    seconds: float = 0  # of one run, for the estimate; 0: as usual
    figures: tuple = ("cpu_us", "per_second")
    note: str = ""


LOGIN_VARIANTS = (
    ("postern-log", "postern", "Postern, session log on", {"log": True}),
    ("nginx-no-tickets", "nginx", "nginx, TLS tickets off", {"tickets": False}),
)

# HAProxy's usual buffers, where its own row has others.
HAPROXY_USUAL = (("haproxy-usual", "haproxy", "HAProxy, as for logins", {}),)

ALL = (
    Scenario(
        "b", "Full TLS 1.3 login, ECDSA",
        "Connect, full TLS 1.3 handshake (ECDSA P-256, X25519, AES-128-GCM), greeting, USER, PASS, "
        "QUIT. 100 clients at once, as fast as they can.",
        tls=TLS13, variants=LOGIN_VARIANTS),
    Scenario(
        "a", "Plain login", "Connect, greeting, USER, PASS, QUIT, without TLS. 100 clients at once.",
        first=1000),
    Scenario(
        "b-rsa", "Full TLS 1.3 login, RSA", "As the ECDSA login, with an RSA-2048 certificate.",
        tls=TLS13, certificate="rsa"),
    Scenario(
        "c13", "Resumed TLS 1.3 login",
        "As the full login, but every client comes back with the ticket of its last session "
        "(psk_dhe, X25519).",
        tls=TLS13, resume=True, sessions=50, first=1000,
        note="Postern gives no ticket with an ECDSA certificate unless told to: resuming TLS 1.3 "
             "costs it as much as a full handshake. Here tickets_ecdsa = 1 is set. The first "
             "session of each of the 50 clients is a full handshake."),
    Scenario(
        "c12", "Resumed TLS 1.2 login",
        "TLS 1.2 (ECDHE-ECDSA-AES128-GCM-SHA256); every client comes back with a ticket.",
        tls=TLS12, resume=True, sessions=50, first=1000),
    Scenario(
        "e", "TLS fetch, Ethernet's segments",
        "A TLS 1.3 login that fetches 20 messages of 50 KB, each checked byte by byte. Segments of "
        "1448 bytes, as on an Ethernet without offload.",
        tls=TLS13, script="fetch", messages=20, size=50_000, sessions=50, first=50,
        network="ethernet", figures=("mb_per_cpu_s", "mb_per_s")),
    Scenario(
        "e-lo", "TLS fetch, loopback's segments",
        "The same with the loopback's segments of up to 64 KB: as a card with offload does it.",
        tls=TLS13, script="fetch", messages=20, size=50_000, sessions=50, first=50,
        figures=("mb_per_cpu_s", "mb_per_s")),
    Scenario(
        "f", "TLS bulk",
        "A TLS 1.3 login that fetches 4 messages of 10 MB, each checked byte by byte; 4 at once.",
        tls=TLS13, script="fetch", messages=4, size=10_000_000, sessions=4, first=8,
        peer_setup={"haproxy": {"bufsize": 65536}}, variants=HAPROXY_USUAL,
        figures=("mb_per_cpu_s", "mb_per_s"),
        note="HAProxy has buffers of 64 KB here (tune.bufsize), as who moves much would set it; its "
             "second row is that of the other scenarios."),
    Scenario(
        "g", "Plain bulk", "The same without TLS.", script="fetch", messages=4, size=10_000_000,
        sessions=4, first=8,
        peer_setup={"haproxy": {"bufsize": 65536, "splice": True}}, variants=HAPROXY_USUAL,
        figures=("mb_per_cpu_s", "mb_per_s"),
        note="HAProxy passes bytes on inside the kernel here (option splice-response, with "
             "pipes of 1 MB) and has buffers of 64 KB, as who moves much would set it; its second row "
             "is that of the other scenarios, where splicing costs it more than it saves."),
    Scenario(
        "i", "Memory of idle TLS sessions",
        "What the proxy's resident memory grows by for each of 5,000 sessions that log in over TLS "
        "1.3, 300 a second, and are silent.",
        kind="idle", tls=TLS13, sessions=5000, without=("perdition",), seconds=26,
        variants=(("nginx-4k", "nginx", "nginx, proxy_buffer 4k", {"buffer": "4k"}),
                  ("perdition", "perdition", "Perdition, 1,000 sessions", {"sessions": 1000})),
        figures=("rss_kb", "pss_kb"),
        note="RSS counts a page once for each process that maps it, PSS shares it out: for one "
             "process they say nearly the same. Kernel memory is not in it. nginx is shown with the "
             "buffer of the other scenarios (16 KB) and with its default, which costs it CPU in "
             "bulk. Perdition has a process for each session, so 1,000 must do."),
    Scenario(
        "x", "Three of ten passwords are wrong",
        "Plain logins, 150 a second; the store refuses 30 % of them, and the client says QUIT.",
        rate=150, wrong_percent=30, longer=1.5, seconds=9,
        figures=("cpu_us",),
        note="At a fixed rate, because Postern and Perdition hold a refusal back for 3 s, and "
             "because CPU per session depends on the rate."),
    *(Scenario(
        f"l-{rate}", f"Latency of a TLS 1.3 login, {rate} a second",
        f"Full TLS 1.3 logins (ECDSA) that come by chance, {rate} a second whatever the proxy does "
        "(open loop, Poisson); milliseconds from the intended start to the end of the connection.",
        group="l", tls=TLS13, rate=rate, longer=longer, seconds=3 + 3 * longer,
        without=("perdition",) if rate > 250 else (),
        figures=("p50_ms", "p90_ms", "p99_ms", "cpu_us"),
        note="Perdition cannot take so many." if rate > 250 else "")
      # A thousand sessions and more, so that ten are slower than the 99th percentile.
      for rate, longer in ((100, 3.4), (250, 1.4), (500, 1.3))),
    Scenario(
        "h", "Plain login that asks an auth_http service",
        "The plain login, but where each user lives is asked of an HTTP service in nginx's protocol. "
        "The same service for both, an nginx on the other core, and the same answers.",
        first=1000, setup={"lookup": "asked"}, without=("haproxy", "dovecot", "perdition"),
        variants=(("postern-remembers", "postern", "Postern, answers remembered",
                   {"lookup": "remembered"}),),
        note="Postern's threads ask over connections that stay, and are counted; nothing is "
             "remembered (ttl and negative_ttl are 0s), but in the last row. nginx opens a "
             "connection for each login and remembers nothing."),
    *(Scenario(
        key, f"A farm's features, {words} login",
        f"A {words} login through a pool of two without any further feature, and through one that has "
        "them all: active checks, an agent, ejection, slow start, affinity, a load bound, limits of "
        "sessions and logins, a queue, the whole guard with a delay between logins, a state file.",
        group="o", tls=tls, variants_only=True, first=first, population=10**9, checks_each_s=10,
        variants=(("postern-pool", "postern", "Postern, a pool", {"pool": "bare"}),
                  ("postern-farm", "postern", "Postern, everything on", {"pool": "farm"})),
        note="A billion users, because nobody may log in twice within the delay. All limits are too "
             "high to refuse anybody.")
      for key, words, tls, first in (("o", "plain", "", 1000), ("o-tls", "TLS 1.3", TLS13, 200))),
    Scenario(
        "w", "Waits of a single client",
        "TLS 1.3 logins one every 20 ms, so few that nobody waits for the CPU: what a person's mail "
        "program meets. From the handshake to the greeting, and from QUIT until the server has ended "
        "the connection. A thousand in each round.",
        tls=TLS13, rate=50, arrivals="constant", longer=6.7, seconds=23,
        figures=("quit_p50_ms", "quit_p99_ms", "greeting_p50_ms", "greeting_p99_ms"),
        note="40 ms and more is the network's timer for delayed acknowledgements, not work: a proxy "
             "that writes in pieces without TCP_NODELAY waits for it."),
    Scenario(
        "s", "Many logins at once",
        "Full TLS 1.3 logins, so many at once, through Postern alone: what a login costs when its "
        "state is one of thousands. The limit of open files (see the conditions) allows no more.",
        tls=TLS13, variants_only=True, seconds=14, figures=("cpu_us", "per_second"),
        note="With longer deadlines than usual: so many wait for the core of the clients and stores.",
        variants=tuple((f"postern-{count}", "postern", f"{count:,} at once", {"sessions": count})
                       for count in (1000, 5000, 9000))),
    Scenario(
        "s-idle", "Logins beside many idle sessions",
        "The same with 100 logins at once while the other sessions are logged in and silent.",
        kind="busy", group="s", tls=TLS13, variants_only=True, seconds=18,
        figures=("cpu_us", "per_second"),
        variants=tuple((f"postern-{count}", "postern", f"{count:,} sessions", {"sessions": count})
                       for count in (1000, 5000, 9000))),
    Scenario(
        "storm", "Idle sessions in a storm of handshakes",
        "200 sessions are logged in over TLS and say NOOP twice a second, while 100 clients at once "
        "log in over TLS as fast as the proxy lets them.",
        kind="storm", group="s", tls=TLS13, seconds=6,
        figures=("noop_p50_ms", "noop_p99_ms", "per_second"),
        note="The clients that say NOOP and the stores have real-time priority on the core they "
             "share with the storm's clients, so that what waits is the proxy."),
)

BY_KEY = {scenario.key: scenario for scenario in ALL}


def chosen(names):
    """Scenarios by key or group, in their own order; KeyError with the name that is none."""
    known = set(BY_KEY) | {scenario.group for scenario in ALL if scenario.group}
    for name in names:
        if name not in known:
            raise KeyError(name)
    return [scenario for scenario in ALL if scenario.key in names or scenario.group in names]
