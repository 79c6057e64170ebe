"""check, route, version, and a serve that cannot start: exit codes and words."""

import os

import pytest

from harness import Proxy, free_port
from harness.farm import BY_DOMAIN, BY_HASH, MAPPED
from harness.proxy import run_postern


@pytest.fixture
def written(tmp, leaf):
    """written(config): the path of a configuration file that nobody runs."""

    def write(config, certificate=leaf):
        directory = os.path.join(tmp, f"config{len(os.listdir(tmp))}")
        return Proxy(config, directory, certificate=certificate, start=False).config_path

    return write


def private(path, text, mode=0o600):
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, mode)
    return path


def test_version():
    done = run_postern("version")
    assert done.returncode == 0 and done.stdout.startswith("postern ")
    assert "OpenSSL 3" in done.stdout


def test_a_verb_nobody_knows():
    done = run_postern("sevre")
    assert done.returncode == 2 and "subcommand" in done.stderr and "--help" in done.stderr


def test_check_of_a_good_file(written, farm, leaf):
    done = run_postern("check", "--config", written(farm.config()))
    assert done.returncode == 0 and done.stderr == ""
    assert ": good" in done.stdout and "3 listeners, 1 pools, 2 backends, 4 routes" in done.stdout
    assert leaf.chain in done.stdout


def expect_mistake(path, *words, verb="check"):
    done = run_postern(verb, "--config", path)
    assert done.returncode == 1, done.stdout + done.stderr
    for word in words:
        assert word in done.stderr, done.stderr
    assert ": good" not in done.stdout
    return done.stderr


def test_check_names_every_mistake_with_line_and_column(tmp):
    path = private(
        os.path.join(tmp, "bad.toml"),
        'workers = "many"\n[[listener]]\naddress = "127.0.0.1:99999"\ntls = "implict"\n'
        '[[pool]]\nname = "mail"\nbackends = []\n[[route]]\nusers = "*"\npool = "mial"\n',
    )
    text = expect_mistake(path, f"{path}:1:11", f"{path}:3:", f"{path}:4:", "implicit", "mial")
    assert len(text.splitlines()) >= 5


def test_check_reads_the_certificates(written, farm, certificates, leaf, tmp):
    from harness import Certificate

    other = certificates.leaf()
    text = expect_mistake(
        written(farm.config(), Certificate(leaf.chain, other.key, leaf.ca)), leaf.chain, other.key
    )
    assert "is not the key of" in text
    none = os.path.join(tmp, "none.pem")
    expect_mistake(written(farm.config(), Certificate(none, leaf.key, leaf.ca)), none, "No such file")
    expect_mistake(written(farm.config(), Certificate(leaf.chain, none, leaf.ca)), none, "No such file")
    rubbish = private(os.path.join(tmp, "rubbish.pem"), "-----BEGIN CERTIFICATE-----\nx\n")
    expect_mistake(written(farm.config(), Certificate(rubbish, leaf.key, leaf.ca)), rubbish)
    expect_mistake(written(farm.config(), Certificate(leaf.chain, rubbish, leaf.ca)), rubbish)
    empty = private(os.path.join(tmp, "empty.pem"), "")
    expect_mistake(written(farm.config(), Certificate(empty, leaf.key, leaf.ca)), empty)


def test_check_speaks_of_an_expired_certificate(written, farm, certificates):
    old = certificates.leaf(days=-1)
    done = run_postern("check", "--config", written(farm.config(), old))
    assert old.chain in done.stdout + done.stderr
    assert "expired" in done.stdout + done.stderr


def test_check_reads_all_other_files(written, farm, tmp):
    missing = os.path.join(tmp, "missing")
    config = farm.config()
    config["route"][0]["map"] = missing
    expect_mistake(written(config), missing)
    bad_map = private(os.path.join(tmp, "bad.map"), "a@x.test\tmail1\nb@x.test\tmial1\nnonsense\n")
    config["route"][0]["map"] = bad_map
    expect_mistake(written(config), f"{bad_map}:2", "mial1")

    open_to_all = private(os.path.join(tmp, "secrets"), "a:b\n", 0o644)
    config = {**farm.config(), "auth": {"apop": True, "secrets": open_to_all}}
    expect_mistake(written(config), open_to_all, "others")

    config = farm.config(tls="implicit", ca=missing)
    expect_mistake(written(config), missing)

    config = farm.config()
    config["auth"] = {"secrets": farm.secrets_path}
    for backend in config["pool"][0]["backends"]:
        backend.update(login="master", master_user="m", master_password_file=missing)
    expect_mistake(written(config), missing)

    # Whatever `serve` would refuse, `check` does.
    told_to_all = private(os.path.join(tmp, "token"), "word\n", 0o644)
    config = farm.config()
    config["admin"] = {"address": f"127.0.0.1:{free_port()}", "token_file": told_to_all}
    expect_mistake(written(config), told_to_all, "others")
    expect_mistake(written(config), told_to_all, "others", verb="serve")


