"""The same bytes in, the same bytes out, however they are cut."""

import pytest
from faulty_upstream.pop3_backend import default_messages, dot_stuffed

SESSION = (
    "CAPA\r\nNOOP\r\nUSER split@example.org\r\nPASS a secret \r\nSTAT\r\nLIST\r\nUIDL\r\n"
    "RETR 1\r\nRETR 2\r\nTOP 1 0\r\nLIST 9\r\nDELE 1\r\nRSET\r\nNOOP\r\nQUIT\r\n"
).encode()
MULTI_LINE = (b"CAPA", b"LIST", b"UIDL", b"RETR 1", b"RETR 2", b"TOP 1 0")


@pytest.fixture(scope="module")
def expected(shared_house):
    """What a client that waits for each answer is told, without the greeting."""
    answers = b""
    with shared_house.connect() as client:
        assert client.line().startswith(b"+OK")
        for command in SESSION.splitlines():
            answers += client.command(command)
            if command in MULTI_LINE:
                answers += client.body()
        assert client.rest() == b"" and client.end == "fin"
    return answers


def talk(client, pieces, raw=False):
    """Greeting aside, everything the client is told when it sends these pieces."""
    for piece in pieces:
        (client.send_raw if raw else client.send)(piece)
    assert client.line().startswith(b"+OK")
    answers = client.rest()
    assert client.end == ("close_notify" if client.tls else "fin")
    return answers


@pytest.mark.parametrize("listener", ["plain", "pop3s"])
def test_a_whole_session_in_one_segment(house, expected, listener):
    """M19, M20: 15 rounds, sent before our greeting; nginx hung in 7 of them."""
    for _ in range(15):
        with house.connect(listener) as client:
            assert talk(client, [SESSION]) == expected


def test_a_whole_session_in_the_segment_that_ends_the_handshake(house, expected):
    """M19, U18: bytes that are already decrypted announce themselves by no socket event."""
    for _ in range(20):
        with house.connect("pop3s", tls=False) as client:
            client.handshake(then=SESSION)
            assert talk(client, []) == expected


def test_a_whole_session_behind_the_handshake_of_stls(house, expected):
    """M19, U18: the same behind STLS."""
    for _ in range(10):
        with house.connect("pop3") as client:
            client.line()
            assert client.command("STLS").startswith(b"+OK")
            client.handshake(then=SESSION)
            assert client.rest() == expected


@pytest.mark.parametrize("listener", ["plain", "pop3s"])
def test_a_session_byte_by_byte(house, expected, listener):
    """M20: on TLS every byte is a record of its own."""
    pieces = [SESSION[i : i + 1] for i in range(len(SESSION))]
    with house.connect(listener) as client:
        assert talk(client, pieces) == expected


@pytest.mark.parametrize("listener", ["plain", "pop3s"])
@pytest.mark.parametrize("part", range(4))
def test_every_split_in_two_gives_the_same_answers(house, expected, listener, part):
    """M20: nginx once read the second half of a command as a command."""
    for at in range(1 + part, len(SESSION), 4):
        with house.connect(listener) as client:
            if at % 3 == 0:  # so that the two halves cannot meet in one read
                assert client.line().startswith(b"+OK")
                client.send(SESSION[:at])
                early = client.receive(3) if at > 6 else b""
                client.send(SESSION[at:])
                answers = early + client.rest()
            else:
                answers = talk(client, [SESSION[:at], SESSION[at:]])
            assert answers == expected, f"split at {at}"


def test_one_record_in_many_segments(house, expected):
    """U18: a TLS record that arrives byte by byte, and two records in one segment."""
    with house.connect("pop3s") as client:
        record = client.encrypt(SESSION)
        assert talk(client, [record[i : i + 1] for i in range(len(record))], raw=True) == expected
    for at in range(1, len(SESSION), 7):
        with house.connect("pop3s") as client:
            records = client.encrypt(SESSION[:at]) + client.encrypt(SESSION[at:])
            cut = len(records) // 2
            assert talk(client, [records[:cut], records[cut:]], raw=True) == expected


@pytest.mark.parametrize("listener", ["plain", "pop3s"])
def test_a_hundred_commands_in_flight(house, listener):
    """M19: mpop sends as many before it reads."""
    with house.log_in(listener) as client:
        client.send(b"NOOP\r\nSTAT\r\n" * 50)
        for _ in range(50):
            assert client.line() == b"+OK\r\n"
            assert client.line().startswith(b"+OK 2 ")
        assert client.command("QUIT") == b"+OK bye\r\n"


@pytest.mark.parametrize("listener", ["plain", "pop3s"])
def test_commands_behind_a_refused_login_are_not_anybodys_session(house, listener):
    """M20: what a client sent ahead in good faith is answered by us, and reaches no backend."""
    user = house.user()
    with house.connect(listener) as client:
        client.send(f"USER {user}\r\nPASS wrong\r\nDELE 1\r\nRETR 1\r\nQUIT\r\n".encode())
        assert client.line().startswith(b"+OK")
        answers = client.rest().split(b"\r\n")
    assert [answer[:4] for answer in answers] == [b"+OK", b"-ERR", b"-ERR", b"-ERR", b"+OK ", b""]
    (visit,) = house.visits_of(user)
    assert visit.lines[-1] == b"PASS wrong" and not visit.quit


def test_messages_that_look_like_protocol_pass_unchanged(house):
    """R10: dots, status lines and QUIT inside a message are the message's."""
    user = house.user()
    message = default_messages(user)[1]
    assert b"\r\n.stuffed" in message and b"QUIT" in message
    for listener in ("plain", "pop3s"):
        with house.log_in(listener, user) as client:
            client.send(b"RETR 2\r\nNOOP\r\n" * 2)
            for _ in range(2):
                assert client.line() == b"+OK %d octets\r\n" % len(message)
                assert client.body() == dot_stuffed(message) + b".\r\n"
                assert client.line() == b"+OK\r\n"
            assert client.command("STAT").startswith(b"+OK 2 ")
