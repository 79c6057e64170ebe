"""postern doctor, with and without a running server, before servers that want something else; and
postern route, which explains identities and compares configurations."""

import os
import shutil
import tempfile
import time

import pytest

from harness import Proxy, free_port
from harness.auth_service import AuthService, reply
from harness.dovecot import Dovecot
from harness.farm import PASSWORD
from harness.policy_service import PolicyService, Reply, verdict
from harness.proxy import run_postern

USER = "mapped1@map.test"
DOVECOT = """
haproxy_trusted_networks = 127.0.0.1
login_trusted_networks = 127.0.0.1
service pop3-login {{
  inet_listener proxied {{
    port = {proxied}
    haproxy = yes
  }}
}}
"""


@pytest.fixture(scope="module")
def trusting(certificates):
    """A server that trusts 127.0.0.1, and expects a PROXY header on its port `proxied`."""
    directory = tempfile.mkdtemp(prefix="postern-it-doctor-")
    os.chmod(directory, 0o755)
    certificate = certificates.leaf(("mail.farm.test",), ca="farm-ca", days=5)
    proxied = free_port()
    server = Dovecot(
        "trusting", os.path.join(directory, "trusting"), certificate, {USER: PASSWORD},
        extra=DOVECOT.format(proxied=proxied),
    )  # fmt: skip
    server.proxied = f"127.0.0.1:{proxied}"
    server.ca = certificate.ca
    yield server
    server.stop()
    shutil.rmtree(directory, ignore_errors=True)


def only(backend, **more):
    return {
        "backend": [{"name": "mail1", **backend}],
        "route": [{"users": "*", "backend": "mail1"}],
        "limits": {"sessions": 100},
        **more,
    }


@pytest.fixture
def doctor(tmp, leaf):
    """doctor(config): (exit code, the report with each finding in one line), nothing running."""

    def run(config, certificate=leaf, proxy=None):
        if proxy is None:
            directory = os.path.join(tmp, f"doctor{len(os.listdir(tmp))}")
            proxy = Proxy(config, directory, certificate=certificate, start=False)
        done = run_postern("doctor", "--config", proxy.config_path)
        assert done.stderr == "", done.stderr
        assert max(len(line) for line in done.stdout.splitlines()) < 200
        text = done.stdout.replace("\n            ", " ").replace("\n         ", " ")
        assert text.endswith("problems.\n") or text.endswith(".\n"), text
        return done.returncode, text

    return run


def test_a_server_that_runs(start_proxy, farm, doctor, leaf):
    proxy = start_proxy({**farm.config(), "hostname": "pop.example.net", "limits": {"sessions": 100}})
    code, text = doctor(None, proxy=proxy)
    assert code == 0, text
    assert f"{leaf.chain}: localhost, pop.example.net; ECDSA P-256; until " in text
    # Our CA is none of the system's.
    assert "clients that trust what this system trusts do not accept it: unable to get" in text
    assert f"answers at {proxy.admin} and takes clients" in text
    for name, tls in (("pop3s", ", TLSv1.3"), ("pop3", ", TLSv1.3"), ("plain", "")):
        assert f"ok     {name} (127.0.0.1:{proxy.ports[name]}): answers in " in text
    for server in farm.servers.values():
        assert f"{server.name} ({server.address()}): answers in " in text
    assert "plain promises TOP, UIDL, RESP-CODES, PIPELINING, AUTH-RESP-CODE" in text
    assert "open files: " in text and " for the running server" in text
    assert "BAD" not in text and text.endswith("warning.\n"), text


def test_a_server_that_does_not(doctor, farm):
    code, text = doctor(only({"address": farm.servers["mail1"].address()}))
    assert code == 0, text
    assert "no server answers at 127.0.0.1:" in text
    assert text.count("nobody listens; the server could") == 3
    assert "for a server started here" in text


def test_a_listener_that_the_running_server_does_not_have(start_proxy, farm, doctor):
    proxy = start_proxy(only({"address": farm.servers["mail1"].address()}))
    config = dict(proxy.config)
    config["listener"] = config["listener"] + [{"name": "new", "tls": "implicit"}]
    proxy.write_config(config)
    code, text = doctor(None, proxy=proxy)
    assert code == 1 and "BAD    new (" in text, text
    assert "nobody listens, although the server runs -> does it run with this configuration?" in text


