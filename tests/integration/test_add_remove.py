"""Backends come and go in the running server, with the real command line."""

import os
import re
import shutil
import threading

import pytest

from harness import Pop3Connection, free_port
from harness.farm import BY_HASH, PASSWORD
from harness.proxy import run_postern
from harness.waiting import wait_until


def config(farm, tmp, **pool):
    backends = [{"name": name, "address": server.address()} for name, server in farm.servers.items()]
    token = os.path.join(tmp, "token")
    with open(os.open(token, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        file.write("a token\n")
    return {
        "pool": [{"name": "mail", "backends": backends, **pool}],
        "route": [{"users": "*", "pool": "mail"}],
        "admin": {"address": f"127.0.0.1:{free_port()}", "token_file": token,
                  "state_file": os.path.join(tmp, "state")},
    }  # fmt: skip


@pytest.fixture
def proxy(start_proxy, farm, tmp):
    return start_proxy(config(farm, tmp))


def verb(proxy, *arguments, code=0):
    done = run_postern(arguments[0], "--config", proxy.config_path, *arguments[1:], timeout=120)
    assert done.returncode == code, (arguments, done.stdout, done.stderr)
    return done.stdout + done.stderr


def add(proxy, farm, *more):
    """A third name for the first server: who is there shows in the session log."""
    return verb(proxy, "add", "mail3", "--pool", "mail", "--address",
                farm.servers["mail1"].address(), "--weight", "300", *more)  # fmt: skip


def log_in(proxy, user):
    with Pop3Connection(proxy.ports["plain"]) as client:
        answer = client.login(user, PASSWORD)
        if answer.startswith(b"+OK"):
            client.quit()
    return answer


def homes(proxy):
    """{user: backend} of one login each; nobody else logs in meanwhile."""
    # While a session goes on, its user stays where it is.
    proxy.wait_for_metric_to_fall(0, "postern_listener_sessions", listener="plain")
    found = {}
    for user in BY_HASH:
        with Pop3Connection(proxy.ports["plain"]) as client:
            address = "127.0.0.1:%d" % client.socket.getsockname()[1]
            assert client.login(user, PASSWORD).startswith(b"+OK"), user
            client.quit()
        found[user] = wait_until(
            lambda: [
                match[1] for line in proxy.session_lines()
                if (match := re.search(rf" client={address} (?:.* )?user={user} (?:.* )?backend=(\w+) ", line))
            ],
            what=lambda: f"{user} from {address}:\n{proxy.session_lines()}",
        )[-1]  # fmt: skip
    proxy.wait_for_metric_to_fall(0, "postern_listener_sessions", listener="plain")
    return found


def why_of(proxy, backend):
    """The end of its line in the status; None when it is not there."""
    match = re.search(rf"^{backend} +mail +\w+ +(?:\d+ \w+|-) +\d+ *(.*)$", verb(proxy, "status"), re.M)
    return match and match[1]


class Load:
    """Logins of all users, again and again; `answers` are those that were no +OK."""

    def __init__(self, proxy):
        self.proxy = proxy
        self.count = 0
        self.answers = []
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(BY_HASH[i::2],)) for i in range(2)]

    def _run(self, users):
        while not self._stop.is_set():
            for user in users:
                try:
                    answer = log_in(self.proxy, user)
                except OSError as error:
                    answer = repr(error).encode()
                with self._lock:
                    self.count += 1
                    if not answer.startswith(b"+OK"):
                        self.answers.append((user, answer))

    def more(self, logins=16):
        target = self.count + logins
        wait_until(lambda: self.count >= target, 60, self.proxy.log)

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        self.more()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()


def test_nobody_notices(proxy, farm):
    before = homes(proxy)
    assert set(before.values()) == {"mail1", "mail2"}
    with Load(proxy) as load:
        assert add(proxy, farm, "--reason", "more\nroom") == "mail3: added\n"
        load.more()
    assert load.answers == []
    assert re.search(
        r"info: backend mail3: added to pool mail at \S+, by 127\.0\.0\.1:\d+: more\\x0aroom\n", proxy.log()
    ), proxy.log()
    assert re.fullmatch(r"added by 127\.0\.0\.1:\d+: more.*room", why_of(proxy, "mail3"))
    assert why_of(proxy, "mail1") == ""
    after = homes(proxy)
    moved = [user for user in BY_HASH if after[user] != before[user]]
    assert moved and {after[user] for user in moved} == {"mail3"}, (before, after)
    with Load(proxy) as load:
        told = verb(proxy, "remove", "mail3", "--wait", "--reason", "enough")
        assert told.endswith("mail3: removed\n"), told
        load.more()
    assert load.answers == []
    assert why_of(proxy, "mail3") is None
    assert re.search(r"info: backend mail3: removed, by 127\.0\.0\.1:\d+: enough\n", proxy.log())
    assert homes(proxy) == before


