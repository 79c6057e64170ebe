"""A policy service that is asked before each login and told afterwards how it went: the real binary, a
service where the test decides about every answer, and a small backend."""

import base64
import contextlib
import hashlib
import os
import ssl
import threading
import time

import pytest
from faulty_upstream.pop3_backend import Backend, BackendFarm
from harness import Pop3Connection, free_port
from harness.policy_service import PolicyService, Reply, verdict
from harness.proxy import run_postern
from harness.waiting import wait_until

USER = "owner@known.test"
WRONG = b"-ERR [AUTH] Authentication failed."
UNAVAILABLE = b"-ERR [SYS/TEMP] Account is temporarily unavailable"
NONCE = "a nonce of the cluster"
POLICY = "postern_policy_"
LISTENER = "postern_listener_policy_"


def secret_file(directory, name, text):
    path = os.path.join(directory, name)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        file.write(text + "\n")
    return path


def password_hash(user, password, bits=12):
    """Dovecot's rule, in whole numbers: the first bits of SHA-256, as a number, in whole bytes."""
    digest = hashlib.sha256(NONCE.encode() + user.encode() + b"\0" + password.encode()).digest()
    number = int.from_bytes(digest, "big") >> (256 - bits)
    return number.to_bytes((bits + 7) // 8, "big").hex()


class World:
    """A proxy that asks `urls`, before one small backend."""

    def __init__(self, start_proxy, backend, directory, urls, policy, **config):
        self.backend = backend
        self.directory = directory
        table = {"urls": urls, "hash_nonce_file": secret_file(directory, "nonce", NONCE),
                 "timeout": "30s", **policy}  # fmt: skip
        self.config = {
            "pool": [{"name": "mail", "backends": [{"name": "store", "address": backend.address}]}],
            "route": [{"users": "*@known.test", "pool": "mail"}],
            "guard": {"policy": table, **config.pop("guard", {})},
            **config,
        }
        self.proxy = start_proxy(self.config)
        self.port = self.proxy.ports["plain"]

    def connect(self, source="127.0.0.1", **more):
        return Pop3Connection(self.port, source=source, **more)

    def log_in(self, user=USER, password="right", source="127.0.0.1"):
        with self.connect(source) as client:
            answer = client.login(user, password)
            if answer.startswith(b"+OK"):
                client.quit()
            return answer

    def passwords(self):
        """How many passwords the backend was offered."""
        return sum(len(visit.passwords) for visit in self.backend.visits())

    def last_line(self, count):
        """The fields of the last of `count` session lines."""
        line = self.proxy.session_lines(count)[-1]
        return dict(field.split("=", 1) for field in line.split(" ") if "=" in field), line


@pytest.fixture
def world(start_proxy, tmp):
    with contextlib.ExitStack() as stack:

        def build(urls, policy=None, **config):
            backend = Backend()
            stack.enter_context(BackendFarm([backend]))
            return World(start_proxy, backend, tmp, urls, policy or {}, **config)

        yield build


@pytest.fixture
def service():
    with PolicyService() as running:
        yield running


def test_what_the_service_is_asked_and_told(world, service):
    here = world([service.url()])
    assert here.log_in().startswith(b"+OK")
    facts = {
        "device_id": "",
        "login": USER,
        "protocol": "pop3",
        "pwhash": password_hash(USER, "right"),
        "remote": "127.0.0.1",
        "tls": False,
    }
    (asked,) = service.asked("allow")
    session = asked.json.pop("session_id")
    assert asked.json == facts
    assert asked.method == "POST" and asked.path == "/?command=allow"
    assert asked.headers["Content-Type"] == "application/json"
    fields, _ = here.last_line(1)
    assert fields["id"] == session and fields["policy"] == "allowed" and "guard" not in fields
    (told,) = wait_until(lambda: service.asked("report"), 60)
    assert told.path == "/?command=report"
    assert told.json == {**facts, "session_id": session, "success": True, "policy_reject": False}


def test_a_wrong_password_is_reported_with_its_own_hash(world, service):
    here = world([service.url("/x?y=z")], {"hash_truncate": 31})
    with here.connect() as client:
        assert client.login(USER, "wrong") == b"-ERR [AUTH] Authentication failed."
        assert client.login("nobody@else.test", "guess") == WRONG
        assert client.login(USER, "right").startswith(b"+OK")
        client.quit()
    told = wait_until(lambda: len(service.asked("report")) == 3 and service.asked("report"), 60)
    hashes = [(USER, "wrong"), ("nobody@else.test", "guess"), (USER, "right")]
    expected = {(user, password_hash(user, password, 31), password == "right") for user, password in hashes}
    # Reports go over several connections at the same time.
    assert {(r.json["login"], r.json["pwhash"], r.json["success"]) for r in told} == expected
    assert not any(r.json["policy_reject"] for r in told)
    assert [r.json["pwhash"] for r in service.asked("allow")] == [password_hash(*pair, 31) for pair in hashes]
    assert service.asked("allow")[0].path == "/x?y=z&command=allow"


def test_tls_and_other_ways_to_log_in(world, service):
    here = world([service.url()], auth={"mechanisms": ["plain"]})
    with Pop3Connection(here.proxy.ports["pop3s"], "implicit") as client:
        message = base64.b64encode(f"\0{USER}\0right".encode()).decode()
        assert client.command("AUTH PLAIN " + message).startswith(b"+OK")
        client.quit()
    (asked,) = service.asked("allow")
    assert asked.json["tls"] is True
    assert asked.json["pwhash"] == password_hash(USER, "right")


def test_no_password_leaves_in_the_clear(world, service, tmp):
    here = world([service.url()], {"key_file": secret_file(tmp, "key", "the key")})
    words = "correct-horse-battery-staple"
    assert here.log_in(password=words).startswith(b"+OK")
    assert here.log_in("nobody@else.test", words) == WRONG
    wait_until(lambda: len(service.asked("report")) == 2, 60)
    assert len(service.requests) == 4
    plain = words.encode()
    forms = [plain, base64.b64encode(plain)[:-4], plain.hex().encode(),
             hashlib.sha256(plain).hexdigest().encode(), NONCE.encode()]  # fmt: skip
    for request in service.requests:
        for form in forms:
            assert form not in request.raw, request.raw
    told = here.proxy.log() + "".join(here.proxy.session_lines(2))
    for word in (words, "the key", NONCE):
        assert word not in told


def test_a_refusal_looks_like_a_wrong_password(world, service):
    service.allow = lambda request: verdict(-1, "too many \"failures\"\r\nx")
    here = world([service.url()], timeouts={"refused_delay": "1s"})
    began = time.monotonic()
    with here.connect() as client:
        assert client.login(USER, "right") == WRONG
        assert time.monotonic() - began >= 1
        client.quit()
    assert here.passwords() == 0
    fields, line = here.last_line(1)
    assert fields["guard"] == "policy" and fields["policy"] == "refused" and fields["result"] == "refused"
    assert "policy: refused: too many" in line
    (told,) = wait_until(lambda: service.asked("report"), 60)
    assert told.json["success"] is False and told.json["policy_reject"] is True
    metrics = here.proxy.metrics()
    assert metrics.get("postern_listener_guard_refusals_total", reason="policy") == 1
    assert metrics.get(POLICY + "requests_total", command="allow", result="refused") == 1
    assert metrics.get("postern_listener_logins_total", result="limited") == 1
    assert metrics.get(POLICY + "seconds_count", command="allow") == 1


def test_the_words_of_a_refusal_are_those_of_the_configuration(world, service):
    service.allow = lambda request: verdict(-1)
    here = world([service.url()], auth={"refused_reply": "-ERR [AUTH] Nope"})
    assert here.log_in() == b"-ERR [AUTH] Nope"
    assert here.log_in(user="nobody@else.test") == b"-ERR [AUTH] Nope"


def test_too_many_refusals_end_the_connection(world, service):
    service.allow = lambda request: verdict(-1)
    here = world([service.url()])
    with here.connect() as client:
        answers = []
        while not answers or answers[-1]:
            answers.append(client.login(USER, "right"))
            assert len(answers) < 50
    assert set(answers[:-1]) == {WRONG}


def test_a_refusal_is_no_failed_login_of_the_guard(world, service):
    service.allow = lambda request: verdict(-1 if request.json["pwhash"] == password_hash(USER, "no") else 0)
    here = world([service.url()], guard={"failures": {"user": 2, "ip": 0, "prefix": 0, "delay": "0s"}})
    for _ in range(4):
        assert here.log_in(password="no") == WRONG
    assert here.log_in().startswith(b"+OK")


def test_a_tarpit_holds_nobody_else_up(world, service):
    """Forty logins wait three seconds each, at the same time, with one connection to the service."""
    service.allow = lambda request: verdict(3)
    here = world([service.url()], {"connections": 1, "timeout": "30s"}, workers=1)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(here.connect(timeout=60)) for _ in range(40)]
        began = time.monotonic()
        for client in clients:
            client.send(f"USER {USER}\r\nPASS right\r\n".encode())
        service_free = len(wait_until(lambda: len(service.asked("allow")) == 40 and service.requests, 60))
        assert service_free >= 40
        for client in clients:
            assert client.line().startswith(b"+OK")
            assert client.line().startswith(b"+OK")
        took = time.monotonic() - began
        for client in clients:
            client.quit()
    assert 3 <= took < 60  # one behind the other would be two minutes
    fields, _ = here.last_line(40)
    assert fields["policy"] == "tarpitted" and fields["tarpit_ms"] == "3000.000"
    metrics = here.proxy.metrics()
    assert metrics.get(LISTENER + "tarpits_total") == 40
    assert metrics.get(LISTENER + "tarpit_seconds_total") == pytest.approx(120)


