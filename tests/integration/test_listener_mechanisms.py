"""Each listener offers the SASL mechanisms that its own backends take."""

import base64
import contextlib
import os

import pytest
from faulty_upstream.pop3_backend import Backend, BackendFarm
from harness import Pop3Connection, free_port
from harness.proxy import run_postern

USER = "anna@example.org"
FIRST = base64.b64encode(f"user={USER}\x01auth=Bearer t\x01\x01".encode()).decode()
ALL = ["plain", "login", "scram-sha-256", "xoauth2"]


def backend(*mechanisms):
    """A backend whose CAPA names these, and which believes every token."""

    def capabilities(connection):
        sasl = f"SASL {' '.join(mechanisms)}\r\n" if mechanisms else ""
        connection.send(f"+OK\r\nUSER\r\nUIDL\r\n{sasl}.\r\n".encode())

    def authenticate(connection):
        connection.user = USER.encode()
        connection.log_in()

    made = Backend()
    made.faults["capa"] = capabilities
    made.faults["auth"] = authenticate
    return made


@pytest.fixture
def backends():
    with contextlib.ExitStack() as stack:
        made = {
            "new": backend("PLAIN", "SCRAM-SHA-256", "XOAUTH2"),
            "half": backend("PLAIN", "SCRAM-SHA-256"),
            "old": backend(),
        }
        stack.enter_context(BackendFarm(list(made.values())))
        yield made


def config(backends, **auth):
    def at(name, **more):
        return {"name": name, "tls": "off", "plaintext_logins": True, **more}

    return {
        "listener": [
            at("new", backend="new"),
            at("half", backend="half"),
            at("narrow", backend="new", mechanisms=["xoauth2"]),
            at("routes"),  # lead to the old one
        ],
        "backend": [
            {"name": "new", "address": backends["new"].address, "login": "sasl"},
            {"name": "half", "address": backends["half"].address, "login": "sasl"},
            {"name": "old", "address": backends["old"].address},
        ],
        "route": [{"users": "*", "backend": "old"}],
        "auth": {"mechanisms": ALL, **auth},
    }


def sasl(proxy, listener):
    with Pop3Connection(proxy.ports[listener]) as client:
        (line,) = [line for line in client.capabilities() if line.startswith("SASL ")]
        return line


def log_in(proxy, listener, token=False):
    with Pop3Connection(proxy.ports[listener]) as client:
        answer = client.command(f"AUTH XOAUTH2 {FIRST}") if token else client.login(USER, "right")
        if answer.startswith(b"+OK"):
            client.quit()
        return answer


def test_each_offers_what_its_backends_take(start_proxy, backends):
    proxy = start_proxy(config(backends))
    everything = "SASL PLAIN LOGIN SCRAM-SHA-256 XOAUTH2"
    # By the configuration, before a backend was heard.
    assert sasl(proxy, "new") == sasl(proxy, "half") == everything
    assert sasl(proxy, "narrow") == "SASL XOAUTH2"
    assert sasl(proxy, "routes") == "SASL PLAIN LOGIN"
    assert log_in(proxy, "routes", token=True) == b"-ERR Unknown mechanism"
    # By what they say.
    for listener in ("new", "half", "routes"):
        assert log_in(proxy, listener).startswith(b"+OK")
    assert sasl(proxy, "new") == everything
    assert sasl(proxy, "half") == "SASL PLAIN LOGIN SCRAM-SHA-256"
    assert sasl(proxy, "narrow") == "SASL XOAUTH2"
    assert sasl(proxy, "routes") == "SASL PLAIN LOGIN"
    assert log_in(proxy, "half", token=True) == b"-ERR Unknown mechanism"
    for listener in ("new", "narrow"):
        assert log_in(proxy, listener, token=True).startswith(b"+OK")
    with Pop3Connection(proxy.ports["narrow"]) as client:
        assert client.command("AUTH PLAIN =") == b"-ERR Unknown mechanism"
    # A reload changes it.
    changed = config(backends)
    changed["listener"][0]["mechanisms"] = ["login"]
    proxy.write_config(changed)
    assert "is in use" in proxy.reload()
    assert sasl(proxy, "new") == "SASL LOGIN"


def test_a_user_who_is_moved_to_a_backend_of_another_kind(start_proxy, backends, tmp):
    token = os.path.join(tmp, "token")
    with open(os.open(token, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        file.write("a token\n")
    admin = {"address": f"127.0.0.1:{free_port()}", "token_file": token}
    proxy = start_proxy({**config(backends), "admin": admin})
    done = run_postern("move", "--config", proxy.config_path, USER, "--to", "old", timeout=120)
    assert done.returncode == 0, done.stderr
    answer = log_in(proxy, "new", token=True)
    assert answer.startswith(b"-ERR [SYS/TEMP]"), answer
    assert not [visit for visit in backends["old"].visits() if visit.users or visit.passwords]
    assert "old: does not take the client's own SASL exchange" in proxy.session_lines()[0]
    assert log_in(proxy, "new").startswith(b"+OK")


def test_what_the_verbs_say(start_proxy, backends):
    proxy = start_proxy(config(backends))
    for listener, ways in [("new", "AUTH PLAIN, AUTH LOGIN, AUTH SCRAM-SHA-256, AUTH XOAUTH2"),
                           ("narrow", "AUTH XOAUTH2"),
                           ("routes", "AUTH PLAIN, AUTH LOGIN")]:  # fmt: skip
        done = run_postern("route", "--config", proxy.config_path, "--listener", listener, USER)
        assert done.returncode == 0, done.stderr
        assert f"at {listener} by USER and PASS, {ways}\n" in done.stdout
    text = run_postern("doctor", "--config", proxy.config_path, timeout=120).stdout
    text = " ".join(text.split())
    assert "does not offer XOAUTH2, which clients are therefore not offered" in text
    assert "does not offer SCRAM-SHA-256" not in text


def test_a_listener_with_backends_of_both_kinds_is_a_mistake(start_proxy, backends):
    proxy = start_proxy(config(backends))
    wrong = config(backends)
    wrong["route"].insert(0, {"users": USER, "backend": "new"})
    proxy.write_config(wrong)
    done = run_postern("check", "--config", proxy.config_path)
    assert done.returncode == 1
    assert 'mechanism "scram-sha-256" shows us no password' in done.stderr
    assert '"old" does not; set login = "sasl" there' in done.stderr
    assert "write mechanisms without it at the listener in line" in done.stderr
    wrong["listener"][3]["mechanisms"] = ["plain"]
    proxy.write_config(wrong)
    done = run_postern("check", "--config", proxy.config_path)
    assert (done.returncode, done.stderr) == (0, "")
