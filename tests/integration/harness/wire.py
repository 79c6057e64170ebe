"""A client that holds every byte in its own hand, with TLS or without.

The TLS engine works in memory: a test can put plaintext into the same segment as the end of the
handshake, cut a record into bytes, end with or without close_notify, and tell a FIN from a reset.
"""

import socket
import ssl
import struct

from .pop3 import client_context


class Wire:
    """A connection to 127.0.0.1:port; with `tls` the handshake is done first.

    `end` says how the other side ended, once it has: "fin" (on TLS: without close_notify),
    "close_notify", "alert" or "reset". No reader raises at an end; each returns what there was.
    """

    def __init__(self, port, tls=False, *, context=None, server_name="localhost", timeout=60,
                 receive_buffer=None):  # fmt: skip
        self.sock = socket.socket()
        if receive_buffer is not None:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(timeout)
        self.sock.connect(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.context = context
        self.server_name = server_name
        self.end = None
        self.tls = None
        self.handshake_done = False
        self._buffer = bytearray()
        if tls:
            self.handshake()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # TLS.

    def start_engine(self, session=None):
        """The handshake does this by itself; a test does it to resume `session`."""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = self.context or client_context()
        self.tls = context.wrap_bio(
            self._incoming, self._outgoing, server_hostname=self.server_name, session=session
        )

    def handshake(self, then=b"", pace=None):
        """`then` is plaintext sent in one segment with the last flight. `pace` is called with
        each raw flight and sends it; the default sends it whole. Raises ssl.SSLError when the
        handshake fails."""
        send = pace or self.sock.sendall
        if self.tls is None:
            self.start_engine()
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                flight = self._outgoing.read()
                if flight:
                    send(flight)
                data = self.sock.recv(65536)
                if data:
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()
            except ssl.SSLError:
                # Our alert, as far as it still goes.
                try:
                    self.sock.sendall(self._outgoing.read())
                except OSError:
                    pass
                raise
        self.handshake_done = True
        last_flight = self._outgoing.read()
        # The greeting may have come with the server's half: the engine has it, the socket not.
        self._decrypt()
        send(last_flight + (self.encrypt(then) if then else b""))

    def line_before_finished(self, patience):
        """The handshake, whose last flight leaves only when the server has said a line (returned)
        or has said none for `patience` seconds."""
        heard = b""

        def pace(flight):
            nonlocal heard
            if self.handshake_done:
                self.sock.settimeout(patience)
                try:
                    heard = self.line()
                except TimeoutError:
                    pass
                self.sock.settimeout(60)
            self.sock.sendall(flight)

        self.handshake(pace=pace)
        return heard

    def encrypt(self, data):
        """`data` as raw records, not sent yet."""
        before = self._outgoing.read()
        self.tls.write(data)
        return before + self._outgoing.read()

    def raw_close_notify(self):
        try:
            self.tls.unwrap()
        except ssl.SSLError:
            pass
        return self._outgoing.read()

    # Sending.

    def send(self, data):
        self.sock.sendall(self.encrypt(data) if self.tls else data)

    def send_raw(self, data):
        self.sock.sendall(data)

    def half_close(self):
        """FIN; on TLS without close_notify."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the other side has reset it already

    def close(self):
        self.sock.close()

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    # Receiving.

    def _fill(self):
        """One more piece into the buffer; False when the end brought none."""
        if self.end:
            return False
        before = len(self._buffer)
        try:
            data = self.sock.recv(65536)
        except (ConnectionResetError, BrokenPipeError):
            self.end = "reset"
            return False
        if self.tls is None:
            self._buffer += data
            if not data:
                self.end = "fin"
            return bool(data)
        self._incoming.write(data) if data else self._incoming.write_eof()
        return self._decrypt() or len(self._buffer) > before

    def _decrypt(self):
        """What the engine has, into the buffer; False when the end was met."""
        while True:
            try:
                plain = self.tls.read(65536)
            except ssl.SSLWantReadError:
                # Answers of the engine itself, such as a key update.
                answer = self._outgoing.read()
                if answer:
                    self.sock.sendall(answer)
                return True
            except ssl.SSLZeroReturnError:
                self.end = "close_notify"
            except (ssl.SSLEOFError, ssl.SSLSyscallError):
                self.end = "fin"
            except ssl.SSLError:
                self.end = "alert"
            else:
                self._buffer += plain
                if plain:
                    continue
                self.end = "close_notify"
            return False

    def receive(self, count):
        """`count` bytes, or fewer at the end."""
        while len(self._buffer) < count and self._fill():
            pass
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    def receive_until(self, mark):
        """Everything up to and with `mark`, or all there is at the end."""
        searched = 0
        while True:
            at = self._buffer.find(mark, searched)
            if at >= 0:
                return self.receive(at + len(mark))
            searched = max(0, len(self._buffer) - len(mark))
            if not self._fill():
                return self.receive(len(self._buffer))

    def line(self):
        """One line with its end."""
        return self.receive_until(b"\n")

    def body(self):
        """The rest of a multi-line response, as it is on the wire."""
        if self._buffer.startswith(b".\r\n"):
            return self.receive(3)
        return self.receive_until(b"\r\n.\r\n")

    def rest(self):
        """Everything to the end; then `end` says which end it was."""
        while self._fill():
            pass
        return self.receive(len(self._buffer))

    def after_close_notify(self):
        """How TCP itself ended once close_notify has come: "fin" or "reset"."""
        try:
            while self.sock.recv(65536):
                pass
            return "fin"
        except ConnectionResetError:
            return "reset"

    # POP3.

    def command(self, text):
        self.send((text.encode() if isinstance(text, str) else text) + b"\r\n")
        return self.line()

    def log_in(self, user="anna@example.org", password="secret", greeted=False):
        """Greeting, USER and PASS; returns the answer to the last of them."""
        if not greeted:
            greeting = self.line()
            assert greeting.startswith(b"+OK"), greeting
        answer = self.command(f"USER {user}")
        assert answer.startswith(b"+OK"), answer
        return self.command(f"PASS {password}")
