"""What is measured: each scenario by its letter."""

import dataclasses

TLS13 = "TLSv1.3 TLS_AES_128_GCM_SHA256"
TLS12 = "TLSv1.2 ECDHE-ECDSA-AES128-GCM-SHA256"


@dataclasses.dataclass(frozen=True)
class Scenario:
    key: str
    title: str
    about: str
    kind: str = "load"  # which function of rounds.py measures it
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
    wrong_percent: int = 0
    variants: tuple = ()  # further rows: (name, peer, title, what differs)
    figures: tuple = ("cpu_us", "per_second")
    note: str = ""


LOGIN_VARIANTS = (
    ("postern-log", "postern", "Postern, session log on", {"log": True}),
    ("nginx-no-tickets", "nginx", "nginx, TLS tickets off", {"tickets": False}),
)

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
        network="ethernet", figures=("mb_per_cpu_s", "cpu_us")),
    Scenario(
        "e-lo", "TLS fetch, loopback's segments",
        "The same with the loopback's segments of up to 64 KB: as a card with offload does it.",
        tls=TLS13, script="fetch", messages=20, size=50_000, sessions=50, first=50,
        figures=("mb_per_cpu_s", "cpu_us")),
    Scenario(
        "f", "TLS bulk",
        "A TLS 1.3 login that fetches 4 messages of 10 MB, each checked byte by byte; 8 at once.",
        tls=TLS13, script="fetch", messages=4, size=10_000_000, sessions=8, first=8,
        figures=("mb_per_cpu_s", "cpu_us")),
    Scenario(
        "g", "Plain bulk", "The same without TLS.", script="fetch", messages=4, size=10_000_000,
        sessions=8, first=8, figures=("mb_per_cpu_s", "cpu_us")),
)

BY_KEY = {scenario.key: scenario for scenario in ALL}
