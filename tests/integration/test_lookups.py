"""Logins that ask an authentication service, as nginx's mail proxy does: the real binary, a service
where the test decides about every byte, and two real Dovecot servers."""

import base64
import hashlib
import hmac
import os
import re
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time

import pytest

from harness import Pop3Connection, free_port
from harness.auth_service import AuthService, reply
from harness.dovecot import MASTER_PASSWORD, MASTER_USER
from harness.farm import BY_HASH, MAPPED, PASSWORD
from harness.proxy import run_postern
from harness.waiting import wait_until

USER = "mapped1@map.test"  # has its mail at both servers
REFUSED = b"-ERR [AUTH] Authentication failed."
LOOKUP = "postern_lookup_"


def server_port(farm, name):
    return int(farm.servers[name].address().rsplit(":", 1)[1])


@pytest.fixture
def service(farm):
    """Sends everybody with the right password to mail1; .answer can be changed."""

    def answer(request):
        if request.get("Auth-Pass") != PASSWORD.replace(" ", "%20"):
            return reply("Invalid login or password")
        return reply(Auth_Server="127.0.0.1", Auth_Port=server_port(farm, "mail1"))

    with AuthService(answer) as running:
        yield running


def config(farm, urls, lookup=None, route=None, behind=(), **more):
    """Two backends in a pool, and a route that asks `urls`."""
    table = {"name": "auth", "type": "auth_http", "urls": urls, "timeout": "30s", **(lookup or {})}
    return {
        "pool": farm.config()["pool"],
        "lookup": [table],
        "route": [{"lookup": "auth", "pool": "mail", **(route or {})}, *behind],
        **more,
    }


def log_in(proxy, user=USER, password=PASSWORD, listener="plain", tls="off"):
    with Pop3Connection(proxy.ports[listener], tls) as client:
        answer = client.login(user, password)
        if answer.startswith(b"+OK"):
            client.quit()
    return answer


def wait_for_log(proxy, words):
    wait_until(lambda: words in proxy.log(), 60, lambda: f"{words!r} in\n{proxy.log()}")


def backend_of(proxy, count):
    return next(field.split("=")[1] for field in proxy.session_lines(count)[-1].split() if field.startswith("backend="))


def test_an_address_is_the_backend_that_has_it(start_proxy, farm, service):
    proxy = start_proxy(config(farm, [service.url()]))
    assert log_in(proxy).startswith(b"+OK")
    assert backend_of(proxy, 1) == "mail1"
    line = proxy.session_lines(1)[0]
    assert "lookup=auth" in line and "server=" not in line
    service.answer = lambda request: reply(Auth_Server="127.0.0.1", Auth_Port=server_port(farm, "mail2"))
    assert log_in(proxy, "someone@two.test").startswith(b"+OK")
    assert backend_of(proxy, 2) == "mail2"


def test_the_request(start_proxy, farm, service):
    proxy = start_proxy(config(farm, [service.url("/auth?x=1")], {"headers": {"X-Auth-Key": "k e y"}}))
    assert log_in(proxy, listener="pop3s", tls="implicit").startswith(b"+OK")
    request = service.requests[0]
    assert request.line == "GET /auth?x=1 HTTP/1.1"
    assert request.headers[0] == ("Host", "127.0.0.1")
    own = [header for header in request.headers if header[0] not in ("Host", "Connection")]
    assert own == [
        ("Auth-Method", "plain"),
        ("Auth-User", USER),
        ("Auth-Pass", PASSWORD.replace(" ", "%20")),
        ("Auth-Protocol", "pop3"),
        ("Auth-Login-Attempt", "1"),
        ("Client-IP", "127.0.0.1"),
        ("Auth-SSL", "on"),
        ("Auth-SSL-Protocol", "TLSv1.3"),
        ("Auth-SSL-Cipher", own[8][1]),
        ("X-Auth-Key", "k e y"),
    ]
    assert own[8][1].startswith("TLS_")


