"""Every client in every mode: routed to the right server, contents byte for byte, deletes."""

import os

import pytest

from harness.clients import CLIENTS, ClientError, Curl, Fetchmail, Getmail, Mpop, Poplib
from harness.farm import MAPPED, BY_DOMAIN, PASSWORD, messages

LISTENERS = {"off": "plain", "stls": "pop3", "implicit": "pop3s"}
CASES = [
    pytest.param(client, tls, auth, id=f"{client.name}-{tls}-{auth}")
    for client in CLIENTS
    for tls, auth in client.can
]


@pytest.fixture
def auth():
    """How the client is to log in; tests with cases override it."""
    return "user"


@pytest.fixture
def proxy(start_proxy, farm, auth):
    # curl takes USER and PASS only when there is nothing better.
    settings = {"mechanisms": []}
    if auth != "user":
        settings = {"apop": True, "secrets": farm.secrets_path}
    return start_proxy({**farm.config(), "auth": settings})


@pytest.fixture
def connect(proxy, leaf, tmp):
    """connect(client class, tls, auth, user, password): a client before the proxy."""

    def make(client, tls, auth, user, password=PASSWORD):
        if not client.installed():
            pytest.skip(f"{client.name} is not installed")
        port = proxy.ports[LISTENERS[tls]]
        directory = os.path.join(tmp, f"{client.name}-{user}")
        return client(directory, port, tls, auth, user, password, leaf.ca)

    return make


def as_kept(client, message):
    return message if client.keeps_crlf else message.replace(b"\r\n", b"\n")


def assert_same(got, wanted, names):
    assert len(got) == len(wanted)
    for name, one, other in zip(names, got, wanted):
        if one != other:
            at = next((i for i, (a, b) in enumerate(zip(one, other)) if a != b), min(len(one), len(other)))
            raise AssertionError(
                f"message {name!r}: {len(one)} bytes instead of {len(other)}; at {at}: "
                f"{one[at - 20 : at + 40]!r} instead of {other[at - 20 : at + 40]!r}"
            )


@pytest.mark.parametrize("client, tls, auth", CASES)
def test_fetches_byte_for_byte_then_deletes(client, tls, auth, connect, farm, proxy):
    user = "mapped2@map.test"
    wanted = messages(client.line_max)
    farm.servers["mail2"].deliver(user, wanted.values())
    farm.servers["mail1"].deliver(user, [b"Subject: wrong server\r\n\r\n"])

    got = connect(client, tls, auth, user).fetch()
    assert_same(got, [as_kept(client, message) for message in wanted.values()], wanted)
    assert len(farm.servers["mail2"].mail(user)) == len(wanted)

    assert len(connect(client, tls, auth, user).fetch(delete=True)) == len(wanted)
    assert farm.servers["mail2"].mail(user) == []
    assert len(farm.servers["mail1"].mail(user)) == 1

    metrics = proxy.wait_for_metric_to_fall(0, "postern_listener_sessions")
    logins = metrics.labels("postern_backend_logins_total", "backend")
    assert set(logins) == {"mail2"}
    assert metrics.get("postern_backend_messages_retrieved_total") >= 2 * len(wanted) - 1
    assert metrics.labels("postern_backend_sessions_closed_total", "reason").keys() == {"quit"}


@pytest.mark.parametrize("client", [Curl, Fetchmail, Mpop, Getmail, Poplib], ids=lambda c: c.name)
def test_each_user_meets_the_own_server(client, connect, farm):
    for user, server in {**MAPPED, **BY_DOMAIN}.items():
        for name in farm.servers:
            farm.servers[name].deliver(user, [f"Subject: {user} on {name}\r\n\r\nx\r\n".encode()])
        (got,) = connect(client, "implicit", "user", user).fetch()
        assert got.startswith(f"Subject: {user} on {server}".encode())


@pytest.mark.parametrize("client, tls, auth", CASES)
def test_a_wrong_password_is_told(client, tls, auth, connect, farm, proxy):
    user = "mapped1@map.test"
    farm.servers["mail1"].deliver(user, [b"Subject: secret\r\n\r\n"])
    with pytest.raises(ClientError) as failure:
        connect(client, tls, auth, user, "wrong password").fetch()
    print(failure.value)
    metrics = proxy.wait_for_metric(1, "postern_listener_logins_total", result="refused")
    assert metrics.get("postern_listener_logins_total", result="accepted") == 0
