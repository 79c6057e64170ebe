"""Backends that say where the mail is: followed to backends of the configuration, and nowhere else."""

import socket
import threading

import pytest

from harness import Pop3Connection, free_port
from harness.auth_service import AuthService, reply
from harness.farm import PASSWORD

USER = "mapped1@map.test"
MESSAGE = b"Subject: here\r\n\r\nx\r\n"
UNAVAILABLE = b"-ERR [SYS/TEMP] Account is temporarily unavailable"


class Referring:
    """Takes any login and answers PASS with `answer`; `heard` is what was said to it."""

    def __init__(self):
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listening.getsockname()[1]
        self.answer = ""
        self.heard = []
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as lines:
                connection.sendall(b"+OK refers\r\n")
                for line in lines:
                    self.heard.append(line.rstrip())
                    if line.startswith(b"USER"):
                        connection.sendall(b"+OK\r\n")
                    elif line.startswith(b"PASS"):
                        connection.sendall(f"-ERR {self.answer}\r\n".encode())
                    else:
                        connection.sendall(b"-ERR no\r\n")

    def passwords(self):
        return len([line for line in self.heard if line.startswith(b"PASS ")])


@pytest.fixture
def referring():
    servers = [Referring(), Referring()]
    yield servers
    for server in servers:
        server.listening.close()


def config(referring, target, count=1, **more):
    return {
        "backend": [
            {"name": "first", "address": referring[0].address, "referrals": count, **more},
            {"name": "second", "address": referring[1].address},
            {"name": "mail1", "address": target},
        ],
        "route": [{"users": "*", "backend": "first"}],
    }


def log_in(proxy):
    with Pop3Connection(proxy.ports["plain"]) as client:
        answer = client.login(USER, PASSWORD)
        if answer.startswith(b"+OK"):
            assert client.multiline("RETR 1")[1] == MESSAGE
            client.quit()
        return answer


def test_a_referral_is_followed(start_proxy, farm, referring):
    server = farm.servers["mail1"]
    server.deliver(USER, [MESSAGE])
    proxy = start_proxy(config(referring, server.address()))
    for answer in (f"[REFERRAL/{USER}@{server.address()}] Try there.", f"[referral/{server.address()}]"):
        referring[0].answer = answer
        assert log_in(proxy).startswith(b"+OK"), proxy.log()
    line = proxy.session_lines(2)[-1]
    assert "backend=mail1" in line and "result=logged_in" in line
    # A wrong password is the last server's to judge.
    with Pop3Connection(proxy.ports["plain"]) as client:
        assert client.login(USER, "wrong").startswith(b"-ERR [AUTH]")


def test_a_server_that_a_lookup_named_may_refer(start_proxy, farm, referring):
    """The settings are those of "first", the address is the lookup's; the referral leads away from
    both."""
    server = farm.servers["mail1"]
    server.deliver(USER, [MESSAGE])
    referring[0].answer = f"[REFERRAL/{server.address()}]"
    port = referring[0].address.rsplit(":", 1)[1]
    answer = reply(Auth_Server="127.0.0.1", Auth_Port=port)
    with AuthService(lambda request: answer) as service:
        settings = config(referring, server.address())
        # "first" itself is somewhere else, so that no backend has the address of the answer.
        settings["backend"][0]["address"] = f"127.0.0.1:{free_port()}"
        settings["lookup"] = [{"name": "homes", "type": "auth_http", "urls": [service.url()],
                               "timeout": "30s"}]  # fmt: skip
        settings["route"] = [{"lookup": "homes", "backend": "first"}]
        proxy = start_proxy(settings)
        assert log_in(proxy).startswith(b"+OK"), proxy.log()
    assert "backend=mail1" in proxy.session_lines()[0]