def test_a_tarpit_is_capped(world, service):
    service.allow = lambda request: verdict(86400)
    here = world([service.url()], {"tarpit_max": "1s"})
    began = time.monotonic()
    assert here.log_in().startswith(b"+OK")
    assert time.monotonic() - began >= 1
    fields, _ = here.last_line(1)
    assert fields["tarpit_ms"] == "1000.000"


def test_behind_a_tarpit_nobody_learns_who_exists(world, service):
    """The delay of refusals begins behind it: else an unknown user would be refused at once."""
    service.allow = lambda request: verdict(2)
    here = world([service.url()], timeouts={"refused_delay": "1s"})
    for user in ("nobody@else.test", USER):
        began = time.monotonic()
        with here.connect() as client:
            assert client.login(user, "wrong") == WRONG
            assert time.monotonic() - began >= 3


def test_the_login_deadline_ends_a_tarpit(world, service):
    service.allow = lambda request: verdict(300)
    here = world([service.url()], {"tarpit_max": "5m"}, timeouts={"login": "2s"})
    with here.connect() as client:
        assert client.login(USER, "right").startswith(b"-ERR [SYS/TEMP]")
        assert client.line() == b""
    assert here.passwords() == 0


BAD = {
    "garbage": Reply(b"<html>\xff\xfe"),
    "empty": Reply(b""),
    "wrong type": Reply(b'{"status":"0"}'),
    "500": Reply(b'{"status":0}', status=500),
    "404": Reply(b'{"status":0}', status=404),
    "redirect": Reply(b'{"status":0}', status=302),
    "huge": Reply(b'{"status":0,"msg":"' + b"x" * 1_000_000 + b'"}'),
    "deep": Reply(b'{"status":0,"a":' + b"[" * 8000),
    "no http": Reply(raw=b'{"status":0}\r\n'),
    "cut": Reply(raw=b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"status":0}'),
    "closes": Reply(raw=b""),
    "endless header": Reply(raw=b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20000),
}


