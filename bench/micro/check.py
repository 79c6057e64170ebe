#!/usr/bin/env python3
"""Has a micro-benchmark become slower? To be run by hand, before a change is sent.

  bench/micro/check.py --baseline /elsewhere/postern_micro      against another build, interleaved
  bench/micro/check.py --record before.json                     keeps this build's times
  bench/micro/check.py --recorded before.json                   against times kept earlier

Both programs take turns, and the one that begins changes each round, so that a machine that becomes
slower in between slows both. Each benchmark's ratio is taken within a round; printed are the median
over the rounds and its band, from the lower to the upper quartile. A benchmark counts as slower when
even the lower quartile is above the threshold. Against recorded times all ratios are first divided
by their median over all benchmarks: another hour or another machine is not a regression, but one
benchmark falling behind the others is.

Times are CPU times. Exit status: 0 nothing is slower, 1 something is, 2 it could not be told.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
CURRENT = os.path.join(HERE, "../../build/release/bin/postern_micro")
# Loading ten million users takes longer than everything else together, once per program and round.
USUAL = "-10000000|LoadMap|ReleaseMap"
NANOSECONDS = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}


class Problem(Exception):
    pass


def run(program, options):
    """{name: CPU nanoseconds} of one round."""
    command = [program, "--benchmark_format=json", f"--benchmark_filter={options.filter}",
               f"--benchmark_min_time={options.min_time}"]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True,
                              text=True)
        results = json.loads(done.stdout)["benchmarks"]
    except (OSError, subprocess.CalledProcessError, ValueError, KeyError) as error:
        raise Problem(f"{program} did not run: {error}") from error
    return {result["name"]: result["cpu_time"] * NANOSECONDS[result["time_unit"]]
            for result in results if not result.get("error_occurred")}


def measure(programs, options):
    """For each program a list of rounds."""
    rounds = [[] for _ in programs]
    for number in range(options.rounds):
        order = list(range(len(programs)))
        if number % 2:
            order.reverse()
        for which in order:
            print(f"round {number + 1} of {options.rounds}: {programs[which]}", file=sys.stderr)
            rounds[which].append(run(programs[which], options))
    return rounds


def quartiles(values):
    """Lower quartile, median, upper quartile; with few rounds, least and greatest stand for them."""
    if len(values) < 4:
        return min(values), statistics.median(values), max(values)
    return tuple(statistics.quantiles(values, n=4, method="inclusive"))


def compare(before, now, steady):
    """[(name, before in ns, now in ns, (lower, median, upper) of the ratio)]. `before` and `now` are
    rounds; with `steady`, round i of one belongs to round i of the other."""
    names = [name for name in now[0] if all(name in one for one in before + now)]
    rows = []
    for name in names:
        old = [one[name] for one in before]
        new = [one[name] for one in now]
        if steady:
            ratios = [n / o for n, o in zip(new, old)]
        else:
            ratios = [n / statistics.median(old) for n in new]
        rows.append((name, statistics.median(old), statistics.median(new), quartiles(ratios)))
    if not rows:
        raise Problem("the two have no benchmark in common")
    if not steady:
        drift = statistics.median(row[3][1] for row in rows)
        print(f"everything together: {drift:.2f} times the recorded times; ratios are relative to it")
        rows = [(name, old, new, tuple(value / drift for value in band))
                for name, old, new, band in rows]
    return rows


def show_time(nanoseconds):
    for unit, factor in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if nanoseconds >= factor:
            return f"{nanoseconds / factor:.3g} {unit}"
    return f"{nanoseconds:.3g} ns"


def report(rows, threshold):
    """Prints the table; how many are slower."""
    width = max(len(row[0]) for row in rows)
    print(f"{'benchmark':{width}}  {'before':>9}  {'now':>9}  ratio  band")
    slower = 0
    for name, old, new, (lower, median, upper) in rows:
        verdict = ""
        if lower > threshold:
            verdict = "  SLOWER"
            slower += 1
        elif upper < 1 / threshold:
            verdict = "  faster"
        print(f"{name:{width}}  {show_time(old):>9}  {show_time(new):>9}  {median:5.2f}  "
              f"{lower:.2f}-{upper:.2f}{verdict}")
    return slower


def parse():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    against = parser.add_mutually_exclusive_group(required=True)
    against.add_argument("--baseline", metavar="PROGRAM", help="an older postern_micro")
    against.add_argument("--recorded", metavar="FILE", help="what --record wrote")
    against.add_argument("--record", metavar="FILE", help="write this build's times, compare nothing")
    parser.add_argument("--program", default=os.path.normpath(CURRENT),
                        help="the build to judge (default: %(default)s)")
    parser.add_argument("--filter", default=USUAL,
                        help="benchmarks, a regular expression; '-' in front leaves out "
                             "(default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=7, help="default: %(default)s")
    parser.add_argument("--min-time", type=float, default=0.05,
                        help="seconds of each benchmark in each round (default: %(default)s)")
    parser.add_argument("--threshold", type=float, default=1.10,
                        help="slower is what takes more than so many times as long "
                             "(default: %(default)s)")
    options = parser.parse_args()
    if options.rounds < 1 or options.threshold < 1:
        parser.error("--rounds and --threshold take 1 or more")
    return options


def main():
    options = parse()
    try:
        if options.baseline:
            before, now = measure([options.baseline, options.program], options)
            rows = compare(before, now, steady=True)
        else:
            before = []
            if options.recorded:
                with open(options.recorded, encoding="utf-8") as file:
                    before = json.load(file)["rounds"]
            (now,) = measure([options.program], options)
            if options.record:
                with open(options.record, "w", encoding="utf-8") as file:
                    json.dump({"rounds": now}, file, indent=1)
                return 0
            rows = compare(before, now, steady=False)
        slower = report(rows, options.threshold)
    except (OSError, ValueError, KeyError, Problem) as error:
        print(f"check.py: {error}", file=sys.stderr)
        return 2
    if slower:
        print(f"{slower} of {len(rows)} slower than {options.threshold} times the baseline")
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
