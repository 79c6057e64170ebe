"""A small POP3 server that keeps to the protocol and remembers all it was told.

It stands behind the proxy in tests. Every connection leaves a Visit: what came in the clear, what
came through TLS, the users and passwords offered, whether QUIT came as a whole line, and how the
connection ended. faulty_upstream.py makes it misbehave; on its own it is deterministic: the same
commands give the same bytes, however they are cut.
"""

import dataclasses
import select
import selectors
import socket
import ssl
import struct
import threading
import time

RESET_ON_CLOSE = struct.pack("ii", 1, 0)
SOCKET_TIMEOUT = 120.0


class Over(Exception):
    """Ends a conversation that has been closed by whoever raises this."""


@dataclasses.dataclass
class Visit:
    """One connection, as the backend saw it."""

    clear: bytearray = dataclasses.field(default_factory=bytearray)  # received outside TLS
    lines: list = dataclasses.field(default_factory=list)  # whole commands, without line ends
    users: list = dataclasses.field(default_factory=list)
    passwords: list = dataclasses.field(default_factory=list)
    tail: bytes = b""  # what came behind the last whole line
    quit: bool = False  # QUIT came as a whole line
    ended_by: str = ""  # fin | reset | tls | backend
    tls_version: str = ""
    sent: int = 0
    over: threading.Event = dataclasses.field(default_factory=threading.Event)


class Maildrops:
    """Mail of every user, made up when asked for, and who deleted what. Thread-safe."""

    def __init__(self, messages=None):
        self._messages = messages or default_messages
        self._lock = threading.Lock()
        self._deletions = []

    def of(self, user):
        return self._messages(user)

    def delete(self, user, numbers):
        with self._lock:
            self._deletions.extend((user, number) for number in sorted(numbers))

    def deletions(self, user=None):
        with self._lock:
            return [d for d in self._deletions if user is None or d[0] == user]


def default_messages(user):
    """Two messages that name their reader: a stray byte of another session would show."""
    name = user.encode("utf-8", "surrogateescape")
    first = b"To: " + name + b"\r\nSubject: one\r\n\r\nHello " + name + b"\r\n"
    second = b"To: " + name + b"\r\nSubject: two\r\n\r\n.stuffed\r\n+OK no status\r\nQUIT\r\n" * 3
    return [first, second]


def dot_stuffed(message):
    body = message.replace(b"\r\n.", b"\r\n..")
    return b"." + body if body.startswith(b".") else body


