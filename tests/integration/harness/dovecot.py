"""A real Dovecot POP3 server with a configuration and mail of its own.

Runs as root (in a container, without systemd) and as an ordinary user. Knows the configuration
languages of 2.3 (Debian 12) and 2.4 (Debian 13).
"""

import getpass
import grp
import os
import pwd
import re
import shutil
import subprocess

from .pop3 import Pop3Connection
from .ports import free_port
from .processes import Process
from .waiting import wait_until

MASTER_USER = "proxy"
MASTER_PASSWORD = "master-password"


def _program():
    return shutil.which("dovecot") or "/usr/sbin/dovecot"


def version():
    """(2, 3) or (2, 4)."""
    text = subprocess.run([_program(), "--version"], capture_output=True, text=True).stdout
    return tuple(int(part) for part in re.match(r"(\d+)\.(\d+)", text).groups())


def _identities():
    """(login user, internal user, internal group, mail user) that exist on this machine."""
    if os.getuid() != 0:
        me = getpass.getuser()
        return me, me, grp.getgrgid(os.getgid()).gr_name, pwd.getpwnam(me)
    return "dovenull", "dovecot", "dovecot", pwd.getpwnam("mail")


_SERVICES = """
service anvil {{
  chroot =
  # No delays for an address (the proxy's!) with refused logins.
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service pop3-login {{
  chroot = {login_chroot}
  # 0: one process for many connections, which spares a fork for each of them.
  service_count = 0
  process_min_avail = 1
  inet_listener pop3 {{
    port = {port}
  }}
  inet_listener pop3s {{
    port = {tls_port}
    ssl = yes
  }}
}}
service pop3 {{
  process_limit = 300
}}
"""

_COMMON = """
base_dir = {base}/run
state_dir = {base}/state
log_path = {base}/dovecot.log
protocols = pop3
listen = 127.0.0.1, ::1
default_login_user = {login_user}
default_internal_user = {internal_user}
default_internal_group = {internal_group}
first_valid_uid = {uid}
first_valid_gid = {gid}
auth_mechanisms = plain login
auth_failure_delay = 0
auth_verbose = yes
ssl = yes
"""

_VERSION_2_3 = """
ssl_cert = <{chain}
ssl_key = <{key}
ssl_dh =
disable_plaintext_auth = no
login_greeting = {name} is ready
mail_location = maildir:~/Maildir
mail_max_userip_connections = 0
auth_master_user_separator = *
passdb {{
  driver = passwd-file
  args = {base}/masters
  master = yes
  result_success = continue
}}
passdb {{
  driver = passwd-file
  args = {base}/users
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={base}/home/%u
}}
"""

_VERSION_2_4 = """
ssl_server_cert_file = {chain}
ssl_server_key_file = {key}
auth_allow_cleartext = yes
login_greeting = {name} is ready
mail_driver = maildir
mail_path = ~/Maildir
mail_max_userip_connections = 0
auth_master_user_separator = *
passdb masters {{
  driver = passwd-file
  passwd_file_path = {base}/masters
  master = yes
  result_success = continue
}}
passdb users {{
  driver = passwd-file
  passwd_file_path = {base}/users
}}
userdb static {{
  fields {{
    uid = {uid}
    gid = {gid}
    home = {base}/home/%{{user}}
  }}
}}
"""


