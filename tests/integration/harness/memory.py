"""Looks for bytes in the memory of a running process."""

import glob
import os
import struct
import subprocess

_HUGE = 1 << 30  # bigger mappings are a sanitizer's shadow, not data
_PT_LOAD = 1


def find_in_memory(pid, wanted):
    """{name: how often} for the `wanted` {name: bytes} that occur in memory the process can write."""
    found = {}
    scanned = 0
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            span, permissions = line.split()[:2]
            start, end = (int(part, 16) for part in span.split("-"))
            if "rw" not in permissions or end - start > _HUGE:
                continue
            try:
                memory.seek(start)
                data = memory.read(end - start)
            except (OSError, ValueError):  # a ring shared with the kernel
                continue
            scanned += len(data)
            _count(data, wanted, found)
    assert scanned > 1_000_000, "the memory could not be read"
    return found


def find_in_core(pid, directory, wanted):
    """The same in a core file by gcore, with the pages too that the process keeps out of cores.

    Only memory counts, not the registers: they hold the last 16 or 32 bytes that any memcpy moved.
    """
    stem = os.path.join(directory, "core")
    done = subprocess.run(
        ["gcore", "-a", "-o", stem, str(pid)], capture_output=True, text=True, timeout=600
    )
    paths = glob.glob(stem + ".*")
    assert paths, done.stdout + done.stderr
    found = {}
    scanned = 0
    with open(paths[0], "rb") as file:
        header = file.read(64)
        (table,), (size, count) = struct.unpack_from("<Q", header, 32), struct.unpack_from("<HH", header, 54)
        for i in range(count):
            file.seek(table + i * size)
            entry = file.read(size)
            (kind,), (offset,), (length,) = (
                struct.unpack_from("<I", entry, 0),
                struct.unpack_from("<Q", entry, 8),
                struct.unpack_from("<Q", entry, 32),
            )
            if kind != _PT_LOAD:
                continue
            file.seek(offset)
            data = file.read(length)
            scanned += len(data)
            _count(data, wanted, found)
    os.unlink(paths[0])
    assert scanned > 1_000_000, done.stdout + done.stderr
    return found


def _count(data, wanted, found):
    for name, text in wanted.items():
        at = data.find(text)
        if at >= 0:
            found[name] = found.get(name, 0) + data.count(text)
            print(f"{name}: {data[max(0, at - 60) : at + 100]!r}")
