"""nginx as the judge of our auth_http: one service, the same logins through nginx's mail proxy and
through ours, and what the service is asked must be the same, and what the client gets too."""

import base64
import hashlib
import hmac
import os
import shutil
import struct
import time

import pytest

from harness import Pop3Connection, free_port
from harness.auth_service import AuthService, reply
from harness.farm import PASSWORD
from harness.pop3 import client_context
from harness.processes import Process
from harness.waiting import wait_until

MODULE = "/usr/lib/nginx/modules/ngx_mail_module.so"
USER = "mapped1@map.test"

pytestmark = pytest.mark.skipif(
    not (shutil.which("nginx") and os.path.exists(MODULE)), reason="nginx and its mail module"
)


class Nginx:
    """nginx's mail proxy on `ports["plain"]` and `ports["pop3s"]`; "certificate" asks clients for one,
    and "proxied" wants a PROXY header."""

    def __init__(self, directory, certificate, client_ca, url):
        self.directory = directory
        self.ports = {name: free_port() for name in ("plain", "pop3s", "certificate", "proxied")}
        os.makedirs(directory, exist_ok=True)
        path = os.path.join(directory, "nginx.conf")
        with open(path, "w") as file:
            file.write(f"""load_module {MODULE};
daemon off;
worker_processes 1;
error_log {directory}/error.log;
pid {directory}/pid;
events {{ worker_connections 256; }}
mail {{
  server_name pop.example.net;
  auth_http {url};
  auth_http_header X-Auth-Key key;
  pop3_auth plain apop cram-md5;
  proxy_pass_error_message on;
  ssl_certificate {certificate.chain};
  ssl_certificate_key {certificate.key};
  ssl_protocols TLSv1.3;
  server {{ listen 127.0.0.1:{self.ports["plain"]}; protocol pop3; }}
  server {{ listen 127.0.0.1:{self.ports["pop3s"]} ssl; protocol pop3; }}
  server {{
    listen 127.0.0.1:{self.ports["certificate"]} ssl; protocol pop3;
    ssl_verify_client optional; ssl_client_certificate {client_ca}; auth_http_pass_client_cert on;
  }}
  server {{
    listen 127.0.0.1:{self.ports["proxied"]} proxy_protocol; protocol pop3; set_real_ip_from 127.0.0.1;
  }}
}}
""")
        self.process = Process(["nginx", "-c", path, "-p", directory, "-e", f"{directory}/error.log"],
                               os.path.join(directory, "nginx.log"))  # fmt: skip
        wait_until(self._answers, 60, lambda: self.process.log())

    def _answers(self):
        try:
            Pop3Connection(self.ports["plain"]).close()
            return True
        except OSError:
            return False

    def stop(self):
        self.process.kill()


@pytest.fixture
def service():
    with AuthService(lambda request: reply("No such thing")) as running:
        yield running


@pytest.fixture
def both(start_proxy, farm, service, leaf, certificates, tmp):
    """[("nginx", ports), ("postern", ports)]"""
    client_ca = certificates.authority("client-ca")
    nginx = Nginx(os.path.join(tmp, "nginx"), leaf, client_ca, service.url("/auth?a=b"))
    try:
        proxy = start_proxy({
            "listener": [
                {"name": "plain", "tls": "off", "plaintext_logins": True},
                {"name": "pop3s", "tls": "implicit"},
                {"name": "certificate", "tls": "implicit", "client_certificate": "optional", "client_ca": client_ca},
                {"name": "proxied", "tls": "off", "plaintext_logins": True, "proxy_protocol": True,
                 "proxy_networks": ["127.0.0.1"]},
            ],
            "pool": farm.config()["pool"],
            "auth": {"mechanisms": ["plain", "login", "cram-md5"], "apop": True},
            "lookup": [{"name": "auth", "type": "auth_http", "urls": [service.url("/auth?a=b")],
                        "headers": {"X-Auth-Key": "key"}, "pass_client_certificate": True, "timeout": "30s", "cache": {"ttl": "0s", "negative_ttl": "0s"}}],
            "route": [{"lookup": "auth", "pool": "mail"}],
        })  # fmt: skip
        yield [("nginx", nginx.ports), ("postern", proxy.ports)]
    finally:
        nginx.stop()


def b64(text):
    return base64.b64encode(text if isinstance(text, bytes) else text.encode("utf-8")).decode()


def user_pass(client, user, password):
    return client.login(user, password)


def plain(client, user, password):
    return client.command("AUTH PLAIN " + b64(f"\0{user}\0{password}"))


