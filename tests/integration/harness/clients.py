"""Real mail clients behind one interface.

Each client logs in as a user, fetches all messages in order and, when asked to, deletes them. A
client that keeps CRLF says so; the others hand over their messages with LF, as they write them to
disk.
"""

import os
import poplib
import shutil
import ssl
import subprocess

HOST = "localhost"
TIMEOUT = 120


class ClientError(Exception):
    """The client says that it failed; its words are the text."""


def _run(arguments, **more):
    done = subprocess.run(
        [str(argument) for argument in arguments], capture_output=True, timeout=TIMEOUT, **more
    )
    if done.returncode != 0:
        raise ClientError(f"exit code {done.returncode}: {done.stderr.decode(errors='replace')}")
    return done.stdout


def _read_maildir(path):
    found = []
    for part in ("cur", "new"):
        for name in os.listdir(os.path.join(path, part)):
            with open(os.path.join(path, part, name), "rb") as file:
                found.append((_arrival(name), file.read()))
    return [message for _, message in sorted(found, key=lambda pair: pair[0])]


def _arrival(name):
    # "seconds.M<microseconds>P<pid>Q<count>..." or "seconds.<pid>_<count>...": by all numbers.
    import re

    return [int(number) for number in re.findall(r"\d+", name)]


def _private_file(path, text):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    return path


class Client:
    """`tls`: off, stls or implicit. `auth`: user, plain, login, apop or digest-md5."""

    name = ""
    keeps_crlf = False
    line_max = 1 << 20  # octets; longer lines break in the client
    can = ()  # pairs (tls, auth)

    def __init__(self, directory, port, tls, auth, user, password, ca):
        self.directory = str(directory)
        self.port = port
        self.tls = tls
        self.auth = auth
        self.user = user
        self.password = password
        self.ca = ca
        os.makedirs(self.directory, exist_ok=True)

    def fetch(self, delete=False):
        """All messages in order; raises ClientError when the client does not report success."""
        raise NotImplementedError

    @classmethod
    def installed(cls):
        return shutil.which(cls.name) is not None


def _all(*auths):
    return tuple((tls, auth) for tls in ("off", "stls", "implicit") for auth in auths)


class Curl(Client):
    name = "curl"
    keeps_crlf = True
    can = _all("user", "plain", "login", "apop")

    # There is no word for USER and PASS: they are what is left when the server offers nothing else.
    _OPTIONS = {"user": "AUTH=*", "plain": "AUTH=PLAIN", "login": "AUTH=LOGIN", "apop": "AUTH=+APOP",
                "digest-md5": "AUTH=DIGEST-MD5"}  # fmt: skip

    def _curl(self, path, *more):
        scheme = "pop3s" if self.tls == "implicit" else "pop3"
        return _run([
            "curl", "-sS", "--ipv4", "--cacert", self.ca, "--max-time", TIMEOUT,
            *(["--ssl-reqd"] if self.tls == "stls" else []),
            "--login-options", self._OPTIONS[self.auth], "-u", f"{self.user}:{self.password}",
            f"{scheme}://{HOST}:{self.port}/{path}", *more,
        ])  # fmt: skip

    def fetch(self, delete=False):
        listing = self._curl("").decode().split("\r\n")
        numbers = [line.split()[0] for line in listing if line]
        found = [self._curl(number) for number in numbers]
        if delete:
            for _ in numbers:
                # Every run of curl is a session of its own, so the first message goes each time.
                self._curl("1", "-X", "DELE", "-I")
        return found


class Fetchmail(Client):
    name = "fetchmail"
    line_max = 8000  # it cuts longer ones, with two bytes of its own
    # With APOP it does not know STLS.
    can = (*_all("user"), ("off", "apop"), ("implicit", "apop"))

    def fetch(self, delete=False):
        inbox = os.path.join(self.directory, "inbox")
        os.makedirs(inbox, exist_ok=True)
        for name in os.listdir(inbox):
            os.unlink(os.path.join(inbox, name))
        deliver = _private_file(
            os.path.join(self.directory, "deliver.sh"),
            f'#!/bin/sh\ncd {inbox} && n=$(ls | wc -l) && exec cat >"$(printf %04d "$n")"\n',
        )
        tls = {
            "off": "sslproto ''",
            "stls": "sslproto 'TLS1.2+' sslcertck",
            "implicit": "ssl sslcertck",
        }[self.tls]
        config = _private_file(
            os.path.join(self.directory, "fetchmailrc"),
            f"poll {HOST} proto {'APOP' if self.auth == 'apop' else 'POP3'} service {self.port} "
            f"timeout {TIMEOUT}\n"
            f'  user "{self.user}" password "{self.password}"\n'
            f"  {tls} sslcertfile '{self.ca}'\n"
            f"  {'nokeep' if delete else 'keep'} fetchall no rewrite no mimedecode pass8bits\n"
            f'  mda "/bin/sh {deliver}"\n',
        )
        lock = os.path.join(self.directory, "fetchmail.pid")
        home = {**os.environ, "FETCHMAILHOME": self.directory, "HOME": self.directory, "LC_ALL": "C"}
        _run(["fetchmail", "--nosyslog", "--invisible", "--pidfile", lock, "-f", config], env=home)
        found = []
        for name in sorted(os.listdir(inbox)):
            with open(os.path.join(inbox, name), "rb") as file:
                found.append(file.read())
        return found


