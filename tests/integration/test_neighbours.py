"""Neighbours in front that say for whom they speak, by the PROXY protocol or by XCLIENT."""

import os
import struct

import pytest

from harness import Pop3Connection, free_port
from harness.dovecot import Dovecot
from harness.farm import PASSWORD
from harness.haproxy import Haproxy, joined_certificate
from harness.ports import listens
from harness.processes import Process
from harness.waiting import wait_until
from harness.wire import Wire

USER = "mapped1@map.test"
CLIENT = "203.0.113.9:4711"
V1 = b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 995\r\n"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
ENDS = bytes([203, 0, 113, 9, 192, 0, 2, 1]) + struct.pack(">HH", 4711, 995)


def tlv(kind, value):
    return bytes([kind]) + struct.pack(">H", len(value)) + value


def v2(rest, command=0x21, family=0x11):
    return SIGNATURE + bytes([command, family]) + struct.pack(">H", len(rest)) + rest


SSL = tlv(0x20, b"\x01\0\0\0\x01" + tlv(0x21, b"TLSv1.3") + tlv(0x23, b"TLS_AES_128_GCM_SHA256"))
V2 = v2(ENDS)
V2_SSL = v2(ENDS + SSL + tlv(0x02, b"pop.example.net") + tlv(0x05, b"lb-7"))
LOCAL = v2(b"", command=0x20, family=0)


def listeners(networks=("127.0.0.0/8",)):
    proxied = {"proxy_protocol": True, "proxy_networks": list(networks)}
    return [
        {"name": "tls", "tls": "implicit", **proxied},
        {"name": "stls", "tls": "stls", **proxied},
        {"name": "off", "tls": "off", **proxied},
        {"name": "plain", "tls": "off", "plaintext_logins": True, **proxied},
    ]


@pytest.fixture
def start(start_proxy, farm):
    def start(networks=("127.0.0.0/8",), **more):
        return start_proxy({**farm.config(), "listener": listeners(networks), **more})

    return start


def closed(proxy, reason):
    metrics = proxy.wait_for_metric(1, "postern_listener_sessions_closed_total")
    return metrics.get("postern_listener_sessions_closed_total", reason=reason)


@pytest.mark.parametrize("header, protocol", [(V1, "v1"), (V2, "v2")], ids=["v1", "v2"])
def test_the_client_is_the_one_named(header, protocol, start):
    proxy = start()
    with Wire(proxy.ports["plain"]) as wire:
        wire.send(header)
        assert wire.log_in(USER, PASSWORD).startswith(b"+OK")
        assert wire.command("QUIT").startswith(b"+OK")
    (line,) = proxy.session_lines()
    assert f" client={CLIENT} via=127.0.0.1:" in line
    assert f" via_protocol={protocol} " in line


@pytest.mark.parametrize("header", [V1, V2_SSL], ids=["v1", "v2"])
@pytest.mark.parametrize("cut", ["apart", "one segment", "byte by byte"])
def test_the_header_comes_before_tls(cut, header, start):
    proxy = start()
    with Wire(proxy.ports["tls"]) as wire:
        if cut == "apart":
            wire.send_raw(header)
            wire.handshake()
        elif cut == "byte by byte":
            for i in range(len(header)):
                wire.send_raw(header[i : i + 1])
            wire.handshake()
        else:
            front = [header]
            wire.handshake(pace=lambda flight: wire.send_raw((front.pop() if front else b"") + flight))
        assert wire.log_in(USER, PASSWORD).startswith(b"+OK")
        assert wire.command("QUIT").startswith(b"+OK")
    (line,) = proxy.session_lines()
    # Our own handshake is the one that is told of.
    assert f" client={CLIENT} " in line and "resumed=false" in line and "sni=localhost" in line


@pytest.mark.parametrize("header", [V1, V2, V2_SSL], ids=["v1", "v2", "v2 with SSL"])
@pytest.mark.parametrize("listener", ["stls", "off"])
def test_credentials_need_tls_somewhere(listener, header, start):
    """The neighbour's TLS counts, and only when it says so."""
    proxy = start()
    with Wire(proxy.ports[listener]) as wire:
        wire.send(header + b"CAPA\r\n")
        wire.line()
        wire.line()
        capabilities = wire.body()
        if header == V2_SSL:
            assert b"USER\r\n" in capabilities and b"STLS" not in capabilities
            assert wire.command("STLS").startswith(b"-ERR")
            assert wire.command(f"USER {USER}").startswith(b"+OK")
            assert wire.command(f"PASS {PASSWORD}").startswith(b"+OK")
        else:
            assert b"USER\r\n" not in capabilities
            assert (b"STLS" in capabilities) == (listener == "stls")
            assert wire.command(f"USER {USER}").startswith(b"-ERR")
        wire.command("QUIT")
    (line,) = proxy.session_lines()
    if header == V2_SSL:
        assert "tls=TLSv1.3 cipher=TLS_AES_128_GCM_SHA256 sni=pop.example.net" in line
        assert "via_session=lb-7" in line and "resumed" not in line
    else:
        assert "tls=" not in line