def test_attempts_are_counted_and_refusals_are_the_services_words(start_proxy, farm, service):
    proxy = start_proxy(config(farm, [service.url()], {"cache": {"ttl": "0s", "negative_ttl": "0s"}}))
    with Pop3Connection(proxy.ports["plain"]) as client:
        assert client.login(USER, "wrong") == b"-ERR Invalid login or password"
        assert client.login(USER, PASSWORD).startswith(b"+OK")
        client.quit()
    assert [request.get("Auth-Login-Attempt") for request in service.requests] == ["1", "2"]
    metrics = proxy.metrics()
    assert metrics.labels(LOOKUP + "questions_total", "result") == {"forbidden": 1, "found": 1}
    # The backend never saw the wrong one.
    assert metrics.labels("postern_backend_logins_total", "result") == {"accepted": 1}


def test_answers_are_remembered_by_user_and_password(start_proxy, farm, service):
    proxy = start_proxy(config(farm, [service.url()]))
    for _ in range(3):
        assert log_in(proxy).startswith(b"+OK")
    assert len(service.requests) == 1
    for _ in range(2):
        assert log_in(proxy, password="wrong") == b"-ERR Invalid login or password"
    assert len(service.requests) == 2
    assert log_in(proxy).startswith(b"+OK")
    metrics = proxy.metrics()
    assert len(service.requests) == 2
    assert metrics.labels(LOOKUP + "cache_total", "result") == {"hit": 4, "miss": 2}
    assert metrics.get(LOOKUP + "cache_entries", lookup="auth") == 2


def test_two_users_with_one_password_are_never_mixed_up(start_proxy, farm, service):
    homes = {user: "mail1" if i % 2 else "mail2" for i, user in enumerate(BY_HASH)}
    service.answer = lambda request: reply(Auth_Server=homes[request.get("Auth-User")])
    # Entries come and go.
    proxy = start_proxy(config(farm, [service.url()], {"cache": {"entries": 6}}))

    def log_in_often(user):
        for _ in range(12):
            assert log_in(proxy, user).startswith(b"+OK")

    threads = [threading.Thread(target=log_in_often, args=(user,)) for user in BY_HASH]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = proxy.session_lines(12 * len(BY_HASH))
    for line in lines:
        fields = dict(field.split("=", 1) for field in line.split() if "=" in field)
        assert fields["backend"] == homes[fields["user"]], line
    assert proxy.metrics().get(LOOKUP + "cache_evictions_total") > 0


def test_a_pool_is_chosen_from_by_hash(start_proxy, farm, service):
    service.answer = lambda request: reply(Auth_Server="mail")
    proxy = start_proxy(config(farm, [service.url()]))
    plain = start_proxy({"pool": farm.config()["pool"], "route": [{"users": "*", "pool": "mail"}]})
    for count, user in enumerate(BY_HASH, 1):
        assert log_in(proxy, user).startswith(b"+OK")
        assert log_in(plain, user).startswith(b"+OK")
        assert backend_of(proxy, count) == backend_of(plain, count)


def test_yes_without_a_server_goes_where_the_route_says(start_proxy, farm, service):
    service.answer = lambda request: reply()
    proxy = start_proxy(config(farm, [service.url()], route={"pool": "mail"}))
    assert log_in(proxy).startswith(b"+OK")
    # Without a target in the route nobody knows where.
    proxy = start_proxy({**config(farm, [service.url()]), "route": [{"lookup": "auth"}]})
    assert log_in(proxy).startswith(b"-ERR [SYS/TEMP]")
    wait_for_log(proxy, 'write pool = "NAME"')


def test_an_address_that_no_backend_has(start_proxy, farm, service):
    farm_config = farm.config()["pool"][0]["backends"]
    settings = {"name": "settings", "address": "127.0.0.1:1", "mechanism": "auth-plain"}
    proxy = start_proxy({
        **config(farm, [service.url()]), "pool": [], "backend": [settings],
        "route": [{"lookup": "auth", "backend": "settings"}],
    })  # fmt: skip
    assert log_in(proxy).startswith(b"+OK")
    line = proxy.session_lines(1)[0]
    assert "backend=settings" in line and f"server={farm_config[0]['address']}" in line
    metrics = proxy.metrics()
    assert metrics.get("postern_backend_logins_total", backend="settings", result="accepted") == 1
    # Without settings it is not reached at all.
    proxy = start_proxy({
        **config(farm, [service.url()]), "pool": [], "backend": [settings],
        "route": [{"lookup": "auth"}],
    })  # fmt: skip
    assert log_in(proxy).startswith(b"-ERR [SYS/TEMP]")
    wait_for_log(proxy, "for the settings to use there")


