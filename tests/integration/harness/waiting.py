"""Waits for something to become true instead of sleeping and hoping."""

import time


def wait_until(condition, timeout=15.0, what="", interval=0.01):
    """Calls `condition` until it returns something true, which is returned.

    `what` names the thing in the failure's text; a callable is asked for it only then.
    """
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            text = what() if callable(what) else what
            raise AssertionError(f"not within {timeout} s: {text or condition}")
        time.sleep(interval)