@pytest.mark.parametrize("header", [LOCAL, b"PROXY UNKNOWN\r\n"], ids=["LOCAL", "UNKNOWN"])
def test_a_health_check_speaks_for_itself(header, start):
    proxy = start()
    with Wire(proxy.ports["plain"]) as wire:
        wire.send(header)
        assert wire.line().startswith(b"+OK")
        assert wire.command("QUIT").startswith(b"+OK")
    (line,) = proxy.session_lines()
    assert " client=127.0.0.1:" in line and " via_protocol=local " in line


BAD = {
    "no header": b"USER anna\r\n",
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00",
    "v1 too long": b"PROXY UNKNOWN " + b"x" * 94 + b"\r\n",
    "v1 without CRLF": V1[:-2] + b"\n",
    "v1 bad port": b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 70000\r\n",
    "v2 length 0": v2(b""),
    "v2 length 11": v2(ENDS[:11]),
    "v2 length 13": v2(ENDS + b"\x04"),
    "v2 length 65535": SIGNATURE + b"\x21\x11\xff\xff" + ENDS,
    "v2 TLV over the end": v2(ENDS + b"\x02\x00\x09mail"),
    "v2 wrong checksum": v2(ENDS + tlv(3, b"abcd")),
    "v2 of UDP": v2(ENDS, family=0x12),
}


@pytest.mark.parametrize("name", BAD)
def test_a_malformed_header_ends_the_connection(name, start):
    proxy = start()
    with Wire(proxy.ports["plain"]) as wire:
        wire.send(BAD[name] + b"USER anna\r\nPASS secret\r\n")
        assert wire.rest() == b""
    assert closed(proxy, "proxy_header") == 1
    (line,) = proxy.session_lines()
    assert "proxy_error=" in line and "reason=proxy_header phase=accepted" in line


@pytest.mark.parametrize("listener", ["plain", "tls"])
def test_strangers_are_turned_away(listener, start):
    proxy = start(networks=["192.0.2.0/24", "::1"])
    with Wire(proxy.ports[listener]) as wire:
        assert wire.rest() == b""
    assert closed(proxy, "proxy_untrusted") == 1
    (line,) = proxy.session_lines()
    assert " client=127.0.0.1:" in line and "via=" not in line


@pytest.mark.parametrize("said", [b"", V1[:20], V2[:15]], ids=["nothing", "half of v1", "half of v2"])
def test_a_neighbour_that_says_nothing(said, start):
    proxy = start(timeouts={"proxy_header": "300ms"})
    with Wire(proxy.ports["plain"]) as wire:
        wire.send(said)
        assert wire.rest() == b""
    assert closed(proxy, "proxy_timeout") == 1


def test_a_reload_changes_who_is_trusted(start):
    proxy = start(networks=["192.0.2.1"])
    for networks, answer in ((["127.0.0.1"], b"+OK"), (["192.0.2.1"], b"")):
        config = dict(proxy.config)
        config["listener"] = [dict(one, proxy_networks=networks) for one in config["listener"]]
        proxy.write_config(config)
        assert "is in use" in proxy.reload()
        with Wire(proxy.ports["plain"]) as wire:
            try:
                wire.send(V1)
            except OSError:
                pass  # it may be closed already
            assert wire.line()[:3] == answer


HAPROXY = """
frontend v1
  bind 127.0.0.1:{v1}
  default_backend v1
backend v1
  server postern 127.0.0.1:PLAIN send-proxy

frontend v2
  bind 127.0.0.1:{v2}
  unique-id-format %[uuid]
  default_backend v2
backend v2
  option tcp-check
  tcp-check expect string +OK
  server postern 127.0.0.1:TLS send-proxy-v2 proxy-v2-options crc32c,unique-id check check-ssl verify none inter 20s fall 1

frontend ends_tls
  bind 127.0.0.1:{ends_tls} ssl crt CERTIFICATE alpn pop3
  default_backend ends_tls
backend ends_tls
  server postern 127.0.0.1:OFF send-proxy-v2-ssl proxy-v2-options ssl,ssl-cipher,authority,crc32c
"""