class Mpop(Client):
    name = "mpop"
    can = _all("user", "plain", "login", "apop")

    def fetch(self, delete=False):
        inbox = os.path.join(self.directory, "inbox")
        shutil.rmtree(inbox, ignore_errors=True)
        for part in ("cur", "new", "tmp"):
            os.makedirs(os.path.join(inbox, part))
        tls = {
            "off": "tls off",
            "stls": f"tls on\ntls_starttls on\ntls_trust_file {self.ca}",
            "implicit": f"tls on\ntls_starttls off\ntls_trust_file {self.ca}",
        }[self.tls]
        config = _private_file(
            os.path.join(self.directory, "mpoprc"),
            f"account default\nhost {HOST}\nport {self.port}\ntimeout {TIMEOUT}\n"
            f'user {self.user}\npassword "{self.password}"\nauth {self.auth}\n{tls}\n'
            f"received_header off\nkeep {'off' if delete else 'on'}\nonly_new off\n"
            f"uidls_file {os.path.join(self.directory, 'uidls')}\ndelivery maildir {inbox}\n",
        )
        _run(["mpop", "-q", "-C", config])
        return _read_maildir(inbox)


class Getmail(Client):
    name = "getmail"
    can = (("off", "user"), ("implicit", "user"))

    def fetch(self, delete=False):
        inbox = os.path.join(self.directory, "inbox")
        shutil.rmtree(inbox, ignore_errors=True)
        for part in ("cur", "new", "tmp"):
            os.makedirs(os.path.join(inbox, part))
        kind = "SimplePOP3SSLRetriever" if self.tls == "implicit" else "SimplePOP3Retriever"
        tls = f"ca_certs = {self.ca}\n" if self.tls == "implicit" else ""
        as_user = ""
        if os.getuid() == 0:  # it never writes mail as root
            as_user = "user = mail\n"
            for path in (inbox, *(os.path.join(inbox, part) for part in ("cur", "new", "tmp"))):
                shutil.chown(path, "mail", "mail")
        _private_file(
            os.path.join(self.directory, "getmailrc"),
            f"[retriever]\ntype = {kind}\nserver = {HOST}\nport = {self.port}\n{tls}"
            f"username = {self.user}\npassword = {self.password}\ntimeout = {TIMEOUT}\n"
            f"[destination]\ntype = Maildir\npath = {inbox}/\n{as_user}"
            "[options]\nread_all = true\nreceived = false\ndelivered_to = false\nverbose = 0\n"
            f"delete = {'true' if delete else 'false'}\nmax_message_size = 0\n",
        )
        _run(["getmail", "--getmaildir", self.directory])
        added = b"Return-Path: <unknown>\n"
        return [message.removeprefix(added) for message in _read_maildir(inbox)]


class Poplib(Client):
    name = "poplib"
    keeps_crlf = True
    can = _all("user", "apop")

    @classmethod
    def installed(cls):
        return True

    def connect(self):
        """A session that is logged in."""
        poplib._MAXLINE = 1 << 24  # it refuses lines over 2048 bytes otherwise
        context = ssl.create_default_context(cafile=self.ca)
        try:
            if self.tls == "implicit":
                session = poplib.POP3_SSL(HOST, self.port, context=context, timeout=TIMEOUT)
            else:
                session = poplib.POP3(HOST, self.port, timeout=TIMEOUT)
                if self.tls == "stls":
                    session.stls(context=context)
            if self.auth == "apop":
                session.apop(self.user, self.password)
            else:
                session.user(self.user)
                session.pass_(self.password)
        except poplib.error_proto as error:
            raise ClientError(str(error)) from error
        return session

    def fetch(self, delete=False):
        session = self.connect()
        count, _ = session.stat()
        found = []
        for number in range(1, count + 1):
            found.append(b"".join(line + b"\r\n" for line in session.retr(number)[1]))
            if delete:
                session.dele(number)
        session.quit()
        return found


class OpensslClient(Client):
    """`openssl s_client`, the tool of administrators: everything in one write."""

    name = "openssl"
    keeps_crlf = True
    can = (("stls", "user"), ("implicit", "user"))

    def _talk(self, commands):
        return _run(
            [
                "openssl", "s_client", "-4", "-quiet", "-connect", f"{HOST}:{self.port}",
                "-servername", HOST, "-verify_return_error", "-CAfile", self.ca,
                *(["-starttls", "pop3"] if self.tls == "stls" else []),
            ],
            input="".join(f"{command}\r\n" for command in commands).encode(),
        )  # fmt: skip

    def fetch(self, delete=False):
        login = [f"USER {self.user}", f"PASS {self.password}"]
        answer = self._talk([*login, "STAT", "QUIT"])
        stat = [line for line in answer.split(b"\r\n") if line.startswith(b"+OK ")]
        if b"-ERR" in answer:
            raise ClientError(answer.decode())
        count = next(int(line.split()[1]) for line in stat if line.split()[1].isdigit())
        found = []
        for number in range(1, count + 1):
            answer = self._talk([*login, f"RETR {number}", "QUIT"])
            # What follows the status line of RETR, up to the last lone dot.
            start = answer.index(b"\r\n", answer.index(b" octets")) + 2
            end = answer.rindex(b"\r\n.\r\n") + 2
            found.append((b"\r\n" + answer[start:end]).replace(b"\r\n.", b"\r\n")[2:])
        if delete:
            self._talk([*login, *(f"DELE {i}" for i in range(1, count + 1)), "QUIT"])
        return found


CLIENTS = (Curl, Fetchmail, Mpop, Getmail, Poplib, OpensslClient)