def test_a_certificate_that_was_not_read_again(start_proxy, farm, doctor, certificates):
    first = certificates.leaf(days=20)
    second = certificates.leaf(days=25)
    proxy = start_proxy(only({"address": farm.servers["mail1"].address()}), certificate=first)
    config = dict(proxy.config, tls={"certificates": [{"chain": second.chain, "key": second.key}]})
    proxy.write_config(config)
    _, text = doctor(None, proxy=proxy)
    assert "pop3s (" in text and "shows a certificate that the files do not hold any more" in text
    proxy.reload()
    assert "do not hold any more" not in doctor(None, proxy=proxy)[1]


def test_files_are_looked_at_one_by_one(doctor, farm, certificates, tmp):
    secrets = os.path.join(tmp, "open-secrets")
    with open(os.open(secrets, os.O_WRONLY | os.O_CREAT, 0o644), "w") as file:
        file.write(f"{USER}:hidden-secret\n")
    os.chmod(secrets, 0o644)
    missing = os.path.join(tmp, "missing")
    backend = {
        "address": farm.servers["mail1"].address(), "login": "master", "master_user": "m",
        "master_password_file": missing,
    }  # fmt: skip
    old = certificates.leaf(("elsewhere.test",), days=-1)
    gone = os.path.join(tmp, "gone")
    lookup = {"name": "users", "type": "redis", "servers": ["127.0.0.1:9"], "key": "{user}",
              "user": "postern", "password_file": gone}  # fmt: skip
    nonce = os.path.join(tmp, "nonce-gone")
    policy = {"urls": ["http://127.0.0.1:9/"], "hash_nonce_file": nonce}
    config = only(backend, auth={"secrets": secrets}, lookup=[lookup], guard={"policy": policy})
    code, text = doctor(config, certificate=old)
    assert code == 1
    for word in (secrets, missing, gone, nonce, old.chain, "expired"):
        assert word in text, text
    assert "others" in text and "hidden-secret" not in text
    soon = certificates.leaf(("elsewhere.test",), days=3)
    code, text = doctor(only({"address": farm.servers["mail1"].address()}, hostname="pop.example.net"),
                        certificate=soon)  # fmt: skip
    assert code == 0 and "-> have it renewed now" in text
    assert "no certificate is for pop.example.net" in text


def test_mistakes_of_the_configuration(tmp):
    path = os.path.join(tmp, "bad.toml")
    with open(path, "w") as file:
        file.write('workers = "many"\n')
    done = run_postern("doctor", "--config", path)
    assert done.returncode == 1 and f"BAD    {path}:1:11" in done.stdout
    assert done.stdout.rstrip().splitlines()[-1].endswith("problems.")


def test_a_backend_that_is_not_there(doctor):
    port = free_port()
    code, text = doctor(only({"address": f"127.0.0.1:{port}"}))
    assert code == 1 and "Connection refused -> nobody listens there" in text, text
    code, text = doctor(only({"address": "no-such-host.invalid:110"}))
    assert code == 1 and "BAD    mail1: no-such-host.invalid:110: " in text, text


def test_trust_by_xclient(doctor, trusting, farm):
    _, text = doctor(only({"address": trusting.address(), "xclient": "auto"}))
    assert "trusts us: XCLIENT tells it who the clients are" in text
    _, text = doctor(only({"address": trusting.address()}))
    assert 'takes XCLIENT; xclient = "auto" would tell it' in text
    strange = farm.servers["mail1"].address()
    code, text = doctor(only({"address": strange, "xclient": "auto"}))
    assert code == 0 and "-> add 127.0.0.1 to it (Dovecot: login_trusted_networks)" in text
    code, text = doctor(only({"address": strange, "xclient": "on"}))
    assert code == 1 and "-> the server does not trust us: add 127.0.0.1 to it" in text


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_proxy_header_too_many(version, doctor, trusting):
    code, text = doctor(only({"address": trusting.address(), "proxy_protocol": version}))
    assert code == 1 and "it answers well without a PROXY header" in text, text
    code, text = doctor(only({"address": trusting.proxied, "proxy_protocol": version}))
    assert code == 0, text


def test_a_proxy_header_too_few(doctor, trusting):
    code, text = doctor(only({"address": trusting.proxied}, timeouts={"upstream_greeting": "1s"}))
    assert code == 1 and '-> it answers well behind a PROXY header: set proxy_protocol = "v2"' in text


def test_certificates_of_backends(doctor, trusting, certificates):
    tls = {"address": trusting.address(True), "tls": "implicit"}
    code, text = doctor(only({**tls, "ca": trusting.ca, "server_name": "mail.farm.test"}))
    assert code == 0 and ", TLSv1.3, certificate until " in text
    assert "its certificate ends soon" in text
    code, text = doctor(only({**tls, "ca": trusting.ca, "server_name": "other.farm.test"}))
    assert code == 1 and "it is not for other.farm.test; set server_name" in text
    code, text = doctor(
        only({**tls, "ca": certificates.authority("stranger-ca"), "server_name": "mail.farm.test"})
    )
    assert code == 1 and "-> name the CA that signed it" in text
    code, text = doctor(only({"address": trusting.address(), "tls": "implicit", "ca": trusting.ca}))
    assert code == 1 and "in the clear on this port" in text


