"""Who the user is: certificates (EXTERNAL), stored secrets, master users by name; and what listeners
promise for their backends."""

import base64
import hashlib
import os
import shutil
import socket
import subprocess
import tempfile

import pytest

from harness import Pop3Connection
from harness.dovecot import MASTER_PASSWORD, MASTER_USER, Dovecot
from harness.farm import PASSWORD
from harness.pop3 import client_context
from harness.waiting import wait_until

USER = "mapped1@map.test"
MESSAGE = b"Subject: here\r\n\r\nx\r\n"
FOREIGN = b"-ERR An authorization identity of another user is not accepted"


def b64(text):
    return base64.b64encode(text.encode()).decode()


@pytest.fixture
def master(tmp):
    path = os.path.join(tmp, "master-password")
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        file.write(MASTER_PASSWORD + "\n")
    return {"login": "master", "master_user": MASTER_USER, "master_password_file": path}


def with_certificate(certificate=None):
    context = client_context()
    if certificate is not None:
        context.load_cert_chain(certificate.chain, certificate.key)
    return context


def config(certificates, backend, wanted="optional", user="cn", **auth):
    asks = {
        "client_certificate": wanted, "client_ca": certificates.authority("client-ca"),
        "certificate_user": user,
    }  # fmt: skip
    return {
        "listener": [
            {"name": "pop3s", "tls": "implicit", **asks},
            {"name": "pop3", "tls": "stls", **asks},
            {"name": "open", "tls": "implicit"},
        ],
        "backend": [{"name": "mail1", **backend}],
        "route": [{"users": "*", "backend": "mail1"}],
        "auth": {"mechanisms": ["plain", "external"], **auth},
    }


@pytest.mark.parametrize("tls", ["implicit", "stls"])
@pytest.mark.parametrize("way", ["master", "secret", "master by name"])
def test_a_certificate_logs_in(way, tls, start_proxy, farm, master, certificates):
    server = farm.servers["mail1"]
    server.deliver(USER, [MESSAGE])
    backend = {"address": server.address(), **({"login": "secret"} if way == "secret" else master)}
    if way == "master by name":
        backend["master_format"] = "{user}*{master}"
    proxy = start_proxy(config(certificates, backend, secrets=farm.secrets_path))
    port = proxy.ports["pop3s" if tls == "implicit" else "pop3"]
    before = server.log().count(f"Master user logging in as {USER}")
    certificate = certificates.client(USER)
    for response in ("=", b64(USER)):
        with Pop3Connection(port, tls, context=with_certificate(certificate)) as client:
            assert "SASL PLAIN EXTERNAL" in client.capabilities()
            assert client.command(f"AUTH EXTERNAL {response}").startswith(b"+OK"), proxy.log()
            assert client.multiline("RETR 1")[1] == MESSAGE
            client.quit()
    with Pop3Connection(port, tls, context=with_certificate(certificate)) as client:
        assert client.command("AUTH EXTERNAL") == b"+ "
        assert client.command("").startswith(b"+OK")
        client.quit()
    line = proxy.session_lines(3)[-1]
    assert f"certificate={USER} user={USER} method=auth_external " in line and "result=logged_in" in line
    expected = before + (0 if way == "secret" else 3)
    log = server.wait_for_log(f"Master user logging in as {USER}", expected)
    assert log.count(f"Master user logging in as {USER}") == expected, log


def test_curl_logs_in_with_a_certificate(start_proxy, farm, master, certificates, leaf, tmp):
    server = farm.servers["mail1"]
    server.deliver(USER, [MESSAGE])
    backend = {"address": server.address(), **master}
    proxy = start_proxy(
        config(certificates, backend, wanted="required", user="san-email", user_pass=False)
        | {"auth": {"mechanisms": ["external"], "user_pass": False}}
    )
    certificate = certificates.client("Anna from the shop", [USER])

    def curl(user, certificate):
        return subprocess.run(
            ["curl", "-sS", "--max-time", "20", "--cacert", leaf.ca, "--cert", certificate.chain,
             "--key", certificate.key, "-u", f"{user}:", "--login-options", "AUTH=EXTERNAL",
             f"pop3s://localhost:{proxy.ports['pop3s']}/1"],
            capture_output=True,
        )  # fmt: skip

    done = curl(USER, certificate)
    assert done.returncode == 0 and done.stdout == MESSAGE, (done.stderr, proxy.log())
    assert "certificate=\"Anna from the shop\"" in proxy.session_lines()[0]
    # Acting for somebody else.
    assert curl("mapped2@map.test", certificate).returncode == 67


