"""What a process and everything below it has used, from /proc."""

import os
import pathlib
import re

TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def process_tree(pid):
    """The process and all below it."""
    pids = [pid]
    for at in pids:
        for task in pathlib.Path(f"/proc/{at}/task").glob("*"):
            try:
                pids += [int(child) for child in (task / "children").read_text().split()]
            except (FileNotFoundError, ProcessLookupError):
                pass
    return pids


def ended_children_ns(stat):
    """CPU of children that have ended and were waited for, from the text of /proc/PID/stat. The
    kernel tells it in ticks of 10 ms; the sum behind it is exact."""
    fields = stat[stat.rindex(")") + 2:].split()
    return (int(fields[13]) + int(fields[14])) * TICK_NS


def cpu_ns(pid):
    """CPU time of the whole process tree: of live tasks from the scheduler's nanosecond clock, of
    children that have ended (a server that forks for each connection) from their parents."""
    total = 0
    for at in process_tree(pid):
        try:
            total += ended_children_ns(pathlib.Path(f"/proc/{at}/stat").read_text())
        except (FileNotFoundError, ProcessLookupError):
            continue
        for task in pathlib.Path(f"/proc/{at}/task").glob("*"):
            try:
                total += int((task / "schedstat").read_text().split()[0])
            except (FileNotFoundError, ProcessLookupError):
                pass
    return total


def memory_kb(pid):
    """Proportional and plain resident set of the whole process tree."""
    pss = rss = 0
    for at in process_tree(pid):
        try:
            text = pathlib.Path(f"/proc/{at}/smaps_rollup").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        pss += int(re.search(r"^Pss:\s+(\d+)", text, re.M).group(1))
        rss += int(re.search(r"^Rss:\s+(\d+)", text, re.M).group(1))
    return {"pss": pss, "rss": rss}


def listens(pid, port):
    """Whether something in this process's network listens on the port. Nobody is connected to."""
    wanted = f":{port:04X}"
    for family in ("tcp", "tcp6"):
        try:
            lines = pathlib.Path(f"/proc/{pid}/net/{family}").read_text().splitlines()[1:]
        except (FileNotFoundError, ProcessLookupError):
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == "0A" and fields[1].endswith(wanted):
                return True
    return False