def test_the_name_that_a_lookup_gave_is_the_user(start_proxy, farm, referring):
    server = farm.servers["mail1"]
    server.deliver(USER, [MESSAGE])
    first = f"127.0.0.1:{referring[0].address.rsplit(':', 1)[1]}"
    answer = reply(Auth_Server="127.0.0.1", Auth_Port=first.rsplit(":", 1)[1], Auth_User=USER)
    with AuthService(lambda request: answer) as service:
        settings = config(referring, server.address())
        settings["lookup"] = [{"name": "homes", "type": "auth_http", "urls": [service.url()]}]
        settings["route"] = [{"lookup": "homes", "backend": "first"}]
        proxy = start_proxy(settings)
        for name, expected in ((USER, b"+OK"), ("somebody@else.test", UNAVAILABLE)):
            referring[0].answer = f"[REFERRAL/{name}@{server.address()}]"
            with Pop3Connection(proxy.ports["plain"]) as client:
                assert client.login("an.alias@map.test", PASSWORD).startswith(expected), proxy.log()


def test_only_as_many_as_are_allowed(start_proxy, farm, referring):
    server = farm.servers["mail1"]
    server.deliver(USER, [MESSAGE])
    referring[0].answer = f"[REFERRAL/{USER}@{referring[1].address}]"
    referring[1].answer = f"[REFERRAL/{USER}@{server.address()}]"
    assert log_in(start_proxy(config(referring, server.address(), 2))).startswith(b"+OK")
    proxy = start_proxy(config(referring, server.address(), 1))
    assert log_in(proxy) == UNAVAILABLE
    assert "would be one referral too many" in proxy.session_lines()[0]
    # Nobody is asked who must not be followed.
    proxy = start_proxy(config(referring, server.address(), 0))
    assert log_in(proxy).startswith(b"-ERR [REFERRAL/")


def test_a_loop_is_found(start_proxy, farm, referring):
    referring[0].answer = f"[REFERRAL/{USER}@{referring[1].address}]"
    referring[1].answer = f"[REFERRAL/{USER}@{referring[0].address}]"
    proxy = start_proxy(config(referring, farm.servers["mail1"].address(), 5))
    assert log_in(proxy) == UNAVAILABLE
    assert "has been asked already" in proxy.session_lines()[0]
    assert [server.passwords() for server in referring] == [1, 1]
    referring[0].answer = f"[REFERRAL/{USER}@{referring[0].address}]"
    assert log_in(proxy) == UNAVAILABLE
    assert referring[0].passwords() == 2


def test_passwords_go_where_the_operator_has_said_and_nowhere_else(start_proxy, farm, referring):
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        stranger.settimeout(0.5)
        port = stranger.getsockname()[1]
        proxy = start_proxy(config(referring, farm.servers["mail1"].address()))
        own = proxy.ports["plain"]
        places = [f"{USER}@127.0.0.1:{port}", f"{USER}@127.0.0.1:{own}", "other@" + referring[1].address,
                  f"{USER}@169.254.169.254:80", f"{USER}@localhost:{port}"]  # fmt: skip
        for place in places:
            referring[0].answer = f"[REFERRAL/{place}]"
            assert log_in(proxy) == UNAVAILABLE, place
        lines = proxy.session_lines(len(places))
        assert all("is no backend of the configuration" in line for line in lines)
        with pytest.raises(TimeoutError):
            stranger.accept()
    assert referring[1].passwords() == 0


@pytest.mark.parametrize("answer", ["[REFERRAL/]", "[REFERRAL/a@]", "[REFERRAL/a@h:0] x", "REFERRAL/h"])
def test_what_is_no_referral_is_a_refusal(answer, start_proxy, farm, referring):
    referring[0].answer = answer
    proxy = start_proxy(config(referring, farm.servers["mail1"].address()))
    assert log_in(proxy) == f"-ERR {answer}".encode()


def test_a_maildrop_in_use_behind_a_referral_is_told(start_proxy, referring):
    """The way there is not the route's: nobody waits, and the password is shown to nobody twice."""
    referring[0].answer = f"[REFERRAL/{USER}@{referring[1].address}] there"
    referring[1].answer = "[IN-USE] locked"
    settings = config(referring, "127.0.0.1:9")
    backends = settings["backend"]
    settings["pool"] = [{"name": "mail", "backends": [backends.pop(0)], "in_use": {"wait": "50s"}}]
    settings["route"] = [{"users": "*", "pool": "mail"}]
    proxy = start_proxy(settings)
    assert log_in(proxy) == b"-ERR [IN-USE] locked"
    assert [server.passwords() for server in referring] == [1, 1]
    refused = proxy.metrics().labels("postern_backend_logins_total", "backend")
    assert refused == {"first": 1, "second": 1}, refused
