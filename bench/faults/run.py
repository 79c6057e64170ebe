#!/usr/bin/env python3
"""What clients see when a server behind the proxy fails, and how long it takes until all is well.

  bench/faults/run.py                         every fault, about four minutes
  bench/faults/run.py --only F05,F34          two of them
  bench/faults/run.py --markdown report.md --json report.json

Three real Dovecot servers stand behind one proxy. While a fault lasts, six clients log in over and
over as users of the server that is hurt, and six as users of another one, who must notice nothing. A
promise that is not kept makes the exit code 1.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))


def alone(arguments):
    """Runs this program again in a network of its own, where packets may be dropped."""
    inner = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh",
             sys.executable, "-B", str(HERE / "run.py"), "--inside", *arguments]  # fmt: skip
    return subprocess.call(inner)


def wait_until_recovered(victims, end, at_most):
    """Until they have been well for a second and a half, or have had their time."""
    while (now := time.monotonic()) < end + at_most:
        recovered = victims.recovered_after(end)
        if recovered is not None and now - end - recovered > 1.5:
            return
        time.sleep(0.1)
    time.sleep(1.5)


def experiment_row(farm, experiment, slack):
    from farm import PASSWORD, users
    from observers import Group, outcomes

    victims = Group(farm.port, users(experiment.victims), PASSWORD)
    others = None
    if experiment.key != "F34":
        others = Group(farm.port, users("mail2"), PASSWORD)
    time.sleep(1.5)
    begin = time.monotonic()
    experiment.begin(farm)
    time.sleep(experiment.seconds)
    experiment.end(farm)
    end = time.monotonic()
    wait_until_recovered(victims, end, experiment.recovery_s + slack)
    groups = [group for group in (victims, others) if group]
    for group in groups:
        group.stop()
    seen = victims.between(begin, end)
    recovered = victims.recovered_after(end)
    wrong = []
    for visit in seen:
        if visit.outcome != "ok" and visit.outcome not in experiment.allowed:
            wrong.append(f"a victim saw {visit.outcome}")
        if visit.took > experiment.slowest_s + slack:
            wrong.append(f"a victim waited {visit.took:.1f} s")
    refused = sum(visit.outcome != "ok" for visit in seen)
    if experiment.refused_max is not None and refused > experiment.refused_max:
        wrong.append(f"{refused} victims were refused or cut")
    if recovered is None or recovered > experiment.recovery_s + slack:
        wrong.append("not well in time")
    hurt = [v for v in others.visits if v.outcome != "ok"] if others else []
    if hurt:
        wrong.append(f"{len(hurt)} others were hurt: {hurt[0].outcome}")
    return {
        "key": experiment.key, "title": experiment.title, "promise": experiment.promise,
        "seen": outcomes(seen), "slowest_s": max((v.took for v in seen), default=0),
        "recovered_s": recovered, "others": outcomes(others.visits) if others else None,
        "wrong": sorted(set(wrong)),
    }  # fmt: skip


def single_row(farm, single):
    seen, right = single.run(farm)
    return {
        "key": single.key, "title": single.title, "promise": single.promise,
        "seen": {seen.outcome: 1}, "slowest_s": seen.took, "recovered_s": None, "others": None,
        "wrong": [] if right else [f"saw {seen.outcome} after {seen.took:.1f} s"],
    }  # fmt: skip


def wait_until_well(farm):
    from farm import PASSWORD
    from observers import visit

    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        names = ("mail1", "mail2", "mail3", "shared", "asked", "remembered")
        users = [f"user0@{name}.test" for name in names]
        if all(visit(farm.port, user, PASSWORD).outcome == "ok" for user in users):
            return
        time.sleep(0.1)
    raise SystemExit(f"the farm does not get well again; the proxy says:\n{farm.proxy.log()}")


def counted(counts):
    return ", ".join(f"{count} x {name}" for name, count in counts.items()) if counts else "-"


def markdown(rows):
    lines = [
        "| | fault | promise | its users saw | slowest | well again after | the others saw | kept |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        well = "-" if row["recovered_s"] is None else f"{row['recovered_s']:.2f} s"
        kept = "yes" if not row["wrong"] else "NO: " + "; ".join(row["wrong"])
        lines.append(
            f"| {row['key']} | {row['title']} | {row['promise']} | {counted(row['seen'])} | "
            f"{row['slowest_s']:.2f} s | {well} | {counted(row['others'])} | {kept} |"
        )
    return "\n".join(lines) + "\n"


def inside(options):
    os.environ["POSTERN_BIN_DIR"] = str(options.bin_dir)
    from experiments import LASTING, SINGLE
    from farm import Farm

    chosen = options.only.split(",") if options.only else None
    root = os.getuid() == 0 and shutil.which("nft")
    wanted = [e for e in (*SINGLE, *LASTING) if not chosen or e.key in chosen]
    if chosen and len(wanted) != len(set(chosen)):
        raise SystemExit(f"--only: there are {', '.join(e.key for e in (*SINGLE, *LASTING))}")
    rows = []
    with tempfile.TemporaryDirectory(prefix="postern-faults-") as directory:
        pathlib.Path(directory).chmod(0o755)
        farm = Farm(directory)
        try:
            for number, experiment in enumerate(wanted, 1):
                if experiment.needs_root and not root:
                    print(f"{experiment.key}: left out, it needs root and nft", file=sys.stderr)
                    continue
                print(f"[{number}/{len(wanted)}] {experiment.key} {experiment.title}",
                      file=sys.stderr, flush=True)  # fmt: skip
                wait_until_well(farm)
                if experiment in SINGLE:
                    rows.append(single_row(farm, experiment))
                else:
                    rows.append(experiment_row(farm, experiment, options.slack_s))
                for wrong in rows[-1]["wrong"]:
                    print(f"    NOT KEPT: {wrong}", file=sys.stderr)
            farm.proxy.check_health()
        finally:
            farm.close()
    print(markdown(rows), end="")
    if options.markdown:
        options.markdown.write_text(markdown(rows))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 1 if any(row["wrong"] for row in rows) else 0


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="some faults, such as F05,F34")
    parser.add_argument("--markdown", type=pathlib.Path, help="write the table to this file, too")
    parser.add_argument("--json", type=pathlib.Path, help="write the results to this file, too")
    parser.add_argument("--bin-dir", type=pathlib.Path,
                        default=HERE.parents[1] / "build" / "release" / "bin")  # fmt: skip
    parser.add_argument("--slack-s", type=float, default=0, metavar="SECONDS",
                        help="so much later may everything be, on a machine that does other things")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if os.getuid() == 0 and not options.inside:
        return alone(sys.argv[1:])
    return inside(options)


if __name__ == "__main__":
    sys.exit(main())
