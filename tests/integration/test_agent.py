"""A program beside the backend says how it is, and logins act on it."""

import contextlib
import json
import socket
import threading

import pytest

from harness import Pop3Connection
from harness.farm import BY_HASH, PASSWORD
from harness.waiting import wait_until


class Agent:
    """Says `words` to whoever connects."""

    def __init__(self):
        self.words = b"up ready 100%\n"
        self.asked = 0
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.socket.getsockname()[1]}"
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):  # who asked may have given up
                connection.sendall(self.words)
            self.asked += 1

    def say(self, words):
        """Returns when the words have been heard: the second question from now on has been asked."""
        self.words = words
        asked = self.asked
        wait_until(lambda: self.asked >= asked + 2, 60, "the agent to be asked")

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join(5)


@pytest.fixture
def agent():
    made = Agent()
    yield made
    made.close()


def config(farm, agent):
    backends = [{"name": name, "address": server.address()} for name, server in farm.servers.items()]
    backends[0]["agent"] = {"address": agent.address, "interval": "100ms", "timeout": "30s"}
    return {
        "pool": [{"name": "mail", "failover": True, "backends": backends}],
        "route": [{"users": "*", "pool": "mail"}],
    }


def row_of(proxy, backend):
    rows = json.loads(proxy.http("/api/v1/status")[1])["backends"]
    return next(row for row in rows if row["name"] == backend)


def wait_for_words(proxy, words):
    wait_until(lambda: row_of(proxy, "mail1")["agent"] == words, 60, lambda: f"{words}\n{proxy.log()}")


def places(proxy):
    """How many of the users were logged in at mail1."""
    before = proxy.metrics().get("postern_backend_sessions_total", backend="mail1")
    for user in BY_HASH:
        with Pop3Connection(proxy.ports["plain"]) as client:
            assert client.login(user, PASSWORD).startswith(b"+OK")
            client.quit()
    # A user with a live session stays where it is.
    proxy.wait_for_metric_to_fall(0, "postern_backend_sessions")
    return int(proxy.metrics().get("postern_backend_sessions_total", backend="mail1") - before)


def test_its_words_count(start_proxy, farm, agent):
    proxy = start_proxy(config(farm, agent))
    wait_for_words(proxy, "100%, ready, up")
    usual = places(proxy)
    assert 0 < usual < len(BY_HASH)
    for words, told in ((b"drain\n", "100%, drain, up"), (b"maint", "100%, maint, up")):
        agent.say(words)
        wait_for_words(proxy, told)
        assert places(proxy) == 0, words
    agent.say(b"ready down # disk full\r\n")
    wait_for_words(proxy, "100%, ready, down: disk full")
    assert places(proxy) == 0
    assert proxy.metrics().get("postern_pool_usable_backends", pool="mail") == 1
    agent.say(b"up\n")
    wait_for_words(proxy, "100%, ready, up")
    assert places(proxy) == usual
    agent.say(b"25%\n")
    wait_for_words(proxy, "25%, ready, up")
    assert proxy.metrics().get("postern_backend_weight", backend="mail1") == 25
    assert places(proxy) <= usual
    assert "backend mail1: its agent says 100%, ready, down: disk full" in proxy.log()
    # A reload forgets nothing; a configuration without the agent does.
    proxy.reload()
    wait_for_words(proxy, "25%, ready, up")
    settings = config(farm, agent)
    del settings["pool"][0]["backends"][0]["agent"]
    proxy.write_config({**proxy.config, "pool": settings["pool"]})
    proxy.reload()
    wait_for_words(proxy, "")
    assert proxy.metrics().get("postern_backend_weight", backend="mail1") == 100


def test_a_silent_agent_changes_nothing(start_proxy, farm, agent):
    agent.words = b"drain 50%\n"  # from the first question on: it has never said up or down
    proxy = start_proxy(config(farm, agent))
    wait_for_words(proxy, "50%, drain")
    agent.say(b"what?\n")
    wait_until(lambda: 'gives no answer: it said "what?", which says nothing' in proxy.log(), 60, proxy.log)
    assert row_of(proxy, "mail1")["agent"] == "50%, drain"
    agent.say(b"ready\n")
    wait_until(lambda: "its agent speaks again" in proxy.log(), 60, proxy.log)
    wait_for_words(proxy, "50%, ready")
    assert proxy.log().count("gives no answer") == 1