def test_haproxy_in_front(start, tmp, leaf):
    """A sender that somebody else wrote, with health checks and with TLS that ends there."""
    proxy = start()
    sections = HAPROXY.replace("CERTIFICATE", joined_certificate(leaf, f"{tmp}/haproxy.pem"))
    for name in ("plain", "tls", "off"):
        sections = sections.replace(name.upper(), str(proxy.ports[name]))
    haproxy = Haproxy(f"{tmp}/haproxy", sections, ["v1", "v2", "ends_tls"])
    try:
        def line_of(name, tls):
            with Pop3Connection(haproxy.ports[name], tls) as client:
                address = "127.0.0.1:%d" % client.socket.getsockname()[1]
                assert client.login(USER, PASSWORD).startswith(b"+OK"), proxy.log()
                assert client.quit().startswith(b"+OK")
            return wait_until(
                lambda: [line for line in proxy.session_lines() if f" client={address} " in line],
                what=lambda: proxy.session_lines(),
            )[0]

        assert " via_protocol=v1 " in line_of("v1", "off")
        line = line_of("v2", "implicit")
        assert " via_protocol=v2 " in line and "resumed=false" in line
        assert len(line.split("via_session=")[1].split()[0]) == 36
        line = line_of("ends_tls", "implicit")
        assert " via_protocol=v2 " in line and " tls=TLSv1.3 cipher=TLS_" in line
        assert "sni=localhost" in line and "resumed" not in line
        wait_until(
            lambda: [line for line in proxy.session_lines() if "via_protocol=local" in line],
            what=lambda: f"a health check: {proxy.session_lines()} {haproxy.log()}",
        )
        assert " DOWN" not in haproxy.log()
    finally:
        haproxy.stop()


XCLIENT = (
    b"XCLIENT ADDR=203.0.113.9 PORT=4711 SESSION=front-7 TTL=6 CLIENT-TRANSPORT=%s "
    b"DESTNAME=pop.example.net DESTADDR=192.0.2.1 DESTPORT=995\r\n"
)


def xclient_listeners(networks):
    return [
        {"name": "stls", "tls": "stls", "xclient_networks": networks},
        {"name": "plain", "tls": "off", "plaintext_logins": True, "xclient_networks": networks},
        {"name": "proxied", "tls": "off", "plaintext_logins": True, "xclient_networks": networks,
         "proxy_protocol": True, "proxy_networks": ["127.0.0.1"]},
    ]  # fmt: skip


@pytest.mark.parametrize("tls", [True, False])
def test_xclient_of_a_neighbour(tls, start_proxy, farm):
    proxy = start_proxy({**farm.config(), "listener": xclient_listeners(["127.0.0.1"])})
    with Wire(proxy.ports["stls"]) as wire:
        assert wire.line().startswith(b"+OK [XCLIENT] ")
        wire.send(XCLIENT % (b"TLS" if tls else b"insecure"))
        assert wire.line() == b"+OK Updated\r\n"
        # Credentials are taken where the client's own TLS ends at the neighbour.
        answer = wire.command(f"USER {USER}")
        assert answer.startswith(b"+OK") == tls
        if tls:
            assert wire.command(f"PASS {PASSWORD}").startswith(b"+OK")
        wire.command("QUIT")
    (line,) = proxy.session_lines()
    assert f" client={CLIENT} via=127.0.0.1:" in line
    assert " via_protocol=xclient via_session=front-7 " in line and "sni=pop.example.net" in line


def test_xclient_is_for_the_trusted_only(start_proxy, farm):
    proxy = start_proxy({**farm.config(), "listener": xclient_listeners(["192.0.2.7"])})
    with Wire(proxy.ports["plain"]) as wire:
        assert b"XCLIENT" not in wire.line()
        wire.send(XCLIENT % b"TLS")
        assert wire.line() == b"-ERR Unknown command\r\n"
        wire.command("QUIT")
    assert " client=127.0.0.1:" in proxy.session_lines()[0]
    # Behind a PROXY header the client speaks for itself, however trusted its neighbour is.
    for client, trusted in (("192.0.2.7", True), ("203.0.113.9", False)):
        with Wire(proxy.ports["proxied"]) as wire:
            wire.send(b"PROXY TCP4 %s 192.0.2.1 4711 995\r\n" % client.encode())
            assert (b"XCLIENT" in wire.line()) == trusted
            wire.command("QUIT")