def test_the_login_of_health_checks(doctor, farm, tmp):
    path = os.path.join(tmp, "canary")
    health = {"probe": "login", "user": USER, "password_file": path}
    for password, good in ((PASSWORD, True), ("wrong", False)):
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(password + "\n")
        code, text = doctor(only({"address": farm.servers["mail1"].address(), "health": health}))
        assert (code == 0) == good, text
        assert (", logs in" in text) == good
        assert ("the login of health checks was refused" in text) != good
        assert PASSWORD not in text


def test_lookups_are_asked(doctor, farm):
    refused = "127.0.0.1:" + str(free_port())
    with AuthService(lambda request: reply("Invalid login or password")) as service:
        gone = f"http://{refused}/auth"
        lookup = {"name": "auth", "type": "auth_http", "urls": [service.url(), gone],
                  "timeout": "20s"}  # fmt: skip
        redis = {"name": "homes", "type": "redis", "servers": [refused], "key": "home:{user}",
                 "timeout": "20s"}  # fmt: skip
        config = only({"address": farm.servers["mail1"].address()}, lookup=[lookup, redis])
        config["route"] = [{"lookup": "auth"}, {"lookup": "homes"}] + config["route"]
        code, text = doctor(config)
        # A user, a password and a client that are nobody's.
        (asked,) = service.requests
        assert asked.get("Auth-User") == "postern-doctor" and asked.get("Client-IP") == "192.0.2.1"
        # Each server by itself: one that answers hides none that does not.
        assert f"ok     auth ({service.url()}): answers in " in text and ": refuses a user that" in text
        assert f"BAD    auth ({gone}): " in text and text.count("is the service running") == 2, text
        assert f"BAD    homes ({refused}): " in text
        assert code == 1 and "2 problems" in text
        lookup["urls"].pop()
        service.answer = lambda request: reply(Auth_Server="mail1")
        code, text = doctor(only({"address": farm.servers["mail1"].address()}, lookup=[lookup]))
        assert code == 0 and ": found, even a user that nobody has" in text, text
        assert "note   auth (" in text and "says yes to a password that nobody has" in text


def test_lookups_that_say_nothing_cost_one_timeout(doctor, farm):
    """All are asked at the same time, each for as long as it may take."""
    with AuthService(lambda request: time.sleep(60)) as service:
        lookups = [{"name": f"auth{i}", "type": "auth_http", "urls": [service.url(f"/{i}")],
                    "timeout": "10s"} for i in range(4)]  # fmt: skip
        config = only({"address": farm.servers["mail1"].address()}, lookup=lookups)
        began = time.monotonic()
        code, text = doctor(config)
        assert code == 1 and "4 problems" in text and text.count("is the service overloaded") == 4, text
        assert 9 < time.monotonic() - began < 30


