"""After the login: every byte, every deletion, every end."""

import random
import select
import socket
import threading

import pytest
from faulty_upstream.pop3_backend import Backend, Maildrops, default_messages, dot_stuffed
from harness import wait_until

from .house import House

TLS_OR_NOT = pytest.mark.parametrize("listener", ["plain", "pop3s"])


def in_parallel(count, act):
    """Runs act(i) on threads; the first failure is raised here."""
    failures = []

    def run(i):
        try:
            act(i)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(i,), daemon=True) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
        assert not thread.is_alive()
    if failures:
        raise failures[0]


# Deletions.


def deletions_after(house, user):
    """What the backend deleted for this user, once the connection is over."""
    wait_until(lambda: house.visits_of(user), 60, "a visit")
    (visit,) = house.visits_of(user)
    assert visit.over.wait(60), "the backend's connection never ended"
    return house.backend.maildrops.deletions(user), visit


QUIT = b"QUIT\r\n"
ENDINGS = [("plain", "fin"), ("plain", "reset"), ("pop3s", "cut"), ("pop3s", "close_notify"),
           ("pop3s", "reset")]  # fmt: skip


@pytest.mark.parametrize(("listener", "how"), ENDINGS)
def test_only_a_whole_quit_deletes(house, listener, how):
    """F36: a client that goes at any byte of QUIT. No QUIT is invented, and none is swallowed."""
    for sent in range(len(QUIT) + 1):
        user = house.user()
        client = house.log_in(listener, user)
        assert client.command("DELE 1") == b"+OK\r\n"
        data = QUIT[:sent]
        raw = client.encrypt(data) if client.tls and data else data
        if how == "close_notify":
            raw += client.raw_close_notify()
        client.send_raw(raw)
        if how == "reset":
            client.reset()
        else:
            client.half_close()
        deletions, visit = deletions_after(house, user)
        client.close()
        if sent < len(QUIT):
            assert deletions == [] and not visit.quit, f"{sent} bytes of QUIT deleted"
        elif how != "reset":  # a reset may take the bytes before it along
            assert deletions == [(user, 1)]
        assert visit.quit == bool(deletions)
    house.wait_until_nobody_is_left()


@pytest.mark.parametrize("listener", ["plain", "pop3s"])
def test_half_a_quit_record_deletes_nothing(house, listener):
    """F36: a QUIT of which one part never came, cut inside its TLS record or in two records."""
    for cut in (1, 4, 12):
        user = house.user()
        client = house.log_in(listener, user)
        assert client.command("DELE 1") == b"+OK\r\n"
        raw = client.encrypt(QUIT) if client.tls else QUIT
        client.send_raw(raw[: -min(cut, len(raw) - 1)])
        client.half_close()
        deletions, visit = deletions_after(house, user)
        assert deletions == [] and not visit.quit
        client.close()


@TLS_OR_NOT
def test_quit_and_fin_in_one_segment_delete(house, listener):
    """F37: 50 rounds on each kind of listener, 50 deletions."""
    for _ in range(50):
        user = house.user()
        with house.log_in(listener, user) as client:
            data = b"DELE 1\r\n" + QUIT
            raw = client.encrypt(data) + client.raw_close_notify() if client.tls else data
            # MSG_MORE holds the segment back until shutdown() puts the FIN onto it.
            client.sock.send(raw, socket.MSG_MORE)
            client.half_close()
            assert client.rest() == b"+OK\r\n+OK bye\r\n"
            assert deletions_after(house, user)[0] == [(user, 1)]


@TLS_OR_NOT
def test_a_client_gone_before_the_answer_still_deletes(house, listener):
    """F37: the whole QUIT came, and nobody waits for its answer."""
    for _ in range(20):
        user = house.user()
        client = house.log_in(listener, user)
        client.send(b"DELE 1\r\nDELE 2\r\n" + QUIT)
        client.close()
        assert deletions_after(house, user)[0] == [(user, 1), (user, 2)]


