"""What is done to the farm, and what is promised then. One entry each, in the order of the report."""

import contextlib
import dataclasses
import os
import socket
import struct
import time

from farm import IDLE_S, LOGIN_S, LOOKUP_S, OBSERVERS, PASSWORD
from observers import Lines, Visit, verdict, visit

# Looks at the same clock twice and runs on a busy machine; a slow one may be given more.
SLACK_S = float(os.environ.get("POSTERN_FAULTS_SLACK_S", "1.5"))


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A fault that lasts. `victims`: whose users meet it. `allowed`: what they may see then, beside
    "ok"; others see "ok" alone. `slowest_s` bounds each of their waits, and `recovery_s` the time
    from the end of the fault to the first of the visits that all go well."""

    key: str
    title: str
    promise: str
    begin: callable
    end: callable
    allowed: tuple
    slowest_s: float
    recovery_s: float = 0.5 + SLACK_S
    victims: str = "mail1"
    refused_max: int | None = None  # victims that may see something else than "ok"
    seconds: float = 5
    needs_root: bool = False



def http(connection):
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
    connection.recv(100)


def no_answer_to_pass(connection):
    connection.sendall(b"+OK ready\r\n")
    with connection.makefile("rb") as lines:
        for line in lines:
            if line.upper().startswith(b"PASS"):
                connection.recv(1)
                return
            connection.sendall(b"+OK\r\n.\r\n" if line.upper().startswith(b"CAPA") else b"+OK\r\n")


def unanswered(request):
    time.sleep(30)


def garbage(request):
    return b"HTTP/1.1 200 OK\r\nAuth-Status: \xff\x00\r\nAuth-Server: \r\n\r\n"


def flap(farm):
    for _ in range(3):
        farm.freeze("mail1")
        time.sleep(1)
        farm.thaw("mail1")
        time.sleep(1)


def kill_both(farm):
    farm.kill("mail1")
    farm.kill("mail2")


def start_both(farm):
    farm.start("mail1")
    farm.start("mail2")


TEMPORARY = ("[SYS/TEMP]",)
CUT = ("[SYS/TEMP]", "reset", "closed")

LASTING = (
    Experiment(
        "F05", "kill -9 of the server", "[SYS/TEMP] at once; sessions under way end; the rest of "
        "the farm notices nothing", lambda farm: farm.kill("mail1"),
        lambda farm: farm.start("mail1"), CUT, 1 + SLACK_S),
    Experiment(
        "F05s", "kill -9, and the users may live on another server", "nobody is hurt but who was "
        "logged in, or whose password was out already", lambda farm: farm.kill("mail1"),
        lambda farm: farm.start("mail1"), CUT, 1 + SLACK_S, victims="shared",
        refused_max=OBSERVERS),
    Experiment(
        "F06", "every packet to the server vanishes", "[SYS/TEMP] within two tries to connect",
        lambda farm: farm.cut("mail1"), lambda farm: farm.mend(), CUT, 2 * 2 + SLACK_S,
        needs_root=True),
    Experiment(
        "F07", "SIGSTOP: it accepts and never greets", "[SYS/TEMP] within two greetings' time",
        lambda farm: farm.freeze("mail1"), lambda farm: farm.thaw("mail1"), CUT, 2 * 3 + SLACK_S),
    Experiment(
        "F08", "something that speaks HTTP in its place", "[SYS/TEMP], and not a word of it",
        lambda farm: farm.replace("mail1", http), lambda farm: farm.restore("mail1"), CUT,
        1 + SLACK_S),
    Experiment(
        "F09", "it greets and never answers PASS", "[SYS/TEMP] at the deadline of the login; the "
        "password goes nowhere else", lambda farm: farm.replace("mail1", no_answer_to_pass),
        lambda farm: farm.restore("mail1"), CUT, 4 + SLACK_S, seconds=8),
    Experiment(
        "F13", "its certificate has expired", "[SYS/TEMP], never a login without verification",
        lambda farm: farm.certify("mail3", days=-1), lambda farm: farm.certify("mail3", days=30),
        CUT, 1 + SLACK_S, victims="mail3"),
    Experiment(
        "F14", "the auth service is dead", "[SYS/TEMP] at once, not [AUTH]",
        lambda farm: farm.stop_service(), lambda farm: farm.start_service(), CUT, 1 + SLACK_S,
        victims="asked"),
    Experiment(
        "F14r", "the same, for users whose answer is remembered", "they notice nothing",
        lambda farm: farm.stop_service(), lambda farm: farm.start_service(), (), 1 + SLACK_S,
        victims="remembered"),
    Experiment(
        "F15", "the auth service does not answer", "[SYS/TEMP] at the lookup's deadline",
        lambda farm: farm.start_service(unanswered),
        lambda farm: farm.start_service(), CUT, LOOKUP_S + SLACK_S, victims="asked"),
    Experiment(
        "F16", "the auth service answers garbage", "[SYS/TEMP], and no login anywhere",
        lambda farm: farm.start_service(garbage), lambda farm: farm.start_service(), CUT,
        1 + SLACK_S, victims="asked"),
    Experiment(
        "F33", "it flaps: frozen and well, a second each", "waits, or [SYS/TEMP] while it is away",
        flap, lambda farm: None, CUT, 2 * 3 + SLACK_S, seconds=0),
    Experiment(
        "F34", "every server of a pool is dead", "[SYS/TEMP] without waiting for anybody",
        kill_both, start_both, CUT, 1 + SLACK_S, victims="shared"),
)


@dataclasses.dataclass(frozen=True)
class Single:
    """A fault that meets one session. `run(farm)` returns the visit and whether it was right."""

    key: str
    title: str
    promise: str
    run: callable
    needs_root: bool = False


@contextlib.contextmanager
def logged_in(farm, user="user0@mail1.test"):
    with Lines(farm.port) as connection:
        answer = connection.log_in(user, PASSWORD)
        assert verdict(answer) == "ok", answer
        yield connection


def big_message(farm):
    server = farm.servers["mail1"]
    server.empty("user0@mail1.test")
    server.deliver("user0@mail1.test", [b"Subject: big\r\n\r\n" + b"x" * 70 * 1 + b"\r\n"
                                        + (b"y" * 70 + b"\r\n") * 400_000])  # fmt: skip


def until_the_end(connection):
    """How many bytes came, and how the connection ended."""
    count = 0
    try:
        while piece := connection.file.read1(65536):
            count += len(piece)
    except ConnectionError:
        return count, "reset"
    except TimeoutError:
        return count, "silence"
    return count, "closed"


def inside_a_message(farm, hurt, mend):
    big_message(farm)
    with logged_in(farm) as connection:
        connection.socket.sendall(b"RETR 1\r\n")
        connection.line()
        connection.file.read(100_000)
        hurt()
        started = time.monotonic()
        try:
            _, end = until_the_end(connection)
        finally:
            mend()
    seen = Visit(started, time.monotonic() - started, end)
    return seen, end == "reset"


def killed_inside_a_message(farm):
    return inside_a_message(farm, lambda: farm.kill("mail1"), lambda: farm.start("mail1"))


def frozen_inside_a_message(farm):
    seen, right = inside_a_message(
        farm, lambda: farm.freeze("mail1"), lambda: farm.thaw("mail1"))
    return seen, right and seen.took <= IDLE_S + SLACK_S


def cut_after_the_login(farm):
    with logged_in(farm) as connection:
        farm.cut("mail1")
        started = time.monotonic()
        try:
            connection.socket.sendall(b"NOOP\r\n")
            _, end = until_the_end(connection)
        finally:
            farm.mend()
    seen = Visit(started, time.monotonic() - started, end)
    return seen, end in ("reset", "closed") and seen.took <= IDLE_S + SLACK_S


def wrong_password(farm):
    seen = visit(farm.port, "user0@mail1.test", "wrong")
    return seen, seen.outcome == "[AUTH]"


def gone_with_deletions(farm):
    """Deleted are the messages of those who said QUIT, and of nobody else."""
    user, server = "user0@mail1.test", farm.servers["mail1"]
    started = time.monotonic()
    for end, left in (("reset", 1), ("fin", 1), ("quit", 0)):
        server.empty(user)
        server.deliver(user, [b"Subject: x\r\n\r\nx\r\n"])
        with logged_in(farm) as connection:
            connection.ask("DELE 1")
            if end == "reset":
                connection.socket.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif end == "quit":
                connection.ask("QUIT")
        # The maildrop is locked until the server has heard of the end.
        deadline = time.monotonic() + LOGIN_S
        while visit(farm.port, user, PASSWORD).outcome != "ok" and time.monotonic() < deadline:
            time.sleep(0.1)
        if len(server.mail(user)) != left:
            return Visit(started, time.monotonic() - started, f"{end}: wrong"), False
    return Visit(started, time.monotonic() - started, "as said"), True


SINGLE = (
    Single("F10", "a wrong password", "the server's own [AUTH]", wrong_password),
    Single("F11", "kill -9 inside a message", "what came, then a reset: never a clean end",
           killed_inside_a_message),
    Single("F12", "SIGSTOP inside a message", f"a reset at the idle limit ({IDLE_S} s here)",
           frozen_inside_a_message),
    Single("F35", "every packet vanishes after the login", "the session ends at the idle limit",
           cut_after_the_login, needs_root=True),
    Single("F36", "the client is gone with DELE pending", "nothing is deleted without QUIT",
           gone_with_deletions),
)
