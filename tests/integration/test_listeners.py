"""Addresses, certificates by name, and TLS as clients may ask for it."""

import socket
import ssl
import subprocess

import pytest

from harness import Pop3Connection, free_port
from harness.farm import PASSWORD
from harness.pop3 import client_context
from harness.wire import Wire

USER = "mapped1@map.test"


def log_in(port, tls="implicit", host="127.0.0.1"):
    with Pop3Connection(port, tls, host=host) as client:
        assert client.login(USER, PASSWORD).startswith(b"+OK")
        client.quit()


def has_ipv6():
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


@needs_ipv6
@pytest.mark.parametrize("v6only", [True, False])
def test_ipv6(v6only, start_proxy, farm):
    port = free_port()
    listener = {"name": "six", "address": f"[::]:{port}", "tls": "implicit", "v6only": v6only}
    proxy = start_proxy({**farm.config(), "listener": [listener]})
    log_in(port, host="::1")
    if v6only:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
        # So that IPv4 may have a listener of its own there.
        with socket.create_server(("127.0.0.1", port)):
            pass
    else:
        log_in(port, host="127.0.0.1")
    (line, *more) = proxy.session_lines(1 if v6only else 2)
    assert "client=[::1]:" in line and len(more) == (0 if v6only else 1)
    assert proxy.metrics().get("postern_listener_connections_total", listener="six") == 1 + len(more)


@needs_ipv6
def test_one_address_only(start_proxy, farm):
    port = free_port()
    start_proxy({**farm.config(), "listener": [{"address": f"[::1]:{port}", "tls": "implicit"}]})
    log_in(port, host="::1")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_a_listener_for_any_ipv4_address(start_proxy, farm):
    port = free_port()
    start_proxy({**farm.config(), "listener": [{"address": f"*:{port}", "tls": "implicit"}]})
    log_in(port, host="127.0.0.1")
    log_in(port, host="127.0.0.2")


def shown(port, name, tls="implicit", ciphers=None):
    """The certificate for a name, as DER."""
    context = client_context(version=ssl.TLSVersion.TLSv1_2 if ciphers else None)
    if ciphers:
        context.set_ciphers(ciphers)
    with Pop3Connection(port, tls, server_name=name, context=context) as client:
        certificate = client.socket.getpeercert(binary_form=True)
        client.quit()
    return certificate


def der(certificate):
    with open(certificate.chain) as file:
        return ssl.PEM_cert_to_DER_cert(file.read())


@pytest.mark.parametrize("listener, tls", [("pop3s", "implicit"), ("pop3", "stls")])
def test_certificates_by_name(listener, tls, start_proxy, farm, certificates):
    default = certificates.leaf(("default.test",), ips=())
    one_ec = certificates.leaf(("one.test",), ips=())
    one_rsa = certificates.leaf(("one.test",), kind="rsa", ips=())
    wild = certificates.leaf(("*.wild.test",), ips=())
    files = [{"chain": c.chain, "key": c.key} for c in (default, one_ec, one_rsa, wild)]
    proxy = start_proxy({**farm.config(), "tls": {"certificates": files}})
    port = proxy.ports[listener]
    assert shown(port, "default.test", tls) == der(default)
    assert shown(port, "unknown.test", tls) == der(default)
    assert shown(port, "one.test", tls) == der(one_ec)
    assert shown(port, "ONE.test", tls) == der(one_ec)
    assert shown(port, "one.test", tls, "aRSA") == der(one_rsa)
    assert shown(port, "one.test", tls, "aECDSA") == der(one_ec)
    assert shown(port, "mail.wild.test", tls) == der(wild)
    assert shown(port, "a.b.wild.test", tls) == der(default)
    assert shown(port, "wild.test", tls) == der(default)


def s_client(port, leaf, *options):
    return subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", leaf.ca, *options],
        input=b"QUIT\r\n", capture_output=True, timeout=60,
    )  # fmt: skip


def test_tls_versions_and_alpn(start_proxy, farm, leaf):
    proxy = start_proxy(farm.config())
    port = proxy.ports["pop3s"]
    for version in ("-tls1_2", "-tls1_3"):
        for alpn in ([], ["-alpn", "pop3"], ["-alpn", "imap,pop3"]):
            done = s_client(port, leaf, "-quiet", "-verify_return_error", version, *alpn)
            assert done.returncode == 0 and done.stdout.startswith(b"+OK "), done.stderr
    for refused in (["-alpn", "http/1.1"], ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]):
        done = s_client(port, leaf, "-quiet", *refused)
        assert done.returncode != 0 and b"+OK" not in done.stdout
    assert b"no application protocol" in s_client(port, leaf, "-quiet", "-alpn", "imap").stderr
    metrics = proxy.wait_for_metric(9, "postern_listener_sessions_closed_total")
    assert metrics.labels("postern_listener_tls_handshakes_total", "version") == {
        "TLSv1.2": 3, "TLSv1.3": 3,
    }  # fmt: skip
    assert metrics.get("postern_listener_sessions_closed_total", reason="client_tls") == 3


def test_a_session_is_resumed(start_proxy, farm, leaf, certificates):
    rsa = certificates.leaf(kind="rsa")
    proxy = start_proxy(farm.config(), certificate=rsa)
    context = client_context(version=ssl.TLSVersion.TLSv1_2)
    port = proxy.ports["pop3s"]
    with socket.create_connection(("127.0.0.1", port)) as plain:
        first = context.wrap_socket(plain, server_hostname="localhost")
        assert first.recv(100).startswith(b"+OK")
        session = first.session
        first.close()
    with socket.create_connection(("127.0.0.1", port)) as plain:
        second = context.wrap_socket(plain, server_hostname="localhost", session=session)
        assert second.session_reused
        assert second.recv(100).startswith(b"+OK")
        second.close()
    assert proxy.wait_for_metric(1, "postern_listener_tls_resumed_total").get("postern_listener_tls_resumed_total") == 1


def test_plaintext_on_the_tls_port(start_proxy, farm):
    proxy = start_proxy(farm.config())
    with Pop3Connection(proxy.ports["pop3s"], greeting=False) as client:
        client.send(b"USER x\r\nPASS y\r\n")
        # An alert at the most, no word of POP3.
        answer = client.receive()
        assert b"OK" not in answer and b"ERR" not in answer
    metrics = proxy.wait_for_metric(1, "postern_listener_sessions_closed_total")
    closed = metrics.labels("postern_listener_sessions_closed_total", "reason")
    assert set(closed) <= {"client_tls", "client_not_pop3"}


@pytest.mark.parametrize("early", [True, False])
def test_the_greeting_comes_with_the_servers_half_of_the_handshake(
    early, start_proxy, farm, leaf
):
    tls = {"certificates": [{"chain": leaf.chain, "key": leaf.key}]}
    if not early:
        tls["early_greeting"] = False
    proxy = start_proxy({**farm.config(), "tls": tls})
    with Wire(proxy.ports["pop3s"]) as client:
        seen = client.line_before_finished(patience=60 if early else 0.3)
        assert seen.startswith(b"+OK ") if early else seen == b""
        greeting = seen or client.line()
        assert greeting.startswith(b"+OK ") and greeting.endswith(b"\r\n")
        assert client.log_in(USER, PASSWORD, greeted=True).startswith(b"+OK")
        assert client.command("QUIT").startswith(b"+OK")
        assert client.rest() == b"" and client.end == "close_notify"
