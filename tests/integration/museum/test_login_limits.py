"""Time and number limits before the login, and what an attacker can learn from them."""

import resource
import time

import pytest
from faulty_upstream.pop3_backend import Backend
from harness import wait_until
from harness.proxy import is_sanitized

LAST_WORDS = b"-ERR [SYS/TEMP] Login took too long\r\n"


@pytest.mark.parametrize("listener", ["plain", "pop3s"])
def test_the_login_has_a_total_deadline(build_house, listener):
    """R02, M57, M58, F04: idle, dripping and busy clients all end at the same time."""
    house = build_house({"timeouts": {"login": "4s", "handshake": "60s"}})

    def drip(client):
        client.send(b"X")

    def chatter(client):
        client.send(b"NOOP\r\n")

    for i, act in enumerate((None, drip, chatter)):
        started = time.monotonic()
        with house.connect(listener) as client:
            assert client.line().startswith(b"+OK")
            if act is not None:
                client.sock.settimeout(0.05)
                while time.monotonic() - started < 60 and not client.end:
                    try:
                        act(client)
                        client._fill()
                    except TimeoutError:
                        continue
                    except OSError:
                        break
                client.sock.settimeout(60)
            assert client.rest().endswith(LAST_WORDS)
        # A client that could put its end off would have gone on for a minute.
        assert 3.9 < time.monotonic() - started < 40
        house.wait_for_closed("login_timeout", i + 1)


def test_attempts_do_not_extend_the_deadline(build_house):
    """R02: refused logins and a silent backend count against the same total."""
    stalls = Backend(faults={"pass": lambda c: c.wait_for_end()})
    house = build_house({"timeouts": {"login": "10s", "refused_delay": "4500ms"}}, backend=Backend())
    slow = build_house({"timeouts": {"login": "1s"}}, backend=stalls)
    started = time.monotonic()
    with house.connect() as client:
        client.send(b"USER a@example.org\r\nPASS wrong\r\n" * 2 + b"USER a@example.org\r\n")
        assert client.rest().endswith(LAST_WORDS)
    # With 10 s from the second refusal on it would be 19 s.
    assert 9.9 < time.monotonic() - started < 18
    started = time.monotonic()
    with slow.connect() as client:
        client.send(b"USER a@example.org\r\nPASS x\r\n")
        assert client.rest().endswith(LAST_WORDS)
    # The backend alone may take 30 s.
    assert 0.9 < time.monotonic() - started < 25
    stalls.faults.clear()


def test_unknown_users_and_wrong_passwords_look_the_same(build_house):
    """A21: the same words after the same time."""
    house = build_house({"timeouts": {"refused_delay": "60ms"}})

    def measure(user):
        with house.connect() as client:
            client.line()
            assert client.command(f"USER {user}") == b"+OK\r\n"
            started = time.monotonic()
            answer = client.command("PASS wrong")
            return time.monotonic() - started, answer

    # The machine may be busy: the fastest count, and the same in one of ten rounds is the same.
    for last in (*(False,) * 9, True):
        known, unknown = [], []
        for _ in range(15):
            known.append(measure("known@example.org"))
            unknown.append(measure("nobody@nowhere.test"))
        assert {answer for _, answer in known + unknown} == {
            b"-ERR [AUTH] Authentication failed.\r\n"
        }
        fastest = [min(took for took, _ in side) for side in (known, unknown)]
        if abs(fastest[0] - fastest[1]) < 0.003:
            break
        assert not last, fastest
    assert min(took for took, _ in known + unknown) >= 0.059


def test_the_limit_of_sessions_is_said_and_leaves_the_others_alone(build_house):
    """R01, R04: beyond the limit a clear client hears [SYS/TEMP] at once, a thousand times; the rest
    goes on."""
    house = build_house({"limits": {"sessions": 4}, "workers": 1})
    inside = [house.log_in() for _ in range(4)]
    files = house.open_files()
    for _ in range(1000):
        with house.connect() as client:
            assert client.rest().startswith(b"-ERR [SYS/TEMP] ")
    for client in inside:
        assert client.command("STAT").startswith(b"+OK 2 ")
        client.close()
    house.wait_until_nobody_is_left()
    assert house.closed("admission") == 1000
    house.wait_for_open_files(files - 1)


def test_without_file_descriptors_nobody_spins(build_house):
    """F18: more clients than descriptors; those inside go on, those outside wait or are turned
    away, the processor rests, and all is well when some have gone."""
    if is_sanitized():
        pytest.skip("sanitizers need descriptors of their own")
    few = 96
    house = build_house({"workers": 1}, limits=[(resource.RLIMIT_NOFILE, (few, few))])
    inside = house.log_in()
    crowd = [house.connect() for _ in range(2 * few)]
    wait_until(lambda: house.open_files() >= few - 2, 60, lambda: f"{house.open_files()} files")
    before, started = house.cpu_seconds(), time.monotonic()
    while time.monotonic() - started < 1:
        assert inside.command("STAT").startswith(b"+OK 2 ")
        time.sleep(0.1)
    assert house.cpu_seconds() - before < 0.3
    for client in crowd:
        client.close()
    assert inside.command("QUIT") == b"+OK bye\r\n"
    inside.close()
    wait_until(lambda: house.open_files() < few // 2, 60, lambda: f"{house.open_files()} files")
    house.check_alive()
    assert house.count("postern_accept_errors_total") > 0
