"""A policy service as Dovecot's auth_policy asks one, where the test decides what it answers."""

import http.server
import json
import threading
import urllib.parse


class Request:
    """One POST: `path`, `command`, `headers`, the body as `text` and, where it is JSON, as `json`."""

    def __init__(self, handler, text, connection):
        self.method = handler.command
        self.path = handler.path
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(handler.path).query)
        self.command = query["command"][0]
        self.headers = handler.headers
        self.text = text
        self.json = json.loads(text)
        self.connection = connection  # counts from 1
        self.raw = handler.path.encode() + bytes(str(handler.headers), "latin-1") + text


class Reply:
    """What a service says: an HTTP status and a body, or, with `raw`, these bytes and the end."""

    def __init__(self, body=b"", status=200, raw=None):
        self.body = body
        self.status = status
        self.raw = raw


def verdict(status, msg=""):
    return Reply(json.dumps({"status": status, "msg": msg}).encode())


class PolicyService:
    """`allow(request)` and `report(request)` return a Reply. They may block: each connection has a
    thread of its own. `context` makes it speak TLS."""

    def __init__(self, allow=lambda request: verdict(0), report=lambda request: verdict(0), port=0,
                 context=None):  # fmt: skip
        self.allow = allow
        self.report = report
        self.requests = []
        self.connections = 0
        self._lock = threading.Lock()
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                super().setup()
                with service._lock:
                    service.connections += 1
                    self.number = service.connections

            def do_POST(self):
                text = self.rfile.read(int(self.headers["Content-Length"]))
                request = Request(self, text, self.number)
                with service._lock:
                    service.requests.append(request)
                reply = getattr(service, request.command)(request)
                if reply.raw is not None:
                    self.wfile.write(reply.raw)
                    self.close_connection = True
                    return
                self.send_response(reply.status)
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)

            do_GET = do_POST

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

            def handle_error(self, *_):
                pass  # a client that went away

        self._server = Server(("127.0.0.1", port), Handler)
        self.port = self._server.server_address[1]
        self._scheme = "https" if context else "http"
        if context is not None:
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def url(self, path="/"):
        return f"{self._scheme}://127.0.0.1:{self.port}{path}"

    def asked(self, command):
        with self._lock:
            return [request for request in self.requests if request.command == command]

    def stop(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
