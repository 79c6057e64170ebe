"""Child processes that never outlive the tests."""

import atexit
import ctypes
import os
import signal
import subprocess

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)
_running = set()


class Process:
    """A child in a process group of its own, with its output in a file."""

    def __init__(self, arguments, log_path, env=None, cwd=None, limits=(), stdin=None):
        """`limits`: pairs for resource.setrlimit, such as (RLIMIT_NOFILE, (64, 64))."""
        self.log_path = log_path
        self._log = open(log_path, "ab")

        def prepare():
            # Whatever happens to the test process, the child goes with it.
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            import resource

            for what, values in limits:
                resource.setrlimit(what, values)

        self.process = subprocess.Popen(
            [str(argument) for argument in arguments],
            stdin=stdin if stdin is not None else subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env=env,
            cwd=cwd,
            start_new_session=True,
            preexec_fn=prepare,
        )
        _running.add(self)

    @property
    def pid(self):
        return self.process.pid

    def log(self):
        with open(self.log_path, "rb") as file:
            return file.read().decode("utf-8", "replace")

    def alive(self):
        return self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, timeout):
        """The exit code; negative: the signal that ended it."""
        code = self.process.wait(timeout)
        self._finish()
        return code

    def kill(self):
        """Ends the whole group at once; harmless if it is over already."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait(60)
        self._finish()

    def _finish(self):
        # Grandchildren that outlived their parent.
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
        self._log.close()
        _running.discard(self)


@atexit.register
def _kill_all():
    for process in list(_running):
        process.kill()