@pytest.mark.parametrize("fail", ["open", "closed"])
def test_whatever_is_no_answer(world, service, fail):
    here = world([service.url()], {"fail": fail})
    for number, (name, reply) in enumerate(BAD.items(), 1):
        # A good answer in between keeps the breaker closed.
        service.allow = lambda request, reply=reply: reply
        answer = here.log_in()
        assert answer.startswith(b"+OK" if fail == "open" else UNAVAILABLE), name
        fields, line = here.last_line(2 * number - 1)
        assert fields["policy"] == "unanswered", name
        if fail == "closed":
            assert "policy: http://127.0.0.1" in line and fields["reason"] == "upstream_unavailable", name
        service.allow = lambda request: verdict(0)
        assert here.log_in().startswith(b"+OK"), name
        here.last_line(2 * number)
    metrics = here.proxy.metrics()
    assert metrics.get(POLICY + "requests_total", command="allow", result="failed") == len(BAD)
    assert metrics.get(LISTENER + "unanswered_total") == len(BAD)
    assert here.passwords() == (2 if fail == "open" else 1) * len(BAD)
    # What was no verdict was not told.
    reports = (2 if fail == "open" else 1) * len(BAD)
    wait_until(lambda: len(service.asked("report")) == reports, 60)
    assert all(request.json["success"] for request in service.asked("report"))


