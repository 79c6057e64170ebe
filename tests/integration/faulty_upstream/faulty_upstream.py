"""POP3 backends that misbehave, one named fault each.

A fault replaces one step of a well-behaved conversation (pop3_backend.py). FAULTS is the table of
them all; `backend(name, mode)` makes a backend with one. Faults that belong to TLS or STLS name the
modes they make sense in.

In tests/integration, `python3 -m faulty_upstream.faulty_upstream FAULT` runs one by hand.
"""

import argparse
import dataclasses
import fcntl
import socket
import ssl
import struct
import time
import warnings
from collections.abc import Callable

from .pop3_backend import Backend, BackendFarm

ALL_MODES = ("plain", "stls", "tls")
# Only a deadline of the proxy ends these.
SILENT = {
    "blackhole", "no-greeting", "drip-greeting-forever", "stls-stall", "stls-handshake-stall",
    "handshake-stall", "no-capa-reply", "capa-without-end", "no-user-reply", "no-pass-reply",
    "drip-pass-forever", "stall-mid-retr", "stall-on-quit",
}  # fmt: skip
HIDDEN = b"+OK bytes that no client may ever see\r\n"


@dataclasses.dataclass(frozen=True)
class Fault:
    step: str
    act: Callable | None
    modes: tuple = ALL_MODES
    certificate: str = ""  # "", or the kind of certificate the backend shows
    listening: str = "yes"  # as in Backend
    pipelining: bool = False


FAULTS = {}


def fault(name, step, modes=ALL_MODES, **more):
    def register(act):
        assert name not in FAULTS
        FAULTS[name] = Fault(step, act, modes, **more)
        return act

    return register


def says(name, step, reply, modes=ALL_MODES, **more):
    """A fault that only answers the wrong thing and waits."""
    fault(name, step, modes, **more)(lambda c: c.send(reply))


def reply_then(reply, ending):
    def act(conversation):
        conversation.send(reply)
        getattr(conversation, ending)()

    return act


def log_in_then(ending):
    def act(conversation):
        conversation.log_in()
        getattr(conversation, ending)()

    return act


# Nobody misbehaves here: things that look odd and must work.


def slow_greeting(conversation):
    time.sleep(0.2)
    conversation.send(b"+OK at last\r\n")


def drip_everything(conversation):
    conversation.pace = 0.002
    conversation.send(b"+OK one byte at a time\r\n")


def half_the_greeting_then_the_rest(conversation):
    conversation.send(b"+OK spl")
    time.sleep(0.05)
    conversation.send(b"it\r\n")


def slow_pass(conversation):
    time.sleep(0.2)
    conversation.log_in()


fault("none", "none")(None)
fault("slow-pass", "pass")(slow_pass)
fault("slow-greeting", "greeting")(slow_greeting)
fault("drip-everything", "greeting")(drip_everything)
fault("split-greeting", "greeting")(half_the_greeting_then_the_rest)
says("greeting-lf-only", "greeting", b"+ok ready\n")
says("capa-refused", "capa", b"-ERR never heard of it\r\n")

# Connecting and greeting.

FAULTS["refuse"] = Fault("none", None, listening="no")
FAULTS["blackhole"] = Fault("none", None, listening="full")
fault("no-greeting", "greeting")(lambda c: c.wait_for_end())
says("err-greeting", "greeting", b"-ERR go away, disk /dev/sda1 on host db7 is full\r\n")
says("garbage-greeting", "greeting", b"\x8f\xff\x01 what is this\r\n")
says("http-greeting", "greeting", b"HTTP/1.1 400 Bad Request\r\n\r\n")
says("nul-greeting", "greeting", b"+OK read\0y\r\n")
says("long-greeting", "greeting", b"+OK " + b"g" * 100_000)
says("multi-greeting", "greeting", b"+OK ready\r\n" + HIDDEN * 2)
fault("close-before-greeting", "greeting")(lambda c: c.close())
fault("reset-before-greeting", "greeting")(lambda c: c.reset())
fault("close-in-greeting", "greeting")(reply_then(b"+OK rea", "close"))


@fault("drip-greeting-forever", "greeting")
def drip_greeting_forever(conversation):
    conversation.send(b"+OK ")
    while True:
        time.sleep(0.05)
        conversation.send(b".")


# TLS.