class Conversation:
    """One connection, from greeting to end, on a thread of its own."""

    def __init__(self, backend, sock):
        self.backend = backend
        self.sock = sock
        self.visit = Visit()
        self.user = b""
        self.maildrop = None
        self.deleted = set()
        self.in_tls = False
        self.pace = 0.0  # seconds before each byte sent; 0 sends at once
        self._buffer = bytearray()

    # The wire.

    def send(self, data):
        if not self.pace:
            self.sock.sendall(data)
            self.visit.sent += len(data)
            return
        for i in range(len(data)):
            time.sleep(self.pace)
            self.sock.sendall(data[i : i + 1])
            self.visit.sent += 1

    def receive(self):
        """Some bytes; raises Over at the end of the connection."""
        try:
            data = self.sock.recv(65536)
        except (ConnectionResetError, BrokenPipeError):
            self.end("reset")
        except ssl.SSLError:
            self.end("tls")
        except OSError:
            self.end("backend")
        if not data:
            self.end("fin")
        if not self.in_tls:
            self.visit.clear += data
        return data

    def read_line(self):
        while True:
            at = self._buffer.find(b"\n")
            if at >= 0:
                line = bytes(self._buffer[:at]).removesuffix(b"\r")
                del self._buffer[: at + 1]
                self.note(line)
                return line
            self._buffer += self.receive()

    def note(self, line):
        verb, _, argument = line.partition(b" ")
        verb = verb.upper()
        self.visit.lines.append(line)
        if verb == b"USER":
            self.visit.users.append(argument)
        elif verb == b"PASS":
            self.visit.passwords.append(argument)
        elif verb == b"QUIT":
            self.visit.quit = True

    def wait_for_end(self):
        """Says nothing more; takes down what comes until the other side is gone."""
        while True:
            self.read_line()

    def start_tls(self, context=None):
        self.sock = (context or self.backend.tls).wrap_socket(
            self.sock, server_side=True, do_handshake_on_connect=False
        )
        try:
            self.sock.do_handshake()
        except OSError:
            self.end("tls")
        self.in_tls = True
        self.visit.tls_version = self.sock.version()
        self._buffer.clear()

    # Endings.

    def end(self, how):
        if not self.visit.ended_by:
            self.visit.ended_by = how
        self.visit.tail = bytes(self._buffer)
        self.sock.close()
        raise Over()

    def close(self):
        """FIN, and on TLS no close_notify."""
        self._shut_down()
        try:
            while self.sock.recv(65536):
                pass
        except OSError:
            pass
        self.end("backend")

    def _shut_down(self):
        try:
            socket.socket.shutdown(self.sock, socket.SHUT_WR)
        except OSError:
            pass

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.end("backend")

    def close_notify(self):
        """The orderly end of TLS, then FIN."""
        self.sock.settimeout(0)
        try:
            self.sock.unwrap()
        except (OSError, ValueError):
            pass
        self.sock.settimeout(SOCKET_TIMEOUT)
        self.close()

    # The protocol.

    def run(self):
        self.sock.settimeout(SOCKET_TIMEOUT)
        try:
            self.step("accept", lambda: None)
            if self.backend.mode == "tls":
                self.start_tls()
            self.step("greeting", lambda: self.send(b"+OK backend ready\r\n"))
            while True:
                self.on_line(self.read_line())
        except Over:
            pass
        except OSError:
            self.visit.ended_by = self.visit.ended_by or "reset"
        finally:
            self.visit.tail = self.visit.tail or bytes(self._buffer)
            self.sock.close()
            self.visit.over.set()

    def step(self, name, default):
        """One step of the dialogue: the backend's fault when it has one here, or the default."""
        fault = self.backend.faults.get(name)
        return fault(self) if fault else default()

    def on_line(self, line):
        verb, _, argument = line.partition(b" ")
        verb = verb.upper()
        handler = getattr(self, "on_" + verb.decode("ascii", "replace").lower(), None)
        if verb == b"USER":
            self.user = argument
        if handler is None or (self.maildrop is None and verb in TRANSACTION_VERBS):
            self.send(b"-ERR what?\r\n")
            return
        self.step(verb.decode().lower(), lambda: handler(argument))

    def on_capa(self, _):
        lines = [b"USER", b"UIDL", b"TOP"]
        if self.backend.pipelining:
            lines.append(b"PIPELINING")
        if self.backend.mode == "stls" and not self.in_tls:
            lines.append(b"STLS")
        self.send(b"+OK\r\n" + b"".join(line + b"\r\n" for line in lines) + b".\r\n")

    def on_stls(self, _):
        if self.backend.mode != "stls" or self.in_tls:
            self.send(b"-ERR no STLS here\r\n")
            return
        self.send(b"+OK begin\r\n")
        self.start_tls()

    def on_user(self, _):
        self.send(b"+OK\r\n")

    def on_pass(self, password):
        if password.startswith(b"wrong"):
            self.send(b"-ERR [AUTH] Authentication failed.\r\n")
            return
        self.log_in()

    def log_in(self):
        self.maildrop = self.backend.maildrops.of(self.user.decode("utf-8", "surrogateescape"))
        self.send(b"+OK Logged in.\r\n")

    def on_auth(self, _):
        self.send(b"-ERR no SASL here\r\n")

    def on_noop(self, _):
        self.send(b"+OK\r\n")

    def on_rset(self, _):
        self.deleted.clear()
        self.send(b"+OK\r\n")

    def on_stat(self, _):
        sizes = [len(m) for i, m in enumerate(self.maildrop, 1) if i not in self.deleted]
        self.send(b"+OK %d %d\r\n" % (len(sizes), sum(sizes)))

    def on_list(self, argument):
        rows = [(i, len(m)) for i, m in enumerate(self.maildrop, 1) if i not in self.deleted]
        self._send_listing(argument, [(i, b"%d" % size) for i, size in rows])

    def on_uidl(self, argument):
        rows = [i for i in range(1, len(self.maildrop) + 1) if i not in self.deleted]
        self._send_listing(argument, [(i, b"uid-%d" % i) for i in rows])

    def _send_listing(self, argument, rows):
        if argument:
            for number, value in rows:
                if argument == b"%d" % number:
                    self.send(b"+OK %d %b\r\n" % (number, value))
                    return
            self.send(b"-ERR no such message\r\n")
            return
        self.send(b"+OK\r\n" + b"".join(b"%d %b\r\n" % row for row in rows) + b".\r\n")

    def message(self, argument):
        if argument.isdigit() and 0 < int(argument) <= len(self.maildrop):
            if int(argument) not in self.deleted:
                return self.maildrop[int(argument) - 1]
        return None

    def on_retr(self, argument):
        message = self.message(argument)
        if message is None:
            self.send(b"-ERR no such message\r\n")
            return
        self.send(b"+OK %d octets\r\n" % len(message) + dot_stuffed(message) + b".\r\n")

    def on_top(self, argument):
        message = self.message(argument.partition(b" ")[0])
        if message is None:
            self.send(b"-ERR no such message\r\n")
            return
        head = message.partition(b"\r\n\r\n")[0]
        self.send(b"+OK\r\n" + head + b"\r\n\r\n.\r\n")

    def on_dele(self, argument):
        if self.message(argument) is None:
            self.send(b"-ERR no such message\r\n")
            return
        self.deleted.add(int(argument))
        self.send(b"+OK\r\n")

    def on_quit(self, _):
        if self.maildrop is not None:
            user = self.user.decode("utf-8", "surrogateescape")
            self.backend.maildrops.delete(user, self.deleted)
        try:
            self.send(b"+OK bye\r\n")
        except OSError:
            pass
        self.close()


