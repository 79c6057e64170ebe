#!/usr/bin/env python3
"""Postern and its peers side by side: what a login, a byte and an idle session cost.

  bench/compare/run.py                            everything, about an hour
  bench/compare/run.py --only a,b --rounds 5      two scenarios, some minutes
  bench/compare/run.py --quick                    tiny counts, to see that it works
  bench/compare/run.py --json report.json --html report.html
                                                  results to keep, and a page to read
  bench/compare/run.py --from report.json --readme
                                                  from an earlier run: its tables, README.md's block

The proxy under test has one core to itself; the load generator, the stores and whatever else a proxy
asks share the other. Rounds are interleaved; what counts is the median of the rounds and the ratio
within them. Scenarios, conditions and caveats: bench/README.md, and the report itself.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import signal
import subprocess
import sys

sys.dont_write_bytecode = True

import goals  # noqa: E402
import html_report  # noqa: E402
import prepare  # noqa: E402
import readme_block  # noqa: E402
import scenarios  # noqa: E402
from lab import Lab, LabError  # noqa: E402
from markdown import markdown  # noqa: E402
from peers import PEERS  # noqa: E402
from progress import Progress  # noqa: E402
from rounds import Measurement, rows_of  # noqa: E402

ROUNDS = 5  # unless somebody says another number
ROOT = pathlib.Path(__file__).resolve().parents[2]
RUN_SECONDS = 3.0
FORMAT = 1  # of the JSON; another number when readers must change


def parse_arguments(arguments):
    keys = ",".join(dict.fromkeys(s.group or s.key for s in scenarios.ALL))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=keys, help=f"scenarios: {keys}")
    parser.add_argument("--peers", default=",".join(PEERS), help=f"default: {','.join(PEERS)}")
    parser.add_argument("--rounds", type=int,
                        help=f"of every scenario; default: {ROUNDS}")
    parser.add_argument("--quick", action="store_true", help="tiny counts, one round")
    parser.add_argument("--json", metavar="FILE", help="write the results, too")
    parser.add_argument("--html", metavar="FILE", help="write the report as one page, too")
    parser.add_argument("--readme", action="store_true",
                        help="write the table of README.md from the results")
    parser.add_argument("--from", dest="source", metavar="FILE",
                        help="measure nothing, take the results of this file")
    parser.add_argument("--cores", default="0,1", help="of the proxy, of everything else")
    parser.add_argument("--bin-dir", default=str(prepare.DEFAULT_BIN),
                        help="default: build/release/bin, built first if it must be")
    parser.add_argument("--no-install", action="store_true",
                        help="take the packages that are installed")
    options = parser.parse_args(arguments)
    try:
        options.scenarios = scenarios.chosen(options.only.split(","))
    except KeyError as error:
        parser.error(f"no scenario is called {error}; there are {keys}")
    options.peers = options.peers.split(",")
    for name in options.peers:
        if name not in PEERS:
            parser.error(f"no peer is called {name!r}; there are {', '.join(PEERS)}")
    if options.rounds is not None and options.rounds < 1:
        parser.error("--rounds is at least 1")
    if options.quick:
        options.rounds = 1
    try:
        options.cores = tuple(int(core) for core in options.cores.split(","))
    except ValueError:
        options.cores = ()
    if len(set(options.cores)) != 2 or not set(options.cores) <= os.sched_getaffinity(0):
        parser.error("--cores takes two different cores of this machine, such as 0,1")
    return options


def first_line(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    return (done.stdout + done.stderr).strip().splitlines()[0]


def conditions(lab, options, names, left_out):
    model = re.search(r"model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "cpu": model.group(1) if model else platform.machine(),
        "cpus": os.cpu_count(),
        "kernel": platform.release(),
        "openssl": first_line("openssl", "version"),
        "versions": {name: f"{PEERS[name].title} {PEERS[name].version(lab)}" for name in names},
        "left_out": left_out,
        "load_average": os.getloadavg(),
        "rounds": options.rounds or ROUNDS,
        "quick": options.quick,
        "seconds_per_run": RUN_SECONDS,
        "proxy_core": lab.proxy_core,
        "other_core": lab.other_core,
        "descriptors_max": lab.descriptors_max,
        "command": " ".join(["bench/compare/run.py", *sys.argv[1:]]),
    }


def take_part(options):
    """The peers that can, and a sentence about each that cannot."""
    names, left_out = [], []
    for name in options.peers:
        why = PEERS[name].missing()
        if not why and PEERS[name].needs_root and os.geteuid() != 0:
            why = f"{name} needs root to start"
        if why:
            left_out.append(why)
        else:
            names.append(name)
    return names, left_out


def make_networks(lab, left_out):
    if os.geteuid() != 0:
        left_out.append("Ethernet's segments need a network of one's own, and that needs root")
        return {"loopback": lab.host}
    try:
        return {"loopback": lab.make_network(False), "ethernet": lab.make_network(True)}
    except LabError as error:
        left_out.append(f"Ethernet's segments need a network of one's own: {error}")
        return {"loopback": lab.host}


def measure(options, report):
    """Fills `report`. When it is interrupted, what was finished is in it."""
    names, left_out = take_part(options)
    lab = Lab(options.bin_dir, options.cores)
    try:
        networks = make_networks(lab, left_out)
        report.update(format=FORMAT, conditions=conditions(lab, options, names, left_out),
                      scenarios={})
        report["floor"] = json.loads(lab.run(
            [sys.executable, "-B", pathlib.Path(__file__).with_name("crypto_floor.py"),
             1 if options.quick else 3], lab.host, lab.proxy_core))
        progress, rounds = Progress(), options.rounds or ROUNDS
        seconds = 0.2 if options.quick else RUN_SECONDS
        measurement = Measurement(lab, networks, seconds, progress)
        wanted = [scenario for scenario in options.scenarios
                  if scenario.network in networks and rows_of(scenario, names)]
        for scenario in wanted:
            usual = seconds + 1.5 if options.quick or not scenario.seconds else scenario.seconds
            progress.plan(scenario.key, len(rows_of(scenario, names)) *
                          rounds, usual)
        for scenario in wanted:
            measurement.scenario(scenario, names, rounds, report["scenarios"])
    finally:
        if "conditions" in report:
            report["conditions"]["load_average_after"] = os.getloadavg()
        lab.close()


def read_report(path):
    try:
        report = json.loads(pathlib.Path(path).read_text())
    except ValueError as error:
        raise LabError(f"{path} is no JSON: {error}") from error
    if not isinstance(report, dict) or report.get("format") != FORMAT:
        raise LabError(f"{path} was not written by --json of this program")
    return report


def interrupt(signal_number, frame):
    raise KeyboardInterrupt


def check_paths(options):
    """What is to be written can be, or nothing is measured."""
    for path in filter(None, (options.json, options.html)):
        prepare.check_writable(path)
    if options.readme:
        readme_block.find((ROOT / "README.md").read_text())
        prepare.check_writable(ROOT / "README.md")


def finished(report):
    """Takes out what an interruption left without a single round. False: there is nothing else."""
    scenarios_of = report.get("scenarios", {})
    for key in [key for key, found in scenarios_of.items()
                if not any(row["rounds"] for row in found["rows"].values())]:
        del scenarios_of[key]
    return bool(scenarios_of)


def find_report(options):
    """(the report, whether it is whole)."""
    check_paths(options)
    if options.source:
        return read_report(options.source), True
    report = {}
    try:
        prepare.build(options.bin_dir, not options.no_install)
        if not options.no_install and set(options.peers) != {"postern"}:
            prepare.need([ROOT / "deploy/install-deps.sh", "compare"])
        measure(options, report)
    except KeyboardInterrupt:
        if not finished(report):
            raise
        report["conditions"]["interrupted"] = True
        return report, False
    return report, True


def write(options, report):
    """Standard output first: it takes what the files do not. Problems, as sentences."""
    print(markdown(report), flush=True)
    problems = []
    for path, text in ((options.json, lambda: json.dumps(report, indent=1) + "\n"),
                       (options.html, lambda: html_report.page(report))):
        try:
            if path:
                pathlib.Path(path).write_text(text())
        except OSError as error:
            problems.append(str(error))
    if options.readme and not report["conditions"].get("interrupted"):
        readme_block.rewrite(ROOT / "README.md", report)
    return problems


def main():
    options = parse_arguments(sys.argv[1:])
    signal.signal(signal.SIGTERM, interrupt)
    try:
        report, whole = find_report(options)
        report["goals"] = goals.evaluate_all(report)
        problems = write(options, report)
    except (LabError, prepare.PrepareError, readme_block.BlockError, OSError) as error:
        sys.exit(f"run.py: {error}")
    except KeyboardInterrupt:
        sys.exit("run.py: interrupted")
    if problems:
        sys.exit(f"run.py: {'; '.join(problems)}")
    if not whole:
        sys.exit("run.py: interrupted; what was finished stands above")


if __name__ == "__main__":
    main()