def place_of(path, word):
    """Where the configuration says `word`, as mistakes are told."""
    with open(path) as file:
        for number, line in enumerate(file, 1):
            if (column := line.find(f'"{word}"')) >= 0:
                return f"{path}:{number}:{column + 1}: {word}: "
    raise AssertionError(word)


def test_check_names_all_files_that_are_wrong_in_one_run(written, farm, leaf, tmp):
    gone = {name: os.path.join(tmp, f"no-{name}") for name in ("map", "one", "two", "log", "token", "secrets")}
    config = farm.config()
    config["route"][0]["map"] = gone["map"]
    config["tls"] = {
        "certificates": [{"chain": gone["one"], "key": leaf.key}, {"chain": leaf.chain, "key": gone["two"]}]
    }
    config["auth"] = {"apop": True, "secrets": gone["secrets"]}
    config["log"] = {"sessions": os.path.join(gone["log"], "sessions.log")}
    config["admin"] = {"address": f"127.0.0.1:{free_port()}", "token_file": gone["token"]}
    path = written(config)
    text = expect_mistake(path)
    words = [*(gone[name] for name in ("map", "secrets", "one", "two", "token")), config["log"]["sessions"]]
    lines = text.splitlines()
    assert len(lines) == len(words), text
    for line, word in zip(lines, words):
        assert line.startswith(place_of(path, word)), text
        # What is wrong, and how to mend it.
        assert "No such file or directory; " in line, text


@pytest.mark.parametrize("verb", ["check", "serve"])
def test_a_session_log_that_cannot_be_written(verb, written, farm, tmp):
    log = os.path.join(tmp, "nowhere", "q.log")
    path = written({**farm.config(), "log": {"sessions": log}})
    text = expect_mistake(path, place_of(path, log), verb=verb)
    assert "cannot be opened for writing: No such file or directory; create its directory" in text


def test_check_does_not_create_the_session_log(written, farm, tmp):
    log = os.path.join(tmp, "q.log")
    assert run_postern("check", "--config", written({**farm.config(), "log": {"sessions": log}})).returncode == 0
    assert not os.path.exists(log)


@pytest.mark.parametrize("verb", ["check", "serve"])
def test_passwords_of_lookups_are_read_beforehand(verb, written, farm, tmp):
    told_to_all = private(os.path.join(tmp, "password"), "word\n", 0o644)
    config = farm.config()
    lookup = {"name": "users", "type": "redis", "servers": ["127.0.0.1:9"], "key": "{user}", "user": "postern"}
    config["lookup"] = [{**lookup, "password_file": told_to_all}]
    expect_mistake(written(config), told_to_all, "others", verb=verb)


def test_a_file_that_is_not_there(tmp):
    for verb in ("check", "serve"):
        expect_mistake(os.path.join(tmp, "nowhere.toml"), "nowhere.toml", "No such file", verb=verb)


def test_serve_does_not_start_with_mistakes(written, farm, leaf):
    config = farm.config()
    config["pool"][0]["balance"] = "dice"
    expect_mistake(written(config), "dice", "user-hash", verb="serve")


def test_serve_says_who_has_the_port(start_proxy, farm, written):
    import socket

    with socket.create_server(("127.0.0.1", free_port())) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        config = {**farm.config(), "listener": [{"name": "a", "tls": "implicit", "address": address}]}
        expect_mistake(written(config), address, "another program listens there", verb="serve")
        config = {**farm.config(), "admin": {"address": address}}
        expect_mistake(written(config), address, verb="serve")


def test_route_explains_each_step(written, farm):
    path = written(farm.config())

    def route(user):
        return run_postern("route", "--config", path, user)

    for user, server in {**MAPPED, **BY_DOMAIN}.items():
        done = route(user)
        assert done.returncode == 0 and done.stderr == ""
        assert f"login      at {farm.servers[server].address()}" in done.stdout, done.stdout
    # The domain's case means nothing, and two runs agree.
    for user in BY_HASH:
        shouted = user.replace("pool.test", "POOL.TEST")
        assert route(user).stdout.splitlines()[-1] == route(shouted).stdout.splitlines()[-1]
    unknown = route("stranger@nowhere.test")
    assert unknown.returncode == 1 and "stranger@nowhere.test" in unknown.stdout
