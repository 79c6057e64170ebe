"""POP3 stores that know who is where: two backends of one process that notice a user at both."""

import asyncio
import threading


class Census:
    """`ports`: {"mail1": port, "mail2": port}. Every password is right.

    Sessions are counted from PASS to the end of the connection, by one thread for both stores, so
    `violations` lists every login of a user who was still at the other one. With `locks` a user's
    second session is refused, and noted in `locked_out`.
    """

    def __init__(self, names=("mail1", "mail2"), mailbox=b"+OK 0 0\r\n", locks=False):
        self.names = names
        self.locks = locks
        self.locked_out = []  # (user, name), in order
        self.mailbox = mailbox
        self.ports = {}
        self.live = {}  # user -> {name: sessions}
        self.logins = []  # (user, name), in order
        self.violations = []
        self.answers = {}  # user -> what PASS gets instead of +OK, once for each in the list
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self._thread.start()
        assert ready.wait(60)

    def _run(self, ready):
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._listen())
        ready.set()
        self._loop.run_forever()

    async def _listen(self):
        for name in self.names:
            server = await asyncio.start_server(
                lambda reader, writer, name=name: self._serve(name, reader, writer), "127.0.0.1", 0,
                backlog=1024)
            self.ports[name] = server.sockets[0].getsockname()[1]

    def _enter(self, user, name):
        with self._lock:
            at = self.live.setdefault(user, {})
            others = [other for other, count in at.items() if other != name and count > 0]
            if others:
                self.violations.append((user, name, others))
            at[name] = at.get(name, 0) + 1
            self.logins.append((user, name))

    def _leave(self, user, name):
        with self._lock:
            self.live[user][name] -= 1

    async def _serve(self, name, reader, writer):
        user, logged_in = "", False
        try:
            writer.write(b"+OK census\r\n")
            while True:
                line = (await reader.readline()).decode("latin-1").rstrip("\r\n")
                if not line:
                    break
                verb = line.split(" ")[0].upper()
                if verb == "USER":
                    user = line[5:]
                    writer.write(b"+OK\r\n")
                elif verb == "PASS":
                    with self._lock:
                        answers = self.answers.get(user)
                        answer = answers.pop(0) if answers else None
                        if answer is None and self.locks and sum(self.live.get(user, {}).values()) > 0:
                            self.locked_out.append((user, name))
                            answer = b"-ERR [IN-USE] locked\r\n"
                    if answer is not None:
                        writer.write(answer)
                        continue
                    self._enter(user, name)
                    logged_in = True
                    writer.write(b"+OK\r\n")
                elif verb == "CAPA":
                    writer.write(b"+OK\r\nUSER\r\nPIPELINING\r\nUIDL\r\n.\r\n")
                elif verb == "STAT":
                    writer.write(self.mailbox)
                elif verb in ("UIDL", "LIST"):
                    writer.write(b"+OK\r\n.\r\n")
                elif verb == "TOP":
                    # A response without an end.
                    writer.write(b"+OK\r\nSubject: x\r\n")
                else:
                    writer.write(b"+OK\r\n")
                if verb == "QUIT":
                    break
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            if logged_in:
                self._leave(user, name)
            writer.close()

    def of(self, user):
        """The stores of this user's logins, in order."""
        with self._lock:
            return [name for who, name in self.logins if who == user]

    def now(self):
        """{name: live sessions}"""
        with self._lock:
            return {name: sum(at.get(name, 0) for at in self.live.values()) for name in self.names}

    def stop(self):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)