def test_without_a_good_certificate(start_proxy, farm, master, certificates):
    backend = {"address": farm.servers["mail1"].address(), **master}
    proxy = start_proxy(config(certificates, backend, secrets=farm.secrets_path))
    for port, context in (
        (proxy.ports["pop3s"], with_certificate()),
        (proxy.ports["open"], with_certificate(certificates.client(USER))),
        (proxy.ports["pop3s"], with_certificate(certificates.client("a" * 40 + "\u00e4 "))),
    ):
        with Pop3Connection(port, "implicit", context=context) as client:
            if "SASL PLAIN EXTERNAL" in client.capabilities():
                # The name is there, and it is nobody's.
                assert client.command("AUTH EXTERNAL =").startswith(b"-ERR")
            else:
                assert client.command("AUTH EXTERNAL =") == b"-ERR Unknown mechanism"
            # The others are as they were.
            assert client.command("AUTH PLAIN " + b64(f"\0{USER}\0{PASSWORD}")).startswith(b"+OK")
            client.quit()
    for bad in (
        certificates.client(USER, ca="stranger-ca"),
        certificates.client(USER, days=-1),
        certificates.client(USER, usage="serverAuth"),
    ):
        with pytest.raises(OSError):
            with Pop3Connection(proxy.ports["pop3s"], "implicit", context=with_certificate(bad)) as client:
                client.command("NOOP")
    reasons = [line for line in proxy.session_lines(6) if "reason=client_tls" in line]
    assert len(reasons) == 3 and all("tls_error=" in line for line in reasons)


def test_nobody_acts_for_another(start_proxy, farm, master, certificates):
    backend = {"address": farm.servers["mail1"].address(), **master}
    proxy = start_proxy(config(certificates, backend, secrets=farm.secrets_path))
    context = with_certificate(certificates.client(USER))
    with Pop3Connection(proxy.ports["pop3s"], "implicit", context=context) as client:
        for identity in ("mapped2@map.test", USER.upper(), USER + " "):
            assert client.command("AUTH EXTERNAL " + b64(identity)) == FOREIGN
        for bad in (b64(USER + "\0"), b64("a\r\nb"), "!", "YQ", "Y Q"):
            assert client.command(f"AUTH EXTERNAL {bad}").startswith(b"-ERR")
        assert client.command("AUTH EXTERNAL") == b"+ "
        assert client.command("*") == b"-ERR Cancelled"
        assert client.command("AUTH EXTERNAL =").startswith(b"+OK")
        client.quit()
    # Who has a certificate and is routed nowhere, or has no secret, is not told which.
    proxy = start_proxy(
        config(certificates, {"address": farm.servers["mail1"].address(), "login": "secret"},
               secrets=farm.secrets_path)
    )  # fmt: skip
    context = with_certificate(certificates.client("stranger@one.test"))
    with Pop3Connection(proxy.ports["pop3s"], "implicit", context=context) as client:
        assert client.command("AUTH EXTERNAL =") == b"-ERR [AUTH] Authentication failed."


