"""The way to the servers: transports, certificates, master users, servers that are down."""

import base64
import hashlib
import hmac
import os
import shutil
import socket

import pytest

from harness import Pop3Connection, free_port
from harness.dovecot import MASTER_PASSWORD, MASTER_USER
from harness.farm import BY_HASH, PASSWORD
from harness.processes import Process
from harness.waiting import wait_until

USER = "someone@one.test"  # lives on mail1
UNAVAILABLE = b"-ERR [SYS/TEMP]"
MESSAGE = b"Subject: here\r\n\r\n.\r\nx\r\n"


def only(backend):
    """Everybody to one backend."""
    return {
        "backend": [{"name": "mail1", **backend}],
        "route": [{"users": "*", "backend": "mail1"}],
    }


def assert_mail_arrives(proxy, user=USER, message=MESSAGE):
    with Pop3Connection(proxy.ports["plain"]) as client:
        assert client.login(user, PASSWORD).startswith(b"+OK"), proxy.log()
        assert client.multiline("RETR 1")[1] == message
        assert client.quit().startswith(b"+OK")


def assert_unavailable(proxy, reason):
    """The client is told to come again, learns nothing more, and metric and log say why."""
    with Pop3Connection(proxy.ports["plain"]) as client:
        answer = client.login(USER, PASSWORD)
        assert answer.startswith(UNAVAILABLE), answer
        for word in (b"certificate", b"TLS", b"127.0.0.1", b"mail1", b"verify", b"refused"):
            assert word not in answer
        assert client.at_end()
    metrics = proxy.wait_for_metric(1, "postern_listener_sessions_closed_total")
    assert set(metrics.labels("postern_backend_errors_total", "reason")) == {reason}
    closed = metrics.labels("postern_listener_sessions_closed_total", "reason")
    assert closed == {"upstream_unavailable": 1}
    assert metrics.get("postern_backend_logins_total", result="unavailable") == 1
    assert metrics.get("postern_listener_logins_total", result="unavailable") == 1
    line = proxy.session_lines()[0]
    assert "result=unavailable" in line and "mail1: " in line
    return line


@pytest.mark.parametrize("server_name", ["mail.farm.test", None], ids=["name", "address"])
@pytest.mark.parametrize("tls", ["implicit", "stls"])
def test_verified_tls(tls, server_name, start_proxy, farm):
    server = farm.servers["mail1"]
    server.deliver(USER, [MESSAGE])
    backend = {"address": server.address(tls == "implicit"), "tls": tls, "ca": farm.certificate.ca}
    if server_name is not None:
        backend["server_name"] = server_name
    proxy = start_proxy(only(backend))
    before = server.log().count(" Login: ")
    assert_mail_arrives(proxy)
    log = server.wait_for_log(" Login: ", before + 1)
    assert ", TLS," in [line for line in log.splitlines() if " Login: " in line][-1]


@pytest.mark.parametrize("tls", ["implicit", "stls"])
def test_a_certificate_of_another_authority(tls, start_proxy, farm, certificates):
    address = farm.servers["mail1"].address(tls == "implicit")
    backend = {"address": address, "tls": tls, "ca": certificates.authority("stranger")}
    proxy = start_proxy(only(backend))
    assert_unavailable(proxy, "tls")


@pytest.mark.parametrize("tls", ["implicit", "stls"])
def test_a_certificate_of_another_name(tls, start_proxy, farm):
    address = farm.servers["mail1"].address(tls == "implicit")
    backend = {"address": address, "tls": tls, "ca": farm.certificate.ca}
    proxy = start_proxy(only({**backend, "server_name": "other.farm.test"}))
    assert_unavailable(proxy, "tls")


@pytest.fixture(scope="module")
def expired(certificates):
    """A server whose certificate ended yesterday."""
    import tempfile

    from harness.dovecot import Dovecot

    directory = tempfile.mkdtemp(prefix="postern-it-expired-")
    os.chmod(directory, 0o755)
    certificate = certificates.leaf(("mail.farm.test",), ca="farm-ca", days=-1)
    server = Dovecot("expired", os.path.join(directory, "expired"), certificate, {USER: PASSWORD})
    server.certificate = certificate
    yield server
    server.stop()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.mark.parametrize("tls", ["implicit", "stls"])
def test_an_expired_certificate(tls, start_proxy, expired):
    backend = {"address": expired.address(tls == "implicit"), "tls": tls}
    proxy = start_proxy(only({**backend, "ca": expired.certificate.ca}))
    assert "expired" in assert_unavailable(proxy, "tls")