@pytest.mark.parametrize("fail", ["open", "closed"])
def test_a_service_that_is_down(world, fail):
    here = world([f"http://127.0.0.1:{free_port()}/"], {"fail": fail})
    for _ in range(8):
        assert here.log_in().startswith(b"+OK" if fail == "open" else UNAVAILABLE)
    metrics = here.proxy.metrics()
    assert metrics.get(POLICY + "requests_total", command="allow", result="failed") >= 5
    assert metrics.get(LISTENER + "unanswered_total") == 8
    wait_until(lambda: "policy service (allow): 5 failures in a row" in here.proxy.log(), 60)
    words = "logins go on without it" if fail == "open" else "logins are told to come back"
    assert words in here.proxy.log()


def test_the_breaker_closes_when_the_service_is_back(world):
    port = free_port()
    here = world([f"http://127.0.0.1:{port}/"])
    for _ in range(5):
        assert here.log_in().startswith(b"+OK")
    wait_until(lambda: here.proxy.metrics().get(POLICY + "breaker_open", command="allow") == 1, 60)
    with PolicyService(allow=lambda request: verdict(-1), port=port):
        wait_until(lambda: here.log_in() == WRONG, 60)
        here.proxy.wait_for_metric_to_fall(0, POLICY + "breaker_open", command="allow")


@pytest.mark.parametrize("fail", ["open", "closed"])
def test_a_slow_service_costs_its_timeout_and_no_more(world, service, fail):
    release = threading.Event()
    service.allow = lambda request: [release.wait(60), verdict(-1)][1]
    here = world([service.url()], {"timeout": "1s", "fail": fail})
    try:
        began = time.monotonic()
        assert here.log_in().startswith(b"+OK" if fail == "open" else UNAVAILABLE)
        assert 1 <= time.monotonic() - began < 50
    finally:
        release.set()
    # Who asks and who is asked may give up first.
    metrics = here.proxy.metrics()
    assert metrics.get(LISTENER + "unanswered_total") == 1


def test_a_slow_service_holds_up_no_other_worker_time(world, service):
    """While a login waits for the service, the worker serves others: those who are exempt."""
    release = threading.Event()
    service.allow = lambda request: [release.wait(60), verdict(0)][1]
    here = world([service.url()], {"timeout": "60s"}, workers=1, guard={"exempt": ["127.0.0.2"]})
    try:
        with here.connect() as waiting:
            waiting.ok(f"USER {USER}")
            waiting.send(b"PASS right\r\n")
            wait_until(lambda: service.asked("allow"), 60)
            for _ in range(5):
                assert here.log_in(source="127.0.0.2").startswith(b"+OK")
            # Nobody was asked about these, and nobody told.
            assert len(service.asked("allow")) == 1 and not service.asked("report")
            release.set()
            assert waiting.line().startswith(b"+OK")
            waiting.quit()
    finally:
        release.set()