@TLS_OR_NOT
def test_a_client_that_vanishes_keeps_its_mail(house, listener):
    """F36: DELE without QUIT, by reset and by FIN; the backend is told nothing."""
    for how in ("reset", "close"):
        user = house.user()
        client = house.log_in(listener, user)
        assert client.command("DELE 1") == b"+OK\r\n"
        getattr(client, how)()
        deletions, visit = deletions_after(house, user)
        assert deletions == [] and not visit.quit and visit.lines[-1] == b"DELE 1"


# Ends.


@TLS_OR_NOT
def test_a_half_closed_client_gets_every_answer(house, listener):
    """M61, F02: pipelined commands, the end of the client's direction, all answers, the end."""
    user = house.user()
    message = default_messages(user)[0]
    answers = b"+OK 2 %d\r\n" % sum(map(len, default_messages(user)))
    answers += b"+OK %d octets\r\n" % len(message) + dot_stuffed(message) + b".\r\n+OK\r\n"
    for _ in range(10):
        with house.log_in(listener, user) as client:
            client.send(b"STAT\r\nRETR 1\r\nNOOP\r\n")
            if client.tls:
                client.send_raw(client.raw_close_notify())  # TCP stays open
            else:
                client.half_close()
            assert client.rest() == answers
            assert client.end == ("close_notify" if client.tls else "fin")
    assert not any(visit.quit for visit in house.visits_of(user))


@TLS_OR_NOT
def test_a_half_closed_client_is_logged_in_and_answered(house, listener):
    """M61: the whole session before the login, with the end right behind it."""
    with house.connect(listener) as client:
        client.send(f"USER {house.user()}\r\nPASS x\r\nNOOP\r\nQUIT\r\n".encode())
        if client.tls:
            client.send_raw(client.raw_close_notify())
        client.half_close()
        assert client.line().startswith(b"+OK")
        assert client.rest() == b"+OK\r\n+OK Logged in.\r\n+OK\r\n+OK bye\r\n"


@TLS_OR_NOT
def test_the_last_bytes_before_the_end_arrive(house, listener):
    """M66, U17: 100 sessions on each kind of listener."""
    for _ in range(100):
        with house.log_in(listener) as client:
            client.send(b"RETR 2\r\nQUIT\r\n")
            assert client.rest().endswith(b"\r\n.\r\n+OK bye\r\n")
            assert client.end == ("close_notify" if client.tls else "fin")


@TLS_OR_NOT
def test_resets_in_the_middle_of_a_message(build_house, listener):
    """M63: 30 clients that go while a big message comes; nothing is left."""
    house = build_house(backend=Backend(maildrops=Maildrops(lambda user: [b"x\r\n" * 700_000])))
    files = house.open_files()
    for i in range(30):
        client = house.log_in(listener)
        client.send(b"RETR 1\r\n")
        assert client.line().startswith(b"+OK")
        client.receive(i * 10_000)
        client.reset()
    house.wait_until_nobody_is_left()
    # Each worker keeps the pipe of a long transfer for the next one; they came one at a time.
    pipes = 2 * int(house.count("postern_workers"))
    house.wait_for_open_files(files + pipes + 2)
    assert not any(visit.quit for visit in house.backend.visits())
    assert house.closed("client_reset") == 30


def test_a_storm_of_connections(house):
    """M64, M65: 300 that come and go in every way, on every listener."""
    house.wait_until_nobody_is_left()
    files = house.open_files()
    for i in range(300):
        listener = ("plain", "pop3s", "pop3")[i % 3]
        client = house.connect(listener, tls=False)
        if i % 2:
            client.send_raw(b"CAPA\r\n")
        if i % 5 == 0:
            client.half_close()
        if i % 4 == 0:
            client.reset()
        else:
            client.close()
    house.wait_until_nobody_is_left()
    house.wait_for_open_files(files + 2)


# Flow control.