STLS, TLS, BOTH = ("stls",), ("tls",), ("stls", "tls")
says("stls-refuse", "stls", b"-ERR no TLS today\r\n", STLS)
says("stls-garbage", "stls", b"certainly\r\n", STLS)
says("stls-inject", "stls", b"+OK begin\r\n" + HIDDEN, STLS)
fault("stls-stall", "stls", STLS)(lambda c: c.wait_for_end())
fault("stls-close", "stls", STLS)(lambda c: c.close())


@fault("stls-handshake-stall", "stls", STLS)
def stls_handshake_stall(conversation):
    conversation.send(b"+OK begin\r\n")
    conversation.wait_for_end()


@fault("stls-plaintext-later", "stls", STLS)
def stls_plaintext_later(conversation):
    """Plaintext where the handshake's first bytes are due."""
    conversation.send(b"+OK begin\r\n")
    conversation.receive()
    conversation.send(HIDDEN)
    conversation.wait_for_end()


@fault("plaintext-on-tls", "accept", TLS)
def plaintext_on_tls(conversation):
    conversation.send(HIDDEN)
    conversation.wait_for_end()


fault("handshake-stall", "accept", TLS)(lambda c: c.wait_for_end())
fault("handshake-close", "accept", TLS)(lambda c: c.close())


@fault("handshake-reset", "accept", TLS)
def handshake_reset(conversation):
    conversation.receive()
    conversation.reset()


for _kind in ("expired", "wrong-name", "unknown-ca", "self-signed", "tls-1.1-only"):
    FAULTS["certificate-" + _kind if "tls" not in _kind else _kind] = Fault(
        "none", None, BOTH, certificate=_kind
    )

# The login.

fault("no-capa-reply", "capa")(lambda c: c.wait_for_end())
says("capa-garbage", "capa", b"\x01\x02\x03\r\n")
says("capa-without-end", "capa", b"+OK\r\nTOP\r\n")
says("capa-long-line", "capa", b"+OK\r\n" + b"C" * 100_000)
says("capa-and-more", "capa", b"+OK\r\n.\r\n+OK\r\n")
says("capa-flood", "capa", b"+OK\r\n" + b"X-MORE\r\n" * 5000)
fault("no-user-reply", "user")(lambda c: c.wait_for_end())
# Taken for the answer to PASS, the second line would make any password a good one.
says("user-and-more", "user", b"+OK\r\n+OK Logged in.\r\n")
says("user-long-reply", "user", b"+OK " + b"u" * 100_000)
says("err-user", "user", b"-ERR [AUTH] no such mailbox\r\n")
fault("close-after-user", "user")(lambda c: c.close())
fault("no-pass-reply", "pass")(lambda c: c.wait_for_end())
says("err-pass", "pass", b"-ERR [AUTH] Authentication failed.\r\n")
says("err-in-use", "pass", b"-ERR [IN-USE] Mailbox is locked by another session\r\n")
says("err-sys-temp", "pass", b"-ERR [SYS/TEMP] Come back later\r\n")
says("err-login-delay", "pass", b"-ERR [LOGIN-DELAY] Not more than once a minute\r\n")
says("err-format", "pass", b"-ERR %n%n%s %{env:PATH} ${jndi:ldap://x}\r\n")
says("err-pass-long", "pass", b"-ERR [AUTH] " + b"l" * 100_000 + b"\r\n")
says("err-pass-2000", "pass", b"-ERR [AUTH] " + b"m" * 2000 + b"\r\n")
says("err-pass-controls", "pass", b"-ERR [AUTH] no\x1b[31m\x07\x7f\r+OK \xe2\x80\xaein\x80\r\n")
says("err-pass-and-more", "pass", b"-ERR [AUTH] no\r\n" + HIDDEN * 2)
says("garbage-pass", "pass", b"mailbox db7:/var/mail is corrupt\r\n")
says("continue-pass", "pass", b"+ \r\n")
says("okay-pass", "pass", b"+OKAY\r\n")
says("nul-pass", "pass", b"+OK in\0\r\n")
fault("close-after-pass", "pass")(lambda c: c.close())
fault("reset-after-pass", "pass")(lambda c: c.reset())
fault("close-in-pass-reply", "pass")(reply_then(b"+OK Logged i", "close"))
fault("pipelined-err-user", "user", pipelining=True)(
    lambda c: c.send(b"-ERR [AUTH] no such mailbox\r\n")
)
fault("pipelined-close", "user", pipelining=True)(lambda c: (c.read_line(), c.close()))


@fault("drip-pass-forever", "pass")
def drip_pass_forever(conversation):
    conversation.send(b"+OK ")
    while True:
        time.sleep(0.05)
        conversation.send(b".")


