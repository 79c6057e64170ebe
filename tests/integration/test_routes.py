"""Routes by constant databases and rules: logins, reloads, `postern check` and `postern route`."""

import os
import subprocess

from harness.farm import PASSWORD
from harness.pop3 import Pop3Connection
from harness.proxy import run_postern


def write_cdb(path, records):
    """A database at `path`, replaced as an administrator should: by its new name."""
    lines = "".join(f"+{len(key)},{len(value)}:{key}->{value}\n" for key, value in records.items())
    subprocess.run(["cdb", "-c", path + ".new"], input=lines + "\n", text=True, check=True)
    os.replace(path + ".new", path)


def backend_of(proxy, user, lines):
    """Logs in and tells which backend the session log names; `lines` have been there before."""
    with Pop3Connection(proxy.ports["plain"], "off") as client:
        answer = client.login(user, PASSWORD)
        if not answer.startswith(b"+OK"):
            return answer.decode()
        client.quit()
    line = proxy.session_lines(lines + 1)[lines]
    return line.partition("backend=")[2].split(" ")[0]


def routed(farm, *routes):
    return {**farm.config(), "route": list(routes)}


def test_a_database_routes_and_is_read_again(start_proxy, farm, tmp):
    path = os.path.join(tmp, "users.cdb")
    write_cdb(path, {"mapped1@map.test": "mail2", "*@one.test": "mail1"})
    proxy = start_proxy(routed(farm, {"cdb": path}))
    assert backend_of(proxy, "mapped1@map.test", 0) == "mail2"
    assert backend_of(proxy, "someone@one.test", 1) == "mail1"
    assert backend_of(proxy, "mapped2@map.test", 2).startswith("-ERR [AUTH]")

    # A broken one keeps the old one ...
    open_session = Pop3Connection(proxy.ports["plain"], "off")
    with open(path, "w") as file:
        file.write("no database\n" * 1000)
    text = proxy.reload()
    assert "running configuration stays in use" in text and path in text, text
    write_cdb(path, {"mapped1@map.test": "mail9"})
    text = proxy.reload()
    assert 'key "mapped1@map.test": "mail9" is neither a backend nor a pool' in text, text
    assert open_session.login("mapped1@map.test", PASSWORD).startswith(b"+OK")
    open_session.quit()
    # ... and a good one is used.
    write_cdb(path, {"mapped1@map.test": "mail1"})
    assert "new configuration is in use" in proxy.reload()
    assert backend_of(proxy, "mapped1@map.test", 4) == "mail1"


def test_rules_route_and_name_their_mistakes(start_proxy, farm, tmp):
    path = os.path.join(tmp, "users.rules")
    with open(path, "w") as file:
        file.write("# by number\nmapped([0-9])@map\\.test\tmail\\1\nsome(.*)@one\\.test\tmail-\\1\n")
    single = {"regex": r"some(one)@t?one\.test", "target": "mail"}
    proxy = start_proxy(routed(farm, {"rules": path}, single))
    assert backend_of(proxy, "mapped1@map.test", 0) == "mail1"
    assert backend_of(proxy, "mapped2@map.test", 1) == "mail2"
    # The name that the first route forms does not exist: the next one is asked.
    assert backend_of(proxy, "someone@one.test", 2) in ("mail1", "mail2")
    assert backend_of(proxy, "someone@two.test", 3).startswith("-ERR [AUTH]")
    log = proxy.log()
    assert log.count(f'{path}:3: forms the name "mail-one" that no backend and no pool has') == 1

    told = run_postern("route", "--config", proxy.config_path, "mapped2@MAP.test")
    assert f"rules {path} (2 rules)" in told.stdout, told.stdout
    assert 'the rule of line 2 matches -> backend "mail2"' in told.stdout
    told = run_postern("route", "--config", proxy.config_path, "someone@one.test")
    assert 'that of line 3 matches, but no backend and no pool is named "mail-one"' in told.stdout
    assert '-> pool "mail"' in told.stdout
    assert run_postern("check", "--config", proxy.config_path).returncode == 0

    with open(path, "a") as file:
        file.write("(\tmail1\n.*\tnobody\n")
    told = run_postern("check", "--config", proxy.config_path)
    assert told.returncode == 1
    assert f"{path}:4: the expression is no regular expression: missing )" in told.stderr
    assert f'{path}:5: "nobody" is neither a backend nor a pool' in told.stderr
    text = proxy.reload()
    assert "running configuration stays in use" in text and f"{path}:4:" in text, text
    assert backend_of(proxy, "mapped2@map.test", 4) == "mail2"