def test_a_client_that_leaves_while_the_service_thinks(world, service):
    release = threading.Event()
    service.allow = lambda request: [release.wait(60), verdict(0)][1]
    here = world([service.url()], {"timeout": "60s"})
    try:
        with here.connect() as client:
            client.ok(f"USER {USER}")
            client.send(b"PASS right\r\n")
            wait_until(lambda: service.asked("allow"), 60)
    finally:
        release.set()
    assert here.log_in().startswith(b"+OK")
    here.proxy.session_lines(2)


def test_another_url_takes_over_and_keeps_the_connection(world, service):
    down = f"http://127.0.0.1:{free_port()}/"
    here = world([down, service.url()], {"connections": 1, "report": False})
    for _ in range(5):
        assert here.log_in().startswith(b"+OK")
    assert len(service.asked("allow")) == 5 and not service.asked("report")
    # One connection for all five, and the one that is down was only asked once.
    assert service.connections == 1
    metrics = here.proxy.metrics()
    assert metrics.get(POLICY + "requests_total", command="allow", result="answered") == 5
    assert metrics.get(POLICY + "requests_total", command="allow", result="failed") == 0
    assert metrics.get(POLICY + "requests_total", command="report") == 0


def test_a_connection_that_the_service_has_ended_is_no_failure(world, service):
    """It ends each one behind its answer, and announces nothing."""
    service.allow = lambda request: Reply(raw=b'HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{"status":0}')
    here = world([service.url()], {"fail": "closed", "connections": 1, "report": False})
    for _ in range(6):
        assert here.log_in().startswith(b"+OK")
    assert service.connections == 6
    assert here.proxy.metrics().get(POLICY + "requests_total", command="allow", result="failed") == 0


def test_a_failing_url_is_left_for_the_next(world, service):
    with PolicyService(allow=lambda request: Reply(b"oops", status=503)) as bad:
        here = world([bad.url(), service.url()], {"fail": "closed", "connections": 1})
        assert here.log_in().startswith(b"+OK")
        assert len(bad.asked("allow")) == 1 and len(service.asked("allow")) == 1


def test_the_queue_is_bounded(world, service):
    release = threading.Event()
    service.allow = lambda request: [release.wait(60), verdict(0)][1]
    here = world([service.url()], {"connections": 1, "queue_max": 1, "timeout": "60s", "fail": "closed"})
    try:
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(here.connect(timeout=60)) for _ in range(2)]
            for number, client in enumerate(clients):
                client.ok(f"USER {USER}")
                client.send(b"PASS right\r\n")
                wait_until(lambda: here.proxy.metrics().get(POLICY + "in_flight", command="allow") == 1, 60)
                queued = number  # the first is asked, the second waits
                wait_until(lambda: here.proxy.metrics().get(POLICY + "queued", command="allow") == queued, 60)
            assert here.log_in() == UNAVAILABLE
            assert here.proxy.metrics().get(POLICY + "dropped_total", command="allow", reason="queue_full") == 1
            release.set()
            for client in clients:
                assert client.line().startswith(b"+OK")
                client.quit()
    finally:
        release.set()


def test_reports_never_hold_a_login_up(world, service):
    release = threading.Event()
    service.report = lambda request: [release.wait(60), verdict(0)][1]
    here = world([service.url()], {"connections": 1, "queue_max": 1, "timeout": "60s", "fail": "closed"})
    try:
        assert here.log_in().startswith(b"+OK")
        wait_until(lambda: service.asked("report"), 60)
        for _ in range(5):
            assert here.log_in().startswith(b"+OK")
        metrics = here.proxy.metrics()
        # One is under way and one waits.
        assert metrics.get(POLICY + "dropped_total", command="report", reason="queue_full") == 4
        assert metrics.get(POLICY + "dropped_total", command="allow") == 0
    finally:
        release.set()


