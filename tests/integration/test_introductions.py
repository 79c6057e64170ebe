"""What backends are told of the client, by a PROXY header or by XCLIENT, to real receivers."""

import os
import re
import shutil
import tempfile

import pytest

from harness import Pop3Connection, free_port
from harness.dovecot import Dovecot
from harness.farm import PASSWORD
from harness.haproxy import Haproxy
from harness.pop3 import client_context
from harness.waiting import wait_until

USER = "anna@map.test"
MESSAGE = b"Subject: here\r\n\r\nx\r\n"
# Another address of the loopback network than the proxy's own.
CLIENT_IP = "127.0.0.77"

DOVECOT = """
haproxy_trusted_networks = 127.0.0.1
login_trusted_networks = 127.0.0.1
service pop3-login {{
  inet_listener proxied {{
    port = {proxied}
    haproxy = yes
  }}
  inet_listener proxied_tls {{
    port = {proxied_tls}
    haproxy = yes
    ssl = yes
  }}
}}
"""


@pytest.fixture(scope="module")
def dovecot(certificates):
    """A server that believes what 127.0.0.1 tells it. `ports` by name."""
    directory = tempfile.mkdtemp(prefix="postern-it-introductions-")
    os.chmod(directory, 0o755)
    ports = {name: free_port() for name in ("proxied", "proxied_tls")}
    certificate = certificates.leaf(("mail.farm.test",), ca="farm-ca")
    server = Dovecot(
        "mail1", os.path.join(directory, "mail1"), certificate, {USER: PASSWORD},
        extra=DOVECOT.format(**ports),
    )  # fmt: skip
    server.ports = ports
    server.ca = certificate.ca
    server.deliver(USER, [MESSAGE])
    yield server
    server.stop()
    shutil.rmtree(directory, ignore_errors=True)


def only(backend):
    return {
        "backend": [{"name": "mail1", **backend}],
        "route": [{"users": "*", "backend": "mail1"}],
    }


def login_line(server, proxy, tls="off", server_name=None, alpn=None, client_ip=CLIENT_IP):
    """One session of a client at `client_ip`; returns (port of the client, what the server logged)."""
    before = server.log().count(" Login: ")
    context = client_context()
    if alpn:
        context.set_alpn_protocols([alpn])
    port = proxy.ports[{"off": "plain", "stls": "pop3", "implicit": "pop3s"}[tls]]
    with Pop3Connection(
        port, tls, source=client_ip, context=context, server_name=server_name
    ) as client:
        address = client.socket.getsockname()
        assert client.login(USER, PASSWORD).startswith(b"+OK"), proxy.log() + server.log()
        assert client.multiline("RETR 1")[1] == MESSAGE
        client.quit()

    def logged():
        lines = [line for line in server.log().splitlines() if " Login: " in line]
        return lines[before:]

    return address[1], wait_until(logged, what=server.log)[-1]


@pytest.mark.parametrize("upstream", ["off", "stls", "implicit"])
@pytest.mark.parametrize("client", ["off", "stls", "implicit"])
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_dovecot_behind_a_proxy_header(version, client, upstream, start_proxy, dovecot):
    port = dovecot.ports["proxied_tls" if upstream == "implicit" else "proxied"]
    backend = {"address": f"127.0.0.1:{port}", "proxy_protocol": version}
    if upstream != "off":
        backend.update(tls=upstream, ca=dovecot.ca, server_name="mail.farm.test")
    if version == "v2" and client != "off" and upstream == "stls":
        pytest.skip("Dovecot offers no STLS to a client that the header says has TLS")
    proxy = start_proxy(only(backend))
    _, line = login_line(dovecot, proxy, client)
    assert f"rip={CLIENT_IP}," in line and "lip=127.0.0.1," in line
    # Only version 2 tells of the client's TLS, and Dovecot believes it.
    secured = upstream != "off" or (version == "v2" and client != "off")
    assert (", TLS," in line or ", secured," in line) == secured, line


def test_dovecot_takes_every_name_a_client_asks_for(start_proxy, dovecot):
    """It would drop the connection over a name that is none, so that one is left out."""
    proxy = start_proxy(
        only({"address": f"127.0.0.1:{dovecot.ports['proxied']}", "proxy_protocol": "v2"})
    )
    for name in ("pop.example.net", "no_name_at_all", "-.example.net"):
        _, line = login_line(dovecot, proxy, "implicit", server_name=name, alpn="pop3")
        assert f"rip={CLIENT_IP}," in line


def test_a_backend_without_a_header_is_not_told(start_proxy, dovecot):
    _, line = login_line(dovecot, start_proxy(only({"address": dovecot.address()})))
    assert "rip=127.0.0.1," in line