class Dovecot:
    """Started by the constructor. `users`: {name: password}. `extra`: more configuration."""

    def __init__(self, name, directory, certificate, users, extra=""):
        self.name = name
        self.base = str(directory)
        self.port = free_port()  # clear text and STLS
        self.tls_port = free_port()  # implicit TLS
        self.process = None
        self._users = dict(users)
        self.certificate = certificate
        login_user, internal_user, internal_group, self._mail_user = _identities()
        for part in ("", "run", "state", "home"):
            os.makedirs(os.path.join(self.base, part), exist_ok=True)
            os.chmod(os.path.join(self.base, part), 0o755)
        self._write_passwords("masters", {MASTER_USER: MASTER_PASSWORD})
        self._write_passwords("users", self._users)
        for user in self._users:
            self.deliver(user, [])
        values = {
            "name": name,
            "base": self.base,
            "port": self.port,
            "tls_port": self.tls_port,
            "login_user": login_user,
            "internal_user": internal_user,
            "internal_group": internal_group,
            "login_chroot": "login" if os.getuid() == 0 else "",
            "uid": self._mail_user.pw_uid,
            "gid": self._mail_user.pw_gid,
            "chain": certificate.chain,
            "key": certificate.key,
        }
        self._config = os.path.join(self.base, "dovecot.conf")
        with open(self._config, "w") as file:
            if version() >= (2, 4):
                file.write("dovecot_config_version = 2.4.0\ndovecot_storage_version = 2.4.0\n")
                file.write((_COMMON + _VERSION_2_4 + _SERVICES).format(**values) + extra)
            else:
                file.write((_COMMON + _VERSION_2_3 + _SERVICES).format(**values) + extra)
        self.start()

    def _write_passwords(self, name, passwords):
        path = os.path.join(self.base, name)
        with open(path, "w") as file:
            for user, password in passwords.items():
                file.write(f"{user}:{{PLAIN}}{password}::::::\n")
        os.chmod(path, 0o644)

    def start(self):
        self.process = Process(
            [_program(), "-F", "-c", self._config], os.path.join(self.base, "stderr.log")
        )
        wait_until(self._greets, 60, lambda: f"{self.name}'s greeting:\n{self.log()}")

    def _greets(self):
        assert self.process.alive(), f"Dovecot ended at its start:\n{self.log()}"
        try:
            with Pop3Connection(self.port) as client:
                return client.quit().startswith(b"+OK")
        except OSError:
            return False

    def log(self):
        text = self.process.log() if self.process else ""
        try:
            with open(os.path.join(self.base, "dovecot.log")) as file:
                text += file.read()
        except FileNotFoundError:
            pass
        return text

    def wait_for_log(self, words, count=1):
        """Returns the log once it has the words so often: a process of its own writes it, later."""
        wait_until(lambda: self.log().count(words) >= count, what=lambda: f"{words!r} in\n{self.log()}")
        return self.log()

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process = None
            wait_until(lambda: not self._answers(), 60, f"{self.name} to be gone")

    def _answers(self):
        try:
            with Pop3Connection(self.port, greeting=False, timeout=2):
                return True
        except OSError:
            return False

    def address(self, tls=False, host="127.0.0.1"):
        return f"{host}:{self.tls_port if tls else self.port}"

    # -- mail

    def _maildir(self, user):
        return os.path.join(self.base, "home", user, "Maildir")

    def deliver(self, user, messages):
        """Puts messages (bytes) behind those the user has; the order is kept."""
        home = os.path.join(self.base, "home", user)
        for part in ("cur", "new", "tmp"):
            os.makedirs(os.path.join(self._maildir(user), part), exist_ok=True)
        count = len(self.mail(user))
        for i, message in enumerate(messages):
            path = os.path.join(self._maildir(user), "new", f"{1_700_000_000 + count + i}.M.{self.name}")
            with open(path, "wb") as file:
                file.write(message)
        if os.getuid() == 0:
            for directory, _, files in os.walk(home):
                for path in [directory, *(os.path.join(directory, file) for file in files)]:
                    os.chown(path, self._mail_user.pw_uid, self._mail_user.pw_gid)

    def empty(self, user):
        """No mail, and nothing remembered about any."""
        shutil.rmtree(self._maildir(user), ignore_errors=True)
        self.deliver(user, [])

    def mail(self, user):
        """The messages the user has now, in order, as bytes in the files."""
        found = []
        for part in ("cur", "new"):
            directory = os.path.join(self._maildir(user), part)
            for name in os.listdir(directory):
                with open(os.path.join(directory, name), "rb") as file:
                    found.append((name, file.read()))
        return [message for _, message in sorted(found)]
