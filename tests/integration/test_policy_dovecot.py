"""Dovecot as the judge of our policy requests: the same logins, and what we tell our policy service
must be what Dovecot behind us tells its own."""

import os

import pytest

from harness import Pop3Connection
from harness.dovecot import Dovecot
from harness.policy_service import PolicyService
from harness.waiting import wait_until

NONCE = "n\u00f6nce of 'the' cluster"
USERS = {
    "plain@policy.test": "simple",
    "Mixed.Case@policy.test": "correct horse; battery=staple",
    "plus+tag=x@policy.test": 'p"a\\ss w\u00f6rd\u20ac',
    "\u00fcmlaut@policy.test": "simple",
}


@pytest.mark.parametrize("bits", [12, 31, 0])
def test_both_say_the_same(start_proxy, tmp, leaf, bits):
    extra = f"auth_policy_hash_nonce = \"{NONCE}\"\nauth_policy_hash_truncate = {bits}\n"
    # Any byte may be part of a name here; the default of 2.3 knows ASCII only.
    extra += "auth_username_chars =\nauth_username_format = %{user}\n"
    nonce = os.path.join(tmp, "nonce")
    with open(os.open(nonce, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as file:
        file.write(NONCE + "\n")
    with PolicyService() as ours, PolicyService() as theirs:
        extra += f"auth_policy_server_url = {theirs.url()}\n"
        dovecot = Dovecot("judge", os.path.join(tmp, "judge"), leaf, USERS, extra)
        try:
            proxy = start_proxy({
                "users": {"lowercase_domain": False},
                "backend": [{"name": "store", "address": dovecot.address()}],
                "route": [{"users": "*", "backend": "store"}],
                "guard": {"policy": {"urls": [ours.url()], "hash_nonce_file": nonce, "hash_truncate": bits}},
            })  # fmt: skip
            for user, password in USERS.items():
                for shown in (password, password + "x"):
                    compare(proxy, ours, theirs, user, shown, shown == password)
        finally:
            dovecot.stop()


def compare(proxy, ours, theirs, user, password, good):
    before = [len(service.requests) for service in (ours, theirs)]
    with Pop3Connection(proxy.ports["plain"]) as client:
        assert client.login(user, password).startswith(b"+OK" if good else b"-ERR")

    def seen(service, count, command):
        return [r.json for r in service.requests[count:] if r.command == command]

    for command in ("allow", "report"):
        wait_until(lambda: seen(ours, before[0], command) and seen(theirs, before[1], command), 60)
        us, them = seen(ours, before[0], command)[0], seen(theirs, before[1], command)[0]
        for key in ("device_id", "login", "protocol", "pwhash"):
            assert us[key] == them[key], (command, key, user, password)
        assert us["login"] == user
        for key in ("success", "policy_reject"):
            assert us.get(key) == them.get(key), (command, key)
        # Dovecot's own names, and no others but what later versions have, too.
        assert set(us) - {"tls", "session_id"} <= set(them), (us, them)
        assert isinstance(us["tls"], bool) and ("tls" not in them or isinstance(them["tls"], bool))