def test_a_broken_service_does_not_fill_the_log(start_proxy, farm, service):
    service.answer = lambda request: reply(Auth_Server="nowhere-at-all", Auth_Port=110)
    proxy = start_proxy(config(farm, [service.url()], {"cache": {"ttl": "0s"}}))
    words = "which is no backend, pool or address"
    started = time.monotonic()
    for _ in range(4):
        assert log_in(proxy).startswith(b"-ERR [SYS/TEMP]")
    wait_for_log(proxy, words)
    if time.monotonic() < started + 9:
        assert proxy.log().count(words) == 1
    assert all(words in line for line in proxy.session_lines(4))

    def told_how_many():
        assert log_in(proxy).startswith(b"-ERR [SYS/TEMP]")
        return re.search(r"; [1-9]\d* more logins had no usable answer since the last warning", proxy.log())

    wait_until(told_how_many, 60, proxy.log)


def test_where_no_login_may_go(start_proxy, farm, service):
    proxy = start_proxy(config(farm, [service.url()], {"cache": {"ttl": "0s"}}))
    own = proxy.ports["plain"]
    for server, port in (("169.254.169.254", 80), ("0.0.0.0", 110), ("224.0.0.1", 110), ("127.0.0.1", own)):
        service.answer = lambda request, s=server, p=port: reply(Auth_Server=s, Auth_Port=p)
        assert log_in(proxy).startswith(b"-ERR [SYS/TEMP]"), server
    proxy = start_proxy(config(farm, [service.url()], {"networks": ["192.0.2.0/24"]}))
    service.answer = lambda request: reply(Auth_Server="127.0.0.1", Auth_Port=1)
    assert log_in(proxy).startswith(b"-ERR [SYS/TEMP]")
    wait_for_log(proxy, "where no login may go")


def test_other_routes_before_and_behind(start_proxy, farm, service):
    strict = {"strict": True, "cache": {"negative_ttl": "0s"}}
    proxy = start_proxy({
        **config(farm, [service.url()], strict),
        "route": [
            {"users": "someone@one.test", "backend": "mail1"},
            {"lookup": "auth", "pool": "mail"},
            {"map": farm.map_path},
            {"users": "*@two.test", "backend": "mail2"},
        ],
    })  # fmt: skip
    service.answer = lambda request: reply(None, code="404 Not Found")
    assert log_in(proxy, "someone@one.test").startswith(b"+OK")
    assert service.requests == []  # a route in front of the lookup
    proxy.session_lines(1)
    assert log_in(proxy, "mapped2@map.test").startswith(b"+OK")
    assert backend_of(proxy, 2) == MAPPED["mapped2@map.test"]
    assert log_in(proxy, "someone@two.test").startswith(b"+OK")
    assert log_in(proxy, "nobody@nowhere.test") == REFUSED
    assert len(service.requests) == 3
    metrics = proxy.metrics()
    assert metrics.labels(LOOKUP + "questions_total", "result") == {"unknown": 3}


def test_other_credentials_upstream(start_proxy, farm, service):
    service.answer = lambda request: reply(
        Auth_Server="mail2", Auth_User="someone@two.test", Auth_Pass=PASSWORD)  # fmt: skip
    farm.servers["mail2"].deliver("someone@two.test", [b"Subject: two\r\n\r\n"])
    proxy = start_proxy(config(farm, [service.url()]))
    with Pop3Connection(proxy.ports["plain"]) as client:
        assert client.login("alias@elsewhere.test", "another password").startswith(b"+OK")
        assert client.multiline("RETR 1")[1] == b"Subject: two\r\n\r\n"
        client.quit()
    assert "user=alias@elsewhere.test" in proxy.session_lines(1)[0]