def test_who_lives_there_stays_until_the_end(proxy, farm):
    add(proxy, farm)
    user = next(user for user, home in homes(proxy).items() if home == "mail3")
    with Pop3Connection(proxy.ports["plain"]) as client:
        assert client.login(user, PASSWORD).startswith(b"+OK")
        proxy.wait_for_metric(1, "postern_backend_sessions", backend="mail3")
        told = verb(proxy, "remove", "mail3", code=1)
        assert told.startswith("backend mail3 has 1 session or login; "), told
        assert why_of(proxy, "mail3").startswith("added by ")
        done = []
        thread = threading.Thread(target=lambda: done.append(verb(proxy, "remove", "mail3", "--wait")))
        thread.start()
        wait_until(lambda: "weight 0" in why_of(proxy, "mail3"), 60, proxy.log)
        assert log_in(proxy, user).startswith(b"+OK")
        assert client.command("NOOP").startswith(b"+OK"), "the session goes on"
        assert why_of(proxy, "mail3") is not None and not done
        assert client.quit().startswith(b"+OK")
        thread.join()
    assert done and done[0].startswith("mail3: no new users\nmail3: "), done
    assert done[0].endswith("mail3: 0 sessions\nmail3: removed\n"), done
    assert why_of(proxy, "mail3") is None

    def lines():
        return [line for line in proxy.session_lines() if f" user={user} " in line and " backend=mail3 " in line]

    wait_until(lambda: len(lines()) >= 3, what=lambda: lines())
    assert len(lines()) == 3, lines()
    assert homes(proxy)[user] != "mail3"
    # Under its old name it begins anew.
    add(proxy, farm)
    assert homes(proxy)[user] == "mail3"
    # The file does not take an operator's word back, but it is told of.
    verb(proxy, "weight", "mail3", "0", "--reason", "warm")
    assert verb(proxy, "remove", "mail3", "--wait").endswith("mail3: removed\n")
    settings = dict(proxy.config)
    settings["pool"][0]["backends"].append({"name": "mail3", "address": farm.servers["mail1"].address()})
    proxy.write_config(settings)
    assert re.search(r"warning: backend mail3 is new in the file, and still has weight 0, by \S+: warm;", proxy.reload())


def test_sessions_end_over_a_time(proxy, farm):
    add(proxy, farm)
    user = next(user for user, home in homes(proxy).items() if home == "mail3")
    with Pop3Connection(proxy.ports["plain"]) as client:
        assert client.login(user, PASSWORD).startswith(b"+OK")
        proxy.wait_for_metric(1, "postern_backend_sessions", backend="mail3")
        told = verb(proxy, "remove", "mail3", "--over", "100ms")
        assert told.startswith("mail3: no new users\n") and told.endswith("mail3: removed\n"), told
    wait_until(lambda: any("backend=mail3" in line and "reason=drained" in line
                           for line in proxy.session_lines()), 60, proxy.log)  # fmt: skip


def test_reload_and_restart_keep_it(proxy, farm, tmp):
    add(proxy, farm, "--like", "mail2", "--reason", "room")
    assert verb(proxy, "remove", "mail2", "--wait").endswith("mail2: removed\n")
    there = homes(proxy)
    assert set(there.values()) == {"mail1", "mail3"}
    assert "is in use" in proxy.reload()
    assert homes(proxy) == there
    proxy.stop()
    proxy.start()
    assert homes(proxy) == there
    assert why_of(proxy, "mail3").endswith(": room") and why_of(proxy, "mail2") is None
    # It comes back as the file has it.
    assert verb(proxy, "add", "mail2") == "mail2: added\n"
    assert why_of(proxy, "mail2") == ""
    # What the file says by now needs no hand, also after a restart.
    settings = dict(proxy.config)
    settings["pool"][0]["backends"].append({"name": "mail3", "address": farm.servers["mail2"].address()})
    proxy.write_config(settings)
    assert "backend mail3: the file has it now" in proxy.reload()
    assert why_of(proxy, "mail3") == ""
    with open(os.path.join(tmp, "state")) as file:
        assert file.read() == "postern state 1\nend\t0\n"


def test_the_file_wins(proxy, farm):
    add(proxy, farm)
    verb(proxy, "remove", "mail1")  # nobody has been there
    settings = dict(proxy.config)
    settings["pool"][0]["name"] = "post"
    settings["route"] = [{"users": "x", "backend": "mail1"}, {"users": "*", "pool": "post"}]
    proxy.write_config(settings)
    told = proxy.reload()
    assert re.search(r"warning: backend mail3, added by hand by \S+, does not fit.*no pool \"mail\"", told), told
    assert re.search(r"warning: backend mail1, removed by hand by \S+, is needed by the file", told), told
    assert set(homes(proxy).values()) == {"mail1", "mail2"}
    # A broken file changes nothing, as ever.
    add_to_post = verb(proxy, "add", "mail4", "--pool", "post", "--address", "127.0.0.1:9", "--weight", "0")
    assert add_to_post == "mail4: added\n"
    proxy.write_config(dict(settings, wrokers=3))
    assert "stays in use" in proxy.reload()
    proxy.write_config(settings)
    assert "by 127.0.0.1:" in verb(proxy, "status")