@TLS_OR_NOT
def test_a_flood_that_is_never_read_stops_being_read(house, listener):
    """M60: CAPA for ever before the login; our memory stays, and the client is held up."""
    before = house.bytes_at_work()
    client = house.connect(listener)
    client.line()
    flood = b"CAPA\r\n" * 4000
    raw = client.encrypt(flood) if client.tls else flood
    client.sock.setblocking(False)
    accepted = 0
    writable = select.poll()  # select() refuses the descriptors of a process that has many
    writable.register(client.sock, select.POLLOUT)
    while writable.poll(500) and accepted < 16 << 20:
        accepted += client.sock.send(raw[accepted % len(raw) :])
        if client.tls and accepted % len(raw) == 0:
            raw = client.encrypt(flood)
    assert accepted < 16 << 20
    house.check_memory(before, megabytes=2)
    client.reset()
    house.wait_until_nobody_is_left()


LONG_LINE = b"Subject: big\r\n\r\n" + b"L" * 10_000_000 + b"\r\n"
MANY_LINES = b"Subject: many\r\n\r\n" + b".dots and dashes, one line of many\r\n" * 100_000


def big_messages(user):
    return [LONG_LINE, MANY_LINES]


def tiny_send_buffer(conversation):
    conversation.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)


@pytest.fixture(scope="module")
def big_house(tmp_path_factory, leaf):
    backend = Backend(maildrops=Maildrops(big_messages), faults={"accept": tiny_send_buffer})
    with House(str(tmp_path_factory.mktemp("big")), leaf, backend=backend) as house:
        yield house


@TLS_OR_NOT
def test_big_messages_reach_slow_readers_whole(big_house, listener):
    """M62, I03, U15: 10 MB in one line and in 100,000; small buffers on both sides; the proxy
    holds back the backend instead of holding the message."""
    before = big_house.bytes_at_work()
    clients = [big_house.log_in(listener, receive_buffer=4096, timeout=60) for _ in range(6)]
    for client in clients:
        client.send(b"RETR 1\r\nRETR 2\r\nQUIT\r\n")
    # Nobody reads: at some point nothing moves any more.
    completed = [-1, 0]

    def still():
        completed.append(big_house.count("postern_loop_completions_total"))
        return completed[-1] == completed[-2]

    wait_until(still, 60, "the backend to be held back", interval=0.3)
    big_house.check_memory(before, megabytes=4)
    first, second = big_messages("")
    expected = b"+OK %d octets\r\n" % len(first) + dot_stuffed(first) + b".\r\n"
    expected += b"+OK %d octets\r\n" % len(second) + dot_stuffed(second) + b".\r\n+OK bye\r\n"
    for client in clients[1:]:
        client.reset()
    client = clients[0]
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    got = client.rest()
    assert len(got) == len(expected) and got == expected
    client.close()
    big_house.wait_until_nobody_is_left()
    big_house.check_alive()


@TLS_OR_NOT
def test_a_blocked_reader_blocks_nobody_else(big_house, listener):
    """M62, F03: fresh logins work while others are held up."""
    blocked = [big_house.log_in(listener, receive_buffer=4096) for _ in range(10)]
    for client in blocked:
        client.send(b"RETR 1\r\n")
    big_house.check_alive()
    for client in blocked:
        client.reset()
    big_house.wait_until_nobody_is_left()


# Never another session's bytes.


def test_forty_crossed_sessions(house):
    """M67: 40 at a time, on every listener; everybody gets mail with the own name only."""

    def one(i):
        chance = random.Random(i)
        for _ in range(3):
            user = house.user()
            messages = default_messages(user)
            with house.log_in(("plain", "pop3s")[i % 2], user) as client:
                wanted = [chance.randrange(2) for _ in range(10)]
                client.send(b"".join(b"RETR %d\r\n" % (n + 1) for n in wanted))
                for n in wanted:
                    assert client.line() == b"+OK %d octets\r\n" % len(messages[n])
                    assert client.body() == dot_stuffed(messages[n]) + b".\r\n"
                client.send(QUIT)
                assert client.rest() == b"+OK bye\r\n"

    in_parallel(40, one)
    house.wait_until_nobody_is_left()