def test_a_master_login_behind_a_service_that_judges(start_proxy, farm, service, tmp):
    password = os.path.join(tmp, "master")
    with open(os.open(password, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        file.write(MASTER_PASSWORD + "\n")
    backend = {"name": "mail1", "address": farm.servers["mail1"].address(), "login": "master",
               "master_user": MASTER_USER, "master_password_file": password}  # fmt: skip
    service.answer = lambda request: (
        reply(Auth_Server="mail1") if request.get("Auth-Pass") == "token" else reply("no"))
    proxy = start_proxy({**config(farm, [service.url()]), "pool": [], "backend": [backend],
                         "route": [{"lookup": "auth"}]})  # fmt: skip
    assert log_in(proxy, password="wrong") == b"-ERR no"
    assert log_in(proxy, password="token").startswith(b"+OK")


def apop(client, user, secret):
    challenge = client.greeting[client.greeting.index(b"<"):client.greeting.index(b">") + 1]
    return client.command(f"APOP {user} {hashlib.md5(challenge + secret.encode()).hexdigest()}")


def cram(client, user, secret):
    challenge = client.command("AUTH CRAM-MD5")
    assert challenge.startswith(b"+ ")
    digest = hmac.new(secret.encode(), base64.b64decode(challenge[2:]), "md5").hexdigest()
    return client.command(base64.b64encode(f"{user} {digest}".encode()))


@pytest.mark.parametrize("method", [apop, cram])
def test_digests(method, start_proxy, farm, service):
    """A service that holds the secret gives it; one that says OK to everybody opens no maildrop."""
    auth = {"apop": True, "mechanisms": ["plain", "cram-md5"]}
    proxy = start_proxy(config(farm, [service.url()], auth=auth))
    service.answer = lambda request: reply(Auth_Server="mail1", Auth_Pass=PASSWORD)
    with Pop3Connection(proxy.ports["plain"]) as client:
        assert method(client, USER, "wrong") == REFUSED
        assert method(client, USER, PASSWORD).startswith(b"+OK")
        client.quit()
    first = service.requests[0]
    assert first.get("Auth-Method") == ("apop" if method is apop else "cram-md5")
    assert first.get("Auth-Salt").startswith("<") and first.get("Auth-Salt").endswith("@pop.example.net>")
    assert len(first.get("Auth-Pass")) == 32
    assert len(service.requests) == 2  # never remembered
    service.answer = lambda request: reply(Auth_Server="mail1")
    with Pop3Connection(proxy.ports["plain"]) as client:
        assert method(client, USER, PASSWORD).startswith(b"-ERR [SYS/TEMP]")
    wait_for_log(proxy, "answers no password")
    assert PASSWORD not in proxy.log()


GARBAGE = {
    "nothing": None,
    "rubbish": b"\0\1\2\3 rubbish\r\n\r\n",
    "endless line": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1_000_000 + b"\r\n\r\n",
    "ten thousand headers": b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 10_000 + b"\r\n",
    "no headers": b"HTTP/1.1 200 OK\r\n\r\n",
    "an error page": b"HTTP/1.1 500 Oh\r\nContent-Length: 4\r\n\r\noops",
    "redirect": b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
    "bad port": reply(Auth_Server="127.0.0.1", Auth_Port=65536),
    "no port": reply(Auth_Server="127.0.0.1"),
    "a name nobody has": reply(Auth_Server="mail9"),
    "half a header": b"HTTP/1.1 200 OK\r\nAuth-Status: OK\r\nAuth-Ser",
    "bytes in the password": reply(Auth_Server="mail1", Auth_Pass="a\x01b"),
}


@pytest.mark.parametrize("what", GARBAGE)
def test_garbage_is_temporary(what, start_proxy, farm, service):
    service.answer = lambda request: GARBAGE[what]
    proxy = start_proxy(config(farm, [service.url()]))
    began = time.monotonic()
    assert log_in(proxy).startswith(b"-ERR [SYS/TEMP]")
    assert time.monotonic() - began < 25
    service.answer = lambda request: reply(Auth_Server="mail1")
    assert log_in(proxy, "someone@one.test").startswith(b"+OK")


LIBERAL = {
    "no status line": b"Auth-Status: OK\r\nAuth-Server: mail1\r\n\r\n",
    "no length and no end": b"HTTP/1.0 200 OK\r\nAuth-Server: mail1\r\n\r\n",
    "an error code": b"HTTP/1.1 503 Oh\r\nAuth-Server: mail1\r\nContent-Length: 0\r\n\r\n",
    "chunked": b"HTTP/1.1 200 OK\r\nAuth-Server: mail1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "line feeds": b"HTTP/1.1 200 OK\nAuth-Server: mail1\nContent-Length: 0\n\n",
    "an underscore": b"HTTP/1.1 200 OK\r\nX_Y: z\r\nAuth-Server: mail1\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("what", LIBERAL)
def test_what_services_do_is_understood(what, start_proxy, farm, service):
    service.answer = lambda request: LIBERAL[what]
    proxy = start_proxy(config(farm, [service.url()]))
    assert log_in(proxy).startswith(b"+OK")


def test_a_service_that_is_down_and_comes_back(start_proxy, farm):
    port = free_port()
    proxy = start_proxy(config(farm, [f"http://127.0.0.1:{port}/"], {"cache": {"ttl": "1s"}}))

    def serve():
        return AuthService(lambda request: reply(Auth_Server="mail1"), port)

    with serve():
        assert log_in(proxy).startswith(b"+OK")
    # What was said is still good for those it was said of, also when its time is over.
    wait_until(lambda: log_in(proxy).startswith(b"+OK") and proxy.metrics().get(
        LOOKUP + "cache_total", result="stale") > 0, 60, lambda: "a stale answer")  # fmt: skip
    for number in range(8):
        began = time.monotonic()
        assert log_in(proxy, f"new{number}@x.test").startswith(b"-ERR [SYS/TEMP]")
        assert time.monotonic() - began < 20
    proxy.wait_for_metric(1, LOOKUP + "breaker_open")

    def somebody_is_rejected():
        # Once a second a question is let through.
        assert log_in(proxy, "new@x.test").startswith(b"-ERR [SYS/TEMP]")
        return proxy.metrics().get(LOOKUP + "rejected_total", reason="breaker") > 0

    wait_until(somebody_is_rejected, 60, proxy.log)
    wait_for_log(proxy, "failures in a row, the last one: http://127.0.0.1:")
    with serve():
        wait_until(lambda: log_in(proxy, "someone@one.test").startswith(b"+OK"), 60, proxy.log)
        proxy.wait_for_metric_to_fall(0, LOOKUP + "breaker_open")


def test_the_next_url_is_asked(start_proxy, farm, service):
    proxy = start_proxy(config(farm, [f"http://127.0.0.1:{free_port()}/auth", service.url()]))
    for user in ("mapped1@map.test", "someone@one.test"):
        assert log_in(proxy, user).startswith(b"+OK")
    assert len(service.requests) == 2


def test_connections_are_kept(start_proxy, farm, service):
    proxy = start_proxy(config(farm, [service.url()], {"connections": 1, "cache": {"ttl": "0s"}}))
    for _ in range(5):
        assert log_in(proxy).startswith(b"+OK")
    assert len(service.requests) == 5
    assert service.connections == 1


def test_a_slow_service_holds_up_nobody_else(start_proxy, farm, service):
    """Questions are bounded in number and in time, and other users log in meanwhile."""
    hold = threading.Event()
    service.answer = lambda request: hold.wait(300) and None
    proxy = start_proxy({
        **config(farm, [service.url()], {"timeout": "5s", "connections": 2, "queue_max": 4}),
        "route": [{"users": "someone@one.test", "backend": "mail1"}, {"lookup": "auth", "pool": "mail"}],
    })  # fmt: skip
    took = []

    def try_it(number):
        began = time.monotonic()
        assert log_in(proxy, f"u{number}@x.test").startswith(b"-ERR [SYS/TEMP]")
        took.append(time.monotonic() - began)

    threads = [threading.Thread(target=try_it, args=(number,)) for number in range(40)]
    for thread in threads:
        thread.start()
    began = time.monotonic()
    assert log_in(proxy, "someone@one.test").startswith(b"+OK")
    assert time.monotonic() - began < 30
    for thread in threads:
        thread.join()
    assert len(took) == 40 and max(took) < 60
    metrics = proxy.metrics()
    assert metrics.get(LOOKUP + "rejected_total") > 0
    assert len(service.requests) <= 12
    proxy.wait_for_metric_to_fall(0, LOOKUP + "waiting")
    hold.set()


def test_a_client_that_leaves_and_a_drain_while_the_service_thinks(start_proxy, farm, service):
    hold = threading.Event()
    service.answer = lambda request: hold.wait(300) and reply(Auth_Server="mail1")
    proxy = start_proxy(config(farm, [service.url()], {"timeout": "60s"}))
    for number in range(5):
        client = Pop3Connection(proxy.ports["plain"])
        client.send(f"USER u{number}\r\nPASS x\r\n".encode())
        proxy.wait_for_metric(number + 1, LOOKUP + "waiting")
        if number < 4:
            client.close()
    # The last one is told why, at once.
    began = time.monotonic()
    proxy.terminate()
    assert client.line().startswith(b"+OK")
    assert client.line().startswith(b"-ERR [SYS/TEMP] The server is shutting down")
    assert time.monotonic() - began < 30
    hold.set()
    proxy.wait()


@pytest.mark.parametrize("end", ["closes", "resets"])
def test_who_goes_while_the_service_thinks_is_noticed_at_once(start_proxy, farm, service, end):
    think = threading.Event()
    service.answer = lambda request: think.wait(60) and reply(Auth_Server="mail1")
    proxy = start_proxy(config(farm, [service.url()], {"timeout": "60s"}, timeouts={"login": "10m"}))
    client = Pop3Connection(proxy.ports["plain"])
    client.send(f"USER {USER}\r\nPASS {PASSWORD}\r\n".encode())
    proxy.wait_for_metric(1, LOOKUP + "waiting")
    if end == "resets":
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    # Long before the service answers.
    assert f"reason=client_{'closed' if end == 'closes' else 'reset'} " in proxy.session_lines(1)[0]
    # A session that was sent ahead, with its end behind it, waits for the answer.
    with Pop3Connection(proxy.ports["plain"]) as ahead:
        ahead.send(f"USER {USER}\r\nPASS {PASSWORD}\r\nNOOP\r\nQUIT\r\n".encode())
        ahead.socket.shutdown(socket.SHUT_WR)
        proxy.wait_for_metric(2, LOOKUP + "waiting")  # with what the service is still busy with
        think.set()
        lines = [ahead.line() for _ in range(4)]
        assert all(line.startswith(b"+OK") for line in lines), lines


def test_the_login_deadline_ends_the_wait(start_proxy, farm, service):
    hold = threading.Event()
    service.answer = lambda request: hold.wait(300) and None
    proxy = start_proxy(config(farm, [service.url()], {"timeout": "60s"}, timeouts={"login": "4s"}))
    assert log_in(proxy) == b"-ERR [SYS/TEMP] Login took too long"
    hold.set()


def test_https_is_verified(start_proxy, farm, certificates):
    good = certificates.leaf(("127.0.0.1", "localhost"), ca="farm-ca")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(good.chain, good.key)
    with AuthService(lambda request: reply(Auth_Server="mail1"), context=context) as service:
        url = service.url().replace("127.0.0.1", "localhost")
        proxy = start_proxy(config(farm, [url], {"ca": good.ca}))
        assert log_in(proxy).startswith(b"+OK")
        # Without its CA nothing is even asked.
        asked = len(service.requests)
        proxy = start_proxy(config(farm, [url]))
        assert log_in(proxy).startswith(b"-ERR [SYS/TEMP]")
        assert len(service.requests) == asked


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can put other files in /etc/ssl/certs")
def test_a_ca_of_its_own_stands_alone(start_proxy, farm, certificates, tmp):
    """With `ca` the system's authorities count no more, whoever got them to sign something."""
    good = certificates.leaf(("localhost",), ca="farm-ca")
    system = os.path.join(tmp, "system")
    os.mkdir(system)
    shutil.copy(good.ca, system)
    shutil.copy(good.ca, os.path.join(system, "ca-certificates.crt"))
    subprocess.run(["openssl", "rehash", system], check=True, capture_output=True)
    mount = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/ssl/certs && exec "$@"', system]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(good.chain, good.key)
    with AuthService(lambda request: reply(Auth_Server="mail1"), context=context) as service:
        urls = [service.url().replace("127.0.0.1", "localhost")]
        proxy = start_proxy(config(farm, urls), command=mount)
        assert log_in(proxy).startswith(b"+OK")
        asked = len(service.requests)
        other = certificates.leaf(("localhost",), ca="other-ca")
        proxy = start_proxy(config(farm, urls, {"ca": other.ca}), command=mount)
        assert log_in(proxy).startswith(b"-ERR [SYS/TEMP]")
        assert len(service.requests) == asked


def test_a_reload_keeps_what_is_remembered(start_proxy, farm, service):
    settings = config(farm, [service.url()])
    proxy = start_proxy(settings)
    log_in(proxy)
    proxy.write_config({**settings, "log": {"level": "debug"}})
    proxy.reload()
    assert log_in(proxy).startswith(b"+OK")
    assert len(service.requests) == 1
    settings["lookup"][0]["timeout"] = "31s"
    proxy.write_config(settings)
    proxy.reload()
    assert log_in(proxy).startswith(b"+OK")
    assert len(service.requests) == 2
    assert proxy.metrics().get(LOOKUP + "questions_total", result="found") == 2


def test_route_asks_and_check_does_not(start_proxy, farm, service, tmp):
    proxy = start_proxy(config(farm, [service.url()]))
    done = run_postern("check", "--config", proxy.config_path)
    assert done.returncode == 0 and service.requests == []
    password = os.path.join(tmp, "password")
    with open(os.open(password, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        file.write(PASSWORD + "\n")
    done = run_postern("route", USER, "--config", proxy.config_path, "--password-file", password)
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'lookup "auth"' in done.stdout and ": found (" in done.stdout and " ms)" in done.stdout
    assert f"127.0.0.1:{server_port(farm, 'mail1')}" in done.stdout
    assert PASSWORD not in done.stdout
    done = run_postern("route", USER, "--config", proxy.config_path)
    assert done.returncode == 1
    assert "refuses" in done.stdout and "no password was shown" in done.stdout
    assert "Invalid login or password" in done.stdout


def test_route_shows_the_service_the_client_that_is_asked_about(start_proxy, farm, service):
    service.answer = lambda request: reply(
        Auth_Server="mail1" if request.get("Client-IP") == "203.0.113.9" else "mail2")
    proxy = start_proxy(config(farm, [service.url()]))

    def route(*arguments):
        done = run_postern("route", USER, "--config", proxy.config_path, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout, service.requests[-1]

    told, request = route("--from", "203.0.113.9", "--listener", "plain")
    assert f"login      at {farm.servers['mail1'].address()}" in told
    assert request.get("Client-IP") == "203.0.113.9" and request.get("Auth-SSL") is None
    told, request = route("--listener", "pop3s", "--sni", "pop.example.net")
    assert f"login      at {farm.servers['mail2'].address()}" in told
    assert request.get("Client-IP") == "192.0.2.1" and request.get("Auth-SSL") == "on"
    # Who judges is said, and nothing of what nobody can do here.
    assert "verified   lookup auth judges what the client shows, and the backend the password" in told
    assert "APOP" not in told


def test_no_secret_is_told_anywhere(start_proxy, farm, service):
    secret = "pst-secret-81f2"
    service.answer = lambda request: reply(Auth_Server="mail1", Auth_Pass=secret)
    proxy = start_proxy(config(farm, [service.url()], {"headers": {"X-Auth-Key": secret}}, log={"level": "debug"}))
    log_in(proxy, password=secret)
    told = proxy.log() + "".join(proxy.session_lines(1)) + proxy.metrics().text
    assert secret not in told