@pytest.mark.parametrize("tls", ["implicit", "stls"])
def test_insecure_takes_any_certificate_and_says_so(tls, start_proxy, expired):
    expired.empty(USER)
    expired.deliver(USER, [MESSAGE])
    backend = {"address": expired.address(tls == "implicit"), "tls": tls, "insecure": True}
    proxy = start_proxy(only(backend))
    assert_mail_arrives(proxy)
    assert proxy.metrics().get("postern_insecure_upstreams") == 1
    assert "not verified" in proxy.log()


def test_a_server_without_stls_is_no_way_around(start_proxy, farm):
    """STLS is wanted and the port speaks implicit TLS, or the other way round."""
    server = farm.servers["mail1"]
    proxy = start_proxy(only({"address": server.address(), "tls": "implicit", "ca": farm.certificate.ca}))
    assert_unavailable(proxy, "tls")


def test_a_unix_socket(start_proxy, farm, tmp):
    server = farm.servers["mail1"]
    server.deliver(USER, [MESSAGE])
    path = os.path.join(tmp, "pop3.sock")
    forward = Process(
        ["socat", f"UNIX-LISTEN:{path},fork", f"TCP:{server.address()}"], os.path.join(tmp, "socat.log")
    )

    def listens():
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(path) == 0

    try:
        # The file is there before anybody listens.
        wait_until(listens, what=forward.log)
        proxy = start_proxy(only({"address": f"unix:{path}"}))
        assert_mail_arrives(proxy)
    finally:
        forward.kill()


def test_a_unix_socket_that_is_not_there(start_proxy, tmp):
    assert_unavailable(start_proxy(only({"address": f"unix:{tmp}/none.sock"})), "refused")


def test_a_host_name(start_proxy, farm):
    server = farm.servers["mail1"]
    server.deliver(USER, [MESSAGE])
    backend = {"address": server.address(tls=True, host="localhost"), "tls": "implicit"}
    proxy = start_proxy(only({**backend, "ca": farm.certificate.ca}))
    assert_mail_arrives(proxy)


def test_a_host_name_nobody_knows(start_proxy):
    # RFC 6761: "invalid" is never found.
    assert_unavailable(start_proxy(only({"address": "mail1.invalid:110"})), "resolve")


def test_an_ipv6_server(start_proxy, farm):
    server = farm.servers["mail1"]
    server.deliver(USER, [MESSAGE])
    assert_mail_arrives(start_proxy(only({"address": server.address(host="[::1]")})))


@pytest.fixture
def master(tmp):
    """The keys of a backend with a master user."""
    path = os.path.join(tmp, "master-password")
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        file.write(MASTER_PASSWORD + "\n")
    return {"login": "master", "master_user": MASTER_USER, "master_password_file": path}


@pytest.mark.parametrize("tls", ["off", "implicit", "stls"])
@pytest.mark.parametrize("mode", ["password", "master"])
def test_apop_is_verified_here(mode, tls, start_proxy, farm, master):
    """Then the login goes on with the stored secret, or as the master user."""
    server = farm.servers["mail1"]
    server.deliver(USER, [MESSAGE])
    backend = {"address": server.address(tls == "implicit")}
    if tls != "off":
        backend.update(tls=tls, ca=farm.certificate.ca)
    if mode == "master":
        backend.update(master)
    proxy = start_proxy(
        {**only(backend), "auth": {"apop": True, "secrets": farm.secrets_path}}
    )
    with Pop3Connection(proxy.ports["plain"]) as client:
        assert apop(client, USER, PASSWORD).startswith(b"+OK"), proxy.log()
        assert client.multiline("RETR 1")[1] == MESSAGE
        client.quit()
    for user, password in ((USER, "wrong"), ("nobody@one.test", PASSWORD)):
        before = server.log().count("Login: ")
        with Pop3Connection(proxy.ports["plain"]) as client:
            assert apop(client, user, password) == b"-ERR [AUTH] Authentication failed."
            client.quit()
        assert server.log().count("Login: ") == before
    if mode == "master":
        server.wait_for_log(f"Master user logging in as {USER}")


def apop(client, user, password):
    challenge = client.greeting[client.greeting.index(b"<") : client.greeting.index(b">") + 1]
    digest = hashlib.md5(challenge + password.encode()).hexdigest()
    return client.command(f"APOP {user} {digest}")


