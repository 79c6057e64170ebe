"""Waits for something to become true instead of sleeping and hoping.

Patience is long everywhere in these tests, a minute as a rule: a machine with more tests than
processors may stand still for many seconds, and a test that passes does not wait longer for it.
"""

import time


def wait_until(condition, timeout=60.0, what="", interval=0.01):
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
