"""What the proxy writes down: one line per session, nothing that moves a terminal, no secret."""

import base64
import os
import re
import socket
import unicodedata

import pytest
from faulty_upstream.pop3_backend import Backend
from harness import wait_until

BIDI = "\u202e\u2066\u200f"
STRANGE_NAMES = [
    f"bidi{BIDI}gro.elpmaxe@example.org",
    'quote"and\\back@example.org',
    "equals=x reason=quit user=root@example.org",
    "\u0085next\u2028line\u2029@example.org",
    "{}[],:@example.org",
    "\U0001f600\u00e4@example.org",
    "c1\u009b31m@example.org",
]


def written_by(house):
    """The session log and the process log, as bytes."""
    text = b""
    for path in (house.proxy.sessions_path, os.path.join(house.proxy.directory, "postern.log")):
        if os.path.exists(path):
            with open(path, "rb") as file:
                text += file.read()
    return text


def check_that_nothing_moves_a_terminal(text):
    for character in text.decode("utf-8"):
        if character != "\n":
            assert unicodedata.category(character) not in ("Cc", "Cf", "Zl", "Zp"), repr(character)


@pytest.mark.parametrize("log_format", ["json", "logfmt"])
def test_strange_names_stay_on_one_line(build_house, log_format):
    """L01: CVE-2009-4487; escapes, line ends, bidi controls and quotes, in names, SNI and the
    backend's words."""
    evil = b"-ERR [AUTH] \x1b]0;owned\x07 \xe2\x80\xaeevil\x85\r\n"

    def answer(conversation):
        if conversation.user.startswith(b"evil"):
            conversation.send(evil)
        else:
            conversation.log_in()

    backend = Backend(faults={"pass": answer})
    house = build_house({"log": {"format": log_format}, "limits": {"logins": 1}}, backend=backend)
    sessions = 0
    for name in [*STRANGE_NAMES, "evil@example.org"]:
        with house.connect() as client:
            client.line()
            client.command(b"USER a\x1b[31mred\rmore@example.org")  # refused: a control byte
            client.command(f"USER {name}")
            client.command("PASS x")
            client.send(b"QUIT\r\n")
            client.rest()
        sessions += 1
    with house.connect("pop3s", server_name="xn--e1afmkfd.test") as client:
        client.send(b"\x1b[2J\r\nQUIT\r\n")
        client.rest()
    sessions += 1
    lines = house.proxy.session_lines(sessions)
    assert len(lines) == sessions
    text = written_by(house)
    check_that_nothing_moves_a_terminal(text)
    if log_format == "json":
        records = house.log_records()
        assert len(records) == sessions
        assert all(record["listener"] in ("plain", "pop3s") for record in records)
        assert all(record["user"] for record in records[:-1])
    else:
        # One reason and one user in each line, whatever a name says.
        for line in lines:
            outside_quotes = re.sub(r'"[^"]*"', '""', line)
            assert len(re.findall(r"(?:^| )reason=", outside_quotes)) == 1, line
            assert len(re.findall(r"(?:^| )user=", outside_quotes)) <= 1, line


def test_the_metrics_do_not_grow_with_users(build_house):
    """L02: no label says a user, an address or a server name."""
    house = build_house({"timeouts": {"refused_delay": "0ms"}})

    def visit(count):
        for i in range(count):
            with house.connect(("plain", "pop3s")[i % 2], server_name=f"n{i}.test") as client:
                client.send(f"USER {house.user()}\r\nPASS x\r\nQUIT\r\n".encode())
                client.rest()
            with house.connect() as client:
                client.send(f"USER nobody{i}@n{i}.test\r\nPASS x\r\nQUIT\r\n".encode())
                client.rest()

    # Everything that happens at all has happened once.
    with house.log_in() as client:
        client.send(b"QUIT\r\n")
        client.rest()
    visit(20)
    house.wait_until_nobody_is_left()
    before = house.proxy.metrics()
    visit(100)
    house.wait_until_nobody_is_left()
    after = house.proxy.metrics()
    histogram = re.compile(r"_bucket$")
    names = {key for key in after if not histogram.search(key[0])}
    assert names == {key for key in before if not histogram.search(key[0])}
    assert len(after) <= len(before) + 40  # buckets that were empty
    assert len(after.text) < len(before.text) * 1.2
    assert "example.org" not in after.text and "127.0.0.1:" not in after.text.replace(
        house.backend.address, ""
    )


def test_the_admin_endpoint_holds_nobody_up(house):
    """L03: a scraper that never reads, one that never asks, one that asks too much."""
    host, port = house.proxy.admin.split(":")
    idle = [socket.create_connection((host, int(port)), 5) for _ in range(3)]
    idle[0].sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 50)
    idle[1].sendall(b"GET /metr")
    idle[2].settimeout(5)
    answer = b""
    try:
        idle[2].sendall(b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 200_000 + b"\r\n\r\n")
        answer = idle[2].recv(64)
    except OSError:
        pass
    assert b" 200 " not in answer.split(b"\r\n")[0]
    house.check_alive()
    assert house.proxy.http("/healthz")[0] == 200
    for connection in idle:
        connection.close()


