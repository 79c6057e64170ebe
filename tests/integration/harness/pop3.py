"""A POP3 connection where the test decides about every byte."""

import socket
import ssl


def client_context(ca=None, version=None):
    """A TLS context that verifies against `ca`, or not at all without one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context.load_verify_locations(ca)
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context


class Pop3Connection:
    """`tls`: "off", "stls" or "implicit". Reads the greeting unless told otherwise."""

    def __init__(self, port, tls="off", host="127.0.0.1", ca=None, server_name=None, timeout=60,
                 greeting=True, context=None, source=None):  # fmt: skip
        """`source`: the address to come from."""
        self.socket = socket.create_connection((host, port), timeout, source and (source, 0))
        self.socket.settimeout(timeout)
        self.server_name = server_name or "localhost"
        self.context = context or client_context(ca)
        self._buffer = b""
        self.greeting = None
        if tls == "implicit":
            self.handshake()
        if greeting:
            self.greeting = self.line()
            assert self.greeting.startswith(b"+OK"), self.greeting
        if tls == "stls":
            self.stls()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def handshake(self):
        self.socket = self.context.wrap_socket(self.socket, server_hostname=self.server_name)

    def stls(self):
        answer = self.command("STLS")
        assert answer.startswith(b"+OK"), answer
        self.handshake()

    def send(self, data):
        self.socket.sendall(data)

    def receive(self, count=65536):
        """What is buffered, or what comes next; b"" at the end."""
        if self._buffer:
            data, self._buffer = self._buffer[:count], self._buffer[count:]
            return data
        return self.socket.recv(count)

    def line(self):
        """One line without its CRLF; b"" when the peer ended the connection."""
        while b"\n" not in self._buffer:
            data = self.socket.recv(65536)
            if not data:
                rest, self._buffer = self._buffer, b""
                return rest
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\n", 1)
        assert line.endswith(b"\r"), line
        return line[:-1]

    def command(self, text):
        """Sends one command, returns the status line."""
        self.send((text.encode() if isinstance(text, str) else text) + b"\r\n")
        return self.line()

    def ok(self, text):
        answer = self.command(text)
        assert answer.startswith(b"+OK"), (text, answer)
        return answer

    def body(self):
        """The rest of a multi-line response, dot-stuffing removed, each line with CRLF."""
        data = bytearray(b"\r\n" + self._buffer)
        searched = 0
        while (end := data.find(b"\r\n.\r\n", searched)) < 0:
            searched = max(0, len(data) - 4)
            more = self.socket.recv(262144)
            assert more, f"the connection ended inside a response after {len(data)} bytes"
            data += more
        self._buffer = bytes(data[end + 5 :])
        return bytes(data[: end + 2].replace(b"\r\n.", b"\r\n")[2:])

    def multiline(self, text):
        """(status line, body) of a command with a multi-line response."""
        status = self.ok(text)
        return status, self.body()

    def capabilities(self):
        _, body = self.multiline("CAPA")
        return body.decode().splitlines()

    def login(self, user, password):
        """USER and PASS; returns the answer to PASS (or to USER if that was refused)."""
        answer = self.command(f"USER {user}")
        if not answer.startswith(b"+OK"):
            return answer
        return self.command(f"PASS {password}")

    def at_end(self):
        """True when the peer ends the connection in order; an error raises."""
        return not self._buffer and self.socket.recv(1) == b""

    def quit(self):
        answer = self.command("QUIT")
        self.close()
        return answer

    def close(self):
        self.socket.close()