HAPROXY = """
frontend told
  bind 127.0.0.1:{told} accept-proxy
  log global
  log-format "told client=%ci:%cp server=%[dst] sni=%[fc_pp_authority] id=%[fc_pp_unique_id] over"
  default_backend mail
backend mail
  server mail1 ADDRESS
"""


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_receiver_that_somebody_else_wrote(version, start_proxy, dovecot, tmp):
    """HAProxy reads the header, its checksum too, and says what it holds."""
    haproxy = Haproxy(f"{tmp}/haproxy", HAPROXY.replace("ADDRESS", dovecot.address()), ["told"])
    try:
        backend = {"address": f"127.0.0.1:{haproxy.ports['told']}", "proxy_protocol": version}
        proxy = start_proxy(only(backend))
        port, _ = login_line(dovecot, proxy, "implicit", server_name="pop.example.net", alpn="pop3")
        told = f"told client={CLIENT_IP}:{port} .* over"
        line = wait_until(lambda: re.search(told, haproxy.log()), what=haproxy.log).group()
        (session,) = proxy.session_lines()
        identity = re.search(r" id=(\w+)", session).group(1)
        if version == "v2":
            assert line.endswith(f"server=127.0.0.1 sni=pop.example.net id={identity} over")
        else:
            assert line.endswith("server=127.0.0.1 sni=- id=- over")
    finally:
        haproxy.stop()


def test_a_backend_that_expects_no_header(start_proxy, dovecot):
    """It answers the header as a command; the client is told to come again."""
    proxy = start_proxy(only({"address": dovecot.address(), "proxy_protocol": "v1"}))
    with Pop3Connection(proxy.ports["plain"]) as client:
        assert client.login(USER, PASSWORD).startswith(b"-ERR [SYS/TEMP]")
    assert "result=unavailable" in proxy.session_lines()[0]


@pytest.mark.parametrize("pipelining", ["auto", "on", "off"])
@pytest.mark.parametrize("mechanism", ["user-pass", "auth-plain"])
@pytest.mark.parametrize("upstream", ["off", "stls", "implicit"])
def test_dovecot_is_told_by_xclient(upstream, mechanism, pipelining, start_proxy, dovecot):
    backend = {
        "address": dovecot.address(upstream == "implicit"), "mechanism": mechanism,
        "pipelining": pipelining, "xclient": "on",
    }  # fmt: skip
    if upstream != "off":
        backend.update(tls=upstream, ca=dovecot.ca, server_name="mail.farm.test")
    proxy = start_proxy(only(backend))
    # Twice: what CAPA says is known at the second time.
    for count in (1, 2):
        _, line = login_line(dovecot, proxy, "implicit", server_name="pop.example.net")
        assert f"rip={CLIENT_IP}," in line
        identity = re.search(r" id=(\w+)", proxy.session_lines(count)[-1]).group(1)
        assert f"session=<{identity}>" in line


def test_every_name_a_client_asks_for_by_xclient(start_proxy, dovecot):
    proxy = start_proxy(only({"address": dovecot.address(), "xclient": "on"}))
    for name in ("no_name_at_all", "-.example.net"):
        _, line = login_line(dovecot, proxy, "implicit", server_name=name)
        assert f"rip={CLIENT_IP}," in line


def test_a_refused_login_behind_xclient_may_be_tried_again(start_proxy, dovecot):
    proxy = start_proxy(only({"address": dovecot.address(), "xclient": "auto"}))
    with Pop3Connection(proxy.ports["plain"], source=CLIENT_IP) as client:
        assert client.login(USER, "wrong").startswith(b"-ERR [AUTH]")
        assert client.login(USER, PASSWORD).startswith(b"+OK")
        client.quit()


@pytest.mark.parametrize("xclient", ["auto", "on"])
def test_a_server_that_does_not_trust_us(xclient, start_proxy, farm):
    """Its greeting announces nothing."""
    server = farm.servers["mail1"]
    user = "someone@one.test"
    proxy = start_proxy(only({"address": server.address(), "xclient": xclient}))
    with Pop3Connection(proxy.ports["plain"], source=CLIENT_IP) as client:
        answer = client.login(user, PASSWORD)
        assert answer.startswith(b"+OK" if xclient == "auto" else b"-ERR [SYS/TEMP]"), answer
        if xclient == "auto":
            client.quit()
    metrics = proxy.wait_for_metric(1, "postern_listener_sessions_closed_total")
    errors = metrics.labels("postern_backend_errors_total", "reason")
    assert errors == ({} if xclient == "auto" else {"xclient": 1})
