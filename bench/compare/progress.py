"""How far it is, and how long it will take."""

import sys
import time


class Progress:
    """Steps are runs of one peer; each was expected to take some seconds, and how wrong that was so
    far corrects what is left."""

    def __init__(self, out=sys.stderr, clock=time.monotonic):
        self.out, self.clock = out, clock
        self.planned = {}  # scenario -> (steps, seconds of one)
        self.done_seconds = 0.0
        self.steps = 0
        self.started = clock()

    def plan(self, key, steps, seconds):
        self.planned[key] = (steps, seconds)

    def total_steps(self):
        return sum(steps for steps, _ in self.planned.values())

    def total_seconds(self):
        return sum(steps * seconds for steps, seconds in self.planned.values())

    def seconds_left(self):
        left = max(0.0, self.total_seconds() - self.done_seconds)
        elapsed = self.clock() - self.started
        # The first steps say little about the rest.
        known = self.done_seconds / self.total_seconds() if self.planned else 1
        factor = elapsed / self.done_seconds if self.done_seconds else 1
        weight = min(1.0, known * 5)
        return left * (1 + (factor - 1) * weight)

    def step(self, scenario, row, number, rounds, entry):
        self.steps += 1
        self.done_seconds += self.planned[scenario.key][1]
        minutes, seconds = divmod(int(self.seconds_left() + 0.5), 60)
        self.say(f"[{self.steps:3d}/{self.total_steps()}] {scenario.key:6s} round {number + 1}/"
                 f"{rounds}  {row.title:26s} {describe(entry):44s} {minutes}:{seconds:02d} left")

    def say(self, text):
        print(text, file=self.out, flush=True)


def describe(entry):
    if entry.get("void"):
        return f"VOID: {entry['void'][0]}"
    if "mb_per_cpu_s" in entry:
        return f"{entry['mb_per_cpu_s']:6.0f} MB per CPU second, {entry['mb_per_s']:5.0f} MB/s"
    if "noop_p99_ms" in entry:
        return f"{entry['noop_p99_ms']:6.1f} ms p99 of NOOP, {entry['per_second']:6.0f}/s"
    if "rss_kb" in entry:
        return f"{entry['rss_kb']:6.1f} KB RSS, {entry['pss_kb']:6.1f} KB PSS"
    if "cpu_us" in entry:
        return f"{entry['cpu_us']:7.1f} us CPU, {entry['per_second']:6.0f}/s"
    return ""
