"""An authentication service as nginx's mail proxy asks one, where the test decides about every byte."""

import socket
import ssl
import threading


class Request:
    """One request: `line`, and `headers` as [(name, value)] in their order."""

    def __init__(self, head, connection):
        lines = head.decode("latin-1").split("\r\n")
        self.line = lines[0]
        self.headers = [tuple(line.split(":", 1)) for line in lines[1:] if line]
        self.headers = [(name, value[1:] if value.startswith(" ") else value) for name, value in self.headers]
        self.connection = connection  # counts from 1

    def get(self, name):
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


def reply(status="OK", code="200 OK", body=b"", **fields):
    """Bytes of a reply; `Auth_Server="127.0.0.1"` becomes a header, None leaves Auth-Status out."""
    lines = [f"HTTP/1.1 {code}"]
    if status is not None:
        lines.append(f"Auth-Status: {status}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


class AuthService:
    """`answer(request)` returns bytes, or None to close without a word. May block: each connection
    has its own thread. `context` makes it speak TLS."""

    def __init__(self, answer, port=0, context=None):
        self.answer = answer
        self.requests = []
        self.connections = 0
        self._context = context
        self._lock = threading.Lock()
        self._open = set()
        self._socket = socket.create_server(("127.0.0.1", port), backlog=256)
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def url(self, path="/auth"):
        return f"{'https' if self._context else 'http'}://127.0.0.1:{self.port}{path}"

    def _accept(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with self._lock:
                self._open.add(connection)
                self.connections += 1
                number = self.connections
            threading.Thread(target=self._serve, args=(connection, number), daemon=True).start()

    def _serve(self, connection, number):
        plain = connection
        try:
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
            data = b""
            while True:
                while b"\r\n\r\n" not in data:
                    more = connection.recv(65536)
                    if not more:
                        return
                    data += more
                head, data = data.split(b"\r\n\r\n", 1)
                request = Request(head, number)
                with self._lock:
                    self.requests.append(request)
                answer = self.answer(request)
                if answer is None:
                    return
                connection.sendall(answer)
                if b"content-length:" not in answer.lower():
                    return
        except (OSError, ssl.SSLError):
            pass
        finally:
            with self._lock:
                self._open.discard(plain)
            connection.close()

    def stop(self):
        # A thread that sits in accept(2) keeps the port.
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(10)
        with self._lock:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
