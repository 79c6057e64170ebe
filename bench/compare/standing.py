"""Sessions that are logged in and stay: the memory they take, what they cost those that come and
go, and how long they wait when many come."""

import time

import checks
from accounting import cpu_ns, memory_kb
from lab import LabError
from sessions import (WARM, amount, entry_of, expectations, load_arguments, measured_run)

ARRIVALS_PER_S = 300  # of the sessions that stay
MEMORY_AFTER_S = 4


def stay(at, scenario, peer, count, *more, rate=ARRIVALS_PER_S, urgent=False):
    """Logs in `count` sessions that stay until they are ended."""
    return at.lab.start_idle_load(
        peer.network, *load_arguments(scenario, peer, "idle"), "--total", count, "--sessions",
        count, "--rate", rate, "--arrivals", "constant", "--hold-s", "900",
        *more, urgent=urgent)


def held(result, count):
    """What is wrong with sessions that were to stay until they were stopped."""
    stopped = result["failures"].get("stopped", {}).get("count", 0)
    if stopped == count and result["logins"] == count:
        return []
    return [f"{stopped} of {count} idle sessions were alive at the end"]


def idle(at, scenario, row, peer, stores, number):
    """What the resident memory grows by. The proxy is new each time: what its allocator keeps from
    earlier sessions would hide what these take."""
    peer.stop()
    peer.start()
    count = row.setup.get("sessions", scenario.sessions)
    if at.seconds < 1:
        count = min(count, 100)
    arguments = load_arguments(scenario, peer, "login")
    at.lab.load(peer.network, *arguments, "--total", WARM, "--sessions", 10)
    time.sleep(min(1, at.seconds))
    before, used_before = memory_kb(peer.pid), cpu_ns(peer.pid)
    load = stay(at, scenario, peer, count)
    try:
        time.sleep(min(MEMORY_AFTER_S, at.seconds))
        after, used = memory_kb(peer.pid), cpu_ns(peer.pid) - used_before
    finally:
        result = at.lab.end_idle_load(load)
    served = stores.stop()
    void = held(result, count)
    if sum(served.values()) != count + WARM:
        void.append(f"the stores served {sum(served.values())} sessions, the clients had "
                    f"{count + WARM}")
    return {"rss_kb": (after["rss"] - before["rss"]) / count,
            "pss_kb": (after["pss"] - before["pss"]) / count,
            "sessions": count, "before_kb": before, "with_sessions_kb": after, "served": served,
            "cpu_us": used / 1000 / count, "void": void}


def busy(at, scenario, row, peer, stores, number):
    """What a login costs while so many others are logged in and silent."""
    standing = row.setup["sessions"] - scenario.sessions
    if at.seconds < 1:
        standing //= 50
    load = stay(at, scenario, peer, standing, rate=600)
    try:
        arguments = load_arguments(scenario, peer, "login")
        total, spent = amount(at, scenario, row, peer, arguments)
        result, used, elapsed = measured_run(
            at, peer, [*arguments, "--total", total, "--sessions", scenario.sessions, "--seed",
                       number + 1])
    finally:
        others = at.lab.end_idle_load(load)
    entry = entry_of(result, used, elapsed)
    entry["standing"] = standing
    entry["served"] = stores.stop()
    entry["void"] = held(others, standing) + checks.problems(
        result, entry["served"], expectations(scenario, total, standing + spent))
    return entry


def storm(at, scenario, row, peer, stores, number):
    """How long sessions that are there wait for the answer to NOOP while others shake hands as fast
    as they can. The clients that say NOOP and the stores go before the clients of the storm on the
    core they share, so that their own waiting is not measured."""
    count = 50 if at.seconds < 1 else 200
    load = stay(at, scenario, peer, count, "--noop-s", "0.5", urgent=True)
    try:
        arguments = load_arguments(scenario, peer, "login")
        total, spent = amount(at, scenario, row, peer, arguments)
        result, used, elapsed = measured_run(
            at, peer, [*arguments, "--total", total, "--sessions", scenario.sessions, "--seed",
                       number + 1])
    finally:
        others = at.lab.end_idle_load(load)
    entry = entry_of(result, used, elapsed)
    entry["served"] = stores.stop()
    entry["void"] = held(others, count) + checks.problems(
        result, entry["served"], expectations(scenario, total, count + spent))
    noop = others["latency_ms"].get("noop")
    if not noop:
        raise LabError("no NOOP was answered")
    entry["noops"] = noop["count"]
    entry["noop_latency_ms"] = noop
    for percent in ("p50", "p99"):
        entry[f"noop_{percent}_ms"] = noop[percent]
    return entry