TRANSACTION_VERBS = {b"STAT", b"LIST", b"UIDL", b"RETR", b"TOP", b"DELE", b"RSET", b"NOOP"}


class Backend:
    """One listening address. `mode` is plain, stls or tls; `tls` an ssl.SSLContext for the last
    two; `faults` maps the name of a step to what happens there instead. `listening` is "yes",
    "no" (connections are refused) or "full" (nobody ever answers)."""

    def __init__(self, *, mode="plain", tls=None, maildrops=None, pipelining=False, faults=None,
                 listening="yes"):  # fmt: skip
        self.mode = mode
        self.tls = tls
        self.maildrops = maildrops or Maildrops()
        self.pipelining = pipelining
        self.faults = faults or {}
        self._visits = []
        self._lock = threading.Lock()
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.listening = listening == "yes"
        self._waiting = []
        # A bound socket that does not listen keeps its port and refuses everybody. One whose queue
        # is full drops what else comes, as a network that swallows packets does.
        if self.listening:
            self.socket.listen(256)
            self.socket.setblocking(False)
        elif listening == "full":
            self.socket.listen(0)
            self._waiting = [self._start_connecting() for _ in range(3)]

    def _start_connecting(self):
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex(self.socket.getsockname())
        return sock

    def close(self):
        for sock in [self.socket, *self._waiting]:
            sock.close()

    @property
    def port(self):
        return self.socket.getsockname()[1]

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def visits(self):
        with self._lock:
            return list(self._visits)

    def forget(self):
        """All visits, those too whose connections still wait to be accepted."""
        waiting = select.poll()  # select() knows no descriptor above 1023
        waiting.register(self.socket, select.POLLIN)
        while self.listening and waiting.poll(0):
            time.sleep(0.001)
        with self._lock:
            self._visits.clear()

    def accept(self):
        with self._lock:
            try:
                sock, _ = self.socket.accept()
            except OSError:
                return
            conversation = Conversation(self, sock)
            self._visits.append(conversation.visit)
        sock.setblocking(True)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=conversation.run, daemon=True).start()


class BackendFarm:
    """Serves any number of backends; one thread accepts for all of them."""

    def __init__(self, backends):
        self.backends = list(backends)
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = socket.socketpair()
        self._selector.register(self._wake_read, selectors.EVENT_READ, None)
        for backend in self.backends:
            if backend.listening:
                self._selector.register(backend.socket, selectors.EVENT_READ, backend)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._wake_write.send(b"x")
        self._thread.join()
        for backend in self.backends:
            backend.close()
        self._selector.close()
        self._wake_read.close()
        self._wake_write.close()

    def _run(self):
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    return
                key.data.accept()