@fault("extra-after-pass", "pass")
def extra_after_pass(conversation):
    conversation.maildrop = []
    conversation.send(b"+OK Logged in.\r\n+OK extra\r\n")


# After the login. What a client has seen of the message when it breaks off: CUT.

CUT = b"+OK 1000 octets\r\nSubject: cut\r\n\r\n" + b"c" * 70 + b"\r\nhalf a li"
CUT_AT_LINE_END = b"+OK 1000 octets\r\nSubject: cut\r\n\r\nwhole line\r\n"

fault("fin-after-login", "pass")(log_in_then("close"))
fault("reset-after-login", "pass")(log_in_then("reset"))
fault("fin-mid-retr", "retr")(reply_then(CUT, "close"))
fault("fin-mid-retr-at-line-end", "retr")(reply_then(CUT_AT_LINE_END, "close"))
fault("fin-mid-status", "stat")(reply_then(b"+OK 2 1", "close"))
fault("close-notify-mid-retr", "retr", BOTH)(reply_then(CUT, "close_notify"))
fault("stall-mid-retr", "retr")(reply_then(CUT, "wait_for_end"))
GOODBYE = b"+OK\r\n-ERR Disconnected for inactivity.\r\n"
fault("goodbye", "noop")(reply_then(GOODBYE, "close"))
fault("fin-between-responses", "noop")(reply_then(b"+OK\r\n", "close"))
fault("close-notify-between-responses", "noop", BOTH)(reply_then(b"+OK\r\n", "close_notify"))
fault("fin-instead-of-response", "noop")(lambda c: c.close())
fault("fin-on-quit", "quit")(lambda c: c.close())
fault("reset-on-quit", "quit")(lambda c: c.reset())
fault("stall-on-quit", "quit")(lambda c: c.wait_for_end())


def wait_until_taken(conversation):
    """Until the other side has acknowledged every byte: a reset does not then overtake them."""
    unacknowledged = 0x5411  # SIOCOUTQ
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        waiting = struct.unpack("i", fcntl.ioctl(conversation.sock, unacknowledged, b"\0" * 4))[0]
        if waiting == 0:
            return
        time.sleep(0.005)


@fault("reset-mid-retr", "retr")
def reset_mid_retr(conversation):
    conversation.send(CUT)
    wait_until_taken(conversation)
    conversation.reset()


@fault("reset-between-responses", "noop")
def reset_between_responses(conversation):
    conversation.send(b"+OK\r\n")
    wait_until_taken(conversation)
    conversation.reset()


@fault("line-without-end", "retr")
def line_without_end(conversation):
    """A message of one line, 8 MiB of it, and then the end of the connection."""
    conversation.send(b"+OK\r\n")
    for _ in range(128):
        conversation.send(b"e" * 65536)
    conversation.close()


@fault("broken-record-mid-retr", "retr", BOTH)
def broken_record_mid_retr(conversation):
    """A TLS record that does not decrypt, as an attacker on the path would make one."""
    conversation.send(CUT)
    raw = socket.socket(fileno=conversation.sock.detach())
    raw.sendall(b"\x17\x03\x03\x00\x20" + b"\xaa" * 32)
    conversation.sock = raw
    conversation.in_tls = False
    conversation.wait_for_end()


def backend(name, mode, contexts, maildrops=None):
    """The backend with the fault `name`. `contexts` maps the kinds of certificate to contexts."""
    spec = FAULTS[name]
    assert mode in spec.modes, (name, mode)
    return Backend(
        mode=mode,
        tls=contexts.get(spec.certificate or "good"),
        maildrops=maildrops,
        pipelining=spec.pipelining,
        faults={spec.step: spec.act} if spec.act else {},
        listening=spec.listening,
    )


def tls_context(chain, key, *, version=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if version is not None:
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = context.maximum_version = version
    context.load_cert_chain(chain, key)
    return context


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("fault", choices=sorted(FAULTS))
    parser.add_argument("--mode", choices=ALL_MODES, default="plain")
    parser.add_argument("--chain", help="PEM file, for stls and tls")
    parser.add_argument("--key", help="PEM file, for stls and tls")
    options = parser.parse_args()
    contexts = {}
    if options.chain:
        kind = FAULTS[options.fault].certificate or "good"
        contexts[kind] = tls_context(options.chain, options.key)
    one = backend(options.fault, options.mode, contexts)
    with BackendFarm([one]):
        print(f"{options.fault} ({options.mode}) at {one.address}; Ctrl-C ends it", flush=True)
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
