"""Many clients at once that do anything at any time, against a backend that does the same."""

import random
import socket
import threading

import pytest
from faulty_upstream.pop3_backend import Backend, Maildrops, default_messages, dot_stuffed

CLIENTS = 12
ROUNDS = 25
NOT_NOW = b"+OK\r\n-ERR [SYS/TEMP] Account is temporarily unavailable\r\n"


def messages(user):
    return [*default_messages(user), b"big " + user.encode() + b"\r\n" * 40_000]


def anything_may_happen(chance, step):
    """Now and then the backend breaks off, at this step."""

    def act(conversation):
        what = chance.random()
        if what < 0.03:
            conversation.reset()
        elif what < 0.06:
            conversation.close()
        elif step == "pass":
            conversation.log_in()
        else:
            conversation.send(b"+OK\r\n")

    return act


class Client:
    """One client's life; what it is told must be a beginning of what is right."""

    def __init__(self, house, seed):
        self.house, self.chance = house, random.Random(seed)
        self.failure = None

    def run(self):
        for _ in range(ROUNDS):
            try:
                self.session()
            except ConnectionError:
                pass  # a reset while we were sending
            except BaseException as failure:
                self.failure = failure
                return

    def session(self):
        chance = self.chance
        listener = chance.choice(("plain", "pop3s", "pop3s"))
        user = self.house.user()
        mail = [b"+OK %d octets\r\n" % len(m) + dot_stuffed(m) + b".\r\n" for m in messages(user)]
        wanted = [chance.randrange(len(mail)) for _ in range(chance.randrange(6))]
        ends_well = chance.random() < 0.5
        commands = [b"USER %b\r\n" % user.encode(), b"PASS x\r\n", b"NOOP\r\n", b"DELE 1\r\n"]
        commands += [b"RETR %d\r\n" % (n + 1) for n in wanted if n != 0]
        right = b"+OK\r\n+OK Logged in.\r\n+OK\r\n+OK\r\n"
        right += b"".join(mail[n] for n in wanted if n != 0)
        if ends_well:
            commands.append(b"QUIT\r\n")
            right += b"+OK bye\r\n"
        stream = b"".join(commands)
        client = self.house.connect(listener, receive_buffer=chance.choice((None, 4096)))
        try:
            got = self.talk(client, stream, ends_well, len(right))
        finally:
            if chance.random() < 0.5:
                client.reset()
            else:
                client.close()
        assert right.startswith(got) or NOT_NOW.startswith(got), (got[:200], right[:200])

    def talk(self, client, stream, ends_well, octets):
        chance = self.chance
        assert client.line().startswith(b"+OK")
        while stream:
            size = chance.randint(1, len(stream))
            try:
                client.send(stream[:size])
            except ConnectionError:
                break
            stream = stream[size:]
            if chance.random() < 0.05:
                return b""
        if not ends_well:
            if chance.random() < 0.5:
                return client.receive(chance.randrange(octets))
            if client.tls and chance.random() < 0.5:
                client.sock.send(client.raw_close_notify(), socket.MSG_NOSIGNAL)
            client.half_close()
        return client.rest()


@pytest.mark.parametrize("seed", [1995, 1110])
def test_nothing_is_left_after_chaos(build_house, seed):
    """M54, M63, M67, F11, F36: no byte of another session, no deletion without QUIT, every session
    ended for one reason, every gauge at zero, no file left open."""
    chance = random.Random(seed)
    backend = Backend(
        maildrops=Maildrops(messages),
        faults={step: anything_may_happen(chance, step) for step in ("pass", "noop")},
    )
    house = build_house(backend=backend)
    files = house.open_files()
    clients = [Client(house, seed * 1000 + i) for i in range(CLIENTS)]
    threads = [threading.Thread(target=client.run, daemon=True) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
        assert not thread.is_alive()
    for client in clients:
        if client.failure is not None:
            raise client.failure
    house.wait_until_nobody_is_left()
    house.wait_for_open_files(files + 2)
    metrics = house.proxy.metrics()
    accepted = metrics.get("postern_listener_connections_total")
    assert metrics.get("postern_listener_sessions_closed_total") == accepted
    assert metrics.get("postern_listener_sessions_closed_total", reason="internal") == 0
    for visit in backend.visits():
        assert visit.over.wait(60)
    asked = {v.users[0].decode() for v in backend.visits() if v.quit and v.users}
    assert {user for user, _ in backend.maildrops.deletions()} <= asked
    backend.faults.clear()