def test_we_show_who_we_are(world, service, tmp):
    key = secret_file(tmp, "key", "s3cret key")
    here = world([service.url()], {"key_file": key, "key_header": "X-Policy-Key"})
    assert here.log_in().startswith(b"+OK")
    wait_until(lambda: service.asked("report"), 60)
    assert [request.headers["X-Policy-Key"] for request in service.requests] == ["s3cret key"] * 2
    # Another key in the same file, and a reload.
    before = len(service.requests)
    secret_file(tmp, "key", "changed key!")
    here.proxy.reload()
    assert here.log_in().startswith(b"+OK")
    wait_until(lambda: len(service.requests) == before + 2, 60)
    assert {request.headers["X-Policy-Key"] for request in service.requests[before:]} == {"changed key!"}


def test_we_show_who_we_are_by_basic_authentication(world, service, tmp):
    password = secret_file(tmp, "password", "pass:word")
    here = world([service.url()], {"user": "wforce", "password_file": password})
    assert here.log_in().startswith(b"+OK")
    (asked,) = service.asked("allow")
    expected = "Basic " + base64.b64encode(b"wforce:pass:word").decode()
    assert asked.headers["Authorization"] == expected
    assert "X-API-Key" not in asked.headers


def test_https_is_verified(world, certificates):
    good = certificates.leaf(("127.0.0.1", "localhost"), ca="farm-ca")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(good.chain, good.key)
    with PolicyService(context=context) as service:
        url = service.url().replace("127.0.0.1", "localhost")
        here = world([url], {"ca": good.ca, "fail": "closed"})
        for _ in range(3):
            assert here.log_in().startswith(b"+OK")
        assert len(service.asked("allow")) == 3
        # Without its CA nothing is even asked.
        here = world([url], {"fail": "closed", "report": False})
        asked = len(service.asked("allow"))
        assert here.log_in() == UNAVAILABLE
        assert len(service.asked("allow")) == asked


def test_a_service_behind_a_unix_socket_that_is_not_there(world, tmp):
    path = os.path.join(tmp, "none.sock")
    here = world([f"unix:{path}:/policy"], {"fail": "closed"})
    assert here.log_in() == UNAVAILABLE
    _, line = here.last_line(1)
    assert f"policy: unix:{path}: " in line


def test_a_reload_without_the_table_asks_no_more(world, service):
    here = world([service.url()])
    assert here.log_in().startswith(b"+OK")
    here.proxy.write_config({**here.config, "guard": {}})
    assert "new configuration is in use" in here.proxy.reload()
    assert here.log_in().startswith(b"+OK")
    assert len(service.asked("allow")) == 1
    fields, _ = here.last_line(2)
    assert "policy" not in fields
    here.proxy.write_config(here.config)
    here.proxy.reload()
    assert here.log_in().startswith(b"+OK")
    assert len(service.asked("allow")) == 2
    # Counters are those of the process.
    assert here.proxy.metrics().get(POLICY + "requests_total", command="allow", result="answered") == 2


def test_files_are_looked_at_before_a_configuration_is_used(world, service, tmp):
    here = world([service.url()], {"key_file": secret_file(tmp, "key", "s3cret")})
    for key, change in (("hash_nonce_file", lambda path: os.chmod(path, 0o644)), ("key_file", os.remove)):
        path = here.config["guard"]["policy"][key]
        change(path)
        told = here.proxy.reload()
        assert "stays in use" in told and path in told
        checked = run_postern("check", "--config", here.proxy.config_path)
        assert checked.returncode != 0 and path in checked.stdout + checked.stderr
        os.path.exists(path) and os.chmod(path, 0o600)
    assert here.log_in().startswith(b"+OK")
