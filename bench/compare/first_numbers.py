#!/usr/bin/env python3
"""Postern and nginx's mail proxy, side by side: what a login and an idle session cost.

  bench/compare/first_numbers.py                  the whole measurement, a few minutes
  bench/compare/first_numbers.py --quick          tiny counts, to see that it works
  bench/compare/first_numbers.py --install        installs nginx first (deploy/install-deps.sh)

The proxy under test has one core to itself, with one worker; the load generator, the store and
nginx's auth_http responder share the other. Rounds are interleaved, and what counts is the median
of the rounds and the ratio within them: absolute numbers belong to one machine and one hour.
Conditions and caveats: bench/README.md.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys
import time

from side_by_side import Bench, Nginx, Postern, cpu_ns, memory_kb

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCES = "127.0.0.2-127.0.0.9"


def tls_load(bench, proxy, total, concurrency, *more):
    return bench.load("--target", f"127.0.0.1:{proxy.tls}", "--tls", "implicit", "--tls-version",
                      "1.3", "--script", "login", "--total", total, "--sessions", concurrency,
                      "--source", SOURCES, *more)


def measure_logins(bench, proxies, options):
    """CPU of the proxy for each full TLS 1.3 login, in interleaved rounds."""
    rounds = {proxy.name: [] for proxy in proxies}
    pids = {}
    for proxy in proxies:
        pids[proxy.name] = proxy.start()
        tls_load(bench, proxy, max(20, options.logins // 10), options.concurrency)
    for number in range(options.rounds):
        # Who goes first changes, so that a drift of the machine hits everybody alike.
        shift = number % len(proxies)
        for proxy in proxies[shift:] + proxies[:shift]:
            before = cpu_ns(pids[proxy.name])
            result = tls_load(bench, proxy, options.logins, options.concurrency, "--seed",
                              number + 1, *options.arrivals)
            time.sleep(0.3)  # what the proxy still does after the last QUIT belongs to it
            used = cpu_ns(pids[proxy.name]) - before
            rounds[proxy.name].append({
                "us_per_login": used / 1000 / result["sessions"],
                "per_second": result["sessions_per_second"],
                "failed": result["failed"],
                "failures": result["failures"],
                "tls": result["tls_kinds"],
                "resumed": result["tls_resumed"],
                "session_p50_ms": result["latency_ms"]["session"]["p50"],
            })
            print(f"  round {number + 1}: {proxy.name:32s} {used / 1000 / result['sessions']:7.1f} us "
                  f"{result['sessions_per_second']:7.0f}/s  {result['failed']} failed",
                  file=sys.stderr)
    for proxy in proxies:
        proxy.stop()
    return {name: summarize(entries, rounds.get("nginx")) for name, entries in rounds.items()}


def summarize(entries, base):
    costs = [entry["us_per_login"] for entry in entries]
    row = {
        "us_per_login_median": statistics.median(costs),
        "us_per_login_min": min(costs),
        "us_per_login_max": max(costs),
        "logins_per_second_median": statistics.median(e["per_second"] for e in entries),
        "failed": sum(entry["failed"] for entry in entries),
        "rounds": entries,
    }
    if base is not None:
        ratios = [cost / of["us_per_login"] for cost, of in zip(costs, base)]
        row["ratio_to_nginx_median"] = statistics.median(ratios)
        row["ratio_to_nginx_min"] = min(ratios)
        row["ratio_to_nginx_max"] = max(ratios)
    return row


def measure_idle(bench, proxies, options, rate):
    """Memory of the proxy for each session that is logged in over TLS and silent. They come at
    `rate` a second, or all at the same moment."""
    report = {}
    arrivals = ["--rate", rate, "--arrivals", "constant"] if rate else []
    for proxy in proxies:
        pid = proxy.start()
        tls_load(bench, proxy, 100, 10)
        time.sleep(1)
        before = memory_kb(pid)
        load = bench.start_idle_load(
            "--target", f"127.0.0.1:{proxy.tls}", "--tls", "implicit", "--total", options.idle,
            "--sessions", options.idle, "--hold-s", "600", "--timeout-s", "60", "--source", SOURCES,
            *arrivals)
        time.sleep(options.settle)
        after = memory_kb(pid)
        bench.stop_idle_load(load)
        proxy.stop()
        report[proxy.name] = {
            "sessions": options.idle,
            "before_kb": before,
            "with_sessions_kb": after,
            "rss_kb_per_session": (after["rss"] - before["rss"]) / options.idle,
            "pss_kb_per_session": (after["pss"] - before["pss"]) / options.idle,
        }
        print(f"  {proxy.name:32s} {report[proxy.name]['rss_kb_per_session']:5.1f} KB",
              file=sys.stderr)
    return report


def measure_plain(bench, proxy, options):
    """Many logins, none lost: by the client's count and by the proxy's."""
    proxy.start()
    result = bench.load("--target", f"127.0.0.1:{proxy.plain}", "--script", "login", "--total",
                        options.plain, "--sessions", options.concurrency, "--source", SOURCES)
    counted = proxy.metric("postern_backend_sessions_total")
    proxy.stop()
    return {
        "logins": result["sessions"], "failed": result["failed"], "failures": result["failures"],
        "counted_by_proxy": counted, "per_second": result["sessions_per_second"],
    }


def first_line(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    return (done.stdout + done.stderr).strip().splitlines()[0]


def conditions(bench, options):
    model = re.search(r"model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "cpu": model.group(1) if model else platform.machine(),
        "cpus": os.cpu_count(),
        "kernel": platform.release(),
        "postern": first_line(bench.bin / "postern", "version"),
        "openssl": first_line("openssl", "version"),
        "nginx": first_line("nginx", "-v") if Nginx.installed() else "no nginx",
        "load_average": os.getloadavg(),
        "rounds": options.rounds,
        "logins_per_round": options.logins,
        "concurrency": options.concurrency,
        "rate": options.rate,
        "idle_rate": options.idle_rate,
        "proxy_core": bench.proxy_core,
        "other_core": bench.other_core,
    }


def markdown(report):
    at = report["conditions"]
    lines = [f"{at['date']}, {at['cpu']}, kernel {at['kernel']}, {at['openssl']}, {at['nginx']}, "
             f"load average {at['load_average'][0]:.1f} at the start.", ""]
    if "logins" in report:
        lines += [
            f"CPU of the proxy per full TLS 1.3 login (ECDSA P-256, X25519), median of "
            f"{at['rounds']} interleaved rounds of {at['logins_per_round']} logins, " +
            (f"{at['rate']:g} a second:" if at["rate"] else f"{at['concurrency']} clients at once:"),
            "",
            "| proxy | us per login (min-max) | ratio to nginx (min-max) | logins/s | failed |",
            "|---|---|---|---|---|"]
        for name, row in report["logins"].items():
            ratio = ""
            if "ratio_to_nginx_median" in row:
                ratio = (f"{row['ratio_to_nginx_median']:.2f} ({row['ratio_to_nginx_min']:.2f}-"
                         f"{row['ratio_to_nginx_max']:.2f})")
            lines.append(
                f"| {name} | {row['us_per_login_median']:.0f} ({row['us_per_login_min']:.0f}-"
                f"{row['us_per_login_max']:.0f}) | {ratio} | {row['logins_per_second_median']:.0f} "
                f"| {row['failed']} |")
        lines.append("")
    for key, manner in (("idle", f"that come at {at['idle_rate']:g}/s"),
                        ("idle_at_once", "that all come at the same moment")):
        if key not in report:
            continue
        lines += [f"Memory of the proxy per idle TLS session, of sessions {manner}:", "",
                  "| proxy | sessions | KB per session (RSS) | KB per session (PSS) |",
                  "|---|---|---|---|"]
        lines += [f"| {name} | {row['sessions']} | {row['rss_kb_per_session']:.1f} | "
                  f"{row['pss_kb_per_session']:.1f} |" for name, row in report[key].items()]
        lines.append("")
    if "plain" in report:
        row = report["plain"]
        lines.append(f"{row['logins']} plain logins through postern: {row['failed']} failed, "
                     f"{row['counted_by_proxy']} counted by the proxy, {row['per_second']:.0f}/s.")
    return "\n".join(lines)


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin-dir", default=str(ROOT / "build/release/bin"))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--logins", type=int, default=4000, help="of one round")
    parser.add_argument("--idle", type=int, default=2000, help="idle sessions")
    parser.add_argument("--idle-rate", type=float, default=300, help="how many come each second")
    parser.add_argument("--settle", type=float, default=5, help="seconds until memory is read")
    parser.add_argument("--plain", type=int, default=100000, help="plain logins")
    parser.add_argument("--concurrency", type=int, default=100)
    parser.add_argument("--rate", type=float, default=0,
                        help="logins a second, the same for all; default: as many as they can")
    parser.add_argument("--cores", default="0,1", help="of the proxy, of everything else")
    parser.add_argument("--only", default="logins,idle,plain")
    parser.add_argument("--json", help="write the results to this file, too")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--install", action="store_true")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.logins, options.idle, options.plain = 2, 200, 100, 1000
        options.settle = 1
    options.arrivals = ["--rate", options.rate] if options.rate else []
    options.cores = tuple(int(core) for core in options.cores.split(","))
    if len(set(options.cores)) != 2 or not set(options.cores) <= os.sched_getaffinity(0):
        parser.error("--cores takes two different cores of this machine: 0,1")
    return options


def main():
    options = parse_arguments()
    if options.install:
        subprocess.run([ROOT / "deploy/install-deps.sh", "compare"], check=True)
    if not Nginx.installed():
        print("nginx with its mail module is not installed (--install does that): postern alone",
              file=sys.stderr)
    bench = Bench(options.bin_dir, options.cores)
    try:
        store = bench.start_store()
        postern = Postern(bench, store, "postern")
        logging = Postern(bench, store, "postern, session log on", session_log=True)
        nginx = [Nginx(bench, store, "nginx")] if Nginx.installed() else []
        frugal = ([Nginx(bench, store, "nginx, TLS tickets off", tickets=False)]
                  if Nginx.installed() else [])
        report = {"conditions": conditions(bench, options)}
        parts = options.only.split(",")
        if "logins" in parts:
            print("TLS logins", file=sys.stderr)
            report["logins"] = measure_logins(bench, [postern, logging] + nginx + frugal, options)
        if "idle" in parts:
            print("idle TLS sessions", file=sys.stderr)
            report["idle"] = measure_idle(bench, [postern] + nginx, options, options.idle_rate)
            print("idle TLS sessions, all at once", file=sys.stderr)
            report["idle_at_once"] = measure_idle(bench, [postern] + nginx, options, None)
        if "plain" in parts:
            print("plain logins", file=sys.stderr)
            report["plain"] = measure_plain(bench, postern, options)
        report["conditions"]["load_average_after"] = os.getloadavg()
        if options.json:
            pathlib.Path(options.json).write_text(json.dumps(report, indent=2) + "\n")
        print(markdown(report))
    finally:
        bench.close()


if __name__ == "__main__":
    main()