def test_the_admin_endpoint_tells_no_secret_and_takes_no_orders(house):
    """L03: loopback only, unless the configuration says otherwise."""
    with open(f"/proc/{house.proxy.pid}/net/tcp") as file:
        rows = [line.split() for line in file][1:]
    port = int(house.proxy.admin.split(":")[1])
    listening = [row[1] for row in rows if row[3] == "0A" and int(row[1][-4:], 16) == port]
    assert listening == [f"0100007F:{port:04X}"]
    for path in ("/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/api/v1/../../etc/passwd"):
        status, body = house.proxy.http(path)
        assert status in (400, 403, 404) and "root:" not in body


def memory_of(pid):
    """Every writable page of the process, piece by piece."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            match = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw", line)
            if not match or "[vvar" in line:
                continue
            start, end = (int(text, 16) for text in match.groups())
            while start < end:
                try:
                    memory.seek(start)
                    yield memory.read(min(end - start, 1 << 22))
                except OSError:
                    break
                start += 1 << 22


def test_a_password_is_nowhere_afterwards(build_house):
    """L10: not in the logs, not in the metrics, not in the environment, not in memory."""
    house = build_house()
    # Put together here, so that a copy of the marker is a copy that came through the wire.
    marker = "".join(["Xyzzy", "Plugh", "74331"])
    user = "keeper@example.org"
    plain = base64.b64encode(f"\0{user}\0{marker}".encode())
    clients = []
    for listener in ("plain", "pop3s"):
        for how in (f"USER {user}\r\nPASS {marker}\r\n".encode(), b"AUTH PLAIN " + plain + b"\r\n"):
            client = house.connect(listener)
            client.line()
            client.send(how)
            answer = client.line()
            while answer == b"+OK\r\n":
                answer = client.line()
            assert answer == b"+OK Logged in.\r\n"
            clients.append(client)
        with house.connect(listener) as client:
            client.send(f"USER {user}\r\nPASS wrong{marker}\r\nQUIT\r\n".encode())
            client.rest()
    for client in clients:
        assert client.command("NOOP") == b"+OK\r\n"
    needles = (marker.encode(), plain[8:24])

    def found(needles=needles):
        pieces = memory_of(house.proxy.pid)
        return sum(piece.count(needle) for piece in pieces for needle in needles)

    if not house.sanitized:  # a sanitizer maps terabytes and keeps what is freed
        assert found([user.encode()]) > 0  # the search finds what is there
        wait_until(lambda: found() == 0, 20, lambda: f"{found()} copies in memory", interval=0.2)
    for client in clients:
        client.send(b"QUIT\r\n")
        client.rest()
        client.close()
    house.wait_until_nobody_is_left()
    text = written_by(house) + house.proxy.metrics().text.encode()
    with open(f"/proc/{house.proxy.pid}/environ", "rb") as file:
        text += file.read()
    for needle in needles:
        assert needle not in text


def test_a_backend_that_repeats_the_password_is_not_quoted(build_house, tmp):
    """L10: "Unknown command: PASS secret" reaches no log, and a master's password no client."""
    files = {"master": "Plover7312Master", "secrets": "boss@master.test:boss-own"}
    for name, text in files.items():
        with open(os.path.join(tmp, name), "w") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(text + "\n")

    def repeat(conversation, form):
        conversation.send(form % conversation.visit.lines[-1])

    backend = Backend()
    master = {
        "name": "mastered", "address": backend.address, "login": "master", "master_user": "proxy",
        "master_password_file": os.path.join(tmp, "master"),
    }  # fmt: skip
    house = build_house(
        {
            "backend": [{"name": "good", "address": backend.address}, master],
            "route": [
                {"users": "*@example.org", "backend": "good"},
                {"users": "*@master.test", "backend": "mastered"},
            ],
            "auth": {"secrets": os.path.join(tmp, "secrets")},
        },
        backend=backend,
    )
    plain = base64.b64encode(b"boss@master.test\0proxy\0" + files["master"].encode())
    forms = [b"-ERR Unknown command: %b\r\n", b"huh? %b\r\n", b"-ERR %.22b...\r\n", b"+OK %b\r\n"]
    for form in forms:
        backend.faults["pass"] = backend.faults["auth"] = lambda c, form=form: repeat(c, form)
        with house.connect() as client:
            client.log_in(house.user(), "Xyzzy4711Own")
        with house.connect() as client:
            answer = client.log_in("boss@master.test", "boss-own")
            ours = b"+OK\r\n" if form.startswith(b"+OK") else b"-ERR [SYS/TEMP] "
            assert answer.startswith(ours) and b"Unknown" not in answer, answer
    backend.faults.clear()
    house.wait_until_nobody_is_left()
    records = house.proxy.session_lines(2 * len(forms))
    assert sum("which is not shown" in record for record in records) == 6
    text = written_by(house)
    for secret in (b"Xyzzy", b"Plover", b"boss-own", plain[:8]):
        assert secret not in text, secret