def login(client, user, password):
    assert client.command("AUTH LOGIN").startswith(b"+ ")
    assert client.command(b64(user)).startswith(b"+ ")
    return client.command(b64(password))


def apop(client, user, password):
    start = client.greeting.index(b"<")
    challenge = client.greeting[start : client.greeting.index(b">") + 1]
    return client.command(f"APOP {user} {hashlib.md5(challenge + password.encode()).hexdigest()}")


def cram_md5(client, user, password):
    challenge = base64.b64decode(client.command("AUTH CRAM-MD5")[2:])
    digest = hmac.new(password.encode(), challenge, "md5").hexdigest()
    return client.command(b64(f"{user} {digest}"))


METHODS = [user_pass, plain, login, apop, cram_md5]
PASSWORDS = ["simple", PASSWORD, "per%cent %20 +plus", "\u00e4\u20ac \u00fc", "a=b&c;d?e#f/g\\h\"i'j<k>"]


def ask(service, ports, listener, method, user, password):
    """(what the client was told, the headers that the service saw)"""
    before = len(service.requests)
    with Pop3Connection(ports[listener], "implicit" if listener == "pop3s" else "off") as client:
        told = method(client, user, password)
    requests = service.requests[before:]
    assert len(requests) == 1, requests
    return told, [header for header in requests[0].headers if header[0] != "Connection"]


def without_chance(headers):
    """Two challenges are never the same, nor what was made of them; and each server has its own mind
    about ciphers."""
    digest = dict(headers)["Auth-Method"] != "plain"
    return [(name, "" if name in ("Auth-Salt", "Auth-SSL-Cipher") or (digest and name == "Auth-Pass") else value)
            for name, value in headers]  # fmt: skip


@pytest.mark.parametrize("listener", ["plain", "pop3s"])
@pytest.mark.parametrize("method", METHODS)
def test_the_service_sees_the_same(method, listener, both, service):
    for password in PASSWORDS:
        for user in (USER, "odd%name@map.test"):
            seen = {name: ask(service, ports, listener, method, user, password) for name, ports in both}
            assert without_chance(seen["postern"][1]) == without_chance(seen["nginx"][1])
            assert seen["postern"][0] == seen["nginx"][0] == b"-ERR No such thing"


@pytest.mark.parametrize("name", [None, "anna", 'Gr\u00f6\u00dfe, "Anna"  <a@b>;%20'])
def test_the_service_sees_the_certificate(name, both, service, certificates):
    context = client_context()
    if name is not None:
        shown = certificates.client(name)
        context.load_cert_chain(shown.chain, shown.key)
    seen = {}
    for proxy, ports in both:
        before = len(service.requests)
        with Pop3Connection(ports["certificate"], "implicit", context=context) as client:
            assert client.login(USER, PASSWORD) == b"-ERR No such thing", proxy
        (request,) = service.requests[before:]
        seen[proxy] = [header for header in request.headers if header[0] != "Connection"]
    assert without_chance(seen["postern"]) == without_chance(seen["nginx"])
    told = dict(seen["postern"])
    assert told["Auth-SSL-Verify"] == ("NONE" if name is None else "SUCCESS")
    fields = ("Auth-SSL-Subject", "Auth-SSL-Issuer", "Auth-SSL-Serial", "Auth-SSL-Fingerprint", "Auth-SSL-Cert")
    assert [field in told for field in fields] == [name is not None] * len(fields)


ENDS6 = bytes.fromhex("20010db8000000000000000000000009") + bytes(15) + b"\1" + struct.pack(">HH", 4711, 995)
PROXY_HEADERS = {
    "v1": b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 995\r\n",
    "v2": b"\r\n\r\n\0\r\nQUIT\n\x21\x21" + struct.pack(">H", len(ENDS6)) + ENDS6,
    "nobody": b"PROXY UNKNOWN\r\n",
}


@pytest.mark.parametrize("header", PROXY_HEADERS)
def test_the_service_sees_whom_a_proxy_header_names(header, both, service):
    seen = {}
    for proxy, ports in both:
        before = len(service.requests)
        with Pop3Connection(ports["proxied"], greeting=False) as client:
            client.send(PROXY_HEADERS[header])
            assert client.line().startswith(b"+OK"), proxy
            assert client.login(USER, PASSWORD) == b"-ERR No such thing", proxy
        (request,) = service.requests[before:]
        seen[proxy] = [header for header in request.headers if header[0] != "Connection"]
    assert seen["postern"] == seen["nginx"]
    assert ("Proxy-Protocol-Server-Port" in dict(seen["postern"])) == (header != "nobody")