def test_the_policy_service_is_asked_and_told_nothing(doctor, farm, tmp):
    nonce = os.path.join(tmp, "nonce")
    with open(os.open(nonce, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        file.write("a nonce\n")
    with PolicyService() as service:

        def run(allow, **more):
            service.allow = lambda request: allow
            policy = {"urls": [service.url()], "hash_nonce_file": nonce, "timeout": "20s", **more}
            return doctor(only({"address": farm.servers["mail1"].address()}, guard={"policy": policy}))

        code, text = run(verdict(0))
        assert code == 0 and f"ok     [guard.policy] ({service.url()}): answers in " in text, text
        assert "a login may go on" in text
        (asked,) = service.asked("allow")
        assert asked.json["login"] == "postern-doctor" and asked.json["remote"] == "192.0.2.1"
        code, text = run(verdict(-1, "no"))
        assert code == 0 and "would refuse a user that nobody has" in text
        code, text = run(Reply(status=401))
        assert code == 1 and "HTTP status 401 (logins go on without it) -> it does not accept who we" in text
        assert "come back until it answers" in run(Reply(b"no JSON"), fail="closed")[1]
        assert not service.asked("report")


# -- route


def test_route_explains_identities(tmp, leaf, farm):
    config = {
        "listener": [{"name": "pop3s", "tls": "implicit"},
                     {"name": "plain", "tls": "off", "plaintext_logins": True}],
        "pool": [{"name": "mail", "login": "secret", "xclient": "auto",
                  "backends": [{"name": "mail1", "address": "10.0.0.1:110"}]}],
        "route": [{"users": "*", "pool": "mail"}],
        "auth": {"mechanisms": ["plain", "cram-md5"], "apop": True, "secrets": farm.secrets_path},
    }  # fmt: skip
    path = Proxy(config, os.path.join(tmp, "route"), certificate=leaf, start=False).config_path

    def route(*arguments):
        return run_postern("route", "--config", path, *arguments)

    text = route("--from", "203.0.113.9", "--sni", "pop.example.net", USER).stdout
    assert "client     at pop3s by USER and PASS, APOP, AUTH PLAIN, AUTH CRAM-MD5, in TLS\n" in text
    assert f"verified   here, against {farm.secrets_path}, which has the user\n" in text
    assert "login      at 10.0.0.1:110, plain, with the user's stored secret by USER and PASS\n" in text
    assert "identity   by XCLIENT, where its greeting announces it: XCLIENT ADDR=203.0.113.9 " in text
    assert "CLIENT-TRANSPORT=TLS DESTNAME=pop.example.net" in text
    text = route("--listener", "plain", "--sni", "no_name", "stranger@nowhere.test").stdout
    assert "client     at plain by " in text and "CLIENT-TRANSPORT=insecure" in text
    assert "which does not have the user" in text
    assert "is no DNS name and is left out" in text
    wrong = route("--listener", "nowhere", USER)
    assert wrong.returncode == 1 and "there are pop3s, plain" in wrong.stderr
    assert route("--from", "nowhere", USER).returncode == 1
    for arguments in ((), ("--diff", path), ("--users", path), ("--diff", path, "--users", path, USER)):
        assert route(*arguments).returncode == 2, arguments


def test_route_knows_of_listeners_with_a_backend(tmp, leaf):
    config = {
        "listener": [{"name": "pop3s", "tls": "implicit", "greeting": "backend", "backend": "mail1",
                      "server_names": [{"name": "s2.pop.example.net", "backend": "mail2"}]},
                     {"name": "plain", "tls": "off", "plaintext_logins": True}],
        "backend": [{"name": f"mail{i}", "address": f"10.0.0.{i}:110"} for i in (1, 2, 3)],
        "route": [{"users": "*", "backend": "mail3"}],
    }  # fmt: skip
    path = Proxy(config, os.path.join(tmp, "route"), certificate=leaf, start=False).config_path

    def route(*arguments):
        done = run_postern("route", "--config", path, *arguments, USER)
        assert done.returncode == 0, done.stderr
        return done.stdout

    text = route("--listener", "pop3s")
    assert f"user       {USER}\nlistener   pop3s leads to backend mail1, and the routes are not asked\n" in text
    assert "APOP, which the backend judges" in text and "login      at 10.0.0.1:110, " in text
    text = route("--listener", "pop3s", "--sni", "S2.pop.example.net")
    assert "leads to backend mail2" in text and "login      at 10.0.0.2:110, " in text
    text = route("--listener", "plain")
    assert "leads to" not in text and "login      at 10.0.0.3:110, " in text


def test_route_compares_configurations(tmp, leaf, farm):
    def written(name, backends):
        config = {
            "pool": [{"name": "mail", "backends": [
                {"name": backend, "address": f"{backend}.test:110"} for backend in backends]}],
            "route": [{"users": "*@pool.test", "pool": "mail"}],
        }  # fmt: skip
        return Proxy(config, os.path.join(tmp, name), certificate=leaf, start=False).config_path

    now, more = written("now", ["a", "b"]), written("more", ["a", "b", "c"])
    users = os.path.join(tmp, "users")
    with open(users, "w") as file:
        file.writelines(f"user{i}@pool.test\n" for i in range(300))
    done = run_postern("route", "--config", now, "--diff", more, "--users", users)
    assert done.returncode == 0 and done.stderr == ""
    first, *moves = done.stdout.splitlines()
    assert first.startswith("300 users: ")
    moved = int(first.split()[2])
    # A third for the third backend, and nobody from one of the old ones to the other.
    assert 60 < moved < 140 and len(moves) == 2
    assert all(" -> c (c.test:110), such as user" in line for line in moves)
    assert sum(int(line.split()[0]) for line in moves) == moved
    same = run_postern("route", "--config", now, "--diff", now, "--users", users)
    assert same.stdout == "300 users: 0 would move (0.0 %)\n"
    assert run_postern("route", "--config", now, "--diff", now, "--users", users + "x").returncode == 1