@pytest.mark.parametrize("mode", ["password", "master"])
def test_cram_md5_is_verified_here(mode, start_proxy, farm, master):
    """Each challenge is new, belongs to its connection and is good for one answer."""
    server = farm.servers["mail1"]
    server.deliver(USER, [MESSAGE])
    backend = {"address": server.address(), **(master if mode == "master" else {})}
    auth = {"mechanisms": ["plain", "cram-md5"], "secrets": farm.secrets_path}
    proxy = start_proxy({**only(backend), "auth": auth})

    def challenge(client):
        line = client.command("AUTH CRAM-MD5")
        assert line.startswith(b"+ "), line
        return base64.b64decode(line[2:])

    def answer(user, password, salt):
        digest = hmac.new(password.encode(), salt, "md5").hexdigest()
        return base64.b64encode(f"{user} {digest}".encode())

    with Pop3Connection(proxy.ports["plain"]) as first, Pop3Connection(proxy.ports["plain"]) as other:
        assert "SASL PLAIN CRAM-MD5" in first.capabilities()
        salt = challenge(first)
        assert salt != challenge(other)
        # Not for another connection, and not twice on its own.
        refused = b"-ERR [AUTH] Authentication failed."
        assert other.command(answer(USER, PASSWORD, salt)) == refused
        assert first.command(answer(USER, "wrong", salt)) == refused
        assert first.command(answer(USER, PASSWORD, salt)).startswith(b"-ERR Unknown command")
        assert challenge(first) != salt
        assert first.command(answer(USER, PASSWORD, salt)) == refused
        assert first.command(answer(USER, PASSWORD, challenge(first))).startswith(b"+OK"), proxy.log()
        assert first.multiline("RETR 1")[1] == MESSAGE
        first.quit()
    assert "method=auth_cram_md5 " in [l for l in proxy.session_lines(2) if "logged_in" in l][0]


@pytest.mark.parametrize("method", ["user", "plain"])
def test_a_master_login_believes_no_client(method, start_proxy, farm, master):
    """A master user opens every maildrop and the server judges no password any more, so the proxy
    must."""
    server = farm.servers["mail1"]
    backend = {"address": server.address(), **master}
    proxy = start_proxy({**only(backend), "auth": {"secrets": farm.secrets_path}})

    def log_in(client, user, password):
        if method == "user":
            return client.login(user, password)
        return client.command("AUTH PLAIN " + base64.b64encode(f"\0{user}\0{password}".encode()).decode())

    before = server.log().count("Login: ")
    with Pop3Connection(proxy.ports["plain"]) as client:
        for user, password in ((USER, PASSWORD + "x"), ("nobody@one.test", PASSWORD)):
            assert log_in(client, user, password) == b"-ERR [AUTH] Authentication failed."
        assert server.log().count("Login: ") == before
        assert log_in(client, USER, PASSWORD).startswith(b"+OK")
        client.quit()
    assert server.wait_for_log("Login: ", before + 1).count("Login: ") == before + 1


def down():
    return {"name": "down", "address": f"127.0.0.1:{free_port()}"}


def test_a_server_that_is_down(start_proxy):
    assert_unavailable(start_proxy(only({"address": down()["address"]})), "refused")


def pool(farm, failover):
    backends = [down(), {"name": "mail1", "address": farm.servers["mail1"].address()}]
    return {
        "pool": [{"name": "mail", "failover": failover, "backends": backends}],
        "route": [{"users": "*", "pool": "mail"}],
    }


@pytest.mark.parametrize("failover", [True, False])
def test_the_next_candidate_only_with_failover(failover, start_proxy, farm):
    for user in BY_HASH:
        farm.servers["mail1"].deliver(user, [MESSAGE])
    proxy = start_proxy(pool(farm, failover))
    answers = []
    for user in BY_HASH:
        with Pop3Connection(proxy.ports["plain"]) as client:
            answers.append(client.login(user, PASSWORD)[:15])
            if answers[-1].startswith(b"+OK"):
                assert client.multiline("RETR 1")[1] == MESSAGE
                client.quit()
    metrics = proxy.wait_for_metric(len(BY_HASH), "postern_listener_sessions_closed_total")
    to_down = metrics.get("postern_backend_logins_total", backend="down", result="unavailable")
    assert 0 < to_down < len(BY_HASH)
    if failover:
        assert all(answer.startswith(b"+OK") for answer in answers)
        assert metrics.get("postern_backend_logins_total", result="accepted") == len(BY_HASH)
    else:
        assert answers.count(UNAVAILABLE) == to_down
    # Refused connections are tried twice, as `upstream_tries` says.
    assert metrics.get("postern_backend_errors_total", backend="down", reason="refused") == 2 * to_down


def test_a_server_that_comes_back(start_proxy, farm, tmp):
    from harness.dovecot import Dovecot

    server = Dovecot("mail1", os.path.join(tmp, "mail1"), farm.certificate, {USER: PASSWORD})
    try:
        server.deliver(USER, [MESSAGE])
        proxy = start_proxy(only({"address": server.address()}))
        assert_mail_arrives(proxy)
        server.stop()
        with Pop3Connection(proxy.ports["plain"]) as client:
            assert client.login(USER, PASSWORD).startswith(UNAVAILABLE)
        server.start()
        assert_mail_arrives(proxy)
    finally:
        server.stop()