def test_like_one_that_has_gone(proxy, farm):
    add(proxy, farm, "--like", "mail2")
    verb(proxy, "remove", "mail2", "--wait")
    settings = dict(proxy.config)
    backends = settings["pool"][0]["backends"]
    backends[:] = [backend for backend in backends if backend["name"] != "mail2"]
    proxy.write_config(settings)
    told = proxy.reload()
    assert "backend mail2: the file has it no longer" in told and "warning" not in told, told
    assert set(homes(proxy).values()) == {"mail1", "mail3"}


def test_a_start_keeps_what_it_can(proxy, farm, tmp, certificates):
    ca = os.path.join(tmp, "their-ca.pem")
    shutil.copy(certificates.authority(), ca)
    verb(proxy, "add", "mail4", "--pool", "mail", "--address", farm.servers["mail1"].address(),
         "--weight", "0", "--tls", "stls", "--ca", ca)  # fmt: skip
    add(proxy, farm)
    proxy.stop()
    os.unlink(ca)
    seen = len(proxy.log())
    proxy.start()
    told = proxy.log()[seen:]
    assert re.search(r"warning: backend mail4, added by hand by \S+, does not fit.* and is gone: .*their-ca.pem", told), told
    assert why_of(proxy, "mail4") is None and why_of(proxy, "mail3") is not None
    assert "mail3" in homes(proxy).values()
    # A file that is wrong by itself costs nobody.
    proxy.stop()
    good = dict(proxy.config)
    wrong = dict(good, route=[{"map": os.path.join(tmp, "no.map")}, *good["route"]])
    proxy.write_config(wrong)
    done = run_postern("serve", "--config", proxy.config_path)
    assert done.returncode == 1 and "no.map" in done.stderr, done.stderr
    assert "mail3" not in done.stderr, done.stderr
    proxy.write_config(good)
    proxy.start()
    assert why_of(proxy, "mail3") is not None


def test_a_map_that_needs_it(start_proxy, farm, tmp):
    settings = config(farm, tmp)
    settings["route"].insert(0, {"map": farm.map_path})
    proxy = start_proxy(settings)
    told = verb(proxy, "remove", "mail2", code=1)
    assert told.startswith("backend mail2 cannot be removed: ") and "users.map" in told, told
    assert why_of(proxy, "mail2") == ""
    assert log_in(proxy, "mapped2@map.test").startswith(b"+OK")


def test_mistakes_are_told(proxy, farm):
    generation = proxy.metrics().get("postern_config_generation")

    def refused(*arguments, code=1):
        return verb(proxy, *arguments, code=code)

    there = ("--pool", "mail", "--address", "127.0.0.1:9")
    assert refused("add", "mail1", *there) == "there is a backend mail1 already\n"
    assert refused("add", "mail3", "--pool", "post", *there[2:]) == "no pool post; there is mail\n"
    assert "needs a pool and an address" in refused("add", "mail3")
    told = refused("add", "mail3", "--pool", "mail", "--address", "nowhere:0")
    assert told.startswith('backend mail3 cannot be added: address: "nowhere:0" has port 0; write it'), told
    assert 'did you mean' in refused("add", "mail3", *there, "--tls", "stl")
    assert "has the name of the pool" in refused("add", "mail", *there)
    assert 'pool "mail" has no backend "mail9"' in refused("add", "mail3", *there, "--like", "mail9")
    refused("add", "mail3", *there, "--weight", "10001", code=2)
    told = refused("add", "mail3", *there, "--tls", "implicit", "--ca", "/nowhere.pem")
    assert told.startswith("backend mail3 cannot be added: ") and "/nowhere.pem" in told, told
    assert refused("remove", "mail9") == "no backend mail9\n"
    assert "must be a time" in refused("remove", "mail1", "--over", "soon", code=2)
    verb(proxy, "move", BY_HASH[0], "--to", "mail2")
    assert "1 user was moved" in refused("remove", "mail2")
    assert proxy.metrics().get("postern_config_generation") == generation
    assert verb(proxy, "remove", "mail1", "--reason", "old") == "mail1: removed\n"
    assert re.search(r"\nremoved by hand: mail1, by 127\.0\.0\.1:\d+: old\n", verb(proxy, "status"))
    verb(proxy, "move", BY_HASH[0], "--back")
    assert "is the last one of pool mail" in refused("remove", "mail2")
    assert log_in(proxy, BY_HASH[1]).startswith(b"+OK")


def test_no_token_no_change(start_proxy, farm, tmp):
    settings = config(farm, tmp)
    del settings["admin"]
    proxy = start_proxy(settings)
    assert "changes over TCP need a token" in verb(proxy, "remove", "mail1", code=1)
    assert why_of(proxy, "mail1") == ""
