"""Authentication services that say Auth-Wait: how long a client is to wait for its refusal, and when a
question that is not decided yet (Auth-Status: WAIT) is to be asked again."""

import re
import time

import pytest

from harness import Pop3Connection
from harness.auth_service import AuthService, reply
from harness.farm import PASSWORD
from harness.waiting import wait_until

USER = "mapped1@map.test"
LOOKUP = "postern_lookup_"


@pytest.fixture
def service():
    with AuthService(lambda request: reply(Auth_Server="mail1")) as running:
        yield running


def config(farm, urls, lookup=None, **more):
    table = {"name": "auth", "type": "auth_http", "urls": urls, "timeout": "5s", **(lookup or {})}
    return {"pool": farm.config()["pool"], "lookup": [table], "route": [{"lookup": "auth", "pool": "mail"}], **more}


def log_in(proxy, user=USER, password=PASSWORD):
    with Pop3Connection(proxy.ports["plain"]) as client:
        answer = client.login(user, password)
        if answer.startswith(b"+OK"):
            client.quit()
    return answer


def test_a_refusal_waits_as_the_service_wants(start_proxy, farm, service):
    proxy = start_proxy(config(farm, [service.url()]))
    service.answer = lambda request: reply("Slowly", Auth_Wait=1)
    with Pop3Connection(proxy.ports["plain"]) as client:
        began = time.monotonic()
        assert client.login(USER, "x") == b"-ERR Slowly"
        assert time.monotonic() - began >= 1


def test_wait_is_asked_again_and_not_for_ever(start_proxy, farm, service):
    answers = [reply("WAIT"), reply("WAIT", Auth_Wait=1), reply(Auth_Server="mail1")]
    service.answer = lambda request: answers[len(service.requests) - 1]
    proxy = start_proxy(config(farm, [service.url()]))
    assert log_in(proxy).startswith(b"+OK")
    assert len(service.requests) == 3
    service.answer = lambda request: reply("WAIT")
    before = len(service.requests)
    assert log_in(proxy, "someone@one.test").startswith(b"-ERR [SYS/TEMP]")
    assert len(service.requests) - before == 20


def test_wait_may_be_longer_than_a_question(start_proxy, farm, service):
    answers = [reply("WAIT", Auth_Wait=3), reply(Auth_Server="mail1")]
    service.answer = lambda request: answers[len(service.requests) - 1]
    proxy = start_proxy(config(farm, [service.url()], {"timeout": "2s"}))
    began = time.monotonic()
    assert log_in(proxy).startswith(b"+OK")
    assert time.monotonic() - began >= 3
    assert [request.get("Auth-Login-Attempt") for request in service.requests] == ["1", "1"]
    line = proxy.session_lines(1)[0]
    assert float(re.search(r" undecided_ms=([0-9.]+)", line).group(1)) >= 3000
    metrics = proxy.metrics()
    assert metrics.labels(LOOKUP + "questions_total", "result") == {"wait": 1, "found": 1}


def test_a_wait_that_ends_behind_the_login_is_not_begun(start_proxy, farm, service):
    proxy = start_proxy(config(farm, [service.url()], timeouts={"login": "15s"}))
    service.answer = lambda request: reply("WAIT", Auth_Wait=15)
    began = time.monotonic()
    assert log_in(proxy) == b"-ERR [SYS/TEMP] Please try again later"
    assert time.monotonic() - began < 10
    assert len(service.requests) == 1


def test_who_is_to_wait_is_in_nobodys_way(start_proxy, farm, service):
    """Three times as many as there are connections are told to wait for 40 s. Others log in meanwhile;
    who leaves is asked for no more; and two who asked the same hear it both."""
    service.answer = lambda request: (
        reply("WAIT", Auth_Wait=40) if request.get("Auth-User").startswith("wait") else reply(Auth_Server="mail1"))
    proxy = start_proxy(config(farm, [service.url()], {"timeout": "55s"}, timeouts={"login": "2m"}))
    clients = []
    for number in range(12):
        client = Pop3Connection(proxy.ports["plain"])
        client.send(f"USER wait{number // 2}@x.test\r\nPASS x\r\n".encode())
        clients.append(client)

    def told():
        return proxy.metrics().get(LOOKUP + "waiting") == 0 and (
            {request.get("Auth-User") for request in service.requests} == {f"wait{n}@x.test" for n in range(6)})

    wait_until(told, 20, lambda: f"{proxy.log()}\n{len(service.requests)} questions")
    assert log_in(proxy, "someone@one.test").startswith(b"+OK")
    asked = len(service.requests)
    for client in clients[:11]:
        client.close()
    proxy.wait_for_metric_to_fall(1, "postern_listener_sessions", listener="plain")
    assert len(service.requests) == asked
    # The last one is told why, at once.
    proxy.terminate()
    assert clients[11].line().startswith(b"+OK")  # to USER
    assert clients[11].line().startswith(b"-ERR [SYS/TEMP] The server is shutting down")
    proxy.wait()


def test_temporary_words_are_passed_on(start_proxy, farm, service):
    """They are no verdict, in whatever case, and never remembered. Without an Auth-Wait they are the last
    ones; with it the client may try again, as often as anybody."""
    proxy = start_proxy(config(farm, [service.url()]))
    for words in ("[SYS/TEMP] Your mail is being moved", "[sys/temp] again"):
        service.answer = lambda request: reply(words)
        before = len(service.requests)
        for _ in range(2):
            with Pop3Connection(proxy.ports["plain"]) as client:
                assert client.login(USER, PASSWORD) == b"-ERR " + words.encode()
                assert client.at_end()
        assert len(service.requests) - before == 2
    answers = [reply("[SYS/TEMP] Moving", Auth_Wait=1), reply("[sys/temp] Moving", Auth_Wait=1)]
    before = len(service.requests)
    service.answer = lambda request: (answers + [reply(Auth_Server="mail1")])[len(service.requests) - 1 - before]
    with Pop3Connection(proxy.ports["plain"]) as client:
        for code in (b"[SYS/TEMP]", b"[sys/temp]"):
            began = time.monotonic()
            assert client.login(USER, PASSWORD) == b"-ERR " + code + b" Moving"
            assert time.monotonic() - began >= 1
        assert client.login(USER, PASSWORD).startswith(b"+OK")
        client.quit()
    logins = proxy.metrics().labels("postern_listener_logins_total", "result")
    assert (logins["unavailable"], logins["accepted"]) == (6, 1) and not logins.get("refused")
    service.answer = lambda request: reply("[SYS/TEMP] Moving", Auth_Wait=1)
    with Pop3Connection(proxy.ports["plain"]) as client:
        for _ in range(3):
            assert client.login("someone@one.test", PASSWORD) == b"-ERR [SYS/TEMP] Moving"
        assert client.at_end()