def test_what_a_header_says_is_not_true_of_whom_xclient_names(start_proxy, farm):
    proxy = start_proxy({**farm.config(), "listener": xclient_listeners(["203.0.113.9"])})
    with Wire(proxy.ports["proxied"]) as wire:
        wire.send(V2_SSL)
        assert b"XCLIENT" in wire.line()
        wire.send(b"XCLIENT ADDR=198.51.100.4 PORT=4712 CLIENT-TRANSPORT=insecure\r\n")
        wire.command("QUIT")
    (line,) = proxy.session_lines()
    assert " client=198.51.100.4:4712 " in line
    assert "TLSv1.3" not in line and "sni=" not in line, line


def test_a_dovecot_proxy_in_front(start_proxy, farm, tmp):
    """A sender that somebody else wrote; what it says reaches the server behind us."""
    certificate = farm.certificate
    port = free_port()
    front = Dovecot("front", os.path.join(tmp, "front"), certificate, {})
    back = Dovecot(
        "back", os.path.join(tmp, "back"), certificate, {USER: PASSWORD},
        extra="\nlogin_trusted_networks = 127.0.0.1\n",
    )  # fmt: skip
    try:
        with open(os.path.join(front.base, "users"), "a") as file:
            file.write(f"{USER}:{{PLAIN}}{PASSWORD}::::::proxy=y host=127.0.0.1 port={port}\n")
        proxy = start_proxy(
            {
                "listener": [
                    {"name": "plain", "address": f"127.0.0.1:{port}", "tls": "off",
                     "plaintext_logins": True, "xclient_networks": ["127.0.0.1"]},
                ],
                "backend": [{"name": "mail1", "address": back.address(), "xclient": "on"}],
                "route": [{"users": "*", "backend": "mail1"}],
            }
        )  # fmt: skip
        with Pop3Connection(front.port, source="127.0.0.77") as client:
            address = "127.0.0.77:%d" % client.socket.getsockname()[1]
            assert client.login(USER, PASSWORD).startswith(b"+OK"), front.log() + proxy.log()
            client.quit()
        (line,) = proxy.session_lines()
        assert f" client={address} via=127.0.0.1:" in line and " via_protocol=xclient " in line
        session = line.split("via_session=")[1].split()[0].strip('"')
        # Dovecot's log has a process of its own.
        logged = wait_until(
            lambda: [text for text in back.log().splitlines() if " Login: " in text], what=back.log
        )[-1]
        assert "rip=127.0.0.77," in logged and f"session=<{session}>" in logged
    finally:
        front.stop()
        back.stop()


@pytest.fixture
def way_back(tmp):
    """(port, where it leads): whoever connects to the first is led to the second, which is free."""
    entrance, end = free_port(), free_port()
    relay = Process(["socat", f"TCP-LISTEN:{entrance},bind=127.0.0.1,fork,reuseaddr",
                     f"TCP:127.0.0.1:{end}"], os.path.join(tmp, "socat.log"))  # fmt: skip
    wait_until(lambda: listens(entrance), what=relay.log)
    yield entrance, end
    relay.kill()


def test_a_loop_ends(start_proxy, way_back):
    """What the proxy takes for its backend leads back to it: seven hops and no more."""
    entrance, port = way_back
    proxy = start_proxy(
        {
            "listener": [
                {"name": "plain", "address": f"127.0.0.1:{port}", "tls": "off",
                 "plaintext_logins": True, "xclient_networks": ["127.0.0.1"]},
            ],
            "backend": [{"name": "me", "address": f"127.0.0.1:{entrance}", "xclient": "on"}],
            "route": [{"users": "*", "backend": "me"}],
        }
    )  # fmt: skip
    with Pop3Connection(port) as client:
        assert client.login(USER, PASSWORD).startswith(b"-ERR [SYS/TEMP]")
        client.quit()
    lines = proxy.session_lines(7)
    assert len(lines) == 7
    assert sum("reason=proxy_loop" in line for line in lines) == 1
    # All of them are one session.
    assert len({line.split("via_session=")[1].split()[0] for line in lines if "via_session" in line}) == 1