REPLIES = {
    "an address": dict(Auth_Server="127.0.0.1", Auth_Port="SERVER"),
    "no status": dict(status=None, Auth_Server="127.0.0.1", Auth_Port="SERVER"),
    "an error code": dict(code="500 Oh", Auth_Server="127.0.0.1", Auth_Port="SERVER"),
    "spaces": dict(Auth_Server="   127.0.0.1  ", Auth_Port="  SERVER "),
    "another user": dict(Auth_Server="127.0.0.1", Auth_Port="SERVER", Auth_User="someone@one.test"),
    "another password": dict(Auth_Server="127.0.0.1", Auth_Port="SERVER", Auth_Pass=PASSWORD),
    "a refusal": dict(status="Temporarily  out of [order]"),
    "a refusal with a code": dict(status="[IN-USE] Locked"),
    "ok in small letters": dict(status="ok", Auth_Server="127.0.0.1", Auth_Port="SERVER"),
    "port 0": dict(Auth_Server="127.0.0.1", Auth_Port="0"),
    "port 65536": dict(Auth_Server="127.0.0.1", Auth_Port="65536"),
    "no port": dict(Auth_Server="127.0.0.1"),
    "nothing": dict(status=None),
}


@pytest.mark.parametrize("what", REPLIES)
def test_replies_mean_the_same(what, both, service, farm):
    """Logged in by both or by neither; a refusal in the same words; where nginx says that it has an
    internal error, we say [SYS/TEMP]."""
    port = farm.servers["mail1"].address().rsplit(":", 1)[1]
    fields = {name: value.replace("SERVER", port) if value else value for name, value in REPLIES[what].items()}
    service.answer = lambda request: reply(**fields)
    password = "another" if what == "another password" else PASSWORD
    told = {name: ask(service, ports, "plain", user_pass, USER, password)[0] for name, ports in both}
    if told["nginx"] == b"-ERR internal server error":
        assert told["postern"].startswith(b"-ERR [SYS/TEMP]"), told
    else:
        assert told["postern"] == told["nginx"]


@pytest.mark.parametrize("words", ["No such user", "[SYS/TEMP] Moving", "[sys/temp] Moving"])
def test_who_is_told_to_wait_may_try_again(words, both, service, farm):
    port = farm.servers["mail1"].address().rsplit(":", 1)[1]
    for name, ports in both:
        before = len(service.requests)
        answers = [reply(words, Auth_Wait=1), reply("WAIT", Auth_Wait=1),
                   reply(Auth_Server="127.0.0.1", Auth_Port=port)]  # fmt: skip
        service.answer = lambda request: answers[len(service.requests) - 1 - before]
        with Pop3Connection(ports["plain"]) as client:
            began = time.monotonic()
            assert client.login(USER, PASSWORD) == b"-ERR " + words.encode(), name
            assert time.monotonic() - began >= 1, name
            began = time.monotonic()
            assert client.login(USER, PASSWORD).startswith(b"+OK"), name
            assert time.monotonic() - began >= 1, name
            client.quit()
        attempts = [request.get("Auth-Login-Attempt") for request in service.requests[before:]]
        assert attempts == ["1", "2", "2"], name


def test_temporary_words_without_a_wait_end_the_connection(both, service):
    service.answer = lambda request: reply("[SYS/TEMP] Moving")
    for name, ports in both:
        with Pop3Connection(ports["plain"]) as client:
            assert client.login(USER, PASSWORD) == b"-ERR [SYS/TEMP] Moving", name
            assert client.at_end(), name


@pytest.mark.parametrize("method", [apop, cram_md5])
def test_a_digest_with_the_secret_from_the_service(method, both, service, farm):
    port = farm.servers["mail1"].address().rsplit(":", 1)[1]
    service.answer = lambda request: reply(Auth_Server="127.0.0.1", Auth_Port=port, Auth_Pass=PASSWORD)
    told = {name: ask(service, ports, "plain", method, USER, PASSWORD)[0] for name, ports in both}
    assert told["postern"] == told["nginx"] and told["nginx"].startswith(b"+OK")
    # Where the two part on purpose: nginx never looks at the digest, and lets anybody in.
    told = {name: ask(service, ports, "plain", method, USER, "wrong")[0] for name, ports in both}
    assert told["nginx"].startswith(b"+OK")
    assert told["postern"] == b"-ERR [AUTH] Authentication failed."