def test_the_next_hop_learns_the_name(start_proxy, certificates, farm, master):
    """In the SSL part of the PROXY header; and that nothing was verified, where nothing was."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        address = "127.0.0.1:%d" % server.getsockname()[1]
        proxy = start_proxy(
            config(certificates, {"address": address, "proxy_protocol": "v2", **master},
                   secrets=farm.secrets_path)
        )  # fmt: skip
        name = b"\x22" + len(USER).to_bytes(2, "big") + USER.encode()
        for certificate, flags in ((certificates.client(USER), b"\x03\0\0\0\0"), (None, b"\x01\0\0\0\1")):
            context = with_certificate(certificate)
            with Pop3Connection(proxy.ports["pop3s"], "implicit", context=context) as client:
                client.send(b"AUTH PLAIN " + b64(f"\0{USER}\0{PASSWORD}").encode() + b"\r\n")
                connection, _ = server.accept()
                with connection, connection.makefile("rb") as stream:
                    header = stream.read(16)
                    block = stream.read(int.from_bytes(header[14:16], "big"))
            # Behind two IPv4 ends; the first TLV is SSL.
            assert block[12:13] == b"\x20" and block[15:20] == flags, block
            assert (name in block) == (certificate is not None)


def test_a_stored_secret_logs_in_whatever_was_shown(start_proxy, farm):
    server = farm.servers["mail1"]
    proxy = start_proxy({
        "backend": [{"name": "mail1", "address": server.address(), "login": "secret"}],
        "route": [{"users": "*", "backend": "mail1"}],
        "auth": {"mechanisms": ["plain", "cram-md5"], "apop": True, "secrets": farm.secrets_path},
    })  # fmt: skip
    before = server.log().count(" Login: ")
    with Pop3Connection(proxy.ports["plain"]) as client:
        salt = client.greeting[client.greeting.index(b"<") :]
        digest = hashlib.md5(salt + PASSWORD.encode()).hexdigest()
        assert client.command(f"APOP {USER} {digest}").startswith(b"+OK"), proxy.log()
        client.quit()
    with Pop3Connection(proxy.ports["plain"]) as client:
        # A wrong password costs the backend nothing.
        assert client.login(USER, "wrong") == b"-ERR [AUTH] Authentication failed."
        assert client.login("stranger@one.test", PASSWORD) == b"-ERR [AUTH] Authentication failed."
        assert client.login(USER, PASSWORD).startswith(b"+OK")
        client.quit()
    log = server.wait_for_log(" Login: ", before + 2)
    assert log.count(" Login: ") == before + 2
    assert "auth failed" not in log.split(" Login: ")[-2]


@pytest.mark.parametrize("mechanism", ["user-pass", "auth-plain"])
def test_a_master_user_by_name(mechanism, start_proxy, farm, master):
    server = farm.servers["mail1"]
    proxy = start_proxy({
        "backend": [{"name": "mail1", "address": server.address(), "mechanism": mechanism,
                     "master_format": "{user}*{master}", **master}],
        "route": [{"users": "*", "backend": "mail1"}],
        "auth": {"secrets": farm.secrets_path},
    })  # fmt: skip
    before = server.log().count(f"Master user logging in as {USER}")
    with Pop3Connection(proxy.ports["plain"]) as client:
        assert client.login(USER, "wrong").startswith(b"-ERR [AUTH]")
        assert client.login(USER, PASSWORD).startswith(b"+OK"), proxy.log()
        client.quit()
    log = server.wait_for_log(f"Master user logging in as {USER}", before + 1)
    assert log.count(f"Master user logging in as {USER}") == before + 1
    assert MASTER_PASSWORD not in proxy.log() + proxy.session_lines()[0]


def test_no_name_reads_as_two(start_proxy, farm, master, tmp):
    path = os.path.join(tmp, "secrets")
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        file.write(f"{USER}*root:x\n")
    server = farm.servers["mail1"]
    proxy = start_proxy({
        "backend": [{"name": "mail1", "address": server.address(),
                     "master_format": "{user}*{master}", **master}],
        "route": [{"users": "*", "backend": "mail1"}],
        "auth": {"secrets": path},
    })  # fmt: skip
    before = server.log().count("Login")
    with Pop3Connection(proxy.ports["plain"]) as client:
        assert client.login(f"{USER}*root", "x") == b"-ERR [AUTH] Authentication failed."
        client.quit()
    assert "cannot be written in its master_format" in proxy.session_lines()[0]
    assert server.log().count("Login") == before


# -- what listeners promise


@pytest.fixture(scope="module")
def other_dovecot(certificates):
    """One that has SCRAM, which those of the farm have not."""
    directory = tempfile.mkdtemp(prefix="postern-it-identities-")
    os.chmod(directory, 0o755)
    certificate = certificates.leaf(("mail.farm.test",), ca="farm-ca")
    server = Dovecot(
        "scram", os.path.join(directory, "scram"), certificate, {USER: PASSWORD},
        extra="\nauth_mechanisms = plain login scram-sha-256\n",
    )  # fmt: skip
    yield server
    server.stop()
    shutil.rmtree(directory, ignore_errors=True)


def promised(proxy, port="plain"):
    with Pop3Connection(proxy.ports[port]) as client:
        return client.capabilities()


def test_a_mechanism_that_one_backend_lacks_is_withheld(start_proxy, farm, other_dovecot):
    """Health checks ask; the difference is logged once and is a metric."""
    health = {"probe": "capa", "interval": "100ms", "fast_interval": "100ms"}
    backends = [
        {"name": "scram", "address": other_dovecot.address()},
        {"name": "plain", "address": farm.servers["mail1"].address()},
    ]
    proxy = start_proxy({
        "pool": [{"name": "mail", "login": "sasl", "health": health, "backends": backends}],
        "route": [{"users": "*", "pool": "mail"}],
        "auth": {"mechanisms": ["plain", "scram-sha-256"]},
    })  # fmt: skip
    proxy.wait_for_metric(1, "postern_pool_capabilities_differ", pool="mail")
    assert "SASL PLAIN" in promised(proxy)
    wait_until(lambda: "differ in what CAPA says" in proxy.log(), what=proxy.log)
    with Pop3Connection(proxy.ports["plain"]) as client:
        assert client.command("AUTH SCRAM-SHA-256") == b"-ERR Unknown mechanism"
    proxy.reload()
    assert proxy.metrics().get("postern_pool_capabilities_differ", pool="mail") == 1
    checks = proxy.metrics().get("postern_backend_checks_total", result="good")
    proxy.wait_for_metric(checks + 20, "postern_backend_checks_total", result="good")
    assert proxy.log().count("differ in what CAPA says") == 1
    assert "plain lacks SASL SCRAM-SHA-256" in proxy.log()
    # Without the other one all is well.
    proxy.write_config({
        "pool": [{"name": "mail", "login": "sasl", "health": health, "backends": backends[:1]}],
        "route": [{"users": "*", "pool": "mail"}],
        "auth": {"mechanisms": ["plain", "scram-sha-256"]},
        "listener": proxy.config["listener"],
    })  # fmt: skip
    assert "is in use" in proxy.reload()
    assert "SASL PLAIN SCRAM-SHA-256" in promised(proxy)
    assert proxy.metrics().get("postern_pool_capabilities_differ", pool="mail") == 0


def test_logins_teach_too_and_a_list_of_ones_own_stays(start_proxy, farm):
    proxy = start_proxy({
        "listener": [
            {"name": "plain", "tls": "off", "plaintext_logins": True},
            {"name": "own", "tls": "off", "plaintext_logins": True, "capabilities": ["TOP", "EXPIRE 5"]},
        ],
        "backend": [{"name": "mail1", "address": farm.servers["mail1"].address(), "login": "sasl"}],
        "route": [{"users": "*", "backend": "mail1"}],
        "auth": {"mechanisms": ["plain", "oauthbearer"]},
    })  # fmt: skip
    default = ["TOP", "USER", "SASL PLAIN OAUTHBEARER", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING", "UIDL"]
    assert promised(proxy) == default
    assert promised(proxy, "own") == ["TOP", "USER", "SASL PLAIN OAUTHBEARER", "EXPIRE 5"]
    with Pop3Connection(proxy.ports["plain"]) as client:
        assert client.login(USER, PASSWORD).startswith(b"+OK")
        client.quit()
    # Dovecot has all the lines, and no OAUTHBEARER.
    default[2] = "SASL PLAIN"
    assert promised(proxy) == default
    assert promised(proxy, "own") == ["TOP", "USER", "SASL PLAIN", "EXPIRE 5"]
